//! What every subcommand begins with: where the files lie, what is configured, and the way to a host.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::OnceCell;

use super::args::Global;
use super::session::Session;
use crate::client::local::Door;
use crate::client::remote::Address;
use crate::client::start::{Launch, Own};
use crate::client::{Client, Introduction};
use crate::config::{ApiKey, Config, HUB_TOKEN, Paths};
use crate::error::{Error, Kind, Result};
use crate::sanitise;

/// The variable with the token for `--connect`.
const TOKEN: &str = "ARBOUR_TOKEN";

pub struct Context {
    pub global: Global,
    pub paths: Paths,
    pub config: Config,
    /// What is wrong in the configuration; the rest of it holds.
    pub problems: Vec<Error>,
    /// The host of `--in-process`, once it runs.
    door: OnceCell<Door>,
}

impl Context {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When nobody knows where the files should lie.
    pub fn load(global: Global) -> Result<Self> {
        let paths = Paths::of_process(global.home.as_deref())?;
        let loaded = Config::load(&paths);
        Ok(Self { global, paths, config: loaded.config, problems: loaded.problems, door: OnceCell::new() })
    }

    pub fn in_process(&self) -> bool {
        self.global.in_process
    }

    /// Whether paths on this machine mean the same to the host.
    pub fn host_is_here(&self) -> bool {
        self.global.connect.as_deref().is_none_or(|url| url.starts_with("unix:"))
    }

    /// A one-shot's way to the host. What is wrong in the configuration is told first.
    ///
    /// # Errors
    /// Why there is no way.
    pub async fn session(&self) -> Result<Session> {
        for problem in &self.problems {
            report(problem);
        }
        Ok(Session::new(self.client(false).await?))
    }

    /// Attaches to the host that is meant; starts one if it is this user's own and none runs.
    ///
    /// # Errors
    /// Why there is no way.
    pub async fn client(&self, screen: bool) -> Result<Client> {
        if let Some(target) = &self.global.connect {
            let (address, token_file) = match self.config.host(target) {
                Some(entry) => (Address::parse(&entry.url)?, entry.token_file.clone()),
                None => {
                    let known = self.config.hosts.iter().find(|host| host.url == *target);
                    (Address::parse(target)?, known.and_then(|host| host.token_file.clone()))
                }
            };
            let token = self.token(token_file)?;
            return Client::to(address, Introduction { token, screen, env: Vec::new() }).await;
        }
        let introduction = Introduction { token: String::new(), screen, env: self.key_variables() };
        if self.in_process() {
            let door = self.door.get_or_try_init(|| Door::start(super::host::options(self))).await?;
            return Client::through(door.clone(), introduction).await;
        }
        let launch = Launch::this_binary(self.host_arguments(), super::host::environment(screen), self.paths.log())?;
        Client::own(Own { state: self.paths.state.clone(), launch: Some(launch) }, introduction).await
    }

    /// The host of `--in-process` ends in order.
    pub async fn finish(&self) {
        if let Some(door) = self.door.get() {
            door.end("The program that it ran in ended.");
            door.ended().await;
        }
    }

    /// The global options that a host needs.
    fn host_arguments(&self) -> Vec<OsString> {
        match &self.global.home {
            // The host has another working directory.
            Some(home) => vec!["--home".into(), std::path::absolute(home).unwrap_or_else(|_| home.clone()).into()],
            None => Vec::new(),
        }
    }

    /// The token for a host elsewhere: `--token-file`, the variable, the configuration's file, or this user's own (for a host of
    /// the same user on this machine).
    fn token(&self, configured: Option<PathBuf>) -> Result<String> {
        if let Some(file) = &self.global.token_file {
            return read_token(file);
        }
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
            return Ok(token.trim().to_owned());
        }
        match configured {
            Some(file) => read_token(&file),
            None => Ok(crate::client::start::read_token(&self.paths.state)),
        }
    }

    /// Values of the variables that the configuration takes keys from.
    fn key_variables(&self) -> Vec<(String, String)> {
        let names = self.config.backends.iter().filter_map(|backend| match &backend.api_key {
            Some(ApiKey::Env(name)) => Some(name),
            _ => None,
        });
        let hub = match &self.config.embedded.hub_token {
            Some(ApiKey::Env(name)) => Some(name.as_str()),
            Some(ApiKey::Command(_)) => None,
            None => Some(HUB_TOKEN),
        };
        let names = names.map(String::as_str).chain(hub);
        names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
    }
}

fn read_token(file: &std::path::Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        Error::new(Kind::File, format!("The token file {} cannot be read.", file.display()))
            .hint("`arbour serve --print-token` prints the token on the machine of the host.")
            .cause(e)
    })?;
    Ok(text.trim().to_owned())
}

/// Prints an error to standard error: what happened, what to do, nothing else.
pub fn report(error: &Error) {
    let mut err = std::io::stderr().lock();
    // Nobody to tell when standard error is closed.
    drop(write!(err, "{}", worded(error, std::io::stderr().is_terminal())));
    tracing::warn!(kind = ?error.kind, cause = error.cause.as_deref(), "{}", error.message);
}

fn worded(error: &Error, colour: bool) -> String {
    let mut out = String::new();
    let message = sanitise::line(&error.message);
    if colour {
        out.push_str(&format!("\x1b[31marbour:\x1b[m {message}\n"));
    } else {
        out.push_str(&format!("arbour: {message}\n"));
    }
    for hint in &error.hints {
        out.push_str(&format!("  {}\n", sanitise::line(hint)));
    }
    out
}

/// C-c and SIGTERM, caught from now on.
pub struct Interrupted {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupted {
    /// # Errors
    /// When the system refuses.
    pub fn new() -> Result<Self> {
        let catch = |kind| signal(kind).map_err(|e| Error::new(Kind::Internal, "Signals cannot be caught.").cause(e));
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    /// Waits for one of them. Safe to drop.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_its_message_and_hints_and_nothing_else() {
        let error = Error::new(Kind::Refused, "Nobody\u{1b}[2J listens.").hint("Start it.\nReally.").cause("os error 111");
        let text = worded(&error, false);
        assert!(text.starts_with("arbour: Nobody") && !text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.lines().count(), 2, "a hint is one line: {text:?}");
        assert!(!text.contains("111"), "the cause is for the log: {text}");
    }
}
