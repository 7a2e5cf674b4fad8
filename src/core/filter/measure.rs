//! Figures that a filter compares: their units, and ranges of them.

use super::Candidate;

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

/// From one figure to another; the ends belong to it unless they are `open`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub least: Option<(f64, bool)>,
    pub most: Option<(f64, bool)>,
}

impl Range {
    /// Any figure that is known.
    pub const ANY: Self = Self { least: None, most: None };

    pub fn holds(self, value: f64) -> bool {
        self.least.is_none_or(|(least, open)| if open { value > least } else { value >= least })
            && self.most.is_none_or(|(most, open)| if open { value < most } else { value <= most })
    }
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
        if text == "*" {
            return Ok(Some(Range::ANY));
        }
        if let Some((from, to)) = text.split_once("..") {
            let least = if from.is_empty() { None } else { Some((self.figure(from)?, false)) };
            let most = if to.is_empty() { None } else { Some((self.figure(to)?, false)) };
            return Ok((least.is_some() || most.is_some()).then_some(Range { least, most }));
        }
        let sign = text.len() - text.trim_start_matches(['<', '>', '=']).len();
        let (sign, rest) = text.split_at(sign);
        if rest.trim().is_empty() && matches!(sign, "" | "<" | ">" | "=" | "<=" | ">=" | "==") {
            return Ok(None);
        }
        let figure = self.figure(rest)?;
        let range = match sign {
            "<" => Range { least: None, most: Some((figure, true)) },
            "<=" | "=<" => Range { least: None, most: Some((figure, false)) },
            ">" => Range { least: Some((figure, true)), most: None },
            ">=" | "=>" => Range { least: Some((figure, false)), most: None },
            "" | "=" | "==" => self.about(figure, sign.is_empty()),
            _ => return Err(format!("`{sign}` compares nothing: there are < <= > >= = and FROM..TO.")),
        };
        Ok(Some(range))
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
            _ => Range { least: Some((figure, false)), most: Some((figure, false)) },
        }
    }

    /// A figure with its unit.
    fn figure(self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let factor = match self {
            Self::Size | Self::Memory => bytes(&unit),
            Self::Context => match unit.as_str() {
                "" => Some(1.0),
                "k" => Some(1024.0),
                "m" => Some(1024.0 * 1024.0),
                _ => None,
            },
            Self::Runs | Self::Speed => match unit.as_str() {
                "" => Some(1.0),
                "k" => Some(1000.0),
                _ => None,
            },
            Self::Used => match unit.as_str() {
                "s" => Some(1.0),
                "m" | "min" => Some(60.0),
                "h" => Some(3600.0),
                "" | "d" => Some(86_400.0),
                "w" => Some(7.0 * 86_400.0),
                "y" => Some(365.0 * 86_400.0),
                _ => None,
            },
            Self::Ttft => match unit.as_str() {
                "ms" => Some(1.0),
                "" | "s" => Some(1000.0),
                _ => None,
            },
        };
        let (what, how) = self.told();
        let wrong = || format!("{} is not {what}: write {how}.", crate::error::quoted(text));
        number.parse::<f64>().ok().zip(factor).map(|(number, factor)| number * factor).ok_or_else(wrong)
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
