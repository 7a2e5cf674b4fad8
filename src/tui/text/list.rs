//! A list of items of different heights, of which only those in view cost anything.
//!
//! Owns: where the view stands. That is an item and a row within it, or "at the end", never an absolute row, so that a changed
//! height, a resize or older items before it leave what is read where it is. Refuses: what the items are and how they are drawn.
//! Invariant: the view never shows rows before the first or, unless it follows by jumps, more than the rows after the last.

/// How the view goes along with the end of the list when that leaves the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// Rows that the view moves at once; 1 moves it with every row.
    pub rows: u16,
}

impl Jump {
    /// With every row.
    pub const SMOOTH: Jump = Jump { rows: 1 };

    /// By up to a third of the pane: a scrolled row repaints the pane, so a slow link pays for one in many rows only.
    #[must_use]
    pub fn for_pane(height: u16) -> Self {
        Self { rows: (height / 3).max(1) }
    }
}

/// Where the view stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    /// The first row shown is this row of that item.
    At { item: usize, row: u32 },
    /// The end is in view. `top` is where the first row was when the end last left the view.
    End { top: Option<(usize, u32)>, jump: Jump },
}

/// An item in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub item: usize,
    /// Rows of it that are above the view.
    pub skip: u32,
    /// Row of the view at which it begins.
    pub y: u16,
    /// Rows of it that are in view.
    pub rows: u16,
}

/// Heights of items, and a view upon them.
#[derive(Debug, Clone)]
pub struct List {
    heights: Vec<u32>,
    known: Vec<bool>,
    /// Fenwick tree over `heights`.
    sums: Vec<u64>,
    anchor: Anchor,
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// An empty list whose view is at its end.
    #[must_use]
    pub fn new() -> Self {
        Self { heights: Vec::new(), known: Vec::new(), sums: Vec::new(), anchor: Anchor::End { top: None, jump: Jump::SMOOTH } }
    }

    /// Other items altogether, with estimated heights. A view at the end stays there; else it goes to the top.
    pub fn reset(&mut self, heights: impl IntoIterator<Item = usize>) {
        self.heights = heights.into_iter().map(rows).collect();
        self.known = vec![false; self.heights.len()];
        self.build();
        self.anchor = match self.anchor {
            Anchor::At { .. } => Anchor::At { item: 0, row: 0 },
            Anchor::End { jump, .. } => Anchor::End { top: None, jump },
        };
    }

    /// Replaces `removed` items at `at` by others with estimated heights; the view stays with the item that it shows.
    pub fn splice(&mut self, at: usize, removed: usize, heights: impl IntoIterator<Item = usize>) {
        let at = at.min(self.heights.len());
        let removed = removed.min(self.heights.len() - at);
        let before = self.heights.len();
        self.heights.splice(at..at + removed, heights.into_iter().map(rows));
        let added = self.heights.len() + removed - before;
        self.known.splice(at..at + removed, std::iter::repeat_n(false, added));
        let last = self.heights.len().saturating_sub(1);
        let moved = |(item, row): (usize, u32)| {
            if item < at {
                (item, row)
            } else if item >= at + removed {
                (item - removed + added, row)
            } else {
                (at.min(last), 0)
            }
        };
        self.anchor = match self.anchor {
            Anchor::At { item, row } => {
                let (item, row) = moved((item, row));
                Anchor::At { item, row }
            }
            Anchor::End { top, jump } => Anchor::End { top: top.map(moved), jump },
        };
        self.build();
    }

    /// One more item at the end, with an estimated height.
    pub fn push(&mut self, height: usize) {
        self.heights.push(rows(height));
        self.known.push(false);
        // The new node of the tree covers the items since its lowest bit.
        let n = self.heights.len();
        let from = n - (n & n.wrapping_neg());
        self.sums.push(self.before(n - 1) - self.before(from) + u64::from(self.heights[n - 1]));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.heights.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heights.is_empty()
    }

    /// Rows of an item, exact or estimated.
    #[must_use]
    pub fn height(&self, item: usize) -> usize {
        self.heights.get(item).map_or(0, |h| *h as usize)
    }

    /// Rows of all items.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.before(self.len())
    }

    /// The exact height of an item. What is in view stays in view.
    pub fn set_height(&mut self, item: usize, height: usize) {
        let height = rows(height);
        let Some(old) = self.heights.get_mut(item) else { return };
        let change = i64::from(height) - i64::from(*old);
        *old = height;
        self.known[item] = true;
        if change != 0 {
            let mut at = item + 1;
            while at <= self.sums.len() {
                self.sums[at - 1] = self.sums[at - 1].saturating_add_signed(change);
                at += at & at.wrapping_neg();
            }
        }
    }

    /// All heights are estimates again: the width changed. The view stays at the same part of the same item.
    pub fn forget_heights(&mut self) {
        self.known.fill(false);
    }

    /// The height of this item alone is an estimate again: its content changed.
    pub fn forget_height(&mut self, item: usize) {
        if let Some(known) = self.known.get_mut(item) {
            *known = false;
        }
    }

    /// Asks for the exact height of every item in view that has only an estimate, until all in view are exact, and brings the view
    /// within bounds. Call it before [`List::visible`], with the pane's height.
    pub fn settle(&mut self, pane: u16, mut measure: impl FnMut(usize) -> usize) {
        let mut rounds = 0;
        loop {
            self.clamp(pane);
            let unknown: Vec<usize> = self.visible(pane).map(|shown| shown.item).filter(|item| !self.known[*item]).collect();
            // A zero-height item could hide others for ever; each round makes at least one item exact, so this ends.
            if unknown.is_empty() || rounds > self.len() {
                break;
            }
            rounds += 1;
            for item in unknown {
                let (old, new) = (self.height(item), measure(item));
                self.set_height(item, new);
                if let Anchor::At { item: anchored, row } = &mut self.anchor
                    && *anchored == item
                    && *row > 0
                    && old > 0
                    && old != new
                {
                    // Keeps the same part of the item at the top.
                    *row = ((u64::from(*row) * new as u64) / old as u64) as u32;
                }
            }
        }
        self.clamp(pane);
    }

    /// The items in view from the top, with their places. Costs what is in view.
    pub fn visible(&self, pane: u16) -> impl Iterator<Item = Shown> + '_ {
        let (mut item, mut skip) = self.top(pane);
        let mut y = 0;
        std::iter::from_fn(move || {
            while y < pane && item < self.heights.len() {
                let left = self.heights[item].saturating_sub(skip);
                if left == 0 && self.known[item] {
                    item += 1;
                    skip = 0;
                    continue;
                }
                let rows = left.min(u32::from(pane - y)) as u16;
                let shown = Shown { item, skip, y, rows };
                y += rows;
                item += 1;
                skip = 0;
                return Some(shown);
            }
            None
        })
    }

    /// The first row in view: an item and a row of it.
    #[must_use]
    pub fn top(&self, pane: u16) -> (usize, u32) {
        match self.anchor {
            Anchor::At { item, row } => (item, row),
            Anchor::End { top, jump } => self.following(top, jump, pane),
        }
    }

    /// Where a view that follows begins: where it did, while the end is in view; else further by a jump.
    fn following(&self, top: Option<(usize, u32)>, jump: Jump, pane: u16) -> (usize, u32) {
        let total = self.total();
        let pane = u64::from(pane);
        let flush = total.saturating_sub(pane);
        let start = match top {
            // Never more than a jump of empty rows at the end, and none when it shrank.
            Some((item, row)) => (self.before(item) + u64::from(row)).min(flush + u64::from(jump.rows.max(1)) - 1),
            None => flush,
        };
        if total <= pane {
            return (0, 0);
        }
        if start + pane >= total {
            return self.locate(start);
        }
        let missing = total - pane - start;
        self.locate((start + missing.max(u64::from(jump.rows))).min(total - 1))
    }

    /// How far the view is: 0 at the top to 100 at the end; `None` when everything is in view.
    #[must_use]
    pub fn percent(&self, pane: u16) -> Option<u8> {
        let hidden = self.total().saturating_sub(u64::from(pane));
        let (item, row) = self.top(pane);
        let above = (self.before(item) + u64::from(row)).min(hidden);
        (hidden > 0).then(|| (above * 100 / hidden) as u8)
    }

    /// Rows below the view.
    #[must_use]
    pub fn below(&self, pane: u16) -> u64 {
        let (item, row) = self.top(pane);
        self.total().saturating_sub(self.before(item) + u64::from(row) + u64::from(pane))
    }

    /// The view goes along with the end.
    #[must_use]
    pub fn is_following(&self) -> bool {
        matches!(self.anchor, Anchor::End { .. })
    }

    /// Goes to the end and stays there, moving by `jump` when the end leaves the view.
    pub fn follow(&mut self, jump: Jump) {
        self.anchor = match self.anchor {
            Anchor::End { top, .. } => Anchor::End { top, jump },
            Anchor::At { .. } => Anchor::End { top: None, jump },
        };
    }

    /// Goes to the end so that the last row is the pane's last.
    pub fn to_end(&mut self) {
        let jump = match self.anchor {
            Anchor::End { jump, .. } => jump,
            Anchor::At { .. } => Jump::SMOOTH,
        };
        self.anchor = Anchor::End { top: None, jump };
    }

    pub fn to_top(&mut self) {
        self.anchor = Anchor::At { item: 0, row: 0 };
    }

    /// Stays where it is when the list grows.
    pub fn stay(&mut self, pane: u16) {
        let (item, row) = self.top(pane);
        self.anchor = Anchor::At { item, row };
    }

    /// Moves by rows; down to the end begins to follow.
    pub fn scroll(&mut self, by: i64, pane: u16) {
        if by == 0 {
            return;
        }
        let (item, row) = self.top(pane);
        let now = self.before(item) + u64::from(row);
        let hidden = self.total().saturating_sub(u64::from(pane));
        let then = now.saturating_add_signed(by);
        if by > 0 && then >= hidden {
            if !self.is_following() {
                self.to_end();
            }
            return;
        }
        let (item, row) = self.locate(then);
        self.anchor = Anchor::At { item, row };
    }

    /// Moves by parts of a pane: `page(1.0)` a page down, `page(-0.5)` half a page up. A page keeps one row in view.
    pub fn page(&mut self, by: f32, pane: u16) {
        let rows = (f32::from(pane.saturating_sub(1).max(1)) * by).round() as i64;
        self.scroll(if rows == 0 { by.signum() as i64 } else { rows }, pane);
    }

    /// Puts the item's first row at the top of the view.
    pub fn to_item(&mut self, item: usize) {
        self.to_row(item, 0);
    }

    /// Puts that row of the item at the top of the view.
    pub fn to_row(&mut self, item: usize, row: u32) {
        self.anchor = Anchor::At { item: item.min(self.len().saturating_sub(1)), row };
    }

    /// Moves as little as possible so that the item is in view: all of it, or its first rows where it is larger than the pane.
    pub fn reveal(&mut self, item: usize, pane: u16) {
        self.reveal_rows(item, 0, self.height(item), pane);
    }

    /// The same for some rows of an item (a code block, a search hit).
    pub fn reveal_rows(&mut self, item: usize, row: usize, height: usize, pane: u16) {
        let start = self.before(item) + row as u64;
        let end = start + height as u64;
        let (top_item, top_row) = self.top(pane);
        let top = self.before(top_item) + u64::from(top_row);
        let pane = u64::from(pane);
        let target = if start < top || end - start >= pane { start } else { top.max(end.saturating_sub(pane)) };
        if target != top {
            let (item, row) = self.locate(target);
            self.anchor = Anchor::At { item, row };
        }
    }

    /// Rows before an item.
    #[must_use]
    pub fn before(&self, item: usize) -> u64 {
        let mut sum = 0;
        let mut at = item.min(self.sums.len());
        while at > 0 {
            sum += self.sums[at - 1];
            at -= at & at.wrapping_neg();
        }
        sum
    }

    /// The item and the row in it at an absolute row. Costs the logarithm of the number of items.
    #[must_use]
    pub fn locate(&self, row: u64) -> (usize, u32) {
        let mut left = row;
        let mut at = 0;
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            if at + step <= self.sums.len() && self.sums[at + step - 1] <= left {
                at += step;
                left -= self.sums[at - 1];
            }
            step /= 2;
        }
        if at >= self.len() {
            let last = self.len().saturating_sub(1);
            return (last, self.heights.last().map_or(0, |h| h.saturating_sub(1)));
        }
        (at, left as u32)
    }

    fn clamp(&mut self, pane: u16) {
        match self.anchor {
            Anchor::At { item, row } => {
                let item = item.min(self.len().saturating_sub(1));
                let start = self.before(item) + u64::from(row.min(self.heights.get(item).map_or(0, |h| h.saturating_sub(1))));
                let hidden = self.total().saturating_sub(u64::from(pane));
                let (item, row) = self.locate(start.min(hidden));
                self.anchor = Anchor::At { item, row };
            }
            Anchor::End { top, jump } => {
                let top = Some(self.following(top, jump, pane));
                self.anchor = Anchor::End { top, jump };
            }
        }
    }

    fn build(&mut self) {
        self.sums = self.heights.iter().map(|h| u64::from(*h)).collect();
        for at in 1..=self.sums.len() {
            let up = at + (at & at.wrapping_neg());
            if up <= self.sums.len() {
                self.sums[up - 1] += self.sums[at - 1];
            }
        }
    }
}

fn rows(height: usize) -> u32 {
    u32::try_from(height).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
