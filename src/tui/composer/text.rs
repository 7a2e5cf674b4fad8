//! The composer's text: lines, cursor, undo, and how it wraps.
//!
//! Owns: one `TextArea` for storage and wrapping, and an undo journal in groups (the widget's own knows single edits only). Refuses:
//! to know modes and keys. Invariant: the cursor stands on a boundary of grapheme clusters, the text has no control characters
//! but newlines and tabs, and it stays within what the widget can address.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use tui_textarea::{CursorMove, TextArea, WrapMode};
use unicode_segmentation::UnicodeSegmentation;

use crate::error::{Error, Kind, Result};
use crate::tui::text::width;

/// A prompt is not a disk: beyond this every key would be felt.
pub const MOST_BYTES: usize = 1024 * 1024;
/// The widget addresses rows and columns with 16 bits.
const MOST_LINES: usize = 20_000;
pub const MOST_COLUMNS: usize = 60_000;
/// Tabs end at multiples of this; the widget's own measure.
const TAB: usize = 4;
/// Undo keeps this much removed and inserted text, at most.
const MOST_UNDO_BYTES: usize = 4 * MOST_BYTES;

/// A place in the text; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Pos {
    pub row: usize,
    pub col: usize,
}

impl Pos {
    pub fn new(row: usize, col: usize) -> Self {
        Self { row, col }
    }
}

/// One replacement: enough to do it again and to take it back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    at: Pos,
    removed: String,
    inserted: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    before: Pos,
    changes: Vec<Change>,
}

#[derive(Debug)]
pub struct Text {
    area: TextArea<'static>,
    cursor: Pos,
    undo: Vec<Group>,
    redo: Vec<Group>,
    /// Changes go into the last group until it is closed.
    open: bool,
    width: u16,
    /// Counts changes, for caches.
    revision: u64,
}

impl Text {
    pub fn new(text: &str) -> Self {
        let mut area = TextArea::new(clean(text).split('\n').map(str::to_owned).collect());
        area.set_wrap_mode(WrapMode::WordOrGlyph);
        area.set_max_histories(0);
        let mut this = Self { area, cursor: Pos::default(), undo: Vec::new(), redo: Vec::new(), open: false, width: 0, revision: 0 };
        this.set_cursor(this.end());
        this
    }

    pub fn lines(&self) -> &[String] {
        self.area.lines()
    }

    pub fn line(&self, row: usize) -> &str {
        self.lines().get(row).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    pub fn is_empty(&self) -> bool {
        self.area.is_empty()
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Goes on counting from another text.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    pub fn cursor(&self) -> Pos {
        self.cursor
    }

    /// Columns of a line.
    pub fn len(&self, row: usize) -> usize {
        self.line(row).chars().count()
    }

    pub fn end(&self) -> Pos {
        let row = self.lines().len() - 1;
        Pos::new(row, self.len(row))
    }

    /// Puts the cursor there, or as near as the text allows.
    pub fn set_cursor(&mut self, to: Pos) {
        let row = to.row.min(self.lines().len() - 1);
        let col = floor(self.line(row), to.col);
        self.cursor = Pos::new(row, col);
    }

    /// The text between two places.
    pub fn slice(&self, from: Pos, to: Pos) -> String {
        let mut out = String::new();
        for row in from.row..=to.row.min(self.lines().len() - 1) {
            let line = self.line(row);
            let start = if row == from.row { byte(line, from.col) } else { 0 };
            let end = if row == to.row { byte(line, to.col) } else { line.len() };
            if row > from.row {
                out.push('\n');
            }
            out.push_str(&line[start..end.max(start)]);
        }
        out
    }

    /// Replaces what lies between two places and puts the cursor behind what was inserted.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the text would become too large; nothing is changed then.
    pub fn replace(&mut self, from: Pos, to: Pos, with: &str) -> Result<()> {
        let (from, to) = (from.min(to), from.max(to));
        let inserted = clean(with);
        let removed = self.slice(from, to);
        if removed == inserted {
            return Ok(());
        }
        self.check_room(from, to, &removed, &inserted)?;
        let before = self.cursor;
        let change = Change { at: from, removed, inserted };
        self.apply(change.at, &change.removed, &change.inserted);
        self.record(change, before);
        Ok(())
    }

    fn check_room(&self, from: Pos, to: Pos, removed: &str, inserted: &str) -> Result<()> {
        if inserted.len() <= removed.len() {
            return Ok(());
        }
        let bytes = self.lines().iter().map(|line| line.len() + 1).sum::<usize>() + inserted.len() - removed.len();
        let lines = self.lines().len() + inserted.matches('\n').count();
        let tail = self.len(to.row).saturating_sub(to.col);
        let mut widths: Vec<usize> = inserted.split('\n').map(|line| line.chars().count()).collect();
        if let Some(first) = widths.first_mut() {
            *first += from.col;
        }
        if let Some(last) = widths.last_mut() {
            *last += tail;
        }
        let what = if bytes > MOST_BYTES {
            format!("The message would have {} KiB, and the composer takes {} KiB.", bytes / 1024, MOST_BYTES / 1024)
        } else if lines > MOST_LINES {
            format!("The message would have {lines} lines, and the composer takes {MOST_LINES}.")
        } else if widths.iter().any(|width| *width > MOST_COLUMNS) {
            format!("A line of the message would have more than {MOST_COLUMNS} characters; the composer takes no longer ones.")
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Usage, what).hint("Send it in parts, or with `arbour ask < FILE`."))
    }

    fn apply(&mut self, at: Pos, removed: &str, inserted: &str) {
        self.place(at);
        if !removed.is_empty() {
            self.area.delete_str(removed.chars().count());
        }
        if !inserted.is_empty() {
            self.area.insert_str(inserted);
        }
        let cursor = self.area.cursor();
        // What was inserted may have joined the cluster behind it: the cursor then stands before both.
        self.set_cursor(Pos::new(cursor.0, cursor.1));
        self.revision += 1;
    }

    fn record(&mut self, change: Change, before: Pos) {
        self.redo.clear();
        match self.undo.last_mut().filter(|_| self.open) {
            Some(group) => match group.changes.last_mut() {
                // Typing makes one change, not one per key.
                Some(last) if change.removed.is_empty() && change.at == end_of(last.at, &last.inserted) => {
                    last.inserted.push_str(&change.inserted);
                }
                _ => group.changes.push(change),
            },
            None => {
                self.undo.push(Group { before, changes: vec![change] });
                self.open = true;
            }
        }
        let weight = |group: &Group| group.changes.iter().map(|c| c.removed.len() + c.inserted.len() + 64).sum::<usize>();
        let mut total: usize = self.undo.iter().map(weight).sum();
        while total > MOST_UNDO_BYTES && self.undo.len() > 1 {
            total -= weight(&self.undo.remove(0));
        }
    }

    /// The next change begins a new group.
    pub fn close_group(&mut self) {
        self.open = false;
    }

    /// Takes back the last group. Tells whether there was one.
    pub fn undo(&mut self) -> bool {
        self.open = false;
        let Some(group) = self.undo.pop() else { return false };
        for change in group.changes.iter().rev() {
            self.apply(change.at, &change.inserted, &change.removed);
        }
        self.set_cursor(group.before);
        self.redo.push(group);
        true
    }

    /// Does the group again that was taken back last; tells where it begins. The cursor stands behind it.
    pub fn redo(&mut self) -> Option<Pos> {
        self.open = false;
        let group = self.redo.pop()?;
        for change in &group.changes {
            self.apply(change.at, &change.removed, &change.inserted);
        }
        let start = group.changes.first().map(|change| change.at);
        self.undo.push(group);
        start
    }

    /// Moves the widget's cursor, which addresses by 16 bits: [`MOST_COLUMNS`] keeps that enough.
    fn place(&mut self, to: Pos) {
        let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        self.area.cancel_selection();
        self.area.move_cursor(CursorMove::Jump(short(to.row), short(to.col)));
    }

    /// Wraps the text at a width; everything about rows below is told for it.
    pub fn wrap(&mut self, width: u16) {
        if self.width != width {
            self.width = width;
            // The widget learns its width by drawing only.
            let scratch = Rect::new(0, 0, width.max(1), 1);
            (&self.area).render(scratch, &mut Buffer::empty(scratch));
        }
    }

    /// How many rows the wrapped text has.
    pub fn rows(&mut self) -> usize {
        self.row_of(self.end()) + 1
    }

    /// The wrapped row that a place stands in.
    pub fn row_of(&mut self, pos: Pos) -> usize {
        self.place(pos);
        self.area.screen_cursor().row
    }

    /// Where a wrapped row begins, and the column behind its end.
    pub fn row_span(&self, row: usize) -> (Pos, usize) {
        let start = self.area.screen_to_data(row, 0);
        let next = self.area.screen_to_data(row + 1, 0);
        let end = if next.0 == start.0 && next.1 > start.1 { next.1 } else { self.len(start.0) };
        (Pos::new(start.0, start.1), end)
    }

    /// The columns of the screen from a wrapped row's start to a place in it.
    pub fn x_of(&self, row: usize, pos: Pos) -> usize {
        let (start, _) = self.row_span(row);
        let line = self.line(start.row);
        let part = &line[byte(line, start.col)..byte(line, pos.col.max(start.col))];
        part.graphemes(true).fold(0, |x, cluster| x + columns(cluster, x))
    }

    /// The place in a wrapped row that is nearest to a column of the screen.
    pub fn at_x(&self, row: usize, wanted: usize) -> Pos {
        let (start, end) = self.row_span(row);
        let line = self.line(start.row);
        let mut at = start;
        let mut x = 0;
        for cluster in line[byte(line, start.col)..byte(line, end)].graphemes(true) {
            x += columns(cluster, x);
            let next = at.col + cluster.chars().count();
            // Behind the last cluster of a row that goes on, the cursor would stand in the next row.
            if x > wanted || next == end && end < self.len(start.row) {
                break;
            }
            at.col = next;
        }
        at
    }
}

/// How many columns a cluster takes when it is drawn at a column.
pub fn columns(cluster: &str, x: usize) -> usize {
    match cluster {
        "\t" => TAB - x % TAB,
        cluster => width::grapheme(&width::without_vs16(cluster)),
    }
}

/// Where a text ends that begins at a place.
pub fn end_of(at: Pos, text: &str) -> Pos {
    match text.rsplit_once('\n') {
        Some((before, last)) => Pos::new(at.row + before.matches('\n').count() + 1, last.chars().count()),
        None => Pos::new(at.row, at.col + text.chars().count()),
    }
}

/// The byte of a column.
pub fn byte(line: &str, col: usize) -> usize {
    line.char_indices().nth(col).map_or(line.len(), |(at, _)| at)
}

/// The boundary of clusters at a column or before it.
fn floor(line: &str, col: usize) -> usize {
    let mut at = 0;
    for cluster in line.graphemes(true) {
        let next = at + cluster.chars().count();
        if next > col {
            return at;
        }
        at = next;
    }
    at
}

/// Text from outside as the composer keeps it: newlines are `\n`, and of control characters and marks that turn the reading
/// direction around only tabs remain.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            '\n' | '\t' => out.push(c),
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
