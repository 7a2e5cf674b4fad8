//! Where panes stand: pure arithmetic from an arrangement (data that names panes), a size and what is focused.
//!
//! Owns: size classes, columns, rules between panes, tabs of the small class, neighbours for `C-w h j k l`. Refuses: drawing and
//! knowing what a pane is. Invariant: rectangles never overlap and never leave the screen; the focused pane is always placed.

use std::collections::BTreeSet;

use ratatui::layout::Rect;
use serde::{Deserialize, Serialize};

/// The name of a pane, as the registry and stored arrangements use it.
pub type PaneId = &'static str;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Three columns.
    Wide,
    /// Two: the centre, and the side column that was used last.
    Medium,
    /// One pane at a time under a tab line.
    Small,
    /// Nothing but a sentence that says so.
    TooSmall,
}

impl Class {
    #[must_use]
    pub fn of(width: u16, height: u16) -> Self {
        if width < 40 || height < 12 {
            Self::TooSmall
        } else if width < 80 || height < 24 {
            Self::Small
        } else if width < 120 {
            Self::Medium
        } else {
            Self::Wide
        }
    }
}

/// Which column a pane stands in unless somebody moved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Left,
    Centre,
    Right,
    /// On the right where there are three columns, below the centre where there are two.
    Aside,
}

/// What the layout needs to know of a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    pub id: PaneId,
    pub slot: Slot,
    /// Rows below its title that it needs to be of use.
    pub min: u16,
    /// Share of its column's height against the others; 0: as many rows as it asks for.
    pub weight: u16,
    /// Shown together with the pane before it when there is room for one only (the composer under the chat).
    pub joined: bool,
}

/// A person's arrangement: what is remembered in the setting `layout`. Unknown names are ignored, so it survives other versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrangement {
    /// Columns of the left and the right side, in permille of the width.
    pub left: u16,
    pub right: u16,
    /// Rows added to a pane's share, in permille of its column.
    pub heights: std::collections::BTreeMap<String, i32>,
    pub hidden: BTreeSet<String>,
    pub zoomed: Option<String>,
}

impl Default for Arrangement {
    fn default() -> Self {
        Self { left: 240, right: 220, heights: std::collections::BTreeMap::new(), hidden: BTreeSet::new(), zoomed: None }
    }
}

impl Arrangement {
    /// Makes a side column wider or narrower by `by` permille.
    pub fn widen(&mut self, slot: Slot, by: i32) {
        let change = |permille: &mut u16, by: i32| {
            *permille = u16::try_from((i32::from(*permille) + by).clamp(120, 450)).unwrap_or(*permille);
        };
        match slot {
            Slot::Left => change(&mut self.left, by),
            Slot::Right | Slot::Aside => change(&mut self.right, by),
            Slot::Centre => {
                change(&mut self.left, -by);
                change(&mut self.right, -by);
            }
        }
    }

    /// Gives a pane more or fewer rows of its column, in permille.
    pub fn heighten(&mut self, pane: PaneId, by: i32) {
        let height = self.heights.entry(pane.to_owned()).or_insert(0);
        *height = (*height + by).clamp(-800, 800);
    }
}

/// One placed pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub id: PaneId,
    /// The row for its title, when it has one.
    pub title: Option<Rect>,
    pub area: Rect,
}

/// A rule between two columns: `x`, first and last row, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vertical {
    pub x: u16,
    pub top: u16,
    pub bottom: u16,
}

/// The whole screen, divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub class: Class,
    pub panes: Vec<Place>,
    pub verticals: Vec<Vertical>,
    /// One-row rules; titles are written over them.
    pub rules: Vec<Rect>,
    pub tabs: Option<Rect>,
    pub status: Rect,
}

impl Placed {
    #[must_use]
    pub fn area(&self, id: PaneId) -> Option<Rect> {
        self.panes.iter().find(|place| place.id == id).map(|place| place.area)
    }

    #[must_use]
    pub fn shows(&self, id: PaneId) -> bool {
        self.panes.iter().any(|place| place.id == id)
    }

    /// The pane that `C-w h` and the like lead to: the nearest one whose area lies on that side and shares rows or columns.
    #[must_use]
    pub fn neighbour(&self, from: PaneId, way: Way) -> Option<PaneId> {
        let here = self.area(from)?;
        let middle = (i32::from(here.x) * 2 + i32::from(here.width), i32::from(here.y) * 2 + i32::from(here.height));
        self.panes
            .iter()
            .filter(|place| place.id != from)
            .filter(|place| {
                let there = place.area;
                let rows = there.y < here.bottom() && here.y < there.bottom();
                let columns = there.x < here.right() && here.x < there.right();
                match way {
                    Way::Left => rows && there.right() <= here.x,
                    Way::Right => rows && there.x >= here.right(),
                    Way::Up => columns && there.bottom() <= here.y,
                    Way::Down => columns && there.y >= here.bottom(),
                }
            })
            .min_by_key(|place| {
                let there = place.area;
                let x = i32::from(there.x) * 2 + i32::from(there.width) - middle.0;
                let y = i32::from(there.y) * 2 + i32::from(there.height) - middle.1;
                x * x + y * y
            })
            .map(|place| place.id)
    }
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Left,
    Down,
    Up,
    Right,
}

/// What decides the division, beside the arrangement.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub width: u16,
    pub height: u16,
    pub focus: PaneId,
    /// The side column that was used last, for the medium class.
    pub side: Slot,
    /// Rows that panes of weight 0 ask for.
    pub rows: &'a dyn Fn(PaneId) -> u16,
}

/// A screen of which nothing is known yet.
#[must_use]
pub fn empty() -> Placed {
    Placed { class: Class::TooSmall, panes: Vec::new(), verticals: Vec::new(), rules: Vec::new(), tabs: None, status: Rect::ZERO }
}

/// Divides the screen.
#[must_use]
pub fn place(tiles: &[Tile], arrangement: &Arrangement, ask: Ask<'_>) -> Placed {
    let class = Class::of(ask.width, ask.height);
    let status = Rect::new(0, ask.height.saturating_sub(1), ask.width, 1.min(ask.height));
    let mut placed = Placed { class, panes: Vec::new(), verticals: Vec::new(), rules: Vec::new(), tabs: None, status };
    if class == Class::TooSmall {
        return placed;
    }
    let shown: Vec<Tile> = tiles.iter().filter(|t| !arrangement.hidden.contains(t.id) || t.id == ask.focus).copied().collect();
    if class == Class::Small {
        let tabs = Rect::new(0, 0, ask.width, 1);
        placed.tabs = Some(tabs);
        let body = Rect::new(0, 1, ask.width, ask.height - 2);
        let group = group(&shown, ask.focus);
        stack(&mut placed, &group, body, arrangement, ask, false);
        return placed;
    }
    let body = Rect::new(0, 0, ask.width, ask.height - 1);
    if arrangement.zoomed.as_deref().is_some_and(|zoomed| zoomed == ask.focus || joined(&shown, zoomed, ask.focus)) {
        stack(&mut placed, &group(&shown, ask.focus), body, arrangement, ask, true);
        return placed;
    }
    let of = |slot: Slot| -> Vec<Tile> { shown.iter().filter(|t| t.slot == slot).copied().collect() };
    let (left, mut centre, mut right, aside) = (of(Slot::Left), of(Slot::Centre), of(Slot::Right), of(Slot::Aside));
    if class == Class::Wide {
        right.extend(aside)
    } else {
        centre.extend(aside)
    }
    let side =
        |permille: u16, most: u16| -> u16 { u16::try_from(u32::from(ask.width) * u32::from(permille) / 1000).unwrap_or(0).clamp(22, most) };
    let mut columns: Vec<(Vec<Tile>, u16)> = Vec::new();
    if class == Class::Wide {
        let most = (ask.width - 42) / 2;
        columns.push((left, side(arrangement.left, most)));
        columns.push((centre, 0));
        columns.push((right, side(arrangement.right, most)));
    } else {
        let focused = shown.iter().find(|t| t.id == ask.focus).map_or(Slot::Centre, |t| t.slot);
        let slot = if matches!(focused, Slot::Centre | Slot::Aside) { ask.side } else { focused };
        let tiles = if slot == Slot::Right && !right.is_empty() { right } else { left };
        columns.push((tiles, side(arrangement.left.max(arrangement.right), ask.width - 52)));
        columns.push((centre, 0));
    }
    columns.retain(|(tiles, _)| !tiles.is_empty());
    spread(&mut placed, &columns, body, arrangement, ask);
    placed
}

/// The panes that are shown together when there is room for one: the focused one and what is joined to it.
fn group(shown: &[Tile], focus: PaneId) -> Vec<Tile> {
    let Some(at) = shown.iter().position(|t| t.id == focus) else { return shown.iter().take(1).copied().collect() };
    let first = if shown[at].joined && at > 0 { at - 1 } else { at };
    let mut group = vec![shown[first]];
    if let Some(next) = shown.get(first + 1).filter(|t| t.joined) {
        group.push(*next);
    }
    group
}

fn joined(shown: &[Tile], a: &str, b: PaneId) -> bool {
    group(shown, b).iter().any(|t| t.id == a)
}

fn spread(placed: &mut Placed, columns: &[(Vec<Tile>, u16)], body: Rect, arrangement: &Arrangement, ask: Ask<'_>) {
    let between = u16::try_from(columns.len()).unwrap_or(1) - 1;
    let fixed: u16 = columns.iter().map(|(_, width)| width).sum();
    let rest = body.width.saturating_sub(fixed + between);
    let elastic = columns.iter().filter(|(_, width)| *width == 0).count();
    let mut x = body.x;
    for (i, (tiles, width)) in columns.iter().enumerate() {
        let last = i + 1 == columns.len();
        // Without an elastic column (the centre hidden) the last one takes the rest.
        let width = match *width {
            0 => rest,
            w if last && elastic == 0 => w + rest,
            w => w,
        };
        let width = if last { body.right().saturating_sub(x) } else { width };
        stack(placed, tiles, Rect { x, width, ..body }, arrangement, ask, true);
        x += width;
        if !last {
            placed.verticals.push(Vertical { x, top: body.y, bottom: body.bottom() - 1 });
            x += 1;
        }
    }
}

/// Stacks panes in one column. With `framed`, the first one has a title rule too and a rule closes the column.
fn stack(placed: &mut Placed, tiles: &[Tile], column: Rect, arrangement: &Arrangement, ask: Ask<'_>, framed: bool) {
    if tiles.is_empty() || column.height == 0 {
        return;
    }
    let titles = u16::try_from(tiles.len()).unwrap_or(1) - u16::from(!framed);
    let room = column.height.saturating_sub(titles + u16::from(framed));
    let heights = heights(tiles, room, arrangement, ask);
    let mut y = column.y;
    for (i, (tile, height)) in tiles.iter().zip(heights).enumerate() {
        let title = (framed || i > 0).then_some(Rect { y, height: 1, ..column });
        if let Some(rule) = title {
            placed.rules.push(rule);
            y += 1;
        }
        placed.panes.push(Place { id: tile.id, title, area: Rect { y, height, ..column } });
        y += height;
    }
    if framed {
        placed.rules.push(Rect { y: column.bottom() - 1, height: 1, ..column });
    }
}

/// Rows for each pane of a column: what weight 0 asks for (at most half), the rest by weight.
fn heights(tiles: &[Tile], room: u16, arrangement: &Arrangement, ask: Ask<'_>) -> Vec<u16> {
    let mut out = vec![0u16; tiles.len()];
    let mut left = room;
    for (i, tile) in tiles.iter().enumerate().filter(|(_, t)| t.weight == 0) {
        let most = if tiles.len() == 1 { left } else { (room / 2).max(1) };
        out[i] = (ask.rows)(tile.id).max(tile.min).min(most).min(left);
        left -= out[i];
    }
    let elastic: Vec<usize> = (0..tiles.len()).filter(|i| tiles[*i].weight > 0).collect();
    let weight = |i: usize| -> u32 {
        let extra = arrangement.heights.get(tiles[i].id).copied().unwrap_or(0);
        let base = i32::from(tiles[i].weight) * 100;
        u32::try_from((base + base * extra / 1000).max(10)).unwrap_or(10)
    };
    let total: u32 = elastic.iter().map(|i| weight(*i)).sum();
    let mut given = 0;
    for (n, &i) in elastic.iter().enumerate() {
        let share = u16::try_from(u32::from(left) * weight(i) / total.max(1)).unwrap_or(0);
        out[i] = if n + 1 == elastic.len() { left - given } else { share.max(tiles[i].min).min(left - given) };
        given += out[i];
    }
    out
}

#[cfg(test)]
mod tests;
