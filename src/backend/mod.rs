//! Backends: the servers and engines that run models.
//!
//! Owns: the trait [`Backend`], the registry [`BACKENDS`], one file per kind, and pure parsers of what they send. Refuses:
//! conversations, the database, retries (the host decides). Invariant: cancelling is dropping the future; a backend never
//! panics at what a server sends, and turns every failure into an [`Error`] that says what to do.

mod sink;

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::proto::{BackendKind, Finish, ModelInfo, Parameters, RequestPreview};

pub use crate::core::prompt::Message;
pub use sink::{Sink, Update, channel};

/// How to reach one backend. Yielded by `config`, by discovery, or by a person.
#[derive(Clone, Default)]
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

    /// Exactly what [`Backend::generate`] would send, without secrets.
    fn preview(&self, request: &Request) -> RequestPreview;

    /// Produces an answer. Phases, text and figures go to the sink; the future ends with the finish reason. Dropping it cancels
    /// the work at the backend. Text that came before an error stays with the caller.
    async fn generate(&self, request: Request, out: Sink) -> Result<Finish>;
}

/// One kind of backend.
pub struct Entry {
    pub kind: BackendKind,
    /// The word in config, and one sentence for `doctor`, help and the add-a-server form.
    pub word: &'static str,
    pub about: &'static str,
    pub build: fn(&Spec) -> Result<Arc<dyn Backend>, Error>,
}
