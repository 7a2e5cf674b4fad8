//! The terminal: what it says of itself, and what it answers when asked.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{self, OptionalActions};

use super::Check;

const AREA: &str = "terminal";
/// The smallest that arbour works in.
const SMALLEST: (u16, u16) = (40, 12);
/// How long a terminal may take to answer; over a bad link, that is one round trip.
const ANSWER: Duration = Duration::from_millis(800);

pub fn checks() -> Vec<Check> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut checks = vec![named(variable("TERM").as_deref()), colours(variable("COLORTERM").as_deref(), variable("TERM").as_deref())];
    checks.push(locale(variable("LC_ALL").or_else(|| variable("LC_CTYPE")).or_else(|| variable("LANG")).as_deref()));
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        checks.push(Check::ok(AREA, "size", "Standard input or output is no terminal, so it was not asked."));
        return checks;
    }
    if let Ok(size) = termios::tcgetwinsize(std::io::stdout()) {
        checks.push(fits(size.ws_col, size.ws_row));
    }
    checks.extend(match ask() {
        Ok(answer) => answered(&answer),
        Err(e) => vec![Check::note(AREA, "answers", format!("The terminal could not be asked: {e}."), "arbour goes by TERM alone then.")],
    });
    if variable("TMUX").is_some() {
        checks.extend(tmux());
    } else if variable("STY").is_some() {
        checks.push(Check::note(AREA, "screen", "Inside GNU screen.", "It takes no OSC 52: copying stays inside it. tmux does."));
    }
    if variable("SSH_CONNECTION").is_some() {
        checks.push(Check::ok(AREA, "ssh", "Over SSH: copying goes by OSC 52 through the terminal."));
    }
    checks
}

fn named(term: Option<&str>) -> Check {
    match term {
        None => Check::problem(AREA, "TERM", "TERM is not set.", "Set it to what your terminal is, xterm-256color for instance."),
        Some("dumb") => {
            Check::problem(AREA, "TERM", "dumb", "The screen needs a terminal that can move its cursor; `arbour ask` does not.")
        }
        Some(term) => Check::ok(AREA, "TERM", term),
    }
}

fn colours(colorterm: Option<&str>, term: Option<&str>) -> Check {
    let direct = matches!(colorterm, Some("truecolor" | "24bit")) || term.is_some_and(|t| t.ends_with("-direct"));
    match (direct, term) {
        (true, _) => Check::ok(AREA, "colours", "24 bit"),
        (false, Some(term)) if term.contains("256color") => Check::note(
            AREA,
            "colours",
            "256, going by TERM.",
            "If the terminal can do 24 bit, set COLORTERM=truecolor (ssh: SendEnv COLORTERM).",
        ),
        _ => Check::note(AREA, "colours", "16, going by TERM.", "If the terminal can do more, set TERM=xterm-256color."),
    }
}

fn locale(locale: Option<&str>) -> Check {
    let utf8 = locale.is_some_and(|l| l.to_ascii_lowercase().replace('-', "").ends_with("utf8"));
    match (utf8, locale) {
        (true, Some(locale)) => Check::ok(AREA, "locale", locale),
        (false, Some(locale)) => Check::note(
            AREA,
            "locale",
            format!("{locale} is not UTF-8."),
            "arbour writes UTF-8 in any case; if letters look broken, set LANG=C.UTF-8.",
        ),
        (_, None) => Check::note(AREA, "locale", "No locale is set.", "If letters look broken, set LANG=C.UTF-8."),
    }
}

fn fits(columns: u16, rows: u16) -> Check {
    let says = format!("{columns}×{rows}");
    if columns < SMALLEST.0 || rows < SMALLEST.1 {
        Check::problem(AREA, "size", says, format!("The screen needs {}×{} at least.", SMALLEST.0, SMALLEST.1))
    } else {
        Check::ok(AREA, "size", says)
    }
}

/// Asks for the keyboard protocol, synchronized output and the background, and last for what every terminal answers.
fn ask() -> std::io::Result<Vec<u8>> {
    let mut tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = termios::tcgetattr(&tty)?;
    let mut raw = before.clone();
    raw.make_raw();
    termios::tcsetattr(&tty, OptionalActions::Now, &raw)?;
    let answer = tty.write_all(b"\x1b[?u\x1b[?2026$p\x1b]11;?\x1b\\\x1b[c").and_then(|()| read_answer(&mut tty));
    termios::tcsetattr(&tty, OptionalActions::Now, &before)?;
    answer
}

fn read_answer(tty: &mut File) -> std::io::Result<Vec<u8>> {
    let end = Instant::now() + ANSWER;
    let mut answer = Vec::new();
    let mut chunk = [0u8; 256];
    while !has_attributes(&answer) {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::new(tty, PollFlags::IN)];
        if left.is_zero() || poll(&mut fds, Some(&timeout))? == 0 {
            break;
        }
        let read = tty.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..read]);
    }
    Ok(answer)
}

/// The answer to `CSI c`: `ESC [ ? … c`.
fn has_attributes(answer: &[u8]) -> bool {
    control_sequences(answer).iter().any(|s| s.starts_with(b"?") && s.ends_with(b"c"))
}

/// The contents of all `ESC [ …` sequences.
fn control_sequences(bytes: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(start) = rest.windows(2).position(|two| two == b"\x1b[") {
        rest = &rest[start + 2..];
        let Some(end) = rest.iter().position(|b| (0x40..=0x7e).contains(b)) else { break };
        out.push(&rest[..=end]);
        rest = &rest[end + 1..];
    }
    out
}

fn answered(answer: &[u8]) -> Vec<Check> {
    if !has_attributes(answer) {
        let says = format!("It did not answer within {} ms.", ANSWER.as_millis());
        return vec![Check::note(AREA, "answers", says, "arbour goes by TERM alone then; on a slow link that is harmless.")];
    }
    let sequences = control_sequences(answer);
    let mut checks = Vec::new();
    let kitty = sequences.iter().any(|s| s.starts_with(b"?") && s.ends_with(b"u"));
    checks.push(if kitty {
        Check::ok(AREA, "keyboard", "kitty protocol: Esc is told apart at once, S-Enter makes a new line")
    } else {
        Check::ok(AREA, "keyboard", "classic: C-j or A-Enter makes a new line")
    });
    let sync = sequences.iter().find_map(|s| s.strip_prefix(b"?2026;")?.strip_suffix(b"$y"));
    checks.push(match sync {
        Some(b"1" | b"2" | b"3") => Check::ok(AREA, "frames", "synchronized output"),
        _ => Check::ok(AREA, "frames", "no synchronized output: a frame may be seen half drawn"),
    });
    let text = String::from_utf8_lossy(answer);
    if let Some(colour) = text.split("]11;").nth(1).and_then(|rest| rest.split(['\u{7}', '\u{1b}']).next()) {
        checks.push(Check::ok(AREA, "background", format!("{colour}: the theme `auto` goes by it")));
    }
    checks
}

fn tmux() -> Vec<Check> {
    let option = |name: &str| {
        let output = Command::new("tmux").args(["show-options", "-gv", name]).output().ok()?;
        let value = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !value.is_empty()).then_some(value)
    };
    let server = |name: &str| {
        let output = Command::new("tmux").args(["show-options", "-sgv", name]).output().ok()?;
        let value = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !value.is_empty()).then_some(value)
    };
    let mut checks = Vec::new();
    checks.push(match server("set-clipboard").or_else(|| option("set-clipboard")).as_deref() {
        Some("on") => Check::ok(AREA, "tmux", "set-clipboard on: copying reaches your own clipboard"),
        Some(value) => Check::note(
            AREA,
            "tmux",
            format!("set-clipboard {value}: what is copied may stay inside tmux."),
            "Put `set -s set-clipboard on` into ~/.tmux.conf.",
        ),
        None => Check::note(AREA, "tmux", "tmux could not be asked.", "See to it that ~/.tmux.conf has `set -s set-clipboard on`."),
    });
    if option("focus-events").is_some_and(|value| value != "on") {
        checks.push(Check::note(
            AREA,
            "tmux",
            "focus-events off: arbour cannot tell when nobody looks.",
            "Put `set -g focus-events on` into ~/.tmux.conf.",
        ));
    }
    if server("escape-time").and_then(|ms| ms.parse::<u32>().ok()).is_some_and(|ms| ms > 50) {
        checks.push(Check::note(AREA, "tmux", "escape-time is long: Esc comes late.", "Put `set -s escape-time 10` into ~/.tmux.conf."));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn answers_are_told_apart_in_any_order() {
        let modern = b"\x1b[?0u\x1b[?2026;2$y\x1b]11;rgb:1010/1010/1010\x1b\\\x1b[?62;22c";
        let says: Vec<String> = answered(modern).into_iter().map(|c| c.says).collect();
        assert!(says[0].starts_with("kitty") && says[1] == "synchronized output" && says[2].starts_with("rgb:1010/1010/1010"), "{says:?}");

        let plain = answered(b"\x1b[?6c");
        assert!(plain.len() == 2 && plain[0].says.starts_with("classic") && plain[1].says.starts_with("no synchronized"), "{plain:?}");

        let silent = answered(b"\x1b[?0u");
        assert_eq!((silent.len(), silent[0].state), (1, State::Note), "an answer that does not end is none");
    }

    #[test]
    fn no_answer_is_taken_for_more_than_it_is() {
        assert!(answered(b"\x1b[?2026;0$y\x1b[?1;2c")[1].says.starts_with("no synchronized"), "0 means that the mode is not known");
        for cut in 0..12 {
            let _ = answered(&b"\x1b[?0u\x1b[?62c"[..cut]);
        }
    }

    #[test]
    fn terminals_are_judged_by_what_they_say() {
        assert_eq!(named(None).state, State::Problem);
        assert_eq!(named(Some("dumb")).state, State::Problem);
        assert_eq!(colours(Some("truecolor"), Some("xterm")).state, State::Ok);
        assert_eq!(colours(None, Some("xterm-256color")).state, State::Note);
        assert_eq!(locale(Some("de_DE.UTF-8")).state, State::Ok);
        assert_eq!(locale(Some("C")).state, State::Note);
        assert_eq!((fits(40, 12).state, fits(39, 12).state, fits(40, 11).state), (State::Ok, State::Problem, State::Problem));
    }
}
