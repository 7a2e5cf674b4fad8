//! What is known of a model, and whether it fits.
//!
//! Owns: asking backends for it beside the loop, what is remembered of models' anatomies, and what loads really took. Refuses: to keep
//! anybody from starting anything. Invariant: nothing here blocks the loop, and every question is answered within its time limit.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Seat;
use super::driver::{Host, Whose, now};
use crate::backend::{Backend, is_here};
use crate::core::fit::{self, Candidate, Free, LoadPlan};
use crate::core::{Taken, Write, parameters};
use crate::error::{Error, Kind, Result};
use crate::metrics::{Processes, Sampler};
use crate::proto::wire::HostFrame;
use crate::proto::{
    Anatomy, BackendKind, Card, Figure, Fit, Inspection, ModelInfo, ModelRef, ModelState, Parameters, Reply, Sample, Source, Verdict,
};
use crate::store::Store;

/// How long a backend may take to tell all that it knows of a model.
const ASK: Duration = Duration::from_secs(15);
/// How long reading the machine may take: a GPU's driver that sleeps takes its time.
const READ: Duration = Duration::from_secs(5);
/// Questions that are worked on at once; the rest wait.
const AT_ONCE: usize = 4;
/// Models that one question may name.
const MOST: usize = 64;
/// Anatomies that are remembered.
const REMEMBERED: usize = 512;

/// What stays between questions.
pub(super) struct Fitting {
    places: Arc<Semaphore>,
    known: Arc<Mutex<HashMap<ModelRef, Known>>>,
}

impl Default for Fitting {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), known: Arc::default() }
    }
}

/// What decides a model's memory, for as long as the model is the same.
#[derive(Clone)]
struct Known {
    mark: Mark,
    anatomy: Option<Anatomy>,
    arguments: Vec<String>,
    /// Conversations that a running server works on at once.
    slots: Option<u32>,
}

impl Known {
    fn of(mark: Mark, inspection: &Inspection) -> Self {
        let slots = inspection.metadata.iter().find(|(key, _)| key == "total_slots").and_then(|(_, slots)| slots.parse().ok());
        Self { mark, anatomy: inspection.anatomy.clone(), arguments: inspection.arguments.clone(), slots }
    }
}

/// By what a changed model is told from what it was.
type Mark = (Option<u64>, Option<String>, Option<u32>);

fn mark(info: &ModelInfo) -> Mark {
    (info.size_bytes, info.quantisation.clone(), info.context_max)
}

/// One model of a question.
struct Asked {
    model: ModelRef,
    backend: Result<Arc<dyn Backend>>,
    info: Option<ModelInfo>,
    parameters: Parameters,
    /// It would be loaded into this machine's memory.
    here: bool,
    /// What it takes now, where that was measured.
    taken: Option<Figure>,
}

impl Host {
    pub(super) fn inspect(&mut self, seat: Seat, id: u64, model: ModelRef) {
        let Some(outbox) = self.seats.outbox(seat) else { return };
        let backend = self.ready(&model);
        let card = self.card(&model);
        let (places, known) = (Arc::clone(&self.fitting.places), Arc::clone(&self.fitting.known));
        self.spawn(Whose::Other, async move {
            let asked = async { inspected(&*backend?, &model, card, &places, &known).await };
            let result = asked.await.map(|inspection| Reply::Inspection(Box::new(inspection)));
            outbox.frame(HostFrame::Reply { id, result });
        });
    }

    pub(super) fn fit(&mut self, seat: Seat, id: u64, models: Vec<ModelRef>, parameters: Parameters) {
        let Some(outbox) = self.seats.outbox(seat) else { return };
        if models.len() > MOST {
            let error = Error::new(Kind::Usage, format!("Estimates are made for {MOST} models at once, not for {}.", models.len()));
            return outbox.frame(HostFrame::Reply { id, result: Err(error.hint("Ask for fewer.")) });
        }
        let asked: Vec<Asked> = models.into_iter().map(|model| self.asked(model, &parameters)).collect();
        let round = Round {
            loaded: self.candidates(),
            store: self.store.clone(),
            places: Arc::clone(&self.fitting.places),
            known: Arc::clone(&self.fitting.known),
        };
        self.spawn(Whose::Other, async move {
            outbox.frame(HostFrame::Reply { id, result: Ok(Reply::Fits(round.fits(asked).await)) });
        });
    }

    fn asked(&self, model: ModelRef, over: &Parameters) -> Asked {
        let mut parameters = self.load_settings(&model);
        parameters.0.extend(over.0.clone());
        let here = self.backends.get(&model.backend).is_none_or(|slot| is_here(&slot.configured.spec.url));
        let taken = self.instances.all().into_iter().find(|instance| instance.model == model).and_then(|instance| {
            let memory = instance.memory?;
            Some(Figure { value: memory.value + instance.gpu_memory.map_or(0.0, |figure| figure.value), ..memory })
        });
        Asked { taken, backend: self.ready(&model), info: self.machine.replica.model(&model).cloned(), parameters, here, model }
    }

    /// The loaded models of this machine that could make room.
    fn candidates(&self) -> Vec<Candidate> {
        let measured = self.instances.all();
        let mut found = Vec::new();
        for model in &self.machine.replica.models {
            let Some(slot) = self.backends.get(&model.backend) else { continue };
            let stops = slot
                .backend
                .as_ref()
                .is_some_and(|b| b.abilities().stop || matches!(b.kind(), BackendKind::Embedded | BackendKind::Ollama));
            let alive = matches!(model.state, ModelState::Loaded | ModelState::Loading);
            if !stops || !alive || !is_here(&slot.configured.spec.url) {
                continue;
            }
            let reference = model.reference();
            let known = measured.iter().find(|instance| instance.model == reference);
            let gpu = known.and_then(|i| i.gpu_memory).map(whole).or(model.gpu_bytes).unwrap_or(0);
            let told = model.memory_bytes.or(model.size_bytes).unwrap_or(0).saturating_sub(gpu);
            let waited_for = known.is_some_and(|i| i.busy.unwrap_or(0) > 0 || i.queued.unwrap_or(0) > 0);
            found.push(Candidate {
                memory: known.and_then(|i| i.memory).map_or(told, whole),
                gpu,
                busy: model.state == ModelState::Loading || waited_for || self.runs.uses(&reference),
                pinned: self.card(&reference).pinned,
                last_used: None,
                model: reference,
            });
        }
        found
    }

    /// Loading has ended well. What the model takes now is kept, to stand beside the next estimate.
    pub(super) fn ended_loading(&mut self, model: &ModelRef, parameters: &Parameters) {
        let Ok(backend) = self.ready(model) else { return };
        let parameters = load_settings(parameters);
        let (store, model) = (self.store.clone(), model.clone());
        self.spawn(Whose::Other, async move {
            let Ok(Some(taken)) = tokio::time::timeout(ASK, taken(&*backend, &model)).await else { return };
            let write = Write::Loaded { model, parameters, taken };
            // An estimate without the figure beside it is no loss that people must hear of.
            if let Err(error) = store.write(vec![write], false).await {
                tracing::warn!(%error, "what a model takes was not kept");
            }
        });
    }
}

/// A figure in whole bytes.
fn whole(figure: Figure) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes that were measured")]
    let bytes = figure.value.max(0.0) as u64;
    bytes
}

/// Of settings those that decide how a model is loaded.
fn load_settings(all: &Parameters) -> Parameters {
    Parameters(all.0.iter().filter(|(key, _)| parameters::find(key).is_some_and(|p| p.load)).map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// What a loaded model takes now: its process where that is on this machine, else what its backend tells.
async fn taken(backend: &dyn Backend, model: &ModelRef) -> Option<Taken> {
    let instances = backend.instances().await.unwrap_or_default();
    let found = instances.into_iter().find(|instance| instance.model == *model);
    let at = now();
    #[expect(clippy::cast_precision_loss, reason = "sizes of memory")]
    let bytes = |n: u64| n as f64;
    if let Some(port) = found.as_ref().and_then(|instance| instance.port).filter(|_| backend.url().is_some_and(is_here)) {
        let read = tokio::task::spawn_blocking(move || Processes::new().read(&BTreeSet::from([port])).remove(&port)).await;
        if let Some(cost) = read.ok().flatten()
            && let Some(memory) = cost.memory
        {
            return Some(Taken { at, memory: Some(bytes(memory)), gpu: cost.gpu.map(bytes), source: Source::Measured });
        }
    }
    if let Some((memory, gpu)) = found.and_then(|instance| Some((instance.memory?, instance.gpu_memory))) {
        return Some(Taken { at, memory: Some(memory.value), gpu: gpu.map(|figure| figure.value), source: memory.source });
    }
    let info = backend.model(&model.model).await.ok()?;
    let gpu = info.gpu_bytes.unwrap_or(0);
    Some(Taken { at, memory: Some(bytes(info.memory_bytes?.saturating_sub(gpu))), gpu: info.gpu_bytes.map(bytes), source: Source::Server })
}

type KnownModels = Mutex<HashMap<ModelRef, Known>>;

/// Asks a backend for all that it knows of a model, and remembers what decides its memory.
async fn inspected(backend: &dyn Backend, model: &ModelRef, card: Card, places: &Semaphore, known: &KnownModels) -> Result<Inspection> {
    let _place = places.acquire().await.map_err(|_| Error::new(Kind::HostGone, "arbour is about to end."))?;
    let asked = tokio::time::timeout(ASK, backend.inspect(&model.model)).await;
    let mut inspection = asked.map_err(|_| {
        Error::new(
            Kind::Unreachable,
            format!("{} did not tell of the model within {} s.", crate::error::quoted(backend.name()), ASK.as_secs()),
        )
        .hint("Try again when it is less busy.")
    })??;
    inspection.model.card = card;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(model.clone(), Known::of(mark(&inspection.model), &inspection));
    drop(known);
    Ok(inspection)
}

/// The machine, as it is now.
async fn machine() -> Option<Sample> {
    let read = tokio::task::spawn_blocking(|| Sampler::new().sample(now()));
    tokio::time::timeout(READ, read).await.ok()?.ok()
}

fn free(sample: Option<&Sample>) -> Free {
    let Some(sample) = sample else { return Free::default() };
    let total_gpu = sample.gpus.iter().filter_map(|gpu| gpu.memory_total).reduce(u64::saturating_add);
    let used_gpu = sample.gpus.iter().filter_map(|gpu| gpu.memory_used).fold(0, u64::saturating_add);
    Free {
        memory: sample.memory_total.zip(sample.memory_used).map(|(total, used)| total.saturating_sub(used)),
        gpu: total_gpu.map(|total| total.saturating_sub(used_gpu)),
        total_memory: sample.memory_total,
        total_gpu,
    }
}

/// One question about some models.
struct Round {
    loaded: Vec<Candidate>,
    store: Store,
    places: Arc<Semaphore>,
    known: Arc<KnownModels>,
}

impl Round {
    /// Each model beside the ones before it: what they take is not free any more, and what would stop for them has stopped.
    async fn fits(mut self, all: Vec<Asked>) -> Vec<Fit> {
        let mut there = free(machine().await.as_ref());
        let mut fits = Vec::new();
        for asked in all {
            let fit = self.fit(asked, &there).await;
            let counts = fit.verdict != Verdict::Never && fit.free_memory.is_some();
            if let Some(estimate) = fit.estimate.as_ref().filter(|_| counts) {
                for model in &fit.stop {
                    if let Some(at) = self.loaded.iter().position(|c| c.model == *model) {
                        let gone = self.loaded.swap_remove(at);
                        there = there.with(gone.memory, gone.gpu);
                    }
                }
                // One that is loaded already takes nothing more, and stays.
                match self.loaded.iter_mut().find(|c| c.model == fit.model) {
                    Some(itself) => itself.pinned = true,
                    None => there = there.without(estimate),
                }
            }
            fits.push(fit);
        }
        fits
    }

    async fn fit(&mut self, asked: Asked, there: &Free) -> Fit {
        let Asked { model, backend, info, parameters, here, taken } = asked;
        let shown = if here { *there } else { Free::default() };
        let mut fit = Fit {
            real: None,
            real_apart: None,
            parameters: parameters.clone(),
            estimate: None,
            unknown: None,
            verdict: Verdict::Unknown,
            free_memory: shown.memory,
            total_memory: shown.total_memory,
            free_gpu: shown.gpu,
            total_gpu: shown.total_gpu,
            stop: Vec::new(),
            model,
        };
        let backend = match backend {
            Ok(backend) => backend,
            Err(error) => return Fit { unknown: Some(error.message), ..fit },
        };
        fit.real = match taken {
            Some(figure) => Some(figure),
            None => self.real(&*backend, &fit.model, info.as_ref(), &parameters).await,
        };
        if backend.kind() == BackendKind::Embedded {
            fit.real_apart = Some("its cache grows as it is used".to_owned());
        }
        let known = match self.anatomy(&*backend, &fit.model, info.as_ref()).await {
            Ok(known) => known,
            Err(error) => return Fit { unknown: Some(error.message), ..fit },
        };
        let Some(anatomy) = &known.anatomy else {
            let name = crate::error::quoted(backend.name());
            return Fit { unknown: Some(format!("{name} does not tell what decides the memory that this model takes.")), ..fit };
        };
        // It makes room for itself when it is loaded again.
        let itself = self.loaded.iter().find(|c| c.model == fit.model).cloned();
        let own = itself.as_ref().map_or((0, 0), |c| (c.memory, c.gpu));
        let without_it = shown.with(own.0, own.1);
        // A server of one model does not tell how it was started, but what it made of that.
        let mut arguments = known.arguments.clone();
        if backend.kind() == BackendKind::LlamaServer
            && arguments.is_empty()
            && let Some(context) = info.as_ref().and_then(|info| info.context)
        {
            arguments = fit::told_arguments(context, known.slots);
        }
        let gpu = without_it.gpu.filter(|_| without_it.total_gpu.is_some_and(|total| total > 0));
        let plan = LoadPlan::new(backend.kind(), anatomy, &parameters, &arguments, gpu);
        let estimate = fit::estimate(anatomy, &plan);
        fit.verdict = fit::verdict(&estimate, &without_it);
        if fit.verdict == Verdict::Full {
            self.read_uses().await;
            let others: Vec<Candidate> = self.loaded.iter().filter(|c| c.model != fit.model).cloned().collect();
            fit.stop = fit::room((estimate.memory, estimate.gpu), &without_it, &others);
        }
        Fit { estimate: Some(estimate), ..fit }
    }

    /// What a model takes now, else what it took when it was loaded so.
    async fn real(&self, backend: &dyn Backend, model: &ModelRef, info: Option<&ModelInfo>, parameters: &Parameters) -> Option<Figure> {
        let loaded = info.is_some_and(|info| info.state == ModelState::Loaded);
        let now = if loaded { tokio::time::timeout(ASK, taken(backend, model)).await.ok().flatten() } else { None };
        let found = match now {
            Some(now) => now,
            None => self.store.loaded(model.clone(), load_settings(parameters)).await.ok().flatten()?,
        };
        Some(Figure { value: found.memory.unwrap_or(0.0) + found.gpu.unwrap_or(0.0), source: found.source })
    }

    async fn anatomy(&self, backend: &dyn Backend, model: &ModelRef, info: Option<&ModelInfo>) -> Result<Known> {
        let remembered = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(model).cloned();
        if let (Some(known), Some(info)) = (remembered, info)
            && known.mark == mark(info)
        {
            return Ok(known);
        }
        let inspection = inspected(backend, model, Card::default(), &self.places, &self.known).await?;
        // What the list tells is the mark to be found by: an inspection may know more.
        let mark = info.map_or_else(|| mark(&inspection.model), mark);
        let known = Known::of(mark, &inspection);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(model.clone(), known.clone());
        Ok(known)
    }

    /// When the candidates were used last; read only when somebody would have to stop.
    async fn read_uses(&mut self) {
        for candidate in self.loaded.iter_mut().filter(|c| c.last_used.is_none()).take(MOST) {
            let used = self.store.uses(Some(candidate.model.clone())).await.unwrap_or_default();
            candidate.last_used = used.first().and_then(|(_, used)| used.last);
        }
    }
}
