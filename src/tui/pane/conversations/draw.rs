//! The pane's rows: heads of folders, conversations in as many columns as there is room for.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Conversations;
use super::lines::{Line, What};
use super::shelves::Place;
use crate::proto::ConversationRow;
use crate::tui::format;
use crate::tui::paint::{Row, tint};
use crate::tui::pane::Cx;
use crate::tui::text::width::{drawable, pad, pad_start, truncate, width};
use crate::tui::theme::Role;

/// From so many columns on, model and tokens are told too.
const MEDIUM: u16 = 56;
/// From so many on, there are columns with a head.
const WIDE: u16 = 90;
const MODEL: usize = 18;
const TIME: usize = 9;

impl Conversations {
    pub(super) fn draw(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
        if self.lines.len() == 0 {
            self.shown = 0..0;
            self.empty(cx, area, buf);
            return;
        }
        let headed = area.width >= WIDE && area.height >= 4;
        if headed {
            head_row(cx, Row::new(buf, area, 0));
        }
        let list = Rect { y: area.y + u16::from(headed), height: area.height - u16::from(headed), ..area };
        let range = self.range();
        self.shown = self.rows.show(usize::from(list.height), self.lines.len());
        for (y, at) in self.shown.clone().enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            let depth = self.lines.segment(at).map_or(0, |segment| segment.depth);
            let mut row = Row::new(buf, list, y);
            let marked = self.row(at).is_some_and(|row| self.marks.contains_key(&row.id));
            row.margin(1).text(if marked { "◆" } else { " " }, cx.style(Role::Marked));
            // Deep folders leave most of the row to the titles.
            row.gap((depth * 2).min(area.width / 3));
            match self.lines.get(at) {
                Some(Line::Head(head)) => self.head(cx, head, row),
                Some(Line::Row(place, at)) => match self.shelves.row(place, at) {
                    Some(conversation) => draw_row(cx, conversation, place, marked, area.width, row),
                    None => {
                        let length = [18, 12, 20, 9, 15][at % 5];
                        row.gap(2).text(&"░".repeat(length), cx.style(Role::Skeleton));
                    }
                },
                None => {}
            }
            if range.as_ref().is_some_and(|range| range.contains(&at)) {
                tint(buf, list, y, cx.style(Role::SelectionQuiet));
            }
            if at == self.rows.at {
                tint(buf, list, y, cx.style(if cx.focused { Role::Selection } else { Role::SelectionQuiet }));
            }
        }
    }

    fn head(&self, cx: &Cx<'_>, head: What, mut row: Row<'_>) {
        let quiet = cx.style(Role::Quiet);
        let open = self.is_open(head, &cx.replica.folders);
        let fold = if open { "▾" } else { "▸" };
        let count = |count: usize| if count > 0 { format::grouped(count as u64) } else { String::new() };
        match head {
            What::Folder(id) => {
                let Some(folder) = cx.replica.folders.iter().find(|folder| folder.id == id) else { return };
                let sum = self.lines.sum(id);
                row.right(&count(sum.count), quiet, 8);
                if sum.unread > 0 && !open {
                    row.right("•", cx.style(Role::Unread), 8);
                }
                row.text(fold, quiet).gap(1);
                if folder.search.is_some() {
                    row.text("⌕", cx.style(Role::Accent)).gap(1);
                }
                row.foreign(&folder.name, cx.style(if sum.unread > 0 && !open { Role::Unread } else { Role::Strong }));
            }
            What::Archive | What::Bin => {
                let (name, place) = if head == What::Archive { ("Archive", Place::Archive) } else { ("Bin", Place::Bin) };
                row.right(&count(self.shelves.total(place).unwrap_or(0)), quiet, 8);
                row.text(fold, quiet).gap(1).text(name, quiet);
            }
            What::Rows(_) => {}
        }
    }

    fn empty(&self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
        if !cx.attached() {
            for y in 0..area.height.min(5) {
                let length = [18, 12, 20, 9, 15][usize::from(y) % 5];
                Row::new(buf, area, y).gap(3).text(&"░".repeat(length), cx.style(Role::Skeleton));
            }
            return;
        }
        let text = match self.shelves.filter() {
            Some(_) if self.shelves.total(Place::Found).is_none() => "Looking…".to_owned(),
            Some(filter) => format!("No conversation fits {}.", drawable(filter)),
            None => "Nothing yet. Write a message.".to_owned(),
        };
        for (y, line) in crate::tui::paint::wrap(&text, usize::from(area.width.saturating_sub(2))).iter().enumerate() {
            Row::new(buf, area, u16::try_from(y).unwrap_or(u16::MAX)).gap(1).text(line, cx.style(Role::Quiet));
        }
    }
}

/// What a conversation does now, or wants.
fn mark(conversation: &ConversationRow, place: Place) -> (String, Role) {
    match conversation.running {
        0 if conversation.unread => ("•".to_owned(), Role::Unread),
        0 if place == Place::Pinned => ("★".to_owned(), Role::Favourite),
        0 => (" ".to_owned(), Role::Text),
        1 => ("▸".to_owned(), Role::Running),
        many => (format!("▸{}", many.min(99)), Role::Running),
    }
}

fn draw_row(cx: &Cx<'_>, conversation: &ConversationRow, place: Place, marked: bool, columns: u16, mut row: Row<'_>) {
    let quiet = cx.style(Role::Quiet);
    let (sign, role) = mark(conversation, place);
    let at = if place == Place::Bin { conversation.deleted.unwrap_or(conversation.updated) } else { conversation.updated };
    let time = format::clock(at, cx.now.wall, &cx.zone);
    let model = conversation.model.as_ref().map(|model| drawable(&model.model).into_owned()).unwrap_or_default();
    let tokens = if conversation.tokens > 0 { format::short(conversation.tokens) } else { String::new() };
    let branches = if conversation.branches > 1 { format!("⎇{}", conversation.branches) } else { String::new() };
    let queued = if conversation.queued > 0 { format!("+{}", conversation.queued) } else { String::new() };
    if columns >= WIDE {
        let created = format::clock(conversation.created, cx.now.wall, &cx.zone);
        let messages = format::short(u64::from(conversation.messages));
        let cells = [
            pad(&truncate(&model, MODEL), MODEL),
            pad_start(&messages, 6),
            pad_start(&branches, 5),
            pad_start(&tokens, 6),
            pad_start(&created, TIME),
            pad_start(&time, TIME),
        ];
        row.right(&cells.join("  "), quiet, 20);
    } else {
        row.right(&time, quiet, 14);
        if columns >= MEDIUM {
            row.right(&pad_start(&tokens, 5), quiet, 20);
            row.right(&pad(&truncate(&model, MODEL), MODEL), quiet, 20);
        }
        row.right(&branches, quiet, 18);
    }
    row.right(&queued, cx.style(Role::Running), 12);
    if columns >= MEDIUM && !conversation.tags.is_empty() {
        let tags: Vec<String> = conversation.tags.iter().map(|tag| format!("#{}", drawable(tag))).collect();
        row.right(&truncate(&tags.join(" "), 24), cx.style(Role::Accent), 24);
    }
    row.text(&sign, cx.style(role)).gap(1);
    let shown = cx.view.conversation == Some(conversation.id);
    let style = match (marked, shown, conversation.unread) {
        (true, ..) => Role::Marked,
        (_, true, _) => Role::Accent,
        (.., true) => Role::Unread,
        _ if matches!(place, Place::Archive | Place::Bin) || conversation.archived => Role::Quiet,
        _ => Role::Text,
    };
    if conversation.title.trim().is_empty() {
        row.text("untitled", cx.style(if style == Role::Text { Role::Quiet } else { style }));
    } else {
        row.foreign(&conversation.title, cx.style(style));
    }
}

fn head_row(cx: &Cx<'_>, mut row: Row<'_>) {
    let cells = [
        pad("model", MODEL),
        pad_start("msgs", 6),
        pad_start("⎇", 5),
        pad_start("tokens", 6),
        pad_start("begun", TIME),
        pad_start("changed", TIME),
    ];
    let heads = cells.join("  ");
    debug_assert_eq!(width(&heads), MODEL + 6 + 5 + 6 + 2 * TIME + 10);
    row.margin(1).right(&heads, cx.style(Role::Quiet), 20);
    row.gap(3).text("title", cx.style(Role::Quiet));
}
