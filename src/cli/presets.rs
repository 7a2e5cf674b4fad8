//! `arbour presets`: list, print, take in, give out, delete.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Presets, PresetsCommand};
use super::context::{Context, report};
use super::session::Session;
use super::{output, plain};
use crate::config::presets;
use crate::core::parameters;
use crate::core::settings::{self, written};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Command, Preset};
use crate::sanitise;

pub async fn run(context: &Context, presets: Presets) -> Result<u8> {
    let all = presets.json;
    match presets.command.unwrap_or(PresetsCommand::Ls { json: all }) {
        PresetsCommand::Ls { json } => list(context, json || all).await,
        PresetsCommand::Show { name, json } => show(context, &name, json || all).await,
        PresetsCommand::Export { names, output } => export(context, &names, output.as_deref()).await,
        PresetsCommand::Import { file, replace, json } => import(context, &file, replace, json || all).await,
        PresetsCommand::Rm { names } => remove(context, &names).await,
    }
}

/// A preset as `--json` shows it; `inherited` are the parameters of those above it.
fn value(preset: &Preset, all: &[Preset]) -> Value {
    let effective = settings::of_preset(all, &preset.name, true);
    json!({
        "name": preset.name,
        "kind": preset.kind.word(),
        "parent": preset.parent,
        "model": preset.model.as_ref().map(ToString::to_string),
        "about": preset.about,
        "system": preset.system,
        "parameters": preset.parameters,
        "effective": effective.parameters(),
        "effective_system": effective.system(),
        "problems": effective.problems,
    })
}

async fn list(context: &Context, as_json: bool) -> Result<u8> {
    let session = context.session().await?;
    let presets = &session.replica.presets;
    if as_json {
        output::value(&presets.iter().map(|preset| value(preset, presets)).collect())?;
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = presets
        .iter()
        .map(|preset| {
            let set = preset.parameters.0.iter().map(|(key, value)| format!("{key} {}", parameters::show(value)));
            let set: Vec<String> = preset.system.as_ref().map(|_| "system prompt".to_owned()).into_iter().chain(set).collect();
            let line = |text: &str| sanitise::line(text).into_owned();
            let what = if preset.about.is_empty() { set.join(", ") } else { preset.about.clone() };
            vec![
                line(&preset.name),
                preset.kind.word().to_owned(),
                preset.parent.as_deref().map_or_else(|| plain::UNKNOWN.to_owned(), line),
                preset.model.as_ref().map_or_else(|| "any".to_owned(), |model| line(&model.to_string())),
                line(&what.chars().take(60).collect::<String>()),
            ]
        })
        .collect();
    if !rows.is_empty() {
        output::text(&plain::table(&["NAME", "KIND", "PARENT", "MODEL", "WHAT"], &[], &rows))?;
    }
    Ok(0)
}

fn find<'a>(session: &'a Session, name: &str) -> Result<&'a Preset> {
    let presets = &session.replica.presets;
    settings::find(presets, name).ok_or_else(|| Error { kind: Kind::Usage, ..settings::no_preset(presets, name) })
}

async fn show(context: &Context, name: &str, as_json: bool) -> Result<u8> {
    let session = context.session().await?;
    let preset = find(&session, name)?;
    let presets = &session.replica.presets;
    if as_json {
        output::value(&value(preset, presets))?;
        return Ok(0);
    }
    let effective = settings::of_preset(presets, &preset.name, true);
    let mut text = presets::write(std::slice::from_ref(preset));
    for problem in &effective.problems {
        text.push_str(&format!("# {problem}\n"));
    }
    let inherited = effective.values.iter().filter(|(key, _)| !preset.parameters.0.contains_key(*key));
    for (key, (value, origin)) in inherited {
        text.push_str(&format!("# {key} = {} ({origin})\n", parameters::show(value)));
    }
    output::text(&sanitise::block(&text))?;
    Ok(0)
}

async fn export(context: &Context, names: &[String], file: Option<&Path>) -> Result<u8> {
    let session = context.session().await?;
    let chosen: Vec<Preset> = match names {
        [] => session.replica.presets.clone(),
        names => names.iter().map(|name| find(&session, name).cloned()).collect::<Result<_>>()?,
    };
    let text = presets::write(&chosen);
    let Some(file) = file else {
        output::text(&text)?;
        return Ok(0);
    };
    let shown = quoted(&file.display().to_string());
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(Kind::File, format!("{shown} is there already; nothing was written.")).hint("Name a new file.")
        }
        _ => Error::new(Kind::File, format!("{shown} cannot be written.")).cause(error),
    };
    let mut made = std::fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    made.write_all(text.as_bytes()).map_err(failed)?;
    Ok(0)
}

async fn import(context: &Context, file: &Path, replace: bool, as_json: bool) -> Result<u8> {
    let presets = match presets::read_file(file, &written) {
        Ok(presets) => presets,
        Err(mut problems) => {
            let last = problems.pop();
            problems.iter().for_each(report);
            return Err(last.unwrap_or_else(|| Error::new(Kind::File, "The file cannot be read.")));
        }
    };
    let mut session = context.session().await?;
    // All are held against what is there before the first is saved.
    let mut known = session.replica.presets.clone();
    let mut saves = Vec::new();
    for preset in presets {
        let was = settings::find(&known, &preset.name).map(|old| old.name.clone());
        if let Some(was) = was.as_ref().filter(|_| !replace) {
            return Err(Error::new(Kind::Usage, format!("There is a preset called {} already; nothing was imported.", quoted(was)))
                .hint("Say --replace to let the file win: the old ones stay in their histories."));
        }
        let preset = settings::checked(&known, preset, was.as_deref())?;
        known.retain(|other| Some(&other.name) != was.as_ref());
        known.push(preset.clone());
        saves.push((preset, was));
    }
    let names: Vec<String> = saves.iter().map(|(preset, _)| preset.name.clone()).collect();
    for (preset, was) in saves {
        session.command(Command::SavePreset { preset, was }).await?;
    }
    if as_json {
        output::value(&json!(names))?;
    } else {
        output::text(&names.iter().map(|name| format!("{}\n", sanitise::line(name))).collect::<String>())?;
    }
    Ok(0)
}

/// Each that can be deleted is; the first refusal is the exit code's.
async fn remove(context: &Context, names: &[String]) -> Result<u8> {
    let mut session = context.session().await?;
    let mut first: Option<Error> = None;
    for name in names {
        let name = find(&session, name).map(|preset| preset.name.clone());
        let result = match name {
            Ok(name) => session.command(Command::DeletePreset { name }).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            report(&error);
            first.get_or_insert(error);
        }
    }
    Ok(first.map_or(0, |error| error.exit_code()))
}
