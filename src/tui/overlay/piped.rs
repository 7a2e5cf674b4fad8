//! A command that a code block was given to: that it runs, then what came of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use super::page::Page;
use crate::error::Result;
use crate::tui::action::{Action, Scope};
use crate::tui::composer::Edit;
use crate::tui::format;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::pipe::Piped;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

#[must_use]
pub fn open(command: String) -> Box<dyn Overlay> {
    Box::new(Piping { command, page: None })
}

struct Piping {
    command: String,
    /// What came of it; `None`: it still runs.
    page: Option<Page>,
}

impl Overlay for Piping {
    fn scope(&self) -> Scope {
        self.page.as_ref().map_or(Scope::Overlay, Overlay::scope)
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        format!("$ {}", drawable(&crate::sanitise::cut(&self.command, 60)))
    }

    fn size(&self, cx: &Cx<'_>, room: (u16, u16)) -> (u16, u16) {
        self.page.as_ref().map_or((56, 1), |page| page.size(cx, room))
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        match (&mut self.page, call.action) {
            (None, Action::Stop) => Outcome::closed().with(Intent::EndPipe).say("The command was ended."),
            (Some(page), _) => page.act(call, cx),
            (None, _) => Outcome::ignored(),
        }
    }

    fn typed(&mut self, text: &str, cx: &Cx<'_>) -> Outcome {
        self.page.as_mut().map_or_else(Outcome::ignored, |page| page.typed(text, cx))
    }

    fn edit(&mut self, edit: Edit, times: usize, cx: &Cx<'_>) -> Outcome {
        self.page.as_mut().map_or_else(Outcome::ignored, |page| page.edit(edit, times, cx))
    }

    fn escape(&mut self) -> bool {
        self.page.as_mut().is_some_and(Overlay::escape)
    }

    fn closed(&mut self) -> Outcome {
        match self.page {
            Some(_) => Outcome::done(),
            None => Outcome::from(Intent::EndPipe).say("The command was ended."),
        }
    }

    fn piped(&mut self, result: &Result<Piped>) -> bool {
        if self.page.is_some() {
            return false;
        }
        let page = match result {
            Ok(piped) => {
                let ended = format!("{} It took {}.", piped.ended, format::wait(piped.took.as_secs_f64() * 1000.0));
                let mut text = vec![(ended, if piped.failed { Role::Warning } else { Role::Quiet })];
                let empty = piped.output.trim().is_empty();
                let output = if empty { "It wrote nothing.".to_owned() } else { piped.output.trim_end().to_owned() };
                text.push((output, if empty { Role::Quiet } else { Role::CodeText }));
                Page::new("", text).copies(piped.output.clone(), "the output")
            }
            Err(error) => {
                let causes = error.hints.iter().chain(&error.cause).map(|text| (text.clone(), Role::Quiet));
                Page::new("", std::iter::once((error.message.clone(), Role::Error)).chain(causes).collect())
            }
        };
        self.page = Some(page);
        true
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        match &mut self.page {
            Some(page) => page.view(cx, area, buf),
            None => {
                Row::new(buf, area, 0).text("It runs…", cx.style(Role::Running));
                None
            }
        }
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        match &self.page {
            Some(page) => page.foot(cx),
            None => format!("{} ends it", cx.key(Scope::AnyMode, Action::Stop)),
        }
    }
}
