//! Writing rows into a buffer: clipped, cut with `…`, never outside the area they were given.
//!
//! Text that goes in must be drawable ([`drawable`]); [`Row::foreign`] sees to that.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::width::{drawable, truncate, width};

/// One row, written from the left; what is put at the right end shortens it.
pub struct Row<'a> {
    buf: &'a mut Buffer,
    x: u16,
    y: u16,
    end: u16,
}

impl<'a> Row<'a> {
    /// Row `y` (counted from the area's top) of an area. Outside of it, nothing is written.
    pub fn new(buf: &'a mut Buffer, area: Rect, y: u16) -> Self {
        let area = area.intersection(buf.area);
        let inside = y < area.height;
        let end = if inside { area.right() } else { area.x };
        Self { buf, x: area.x, y: area.y + if inside { y } else { 0 }, end }
    }

    /// Leaves columns free at the right end.
    pub fn margin(&mut self, columns: u16) -> &mut Self {
        self.end = self.end.saturating_sub(columns).max(self.x);
        self
    }

    /// Columns that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        usize::from(self.end.saturating_sub(self.x))
    }

    /// Where the next text begins.
    #[must_use]
    pub fn x(&self) -> u16 {
        self.x
    }

    /// Drawable text; cut with `…` when it does not fit.
    pub fn text(&mut self, text: &str, style: Style) -> &mut Self {
        let room = self.left();
        if room > 0 && !text.is_empty() {
            let cut = truncate(text, room);
            (self.x, _) = self.buf.set_stringn(self.x, self.y, &cut, room, style);
        }
        self
    }

    /// Text from outside.
    pub fn foreign(&mut self, text: &str, style: Style) -> &mut Self {
        self.text(&drawable(text), style)
    }

    /// Leaves columns free.
    pub fn gap(&mut self, columns: u16) -> &mut Self {
        self.x = (self.x + columns).min(self.end);
        self
    }

    /// Goes on at this column, counted from the buffer's left; never back.
    pub fn to(&mut self, x: u16) -> &mut Self {
        self.x = x.clamp(self.x, self.end.max(self.x));
        self
    }

    /// Drawable text at the right end, with one free column before it. Left out as a whole when less than `spare` columns would be
    /// left for the rest.
    pub fn right(&mut self, text: &str, style: Style, spare: usize) -> &mut Self {
        let wide = width(text);
        if wide == 0 || wide + 1 + spare > self.left() {
            return self;
        }
        let at = self.end - u16::try_from(wide).unwrap_or(self.end);
        self.buf.set_stringn(at, self.y, text, wide, style);
        self.end = at - 1;
        self
    }

    /// Writes a symbol into every column that is left.
    pub fn fill(&mut self, symbol: &str, style: Style) -> &mut Self {
        while self.x < self.end {
            self.buf[(self.x, self.y)].set_symbol(symbol).set_style(style);
            self.x += 1;
        }
        self
    }
}

/// Lays a style over a whole row of an area: a selection.
pub fn tint(buf: &mut Buffer, area: Rect, y: u16, style: Style) {
    if y < area.height {
        buf.set_style(Rect { y: area.y + y, height: 1, ..area }.intersection(buf.area), style);
    }
}

/// Erases an area.
pub fn clear(buf: &mut Buffer, area: Rect, style: Style) {
    let area = area.intersection(buf.area);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            buf[(x, y)].reset();
        }
    }
    buf.set_style(area, style);
}

/// Paragraphs for narrow places: words wrapped at `columns`, line breaks kept, long words cut into pieces.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut out = Vec::new();
    for line in text.lines() {
        let mut row = String::new();
        for word in line.split(' ') {
            let mut word = word;
            if !row.is_empty() && width(&row) + 1 + width(word) > columns {
                out.push(std::mem::take(&mut row));
            }
            if !row.is_empty() {
                row.push(' ');
            }
            while width(word) > columns {
                let (head, _) = super::text::width::split_at(word, columns);
                if head.is_empty() {
                    break;
                }
                out.push(head.to_owned());
                word = &word[head.len()..];
            }
            row.push_str(word);
        }
        out.push(row);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: u16, draw: impl FnOnce(&mut Row<'_>)) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, 1));
        let area = buf.area;
        draw(&mut Row::new(&mut buf, area, 0));
        buf.content().iter().map(|c| c.symbol()).collect()
    }

    #[test]
    fn rows_are_cut_and_never_overwritten() {
        let style = Style::new();
        assert_eq!(
            written(10, |row| {
                row.right("7", style, 3).text("a long title", style);
            }),
            "a long…  7"
        );
        assert_eq!(
            written(10, |row| {
                row.right("too long figure", style, 3).text("title", style);
            }),
            "title     "
        );
        assert_eq!(
            written(6, |row| {
                row.text("ab", style).gap(1).fill("─", style);
            }),
            "ab ───"
        );
        assert_eq!(
            written(4, |row| {
                row.foreign("\x1b[31mx", style);
            }),
            "␛[3…"
        );
    }

    #[test]
    fn outside_of_the_area_nothing_is_written() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 5, 1));
        Row::new(&mut buf, Rect::new(0, 0, 5, 1), 3).text("hello", Style::new());
        Row::new(&mut buf, Rect::new(9, 9, 5, 5), 0).text("hello", Style::new());
        assert_eq!(buf, Buffer::empty(Rect::new(0, 0, 5, 1)));
    }

    #[test]
    fn paragraphs_wrap() {
        assert_eq!(wrap("one two three\nfour", 8), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("日本語", 3), ["日", "本", "語"]);
        assert_eq!(wrap("", 3), Vec::<String>::new());
    }
}
