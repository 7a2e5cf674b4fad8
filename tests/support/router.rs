//! A llama-server in router mode that does what a test says: loads step by step, evicts, fails, hangs, tells or does not tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::serve::{Asked, Gone, Handled, Handler, Out, Server};

/// How one model is loaded.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub state: &'static str,
    /// What is told while it loads, each after `pace`.
    pub steps: Vec<f64>,
    pub pace: Duration,
    /// So long after it was told, the router begins to load: it makes room first.
    pub delay: Duration,
    /// It never gets further than its steps.
    pub hangs: bool,
    /// Its process ends with this code instead of being loaded.
    pub fails: Option<i64>,
    pub exit_code: Option<i64>,
    pub can_remove: bool,
    /// Its process was started with this.
    pub arguments: Vec<String>,
}

/// How the router behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tells {
    #[default]
    Well,
    /// It has no `/models/sse`.
    Nothing,
    /// Its stream is cut after this many events.
    CutAfter(usize),
    /// It sends lines that mean nothing, without end.
    Garbage,
    /// The head of the stream comes, and nothing ever after.
    Silence,
}

struct State {
    models: BTreeMap<String, Model>,
    events: Vec<String>,
    most: usize,
    autoload: bool,
}

struct Shared {
    state: Mutex<State>,
    tells: Tells,
    news: watch::Sender<usize>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, model: &str, event: &str, data: &Value) {
        let mut state = self.lock();
        state.events.push(json!({ "model": model, "event": event, "data": data }).to_string());
        self.news.send_replace(state.events.len());
    }

    fn set(&self, model: &str, state: &'static str, code: Option<i64>) {
        if let Some(model) = self.lock().models.get_mut(model) {
            model.state = state;
            model.exit_code = code;
        }
        let mut data = json!({ "status": state });
        if let Some(code) = code {
            data["exit_code"] = json!(code);
        }
        self.tell(model, if state == "loading" { "model_status" } else { "status_change" }, &data);
    }

    /// Whether it is there and not running; it is then `loading`, and what had to make room is gone.
    async fn begin(&self, name: &str) -> Result<Model, (u16, &'static str)> {
        let (model, evicted) = {
            let state = self.lock();
            let model = state.models.get(name).ok_or((404, "File Not Found"))?;
            if model.state != "unloaded" {
                return Err((400, "model is already running"));
            }
            let running: Vec<String> = state.models.iter().filter(|(_, m)| m.state != "unloaded").map(|(n, _)| n.clone()).collect();
            let evicted: Vec<String> = if running.len() >= state.most { running.into_iter().take(1).collect() } else { Vec::new() };
            (model.clone(), evicted)
        };
        for gone in evicted {
            self.set(&gone, "unloaded", Some(0));
        }
        tokio::time::sleep(model.delay).await;
        self.set(name, "loading", None);
        Ok(model)
    }

    async fn load(&self, name: &str, model: &Model) -> bool {
        for step in &model.steps {
            tokio::time::sleep(model.pace).await;
            if self.lock().models[name].state != "loading" {
                return false;
            }
            let progress = json!({ "stages": ["text_model"], "current": "text_model", "value": step });
            self.tell(name, "status_change", &json!({ "status": "loading", "progress": progress }));
        }
        if model.hangs {
            std::future::pending::<()>().await;
        }
        match model.fails {
            Some(code) => self.set(name, "unloaded", Some(code)),
            None => self.set(name, "loaded", None),
        }
        model.fails.is_none()
    }
}

/// A running one.
pub struct Router {
    pub server: Server,
    shared: Arc<Shared>,
}

impl Router {
    pub fn start(models: &[(&str, Model)], most: usize, autoload: bool, tells: Tells) -> Self {
        let models = models
            .iter()
            .map(|(name, model)| {
                let state = if model.state.is_empty() { "unloaded" } else { model.state };
                ((*name).to_owned(), Model { state, ..model.clone() })
            })
            .collect();
        let state = State { models, events: Vec::new(), most, autoload };
        let shared = Arc::new(Shared { state: Mutex::new(state), tells, news: watch::channel(0).0 });
        let server = Server::start(0, Speaker(Arc::clone(&shared))).expect("a free port");
        Self { server, shared }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn state(&self, model: &str) -> &'static str {
        self.shared.lock().models[model].state
    }

    /// Something happens at the router by itself.
    pub fn happens(&self, model: &str, state: &'static str, code: Option<i64>) {
        self.shared.set(model, state, code);
    }
}

struct Speaker(Arc<Shared>);

impl Handler for Speaker {
    fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a> {
        Box::pin(async move {
            let body = asked.json();
            let name = body["model"].as_str().unwrap_or_default().to_owned();
            match asked.route().as_str() {
                "GET /health" => small(out, 200, &json!({ "status": "ok" })).await,
                // With a model it is asked of the model's own process.
                "GET /props" if asked.path.contains('?') => {
                    small(
                        out,
                        200,
                        &json!({
                            "default_generation_settings": { "n_ctx": 2048 }, "modalities": { "vision": true },
                            "chat_template_caps": { "supports_tools": true }, "is_sleeping": false,
                        }),
                    )
                    .await
                }
                "GET /props" => {
                    let autoload = self.0.lock().autoload;
                    small(out, 200, &json!({ "role": "router", "models_autoload": autoload, "build_info": "scripted" })).await
                }
                "GET /v1/models" | "GET /models" => self.list(out).await,
                "GET /models/sse" => self.events(out).await,
                "GET /slots" => small(out, 200, &json!([{ "id": 0, "n_ctx": 2048, "is_processing": true, "n_prompt_tokens": 100 }])).await,
                "POST /models/load" => match self.0.begin(&name).await {
                    Ok(model) => {
                        small(out, 200, &json!({ "success": true })).await?;
                        let shared = Arc::clone(&self.0);
                        tokio::spawn(async move { shared.load(&name, &model).await });
                        Ok(())
                    }
                    Err((status, says)) => refuse(out, status, says).await,
                },
                "POST /models/unload" => {
                    if self.0.lock().models.get(&name).is_none_or(|model| model.state == "unloaded") {
                        return refuse(out, 400, "model is not running").await;
                    }
                    self.0.set(&name, "unloaded", Some(0));
                    small(out, 200, &json!({ "success": true })).await
                }
                "DELETE /models" => {
                    let name =
                        asked.path.split_once("?model=").map(|(_, name)| name.replace("%2F", "/").replace("%3A", ":")).unwrap_or_default();
                    self.0.lock().models.remove(&name);
                    small(out, 200, &json!({ "success": true })).await
                }
                "POST /tokenize" => {
                    self.0.set(&name, "loaded", None);
                    small(out, 200, &json!({ "tokens": [] })).await
                }
                "POST /v1/chat/completions" => self.chat(&name, out).await,
                _ => refuse(out, 404, "File Not Found").await,
            }
        })
    }
}

impl Speaker {
    async fn list(&self, out: &mut Out) -> Result<(), Gone> {
        let data: Vec<Value> = {
            let state = self.0.lock();
            let entries = state.models.iter().map(|(name, model)| {
                let mut args = vec!["llama-server".to_owned(), "--model".to_owned(), format!("/srv/{name}-Q4_0.gguf")];
                args.extend(model.arguments.iter().cloned());
                let mut status = json!({ "value": model.state, "args": args });
                if let Some(code) = model.exit_code.filter(|code| *code != 0) {
                    status["exit_code"] = json!(code);
                    status["failed"] = json!(true);
                }
                json!({ "id": name, "aliases": [], "object": "model", "status": status, "can_remove": model.can_remove })
            });
            entries.collect()
        };
        small(out, 200, &json!({ "object": "list", "data": data })).await
    }

    async fn events(&self, out: &mut Out) -> Result<(), Gone> {
        if self.0.tells == Tells::Nothing {
            return refuse(out, 404, "File Not Found").await;
        }
        let mut news = self.0.news.subscribe();
        let mut at = *news.borrow_and_update();
        let begun = at;
        out.head(200, &[("Content-Type", "text/event-stream"), ("Server", "llama.cpp")], None).await?;
        match self.0.tells {
            Tells::Silence => return Err(out.hang().await),
            Tells::Garbage => loop {
                out.send(b"data: {\"model\":\"\\u001b[2J\",\"event\":7}\n\ndata: nonsense\n\n: \x1b]0;x\x07\nwhat\n").await?;
                out.pause(Duration::from_millis(1)).await?;
            },
            _ => {}
        }
        loop {
            let events: Vec<String> = self.0.lock().events[at..].to_vec();
            for event in events {
                at += 1;
                out.send(format!("data: {event}\n\n").as_bytes()).await?;
                if self.0.tells == Tells::CutAfter(at - begun) {
                    return Err(Gone);
                }
            }
            tokio::select! {
                _ = news.changed() => {}
                gone = out.hang() => return Err(gone),
            }
        }
    }

    async fn chat(&self, name: &str, out: &mut Out) -> Result<(), Gone> {
        let (known, state, autoload) = {
            let all = self.0.lock();
            (all.models.contains_key(name), all.models.get(name).map(|m| m.state), all.autoload)
        };
        if !known {
            return refuse(out, 400, &format!("model '{name}' not found")).await;
        }
        if state == Some("unloaded") {
            if !autoload {
                return refuse(out, 400, "model is not loaded").await;
            }
            if let Ok(model) = self.0.begin(name).await
                && !self.0.load(name, &model).await
            {
                let says = format!("model name={name} failed to load");
                return small(out, 500, &json!({ "error": { "code": 500, "message": says, "type": "server_error" } })).await;
            }
        }
        out.head(200, &[("Content-Type", "text/event-stream"), ("Server", "llama.cpp")], None).await?;
        for text in ["Hello", " there"] {
            out.send(format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "content": text } }] })).as_bytes()).await?;
        }
        out.send(b"data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"delta\":{}}]}\n\ndata: [DONE]\n\n").await?;
        out.end().await
    }
}

async fn small(out: &mut Out, status: u16, body: &Value) -> Result<(), Gone> {
    out.answer(status, &[("Content-Type", "application/json"), ("Server", "llama.cpp")], &body.to_string()).await
}

async fn refuse(out: &mut Out, status: u16, says: &str) -> Result<(), Gone> {
    small(out, status, &json!({ "error": { "code": status, "message": says, "type": "invalid_request_error" } })).await
}
