//! `llama-server`: llama.cpp's own server.
//!
//! Owns: this server's extras (props, prompt progress, timings, its start-up) around the chat completions that it shares with
//! `openai`. Refuses: router mode's loading and unloading. Invariant: while the server loads its model a request waits and says so.

mod facts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::http::Http;
use super::openai::request::llama_body;
use super::openai::{Learned, entries, receive, send};
use super::{Backend, Probe, Request, Sink, Spec, preview};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendKind, Figure, Figures, Finish, ModelInfo, ModelState, Parameters, RequestPreview, State};

const CHAT: &str = "/v1/chat/completions";

/// How long a request waits for a server that is loading: a very large model from a slow disk.
const LOADING: Duration = Duration::from_secs(15 * 60);

/// How often a loading server is asked.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// A llama-server.
pub struct LlamaServer {
    http: Http,
    learned: Learned,
}

/// Makes the backend.
///
/// # Errors
/// [`Kind::Config`] when its address cannot be used.
pub fn build(spec: &Spec) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(LlamaServer { http: Http::new(&spec.without("/v1"), BackendKind::LlamaServer)?, learned: Learned::default() }))
}

#[async_trait]
impl Backend for LlamaServer {
    fn name(&self) -> &str {
        &self.http.who.backend
    }

    fn kind(&self) -> BackendKind {
        BackendKind::LlamaServer
    }

    fn url(&self) -> Option<&str> {
        Some(self.http.url())
    }

    /// Asks for the properties and not for the health: that answers without a key, and chats would then fail.
    async fn probe(&self) -> Result<Probe> {
        let answer = match self.http.get("/props").await {
            // A server without properties has its health at least.
            Err(error) if error.kind == Kind::BadRequest => self.http.get("/health").await?,
            other => other?,
        };
        let version = answer.body.get("build_info").and_then(|v| v.as_str()).map(crate::error::harmless);
        Ok(Probe { version, latency_ms: answer.latency_ms() })
    }

    async fn models(&self) -> Result<Vec<ModelInfo>> {
        let (list, props) = tokio::join!(self.http.get("/v1/models"), self.http.get("/props"));
        let list = list?;
        // Without properties the list still stands.
        let props = props.ok().map(|answer| answer.body);
        let entries = entries(&list.body).ok_or_else(|| self.http.who.malformed("/v1/models has no list of models"))?;
        Ok(entries.iter().filter_map(|entry| facts::model(&self.http.who.backend, entry, props.as_ref())).collect())
    }

    async fn model(&self, name: &str) -> Result<ModelInfo> {
        self.models().await?.into_iter().find(|m| m.name == name).ok_or_else(|| self.http.who.no_model(name))
    }

    async fn start(&self, model: &str, _parameters: &Parameters, out: Sink) -> Result<()> {
        self.wait_until_up(&out).await?;
        let models = self.models().await?;
        let found = models.iter().find(|m| m.name == model);
        match found.map(|m| m.state) {
            Some(ModelState::Loaded) => Ok(()),
            Some(_) => Err(self
                .cannot(format!("{} is a router, and arbour cannot tell it to load {}.", self.name(), quoted(model)))
                .hint("Load it at the router itself; then it answers here.")),
            None => {
                let has = models.iter().map(|m| quoted(&m.name)).collect::<Vec<_>>().join(", ");
                Err(self
                    .cannot(format!(
                        "{} runs {has} and no other model: a llama-server loads its model when it starts.",
                        self.http.who.name()
                    ))
                    .hint(format!("Start another one for {}: `llama-server -m model.gguf --port 8081`.", quoted(model))))
            }
        }
    }

    async fn stop(&self, model: &str) -> Result<()> {
        let name = self.http.who.name();
        Err(self
            .cannot(format!("{name} keeps {} for as long as it runs: a llama-server cannot unload its model.", quoted(model)))
            .hint(format!("Stop the llama-server at {} to free its memory.", self.http.url())))
    }

    fn preview(&self, request: &Request) -> RequestPreview {
        let notes = preview::ignored(&self.http.who, &request.parameters);
        preview::post(&self.http.who, self.http.shown(CHAT), &llama_body(request, self.learned.quirks()), notes)
    }

    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        let answer = async {
            let response = loop {
                match send(&self.http, CHAT, &request, &self.learned, llama_body, &out).await {
                    Err(error) if error.kind == Kind::Starting => self.wait_until_up(&out).await?,
                    other => break other?,
                }
            };
            receive(&self.http, response, &request, &out).await
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            result = &mut answer => return result,
            checked = self.check(&request.model, &out) => checked?,
        }
        answer.await
    }
}

impl LlamaServer {
    /// Looks, beside the request, whether the model is still the one that runs: a llama-server answers to any name with the model
    /// that it has. Also tells the context in force.
    async fn check(&self, model: &str, out: &Sink) -> Result<()> {
        let Ok(list) = self.http.get("/v1/models").await else { return Ok(()) };
        let entries = entries(&list.body).map(Vec::as_slice).unwrap_or_default();
        if let Some(entry) = entries.iter().find(|entry| facts::is_called(entry, model)) {
            let context = facts::model(self.name(), entry, None).and_then(|info| info.context);
            if let Some(tokens) = context {
                out.figures(Figures { context: Some(Figure::server(f64::from(tokens))), ..Figures::default() });
            }
            return Ok(());
        }
        let has: Vec<String> = entries.iter().filter_map(|e| e.get("id").and_then(|id| id.as_str())).map(quoted).collect();
        if has.is_empty() {
            return Ok(());
        }
        let name = self.http.who.name();
        Err(Error::new(Kind::ModelMissing, format!("{name} runs {} now and not {}.", has.join(", "), quoted(model)))
            .hint("Choose the model that it runs, or start the other one."))
    }

    /// Waits while the server answers that it is loading.
    async fn wait_until_up(&self, out: &Sink) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.http.get("/health").await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind == Kind::Starting && begun.elapsed() < LOADING => {
                    out.phase(State::Loading);
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn cannot(&self, message: String) -> Error {
        Error::new(Kind::Unsupported, message)
    }
}
