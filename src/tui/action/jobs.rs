//! One act on many models: begun, followed, summed up in one sentence; downloads likewise.

use crate::proto::{BackendKind, BackendState, Command, Download, Event, EventKind, Job, JobAct, JobState, Level, ModelRef};
use crate::tui::format;
use crate::tui::listing::shown;
use crate::tui::model::{Model, Waiting};
use crate::tui::notices::Notice;
use crate::tui::overlay::work;
use crate::tui::text::width::drawable;

/// Failures that a summary names; the rest is counted.
const NAMED: usize = 3;

/// What an act is called while it goes on, and when it is done.
#[must_use]
pub fn words(act: JobAct) -> (&'static str, &'static str) {
    match act {
        JobAct::Start => ("Starting", "started"),
        JobAct::Stop => ("Stopping", "stopped"),
        JobAct::Reload => ("Reloading", "reloaded"),
        JobAct::Remove => ("Removing", "removed"),
        JobAct::Pull => ("Fetching", "fetched"),
    }
}

/// Begins one act on many models.
pub fn begin(model: &mut Model, act: JobAct, models: Vec<ModelRef>) {
    let id = model.ids.fresh();
    let said = format!("{} {}; :jobs shows how it goes.", words(act).0, format::plural(models.len() as u64, "model"));
    model.post_for(Command::BeginJob { id, act, models }, Waiting::Quiet);
    model.say(said);
}

/// A job went on; when it has just ended, what came of it is said once.
pub fn ended(model: &mut Model, job: &Job, at: crate::proto::UnixMs) {
    let (level, text) = summary(job);
    let hints = match level {
        Level::Info => Vec::new(),
        _ => vec!["`:jobs` tells each, and tries again what failed.".to_owned()],
    };
    let now = model.now().mono;
    model.notices.put(Notice { level, text, hints, at }, now);
    model.mark_status();
}

/// The job that an event ends, if it was not known to have ended.
#[must_use]
pub fn ends<'a>(model: &Model, event: &'a Event) -> Option<&'a Job> {
    let EventKind::Job(job) = &event.kind else { return None };
    let known = model.shared.replica.jobs.get(&job.id).is_some_and(|known| known.finished.is_some());
    (job.finished.is_some() && !known).then_some(job)
}

/// In one sentence: how many, what failed and why.
#[must_use]
pub fn summary(job: &Job) -> (Level, String) {
    let (_, done_word) = words(job.act);
    let (all, done) = (job.items.len(), job.count(JobState::Done));
    let cancelled = job.count(JobState::Cancelled);
    let failed: Vec<String> = job
        .items
        .iter()
        .filter(|item| item.state == JobState::Failed)
        .map(|item| {
            let why = item.error.as_ref().map(|error| format!(" ({})", drawable(error.message.trim_end_matches('.')))).unwrap_or_default();
            format!("{}{why}", shown(&item.model))
        })
        .collect();
    let mut text = match (done, failed.len() + cancelled) {
        (done, 0) => format!("{} {done_word}", format::plural(done as u64, "model")),
        (done, _) => format!("{done} of {} {done_word}", format::plural(all as u64, "model")),
    };
    if !failed.is_empty() {
        let more = failed.len().saturating_sub(NAMED);
        let named = failed.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("; {} failed: {named}{rest}", failed.len()));
    }
    if cancelled > 0 {
        text.push_str(&format!("; {cancelled} cancelled"));
    }
    text.push('.');
    (if failed.is_empty() { Level::Info } else { Level::Warning }, text)
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
