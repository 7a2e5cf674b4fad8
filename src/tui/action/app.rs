//! The screen itself: theme, keymap, suspension, leaving, and what is asked at the first run.

use serde_json::Value;

use super::Action;
use crate::proto::Command;
use crate::tui::keymap;
use crate::tui::model::Model;
use crate::tui::msg::{Cmd, Leave};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::page::Page;
use crate::tui::pane::{Call, Intent, chat};
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// `:theme`: that one, or a list with a live preview.
pub fn theme(model: &mut Model, name: Option<&String>) {
    if let Some(name) = name {
        return take_theme(model, name, true);
    }
    let names: Vec<String> = model.themes.names().into_iter().map(str::to_owned).collect();
    let at = names.iter().position(|name| *name == model.theme_name).unwrap_or(0);
    let items = names
        .into_iter()
        .map(|name| {
            let (keep, try_it) = (name.clone(), name.clone());
            let mut item = Item::new(name, "", move || Intent::Theme { name: keep.clone(), keep: true });
            item.preview = Some(Box::new(move || Intent::Theme { name: try_it.clone(), keep: false }));
            item
        })
        .collect();
    let before = model.theme_name.clone();
    let chooser = Choose::new("Theme", items, at).back(move || Intent::Theme { name: before.clone(), keep: false });
    model.push_overlay(Box::new(chooser));
}

/// Takes a theme on; with `keep` it is remembered.
pub fn take_theme(model: &mut Model, name: &str, keep: bool) {
    let choice = match model.themes.resolve(name, &model.facts) {
        Ok(choice) => choice,
        Err(error) => return model.fail(&error),
    };
    model.shared.theme = choice.theme;
    name.clone_into(&mut model.theme_name);
    if let Some(problem) = choice.problems.first().filter(|_| keep) {
        model.fail(problem);
    }
    if keep {
        if model.choices.theme.as_deref().is_some_and(|chosen| chosen != name) {
            model.say("The configuration names another theme, so this one lasts until the screen closes.");
        }
        remember(model, "theme", Value::from(name));
    }
    model.mark_all();
}

fn remember(model: &mut Model, key: &str, value: Value) {
    if model.shared.is_up() {
        model.post(Command::SetSetting { key: key.to_owned(), value });
    }
}

/// `:keymap`: that one, or a list.
pub fn keymap(model: &mut Model, name: Option<&String>) {
    if let Some(name) = name {
        return take_keymap(model, name, true);
    }
    let names = keymap::names(&model.keymaps);
    let at = names.iter().position(|name| *name == model.shared.keymap.name()).unwrap_or(0);
    let items = names
        .into_iter()
        .map(|name| {
            let about = keymap::load(&name, &model.keymaps, &model.choices.keys).keymap.about().to_owned();
            let take = name.clone();
            Item::new(name, about, move || Intent::Keymap(take.clone()))
        })
        .collect();
    model.push_overlay(Box::new(Choose::new("Keymap", items, at)));
}

/// Takes a keymap on; with `keep` it is remembered.
pub fn take_keymap(model: &mut Model, name: &str, keep: bool) {
    let loaded = keymap::load(name, &model.keymaps, &model.choices.keys);
    let modal = loaded.keymap.modal();
    model.shared.set_keymap(loaded.keymap);
    model.shared.composer.borrow_mut().set_modal(modal);
    model.resolver.reset();
    match loaded.problems.first() {
        Some(problem) => model.fail(problem),
        None if keep => model.say(format!("The keymap is {}.", drawable(name))),
        None => {}
    }
    if keep {
        remember(model, "keymap", Value::from(name));
    }
    model.mark_all();
}

/// What was chosen before, where neither the command line nor the configuration says otherwise.
pub fn take_settings(model: &mut Model) {
    let setting = |key: &str| model.shared.replica.settings.get(key).cloned();
    let (theme, keymap) = (setting("theme"), setting("keymap"));
    if let Some(name) = theme.as_ref().and_then(Value::as_str).filter(|_| model.choices.theme.is_none())
        && name != model.theme_name
    {
        take_theme(model, name, false);
    }
    if let Some(name) = keymap.as_ref().and_then(Value::as_str).filter(|_| model.choices.keymap.is_none())
        && name != model.shared.keymap.name()
    {
        take_keymap(model, name, false);
    }
    super::screens::take_settings(model);
}

/// Asks once which keys, unless the configuration names a keymap or it was asked before.
pub fn first_run(model: &mut Model) {
    let asked = model.choices.keymap.is_some() || model.shared.replica.settings.contains_key("keymap") || model.first_run_asked;
    if asked {
        return;
    }
    model.first_run_asked = true;
    let items = vec![
        Item::new("vim keys", "modes, counts, hjkl: for those who know them", || Intent::Keymap("vim".to_owned())),
        Item::new("plain keys", "arrows, function keys, Ctrl; just type to write", || Intent::Keymap("plain".to_owned())),
    ];
    let chooser = Choose::new("Which keys?", items, 0)
        .intro(&["Everything in arbour is reached from the keyboard. This can be changed at any time with :keymap, and by file."])
        .back(|| Intent::Keymap("vim".to_owned()));
    model.push_overlay(Box::new(chooser));
}

/// Esc where nothing is open: the innermost thing that can end, ends.
pub fn close(model: &mut Model) {
    if model.shared.is_welcome() && model.shared.focus == chat::ID {
        model.shared.view.looked_around = true;
        model.mark_all();
        return;
    }
    let focus = model.shared.focus;
    // What the pane itself has open: a range, marks.
    let call = Call { action: Action::Close, args: &[], count: None };
    if super::run::to_pane(model, focus, &call) {
        return;
    }
    // A filter is open though its line is not.
    if model.pane(focus).is_some_and(|pane| pane.filtered().is_some()) {
        model.with_pane(focus, |pane, cx| pane.filter(None, cx));
        return model.mark_all();
    }
    if !model.shared.needle.text.is_empty() {
        model.shared.needle.text.clear();
        return model.mark_all();
    }
    if focus == chat::ID && (model.shared.view.selected.is_some() || super::talk::goes_on_below(model)) {
        return super::talk::to_last_message(model);
    }
    if model.arrangement.zoomed.is_some() {
        return super::panes::zoom(model);
    }
    let centre = super::panes::centre_of(model);
    if focus != centre {
        model.focus(centre);
    }
}

/// Everything that was said.
pub fn notices(model: &mut Model) {
    let zone = model.shared.zone.clone();
    let now = model.now().wall;
    let mut text: Vec<(String, Role)> = Vec::new();
    for notice in model.notices.log().rev() {
        let role = match notice.level {
            crate::proto::Level::Info => Role::Text,
            crate::proto::Level::Warning => Role::Warning,
            crate::proto::Level::Error => Role::Error,
        };
        text.push((format!("{}  {}", crate::tui::format::clock(notice.at, now, &zone), notice.text), role));
        text.extend(notice.hints.iter().map(|hint| (format!("       {hint}"), Role::Quiet)));
    }
    if text.is_empty() {
        return model.say("Nothing was said yet.");
    }
    model.push_overlay(Box::new(Page::new("What arbour said", text)));
}

pub fn suspend(model: &mut Model) {
    super::talk::save_draft(model);
    model.cmds.push(Cmd::Suspend);
}

/// `:quit`. With answers being written, asks what becomes of them.
pub fn quit(model: &mut Model) {
    let rows = model.shared.replica.rows.values();
    let running: u32 = rows.map(|row| row.running).sum::<u32>().max(u32::from(model.shared.running().is_some()));
    if running == 0 || !model.shared.is_up() {
        return leave(model, Leave::Detach);
    }
    let what = crate::tui::format::plural(u64::from(running), "answer");
    let items = vec![
        Item::new("leave them running", "the host goes on; the next arbour shows them", || Intent::Quit(Leave::Detach)),
        Item::new("stop them", "what came is kept", || Intent::Quit(Leave::StopRuns)),
        Item::new("stay", "", || Intent::Focus(chat::ID)),
    ];
    model.push_overlay(Box::new(Choose::new(format!("{what} being written. Leave how?"), items, 0)));
}

/// Leaves; what was typed is saved first.
pub fn leave(model: &mut Model, how: Leave) {
    super::talk::unstash(model);
    super::talk::save_draft(model);
    super::tree::visited(model);
    if how == Leave::StopRuns {
        let running: Vec<_> = model.shared.replica.rows.values().filter(|row| row.running > 0).map(|row| row.id).collect();
        for conversation in running {
            model.post(Command::Stop { conversation, node: None });
        }
    }
    model.cmds.push(Cmd::Quit(how));
}
