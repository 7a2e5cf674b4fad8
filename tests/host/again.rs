//! Attempts that fail before their first token are made again; others are not.

use std::sync::Arc;

use arbour::backend::{Spec, build};
use arbour::error::Kind;
use arbour::host::{Configured, HostHandle, HostOptions};
use arbour::proto::*;

use super::stage::{Guest, Puppet, Stage, options, within};
use super::support::scripted::{Accident, Dialect, Script, Scripted};
use arbour::client::{Client, Introduction};

/// A host with this server as its only backend.
fn served(url: &str) -> impl FnOnce(&mut HostOptions) {
    let spec = Spec { name: "box".into(), kind: Some(BackendKind::OpenAi), url: url.to_owned(), ..Spec::default() };
    move |options| {
        options.backends = vec![Configured { spec, key: None }];
        options.build = Arc::new(build);
    }
}

fn model() -> ModelRef {
    ModelRef { backend: "box".into(), model: "scripted".into() }
}

/// Sends a prompt; says the conversation and the answer.
async fn ask(guest: &mut Guest) -> (ConversationId, NodeId) {
    let conversation = guest.conversation().await;
    let (node, answer) = (guest.client.fresh(), guest.client.fresh());
    let content = vec![Part::Text { text: "hello".into() }];
    guest.act(Command::Send { conversation, node, parent: None, content, answer, model: Some(model()) }).await.unwrap();
    (conversation, answer)
}

fn run(guest: &Guest, (conversation, answer): (ConversationId, NodeId)) -> Run {
    *guest.node(conversation, answer).unwrap().run.clone().unwrap()
}

/// Waits until the answer waits for this attempt; says what is told meanwhile.
async fn until_it_waits(guest: &mut Guest, at: (ConversationId, NodeId), attempt: u32) -> Progress {
    let waits = |g: &Guest| {
        let node = g.node(at.0, at.1);
        node.is_some_and(|n| {
            n.state == State::Connecting && n.run.as_ref().is_some_and(|r| r.progress.attempt == attempt && r.progress.retry_at.is_some())
        })
    };
    guest.until("it waits for the next attempt", waits).await;
    run(guest, at).progress
}

async fn try_now(guest: &mut Guest, (conversation, answer): (ConversationId, NodeId)) {
    guest.act(Command::TryNow { conversation, node: Some(answer) }).await.unwrap();
}

#[tokio::test]
async fn a_server_that_fails_twice_is_asked_a_third_time_and_all_of_it_is_kept() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("Here I am."));
    server.queue(Script::refuses(500, "the cat sat on it"));
    server.queue(Script::refuses(502, "nobody behind it"));
    let stage = Stage::with(served(&server.url())).await;
    let mut guest = stage.guest().await;
    let at = ask(&mut guest).await;
    let first = until_it_waits(&mut guest, at, 2).await;
    assert_eq!((first.why.as_str(), first.attempts), ("500", 5));
    // A second by itself: nobody hurries it.
    let second = until_it_waits(&mut guest, at, 3).await;
    assert_eq!(second.why, "502");
    try_now(&mut guest, at).await;
    guest.until_state(at.0, at.1, State::Done).await;
    assert_eq!(guest.text(at.0, at.1), "Here I am.");
    assert_eq!(server.chats().len(), 3);
    let told = run(&guest, at);
    let kinds: Vec<Kind> = told.failed.iter().map(|attempt| attempt.error.kind).collect();
    assert_eq!((kinds, told.error.is_none()), (vec![Kind::Server, Kind::Server], true));
    let states: Vec<State> = told.timeline.iter().map(|(state, _)| *state).collect();
    assert_eq!((states[..2].to_vec(), states.last().copied()), (vec![State::Queued, State::Connecting], Some(State::Done)));
    assert!(told.timeline.is_sorted_by_key(|(_, at)| *at), "{:?}", told.timeline);
    let error = guest.act(Command::TryNow { conversation: at.0, node: None }).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "nothing waits any more");

    let folder = stage.end().await;
    let file = rusqlite::Connection::open(folder.path().join("data/arbour.db")).unwrap();
    let attempts: i64 = file.query_row("SELECT attempts FROM run", [], |row| row.get(0)).unwrap();
    assert_eq!(attempts, 3);
    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.open(at.0).await;
    assert_eq!(run(&guest, at), told, "kept as it was told");
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn a_server_that_comes_up_is_asked_again_and_one_that_does_not_is_given_up() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("Back."));
    let port: u16 = server.url().rsplit(':').next().unwrap().trim_end_matches("/v1").trim_end_matches('/').parse().unwrap();
    let url = server.url();
    let stage = Stage::with(served(&url)).await;
    let mut guest = stage.guest().await;
    guest.until("its model", |g| !g.replica.models.is_empty()).await;
    drop(server);
    let at = ask(&mut guest).await;
    assert_eq!(until_it_waits(&mut guest, at, 2).await.why, "refused");
    guest.until("it is said to be down", |g| g.replica.backends[0].state == BackendState::Down).await;
    let _server = Scripted::start_on(port, Dialect::OpenAi, Script::says("Back.")).unwrap();
    guest.until_state(at.0, at.1, State::Done).await;
    assert_eq!(guest.text(at.0, at.1), "Back.");
    assert!(!run(&guest, at).failed.is_empty());
    stage.end().await;

    // Nobody will ever listen at that port.
    let stage = Stage::with(served("http://127.0.0.1:1/v1")).await;
    let mut guest = stage.guest().await;
    let at = ask(&mut guest).await;
    for attempt in 2..=5 {
        until_it_waits(&mut guest, at, attempt).await;
        try_now(&mut guest, at).await;
    }
    guest.until_state(at.0, at.1, State::Failed).await;
    let told = run(&guest, at);
    assert_eq!((told.failed.len(), told.error.as_ref().unwrap().kind), (4, Kind::Refused));
    assert!(told.error.unwrap().hints.iter().any(|hint| hint.contains("5 times")));
    stage.end().await;
}

#[tokio::test]
async fn a_server_that_says_when_is_not_asked_before_and_not_at_all_when_that_is_far() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("Now."));
    server.queue(Script::refuses(429, "slow down").with_header("Retry-After", "7"));
    let date = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).saturating_add(jiff::SignedDuration::from_secs(60));
    server.queue(Script::refuses(503, "slow down").with_header("Retry-After", &date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    let stage = Stage::with(served(&server.url())).await;
    let mut guest = stage.guest().await;
    let at = ask(&mut guest).await;
    let told = until_it_waits(&mut guest, at, 2).await;
    let pause = told.retry_at.unwrap() - told.since;
    assert!((7_000 - 50..=8_100).contains(&pause), "{pause}");
    assert_eq!(told.why, "429");
    try_now(&mut guest, at).await;
    let told = until_it_waits(&mut guest, at, 3).await;
    let pause = told.retry_at.unwrap() - told.since;
    assert!((55_000..=61_100).contains(&pause), "until a date: {pause}");
    try_now(&mut guest, at).await;
    guest.until_state(at.0, at.1, State::Done).await;

    server.queue(Script::refuses(429, "slow down").with_header("Retry-After", "7200"));
    let at = ask(&mut guest).await;
    guest.until_state(at.0, at.1, State::Failed).await;
    let told = run(&guest, at);
    assert!(told.failed.is_empty());
    let hints = told.error.unwrap().hints.join(" ");
    assert!(hints.contains("2 h") && hints.contains("ask again after 20"), "{hints}");
    stage.end().await;
}

#[tokio::test]
async fn nothing_is_asked_again_after_a_token_nor_where_waiting_does_not_help() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("one two three").after(2, Accident::Error("it broke".into())));
    let stage = Stage::with(served(&server.url())).await;
    let mut guest = stage.guest().await;
    let at = ask(&mut guest).await;
    guest.until_state(at.0, at.1, State::Failed).await;
    assert!(!guest.text(at.0, at.1).is_empty() && run(&guest, at).failed.is_empty());
    assert_eq!(server.chats().len(), 1);
    server.set(Script::says("hm").thinks("let me see").after(1, Accident::Disconnect));
    let at = ask(&mut guest).await;
    guest.until_state(at.0, at.1, State::Failed).await;
    assert_eq!(server.chats().len(), 2, "thinking is a token too");
    for (status, message) in [(400, "bad"), (401, "who are you"), (404, "model not found"), (413, "too large")] {
        server.set(Script::refuses(status, message));
        let asked = server.chats().len();
        let at = ask(&mut guest).await;
        guest.until_state(at.0, at.1, State::Failed).await;
        assert_eq!(server.chats().len(), asked + 1, "{status}");
    }
    stage.end().await;

    let stage = Stage::with(|options| {
        served(&server.url())(options);
        options.retries = 0;
    })
    .await;
    server.set(Script::refuses(500, "turned off"));
    let mut guest = stage.guest().await;
    let at = ask(&mut guest).await;
    guest.until_state(at.0, at.1, State::Failed).await;
    stage.end().await;
}

#[tokio::test]
async fn an_answer_that_waits_is_stopped_at_once_by_a_person_or_by_the_hosts_end() {
    let server = Scripted::start(Dialect::OpenAi, Script::refuses(429, "slow down").with_header("Retry-After", "200"));
    let stage = Stage::with(served(&server.url())).await;
    let mut guest = stage.guest().await;
    let at = ask(&mut guest).await;
    until_it_waits(&mut guest, at, 2).await;
    guest.act(Command::Stop { conversation: at.0, node: None }).await.unwrap();
    guest.until_state(at.0, at.1, State::Stopped).await;
    let told = run(&guest, at);
    assert_eq!((told.finish, told.failed.len()), (Some(Finish::Cancelled), 1));

    let at = ask(&mut guest).await;
    until_it_waits(&mut guest, at, 2).await;
    let folder = stage.end().await;
    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.open(at.0).await;
    assert_eq!(guest.node(at.0, at.1).unwrap().state, State::Stopped);
    assert_eq!(run(&guest, at).finish, Some(Finish::HostStopped));
    door.end("over");
    within(door.ended()).await;
}
