//! The way to a host: one [`Client`], whoever the host is and wherever it runs.
//!
//! Owns: the connection, its re-making, and what was asked and not answered yet. Refuses: knowing conversations (that is the
//! replica) and showing anything. Invariant: every command that was posted is answered exactly once ([`Incoming::Ack`]), also
//! when the host dies in between: commands in flight are sent again with the same ids, and count once.
//!
//! - [`remote`]: WebSocket over a Unix socket or TCP. [`local`]: a host in this process, through the same frames.
//! - [`start`]: the host of this user's data folder, started when none runs. [`attach`]: files that go to it with a message.
//!   [`folder`]: all of a folder.
//!
//! A client that wants the deltas of a conversation posts `View` first and asks `Open` second: what comes between is then in the
//! opened conversation.

pub mod attach;
pub mod folder;
mod ignore;
mod link;
pub mod local;
pub mod remote;
pub mod start;

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::proto::wire::{Hello, Welcome};
use crate::proto::{Ack, ClientId, Command, CommandId, Event, IdGen, MAJOR, MINOR, Query, Reply, Snapshot};

/// Posts and questions that wait for the link. Nobody types that much; a script that does is told so.
const OUTGOING: usize = 1024;
/// Frames that wait for whoever reads the client. Beyond it the host's outbox holds them, merges them, and sheds.
const INCOMING: usize = 64;

/// What comes from a host.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    Event(Box<Event>),
    /// The answer to a posted command.
    Ack {
        id: CommandId,
        result: Result<Ack>,
    },
    /// The answer to a question.
    Reply {
        id: u64,
        result: Result<Reply>,
    },
    /// The link broke. A way back is being sought: [`Incoming::Restored`] or [`Incoming::Gone`] follows.
    Lost(Error),
    /// The link stands again, or the host left events out because this client was slow: this replaces what the client has, and
    /// opened conversations must be opened again.
    Restored(Box<Snapshot>),
    /// There is no way back: nothing more will come, and every further command is refused.
    Gone(Error),
}

/// What the client asks its link to carry.
enum Outgoing {
    Command { id: CommandId, command: Command },
    Query { id: u64, query: Query },
}

/// A connection to a host. Dropping it detaches; the host and its runs go on.
pub struct Client {
    ids: IdGen,
    queries: u64,
    outgoing: mpsc::Sender<Outgoing>,
    incoming: mpsc::Receiver<Incoming>,
    /// What came while a one-shot waited for its own answer, and refusals made here.
    kept: VecDeque<Incoming>,
    welcome: Welcome,
    gone: Option<Error>,
    task: JoinHandle<()>,
}

/// How this client presents itself.
#[derive(Clone, Default)]
pub struct Introduction {
    pub token: String,
    /// A person looks at this client.
    pub screen: bool,
    /// Values of environment variables that the configuration names. The host keeps those that it lacks, in memory.
    pub env: Vec<(String, String)>,
}

impl Introduction {
    pub(crate) fn hello(&self, client: ClientId) -> Hello {
        Hello {
            major: MAJOR,
            minor: MINOR,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token: self.token.clone(),
            client,
            last_seq: None,
            screen: self.screen,
            replace: false,
            env: self.env.clone(),
        }
    }
}

impl Client {
    /// Attaches through `road`, which also knows the way back.
    ///
    /// # Errors
    /// Whatever kept the road from reaching a host, in words for people.
    async fn attach(road: link::Road) -> Result<Self> {
        let (link, welcome) = road.reach().await?;
        let (outgoing, from_client) = mpsc::channel(OUTGOING);
        let (to_client, incoming) = mpsc::channel(INCOMING);
        let task = tokio::spawn(link::carry(road, link, from_client, to_client));
        Ok(Self { ids: IdGen::Real, queries: 0, outgoing, incoming, kept: VecDeque::new(), welcome, gone: None, task })
    }

    /// What the host said when this client attached first.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Takes the first snapshot out, leaving an empty one: screens put it into their replica once.
    pub fn take_snapshot(&mut self) -> Snapshot {
        std::mem::take(&mut self.welcome.snapshot)
    }

    /// A new id for a conversation, a message, ….
    pub fn fresh<T: From<uuid::Uuid>>(&mut self) -> T {
        self.ids.fresh()
    }

    /// Sends a command without waiting. Its answer comes as [`Incoming::Ack`] with the returned id.
    pub fn post(&mut self, command: Command) -> CommandId {
        let id = self.ids.fresh();
        self.post_as(id, command);
        id
    }

    /// Sends a command under an id that was made before: sent twice, it counts once.
    pub fn post_as(&mut self, id: CommandId, command: Command) {
        if let Err(error) = self.send(Outgoing::Command { id, command }) {
            self.kept.push_back(Incoming::Ack { id, result: Err(error) });
        }
    }

    /// Asks without waiting. The answer comes as [`Incoming::Reply`] with the returned number.
    pub fn ask(&mut self, query: Query) -> u64 {
        self.queries += 1;
        let id = self.queries;
        if let Err(error) = self.send(Outgoing::Query { id, query }) {
            self.kept.push_back(Incoming::Reply { id, result: Err(error) });
        }
        id
    }

    fn send(&self, outgoing: Outgoing) -> Result<()> {
        self.outgoing.try_send(outgoing).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(Kind::Busy, format!("{OUTGOING} requests wait for the host already, so this one was not sent."))
                    .hint("Wait until the link is back, then do it again.")
            }
            mpsc::error::TrySendError::Closed(_) => self.gone.clone().unwrap_or_else(host_gone),
        })
    }

    /// The next thing that the host says. Safe to drop while it waits: nothing is lost. After [`Incoming::Gone`] it waits for ever.
    pub async fn next(&mut self) -> Incoming {
        if let Some(incoming) = self.kept.pop_front() {
            return incoming;
        }
        match self.receive().await {
            Some(incoming) => incoming,
            None => std::future::pending().await,
        }
    }

    async fn receive(&mut self) -> Option<Incoming> {
        let incoming = self.incoming.recv().await?;
        if let Incoming::Gone(error) = &incoming {
            self.gone = Some(error.clone());
        }
        Some(incoming)
    }

    /// Takes what has come already, without waiting.
    pub fn try_next(&mut self) -> Option<Incoming> {
        self.kept.pop_front().or_else(|| {
            let incoming = self.incoming.try_recv().ok()?;
            if let Incoming::Gone(error) = &incoming {
                self.gone = Some(error.clone());
            }
            Some(incoming)
        })
    }

    /// Sends a command and waits for its answer. What else comes meanwhile is kept for [`Client::next`].
    ///
    /// # Errors
    /// The host's refusal, or [`Kind::HostGone`].
    pub async fn command(&mut self, command: Command) -> Result<Ack> {
        let wanted = self.post(command);
        match self.wait_for(|incoming| matches!(incoming, Incoming::Ack { id, .. } if *id == wanted)).await? {
            Incoming::Ack { result, .. } => result,
            _ => Err(host_gone()),
        }
    }

    /// Asks and waits for the answer. What else comes meanwhile is kept for [`Client::next`].
    ///
    /// # Errors
    /// The host's refusal, or [`Kind::HostGone`].
    pub async fn query(&mut self, query: Query) -> Result<Reply> {
        let wanted = self.ask(query);
        match self.wait_for(|incoming| matches!(incoming, Incoming::Reply { id, .. } if *id == wanted)).await? {
            Incoming::Reply { result, .. } => result,
            _ => Err(host_gone()),
        }
    }

    async fn wait_for(&mut self, wanted: impl Fn(&Incoming) -> bool) -> Result<Incoming> {
        // A refusal made here lies among the kept ones.
        if let Some(found) = self.kept.iter().position(&wanted).and_then(|at| self.kept.remove(at)) {
            return Ok(found);
        }
        loop {
            match self.receive().await {
                Some(incoming) if wanted(&incoming) => return Ok(incoming),
                Some(incoming) => self.kept.push_back(incoming),
                None => return Err(self.gone.clone().unwrap_or_else(host_gone)),
            }
        }
    }

    /// Detaches, after everything that was posted has been handed to the host or the deadline is over.
    pub async fn close(self, deadline: std::time::Duration) {
        let Self { outgoing, mut incoming, mut task, .. } = self;
        drop(outgoing);
        let drained = async {
            while incoming.recv().await.is_some() {}
            // The task ends when the channel to it is closed and all is sent.
            drop((&mut task).await);
        };
        if tokio::time::timeout(deadline, drained).await.is_err() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("pid", &self.welcome.pid).field("gone", &self.gone).finish_non_exhaustive()
    }
}

/// The sentence for a host that went away.
pub(crate) fn host_gone() -> Error {
    Error::new(Kind::HostGone, "The host has ended; what it acknowledged is saved.").hint("Start arbour again to go on.")
}
