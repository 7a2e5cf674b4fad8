//! How fast bytes come, smoothed. Pure: time is given.

use std::time::Duration;

/// Over how long the rate is smoothed.
const SPAN: f64 = 3.0;

/// A rate in bytes per second.
#[derive(Debug, Default)]
pub struct Rate {
    /// When the last bytes were counted, from the start.
    at: Duration,
    bytes: u64,
    smooth: f64,
    /// How much the mean is worth yet: rises to 1.
    weight: f64,
}

impl Rate {
    /// Counts bytes that came up to `now` (time since the start).
    pub fn add(&mut self, bytes: u64, now: Duration) {
        self.bytes += bytes;
        let passed = now.saturating_sub(self.at).as_secs_f64();
        // Shorter stretches say more of the network's packets than of its speed.
        if passed < 0.05 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "bytes of a twentieth of a second or little more")]
        let current = self.bytes as f64 / passed;
        let share = 1.0 - (-passed / SPAN).exp();
        self.smooth += (current - self.smooth) * share;
        self.weight += (1.0 - self.weight) * share;
        self.at = now;
        self.bytes = 0;
    }

    /// Bytes per second, once a fifth of a second has been seen.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        (self.at >= Duration::from_millis(200)).then(|| self.smooth / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_steady_for_a_steady_stream_and_follows_a_change() {
        let mut rate = Rate::default();
        assert_eq!(rate.get(), None);
        for tick in 1..=20u64 {
            rate.add(1000, Duration::from_millis(tick * 100));
        }
        assert!((rate.get().unwrap() - 10_000.0).abs() < 1.0, "{rate:?}");
        for tick in 21..=200u64 {
            rate.add(100, Duration::from_millis(tick * 100));
        }
        assert!((rate.get().unwrap() - 1_000.0).abs() < 50.0, "{rate:?}");
    }

    #[test]
    fn many_small_pieces_count_as_one_large() {
        let mut rate = Rate::default();
        for tick in 1..=1000u64 {
            rate.add(10, Duration::from_millis(tick));
        }
        assert!((rate.get().unwrap() - 10_000.0).abs() < 500.0, "{rate:?}");
    }
}
