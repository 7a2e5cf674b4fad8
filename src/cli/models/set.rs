//! `arbour models set`: what holds for a model, and where it comes from.

use serde_json::{Map, Value, json};

use super::find;
use crate::cli::context::Context;
use crate::cli::session::misunderstood;
use crate::cli::{output, plain};
use crate::core::parameters;
use crate::core::settings::{self, Effective, Own, Sources};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{CardChange, Command, ModelInfo, ModelRef, Query, Reply, Subject};

/// What is to be changed.
pub(super) struct Changes {
    /// `KEY=VALUE`; an empty value goes back to what lies below.
    pub set: Vec<String>,
    /// Names of templates and of a preset; empty: none.
    pub load: Option<String>,
    pub request: Option<String>,
    pub preset: Option<String>,
}

pub(super) async fn set(context: &Context, name: &str, changes: Changes, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let model = find(&mut session, name).await?.reference();
    let mut values = Vec::new();
    for option in &changes.set {
        let (key, text) = option.split_once('=').ok_or_else(|| {
            Error::new(Kind::Usage, format!("{} says no value.", quoted(option)))
                .hint("Write KEY=VALUE, as temperature=0.2; KEY= goes back to the default.")
        })?;
        values.push((key.trim().to_owned(), parameters::parse(key.trim(), text)?));
    }
    let named = |name: String| Some(name).filter(|name| !name.trim().is_empty());
    let pointed = [
        changes.load.map(|name| CardChange::Load(named(name))),
        changes.request.map(|name| CardChange::Request(named(name))),
        changes.preset.map(|name| CardChange::Preset(named(name))),
    ];
    for change in pointed.into_iter().flatten() {
        session.command(Command::SetCards { models: vec![model.clone()], change }).await?;
    }
    if !values.is_empty() {
        session.command(Command::SetParameters { subject: Subject::Model(model.clone()), changes: values }).await?;
    }
    let Reply::Snapshot(snapshot) = session.client.query(Query::Snapshot).await? else { return Err(misunderstood()) };
    session.replica.restore(*snapshot);
    let info = super::known(&session, &model)?;
    let sources = Sources { presets: &session.replica.presets, groups: &session.replica.groups, model: Some((&model, &info.card)) };
    let effective = settings::effective(sources, Own { preset: info.card.preset.as_deref(), ..Own::default() });
    show(&model, &info, &effective, as_json)
}

fn show(model: &ModelRef, info: &ModelInfo, effective: &Effective, as_json: bool) -> Result<u8> {
    let facts = parameters::Facts { kind: Some(info.kind), context: info.context, context_max: info.context_max };
    let problems = parameters::problems(&effective.parameters(), facts).into_iter().map(|problem| problem.text);
    let problems: Vec<String> = effective.problems.iter().cloned().chain(problems).collect();
    if as_json {
        let values: Map<String, Value> = effective
            .values
            .iter()
            .map(|(key, (value, origin))| (key.clone(), json!({ "value": value, "origin": origin.to_string() })))
            .collect();
        let card = &info.card;
        output::value(&json!({
            "model": model.to_string(),
            "settings": values,
            "system": effective.system(),
            "own": card.parameters,
            "load": card.load,
            "request": card.request,
            "preset": card.preset,
            "problems": problems,
        }))?;
        return Ok(0);
    }
    let line = |text: &str| crate::sanitise::line(text).into_owned();
    let rows: Vec<Vec<String>> = effective
        .values
        .iter()
        .map(|(key, (value, origin))| vec![line(key), line(&parameters::show(value)), line(&origin.to_string())])
        .collect();
    let mut text = if rows.is_empty() {
        format!("{}: everything is at its default.\n", line(&model.to_string()))
    } else {
        plain::table(&["PARAMETER", "VALUE", "FROM"], &[], &rows)
    };
    for problem in problems {
        text.push_str(&format!("! {}\n", line(&problem)));
    }
    output::text(&text)?;
    Ok(0)
}
