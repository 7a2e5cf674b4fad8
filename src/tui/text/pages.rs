//! The lines of every document that was drawn, as far as they are worth keeping.
//!
//! Owns: which lines exist. Lines are made when their block is first drawn at a width, kept while there is room, and made again
//! when they are needed again; heights are kept for good. Refuses: what lines look like (`render`) and where on the screen they
//! go. Invariant: asking again costs what changed since, not what there is; the cells that are kept never exceed the limit by more
//! than what is in view.

use std::collections::HashMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::highlight::Highlighter;
use super::render::{Drawing, Scene};
use super::{Document, DocumentId};
use crate::tui::theme::{Role, Theme};

/// How a document is to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub theme: &'a Theme,
    /// Columns.
    pub width: u16,
    /// No box drawing, no arrows.
    pub ascii: bool,
    /// What ordinary text is: [`Role::Text`], or [`Role::Thinking`].
    pub base: Role,
    /// Colours code; without one it is plain.
    pub highlighter: Option<&'a Highlighter>,
}

impl<'a> Look<'a> {
    /// Ordinary text, 80 columns, plain code.
    #[must_use]
    pub fn new(theme: &'a Theme) -> Self {
        Self { theme, width: 80, ascii: false, base: Role::Text, highlighter: None }
    }

    pub(super) fn glyphs(&self) -> &'static Glyphs {
        if self.ascii { &ASCII } else { &BOX }
    }

    fn key(&self, document: DocumentId) -> Key {
        Key {
            document,
            width: self.width,
            theme: self.theme.generation,
            ascii: self.ascii,
            base: self.base,
            coloured: self.highlighter.is_some(),
        }
    }
}

/// What lines are made of besides text.
pub(super) struct Glyphs {
    pub bar: &'static str,
    pub bullets: [&'static str; 3],
    pub todo: &'static str,
    pub done: &'static str,
    pub rule: &'static str,
    pub image: &'static str,
    /// Upper left, upper right, lower left, lower right.
    pub corners: [&'static str; 4],
    pub side_left: &'static str,
    pub side_right: &'static str,
    /// In place of the right side where a line of code goes on.
    pub wrap: &'static str,
    pub column: &'static str,
    pub cross: &'static str,
}

static BOX: Glyphs = Glyphs {
    bar: "┃ ",
    bullets: ["• ", "◦ ", "▪ "],
    todo: "☐ ",
    done: "☑ ",
    rule: "─",
    image: "▣ ",
    corners: ["┌", "┐", "└", "┘"],
    side_left: "│ ",
    side_right: " │",
    wrap: " ↩",
    column: " │ ",
    cross: "─┼─",
};

static ASCII: Glyphs = Glyphs {
    bar: "> ",
    bullets: ["- ", "* ", "+ "],
    todo: "[ ] ",
    done: "[x] ",
    rule: "-",
    image: "[image] ",
    corners: ["+", "+", "+", "+"],
    side_left: "| ",
    side_right: " |",
    wrap: " \\",
    column: " | ",
    cross: "-+-",
};

/// What was done, for tests, benches and the metrics pane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks that were drawn, wholly or what was new of them.
    pub drawn: u64,
    /// Of these, blocks that were drawn after they could not change any more.
    pub drawn_settled: u64,
    /// Lines that were made: what drawing costs.
    pub lines: u64,
    /// Blocks that were asked for and there.
    pub hits: u64,
    /// Blocks whose lines were dropped for want of room.
    pub dropped: u64,
    /// Cells that are kept.
    pub cells: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    document: DocumentId,
    width: u16,
    theme: u32,
    ascii: bool,
    base: Role,
    coloured: bool,
}

/// A document at a width.
#[derive(Debug, Default)]
struct Page {
    blocks: Vec<Block>,
    /// The first row of each block, and behind the last one the height.
    tops: Vec<usize>,
    /// The document as it was when this was last brought up to date.
    revision: u32,
    references: u32,
    finished: bool,
    /// Blocks that were settled then.
    settled: usize,
    used: u64,
}

#[derive(Debug, Default)]
struct Block {
    revision: u32,
    rows: usize,
    cells: usize,
    /// Not there: dropped.
    drawing: Option<Drawing>,
    /// There were links whose targets may have come since.
    missing: bool,
    /// What the highlighter had read when it was drawn with plain code.
    pending: Option<u64>,
    used: u64,
}

/// The lines of every document that was drawn.
#[derive(Debug)]
pub struct Pages {
    limit: u64,
    pages: HashMap<Key, Page>,
    /// Counts questions, so that what was used longest ago can go first.
    clock: u64,
    /// Cells that were in use when room was last made: there is no use in trying again before there are more.
    floor: u64,
    counters: Counters,
}

impl Pages {
    /// A cache of at most so many cells (a screen has 3,000 to 12,000; a cell costs about three bytes).
    #[must_use]
    pub fn new(cells: usize) -> Self {
        Self { limit: cells as u64, pages: HashMap::new(), clock: 0, floor: 0, counters: Counters::default() }
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Rows of a document.
    pub fn height(&mut self, document: &Document, look: &Look<'_>) -> usize {
        self.page(document, look).tops.last().copied().unwrap_or(0)
    }

    /// Its rows from `first` on, at most `count`.
    pub fn lines(&mut self, document: &Document, look: &Look<'_>, first: usize, count: usize) -> impl Iterator<Item = &Line<'static>> {
        let key = look.key(document.id());
        let shown = self.show(document, look, first, count);
        let page = self.pages.get(&key);
        shown
            .filter_map(move |block| {
                let page = page?;
                let lines = &page.blocks.get(block)?.drawing.as_ref()?.lines;
                let top = *page.tops.get(block)?;
                let from = first.saturating_sub(top).min(lines.len());
                let to = (first + count).saturating_sub(top).min(lines.len());
                lines.get(from..to)
            })
            .flatten()
    }

    /// Draws its rows from `first` on into `area`.
    pub fn draw(&mut self, document: &Document, look: &Look<'_>, first: usize, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        for (y, line) in (area.y..area.bottom()).zip(self.lines(document, look, first, usize::from(area.height))) {
            buffer.set_line(area.x, y, line, area.width);
        }
    }

    /// Row and column behind the last word: where what is being written goes on. The column may be the width itself.
    pub fn end(&mut self, document: &Document, look: &Look<'_>) -> (usize, usize) {
        let key = look.key(document.id());
        let height = self.height(document, look);
        let shown = self.show(document, look, height.saturating_sub(1), 1);
        let Some(page) = self.pages.get(&key) else { return (0, 0) };
        let last = shown.last().and_then(|block| Some((page.tops.get(block)?, page.blocks.get(block)?.drawing.as_ref()?)));
        last.map_or((0, 0), |(top, drawing)| (top + drawing.notes.end.0, drawing.notes.end.1))
    }

    /// The rows of a block ([`super::Code::block`]): its first, and how many.
    pub fn rows_of(&mut self, document: &Document, look: &Look<'_>, block: usize) -> (usize, usize) {
        let page = self.page(document, look);
        let top = page.tops.get(block).copied().unwrap_or(0);
        (top, page.tops.get(block + 1).map_or(0, |next| next - top))
    }

    /// The block of [`Document::blocks`] at a row.
    pub fn block_at(&mut self, document: &Document, look: &Look<'_>, row: usize) -> Option<usize> {
        let page = self.page(document, look);
        let after = page.tops.partition_point(|top| *top <= row);
        (after > 0 && after < page.tops.len()).then(|| after - 1)
    }

    /// Drops what is kept of a document that will not be drawn again.
    pub fn forget(&mut self, document: DocumentId) {
        let mut freed = 0;
        self.pages.retain(|key, page| {
            let keep = key.document != document;
            if !keep {
                freed += page.blocks.iter().map(|block| block.cells as u64).sum::<u64>();
            }
            keep
        });
        self.counters.cells -= freed;
        self.floor = 0;
    }

    /// Brings a page up to date.
    fn page(&mut self, document: &Document, look: &Look<'_>) -> &Page {
        self.clock += 1;
        let clock = self.clock;
        self.make_room(clock);
        let scene = Scene { document, look };
        let page = self.pages.entry(look.key(document.id())).or_default();
        page.used = clock;
        let same =
            page.revision == document.revision() && page.finished == document.is_finished() && page.references == document.references_seen;
        if same && !page.tops.is_empty() {
            return self.pages.entry(look.key(document.id())).or_default();
        }
        let mut from = page.settled;
        if page.references != document.references_seen {
            for block in page.blocks.iter_mut().filter(|block| block.missing) {
                block.revision = 0;
                block.drop_lines(&mut self.counters);
            }
            from = 0;
        }
        let blocks = document.blocks();
        for gone in page.blocks.drain(blocks.len().min(page.blocks.len())..) {
            self.counters.cells -= gone.cells as u64;
        }
        page.tops.truncate(from + 1);
        if page.tops.is_empty() {
            page.tops.push(0);
        }
        for (index, block) in blocks.iter().enumerate().skip(from.min(page.tops.len() - 1)) {
            if page.blocks.len() <= index {
                page.blocks.push(Block::default());
            }
            let kept = &mut page.blocks[index];
            let settled = index < document.settled();
            if kept.revision != block.revision {
                kept.draw(scene, block, clock, settled, &mut self.counters);
            }
            if settled {
                kept.settle();
                if self.counters.cells > self.limit {
                    // Only its height is needed now; whoever shows it draws it again.
                    kept.drop_lines(&mut self.counters);
                }
            }
            let top = page.tops[index];
            page.tops.push(top + kept.rows);
        }
        page.revision = document.revision();
        page.references = document.references_seen;
        page.finished = document.is_finished();
        page.settled = document.settled();
        self.pages.entry(look.key(document.id())).or_default()
    }

    /// Makes sure that the lines of these rows are there, and says which blocks have them.
    fn show(&mut self, document: &Document, look: &Look<'_>, first: usize, count: usize) -> std::ops::Range<usize> {
        self.page(document, look);
        self.clock += 1;
        let clock = self.clock;
        let Some(page) = self.pages.get_mut(&look.key(document.id())) else { return 0..0 };
        let begin = page.tops.partition_point(|top| *top <= first).saturating_sub(1);
        let end = page.tops.partition_point(|top| *top < first + count).min(page.blocks.len());
        let read = look.highlighter.map_or(0, Highlighter::generation);
        for index in begin..end.max(begin) {
            let (Some(kept), Some(block)) = (page.blocks.get_mut(index), document.blocks().get(index)) else { continue };
            kept.used = clock;
            let repaint = kept.pending.is_some_and(|seen| seen != read);
            if kept.drawing.is_some() && !repaint {
                self.counters.hits += 1;
                continue;
            }
            let rows = kept.rows;
            let settled = index < document.settled();
            kept.draw(Scene { document, look }, block, clock, settled, &mut self.counters);
            if settled {
                kept.settle();
            }
            // What was dropped and made again is what it was; a height that moved would show other rows than were asked for.
            debug_assert_eq!(rows, kept.rows, "a block has other rows than before");
        }
        self.make_room(clock);
        begin..end.max(begin)
    }

    /// Drops what was used longest ago until there is room again. What is in use stays.
    fn make_room(&mut self, clock: u64) {
        if self.counters.cells <= self.limit.max(self.floor) {
            return;
        }
        let mut oldest: Vec<(u64, Key, usize)> = Vec::new();
        for (key, page) in &self.pages {
            for (index, block) in page.blocks.iter().enumerate() {
                // The last block of a page may be half drawn: it is what grows.
                if block.cells > 0 && block.used < clock && (index + 1 < page.blocks.len() || page.used + 64 < clock) {
                    oldest.push((block.used, *key, index));
                }
            }
        }
        oldest.sort_unstable_by_key(|(used, ..)| *used);
        let goal = self.limit - self.limit / 4;
        for (_, key, index) in oldest {
            if self.counters.cells <= goal {
                break;
            }
            if let Some(block) = self.pages.get_mut(&key).and_then(|page| page.blocks.get_mut(index)) {
                block.drop_lines(&mut self.counters);
            }
        }
        self.floor = self.counters.cells + self.counters.cells / 8;
        // Pages at widths that are gone.
        if self.pages.len() > 64 {
            self.pages.retain(|_, page| page.used + 4096 > clock || page.blocks.iter().any(|block| block.cells > 0));
        }
    }
}

impl Block {
    fn draw(&mut self, scene: Scene<'_>, block: &super::Block, clock: u64, settled: bool, counters: &mut Counters) {
        let read = scene.look.highlighter.map_or(0, Highlighter::generation);
        let mut drawing = self.drawing.take().unwrap_or_default();
        counters.lines += drawing.draw(scene, block.nodes.clone()) as u64;
        counters.drawn += 1;
        counters.drawn_settled += u64::from(settled);
        counters.cells -= self.cells as u64;
        self.cells = drawing.cells(usize::from(scene.look.width));
        counters.cells += self.cells as u64;
        self.revision = block.revision;
        self.rows = drawing.lines.len();
        self.missing = drawing.notes.missing;
        self.pending = drawing.notes.pending.then_some(read);
        self.used = clock;
        self.drawing = Some(drawing);
    }

    fn drop_lines(&mut self, counters: &mut Counters) {
        if self.drawing.take().is_some() {
            counters.dropped += 1;
        }
        counters.cells -= self.cells as u64;
        self.cells = 0;
    }

    /// It cannot grow any more: what is kept for that can go, unless colours are still to come.
    fn settle(&mut self) {
        if self.pending.is_none()
            && let Some(drawing) = &mut self.drawing
        {
            drawing.settle();
        }
    }
}

/// Rows that a text of so many bytes probably takes, for items that were never drawn.
#[must_use]
pub fn estimate_height(bytes: usize, width: u16) -> usize {
    bytes * 5 / (usize::from(width).max(8) * 4) + 1
}

#[cfg(test)]
mod tests;
