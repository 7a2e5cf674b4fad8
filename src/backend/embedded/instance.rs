//! One loaded model on a thread of its own: jobs in, answers out.
//!
//! Owns: the thread, its queue, the model while it is loaded, the caches of the last conversations. Refuses: files that are not
//! asked for, HTTP, async. Invariant: one answer at a time; a closed sink or a cancelled job ends the work at the next token or
//! chunk of prompt; the thread sleeps without a timer while nothing is loaded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use super::answer::{self, Conversations};
use super::matrix::Code;
use super::model::Model;
use super::template::Template;
use super::tokenizer::Tokenizer;
use crate::backend::gguf::{Header, Want};
use crate::backend::{Request, Sink};
use crate::error::{Error, Kind, Result};
use crate::proto::{Figure, Figures, Finish, ModelState, State, UnixMs};

/// How long a model stays loaded after its last answer unless `keep_alive` says otherwise.
pub const KEEP_ALIVE: Duration = Duration::from_secs(300);

/// What others may know of an instance.
#[derive(Debug, Clone)]
pub struct Status {
    pub state: ModelState,
    /// While loading, 0 to 1000.
    pub permille: Option<u16>,
    pub memory: Option<u64>,
    pub expires: Option<UnixMs>,
    pub error: Option<Error>,
    /// The context of the last answer, in tokens.
    pub context: Option<u32>,
    /// Tokens that are held of conversations.
    pub held: Option<u64>,
}

impl Default for Status {
    fn default() -> Self {
        Self { state: ModelState::Unloaded, permille: None, memory: None, expires: None, error: None, context: None, held: None }
    }
}

/// A wish that can be taken back.
pub struct Ticket {
    pub cancelled: Arc<AtomicBool>,
    pub sink: Sink,
}

impl Ticket {
    /// Whether nobody waits for it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.sink.is_closed()
    }
}

/// Something to do.
pub enum Job {
    Load { ticket: Ticket, keep_alive: Option<Duration>, reply: oneshot::Sender<Result<()>> },
    Answer { ticket: Ticket, request: Box<Request>, keep_alive: Option<Duration>, asked: Instant, reply: oneshot::Sender<Result<Finish>> },
    Unload { reply: oneshot::Sender<()> },
}

/// What is loaded.
pub struct Engine {
    pub model: Model,
    pub tokenizer: Tokenizer,
    pub template: Arc<Template>,
    pub conversations: Conversations,
    /// The threads that compute; `None`: the model's own is enough.
    pool: Option<rayon::ThreadPool>,
}

#[derive(Default)]
struct Shared {
    status: Mutex<Status>,
    template: Mutex<Option<Arc<Template>>>,
    /// Answers that are queued or going.
    waiting: AtomicUsize,
    /// Somebody wants it unloaded: answers end.
    unloading: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handle of a model's thread.
pub struct Instance {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

impl Instance {
    /// Starts the thread; nothing is loaded yet.
    ///
    /// # Errors
    /// `Kind::Internal` when the system gives no thread.
    pub fn start(path: PathBuf) -> Result<Self> {
        let (jobs, inbox) = channel();
        let shared = Arc::new(Shared::default());
        let worker = Worker { path, inbox, shared: Arc::clone(&shared), engine: None, load_ms: 0.0, keep: Some(KEEP_ALIVE) };
        std::thread::Builder::new()
            .name("embedded".into())
            .spawn(move || worker.run())
            .map_err(|e| Error::new(Kind::Internal, "The system gives arbour no thread for the model.").cause(e))?;
        Ok(Self { jobs, shared })
    }

    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.shared.status).clone()
    }

    /// The loaded model's template.
    #[must_use]
    pub fn template(&self) -> Option<Arc<Template>> {
        lock(&self.shared.template).clone()
    }

    /// How many answers are queued or going.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Queues a job.
    ///
    /// # Errors
    /// `Kind::Internal` when the thread is gone.
    pub fn post(&self, job: Job) -> Result<()> {
        match &job {
            Job::Answer { .. } => {
                self.shared.waiting.fetch_add(1, Ordering::Relaxed);
            }
            Job::Unload { .. } => self.shared.unloading.store(true, Ordering::Relaxed),
            Job::Load { .. } => {}
        }
        self.jobs.send(job).map_err(|_| Error::new(Kind::Internal, "The model's thread has ended."))
    }
}

struct Worker {
    path: PathBuf,
    inbox: Receiver<Job>,
    shared: Arc<Shared>,
    engine: Option<Engine>,
    load_ms: f64,
    /// How long to stay loaded; `None`: for ever.
    keep: Option<Duration>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let job = match (&self.engine, self.keep) {
                (Some(_), Some(keep)) => match self.inbox.recv_timeout(keep) {
                    Ok(job) => job,
                    Err(RecvTimeoutError::Timeout) => {
                        self.unload();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                _ => match self.inbox.recv() {
                    Ok(job) => job,
                    Err(_) => return,
                },
            };
            self.perform(job);
        }
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Load { ticket, keep_alive, reply } => {
                self.keep = keep_alive;
                let done = self.ensure(&ticket);
                // The state is right before anybody hears that it is done.
                self.settle();
                // Nobody may be left to hear it.
                let _ = reply.send(done);
            }
            Job::Answer { ticket, request, keep_alive, asked, reply } => {
                self.keep = keep_alive;
                let done = self.answer(&ticket, &request, asked);
                self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                self.settle();
                // The sink goes first, so that who waits for the reply finds all text there.
                drop(ticket);
                let _ = reply.send(done);
            }
            Job::Unload { reply } => {
                self.unload();
                self.shared.unloading.store(false, Ordering::Relaxed);
                let _ = reply.send(());
            }
        }
    }

    /// After a job: the state and the time at which the model will go.
    fn settle(&mut self) {
        if self.keep == Some(Duration::ZERO) && self.shared.waiting.load(Ordering::Relaxed) == 0 {
            self.unload();
            return;
        }
        let mut status = lock(&self.shared.status);
        if let Some(engine) = &self.engine {
            status.state = ModelState::Loaded;
            status.memory = Some(engine.model.bytes() + engine.conversations.bytes());
            status.held = Some(engine.conversations.tokens());
            status.expires = self.keep.map(|keep| now_ms().saturating_add(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)));
        }
    }

    fn unload(&mut self) {
        self.engine = None;
        *lock(&self.shared.template) = None;
        *lock(&self.shared.status) = Status::default();
    }

    fn answer(&mut self, ticket: &Ticket, request: &Request, asked: Instant) -> Result<Finish> {
        if ticket.is_over() {
            return Err(stopped());
        }
        let fresh = self.engine.is_none();
        self.ensure(ticket)?;
        if fresh {
            ticket.sink.figures(Figures { load_ms: Some(Figure::measured(self.load_ms)), ..Figures::default() });
        }
        let shared = Arc::clone(&self.shared);
        let Some(engine) = &mut self.engine else { return Err(Error::new(Kind::Internal, "The model is not loaded.")) };
        let over = || ticket.is_over() || shared.unloading.load(Ordering::Relaxed);
        // A fault in the compute library must not take the host down; the caches may be half written then.
        let pool = engine.pool.take();
        let mut work = || catch_unwind(AssertUnwindSafe(|| answer::answer(engine, request, &ticket.sink, asked, &over)));
        let done = match &pool {
            Some(pool) => pool.install(work),
            None => work(),
        };
        engine.pool = pool;
        match done {
            Ok(Ok((finish, context))) => {
                lock(&self.shared.status).context = Some(context);
                Ok(finish)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.unload();
                Err(Error::new(Kind::Internal, "The embedded engine failed while it computed; the model was unloaded.")
                    .hint("Ask again. If it happens again, the file may be damaged: compare its SHA-256 with its source."))
            }
        }
    }

    /// Loads the model unless it is.
    fn ensure(&mut self, ticket: &Ticket) -> Result<()> {
        if self.engine.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        *lock(&self.shared.status) = Status { state: ModelState::Loading, permille: Some(0), ..Status::default() };
        ticket.sink.progress(State::Loading, 0, 1000);
        match catch_unwind(AssertUnwindSafe(|| self.load(ticket))) {
            Ok(Ok(engine)) => {
                *lock(&self.shared.template) = Some(Arc::clone(&engine.template));
                *lock(&self.shared.status) = Status { state: ModelState::Loaded, memory: Some(engine.model.bytes()), ..Status::default() };
                self.engine = Some(engine);
                self.load_ms = started.elapsed().as_secs_f64() * 1000.0;
                Ok(())
            }
            Ok(Err(error)) => {
                let failed = error.kind != Kind::Cancelled;
                *lock(&self.shared.status) = Status {
                    state: if failed { ModelState::Failed } else { ModelState::Unloaded },
                    error: failed.then(|| error.clone()),
                    ..Status::default()
                };
                Err(error)
            }
            Err(_) => {
                let error = Error::new(Kind::File, "The model's file made the engine fail while it was loaded.")
                    .hint("The file may be damaged: compare its SHA-256 with its source.");
                *lock(&self.shared.status) = Status { state: ModelState::Failed, error: Some(error.clone()), ..Status::default() };
                Err(error)
            }
        }
    }

    fn load(&self, ticket: &Ticket) -> Result<Engine> {
        let header = Header::read(&self.path, Want::Everything)?;
        let template = Arc::new(Template::new(&header));
        let tokenizer = Tokenizer::from_header(&header)?;
        let mut last = 0;
        let model = Model::load(&header, Code::best(), &mut |done, total| {
            let permille = u16::try_from(done.saturating_mul(1000) / total.max(1)).unwrap_or(1000).min(1000);
            if permille != last {
                last = permille;
                lock(&self.shared.status).permille = Some(permille);
                ticket.sink.progress(State::Loading, u64::from(permille), 1000);
            }
            !ticket.is_over() && !self.shared.unloading.load(Ordering::Relaxed)
        })?;
        if tokenizer.len() > model.shape.vocabulary {
            return Err(Error::new(Kind::File, "The model's vocabulary is larger than its embeddings, so it cannot be run.")
                .hint("Take another GGUF file of this model."));
        }
        Ok(Engine { conversations: Conversations::default(), model, tokenizer, template, pool: pool()? })
    }
}

/// Threads for one model.
fn pool() -> Result<Option<rayon::ThreadPool>> {
    let threads = super::threads();
    if threads < 2 {
        return Ok(None);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|at| format!("embedded-{at}")).build();
    pool.map(Some).map_err(|e| Error::new(Kind::Internal, "The system gives arbour no threads for the model.").cause(e))
}

/// What a run that somebody stopped ends with.
#[must_use]
pub fn stopped() -> Error {
    Error::new(Kind::Cancelled, "The answer was stopped.")
}

fn now_ms() -> UnixMs {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|d| UnixMs::try_from(d.as_millis()).ok()).unwrap_or(0)
}
