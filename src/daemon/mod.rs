//! Lets clients in: listens on the private socket and, asked to, on TCP; authenticates; carries frames to and from the host.
//!
//! Owns: sockets, the token, the handshake, and the process that is a host. Refuses: knowing what frames mean (that is the
//! host, behind [`Door`]) and starting hosts (that is `client::start`). Invariant: nobody gets past the handshake without the
//! token, and what a stranger can cost is bounded (`gate`).

mod gate;
mod place;
mod session;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::local::{Door, HostOptions};
use crate::client::start::{Own, Readiness};
use crate::client::{Client, Incoming, Introduction};
use crate::error::{Error, Kind, Result};
use crate::proto::lock::TOKEN_FILE;
use crate::proto::wire::{MAX_CLIENT_FRAME, SUBPROTOCOL};
use crate::proto::{Ack, Command, EventKind, MAJOR, MINOR};
use gate::{Peer, Watched};

/// What sessions share.
struct Daemon {
    door: Door,
    token: String,
    socket: PathBuf,
}

impl Daemon {
    /// Starts listening on the private socket and says so in the lock.
    async fn open(door: Door) -> Result<Arc<Self>> {
        let token = token(door.state())?;
        let (listener, socket) = place::bind(door.state())?;
        let daemon = Arc::new(Self { door, token, socket });
        // The socket stays open until the process ends.
        Arc::clone(&daemon).accept(Watched::socket(listener), CancellationToken::new());
        daemon.publish(None).await?;
        Ok(daemon)
    }

    async fn publish(&self, listen: Option<String>) -> Result<()> {
        self.door.publish(Some(self.socket.display().to_string()), listen).await
    }

    /// Listens on TCP until the returned guard is dropped.
    async fn listen(self: Arc<Self>, address: &str) -> Result<(Ack, DropGuard)> {
        let cannot = |e: std::io::Error| {
            let (what, hint) = match e.kind() {
                std::io::ErrorKind::AddrInUse => ("another program listens there", "Choose another port with --listen ADDRESS:PORT."),
                std::io::ErrorKind::PermissionDenied => ("ports below 1024 need privileges", "Choose a port above 1024."),
                std::io::ErrorKind::AddrNotAvailable => {
                    ("this machine has no such address", "Use 127.0.0.1, 0.0.0.0 or one of its addresses.")
                }
                _ => ("it is not an address of this machine", "Write it as ADDRESS:PORT, like 127.0.0.1:7717."),
            };
            Error::new(Kind::Usage, format!("The host cannot listen at {}: {what}.", crate::error::quoted(address))).hint(hint).cause(e)
        };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let bound = listener.local_addr().map_err(cannot)?.to_string();
        let closed = CancellationToken::new();
        Arc::clone(&self).accept(Watched::network(listener), closed.clone());
        self.publish(Some(bound.clone())).await?;
        let withdrawn = closed.clone();
        tokio::spawn(async move {
            withdrawn.cancelled().await;
            // A host that ends empties its lock anyway.
            drop(self.publish(None).await);
        });
        tracing::info!(address = %bound, "listening");
        Ok((Ack::Listening { address: bound }, closed.drop_guard()))
    }

    fn accept(self: Arc<Self>, listener: Watched, closed: CancellationToken) {
        let ended = closed.clone();
        let daemon = Arc::clone(&self);
        let upgrade = move |ConnectInfo(peer): ConnectInfo<Peer>, headers: HeaderMap, upgrade: WebSocketUpgrade| {
            let (daemon, closed) = (Arc::clone(&daemon), closed.clone());
            async move { enter(daemon, peer, &headers, upgrade, closed) }
        };
        let router = Router::new().route("/", any(upgrade));
        tokio::spawn(async move {
            let serve = axum::serve(listener, router.into_make_service_with_connect_info::<Peer>());
            tokio::select! {
                _ = async { serve.await } => {}
                () = ended.cancelled() => {}
                () = self.door.ended() => {}
            }
        });
    }
}

fn enter(daemon: Arc<Daemon>, peer: Peer, headers: &HeaderMap, upgrade: WebSocketUpgrade, closed: CancellationToken) -> Response {
    // Browsers say which page they act for; no page has business here.
    if headers.contains_key(header::ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MAX_CLIENT_FRAME)
        .max_frame_size(MAX_CLIENT_FRAME)
        .on_upgrade(move |socket| session::serve(daemon, socket, peer, closed))
}

/// The token of this data folder, made on first use: 0600, and not guessable.
///
/// # Errors
/// [`Kind::ReadOnly`] when the file cannot be written.
pub fn token(state: &Path) -> Result<String> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let path = state.join(TOKEN_FILE);
    let known = crate::client::start::read_token(state);
    if known.len() >= 32 {
        return Ok(known);
    }
    let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let fresh = state.join(format!("{TOKEN_FILE}.{}", uuid::Uuid::new_v4().simple()));
    let write = || -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?.write_all(token.as_bytes())?;
        if !path.exists() {
            // Whole or not at all, and never over one that another process has just made.
            let linked = std::fs::hard_link(&fresh, &path);
            std::fs::remove_file(&fresh)?;
            if linked.as_ref().is_err_and(|e| e.kind() != std::io::ErrorKind::AlreadyExists) { linked } else { Ok(()) }
        } else {
            std::fs::rename(&fresh, &path)
        }
    };
    write().map_err(|e| {
        Error::new(Kind::ReadOnly, format!("The token file {} cannot be written, so nobody could attach.", path.display()))
            .hint("Check the folder's owner and permissions, or use another folder with --home.")
            .cause(e)
    })?;
    Ok(crate::client::start::read_token(state))
}

/// The sentence for a client of another major.
fn other_version(theirs: &str, major: u16) -> Error {
    Error::new(
        Kind::Version,
        format!(
            "The host is arbour {} (protocol {MAJOR}.{MINOR}), this client is arbour {} (protocol {major}): they do not understand each other.",
            env!("CARGO_PKG_VERSION"),
            crate::error::harmless(theirs),
        ),
    )
    .hint("The host works for others. It makes room by itself when it is idle; or end it and start arbour again.")
}

/// Is the host of a data folder until it has nothing to do: what the hidden subcommand `host` runs. With `detach` it leaves its
/// starter's session, and tells the starter on standard output (once, as JSON) that it listens, or why it does not.
///
/// # Errors
/// Why it did not start; the starter has been told too.
pub async fn run(options: HostOptions, detach: bool) -> Result<()> {
    if detach {
        // Fails only for the leader of a session, who needs no other.
        let _ = rustix::process::setsid();
    }
    let signals = Signals::new()?;
    let opened = async { Daemon::open(Door::start(HostOptions { listens: true, ..options }).await?).await }.await;
    if detach {
        tell(&opened.as_ref().map(drop).map_err(Clone::clone));
    }
    let daemon = opened?;
    signals.until_ended(&daemon.door).await;
    place::clear(&daemon.socket);
    Ok(())
}

/// Says that the host listens, then lets go of the starter's pipe.
fn tell(readiness: &Readiness) {
    let mut out = std::io::stdout();
    // A starter that is gone need not know.
    drop(serde_json::to_writer(&mut out, readiness));
    drop(out.flush());
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

/// Where `serve` listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    pub address: String,
    /// The process that is the host.
    pub pid: u32,
    /// Another process is the host; this one makes it stay and listen.
    pub over_live_host: bool,
}

/// `arbour serve`: is the host and stays, or makes the host that runs stay and listen, until a signal ends it.
/// `listening` is called once, when screens can attach.
///
/// # Errors
/// Why it did not start, or that the live host went away.
pub async fn serve(options: HostOptions, address: &str, listening: impl FnOnce(Serving)) -> Result<()> {
    let signals = Signals::new()?;
    let state = options.state().to_owned();
    let door = match Door::start(HostOptions { kept: true, listens: true, ..options }).await {
        Ok(door) => door,
        Err(error) if error.kind == Kind::Locked => {
            // The one who holds the lock may be reached, or says why not.
            return match Client::own(Own { state, launch: None }, Introduction::default()).await {
                Ok(client) => over(client, address, &signals, listening).await,
                Err(_) => Err(error),
            };
        }
        Err(error) => return Err(error),
    };
    let daemon = Daemon::open(door).await?;
    let opened = Arc::clone(&daemon).listen(address).await;
    let (ack, _guard) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            daemon.door.end("It could not listen.");
            daemon.door.ended().await;
            place::clear(&daemon.socket);
            return Err(error);
        }
    };
    if let Ack::Listening { address } = ack {
        listening(Serving { address, pid: std::process::id(), over_live_host: false });
    }
    signals.until_ended(&daemon.door).await;
    place::clear(&daemon.socket);
    Ok(())
}

/// Stays attached to a live host that listens for as long.
async fn over(mut client: Client, address: &str, signals: &Signals, listening: impl FnOnce(Serving)) -> Result<()> {
    let pid = client.welcome().pid;
    if let Ack::Listening { address } = client.command(Command::Listen { address: address.to_owned() }).await? {
        listening(Serving { address, pid, over_live_host: true });
    }
    loop {
        tokio::select! {
            () = signals.terminated() => {
                client.close(std::time::Duration::from_secs(1)).await;
                return Ok(());
            }
            incoming = client.next() => match incoming {
                Incoming::Lost(error) | Incoming::Gone(error) => return Err(error),
                Incoming::Event(event) if matches!(event.kind, EventKind::Stopping { .. }) => return Ok(()),
                Incoming::Event(_) | Incoming::Ack { .. } | Incoming::Reply { .. } | Incoming::Restored(_) => {}
            }
        }
    }
}

/// The signals that end a host, caught from before it starts.
struct Signals {
    received: tokio::sync::watch::Receiver<bool>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Signals {
    fn new() -> Result<Self> {
        let cannot = |e: std::io::Error| Error::new(Kind::Internal, "Signals cannot be watched.").cause(e);
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        // A terminal that closes is no reason to end: that is what a host is for.
        let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
        let (tell, received) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = hangup.recv() => {}
                }
            }
            let _ = tell.send(true);
        });
        Ok(Self { received, _task: tokio_util::task::AbortOnDropHandle::new(task) })
    }

    async fn terminated(&self) {
        let mut received = self.received.clone();
        // An error means that the watching task is gone, with the runtime.
        drop(received.wait_for(|received| *received).await);
    }

    /// Waits until the host has ended, by itself or by a signal.
    async fn until_ended(&self, door: &Door) {
        tokio::select! {
            () = door.ended() => return,
            () = self.terminated() => door.end("It was told to end."),
        }
        door.ended().await;
    }
}
