//! `arbour models pulls`: the downloads of the host.

use std::io::Write as _;

use serde_json::Value;

use super::super::args::PullsCommand;
use super::super::context::{Context, report};
use super::super::plain::{self, UNKNOWN};
use super::super::session::Session;
use super::super::{json, output};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Command, Download};
use crate::sanitise;

pub(super) async fn run(context: &Context, command: Option<PullsCommand>, as_json: bool) -> Result<u8> {
    let mut session = context.session().await?;
    let (keys, what): (_, fn(String) -> Command) = match command {
        None | Some(PullsCommand::Ls { json: false }) => return list(&session, as_json),
        Some(PullsCommand::Ls { json: true }) => return list(&session, true),
        Some(PullsCommand::Pause { keys }) => (keys, |key| Command::PausePull { key }),
        Some(PullsCommand::Resume { keys }) => (keys, |key| Command::ResumePull { key }),
        Some(PullsCommand::Cancel { keys }) => (keys, |key| Command::CancelPull { key, forget: false }),
        Some(PullsCommand::Forget { keys }) => (keys, |key| Command::CancelPull { key, forget: true }),
    };
    let mut failed = Vec::new();
    for key in &keys {
        let done = match find(&session, key) {
            Ok(key) => session.command(what(key)).await.map(drop),
            Err(error) => Err(error),
        };
        failed.extend(done.err());
    }
    match failed.pop() {
        None => Ok(0),
        Some(last) => {
            failed.iter().for_each(report);
            Err(last)
        }
    }
}

/// The key that is meant: itself, or the only one with that in it.
fn find(session: &Session, wanted: &str) -> Result<String> {
    let all = &session.replica.downloads;
    if all.contains_key(wanted) {
        return Ok(wanted.to_owned());
    }
    let found: Vec<&String> = all.keys().filter(|key| !wanted.is_empty() && key.to_lowercase().contains(&wanted.to_lowercase())).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Error::new(Kind::Usage, format!("No download is called {}.", quoted(wanted)))
            .hint("`arbour models pulls` lists those that there are.")),
        several => {
            let error = Error::new(Kind::Usage, format!("{} could be {} downloads.", quoted(wanted), several.len()));
            Err(several.iter().take(8).fold(error, |error, key| error.hint(crate::error::harmless(key))))
        }
    }
}

fn list(session: &Session, as_json: bool) -> Result<u8> {
    let mut all: Vec<&Download> = session.replica.downloads.values().collect();
    all.sort_by_key(|download| (download.state.is_over(), download.asked));
    if as_json {
        output::value(&Value::Array(all.into_iter().map(json::download).collect()))?;
        return Ok(0);
    }
    if all.is_empty() {
        let _ = writeln!(std::io::stderr(), "Nothing is being fetched. `arbour models pull` fetches models.");
        return Ok(0);
    }
    let or = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.to_owned());
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|download| {
            let rate = download.bytes_per_s.map(|rate| format!("{}/s", plain::size(rate as u64)));
            vec![
                download.stage.clone().unwrap_or_else(|| download.state.word().to_owned()),
                plain::size(download.done_bytes),
                or(download.total_bytes.map(plain::size)),
                or(rate),
                or(download.eta_s().filter(|_| !download.state.is_over()).map(|seconds| plain::duration(seconds as f64 * 1000.0))),
                download.key.clone(),
            ]
        })
        .collect();
    output::text(&plain::table(&["STATE", "DONE", "OF", "RATE", "LEFT", "KEY"], &[false, true, true, true, true, false], &rows))?;
    for download in all {
        if let Some(error) = &download.error {
            let _ = writeln!(std::io::stderr(), "{}: {}", sanitise::line(&download.key), sanitise::line(&error.message));
        }
    }
    Ok(0)
}
