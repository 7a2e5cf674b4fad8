//! What commands and running answers do to conversations: `handle(Input) -> Vec<Effect>`.
//!
//! Owns: the rules of product.md about trees, heads, branches, runs and unread marks. Refuses: IO, clocks, retries, backends.
//! Invariant: [`Machine::handle`] never changes a document itself. It returns what to write and which events follow; the driver
//! commits the writes, then applies the events to [`Machine::replica`] and sends them out. So nothing that was shown can be lost,
//! and a commit that fails has changed nothing.

mod commands;
mod copies;
mod folders;
mod grown;
mod keep;
mod marks;
#[cfg(test)]
mod properties;
mod queue;
mod runs;
mod sending;
mod stage;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::{HashMap, HashSet};

use super::prompt::{self, Message};
use super::queue as waiting;
use super::settings::{self, Effective, Own, Sources, State as Settings};
use super::summary::Wanted;
use super::undo::Op;
use super::{Replica, Write};
use crate::error::Error;
use crate::proto::{
    Ack, Attempt, Card, ClientId, Command, CommandId, Content, Conversation, ConversationId, ConversationRow, DeltaKind, EventKind,
    Figures, Finish, ModelRef, NodeId, Opened, Parameters, Progress, RunId, State, UnixMs,
};

pub use commands::subject;
pub use runs::measure;
pub use sending::Sendable;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A client's command. `run` is a fresh id for the run that it may start.
    Command { client: ClientId, id: CommandId, command: Command, run: RunId },
    /// A running answer changed its phase.
    Phase { node: NodeId, state: State, progress: Progress },
    /// An attempt at a running answer failed before its first token; the next one begins when `progress` says.
    Again { node: NodeId, failed: Attempt, progress: Progress },
    /// The summary is there that is sent for a running answer in place of what its prompt leaves out.
    Summarised { node: NodeId, summary: String },
    /// A running answer grew.
    Delta { node: NodeId, kind: DeltaKind, text: String },
    /// A running answer asked for a tool.
    ToolCall { node: NodeId, id: String, name: String, arguments: String },
    /// More is known of a running answer in numbers.
    Figures { node: NodeId, figures: Figures },
    /// A running answer ended. An error of kind `Cancelled` means that a person stopped it, `HostGone` that the host ends.
    Ended { node: NodeId, result: Result<Finish, Error> },
    /// A conversation's settings become those of an earlier version.
    Restore { client: ClientId, id: CommandId, conversation: ConversationId, state: Settings, number: u32 },
    /// A command about what lies in a folder or in the bin: these conversations lie there.
    Found { client: ClientId, id: CommandId, command: Command, conversations: Vec<ConversationId> },
    /// An act is undone, or with `redo` done again.
    Undo { client: ClientId, id: CommandId, op: Op, redo: bool },
    /// Write down what running answers have so far.
    Checkpoint,
    /// Whether somebody looks at this client now; what nobody saw is unread until then.
    Awake { client: ClientId, awake: bool },
    /// A client is gone; what it looked at is not looked at by it any more.
    ClientGone { client: ClientId },
}

/// What the driver has to do, in this order.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "effects live for microseconds, in short lists")]
pub enum Effect {
    /// Commit these in one transaction (and to the disk itself, with `sync`) before any later effect. On failure drop the rest
    /// and answer the command with the error.
    Persist { writes: Vec<Write>, sync: bool },
    /// Put this new, empty conversation at hand ([`Machine::load`]); no client knows it yet.
    Load(Box<Opened>),
    /// Put at hand where somebody went ([`Machine::visited`]); nobody is told.
    Visit { conversation: ConversationId, leaf: NodeId },
    /// Number it, apply it to the replica, send it out.
    Emit(EventKind),
    /// Let a backend produce this answer.
    Start(Box<Start>),
    /// Cancel the run of this answer, feed what it still had, then [`Input::Ended`] with `Cancelled`.
    Abort { node: NodeId },
    /// The command is done.
    Ack { client: ClientId, id: CommandId, result: Result<Ack, Error> },
    /// A command that is about backends, downloads or the host itself.
    Perform { client: ClientId, id: CommandId, command: Command },
}

/// An answer to be produced.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub conversation: ConversationId,
    pub node: NodeId,
    pub run: RunId,
    pub model: ModelRef,
    pub messages: Vec<Message>,
    pub parameters: Parameters,
    /// The last message is an unfinished answer, to be continued.
    pub continues: bool,
    /// A summary that the model has to write first, and that goes into the messages.
    pub summary: Option<Box<Wanted>>,
}

/// What must be at hand before a command can be handled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// This conversation's document is not loaded.
    pub conversation: Option<ConversationId>,
    /// Content of these messages is not loaded. Known only once the document is.
    pub contents: Vec<NodeId>,
    /// How lists show these conversations is not loaded.
    pub rows: Vec<ConversationId>,
}

impl Needs {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conversation.is_none() && self.contents.is_empty() && self.rows.is_empty()
    }
}

/// An answer being produced.
#[derive(Debug, Clone)]
struct Live {
    conversation: ConversationId,
    figures: Figures,
    /// Text has come that is not on disk.
    dirty: bool,
    /// The first token has come.
    began: bool,
    /// Attempts that failed before it.
    failed: Vec<Attempt>,
    /// The queued prompt that is sent when it has stopped.
    then: Option<queue::Then>,
    /// A summary is being written, without which nothing is sent.
    summarises: bool,
}

/// The host's state machine. `replica` is built by the same events that clients get.
#[derive(Debug, Default)]
pub struct Machine {
    pub replica: Replica,
    live: HashMap<NodeId, Live>,
    /// What each client looks at.
    views: HashMap<ClientId, ConversationId>,
    /// Clients at which nobody looks now.
    asleep: HashSet<ClientId>,
    /// Conversations that are kept in memory only.
    unsaved: HashSet<ConversationId>,
    /// The host ends: what waits goes on waiting.
    ending: bool,
}

impl Machine {
    /// What must be loaded (by [`Machine::load`]) before this command is handled. Ask again until it is empty; a conversation that
    /// cannot be loaded does not exist, and [`Machine::handle`] says so.
    #[must_use]
    pub fn needs(&self, command: &Command) -> Needs {
        let Some(conversation) = commands::subject(command) else {
            let missing = commands::rows(command).iter().filter(|id| !self.replica.rows.contains_key(id));
            return Needs { rows: missing.copied().collect(), ..Needs::default() };
        };
        let Some(doc) = self.replica.docs.get(&conversation) else {
            return Needs { conversation: Some(conversation), ..Needs::default() };
        };
        if let Command::Graft { to, .. } = command
            && !self.replica.docs.contains_key(to)
        {
            return Needs { conversation: Some(*to), ..Needs::default() };
        }
        let contents = match command {
            Command::Send { parent, .. } => prompt::missing(doc, *parent),
            Command::Answer { parent, continues, .. } => prompt::missing(doc, continues.or(Some(*parent))),
            Command::Fork { .. } | Command::Graft { .. } => {
                copies::copied(doc, command).into_iter().filter(|id| doc.content(*id).is_none()).collect()
            }
            Command::Enqueue { line, .. } => waiting::missing(doc, *line),
            Command::SendQueued { node, .. } => {
                let line = doc.conversation.queue.iter().find(|queued| queued.node == *node).map(|queued| queued.line);
                line.map(|line| waiting::missing(doc, line)).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        Needs { contents, ..Needs::default() }
    }

    /// Puts at hand how lists show stored conversations.
    pub fn load_rows(&mut self, rows: Vec<ConversationRow>) {
        for row in rows {
            // What is at hand is newer.
            self.replica.rows.entry(row.id).or_insert(row);
        }
    }

    /// What must be at hand before the end of an answer is handled: prompts may wait for it.
    #[must_use]
    pub fn needs_at_end(&self, node: NodeId) -> Option<(ConversationId, Vec<NodeId>)> {
        let conversation = self.live.get(&node)?.conversation;
        let doc = self.replica.docs.get(&conversation)?;
        doc.conversation.queue.iter().any(|queued| queued.line == node).then(|| (conversation, waiting::missing(doc, node)))
    }

    /// From now on no prompt is sent by itself.
    pub fn hold_queues(&mut self) {
        self.ending = true;
    }

    /// Puts a stored conversation at hand.
    pub fn load(&mut self, opened: Opened) {
        self.replica.open(opened);
    }

    /// Puts stored contents at hand.
    pub fn load_contents(&mut self, conversation: ConversationId, contents: Vec<(NodeId, Content)>) {
        if let Some(doc) = self.replica.docs.get_mut(&conversation) {
            for (node, content) in contents {
                // What a run is writing is newer here than on disk.
                if !self.live.contains_key(&node) {
                    doc.set_content(node, content);
                }
            }
        }
    }

    /// The settings in force for a model, in a conversation or by itself.
    #[must_use]
    pub fn settings(&self, model: &ModelRef, conversation: Option<&Conversation>) -> Effective {
        let none = Card::default();
        let card = self.replica.model(model).map_or(&none, |info| &info.card);
        let sources = Sources { presets: &self.replica.presets, groups: &self.replica.groups, model: Some((model, card)) };
        settings::effective(sources, conversation.map(Own::of).unwrap_or_default())
    }

    /// Lets go of conversations that nobody looks at and nothing runs in, and of most rows when there are many. The unsaved ones stay.
    pub fn evict(&mut self) {
        let keep: HashSet<ConversationId> = self
            .views
            .values()
            .copied()
            .chain(self.live.values().map(|live| live.conversation))
            .chain(self.unsaved.iter().copied())
            .collect();
        self.replica.docs.retain(|id, _| keep.contains(id));
        self.replica.trim_rows();
    }

    /// Whether a screen looks at this conversation.
    #[must_use]
    pub fn is_viewed(&self, conversation: ConversationId) -> bool {
        self.views.values().any(|viewed| *viewed == conversation)
    }

    /// Whether somebody sees what arrives in this conversation.
    fn is_seen(&self, conversation: ConversationId) -> bool {
        self.views.iter().any(|(client, viewed)| *viewed == conversation && !self.asleep.contains(client))
    }

    #[must_use]
    pub fn view_of(&self, client: ClientId) -> Option<ConversationId> {
        self.views.get(&client).copied()
    }

    /// Whether this conversation is kept in memory only.
    #[must_use]
    pub fn is_unsaved(&self, conversation: ConversationId) -> bool {
        self.unsaved.contains(&conversation)
    }

    /// Answers being produced.
    pub fn running(&self) -> impl Iterator<Item = NodeId> {
        self.live.keys().copied()
    }

    /// Whether text has come that a crash would lose.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.live.values().any(|live| live.dirty)
    }

    /// See the module's invariant.
    pub fn handle(&mut self, input: Input, at: UnixMs) -> Vec<Effect> {
        let mut effects = self.effects(input, at);
        self.count_folders(&mut effects);
        effects
    }

    fn effects(&mut self, input: Input, at: UnixMs) -> Vec<Effect> {
        match input {
            Input::Command { client, id, command, run } => self.command(client, id, command, run, at),
            Input::Phase { node, state, progress } => self.phase(node, state, progress, at),
            Input::Again { node, failed, progress } => self.again(node, failed, progress, at),
            Input::Summarised { node, summary } => self.summarised(node, summary),
            Input::Delta { node, kind, text } => self.delta(node, kind, text, at),
            Input::ToolCall { node, id, name, arguments } => self.tool_call(node, id, name, arguments, at),
            Input::Figures { node, figures } => {
                if let Some(live) = self.live.get_mut(&node) {
                    live.figures.merge(&figures);
                }
                Vec::new()
            }
            Input::Ended { node, result } => self.ended(node, result, at),
            Input::Restore { client, id, conversation, state, number } => self.restore(client, id, conversation, state, number, at),
            Input::Found { client, id, command, conversations } => self.found(client, id, &command, &conversations, at),
            Input::Undo { client, id, op, redo } => self.undo(client, id, &op, redo, at),
            Input::Checkpoint => self.checkpoint(),
            Input::Awake { client, awake } => self.awake(client, awake),
            Input::ClientGone { client } => {
                self.views.remove(&client);
                self.asleep.remove(&client);
                Vec::new()
            }
        }
    }

    /// A start that could not be carried out after all (the commit failed): the run does not exist.
    pub fn forget_run(&mut self, node: NodeId) {
        self.live.remove(&node);
    }
}
