//! The host over local clients, with a backend that does as it is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "host/again.rs"]
mod again;
#[path = "host/attachments.rs"]
mod attachments;
#[path = "downloads/host.rs"]
mod downloads;
#[path = "host/fitting.rs"]
mod fitting;
#[path = "host/full.rs"]
mod full;
#[path = "support/herd.rs"]
mod herd;
#[path = "support/home.rs"]
mod home;
#[path = "host/killed.rs"]
mod killed;
#[path = "host/lone.rs"]
mod lone;
#[path = "host/models.rs"]
mod models;
#[path = "host/queue.rs"]
mod queue;
#[path = "host/settings.rs"]
mod settings;
#[path = "support/stage.rs"]
mod stage;
#[path = "host/summaries.rs"]
mod summaries;
#[path = "support/mod.rs"]
mod support;
#[path = "host/titles.rs"]
mod titles;

use std::sync::atomic::Ordering;

use arbour::client::{Client, Introduction};
use arbour::error::Kind;
use arbour::host::HostHandle;
use arbour::proto::*;
use stage::{Guest, Puppet, Stage, options, within};

#[tokio::test]
async fn a_prompt_is_answered_measured_and_stored() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (user, answer) = guest.send(conversation, None, "hello").await;
    guest.until_state(conversation, answer, State::Reading).await;
    stage.puppet.say(&["one ", "two"]);
    guest.until("text", |g| g.text(conversation, answer) == "one two").await;
    assert_eq!(guest.node(conversation, user).unwrap().state, State::Accepted);
    stage.puppet.say(&["."]);
    guest.until_state(conversation, answer, State::Done).await;
    let run = guest.node(conversation, answer).unwrap().run.clone().unwrap();
    assert_eq!(run.finish, Some(Finish::Stop));
    assert!(run.figures.ttft_ms.is_some_and(|f| f.source == Source::Measured));
    assert!(run.figures.completion_tokens.is_some_and(|f| f.source == Source::Estimated));
    assert!(!guest.replica.rows[&conversation].unread, "somebody looked");

    let before = guest.replica.docs[&conversation].nodes().to_vec();
    let folder = stage.end().await;
    let puppet = Puppet::new();
    let door = HostHandle::start(options(folder.path(), &puppet)).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    assert_eq!(guest.replica.last, Some(conversation));
    assert_eq!(guest.replica.rows[&conversation].title, "hello");
    guest.open(conversation).await;
    assert_eq!(guest.replica.docs[&conversation].nodes(), before);
    assert_eq!(guest.text(conversation, answer), "one two");
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn stopping_drops_the_backends_work_and_keeps_what_came() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    stage.puppet.say(&["one "]);
    guest.until("text", |g| !g.text(conversation, answer).is_empty()).await;
    guest.act(Command::Stop { conversation, node: None }).await.unwrap();
    guest.until_state(conversation, answer, State::Stopped).await;
    assert_eq!(guest.text(conversation, answer), "one ");
    assert_eq!(stage.puppet.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(guest.node(conversation, answer).unwrap().run.as_ref().unwrap().finish, Some(Finish::Cancelled));
    stage.end().await;
}

#[tokio::test]
async fn a_panicking_backend_fails_its_run_and_nothing_else() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    stage.puppet.say(&["one ", "!"]);
    guest.until_state(conversation, answer, State::Failed).await;
    guest.until("a notice", |g| g.notices.iter().any(|n| n.kind == Kind::Internal)).await;
    assert_eq!(guest.text(conversation, answer), "one ");
    let (_, second) = guest.send(conversation, Some(answer), "again").await;
    stage.puppet.say(&["fine", "."]);
    guest.until_state(conversation, second, State::Done).await;
    stage.end().await;
}

#[tokio::test]
async fn the_same_command_counts_once_also_after_a_restart() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (id, node): (CommandId, NodeId) = (guest.client.fresh(), guest.client.fresh());
    let content = vec![Part::Text { text: "once".into() }];
    let add = Command::Add { conversation, node, parent: None, role: Role::User, content };
    let delete_id: CommandId = guest.client.fresh();
    for _ in 0..2 {
        assert_eq!(guest.act_as(id, add.clone()).await, Ok(Ack::Done));
    }
    guest.client.ask(Query::Contents { conversation, nodes: Vec::new() });
    guest.until_reply().await;
    assert_eq!(guest.replica.docs[&conversation].nodes().len(), 1);
    let other = guest.conversation().await;
    guest.act(Command::Keep { conversations: vec![other], change: Keep::Deleted(true) }).await.unwrap();
    let delete = Command::DeleteConversation { conversation: other };
    assert_eq!(guest.act_as(delete_id, delete.clone()).await, Ok(Ack::Done));
    let folder = stage.end().await;

    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    assert_eq!(guest.act_as(delete_id, delete.clone()).await, Ok(Ack::Done), "done before, by the host before");
    assert_eq!(guest.act(delete).await.unwrap_err().kind, Kind::NotFound, "a new command is another matter");
    assert_eq!(guest.act_as(id, add).await, Ok(Ack::Done));
    guest.open(conversation).await;
    assert_eq!(guest.replica.docs[&conversation].nodes().len(), 1);
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn an_answer_that_nobody_watched_is_unread_until_somebody_looks() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    guest.act(Command::View { conversation: None }).await.unwrap();
    stage.puppet.say(&["word", "."]);
    guest.until("unread", |g| g.replica.rows[&conversation].unread).await;
    let mut other = stage.guest().await;
    assert!(other.replica.rows[&conversation].unread);
    other.open(conversation).await;
    assert_eq!(other.text(conversation, answer), "word");
    guest.until("read", |g| !g.replica.rows[&conversation].unread).await;
    stage.end().await;
}

#[tokio::test]
async fn a_host_that_ends_stops_its_runs_and_stores_them() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    stage.puppet.say(&["half ", "an "]);
    guest.until("text", |g| g.text(conversation, answer) == "half an ").await;
    assert_eq!(guest.act(Command::Shutdown { force: false }).await.unwrap_err().kind, Kind::Busy);
    guest.act(Command::Shutdown { force: true }).await.unwrap();
    guest.until_state(conversation, answer, State::Stopped).await;
    guest.until("the farewell", |g| g.stopping).await;
    within(stage.door.ended()).await;
    assert_eq!(stage.puppet.dropped.load(Ordering::SeqCst), 1);

    let door = HostHandle::start(options(stage.folder.path(), &stage.puppet)).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.open(conversation).await;
    assert_eq!(guest.text(conversation, answer), "half an ");
    let node = guest.node(conversation, answer).unwrap();
    assert_eq!(node.state, State::Stopped);
    assert_eq!(node.run.as_ref().unwrap().finish, Some(Finish::HostStopped));
    // It can be continued.
    let more = guest.client.fresh();
    let parent = guest.node(conversation, answer).unwrap().parent.unwrap();
    guest.act(Command::Answer { conversation, parent, answer: more, model: None, continues: Some(answer) }).await.unwrap();
    stage.puppet.say(&["answer", "."]);
    guest.until_state(conversation, more, State::Done).await;
    assert_eq!(guest.text(conversation, more), "half an answer");
    assert!(stage.puppet.asked.lock().unwrap().last().unwrap().continues);
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn models_are_started_and_stopped_with_progress() {
    let stage = Stage::new().await;
    *stage.puppet.state.lock().unwrap() = ModelState::Unloaded;
    let mut guest = stage.guest().await;
    guest.act(Command::Refresh).await.unwrap();
    let model = ModelRef { backend: "puppet".into(), model: "m".into() };
    let state = |g: &Guest| g.replica.models.iter().find(|m| m.name == "m").map(|m| (m.state, m.permille));
    assert_eq!(state(&guest), Some((ModelState::Unloaded, None)));
    let id = guest.client.post(Command::StartModel { model: model.clone(), parameters: Parameters::default() });
    guest.until("half of it", |g| state(g) == Some((ModelState::Loading, Some(500)))).await;
    stage.puppet.permits.add_permits(1);
    assert_eq!(guest.until_ack(id).await, Ok(Ack::Done));
    guest.until("loaded", |g| state(g) == Some((ModelState::Loaded, None))).await;
    guest.act(Command::StopModel { model: model.clone() }).await.unwrap();
    guest.until("unloaded", |g| state(g) == Some((ModelState::Unloaded, None))).await;

    guest.act(Command::SetCards { models: vec![model.clone()], change: CardChange::Favourite(true) }).await.unwrap();
    guest.until("favourite", |g| g.replica.models[0].card.favourite).await;
    let elsewhere = ModelRef { backend: "nowhere".into(), model: "m".into() };
    let error = guest.act(Command::StartModel { model: elsewhere, parameters: Parameters::default() }).await.unwrap_err();
    assert_eq!(error.kind, Kind::NoModel);
    let folder = stage.end().await;
    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.until("models", |g| !g.replica.models.is_empty()).await;
    assert!(guest.replica.models[0].card.favourite, "remembered");
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn a_backend_that_goes_down_and_comes_back_is_shown_so() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    guest.until("discovered", |g| g.replica.discovered).await;
    let state = |g: &Guest| (g.replica.backends[0].state, g.replica.models.first().map(|m| m.state));
    assert_eq!(state(&guest), (BackendState::Up, Some(ModelState::Loaded)));
    stage.puppet.down.store(true, Ordering::SeqCst);
    guest.act(Command::Refresh).await.unwrap();
    assert_eq!(state(&guest), (BackendState::Down, Some(ModelState::Unknown)));
    assert_eq!(guest.replica.backends[0].error.as_ref().unwrap().kind, Kind::Refused);
    // Nothing is named, and the only model is out of reach: that is said, and the prompt is not lost in a failed answer.
    let conversation = guest.conversation().await;
    let (node, answer) = (guest.client.fresh(), guest.client.fresh());
    let content = vec![Part::Text { text: "hi".into() }];
    let send = Command::Send { conversation, node, parent: None, content, answer, model: None };
    assert_eq!(guest.act(send).await.unwrap_err().kind, Kind::NoModel);
    assert!(guest.replica.docs[&conversation].nodes().is_empty());
    stage.puppet.down.store(false, Ordering::SeqCst);
    guest.act(Command::Refresh).await.unwrap();
    assert_eq!(state(&guest), (BackendState::Up, Some(ModelState::Loaded)));
    stage.end().await;
}

#[tokio::test]
async fn a_backend_that_is_down_is_asked_again_only_while_somebody_looks() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    guest.until("discovered", |g| g.replica.discovered).await;
    let state = |g: &Guest| g.replica.backends[0].state;
    stage.puppet.down.store(true, Ordering::SeqCst);
    guest.act(Command::Refresh).await.unwrap();
    assert!(guest.replica.backends[0].retry_at.is_some(), "it is said when");
    stage.puppet.down.store(false, Ordering::SeqCst);
    guest.until("it is up by itself", |g| state(g) == BackendState::Up).await;
    assert_eq!(guest.replica.backends[0].retry_at, None);

    guest.act(Command::Watch { metrics: false, awake: false }).await.unwrap();
    stage.puppet.down.store(true, Ordering::SeqCst);
    guest.act(Command::Refresh).await.unwrap();
    guest.until("down", |g| state(g) == BackendState::Down).await;
    let probes = stage.puppet.probes.load(Ordering::SeqCst);
    // The seconds go by on somebody who is no screen.
    let mut clock = Guest::new(Client::through(stage.door.clone(), Introduction::default()).await.unwrap());
    clock.act(Command::Watch { metrics: true, awake: true }).await.unwrap();
    clock.until("longer than the first pause", |g| g.samples.len() >= 4).await;
    // The clock's coming asked once.
    assert_eq!(stage.puppet.probes.load(Ordering::SeqCst), probes + 1, "nobody looks");
    stage.puppet.down.store(false, Ordering::SeqCst);
    guest.act(Command::Watch { metrics: false, awake: true }).await.unwrap();
    guest.until("asked as soon as somebody looks", |g| state(g) == BackendState::Up).await;
    stage.end().await;
}

#[tokio::test]
async fn who_comes_after_a_backend_is_back_does_not_hear_that_it_was_down() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    guest.until("discovered", |g| g.replica.discovered).await;
    guest.act(Command::Watch { metrics: false, awake: false }).await.unwrap();
    stage.puppet.down.store(true, Ordering::SeqCst);
    guest.act(Command::Refresh).await.unwrap();
    stage.puppet.down.store(false, Ordering::SeqCst);
    let mut other = Guest::new(Client::through(stage.door.clone(), Introduction::default()).await.unwrap());
    assert_ne!(other.replica.backends[0].state, BackendState::Down, "not known any more");
    other.until("it is up", |g| g.replica.backends[0].state == BackendState::Up).await;
    stage.end().await;
}

#[tokio::test]
async fn an_answer_that_comes_while_nobody_looks_at_the_screen_is_unread_until_somebody_does() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    guest.act(Command::Watch { metrics: false, awake: false }).await.unwrap();
    let (_, answer) = guest.send(conversation, None, "hello").await;
    stage.puppet.say(&["word", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    guest.until("unread", |g| g.replica.rows[&conversation].unread).await;
    guest.act(Command::Watch { metrics: false, awake: true }).await.unwrap();
    guest.until("read", |g| !g.replica.rows[&conversation].unread).await;
    // A second screen that is looked at sees it for both.
    let mut other = stage.guest().await;
    other.open(conversation).await;
    guest.act(Command::Watch { metrics: false, awake: false }).await.unwrap();
    let (_, second) = guest.send(conversation, Some(answer), "again").await;
    stage.puppet.say(&["word", "."]);
    guest.until_state(conversation, second, State::Done).await;
    other.client.ask(Query::Snapshot);
    other.until_reply().await;
    assert!(!other.replica.rows[&conversation].unread);
    stage.end().await;
}

#[tokio::test]
async fn a_prompt_at_once_waits_for_the_first_look_at_the_backends() {
    let stage = Stage::new().await;
    // No pause between the host's start and this: whether the backend has answered is chance, that it is asked is not.
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    stage.puppet.say(&["word", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    stage.end().await;
}

#[tokio::test]
async fn questions_are_answered() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    guest.act(Command::SetSystem { conversation, text: Some("Be brief.".into()) }).await.unwrap();
    let (user, answer) = guest.send(conversation, None, "what is a puppet").await;
    stage.puppet.say(&["a doll", "."]);
    guest.until_state(conversation, answer, State::Done).await;

    let hits = guest.client.query(Query::Search { text: "puppet".into(), conversation: None, limit: 10 }).await.unwrap();
    let Reply::Hits(hits) = hits else { panic!("{hits:?}") };
    assert_eq!(hits.iter().map(|h| h.node).collect::<Vec<_>>(), [user]);
    let ask =
        |answer, draft: Option<&str>| Query::Request { conversation, answer, parent: None, draft: draft.map(str::to_owned), model: None };
    let sent = guest.client.query(ask(Some(answer), None)).await.unwrap();
    let Reply::Request(sent) = sent else { panic!("{sent:?}") };
    assert_eq!(sent.body, "system: Be brief.\nuser: what is a puppet\n");
    assert!(sent.notes.is_empty(), "exactly what was sent");
    let would = guest.client.query(ask(None, Some("other"))).await.unwrap();
    let Reply::Request(would) = would else { panic!("{would:?}") };
    assert_eq!(would.body, "system: Be brief.\nuser: other\n");
    assert_eq!(guest.client.query(ask(Some(user), None)).await.unwrap_err().kind, Kind::NotFound);
    let list = guest
        .client
        .query(Query::Conversations { shelf: Shelf::All, order: Order::default(), offset: 0, limit: 5, filter: Some("PUPPET".into()) })
        .await
        .unwrap();
    let Reply::Conversations(list) = list else { panic!("{list:?}") };
    assert_eq!((list.total, list.items[0].id), (1, conversation));
    let nowhere = guest.client.fresh();
    let missing = guest.client.query(Query::Open { conversation: nowhere, leaf: None, contents: 1 }).await;
    assert_eq!(missing.unwrap_err().kind, Kind::NotFound);

    let folder = stage.end().await;
    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut client = Client::through(door.clone(), Introduction::default()).await.unwrap();
    let Reply::Request(again) = client.query(ask(Some(answer), None)).await.unwrap() else { panic!() };
    assert_eq!(again.body, "system: Be brief.\nuser: what is a puppet\n");
    assert!(again.notes.is_empty(), "exact after a restart: {:?}", again.notes);
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn an_unsaved_conversation_is_for_its_viewers_only() {
    let stage = Stage::new().await;
    let (mut guest, mut other) = (stage.guest().await, stage.guest().await);
    let id = guest.client.fresh();
    let parameters = Parameters::default();
    let new = Command::NewConversation { id, title: None, system: None, parameters, model: None, saved: false };
    guest.act(new).await.unwrap();
    guest.open(id).await;
    let (_, answer) = guest.send(id, None, "secret").await;
    stage.puppet.say(&["word", "."]);
    guest.until_state(id, answer, State::Done).await;
    other.client.ask(Query::Snapshot);
    other.until_reply().await;
    assert!(!other.replica.rows.contains_key(&id));
    let folder = stage.end().await;
    let file = std::fs::read(folder.path().join("data/arbour.db")).unwrap();
    assert!(!file.windows(6).any(|w| w == b"secret"));
}

#[tokio::test]
async fn metrics_come_only_while_somebody_watches() {
    let stage = Stage::new().await;
    let (mut guest, mut other) = (stage.guest().await, stage.guest().await);
    guest.act(Command::Watch { metrics: true, awake: true }).await.unwrap();
    guest.until("two samples", |g| g.samples.len() >= 2).await;
    let last = guest.samples.last().unwrap();
    assert!(last.memory_total.is_some() && last.latency_ms["puppet"].is_some(), "{last:?}");
    guest.act(Command::Watch { metrics: false, awake: true }).await.unwrap();
    let count = guest.samples.len();
    guest.client.ask(Query::Snapshot);
    guest.until_reply().await;
    assert!(guest.samples.len() <= count + 1, "one may have been on its way");
    other.client.ask(Query::Snapshot);
    other.until_reply().await;
    assert!(other.samples.is_empty());
    stage.end().await;
}

#[tokio::test]
async fn what_cannot_be_committed_is_refused_or_shown_and_owed() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    stage.puppet.say(&["kept "]);
    guest.until("text", |g| !g.text(conversation, answer).is_empty()).await;
    // Somebody holds the database for longer than the store waits.
    let database = stage.folder.path().join("data/arbour.db");
    let thief = rusqlite::Connection::open(&database).unwrap();
    thief.execute_batch("BEGIN IMMEDIATE").unwrap();
    let renamed = guest.act(Command::Rename { conversation, title: "other".into() }).await;
    assert_eq!(renamed.unwrap_err().kind, Kind::Locked);
    assert_eq!(guest.replica.rows[&conversation].title, "hello", "nothing was shown, nothing has happened");
    stage.puppet.say(&["all", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    assert_eq!(guest.text(conversation, answer), "kept all");
    guest.until("a notice", |g| g.notices.iter().any(|n| n.kind == Kind::Locked)).await;
    thief.execute_batch("ROLLBACK").unwrap();
    guest.until("the debt is paid", |g| g.notices.last().is_some_and(|n| n.message.contains("saved now"))).await;
    let folder = stage.end().await;
    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.open(conversation).await;
    assert_eq!(guest.text(conversation, answer), "kept all");
    assert_eq!(guest.node(conversation, answer).unwrap().state, State::Done);
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn a_backend_is_added_to_the_configuration() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let add = |name: &str| Command::AddBackend {
        name: name.into(),
        kind: BackendKind::OpenAi,
        url: "http://127.0.0.1:9/v1".into(),
        key_env: Some("SOME_KEY".into()),
    };
    guest.act(add("box")).await.unwrap();
    guest.until("listed", |g| g.replica.backends.iter().any(|b| b.name == "box")).await;
    let written = std::fs::read_to_string(stage.folder.path().join("config.toml")).unwrap();
    assert!(written.contains("\"box\"") && written.contains("SOME_KEY"), "{written}");
    assert_eq!(guest.act(add("box")).await.unwrap_err().kind, Kind::Usage);
    let folder = tempfile::tempdir_in(stage.folder.path()).unwrap();
    let gguf = Command::OpenGguf { path: folder.path().join("no.gguf").display().to_string() };
    assert_eq!(guest.act(gguf).await.unwrap_err().kind, Kind::Unsupported, "the puppet opens no files");
    stage.end().await;
}

#[tokio::test]
async fn a_download_that_fails_says_why_and_can_be_cancelled() {
    // An address that takes connections and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/starter", listener.local_addr().unwrap());
    let stage = Stage::with(|options| options.starter = vec![address]).await;
    let mut guest = stage.guest().await;
    assert_eq!(guest.act(Command::CancelPull { key: "starter".into(), forget: false }).await.unwrap_err().kind, Kind::NotFound);
    guest.act(Command::PullStarter { pip: false }).await.unwrap();
    let state = |g: &Guest| g.replica.downloads.get("starter").map(|d| d.state);
    guest.until("running", |g| state(g) == Some(DownloadState::Running)).await;
    assert_eq!(guest.act(Command::Shutdown { force: false }).await.unwrap_err().kind, Kind::Busy);
    guest.act(Command::CancelPull { key: "starter".into(), forget: false }).await.unwrap();
    guest.until("cancelled", |g| state(g) == Some(DownloadState::Cancelled)).await;
    stage.end().await;

    let stage = Stage::with(|options| options.starter = vec!["http://127.0.0.1:1/starter".into()]).await;
    let mut guest = stage.guest().await;
    guest.act(Command::PullStarter { pip: false }).await.unwrap();
    guest.until("failed", |g| state(g) == Some(DownloadState::Failed)).await;
    assert!(guest.replica.downloads["starter"].error.is_some());
    stage.end().await;
}

#[tokio::test]
async fn a_load_that_hangs_is_mentioned_and_goes_on() {
    let stage = Stage::with(|options| options.quiet = std::time::Duration::from_millis(100)).await;
    *stage.puppet.state.lock().unwrap() = ModelState::Unloaded;
    let mut guest = stage.guest().await;
    guest.until("the model", |g| !g.replica.models.is_empty()).await;
    let model = guest.replica.models[0].reference();
    let id = guest.client.fresh();
    guest.client.post_as(id, Command::StartModel { model: model.clone(), parameters: Parameters::default() });
    let said = |guest: &Guest| guest.notices.iter().filter(|n| n.message.contains("has told no progress for")).count();
    guest.until("it is said, and said again", |g| said(g) >= 2).await;
    assert_eq!(guest.replica.model(&model).unwrap().state, ModelState::Loading, "it goes on");
    stage.puppet.permits.add_permits(1);
    guest.until_ack(id).await.unwrap();
    stage.end().await;
}
