//! A host over a router: what the router does by itself is noticed and said, and what its models cost is told and kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/stage.rs"]
mod stage;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arbour::backend::{self, Spec};
use arbour::client::Incoming;
use arbour::error::Kind;
use arbour::host::Configured;
use arbour::proto::*;
use stage::{Guest, Stage, within};
use support::router::{Model, Router, Tells};

const SOON: Duration = Duration::from_secs(20);

async fn stage(router: &Router) -> Stage {
    let spec = Spec { name: "box".into(), kind: Some(BackendKind::LlamaServer), url: router.url(), ..Spec::default() };
    Stage::with(|options| {
        options.backends = vec![Configured { spec, key: None }];
        options.build = Arc::new(backend::build);
    })
    .await
}

fn model(name: &str) -> ModelRef {
    ModelRef { backend: "box".into(), model: name.into() }
}

fn loaded() -> Model {
    Model { state: "loaded", ..Model::default() }
}

fn state(guest: &Guest, name: &str) -> Option<ModelState> {
    guest.replica.model(&model(name)).map(|m| m.state)
}

async fn start(guest: &mut Guest, name: &str) {
    guest.act(Command::StartModel { model: model(name), parameters: Parameters::default() }).await.unwrap();
}

/// A guest who is there when the host listens to the router.
async fn listener(stage: &Stage, router: &Router) -> Guest {
    let mut guest = stage.guest().await;
    guest.until("the models", |g| !g.replica.models.is_empty()).await;
    assert!(router.server.until_asked("GET /models/sse", 1, SOON).await);
    guest
}

async fn ask(guest: &mut Guest, query: Query) -> arbour::error::Result<Reply> {
    let id = guest.client.ask(query);
    within(async {
        loop {
            match guest.client.next().await {
                Incoming::Reply { id: got, result } if got == id => return result,
                other => guest.take(other),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_silent_eviction_is_said_and_the_state_follows() {
    let router = Router::start(&[("a", Model::default()), ("b", Model::default())], 1, true, Tells::Well);
    let stage = stage(&router).await;
    let mut guest = listener(&stage, &router).await;
    start(&mut guest, "a").await;
    guest.until("a is loaded", |g| state(g, "a") == Some(ModelState::Loaded)).await;
    start(&mut guest, "b").await;
    guest.until("it is said", |g| g.notices.iter().any(|n| n.message.contains("“a” was unloaded by box to make room for “b”"))).await;
    guest.until("the states", |g| (state(g, "a"), state(g, "b")) == (Some(ModelState::Unloaded), Some(ModelState::Loaded))).await;
    assert_eq!(guest.notices.len(), 1, "{:?}", guest.notices);
    stage.end().await;
}

#[tokio::test]
async fn a_model_that_crashes_is_said_and_one_that_somebody_else_loads_is_seen() {
    let router = Router::start(&[("a", loaded()), ("b", Model::default())], 2, true, Tells::Well);
    let stage = stage(&router).await;
    let mut guest = listener(&stage, &router).await;
    router.happens("b", "loading", None);
    guest.until("b loads", |g| state(g, "b") == Some(ModelState::Loading)).await;
    router.happens("a", "unloaded", Some(-9));
    guest.until("it is said", |g| g.notices.iter().any(|n| n.message.contains("“a”") && n.message.contains("exit code -9"))).await;
    guest.until("it has failed", |g| state(g, "a") == Some(ModelState::Failed)).await;
    assert!(guest.replica.model(&model("a")).unwrap().error.is_some());
    stage.end().await;
}

#[tokio::test]
async fn nobody_listens_when_nobody_is_attached() {
    let router = Router::start(&[("a", Model::default())], 1, true, Tells::Well);
    let stage = stage(&router).await;
    let guest = listener(&stage, &router).await;
    assert_eq!(router.server.left(), 0);
    drop(guest);
    assert!(router.server.until_left(SOON).await, "the stream stays open");
    stage.end().await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again() {
    let router = Router::start(&[("a", Model::default()), ("b", Model::default())], 2, true, Tells::CutAfter(1));
    let stage = stage(&router).await;
    let mut guest = listener(&stage, &router).await;
    start(&mut guest, "a").await;
    assert!(router.server.until_asked("GET /models/sse", 3, SOON).await, "one of the load, two of the watch");
    router.happens("b", "loaded", None);
    guest.until("what it tells then", |g| state(g, "b") == Some(ModelState::Loaded)).await;
    stage.end().await;
}

#[tokio::test]
async fn a_flood_of_events_is_looked_at_no_faster_than_it_can_be() {
    let router = Router::start(&[("a", Model::default())], 1, true, Tells::Garbage);
    let stage = stage(&router).await;
    let mut guest = listener(&stage, &router).await;
    let (begun, before) = (Instant::now(), router.server.asked_for("GET /v1/models").len());
    assert!(router.server.until_asked("GET /v1/models", before + 3, SOON).await);
    assert!(begun.elapsed() > Duration::from_millis(800), "three looks in {:?}", begun.elapsed());
    start(&mut guest, "a").await;
    assert_eq!(router.state("a"), "loaded", "the host works on");
    stage.end().await;
}

#[tokio::test]
async fn what_models_cost_is_asked_while_somebody_watches_and_kept() {
    let router = Router::start(&[("a", loaded()), ("b", Model::default())], 1, true, Tells::Well);
    let stage = stage(&router).await;
    let mut guest = listener(&stage, &router).await;
    assert!(router.server.asked_for("GET /slots").is_empty(), "nobody watches");
    guest.act(Command::Watch { metrics: true, awake: true }).await.unwrap();
    guest.until("an instance", |g| g.samples.last().is_some_and(|s| !s.instances.is_empty())).await;
    let instance = guest.samples.last().unwrap().instances[0].clone();
    assert_eq!((&instance.model, instance.context_used, instance.context, instance.busy), (&model("a"), Some(100), Some(2048), Some(1)));
    assert!(instance.since.is_some_and(|since| since > 0));
    let points = within(async {
        loop {
            let query = Query::Series { model: model("a"), name: "context_used".into(), since: 0 };
            match ask(&mut guest, query).await.unwrap() {
                Reply::Series(points) if !points.is_empty() => return points,
                _ => {}
            }
        }
    });
    assert_eq!(points.await[0].1, 100.0);
    let error = ask(&mut guest, Query::Series { model: model("a"), name: "joy".into(), since: 0 }).await.unwrap_err();
    assert!(error.kind == Kind::NotFound && error.hints[0].contains("memory"), "{error:?}");
    guest.act(Command::StopModel { model: model("a") }).await.unwrap();
    guest.until("it is gone", |g| g.samples.last().is_some_and(|s| s.instances.is_empty())).await;
    stage.end().await;
}

#[tokio::test]
async fn what_models_cost_is_told_once_without_watching() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The process behind the model is this very test.
    let a = Model { arguments: vec!["--port".into(), port.to_string()], ..loaded() };
    let router = Router::start(&[("a", a)], 1, true, Tells::Well);
    let stage = stage(&router).await;
    let mut guest = self::listener(&stage, &router).await;
    let Reply::Instances(instances) = ask(&mut guest, Query::Instances).await.unwrap() else { panic!("instances") };
    assert_eq!(instances.len(), 1);
    assert_eq!((instances[0].model.clone(), instances[0].context_used), (model("a"), Some(100)));
    if cfg!(target_os = "linux") {
        assert_eq!(instances[0].pid, Some(std::process::id()));
        assert!(instances[0].memory.is_some_and(|m| m.source == Source::Measured && m.value > 1e6), "{instances:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn ten_thousand_models_are_listed_and_many_more_are_cut() {
    let many: Vec<(String, Model)> = (0..21_000).map(|n| (format!("m{n:05}"), Model::default())).collect();
    let all: Vec<(&str, Model)> = many.iter().map(|(name, model)| (name.as_str(), model.clone())).collect();
    let router = Router::start(&all, 1, true, Tells::Well);
    let stage = stage(&router).await;
    let mut guest = stage.guest().await;
    guest.until("the models", |g| g.replica.models.len() == 20_000).await;
    guest.until("it is said", |g| g.notices.iter().any(|n| n.message.contains("21000") && n.message.contains("20000"))).await;
    stage.end().await;
}

#[tokio::test]
async fn a_model_that_failed_once_is_not_failed_while_room_is_made_for_it() {
    let failed = Model { exit_code: Some(1), delay: Duration::from_millis(700), ..Model::default() };
    let router = Router::start(&[("a", loaded()), ("b", failed)], 1, true, Tells::Well);
    let stage = stage(&router).await;
    let mut guest = listener(&stage, &router).await;
    guest.until("it has failed before", |g| state(g, "b") == Some(ModelState::Failed)).await;
    let id = guest.client.fresh();
    guest.client.post_as(id, Command::StartModel { model: model("b"), parameters: Parameters::default() });
    guest.until("it loads", |g| state(g, "b") == Some(ModelState::Loading)).await;
    let lists = router.server.asked_for("GET /v1/models").len();
    let seen = within(async {
        let mut seen = Vec::new();
        loop {
            match guest.client.next().await {
                Incoming::Ack { id: got, result } if got == id => break result.map(|_| seen),
                other => guest.take(other),
            }
            seen.extend(state(&guest, "b"));
        }
    });
    let seen = seen.await.unwrap();
    assert!(!seen.contains(&ModelState::Failed), "{seen:?}");
    assert!(router.server.asked_for("GET /v1/models").len() > lists, "it was listed meanwhile");
    guest.until("it is loaded", |g| state(g, "b") == Some(ModelState::Loaded)).await;
    stage.end().await;
}
