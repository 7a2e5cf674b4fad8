//! A host with a backend that does as it is told, and clients that keep a replica.

#![allow(dead_code, reason = "every test binary compiles its own copy of this and uses a part of it")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use arbour::backend::{Backend, Probe, Request, Sink, Spec};
use arbour::client::{Client, Incoming, Introduction};
use arbour::config::ApiKey;
use arbour::core::{Replica, Touched};
use arbour::error::{Error, Kind, Result};
use arbour::fetch::Hub;
use arbour::host::{Configured, HostHandle, HostOptions, TitleOptions};
use arbour::proto::*;

/// A backend that writes one word for each permit; `.` ends the answer, `!` panics.
pub struct Puppet {
    pub permits: Semaphore,
    pub words: Mutex<Vec<&'static str>>,
    pub asked: Mutex<Vec<Request>>,
    pub started: Mutex<Vec<Parameters>>,
    pub dropped: Arc<AtomicUsize>,
    pub down: AtomicBool,
    /// How often it was asked whether it is there.
    pub probes: AtomicUsize,
    pub state: Mutex<ModelState>,
    /// The context of its model.
    pub context: Mutex<Option<u32>>,
}

impl Puppet {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(0),
            words: Mutex::default(),
            asked: Mutex::default(),
            started: Mutex::default(),
            dropped: Arc::default(),
            down: AtomicBool::new(false),
            probes: AtomicUsize::new(0),
            state: Mutex::new(ModelState::Loaded),
            context: Mutex::default(),
        })
    }

    pub fn say(&self, words: &[&'static str]) {
        self.words.lock().unwrap().extend(words);
        self.permits.add_permits(words.len());
    }

    pub fn info(&self) -> ModelInfo {
        let context = *self.context.lock().unwrap();
        ModelInfo { state: *self.state.lock().unwrap(), context, ..ModelInfo::named("puppet", BackendKind::Embedded, "m") }
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Backend for Puppet {
    fn name(&self) -> &str {
        "puppet"
    }
    fn kind(&self) -> BackendKind {
        BackendKind::Embedded
    }
    fn url(&self) -> Option<&str> {
        None
    }
    async fn probe(&self) -> Result<Probe> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Refused, "Nobody listens there."));
        }
        Ok(Probe { version: Some("1".into()), latency_ms: 0.5 })
    }
    async fn models(&self) -> Result<Vec<ModelInfo>> {
        Ok(vec![self.info()])
    }
    async fn model(&self, _: &str) -> Result<ModelInfo> {
        Ok(self.info())
    }
    async fn start(&self, _: &str, parameters: &Parameters, out: Sink) -> Result<()> {
        self.started.lock().unwrap().push(parameters.clone());
        out.progress(State::Loading, 1, 2);
        self.permits.acquire().await.unwrap().forget();
        *self.state.lock().unwrap() = ModelState::Loaded;
        Ok(())
    }
    async fn stop(&self, _: &str) -> Result<()> {
        *self.state.lock().unwrap() = ModelState::Unloaded;
        Ok(())
    }
    fn preview(&self, request: &Request) -> RequestPreview {
        let body = request.messages.iter().map(|m| format!("{}: {}\n", m.role.word(), m.text)).collect();
        RequestPreview { method: "POST".into(), url: "/".into(), body, curl: None, notes: Vec::new() }
    }
    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        let _count = CountDrop(Arc::clone(&self.dropped));
        self.asked.lock().unwrap().push(request);
        out.phase(State::Reading);
        loop {
            self.permits.acquire().await.unwrap().forget();
            let word = self.words.lock().unwrap().remove(0);
            match word {
                "." => return Ok(Finish::Stop),
                "!" => panic!("the puppet's strings are torn"),
                "?" => return Err(Error::new(Kind::Disconnected, "The puppet broke off.")),
                word => out.text(word),
            }
        }
    }
}

/// A host, with the folder it lives in.
pub struct Stage {
    pub folder: tempfile::TempDir,
    pub puppet: Arc<Puppet>,
    pub door: HostHandle,
}

pub fn options(folder: &Path, puppet: &Arc<Puppet>) -> HostOptions {
    let puppet = Arc::clone(puppet);
    let spec = Spec { name: "puppet".into(), kind: Some(BackendKind::Embedded), ..Spec::default() };
    HostOptions {
        state: folder.join("state"),
        database: folder.join("data/arbour.db"),
        config_file: folder.join("config.toml"),
        models: folder.join("data/models"),
        starter: Vec::new(),
        hub: Hub::default(),
        hub_token: ApiKey::Env("ARBOUR_TEST_NO_SUCH_TOKEN".into()),
        pulls: 2,
        linger: Duration::from_secs(60),
        quiet: Duration::from_secs(30),
        retries: 4,
        titles: TitleOptions::default(),
        listens: false,
        kept: false,
        backends: vec![Configured { spec, key: None }],
        build: Arc::new(move |_| Ok(Arc::clone(&puppet) as Arc<dyn Backend>)),
        discover: None,
        problems: Vec::new(),
    }
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut HostOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let puppet = Puppet::new();
        let mut options = options(folder.path(), &puppet);
        change(&mut options);
        let door = HostHandle::start(options).await.unwrap();
        Self { folder, puppet, door }
    }

    pub async fn guest(&self) -> Guest {
        Guest::new(Client::through(self.door.clone(), Introduction { screen: true, ..Introduction::default() }).await.unwrap())
    }

    pub async fn end(self) -> tempfile::TempDir {
        self.door.end("The test is over.");
        within(self.door.ended()).await;
        self.folder
    }
}

/// A client with its replica.
pub struct Guest {
    pub client: Client,
    pub replica: Replica,
    pub notices: Vec<Error>,
    pub restored: usize,
    pub lost: usize,
    pub samples: Vec<Sample>,
    /// The host said that it ends.
    pub stopping: bool,
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it happens in time")
}

impl Guest {
    pub fn new(mut client: Client) -> Self {
        let mut replica = Replica::default();
        replica.restore(client.take_snapshot());
        Self { client, replica, notices: Vec::new(), restored: 0, lost: 0, samples: Vec::new(), stopping: false }
    }

    pub fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Event(event) => {
                match &event.kind {
                    EventKind::Notice { error, .. } => self.notices.push(error.clone()),
                    EventKind::Metrics(sample) => self.samples.push(sample.clone()),
                    EventKind::Stopping { .. } => self.stopping = true,
                    _ => {}
                }
                assert!(!matches!(self.replica.apply(&event), Touched::Drifted(_)), "drifted at {event:?}");
            }
            Incoming::Restored(snapshot) => {
                self.restored += 1;
                self.replica.restore(*snapshot);
            }
            Incoming::Reply { result: Ok(Reply::Opened(opened)), .. } => self.replica.open(*opened),
            Incoming::Lost(_) => self.lost += 1,
            Incoming::Ack { .. } | Incoming::Reply { .. } | Incoming::Gone(_) => {}
        }
    }

    /// Reads until something holds.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                let incoming = self.client.next().await;
                self.take(incoming);
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), waiting).await.is_err() {
            panic!("never: {what}; docs {:#?}, notices {:?}", self.replica.docs, self.notices);
        }
    }

    /// Reads until the answer to a question has come: everything before it has come too.
    pub async fn until_reply(&mut self) {
        within(async {
            loop {
                match self.client.next().await {
                    Incoming::Reply { .. } => return,
                    other => self.take(other),
                }
            }
        })
        .await;
    }

    pub async fn act(&mut self, command: Command) -> Result<Ack> {
        let id = self.client.fresh();
        self.act_as(id, command).await
    }

    pub async fn act_as(&mut self, id: CommandId, command: Command) -> Result<Ack> {
        self.client.post_as(id, command);
        self.until_ack(id).await
    }

    pub async fn until_ack(&mut self, id: CommandId) -> Result<Ack> {
        within(async {
            loop {
                match self.client.next().await {
                    Incoming::Ack { id: got, result } if got == id => return result,
                    other => self.take(other),
                }
            }
        })
        .await
    }

    pub async fn conversation(&mut self) -> ConversationId {
        let id = self.client.fresh();
        let new = Command::NewConversation { id, title: None, system: None, parameters: Parameters::default(), model: None, saved: true };
        self.act(new).await.unwrap();
        self.open(id).await;
        id
    }

    pub async fn open(&mut self, conversation: ConversationId) {
        self.act(Command::View { conversation: Some(conversation) }).await.unwrap();
        self.client.ask(Query::Open { conversation, leaf: None, contents: 100 });
        self.until("opened", |g| g.replica.docs.contains_key(&conversation)).await;
    }

    pub async fn send(&mut self, conversation: ConversationId, parent: Option<NodeId>, text: &str) -> (NodeId, NodeId) {
        let (node, answer) = (self.client.fresh(), self.client.fresh());
        let content = vec![Part::Text { text: text.into() }];
        self.act(Command::Send { conversation, node, parent, content, answer, model: None }).await.unwrap();
        (node, answer)
    }

    /// Puts a prompt into the queue behind an answer; gives its ids.
    pub async fn enqueue(&mut self, conversation: ConversationId, line: NodeId, text: &str) -> (NodeId, NodeId) {
        let (node, answer) = (self.client.fresh(), self.client.fresh());
        let content = vec![Part::Text { text: text.into() }];
        self.act(Command::Enqueue { conversation, line, node, answer, content, model: None }).await.unwrap();
        (node, answer)
    }

    pub fn node(&self, conversation: ConversationId, node: NodeId) -> Option<&Node> {
        self.replica.docs.get(&conversation)?.node(node)
    }

    pub fn text(&self, conversation: ConversationId, node: NodeId) -> String {
        self.replica.docs.get(&conversation).and_then(|d| d.content(node)).map(|c| content_text(c)).unwrap_or_default()
    }

    /// Waits until a backend was asked so often; each look is a question to the host.
    pub async fn until_asked(&mut self, asked: &impl Fn() -> usize, times: usize) {
        within(async {
            while asked() < times {
                self.client.ask(Query::Snapshot);
                self.until_reply().await;
            }
        })
        .await;
    }

    pub async fn until_state(&mut self, conversation: ConversationId, node: NodeId, state: State) {
        self.until(state.word(), |g| g.node(conversation, node).is_some_and(|n| n.state == state)).await;
    }
}
