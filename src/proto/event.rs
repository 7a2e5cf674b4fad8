//! What a host tells its clients. Applied by `core::replica`, at the host and at every client alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    BackendStatus, Content, Conversation, ConversationId, ConversationRow, Download, Folder, Group, Job, JobId, JobItem, ModelInfo,
    ModelRef, ModelUse, Node, NodeId, Preset, Progress, Sample, State, UnixMs,
};
use crate::error::Error;

/// One numbered event. Numbers rise by one at the host; a client may miss numbers that were not for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub seq: u64,
    pub at: UnixMs,
    pub kind: EventKind,
}

/// Which kind of text a delta continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeltaKind {
    Text,
    Thinking,
}

/// How loud a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Info,
    Warning,
    Error,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// A conversation is new, or what lists show of it changed.
    Row(ConversationRow),
    /// A conversation's own state (head, system, parameters, branches) changed.
    Conversation(Conversation),
    ConversationRemoved {
        id: ConversationId,
    },
    /// All folders with their counts, replacing what was known.
    Folders(Vec<Folder>),
    /// Messages changed in what people keep about them (hidden, archived, rating, reactions, bookmark): each without its content.
    Nodes {
        conversation: ConversationId,
        nodes: Vec<Node>,
    },
    /// A message was added. (A continued answer arrives with the text it begins with.)
    Node {
        conversation: ConversationId,
        node: Node,
        content: Content,
    },
    /// Text was appended. `at` is the length in bytes of all text and thinking of the node before it, so that a delta counts once.
    Delta {
        conversation: ConversationId,
        node: NodeId,
        kind: DeltaKind,
        at: u64,
        text: String,
    },
    /// A running message changed its state or its progress.
    State {
        conversation: ConversationId,
        node: NodeId,
        state: State,
        progress: Progress,
    },
    /// An answer ended, or a message's measures are final. Carries everything but the text. Never dropped.
    Finished {
        conversation: ConversationId,
        node: Node,
    },
    Head {
        conversation: ConversationId,
        head: Option<NodeId>,
    },
    Branch {
        conversation: ConversationId,
        name: String,
        leaf: Option<NodeId>,
    },
    Backend(BackendStatus),
    BackendRemoved {
        name: String,
    },
    /// Discovery has finished: every backend was asked, and what is not known now was not found.
    Discovered {
        /// Where was looked, in words (`11434, 8080, 1234, 8000`).
        looked_at: String,
        /// Whether pip is there to fetch the starter model with.
        pip: bool,
    },
    /// All models of one backend, replacing what was known.
    Models {
        backend: String,
        models: Vec<ModelInfo>,
    },
    /// One model changed.
    Model(ModelInfo),
    Download(Download),
    /// A download is off the list.
    DownloadRemoved {
        key: String,
    },
    /// Bulk work began, or began again with what had failed.
    Job(Job),
    /// Bulk work went on or ended: the models of it whose state is another now, each with its place in the job.
    JobProgress {
        id: JobId,
        items: Vec<(u32, JobItem)>,
        finished: Option<UnixMs>,
    },
    /// All presets and templates, and what the groups point to, replacing what was known.
    Presets {
        presets: Vec<Preset>,
        groups: BTreeMap<String, Group>,
    },
    /// What the runs of a model say now.
    Use {
        model: ModelRef,
        figures: ModelUse,
    },
    Metrics(Sample),
    Setting {
        key: String,
        value: Value,
    },
    /// Something that a person should know and that belongs to no message.
    Notice {
        level: Level,
        error: Error,
    },
    /// The host ends now. Runs that were going are stopped and stored.
    Stopping {
        reason: String,
    },
}

impl EventKind {
    /// The conversation whose viewers need this event; `None` means every client.
    #[must_use]
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Node { conversation, .. }
            | Self::Nodes { conversation, .. }
            | Self::Delta { conversation, .. }
            | Self::State { conversation, .. }
            | Self::Finished { conversation, .. }
            | Self::Head { conversation, .. }
            | Self::Branch { conversation, .. } => Some(*conversation),
            Self::Conversation(conversation) => Some(conversation.row.id),
            _ => None,
        }
    }
}
