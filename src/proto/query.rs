//! What a client asks a host to tell. Queries change nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    BackendStatus, Bookmark, Content, Conversation, ConversationId, ConversationRow, Download, Fit, Folder, Group, Inspection, Instance,
    Job, ModelInfo, ModelRef, ModelUse, Node, NodeId, Order, Parameters, Preset, Shelf, Subject, UnixMs, Version,
};

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Query {
    /// A part of a list of conversations. `filter` is in their filter language (`core::filter`).
    Conversations { shelf: Shelf, order: Order, offset: u32, limit: u32, filter: Option<String> },
    /// These conversations, as lists show them. Those that are not there are left out.
    Rows { conversations: Vec<ConversationId> },
    /// Every tag that a conversation has, with how many have it.
    Tags,
    /// Bookmarked messages of all conversations, the newest message first; `filter` as for conversations, its words looked for in notes
    /// and messages.
    Bookmarks { offset: u32, limit: u32, filter: Option<String> },
    /// What was written to models lately, over all conversations, newest first, each once; with `text` in it.
    Prompts { text: String, limit: u32 },
    /// A piece of an attachment, at most 1 MiB.
    Blob { hash: String, offset: u64 },
    /// Opens a conversation: its state, the outline of its tree, and the content of the last `contents` messages of the path to
    /// `leaf` (None: HEAD).
    Open { conversation: ConversationId, leaf: Option<NodeId>, contents: u32 },
    /// The content of these messages.
    Contents { conversation: ConversationId, nodes: Vec<NodeId> },
    /// Full-text search over all messages of all branches, best first. `text` may hold words of the filter language.
    Search { text: String, conversation: Option<ConversationId>, limit: u32 },
    /// Exactly what was sent for an answer, or would be sent for the text `draft` under `parent`.
    Request { conversation: ConversationId, answer: Option<NodeId>, parent: Option<NodeId>, draft: Option<String>, model: Option<ModelRef> },
    /// Everything that a new screen needs.
    Snapshot,
    /// Everything that is known of one model. It may cost requests.
    Inspect { model: ModelRef },
    /// Whether models fit, with these load settings over their own. Each is reckoned beside the ones before it: what they would take
    /// is not free any more.
    Fit { models: Vec<ModelRef>, parameters: Parameters },
    /// What the runs of every model say.
    Uses,
    /// The versions of a subject's settings, newest first.
    Versions { subject: Subject, limit: u32 },
    /// What every loaded model costs to run now.
    Instances,
    /// What was kept of a model's instance (`memory`, `gpu_memory`, `context_used`, `busy`, `queued`, `cpu`), from `since` on.
    Series { model: ModelRef, name: String, since: UnixMs },
}

/// A part of a long list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window<T> {
    pub offset: u32,
    pub total: u32,
    pub items: Vec<T>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { offset: 0, total: 0, items: Vec::new() }
    }
}

/// A conversation as a screen holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// State up to and including this event number.
    pub seq: u64,
    pub conversation: Conversation,
    /// The outline: every node, without content.
    pub nodes: Vec<Node>,
    pub contents: Vec<(NodeId, Content)>,
}

/// A message that a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    pub conversation: ConversationId,
    pub title: String,
    pub node: NodeId,
    pub role: super::Role,
    pub created: UnixMs,
    /// Text around the hit, harmless, on one line; each word that was found lies between U+E000 and U+E001.
    pub snippet: String,
    /// What stands above it, the nearest last: who, and the first line, harmless. At most three.
    #[serde(default)]
    pub above: Vec<(super::Role, String)>,
    /// It lies on a branch that is put away, or its conversation is archived.
    #[serde(default)]
    pub archived: bool,
}

/// What was or would be sent, with secrets removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestPreview {
    pub method: String,
    pub url: String,
    /// Pretty-printed JSON, or the rendered prompt of the embedded engine.
    pub body: String,
    /// The same as a shell command, the key named by its variable.
    pub curl: Option<String>,
    /// What is worth knowing: what will be cut, which parameters the backend ignores.
    pub notes: Vec<String>,
}

/// What a host knows beyond single conversations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// State up to and including this event number.
    pub seq: u64,
    pub conversations: Window<ConversationRow>,
    pub backends: Vec<BackendStatus>,
    pub models: Vec<ModelInfo>,
    pub downloads: Vec<Download>,
    pub jobs: Vec<Job>,
    pub presets: Vec<Preset>,
    pub groups: BTreeMap<String, Group>,
    pub folders: Vec<Folder>,
    pub settings: BTreeMap<String, Value>,
    /// Which conversation was opened last.
    pub last: Option<ConversationId>,
    /// Discovery has finished: what is not here was not found.
    pub discovered: bool,
    /// Where discovery looked, in words (`11434, 8080, 1234, 8000`).
    pub looked_at: String,
    /// Whether pip is there to fetch the starter model with.
    pub pip: bool,
}

/// An answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Conversations(Window<ConversationRow>),
    Rows(Vec<ConversationRow>),
    Tags(Vec<(String, u32)>),
    Bookmarks(Window<Bookmark>),
    Prompts(Vec<String>),
    Blob {
        total: u64,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    Opened(Box<Opened>),
    Contents(Vec<(NodeId, Content)>),
    Hits(Vec<SearchHit>),
    Request(Box<RequestPreview>),
    Snapshot(Box<Snapshot>),
    Inspection(Box<Inspection>),
    Fits(Vec<Fit>),
    Uses(Vec<(ModelRef, ModelUse)>),
    Versions(Vec<Version>),
    Instances(Vec<Instance>),
    /// Points in time order.
    Series(Vec<(UnixMs, f64)>),
}
