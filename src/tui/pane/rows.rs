//! A cursor over rows: what every list does with `j k gg G C-d H M L`, counts and all.
//!
//! Invariant: the cursor is on a row whenever there is one, and within what is shown.

use std::ops::Range;

use crate::tui::action::Action;
use crate::tui::pane::Call;

/// A cursor and what is shown around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rows {
    pub at: usize,
    top: usize,
    height: usize,
}

impl Rows {
    /// The rows to show in so many lines, the cursor among them. Called by every view.
    pub fn show(&mut self, height: usize, len: usize) -> Range<usize> {
        self.height = height;
        self.at = self.at.min(len.saturating_sub(1));
        if height == 0 {
            return 0..0;
        }
        if self.at < self.top {
            self.top = self.at;
        }
        if self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
        self.top = self.top.min(len.saturating_sub(height));
        self.top..(self.top + height).min(len)
    }

    /// Moves the cursor if the action is a movement in lists. Returns whether it was.
    pub fn act(&mut self, call: &Call<'_>, len: usize) -> bool {
        let last = len.saturating_sub(1);
        let times = call.times();
        let half = (self.height / 2).max(1);
        let page = self.height.saturating_sub(1).max(1);
        self.at = match call.action {
            Action::ListDown => self.at.saturating_add(times),
            Action::ListUp => self.at.saturating_sub(times),
            Action::HalfDown => self.at.saturating_add(half * times),
            Action::HalfUp => self.at.saturating_sub(half * times),
            Action::PageDown => self.at.saturating_add(page * times),
            Action::PageUp => self.at.saturating_sub(page * times),
            Action::ListTop => call.count.map_or(0, |n| (n.max(1) - 1) as usize),
            Action::ListBottom => call.count.map_or(last, |n| (n.max(1) - 1) as usize),
            Action::ScreenTop => self.top,
            Action::ScreenMiddle => self.top + self.height.min(len.saturating_sub(self.top)) / 2,
            Action::ScreenBottom => (self.top + self.height).saturating_sub(1),
            _ => return false,
        }
        .min(last);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(rows: &mut Rows, action: Action, count: Option<u32>, len: usize) -> usize {
        assert!(rows.act(&Call { action, args: &[], count }, len));
        rows.show(5, len);
        rows.at
    }

    #[test]
    fn counts_and_ends() {
        let mut rows = Rows::default();
        assert_eq!(rows.show(5, 20), 0..5);
        assert_eq!(go(&mut rows, Action::ListDown, Some(7), 20), 7);
        assert_eq!(rows.show(5, 20), 3..8);
        assert_eq!(go(&mut rows, Action::ScreenTop, None, 20), 3);
        assert_eq!(go(&mut rows, Action::ScreenBottom, None, 20), 7);
        assert_eq!(go(&mut rows, Action::ListBottom, None, 20), 19);
        assert_eq!(go(&mut rows, Action::ListDown, Some(u32::MAX), 20), 19);
        assert_eq!(go(&mut rows, Action::ListTop, Some(3), 20), 2);
        assert_eq!(go(&mut rows, Action::HalfUp, None, 20), 0);
        assert!(!rows.act(&Call { action: Action::Fold, args: &[], count: None }, 20));
    }

    #[test]
    fn a_list_that_shrinks_keeps_the_cursor_on_a_row() {
        let mut rows = Rows::default();
        go(&mut rows, Action::ListBottom, None, 20);
        assert_eq!(rows.show(5, 3), 0..3);
        assert_eq!(rows.at, 2);
        assert_eq!(rows.show(5, 0), 0..0);
        assert_eq!(go(&mut rows, Action::ListDown, None, 0), 0);
    }
}
