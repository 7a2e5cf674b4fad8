//! How the form looks: rows with value and origin, and what the row under the cursor is, at the foot.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::field as line_field;
use super::field::{Facts, Row};
use super::{Editor, Typing};
use crate::core::parameters::{self, Parameter};
use crate::core::settings::Origin;
use crate::tui::action::{Action, Scope};
use crate::tui::output::Cursor;
use crate::tui::paint::{Row as Line, tint, wrap};
use crate::tui::pane::Cx;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// The widest column of names.
const NAMES: u16 = 24;

impl Editor {
    pub(super) fn form(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let facts = self.of.facts(cx.shared);
        let rows = self.list(&facts, cx);
        let mut cursor = None;
        let filtering = matches!(self.typing, Some(Typing::Filter));
        let top = u16::from(filtering || !self.filter.is_empty());
        if top > 0 {
            let at = line_field::draw(&self.filter, cx, "/", "a parameter's name, or what it does", Rect { height: 1, ..area }, buf);
            cursor = at.filter(|_| filtering);
        }
        let foot = self.foot_lines(&facts, rows.get(self.rows.at), cx, usize::from(area.width));
        let most = (area.height / 2).max(2);
        let foot_rows = u16::try_from(foot.len()).unwrap_or(most).min(most);
        let list = Rect { y: area.y + top, height: area.height.saturating_sub(top + foot_rows), ..area };
        if rows.is_empty() {
            Line::new(buf, list, 0).text("No parameter is called so.", cx.style(Role::Quiet));
        }
        let names = NAMES.min(area.width * 2 / 5).max(12);
        for (y, at) in self.rows.show(usize::from(list.height), rows.len()).enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            let here = at == self.rows.at;
            if let (true, Some(Typing::Value { key, line, .. })) = (here, &self.typing) {
                Line::new(buf, list, y).gap(2).text(key, cx.style(Role::Accent));
                let place = Rect { x: list.x + names + 2, y: list.y + y, width: list.width.saturating_sub(names + 2), height: 1 };
                cursor = line_field::draw(line, cx, "", "empty: back to the default", place, buf);
                continue;
            }
            self.row(rows[at], &facts, names, cx, list, y, buf);
            if here {
                tint(buf, list, y, cx.style(Role::Selection));
            }
        }
        for (y, (text, role)) in foot.iter().take(usize::from(foot_rows)).enumerate() {
            let place = Rect { y: list.bottom() + u16::try_from(y).unwrap_or(0), height: 1, ..area };
            let mut row = Line::new(buf, place, 0);
            if text.is_empty() {
                row.fill("─", cx.style(Role::Rule));
            } else {
                row.text(text, cx.style(*role));
            }
        }
        cursor
    }

    #[expect(clippy::too_many_arguments, reason = "a place to draw at is three of them")]
    fn row(&self, row: Row, facts: &Facts, names: u16, cx: &Cx<'_>, area: Rect, y: u16, buf: &mut Buffer) {
        let mut line = Line::new(buf, area, y);
        match row {
            Row::Heading(title) => {
                line.text(title, cx.style(Role::Accent)).gap(1).fill("─", cx.style(Role::Rule));
            }
            Row::Slot(slot) => {
                let name = self.of.pointed(slot, cx.shared);
                let inherited = facts.all.system.as_ref().filter(|_| slot == super::Slot::System && name.is_none());
                line.gap(2).text(slot.label(), cx.style(Role::Text)).gap(1).to(area.x + names + 2);
                match (name, inherited) {
                    (Some(name), _) => line.foreign(&first_line(&name), cx.style(Role::Strong)),
                    (None, Some((text, origin))) => line
                        .right(&drawable(&origin.to_string()), cx.style(Role::Quiet), 12)
                        .foreign(&first_line(text), cx.style(Role::Text)),
                    (None, None) => line.text("none", cx.style(Role::Quiet)),
                };
            }
            Row::Field(parameter) => {
                let own = facts.own.0.contains_key(parameter.key);
                let (mark, role) = if own { ("•", Role::Accent) } else { (" ", Role::Quiet) };
                line.text(mark, cx.style(role)).gap(1).text(parameter.key, cx.style(Role::Text)).gap(1).to(area.x + names + 2);
                match facts.all.values.get(parameter.key) {
                    Some((value, origin)) => {
                        let from = if own { "here".to_owned() } else { drawable(&origin.to_string()).into_owned() };
                        let role = if matches!(origin, Origin::Conversation) || own { Role::Strong } else { Role::Text };
                        line.right(&from, cx.style(Role::Quiet), 10);
                        line.foreign(&first_line(&parameters::show(value)), cx.style(role));
                    }
                    None => {
                        line.text(parameter.default_of(facts.kind), cx.style(Role::Quiet));
                    }
                }
            }
        }
    }

    /// What the row under the cursor is; what is wrong; what a change needs. An empty line is a rule.
    fn foot_lines(&self, facts: &Facts, row: Option<&Row>, cx: &Cx<'_>, columns: usize) -> Vec<(String, Role)> {
        let mut out = vec![(String::new(), Role::Rule)];
        let mut add = |text: &str, role: Role| out.extend(wrap(&drawable(text), columns).into_iter().map(|line| (line, role)));
        match row {
            Some(Row::Field(parameter)) => {
                add(&format!("{}.", parameter.about), Role::Text);
                add(&limits(parameter, facts), Role::Quiet);
            }
            Some(Row::Slot(slot)) => add(&format!("{}.", slot.about(&self.of)), Role::Text),
            Some(Row::Heading(_)) | None => {}
        }
        if let Some(Typing::Value { problem: Some(problem), .. }) = &self.typing {
            add(problem, Role::Error);
        }
        if self.stale {
            let reload = cx.key(Scope::Form, Action::SettingReload);
            add(&format!("A load setting was changed: it holds after a reload ({reload} loads the model anew)."), Role::Warning);
        }
        let under = |problem: &parameters::Problem| matches!(row, Some(Row::Field(p)) if problem.keys.contains(&p.key));
        let (near, far): (Vec<_>, Vec<_>) = facts.problems.iter().partition(|problem| under(problem));
        for problem in near.into_iter().chain(far) {
            add(&problem.text, if problem.refused { Role::Error } else { Role::Warning });
        }
        for problem in &facts.all.problems {
            add(problem, Role::Warning);
        }
        out
    }
}

/// Range, default and what a change needs.
fn limits(parameter: &Parameter, facts: &Facts) -> String {
    let mut parts = vec![parameters::range(parameter.kind), format!("default: {}", parameter.default_of(facts.kind))];
    if facts.kind.is_some_and(|kind| parameter.reloads(kind)) {
        parts.push("needs a reload".to_owned());
    }
    parts.join(" · ")
}

/// Of a long text its beginning, with how much there is.
fn first_line(text: &str) -> String {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let lines = text.lines().count();
    if lines > 1 { format!("{} … ({lines} lines)", first.chars().take(40).collect::<String>()) } else { first.to_owned() }
}
