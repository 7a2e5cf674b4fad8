//! What became of bulk work, in words.

use crate::error::{Error, Kind, harmless};
use crate::proto::{Job, JobAct, JobItem, JobState, Level};

/// Reasons that a summary gives, and models that it names for each; the job's items tell the rest.
const MOST_REASONS: usize = 3;
const MOST_NAMES: usize = 3;

/// What was done to a model, as a participle.
#[must_use]
pub fn done(act: JobAct) -> &'static str {
    match act {
        JobAct::Start => "started",
        JobAct::Stop => "stopped",
        JobAct::Reload => "reloaded",
        JobAct::Remove => "removed",
        JobAct::Pull => "pulled",
    }
}

/// A job that has ended, in one sentence: how many went well, which did not, and why.
#[must_use]
pub fn summary(job: &Job) -> (Level, Error) {
    let (failed, cancelled) = (job.count(JobState::Failed), job.count(JobState::Cancelled));
    let message = counted(job, true);
    let kind = job.items.iter().find_map(|item| item.error.as_ref()).map(|error| error.kind);
    let level = match (failed, cancelled) {
        (0, _) => Level::Info,
        _ => Level::Warning,
    };
    let mut error = Error::new(kind.unwrap_or(if cancelled > 0 { Kind::Cancelled } else { Kind::Server }), message);
    if failed > 0 {
        // What to do about the first is often what to do about all.
        for hint in job.items.iter().find_map(|item| item.error.as_ref()).map(|error| &error.hints).into_iter().flatten() {
            error = error.hint(hint.clone());
        }
    }
    (level, error)
}

/// The same without reasons, for where each failure stands already.
#[must_use]
pub fn tally(job: &Job) -> String {
    counted(job, false)
}

fn counted(job: &Job, why: bool) -> String {
    let (well, failed, cancelled) = (job.count(JobState::Done), job.count(JobState::Failed), job.count(JobState::Cancelled));
    let mut message = match job.items.as_slice() {
        [one] if well == 1 => format!("{} is {}.", harmless(&one.model.to_string()), done(job.act)),
        _ => format!("{well} of {} {} {}", job.items.len(), if job.items.len() == 1 { "model" } else { "models" }, done(job.act)),
    };
    if failed > 0 {
        message.push_str(&format!("; {failed} failed"));
        if why {
            message.push_str(&format!(": {}", reasons(job)));
        }
    }
    if cancelled > 0 {
        message.push_str(&format!("; {cancelled} cancelled"));
    }
    if !message.ends_with('.') {
        message.push('.');
    }
    message
}

/// What went wrong, with the models that it went wrong with; the same reason is given once.
fn reasons(job: &Job) -> String {
    let mut groups: Vec<(&str, Vec<&JobItem>)> = Vec::new();
    for item in job.items.iter().filter(|item| item.state == JobState::Failed) {
        let reason = item.error.as_ref().map_or("The backend does not say why.", |error| error.message.as_str());
        if let Some((_, items)) = groups.iter_mut().find(|(known, _)| *known == reason) {
            items.push(item);
        } else if groups.len() <= MOST_REASONS {
            // Reasons beyond those that are told need not be told apart.
            groups.push((reason, vec![item]));
        }
    }
    let more = groups.len() > MOST_REASONS;
    let told: Vec<String> = groups
        .iter()
        .take(MOST_REASONS)
        .map(|(reason, items)| format!("{}: {}", names(items), harmless(reason.trim_end_matches('.'))))
        .collect();
    let mut told = told.join("; ");
    if more {
        told.push_str("; and more, for other reasons");
    }
    told
}

fn names(items: &[&JobItem]) -> String {
    let mut names: Vec<String> = items.iter().take(MOST_NAMES).map(|item| harmless(&item.model.to_string())).collect();
    if items.len() > MOST_NAMES {
        names.push(format!("and {} more", items.len() - MOST_NAMES));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{JobId, ModelRef, Parameters};

    fn job(act: JobAct, states: &[(JobState, &str)]) -> Job {
        let item = |(at, (state, why)): (usize, &(JobState, &str))| JobItem {
            state: *state,
            error: (!why.is_empty()).then(|| Error::new(Kind::Server, *why)),
            ..JobItem::waiting(ModelRef { backend: "box".into(), model: format!("m{at}") })
        };
        let items = states.iter().enumerate().map(item).collect();
        Job { id: JobId(uuid::Uuid::nil()), act, parameters: Parameters::default(), started: 0, finished: None, items }
    }

    #[test]
    fn what_failed_is_said_with_why() {
        use JobState::{Cancelled, Done, Failed};
        let told = |act, states: &[(JobState, &str)]| summary(&job(act, states)).1.message;
        assert_eq!(told(JobAct::Start, &[(Done, "")]), "box/m0 is started.");
        assert_eq!(told(JobAct::Stop, &[(Done, ""), (Done, "")]), "2 of 2 models stopped.");
        assert_eq!(told(JobAct::Remove, &[(Failed, "No.")]), "0 of 1 model removed; 1 failed: box/m0: No.");
        assert_eq!(
            told(
                JobAct::Start,
                &[(Done, ""), (Failed, "No memory."), (Failed, "No\u{1b}[2J file."), (Failed, "No memory."), (Cancelled, "")]
            ),
            "1 of 5 models started; 3 failed: box/m1, box/m3: No memory; box/m2: No␦[2J file; 1 cancelled."
        );
        assert_eq!(tally(&job(JobAct::Stop, &[(Done, ""), (Failed, "No.")])), "1 of 2 models stopped; 1 failed.");
        let many: Vec<(JobState, &str)> = vec![(Failed, "Same."); 10_000];
        let told = told(JobAct::Pull, &many);
        assert!(told.len() < 200 && told.contains("and 9997 more"), "{told}");
        assert_eq!(summary(&job(JobAct::Start, &[(Done, "")])).0, Level::Info);
        assert_eq!(summary(&job(JobAct::Start, &many)).0, Level::Warning);
    }
}
