//! The host: owns a [`Machine`](crate::core::Machine), a store and the backends, and carries out what the machine says.
//!
//! Owns: the one loop through which every change goes, the numbers of events, the runs, the probing of backends, and when the
//! process may end. Refuses: sockets (that is `daemon`) and rendering. Invariant: what a client was told is on disk: writes are
//! committed first, then numbered, applied to the host's own replica, sent out and acknowledged, in that order.

mod acts;
mod answers;
mod attachments;
mod backends;
pub mod blobs;
mod cards;
mod downloads;
mod driver;
mod effects;
mod fitting;
mod health;
mod idle;
mod instances;
mod jobs;
mod life;
pub mod lock;
mod meter;
mod options;
mod outbox;
mod perform;
mod pictures;
mod probing;
mod pulling;
mod removing;
mod runs;
mod schedule;
mod seats;
mod settings;
mod summaries;
mod titles;
mod watching;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::backend::discover::Discovered;
use crate::backend::{Change, Update};
use crate::error::{Error, Kind, Result};
use crate::metrics::Sampler;
use crate::proto::wire::{ClientFrame, Hello, HostFrame, Welcome};
use crate::proto::{CommandId, ConversationId, Instance, ModelRef, ModelUse, NodeId, Reply, Sample};

pub use options::{Build, Configured, Discover, EMBEDDED, HostOptions};
use outbox::{Outbox, Reader, outbox};
pub use titles::TitleOptions;

/// Frames and reports that wait for the host's loop. Whoever fills it waits: a run then merges its deltas.
const INBOX: usize = 256;

/// One client's place at the host, for as long as it is attached.
pub(crate) type Seat = u64;

/// What the loop is told.
pub(crate) enum Message {
    Attach {
        hello: Box<Hello>,
        outbox: Outbox,
        reply: oneshot::Sender<Result<(Seat, Welcome)>>,
    },
    Frame {
        seat: Seat,
        frame: ClientFrame,
    },
    /// Says in the lock how this host is reached.
    Publish {
        socket: Option<String>,
        listen: Option<String>,
        reply: oneshot::Sender<Result<()>>,
    },
    /// Ends the host if nobody is attached and nothing goes on; says whether it does.
    EndIfIdle {
        reply: oneshot::Sender<bool>,
    },
    /// A running answer reports.
    Run {
        node: NodeId,
        news: runs::News,
    },
    /// A backend was asked.
    Asked(Box<backends::Asked>),
    /// Discovery has looked everywhere.
    Discovered(Discovered),
    /// A model that is being loaded reports.
    Loading {
        model: ModelRef,
        update: Update,
    },
    /// Loading, unloading or deleting a model has ended.
    Settled {
        model: ModelRef,
        serial: u64,
        result: Result<()>,
    },
    /// A model was copied, or could not be.
    Copied {
        seat: Seat,
        id: CommandId,
        backend: String,
        result: Result<()>,
    },
    /// A download has come further.
    Pulling(Box<pulling::Pulling>),
    /// A download has ended.
    Pulled(Box<pulling::Pulled>),
    /// A model that is being loaded has told no progress for so long.
    Quiet {
        model: ModelRef,
        quiet: Duration,
    },
    /// A backend has told something by itself.
    Changed {
        backend: String,
        change: Change,
    },
    /// A backend has said what its loaded models cost.
    Instances {
        backend: String,
        result: Result<Vec<Instance>>,
    },
    /// The processes of instances were read; the reader comes back with it.
    Measured(Option<Box<instances::Measured>>),
    /// Downloads of the host before this one need not wait any longer.
    TakeUp,
    /// Whether pip is there.
    Pip(bool),
    /// A model was not used for so long as it was to stay; `busy`: others use it.
    Idle {
        model: ModelRef,
        busy: bool,
    },
    /// What the runs of models say now.
    Used(Vec<(ModelRef, ModelUse)>),
    /// A list was read for a client.
    Listed {
        seat: Seat,
        id: u64,
        result: Box<Result<Reply>>,
    },
    /// The first look at the backends is over: what waited for it can go on.
    Settle,
    /// A model was asked for a conversation's title.
    Titled {
        conversation: ConversationId,
        result: Result<String>,
    },
    /// The machine was looked at; the sampler comes back with it.
    Sampled(Box<(Sampler, Sample)>),
}

/// The way in to a running host. Cheap to clone; holding one does not keep the host alive.
#[derive(Clone)]
pub struct HostHandle {
    inbox: mpsc::Sender<Message>,
    /// One message per attachment that ended, so it is as bounded as the attachments are.
    detached: mpsc::UnboundedSender<Seat>,
    end: mpsc::Sender<String>,
    ended: watch::Receiver<bool>,
    state: Arc<PathBuf>,
}

impl HostHandle {
    /// Takes the lock, opens the database and starts the host in this process.
    ///
    /// # Errors
    /// [`Kind::Locked`], or whatever keeps the database from being opened.
    pub async fn start(options: HostOptions) -> Result<Self> {
        let (inbox, messages) = mpsc::channel(INBOX);
        let (detached, gone) = mpsc::unbounded_channel();
        let (end, ends) = mpsc::channel(1);
        let (tell, ended) = watch::channel(false);
        let state = Arc::new(options.state.clone());
        let listens = options.listens;
        let host = driver::Host::open(options, inbox.clone(), messages, gone).await?;
        tokio::spawn(host.run(ends, tell));
        let handle = Self { inbox, detached, end, ended, state };
        if !listens {
            handle.publish(None, None).await?;
        }
        Ok(handle)
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Says in the lock how this host is reached; without a socket: that it cannot be.
    ///
    /// # Errors
    /// When the lock file cannot be written, or the host has ended.
    pub async fn publish(&self, socket: Option<String>, listen: Option<String>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Publish { socket, listen, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Lets a client in. Whoever calls has checked its token and its version.
    ///
    /// # Errors
    /// [`Kind::HostGone`] when the host has ended.
    pub async fn attach(&self, hello: Hello) -> Result<(Attached, Welcome)> {
        let (outbox, reader) = outbox();
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Attach { hello: Box::new(hello), outbox, reply }).await.map_err(|_| gone())?;
        let (seat, welcome) = answer.await.map_err(|_| gone())??;
        let attached = Attached { seat, reader, inbox: self.inbox.clone(), detached: self.detached.clone() };
        Ok((attached, welcome))
    }

    /// Ends the host if nobody is attached and nothing goes on. Says whether it ends.
    pub async fn end_if_idle(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        if self.inbox.send(Message::EndIfIdle { reply }).await.is_err() {
            return true;
        }
        answer.await.unwrap_or(true)
    }

    /// Ends the host in order: runs are stopped and stored, clients are told.
    pub fn end(&self, reason: &str) {
        // Full means that it is ending already.
        drop(self.end.try_send(reason.to_owned()));
    }

    /// Waits until the host has ended and everything is stored.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the host's task is gone.
        drop(ended.wait_for(|ended| *ended).await);
    }
}

/// An attached client. Dropping it detaches.
pub struct Attached {
    seat: Seat,
    reader: Reader,
    inbox: mpsc::Sender<Message>,
    detached: mpsc::UnboundedSender<Seat>,
}

impl Attached {
    /// Hands a frame to the host. Waits while this client has too many answers unread.
    ///
    /// # Errors
    /// [`Kind::HostGone`] when the host has ended.
    pub async fn send(&self, frame: ClientFrame) -> Result<()> {
        self.reader.room().await;
        self.inbox.send(Message::Frame { seat: self.seat, frame }).await.map_err(|_| gone())
    }

    /// The next frame for this client; `None` when the host has ended. Safe to drop while it waits.
    pub async fn receive(&self) -> Option<HostFrame> {
        self.reader.next().await
    }

    /// The next frame if one waits.
    #[must_use]
    pub fn try_receive(&self) -> Option<HostFrame> {
        self.reader.try_next()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A host that has ended needs no farewell.
        let _ = self.detached.send(self.seat);
    }
}

fn gone() -> Error {
    Error::new(Kind::HostGone, "The host has ended; what it acknowledged is saved.").hint("Start arbour again to go on.")
}
