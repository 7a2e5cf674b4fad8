//! The chat: the messages of the shown path, drawn as they come.
//!
//! Owns: scrolling, folds, documents of the messages in view, the search in them. Refuses: what a message is and how text becomes lines
//! (`text`). Invariant: a frame costs what is visible plus what is new; while it follows, what stands still on the screen stays still.

mod body;
mod empty;
mod find;
mod header;
mod items;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::body::Body;
use self::header::Live;
use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Seek, Subject, Title, tile};
use crate::core::Doc;
use crate::proto::{ConversationId, Event, EventKind, NodeId, Role as Speaker, State};
use crate::tui::action::{Action, Scope};
use crate::tui::backends;
use crate::tui::layout::Slot;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::shared::{Link, Shared};
use crate::tui::text::width::drawable;
use crate::tui::text::{Code, Jump, List, Pages, estimate_height};
use crate::tui::theme::Role;

pub const ID: &str = "chat";
/// Contents that are asked for when a conversation is opened: more than any terminal shows at once.
pub const WINDOW: u32 = 40;
/// Messages around the visible ones whose content is asked for with theirs.
const AROUND: usize = 20;
/// Cells of wrapped text that are kept: about 20 MB at the worst.
const CELLS: usize = 2_000_000;
/// Documents of this many messages are kept.
const BODIES: usize = 300;

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Centre, 4, 1), title: "Chat", tab: "Chat", scope: Scope::Chat };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Chat::default())
}

/// Of what the items were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    conversation: Option<ConversationId>,
    doc: u64,
    epoch: u64,
    leaf: Option<NodeId>,
}

struct Chat {
    list: List,
    pages: Pages,
    /// The path; the list has one item more, the tail.
    path: Vec<NodeId>,
    bodies: HashMap<NodeId, Body>,
    /// Which of how many versions a message is: counted once for each outline, for there may be thousands.
    places: HashMap<NodeId, (usize, usize)>,
    made: Option<Made>,
    width: u16,
    height: u16,
    theme: u32,
    /// The revision of models and backends that the tail was made with.
    models: u64,
    /// Messages whose thinking, calls and results are shown.
    unfolded: HashSet<NodeId>,
    reveal: u64,
    /// Contents found missing by the last view, and those asked for already.
    missing: Vec<NodeId>,
    asked: HashSet<NodeId>,
    /// For the rate of what is being written: node, when its text began, tokens since.
    rate: Option<(NodeId, Duration, f64)>,
    shown_rate: Option<(Duration, f64)>,
    find: find::Find,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            list: List::new(),
            pages: Pages::new(CELLS),
            path: Vec::new(),
            bodies: HashMap::new(),
            places: HashMap::new(),
            made: None,
            width: 0,
            height: 0,
            theme: 0,
            models: 0,
            unfolded: HashSet::new(),
            reveal: 0,
            missing: Vec::new(),
            asked: HashSet::new(),
            rate: None,
            shown_rate: None,
            find: find::Find::default(),
        }
    }
}

impl Chat {
    /// Takes over what changed since the last time: the path, the width, the theme.
    fn refresh(&mut self, cx: &Cx<'_>, width: u16) {
        let shared = cx.shared;
        let made = Made {
            conversation: shared.view.conversation,
            doc: shared.revisions.doc,
            epoch: shared.revisions.epoch,
            leaf: shared.view.leaf,
        };
        let before = self.made;
        if before.map(|m| m.epoch) != Some(made.epoch) {
            self.forget_all();
        }
        if self.made != Some(made) {
            self.places.clear();
            self.made = Some(made);
            let other = before.is_none_or(|b| b.conversation != made.conversation);
            self.take_path(shared, width, other);
        }
        if std::mem::replace(&mut self.models, shared.revisions.models) != shared.revisions.models {
            // The tail says what stands in the way of the next answer.
            self.list.forget_height(self.path.len());
        }
        if self.width != width || self.theme != shared.theme.generation {
            self.width = width;
            self.theme = shared.theme.generation;
            self.list.forget_heights();
        }
    }

    fn forget_all(&mut self) {
        for (_, body) in self.bodies.drain() {
            for piece in body.pieces {
                self.pages.forget(piece.document.id());
            }
        }
        self.asked.clear();
        self.list.forget_heights();
    }

    /// Makes the items anew where the path differs; what is read stays where it is.
    fn take_path(&mut self, shared: &Shared, width: u16, other: bool) {
        let path = match (shared.doc(), shared.view.leaf) {
            (Some(doc), Some(leaf)) => doc.path(leaf),
            _ => Vec::new(),
        };
        let guess = |id: &NodeId| -> usize {
            let bytes = shared.doc().and_then(|doc| doc.node(*id)).map_or(0, |n| n.bytes);
            estimate_height(usize::try_from(bytes).unwrap_or(usize::MAX), width.saturating_sub(4)) + 2
        };
        if other {
            self.unfolded.clear();
            self.list = List::new();
            self.list.reset(path.iter().map(guess).chain([0]));
        } else {
            let common = self.path.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let removed = self.list.len() - common.min(self.list.len());
            self.list.splice(common, removed, path[common..].iter().map(guess).chain([0]));
        }
        // What is above a changed message may look different: a model change is told there.
        self.path = path;
        self.find.forget();
    }

    fn selected(&self, shared: &Shared) -> Option<usize> {
        match shared.view.selected {
            Some(id) => self.path.iter().position(|other| *other == id),
            None => self.path.len().checked_sub(1),
        }
    }

    /// Moves the selection by messages.
    fn step(&mut self, shared: &Shared, by: isize) -> Outcome {
        let Some(at) = self.selected(shared) else { return Outcome::done() };
        let last = self.path.len() - 1;
        let there = at.saturating_add_signed(by).min(last);
        if there == last {
            self.list.to_end();
        }
        Intent::Select(if there == last { None } else { Some(self.path[there]) }).into()
    }

    /// After scrolling by rows, the selection is on a message that is in view.
    fn scrolled(&mut self, shared: &Shared) -> Outcome {
        if self.list.is_following() {
            return Intent::Rest(None).into();
        }
        let shown: Vec<usize> = self.list.visible(self.height).map(|s| s.item).filter(|i| *i < self.path.len()).collect();
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else { return Outcome::done() };
        let at = self.selected(shared).unwrap_or(0).clamp(*first, *last);
        Intent::Rest(Some(self.path[at])).into()
    }

    fn scroll(&mut self, action: Action, times: usize, shared: &Shared) -> Option<Outcome> {
        let rows = i64::try_from(times).unwrap_or(1);
        let part = times as f32;
        match action {
            Action::LineDown => self.list.scroll(rows, self.height),
            Action::LineUp => self.list.scroll(-rows, self.height),
            Action::HalfDown | Action::ChatHalfDown => self.list.page(0.5 * part, self.height),
            Action::HalfUp | Action::ChatHalfUp => self.list.page(-0.5 * part, self.height),
            Action::PageDown | Action::ChatPageDown => self.list.page(part, self.height),
            Action::PageUp | Action::ChatPageUp => self.list.page(-part, self.height),
            _ => return None,
        }
        Some(self.scrolled(shared))
    }

    /// The code blocks of the target message, labelled.
    #[must_use]
    fn codes(&mut self, cx: &Cx<'_>) -> Vec<Code> {
        let Some((doc, node)) = cx.doc().zip(cx.target()) else { return Vec::new() };
        let id = node.id;
        self.sync(doc, id);
        let Some(body) = self.bodies.get(&id) else { return Vec::new() };
        body.pieces.iter().filter(|p| p.kind == body::Kind::Text).flat_map(|p| p.document.codes()).collect()
    }

    /// Brings a message's documents up to date, as far as its content is at hand.
    fn sync(&mut self, doc: &Doc, id: NodeId) {
        let (Some(node), Some(content)) = (doc.node(id), doc.content(id)) else { return };
        let plain = matches!(node.role, Speaker::User | Speaker::Tool);
        let stale = self.bodies.entry(id).or_default().sync(content, plain, node.state.is_running());
        for document in stale {
            self.pages.forget(document);
        }
    }

    /// Drops documents of messages far from the view, when there are many.
    fn trim(&mut self) {
        if self.bodies.len() <= BODIES {
            return;
        }
        let near: HashSet<NodeId> = {
            let shown: Vec<usize> = self.list.visible(self.height).map(|s| s.item).collect();
            let (first, last) = (shown.first().copied().unwrap_or(0), shown.last().copied().unwrap_or(0));
            self.path.iter().skip(first.saturating_sub(BODIES / 3)).take(last - first + BODIES / 2).copied().collect()
        };
        let far: Vec<NodeId> = self.bodies.keys().filter(|id| !near.contains(id)).copied().collect();
        for id in far {
            if let Some(body) = self.bodies.remove(&id) {
                for piece in body.pieces {
                    self.pages.forget(piece.document.id());
                }
            }
        }
    }

    /// Counts what arrives, for the live rate. Shown anew once a second, so that a token does not cost a header.
    fn count(&mut self, node: NodeId, text: &str, now: Duration) {
        let tokens = f64::from(crate::core::estimate::text(text));
        match &mut self.rate {
            Some((id, _, sum)) if *id == node => *sum += tokens,
            _ => {
                self.rate = Some((node, now, 0.0));
                self.shown_rate = None;
            }
        }
        if let Some((_, began, sum)) = self.rate {
            let elapsed = now.saturating_sub(began);
            let due = self.shown_rate.is_none_or(|(at, _)| now.saturating_sub(at) >= Duration::from_secs(1));
            if due && elapsed >= Duration::from_millis(500) {
                self.shown_rate = Some((now, sum / elapsed.as_secs_f64()));
            }
        }
    }

    fn live(&self, node: NodeId) -> Live {
        let mine = self.rate.is_some_and(|(id, ..)| id == node);
        Live { rate: self.shown_rate.filter(|_| mine).map(|(_, rate)| rate) }
    }
}

impl Pane for Chat {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn scope(&self, cx: &Cx<'_>) -> Scope {
        if cx.is_welcome() { Scope::Welcome } else { Scope::Chat }
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let row = cx.view.conversation.and_then(|id| cx.replica.rows.get(&id));
        let left = match row {
            Some(row) if !row.title.trim().is_empty() => drawable(&row.title).into_owned(),
            Some(_) => "untitled".to_owned(),
            None => "new conversation".to_owned(),
        };
        let branch = cx.doc().zip(cx.view.leaf).and_then(|(doc, leaf)| doc.branch_of(leaf));
        let note = branch.map(|name| format!("⎇ {}", drawable(name))).unwrap_or_default();
        let right = if self.list.is_following() { None } else { self.list.percent(self.height).map(|p| format!("{p} %")) };
        Title { left, note, right: right.unwrap_or_default() }
    }

    fn subject(&self, cx: &Cx<'_>) -> Option<Subject> {
        cx.target().map(|node| Subject::Node(node.id))
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        self.refresh(cx, self.width);
        if let Some(outcome) = self.scroll(call.action, call.times(), cx.shared) {
            return outcome;
        }
        let by = isize::try_from(call.times()).unwrap_or(isize::MAX);
        match call.action {
            Action::ListDown => self.step(cx.shared, by),
            Action::ListUp => self.step(cx.shared, -by),
            Action::ListTop => {
                self.list.to_top();
                let at = call.count.map_or(0, |n| n.saturating_sub(1) as usize).min(self.path.len().saturating_sub(1));
                Intent::Select(self.path.get(at).copied()).into()
            }
            Action::ListBottom | Action::LastMessage => {
                self.list.to_end();
                let at = call.count.filter(|_| call.action == Action::ListBottom).map(|n| n.saturating_sub(1) as usize);
                Intent::Select(at.filter(|at| *at + 1 < self.path.len()).map(|at| self.path[at])).into()
            }
            Action::ScreenTop | Action::ScreenMiddle | Action::ScreenBottom => {
                let shown: Vec<usize> = self.list.visible(self.height).map(|s| s.item).filter(|i| *i < self.path.len()).collect();
                let at = match call.action {
                    Action::ScreenTop => shown.first(),
                    Action::ScreenMiddle => shown.get(shown.len() / 2),
                    _ => shown.last(),
                };
                at.map_or_else(Outcome::done, |at| Intent::Rest(Some(self.path[*at])).into())
            }
            Action::Fold | Action::Activate => {
                if let Some(node) = cx.target() {
                    let id = node.id;
                    if !self.unfolded.remove(&id) {
                        self.unfolded.insert(id);
                    }
                    if let Some(at) = self.path.iter().position(|other| *other == id) {
                        self.list.forget_height(at);
                    }
                }
                Outcome::done()
            }
            Action::CopyCode => {
                let codes = self.codes(cx);
                match codes.as_slice() {
                    [] => Outcome::done().say("This message has no code block."),
                    [one] => Intent::Copy { text: one.text.clone(), what: "the code block".to_owned() }.into(),
                    _ => Intent::Overlay(crate::tui::overlay::codes::pick(codes)).into(),
                }
            }
            Action::CodeBlocks => {
                let codes = self.codes(cx);
                if codes.is_empty() {
                    return Outcome::done().say("This message has no code block.");
                }
                Intent::Overlay(crate::tui::overlay::codes::browse(codes)).into()
            }
            _ => Outcome::ignored(),
        }
    }

    fn refuses(&self, action: Action, cx: &Cx<'_>) -> Option<&'static str> {
        let empty = self.path.is_empty();
        match action {
            Action::ListUp | Action::ListDown | Action::Fold | Action::Copy | Action::CopyCode | Action::CodeBlocks if empty => {
                Some("there is no message yet")
            }
            Action::Fold if cx.target().is_some_and(|n| !matches!(n.role, Speaker::Assistant | Speaker::Tool)) => {
                Some("only thinking, calls of tools and their results fold")
            }
            _ => None,
        }
    }

    fn seek(&mut self, seek: Seek, times: usize, cx: &Cx<'_>) -> Option<(Outcome, usize, usize)> {
        self.refresh(cx, self.width);
        Some(self.find(seek, times, cx))
    }

    fn event(&mut self, event: &Event, cx: &Cx<'_>) {
        match &event.kind {
            EventKind::Delta { node, text, .. } => {
                self.count(*node, text, cx.now.mono);
                if let Some(at) = self.path.iter().rposition(|id| id == node) {
                    self.list.forget_height(at);
                }
            }
            EventKind::State { node, .. } => self.changed(*node),
            EventKind::Finished { node, .. } => {
                self.changed(node.id);
                if self.rate.is_some_and(|(id, ..)| id == node.id) {
                    self.rate = None;
                }
            }
            _ => {}
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        self.height = area.height;
        self.refresh(cx, area.width);
        if cx.shared.is_welcome() {
            empty::welcome(cx, area, buf);
            return None;
        }
        if self.path.is_empty() {
            empty::draw(cx, area, buf);
            return None;
        }
        let doc = cx.doc()?;
        if self.list.is_following() {
            let streaming = cx.view.leaf.and_then(|leaf| doc.node(leaf)).is_some_and(|n| n.state.is_running());
            self.list.follow(if streaming { Jump::for_pane(area.height) } else { Jump::SMOOTH });
        }
        self.settle(cx, doc, area.height);
        if cx.view.reveal != self.reveal {
            self.reveal = cx.view.reveal;
            if let Some(at) = self.selected(cx.shared).filter(|at| cx.view.selected.is_some() || *at + 1 < self.path.len()) {
                self.list.reveal(at, area.height);
            } else {
                self.list.to_end();
            }
            self.settle(cx, doc, area.height);
        }
        self.draw(cx, doc, area, buf);
        self.draw_hint(cx, area, buf);
        self.trim();
        None
    }

    fn contents(&mut self, _cx: &Cx<'_>) -> Outcome {
        // Skeletons become text; what is read stays in view.
        self.list.forget_heights();
        self.find.forget();
        Outcome::done()
    }

    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        if !cx.is_up() || self.missing.is_empty() {
            return Vec::new();
        }
        let nodes: Vec<NodeId> = std::mem::take(&mut self.missing).into_iter().filter(|id| self.asked.insert(*id)).collect();
        if nodes.is_empty() { Vec::new() } else { vec![Intent::Contents(nodes)] }
    }

    fn deadline(&self, cx: &Cx<'_>) -> Option<Duration> {
        // A phase that counts seconds on the screen moves once a second, while somebody looks.
        let Some(node) = cx.shared.running() else {
            let next = cx.shared.model()?;
            return backends::deadline(cx.replica.backends.iter().filter(|backend| backend.name == next.backend), cx.shared);
        };
        let counts =
            matches!(node.state, State::Connecting | State::Waiting | State::Loading | State::Reading | State::Thinking | State::Queued);
        (cx.awake && counts && self.path.contains(&node.id)).then(|| Duration::from_secs(cx.now.mono.as_secs() + 1))
    }
}

impl Chat {
    fn changed(&mut self, node: NodeId) {
        if let Some(at) = self.path.iter().rposition(|id| *id == node) {
            self.list.forget_height(at);
            // The tail may say which model answers next.
            self.list.forget_height(self.path.len());
        }
    }

    /// Over the last row, while it does not follow: how much is below, and the way there.
    fn draw_hint(&self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
        let below = self.list.below(area.height);
        if below == 0 || area.height < 4 {
            return;
        }
        let running = cx.view.leaf.and_then(|leaf| cx.doc()?.node(leaf)).is_some_and(|n| n.state.is_running());
        let text = format!(" {}{below} more ↓ {} ", if running { "▸ " } else { "" }, cx.key(Scope::Chat, Action::ListBottom));
        let width = u16::try_from(crate::tui::text::width::width(&text)).unwrap_or(area.width);
        if width + 2 > area.width {
            return;
        }
        let corner = Rect { x: area.right() - width - 1, y: area.bottom() - 1, width, height: 1 };
        crate::tui::paint::clear(buf, corner, cx.style(Role::Hint));
        Row::new(buf, corner, 0).text(&text, cx.style(if running { Role::Running } else { Role::Hint }));
    }

    /// Whether nothing was received yet, so that a skeleton is shown.
    fn is_waiting(shared: &Shared) -> bool {
        shared.link == Link::Connecting || (shared.view.conversation.is_some() && shared.doc().is_none())
    }
}
