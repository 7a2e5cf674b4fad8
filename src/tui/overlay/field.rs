//! A line that is typed into, within an overlay.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use unicode_segmentation::UnicodeSegmentation;

use crate::tui::composer::Edit;
use crate::tui::output::{Cursor, Shape};
use crate::tui::paint::Row;
use crate::tui::pane::Cx;
use crate::tui::text::width::{drawable, width};
use crate::tui::theme::Role;

/// A line with a cursor between two characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// A byte offset, always between two grapheme clusters.
    at: usize,
}

impl Field {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.replace(['\n', '\r'], " ");
        Self { at: text.len(), text }
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and behind the cursor.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        self.text.split_at(self.at)
    }

    pub fn insert(&mut self, text: &str) {
        let line = text.replace(['\n', '\r'], " ");
        self.text.insert_str(self.at, &line);
        self.at += line.len();
    }

    /// Carries a command out. False: it has no meaning here.
    pub fn edit(&mut self, edit: Edit, times: usize) -> bool {
        for _ in 0..times.clamp(1, 10_000) {
            match edit {
                Edit::Left => self.at = self.before(),
                Edit::Right => self.at = self.after(),
                Edit::LineStart | Edit::FirstNonBlank | Edit::Top => self.at = 0,
                Edit::LineEnd | Edit::Bottom => self.at = self.text.len(),
                Edit::WordBack | Edit::BigWordBack => self.at = self.word_before(),
                Edit::WordForward | Edit::BigWordForward | Edit::WordEnd => self.at = self.word_after(),
                Edit::Backspace | Edit::DeleteCharBack => self.cut(self.before(), self.at),
                Edit::DeleteForward | Edit::DeleteChar => self.cut(self.at, self.after()),
                Edit::DeleteWordBack => self.cut(self.word_before(), self.at),
                Edit::DeleteWordForward => self.cut(self.at, self.word_after()),
                Edit::DeleteToStart => self.cut(0, self.at),
                Edit::DeleteToEnd => self.cut(self.at, self.text.len()),
                _ => return false,
            }
        }
        true
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.at = from;
    }

    fn before(&self) -> usize {
        self.text[..self.at].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.at..].graphemes(true).next().map_or(self.at, |g| self.at + g.len())
    }

    fn word_before(&self) -> usize {
        let head = self.text[..self.at].trim_end();
        head.rfind(char::is_whitespace).map_or(0, |at| at + head[at..].chars().next().map_or(1, char::len_utf8))
    }

    fn word_after(&self) -> usize {
        let tail = &self.text[self.at..];
        let begin = tail.len() - tail.trim_start().len();
        tail[begin..].find(char::is_whitespace).map_or(self.text.len(), |at| self.at + begin + at)
    }

    /// Draws it into one row: the part around the cursor where it is too long. An empty one shows `hint`.
    pub fn view(&self, cx: &Cx<'_>, mark: &str, hint: &str, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        if area.width == 0 || area.height == 0 {
            return None;
        }
        let mut row = Row::new(buf, area, 0);
        row.text(mark, cx.style(Role::Accent));
        let room = row.left().saturating_sub(1);
        let head = drawable(&self.text[..self.at]).into_owned();
        let mut from = 0;
        while width(&head[from..]) > room {
            from += head[from..].graphemes(true).next().map_or(1, str::len);
        }
        row.text(&head[from..], cx.style(Role::Text));
        let at = Position::new(row.x().min(area.right().saturating_sub(1)), area.y);
        if self.text.is_empty() {
            row.gap(1).text(hint, cx.style(Role::Placeholder));
        } else {
            row.foreign(&self.text[self.at..], cx.style(Role::Text));
        }
        Some(Cursor { at, shape: Shape::Bar })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing() {
        let mut field = Field::new("one two");
        field.edit(Edit::DeleteWordBack, 1);
        field.insert("drei\nvier");
        assert_eq!(field.text(), "one drei vier");
        field.edit(Edit::LineStart, 1);
        field.edit(Edit::DeleteForward, 4);
        assert_eq!(field.text(), "drei vier");
        field.edit(Edit::LineEnd, 1);
        field.insert("é👩‍👩‍👧‍👦");
        field.edit(Edit::Backspace, 1);
        assert_eq!(field.text(), "drei vieré");
        field.edit(Edit::DeleteToStart, 1);
        assert_eq!(field.text(), "");
        for edit in Edit::ALL.iter().map(|(edit, ..)| *edit) {
            field.edit(edit, 3);
        }
        assert!(!field.edit(Edit::Visual, 1));
    }
}
