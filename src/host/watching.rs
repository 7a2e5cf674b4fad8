//! What backends tell by themselves: one task for each, while a client is attached.
//!
//! Invariant: nobody attached, nobody listened to; a backend that tells much is listened to no faster than it can be looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Message;
use super::driver::{Host, Whose};
use crate::backend::{Backend, Change};
use crate::error::{Error, Kind, quoted};
use crate::proto::{BackendState, BackendStatus, EventKind, Level, ModelInfo, ModelRef, ModelState};

/// Changes that wait to be taken in. A backend that tells more waits.
const QUEUE: usize = 64;
/// How long after a stream broke it is opened again: at first, and at most.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// A stream that held so long was a good one: the next try comes soon.
const GOOD: Duration = Duration::from_secs(30);
/// Models are looked at so soon after a change, and so often at most: changes come in groups.
const GATHER: Duration = Duration::from_millis(150);
const LOOKS: Duration = Duration::from_millis(800);

/// The tasks that listen.
#[derive(Default)]
pub(super) struct Watches(BTreeMap<String, AbortHandle>);

impl Host {
    /// Begins to listen to backends that answer, and ends where nobody is there any more. Called after every turn.
    pub(super) fn keep_watching(&mut self) {
        if self.seats.is_empty() {
            for (_, task) in std::mem::take(&mut self.watches.0) {
                task.abort();
            }
            return;
        }
        // This is asked after every token: nothing is made unless something has changed.
        let backends = &self.machine.replica.backends;
        let is_up = |b: &&BackendStatus| b.state == BackendState::Up;
        let settled = backends.iter().all(|b| is_up(&b) == self.watches.0.contains_key(&b.name));
        if settled && self.watches.0.len() == backends.iter().filter(is_up).count() {
            return;
        }
        let up: Vec<String> = backends.iter().filter(is_up).map(|b| b.name.clone()).collect();
        // A task that ended in a fault stays in the list: it is not begun again before the backend was away.
        self.watches.0.retain(|name, task| {
            let stays = up.contains(name);
            if !stays {
                task.abort();
            }
            stays
        });
        for name in up {
            let Some(backend) = self.backends.get(&name).and_then(|slot| slot.backend.clone()) else { continue };
            if !self.watches.0.contains_key(&name) {
                let task = self.spawn(Whose::Other, watch(backend, name.clone(), self.inbox.clone()));
                self.watches.0.insert(name, task);
            }
        }
    }

    /// A backend has told something by itself.
    pub(super) fn changed(&mut self, backend: String, change: Change) {
        let model = |model: String| ModelRef { backend: backend.clone(), model };
        match change {
            Change::Models => self.ask_backend(&backend),
            Change::Loading { model: name, permille } => self.model_state(&model(name), ModelState::Loading, Some(permille)),
            Change::Evicted { model: name, room_for } => {
                self.model_state(&model(name.clone()), ModelState::Unloaded, None);
                let at = crate::error::harmless(&backend);
                let (level, error) = match room_for {
                    Some(other) => {
                        let message = format!("{} was unloaded by {at} to make room for {}.", quoted(&name), quoted(&other));
                        let hint = "The server keeps so many models loaded as it was told to (`--models-max`).";
                        (Level::Warning, Error::new(Kind::Server, message).hint(hint))
                    }
                    None => (
                        Level::Info,
                        Error::new(Kind::Server, format!("{} was unloaded by {at}; nobody here asked for it.", quoted(&name))),
                    ),
                };
                self.emit(EventKind::Notice { level, error });
            }
            Change::Failed { model: name, error } => {
                let model = model(name);
                let Some(known) = self.machine.replica.model(&model).cloned().filter(|_| !self.acts.is_starting(&model)) else { return };
                // A load that fails is told to who asked for it; a model that was there and is gone, to all.
                let tell = matches!(known.state, ModelState::Loaded | ModelState::Sleeping);
                self.emit(EventKind::Model(ModelInfo { state: ModelState::Failed, permille: None, error: Some(error.clone()), ..known }));
                if tell {
                    self.emit(EventKind::Notice { level: Level::Error, error });
                }
            }
        }
    }
}

/// Listens for as long as it is let, and begins again when the stream breaks.
async fn watch(backend: Arc<dyn Backend>, name: String, inbox: mpsc::Sender<Message>) {
    let mut wait = AGAIN;
    let mut looked = Instant::now();
    loop {
        let begun = Instant::now();
        let (out, mut changes) = mpsc::channel(QUEUE);
        let mut watching = std::pin::pin!(backend.watch(out));
        let mut look: Option<Instant> = None;
        let ended = loop {
            let due = async {
                match look {
                    Some(when) => tokio::time::sleep_until(when).await,
                    None => std::future::pending().await,
                }
            };
            let change = tokio::select! {
                biased;
                () = due => {
                    look = None;
                    looked = Instant::now();
                    Change::Models
                }
                Some(change) = changes.recv() => match change {
                    Change::Models => {
                        look.get_or_insert_with(|| (Instant::now() + GATHER).max(looked + LOOKS));
                        continue;
                    }
                    change => change,
                },
                ended = &mut watching => break ended,
            };
            if inbox.send(Message::Changed { backend: name.clone(), change }).await.is_err() {
                return;
            }
        };
        if let Err(error) = ended {
            tracing::debug!(backend = %name, %error, "the backend does not tell any more");
        }
        if begun.elapsed() > GOOD {
            wait = AGAIN;
        }
        tokio::time::sleep(jittered(wait)).await;
        wait = (wait * 2).min(AGAIN_AT_MOST);
    }
}

/// Between half of it and all of it, so that many hosts do not come back to a server in one moment.
fn jittered(wait: Duration) -> Duration {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    wait / 2 + (wait / 2).mul_f64(f64::from(nanos % 1000) / 1000.0)
}
