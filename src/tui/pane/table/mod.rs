//! Every model of every backend in a table: columns, order and groups of your choice, a filter, marks.
//!
//! Owns: the view state of the table and what is remembered of it. Refuses: what acts do to models (`action::models`). Invariant: the
//! cursor and the marks stay on their models, whatever the filter, the order or the list do; a frame looks at the rows it shows.

mod draw;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::{Value, json};

use super::rows::Rows;
use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Subject, Title, tile};
use crate::proto::{BackendState, Command, DownloadState, Event, EventKind, Job, JobItem, JobState, ModelRef};
use crate::tui::action::{Action, Scope};
use crate::tui::format;
use crate::tui::layout::Slot;
use crate::tui::listing::groups::{self, Grouping, Head, Line};
use crate::tui::listing::{COLUMNS, Catalogue, Column, Order, describe};
use crate::tui::output::Cursor;
use crate::tui::overlay::columns;
use crate::tui::shared::Shared;
use crate::tui::text::width::drawable;

pub const ID: &str = "table";
/// Under which name its columns, order and groups are remembered.
pub const SETTING: &str = "models_table";

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Centre, 4, 3), title: "Models", tab: "Models", scope: Scope::Table };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Table::default())
}

/// What the cursor is on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Here {
    Model(ModelRef),
    Head(String),
}

struct Table {
    rows: Rows,
    catalogue: Catalogue,
    columns: Vec<Column>,
    grouping: Grouping,
    folded: BTreeSet<String>,
    heads: Vec<Head>,
    lines: Vec<Line>,
    /// Of which state of the catalogue `lines` was made; `None`: they are old.
    made: Option<u64>,
    here: Option<Here>,
    marks: BTreeSet<ModelRef>,
    /// Bytes of all that is marked.
    marked_bytes: u64,
    /// Where a visual range began.
    anchor: Option<ModelRef>,
    /// Where models of running jobs stand.
    progress: HashMap<ModelRef, JobState>,
    /// Of which snapshot the rest was read.
    attached: Option<u64>,
    /// Rows that were drawn, since the beginning.
    #[cfg(test)]
    drawn: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            rows: Rows::default(),
            catalogue: Catalogue::default(),
            columns: COLUMNS.iter().filter(|info| info.shown).map(|info| info.column).collect(),
            grouping: Grouping::None,
            folded: BTreeSet::new(),
            heads: Vec::new(),
            lines: Vec::new(),
            made: None,
            here: None,
            marks: BTreeSet::new(),
            marked_bytes: 0,
            anchor: None,
            progress: HashMap::new(),
            attached: None,
            #[cfg(test)]
            drawn: 0,
        }
    }
}

impl Table {
    fn refresh(&mut self, shared: &Shared) {
        if self.attached != Some(shared.revisions.attached) {
            self.attached = Some(shared.revisions.attached);
            self.recall(shared.replica.settings.get(SETTING));
            self.progress.clear();
            shared.replica.jobs.values().for_each(|job| self.follow(job));
            self.made = None;
        }
        self.catalogue.refresh(shared);
        if self.made == Some(self.catalogue.revision()) {
            return;
        }
        (self.heads, self.lines) = groups::lines(&self.catalogue, shared, self.grouping, &self.folded);
        self.made = Some(self.catalogue.revision());
        self.weigh(shared);
        let here = self.here.as_ref();
        match here.and_then(|here| self.lines.iter().position(|line| self.is_here(line, here, shared))) {
            Some(at) => self.rows.at = at,
            // At first, and while a filter is typed, it is on the first model.
            None if here.is_none() => {
                self.rows.at = self.lines.iter().position(|line| matches!(line, Line::Model(_))).unwrap_or(0);
                self.settle(shared);
            }
            // What it was on is gone: what stands in its place now is under the cursor.
            None => {
                self.rows.at = self.rows.at.min(self.lines.len().saturating_sub(1));
                self.settle(shared);
            }
        }
    }

    fn is_here(&self, line: &Line, here: &Here, shared: &Shared) -> bool {
        match (line, here) {
            (Line::Model(at), Here::Model(reference)) => {
                shared.replica.models.get(*at as usize).is_some_and(|m| m.name == reference.model && m.backend == reference.backend)
            }
            (Line::Head(at), Here::Head(title)) => self.heads.get(*at).is_some_and(|head| head.title == *title),
            _ => false,
        }
    }

    /// Remembers what the cursor is on.
    fn settle(&mut self, shared: &Shared) {
        self.here = match self.lines.get(self.rows.at) {
            Some(Line::Model(at)) => shared.replica.models.get(*at as usize).map(|m| Here::Model(m.reference())),
            Some(Line::Head(at)) => self.heads.get(*at).map(|head| Here::Head(head.title.clone())),
            None => None,
        };
    }

    /// How much all that is marked weighs. What is gone is marked no more.
    fn weigh(&mut self, shared: &Shared) {
        self.marked_bytes = 0;
        if self.marks.is_empty() {
            return;
        }
        let mut there = BTreeSet::new();
        for model in &shared.replica.models {
            let reference = model.reference();
            if self.marks.contains(&reference) {
                self.marked_bytes += model.size_bytes.unwrap_or(0);
                there.insert(reference);
            }
        }
        // While a backend is asked again its models may be away for a moment.
        if !there.is_empty() || shared.replica.discovered {
            self.marks = there;
        }
    }

    fn reference(&self, shared: &Shared, line: usize) -> Option<ModelRef> {
        match self.lines.get(line)? {
            Line::Model(at) => shared.replica.models.get(*at as usize).map(crate::proto::ModelInfo::reference),
            Line::Head(_) => None,
        }
    }

    /// The rows of the visual range.
    fn range(&self, shared: &Shared) -> Option<std::ops::RangeInclusive<usize>> {
        let anchor = Here::Model(self.anchor.clone()?);
        let from = self.lines.iter().position(|line| self.is_here(line, &anchor, shared))?;
        let to = self.rows.at;
        Some(from.min(to)..=from.max(to))
    }

    fn ranged(&self, shared: &Shared) -> Vec<ModelRef> {
        let range = self.range(shared).into_iter().flatten();
        let mut seen = BTreeSet::new();
        // In groups, one model may stand in several rows.
        range.filter_map(|at| self.reference(shared, at)).filter(|reference| seen.insert(reference.clone())).collect()
    }

    /// Marks what is in the range, or under the cursor; what is all marked already is marked no more.
    fn mark(&mut self, times: usize, shared: &Shared) {
        let ranged = self.ranged(shared);
        let single = ranged.is_empty();
        let models: Vec<ModelRef> = match single {
            true => (self.rows.at..self.rows.at.saturating_add(times)).filter_map(|at| self.reference(shared, at)).collect(),
            false => ranged,
        };
        let all = models.iter().all(|model| self.marks.contains(model));
        for model in models {
            if all {
                self.marks.remove(&model);
            } else {
                self.marks.insert(model);
            }
        }
        self.anchor = None;
        if single {
            self.rows.at = (self.rows.at + times).min(self.lines.len().saturating_sub(1));
        }
        self.weigh(shared);
    }

    fn mark_all(&mut self, shared: &Shared) {
        let all: BTreeSet<ModelRef> = (0..self.lines.len()).filter_map(|at| self.reference(shared, at)).collect();
        if all.is_subset(&self.marks) {
            self.marks.retain(|model| !all.contains(model));
        } else {
            self.marks.extend(all);
        }
        self.anchor = None;
        self.weigh(shared);
    }

    /// Where a job's models stand, for as long as it goes on.
    fn follow(&mut self, job: &Job) {
        if job.finished.is_none() {
            job.items.iter().for_each(|item| self.follow_item(item));
        }
    }

    fn follow_item(&mut self, item: &JobItem) {
        if matches!(item.state, JobState::Waiting | JobState::Running) {
            self.progress.insert(item.model.clone(), item.state);
        } else {
            self.progress.remove(&item.model);
        }
    }

    fn recall(&mut self, stored: Option<&Value>) {
        let Some(stored) = stored else { return };
        let words = stored.get("columns").and_then(Value::as_array);
        let columns: Vec<Column> = words.into_iter().flatten().filter_map(|word| word.as_str()?.parse().ok()).collect();
        if !columns.is_empty() {
            self.set_columns(&columns);
        }
        let by: Option<Column> = stored.get("sort").and_then(|word| word.as_str()?.parse().ok());
        if let Some(by) = by {
            let descending = stored.get("descending").and_then(Value::as_bool).unwrap_or(false);
            self.catalogue.set_order(Order { by, descending });
        }
        if let Some(grouping) = stored.get("group").and_then(|word| word.as_str()?.parse().ok()) {
            self.grouping = grouping;
        }
        self.catalogue.set_hidden(stored.get("hidden").and_then(Value::as_bool).unwrap_or(false));
    }

    /// Puts down what is to be remembered.
    fn keep(&self) -> Intent {
        let order = self.catalogue.order();
        let value = json!({
            "columns": self.columns.iter().map(|column| column.id()).collect::<Vec<_>>(),
            "sort": order.by.id(),
            "descending": order.descending,
            "group": self.grouping.word(),
            "hidden": self.catalogue.hidden(),
        });
        Intent::Post(Command::SetSetting { key: SETTING.to_owned(), value })
    }

    /// The name is always there, and first.
    fn set_columns(&mut self, columns: &[Column]) {
        self.columns = vec![Column::Name];
        for column in columns {
            if !self.columns.contains(column) {
                self.columns.push(*column);
            }
        }
    }

    /// By this column; by the same one again, the other way round.
    fn sort(&mut self, by: Column) -> Outcome {
        let before = self.catalogue.order();
        let descending = if before.by == by { !before.descending } else { by.info().descending };
        self.catalogue.set_order(Order { by, descending });
        Outcome::done().with(self.keep()).say(format!("Sorted by {} {}.", by.info().head, if descending { "▼" } else { "▲" }))
    }

    fn fold(&mut self, at: usize) {
        if let Some(head) = self.heads.get(at)
            && !self.folded.remove(&head.title)
        {
            self.folded.insert(head.title.clone());
        }
        self.made = None;
    }

    /// The heading that the cursor is on or under.
    fn head(&self) -> Option<usize> {
        self.lines.get(..=self.rows.at)?.iter().rev().find_map(|line| if let Line::Head(at) = line { Some(*at) } else { None })
    }

    /// Esc: what was begun here ends, the innermost first.
    fn escape(&mut self, shared: &Shared) -> bool {
        if self.anchor.take().is_some() {
            return true;
        }
        let marked = !self.marks.is_empty();
        self.marks.clear();
        self.weigh(shared);
        marked
    }
}

impl Pane for Table {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let mut right = Vec::new();
        let down = cx.replica.backends.iter().find(|b| matches!(b.state, BackendState::Down | BackendState::Unauthorized));
        if let Some(backend) = down {
            let what = if backend.state == BackendState::Down { "is down" } else { "wants a key" };
            right.push(format!("{} {what}", drawable(&backend.name)));
        }
        let fetching = cx.replica.downloads.values().filter(|download| download.state == DownloadState::Running).count();
        if fetching > 0 {
            right.push(format!("{fetching} fetched now"));
        }
        if !self.progress.is_empty() {
            right.push(format!("{} under way", format::grouped(self.progress.len() as u64)));
        }
        if !self.marks.is_empty() {
            right.push(format!("{} marked", format::grouped(self.marks.len() as u64)));
            right.push(format::bytes(self.marked_bytes));
        }
        let (found, all) = (self.catalogue.found().len() as u64, cx.replica.models.len() as u64);
        if found < all {
            right.push(format!("{} of {}", format::grouped(found), format::grouped(all)));
        } else if all > 0 {
            right.push(format::grouped(all));
        }
        let note = self.catalogue.filter_text().map(|text| format!("/{}", drawable(text))).unwrap_or_default();
        Title { left: INFO.title.to_owned(), note, right: right.join(" · ") }
    }

    fn subject(&self, _cx: &Cx<'_>) -> Option<Subject> {
        // By name: the list may have changed since the rows were made.
        match &self.here {
            Some(Here::Model(reference)) => Some(Subject::Model(reference.clone())),
            Some(Here::Head(_)) | None => None,
        }
    }

    fn refresh(&mut self, cx: &Cx<'_>) {
        Self::refresh(self, cx.shared);
    }

    fn selected(&self, cx: &Cx<'_>) -> Vec<ModelRef> {
        let ranged = self.ranged(cx.shared);
        if ranged.is_empty() { self.marks.iter().cloned().collect() } else { ranged }
    }

    fn is_visual(&self) -> bool {
        self.anchor.is_some()
    }

    fn acted(&mut self) {
        self.anchor = None;
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        Self::refresh(self, cx.shared);
        if self.rows.act(call, self.lines.len()) {
            self.settle(cx.shared);
            return Outcome::done();
        }
        let line = self.lines.get(self.rows.at).copied();
        let outcome = match call.action {
            Action::Activate => match (line, self.reference(cx.shared, self.rows.at)) {
                (_, Some(reference)) => Intent::Choose(reference).into(),
                (Some(Line::Head(at)), _) => {
                    self.fold(at);
                    Outcome::done()
                }
                _ => Outcome::done(),
            },
            Action::Fold => {
                if let Some(at) = self.head() {
                    self.here = self.heads.get(at).map(|head| Here::Head(head.title.clone()));
                    self.fold(at);
                    Self::refresh(self, cx.shared);
                }
                return Outcome::done();
            }
            Action::Copy => {
                let names: Vec<String> = match self.selected(cx) {
                    selected if selected.is_empty() => self.reference(cx.shared, self.rows.at).into_iter().map(|r| r.to_string()).collect(),
                    selected => selected.iter().map(ToString::to_string).collect(),
                };
                let what = match names.as_slice() {
                    [] => return Outcome::done(),
                    [one] => format!("the name {}", drawable(one)),
                    many => format::plural(many.len() as u64, "name"),
                };
                self.anchor = None;
                Intent::Copy { text: names.join("\n"), what }.into()
            }
            Action::Mark => {
                self.mark(call.times(), cx.shared);
                Outcome::done()
            }
            Action::MarkAll => {
                self.mark_all(cx.shared);
                Outcome::done()
            }
            Action::Visual => {
                self.anchor = if self.anchor.is_some() { None } else { self.reference(cx.shared, self.rows.at) };
                Outcome::done()
            }
            Action::Close if self.escape(cx.shared) => Outcome::done(),
            Action::Sort => match call.args.first().and_then(|word| word.parse().ok()) {
                Some(by) => self.sort(by),
                None => columns::sort(self.catalogue.order()),
            },
            Action::GroupBy => match call.args.first().and_then(|word| word.parse().ok()) {
                Some(grouping) => {
                    self.grouping = grouping;
                    self.made = None;
                    Outcome::done().with(self.keep())
                }
                None => columns::group(self.grouping),
            },
            Action::Columns => match call.args.first() {
                Some(words) => {
                    let columns: Vec<Column> = words.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
                    self.set_columns(&columns);
                    Outcome::done().with(self.keep())
                }
                None => Intent::Overlay(columns::chooser(&self.columns)).into(),
            },
            Action::ShowHidden => {
                let hidden = !self.catalogue.hidden();
                self.catalogue.set_hidden(hidden);
                let said = if hidden { "Hidden models are listed too." } else { "Hidden models are hidden again." };
                Outcome::done().with(self.keep()).say(said)
            }
            _ => return Outcome::ignored(),
        };
        Self::refresh(self, cx.shared);
        self.settle(cx.shared);
        outcome
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
            self.made = None;
        }
        Self::refresh(self, cx.shared);
        (true, Outcome::done())
    }

    fn event(&mut self, event: &Event, _cx: &Cx<'_>) {
        self.catalogue.event(&event.kind);
        match &event.kind {
            EventKind::Job(job) => self.follow(job),
            EventKind::JobProgress { items, .. } => items.iter().for_each(|(_, item)| self.follow_item(item)),
            EventKind::Setting { key, .. } if key == "filters" => self.made = None,
            _ => {}
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        Self::refresh(self, cx.shared);
        self.draw(cx, area, buf);
        None
    }
}

impl Table {
    /// What the row under the cursor is, in one line.
    fn detail(&self, shared: &Shared) -> String {
        match self.lines.get(self.rows.at) {
            Some(Line::Model(at)) => match shared.replica.models.get(*at as usize) {
                Some(model) => {
                    format!("{} · {}", drawable(&model.name), describe(model, shared))
                }
                None => String::new(),
            },
            Some(Line::Head(at)) => self.heads.get(*at).map(|head| self.about(head, shared)).unwrap_or_default(),
            None => String::new(),
        }
    }

    fn about(&self, head: &Head, shared: &Shared) -> String {
        let title = drawable(&head.title).into_owned();
        let backend = shared.replica.backends.iter().find(|b| self.grouping == Grouping::Backend && b.name == head.title);
        let mut parts = vec![title];
        if let Some(backend) = backend {
            parts.push(backend.kind.word().to_owned());
            parts.extend(backend.error.as_ref().map(|error| drawable(&error.message).into_owned()));
            parts.extend(backend.url.as_deref().map(|url| drawable(url).into_owned()));
        }
        if self.grouping == Grouping::Filters && !head.rest {
            parts.extend(groups::saved(shared).get(&head.title).map(|text| drawable(text).into_owned()));
        }
        parts.push(format::plural(head.count as u64, "model"));
        if head.bytes > 0 {
            parts.push(format::bytes(head.bytes));
        }
        parts.join(" · ")
    }
}
