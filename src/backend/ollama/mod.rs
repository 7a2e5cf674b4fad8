//! `ollama`: Ollama's own protocol.
//!
//! Owns: its requests, loading and unloading by keep-alive, watching a load that a chat brings about, pulling, copying, removing.
//! Invariant: the context in force is reported with every answer, because Ollama cuts what is longer without a word.

mod decode;
mod facts;
mod inspect;
mod pull;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Method;
use tokio::sync::{Notify, mpsc};

pub use self::decode::Decoder;
use super::http::{ASK, Http};
use super::openai::request::continued;
use super::stream::carry;
use super::{Abilities, Backend, Probe, PullProgress, Request, Sink, Spec, preview};
use crate::error::Result;
use crate::proto::{BackendKind, Figure, Figures, Finish, Inspection, Instance, ModelInfo, Parameters, RequestPreview, State};

const CHAT: &str = "/api/chat";

/// How long loading may take: a very large model from a slow disk.
const LOADING: Duration = Duration::from_secs(15 * 60);

/// How long copying or removing may take: files are linked and unlinked, on a disk that may be asleep.
const CHANGING: Duration = Duration::from_secs(60);

/// How often a load is watched.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// An Ollama server, or one that claims to be.
#[derive(Clone)]
pub struct Ollama {
    http: Http,
}

/// Makes the backend.
///
/// # Errors
/// [`crate::error::Kind::Config`] when its address cannot be used.
pub fn build(spec: &Spec) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(Ollama { http: Http::new(&spec.without("/v1").without("/api"), BackendKind::Ollama)? }))
}

#[async_trait]
impl Backend for Ollama {
    fn name(&self) -> &str {
        &self.http.who.backend
    }

    fn kind(&self) -> BackendKind {
        BackendKind::Ollama
    }

    fn url(&self) -> Option<&str> {
        Some(self.http.url())
    }

    async fn probe(&self) -> Result<Probe> {
        let answer = self.http.get("/api/version").await?;
        let version = answer.body.get("version").and_then(|v| v.as_str()).map(crate::error::harmless);
        Ok(Probe { version, latency_ms: answer.latency_ms() })
    }

    async fn models(&self) -> Result<Vec<ModelInfo>> {
        let (tags, ps) = tokio::join!(self.http.get("/api/tags"), self.http.get("/api/ps"));
        let tags = tags?;
        // What only claims to be Ollama may know no /api/ps; then the states stay unknown.
        let ps = ps.ok().map(|answer| answer.body);
        facts::models(&self.http.who.backend, &tags.body, ps.as_ref(), Timestamp::now().as_millisecond())
            .ok_or_else(|| self.http.who.malformed("/api/tags has no list of models"))
    }

    async fn model(&self, name: &str) -> Result<ModelInfo> {
        let body = serde_json::json!({ "model": name });
        let (models, show) = tokio::join!(self.models(), self.http.post("/api/show", &body, Some(name), ASK));
        let show = show?;
        let found = models?.into_iter().find(|m| facts::same(&m.name, name));
        let mut info = found.unwrap_or_else(|| ModelInfo::named(&self.http.who.backend, BackendKind::Ollama, name));
        facts::show(&mut info, &show.body);
        Ok(info)
    }

    async fn inspect(&self, name: &str) -> Result<Inspection> {
        let body = serde_json::json!({ "model": name });
        let (tags, ps, show) =
            tokio::join!(self.http.get("/api/tags"), self.http.get("/api/ps"), self.http.post("/api/show", &body, Some(name), ASK));
        let show = show?;
        let (tags, ps) = (tags.ok().map(|answer| answer.body), ps.ok().map(|answer| answer.body));
        let listed = tags.as_ref().and_then(|tags| facts::models(self.name(), tags, ps.as_ref(), Timestamp::now().as_millisecond()));
        let found = listed.into_iter().flatten().find(|model| facts::same(&model.name, name));
        let mut info = found.unwrap_or_else(|| ModelInfo::named(self.name(), BackendKind::Ollama, name));
        facts::show(&mut info, &show.body);
        let mut inspection = Inspection::of(info);
        inspect::show(&mut inspection, &show.body, tags.as_ref().and_then(|tags| facts::running(tags, name)));
        Ok(inspection)
    }

    async fn start(&self, model: &str, parameters: &Parameters, out: Sink) -> Result<()> {
        out.phase(State::Loading);
        self.http.post(CHAT, &request::load(model, parameters), Some(model), LOADING).await.map(drop)
    }

    async fn stop(&self, model: &str) -> Result<()> {
        self.http.post(CHAT, &request::unload(model), Some(model), Duration::from_secs(30)).await.map(drop)
    }

    async fn instances(&self) -> Result<Vec<Instance>> {
        let ps = self.http.get("/api/ps").await?;
        Ok(facts::instances(&self.http.who.backend, &ps.body, Timestamp::now().as_millisecond()))
    }

    fn abilities(&self) -> Abilities {
        Abilities { start: true, stop: true, pull: true, copy: true, remove: true, idle: true }
    }

    async fn pull(&self, source: &str, out: mpsc::Sender<PullProgress>) -> Result<()> {
        pull::pull(&self.http, source, pull::Patience::default(), &out).await
    }

    async fn copy(&self, model: &str, to: &str) -> Result<()> {
        let body = serde_json::json!({ "source": model, "destination": to });
        self.http.order(Method::POST, "/api/copy", &body, model, CHANGING).await
    }

    async fn remove(&self, model: &str) -> Result<()> {
        // Older servers call it `name`.
        let body = serde_json::json!({ "model": model, "name": model });
        self.http.order(Method::DELETE, "/api/delete", &body, model, CHANGING).await
    }

    fn preview(&self, request: &Request) -> RequestPreview {
        let notes = preview::ignored(&self.http.who, &request.parameters);
        preview::post(&self.http.who, self.http.shown(CHAT), &request::chat(request), notes)
    }

    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        let stands = Arc::new(Notify::new());
        let begun = AtomicBool::new(false);
        let answer = async {
            let body = request::chat(&request);
            let response = self.http.open(CHAT, &body, &request.model, &out, Some(Arc::clone(&stands))).await?;
            begun.store(true, Ordering::Relaxed);
            carry(&self.http, response, Decoder::new(continued(&request).is_none_or(|m| m.text.is_empty())), &request.model, &out).await
        };
        let watch = async {
            stands.notified().await;
            self.watch(&request, &out, &begun).await;
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            result = &mut answer => return result,
            () = watch => {}
        }
        answer.await
    }
}

impl Ollama {
    /// Looks on while a request waits: Ollama sends nothing before the first token, not even that it loads the model. `begun`: the
    /// answer has begun, and its own phases count.
    async fn watch(&self, request: &Request, out: &Sink, begun: &AtomicBool) {
        let asked = request.parameters.integer("context").and_then(|n| u32::try_from(n).ok());
        let mut loading = false;
        while let Ok(ps) = self.http.get("/api/ps").await {
            let running = facts::running(&ps.body, &request.model);
            let context = running.and_then(facts::context);
            // A model that is loaded with another context is loaded again.
            let ready = running.is_some() && (asked.is_none() || context.is_none() || context == asked);
            let begun = begun.load(Ordering::Relaxed);
            if begun || ready {
                if let Some(tokens) = context {
                    out.figures(Figures { context: Some(Figure::server(f64::from(tokens))), ..Figures::default() });
                }
                if loading && !begun {
                    out.phase(State::Reading);
                }
                return;
            }
            loading = true;
            out.phase(State::Loading);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
