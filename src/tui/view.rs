//! From the model to cells. Changes nothing but caches.
//!
//! Invariant: only what is marked is drawn again; everything else on the canvas stays as the last view left it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::layout::{Class, Placed};
use super::model::Model;
use super::output::Cursor;
use super::overlay::{self, which_key};
use super::paint::{Row, clear};
use super::pane::{Cx, Title, composer};
use super::status;
use super::theme::Role;
use crate::tui::text::width::width;

/// Draws what is marked, and takes the marks away. Returns where the cursor belongs.
pub fn view(model: &mut Model, canvas: &mut Buffer) -> Option<Cursor> {
    let screen = model.screen();
    if canvas.area != screen {
        *canvas = Buffer::empty(screen);
        model.redraw.all = true;
    }
    let covered = !model.overlays.is_empty() || model.pending.as_ref().is_some_and(|p| p.shown) || has_completions(model);
    let marks = std::mem::take(&mut model.redraw);
    // What lies under an overlay shows through around it, so both are drawn.
    let all = marks.all || covered;
    if all {
        clear(canvas, screen, model.shared.style(Role::Text));
    }
    if model.placed.class == Class::TooSmall {
        too_small(model, screen, canvas);
        return None;
    }
    let mut cursor = model.cursor.filter(|_| !all);
    if all {
        rules(model, canvas);
    }
    for at in 0..model.panes.len() {
        let id = model.panes[at].info().tile.id;
        let Some(place) = model.placed.panes.iter().find(|p| p.id == id).copied() else { continue };
        let drawn = all || marks.panes & (1 << at) != 0;
        if !drawn {
            continue;
        }
        if !all {
            clear(canvas, place.area, model.shared.style(Role::Text));
        }
        let told = model.with_pane(id, |pane, cx| {
            let cursor = pane.view(cx, place.area, canvas);
            // Its title counts what the view has just brought up to date.
            if let Some(rule) = place.title {
                let title = pane.title(cx);
                draw_title(cx, &title, id, rule, canvas);
            }
            cursor
        });
        if id == composer::ID {
            cursor = told.flatten();
        }
    }
    if let Some(tabs) = model.placed.tabs.filter(|_| all || marks.panes != 0) {
        draw_tabs(model, tabs, canvas);
    }
    if all || marks.status {
        let area = model.placed.status;
        cursor = status::draw(model, area, canvas).or(cursor);
    }
    if model.typing.is_some() {
        draw_completions(model, screen, canvas);
    } else if let Some(told) = draw_overlays(model, screen, canvas) {
        cursor = told;
    }
    if let Some(pending) = model.pending.as_ref().filter(|p| p.shown) {
        which_key::draw(&Cx { shared: &model.shared, focused: true }, &pending.keys, &pending.next, screen, canvas);
    }
    model.cursor = cursor;
    cursor
}

/// Every overlay, the lowest first. The cursor belongs to the one on top.
fn draw_overlays(model: &mut Model, screen: Rect, canvas: &mut Buffer) -> Option<Option<Cursor>> {
    if model.overlays.is_empty() {
        return None;
    }
    let cx = Cx { shared: &model.shared, focused: true };
    let mut cursor = None;
    for overlay in &mut model.overlays {
        let room = (screen.width, screen.height);
        let rect = overlay::place(screen, overlay.size(&cx, room));
        let inner = overlay::frame(&cx, rect, &overlay.title(&cx), canvas);
        cursor = overlay.view(&cx, inner, canvas);
        overlay::foot(&cx, rect, &overlay.foot(&cx), canvas);
    }
    Some(cursor)
}

fn has_completions(model: &Model) -> bool {
    model.line().is_some_and(|line| line.round().is_some())
}

/// What the `:` line can be completed with, above it.
fn draw_completions(model: &Model, screen: Rect, canvas: &mut Buffer) {
    let Some((items, at)) = model.line().and_then(|line| line.round()) else { return };
    if items.is_empty() || screen.height < 6 {
        return;
    }
    let at = at.unwrap_or(items.len() - 1);
    let rows = items.len().min(10);
    let widest =
        items.iter().map(|item| width(&item.text) + if item.about.is_empty() { 0 } else { width(&item.about) + 2 }).max().unwrap_or(10);
    let columns = u16::try_from(widest + 4).unwrap_or(u16::MAX).min(screen.width);
    let rows16 = u16::try_from(rows).unwrap_or(10);
    let rect = Rect { x: screen.x, y: screen.bottom().saturating_sub(rows16 + 3), width: columns, height: rows16 + 2 };
    let cx = Cx { shared: &model.shared, focused: true };
    let inner = overlay::frame(&cx, rect, "", canvas);
    let first = (at + 1).saturating_sub(rows);
    for (y, item) in items.iter().skip(first).take(rows).enumerate() {
        let y16 = u16::try_from(y).unwrap_or(0);
        Row::new(canvas, inner, y16).foreign(&item.text, cx.style(Role::Text)).gap(2).foreign(&item.about, cx.style(Role::Quiet));
        if first + y == at {
            super::paint::tint(canvas, inner, y16, cx.style(Role::Selection));
        }
    }
}

/// Rules between panes, with joints where they meet.
fn rules(model: &Model, canvas: &mut Buffer) {
    let style = model.shared.style(Role::Rule);
    for rule in &model.placed.rules {
        Row::new(canvas, *rule, 0).fill("─", style);
    }
    let placed = &model.placed;
    for vertical in &placed.verticals {
        for y in vertical.top..=vertical.bottom {
            if let Some(cell) = canvas.cell_mut((vertical.x, y)) {
                cell.set_symbol(joint(placed, vertical.x, y, vertical.top, vertical.bottom)).set_style(style);
            }
        }
    }
}

fn joint(placed: &Placed, x: u16, y: u16, top: u16, bottom: u16) -> &'static str {
    let rule_at = |x: u16| placed.rules.iter().any(|r| r.y == y && (r.x..r.right()).contains(&x));
    let left = x > 0 && rule_at(x - 1);
    let right = rule_at(x + 1);
    match (left, right, y > top, y < bottom) {
        (true, true, false, _) => "┬",
        (true, true, true, false) => "┴",
        (true, true, true, true) => "┼",
        (true, false, false, _) => "┐",
        (true, false, true, false) => "┘",
        (true, false, true, true) => "┤",
        (false, true, false, _) => "┌",
        (false, true, true, false) => "└",
        (false, true, true, true) => "├",
        (false, false, ..) => "│",
    }
}

/// A pane's title in its rule.
fn draw_title(cx: &Cx<'_>, title: &Title, id: &str, rule: Rect, canvas: &mut Buffer) {
    let line = cx.style(if cx.focused { Role::RuleFocused } else { Role::Rule });
    let mut row = Row::new(canvas, rule, 0);
    row.text("─", line);
    if id == composer::ID && !cx.focused {
        row.text("─", line);
    }
    row.gap(0).text(" ", line);
    let name = cx.style(if cx.focused { Role::TitleFocused } else { Role::Title });
    // The right end: a closing stroke, the figure before it.
    let mut tail = String::new();
    if !title.right.is_empty() && width(&title.right) + 12 <= row.left() {
        tail.push_str(&title.right);
    }
    let room = row.left().saturating_sub(if tail.is_empty() { 2 } else { width(&tail) + 4 });
    let left = crate::tui::text::width::truncate(&title.left, room);
    row.text(&left, name);
    if !title.note.is_empty() && width(&left) + width(&title.note) < room {
        row.text(" ", line).text(&title.note, cx.style(Role::Accent));
    }
    row.text(" ", line);
    if tail.is_empty() {
        row.fill("─", line);
        return;
    }
    let fill = row.left().saturating_sub(width(&tail) + 3);
    row.text(&"─".repeat(fill), line).text(" ", line);
    let over = id == composer::ID && composer::usage(cx.shared).1;
    row.text(&tail, cx.style(if over { Role::Warning } else { Role::Quiet })).text(" ", line).fill("─", line);
}

/// The tab line of small screens.
fn draw_tabs(model: &Model, area: Rect, canvas: &mut Buffer) {
    clear(canvas, area, model.shared.style(Role::Text));
    let quiet = model.shared.style(Role::Quiet);
    let mut row = Row::new(canvas, area, 0);
    let running: u32 = model.shared.replica.rows.values().map(|r| r.running).sum();
    let unread = model.shared.replica.rows.values().filter(|r| r.unread).count();
    let mut marks = String::new();
    if running > 0 {
        marks.push_str(&format!("▸{running}"));
    }
    if unread > 0 {
        marks.push_str(&format!("{}•{unread}", if marks.is_empty() { "" } else { " " }));
    }
    row.right(&marks, model.shared.style(Role::Unread), 30);
    row.gap(1);
    let focus = model.shared.focus;
    let panes: Vec<_> = model.screen.panes.iter().filter_map(|id| model.pane(id)).collect();
    let last = panes.len();
    for (at, pane) in panes.iter().enumerate() {
        let info = pane.info();
        if info.tab.is_empty() {
            continue;
        }
        let joined = panes.get(at + 1).is_some_and(|next| next.info().tile.joined && next.info().tile.id == focus);
        if info.tile.id == focus || joined {
            row.text(&format!("[{}]", info.tab), model.shared.style(Role::TitleFocused));
        } else {
            row.text(info.tab, quiet);
        }
        if at + 1 < last {
            row.gap(if area.width < 50 { 1 } else { 2 });
        }
    }
}

fn too_small(model: &Model, screen: Rect, canvas: &mut Buffer) {
    let text = format!("arbour needs 40 columns and 12 rows; this terminal has {} and {}.", screen.width, screen.height);
    for (y, line) in super::paint::wrap(&text, usize::from(screen.width)).iter().enumerate() {
        Row::new(canvas, screen, u16::try_from(y).unwrap_or(u16::MAX)).text(line, model.shared.style(Role::Text));
    }
}
