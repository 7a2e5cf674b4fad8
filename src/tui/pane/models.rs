//! Every model of every backend: state, size, speed; favourites on top.
//!
//! Invariant: a backend that is not simply up has a row that says so, and a model's row never hides its state.

use std::collections::{BTreeSet, HashMap};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::Rows;
use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Subject, Title, tile};
use crate::proto::{BackendState, BackendStatus, Event, EventKind, ModelInfo, ModelRef, ModelState};
use crate::tui::action::{Action, Scope};
use crate::tui::format;
use crate::tui::layout::Slot;
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
    Model(ModelRef),
}

#[derive(Default)]
struct Models {
    rows: Rows,
    lines: Vec<Line>,
    /// Of which state of the lists `lines` was made.
    made: Option<(u64, Option<String>)>,
    filter: Option<String>,
    folded: BTreeSet<String>,
    /// Tokens per second of each model's last answer.
    rates: HashMap<ModelRef, f64>,
}

impl Models {
    fn refresh(&mut self, shared: &Shared) {
        let key = (shared.revisions.models, self.filter.clone());
        if self.made.as_ref() == Some(&key) {
            return;
        }
        let before = self.lines.get(self.rows.at).cloned();
        self.lines = self.lines(shared);
        self.made = Some(key);
        // The cursor stays on its model, wherever that went.
        if let Some(at) = before.and_then(|before| self.lines.iter().position(|line| *line == before)) {
            self.rows.at = at;
        }
    }

    fn lines(&self, shared: &Shared) -> Vec<Line> {
        let replica = &shared.replica;
        let words: Vec<String> = self.filter.as_deref().unwrap_or("").split_whitespace().map(str::to_lowercase).collect();
        let fits = |m: &ModelInfo| words.iter().all(|word| haystack(m).contains(word));
        let mut models: Vec<&ModelInfo> = replica.models.iter().filter(|m| fits(m)).collect();
        models.sort_by_key(|m| (rank(m), m.name.to_lowercase()));
        let mut lines: Vec<Line> = models.iter().filter(|m| m.card.favourite).map(|m| Line::Model(m.reference())).collect();
        let headed = replica.backends.len() > 1;
        for backend in &replica.backends {
            let quiet = backend.state == BackendState::Up && !headed;
            let mut own = models.iter().filter(|m| !m.card.favourite && m.backend == backend.name).peekable();
            let header = !quiet && (words.is_empty() || own.peek().is_some());
            if header {
                lines.push(Line::Backend(backend.name.clone()));
            }
            if !(header && self.folded.contains(&backend.name)) {
                lines.extend(own.map(|m| Line::Model(m.reference())));
            }
        }
        // A model whose backend is not listed (yet) is shown all the same.
        let orphan = |m: &&&ModelInfo| !m.card.favourite && !replica.backends.iter().any(|b| b.name == m.backend);
        lines.extend(models.iter().filter(orphan).map(|m| Line::Model(m.reference())));
        lines
    }

    fn model_row(&self, cx: &Cx<'_>, model: &ModelInfo, mut row: Row<'_>) {
        let quiet = cx.style(Role::Quiet);
        let chosen = cx.model().is_some_and(|r| r == model.reference());
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
        let (word, role) = match backend.state {
            BackendState::Up => {
                (backend.latency_ms.map_or_else(|| "up".to_owned(), |ms| format!("{} ms", format::number(ms))), Role::Quiet)
            }
            BackendState::Connecting => ("connecting…".to_owned(), Role::Running),
            BackendState::Starting => ("starting…".to_owned(), Role::Running),
            BackendState::Unauthorized => ("wants a key".to_owned(), Role::Warning),
            BackendState::Down => ("down".to_owned(), Role::Error),
        };
        row.right(&word, cx.style(role), 6);
        row.foreign(&backend.name, quiet);
    }

    /// What the row under the cursor is, in one line.
    fn detail(&self, shared: &Shared) -> String {
        match self.lines.get(self.rows.at) {
            Some(Line::Model(reference)) => shared.replica.model(reference).map(|m| describe(m, shared)).unwrap_or_default(),
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

/// Everything that is known of a model, most telling first.
#[must_use]
pub fn describe(model: &ModelInfo, shared: &Shared) -> String {
    let mut parts = Vec::new();
    if let Some(error) = &model.error {
        parts.push(drawable(&error.message).into_owned());
        parts.extend(error.hints.first().map(|h| drawable(h).into_owned()));
    }
    parts.extend(model.family.as_deref().map(|f| drawable(f).into_owned()));
    parts.extend(model.quantisation.as_deref().map(|q| drawable(q).into_owned()));
    match (model.context, model.context_max) {
        (Some(now), Some(max)) if now < max => {
            parts.push(format!("{} of {} ctx", format::context(u64::from(now)), format::context(u64::from(max))));
        }
        (Some(n), _) | (None, Some(n)) => parts.push(format!("{} ctx", format::context(u64::from(n)))),
        (None, None) => {}
    }
    if let Some(memory) = model.memory_bytes {
        let gpu = model.gpu_bytes.filter(|_| memory > 0).map(|gpu| format!(", {} % on GPU", gpu * 100 / memory));
        parts.push(format!("{} in memory{}", format::bytes(memory), gpu.unwrap_or_default()));
    }
    if let Some(expires) = model.expires.filter(|at| *at > shared.now.wall) {
        let seconds = u64::try_from((expires - shared.now.wall) / 1000).unwrap_or(0);
        parts.push(format!("unloads in {}", format::seconds_long(seconds / 60 * 60 + 60)));
    }
    parts.extend(model.capabilities.iter().filter(|c| *c != "completion").map(|c| drawable(c).into_owned()));
    parts.push(drawable(&model.backend).into_owned());
    parts.join(" · ")
}

/// What the filter looks into.
fn haystack(model: &ModelInfo) -> String {
    let state = match model.state {
        ModelState::Loaded => "loaded",
        ModelState::Unloaded => "unloaded",
        ModelState::Loading => "loading",
        ModelState::Sleeping => "sleeping",
        ModelState::Downloading => "downloading",
        ModelState::Failed => "failed",
        ModelState::Unknown => "",
    };
    let mut text = format!("{}/{} {state}", model.backend, model.name);
    for more in [&model.family, &model.quantisation].into_iter().flatten() {
        text.push(' ');
        text.push_str(more);
    }
    text.to_lowercase()
}

/// What runs stands above what could.
fn rank(model: &ModelInfo) -> u8 {
    match model.state {
        ModelState::Loaded | ModelState::Loading | ModelState::Downloading => 0,
        ModelState::Sleeping => 1,
        ModelState::Unloaded | ModelState::Unknown => 2,
        ModelState::Failed => 3,
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
        let count = cx.replica.models.len();
        let (note, right) = match &self.filter {
            Some(filter) => {
                (format!("/{filter}"), format!("{} of {count}", self.lines.iter().filter(|l| matches!(l, Line::Model(_))).count()))
            }
            None => (String::new(), if count > 0 { count.to_string() } else { String::new() }),
        };
        Title { left: INFO.title.to_owned(), note, right }
    }

    fn subject(&self, _cx: &Cx<'_>) -> Option<Subject> {
        match self.lines.get(self.rows.at)? {
            Line::Model(reference) => Some(Subject::Model(reference.clone())),
            Line::Backend(name) => Some(Subject::Backend(name.clone())),
        }
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        self.refresh(cx.shared);
        if self.rows.act(call, self.lines.len()) {
            return Outcome::done();
        }
        match (call.action, self.lines.get(self.rows.at).cloned()) {
            (Action::Activate, Some(Line::Model(reference))) => Intent::Choose(reference).into(),
            (Action::Activate | Action::Fold, Some(Line::Backend(name))) => {
                if !self.folded.remove(&name) {
                    self.folded.insert(name);
                }
                self.made = None;
                Outcome::done()
            }
            (Action::Copy, Some(Line::Model(reference))) => {
                Intent::Copy { text: reference.to_string(), what: format!("the name {}", drawable(&reference.to_string())) }.into()
            }
            _ => Outcome::ignored(),
        }
    }

    fn filter(&mut self, text: Option<&str>, cx: &Cx<'_>) -> (bool, Outcome) {
        self.filter = text.filter(|t| !t.is_empty()).map(str::to_owned);
        self.refresh(cx.shared);
        // While typing, the cursor is on the first model that fits.
        if self.filter.is_some()
            && let Some(at) = self.lines.iter().position(|line| matches!(line, Line::Model(_)))
        {
            self.rows.at = at;
        }
        (true, Outcome::done())
    }

    fn event(&mut self, event: &Event, _cx: &Cx<'_>) {
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
            empty(cx, self.filter.as_deref(), area, buf);
            return None;
        }
        let explained = cx.focused && area.height >= 5;
        let list = Rect { height: area.height - u16::from(explained), ..area };
        let shown = self.rows.show(usize::from(list.height), self.lines.len());
        for (y, at) in shown.clone().enumerate() {
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            let row = Row::new(buf, list, y);
            match &self.lines[at] {
                Line::Model(reference) => {
                    if let Some(model) = cx.replica.model(reference) {
                        self.model_row(cx, model, row);
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
