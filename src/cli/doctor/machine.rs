//! This machine: folders, database, disk, memory, GPUs, and what fetching models needs.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::Command;

use super::Check;
use crate::cli::context::Context;
use crate::cli::plain;
use crate::error::Kind;
use crate::metrics::Sampler;
use crate::proto::Gpu;
use crate::proto::lock::{LOCK_FILE, Lock};

/// Less free than this, in bytes, and the starter model with a few days of conversations does not fit.
const LITTLE_DISK: u64 = 500 << 20;
/// Less than this, in bytes, and no model of use fits.
const LITTLE_MEMORY: u64 = 2 << 30;

/// Folders, lock and log.
pub fn files(context: &Context) -> Vec<Check> {
    const AREA: &str = "files";
    let paths = &context.paths;
    let mut checks = Vec::new();
    for (name, folder) in [("config", &paths.config), ("data", &paths.data), ("state", &paths.state), ("cache", &paths.cache)] {
        let shown = folder.display().to_string();
        checks.push(match writable(folder) {
            Ok(true) => Check::ok(AREA, name, shown),
            Ok(false) => Check::ok(AREA, name, format!("{shown} (not there yet)")),
            Err(why) => Check::problem(
                AREA,
                name,
                format!("{shown} cannot be written: {why}."),
                "Check its owner and permissions, or use another folder with --home.",
            ),
        });
    }
    checks.push(match Lock::read(&paths.state).filter(|_| is_held(&paths.state)) {
        None => Check::ok(AREA, "host", "None runs now; the next `arbour` or `arbour ask` starts one."),
        Some(lock) => {
            let where_ = match (&lock.socket, &lock.listen) {
                (None, _) => "inside a program (--in-process): nobody else can attach".to_owned(),
                (Some(socket), None) => format!("at {socket}"),
                (Some(socket), Some(listen)) => format!("at {socket} and {listen}"),
            };
            let says = format!("Process {} (arbour {}) {where_}.", lock.pid, lock.version);
            if lock.major == crate::proto::MAJOR {
                Check::ok(AREA, "host", says)
            } else {
                Check::note(AREA, "host", says, "It is of another version: it makes room when it is idle.")
            }
        }
    });
    checks.push(Check::ok(AREA, "log", paths.log().display().to_string()));
    checks
}

/// Whether somebody holds the lock. What a killed host wrote into it stays there and says nothing.
fn is_held(state: &Path) -> bool {
    let Ok(file) = File::open(state.join(LOCK_FILE)) else { return false };
    // A shared lock that is let go at once: a host that starts at this very moment looks again by itself.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Whether a folder is there and can be written; one that is not there can be made if its nearest ancestor can be written.
fn writable(folder: &Path) -> std::io::Result<bool> {
    let there = folder.is_dir();
    let nearest = folder.ancestors().find(|f| f.exists()).unwrap_or(Path::new("/"));
    if !nearest.is_dir() {
        return Err(std::io::Error::other(format!("{} is not a folder", nearest.display())));
    }
    rustix::fs::access(nearest, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?;
    Ok(there)
}

/// The database, read only.
pub fn database(path: &Path) -> Vec<Check> {
    const AREA: &str = "database";
    match crate::store::Store::inspect(path, true) {
        Ok(stats) if stats.problems.is_empty() => {
            let wal = if stats.journal == "wal" { String::new() } else { format!(", journal {}", stats.journal) };
            vec![Check::ok(
                AREA,
                "content",
                format!(
                    "{} conversations, {} messages, {}; tables of version {}, SQLite {}{wal}",
                    stats.conversations,
                    stats.messages,
                    plain::size(stats.bytes),
                    stats.schema,
                    stats.sqlite
                ),
            )]
        }
        Ok(stats) => vec![Check::problem(
            AREA,
            "content",
            format!("SQLite's check finds it damaged: {}.", stats.problems.join("; ")),
            format!("Copy {} away, then try `sqlite3 COPY .recover`.", path.display()),
        )],
        Err(error) if error.kind == Kind::NotFound => vec![Check::ok(AREA, "content", "There is none yet.")],
        Err(error) => vec![Check::error(AREA, "content", &error)],
    }
}

/// What is attached to messages.
pub fn attachments(folder: &Path) -> Check {
    let (files, bytes) = crate::host::blobs::measured(folder);
    let says = match files {
        0 => "There are none.".to_owned(),
        1 => format!("1 file, {}", plain::size(bytes)),
        _ => format!("{files} files, {}", plain::size(bytes)),
    };
    Check::ok("database", "attachments", says)
}

/// Disk, memory, cores, GPUs, pip.
pub fn checks(context: &Context) -> Vec<Check> {
    const AREA: &str = "machine";
    let mut checks = Vec::new();
    let nearest = context.paths.data.ancestors().find(|f| f.exists()).unwrap_or(Path::new("/"));
    if let Ok(disk) = rustix::fs::statvfs(nearest) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let says = format!("{} free at {}", plain::size(free), nearest.display());
        checks.push(if free < LITTLE_DISK {
            Check::note(AREA, "disk", says, "The starter model needs 98 MB, models for real use 2 GB and more.")
        } else {
            Check::ok(AREA, "disk", says)
        });
    }
    let sample = Sampler::new().sample(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    checks.push(match (sample.memory_used, sample.memory_total) {
        (Some(used), Some(total)) => {
            let free = total.saturating_sub(used);
            let says = format!("{} of {} free, {cores} cores", plain::size(free), plain::size(total));
            if free < LITTLE_MEMORY {
                Check::note(AREA, "memory", says, "Only small models fit: take one of 1 billion parameters or fewer.")
            } else {
                Check::ok(AREA, "memory", says)
            }
        }
        _ => Check::ok(AREA, "memory", format!("not known, {cores} cores")),
    });
    if sample.gpus.is_empty() {
        checks.push(Check::ok(AREA, "GPU", "none that tells figures"));
    }
    checks.extend(sample.gpus.iter().map(|gpu| Check::ok(AREA, "GPU", card(gpu))));
    checks.push(if pip_is_there() {
        Check::ok(AREA, "pip", "there: `arbour models pull starter --via pip` works where the hub cannot be reached")
    } else {
        Check::ok(AREA, "pip", "not there; only needed for `models pull starter --via pip`")
    });
    checks
}

fn card(gpu: &Gpu) -> String {
    let mut out = gpu.name.clone();
    if let (Some(used), Some(total)) = (gpu.memory_used, gpu.memory_total) {
        out.push_str(&format!(", {} of {} free", plain::size(total.saturating_sub(used)), plain::size(total)));
    }
    if let Some(busy) = gpu.busy {
        out.push_str(&format!(", {busy:.0} % busy"));
    }
    out
}

fn pip_is_there() -> bool {
    Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn only_a_lock_that_is_held_is_a_host() {
        let state = tempfile::tempdir().expect("a folder");
        assert!(!is_held(state.path()), "no file");
        std::fs::write(state.path().join(LOCK_FILE), "{}").expect("a file");
        assert!(!is_held(state.path()), "left behind by a host that was killed");
        let held = File::open(state.path().join(LOCK_FILE)).expect("a file");
        held.try_lock().expect("nobody else");
        assert!(is_held(state.path()));
    }

    #[test]
    fn a_folder_that_can_be_made_is_well_and_one_that_cannot_is_not() {
        let there = tempfile::tempdir().expect("a folder");
        assert_eq!(writable(there.path()).ok(), Some(true));
        assert_eq!(writable(&there.path().join("a/b")).ok(), Some(false));
        std::fs::write(there.path().join("file"), "").expect("a file");
        assert!(writable(&there.path().join("file/below")).is_err());
    }

    #[test]
    fn a_missing_database_is_no_problem_and_a_foreign_file_is() {
        let there = tempfile::tempdir().expect("a folder");
        let none = database(&there.path().join("arbour.db"));
        assert_eq!((none[0].state, none[0].says.as_str()), (State::Ok, "There is none yet."));
        assert!(!there.path().join("arbour.db").exists(), "looking makes nothing");
        let file = there.path().join("other.db");
        std::fs::write(&file, "this is not a database at all, but it is long enough to be read as one".repeat(20)).expect("a file");
        let foreign = database(&file);
        assert_eq!(foreign[0].state, State::Problem);
        assert!(!foreign[0].todo.is_empty());
    }
}
