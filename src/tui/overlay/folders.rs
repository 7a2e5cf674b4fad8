//! A folder to move conversations into: one that there is, a new one by typing it, or none.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field, palette};
use crate::tui::action::keeping::NO_FOLDER;
use crate::tui::action::{Action, Invocation, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::output::Cursor;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::theme::Role;

/// `paths`: the folders that there are.
#[must_use]
pub fn boxed(title: String, paths: Vec<String>) -> Box<dyn Overlay> {
    let mut folders = Folders { title, paths, line: Line::default(), rows: Rows::default(), shown: Vec::new() };
    folders.narrow();
    Box::new(folders)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    /// A place in the list of paths.
    Known(usize),
    New(String),
    None,
}

struct Folders {
    title: String,
    paths: Vec<String>,
    line: Line,
    rows: Rows,
    shown: Vec<Shown>,
}

impl Folders {
    fn narrow(&mut self) {
        let typed = self.line.text().trim();
        self.shown = palette::rank(typed, self.paths.iter().map(String::as_str)).into_iter().map(Shown::Known).collect();
        if typed.is_empty() {
            self.shown.push(Shown::None);
        } else if !self.paths.iter().any(|path| path.to_lowercase() == typed.to_lowercase()) {
            self.shown.push(Shown::New(typed.to_owned()));
        }
        self.rows.at = 0;
    }
}

impl Overlay for Folders {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(self.paths.len() + 2).unwrap_or(u16::MAX);
        (50.min(width.saturating_sub(4)), rows.min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        if self.rows.act(call, self.shown.len()) {
            return Outcome::done();
        }
        if !matches!(call.action, Action::Accept | Action::Activate) {
            return Outcome::ignored();
        }
        let folder = match self.shown.get(self.rows.at) {
            Some(Shown::Known(at)) => self.paths.get(*at).cloned().unwrap_or_default(),
            Some(Shown::New(name)) => name.clone(),
            Some(Shown::None) => NO_FOLDER.to_owned(),
            None => return Outcome::done(),
        };
        Outcome::closed().with(Intent::Call(Invocation { action: Action::Move, args: vec![folder] }))
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.line.insert(text);
        self.narrow();
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        self.line.edit(edit, u32::try_from(times).ok());
        self.narrow();
        Outcome::done()
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let line = Rect { height: 1.min(area.height), ..area };
        let cursor = field::draw(&self.line, cx, "› ", "a part of a name, or a new one", line, buf);
        let body = Rect { y: line.bottom(), height: area.bottom().saturating_sub(line.bottom()), ..area };
        let (shown, paths) = (&self.shown, &self.paths);
        super::list(cx, &mut self.rows, body, buf, shown.len(), |at, row| match &shown[at] {
            Shown::Known(at) => {
                row.foreign(&paths[*at], cx.style(Role::Text));
            }
            Shown::New(name) => {
                row.text("new: ", cx.style(Role::Accent)).foreign(name, cx.style(Role::Text));
            }
            Shown::None => {
                row.text("in no folder", cx.style(Role::Quiet));
            }
        });
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        format!("{} moves · {} closes", cx.key(Scope::Prompt, Action::Accept), cx.key(Scope::Prompt, Action::Close))
    }
}
