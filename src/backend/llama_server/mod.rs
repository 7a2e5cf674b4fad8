//! `llama-server`: llama.cpp's own server, with one model or (as a router) with many.
//!
//! Owns: this server's extras (props, prompt progress, timings, its start-up, router mode) around the chat completions that it shares
//! with `openai`. Refuses: fetching models (a router tells neither how a download goes nor whether it failed). Invariant: while the
//! server loads its model a request waits and says so.

mod cost;
mod events;
mod facts;
mod inspect;
mod router;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use self::cost::Answering;
use self::router::Router;
use super::http::Http;
use super::openai::request::llama_body;
use super::openai::{Learned, entries, receive, send};
use super::{Abilities, Backend, Change, Probe, Request, Sink, Spec, preview, refuse};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendKind, Figure, Figures, Finish, Inspection, Instance, ModelInfo, ModelState, Parameters, RequestPreview, State};

const CHAT: &str = "/v1/chat/completions";

/// How long a request waits for a server that is loading: a very large model from a slow disk.
const LOADING: Duration = Duration::from_secs(15 * 60);

/// How often a loading server is asked.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// A llama-server.
pub struct LlamaServer {
    http: Http,
    learned: Learned,
    router: Router,
    answering: Answering,
}

/// Models of a router whose properties are asked for with the list; a router runs a handful.
const MOST_ASKED: usize = 32;
/// How long a list waits for them.
const PROPS: Duration = Duration::from_secs(2);

/// Makes the backend.
///
/// # Errors
/// [`Kind::Config`] when its address cannot be used.
pub fn build(spec: &Spec) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(LlamaServer {
        http: Http::new(&spec.without("/v1"), BackendKind::LlamaServer)?,
        learned: Learned::default(),
        router: Router::default(),
        answering: Answering::default(),
    }))
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
        self.router.learn(&answer.body);
        let version = answer.body.get("build_info").and_then(|v| v.as_str()).map(crate::error::harmless);
        Ok(Probe { version, latency_ms: answer.latency_ms() })
    }

    async fn models(&self) -> Result<Vec<ModelInfo>> {
        let (entries, props) = self.list().await?;
        let mut models: Vec<ModelInfo> =
            entries.iter().filter_map(|entry| facts::model(&self.http.who.backend, entry, props.as_ref())).collect();
        if self.router.is_router() {
            self.ask_loaded(&mut models).await;
        }
        Ok(models)
    }

    async fn model(&self, name: &str) -> Result<ModelInfo> {
        self.models().await?.into_iter().find(|m| m.name == name).ok_or_else(|| self.http.who.no_model(name))
    }

    async fn inspect(&self, name: &str) -> Result<Inspection> {
        let (entries, mut props) = self.list().await?;
        let entry = entries.iter().find(|entry| facts::is_called(entry, name)).ok_or_else(|| self.http.who.no_model(name))?;
        let info = facts::model(self.name(), entry, props.as_ref()).ok_or_else(|| self.http.who.no_model(name))?;
        if self.router.is_router() {
            // A router answers for a model that is loaded; asking wakes none.
            let loaded = matches!(info.state, ModelState::Loaded | ModelState::Sleeping);
            let asked = if loaded { self.http.get(&format!("/props{}", cost::query(&info.name))).await.ok() } else { None };
            props = asked.map(|answer| answer.body);
        }
        Ok(inspect::inspect(info, entry, props.as_ref(), self.http.is_here()).await)
    }

    async fn start(&self, model: &str, _parameters: &Parameters, out: Sink) -> Result<()> {
        self.wait_until_up(&out).await?;
        let models = self.models().await?;
        if self.router.is_router() {
            return router::load(&self.http, &self.router, model, &out).await;
        }
        if models.iter().any(|m| m.name == model) {
            return Ok(());
        }
        let has = models.iter().map(|m| quoted(&m.name)).collect::<Vec<_>>().join(", ");
        Err(self
            .cannot(format!("{} runs {has} and no other model: a llama-server loads its model when it starts.", self.http.who.name()))
            .hint(format!("Start another one for {}: `llama-server -m model.gguf --port 8081`.", quoted(model))))
    }

    async fn stop(&self, model: &str) -> Result<()> {
        if self.is_router().await? {
            return router::unload(&self.http, &self.router, model).await;
        }
        let name = self.http.who.name();
        Err(self
            .cannot(format!("{name} keeps {} for as long as it runs: a llama-server cannot unload its model.", quoted(model)))
            .hint(format!("Stop the llama-server at {} to free its memory.", self.http.url())))
    }

    fn abilities(&self) -> Abilities {
        let router = self.router.is_router();
        Abilities { start: router, stop: router, remove: router && self.router.removes(), ..Abilities::default() }
    }

    async fn remove(&self, model: &str) -> Result<()> {
        if self.is_router().await? {
            return router::remove(&self.http, model).await;
        }
        Err(refuse(self.name(), "remove models", "Delete the model's file on the server."))
    }

    async fn instances(&self) -> Result<Vec<Instance>> {
        let (entries, props) = self.list().await?;
        let props = props.filter(|_| !self.router.is_router());
        Ok(cost::instances(&self.http, &entries, props.as_ref(), &self.answering).await)
    }

    async fn watch(&self, out: mpsc::Sender<Change>) -> Result<()> {
        if self.is_router().await? {
            return router::watch(&self.http, &self.router, &out).await;
        }
        std::future::pending().await
    }

    fn preview(&self, request: &Request) -> RequestPreview {
        let notes = preview::ignored(&self.http.who, &request.parameters);
        preview::post(&self.http.who, self.http.shown(CHAT), &llama_body(request, self.learned.quirks()), notes)
    }

    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        let _answers = self.answering.begin(&request.model);
        let (stands, begun) = (Arc::new(Notify::new()), Notify::new());
        let answer = async {
            let response = loop {
                match send(&self.http, CHAT, &request, &self.learned, llama_body, &out, Some(&stands)).await {
                    Err(error) if error.kind == Kind::Starting => self.wait_until_up(&out).await?,
                    Err(error) if self.router.is_router() => return Err(router::explain(&self.http, &request.model, error).await),
                    other => break other?,
                }
            };
            begun.notify_one();
            receive(&self.http, response, &request, &out).await
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            result = &mut answer => return result,
            checked = self.look_on(&request.model, &stands, &begun, &out) => checked?,
        }
        answer.await
    }
}

impl LlamaServer {
    /// The list of models, and the properties if it tells them.
    async fn list(&self) -> Result<(Vec<Value>, Option<Value>)> {
        let (list, props) = tokio::join!(self.http.get("/v1/models"), self.http.get("/props"));
        let mut list = list?.body;
        // Without properties the list still stands.
        let props = props.ok().map(|answer| answer.body);
        if let Some(props) = &props {
            self.router.learn(props);
        }
        let found = entries(&list).ok_or_else(|| self.http.who.malformed("/v1/models has no list of models"))?;
        self.router.learn_from_list(found);
        let key = ["data", "models"].into_iter().find(|key| list.get(*key).is_some());
        let found = if let Some(key) = key { list[key].take() } else { list };
        Ok((if let Value::Array(entries) = found { entries } else { Vec::new() }, props))
    }

    /// Whether it is a router; asked for when that is not known.
    async fn is_router(&self) -> Result<bool> {
        if !self.router.is_known() {
            self.list().await?;
        }
        Ok(self.router.is_router())
    }

    /// Lays over the loaded models of a router what they say of themselves, which wakes no sleeper; and over the others what they said
    /// when they were loaded.
    async fn ask_loaded(&self, models: &mut [ModelInfo]) {
        let up = |model: &&mut ModelInfo| matches!(model.state, ModelState::Loaded | ModelState::Sleeping);
        let asked = models.iter_mut().filter(up).take(MOST_ASKED).map(|model| async {
            let path = format!("/props{}", cost::query(&model.name));
            if let Ok(Ok(answer)) = tokio::time::timeout(PROPS, self.http.get(&path)).await {
                facts::props(model, &answer.body);
                self.router.remember(&model.name, &model.capabilities);
            }
        });
        futures_util::future::join_all(asked).await;
        for model in models.iter_mut().filter(|model| !matches!(model.state, ModelState::Loaded | ModelState::Sleeping)) {
            let remembered = self.router.remembered(&model.name);
            facts::add(&mut model.capabilities, remembered.iter().map(String::as_str));
        }
    }

    /// Looks on while a request waits: at a router how the model is loaded for it, elsewhere whether the model is still the one that runs.
    async fn look_on(&self, model: &str, stands: &Notify, begun: &Notify, out: &Sink) -> Result<()> {
        stands.notified().await;
        if self.router.is_router() {
            tokio::select! {
                biased;
                () = begun.notified() => {}
                () = router::show_loading(&self.http, model, out) => begun.notified().await,
            }
        }
        self.check(model, out).await
    }

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
        if self.router.is_router() {
            // It says by itself that it does not have this model.
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
