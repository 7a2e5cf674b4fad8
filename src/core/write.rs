//! What is to be written to disk, as data: made by `core::Machine`, carried out by `store` in one transaction per batch.

use serde_json::Value;

use super::settings::State;
use super::undo::{Op, OpState};
use crate::proto::{
    Card, ClientId, CommandId, Content, Conversation, ConversationId, ConversationRow, Download, Folder, FolderId, Group, ModelRef, Node,
    NodeId, Parameters, Preset, Source, Subject, UnixMs,
};

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
    /// What changed of messages beside their content (hidden, archived, rating, reactions, bookmark, state): content and index stay.
    Nodes {
        nodes: Vec<Node>,
    },
    /// A conversation's place in lists, and its title; its messages are not needed for it.
    Row(ConversationRow),
    /// Adds or replaces a folder; its counts are not written.
    Folder(Folder),
    /// What lies in it must have been moved before.
    ForgetFolder(FolderId),
    /// What was done, to be undone. What its client had undone before can be done again no more.
    Op(Op),
    /// An op was undone, done again, or can be neither any more; it is of this client from now on.
    OpState {
        command: CommandId,
        client: ClientId,
        state: OpState,
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
    /// What a run was begun with: follows its message, in the same batch. `subjects` are those whose settings it used; the versions
    /// that they have now are noted.
    Used {
        node: NodeId,
        parameters: Parameters,
        system: Option<String>,
        subjects: Vec<Subject>,
    },
    /// A state of a subject's settings, numbered on. Nothing, when it is what the last one is. `first`: only when there is none yet.
    Version {
        subject: Subject,
        at: UnixMs,
        about: String,
        state: State,
        first: bool,
    },
    /// Adds or replaces a preset or template; `None` removes it.
    Preset {
        name: String,
        preset: Option<Preset>,
    },
    /// A preset has another name: its versions and the conversations that name it follow.
    PresetRenamed {
        from: String,
        to: String,
    },
    /// What a group of models points to; `None` forgets the group.
    Group {
        name: String,
        group: Option<Group>,
    },
    /// Figures of a model's instance at one moment.
    Series {
        model: ModelRef,
        at: UnixMs,
        points: Vec<(&'static str, f64)>,
    },
    /// What a model took when it was loaded with these load settings.
    Loaded {
        model: ModelRef,
        parameters: Parameters,
        taken: Taken,
    },
    /// This command was carried out; the same id must not count again.
    Applied {
        command: CommandId,
        at: UnixMs,
    },
}

/// What a loaded model was found to take, in bytes. `None`: not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    pub at: UnixMs,
    pub memory: Option<f64>,
    pub gpu: Option<f64>,
    pub source: Source,
}

impl Write {
    /// The new version that a change of a subject's settings makes; before the first one, what was there without one. Nothing
    /// when nothing is different. `why` stands before what is different, in words.
    #[must_use]
    pub fn versions(subject: &Subject, before: &State, after: &State, at: UnixMs, why: Option<&str>) -> Vec<Self> {
        let Some(words) = before.about(after) else { return Vec::new() };
        let about = why.map_or_else(|| words.clone(), |why| format!("{why}: {words}"));
        let version =
            |about: String, state: &State, first| Self::Version { subject: subject.clone(), at, about, state: state.clone(), first };
        let mut writes = Vec::new();
        if *before != State::default() {
            writes.push(version("as it was before".to_owned(), before, true));
        }
        writes.push(version(about, after, false));
        writes
    }
}
