//! The conversation as a tree: every version of every message, where HEAD is, what is being written.
//!
//! Owns: the flattened rows, folds, hoisting and the cursor. Refuses: changing the tree (intents do). Invariant: rows are made anew only
//! when the outline changes, never for a token; a line of messages without forks takes no indentation, so depth costs no columns.

use std::collections::{HashMap, HashSet};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Seek, Subject, Title, tile};
use crate::core::Doc;
use crate::proto::{ConversationId, Node, NodeId, Role as Speaker, State};
use crate::tui::action::{Action, Scope};
use crate::tui::format;
use crate::tui::layout::Slot;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, tint};
use crate::tui::shared::Shared;
use crate::tui::text::width::{drawable, truncate};
use crate::tui::theme::Role;

pub const ID: &str = "tree";

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Right, 3, 3), title: "Tree", tab: "Tree", scope: Scope::Tree };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Tree::default())
}

/// One of the connectors before a row, and which one stands before it: rows share them, so that depth costs no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Guide {
    before: Option<u32>,
    /// Nothing goes on below it.
    last: bool,
}

/// One row: a message and the guides before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TreeRow {
    node: NodeId,
    /// The guide right before it, and whether the row is what it leads to.
    guide: Option<u32>,
    forks: bool,
    /// It is put away, or hangs below what is.
    away: bool,
    /// Messages that are folded away below it.
    hidden: usize,
}

#[derive(Default)]
struct Tree {
    rows: Rows,
    lines: Vec<TreeRow>,
    guides: Vec<Guide>,
    /// The row of each node.
    places: HashMap<NodeId, usize>,
    made: Option<(Option<ConversationId>, u64)>,
    /// Folds and the hoisted message are of this conversation.
    of: Option<ConversationId>,
    cursor: Option<NodeId>,
    /// The selection of the chat that the cursor followed last.
    followed: Option<NodeId>,
    folded: HashSet<NodeId>,
    hoisted: Option<NodeId>,
    /// What is put away is shown too.
    all: bool,
    /// Nodes of the shown path.
    path: HashSet<NodeId>,
}

impl Tree {
    fn refresh(&mut self, shared: &Shared) {
        let key = (shared.view.conversation, shared.revisions.doc);
        if self.made != Some(key) {
            if self.of != key.0 {
                self.of = key.0;
                self.folded.clear();
                self.hoisted = None;
                self.all = false;
                self.cursor = None;
            }
            (self.lines, self.guides) = shared.doc().map(|doc| flatten(doc, self.hoisted, &self.folded, self.all)).unwrap_or_default();
            self.places = self.lines.iter().enumerate().map(|(at, line)| (line.node, at)).collect();
            self.path = match (shared.doc(), shared.view.leaf) {
                (Some(doc), Some(leaf)) => doc.path(leaf).into_iter().collect(),
                _ => HashSet::new(),
            };
            self.made = Some(key);
            self.place(shared.doc());
        }
        // While somebody reads the chat, the cursor goes along.
        let target = shared.view.selected.or(shared.view.leaf);
        if shared.focus != ID && target.is_some() && target != self.followed {
            self.followed = target;
            self.cursor = target;
            self.place(shared.doc());
        }
    }

    /// Puts the row cursor on the node's row, or on the nearest ancestor that is shown.
    fn place(&mut self, doc: Option<&Doc>) {
        let mut at = self.cursor;
        while let Some(node) = at {
            if let Some(row) = self.places.get(&node) {
                self.rows.at = *row;
                return;
            }
            at = doc.and_then(|doc| doc.node(node)).and_then(|n| n.parent);
        }
    }

    fn go(&mut self, node: Option<NodeId>) -> Outcome {
        if let Some(row) = node.and_then(|node| self.places.get(&node)) {
            self.rows.at = *row;
            self.cursor = node;
        }
        Outcome::done()
    }

    fn current(&self) -> Option<NodeId> {
        self.lines.get(self.rows.at).map(|line| line.node)
    }

    /// The guides before a row, the innermost at most so many columns of them.
    fn guides_of(&self, line: &TreeRow, most: usize) -> String {
        let mut parts: Vec<&str> = Vec::new();
        let mut at = line.guide;
        let mut inner = line.forks;
        while let Some(guide) = at.and_then(|at| self.guides.get(at as usize)) {
            if parts.len() * 2 + 2 > most {
                parts.push("…");
                break;
            }
            parts.push(match (inner, guide.last) {
                (true, true) => "└─",
                (true, false) => "├─",
                (false, true) => "  ",
                (false, false) => "│ ",
            });
            inner = false;
            at = guide.before;
        }
        parts.into_iter().rev().collect()
    }

    fn draw_row(&self, cx: &Cx<'_>, doc: &Doc, line: &TreeRow, mut row: Row<'_>) {
        let Some(node) = doc.node(line.node) else { return };
        row.margin(1).gap(1);
        // Deep forks keep at least half of the row for the text.
        let most = row.left() / 2;
        let guides = self.guides_of(line, most);
        row.text(&guides, cx.style(Role::Rule));
        let on_path = self.path.contains(&node.id) && !line.away;
        let (glyph, role) = if line.away { ("◌", Role::Quiet) } else { glyph(doc, node, on_path) };
        row.text(glyph, cx.style(role)).gap(1);
        if line.hidden > 0 {
            row.right(&format!("+{}", line.hidden), cx.style(Role::Quiet), 8);
        }
        if line.away {
            row.right("put away", cx.style(Role::Quiet), 16);
        }
        for name in doc.branch_names(node.id) {
            row.right(&format!("⎇ {}", truncate(&drawable(name), 16)), cx.style(Role::Accent), 8);
        }
        if node.bookmark.is_some() {
            row.text("⚑", cx.style(Role::Accent)).gap(1);
        }
        match node.rating {
            1.. => row.text("+", cx.style(Role::Ok)).gap(1),
            0 => &mut row,
            _ => row.text("−", cx.style(Role::Error)).gap(1),
        };
        let speaker = match node.role {
            Speaker::User => Role::User,
            Speaker::Assistant => Role::Assistant,
            Speaker::System => Role::System,
            Speaker::Tool => Role::Tool,
        };
        let quiet = cx.style(Role::Quiet);
        row.text(&truncate(&who(node), 16), if on_path { cx.style(speaker) } else { quiet }).gap(1);
        let said = match node.state {
            state if state.is_running() => format!("{}…", state.word()),
            State::Failed if node.snippet.is_empty() => "failed".to_owned(),
            _ => drawable(&node.snippet).into_owned(),
        };
        let hit = matches(&cx.needle.text, &node.snippet);
        row.text(
            &said,
            if hit {
                cx.style(Role::SearchHit)
            } else if on_path {
                cx.style(Role::Text)
            } else {
                quiet
            },
        );
    }
}

/// What a message is called: `you`, or the model without its maker and size where it is long.
#[must_use]
pub fn who(node: &Node) -> String {
    match node.role {
        Speaker::User => "you".to_owned(),
        Speaker::System => "system".to_owned(),
        Speaker::Tool => "tool".to_owned(),
        Speaker::Assistant => {
            let model = node.run.as_ref().map(|run| &run.model).or(node.model.as_ref());
            model.map_or_else(|| "assistant".to_owned(), |m| drawable(&m.model).into_owned())
        }
    }
}

fn glyph(doc: &Doc, node: &Node, on_path: bool) -> (&'static str, Role) {
    if node.role == Speaker::Assistant && node.state.is_running() {
        return ("▸", Role::Running);
    }
    if doc.conversation.head == Some(node.id) {
        return ("◉", Role::Accent);
    }
    match node.state {
        State::Failed => ("✗", Role::Error),
        State::Stopped => ("■", Role::Warning),
        _ if on_path => ("●", Role::Text),
        _ => ("○", Role::Quiet),
    }
}

/// Whether a text holds what is searched for: lower case means any case.
#[must_use]
pub fn matches(needle: &str, text: &str) -> bool {
    if needle.is_empty() {
        return false;
    }
    if needle.chars().any(char::is_uppercase) { text.contains(needle) } else { text.to_lowercase().contains(needle) }
}

/// Rows in the order in which they are shown: parents before children, older siblings first. What is put away only with `all`.
fn flatten(doc: &Doc, hoisted: Option<NodeId>, folded: &HashSet<NodeId>, all: bool) -> (Vec<TreeRow>, Vec<Guide>) {
    let mut out = Vec::new();
    let mut guides: Vec<Guide> = Vec::new();
    // Node, the guide before it, whether that leads to it, and whether it is put away.
    let mut stack: Vec<TreeRow> = Vec::new();
    let mut push = |stack: &mut Vec<TreeRow>, parent: Option<NodeId>, before: Option<u32>, away: bool| {
        let begin = stack.len();
        for child in doc.all_children(parent).filter(|child| all || !child.archived) {
            stack.push(TreeRow { node: child.id, guide: before, forks: false, away: away || child.archived, hidden: 0 });
        }
        let children = &mut stack[begin..];
        if children.len() > 1 {
            let last = children.len() - 1;
            for (i, child) in children.iter_mut().enumerate() {
                guides.push(Guide { before, last: i == last });
                child.guide = u32::try_from(guides.len() - 1).ok();
                child.forks = true;
            }
        }
        children.reverse();
    };
    match hoisted.filter(|id| doc.node(*id).is_some_and(|n| !n.hidden)) {
        Some(root) => {
            let away = doc.node(root).is_some_and(|node| node.archived);
            stack.push(TreeRow { node: root, guide: None, forks: false, away, hidden: 0 });
        }
        None => push(&mut stack, None, None, false),
    }
    while let Some(mut row) = stack.pop() {
        if folded.contains(&row.node) {
            row.hidden = descendants(doc, row.node, all);
        }
        out.push(row);
        if row.hidden == 0 {
            push(&mut stack, Some(row.node), row.guide, row.away);
        }
    }
    (out, guides)
}

fn descendants(doc: &Doc, node: NodeId, all: bool) -> usize {
    let mut count = 0;
    let mut stack = vec![node];
    while let Some(at) = stack.pop() {
        for child in doc.all_children(Some(at)).filter(|child| all || !child.archived) {
            count += 1;
            stack.push(child.id);
        }
    }
    count
}

impl Pane for Tree {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let count = cx.doc().map_or(0, |doc| doc.conversation.row.messages.max(u32::try_from(self.lines.len()).unwrap_or(0)));
        let notes = [self.hoisted.map(|_| "hoisted"), self.all.then_some("with what is put away")];
        let note = notes.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        Title { left: INFO.title.to_owned(), note, right: if count > 0 { format::grouped(u64::from(count)) } else { String::new() } }
    }

    fn subject(&self, _cx: &Cx<'_>) -> Option<Subject> {
        self.current().map(Subject::Node)
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        self.refresh(cx.shared);
        if self.rows.act(call, self.lines.len()) {
            self.cursor = self.current();
            return Outcome::done();
        }
        let (Some(doc), Some(node)) = (cx.doc(), self.current()) else { return Outcome::ignored() };
        match call.action {
            Action::Activate | Action::MakeHead => Intent::MakeHead(node).into(),
            Action::TreeParent => {
                let mut at = Some(node);
                for _ in 0..call.times() {
                    at = at.and_then(|id| doc.node(id)).and_then(|n| n.parent).or(at);
                }
                self.go(at)
            }
            Action::TreeChild => {
                self.folded.remove(&node);
                self.made = None;
                self.refresh(cx.shared);
                let path = doc.path(doc.leaf_below(node));
                let here = path.iter().position(|id| *id == node).unwrap_or(0);
                let there = (here + call.times()).min(path.len().saturating_sub(1));
                self.go(path.get(there).copied())
            }
            Action::Fold => {
                if !self.folded.remove(&node) && descendants(doc, node, self.all) > 0 {
                    self.folded.insert(node);
                }
                self.made = None;
                self.cursor = Some(node);
                self.refresh(cx.shared);
                Outcome::done()
            }
            Action::ShowArchived => {
                self.all = !self.all;
                self.made = None;
                self.cursor = Some(node);
                self.refresh(cx.shared);
                let away = self.lines.iter().filter(|line| line.away).count();
                let key = cx.key(Scope::Tree, Action::ArchiveBranch);
                Outcome::done().say(match (self.all, away) {
                    (false, _) => "What is put away is not shown.".to_owned(),
                    (true, 0) => format!("Nothing is put away ({key} puts a branch away)."),
                    (true, _) => format!("{} put away; {key} on one brings its branch back.", format::plural(away as u64, "message")),
                })
            }
            Action::Hoist => {
                self.hoisted = if self.hoisted.is_some() { None } else { Some(node) };
                self.made = None;
                self.cursor = Some(node);
                self.refresh(cx.shared);
                Outcome::done()
            }
            _ => Outcome::ignored(),
        }
    }

    fn seek(&mut self, seek: Seek, times: usize, cx: &Cx<'_>) -> Option<(Outcome, usize, usize)> {
        self.refresh(cx.shared);
        let doc = cx.doc()?;
        let fits = |line: &TreeRow| doc.node(line.node).is_some_and(|n| matches(&cx.needle.text, &n.snippet));
        let hits: Vec<usize> = (0..self.lines.len()).filter(|at| fits(&self.lines[*at])).collect();
        let here = self.rows.at;
        let n = match seek {
            Seek::Back => return Some((Outcome::done(), 0, 0)),
            _ if hits.is_empty() => return Some((Outcome::done(), 0, 0)),
            Seek::Here => hits.iter().position(|at| *at >= here).unwrap_or(0),
            Seek::Next => (hits.iter().position(|at| *at > here).unwrap_or(0) + times - 1) % hits.len(),
            Seek::Previous => {
                let before = hits.iter().rposition(|at| *at < here).unwrap_or(hits.len() - 1);
                (before + hits.len() * times - (times - 1)) % hits.len()
            }
        };
        self.rows.at = hits[n];
        self.cursor = self.current();
        Some((Outcome::done(), n + 1, hits.len()))
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        self.refresh(cx.shared);
        let Some(doc) = cx.doc().filter(|_| !self.lines.is_empty()) else {
            let (text, role) = match (cx.view.conversation.is_some() && cx.doc().is_none(), cx.attached()) {
                (true, _) | (_, false) => ("░░░░░░░░░░", Role::Skeleton),
                _ => ("Nothing yet.", Role::Quiet),
            };
            Row::new(buf, area, 0).gap(1).text(text, cx.style(role));
            return None;
        };
        for (y, at) in self.rows.show(usize::from(area.height), self.lines.len()).enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            self.draw_row(cx, doc, &self.lines[at], Row::new(buf, area, y));
            if at == self.rows.at {
                tint(buf, area, y, cx.style(if cx.focused { Role::Selection } else { Role::SelectionQuiet }));
            }
        }
        None
    }
}
