//! How the name of a model is understood, and which model answers when none is named.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::Value;

pub use crate::error::nearest;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendKind, BackendState, BackendStatus, ModelInfo, ModelRef, ModelState};

/// Finds the model that a person means: `backend/model`, the exact model name, or any part that is unique (case does not matter).
/// The backend's part may be shortened too: `work/qwen`.
///
/// # Errors
/// [`Kind::Usage`] with candidates when the name fits none or several.
pub fn resolve(name: &str, models: &[ModelInfo]) -> Result<ModelRef> {
    let wanted = name.trim().to_lowercase();
    let full = |m: &ModelInfo| format!("{}/{}", m.backend, m.name).to_lowercase();
    let tests: [&dyn Fn(&ModelInfo) -> bool; 4] = [
        &|m| full(m) == wanted,
        &|m| m.name.to_lowercase() == wanted || m.name.to_lowercase() == format!("{wanted}:latest"),
        &|m| full(m).starts_with(&wanted) || m.name.to_lowercase().starts_with(&wanted),
        &|m| full(m).contains(&wanted),
    ];
    if !wanted.is_empty() {
        for test in tests {
            let found: Vec<&ModelInfo> = models.iter().filter(|m| test(m)).collect();
            match found.as_slice() {
                [] => {}
                [one] => return Ok(one.reference()),
                several => {
                    return Err(Error::new(Kind::Usage, format!("{} could be {} models.", quoted(name), several.len()))
                        .hint(format!("Name one of them: {}.", list(several.iter().copied()))));
                }
            }
        }
    }
    let error = Error::new(Kind::Usage, format!("No model is called {}.", quoted(name)));
    if models.is_empty() {
        return Err(error.hint("No backend lists any model; `arbour doctor` tells what was found."));
    }
    let near = nearest(&wanted, models.iter().map(|m| m.name.as_str()));
    let error = match near {
        Some(near) => error.hint(format!("Did you mean {near}?")),
        None => error,
    };
    Err(error.hint(format!("Models: {}.", list(models.iter()))))
}

/// The setting that remembers which model was used last, and that of those before it.
pub const LAST_MODEL: &str = "last_model";
pub const RECENT_MODELS: &str = "recent_models";
/// Models that are remembered as used lately.
const MOST_RECENT: usize = 8;

/// The models that were used lately, the last first.
#[must_use]
pub fn recent(settings: &BTreeMap<String, Value>) -> Vec<ModelRef> {
    let last = settings.get(LAST_MODEL).and_then(|value| ModelRef::deserialize(value).ok());
    let before = settings.get(RECENT_MODELS).and_then(|value| Vec::<ModelRef>::deserialize(value).ok()).unwrap_or_default();
    let mut all: Vec<ModelRef> = last.into_iter().collect();
    for model in before {
        if !all.contains(&model) {
            all.push(model);
        }
    }
    all.truncate(MOST_RECENT);
    all
}

/// Those that were used lately, after one more was used.
#[must_use]
pub fn used(settings: &BTreeMap<String, Value>, model: &ModelRef) -> Vec<ModelRef> {
    let mut all = recent(settings);
    all.retain(|known| known != model);
    all.insert(0, model.clone());
    all.truncate(MOST_RECENT);
    all
}

/// Which model answers when none is named: of those used lately (the last first) the first that can be reached, else one that is
/// loaded. Nothing is loaded unasked.
///
/// # Errors
/// [`Kind::NoModel`], which lists what could be named.
pub fn default_model(recent: &[ModelRef], models: &[ModelInfo], backends: &[BackendStatus]) -> Result<ModelRef> {
    let up = |backend: &str| backends.iter().any(|b| b.name == backend && b.state == BackendState::Up);
    let listed =
        |model: &ModelRef| models.iter().any(|m| m.backend == model.backend && m.name == model.model && m.state != ModelState::Failed);
    if let Some(used) = recent.iter().find(|model| up(&model.backend) && listed(model)) {
        return Ok(used.clone());
    }
    let loaded = models.iter().find(|m| matches!(m.state, ModelState::Loaded) && up(&m.backend) && can_chat(m));
    if let Some(model) = loaded {
        return Ok(model.reference());
    }
    if models.is_empty() {
        return Err(Error::new(Kind::NoModel, "No model can be reached.")
            .hint("Start a server (Ollama, llama-server…), add one to config.toml, or run `arbour models pull starter`.")
            .hint("`arbour doctor` tells where was looked and what answered."));
    }
    Err(Error::new(Kind::NoModel, "No model is named, and none is loaded.").hint(format!("Name one with -m: {}.", list(models.iter()))))
}

/// Whether a model can answer a chat, as far as is known.
#[must_use]
pub fn can_chat(model: &ModelInfo) -> bool {
    model.capabilities.is_empty() || model.capabilities.iter().any(|c| c == "completion" || c == "chat")
}

/// Whether a model reads pictures; `None`: its server does not tell.
#[must_use]
pub fn sees(model: &ModelInfo) -> Option<bool> {
    if model.capabilities.iter().any(|c| c == "vision") {
        return Some(true);
    }
    let told = match model.kind {
        // What it can do shows when it is loaded.
        BackendKind::LlamaServer => matches!(model.state, ModelState::Loaded | ModelState::Sleeping),
        BackendKind::Ollama | BackendKind::Embedded => true,
        BackendKind::OpenAi | BackendKind::Anthropic => false,
    };
    (told && !model.capabilities.is_empty()).then_some(false)
}

fn list<'a>(mut models: impl Iterator<Item = &'a ModelInfo>) -> String {
    const MOST: usize = 12;
    // Of thousands only those that are told are written out: a screen asks this at every frame.
    let mut out = models.by_ref().take(MOST).map(|m| crate::error::harmless(&m.reference().to_string())).collect::<Vec<_>>().join(", ");
    let more = models.count();
    if more > 0 {
        out.push_str(&format!(" and {more} more"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Vec<ModelInfo> {
        [("ollama", "qwen3:8b"), ("ollama", "smollm2:135m"), ("work", "qwen3:8b"), ("work", "gemma3"), ("work", "llama3:latest")]
            .map(|(backend, name)| ModelInfo::named(backend, BackendKind::Ollama, name))
            .to_vec()
    }

    #[test]
    fn any_unique_part_is_enough() {
        for (typed, meant) in [
            ("work/qwen3:8b", "work/qwen3:8b"),
            ("smol", "ollama/smollm2:135m"),
            ("GEMMA", "work/gemma3"),
            ("135m", "ollama/smollm2:135m"),
            ("work/qw", "work/qwen3:8b"),
            ("llama3", "work/llama3:latest"),
        ] {
            assert_eq!(resolve(typed, &models()).unwrap().to_string(), meant, "{typed}");
        }
    }

    #[test]
    fn ambiguous_and_unknown_names_list_candidates() {
        let error = resolve("qwen3:8b", &models()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(error.hints, ["Name one of them: ollama/qwen3:8b, work/qwen3:8b."]);
        assert_eq!(resolve("gema3", &models()).unwrap_err().hints[0], "Did you mean gemma3?");
        assert_eq!(resolve("", &models()).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn nothing_is_loaded_unasked() {
        let mut models = models();
        let up = |name: &str| BackendStatus {
            name: name.into(),
            kind: BackendKind::Ollama,
            url: None,
            state: BackendState::Up,
            error: None,
            version: None,
            latency_ms: None,
            slow: false,
            retry_at: None,
            discovered: false,
        };
        let backends = [up("ollama"), up("work")];
        let error = default_model(&[], &models, &backends).unwrap_err();
        assert_eq!((error.kind, error.exit_code()), (Kind::NoModel, 3));
        models[3].state = ModelState::Loaded;
        assert_eq!(default_model(&[], &models, &backends).unwrap().model, "gemma3");
        let last = ModelRef { backend: "ollama".into(), model: "qwen3:8b".into() };
        assert_eq!(default_model(std::slice::from_ref(&last), &models, &backends).unwrap(), last);
        assert_eq!(default_model(std::slice::from_ref(&last), &models, &backends[1..]).unwrap().model, "gemma3");
        // The last is out of reach, the one before it is not: that one, though another is loaded.
        let before = ModelRef { backend: "work".into(), model: "qwen3:8b".into() };
        assert_eq!(default_model(&[last, before.clone()], &models, &backends[1..]).unwrap(), before);
    }

    #[test]
    fn what_was_used_lately_is_remembered_each_once() {
        let model = |at: usize| ModelRef { backend: "b".into(), model: format!("m{at}") };
        let mut settings = BTreeMap::from([(LAST_MODEL.to_owned(), serde_json::to_value(model(0)).unwrap())]);
        assert_eq!(recent(&settings), [model(0)], "as an older arbour left it");
        for at in (1..12).chain([10]) {
            let list = used(&settings, &model(at));
            settings.insert(LAST_MODEL.to_owned(), serde_json::to_value(model(at)).unwrap());
            settings.insert(RECENT_MODELS.to_owned(), serde_json::to_value(list).unwrap());
        }
        let names: Vec<String> = recent(&settings).into_iter().map(|m| m.model).collect();
        assert_eq!(names, ["m10", "m11", "m9", "m8", "m7", "m6", "m5", "m4"]);
        settings.insert(RECENT_MODELS.to_owned(), Value::from("nonsense"));
        assert_eq!(recent(&settings), [model(10)]);
    }
}
