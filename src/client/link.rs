//! The task between a [`super::Client`] and its host: carries frames, and finds the way back when the link breaks.
//!
//! Invariant: every command and question that came in is answered once: by the host, by the host that was started in its stead
//! (sent again under the same id), or with the error that says why there is none.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::remote::{Address, WebLink, WebReceiver, WebSender};
use super::start::Own;
use super::{Incoming, Introduction, Outgoing, host_gone, local};
use crate::error::{Error, Kind, Result};
use crate::proto::wire::{ClientFrame, Hello, HostFrame, Welcome};
use crate::proto::{ClientId, Command, CommandId, EventKind, IdGen, Query};

/// A host that dies again within this time after its restart is not started once more.
const RESTART_AGAIN: Duration = Duration::from_secs(60);
/// How long a one-shot looks for a way back over the network. A screen looks for as long as it is open.
const ONE_SHOT_PATIENCE: Duration = Duration::from_secs(10);
/// First and longest pause between two tries over the network.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// One standing connection, as frames. Its two halves work at the same time: a host that is busy answering must not keep
/// questions from being sent, nor the other way round.
pub(super) enum Link {
    Web(WebLink),
    Local(local::Session),
}

enum Sending {
    Web(WebSender),
    Local(Arc<local::Session>),
}

enum Receiving {
    Web(WebReceiver),
    Local(Arc<local::Session>),
}

impl Link {
    fn split(self) -> (Sending, Receiving) {
        match self {
            Self::Web(WebLink { sender, receiver }) => (Sending::Web(sender), Receiving::Web(receiver)),
            Self::Local(session) => {
                let session = Arc::new(session);
                (Sending::Local(Arc::clone(&session)), Receiving::Local(session))
            }
        }
    }
}

impl Sending {
    async fn send(&mut self, frame: &ClientFrame) -> Result<()> {
        match self {
            Self::Web(web) => web.send(frame).await,
            Self::Local(session) => session.send(frame).await,
        }
    }

    async fn close(&mut self) {
        if let Self::Web(web) = self {
            web.close().await;
        }
    }
}

impl Receiving {
    async fn receive(&mut self) -> Result<HostFrame> {
        match self {
            Self::Web(web) => web.receive().await,
            Self::Local(session) => session.receive().await,
        }
    }
}

/// Where the host is.
#[derive(Clone)]
pub(super) enum Way {
    /// Somebody started it elsewhere.
    To(Address),
    /// This user's own; started when none runs.
    Own(Own),
    /// In this process.
    Door(local::Door),
}

/// The way to a host, and back to it.
pub(super) struct Road {
    way: Way,
    introduction: Introduction,
    client: ClientId,
    /// When the way back was last taken.
    taken: Option<Instant>,
}

impl Road {
    pub(super) fn new(way: Way, introduction: Introduction) -> Self {
        Self { way, introduction, client: IdGen::Real.fresh(), taken: None }
    }

    pub(super) async fn reach(&self) -> Result<(Link, Welcome)> {
        let hello = self.introduction.hello(self.client);
        match &self.way {
            Way::To(address) => {
                let (link, welcome) = address.attach(&hello).await?;
                Ok((Link::Web(link), welcome))
            }
            Way::Own(own) => {
                let (link, welcome) = own.attach(hello).await?;
                Ok((Link::Web(link), welcome))
            }
            Way::Door(door) => {
                let (session, welcome) = door.enter(hello).await?;
                Ok((Link::Local(session), welcome))
            }
        }
    }

    /// Looks for the host again after the link broke.
    async fn back(&mut self, lost: &Error) -> Result<(Link, Welcome)> {
        match &self.way {
            Way::Door(_) => Err(lost.clone()),
            Way::Own(_) => {
                let now = Instant::now();
                if self.taken.is_some_and(|taken| now - taken < RESTART_AGAIN) {
                    return Err(Error::new(Kind::HostGone, "The host ended twice within a minute, so it is not started once more.")
                        .hint("Its log in the state folder says why; `arbour doctor` names the folder."));
                }
                self.taken = Some(now);
                self.reach().await
            }
            Way::To(_) => {
                let begun = Instant::now();
                let mut pause = PAUSES.0;
                loop {
                    match self.reach().await {
                        Ok(link) => return Ok(link),
                        Err(error) if matches!(error.kind, Kind::Unauthorized | Kind::Version) => return Err(error),
                        Err(error) if !self.introduction.screen && begun.elapsed() > ONE_SHOT_PATIENCE => return Err(error),
                        Err(_) => {}
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }
}

/// Sends the first frame and waits for what the host says to it. Bounded by the caller.
pub(super) async fn greet(link: &mut WebLink, hello: &Hello) -> Result<Welcome> {
    link.sender.send(&ClientFrame::Hello(hello.clone())).await?;
    match link.receiver.receive().await? {
        HostFrame::Welcome(welcome) => Ok(*welcome),
        HostFrame::Refused(error) => Err(error),
        HostFrame::Event(_) | HostFrame::Ack { .. } | HostFrame::Reply { .. } => {
            Err(Error::new(Kind::Malformed, "What answers there does not begin as an arbour host does."))
        }
    }
}

/// What was asked and not answered, and what a new connection must be told first.
#[derive(Default)]
struct Desk {
    commands: Vec<(CommandId, Command)>,
    queries: Vec<(u64, Query)>,
    /// The last `View` and the last `Watch`: they hold for a connection, not for the host.
    standing: [Option<Command>; 2],
    /// Commands of this task's own, whose answers nobody waits for.
    silent: HashSet<CommandId>,
    /// The host said that it ends.
    stopping: Option<String>,
}

impl Desk {
    fn note(&mut self, outgoing: Outgoing) -> ClientFrame {
        match outgoing {
            Outgoing::Command { id, command } => {
                match &command {
                    Command::View { .. } => self.standing[0] = Some(command.clone()),
                    Command::Watch { .. } => self.standing[1] = Some(command.clone()),
                    _ => {}
                }
                self.commands.push((id, command.clone()));
                ClientFrame::Command { id, command }
            }
            Outgoing::Query { id, query } => {
                self.queries.push((id, query.clone()));
                ClientFrame::Query { id, query }
            }
        }
    }

    /// What the client hears of a frame.
    fn hear(&mut self, frame: HostFrame) -> Result<Option<Incoming>> {
        Ok(match frame {
            HostFrame::Event(event) => {
                if let EventKind::Stopping { reason } = &event.kind {
                    self.stopping = Some(reason.clone());
                }
                Some(Incoming::Event(event))
            }
            HostFrame::Ack { id, result } => {
                self.commands.retain(|(waiting, _)| *waiting != id);
                (!self.silent.remove(&id)).then_some(Incoming::Ack { id, result })
            }
            HostFrame::Reply { id, result } => {
                self.queries.retain(|(waiting, _)| *waiting != id);
                Some(Incoming::Reply { id, result })
            }
            HostFrame::Welcome(welcome) => Some(Incoming::Restored(Box::new(welcome.snapshot))),
            HostFrame::Refused(error) => return Err(error),
        })
    }

    /// What a new connection must be told: what holds, and what waits, in the old order.
    fn again(&mut self) -> Vec<ClientFrame> {
        let mut frames = Vec::new();
        for command in self.standing.iter().flatten() {
            if !self.commands.iter().any(|(_, waiting)| waiting == command) {
                let id = IdGen::Real.fresh();
                self.silent.insert(id);
                frames.push(ClientFrame::Command { id, command: command.clone() });
            }
        }
        frames.extend(self.commands.iter().map(|(id, command)| ClientFrame::Command { id: *id, command: command.clone() }));
        frames.extend(self.queries.iter().map(|(id, query)| ClientFrame::Query { id: *id, query: query.clone() }));
        frames
    }
}

/// Why the carrying stopped.
enum End {
    Detached,
    Lost(Error),
}

/// Carries frames until the client detaches or there is no way back.
pub(super) async fn carry(mut road: Road, mut link: Link, mut from: mpsc::Receiver<Outgoing>, to: mpsc::Sender<Incoming>) {
    let mut desk = Mutex::new(Desk::default());
    loop {
        let End::Lost(error) = work(&desk, link, &mut from, &to).await else { return };
        if to.send(Incoming::Lost(error.clone())).await.is_err() {
            return;
        }
        let waiting = desk.get_mut().unwrap_or_else(PoisonError::into_inner);
        if waiting.stopping.take().is_some() && waiting.commands.is_empty() && waiting.queries.is_empty() {
            // Somebody ended the host on purpose: it is started again only when it is needed.
            match from.recv().await {
                Some(outgoing) => drop(waiting.note(outgoing)),
                None => return,
            }
        }
        let found = tokio::select! {
            found = road.back(&error) => found,
            () = to.closed() => return,
        };
        match found {
            Ok((new, welcome)) => {
                link = new;
                if to.send(Incoming::Restored(Box::new(welcome.snapshot))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                give_up(desk.into_inner().unwrap_or_else(PoisonError::into_inner), from, &to, error).await;
                return;
            }
        }
    }
}

async fn work(desk: &Mutex<Desk>, link: Link, from: &mut mpsc::Receiver<Outgoing>, to: &mpsc::Sender<Incoming>) -> End {
    // Nothing panics while it holds the desk.
    let lock = || desk.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut sending, mut receiving) = link.split();
    let again = lock().again();
    let sends = async {
        for frame in again {
            if let Err(error) = sending.send(&frame).await {
                return End::Lost(error);
            }
        }
        while let Some(outgoing) = from.recv().await {
            let frame = lock().note(outgoing);
            if let Err(error) = sending.send(&frame).await {
                return End::Lost(error);
            }
        }
        sending.close().await;
        End::Detached
    };
    let receives = async {
        loop {
            // A place first: what was received must not be lost for want of one.
            let Ok(place) = to.reserve().await else { return End::Detached };
            let heard = receiving.receive().await.and_then(|frame| lock().hear(frame));
            match heard {
                Ok(Some(incoming)) => place.send(incoming),
                Ok(None) => {}
                Err(error) => return End::Lost(error),
            }
        }
    };
    tokio::select! {
        end = sends => end,
        end = receives => end,
    }
}

/// Answers everything with the reason for there being no host.
async fn give_up(desk: Desk, mut from: mpsc::Receiver<Outgoing>, to: &mpsc::Sender<Incoming>, error: Error) {
    from.close();
    let mut commands: Vec<CommandId> = desk.commands.into_iter().map(|(id, _)| id).collect();
    let mut queries: Vec<u64> = desk.queries.into_iter().map(|(id, _)| id).collect();
    while let Ok(outgoing) = from.try_recv() {
        match outgoing {
            Outgoing::Command { id, .. } => commands.push(id),
            Outgoing::Query { id, .. } => queries.push(id),
        }
    }
    let error = if error.kind == Kind::HostGone || error.kind == Kind::Locked { error } else { host_gone().cause(error) };
    for id in commands {
        drop(to.send(Incoming::Ack { id, result: Err(error.clone()) }).await);
    }
    for id in queries {
        drop(to.send(Incoming::Reply { id, result: Err(error.clone()) }).await);
    }
    drop(to.send(Incoming::Gone(error)).await);
}
