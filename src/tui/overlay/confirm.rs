//! A question with one sentence of what follows, answered by yes, no, or one of a few words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use crate::tui::action::{Action, Scope};
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::theme::Role;

pub struct Confirm {
    title: String,
    text: Vec<String>,
    yes: Option<Intent>,
    /// What yes does, in a word or two.
    word: &'static str,
}

impl Confirm {
    #[must_use]
    pub fn boxed(title: impl Into<String>, text: Vec<String>, word: &'static str, yes: Intent) -> Box<dyn Overlay> {
        Box::new(Self { title: title.into(), text, yes: Some(yes), word })
    }
}

impl Overlay for Confirm {
    fn scope(&self) -> Scope {
        Scope::Confirm
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, _cx: &Cx<'_>, (width, _): (u16, u16)) -> (u16, u16) {
        let wide = 60.min(width.saturating_sub(4));
        let rows: usize = self.text.iter().map(|t| wrap(t, usize::from(wide)).len()).sum();
        (wide, u16::try_from(rows).unwrap_or(u16::MAX))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        match call.action {
            Action::Accept | Action::Activate => match self.yes.take() {
                Some(yes) => Outcome::closed().with(yes),
                None => Outcome::closed(),
            },
            _ => Outcome::ignored(),
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let mut y = 0;
        for (i, text) in self.text.iter().enumerate() {
            for line in wrap(text, usize::from(area.width)) {
                Row::new(buf, area, y).text(&line, cx.style(if i == 0 { Role::Text } else { Role::Quiet }));
                y += 1;
            }
        }
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        format!("{} {} · {} no", cx.key(Scope::Confirm, Action::Accept), self.word, cx.key(Scope::Confirm, Action::Close))
    }
}
