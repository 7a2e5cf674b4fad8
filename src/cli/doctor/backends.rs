//! Backends: those of the configuration and those that discovery finds, each asked here and now.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Check;
use crate::backend::discover::{Places, discover};
use crate::backend::{self, Backend, Secret, Spec};
use crate::cli::context::Context;
use crate::cli::host;
use crate::config::ApiKey;
use crate::error::{Error, Kind, Result};
use crate::proto::{BackendKind, ModelState};

const AREA: &str = "backends";

pub async fn checks(context: &Context) -> Vec<Check> {
    let mut specs = Vec::new();
    let mut checks = Vec::new();
    for configured in host::options(context).backends {
        let name = configured.spec.name.clone();
        match with_key(configured.spec, configured.key).await {
            Ok(spec) => specs.push(spec),
            Err(error) => checks.push(Check::error(AREA, name, &error)),
        }
    }
    let mut looked_at = String::new();
    if context.config.discover {
        let found = discover(&Places::from_env()).await;
        looked_at = found.looked_at;
        let new: Vec<Spec> = found.found.into_iter().filter(|f| !specs.iter().any(|s| s.url == f.url)).collect();
        specs.extend(new);
    }
    let servers = specs.iter().filter(|spec| spec.kind != Some(BackendKind::Embedded)).count();
    checks.extend(join_all(specs.iter().map(ask)).await);
    if servers == 0 {
        let looked = if looked_at.is_empty() { "discovery is off".to_owned() } else { format!("looked at {looked_at}") };
        checks.push(Check::note(
            AREA,
            "servers",
            format!("None is configured, none answers on this machine ({looked})."),
            "Start Ollama or llama-server, add a [[backend]] to config.toml, or fetch the starter model: `arbour models pull starter`.",
        ));
    }
    checks
}

async fn with_key(mut spec: Spec, key: Option<ApiKey>) -> Result<Spec> {
    let Some(key) = key else { return Ok(spec) };
    spec.key_origin = Some(key.describe());
    match key.read(|name| std::env::var(name).ok()).await? {
        Some(value) => spec.key = Some(Secret::new(value)),
        None => {
            return Err(Error::new(Kind::Unauthorized, format!("Its key is to come from {}, which is not set here.", key.describe()))
                .hint("Set the variable where you start arbour: the host takes it over from there."));
        }
    }
    Ok(spec)
}

async fn ask(spec: &Spec) -> Check {
    let built: Result<Arc<dyn Backend>> = backend::build(spec);
    let backend = match built {
        Ok(backend) => backend,
        Err(error) => return Check::error(AREA, spec.name.clone(), &error),
    };
    let place = backend.url().map(|url| format!(" at {url}")).unwrap_or_default();
    let probe = match backend.probe().await {
        Ok(probe) => probe,
        Err(error) => return Check::error(AREA, spec.name.clone(), &error),
    };
    let mut says = format!("{}{place}", backend.kind().word());
    if let Some(version) = &probe.version {
        says.push_str(&format!(", {version}"));
    }
    says.push_str(&format!(", {:.0} ms", probe.latency_ms));
    match backend.models().await {
        Ok(models) if models.is_empty() => {
            Check::note(AREA, spec.name.clone(), format!("{says}; no models"), how_to_get_one(backend.kind()))
        }
        Ok(models) => {
            let loaded = models.iter().filter(|m| m.state == ModelState::Loaded).count();
            Check::ok(AREA, spec.name.clone(), format!("{says}; {} models, {loaded} loaded", models.len()))
        }
        Err(error) => Check::error(AREA, spec.name.clone(), &error),
    }
}

fn how_to_get_one(kind: BackendKind) -> &'static str {
    match kind {
        BackendKind::Ollama => "Get one with `ollama pull smollm2:135m`.",
        BackendKind::LlamaServer => "Start llama-server with `-m FILE.gguf`.",
        BackendKind::OpenAi | BackendKind::Anthropic => "Look into that server's documentation for how it gets models.",
        BackendKind::Embedded => {
            "Fetch the starter model with `arbour models pull starter`, or name a folder of GGUF files under [embedded] in config.toml."
        }
    }
}
