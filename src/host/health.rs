//! How a backend's connection is: whether it is slow, and when one that is down is asked again. Pure: moments are passed in.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Round trips that tell whether a backend is slow: of the last three the one in the middle, so that one hiccup says nothing.
const TRIPS: usize = 3;
/// A backend that takes longer to say that it is there, in milliseconds, lets a person wait for every first word.
const SLOW: f64 = 1_000.0;
/// How soon a backend that is down is asked again; the pause doubles with each time that it still is.
const FIRST: Duration = Duration::from_secs(2);
/// The longest such pause: whoever starts a server looks at its own output first.
const LONGEST: Duration = Duration::from_secs(60);

/// What the last questions to a backend told.
#[derive(Debug, Default)]
pub(super) struct Health {
    trips: VecDeque<f64>,
    /// How often in a row it was not there.
    misses: u32,
    /// When it is to be asked again, if somebody looks.
    due: Option<Instant>,
}

impl Health {
    /// It answered, within so many milliseconds.
    pub(super) fn answered(&mut self, ms: f64) {
        (self.misses, self.due) = (0, None);
        if self.trips.len() >= TRIPS {
            self.trips.pop_front();
        }
        self.trips.push_back(ms);
    }

    /// It was not there, or is only starting: it will be asked again after this pause.
    pub(super) fn missed(&mut self, now: Instant) -> Duration {
        self.trips.clear();
        let pause = FIRST.saturating_mul(1 << self.misses.min(16)).min(LONGEST);
        self.misses = self.misses.saturating_add(1);
        self.due = Some(now + pause);
        pause
    }

    /// It was there and wants something of a person (a key): asking again tells nothing.
    pub(super) fn refused(&mut self) {
        *self = Self::default();
    }

    /// Whether it was not there when it was asked last.
    pub(super) fn is_missing(&self) -> bool {
        self.misses > 0
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it answers slowly.
    pub(super) fn is_slow(&self) -> bool {
        let mut trips: Vec<f64> = self.trips.iter().copied().collect();
        trips.sort_by(f64::total_cmp);
        trips.len() == TRIPS && trips[TRIPS / 2] > SLOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hiccup_is_not_slow_and_two_are() {
        let mut health = Health::default();
        for (ms, slow) in [(4_000.0, false), (5.0, false), (6.0, false), (1_200.0, false), (1_300.0, true), (5.0, true), (4.0, false)] {
            health.answered(ms);
            assert_eq!(health.is_slow(), slow, "{ms}");
        }
    }

    #[test]
    fn pauses_double_to_a_minute_and_begin_anew_when_it_was_there() {
        let (mut health, now) = (Health::default(), Instant::now());
        let pauses: Vec<u64> = (0..7).map(|_| health.missed(now).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(health.due(), Some(now + LONGEST));
        health.answered(1.0);
        assert!(health.due().is_none() && !health.is_missing());
        assert_eq!(health.missed(now), FIRST);
        health.refused();
        assert!(health.due().is_none() && !health.is_missing());
    }
}
