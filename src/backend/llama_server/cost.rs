//! What the models of a llama-server cost to run.
//!
//! Owns: reading `/slots` and `/metrics`, and when they may be asked: both wake a sleeping model and keep one awake, `/props` does
//! neither. Refuses: the process itself (the host looks for it). Invariants: a model that sleeps is not woken; one that would go to
//! sleep is asked after ever longer pauses while nothing changes, so that one of them is long enough for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::facts;
use crate::backend::http::Http;
use crate::proto::{Instance, ModelRef, ModelState};

/// `/metrics` is a page of some kB.
const MOST_METRICS: usize = 1 << 20;
/// Instances that are looked at; a router runs a handful.
const MOST: usize = 64;

/// After how long a model is asked again that would go to sleep; twice as long each time that nothing has changed.
const PAUSE: Duration = Duration::from_secs(3);

/// Which models answer somebody here, and what others were seen to do.
#[derive(Default)]
pub struct Answering(Mutex<BTreeMap<String, u32>>, Mutex<BTreeMap<String, Look>>);

/// What a model that would go to sleep said last.
#[derive(Debug, Clone, PartialEq)]
struct Look {
    at: Instant,
    pause: Duration,
    said: Said,
}

/// What `/slots` and `/metrics` say together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Said {
    context: Option<u64>,
    context_used: Option<u64>,
    busy: Option<u32>,
    slots: Option<u32>,
    queued: Option<u32>,
}

impl Answering {
    /// Counts until it is dropped.
    pub fn begin(&self, model: &str) -> Answers<'_> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(model.to_owned()).or_default() += 1;
        Answers { all: self, model: model.to_owned() }
    }

    fn has(&self, model: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(model)
    }

    fn looks(&self) -> MutexGuard<'_, BTreeMap<String, Look>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it said last, while it is not to be asked again.
    fn resting(&self, model: &str) -> Option<Said> {
        self.looks().get(model).filter(|look| look.at.elapsed() < look.pause).map(|look| look.said)
    }

    /// Remembers what a model has said.
    fn heard(&self, model: &str, said: Said) {
        let mut looks = self.looks();
        let pause = match looks.get(model) {
            Some(look) if look.said == said && said.busy.unwrap_or(0) == 0 => look.pause.saturating_mul(2),
            _ => PAUSE,
        };
        looks.insert(model.to_owned(), Look { at: Instant::now(), pause, said });
    }
}

/// One answer that goes on.
pub struct Answers<'a> {
    all: &'a Answering,
    model: String,
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.model) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.model);
            }
        }
    }
}

/// What each loaded model costs, from the list of models. `props`: those of a server of one model; `None` for a router.
pub async fn instances(http: &Http, entries: &[Value], props: Option<&Value>, answering: &Answering) -> Vec<Instance> {
    let running = entries.iter().filter_map(|entry| {
        let info = facts::model(&http.who.backend, entry, props)?;
        matches!(info.state, ModelState::Loaded | ModelState::Sleeping).then_some((entry, info))
    });
    let running: Vec<_> = running.take(MOST).collect();
    let awake = |name: &String| running.iter().any(|(_, info)| info.name == *name && info.state == ModelState::Loaded);
    answering.looks().retain(|name, _| awake(name));
    let asked = running.iter().map(|(entry, info)| async move {
        let mut instance = Instance::of(ModelRef { backend: info.backend.clone(), model: info.name.clone() });
        instance.context = info.context.map(u64::from);
        instance.port = match props {
            Some(_) => port(http),
            None => facts::argument(entry.get("status"), &["--port"]).and_then(|port| port.parse().ok()).filter(|port| *port > 0),
        };
        let would_sleep = !answering.has(&info.name) && sleeps(entry, props);
        let resting = answering.resting(&info.name).filter(|_| would_sleep);
        if let Some(said) = resting {
            said.lay(&mut instance);
        } else if info.state == ModelState::Loaded {
            let mut said = Said::default();
            let query = if props.is_none() { query(&info.name) } else { String::new() };
            let (slots_path, metrics_path) = (format!("/slots{query}"), format!("/metrics{query}"));
            let (slots, metrics) = tokio::join!(http.get(&slots_path), http.text(&metrics_path, MOST_METRICS));
            // Either may be switched off at the server.
            if let Ok(answer) = slots {
                said.read_slots(&answer.body);
            }
            if let Ok(text) = metrics {
                said.read_metrics(&text);
            }
            answering.heard(&info.name, said);
            said.lay(&mut instance);
        }
        instance
    });
    futures_util::future::join_all(asked).await
}

/// Whether a model would go to sleep when it is left alone. A server of one model does not tell; where it can sleep at all, it counts as
/// one that would.
fn sleeps(entry: &Value, props: Option<&Value>) -> bool {
    match props {
        Some(props) => props.get("is_sleeping").is_some(),
        None => facts::argument(entry.get("status"), &["--sleep-idle-seconds"]).is_some_and(|seconds| !seconds.starts_with('-')),
    }
}

fn port(http: &Http) -> Option<u16> {
    reqwest::Url::parse(http.url()).ok()?.port_or_known_default()
}

/// `?model=NAME`, escaped.
pub fn query(model: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse("http://x/") else { return String::new() };
    url.query_pairs_mut().append_pair("model", model);
    format!("?{}", url.query().unwrap_or_default())
}

impl Said {
    fn lay(self, instance: &mut Instance) {
        instance.context = self.context.or(instance.context);
        instance.context_used = self.context_used;
        instance.busy = self.busy;
        instance.slots = self.slots;
        instance.queued = self.queued;
    }

    fn read_slots(&mut self, body: &Value) {
        let Some(slots) = body.as_array() else { return };
        let number = |slot: &Value, key: &str| slot.get(key).and_then(Value::as_u64);
        let total = |key: &str| slots.iter().filter_map(|slot| number(slot, key)).fold(0, u64::saturating_add);
        let busy = slots.iter().filter(|slot| slot.get("is_processing").and_then(Value::as_bool) == Some(true)).count();
        self.slots = u32::try_from(slots.len()).ok();
        self.busy = u32::try_from(busy).ok();
        self.context = Some(total("n_ctx")).filter(|n| *n > 0);
        // What a slot holds: the prompt, and what was written.
        self.context_used = Some(total("n_prompt_tokens"));
    }

    fn read_metrics(&mut self, text: &str) {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("llamacpp:")?.strip_prefix(name)?.strip_prefix(' '))?;
            line.trim().parse::<f64>().ok().filter(|n| (0.0..1e6).contains(n)).map(|n| n as u32)
        };
        self.queued = value("requests_deferred");
        self.busy = self.busy.or_else(|| value("requests_processing"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_metrics_are_read() {
        let mut said = Said::default();
        let slots = serde_json::json!([
            { "id": 0, "n_ctx": 1024, "is_processing": true, "n_prompt_tokens": 74 },
            { "id": 1, "n_ctx": 1024, "is_processing": false, "n_prompt_tokens": 48 },
        ]);
        said.read_slots(&slots);
        said.read_metrics("# HELP x\nllamacpp:requests_processing 1\nllamacpp:requests_deferred 3\n");
        assert_eq!((said.slots, said.busy, said.queued), (Some(2), Some(1), Some(3)));
        assert_eq!((said.context_used, said.context), (Some(122), Some(2048)));
    }

    #[test]
    fn lies_are_not_figures() {
        let mut said = Said::default();
        said.read_slots(&serde_json::json!({ "error": "no slots" }));
        said.read_metrics("llamacpp:requests_deferred NaN\nllamacpp:requests_processing -3\n");
        assert_eq!(said, Said::default());
        said.read_slots(&serde_json::json!([{ "n_ctx": u64::MAX, "n_prompt_tokens": u64::MAX }, { "n_ctx": 1, "n_prompt_tokens": 7 }]));
        assert_eq!(said.context, Some(u64::MAX), "it does not overflow");
    }

    #[test]
    fn pauses_grow_while_nothing_changes() {
        let all = Answering::default();
        let pause = |said: Said| {
            all.heard("m", said);
            all.looks()["m"].pause
        };
        let idle = Said { busy: Some(0), context_used: Some(5), ..Said::default() };
        assert_eq!([pause(idle), pause(idle), pause(idle)], [PAUSE, PAUSE * 2, PAUSE * 4]);
        assert_eq!(all.resting("m"), Some(idle));
        assert_eq!(pause(Said { context_used: Some(6), ..idle }), PAUSE);
        let busy = Said { busy: Some(1), ..idle };
        assert_eq!([pause(busy), pause(busy)], [PAUSE, PAUSE], "what is at work is not going to sleep");
    }
}
