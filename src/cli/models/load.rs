//! `arbour models start` and `stop`: into memory, and out of it, one or many.
//!
//! Both are jobs of the host: they go on when the terminal closes, and nothing that fails keeps the rest from being done.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::args::{Start, Which};
use super::super::ask::parse_parameters;
use super::super::context::{Context, Interrupted};
use super::super::session::{Session, Step};
use super::super::status::StatusLine;
use super::super::{json as public, output, plain};
use super::choose::{choose, now};
use super::known;
use crate::core::{jobs, parameters};
use crate::error::{Error, Kind, Result};
use crate::proto::{
    Command, Fit, IdGen, Job, JobAct, JobId, JobItem, JobState, ModelRef, ModelState, Parameters, Query, Reply, UnixMs, Verdict,
};
use crate::sanitise;

/// A load that does not move for so long is said to stand still.
const STILL: UnixMs = 10_000;
/// Of a job of more models only those that fail get a line each.
const MANY: usize = 40;

pub(super) async fn start(context: &Context, start: &Start) -> Result<u8> {
    let mut set = parse_parameters(&start.set)?;
    for (key, text) in [("context", &start.context), ("keep_alive", &start.keep_alive)] {
        if let Some(value) = text.as_deref().map(|text| parameters::parse(key, text)).transpose()?.flatten() {
            set.0.insert(key.to_owned(), value);
        }
    }
    let mut session = context.session().await?;
    let models = choose(&mut session, &start.which).await?;
    fits(&mut session, &models, &set, start.anyway).await?;
    run(&mut session, JobAct::Start, models, set, start.json).await
}

pub(super) async fn stop(context: &Context, which: &Which, every: bool, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let models = if every {
        session.settle(|_| false).await?;
        // What was listed a minute ago may have been unloaded, or loaded, since.
        session.command(Command::Refresh).await?;
        let alive = |state| matches!(state, ModelState::Loaded | ModelState::Loading | ModelState::Sleeping);
        session.replica.models.iter().filter(|model| alive(model.state)).map(|model| model.reference()).collect()
    } else {
        choose(&mut session, which).await?
    };
    if models.is_empty() {
        if as_json {
            output::value(&json!([]))?;
        } else {
            let _ = writeln!(std::io::stderr(), "Nothing is loaded.");
        }
        return Ok(0);
    }
    run(&mut session, JobAct::Stop, models, Parameters::default(), as_json).await
}

/// Says what is not expected to fit; on a terminal a person decides. What is not known keeps nobody from trying.
async fn fits(session: &mut Session, models: &[ModelRef], set: &Parameters, anyway: bool) -> Result<()> {
    let query = Query::Fit { models: models.to_vec(), parameters: set.clone() };
    let Ok(Reply::Fits(fits)) = session.client.query(query).await else { return Ok(()) };
    let bad: Vec<&Fit> = fits.iter().filter(|fit| matches!(fit.verdict, Verdict::Tight | Verdict::Full | Verdict::Never)).collect();
    for fit in &bad {
        let _ = writeln!(std::io::stderr(), "{}", sanitise::line(&worded(fit)));
    }
    let asks = bad.iter().any(|fit| matches!(fit.verdict, Verdict::Full | Verdict::Never));
    if !asks || anyway || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    let _ = write!(std::io::stderr(), "Start anyway? [y/N] ");
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        // What cannot be read is no yes.
        std::io::stdin().lock().read_line(&mut line).map(|_| line).unwrap_or_default()
    });
    match answer.await.unwrap_or_default().trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new(Kind::Cancelled, "Nothing was started.").hint("`--anyway` asks nothing.")),
    }
}

/// What is not expected to fit, in one line.
fn worded(fit: &Fit) -> String {
    let verdict = match fit.verdict {
        Verdict::Tight => "only just fits",
        Verdict::Full => "does not fit beside what is loaded now",
        Verdict::Never => "does not fit on this machine",
        Verdict::Fits | Verdict::Unknown => "fits as far as is known",
    };
    let mut line = format!("{} {verdict}", fit.model);
    if let Some(estimate) = &fit.estimate {
        line.push_str(&format!(": it takes about {}", plain::size(estimate.memory + estimate.gpu)));
        let free = [(estimate.memory, fit.free_memory, "memory"), (estimate.gpu, fit.free_gpu, "GPU memory")];
        let told: Vec<String> = free
            .into_iter()
            .filter(|(takes, ..)| *takes > 0)
            .filter_map(|(_, free, what)| Some(format!("{} of {what}", plain::size(free?))))
            .collect();
        if !told.is_empty() {
            line.push_str(&format!(", free are {}", told.join(" and ")));
        }
    }
    if !fit.stop.is_empty() {
        let names: Vec<String> = fit.stop.iter().map(ToString::to_string).collect();
        line.push_str(&format!("; stopping {} would make room", names.join(", ")));
    }
    line.push('.');
    line
}

/// Begins a job and waits for its end.
async fn run(session: &mut Session, act: JobAct, models: Vec<ModelRef>, parameters: Parameters, as_json: bool) -> Result<u8> {
    let mut interrupted = Interrupted::new()?;
    let id: JobId = IdGen::Real.fresh();
    let mut status = StatusLine::new();
    let work = async {
        session.command(Command::BeginJob { id, act, models, parameters }).await?;
        wait(session, id, &mut status).await
    };
    let job = tokio::select! {
        job = work => job,
        () = interrupted.wait() => {
            status.clear();
            session.command(Command::CancelJob { id }).await?;
            return Err(Error::new(Kind::Cancelled, "Cancelled: what was going on was dropped, what waited was not begun."));
        }
    }?;
    drop(status);
    ended(session, &job, as_json)
}

/// Waits until a job has ended, showing how it goes.
async fn wait(session: &mut Session, id: JobId, status: &mut StatusLine) -> Result<Job> {
    let mut told: Vec<bool> = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        let Some(job) = session.replica.jobs.get(&id) else {
            // That it has begun is on the way; a host that began anew does not know of it.
            if matches!(session.next().await?, Step::Restored) && !session.replica.jobs.contains_key(&id) {
                return Err(Error::new(Kind::HostGone, "The host ended in the middle of it.")
                    .hint("`arbour models ls` says how far it came; run the same again for the rest."));
            }
            continue;
        };
        told.resize(job.items.len(), false);
        let mut done = 0;
        for (item, told) in job.items.iter().zip(&mut told) {
            let over = matches!(item.state, JobState::Done | JobState::Failed | JobState::Cancelled);
            done += usize::from(over);
            let tells = job.items.len() > 1 && (job.items.len() <= MANY || item.state == JobState::Failed);
            if over && tells && !std::mem::replace(told, true) {
                status.note(&line(job.act, item));
            }
        }
        if job.finished.is_some() {
            return Ok(job.clone());
        }
        status.show(&progress(job, done, now()));
        tokio::select! {
            step = session.next() => drop(step?),
            _ = tick.tick() => {}
        }
    }
}

/// How a job goes, in one line: how many are done, what runs, how far it is, and since when it stands still.
fn progress(job: &Job, done: usize, now: UnixMs) -> String {
    let going = match job.act {
        JobAct::Start => "loading",
        JobAct::Stop => "unloading",
        JobAct::Reload => "reloading",
        JobAct::Remove => "removing",
        JobAct::Pull => "pulling",
    };
    let mut line = if job.items.len() > 1 { format!("{done} of {}", job.items.len()) } else { String::new() };
    let mut running = job.items.iter().filter(|item| item.state == JobState::Running);
    if let Some(item) = running.next() {
        if !line.is_empty() {
            line.push_str(" · ");
        }
        line.push_str(&format!("{going} {}", item.model.model));
        if let Some(permille) = item.permille {
            line.push_str(&format!(" {} %", permille / 10));
        }
        if let Some(still) = item.moved.map(|moved| now - moved).filter(|still| *still >= STILL) {
            line.push_str(&format!(", no progress for {} s", still / 1000));
        }
        let more = running.count();
        if more > 0 {
            line.push_str(&format!(" and {more} more"));
        }
    }
    line
}

fn ended(session: &Session, job: &Job, as_json: bool) -> Result<u8> {
    let bad = job.items.iter().any(|item| item.state != JobState::Done);
    if let [one] = job.items.as_slice() {
        if let Some(error) = &one.error {
            return Err(error.clone());
        }
        if as_json && !bad {
            output::value(&public::model(&known(session, &one.model)?))?;
            return Ok(0);
        }
    } else if as_json {
        output::value(&Value::Array(job.items.iter().map(public::item).collect()))?;
    }
    if !as_json || bad {
        let _ = writeln!(std::io::stderr(), "{}", sanitise::line(&jobs::tally(job)));
    }
    Ok(u8::from(bad))
}

fn line(act: JobAct, item: &JobItem) -> String {
    match (&item.error, item.state) {
        (Some(error), JobState::Failed) => format!("{}: {}", item.model, error.message),
        (_, JobState::Done) => format!("{}: {}", item.model, jobs::done(act)),
        _ => format!("{}: cancelled", item.model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(items: Vec<JobItem>) -> Job {
        Job { id: IdGen::Counting(0).fresh(), act: JobAct::Start, parameters: Parameters::default(), started: 0, finished: None, items }
    }

    #[test]
    fn progress_says_what_runs_and_what_stands_still() {
        let item = |name: &str| JobItem::waiting(ModelRef { backend: "b".into(), model: name.into() });
        let running = JobItem { state: JobState::Running, permille: Some(437), moved: Some(5_000), ..item("big") };
        assert_eq!(progress(&job(vec![running.clone()]), 0, 6_000), "loading big 43 %");
        assert_eq!(progress(&job(vec![running.clone()]), 0, 47_000), "loading big 43 %, no progress for 42 s");
        let other = JobItem { permille: None, ..running.clone() };
        assert_eq!(progress(&job(vec![item("a"), running, other]), 1, 5_000), "1 of 3 · loading big 43 % and 1 more");
        assert_eq!(progress(&job(vec![item("a"), item("b")]), 0, 0), "0 of 2");
    }

    #[test]
    fn what_does_not_fit_is_said_with_what_would_help() {
        let model = |name: &str| ModelRef { backend: "b".into(), model: name.into() };
        let estimate = crate::proto::Estimate { memory: 9_000_000_000, ..crate::proto::Estimate::default() };
        let fit = Fit {
            model: model("big"),
            parameters: Parameters::default(),
            estimate: Some(estimate),
            unknown: None,
            verdict: Verdict::Full,
            free_memory: Some(4_000_000_000),
            total_memory: None,
            free_gpu: None,
            total_gpu: None,
            stop: vec![model("old")],
            real: None,
            real_apart: None,
        };
        assert_eq!(
            worded(&fit),
            "b/big does not fit beside what is loaded now: it takes about 9.0 GB, free are 4.0 GB of memory; stopping b/old would make room."
        );
    }
}
