//! What edit commands do in INSERT, and without modes: as in any text field.

use super::motion;
use super::text::Pos;
use super::{Composer, Edit, Register};
use crate::error::Result;

impl Composer {
    pub(super) fn run_insert(&mut self, edit: Edit, n: usize) -> Result<bool> {
        if let Some(plain) = unselected(edit) {
            let mark = self.mark.unwrap_or(self.text.cursor());
            let moved = self.step(plain, n);
            self.mark = Some(mark);
            return Ok(moved);
        }
        match (edit, self.selected()) {
            // An arrow leaves a selection at that end of it.
            (Edit::Left, Some((from, _))) => {
                self.go(from);
                return Ok(true);
            }
            (Edit::Right, Some((_, to))) => {
                self.go(to);
                return Ok(true);
            }
            _ => {}
        }
        match edit {
            Edit::UpOrHistory | Edit::DownOrHistory => {
                let up = edit == Edit::UpOrHistory;
                let moved = !self.sent.browsing() && self.step(if up { Edit::Up } else { Edit::Down }, n);
                self.or_history(edit, moved)
            }
            Edit::Backspace | Edit::DeleteCharBack => self.delete_towards(Edit::Left, n),
            Edit::DeleteForward | Edit::DeleteChar => self.delete_towards(Edit::Right, n),
            Edit::DeleteWordBack => self.delete_towards(Edit::WordBack, n),
            Edit::DeleteWordForward => self.delete_towards(Edit::WordForward, n),
            Edit::DeleteToStart => self.delete_towards(Edit::LineStart, 1),
            Edit::DeleteToEnd => self.delete_towards(Edit::LineEnd, 1),
            Edit::Undo | Edit::Redo => Ok(self.undo_redo(edit == Edit::Undo, n)),
            Edit::SelectAll => {
                self.go(self.text.end());
                self.mark = Some(Pos::default());
                Ok(!self.text.is_empty())
            }
            Edit::Cut | Edit::CopySelection => {
                let Some((from, to)) = self.selected() else { return Ok(false) };
                let text = self.text.slice(from, to);
                if edit == Edit::Cut {
                    self.text.close_group();
                    self.text.replace(from, to, "")?;
                    self.moved();
                }
                self.register = Register { text: text.clone(), lines: false };
                self.copied = Some(text);
                Ok(true)
            }
            Edit::Paste | Edit::PutAfter | Edit::PutBefore => {
                let text = self.register.text.clone();
                self.text.close_group();
                self.insert(&text)?;
                self.text.close_group();
                Ok(!text.is_empty())
            }
            _ => Ok(self.step(edit, n)),
        }
    }

    /// Goes to where a motion leads when lines are one long text; `false` if it leads nowhere or is none.
    fn step(&mut self, edit: Edit, n: usize) -> bool {
        self.text.close_group();
        let before = self.text.cursor();
        if matches!(edit, Edit::Up | Edit::Down) {
            self.mark = None;
            self.sent.forget();
            return self.vertical(edit == Edit::Up, n);
        }
        let mut to = before;
        for _ in 0..n {
            let next = self.towards(edit, to);
            if next == to {
                break;
            }
            to = next;
        }
        if to == before && unmoving(edit) {
            return false;
        }
        self.go(to);
        to != before
    }

    fn towards(&self, edit: Edit, at: Pos) -> Pos {
        let lines = self.text.lines();
        match edit {
            Edit::Left if at.col == 0 && at.row > 0 => Pos::new(at.row - 1, self.text.len(at.row - 1)),
            Edit::Left => motion::left(lines, at, 1),
            Edit::Right if at.col == self.text.len(at.row) && at.row + 1 < lines.len() => Pos::new(at.row + 1, 0),
            Edit::Right => motion::right(lines, at, 1),
            Edit::WordBack => motion::word_back(lines, at, false),
            Edit::WordForward => motion::word_forward(lines, at, false),
            Edit::WordEnd => motion::right(lines, motion::word_end(lines, at, false), 1),
            Edit::BigWordBack => motion::word_back(lines, at, true),
            Edit::BigWordForward => motion::word_forward(lines, at, true),
            Edit::LineStart => Pos::new(at.row, 0),
            Edit::FirstNonBlank => motion::first_non_blank(lines, at.row),
            Edit::LineEnd => Pos::new(at.row, self.text.len(at.row)),
            Edit::Top => Pos::default(),
            Edit::Bottom => self.text.end(),
            Edit::ParagraphForward => motion::paragraph_forward(lines, at),
            Edit::ParagraphBack => motion::paragraph_back(lines, at),
            _ => at,
        }
    }

    /// Deletes the selection, else up to where a motion leads, but no more than the line's end at once.
    fn delete_towards(&mut self, edit: Edit, n: usize) -> Result<bool> {
        if !self.modal && !self.deleting {
            self.text.close_group();
        }
        let at = self.text.cursor();
        let (from, to) = match self.selected() {
            Some(selected) => selected,
            None => {
                let mut to = at;
                for _ in 0..n {
                    let next = self.towards(edit, to);
                    // A word ends with its line; at the line's edge the line break goes.
                    let edge = Pos::new(to.row, if next > to { self.text.len(to.row) } else { 0 });
                    to = match edit {
                        Edit::LineStart if to.col == 0 => self.towards(Edit::Left, to),
                        Edit::LineEnd if to == edge => self.towards(Edit::Right, to),
                        _ if next.row != to.row && to != edge => edge,
                        Edit::WordBack if next.row != to.row => self.towards(Edit::Left, to),
                        Edit::WordForward if next.row != to.row => self.towards(Edit::Right, to),
                        _ => next,
                    };
                }
                (at.min(to), at.max(to))
            }
        };
        if from == to {
            return Ok(false);
        }
        self.text.replace(from, to, "")?;
        self.moved();
        self.deleting = true;
        Ok(true)
    }
}

/// The motion of a command that selects while it moves.
fn unselected(edit: Edit) -> Option<Edit> {
    Some(match edit {
        Edit::SelectLeft => Edit::Left,
        Edit::SelectRight => Edit::Right,
        Edit::SelectUp => Edit::Up,
        Edit::SelectDown => Edit::Down,
        Edit::SelectWordBack => Edit::WordBack,
        Edit::SelectWordForward => Edit::WordForward,
        Edit::SelectLineStart => Edit::LineStart,
        Edit::SelectLineEnd => Edit::LineEnd,
        _ => return None,
    })
}

/// Commands that are no motions at all leave a selection as it is.
fn unmoving(edit: Edit) -> bool {
    !matches!(
        edit,
        Edit::Left
            | Edit::Right
            | Edit::WordBack
            | Edit::WordForward
            | Edit::WordEnd
            | Edit::LineStart
            | Edit::LineEnd
            | Edit::Top
            | Edit::Bottom
    )
}
