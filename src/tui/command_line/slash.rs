//! `/word` at the start of a message: what users of Ollama's own prompt type.

use super::parse::parse;
use crate::error::{Error, Kind, quoted};
use crate::tui::action::{Action, Invocation};

/// What a message is that may begin with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// A message like any other.
    Message,
    /// A command.
    Run(Invocation),
    /// It looks like a command and is none, or a wrong one: it is not sent unasked.
    Wrong(Error),
}

/// Names that differ from the `:` names.
const ALIASES: &[(&str, &str)] = &[
    ("bye", "quit"),
    ("exit", "quit"),
    ("clear", "new"),
    ("load", "model"),
    ("?", "help"),
    ("set parameter", "set"),
    ("set system", "system"),
];

/// Whether a command is called so; what it takes does not matter.
#[must_use]
pub fn is_command(name: &str) -> bool {
    let aliased = || ALIASES.iter().any(|(alias, _)| *alias == name);
    crate::tui::action::ALL.iter().any(|info| info.id == name || info.names.contains(&name)) || aliased()
}

/// Reads a message. A path (`/etc/hosts`) is no command.
#[must_use]
pub fn slash(message: &str) -> Slash {
    let Some(line) = message.trim_start().strip_prefix('/') else { return Slash::Message };
    let word = line.split_whitespace().next().unwrap_or_default();
    let is_word = word == "?" || word.starts_with(char::is_alphabetic) && word.chars().all(|c| c.is_alphanumeric() || c == '-');
    if !is_word || line.starts_with(char::is_whitespace) {
        return Slash::Message;
    }
    let aliased = ALIASES.iter().rev().find_map(|(name, means)| {
        let rest = line.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))?;
        Some(format!("{means}{rest}"))
    });
    match parse(aliased.as_deref().unwrap_or(line)) {
        // What would be said of the text that is being sent here makes no sense.
        Ok(invocation) if matches!(invocation.action, Action::Send | Action::Newline) => Slash::Message,
        Ok(invocation) => Slash::Run(invocation),
        Err(error) => {
            let wrong = Error::new(Kind::Usage, format!("{} was not sent: {}", quoted(&format!("/{word}")), error.message));
            let wrong = error.hints.iter().fold(wrong, |wrong, hint| wrong.hint(hint.replace("`:", "`/")));
            Slash::Wrong(wrong.hint("To send it as it is, put a space before the slash."))
        }
    }
}
