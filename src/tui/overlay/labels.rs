//! Groups or tags of some models, to put on and take off. A name that there is not yet is made by typing it.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Overlay, field};
use crate::proto::{Card, CardChange, Command, ModelRef};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::Line;
use crate::tui::composer::Edit;
use crate::tui::output::Cursor;
use crate::tui::paint::Row;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::shared::Shared;
use crate::tui::theme::Role;

/// Which labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Group,
    Tag,
}

impl Sort {
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Group => "Groups",
            Self::Tag => "Tags",
        }
    }

    /// The change that puts it on, or takes it off.
    #[must_use]
    pub fn change(self, name: &str, on: bool) -> CardChange {
        let name = name.to_owned();
        match self {
            Self::Group => CardChange::Group { name, member: on },
            Self::Tag => CardChange::Tag { name, on },
        }
    }

    fn of(self, card: &Card) -> &[String] {
        match self {
            Self::Group => &card.groups,
            Self::Tag => &card.tags,
        }
    }
}

#[must_use]
pub fn open(sort: Sort, title: String, models: Vec<ModelRef>) -> Box<dyn Overlay> {
    Box::new(Labels { sort, title, models, line: Line::default(), rows: Rows::default() })
}

struct Labels {
    sort: Sort,
    title: String,
    models: Vec<ModelRef>,
    line: Line,
    rows: Rows,
}

/// A row: a label with how many of the models have it; `None`: the one that is typed and is not there yet.
struct Shown {
    name: String,
    have: Option<usize>,
}

impl Labels {
    fn list(&self, shared: &Shared) -> Vec<Shown> {
        let mut all: BTreeMap<&str, usize> = BTreeMap::new();
        for model in &shared.replica.models {
            let labels = self.sort.of(&model.card);
            if labels.is_empty() {
                continue;
            }
            let ours = self.models.iter().any(|m| m.model == model.name && m.backend == model.backend);
            for label in labels {
                *all.entry(label).or_insert(0) += usize::from(ours);
            }
        }
        // A group that points to templates is there although no model is in it.
        if self.sort == Sort::Group {
            shared.replica.groups.keys().for_each(|name| {
                all.entry(name).or_insert(0);
            });
        }
        let typed = self.line.text().trim();
        let lower = typed.to_lowercase();
        let mut out: Vec<Shown> = all
            .iter()
            .filter(|(name, _)| name.to_lowercase().contains(&lower))
            .map(|(name, have)| Shown { name: (*name).to_owned(), have: Some(*have) })
            .collect();
        if !typed.is_empty() && !all.contains_key(typed) {
            out.push(Shown { name: typed.to_owned(), have: None });
        }
        out
    }
}

impl Overlay for Labels {
    fn scope(&self) -> Scope {
        Scope::Prompt
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        self.title.clone()
    }

    fn size(&self, cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(self.list(cx.shared).len().max(1)).unwrap_or(u16::MAX);
        (50.min(width.saturating_sub(4)), rows.saturating_add(1).min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        let list = self.list(cx.shared);
        if self.rows.act(call, list.len()) {
            return Outcome::done();
        }
        if !matches!(call.action, Action::Accept | Action::Activate) {
            return Outcome::ignored();
        }
        let Some(row) = list.get(self.rows.at) else { return Outcome::done() };
        let on = row.have.is_none_or(|have| have < self.models.len());
        let change = self.sort.change(&row.name, on);
        if row.have.is_none() {
            self.line.set("");
            self.rows.at = 0;
        }
        Intent::Post(Command::SetCards { models: self.models.clone(), change }).into()
    }

    fn typed(&mut self, text: &str, _cx: &Cx<'_>) -> Outcome {
        self.line.insert(text);
        self.rows.at = 0;
        Outcome::done()
    }

    fn edit(&mut self, edit: Edit, times: usize, _cx: &Cx<'_>) -> Outcome {
        self.line.edit(edit, u32::try_from(times).ok());
        Outcome::done()
    }

    fn is_live(&self) -> bool {
        true
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let line = Rect { height: 1.min(area.height), ..area };
        let cursor = field::draw(&self.line, cx, "› ", "type a name: a new one, or a part of one", line, buf);
        let body = Rect { y: line.bottom(), height: area.bottom().saturating_sub(line.bottom()), ..area };
        let list = self.list(cx.shared);
        if list.is_empty() {
            Row::new(buf, body, 0).text("There are none yet.", cx.style(Role::Quiet));
        }
        super::list(cx, &mut self.rows, body, buf, list.len(), |at, row| {
            let shown = &list[at];
            let (sign, role) = match shown.have {
                None => ("[+]", Role::Accent),
                Some(0) => ("[ ]", Role::Quiet),
                Some(have) if have < self.models.len() => ("[-]", Role::Accent),
                Some(_) => ("[x]", Role::Accent),
            };
            if let Some(have) = shown.have.filter(|have| *have > 0 && *have < self.models.len()) {
                row.right(&format!("{have} of {}", self.models.len()), cx.style(Role::Quiet), 10);
            }
            row.text(sign, cx.style(role)).gap(1).foreign(&shown.name, cx.style(Role::Text));
        });
        cursor
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        format!("{} puts on, takes off · {} closes", cx.key(Scope::Prompt, Action::Accept), cx.key(Scope::Prompt, Action::Close))
    }
}
