//! What a message consists of, row by row: measuring and drawing go through the same list of strips, so they cannot disagree.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::body::{self, Kind};
use super::{AROUND, Chat, header};
use crate::core::Doc;
use crate::core::queue::{Standing, standing};
use crate::proto::{Node, NodeId, Part, Role as Speaker, State};
use crate::tui::action::{Action, Scope, queue};
use crate::tui::format;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::Cx;
use crate::tui::text::width::drawable;
use crate::tui::text::{Look, estimate_height};
use crate::tui::theme::Role;

/// Columns before the text of a message.
const INDENT: u16 = 3;
/// Columns before the signs of arbour's own labels: in the margin of the text, so that no message can forge one.
const MARGIN: u16 = 1;
/// Rows of a tool's result that are shown while it is folded.
const RESULT: usize = 6;

/// A run of rows of one message.
enum Strip {
    Header,
    /// A document of the body, by its place, and its rows.
    Document(usize, usize),
    Line(String, Role),
    /// What arbour says of a part. Its sign stands in the margin, where no text of a message comes.
    Label(String, Role),
    /// Content that is still to come, in so many rows.
    Skeleton(usize),
    Blank,
}

impl Strip {
    fn rows(&self) -> usize {
        match self {
            Self::Document(_, rows) | Self::Skeleton(rows) => *rows,
            Self::Header | Self::Line(..) | Self::Label(..) | Self::Blank => 1,
        }
    }
}

impl Chat {
    /// Makes the heights of what is in view exact.
    pub(super) fn settle(&mut self, cx: &Cx<'_>, doc: &Doc, height: u16) {
        let mut list = std::mem::take(&mut self.list);
        list.settle(height, |item| self.strips(cx, doc, item).iter().map(Strip::rows).sum());
        self.list = list;
    }

    pub(super) fn draw(&mut self, cx: &Cx<'_>, doc: &Doc, area: Rect, buf: &mut Buffer) {
        let shown: Vec<_> = self.list.visible(area.height).collect();
        let selected = if cx.focused { self.selected(cx.shared) } else { None };
        for place in &shown {
            let rect = Rect { y: area.y + place.y, height: place.rows, ..area };
            self.draw_item(cx, doc, place.item, place.skip as usize, rect, buf);
            if selected == Some(place.item) {
                let bar = cx.style(Role::Accent);
                for y in rect.top()..rect.bottom() {
                    // The blank row below a message is not part of it.
                    let last = y + 1 == rect.bottom() && usize::from(place.rows) + place.skip as usize == self.list.height(place.item);
                    if rect.width > 0 && !(last && rect.height > 1) {
                        buf[(rect.x, y)].set_symbol("▎").set_style(bar);
                    }
                }
            }
        }
        if let (Some(first), Some(last)) = (shown.first(), shown.last()) {
            let from = first.item.saturating_sub(AROUND);
            let missing = |id: &&NodeId| doc.node(**id).is_some_and(|n| n.bytes > 0) && doc.content(**id).is_none();
            let needed = self.path.iter().skip(first.item).take(last.item - first.item + 1).filter(missing).count();
            self.missing.clear();
            if needed > 0 {
                self.missing.extend(self.path.iter().skip(from).take(last.item - from + 1 + AROUND).filter(missing));
            }
        }
    }

    fn look<'a>(&self, cx: &'a Cx<'_>, kind: Kind) -> Look<'a> {
        let base = match kind {
            Kind::Text => Role::Text,
            Kind::Thinking => Role::Thinking,
            Kind::Call | Kind::Result | Kind::Attached => Role::Tool,
        };
        Look {
            width: self.width.saturating_sub(INDENT + 1).max(8),
            base,
            highlighter: Some(&cx.shared.highlighter),
            ..Look::new(&cx.shared.theme)
        }
    }

    /// The rows of an item; the last item is the tail.
    fn strips(&mut self, cx: &Cx<'_>, doc: &Doc, item: usize) -> Vec<Strip> {
        let Some(id) = self.path.get(item).copied() else { return self.tail(cx, doc) };
        let Some(node) = doc.node(id) else { return Vec::new() };
        let mut strips = Vec::new();
        if let Some(change) = self.model_change(doc, item, node) {
            strips.push(Strip::Label(change, Role::Quiet));
        }
        strips.push(Strip::Header);
        if doc.content(id).is_none() && node.bytes > 0 {
            strips.push(Strip::Skeleton(estimate_height(usize::try_from(node.bytes).unwrap_or(0), self.width.saturating_sub(4)).min(400)));
        } else {
            self.sync(doc, id);
            self.body_strips(cx, doc, node, &mut strips);
        }
        let columns = usize::from(self.width.saturating_sub(INDENT + 1));
        for (text, role) in header::notes(cx, doc, node) {
            strips.extend(wrap(&text, columns).into_iter().map(|line| Strip::Line(line, role)));
        }
        strips.push(Strip::Blank);
        strips
    }

    fn body_strips(&mut self, cx: &Cx<'_>, doc: &Doc, node: &Node, strips: &mut Vec<Strip>) {
        let open = self.unfolded.contains(&node.id);
        let (Some(body), Some(content)) = (self.bodies.get(&node.id), doc.content(node.id)) else { return };
        let fold = cx.key(Scope::Chat, Action::Fold);
        for (i, (piece, part)) in body.pieces.iter().zip(content).enumerate() {
            if piece.kind == Kind::Thinking && piece.document.text().trim().is_empty() {
                continue;
            }
            let look = self.look(cx, piece.kind);
            let way = if open { String::new() } else { format!("  {fold} shows it") };
            let (label, shown) = match piece.kind {
                Kind::Text => (None, usize::MAX),
                Kind::Thinking => {
                    let going = i + 1 == body.pieces.len() && node.state == State::Thinking;
                    let only = body.pieces.iter().filter(|piece| piece.kind == Kind::Thinking).count() == 1;
                    (Some((format!("{}{way}", thought(cx, node, part, going, only)), Role::Thinking)), if open { usize::MAX } else { 0 })
                }
                Kind::Call => (Some((body::label(part, |_| None), Role::Tool)), if open { usize::MAX } else { 0 }),
                Kind::Result => (Some((body::label(part, |id| called(doc, node, id)), Role::Tool)), if open { usize::MAX } else { RESULT }),
                Kind::Attached => (Some((body::label(part, |_| None), Role::Tool)), 0),
            };
            if let Some((text, role)) = label {
                let text = if open && piece.kind.folds() { text.replacen('▸', "▾", 1) } else { text };
                strips.push(Strip::Label(text, role));
            }
            let rows = if shown > 0 { self.pages.height(&piece.document, &look) } else { 0 };
            if rows > 0 {
                strips.push(Strip::Document(i, rows.min(shown)));
            }
            if shown > 0 && rows > shown {
                let more = format::plural((rows - shown) as u64, "more row");
                strips.push(Strip::Label(format!("┄ {more}{way}"), Role::Quiet));
            }
        }
    }

    /// Another model answers than before.
    fn model_change(&self, doc: &Doc, item: usize, node: &Node) -> Option<String> {
        if node.role != Speaker::Assistant {
            return None;
        }
        let before = self.path[..item].iter().rev().filter_map(|id| doc.node(*id)).find(|n| n.role == Speaker::Assistant)?;
        let (old, new) = (before.model.as_ref()?, node.model.as_ref()?);
        (old != new).then(|| format!("⇄ the model changed: {} → {}", drawable(&old.model), drawable(&new.model)))
    }

    fn draw_item(&mut self, cx: &Cx<'_>, doc: &Doc, item: usize, skip: usize, rect: Rect, buf: &mut Buffer) {
        let strips = self.strips(cx, doc, item);
        let node = self.path.get(item).and_then(|id| doc.node(*id));
        let mut skip = skip;
        let mut y = 0u16;
        for strip in &strips {
            let rows = strip.rows();
            if skip >= rows {
                skip -= rows;
                continue;
            }
            let room = rect.height - y;
            let height = u16::try_from(rows - skip).unwrap_or(u16::MAX).min(room);
            let area = Rect { y: rect.y + y, height, ..rect };
            match (strip, node) {
                (Strip::Header, Some(node)) => {
                    let place = *self.places.entry(node.id).or_insert_with(|| doc.place(node.id));
                    header::draw(cx, doc, node, place, self.live(node.id), area, buf);
                }
                (Strip::Document(piece, rows), Some(node)) => self.draw_document(cx, node, *piece, skip, *rows, area, buf),
                (Strip::Line(text, role), _) => {
                    Row::new(buf, area, 0).gap(INDENT).text(text, cx.style(*role));
                }
                (Strip::Label(text, role), _) => {
                    Row::new(buf, area, 0).gap(MARGIN).text(text, cx.style(*role));
                }
                (Strip::Skeleton(_), _) => {
                    for row in 0..height.min(3) {
                        let length = [36, 44, 22][usize::from(row)].min(usize::from(area.width.saturating_sub(INDENT + 2)));
                        Row::new(buf, area, row).gap(INDENT).text(&"░".repeat(length), cx.style(Role::Skeleton));
                    }
                }
                _ => {}
            }
            skip = 0;
            y += height;
            if y >= rect.height {
                break;
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one strip's whole place: splitting it up would only name the parts twice")]
    fn draw_document(&mut self, cx: &Cx<'_>, node: &Node, piece: usize, skip: usize, rows: usize, area: Rect, buf: &mut Buffer) {
        let Some(body) = self.bodies.get(&node.id) else { return };
        let Some(shown) = body.pieces.get(piece) else { return };
        let look = self.look(cx, shown.kind);
        let inner = Rect { x: area.x + INDENT, width: look.width.min(area.width.saturating_sub(INDENT)), ..area };
        self.pages.draw(&shown.document, &look, skip, inner, buf);
        let writing = node.state == State::Writing && piece + 1 == body.pieces.len() && shown.kind == Kind::Text;
        // The block at the end of what is being written costs a few bytes a token: a slow terminal does without.
        if writing && !cx.slow && skip + usize::from(area.height) == rows {
            let (row, column) = self.pages.end(&shown.document, &look);
            let x = inner.x + u16::try_from(column).unwrap_or(inner.width).min(inner.width.saturating_sub(1));
            let y = area.y + u16::try_from(row.saturating_sub(skip)).unwrap_or(u16::MAX).min(area.height - 1);
            if x < buf.area.right() && y < buf.area.bottom() {
                buf[(x, y)].set_symbol("▌").set_style(cx.style(Role::Cursor));
            }
        }
        if !cx.needle.text.is_empty() {
            super::find::highlight(&cx.needle.text, inner, buf, cx.style(Role::SearchHit));
        }
    }

    /// Below the last message: which model answers next if it is another, and whether the branch goes on.
    fn tail(&self, cx: &Cx<'_>, doc: &Doc) -> Vec<Strip> {
        let mut strips = Vec::new();
        let Some(leaf) = self.path.last().and_then(|id| doc.node(*id)) else { return strips };
        let answers = self.path.iter().rev().filter_map(|id| doc.node(*id));
        let last = answers.clone().find(|n| n.role == Speaker::Assistant).and_then(|n| n.model.as_ref());
        if let (Some(last), Some(next)) = (last, &doc.conversation.row.model)
            && last != next
            && !leaf.state.is_running()
        {
            strips.push(Strip::Label(format!("⇄ {} answers next (so far: {})", drawable(&next.model), drawable(&last.model)), Role::Quiet));
        }
        if let Some((what, meaning, role)) = self.hindrance(cx, leaf) {
            strips.push(Strip::Line(format!("▲ {what}"), role));
            let columns = usize::from(self.width.saturating_sub(INDENT + 1));
            strips.extend(wrap(meaning, columns).into_iter().map(|line| Strip::Line(line, Role::Quiet)));
        }
        self.queued(cx, doc, &mut strips);
        let mut below = 0u64;
        let mut at = doc.node(doc.leaf_below(leaf.id));
        while let Some(node) = at.filter(|n| n.id != leaf.id) {
            below += 1;
            at = node.parent.and_then(|parent| doc.node(parent));
        }
        if below > 0 {
            let more = format::plural(below, "further message");
            let key = cx.key(Scope::ComposerNormal, Action::LastMessage);
            strips.push(Strip::Line(format!("┄ {more} on this branch ({key} shows the end)"), Role::Quiet));
        }
        strips
    }

    /// What stands in the way of the next answer; while one is written, its own header tells.
    pub(super) fn hindrance(&self, cx: &Cx<'_>, leaf: &Node) -> Option<(String, &'static str, Role)> {
        let next = cx.shared.model().filter(|_| !leaf.state.is_running())?;
        crate::tui::backends::hindrance(&next, cx.shared)
    }

    /// The prompts that wait at the end of the shown path.
    fn queued(&self, cx: &Cx<'_>, doc: &Doc, strips: &mut Vec<Strip>) {
        /// More are counted.
        const SHOWN: usize = 5;
        let all = doc.conversation.queue.iter().enumerate();
        let here: Vec<_> = all.filter(|(_, queued)| self.path.contains(&queued.line)).collect();
        for (at, queued) in here.iter().take(SHOWN) {
            let held = matches!(standing(doc, queued), Standing::Held(_));
            let word = if held { "held" } else { "queued" };
            strips.push(Strip::Line(format!("{} {word}  {}", at + 1, queue::words(&queued.content)), Role::Quiet));
        }
        if here.len() > SHOWN {
            strips.push(Strip::Line(format!("… and {} more", here.len() - SHOWN), Role::Quiet));
        }
        let Some((_, first)) = here.first() else { return };
        if let Standing::Held(why) = standing(doc, first) {
            let key = cx.key(Scope::Anywhere, Action::Queue);
            let text = format!("held: {} · {key} shows the queue, Enter there sends it", why.words());
            let columns = usize::from(self.width.saturating_sub(INDENT + 1));
            strips.extend(wrap(&text, columns).into_iter().map(|line| Strip::Line(line, Role::Warning)));
        }
    }

    /// Rows of the message at which the needle is found.
    pub(super) fn hit_rows(&mut self, cx: &Cx<'_>, doc: &Doc, item: usize) -> Vec<usize> {
        let strips = self.strips(cx, doc, item);
        let Some(body) = self.path.get(item).and_then(|id| self.bodies.get(id)) else { return Vec::new() };
        let mut out = Vec::new();
        let mut row = 0;
        for strip in &strips {
            if let Strip::Document(piece, rows) = strip {
                let shown = &body.pieces[*piece];
                let look = self.look(cx, shown.kind);
                for (i, line) in self.pages.lines(&shown.document, &look, 0, *rows).enumerate() {
                    let text: String = line.spans.iter().map(|s| s.content.as_ref()).collect();
                    if crate::tui::pane::tree::matches(&cx.needle.text, &text) {
                        out.push(row + i);
                    }
                }
            }
            row += strip.rows();
        }
        out
    }
}

/// `▸ thought 12 s · ~340 tok`: how long a model thought, and how much. The run tells it of all thinking, so of one part only where
/// it is all.
fn thought(cx: &Cx<'_>, node: &Node, part: &Part, going: bool, only: bool) -> String {
    let run = node.run.as_ref().filter(|_| only);
    let time = match (going, run) {
        (true, _) => {
            let since = node.run.as_ref().map_or(0, |run| run.progress.since);
            Some(if since > 0 { cx.since(since) } else { 0 }).filter(|s| *s > 0).map(format::seconds_long)
        }
        (false, Some(run)) => run.figures.thinking_ms.map(|ms| format::figure(Some(ms), format::wait)),
        (false, None) => None,
    };
    let tokens = match run.and_then(|run| run.figures.thinking_tokens).filter(|_| !going) {
        Some(told) => format::figure(Some(told), |n| format::short(n as u64)),
        None => {
            let bytes = if let Part::Thinking { text } = part { text.len() } else { 0 };
            format!("~{}", format::short(bytes as u64 / 4))
        }
    };
    let time = time.map(|time| format!(" {time} ·")).unwrap_or_default();
    format!("▸ {}{time} {tokens} tok", if going { "thinking" } else { "thought" })
}

/// The name of the tool that a result is of: a call of the answer above says it.
fn called(doc: &Doc, node: &Node, id: &str) -> Option<String> {
    let above = doc.content(node.parent?)?;
    above.iter().find_map(|part| match part {
        Part::ToolCall { id: call, name, .. } if call == id => Some(name.clone()),
        _ => None,
    })
}
