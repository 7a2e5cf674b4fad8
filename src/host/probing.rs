//! Looking at backends: at start, when somebody asks, after runs, and when a client comes; never on a clock that nobody watches.

use std::time::Duration;

use tokio::time::Instant;

use super::backends::{self, Asked, Depth};
use super::driver::{Host, Whose, now};
use super::health::Health;
use super::options::Configured;
use super::{Message, Seat};
use crate::backend::discover::Discovered;
use crate::core::retry;
use crate::error::{Error, Kind, Result};
use crate::fetch::pip_available;
use crate::fetch::source::is_file;
use crate::metrics::Sampler;
use crate::proto::{
    Ack, BackendKind, BackendState, BackendStatus, Command, CommandId, ConversationId, EventKind, Level, ModelInfo, ModelState, NodeId,
    Sample,
};

/// How often a backend on the network is asked for its latency while somebody watches.
const PING: Duration = Duration::from_secs(15);

/// Servers are looked for again when a client comes after this time.
const LOOK: Duration = Duration::from_secs(30);

/// Models of one backend that are kept at hand.
const MOST_MODELS: usize = 20_000;

impl Host {
    /// The first look: at what is configured, and around.
    pub(super) fn look_first(&mut self) {
        for configured in self.options.backends.clone() {
            self.add(configured);
        }
        self.look_around();
        self.check_settled();
    }

    /// A client has come: what was not asked lately is asked again, for it. What was not there is not known until it has answered.
    pub(super) fn look_again(&mut self) {
        if !self.settled {
            return;
        }
        let now = Instant::now();
        for name in self.backends.stale(now) {
            let known = self.machine.replica.backends.iter().find(|known| known.name == name);
            if let Some(missing) = known.filter(|known| known.state == BackendState::Down).cloned() {
                self.emit(EventKind::Backend(BackendStatus { state: BackendState::Connecting, retry_at: None, ..missing }));
            }
            self.ask_backend(&name);
        }
        if self.looked.is_some_and(|looked| now - looked > LOOK) {
            self.look_around();
        }
    }

    /// Takes a backend in and asks it.
    pub(super) fn add(&mut self, configured: Configured) {
        let name = configured.spec.name.clone();
        let shown = configured.spec.kind.map(|kind| backends::connecting(&configured, kind));
        if self.backends.add(configured, &self.options.build) {
            if let Some(status) = shown {
                self.emit(EventKind::Backend(status));
            }
            self.ask_backend(&name);
        }
    }

    fn look_around(&mut self) {
        let Some(discover) = self.options.discover.clone().filter(|_| !self.discovering) else { return };
        self.discovering = true;
        self.looked = Some(Instant::now());
        let inbox = self.inbox.clone();
        self.spawn(Whose::Discovery, async move {
            // A host that has ended does not care.
            drop(inbox.send(Message::Discovered(discover().await)).await);
        });
    }

    pub(super) fn discovered(&mut self, found: Discovered) {
        self.discovering = false;
        self.looked_at = found.looked_at;
        for spec in found.found {
            self.add(Configured { spec, key: None });
        }
        self.check_settled();
    }

    /// Asks a backend whether it is there and for its models.
    pub(super) fn ask_backend(&mut self, name: &str) {
        self.ask_depth(name, Depth::Models);
    }

    /// Asks a backend at once when it was not asked lately, else a second after that.
    pub(super) fn look_soon(&mut self, name: &str) {
        const SOON: Duration = Duration::from_secs(1);
        let now = Instant::now();
        match self.backends.get(name).and_then(|slot| slot.asked(now)).map(|asked| asked + SOON).filter(|due| *due > now) {
            Some(due) => drop(self.soon.entry(name.to_owned()).or_insert(due)),
            None => {
                self.soon.remove(name);
                self.ask_backend(name);
            }
        }
    }

    /// Asks those whose time has come.
    pub(super) fn look_at_those(&mut self) {
        let now = Instant::now();
        let due: Vec<String> = self.soon.iter().filter(|(_, due)| **due <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.soon.remove(&name);
            self.ask_backend(&name);
        }
    }

    fn ask_depth(&mut self, name: &str, depth: Depth) {
        if let Some(question) = self.backends.ask(name, depth, &self.options.build, Instant::now()) {
            let inbox = self.inbox.clone();
            self.spawn(Whose::Backend(name.to_owned()), async move {
                drop(inbox.send(Message::Asked(Box::new(question.await))).await);
            });
        }
    }

    pub(super) async fn backend_asked(&mut self, asked: Asked) {
        let Asked { name, backend, probe, models } = asked;
        let follow = self.backends.asked(&name, backend);
        let Some(slot) = self.backends.get(&name) else { return };
        let kind = slot.configured.spec.kind.unwrap_or(BackendKind::OpenAi);
        let mut status = backends::status(&slot.configured, kind, &probe);
        match models {
            Some(Ok(models)) => self.take_models(&name, models),
            Some(Err(error)) => status = backends::status(&slot.configured, kind, &Err(error)),
            None => {}
        }
        if let Some(slot) = self.backends.get_mut(&name) {
            judge(&mut slot.health, &mut status);
        }
        if status.error.is_some() {
            self.forget_states(&name);
        }
        let known = self.machine.replica.backends.iter().find(|known| known.name == name);
        // One that answers this and not the prompt was there all the time: its pauses hold.
        if status.error.is_none() && known.is_some_and(|known| known.error.is_some()) {
            self.runs.is_back(&name);
        }
        if known != Some(&status) {
            self.emit(EventKind::Backend(status));
        }
        if let Some(depth) = follow {
            self.ask_depth(&name, depth);
        }
        self.go_on_waiting().await;
        self.advance().await;
        self.check_settled();
    }

    /// When a backend that was not there is to be asked again: only while somebody looks, or waits for it.
    pub(super) fn next_absent(&self) -> Option<Instant> {
        let looks = self.seats.somebody_looks();
        self.backends.next_absent(|name| looks || self.runs.wait_for(name))
    }

    /// Asks those whose time has come.
    pub(super) fn ask_absent(&mut self) {
        let looks = self.seats.somebody_looks();
        for name in self.backends.absent(Instant::now(), |name| looks || self.runs.wait_for(name)) {
            self.ask_backend(&name);
        }
    }

    /// The task that asked a backend ended in a fault.
    pub(super) async fn backend_failed(&mut self, name: &str, error: Error) {
        self.backend_asked(Asked { name: name.to_owned(), backend: None, probe: Err(error), models: None }).await;
    }

    fn take_models(&mut self, name: &str, mut models: Vec<ModelInfo>) {
        if models.len() > MOST_MODELS {
            self.cut_models(name, &mut models);
        }
        for model in &mut models {
            // A server that still makes room says what was before.
            let before = matches!(model.state, ModelState::Unloaded | ModelState::Failed | ModelState::Unknown);
            if before && self.acts.is_starting(&model.reference()) {
                let known = self.machine.replica.model(&model.reference());
                model.permille = known.filter(|known| known.state == ModelState::Loading).and_then(|known| known.permille);
                model.state = ModelState::Loading;
                model.error = None;
            }
            model.card = self.card(&model.reference());
        }
        self.show_starting(&mut models);
        let alive = |state| matches!(state, ModelState::Loaded | ModelState::Loading | ModelState::Sleeping);
        if let Some(slot) = self.backends.get_mut(name) {
            slot.started.retain(|started| models.iter().any(|model| model.name == *started && alive(model.state)));
            slot.expires = models.iter().filter(|model| alive(model.state)).filter_map(|model| model.expires).min();
        }
        for model in &mut models {
            model.expires = self.idle.expires(&model.reference()).or(model.expires);
        }
        if !self.machine.replica.models.iter().filter(|known| known.backend == name).eq(&models) {
            self.emit(EventKind::Models { backend: name.to_owned(), models });
        }
    }

    /// More than anybody could look through, and more than every screen should be sent.
    fn cut_models(&mut self, name: &str, models: &mut Vec<ModelInfo>) {
        let count = models.len();
        models.truncate(MOST_MODELS);
        if self.machine.replica.models.iter().filter(|known| known.backend == name).count() < MOST_MODELS {
            let message = format!("{} lists {count} models; the first {MOST_MODELS} are shown.", crate::error::harmless(name));
            self.emit(EventKind::Notice { level: Level::Warning, error: Error::new(Kind::Malformed, message) });
        }
    }

    /// A backend that does not answer: what was known of its models' states is known no more.
    fn forget_states(&mut self, name: &str) {
        let mut models: Vec<ModelInfo> = self.machine.replica.models.iter().filter(|model| model.backend == name).cloned().collect();
        if models.iter().any(|model| model.state != ModelState::Unknown) {
            for model in &mut models {
                model.state = ModelState::Unknown;
                model.permille = None;
            }
            self.emit(EventKind::Models { backend: name.to_owned(), models });
        }
    }

    /// An attempt failed and is to be made again. Whether its backend is there at all is looked at meanwhile: screens say so, and when
    /// it is back nobody waits any longer.
    pub(super) fn pauses(&mut self, node: NodeId, error: &Error) {
        self.runs.pauses(node, Some(error.kind));
        if retry::is_absence(error.kind)
            && let Some(name) = self.runs.backend(node).map(str::to_owned)
        {
            self.ask_backend(&name);
        }
    }

    /// A person does not want to wait for the next attempt.
    pub(super) fn try_now(&mut self, conversation: ConversationId, node: Option<NodeId>) -> Result<Ack> {
        let nodes: Vec<NodeId> = match (node, self.machine.replica.docs.get(&conversation)) {
            (Some(node), _) => vec![node],
            (None, Some(doc)) => doc.running().map(|node| node.id).collect(),
            (None, None) => Vec::new(),
        };
        let hurried = nodes.into_iter().filter(|node| self.runs.hurry(*node)).count();
        if hurried == 0 {
            return Err(Error::new(Kind::NotFound, "No answer here waits to be asked for again."));
        }
        Ok(Ack::Done)
    }

    /// After a run: where the server keeps models by itself, their states have changed.
    pub(super) fn after_run(&mut self, name: &str, unreachable: bool) {
        let kind = self.backends.get(name).and_then(|slot| slot.configured.spec.kind);
        if unreachable || !matches!(kind, Some(BackendKind::OpenAi | BackendKind::Anthropic)) {
            self.ask_backend(name);
        }
    }

    /// Whether a command must wait until the first look at the backends is over: which model answers is not known before.
    pub(super) async fn must_wait(&mut self, command: &Command) -> bool {
        if self.settled {
            return false;
        }
        let named = match command {
            Command::BeginJob { models, .. } => {
                return models.iter().any(|model| self.backends.get(&model.backend).is_none_or(|slot| slot.backend.is_none()));
            }
            Command::StartModel { model, .. } | Command::StopModel { model } => Some(model.clone()),
            Command::Send { model: Some(model), .. }
            | Command::Answer { model: Some(model), .. }
            | Command::Enqueue { model: Some(model), .. } => Some(model.clone()),
            Command::Send { conversation, .. }
            | Command::Answer { conversation, .. }
            | Command::Enqueue { conversation, .. }
            | Command::SendQueued { conversation, .. } => {
                // What cannot be loaded is said when the command is handled.
                if !self.load(*conversation).await.unwrap_or(false) {
                    return false;
                }
                self.machine.replica.docs.get(conversation).and_then(|doc| doc.conversation.row.model.clone())
            }
            // A server that fetches may be found yet.
            Command::Pull { backend, source } => {
                return backend.is_empty() && !is_file(source) || self.backends.get(backend).is_some_and(|slot| slot.backend.is_none());
            }
            _ => return false,
        };
        named.is_none_or(|model| self.backends.get(&model.backend).is_none_or(|slot| slot.backend.is_none()))
    }

    pub(super) async fn go_on_waiting(&mut self) {
        for (seat, id, command) in std::mem::take(&mut self.waiting) {
            Box::pin(self.command(seat, id, command)).await;
        }
    }

    pub(super) fn refresh(&mut self, seat: Seat, id: CommandId) {
        self.refreshing.push((seat, id));
        if self.settled {
            for name in self.backends.names() {
                self.ask_backend(&name);
            }
            self.look_around();
        }
        self.check_settled();
    }

    /// Tells those who wait when every backend has answered or given up.
    fn check_settled(&mut self) {
        if self.discovering || self.backends.is_busy() {
            return;
        }
        let (looked_at, pip) = (self.looked_at.clone(), self.pip.unwrap_or(false));
        let replica = &self.machine.replica;
        if !self.settled || replica.looked_at != looked_at || replica.pip != pip {
            self.settled = true;
            self.emit(EventKind::Discovered { looked_at, pip });
            if !self.waiting.is_empty() {
                let inbox = self.inbox.clone();
                self.spawn(Whose::Other, async move { drop(inbox.send(Message::Settle).await) });
            }
            self.look_for_pip();
        }
        for (seat, id) in std::mem::take(&mut self.refreshing) {
            self.ack(seat, id, Ok(Ack::Done));
        }
    }

    /// Only where the starter model may be offered: asking starts a Python.
    fn look_for_pip(&mut self) {
        if self.pip.is_none() && self.machine.replica.models.is_empty() && self.backends.engine().is_some() {
            self.pip = Some(false);
            let inbox = self.inbox.clone();
            self.spawn(Whose::Other, async move {
                drop(inbox.send(Message::Pip(pip_available().await)).await);
            });
        }
    }

    pub(super) fn pip_is(&mut self, there: bool) {
        if self.pip != Some(there) {
            self.pip = Some(there);
            self.emit(EventKind::Discovered { looked_at: self.looked_at.clone(), pip: there });
        }
    }

    /// What the machine was read to be, with what the host knows itself.
    pub(super) fn sampled(&mut self, (sampler, mut sample): (Sampler, Sample)) {
        if !self.seats.watched() {
            return;
        }
        self.sampler = Some(sampler);
        sample.tokens_per_s = self.runs.rate();
        sample.ttft_ms = self.last_ttft;
        sample.instances = self.instances.all();
        sample.latency_ms = self.machine.replica.backends.iter().map(|backend| (backend.name.clone(), backend.latency_ms)).collect();
        self.emit(EventKind::Metrics(sample));
        for name in self.backends.unasked_since(Instant::now(), PING) {
            self.ask_depth(&name, Depth::Probe);
        }
    }

    /// Asks backends again whose models were to unload about now.
    pub(super) fn look_after_expired(&mut self) {
        for name in self.backends.take_expired(super::driver::now()) {
            self.ask_backend(&name);
        }
    }
}

/// What the questions so far say of a backend beside the last one.
fn judge(health: &mut Health, status: &mut BackendStatus) {
    match status.state {
        BackendState::Up => {
            health.answered(status.latency_ms.unwrap_or_default());
            status.slow = health.is_slow();
        }
        BackendState::Down | BackendState::Starting => {
            let pause = health.missed(Instant::now());
            status.retry_at = Some(now() + i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        }
        BackendState::Unauthorized | BackendState::Connecting => health.refused(),
    }
}
