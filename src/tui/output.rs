//! One frame, one write: the difference between two screens as bytes inside one synchronized-output bracket.
//!
//! Owns: what the terminal shows now, the pen it writes with, the cursor. Refuses: deciding what to show. Invariant: a frame
//! without a change is zero bytes; every frame ends with the pen at rest and the bracket closed.

use std::io::Write;

use ratatui::buffer::{Buffer, Cell, CellWidth};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier};

/// Begins and ends an update that the terminal shows at once (DEC mode 2026; terminals that do not know it ignore it).
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";
/// From so many blanks on, erasing costs fewer bytes than writing them.
const ERASE_FROM: usize = 8;

/// The shape of the cursor: a bar where text is typed, a block where vim commands act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    #[default]
    Bar,
    Block,
}

/// Where the cursor stands. Without one it is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub at: Position,
    pub shape: Shape,
}

/// What was written so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub frames: u64,
    /// Frames that changed nothing and were not written.
    pub empty: u64,
    pub bytes: u64,
    /// Bytes of the last frame that was written.
    pub last: u64,
}

/// The pen: colours and attributes in force at the terminal.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pen {
    fg: Color,
    bg: Color,
    underline: Color,
    modifier: Modifier,
}

const REST: Pen = Pen { fg: Color::Reset, bg: Color::Reset, underline: Color::Reset, modifier: Modifier::empty() };

impl Pen {
    fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, underline: cell.underline_color, modifier: cell.modifier }
    }
}

/// Collects frames. The bytes of one frame are handed out whole.
#[derive(Debug)]
pub struct Output {
    shown: Buffer,
    /// One row as it was, and as it is to be. Most rows of most frames are neither compared cell by cell nor copied, and nothing as
    /// big as a screen is allocated for a frame.
    before: Buffer,
    after: Buffer,
    cursor: Option<Cursor>,
    /// The terminal's content is unknown: erase it within the next frame.
    clear: bool,
    bytes: Vec<u8>,
    pub counters: Counters,
}

impl Output {
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        Self {
            shown: Buffer::empty(Rect::new(0, 0, width, height)),
            before: Buffer::default(),
            after: Buffer::default(),
            cursor: None,
            clear: true,
            bytes: Vec::with_capacity(16 << 10),
            counters: Counters::default(),
        }
    }

    /// Forgets what the terminal shows: after a resize, a suspension, an editor. The next frame erases and repaints, in one bracket.
    pub fn invalidate(&mut self) {
        self.clear = true;
        self.cursor = None;
    }

    /// The bytes that turn what is shown into `next`; empty when it is shown already.
    pub fn frame(&mut self, next: &Buffer, cursor: Option<Cursor>) -> &[u8] {
        self.bytes.clear();
        if self.shown.area != next.area {
            self.clear = true;
        }
        let mut painter = Painter { out: &mut self.bytes, pen: REST, at: None };
        painter.out.extend_from_slice(BEGIN);
        if self.clear {
            self.shown = Buffer::empty(next.area);
            painter.out.extend_from_slice(b"\x1b[m\x1b[2J");
            if self.cursor.is_none() {
                painter.out.extend_from_slice(b"\x1b[?25l");
            }
        }
        let width = usize::from(next.area.width);
        for y in 0..next.area.height {
            let cells = usize::from(y) * width..(usize::from(y) + 1) * width;
            let (shown, next) = (&mut self.shown.content[cells.clone()], &next.content[cells]);
            if shown != next {
                let row = Rect::new(0, y, u16::try_from(width).unwrap_or(u16::MAX), 1);
                copy(&mut self.before, row, shown);
                copy(&mut self.after, row, next);
                paint(&mut painter, &self.before, &self.after);
                shown.clone_from_slice(next);
            }
        }
        painter.rest();
        let painted = painter.out.len() > BEGIN.len();
        let moved = cursor != self.cursor;
        if !painted && !moved {
            self.bytes.clear();
            self.counters.empty += 1;
            return &self.bytes;
        }
        put_cursor(&mut self.bytes, self.cursor, cursor, painted);
        self.bytes.extend_from_slice(END);
        self.cursor = cursor;
        self.clear = false;
        self.counters.frames += 1;
        self.counters.last = self.bytes.len() as u64;
        self.counters.bytes += self.bytes.len() as u64;
        &self.bytes
    }
}

fn copy(to: &mut Buffer, row: Rect, cells: &[Cell]) {
    if to.content.len() != cells.len() {
        *to = Buffer::empty(row);
    }
    to.area = row;
    to.content.clone_from_slice(cells);
}

fn paint(painter: &mut Painter<'_>, shown: &Buffer, next: &Buffer) {
    let mut cells = shown.diff_iter(next).peekable();
    while let Some((x, y, cell)) = cells.next() {
        if is_plain_blank(cell) {
            let mut run = 1;
            while cells.peek().is_some_and(|(nx, ny, n)| *ny == y && *nx == x + run && is_plain_blank(n)) {
                cells.next();
                run += 1;
            }
            painter.blanks(x, y, run, next);
        } else {
            painter.cell(x, y, cell, next);
        }
    }
}

/// A blank that erasing makes as well: no background, no visible attribute.
fn is_plain_blank(cell: &Cell) -> bool {
    cell.symbol() == " "
        && cell.bg == Color::Reset
        && !cell.modifier.intersects(Modifier::REVERSED | Modifier::UNDERLINED | Modifier::CROSSED_OUT)
}

struct Painter<'a> {
    out: &'a mut Vec<u8>,
    pen: Pen,
    /// Where the terminal's cursor stands, when it is known.
    at: Option<(u16, u16)>,
}

impl Painter<'_> {
    fn cell(&mut self, x: u16, y: u16, cell: &Cell, next: &Buffer) {
        self.go(x, y, next);
        self.dip(Pen::of(cell));
        self.out.extend_from_slice(cell.symbol().as_bytes());
        let width = cell.cell_width().max(1);
        // At the last column terminals differ on where the cursor is.
        self.at = (x + width < next.area.width).then_some((x + width, y));
    }

    fn blanks(&mut self, x: u16, y: u16, run: u16, next: &Buffer) {
        self.go(x, y, next);
        if usize::from(run) >= ERASE_FROM || x + run == next.area.width {
            self.rest_background();
            if x + run == next.area.width {
                self.out.extend_from_slice(b"\x1b[K");
            } else {
                let _ = write!(self.out, "\x1b[{run}X");
            }
            return;
        }
        if self.pen.bg != Color::Reset || !self.pen.modifier.is_empty() {
            self.rest();
        }
        self.out.extend(std::iter::repeat_n(b' ', usize::from(run)));
        self.at = (x + run < next.area.width).then_some((x + run, y));
    }

    /// Moves the cursor, in the fewest bytes that are sure to work.
    fn go(&mut self, x: u16, y: u16, next: &Buffer) {
        match self.at {
            Some((ax, ay)) if ay == y && ax == x => return,
            Some((ax, ay)) if ay == y && ax < x && x - ax <= 3 && self.same_pen(ax, x, y, next) => {
                for between in ax..x {
                    self.out.extend_from_slice(next[(between, y)].symbol().as_bytes());
                }
            }
            Some((ax, ay)) if ay == y && ax < x => {
                let _ = write!(self.out, "\x1b[{}C", x - ax);
            }
            _ => {
                let _ = write!(self.out, "\x1b[{};{}H", y + 1, x + 1);
            }
        }
        self.at = Some((x, y));
    }

    /// Whether the cells between can be written again with the pen as it is: each one column, one byte.
    fn same_pen(&self, from: u16, to: u16, y: u16, next: &Buffer) -> bool {
        (from..to).all(|x| {
            let cell = &next[(x, y)];
            cell.symbol().len() == 1 && Pen::of(cell) == self.pen
        })
    }

    fn rest(&mut self) {
        if self.pen != REST {
            self.out.extend_from_slice(b"\x1b[m");
            self.pen = REST;
        }
    }

    fn rest_background(&mut self) {
        if self.pen.bg != Color::Reset || self.pen.modifier.intersects(Modifier::REVERSED | Modifier::UNDERLINED) {
            self.rest();
        }
    }

    /// Takes up another pen: only what differs is said.
    fn dip(&mut self, pen: Pen) {
        if pen == self.pen {
            return;
        }
        if pen == REST {
            return self.rest();
        }
        let mut sgr = Sgr { out: self.out, open: false };
        let lost = self.pen.modifier - pen.modifier;
        let from = if lost.is_empty() {
            self.pen
        } else {
            sgr.code("0");
            REST
        };
        for (flag, code) in ATTRIBUTES {
            if pen.modifier.contains(flag) && !from.modifier.contains(flag) {
                sgr.code(code);
            }
        }
        if pen.fg != from.fg {
            sgr.colour(pen.fg, 30);
        }
        if pen.bg != from.bg {
            sgr.colour(pen.bg, 40);
        }
        if pen.underline != from.underline {
            sgr.underline(pen.underline);
        }
        sgr.close();
        self.pen = pen;
    }
}

const ATTRIBUTES: [(Modifier, &str); 8] = [
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::SLOW_BLINK, "5"),
    (Modifier::REVERSED, "7"),
    (Modifier::HIDDEN, "8"),
    (Modifier::CROSSED_OUT, "9"),
];

/// One `CSI … m`, written as parameters come.
struct Sgr<'a> {
    out: &'a mut Vec<u8>,
    open: bool,
}

impl Sgr<'_> {
    fn code(&mut self, code: &str) {
        self.out.extend_from_slice(if self.open { b";" } else { b"\x1b[" });
        self.out.extend_from_slice(code.as_bytes());
        self.open = true;
    }

    /// `base` is 30 for the foreground, 40 for the background.
    fn colour(&mut self, colour: Color, base: u8) {
        let code = match colour {
            Color::Reset => format!("{}", base + 9),
            Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
            other => {
                let n = index(other);
                match n {
                    0..=7 => format!("{}", base + n),
                    8..=15 => format!("{}", base + 60 + n - 8),
                    _ => format!("{};5;{n}", base + 8),
                }
            }
        };
        self.code(&code);
    }

    fn underline(&mut self, colour: Color) {
        match colour {
            Color::Reset => self.code("59"),
            // Colons: a terminal that does not know underline colours must not take the parts for attributes.
            Color::Rgb(r, g, b) => self.code(&format!("58:2::{r}:{g}:{b}")),
            other => self.code(&format!("58:5:{}", index(other))),
        }
    }

    fn close(&mut self) {
        if self.open {
            self.out.push(b'm');
        }
    }
}

/// The palette index of a named colour.
fn index(colour: Color) -> u8 {
    match colour {
        Color::Reset | Color::Black | Color::Rgb(..) => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(n) => n,
    }
}

fn put_cursor(out: &mut Vec<u8>, from: Option<Cursor>, to: Option<Cursor>, painted: bool) {
    match (from, to) {
        (None, None) => {}
        (Some(_), None) => out.extend_from_slice(b"\x1b[?25l"),
        (from, Some(to)) => {
            if painted || from.map(|c| c.at) != Some(to.at) {
                let _ = write!(out, "\x1b[{};{}H", to.at.y + 1, to.at.x + 1);
            }
            if from.map(|c| c.shape) != Some(to.shape) {
                out.extend_from_slice(match to.shape {
                    Shape::Bar => b"\x1b[6 q",
                    Shape::Block => b"\x1b[2 q",
                });
            }
            if from.is_none() {
                out.extend_from_slice(b"\x1b[?25h");
            }
        }
    }
}

#[cfg(test)]
mod tests;
