//! The embedded engine: GGUF models run by arbour itself, on the CPU.
//!
//! Owns: the list of files (`catalogue`), one thread per loaded model (`instance`), and everything from a file's bytes to text:
//! `shape` → `matrix`/`packed`/`simd` → `model`/`attention`/`cache`, `tokenizer`/`pre`/`spm`, `template`, `sample`, `stream`, `answer`.
//! Refuses: downloads (`fetch`), the database, conversations. Invariant: nothing is loaded unless somebody starts a model or asks
//! it, and a file that cannot be run says why.

mod answer;
mod attention;
mod cache;
mod catalogue;
mod files;
mod inspect;
mod instance;
mod kinds;
mod matrix;
mod model;
#[cfg(target_arch = "x86_64")]
mod packed;
mod pre;
mod sample;
mod shape;
mod simd;
mod spm;
mod stream;
mod template;
mod tokenizer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::oneshot;

use self::catalogue::{Catalogue, Entry};
use self::instance::{Instance, Job, KEEP_ALIVE, Status, Ticket};
use self::template::Template;
use self::tokenizer::Tokenizer;
use super::gguf::{Header, Want};
use super::{Abilities, Backend, Probe, Request, Sink, Spec, Update};
use crate::error::{Error, Kind, Result};
use crate::proto::{
    self, BackendKind, Figure, Finish, Inspection, ModelInfo, ModelRef, ModelState, Parameters, Progress, RequestPreview, State,
};
use crate::sanitise::cut;

/// The engine as a backend.
pub struct Embedded {
    name: String,
    catalogue: Arc<Mutex<Catalogue>>,
    instances: Mutex<HashMap<PathBuf, Arc<Instance>>>,
}

/// The variable that tells the compute library, and this engine, how many threads to use.
const THREADS: &str = "CANDLE_NUM_THREADS";

/// What the process that runs the engine needs in its environment: the compute library reads it once, and a process cannot safely
/// change its own. With a screen one core is left to it; `ask` alone takes all.
#[must_use]
pub fn process_env(screen: bool) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if screen { cores.saturating_sub(1).max(1) } else { cores };
    vec![
        (THREADS, threads.to_string()),
        ("RAYON_NUM_THREADS", threads.to_string()),
        // Threads that spin for work keep everybody else off a busy machine.
        ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "0".to_owned()),
    ]
}

/// How many threads an answer gets: what the environment says, else one core less than there are.
fn threads() -> usize {
    let set = std::env::var(THREADS).ok().and_then(|n| n.parse().ok()).filter(|n| (1..=1024).contains(n));
    set.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1))
}

/// The tokens of texts as the model of a file reads them, special tokens included where their text stands; nothing is added.
///
/// # Errors
/// As opening the file; `Kind::Unsupported` for a tokenizer without code here.
pub fn tokenize(path: &Path, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
    let tokenizer = Tokenizer::from_header(&Header::read(path, Want::Everything)?)?;
    texts.iter().map(|text| tokenizer.encode(text)).collect()
}

/// For the registry.
///
/// # Errors
/// None; the signature is the registry's.
pub fn build(spec: &Spec) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(Embedded::new(&spec.name, spec.models.clone())))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a job back when its future is dropped.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Embedded {
    /// `places`: folders and files of GGUF models. Those that are not there are left out.
    #[must_use]
    pub fn new(name: &str, places: Vec<PathBuf>) -> Self {
        Self { name: name.to_owned(), catalogue: Arc::new(Mutex::new(Catalogue::new(places))), instances: Mutex::default() }
    }

    /// Makes one file known for as long as this lives, and gives its model's name.
    ///
    /// # Errors
    /// `Kind::File` or `Kind::Unsupported` with why it cannot be run.
    pub fn add_file(&self, path: &Path) -> Result<String> {
        lock(&self.catalogue).add(path)
    }

    /// The configured places.
    fn folders(&self) -> Vec<PathBuf> {
        lock(&self.catalogue).places().to_vec()
    }

    async fn list(&self) -> Result<Vec<Entry>> {
        let catalogue = Arc::clone(&self.catalogue);
        tokio::task::spawn_blocking(move || lock(&catalogue).list())
            .await
            .map_err(|e| Error::new(Kind::Internal, "Looking through the model folders failed.").cause(e))
    }

    async fn entry(&self, model: &str) -> Result<Entry> {
        let mut entries = self.list().await?;
        match entries.iter().position(|e| e.name == model) {
            Some(at) => Ok(entries.swap_remove(at)),
            None => Err(missing(model)),
        }
    }

    fn instance(&self, path: &Path) -> Result<Arc<Instance>> {
        let mut instances = lock(&self.instances);
        if let Some(instance) = instances.get(path) {
            return Ok(Arc::clone(instance));
        }
        let instance = Arc::new(Instance::start(path.to_owned())?);
        instances.insert(path.to_owned(), Arc::clone(&instance));
        Ok(instance)
    }

    fn known(&self, path: &Path) -> Option<Arc<Instance>> {
        lock(&self.instances).get(path).cloned()
    }

    fn info(&self, entry: &Entry) -> ModelInfo {
        let instance = self.known(&entry.path);
        let status = instance.map(|i| i.status()).unwrap_or_default();
        self.describe(entry, status)
    }

    fn describe(&self, entry: &Entry, status: Status) -> ModelInfo {
        let summary = &entry.summary;
        let error = summary.error.clone().or(status.error);
        let state = if summary.error.is_some() { ModelState::Failed } else { status.state };
        let usual = u32::try_from(answer::CONTEXT).unwrap_or(u32::MAX);
        let mut capabilities = Vec::new();
        if summary.error.is_none() {
            capabilities.push("completion".to_owned());
            if summary.thinks {
                capabilities.push("thinking".to_owned());
            }
        }
        ModelInfo {
            state,
            size_bytes: Some(summary.size),
            quantisation: summary.quantisation.clone(),
            context: status.context.or_else(|| summary.context.map(|trained| trained.min(usual))),
            context_max: summary.context,
            family: summary.family.clone(),
            capabilities,
            memory_bytes: status.memory,
            expires: status.expires,
            error,
            permille: status.permille,
            ..ModelInfo::named(&self.name, BackendKind::Embedded, &entry.name)
        }
    }

    /// The template of a model, and what to say of it, without loading its weights.
    fn template(&self, model: &str) -> Result<Arc<Template>> {
        let entry = lock(&self.catalogue).list().into_iter().find(|e| e.name == model).ok_or_else(|| missing(model))?;
        if let Some(template) = self.known(&entry.path).and_then(|i| i.template()) {
            return Ok(template);
        }
        let header = Header::read(&entry.path, Want::Everything)?;
        Ok(Arc::new(Template::new(&header)))
    }
}

fn missing(model: &str) -> Error {
    Error::new(Kind::ModelMissing, format!("There is no GGUF file for the model `{}`.", cut(model, 120)))
        .hint("`arbour models ls` lists what is there.")
}

fn gone(_: oneshot::error::RecvError) -> Error {
    Error::new(Kind::Internal, "The model's thread ended without an answer.")
}

/// `None`: for ever.
fn keep_alive(parameters: &Parameters) -> Option<Duration> {
    match parameters.text("keep_alive").and_then(crate::core::parameters::seconds) {
        Some(Some(seconds)) => Some(Duration::from_secs(seconds)),
        Some(None) => None,
        None => Some(KEEP_ALIVE),
    }
}

/// What of the parameters the engine goes by: its prompt alone does not show them.
fn takes(parameters: &Parameters) -> Vec<String> {
    let taken = crate::core::parameters::PARAMETERS.iter().filter(|p| p.kinds.contains(&BackendKind::Embedded) && !p.is_kept());
    let set = taken.filter_map(|p| Some(format!("{} {}", p.key, crate::core::parameters::show(parameters.0.get(p.key)?))));
    let set: Vec<String> = set.collect();
    if set.is_empty() { Vec::new() } else { vec![format!("The engine is asked with {}.", set.join(", "))] }
}

#[async_trait]
impl Backend for Embedded {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> BackendKind {
        BackendKind::Embedded
    }

    fn url(&self) -> Option<&str> {
        None
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe { version: Some(env!("CARGO_PKG_VERSION").to_owned()), latency_ms: 0.0 })
    }

    async fn models(&self) -> Result<Vec<ModelInfo>> {
        Ok(self.list().await?.iter().map(|entry| self.info(entry)).collect())
    }

    async fn model(&self, name: &str) -> Result<ModelInfo> {
        let entry = self.entry(name).await?;
        Ok(self.info(&entry))
    }

    async fn inspect(&self, name: &str) -> Result<Inspection> {
        let entry = self.entry(name).await?;
        let info = self.info(&entry);
        tokio::task::spawn_blocking(move || inspect::inspect(info, &entry.path))
            .await
            .map_err(|e| Error::new(Kind::Internal, "Reading the model's file failed.").cause(e))?
    }

    async fn start(&self, model: &str, parameters: &Parameters, out: Sink) -> Result<()> {
        let entry = self.entry(model).await?;
        if let Some(error) = entry.summary.error {
            return Err(error);
        }
        let cancel = CancelOnDrop(Arc::default());
        let (reply, done) = oneshot::channel();
        let ticket = Ticket { cancelled: Arc::clone(&cancel.0), sink: out };
        self.instance(&entry.path)?.post(Job::Load { ticket, keep_alive: keep_alive(parameters), reply })?;
        done.await.map_err(gone)?
    }

    async fn stop(&self, model: &str) -> Result<()> {
        let entry = self.entry(model).await?;
        if let Some(instance) = self.known(&entry.path) {
            let (reply, done) = oneshot::channel();
            instance.post(Job::Unload { reply })?;
            done.await.map_err(gone)?;
        }
        Ok(())
    }

    fn abilities(&self) -> Abilities {
        // Files are fetched by the host; the engine opens them.
        Abilities { start: true, stop: true, pull: true, copy: true, remove: true, idle: true }
    }

    /// Its memory is counted where it is taken; its processor time is the host's own.
    async fn instances(&self) -> Result<Vec<proto::Instance>> {
        let mut running = Vec::new();
        for entry in self.list().await? {
            let Some(instance) = self.known(&entry.path) else { continue };
            let status = instance.status();
            if status.state != ModelState::Loaded {
                continue;
            }
            let waiting = u32::try_from(instance.waiting()).unwrap_or(u32::MAX);
            running.push(proto::Instance {
                memory: status.memory.map(|bytes| Figure::measured(bytes as f64)),
                context: self.describe(&entry, status.clone()).context.map(u64::from),
                context_used: status.held,
                busy: Some(waiting.min(1)),
                slots: Some(1),
                queued: Some(waiting.saturating_sub(1)),
                expires: status.expires,
                pid: Some(std::process::id()),
                ..proto::Instance::of(ModelRef { backend: self.name.clone(), model: entry.name.clone() })
            });
        }
        Ok(running)
    }

    async fn copy(&self, model: &str, to: &str) -> Result<()> {
        let (entry, name, places) = (self.entry(model).await?, to.to_owned(), self.folders());
        files::blocking(move || files::copy(&entry.path, &name, &places)).await
    }

    async fn remove(&self, model: &str) -> Result<()> {
        let entry = self.entry(model).await?;
        let loaded = |state| matches!(state, ModelState::Loaded | ModelState::Loading | ModelState::Sleeping);
        if self.known(&entry.path).is_some_and(|instance| loaded(instance.status().state)) {
            return Err(Error::new(Kind::Busy, format!("`{}` is loaded, and its file is in use.", cut(model, 120)))
                .hint(format!("Stop it first: `arbour models stop {}`.", crate::sanitise::shell_quote(&cut(model, 120)))));
        }
        let (path, places) = (entry.path.clone(), self.folders());
        files::blocking(move || files::remove(&path, &places)).await?;
        lock(&self.instances).remove(&entry.path);
        lock(&self.catalogue).forget(&entry.path);
        Ok(())
    }

    fn preview(&self, request: &Request) -> RequestPreview {
        let thinking = request.parameters.text("thinking").map(|word| word != "off");
        let rendered = self.template(&request.model).and_then(|t| Ok((t.render(&request.messages, request.continues, thinking)?, t)));
        let (body, notes) = match rendered {
            Ok((rendered, template)) => (rendered.text, [template.notes.clone(), rendered.notes].concat()),
            Err(error) => (String::new(), vec![error.message]),
        };
        let notes = [notes, takes(&request.parameters)].concat();
        RequestPreview { method: "prompt".to_owned(), url: format!("{}/{}", self.name, request.model), body, curl: None, notes }
    }

    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        let entry = self.entry(&request.model).await?;
        if let Some(error) = entry.summary.error {
            return Err(error);
        }
        let instance = self.instance(&entry.path)?;
        let ahead = instance.waiting();
        if ahead > 0 {
            let progress = Progress { ahead: u32::try_from(ahead).ok(), ..Progress::default() };
            out.send(Update::Phase(State::Waiting, progress));
        }
        let cancel = CancelOnDrop(Arc::default());
        let (reply, done) = oneshot::channel();
        let ticket = Ticket { cancelled: Arc::clone(&cancel.0), sink: out };
        let keep_alive = keep_alive(&request.parameters);
        instance.post(Job::Answer { ticket, request: Box::new(request), keep_alive, asked: Instant::now(), reply })?;
        done.await.map_err(gone)?
    }

    fn open_file(&self, path: &Path) -> Result<String> {
        self.add_file(path)
    }
}

#[cfg(test)]
mod tests;
