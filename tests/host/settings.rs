//! Settings through the host: what is sent, what is kept, what a version was.

use arbour::client::{Client, Introduction};
use arbour::error::Kind;
use arbour::host::HostHandle;
use arbour::proto::*;
use serde_json::{Value, json};

use super::stage::{Guest, Puppet, Stage, options, within};

fn set(value: Value) -> Parameters {
    serde_json::from_value(value).unwrap()
}

fn model() -> ModelRef {
    ModelRef { backend: "puppet".into(), model: "m".into() }
}

fn preset(name: &str, kind: PresetKind, parent: Option<&str>, parameters: Value) -> Preset {
    Preset { name: name.into(), kind, parent: parent.map(str::to_owned), parameters: set(parameters), ..Preset::default() }
}

async fn save(guest: &mut Guest, preset: Preset) {
    guest.act(Command::SavePreset { preset, was: None }).await.unwrap();
}

async fn change(guest: &mut Guest, subject: Subject, key: &str, value: Value) {
    let value = Some(value).filter(|v| !v.is_null());
    guest.act(Command::SetParameters { subject, changes: vec![(key.into(), value)] }).await.unwrap();
}

async fn versions(guest: &mut Guest, subject: Subject) -> Vec<Version> {
    let Reply::Versions(versions) = guest.client.query(Query::Versions { subject, limit: 100 }).await.unwrap() else { panic!("versions") };
    versions
}

async fn request(guest: &mut Guest, conversation: ConversationId, answer: NodeId) -> RequestPreview {
    let query = Query::Request { conversation, answer: Some(answer), parent: None, draft: None, model: None };
    let Reply::Request(preview) = guest.client.query(query).await.unwrap() else { panic!("a request") };
    *preview
}

/// Asks, lets the puppet answer, and gives the answer.
async fn ask(stage: &Stage, guest: &mut Guest, conversation: ConversationId, text: &str) -> NodeId {
    let (_, answer) = guest.send(conversation, None, text).await;
    stage.puppet.say(&["yes", "."]);
    guest.until_state(conversation, answer, State::Done).await;
    answer
}

#[tokio::test]
async fn what_is_set_at_every_level_is_sent_and_stays_what_was_sent() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    save(&mut guest, preset("small", PresetKind::Load, None, json!({"context": 2048}))).await;
    save(&mut guest, preset("calm", PresetKind::Request, None, json!({"temperature": 0.1, "top_k": 9}))).await;
    save(&mut guest, Preset { system: Some("Be brief.".into()), ..preset("terse", PresetKind::Preset, None, json!({"top_k": 5})) }).await;
    guest.act(Command::SetGroup { name: "work".into(), group: Group { load: Some("SMALL".into()), request: None } }).await.unwrap();
    for change in [
        CardChange::Group { name: "work".into(), member: true },
        CardChange::Request(Some("calm".into())),
        CardChange::Preset(Some("terse".into())),
    ] {
        guest.act(Command::SetCards { models: vec![model()], change }).await.unwrap();
    }
    change(&mut guest, Subject::Model(model()), "seed", json!(7)).await;

    let conversation = guest.conversation().await;
    assert_eq!(guest.replica.rows[&conversation].preset.as_deref(), Some("terse"), "what conversations with the model begin with");
    change(&mut guest, Subject::Conversation(conversation), "min_p", json!(0.25)).await;
    let answer = ask(&stage, &mut guest, conversation, "hello").await;
    let sent = stage.puppet.asked.lock().unwrap().remove(0);
    let expected = set(json!({"context": 2048, "temperature": 0.1, "top_k": 5, "seed": 7, "min_p": 0.25}));
    assert_eq!(sent.parameters, expected);
    assert_eq!(sent.messages[0].text, "Be brief.");

    // Everything changes; what was sent does not.
    let terse = Preset { system: Some("Be long.".into()), ..preset("wordy", PresetKind::Preset, None, json!({"top_k": 50})) };
    guest.act(Command::SavePreset { preset: terse, was: Some("terse".into()) }).await.unwrap();
    guest.until("the new name", |g| g.replica.docs[&conversation].conversation.row.preset.as_deref() == Some("wordy")).await;
    assert_eq!(guest.replica.models[0].card.preset.as_deref(), Some("wordy"));
    change(&mut guest, Subject::Preset("calm".into()), "temperature", json!(1.9)).await;
    let folder = stage.end().await;

    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    assert_eq!(guest.replica.presets.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["calm", "small", "wordy"]);
    assert_eq!(guest.replica.groups["work"].load.as_deref(), Some("small"));
    guest.open(conversation).await;
    assert_eq!(guest.replica.docs[&conversation].conversation.row.preset.as_deref(), Some("wordy"));
    let shown = request(&mut guest, conversation, answer).await;
    assert_eq!(shown.body, "system: Be brief.\nuser: hello\n");
    assert!(!shown.notes.iter().any(|n| n.contains("older arbour")), "{:?}", shown.notes);
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn every_change_is_a_version_that_can_come_back() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let conversation = guest.conversation().await;
    let own = || Subject::Conversation(conversation);
    change(&mut guest, own(), "temperature", json!(0.8)).await;
    let first = ask(&stage, &mut guest, conversation, "one").await;
    ask(&stage, &mut guest, conversation, "two").await;
    change(&mut guest, own(), "temperature", json!(0.2)).await;
    change(&mut guest, own(), "temperature", json!(0.2)).await;
    guest.act(Command::SetSystem { conversation, text: Some("Hm.".into()) }).await.unwrap();
    let third = ask(&stage, &mut guest, conversation, "three").await;
    let all = versions(&mut guest, own()).await;
    let told: Vec<_> = all.iter().map(|v| (v.number, v.about.as_str(), v.runs)).collect();
    assert_eq!(
        told,
        [(3, "system prompt default → Hm.", 1), (2, "temperature 0.8 → 0.2", 0), (1, "temperature default → 0.8", 2)],
        "what changed nothing is no version"
    );
    assert_eq!(all[0].last_run.as_ref().map(|u| (u.conversation, u.node)), Some((conversation, third)));
    assert_eq!(all[2].last_run.as_ref().map(|u| u.title.as_str()), Some("one"));
    assert_ne!(all[2].last_run.as_ref().map(|u| u.node), Some(first), "the last of two");

    guest.act(Command::RestoreVersion { subject: own(), number: 1 }).await.unwrap();
    let doc = &guest.replica.docs[&conversation].conversation;
    assert_eq!((&doc.parameters, &doc.system), (&set(json!({"temperature": 0.8})), &None));
    let newest = versions(&mut guest, own()).await.remove(0);
    assert_eq!(newest.about, "back to version 1: system prompt Hm. → default, temperature 0.2 → 0.8");
    let none = guest.act(Command::RestoreVersion { subject: own(), number: 99 }).await.unwrap_err();
    assert_eq!((none.kind, none.message.as_str()), (Kind::NotFound, "There is no version 99 of these settings."));

    let subject = || Subject::Model(model());
    change(&mut guest, subject(), "seed", json!(1)).await;
    change(&mut guest, subject(), "seed", Value::Null).await;
    guest.act(Command::RestoreVersion { subject: subject(), number: 1 }).await.unwrap();
    assert_eq!(guest.replica.models[0].card.parameters, set(json!({"seed": 1})));
    let abouts: Vec<String> = versions(&mut guest, subject()).await.into_iter().map(|v| v.about).collect();
    assert_eq!(abouts, ["seed default → 1", "seed 1 → default", "seed default → 1"]);
    stage.end().await;
}

#[tokio::test]
async fn presets_are_deleted_only_when_nobody_needs_them_and_come_back() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    save(&mut guest, preset("base", PresetKind::Preset, None, json!({"top_k": 1}))).await;
    save(&mut guest, preset("child", PresetKind::Preset, Some("base"), json!({"seed": 1}))).await;
    let delete = |name: &str| Command::DeletePreset { name: name.into() };
    let refused = guest.act(delete("BASE")).await.unwrap_err();
    assert_eq!(refused.message, "The preset “child” uses “base”, so it is not deleted.");

    let conversation = guest.conversation().await;
    guest.act(Command::SetPreset { conversation, preset: Some("CHILD".into()) }).await.unwrap();
    assert_eq!(guest.replica.rows[&conversation].preset.as_deref(), Some("child"));
    let unknown = guest.act(Command::SetPreset { conversation, preset: Some("chidl".into()) }).await.unwrap_err();
    assert_eq!(unknown.hints, ["Did you mean “child”?"]);
    guest.act(delete("child")).await.unwrap();
    let query = Query::Request { conversation, answer: None, parent: None, draft: Some("x".into()), model: None };
    let Reply::Request(preview) = guest.client.query(query).await.unwrap() else { panic!("a request") };
    assert!(preview.notes.contains(&"The conversation names the preset “child”, which is not there any more.".to_owned()));

    guest.act(Command::RestoreVersion { subject: Subject::Preset("child".into()), number: 1 }).await.unwrap();
    assert_eq!(guest.replica.presets.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["base", "child"]);
    guest
        .act(Command::SavePreset { preset: preset("root", PresetKind::Preset, None, json!({"top_k": 2})), was: Some("base".into()) })
        .await
        .unwrap();
    assert_eq!(guest.replica.presets[0].parent.as_deref(), Some("root"), "its child follows");
    let history = versions(&mut guest, Subject::Preset("root".into())).await;
    assert_eq!(history[0].about, "name base → root, top_k 1 → 2");
    assert_eq!(history.len(), 2, "its versions follow");
    stage.end().await;
}

#[tokio::test]
async fn a_model_is_started_with_what_is_kept_and_what_is_asked_for() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    change(&mut guest, Subject::Model(model()), "context", json!(4096)).await;
    change(&mut guest, Subject::Model(model()), "keep_alive", json!("1h")).await;
    change(&mut guest, Subject::Model(model()), "top_k", json!(3)).await;
    stage.puppet.permits.add_permits(1);
    guest.act(Command::StartModel { model: model(), parameters: set(json!({"context": 512})) }).await.unwrap();
    assert_eq!(*stage.puppet.started.lock().unwrap(), [set(json!({"context": 512, "keep_alive": "1h"}))]);
    stage.end().await;
}
