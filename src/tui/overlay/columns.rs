//! What a table shows and by what it is ordered: choosers for columns, order and groups.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Overlay;
use super::choose::{Choose, Item};
use crate::tui::action::{Action, Invocation, Scope};
use crate::tui::listing::groups::{GROUPINGS, Grouping};
use crate::tui::listing::{COLUMNS, Column, Order};
use crate::tui::output::Cursor;
use crate::tui::pane::rows::Rows;
use crate::tui::pane::{Call, Cx, Intent, Outcome};
use crate::tui::text::width::pad;
use crate::tui::theme::Role;

/// By which column?
#[must_use]
pub fn sort(order: Order) -> Outcome {
    let items = COLUMNS
        .iter()
        .map(|info| {
            let note = match (order.by == info.column, order.descending) {
                (true, true) => "▼ now; again, the other way round".to_owned(),
                (true, false) => "▲ now; again, the other way round".to_owned(),
                (false, _) => info.about.to_owned(),
            };
            Item::new(info.id, note, move || Intent::Call(Invocation { action: Action::Sort, args: vec![info.id.to_owned()] }))
        })
        .collect();
    let at = COLUMNS.iter().position(|info| info.column == order.by).unwrap_or(0);
    Intent::Overlay(Box::new(Choose::new("Sort by", items, at))).into()
}

/// Under which headings?
#[must_use]
pub fn group(now: Grouping) -> Outcome {
    let items = GROUPINGS
        .iter()
        .map(|(_, word, about)| {
            Item::new(*word, *about, move || Intent::Call(Invocation { action: Action::GroupBy, args: vec![(*word).to_owned()] }))
        })
        .collect();
    let at = GROUPINGS.iter().position(|(grouping, ..)| *grouping == now).unwrap_or(0);
    Intent::Overlay(Box::new(Choose::new("Group by", items, at))).into()
}

/// Which columns, in which order?
#[must_use]
pub fn chooser(shown: &[Column]) -> Box<dyn Overlay> {
    // What is shown comes first, in its order; then the rest.
    let mut items: Vec<(Column, bool)> = shown.iter().map(|column| (*column, true)).collect();
    let rest = COLUMNS.iter().map(|info| info.column).filter(|column| !shown.contains(column));
    items.extend(rest.map(|column| (column, false)));
    Box::new(Columns { items, rows: Rows::default() })
}

struct Columns {
    /// With whether it is shown.
    items: Vec<(Column, bool)>,
    rows: Rows,
}

impl Columns {
    /// The table takes each change at once, so that one sees what one chooses.
    fn told(&self) -> Outcome {
        let words: Vec<&str> = self.items.iter().filter(|(_, shown)| *shown).map(|(column, _)| column.id()).collect();
        Intent::Run(Invocation { action: Action::Columns, args: vec![words.join(" ")] }).into()
    }

    /// Changes places with the one above or below. The name stays the first.
    fn shift(&mut self, down: bool) -> Outcome {
        let at = self.rows.at;
        let to = if down { at + 1 } else { at.wrapping_sub(1) };
        if at == 0 || to == 0 || to >= self.items.len() {
            return Outcome::done();
        }
        self.items.swap(at, to);
        self.rows.at = to;
        self.told()
    }
}

impl Overlay for Columns {
    fn scope(&self) -> Scope {
        Scope::Overlay
    }

    fn title(&self, _cx: &Cx<'_>) -> String {
        "Columns".to_owned()
    }

    fn size(&self, _cx: &Cx<'_>, (width, height): (u16, u16)) -> (u16, u16) {
        let rows = u16::try_from(self.items.len()).unwrap_or(u16::MAX);
        (64.min(width.saturating_sub(4)), rows.min(height.saturating_sub(4)))
    }

    fn act(&mut self, call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        if self.rows.act(call, self.items.len()) {
            return Outcome::done();
        }
        match call.action {
            Action::Mark | Action::Accept | Action::Activate => match self.items.get_mut(self.rows.at) {
                Some((Column::Name, _)) => Outcome::done().say("The name is always shown."),
                Some((_, shown)) => {
                    *shown = !*shown;
                    self.told()
                }
                None => Outcome::done(),
            },
            Action::MoveDown => self.shift(true),
            Action::MoveUp => self.shift(false),
            _ => Outcome::ignored(),
        }
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let items = &self.items;
        super::list(cx, &mut self.rows, area, buf, items.len(), |at, row| {
            let (column, shown) = items[at];
            let info = column.info();
            row.text(if shown { "[x]" } else { "[ ]" }, cx.style(if shown { Role::Accent } else { Role::Quiet })).gap(1);
            row.text(&pad(info.id, 14), cx.style(Role::Text)).text(info.about, cx.style(Role::Quiet));
        });
        None
    }

    fn foot(&self, cx: &Cx<'_>) -> String {
        let key = |action| cx.key(Scope::Overlay, action);
        format!(
            "{} shows or not · {} {} move · {} closes",
            key(Action::Accept),
            key(Action::MoveDown),
            key(Action::MoveUp),
            key(Action::Close)
        )
    }
}
