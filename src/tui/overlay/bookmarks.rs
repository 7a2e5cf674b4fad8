//! Bookmarks of all conversations: grouped by conversation, narrowed as one types, each with its note.
//!
//! Owns: the part of the list that is here and the filter. Refuses: finding (the host does). Invariant: one question is on its way at a
//! time, so what is shown is the answer to what was asked last.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::prompt::{Prompt, Question};
use super::{Overlay, field};
use crate::error::Result;
use crate::proto::{Bookmark, Command, Query, Reply, Role as Speaker};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::format;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// Bookmarks that are asked for at once; more come when the cursor nears the end.
const WINDOW: u32 = 200;

#[must_use]
pub fn open() -> Box<dyn Overlay> {
    Box::new(Bookmarks { stale: true, ..Bookmarks::default() })
}

#[derive(Default)]
struct Bookmarks {
    /// Those that are here, conversations together.
    items: Vec<Bookmark>,
    /// How many fit the filter at the host.
    total: usize,
    /// How many of them came from there.
    came: u32,
    shown: Vec<Shown>,
    rows: Rows,
    filter: String,
    line: Option<Line>,
    /// The filter is another than the one that was asked for.
    stale: bool,
    /// A question is on its way; true: from the start of the list.
    asked: Option<bool>,
    /// The host has told what there is.
    known: bool,
    wrong: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Of the conversation of that item.
    Heading(usize),
    Item(usize),
}

impl Bookmarks {
    fn arrange(&mut self) {
        // The conversations in the order of their newest bookmark; within one, the newest first.
        let mut order: Vec<crate::proto::ConversationId> = Vec::new();
        for item in &self.items {
            if !order.contains(&item.conversation) {
                order.push(item.conversation);
            }
        }
        self.items.sort_by_key(|item| order.iter().position(|id| *id == item.conversation));
        self.shown.clear();
        for at in 0..self.items.len() {
            if at == 0 || self.items[at - 1].conversation != self.items[at].conversation {
                self.shown.push(Shown::Heading(at));
            }
            self.shown.push(Shown::Item(at));
        }
        self.off_heading(false);
    }

    /// The cursor goes past headings.
    fn off_heading(&mut self, up: bool) {
        if let Some(Shown::Heading(_)) = self.shown.get(self.rows.at) {
            self.rows.at = if up && self.rows.at > 0 { self.rows.at - 1 } else { self.rows.at + 1 };
        }
    }

    fn current(&self) -> Option<usize> {
        match self.shown.get(self.rows.at)? {
            Shown::Item(at) => Some(*at),
            Shown::Heading(_) => None,
        }
    }

    fn filtered(&mut self) -> Outcome {
        let typed = self.line.as_ref().map_or("", Line::text).trim().to_owned();
        if typed != self.filter {
            self.filter = typed;
            self.stale = true;
            self.rows.at = 0;
        }
        Outcome::done()
    }

    fn change(&mut self, at: usize, note: Option<String>) -> Outcome {
        let item = &self.items[at];
        let command = Command::Bookmark { conversation: item.conversation, node: item.node, note: note.clone() };
        let said = if note.is_some() { "The note was changed." } else { "The bookmark was taken away." };
        match note {
            Some(note) => self.items[at].note = note,
            None => {
                self.items.remove(at);
                self.total = self.total.saturating_sub(1);
                self.came = self.came.saturating_sub(1);
                self.arrange();
            }
        }
        Intent::PostAndSay(command, said.to_owned()).into()
    }
}

impl Overlay for Bookmarks {
    fn scope(&self) -> Scope {
        if self.line.is_some() { Scope::Prompt } else { Scope::Overlay }
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        if self.total > 0 { format!("Bookmarks ({})", format::grouped(self.total as u64)) } else { "Bookmarks".to_owned() }
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let line = usize::from(self.line.is_some() || !self.filter.is_empty());
        let rows = u16::try_from(self.shown.len().max(1) + line).unwrap_or(u16::MAX);
        (96.min(width.saturating_sub(4)), rows.clamp(3, height.saturating_sub(4).max(3)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        let before = self.rows.at;
        if self.rows.act(call, self.shown.len()) {
            self.off_heading(self.rows.at < before);
            return Outcome::done();
        }
        match call.action {
            Action::Find => {
                self.line = Some(Line::new(&self.filter));
                return Outcome::done();
            }
            Action::Accept | Action::Activate if self.line.take().is_some() => return Outcome::done(),
            _ => {}
        }
        let Some(at) = self.current() else { return Outcome::ignored() };
        let item = &self.items[at];
        match call.action {
            Action::Accept | Action::Activate => Outcome::closed().with(Intent::Open(item.conversation, Some(item.node))),
            Action::Forget => self.change(at, None),
            Action::OpenEditor => {
                let question = Question { label: "Note".to_owned(), hint: "May be empty.".to_owned(), text: item.note.clone(), free: true };
                Intent::Overlay(Prompt::boxed("The bookmark's note", Action::Bookmark.into(), vec![question])).into()
            }
            Action::Bookmark => match call.args.first() {
                Some(note) => self.change(at, Some(note.trim().to_owned())),
                None => Outcome::ignored(),
            },
            _ => Outcome::ignored(),
        }
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        if let Some(line) = &mut self.line {
            line.insert(text);
        }
        self.filtered()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        if let Some(line) = &mut self.line {
            line.edit(edit, u32::try_from(times).ok());
        }
        self.filtered()
    }

    fn escape(&mut self) -> bool {
        let open = self.line.take().is_some();
        if open || !self.filter.is_empty() {
            self.filter.clear();
            self.stale = true;
            return true;
        }
        false
    }

    fn wants(&mut self, _cx: &Cx<'_>) -> Vec<Intent> {
        let near = self.wrong.is_none() && self.rows.at + 50 >= self.shown.len() && (self.came as usize) < self.total;
        if self.asked.is_some() || !(self.stale || near) {
            return Vec::new();
        }
        let fresh = std::mem::take(&mut self.stale);
        self.asked = Some(fresh);
        let filter = Some(self.filter.clone()).filter(|filter| !filter.is_empty());
        vec![Intent::AskOverlay(Query::Bookmarks { offset: if fresh { 0 } else { self.came }, limit: WINDOW, filter })]
    }

    fn reply(&mut self, reply: &Result<Reply>) -> bool {
        let Some(fresh) = self.asked else { return false };
        match reply {
            Ok(Reply::Bookmarks(window)) => {
                if fresh {
                    self.items.clear();
                    self.came = 0;
                }
                // One that came meanwhile shifts the rest by one.
                let known = |new: &Bookmark| self.items.iter().any(|item| item.node == new.node);
                let new: Vec<Bookmark> = window.items.iter().filter(|new| !known(new)).cloned().collect();
                self.came += u32::try_from(window.items.len()).unwrap_or(0);
                self.total = if window.items.is_empty() { self.items.len() } else { window.total as usize };
                self.items.extend(new);
                self.wrong = None;
                self.known = true;
                self.arrange();
            }
            // A filter that is being typed may not be one yet.
            Err(error) => self.wrong = Some(error.message.clone()),
            Ok(_) => return false,
        }
        self.asked = None;
        true
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let typing = self.line.is_some() || !self.filter.is_empty();
        let top = Rect { height: u16::from(typing).min(area.height), ..area };
        let cursor = match &self.line {
            Some(line) => field::draw(line, cx, "/", "in notes and messages; or title:… tag:… model:…", top, buf),
            None => {
                if typing {
                    Row::new(buf, top, 0).text("/", cx.style(Role::Accent)).foreign(&self.filter, cx.style(Role::Quiet));
                }
                None
            }
        };
        let body = Rect { y: top.bottom(), height: area.height - top.height, ..area };
        if let Some(wrong) = &self.wrong {
            Row::new(buf, body, 0).foreign(wrong, cx.style(Role::Warning));
            return cursor;
        }
        if self.shown.is_empty() && self.known {
            let key = cx.key(Scope::Chat, Action::Bookmark);
            let text =
                if typing { "No bookmark fits.".to_owned() } else { format!("Nothing is bookmarked yet; {key} at a message does it.") };
            Row::new(buf, body, 0).text(&text, cx.style(Role::Quiet));
        }
        let (items, shown) = (&self.items, &self.shown);
        super::list(cx, &mut self.rows, body, buf, shown.len(), |row_at, row| match shown[row_at] {
            Shown::Heading(at) => {
                let title = items[at].title.trim();
                row.foreign(if title.is_empty() { "untitled" } else { title }, cx.style(Role::Accent));
            }
            Shown::Item(at) => {
                let item = &items[at];
                row.right(&format::clock(item.created, cx.now.wall, &cx.zone), cx.style(Role::Quiet), 20);
                let (glyph, role) = if item.role == Speaker::User { ("›", Role::User) } else { ("‹", Role::Assistant) };
                row.gap(1).text(glyph, cx.style(role)).gap(1);
                if !item.note.is_empty() {
                    row.text("⚑ ", cx.style(Role::Accent)).foreign(&item.note, cx.style(Role::Strong)).gap(2);
                }
                row.text(&drawable(&item.snippet), cx.style(if item.note.is_empty() { Role::Text } else { Role::Quiet }));
            }
        });
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        if self.line.is_some() {
            return format!(
                "{} done · {} gives the filter up",
                cx.key(Scope::Prompt, Action::Accept),
                cx.key(Scope::Prompt, Action::Close)
            );
        }
        let key = |action| cx.key(Scope::Overlay, action);
        format!(
            "{} goes there · {} note · {} takes away · {} filters · {} closes",
            key(Action::Accept),
            key(Action::OpenEditor),
            key(Action::Forget),
            key(Action::Find),
            key(Action::Close)
        )
    }
}
