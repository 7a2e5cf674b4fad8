//! The `:` and `/` lines.
//!
//! Owns: the line that is typed into ([`Line`]), its history, what it says ([`parse`]) and what it may go on with ([`candidates`]).
//! Refuses: to do what it says, and to know the models, branches and themes that there are: the caller passes [`Lists`].

mod complete;
mod line;
mod parse;
mod slash;

#[cfg(test)]
mod tests;

pub use complete::{Candidate, Lists, candidates};
pub use line::Line;
pub use parse::{parse, parse_binding};
pub use slash::{Slash, is_command, slash};

use crate::tui::composer::Edit;
use crate::tui::recall::Recall;

/// The kinds of backend, as `:backend add` and the config call them.
pub const KINDS: &[&str] = &["ollama", "llama-server", "openai", "anthropic", "embedded"];

/// Candidates that Tab goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Round {
    /// The byte from which they stand.
    start: usize,
    items: Vec<Candidate>,
    /// Which one stands there; as many as there are: what was typed.
    at: usize,
    typed: String,
    /// The line as it stands now: any other is a new beginning.
    line: Line,
}

/// A line with a history and completion: one for `:`, one for `/`.
#[derive(Debug, Default)]
pub struct CommandLine {
    line: Line,
    recall: Recall,
    round: Option<Round>,
}

impl CommandLine {
    /// With what was run before, oldest first.
    #[must_use]
    pub fn new(history: Vec<String>) -> Self {
        Self { recall: Recall::new(history), ..Self::default() }
    }

    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    #[must_use]
    pub fn text(&self) -> &str {
        self.line.text()
    }

    /// Begins anew, with a text to go on from (`system `).
    pub fn open(&mut self, text: &str) {
        self.line.set(text);
        self.round = None;
        self.recall.forget();
    }

    /// Types or pastes.
    pub fn insert(&mut self, text: &str) {
        self.recall.forget();
        self.line.insert(text);
    }

    /// Does an edit command; `false` if it does nothing here. Backspace on an empty line is for the caller to close it.
    pub fn edit(&mut self, edit: Edit, count: Option<u32>) -> bool {
        self.recall.forget();
        self.line.edit(edit, count)
    }

    /// Brings back the line before, or the one after, that begins as what was typed.
    pub fn recall(&mut self, older: bool) -> bool {
        let found = if older { self.recall.older(self.line.text()) } else { self.recall.newer() };
        match found.map(str::to_owned) {
            Some(text) => {
                self.line.set(&text);
                true
            }
            None => false,
        }
    }

    /// Takes the line and remembers it.
    pub fn take(&mut self) -> String {
        let text = self.line.text().to_owned();
        self.recall.push(text.clone());
        self.open("");
        text
    }

    /// Completes the line; again, goes on to the next candidate, or back to the one before. What was typed comes round too.
    pub fn complete(&mut self, back: bool, candidates: impl Fn(&str) -> (usize, Vec<Candidate>)) -> bool {
        let round = self.round.take().filter(|round| round.line == self.line);
        let mut round = match round {
            Some(mut round) => {
                let places = round.items.len() + 1;
                round.at = (round.at + if back { places - 1 } else { 1 }) % places;
                round
            }
            None => {
                let (start, items) = candidates(self.line.before());
                if items.is_empty() {
                    return false;
                }
                let at = if back { items.len() - 1 } else { 0 };
                Round { start, at, typed: self.line.before()[start..].to_owned(), items, line: Line::default() }
            }
        };
        let text = round.items.get(round.at).map_or(round.typed.as_str(), |item| item.text.as_str());
        self.line.replace_from(round.start, text);
        round.line = self.line.clone();
        // With one candidate there is nothing to go round: the next Tab completes what follows it.
        if round.items.len() == 1 {
            // Of a key of a filter the value follows at once.
            if !self.line.before().ends_with(':') {
                self.line.insert(" ");
            }
            return true;
        }
        self.round = Some(round);
        true
    }

    /// The candidates that Tab goes through now, and which of them stands in the line.
    #[must_use]
    pub fn round(&self) -> Option<(&[Candidate], Option<usize>)> {
        let round = self.round.as_ref().filter(|round| round.line == self.line)?;
        Some((&round.items, (round.at < round.items.len()).then_some(round.at)))
    }
}
