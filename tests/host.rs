//! The host over local clients, with a backend that does as it is told.

#[path = "support/stage.rs"]
mod stage;

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
