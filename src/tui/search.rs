//! The search over all messages of all conversations: what was typed and what the host found, kept when it is closed.
//!
//! Owns: the line, the hits and how they are grouped, the cursor. Refuses: asking and drawing. Invariant: one question is under way at
//! most; an answer counts for the text that it was asked for, and the newest text is asked for next.

use crate::error::{Error, Result};
use crate::proto::{ConversationId, SearchHit};

use super::command_line::CommandLine;
use super::pane::rows::Rows;

/// Hits that are asked for: more than anyone walks through.
pub const MOST: u32 = 200;

/// A row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The conversation of the hits below, by its first.
    Head {
        hit: usize,
        count: usize,
    },
    Hit(usize),
}

pub struct Search {
    pub line: CommandLine,
    pub rows: Rows,
    /// What the hits are of.
    found: String,
    /// Asked for and not answered yet.
    asked: Option<String>,
    hits: Vec<SearchHit>,
    shown: Vec<Shown>,
    failure: Option<Error>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            line: CommandLine::new(Vec::new()),
            rows: Rows::default(),
            found: String::new(),
            asked: None,
            hits: Vec::new(),
            shown: Vec::new(),
            failure: None,
        }
    }
}

impl Search {
    /// What is looked for.
    #[must_use]
    pub fn text(&self) -> &str {
        self.line.text().trim()
    }

    /// The text to ask for now: the newest one, unless a question is under way or its hits are here.
    pub fn due(&mut self) -> Option<String> {
        if self.asked.is_some() || self.text() == self.found {
            return None;
        }
        let text = self.text().to_owned();
        if text.is_empty() {
            self.found.clear();
            self.put(Vec::new());
            return None;
        }
        self.asked = Some(text.clone());
        Some(text)
    }

    /// Looks again, though the text is the same: messages may have come.
    pub fn renew(&mut self) {
        self.found.clear();
        self.asked = None;
    }

    /// The host's answer for a text.
    pub fn take(&mut self, text: &str, result: Result<Vec<SearchHit>>) {
        if self.asked.as_deref() != Some(text) {
            return;
        }
        self.asked = None;
        text.clone_into(&mut self.found);
        match result {
            Ok(hits) => {
                self.failure = None;
                self.put(hits);
            }
            Err(error) => {
                self.failure = Some(error);
                self.put(Vec::new());
            }
        }
    }

    /// Hits of one conversation stand together, where its best one does.
    fn put(&mut self, hits: Vec<SearchHit>) {
        let here = self.current().map(|hit| hit.node);
        let mut groups: Vec<(ConversationId, Vec<usize>)> = Vec::new();
        for (at, hit) in hits.iter().enumerate() {
            match groups.iter_mut().find(|(id, _)| *id == hit.conversation) {
                Some((_, group)) => group.push(at),
                None => groups.push((hit.conversation, vec![at])),
            }
        }
        self.shown.clear();
        for (_, group) in groups {
            self.shown.extend(group.first().map(|first| Shown::Head { hit: *first, count: group.len() }));
            self.shown.extend(group.into_iter().map(Shown::Hit));
        }
        self.hits = hits;
        let again = self.shown.iter().position(|row| matches!(row, Shown::Hit(at) if Some(self.hits[*at].node) == here));
        self.rows.at = again.unwrap_or(1.min(self.shown.len().saturating_sub(1)));
    }

    #[must_use]
    pub fn hit(&self, at: usize) -> Option<&SearchHit> {
        self.hits.get(at)
    }

    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// The hit under the cursor; on a heading, the first below it.
    #[must_use]
    pub fn current(&self) -> Option<&SearchHit> {
        match self.shown.get(self.rows.at)? {
            Shown::Head { hit, .. } | Shown::Hit(hit) => self.hits.get(*hit),
        }
    }

    /// Whether what was found is not of what is looked for now: that is asked for, or will be with the next frame.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.asked.is_some() || self.text() != self.found
    }

    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Hits, and conversations in which they are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.hits.len(), self.shown.len() - self.hits.len())
    }
}

/// A snippet in pieces, each with whether it is what was found.
#[must_use]
pub fn pieces(snippet: &str) -> Vec<(&str, bool)> {
    let mut out = Vec::new();
    for (n, part) in snippet.split('\u{e000}').enumerate() {
        match part.split_once('\u{e001}').filter(|_| n > 0) {
            Some((hit, rest)) => out.extend([(hit, true), (rest, false)]),
            None => out.push((part, false)),
        }
    }
    out.retain(|(text, _)| !text.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::{conversation, node};

    fn hit(of: u128, message: u128) -> SearchHit {
        SearchHit {
            conversation: conversation(of),
            title: String::new(),
            node: node(message),
            role: crate::proto::Role::User,
            created: 0,
            snippet: String::new(),
            above: Vec::new(),
            archived: false,
        }
    }

    #[test]
    fn the_newest_text_is_asked_for_when_the_last_answer_is_here() {
        let mut search = Search::default();
        search.line.insert("a");
        assert_eq!(search.due().as_deref(), Some("a"));
        search.line.insert("b");
        search.line.insert("c");
        assert_eq!(search.due(), None, "one question under way");
        search.take("a", Ok(vec![hit(1, 1)]));
        assert_eq!(search.due().as_deref(), Some("abc"));
        search.take("a", Ok(Vec::new()));
        assert_eq!(search.counts(), (1, 1), "nobody waits for that any more");
        search.take("abc", Ok(vec![hit(1, 1), hit(2, 2), hit(1, 3)]));
        assert_eq!(search.counts(), (3, 2));
        let rows = [Shown::Head { hit: 0, count: 2 }, Shown::Hit(0), Shown::Hit(2), Shown::Head { hit: 1, count: 1 }, Shown::Hit(1)];
        assert_eq!(search.shown(), rows);
        assert_eq!(search.due(), None);
    }

    #[test]
    fn a_snippet_falls_into_pieces() {
        assert_eq!(pieces("a \u{e000}b\u{e001} c"), [("a ", false), ("b", true), (" c", false)]);
        assert_eq!(pieces("\u{e000}b\u{e001}"), [("b", true)]);
        assert_eq!(pieces("plain"), [("plain", false)]);
        assert_eq!(pieces("\u{e000}open"), [("open", false)]);
    }
}
