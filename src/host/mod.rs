//! The host: owns a [`Machine`](crate::core::Machine), a store and the backends, and carries out what the machine says.
//!
//! Owns: the one loop through which every change goes, the numbers of events, the runs, the probing of backends, and when the
//! process may end. Refuses: sockets (that is `daemon`) and rendering. Invariant: what a client was told is on disk: writes are
//! committed first, then numbered, applied to the host's own replica, sent out and acknowledged, in that order.

pub mod lock;
mod outbox;

use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, Kind, Result};
use crate::proto::wire::{ClientFrame, Hello, HostFrame, Welcome};

pub use outbox::{Outbox, Reader, outbox};

/// Frames and reports that wait for the host's loop. Whoever fills it waits: a run then merges its deltas.
const INBOX: usize = 256;

/// One client's place at the host, for as long as it is attached.
pub(crate) type Seat = u64;

/// What the loop is told from outside.
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
    /// Ends the host if nobody is attached and nothing goes on; says whether it does.
    EndIfIdle {
        reply: oneshot::Sender<bool>,
    },
}

/// The way in to a running host. Cheap to clone; holding one does not keep the host alive.
#[derive(Clone)]
pub struct HostHandle {
    inbox: mpsc::Sender<Message>,
    /// One message per attachment that ended, so it is as bounded as the attachments are.
    detached: mpsc::UnboundedSender<Seat>,
    end: mpsc::Sender<String>,
    ended: watch::Receiver<bool>,
}

impl HostHandle {
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
        drop(self.detached.send(self.seat));
    }
}

fn gone() -> Error {
    Error::new(Kind::HostGone, "The host has ended; what it acknowledged is saved.").hint("Start arbour again to go on.")
}
