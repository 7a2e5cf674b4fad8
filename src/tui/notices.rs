//! What arbour says to the person: one line on the status line, all of it in a log.
//!
//! Invariant: an error stays until a key is pressed, anything else goes by itself; nothing that was said is lost.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::Error;
use crate::proto::{Level, UnixMs};

/// Sentences that are kept.
const KEPT: usize = 200;
/// How long a sentence that is no error stays.
const STAY: Duration = Duration::from_secs(6);

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub level: Level,
    pub text: String,
    pub hints: Vec<String>,
    pub at: UnixMs,
}

/// What is said now, and the log.
#[derive(Debug, Default)]
pub struct Notices {
    log: VecDeque<Notice>,
    /// When what is shown goes; `None` inside: when a key is pressed.
    shown: Option<Option<Duration>>,
}

impl Notices {
    pub fn say(&mut self, level: Level, text: impl Into<String>, now: super::msg::Now) {
        self.put(Notice { level, text: text.into(), hints: Vec::new(), at: now.wall }, now.mono);
    }

    pub fn fail(&mut self, error: &Error, now: super::msg::Now) {
        self.put(Notice { level: Level::Error, text: error.message.clone(), hints: error.hints.clone(), at: now.wall }, now.mono);
    }

    pub fn put(&mut self, notice: Notice, now: Duration) {
        self.shown = Some((notice.level != Level::Error).then_some(now + STAY));
        self.log.push_back(notice);
        if self.log.len() > KEPT {
            self.log.pop_front();
        }
    }

    /// What is on the status line.
    #[must_use]
    pub fn shown(&self) -> Option<&Notice> {
        self.shown.and_then(|_| self.log.back())
    }

    /// A key was pressed.
    pub fn dismiss(&mut self) -> bool {
        self.shown.take().is_some()
    }

    /// Takes away what has been there long enough.
    pub fn expire(&mut self, now: Duration) -> bool {
        let over = self.deadline().is_some_and(|at| at <= now);
        if over {
            self.shown = None;
        }
        over
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.shown.flatten()
    }

    /// Everything that was said, newest last.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &Notice> {
        self.log.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::msg::Now;
    use super::*;
    use crate::error::Kind;

    #[test]
    fn errors_stay_and_the_rest_goes() {
        let mut notices = Notices::default();
        let now = Now::default();
        notices.say(Level::Info, "Copied.", now);
        assert!(!notices.expire(Duration::from_secs(5)));
        assert!(notices.expire(Duration::from_secs(6)));
        assert_eq!(notices.shown(), None);
        notices.fail(&Error::new(Kind::Busy, "No."), now);
        assert_eq!(notices.deadline(), None);
        assert!(notices.shown().is_some());
        assert!(notices.dismiss() && !notices.dismiss());
        assert_eq!(notices.log().count(), 2);
    }
}
