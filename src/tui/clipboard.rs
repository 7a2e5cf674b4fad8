//! Copying: through the terminal (OSC 52) and into the desktop's own clipboard, with an honest report of both.
//!
//! Owns: the escape sequences, raw and through tmux and screen, and the thread that owns the desktop's clipboard. Refuses: writing
//! to the terminal (the loop does, between frames). Invariant: a report never claims more than is known; a terminal does not
//! answer OSC 52, so that part is never called sure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::Osc52;

/// More than this many bytes are refused or cut by common terminals, so they are not sent (base64 of it is below 100,000).
const MOST: usize = 74_000;

/// How OSC 52 is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    #[default]
    Raw,
    /// Raw, and inside a passthrough for tmux: which of the two works depends on its options.
    Tmux,
    /// In pieces, inside a passthrough for GNU screen.
    Screen,
    /// Not at all.
    Off,
}

impl Way {
    /// What the configuration says, else what the environment asks for.
    #[must_use]
    pub fn choose(configured: Osc52, var: impl Fn(&str) -> Option<String>) -> Self {
        match configured {
            Osc52::Raw => Self::Raw,
            Osc52::Tmux => Self::Tmux,
            Osc52::Off => Self::Off,
            Osc52::Auto if var("TMUX").is_some() => Self::Tmux,
            Osc52::Auto if var("STY").is_some() => Self::Screen,
            Osc52::Auto => Self::Raw,
        }
    }
}

/// The bytes that put `text` on the terminal's clipboard; `None` when it is too long or switched off.
#[must_use]
pub fn osc52(text: &str, way: Way) -> Option<Vec<u8>> {
    if text.len() > MOST || way == Way::Off {
        return None;
    }
    let plain = format!("\x1b]52;c;{}\x07", STANDARD.encode(text)).into_bytes();
    Some(match way {
        Way::Raw | Way::Off => plain,
        Way::Tmux => {
            let mut out = plain.clone();
            out.extend_from_slice(b"\x1bPtmux;");
            for byte in plain {
                if byte == 0x1b {
                    out.push(0x1b);
                }
                out.push(byte);
            }
            out.extend_from_slice(b"\x1b\\");
            out
        }
        Way::Screen => {
            // screen cuts strings at 768 bytes.
            let mut out = Vec::with_capacity(plain.len() + plain.len() / 50);
            for piece in plain.chunks(760) {
                out.extend_from_slice(b"\x1bP");
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\x1b\\");
            }
            out
        }
    })
}

/// What became of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was copied, with its size: `the message, 312 characters`.
    pub what: String,
    /// It was sent to the terminal, this way.
    pub terminal: Option<Way>,
    /// The desktop's clipboard took it; `Err` says why not. `None`: there is none to ask.
    pub desktop: Option<Result<(), String>>,
}

impl Report {
    /// Whether the copy is known to have worked.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        matches!(self.desktop, Some(Ok(())))
    }

    /// Whether anything was tried that may have worked.
    #[must_use]
    pub fn may_have_worked(&self) -> bool {
        self.is_sure() || self.terminal.is_some()
    }

    /// A sentence for the status line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let what = &self.what;
        match (&self.desktop, self.terminal) {
            (Some(Ok(())), _) => format!("Copied {what}."),
            (_, Some(Way::Tmux)) => {
                format!("Copied {what} through tmux (OSC 52; needs its set-clipboard or allow-passthrough on, and no answer tells).")
            }
            (_, Some(_)) => format!("Copied {what} through the terminal (OSC 52; terminals that do not allow it do not say so)."),
            (Some(Err(why)), None) => format!("Could not copy {what}: {why}"),
            (None, None) => format!("Could not copy {what}: it is too long for the terminal's clipboard, and there is no other here."),
        }
    }
}

/// The desktop's clipboard, where this session has one.
pub struct Desktop {
    #[cfg(feature = "clipboard")]
    jobs: Option<std::sync::mpsc::Sender<native::Job>>,
}

impl Desktop {
    /// Looks whether there is a desktop. Over SSH its clipboard would be another machine's, so it is left alone.
    #[must_use]
    pub fn find(var: impl Fn(&str) -> Option<String>) -> Self {
        let remote = ["SSH_CONNECTION", "SSH_TTY", "MOSH_IP"].iter().any(|name| var(name).is_some());
        let there = cfg!(target_os = "macos") || ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(|name| var(name).is_some_and(|v| !v.is_empty()));
        #[cfg(feature = "clipboard")]
        return Self { jobs: (there && !remote).then(native::start) };
        #[cfg(not(feature = "clipboard"))]
        {
            let _ = (remote, there);
            Self {}
        }
    }

    /// Gives the text to it. `None`: there is none.
    pub async fn copy(&self, text: String) -> Option<Result<(), String>> {
        #[cfg(feature = "clipboard")]
        {
            let (done, answer) = tokio::sync::oneshot::channel();
            self.jobs.as_ref()?.send(native::Job::Put { text, done }).ok()?;
            Some(answer.await.unwrap_or_else(|_| Err("the clipboard's thread has ended.".to_owned())))
        }
        #[cfg(not(feature = "clipboard"))]
        {
            drop(text);
            None
        }
    }

    /// The text that it holds. `None`: there is none.
    pub async fn text(&self) -> Option<Result<String, String>> {
        #[cfg(feature = "clipboard")]
        {
            let (done, answer) = tokio::sync::oneshot::channel();
            self.jobs.as_ref()?.send(native::Job::Get { done }).ok()?;
            Some(answer.await.unwrap_or_else(|_| Err("the clipboard's thread has ended.".to_owned())))
        }
        #[cfg(not(feature = "clipboard"))]
        None
    }
}

#[cfg(feature = "clipboard")]
mod native {
    use std::sync::mpsc::{Sender, channel};

    use tokio::sync::oneshot;

    pub(super) enum Job {
        Put { text: String, done: oneshot::Sender<Result<(), String>> },
        Get { done: oneshot::Sender<Result<String, String>> },
    }

    /// On X11 and Wayland whoever copied must stay to hand the text out: the thread lives as long as the screen.
    pub(super) fn start() -> Sender<Job> {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            let mut clipboard: Option<arboard::Clipboard> = None;
            for job in queue {
                // A screen that is gone does not wait for the answer.
                match job {
                    Job::Put { text, done } => {
                        let put = open(&mut clipboard).and_then(|board| board.set_text(text));
                        let _ = done.send(put.map_err(|e| format!("the desktop's clipboard refused it ({e}).")));
                    }
                    Job::Get { done } => {
                        let got = open(&mut clipboard).and_then(arboard::Clipboard::get_text);
                        let _ =
                            done.send(got.map_err(|e| format!("the desktop's clipboard says: {}", crate::error::harmless(&e.to_string()))));
                    }
                }
            }
        });
        jobs
    }

    fn open(clipboard: &mut Option<arboard::Clipboard>) -> Result<&mut arboard::Clipboard, arboard::Error> {
        match clipboard {
            Some(board) => Ok(board),
            None => Ok(clipboard.insert(arboard::Clipboard::new()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_for_terminal_tmux_and_screen() {
        assert_eq!(osc52("hi", Way::Raw).unwrap(), b"\x1b]52;c;aGk=\x07");
        let tmux = String::from_utf8(osc52("hi", Way::Tmux).unwrap()).unwrap();
        assert_eq!(tmux, "\x1b]52;c;aGk=\x07\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\");
        let screen = osc52(&"x".repeat(2000), Way::Screen).unwrap();
        assert!(screen.split(|b| *b == b'\\').all(|piece| piece.len() <= 768));
        assert_eq!(osc52(&"x".repeat(MOST + 1), Way::Raw), None);
        assert_eq!(osc52("x", Way::Off), None);
    }

    #[test]
    fn the_environment_decides_unless_the_configuration_does() {
        let tmux = |name: &str| (name == "TMUX").then(|| "/tmp/x".to_owned());
        assert_eq!(Way::choose(Osc52::Auto, tmux), Way::Tmux);
        assert_eq!(Way::choose(Osc52::Auto, |_| None), Way::Raw);
        assert_eq!(Way::choose(Osc52::Off, tmux), Way::Off);
    }

    #[test]
    fn reports_claim_no_more_than_is_known() {
        let report = |terminal, desktop| Report { what: "the message, 312 characters".into(), terminal, desktop };
        let sure = report(Some(Way::Raw), Some(Ok(())));
        assert!(sure.is_sure());
        assert_eq!(sure.sentence(), "Copied the message, 312 characters.");
        let hoped = report(Some(Way::Tmux), None);
        assert!(!hoped.is_sure() && hoped.may_have_worked() && hoped.sentence().contains("set-clipboard"));
        let failed = report(None, Some(Err("no seat.".into())));
        assert!(!failed.may_have_worked() && failed.sentence().ends_with("no seat."));
    }

    #[tokio::test]
    async fn without_a_desktop_nothing_is_claimed() {
        let over_ssh = |name: &str| matches!(name, "SSH_CONNECTION" | "DISPLAY").then(|| ":0".to_owned());
        assert_eq!(Desktop::find(over_ssh).copy("x".into()).await, None);
        #[cfg(not(target_os = "macos"))]
        assert_eq!(Desktop::find(|_| None).copy("x".into()).await, None);
    }
}
