//! Pasting without bracketed paste: characters that come faster than anyone types.
//!
//! Pure: time is passed in. A terminal that does not mark pastes sends them as keys, and the first newline in them would send half of
//! what was pasted. So once six characters came at most 8 ms apart, Enter is a newline, until nothing came for 120 ms.

use std::time::{Duration, Instant};

/// How many characters make a burst.
const CHARACTERS: u32 = 6;
/// How far apart they may be.
const APART: Duration = Duration::from_millis(8);
/// How long after the last one Enter is still part of it.
const AFTER: Duration = Duration::from_millis(120);

#[derive(Debug, Clone, Default)]
pub struct Burst {
    run: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Burst {
    /// A character was typed.
    pub fn character(&mut self, now: Instant) {
        self.seen(now);
        if self.run >= CHARACTERS {
            self.until = Some(now + AFTER);
        }
    }

    /// Enter came: tells whether it is a newline of a paste.
    pub fn enter(&mut self, now: Instant) -> bool {
        self.seen(now);
        let pasted = self.until.is_some_and(|until| now <= until);
        if pasted {
            self.until = Some(now + AFTER);
        }
        pasted
    }

    /// Any other key: nobody pastes those.
    pub fn other(&mut self) {
        *self = Self::default();
    }

    fn seen(&mut self, now: Instant) {
        let close = self.last.is_some_and(|last| now.saturating_duration_since(last) <= APART);
        self.run = if close { self.run.saturating_add(1) } else { 1 };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys with the milliseconds between them; tells of each Enter whether it was a newline.
    fn run(keys: &[(u64, char)]) -> Vec<bool> {
        let (mut burst, mut now, mut out) = (Burst::default(), Instant::now(), Vec::new());
        for (wait, key) in keys {
            now += Duration::from_millis(*wait);
            match key {
                '\n' => out.push(burst.enter(now)),
                '\u{1b}' => burst.other(),
                _ => burst.character(now),
            }
        }
        out
    }

    fn text(gap: u64, text: &str) -> Vec<(u64, char)> {
        text.chars().map(|c| (gap, c)).collect()
    }

    #[test]
    fn a_person_sends() {
        assert_eq!(run(&text(60, "hello\n")), [false]);
        // Fast rolls of a few keys are no paste.
        assert_eq!(run(&text(5, "hello\n")), [false]);
        assert_eq!(run(&text(9, "hello world\n")), [false]);
    }

    #[test]
    fn a_paste_has_newlines() {
        assert_eq!(run(&text(1, "fn main() {\n}\n")), [true, true]);
        assert_eq!(run(&[text(0, "abcdef"), vec![(100, '\n'), (0, 'x'), (119, '\n'), (121, '\n')]].concat()), [true, true, false]);
    }

    #[test]
    fn enter_sends_again_after_the_paste() {
        assert_eq!(run(&[text(1, "a long line"), vec![(121, '\n')]].concat()), [false]);
        assert_eq!(run(&[text(1, "a long line"), vec![(1, '\u{1b}'), (1, '\n')]].concat()), [false]);
    }
}
