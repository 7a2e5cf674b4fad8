//! The table's cells: a head, the rows in view, a line at the foot about the one under the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Table;
use crate::proto::{JobState, ModelRef, ModelState};
use crate::tui::format;
use crate::tui::listing::groups::Line;
use crate::tui::listing::{Cell, Column, Wide, instance};
use crate::tui::paint::{Row, tint};
use crate::tui::pane::Cx;
use crate::tui::shared::model_state;
use crate::tui::text::width::{drawable, pad, pad_start, truncate, width};
use crate::tui::theme::Role;

/// Columns before the first one: mark, favourite, state.
const BEFORE: u16 = 5;
/// Between two columns.
const GAP: u16 = 2;

/// Below name and state, above everything else.
const TELLING: u8 = 150;

/// A column with the width that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fitted {
    pub column: Column,
    pub columns: u16,
}

impl Table {
    /// The columns that have room, in the order that was chosen. The name has what it needs; the rest gives way, the least important
    /// first, and never in part.
    pub(super) fn fit(&self, room: u16) -> Vec<Fitted> {
        let wide = |column: Column| -> u16 {
            match column.info().wide {
                Wide::Fixed(columns) => columns,
                Wide::Natural(least, most) => {
                    let head = u16::try_from(width(column.info().head)).unwrap_or(most) + 1;
                    self.catalogue.widest(column).clamp(least.max(head.min(most)), most)
                }
            }
        };
        let mut fitted: Vec<Fitted> = self.columns.iter().map(|column| Fitted { column: *column, columns: wide(*column) }).collect();
        // A column in which nothing stands takes no room.
        let empty =
            |f: &Fitted| matches!(f.column, Column::Groups | Column::Tags | Column::Capabilities) && self.catalogue.widest(f.column) == 0;
        fitted.retain(|f| !empty(f));
        let room = room.saturating_sub(BEFORE + 1);
        loop {
            let needed: u16 = fitted.iter().map(|f| f.columns + GAP).sum::<u16>().saturating_sub(GAP);
            if needed <= room || fitted.len() == 1 {
                break;
            }
            // A name longer than half of the room is told at the foot; it drives no column out.
            let least = fitted.iter().enumerate().skip(1).min_by_key(|(_, f)| self.keeps(f.column)).map(|(at, _)| at);
            let over = needed - room;
            let long = fitted[0].columns.saturating_sub((room / 2).max(24));
            if long > 0 {
                fitted[0].columns -= long.min(over);
                continue;
            }
            match least {
                Some(at) => {
                    fitted.remove(at);
                }
                None => break,
            }
        }
        if let [only] = fitted.as_mut_slice() {
            only.columns = room;
        }
        fitted
    }

    /// How long a column stays when room gets short. Where two models share a name, only the backend tells them apart.
    fn keeps(&self, column: Column) -> u8 {
        if column == Column::Backend && self.catalogue.has_twins() { TELLING } else { column.info().keep }
    }

    pub(super) fn draw(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
        if self.lines.is_empty() {
            self.empty(cx, area, buf);
            return;
        }
        let fitted = self.fit(area.width);
        let headed = area.height >= 4;
        let explained = area.height >= 6;
        if headed {
            self.head_row(cx, &fitted, area, buf);
        }
        let top = u16::from(headed);
        let list = Rect { y: area.y + top, height: area.height - top - u16::from(explained), ..area };
        let chosen = cx.model();
        let range = if self.anchor.is_some() { self.range(cx.shared) } else { None };
        let shown = self.rows.show(usize::from(list.height), self.lines.len());
        for (y, at) in shown.enumerate() {
            #[cfg(test)]
            {
                self.drawn += 1;
            }
            let y = u16::try_from(y).unwrap_or(u16::MAX);
            match self.lines[at] {
                Line::Model(model) => self.model_row(cx, &fitted, model, chosen.as_ref(), Row::new(buf, list, y)),
                Line::Head(head) => self.group_row(cx, head, Row::new(buf, list, y)),
            }
            if range.as_ref().is_some_and(|range| range.contains(&at)) {
                tint(buf, list, y, cx.style(Role::SelectionQuiet));
            }
            if at == self.rows.at {
                tint(buf, list, y, cx.style(if cx.focused { Role::Selection } else { Role::SelectionQuiet }));
            }
        }
        if explained {
            Row::new(buf, area, area.height - 1).gap(1).text(&self.detail(cx.shared), cx.style(Role::Quiet));
        }
    }

    fn head_row(&self, cx: &Cx<'_>, fitted: &[Fitted], area: Rect, buf: &mut Buffer) {
        let mut row = Row::new(buf, area, 0);
        row.gap(BEFORE);
        let order = self.catalogue.order();
        for f in fitted {
            let info = f.column.info();
            let sorted = order.by == f.column;
            let mark = match (sorted, order.descending) {
                (true, true) => "▼",
                (true, false) => "▲",
                (false, _) => "",
            };
            let columns = usize::from(f.columns);
            let head = truncate(info.head, columns.saturating_sub(width(mark))).into_owned();
            let text = if info.right { pad_start(&format!("{mark}{head}"), columns) } else { pad(&format!("{head}{mark}"), columns) };
            row.text(&text, cx.style(if sorted { Role::Accent } else { Role::Quiet })).gap(GAP);
        }
    }

    fn model_row(&self, cx: &Cx<'_>, fitted: &[Fitted], at: u32, chosen: Option<&ModelRef>, mut row: Row<'_>) {
        let Some(model) = cx.replica.models.get(at as usize) else { return };
        let reference = model.reference();
        let marked = self.marks.contains(&reference);
        let progress = self.progress.get(&reference).copied();
        let chosen = chosen == Some(&reference);
        let (glyph, role) = if progress == Some(JobState::Running) { model_state(ModelState::Loading) } else { model_state(model.state) };
        row.text(if marked { "◆" } else { " " }, cx.style(Role::Marked));
        row.text(if model.card.favourite { "★" } else { " " }, cx.style(Role::Favourite)).gap(1);
        row.text(glyph, cx.style(role)).gap(1);
        let cell = Cell { model, uses: self.catalogue.uses(at), instance: instance(cx.shared, model) };
        for f in fitted {
            let (text, role) = match (f.column, progress) {
                (Column::State, Some(JobState::Waiting)) => ("waiting".to_owned(), Role::Quiet),
                (Column::State, Some(JobState::Running)) if model.permille.is_none() => ("…".to_owned(), Role::Running),
                _ => f.column.text(&cell, cx.shared),
            };
            let columns = usize::from(f.columns);
            let text = truncate(&text, columns);
            let role = match f.column {
                Column::Name if marked => Role::Marked,
                Column::Name if chosen => Role::Accent,
                Column::Name if model.card.hidden => Role::Quiet,
                _ => role,
            };
            let text = if f.column.info().right { pad_start(&text, columns) } else { pad(&text, columns) };
            row.text(&text, cx.style(role)).gap(GAP);
        }
    }

    fn group_row(&self, cx: &Cx<'_>, at: usize, mut row: Row<'_>) {
        let Some(head) = self.heads.get(at) else { return };
        let quiet = cx.style(Role::Quiet);
        let folded = self.folded.contains(&head.title);
        row.text(if folded { "▸" } else { "▾" }, quiet).gap(1);
        let backend = cx.replica.backends.iter().find(|b| self.grouping == super::Grouping::Backend && b.name == head.title);
        let word = backend.map(|backend| crate::tui::backends::word(backend, cx.shared)).filter(|(_, role)| *role != Role::Quiet);
        row.foreign(&head.title, if head.rest { quiet } else { cx.style(Role::Strong) }).gap(2);
        let bytes = if head.bytes > 0 { format!(" · {}", format::bytes(head.bytes)) } else { String::new() };
        row.text(&format!("{}{bytes}", format::grouped(head.count as u64)), quiet);
        if let Some((word, role)) = word {
            row.gap(2).text(&word, cx.style(role));
        }
    }

    fn empty(&self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
        let quiet = cx.style(Role::Quiet);
        let mut lines = Vec::new();
        match (self.catalogue.filter_text(), cx.attached(), cx.replica.discovered) {
            (_, false, _) => lines.push("Waiting for the host…".to_owned()),
            (Some(text), ..) => {
                lines.push(format!("No model fits {}.", drawable(text)));
                lines.extend(self.catalogue.filter().problems().iter().map(|problem| problem.message.clone()));
                let hidden = cx.replica.models.iter().filter(|m| m.card.hidden).count();
                if hidden > 0 && !self.catalogue.filter().asks_hidden() && !self.catalogue.hidden() {
                    lines.push(format!("{} not looked at; hidden:any looks there too.", format::plural(hidden as u64, "hidden model")));
                }
            }
            (None, true, false) => lines.push("Looking for servers…".to_owned()),
            (None, true, true) if cx.replica.models.is_empty() => lines.push("No models yet.".to_owned()),
            (None, true, true) => lines.push("Every model is hidden.".to_owned()),
        }
        for (y, line) in lines.iter().enumerate() {
            Row::new(buf, area, u16::try_from(y).unwrap_or(u16::MAX)).gap(1).text(line, quiet);
        }
    }
}
