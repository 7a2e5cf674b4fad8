//! A disk that is full, act by act: what cannot be saved is refused and changes nothing, and goes through once there is room.
//!
//! A limit for the files of the host's process is the nearest to a full disk that needs no rights. It is set and lifted while the host
//! runs, so every act meets it in the middle of its own work.

use arbour::error::Kind;
use arbour::proto::*;

use super::home::Home;
use super::lone::{Lone, conversation, told, whole};
use super::stage::within;
use super::support::scripted::{Accident, Dialect, Script, Scripted};

fn text(text: &str) -> Content {
    vec![Part::Text { text: text.into() }]
}

#[tokio::test]
async fn every_act_that_cannot_be_saved_is_refused_whole_and_goes_through_later() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("one two three four").after(2, Accident::Hang));
    let home = Home::with_backend("openai", &server.url());
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    let ids = &mut IdGen::Real;
    let (there, here, away) = (guest.conversation().await, guest.conversation().await, ids.fresh());
    let (root, left, right, folder, inner): (NodeId, NodeId, NodeId, FolderId, FolderId) =
        (ids.fresh(), ids.fresh(), ids.fresh(), ids.fresh(), ids.fresh());
    let (asked, answer, two, two_answer, three, three_answer): (NodeId, NodeId, NodeId, NodeId, NodeId, NodeId) =
        (ids.fresh(), ids.fresh(), ids.fresh(), ids.fresh(), ids.fresh(), ids.fresh());
    let model = Some(ModelRef { backend: "work".into(), model: "scripted".into() });
    let add = |node, parent, role, said: &str| Command::Add { conversation: here, node, parent, role, content: text(said) };
    let keep = |change| Command::Keep { conversations: vec![here, there], change };
    let folders = |id, parent, name: &str| {
        let folder = Folder { id, parent, name: name.into(), template: None, search: None, count: 0, unread: 0 };
        Command::SaveFolder { folder }
    };
    let queued = |node, answer_to, said: &str| Command::Enqueue {
        conversation: here,
        line: answer,
        node,
        answer: answer_to,
        content: text(said),
        model: model.clone(),
    };
    let new = |id| Command::NewConversation { id, title: None, system: None, parameters: Parameters::default(), model: None, saved: true };
    let acts = [
        add(root, None, Role::User, "a question"),
        add(left, Some(root), Role::Assistant, "an answer"),
        add(right, Some(root), Role::Assistant, "another answer"),
        Command::Rename { conversation: here, title: "Trees".into() },
        Command::SetSystem { conversation: here, text: Some("Be brief.".into()) },
        Command::SetHead { conversation: here, head: left },
        Command::SetBranch { conversation: here, name: "main".into(), leaf: Some(left) },
        Command::Rate { conversation: here, node: left, rating: 1 },
        Command::React { conversation: here, node: left, reaction: "🌳".into(), on: true },
        Command::Bookmark { conversation: here, node: left, note: Some("look again".into()) },
        Command::SetMark { conversation: here, letter: 'a', node: Some(right) },
        folders(folder, None, "Work"),
        folders(inner, Some(folder), "Inner"),
        keep(Keep::Pinned(true)),
        keep(Keep::Folder(Some(inner))),
        keep(Keep::Tag { name: "oak".into(), on: true }),
        keep(Keep::Archived(true)),
        keep(Keep::Archived(false)),
        keep(Keep::Unread(true)),
        Command::ArchiveBranch { conversation: here, node: right, archived: true },
        Command::ArchiveBranch { conversation: here, node: right, archived: false },
        Command::Fork { conversation: here, node: Some(left), scope: Scope::PathAndSiblings, to: away },
        Command::Graft { conversation: here, node: right, to: there, under: None, moved: false },
        Command::Graft { conversation: here, node: right, to: there, under: None, moved: true },
        Command::Undo,
        Command::Undo,
        Command::Redo,
        Command::DeleteFolder { id: folder },
        Command::Undo,
        Command::SetDraft { conversation: here, text: "half a thou".into(), attached: Content::new() },
        Command::Send { conversation: here, node: asked, parent: Some(left), content: text("go on"), answer, model: model.clone() },
        queued(two, two_answer, "and then?"),
        queued(three, three_answer, "and after that?"),
        Command::EditQueued { conversation: here, node: two, content: text("and next?") },
        Command::MoveQueued { conversation: here, node: three, to: 0 },
        Command::DropQueued { conversation: here, node: two },
        Command::SendQueued { conversation: here, node: three, beside: true },
        Command::Keep { conversations: vec![away], change: Keep::Deleted(true) },
        Command::DeleteConversation { conversation: away },
        new(ids.fresh()),
        Command::Keep { conversations: vec![there], change: Keep::Deleted(true) },
        Command::EmptyBin,
    ];
    for act in acts {
        let before = told(&mut guest).await;
        lone.disk(true);
        let refused = guest.act(act.clone()).await;
        let after = told(&mut guest).await;
        lone.disk(false);
        let error = match refused {
            Err(error) => error,
            Ok(ack) => panic!("{act:?} gave {ack:?} on a full disk"),
        };
        assert_eq!(error.kind, Kind::File, "{act:?}: {error:?}");
        assert_eq!(before, after, "{act:?} was refused, and left something");
        guest.act(act.clone()).await.unwrap_or_else(|error| panic!("{act:?} with room again: {error:?}"));
        if let Command::Send { answer, .. } = act {
            guest.until("two words", |g| g.text(here, answer) == "one two").await;
        }
        if matches!(act, Command::SendQueued { .. }) {
            guest.until("its two words", |g| g.text(here, three_answer) == "one two").await;
        }
    }
    guest.act(Command::Stop { conversation: here, node: None }).await.unwrap();
    guest.until_state(here, answer, State::Stopped).await;
    guest.until_state(here, three_answer, State::Stopped).await;
    guest.until("it is quiet", |g| g.replica.rows[&here].running == 0).await;
    let at_the_end = whole(&mut guest, here).await;
    drop(guest);
    drop(lone);
    // What the screens saw is what the disk holds.
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    guest.open(here).await;
    assert_eq!(at_the_end, whole(&mut guest, here).await);
    drop(guest);
    drop(lone);
    let path = home.path().join("data/arbour.db");
    let stats = arbour::store::Store::inspect(&path, true).unwrap();
    assert_eq!((stats.problems, stats.conversations), (Vec::new(), 2));
}

#[tokio::test]
async fn an_answer_that_ends_on_a_full_disk_is_shown_and_saved_before_anything_newer() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("one two three four five six").at(3.0));
    let home = Home::with_backend("openai", &server.url());
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    let here = conversation(&mut guest).await;
    let (_, answer) = guest.send(here, None, "count").await;
    let (_, second) = guest.enqueue(here, answer, "again").await;
    lone.disk(true);
    // Nothing of it can be saved, and all of it is there to read: the prompt that waited has gone out too.
    guest.until_state(here, answer, State::Done).await;
    guest.until_state(here, second, State::Done).await;
    assert_eq!(guest.notices.iter().filter(|error| error.kind == Kind::File).count(), 1, "{:?}", guest.notices);
    let rename = Command::Rename { conversation: here, title: "Numbers".into() };
    assert_eq!(guest.act(rename.clone()).await.unwrap_err().kind, Kind::File);
    lone.disk(false);
    guest.act(rename).await.unwrap();
    assert!(guest.notices.iter().any(|error| error.message.contains("is saved now")), "{:?}", guest.notices);
    let seen = whole(&mut guest, here).await;
    drop(guest);
    lone.kill();
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    guest.open(here).await;
    assert_eq!(guest.replica.rows[&here].title, "Numbers");
    assert_eq!(seen, whole(&mut guest, here).await);
}

#[tokio::test]
async fn an_attachment_for_which_there_is_no_room_is_refused_and_leaves_nothing_that_counts() {
    let home = Home::with_config(super::home::QUIET);
    let lone = Lone::start(&home);
    let mut guest = lone.guest().await;
    let bytes = b"an oak".to_vec();
    let attachment = arbour::client::attach::from_bytes("oak.txt", bytes, arbour::client::attach::Limits::default()).unwrap();
    lone.disk(true);
    let error = within(arbour::client::attach::upload(&mut guest.client, &attachment)).await.unwrap_err();
    assert!(error.message.contains("oak.txt") || error.message.contains("attachment"), "{error:?}");
    lone.disk(false);
    within(arbour::client::attach::upload(&mut guest.client, &attachment)).await.unwrap();
    assert_eq!(arbour::host::blobs::measured(&home.path().join("data/blobs")), (1, 6));
}
