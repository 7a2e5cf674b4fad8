//! A backend of many models, each of which does as it is told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use arbour::backend::{Abilities, Backend, Probe, Request, Sink, Spec};
use arbour::error::{Error, Kind, Result};
use arbour::host::{Configured, HostOptions};
use arbour::proto::*;

/// What loading a model comes to. Without a plan it is loaded at once.
#[derive(Clone, Copy)]
pub enum Plan {
    Fail(&'static str),
    /// A quarter of it, then nothing any more.
    Hang,
    /// The server goes away while it loads.
    Vanish,
}

#[derive(Default)]
pub struct Herd {
    pub states: Mutex<BTreeMap<String, ModelState>>,
    pub plans: Mutex<HashMap<String, Plan>>,
    /// `start m`, `stop m`, `dropped m`… in order.
    pub log: Mutex<Vec<String>>,
    /// What the last start was asked for.
    pub parameters: Mutex<Parameters>,
    /// How often all models were listed.
    pub lists: AtomicUsize,
    /// It unloads idle models by itself.
    pub idle: AtomicBool,
    pub down: AtomicBool,
    /// Somebody else asks its models.
    pub busy: AtomicBool,
    /// How often it was asked what its instances cost.
    pub looks: AtomicUsize,
    loading: AtomicUsize,
    /// How many loaded at once at the most.
    pub most: AtomicUsize,
}

impl Herd {
    pub fn new(names: impl IntoIterator<Item = String>, state: ModelState) -> Arc<Self> {
        Arc::new(Self { states: Mutex::new(names.into_iter().map(|name| (name, state)).collect()), ..Self::default() })
    }

    pub fn plan(&self, plans: &[(&str, Plan)]) {
        *self.plans.lock().unwrap() = plans.iter().map(|(name, plan)| ((*name).to_owned(), *plan)).collect();
    }

    fn note(&self, what: &str, model: &str) {
        self.log.lock().unwrap().push(format!("{what} {model}"));
    }

    /// What was logged since this was asked last.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn set(&self, model: &str, state: ModelState) {
        self.states.lock().unwrap().insert(model.to_owned(), state);
    }

    fn there(&self) -> Result<()> {
        if self.down.load(Ordering::SeqCst) { Err(Error::new(Kind::Refused, "Nobody listens there.")) } else { Ok(()) }
    }

    /// Makes it the only backend of a host.
    pub fn into_options(self: &Arc<Self>, options: &mut HostOptions) {
        let herd = Arc::clone(self);
        let spec = Spec { name: "herd".into(), kind: Some(BackendKind::LlamaServer), ..Spec::default() };
        options.backends = vec![Configured { spec, key: None }];
        options.build = Arc::new(move |_| Ok(Arc::clone(&herd) as Arc<dyn Backend>));
    }
}

pub fn reference(model: &str) -> ModelRef {
    ModelRef { backend: "herd".into(), model: model.into() }
}

/// Says that a load was dropped before it ended.
struct Loading<'h>(&'h Herd, &'h str, bool);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.loading.fetch_sub(1, Ordering::SeqCst);
        if !self.2 {
            self.0.note("dropped", self.1);
        }
    }
}

#[async_trait]
impl Backend for Herd {
    fn name(&self) -> &str {
        "herd"
    }
    fn kind(&self) -> BackendKind {
        BackendKind::LlamaServer
    }
    fn url(&self) -> Option<&str> {
        None
    }
    fn abilities(&self) -> Abilities {
        Abilities { start: true, stop: true, remove: true, idle: self.idle.load(Ordering::SeqCst), ..Abilities::default() }
    }
    async fn probe(&self) -> Result<Probe> {
        self.there()?;
        Ok(Probe { version: None, latency_ms: 0.1 })
    }
    async fn models(&self) -> Result<Vec<ModelInfo>> {
        self.there()?;
        self.lists.fetch_add(1, Ordering::SeqCst);
        let info = |(name, state): (&String, &ModelState)| ModelInfo { state: *state, ..ModelInfo::named("herd", self.kind(), name) };
        Ok(self.states.lock().unwrap().iter().map(info).collect())
    }
    async fn model(&self, name: &str) -> Result<ModelInfo> {
        Ok(ModelInfo::named("herd", self.kind(), name))
    }
    async fn instances(&self) -> Result<Vec<Instance>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let busy = Some(u32::from(self.busy.load(Ordering::SeqCst)));
        Ok(self.states.lock().unwrap().keys().map(|name| Instance { busy, ..Instance::of(reference(name)) }).collect())
    }
    async fn start(&self, model: &str, parameters: &Parameters, out: Sink) -> Result<()> {
        self.there()?;
        self.note("start", model);
        *self.parameters.lock().unwrap() = parameters.clone();
        let now = self.loading.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let mut loading = Loading(self, model, false);
        out.progress(State::Loading, 1, 4);
        tokio::task::yield_now().await;
        let plan = self.plans.lock().unwrap().get(model).copied();
        let result = match plan {
            None => {
                self.set(model, ModelState::Loaded);
                Ok(())
            }
            Some(Plan::Fail(why)) => Err(Error::new(Kind::Server, why)),
            Some(Plan::Hang) => std::future::pending().await,
            Some(Plan::Vanish) => {
                self.down.store(true, Ordering::SeqCst);
                Err(Error::new(Kind::Disconnected, "The server went away."))
            }
        };
        loading.2 = true;
        result
    }
    async fn stop(&self, model: &str) -> Result<()> {
        self.there()?;
        self.note("stop", model);
        self.set(model, ModelState::Unloaded);
        Ok(())
    }
    async fn remove(&self, model: &str) -> Result<()> {
        self.there()?;
        self.note("remove", model);
        self.states.lock().unwrap().remove(model);
        Ok(())
    }
    fn preview(&self, _: &Request) -> RequestPreview {
        RequestPreview { method: "POST".into(), url: "/".into(), body: String::new(), curl: None, notes: Vec::new() }
    }
    async fn generate(&self, request: Request, out: Sink) -> Result<Finish> {
        *self.parameters.lock().unwrap() = request.parameters.clone();
        self.set(&request.model, ModelState::Loaded);
        out.text("word");
        Ok(Finish::Stop)
    }
}
