//! The log: a file of bounded size in the state folder, never the terminal.
//!
//! Invariant: at most two files of [`CAP`] bytes for each kind of process; a file is made when the first line is written, so a
//! quiet start costs nothing. Other people's crates are never heard below `info`: what they say of requests may hold keys.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, filter};

/// How long a file gets, in bytes, before it becomes the old one.
const CAP: u64 = 2 << 20;
/// The variable with the filter, as in `arbour=debug`.
const VARIABLE: &str = "ARBOUR_LOG";
const DEFAULT: &str = "warn,arbour=info";

/// Sends everything that is traced to this file from now on.
pub fn start(path: PathBuf) {
    let wanted = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT.to_owned());
    let filter = EnvFilter::builder().parse_lossy(wanted);
    let discreet = filter::filter_fn(|meta| meta.target().starts_with("arbour") || *meta.level() <= Level::INFO);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(LogFile::new(path, CAP));
    // A second start in one process (tests) keeps the first.
    drop(tracing_subscriber::registry().with(lines.with_filter(discreet).with_filter(filter)).try_init());
}

struct LogFile {
    path: PathBuf,
    cap: u64,
    open: Mutex<Option<Open>>,
}

struct Open {
    file: File,
    bytes: u64,
}

impl LogFile {
    fn new(path: PathBuf, cap: u64) -> Self {
        Self { path, cap, open: Mutex::new(None) }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|open| open.bytes >= self.cap) {
            *open = None;
            std::fs::rename(&self.path, old(&self.path))?;
        }
        self.opened(&mut open)?.write(line)
    }

    fn opened<'a>(&self, open: &'a mut MutexGuard<'_, Option<Open>>) -> io::Result<&'a mut Open> {
        if open.is_none() {
            if let Some(folder) = self.path.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            let bytes = file.metadata()?.len();
            **open = Some(Open { file, bytes });
        }
        open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Open {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.bytes += line.len() as u64;
        self.file.write_all(line)
    }
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// One line on its way; the formatter hands it over whole.
struct Line<'a>(&'a LogFile);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A log that cannot be written (a full disk) must not stop what is logged about.
        drop(self.0.append(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_bounded_size_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/host.log");
        let log = LogFile::new(path.clone(), 100);
        assert!(!path.exists(), "a quiet process makes no file");
        for n in 0..100 {
            log.append(format!("line {n:04}\n").as_bytes()).expect("a line");
        }
        let (new, before) = (std::fs::read_to_string(&path).expect("new"), std::fs::read_to_string(old(&path)).expect("old"));
        assert!(new.len() <= 110 && before.len() <= 110, "{} {}", new.len(), before.len());
        assert!(new.ends_with("line 0099\n"), "{new}");
        let last_old: u32 = before.lines().last().and_then(|l| l.strip_prefix("line ")).and_then(|n| n.parse().ok()).expect("a number");
        let first_new: u32 = new.lines().next().and_then(|l| l.strip_prefix("line ")).and_then(|n| n.parse().ok()).expect("a number");
        assert_eq!(last_old + 1, first_new, "nothing is lost between the two");
        assert_eq!(std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count(), 2);
    }

    #[test]
    fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host.log");
        LogFile::new(path.clone(), 100).append(b"x\n").expect("a line");
        assert_eq!(std::fs::metadata(path).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_disk_that_refuses_does_not_stop_the_program() {
        let log = LogFile::new(PathBuf::from("/proc/no/such/place/host.log"), 100);
        assert_eq!(log.make_writer().write(b"x\n").ok(), Some(2));
    }
}
