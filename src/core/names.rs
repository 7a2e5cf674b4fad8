//! How the name of a model is understood, and which model answers when none is named.

pub use crate::error::nearest;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{BackendState, BackendStatus, ModelInfo, ModelRef, ModelState};

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

/// Which model answers when none is named: the last used if its backend is up, else one that is loaded. Nothing is loaded unasked.
///
/// # Errors
/// [`Kind::NoModel`], which lists what could be named.
pub fn default_model(last: Option<&ModelRef>, models: &[ModelInfo], backends: &[BackendStatus]) -> Result<ModelRef> {
    let up = |backend: &str| backends.iter().any(|b| b.name == backend && b.state == BackendState::Up);
    if let Some(last) = last
        && up(&last.backend)
        && models.iter().any(|m| m.backend == last.backend && m.name == last.model && m.state != ModelState::Failed)
    {
        return Ok(last.clone());
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
    use crate::proto::BackendKind;

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
            discovered: false,
        };
        let backends = [up("ollama"), up("work")];
        let error = default_model(None, &models, &backends).unwrap_err();
        assert_eq!((error.kind, error.exit_code()), (Kind::NoModel, 3));
        models[3].state = ModelState::Loaded;
        assert_eq!(default_model(None, &models, &backends).unwrap().model, "gemma3");
        let last = ModelRef { backend: "ollama".into(), model: "qwen3:8b".into() };
        assert_eq!(default_model(Some(&last), &models, &backends).unwrap(), last);
        assert_eq!(default_model(Some(&last), &models, &backends[1..]).unwrap().model, "gemma3");
    }
}
