//! What a router tells of its models as it happens. Pure.
//!
//! Owns: the meaning of `/models/sse`, and which unload was an eviction. Refuses: sockets and clocks. Invariant: whatever a server
//! sends, memory is bounded and nothing panics.

use std::collections::BTreeSet;

use serde_json::Value;

use super::facts;
use crate::backend::Change;

/// Longest name of a model that is followed, in bytes. Real ones are file names.
pub const MOST_NAME: usize = 1024;

/// Models that may be loading at once, as far as it is remembered.
const MOST_LOADING: usize = 1000;

/// Something that happened to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub model: String,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is being loaded: 0 to 1000, where the server tells.
    Loading(Option<u16>),
    Loaded,
    Sleeping,
    /// Its process has ended; with which code, where the server tells.
    Unloaded(Option<i64>),
    /// It came, went, is being fetched: a reason to look.
    Other,
}

/// Reads the data of one event. `None` for what is no event about a model.
#[must_use]
pub fn event(data: &str) -> Option<Event> {
    let value: Value = serde_json::from_str(data).ok()?;
    let model = value.get("model")?.as_str().filter(|name| !name.is_empty() && name.len() <= MOST_NAME)?.to_owned();
    let data = value.get("data").unwrap_or(&Value::Null);
    let what = match data.get("status").and_then(Value::as_str) {
        Some("loading") => What::Loading(data.get("progress").and_then(permille)),
        Some("loaded") => What::Loaded,
        Some("sleeping") => What::Sleeping,
        Some("unloaded") => What::Unloaded(data.get("exit_code").and_then(Value::as_i64)),
        _ => What::Other,
    };
    Some(Event { model, what })
}

/// How far a load has come: its stages count alike, and `value` is how far the current one is.
fn permille(progress: &Value) -> Option<u16> {
    let value = progress.get("value")?.as_f64()?.clamp(0.0, 1.0);
    let stages = progress.get("stages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let at = stages.iter().position(|stage| Some(stage) == progress.get("current")).unwrap_or(0);
    // Within 0 to 1000: at < stages.len().
    Some(((at as f64 + value) / stages.len().max(1) as f64 * 1000.0) as u16)
}

/// Follows the events and says what they mean together.
#[derive(Debug, Default)]
pub struct Follower {
    loading: BTreeSet<String>,
    /// Unloaded though nobody here asked, and for whom is not seen yet: the router unloads first and loads then.
    gone: Option<String>,
}

impl Follower {
    /// Takes an event in. `asked`: somebody here asked for this model to be unloaded.
    pub fn take(&mut self, event: &Event, asked: bool, out: &mut Vec<Change>) {
        let Event { model, what } = event;
        match what {
            What::Loading(permille) => {
                let new = self.loading.len() < MOST_LOADING && self.loading.insert(model.clone());
                if let Some(gone) = self.gone.take_if(|gone| gone != model) {
                    out.push(Change::Evicted { model: gone, room_for: Some(model.clone()) });
                }
                if let Some(permille) = *permille {
                    out.push(Change::Loading { model: model.clone(), permille });
                } else if new {
                    out.push(Change::Models);
                }
            }
            What::Loaded | What::Sleeping => {
                self.loading.remove(model);
                out.push(Change::Models);
            }
            What::Other => out.push(Change::Models),
            What::Unloaded(code) => {
                let was_loading = self.loading.remove(model);
                self.settle(out);
                match code {
                    _ if asked => {}
                    Some(code) if *code != 0 => {
                        out.push(Change::Failed { model: model.clone(), error: facts::ended(model, Some(*code), None, was_loading) });
                    }
                    _ => match self.loading.first() {
                        Some(other) => out.push(Change::Evicted { model: model.clone(), room_for: Some(other.clone()) }),
                        None => self.gone = Some(model.clone()),
                    },
                }
                out.push(Change::Models);
            }
        }
    }

    /// Whether an unload waits for its reason.
    #[must_use]
    pub fn wonders(&self) -> bool {
        self.gone.is_some()
    }

    /// No reason has come: it was unloaded by somebody else.
    pub fn settle(&mut self, out: &mut Vec<Change>) {
        if let Some(model) = self.gone.take() {
            out.push(Change::Evicted { model, room_for: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changes(events: &[(&str, What)], asked: &[&str]) -> Vec<Change> {
        let (mut follower, mut out) = (Follower::default(), Vec::new());
        for (model, what) in events {
            follower.take(&Event { model: (*model).to_owned(), what: *what }, asked.contains(model), &mut out);
        }
        follower.settle(&mut out);
        out.retain(|change| !matches!(change, Change::Models));
        out
    }

    fn evicted(model: &str, room_for: Option<&str>) -> Change {
        Change::Evicted { model: model.to_owned(), room_for: room_for.map(str::to_owned) }
    }

    #[test]
    fn reads_what_a_router_sends() {
        let progress = r#"{"model":"m","event":"status_change","data":{"status":"loading","progress":{"stages":["text_model","mmproj"],"current":"mmproj","value":0.5}}}"#;
        assert_eq!(event(progress), Some(Event { model: "m".into(), what: What::Loading(Some(750)) }));
        let ended = r#"{"model":"m","event":"status_change","data":{"status":"unloaded","exit_code":1}}"#;
        assert_eq!(event(ended).map(|e| e.what), Some(What::Unloaded(Some(1))));
        assert_eq!(event(r#"{"model":"m","event":"model_remove"}"#).map(|e| e.what), Some(What::Other));
        let long = format!(r#"{{"model":"{}","event":"x"}}"#, "x".repeat(MOST_NAME + 1));
        for nothing in ["", "nonsense", "[]", "{}", r#"{"model":""}"#, r#"{"model":7}"#, long.as_str()] {
            assert_eq!(event(nothing), None, "{nothing:.60}");
        }
        let lies = r#"{"model":"m","data":{"status":"loading","progress":{"stages":[],"value":1e300}}}"#;
        assert_eq!(event(lies).map(|e| e.what), Some(What::Loading(Some(1000))));
    }

    #[test]
    fn an_unload_that_makes_room_is_told_with_its_reason() {
        let order = [("a", What::Unloaded(Some(0))), ("b", What::Loading(None)), ("b", What::Loaded)];
        assert_eq!(changes(&order, &[]), [evicted("a", Some("b"))]);
        let other = [("b", What::Loading(None)), ("a", What::Unloaded(Some(0))), ("b", What::Loaded)];
        assert_eq!(changes(&other, &[]), [evicted("a", Some("b"))]);
        assert_eq!(changes(&order, &["a"]), [], "it was asked for");
        assert_eq!(changes(&order[..1], &[]), [evicted("a", None)]);
        let again = [("a", What::Unloaded(Some(0))), ("a", What::Loading(None)), ("a", What::Loaded)];
        assert_eq!(changes(&again, &[]), [evicted("a", None)], "it does not make room for itself");
    }

    #[test]
    fn an_end_with_a_code_is_a_failure_unless_it_was_asked_for() {
        let [Change::Failed { model, error }] = &changes(&[("x", What::Loading(None)), ("x", What::Unloaded(Some(1)))], &[])[..] else {
            panic!("one failure");
        };
        assert!(model == "x" && error.message.contains("could not be loaded") && error.message.contains("exit code 1"), "{error:?}");
        let [Change::Failed { error, .. }] = &changes(&[("x", What::Unloaded(Some(-9)))], &[])[..] else { panic!("one failure") };
        assert!(!error.message.contains("could not be loaded") && error.message.contains("-9"), "{error:?}");
        assert_eq!(changes(&[("x", What::Unloaded(Some(1)))], &["x"]), [], "a busy model is killed when it is stopped");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}", model in ".{0,8}", status in "(loading|loaded|unloaded|x)", value in any::<f64>(), code in any::<i64>()) {
            let _ = event(&text);
            let made = serde_json::json!({ "model": model, "data": { "status": status, "exit_code": code,
                "progress": { "stages": ["a", 1, null], "current": null, "value": value } } });
            if let Some(Event { what: What::Loading(Some(permille)), .. }) = event(&made.to_string()) {
                prop_assert!(permille <= 1000);
            }
        }
    }
}
