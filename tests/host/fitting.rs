//! What fits, what would have to stop, and what it really took: over local clients, with a backend that tells what it is told to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::stage::{Guest, Stage, within};
use arbour::backend::{Abilities, Backend, Probe, Request, Sink, Spec};
use arbour::client::Incoming;
use arbour::error::{Error, Kind, Result};
use arbour::host::Configured;
use arbour::proto::*;
use serde_json::json;

/// Models of any size; `hangs` never tells of itself.
#[derive(Default)]
struct Scales {
    /// What each model weighs, and what it says that it takes while it is loaded.
    weights: Mutex<BTreeMap<String, u64>>,
    loaded: Mutex<BTreeMap<String, u64>>,
    inspected: AtomicUsize,
}

fn reference(model: &str) -> ModelRef {
    ModelRef { backend: "scales".into(), model: model.into() }
}

#[async_trait]
impl Backend for Scales {
    fn name(&self) -> &str {
        "scales"
    }
    fn kind(&self) -> BackendKind {
        BackendKind::Ollama
    }
    fn url(&self) -> Option<&str> {
        None
    }
    fn abilities(&self) -> Abilities {
        Abilities { start: true, stop: true, ..Abilities::default() }
    }
    async fn probe(&self) -> Result<Probe> {
        Ok(Probe { version: None, latency_ms: 0.1 })
    }
    async fn models(&self) -> Result<Vec<ModelInfo>> {
        let loaded = self.loaded.lock().unwrap().clone();
        let info = |(name, bytes): (&String, &u64)| ModelInfo {
            size_bytes: Some(*bytes),
            state: if loaded.contains_key(name) { ModelState::Loaded } else { ModelState::Unloaded },
            memory_bytes: loaded.get(name).copied(),
            ..ModelInfo::named("scales", self.kind(), name)
        };
        Ok(self.weights.lock().unwrap().iter().map(info).collect())
    }
    async fn model(&self, name: &str) -> Result<ModelInfo> {
        self.models().await?.into_iter().find(|m| m.name == name).ok_or_else(|| Error::new(Kind::ModelMissing, "It is not there."))
    }
    async fn inspect(&self, name: &str) -> Result<Inspection> {
        self.inspected.fetch_add(1, Ordering::SeqCst);
        if name == "hangs" {
            std::future::pending::<()>().await;
        }
        let model = self.model(name).await?;
        let weights = model.size_bytes.unwrap_or(0);
        let anatomy = Anatomy { architecture: "llama".into(), layers: 2, width: 64, weights, ..Anatomy::default() };
        Ok(Inspection { anatomy: (name != "silent").then_some(anatomy), licence: Some("mine".into()), ..Inspection::of(model) })
    }
    async fn start(&self, model: &str, _: &Parameters, _: Sink) -> Result<()> {
        self.loaded.lock().unwrap().insert(model.to_owned(), 12_345);
        Ok(())
    }
    async fn stop(&self, model: &str) -> Result<()> {
        self.loaded.lock().unwrap().remove(model);
        Ok(())
    }
    fn preview(&self, _: &Request) -> RequestPreview {
        RequestPreview { method: "POST".into(), url: "/".into(), body: String::new(), curl: None, notes: Vec::new() }
    }
    async fn generate(&self, _: Request, out: Sink) -> Result<Finish> {
        out.text("word");
        Ok(Finish::Stop)
    }
}

impl Scales {
    fn with(models: &[(&str, u64)]) -> Arc<Self> {
        let scales = Self::default();
        *scales.weights.lock().unwrap() = models.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        Arc::new(scales)
    }

    async fn stage(self: &Arc<Self>, url: &str) -> Stage {
        let scales = Arc::clone(self);
        let spec = Spec { name: "scales".into(), kind: Some(BackendKind::Ollama), url: url.into(), ..Spec::default() };
        Stage::with(|options| {
            options.backends = vec![Configured { spec, key: None }];
            options.build = Arc::new(move |_| Ok(Arc::clone(&scales) as Arc<dyn Backend>));
        })
        .await
    }
}

async fn ask(guest: &mut Guest, query: Query) -> Result<Reply> {
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

async fn fits(guest: &mut Guest, models: &[&str], parameters: serde_json::Value) -> Vec<Fit> {
    let models = models.iter().map(|model| reference(model)).collect();
    let parameters = serde_json::from_value(parameters).unwrap();
    match ask(guest, Query::Fit { models, parameters }).await.unwrap() {
        Reply::Fits(fits) => fits,
        other => panic!("{other:?}"),
    }
}

async fn guest_of(stage: &Stage) -> Guest {
    let mut guest = stage.guest().await;
    guest.until("the models", |g| !g.replica.models.is_empty()).await;
    guest
}

#[tokio::test]
async fn small_fits_huge_never_does_and_the_settings_asked_for_count() {
    let scales = Scales::with(&[("small", 1_000), ("huge", 1 << 50), ("silent", 5)]);
    let stage = scales.stage("").await;
    let mut guest = guest_of(&stage).await;
    let found = fits(&mut guest, &["small", "huge", "silent"], json!({ "context": 512 })).await;
    assert_eq!(found.iter().map(|fit| fit.verdict).collect::<Vec<_>>(), [Verdict::Fits, Verdict::Never, Verdict::Unknown]);
    assert!(found[0].free_memory.is_some_and(|free| free > 0 && Some(free) < found[0].total_memory));
    assert_eq!(found[0].estimate.as_ref().unwrap().context, 512);
    assert!(found[1].stop.is_empty(), "stopping others makes no machine larger");
    assert!(found[2].estimate.is_none() && found[2].unknown.as_ref().unwrap().contains("scales"), "{:?}", found[2]);
    let before = scales.inspected.load(Ordering::SeqCst);
    fits(&mut guest, &["small"], json!({})).await;
    assert_eq!(scales.inspected.load(Ordering::SeqCst), before, "what decides its memory is remembered while the model is the same");
    let many: Vec<ModelRef> = (0..1000).map(|n| reference(&n.to_string())).collect();
    assert_eq!(ask(&mut guest, Query::Fit { models: many, parameters: Parameters::default() }).await.unwrap_err().kind, Kind::Usage);
    let gone = fits(&mut guest, &["nobody"], json!({})).await;
    assert_eq!((gone[0].verdict, gone[0].unknown.as_deref()), (Verdict::Unknown, Some("It is not there.")));
}

#[tokio::test]
async fn room_is_proposed_and_pinned_models_are_not() {
    let scales = Scales::with(&[("big", 1), ("old", 2), ("kept", 3)]);
    let stage = scales.stage("").await;
    let mut guest = guest_of(&stage).await;
    let free = fits(&mut guest, &["big"], json!({})).await.remove(0);
    let (free, total) = (free.free_memory.unwrap(), free.total_memory.unwrap());
    // Too large for what is free (whatever else this machine does meanwhile), not for the machine.
    scales.weights.lock().unwrap().insert("big".into(), total - (total - free) / 4);
    scales.loaded.lock().unwrap().extend([("old".to_owned(), total), ("kept".to_owned(), total)]);
    guest.act(Command::Refresh).await.unwrap();
    let change = CardChange::Pinned(true);
    guest.act(Command::SetCards { models: vec![reference("kept")], change }).await.unwrap();
    let found = fits(&mut guest, &["big"], json!({})).await.remove(0);
    assert_eq!((found.verdict, found.stop), (Verdict::Full, vec![reference("old")]));
    // Beside it a second one finds no room that could be made.
    scales.weights.lock().unwrap().insert("second".into(), total - (total - free) / 4);
    guest.act(Command::Refresh).await.unwrap();
    let found = fits(&mut guest, &["big", "second"], json!({})).await;
    assert_eq!(found[1].verdict, Verdict::Full);
    assert!(found[1].stop.is_empty(), "the one that could stop has stopped for the first: {:?}", found[1].stop);
    // Nothing was stopped.
    assert_eq!(scales.loaded.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_load_took_stands_beside_the_next_estimate() {
    let scales = Scales::with(&[("m", 1_000)]);
    let stage = scales.stage("").await;
    let mut guest = guest_of(&stage).await;
    assert_eq!(fits(&mut guest, &["m"], json!({})).await[0].real, None);
    let parameters: Parameters = serde_json::from_value(json!({ "context": 4096, "temperature": 1.0 })).unwrap();
    guest.act(Command::StartModel { model: reference("m"), parameters }).await.unwrap();
    guest.act(Command::Refresh).await.unwrap();
    assert_eq!(fits(&mut guest, &["m"], json!({})).await[0].real.map(|f| f.value), Some(12_345.0), "it is loaded now");
    guest.act(Command::StopModel { model: reference("m") }).await.unwrap();
    guest.act(Command::Refresh).await.unwrap();
    // It is written beside the loop.
    let beside = within(async {
        loop {
            if let Some(figure) = fits(&mut guest, &["m"], json!({ "context": 4096 })).await[0].real {
                return Some(figure);
            }
        }
    })
    .await;
    assert_eq!(beside.map(|f| f.value), Some(12_345.0));
    assert_eq!(fits(&mut guest, &["m"], json!({ "context": 512 })).await[0].real, None, "that was with other settings");
}

#[tokio::test]
async fn elsewhere_the_machine_is_not_known() {
    let scales = Scales::with(&[("m", 1_000)]);
    let stage = scales.stage("http://10.9.8.7:1").await;
    let mut guest = guest_of(&stage).await;
    let fit = fits(&mut guest, &["m"], json!({})).await.remove(0);
    assert_eq!((fit.verdict, fit.free_memory, fit.stop.len()), (Verdict::Unknown, None, 0));
    assert!(fit.estimate.is_some());
}

#[tokio::test]
async fn an_inspection_tells_all_and_one_that_hangs_holds_up_nobody() {
    let scales = Scales::with(&[("m", 1_000), ("hangs", 1)]);
    let stage = scales.stage("").await;
    let mut guest = guest_of(&stage).await;
    guest.client.ask(Query::Inspect { model: reference("hangs") });
    guest.act(Command::SetCards { models: vec![reference("m")], change: CardChange::Favourite(true) }).await.unwrap();
    let Reply::Inspection(found) = ask(&mut guest, Query::Inspect { model: reference("m") }).await.unwrap() else {
        panic!("another reply")
    };
    assert_eq!((found.licence.as_deref(), found.model.card.favourite), (Some("mine"), true), "with what is kept of it");
    let nobody = ModelRef { backend: "nobody".into(), model: "m".into() };
    assert!(ask(&mut guest, Query::Inspect { model: nobody }).await.is_err());
}
