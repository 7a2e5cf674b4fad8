//! Ollama's requests. Pure.

use serde_json::{Map, Value, json};

use crate::backend::openai::request::{messages, switch, thought, tools};
use crate::backend::{Call, Message, Request, Returned};
use crate::core::parameters::seconds;
use crate::proto::Parameters;

/// The body of `/api/chat` for an answer.
#[must_use]
pub fn chat(request: &Request) -> Value {
    let messages = messages(request).iter().flat_map(|one| message(one, thought(request, one))).collect();
    let mut body = head(&request.model, messages, &request.parameters);
    body.insert("stream".into(), json!(true));
    for key in ["truncate", "shift"] {
        if let Some(on) = switch(&request.parameters, key) {
            body.insert(key.into(), json!(on));
        }
    }
    match request.parameters.text("thinking") {
        Some("on") => drop(body.insert("think".into(), json!(true))),
        Some("off") => drop(body.insert("think".into(), json!(false))),
        Some(level) => drop(body.insert("think".into(), json!(level))),
        None => {}
    }
    if let Some(tools) = tools(&request.parameters) {
        body.insert("tools".into(), tools);
    }
    if let Some(schema @ Value::Object(fields)) = request.parameters.0.get("json_schema") {
        body.insert("format".into(), if fields.is_empty() { json!("json") } else { schema.clone() });
    }
    Value::Object(body)
}

fn message(message: &Message, thinking: bool) -> Vec<Value> {
    if !message.results.is_empty() {
        // Paired with their calls by their order and the tool's name: there are no ids.
        let result = |r: &Returned| json!({ "role": "tool", "tool_name": r.name, "content": r.content });
        return message.results.iter().map(result).collect();
    }
    let mut one = Map::new();
    one.insert("role".into(), json!(message.role.word()));
    one.insert("content".into(), json!(message.text));
    let images: Vec<Value> =
        message.pictures().map(|file| file.data.as_deref().map_or_else(|| json!(file.placeholder()), |data| json!(data))).collect();
    if !images.is_empty() {
        one.insert("images".into(), Value::Array(images));
    }
    if let Some(thinking) = message.thinking.as_deref().filter(|_| thinking) {
        one.insert("thinking".into(), json!(thinking));
    }
    if !message.calls.is_empty() {
        let call = |c: &Call| json!({ "function": { "name": c.name, "arguments": c.given() } });
        one.insert("tool_calls".into(), message.calls.iter().map(call).collect());
    }
    vec![Value::Object(one)]
}

/// The body of `/api/chat` that loads a model: a chat without messages.
#[must_use]
pub fn load(model: &str, parameters: &Parameters) -> Value {
    let mut body = head(model, Vec::new(), parameters);
    body.insert("stream".into(), json!(false));
    Value::Object(body)
}

/// The body of `/api/chat` that unloads a model.
#[must_use]
pub fn unload(model: &str) -> Value {
    json!({ "model": model, "messages": [], "keep_alive": 0, "stream": false })
}

fn head(model: &str, messages: Vec<Value>, parameters: &Parameters) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".into(), json!(model));
    body.insert("messages".into(), Value::Array(messages));
    if let Some(keep) = parameters.0.get("keep_alive").and_then(keep_alive) {
        body.insert("keep_alive".into(), keep);
    }
    let options = options(parameters);
    if !options.is_empty() {
        body.insert("options".into(), Value::Object(options));
    }
    body
}

/// In seconds: Ollama knows neither days nor numbers without a unit in a text.
fn keep_alive(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => seconds(text).map(|s| s.map_or_else(|| json!(-1), |s| json!(s))),
        Value::Number(_) => Some(value.clone()),
        _ => None,
    }
}

fn options(parameters: &Parameters) -> Map<String, Value> {
    const NAMES: &[(&str, &str)] = &[
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
        ("min_p", "min_p"),
        ("typical_p", "typical_p"),
        ("repeat_penalty", "repeat_penalty"),
        ("repeat_last_n", "repeat_last_n"),
        ("presence_penalty", "presence_penalty"),
        ("frequency_penalty", "frequency_penalty"),
        ("max_tokens", "num_predict"),
        ("seed", "seed"),
        ("n_keep", "num_keep"),
        ("context", "num_ctx"),
        ("gpu_layers", "num_gpu"),
        ("main_gpu", "main_gpu"),
        ("batch", "num_batch"),
        ("threads", "num_thread"),
    ];
    let mut options = Map::new();
    for (ours, theirs) in NAMES {
        if let Some(value) = parameters.0.get(*ours) {
            options.insert((*theirs).to_owned(), value.clone());
        }
    }
    if let Some(map) = switch(parameters, "mmap") {
        options.insert("use_mmap".into(), json!(map));
    }
    let stop = parameters.list("stop");
    if !stop.is_empty() {
        options.insert("stop".into(), json!(stop));
    }
    options
}
