//! Where an API key comes from: a variable of the environment, or a command that prints it.
//!
//! Invariant: the key itself is never part of an error, and never of a value that can be printed.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::error::{Error, Kind, Result, quoted};

/// How long a command may take: password managers ask people.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than this is no key.
const MOST_BYTES: u64 = 64 * 1024;

/// A way to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKey {
    /// The name of a variable.
    Env(String),
    /// Program and arguments; no shell.
    Command(Vec<String>),
}

impl ApiKey {
    /// Fetches the key; `None` when the variable is not set. `env` reads a variable: the host asks its clients' too.
    ///
    /// # Errors
    /// [`Kind::Config`] when the command cannot be run, fails, prints nothing or takes longer than 30 s, or when what came is no key.
    pub async fn read(&self, env: impl Fn(&str) -> Option<String>) -> Result<Option<String>> {
        match self {
            Self::Env(name) => match env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()) {
                Some(value) => checked(value, &format!("The variable {name}")).map(Some),
                None => Ok(None),
            },
            Self::Command(argv) => run(argv, PATIENCE).await.map(Some),
        }
    }

    /// Where it comes from, for hints: never the key.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Env(name) => format!("the variable {name}"),
            Self::Command(argv) => format!("the command {}", quoted(argv.first().map_or("", String::as_str))),
        }
    }
}

async fn run(argv: &[String], patience: Duration) -> Result<String> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::new(Kind::Config, "The command for an API key is empty."));
    };
    let fail = |what: String| {
        Error::new(Kind::Config, format!("The command {} for an API key {what}.", quoted(program)))
            .hint("Run it by hand: it should print the key and nothing else.")
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| fail("cannot be run".to_owned()).cause(error))?;
    let mut out = child.stdout.take();
    let work = async {
        let mut text = Vec::new();
        if let Some(out) = &mut out {
            out.take(MOST_BYTES).read_to_end(&mut text).await?;
        }
        // A command that prints without end gets a broken pipe here.
        drop(out.take());
        Ok::<_, std::io::Error>((text, child.wait().await?))
    };
    let (text, status) = tokio::time::timeout(patience, work)
        .await
        .map_err(|_| fail(format!("took longer than {} s and was stopped", patience.as_secs())))?
        .map_err(|error| fail("could not be read".to_owned()).cause(error))?;
    if !status.success() {
        return Err(fail(format!("failed ({status})")));
    }
    let text = String::from_utf8(text).map_err(|_| fail("printed something that is no text".to_owned()))?;
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(key) => checked(key.to_owned(), &format!("What {} printed", quoted(program))),
        None => Err(fail("printed nothing".to_owned())),
    }
}

/// A key goes into an HTTP header: visible ASCII only.
fn checked(key: String, origin: &str) -> Result<String> {
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key);
    }
    Err(Error::new(Kind::Config, format!("{origin} is no API key: it has spaces, control or foreign characters in it."))
        .hint("Look whether something else was copied with it."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> ApiKey {
        ApiKey::Command(vec!["sh".into(), "-c".into(), script.into()])
    }

    #[tokio::test]
    async fn from_the_environment() {
        let key = ApiKey::Env("KEY".to_owned());
        assert_eq!(key.read(|name| (name == "KEY").then(|| " sk-1\n".to_owned())).await, Ok(Some("sk-1".to_owned())));
        assert_eq!(key.read(|_| None).await, Ok(None));
        assert_eq!(key.read(|_| Some(String::new())).await, Ok(None));
        let error = key.read(|_| Some("sk secret".to_owned())).await.unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[tokio::test]
    async fn from_a_command() {
        assert_eq!(sh("printf '\\nsk-2 \\nurl: x\\n'").read(|_| None).await, Ok(Some("sk-2".to_owned())));
        for (script, part) in [
            ("exit 3", "failed (exit status: 3)"),
            ("true", "printed nothing"),
            ("printf '\\377'", "no text"),
            ("echo secret key", "is no API key"),
            ("echo secret; exit 1", "failed"),
        ] {
            let error = sh(script).read(|_| None).await.unwrap_err();
            assert!(error.message.contains(part), "{script}: {error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        let error = ApiKey::Command(vec!["/no/such/program".into()]).read(|_| None).await.unwrap_err();
        assert!(error.message.contains("cannot be run"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_stopped() {
        let argv: Vec<String> = ["sh", "-c", "exec sleep 600"].map(str::to_owned).to_vec();
        let error = run(&argv, Duration::from_millis(50)).await.unwrap_err();
        assert!(error.message.contains("took longer"), "{error}");
    }

    #[tokio::test]
    async fn a_command_without_end_is_cut() {
        assert!(sh("yes").read(|_| None).await.is_err(), "killed by the broken pipe, so it failed");
    }
}
