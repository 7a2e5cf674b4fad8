//! The one loop: takes a message, lets the machine decide, carries out what it says, then takes the next.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::acts::Acts;
use super::attachments::Attachments;
use super::backends::Backends;
use super::downloads::Downloads;
use super::effects::LAST_CONVERSATION;
use super::fitting::Fitting;
use super::idle::Idle;
use super::instances::Instances;
use super::jobs;
use super::life::Life;
use super::lock::Held;
use super::options::HostOptions;
use super::outbox::Outbox;
use super::runs::{News, Runs};
use super::schedule::Schedule;
use super::seats::Seats;
use super::titles::Titles;
use super::watching::Watches;
use super::{Message, Seat};
use crate::backend::discover::Discovered;
use crate::backend::{Request, Update};
use crate::core::{Input, Machine, Write};
use crate::error::{Error, Kind, Result};
use crate::metrics::Sampler;
use crate::proto::lock::Lock;
use crate::proto::wire::{ClientFrame, Hello, Welcome};
use crate::proto::{Card, Command, CommandId, EventKind, Level, MAJOR, MINOR, ModelRef, NodeId, Order, Shelf, Snapshot, UnixMs};
use crate::store::{Recovered, Store};

/// Streaming text is on disk this long after it came at the latest, together with the time that the commit takes: 400 ms.
const CHECKPOINT: Duration = Duration::from_millis(300);
/// A commit that failed is tried again this often.
const RETRY: Duration = Duration::from_secs(5);
/// A server unloads a model this much later than it says, at the most.
const EXPIRED: Duration = Duration::from_secs(1);
/// How long runs may take to stop when the host ends.
const STOP: Duration = Duration::from_millis(800);
/// How long clients may take to read what waits for them when the host ends.
const FAREWELL: Duration = Duration::from_millis(300);
/// How long the database may take to close.
const CLOSE: Duration = Duration::from_millis(800);
/// Attached clients at most: a person has a handful of screens, a script some dozens of `ask`.
const MOST_SEATS: usize = 256;

/// Whose task it was, for when it panics.
pub(super) enum Whose {
    Run(NodeId),
    Backend(String),
    Command(Seat, CommandId),
    Act(ModelRef, u64),
    Discovery,
    Instances(String),
    Download(String, u64),
    Other,
}

/// The host itself. Only its loop touches it.
pub(super) struct Host {
    pub(super) options: HostOptions,
    pub(super) machine: Machine,
    pub(super) store: Store,
    pub(super) seats: Seats,
    pub(super) backends: Backends,
    pub(super) runs: Runs,
    pub(super) downloads: Downloads,
    pub(super) fitting: Fitting,
    pub(super) attachments: Attachments,
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) seq: u64,
    /// Commands that wait until the first look at the backends is over.
    pub(super) waiting: Vec<(Seat, CommandId, Command)>,
    /// Those who asked for a fresh look at the backends.
    pub(super) refreshing: Vec<(Seat, CommandId)>,
    pub(super) discovering: bool,
    pub(super) looked: Option<Instant>,
    /// Where discovery looked, in words.
    pub(super) looked_at: String,
    /// Whether pip is there; `None` until it was looked for.
    pub(super) pip: Option<bool>,
    /// The first look at the backends is over.
    pub(super) settled: bool,
    /// The last requests, exactly as they went out.
    pub(super) requests: VecDeque<(NodeId, Request)>,
    /// What could not be committed yet.
    pub(super) debt: Vec<Write>,
    pub(super) last_ttft: Option<f64>,
    pub(super) acts: Acts,
    pub(super) jobs: Schedule,
    pub(super) idle: Idle,
    /// Backends that are to be asked soon: many acts at once cost one question each second.
    pub(super) soon: BTreeMap<String, Instant>,
    /// What people keep about models, listed or not.
    pub(super) cards: BTreeMap<ModelRef, Card>,
    /// Somebody who is here asked what the runs of models say.
    pub(super) uses_wanted: bool,
    pub(super) instances: Instances,
    pub(super) watches: Watches,
    pub(super) titles: Titles,
    pub(super) ending: Option<String>,
    tasks: JoinSet<()>,
    whose: HashMap<tokio::task::Id, Whose>,
    messages: mpsc::Receiver<Message>,
    gone: mpsc::UnboundedReceiver<Seat>,
    held: Held,
    life: Life,
    checkpoint: Option<Instant>,
    retry: Option<Instant>,
    pub(super) sampler: Option<Sampler>,
    sampling: Option<Instant>,
    /// Told to the first client that comes.
    found: Vec<(Level, Error)>,
}

/// Now, in milliseconds since 1970.
pub(super) fn now() -> UnixMs {
    jiff::Timestamp::now().as_millisecond()
}

impl Host {
    pub(super) async fn open(
        options: HostOptions,
        inbox: mpsc::Sender<Message>,
        messages: mpsc::Receiver<Message>,
        gone: mpsc::UnboundedReceiver<Seat>,
    ) -> Result<Self> {
        let held = Held::take(&options.state)?;
        let database = options.database.clone();
        let (store, recovered) = tokio::task::spawn_blocking(move || Store::open(&database, now()))
            .await
            .map_err(|e| Error::new(Kind::Internal, "Opening the database failed.").cause(e))??;
        let downloads = store.downloads().await?;
        let mut machine = Machine::default();
        machine.replica.settings = store.settings().await?;
        let cards = store.cards().await?;
        machine.replica.folders = store.folders().await?;
        let kept = store.kept_settings().await?;
        (machine.replica.presets, machine.replica.groups) = (kept.presets, kept.groups);
        let last = machine.replica.settings.remove(LAST_CONVERSATION);
        machine.replica.last = last.and_then(|id| id.as_str()?.parse().ok());
        let mut found: Vec<(Level, Error)> = options.problems.iter().map(|problem| (Level::Warning, problem.clone())).collect();
        found.extend(was_interrupted(&recovered));
        if let Some(told) = jobs::left_behind(machine.replica.settings.remove(jobs::GOING).as_ref()) {
            store.write(vec![Write::Setting { key: jobs::GOING.to_owned(), value: serde_json::Value::Array(Vec::new()) }], false).await?;
            found.push(told);
        }
        let life = Life::new(options.linger, options.kept, Instant::now());
        let mut host = Self {
            machine,
            store,
            seats: Seats::default(),
            backends: Backends::default(),
            runs: Runs::default(),
            downloads: Downloads::default(),
            fitting: Fitting::default(),
            attachments: Attachments::new(options.database.with_file_name("blobs")),
            inbox,
            seq: 0,
            waiting: Vec::new(),
            refreshing: Vec::new(),
            discovering: false,
            looked: None,
            looked_at: String::new(),
            pip: None,
            settled: false,
            requests: VecDeque::new(),
            debt: Vec::new(),
            last_ttft: None,
            acts: Acts::default(),
            jobs: Schedule::default(),
            idle: Idle::default(),
            soon: BTreeMap::new(),
            cards,
            uses_wanted: false,
            instances: Instances::default(),
            watches: Watches::default(),
            titles: Titles::default(),
            ending: None,
            tasks: JoinSet::new(),
            whose: HashMap::new(),
            messages,
            gone,
            held,
            life,
            checkpoint: None,
            retry: None,
            sampler: None,
            sampling: None,
            found,
            options,
        };
        host.take_up_downloads(downloads);
        host.sweep_attachments();
        host.look_first();
        Ok(host)
    }

    /// Works until the host ends. `ended` is told when everything is stored and the lock is free.
    pub(super) async fn run(mut self, mut ends: mpsc::Receiver<String>, ended: watch::Sender<bool>) {
        while self.ending.is_none() {
            self.turn(&mut ends).await;
        }
        self.finish().await;
        drop(self);
        let _ = ended.send(true);
    }

    async fn turn(&mut self, ends: &mut mpsc::Receiver<String>) {
        let held = self.is_held();
        let wake = self.life.wake(held);
        // Nobody sees states while nobody is attached; what holds the host must let go.
        let expiry = if held { self.backends.next_expiry() } else { None }.map(|expires| {
            let left = u64::try_from(expires - now()).unwrap_or(0);
            Instant::now() + Duration::from_millis(left) + EXPIRED
        });
        let (soon, tell, idle) = (self.soon.values().min().copied(), self.jobs.due(), self.idle.next());
        let absent = self.next_absent();
        tokio::select! {
            biased;
            reason = ends.recv() => self.ending = reason.or(self.ending.take()),
            Some(seat) = self.gone.recv() => self.detach(seat),
            Some(joined) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.task_ended(joined).await,
            Some(message) = self.messages.recv() => self.message(message).await,
            () = at(self.checkpoint) => self.write_checkpoint().await,
            () = at(self.retry) => self.try_again().await,
            () = at(self.sampling) => self.sample(),
            () = at(self.instances.due()) => self.ask_instances(),
            () = at(expiry) => self.look_after_expired(),
            () = at(soon) => self.look_at_those(),
            () = at(absent) => self.ask_absent(),
            () = at(self.titles.due()) => self.ask_for_title().await,
            () = at(idle) => self.unload_idle(),
            () = at(tell) => {}
            () = tokio::time::sleep_until(wake) => {}
        }
        self.after_turn().await;
    }

    /// What follows from any change: armed timers, snapshots for those who lag, the end.
    async fn after_turn(&mut self) {
        self.go_on_with_jobs().await;
        if self.checkpoint.is_none() && self.machine.is_dirty() {
            self.checkpoint = Some(Instant::now() + CHECKPOINT);
        }
        if self.retry.is_none() && !self.debt.is_empty() {
            self.retry = Some(Instant::now() + RETRY);
        }
        match (self.seats.watched(), self.sampling) {
            (true, None) => self.sampling = Some(Instant::now()),
            (false, Some(_)) => {
                // An open GPU driver keeps the GPU awake.
                self.sampling = None;
                self.sampler = None;
            }
            _ => {}
        }
        self.watch_instances();
        self.keep_watching();
        for seat in self.seats.take_lagging() {
            self.resync(seat).await;
        }
        let held = self.is_held();
        let now = Instant::now();
        if held {
            self.life.held(!self.seats.is_empty(), now);
        }
        if self.life.is_over(held, now) {
            self.ending.get_or_insert_with(|| "Nobody was attached and nothing was going on.".to_owned());
        }
        if self.life.looks(now) && !self.held.is_there() {
            self.ending.get_or_insert_with(|| "Its data folder has vanished.".to_owned());
        }
    }

    /// Whether something keeps the host from ending by itself.
    pub(super) fn is_held(&self) -> bool {
        !self.seats.is_empty() || self.is_working()
    }

    /// Whether something goes on that outlives clients.
    pub(super) fn is_working(&self) -> bool {
        !self.runs.is_empty()
            || self.is_fetching()
            || self.backends.has_started()
            || self.is_acting()
            || self.idle.next().is_some()
            || !self.debt.is_empty()
    }

    /// Starts a task whose panic becomes an event.
    pub(super) fn spawn(&mut self, whose: Whose, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        let handle = self.tasks.spawn(task);
        self.whose.insert(handle.id(), whose);
        handle
    }

    async fn message(&mut self, message: Message) {
        match message {
            Message::Attach { hello, outbox, reply } => {
                let attached = self.attach(*hello, outbox).await;
                // A client that left while it waited is found by its closed seat.
                if let Err(Ok((seat, _))) = reply.send(attached) {
                    self.detach(seat);
                }
            }
            Message::Frame { seat, frame: ClientFrame::Command { id, command } } => self.command(seat, id, command).await,
            Message::Frame { seat, frame: ClientFrame::Query { id, query } } => self.query(seat, id, query).await,
            Message::Frame { frame: ClientFrame::Hello(_), .. } => {}
            Message::Publish { socket, listen, reply } => {
                let lock = Lock {
                    pid: std::process::id(),
                    started: now(),
                    socket,
                    major: MAJOR,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    listen,
                };
                // Whoever asked may have left.
                drop(reply.send(self.held.publish(&lock)));
            }
            Message::EndIfIdle { reply } => {
                let idle = !self.is_held();
                if idle {
                    self.ending = Some("It makes room for another version.".to_owned());
                }
                let _ = reply.send(idle);
            }
            Message::Run { node, news } => self.run_news(node, news).await,
            Message::Asked(asked) => self.backend_asked(*asked).await,
            Message::Discovered(found) => self.discovered(found),
            Message::Loading { model, update } => self.loading(&model, update),
            Message::Settled { model, serial, result } => self.act_settled(&model, serial, &result),
            Message::Sampled(sampled) => self.sampled(*sampled),
            Message::Quiet { model, quiet } => self.quiet(&model, quiet),
            Message::Changed { backend, change } => self.changed(backend, change),
            Message::Instances { backend, result } => self.instances_asked(&backend, result),
            Message::Measured(measured) => self.measured(measured),
            Message::Copied { seat, id, backend, result } => self.model_copied(seat, id, &backend, result),
            Message::Pulling(pulling) => self.pulling(*pulling),
            Message::Pulled(pulled) => self.pulled(*pulled).await,
            Message::TakeUp => self.take_up().await,
            Message::Pip(there) => self.pip_is(there),
            Message::Titled { conversation, result } => self.titled(conversation, result).await,
            Message::Used(uses) => self.tell_uses(uses),
            Message::Listed { seat, id, result } => self.listed(seat, id, *result),
            Message::Idle { model, busy } => self.is_idle(&model, busy),
            Message::Settle => self.go_on_waiting().await,
        }
    }

    async fn attach(&mut self, hello: Hello, outbox: Outbox) -> Result<(Seat, Welcome)> {
        if self.seats.len() >= MOST_SEATS {
            return Err(Error::new(Kind::Busy, format!("{MOST_SEATS} clients are attached to this host already."))
                .hint("Close some of them, then try again."));
        }
        self.look_again();
        let snapshot = self.snapshot().await?;
        let seat = self.seats.sit(hello.client, hello.screen, outbox);
        tracing::debug!(client = %hello.client, seat, "attached");
        self.life.held(true, Instant::now());
        for (level, error) in std::mem::take(&mut self.found) {
            self.emit(EventKind::Notice { level, error });
        }
        let ready = self.backends.bring(hello.env);
        self.take_up().await;
        for name in ready {
            self.ask_backend(&name);
        }
        let welcome = Welcome {
            major: MAJOR,
            minor: MINOR,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            kept: self.life.kept(),
            snapshot,
        };
        Ok((seat, welcome))
    }

    fn detach(&mut self, seat: Seat) {
        if let Some(client) = self.seats.leave(seat) {
            tracing::debug!(%client, seat, "detached");
            self.life.held(true, Instant::now());
            // It only forgets what the client looked at.
            self.machine.handle(Input::ClientGone { client }, now());
            self.let_go();
            self.waiting.retain(|(waiting, ..)| *waiting != seat);
            self.refreshing.retain(|(waiting, _)| *waiting != seat);
            self.uses_wanted &= !self.seats.is_empty();
        }
    }

    async fn run_news(&mut self, node: NodeId, news: News) {
        let input = match news {
            News::Update(Update::Phase(state, progress)) => {
                self.runs.pauses(node, None);
                Input::Phase { node, state, progress }
            }
            News::Again(failed, progress) => {
                self.pauses(node, &failed.error);
                Input::Again { node, failed, progress }
            }
            News::Summarised { summary, request } => {
                self.sent(node, *request);
                Input::Summarised { node, summary }
            }
            News::Update(Update::Delta(kind, text)) => Input::Delta { node, kind, text },
            News::Update(Update::ToolCall { id, name, arguments }) => Input::ToolCall { node, id, name, arguments },
            News::Update(Update::Figures(figures)) => Input::Figures { node, figures },
            News::Ended(result) => {
                self.last_ttft = self.runs.ttft(node).or(self.last_ttft);
                return self.run_ended(node, result).await;
            }
        };
        let effects = self.machine.handle(input, now());
        self.carry_out(effects, None).await;
    }

    async fn task_ended(&mut self, joined: Result<(tokio::task::Id, ()), JoinError>) {
        let (id, panic) = match joined {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), error.try_into_panic().ok()),
        };
        let whose = self.whose.remove(&id);
        let Some(panic) = panic else { return };
        let error = fault(panic);
        match whose {
            // Its end says so to people.
            Some(Whose::Run(node)) => return self.run_ended(node, Err(error)).await,
            Some(Whose::Backend(name)) => self.backend_failed(&name, error.clone()).await,
            Some(Whose::Command(seat, id)) => self.ack(seat, id, Err(error.clone())),
            Some(Whose::Act(model, serial)) => self.act_settled(&model, serial, &Err(error.clone())),
            Some(Whose::Instances(name)) => self.instances_asked(&name, Err(error.clone())),
            Some(Whose::Discovery) => self.discovered(Discovered::default()),
            Some(Whose::Download(key, turn)) => self.pull_broke(key, turn, error.clone()).await,
            Some(Whose::Other) | None => {}
        }
        self.emit(EventKind::Notice { level: Level::Error, error });
    }

    async fn write_checkpoint(&mut self) {
        self.checkpoint = None;
        let effects = self.machine.handle(Input::Checkpoint, now());
        self.carry_out(effects, None).await;
    }

    async fn try_again(&mut self) {
        self.retry = None;
        // What is still owed is told already, and tried again.
        drop(self.pay_debt().await);
    }

    fn sample(&mut self) {
        const EVERY: Duration = Duration::from_secs(1);
        self.sampling = Some(Instant::now() + EVERY);
        let sampler = self.sampler.take();
        let inbox = self.inbox.clone();
        self.spawn(Whose::Other, async move {
            let read = move || {
                let mut sampler = sampler.unwrap_or_default();
                let sample = sampler.sample(now());
                (sampler, sample)
            };
            if let Ok(sampled) = tokio::task::spawn_blocking(read).await {
                // A host that has ended wants no samples.
                drop(inbox.send(Message::Sampled(Box::new(sampled))).await);
            }
        });
    }

    /// A snapshot for a new client, or for one that was too slow.
    pub(super) async fn snapshot(&self) -> Result<Snapshot> {
        /// Rows of the conversation list that go along; the rest is asked for when somebody scrolls there.
        const ROWS: u32 = 200;
        let mut conversations = self.store.conversations(Shelf::All, Order::default(), 0, ROWS, None).await?;
        for row in &mut conversations.items {
            // What runs now is not on disk.
            if let Some(known) = self.machine.replica.rows.get(&row.id) {
                row.clone_from(known);
            }
        }
        let replica = &self.machine.replica;
        Ok(Snapshot {
            seq: self.seq,
            conversations,
            backends: replica.backends.clone(),
            models: replica.models.clone(),
            downloads: replica.downloads.values().cloned().collect(),
            jobs: replica.jobs.values().cloned().collect(),
            presets: replica.presets.clone(),
            groups: replica.groups.clone(),
            folders: replica.folders.clone(),
            settings: replica.settings.clone(),
            last: replica.last,
            discovered: replica.discovered,
            looked_at: replica.looked_at.clone(),
            pip: replica.pip,
        })
    }

    /// The orderly end: runs stop and are stored, clients are told, the database is closed.
    async fn finish(&mut self) {
        let reason = self.ending.clone().unwrap_or_default();
        tracing::info!(%reason, "the host ends");
        let why = Error::new(Kind::HostGone, "The host ended while this was written.");
        self.machine.hold_queues();
        self.runs.stop_all(&why);
        let deadline = Instant::now() + STOP;
        while !self.runs.is_empty() {
            tokio::select! {
                Some(message) = self.messages.recv() => if let Message::Run { node, news } = message {
                    self.run_news(node, news).await;
                },
                Some(joined) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.task_ended(joined).await,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let left: Vec<NodeId> = self.machine.running().collect();
        for node in left {
            self.run_ended(node, Err(why.clone())).await;
        }
        if let Err(error) = self.pay_debt().await {
            tracing::error!(%error, owed = self.debt.len(), "the host ends with answers that could not be saved");
        }
        self.emit(EventKind::Stopping { reason });
        self.messages.close();
        self.seats.close();
        let farewell = Instant::now() + FAREWELL;
        while !self.seats.is_empty() {
            tokio::select! {
                Some(seat) = self.gone.recv() => { self.seats.leave(seat); }
                () = tokio::time::sleep_until(farewell) => break,
            }
        }
        self.tasks.shutdown().await;
        if tokio::time::timeout(CLOSE, self.store.close()).await.is_err() {
            tracing::error!("the database did not close in time");
        }
    }
}

/// Waits until then; for ever when there is no then.
async fn at(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// What a panic is to people.
pub(super) fn fault(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "a panic without words".to_owned(), |text| (*text).to_owned()),
    };
    let text = crate::error::harmless(&text);
    tracing::error!(panic = %text, "a task ended in a fault");
    Error::new(Kind::Internal, "A part of arbour failed; the rest goes on.").hint("The host's log says more. Please report it.").cause(text)
}

/// What a host that was killed left behind, for people.
fn was_interrupted(recovered: &Recovered) -> Option<(Level, Error)> {
    let count = recovered.stopped.len();
    let message = match count {
        0 => return None,
        1 => "The host before this one ended without a word; one answer was going and is marked stopped.".to_owned(),
        _ => format!("The host before this one ended without a word; {count} answers were going and are marked stopped."),
    };
    Some((Level::Warning, Error::new(Kind::HostGone, message).hint("Continue a stopped answer with c, or ask again with r.")))
}
