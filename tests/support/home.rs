//! A data folder of a test's own, and the arbour of this build in it.
//!
//! Invariant: nothing of the user's own arbour is read, and no host outlives its [`Home`].

#![allow(dead_code, reason = "each test and bench binary that includes this uses a part of it")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use arbour::proto::lock::{Lock, TOKEN_FILE};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// How long anything may take. Generous: the machine may be busy, and what passes does not wait for it.
pub const PATIENCE: Duration = Duration::from_secs(match option_env!("ARBOUR_TEST_HASTE") {
    // For whoever writes tests and waits for failures.
    Some(_) => 8,
    None => 60,
});

/// What tests that say nothing else get: a host that goes soon, and no looking around on this machine.
pub const QUIET: &str = "linger = \"2s\"\ndiscover = false\nkeymap = \"vim\"\ntheme = \"dark\"\n";

pub struct Home {
    folder: tempfile::TempDir,
    extra: Vec<(String, String)>,
}

/// What a program said and how it ended.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code; 128 + n after signal n.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("standard output is not one JSON value: {e}\n{self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

impl Home {
    /// With this `config.toml`.
    pub fn with_config(config: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a folder"), extra: Vec::new() };
        home.write_config(config);
        home
    }

    /// With one backend at `url`, called `work`.
    pub fn with_backend(kind: &str, url: &str) -> Self {
        Self::with_config(&format!("{QUIET}{}", backend("work", kind, url)))
    }

    /// The same; what fails is not asked for again, so that a test of the failure need not wait.
    pub fn with_backend_once(kind: &str, url: &str) -> Self {
        Self::with_config(&format!("{QUIET}retries = 0\n{}", backend("work", kind, url)))
    }

    pub fn write_config(&self, config: &str) {
        let folder = self.path().join("config");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("config.toml"), config).expect("config.toml");
    }

    /// Sets a variable for everything that is started here.
    pub fn set(&mut self, name: &str, value: &str) {
        self.extra.push((name.to_owned(), value.to_owned()));
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The arbour that is tested: of this build, or the one that `ARBOUR_BENCH_BIN` names.
    pub fn binary() -> PathBuf {
        std::env::var_os("ARBOUR_BENCH_BIN").map_or_else(|| env!("CARGO_BIN_EXE_arbour").into(), PathBuf::from)
    }

    /// Variables of the environment that must not reach the tested program.
    pub const SILENCED: &[&str] = &[
        "ARBOUR_LOG",
        "ARBOUR_TOKEN",
        "ARBOUR_CONFIG_DIR",
        "ARBOUR_DATA_DIR",
        "ARBOUR_STATE_DIR",
        "ARBOUR_CACHE_DIR",
        "OLLAMA_HOST",
        "TMUX",
        "STY",
        "SSH_CONNECTION",
        "LC_ALL",
        "LC_CTYPE",
        "EDITOR",
        "VISUAL",
    ];

    /// Variables for the tested program.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = [
            ("ARBOUR_HOME", &*self.path().to_string_lossy()),
            ("HOME", &*self.path().to_string_lossy()),
            ("ARBOUR_DISCOVER_PORTS", ""),
            ("TERM", "xterm-256color"),
            ("COLORTERM", "truecolor"),
            ("LANG", "C.UTF-8"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        all.extend(self.extra.iter().cloned());
        all
    }

    /// arbour with these arguments, not started yet. Standard input is empty.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Self::binary());
        for name in Self::SILENCED {
            command.env_remove(name);
        }
        command.args(arguments).envs(self.environment()).current_dir(self.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs arbour to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Said {
        finish(self.command(arguments).spawn().expect("arbour starts"))
    }

    /// Runs arbour to its end with this on its standard input.
    #[track_caller]
    pub fn pipe(&self, input: &str, arguments: &[&str]) -> Said {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("arbour starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        finish(child)
    }

    /// Who holds the lock of this folder, if anybody lives.
    pub fn host(&self) -> Option<Lock> {
        Lock::read(&self.state()).filter(|lock| alive(lock.pid))
    }

    /// Waits until a host runs here; its process.
    #[track_caller]
    pub fn host_pid(&self) -> u32 {
        until("a host", || self.host()).pid
    }

    /// Ends the host, and waits until it is gone.
    #[track_caller]
    pub fn end_host(&self, with: Signal) {
        if let Some(lock) = self.host() {
            signal(lock.pid, with);
            until("the end of the host", || (!alive(lock.pid)).then_some(()));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let Some(lock) = self.host() else { return };
        if lock.pid == std::process::id() {
            return;
        }
        signal(lock.pid, Signal::TERM);
        let end = Instant::now() + Duration::from_secs(5);
        while alive(lock.pid) && Instant::now() < end {
            pause();
        }
        signal(lock.pid, Signal::KILL);
    }
}

/// A `serve` that listens.
pub struct Serving {
    child: Child,
    pub url: String,
    /// With the token.
    pub token_file: PathBuf,
}

impl Serving {
    #[track_caller]
    pub fn start(home: &Home) -> Self {
        let mut child = home.command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::null()).spawn().expect("arbour starts");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut first = String::new();
        said.read_line(&mut first).expect("a line");
        let url = first.split_whitespace().find(|w| w.starts_with("ws://")).unwrap_or_else(|| panic!("no address in {first:?}"));
        let serving = Self { url: url.to_owned(), token_file: home.state().join(TOKEN_FILE), child };
        // What it says later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        serving
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A `[[backend]]` of the configuration.
pub fn backend(name: &str, kind: &str, url: &str) -> String {
    format!("\n[[backend]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"{url}\"\n")
}

/// Waits for the end of a started program, reading what it says.
#[track_caller]
pub fn finish(mut child: Child) -> Said {
    let mut out = child.stdout.take().expect("a pipe");
    let mut err = child.stderr.take().expect("a pipe");
    let pid = child.id();
    let (done, said) = mpsc::channel();
    std::thread::spawn(move || {
        let errors = std::thread::spawn(move || read_all(&mut err));
        let out = read_all(&mut out);
        let err = errors.join().unwrap_or_default();
        let status = child.wait();
        let _ = done.send((out, err, status));
    });
    match said.recv_timeout(PATIENCE) {
        Ok((out, err, status)) => Said { code: code(status.expect("a status")), out, err },
        Err(_) => {
            signal(pid, Signal::KILL);
            let (out, err, _) = said.recv().expect("it ends when it is killed");
            panic!("process {pid} did not end within {PATIENCE:?}; it said {out:?} and {err:?}");
        }
    }
}

fn read_all(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit code; 128 + n after signal n.
pub fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|n| 128 + n)).unwrap_or(-1)
}

/// Sends a signal to one process, by its id.
pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().expect("a process id")).expect("a process id");
    // It may have ended by itself meanwhile.
    let _ = kill_process(pid, signal);
}

/// Whether a process with this id is there (a zombie counts as gone).
pub fn alive(pid: u32) -> bool {
    let Some(id) = pid.try_into().ok().and_then(Pid::from_raw) else { return false };
    if test_kill_process(id).is_err() {
        return false;
    }
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Waits until `met` gives something. For conditions outside this process, which nothing can announce: looks often, and gives
/// the processor away in between.
#[track_caller]
pub fn until<T>(what: &str, mut met: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = met() {
            return found;
        }
        assert!(Instant::now() < end, "time is up while waiting for {what}");
        pause();
    }
}

fn pause() {
    std::thread::park_timeout(Duration::from_millis(5));
}
