//! The queue of downloads: so many at once, in the order in which they were asked for, over restarts of the host.
//!
//! Owns: which downloads there are and where each stands. Refuses: fetching (`pulling`, `fetch`, the backends). Invariants: a state
//! that clients saw is on disk; how far one is never is, because what came lies in the file; what was queued or running goes on by
//! itself after a restart, what was paused stays paused.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Message;
use super::driver::{Host, Whose, now};
use super::pulling::{self, End, Pulled, Pulling, Work};
use crate::backend::PullProgress;
use crate::config::home_folder;
use crate::core::Write;
use crate::error::{Error, Kind, Result, quoted};
use crate::fetch::source::{Source, is_file};
use crate::fetch::{self, starter};
use crate::proto::{Ack, BackendKind, Download, DownloadState, EventKind, Layer};

/// Downloads that wait or go on: a person pulls a handful, a script some dozens.
const MOST: usize = 200;
/// Those that have ended and are still listed.
const ENDED: usize = 50;
/// After a start, what went on before waits this long for a client: it brings the tokens that the host does not keep.
const BRING: Duration = Duration::from_secs(3);
/// What the starter model's source is called when pip brings it.
const PIP: &str = "pip";

/// The downloads that go on.
#[derive(Default)]
pub(super) struct Downloads {
    going: BTreeMap<String, Going>,
    /// Rises with each begin, so that a late report of an earlier one is known.
    turn: u64,
    /// What went on before the host was started is not begun yet.
    waits: bool,
}

struct Going {
    turn: u64,
    /// Taken when it is broken off.
    end: Option<End>,
    /// What came is dropped when the work has let go.
    forget: bool,
}

impl Host {
    /// Takes up what the host before this one kept.
    pub(super) fn take_up_downloads(&mut self, kept: Vec<Download>) {
        for mut download in kept {
            if matches!(download.state, DownloadState::Running | DownloadState::Checking) {
                download.state = DownloadState::Queued;
                download.stage = None;
            }
            self.downloads.waits |= download.state == DownloadState::Queued;
            self.machine.replica.downloads.insert(download.key.clone(), download);
        }
        if self.downloads.waits {
            let inbox = self.inbox.clone();
            self.spawn(Whose::Other, async move {
                tokio::time::sleep(BRING).await;
                drop(inbox.send(Message::TakeUp).await);
            });
        }
    }

    /// Begins what waited for a client or for time.
    pub(super) async fn take_up(&mut self) {
        self.downloads.waits = false;
        self.advance().await;
    }

    /// Whether downloads keep the host from ending.
    pub(super) fn is_fetching(&self) -> bool {
        !self.downloads.going.is_empty() || self.machine.replica.downloads.values().any(|d| d.state == DownloadState::Queued)
    }

    /// Puts a download into the queue.
    pub(super) async fn pull(&mut self, backend: String, source: String) -> Result<Ack> {
        let source = source.trim().to_owned();
        let backend = if backend.is_empty() { self.backend_for(&source)? } else { backend };
        let slot = self.backends.get(&backend).ok_or_else(|| self.no_backend(&backend))?;
        if slot.configured.spec.kind == Some(BackendKind::Embedded) {
            if source == starter::KEY {
                self.pull_starter(false).await?;
                return Ok(Ack::Download { key: starter::KEY.to_owned() });
            }
            // What is no source is said now, not when its turn comes.
            self.source(&source)?;
        } else if let Some(made) = &slot.backend
            && !made.abilities().pull
        {
            return Err(crate::backend::refuse(
                &backend,
                "fetch models",
                "Pull into a backend that can: Ollama, or the engine inside arbour.",
            ));
        } else if source.is_empty() || source.chars().any(char::is_control) {
            return Err(Error::new(Kind::Usage, format!("{} is no model's name.", quoted(&source))));
        }
        let key = format!("{backend}/{source}");
        self.queue(Download::queued(&key, &backend, &source, now())).await?;
        Ok(Ack::Download { key })
    }

    /// Fetches the starter model, unless that is going on already.
    pub(super) async fn pull_starter(&mut self, pip: bool) -> Result<Ack> {
        let backend = self.backends.engine().map(|engine| engine.name().to_owned()).unwrap_or_default();
        let source = if pip { PIP } else { starter::KEY };
        let total_bytes = Some(starter::SIZE);
        self.queue(Download { total_bytes, ..Download::queued(starter::KEY, &backend, source, now()) }).await?;
        Ok(Ack::Done)
    }

    async fn queue(&mut self, download: Download) -> Result<()> {
        let all = &self.machine.replica.downloads;
        if let Some(known) = all.get(&download.key)
            && matches!(known.state, DownloadState::Queued | DownloadState::Running | DownloadState::Checking)
        {
            return Ok(());
        }
        if all.values().filter(|known| !known.state.is_over()).count() >= MOST {
            return Err(Error::new(Kind::Busy, format!("{MOST} downloads wait or go on already."))
                .hint("Cancel some of them, or wait until they are done."));
        }
        self.keep(download, true).await?;
        self.advance().await;
        Ok(())
    }

    /// Which backend a source is for, when nobody says.
    fn backend_for(&self, source: &str) -> Result<String> {
        let engine = self.backends.engine().map(|engine| engine.name().to_owned());
        if is_file(source) || source == starter::KEY {
            return engine.ok_or_else(no_engine);
        }
        let mut servers = self.backends.pullers();
        match (servers.len(), self.source(source)) {
            (1, _) => Ok(servers.remove(0)),
            (0, Ok(_)) => engine.ok_or_else(no_engine),
            (0, Err(error)) => {
                let message = format!("{} reads as the name of a model at a registry, and no backend here fetches those.", quoted(source));
                Err(Error { hints: error.hints, ..Error::new(Kind::Usage, message) }.hint("Or start Ollama, and pull again."))
            }
            (_, _) => {
                let message = format!("Several backends could fetch {}.", quoted(source));
                let list = servers.iter().map(|name| crate::error::harmless(name)).collect::<Vec<_>>().join(", ");
                Err(Error::new(Kind::Usage, message).hint(format!("Say into which one it goes: {list}.")))
            }
        }
    }

    fn source(&self, text: &str) -> Result<Source> {
        Source::parse(text, &self.options.hub.bases, home_folder().as_deref())
    }

    /// Pauses one: what came is kept, and it stays paused until a person goes on with it.
    pub(super) async fn pause_pull(&mut self, key: &str) -> Result<Ack> {
        let known = self.download(key)?;
        match known.state {
            DownloadState::Paused => return Ok(Ack::Done),
            DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled => return Err(has_ended(&known)),
            DownloadState::Queued | DownloadState::Running | DownloadState::Checking => {}
        }
        self.keep(Download { state: DownloadState::Paused, bytes_per_s: None, stage: None, ..known }, true).await?;
        self.break_off(key, false);
        self.advance().await;
        Ok(Ack::Done)
    }

    /// Goes on with one that was paused, failed or was cancelled, at the end of the queue.
    pub(super) async fn resume_pull(&mut self, key: &str) -> Result<Ack> {
        let known = self.download(key)?;
        if known.state == DownloadState::Done {
            return Err(has_ended(&known).hint("Pull it again to see whether there is a newer one."));
        }
        let download = Download { state: DownloadState::Queued, asked: now(), error: None, note: None, ..known };
        self.queue(download).await?;
        Ok(Ack::Done)
    }

    /// Ends one; with `forget` it is taken off the list, and what came of an unfinished one is dropped.
    pub(super) async fn cancel_pull(&mut self, key: &str, forget: bool) -> Result<Ack> {
        let known = self.download(key)?;
        if forget {
            self.store.write(vec![Write::ForgetDownload { key: key.to_owned() }], true).await?;
            match self.downloads.going.get_mut(key) {
                Some(going) if going.end.is_none() => going.forget = true,
                Some(_) => self.break_off(key, true),
                None if known.state == DownloadState::Done => {}
                None => self.drop_leftovers(key, &known.source, known.layers).await,
            }
            self.emit(EventKind::DownloadRemoved { key: key.to_owned() });
        } else {
            match known.state {
                DownloadState::Cancelled => return Ok(Ack::Done),
                DownloadState::Done | DownloadState::Failed => return Err(has_ended(&known)),
                DownloadState::Queued | DownloadState::Running | DownloadState::Checking | DownloadState::Paused => {}
            }
            self.keep(Download { state: DownloadState::Cancelled, bytes_per_s: None, stage: None, ..known }, true).await?;
            self.break_off(key, false);
        }
        self.advance().await;
        Ok(Ack::Done)
    }

    fn download(&self, key: &str) -> Result<Download> {
        self.machine.replica.downloads.get(key).cloned().ok_or_else(|| {
            Error::new(Kind::NotFound, format!("There is no download called {}.", quoted(key)))
                .hint("`arbour models pulls` lists those that there are.")
        })
    }

    /// Stops the work on one. Its place is free when the work has let go.
    fn break_off(&mut self, key: &str, forget: bool) {
        if let Some(end) = self.downloads.going.get_mut(key).and_then(|going| going.end.take()) {
            // Work that has just ended needs no end.
            let _ = end.send(forget);
        }
    }

    /// Drops what an unfinished one left. Waited for, so that nothing that begins anew loses its file.
    async fn drop_leftovers(&self, key: &str, source: &str, layers: Vec<Layer>) {
        let models = self.options.models.clone();
        let source = if key == starter::KEY { None } else { self.source(source).ok() };
        let starter = key == starter::KEY;
        let dropping = tokio::task::spawn_blocking(move || match source {
            Some(source) => fetch::forget(&source, &models, &layers),
            None if starter => starter::forget(&models),
            None => {}
        });
        if let Err(error) = dropping.await {
            tracing::warn!(%error, "what came of a download was not dropped");
        }
    }

    /// Begins what waits, as far as there are places.
    pub(super) async fn advance(&mut self) {
        while !self.downloads.waits && self.downloads.going.len() < self.options.pulls {
            let waits = |d: &&Download| d.state == DownloadState::Queued && !self.downloads.going.contains_key(&d.key);
            // A backend whose key is still being fetched is waited for.
            let ready = |d: &&Download| self.backends.get(&d.backend).is_none_or(|slot| slot.backend.is_some() || !slot.is_busy());
            let queued = self.machine.replica.downloads.values().filter(waits).filter(ready);
            let Some(next) = queued.min_by(|a, b| (a.asked, &a.key).cmp(&(b.asked, &b.key))).cloned() else { return };
            match self.work(&next) {
                Ok(work) => self.begin(next, work).await,
                Err(error) => {
                    self.keep_anyway(Download { state: DownloadState::Failed, error: Some(error), ..next }).await;
                    self.forget_oldest().await;
                }
            }
        }
    }

    fn work(&self, download: &Download) -> Result<Work> {
        let models = self.options.models.clone();
        if download.key == starter::KEY {
            let pip = download.source == PIP;
            return Ok(Work::Starter { pip, models, sources: self.options.starter.clone(), engine: self.backends.engine() });
        }
        let slot = self.backends.get(&download.backend).ok_or_else(|| self.no_backend(&download.backend))?;
        let backend = slot.backend.clone().ok_or_else(|| self.no_backend(&download.backend))?;
        if slot.configured.spec.kind != Some(BackendKind::Embedded) {
            return Ok(Work::Server { backend, name: download.source.clone() });
        }
        let source = self.source(&download.source)?;
        let token = self.options.hub_token.clone();
        let brought = self.backends.brought(&token);
        Ok(Work::Files { source, hub: self.options.hub.clone(), token, brought, models, engine: backend })
    }

    async fn begin(&mut self, download: Download, work: Work) {
        let key = download.key.clone();
        self.downloads.turn += 1;
        let turn = self.downloads.turn;
        self.keep_anyway(Download { state: DownloadState::Running, bytes_per_s: None, error: None, note: None, ..download }).await;
        let (end, ends) = oneshot::channel();
        let task = pulling::pull(key.clone(), turn, work, ends, self.inbox.clone());
        self.spawn(Whose::Download(key.clone(), turn), task);
        self.downloads.going.insert(key, Going { turn, end: Some(end), forget: false });
    }

    /// One that goes on has come further.
    pub(super) fn pulling(&mut self, pulling: Pulling) {
        let Pulling { key, turn, progress, bytes_per_s } = pulling;
        let current = self.downloads.going.get(&key).is_some_and(|going| going.turn == turn && going.end.is_some());
        if let Some(known) = self.machine.replica.downloads.get(&key).filter(|_| current).cloned() {
            let state = if progress.checking { DownloadState::Checking } else { DownloadState::Running };
            let bytes_per_s = bytes_per_s.filter(|_| !progress.checking);
            self.emit(EventKind::Download(Download { state, bytes_per_s, ..with(known, progress) }));
        }
    }

    /// One has ended, or let go after it was broken off.
    pub(super) async fn pulled(&mut self, pulled: Pulled) {
        let Pulled { key, turn, progress, result } = pulled;
        if self.downloads.going.get(&key).is_none_or(|going| going.turn != turn) {
            return;
        }
        let Some(going) = self.downloads.going.remove(&key) else { return };
        let broken_off = going.end.is_none();
        if going.forget {
            // The key begins with the backend.
            let source = key.split_once('/').map_or("", |(_, source)| source);
            self.drop_leftovers(&key, source, progress.layers).await;
        } else if broken_off {
            // How far it came, for the list, and which files are unfinished.
            let known = self.machine.replica.downloads.get(&key).cloned();
            if let Some(known) = known.filter(|known| matches!(known.state, DownloadState::Paused | DownloadState::Cancelled)) {
                self.keep_anyway(with(known, PullProgress { stage: None, ..progress })).await;
            }
        } else if let Some(result) = result
            && let Some(known) = self.machine.replica.downloads.get(&key).cloned()
        {
            let known = Download { bytes_per_s: None, ..with(known, PullProgress { stage: None, ..progress }) };
            let backend = known.backend.clone();
            let ended = match result {
                Ok(outcome) => {
                    let done_bytes = known.total_bytes.unwrap_or(known.done_bytes);
                    Download { state: DownloadState::Done, done_bytes, model: outcome.model, note: outcome.note, ..known }
                }
                Err(error) => Download { state: DownloadState::Failed, error: Some(error), ..known },
            };
            self.keep_anyway(ended).await;
            self.forget_oldest().await;
            self.ask_backend(&backend);
        }
        self.advance().await;
    }

    /// The work on one ended in a fault.
    pub(super) async fn pull_broke(&mut self, key: String, turn: u64, error: Error) {
        let known = self.machine.replica.downloads.get(&key);
        let layers = known.map(|known| known.layers.clone()).unwrap_or_default();
        let progress = PullProgress { layers, ..PullProgress::default() };
        self.pulled(Pulled { key, turn, progress, result: Some(Err(error)) }).await;
    }

    /// Commits where one stands, then tells.
    async fn keep(&mut self, download: Download, sync: bool) -> Result<()> {
        self.store.write(vec![Write::Download(download.clone())], sync).await?;
        self.emit(EventKind::Download(download));
        Ok(())
    }

    /// The same for what happens by itself: a database that cannot be written does not keep it from happening.
    async fn keep_anyway(&mut self, download: Download) {
        if let Err(error) = self.keep(download.clone(), false).await {
            tracing::warn!(kind = ?error.kind, "where a download stands was not saved");
            self.emit(EventKind::Download(download));
        }
    }

    /// Takes those off the list that ended longest ago, beyond what is kept.
    async fn forget_oldest(&mut self) {
        let mut ended: Vec<_> = self.machine.replica.downloads.values().filter(|d| d.state.is_over()).map(|d| (d.asked, &d.key)).collect();
        ended.sort();
        let many = ended.len().saturating_sub(ENDED);
        let oldest: Vec<String> = ended.into_iter().take(many).map(|(_, key)| key.clone()).collect();
        for key in oldest {
            if let Err(error) = self.store.write(vec![Write::ForgetDownload { key: key.clone() }], false).await {
                tracing::warn!(kind = ?error.kind, "an old download was not forgotten");
            }
            self.emit(EventKind::DownloadRemoved { key });
        }
    }
}

/// A download with what was told of it. Totals are of what is known: of a file that nobody told the length of there is none.
fn with(known: Download, progress: PullProgress) -> Download {
    let PullProgress { layers, stage, .. } = progress;
    if layers.is_empty() {
        return Download { stage, ..known };
    }
    let done = |layer: &Layer| layer.total_bytes.map_or(layer.done_bytes, |total| layer.done_bytes.min(total));
    let done_bytes = layers.iter().map(done).fold(0, u64::saturating_add);
    let total_bytes = layers.iter().map(|layer| layer.total_bytes).try_fold(0, |sum: u64, total| Some(sum.saturating_add(total?)));
    Download { layers, stage, done_bytes, total_bytes, ..known }
}

fn has_ended(download: &Download) -> Error {
    Error::new(Kind::NotFound, format!("The download {} has ended: it is {}.", quoted(&download.key), download.state.word()))
}

fn no_engine() -> Error {
    Error::new(Kind::Unsupported, "This arbour was built without the engine that runs GGUF files.")
        .hint("Build it with the feature `embedded`, or pull the model by its name into Ollama.")
}
