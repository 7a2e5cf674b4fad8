//! What may follow the keys that were typed, shown after a moment. Not an overlay that keys go to: the next key goes on as it would.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::keymap::{Key, Next, show_keys};
use crate::tui::overlay::{foot, frame};
use crate::tui::paint::Row;
use crate::tui::pane::Cx;
use crate::tui::text::width::width;
use crate::tui::theme::Role;

/// How long after a prefix it appears.
pub const DELAY: std::time::Duration = std::time::Duration::from_millis(300);

/// Draws it at the bottom of the screen, above the status line, in as many columns as fit.
pub fn draw(cx: &Cx<'_>, keys: &[Key], next: &[Next], screen: Rect, buf: &mut Buffer) {
    if next.is_empty() || screen.height < 6 {
        return;
    }
    let entries: Vec<(String, &Next)> = next.iter().map(|n| (show_keys(&[n.key]), n)).collect();
    let key_width = entries.iter().map(|(key, _)| width(key)).max().unwrap_or(1);
    let widest = entries.iter().map(|(_, n)| width(&n.what)).max().unwrap_or(10).min(38) + key_width + 4;
    let columns = (usize::from(screen.width.saturating_sub(4)) / widest).clamp(1, 4).min(entries.len());
    let rows = entries.len().div_ceil(columns);
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2).min(screen.height.saturating_sub(3));
    let rect = Rect { x: screen.x, y: screen.bottom().saturating_sub(height + 1), width: screen.width, height };
    let inner = frame(cx, rect, &show_keys(keys), buf);
    foot(cx, rect, "Esc cancels", buf);
    let column_width = inner.width / u16::try_from(columns).unwrap_or(1);
    for (i, (key, next)) in entries.iter().enumerate() {
        let (column, y) = (i / rows, i % rows);
        let x = inner.x + column_width * u16::try_from(column).unwrap_or(0);
        let cell = Rect { x, width: column_width.saturating_sub(1), ..inner };
        let mut row = Row::new(buf, cell, u16::try_from(y).unwrap_or(u16::MAX));
        let begin = row.x();
        row.text(key, cx.style(Role::Key)).to(begin + u16::try_from(key_width).unwrap_or(0) + 2);
        row.text(&next.what, cx.style(if next.group { Role::Accent } else { Role::Text }));
        if next.group {
            row.text(" …", cx.style(Role::Quiet));
        }
    }
}
