//! Screens: going from one to another. Which one, and how its panes stand, is remembered.

use serde_json::Value;

use crate::proto::{Command, Query};
use crate::tui::layout::Arrangement;
use crate::tui::model::{Model, Waiting};
use crate::tui::screen::{self, SCREENS, ScreenInfo};
use crate::tui::text::width::drawable;

/// `g1`, `g2`…, `:screen NAME`.
pub fn go(model: &mut Model, name: &str) {
    match screen::named(name) {
        Some(screen) => show(model, screen),
        None => {
            let all: Vec<&str> = SCREENS.iter().map(|screen| screen.id).collect();
            model.say(format!("There is no screen {}; there are {}.", drawable(name), all.join(", ")));
        }
    }
}

/// `gt`, and `2gt` as in vim.
pub fn next(model: &mut Model, count: Option<u32>) {
    match count {
        Some(number) => go(model, &number.to_string()),
        None => cycle(model, 1),
    }
}

/// `gT`.
pub fn cycle(model: &mut Model, by: isize) {
    let Some(here) = SCREENS.iter().position(|screen| screen.is(model.screen.id)) else { return };
    let many = isize::try_from(SCREENS.len()).unwrap_or(1);
    let there = (isize::try_from(here).unwrap_or(0) + by).rem_euclid(many);
    if let Some(screen) = usize::try_from(there).ok().and_then(|there| SCREENS.get(there)) {
        show(model, screen);
    }
}

fn show(model: &mut Model, screen: &'static ScreenInfo) {
    if screen.is(model.screen.id) {
        return;
    }
    let focus = model.focus_of(screen);
    model.focus(focus);
}

/// Another screen came into view, by whatever way.
pub fn entered(model: &mut Model) {
    if !model.shared.is_up() {
        return;
    }
    let shown = model.screen.id;
    let remembered = model.shared.replica.settings.get("screen").and_then(Value::as_str);
    let known = remembered.unwrap_or(screen::workspace::SCREEN.id) == shown;
    model.entered = shown;
    if !known {
        model.post(Command::SetSetting { key: "screen".to_owned(), value: Value::from(shown) });
    }
    if screen::models::SCREEN.is(shown) {
        model.ask(Query::Uses, Waiting::Uses);
    }
}

/// What was remembered of screens.
pub fn take_settings(model: &mut Model) {
    let setting = |key: &str| model.shared.replica.settings.get(key).cloned();
    let arrangement = |screen: &ScreenInfo| setting(&screen.setting()).and_then(|value| serde_json::from_value::<Arrangement>(value).ok());
    let found: Vec<_> = SCREENS.iter().filter_map(|screen| Some((*screen, arrangement(screen)?))).collect();
    let shown = setting("screen").and_then(|value| value.as_str().and_then(screen::named));
    for (screen, arrangement) in found {
        if screen.is(model.screen.id) {
            model.arrangement = arrangement;
        } else {
            model.parked.insert(screen.id, (arrangement, screen.home));
        }
    }
    if let Some(screen) = shown {
        show(model, screen);
    }
}
