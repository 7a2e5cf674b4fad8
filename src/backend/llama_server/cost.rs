//! What the models of a llama-server cost to run.
//!
//! Owns: reading `/slots` and `/metrics`, and when they may be asked: both wake a sleeping model and keep one awake, `/props` does
//! neither. Refuses: the process itself (the host looks for it). Invariant: a model that sleeps, or would, is left alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::facts;
use crate::backend::http::Http;
use crate::proto::{Instance, ModelRef, ModelState};

/// `/metrics` is a page of some kB.
const MOST_METRICS: usize = 1 << 20;
/// Instances that are looked at; a router runs a handful.
const MOST: usize = 64;

/// Which models answer somebody here, and how often at once.
#[derive(Default)]
pub struct Answering(Mutex<BTreeMap<String, u32>>);

impl Answering {
    /// Counts until it is dropped.
    pub fn begin(&self, model: &str) -> Answers<'_> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(model.to_owned()).or_default() += 1;
        Answers { all: self, model: model.to_owned() }
    }

    fn has(&self, model: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(model)
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
    let asked = running.take(MOST).map(|(entry, info)| async move {
        let mut instance = Instance::of(ModelRef { backend: info.backend.clone(), model: info.name.clone() });
        instance.context = info.context.map(u64::from);
        instance.port = match props {
            Some(_) => port(http),
            None => facts::argument(entry.get("status"), &["--port"]).and_then(|port| port.parse().ok()).filter(|port| *port > 0),
        };
        let busy_here = answering.has(&info.name);
        if info.state == ModelState::Loaded && (busy_here || !sleeps(entry, props)) {
            let query = if props.is_none() { query(&info.name) } else { String::new() };
            let (slots_path, metrics_path) = (format!("/slots{query}"), format!("/metrics{query}"));
            let (slots, metrics) = tokio::join!(http.get(&slots_path), http.text(&metrics_path, MOST_METRICS));
            // Either may be switched off at the server.
            if let Ok(answer) = slots {
                read_slots(&mut instance, &answer.body);
            }
            if let Ok(text) = metrics {
                read_metrics(&mut instance, &text);
            }
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

fn read_slots(instance: &mut Instance, body: &Value) {
    let Some(slots) = body.as_array() else { return };
    let number = |slot: &Value, key: &str| slot.get(key).and_then(Value::as_u64);
    let total = |key: &str| slots.iter().filter_map(|slot| number(slot, key)).fold(0, u64::saturating_add);
    let busy = slots.iter().filter(|slot| slot.get("is_processing").and_then(Value::as_bool) == Some(true)).count();
    instance.slots = u32::try_from(slots.len()).ok();
    instance.busy = u32::try_from(busy).ok();
    instance.context = Some(total("n_ctx")).filter(|n| *n > 0).or(instance.context);
    // What a slot holds: the prompt, and what was written.
    instance.context_used = Some(total("n_prompt_tokens"));
}

fn read_metrics(instance: &mut Instance, text: &str) {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("llamacpp:")?.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse::<f64>().ok().filter(|n| (0.0..1e6).contains(n)).map(|n| n as u32)
    };
    instance.queued = value("requests_deferred");
    instance.busy = instance.busy.or_else(|| value("requests_processing"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Instance {
        Instance::of(ModelRef { backend: "b".into(), model: "m".into() })
    }

    #[test]
    fn slots_and_metrics_are_read() {
        let mut instance = nothing();
        let slots = serde_json::json!([
            { "id": 0, "n_ctx": 1024, "is_processing": true, "n_prompt_tokens": 74 },
            { "id": 1, "n_ctx": 1024, "is_processing": false, "n_prompt_tokens": 48 },
        ]);
        read_slots(&mut instance, &slots);
        read_metrics(&mut instance, "# HELP x\nllamacpp:requests_processing 1\nllamacpp:requests_deferred 3\n");
        assert_eq!((instance.slots, instance.busy, instance.queued), (Some(2), Some(1), Some(3)));
        assert_eq!((instance.context_used, instance.context), (Some(122), Some(2048)));
    }

    #[test]
    fn lies_are_not_figures() {
        let mut instance = nothing();
        read_slots(&mut instance, &serde_json::json!({ "error": "no slots" }));
        read_metrics(&mut instance, "llamacpp:requests_deferred NaN\nllamacpp:requests_processing -3\n");
        assert_eq!(instance, nothing());
        let most = serde_json::json!([{ "n_ctx": u64::MAX, "n_prompt_tokens": u64::MAX }, { "n_ctx": 1, "n_prompt_tokens": 7 }]);
        read_slots(&mut instance, &most);
        assert_eq!(instance.context, Some(u64::MAX), "it does not overflow");
    }
}
