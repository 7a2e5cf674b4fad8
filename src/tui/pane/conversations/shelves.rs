//! All lists of the pane: pinned, each folder, smart folders, the rest, the archive, the bin, and what a filter finds.
//!
//! Owns: which shelf is asked for what, the order. Refuses: what is shown of it. Invariant: of one list at most one question is under way,
//! and all lists together keep at most [`MOST_ROWS`] rows beside those in view.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::ID;
use super::list::{Lies, List, Part};
use crate::core::filter::conversations::{Calendar, Filter, Subject};
use crate::proto::{ConversationId, ConversationRow, Folder, FolderId, Order, Query, Reply, Shelf, Window};
use crate::tui::pane::Intent;
use crate::tui::shared::Shared;

/// Rows of all lists that are kept: a few times what any terminal shows.
pub const MOST_ROWS: usize = 2_000;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Pinned,
    Folder(FolderId),
    /// What a saved search finds.
    Smart(FolderId),
    Loose,
    Archive,
    Bin,
    /// What the filter finds.
    Found,
    /// All that are neither archived nor in the bin: only counted.
    All,
}

impl Place {
    fn lies(self, row: &ConversationRow) -> Lies {
        let listed = !row.archived && row.deleted.is_none();
        let here = match self {
            Self::Pinned => listed && row.pinned,
            Self::Folder(id) => listed && row.folder == Some(id),
            Self::Loose => listed && !row.pinned && row.folder.is_none(),
            Self::Archive => row.archived && row.deleted.is_none(),
            Self::Bin => row.deleted.is_some(),
            Self::All => listed,
            Self::Smart(_) | Self::Found if row.deleted.is_none() => return Lies::Unknown,
            Self::Smart(_) | Self::Found => false,
        };
        if here { Lies::Here } else { Lies::Elsewhere }
    }
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    place: Place,
    part: Part,
    /// Something else is looked for meanwhile: the answer only ends the wait.
    spoiled: bool,
}

#[derive(Debug, Default)]
pub struct Shelves {
    lists: BTreeMap<Place, List>,
    pub order: Order,
    /// What is looked for.
    filter: Option<String>,
    /// Questions under way, by the number that they were given.
    asked: HashMap<u64, Asked>,
    next: u64,
    /// Frames so far.
    frame: u64,
}

impl Shelves {
    #[must_use]
    pub fn list(&self, place: Place) -> Option<&List> {
        self.lists.get(&place)
    }

    #[must_use]
    pub fn row(&self, place: Place, at: usize) -> Option<&ConversationRow> {
        self.lists.get(&place)?.get(at)
    }

    #[must_use]
    pub fn total(&self, place: Place) -> Option<usize> {
        self.lists.get(&place)?.total()
    }

    /// The lists in which a conversation is at hand, each with its place there.
    pub fn places(&self, id: ConversationId) -> impl Iterator<Item = (Place, usize)> + '_ {
        self.lists.iter().filter_map(move |(place, list)| Some((*place, list.place(id)?)))
    }

    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Looks for something else. What was found before stays until the host has answered.
    pub fn set_filter(&mut self, filter: Option<String>) {
        if self.filter == filter {
            return;
        }
        self.filter = filter;
        self.asked.values_mut().filter(|asked| asked.place == Place::Found).for_each(|asked| asked.spoiled = true);
        match self.filter {
            Some(_) => self.lists.entry(Place::Found).or_default().doubt(),
            None => drop(self.lists.remove(&Place::Found)),
        }
    }

    pub fn set_order(&mut self, order: Order) {
        self.order = order;
        for list in self.lists.values_mut() {
            list.forget();
            list.doubt();
        }
    }

    /// A host was reached: what its snapshot tells is at hand, the rest is asked for.
    pub fn attach(&mut self, shared: &Shared) {
        let replica = &shared.replica;
        self.asked.clear();
        self.lists.clear();
        if self.filter.is_some() {
            self.lists.insert(Place::Found, List::default());
        }
        self.lists.insert(Place::All, List::first(Vec::new(), replica.total_rows as usize, true));
        if self.order != Order::default() {
            return;
        }
        // The newest of all conversations are the newest of each shelf too.
        let mut rows: Vec<&ConversationRow> = replica.rows.values().filter(|row| !row.archived && row.deleted.is_none()).collect();
        rows.sort_by(|a, b| super::list::compare(self.order, a, b));
        let complete = rows.len() >= replica.total_rows as usize;
        let of = |place: Place| rows.iter().filter(|row| place.lies(row) == Lies::Here).map(|row| (*row).clone()).collect::<Vec<_>>();
        let folders = replica.folders.iter().filter(|folder| folder.search.is_none());
        let known = folders.map(|folder| (Place::Folder(folder.id), folder.count as usize));
        for (place, total) in known.chain([(Place::Pinned, 0), (Place::Loose, 0)]) {
            self.lists.insert(place, List::first(of(place), total, complete));
        }
    }

    /// Folders came, went or hold another number.
    pub fn take_folders(&mut self, folders: &[Folder]) {
        let there: BTreeSet<FolderId> = folders.iter().map(|folder| folder.id).collect();
        self.lists.retain(|place, _| !matches!(place, Place::Folder(id) | Place::Smart(id) if !there.contains(id)));
        for folder in folders {
            let place = place_of(folder);
            let other = |list: &List| folder.search.is_none() && list.total() != Some(folder.count as usize);
            if let Some(list) = self.lists.get_mut(&place).filter(|list| other(list)) {
                list.doubt();
            }
        }
    }

    /// The search of a smart folder may be another.
    pub fn doubt_smart(&mut self) {
        for (_, list) in self.lists.iter_mut().filter(|(place, _)| matches!(place, Place::Smart(_))) {
            list.doubt();
        }
    }

    /// What lists show of a conversation changed. Returns whether lines did.
    pub fn change(&mut self, row: &ConversationRow) -> bool {
        let mut moved = false;
        for (place, list) in &mut self.lists {
            moved |= list.change(row, place.lies(row), self.order);
        }
        moved
    }

    pub fn gone(&mut self, id: ConversationId) -> bool {
        let mut moved = false;
        for list in self.lists.values_mut() {
            moved |= list.gone(id);
        }
        moved
    }

    /// A frame was drawn.
    pub fn tick(&mut self) {
        self.frame += 1;
    }

    /// These places of a list are in view (none, when it only begins there): what is missing is asked for.
    pub fn want(&mut self, place: Place, shown: &Range<usize>, folders: &[Folder]) -> Option<Intent> {
        let list = self.lists.entry(place).or_default();
        list.seen = self.frame;
        let part = list.missing(shown)?;
        self.ask(place, part, folders)
    }

    /// How many there are is wanted.
    pub fn want_count(&mut self, place: Place, folders: &[Folder]) -> Option<Intent> {
        let part = self.lists.entry(place).or_default().uncounted()?;
        self.ask(place, part, folders)
    }

    fn ask(&mut self, place: Place, part: Part, folders: &[Folder]) -> Option<Intent> {
        let (shelf, filter) = match place {
            Place::Pinned => (Shelf::Pinned, None),
            Place::Folder(id) => (Shelf::Folder(id), None),
            Place::Loose => (Shelf::Loose, None),
            Place::Archive => (Shelf::Archive, None),
            Place::Bin => (Shelf::Bin, None),
            Place::All => (Shelf::All, None),
            Place::Smart(id) => searching(folders.iter().find(|folder| folder.id == id)?.search.as_deref()?),
            Place::Found => searching(self.filter.as_deref()?),
        };
        self.lists.get_mut(&place)?.asking();
        self.next += 1;
        self.asked.insert(self.next, Asked { place, part, spoiled: false });
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let query = Query::Conversations { shelf, order: self.order, offset: number(part.offset), limit: number(part.limit), filter };
        Some(Intent::Ask { pane: ID, about: self.next, query })
    }

    /// The answer to a question. False: nobody waits for it any more.
    pub fn reply(&mut self, about: u64, window: Option<Window<ConversationRow>>) -> bool {
        let Some(Asked { place, part, spoiled }) = self.asked.remove(&about) else { return false };
        let Some(list) = self.lists.get_mut(&place) else { return false };
        match window {
            _ if spoiled => {
                list.release();
                return false;
            }
            Some(window) => list.take(part, window),
            None => list.fail(),
        }
        self.trim();
        true
    }

    /// Lists that were not in view for longest give way.
    fn trim(&mut self) {
        let mut held: usize = self.lists.values().map(List::held).sum();
        while held > MOST_ROWS {
            let frame = self.frame;
            let far = self.lists.values_mut().filter(|list| list.held() > 0 && list.seen < frame).min_by_key(|list| list.seen);
            let Some(list) = far else { return };
            held -= list.held();
            list.forget();
        }
    }
}

/// The list of a folder.
#[must_use]
pub fn place_of(folder: &Folder) -> Place {
    if folder.search.is_some() { Place::Smart(folder.id) } else { Place::Folder(folder.id) }
}

/// Where a filter looks: what is archived or in the bin is found when it is asked for by name.
fn searching(text: &str) -> (Shelf, Option<String>) {
    // Which days it names makes no difference to where it looks.
    let filter = Filter::parse(text, Subject::Conversations, &Calendar { now: 0, offset: &|_| 0 });
    (filter.shelf(), Some(text.to_owned()))
}

/// Rows of a reply, when it is one.
#[must_use]
pub fn window(reply: Reply) -> Option<Window<ConversationRow>> {
    match reply {
        Reply::Conversations(window) => Some(window),
        _ => None,
    }
}
