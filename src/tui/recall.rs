//! Texts that were sent or run, to bring one back: messages, command lines, searches.
//!
//! Invariant: what stood there when one began to look comes back when one goes past the newest.

/// More than anyone walks through.
const MOST: usize = 500;

/// A history with a place in it.
#[derive(Debug, Default)]
pub struct Recall {
    /// Oldest first.
    items: Vec<String>,
    /// Which one is shown.
    at: Option<usize>,
    draft: String,
}

impl Recall {
    /// Oldest first.
    #[must_use]
    pub fn new(items: Vec<String>) -> Self {
        let mut recall = Self::default();
        items.into_iter().for_each(|item| recall.push(item));
        recall
    }

    /// Remembers a text, unless it is blank or the last one again.
    pub fn push(&mut self, text: String) {
        self.at = None;
        if text.trim().is_empty() || self.items.last() == Some(&text) {
            return;
        }
        if self.items.len() == MOST {
            self.items.remove(0);
        }
        self.items.push(text);
    }

    /// The text was edited: what is shown is a draft of its own.
    pub fn forget(&mut self) {
        self.at = None;
    }

    /// One of the texts is shown.
    #[must_use]
    pub fn browsing(&self) -> bool {
        self.at.is_some()
    }

    /// The next older one that begins with what stood there at first.
    pub fn older(&mut self, shown: &str) -> Option<&str> {
        if self.at.is_none() {
            shown.clone_into(&mut self.draft);
        }
        let end = self.at.unwrap_or(self.items.len());
        let at = self.items[..end].iter().rposition(|item| item.starts_with(&self.draft) && *item != self.draft)?;
        self.at = Some(at);
        Some(&self.items[at])
    }

    /// The next newer one; past the newest, what stood there at first.
    pub fn newer(&mut self) -> Option<&str> {
        let at = self.at?;
        let newer = self.items[at + 1..].iter().position(|item| item.starts_with(&self.draft) && *item != self.draft);
        self.at = newer.map(|offset| at + 1 + offset);
        Some(self.at.map_or(self.draft.as_str(), |at| self.items[at].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_by_prefix_and_comes_back() {
        let mut sent = Recall::new(["write a poem", "sum this", "write code", "write code"].map(str::to_owned).to_vec());
        assert_eq!(sent.older("wri"), Some("write code"));
        assert_eq!(sent.older("write code"), Some("write a poem"));
        assert_eq!(sent.older("write a poem"), None);
        assert_eq!(sent.newer(), Some("write code"));
        assert_eq!(sent.newer(), Some("wri"));
        assert!(!sent.browsing());
        assert_eq!(sent.newer(), None);
        assert_eq!(sent.older(""), Some("write code"));
        sent.forget();
        assert_eq!(sent.older("su"), Some("sum this"));
    }
}
