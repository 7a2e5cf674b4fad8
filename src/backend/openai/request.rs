//! The request of a chat completion.
//!
//! Owns: which parameters go into it under which names, for OpenAI-compatible servers and for llama-server. Refuses: sending it.
//! Invariant: pure; the same request gives the same body.

use serde_json::{Map, Value, json};

use crate::backend::{Call, File, Message, Request, Returned};
use crate::core::parameters;
use crate::proto::{Parameters, Role};

/// What a server turned out not to take. It is asked again accordingly, before its first token only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks {
    pub no_stream_options: bool,
    /// It wants `max_completion_tokens` instead of `max_tokens`.
    pub completion_tokens: bool,
    /// llama-server: a template that thinks cannot go on with an answer unless thinking is off.
    pub no_thinking: bool,
}

/// The body for any compatible server.
#[must_use]
pub fn body(request: &Request, quirks: Quirks) -> Value {
    let mut body = base(request, quirks, |_| false);
    copy(&request.parameters, &mut body, &["temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias"]);
    if let Some(effort @ ("low" | "medium" | "high")) = request.parameters.text("thinking") {
        body.insert("reasoning_effort".into(), json!(effort));
    }
    Value::Object(body)
}

/// The body for llama-server, which takes more.
#[must_use]
pub fn llama_body(request: &Request, quirks: Quirks) -> Value {
    let mut body = base(request, quirks, |message| thought(request, message));
    copy(&request.parameters, &mut body, LLAMA);
    if let Some(budget) = request.parameters.0.get("thinking_budget") {
        body.insert("thinking_budget_tokens".into(), budget.clone());
    }
    if let Some(on) = switch(&request.parameters, "ignore_eos") {
        body.insert("ignore_eos".into(), json!(on));
    }
    let mut template = Map::new();
    if quirks.no_thinking {
        template.insert("enable_thinking".into(), json!(false));
    } else if let Some(word) = request.parameters.text("thinking") {
        template.insert("enable_thinking".into(), json!(word != "off"));
        if let "low" | "medium" | "high" = word {
            template.insert("reasoning_effort".into(), json!(word));
        }
    }
    if !template.is_empty() {
        body.insert("chat_template_kwargs".into(), Value::Object(template));
    }
    body.insert("cache_prompt".into(), json!(switch(&request.parameters, "cache_prompt").unwrap_or(true)));
    body.insert("return_progress".into(), json!(true));
    Value::Object(body)
}

/// `thinking`: whether a message goes with what was thought before it.
fn base(request: &Request, quirks: Quirks, thinking: impl Fn(&Message) -> bool) -> Map<String, Value> {
    let p = &request.parameters;
    let mut body = Map::new();
    body.insert("model".into(), json!(request.model));
    let messages = messages(request).iter().flat_map(|one| message(one, thinking(one)));
    body.insert("messages".into(), Value::Array(messages.collect()));
    body.insert("stream".into(), json!(true));
    if !quirks.no_stream_options {
        body.insert("stream_options".into(), json!({ "include_usage": true }));
    }
    if let Some(most) = p.integer("max_tokens") {
        let key = if quirks.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        body.insert(key.into(), json!(most));
    }
    let stop = p.list("stop");
    if !stop.is_empty() {
        body.insert("stop".into(), json!(stop));
    }
    if let Some(schema @ Value::Object(fields)) = p.0.get("json_schema") {
        let format = if fields.is_empty() {
            json!({ "type": "json_object" })
        } else {
            json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } })
        };
        body.insert("response_format".into(), format);
    }
    if let Some(tools) = tools(p) {
        body.insert("tools".into(), tools);
    }
    body
}

/// The tools that the model may call, as OpenAI and Ollama take them.
#[must_use]
pub fn tools(parameters: &Parameters) -> Option<Value> {
    let tools = parameters::tools::tools(parameters);
    let one = |tool: parameters::tools::Tool| {
        let mut function = Map::new();
        function.insert("name".into(), json!(tool.name));
        if let Some(description) = tool.description {
            function.insert("description".into(), json!(description));
        }
        function.insert("parameters".into(), tool.parameters);
        json!({ "type": "function", "function": function })
    };
    (!tools.is_empty()).then(|| tools.into_iter().map(one).collect())
}

/// Whether a message goes with what was thought before it: where that is asked for, and an answer that is gone on with needs it.
#[must_use]
pub fn thought(request: &Request, message: &Message) -> bool {
    message.role == Role::Assistant
        && (switch(&request.parameters, "send_thinking") == Some(true)
            || continued(request).is_some_and(|last| std::ptr::eq(last, message)))
}

/// What llama-server takes under the name that it has here.
const LLAMA: &[&str] = &[
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "dynatemp_range",
    "dynatemp_exponent",
    "xtc_probability",
    "xtc_threshold",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "samplers",
    "min_keep",
    "seed",
    "repeat_penalty",
    "repeat_last_n",
    "presence_penalty",
    "frequency_penalty",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "logit_bias",
    "grammar",
    "n_keep",
];

/// What an `on` or `off` is set to.
pub fn switch(parameters: &Parameters, key: &str) -> Option<bool> {
    parameters.text(key).map(|word| word == "on")
}

/// Copies what is set, under its own name.
pub fn copy(from: &Parameters, to: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if let Some(value) = from.0.get(*key) {
            to.insert((*key).to_owned(), value.clone());
        }
    }
}

/// A message as this protocol has it; of what came of tools each result is a message of its own.
fn message(message: &Message, thinking: bool) -> Vec<Value> {
    if !message.results.is_empty() {
        let result = |r: &Returned| json!({ "role": "tool", "tool_call_id": r.id, "content": r.content });
        return message.results.iter().map(result).collect();
    }
    // Without the id of its call, a tool's answer goes as what a person would have pasted.
    let role = if message.role == Role::Tool { Role::User } else { message.role };
    let mut one = Map::new();
    one.insert("role".into(), json!(role.word()));
    one.insert("content".into(), content(message));
    if let Some(thinking) = message.thinking.as_deref().filter(|_| thinking) {
        one.insert("reasoning_content".into(), json!(thinking));
    }
    if !message.calls.is_empty() {
        let call = |c: &Call| json!({ "id": c.id, "type": "function", "function": { "name": c.name, "arguments": c.arguments } });
        one.insert("tool_calls".into(), message.calls.iter().map(call).collect());
    }
    vec![Value::Object(one)]
}

/// The text, behind its pictures where there are some.
fn content(message: &Message) -> Value {
    let mut parts: Vec<Value> = message.pictures().map(|file| json!({ "type": "image_url", "image_url": { "url": url(file) } })).collect();
    if parts.is_empty() {
        return json!(message.text);
    }
    if !message.text.is_empty() {
        parts.push(json!({ "type": "text", "text": message.text }));
    }
    Value::Array(parts)
}

fn url(file: &File) -> String {
    match &file.data {
        Some(data) => format!("data:{};base64,{data}", file.mime),
        None => file.placeholder(),
    }
}

/// The message that the answer goes on with, if it does and there is anything in it.
#[must_use]
pub fn continued(request: &Request) -> Option<&Message> {
    request.messages.last().filter(|m| request.continues && m.role == Role::Assistant && !is_empty(m))
}

fn is_empty(message: &Message) -> bool {
    message.is_empty() && message.thinking.as_deref().is_none_or(str::is_empty)
}

/// The messages to send: an unfinished answer in which nothing stands yet is left out.
#[must_use]
pub fn messages(request: &Request) -> &[Message] {
    match request.messages.split_last() {
        Some((last, rest)) if request.continues && last.role == Role::Assistant && is_empty(last) => rest,
        _ => &request.messages,
    }
}
