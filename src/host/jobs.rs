//! Bulk work: one act on many models, side by side within bounds, with a state for each.
//!
//! Owns: the jobs that go on. A job goes on when the screens leave, never stops at a failure, and says in one sentence how it
//! ended. Invariant: that a job goes on is on disk before it begins, so that one that a killed host took with it is told of.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::acts::{Act, Asker};
use super::driver::{Host, now};
use super::schedule::{self, Phase, Turn};
use crate::core::{Write, jobs::summary, parameters};
use crate::error::{Error, Kind, Result, harmless};
use crate::proto::{Ack, BackendKind, DownloadState, EventKind, Job, JobAct, JobId, JobItem, Level, ModelRef, ModelState, Parameters};

/// Models of one job: beyond what any server lists. A mistake that asks for more is told so.
const MOST_MODELS: usize = 20_000;
/// Jobs at once; who wants more marks more models.
const MOST_JOBS: usize = 8;
/// The setting that remembers which jobs go on.
pub(super) const GOING: &str = "jobs_going";

impl Host {
    pub(super) async fn begin_job(&mut self, id: JobId, act: JobAct, models: Vec<ModelRef>, parameters: Parameters) -> Result<Ack> {
        if self.jobs.get(id).is_some() || self.machine.replica.jobs.contains_key(&id) {
            return Ok(Ack::Done);
        }
        for (key, value) in &parameters.0 {
            parameters::check(key, value)?;
        }
        let mut known = BTreeSet::new();
        let items: Vec<JobItem> = models.into_iter().filter(|model| known.insert(model.clone())).map(JobItem::waiting).collect();
        match items.len() {
            0 => return Err(Error::new(Kind::Usage, "No model is named.").hint("Name some, or mark them.")),
            1..=MOST_MODELS => {}
            many => return Err(Error::new(Kind::Usage, format!("{many} models are too many at once; {MOST_MODELS} are the most."))),
        }
        self.set_going(Job { id, act, parameters, started: now(), finished: None, items }).await
    }

    /// Does again what failed, or was cancelled.
    pub(super) async fn retry_job(&mut self, id: JobId) -> Result<Ack> {
        if self.jobs.get(id).is_some() {
            return Err(Error::new(Kind::Busy, "That job still goes on.").hint("Wait until it is done, or cancel it first."));
        }
        let job = self.machine.replica.jobs.get(&id).ok_or_else(no_job)?;
        let again = schedule::again(job, now()).ok_or_else(|| Error::new(Kind::Usage, "Nothing of that job failed."))?;
        self.set_going(again).await
    }

    async fn set_going(&mut self, job: Job) -> Result<Ack> {
        if self.jobs.len() >= MOST_JOBS {
            return Err(Error::new(Kind::Busy, format!("{MOST_JOBS} jobs go on already.")).hint("Wait until one of them is done."));
        }
        self.remember_jobs(Some(&job)).await?;
        self.emit(EventKind::Job(job.clone()));
        self.jobs.add(job);
        Ok(Ack::Done)
    }

    /// Ends what waits, and drops what runs.
    pub(super) async fn cancel_job(&mut self, id: JobId) -> Result<Ack> {
        if self.jobs.get(id).is_none() {
            // One that has ended needs no cancelling.
            return self.machine.replica.jobs.get(&id).map(|_| Ack::Done).ok_or_else(no_job);
        }
        for (at, phase, model) in self.jobs.cancel(id) {
            match phase {
                Phase::Acting | Phase::Stopping => self.leave_act(&model, Asker::Job(id, at)),
                Phase::Pulling(key) => {
                    if let Err(error) = self.cancel_pull(&key, false).await {
                        tracing::info!(%error, "a pull had ended when it was cancelled");
                    }
                }
            }
            // Whoever ran it may have said so already.
            self.jobs.settled(id, at, Err(schedule::cancelled()));
        }
        Ok(Ack::Done)
    }

    /// Whether models are worked on, for somebody who may have left.
    pub(super) fn is_acting(&self) -> bool {
        !self.jobs.is_empty() || !self.acts.is_empty()
    }

    /// An item's act has ended.
    pub(super) fn item_settled(&mut self, job: JobId, at: usize, result: Result<()>) {
        if self.jobs.phase(job, at) != Some(&Phase::Stopping) || result.is_err() {
            return self.jobs.settled(job, at, result);
        }
        let Some((model, parameters)) = self.jobs.get(job).map(|job| (job.items[at].model.clone(), job.parameters.clone())) else { return };
        self.jobs.set_phase(job, at, Phase::Acting);
        let act = self.start_with(&model, &parameters);
        if let Err(error) = self.begin_act(&model, act, Asker::Job(job, at)) {
            self.jobs.settled(job, at, Err(error));
        }
    }

    /// Gives turns, and tells how it goes. After every turn of the loop; costs nothing while there is no job.
    pub(super) async fn go_on_with_jobs(&mut self) {
        if self.jobs.is_empty() || self.ending.is_some() {
            return;
        }
        self.follow_pulls();
        while let Some(turn) = self.jobs.next(now()) {
            let (job, at) = (turn.job, turn.at);
            if let Some(result) = self.begin_item(turn).await.transpose() {
                self.jobs.settled(job, at, result);
            }
        }
        let mut some_ended = false;
        for news in self.jobs.take_news(Instant::now(), now()) {
            let finished = news.ended.as_ref().and_then(|job| job.finished);
            self.emit(EventKind::JobProgress { id: news.job, items: news.items, finished });
            if let Some(job) = news.ended {
                some_ended = true;
                let (level, error) = summary(&job);
                self.emit(EventKind::Notice { level, error });
            }
        }
        if some_ended && let Err(error) = self.remember_jobs(None).await {
            tracing::warn!(%error, "that a job has ended was not remembered");
        }
    }

    /// Begins one item. `Some`: it is done already.
    async fn begin_item(&mut self, turn: Turn) -> Result<Option<()>> {
        let Turn { job, at, act, model } = turn;
        let asker = Asker::Job(job, at);
        let state = self.machine.replica.model(&model).map(|known| known.state);
        let alive = !matches!(state, None | Some(ModelState::Unloaded | ModelState::Failed));
        match act {
            JobAct::Start | JobAct::Reload => {
                let parameters = self.jobs.get(job).map(|job| job.parameters.clone()).unwrap_or_default();
                if act == JobAct::Reload && alive {
                    self.jobs.set_phase(job, at, Phase::Stopping);
                    self.begin_act(&model, Act::Stop, asker)?;
                } else {
                    let start = self.start_with(&model, &parameters);
                    self.begin_act(&model, start, asker)?;
                }
            }
            // Nothing to do, and a server need not be asked a thousand times.
            JobAct::Stop if state == Some(ModelState::Unloaded) => return Ok(Some(())),
            JobAct::Stop => self.begin_act(&model, Act::Stop, asker)?,
            JobAct::Remove => self.begin_act(&model, Act::Remove, asker)?,
            JobAct::Pull => {
                let source = self.came_from(&model)?;
                let key = format!("{}/{source}", model.backend);
                self.pull(model.backend.clone(), source).await?;
                self.jobs.set_phase(job, at, Phase::Pulling(key));
            }
        }
        Ok(None)
    }

    /// Where a model can be pulled from again.
    fn came_from(&self, model: &ModelRef) -> Result<String> {
        let download = self.machine.replica.downloads.values().find(|download| download.model.as_ref() == Some(model));
        if let Some(download) = download.filter(|download| !download.source.is_empty()) {
            return Ok(download.source.clone());
        }
        let kind = self.machine.replica.model(model).map(|known| known.kind);
        if kind == Some(BackendKind::Ollama) {
            return Ok(model.model.clone());
        }
        Err(Error::new(Kind::NotFound, "It is not known where this model came from, so it cannot be pulled again.")
            .hint("Pull it by its address: `arbour models pull` says how."))
    }

    /// Items that are pulled end when their downloads do.
    fn follow_pulls(&mut self) {
        for (job, at, key) in self.jobs.pulling() {
            let Some(download) = self.machine.replica.downloads.get(&key) else {
                self.jobs.settled(job, at, Err(schedule::cancelled()));
                continue;
            };
            let done = download.total_bytes.filter(|total| *total > 0).map(|total| {
                // At most 1000 by the clamp.
                (u128::from(download.done_bytes.min(total)) * 1000 / u128::from(total)) as u16
            });
            let result = match download.state {
                DownloadState::Done => Ok(()),
                DownloadState::Cancelled => Err(schedule::cancelled()),
                DownloadState::Failed => Err(download.error.clone().unwrap_or_else(|| Error::new(Kind::Server, "The pull failed."))),
                // A person may go on with it.
                DownloadState::Queued | DownloadState::Running | DownloadState::Checking | DownloadState::Paused => {
                    self.jobs.moved(job, at, done, now());
                    continue;
                }
            };
            self.jobs.settled(job, at, result);
        }
    }

    /// Writes down which jobs go on, with one that is about to.
    async fn remember_jobs(&self, begins: Option<&Job>) -> Result<()> {
        let going: Vec<Value> =
            self.jobs.jobs().chain(begins).map(|job| json!({ "act": job.act.word(), "models": job.items.len() })).collect();
        let write = Write::Setting { key: GOING.to_owned(), value: Value::Array(going) };
        self.store.write(vec![write], false).await
    }
}

fn no_job() -> Error {
    Error::new(Kind::NotFound, "There is no such job any more.").hint("What it did shows in the states of the models.")
}

/// What a host says of jobs that the one before it did not finish.
pub(super) fn left_behind(setting: Option<&Value>) -> Option<(Level, Error)> {
    let jobs = setting?.as_array().filter(|jobs| !jobs.is_empty())?;
    let told: Vec<String> = jobs
        .iter()
        .map(|job| format!("{} of {} models", harmless(job["act"].as_str().unwrap_or("work")), job["models"].as_u64().unwrap_or(0)))
        .collect();
    let message = format!("The host before this one ended in the middle of bulk work ({}). It does not go on by itself.", told.join(", "));
    Some((
        Level::Warning,
        Error::new(Kind::HostGone, message).hint("The list of models says how far it came; begin it again for the rest."),
    ))
}
