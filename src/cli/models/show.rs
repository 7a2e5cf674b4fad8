//! `arbour models show`: everything that is known of one model.

use serde_json::Value;

use super::super::context::Context;
use super::super::plain::{self, UNKNOWN};
use super::super::{json, output};
use super::{find, word};
use crate::error::Result;
use crate::proto::ModelInfo;

pub(super) async fn show(context: &Context, name: &str, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let model = find(&mut session, name).await?;
    print(&model, as_json)?;
    Ok(0)
}

pub(super) fn print(model: &ModelInfo, as_json: bool) -> Result<()> {
    if as_json {
        return output::value(&json::model(model));
    }
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
        text.push_str(&format!("{name:<17} {}\n", crate::sanitise::line(&value)));
    }
    output::text(&text)
}
