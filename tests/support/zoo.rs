//! An Ollama with several models, each of which can be loaded and unloaded.

#![allow(dead_code, reason = "each test binary that includes this uses a part of it")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::serve::{Asked, Handled, Handler, Out, Server};

/// The server, and what it has loaded.
pub struct Zoo {
    pub server: Server,
    loaded: Arc<Mutex<BTreeSet<String>>>,
}

struct Keeper {
    names: Vec<String>,
    loaded: Arc<Mutex<BTreeSet<String>>>,
}

impl Zoo {
    /// With models of these names, none of them loaded.
    pub fn start(names: &[&str]) -> Self {
        let loaded = Arc::new(Mutex::new(BTreeSet::new()));
        let keeper = Keeper { names: names.iter().map(|name| (*name).to_owned()).collect(), loaded: Arc::clone(&loaded) };
        Self { server: Server::start(0, keeper).expect("a free port"), loaded }
    }

    pub fn loaded(&self) -> Vec<String> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Keeper {
    fn answer(&self, asked: &Asked) -> Option<Value> {
        let details = json!({ "format": "gguf", "family": "zoo", "quantization_level": "Q4_1" });
        let entry = |name: &String| json!({ "name": name, "size": 98_000_000, "details": details, "capabilities": ["completion"] });
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match asked.route().as_str() {
            "GET /api/version" => json!({ "version": "0.0.0-zoo" }),
            "GET /api/tags" => json!({ "models": self.names.iter().map(entry).collect::<Vec<_>>() }),
            "GET /api/ps" => {
                let row = |name: &String| {
                    json!({ "name": name, "size": 120_000_000, "size_vram": 0, "context_length": 4096,
                                                  "expires_at": "2319-03-04T06:54:25Z", "details": details })
                };
                json!({ "models": loaded.iter().map(row).collect::<Vec<_>>() })
            }
            "POST /api/show" => json!({ "details": details, "parameters": "", "model_info": {}, "capabilities": ["completion"] }),
            "POST /api/chat" => {
                let body = asked.json();
                let name = body["model"].as_str().unwrap_or_default().to_owned();
                if body["keep_alive"] == json!(0) {
                    loaded.remove(&name);
                } else {
                    loaded.insert(name.clone());
                }
                json!({ "model": name, "message": { "role": "assistant", "content": "" }, "done": true, "done_reason": "load" })
            }
            _ => return None,
        })
    }
}

impl Handler for Keeper {
    fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a> {
        let answer = self.answer(&asked);
        Box::pin(async move {
            let headers = [("Content-Type", "application/json")];
            match answer {
                Some(body) => out.answer(200, &headers, &body.to_string()).await,
                None => out.answer(404, &headers, r#"{"error":"not found"}"#).await,
            }
        })
    }
}
