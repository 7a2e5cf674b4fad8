//! `anthropic`: Anthropic's messages, and whatever speaks them.
//!
//! Owns: the requests of this kind and the listing of its models. Refuses: starting and stopping models (the protocol has no word for
//! it). Invariant: the key goes out as `x-api-key` only.

pub mod decode;
pub mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use reqwest::header;
use serde_json::Value;

use self::decode::Decoder;
use super::http::{Answer, Http};
use super::openai::request::continued;
use super::stream::carry;
use super::{Backend, Probe, Request, Sink, Spec, preview};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendKind, Finish, ModelInfo, Parameters, RequestPreview};

const MESSAGES: &str = "/v1/messages";

/// Pages of models that are asked for, and models on one.
const MOST_PAGES: usize = 20;
const PAGE: usize = 1000;

/// A server or service.
pub struct Anthropic {
    http: Http,
    /// The longest answer that each model gives, where the service tells.
    longest: Mutex<BTreeMap<String, u32>>,
}

/// Makes the backend.
///
/// # Errors
/// [`Kind::Config`] when its address cannot be used.
pub fn build(spec: &Spec) -> Result<Arc<dyn Backend>> {
    let spec = spec.without("/messages").without("/models").without("/v1");
    Ok(Arc::new(Anthropic { http: Http::new(&spec, BackendKind::Anthropic)?, longest: Mutex::default() }))
}

#[async_trait]
impl Backend for Anthropic {
    fn name(&self) -> &str {
        &self.http.who.backend
    }

    fn kind(&self) -> BackendKind {
        BackendKind::Anthropic
    }

    fn url(&self) -> Option<&str> {
        Some(self.http.url())
    }

    async fn probe(&self) -> Result<Probe> {
        let answer = self.http.get("/v1/models?limit=1").await?;
        Ok(Probe { version: None, latency_ms: answer.latency_ms() })
    }

    async fn models(&self) -> Result<Vec<ModelInfo>> {
        let mut models: Vec<ModelInfo> = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let Answer { body, .. } = self.http.get(&page(after.as_deref())).await?;
            let list =
                body.get("data").and_then(Value::as_array).ok_or_else(|| self.http.who.malformed("/v1/models has no list of models"))?;
            let before = models.len();
            models.extend(list.iter().filter_map(|entry| self.info(entry)));
            let more = body.get("has_more").and_then(Value::as_bool) == Some(true);
            let last = body.get("last_id").and_then(Value::as_str).map(str::to_owned);
            // A service that gives the same page again and again is at its end.
            if !more || last.is_none() || last == after || models.len() == before {
                break;
            }
            after = last;
        }
        Ok(models)
    }

    async fn model(&self, name: &str) -> Result<ModelInfo> {
        self.models().await?.into_iter().find(|m| m.name == name).ok_or_else(|| self.http.who.no_model(name))
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
        let made = request::body(request, self.longest(&request.model));
        notes.extend(made.notes);
        preview::post(who, self.http.shown(MESSAGES), &made.body, notes)
    }

    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        let body = request::body(&request, self.longest(&request.model)).body;
        let response = self.http.open(MESSAGES, &body, &request.model, &out, None).await?;
        let decoder =
            continued(&request).map_or_else(Decoder::default, |m| Decoder::continuing(&m.text, m.thinking.as_deref().unwrap_or_default()));
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/json") {
            return carry(&self.http, response, decoder, &request.model, &out).await;
        }
        // An answer in one piece although a stream was asked for.
        let bytes = self.http.read(response, super::sse::MAX_EVENT).await?;
        let mut updates = Vec::new();
        let result = decode::whole(&bytes, decoder, &mut updates);
        for update in updates {
            out.send(update);
        }
        result.map_err(|fault| self.http.who.fault(&fault, Some(&request.model)))
    }
}

impl Anthropic {
    fn longest(&self, model: &str) -> Option<u32> {
        self.longest.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied()
    }

    /// What one entry of the list tells.
    fn info(&self, entry: &Value) -> Option<ModelInfo> {
        let name = entry.get("id").and_then(Value::as_str).filter(|name| !name.is_empty())?;
        let number = |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        if let Some(longest) = number(entry.get("max_tokens")) {
            let mut known = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
            // A list is at most some pages long.
            known.insert(name.to_owned(), longest);
        }
        let mut info = ModelInfo::named(&self.http.who.backend, BackendKind::Anthropic, name);
        info.context_max = number(entry.get("max_input_tokens")).or_else(|| number(entry.get("meta").and_then(|m| m.get("n_ctx_train"))));
        info.context = number(entry.get("meta").and_then(|m| m.get("n_ctx"))).or(info.context_max);
        let can = |what: &str| {
            let told = entry.get("capabilities").and_then(|c| c.get(what));
            told.and_then(|told| told.get("supported").unwrap_or(told).as_bool()) == Some(true)
        };
        info.capabilities.push("completion".to_owned());
        for (told, word) in [("image_input", "vision"), ("thinking", "thinking")] {
            if can(told) {
                info.capabilities.push(word.to_owned());
            }
        }
        Some(info)
    }

    fn cannot(&self, act: &str, model: &str) -> Error {
        let name = self.http.who.name();
        Error::new(Kind::Unsupported, format!("{name} cannot be told to {act} {}: its protocol has no word for it.", quoted(model)))
            .hint(format!("Just send a message: {name} decides by itself what it keeps loaded."))
    }
}

fn page(after: Option<&str>) -> String {
    let plain = format!("/v1/models?limit={PAGE}");
    match (after, reqwest::Url::parse("http://x/")) {
        (Some(after), Ok(mut url)) => {
            url.query_pairs_mut().append_pair("after_id", after);
            format!("{plain}&{}", url.query().unwrap_or_default())
        }
        _ => plain,
    }
}
