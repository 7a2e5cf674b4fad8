//! Every model of every backend: state, size, speed; favourites on top.
//!
//! Invariant: a backend that is not simply up has a row that says so, and a model's row never hides its state.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Subject, Title, tile};
use crate::proto::{BackendState, BackendStatus, Event, EventKind, ModelInfo, ModelRef, ModelState};
use crate::tui::action::{Action, Scope};
use crate::tui::backends;
use crate::tui::format;
use crate::tui::layout::Slot;
use crate::tui::listing::{Catalogue, describe, shown};
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, tint};
use crate::tui::shared::{Shared, model_state};
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

pub const ID: &str = "models";

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Left, 3, 2), title: "Models", tab: "Models", scope: Scope::Models };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Models::default())
}

/// A row: a backend that needs one, or a model.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Backend(String),
    /// A place in the replica's list.
    Model(u32),
}

#[derive(Default)]
struct Models {
    rows: Rows,
    catalogue: Catalogue,
    lines: Vec<Line>,
    /// Of which state of the catalogue and of the backends `lines` was made.
    made: Option<(u64, u64)>,
    /// What the cursor is on, which stays so wherever it goes.
    here: Option<Subject>,
    folded: BTreeSet<String>,
    /// Tokens per second of each model's last answer.
    rates: HashMap<ModelRef, f64>,
}

impl Models {
    fn refresh(&mut self, shared: &Shared) {
        self.catalogue.refresh(shared);
        let key = (self.catalogue.revision(), shared.revisions.models);
        if self.made == Some(key) {
            return;
        }
        self.lines = self.lines(shared);
        self.made = Some(key);
        let here = self.here.clone();
        if let Some(at) = (0..self.lines.len()).find(|at| here.is_some() && self.on(*at, shared) == here) {
            self.rows.at = at;
        }
    }

    /// What a row is about.
    fn on(&self, line: usize, shared: &Shared) -> Option<Subject> {
        match self.lines.get(line)? {
            Line::Model(at) => shared.replica.models.get(*at as usize).map(|m| Subject::Model(m.reference())),
            Line::Backend(name) => Some(Subject::Backend(name.clone())),
        }
    }

    fn lines(&self, shared: &Shared) -> Vec<Line> {
        let replica = &shared.replica;
        let of = |at: &u32| &replica.models[*at as usize];
        let found = self.catalogue.found();
        let mut lines: Vec<Line> = found.iter().filter(|at| of(at).card.favourite).map(|at| Line::Model(*at)).collect();
        let headed = replica.backends.len() > 1;
        for backend in &replica.backends {
            let quiet = backend.state == BackendState::Up && !headed;
            let mut own = found.iter().filter(|at| !of(at).card.favourite && of(at).backend == backend.name).peekable();
            let header = !quiet && (self.catalogue.filter().is_empty() || own.peek().is_some());
            if header {
                lines.push(Line::Backend(backend.name.clone()));
            }
            if !(header && self.folded.contains(&backend.name)) {
                lines.extend(own.map(|at| Line::Model(*at)));
            }
        }
        // A model whose backend is not listed (yet) is shown all the same.
        let orphan = |at: &&u32| !of(at).card.favourite && !replica.backends.iter().any(|b| b.name == of(at).backend);
        lines.extend(found.iter().filter(orphan).map(|at| Line::Model(*at)));
        lines
    }

    fn model_row(&self, cx: &Cx<'_>, model: &ModelInfo, chosen: Option<&ModelRef>, mut row: Row<'_>) {
        let quiet = cx.style(Role::Quiet);
        let chosen = chosen.is_some_and(|r| r.model == model.name && r.backend == model.backend);
        let (glyph, role) = model_state(model.state);
        row.margin(1).gap(1).text(if model.card.favourite { "★" } else { " " }, cx.style(Role::Favourite));
        row.gap(1).text(glyph, cx.style(role)).gap(1);
        match (&model.error, model.state) {
            (Some(error), ModelState::Failed) => {
                let name = drawable(&model.name).into_owned();
                row.text(&name, cx.style(Role::Text)).gap(2).foreign(&error.message, cx.style(Role::Error));
                return;
            }
            (_, ModelState::Loading | ModelState::Downloading) => {
                let percent = model.permille.map_or_else(|| "…".to_owned(), |p| format!("{} %", p / 10));
                row.right(&percent, cx.style(Role::Running), 8);
            }
            (_, ModelState::Loaded) => {
                match self.rates.get(&model.reference()) {
                    Some(rate) => row.right(&format!("{} t/s", format::number(*rate)), quiet, 10),
                    None => row.right(&size(model), quiet, 10),
                };
            }
            _ => {
                row.right(&size(model), quiet, 10);
            }
        }
        if let Some(context) = model.context.or(model.context_max) {
            row.right(&format::context(u64::from(context)), quiet, 18);
        }
        if let Some(quantisation) = &model.quantisation {
            row.right(&drawable(quantisation), quiet, 20);
        }
        row.foreign(&model.name, if chosen { cx.style(Role::Accent) } else { cx.style(Role::Text) });
    }

    fn backend_row(&self, cx: &Cx<'_>, backend: &BackendStatus, mut row: Row<'_>) {
        let quiet = cx.style(Role::Quiet);
        let folded = self.folded.contains(&backend.name);
        row.margin(1).gap(1).text(if folded { "▸" } else { "▾" }, quiet).gap(1);
        let (word, role) = backends::word(backend, cx.shared);
        row.right(&word, cx.style(role), 6);
        row.foreign(&backend.name, quiet);
    }

    /// What the row under the cursor is, in one line.
    fn detail(&self, shared: &Shared) -> String {
        match self.lines.get(self.rows.at) {
            Some(Line::Model(at)) => shared.replica.models.get(*at as usize).map(|m| describe(m, shared)).unwrap_or_default(),
            Some(Line::Backend(name)) => {
                let Some(backend) = shared.replica.backends.iter().find(|b| b.name == *name) else { return String::new() };
                match &backend.error {
                    Some(error) => drawable(&error.message).into_owned(),
                    None => {
                        let mut parts = vec![backend.kind.word().to_owned()];
                        parts.extend(backend.version.as_deref().map(|v| drawable(v).into_owned()));
                        parts.extend(backend.url.as_deref().map(|u| drawable(u).into_owned()));
                        parts.join(" · ")
                    }
                }
            }
            None => String::new(),
        }
    }
}

fn size(model: &ModelInfo) -> String {
    model.size_bytes.map(format::bytes).unwrap_or_default()
}

impl Pane for Models {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let (found, all) = (self.catalogue.found().len(), cx.replica.models.len());
        let (note, right) = match self.catalogue.filter_text() {
            Some(filter) => (format!("/{}", drawable(filter)), format!("{found} of {all}")),
            None => (String::new(), if found > 0 { found.to_string() } else { String::new() }),
        };
        Title { left: INFO.title.to_owned(), note, right }
    }

    fn subject(&self, cx: &Cx<'_>) -> Option<Subject> {
        self.on(self.rows.at, cx.shared)
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        self.refresh(cx.shared);
        if self.rows.act(call, self.lines.len()) {
            self.here = self.on(self.rows.at, cx.shared);
            return Outcome::done();
        }
        match (call.action, self.on(self.rows.at, cx.shared)) {
            (Action::Activate, Some(Subject::Model(reference))) => Intent::Choose(reference).into(),
            (Action::Activate | Action::Fold, Some(Subject::Backend(name))) => {
                if !self.folded.remove(&name) {
                    self.folded.insert(name);
                }
                self.made = None;
                Outcome::done()
            }
            (Action::Copy, Some(Subject::Model(reference))) => {
                Intent::Copy { text: reference.to_string(), what: format!("the name {}", shown(&reference)) }.into()
            }
            _ => Outcome::ignored(),
        }
    }

    fn deadline(&self, cx: &Cx<'_>) -> Option<Duration> {
        backends::deadline(cx.replica.backends.iter(), cx.shared)
    }

    fn filtered(&self) -> Option<&str> {
        self.catalogue.filter_text()
    }

    fn filter(&mut self, text: Option<&str>, cx: &Cx<'_>) -> (bool, Outcome) {
        let text = text.unwrap_or_default();
        self.catalogue.set_filter(text, cx.shared);
        // While typing, the cursor is on the first model that fits.
        if !text.is_empty() {
            self.here = None;
        }
        self.refresh(cx.shared);
        if !text.is_empty()
            && let Some(at) = self.lines.iter().position(|line| matches!(line, Line::Model(_)))
        {
            self.rows.at = at;
        }
        (true, Outcome::done())
    }

    fn event(&mut self, event: &Event, _cx: &Cx<'_>) {
        self.catalogue.event(&event.kind);
        if let EventKind::Finished { node, .. } = &event.kind
            && let Some(run) = &node.run
            && let Some(rate) = run.figures.tokens_per_s
        {
            self.rates.insert(run.model.clone(), rate.value);
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        self.refresh(cx.shared);
        if self.lines.is_empty() {
            empty(cx, self.catalogue.filter_text(), area, buf);
            return None;
        }
        if self.here.is_none() {
            self.here = self.on(self.rows.at, cx.shared);
        }
        let chosen = cx.model();
        let explained = cx.focused && area.height >= 5;
        let list = Rect { height: area.height - u16::from(explained), ..area };
        let shown = self.rows.show(usize::from(list.height), self.lines.len());
        for (y, at) in shown.clone().enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            let row = Row::new(buf, list, y);
            match &self.lines[at] {
                Line::Model(at) => {
                    if let Some(model) = cx.replica.models.get(*at as usize) {
                        self.model_row(cx, model, chosen.as_ref(), row);
                    }
                }
                Line::Backend(name) => {
                    if let Some(backend) = cx.replica.backends.iter().find(|b| b.name == *name) {
                        self.backend_row(cx, backend, row);
                    }
                }
            }
            if at == self.rows.at {
                tint(buf, list, y, cx.style(if cx.focused { Role::Selection } else { Role::SelectionQuiet }));
            }
        }
        if explained {
            Row::new(buf, area, area.height - 1).gap(1).text(&self.detail(cx.shared), cx.style(Role::Quiet));
        }
        None
    }
}

fn empty(cx: &Cx<'_>, filter: Option<&str>, area: Rect, buf: &mut Buffer) {
    let quiet = cx.style(Role::Quiet);
    if !cx.attached() {
        for y in 0..area.height.min(4) {
            let length = [14, 10, 16, 9][usize::from(y) % 4];
            Row::new(buf, area, y).gap(1).text("○ ", cx.style(Role::Skeleton)).text(&"░".repeat(length), cx.style(Role::Skeleton));
        }
        return;
    }
    let text = match (filter, cx.replica.discovered) {
        (Some(_), _) => "No model fits.",
        (None, false) => "Looking for servers…",
        (None, true) => "No models yet.",
    };
    Row::new(buf, area, 0).gap(1).text(text, quiet);
}
