//! The parameters that everyone uses: one table, from which checking, completion, help and the backends' mapping follow.
//!
//! Invariant: a value that [`check`] let through has the table's type and lies in its range, so a backend need not check again.

use serde_json::Value;

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
    /// A duration (`5m`, `30s`, `0`, `-1` for ever).
    Duration,
    /// A JSON object.
    Json,
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub key: &'static str,
    pub kind: Type,
    /// One line for help and completion.
    pub about: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// Changing it makes the model load again.
    pub load: bool,
    /// Kinds that take it.
    pub kinds: &'static [BackendKind],
}

const ALL: &[BackendKind] = &[BackendKind::Ollama, BackendKind::LlamaServer, BackendKind::OpenAi, BackendKind::Embedded];
const LOCAL: &[BackendKind] = &[BackendKind::Ollama, BackendKind::LlamaServer, BackendKind::Embedded];
const SERVERS: &[BackendKind] = &[BackendKind::Ollama, BackendKind::LlamaServer, BackendKind::OpenAi];

/// Every parameter, in the order in which people meet them.
pub const PARAMETERS: &[Parameter] = &[
    Parameter {
        key: "temperature",
        kind: Type::Number { min: 0.0, max: 2.0 },
        about: "How freely words are chosen: 0 always takes the likeliest",
        default: "the backend's (often 0.8)",
        load: false,
        kinds: ALL,
    },
    Parameter {
        key: "top_p",
        kind: Type::Number { min: 0.0, max: 1.0 },
        about: "Choose among the likeliest tokens that together have this probability",
        default: "the backend's (often 0.95)",
        load: false,
        kinds: ALL,
    },
    Parameter {
        key: "top_k",
        kind: Type::Integer { min: 0, max: 100_000 },
        about: "Choose among this many likeliest tokens; 0 is all",
        default: "the backend's (often 40)",
        load: false,
        kinds: LOCAL,
    },
    Parameter {
        key: "min_p",
        kind: Type::Number { min: 0.0, max: 1.0 },
        about: "Leave out tokens less likely than this share of the likeliest",
        default: "the backend's (often 0.05)",
        load: false,
        kinds: LOCAL,
    },
    Parameter {
        key: "repeat_penalty",
        kind: Type::Number { min: 0.0, max: 10.0 },
        about: "Above 1: makes what was said lately less likely",
        default: "the backend's (often 1.0 or 1.1)",
        load: false,
        kinds: LOCAL,
    },
    Parameter {
        key: "max_tokens",
        kind: Type::Integer { min: 1, max: 10_000_000 },
        about: "The longest answer, in tokens",
        default: "until the model ends or the context is full",
        load: false,
        kinds: ALL,
    },
    Parameter {
        key: "seed",
        kind: Type::Integer { min: 0, max: 0xFFFF_FFFF },
        about: "The same seed and prompt give the same answer, as far as the backend can",
        default: "a new one each time",
        load: false,
        kinds: ALL,
    },
    Parameter {
        key: "stop",
        kind: Type::Strings { most: 16 },
        about: "End the answer before any of these texts (separated by commas)",
        default: "none",
        load: false,
        kinds: ALL,
    },
    Parameter {
        key: "context",
        kind: Type::Integer { min: 16, max: 100_000_000 },
        about: "The context to load the model with, in tokens",
        default: "the backend's",
        load: true,
        kinds: &[BackendKind::Ollama, BackendKind::Embedded],
    },
    Parameter {
        key: "keep_alive",
        kind: Type::Duration,
        about: "How long the model stays loaded after an answer (5m, 1h, 0, -1 for ever)",
        default: "the backend's (often 5m)",
        load: false,
        kinds: &[BackendKind::Ollama, BackendKind::Embedded],
    },
    Parameter {
        key: "thinking",
        kind: Type::Word(&["on", "off", "low", "medium", "high"]),
        about: "Whether, or how hard, a thinking model thinks first",
        default: "the model's",
        load: false,
        kinds: ALL,
    },
    Parameter {
        key: "json_schema",
        kind: Type::Json,
        about: "The answer is JSON that fits this schema ({} is any JSON object)",
        default: "none",
        load: false,
        kinds: SERVERS,
    },
];

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
        Type::Duration => "a duration such as 30s, 5m or 1h, or 0, or -1 for ever".to_owned(),
        Type::Json => "a JSON object".to_owned(),
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
        Type::Word(_) | Type::Duration => Value::from(text),
        Type::Strings { .. } => Value::from(split(text)),
        Type::Json => serde_json::from_str(text).map_err(|e| wrong().cause(e))?,
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
        Type::Duration => value.as_str().is_some_and(|text| seconds(text).is_some()),
        Type::Json => value.is_object(),
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
        Value::Array(items) => items
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
        None => error.hint(format!("Parameters: {}.", PARAMETERS.iter().map(|p| p.key).collect::<Vec<_>>().join(", "))),
    }
}

fn wrong(parameter: &Parameter) -> Error {
    Error::new(Kind::Usage, format!("{} takes {}.", parameter.key, range(parameter.kind))).hint(format!("{}.", parameter.about))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type() {
        assert_eq!(parse("temperature", "0.7").unwrap(), Some(Value::from(0.7)));
        assert_eq!(parse("temperature", " default ").unwrap(), None);
        assert_eq!(parse("stop", r"END,\n\n,a\,b").unwrap(), Some(Value::from(vec!["END", "\n\n", "a,b"])));
        assert_eq!(parse("seed", "42").unwrap(), Some(Value::from(42)));
        assert_eq!(parse("json_schema", "{}").unwrap(), Some(serde_json::json!({})));
        assert_eq!(parse("keep_alive", "-1").unwrap(), Some(Value::from("-1")));
    }

    #[test]
    fn says_what_a_parameter_takes() {
        for (key, text, said) in [
            ("temperature", "hot", "temperature takes a number from 0 to 2."),
            ("temperature", "3", "temperature takes a number from 0 to 2."),
            ("temperature", "NaN", "temperature takes a number from 0 to 2."),
            ("top_k", "1.5", "top_k takes a whole number from 0 to 100000."),
            ("thinking", "maybe", "thinking takes one of on, off, low, medium, high."),
            ("keep_alive", "soon", "keep_alive takes a duration such as 30s, 5m or 1h, or 0, or -1 for ever."),
            ("json_schema", "[1]", "json_schema takes a JSON object."),
        ] {
            assert_eq!(parse(key, text).unwrap_err().message, said, "{key} {text}");
        }
        assert_eq!(parse("temprature", "1").unwrap_err().hints, ["Did you mean temperature?"]);
    }

    #[test]
    fn what_is_shown_can_be_typed_again() {
        for (key, text) in [("stop", r"a\,b,\n"), ("temperature", "0.25"), ("keep_alive", "5m"), ("json_schema", r#"{"type":"object"}"#)] {
            let value = parse(key, text).unwrap().unwrap();
            assert_eq!(parse(key, &show(&value)).unwrap(), Some(value), "{key}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(seconds("5m"), Some(Some(300)));
        assert_eq!(seconds("0"), Some(Some(0)));
        assert_eq!(seconds("-1"), Some(None));
        assert_eq!(seconds("5 minutes"), None);
        assert_eq!(seconds("99999999999999999999h"), None);
    }
}
