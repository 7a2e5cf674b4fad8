//! The parameters that everyone uses: one table, from which checking, completion, help and the backends' mapping follow.
//!
//! Invariant: a value that [`check`] let through has the table's type and lies in its range, so a backend need not check again.

mod rules;
mod table;
#[cfg(test)]
mod tests;
pub mod tools;

use serde_json::Value;

pub use rules::{Facts, Problem, problems};
pub use table::PARAMETERS;

use crate::error::{Error, Kind, Result};
use crate::proto::{BackendKind, Parameters};

/// The type of a parameter, with its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
    Number {
        min: f64,
        max: f64,
    },
    Integer {
        min: i64,
        max: i64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of strings; on a command line separated by commas, `\n` and `\t` understood.
    Strings {
        most: usize,
    },
    /// A text, perhaps of many lines, of so many bytes at most.
    Text {
        most: usize,
    },
    /// A duration (`5m`, `30s`, `0`, `-1` for ever).
    Duration,
    /// A JSON object.
    Json,
    /// A JSON list of tools ([`tools::read`]).
    Tools,
}

/// What a parameter is about: the headings of the editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    Sampling,
    Penalties,
    Output,
    Context,
    Loading,
}

impl Section {
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Sampling => "Sampling",
            Self::Penalties => "Penalties",
            Self::Output => "Output",
            Self::Context => "Context and cache",
            Self::Loading => "Loading",
        }
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub key: &'static str,
    pub kind: Type,
    pub section: Section,
    /// One line for help and completion.
    pub about: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// The default of kinds where it is another.
    pub defaults: &'static [(BackendKind, &'static str)],
    /// A load setting: it belongs into templates of load settings, and goes along when a model is started.
    pub load: bool,
    /// Kinds that take it.
    pub kinds: &'static [BackendKind],
}

impl Parameter {
    /// The default with this kind, in words.
    #[must_use]
    pub fn default_of(&self, kind: Option<BackendKind>) -> &'static str {
        self.defaults.iter().find(|(of, _)| Some(*of) == kind).map_or(self.default, |(_, words)| words)
    }

    /// Whether a loaded model must be loaded again for a change to hold. The engine inside arbour bounds each answer anew.
    #[must_use]
    pub fn reloads(&self, kind: BackendKind) -> bool {
        self.load && kind != BackendKind::Embedded && self.kinds.contains(&kind)
    }

    /// Whether it is arbour's own: no backend is told.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.key == super::overflow::KEY
    }

    /// Whether it goes along when a model is started.
    #[must_use]
    pub fn starts(&self) -> bool {
        self.load || self.key == "keep_alive"
    }
}

/// The table's entry for a key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|p| p.key == key)
}

/// What a person may type for the value, in words.
#[must_use]
pub fn range(kind: Type) -> String {
    match kind {
        Type::Number { min, max } => format!("a number from {min} to {max}"),
        Type::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Type::Word(words) => format!("one of {}", words.join(", ")),
        Type::Strings { most } => format!("up to {most} texts separated by commas"),
        Type::Text { most } => format!("a text of up to {most} bytes"),
        Type::Duration => "a duration such as 30s, 5m or 1h, or 0, or -1 for ever".to_owned(),
        Type::Json => "a JSON object".to_owned(),
        Type::Tools => {
            "a JSON list of tools, each with a name of its own (letters, digits, _ and -), a description and parameters".to_owned()
        }
    }
}

/// Reads what a person typed (`:set KEY VALUE`, `--set KEY=VALUE`). `default` and the empty text give `None`: back to the default.
///
/// # Errors
/// [`Kind::Usage`] with the range, for an unknown key or a value that does not fit.
pub fn parse(key: &str, text: &str) -> Result<Option<Value>> {
    let parameter = find(key).ok_or_else(|| unknown(key))?;
    let text = text.trim();
    if text.is_empty() || text == "default" {
        return Ok(None);
    }
    let wrong = || wrong(parameter);
    let value = match parameter.kind {
        Type::Number { .. } => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from).ok_or_else(wrong)?,
        Type::Integer { .. } => text.parse::<i64>().map(Value::from).map_err(|_| wrong())?,
        Type::Word(_) | Type::Duration | Type::Text { .. } => Value::from(text),
        Type::Strings { .. } => Value::from(split(text)),
        Type::Json | Type::Tools => serde_json::from_str(text).map_err(|e| wrong().cause(e))?,
    };
    check(key, &value)?;
    Ok(Some(value))
}

/// Commas separate; `\,` is a comma, `\n` a line break, `\t` a tab.
fn split(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let last = out.len() - 1;
        match c {
            ',' => out.push(String::new()),
            '\\' => match chars.next() {
                Some('n') => out[last].push('\n'),
                Some('t') => out[last].push('\t'),
                Some(other) => out[last].push(other),
                None => out[last].push('\\'),
            },
            c => out[last].push(c),
        }
    }
    out.retain(|s| !s.is_empty());
    out
}

/// Holds a value against the table.
///
/// # Errors
/// [`Kind::Usage`] with the range.
pub fn check(key: &str, value: &Value) -> Result<()> {
    let parameter = find(key).ok_or_else(|| unknown(key))?;
    let fits = match parameter.kind {
        Type::Number { min, max } => value.as_f64().is_some_and(|n| (min..=max).contains(&n)),
        Type::Integer { min, max } => value.as_i64().is_some_and(|n| (min..=max).contains(&n)),
        Type::Word(words) => value.as_str().is_some_and(|w| words.contains(&w)),
        Type::Strings { most } => value.as_array().is_some_and(|items| {
            !items.is_empty() && items.len() <= most && items.iter().all(|s| s.as_str().is_some_and(|s| !s.is_empty()))
        }),
        Type::Text { most } => value.as_str().is_some_and(|text| !text.is_empty() && text.len() <= most),
        Type::Duration => value.as_str().is_some_and(|text| seconds(text).is_some()),
        Type::Json => value.is_object(),
        Type::Tools => tools::read(value).is_some(),
    };
    if fits { Ok(()) } else { Err(wrong(parameter)) }
}

/// Reads a duration: `90`, `90s`, `5m`, `1h`, `2d`; `-1` (any negative number) is for ever and gives `None` inside.
#[must_use]
pub fn seconds(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('-') {
        return rest.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse::<u64>().ok().map(|_| None);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(factor).filter(|s| *s <= 10 * 365 * 86_400).map(Some)
}

/// A value as `:set KEY` shows it and [`parse`] reads it.
#[must_use]
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => items
            .iter()
            .filter_map(Value::as_str)
            .map(|s| s.replace('\\', "\\\\").replace(',', "\\,").replace('\n', "\\n").replace('\t', "\\t"))
            .collect::<Vec<_>>()
            .join(","),
        other => other.to_string(),
    }
}

/// Keys that are set and that this kind of backend does not take.
#[must_use]
pub fn ignored_by(parameters: &Parameters, kind: BackendKind) -> Vec<&'static str> {
    PARAMETERS.iter().filter(|p| parameters.0.contains_key(p.key) && !p.kinds.contains(&kind)).map(|p| p.key).collect()
}

fn unknown(key: &str) -> Error {
    let near = super::names::nearest(key, PARAMETERS.iter().map(|p| p.key));
    let error = Error::new(Kind::Usage, format!("There is no parameter {}.", crate::error::quoted(key)));
    match near {
        Some(near) => error.hint(format!("Did you mean {near}?")),
        None => error.hint("`:help parameters` tells of each; `arbour models set MODEL` shows what holds."),
    }
}

fn wrong(parameter: &Parameter) -> Error {
    Error::new(Kind::Usage, format!("{} takes {}.", parameter.key, range(parameter.kind))).hint(format!("{}.", parameter.about))
}
