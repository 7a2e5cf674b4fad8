//! A figure with its recent past, drawn as a line of bars.
//!
//! Owns: the ring of what is kept. Refuses: sampling and time. Invariant: a column is the mean of [`COLUMN`] samples, so that a line of
//! cells stays still most of the time; the past is bounded.

use std::collections::VecDeque;

/// Samples (seconds) in one column.
pub const COLUMN: u32 = 4;
/// Columns kept: more than any pane is wide.
pub const KEPT: usize = 200;
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// A series with its last figure.
#[derive(Debug, Default)]
pub struct Series {
    /// Means of [`COLUMN`] samples each, oldest first.
    pub columns: VecDeque<f64>,
    /// Sum and count of the column that is being filled.
    open: (f64, u32),
    /// As shown.
    pub figure: String,
    /// The value of a full bar; `None`: the greatest that is shown.
    pub full: Option<f64>,
}

impl Series {
    /// Takes a sample into the open column.
    pub fn put(&mut self, value: f64) {
        if value.is_finite() {
            self.open.0 += value;
            self.open.1 += 1;
        }
    }

    /// How many samples the open column has.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open.1
    }

    /// Ends the open column; without samples it is as the one before.
    pub fn close(&mut self) {
        let (sum, count) = std::mem::take(&mut self.open);
        let value = if count > 0 { sum / f64::from(count) } else { self.columns.back().copied().unwrap_or(0.0) };
        self.columns.push_back(value);
        if self.columns.len() > KEPT {
            self.columns.pop_front();
        }
    }

    /// The last `columns` values as bars, right-aligned.
    #[must_use]
    pub fn bars(&self, columns: usize) -> String {
        let shown: Vec<f64> = self.columns.iter().rev().take(columns).rev().copied().collect();
        let full = self.full.unwrap_or_else(|| shown.iter().copied().fold(0.0, f64::max));
        let mut out = " ".repeat(columns - shown.len());
        for value in shown {
            let part = if full > 0.0 { (value / full).clamp(0.0, 1.0) } else { 0.0 };
            out.push_str(BARS[((part * 8.0) as usize).min(7)]);
        }
        out
    }
}
