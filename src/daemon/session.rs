//! One attached client: the handshake, then frames both ways until either end leaves.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gate::{Origin, PATIENCE, Peer};
use super::{Daemon, other_version};
use crate::client::local::Attached;
use crate::error::{Error, Kind, Result};
use crate::proto::wire::{ClientFrame, Hello, HostFrame, decode, encode};
use crate::proto::{Command, MAJOR};

/// How often a host lets a client on the network hear of itself.
const PING: Duration = Duration::from_secs(20);
/// After this long without a sign of life a client on the network is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes that are put together before they are handed to the socket at once.
const BATCH: usize = 64 << 10;

/// Serves one connection. `closed` ends it: the listener it came through is closed.
pub(super) async fn serve(daemon: Arc<Daemon>, socket: WebSocket, peer: Peer, closed: CancellationToken) {
    let (mut sender, mut receiver) = socket.split();
    let hello = match tokio::time::timeout(PATIENCE, introduce(&daemon, &mut receiver)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => return refuse(&mut sender, error).await,
        Err(_) => return,
    };
    let attached = match daemon.door.attach(hello).await {
        Ok((attached, welcome)) => {
            peer.gate.open();
            if send(&mut sender, &HostFrame::Welcome(Box::new(welcome))).await.is_err() {
                return;
            }
            attached
        }
        Err(error) => return refuse(&mut sender, error).await,
    };
    let heard = Heard { last: std::sync::Mutex::new(Instant::now()) };
    // Answers that the daemon gives itself; one at a time is asked for.
    let (own, answers) = mpsc::channel(4);
    let network = peer.from == Origin::Network;
    let end = tokio::select! {
        end = read(&daemon, &attached, &mut receiver, own, &heard, network) => end,
        end = write(&attached, &mut sender, answers, &heard, network) => end,
        () = closed.cancelled() => Err(Error::new(Kind::HostGone, "The host does not listen there any more.")),
    };
    if let Err(error) = end {
        tracing::debug!(%error, "a client left");
        refuse(&mut sender, error).await;
    }
}

/// Reads and checks the first frame.
async fn introduce(daemon: &Daemon, receiver: &mut SplitStream<WebSocket>) -> Result<Hello> {
    let stranger = || {
        Error::new(Kind::Unauthorized, "The host does not know this token.")
            .hint("Give the token that `arbour serve --print-token` shows there: in ARBOUR_TOKEN, with --token-file, or in the config.")
    };
    let hello = loop {
        match receiver.next().await {
            Some(Ok(Message::Binary(bytes))) => match decode(&bytes) {
                Ok(ClientFrame::Hello(hello)) => break hello,
                Ok(ClientFrame::Command { .. } | ClientFrame::Query { .. }) => return Err(stranger()),
                Err(error) => return Err(error),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Close(_)) | Err(_)) | None => return Err(stranger()),
        }
    };
    if !same(hello.token.as_bytes(), daemon.token.as_bytes()) {
        return Err(stranger());
    }
    if hello.major != MAJOR {
        let error = other_version(&hello.version, hello.major);
        if hello.replace && daemon.door.end_if_idle().await {
            return Err(Error::new(Kind::HostGone, "The host was idle and makes room for the other version."));
        }
        return Err(error);
    }
    Ok(hello)
}

/// Compares without telling by its duration where two tokens differ.
fn same(given: &[u8], token: &[u8]) -> bool {
    let mut different = u8::from(given.len() != token.len() || token.is_empty());
    for (at, byte) in token.iter().enumerate() {
        different |= byte ^ given.get(at).copied().unwrap_or(0);
    }
    std::hint::black_box(different) == 0
}

/// When the peer was heard last.
struct Heard {
    last: std::sync::Mutex<Instant>,
}

impl Heard {
    fn now(&self) {
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    fn silence(&self) -> Duration {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).elapsed()
    }
}

async fn read(
    daemon: &Arc<Daemon>,
    attached: &Attached,
    receiver: &mut SplitStream<WebSocket>,
    own: mpsc::Sender<HostFrame>,
    heard: &Heard,
    network: bool,
) -> Result<()> {
    // Closes what this client asked to listen at, when it leaves.
    let mut listening: Vec<tokio_util::sync::DropGuard> = Vec::new();
    while let Some(message) = receiver.next().await {
        heard.now();
        let bytes = match message {
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) => return Ok(()),
            Ok(Message::Text(_)) => return Err(Error::new(Kind::Malformed, "A client of arbour sends binary frames only.")),
            Err(error) => return Err(Error::new(Kind::Malformed, "The client sent what is not a frame.").cause(error)),
        };
        match decode(&bytes)? {
            ClientFrame::Hello(_) => return Err(Error::new(Kind::Malformed, "The client introduced itself twice.")),
            ClientFrame::Command { id, command: Command::Listen { address } } => {
                let result = if network {
                    Err(Error::new(Kind::Unsupported, "Only a client on the host's own machine can make it listen."))
                } else {
                    Arc::clone(daemon).listen(&address).await.map(|(ack, guard)| {
                        listening.push(guard);
                        ack
                    })
                };
                if own.send(HostFrame::Ack { id, result }).await.is_err() {
                    return Ok(());
                }
            }
            frame @ (ClientFrame::Command { .. } | ClientFrame::Query { .. }) => attached.send(frame).await?,
        }
    }
    Ok(())
}

async fn write(
    attached: &Attached,
    sender: &mut SplitSink<WebSocket, Message>,
    mut answers: mpsc::Receiver<HostFrame>,
    heard: &Heard,
    network: bool,
) -> Result<()> {
    let left = |e: axum::Error| Error::new(Kind::Disconnected, "The client is gone.").cause(e);
    loop {
        let ping = async { if network { tokio::time::sleep(PING).await } else { std::future::pending().await } };
        let frame = tokio::select! {
            biased;
            Some(frame) = answers.recv() => frame,
            frame = attached.receive() => match frame {
                Some(frame) => frame,
                None => {
                    // Everything has been sent; the peer sees an orderly end.
                    drop(sender.send(Message::Close(None)).await);
                    return Ok(());
                }
            },
            () = ping => {
                if heard.silence() > SILENCE {
                    return Err(Error::new(Kind::Disconnected, "Nothing was heard of the client for a minute."));
                }
                sender.send(Message::Ping(Vec::new().into())).await.map_err(left)?;
                continue;
            }
        };
        // What waits already goes out with it, in one write.
        let mut bytes = encode(&frame);
        let mut batched = bytes.len();
        loop {
            sender.feed(Message::Binary(bytes.into())).await.map_err(left)?;
            match (batched < BATCH).then(|| attached.try_receive()).flatten() {
                Some(next) => bytes = encode(&next),
                None => break,
            }
            batched += bytes.len();
        }
        let flushed = sender.flush();
        match network {
            true => tokio::time::timeout(SILENCE, flushed)
                .await
                .map_err(|_| Error::new(Kind::Disconnected, "The client read nothing for a minute."))?
                .map_err(left)?,
            false => flushed.await.map_err(left)?,
        }
    }
}

async fn send(sender: &mut SplitSink<WebSocket, Message>, frame: &HostFrame) -> Result<(), axum::Error> {
    sender.send(Message::Binary(encode(frame).into())).await
}

/// Says why and closes. Bounded: the peer may not be reading.
async fn refuse(sender: &mut SplitSink<WebSocket, Message>, error: Error) {
    let close = CloseFrame { code: axum::extract::ws::close_code::POLICY, reason: "refused".into() };
    let farewell = async {
        if send(sender, &HostFrame::Refused(error)).await.is_ok() {
            drop(sender.send(Message::Close(Some(close))).await);
        }
    };
    drop(tokio::time::timeout(Duration::from_secs(1), farewell).await);
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn tokens_are_the_same_only_when_they_are() {
        assert!(same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secret2", b"Secret", b"\0"] {
            assert!(!same(other, b"secret"));
        }
        assert!(!same(b"", b""), "a host without a token lets nobody in");
    }
}
