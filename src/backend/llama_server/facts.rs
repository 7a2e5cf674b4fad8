//! What llama-server tells of its models. Pure.

use serde_json::Value;

use super::events::MOST_NAME;
use crate::error::{Error, Kind, quoted};
use crate::proto::{BackendKind, ModelInfo, ModelState};

/// One entry of `/v1/models`, with the properties of the server (which are the loaded model's, unless it is a router).
#[must_use]
pub fn model(backend: &str, entry: &Value, props: Option<&Value>) -> Option<ModelInfo> {
    let name = name(entry)?;
    if is_template(name, entry) {
        return None;
    }
    let mut info = ModelInfo::named(backend, BackendKind::LlamaServer, name);
    let status = entry.get("status");
    let meta = entry.get("meta");
    let number = |key: &str| meta.and_then(|m| m.get(key)).and_then(Value::as_u64);
    info.state = state(status);
    if info.state == ModelState::Failed {
        info.error = Some(ended(name, exit_code(entry), file(entry), true));
    }
    info.size_bytes = number("size");
    info.quantisation = meta.and_then(|m| m.get("ftype")).and_then(Value::as_str).map(str::to_owned);
    // A model that is not loaded is known by its file's name.
    info.quantisation = info.quantisation.or_else(|| quantisation(file(entry).unwrap_or(name)));
    info.context_max = number("n_ctx_train").and_then(tokens);
    info.context = number("n_ctx").and_then(tokens).or_else(|| configured_context(status));
    info.capabilities.push("completion".to_owned());
    for (kind, capability) in [("image", "vision"), ("audio", "audio")] {
        let kinds = entry.get("architecture").and_then(|a| a.get("input_modalities")).and_then(Value::as_array);
        if kinds.is_some_and(|kinds| kinds.iter().any(|k| k.as_str() == Some(kind))) {
            info.capabilities.push(capability.to_owned());
        }
    }
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
        add(&mut info.capabilities, capabilities(props));
    }
    Some(info)
}

/// Lays over a router's model what its own properties say.
pub fn props(info: &mut ModelInfo, props: &Value) {
    let context = props.get("default_generation_settings").and_then(|s| s.get("n_ctx")).and_then(Value::as_u64).and_then(tokens);
    info.context = context.or(info.context);
    add(&mut info.capabilities, capabilities(props));
}

/// Adds what is not there yet.
pub fn add<'a>(known: &mut Vec<String>, more: impl IntoIterator<Item = &'a str>) {
    for word in more {
        if !known.iter().any(|k| k == word) {
            known.push(word.to_owned());
        }
    }
}

/// The name of an entry, if it can be one.
#[must_use]
pub fn name(entry: &Value) -> Option<&str> {
    let name = entry.get("id").or_else(|| entry.get("name")).and_then(Value::as_str)?;
    (!name.is_empty() && name.len() <= MOST_NAME).then_some(name)
}

/// A router lists the section of its settings that is for all models as a model called `default`, which nothing can load.
fn is_template(name: &str, entry: &Value) -> bool {
    const SOURCES: [&str; 9] = ["--model", "-m", "--hf-repo", "-hf", "-hfr", "--model-url", "-mu", "--docker-repo", "-dr"];
    let args = entry.get("status").and_then(|s| s.get("args")).and_then(Value::as_array);
    name == "default" && args.is_some_and(|args| !args.iter().any(|arg| arg.as_str().is_some_and(|arg| SOURCES.contains(&arg))))
}

/// Whether the server would delete its files when it is told to.
#[must_use]
pub fn can_remove(entry: &Value) -> bool {
    entry.get("can_remove").and_then(Value::as_bool) == Some(true)
}

/// With which code its process ended.
#[must_use]
pub fn exit_code(entry: &Value) -> Option<i64> {
    entry.get("status")?.get("exit_code")?.as_i64()
}

/// The file that a router loads for a model.
#[must_use]
pub fn file(entry: &Value) -> Option<&str> {
    argument(entry.get("status"), &["--model", "-m"])
}

/// Why a model of a router is not there: loading it failed, or its process ended while it was loaded.
#[must_use]
pub fn ended(name: &str, code: Option<i64>, file: Option<&str>, loading: bool) -> Error {
    let name = quoted(name);
    let code = code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
    let error = if loading {
        Error::new(Kind::Server, format!("{name} could not be loaded: its server process ended{code}."))
    } else {
        Error::new(Kind::Server, format!("{name} is not loaded any more: its server process ended{code}."))
    };
    let error = match file {
        Some(file) => error.hint(format!("Its file is {}: look whether it is there and whole, and whether memory suffices.", quoted(file))),
        None => error.hint("Look whether its file is there and whole, and whether memory suffices."),
    };
    error.hint("The router's own log says more.")
}

/// The quantisation that stands in a file's name (`gemma-3-270m-Q4_K_M.gguf`) or in a reference (`user/model:Q4_1`).
fn quantisation(file: &str) -> Option<String> {
    let stem = file.rsplit(['/', '\\']).next()?;
    let stem = stem.strip_suffix(".gguf").unwrap_or(stem);
    let is = |piece: &&str| {
        let upper = piece.to_ascii_uppercase();
        let level = upper.strip_prefix("IQ").or_else(|| upper.strip_prefix('Q')).or_else(|| upper.strip_prefix("TQ"));
        upper.len() <= 12
            && (matches!(upper.as_str(), "F16" | "F32" | "BF16" | "MXFP4")
                || level.is_some_and(|level| {
                    level.starts_with(|c: char| c.is_ascii_digit())
                        && level.contains('_')
                        && level.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                }))
    };
    stem.rsplit(['-', '.', ':']).find(is).map(str::to_ascii_uppercase)
}

/// Whether an entry is the model of this name.
#[must_use]
pub fn is_called(entry: &Value, name: &str) -> bool {
    let is = |value: Option<&Value>| value.and_then(Value::as_str) == Some(name);
    let aliases = entry.get("aliases").and_then(Value::as_array).into_iter().flatten();
    is(entry.get("id")) || is(entry.get("name")) || aliases.into_iter().any(|alias| is(Some(alias)))
}

/// The state that a router tells.
#[must_use]
pub fn state(status: Option<&Value>) -> ModelState {
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
        Some("downloading") => ModelState::Downloading,
        _ => ModelState::Unknown,
    }
}

/// The context that a router would load a model with.
fn configured_context(status: Option<&Value>) -> Option<u32> {
    argument(status, &["--ctx-size", "-c"])?.parse().ok().and_then(tokens)
}

/// What stands behind one of these flags in the arguments of a model's process.
#[must_use]
pub fn argument<'a>(status: Option<&'a Value>, flags: &[&str]) -> Option<&'a str> {
    let args = status?.get("args")?.as_array()?;
    let at = args.iter().position(|arg| arg.as_str().is_some_and(|arg| flags.contains(&arg)))?;
    args.get(at + 1)?.as_str()
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

#[cfg(test)]
mod tests {
    use super::quantisation;

    #[test]
    fn a_quantisation_is_read_from_names() {
        for (name, found) in [
            ("/srv/gemma-3-270m-Q4_K_M.gguf", Some("Q4_K_M")),
            ("SmolLM2-135M-Instruct.Q4_1.gguf", Some("Q4_1")),
            ("user/model-GGUF:iq3_xxs", Some("IQ3_XXS")),
            ("model-f16.gguf", Some("F16")),
            ("Qwen3-8B", None),
            ("q", None),
            ("", None),
        ] {
            assert_eq!(quantisation(name).as_deref(), found, "{name}");
        }
    }
}
