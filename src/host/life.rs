//! When a host ends by itself. Pure: what holds it and the time are passed in.

use std::time::Duration;

use tokio::time::Instant;

/// Before its first client a host waits at least this long, whatever the linger says: whoever started it is on the way.
const FIRST: Duration = Duration::from_secs(10);
/// How often a host makes sure that its folder is still there. An idle host wakes once a minute at most.
const LOOK: Duration = Duration::from_secs(55);

/// What decides over the end.
#[derive(Debug, Clone)]
pub(super) struct Life {
    linger: Duration,
    kept: bool,
    started: Instant,
    /// When the last thing that held the host let go: a client, a run, a download.
    free: Instant,
    /// A client has been there.
    met: bool,
    looked: Instant,
}

impl Life {
    pub(super) fn new(linger: Duration, kept: bool, now: Instant) -> Self {
        Self { linger, kept, started: now, free: now, met: false, looked: now }
    }

    pub(super) fn kept(&self) -> bool {
        self.kept
    }

    /// Something holds the host now, or has until now.
    pub(super) fn held(&mut self, by_client: bool, now: Instant) {
        self.met |= by_client;
        self.free = now;
    }

    /// When to end if nothing comes to hold it.
    fn end(&self) -> Option<Instant> {
        if self.kept {
            return None;
        }
        let lingered = self.free + self.linger;
        Some(if self.met { lingered } else { lingered.max(self.started + FIRST) })
    }

    /// When to wake next: to end, or to look after the folder.
    pub(super) fn wake(&self, held: bool) -> Instant {
        let look = self.looked + LOOK;
        match self.end() {
            Some(end) if !held => end.min(look),
            _ => look,
        }
    }

    /// Whether the time has come to end, with nothing holding it.
    pub(super) fn is_over(&self, held: bool, now: Instant) -> bool {
        !held && self.end().is_some_and(|end| now >= end)
    }

    /// Whether the folder should be looked after now. Says so once for each time.
    pub(super) fn looks(&mut self, now: Instant) -> bool {
        let due = now >= self.looked + LOOK;
        if due {
            self.looked = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn it_waits_for_its_first_client_and_lingers_after_the_last() {
        let start = Instant::now();
        let mut life = Life::new(S, false, start);
        assert!(!life.is_over(false, start + 9 * S), "whoever started it is on the way");
        assert!(life.is_over(false, start + 10 * S));
        life.held(true, start + 2 * S);
        assert!(!life.is_over(true, start + 100 * S));
        assert!(!life.is_over(false, start + 2 * S + S / 2));
        assert!(life.is_over(false, start + 3 * S));
        assert_eq!(life.wake(false), start + 3 * S);
    }

    #[test]
    fn a_kept_host_only_looks_after_its_folder() {
        let start = Instant::now();
        let mut life = Life::new(S, true, start);
        assert!(!life.is_over(false, start + 1_000 * S));
        assert_eq!(life.wake(false), start + LOOK);
        assert!(!life.looks(start + LOOK / 2) && life.looks(start + LOOK) && !life.looks(start + LOOK));
        assert_eq!(life.wake(false), start + 2 * LOOK);
    }

    #[test]
    fn an_idle_host_wakes_once_a_minute_at_most() {
        let start = Instant::now();
        let life = Life::new(Duration::from_secs(3600), false, start);
        assert!(life.wake(false) - start >= Duration::from_secs(50));
        assert!(life.wake(true) - start <= Duration::from_secs(60));
    }
}
