//! What Ollama tells of its models. Pure.
//!
//! Invariant: the context is the one that is really in force where Ollama says it. It cuts a longer conversation silently, so this
//! number decides what people are warned of.

use serde_json::Value;

use crate::proto::{BackendKind, Figure, Instance, ModelInfo, ModelState, UnixMs};

/// What Ollama loads a model with when nothing else is said. (Servers with much GPU memory, or with `OLLAMA_CONTEXT_LENGTH`, take
/// more; the true number stands in `/api/ps` as soon as it is loaded.)
pub const DEFAULT_CONTEXT: u32 = 4096;

/// Instances that are looked at; a server runs a handful.
const MOST_INSTANCES: usize = 64;

/// A moment further away than this is never.
const NEVER_MS: i64 = 50 * 365 * 86_400_000;

/// The models of `/api/tags`, with what `/api/ps` says of the loaded ones (`None`: it could not be asked).
#[must_use]
pub fn models(backend: &str, tags: &Value, ps: Option<&Value>, now: UnixMs) -> Option<Vec<ModelInfo>> {
    let list = tags.get("models")?.as_array()?;
    Some(list.iter().filter_map(|entry| model(backend, entry, ps, now)).collect())
}

fn model(backend: &str, entry: &Value, ps: Option<&Value>, now: UnixMs) -> Option<ModelInfo> {
    let name = name_of(entry)?;
    let mut info = ModelInfo::named(backend, BackendKind::Ollama, name);
    info.size_bytes = entry.get("size").and_then(Value::as_u64).filter(|n| *n > 0);
    details(&mut info, entry.get("details"));
    info.capabilities = words(entry.get("capabilities"));
    if let Some(ps) = ps {
        loaded(&mut info, ps, now);
    }
    Some(info)
}

/// Lays over a model what `/api/show` says of it.
pub fn show(info: &mut ModelInfo, show: &Value) {
    details(info, show.get("details"));
    let capabilities = words(show.get("capabilities"));
    if !capabilities.is_empty() {
        info.capabilities = capabilities;
    }
    let facts = show.get("model_info");
    let architecture = facts.and_then(|f| f.get("general.architecture")).and_then(Value::as_str);
    if let Some(most) = architecture.and_then(|a| facts?.get(format!("{a}.context_length"))).and_then(tokens) {
        info.context_max = Some(most);
    }
    if info.context.is_none() {
        let set = show.get("parameters").and_then(Value::as_str).and_then(num_ctx);
        let default = DEFAULT_CONTEXT.min(info.context_max.unwrap_or(u32::MAX));
        info.context = Some(set.unwrap_or(default));
    }
}

/// The entry of a model in `/api/ps`.
#[must_use]
pub fn running<'a>(ps: &'a Value, name: &str) -> Option<&'a Value> {
    ps.get("models")?.as_array()?.iter().find(|entry| name_of(entry).is_some_and(|n| same(n, name)))
}

/// The context that a loaded model has.
#[must_use]
pub fn context(running: &Value) -> Option<u32> {
    running.get("context_length").and_then(tokens)
}

/// Whether two names mean the same model: `:latest` may be left out.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    let full = |name: &str| if name.rsplit('/').next().unwrap_or(name).contains(':') { name.to_owned() } else { format!("{name}:latest") };
    a == b || full(a) == full(b)
}

/// What the loaded models cost, as `/api/ps` tells: their size, what of it lies on GPUs, when they go.
#[must_use]
pub fn instances(backend: &str, ps: &Value, now: UnixMs) -> Vec<Instance> {
    let list = ps.get("models").and_then(Value::as_array).into_iter().flatten();
    let named = list.filter_map(|entry| Some((entry, name_of(entry)?))).take(MOST_INSTANCES);
    let instances = named.map(|(_, name)| {
        let mut info = ModelInfo::named(backend, BackendKind::Ollama, name);
        loaded(&mut info, ps, now);
        // One that says more lies on GPUs than there is of it does not know.
        let gpu = info.gpu_bytes.filter(|gpu| info.memory_bytes.is_some_and(|all| *gpu <= all));
        let memory = info.memory_bytes.map(|all| all - gpu.unwrap_or(0));
        Instance {
            memory: memory.map(|bytes| Figure::server(bytes as f64)),
            gpu_memory: gpu.map(|bytes| Figure::server(bytes as f64)),
            context: info.context.map(u64::from),
            expires: info.expires,
            ..Instance::of(info.reference())
        }
    });
    instances.collect()
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("name").or_else(|| entry.get("model")).and_then(Value::as_str).filter(|name| !name.is_empty())
}

fn loaded(info: &mut ModelInfo, ps: &Value, now: UnixMs) {
    let Some(entry) = running(ps, &info.name) else {
        info.state = ModelState::Unloaded;
        return;
    };
    info.state = ModelState::Loaded;
    info.context = context(entry);
    info.memory_bytes = entry.get("size").and_then(Value::as_u64).filter(|n| *n > 0);
    info.gpu_bytes = entry.get("size_vram").and_then(Value::as_u64).filter(|_| info.memory_bytes.is_some());
    let expires = entry.get("expires_at").and_then(Value::as_str).and_then(|t| t.parse::<jiff::Timestamp>().ok());
    info.expires = expires.map(|t| t.as_millisecond()).filter(|ms| ms.saturating_sub(now) < NEVER_MS);
}

fn details(info: &mut ModelInfo, details: Option<&Value>) {
    let Some(details) = details else { return };
    let text = |key: &str| details.get(key).and_then(Value::as_str).filter(|t| !t.is_empty() && *t != "unknown").map(str::to_owned);
    info.family = text("family").or(info.family.take());
    info.quantisation = text("quantization_level").or(info.quantisation.take());
    info.context_max = details.get("context_length").and_then(tokens).or(info.context_max);
}

fn words(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn tokens(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
}

/// Finds `num_ctx` among a model's own parameters: a name, blanks and a value a line.
fn num_ctx(parameters: &str) -> Option<u32> {
    parameters.lines().find_map(|line| {
        let (key, value) = line.trim().split_once(char::is_whitespace)?;
        (key == "num_ctx").then(|| value.trim().parse().ok())?
    })
}
