//! What a tree of blocks is made of.

use super::scan::Cursor;

/// A line is told by this many bytes of its start; a longer one begins and ends nothing that needs its end.
pub(super) const LONG: usize = 4096;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui::text) enum Shape {
    Paragraph,
    Heading(u8),
    /// `info` is the text behind the fence.
    Fence {
        mark: u8,
        len: u32,
        indent: u32,
        info: (u32, u32),
        closed: bool,
        code: u32,
    },
    Indented {
        code: u32,
    },
    Html {
        kind: u8,
    },
    Math {
        close: &'static str,
    },
    /// Its lines are the header, the delimiter row, the rows.
    Table,
    Break,
    /// Lines as they are, for text that is no Markdown.
    Plain,
    Quote,
    /// `next`: the number of the item to come, if they have numbers.
    List {
        mark: u8,
        next: Option<u32>,
    },
    /// `indent`: columns that its further lines are indented by.
    Item {
        indent: u32,
        number: Option<u32>,
    },
}

impl Shape {
    pub fn is_container(self) -> bool {
        matches!(self, Self::Quote | Self::List { .. } | Self::Item { .. })
    }
}

/// No parent: a block of the document.
pub(in crate::tui::text) const ROOT: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui::text) struct Node {
    pub shape: Shape,
    pub parent: u32,
    /// The first child of its parent.
    pub first: bool,
    /// A blank line stands before it.
    pub gap: bool,
    /// Its lines, if it is a leaf: a range of [`Tree::parts`].
    pub parts: (u32, u32),
}

/// A line of a leaf: bytes of the source, after `pad` spaces that were part of a tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tui::text) struct Part {
    pub start: u32,
    pub end: u32,
    pub pad: u8,
}

/// A line of the source, without its break.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub source: &'a str,
    pub start: usize,
    pub end: usize,
    /// Its end has not come yet: what it seems to be is taken back when more comes.
    pub partial: bool,
}

impl<'a> Line<'a> {
    pub fn text(&self) -> &'a str {
        &self.source[self.start..self.end]
    }

    /// All of it is looked at.
    pub fn is_whole(&self) -> bool {
        self.end - self.start <= LONG
    }

    /// Nothing is left but white space.
    pub fn is_blank(&self, cursor: &Cursor<'_>) -> bool {
        self.is_whole() && cursor.is_blank()
    }
}

/// A block of the document: its first node, and the lines that it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Top {
    pub node: u32,
    pub start: u32,
    pub end: u32,
}
