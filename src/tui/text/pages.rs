//! Lines of documents at a width.

use std::collections::HashMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::wrap::{Prefix, Wrap};
use super::{Document, DocumentId, width};
use crate::sanitise;
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
}

impl<'a> Look<'a> {
    /// Ordinary text, 80 columns.
    #[must_use]
    pub fn new(theme: &'a Theme) -> Self {
        Self { theme, width: 80, ascii: false, base: Role::Text }
    }
}

/// The lines of every document that was drawn.
#[derive(Debug)]
pub struct Pages {
    cells: usize,
    lines: HashMap<DocumentId, Vec<Line<'static>>>,
}

impl Pages {
    /// A cache of at most so many cells of text.
    #[must_use]
    pub fn new(cells: usize) -> Self {
        Self { cells, lines: HashMap::new() }
    }

    fn lay(&mut self, document: &Document, look: &Look<'_>) -> &Vec<Line<'static>> {
        if self.lines.len() * 80 > self.cells {
            self.lines.clear();
        }
        let style = look.theme.style(look.base);
        let mut out = Vec::new();
        for line in sanitise::block(document.text()).lines() {
            let mut wrap = Wrap::new(usize::from(look.width), Prefix::default(), Prefix::default()).keep_indent();
            wrap.text(&width::without_vs16(line), style, &mut out);
            wrap.finish(&mut out);
        }
        self.lines.insert(document.id(), out);
        &self.lines[&document.id()]
    }

    /// Rows of a document.
    pub fn height(&mut self, document: &Document, look: &Look<'_>) -> usize {
        self.lay(document, look).len()
    }

    /// Its rows from `first` on, at most `count`.
    pub fn lines(&mut self, document: &Document, look: &Look<'_>, first: usize, count: usize) -> impl Iterator<Item = &Line<'static>> {
        self.lay(document, look).iter().skip(first).take(count)
    }

    /// Draws its rows from `first` on into `area`.
    pub fn draw(&mut self, document: &Document, look: &Look<'_>, first: usize, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        for (y, line) in (area.y..area.bottom()).zip(self.lines(document, look, first, usize::from(area.height))) {
            buffer.set_line(area.x, y, line, area.width);
        }
    }

    /// Drops what is kept of a document that will not be drawn again.
    pub fn forget(&mut self, document: DocumentId) {
        self.lines.remove(&document);
    }
}

/// Rows that a text of so many bytes probably takes, for items that were never drawn.
#[must_use]
pub fn estimate_height(bytes: usize, width: u16) -> usize {
    bytes * 5 / (usize::from(width).max(8) * 4) + 1
}
