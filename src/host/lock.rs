//! One host per data folder: the lock file, and how others read it.
//!
//! Invariant: whoever holds a [`Held`] has the only exclusive lock on the file; what the file says counts only as long as that
//! lock is held. Stale content (a killed host's) is emptied by the next holder before it does anything else, so an empty file
//! that is locked means "a host is starting".

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::proto::lock::{LOCK_FILE, Lock};

/// The held lock. Dropping it empties the file and lets go.
#[derive(Debug)]
pub struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Takes the lock of this state folder, which is created (0700) when it is missing.
    ///
    /// # Errors
    /// [`Kind::Locked`] naming the process that holds it; [`Kind::ReadOnly`] or [`Kind::DiskFull`] when the file cannot be made.
    pub fn take(state: &Path) -> Result<Self> {
        private_folder(state)?;
        let path = state.join(LOCK_FILE);
        let file = open(&path).map_err(|e| cannot_write(&path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(state, Lock::read(state).as_ref())),
            Err(TryLockError::Error(e)) => return Err(cannot_write(&path, &e)),
        }
        file.set_len(0).map_err(|e| cannot_write(&path, &e))?;
        Ok(Self { file, path })
    }

    /// Whether the file that is held is still the one that others find. It is not when the folder was removed.
    #[must_use]
    pub fn is_there(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(held), Ok(found)) => held.ino() == found.ino() && held.dev() == found.dev(),
            _ => false,
        }
    }

    /// Says how this host can be reached, in place: a rename would leave the lock behind on the old file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&mut self, lock: &Lock) -> Result<()> {
        let text = serde_json::to_vec(lock).map_err(|e| Error::new(Kind::Internal, "The lock could not be written down.").cause(e))?;
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&text)?;
            file.set_len(text.len() as u64)
        };
        write(&mut self.file).map_err(|e| cannot_write(&self.path, &e))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The folder may be gone or the disk full; then the lock's end alone says it.
        drop(self.file.set_len(0));
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The sentence for a lock that somebody else holds.
#[must_use]
pub fn locked(state: &Path, holder: Option<&Lock>) -> Error {
    let error = match holder {
        Some(lock) if lock.socket.is_none() => Error::new(
            Kind::Locked,
            format!("Process {} uses this data folder with --in-process, so nobody else can attach to it.", lock.pid),
        )
        .hint(format!("End process {}, or use another folder with --home.", lock.pid)),
        Some(lock) => Error::new(Kind::Locked, format!("Process {} is the host of this data folder already.", lock.pid))
            .hint("Attach to it by leaving out --in-process.".to_owned()),
        None => Error::new(Kind::Locked, "Another process holds the lock of this data folder and has not said yet who it is.")
            .hint("Try again in a moment.".to_owned()),
    };
    error.cause(state.join(LOCK_FILE).display())
}

/// Makes sure that a folder exists that only this user can look into.
///
/// # Errors
/// [`Kind::ReadOnly`] or [`Kind::DiskFull`] when it cannot be made.
pub fn private_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    if !path.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| cannot_write(path, &e))?;
    }
    let mode = std::fs::metadata(path).map_err(|e| cannot_write(path, &e))?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(|e| cannot_write(path, &e))?;
    }
    Ok(())
}

pub(super) fn cannot_write(path: &Path, e: &std::io::Error) -> Error {
    let (kind, what, hint) = match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            (Kind::DiskFull, "is full, so nothing can be saved", "Free some space, then try again.")
        }
        _ => (Kind::ReadOnly, "cannot be written", "Check the folder's owner and permissions, or use another folder with --home."),
    };
    let subject = if kind == Kind::DiskFull { format!("The disk of {}", path.display()) } else { path.display().to_string() };
    Error::new(kind, format!("{subject} {what}.")).hint(hint).cause(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(socket: Option<&str>) -> Lock {
        Lock { pid: 41, started: 7, socket: socket.map(str::to_owned), major: 1, version: "0.1.0".into(), listen: None }
    }

    #[test]
    fn two_holders_are_impossible_and_the_second_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = Held::take(folder.path()).unwrap();
        held.publish(&sample(None)).unwrap();
        let error = Held::take(folder.path()).unwrap_err();
        assert_eq!(error.kind, Kind::Locked);
        assert!(error.message.contains("41") && error.message.contains("--in-process"), "{error}");
        drop(held);
        Held::take(folder.path()).unwrap();
    }

    #[test]
    fn stale_content_is_emptied_before_anything_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LOCK_FILE), serde_json::to_vec(&sample(Some("/gone"))).unwrap()).unwrap();
        let mut held = Held::take(folder.path()).unwrap();
        assert_eq!(Lock::read(folder.path()), None);
        held.publish(&sample(Some("/a/much/longer/path/of/a/socket"))).unwrap();
        held.publish(&sample(Some("/s"))).unwrap();
        assert_eq!(Lock::read(folder.path()), Some(sample(Some("/s"))));
    }

    #[test]
    fn the_folder_and_the_file_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b");
        let _held = Held::take(&state).unwrap();
        assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(state.join(LOCK_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_vanished_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let held = Held::take(&state).unwrap();
        assert!(held.is_there());
        std::fs::remove_dir_all(&state).unwrap();
        assert!(!held.is_there());
        let other = Held::take(&state).unwrap();
        assert!(!held.is_there() && other.is_there());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(Held::take(&file.join("state")).unwrap_err().kind, Kind::ReadOnly);
    }
}
