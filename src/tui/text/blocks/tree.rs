//! The tree of blocks, built line by line (CommonMark's algorithm).
//!
//! Invariant: only the blocks on the way to the last leaf are open, and only those can still change. So the nodes lie in reading
//! order, the lines of a leaf lie together, and what one line did is undone by cutting both lists and putting the open nodes back.

use super::node::{LONG, Line, Node, Part, ROOT, Shape, Top};
use super::scan::{self, Cursor};
use crate::sanitise;

/// A table's head is no longer than this: what is drawn of a long paragraph is drawn for good, but for its end.
const HEAD: usize = 1024;

/// Nesting stops here; deeper markers are text. No person nests so deep, and every line looks at every open block.
const DEEP: usize = 32;

/// What a line can change, as it was before it.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub nodes: usize,
    pub parts: usize,
    pub tops: usize,
    top: Option<Top>,
    pub chain: Vec<(u32, Node)>,
    blank: bool,
    codes: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub nodes: Vec<Node>,
    pub parts: Vec<Part>,
    pub tops: Vec<Top>,
    /// Open nodes, from a block of the document down to the open leaf.
    pub chain: Vec<u32>,
    /// The last line was blank.
    blank: bool,
    /// Blocks of code so far.
    codes: u32,
    /// The first block of the document that changed since this was last set.
    pub touched: usize,
    pub plain: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            parts: Vec::new(),
            tops: Vec::new(),
            chain: Vec::new(),
            blank: false,
            codes: 0,
            touched: usize::MAX,
            plain: false,
        }
    }
}

impl Tree {
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            nodes: self.nodes.len(),
            parts: self.parts.len(),
            tops: self.tops.len(),
            top: self.tops.last().copied(),
            chain: self.chain.iter().map(|at| (*at, self.nodes[*at as usize])).collect(),
            blank: self.blank,
            codes: self.codes,
        }
    }

    pub fn restore(&mut self, before: Snapshot) {
        self.nodes.truncate(before.nodes);
        self.parts.truncate(before.parts);
        self.tops.truncate(before.tops);
        if let (Some(last), Some(top)) = (self.tops.last_mut(), before.top) {
            *last = top;
        }
        self.chain.clear();
        for (at, node) in before.chain {
            self.nodes[at as usize] = node;
            self.chain.push(at);
        }
        self.blank = before.blank;
        self.codes = before.codes;
    }

    /// Everything is closed: no line follows.
    pub fn close(&mut self) {
        self.end_from(0);
    }

    /// Ends the open nodes from a depth on.
    fn end_from(&mut self, depth: usize) {
        // What was open was drawn as such: a frame without its foot, markup as if it were closed.
        if self.chain.len() > depth && self.leaf().is_some() {
            self.touch();
        }
        self.chain.truncate(depth);
    }

    fn end_leaf(&mut self) {
        if self.leaf().is_some() {
            self.end_from(self.chain.len() - 1);
        }
    }

    /// The open leaf.
    fn leaf(&self) -> Option<Shape> {
        self.chain.last().map(|at| self.nodes[*at as usize].shape).filter(|shape| !shape.is_container())
    }

    fn touch(&mut self) {
        self.touched = self.touched.min(self.tops.len().saturating_sub(1));
    }

    /// Opens a node under the open ones; a leaf that is open there ends.
    fn open(&mut self, shape: Shape, line: &Line<'_>) {
        self.end_leaf();
        // Lists hold items only.
        if !matches!(shape, Shape::Item { .. })
            && matches!(self.chain.last().map(|at| self.nodes[*at as usize].shape), Some(Shape::List { .. }))
        {
            self.chain.pop();
        }
        let parent = self.chain.last().copied().unwrap_or(ROOT);
        let at = self.nodes.len();
        let first = parent != ROOT && parent as usize + 1 == at;
        if parent == ROOT {
            self.tops.push(Top { node: at as u32, start: line.start as u32, end: line.end as u32 });
        }
        let parts = self.parts.len() as u32;
        self.nodes.push(Node { shape, parent, first, gap: self.blank && at > 0, parts: (parts, parts) });
        self.chain.push(at as u32);
        self.reach(line.end);
        self.touch();
    }

    /// The last block of the document reaches so far.
    fn reach(&mut self, end: usize) {
        if let Some(top) = self.tops.last_mut() {
            top.end = end as u32;
        }
    }

    /// Adds a line, from `start` on, to the last node.
    fn add(&mut self, start: usize, pad: usize, line: &Line<'_>) {
        self.parts.push(Part { start: start as u32, end: line.end as u32, pad: pad as u8 });
        if let Some(node) = self.nodes.last_mut() {
            node.parts.1 = self.parts.len() as u32;
        }
        self.reach(line.end);
        self.touch();
        self.blank = false;
    }

    /// A long line that began at `start` goes on to `end`.
    pub fn extend(&mut self, start: usize, end: usize) {
        if let Some(part) = self.parts.last_mut()
            && part.start as usize >= start
        {
            part.end = end as u32;
        }
        self.reach(end);
        self.touch();
    }

    /// Reads one line.
    pub fn line(&mut self, line: &Line<'_>) {
        if self.plain {
            self.plain_line(line);
            return;
        }
        let mut cursor = Cursor::new(sanitise::prefix(line.text(), LONG));
        let blank = line.is_blank(&cursor);
        let containers = self.chain.len() - usize::from(self.leaf().is_some());
        let mut matched = 0;
        while matched < containers && self.goes_on(matched, &mut cursor, blank) {
            matched += 1;
        }
        let all = matched == containers;
        if line.partial && !blank && self.is_undecided(all, &cursor) {
            return;
        }
        if all
            && let Some(leaf) = self.leaf()
            && self.leaf_takes(leaf, &mut cursor, line)
        {
            return;
        }
        self.start_blocks(&mut cursor, matched, all, line);
    }

    fn plain_line(&mut self, line: &Line<'_>) {
        if line.text().trim().is_empty() {
            self.chain.clear();
            self.blank = true;
            return;
        }
        if self.chain.is_empty() {
            self.open(Shape::Plain, line);
        }
        self.add(line.start, 0, line);
    }

    /// What came of the line so far may still turn out to be anything (`-`, `**`, `|--`): showing it would flicker.
    fn is_undecided(&self, all: bool, cursor: &Cursor<'_>) -> bool {
        let word = cursor.word().trim_end();
        match self.leaf().filter(|_| all) {
            Some(Shape::Fence { mark, .. }) => !word.is_empty() && word.bytes().all(|b| b == mark),
            Some(Shape::Html { .. } | Shape::Math { .. } | Shape::Indented { .. }) => false,
            Some(Shape::Paragraph) if word.starts_with('|') && word.contains('-') => false,
            _ => {
                let digits = word.trim_end_matches(['.', ')']);
                let number = digits.len() < word.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                number || word.bytes().all(|b| b"-*+_=#>|`~:\\[$<! ".contains(&b))
            }
        }
    }

    /// An open container goes on with this line, whose marker is taken.
    fn goes_on(&self, depth: usize, cursor: &mut Cursor<'_>, blank: bool) -> bool {
        let at = self.chain[depth] as usize;
        match self.nodes[at].shape {
            Shape::Quote => {
                let goes_on = cursor.indent() <= 3 && cursor.word().starts_with('>');
                if goes_on {
                    take_quote(cursor);
                }
                goes_on
            }
            // An item that begins with a blank line has nothing after a second one.
            Shape::Item { .. } if blank => self.nodes.len() > at + 1,
            Shape::Item { indent, .. } => {
                let goes_on = cursor.indent() >= indent as usize;
                if goes_on {
                    cursor.skip_columns(indent as usize);
                }
                goes_on
            }
            _ => true,
        }
    }

    /// The open leaf takes the line, whatever that looks like.
    fn leaf_takes(&mut self, leaf: Shape, cursor: &mut Cursor<'_>, line: &Line<'_>) -> bool {
        let blank = line.is_blank(cursor);
        match leaf {
            Shape::Fence { mark, len, indent, .. } => {
                if line.is_whole() && cursor.indent() <= 3 && scan::fence_ends(cursor.word(), mark, len as usize) {
                    if let Some(Node { shape: Shape::Fence { closed, .. }, .. }) = self.nodes.last_mut() {
                        *closed = true;
                    }
                    self.chain.pop();
                    self.reach(line.end);
                    self.touch();
                    self.blank = false;
                } else {
                    cursor.skip_columns((indent as usize).min(cursor.indent()));
                    self.add(line.start + cursor.at, cursor.pad, line);
                }
            }
            Shape::Html { kind } if kind < 6 || !blank => {
                self.add(line.start + cursor.at, cursor.pad, line);
                if scan::html_ends(kind, cursor.rest()) {
                    self.chain.pop();
                }
            }
            Shape::Math { close } if !blank => {
                self.add(line.start + cursor.at, cursor.pad, line);
                if line.is_whole() && cursor.rest().trim_end().ends_with(close) {
                    self.chain.pop();
                }
            }
            Shape::Indented { .. } if blank => {
                cursor.skip_columns(4);
                // Kept, in case more code follows; blank lines at the end are not shown.
                let reached = self.tops.last().copied();
                self.add(line.start + cursor.at, cursor.pad, line);
                if let (Some(last), Some(top)) = (self.tops.last_mut(), reached) {
                    *last = top;
                }
                self.blank = true;
            }
            Shape::Indented { .. } if cursor.indent() >= 4 => {
                cursor.skip_columns(4);
                self.add(line.start + cursor.at, cursor.pad, line);
            }
            _ => return false,
        }
        true
    }

    /// Looks for blocks that begin with the line, then puts what is left of it where it belongs.
    fn start_blocks(&mut self, cursor: &mut Cursor<'_>, matched: usize, all: bool, line: &Line<'_>) {
        let open = self.leaf() == Some(Shape::Paragraph);
        let mut start = Start {
            paragraph: all && open,
            lazy: open,
            unmatched: (!all).then_some(matched),
            container: matched.checked_sub(1).map(|depth| self.nodes[self.chain[depth] as usize].shape),
            began: false,
        };
        while !line.is_blank(cursor) {
            if cursor.indent() >= 4 {
                if start.lazy || (start.unmatched.is_none() && self.leaf() == Some(Shape::Table)) {
                    break;
                }
                self.cut(&mut start);
                let code = self.count_code();
                self.open(Shape::Indented { code }, line);
                cursor.skip_columns(4);
                self.add(line.start + cursor.at, cursor.pad, line);
                return;
            }
            if !self.start_quote(cursor, &mut start, line) {
                if self.start_leaf(cursor, &mut start, line) {
                    self.blank = false;
                    return;
                }
                if !self.start_item(cursor, &mut start, line) {
                    break;
                }
            }
            start.paragraph = false;
            start.lazy = false;
            start.began = true;
        }
        let blank = line.is_blank(cursor);
        if start.lazy && !all && !blank {
            // Goes on with the paragraph although markers are missing.
            cursor.skip_space();
            self.add(line.start + cursor.at, 0, line);
            return;
        }
        self.cut(&mut start);
        if blank {
            self.end_leaf();
            // A marker with nothing behind it is no blank line.
            self.blank = !start.began;
            return;
        }
        cursor.skip_space();
        let goes_on = match self.leaf() {
            Some(Shape::Paragraph) => start.paragraph,
            leaf => leaf == Some(Shape::Table),
        };
        if !goes_on {
            self.open(Shape::Paragraph, line);
        }
        self.add(line.start + cursor.at, 0, line);
    }

    /// Closes what did not go on, before something new begins.
    fn cut(&mut self, start: &mut Start) {
        if let Some(depth) = start.unmatched.take() {
            self.end_from(depth);
        }
    }

    fn count_code(&mut self) -> u32 {
        self.codes += 1;
        self.codes - 1
    }

    /// The number of the next item of the innermost open list, which is what is shown, whatever stands in the text.
    fn count_item(&mut self) -> Option<u32> {
        let at = *self.chain.last()? as usize;
        let Shape::List { next, .. } = &mut self.nodes[at].shape else { return None };
        let number = *next;
        *next = number.map(|number| number.saturating_add(1));
        number
    }

    fn start_quote(&mut self, cursor: &mut Cursor<'_>, start: &mut Start, line: &Line<'_>) -> bool {
        if !cursor.word().starts_with('>') || self.chain.len() >= DEEP {
            return false;
        }
        self.cut(start);
        self.open(Shape::Quote, line);
        take_quote(cursor);
        start.container = Some(Shape::Quote);
        true
    }

    fn start_item(&mut self, cursor: &mut Cursor<'_>, start: &mut Start, line: &Line<'_>) -> bool {
        let Some(marker) = scan::marker(cursor.word()) else { return false };
        let interrupts = !marker.empty && marker.number.is_none_or(|number| number == 1);
        if (start.paragraph && !interrupts) || self.chain.len() + 1 >= DEEP {
            return false;
        }
        self.cut(start);
        let same =
            |shape: Shape| matches!(shape, Shape::List { mark, next } if mark == marker.mark && next.is_some() == marker.number.is_some());
        if !start.container.is_some_and(same) {
            self.open(Shape::List { mark: marker.mark, next: marker.number }, line);
        }
        let number = self.count_item();
        let before = cursor.indent();
        cursor.skip_space();
        cursor.skip(marker.bytes);
        let after = cursor.indent();
        let spaces = if marker.empty || after > 4 { 1 } else { after };
        cursor.skip_columns(spaces);
        let item = Shape::Item { indent: (before + marker.bytes + spaces) as u32, number };
        self.open(item, line);
        start.container = Some(item);
        true
    }

    /// A leaf begins with this line, or the open paragraph becomes another.
    fn start_leaf(&mut self, cursor: &Cursor<'_>, start: &mut Start, line: &Line<'_>) -> bool {
        let word = cursor.word();
        let at = line.start + cursor.at + (cursor.rest().len() - word.len());
        let whole = line.is_whole();
        if let Some(level) = scan::heading(word) {
            self.cut(start);
            self.open(Shape::Heading(level), line);
            let text = &word[usize::from(level)..];
            let inner = if whole { scan::heading_text(text) } else { text };
            let skip = if inner.is_empty() { 0 } else { inner.as_ptr().addr() - word.as_ptr().addr() };
            self.add(at + skip, 0, line);
            if whole && let Some(part) = self.parts.last_mut() {
                part.end = (at + skip + inner.len()) as u32;
            }
            self.chain.pop();
        } else if let Some((mark, len)) = scan::fence(word) {
            let indent = cursor.indent() as u32;
            let info = ((at + len) as u32, (at + word.len()) as u32);
            self.cut(start);
            let code = self.count_code();
            self.open(Shape::Fence { mark, len: len as u32, indent, info, closed: false, code }, line);
        } else if whole && let Some((close, ends)) = scan::math(word) {
            self.cut(start);
            self.open(Shape::Math { close }, line);
            self.add(at, 0, line);
            if ends {
                self.chain.pop();
            }
        } else if let Some(kind) = scan::html(word, start.lazy) {
            self.cut(start);
            self.open(Shape::Html { kind }, line);
            self.add(line.start + cursor.at, cursor.pad, line);
            if scan::html_ends(kind, word) {
                self.chain.pop();
            }
        } else if start.paragraph && whole && (self.becomes_heading(word, line) || self.becomes_table(word, at, line)) {
        } else if whole && scan::is_break(word) {
            self.cut(start);
            self.open(Shape::Break, line);
            self.chain.pop();
        } else {
            return false;
        }
        true
    }

    /// The open paragraph is a heading, with this line under it.
    fn becomes_heading(&mut self, word: &str, line: &Line<'_>) -> bool {
        let Some(level) = scan::underline(word) else { return false };
        if let Some(at) = self.chain.pop() {
            self.nodes[at as usize].shape = Shape::Heading(level);
        }
        self.reach(line.end);
        self.touch();
        true
    }

    /// The open paragraph's last line is the head of a table, with this line under it.
    fn becomes_table(&mut self, word: &str, at: usize, line: &Line<'_>) -> bool {
        let Some(head) = self.parts.last().copied() else { return false };
        let text = &line.source[head.start as usize..head.end as usize];
        if text.len() > HEAD {
            return false;
        }
        let columns = scan::cells(text).count();
        let is_row = scan::delimiter_row(word) == Some(columns) && (word.contains('|') || text.contains('|'));
        // While it is coming, drawn as a table from the first.
        let is_coming = line.partial && text.starts_with('|') && word.starts_with('|') && word.bytes().all(|b| b"|-: ".contains(&b));
        let fits = is_row || is_coming;
        let Some(paragraph) = self.chain.last().map(|at| *at as usize).filter(|_| fits) else { return false };
        self.touch();
        if self.nodes[paragraph].parts.1 - self.nodes[paragraph].parts.0 == 1 {
            self.nodes[paragraph].shape = Shape::Table;
        } else {
            self.nodes[paragraph].parts.1 -= 1;
            let row = line.source[..head.start as usize].rfind('\n').map_or(0, |at| at + 1);
            let nested = self.nodes[paragraph].parent != ROOT;
            if !nested {
                self.reach(row.saturating_sub(1));
            }
            self.blank = false;
            self.open(Shape::Table, &Line { start: row, ..*line });
            if let Some(node) = self.nodes.last_mut() {
                node.parts.0 -= 1;
            }
        }
        self.add(at, 0, line);
        true
    }
}

/// What is known while a line begins blocks.
struct Start {
    /// It may go on with the open paragraph.
    paragraph: bool,
    /// It may do so even past markers that are missing.
    lazy: bool,
    /// Depth from which open blocks did not go on. They stay open until something begins: the line may be lazy.
    unmatched: Option<usize>,
    /// The container that something new goes into.
    container: Option<Shape>,
    /// A container began with this line.
    began: bool,
}

fn take_quote(cursor: &mut Cursor<'_>) {
    cursor.skip_space();
    cursor.skip(1);
    cursor.skip_columns(1);
}
