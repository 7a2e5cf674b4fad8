//! The store of attachments: files named by the SHA-256 of what is in them.
//!
//! Owns: the folder `blobs/`, what of an attachment has come, and taking away what nothing names. Refuses: knowing what is in them
//! (`pictures`, `attachments`). Invariants: a file `blobs/ab/<hash>` holds bytes of that hash and is on disk before anybody is told so:
//! they are written beside it, hashed, synced and renamed; the same bytes are there once. Nothing but a hash becomes a name.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, FileTimes, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, Result};

/// The longest attachment: what clients read is far below, and a frame of the longest would still be small.
pub(super) const MOST: u64 = 64 << 20;
/// The longest piece, both ways: frames that wait in queues stay small.
pub(super) const PIECE: u64 = 1 << 20;
/// Attachments on their way whose hash is kept as it grows; of others it is made anew from what is there.
const GOING: usize = 8;
/// What nothing names stays so long: it may be on its way into a message.
pub(super) const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// Behind the name of what is not whole yet.
const PART: &str = ".part";

/// The store. Cheap to clone; what it does blocks for as long as the disk takes.
#[derive(Clone)]
pub(super) struct Blobs {
    folder: Arc<PathBuf>,
    going: Arc<Mutex<BTreeMap<String, Going>>>,
}

/// An attachment on its way.
struct Going {
    file: File,
    hash: Sha256,
    have: u64,
}

/// What was taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) files: u32,
    pub(super) bytes: u64,
}

impl Blobs {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder: Arc::new(folder), going: Arc::default() }
    }

    /// Takes in a piece; says how many bytes of the attachment are there. One that begins beyond that changes nothing.
    pub(super) fn put(&self, hash: &str, offset: u64, total: u64, data: &[u8]) -> Result<u64> {
        let whole = self.path(hash)?;
        let long = data.len() as u64;
        if total == 0 {
            return Err(Error::new(Kind::Usage, "An empty file cannot be attached."));
        }
        if total > MOST {
            return Err(Error::new(Kind::Usage, format!("An attachment may be {} MB long at most.", MOST >> 20))
                .hint("Attach the part of it that matters, or a smaller picture."));
        }
        if long > PIECE || offset.checked_add(long).is_none_or(|end| end > total) {
            return Err(Error::new(Kind::Usage, "A piece of an attachment does not fit: it is too long, or lies beyond its end."));
        }
        if touched(&whole) {
            return Ok(total);
        }
        let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        let mut one = match going.remove(hash) {
            Some(one) => one,
            None => self.begin(&whole).map_err(|e| unwritten(&e))?,
        };
        if one.have < total && offset <= one.have {
            // What of it came before counts once.
            let new = usize::try_from(one.have - offset).ok().and_then(|at| data.get(at..)).unwrap_or_default();
            if let Err(error) = one.file.write_all_at(new, one.have) {
                // What did not get there whole is not there. A failure leaves the same: it is written over.
                drop(one.file.set_len(one.have));
                going.insert(hash.to_owned(), one);
                return Err(unwritten(&error));
            }
            one.hash.update(new);
            one.have += new.len() as u64;
        }
        if one.have >= total {
            return self.finish(one, hash, &whole).map(|()| total);
        }
        let have = one.have;
        if going.len() >= GOING {
            going.clear();
        }
        going.insert(hash.to_owned(), one);
        Ok(have)
    }

    /// Opens what has come of an attachment, of this host or one before it.
    fn begin(&self, whole: &Path) -> io::Result<Going> {
        DirBuilder::new().recursive(true).mode(0o700).create(whole.parent().unwrap_or(&self.folder))?;
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(part(whole))?;
        let mut hash = Sha256::new();
        let mut have = 0;
        let mut buffer = vec![0; 64 << 10];
        file.seek(SeekFrom::Start(0))?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(Going { file, hash, have });
            }
            hash.update(&buffer[..read]);
            have += read as u64;
        }
    }

    /// All of it is there: if it is what was announced, it gets its name.
    fn finish(&self, one: Going, hash: &str, whole: &Path) -> Result<()> {
        let part = part(whole);
        if hex(one.hash) != hash {
            drop(std::fs::remove_file(&part));
            return Err(Error::new(Kind::Usage, "The attachment that arrived is not the one that was announced, so it was dropped.")
                .hint("Attach the file again: it may have changed while it was read."));
        }
        let folder = whole.parent().unwrap_or(&self.folder);
        let named = one.file.sync_all().and_then(|()| std::fs::rename(&part, whole)).and_then(|()| File::open(folder)?.sync_all());
        // The folder above is new with its first file.
        named.and_then(|()| File::open(&*self.folder)?.sync_all()).map_err(|e| unwritten(&e))
    }

    /// Whether an attachment is there. One that is stays for the grace, whatever names it.
    pub(super) fn has(&self, hash: &str) -> bool {
        self.path(hash).is_ok_and(|path| touched(&path))
    }

    /// All of an attachment.
    pub(super) fn read(&self, hash: &str, name: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.path(hash)?).map_err(|e| lost(&e, name))?;
        file.take(MOST + 1).read_to_end(&mut bytes).map_err(|e| lost(&e, name))?;
        if hex(Sha256::new_with_prefix(&bytes)) != hash {
            return Err(Error::new(Kind::File, format!("The attachment {} is damaged on the host's disk.", crate::error::quoted(name)))
                .hint("Attach it again; the message with it can be edited."));
        }
        Ok(bytes)
    }

    /// A piece of an attachment, and how long all of it is.
    pub(super) fn piece(&self, hash: &str, offset: u64) -> Result<(u64, Vec<u8>)> {
        let read = || -> io::Result<(u64, Vec<u8>)> {
            let mut file = File::open(self.path(hash).map_err(io::Error::other)?)?;
            let total = file.metadata()?.len();
            file.seek(SeekFrom::Start(offset.min(total)))?;
            let mut data = Vec::new();
            file.take(PIECE).read_to_end(&mut data)?;
            Ok((total, data))
        };
        read().map_err(|e| lost(&e, hash.get(..12).unwrap_or_default()))
    }

    /// What is older than the grace: hashes of whole attachments, each perhaps named by something. What came half and was not gone on
    /// with is taken away here.
    pub(super) fn old(&self, now: SystemTime, swept: &mut Swept) -> Vec<String> {
        let mut found = Vec::new();
        for file in files(&self.folder) {
            if !is_old(&file, now) {
                continue;
            }
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(hash) = name.strip_suffix(PART) {
                self.going.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
                take(&file, swept);
            } else if is_hash(name) {
                found.push(name.to_owned());
            }
        }
        found
    }

    /// Takes away what nothing names and nobody asked for since.
    pub(super) fn sweep(&self, unnamed: &[String], now: SystemTime, swept: &mut Swept) {
        for file in unnamed.iter().filter_map(|hash| self.path(hash).ok()) {
            if is_old(&file, now) {
                take(&file, swept);
            }
        }
    }

    fn path(&self, hash: &str) -> Result<PathBuf> {
        if !is_hash(hash) {
            return Err(Error::new(Kind::Usage, "An attachment is named by the SHA-256 of its bytes, in lower-case hex."));
        }
        Ok(self.folder.join(&hash[..2]).join(hash))
    }
}

fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn part(whole: &Path) -> PathBuf {
    let mut name = whole.as_os_str().to_owned();
    name.push(PART);
    name.into()
}

/// Whether the file is there; its time is now then.
fn touched(whole: &Path) -> bool {
    let Ok(file) = File::open(whole) else { return false };
    // On a disk that cannot be written nothing is taken away either.
    drop(file.set_times(FileTimes::new().set_modified(SystemTime::now())));
    true
}

fn is_old(file: &Path, now: SystemTime) -> bool {
    let modified = std::fs::metadata(file).and_then(|found| found.modified());
    modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > GRACE))
}

fn take(file: &Path, swept: &mut Swept) {
    let long = std::fs::metadata(file).map_or(0, |found| found.len());
    if std::fs::remove_file(file).is_ok() {
        swept.files += 1;
        swept.bytes += long;
    }
}

/// Every file of the store.
fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let list = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    list(folder).filter(|path| path.is_dir()).flat_map(move |path| list(&path))
}

/// How many attachments a store holds, and their bytes.
#[must_use]
pub fn measured(folder: &Path) -> (u64, u64) {
    files(folder).filter_map(|file| std::fs::metadata(file).ok()).fold((0, 0), |(count, bytes), found| (count + 1, bytes + found.len()))
}

fn unwritten(error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::DiskFull,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::ReadOnly,
        _ => Kind::File,
    };
    let message = if kind == Kind::DiskFull {
        "The host's disk is full, so the attachment could not be kept."
    } else {
        "The attachment could not be written to the host's data folder."
    };
    Error::new(kind, message).hint("Make room there, or let it be written, and send again: what has come is kept.").cause(error)
}

fn lost(error: &io::Error, name: &str) -> Error {
    let name = crate::error::quoted(name);
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("The attachment {name} is not on the host's disk any more."),
        _ => format!("The attachment {name} cannot be read from the host's disk."),
    };
    Error::new(Kind::File, message).hint("Attach it again, or branch off before the message with it.").cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Blobs) {
        let home = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(home.path().join("blobs"));
        (home, blobs)
    }

    fn hash(bytes: &[u8]) -> String {
        hex(Sha256::new_with_prefix(bytes))
    }

    #[test]
    fn pieces_come_in_any_cut_and_twice() {
        let (_home, blobs) = store();
        let bytes: Vec<u8> = (0..3000_u32).flat_map(u32::to_le_bytes).collect();
        let (name, total) = (hash(&bytes), bytes.len() as u64);
        let put = |at: usize, long: usize| blobs.put(&name, at as u64, total, &bytes[at..at + long]).unwrap();
        assert_eq!(put(0, 0), 0, "asked for what is there");
        assert_eq!(put(0, 5000), 5000);
        assert_eq!(put(6000, 100), 5000, "a gap changes nothing");
        assert_eq!(put(4000, 2000), 6000, "what came before counts once");
        assert_eq!(put(0, 100), 6000);
        assert!(!blobs.has(&name));
        // Another host goes on where this one was killed.
        let blobs = Blobs::new(blobs.folder.to_path_buf());
        let put = |at: usize, long: usize| blobs.put(&name, at as u64, total, &bytes[at..at + long]).unwrap();
        assert_eq!(put(0, 0), 6000);
        assert_eq!(put(6000, 6000), total);
        assert!(blobs.has(&name));
        assert_eq!(put(0, 100), total, "the same file twice is once");
        assert_eq!(blobs.read(&name, "x").unwrap(), bytes);
        assert_eq!(blobs.piece(&name, 11_990).unwrap(), (total, bytes[11_990..].to_vec()));
        assert_eq!(measured(&blobs.folder), (1, total));
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(blobs.path(&name).unwrap()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_not_what_was_announced_is_dropped() {
        let (_home, blobs) = store();
        let name = hash(b"right");
        let error = blobs.put(&name, 0, 5, b"wrong").unwrap_err();
        assert_eq!(error.message, "The attachment that arrived is not the one that was announced, so it was dropped.");
        assert_eq!(measured(&blobs.folder), (0, 0));
        assert_eq!(blobs.put(&name, 0, 5, b"right").unwrap(), 5, "and can be sent anew");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (_home, blobs) = store();
        let name = hash(b"x");
        for hash in ["", "../../../etc/passwd", &name.to_uppercase(), &name[1..], &format!("{name}0")] {
            assert!(blobs.put(hash, 0, 1, b"x").unwrap_err().message.contains("SHA-256"), "{hash}");
            assert!(!blobs.has(hash) && blobs.read(hash, "x").is_err());
        }
        assert_eq!(blobs.put(&name, 0, MOST + 1, b"x").unwrap_err().message, "An attachment may be 64 MB long at most.");
        assert!(blobs.put(&name, 0, 0, b"").is_err());
        assert!(blobs.put(&name, u64::MAX, 1, b"x").is_err());
        assert!(blobs.put(&name, 1, 1, b"x").is_err());
        assert_eq!(measured(&blobs.folder), (0, 0));
    }

    #[test]
    fn what_is_gone_or_damaged_later_gets_a_sentence() {
        let (_home, blobs) = store();
        let name = hash(b"oak");
        blobs.put(&name, 0, 3, b"oak").unwrap();
        std::fs::write(blobs.path(&name).unwrap(), "elm").unwrap();
        assert_eq!(blobs.read(&name, "oak.png").unwrap_err().message, "The attachment “oak.png” is damaged on the host's disk.");
        std::fs::remove_file(blobs.path(&name).unwrap()).unwrap();
        assert_eq!(blobs.read(&name, "oak.png").unwrap_err().message, "The attachment “oak.png” is not on the host's disk any more.");
        assert!(blobs.piece(&name, 0).is_err());
    }

    #[test]
    fn only_what_is_old_and_unnamed_is_taken_away() {
        let (_home, blobs) = store();
        let (named, unnamed, half) = (hash(b"named"), hash(b"unnamed"), hash(b"half"));
        blobs.put(&named, 0, 5, b"named").unwrap();
        blobs.put(&unnamed, 0, 7, b"unnamed").unwrap();
        blobs.put(&half, 0, 4, b"ha").unwrap();
        let mut swept = Swept::default();
        let now = SystemTime::now();
        assert_eq!(blobs.old(now, &mut swept), Vec::<String>::new());
        let later = now + GRACE + Duration::from_secs(60);
        let mut old = blobs.old(later, &mut swept);
        old.sort();
        let mut both = vec![named.clone(), unnamed.clone()];
        both.sort();
        assert_eq!((old, swept), (both, Swept { files: 1, bytes: 2 }), "half of one is taken at once");
        blobs.sweep(std::slice::from_ref(&unnamed), now, &mut swept);
        assert!(blobs.has(&unnamed), "somebody asked for it meanwhile");
        blobs.sweep(std::slice::from_ref(&unnamed), later, &mut swept);
        assert!(blobs.has(&named) && !blobs.has(&unnamed));
        assert_eq!(swept, Swept { files: 2, bytes: 9 });
        assert_eq!(blobs.put(&half, 0, 4, b"half").unwrap(), 4);
    }
}
