//! Figures of models that a filter compares, and their units.

use super::{Candidate, Range};
use crate::core::filter::language;

/// A figure of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Bytes.
    Size,
    /// Bytes.
    Memory,
    /// Tokens.
    Context,
    Runs,
    /// Seconds since the last run.
    Used,
    /// Tokens per second.
    Speed,
    /// Milliseconds.
    Ttft,
}

impl Measure {
    /// The figure of a model; `None`: not known, which fits no comparison.
    pub fn of(self, candidate: &Candidate<'_>) -> Option<f64> {
        let model = candidate.model;
        match self {
            Self::Size => model.size_bytes.map(|n| n as f64),
            Self::Memory => model.memory_bytes.map(|n| n as f64),
            // What it can have: what is in force now may be less.
            Self::Context => model.context_max.max(model.context).map(f64::from),
            Self::Runs => Some(candidate.uses.map_or(0.0, |uses| f64::from(uses.runs))),
            Self::Used => candidate.uses?.last.map(|last| (candidate.now - last).max(0) as f64 / 1000.0),
            Self::Speed => candidate.uses?.tokens_per_s,
            Self::Ttft => candidate.uses?.ttft_ms,
        }
    }

    /// What it is called in a sentence, and how one is written.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Size | Self::Memory => ("a size", "8G, 500M or 4G..8G"),
            Self::Context => ("a number of tokens", "8192 or 32k"),
            Self::Runs => ("a number", "10"),
            Self::Used => ("a time", "12h, 7d or 2w"),
            Self::Speed => ("a number", "20"),
            Self::Ttft => ("a time", "800ms or 2s"),
        }
    }

    /// Reads `<8G`, `>=4G`, `4G..8G`, `*`, or a bare figure. `Ok(None)`: nothing is written yet.
    pub fn read(self, text: &str) -> Result<Option<Range>, String> {
        Range::read(text, |text| self.figure(text), |figure, bare| self.about(figure, bare))
    }

    /// What a figure without a sign means.
    fn about(self, figure: f64, bare: bool) -> Range {
        match self {
            // `used:7d` is within these days.
            Self::Used if bare => Range { least: None, most: Some((figure, false)) },
            // Nobody types all digits of a size.
            Self::Size | Self::Memory | Self::Speed | Self::Ttft => {
                Range { least: Some((figure * 0.95, false)), most: Some((figure * 1.05, false)) }
            }
            _ => Range::only(figure),
        }
    }

    /// A figure with its unit.
    fn figure(self, text: &str) -> Result<f64, String> {
        let factor = |unit: &str| match self {
            Self::Size | Self::Memory => bytes(unit),
            Self::Context => match unit {
                "" => Some(1.0),
                "k" => Some(1024.0),
                "m" => Some(1024.0 * 1024.0),
                _ => None,
            },
            Self::Runs | Self::Speed => match unit {
                "" => Some(1.0),
                "k" => Some(1000.0),
                _ => None,
            },
            Self::Used => match unit {
                "s" => Some(1.0),
                "m" | "min" => Some(60.0),
                "h" => Some(3600.0),
                "" | "d" => Some(86_400.0),
                "w" => Some(7.0 * 86_400.0),
                "y" => Some(365.0 * 86_400.0),
                _ => None,
            },
            Self::Ttft => match unit {
                "ms" => Some(1.0),
                "" | "s" => Some(1000.0),
                _ => None,
            },
        };
        language::figure(text, factor, self.told())
    }
}

/// `G`, `GB` and, in powers of two, `GiB`. Without a unit: G, since nobody has models of a few bytes.
fn bytes(unit: &str) -> Option<f64> {
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let (unit, base) = unit.strip_suffix('i').map_or((unit, 1000.0_f64), |unit| (unit, 1024.0));
    let power = match unit {
        "k" => 1,
        "m" => 2,
        "" | "g" => 3,
        "t" => 4,
        _ => return None,
    };
    Some(base.powi(power))
}
