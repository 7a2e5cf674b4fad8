//! What a table of models can show: one column each, with its width, its order and what it says of a model.

use std::cmp::Ordering;
use std::str::FromStr;

use crate::core::filter::{Haystack, state_word};
use crate::proto::{BackendState, Instance, ModelInfo, ModelState, ModelUse};
use crate::tui::format;
use crate::tui::shared::Shared;
use crate::tui::text::width::{drawable, width};
use crate::tui::theme::Role;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    Name,
    State,
    Backend,
    Family,
    Size,
    Quantisation,
    Context,
    Capabilities,
    Used,
    Runs,
    Speed,
    Ttft,
    Memory,
    Groups,
    Tags,
}

/// How wide a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wide {
    /// As wide as any of its figures can get.
    Fixed(u16),
    /// As wide as what stands in it, within these bounds.
    Natural(u16, u16),
}

/// A column's entry in the table of columns.
#[derive(Debug)]
pub struct ColumnInfo {
    pub column: Column,
    /// Its name on the `:` line and in what is remembered.
    pub id: &'static str,
    /// At the head of the table.
    pub head: &'static str,
    pub about: &'static str,
    /// Figures stand at the right.
    pub right: bool,
    pub wide: Wide,
    /// Where room is short, the lowest goes first.
    pub keep: u8,
    /// Sorted by it, the greatest comes first.
    pub descending: bool,
    /// Shown unless somebody chose otherwise.
    pub shown: bool,
}

const fn column(column: Column, id: &'static str, head: &'static str, wide: Wide, keep: u8, about: &'static str) -> ColumnInfo {
    ColumnInfo { column, id, head, about, right: false, wide, keep, descending: false, shown: true }
}

const fn figure(column: Column, id: &'static str, head: &'static str, columns: u16, keep: u8, about: &'static str) -> ColumnInfo {
    ColumnInfo { column, id, head, about, right: true, wide: Wide::Fixed(columns), keep, descending: true, shown: true }
}

const fn off(info: ColumnInfo) -> ColumnInfo {
    ColumnInfo { shown: false, ..info }
}

/// Every column, in the order in which they stand at first.
pub static COLUMNS: &[ColumnInfo] = &[
    column(Column::Name, "name", "model", Wide::Natural(12, 60), 255, "Its name"),
    column(Column::State, "state", "state", Wide::Fixed(9), 200, "What it does now"),
    figure(Column::Size, "size", "size", 6, 90, "Its size"),
    column(Column::Quantisation, "quantisation", "quant", Wide::Natural(5, 13), 70, "Its quantisation"),
    figure(Column::Context, "context", "ctx", 6, 80, "The context that it can have"),
    column(Column::Capabilities, "capabilities", "can", Wide::Natural(5, 22), 60, "What it can do beside writing"),
    column(Column::Family, "family", "family", Wide::Natural(6, 14), 30, "Its family"),
    column(Column::Backend, "backend", "backend", Wide::Natural(7, 16), 65, "Its backend"),
    figure(Column::Used, "used", "used", 9, 50, "When it answered last"),
    figure(Column::Runs, "runs", "runs", 5, 40, "How many answers it gave"),
    figure(Column::Speed, "speed", "t/s", 5, 75, "Tokens per second, median of its runs"),
    figure(Column::Ttft, "ttft", "ttft", 6, 45, "Time to the first token, median of its runs"),
    figure(Column::Memory, "memory", "memory", 6, 55, "Memory that it takes now"),
    column(Column::Groups, "groups", "groups", Wide::Natural(6, 18), 35, "Your groups that it is in"),
    off(column(Column::Tags, "tags", "tags", Wide::Natural(4, 18), 25, "Your tags on it")),
];

/// The names of all columns, for the `:` line.
pub const IDS: &[&str] = &[
    "name",
    "state",
    "size",
    "quantisation",
    "context",
    "capabilities",
    "family",
    "backend",
    "used",
    "runs",
    "speed",
    "ttft",
    "memory",
    "groups",
    "tags",
];

/// What a cell is made from.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    pub model: &'a ModelInfo,
    pub uses: Option<&'a ModelUse>,
    pub instance: Option<&'a Instance>,
}

/// What there is to say of a model whose state nobody knows: why its backend does not tell.
fn unknown(model: &ModelInfo, shared: &Shared) -> (String, Role) {
    let backend = shared.replica.backends.iter().find(|backend| backend.name == model.backend);
    let (word, role) = match backend.map(|backend| backend.state) {
        Some(BackendState::Down) => ("down", Role::Error),
        Some(BackendState::Unauthorized) => ("no key", Role::Warning),
        Some(BackendState::Starting) => ("starting", Role::Running),
        Some(BackendState::Connecting) => ("…", Role::Running),
        Some(BackendState::Up) | None => ("", Role::Quiet),
    };
    (word.to_owned(), role)
}

impl Column {
    #[must_use]
    pub fn info(self) -> &'static ColumnInfo {
        // Every column stands in the table (a test says so); the first is the name.
        COLUMNS.iter().find(|info| info.column == self).unwrap_or(&COLUMNS[0])
    }

    #[must_use]
    pub fn id(self) -> &'static str {
        self.info().id
    }

    /// What stands in it for a model, drawable, and what that is.
    #[must_use]
    pub fn text(self, cell: &Cell<'_>, shared: &Shared) -> (String, Role) {
        let model = cell.model;
        let quiet = |text: Option<String>| (text.unwrap_or_else(|| "–".to_owned()), Role::Quiet);
        let words = |words: &[String]| words.iter().map(|word| drawable(word).into_owned()).collect::<Vec<_>>().join(" ");
        match self {
            Self::Name => (drawable(&model.name).into_owned(), Role::Text),
            Self::State => match (model.state, model.permille) {
                (ModelState::Loading | ModelState::Downloading, Some(permille)) => (format!("{} %", permille / 10), Role::Running),
                (ModelState::Loading | ModelState::Downloading, None) => ("…".to_owned(), Role::Running),
                (ModelState::Failed, _) => ("failed".to_owned(), Role::Error),
                (ModelState::Loaded, _) => ("loaded".to_owned(), Role::Ok),
                (ModelState::Sleeping, _) => (state_word(model.state).to_owned(), Role::Quiet),
                (ModelState::Unknown, _) => unknown(model, shared),
                (ModelState::Unloaded, _) => (String::new(), Role::Quiet),
            },
            Self::Backend => (drawable(&model.backend).into_owned(), Role::Quiet),
            Self::Family => quiet(model.family.as_deref().map(|text| drawable(text).into_owned())),
            Self::Quantisation => quiet(model.quantisation.as_deref().map(|text| drawable(text).into_owned())),
            Self::Size => quiet(model.size_bytes.map(format::bytes)),
            Self::Context => quiet(model.context_max.max(model.context).map(|n| format::context(u64::from(n)))),
            Self::Capabilities => {
                let told: Vec<String> = model.capabilities.iter().filter(|c| *c != "completion" && *c != "chat").cloned().collect();
                (words(&told), Role::Quiet)
            }
            Self::Used => {
                let last = cell.uses.and_then(|uses| uses.last);
                quiet(last.map(|at| format::clock(at, shared.now.wall, &shared.zone)))
            }
            Self::Runs => quiet(cell.uses.map(|uses| format::short(u64::from(uses.runs)))),
            Self::Speed => quiet(cell.uses.and_then(|uses| uses.tokens_per_s).map(format::number)),
            Self::Ttft => quiet(cell.uses.and_then(|uses| uses.ttft_ms).map(format::wait)),
            Self::Memory => {
                let memory = memory(cell);
                (memory.map(format::bytes).unwrap_or_default(), Role::Text)
            }
            Self::Groups => (words(&model.card.groups), Role::Quiet),
            Self::Tags => (words(&model.card.tags), Role::Quiet),
        }
    }

    /// The columns that its text takes, for those that are as wide as what stands in them.
    #[must_use]
    pub fn columns(self, model: &ModelInfo) -> u16 {
        let words = |words: &[String]| words.iter().map(|word| width(&drawable(word)) + 1).sum::<usize>().saturating_sub(1);
        let text = |text: Option<&str>| text.map_or(1, |text| width(&drawable(text)));
        let columns = match self {
            Self::Name => text(Some(&model.name)),
            Self::Backend => text(Some(&model.backend)),
            Self::Family => text(model.family.as_deref()),
            Self::Quantisation => text(model.quantisation.as_deref()),
            Self::Capabilities => {
                let told = model.capabilities.iter().filter(|c| *c != "completion" && *c != "chat");
                told.map(|word| width(&drawable(word)) + 1).sum::<usize>().saturating_sub(1)
            }
            Self::Groups => words(&model.card.groups),
            Self::Tags => words(&model.card.tags),
            _ => 0,
        };
        u16::try_from(columns).unwrap_or(u16::MAX)
    }

    /// The order of two models by this column, smallest first; what is not known comes last, whichever way it is turned.
    #[must_use]
    pub fn compare(self, a: &Sortable<'_>, b: &Sortable<'_>, descending: bool) -> Ordering {
        let turn = |order: Ordering| if descending { order.reverse() } else { order };
        let known = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => turn(a.total_cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let texts = |a: Option<&str>, b: Option<&str>| match (a, b) {
            (Some(a), Some(b)) => turn(lower(a).cmp(lower(b))),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let lists = |a: &[String], b: &[String]| texts(a.first().map(String::as_str), b.first().map(String::as_str));
        let bytes = |n: Option<u64>| n.map(|n| n as f64);
        match self {
            Self::Name => turn(a.name().cmp(b.name())),
            Self::State => turn(super::rank(a.model.state).cmp(&super::rank(b.model.state))),
            Self::Backend => texts(Some(&a.model.backend), Some(&b.model.backend)),
            Self::Family => texts(a.model.family.as_deref(), b.model.family.as_deref()),
            Self::Quantisation => texts(a.model.quantisation.as_deref(), b.model.quantisation.as_deref()),
            Self::Size => known(bytes(a.model.size_bytes), bytes(b.model.size_bytes)),
            Self::Context => {
                let of = |m: &ModelInfo| m.context_max.max(m.context).map(f64::from);
                known(of(a.model), of(b.model))
            }
            Self::Capabilities => turn(a.model.capabilities.len().cmp(&b.model.capabilities.len())),
            Self::Used => known(a.uses.and_then(|u| u.last).map(|n| n as f64), b.uses.and_then(|u| u.last).map(|n| n as f64)),
            Self::Runs => known(a.uses.map(|u| f64::from(u.runs)), b.uses.map(|u| f64::from(u.runs))),
            Self::Speed => known(a.uses.and_then(|u| u.tokens_per_s), b.uses.and_then(|u| u.tokens_per_s)),
            Self::Ttft => known(a.uses.and_then(|u| u.ttft_ms), b.uses.and_then(|u| u.ttft_ms)),
            Self::Memory => known(bytes(a.model.memory_bytes), bytes(b.model.memory_bytes)),
            Self::Groups => lists(&a.model.card.groups, &b.model.card.groups),
            Self::Tags => lists(&a.model.card.tags, &b.model.card.tags),
        }
    }
}

/// What is compared of a model.
pub struct Sortable<'a> {
    pub model: &'a ModelInfo,
    pub haystack: &'a Haystack,
    pub uses: Option<&'a ModelUse>,
}

impl Sortable<'_> {
    /// Its name in lower case, without the backend.
    pub fn name(&self) -> &str {
        let full = self.haystack.name();
        full.split_once('/').map_or(full, |(_, name)| name)
    }
}

fn lower(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

/// What it takes now: what was measured, else what its backend says.
fn memory(cell: &Cell<'_>) -> Option<u64> {
    let measured = cell.instance.and_then(|instance| {
        let parts = [instance.memory, instance.gpu_memory];
        parts.iter().any(Option::is_some).then(|| parts.iter().flatten().map(|figure| figure.value.max(0.0) as u64).sum())
    });
    measured.or(cell.model.memory_bytes)
}

impl FromStr for Column {
    type Err = ();
    fn from_str(id: &str) -> Result<Self, ()> {
        let id = id.trim().to_lowercase();
        COLUMNS.iter().find(|info| info.id == id || info.head == id).map(|info| info.column).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_stands_in_the_table_once() {
        assert_eq!(COLUMNS[0].column, Column::Name);
        assert_eq!(COLUMNS.iter().map(|info| info.id).collect::<Vec<_>>(), IDS);
        for info in COLUMNS {
            assert!(std::ptr::eq(info.column.info(), info), "{}", info.id);
            assert_eq!(info.id.parse(), Ok(info.column));
            assert_eq!(info.head.parse(), Ok(info.column));
        }
        let all = [
            Column::Name,
            Column::State,
            Column::Backend,
            Column::Family,
            Column::Size,
            Column::Quantisation,
            Column::Context,
            Column::Capabilities,
            Column::Used,
            Column::Runs,
            Column::Speed,
            Column::Ttft,
            Column::Memory,
            Column::Groups,
            Column::Tags,
        ];
        assert_eq!(all.len(), COLUMNS.len());
        assert!(all.iter().all(|column| column.info().column == *column));
    }
}
