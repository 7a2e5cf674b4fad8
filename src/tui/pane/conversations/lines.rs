//! What stands on which line: folders in their tree, the rows under each, archive and bin.
//!
//! Invariant: a shelf of any length is one [`Segment`], so that making and asking the lines costs what there are folders, not
//! conversations.

use std::collections::{BTreeMap, BTreeSet};

use super::shelves::{Place, Shelves, place_of};
use crate::proto::{Folder, FolderId};

/// Deeper folders are not drawn further to the right.
const DEEPEST: u16 = 12;

/// What a run of lines is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Folder(FolderId),
    Archive,
    Bin,
    Rows(Place),
}

/// Lines that belong together: one head, or the rows of a shelf (perhaps none).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub start: usize,
    pub len: usize,
    pub depth: u16,
    pub what: What,
}

/// What stands on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Head(What),
    Row(Place, usize),
}

/// What a folder's head tells: of it and all folders within it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub count: usize,
    pub unread: usize,
}

#[derive(Debug, Default)]
pub struct Lines {
    segments: Vec<Segment>,
    sums: BTreeMap<FolderId, Sum>,
    len: usize,
}

impl Lines {
    /// What a filter found.
    pub fn found(shelves: &Shelves) -> Self {
        let mut lines = Self::default();
        lines.push(What::Rows(Place::Found), shelves.total(Place::Found).unwrap_or(0), 0);
        lines
    }

    /// The whole pane. `toggled` are the folds that are not as they are at first: folders are open, everything else is folded.
    pub fn all(shelves: &Shelves, folders: &[Folder], toggled: &BTreeSet<String>) -> Self {
        let mut lines = Self::default();
        let total = |place: Place| shelves.total(place).unwrap_or(0);
        lines.push(What::Rows(Place::Pinned), total(Place::Pinned), 0);
        lines.folders(shelves, folders, toggled);
        lines.push(What::Rows(Place::Loose), total(Place::Loose), 0);
        for (head, place) in [(What::Archive, Place::Archive), (What::Bin, Place::Bin)] {
            if total(place) > 0 {
                lines.push(head, 1, 0);
                if is_open(head, false, toggled) {
                    lines.push(What::Rows(place), total(place), 1);
                }
            }
        }
        lines
    }

    fn folders(&mut self, shelves: &Shelves, folders: &[Folder], toggled: &BTreeSet<String>) {
        let there: BTreeSet<FolderId> = folders.iter().map(|folder| folder.id).collect();
        let mut below: BTreeMap<Option<FolderId>, Vec<&Folder>> = BTreeMap::new();
        for folder in folders {
            below.entry(folder.parent.filter(|id| there.contains(id))).or_default().push(folder);
        }
        // Plain ones first, then by name.
        for children in below.values_mut() {
            children.sort_by_cached_key(|folder| (folder.search.is_some(), folder.name.to_lowercase(), folder.id));
        }
        let children = |of: Option<FolderId>| below.get(&of).map_or(&[][..], Vec::as_slice);
        // Sums of a folder and all below it: children stand behind their parents in `order`.
        let mut order: Vec<&Folder> = Vec::with_capacity(folders.len());
        let mut stack: Vec<&Folder> = children(None).iter().rev().copied().collect();
        while let Some(folder) = stack.pop() {
            order.push(folder);
            stack.extend(children(Some(folder.id)).iter().rev());
        }
        for folder in order.iter().rev() {
            let place = place_of(folder);
            let own = match place {
                Place::Smart(_) => shelves.total(place).unwrap_or(0),
                _ => folder.count as usize,
            };
            let mut sum = Sum { count: own, unread: folder.unread as usize };
            for child in children(Some(folder.id)).iter().filter(|child| child.search.is_none()) {
                let below = self.sums.get(&child.id).copied().unwrap_or_default();
                sum.count += below.count;
                sum.unread += below.unread;
            }
            self.sums.insert(folder.id, sum);
        }
        enum Step<'a> {
            Folder(&'a Folder, u16),
            Rows(Place, usize, u16),
        }
        let mut steps: Vec<Step<'_>> = children(None).iter().rev().map(|folder| Step::Folder(folder, 0)).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Rows(place, total, depth) => self.push(What::Rows(place), total, depth),
                Step::Folder(folder, depth) => {
                    let head = What::Folder(folder.id);
                    self.push(head, 1, depth);
                    if is_open(head, folder.search.is_some(), toggled) {
                        let place = place_of(folder);
                        let known = shelves.total(place);
                        let total = if folder.search.is_some() { known.unwrap_or(0) } else { known.unwrap_or(folder.count as usize) };
                        let deeper = (depth + 1).min(DEEPEST);
                        steps.push(Step::Rows(place, total, deeper));
                        steps.extend(children(Some(folder.id)).iter().rev().map(|child| Step::Folder(child, deeper)));
                    }
                }
            }
        }
    }

    fn push(&mut self, what: What, len: usize, depth: u16) {
        self.segments.push(Segment { start: self.len, len, depth, what });
        self.len += len;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    #[must_use]
    pub fn sum(&self, folder: FolderId) -> Sum {
        self.sums.get(&folder).copied().unwrap_or_default()
    }

    /// The run of lines that a line belongs to.
    #[must_use]
    pub fn segment(&self, line: usize) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.start <= line);
        self.segments[..after].iter().rev().find(|segment| line < segment.start + segment.len)
    }

    #[must_use]
    pub fn get(&self, line: usize) -> Option<Line> {
        let segment = self.segment(line)?;
        Some(match segment.what {
            What::Rows(place) => Line::Row(place, line - segment.start),
            head => Line::Head(head),
        })
    }

    /// The line on which a list begins, when it is unfolded.
    #[must_use]
    pub fn start(&self, what: What) -> Option<usize> {
        self.segments.iter().find(|segment| segment.what == what).map(|segment| segment.start)
    }

    /// The head that a line stands under: of a row its folder, of a folder the one above it.
    #[must_use]
    pub fn above(&self, line: usize) -> Option<usize> {
        let depth = self.segment(line)?.depth;
        let after = self.segments.partition_point(|segment| segment.start < line);
        let head = |segment: &&Segment| segment.depth < depth && !matches!(segment.what, What::Rows(_));
        self.segments[..after].iter().rev().find(head).map(|segment| segment.start)
    }
}

/// Under which word a fold is remembered.
#[must_use]
pub fn word(head: What) -> Option<String> {
    match head {
        What::Folder(id) => Some(id.to_string()),
        What::Archive => Some("archive".to_owned()),
        What::Bin => Some("bin".to_owned()),
        What::Rows(_) => None,
    }
}

/// Whether what a head stands for is shown below it.
#[must_use]
pub fn is_open(head: What, smart: bool, toggled: &BTreeSet<String>) -> bool {
    let at_first = matches!(head, What::Folder(_)) && !smart;
    at_first != word(head).is_some_and(|word| toggled.contains(&word))
}
