//! What the host knows of its backends: how each is reached, when it was asked last, and who waits for the answer.
//!
//! Invariant: one backend is asked by one task at a time; whoever wants it asked again meanwhile is served by one further turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::Health;
use super::options::{Build, Configured};
use crate::backend::{Backend, Probe, Secret, Spec};
use crate::config::ApiKey;
use crate::error::{Error, Kind, Result};
use crate::proto::{BackendKind, BackendState, BackendStatus, ModelInfo, UnixMs};

/// A backend that was asked within this time is not asked again merely because a client came.
const FRESH: Duration = Duration::from_secs(10);

/// One backend.
pub(super) struct Slot {
    pub(super) configured: Configured,
    pub(super) backend: Option<Arc<dyn Backend>>,
    /// A task is asking it.
    busy: bool,
    /// It is to be asked once more after that.
    again: Option<Depth>,
    asked: Option<Instant>,
    pub(super) health: Health,
    /// Models that were started by name and live in this process.
    pub(super) started: BTreeSet<String>,
    /// When the backend unloads one of its models by itself.
    pub(super) expires: Option<UnixMs>,
}

impl Slot {
    /// When it was asked last; while it is being asked, `now`.
    pub(super) fn asked(&self, now: Instant) -> Option<Instant> {
        if self.busy { Some(now) } else { self.asked }
    }

    /// Whether it is being asked.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }
}

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Whether it is there.
    Probe,
    /// And its models.
    Models,
}

/// What asking found.
pub(crate) struct Asked {
    pub(super) name: String,
    /// Made now, with its key.
    pub(super) backend: Option<Arc<dyn Backend>>,
    pub(super) probe: Result<Probe>,
    pub(super) models: Option<Result<Vec<ModelInfo>>>,
}

/// All backends, by name.
#[derive(Default)]
pub(super) struct Backends {
    slots: BTreeMap<String, Slot>,
    /// Values of environment variables that clients brought. Kept in memory only.
    environment: BTreeMap<String, String>,
}

impl Backends {
    /// Adds one; a second of the same name, or of the same address and kind, is not added. Says whether it was. One whose key need not be
    /// fetched can be used at once.
    pub(super) fn add(&mut self, configured: Configured, build: &Build) -> bool {
        let spec = &configured.spec;
        let known = self.slots.contains_key(&spec.name)
            || (!spec.url.is_empty()
                && self
                    .slots
                    .values()
                    .any(|slot| same_address(&slot.configured.spec.url, &spec.url) && doubles(&slot.configured.spec, spec)));
        if known {
            return false;
        }
        // A failure is reported when it is asked.
        let backend = if configured.key.is_none() { build(&configured.spec).ok() } else { None };
        let slot = Slot {
            configured,
            backend,
            busy: false,
            again: None,
            asked: None,
            health: Health::default(),
            started: BTreeSet::new(),
            expires: None,
        };
        self.slots.insert(slot.configured.spec.name.clone(), slot);
        true
    }

    pub(super) fn get(&self, name: &str) -> Option<&Slot> {
        self.slots.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Slot> {
        self.slots.get_mut(name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.slots.keys().cloned().collect()
    }

    /// The engine inside arbour.
    pub(super) fn engine(&self) -> Option<Arc<dyn Backend>> {
        let mut engines = self.slots.values().filter(|slot| slot.configured.spec.kind == Some(BackendKind::Embedded));
        engines.find_map(|slot| slot.backend.clone())
    }

    /// Servers that fetch models from a registry.
    pub(super) fn pullers(&self) -> Vec<String> {
        let fetches = |slot: &&Slot| {
            let made = slot.backend.as_ref();
            slot.configured.spec.kind != Some(BackendKind::Embedded) && made.is_some_and(|backend| backend.abilities().pull)
        };
        self.slots.values().filter(fetches).map(|slot| slot.configured.spec.name.clone()).collect()
    }

    /// The value that a client brought for a key.
    pub(super) fn brought(&self, key: &ApiKey) -> Option<String> {
        match key {
            ApiKey::Env(variable) => self.environment.get(variable).cloned(),
            ApiKey::Command(_) => None,
        }
    }

    /// Lets go of a discovered backend at this address; says its name.
    pub(super) fn take_discovered(&mut self, url: &str) -> Option<String> {
        let found = self.slots.values().find(|slot| slot.configured.spec.discovered && same_address(&slot.configured.spec.url, url));
        let name = found?.configured.spec.name.clone();
        self.slots.remove(&name);
        Some(name)
    }

    /// Backends on the network, but for services that count requests, that were not asked for so long.
    pub(super) fn unasked_since(&self, now: Instant, long: Duration) -> Vec<String> {
        let networked = |slot: &&Slot| matches!(slot.configured.spec.kind, Some(BackendKind::Ollama | BackendKind::LlamaServer));
        let unasked = |slot: &&Slot| slot.asked.is_none_or(|asked| now - asked >= long);
        self.slots.values().filter(networked).filter(unasked).map(|slot| slot.configured.spec.name.clone()).collect()
    }

    /// When the next model unloads by itself.
    pub(super) fn next_expiry(&self) -> Option<UnixMs> {
        self.slots.values().filter_map(|slot| slot.expires).min()
    }

    /// Backends one of whose models unloaded by itself until now.
    pub(super) fn take_expired(&mut self, now: UnixMs) -> Vec<String> {
        let mut names = Vec::new();
        for (name, slot) in &mut self.slots {
            if slot.expires.is_some_and(|expires| expires <= now) {
                slot.expires = None;
                names.push(name.clone());
            }
        }
        names
    }

    /// Whether any is being asked.
    pub(super) fn is_busy(&self) -> bool {
        self.slots.values().any(|slot| slot.busy)
    }

    /// Models that live in this process and were started by name.
    pub(super) fn has_started(&self) -> bool {
        self.slots.values().any(|slot| !slot.started.is_empty())
    }

    /// Takes values that clients have and this process lacks. Says which backends can be made with them now.
    pub(super) fn bring(&mut self, environment: Vec<(String, String)>) -> Vec<String> {
        let mut news = Vec::new();
        for (name, value) in environment {
            if !value.is_empty() && std::env::var_os(&name).is_none() && self.environment.get(&name) != Some(&value) {
                self.environment.insert(name.clone(), value);
                news.push(name);
            }
        }
        let mut ready = Vec::new();
        for (name, slot) in &mut self.slots {
            if matches!(&slot.configured.key, Some(ApiKey::Env(variable)) if news.contains(variable)) {
                slot.backend = None;
                ready.push(name.clone());
            }
        }
        ready
    }

    /// When the first of these backends is to be asked again that were not there.
    pub(super) fn next_absent(&self, wanted: impl Fn(&str) -> bool) -> Option<Instant> {
        let absent = self.slots.iter().filter(|(name, slot)| !slot.busy && wanted(name));
        absent.filter_map(|(_, slot)| slot.health.due()).min()
    }

    /// Those of these backends that were not there and are to be asked again by now.
    pub(super) fn absent(&self, now: Instant, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let due = |slot: &Slot| !slot.busy && slot.health.due().is_some_and(|due| due <= now);
        self.slots.iter().filter(|(name, slot)| due(slot) && wanted(name)).map(|(name, _)| name.clone()).collect()
    }

    /// Backends that were not asked lately, or were not there then.
    pub(super) fn stale(&self, now: Instant) -> Vec<String> {
        self.slots
            .values()
            .filter(|slot| slot.health.is_missing() || slot.asked.is_none_or(|asked| now - asked > FRESH))
            .map(|slot| slot.configured.spec.name.clone())
            .collect()
    }

    /// The question to a backend, to be spawned; `None` when one is on the way already (another follows it then).
    pub(super) fn ask(
        &mut self,
        name: &str,
        depth: Depth,
        build: &Build,
        now: Instant,
    ) -> Option<impl Future<Output = Asked> + Send + use<>> {
        let slot = self.slots.get_mut(name)?;
        if slot.busy {
            slot.again = slot.again.max(Some(depth));
            return None;
        }
        slot.busy = true;
        slot.asked = Some(now);
        let brought = match &slot.configured.key {
            Some(ApiKey::Env(variable)) => self.environment.get(variable).cloned(),
            Some(ApiKey::Command(_)) | None => None,
        };
        let made = slot.backend.clone();
        Some(ask(slot.configured.clone(), made, brought, Arc::clone(build), depth))
    }

    /// A question was answered. Says whether another is to follow at once.
    pub(super) fn asked(&mut self, name: &str, backend: Option<Arc<dyn Backend>>) -> Option<Depth> {
        let slot = self.slots.get_mut(name)?;
        slot.busy = false;
        if backend.is_some() {
            slot.backend = backend;
        }
        slot.again.take()
    }
}

/// `localhost` and `127.0.0.1` are the same place; a trailing slash makes no difference.
fn same_address(a: &str, b: &str) -> bool {
    let plain = |url: &str| url.trim_end_matches('/').replace("//localhost", "//127.0.0.1").replace("//[::1]", "//127.0.0.1");
    plain(a) == plain(b)
}

/// Whether two backends of one address are the same: a person may well name a server twice, with two protocols that it speaks.
fn doubles(known: &Spec, new: &Spec) -> bool {
    known.kind == new.kind || known.discovered || new.discovered
}

async fn ask(configured: Configured, made: Option<Arc<dyn Backend>>, brought: Option<String>, build: Build, depth: Depth) -> Asked {
    let name = configured.spec.name.clone();
    let backend = match made {
        Some(backend) => Ok(backend),
        None => make(&configured, brought, &build).await,
    };
    let backend = match backend {
        Ok(backend) => backend,
        Err(error) => return Asked { name, backend: None, probe: Err(error), models: None },
    };
    let probe = backend.probe().await;
    let models = match (&probe, depth) {
        (Ok(_), Depth::Models) => Some(backend.models().await),
        _ => None,
    };
    Asked { name, backend: Some(backend), probe, models }
}

async fn make(configured: &Configured, brought: Option<String>, build: &Build) -> Result<Arc<dyn Backend>> {
    let key = match &configured.key {
        Some(source) => source.read(|name| std::env::var(name).ok().filter(|v| !v.is_empty()).or(brought.clone())).await?,
        None => None,
    };
    let key_origin = configured.key.as_ref().map(|source| match source {
        ApiKey::Env(name) => format!("${name}"),
        ApiKey::Command(words) => words.first().cloned().unwrap_or_default(),
    });
    build(&Spec { key: key.map(Secret::new), key_origin, ..configured.spec.clone() })
}

/// How a backend shows after it was asked.
pub(super) fn status(configured: &Configured, kind: BackendKind, probe: &Result<Probe>) -> BackendStatus {
    let spec = &configured.spec;
    let (state, error, version, latency_ms) = match probe {
        Ok(probe) => (BackendState::Up, None, probe.version.clone(), Some(probe.latency_ms)),
        Err(error) => {
            let state = match error.kind {
                Kind::Unauthorized => BackendState::Unauthorized,
                Kind::Starting => BackendState::Starting,
                _ => BackendState::Down,
            };
            (state, Some(error.clone()), None, None)
        }
    };
    BackendStatus {
        slow: false,
        retry_at: None,
        name: spec.name.clone(),
        kind,
        url: (!spec.url.is_empty()).then(|| spec.url.clone()),
        state,
        error,
        version,
        latency_ms,
        discovered: spec.discovered,
    }
}

/// How a backend shows before it was asked.
pub(super) fn connecting(configured: &Configured, kind: BackendKind) -> BackendStatus {
    let asked: Result<Probe> = Err(Error::new(Kind::Unreachable, String::new()));
    BackendStatus { state: BackendState::Connecting, error: None, ..status(configured, kind, &asked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(name: &str, url: &str, key: Option<ApiKey>) -> Configured {
        Configured { spec: Spec { name: name.into(), url: url.into(), kind: Some(BackendKind::Ollama), ..Spec::default() }, key }
    }

    #[test]
    fn the_same_address_is_not_added_twice() {
        let build: Build = Arc::new(|_| Err(Error::new(Kind::Config, "none")));
        let mut backends = Backends::default();
        assert!(backends.add(configured("mine", "http://localhost:11434/", None), &build));
        assert!(!backends.add(configured("found", "http://127.0.0.1:11434", None), &build));
        assert!(!backends.add(configured("mine", "http://other:1", None), &build));
        assert!(backends.add(configured("found", "http://127.0.0.1:8080", None), &build));
        let mut other = configured("messages", "http://127.0.0.1:11434", None);
        other.spec.kind = Some(BackendKind::Anthropic);
        assert!(backends.add(other.clone(), &build), "the same server by another protocol");
        other.spec = Spec { name: "again".into(), discovered: true, kind: Some(BackendKind::OpenAi), ..other.spec };
        assert!(!backends.add(other, &build), "what is found is known");
    }

    #[tokio::test]
    async fn keys_come_from_clients_and_commands_and_are_not_printed() {
        let variable = "ARBOUR_TEST_KEY_THAT_NO_MACHINE_HAS";
        let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let build: Build = {
            let seen = Arc::clone(&seen);
            Arc::new(move |spec| {
                seen.lock().unwrap().push(spec.key.as_ref().map(|k| k.expose().to_owned()).unwrap_or_default());
                Err(Error::new(Kind::Config, format!("{:?}", spec.key)))
            })
        };
        let mut backends = Backends::default();
        backends.add(configured("a", "http://x", Some(ApiKey::Env(variable.into()))), &build);
        assert_eq!(backends.bring(vec![(variable.into(), "k1".into())]), ["a"]);
        assert!(backends.bring(vec![(variable.into(), "k1".into())]).is_empty(), "nothing new");
        let asked = backends.ask("a", Depth::Models, &build, Instant::now()).unwrap();
        assert!(backends.ask("a", Depth::Models, &build, Instant::now()).is_none(), "one at a time");
        let error = asked.await.probe.unwrap_err();
        assert!(!error.message.contains("k1"));
        assert_eq!(*seen.lock().unwrap(), ["k1"]);
        assert_eq!(backends.asked("a", None), Some(Depth::Models));
    }
}
