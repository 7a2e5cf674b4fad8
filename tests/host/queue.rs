//! Prompts that wait: sent in order by the host alone, kept across restarts, held by what goes wrong, shared by two screens.

use arbour::client::{Client, Introduction};
use arbour::error::Kind;
use arbour::host::HostHandle;
use arbour::proto::*;

use super::stage::{Guest, Puppet, Stage, options, within};

fn asked(puppet: &Puppet) -> Vec<Vec<String>> {
    puppet.asked.lock().unwrap().iter().map(|request| request.messages.iter().map(|m| m.text.clone()).collect()).collect()
}

fn waits(guest: &Guest, conversation: ConversationId) -> Vec<String> {
    guest.replica.docs[&conversation].conversation.queue.iter().map(|queued| content_text(&queued.content)).collect()
}

#[tokio::test]
async fn prompts_are_sent_in_order_while_nobody_is_attached() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, first) = guest.send(conversation, None, "one").await;
    let (_, second) = guest.enqueue(conversation, first, "two").await;
    let (_, third) = guest.enqueue(conversation, first, "three").await;
    assert_eq!(guest.replica.rows[&conversation].queued, 2);
    drop(guest);
    stage.puppet.say(&["1", ".", "2", ".", "3", "."]);
    let mut guest = stage.guest().await;
    guest.open(conversation).await;
    guest.until_state(conversation, third, State::Done).await;
    let doc = &guest.replica.docs[&conversation];
    assert_eq!(doc.path(third).len(), 6);
    assert!(doc.is_ancestor(first, second) && doc.is_ancestor(second, third));
    assert_eq!(asked(&stage.puppet)[2], ["one", "1", "two", "2", "three"]);
    assert_eq!(guest.replica.rows[&conversation].queued, 0);
    stage.end().await;
}

#[tokio::test]
async fn what_waits_is_there_after_the_host_has_ended_and_goes_on_when_asked() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (user, first) = guest.send(conversation, None, "one").await;
    let (two, _) = guest.enqueue(conversation, first, "two").await;
    guest.enqueue(conversation, first, "three").await;
    stage.puppet.say(&["half"]);
    guest.until("text", |g| g.text(conversation, first) == "half").await;
    let folder = stage.end().await;

    let puppet = Puppet::new();
    let door = HostHandle::start(options(folder.path(), &puppet)).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    assert_eq!(guest.replica.rows[&conversation].queued, 2);
    guest.open(conversation).await;
    assert_eq!(waits(&guest, conversation), ["two", "three"]);
    assert!(asked(&puppet).is_empty(), "an answer that was broken off holds them");
    // Asking again takes them along.
    let again = guest.client.fresh();
    guest.act(Command::Answer { conversation, parent: user, answer: again, model: None, continues: Some(first) }).await.unwrap();
    puppet.say(&[" whole", ".", "2", "."]);
    guest.until("the next prompt", |g| g.node(conversation, two).is_some_and(|node| node.parent == Some(again))).await;
    guest.until("the one after it", |g| waits(g, conversation).is_empty()).await;
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn a_failure_holds_the_line_and_a_person_sends_it_on() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, first) = guest.send(conversation, None, "one").await;
    let (two, second) = guest.enqueue(conversation, first, "two").await;
    // After its first word: before it, the host would ask again by itself.
    stage.puppet.say(&["half", "?"]);
    guest.until_state(conversation, first, State::Failed).await;
    assert_eq!(waits(&guest, conversation), ["two"]);
    guest.act(Command::SendQueued { conversation, node: two, beside: false }).await.unwrap();
    stage.puppet.say(&["."]);
    guest.until_state(conversation, second, State::Done).await;
    assert_eq!(guest.node(conversation, two).unwrap().parent, Some(first));
    stage.end().await;
}

#[tokio::test]
async fn sending_now_stops_the_answer_and_keeps_what_came() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, first) = guest.send(conversation, None, "one").await;
    let (two, second) = guest.enqueue(conversation, first, "two").await;
    stage.puppet.say(&["half"]);
    guest.until("text", |g| g.text(conversation, first) == "half").await;
    guest.act(Command::SendQueued { conversation, node: two, beside: false }).await.unwrap();
    guest.until_state(conversation, first, State::Stopped).await;
    stage.puppet.say(&["."]);
    guest.until_state(conversation, second, State::Done).await;
    assert_eq!(asked(&stage.puppet)[1], ["one", "half", "two"]);
    stage.end().await;
}

#[tokio::test]
async fn two_screens_act_on_one_queue_without_harm() {
    let stage = Stage::new().await;
    let (mut here, mut there) = (stage.guest().await, stage.guest().await);
    let conversation = here.conversation().await;
    there.open(conversation).await;
    let (_, first) = here.send(conversation, None, "one").await;
    let (two, second) = here.enqueue(conversation, first, "two").await;
    there.until("the queue there", |g| waits(g, conversation) == ["two"]).await;
    there.act(Command::SendQueued { conversation, node: two, beside: false }).await.unwrap();
    here.act(Command::SendQueued { conversation, node: two, beside: false }).await.unwrap();
    here.until("sent once", |g| g.node(conversation, two).is_some()).await;
    let edit = Command::EditQueued { conversation, node: two, content: vec![Part::Text { text: "2".into() }] };
    let error = there.act(edit).await.unwrap_err();
    assert_eq!((error.kind, error.message.contains("sent already")), (Kind::Usage, true));
    // A screen that has not heard of it yet still queues behind the answer that was stopped.
    let (three, _) = there.enqueue(conversation, first, "three").await;
    there.until("it waits", |g| waits(g, conversation) == ["three"]).await;
    stage.puppet.say(&[".", "."]);
    here.until_state(conversation, second, State::Done).await;
    here.until("the last", |g| g.replica.docs[&conversation].nodes().len() == 6).await;
    assert_eq!(here.node(conversation, three).unwrap().parent, Some(second));
    stage.end().await;
}
