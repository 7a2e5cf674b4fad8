//! What loaded models cost to run: asked while somebody watches or an answer is written, kept as series.
//!
//! Invariant: nobody watches and nothing is written, then nobody is asked; a backend is asked by one task at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::driver::{Host, Whose, now};
use super::{Message, Seat};
use crate::backend::http::{address, is_loopback};
use crate::core::Write;
use crate::error::{Error, Kind, Result};
use crate::metrics::{ProcessCost, Processes};
use crate::proto::wire::HostFrame;
use crate::proto::{BackendKind, BackendState, Figure, Instance, ModelRef, ModelState, Reply, UnixMs};

/// How often it is asked while somebody watches, and while only an answer is written.
const EVERY: Duration = Duration::from_secs(3);
const EVERY_UNSEEN: Duration = Duration::from_secs(10);
/// How long one question may take. (Backends promise 5 s.)
const ASK: Duration = Duration::from_secs(6);
/// Instances of one backend at most.
const MOST: usize = 64;
/// A figure is kept at most this often, in milliseconds; at least this often although it has not changed.
const KEEP: UnixMs = 10_000;
const KEEP_SAME: UnixMs = 60_000;
/// What counts as a change, as a share.
const CHANGED: f64 = 0.02;

type Read = fn(&Instance) -> Option<f64>;

/// The figures that are kept over time.
const KEPT: [(&str, Read); 6] = [
    ("memory", |i| i.memory.map(|f| f.value)),
    ("gpu_memory", |i| i.gpu_memory.map(|f| f.value)),
    ("cpu", |i| i.cpu.map(f64::from)),
    ("context_used", |i| i.context_used.map(|n| n as f64)),
    ("busy", |i| i.busy.map(f64::from)),
    ("queued", |i| i.queued.map(f64::from)),
];

/// What is known of instances now.
#[derive(Default)]
pub(super) struct Instances {
    due: Option<Instant>,
    asking: BTreeSet<String>,
    /// By backend.
    known: BTreeMap<String, Vec<Instance>>,
    since: BTreeMap<ModelRef, UnixMs>,
    processes: Option<Processes>,
    measuring: bool,
    /// What was kept last of each figure, and when.
    kept: BTreeMap<(ModelRef, &'static str), (UnixMs, f64)>,
    /// Those who asked once.
    waiting: Vec<(Seat, u64)>,
}

/// What processes took when they were read.
pub(crate) struct Measured {
    processes: Processes,
    costs: BTreeMap<(String, u16), ProcessCost>,
}

impl Instances {
    /// When backends are to be asked next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn all(&self) -> Vec<Instance> {
        self.known.values().flatten().cloned().collect()
    }

    /// Takes in what a backend says now; what its processes took stays until it is read again.
    fn take(&mut self, backend: &str, mut instances: Vec<Instance>, at: UnixMs) {
        instances.truncate(MOST);
        let before = self.known.remove(backend).unwrap_or_default();
        self.since.retain(|model, _| model.backend != backend || instances.iter().any(|i| i.model == *model));
        for instance in &mut instances {
            instance.since = Some(*self.since.entry(instance.model.clone()).or_insert(at));
            if let Some(old) = before.iter().find(|old| old.model == instance.model && old.port == instance.port) {
                instance.pid = instance.pid.or(old.pid);
                instance.cpu = instance.cpu.or(old.cpu);
                instance.memory = instance.memory.or(old.memory);
                instance.gpu_memory = instance.gpu_memory.or(old.gpu_memory);
            }
        }
        self.known.insert(backend.to_owned(), instances);
    }

    fn forget(&mut self, backend: &str) {
        self.known.remove(backend);
        self.since.retain(|model, _| model.backend != backend);
    }

    /// Lays over instances what their processes take.
    fn lay(&mut self, costs: &BTreeMap<(String, u16), ProcessCost>) {
        for (backend, instances) in &mut self.known {
            for instance in instances {
                let Some(port) = instance.port else { continue };
                let Some(cost) = costs.get(&(backend.clone(), port)) else {
                    instance.pid = None;
                    instance.cpu = None;
                    continue;
                };
                instance.pid = Some(cost.pid);
                instance.cpu = cost.cpu;
                instance.memory = cost.memory.map(|bytes| Figure::measured(bytes as f64));
                instance.gpu_memory = cost.gpu.map(|bytes| Figure::measured(bytes as f64));
            }
        }
    }

    /// What is to be kept now: what changed, and now and then what did not.
    fn worth_keeping(&mut self, at: UnixMs) -> Vec<Write> {
        let mut writes = Vec::new();
        for instance in self.known.values().flatten() {
            let mut points = Vec::new();
            for (name, read) in KEPT {
                let Some(value) = read(instance) else { continue };
                let key = (instance.model.clone(), name);
                let due = self.kept.get(&key).is_none_or(|(when, last)| {
                    let age = at - when;
                    let changed = (value - last).abs() > last.abs().max(1.0) * CHANGED;
                    age >= KEEP_SAME || (age >= KEEP && changed)
                });
                if due {
                    self.kept.insert(key, (at, value));
                    points.push((name, value));
                }
            }
            if !points.is_empty() {
                writes.push(Write::Series { model: instance.model.clone(), at, points });
            }
        }
        // What was not kept for long is forgotten here too: the next figure of it is kept in any case.
        self.kept.retain(|_, (when, _)| at - *when <= 2 * KEEP_SAME);
        writes
    }
}

impl Host {
    /// What was kept of one figure of a model's instance.
    pub(super) async fn series(&self, model: ModelRef, name: String, since: UnixMs) -> Result<Vec<(UnixMs, f64)>> {
        if !KEPT.iter().any(|(known, _)| *known == name) {
            let known: Vec<&str> = KEPT.iter().map(|(known, _)| *known).collect();
            return Err(Error::new(Kind::NotFound, format!("There is no series called {}.", crate::error::quoted(&name)))
                .hint(format!("Series: {}.", known.join(", "))));
        }
        self.store.series(model, name, since).await
    }

    /// Answers once what every loaded model costs now.
    pub(super) fn instances_for(&mut self, seat: Seat, id: u64) {
        self.instances.waiting.push((seat, id));
        self.ask_instances();
        self.answer_instances();
    }

    /// Arms and disarms: called after every turn.
    pub(super) fn watch_instances(&mut self) {
        let wanted = self.seats.watched() || !self.runs.is_empty();
        match (wanted, self.instances.due) {
            // A short answer is over before anybody could look.
            (true, None) => self.instances.due = Some(Instant::now() + if self.seats.watched() { Duration::ZERO } else { EVERY }),
            (false, Some(_)) => {
                self.instances.due = None;
                // An open GPU driver keeps the GPU awake. What was known is old by the time that somebody looks again.
                self.instances.processes = None;
                self.instances.known.clear();
            }
            _ => {}
        }
    }

    /// Asks every backend with something loaded.
    pub(super) fn ask_instances(&mut self) {
        if self.instances.due.is_some_and(|due| due <= Instant::now()) {
            self.instances.due = Some(Instant::now() + if self.seats.watched() { EVERY } else { EVERY_UNSEEN });
        }
        let replica = &self.machine.replica;
        let up: Vec<String> = replica.backends.iter().filter(|b| b.state == BackendState::Up).map(|b| b.name.clone()).collect();
        let loaded: BTreeSet<&str> = replica
            .models
            .iter()
            .filter(|m| matches!(m.state, ModelState::Loaded | ModelState::Sleeping | ModelState::Loading))
            .map(|m| m.backend.as_str())
            .collect();
        let (ask, rest): (Vec<String>, Vec<String>) = up.into_iter().partition(|name| loaded.contains(name.as_str()));
        let gone: Vec<String> = self.instances.known.keys().filter(|name| !ask.contains(name)).cloned().collect();
        for name in rest.iter().chain(&gone) {
            self.instances.forget(name);
        }
        for name in ask {
            // A service tells nothing of its machines.
            let backend = self.backends.get(&name).and_then(|slot| slot.backend.clone());
            let Some(backend) = backend.filter(|b| !matches!(b.kind(), BackendKind::OpenAi | BackendKind::Anthropic)) else { continue };
            if !self.instances.asking.insert(name.clone()) {
                continue;
            }
            let inbox = self.inbox.clone();
            self.spawn(Whose::Instances(name.clone()), async move {
                let late = || Error::new(Kind::Unreachable, "It did not say in time what its models cost.");
                let result = tokio::time::timeout(ASK, backend.instances()).await.unwrap_or_else(|_| Err(late()));
                // A host that has ended wants no figures.
                drop(inbox.send(Message::Instances { backend: name, result }).await);
            });
        }
    }

    /// A backend has said what its models cost.
    pub(super) fn instances_asked(&mut self, backend: &str, result: Result<Vec<Instance>>) {
        self.instances.asking.remove(backend);
        match result {
            Ok(mut instances) => {
                for instance in &mut instances {
                    // Where the host unloads what is idle, only the host knows when.
                    instance.expires = self.idle.expires(&instance.model).or(instance.expires);
                }
                self.instances.take(backend, instances, now());
            }
            Err(error) => {
                tracing::debug!(%backend, %error, "what models cost is not known");
                self.instances.forget(backend);
            }
        }
        if self.instances.asking.is_empty() {
            self.measure();
        }
        self.answer_instances();
    }

    /// Reads the processes behind the instances on this machine, beside the loop.
    fn measure(&mut self) {
        let mut wanted: BTreeSet<(String, u16)> = BTreeSet::new();
        for (name, instances) in &self.instances.known {
            let url = self.backends.get(name).and_then(|slot| address(&slot.configured.spec.url).ok());
            if url.is_some_and(|url| is_loopback(&url)) {
                wanted.extend(instances.iter().filter_map(|instance| Some((name.clone(), instance.port?))));
            }
        }
        if self.instances.measuring {
            return;
        }
        if wanted.is_empty() {
            return self.keep_series();
        }
        self.instances.measuring = true;
        let (processes, inbox) = (self.instances.processes.take(), self.inbox.clone());
        self.spawn(Whose::Other, async move {
            let read = move || {
                let mut processes = processes.unwrap_or_default();
                let ports = wanted.iter().map(|(_, port)| *port).collect();
                let found = processes.read(&ports);
                let costs = wanted.into_iter().filter_map(|key| Some((found.get(&key.1).copied()?, key))).map(|(cost, key)| (key, cost));
                let costs = costs.collect();
                Measured { processes, costs }
            };
            let measured = tokio::task::spawn_blocking(read).await.ok().map(Box::new);
            drop(inbox.send(Message::Measured(measured)).await);
        });
    }

    pub(super) fn measured(&mut self, measured: Option<Box<Measured>>) {
        self.instances.measuring = false;
        if let Some(measured) = measured {
            self.instances.lay(&measured.costs);
            if self.instances.due.is_some() {
                self.instances.processes = Some(measured.processes);
            }
        }
        self.keep_series();
        self.answer_instances();
    }

    /// Hands what changed to the store, beside the loop: nothing waits for it, and nothing is lost when it fails.
    fn keep_series(&mut self) {
        if self.instances.due.is_none() {
            return;
        }
        let writes = self.instances.worth_keeping(now());
        if writes.is_empty() || self.ending.is_some() {
            return;
        }
        let store = self.store.clone();
        self.spawn(Whose::Other, async move {
            if let Err(error) = store.write(writes, false).await {
                tracing::warn!(%error, "figures of models were not kept");
            }
        });
    }

    fn answer_instances(&mut self) {
        if self.instances.waiting.is_empty() || !self.instances.asking.is_empty() || self.instances.measuring {
            return;
        }
        let all = self.instances.all();
        for (seat, id) in std::mem::take(&mut self.instances.waiting) {
            self.seats.answer(seat, HostFrame::Reply { id, result: Ok(Reply::Instances(all.clone())) });
        }
        if self.instances.due.is_none() {
            self.instances.known.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> ModelRef {
        ModelRef { backend: "b".into(), model: name.into() }
    }

    fn instance(name: &str, memory: f64, port: u16) -> Instance {
        Instance { memory: Some(Figure::server(memory)), port: Some(port), ..Instance::of(model(name)) }
    }

    #[test]
    fn a_figure_is_kept_when_it_changes_and_now_and_then() {
        let mut instances = Instances::default();
        let mut kept = |at: UnixMs, memory: f64| {
            instances.take("b", vec![instance("m", memory, 1)], at);
            instances.worth_keeping(at).len()
        };
        assert_eq!(kept(0, 1e9), 1, "the first");
        assert_eq!(kept(3_000, 2e9), 0, "too soon");
        assert_eq!(kept(10_000, 2e9), 1, "changed");
        assert_eq!(kept(30_000, 2.01e9), 0, "hardly changed");
        assert_eq!(kept(69_000, 2e9), 0);
        assert_eq!(kept(70_000, 2e9), 1, "a minute has passed");
    }

    #[test]
    fn what_a_process_takes_outlives_the_next_answer_and_not_the_process() {
        let mut instances = Instances::default();
        instances.take("b", vec![Instance { memory: None, ..instance("m", 0.0, 7) }], 5);
        let cost = ProcessCost { pid: 42, memory: Some(100), gpu: None, cpu: Some(12.5) };
        instances.lay(&BTreeMap::from([(("b".to_owned(), 7), cost)]));
        instances.take("b", vec![Instance { memory: None, ..instance("m", 0.0, 7) }], 9);
        let known = &instances.all()[0];
        assert_eq!((known.pid, known.memory, known.cpu, known.since), (Some(42), Some(Figure::measured(100.0)), Some(12.5), Some(5)));
        instances.lay(&BTreeMap::new());
        assert_eq!((instances.all()[0].pid, instances.all()[0].cpu), (None, None));
        instances.take("b", Vec::new(), 10);
        instances.take("b", vec![instance("m", 1.0, 8)], 11);
        assert_eq!(instances.all()[0].since, Some(11), "it was loaded anew");
        instances.take("b", (0..1000).map(|n| instance(&format!("m{n}"), 1.0, 8)).collect(), 12);
        assert_eq!(instances.all().len(), MOST);
    }
}
