//! A block of a document as lines of a width.
//!
//! Owns: what Markdown looks like, and how little is drawn again when a block grows. Refuses: which blocks are in view (`pages`),
//! what is in a word (`inline`), where a line breaks (`wrap`). Invariant: lines that are *settled* never change; they come from what
//! is certain of the text, each byte of which is read once. The rest, at most a few kilobytes, is drawn again each time.

use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::Look;
use super::blocks::{Document, Node, Part, ROOT, Shape};
use super::code::{self, CodeRows};
use super::inline::{Piece, inline, mend};
use super::table::{self, TableRows};
use super::width;
use super::wrap::{Prefix, Wrap};
use crate::sanitise;
use crate::tui::theme::Role;

/// Text of a paragraph is read in pieces of about so many bytes, once there is twice as much. Markup that spans two pieces is
/// lost; paragraphs of that length are accidents.
pub(super) const PIECE: usize = 2048;

/// What is drawn, and how.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub document: &'a Document,
    pub look: &'a Look<'a>,
}

impl<'a> Scene<'a> {
    pub fn style(&self, role: Role) -> Style {
        self.look.theme.style(role)
    }

    /// The lines of a leaf.
    pub fn parts(&self, node: &Node) -> &'a [Part] {
        self.document.parts(node)
    }

    /// The text of a line as it came.
    pub fn part(&self, part: &Part) -> &'a str {
        self.document.slice((part.start, part.end))
    }
}

/// What stands around the lines of a leaf.
pub(super) struct Place {
    /// A line that parts it from what is before.
    pub gap: Option<Line<'static>>,
    pub first: Prefix,
    pub rest: Prefix,
    pub style: Style,
}

/// How much of a leaf is to be drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What is certain of it.
    Certain,
    /// All of it, for good.
    All,
    /// All of it, for this time.
    Now,
}

/// A leaf of which some lines are settled.
#[derive(Debug, Clone, Default)]
enum Leaf {
    #[default]
    Begin,
    Flow(Flow),
    Code(CodeRows),
    Table(TableRows),
}

/// Text that is being wrapped.
#[derive(Debug, Clone)]
struct Flow {
    shape: Shape,
    wrap: Wrap,
    /// The line of the leaf, and the byte of it, that comes next.
    part: usize,
    offset: usize,
    /// A line break stands before that.
    breaks: bool,
}

/// What drawing found out besides the lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Notes {
    /// There are links whose targets may come later.
    pub missing: bool,
    /// Code is plain that may get its colours later.
    pub pending: bool,
    /// Row and column behind the last word.
    pub end: (usize, usize),
}

/// The lines of one block.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    pub lines: Vec<Line<'static>>,
    pub notes: Notes,
    /// Lines that never change.
    settled: usize,
    /// The first node of the block, and the one that comes next.
    start: usize,
    node: usize,
    leaf: Leaf,
}

impl Drawing {
    /// Draws what is new of the block with these nodes, and says how many lines that made.
    pub fn draw(&mut self, scene: Scene<'_>, nodes: std::ops::Range<usize>) -> usize {
        let all = scene.document.nodes();
        if self.start != nodes.start || self.is_void(all.get(self.node).filter(|_| self.node < nodes.end)) {
            *self = Self { start: nodes.start, node: nodes.start, ..Self::default() };
        }
        let mut at = self.node;
        self.lines.truncate(self.settled);
        let kept = self.settled;
        self.notes.pending = false;
        while at < nodes.end {
            let node = &all[at];
            if node.shape.is_container() {
                let settled = scene.document.is_settled(at);
                let parent = at + 1 < nodes.end && scene.document.is_certain(at + 1) && all[at + 1].parent as usize == at;
                if !parent && !settled {
                    break;
                }
                if !parent {
                    empty(scene, at, &mut self.lines, &mut self.notes);
                }
                at += 1;
                self.settled = self.lines.len();
                continue;
            }
            let settled = scene.document.is_settled(at);
            if !settled && !scene.document.is_certain(at) {
                break;
            }
            let extent = if settled { Extent::All } else { Extent::Certain };
            let done = leaf(scene, at, &mut self.leaf, extent, &mut self.lines, &mut self.notes);
            self.settled = self.lines.len();
            if !(settled && done) {
                break;
            }
            self.leaf = Leaf::Begin;
            at += 1;
        }
        self.node = at;
        let mut state = self.leaf.clone();
        for at in at..nodes.end {
            if !all[at].shape.is_container() {
                leaf(scene, at, &mut state, Extent::Now, &mut self.lines, &mut self.notes);
                state = Leaf::Begin;
            } else if all.get(at + 1).filter(|_| at + 1 < nodes.end).is_none_or(|next| next.parent as usize != at) {
                empty(scene, at, &mut self.lines, &mut self.notes);
            }
        }
        self.lines.len() - kept
    }

    /// Nothing of the block changes any more: what was kept for that goes.
    pub fn settle(&mut self) {
        self.leaf = Leaf::Begin;
        self.lines.shrink_to_fit();
    }

    /// What its lines take, about.
    pub fn cells(&self, columns: usize) -> usize {
        self.lines.len() * columns
    }

    /// The leaf that was begun has become something else (a heading, a table).
    fn is_void(&self, node: Option<&Node>) -> bool {
        let shape = node.map(|node| node.shape);
        match &self.leaf {
            Leaf::Begin => false,
            Leaf::Flow(flow) => shape != Some(flow.shape),
            Leaf::Code(_) => !matches!(shape, Some(Shape::Fence { .. } | Shape::Indented { .. })),
            Leaf::Table(_) => shape != Some(Shape::Table),
        }
    }
}

/// A container with nothing in it: its marker alone.
fn empty(scene: Scene<'_>, at: usize, out: &mut Vec<Line<'static>>, notes: &mut Notes) {
    let place = place(scene, at, None);
    out.extend(place.gap);
    notes.end = (out.len(), place.first.width);
    out.push(Line::from(place.first.spans));
}

/// Draws a leaf; false if something of it has to wait.
fn leaf(scene: Scene<'_>, at: usize, state: &mut Leaf, extent: Extent, out: &mut Vec<Line<'static>>, notes: &mut Notes) -> bool {
    let node = &scene.document.nodes()[at];
    match node.shape {
        Shape::Fence { .. } | Shape::Indented { .. } => {
            if !matches!(state, Leaf::Code(_)) {
                *state = Leaf::Code(CodeRows::new(scene, node, place(scene, at, None)));
            }
            let Leaf::Code(rows) = state else { return true };
            code::draw(scene, at, rows, extent, out, notes)
        }
        Shape::Table => {
            if !matches!(state, Leaf::Table(_)) {
                *state = Leaf::Table(TableRows::default());
            }
            let Leaf::Table(rows) = state else { return true };
            table::draw(scene, node, rows, extent, || place(scene, at, None), out, notes);
            true
        }
        Shape::Break => {
            let place = place(scene, at, None);
            out.extend(place.gap);
            let columns = usize::from(scene.look.width).saturating_sub(place.first.width);
            let mut line = place.first;
            line.push(scene.look.glyphs().rule.repeat(columns), scene.style(Role::Break));
            notes.end = (out.len(), line.width);
            out.push(Line::from(line.spans));
            true
        }
        _ => {
            flow(scene, at, state, extent, out, notes);
            true
        }
    }
}

impl Flow {
    /// Its text has no inline markup.
    fn is_literal(&self) -> bool {
        matches!(self.shape, Shape::Plain | Shape::Html { .. } | Shape::Math { .. })
    }
}

fn flow(scene: Scene<'_>, at: usize, state: &mut Leaf, extent: Extent, out: &mut Vec<Line<'static>>, notes: &mut Notes) {
    let node = &scene.document.nodes()[at];
    let parts = scene.parts(node);
    let (certain, bytes) = scene.document.certain(node);
    let end = match extent {
        Extent::Certain => {
            let whole = parts[..certain].last().map_or(0, |part| part.end as usize);
            let growing = parts.get(certain).filter(|part| (part.start as usize) < bytes);
            growing.map_or(whole, |part| (part.end as usize).min(bytes))
        }
        Extent::All | Extent::Now => parts.last().map_or(0, |part| part.end as usize),
    };
    let next = match state {
        Leaf::Flow(flow) => parts.get(flow.part).map_or(end, |part| part.start as usize + flow.offset),
        _ => parts.first().map_or(0, |part| part.start as usize),
    };
    let last = extent != Extent::Certain;
    if !last && end.saturating_sub(next) < 2 * PIECE {
        return;
    }
    if matches!(state, Leaf::Begin) {
        // A paragraph of nothing but definitions has no rows.
        if node.shape == Shape::Paragraph && last && is_definition(scene, parts) {
            return;
        }
        *state = Leaf::Flow(begin(scene, at, out));
    }
    let Leaf::Flow(flow) = state else { return };
    let style = text_style(scene, at);
    while let Some(part) = parts.get(flow.part) {
        let next = part.start as usize + flow.offset;
        if end.saturating_sub(next) < 2 * PIECE {
            break;
        }
        let piece = take_piece(scene, parts, flow, next + PIECE);
        put_piece(scene, &piece, style, flow, out, notes);
    }
    if last {
        let piece = take_piece(scene, parts, flow, usize::MAX);
        // What is being written looks as it will.
        let written = extent == Extent::Now && at + 1 == scene.document.nodes().len() && !scene.document.is_settled(at);
        let piece = if written && !flow.is_literal() { mend(&piece) } else { piece.into() };
        put_piece(scene, &piece, style, flow, out, notes);
        let column = flow.wrap.clone().finish(out);
        notes.end = (out.len() - 1, column);
    }
}

/// Nothing but definitions of references, which are not shown.
fn is_definition(scene: Scene<'_>, parts: &[Part]) -> bool {
    let first = parts.first().map_or("", |part| scene.part(part));
    if !first.starts_with('[') || !first.contains("]:") {
        return false;
    }
    let mut text = String::new();
    for part in parts {
        text.push_str(scene.part(part));
        text.push('\n');
    }
    let mut shown = false;
    inline(&text, Style::new(), scene.document, scene.look, &mut |piece| shown |= matches!(piece, Piece::Text(..)));
    !shown
}

fn begin(scene: Scene<'_>, at: usize, out: &mut Vec<Line<'static>>) -> Flow {
    let node = &scene.document.nodes()[at];
    let task = task(scene, at);
    let mut place = place(scene, at, task);
    out.extend(place.gap);
    if let Shape::Heading(level) = node.shape
        && scene.look.ascii
        && scene.look.width >= 20
    {
        // Without boxes it is read aloud, or styles are few: the level is told in words.
        place.first.push(format!("{} ", "#".repeat(usize::from(level))), scene.style(Role::Heading));
        place.rest.push(" ".repeat(usize::from(level) + 1), Style::new());
    }
    let wrap = Wrap::new(usize::from(scene.look.width), place.first, place.rest);
    let wrap = if matches!(node.shape, Shape::Plain | Shape::Html { .. } | Shape::Math { .. }) { wrap.keep_indent() } else { wrap };
    Flow { shape: node.shape, wrap, part: 0, offset: if task.is_some() { 4 } else { 0 }, breaks: false }
}

/// `[ ] ` or `[x] ` at the start of an item.
fn task(scene: Scene<'_>, at: usize) -> Option<bool> {
    let node = &scene.document.nodes()[at];
    let parent = scene.document.nodes().get(node.parent as usize).filter(|_| node.parent != ROOT)?;
    if node.shape != Shape::Paragraph || !node.first || !matches!(parent.shape, Shape::Item { .. }) {
        return None;
    }
    let text = scene.parts(node).first().map(|part| scene.part(part))?;
    match text.get(..4)? {
        "[ ] " => Some(false),
        "[x] " | "[X] " => Some(true),
        _ => None,
    }
}

/// The style of a leaf's text.
fn text_style(scene: Scene<'_>, at: usize) -> Style {
    let theme = scene.look.theme;
    let nodes = scene.document.nodes();
    let mut style = theme.style(scene.look.base);
    let mut up = nodes[at].parent;
    while up != ROOT {
        let node = &nodes[up as usize];
        if node.shape == Shape::Quote {
            style = theme.over(style, Role::Quote);
            break;
        }
        up = node.parent;
    }
    match nodes[at].shape {
        Shape::Heading(level) => {
            let style = theme.over(style, Role::Heading);
            match level {
                1 => style.add_modifier(Modifier::UNDERLINED),
                2 => style,
                _ => style.add_modifier(Modifier::ITALIC),
            }
        }
        Shape::Html { .. } => theme.over(style, Role::Quiet),
        Shape::Math { .. } => theme.over(style, Role::Math),
        _ => style,
    }
}

/// Takes a leaf's text up to about a byte of the source, cut before a space where there is one.
fn take_piece(scene: Scene<'_>, parts: &[Part], flow: &mut Flow, limit: usize) -> String {
    let mut text = String::new();
    while let Some(part) = parts.get(flow.part) {
        let next = part.start as usize + flow.offset;
        if next >= limit {
            break;
        }
        if std::mem::take(&mut flow.breaks) {
            text.push('\n');
        }
        if flow.offset == 0 {
            text.extend(std::iter::repeat_n(' ', usize::from(part.pad)));
        }
        let rest = &scene.part(part)[flow.offset..];
        if part.end as usize <= limit {
            text.push_str(rest);
            flow.part += 1;
            flow.offset = 0;
            flow.breaks = true;
            continue;
        }
        let head = sanitise::prefix(rest, limit - next);
        let cut = head.rfind(' ').filter(|at| *at > 0).unwrap_or(head.len());
        text.push_str(&rest[..cut]);
        flow.offset += cut;
        break;
    }
    text
}

fn put_piece(scene: Scene<'_>, piece: &str, style: Style, flow: &mut Flow, out: &mut Vec<Line<'static>>, notes: &mut Notes) {
    // A break between two pieces is at the start of the second, where inline markup would swallow it.
    let piece = match piece.strip_prefix('\n') {
        Some(rest) => {
            flow.wrap.line_break(out);
            rest
        }
        None => piece,
    };
    if flow.is_literal() {
        for (index, line) in sanitise::block(piece).split('\n').enumerate() {
            if index > 0 {
                flow.wrap.line_break(out);
            }
            flow.wrap.text(&width::without_vs16(line), style, out);
        }
        return;
    }
    let wrap = &mut flow.wrap;
    notes.missing |= inline(piece, style, scene.document, scene.look, &mut |piece| match piece {
        Piece::Text(text, style) => wrap.text(text, style, out),
        Piece::Break => wrap.line_break(out),
    });
}

/// What the blocks around a node put before its lines.
pub(super) fn place(scene: Scene<'_>, at: usize, task: Option<bool>) -> Place {
    let nodes = scene.document.nodes();
    let glyphs = scene.look.glyphs();
    // From the outermost: what stands before the first line, before the others, and whether the container begins here.
    let mut around: Vec<(Prefix, Prefix, bool)> = Vec::new();
    let mut begins = true;
    let mut gap = false;
    let mut below = at;
    let mut up = at as u32;
    while up != ROOT {
        let node = &nodes[up as usize];
        gap |= begins && node.gap;
        let (mut first, mut rest) = (Prefix::default(), Prefix::default());
        match node.shape {
            Shape::Quote => {
                first.push(glyphs.bar, scene.style(Role::QuoteBar));
                rest = first.clone();
            }
            Shape::Item { number, .. } => {
                let depth = depth(nodes, node.parent);
                let mark = match (task.filter(|_| below == at), number) {
                    (Some(done), _) => (if done { glyphs.done } else { glyphs.todo }).into(),
                    (None, Some(number)) => {
                        let mark = if list_mark(nodes, node.parent) == b')' { ')' } else { '.' };
                        std::borrow::Cow::Owned(format!("{number}{mark} "))
                    }
                    (None, None) => glyphs.bullets[depth % glyphs.bullets.len()].into(),
                };
                let columns = width::width(&mark);
                rest.push(" ".repeat(columns), Style::new());
                if begins {
                    first.push(mark, scene.style(Role::Bullet));
                } else {
                    first = rest.clone();
                }
            }
            _ => {}
        }
        if first.width > 0 {
            around.push((first, rest, begins));
        }
        begins &= node.first;
        below = up as usize;
        up = node.parent;
    }
    // Deep nesting must leave room for words: the outermost markers go.
    let columns = usize::from(scene.look.width);
    let limit = columns.saturating_sub(16).max(columns / 2);
    let mut total: usize = around.iter().map(|(first, ..)| first.width).sum();
    while total > limit
        && let Some((first, ..)) = around.pop()
    {
        total -= first.width;
    }
    let (mut first, mut rest, mut between) = (Prefix::default(), Prefix::default(), Prefix::default());
    for (head, others, begins) in around.into_iter().rev() {
        if !begins {
            between.spans.extend(others.spans.iter().cloned());
        }
        first.width += head.width;
        first.spans.extend(head.spans);
        rest.width += others.width;
        rest.spans.extend(others.spans);
    }
    while between.spans.last().is_some_and(|span| span.content.trim().is_empty()) {
        between.spans.pop();
    }
    Place { gap: gap.then(|| Line::from(between.spans)), first, rest, style: text_style(scene, at) }
}

/// How many lists are around a list.
fn depth(nodes: &[Node], list: u32) -> usize {
    let mut depth = 0;
    let mut up = nodes.get(list as usize).map_or(ROOT, |node| node.parent);
    while up != ROOT {
        let node = &nodes[up as usize];
        depth += usize::from(matches!(node.shape, Shape::List { .. }));
        up = node.parent;
    }
    depth
}

fn list_mark(nodes: &[Node], list: u32) -> u8 {
    match nodes.get(list as usize).map(|node| node.shape) {
        Some(Shape::List { mark, .. }) => mark,
        _ => b'.',
    }
}
