//! Drawing the composer.
//!
//! The rows come from the widget's wrapping; the cells are written here, cluster by cluster, because the widget cuts clusters
//! at its cursor and draws its selection without the character under it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use super::Composer;
use super::text::{Pos, byte, columns};
use crate::tui::text::width;

/// The styles that a theme gives it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    pub text: Style,
    pub selection: Style,
    pub placeholder: Style,
}

impl Composer {
    /// Rows that the text takes at a width: at least 1, at most `most`.
    pub fn height(&mut self, width: u16, most: u16) -> u16 {
        let width = inner(width);
        let key = (self.text.revision(), width);
        let rows = match self.measured {
            Some((revision, measured, rows)) if (revision, measured) == key => rows,
            _ => {
                self.text.wrap(width);
                let rows = self.text.rows();
                self.measured = Some((key.0, key.1, rows));
                rows
            }
        };
        u16::try_from(rows).unwrap_or(u16::MAX).clamp(1, most.max(1))
    }

    /// Draws the text, or the placeholder when there is none, and tells where the terminal's cursor belongs.
    pub fn render(&mut self, area: Rect, buf: &mut Buffer, look: Look, placeholder: &str) -> Option<Position> {
        if area.is_empty() {
            return None;
        }
        buf.set_style(area, look.text);
        if self.text.is_empty() {
            self.top = 0;
            let text = width::drawable(placeholder);
            let text = width::truncate(&text, usize::from(area.width));
            buf.set_string(area.x, area.y, text, look.placeholder);
            return Some(Position::new(area.x, area.y));
        }
        let height = usize::from(area.height);
        let rows = usize::from(self.height(area.width, u16::MAX));
        let at = self.text.cursor();
        let row = self.text.row_of(at);
        // The cursor stays in view, and no rows are wasted at the end.
        self.top = self.top.min(rows.saturating_sub(height)).clamp((row + 1).saturating_sub(height), row);
        let selected = self.selected();
        for (line, row) in (self.top..rows.min(self.top + height)).enumerate() {
            let y = area.y + u16::try_from(line).unwrap_or(u16::MAX);
            self.render_row(row, Rect { y, height: 1, ..area }, buf, look, selected);
        }
        let x = self.text.x_of(row, at).min(usize::from(area.width) - 1);
        let y = row - self.top;
        Some(Position::new(area.x + u16::try_from(x).unwrap_or(0), area.y + u16::try_from(y).unwrap_or(0)))
    }

    fn render_row(&self, row: usize, area: Rect, buf: &mut Buffer, look: Look, selected: Option<(Pos, Pos)>) {
        let (start, end) = self.text.row_span(row);
        let line = self.text.line(start.row);
        let style = |col: usize| match selected {
            Some((from, to)) if (from..to).contains(&Pos::new(start.row, col)) => look.selection,
            _ => look.text,
        };
        let (mut x, mut col) = (0, start.col);
        for cluster in line[byte(line, start.col)..byte(line, end)].graphemes(true) {
            let wide = columns(cluster, x);
            if x + wide > usize::from(area.width) {
                return;
            }
            let at = area.x + u16::try_from(x).unwrap_or(u16::MAX);
            if cluster == "\t" {
                buf.set_string(at, area.y, " ".repeat(wide), style(col));
            } else if wide > 0 {
                buf.set_string(at, area.y, width::without_vs16(cluster), style(col));
            }
            x += wide;
            col += cluster.chars().count();
        }
        // A line break that is selected shows as one cell.
        let last = end == self.text.len(start.row);
        let broken = selected.is_some_and(|(from, to)| (from..to).contains(&Pos::new(start.row, end)) && to.row > start.row);
        if (last && broken || line.is_empty() && selected.is_some_and(|(from, to)| (from.row..=to.row).contains(&start.row)))
            && x < usize::from(area.width)
        {
            buf.set_string(area.x + u16::try_from(x).unwrap_or(0), area.y, " ", look.selection);
        }
    }
}

/// The text wraps one column early, so that the cursor has room behind a full row.
fn inner(width: u16) -> u16 {
    width.saturating_sub(1).max(1)
}
