//! The files that went with a message: save one, look at it in the editor, copy its text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use super::codes::is_name;
use super::prompt::{Prompt, Question};
use crate::proto::Part;
use crate::tui::action::files::{Fetch, For};
use crate::tui::action::{Action, Invocation, Scope};
use crate::tui::attached::{described, name};
use crate::tui::output::Cursor;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::theme::Role;

/// Shows these, which are attachments.
#[must_use]
pub fn open(files: Vec<Part>) -> Box<dyn Overlay> {
    Box::new(Files { files, rows: Rows::default() })
}

struct Files {
    files: Vec<Part>,
    rows: Rows,
}

impl Files {
    fn fetch(&self, why: For) -> Outcome {
        let fetch = self.files.get(self.rows.at).and_then(|part| Fetch::of(part, why));
        fetch.map_or_else(Outcome::ignored, |fetch| Outcome::closed().with(Intent::Fetch(Box::new(fetch))))
    }
}

/// What it is saved as, unless somebody says otherwise: its name here, without folders, when that is one.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if is_name(last) { last.to_owned() } else { "attachment".to_owned() }
}

impl Overlay for Files {
    fn scope(&self) -> Scope {
        Scope::Overlay
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "Attachments of this message".to_owned()
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        (76.min(width.saturating_sub(4)), rows.saturating_add(1).min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        if self.rows.act(call, self.files.len()) {
            return Outcome::done();
        }
        let Some(part) = self.files.get(self.rows.at) else { return Outcome::ignored() };
        match call.action {
            Action::Accept | Action::Activate | Action::OpenEditor => self.fetch(For::Edit),
            Action::Copy => self.fetch(For::Copy),
            Action::CodeSave => match call.args.first() {
                Some(path) => self.fetch(For::Save(path.clone())),
                None => {
                    let hint = "Relative to the folder that arbour was started in. A file that is there is replaced only after a question.";
                    let question = Question { label: "File".to_owned(), hint: hint.to_owned(), text: file_name(name(part)), free: false };
                    Intent::Overlay(Prompt::boxed("Save the attachment", Invocation::new(Action::CodeSave), vec![question])).into()
                }
            },
            _ => Outcome::ignored(),
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let files = &self.files;
        super::list(cx, &mut self.rows, area, buf, files.len(), |at, row| {
            let (glyph, facts) = described(&files[at]);
            row.right(&facts, cx.style(Role::Quiet), 20);
            row.text(glyph, cx.style(Role::Accent)).gap(1).foreign(name(&files[at]), cx.style(Role::Text));
        });
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Overlay, action);
        format!(
            "{} shows · {} saves · {} copies · {} closes",
            key(Action::Accept),
            key(Action::CodeSave),
            key(Action::Copy),
            key(Action::Close)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_saved_under_a_name_that_leads_nowhere_else() {
        for (name, saved) in [
            ("oak.png", "oak.png"),
            ("src/main.rs", "main.rs"),
            ("../../.bashrc", "attachment"),
            ("a\u{1b}[2Jb.txt", "attachment"),
            ("", "attachment"),
        ] {
            assert_eq!(file_name(name), saved, "{name:?}");
        }
    }
}
