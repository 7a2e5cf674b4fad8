//! Backends: the servers and engines that run models.
//!
//! Owns: the trait [`Backend`], the registry [`BACKENDS`], one file per kind, and pure parsers of what they send. Refuses:
//! conversations, the database, retries (the host decides). Invariant: cancelling is dropping the future; a backend never
//! panics at what a server sends, and turns every failure into an [`Error`] that says what to do.

mod ability;
pub mod anthropic;
pub mod discover;
pub mod echo;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod failure;
pub mod fault;
pub mod gguf;
pub mod http;
mod inspect;
mod llama_server;
pub mod ndjson;
pub mod ollama;
pub mod openai;
mod preview;
mod sink;
pub mod sse;
pub mod stream;
pub mod think;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result};
use crate::proto::{BackendKind, Finish, Inspection, Instance, ModelInfo, Parameters, RequestPreview};

pub use crate::core::prompt::{Call, File, Message, Returned};
pub(crate) use ability::refuse;
pub use ability::{Abilities, Change, PullProgress};
pub use sink::{Sink, Source, Update, channel};

/// How to reach one backend. Yielded by `config`, by discovery, or by a person.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    pub name: String,
    pub kind: Option<BackendKind>,
    /// Base address without a trailing slash; empty for `embedded`.
    pub url: String,
    /// The key itself, when there is one. Never logged, never stored; only its origin may be shown.
    pub key: Option<Secret>,
    /// How the key is named to people (`$KEY_NAME`, or the command's first word).
    pub key_origin: Option<String>,
    /// Found on this machine, not configured.
    pub discovered: bool,
    /// `embedded`: folders and files of GGUF models.
    pub models: Vec<std::path::PathBuf>,
}

impl Spec {
    /// The same, when its address ends with `tail` without that: people copy addresses with the path of one request.
    fn without(&self, tail: &str) -> Self {
        let url = self.url.trim_end_matches('/').strip_suffix(tail).unwrap_or(&self.url).to_owned();
        Self { url, ..self.clone() }
    }
}

/// A value that must not be printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }
    /// The value, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub model: String,
    /// System prompt first (as a `Role::System` message), then the path of first parents. When `continues` is set the last
    /// message is the assistant's, to be continued.
    pub messages: Vec<Message>,
    pub parameters: Parameters,
    /// The last message is an unfinished answer: go on where it ends.
    pub continues: bool,
    /// Stable for the life of a conversation: engines keep their prompt cache by it.
    pub conversation: String,
}

/// What a probe learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub version: Option<String>,
    /// Round trip in milliseconds.
    pub latency_ms: f64,
}

/// A running server or engine.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;
    fn kind(&self) -> BackendKind;
    fn url(&self) -> Option<&str>;

    /// Asks whether it is there. Must not wake a sleeping model. Bounded to 5 s.
    async fn probe(&self) -> Result<Probe>;

    /// All models, with state, size and the context in force as far as the backend tells. Must not load anything.
    async fn models(&self) -> Result<Vec<ModelInfo>>;

    /// One model with everything that costs a further request (`/api/show`, `/props`).
    async fn model(&self, name: &str) -> Result<ModelInfo>;

    /// Loads a model. Progress goes to the sink as [`Update::Phase`] with `State::Loading` and permille.
    async fn start(&self, model: &str, parameters: &Parameters, out: Sink) -> Result<()>;

    /// Unloads a model.
    async fn stop(&self, model: &str) -> Result<()>;

    /// What it can do with its models. Known without asking the network, or from the last probe.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// Everything that is known of one model: template, licence, metadata, what decides its memory. Must not load anything.
    async fn inspect(&self, name: &str) -> Result<Inspection> {
        Ok(Inspection::of(self.model(name).await?))
    }

    /// What each loaded model costs to run now. Must not wake a sleeping model. Bounded to 5 s.
    async fn instances(&self) -> Result<Vec<Instance>> {
        Ok(Vec::new())
    }

    /// Tells of changes as they happen, for as long as the future lives. Ends with an error when the connection breaks; a backend
    /// that tells nothing by itself never ends.
    async fn watch(&self, _out: mpsc::Sender<Change>) -> Result<()> {
        std::future::pending().await
    }

    /// Fetches a model from the backend's registry. Dropping the future ends it; what came is kept, where the backend keeps it.
    async fn pull(&self, _source: &str, _out: mpsc::Sender<PullProgress>) -> Result<()> {
        Err(refuse(self.name(), "fetch models", "Pull into a backend that can: Ollama, or the embedded engine."))
    }

    /// Gives a model a second name.
    async fn copy(&self, _model: &str, _to: &str) -> Result<()> {
        Err(refuse(self.name(), "copy models", "Copying works with Ollama."))
    }

    /// Deletes a model's files.
    async fn remove(&self, _model: &str) -> Result<()> {
        Err(refuse(self.name(), "remove models", "Delete the model's file on the server, or take it out of the server's settings."))
    }

    /// Exactly what [`Backend::generate`] would send, without secrets.
    fn preview(&self, request: &Request) -> RequestPreview;

    /// Produces an answer. Phases, text and figures go to the sink; the future ends with the finish reason. Dropping it cancels
    /// the work at the backend. Text that came before an error stays with the caller.
    async fn generate(&self, request: Request, out: Sink) -> Result<Finish>;

    /// Makes a model file on this machine known for as long as the backend lives, and gives the model's name. Blocks for a
    /// moment: it reads the head of the file.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] unless the backend runs files itself; else why the file cannot be run.
    fn open_file(&self, _path: &Path) -> Result<String> {
        Err(Error::new(Kind::Unsupported, format!("The backend `{}` does not open model files.", self.name()))
            .hint("Files are opened by the embedded engine."))
    }
}

/// One kind of backend.
pub struct Entry {
    pub kind: BackendKind,
    /// The word in config, and one sentence for `doctor`, help and the add-a-server form.
    pub word: &'static str,
    pub about: &'static str,
    pub build: fn(&Spec) -> Result<Arc<dyn Backend>, Error>,
}

/// Every kind, in the order in which people are offered them.
pub const BACKENDS: &[Entry] = &[
    Entry {
        kind: BackendKind::Ollama,
        word: "ollama",
        about: "Ollama: it keeps many models and loads them when they are asked for.",
        build: ollama::build,
    },
    Entry {
        kind: BackendKind::LlamaServer,
        word: "llama-server",
        about: "llama.cpp's own server: one model, or as a router many, which it loads and unloads.",
        build: llama_server::build,
    },
    Entry {
        kind: BackendKind::OpenAi,
        word: "openai",
        about: "Any server or service that speaks OpenAI's chat completions (vLLM, LM Studio, hosted models…).",
        build: openai::build,
    },
    Entry {
        kind: BackendKind::Anthropic,
        word: "anthropic",
        about: "Anthropic's messages, and servers that speak them (llama-server, proxies).",
        build: anthropic::build,
    },
    #[cfg(feature = "embedded")]
    Entry {
        kind: BackendKind::Embedded,
        word: "embedded",
        about: "The engine inside arbour: GGUF files on the processor, no server needed.",
        build: embedded::build,
    },
];

/// Whether what runs at this address runs on this machine; the empty address is that of an engine inside.
#[must_use]
pub fn is_here(url: &str) -> bool {
    url.is_empty() || http::address(url).is_ok_and(|url| http::is_loopback(&url))
}

/// Makes the backend that a spec describes. Asks nothing of the network.
///
/// # Errors
/// [`Kind::Config`] when the kind is missing or not built in, or the address cannot be used.
pub fn build(spec: &Spec) -> Result<Arc<dyn Backend>> {
    let words = || BACKENDS.iter().map(|entry| entry.word).collect::<Vec<_>>().join(", ");
    let name = crate::error::quoted(&spec.name);
    let Some(kind) = spec.kind else {
        return Err(
            Error::new(Kind::Config, format!("The backend {name} does not say of which kind it is.")).hint(format!("Kinds: {}.", words()))
        );
    };
    match BACKENDS.iter().find(|entry| entry.kind == kind) {
        Some(entry) => (entry.build)(spec),
        None => {
            Err(Error::new(Kind::Config, format!("This arbour was built without the kind {}, which the backend {name} has.", kind.word()))
                .hint(format!("Kinds that are built in: {}.", words())))
        }
    }
}
