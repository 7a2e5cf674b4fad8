//! The host of this user's data folder: found by its lock, started when none runs.
//!
//! Owns: reading the lock, spawning this same binary as a host, waiting until it listens. Refuses: ending a host that works for
//! somebody. Invariant: of many clients that start at once all attach to one host: whoever loses the race for the lock is told
//! so by its child, and looks for the winner.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::link::{Road, Way};
use super::remote::{Address, WebLink};
use super::{Client, Introduction};
use crate::error::{Error, Kind, Result};
use crate::proto::lock::{Lock, TOKEN_FILE};
use crate::proto::wire::{Hello, Welcome};

/// How long a host may take until it listens: a big database is checked and migrated meanwhile.
const START: Duration = Duration::from_secs(20);
/// How long an idle host of another version may take to end.
const END: Duration = Duration::from_secs(4);
/// A host that listened and was gone before anybody attached is started again this often.
const MOST_STARTS: u32 = 2;
/// Pause between two looks at a lock that somebody else is about to write.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Most that is read of what a child says, and of the log's end.
const LONGEST_TAIL: u64 = 4096;

/// How a host is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// This binary.
    pub program: PathBuf,
    /// Global options (`--home DIR`) and the hidden subcommand.
    pub arguments: Vec<OsString>,
    /// What the host's process needs in its environment beside what this one has (thread counts of the embedded engine).
    pub environment: Vec<(String, String)>,
    /// Where its standard error goes.
    pub log: PathBuf,
}

impl Launch {
    /// This same binary with these global options, followed by the hidden subcommand `host`.
    ///
    /// # Errors
    /// When the system does not tell which file is running.
    pub fn this_binary(options: Vec<OsString>, environment: Vec<(String, String)>, log: PathBuf) -> Result<Self> {
        let program = std::env::current_exe()
            .map_err(|e| Error::new(Kind::Internal, "The host cannot be started: this program's own file is not known.").cause(e))?;
        let mut arguments = options;
        arguments.push("host".into());
        Ok(Self { program, arguments, environment, log })
    }
}

/// A user's own host.
#[derive(Debug, Clone)]
pub struct Own {
    /// The state folder with the lock and the token.
    pub state: PathBuf,
    /// How to start one; `None`: only attach to one that runs.
    pub launch: Option<Launch>,
}

impl Client {
    /// Attaches to this user's own host, and starts it when none runs. When it dies it is started again, once a minute at most.
    ///
    /// # Errors
    /// [`Kind::Locked`] when the folder is used with `--in-process`, [`Kind::Version`] when a busy host speaks another major,
    /// or whatever kept the host from starting.
    pub async fn own(own: Own, introduction: Introduction) -> Result<Self> {
        Self::attach(Road::new(Way::Own(own), introduction)).await
    }
}

/// The token of this user's host; empty when there is none yet.
#[must_use]
pub fn read_token(state: &Path) -> String {
    std::fs::read_to_string(state.join(TOKEN_FILE)).map(|t| t.trim().to_owned()).unwrap_or_default()
}

impl Own {
    pub(super) async fn attach(&self, mut hello: Hello) -> Result<(WebLink, Welcome)> {
        let deadline = Instant::now() + START;
        let mut starts = 0;
        let mut replacing = false;
        loop {
            let lock = Lock::read(&self.state);
            if let Some(socket) = lock.as_ref().and_then(|lock| lock.socket.as_ref()) {
                hello.token = read_token(&self.state);
                match Address::Unix(socket.into()).attach(&hello).await {
                    Ok(attached) => return Ok(attached),
                    Err(error) if error.kind == Kind::Version && !replacing => {
                        replacing = true;
                        self.ask_to_end(&hello, socket, error).await?;
                    }
                    // A host that just ends, or has died, does not answer.
                    Err(error) if matches!(error.kind, Kind::Refused | Kind::HostGone | Kind::Disconnected) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(launch) = &self.launch else {
                return Err(unattached(&self.state, lock.as_ref()));
            };
            match launch.spawn().await {
                Ok(()) => starts += 1,
                // Somebody else has the lock: a host that is starting or ending, or a program that cannot be attached to.
                Err(error) if error.kind == Kind::Locked => {
                    if Lock::read(&self.state).is_some_and(|lock| lock.socket.is_none()) {
                        return Err(error);
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
            if starts > MOST_STARTS || Instant::now() > deadline {
                return Err(Error::new(Kind::HostGone, "The host was started and cannot be reached.")
                    .hint("`arbour doctor` shows what holds the lock; the log in the state folder may say why."));
            }
        }
    }

    /// Asks a host of another major to make room, and waits until it is gone.
    async fn ask_to_end(&self, hello: &Hello, socket: &str, refused: Error) -> Result<()> {
        if self.launch.is_none() {
            return Err(refused);
        }
        let hello = Hello { replace: true, ..hello.clone() };
        match Address::Unix(socket.into()).attach(&hello).await {
            Err(error) if matches!(error.kind, Kind::HostGone | Kind::Disconnected | Kind::Refused) => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
        let deadline = Instant::now() + END;
        while Lock::read(&self.state).is_some_and(|lock| lock.socket.as_deref() == Some(socket)) {
            if Instant::now() > deadline {
                return Err(refused);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

fn unattached(state: &Path, lock: Option<&Lock>) -> Error {
    match lock {
        Some(lock) if lock.socket.is_none() => {
            Error::new(Kind::Locked, format!("Process {} uses this data folder with --in-process, so nobody else can attach.", lock.pid))
                .hint(format!("End process {}, or use another folder with --home.", lock.pid))
        }
        _ => Error::new(Kind::Refused, format!("No host runs for {}.", state.display())).hint("Start one: open arbour, or `arbour serve`."),
    }
}

/// What a started host says on its standard output, once, as JSON: that it listens, or why it does not.
pub type Readiness = std::result::Result<(), Error>;

impl Launch {
    /// Starts the host and waits until it listens.
    async fn spawn(&self) -> Result<()> {
        let log = self.open_log()?;
        let from = log.metadata().map_or(0, |m| m.len());
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(k, v)| (k, v)));
        // Not kept in the folder that happens to be current here, so that it can be unmounted.
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(false);
        let mut child = command
            .spawn()
            .map_err(|e| Error::new(Kind::Internal, format!("The host could not be started from {}.", self.program.display())).cause(e))?;
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(LONGEST_TAIL * 16);
            match tokio::time::timeout(START, stdout.read_to_end(&mut said)).await {
                Ok(_) => {}
                Err(_) => return Err(Error::new(Kind::HostGone, format!("The host did not listen within {} s.", START.as_secs()))),
            }
        }
        match serde_json::from_slice::<Readiness>(&said) {
            Ok(readiness) => readiness,
            Err(_) => Err(Error::new(Kind::HostGone, "The host ended while it started.")
                .hint(format!("Its log is {}.", self.log.display()))
                .cause(self.log_since(from))),
        }
    }

    fn open_log(&self) -> Result<std::fs::File> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let cannot = |e: std::io::Error| {
            let kind = if e.kind() == std::io::ErrorKind::StorageFull { Kind::DiskFull } else { Kind::ReadOnly };
            Error::new(kind, format!("The host's log {} cannot be written.", self.log.display()))
                .hint("Check the folder's owner and permissions, or use another folder with --home.")
                .cause(e)
        };
        if let Some(folder) = self.log.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
        }
        OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(&self.log).map_err(cannot)
    }

    /// The end of what was logged since.
    fn log_since(&self, from: u64) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = std::fs::File::open(&self.log)?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(from.max(end.saturating_sub(LONGEST_TAIL))))?;
            let mut bytes = Vec::new();
            file.take(LONGEST_TAIL).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        let tail = read().unwrap_or_default();
        let last = tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it left no word in its log");
        crate::error::harmless(last)
    }
}
