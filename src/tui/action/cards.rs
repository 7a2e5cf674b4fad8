//! What you keep about models: favourites, groups, tags, notes, what is hidden or pinned; and saved filters.

use serde_json::Value;

use crate::proto::{CardChange, Command, ModelRef};
use crate::tui::format;
use crate::tui::listing::groups;
use crate::tui::listing::shown;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::labels::{self, Sort};
use crate::tui::overlay::prompt::{Prompt, Question};
use crate::tui::pane::{Call, Intent, table};
use crate::tui::perform;
use crate::tui::text::width::drawable;

use super::models::{acted, subjects};
use super::{Action, Invocation};

/// The models, by name or by number.
fn told(models: &[ModelRef]) -> String {
    match models {
        [one] => shown(one),
        many => format::plural(many.len() as u64, "model"),
    }
}

fn change(model: &mut Model, models: Vec<ModelRef>, change: CardChange, said: String) {
    if model.refuse_offline() {
        return;
    }
    model.post_for(Command::SetCards { models, change }, Waiting::Say(said));
    acted(model);
}

/// Something that is so or not: where any of them lacks it, all get it.
fn toggle(model: &mut Model, call: &Call<'_>, has: fn(&crate::proto::Card) -> bool, make: fn(bool) -> CardChange, words: [&str; 2]) {
    let Some(models) = subjects(model, call) else { return };
    let all = models.iter().all(|reference| model.shared.replica.model(reference).is_some_and(|m| has(&m.card)));
    let said = format!("{} {}.", told(&models), words[usize::from(all)]);
    change(model, models, make(!all), said);
}

/// `f`.
pub fn favourite(model: &mut Model, call: &Call<'_>) {
    toggle(model, call, |card| card.favourite, CardChange::Favourite, ["★", "without ★"]);
}

/// `zh`.
pub fn hide(model: &mut Model, call: &Call<'_>) {
    toggle(model, call, |card| card.hidden, CardChange::Hidden, ["hidden; hidden: in a filter lists them", "shown again"]);
}

/// `!`.
pub fn pin(model: &mut Model, call: &Call<'_>) {
    toggle(model, call, |card| card.pinned, CardChange::Pinned, ["pinned: never proposed to be stopped", "not pinned any more"]);
}

/// `:group add NAME`, `:tag remove NAME`, …
pub fn label(model: &mut Model, sort: Sort, name: &str, on: bool) {
    let name = name.trim().to_owned();
    let call = Call { action: Action::Groups, args: &[], count: None };
    let Some(models) = subjects(model, &call).filter(|_| !name.is_empty()) else { return };
    let what = drawable(&name).into_owned();
    let said = match (sort, on) {
        (Sort::Group, true) => format!("{} in {what} now.", told(&models)),
        (Sort::Group, false) => format!("{} not in {what} any more.", told(&models)),
        (Sort::Tag, true) => format!("{} tagged {what}.", told(&models)),
        (Sort::Tag, false) => format!("{} not tagged {what} any more.", told(&models)),
    };
    change(model, models, sort.change(&name, on), said);
}

/// `a`, `t`: all of them, to put on and take off.
pub fn labels(model: &mut Model, sort: Sort) {
    let call = Call { action: Action::Groups, args: &[], count: None };
    let Some(models) = subjects(model, &call) else { return };
    if model.refuse_offline() {
        return;
    }
    let title = format!("{} of {}", sort.title(), told(&models));
    let overlay = labels::open(sort, title, models);
    acted(model);
    model.push_overlay(overlay);
}

/// `m`, `:note TEXT`.
pub fn note(model: &mut Model, call: &Call<'_>) {
    let named = Call { action: call.action, args: &[], count: None };
    let Some(models) = subjects(model, &named) else { return };
    match call.args.first() {
        Some(text) => {
            let text = text.trim().to_owned();
            let said = if text.is_empty() { "The note is gone.".to_owned() } else { format!("Noted about {}.", told(&models)) };
            change(model, models, CardChange::Note(text), said);
        }
        None => {
            let before = match models.as_slice() {
                [one] => model.shared.replica.model(one).map(|m| m.card.note.clone()).unwrap_or_default(),
                _ => String::new(),
            };
            let hint = "It stands at the model's row and is found by a filter; empty takes it away.".to_owned();
            let question = Question { label: "Note".to_owned(), hint, text: before, free: true };
            let title = format!("A note about {}", told(&models));
            model.push_overlay(Prompt::boxed(title, Invocation::new(Action::Note), vec![question]));
        }
    }
}

// --- saved filters ----------------------------------------------------------------------------------------------------------------

fn store(model: &mut Model, filters: std::collections::BTreeMap<String, String>, said: String) {
    let value: Value = filters.into_iter().map(|(name, text)| (name, Value::from(text))).collect::<serde_json::Map<_, _>>().into();
    model.post_for(Command::SetSetting { key: "filters".to_owned(), value }, Waiting::Say(said));
}

/// `:filter save NAME`.
pub fn filter_save(model: &mut Model, name: &str) {
    let name = name.trim().to_owned();
    let text = model.pane(table::ID).and_then(|pane| pane.filtered()).unwrap_or_default().to_owned();
    if text.is_empty() {
        let key = model.shared.key(super::Scope::Table, Action::Find);
        return model.say(format!("There is no filter to save: {key} begins one."));
    }
    let mut filters = groups::saved(&model.shared);
    let said = format!("{} is saved: {}", drawable(&name), drawable(&text));
    filters.insert(name, text);
    store(model, filters, said);
}

/// `:filter delete NAME`.
pub fn filter_delete(model: &mut Model, name: &str) {
    let mut filters = groups::saved(&model.shared);
    match filters.remove(name.trim()) {
        Some(_) => store(model, filters, format!("The filter {} is deleted; what it found stays.", drawable(name))),
        None => model.say(unknown(name, &filters)),
    }
}

fn unknown(name: &str, filters: &std::collections::BTreeMap<String, String>) -> String {
    let all: Vec<String> = filters.keys().map(|name| drawable(name).into_owned()).collect();
    format!(
        "No filter is saved as {}{}",
        drawable(name),
        if all.is_empty() { ".".to_owned() } else { format!("; there are {}.", all.join(", ")) }
    )
}

/// `gf`, `:filter NAME`.
pub fn filter(model: &mut Model, name: Option<&String>) {
    let filters = groups::saved(&model.shared);
    if let Some(name) = name {
        return match filters.get(name.trim()) {
            Some(text) => take(model, text),
            None => model.say(unknown(name, &filters)),
        };
    }
    if filters.is_empty() {
        let find = model.shared.key(super::Scope::Table, Action::Find);
        let save = model.shared.key(super::Scope::Table, Action::FilterSave);
        return model.say(format!("No filter is saved yet: {find} begins one, {save} saves it."));
    }
    let items = filters
        .into_iter()
        .map(|(name, text)| {
            let args = vec![name.clone()];
            Item::new(drawable(&name), drawable(&text), move || Intent::Call(Invocation { action: Action::Filter, args: args.clone() }))
        })
        .collect();
    model.push_overlay(Box::new(Choose::new("Saved filters", items, 0)));
}

fn take(model: &mut Model, text: &str) {
    model.focus(table::ID);
    let outcome = model.with_pane(table::ID, |pane, cx| pane.filter(Some(text), cx));
    if let Some((_, outcome)) = outcome {
        perform::outcome(model, outcome);
    }
    model.mark_all();
}
