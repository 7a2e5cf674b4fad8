//! Pasting without bracketed paste: characters that come faster than anyone types.
//!
//! Pure: time is passed in. A terminal that does not mark pastes sends them as keys, and the first newline in them would send half of
//! what was pasted. So once six characters came at most 8 ms apart, Enter is a newline, until nothing came for 120 ms. Only an Enter
//! that ends a burst of a single line is what it seems (a script, an expander, a very quick hand): it is held back for those 120 ms, and
//! sends if nothing follows.

use std::time::{Duration, Instant};

/// How many characters make a burst.
const CHARACTERS: u32 = 6;
/// How far apart they may be.
const APART: Duration = Duration::from_millis(8);
/// How long after the last one Enter is still part of it.
const AFTER: Duration = Duration::from_millis(120);

/// What an Enter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enter {
    /// A person's: it does what the keymap says.
    Typed,
    /// Part of a paste: a newline.
    Pasted,
    /// Not known yet: a newline if more of the paste follows, else a person's ([`Burst::due`]).
    Held,
}

#[derive(Debug, Clone, Default)]
pub struct Burst {
    run: u32,
    last: Option<Instant>,
    until: Option<Instant>,
    /// The burst has a newline in it.
    lines: bool,
    held: bool,
}

impl Burst {
    /// A character was typed. Tells whether an Enter that was held back before it was a newline.
    pub fn character(&mut self, now: Instant) -> bool {
        self.seen(now);
        if self.run >= CHARACTERS {
            self.until = Some(now + AFTER);
        }
        let newline = std::mem::take(&mut self.held);
        self.lines |= newline;
        newline
    }

    /// Enter came.
    pub fn enter(&mut self, now: Instant) -> Enter {
        self.seen(now);
        if self.until.is_none_or(|until| now > until) {
            return Enter::Typed;
        }
        self.until = Some(now + AFTER);
        if self.lines {
            return Enter::Pasted;
        }
        self.held = true;
        Enter::Held
    }

    /// When an Enter that is held back turns out to be a person's.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.until.filter(|_| self.held)
    }

    /// Whether an Enter is held back.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.held
    }

    /// Whether an Enter was held back and nothing followed: now it counts.
    pub fn due(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|at| now >= at);
        if due {
            self.other();
        }
        due
    }

    /// Any other key: nobody pastes those.
    pub fn other(&mut self) {
        *self = Self::default();
    }

    fn seen(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now > until) {
            *self = Self::default();
        }
        let close = self.last.is_some_and(|last| now.saturating_duration_since(last) <= APART);
        self.run = if close { self.run.saturating_add(1) } else { 1 };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys with the milliseconds between them; tells what each Enter was, a held one by what followed.
    fn run(keys: &[(u64, char)]) -> Vec<Enter> {
        let (mut burst, mut now, mut out) = (Burst::default(), Instant::now(), Vec::new());
        for (wait, key) in keys {
            now += Duration::from_millis(*wait);
            if burst.due(now) {
                out.push(Enter::Typed);
            }
            match key {
                '\n' => {
                    if burst.holds() && burst.character(now) {
                        out.push(Enter::Pasted);
                    }
                    match burst.enter(now) {
                        Enter::Held => {}
                        enter => out.push(enter),
                    }
                }
                '\u{1b}' => burst.other(),
                _ if burst.character(now) => out.push(Enter::Pasted),
                _ => {}
            }
        }
        out
    }

    fn text(gap: u64, text: &str) -> Vec<(u64, char)> {
        text.chars().map(|c| (gap, c)).collect()
    }

    #[test]
    fn a_person_sends() {
        assert_eq!(run(&text(60, "hello\n")), [Enter::Typed]);
        // Fast rolls of a few keys are no paste.
        assert_eq!(run(&text(5, "hello\n")), [Enter::Typed]);
        assert_eq!(run(&text(9, "hello world\n")), [Enter::Typed]);
    }

    #[test]
    fn a_paste_has_newlines() {
        assert_eq!(run(&text(1, "fn main() {\n}\n")), [Enter::Pasted, Enter::Pasted]);
        assert_eq!(run(&text(1, "one line\n\nanother\n")), [Enter::Pasted, Enter::Pasted, Enter::Pasted]);
    }

    #[test]
    fn a_line_that_a_script_types_is_sent_when_nothing_follows() {
        assert_eq!(run(&[text(0, "a whole line\n"), vec![(121, 'x')]].concat()), [Enter::Typed]);
        assert_eq!(run(&[text(0, "a whole line\n"), vec![(100, 'x')]].concat()), [Enter::Pasted]);
    }

    #[test]
    fn enter_sends_again_after_the_paste() {
        assert_eq!(run(&[text(1, "a long line"), vec![(121, '\n')]].concat()), [Enter::Typed]);
        assert_eq!(run(&[text(1, "a first\nand a second\n"), vec![(121, '\n')]].concat()), [Enter::Pasted, Enter::Pasted, Enter::Typed]);
        assert_eq!(run(&[text(1, "a long line"), vec![(1, '\u{1b}'), (1, '\n')]].concat()), [Enter::Typed]);
    }
}
