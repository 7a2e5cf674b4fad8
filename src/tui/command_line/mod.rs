//! The `:` and `/` lines.
//!
//! Owns: the line that is typed into, its history, what it says and how it is completed. Refuses: to do what it says, and to know
//! the models, branches and themes that there are: the caller passes lists.

mod parse;

pub use parse::{parse, parse_binding};

/// The panes, as `:focus` and keymaps call them.
pub const PANES: &[&str] = &["models", "conversations", "chat", "composer", "tree", "metrics"];

/// The kinds of backend, as `:backend add` and the config call them.
pub const KINDS: &[&str] = &["ollama", "llama-server", "openai", "embedded"];
