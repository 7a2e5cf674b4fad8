//! Every model in order, and those of them that fit a filter.
//!
//! Owns: what is looked for in each model, the order of all, which fit. Refuses: groups and rows. Invariant: a key in a filter
//! looks only at what fitted before it, where it can; a change of one model makes only that one anew.

use std::collections::HashSet;

use super::column::{COLUMNS, Column, Sortable, Wide};
use crate::core::filter::{Candidate, Filter, Haystack};
use crate::proto::{EventKind, ModelInfo, ModelRef, ModelUse};
use crate::tui::shared::{Revisions, Shared};

/// By what models are ordered. Favourites stand above the rest in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub by: Column,
    pub descending: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self { by: Column::State, descending: false }
    }
}

/// What is kept of a model.
#[derive(Debug, Default)]
struct Entry {
    haystack: Haystack,
    uses: Option<ModelUse>,
}

/// So many single changes are made one by one; with more, everything is made anew.
const FEW: usize = 32;

/// Models in order, and which fit. Numbers are places in the replica's list, good until the next [`Catalogue::refresh`].
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Of which state of the lists `entries` was made.
    made: Option<Revisions>,
    entries: Vec<Entry>,
    /// What changed since, one by one.
    changed: Vec<ModelRef>,
    order: Order,
    /// All, in order.
    sorted: Vec<u32>,
    text: String,
    filter: Filter,
    hidden: bool,
    /// Those that fit, in order. `None`: to be found anew.
    found: Option<Vec<u32>>,
    /// Columns that the widest text of a column takes.
    widest: Vec<u16>,
    /// Two backends have a model of the same name.
    twins: bool,
    /// How many models were looked at while they were sought, since the beginning.
    #[cfg(test)]
    pub looked_at: usize,
    /// Counts what was found anew.
    revision: u64,
}

impl Catalogue {
    /// An event came: what it changes is made anew at the next refresh.
    pub fn event(&mut self, kind: &EventKind) {
        let model = match kind {
            EventKind::Model(info) => info.reference(),
            EventKind::Use { model, .. } => model.clone(),
            EventKind::Models { .. } | EventKind::BackendRemoved { .. } => {
                self.made = None;
                return;
            }
            _ => return,
        };
        if !self.changed.contains(&model) {
            self.changed.push(model);
        }
        if self.changed.len() > FEW {
            self.made = None;
        }
    }

    pub fn set_order(&mut self, order: Order) {
        if self.order != order {
            self.order = order;
            self.sorted.clear();
            self.found = None;
        }
    }

    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Hidden models are listed too.
    pub fn set_hidden(&mut self, hidden: bool) {
        if self.hidden != hidden {
            self.hidden = hidden;
            self.found = None;
        }
    }

    #[must_use]
    pub fn hidden(&self) -> bool {
        self.hidden
    }

    /// Filters; as the text grows, only what fitted is looked at again.
    pub fn set_filter(&mut self, text: &str, shared: &Shared) {
        if self.text == text {
            return;
        }
        let filter = Filter::parse(text);
        text.clone_into(&mut self.text);
        let narrower = filter.narrows(&self.filter) && self.is_fresh(shared);
        self.filter = filter;
        match self.found.take().filter(|_| narrower) {
            Some(before) => {
                let found = self.pass(before, shared);
                self.put(found);
            }
            None => self.refresh(shared),
        }
    }

    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    #[must_use]
    pub fn filter_text(&self) -> Option<&str> {
        (!self.text.is_empty()).then_some(self.text.as_str())
    }

    fn is_fresh(&self, shared: &Shared) -> bool {
        let now = &shared.revisions;
        self.made.is_some_and(|made| (made.models, made.attached, made.uses) == (now.models, now.attached, now.uses))
    }

    /// Brings everything up to date with the replica. Cheap when nothing changed.
    pub fn refresh(&mut self, shared: &Shared) {
        if !self.is_fresh(shared) {
            self.read(shared);
            self.sorted.clear();
            self.found = None;
        }
        if self.sorted.len() != self.entries.len() {
            self.sort(&shared.replica.models);
            self.found = None;
        }
        if self.found.is_none() {
            let found = self.pass(self.sorted.clone(), shared);
            self.put(found);
        }
    }

    fn put(&mut self, found: Vec<u32>) {
        self.found = Some(found);
        self.revision += 1;
    }

    /// Those that fit, in order.
    #[must_use]
    pub fn found(&self) -> &[u32] {
        self.found.as_deref().unwrap_or_default()
    }

    /// Another number when something else was found, or in another order.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What its runs say.
    #[must_use]
    pub fn uses(&self, at: u32) -> Option<&ModelUse> {
        self.entries.get(at as usize)?.uses.as_ref()
    }

    /// Columns that the widest text of a column takes.
    #[must_use]
    pub fn widest(&self, column: Column) -> u16 {
        COLUMNS.iter().position(|info| info.column == column).and_then(|at| self.widest.get(at).copied()).unwrap_or(0)
    }

    /// Whether a name alone does not tell which model is meant.
    #[must_use]
    pub fn has_twins(&self) -> bool {
        self.twins
    }

    /// What is looked for in the models that changed, or in all.
    fn read(&mut self, shared: &Shared) {
        let models = &shared.replica.models;
        let now = &shared.revisions;
        let known = self.made.is_some_and(|made| (made.attached, made.uses) == (now.attached, now.uses));
        let few = known && self.entries.len() == models.len();
        let changed = std::mem::take(&mut self.changed);
        if few {
            for reference in changed {
                let at = models.iter().position(|m| m.name == reference.model && m.backend == reference.backend);
                if let Some(at) = at {
                    self.entries[at] = entry(&models[at], shared);
                    self.widen(&models[at]);
                }
            }
        } else {
            self.widest = vec![0; COLUMNS.len()];
            self.entries = models.iter().map(|model| entry(model, shared)).collect();
            models.iter().for_each(|model| self.widen(model));
            let mut names = HashSet::with_capacity(models.len());
            self.twins = !models.iter().all(|model| names.insert(model.name.as_str()));
        }
        self.made = Some(shared.revisions);
    }

    fn widen(&mut self, model: &ModelInfo) {
        for (info, widest) in COLUMNS.iter().zip(&mut self.widest) {
            if matches!(info.wide, Wide::Natural(..)) {
                *widest = (*widest).max(info.column.columns(model));
            }
        }
    }

    fn sort(&mut self, models: &[ModelInfo]) {
        let (entries, order) = (&self.entries, self.order);
        let of = |at: &u32| {
            let at = *at as usize;
            Sortable { model: &models[at], haystack: &entries[at].haystack, uses: entries[at].uses.as_ref() }
        };
        self.sorted = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
        self.sorted.sort_by(|a, b| {
            let (a, b) = (of(a), of(b));
            let above = b.model.card.favourite.cmp(&a.model.card.favourite);
            let by = || order.by.compare(&a, &b, order.descending);
            above.then_with(by).then_with(|| a.name().cmp(b.name())).then_with(|| a.model.backend.cmp(&b.model.backend))
        });
    }

    fn pass(&mut self, among: Vec<u32>, shared: &Shared) -> Vec<u32> {
        let (models, now) = (&shared.replica.models, shared.now.wall);
        #[cfg(test)]
        {
            self.looked_at += among.len();
        }
        let mut among = among;
        among.retain(|at| {
            let entry = &self.entries[*at as usize];
            let candidate = Candidate { model: &models[*at as usize], haystack: &entry.haystack, uses: entry.uses.as_ref(), now };
            self.filter.shows(&candidate, self.hidden)
        });
        among
    }
}

fn entry(model: &ModelInfo, shared: &Shared) -> Entry {
    let uses = if shared.replica.uses.is_empty() { None } else { shared.replica.uses.get(&model.reference()).cloned() };
    Entry { haystack: Haystack::of(model), uses }
}
