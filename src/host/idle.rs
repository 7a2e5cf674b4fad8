//! When an idle model is unloaded, where its backend does not do that by itself (a llama-server in router mode).
//!
//! Owns: of every such model that is loaded when it was used last, and when its time is over. Invariant: a model that is at work or
//! pinned has no deadline, nor has one for which nobody chose a time; what was evicted meanwhile is forgotten.
//!
//! For the other backends it remembers the time that a model was started with: each request sets the time anew there, and one that
//! names none would put it back to the server's own.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Message;
use super::acts::{Act, Asker};
use super::driver::{Host, Whose, now};
use crate::core::parameters::seconds;
use crate::proto::{EventKind, ModelInfo, ModelRef, ModelState, Parameters, UnixMs};

/// A model that others use is looked at again after this time at the soonest.
const LOOK: Duration = Duration::from_secs(1);

/// How long a model stays loaded after its last use; `None`: for ever.
type Keep = Option<Duration>;

struct Loaded {
    used: Instant,
    keep: Keep,
    at_work: bool,
    pinned: bool,
    /// Its time was over once: it is not tried again before it was used again.
    tried: bool,
    /// When its time is over; the same for people.
    due: Option<(Instant, UnixMs)>,
}

impl Loaded {
    fn reckon(&mut self, now: Instant, clock: UnixMs) {
        let keep = self.keep.filter(|_| !self.at_work && !self.pinned && !self.tried);
        let due = keep.map(|keep| self.used + keep);
        if due != self.due.map(|(due, _)| due) {
            self.due = due.map(|due| (due, clock + i64::try_from(due.saturating_duration_since(now).as_millis()).unwrap_or(i64::MAX)));
        }
    }
}

/// The models whose idleness the host looks after.
#[derive(Default)]
pub(super) struct Idle {
    loaded: HashMap<ModelRef, Loaded>,
    /// What models were started with, or asked with last; of any backend.
    told: HashMap<ModelRef, String>,
}

/// What counts for one model at one moment.
struct Facts {
    keep: Keep,
    at_work: bool,
    pinned: bool,
}

impl Idle {
    /// The model is loaded, and stands so.
    fn seen(&mut self, model: &ModelRef, facts: &Facts, now: Instant, clock: UnixMs) {
        let fresh = || Loaded { used: now, keep: None, at_work: false, pinned: false, tried: false, due: None };
        let known = self.loaded.entry(model.clone()).or_insert_with(fresh);
        if known.at_work || facts.at_work {
            (known.used, known.tried) = (now, false);
        }
        (known.keep, known.at_work, known.pinned) = (facts.keep, facts.at_work, facts.pinned);
        known.reckon(now, clock);
    }

    /// Others use it now: it is looked at again after its time, however short that is not at once.
    fn used(&mut self, model: &ModelRef, now: Instant, clock: UnixMs) {
        if let Some(known) = self.loaded.get_mut(model) {
            let short = known.keep.map_or(Duration::ZERO, |keep| LOOK.saturating_sub(keep));
            (known.used, known.tried) = (now + short, false);
            known.reckon(now, clock);
        }
    }

    /// When the next one's time is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.loaded.values().filter_map(|known| known.due.map(|(due, _)| due)).min()
    }

    /// Those whose time is over. Each is said once: it has no deadline until it is used again.
    fn take_due(&mut self, now: Instant) -> Vec<ModelRef> {
        let mut due = Vec::new();
        for (model, known) in &mut self.loaded {
            if known.due.is_some_and(|(at, _)| at <= now) {
                (known.tried, known.due) = (true, None);
                due.push(model.clone());
            }
        }
        due
    }

    /// When a model unloads, for people.
    pub(super) fn expires(&self, model: &ModelRef) -> Option<UnixMs> {
        self.loaded.get(model)?.due.map(|(_, clock)| clock)
    }
}

/// The time that is written in parameters; `None`: none is.
fn written(parameters: &Parameters) -> Option<String> {
    match parameters.0.get("keep_alive")? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn keep(text: &str) -> Keep {
    seconds(text).flatten().map(Duration::from_secs)
}

impl Host {
    /// A model is started with these parameters, over its own.
    pub(super) fn keeps(&mut self, model: &ModelRef, over: &Parameters) {
        match written(over) {
            Some(text) => drop(self.idle.told.insert(model.clone(), text)),
            None => drop(self.idle.told.remove(model)),
        }
    }

    /// A model is asked. What the request says of how long it stays loaded holds from now on; one that says nothing says what the
    /// model was started with.
    pub(super) fn keeps_asked(&mut self, model: &ModelRef, parameters: &mut Parameters) {
        match (written(parameters), self.idle.told.get(model)) {
            (Some(text), _) if self.minds(&model.backend) => drop(self.idle.told.insert(model.clone(), text)),
            (None, Some(text)) if !self.minds(&model.backend) => {
                parameters.0.insert("keep_alive".to_owned(), text.clone().into());
            }
            _ => {}
        }
    }

    /// Whether the host unloads this backend's idle models: it can be told to, and does not do it by itself.
    fn minds(&self, backend: &str) -> bool {
        let slot = self.backends.get(backend).and_then(|slot| slot.backend.as_ref());
        slot.map(|backend| backend.abilities()).is_some_and(|can| can.stop && !can.idle)
    }

    /// Takes in what an event says of models.
    pub(super) fn mind(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Model(model) => self.mind_model(model, self.minds(&model.backend)),
            EventKind::Models { backend, models } => {
                let minds = self.minds(backend);
                if minds {
                    let listed = |model: &ModelRef| models.iter().any(|listed| listed.name == model.model);
                    self.idle.loaded.retain(|model, _| model.backend != *backend || listed(model));
                }
                for model in models {
                    self.mind_model(model, minds);
                }
            }
            EventKind::BackendRemoved { name } => {
                self.idle.loaded.retain(|model, _| model.backend != *name);
                self.idle.told.retain(|model, _| model.backend != *name);
            }
            // What models are loaded with may come from templates.
            EventKind::Presets { .. } => {
                let models: Vec<ModelRef> = self.idle.loaded.keys().cloned().collect();
                for model in models {
                    self.mind_again(&model);
                }
            }
            _ => {}
        }
    }

    fn mind_model(&mut self, info: &ModelInfo, minds: bool) {
        let alive = matches!(info.state, ModelState::Loaded | ModelState::Sleeping);
        if alive && !minds {
            return;
        }
        let model = info.reference();
        if alive {
            let facts = self.facts(&model);
            self.idle.seen(&model, &facts, Instant::now(), now());
            return;
        }
        self.idle.loaded.remove(&model);
        if matches!(info.state, ModelState::Unloaded | ModelState::Failed) && !self.runs.uses(&model) && !self.acts.is_starting(&model) {
            self.idle.told.remove(&model);
        }
    }

    fn facts(&self, model: &ModelRef) -> Facts {
        let text = self.idle.told.get(model).cloned().or_else(|| written(&self.load_settings(model)));
        Facts { keep: text.and_then(|text| keep(&text)), at_work: self.runs.uses(model), pinned: self.card(model).pinned }
    }

    /// A run of a model has begun or ended, or its settings are others.
    pub(super) fn mind_again(&mut self, model: &ModelRef) {
        if self.idle.loaded.contains_key(model) {
            let facts = self.facts(model);
            self.idle.seen(model, &facts, Instant::now(), now());
        }
    }

    /// Looks after those whose time is over. Others may use the same server, so it is asked first whether they are at work.
    pub(super) fn unload_idle(&mut self) {
        for model in self.idle.take_due(Instant::now()) {
            let Some(backend) = self.backends.get(&model.backend).and_then(|slot| slot.backend.clone()) else { continue };
            let inbox = self.inbox.clone();
            self.spawn(Whose::Other, async move {
                let busy = match backend.instances().await {
                    Ok(instances) => instances
                        .iter()
                        .filter(|instance| instance.model == model)
                        .any(|instance| instance.busy.unwrap_or(0) > 0 || instance.queued.unwrap_or(0) > 0),
                    // It shows when it is stopped.
                    Err(_) => false,
                };
                drop(inbox.send(Message::Idle { model, busy }).await);
            });
        }
    }

    /// A model's time is over; whether others use it.
    pub(super) fn is_idle(&mut self, model: &ModelRef, busy: bool) {
        let loaded = self.machine.replica.model(model).is_some_and(|m| matches!(m.state, ModelState::Loaded | ModelState::Sleeping));
        if !loaded || !self.idle.loaded.contains_key(model) {
            return;
        }
        let facts = self.facts(model);
        if busy || facts.at_work || facts.pinned {
            self.idle.used(model, Instant::now(), now());
            return self.mind_again(model);
        }
        // One that cannot be stopped is not tried again before it was used again.
        if let Err(error) = self.begin_act(model, Act::Stop, Asker::Host) {
            tracing::info!(%error, "an idle model was not unloaded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_model_has_a_deadline_only_while_nobody_needs_it() {
        let model = ModelRef { backend: "b".into(), model: "m".into() };
        let start = Instant::now();
        let at = |seconds: u32| start + seconds * S;
        let facts = |text: &str, at_work, pinned| Facts { keep: keep(text), at_work, pinned };
        // What is told when, and the deadline after it, in seconds.
        let story: &[(&str, u32, Facts, Option<u32>)] = &[
            ("loaded", 0, facts("10s", false, false), Some(10)),
            ("listed again: that is no use", 4, facts("10s", false, false), Some(10)),
            ("a run begins", 5, facts("10s", true, false), None),
            ("a run ends", 30, facts("10s", false, false), Some(40)),
            ("pinned", 31, facts("10s", false, true), None),
            ("unpinned", 50, facts("10s", false, false), Some(40)),
            ("another time", 51, facts("1m", false, false), Some(90)),
            ("for ever", 52, facts("-1", false, false), None),
            ("what is no time is none", 53, facts("soon", false, false), None),
            ("at once", 54, facts("0", false, false), Some(30)),
        ];
        let mut idle = Idle::default();
        for (what, when, facts, due) in story {
            idle.seen(&model, facts, at(*when), i64::from(*when) * 1000);
            assert_eq!(idle.next(), due.map(at), "{what}");
        }
        assert!(idle.take_due(at(29)).is_empty());
        assert_eq!(idle.take_due(at(54)), std::slice::from_ref(&model));
        idle.seen(&model, &facts("0", false, false), at(60), 60_000);
        assert!(idle.take_due(at(99)).is_empty() && idle.next().is_none(), "said once");
        idle.used(&model, at(99), 0);
        assert_eq!(idle.next(), Some(at(100)), "others use it: not at once again");
        idle.seen(&model, &facts("10s", true, false), at(100), 0);
        idle.seen(&model, &facts("10s", false, false), at(101), 101_000);
        assert_eq!((idle.next(), idle.expires(&model)), (Some(at(111)), Some(111_000)));
        idle.seen(&model, &facts("10s", false, false), at(105), 999_999);
        assert_eq!(idle.expires(&model), Some(111_000), "a deadline that stays is told by the same figure");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let parameters = |value: serde_json::Value| Parameters([("keep_alive".to_owned(), value)].into());
        let read = |value| written(&parameters(value)).map(|text| keep(&text));
        assert_eq!(read("90s".into()), Some(Some(90 * S)));
        assert_eq!(read(300.into()), Some(Some(300 * S)));
        assert_eq!(read((-1).into()), Some(None));
        assert_eq!(read("-1".into()), Some(None));
        assert_eq!(read(true.into()), None);
        assert_eq!(written(&Parameters::default()), None);
    }
}
