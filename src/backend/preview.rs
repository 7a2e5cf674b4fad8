//! What would be sent, for people to look at.
//!
//! Owns: the shape of a [`RequestPreview`] and the shell command in it. Refuses: secrets: a key only ever appears by its name.
//! Invariant: pasted into a shell, the command sends that very body.

use serde_json::Value;

use super::failure::Who;
use super::http::ANTHROPIC_VERSION;
use crate::core::parameters;
use crate::proto::{BackendKind, Parameters, RequestPreview};

/// Shows a POST of JSON.
#[must_use]
pub fn post(who: &Who, url: String, body: &Value, notes: Vec<String>) -> RequestPreview {
    let pretty = serde_json::to_string_pretty(body).unwrap_or_default();
    let anthropic = who.kind == BackendKind::Anthropic;
    let mut key = String::new();
    if anthropic {
        key.push_str(&format!(" \\\n  -H 'anthropic-version: {ANTHROPIC_VERSION}'"));
    }
    if who.key.is_some() {
        let before = if anthropic { "x-api-key: " } else { "Authorization: Bearer " };
        key.push_str(&format!(" \\\n  -H \"{before}{}\"", key_name(who.key_origin.as_deref())));
    }
    let curl = format!("curl -N {} \\\n  -H 'Content-Type: application/json'{key} \\\n  -d {}", quote(&url), quote(&pretty));
    RequestPreview { method: "POST".into(), url, body: pretty, curl: Some(curl), notes }
}

/// What a person should know of parameters that are set and not sent.
#[must_use]
pub fn ignored(who: &Who, set: &Parameters) -> Vec<String> {
    let refused = parameters::ignored_by(set, who.kind)
        .into_iter()
        .map(|key| format!("{key} is set and not sent: {} does not take it.", who.kind.word()));
    let mut notes: Vec<String> = refused.collect();
    if who.kind == BackendKind::LlamaServer && set.0.contains_key("keep_alive") {
        notes.push("keep_alive is not sent: arbour itself unloads a router's idle models; a server of one model keeps it.".to_owned());
    }
    notes
}

/// In single quotes, for a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `$NAME` as it is; a key that comes from a command is `$API_KEY`.
fn key_name(origin: Option<&str>) -> String {
    match origin.and_then(|o| o.strip_prefix('$')) {
        Some(name) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => format!("${name}"),
        _ => "$API_KEY".to_owned(),
    }
}
