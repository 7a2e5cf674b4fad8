//! The part of an answer that a server repeats before it goes on with it.
//!
//! Invariant: what is held back is, letter for letter, the beginning of the text that is expected; nothing else ever is.

/// A text that the server may repeat before it goes on with it. Held back only while it is, letter for letter, that text.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    expected: String,
    held: String,
}

impl Echo {
    #[must_use]
    pub fn new(expected: &str) -> Self {
        Self { expected: expected.to_owned(), held: String::new() }
    }

    /// What of this piece is new.
    pub fn push(&mut self, piece: &str) -> String {
        if self.expected.is_empty() {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        if let Some(rest) = self.held.strip_prefix(self.expected.as_str()) {
            let rest = rest.to_owned();
            *self = Self::default();
            return rest;
        }
        if self.expected.starts_with(self.held.as_str()) { String::new() } else { self.end() }
    }

    /// It was no repetition, or not a whole one.
    pub fn end(&mut self) -> String {
        self.expected.clear();
        std::mem::take(&mut self.held)
    }
}
