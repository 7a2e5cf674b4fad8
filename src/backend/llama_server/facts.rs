//! What llama-server tells of its models. Pure.

use serde_json::Value;

use crate::error::{Error, Kind, quoted};
use crate::proto::{BackendKind, ModelInfo, ModelState};

/// One entry of `/v1/models`, with the properties of the server (which are the loaded model's, unless it is a router).
#[must_use]
pub fn model(backend: &str, entry: &Value, props: Option<&Value>) -> Option<ModelInfo> {
    let name = entry.get("id").or_else(|| entry.get("name")).and_then(Value::as_str)?;
    let mut info = ModelInfo::named(backend, BackendKind::LlamaServer, name);
    let status = entry.get("status");
    let meta = entry.get("meta");
    let number = |key: &str| meta.and_then(|m| m.get(key)).and_then(Value::as_u64);
    info.state = state(status);
    if info.state == ModelState::Failed {
        info.error =
            Some(Error::new(Kind::Server, format!("{} could not be loaded.", quoted(name))).hint("The server's own log says why."));
    }
    info.size_bytes = number("size");
    info.quantisation = meta.and_then(|m| m.get("ftype")).and_then(Value::as_str).map(str::to_owned);
    info.context_max = number("n_ctx_train").and_then(tokens);
    info.context = number("n_ctx").and_then(tokens).or_else(|| configured_context(status));
    info.capabilities.push("completion".to_owned());
    // A router's properties are its own, not a model's.
    if let Some(props) = props.filter(|_| status.is_none()) {
        let context = props.get("default_generation_settings").and_then(|s| s.get("n_ctx")).and_then(Value::as_u64).and_then(tokens);
        // What one conversation gets: the whole context divided among the slots.
        info.context = context.or(info.context);
        if info.quantisation.is_none() {
            info.quantisation = props.get("model_ftype").and_then(Value::as_str).map(str::to_owned);
        }
        if props.get("is_sleeping").and_then(Value::as_bool) == Some(true) {
            info.state = ModelState::Sleeping;
        }
        info.capabilities.extend(capabilities(props).into_iter().map(str::to_owned));
    }
    Some(info)
}

/// Whether an entry is the model of this name.
#[must_use]
pub fn is_called(entry: &Value, name: &str) -> bool {
    let is = |value: Option<&Value>| value.and_then(Value::as_str) == Some(name);
    let aliases = entry.get("aliases").and_then(Value::as_array).into_iter().flatten();
    is(entry.get("id")) || is(entry.get("name")) || aliases.into_iter().any(|alias| is(Some(alias)))
}

fn state(status: Option<&Value>) -> ModelState {
    // Only a router tells; the model of any other server is loaded when the server answers.
    let Some(status) = status else { return ModelState::Loaded };
    if status.get("failed").and_then(Value::as_bool) == Some(true) {
        return ModelState::Failed;
    }
    match status.get("value").and_then(Value::as_str) {
        Some("loaded") => ModelState::Loaded,
        Some("loading") => ModelState::Loading,
        Some("unloaded") => ModelState::Unloaded,
        Some("sleeping") => ModelState::Sleeping,
        _ => ModelState::Unknown,
    }
}

/// The context that a router would load a model with.
fn configured_context(status: Option<&Value>) -> Option<u32> {
    let args = status?.get("args")?.as_array()?;
    let at = args.iter().position(|arg| matches!(arg.as_str(), Some("--ctx-size" | "-c")))?;
    args.get(at + 1)?.as_str()?.parse().ok().and_then(tokens)
}

fn tokens(n: u64) -> Option<u32> {
    u32::try_from(n).ok().filter(|n| *n > 0)
}

fn capabilities(props: &Value) -> Vec<&'static str> {
    let yes = |group: &str, key: &str| props.get(group).and_then(|g| g.get(key)).and_then(Value::as_bool) == Some(true);
    let template = props.get("chat_template").and_then(Value::as_str).unwrap_or_default();
    let mut found = Vec::new();
    if yes("modalities", "vision") {
        found.push("vision");
    }
    if yes("modalities", "audio") {
        found.push("audio");
    }
    if yes("chat_template_caps", "supports_tools") {
        found.push("tools");
    }
    if ["enable_thinking", "<think>", "reasoning_content", "reasoning_effort"].iter().any(|mark| template.contains(mark)) {
        found.push("thinking");
    }
    found
}
