//! Asks for the arguments of an action, one line after the other.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field};
use crate::tui::action::{Action, Invocation, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::theme::Role;

/// One line to be typed.
pub struct Question {
    pub label: String,
    pub hint: String,
    /// What stands in it at first.
    pub text: String,
    /// An empty line is an answer.
    pub free: bool,
}

/// The lines of one action.
pub struct Prompt {
    title: String,
    questions: Vec<Question>,
    answers: Vec<String>,
    line: Line,
    invocation: Invocation,
}

impl Prompt {
    /// Runs `invocation` with the answers behind the arguments that it has.
    #[must_use]
    pub fn boxed(title: impl Into<String>, invocation: Invocation, questions: Vec<Question>) -> Box<dyn Overlay> {
        let line = Line::new(questions.first().map_or("", |q| &q.text));
        Box::new(Self { title: title.into(), questions, answers: Vec::new(), line, invocation })
    }

    fn question(&self) -> Option<&Question> {
        self.questions.get(self.answers.len())
    }
}

impl Overlay for Prompt {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, _cx: &Cx<'_>, (width, _): (u16, u16)) -> (u16, u16) {
        let wide = 70.min(width.saturating_sub(4));
        let hint = self.question().map_or(1, |q| wrap(&q.hint, usize::from(wide)).len());
        (wide, u16::try_from(self.answers.len() + hint + 2).unwrap_or(6))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        if !matches!(call.action, Action::Accept | Action::Activate) {
            return Outcome::ignored();
        }
        let text = self.line.text().trim().to_owned();
        let Some(question) = self.question() else { return Outcome::closed() };
        if text.is_empty() && !question.free {
            return Outcome::done();
        }
        self.answers.push(text);
        if let Some(next) = self.question() {
            let text = next.text.clone();
            self.line.set(&text);
            return Outcome::done();
        }
        let mut invocation = self.invocation.clone();
        let mut answers = std::mem::take(&mut self.answers);
        while answers.last().is_some_and(String::is_empty) && answers.len() > 1 {
            answers.pop();
        }
        invocation.args.extend(answers);
        Outcome::closed().with(Intent::Call(invocation))
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.line.insert(text);
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        self.line.edit(edit, u32::try_from(times).ok());
        Outcome::done()
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let mut y = 0;
        for (question, answer) in self.questions.iter().zip(&self.answers) {
            Row::new(buf, area, y).text(&question.label, cx.style(Role::Quiet)).gap(1).foreign(answer, cx.style(Role::Text));
            y += 1;
        }
        let question = self.question()?;
        let line = Rect { y: area.y + y, height: u16::from(y < area.height), ..area };
        let cursor = field::draw(&self.line, cx, &format!("{} ", question.label), "", line, buf);
        y += 1;
        for hint in wrap(&question.hint, usize::from(area.width)) {
            Row::new(buf, area, y).text(&hint, cx.style(Role::Quiet));
            y += 1;
        }
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        format!("{} goes on · {} closes", cx.key(Scope::Prompt, Action::Accept), cx.key(Scope::Prompt, Action::Close))
    }
}
