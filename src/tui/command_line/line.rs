//! A single line that is typed into: `:`, `/`, palettes and choosers, a new name.
//!
//! Invariant: the cursor stands on a boundary of grapheme clusters, and there is no control character in the text.

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use crate::tui::composer::{Edit, clean};
use crate::tui::text::width;

/// Nobody types more on one line.
const MOST_BYTES: usize = 16 * 1024;

/// The line and its cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// In bytes.
    cursor: usize,
}

impl Line {
    /// A line with this in it, the cursor at its end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut line = Self::default();
        line.insert(text);
        line
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What stands before the cursor.
    #[must_use]
    pub fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    pub fn set(&mut self, text: &str) {
        *self = Self::new(text);
    }

    /// Types or pastes; line breaks and tabs become spaces. What would make the line too long is left out.
    pub fn insert(&mut self, text: &str) {
        let text = clean(text).replace(['\n', '\t'], " ");
        if self.text.len() + text.len() > MOST_BYTES {
            return;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        self.settle();
    }

    /// Puts a text in place of what stands between a byte before the cursor and the cursor.
    pub fn replace_from(&mut self, start: usize, with: &str) {
        if start <= self.cursor && self.text.is_char_boundary(start) {
            self.text.replace_range(start..self.cursor, "");
            self.cursor = start;
            self.insert(with);
        }
    }

    /// Does an edit command; `false` if it does nothing here.
    pub fn edit(&mut self, edit: Edit, count: Option<u32>) -> bool {
        let before = self.clone();
        for _ in 0..count.unwrap_or(1).max(1) {
            let to = self.floor(self.towards(edit));
            match edit {
                Edit::Backspace
                | Edit::DeleteCharBack
                | Edit::DeleteWordBack
                | Edit::DeleteToStart
                | Edit::DeleteForward
                | Edit::DeleteChar
                | Edit::DeleteWordForward
                | Edit::DeleteToEnd => {
                    let (from, to) = (self.cursor.min(to), self.cursor.max(to));
                    self.text.replace_range(from..to, "");
                    self.cursor = from;
                    self.settle();
                }
                _ => self.cursor = to,
            }
            if *self == before {
                break;
            }
        }
        *self != before
    }

    /// Where a motion, or the motion in a deletion, leads.
    fn towards(&self, edit: Edit) -> usize {
        let (head, tail) = self.text.split_at(self.cursor);
        match edit {
            Edit::Left | Edit::Backspace | Edit::DeleteCharBack => head.grapheme_indices(true).next_back().map_or(0, |(at, _)| at),
            Edit::Right | Edit::DeleteForward | Edit::DeleteChar => self.cursor + tail.graphemes(true).next().map_or(0, str::len),
            Edit::WordBack | Edit::DeleteWordBack => {
                let word = head.trim_end();
                // A path or a name goes part by part.
                let stem = match word.ends_with(char::is_alphanumeric) {
                    true => word.trim_end_matches(char::is_alphanumeric),
                    false => word.trim_end_matches(|c: char| !c.is_alphanumeric() && !c.is_whitespace()),
                };
                stem.len()
            }
            Edit::WordForward | Edit::DeleteWordForward => {
                let rest = tail.trim_start_matches(char::is_alphanumeric);
                self.text.len() - rest.trim_start_matches(|c: char| !c.is_alphanumeric()).len()
            }
            Edit::LineStart | Edit::DeleteToStart => 0,
            Edit::LineEnd | Edit::DeleteToEnd => self.text.len(),
            _ => self.cursor,
        }
    }

    /// A change may have joined the text on both sides of the cursor to one cluster.
    fn settle(&mut self) {
        self.cursor = self.floor(self.cursor);
    }

    /// The boundary of clusters at a byte or before it.
    fn floor(&self, at: usize) -> usize {
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        if cursor.is_boundary(&self.text, 0).unwrap_or(true) {
            return at;
        }
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    /// The part of the line that shows in a width, and the cursor's column in it. The cursor is always in view.
    #[must_use]
    pub fn view(&self, columns: usize) -> (String, usize) {
        if columns == 0 {
            return (String::new(), 0);
        }
        let text = width::drawable(&self.text);
        let head = width::drawable(self.before());
        // Whole clusters are dropped at the left until the cursor fits.
        let mut start = 0;
        let mut x = width::width(&head);
        for (at, cluster) in head.grapheme_indices(true) {
            if x < columns {
                break;
            }
            x -= width::grapheme(cluster);
            start = at + cluster.len();
        }
        let (shown, _) = width::split_at(&text[start..], columns);
        (shown.to_owned(), x)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(text: &str, edits: &[Edit]) -> String {
        let (before, after) = text.split_once('|').unwrap();
        let mut line = Line { text: format!("{before}{after}"), cursor: before.len() };
        for edit in edits {
            line.edit(*edit, None);
        }
        format!("{}|{}", line.before(), &line.text()[line.cursor..])
    }

    #[test]
    fn edits() {
        use Edit as E;
        for (text, edits, expected) in [
            ("model foo|", vec![E::DeleteWordBack], "model |"),
            ("model foo  |", vec![E::DeleteWordBack], "model |"),
            ("a/model|", vec![E::DeleteWordBack], "a/|"),
            ("a/|", vec![E::DeleteWordBack], "a|"),
            ("a ---|", vec![E::DeleteWordBack], "a |"),
            ("one two|", vec![E::WordBack, E::WordBack], "|one two"),
            ("|one two", vec![E::WordForward], "one |two"),
            ("one| two", vec![E::DeleteToStart], "| two"),
            ("one| two", vec![E::DeleteToEnd], "one|"),
            ("漢字|", vec![E::Backspace], "漢|"),
            ("|e\u{301}x", vec![E::DeleteForward], "|x"),
            ("ab|", vec![E::LineStart, E::Right, E::Left, E::Left], "|ab"),
            ("ab|", vec![E::LineStart, E::LineEnd, E::Right], "ab|"),
            ("ab|", vec![E::Visual], "ab|"),
        ] {
            assert_eq!(run(text, &edits), expected, "{text} {edits:?}");
        }
        assert!(!Line::default().edit(Edit::Backspace, None));
        assert!(Line::new("a").edit(Edit::Backspace, Some(5)));
    }

    #[test]
    fn a_paste_is_one_line() {
        let line = Line::new("a\r\nb\tc\x1b[0m\0");
        assert_eq!(line.text(), "a b c[0m");
        assert_eq!(Line::new(&"x".repeat(100_000)).text(), "");
    }

    #[test]
    fn the_cursor_stays_in_view() {
        let mut line = Line::new("abcdefgh");
        assert_eq!(line.view(20), ("abcdefgh".to_owned(), 8));
        assert_eq!(line.view(4), ("fgh".to_owned(), 3));
        line.edit(Edit::LineStart, None);
        assert_eq!(line.view(4), ("abcd".to_owned(), 0));
        assert_eq!(Line::new("漢字漢").view(5), ("字漢".to_owned(), 4));
        assert_eq!(line.view(0), (String::new(), 0));
    }

    proptest! {
        #[test]
        fn any_edits_keep_the_line_whole(text in "\\PC{0,20}", edits in prop::collection::vec((0..Edit::ALL.len(), prop::option::of("\\PC{1,2}")), 0..30), columns in 1usize..20) {
            let mut line = Line::new(&text);
            for (edit, typed) in edits {
                line.edit(Edit::ALL[edit].0, None);
                if let Some(typed) = typed {
                    line.insert(&typed);
                }
                let whole = line.text().grapheme_indices(true).any(|(at, _)| at == line.cursor) || line.cursor == line.text().len();
                prop_assert!(whole);
                let (shown, x) = line.view(columns);
                prop_assert!(width::width(&shown) <= columns && x < columns);
            }
        }
    }
}
