//! Markdown as it grows: a text and its blocks.
//!
//! Owns: the text of a document as it came, and where its blocks are. Refuses: how they look (`render`), widths, what inline markup
//! means. Invariant: the blocks depend on the text alone, not on the pieces in which it came; each line is read once (the
//! last, while it grows, again with each piece, up to 4 KB of it); a settled block never changes again.
//!
//! Why not pulldown-cmark for blocks too (it reads what is *in* them): it parses whole texts only, so an open list, quotation or
//! paragraph would be parsed anew with each token. It is the oracle in the tests instead.

mod node;
mod scan;
mod tree;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use pulldown_cmark::{Options, Parser};

use node::{LONG, Line};
pub(super) use node::{Node, Part, ROOT, Shape};
pub(super) use scan::cells;
use tree::{Snapshot, Tree};

/// Tells one document of this process from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(u32);

static NEXT: AtomicU32 = AtomicU32::new(1);

/// What a block of a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockKind {
    Paragraph,
    Heading(u8),
    /// `closed`: its end was seen.
    Code {
        closed: bool,
    },
    List,
    Table,
    Quote,
    Rule,
    Html,
    Math,
    /// Text that is no Markdown.
    Plain,
}

/// A block of a document. Its place in [`Document::blocks`] is its name and never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub kind: BlockKind,
    /// Bytes of the text, whole lines.
    pub range: Range<usize>,
    /// Grows when something in it changed.
    pub(super) revision: u32,
    pub(super) nodes: Range<usize>,
}

/// A block of code that can be copied, saved or edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its letter in the frame: `a`, `b`, … `z`, `aa`, ….
    pub label: String,
    /// The word after the fence, empty where there is none. As it came.
    pub language: String,
    /// The code as it came, each line with its break.
    pub text: String,
    /// The block that it is in.
    pub block: usize,
}

/// A text and its blocks.
#[derive(Debug, Clone)]
pub struct Document {
    id: DocumentId,
    source: String,
    tree: Tree,
    /// The tree before the last line, while that has no end.
    before: Option<Snapshot>,
    /// Where the last line begins, and whether it is too long to become anything else.
    line: usize,
    long: bool,
    blocks: Vec<Block>,
    /// Blocks that cannot change any more.
    settled: usize,
    revision: u32,
    /// Targets of reference links, by their labels.
    references: HashMap<String, String>,
    /// Grows with `references`.
    pub(super) references_seen: u32,
    /// Nodes that were looked through for references.
    looked: usize,
    finished: bool,
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl Document {
    /// Markdown that is still to come.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: DocumentId(NEXT.fetch_add(1, Ordering::Relaxed)),
            source: String::new(),
            tree: Tree::default(),
            before: None,
            line: 0,
            long: false,
            blocks: Vec::new(),
            settled: 0,
            revision: 0,
            references: HashMap::new(),
            references_seen: 0,
            looked: 0,
            finished: false,
        }
    }

    /// Text that is no Markdown: shown as it is, line by line.
    #[must_use]
    pub fn plain() -> Self {
        let mut document = Self::new();
        document.tree.plain = true;
        document
    }

    /// Markdown that is all there.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut document = Self::new();
        document.push(text);
        document.finish();
        document
    }

    /// Adds what came.
    pub fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.finished {
            // What was closed opens again; rare, so simply anew.
            self.begin_anew();
        }
        let from = self.source.len();
        self.source.push_str(text);
        self.read(from);
    }

    /// Makes this the text: adds the rest where it begins with what is there, else begins anew.
    pub fn set(&mut self, text: &str) {
        if let Some(rest) = text.strip_prefix(self.source.as_str()) {
            self.push(rest);
            return;
        }
        self.source.clear();
        self.begin_anew();
        self.push(text);
    }

    /// No more comes: what is open is closed. Should more come all the same, it is pushed as ever.
    pub fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        if let Some(before) = self.before.take() {
            self.tree.restore(before);
            self.take_line(self.source.len(), false);
        }
        self.long = false;
        self.line = self.source.len();
        self.tree.close();
        let touched = std::mem::replace(&mut self.tree.touched, usize::MAX);
        self.tell(touched);
    }

    #[must_use]
    pub fn id(&self) -> DocumentId {
        self.id
    }

    /// The text as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source
    }

    /// Its blocks, in order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How many blocks, from the first, cannot change any more.
    #[must_use]
    pub fn settled(&self) -> usize {
        self.settled
    }

    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Blocks of code, in order.
    #[must_use]
    pub fn codes(&self) -> Vec<Code> {
        let mut codes = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            for node in &self.tree.nodes[block.nodes.clone()] {
                let (code, language) = match node.shape {
                    Shape::Fence { code, info, .. } => (code, language(self.slice(info))),
                    Shape::Indented { code } => (code, ""),
                    _ => continue,
                };
                let mut text = String::new();
                let parts = self.parts(node);
                for part in &parts[..shown_parts(node, parts, &self.source)] {
                    text.extend(std::iter::repeat_n(' ', usize::from(part.pad)));
                    text.push_str(self.slice((part.start, part.end)));
                    text.push('\n');
                }
                codes.push(Code { label: label(code), language: language.to_owned(), text, block: index });
            }
        }
        codes
    }

    pub(super) fn revision(&self) -> u32 {
        self.revision
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.tree.nodes
    }

    pub(super) fn slice(&self, (start, end): (u32, u32)) -> &str {
        &self.source[start as usize..end as usize]
    }

    /// The lines of a leaf.
    pub(super) fn parts(&self, node: &Node) -> &[Part] {
        &self.tree.parts[node.parts.0 as usize..node.parts.1 as usize]
    }

    /// This node cannot change any more.
    pub(super) fn is_settled(&self, node: usize) -> bool {
        if self.long && node + 1 == self.tree.nodes.len() {
            return false;
        }
        match &self.before {
            Some(before) => node < before.nodes && !before.chain.iter().any(|(at, _)| *at as usize == node),
            None => !self.tree.chain.contains(&(node as u32)),
        }
    }

    /// This node is there for good, though it may still grow or become something else.
    pub(super) fn is_certain(&self, node: usize) -> bool {
        self.before.as_ref().is_none_or(|before| node < before.nodes)
    }

    /// How many lines of a leaf are there for good and whole, and the byte of the source up to which its text is there for good.
    pub(super) fn certain(&self, node: &Node) -> (usize, usize) {
        let (first, last) = (node.parts.0 as usize, node.parts.1 as usize);
        match &self.before {
            Some(before) => (before.parts.clamp(first, last) - first, self.line),
            None => {
                let growing = self.long && last == self.tree.parts.len() && last > first;
                (last - first - usize::from(growing), self.source.len())
            }
        }
    }

    /// The target of a reference link.
    pub(super) fn reference(&self, label: &str) -> Option<&str> {
        if self.references.is_empty() {
            return None;
        }
        self.references.get(&fold_label(label)).map(String::as_str)
    }

    /// Reads the text again from its beginning, as another document: nothing that was drawn holds.
    fn begin_anew(&mut self) {
        let (plain, source) = (self.tree.plain, std::mem::take(&mut self.source));
        *self = Self { source, ..Self::new() };
        self.tree.plain = plain;
        if !self.source.is_empty() {
            self.read(0);
        }
    }

    /// Reads the source from byte `from` on, where it was extended.
    fn read(&mut self, from: usize) {
        // Blocks that the last line seemed to change are told anew, whatever becomes of it.
        let mut touched = std::mem::replace(&mut self.tree.touched, usize::MAX);
        if let Some(before) = self.before.take() {
            self.tree.restore(before);
        }
        let mut from = from;
        while let Some(at) = self.source[from..].find('\n') {
            self.take_line(from + at, false);
            self.long = false;
            self.line = from + at + 1;
            from = self.line;
        }
        touched = touched.min(std::mem::replace(&mut self.tree.touched, usize::MAX));
        let end = self.source.len();
        if self.line < end {
            if end - self.line <= LONG {
                self.before = Some(self.tree.snapshot());
            }
            self.take_line(end, true);
            self.long = end - self.line > LONG;
        }
        touched = touched.min(self.tree.touched);
        if self.before.is_none() {
            self.tree.touched = usize::MAX;
        }
        self.tell(touched);
    }

    fn take_line(&mut self, end: usize, partial: bool) {
        let end = without_return(&self.source, self.line, end);
        if self.long {
            self.tree.extend(self.line, end);
        } else {
            // A long line is told by its start, whatever comes.
            let partial = partial && end - self.line <= LONG;
            self.tree.line(&Line { source: &self.source, start: self.line, end, partial });
        }
    }

    /// Tells blocks from `touched` on anew.
    fn tell(&mut self, touched: usize) {
        self.revision += 1;
        self.blocks.truncate(touched.min(self.tree.tops.len()));
        for at in self.blocks.len()..self.tree.tops.len() {
            let top = self.tree.tops[at];
            let next = self.tree.tops.get(at + 1).map_or(self.tree.nodes.len(), |next| next.node as usize);
            self.blocks.push(Block {
                kind: kind(self.tree.nodes[top.node as usize].shape),
                range: top.start as usize..top.end as usize,
                revision: self.revision,
                nodes: top.node as usize..next,
            });
        }
        self.settled = match &self.before {
            Some(before) => before.tops - usize::from(!before.chain.is_empty()),
            None => self.tree.tops.len() - usize::from(!self.tree.tops.is_empty() && (self.long || !self.tree.chain.is_empty())),
        };
        self.look_for_references();
    }

    /// Collects the targets of reference links from paragraphs that are settled.
    fn look_for_references(&mut self) {
        while self.looked < self.tree.nodes.len() && self.is_settled(self.looked) {
            let node = self.tree.nodes[self.looked];
            self.looked += 1;
            let parts = self.parts(&node);
            if node.shape != Shape::Paragraph || !parts.first().is_some_and(|part| self.slice((part.start, part.end)).starts_with('[')) {
                continue;
            }
            let mut text = String::new();
            for part in parts {
                text.push_str(self.slice((part.start, part.end)));
                text.push('\n');
            }
            let parser = Parser::new_ext(&text, Options::empty());
            for (label, definition) in parser.reference_definitions().iter() {
                self.references.entry(fold_label(label)).or_insert_with(|| definition.dest.to_string());
                self.references_seen += 1;
            }
        }
    }
}

/// The end of a line without the `\r` before its break.
fn without_return(source: &str, start: usize, end: usize) -> usize {
    if end > start && source.as_bytes()[end - 1] == b'\r' { end - 1 } else { end }
}

/// Labels match whatever their case and white space.
fn fold_label(label: &str) -> String {
    let words: Vec<String> = label.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

/// The language in the words behind a fence.
pub(super) fn language(info: &str) -> &str {
    let info = info.trim_start_matches([' ', '\t', '{', '.']);
    info.split([' ', '\t', ',', '{', '}', ':']).next().unwrap_or("")
}

/// The letter of the n-th block of code: `a` to `z`, then `aa` and so on.
pub(super) fn label(code: u32) -> String {
    let mut label = String::new();
    let mut left = code + 1;
    while left > 0 {
        left -= 1;
        label.insert(0, char::from(b'a' + (left % 26) as u8));
        left /= 26;
    }
    label
}

/// Lines of a leaf that are shown: indented code ends with its last line that is not blank.
pub(super) fn shown_parts(node: &Node, parts: &[Part], source: &str) -> usize {
    if !matches!(node.shape, Shape::Indented { .. }) {
        return parts.len();
    }
    let blank = |part: &&Part| source[part.start as usize..part.end as usize].trim().is_empty();
    parts.len() - parts.iter().rev().take_while(blank).count()
}

fn kind(shape: Shape) -> BlockKind {
    match shape {
        Shape::Paragraph => BlockKind::Paragraph,
        Shape::Heading(level) => BlockKind::Heading(level),
        Shape::Fence { closed, .. } => BlockKind::Code { closed },
        Shape::Indented { .. } => BlockKind::Code { closed: true },
        Shape::Html { .. } => BlockKind::Html,
        Shape::Math { .. } => BlockKind::Math,
        Shape::Table => BlockKind::Table,
        Shape::Break => BlockKind::Rule,
        Shape::Plain => BlockKind::Plain,
        Shape::Quote => BlockKind::Quote,
        Shape::List { .. } | Shape::Item { .. } => BlockKind::List,
    }
}

#[cfg(test)]
mod tests;
