//! One task for each answer that is produced: asks the backend, measures, reports to the host's loop.
//!
//! Invariant: a run reports its end exactly once, after all of its text; stopping it drops the backend's future, and what had
//! come until then is reported.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use futures_util::FutureExt as _;

use super::Message;
use super::driver::fault;
use super::meter::Meter;
use crate::backend::{Backend, Request, Source, Update, channel};
use crate::error::{Error, Kind, Result};
use crate::proto::{Finish, ModelRef, NodeId, Progress, State};

/// The shortest time between two deltas of one answer. A first delta is not held back; one that follows sooner waits for company:
/// at a thousand tokens a second every event would cost more than its text.
const PACE: Duration = Duration::from_millis(8);

/// What a run reports.
pub(crate) enum News {
    Update(Update),
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
}

/// What a run needs to work.
pub(super) struct Work {
    pub(super) node: NodeId,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) request: Request,
    pub(super) accepted: Instant,
    pub(super) inbox: mpsc::Sender<Message>,
}

impl Runs {
    /// The task of a new run, to be spawned.
    pub(super) fn begin(&mut self, work: Work) -> impl Future<Output = ()> + Send + use<> {
        let prompt = work.request.messages.iter().map(|m| crate::core::estimate::text(&m.text) + crate::core::estimate::PER_MESSAGE).sum();
        let meter = Arc::new(Mutex::new(Meter::new(prompt)));
        let (stop, stopped) = oneshot::channel();
        let model = ModelRef { backend: work.backend.name().to_owned(), model: work.request.model.clone() };
        self.running.insert(work.node, Running { model, meter: Arc::clone(&meter), since: work.accepted, stop: Some(stop) });
        produce(work, meter, stopped)
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

fn lock(meter: &Mutex<Meter>) -> std::sync::MutexGuard<'_, Meter> {
    // Numbers are whole after every step.
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

async fn produce(work: Work, meter: Arc<Mutex<Meter>>, mut stopped: oneshot::Receiver<Error>) {
    let Work { node, backend, request, accepted, inbox } = work;
    let report = async |news: News| {
        // A host that has ended wants no news.
        drop(inbox.send(Message::Run { node, news }).await);
    };
    lock(&meter).begin(ms(accepted));
    report(News::Update(Update::Phase(State::Connecting, Progress::default()))).await;
    let (sink, mut source) = channel();
    let result = {
        // What came before a panic must not be lost with it.
        let mut generate = std::pin::pin!(AssertUnwindSafe(backend.generate(request, sink)).catch_unwind());
        let mut sent: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                why = &mut stopped => break Err(why.unwrap_or_else(|_| Error::new(Kind::HostGone, "The host ended."))),
                result = &mut generate => break result.unwrap_or_else(|panic| Err(fault(panic))),
                update = next(&mut source, sent) => {
                    if matches!(update, Update::Delta(..)) {
                        sent = Some(Instant::now());
                    }
                    measure(&meter, accepted, &update);
                    report(News::Update(update)).await;
                }
            }
        }
        // The future is dropped here: the backend stops working.
    };
    for update in source.drain() {
        measure(&meter, accepted, &update);
        report(News::Update(update)).await;
    }
    let figures = lock(&meter).end(ms(accepted));
    report(News::Update(Update::Figures(figures))).await;
    report(News::Ended(result)).await;
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
        Update::Delta(_, text) => lock(meter).text(ms(accepted), text),
        Update::Figures(figures) => lock(meter).told(figures),
        Update::Phase(..) | Update::ToolCall { .. } => {}
    }
}
