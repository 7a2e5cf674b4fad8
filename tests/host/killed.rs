//! `kill -9` of the host in the middle of what takes a while.

use arbour::client::attach::{Limits, from_bytes, upload};
use arbour::proto::*;

use super::home::{Home, QUIET};
use super::lone::{Lone, conversation, whole};
use super::support::scripted::{Dialect, Script, Scripted};

#[tokio::test]
async fn an_upload_goes_on_with_what_was_acknowledged() {
    let home = Home::with_config(QUIET);
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    let attachment = from_bytes("a.txt", b"word ".repeat(500_000), Limits::default()).unwrap();
    let first = attachment.pieces().next().unwrap();
    assert_eq!(guest.act(first).await, Ok(Ack::Blob { have: 1 << 20 }));
    drop(guest);
    lone.kill();
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    let ask = Command::PutBlob { hash: attachment.hash.clone(), offset: 0, total: attachment.bytes.len() as u64, data: Vec::new() };
    assert_eq!(guest.act(ask).await, Ok(Ack::Blob { have: 1 << 20 }));
    upload(&mut guest.client, &attachment).await.unwrap();
    assert_eq!(arbour::host::blobs::measured(&home.path().join("data/blobs")), (1, attachment.bytes.len() as u64));
}

#[tokio::test]
async fn an_answer_that_waited_for_its_next_attempt_is_stopped_and_what_waited_for_it_is_held() {
    let refuses = Script::refuses(429, "slow down").with_header("retry-after", "100");
    let server = Scripted::start(Dialect::OpenAi, refuses);
    let home = Home::with_backend("openai", &server.url());
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    let here = conversation(&mut guest).await;
    let (user, answer) = guest.send(here, None, "count").await;
    guest.enqueue(here, answer, "again").await;
    let waits = |node: &Node| node.run.as_ref().is_some_and(|run| run.progress.retry_at.is_some());
    guest.until("the countdown", |g| g.node(here, answer).is_some_and(waits)).await;
    drop(guest);
    lone.kill();
    server.set(Script::says("one two"));
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    guest.open(here).await;
    let (conversation, ..) = whole(&mut guest, here).await;
    assert_eq!((conversation.row.running, conversation.queue.len()), (0, 1));
    let node = guest.node(here, answer).unwrap();
    assert_eq!((node.state, node.run.as_ref().unwrap().finish.as_ref()), (State::Stopped, Some(&Finish::HostStopped)));
    assert_eq!(server.chats().len(), 1, "nothing is asked for again without a person");
    let again = guest.client.fresh();
    guest.act(Command::Answer { conversation: here, parent: user, answer: again, model: None, continues: None }).await.unwrap();
    guest.until_state(here, again, State::Done).await;
    // And with it goes what waited.
    guest.until("all of it", |g| g.replica.docs[&here].nodes().len() == 5 && g.replica.rows[&here].running == 0).await;
}
