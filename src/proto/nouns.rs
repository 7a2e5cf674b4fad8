//! The nouns of product.md: conversation, node, part, backend, model, metric sample.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Card, Instance, NodeId, Run, State, UnixMs};
use crate::error::Error;

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl Role {
    /// The word that protocols, the database and `--json` use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A typed piece of a message. Text is as it came: whoever shows it makes it harmless (`sanitise`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Text {
        text: String,
    },
    Thinking {
        text: String,
    },
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    ToolResult {
        id: String,
        content: String,
    },
    /// A picture in the store of attachments, as it was attached; it is scaled when it is sent. `blob` is the SHA-256 of its bytes, in hex.
    Image {
        blob: String,
        mime: String,
        name: String,
        #[serde(default)]
        facts: Facts,
    },
    /// A text file in the store of attachments.
    File {
        blob: String,
        mime: String,
        name: String,
        #[serde(default)]
        facts: Facts,
    },
}

/// What is known of an attachment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub bytes: u64,
    /// What it adds to a prompt, in tokens; an estimate.
    pub tokens: u32,
    /// Of a picture, in pixels.
    pub width: u32,
    pub height: u32,
}

/// The parts of one message, in order.
pub type Content = Vec<Part>;

/// All text parts of a message, joined; no thinking, no tool traffic.
#[must_use]
pub fn content_text(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        if let Part::Text { text } = part {
            out.push_str(text);
        }
    }
    out
}

/// A model of a backend, by the two names that identify it. Shown as `backend/model`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelRef {
    pub backend: String,
    pub model: String,
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.model)
    }
}

/// A message without its content: what a tree and a header need. Append-only but for `state`, `run`, `hidden` and the measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    /// The first parent; what is sent to a model is the path of first parents.
    pub parent: Option<NodeId>,
    /// Provenance of a merge; never sent.
    #[serde(default)]
    pub further_parents: Vec<NodeId>,
    pub role: Role,
    pub state: State,
    pub created: UnixMs,
    /// The model that answered, or is to answer.
    #[serde(default)]
    pub model: Option<super::ModelRef>,
    /// This answer begins with the text of that sibling.
    #[serde(default)]
    pub continues: Option<NodeId>,
    #[serde(default)]
    pub copy_of: Option<NodeId>,
    /// First line of the text, at most 80 characters, made harmless.
    #[serde(default)]
    pub snippet: String,
    /// Length of all text and thinking, in bytes of UTF-8.
    #[serde(default)]
    pub bytes: u64,
    /// What the message adds to a prompt, in tokens; an estimate (`core::estimate`).
    #[serde(default)]
    pub tokens: u32,
    /// The measured answer; only on answers.
    #[serde(default)]
    pub run: Option<Box<Run>>,
    /// Taken back by undo; kept, not shown.
    #[serde(default)]
    pub hidden: bool,
    /// Put away with all that hangs below it: shown on request, never among versions, never sent.
    #[serde(default)]
    pub archived: bool,
    /// +1 good, −1 bad, 0 not rated.
    #[serde(default)]
    pub rating: i8,
    /// Emoji and short words, in the order in which they were added, each once.
    #[serde(default)]
    pub reactions: Vec<String>,
    /// The note of its bookmark, which may be empty; `None`: no bookmark.
    #[serde(default)]
    pub bookmark: Option<String>,
}

impl Node {
    /// A message of which nothing is measured yet.
    #[must_use]
    pub fn new(id: NodeId, parent: Option<NodeId>, role: Role, state: State, created: UnixMs) -> Self {
        Self {
            id,
            parent,
            further_parents: Vec::new(),
            role,
            state,
            created,
            model: None,
            continues: None,
            copy_of: None,
            snippet: String::new(),
            bytes: 0,
            tokens: 0,
            run: None,
            hidden: false,
            archived: false,
            rating: 0,
            reactions: Vec::new(),
            bookmark: None,
        }
    }
}

/// Request parameters and load settings by their names in `core::parameters::PARAMETERS`. Only what differs from the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub BTreeMap<String, Value>);

impl Parameters {
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        self.0.get(key).and_then(Value::as_f64)
    }
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.0.get(key).and_then(Value::as_i64)
    }
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }
    /// A list of strings (`stop`).
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<String> {
        match self.0.get(key) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(one)) => vec![one.clone()],
            _ => Vec::new(),
        }
    }
}

/// A kind of backend; the registry in `backend` has one entry each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    Ollama,
    LlamaServer,
    #[serde(rename = "openai")]
    OpenAi,
    Anthropic,
    Embedded,
}

impl BackendKind {
    /// The word that config, the database and `--json` use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::LlamaServer => "llama-server",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Embedded => "embedded",
        }
    }
}

/// What is known of a backend's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendState {
    /// Asked, no answer yet.
    Connecting,
    Up,
    /// It answers, and it is still loading (503).
    Starting,
    /// It wants a key.
    Unauthorized,
    Down,
}

/// A configured or discovered backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendStatus {
    pub name: String,
    pub kind: BackendKind,
    #[serde(default)]
    pub url: Option<String>,
    pub state: BackendState,
    /// Why it is not up.
    #[serde(default)]
    pub error: Option<Error>,
    #[serde(default)]
    pub version: Option<String>,
    /// The last probe's round trip in milliseconds.
    #[serde(default)]
    pub latency_ms: Option<f64>,
    /// It answers, but slowly: the last round trips took long.
    #[serde(default)]
    pub slow: bool,
    /// When it will be asked again by itself, while it is down.
    #[serde(default)]
    pub retry_at: Option<UnixMs>,
    /// Found on this machine, not configured.
    #[serde(default)]
    pub discovered: bool,
}

/// State of a model; the words are those of `models ls --json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    Unloaded,
    Loading,
    Loaded,
    Sleeping,
    Downloading,
    Failed,
    Unknown,
}

/// A model as its backend describes it. `None` is "not known".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub name: String,
    pub backend: String,
    pub kind: BackendKind,
    pub state: ModelState,
    #[serde(default)]
    pub size_bytes: Option<u64>,
    #[serde(default)]
    pub quantisation: Option<String>,
    /// The context in force (loaded), else what a load would use, in tokens.
    #[serde(default)]
    pub context: Option<u32>,
    /// What the model was trained for, in tokens.
    #[serde(default)]
    pub context_max: Option<u32>,
    #[serde(default)]
    pub family: Option<String>,
    /// `vision`, `tools`, `thinking`, `completion`, `embedding`…
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Memory that the loaded instance takes, in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Of that, on a GPU.
    #[serde(default)]
    pub gpu_bytes: Option<u64>,
    /// When the backend unloads it by itself.
    #[serde(default)]
    pub expires: Option<UnixMs>,
    /// Why it failed, when it did.
    #[serde(default)]
    pub error: Option<Error>,
    /// While loading or downloading: 0 to 1000.
    #[serde(default)]
    pub permille: Option<u16>,
    /// What a person keeps about it.
    #[serde(default)]
    pub card: Card,
}

impl ModelInfo {
    /// A model of which only its name is known.
    #[must_use]
    pub fn named(backend: &str, kind: BackendKind, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            backend: backend.to_owned(),
            kind,
            state: ModelState::Unknown,
            size_bytes: None,
            quantisation: None,
            context: None,
            context_max: None,
            family: None,
            capabilities: Vec::new(),
            memory_bytes: None,
            gpu_bytes: None,
            expires: None,
            error: None,
            permille: None,
            card: Card::default(),
        }
    }

    #[must_use]
    pub fn reference(&self) -> super::ModelRef {
        super::ModelRef { backend: self.backend.clone(), model: self.name.clone() }
    }
}

/// One GPU at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    pub name: String,
    /// Percent.
    #[serde(default)]
    pub busy: Option<f32>,
    #[serde(default)]
    pub memory_used: Option<u64>,
    #[serde(default)]
    pub memory_total: Option<u64>,
    /// Degrees Celsius.
    #[serde(default)]
    pub temperature: Option<f32>,
    /// Watts.
    #[serde(default)]
    pub power: Option<f32>,
}

/// The live metrics at one moment. Only the last one matters to a slow client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    pub at: UnixMs,
    /// Percent of all cores.
    pub cpu: Option<f32>,
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
    pub gpus: Vec<Gpu>,
    /// Over all running answers.
    pub tokens_per_s: Option<f64>,
    /// Of the last answer that got its first token.
    pub ttft_ms: Option<f64>,
    /// Backend name → last round trip in milliseconds; `None` is down.
    pub latency_ms: BTreeMap<String, Option<f64>>,
    /// The host's own resident memory in bytes.
    pub host_memory: Option<u64>,
    /// What each loaded model costs to run.
    pub instances: Vec<Instance>,
}
