//! The door frame: every connection that comes in, until it has shown a token.
//!
//! Invariant: a peer that has not authenticated costs at most [`PATIENCE`] of time, [`UNKNOWN_BYTES`] of memory and one of
//! [`UNKNOWN_PEERS`] places; when all places are taken, whoever waited longest leaves, so that strangers cannot keep a person out.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::Sleep;

/// How long a peer may take until it is let in: HTTP upgrade and first frame together.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// What an unknown peer may send: headers, and a first frame with some environment variables.
const UNKNOWN_BYTES: usize = 1 << 20;
/// How many unknown peers may stand at the door at once.
const UNKNOWN_PEERS: usize = 64;

const UNKNOWN: u8 = 0;
const OPEN: u8 = 1;
const SHUT: u8 = 2;

/// Whether one connection has been let in.
#[derive(Default)]
pub(super) struct Gate {
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Gate {
    /// The peer has shown its token.
    pub(super) fn open(&self) {
        // Whoever was put out in the same moment stays out.
        let _ = self.state.compare_exchange(UNKNOWN, OPEN, Ordering::AcqRel, Ordering::Acquire);
    }

    fn shut(&self) {
        if self.state.compare_exchange(UNKNOWN, SHUT, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.waker.wake();
        }
    }

    fn is_unknown(&self) -> bool {
        self.state.load(Ordering::Acquire) == UNKNOWN
    }
}

/// Which way a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Socket,
    Network,
}

/// What a session knows of its connection.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) gate: Arc<Gate>,
    pub(super) from: Origin,
}

/// A listener that watches over the connections it accepts.
pub(super) struct Watched {
    listener: Either,
    unknown: VecDeque<Weak<Gate>>,
}

enum Either {
    Socket(UnixListener),
    Network(TcpListener),
}

enum Stream {
    Socket(UnixStream),
    Network(TcpStream),
}

impl Watched {
    pub(super) fn socket(listener: UnixListener) -> Self {
        Self { listener: Either::Socket(listener), unknown: VecDeque::new() }
    }

    pub(super) fn network(listener: TcpListener) -> Self {
        Self { listener: Either::Network(listener), unknown: VecDeque::new() }
    }

    async fn stream(&self) -> io::Result<(Stream, Origin)> {
        match &self.listener {
            Either::Socket(listener) => listener.accept().await.map(|(stream, _)| (Stream::Socket(stream), Origin::Socket)),
            Either::Network(listener) => {
                let (stream, _) = listener.accept().await?;
                // Deltas are small and must not wait for each other.
                drop(stream.set_nodelay(true));
                Ok((Stream::Network(stream), Origin::Network))
            }
        }
    }

    fn watch(&mut self, gate: &Arc<Gate>) {
        self.unknown.retain(|known| known.upgrade().is_some_and(|gate| gate.is_unknown()));
        if self.unknown.len() >= UNKNOWN_PEERS
            && let Some(oldest) = self.unknown.pop_front().and_then(|known| known.upgrade())
        {
            oldest.shut();
        }
        self.unknown.push_back(Arc::downgrade(gate));
    }
}

impl Listener for Watched {
    type Io = Guarded;
    type Addr = Origin;

    async fn accept(&mut self) -> (Guarded, Origin) {
        loop {
            match self.stream().await {
                Ok((stream, from)) => {
                    let gate = Arc::new(Gate::default());
                    self.watch(&gate);
                    let guarded = Guarded { stream, gate, deadline: Some(Box::pin(tokio::time::sleep(PATIENCE))), read: 0, from };
                    return (guarded, from);
                }
                // Out of file descriptors, mostly: those at the door leave within the patience.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Origin> {
        Ok(match self.listener {
            Either::Socket(_) => Origin::Socket,
            Either::Network(_) => Origin::Network,
        })
    }
}

impl Connected<IncomingStream<'_, Watched>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Watched>) -> Self {
        Self { gate: Arc::clone(&stream.io().gate), from: stream.io().from }
    }
}

/// A connection that is cut when its gate stays closed for too long, or when an unknown peer sends too much.
pub(super) struct Guarded {
    stream: Stream,
    gate: Arc<Gate>,
    deadline: Option<Pin<Box<Sleep>>>,
    read: usize,
    from: Origin,
}

impl Guarded {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(deadline) = &mut self.deadline else { return Ok(()) };
        self.gate.waker.register(cx.waker());
        match self.gate.state.load(Ordering::Acquire) {
            OPEN => {
                self.deadline = None;
                Ok(())
            }
            UNKNOWN if self.read <= UNKNOWN_BYTES && deadline.as_mut().poll(cx).is_pending() => Ok(()),
            _ => {
                self.gate.shut();
                Err(io::Error::new(io::ErrorKind::TimedOut, "the peer did not introduce itself"))
            }
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        let before = buf.filled().len();
        ready!(match &mut this.stream {
            Stream::Socket(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Network(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        if this.deadline.is_some() {
            this.read += buf.filled().len() - before;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Socket(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Network(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Socket(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Network(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Network(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
