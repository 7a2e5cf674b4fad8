//! The `llama-server` kind against a real llama-server in router mode (one model at a time: `one`, `two` and `broken`), whose address
//! stands in `ARBOUR_TEST_ROUTER_URL`.
//!
//! Without that variable the tests say so and pass on a person's machine; in CI they fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use arbour::backend::discover::{Places, discover};
use arbour::backend::{Backend, Change, Update, channel};
use arbour::error::{Error, Kind};
use arbour::proto::{BackendKind, Finish, ModelState, Parameters, Role, State};
use support::hear::{hear, make, request};
use tokio::sync::{Mutex, MutexGuard, mpsc};

const SOON: Duration = Duration::from_secs(60);

/// The router's only place for a model.
static PLACE: Mutex<()> = Mutex::const_new(());

/// The router, with nothing loaded, and the right to load there; `None` when there is none to test against.
async fn router() -> Option<(Arc<dyn Backend>, MutexGuard<'static, ()>)> {
    let url = match std::env::var("ARBOUR_TEST_ROUTER_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => {
            assert!(std::env::var_os("CI").is_none(), "ARBOUR_TEST_ROUTER_URL must name a real llama-server in router mode in CI");
            eprintln!("SKIPPED: set ARBOUR_TEST_ROUTER_URL to the address of a real llama-server in router mode");
            return None;
        }
    };
    let place = PLACE.lock().await;
    let router = make(BackendKind::LlamaServer, &url);
    router.probe().await.unwrap();
    for model in router.models().await.unwrap() {
        if !matches!(model.state, ModelState::Unloaded | ModelState::Failed) {
            router.stop(&model.name).await.unwrap();
        }
    }
    Some((router, place))
}

async fn state(router: &dyn Backend, model: &str) -> ModelState {
    router.model(model).await.unwrap().state
}

async fn start(router: &dyn Backend, model: &str) -> (Result<(), Error>, Vec<u64>) {
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
    tokio::time::timeout(SOON, async { tokio::join!(router.start(model, &parameters, sink), listening) }).await.expect("an end in time")
}

#[tokio::test]
async fn models_are_loaded_with_progress_used_and_unloaded() {
    let Some((router, _place)) = router().await else { return };
    let names: Vec<String> = router.models().await.unwrap().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["broken", "one", "two"]);
    assert!(router.abilities().start && router.abilities().stop);
    let (result, progress) = start(&*router, "one").await;
    result.unwrap();
    assert!(!progress.is_empty() && progress.is_sorted() && progress.iter().all(|p| *p <= 1000), "{progress:?}");
    let model = router.model("one").await.unwrap();
    assert_eq!((model.state, model.context, model.quantisation.as_deref()), (ModelState::Loaded, Some(2048), Some("Q4_1")));
    assert!(model.size_bytes.unwrap() > 1 << 20 && model.capabilities.contains(&"completion".to_owned()));
    let heard = hear(&*router, request("one", &[(Role::User, "Hi")], &[("max_tokens", 8.into())])).await;
    assert!(heard.result.is_ok() && !heard.text().is_empty(), "{:?}", heard.result);
    let instances = router.instances().await.unwrap();
    assert_eq!(instances.len(), 1);
    assert!(instances[0].context_used.unwrap() > 8 && instances[0].slots == Some(1) && instances[0].port.is_some(), "{instances:?}");
    assert_eq!(instances[0].queued, Some(0));
    router.stop("one").await.unwrap();
    assert_eq!(state(&*router, "one").await, ModelState::Unloaded);
    assert!(router.instances().await.unwrap().is_empty());
    router.stop("one").await.expect("what does not run is stopped");
}

#[tokio::test]
async fn a_broken_model_says_why_and_leaves_the_rest_alone() {
    let Some((router, _place)) = router().await else { return };
    let error = start(&*router, "broken").await.0.unwrap_err();
    assert!(error.message.contains("“broken” could not be loaded") && error.message.contains("exit code 1"), "{error:?}");
    assert!(error.hints[0].contains("no-such-file.gguf"), "{error:?}");
    let model = router.model("broken").await.unwrap();
    assert!(model.state == ModelState::Failed && model.error.is_some());
    let heard = hear(&*router, request("broken", &[(Role::User, "Hi")], &[])).await;
    assert!(heard.error().message.contains("exit code 1"), "{:?}", heard.error());
    assert_eq!(start(&*router, "nope").await.0.unwrap_err().kind, Kind::ModelMissing);
    start(&*router, "one").await.0.unwrap();
}

#[tokio::test]
async fn an_answer_loads_its_model_and_shows_it() {
    let Some((router, _place)) = router().await else { return };
    let heard = hear(&*router, request("two", &[(Role::User, "Hi")], &[("max_tokens", 8.into())])).await;
    assert!(matches!(heard.result, Ok(Finish::Stop | Finish::Length)), "{:?}", heard.result);
    let phases = heard.phases();
    assert_eq!(phases[..3], [State::Connecting, State::Waiting, State::Loading], "{phases:?}");
    assert_eq!(phases.last(), Some(&State::Writing), "{phases:?}");
}

#[tokio::test]
async fn what_happens_is_told_evictions_with_their_reason() {
    let Some((router, _place)) = router().await else { return };
    let (out, mut changes) = mpsc::channel(256);
    let watching = tokio::spawn({
        let router = Arc::clone(&router);
        async move { router.watch(out).await }
    });
    assert_eq!(tokio::time::timeout(SOON, changes.recv()).await.unwrap(), Some(Change::Models), "it listens");
    start(&*router, "one").await.0.unwrap();
    start(&*router, "two").await.0.unwrap();
    router.stop("two").await.unwrap();
    let _ = start(&*router, "broken").await;
    let mut told = Vec::new();
    loop {
        match tokio::time::timeout(SOON, changes.recv()).await.expect("in time").expect("a change") {
            Change::Failed { model, error } => {
                assert!(model == "broken" && error.message.contains("exit code 1"), "{error:?}");
                break;
            }
            change => told.push(change),
        }
    }
    watching.abort();
    assert!(told.iter().any(|c| matches!(c, Change::Loading { model, .. } if model == "one")), "{told:?}");
    let evicted: Vec<&Change> = told.iter().filter(|c| matches!(c, Change::Evicted { .. })).collect();
    assert_eq!(evicted, [&Change::Evicted { model: "one".into(), room_for: Some("two".into()) }], "and not what was stopped here");
}

#[tokio::test]
async fn is_found_as_a_llama_server() {
    let Some((router, _place)) = router().await else { return };
    let port: u16 = router.url().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let looked = discover(&Places { ollama_host: None, ports: vec![port] }).await;
    assert_eq!(looked.found.iter().map(|found| found.kind).collect::<Vec<_>>(), [Some(BackendKind::LlamaServer)]);
}
