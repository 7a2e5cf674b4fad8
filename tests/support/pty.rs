//! The binary in a terminal of its own, driven by keys only.
//!
//! Owns: a pty, a VT emulator that answers the questions a terminal is asked, and waiting for what is seen. Refuses: sleeping;
//! everything waits for a named condition with a deadline and prints the screen when it passes. Invariant: nothing outlives
//! its [`Term`]: the process is ended by its id.

#![allow(dead_code, reason = "each test and bench binary that includes this uses a part of it")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::Signal;

use super::home::{self, Home, PATIENCE};

/// Between two keys. Six characters at most 8 ms apart are a paste to the composer.
const KEYSTROKE: Duration = Duration::from_millis(11);

/// Called by the reader after each chunk that leaves a whole frame: the screen, and when the chunk arrived.
pub type Observer = Box<dyn FnMut(&vt100::Screen, Instant) + Send>;

/// A terminal with a program in it.
pub struct Term {
    name: String,
    master: Box<dyn MasterPty + Send>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    shared: Arc<Shared>,
    /// The modes before the program began.
    pub before: Modes,
    ended: Option<portable_pty::ExitStatus>,
    reader: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    parser: vt100::Parser<Answers>,
    bytes: u64,
    /// The last part of what was written, for messages.
    tail: Vec<u8>,
    closed: bool,
    observer: Option<Observer>,
}

/// What a modern terminal answers, and the modes that `vt100` does not keep.
#[derive(Default)]
struct Answers {
    out: Vec<u8>,
    modes: BTreeSet<u16>,
    kitty: u32,
    clipboard: Vec<String>,
    title: String,
}

impl vt100::Callbacks for Answers {
    fn unhandled_csi(&mut self, screen: &mut vt100::Screen, i1: Option<u8>, i2: Option<u8>, params: &[&[u16]], c: char) {
        let first = params.first().and_then(|p| p.first()).copied().unwrap_or(0);
        match (i1, i2, c) {
            (None, _, 'c') => self.out.extend_from_slice(b"\x1b[?62;22c"),
            (None, _, 'n') if first == 6 => {
                let (row, column) = screen.cursor_position();
                let _ = write!(self.out, "\x1b[{};{}R", row + 1, column + 1);
            }
            (Some(b'?'), Some(b'$'), 'p') => {
                let set = if self.modes.contains(&first) { 1 } else { 2 };
                let known = matches!(first, 1004 | 2004 | 2026);
                let _ = write!(self.out, "\x1b[?{first};{}$y", if known { set } else { 0 });
            }
            (Some(b'?'), None, 'u') => {
                let flags = u32::from(self.kitty > 0);
                let _ = write!(self.out, "\x1b[?{flags}u");
            }
            (Some(b'>'), None, 'u') => self.kitty += 1,
            (Some(b'<'), None, 'u') => self.kitty = self.kitty.saturating_sub(u32::from(first.max(1))),
            (Some(b'>'), None, 'q') => self.out.extend_from_slice(b"\x1bP>|arbour-test 1\x1b\\"),
            (Some(b'?'), None, 'h') => self.modes.extend(params.iter().filter_map(|p| p.first())),
            (Some(b'?'), None, 'l') => self.modes.retain(|mode| !params.iter().any(|p| p.first() == Some(mode))),
            _ => {}
        }
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, params: &[&[u8]]) {
        match params {
            [b"10", b"?"] => self.out.extend_from_slice(b"\x1b]10;rgb:e0e0/e0e0/e0e0\x1b\\"),
            [b"11", b"?"] => self.out.extend_from_slice(b"\x1b]11;rgb:1010/1010/1010\x1b\\"),
            _ => {}
        }
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title = String::from_utf8_lossy(title).into_owned();
    }

    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], data: &[u8]) {
        self.clipboard.push(String::from_utf8_lossy(data).into_owned());
    }
}

/// What must be as it was when a program gives the terminal back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    pub alternate_screen: bool,
    pub cursor_hidden: bool,
    pub bracketed_paste: bool,
    pub mouse: bool,
    pub application_cursor: bool,
    pub kitty_depth: u32,
    /// Private modes that are set: 1004 focus events, 2026 an open frame, …
    pub others: BTreeSet<u16>,
    /// The line discipline (echo, canonical mode, …), printed.
    pub termios: String,
}

impl Term {
    /// Starts the arbour of this build in a terminal of `columns`×`rows`, with the data folder of `home`.
    pub fn start(home: &Home, columns: u16, rows: u16, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(Home::binary());
        command.args(arguments);
        for key in Home::SILENCED {
            command.env_remove(key);
        }
        for (key, value) in home.environment() {
            command.env(key, value);
        }
        command.cwd(home.path());
        Self::spawn(&format!("arbour {}", arguments.join(" ")), columns, rows, command)
    }

    /// Starts any program in a terminal.
    pub fn spawn(name: &str, columns: u16, rows: u16, command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("a pty");
        let termios = format!("{:?}", pair.master.get_termios());
        let child = pair.slave.spawn_command(command).unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().expect("a reader");
        let keys = Arc::new(Mutex::new(pair.master.take_writer().expect("a writer")));
        let parser = vt100::Parser::new_with_callbacks(whole(rows), whole(columns), 0, Answers::default());
        let seen = Seen { parser, bytes: 0, tail: Vec::new(), closed: false, observer: None };
        let shared = Arc::new(Shared { seen: Mutex::new(seen), changed: Condvar::new() });
        let reader = {
            let (shared, keys) = (Arc::clone(&shared), Arc::clone(&keys));
            std::thread::spawn(move || {
                let mut chunk = [0u8; 65536];
                loop {
                    // An error is how Linux says that the last process has closed the terminal.
                    let read = output.read(&mut chunk).unwrap_or(0);
                    let now = Instant::now();
                    let mut seen = shared.lock();
                    if read == 0 {
                        seen.closed = true;
                        shared.changed.notify_all();
                        return;
                    }
                    let answers = seen.take_in(&chunk[..read], now);
                    drop(seen);
                    shared.changed.notify_all();
                    if !answers.is_empty() {
                        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
                        let _ = keys.write_all(&answers).and_then(|()| keys.flush());
                    }
                }
            })
        };
        let before = Modes { termios, ..Modes::default() };
        Self { name: name.to_owned(), master: pair.master, keys, child, shared, before, ended: None, reader: Some(reader) }
    }

    /// Types, as fast as hands can (what comes faster is taken for a paste): text as it is, keys in angle brackets: `<Enter> <Esc> <Tab> <S-Tab> <Up> <Down> <Left> <Right> <BS> <Space>
    /// <PageUp> <PageDown> <Home> <End> <lt> <C-x> <A-x> <F1>…<F4>`.
    pub fn keys(&mut self, keys: &str) {
        for key in encode(keys) {
            self.raw(&key);
            // Not a wait for anything: the pace of the typist.
            std::thread::park_timeout(KEYSTROKE);
        }
    }

    /// Writes into the composer as a person does: a few letters, seen, the next. (Six characters at most 8 ms apart are a paste to
    /// arbour, and on a busy machine keys that were sent apart arrive together.)
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let letters: Vec<char> = text.chars().collect();
        let mut written = String::new();
        for few in letters.chunks(4) {
            let few: String = few.iter().collect();
            self.raw(few.as_bytes());
            written.push_str(&few);
            let seen = written.trim_end().to_owned();
            self.wait(&format!("{seen:?} in the composer"), |screen| screen.contents().contains(&seen));
            std::thread::park_timeout(KEYSTROKE);
        }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.write_all(bytes).and_then(|()| keys.flush()).unwrap_or_else(|e| panic!("{} takes no keys: {e}", self.name));
    }

    /// Waits until the screen shows `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait(&format!("{text:?} on the screen"), |screen| screen.contents().contains(text));
    }

    /// Waits until the screen no longer shows `text`.
    #[track_caller]
    pub fn wait_gone(&mut self, text: &str) {
        self.wait(&format!("{text:?} gone from the screen"), |screen| !screen.contents().contains(text));
    }

    /// Waits until a whole frame meets the condition.
    #[track_caller]
    pub fn wait(&mut self, what: &str, mut met: impl FnMut(&vt100::Screen) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.shared.lock();
        loop {
            if seen.whole() && met(seen.parser.screen()) {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            if seen.closed || left.is_zero() {
                let why = if seen.closed { "the program ended" } else { "time is up" };
                let picture = seen.picture();
                drop(seen);
                panic!("{}: {why} while waiting for {what}\n{picture}", self.name);
            }
            seen = self.shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is on the screen now.
    pub fn contents(&self) -> String {
        self.shared.lock().parser.screen().contents()
    }

    /// Looks at the screen as it is now.
    pub fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.shared.lock().parser.screen())
    }

    /// What was copied by OSC 52, as it was sent (base64).
    pub fn copied(&self) -> Vec<String> {
        self.shared.lock().parser.callbacks().clipboard.clone()
    }

    /// The title that the program gave the terminal.
    pub fn title(&self) -> String {
        self.shared.lock().parser.callbacks().title.clone()
    }

    /// How many bytes the program has written.
    pub fn bytes(&self) -> u64 {
        self.shared.lock().bytes
    }

    /// Lets `observer` see every whole frame from now on.
    pub fn observe(&self, observer: Observer) {
        self.shared.lock().observer = Some(observer);
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.shared.lock().parser.set_size(whole(rows), whole(columns));
        self.master.resize(size(columns, rows)).expect("a new size");
    }

    /// The process in the terminal.
    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("a process id")
    }

    pub fn signal(&self, signal: Signal) {
        home::signal(self.pid(), signal);
    }

    /// Waits for the end; the exit code, 128 + n for signal n where the system tells it by name only: then the name.
    #[track_caller]
    pub fn wait_exit(&mut self) -> Result<u32, String> {
        let end = Instant::now() + PATIENCE;
        // The end of output comes first; it is what can be waited for without polling.
        let mut seen = self.shared.lock();
        while !seen.closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let picture = seen.picture();
                drop(seen);
                panic!("{} does not end\n{picture}", self.name);
            }
            seen = self.shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(seen);
        let status = self.child.wait().expect("a status");
        self.ended = Some(status.clone());
        status.signal().map_or(Ok(status.exit_code()), |name| Err(name.to_owned()))
    }

    /// The modes of the terminal now.
    pub fn modes(&self) -> Modes {
        let termios = format!("{:?}", self.master.get_termios());
        let seen = self.shared.lock();
        let screen = seen.parser.screen();
        Modes {
            alternate_screen: screen.alternate_screen(),
            cursor_hidden: screen.hide_cursor(),
            bracketed_paste: screen.bracketed_paste(),
            mouse: screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None,
            application_cursor: screen.application_cursor(),
            kitty_depth: seen.parser.callbacks().kitty,
            others: seen.parser.callbacks().modes.clone(),
            termios,
        }
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        if std::thread::panicking() && self.ended.is_none() {
            eprintln!("{} at the time of the failure:\n{}", self.name, self.shared.lock().picture());
        }
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // The reader ends with the last process that has the terminal open; it is not waited for here, since a host of an
        // in-process screen dies with the screen and any other host has no terminal.
        drop(self.reader.take());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn take_in(&mut self, bytes: &[u8], now: Instant) -> Vec<u8> {
        self.bytes += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        let excess = self.tail.len().saturating_sub(2000);
        self.tail.drain(..excess);
        self.parser.process(bytes);
        if self.whole()
            && let Some(observer) = &mut self.observer
        {
            observer(self.parser.screen(), now);
        }
        std::mem::take(&mut self.parser.callbacks_mut().out)
    }

    /// No frame is half drawn.
    fn whole(&self) -> bool {
        !self.parser.callbacks().modes.contains(&2026)
    }

    fn picture(&self) -> String {
        let screen = self.parser.screen();
        let width = usize::from(screen.size().1.get());
        let mut out = String::new();
        let _ = writeln!(out, "┌{}┐", "─".repeat(width));
        for row in screen.rows(0, screen.size().1.get()) {
            let _ = writeln!(out, "│{row}");
        }
        let _ = writeln!(out, "└{}┘", "─".repeat(width));
        let end = String::from_utf8_lossy(&self.tail).chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect::<String>();
        let _ = writeln!(out, "last bytes: {end:?}");
        out
    }
}

fn whole(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a terminal has a size")
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

/// The bytes of each key.
fn encode(keys: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = keys;
    while let Some(first) = rest.chars().next() {
        let (bytes, length) = match rest.strip_prefix('<') {
            Some(named) => {
                let end = named.find('>').unwrap_or_else(|| panic!("`<` without `>` in {keys:?}: a bare one is `<lt>`"));
                (key(&named[..end]), end + 2)
            }
            None => (rest.as_bytes()[..first.len_utf8()].to_vec(), first.len_utf8()),
        };
        out.push(bytes);
        rest = &rest[length..];
    }
    out
}

fn key(name: &str) -> Vec<u8> {
    if let Some(control) = name.strip_prefix("C-") {
        let c = control.bytes().next().expect("a key");
        return vec![c & 0x1f];
    }
    if let Some(alt) = name.strip_prefix("A-") {
        let mut out = vec![0x1b];
        out.extend_from_slice(&if alt.len() == 1 { alt.as_bytes().to_vec() } else { key(alt) });
        return out;
    }
    let bytes: &[u8] = match name {
        "Enter" => b"\r",
        "Esc" => b"\x1b",
        "Tab" => b"\t",
        "S-Tab" => b"\x1b[Z",
        "BS" => b"\x7f",
        "Space" => b" ",
        "lt" => b"<",
        "Up" => b"\x1b[A",
        "Down" => b"\x1b[B",
        "Right" => b"\x1b[C",
        "Left" => b"\x1b[D",
        "Home" => b"\x1b[H",
        "End" => b"\x1b[F",
        "PageUp" => b"\x1b[5~",
        "PageDown" => b"\x1b[6~",
        "Del" => b"\x1b[3~",
        "F1" => b"\x1bOP",
        "F2" => b"\x1bOQ",
        "F3" => b"\x1bOR",
        "F4" => b"\x1bOS",
        other => panic!("the key <{other}> is not known here"),
    };
    bytes.to_vec()
}
