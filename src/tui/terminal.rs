//! The terminal itself: taken over, given back, whatever happens in between.
//!
//! Owns: raw mode, the alternate screen, and the modes that arbour switches on. Refuses: what is drawn. Invariant: every way out
//! (return, panic, signal, suspension, editor) leaves the terminal as it was found; restoring twice does nothing.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, Kind, Result};

/// Alternate screen, bracketed paste, focus events, cursor hidden until a frame shows it.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?1004h\x1b[?25l";
/// Closes a bracket that a panic left open, then everything of `ENTER` in reverse, pen and cursor shape at rest.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[m\x1b[0 q\x1b[?1006l\x1b[?1002l\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[?1049l";
/// Kitty keyboard protocol: tell Esc from the beginning of a sequence, S-Enter from Enter.
const KITTY_PUSH: &[u8] = b"\x1b[>1u";
const KITTY_POP: &[u8] = b"\x1b[<u";
/// Buttons and wheel, in SGR coordinates; never motion.
const MOUSE_ON: &[u8] = b"\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1002l";

/// Whether the terminal is taken over now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the keyboard protocol was pushed and must be popped.
static KITTY: AtomicBool = AtomicBool::new(false);
/// The thread that draws: a panic elsewhere must not touch the screen.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);

/// The terminal, taken over for as long as this lives.
#[derive(Debug)]
pub struct Terminal {
    out: File,
    kitty: bool,
    mouse: bool,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// [`Kind::Usage`] when standard input or output is not a terminal; [`Kind::Internal`] when it refuses raw mode.
    pub fn enter() -> Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Error::new(Kind::Usage, "The screen needs a terminal, and standard input or output is not one.")
                .hint("Use `arbour ask` in pipes and scripts."));
        }
        let out = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(broken)?;
        let mut terminal = Self { out, kitty: speaks_kitty(std::env::var("TERM").ok().as_deref()), mouse: false };
        if let Ok(mut owner) = OWNER.lock() {
            *owner = Some(std::thread::current().id());
        }
        terminal.take()?;
        Ok(terminal)
    }

    /// Takes it over again, after [`restore`]: back from a suspension or an editor.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the terminal refuses.
    pub fn take(&mut self) -> Result<()> {
        crossterm::terminal::enable_raw_mode().map_err(broken)?;
        TAKEN.store(true, Ordering::SeqCst);
        let mut bytes = ENTER.to_vec();
        if self.kitty {
            bytes.extend_from_slice(KITTY_PUSH);
            KITTY.store(true, Ordering::SeqCst);
        }
        if self.mouse {
            bytes.extend_from_slice(MOUSE_ON);
        }
        self.write(&bytes)
    }

    /// Switches mouse reports on or off. Off is the default, so that the terminal's own selection works.
    ///
    /// # Errors
    /// As [`Terminal::write`].
    pub fn mouse(&mut self, on: bool) -> Result<()> {
        self.mouse = on;
        self.write(if on { MOUSE_ON } else { MOUSE_OFF })
    }

    /// Writes all bytes, in one call where the terminal takes them.
    ///
    /// # Errors
    /// [`Kind::HostGone`] never; [`Kind::Internal`] when the terminal is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        write_all(&mut self.out, bytes).map_err(broken)
    }

    /// Columns and rows; 80×24 where the terminal does not tell.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        match crossterm::terminal::size() {
            Ok((width, height)) if width > 0 && height > 0 => (width, height),
            _ => (80, 24),
        }
    }

    /// Gives the terminal back and stops the process group, as a shell expects of `C-z`. Returns at once when nobody can stop it
    /// (no job control); the caller waits for SIGCONT or a short time, then calls [`Terminal::take`].
    pub fn suspend(&self) {
        restore();
        // The whole group, so that a wrapper (cargo run) stops as well. The host is in a session of its own.
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back. Does nothing when it is not taken.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut bytes = Vec::new();
    if KITTY.swap(false, Ordering::SeqCst) {
        bytes.extend_from_slice(KITTY_POP);
    }
    bytes.extend_from_slice(LEAVE);
    let mut out = io::stdout();
    let _ = out.write_all(&bytes);
    let _ = out.flush();
    let _ = crossterm::terminal::disable_raw_mode();
}

/// Makes panics harmless to the terminal: a panic of the drawing thread gives it back before anything is printed, one of another
/// thread goes to the log only. `log`: where the log lies, for the message.
pub fn install_panic_hook(log: Option<PathBuf>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(place = info.location().map(ToString::to_string), "panic: {}", panic_text(info.payload()));
        let taken = TAKEN.load(Ordering::SeqCst);
        let mine = OWNER.try_lock().is_ok_and(|owner| *owner == Some(std::thread::current().id()));
        if taken && !mine {
            return;
        }
        restore();
        before(info);
        let mut err = io::stderr();
        let _ = writeln!(err, "\narbour met a fault of its own. Conversations are safe: the host keeps them. Start arbour again to go on.");
        if let Some(log) = &log {
            let _ = writeln!(err, "The log is in {}; please send its end with a report.", log.display());
        }
    }));
}

/// What a panic said.
fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Terminals that may show the sequence instead of ignoring it are left alone. Everyone else ignores what it does not know.
fn speaks_kitty(term: Option<&str>) -> bool {
    !matches!(term, None | Some("" | "dumb" | "linux" | "vt100" | "vt220" | "ansi"))
}

fn broken(cause: io::Error) -> Error {
    Error::new(Kind::Internal, "The terminal does not answer any more.").cause(cause)
}

/// `write_all` that waits where another program made the terminal non-blocking.
fn write_all(out: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&*out, PollFlags::OUT)], None)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_undoes_what_entering_did() {
        for mode in ["1049", "2004", "1004"] {
            assert!(String::from_utf8_lossy(ENTER).contains(&format!("\x1b[?{mode}h")));
            assert!(String::from_utf8_lossy(LEAVE).contains(&format!("\x1b[?{mode}l")));
        }
        let mut parser = vt100::Parser::new(4.try_into().unwrap(), 20.try_into().unwrap(), 0);
        parser.process(b"before");
        parser.process(ENTER);
        parser.process(KITTY_PUSH);
        parser.process(b"\x1b[?2026h\x1b[31mhalf a frame");
        assert!(parser.screen().alternate_screen());
        parser.process(KITTY_POP);
        parser.process(LEAVE);
        assert!(!parser.screen().alternate_screen() && !parser.screen().bracketed_paste() && !parser.screen().hide_cursor());
        assert_eq!(parser.screen().contents(), "before");
        assert_eq!(parser.screen().fgcolor(), vt100::Color::Default);
    }

    #[test]
    fn old_terminals_are_not_asked_for_the_keyboard_protocol() {
        assert!(speaks_kitty(Some("xterm-256color")) && speaks_kitty(Some("tmux-256color")));
        assert!(!speaks_kitty(Some("linux")) && !speaks_kitty(None));
    }

    #[test]
    fn without_a_terminal_restoring_does_nothing() {
        restore();
        assert!(!TAKEN.load(Ordering::SeqCst));
    }
}
