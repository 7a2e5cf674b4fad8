//! What people wrote into files, read into plain values.
//!
//! Owns: where arbour's files lie ([`Paths`]), `config.toml` ([`Config`]), and the keymaps that are built in. Refuses: to know who
//! reads the values, and to fail: whatever is wrong becomes a problem that names file, line and fix, and the rest holds.

mod append;
pub mod document;
mod key;
mod paths;
pub mod presets;
mod read;
pub mod templates;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use append::append_backend;
pub use key::ApiKey;
pub use paths::{Paths, expand, home_folder};

use crate::error::Error;
use crate::proto::BackendKind;

/// The keymaps that are built in: name and text.
pub const KEYMAPS: &[(&str, &str)] =
    &[("vim", include_str!("../../keymaps/vim.toml")), ("plain", include_str!("../../keymaps/plain.toml"))];

/// The variable with the hub's token, unless the configuration says where it comes from.
pub const HUB_TOKEN: &str = "HF_TOKEN";

/// `config.toml`, with defaults for what it leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `auto` follows the terminal's background.
    pub theme: String,
    /// `None`: nobody chose, so the first run asks.
    pub keymap: Option<String>,
    /// Look for servers on this machine.
    pub discover: bool,
    /// Keys that leave INSERT, as in `jj`.
    pub escape: Option<String>,
    pub enter: Enter,
    /// How long a host without clients and work waits before it ends.
    pub linger: Duration,
    pub osc52: Osc52,
    /// How often an answer is asked for again by itself, when an attempt fails before its first token; 0: never.
    pub retries: u32,
    /// A model writes titles of conversations in quiet moments; else they are the first words.
    pub titles_by_model: bool,
    /// Which model, as `backend/model`; `None`: the one that answers, if it is loaded.
    pub title_model: Option<String>,
    /// Downloads that go on at once.
    pub pulls: usize,
    pub backends: Vec<Backend>,
    pub embedded: Embedded,
    pub starter: Starter,
    pub hosts: Vec<HostEntry>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            theme: "auto".to_owned(),
            keymap: None,
            discover: true,
            escape: None,
            enter: Enter::Send,
            linger: Duration::from_secs(60),
            osc52: Osc52::Auto,
            // With pauses that double from a second this is about 15 seconds: a server that restarts, or a network that comes back, is
            // there again by then; whoever waits longer wants to be told why.
            retries: 4,
            titles_by_model: false,
            title_model: None,
            pulls: 2,
            backends: Vec::new(),
            embedded: Embedded::default(),
            starter: Starter::default(),
            hosts: Vec::new(),
        }
    }
}

/// What Enter does in the composer; the newline keys do the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enter {
    #[default]
    Send,
    Newline,
}

/// How copying goes through the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Osc52 {
    /// Through tmux when inside it, else raw.
    #[default]
    Auto,
    Raw,
    Tmux,
    Off,
}

/// A `[[backend]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pub name: String,
    pub kind: BackendKind,
    /// `http://…` or `https://…` without a slash at the end; `None` for the embedded engine only.
    pub url: Option<String>,
    pub api_key: Option<ApiKey>,
}

/// `[embedded]`: the engine inside arbour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Embedded {
    /// Folders of GGUF files, `~` expanded.
    pub models: Vec<PathBuf>,
    /// Where `owner/repo` names of GGUF files are looked up, instead of the public hub.
    pub hub: Option<String>,
    /// Tried in order after it.
    pub hub_mirrors: Vec<String>,
    /// For private and gated repositories; the variable `HF_TOKEN` when nothing is said.
    pub hub_token: Option<ApiKey>,
}

/// `[starter]`: where the starter model comes from instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Starter {
    /// Replaces the built-in address.
    pub source: Option<String>,
    /// Tried in order after it.
    pub mirrors: Vec<String>,
}

/// A `[[host]]`: somebody's `arbour serve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    pub name: String,
    /// `ws://`, `wss://` or `unix:`.
    pub url: String,
    /// A file with the token in it.
    pub token_file: Option<PathBuf>,
}

/// What came of loading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    pub config: Config,
    pub problems: Vec<Error>,
}

impl Config {
    /// Reads `config.toml`; a missing file is an empty one.
    #[must_use]
    pub fn load(paths: &Paths) -> Loaded {
        match document::Source::read(&paths.config_file()) {
            Ok(Some(source)) => Self::read(&source, home_folder().as_deref()),
            Ok(None) => Loaded::default(),
            Err(error) => Loaded { config: Self::default(), problems: vec![error] },
        }
    }

    /// The `[[host]]` of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&HostEntry> {
        self.hosts.iter().find(|host| host.name == name)
    }
}
