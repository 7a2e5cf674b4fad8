//! Attachments from a client's disk to the model.

use arbour::backend::Request;
use arbour::client::attach::{self, Limits};
use arbour::client::{Client, Introduction};
use arbour::error::Kind;
use arbour::host::HostHandle;
use arbour::proto::*;

use super::stage::{Guest, Puppet, Stage, options, within};

async fn put(guest: &mut Guest, attachment: &attach::Attachment) -> Part {
    attach::upload(&mut guest.client, attachment).await.unwrap();
    attachment.part()
}

fn text(name: &str, text: &str) -> attach::Attachment {
    attach::from_bytes(name, text.as_bytes().to_vec(), Limits::default()).unwrap()
}

async fn send(guest: &mut Guest, conversation: ConversationId, parent: Option<NodeId>, content: Content) -> arbour::error::Result<NodeId> {
    let (node, answer) = (guest.client.fresh(), guest.client.fresh());
    guest.act(Command::Send { conversation, node, parent, content, answer, model: None }).await.map(|_| answer)
}

fn asked(stage: &Stage) -> Request {
    stage.puppet.asked.lock().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn a_file_goes_to_the_model_behind_its_name_and_is_kept_once() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let long = format!("{}\nthe end\n", "a line of text ".repeat(200_000));
    let attachment = text("notes/long.txt", &long);
    let part = put(&mut guest, &attachment).await;
    assert_eq!(put(&mut guest, &attachment).await, part, "the same file twice");
    let files = arbour::host::blobs::measured(&stage.folder.path().join("data/blobs"));
    assert_eq!(files, (1, long.len() as u64));
    let answer = send(&mut guest, conversation, None, vec![Part::Text { text: "What is it?".into() }, part.clone()]).await.unwrap();
    guest.until_state(conversation, answer, State::Reading).await;
    assert_eq!(asked(&stage).messages[0].text, format!("```notes/long.txt\n{long}```\n\nWhat is it?"));
    let shown = guest.client.query(Query::Request { conversation, answer: Some(answer), parent: None, draft: None, model: None });
    let Reply::Request(preview) = shown.await.unwrap() else { panic!("another reply") };
    assert!(preview.body.contains("the end\n```\n\nWhat is it?"), "the preview is what is sent");
    let user = guest.node(conversation, guest.node(conversation, answer).unwrap().parent.unwrap()).unwrap();
    assert!(user.tokens > 100_000, "{}", user.tokens);
    stage.puppet.say(&["text", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    // An attachment alone is a message, and its name the title.
    let other = guest.conversation().await;
    let answer = send(&mut guest, other, None, vec![part.clone()]).await.unwrap();
    guest.until_state(other, answer, State::Reading).await;
    assert_eq!(guest.replica.rows[&other].title, "notes/long.txt");
    let Part::File { blob, .. } = part else { panic!("no file") };
    let Reply::Blob { total, data } = guest.client.query(Query::Blob { hash: blob, offset: 1 << 20 }).await.unwrap() else {
        panic!("another reply")
    };
    assert_eq!((total, data.as_slice()), (long.len() as u64, &long.as_bytes()[1 << 20..2 << 20]));
    stage.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_what_vanished_fails_the_answer() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let attachment = text("a.txt", "oak");
    let error = send(&mut guest, conversation, None, vec![attachment.part()]).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::NotFound, "The attachment “a.txt” is not at the host."));
    let wrong = Command::PutBlob { hash: attachment.hash.clone(), offset: 0, total: 3, data: b"elm".to_vec() };
    assert!(guest.act(wrong).await.unwrap_err().message.contains("not the one that was announced"));
    let part = put(&mut guest, &attachment).await;
    let answer = send(&mut guest, conversation, None, vec![part.clone()]).await.unwrap();
    guest.until_state(conversation, answer, State::Reading).await;
    stage.puppet.say(&["."]);
    guest.until_state(conversation, answer, State::Done).await;
    std::fs::remove_file(stage.folder.path().join("data/blobs").join(&attachment.hash[..2]).join(&attachment.hash)).unwrap();
    let again = send(&mut guest, conversation, Some(answer), vec![Part::Text { text: "and?".into() }]).await.unwrap();
    guest.until_state(conversation, again, State::Failed).await;
    let error = guest.node(conversation, again).unwrap().run.clone().unwrap().error.unwrap();
    assert_eq!(error.message, "The attachment “a.txt” is not on the host's disk any more.");
    stage.end().await;
}

#[tokio::test]
async fn an_upload_goes_on_at_the_host_after_the_one_that_was_ended() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let attachment = text("a.txt", &"word ".repeat(500_000));
    let first = attachment.pieces().next().unwrap();
    assert_eq!(guest.act(first).await, Ok(Ack::Blob { have: 1 << 20 }));
    let folder = stage.end().await;
    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    let ask = Command::PutBlob { hash: attachment.hash.clone(), offset: 0, total: attachment.bytes.len() as u64, data: Vec::new() };
    assert_eq!(guest.act(ask).await, Ok(Ack::Blob { have: 1 << 20 }));
    put(&mut guest, &attachment).await;
    assert_eq!(arbour::host::blobs::measured(&folder.path().join("data/blobs")), (1, attachment.bytes.len() as u64));
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn a_call_is_answered_by_hand_and_the_model_goes_on() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (user, called) = (guest.client.fresh(), guest.client.fresh());
    let add = |node, parent, role, content| Command::Add { conversation, node, parent, role, content };
    guest.act(add(user, None, Role::User, vec![Part::Text { text: "look".into() }])).await.unwrap();
    let call = |id: &str| Part::ToolCall { id: id.into(), name: "look".into(), arguments: "{}".into() };
    guest.act(add(called, Some(user), Role::Assistant, vec![call("a"), call("b")])).await.unwrap();
    let result = |id: &str, content: &str| Part::ToolResult { id: id.into(), content: content.into() };
    let error = send(&mut guest, conversation, Some(called), vec![result("c", "x")]).await.unwrap_err();
    assert_eq!(error.message, "The message above calls no tool as “c”.");
    let answer = send(&mut guest, conversation, Some(called), vec![result("b", "two"), result("a", "")]).await.unwrap();
    guest.until_state(conversation, answer, State::Reading).await;
    let tool = guest.node(conversation, answer).unwrap().parent.unwrap();
    assert_eq!(guest.node(conversation, tool).unwrap().role, Role::Tool);
    let messages = asked(&stage).messages;
    let told: Vec<_> = messages.iter().map(|m| (m.role, m.calls.len(), m.results.iter().map(|r| r.content.as_str()).collect())).collect();
    assert_eq!(told, [(Role::User, 0, vec![]), (Role::Assistant, 2, vec![]), (Role::Tool, 0, vec!["", "two"])]);
    stage.puppet.say(&["seen", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    // Asked again, under what the tools said.
    let again = guest.client.fresh();
    guest.act(Command::Answer { conversation, parent: tool, answer: again, model: None, continues: None }).await.unwrap();
    guest.until_state(conversation, again, State::Reading).await;
    assert_eq!(asked(&stage).messages, messages);
    stage.end().await;
}
