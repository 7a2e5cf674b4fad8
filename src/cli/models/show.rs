//! `arbour models show`: everything that is known of one model.

use serde_json::Value;

use super::super::context::{Context, report};
use super::super::plain::{self, UNKNOWN};
use super::super::{json, output, session};
use super::find;
use crate::core::filter::state_word as word;
use crate::error::Result;
use crate::proto::{Inspection, ModelInfo, Query, Reply};
use crate::sanitise::line;

pub(super) async fn show(context: &Context, name: &str, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let model = find(&mut session, name).await?;
    let inspection = match session.client.query(Query::Inspect { model: model.reference() }).await {
        Ok(Reply::Inspection(inspection)) => *inspection,
        Ok(_) => return Err(session::misunderstood()),
        // What the list tells is known all the same.
        Err(error) => {
            report(&error);
            Inspection::of(model)
        }
    };
    if as_json {
        output::value(&json::inspection(&inspection))?;
    } else {
        output::text(&text(&inspection))?;
    }
    Ok(0)
}

/// All of it: first what is short, at the end the long texts.
fn text(all: &Inspection) -> String {
    let mut out = rows(&all.model);
    let mut row = |name: &str, value: &str| out.push_str(&format!("{name:<17} {}\n", line(value)));
    if let Some(modified) = &all.modified {
        row("modified", modified);
    }
    if let Some(digest) = &all.digest {
        row("digest", digest);
    }
    for file in &all.files {
        row("file", &format!("{} ({})", file.path, plain::size(file.bytes)));
    }
    if !all.arguments.is_empty() {
        row("started with", &all.arguments.join(" "));
    }
    for (title, pairs) in [("parameters", &all.parameters), ("metadata", &all.metadata)] {
        if pairs.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{title}\n"));
        let width = pairs.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0).min(44);
        for (key, value) in pairs {
            out.push_str(&format!("  {:<width$}  {}\n", line(key), line(value)));
        }
    }
    for (title, text) in [("system", &all.system), ("template", &all.template), ("licence", &all.licence)] {
        let Some(text) = text else { continue };
        out.push_str(&format!("\n{title}\n"));
        for part in text.lines() {
            out.push_str(&format!("  {}\n", line(part)));
        }
    }
    out
}

pub(super) fn print(model: &ModelInfo, as_json: bool) -> Result<()> {
    if as_json { output::value(&json::model(model)) } else { output::text(&rows(model)) }
}

fn rows(model: &ModelInfo) -> String {
    let or = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.to_owned());
    let capabilities = if model.capabilities.is_empty() { UNKNOWN.to_owned() } else { model.capabilities.join(", ") };
    let mut rows = vec![
        ("model", model.name.clone()),
        ("backend", format!("{} ({})", model.backend, model.kind.word())),
        ("state", word(model.state).to_owned()),
        ("size", or(model.size_bytes.map(plain::size))),
        ("quantisation", or(model.quantisation.clone())),
        ("family", or(model.family.clone())),
        ("context", or(model.context.map(|c| format!("{c} tokens")))),
        ("context at most", or(model.context_max.map(|c| format!("{c} tokens")))),
        ("can", capabilities),
        ("memory", or(model.memory_bytes.map(plain::size))),
        ("of that on a GPU", or(model.gpu_bytes.map(plain::size))),
    ];
    if let Some(Value::String(expires)) = model.expires.map(json::time) {
        rows.push(("unloads itself", expires));
    }
    if let Some(error) = &model.error {
        rows.push(("error", error.message.clone()));
    }
    let mut text = String::new();
    for (name, value) in rows {
        text.push_str(&format!("{name:<17} {}\n", line(&value)));
    }
    text
}
