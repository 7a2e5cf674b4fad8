//! The search over all messages, as one types: hits under their conversations, and what stands above the one under the cursor.
//!
//! Refuses: the state (`tui::search`), which outlives it. Invariant: it can be closed and opened again without anything being lost.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field};
use crate::core::filter::conversations::Subject;
use crate::proto::{Role as Speaker, SearchHit};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Candidate;
use crate::tui::composer::Edit;
use crate::tui::format;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::search::{MOST, Search, Shown, pieces};
use crate::tui::text::width::{drawable, width};
use crate::tui::theme::Role;

#[must_use]
pub fn boxed() -> Box<dyn Overlay> {
    Box::new(Hits)
}

struct Hits;

impl Overlay for Hits {
    fn scope(&self) -> Scope {
        Scope::Hits
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "Search all messages".to_owned()
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        (110.min(width.saturating_sub(4)), height.saturating_sub(4).min(40))
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        let search = &mut *cx.search.borrow_mut();
        let before = search.rows.at;
        let many = search.shown().len();
        if search.rows.act(call, many) {
            // The cursor goes past headings, the way it was going.
            if let Some(Shown::Head { .. }) = search.shown().get(search.rows.at) {
                let up = search.rows.at < before && search.rows.at > 0;
                search.rows.at = if up { search.rows.at - 1 } else { (search.rows.at + 1).min(many - 1) };
            }
            return Outcome::done();
        }
        match call.action {
            Action::Accept | Action::Activate => match search.current() {
                Some(hit) => {
                    let needle = pieces(&hit.snippet).into_iter().find(|(_, found)| *found).map(|(text, _)| text.to_lowercase());
                    let needle = needle.unwrap_or_default();
                    Outcome::closed().with(Intent::Found { conversation: hit.conversation, node: hit.node, needle })
                }
                None => Outcome::done(),
            },
            Action::Complete | Action::CompleteBack => {
                search.line.complete(call.action == Action::CompleteBack, |before| {
                    let (start, items) = cx.complete_filter(before, Subject::Messages);
                    (start, items.into_iter().map(|(text, about)| Candidate { text, about }).collect())
                });
                Outcome::done()
            }
            _ => Outcome::ignored(),
        }
    }

    fn typed(&mut self, text: &str, cx: &Cx<'_>) -> Outcome {
        cx.search.borrow_mut().line.insert(text);
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, cx: &Cx<'_>) -> Outcome {
        cx.search.borrow_mut().line.edit(edit, u32::try_from(times).ok());
        Outcome::done()
    }

    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        if !cx.is_up() {
            return Vec::new();
        }
        cx.search.borrow_mut().due().map(Intent::Search).into_iter().collect()
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let search = &mut *cx.search.borrow_mut();
        let line = Rect { height: 1.min(area.height), ..area };
        let cursor = field::draw(search.line.line(), cx, "› ", "words; role:user, folder:work, after:7d… (Tab completes)", line, buf);
        let (text, role) = told(search, cx);
        Row::new(buf, area, 1).text(&text, cx.style(role));
        let above = above(search, cx, usize::from(area.width));
        let foot = u16::try_from(above.len()).unwrap_or(0).min(area.height.saturating_sub(6));
        let body = Rect { y: area.y + 2.min(area.height), height: area.height.saturating_sub(2 + foot), ..area };
        let (shown, mut rows) = (search.shown().to_vec(), search.rows);
        let under = rows.at;
        super::list(cx, &mut rows, body, buf, shown.len(), |at, row| match shown[at] {
            Shown::Head { hit, count } => head(cx, search.hit(hit), count, row),
            Shown::Hit(hit) => hit_row(cx, search.hit(hit), at == under, row),
        });
        search.rows = rows;
        for (y, line) in above.iter().take(usize::from(foot)).enumerate() {
            let y = area.height - foot + u16::try_from(y).unwrap_or(0);
            Row::new(buf, area, y).text(line, cx.style(Role::Quiet));
        }
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Hits, action);
        let back = cx.key(Scope::Anywhere, Action::JumpBack);
        format!("{} goes there, {back} back · {} completes · {} closes", key(Action::Accept), key(Action::Complete), key(Action::Close))
    }
}

/// How much was found, or what is wrong.
fn told(search: &Search, cx: &Cx<'_>) -> (String, Role) {
    let filter = cx.filter(search.text(), Subject::Messages);
    if let Some(problem) = filter.problems().first() {
        return (format!("{} {}", problem.message, problem.hint.as_deref().unwrap_or_default()).trim_end().to_owned(), Role::Error);
    }
    if let Some(error) = search.failure() {
        return (drawable(&error.message).into_owned(), Role::Error);
    }
    let (hits, conversations) = search.counts();
    let text = match (search.text().is_empty(), hits) {
        (true, _) => String::new(),
        (false, 0) if search.is_asking() => "Looking…".to_owned(),
        (false, 0) => "No message holds that.".to_owned(),
        (false, hits) => {
            let more = if hits >= MOST as usize { "The best " } else { "" };
            let (hits, conversations) = (format::plural(hits as u64, "message"), format::plural(conversations as u64, "conversation"));
            format!("{more}{hits} in {conversations}")
        }
    };
    (text, Role::Quiet)
}

/// What stands above the hit under the cursor, in a line or two.
fn above(search: &Search, cx: &Cx<'_>, columns: usize) -> Vec<String> {
    let Some(hit) = search.current().filter(|hit| !hit.above.is_empty()) else { return Vec::new() };
    let said: Vec<String> = hit.above.iter().map(|(role, text)| format!("{} {}", who(*role), crate::sanitise::cut(text, 80))).collect();
    let _ = cx;
    let mut lines = wrap(&format!("above: {}", drawable(&said.join("  ›  "))), columns);
    lines.truncate(2);
    lines
}

fn who(role: Speaker) -> &'static str {
    match role {
        Speaker::User => "you:",
        Speaker::Assistant => "answer:",
        Speaker::System => "system:",
        Speaker::Tool => "tool:",
    }
}

fn head(cx: &Cx<'_>, hit: Option<&SearchHit>, count: usize, row: &mut Row<'_>) {
    let Some(hit) = hit else { return };
    row.right(&format::clock(hit.created, cx.now.wall, &cx.zone), cx.style(Role::Quiet), 20);
    row.right(&if count > 1 { format!("{count} hits") } else { String::new() }, cx.style(Role::Quiet), 20);
    let title = if hit.title.trim().is_empty() { "untitled" } else { hit.title.trim() };
    row.foreign(title, cx.style(Role::Strong));
}

fn hit_row(cx: &Cx<'_>, hit: Option<&SearchHit>, selected: bool, row: &mut Row<'_>) {
    let Some(hit) = hit else { return };
    row.right(&format::clock(hit.created, cx.now.wall, &cx.zone), cx.style(Role::Quiet), 20);
    row.right(if hit.archived { "archived" } else { "" }, cx.style(Role::Warning), 20);
    let (glyph, role) = match hit.role {
        Speaker::User => ("›", Role::User),
        Speaker::Assistant => ("‹", Role::Assistant),
        Speaker::System => ("#", Role::System),
        Speaker::Tool => ("⚙", Role::Tool),
    };
    row.gap(1).text(glyph, cx.style(role)).gap(1);
    let mut pieces = pieces(&hit.snippet);
    // What was found is in view: a long beginning is cut.
    let room = row.left();
    if let Some((first, false)) = pieces.first().copied()
        && width(&drawable(first)) > room / 2
    {
        let keep = first.char_indices().rev().nth(room / 3).map_or(0, |(at, _)| at);
        pieces[0].0 = &first[keep..];
        row.text("…", cx.style(Role::Quiet));
    }
    // On the selection's ground the dark letters of a hit could not be read.
    let hit = if selected { Role::Accent } else { Role::SearchHit };
    for (text, found) in pieces {
        row.foreign(text, cx.style(if found { hit } else { Role::Text }));
    }
}
