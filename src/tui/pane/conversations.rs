//! Conversations by last change: what is unread, what is being written, when it was.
//!
//! Owns: the window of rows that is at hand and the filter. Refuses: opening (an intent). Invariant: rows are asked for a window at a
//! time, when the cursor comes near the end of those at hand; a filter asks the host, with one question under way at most.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Subject, Title, tile};
use crate::error::Result;
use crate::proto::{ConversationId, ConversationRow, Order, Query, Reply, Shelf};
use crate::tui::action::{Action, Scope};
use crate::tui::format;
use crate::tui::layout::Slot;
use crate::tui::msg::Tag;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, tint};
use crate::tui::shared::Shared;
use crate::tui::theme::Role;

pub const ID: &str = "conversations";
/// Rows in one window.
pub const WINDOW: u32 = 200;
/// So many rows before the end, the next window is asked for.
const AHEAD: usize = 50;

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Left, 3, 3), title: "Conversations", tab: "Chats", scope: Scope::Conversations };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Conversations::default())
}

/// A filter and what the host found for it.
#[derive(Default)]
struct Filter {
    text: String,
    /// Asked and not answered yet.
    asked: Option<String>,
    found: Vec<ConversationRow>,
    total: u32,
}

#[derive(Default)]
struct Conversations {
    rows: Rows,
    ids: Vec<ConversationId>,
    made: Option<u64>,
    filter: Option<Filter>,
    /// Offset of the window that was asked for last. It is not asked for twice.
    asked: Option<u32>,
}

impl Conversations {
    fn refresh(&mut self, shared: &Shared) {
        if self.made == Some(shared.revisions.rows) {
            return;
        }
        let before = self.id();
        self.ids = shared.replica.rows_by_update().into_iter().map(|row| row.id).collect();
        self.made = Some(shared.revisions.rows);
        if self.filter.is_none()
            && let Some(at) = before.and_then(|id| self.ids.iter().position(|other| *other == id))
        {
            self.rows.at = at;
        }
    }

    fn len(&self) -> usize {
        self.filter.as_ref().map_or(self.ids.len(), |f| f.found.len())
    }

    fn id(&self) -> Option<ConversationId> {
        match &self.filter {
            Some(filter) => filter.found.get(self.rows.at).map(|row| row.id),
            None => self.ids.get(self.rows.at).copied(),
        }
    }

    fn row<'a>(&'a self, shared: &'a Shared, at: usize) -> Option<&'a ConversationRow> {
        match &self.filter {
            // What the replica knows is newer than what the filter found.
            Some(filter) => filter.found.get(at).map(|row| shared.replica.rows.get(&row.id).unwrap_or(row)),
            None => self.ids.get(at).and_then(|id| shared.replica.rows.get(id)),
        }
    }

    fn ask(filter: &mut Filter) -> Outcome {
        if filter.asked.is_some() {
            return Outcome::done();
        }
        filter.asked = Some(filter.text.clone());
        let query = Query::Conversations {
            shelf: Shelf::All,
            order: Order::default(),
            offset: 0,
            limit: WINDOW,
            filter: Some(filter.text.clone()),
        };
        Intent::Ask { pane: ID, query }.into()
    }

    fn draw_row(&self, cx: &Cx<'_>, conversation: &ConversationRow, mut row: Row<'_>) {
        let shown = cx.view.conversation == Some(conversation.id);
        row.margin(1).gap(1);
        if conversation.running > 0 {
            row.text("▸", cx.style(Role::Running));
        } else if conversation.unread {
            row.text("•", cx.style(Role::Unread));
        } else {
            row.text(" ", cx.style(Role::Text));
        }
        row.gap(1);
        row.right(&format::clock(conversation.updated, cx.now.wall, &cx.zone), cx.style(Role::Quiet), 12);
        if conversation.branches > 1 {
            row.right(&format!("⎇{}", conversation.branches), cx.style(Role::Quiet), 16);
        }
        let style = cx.style(match (shown, conversation.unread) {
            (true, _) => Role::Accent,
            (false, true) => Role::Unread,
            (false, false) => Role::Text,
        });
        if conversation.title.trim().is_empty() {
            row.text("untitled", cx.style(if shown { Role::Accent } else { Role::Quiet }));
        } else {
            row.foreign(&conversation.title, style);
        }
    }
}

impl Pane for Conversations {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let total = cx.replica.total_rows;
        let (note, right) = match &self.filter {
            Some(filter) => (format!("/{}", filter.text), format!("{} of {total}", filter.total)),
            None => (String::new(), if total > 0 { format::grouped(u64::from(total)) } else { String::new() }),
        };
        Title { left: INFO.title.to_owned(), note, right }
    }

    fn subject(&self, _cx: &Cx<'_>) -> Option<Subject> {
        self.id().map(Subject::Conversation)
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        self.refresh(cx.shared);
        if self.rows.act(call, self.len()) {
            return Outcome::done();
        }
        match (call.action, self.id()) {
            (Action::Activate, Some(id)) => Intent::Open(id, None).into(),
            (Action::Copy, Some(id)) => {
                let title = cx.replica.rows.get(&id).map(|row| row.title.clone()).unwrap_or_default();
                Intent::Copy { text: title, what: "the title".to_owned() }.into()
            }
            _ => Outcome::ignored(),
        }
    }

    fn filter(&mut self, text: Option<&str>, cx: &Cx<'_>) -> (bool, Outcome) {
        let Some(text) = text.map(str::trim).filter(|t| !t.is_empty()) else {
            let id = self.id();
            if self.filter.take().is_some() {
                self.refresh(cx.shared);
                self.rows.at = id.and_then(|id| self.ids.iter().position(|other| *other == id)).unwrap_or(0);
            }
            return (true, Outcome::done());
        };
        let filter = self.filter.get_or_insert_default();
        filter.text = text.to_owned();
        // What is at hand is shown at once; the host's answer replaces it.
        let needle = text.to_lowercase();
        let at_hand = cx.replica.rows_by_update();
        filter.found = at_hand.into_iter().filter(|row| row.title.to_lowercase().contains(&needle)).cloned().collect();
        filter.total = u32::try_from(filter.found.len()).unwrap_or(u32::MAX);
        self.rows.at = 0;
        (true, Self::ask(filter))
    }

    fn reply(&mut self, _tag: Tag, reply: Result<Reply>, _cx: &Cx<'_>) -> Outcome {
        let Some(filter) = &mut self.filter else { return Outcome::done() };
        let asked = filter.asked.take();
        match reply {
            Ok(Reply::Conversations(window)) if asked.as_deref() == Some(&filter.text) => {
                filter.total = window.total;
                filter.found = window.items;
                Outcome::done()
            }
            // The text changed meanwhile: only the newest question counts.
            Ok(_) => Self::ask(filter),
            Err(error) => Intent::Fail(error).into(),
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        self.refresh(cx.shared);
        if self.len() == 0 {
            empty(cx, self.filter.is_some(), area, buf);
            return None;
        }
        for (y, at) in self.rows.show(usize::from(area.height), self.len()).enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            if let Some(conversation) = self.row(cx.shared, at) {
                self.draw_row(cx, conversation, Row::new(buf, area, y));
            }
            if at == self.rows.at {
                tint(buf, area, y, cx.style(if cx.focused { Role::Selection } else { Role::SelectionQuiet }));
            }
        }
        None
    }

    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        let have = self.ids.len();
        let all = have >= cx.replica.total_rows as usize;
        if self.filter.is_some() || all || !cx.is_up() || self.rows.at + AHEAD < have {
            return Vec::new();
        }
        let offset = u32::try_from(have).unwrap_or(u32::MAX);
        if self.asked == Some(offset) {
            return Vec::new();
        }
        self.asked = Some(offset);
        vec![Intent::Rows { offset, limit: WINDOW }]
    }
}

fn empty(cx: &Cx<'_>, filtered: bool, area: Rect, buf: &mut Buffer) {
    if !cx.attached() {
        for y in 0..area.height.min(5) {
            let length = [18, 12, 20, 9, 15][usize::from(y) % 5];
            Row::new(buf, area, y).gap(3).text(&"░".repeat(length), cx.style(Role::Skeleton));
        }
        return;
    }
    let text = if filtered { "No title fits." } else { "Nothing yet. Write a message." };
    Row::new(buf, area, 0).gap(1).text(text, cx.style(Role::Quiet));
}
