//! A server of one model that does what a script says: writes at a given speed, waits, refuses, breaks off, hangs, talks nonsense.
//! It speaks as an OpenAI-compatible service, as llama-server (alone or as a router), as Ollama, or as Anthropic.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::serve::{Asked, Gone, Handled, Handler, Out, Server};

/// As what it speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    #[default]
    OpenAi,
    LlamaServer,
    /// llama-server in router mode, its model loaded.
    Router,
    Ollama,
    Anthropic,
}

/// What happens after `after` tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accident {
    /// The connection is closed.
    Disconnect,
    /// Nothing more comes, and the connection stays.
    Hang,
    /// A frame that the protocol does not know.
    Malformed,
    /// One frame of so many bytes.
    Huge(usize),
    /// An error in the stream, in the dialect's form.
    Error(String),
}

/// An answer that is no chat.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What the server does with a chat.
#[derive(Debug, Clone)]
pub struct Script {
    pub thinking: String,
    pub text: String,
    /// Tokens a second; 0 is as fast as it goes.
    pub rate: f64,
    /// Until the answer's head is sent.
    pub before_head: Duration,
    /// From there until the first token (a prompt being read).
    pub before_first: Duration,
    pub accident: Option<(usize, Accident)>,
    /// Answers with this status, these headers and this body instead.
    pub refusal: Option<Refusal>,
    pub finish: String,
    pub usage: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self::says("Hello! How can I help you today?")
    }
}

impl Script {
    /// Writes this as fast as it goes.
    pub fn says(text: &str) -> Self {
        Self {
            thinking: String::new(),
            text: text.to_owned(),
            rate: 0.0,
            before_head: Duration::ZERO,
            before_first: Duration::ZERO,
            accident: None,
            refusal: None,
            finish: "stop".into(),
            usage: true,
        }
    }

    #[must_use]
    pub fn thinks(mut self, text: &str) -> Self {
        self.thinking = text.to_owned();
        self
    }

    /// So many tokens a second.
    #[must_use]
    pub fn at(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    #[must_use]
    pub fn after(mut self, tokens: usize, accident: Accident) -> Self {
        self.accident = Some((tokens, accident));
        self
    }

    #[must_use]
    pub fn waits(mut self, before_head: Duration, before_first: Duration) -> Self {
        self.before_head = before_head;
        self.before_first = before_first;
        self
    }

    /// Refuses with a status and an error of the usual form.
    pub fn refuses(status: u16, message: &str) -> Self {
        let body = json!({ "error": { "message": message, "type": "scripted_error", "code": status } }).to_string();
        Self { refusal: Some(Refusal { status, headers: Vec::new(), body }), ..Self::default() }
    }

    /// Adds a header to a refusal.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Some(refusal) = &mut self.refusal {
            refusal.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

#[derive(Default)]
struct Plan {
    /// For the next chats, in order.
    next: VecDeque<Script>,
    /// For all others.
    usual: Script,
}

/// A running scripted server.
pub struct Scripted {
    pub server: Server,
    plan: Arc<Mutex<Plan>>,
}

impl Scripted {
    /// Starts on a free port, with this script for every chat. The model is called `scripted`.
    pub fn start(dialect: Dialect, script: Script) -> Self {
        Self::start_on(0, dialect, script).expect("a free port")
    }

    pub fn start_on(port: u16, dialect: Dialect, script: Script) -> io::Result<Self> {
        let plan = Arc::new(Mutex::new(Plan { next: VecDeque::new(), usual: script }));
        let server = Server::start(port, Speaker { dialect, plan: Arc::clone(&plan) })?;
        Ok(Self { server, plan })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The next chat goes by this script; the ones after it by those queued after it, then by the usual one.
    pub fn queue(&self, script: Script) {
        lock(&self.plan).next.push_back(script);
    }

    /// From now on all chats that nothing is queued for go by this script.
    pub fn set(&self, script: Script) {
        lock(&self.plan).usual = script;
    }

    /// The bodies of all chats that were asked for.
    pub fn chats(&self) -> Vec<Value> {
        self.server.asked().iter().filter(|a| is_chat(a)).map(Asked::json).filter(|body| body["messages"] != json!([])).collect()
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_chat(asked: &Asked) -> bool {
    matches!(asked.route().as_str(), "POST /v1/chat/completions" | "POST /chat/completions" | "POST /api/chat" | "POST /v1/messages")
}

struct Speaker {
    dialect: Dialect,
    plan: Arc<Mutex<Plan>>,
}

impl Handler for Speaker {
    fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a> {
        Box::pin(async move {
            if is_chat(&asked) {
                if asked.json()["messages"] == json!([]) {
                    return self
                        .small(out, &json!({ "model": "scripted", "message": { "role": "assistant", "content": "" }, "done": true }))
                        .await;
                }
                let script = {
                    let mut plan = lock(&self.plan);
                    plan.next.pop_front().unwrap_or_else(|| plan.usual.clone())
                };
                return self.chat(&script, out).await;
            }
            match self.fact(&asked.route()) {
                Some(body) => self.small(out, &body).await,
                None => {
                    out.answer(
                        404,
                        &self.headers("application/json"),
                        r#"{"error":{"message":"File Not Found","type":"not_found_error","code":404}}"#,
                    )
                    .await
                }
            }
        })
    }
}

impl Speaker {
    fn headers(&self, kind: &'static str) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![("Content-Type", kind)];
        if matches!(self.dialect, Dialect::LlamaServer | Dialect::Router) {
            headers.push(("Server", "llama.cpp"));
        }
        headers
    }

    async fn small(&self, out: &mut Out, body: &Value) -> Result<(), Gone> {
        out.answer(200, &self.headers("application/json"), &body.to_string()).await
    }

    fn fact(&self, route: &str) -> Option<Value> {
        let details = json!({ "format": "gguf", "family": "script", "quantization_level": "Q4_1" });
        Some(match (self.dialect, route) {
            (Dialect::OpenAi, "GET /v1/models") => json!({ "object": "list", "data": [{ "id": "scripted", "object": "model" }] }),
            (Dialect::Anthropic, "GET /v1/models") => json!({
                "data": [{ "type": "model", "id": "scripted", "display_name": "Scripted", "max_input_tokens": 200_000, "max_tokens": 64_000 }],
                "has_more": false, "first_id": "scripted", "last_id": "scripted",
            }),
            (Dialect::LlamaServer, "GET /v1/models") => json!({
                "object": "list",
                "data": [{ "id": "scripted", "object": "model", "owned_by": "llamacpp",
                           "meta": { "n_ctx": 4096, "n_ctx_train": 8192, "size": 98_000_000, "ftype": "Q4_1" } }],
            }),
            (Dialect::Router, "GET /v1/models") => json!({
                "object": "list",
                "data": [{ "id": "scripted", "object": "model", "owned_by": "llamacpp", "can_remove": false,
                           "status": { "value": "loaded", "args": ["llama-server", "--model", "/srv/scripted.gguf"] },
                           "meta": { "n_ctx": 4096, "n_ctx_train": 8192, "size": 98_000_000, "ftype": "Q4_1" } }],
            }),
            (Dialect::Router, "GET /props") => json!({
                "role": "router", "models_autoload": true, "default_generation_settings": { "params": null, "n_ctx": 0 },
                "build_info": "scripted",
            }),
            (Dialect::LlamaServer | Dialect::Router, "GET /health") => json!({ "status": "ok" }),
            (Dialect::LlamaServer, "GET /props") => json!({
                "default_generation_settings": { "n_ctx": 4096 }, "total_slots": 1, "model_ftype": "Q4_1",
                "build_info": "scripted", "is_sleeping": false,
            }),
            (Dialect::Ollama, "GET /api/version") => json!({ "version": "0.0.0-scripted" }),
            (Dialect::Ollama, "GET /api/tags") => {
                json!({ "models": [{ "name": "scripted:latest", "size": 98_000_000, "details": details, "capabilities": ["completion"] }] })
            }
            (Dialect::Ollama, "GET /api/ps") => {
                json!({ "models": [{ "name": "scripted:latest", "size": 120_000_000, "size_vram": 0, "context_length": 4096,
                                     "expires_at": "2319-03-04T06:54:25Z", "details": details }] })
            }
            (Dialect::Ollama, "POST /api/show") => {
                json!({ "details": details, "parameters": "", "model_info": {}, "capabilities": ["completion"] })
            }
            _ => return None,
        })
    }

    async fn chat(&self, script: &Script, out: &mut Out) -> Result<(), Gone> {
        out.pause(script.before_head).await?;
        if let Some(Refusal { status, headers, body }) = &script.refusal {
            let mut all: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            all.push(("Content-Type", "application/json"));
            return out.answer(*status, &all, body).await;
        }
        let kind = if self.dialect == Dialect::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        out.head(200, &self.headers(kind), None).await?;
        let thinking = tokens(&script.thinking).into_iter().map(|t| (true, t));
        let all: Vec<(bool, &str)> = thinking.chain(tokens(&script.text).into_iter().map(|t| (false, t))).collect();
        if matches!(self.dialect, Dialect::LlamaServer | Dialect::Router) {
            self.read_prompt(script, out).await?;
        } else {
            out.pause(script.before_first).await?;
        }
        let begun = tokio::time::Instant::now();
        for (nth, (thinks, token)) in all.iter().enumerate() {
            if let Some((at, accident)) = &script.accident
                && *at == nth
            {
                self.accident(accident, out).await?;
            }
            out.send(self.token(*thinks, token).as_bytes()).await?;
            if script.rate > 0.0 {
                // By the clock and not by the pause, so that the rate holds on a busy machine.
                let due = begun + Duration::from_secs_f64((nth + 1) as f64 / script.rate);
                out.pause(due.saturating_duration_since(tokio::time::Instant::now())).await?;
            } else if nth % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        if let Some((at, accident)) = &script.accident
            && *at >= all.len()
        {
            self.accident(accident, out).await?;
        }
        out.send(self.last(script, all.len()).as_bytes()).await?;
        out.end().await
    }

    async fn read_prompt(&self, script: &Script, out: &mut Out) -> Result<(), Gone> {
        for done in [0u32, 16, 32] {
            let progress = json!({
                "choices": [{ "index": 0, "finish_reason": null, "delta": { "role": "assistant", "content": null } }],
                "prompt_progress": { "total": 32, "cache": 0, "processed": done, "time_ms": done },
            });
            out.send(event(&progress).as_bytes()).await?;
            out.pause(script.before_first / 3).await?;
        }
        Ok(())
    }

    fn token(&self, thinks: bool, token: &str) -> String {
        match self.dialect {
            Dialect::Ollama => {
                let message = if thinks {
                    json!({ "role": "assistant", "content": "", "thinking": token })
                } else {
                    json!({ "role": "assistant", "content": token })
                };
                format!("{}\n", json!({ "model": "scripted", "message": message, "done": false }))
            }
            Dialect::Anthropic => {
                let (index, delta) = if thinks {
                    (0, json!({ "type": "thinking_delta", "thinking": token }))
                } else {
                    (1, json!({ "type": "text_delta", "text": token }))
                };
                named("content_block_delta", &json!({ "type": "content_block_delta", "index": index, "delta": delta }))
            }
            Dialect::OpenAi | Dialect::LlamaServer | Dialect::Router => {
                let key = if thinks { "reasoning_content" } else { "content" };
                event(
                    &json!({ "choices": [{ "index": 0, "finish_reason": null, "delta": { key: token } }], "object": "chat.completion.chunk" }),
                )
            }
        }
    }

    fn last(&self, script: &Script, tokens: usize) -> String {
        let mut usage = json!({ "prompt_tokens": 32, "completion_tokens": tokens, "total_tokens": 32 + tokens });
        if self.dialect == Dialect::Ollama {
            let mut last = json!({ "model": "scripted", "message": { "role": "assistant", "content": "" }, "done": true, "done_reason": script.finish });
            if script.usage {
                last["prompt_eval_count"] = usage["prompt_tokens"].take();
                last["eval_count"] = usage["completion_tokens"].take();
                last["prompt_eval_duration"] = json!(20_000_000);
                last["eval_duration"] = json!(tokens * 10_000_000);
                last["load_duration"] = json!(1_000_000);
            }
            return format!("{last}\n");
        }
        if self.dialect == Dialect::Anthropic {
            let reason = match script.finish.as_str() {
                "stop" => "end_turn",
                "length" => "max_tokens",
                other => other,
            };
            let mut delta = json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null } });
            if script.usage {
                delta["usage"] = json!({ "input_tokens": 32, "output_tokens": tokens });
            }
            return named("message_delta", &delta) + &named("message_stop", &json!({ "type": "message_stop" }));
        }
        let mut text = event(&json!({ "choices": [{ "index": 0, "finish_reason": script.finish, "delta": {} }] }));
        if script.usage {
            text.push_str(&event(&json!({ "choices": [], "usage": usage })));
        }
        text.push_str("data: [DONE]\n\n");
        text
    }

    async fn accident(&self, accident: &Accident, out: &mut Out) -> Result<(), Gone> {
        match accident {
            Accident::Disconnect => Err(Gone),
            Accident::Hang => Err(out.hang().await),
            Accident::Malformed if self.dialect == Dialect::Ollama => out.send(b"{\"message\": nonsense\n").await,
            Accident::Malformed => out.send(b"data: {\"choices\": nonsense\n\n").await,
            Accident::Huge(bytes) => {
                let token = self.token(false, &"x".repeat(*bytes));
                for piece in token.as_bytes().chunks(1 << 16) {
                    out.send(piece).await?;
                }
                Ok(())
            }
            Accident::Error(text) if self.dialect == Dialect::Ollama => {
                out.send(format!("{}\n", json!({ "error": text })).as_bytes()).await
            }
            Accident::Error(text) if self.dialect == Dialect::Anthropic => {
                out.send(named("error", &json!({ "type": "error", "error": { "type": "api_error", "message": text } })).as_bytes()).await
            }
            Accident::Error(text) => {
                out.send(event(&json!({ "error": { "message": text, "type": "server_error", "code": 500 } })).as_bytes()).await
            }
        }
    }
}

fn named(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// Cuts a text as tokenizers do, roughly: words with the blank before them, at most 8 letters.
fn tokens(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut letters = 0;
    for (at, c) in text.char_indices() {
        if at > from && (c == ' ' || c == '\n' || letters >= 8) {
            out.push(&text[from..at]);
            from = at;
            letters = 0;
        }
        letters += 1;
    }
    if from < text.len() {
        out.push(&text[from..]);
    }
    out
}
