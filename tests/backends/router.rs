//! llama-server as a router: loading and unloading with progress, what it tells by itself, and what it may do wrong.

use std::time::Duration;

use arbour::backend::{Backend, Change, Update, channel};
use arbour::error::{Error, Kind};
use arbour::proto::{BackendKind, Finish, ModelState, Parameters, State};
use tokio::sync::mpsc;

use super::support::hear::{hear, hi, make};
use super::support::replay::{Capture, Replay};
use super::support::router::{Model, Router, Tells};

const SOON: Duration = Duration::from_secs(20);

fn steps(steps: &[f64]) -> Model {
    Model { steps: steps.to_vec(), pace: Duration::from_millis(5), ..Model::default() }
}

fn router(models: &[(&str, Model)], tells: Tells) -> (Router, std::sync::Arc<dyn Backend>) {
    let router = Router::start(models, 1, true, tells);
    let backend = make(BackendKind::LlamaServer, &router.url());
    (router, backend)
}

async fn start(backend: &dyn Backend, model: &str) -> (Result<(), Error>, Vec<u64>) {
    let (sink, mut source) = channel();
    let (parameters, listening) = (Parameters::default(), async {
        let mut seen = Vec::new();
        while let Some(update) = source.next().await {
            if let Update::Phase(State::Loading, progress) = update {
                seen.extend(progress.done);
            }
        }
        seen
    });
    tokio::time::timeout(SOON, async { tokio::join!(backend.start(model, &parameters, sink), listening) }).await.expect("an end in time")
}

async fn state(backend: &dyn Backend, model: &str) -> ModelState {
    backend.model(model).await.expect("the model").state
}

#[tokio::test]
async fn a_load_is_waited_for_with_progress_and_an_unload_too() {
    let slow = Model { pace: Duration::from_millis(40), ..steps(&[0.0, 0.25, 0.5, 1.0]) };
    let (router, backend) = router(&[("a", slow), ("b", Model::default())], Tells::Well);
    assert!(!backend.abilities().start, "nothing is known before it was asked");
    backend.probe().await.unwrap();
    assert!(backend.abilities().start && backend.abilities().stop && !backend.abilities().pull && !backend.abilities().remove);
    let (result, progress) = start(&*backend, "a").await;
    result.unwrap();
    assert!(progress.contains(&250) && progress.contains(&500) && progress.is_sorted(), "{progress:?}");
    assert_eq!((router.state("a"), state(&*backend, "a").await), ("loaded", ModelState::Loaded));
    assert!(start(&*backend, "a").await.0.is_ok(), "it is loaded already");
    backend.stop("a").await.unwrap();
    assert_eq!(router.state("a"), "unloaded");
    backend.stop("a").await.expect("what does not run is stopped");
    assert_eq!(start(&*backend, "nope").await.0.unwrap_err().kind, Kind::ModelMissing);
}

#[tokio::test]
async fn a_load_ends_well_however_the_router_tells_of_it() {
    for tells in [Tells::Nothing, Tells::Silence, Tells::Garbage, Tells::CutAfter(0), Tells::CutAfter(1)] {
        let (router, backend) = router(&[("a", steps(&[0.0, 1.0]))], tells);
        start(&*backend, "a").await.0.unwrap_or_else(|e| panic!("{tells:?}: {e:?}"));
        assert_eq!(router.state("a"), "loaded", "{tells:?}");
    }
}

#[tokio::test]
async fn a_load_that_fails_says_why() {
    for tells in [Tells::Well, Tells::Nothing] {
        let (_router, backend) = router(&[("a", Model { fails: Some(1), ..steps(&[0.0]) })], tells);
        let error = start(&*backend, "a").await.0.unwrap_err();
        assert!(
            error.kind == Kind::Server && error.message.contains("“a”") && error.message.contains("exit code 1"),
            "{tells:?} {error:?}"
        );
        assert!(error.hints[0].contains("/srv/a-Q4_0.gguf"), "{error:?}");
        let models = backend.models().await.unwrap();
        assert_eq!(models[0].state, ModelState::Failed);
        assert!(models[0].error.as_ref().is_some_and(|e| e.message.contains("exit code 1")), "{models:?}");
    }
}

#[tokio::test]
async fn a_load_that_hangs_waits_and_is_taken_back_when_it_is_dropped() {
    let (router, backend) = router(&[("a", Model { hangs: true, ..steps(&[0.3]) })], Tells::Well);
    let (sink, mut source) = channel();
    let working = tokio::spawn(async move { backend.start("a", &Parameters::default(), sink).await });
    let told = tokio::time::timeout(SOON, async {
        while let Some(update) = source.next().await {
            if matches!(&update, Update::Phase(State::Loading, progress) if progress.done == Some(300)) {
                return true;
            }
        }
        false
    });
    assert!(told.await.unwrap(), "no progress");
    assert!(!working.is_finished());
    working.abort();
    assert!(router.server.until_asked("POST /models/unload", 1, SOON).await, "it was not taken back");
}

#[tokio::test]
async fn a_sleeper_is_woken_and_a_load_of_somebody_else_is_waited_for() {
    let (router, backend) = router(&[("a", Model { state: "sleeping", ..Model::default() })], Tells::Well);
    start(&*backend, "a").await.0.unwrap();
    assert_eq!(router.state("a"), "loaded");
    assert!(router.server.asked_for("POST /models/load").is_empty());
    let (router, backend) = self::router(&[("b", Model { state: "loading", ..Model::default() })], Tells::Nothing);
    let waiting = tokio::spawn(async move { start(&*backend, "b").await.0 });
    assert!(router.server.until_asked("GET /models/sse", 1, SOON).await);
    router.happens("b", "loaded", None);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_shows_the_load_that_it_brings_about() {
    let slow = Model { pace: Duration::from_millis(60), ..steps(&[0.1, 0.6, 1.0]) };
    let (_router, backend) = router(&[("a", slow), ("broken", Model { fails: Some(1), ..steps(&[0.0]) })], Tells::Well);
    backend.probe().await.unwrap();
    let heard = hear(&*backend, hi("a")).await;
    assert_eq!((heard.result.clone(), heard.text().as_str()), (Ok(Finish::Stop), "Hello there"));
    let phases = heard.phases();
    assert_eq!(phases[..3], [State::Connecting, State::Waiting, State::Loading], "{phases:?}");
    assert_eq!(phases.last(), Some(&State::Writing), "{phases:?}");
    assert!(heard.progress().iter().any(|p| p.done == Some(600) && p.total == Some(1000)), "{:?}", heard.progress());
    let error = hear(&*backend, hi("broken")).await.result.unwrap_err();
    assert!(error.message.contains("exit code 1") && error.hints[0].contains("/srv/broken"), "{error:?}");
    let again = hear(&*backend, hi("a")).await;
    assert!(again.result.is_ok());
}

#[tokio::test]
async fn a_router_that_loads_nothing_by_itself_says_that_it_must_be_started() {
    let router = Router::start(&[("a", Model::default())], 1, false, Tells::Well);
    let backend = make(BackendKind::LlamaServer, &router.url());
    backend.probe().await.unwrap();
    let error = hear(&*backend, hi("a")).await.result.unwrap_err();
    assert!(error.kind == Kind::ModelMissing && error.hints[0].contains("Start it"), "{error:?}");
    assert_eq!(router.state("a"), "unloaded", "it was told not to load by itself, and is left so");
}

async fn until(changes: &mut mpsc::Receiver<Change>, wanted: impl Fn(&Change) -> bool) -> Change {
    let mut seen = Vec::new();
    let found = tokio::time::timeout(SOON, async {
        while let Some(change) = changes.recv().await {
            if wanted(&change) {
                return Some(change);
            }
            seen.push(change);
        }
        None
    });
    match found.await {
        Ok(Some(change)) => change,
        _ => panic!("it was not told; told were {seen:?}"),
    }
}

#[tokio::test]
async fn what_happens_at_the_router_is_told() {
    for tells in [Tells::Well, Tells::Nothing] {
        let (router, backend) = router(&[("a", Model::default()), ("b", Model::default()), ("c", Model::default())], tells);
        backend.probe().await.unwrap();
        let (out, mut changes) = mpsc::channel(64);
        let watching = tokio::spawn({
            let backend = std::sync::Arc::clone(&backend);
            async move { backend.watch(out).await }
        });
        let route = if tells == Tells::Well { "GET /models/sse" } else { "GET /v1/models" };
        assert!(router.server.until_asked(route, 1, SOON).await);
        if tells == Tells::Well {
            until(&mut changes, |c| *c == Change::Models).await;
        }
        start(&*backend, "a").await.0.unwrap();
        until(&mut changes, |c| *c == Change::Models).await;
        start(&*backend, "b").await.0.unwrap();
        let evicted = until(&mut changes, |c| matches!(c, Change::Evicted { .. })).await;
        assert_eq!(evicted, Change::Evicted { model: "a".into(), room_for: Some("b".into()) }, "{tells:?}");
        router.happens("b", "unloaded", Some(-9));
        let Change::Failed { model, error } = until(&mut changes, |c| matches!(c, Change::Failed { .. })).await else { unreachable!() };
        assert!(model == "b" && error.message.contains("exit code -9"), "{error:?}");
        watching.abort();
    }
}

#[tokio::test]
async fn what_was_asked_for_here_is_no_eviction() {
    let (router, backend) = router(&[("a", Model::default()), ("b", Model::default())], Tells::Well);
    backend.probe().await.unwrap();
    let (out, mut changes) = mpsc::channel(64);
    let watching = tokio::spawn({
        let backend = std::sync::Arc::clone(&backend);
        async move { backend.watch(out).await }
    });
    until(&mut changes, |c| *c == Change::Models).await;
    start(&*backend, "a").await.0.unwrap();
    backend.stop("a").await.unwrap();
    start(&*backend, "b").await.0.unwrap();
    // The marker: everything before it was told.
    router.happens("b", "unloaded", Some(7));
    let mut told = Vec::new();
    loop {
        match tokio::time::timeout(SOON, changes.recv()).await.expect("in time").expect("a change") {
            Change::Failed { .. } => break,
            other => told.push(other),
        }
    }
    assert!(!told.iter().any(|c| matches!(c, Change::Evicted { .. })), "{told:?}");
    watching.abort();
}

#[tokio::test]
async fn a_stream_that_breaks_ends_the_watch_and_garbage_tells_nothing() {
    let (_router, backend) = router(&[("a", Model::default())], Tells::CutAfter(1));
    backend.probe().await.unwrap();
    let (out, _changes) = mpsc::channel(64);
    let watching = tokio::spawn({
        let backend = std::sync::Arc::clone(&backend);
        async move { backend.watch(out).await }
    });
    start(&*backend, "a").await.0.unwrap();
    let ended = tokio::time::timeout(SOON, watching).await.expect("an end in time").unwrap();
    assert!(ended.is_err(), "the host must know, to begin again");

    let (router, backend) = self::router(&[("a", Model::default())], Tells::Garbage);
    backend.probe().await.unwrap();
    let (out, mut changes) = mpsc::channel(64);
    let watching = tokio::spawn({
        let backend = std::sync::Arc::clone(&backend);
        async move { backend.watch(out).await }
    });
    until(&mut changes, |c| *c == Change::Models).await;
    for _ in 0..20 {
        assert!(matches!(changes.recv().await, Some(Change::Models)), "names of models that there are not mean no more than a look");
    }
    watching.abort();
    assert_eq!(router.server.left(), 0);
}

#[tokio::test]
async fn what_a_model_can_is_known_when_it_was_loaded_once() {
    let (_router, backend) = router(&[("a", Model::default())], Tells::Well);
    let before = backend.model("a").await.unwrap();
    assert_eq!(before.capabilities, ["completion"]);
    assert_eq!(before.quantisation.as_deref(), Some("Q4_0"), "from its file's name");
    start(&*backend, "a").await.0.unwrap();
    let loaded = backend.model("a").await.unwrap();
    assert_eq!((loaded.capabilities, loaded.context), (vec!["completion".into(), "vision".into(), "tools".into()], Some(2048)));
    backend.stop("a").await.unwrap();
    let after = backend.model("a").await.unwrap();
    assert_eq!((after.state, after.capabilities.len()), (ModelState::Unloaded, 3));
}

#[tokio::test]
async fn only_what_the_router_fetched_is_deleted() {
    let kept = Model::default();
    let fetched = Model { can_remove: true, ..Model::default() };
    let (router, backend) = router(&[("kept", kept), ("me/Small-GGUF:Q4_0", fetched)], Tells::Well);
    backend.models().await.unwrap();
    assert!(backend.abilities().remove);
    let error = backend.remove("kept").await.unwrap_err();
    assert!(error.kind == Kind::Unsupported && router.server.asked_for("DELETE /models").is_empty(), "{error:?}");
    backend.remove("me/Small-GGUF:Q4_0").await.unwrap();
    assert_eq!(backend.models().await.unwrap().len(), 1);
    assert_eq!(backend.pull("me/x", mpsc::channel(1).0).await.unwrap_err().kind, Kind::Unsupported);
}

#[tokio::test]
async fn what_it_costs_is_asked_of_who_is_awake_only() {
    let port = |port: &str| vec!["--port".to_owned(), port.to_owned()];
    let awake = Model { state: "loaded", arguments: port("4321"), ..Model::default() };
    let asleep = Model { state: "sleeping", arguments: port("4322"), ..Model::default() };
    let drowsy = Model { state: "loaded", arguments: vec!["--sleep-idle-seconds".into(), "60".into()], ..Model::default() };
    let models = [("awake", awake), ("asleep", asleep), ("drowsy", drowsy), ("unloaded", Model::default())];
    let router = Router::start(&models, 4, true, Tells::Well);
    let backend = make(BackendKind::LlamaServer, &router.url());
    let mut instances = backend.instances().await.unwrap();
    instances.sort_by(|a, b| a.model.model.cmp(&b.model.model));
    let names: Vec<_> = instances.iter().map(|i| i.model.model.as_str()).collect();
    assert_eq!(names, ["asleep", "awake", "drowsy"]);
    assert_eq!(
        (instances[1].context_used, instances[1].busy, instances[1].slots, instances[1].port),
        (Some(100), Some(1), Some(1), Some(4321))
    );
    assert_eq!((instances[0].slots, instances[0].port, instances[2].slots), (None, Some(4322), Some(1)));
    // One that would go to sleep is left in peace between two looks, and what it said holds.
    let again = backend.instances().await.unwrap();
    assert!(again.iter().any(|i| i.model.model == "drowsy" && i.slots == Some(1)), "{again:?}");
    let mut asked: Vec<String> = router.server.asked_for("GET /slots").into_iter().map(|a| a.path).collect();
    asked.sort();
    assert_eq!(asked, ["/slots?model=awake", "/slots?model=awake", "/slots?model=drowsy"]);
}

#[tokio::test]
async fn real_events_are_understood() {
    let server = Replay::start(&[
        ("GET /props", Capture::load("router-props")),
        ("GET /v1/models", Capture::load("router-models-after-broken")),
        ("GET /models/sse", Capture::load("router-models-sse").pieces(7)),
    ]);
    let backend = make(BackendKind::LlamaServer, &server.url());
    backend.probe().await.unwrap();
    let models = backend.models().await.unwrap();
    let broken = models.iter().find(|m| m.name == "broken").unwrap();
    assert!(broken.state == ModelState::Failed && broken.error.as_ref().unwrap().message.contains("exit code 1"), "{broken:?}");
    assert!(!models.iter().any(|m| m.name == "default"), "the section for all models is no model");
    let (out, mut changes) = mpsc::channel(64);
    assert_eq!(backend.watch(out).await.unwrap_err().kind, Kind::Disconnected);
    let mut told = Vec::new();
    while let Some(change) = changes.recv().await {
        if !matches!(change, Change::Models | Change::Loading { .. }) {
            told.push(change);
        }
    }
    let [Change::Evicted { model, room_for }, Change::Evicted { model: second, .. }, Change::Failed { model: third, .. }] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(
        (model.as_str(), room_for.as_deref(), second.as_str(), third.as_str()),
        ("smollm2", Some("gemma3-270m"), "gemma3-270m", "broken")
    );
}

#[tokio::test]
async fn many_models_and_hostile_names_are_listed() {
    let many: Vec<(String, Model)> = (0..10_000).map(|n| (format!("model-{n:05}"), Model::default())).collect();
    let mut all: Vec<(&str, Model)> = many.iter().map(|(name, model)| (name.as_str(), model.clone())).collect();
    all.push(("\u{1b}]0;pwned\u{7}\n", Model { fails: Some(1), exit_code: Some(1), ..Model::default() }));
    let (_router, backend) = router(&all, Tells::Well);
    let models = backend.models().await.unwrap();
    assert_eq!(models.len(), 10_001);
    let error = models.iter().find_map(|m| m.error.clone()).expect("one failed");
    assert!(!format!("{error:?}{}", error.message).contains('\u{1b}'), "{error:?}");
    let error = start(&*backend, "\u{1b}[2Jnope").await.0.unwrap_err();
    assert!(!error.message.contains('\u{1b}'), "{error:?}");
}
