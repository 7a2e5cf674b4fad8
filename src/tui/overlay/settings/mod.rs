//! The editor of settings: a form of every parameter, and the versions that they had.
//!
//! Owns: the cursor, the line that a value is typed into, what can be undone here. Refuses: storing; each accepted field is posted at
//! once, and what is shown is what the host says. Invariant: a value that does not fit is never posted, and why stands under it.

mod field;
mod history;
mod view;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use field::{Facts, Row};
pub use field::{Of, Slot};
use history::History;

use super::Overlay;
use crate::core::parameters::{self, Parameter, Type};
use crate::error::Result;
use crate::proto::{Query, Reply};
use crate::tui::action::{Action, Scope, settings};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::msg::Purpose;
use crate::tui::output::Cursor;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::width::drawable;

/// Versions that the history shows.
const MOST_VERSIONS: u32 = 200;

/// What is typed into.
enum Typing {
    Filter,
    Value { key: &'static str, line: Line, problem: Option<String> },
}

/// The editor.
pub struct Editor {
    of: Of,
    rows: Rows,
    filter: Line,
    typing: Option<Typing>,
    /// Own values before they were changed here, the last one last.
    undo: Vec<(&'static str, Option<Value>)>,
    /// What `$EDITOR` was opened for.
    elsewhere: Option<Elsewhere>,
    /// A load setting was changed here while the model was loaded.
    stale: bool,
    history: Option<History>,
}

#[derive(Clone, Copy)]
enum Elsewhere {
    System,
    Parameter(&'static Parameter),
}

impl Editor {
    #[must_use]
    pub fn new(of: Of) -> Self {
        // The first row is a preset or a template: the cursor is there.
        Self {
            of,
            rows: Rows::default(),
            filter: Line::default(),
            typing: None,
            undo: Vec::new(),
            elsewhere: None,
            stale: false,
            history: None,
        }
    }

    /// The same with the cursor on this parameter.
    #[must_use]
    pub fn at(mut self, key: &str, cx: &Cx<'_>) -> Self {
        let facts = self.of.facts(cx.shared);
        let rows = self.of.rows(&facts, cx.shared, "");
        self.rows.at = rows.iter().position(|row| matches!(row, Row::Field(p) if p.key == key)).unwrap_or(0);
        self
    }

    fn list(&self, facts: &Facts, cx: &Cx<'_>) -> Vec<Row> {
        self.of.rows(facts, cx.shared, self.filter.text())
    }

    fn current(&self, cx: &Cx<'_>) -> (Facts, Option<Row>) {
        let facts = self.of.facts(cx.shared);
        let row = self.list(&facts, cx).get(self.rows.at).copied();
        (facts, row)
    }

    /// Moves the cursor past headings, the way it was going.
    fn settle(&mut self, before: usize, cx: &Cx<'_>) {
        let facts = self.of.facts(cx.shared);
        let rows = self.list(&facts, cx);
        let heading = |at: usize| matches!(rows.get(at), Some(Row::Heading(_)));
        if !heading(self.rows.at) {
            return;
        }
        let up = self.rows.at < before && self.rows.at > 0;
        self.rows.at = if up { self.rows.at - 1 } else { self.rows.at + 1 };
    }

    /// Sets an own value, if it is another; `None` takes it away.
    fn change(&mut self, parameter: &'static Parameter, value: Option<Value>, facts: &Facts) -> Outcome {
        let before = facts.own.0.get(parameter.key).cloned();
        if before == value {
            return Outcome::done();
        }
        self.undo.push((parameter.key, before));
        self.set(parameter, value, facts)
    }

    fn set(&mut self, parameter: &'static Parameter, value: Option<Value>, facts: &Facts) -> Outcome {
        self.stale |= facts.loaded && facts.kind.is_some_and(|kind| parameter.reloads(kind));
        Intent::Setting { of: self.of.clone(), changes: vec![(parameter.key.to_owned(), value)] }.into()
    }

    /// Enter on a row.
    fn open(&mut self, cx: &Cx<'_>) -> Outcome {
        let (facts, row) = self.current(cx);
        match row {
            Some(Row::Slot(Slot::System)) => self.edit_elsewhere(cx),
            Some(Row::Slot(slot)) => Intent::Overlay(settings::pointer(cx.shared, &self.of, slot)).into(),
            Some(Row::Field(parameter)) => match parameter.kind {
                Type::Word(_) => self.cycle(1, cx),
                Type::Text { .. } => self.edit_elsewhere(cx),
                _ => {
                    let text = facts.own.0.get(parameter.key).map(parameters::show).unwrap_or_default();
                    self.typing = Some(Typing::Value { key: parameter.key, line: Line::new(&text), problem: None });
                    Outcome::done()
                }
            },
            Some(Row::Heading(_)) | None => Outcome::done(),
        }
    }

    /// The next or previous of a few words; behind the last stands the default.
    fn cycle(&mut self, by: isize, cx: &Cx<'_>) -> Outcome {
        let (facts, row) = self.current(cx);
        let Some(Row::Field(parameter)) = row else { return Outcome::done() };
        let Type::Word(words) = parameter.kind else { return Outcome::done() };
        let now = facts.own.0.get(parameter.key).and_then(Value::as_str).and_then(|now| words.iter().position(|w| *w == now));
        let many = words.len() + 1;
        let at = now.map_or(0, |at| at + 1).checked_add_signed(by).unwrap_or(many - 1) % many;
        let value = at.checked_sub(1).map(|at| Value::from(words[at]));
        self.change(parameter, value, &facts)
    }

    /// Long texts are written in `$EDITOR`.
    fn edit_elsewhere(&mut self, cx: &Cx<'_>) -> Outcome {
        let (facts, row) = self.current(cx);
        let (text, extension, target) = match row {
            Some(Row::Slot(Slot::System)) => (self.of.pointed(Slot::System, cx.shared).unwrap_or_default(), "md", Elsewhere::System),
            Some(Row::Field(parameter)) => {
                let (text, extension) = match (facts.own.0.get(parameter.key), parameter.kind) {
                    (Some(value @ Value::Object(_)), _) => (serde_json::to_string_pretty(value).unwrap_or_default(), "json"),
                    (value, Type::Json | Type::Tools) => (value.map(parameters::show).unwrap_or_default(), "json"),
                    (value, Type::Text { .. }) => (value.map(parameters::show).unwrap_or_default(), "gbnf"),
                    _ => return Outcome::done().say("This is typed here: Enter."),
                };
                (text, extension, Elsewhere::Parameter(parameter))
            }
            _ => return Outcome::done(),
        };
        self.elsewhere = Some(target);
        Intent::Edit { text, extension: extension.to_owned(), purpose: Purpose::Setting }.into()
    }

    /// Takes what was typed, when it fits.
    fn accept(&mut self, cx: &Cx<'_>) -> Outcome {
        match self.typing.take() {
            Some(Typing::Value { key, line, .. }) => match parameters::parse(key, line.text()) {
                Ok(value) => {
                    let facts = self.of.facts(cx.shared);
                    parameters::find(key).map_or_else(Outcome::done, |parameter| self.change(parameter, value, &facts))
                }
                Err(error) => {
                    self.typing = Some(Typing::Value { key, line, problem: Some(error.message) });
                    Outcome::done()
                }
            },
            Some(Typing::Filter) | None => Outcome::done(),
        }
    }

    /// The line has changed: is what stands in it right?
    fn check(&mut self) {
        match &mut self.typing {
            Some(Typing::Value { key, line, problem }) => *problem = parameters::parse(key, line.text()).err().map(|e| e.message),
            Some(Typing::Filter) | None => {}
        }
    }

    /// The filter has changed: the cursor goes to the first that is called so, else to the first that fits.
    fn narrow(&mut self, cx: &Cx<'_>) {
        if !matches!(self.typing, Some(Typing::Filter)) {
            return;
        }
        let facts = self.of.facts(cx.shared);
        let rows = self.list(&facts, cx);
        let text = self.filter.text().trim().to_lowercase();
        let called = |row: &Row| match row {
            Row::Field(parameter) => parameter.key.starts_with(&text),
            Row::Slot(slot) => slot.label().starts_with(&text),
            Row::Heading(_) => false,
        };
        let first = || rows.iter().position(|row| !matches!(row, Row::Heading(_)));
        self.rows.at = rows.iter().position(called).or_else(first).unwrap_or(0);
    }

    fn line(&mut self) -> Option<&mut Line> {
        match &mut self.typing {
            Some(Typing::Value { line, .. }) => Some(line),
            Some(Typing::Filter) => Some(&mut self.filter),
            None => None,
        }
    }

    fn undo(&mut self, cx: &Cx<'_>) -> Outcome {
        let Some((key, value)) = self.undo.pop() else { return Outcome::done().say("Nothing was changed here that could be undone.") };
        let facts = self.of.facts(cx.shared);
        let Some(parameter) = parameters::find(key) else { return Outcome::done() };
        let said = format!("{key} is as it was.");
        self.set(parameter, value, &facts).say(said)
    }

    /// Back to what lies below.
    fn default(&mut self, cx: &Cx<'_>) -> Outcome {
        let (facts, row) = self.current(cx);
        match row {
            Some(Row::Field(parameter)) => self.change(parameter, None, &facts),
            Some(Row::Slot(Slot::System)) => Intent::SettingText { of: self.of.clone(), text: String::new() }.into(),
            Some(Row::Slot(slot)) => Intent::Point { of: self.of.clone(), slot, name: None }.into(),
            _ => Outcome::done(),
        }
    }

    fn reload(&mut self, cx: &Cx<'_>) -> Outcome {
        let facts = self.of.facts(cx.shared);
        let Some(model) = self.of.model(cx.shared) else { return Outcome::done().say("No model is bound to it.") };
        let takes = facts.kind.is_some_and(|kind| parameters::PARAMETERS.iter().any(|p| p.reloads(kind)));
        if !takes {
            return Outcome::done().say("This backend takes no settings with a load: there is nothing to load anew for.");
        }
        self.stale = false;
        let name = drawable(&model.to_string()).into_owned();
        let command = crate::proto::Command::StartModel { model, parameters: facts.all.load() };
        Outcome::from(Intent::PostAndSay(command, format!("{name} is loaded with these settings."))).say(format!("Loading {name}…"))
    }

    fn show_history(&mut self, cx: &Cx<'_>) -> Outcome {
        let Some(subject) = self.of.subject(cx.shared) else {
            return Outcome::done().say("There is no history yet: the conversation begins with the next message.");
        };
        self.history = Some(History::new(subject.clone()));
        Intent::AskOverlay(Query::Versions { subject, limit: MOST_VERSIONS }).into()
    }
}

impl Overlay for Editor {
    fn scope(&self) -> Scope {
        if self.typing.is_some() { Scope::Prompt } else { Scope::Form }
    }

    fn title(&self, cx: &Cx<'_>) -> String {
        let title = self.of.title(cx.shared);
        if self.history.is_some() { format!("{title} · history") } else { title }
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        (width.min(112), height.saturating_sub(4))
    }

    fn is_live(&self) -> bool {
        true
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        if let Some(history) = &mut self.history {
            return match call.action {
                Action::SettingHistory => {
                    self.history = None;
                    Outcome::done()
                }
                _ => history.act(call, &self.of, cx),
            };
        }
        if matches!(self.typing, Some(Typing::Value { .. })) {
            return if matches!(call.action, Action::Accept | Action::Activate) { self.accept(cx) } else { Outcome::done() };
        }
        let before = self.rows.at;
        let facts = self.of.facts(cx.shared);
        let many = self.list(&facts, cx).len();
        if self.rows.act(call, many) {
            self.settle(before, cx);
            return Outcome::done();
        }
        match call.action {
            Action::Accept | Action::Activate if self.typing.is_some() => {
                self.typing = None;
                Outcome::done()
            }
            Action::Accept | Action::Activate => self.open(cx),
            Action::Find => {
                self.typing = Some(Typing::Filter);
                Outcome::done()
            }
            Action::OpenEditor => self.edit_elsewhere(cx),
            Action::SettingDefault => self.default(cx),
            Action::SettingReload => self.reload(cx),
            Action::SettingHistory => self.show_history(cx),
            _ => Outcome::ignored(),
        }
    }

    fn typed(&mut self, text: &str, cx: &Cx<'_>) -> Outcome {
        if let Some(line) = self.line() {
            line.insert(text);
            self.check();
            self.narrow(cx);
        }
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, cx: &Cx<'_>) -> Outcome {
        if let Some(line) = self.line() {
            line.edit(edit, u32::try_from(times).ok());
            self.check();
            self.narrow(cx);
            return Outcome::done();
        }
        match edit {
            _ if self.history.is_some() => Outcome::done(),
            Edit::Undo => self.undo(cx),
            Edit::Left => self.cycle(-1, cx),
            Edit::Right => self.cycle(1, cx),
            _ => Outcome::done(),
        }
    }

    fn escape(&mut self) -> bool {
        if self.history.take().is_some() {
            return true;
        }
        match self.typing.take() {
            Some(Typing::Filter) => {
                self.filter.set("");
                self.rows.at = 0;
                true
            }
            Some(Typing::Value { .. }) => true,
            None if !self.filter.is_empty() => {
                self.filter.set("");
                self.rows.at = 0;
                true
            }
            None => false,
        }
    }

    fn reply(&mut self, reply: &Result<Reply>) -> bool {
        let Some(history) = &mut self.history else { return false };
        history.take(reply)
    }

    fn edited(&mut self, text: &str, cx: &Cx<'_>) -> Outcome {
        let facts = self.of.facts(cx.shared);
        match self.elsewhere.take() {
            Some(Elsewhere::System) => Intent::SettingText { of: self.of.clone(), text: text.trim_end().to_owned() }.into(),
            Some(Elsewhere::Parameter(parameter)) => match parameters::parse(parameter.key, text) {
                Ok(value) => self.change(parameter, value, &facts),
                Err(error) => Intent::Fail(error).into(),
            },
            None => Outcome::done(),
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        match &mut self.history {
            Some(history) => history.view(&self.of, cx, area, buf),
            None => self.form(cx, area, buf),
        }
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Form, action);
        let close = key(Action::Close);
        if let Some(history) = &self.history {
            return history.foot(cx);
        }
        match &self.typing {
            Some(Typing::Value { .. }) => format!("{} takes it · Esc leaves it", cx.key(Scope::Prompt, Action::Accept)),
            Some(Typing::Filter) => format!("{} keeps the filter · Esc ends it", cx.key(Scope::Prompt, Action::Accept)),
            None => {
                let mut parts = vec![
                    format!("{} changes", key(Action::Accept)),
                    format!("{close} closes"),
                    format!("{} default", key(Action::SettingDefault)),
                    format!("{} history", key(Action::SettingHistory)),
                    format!("{} filters", key(Action::Find)),
                ];
                if !self.undo.is_empty() {
                    parts.push(format!("{} undoes", key(Action::Edit(Edit::Undo))));
                }
                parts.join(" · ")
            }
        }
    }
}
