//! `openai`: any server or service that speaks OpenAI's chat completions.
//!
//! Owns: the requests of this kind, and the sending of chat completions for llama-server too. Refuses: starting and stopping
//! models (the protocol has no word for it). Invariant: a request is sent again in another form only while nothing of the answer
//! has come.

pub mod decode;
pub mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use reqwest::header;
use serde_json::Value;
use tokio::sync::Notify;

use self::decode::Decoder;
use self::request::Quirks;
use super::http::Http;
use super::stream::carry;
use super::{Backend, Probe, Request, Sink, Spec, preview};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendKind, Finish, Inspection, ModelInfo, Parameters, RequestPreview};

/// A server or service.
pub struct OpenAi {
    http: Http,
    learned: Learned,
}

/// Makes the backend.
///
/// # Errors
/// [`Kind::Config`] when its address cannot be used.
pub fn build(spec: &Spec) -> Result<Arc<dyn Backend>> {
    let spec = spec.without("/models").without("/completions").without("/chat");
    Ok(Arc::new(OpenAi { http: with_version(Http::new(&spec, BackendKind::OpenAi)?), learned: Learned::default() }))
}

/// `/v1` goes behind an address that does not already name a version or a path of its own for this protocol.
fn with_version(http: Http) -> Http {
    let last = http.url().rsplit('/').next().unwrap_or_default();
    let versioned = last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if versioned || last == "openai" { http } else { http.below("/v1") }
}

#[async_trait]
impl Backend for OpenAi {
    fn name(&self) -> &str {
        &self.http.who.backend
    }

    fn kind(&self) -> BackendKind {
        BackendKind::OpenAi
    }

    fn url(&self) -> Option<&str> {
        Some(self.http.url())
    }

    async fn probe(&self) -> Result<Probe> {
        let answer = self.http.get("/models").await?;
        Ok(Probe { version: None, latency_ms: answer.latency_ms() })
    }

    async fn models(&self) -> Result<Vec<ModelInfo>> {
        let answer = self.http.get("/models").await?;
        let list = entries(&answer.body).ok_or_else(|| self.http.who.malformed("/models has no list of models"))?;
        Ok(list.iter().filter_map(|entry| model_info(&self.http.who.backend, entry)).collect())
    }

    async fn model(&self, name: &str) -> Result<ModelInfo> {
        self.models().await?.into_iter().find(|m| m.name == name).ok_or_else(|| self.http.who.no_model(name))
    }

    async fn inspect(&self, name: &str) -> Result<Inspection> {
        let answer = self.http.get("/models").await?;
        let list = entries(&answer.body).ok_or_else(|| self.http.who.malformed("/models has no list of models"))?;
        let of = |entry: &Value| model_info(&self.http.who.backend, entry).filter(|model| model.name == name);
        let (entry, model) = list.iter().find_map(|entry| Some((entry, of(entry)?))).ok_or_else(|| self.http.who.no_model(name))?;
        Ok(Inspection { metadata: super::inspect::flat(entry), ..Inspection::of(model) })
    }

    async fn start(&self, model: &str, _parameters: &Parameters, _out: Sink) -> Result<()> {
        Err(self.cannot("load", model))
    }

    async fn stop(&self, model: &str) -> Result<()> {
        Err(self.cannot("unload", model))
    }

    fn preview(&self, request: &Request) -> RequestPreview {
        let who = &self.http.who;
        let mut notes = preview::ignored(who, &request.parameters);
        if request.parameters.text("thinking").is_some_and(|word| matches!(word, "on" | "off")) {
            notes.push("thinking is set and not sent: this protocol knows low, medium and high only.".to_owned());
        }
        if request.continues {
            notes.push(
                "The unfinished answer is sent as the last message; a service may begin a new answer instead of going on.".to_owned(),
            );
        }
        preview::post(who, self.http.shown("/chat/completions"), &request::body(request, self.learned.quirks()), notes)
    }

    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        let response = send(&self.http, "/chat/completions", &request, &self.learned, request::body, &out, None).await?;
        receive(&self.http, response, &request, &out).await
    }
}

impl OpenAi {
    fn cannot(&self, act: &str, model: &str) -> Error {
        let name = self.http.who.name();
        Error::new(Kind::Unsupported, format!("{name} cannot be told to {act} {}: its protocol has no word for it.", quoted(model)))
            .hint(format!("Just send a message: {name} decides by itself what it keeps loaded."))
    }
}

/// What a server turned out not to take; remembered, so that it is refused only once.
#[derive(Debug, Default)]
pub struct Learned {
    no_stream_options: AtomicBool,
    completion_tokens: AtomicBool,
}

impl Learned {
    /// What to leave out from the start.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        Quirks {
            no_stream_options: self.no_stream_options.load(Ordering::Relaxed),
            completion_tokens: self.completion_tokens.load(Ordering::Relaxed),
            no_thinking: false,
        }
    }

    /// What to leave out after this refusal; `None` when it was about something else.
    fn learn(&self, quirks: Quirks, error: &Error) -> Option<Quirks> {
        if error.kind != Kind::BadRequest {
            return None;
        }
        let said = error.cause.as_deref().unwrap_or_default();
        if !quirks.no_stream_options && said.contains("stream_options") {
            self.no_stream_options.store(true, Ordering::Relaxed);
            return Some(Quirks { no_stream_options: true, ..quirks });
        }
        if !quirks.completion_tokens && said.contains("max_completion_tokens") {
            self.completion_tokens.store(true, Ordering::Relaxed);
            return Some(Quirks { completion_tokens: true, ..quirks });
        }
        if !quirks.no_thinking && said.contains("prefill") && said.contains("thinking") {
            return Some(Quirks { no_thinking: true, ..quirks });
        }
        None
    }
}

/// Sends a chat completion, again in another form where the server wants one, until an answer begins. `stands` is told when the
/// connection does.
///
/// # Errors
/// What the server or the connection says.
pub async fn send(
    http: &Http,
    path: &str,
    request: &Request,
    learned: &Learned,
    body: fn(&Request, Quirks) -> Value,
    out: &Sink,
    stands: Option<&Arc<Notify>>,
) -> Result<reqwest::Response> {
    let mut quirks = learned.quirks();
    loop {
        match http.open(path, &body(request, quirks), &request.model, out, stands.map(Arc::clone)).await {
            Ok(response) => return Ok(response),
            Err(error) => quirks = learned.learn(quirks, &error).ok_or(error)?,
        }
    }
}

/// Carries the answer to the sink.
///
/// # Errors
/// What the server or the connection says. What came before is in the sink.
pub async fn receive(http: &Http, response: reqwest::Response, request: &Request, out: &Sink) -> Result<Finish> {
    let decoder = request::continued(request)
        .map_or_else(Decoder::default, |m| Decoder::continuing(&m.text, m.thinking.as_deref().unwrap_or_default()));
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return carry(http, response, decoder, &request.model, out).await;
    }
    // An answer in one piece although a stream was asked for.
    let bytes = http.read(response, super::sse::MAX_EVENT).await?;
    let mut updates = Vec::new();
    let result = decode::whole(&bytes, decoder, &mut updates);
    for update in updates {
        out.send(update);
    }
    result.map_err(|fault| http.who.fault(&fault, Some(&request.model)))
}

/// The list in an answer to `/models`: `{"data": […]}`, a bare list, or `{"models": […]}`.
#[must_use]
pub fn entries(body: &Value) -> Option<&Vec<Value>> {
    body.get("data").or_else(|| body.get("models")).unwrap_or(body).as_array()
}

/// What one entry tells; services add fields of their own.
fn model_info(backend: &str, entry: &Value) -> Option<ModelInfo> {
    let name = entry.get("id").or_else(|| entry.get("name")).and_then(Value::as_str)?;
    let mut info = ModelInfo::named(backend, BackendKind::OpenAi, name);
    let number = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| entry.get(key).and_then(Value::as_u64));
        found.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
    };
    info.context_max = number(&["context_length", "max_model_len", "context_window", "max_context_length", "max_input_tokens"]);
    info.context = number(&["loaded_context_length"]).or(info.context_max);
    info.family = entry.get("arch").and_then(Value::as_str).map(str::to_owned);
    info.quantisation = entry.get("quantization").and_then(Value::as_str).map(str::to_owned);
    Some(info)
}
