//! What a host is told when it starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::titles::TitleOptions;
use crate::backend::discover::{Discovered, Places, discover};
use crate::backend::{Backend, Spec, build};
use crate::config::{ApiKey, Embedded, HUB_TOKEN, Loaded, Paths, Starter};
use crate::error::{Error, Result};
use crate::fetch::Hub;
use crate::fetch::source::HUB;
use crate::fetch::starter::URL;
use crate::proto::BackendKind;

/// Makes a backend of a spec.
pub type Build = Arc<dyn Fn(&Spec) -> Result<Arc<dyn Backend>> + Send + Sync>;

/// Looks for servers on this machine.
pub type Discover = Arc<dyn Fn() -> BoxFuture<'static, Discovered> + Send + Sync>;

/// A backend of the configuration.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Without the key.
    pub spec: Spec,
    /// Fetched when the backend is first asked for something.
    pub key: Option<ApiKey>,
}

/// How long a load may tell nothing before it is mentioned.
const QUIET: Duration = Duration::from_secs(30);

/// What a host is told when it starts.
#[derive(Clone)]
pub struct HostOptions {
    /// The folder of lock, token, socket and log.
    pub state: PathBuf,
    pub database: PathBuf,
    /// Where fetched models go.
    pub models: PathBuf,
    /// Where the starter model comes from; empty: its usual address.
    pub starter: Vec<String>,
    /// Where `owner/repo` names of model files are looked up. The token is not known yet.
    pub hub: Hub,
    /// Where the hub's token comes from; no token where there is none.
    pub hub_token: ApiKey,
    /// Downloads that go on at once; at least one.
    pub pulls: usize,
    /// How long it waits after the last client has left with nothing going on.
    pub linger: Duration,
    /// How often an answer is asked for again by itself, when an attempt fails before its first token.
    pub retries: u32,
    pub titles: TitleOptions,
    /// A load that tells nothing for so long is mentioned; again after twice as long.
    pub quiet: Duration,
    /// Somebody is about to listen for it (the daemon). Else nobody can attach from outside, and the lock says so at once.
    pub listens: bool,
    /// It stays until it is told to end (`serve`).
    pub kept: bool,
    pub backends: Vec<Configured>,
    pub build: Build,
    /// `None`: nothing is looked for.
    pub discover: Option<Discover>,
    /// Where `AddBackend` writes to.
    pub config_file: PathBuf,
    /// What is wrong with the configuration; clients are told.
    pub problems: Vec<Error>,
}

/// The name of the engine inside arbour, as models show it.
pub const EMBEDDED: &str = "embedded";

impl HostOptions {
    /// As the configuration and its folders say.
    #[must_use]
    pub fn new(paths: &Paths, loaded: Loaded) -> Self {
        let Loaded { config, problems } = loaded;
        let Embedded { hub, hub_mirrors, hub_token, models } = config.embedded;
        let bases = std::iter::once(hub.unwrap_or_else(|| HUB.to_owned())).chain(hub_mirrors).collect();
        let mut backends: Vec<Configured> = config
            .backends
            .into_iter()
            .map(|backend| {
                let models = if backend.kind == BackendKind::Embedded { models.clone() } else { Vec::new() };
                let url = backend.url.unwrap_or_default();
                Configured {
                    spec: Spec { name: backend.name, kind: Some(backend.kind), url, models, ..Spec::default() },
                    key: backend.api_key,
                }
            })
            .collect();
        let fetched = paths.models();
        match backends.iter_mut().find(|backend| backend.spec.kind == Some(BackendKind::Embedded)) {
            Some(engine) => engine.spec.models.push(fetched),
            None if cfg!(feature = "embedded") => {
                let mut models = models;
                models.push(fetched);
                let spec = Spec { name: EMBEDDED.to_owned(), kind: Some(BackendKind::Embedded), models, ..Spec::default() };
                backends.push(Configured { spec, key: None });
            }
            None => {}
        }
        let places = Places::from_env();
        let looks: Discover = Arc::new(move || {
            let places = places.clone();
            Box::pin(async move { discover(&places).await })
        });
        Self {
            state: paths.state.clone(),
            database: paths.database(),
            config_file: paths.config_file(),
            models: paths.models(),
            starter: sources(config.starter),
            hub: Hub { bases, ..Hub::default() },
            hub_token: hub_token.unwrap_or_else(|| ApiKey::Env(HUB_TOKEN.to_owned())),
            pulls: config.pulls.max(1),
            linger: config.linger,
            retries: config.retries,
            titles: TitleOptions { by_model: config.titles_by_model, model: config.title_model },
            quiet: QUIET,
            listens: false,
            kept: false,
            backends,
            build: Arc::new(build),
            discover: config.discover.then_some(looks),
            problems,
        }
    }

    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }
}

/// The addresses of the starter model, when the configuration names any.
fn sources(starter: Starter) -> Vec<String> {
    let Starter { source, mirrors } = starter;
    match source {
        None if mirrors.is_empty() => Vec::new(),
        source => std::iter::once(source.unwrap_or_else(|| URL.to_owned())).chain(mirrors).collect(),
    }
}
