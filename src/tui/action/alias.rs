//! Words that begin with `/` in the composer, as Ollama's users type them. A word that is not known is never sent unasked.

use super::{Action, Invocation};
use crate::tui::keys;
use crate::tui::model::Model;
use crate::tui::overlay::confirm::Confirm;
use crate::tui::pane::Intent;
use crate::tui::text::width::drawable;

/// The aliases: the word, the action, whether the rest of the line is its argument.
pub const ALIASES: &[(&str, Action)] = &[
    ("model", Action::ModelChoose),
    ("system", Action::System),
    ("set", Action::Set),
    ("clear", Action::New),
    ("new", Action::New),
    ("bye", Action::Quit),
    ("exit", Action::Quit),
    ("help", Action::Help),
    ("?", Action::Help),
];

/// Runs what the line says. False: it is a message after all (a path, a line of code).
pub fn run(model: &mut Model, text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let (word, rest) = first[1..].split_once(char::is_whitespace).map_or((&first[1..], ""), |(word, rest)| (word, rest.trim()));
    let one_line = text.lines().count() <= 1;
    let known = ALIASES.iter().find(|(name, _)| *name == word).map(|(_, action)| *action);
    match known.filter(|_| one_line || word == "system") {
        Some(action) => {
            let rest = if word == "system" { text[1..].trim_start_matches("system").trim() } else { rest };
            let args = arguments(action, rest);
            model.shared.composer.borrow_mut().take();
            super::talk::draft_changed(model);
            keys::invoke(model, Invocation { action, args }, None);
            true
        }
        // A word is letters: `/usr/bin is what?` and `/* a comment */` are messages.
        None if one_line && !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || c == '-' || c == '_') => {
            let known = ALIASES.iter().map(|(name, _)| format!("/{name}")).collect::<Vec<_>>().join(" ");
            let text = vec![format!("/{} is no word that arbour knows.", drawable(word)), format!("Known are {known}.")];
            model.push_overlay(Confirm::new("Send it as a message?", text, "sends it", Intent::SendAnyway));
            true
        }
        None => false,
    }
}

fn arguments(action: Action, rest: &str) -> Vec<String> {
    if rest.is_empty() {
        return Vec::new();
    }
    match action {
        // Ollama says `/set parameter num_ctx 8192` and `/set system …`.
        Action::Set => {
            let rest = rest.strip_prefix("parameter ").unwrap_or(rest);
            let (key, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let key = match key {
                "num_ctx" => "context",
                "num_predict" => "max_tokens",
                other => other,
            };
            [key, value.trim()].into_iter().filter(|s| !s.is_empty()).map(str::to_owned).collect()
        }
        Action::New | Action::Quit => Vec::new(),
        _ => vec![rest.to_owned()],
    }
}
