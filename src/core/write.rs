//! What is to be written to disk, as data: made by `core::Machine`, carried out by `store` in one transaction per batch.

use serde_json::Value;

use crate::proto::{Card, CommandId, Content, Conversation, ConversationId, Download, ModelRef, Node, NodeId, UnixMs};

/// One change of the database.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Inserts or updates a conversation's own state (row, head, system, parameters, draft; not its branches).
    Conversation(Conversation),
    DeleteConversation(ConversationId),
    /// Inserts a message with its content, its run if it has one, and indexes its text for search.
    Node {
        conversation: ConversationId,
        node: Node,
        content: Content,
    },
    /// Replaces the content of a message that is being written. Not indexed yet. May be committed without a sync.
    Checkpoint {
        node: NodeId,
        content: Content,
    },
    /// Updates a message's state, run and measures, replaces its content when given, and indexes it.
    Finish {
        conversation: ConversationId,
        node: Node,
        content: Option<Content>,
    },
    Branch {
        conversation: ConversationId,
        name: String,
        leaf: Option<NodeId>,
    },
    Setting {
        key: String,
        value: Value,
    },
    /// What is kept about a model, all of it; an empty card is forgotten.
    Card {
        model: ModelRef,
        card: Card,
    },
    /// Keeps where a download stands.
    Download(Download),
    /// Takes a download off the list.
    ForgetDownload {
        key: String,
    },
    /// This command was carried out; the same id must not count again.
    Applied {
        command: CommandId,
        at: UnixMs,
    },
}
