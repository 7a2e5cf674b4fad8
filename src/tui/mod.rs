//! The screen: one client of a host, drawn in a terminal.
//!
//! Owns: what this client looks at, how it is shown, and what keys mean. Refuses: the state of conversations (it holds a replica),
//! the database, backends. Invariant: `update` and `view` are pure; everything that touches the world is a `Cmd` carried out in `run`.

pub mod action;
mod arrive;
pub mod attached;
mod backends;
pub mod clipboard;
pub mod command_line;
pub mod composer;
pub mod errand;
mod files;
#[cfg(test)]
mod fixture;
pub mod format;
pub mod frame;
pub mod jumps;
pub mod keymap;
mod keys;
pub mod layout;
pub mod listing;
pub mod model;
pub mod msg;
mod notices;
pub mod output;
pub mod overlay;
mod paint;
pub mod pane;
mod perform;
mod pipe;
pub mod reach;
pub mod recall;
pub mod run;
pub mod screen;
pub mod search;
pub mod shared;
mod signals;
pub mod spark;
mod status;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;
pub mod update;
pub mod view;

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use self::model::{Choices, Model, Setup};
use self::run::{Connecting, Link, Wiring};
use self::shared::Shared;
use crate::client::Client;
use crate::config::{Config, Enter, Paths, document::Source};
use crate::error::{Error, Result};
use crate::proto::{IdGen, Level};

/// How long the terminal may take to tell its background.
const BACKGROUND: Duration = Duration::from_millis(150);

/// What the screen is started with.
pub struct Options {
    /// The way to a host: runs beside the first frame.
    pub connect: Connecting,
    pub config: Config,
    pub paths: Paths,
    /// Where the host is, in a word that the status line shows.
    pub place: String,
    /// From the command line: they win over the configuration and over what was chosen before.
    pub theme: Option<String>,
    pub keymap: Option<String>,
    /// What was wrong with the configuration.
    pub problems: Vec<Error>,
    /// Where this process logs, for the message of a panic.
    pub log: Option<PathBuf>,
}

/// Makes a link that is being made out of a client that is being made.
pub fn connecting(client: impl Future<Output = Result<Client>> + Send + 'static) -> Connecting {
    Box::pin(async move { client.await.map(|client| Box::new(client) as Box<dyn Link>) })
}

/// Runs the screen until the person leaves. Must be called within a tokio runtime, on the thread that blocks on it.
///
/// # Errors
/// There is no terminal, or it is gone.
pub async fn run(options: Options) -> Result<()> {
    let var = |name: &str| std::env::var(name).ok();
    let mut problems = options.problems;
    let config = options.config;
    let choices = Choices {
        theme: options.theme.or_else(|| (config.theme != "auto").then(|| config.theme.clone())),
        keymap: options.keymap.or_else(|| config.keymap.clone()),
        keys: keymap::Options { escape: config.escape.clone(), enter_is_newline: config.enter == Enter::Newline },
    };
    // The host may start while the terminal is asked for its colours.
    let connecting = tokio::spawn(options.connect);
    let theme_name = choices.theme.clone().unwrap_or_else(|| "auto".to_owned());
    let light = if theme_name == "auto" { theme::probe::is_light(BACKGROUND) } else { None };
    let facts = theme::Facts::from_env(light);
    let (themes, wrong) = theme::Themes::load(Some(&options.paths.themes()));
    problems.extend(wrong);
    let (keymaps, wrong) = Source::read_folder(&options.paths.keymaps());
    problems.extend(wrong);
    let (theme, theme_name) = match themes.resolve(&theme_name, &facts) {
        Ok(choice) => {
            problems.extend(choice.problems);
            (choice.theme, theme_name)
        }
        Err(error) => {
            problems.push(error);
            (themes.resolve("auto", &facts).map_or_else(|_| theme::Theme::mono(), |choice| choice.theme), "auto".to_owned())
        }
    };
    let loaded = keymap::load(choices.keymap.as_deref().unwrap_or("vim"), &keymaps, &choices.keys);
    problems.extend(loaded.problems);
    let composer = composer::Composer::new(loaded.keymap.modal());
    let coloured = std::sync::Arc::new(tokio::sync::Notify::new());
    let wake = std::sync::Arc::clone(&coloured);
    let highlighter = text::Highlighter::new(move || wake.notify_one());
    let mut shared = Shared::new(composer, theme, highlighter, loaded.keymap, TimeZone::system(), pane::composer::ID);
    shared.place = text::width::truncate(&text::width::drawable(&options.place), 20).into();

    terminal::install_panic_hook(options.log);
    let terminal = terminal::Terminal::enter()?;
    let history_file = options.paths.state.join("history");
    let mut model = Model::new(Setup {
        shared,
        themes,
        facts,
        theme_name,
        keymaps,
        choices,
        arrangement: layout::Arrangement::default(),
        ids: IdGen::Real,
        size: terminal.size(),
        began: Instant::now(),
        history: read_history(&history_file),
    });
    for problem in problems {
        let notice = notices::Notice { level: Level::Error, text: problem.message, hints: problem.hints, at: 0 };
        model.notices.put(notice, Duration::ZERO);
    }
    let wiring = Wiring {
        connecting: Box::pin(async move {
            connecting.await.unwrap_or_else(|e| Err(Error::new(crate::error::Kind::Internal, "Reaching the host was broken off.").cause(e)))
        }),
        way: clipboard::Way::choose(config.osc52, var),
        desktop: clipboard::Desktop::find(var),
        history: Some(history_file),
        desk: errand::Desk { templates: options.paths.templates() },
        remote: ["SSH_CONNECTION", "SSH_TTY", "MOSH_IP"].iter().any(|name| var(name).is_some()),
        signals: run::Signals::listen(),
        coloured,
    };
    let session = run::run(model, terminal, wiring).await?;
    tracing::info!(frames = session.frames, bytes = session.bytes, wakeups = session.wakeups, "the screen was closed");
    Ok(())
}

/// Lines of `:` and `/` of earlier sessions. A file that cannot be read is an empty one.
fn read_history(path: &std::path::Path) -> Vec<String> {
    std::fs::read_to_string(path).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}
