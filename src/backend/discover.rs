//! Finding servers on this machine.
//!
//! Owns: where to look, and telling servers apart by what they answer. Refuses: other machines (but for `OLLAMA_HOST`, which names
//! one), and any request that could load a model. Invariant: all places are asked at once, and it ends within [`LIMIT`].

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header;
use serde_json::Value;

use super::Spec;
use super::http::{Http, address, some_of};
use super::openai::entries;
use crate::proto::BackendKind;

/// Everything together.
pub const LIMIT: Duration = Duration::from_millis(1500);

/// One question; what is on this machine answers in a millisecond, a busy Python server in some hundred.
const ASK: Duration = Duration::from_millis(1300);

/// Ports that servers use when nothing else is said: Ollama, llama-server, LM Studio, vLLM.
const PORTS: [u16; 4] = [11434, 8080, 1234, 8000];

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// As Ollama's own variable has it: a host, a port, or both.
    pub ollama_host: Option<String>,
    /// Ports of this machine.
    pub ports: Vec<u16>,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Discovered {
    /// Ready to be built; one that wants a key is among them, and says so when it is asked.
    pub found: Vec<Spec>,
    /// Where it looked, in words.
    pub looked_at: String,
}

impl Default for Places {
    fn default() -> Self {
        Self { ollama_host: None, ports: PORTS.to_vec() }
    }
}

impl Places {
    /// `OLLAMA_HOST`, and the well-known ports or those of `ARBOUR_DISCOVER_PORTS` (separated by commas; empty is none).
    #[must_use]
    pub fn from_env() -> Self {
        Self::from(std::env::var("OLLAMA_HOST").ok().as_deref(), std::env::var("ARBOUR_DISCOVER_PORTS").ok().as_deref())
    }

    /// The same from given values.
    #[must_use]
    pub fn from(ollama_host: Option<&str>, ports: Option<&str>) -> Self {
        let ports = ports.map_or_else(|| PORTS.to_vec(), |list| list.split(',').filter_map(|port| port.trim().parse().ok()).collect());
        Self { ollama_host: ollama_host.map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned), ports }
    }

    /// Every address once, Ollama's own first.
    fn addresses(&self) -> Vec<String> {
        let own = self.ollama_host.as_deref().and_then(ollama_address);
        let mut out: Vec<String> = Vec::new();
        for url in own.into_iter().chain(self.ports.iter().map(|port| format!("http://127.0.0.1:{port}"))) {
            if !out.contains(&url) {
                out.push(url);
            }
        }
        out
    }

    fn in_words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        if let Some(host) = &self.ollama_host {
            words.push(format!("OLLAMA_HOST ({})", crate::error::harmless(host)));
        }
        words.extend(self.ports.iter().map(ToString::to_string));
        words.join(", ")
    }
}

/// `OLLAMA_HOST` as Ollama reads it: no scheme is http, no port is 11434 (80 and 443 with a scheme), and an address to listen on
/// everywhere is reached on this machine.
fn ollama_address(host: &str) -> Option<String> {
    let has_scheme = host.contains("://");
    let host = if host.starts_with(':') { format!("127.0.0.1{host}") } else { host.to_owned() };
    let mut url = address(&host).ok()?;
    if url.port().is_none() && !has_scheme {
        url.set_port(Some(11434)).ok()?;
    }
    if matches!(url.host_str(), Some("0.0.0.0" | "[::]" | "localhost")) {
        url.set_host(Some("127.0.0.1")).ok()?;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

/// Looks at all places at once.
pub async fn discover(places: &Places) -> Discovered {
    let looking = places.addresses().into_iter().map(|url| async move {
        let spec = Spec { url, discovered: true, ..Spec::default() };
        let http = Http::new(&spec, BackendKind::OpenAi).ok()?;
        let kind = tokio::time::timeout(LIMIT, kind_of(&http)).await.ok().flatten()?;
        Some(Spec { name: name(kind, &spec.url), kind: Some(kind), ..spec })
    });
    let mut found: Vec<Spec> = Vec::new();
    for spec in join_all(looking).await.into_iter().flatten() {
        // The same name twice can only be Ollama under two addresses; the one that its variable names counts.
        if !found.iter().any(|other| other.name == spec.name) {
            found.push(spec);
        }
    }
    Discovered { found, looked_at: places.in_words() }
}

/// Its kind's word where a server of that kind is expected, else with the port: a name must not depend on what else runs.
fn name(kind: BackendKind, url: &str) -> String {
    let port = address(url).ok().and_then(|url| url.port_or_known_default()).unwrap_or_default();
    match (kind, port) {
        (BackendKind::Ollama, 11434) => "ollama".to_owned(),
        (BackendKind::LlamaServer, 8080) => "llama-server".to_owned(),
        (BackendKind::OpenAi, port) => format!("local-{port}"),
        (kind, port) => format!("{}-{port}", kind.word()),
    }
}

/// What answers there, if it is a server of models.
async fn kind_of(http: &Http) -> Option<BackendKind> {
    let (version, props, models) = tokio::join!(ask(http, "/api/version"), ask(http, "/props"), ask(http, "/v1/models"));
    let is_llama = |answer: &Option<Answer>| answer.as_ref().is_some_and(|a| a.server.starts_with("llama.cpp"));
    let says = |answer: &Option<Answer>, key: &str| answer.as_ref().is_some_and(|a| a.status == 200 && a.body.get(key).is_some());
    if is_llama(&props) || is_llama(&models) || says(&props, "default_generation_settings") {
        Some(BackendKind::LlamaServer)
    } else if says(&version, "version") {
        Some(BackendKind::Ollama)
    } else {
        let models = models?;
        let lists = models.status == 200 && entries(&models.body).is_some();
        // Anything may ask for a password; a server of models says so in JSON.
        let wants_key = matches!(models.status, 401 | 403) && (models.body.get("error").is_some() || models.body.get("detail").is_some());
        (lists || wants_key).then_some(BackendKind::OpenAi)
    }
}

struct Answer {
    status: u16,
    server: String,
    body: Value,
}

async fn ask(http: &Http, path: &str) -> Option<Answer> {
    let work = async {
        let response = http.any(path).await.ok()?;
        let status = response.status().as_u16();
        let server = response.headers().get(header::SERVER).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let body = some_of(response, 1 << 20).await;
        Some(Answer { status, server, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    };
    tokio::time::timeout(ASK, work).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ollamas_own_variable() {
        for (host, url) in [
            ("127.0.0.1:11435", "http://127.0.0.1:11435"),
            ("box", "http://box:11434"),
            (":8888", "http://127.0.0.1:8888"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("https://ollama.example.com", "https://ollama.example.com"),
            ("http://[::]:11434", "http://127.0.0.1:11434"),
        ] {
            assert_eq!(ollama_address(host).as_deref(), Some(url), "{host}");
        }
    }

    #[test]
    fn looks_once_at_each_address() {
        let places = Places::from(Some("localhost"), None);
        assert_eq!(
            places.addresses(),
            ["http://127.0.0.1:11434", "http://127.0.0.1:8080", "http://127.0.0.1:1234", "http://127.0.0.1:8000"]
        );
        assert_eq!(places.in_words(), "OLLAMA_HOST (localhost), 11434, 8080, 1234, 8000");
        assert!(Places::from(None, Some("")).addresses().is_empty());
        assert_eq!(Places::from(Some(" "), Some("1, x,2")).ports, [1, 2]);
    }

    #[test]
    fn names_do_not_depend_on_what_else_runs() {
        assert_eq!(name(BackendKind::Ollama, "http://127.0.0.1:11434"), "ollama");
        assert_eq!(name(BackendKind::LlamaServer, "http://127.0.0.1:1234"), "llama-server-1234");
        assert_eq!(name(BackendKind::OpenAi, "http://127.0.0.1:8000"), "local-8000");
    }
}
