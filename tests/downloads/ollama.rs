//! Pulling, copying and removing at Ollama, as its own answers show.

use std::time::Duration;

use arbour::backend::PullProgress;
use arbour::error::{Error, Kind};
use arbour::proto::BackendKind;
use serde_json::json;
use tokio::sync::mpsc;

use super::support::hear::make;
use super::support::replay::{Capture, Replay};
use super::support::serve::Server;

async fn pull(server: &Server, name: &str) -> (Result<(), Error>, Vec<PullProgress>) {
    let backend = make(BackendKind::Ollama, &server.url());
    let (out, mut progress) = mpsc::channel(8);
    let hearing = async {
        let mut heard = Vec::new();
        while let Some(one) = progress.recv().await {
            heard.push(one);
        }
        heard
    };
    // The way out is dropped with the pull, which ends the hearing.
    let pulling = async { backend.pull(name, out).await };
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(pulling, hearing) }).await.expect("the pull hangs")
}

#[tokio::test]
async fn a_pull_tells_its_layers_and_one_that_breaks_is_asked_for_again() {
    let server = Replay::start(&[
        ("POST /api/pull", Capture::load("ollama-pull-cancelled").pieces(300)),
        ("POST /api/pull", Capture::load("ollama-pull-again").pieces(70)),
    ]);
    let (result, heard) = pull(&server, "smollm2:135m").await;
    result.unwrap();
    let asked = server.asked_for("POST /api/pull");
    assert_eq!(asked.len(), 2, "Ollama keeps what came, so it is asked again");
    assert_eq!((&asked[0].json()["model"], &asked[0].json()["insecure"]), (&json!("smollm2:135m"), &serde_json::Value::Null));
    let rising: Vec<u64> = heard.iter().filter_map(|p| p.layers.first()).map(|l| l.done_bytes).collect();
    assert!(rising.is_sorted() && rising.len() > 5, "{rising:?}");
    let last = heard.last().unwrap();
    assert_eq!((last.layers.len(), last.layers[1].total_bytes), (4, Some(102)));
    assert_eq!(last.layers[0].sha256.as_deref(), Some("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"));
}

#[tokio::test]
async fn what_the_registry_does_not_have_is_said_once() {
    let server = Replay::start(&[("POST /api/pull", Capture::load("ollama-pull-unknown"))]);
    let (result, _) = pull(&server, "http://127.0.0.1:1/library/nope:1").await;
    let error = result.unwrap_err();
    assert!(error.kind == Kind::ModelMissing && error.message.contains("nope"), "{error:?}");
    assert_eq!(server.asked().len(), 1, "asking again does not help");
    assert_eq!(server.asked()[0].json()["insecure"], json!(true), "plain HTTP was written, so it is meant");

    let like = Replay::start(&[("POST /api/pull", Capture::load("ollamalike-pull"))]);
    let error = pull(&like, "smollm2").await.0.unwrap_err();
    assert!(!error.message.is_empty() && like.asked().len() == 1, "{error:?}");
    let page = Replay::start(&[("POST /api/pull", Capture::made(200, "text/html", "<html><title>Sign in</title>"))]);
    assert_eq!(pull(&page, "x").await.0.unwrap_err().kind, Kind::Malformed);
}

#[tokio::test]
async fn dropping_a_pull_leaves_the_server() {
    let server = Replay::start(&[("POST /api/pull", Capture::load("ollama-pull-cancelled").stall_at(2000))]);
    let backend = make(BackendKind::Ollama, &server.url());
    let (out, mut progress) = mpsc::channel(1);
    tokio::select! {
        result = backend.pull("smollm2:135m", out) => panic!("it cannot end: {result:?}"),
        () = async { while progress.recv().await.is_some_and(|p| p.layers.is_empty()) {} } => {}
    }
    assert!(server.until_left(Duration::from_secs(20)).await, "the connection is closed, which ends it there");
}

#[tokio::test]
async fn models_are_copied_and_removed() {
    let server = Replay::start(&[
        ("POST /api/copy", Capture::load("ollama-copy")),
        ("DELETE /api/delete", Capture::load("ollama-delete-copy")),
        ("DELETE /api/delete", Capture::load("ollama-delete-unknown")),
    ]);
    let backend = make(BackendKind::Ollama, &server.url());
    let can = backend.abilities();
    assert!(can.pull && can.copy && can.remove);
    backend.copy("smollm2:135m", "copy-of-smol").await.unwrap();
    backend.remove("copy-of-smol").await.unwrap();
    let error = backend.remove("nope").await.unwrap_err();
    assert_eq!(error.kind, Kind::ModelMissing, "{error:?}");
    assert_eq!(server.asked()[0].json(), json!({ "source": "smollm2:135m", "destination": "copy-of-smol" }));
    assert_eq!(server.asked()[1].json()["model"], "copy-of-smol");

    let other = make(BackendKind::OpenAi, &server.url());
    for refused in [other.remove("x").await, other.copy("x", "y").await, other.pull("x", mpsc::channel(1).0).await] {
        let error = refused.unwrap_err();
        assert!(error.kind == Kind::Unsupported && !error.hints.is_empty(), "{error:?}");
    }
    assert!(!other.abilities().pull);
}
