//! The ways to a host: local, Unix socket and TCP. Equal replicas, strangers at the door, slow clients, versions, ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/stage.rs"]
mod stage;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arbour::client::local::Door;
use arbour::client::remote::Address;
use arbour::client::start::{Own, read_token};
use arbour::client::{Client, Incoming, Introduction};
use arbour::daemon;
use arbour::error::{Error, Kind, Result};
use arbour::host::HostOptions;
use arbour::proto::lock::Lock;
use arbour::proto::wire::{ClientFrame, Hello, HostFrame, MAX_CLIENT_FRAME, decode, encode};
use arbour::proto::*;
use futures_util::{SinkExt as _, StreamExt as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use stage::{Guest, Puppet, options, within};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::Message;

/// A listening host in this process.
struct Den {
    folder: tempfile::TempDir,
    puppet: Arc<Puppet>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Den {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut HostOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::in_folder(folder, change).await
    }

    async fn in_folder(folder: tempfile::TempDir, change: impl FnOnce(&mut HostOptions)) -> Self {
        let puppet = Puppet::new();
        let mut options = options(folder.path(), &puppet);
        change(&mut options);
        let state = options.state.clone();
        let task = tokio::spawn(daemon::run(options, false));
        until(|| Lock::read(&state).is_some()).await;
        Self { folder, puppet, task }
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn lock(&self) -> Lock {
        Lock::read(&self.state()).expect("a host runs")
    }

    async fn own(&self) -> Client {
        Client::own(Own { state: self.state(), launch: None }, Introduction::default()).await.unwrap()
    }

    async fn guest(&self) -> Guest {
        Guest::new(self.own().await)
    }

    /// A raw WebSocket over the private socket.
    async fn raw(&self) -> Raw {
        raw(UnixStream::connect(self.lock().socket.unwrap()).await.unwrap()).await
    }

    fn hello(&self) -> Hello {
        Hello {
            major: MAJOR,
            minor: MINOR,
            version: "test".into(),
            token: read_token(&self.state()),
            client: IdGen::Real.fresh(),
            last_seq: None,
            screen: false,
            replace: false,
            env: Vec::new(),
        }
    }

    async fn end(self) -> tempfile::TempDir {
        if !self.task.is_finished() {
            let mut client = self.own().await;
            client.command(Command::Shutdown { force: true }).await.unwrap();
        }
        within(self.task).await.unwrap().unwrap();
        self.folder
    }
}

/// Waits for a condition of the outside world.
async fn until(holds: impl Fn() -> bool) {
    within(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

struct Raw(Box<dyn FrameStream>);

trait FrameStream:
    futures_util::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>>
    + futures_util::Sink<Message, Error = tokio_tungstenite::tungstenite::Error>
    + Unpin
    + Send
{
}
impl<T> FrameStream for T where
    T: futures_util::Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>>
        + futures_util::Sink<Message, Error = tokio_tungstenite::tungstenite::Error>
        + Unpin
        + Send
{
}

async fn raw<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static>(stream: S) -> Raw {
    let (socket, _) = tokio_tungstenite::client_async("ws://arbour/", stream).await.unwrap();
    Raw(Box::new(socket))
}

impl Raw {
    async fn frame(&mut self, frame: &ClientFrame) {
        self.bytes(encode(frame)).await;
    }

    async fn bytes(&mut self, bytes: Vec<u8>) {
        // The host may have hung up already; what it says is read next.
        let _ = self.0.send(Message::Binary(bytes.into())).await;
    }

    /// The next frame; `None` when the host has hung up.
    async fn next(&mut self) -> Option<HostFrame> {
        within(async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Some(decode(&bytes).expect("a frame of the host")),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            }
        })
        .await
    }

    async fn refusal(&mut self) -> Option<Error> {
        match self.next().await {
            Some(HostFrame::Refused(error)) => Some(error),
            None => None,
            other => panic!("not a refusal: {other:?}"),
        }
    }
}

async fn serve_tcp(client: &mut Client) -> Address {
    let ack = client.command(Command::Listen { address: "127.0.0.1:0".into() }).await.unwrap();
    let Ack::Listening { address } = ack else { panic!("{ack:?}") };
    Address::parse(&format!("ws://{address}")).unwrap()
}

async fn over_tcp(den: &Den, address: &Address) -> Result<Client> {
    Client::to(address.clone(), Introduction { token: read_token(&den.state()), ..Introduction::default() }).await
}

/// What two clients do, by turns; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Act {
    Send { under: usize, words: Vec<&'static str> },
    Again { answer: usize },
    Head { node: usize },
    Branch { node: usize, name: u8 },
    Rename(u8),
    Parameter(u8),
    System(u8),
    Draft(u8),
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let words = proptest::collection::vec(prop_oneof![Just("a "), Just("wörter "), Just("\n\n"), Just("漢字")], 0..6);
    let act = prop_oneof![
        4 => (0usize..9, words).prop_map(|(under, words)| Act::Send { under, words }),
        2 => (0usize..9).prop_map(|answer| Act::Again { answer }),
        1 => (0usize..9).prop_map(|node| Act::Head { node }),
        1 => ((0usize..9), any::<u8>()).prop_map(|(node, name)| Act::Branch { node, name: name % 3 }),
        1 => any::<u8>().prop_map(Act::Rename),
        1 => any::<u8>().prop_map(Act::Parameter),
        1 => any::<u8>().prop_map(Act::System),
        1 => any::<u8>().prop_map(Act::Draft),
    ];
    proptest::collection::vec((any::<bool>(), act), 1..14)
}

/// Carries out acts through two clients; afterwards both replicas, and one that opens everything anew, are equal.
async fn replay(mut a: Guest, mut b: Guest, mut late: Guest, puppet: &Puppet, acts: Vec<(bool, Act)>) {
    let conversation = a.conversation().await;
    b.open(conversation).await;
    for (first, act) in acts {
        let guest = if first { &mut a } else { &mut b };
        let nodes: Vec<Node> = guest.replica.docs[&conversation].nodes().to_vec();
        let pick = |at: usize| nodes.get(at % nodes.len().max(1));
        let answers: Vec<&Node> = nodes.iter().filter(|n| n.role == Role::Assistant).collect();
        match act {
            Act::Send { under, words } => {
                let parent = answers.get(under % (answers.len() + 1)).map(|n| n.id);
                puppet.say(&words);
                puppet.say(&["."]);
                let (_, answer) = guest.send(conversation, parent, "ask").await;
                guest.until_state(conversation, answer, State::Done).await;
            }
            Act::Again { answer } => {
                let Some(parent) = answers.get(answer % answers.len().max(1)).and_then(|n| n.parent) else { continue };
                puppet.say(&["again", "?"]);
                let answer = guest.client.fresh();
                guest.act(Command::Answer { conversation, parent, answer, model: None, continues: None }).await.unwrap();
                guest.until_state(conversation, answer, State::Failed).await;
            }
            Act::Head { node } => {
                let Some(node) = pick(node) else { continue };
                guest.act(Command::SetHead { conversation, head: node.id }).await.unwrap();
            }
            Act::Branch { node, name } => {
                let Some(node) = pick(node) else { continue };
                guest.act(Command::SetBranch { conversation, name: format!("b{name}"), leaf: Some(node.id) }).await.unwrap();
            }
            Act::Rename(n) => drop(guest.act(Command::Rename { conversation, title: format!("title {n}") }).await.unwrap()),
            Act::Parameter(n) => {
                let value = (n % 2 == 0).then(|| (f64::from(n) / 200.0).into());
                guest
                    .act(Command::SetParameters {
                        subject: Subject::Conversation(conversation),
                        changes: vec![("temperature".into(), value)],
                    })
                    .await
                    .unwrap();
            }
            Act::System(n) => {
                guest.act(Command::SetSystem { conversation, text: (n % 2 == 0).then(|| n.to_string()) }).await.unwrap();
            }
            Act::Draft(n) => drop(guest.act(Command::SetDraft { conversation, text: n.to_string(), attached: Vec::new() }).await.unwrap()),
        }
        // Both have seen all of it before either acts.
        for guest in [&mut a, &mut b] {
            guest.client.ask(Query::Contents { conversation, nodes: Vec::new() });
            guest.until_reply().await;
        }
    }
    late.open(conversation).await;
    let nodes = late.replica.docs[&conversation].nodes().iter().map(|n| n.id).collect();
    let Reply::Contents(contents) = late.client.query(Query::Contents { conversation, nodes }).await.unwrap() else { panic!() };
    let stored = |node: NodeId| contents.iter().find(|(id, _)| *id == node).map(|(_, c)| c.clone()).unwrap_or_default();
    for guest in [&mut a, &mut b] {
        assert_eq!(guest.restored, 0);
        let (mine, fresh) = (&guest.replica.docs[&conversation], &late.replica.docs[&conversation]);
        assert_eq!(mine.conversation, fresh.conversation);
        assert_eq!(mine.nodes(), fresh.nodes());
        for node in mine.nodes() {
            assert_eq!(mine.content(node.id).cloned().unwrap_or_default(), stored(node.id), "{node:?}");
        }
        assert_eq!(guest.replica.rows, late.replica.rows);
        assert_eq!(guest.replica.settings, late.replica.settings);
        assert_eq!(guest.replica.models, late.replica.models);
    }
}

#[tokio::test]
async fn replicas_are_equal_over_every_way() {
    let mut runner = TestRunner::deterministic();
    for case in 0..6 {
        let acts = acts().new_tree(&mut runner).unwrap().current();
        let den = Den::new().await;
        let mut server = den.own().await;
        let address = serve_tcp(&mut server).await;
        let tcp = || async { Guest::new(over_tcp(&den, &address).await.unwrap()) };
        let (a, b, late) = match case % 3 {
            0 => (den.guest().await, tcp().await, den.guest().await),
            1 => (tcp().await, tcp().await, den.guest().await),
            _ => (den.guest().await, den.guest().await, tcp().await),
        };
        replay(a, b, late, &den.puppet, acts.clone()).await;
        drop(server);
        den.end().await;

        let stage = stage::Stage::new().await;
        let (a, b, late) = (stage.guest().await, stage.guest().await, stage.guest().await);
        replay(a, b, late, &stage.puppet, acts).await;
        stage.end().await;
    }
}

#[tokio::test]
async fn strangers_are_refused_and_told_why() {
    let den = Den::new().await;
    for token in ["", "wrong"] {
        let mut peer = den.raw().await;
        peer.frame(&ClientFrame::Hello(Hello { token: token.into(), ..den.hello() })).await;
        assert_eq!(peer.refusal().await.unwrap().kind, Kind::Unauthorized);
        assert!(peer.next().await.is_none(), "hung up");
    }
    let mut peer = den.raw().await;
    peer.frame(&ClientFrame::Query { id: 1, query: Query::Snapshot }).await;
    assert_eq!(peer.refusal().await.unwrap().kind, Kind::Unauthorized);

    let socket = Address::Unix(den.lock().socket.unwrap().into());
    let stranger = Client::to(socket, Introduction { token: "wrong".into(), ..Introduction::default() }).await;
    assert_eq!(stranger.unwrap_err().kind, Kind::Unauthorized);
    den.end().await;
}

#[tokio::test]
async fn a_web_page_is_not_let_in() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let den = Den::new().await;
    let stream = UnixStream::connect(den.lock().socket.unwrap()).await.unwrap();
    let mut request = "ws://arbour/".into_client_request().unwrap();
    request.headers_mut().insert("Origin", "https://evil.example".parse().unwrap());
    let refused = tokio_tungstenite::client_async(request, stream).await.map(drop);
    assert!(matches!(refused, Err(tokio_tungstenite::tungstenite::Error::Http(response)) if response.status() == 403));
    den.end().await;
}

#[tokio::test]
async fn another_major_is_told_so_and_an_idle_host_makes_room() {
    let den = Den::new().await;
    let other = Hello { major: MAJOR + 1, version: "9.0".into(), ..den.hello() };
    let mut peer = den.raw().await;
    peer.frame(&ClientFrame::Hello(other.clone())).await;
    let error = peer.refusal().await.unwrap();
    assert_eq!(error.kind, Kind::Version);
    assert!(error.message.contains("9.0") && !error.hints.is_empty(), "{error:?}");

    let guest = den.guest().await;
    let mut peer = den.raw().await;
    peer.frame(&ClientFrame::Hello(Hello { replace: true, ..other.clone() })).await;
    assert_eq!(peer.refusal().await.unwrap().kind, Kind::Version, "somebody is attached");
    drop(guest);
    let gone = async {
        loop {
            let mut peer = den.raw().await;
            peer.frame(&ClientFrame::Hello(Hello { replace: true, ..other.clone() })).await;
            if peer.refusal().await.is_none_or(|e| e.kind == Kind::HostGone) {
                break;
            }
        }
    };
    within(gone).await;
    within(den.task).await.unwrap().unwrap();
    assert_eq!(Lock::read(&den.folder.path().join("state")), None);
}

#[tokio::test]
async fn garbage_closes_its_own_connection_only() {
    let den = Den::new().await;
    let mut guest = den.guest().await;
    for bytes in [vec![], vec![0xC1], vec![0xFF; 4096], encode(&"Hello"), encode(&ClientFrame::Hello(den.hello()))] {
        // Before the handshake…
        let mut peer = den.raw().await;
        peer.bytes(bytes.clone()).await;
        match peer.next().await {
            // (a right first frame is no garbage)
            Some(HostFrame::Welcome(_)) => {}
            Some(HostFrame::Refused(error)) => assert_eq!(error.kind, Kind::Malformed),
            other => panic!("{other:?}"),
        }
        // … and after it.
        let mut peer = den.raw().await;
        peer.frame(&ClientFrame::Hello(den.hello())).await;
        assert!(matches!(peer.next().await, Some(HostFrame::Welcome(_))));
        peer.bytes(bytes).await;
        while let Some(frame) = peer.next().await {
            assert!(matches!(frame, HostFrame::Event(_) | HostFrame::Refused(Error { kind: Kind::Malformed, .. })), "{frame:?}");
        }
    }
    // What no header may announce: a frame beyond the limit.
    let mut peer = den.raw().await;
    peer.frame(&ClientFrame::Hello(den.hello())).await;
    assert!(matches!(peer.next().await, Some(HostFrame::Welcome(_))));
    peer.bytes(vec![0; MAX_CLIENT_FRAME + 1]).await;
    while peer.next().await.is_some() {}
    guest.conversation().await;
    den.end().await;
}

#[tokio::test]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    let den = Den::new().await;
    let mut server = den.own().await;
    let address = serve_tcp(&mut server).await;
    let Address::Tcp { host, port, .. } = &address else { panic!() };
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(TcpStream::connect((host.as_str(), *port)).await.unwrap());
    }
    let mut guest = Guest::new(over_tcp(&den, &address).await.unwrap());
    guest.conversation().await;
    // Those who waited longest have been put out.
    let mut byte = [0; 1];
    let read = within(tokio::io::AsyncReadExt::read(&mut crowd[0], &mut byte)).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    drop(guest);
    drop(server);
    den.end().await;
}

#[tokio::test]
async fn a_slow_client_gets_a_snapshot_and_every_answer() {
    let den = Den::new().await;
    let mut quick = den.guest().await;
    let conversation = quick.conversation().await;
    let mut slow = den.raw().await;
    slow.frame(&ClientFrame::Hello(den.hello())).await;
    assert!(matches!(slow.next().await, Some(HostFrame::Welcome(_))));
    let view: CommandId = IdGen::Real.fresh();
    slow.frame(&ClientFrame::Command { id: view, command: Command::View { conversation: Some(conversation) } }).await;
    let mut acked = false;
    while !acked {
        acked = matches!(slow.next().await, Some(HostFrame::Ack { id, .. }) if id == view);
    }
    // More than any socket takes, while it does not read; the quick one reads all of it.
    let last = 3_000;
    for n in 0..=last {
        quick.client.post(Command::SetSetting { key: format!("k{}", n % 700), value: format!("{n} {}", "x".repeat(2_000)).into() });
        if n % 100 == 0 || n == last {
            let wanted = format!("{n} ");
            let key = format!("k{}", n % 700);
            quick.until("the setting", |g| g.replica.settings.get(&key).is_some_and(|v| v.as_str().unwrap().starts_with(&wanted))).await;
        }
    }
    let (_, answer) = quick.send(conversation, None, "hello").await;
    den.puppet.say(&["word", "."]);
    quick.until_state(conversation, answer, State::Done).await;
    assert_eq!(quick.text(conversation, answer), "word");
    assert_eq!(quick.restored, 0, "whoever reads loses nothing");
    let (mut resynced, mut finished, mut events) = (false, false, 0);
    while !finished {
        match slow.next().await.expect("the link stands") {
            HostFrame::Welcome(welcome) => {
                resynced = true;
                assert!(welcome.snapshot.settings.contains_key("k1"));
            }
            HostFrame::Event(event) => {
                events += 1;
                finished = matches!(&event.kind, EventKind::Finished { node, .. } if node.id == answer);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(resynced && events < 3_000, "{events} events");
    den.end().await;
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_waits_for_itself() {
    let den = Den::new().await;
    let mut peer = den.raw().await;
    peer.frame(&ClientFrame::Hello(den.hello())).await;
    let asking = async {
        for id in 0..200_000 {
            peer.frame(&ClientFrame::Query { id, query: Query::Snapshot }).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(2), asking).await.is_err(), "the host stopped reading from it");
    let mut guest = den.guest().await;
    guest.conversation().await;
    den.end().await;
}

#[tokio::test]
async fn only_who_asked_keeps_tcp_open() {
    let den = Den::new().await;
    let mut server = den.own().await;
    let address = serve_tcp(&mut server).await;
    assert_eq!(den.lock().listen.map(|a| format!("ws://{a}")), Some(address.to_string()));
    let mut far = over_tcp(&den, &address).await.unwrap();
    let nested = far.command(Command::Listen { address: "127.0.0.1:0".into() }).await;
    assert_eq!(nested.unwrap_err().kind, Kind::Unsupported, "not over the network");
    let taken = server.command(Command::Listen { address: den.lock().listen.unwrap() }).await.unwrap_err();
    assert!(taken.message.contains("another program"), "{taken}");
    drop(server);
    within(async { while !matches!(far.next().await, Incoming::Lost(_)) {} }).await;
    let state = den.state();
    until(|| Lock::read(&state).is_some_and(|lock| lock.listen.is_none())).await;
    assert_eq!(over_tcp(&den, &address).await.unwrap_err().kind, Kind::Refused);
    den.end().await;
}

#[tokio::test]
async fn the_socket_the_token_and_the_lock_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let den = Den::new().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = den.state();
    assert_eq!(mode(&state), 0o700);
    for file in ["token", "lock", "host.sock"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    let token = read_token(&state);
    assert!(token.len() >= 32);
    let folder = den.end().await;
    assert!(!state.join("host.sock").exists());
    let den = Den::in_folder(folder, |_| {}).await;
    assert_eq!(read_token(&den.state()), token, "a token stays");
    den.end().await;
}

#[tokio::test]
async fn a_host_without_work_ends_after_its_linger() {
    let den = Den::with(|options| options.linger = Duration::from_millis(50)).await;
    let mut guest = den.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    guest.until_state(conversation, answer, State::Reading).await;
    drop(guest);
    // The run holds it…
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!den.task.is_finished());
    let guest = den.guest().await;
    assert_eq!(guest.replica.rows[&conversation].running, 1);
    drop(guest);
    // … until it is done.
    den.puppet.say(&["word", "."]);
    within(den.task).await.unwrap().unwrap();
    let state = den.folder.path().join("state");
    assert_eq!(Lock::read(&state), None);
    let den = Den::in_folder(den.folder, |_| {}).await;
    let guest = den.guest().await;
    assert!(guest.replica.rows[&conversation].unread, "nobody has seen it");
    drop(guest);
    den.end().await;
}

#[tokio::test]
async fn in_process_and_attaching_exclude_each_other() {
    let den = Den::new().await;
    let puppet = Puppet::new();
    let error = Door::start(options(den.folder.path(), &puppet)).await.map(drop).unwrap_err();
    assert_eq!(error.kind, Kind::Locked);
    assert!(error.message.contains(&std::process::id().to_string()), "{error}");
    let folder = den.end().await;

    let door = Door::start(options(folder.path(), &puppet)).await.unwrap();
    let state = folder.path().join("state");
    let error = Client::own(Own { state, launch: None }, Introduction::default()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Locked);
    assert!(error.message.contains("--in-process") && error.message.contains(&std::process::id().to_string()), "{error}");
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn serve_is_the_host_or_makes_the_live_one_stay() {
    let den = Den::with(|options| options.linger = Duration::from_millis(20)).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let puppet = Puppet::new();
    let over = tokio::spawn(daemon::serve(options(den.folder.path(), &puppet), "127.0.0.1:0", |serving| {
        let _ = tell.send(serving);
    }));
    let serving = within(told).await.unwrap();
    assert!(serving.over_live_host);
    let address = Address::parse(&format!("ws://{}", serving.address)).unwrap();
    let far = over_tcp(&den, &address).await.unwrap();
    assert!(!far.welcome().kept);
    drop(far);
    assert!(!den.task.is_finished(), "serve holds it");
    over.abort();
    // The aborted task's client is dropped, and the host is free to go.
    within(den.task).await.unwrap().unwrap();

    let (tell, told) = tokio::sync::oneshot::channel();
    let own = tokio::spawn(daemon::serve(options(den.folder.path(), &puppet), "127.0.0.1:0", |serving| {
        let _ = tell.send(serving);
    }));
    let serving = within(told).await.unwrap();
    assert!(!serving.over_live_host);
    let state = den.folder.path().join("state");
    let mut client = Client::own(Own { state, launch: None }, Introduction::default()).await.unwrap();
    assert!(client.welcome().kept);
    client.command(Command::Shutdown { force: false }).await.unwrap();
    within(own).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_link_over_the_network_comes_back() {
    let den = Den::new().await;
    let mut server = den.own().await;
    let address = serve_tcp(&mut server).await;
    let introduction = Introduction { token: read_token(&den.state()), screen: true, env: Vec::new() };
    let mut guest = Guest::new(Client::to(address.clone(), introduction).await.unwrap());
    let conversation = guest.conversation().await;
    drop(server);
    guest.until("lost", |g| g.lost == 1).await;
    // While it is away somebody else goes on, and it asks for something itself.
    let mut other = den.guest().await;
    other.open(conversation).await;
    other.act(Command::Rename { conversation, title: "meanwhile".into() }).await.unwrap();
    let posted = guest.client.post(Command::SetSystem { conversation, text: Some("x".into()) });
    let listen = Command::Listen { address: address.to_string().replace("ws://", "") };
    other.act(listen).await.unwrap();
    assert_eq!(guest.until_ack(posted).await, Ok(Ack::Done));
    assert_eq!((guest.restored, guest.replica.rows[&conversation].title.as_str()), (1, "meanwhile"));
    // What it looks at holds for the new connection too, without being said again.
    guest.client.ask(Query::Open { conversation, leaf: None, contents: 10 });
    guest.until("opened", |g| g.replica.docs.contains_key(&conversation)).await;
    other
        .act(Command::SetParameters { subject: Subject::Conversation(conversation), changes: vec![("seed".into(), Some(7.into()))] })
        .await
        .unwrap();
    guest.until("the event", |g| g.replica.docs[&conversation].conversation.parameters.integer("seed") == Some(7)).await;
    drop(guest);
    drop(other);
    den.end().await;
}
