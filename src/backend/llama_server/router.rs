//! A llama-server that runs many models: loading, unloading, deleting, and following what it tells.
//!
//! Owns: the requests of router mode, and the wait for what they begin (the router answers at once, the load goes on). Refuses: the
//! meaning of events (`events`) and of entries (`facts`). Invariants: `/models` decides how a model stands and `/models/sse` only says
//! it sooner, so a stream that breaks, lies or is missing changes nothing but the progress; a load that is dropped is taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::events::{self, Event, Follower, What};
use super::facts;
use crate::backend::http::{ASK, Http};
use crate::backend::openai::entries;
use crate::backend::sse::{Frame, Parser};
use crate::backend::{Change, Sink};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{ModelState, State};

/// How often a model is asked about that is being loaded or unloaded: where the router tells by itself, and where it does not.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_OFTEN: Duration = Duration::from_millis(300);
/// How often all models are asked about where the router does not tell by itself.
const LOOK_AROUND: Duration = Duration::from_secs(4);
/// So long after it was told to load a model, a router may still say that the model is not loaded.
const BEGINS: Duration = Duration::from_secs(3);
/// A router kills a process that does not end within 10 s (`stop-timeout` can say more).
const UNLOADING: Duration = Duration::from_secs(60);
/// How long waking a model, or making room for one, may take: a very large model from a slow disk.
const WAKING: Duration = Duration::from_secs(15 * 60);
/// Questions that may fail one after the other before a wait gives up.
const PATIENCE: u32 = 3;
/// A model that makes room is unloaded right before the other one is loaded.
const ROOM: Duration = Duration::from_secs(3);
/// Unloads that somebody here asked for are remembered so long.
const ASKED: Duration = Duration::from_secs(90);
/// Progress is told at most this often.
const TELL: Duration = Duration::from_millis(100);
/// Models whose capabilities are remembered.
const MOST_KNOWN: usize = 2_000;

/// What is known of a router beyond its models.
#[derive(Default)]
pub struct Router(Mutex<Known>);

#[derive(Default)]
struct Known {
    is_router: bool,
    /// It was asked.
    told: bool,
    removes: bool,
    /// Unloads that were asked for here, and when.
    asked: BTreeMap<String, Instant>,
    /// What a model can, from when it was loaded: it says so only then.
    capabilities: BTreeMap<String, Vec<String>>,
}

impl Router {
    /// Nothing in here panics between two writes.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what `/props` says.
    pub fn learn(&self, props: &Value) {
        let mut known = self.lock();
        known.told = true;
        known.is_router = props.get("role").and_then(Value::as_str) == Some("router");
    }

    /// Takes in what the list of models says; older routers do not call themselves one, but only a router tells states.
    pub fn learn_from_list(&self, entries: &[Value]) {
        let mut known = self.lock();
        known.told = true;
        known.is_router |= entries.iter().any(|entry| entry.get("status").is_some());
        known.removes = entries.iter().any(facts::can_remove);
    }

    pub fn is_router(&self) -> bool {
        self.lock().is_router
    }

    /// Whether it is known at all what it is.
    pub fn is_known(&self) -> bool {
        self.lock().told
    }

    /// Whether it would delete any of its models.
    pub fn removes(&self) -> bool {
        self.lock().removes
    }

    /// Remembers what a loaded model can.
    pub fn remember(&self, model: &str, capabilities: &[String]) {
        let mut known = self.lock();
        if known.capabilities.len() < MOST_KNOWN || known.capabilities.contains_key(model) {
            known.capabilities.insert(model.to_owned(), capabilities.to_vec());
        }
    }

    pub fn remembered(&self, model: &str) -> Vec<String> {
        self.lock().capabilities.get(model).cloned().unwrap_or_default()
    }

    fn asks(&self, model: &str) {
        let now = Instant::now();
        let mut known = self.lock();
        known.asked.retain(|_, when| now - *when < ASKED);
        known.asked.insert(model.to_owned(), now);
    }

    /// Whether somebody here asked for this unload; each is good for one.
    fn was_asked(&self, event: &Event) -> bool {
        matches!(event.what, What::Unloaded(_)) && self.lock().asked.remove(&event.model).is_some_and(|when| when.elapsed() < ASKED)
    }

    fn no_longer_asks(&self, model: &str) {
        self.lock().asked.remove(model);
    }
}

/// The stream of `/models/sse`.
struct Events {
    response: reqwest::Response,
    parser: Parser,
    ready: std::collections::VecDeque<Event>,
}

impl Events {
    async fn open(http: &Http) -> Result<Self> {
        let response = http.listen("/models/sse").await?;
        let kind = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(http.who.malformed("/models/sse is no stream of events"));
        }
        Ok(Self { response, parser: Parser::default(), ready: std::collections::VecDeque::new() })
    }

    /// The next event. Safe to drop while it waits.
    async fn next(&mut self, http: &Http) -> Result<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let chunk = self.response.chunk().await.map_err(|e| http.who.transport(&e, true))?;
            let Some(bytes) = chunk else { return Err(http.who.disconnected()) };
            let mut frames = Vec::new();
            self.parser.feed(&bytes, &mut frames).map_err(|fault| http.who.fault(&fault, None))?;
            self.ready.extend(frames.iter().filter_map(|frame| match frame {
                Frame::Event { data, .. } => events::event(data),
                Frame::Stray(_) => None,
            }));
        }
    }
}

/// The next event of a stream that may not be there; a stream that breaks is let go.
async fn next(events: &mut Option<Events>, http: &Http) -> Event {
    if let Some(open) = events {
        match open.next(http).await {
            Ok(event) => return event,
            Err(error) => tracing::debug!(backend = %http.who.backend, %error, "the stream of events is gone"),
        }
    }
    *events = None;
    std::future::pending().await
}

/// A model's entry.
async fn entry(http: &Http, model: &str) -> Result<Value> {
    let list = http.get("/v1/models").await?;
    let entries = entries(&list.body).ok_or_else(|| http.who.malformed("/v1/models has no list of models"))?;
    entries.iter().find(|entry| facts::is_called(entry, model)).cloned().ok_or_else(|| http.who.no_model(model))
}

/// Loads a model and waits until it is loaded. There is no limit: whoever has waited long enough drops it.
pub async fn load(http: &Http, router: &Router, model: &str, out: &Sink) -> Result<()> {
    match facts::state(entry(http, model).await?.get("status")) {
        ModelState::Loaded => return Ok(()),
        ModelState::Sleeping => {
            out.phase(State::Loading);
            return wake(http, model).await;
        }
        ModelState::Downloading => {
            return Err(
                Error::new(Kind::Busy, format!("{} still fetches {}.", http.who.name(), quoted(model))).hint("Start it when it is there.")
            );
        }
        ModelState::Loading => {
            out.phase(State::Loading);
            let events = Events::open(http).await.ok();
            return follow(http, model, events, out).await;
        }
        ModelState::Unloaded | ModelState::Failed | ModelState::Unknown => {}
    }
    out.phase(State::Loading);
    // Listening first: no event is missed.
    let events = Events::open(http).await.ok();
    let taken_back = TakeBack { http, router, model, armed: true };
    // It answers when it has made room, for which another model may have to end its answer first.
    match http.post("/models/load", &json!({ "model": model }), Some(model), WAKING).await {
        Ok(_) => {}
        // Somebody else was faster.
        Err(error) if says(&error, "already running") => {}
        Err(error) => {
            taken_back.disarm();
            return Err(error);
        }
    }
    let result = follow(http, model, events, out).await;
    taken_back.disarm();
    result
}

/// Any task wakes a sleeper; reading no text is the smallest.
async fn wake(http: &Http, model: &str) -> Result<()> {
    http.post("/tokenize", &json!({ "model": model, "content": "" }), Some(model), WAKING).await.map(drop)
}

fn says(error: &Error, what: &str) -> bool {
    error.kind == Kind::BadRequest && error.cause.as_deref().is_some_and(|cause| cause.contains(what))
}

/// A load that nobody waits for any more is taken back: else it would go on, and hold memory that nobody asked for.
struct TakeBack<'a> {
    http: &'a Http,
    router: &'a Router,
    model: &'a str,
    armed: bool,
}

impl TakeBack<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.armed {
            self.router.asks(self.model);
            let (http, model) = (self.http.clone(), self.model.to_owned());
            // Detached on purpose: it ends by itself within a few seconds.
            runtime.spawn(async move {
                if let Err(error) = http.post("/models/unload", &json!({ "model": model }), Some(&model), ASK).await {
                    tracing::debug!(%error, "a load could not be taken back");
                }
            });
        }
    }
}

/// Waits until a model that is being loaded is loaded, or is not.
async fn follow(http: &Http, model: &str, mut events: Option<Events>, out: &Sink) -> Result<()> {
    let begun = Instant::now();
    let mut seen_loading = false;
    let mut failures = 0;
    let mut look = begun + LOOK_OFTEN;
    loop {
        tokio::select! {
            biased;
            event = next(&mut events, http) => {
                if event.model != model {
                    continue;
                }
                match event.what {
                    What::Loading(permille) => {
                        seen_loading = true;
                        if let Some(permille) = permille {
                            out.progress(State::Loading, u64::from(permille), 1000);
                        }
                    }
                    What::Loaded | What::Sleeping => return Ok(()),
                    // The entry knows more of it than the event.
                    What::Unloaded(code) => {
                        let file = entry(http, model).await.ok().and_then(|entry| facts::file(&entry).map(str::to_owned));
                        return Err(unloaded(http, model, code, file.as_deref()));
                    }
                    What::Other => {}
                }
            }
            () = tokio::time::sleep_until(look) => {
                look = Instant::now() + if events.is_some() { LOOK } else { LOOK_OFTEN };
                let entry = match entry(http, model).await {
                    Ok(entry) => entry,
                    Err(error) if error.kind == Kind::ModelMissing || failures >= PATIENCE => return Err(error),
                    Err(_) => {
                        failures += 1;
                        continue;
                    }
                };
                failures = 0;
                match facts::state(entry.get("status")) {
                    ModelState::Loaded | ModelState::Sleeping => return Ok(()),
                    ModelState::Failed if seen_loading || begun.elapsed() > BEGINS => {
                        return Err(unloaded(http, model, facts::exit_code(&entry).or(Some(1)), facts::file(&entry)));
                    }
                    ModelState::Unloaded if seen_loading || begun.elapsed() > BEGINS => return Err(unloaded(http, model, None, None)),
                    ModelState::Loading => seen_loading = true,
                    ModelState::Failed | ModelState::Unloaded | ModelState::Downloading | ModelState::Unknown => {}
                }
            }
        }
    }
}

/// A model that was to be loaded is not.
fn unloaded(http: &Http, model: &str, code: Option<i64>, file: Option<&str>) -> Error {
    if code.is_some_and(|code| code != 0) {
        return facts::ended(model, code, file, true);
    }
    Error::new(Kind::Server, format!("{} unloaded {} again before it was there.", http.who.name(), quoted(model)))
        .hint("Somebody stopped it, or it made room for another model: start it again.")
}

/// Unloads a model and waits until it is gone.
pub async fn unload(http: &Http, router: &Router, model: &str) -> Result<()> {
    router.asks(model);
    let result = async {
        match http.post("/models/unload", &json!({ "model": model }), Some(model), UNLOADING).await {
            Ok(_) => {}
            Err(error) if says(&error, "not running") => {
                router.no_longer_asks(model);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let begun = Instant::now();
        loop {
            let gone = match entry(http, model).await {
                Ok(entry) => matches!(facts::state(entry.get("status")), ModelState::Unloaded | ModelState::Failed),
                Err(error) if error.kind == Kind::ModelMissing => true,
                Err(error) if begun.elapsed() > UNLOADING => return Err(error),
                Err(_) => false,
            };
            if gone {
                return Ok(());
            }
            if begun.elapsed() > UNLOADING {
                let seconds = UNLOADING.as_secs();
                return Err(Error::new(Kind::Server, format!("{} did not unload {} within {seconds} s.", http.who.name(), quoted(model)))
                    .hint("It may still be answering somebody; the router's own log says more."));
            }
            tokio::time::sleep(LOOK_OFTEN).await;
        }
    };
    let result = result.await;
    if result.is_err() {
        router.no_longer_asks(model);
    }
    result
}

/// Deletes the files of a model that the router fetched itself.
pub async fn remove(http: &Http, model: &str) -> Result<()> {
    let entry = entry(http, model).await?;
    if !facts::can_remove(&entry) {
        return Err(Error::new(
            Kind::Unsupported,
            format!("{} does not delete {}: it only deletes what it fetched itself.", http.who.name(), quoted(model)),
        )
        .hint("Delete the file on the server, or take the model out of the router's settings."));
    }
    let mut query = reqwest::Url::parse("http://x/models").map_err(|e| Error::new(Kind::Internal, "An address was not made.").cause(e))?;
    query.query_pairs_mut().append_pair("model", model);
    http.delete(&format!("/models?{}", query.query().unwrap_or_default()), Some(model), UNLOADING).await.map(drop)
}

/// Why an answer was refused, better than the router says it where loading the model failed.
pub async fn explain(http: &Http, model: &str, error: Error) -> Error {
    if error.kind != Kind::Server || !error.cause.as_deref().is_some_and(|cause| cause.contains("failed to load")) {
        return error;
    }
    match entry(http, model).await {
        Ok(entry) => Error { cause: error.cause, ..facts::ended(model, facts::exit_code(&entry), facts::file(&entry), true) },
        Err(_) => error,
    }
}

/// Shows how a load goes that an answer brings about, until the answer begins (then this is dropped).
pub async fn show_loading(http: &Http, model: &str, out: &Sink) {
    let Ok(found) = entry(http, model).await else { return };
    match facts::state(found.get("status")) {
        ModelState::Loaded | ModelState::Downloading => return,
        // A sleeper tells nothing while it wakes.
        ModelState::Sleeping => return out.phase(State::Loading),
        ModelState::Unloaded | ModelState::Failed | ModelState::Loading | ModelState::Unknown => {}
    }
    out.phase(State::Loading);
    // How it ends is told by the answer itself.
    let events = Events::open(http).await.ok();
    if follow(http, model, events, out).await.is_ok() {
        out.phase(State::Reading);
    }
}

/// Tells of changes for as long as the connection lives.
pub async fn watch(http: &Http, router: &Router, out: &mpsc::Sender<Change>) -> Result<()> {
    let mut told = Told { out, last: None };
    let mut follower = Follower::default();
    let mut events = match Events::open(http).await {
        Ok(events) => events,
        // An older router, or a proxy that does not let it through.
        Err(error) if matches!(error.kind, Kind::BadRequest | Kind::Malformed | Kind::Unsupported) => {
            return watch_by_asking(http, router, &mut follower, &mut told).await;
        }
        Err(error) => return Err(error),
    };
    // What happened before this connection stood.
    told.tell(vec![Change::Models]).await;
    loop {
        let mut changes = Vec::new();
        let patience = async { if follower.wonders() { tokio::time::sleep(ROOM).await } else { std::future::pending().await } };
        let event = tokio::select! {
            event = events.next(http) => Some(event?),
            () = patience => None,
        };
        match event {
            Some(event) => follower.take(&event, router.was_asked(&event), &mut changes),
            None => follower.settle(&mut changes),
        }
        told.tell(changes).await;
    }
}

/// The same by looking again and again.
async fn watch_by_asking(http: &Http, router: &Router, follower: &mut Follower, told: &mut Told<'_>) -> Result<()> {
    let mut known: BTreeMap<String, ModelState> = BTreeMap::new();
    let mut first = true;
    loop {
        let list = http.get("/v1/models").await?;
        let entries = entries(&list.body).map(Vec::as_slice).unwrap_or_default();
        let mut changes = Vec::new();
        let mut there = BTreeSet::new();
        // What was unloaded first: it made room for what is being loaded.
        let mut news: Vec<Event> = Vec::new();
        for entry in entries {
            let Some(name) = facts::name(entry) else { continue };
            let state = facts::state(entry.get("status"));
            there.insert(name.to_owned());
            let was = known.insert(name.to_owned(), state);
            let what = match state {
                _ if first || was == Some(state) => continue,
                ModelState::Loading => What::Loading(None),
                ModelState::Loaded => What::Loaded,
                ModelState::Sleeping => What::Sleeping,
                ModelState::Unloaded | ModelState::Failed
                    if matches!(was, Some(ModelState::Loaded | ModelState::Loading | ModelState::Sleeping)) =>
                {
                    What::Unloaded(facts::exit_code(entry).or((state == ModelState::Failed).then_some(1)))
                }
                _ => What::Other,
            };
            news.push(Event { model: name.to_owned(), what });
        }
        let before = known.len();
        known.retain(|name, _| there.contains(name));
        if known.len() != before {
            changes.push(Change::Models);
        }
        news.sort_by_key(|event| !matches!(event.what, What::Unloaded(_)));
        for event in &news {
            let loaded = matches!(event.what, What::Loaded).then(|| Event { model: event.model.clone(), what: What::Loading(None) });
            // It was loaded between two looks.
            for event in loaded.iter().chain([event]) {
                follower.take(event, router.was_asked(event), &mut changes);
            }
        }
        if news.is_empty() {
            follower.settle(&mut changes);
        }
        told.tell(changes).await;
        first = false;
        tokio::time::sleep(LOOK_AROUND).await;
    }
}

/// What was told, so that a flood of events does not become a flood of changes.
struct Told<'a> {
    out: &'a mpsc::Sender<Change>,
    last: Option<Instant>,
}

impl Told<'_> {
    async fn tell(&mut self, changes: Vec<Change>) {
        for change in changes {
            if matches!(change, Change::Loading { .. }) {
                if self.last.is_some_and(|last| last.elapsed() < TELL) {
                    continue;
                }
                self.last = Some(Instant::now());
            }
            // Nobody listens: then this is about to be dropped.
            drop(self.out.send(change).await);
        }
    }
}
