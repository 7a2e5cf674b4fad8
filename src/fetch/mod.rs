//! Downloads that resume and are checked.
//!
//! Owns: what people write for a file and how the hub is asked about it, one file from one of several addresses to its place on
//! disk, several as one plan, and the starter model in both its ways. Refuses: which downloads there are and when (host), what a
//! model is (backend). Invariant: what stands at the destination is whole and, where its SHA-256 is known, the right file; what is
//! unfinished has another name and is used by the next try; dropping the future cancels.

mod copy;
mod http;
mod hub;
mod part;
mod plan;
mod rate;
pub mod source;
pub mod starter;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind, Result, quoted};
use crate::proto::DownloadState;

pub use hub::{Hub, Token};
pub use plan::{Fetched, Plan, forget};
pub use rate::Rate;
pub use starter::{pip_available, pip_command};

/// A file to fetch.
#[derive(Debug, Clone)]
pub struct Job {
    /// Addresses of the same file, tried in order.
    pub urls: Vec<String>,
    /// Of the whole file, in hexadecimal.
    pub sha256: Option<String>,
    /// Of the whole file, in bytes.
    pub size: Option<u64>,
    /// What the file begins with: tells an error page from a model before it is all here.
    pub magic: Option<&'static [u8]>,
    pub destination: PathBuf,
    /// The first pause after a broken connection; it doubles with each further one.
    pub pause: Duration,
    /// How long a server may send nothing before the connection counts as broken.
    pub silence: Duration,
    /// Another file at the destination makes room for this one. Else it is refused.
    pub replaces: bool,
    /// For the addresses that it is meant for.
    pub token: Option<Token>,
}

impl Job {
    /// One file from one address, with the usual pauses.
    #[must_use]
    pub fn new(url: impl Into<String>, destination: impl Into<PathBuf>) -> Self {
        Self {
            urls: vec![url.into()],
            sha256: None,
            size: None,
            magic: None,
            destination: destination.into(),
            pause: Duration::from_millis(500),
            silence: Duration::from_secs(30),
            replaces: true,
            token: None,
        }
    }
}

/// Where a download stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    pub state: DownloadState,
    pub done_bytes: u64,
    pub total_bytes: Option<u64>,
    /// Smoothed over some seconds; `None` until it is known.
    pub bytes_per_s: Option<f64>,
}

/// Who hears of progress: at most ten times a second, and at each change of state.
pub type Report<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// How an attempt at one address failed.
enum Fault {
    /// The same address may do better in a moment; after that long at least, if the server says so.
    Again(Error, Option<Duration>),
    /// Another address may do.
    Next(Error),
    /// No address will do.
    Fatal(Error),
}

/// Broken connections at one address without a byte of progress, before the next address is tried.
const TRIES: u32 = 5;
/// The longest pause between two tries.
const PAUSE_MOST: Duration = Duration::from_secs(15);

/// Fetches a file. What an earlier try left is used; what is already there and right is not fetched again.
///
/// # Errors
/// `Kind::DiskFull`, `Kind::ReadOnly` and `Kind::Busy` for this side; for the other side the failure of the first address.
pub async fn download(job: &Job, report: Report<'_>) -> Result<PathBuf> {
    if !part::is_there(job).await? {
        fetch(job, report).await?;
    }
    Ok(job.destination.clone())
}

/// Fetches a file that is not there, and gives its SHA-256.
async fn fetch(job: &Job, report: Report<'_>) -> Result<String> {
    let mut part = part::Part::open(job, report).await?;
    let mut first: Option<Error> = None;
    for url in &job.urls {
        let mut failures = 0;
        let error = loop {
            let before = part.length();
            match http::attempt(url, job, &mut part, report).await {
                Ok(()) => return part.finish(job).await,
                Err(Fault::Fatal(error)) => return Err(error),
                Err(Fault::Next(error)) => break error,
                Err(Fault::Again(error, wait)) => {
                    failures = if part.length() > before { 1 } else { failures + 1 };
                    if failures >= TRIES {
                        break error;
                    }
                    let pause = job.pause.saturating_mul(1 << (failures - 1)).max(wait.unwrap_or_default()).min(PAUSE_MOST);
                    part.pause(pause, report).await;
                }
            }
        };
        first.get_or_insert(error);
    }
    Err(first.unwrap_or_else(|| Error::new(Kind::Usage, format!("There is no address to fetch {} from.", name(&job.destination)))))
}

/// A file's name as messages write it.
fn name(path: &Path) -> String {
    quoted(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}
