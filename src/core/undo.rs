//! What was done, as steps that go both ways.
//!
//! Owns: [`Step`] (one thing that was one way and is another), [`Op`] (an act: its steps and its words). Refuses: to carry anything out;
//! that is `machine`. Invariant: a step reversed twice is the step; undoing an op that nobody has touched since gives the state before it.

use serde::{Deserialize, Serialize};

use crate::proto::{
    ClientId, CommandId, Conversation, ConversationId, Folder, FolderId, ModelRef, NodeId, Parameters, Queued, Titled, UnixMs,
};

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

impl Step {
    /// The conversation that it changes; `None` for folders.
    #[must_use]
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Hidden { conversation, .. }
            | Self::Archived { conversation, .. }
            | Self::Rating { conversation, .. }
            | Self::Reactions { conversation, .. }
            | Self::Bookmark { conversation, .. }
            | Self::Head { conversation, .. }
            | Self::Branch { conversation, .. }
            | Self::Mark { conversation, .. }
            | Self::Title { conversation, .. }
            | Self::System { conversation, .. }
            | Self::Parameters { conversation, .. }
            | Self::Preset { conversation, .. }
            | Self::Model { conversation, .. }
            | Self::Queue { conversation, .. }
            | Self::Pinned { conversation, .. }
            | Self::ArchivedRow { conversation, .. }
            | Self::Deleted { conversation, .. }
            | Self::InFolder { conversation, .. }
            | Self::Tags { conversation, .. } => Some(*conversation),
            Self::Folder { .. } => None,
        }
    }

    /// Whether it changes a conversation's place in lists only, so that its messages are not needed.
    #[must_use]
    pub fn is_of_row(&self) -> bool {
        matches!(
            self,
            Self::Title { .. }
                | Self::Pinned { .. }
                | Self::ArchivedRow { .. }
                | Self::Deleted { .. }
                | Self::InFolder { .. }
                | Self::Tags { .. }
        )
    }

    /// The step back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut step = self.clone();
        match &mut step {
            Self::Hidden { from, to, .. }
            | Self::Archived { from, to, .. }
            | Self::Pinned { from, to, .. }
            | Self::ArchivedRow { from, to, .. } => std::mem::swap(from, to),
            Self::Rating { from, to, .. } => std::mem::swap(from, to),
            Self::Reactions { from, to, .. } | Self::Tags { from, to, .. } => std::mem::swap(from, to),
            Self::Bookmark { from, to, .. } | Self::System { from, to, .. } | Self::Preset { from, to, .. } => std::mem::swap(from, to),
            Self::Head { from, to, .. } | Self::Branch { from, to, .. } | Self::Mark { from, to, .. } => std::mem::swap(from, to),
            Self::Title { from, to, .. } => std::mem::swap(from, to),
            Self::Parameters { from, to, .. } => std::mem::swap(from, to),
            Self::Model { from, to, .. } => std::mem::swap(from, to),
            Self::Queue { from, to, .. } => std::mem::swap(from, to),
            Self::Deleted { from, to, .. } => std::mem::swap(from, to),
            Self::InFolder { from, to, .. } => std::mem::swap(from, to),
            Self::Folder { from, to, .. } => std::mem::swap(from, to),
        }
        step
    }

    /// What differs between two states of a conversation, beside its messages.
    #[must_use]
    pub fn between(before: &Conversation, after: &Conversation) -> Vec<Self> {
        let conversation = before.row.id;
        let mut steps = Vec::new();
        macro_rules! step {
            ($kind:ident, $before:expr, $after:expr) => {
                if $before != $after {
                    steps.push(Self::$kind { conversation, from: $before.clone(), to: $after.clone() });
                }
            };
        }
        step!(Title, (before.row.title.clone(), before.row.titled), (after.row.title.clone(), after.row.titled));
        step!(System, before.system, after.system);
        step!(Parameters, before.parameters, after.parameters);
        step!(Preset, before.row.preset, after.row.preset);
        step!(Model, before.row.model, after.row.model);
        step!(Queue, before.queue, after.queue);
        step!(Head, before.head, after.head);
        step!(ArchivedRow, before.row.archived, after.row.archived);
        step!(Deleted, before.row.deleted, after.row.deleted);
        for name in before.branches.keys().chain(after.branches.keys().filter(|name| !before.branches.contains_key(*name))) {
            let (from, to) = (before.branches.get(name).copied(), after.branches.get(name).copied());
            if from != to {
                steps.push(Self::Branch { conversation, name: name.clone(), from, to });
            }
        }
        steps
    }
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
