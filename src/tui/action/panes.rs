//! Panes: focus, zoom, hide, resize. The arrangement is remembered.

use super::Action;
use crate::proto::Command;
use crate::tui::layout::{PaneId, Slot, Way};
use crate::tui::model::Model;
use crate::tui::pane::composer;

/// Steps of a resize, in permille.
const STEP: i32 = 20;

/// `Tab`, `S-Tab`: in the order of the screen, hidden panes left out.
pub fn cycle(model: &mut Model, by: isize) {
    let seen = |id: &&PaneId| !model.arrangement.hidden.contains(**id) || **id == model.shared.focus;
    let shown: Vec<PaneId> = model.screen.panes.iter().filter(seen).copied().collect();
    let Some(here) = shown.iter().position(|id| *id == model.shared.focus) else { return };
    let many = isize::try_from(shown.len()).unwrap_or(1).max(1);
    let there = (isize::try_from(here).unwrap_or(0) + by).rem_euclid(many);
    model.focus(shown[usize::try_from(there).unwrap_or(0)]);
}

/// `C-w h` and the like. On a screen with one pane, left and right go through the tabs.
pub fn go(model: &mut Model, way: Way) {
    match model.placed.neighbour(model.shared.focus, way) {
        Some(id) => model.focus(id),
        None if model.placed.tabs.is_some() || model.arrangement.zoomed.is_some() => match way {
            Way::Left | Way::Up => cycle(model, -1),
            Way::Right | Way::Down => cycle(model, 1),
        },
        None => {}
    }
}

/// By name.
pub fn focus(model: &mut Model, name: &str) {
    match find(model, name) {
        Some(composer::ID) => super::talk::write(model),
        Some(id) => model.focus(id),
        None => model.say(unknown(model, name)),
    }
}

fn find(model: &Model, name: &str) -> Option<PaneId> {
    let wanted = name.trim().to_lowercase();
    model.panes.iter().map(|p| p.info().tile.id).find(|id| id.starts_with(&wanted) && !wanted.is_empty())
}

fn unknown(model: &Model, name: &str) -> String {
    let all: Vec<&str> = model.panes.iter().map(|p| p.info().tile.id).collect();
    format!("There is no pane {}; there are {}.", crate::tui::text::width::drawable(name), all.join(", "))
}

/// The pane in the middle of the screen: what Esc leads to.
#[must_use]
pub fn centre_of(model: &Model) -> PaneId {
    let centre = |id: &&PaneId| model.pane(id).is_some_and(|pane| pane.info().tile.slot == Slot::Centre);
    model.screen.panes.iter().find(centre).copied().unwrap_or(model.screen.home)
}

pub fn zoom(model: &mut Model) {
    let focus = model.shared.focus;
    model.arrangement.zoomed = match model.arrangement.zoomed.take() {
        Some(zoomed) if zoomed == focus => None,
        _ => Some(focus.to_owned()),
    };
    keep(model);
}

pub fn hide(model: &mut Model, name: Option<&String>) {
    let id = match name {
        Some(name) => match find(model, name) {
            Some(id) => id,
            None => return model.say(unknown(model, name)),
        },
        None => model.shared.focus,
    };
    let left = model.screen.panes.iter().filter(|id| !model.arrangement.hidden.contains(**id)).count();
    let centre = model.panes.iter().any(|p| p.info().tile.id == id && p.info().tile.slot == Slot::Centre);
    if left <= 1 || centre || !model.screen.has(id) {
        return model.say("What stands in the middle of a screen stays; C-w z gives another pane the whole screen.");
    }
    model.arrangement.hidden.insert(id.to_owned());
    if model.shared.focus == id {
        model.focus(centre_of(model));
    }
    let show = super::Action::PaneShow.info().map_or("show", |info| info.name());
    model.say(format!("Hidden; :{show} {id} brings it back, and so does going there."));
    keep(model);
}

pub fn show(model: &mut Model, name: &str) {
    match find(model, name) {
        Some(id) => {
            model.focus(id);
            model.arrangement.hidden.remove(id);
            keep(model);
        }
        None => model.say(unknown(model, name)),
    }
}

pub fn resize(model: &mut Model, action: Action, times: usize) {
    let by = STEP * i32::try_from(times.min(50)).unwrap_or(1);
    let focus = model.shared.focus;
    let Some(tile) = model.panes.iter().map(|p| p.info().tile).find(|t| t.id == focus) else { return };
    match action {
        Action::PaneWider => model.arrangement.widen(tile.slot, by),
        Action::PaneNarrower => model.arrangement.widen(tile.slot, -by),
        Action::PaneTaller => model.arrangement.heighten(focus, by * 5),
        Action::PaneShorter => model.arrangement.heighten(focus, -by * 5),
        _ => return,
    }
    keep(model);
}

pub fn reset(model: &mut Model) {
    model.arrangement = (model.screen.arrangement)();
    keep(model);
}

fn keep(model: &mut Model) {
    if model.shared.is_up()
        && let Ok(value) = serde_json::to_value(&model.arrangement)
    {
        model.post(Command::SetSetting { key: model.screen.setting(), value });
    }
    model.mark_all();
}
