//! Titles by a model: in quiet moments, where that is turned on, and never in the way of an answer.

use arbour::error::Kind;
use arbour::host::TitleOptions;
use arbour::proto::*;

use super::stage::{Guest, Stage};

fn title(guest: &Guest, conversation: ConversationId) -> (String, Titled) {
    let row = &guest.replica.rows[&conversation];
    (row.title.clone(), row.titled)
}

#[tokio::test]
async fn a_model_gives_a_title_in_a_quiet_moment_and_once_only() {
    let stage = Stage::with(|options| options.titles = TitleOptions { by_model: true, model: None }).await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "how do I sort in rust").await;
    stage.puppet.say(&["with ", "sort()", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    assert_eq!(title(&guest, conversation), ("how do I sort in rust".into(), Titled::Words));
    stage.puppet.say(&["Title: \"Sorting ", "in Rust\"\n", "."]);
    guest.until("the title", |g| title(g, conversation).1 == Titled::Model).await;
    assert_eq!(title(&guest, conversation).0, "Sorting in Rust");
    let asked = stage.puppet.asked.lock().unwrap().last().unwrap().clone();
    assert!(asked.messages[0].text.contains("how do I sort in rust") && asked.messages[0].text.contains("with sort()"), "{asked:?}");
    assert_eq!(asked.parameters.integer("max_tokens"), Some(24));
    guest.act(Command::Rename { conversation, title: "Mine".into() }).await.unwrap();
    assert_eq!(title(&guest, conversation), ("Mine".into(), Titled::Person));
    stage.end().await;
}

#[tokio::test]
async fn a_title_that_was_asked_for_makes_room_for_an_answer_and_comes_after_it() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    stage.puppet.say(&["hi", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    guest.act(Command::GiveTitle { conversation }).await.unwrap();
    let asked = || stage.puppet.asked.lock().unwrap().len();
    guest.until_asked(&asked, 2).await;
    let (_, second) = guest.send(conversation, Some(answer), "more").await;
    stage.puppet.say(&["much ", "more", "."]);
    guest.until_state(conversation, second, State::Done).await;
    assert_eq!(guest.text(conversation, second), "much more", "not a word of it went into a title");
    guest.until_asked(&asked, 4).await;
    stage.puppet.say(&["***", "."]);
    guest.until("it is said that there is none", |g| g.notices.iter().any(|n| n.message.starts_with("It got no title"))).await;
    assert_eq!(title(&guest, conversation), ("hello".into(), Titled::Words), "the words stay");

    // Also over a title that a person gave, which comes back.
    guest.act(Command::Rename { conversation, title: "Mine".into() }).await.unwrap();
    guest.act(Command::GiveTitle { conversation }).await.unwrap();
    stage.puppet.say(&["Greetings", "."]);
    guest.until("the title", |g| title(g, conversation) == ("Greetings".into(), Titled::Model)).await;
    let Ok(Ack::Undone(undone)) = guest.act(Command::Undo).await else { panic!("it is not undone") };
    assert_eq!(undone.about, "had a model call it “Greetings”");
    assert_eq!(title(&guest, conversation), ("Mine".into(), Titled::Person));

    *stage.puppet.state.lock().unwrap() = ModelState::Unloaded;
    guest.act(Command::Refresh).await.unwrap();
    let error = guest.act(Command::GiveTitle { conversation }).await.unwrap_err();
    assert_eq!(error.kind, Kind::NoModel, "nothing is loaded for a title");
    stage.end().await;
}
