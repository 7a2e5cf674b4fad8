//! One task for each answer that is produced: asks the backend (again, where `core::retry` says so), measures, reports to the host's
//! loop.
//!
//! Invariant: a run reports its end exactly once, after all of its text; stopping it drops the backend's future, and what had
//! come until then is reported. Nothing is asked again once a token or a tool call has come.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use futures_util::FutureExt as _;

use super::Message;
use super::attachments::Attachments;
use super::driver::{fault, now};
use super::meter::Meter;
use super::summaries::Summary;
use crate::backend::{Backend, Request, Source, Update, channel};
use crate::core::retry::{self, Next};
use crate::error::{Error, Kind, Result};
use crate::proto::{Attempt, Finish, ModelRef, NodeId, Progress, State};

/// The shortest time between two deltas of one answer. A first delta is not held back; one that follows sooner waits for company:
/// at a thousand tokens a second every event would cost more than its text.
const PACE: Duration = Duration::from_millis(8);

/// What a run reports.
pub(crate) enum News {
    Update(Update),
    /// An attempt failed before its first token; the next one begins when the progress says.
    Again(Attempt, Progress),
    /// The summary is there that the request needed; the request as it is sent.
    Summarised {
        summary: String,
        request: Box<Request>,
    },
    Ended(Result<Finish>),
}

/// The runs that go on.
#[derive(Default)]
pub(super) struct Runs {
    running: HashMap<NodeId, Running>,
}

struct Running {
    model: ModelRef,
    meter: Arc<Mutex<Meter>>,
    since: Instant,
    stop: Option<oneshot::Sender<Error>>,
    /// Ends the pause between two attempts.
    hurry: Arc<Notify>,
    /// It is in such a pause, after a failure of this kind.
    pauses: Option<Kind>,
}

/// What a run needs to work.
pub(super) struct Work {
    pub(super) node: NodeId,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) request: Request,
    /// Of what the request leaves out; it is written first and goes into the request.
    pub(super) summary: Option<Summary>,
    /// Where what the request names lies.
    pub(super) attachments: Attachments,
    pub(super) accepted: Instant,
    /// How often it may be asked again by itself.
    pub(super) retries: u32,
    pub(super) inbox: mpsc::Sender<Message>,
}

impl Runs {
    /// The task of a new run, to be spawned.
    pub(super) fn begin(&mut self, work: Work) -> impl Future<Output = ()> + Send + use<> {
        let meter = Arc::new(Mutex::new(Meter::new(size(&work.request))));
        let (stop, stopped) = oneshot::channel();
        let hurry = Arc::new(Notify::new());
        let model = ModelRef { backend: work.backend.name().to_owned(), model: work.request.model.clone() };
        let running =
            Running { model, meter: Arc::clone(&meter), since: work.accepted, stop: Some(stop), hurry: Arc::clone(&hurry), pauses: None };
        self.running.insert(work.node, running);
        produce(work, meter, stopped, hurry)
    }

    /// A run pauses before its next attempt, after a failure of this kind, or (`None`) goes on.
    pub(super) fn pauses(&mut self, node: NodeId, after: Option<Kind>) {
        if let Some(running) = self.running.get_mut(&node) {
            running.pauses = after;
        }
    }

    /// The backend of a run.
    pub(super) fn backend(&self, node: NodeId) -> Option<&str> {
        self.running.get(&node).map(|running| running.model.backend.as_str())
    }

    /// Ends the pause of a run. Says whether there was one.
    pub(super) fn hurry(&mut self, node: NodeId) -> bool {
        let Some(running) = self.running.get_mut(&node).filter(|running| running.pauses.is_some()) else { return false };
        running.pauses = None;
        running.hurry.notify_waiters();
        true
    }

    /// A backend is there again: what waits for it begins now. What it told to wait goes on waiting.
    pub(super) fn is_back(&mut self, backend: &str) {
        let waits = |running: &Running| running.model.backend == backend && running.pauses.is_some_and(retry::is_absence);
        let nodes: Vec<NodeId> = self.running.iter().filter(|(_, running)| waits(running)).map(|(node, _)| *node).collect();
        for node in nodes {
            self.hurry(node);
        }
    }

    /// Whether an answer waits for this backend.
    pub(super) fn wait_for(&self, backend: &str) -> bool {
        self.running.values().any(|running| running.model.backend == backend && running.pauses.is_some())
    }

    /// Stops a run; its end is reported by itself, with this error.
    pub(super) fn stop(&mut self, node: NodeId, why: Error) {
        if let Some(stop) = self.running.get_mut(&node).and_then(|running| running.stop.take()) {
            // A run that has just ended needs no stopping.
            drop(stop.send(why));
        }
    }

    pub(super) fn stop_all(&mut self, why: &Error) {
        let nodes: Vec<NodeId> = self.running.keys().copied().collect();
        for node in nodes {
            self.stop(node, why.clone());
        }
    }

    /// Forgets a run that has ended; says which model it was of.
    pub(super) fn ended(&mut self, node: NodeId) -> Option<ModelRef> {
        self.running.remove(&node).map(|running| running.model)
    }

    /// Whether a model is writing an answer.
    pub(super) fn uses(&self, model: &ModelRef) -> bool {
        self.running.values().any(|running| running.model == *model)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn ttft(&self, node: NodeId) -> Option<f64> {
        lock(&self.running.get(&node)?.meter).ttft()
    }

    /// Tokens per second of all runs together; `None` when none can tell.
    pub(super) fn rate(&self) -> Option<f64> {
        self.running.values().filter_map(|run| lock(&run.meter).rate(ms(run.since))).reduce(|a, b| a + b)
    }
}

/// What is sent, in tokens.
fn size(request: &Request) -> u32 {
    request.messages.iter().map(crate::backend::Message::tokens).fold(0, u32::saturating_add)
}

fn lock(meter: &Mutex<Meter>) -> std::sync::MutexGuard<'_, Meter> {
    // Numbers are whole after every step.
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

async fn produce(work: Work, meter: Arc<Mutex<Meter>>, mut stopped: oneshot::Receiver<Error>, hurry: Arc<Notify>) {
    let mut failed = 0;
    let mut again = Progress::default();
    let result = loop {
        let (result, spoke) = attempt(&work, &meter, &mut stopped, &again).await;
        let Err(error) = result else { break result };
        if spoke {
            break Err(error);
        }
        failed += 1;
        let pause = match retry::next(&error, failed, work.retries, fraction()) {
            Next::Again(pause) => pause,
            Next::Stands => break Err(given_up(error, failed)),
            Next::TooLong(asked) => break Err(too_long(error, asked)),
        };
        let ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let at = now();
        again = Progress { attempt: failed + 1, attempts: work.retries + 1, why: retry::why(&error), ..Progress::default() };
        // Before it is told, so that no hurry is missed.
        let mut hurried = std::pin::pin!(hurry.notified());
        hurried.as_mut().enable();
        let paused = Progress { retry_at: Some(at.saturating_add(ms)), ..again.clone() };
        work.report(News::Again(Attempt { at, error }, paused)).await;
        tokio::select! {
            biased;
            why = &mut stopped => break Err(why.unwrap_or_else(|_| ended())),
            () = hurried => {}
            () = tokio::time::sleep(pause) => {}
        }
    };
    let figures = lock(&meter).end(ms(work.accepted));
    work.report(News::Update(Update::Figures(figures))).await;
    work.report(News::Ended(result)).await;
}

/// One attempt: how it ended, and whether a token or a tool call came.
async fn attempt(work: &Work, meter: &Mutex<Meter>, stopped: &mut oneshot::Receiver<Error>, again: &Progress) -> (Result<Finish>, bool) {
    lock(meter).begin(ms(work.accepted));
    work.report(News::Update(Update::Phase(State::Connecting, again.clone()))).await;
    let (sink, mut source) = channel();
    let mut spoke = false;
    let mut tell = async |mut update: Update| {
        match &mut update {
            // Which attempt it is stays said until the answer comes.
            Update::Phase(_, progress) => {
                progress.attempt = again.attempt;
                progress.attempts = again.attempts;
                progress.why.clone_from(&again.why);
            }
            Update::Delta(..) | Update::ToolCall { .. } => spoke = true,
            Update::Figures(_) => {}
        }
        measure(meter, work.accepted, &update);
        work.report(News::Update(update)).await;
    };
    let result = {
        // What came before a panic must not be lost with it.
        let ask = async {
            let request = work.summed_up(&sink).await?;
            if work.summary.is_some() {
                let mut meter = lock(meter);
                meter.sends(size(&request));
                meter.begin(ms(work.accepted));
            }
            work.backend.generate(work.attachments.bring(&request).await?, sink).await
        };
        let mut generate = std::pin::pin!(AssertUnwindSafe(ask).catch_unwind());
        let mut sent: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                why = &mut *stopped => break Err(why.unwrap_or_else(|_| ended())),
                result = &mut generate => break result.unwrap_or_else(|panic| Err(fault(panic))),
                update = next(&mut source, sent) => {
                    if matches!(update, Update::Delta(..)) {
                        sent = Some(Instant::now());
                    }
                    tell(update).await;
                }
            }
        }
        // The future is dropped here: the backend stops working.
    };
    for update in source.drain() {
        tell(update).await;
    }
    (result, spoke)
}

impl Work {
    pub(super) async fn report(&self, news: News) {
        // A host that has ended wants no news.
        drop(self.inbox.send(Message::Run { node: self.node, news }).await);
    }
}

fn ended() -> Error {
    Error::new(Kind::HostGone, "The host ended.")
}

/// The last failure, with how often it was tried.
fn given_up(error: Error, failed: u32) -> Error {
    if failed > 1 { error.hint(format!("It was asked {failed} times, with growing pauses.")) } else { error }
}

/// The server wants more patience than a run has.
fn too_long(error: Error, asked: Duration) -> Error {
    let at = jiff::Zoned::now().saturating_add(jiff::SignedDuration::try_from(asked).unwrap_or(jiff::SignedDuration::MAX));
    error.hint(format!("That is longer than arbour waits by itself: ask again after {}.", at.strftime("%Y-%m-%d %H:%M")))
}

/// A number from 0 to 1 that nobody can foresee: what the system seeds hash tables with.
fn fraction() -> f64 {
    RandomState::new().hash_one(0u8) as f64 / u64::MAX as f64
}

/// The next update, not sooner than the pace allows. Waits for ever when the backend has let go of its sink.
async fn next(source: &mut Source, sent: Option<Instant>) -> Update {
    if let Some(paced) = sent.map(|sent| sent + PACE).filter(|paced| *paced > Instant::now()) {
        tokio::time::sleep_until(paced).await;
    }
    match source.next().await {
        Some(update) => update,
        None => std::future::pending().await,
    }
}

fn measure(meter: &Mutex<Meter>, accepted: Instant, update: &Update) {
    match update {
        Update::Delta(kind, text) => lock(meter).text(ms(accepted), *kind, text),
        Update::Figures(figures) => lock(meter).told(figures),
        Update::Phase(..) | Update::ToolCall { .. } => {}
    }
}
