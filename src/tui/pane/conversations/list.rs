//! A window onto a list of conversations that may be long: what is at hand of it, and what must be asked for.
//!
//! Owns: the rows of one shelf around what is shown. Refuses: asking (a [`Part`] says what for) and knowing which shelf it is.
//! Invariant: at most [`MOST`] rows are at hand and at most one question is under way; rows stand in the places that the host named,
//! and when an event may have changed those, the list is stale until it was asked for again.

use std::cmp::Ordering;
use std::ops::Range;

use crate::proto::{ConversationId, ConversationRow, Order, OrderBy, Window};

/// Rows that one question asks for: more than any terminal shows at once.
pub const PAGE: usize = 200;
/// Rows of one list that are kept.
pub const MOST: usize = 3 * PAGE;
/// So many rows around those in view are wanted too.
const AHEAD: usize = 60;

/// What is to be asked for, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub offset: usize,
    pub limit: usize,
    join: Join,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    /// In place of all that is at hand.
    Anew,
    After,
    Before,
}

impl Part {
    /// How many there are, and none of them.
    pub const COUNT: Self = Self { offset: 0, limit: 0, join: Join::Anew };

    fn around(shown: &Range<usize>) -> Self {
        let lead = PAGE.saturating_sub(shown.len()) / 2;
        Self { offset: shown.start.saturating_sub(lead), limit: PAGE, join: Join::Anew }
    }
}

/// Whether a conversation lies on a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lies {
    Here,
    Elsewhere,
    /// Only the host knows: a filter decides.
    Unknown,
}

#[derive(Debug, Default)]
pub struct List {
    /// How many there are; `None`: not known yet.
    total: Option<usize>,
    /// The place of the first row that is at hand.
    offset: usize,
    rows: Vec<ConversationRow>,
    stale: bool,
    asked: bool,
    /// The last question failed: it is not asked again before something changes.
    failed: bool,
    /// When it was in view last, counted in frames.
    pub seen: u64,
}

impl List {
    /// The first rows of a list, and whether they are all of it.
    pub fn first(rows: Vec<ConversationRow>, total: usize, complete: bool) -> Self {
        Self { total: Some(total.max(rows.len())), rows, stale: !complete, ..Self::default() }
    }

    #[must_use]
    pub fn total(&self) -> Option<usize> {
        self.total
    }

    /// Rows at hand.
    #[must_use]
    pub fn held(&self) -> usize {
        self.rows.len()
    }

    #[must_use]
    pub fn rows(&self) -> &[ConversationRow] {
        &self.rows
    }

    #[must_use]
    pub fn get(&self, at: usize) -> Option<&ConversationRow> {
        self.rows.get(at.checked_sub(self.offset)?)
    }

    /// The place of a conversation, when it is at hand.
    #[must_use]
    pub fn place(&self, id: ConversationId) -> Option<usize> {
        self.rows.iter().position(|row| row.id == id).map(|at| at + self.offset)
    }

    /// Forgets the rows, to make room; how many there are stays known.
    pub fn forget(&mut self) {
        self.rows = Vec::new();
        self.offset = 0;
    }

    /// What it holds may not be so any more.
    pub fn doubt(&mut self) {
        self.stale = true;
        self.failed = false;
    }

    /// What was asked is of no use any more.
    pub fn release(&mut self) {
        self.asked = false;
    }

    pub fn fail(&mut self) {
        self.asked = false;
        self.failed = true;
        self.total.get_or_insert(0);
    }

    /// What is missing to show these places. `None`: nothing, or it is under way.
    #[must_use]
    pub fn missing(&self, shown: &Range<usize>) -> Option<Part> {
        if self.asked || self.failed {
            return None;
        }
        let Some(total) = self.total.filter(|_| !self.stale) else { return Some(Part::around(shown)) };
        let wanted = shown.start.saturating_sub(AHEAD).min(total)..(shown.end + AHEAD).min(total);
        let have = self.offset..self.offset + self.rows.len();
        if wanted.is_empty() || (have.start <= wanted.start && wanted.end <= have.end) {
            return None;
        }
        if have.is_empty() || wanted.end < have.start || have.end < wanted.start {
            return Some(Part::around(shown));
        }
        if wanted.end > have.end {
            return Some(Part { offset: have.end, limit: PAGE, join: Join::After });
        }
        let offset = have.start.saturating_sub(PAGE);
        Some(Part { offset, limit: have.start - offset, join: Join::Before })
    }

    /// What is missing to say how many there are.
    #[must_use]
    pub fn uncounted(&self) -> Option<Part> {
        (!self.asked && !self.failed && (self.stale || self.total.is_none())).then_some(Part::COUNT)
    }

    /// It is asked for now: what changes from here on makes it stale again.
    pub fn asking(&mut self) {
        self.asked = true;
        self.stale = false;
    }

    /// The host's answer.
    pub fn take(&mut self, part: Part, window: Window<ConversationRow>) {
        self.asked = false;
        self.failed = false;
        let items = window.items;
        let offset = window.offset as usize;
        let end = offset + items.len();
        let total = window.total as usize;
        // A host that names more than it gives is not asked again and again.
        let short = part.limit > 0 && items.len() < part.limit && end < total && offset <= total;
        self.total = Some(if short { end } else { total });
        let shifted = items.iter().any(|row| self.rows.iter().any(|known| known.id == row.id));
        match part.join {
            Join::Anew if part.limit == 0 => self.forget(),
            Join::After if offset == self.offset + self.rows.len() => {
                self.stale |= shifted;
                self.rows.extend(items);
                let over = self.rows.len().saturating_sub(MOST);
                self.rows.drain(..over);
                self.offset += over;
            }
            Join::Before if end == self.offset => {
                self.stale |= shifted;
                self.rows.splice(..0, items);
                self.rows.truncate(MOST);
                self.offset = offset;
            }
            Join::Anew | Join::After | Join::Before => {
                self.rows = items;
                self.rows.truncate(MOST);
                self.offset = offset;
            }
        }
    }

    /// What lists show of a conversation changed. Returns whether rows moved, came or went.
    pub fn change(&mut self, row: &ConversationRow, lies: Lies, order: Order) -> bool {
        let at = self.rows.iter().position(|known| known.id == row.id);
        match (at, lies) {
            (Some(at), Lies::Here | Lies::Unknown) => {
                let stays = compare(order, &self.rows[at], row) == Ordering::Equal;
                self.rows[at].clone_from(row);
                if lies == Lies::Unknown {
                    self.doubt();
                }
                if stays {
                    return false;
                }
                let row = self.rows.remove(at);
                let to = self.rows.partition_point(|other| compare(order, other, &row) == Ordering::Less);
                self.rows.insert(to, row);
                self.doubt();
                true
            }
            (Some(at), Lies::Elsewhere) => {
                self.remove(at);
                true
            }
            (None, Lies::Here) => {
                let complete = self.offset == 0 && self.total == Some(self.rows.len()) && self.rows.len() < MOST;
                self.doubt();
                if complete {
                    let to = self.rows.partition_point(|other| compare(order, other, row) == Ordering::Less);
                    self.rows.insert(to, row.clone());
                    self.total = Some(self.rows.len());
                }
                complete
            }
            (None, Lies::Unknown) => {
                self.doubt();
                false
            }
            // It may have been among those that are not at hand.
            (None, Lies::Elsewhere) => {
                if self.total.is_some_and(|total| total > self.rows.len()) {
                    self.doubt();
                }
                false
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.rows.remove(at);
        self.total = self.total.map(|total| total.saturating_sub(1));
        self.doubt();
    }

    /// A conversation is gone for good. Returns whether it was at hand.
    pub fn gone(&mut self, id: ConversationId) -> bool {
        match self.rows.iter().position(|row| row.id == id) {
            Some(at) => self.remove(at),
            None => {
                self.doubt();
                return false;
            }
        }
        true
    }
}

/// How two rows stand to each other in an order.
#[must_use]
pub fn compare(order: Order, a: &ConversationRow, b: &ConversationRow) -> Ordering {
    let model = |row: &ConversationRow| row.model.as_ref().map(|model| model.model.to_lowercase());
    let by = match order.by {
        OrderBy::Updated => b.updated.cmp(&a.updated),
        OrderBy::Created => b.created.cmp(&a.created),
        OrderBy::Title => a.title.to_lowercase().cmp(&b.title.to_lowercase()),
        OrderBy::Messages => b.messages.cmp(&a.messages),
        OrderBy::Tokens => b.tokens.cmp(&a.tokens),
        OrderBy::Model => model(a).cmp(&model(b)),
    };
    let by = if order.reversed { by.reverse() } else { by };
    by.then_with(|| if a.id == b.id { Ordering::Equal } else { b.updated.cmp(&a.updated).then(b.id.cmp(&a.id)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize) -> ConversationRow {
        ConversationRow::new(uuid::Uuid::from_u128(n as u128 + 1).into(), 1_000_000 - n as i64)
    }

    /// A host with so many rows.
    fn answer(list: &mut List, part: Part, total: usize) {
        list.asking();
        let items: Vec<_> = (part.offset..total.min(part.offset + part.limit)).map(row).collect();
        list.take(part, Window { offset: part.offset as u32, total: total as u32, items });
    }

    #[test]
    fn a_long_list_is_walked_with_a_bounded_window() {
        let mut list = List::default();
        let mut asked = 0;
        let mut walk = |list: &mut List, at: usize| {
            let shown = at..at + 40;
            while let Some(part) = list.missing(&shown) {
                answer(list, part, 100_000);
                asked += 1;
                assert!(list.held() <= MOST, "{}", list.held());
            }
            for at in shown {
                assert_eq!(list.get(at).map(|r| r.id), Some(row(at).id), "{at}");
            }
        };
        (0..2_000).for_each(|at| walk(&mut list, at));
        (0..2_000).rev().for_each(|at| walk(&mut list, at));
        walk(&mut list, 99_960);
        walk(&mut list, 50_000);
        assert!(asked <= 2 * 2_000 / PAGE + 6, "{asked} questions");
        assert_eq!(list.total(), Some(100_000));
    }

    #[test]
    fn one_question_at_a_time_and_what_changes_meanwhile_is_asked_again() {
        let mut list = List::default();
        let part = list.missing(&(0..10)).unwrap();
        list.asking();
        assert_eq!(list.missing(&(0..10)), None);
        list.change(&row(7), Lies::Unknown, Order::default());
        assert_eq!(list.missing(&(0..10)), None);
        list.take(part, Window { offset: 0, total: 3, items: (0..3).map(row).collect() });
        assert!(list.missing(&(0..10)).is_some(), "something changed after it was asked");
        list.asking();
        list.fail();
        assert_eq!(list.missing(&(0..10)), None, "what fails is not asked for in every frame");
    }

    #[test]
    fn rows_change_where_they_stand() {
        let mut list = List::first((0..5).map(row).collect(), 5, true);
        assert_eq!(list.missing(&(0..5)), None);
        let mut titled = row(3);
        titled.title = "new".into();
        assert!(!list.change(&titled, Lies::Here, Order::default()));
        assert_eq!(list.get(3).unwrap().title, "new");
        assert_eq!(list.missing(&(0..5)), None, "nothing moved");
        titled.updated = 2_000_000;
        assert!(list.change(&titled, Lies::Here, Order::default()));
        assert_eq!(list.place(titled.id), Some(0));
        assert!(list.missing(&(0..5)).is_some(), "it moved, as far as one can tell here");
        assert!(list.change(&titled, Lies::Elsewhere, Order::default()));
        assert_eq!((list.total(), list.place(titled.id)), (Some(4), None));
        assert!(list.change(&row(9), Lies::Here, Order::default()), "a list that is all here takes a new one at once");
        assert_eq!(list.total(), Some(5));
    }

    #[test]
    fn a_host_that_promises_more_than_it_gives_is_not_asked_for_ever() {
        let mut list = List::default();
        let mut asked = 0;
        while let Some(part) = list.missing(&(0..40)) {
            list.asking();
            list.take(part, Window { offset: 0, total: 50, items: (0..10).map(row).collect() });
            asked += 1;
            assert!(asked < 5);
        }
        assert_eq!(list.total(), Some(10));
    }
}
