//! Summaries of what a prompt leaves out: written first, sent in its place, kept with the answer, written once.

use arbour::client::{Client, Introduction};
use arbour::host::HostHandle;
use arbour::proto::*;

use super::stage::{Guest, Puppet, Stage, options, within};

/// Three exchanges under a context that holds two, and a prompt after them.
async fn talked(stage: &Stage, guest: &mut Guest) -> (ConversationId, NodeId) {
    *stage.puppet.context.lock().unwrap() = Some(290);
    guest.act(Command::Refresh).await.unwrap();
    let conversation = guest.conversation().await;
    let mut last = None;
    for (text, words) in [("first", 40), ("second", 200), ("third", 40)] {
        let (_, answer) = guest.send(conversation, last, &format!("{text} {}", "word ".repeat(words))).await;
        stage.puppet.say(&["yes", "."]);
        guest.until_state(conversation, answer, State::Done).await;
        last = Some(answer);
    }
    let changes = vec![("overflow".to_owned(), Some("summarise".into()))];
    guest.act(Command::SetParameters { subject: Subject::Conversation(conversation), changes }).await.unwrap();
    (conversation, last.unwrap())
}

fn now() -> String {
    format!("and now? {}", "word ".repeat(20))
}

fn asked(stage: &Stage) -> usize {
    stage.puppet.asked.lock().unwrap().len()
}

fn summary(guest: &Guest, conversation: ConversationId, answer: NodeId) -> Option<String> {
    guest.node(conversation, answer)?.run.as_ref()?.left_out.as_ref()?.summary.clone()
}

async fn request(guest: &mut Guest, conversation: ConversationId, answer: NodeId) -> RequestPreview {
    let query = Query::Request { conversation, answer: Some(answer), parent: None, draft: None, model: None };
    let Reply::Request(preview) = guest.client.query(query).await.unwrap() else { panic!("another reply") };
    *preview
}

#[tokio::test]
async fn what_does_not_fit_is_summarised_first_and_the_summary_is_sent_and_kept() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let (conversation, last) = talked(&stage, &mut guest).await;
    let (user, answer) = guest.send(conversation, Some(last), &now()).await;
    guest.until_asked(&|| asked(&stage), 4).await;
    guest
        .until("it says so", |g| {
            let progress = g.node(conversation, answer).and_then(|node| node.run.as_ref()).map(|run| run.progress.summarising);
            progress == Some(2)
        })
        .await;
    // As many questions as it takes, then the answer.
    let mut chunks = 0;
    loop {
        let request = stage.puppet.asked.lock().unwrap().last().unwrap().clone();
        if request.conversation != "summary" {
            break;
        }
        assert_eq!((request.parameters.integer("max_tokens"), request.messages.len()), (Some(36), 2));
        assert!(chunks > 0 || request.messages[1].text.contains("User: second"), "{request:?}");
        chunks += 1;
        stage.puppet.say(&["They ", "agreed\u{1b}.", "."]);
        let seen = asked(&stage);
        guest.until_asked(&|| asked(&stage), seen + 1).await;
    }
    stage.puppet.say(&["now", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    assert_eq!(guest.text(conversation, answer), "now", "no word of the summary is in the answer");
    let kept = summary(&guest, conversation, answer).unwrap();
    assert!(kept.starts_with("They agreed") && !kept.contains('\u{1b}'), "{kept:?}");
    let sent = stage.puppet.asked.lock().unwrap().last().unwrap().messages.clone();
    assert_eq!(sent.len(), 5);
    assert!(sent[2].text.contains(&kept) && sent[2].text.contains("third") && !sent.iter().any(|m| m.text.contains("second")), "{sent:?}");

    // Asked again, nothing is summarised again.
    let (before, other) = (asked(&stage), guest.client.fresh());
    guest.act(Command::Answer { conversation, parent: user, answer: other, model: None, continues: None }).await.unwrap();
    stage.puppet.say(&["again", "."]);
    guest.until_state(conversation, other, State::Done).await;
    assert_eq!((asked(&stage), summary(&guest, conversation, other)), (before + 1, Some(kept.clone())));
    assert_eq!(stage.puppet.asked.lock().unwrap().last().unwrap().messages, sent);

    let exact = request(&mut guest, conversation, answer).await;
    let folder = stage.end().await;
    let puppet = Puppet::new();
    let door = HostHandle::start(options(folder.path(), &puppet)).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    guest.open(conversation).await;
    assert_eq!(summary(&guest, conversation, answer), Some(kept));
    let rebuilt = request(&mut guest, conversation, answer).await;
    assert_eq!(rebuilt.body, exact.body, "what was sent is known after a restart");
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn a_summary_that_fails_or_is_stopped_sends_nothing() {
    let stage = Stage::with(|options| options.retries = 0).await;
    let mut guest = stage.guest().await;
    let (conversation, last) = talked(&stage, &mut guest).await;
    let (_, answer) = guest.send(conversation, Some(last), &now()).await;
    stage.puppet.say(&["They", "?"]);
    guest.until_state(conversation, answer, State::Failed).await;
    let run = guest.node(conversation, answer).unwrap().run.clone().unwrap();
    let error = run.error.unwrap();
    assert!(error.message.contains("could not be summarised, so nothing was sent: The puppet broke off."), "{error:?}");
    assert!(error.hints.iter().any(|hint| hint.contains(":set overflow cut")), "{error:?}");
    assert_eq!((run.left_out, asked(&stage)), (None, 4));

    let (_, answer) = guest.send(conversation, Some(last), &now()).await;
    guest.until_asked(&|| asked(&stage), 5).await;
    guest.act(Command::Stop { conversation, node: Some(answer) }).await.unwrap();
    guest.until_state(conversation, answer, State::Stopped).await;
    assert_eq!(asked(&stage), 5);
    stage.end().await;
}
