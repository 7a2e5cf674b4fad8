//! When a frame may be drawn.
//!
//! Owns: the pace. Refuses: clocks, timers and writing; time is passed in, the write's cost is told. Invariant: a frame that a
//! key asked for is never held back by the pace of streams, and nothing is due unless something asked for it.

use std::time::Duration;

/// What asked for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Events of the host, animation: may wait for the pace.
    Stream,
    /// A key, a paste, a resize: at once.
    Input,
}

/// Between two frames of a stream on a fast terminal: 60 a second.
const FAST: Duration = Duration::from_micros(16_667);
/// On a terminal that is slow to take bytes: 10 a second.
const SLOW: Duration = Duration::from_millis(100);
/// Between two frames that keys asked for: faster than any key repeats, slower than a paste without brackets.
const KEYS: Duration = Duration::from_millis(4);

/// The pace of frames, adapted to how long the terminal takes to accept them.
#[derive(Debug, Clone)]
pub struct FrameLimiter {
    last: Option<Duration>,
    floor: Duration,
    interval: Duration,
    /// Smoothed cost of a write.
    cost: Duration,
    asked: Option<Cause>,
}

impl FrameLimiter {
    /// `remote`: the terminal is at the other end of a link (SSH), where 30 frames a second are plenty.
    #[must_use]
    pub fn new(remote: bool) -> Self {
        let floor = if remote { FAST * 2 } else { FAST };
        Self { last: None, floor, interval: floor, cost: Duration::ZERO, asked: None }
    }

    /// Something changed.
    pub fn ask(&mut self, cause: Cause) {
        self.asked = Some(self.asked.map_or(cause, |known| known.max(cause)));
    }

    /// When the frame that was asked for is due. `None`: nothing was asked for, no timer is needed.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let cause = self.asked?;
        let Some(last) = self.last else { return Some(Duration::ZERO) };
        Some(match cause {
            Cause::Input => last + KEYS,
            Cause::Stream => last + self.interval,
        })
    }

    /// Whether to draw now.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// A frame was drawn at `now` and writing it took `cost`.
    pub fn drawn(&mut self, now: Duration, cost: Duration) {
        self.last = Some(now);
        self.asked = None;
        self.cost = (self.cost * 3 + cost) / 4;
        // A write that takes a third of the interval leaves too little for everything else: the terminal is the bottleneck.
        self.interval = (self.cost * 3).clamp(self.floor, SLOW);
    }

    /// Time between two frames of a stream, as it is now.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether the terminal is found to be slow, so that bytes count more than smoothness.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.interval >= FAST * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn nothing_is_due_when_nothing_was_asked() {
        let mut limiter = FrameLimiter::new(false);
        assert_eq!(limiter.due(), None);
        limiter.ask(Cause::Stream);
        assert!(limiter.is_due(ms(0)), "the first frame does not wait");
        limiter.drawn(ms(0), ms(0));
        assert_eq!(limiter.due(), None);
    }

    #[test]
    fn streams_are_paced_and_keys_are_not() {
        let mut limiter = FrameLimiter::new(false);
        limiter.ask(Cause::Stream);
        limiter.drawn(ms(100), ms(1));
        limiter.ask(Cause::Stream);
        assert!(!limiter.is_due(ms(110)));
        assert!(limiter.is_due(ms(117)));
        limiter.ask(Cause::Input);
        assert!(limiter.is_due(ms(104)), "a key overtakes the stream's pace");
        limiter.ask(Cause::Stream);
        assert!(limiter.is_due(ms(104)), "and is not slowed by a later stream");
    }

    #[test]
    fn slow_writes_slow_the_stream_down_and_fast_ones_speed_it_up_again() {
        let mut limiter = FrameLimiter::new(false);
        for i in 0..20 {
            limiter.ask(Cause::Stream);
            limiter.drawn(ms(i * 100), ms(40));
        }
        assert_eq!(limiter.interval(), SLOW);
        assert!(limiter.is_slow());
        for i in 20..60 {
            limiter.ask(Cause::Stream);
            limiter.drawn(ms(i * 100), ms(0));
        }
        assert_eq!(limiter.interval(), FAST);
        assert!(!limiter.is_slow());
    }

    #[test]
    fn a_remote_terminal_begins_at_thirty() {
        assert_eq!(FrameLimiter::new(true).interval(), FAST * 2);
    }
}
