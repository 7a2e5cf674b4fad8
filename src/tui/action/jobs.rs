//! One act on many models, and downloads: begun and shown. What came of a job is summed up by the host.

use crate::proto::{BackendKind, BackendState, Command, Download, JobAct, ModelRef, Parameters};
use crate::tui::format;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::work;
use crate::tui::text::width::drawable;

/// What an act is called while it goes on.
#[must_use]
pub fn word(act: JobAct) -> &'static str {
    match act {
        JobAct::Start => "Starting",
        JobAct::Stop => "Stopping",
        JobAct::Reload => "Reloading",
        JobAct::Remove => "Removing",
        JobAct::Pull => "Fetching",
    }
}

/// Begins one act on many models.
pub fn begin(model: &mut Model, act: JobAct, models: Vec<ModelRef>, parameters: Parameters) {
    let id = model.ids.fresh();
    let said = format!("{} {}; :jobs shows how it goes.", word(act), format::plural(models.len() as u64, "model"));
    model.post_for(Command::BeginJob { id, act, models, parameters }, Waiting::Quiet);
    model.say(said);
}

/// `:jobs`.
pub fn show(model: &mut Model) {
    if model.shared.replica.jobs.is_empty() {
        return model.say("Nothing was done to many models yet: mark some with x, or a range with v, then start, stop, remove…");
    }
    model.push_overlay(work::jobs());
}

/// `:pulls`.
pub fn pulls(model: &mut Model) {
    if model.shared.replica.downloads.is_empty() {
        return model.say("Nothing is being fetched; :pull NAME fetches a model.");
    }
    model.push_overlay(work::pulls());
}

/// `P`, `:pull SOURCE [BACKEND]`.
pub fn pull(model: &mut Model, args: &[String]) {
    let Some(source) = args.first().map(|source| source.trim()).filter(|source| !source.is_empty()) else { return };
    if source == "starter" {
        return super::models::pull_starter(model, None);
    }
    let named = args.get(1).map(|name| name.trim()).filter(|name| !name.is_empty());
    let backend = match named {
        Some(name) => {
            let found = model.shared.replica.backends.iter().find(|backend| backend.name.to_lowercase().starts_with(&name.to_lowercase()));
            match found {
                Some(backend) => backend.name.clone(),
                None => {
                    let all: Vec<String> = model.shared.replica.backends.iter().map(|b| drawable(&b.name).into_owned()).collect();
                    return model.warn(format!("There is no backend {}; there are {}.", drawable(name), all.join(", ")));
                }
            }
        }
        None => match fitting_backend(model, source) {
            Some(name) => name,
            None => return model.warn("No backend here can fetch that; name one, as :pull qwen3:4b ollama."),
        },
    };
    let what = drawable(source).into_owned();
    let said = format!("Fetching {what}; :pulls shows how it goes.");
    model.post_for(Command::Pull { backend, source: source.to_owned() }, Waiting::Say(said));
}

/// A file of a model goes to the engine inside arbour; a name, to the first Ollama that answers.
fn fitting_backend(model: &Model, source: &str) -> Option<String> {
    let lower = source.to_lowercase();
    let file = lower.contains(".gguf") || lower.contains("://") || source.starts_with(['/', '~', '.']);
    let of = |kind: BackendKind| {
        let all = model.shared.replica.backends.iter().filter(move |backend| backend.kind == kind);
        all.min_by_key(|backend| backend.state != BackendState::Up).map(|backend| backend.name.clone())
    };
    if file { of(BackendKind::Embedded) } else { of(BackendKind::Ollama).or_else(|| of(BackendKind::Embedded)) }
}

/// How far a download is, in words.
#[must_use]
pub fn progress(download: &Download) -> String {
    let done = format::bytes(download.done_bytes);
    let mut text = match download.total_bytes.filter(|total| *total > 0) {
        Some(total) => format!("{} % of {}", download.done_bytes.min(total) * 100 / total, format::bytes(total)),
        None => done,
    };
    if let Some(rate) = download.bytes_per_s {
        text.push_str(&format!(" · {}/s", format::bytes(rate.max(0.0) as u64)));
    }
    if let Some(eta) = download.eta_s() {
        text.push_str(&format!(" · {} left", format::seconds_long(eta)));
    }
    text
}
