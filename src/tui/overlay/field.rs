//! A line that is typed into, drawn within an overlay.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::tui::command_line::Line;
use crate::tui::output::{Cursor, Shape};
use crate::tui::paint::Row;
use crate::tui::pane::Cx;
use crate::tui::theme::Role;

/// Draws it into one row behind a mark: the part around the cursor where it is too long. An empty one shows `hint`.
pub fn draw(line: &Line, cx: &Cx<'_>, mark: &str, hint: &str, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
    if area.width == 0 || area.height == 0 {
        return None;
    }
    let mut row = Row::new(buf, area, 0);
    row.text(mark, cx.style(Role::Accent));
    let (shown, column) = line.view(row.left());
    let at = Position::new((row.x() + u16::try_from(column).unwrap_or(0)).min(area.right().saturating_sub(1)), area.y);
    if line.is_empty() {
        row.gap(1).text(hint, cx.style(Role::Placeholder));
    } else {
        row.text(&shown, cx.style(Role::Text));
    }
    Some(Cursor { at, shape: Shape::Bar })
}
