//! What was written to models before, narrowed by the host as one types; one that is chosen comes into the composer.
//!
//! Invariant: what is listed is what the newest line asked for, or an older one's until that is there; nothing is sent by choosing.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field, list};
use crate::error::Result;
use crate::proto::{Query, Reply};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::format;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::theme::Role;

/// So many are asked for: whoever looks for an older one types what was in it.
const LIMIT: u32 = 100;
/// Characters of a prompt that can be seen at most.
const SHOWN: usize = 200;

/// The list.
pub struct Prompts {
    line: Line,
    rows: Rows,
    /// Newest first; `None`: not asked or not answered yet.
    found: Option<Vec<String>>,
    /// Questions that were not answered yet: only the last answer counts.
    asked: usize,
}

impl Prompts {
    /// It, and the question that it begins with.
    #[must_use]
    pub fn new(text: &str) -> (Self, Intent) {
        let mut prompts = Self { line: Line::new(text), rows: Rows::default(), found: None, asked: 0 };
        let ask = prompts.ask();
        (prompts, ask)
    }

    fn ask(&mut self) -> Intent {
        self.asked += 1;
        self.rows.at = 0;
        Intent::AskOverlay(Query::Prompts { text: self.line.text().trim().to_owned(), limit: LIMIT })
    }
}

impl Overlay for Prompts {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "Written before".to_owned()
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        (96.min(width.saturating_sub(4)), 24.min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        let found = self.found.as_deref().unwrap_or_default();
        if self.rows.act(call, found.len()) {
            return Outcome::done();
        }
        match call.action {
            Action::Accept | Action::Activate => match found.get(self.rows.at) {
                Some(text) => Outcome::closed().with(Intent::Insert(text.clone())),
                None => Outcome::done(),
            },
            _ => Outcome::ignored(),
        }
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.line.insert(text);
        self.ask().into()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        let before = self.line.text().to_owned();
        self.line.edit(edit, u32::try_from(times).ok());
        if self.line.text() == before { Outcome::done() } else { self.ask().into() }
    }

    fn reply(&mut self, reply: &Result<Reply>) -> bool {
        if self.asked == 0 {
            return false;
        }
        match reply {
            Ok(Reply::Prompts(found)) => {
                self.asked -= 1;
                if self.asked == 0 {
                    self.found = Some(found.clone());
                }
                true
            }
            Ok(_) => false,
            Err(_) => {
                self.asked -= 1;
                self.found.get_or_insert_default();
                true
            }
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let line = Rect { height: 1.min(area.height), ..area };
        let cursor = field::draw(&self.line, cx, "› ", "type what was in it", line, buf);
        let rows = Rect { y: line.bottom(), height: area.bottom().saturating_sub(line.bottom()), ..area };
        let Some(found) = &self.found else {
            Row::new(buf, rows, 0).text("…", cx.style(Role::Quiet));
            return cursor;
        };
        if found.is_empty() {
            let text = if self.line.is_empty() { "Nothing was written yet." } else { "Nothing that was written holds this." };
            Row::new(buf, rows, 0).text(text, cx.style(Role::Quiet));
        }
        list(cx, &mut self.rows, rows, buf, found.len(), |at, row| {
            let lines = found[at].trim_end().lines().count() as u64;
            if lines > 1 {
                row.right(&format::plural(lines, "line"), cx.style(Role::Quiet), 12);
            }
            row.foreign(&crate::sanitise::cut(found[at].trim(), SHOWN), cx.style(Role::Text));
        });
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Prompt, action);
        format!("{} puts it into the composer · {} closes", key(Action::Accept), key(Action::Close))
    }
}
