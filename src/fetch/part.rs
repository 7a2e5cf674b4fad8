//! The unfinished file: what is here already, its running SHA-256, and the step to its final name.
//!
//! Invariant: the hash is that of exactly the bytes that lie in the file up to `length`; one process writes it at a time.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rate::Rate;
use super::{Fault, Job, Progress, Report, name};
use crate::error::{Error, Kind, Result};
use crate::proto::DownloadState;

/// Left free on the disk beside the file, in bytes.
const MARGIN: u64 = 32 << 20;
/// How often progress is told.
const TICK_MS: u128 = 100;
/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Where the unfinished bytes come from: they go on only with the same version of the same file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub url: String,
    /// A strong `ETag`, or `Last-Modified`.
    pub validator: Option<String>,
}

/// An unfinished file.
pub struct Part {
    path: PathBuf,
    file: File,
    hash: Sha256,
    length: u64,
    buffer: Vec<u8>,
    pub origin: Origin,
    /// Some of it was here before this process: a wrong hash may be that one's fault.
    pub resumed: bool,
    rate: Rate,
    started: Instant,
    told: Option<Instant>,
    told_total: Option<u64>,
}

/// What belongs to an unfinished file.
#[must_use]
pub fn leftovers(destination: &Path) -> [PathBuf; 2] {
    let part = beside(destination, ".part");
    let origin = origin_path(&part);
    [part, origin]
}

/// How many bytes an earlier try left.
#[must_use]
pub fn came(destination: &Path) -> u64 {
    std::fs::metadata(beside(destination, ".part")).map_or(0, |meta| meta.len())
}

fn beside(destination: &Path, suffix: &str) -> PathBuf {
    let mut path = destination.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::new(Kind::Internal, "Work on a downloaded file was broken off.").cause(e))
}

/// Whether the right file is in its place already.
pub async fn is_there(job: &Job) -> Result<bool> {
    let (path, sha256, size) = (job.destination.clone(), job.sha256.clone(), job.size);
    blocking(move || {
        let Ok(mut file) = File::open(&path) else { return false };
        let length = file.metadata().map_or(0, |m| m.len());
        match (sha256, size) {
            (_, Some(size)) if size != length => false,
            (Some(wanted), _) => hash_of(&mut file).is_ok_and(|(hash, _)| hex(hash).eq_ignore_ascii_case(&wanted)),
            (None, Some(_)) => true,
            (None, None) => false,
        }
    })
    .await
}

/// Checks a file against a SHA-256 in hexadecimal.
pub async fn matches(path: &Path, sha256: &str) -> Result<bool> {
    let (path, sha256) = (path.to_owned(), sha256.to_owned());
    blocking(move || File::open(&path).and_then(|mut f| hash_of(&mut f)).is_ok_and(|(hash, _)| hex(hash).eq_ignore_ascii_case(&sha256)))
        .await
}

fn hash_of(file: &mut File) -> std::io::Result<(Sha256, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hash, length)),
            Ok(n) => {
                hash.update(buffer.get(..n).unwrap_or_default());
                length += n as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Part {
    /// Opens what an earlier try left, or begins anew.
    pub async fn open(job: &Job, report: Report<'_>) -> Result<Self> {
        let path = beside(&job.destination, ".part");
        let came = came(&job.destination);
        if came > 0 {
            report(Progress { state: DownloadState::Checking, done_bytes: came, total_bytes: job.size, bytes_per_s: None });
        }
        let destination = job.destination.clone();
        let opened = blocking(move || open(&destination, path)).await??;
        if let Some(size) = job.size {
            opened.room(size)?;
        }
        Ok(opened)
    }

    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Refuses when a file of `size` bytes will not fit on the disk.
    pub fn room(&self, size: u64) -> Result<()> {
        room(&self.path, size.saturating_sub(self.length), &self.shown())
    }

    /// Waits before the next try, and tells that nothing comes.
    pub async fn pause(&mut self, pause: std::time::Duration, report: Report<'_>) {
        self.rate = Rate::default();
        self.started = Instant::now();
        self.tell(self.told_total, true, report);
        tokio::time::sleep(pause).await;
    }

    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        self.rate.add(bytes.len() as u64, self.started.elapsed());
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).map_err(|e| unwritable(&self.path, &e))?;
        self.hash.update(&self.buffer);
        self.buffer.clear();
        Ok(())
    }

    /// Forgets all bytes.
    pub fn restart(&mut self) -> Result<()> {
        self.buffer.clear();
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(|e| unwritable(&self.path, &e))?;
        self.hash = Sha256::new();
        self.length = 0;
        self.resumed = false;
        Ok(())
    }

    /// Remembers where the bytes come from, for a later process.
    pub fn set_origin(&mut self, origin: Origin) -> Result<()> {
        if self.origin != origin {
            let text = serde_json::to_vec(&origin).unwrap_or_default();
            let path = origin_path(&self.path);
            std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
            self.origin = origin;
        }
        Ok(())
    }

    /// Tells how far it is, unless it was just told.
    pub fn tell(&mut self, total: Option<u64>, now: bool, report: Report<'_>) {
        self.told_total = total;
        if now || self.told.is_none_or(|at| at.elapsed().as_millis() >= TICK_MS) {
            self.told = Some(Instant::now());
            report(Progress { state: DownloadState::Running, done_bytes: self.length, total_bytes: total, bytes_per_s: self.rate.get() });
        }
    }

    /// All bytes are here: holds them against the hash. A wrong file is thrown away.
    pub fn check(&mut self, job: &Job) -> Result<(), Fault> {
        self.flush().map_err(Fault::Fatal)?;
        let Some(wanted) = &job.sha256 else { return Ok(()) };
        let found = hex(self.hash.clone());
        if found.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        let again = self.resumed;
        self.restart().map_err(Fault::Fatal)?;
        let error =
            Error::new(Kind::Malformed, format!("What came is not {}: its SHA-256 is another, so it was thrown away.", self.shown()))
                .hint("Fetch it again; if it happens again, the address holds another file, or something on the way changes it.")
                .cause(format!("SHA-256 {found}, expected {wanted}"));
        Err(if again { Fault::Again(error, None) } else { Fault::Next(error) })
    }

    /// Gives the file its name, safely on disk. Tells its SHA-256.
    pub async fn finish(mut self, job: &Job) -> Result<String> {
        self.flush()?;
        let destination = job.destination.clone();
        let sha256 = hex(self.hash.clone());
        blocking(move || {
            self.file.sync_all().map_err(|e| unwritable(&self.path, &e))?;
            std::fs::rename(&self.path, &destination).map_err(|e| unwritable(&destination, &e))?;
            // Only a leftover; nothing reads it without its part.
            let _ = std::fs::remove_file(origin_path(&self.path));
            sync_folder(&destination);
            Ok(sha256)
        })
        .await?
    }

    fn shown(&self) -> String {
        name(&self.path.with_extension(""))
    }
}

/// Refuses when so many bytes more will not fit on the disk of `file`, whose folder may be still to be made.
pub fn room(file: &Path, more: u64, shown: &str) -> Result<()> {
    let folder = file.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = more.saturating_add(MARGIN);
    if free >= needed {
        return Ok(());
    }
    let message = format!("There is no room for {shown}: it needs {} more, and {} are free.", size(needed), size(free));
    Err(Error::new(Kind::DiskFull, message).hint("Make room on that disk, then fetch it again: what is here already is kept."))
}

/// Bytes in words, as the system's tools count: 1 GB is 10^9.
pub fn size(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, word)) => format!("{}.{} {word}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

impl Drop for Part {
    /// What came is kept for the next try.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// Makes a rename last.
pub fn sync_folder(file: &Path) {
    if let Some(folder) = file.parent().and_then(|f| File::open(f).ok()) {
        // Not every file system can; the file itself is safe.
        let _ = folder.sync_all();
    }
}

fn origin_path(part: &Path) -> PathBuf {
    beside(part, ".from")
}

fn open(destination: &Path, path: PathBuf) -> Result<Part> {
    if let Some(folder) = destination.parent() {
        std::fs::create_dir_all(folder).map_err(|e| unwritable(folder, &e))?;
    }
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(|e| unwritable(&path, &e))?;
    lock(&file, destination)?;
    let unreadable = |e: std::io::Error| Error::new(Kind::File, format!("{} cannot be read.", name(&path))).cause(e);
    let (hash, length) = hash_of(&mut file).map_err(unreadable)?;
    let origin = std::fs::read(origin_path(&path)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    Ok(Part {
        path,
        file,
        hash,
        length,
        buffer: Vec::new(),
        origin,
        resumed: length > 0,
        rate: Rate::default(),
        started: Instant::now(),
        told: None,
        told_total: None,
    })
}

/// Keeps others from writing the same file.
pub fn lock(file: &File, what: &Path) -> Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::new(Kind::Busy, format!("{} is being fetched already.", name(what)))
            .hint("Wait for it, or stop the other arbour that fetches it.")),
        // A file system without locks: one arbour at a time is the rule anyway.
        _ => Ok(()),
    }
}

/// Why a file cannot be written, in words.
pub fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    let shown = name(path);
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::new(Kind::DiskFull, format!("The disk is full: {shown} could not be written to its end."))
                .hint("Make room on that disk, then fetch it again: what is here already is kept.")
        }
        ErrorKind::FileTooLarge => {
            Error::new(Kind::DiskFull, format!("{shown} is larger than a file may be there: it could not be written to its end."))
                .hint("The file system (FAT ends at 4 GB) or a limit of this process (`ulimit -f`) does not allow it.")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Error::new(Kind::ReadOnly, format!("{shown} cannot be written: its folder does not allow it."))
                .hint("Change the folder's permissions, or choose another home with `--home DIR`.")
        }
        _ => Error::new(Kind::ReadOnly, format!("{shown} could not be written.")),
    }
    .cause(error)
}
