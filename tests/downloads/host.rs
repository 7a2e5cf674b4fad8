//! The queue of downloads over local clients: order, limit, pause, restart, what becomes of files.

use std::sync::Arc;
use std::time::Duration;

use arbour::client::{Client, Introduction};
use arbour::error::Kind;
use arbour::fetch::Hub;
use arbour::host::{HostHandle, HostOptions};
use arbour::proto::*;

use super::stage::{Guest, Puppet, Stage, options, within};
use super::support::registry::{Act, Registry, content, sha};

fn with_hub(registry: &Registry, pulls: usize) -> impl FnOnce(&mut HostOptions) {
    let url = registry.url();
    move |options| {
        options.hub = Hub { bases: vec![url], silence: Duration::from_secs(10), pause: Duration::from_millis(1), token: None };
        options.pulls = pulls;
    }
}

fn pull(source: &str) -> Command {
    Command::Pull { backend: "puppet".into(), source: source.into() }
}

fn key(source: &str) -> String {
    format!("puppet/{source}")
}

fn state(guest: &Guest, source: &str) -> Option<DownloadState> {
    guest.replica.downloads.get(&key(source)).map(|download| download.state)
}

async fn until_state(guest: &mut Guest, source: &str, wanted: DownloadState) {
    let what = format!("{source} {}", wanted.word());
    let waiting = async {
        while state(guest, source) != Some(wanted) {
            let incoming = guest.client.next().await;
            guest.take(incoming);
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), waiting).await.is_err() {
        panic!("never: {what}; {:#?}", guest.replica.downloads);
    }
}

#[tokio::test]
async fn a_model_comes_is_checked_and_told_of() {
    let registry = Registry::start();
    let bytes = content(400_000, 1);
    registry.add("o/r", "x-Q4_K_M.gguf", &bytes).plan("o/r", "x-Q4_K_M.gguf", &[Act::Slow(20_000, Duration::from_millis(30))]);
    let stage = Stage::with(with_hub(&registry, 2)).await;
    let mut guest = stage.guest().await;
    // The form of the source says for whom it is.
    let asked = guest.act(Command::Pull { backend: String::new(), source: " o/r ".into() }).await.unwrap();
    assert_eq!(asked, Ack::Download { key: key("o/r") });
    guest.until("a rate", |g| g.replica.downloads.get(&key("o/r")).is_some_and(|d| d.bytes_per_s.is_some() && d.eta_s().is_some())).await;
    assert_eq!(guest.act(Command::Shutdown { force: false }).await.unwrap_err().kind, Kind::Busy, "a download holds the host");
    until_state(&mut guest, "o/r", DownloadState::Done).await;
    let done = guest.replica.downloads[&key("o/r")].clone();
    assert_eq!((done.done_bytes, done.total_bytes, done.bytes_per_s), (400_000, Some(400_000), None));
    assert_eq!(done.layers[0].sha256, Some(sha(&bytes)));
    assert_eq!(done.model.map(|m| m.model).as_deref(), Some("x-Q4_K_M"));
    assert!(done.note.is_some(), "the puppet opens no files: that the file is there and not run is said");
    assert_eq!(std::fs::read(stage.folder.path().join("data/models/o/r/x-Q4_K_M.gguf")).unwrap(), bytes);

    let error = guest.act(pull("nonsense")).await.unwrap_err();
    assert!(error.kind == Kind::Usage && !error.hints.is_empty(), "said at once: {error:?}");
    let nobody = guest.act(Command::Pull { backend: "nobody".into(), source: "x".into() }).await.unwrap_err();
    assert!(!nobody.hints.is_empty() || !nobody.message.is_empty());
    let name = guest.act(Command::Pull { backend: String::new(), source: "qwen3:8b".into() }).await.unwrap_err();
    assert!(name.kind == Kind::Usage && name.hints.concat().contains("Ollama"), "{name:?}");
    stage.end().await;
}

#[tokio::test]
async fn two_go_on_at_once_in_the_order_in_which_they_were_asked_for() {
    let registry = Registry::start();
    for name in ["a", "b", "c", "d"] {
        registry.add("o/r", &format!("{name}.gguf"), &content(50_000, 1)).plan("o/r", &format!("{name}.gguf"), &[Act::Hang(1000)]);
    }
    let stage = Stage::with(with_hub(&registry, 2)).await;
    let mut guest = stage.guest().await;
    for name in ["a", "b", "c", "d"] {
        guest.act(pull(&format!("o/r/{name}.gguf"))).await.unwrap();
        // Ties of one millisecond go by name, which is the same order here.
    }
    guest.act(pull("o/r/d.gguf")).await.unwrap();
    assert_eq!(guest.replica.downloads.len(), 4, "asked for twice counts once");
    use DownloadState::{Cancelled, Done, Paused, Queued, Running};
    let states = |g: &Guest| ["a", "b", "c", "d"].map(|name| state(g, &format!("o/r/{name}.gguf")).unwrap());
    guest.until("two run", |g| states(g) == [Running, Running, Queued, Queued]).await;
    assert!(registry.server.until_asked("GET /o/r/resolve/main/b.gguf", 1, Duration::from_secs(20)).await);

    guest.act(Command::CancelPull { key: key("o/r/a.gguf"), forget: false }).await.unwrap();
    guest.until("the third begins", |g| states(g) == [Cancelled, Running, Running, Queued]).await;
    guest.act(Command::PausePull { key: key("o/r/b.gguf") }).await.unwrap();
    guest.until("the fourth begins", |g| states(g) == [Cancelled, Paused, Running, Running]).await;
    // Who goes on stands at the end of the queue.
    guest.act(Command::ResumePull { key: key("o/r/b.gguf") }).await.unwrap();
    assert_eq!(states(&guest)[1], Queued);
    guest.act(Command::PausePull { key: key("o/r/c.gguf") }).await.unwrap();
    guest.until("it goes on where it was", |g| states(g)[1] == Done).await;
    assert_eq!(registry.ranges("b.gguf"), [0, 1000]);
    assert_eq!(guest.act(Command::PausePull { key: key("o/r/b.gguf") }).await.unwrap_err().kind, Kind::NotFound, "it has ended");

    let part = stage.folder.path().join("data/models/o/r/c.gguf.part");
    assert!(part.exists(), "a pause keeps what came");
    guest.act(Command::CancelPull { key: key("o/r/c.gguf"), forget: true }).await.unwrap();
    guest.until("forgotten", |g| !g.replica.downloads.contains_key(&key("o/r/c.gguf"))).await;
    within(async {
        while part.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // One that runs is dropped with what came, too.
    let part = stage.folder.path().join("data/models/o/r/d.gguf.part");
    assert!(part.exists());
    guest.act(Command::CancelPull { key: key("o/r/d.gguf"), forget: true }).await.unwrap();
    within(async {
        while part.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(stage.folder.path().join("data/models/o/r/b.gguf").exists(), "whole files stay");
    stage.end().await;
}

#[tokio::test]
async fn a_restart_goes_on_with_what_ran_and_leaves_what_was_paused() {
    let registry = Registry::start();
    let (a, b) = (content(300_000, 1), content(200_000, 2));
    registry.add("o/r", "a.gguf", &a).plan("o/r", "a.gguf", &[Act::Hang(150_000)]);
    registry.add("o/r", "b.gguf", &b).plan("o/r", "b.gguf", &[Act::Hang(50_000)]);
    registry.add("o/r", "c.gguf", &a).plan("o/r", "c.gguf", &[Act::Refuse(404, None)]);
    let stage = Stage::with(with_hub(&registry, 2)).await;
    let mut guest = stage.guest().await;
    guest.act(pull("o/r/c.gguf")).await.unwrap();
    until_state(&mut guest, "o/r/c.gguf", DownloadState::Failed).await;
    guest.act(pull("o/r/a.gguf")).await.unwrap();
    guest.act(pull("o/r/b.gguf")).await.unwrap();
    let came = |g: &Guest, name: &str, bytes: u64| g.replica.downloads.get(&key(name)).is_some_and(|d| d.done_bytes >= bytes);
    guest.until("both came some way", |g| came(g, "o/r/a.gguf", 150_000) && came(g, "o/r/b.gguf", 50_000)).await;
    guest.act(Command::PausePull { key: key("o/r/b.gguf") }).await.unwrap();
    let folder = stage.end().await;

    let puppet = Puppet::new();
    let mut again = options(folder.path(), &puppet);
    with_hub(&registry, 2)(&mut again);
    let door = HostHandle::start(again).await.unwrap();
    let mut guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    assert_eq!(state(&guest, "o/r/b.gguf"), Some(DownloadState::Paused));
    let failed = &guest.replica.downloads[&key("o/r/c.gguf")];
    assert!(failed.state == DownloadState::Failed && failed.error.is_some(), "what has ended is still listed");
    until_state(&mut guest, "o/r/a.gguf", DownloadState::Done).await;
    assert_eq!(registry.ranges("a.gguf"), [0, 150_000], "it went on where it was");
    assert_eq!(std::fs::read(folder.path().join("data/models/o/r/a.gguf")).unwrap(), a);
    assert_eq!(state(&guest, "o/r/b.gguf"), Some(DownloadState::Paused));
    guest.act(Command::ResumePull { key: key("o/r/b.gguf") }).await.unwrap();
    guest.act(Command::ResumePull { key: key("o/r/c.gguf") }).await.unwrap();
    until_state(&mut guest, "o/r/b.gguf", DownloadState::Done).await;
    until_state(&mut guest, "o/r/c.gguf", DownloadState::Done).await;
    assert_eq!(registry.ranges("b.gguf"), [0, 50_000]);
    assert!(guest.replica.downloads[&key("o/r/c.gguf")].error.is_none());
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn of_those_that_ended_the_last_fifty_are_listed() {
    let registry = Registry::start();
    let stage = Stage::with(with_hub(&registry, 4)).await;
    let mut guest = stage.guest().await;
    for n in 0..53 {
        // Nothing is there: each fails at once.
        guest.act(pull(&format!("o/r/{n:02}.gguf"))).await.unwrap();
    }
    guest
        .until("all ended", |g| {
            g.replica.downloads.values().all(|d| d.state == DownloadState::Failed)
                && state(g, "o/r/52.gguf").is_some()
                && g.replica.downloads.len() == 50
        })
        .await;
    let folder = stage.end().await;
    let door = HostHandle::start(options(folder.path(), &Puppet::new())).await.unwrap();
    let guest = Guest::new(Client::through(door.clone(), Introduction::default()).await.unwrap());
    assert_eq!(guest.replica.downloads.len(), 50, "on disk too");
    door.end("over");
    within(door.ended()).await;
}

#[tokio::test]
async fn a_model_is_copied_removed_and_not_while_it_answers() {
    let stage = Stage::new().await;
    let mut guest = stage.guest().await;
    let model = ModelRef { backend: "puppet".into(), model: "m".into() };
    guest.until("the model", |g| g.replica.models.iter().any(|m| m.reference() == model)).await;
    let conversation = guest.conversation().await;
    let (_, answer) = guest.send(conversation, None, "hello").await;
    guest.until_state(conversation, answer, State::Reading).await;
    let busy = guest.act(Command::RemoveModel { model: model.clone() }).await.unwrap_err();
    assert!(busy.kind == Kind::Busy && !busy.hints.is_empty(), "{busy:?}");
    stage.puppet.say(&["."]);
    guest.until_state(conversation, answer, State::Done).await;
    // The puppet can neither: its own words come through.
    let refused = guest.act(Command::RemoveModel { model: model.clone() }).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Unsupported);
    assert_eq!(guest.act(Command::CopyModel { model: model.clone(), to: "n".into() }).await.unwrap_err().kind, Kind::Unsupported);
    let nowhere = ModelRef { backend: "nobody".into(), model: "m".into() };
    assert!(guest.act(Command::CopyModel { model: nowhere, to: "n".into() }).await.is_err());
    assert!(guest.node(conversation, answer).is_some());
    drop(Arc::clone(&stage.puppet));
    stage.end().await;
}
