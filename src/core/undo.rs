//! What was done, as steps that go both ways.
//!
//! Owns: [`Step`] (one thing that was one way and is another), [`Op`] (an act: its steps and its words). Refuses: to carry anything out;
//! that is `machine`. Invariant: a step reversed twice is the step; undoing an op that nobody has touched since gives the state before it.

use serde::{Deserialize, Serialize};

use crate::proto::{ClientId, CommandId, ConversationId, Folder, FolderId, ModelRef, NodeId, Parameters, Queued, Titled, UnixMs};

/// One thing that changed. `from` is what it was, `to` what it became.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Messages that were added (`to: false`), or taken back.
    Hidden {
        conversation: ConversationId,
        nodes: Vec<NodeId>,
        from: bool,
        to: bool,
    },
    Archived {
        conversation: ConversationId,
        node: NodeId,
        from: bool,
        to: bool,
    },
    Rating {
        conversation: ConversationId,
        node: NodeId,
        from: i8,
        to: i8,
    },
    Reactions {
        conversation: ConversationId,
        node: NodeId,
        from: Vec<String>,
        to: Vec<String>,
    },
    Bookmark {
        conversation: ConversationId,
        node: NodeId,
        from: Option<String>,
        to: Option<String>,
    },
    Head {
        conversation: ConversationId,
        from: Option<NodeId>,
        to: Option<NodeId>,
    },
    Branch {
        conversation: ConversationId,
        name: String,
        from: Option<NodeId>,
        to: Option<NodeId>,
    },
    Mark {
        conversation: ConversationId,
        letter: char,
        from: Option<NodeId>,
        to: Option<NodeId>,
    },
    Title {
        conversation: ConversationId,
        from: (String, Titled),
        to: (String, Titled),
    },
    System {
        conversation: ConversationId,
        from: Option<String>,
        to: Option<String>,
    },
    Parameters {
        conversation: ConversationId,
        from: Parameters,
        to: Parameters,
    },
    Preset {
        conversation: ConversationId,
        from: Option<String>,
        to: Option<String>,
    },
    Model {
        conversation: ConversationId,
        from: Option<ModelRef>,
        to: Option<ModelRef>,
    },
    Queue {
        conversation: ConversationId,
        from: Vec<Queued>,
        to: Vec<Queued>,
    },
    Pinned {
        conversation: ConversationId,
        from: bool,
        to: bool,
    },
    ArchivedRow {
        conversation: ConversationId,
        from: bool,
        to: bool,
    },
    Deleted {
        conversation: ConversationId,
        from: Option<UnixMs>,
        to: Option<UnixMs>,
    },
    InFolder {
        conversation: ConversationId,
        from: Option<FolderId>,
        to: Option<FolderId>,
    },
    Tags {
        conversation: ConversationId,
        from: Vec<String>,
        to: Vec<String>,
    },
    Folder {
        id: FolderId,
        from: Option<Folder>,
        to: Option<Folder>,
    },
}

/// An act that can be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    /// The command that did it.
    pub command: CommandId,
    pub client: ClientId,
    pub at: UnixMs,
    /// `None`: it was about folders, or about several conversations.
    pub conversation: Option<ConversationId>,
    /// In words: `sent “Write quicksort…”`. Follows "Undone: " and "Done again: ".
    pub about: String,
    pub steps: Vec<Step>,
}

/// Where an op stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpState {
    Done = 0,
    Undone = 1,
    /// It can be neither undone nor done again.
    Void = 2,
}
