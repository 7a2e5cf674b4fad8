//! The `:` and `/` line that is typed into: its text, its history, what it can be completed with.

use super::action::{ALL, Takes};
use super::command_line::KINDS;
use super::composer::Edit;
use super::overlay::field::Field;
use crate::core::parameters;

/// What arguments can be completed with.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    pub models: Vec<String>,
    pub branches: Vec<String>,
    pub conversations: Vec<String>,
    pub themes: Vec<String>,
    pub keymaps: Vec<String>,
    pub panes: Vec<String>,
}

/// A line with its history.
#[derive(Debug, Clone, Default)]
pub struct Line {
    field: Field,
    history: Vec<String>,
    /// Place in the history, and what was typed before.
    back: Option<(usize, String)>,
    completions: Vec<String>,
    at: usize,
}

impl Line {
    #[must_use]
    pub fn new(history: Vec<String>) -> Self {
        Self { history, ..Self::default() }
    }

    #[must_use]
    pub fn text(&self) -> &str {
        self.field.text()
    }

    /// The text before and behind the cursor.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        self.field.split()
    }

    pub fn insert(&mut self, text: &str) {
        self.forget();
        self.field.insert(text);
    }

    pub fn edit(&mut self, edit: Edit, times: usize) {
        self.forget();
        self.field.edit(edit, times);
    }

    fn forget(&mut self) {
        self.completions.clear();
        self.back = None;
    }

    /// The line before that begins as what was typed.
    pub fn previous(&mut self) {
        let (from, typed) = self.back.clone().unwrap_or_else(|| (self.history.len(), self.text().to_owned()));
        if let Some(at) = self.history[..from].iter().rposition(|line| line.starts_with(&typed) && *line != typed) {
            self.field = Field::new(&self.history[at]);
            self.back = Some((at, typed));
        }
    }

    /// The line after; past the newest, what was typed.
    pub fn next(&mut self) {
        let Some((from, typed)) = self.back.take() else { return };
        match self.history.iter().skip(from + 1).position(|line| line.starts_with(&typed) && *line != typed) {
            Some(offset) => {
                let at = from + 1 + offset;
                self.field = Field::new(&self.history[at]);
                self.back = Some((at, typed));
            }
            None => self.field = Field::new(&typed),
        }
    }

    /// Whole lines that complete it, and which one stands there.
    #[must_use]
    pub fn completions(&self) -> (&[String], usize) {
        (&self.completions, self.at)
    }

    /// The first completion, then the next one.
    pub fn complete(&mut self, candidates: &Candidates, back: bool) {
        if self.completions.is_empty() {
            self.completions = completions(self.text(), candidates);
            self.at = if back { self.completions.len().saturating_sub(1) } else { 0 };
        } else {
            let many = self.completions.len();
            self.at = (self.at + if back { many - 1 } else { 1 }) % many;
        }
        if let Some(text) = self.completions.get(self.at) {
            self.field = Field::new(text);
        }
        if self.completions.len() == 1 {
            self.completions.clear();
        }
    }

    /// What the command that is typed takes and does.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let word = self.text().trim();
        let info = ALL.iter().find(|info| std::iter::once(&info.id).chain(info.names).any(|name| *name == word))?;
        let usage = info.usage();
        let arguments = usage.strip_prefix(info.name()).unwrap_or_default().trim();
        Some(format!("{arguments} {}", info.what).trim().to_owned())
    }
}

/// Lines that go on from what was typed.
fn completions(text: &str, candidates: &Candidates) -> Vec<String> {
    let text = text.trim_start();
    for info in ALL {
        for name in std::iter::once(&info.id).chain(info.names) {
            let Some(rest) = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')) else { continue };
            let typed = rest.trim_start();
            let (done, last) =
                if info.arguments.len() > 1 { typed.rsplit_once(' ').map_or(("", typed), |(a, b)| (a, b)) } else { ("", typed) };
            let nth = if done.is_empty() { 0 } else { done.split_whitespace().count() };
            let Some(argument) = info.arguments.get(nth) else { continue };
            let words = values(argument.takes, candidates, done);
            let lower = last.to_lowercase();
            let fits = |word: &&String| word.to_lowercase().contains(&lower);
            let head = if done.is_empty() { format!("{name} ") } else { format!("{name} {done} ") };
            let found: Vec<String> = words.iter().filter(fits).map(|word| format!("{head}{word}")).collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
    let mut names: Vec<String> = Vec::new();
    for info in ALL {
        for name in info.names.iter().chain(std::iter::once(&info.id)) {
            if name.starts_with(text) && *name != text {
                let more = if info.arguments.is_empty() { "" } else { " " };
                names.push(format!("{name}{more}"));
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn values(takes: Takes, candidates: &Candidates, done: &str) -> Vec<String> {
    match takes {
        Takes::Model => candidates.models.clone(),
        Takes::Branch => candidates.branches.clone(),
        Takes::Conversation => candidates.conversations.clone(),
        Takes::Theme => candidates.themes.clone(),
        Takes::Keymap => candidates.keymaps.clone(),
        Takes::Pane => candidates.panes.clone(),
        Takes::Parameter => parameters::PARAMETERS.iter().map(|p| p.key.to_owned()).collect(),
        Takes::Kind => KINDS.iter().map(|k| (*k).to_owned()).collect(),
        Takes::OneOf(words) => words.iter().map(|w| (*w).to_owned()).collect(),
        Takes::Topic => {
            let topics = ["keys", "servers", "parameters", "commands"].iter().map(|t| (*t).to_owned());
            topics.chain(ALL.iter().map(|info| info.id.to_owned())).collect()
        }
        Takes::Text => match parameters::find(done.trim()).map(|p| p.kind) {
            Some(parameters::Type::Word(words)) => words.iter().map(|w| (*w).to_owned()).collect(),
            _ => Vec::new(),
        },
        // Looking at a disk is no matter of a pure line.
        Takes::Path => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tab(text: &str, times: usize) -> String {
        let candidates = Candidates {
            models: vec!["ollama/qwen3:8b".into(), "ollama/smollm2:135m".into()],
            themes: vec!["auto".into(), "dark".into()],
            ..Candidates::default()
        };
        let mut line = Line::new(Vec::new());
        line.insert(text);
        for _ in 0..times {
            line.complete(&candidates, false);
        }
        line.text().to_owned()
    }

    #[test]
    fn names_and_arguments_are_completed() {
        assert_eq!(tab("the", 1), "theme ");
        assert_eq!(tab("theme d", 1), "theme dark");
        assert_eq!(tab("model smol", 1), "model ollama/smollm2:135m");
        assert_eq!(tab("model ", 2), "model ollama/smollm2:135m");
        assert_eq!(tab("set temp", 1), "set temperature");
        assert_eq!(tab("set thinking h", 1), "set thinking high");
        assert_eq!(tab("nothing is so called", 1), "nothing is so called");
    }

    #[test]
    fn history_by_what_was_typed() {
        let mut line = Line::new(vec!["theme dark".into(), "set seed 1".into(), "theme light".into()]);
        line.insert("the");
        line.previous();
        assert_eq!(line.text(), "theme light");
        line.previous();
        assert_eq!(line.text(), "theme dark");
        line.next();
        line.next();
        assert_eq!(line.text(), "the");
    }
}
