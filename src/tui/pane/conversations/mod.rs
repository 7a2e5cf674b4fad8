//! Conversations: pinned ones, folders in their tree, the rest, the archive and the bin.
//!
//! Owns: the cursor, folds, marks, the order, and a bounded window of each list that is shown (`shelves`, `list`). Refuses: what acts do
//! to conversations (`action::keeping`) and opening (an intent). Invariant: no event, key or frame costs what there are conversations;
//! the cursor and the marks stay on theirs, whatever moves.

mod draw;
mod lines;
mod list;
mod shelves;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::{Value, json};

use self::lines::{Line, Lines, What};
use self::shelves::{Place, Shelves};
use super::rows::Rows;
use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Subject, Title, tile};
use crate::error::Result;
use crate::proto::{Command, ConversationId, ConversationRow, Event, EventKind, Folder, FolderId, Order, OrderBy, Reply};
use crate::tui::action::{Action, Invocation, Scope};
use crate::tui::format;
use crate::tui::layout::Slot;
use crate::tui::output::Cursor;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::shared::Shared;
use crate::tui::text::width::drawable;

pub const ID: &str = "conversations";
/// Under which name its order and its folds are remembered.
pub const SETTING: &str = "conversations_list";
/// Folds that are remembered.
const MOST_FOLDS: usize = 500;

/// What lists can be ordered by, and what that is.
pub const ORDERS: &[(OrderBy, &str, &str)] = &[
    (OrderBy::Updated, "updated", "last change"),
    (OrderBy::Created, "created", "when it began"),
    (OrderBy::Title, "title", "title"),
    (OrderBy::Messages, "messages", "messages of all branches"),
    (OrderBy::Tokens, "tokens", "tokens of all messages"),
    (OrderBy::Model, "model", "the model that answers next"),
];
/// Their words.
pub const ORDER_WORDS: &[&str] = &["updated", "created", "title", "messages", "tokens", "model"];

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Left, 3, 3), title: "Conversations", tab: "Chats", scope: Scope::Conversations };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Conversations::default())
}

/// What the cursor is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    Head(What),
    Row(Place, ConversationId),
}

#[derive(Default)]
struct Conversations {
    rows: Rows,
    shelves: Shelves,
    lines: Lines,
    /// The lines are to be made anew.
    old: bool,
    here: Option<Here>,
    /// Folds that are not as they are at first.
    toggled: BTreeSet<String>,
    /// Each as it was last heard of.
    marks: BTreeMap<ConversationId, ConversationRow>,
    /// Where a visual range began.
    anchor: Option<Here>,
    /// Of which snapshot the rest was read.
    attached: Option<u64>,
    /// Lines in view.
    shown: Range<usize>,
    /// The conversation that the chat showed when the cursor last went there.
    followed: Option<ConversationId>,
}

impl Conversations {
    fn refresh(&mut self, shared: &Shared) {
        if self.attached != Some(shared.revisions.attached) {
            self.attached = Some(shared.revisions.attached);
            self.recall(shared.replica.settings.get(SETTING));
            self.shelves.attach(shared);
            self.old = true;
        }
        self.follow(shared);
        if !std::mem::take(&mut self.old) {
            return;
        }
        self.lines = match self.shelves.filter() {
            Some(_) => Lines::found(&self.shelves),
            None => Lines::all(&self.shelves, &shared.replica.folders, &self.toggled),
        };
        match self.here.and_then(|here| self.find(here)) {
            Some(at) => self.rows.at = at,
            // What it was on is gone: what stands in its place now is under the cursor.
            None => self.rows.at = self.rows.at.min(self.lines.len().saturating_sub(1)),
        }
        self.settle();
    }

    /// While nobody is in this pane, the cursor is on the conversation that the chat has just gone to.
    fn follow(&mut self, shared: &Shared) {
        let shown = shared.view.conversation;
        if shown == self.followed {
            return;
        }
        let busy = shared.focus == ID || self.anchor.is_some() || self.shelves.filter().is_some();
        let place = shown.filter(|_| !busy).and_then(|id| {
            // One that is new is not listed before the host has said so.
            let (place, _) = self.shelves.places(id).find(|(place, _)| *place != Place::All)?;
            Some(Here::Row(place, id))
        });
        if place.is_some() {
            (self.here, self.old) = (place, true);
        }
        if place.is_some() || busy || shown.is_none() {
            self.followed = shown;
        }
    }

    /// The line of something, when it is at hand.
    fn find(&self, here: Here) -> Option<usize> {
        match here {
            Here::Head(what) => self.lines.start(what),
            Here::Row(place, id) => {
                let at = self.shelves.list(place)?.place(id)?;
                let start = self.lines.start(What::Rows(place))?;
                self.lines.segment(start + at).filter(|segment| segment.start == start).map(|_| start + at)
            }
        }
    }

    fn at(&self, line: usize) -> Option<Here> {
        match self.lines.get(line)? {
            Line::Head(what) => Some(Here::Head(what)),
            Line::Row(place, at) => self.shelves.row(place, at).map(|row| Here::Row(place, row.id)),
        }
    }

    /// Remembers what the cursor is on.
    fn settle(&mut self) {
        self.here = self.at(self.rows.at);
    }

    fn go(&mut self, line: usize) {
        self.rows.at = line;
        self.settle();
    }

    fn row(&self, line: usize) -> Option<&ConversationRow> {
        match self.lines.get(line)? {
            Line::Row(place, at) => self.shelves.row(place, at),
            Line::Head(_) => None,
        }
    }

    /// The folder that the cursor is on or in.
    fn folder(&self) -> Option<FolderId> {
        match self.lines.get(self.rows.at)? {
            Line::Head(What::Folder(id)) | Line::Row(Place::Folder(id), _) => Some(id),
            Line::Head(_) | Line::Row(..) => None,
        }
    }

    fn is_open(&self, head: What, folders: &[Folder]) -> bool {
        let smart = matches!(head, What::Folder(id) if folders.iter().any(|folder| folder.id == id && folder.search.is_some()));
        lines::is_open(head, smart, &self.toggled)
    }

    /// Folds or unfolds what a head stands for.
    fn fold(&mut self, head: What, shared: &Shared) -> Outcome {
        let Some(word) = lines::word(head) else { return Outcome::done() };
        if !self.toggled.remove(&word) {
            self.toggled.insert(word);
        }
        self.here = Some(Here::Head(head));
        self.old = true;
        self.refresh(shared);
        Outcome::done().with(self.keep(shared))
    }

    /// `l`: into what is under the cursor.
    fn into(&mut self, shared: &Shared) -> Outcome {
        let Some(Line::Head(head)) = self.lines.get(self.rows.at) else { return Outcome::done() };
        if !self.is_open(head, &shared.replica.folders) {
            return self.fold(head, shared);
        }
        if self.rows.at + 1 < self.lines.len() && self.lines.above(self.rows.at + 1) == Some(self.rows.at) {
            self.go(self.rows.at + 1);
        }
        Outcome::done()
    }

    /// `h`: out of it.
    fn out(&mut self, shared: &Shared) -> Outcome {
        if let Some(Line::Head(head)) = self.lines.get(self.rows.at)
            && self.is_open(head, &shared.replica.folders)
        {
            return self.fold(head, shared);
        }
        if let Some(above) = self.lines.above(self.rows.at) {
            self.go(above);
        }
        Outcome::done()
    }

    /// The lines of the visual range.
    fn range(&self) -> Option<std::ops::RangeInclusive<usize>> {
        let from = self.find(self.anchor?)?;
        let to = self.rows.at;
        Some(from.min(to)..=from.max(to))
    }

    /// The conversations of some lines, as far as they are at hand, each once.
    fn between(&self, lines: impl Iterator<Item = usize>) -> Vec<ConversationRow> {
        let mut seen = BTreeSet::new();
        lines.filter_map(|line| self.row(line)).filter(|row| seen.insert(row.id)).cloned().collect()
    }

    fn ranged(&self) -> Vec<ConversationRow> {
        // What is not at hand cannot be acted on: no longer range is looked through than all lists hold.
        self.range().map(|range| self.between(range.take(shelves::MOST_ROWS))).unwrap_or_default()
    }

    /// Marks what is in the range, or under the cursor; what is all marked already is marked no more.
    fn mark(&mut self, times: usize) {
        let ranged = self.ranged();
        let single = self.anchor.is_none();
        let rows = match single {
            true => self.between(self.rows.at..self.rows.at.saturating_add(times.min(shelves::MOST_ROWS)).min(self.lines.len())),
            false => ranged,
        };
        self.toggle(rows);
        self.anchor = None;
        if single {
            self.go((self.rows.at.saturating_add(times)).min(self.lines.len().saturating_sub(1)));
        }
    }

    /// Marks these; when all of them are marked, none of them.
    fn toggle(&mut self, rows: Vec<ConversationRow>) {
        let all = rows.iter().all(|row| self.marks.contains_key(&row.id));
        for row in rows {
            if all {
                self.marks.remove(&row.id);
            } else {
                self.marks.insert(row.id, row);
            }
        }
    }

    /// Marks all of the list that the cursor is in. What was never looked at is not at hand, and is not marked unseen.
    fn mark_all(&mut self) -> Outcome {
        let Some(segment) = self.lines.segment(self.rows.at).copied() else { return Outcome::done() };
        let What::Rows(place) = segment.what else { return Outcome::done().say("Go to a conversation to mark all beside it.") };
        let rows = self.shelves.list(place).map(|list| list.rows().to_vec()).unwrap_or_default();
        let (held, total) = (rows.len(), segment.len);
        self.toggle(rows);
        self.anchor = None;
        if held == total {
            return Outcome::done();
        }
        let (held, total) = (format::grouped(held as u64), format::grouped(total as u64));
        Outcome::done().say(format!("The list is long: only the {held} of {total} around here were looked at and marked."))
    }

    /// Esc: what was begun here ends, the innermost first.
    fn escape(&mut self) -> bool {
        if self.anchor.take().is_some() {
            return true;
        }
        let marked = !self.marks.is_empty();
        self.marks.clear();
        marked
    }

    fn recall(&mut self, stored: Option<&Value>) {
        let Some(stored) = stored else { return };
        let word = stored.get("by").and_then(Value::as_str);
        if let Some((by, ..)) = ORDERS.iter().find(|(_, known, _)| Some(*known) == word) {
            let reversed = stored.get("reversed").and_then(Value::as_bool).unwrap_or(false);
            self.shelves.order = Order { by: *by, reversed };
        }
        let folds = stored.get("folds").and_then(Value::as_array);
        self.toggled = folds.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).take(MOST_FOLDS).collect();
    }

    /// Puts down what is to be remembered. Folds of folders that are gone are forgotten.
    fn keep(&mut self, shared: &Shared) -> Intent {
        let there: BTreeSet<String> = shared.replica.folders.iter().map(|folder| folder.id.to_string()).collect();
        self.toggled.retain(|word| there.contains(word) || word == "archive" || word == "bin");
        let order = self.shelves.order;
        let by = ORDERS.iter().find(|(by, ..)| *by == order.by).map_or("updated", |(_, word, _)| word);
        let value = json!({ "by": by, "reversed": order.reversed, "folds": self.toggled.iter().take(MOST_FOLDS).collect::<Vec<_>>() });
        Intent::Post(Command::SetSetting { key: SETTING.to_owned(), value })
    }

    /// By this; by the same again, the other way round.
    fn order(&mut self, word: Option<&String>, shared: &Shared) -> Outcome {
        let now = self.shelves.order;
        let Some((by, word, about)) = word.and_then(|word| ORDERS.iter().find(|(_, known, _)| known == word)) else {
            let items = ORDERS.iter().map(|(by, word, about)| {
                let note = if *by == now.by { "now; again, the other way round" } else { about };
                Item::new(*word, note, || Intent::Call(Invocation { action: Action::Order, args: vec![(*word).to_owned()] }))
            });
            let at = ORDERS.iter().position(|(by, ..)| *by == now.by).unwrap_or(0);
            return Intent::Overlay(Box::new(Choose::new("Order by", items.collect(), at))).into();
        };
        let order = Order { by: *by, reversed: now.by == *by && !now.reversed };
        self.shelves.set_order(order);
        self.old = true;
        let turned = if order.reversed { ", the other way round" } else { "" };
        let said = if *word == *about { (*about).to_owned() } else { format!("{word}: {about}") };
        Outcome::done().with(self.keep(shared)).say(format!("Ordered by {said}{turned}."))
    }

    /// Lists that come into view, with the places of each that do.
    fn in_view(&self) -> Vec<(Place, Range<usize>)> {
        let (from, to) = (self.shown.start, self.shown.end);
        let near = |segment: &&lines::Segment| segment.start <= to && from <= segment.start + segment.len;
        let rows = self.lines.segments().iter().filter(near).filter_map(|segment| match segment.what {
            What::Rows(place) => {
                let start = from.saturating_sub(segment.start);
                Some((place, start..to.saturating_sub(segment.start).clamp(start, segment.len.max(start))))
            }
            _ => None,
        });
        rows.collect()
    }
}

impl Pane for Conversations {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn title(&self, _cx: &Cx<'_>) -> Title {
        let mut right = Vec::new();
        if !self.marks.is_empty() {
            right.push(format!("{} marked", format::grouped(self.marks.len() as u64)));
        }
        let all = self.shelves.total(Place::All).unwrap_or(0) as u64;
        let note = match self.shelves.filter() {
            Some(filter) => {
                let found = self.shelves.total(Place::Found).map_or("…".to_owned(), |found| format::grouped(found as u64));
                right.push(format!("{found} of {}", format::grouped(all)));
                format!("/{}", drawable(filter))
            }
            None => {
                right.extend((all > 0).then(|| format::grouped(all)));
                String::new()
            }
        };
        Title { left: INFO.title.to_owned(), note, right: right.join(" · ") }
    }

    fn subject(&self, _cx: &Cx<'_>) -> Option<Subject> {
        match self.here? {
            Here::Row(_, id) => Some(Subject::Conversation(id)),
            Here::Head(What::Folder(id)) => Some(Subject::Folder(id)),
            Here::Head(What::Bin) => Some(Subject::Bin),
            Here::Head(_) => None,
        }
    }

    fn refresh(&mut self, cx: &Cx<'_>) {
        Self::refresh(self, cx.shared);
    }

    fn conversations(&self) -> Vec<ConversationRow> {
        if self.anchor.is_some() {
            return self.ranged();
        }
        if self.marks.is_empty() { self.row(self.rows.at).cloned().into_iter().collect() } else { self.marks.values().cloned().collect() }
    }

    fn folder_at_hand(&self) -> Option<FolderId> {
        self.folder()
    }

    fn is_visual(&self) -> bool {
        self.anchor.is_some()
    }

    fn acted(&mut self) {
        self.anchor = None;
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        Self::refresh(self, cx.shared);
        if self.rows.act(call, self.lines.len()) {
            self.settle();
            return Outcome::done();
        }
        let line = self.lines.get(self.rows.at);
        match call.action {
            Action::Activate => match (line, self.row(self.rows.at)) {
                (_, Some(row)) => Intent::Open(row.id, None).into(),
                (Some(Line::Head(head)), _) => self.fold(head, cx.shared),
                _ => Outcome::done(),
            },
            Action::Fold => match line {
                Some(Line::Head(head)) => self.fold(head, cx.shared),
                Some(Line::Row(..)) => match self.lines.above(self.rows.at).and_then(|above| self.lines.get(above)) {
                    Some(Line::Head(head)) => self.fold(head, cx.shared),
                    _ => Outcome::done(),
                },
                None => Outcome::done(),
            },
            Action::FoldIn => self.into(cx.shared),
            Action::FoldOut => self.out(cx.shared),
            Action::Copy => {
                let titles: Vec<String> = self.conversations().into_iter().map(|row| row.title).collect();
                let what = match titles.len() {
                    0 => return Outcome::done(),
                    1 => "the title".to_owned(),
                    many => format::plural(many as u64, "title"),
                };
                self.anchor = None;
                Intent::Copy { text: titles.join("\n"), what }.into()
            }
            Action::Mark => {
                self.mark(call.times());
                Outcome::done()
            }
            Action::MarkAll => self.mark_all(),
            Action::Visual => {
                self.anchor = if self.anchor.is_some() { None } else { self.here };
                Outcome::done()
            }
            Action::Close if self.escape() => Outcome::done(),
            Action::Order => self.order(call.args.first(), cx.shared),
            _ => Outcome::ignored(),
        }
    }

    fn filtered(&self) -> Option<&str> {
        self.shelves.filter()
    }

    fn filter(&mut self, text: Option<&str>, cx: &Cx<'_>) -> (bool, Outcome) {
        let text = text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let ends = text.is_none();
        let id = self.here.and_then(|here| if let Here::Row(_, id) = here { Some(id) } else { None });
        self.shelves.set_filter(text);
        // While it is typed, the cursor is on the first that fits; after that it stays on its conversation.
        let back = id.filter(|_| ends).and_then(|id| self.shelves.places(id).next().map(|(place, _)| Here::Row(place, id)));
        self.here = back;
        self.rows.at = 0;
        self.old = true;
        Self::refresh(self, cx.shared);
        (true, Outcome::done())
    }

    fn event(&mut self, event: &Event, cx: &Cx<'_>) {
        match &event.kind {
            EventKind::Row(row) => {
                self.old |= self.shelves.change(row);
                if let Some(marked) = self.marks.get_mut(&row.id) {
                    let kept = |row: &ConversationRow| (row.archived, row.deleted.is_some());
                    if kept(marked) == kept(row) {
                        marked.clone_from(row);
                    } else {
                        self.marks.remove(&row.id);
                    }
                }
            }
            EventKind::ConversationRemoved { id } => {
                self.old |= self.shelves.gone(*id);
                self.marks.remove(id);
            }
            EventKind::Folders(folders) => {
                self.shelves.take_folders(folders);
                self.shelves.doubt_smart();
                self.old = true;
            }
            _ => return,
        }
        Self::refresh(self, cx.shared);
    }

    fn reply(&mut self, about: u64, reply: Result<Reply>, cx: &Cx<'_>) -> Outcome {
        let outcome = match reply {
            Ok(reply) => {
                self.shelves.reply(about, shelves::window(reply));
                Outcome::done()
            }
            Err(error) => match self.shelves.reply(about, None) {
                true => Intent::Fail(error).into(),
                false => Outcome::done(),
            },
        };
        self.old = true;
        Self::refresh(self, cx.shared);
        outcome
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        Self::refresh(self, cx.shared);
        self.draw(cx, area, buf);
        None
    }

    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        if !cx.is_up() {
            return Vec::new();
        }
        Self::refresh(self, cx.shared);
        let folders = &cx.replica.folders;
        self.shelves.tick();
        let mut wanted: Vec<Intent> = Vec::new();
        for (place, shown) in self.in_view() {
            wanted.extend(self.shelves.want(place, &shown, folders));
        }
        // What is folded tells how many there are.
        let smart = self.lines.segments().iter().filter_map(|segment| match segment.what {
            What::Folder(id) if self.shown.contains(&segment.start) => folders.iter().find(|folder| folder.id == id),
            _ => None,
        });
        let mut counted = vec![Place::All];
        counted.extend(smart.map(shelves::place_of).filter(|place| matches!(place, Place::Smart(_))));
        for (head, place) in [(What::Archive, Place::Archive), (What::Bin, Place::Bin)] {
            counted.extend((!self.is_open(head, folders)).then_some(place));
        }
        // Of one that is unfolded and not there yet, nobody else asks.
        counted.extend([Place::Archive, Place::Bin].into_iter().filter(|place| self.shelves.total(*place).unwrap_or(0) == 0));
        let unfolded: Vec<Place> = self.in_view().into_iter().map(|(place, _)| place).collect();
        for place in counted.into_iter().filter(|place| !unfolded.contains(place)) {
            wanted.extend(self.shelves.want_count(place, folders));
        }
        wanted
    }
}
