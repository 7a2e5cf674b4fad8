//! `arbour models ls`.

use serde_json::Value;

use super::super::context::{Context, report};
use super::super::plain::{self, UNKNOWN};
use super::super::session::Session;
use super::super::{json, output};
use super::word;
use crate::error::{Error, Kind, Result};
use crate::proto::{BackendKind, BackendState, ModelInfo};

pub(super) async fn list(context: &Context, filter: Option<&str>, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    session.settle(|_| false).await?;
    let wanted = filter.unwrap_or_default().to_lowercase();
    let mut models: Vec<&ModelInfo> =
        session.replica.models.iter().filter(|m| m.reference().to_string().to_lowercase().contains(&wanted)).collect();
    models.sort_by(|a, b| b.card.favourite.cmp(&a.card.favourite).then_with(|| (&a.backend, &a.name).cmp(&(&b.backend, &b.name))));
    if as_json {
        output::value(&Value::Array(models.iter().map(|m| json::model(m)).collect()))?;
    } else if !models.is_empty() {
        output::text(&listing(&models))?;
    }
    for backend in session.replica.backends.iter().filter(|b| b.state != BackendState::Up) {
        if let Some(error) = &backend.error {
            report(&Error { message: format!("{}: {}", crate::error::harmless(&backend.name), error.message), ..error.clone() });
        }
    }
    if session.replica.models.is_empty() {
        return Err(no_models(&session));
    }
    Ok(0)
}

fn no_models(session: &Session) -> Error {
    let up = session.replica.backends.iter().find(|b| b.state == BackendState::Up && b.kind != BackendKind::Embedded);
    let error = match up {
        Some(backend) => Error::new(Kind::NoModel, format!("{} answers and has no models.", crate::error::harmless(&backend.name))),
        None => Error::new(Kind::NoModel, format!("No model server answers (looked at {}).", looked_at(session))),
    };
    let error = match up.map(|backend| backend.kind) {
        Some(BackendKind::Ollama) => error.hint("Get one there: `ollama pull smollm2:135m`."),
        Some(_) => error.hint("See to it that the server has a model loaded."),
        None => error.hint("Start Ollama or llama-server, or name a server in config.toml."),
    };
    error.hint("`arbour models pull starter` fetches a small model that arbour runs by itself.")
}

fn looked_at(session: &Session) -> String {
    match session.replica.looked_at.as_str() {
        "" => "what is configured".to_owned(),
        ports => crate::error::harmless(ports),
    }
}

fn listing(models: &[&ModelInfo]) -> String {
    let unknown = || UNKNOWN.to_owned();
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|m| {
            vec![
                format!("{}{}", if m.card.favourite { "★ " } else { "" }, m.name),
                m.backend.clone(),
                m.kind.word().to_owned(),
                word(m.state).to_owned(),
                m.size_bytes.map_or_else(unknown, plain::size),
                m.quantisation.clone().unwrap_or_else(unknown),
                m.context.map_or_else(unknown, |c| c.to_string()),
            ]
        })
        .collect();
    let right = [false, false, false, false, true, false, true];
    plain::table(&["MODEL", "BACKEND", "KIND", "STATE", "SIZE", "QUANT", "CONTEXT"], &right, &rows)
}
