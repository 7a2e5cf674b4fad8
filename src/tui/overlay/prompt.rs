//! Asks for texts, one line after the other: the arguments of an action, the variables of a template.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field};
use crate::config::templates::Variable;
use crate::tui::action::{Action, Invocation, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::msg::Purpose;
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::width::drawable;
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

/// A question with what only forms know of it.
struct Asked {
    question: Question,
    /// What it takes; empty: anything.
    choices: Vec<String>,
    /// The answer may have several lines, which are written in `$EDITOR`.
    multiline: bool,
}

/// What becomes of the answers.
enum Done {
    /// They are arguments behind those that the action has.
    Call(Invocation),
    Form(Box<dyn FnOnce(Vec<String>) -> Intent>),
}

/// The lines of one action or form.
pub struct Prompt {
    title: String,
    asked: Vec<Asked>,
    answers: Vec<String>,
    line: Line,
    /// Taken when the last answer is there.
    done: Option<Done>,
}

impl Prompt {
    /// Runs `invocation` with the answers behind the arguments that it has.
    #[must_use]
    pub fn boxed(title: impl Into<String>, invocation: Invocation, questions: Vec<Question>) -> Box<dyn Overlay> {
        let asked = questions.into_iter().map(|question| Asked { question, choices: Vec::new(), multiline: false }).collect();
        Self::boxed_with(title.into(), asked, Done::Call(invocation))
    }

    /// Asks for the variables of a template. `done` gets an answer for each.
    #[must_use]
    pub fn form(title: impl Into<String>, variables: &[Variable], done: impl FnOnce(Vec<String>) -> Intent + 'static) -> Box<dyn Overlay> {
        let asked = variables
            .iter()
            .map(|variable| Asked {
                question: Question {
                    label: drawable(&variable.name).into_owned(),
                    hint: drawable(&variable.help).into_owned(),
                    text: variable.default.clone().unwrap_or_default(),
                    free: variable.default.is_some(),
                },
                choices: variable.choices.clone(),
                multiline: variable.multiline,
            })
            .collect();
        Self::boxed_with(title.into(), asked, Done::Form(Box::new(done)))
    }

    fn boxed_with(title: String, asked: Vec<Asked>, done: Done) -> Box<dyn Overlay> {
        let line = Line::new(asked.first().map_or("", |asked| &asked.question.text));
        Box::new(Self { title, asked, answers: Vec::new(), line, done: Some(done) })
    }

    fn asked(&self) -> Option<&Asked> {
        self.asked.get(self.answers.len())
    }

    fn hint(&self, cx: &Cx<'_>) -> String {
        let Some(asked) = self.asked() else { return String::new() };
        let mut hint = vec![asked.question.hint.clone()];
        if !asked.choices.is_empty() {
            let choices: Vec<_> = asked.choices.iter().map(|choice| drawable(choice).into_owned()).collect();
            hint.push(format!("{} ({} goes through them)", choices.join(" · "), cx.key(Scope::Prompt, Action::ListDown)));
        }
        if asked.multiline {
            hint.push(format!("{} writes it in $EDITOR", cx.key(Scope::Prompt, Action::OpenEditor)));
        }
        hint.retain(|part| !part.is_empty());
        hint.join(" — ")
    }

    /// The next of the choices stands in the line, or the one before.
    fn choose(&mut self, back: bool) {
        let Some(asked) = self.asked().filter(|asked| !asked.choices.is_empty()) else { return };
        let many = asked.choices.len();
        let at = match (asked.choices.iter().position(|choice| choice == self.line.text()), back) {
            (Some(at), false) => (at + 1) % many,
            (Some(at), true) => (at + many - 1) % many,
            (None, _) => asked.choices.iter().position(|choice| choice.starts_with(self.line.text())).unwrap_or(0),
        };
        let choice = asked.choices[at].clone();
        self.line.set(&choice);
    }

    /// From a line to the next one, or back to the one before, as in any form. The last one is only left by an answer.
    fn step(&mut self, back: bool) -> Outcome {
        if self.asked().is_some_and(|asked| !asked.choices.is_empty()) {
            self.choose(back);
        } else if back {
            if let Some(before) = self.answers.pop() {
                self.line.set(&before);
            }
        } else if self.answers.len() + 1 < self.asked.len() {
            let text = self.line.text().trim().to_owned();
            return self.answer(text);
        }
        Outcome::done()
    }

    /// Takes an answer; after the last one, does what they were asked for.
    fn answer(&mut self, text: String) -> Outcome {
        let Some(asked) = self.asked() else { return Outcome::closed() };
        if text.is_empty() && !asked.question.free {
            return Outcome::done();
        }
        if !asked.choices.is_empty() && !asked.choices.contains(&text) {
            return Outcome::done().say(format!("It takes {}.", drawable(&asked.choices.join(", "))));
        }
        self.answers.push(text);
        if let Some(next) = self.asked() {
            let text = next.question.text.clone();
            self.line.set(&text);
            return Outcome::done();
        }
        let mut answers = std::mem::take(&mut self.answers);
        match self.done.take() {
            Some(Done::Form(done)) => Outcome::closed().with(done(answers)),
            Some(Done::Call(mut invocation)) => {
                while answers.last().is_some_and(String::is_empty) && answers.len() > 1 {
                    answers.pop();
                }
                invocation.args.extend(answers);
                Outcome::closed().with(Intent::Call(invocation))
            }
            None => Outcome::closed(),
        }
    }
}

impl Overlay for Prompt {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, cx: &Cx<'_>, (width, _): (u16, u16)) -> (u16, u16) {
        let wide = 70.min(width.saturating_sub(4));
        let hint = wrap(&self.hint(cx), usize::from(wide)).len().max(1);
        (wide, u16::try_from(self.answers.len() + hint + 2).unwrap_or(6))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        match call.action {
            Action::Accept | Action::Activate => {
                let text = self.line.text().trim().to_owned();
                self.answer(text)
            }
            Action::ListDown => self.step(false),
            Action::ListUp => self.step(true),
            Action::OpenEditor if self.asked().is_some_and(|asked| asked.multiline) => {
                let text = self.line.text().to_owned();
                Intent::Edit { text, extension: "md".to_owned(), purpose: Purpose::Setting }.into()
            }
            _ => Outcome::ignored(),
        }
    }

    fn edited(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.answer(text.trim_end_matches('\n').to_owned())
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
        for (asked, answer) in self.asked.iter().zip(&self.answers) {
            Row::new(buf, area, y).text(&asked.question.label, cx.style(Role::Quiet)).gap(1).foreign(answer, cx.style(Role::Text));
            y += 1;
        }
        let asked = self.asked()?;
        let line = Rect { y: area.y + y, height: u16::from(y < area.height), ..area };
        let cursor = field::draw(&self.line, cx, &format!("{} ", asked.question.label), "", line, buf);
        y += 1;
        for hint in wrap(&self.hint(cx), usize::from(area.width)) {
            Row::new(buf, area, y).text(&hint, cx.style(Role::Quiet));
            y += 1;
        }
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Prompt, action);
        let plain = self.asked().is_none_or(|asked| asked.choices.is_empty());
        let back = if plain && !self.answers.is_empty() { format!("{} back · ", key(Action::ListUp)) } else { String::new() };
        format!("{} goes on · {back}{} closes", key(Action::Accept), key(Action::Close))
    }
}
