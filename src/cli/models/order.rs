//! `arbour models fav`, `tag`, `group`, `note`, `hide`, `pin` and their opposites; `groups` and `filters`.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::{Value, json};

use super::super::args::Which;
use super::super::context::Context;
use super::super::session::Session;
use super::super::{output, plain};
use super::choose::{self, FILTERS, choose};
use crate::core::cards;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{CardChange, Command, ModelRef};
use crate::sanitise;

/// Changes what is kept about models.
pub(super) async fn set(context: &Context, which: &Which, change: CardChange) -> Result<u8> {
    let mut session = context.session().await?;
    let models = choose(&mut session, which).await?;
    let said = said(&models, &change);
    session.command(Command::SetCards { models, change }).await?;
    // On standard error: it is news, not data.
    let _ = writeln!(std::io::stderr(), "{}", sanitise::line(&said));
    Ok(0)
}

fn said(models: &[ModelRef], change: &CardChange) -> String {
    let (who, are) = match models {
        [one] => (one.to_string(), "is"),
        many => (format!("{} models", many.len()), "are"),
    };
    match change {
        CardChange::Favourite(true) if models.len() == 1 => format!("{who} is a favourite now."),
        CardChange::Favourite(true) => format!("{who} are favourites now."),
        CardChange::Favourite(false) if models.len() == 1 => format!("{who} is no favourite any more."),
        CardChange::Favourite(false) => format!("{who} are no favourites any more."),
        CardChange::Hidden(true) => format!("{who} {are} hidden; `arbour models ls --all` shows them."),
        CardChange::Hidden(false) => format!("{who} {are} listed again."),
        CardChange::Pinned(true) => format!("{who} {are} pinned: never unloaded to make room, nor when idle."),
        CardChange::Pinned(false) => format!("{who} {are} not pinned any more."),
        CardChange::Tag { name, on: true } => format!("{who} {are} tagged {}.", name.trim()),
        CardChange::Tag { name, on: false } => format!("{who} {are} not tagged {} any more.", name.trim()),
        CardChange::Group { name, member: true } => format!("{who} {are} in the group {}.", name.trim()),
        CardChange::Group { name, member: false } => format!("{who} {are} not in the group {} any more.", name.trim()),
        CardChange::Note(text) if text.is_empty() => format!("The note about {who} is gone."),
        _ => format!("Kept for {who}."),
    }
}

/// Notes something about a model, or prints what was noted.
pub(super) async fn note(context: &Context, model: &str, text: Vec<String>) -> Result<u8> {
    let which = Which { models: vec![model.to_owned()], filter: None };
    if !text.is_empty() {
        return set(context, &which, CardChange::Note(text.join(" "))).await;
    }
    let mut session = context.session().await?;
    let models = choose(&mut session, &which).await?;
    let note = models.first().and_then(|model| session.replica.model(model)).map(|model| model.card.note.clone()).unwrap_or_default();
    if !note.is_empty() {
        output::text(&format!("{}\n", sanitise::block(&note)))?;
    }
    Ok(0)
}

/// The groups, with their models and what they point to.
pub(super) async fn groups(context: &Context, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    session.settle(|_| false).await?;
    // A group that only points to templates is one too.
    let mut groups: BTreeMap<String, Vec<ModelRef>> = session.replica.groups.keys().map(|name| (name.clone(), Vec::new())).collect();
    for model in &session.replica.models {
        for group in &model.card.groups {
            let known = groups.keys().find(|known| cards::same(known, group)).cloned();
            groups.entry(known.unwrap_or_else(|| group.clone())).or_default().push(model.reference());
        }
    }
    let pointed = |name: &str| session.replica.groups.get(name).cloned().unwrap_or_default();
    if as_json {
        let group = |(name, models): (&String, &Vec<ModelRef>)| {
            let group = pointed(name);
            let models: Vec<Value> = models.iter().map(|model| json!({ "backend": model.backend, "name": model.model })).collect();
            json!({ "name": name, "models": models, "load": group.load, "request": group.request })
        };
        output::value(&Value::Array(groups.iter().map(group).collect()))?;
    } else if groups.is_empty() {
        let _ = writeln!(std::io::stderr(), "There are no groups yet. Make one: arbour models group NAME MODEL…");
    } else {
        let row = |(name, models): (&String, &Vec<ModelRef>)| {
            let group = pointed(name);
            let or = |template: Option<String>| template.unwrap_or_else(|| plain::UNKNOWN.to_owned());
            let names: Vec<String> = models.iter().map(ToString::to_string).collect();
            vec![name.clone(), models.len().to_string(), or(group.load), or(group.request), names.join(", ")]
        };
        let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
        output::text(&plain::table(&["GROUP", "N", "LOAD", "REQUEST", "MODELS"], &[false, true], &rows))?;
    }
    Ok(0)
}

/// Lists, saves or forgets filters.
pub(super) async fn filters(context: &Context, save: Option<String>, rm: Option<String>, text: &str, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let mut saved: BTreeMap<String, String> = choose::saved(&session).into_iter().collect();
    match (save, rm) {
        (Some(name), _) => {
            let name = cards::name(&name)?;
            choose::filter(&session, text)?;
            saved.retain(|known, _| !cards::same(known, &name));
            saved.insert(name.clone(), text.to_owned());
            store(&mut session, &saved).await?;
            let _ = writeln!(std::io::stderr(), "Saved. Try: arbour models ls {}", sanitise::shell_quote(&format!("@{name}")));
        }
        (None, Some(name)) => {
            let before = saved.len();
            saved.retain(|known, _| !cards::same(known, name.trim()));
            if saved.len() == before {
                return Err(Error::new(Kind::Usage, format!("No filter is saved as {}.", quoted(&name)))
                    .hint("`arbour models filters` lists them."));
            }
            store(&mut session, &saved).await?;
        }
        (None, None) if as_json => {
            output::value(&Value::Array(saved.iter().map(|(name, filter)| json!({ "name": name, "filter": filter })).collect()))?;
        }
        (None, None) if saved.is_empty() => {
            let _ = writeln!(std::io::stderr(), "No filter is saved yet. Save one: arbour models filters --save small 'size:<8G'");
        }
        (None, None) => {
            let rows: Vec<Vec<String>> = saved.iter().map(|(name, filter)| vec![name.clone(), filter.clone()]).collect();
            output::text(&plain::table(&["NAME", "FILTER"], &[], &rows))?;
        }
    }
    Ok(0)
}

async fn store(session: &mut Session, filters: &BTreeMap<String, String>) -> Result<()> {
    let value = filters.iter().map(|(name, text)| (name.clone(), Value::from(text.clone()))).collect::<serde_json::Map<_, _>>().into();
    session.command(Command::SetSetting { key: FILTERS.to_owned(), value }).await?;
    Ok(())
}
