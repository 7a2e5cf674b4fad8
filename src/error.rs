//! The one error type that is printed to a person.
//!
//! Owns: the kinds of failure that arbour tells apart, and how one is shown. Refuses: backtraces and secrets; whatever makes
//! an `Error` has removed both. Invariant: `message` is a whole sentence that says what happened and what it means, each hint
//! is a sentence that says what to do.

use serde::{Deserialize, Serialize};

/// What sort of failure it was. Serialised in lower snake case; `--json` and tests may rely on these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing answers at the address (DNS, no route, time-out).
    Unreachable,
    /// The address answers that nobody listens there.
    Refused,
    /// The TLS handshake or the certificate failed.
    Tls,
    /// It answers, and is still loading its model (503): it will be up by itself.
    Starting,
    /// 401 or 403: a key is missing or wrong.
    Unauthorized,
    /// The backend does not have the model.
    ModelMissing,
    /// No model could be chosen, or no backend is there at all.
    NoModel,
    /// 429.
    RateLimited,
    /// 5xx, or an error that the server reports in its stream.
    Server,
    /// The prompt does not fit the context in force.
    ContextExceeded,
    /// The answer is not what the protocol says.
    Malformed,
    /// The connection broke before the answer's end.
    Disconnected,
    /// The backend cannot do this.
    Unsupported,
    /// The backend refused the request as wrong (other 4xx).
    BadRequest,
    /// A disk is full.
    DiskFull,
    /// A file or folder cannot be written.
    ReadOnly,
    /// A file cannot be read or has the wrong content.
    File,
    /// Another process holds the database or the data folder.
    Locked,
    /// The database was written by a newer arbour.
    DatabaseNewer,
    /// The database is damaged.
    DatabaseCorrupt,
    /// The host speaks another protocol version.
    Version,
    /// The host went away.
    HostGone,
    /// A run is already going there.
    Busy,
    /// The configuration, a keymap or a theme is wrong.
    Config,
    /// Wrong use: of the command line, a command or a parameter.
    Usage,
    /// No such conversation, message, branch or action.
    NotFound,
    /// Somebody stopped it.
    Cancelled,
    /// A fault of arbour's own.
    Internal,
}

/// A failure as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: Kind,
    /// What happened and what it means: a sentence.
    pub message: String,
    /// What to do: sentences, most useful first. May be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The technical cause, for the log and for `--json`. Already made harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When the server said how long to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Waiting does not mend it: asked again, it fails again (a spent quota, too little memory).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
}

/// What fallible functions of arbour return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), cause: None, retry_after_ms: None, lasting: false }
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the technical cause.
    #[must_use]
    pub fn cause(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The exit code of product.md: 2 wrong use, 3 no backend or model reachable, 130 interrupted, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Unreachable | Kind::Refused | Kind::NoModel => 3,
            Kind::Cancelled => 130,
            _ => 1,
        }
    }
}

/// A name from outside, in quotes, harmless and cut, for use inside a message.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("“{}”", harmless(name))
}

/// A text from outside on one line, harmless and at most 120 characters, for use inside a message.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut out: String = text.chars().take(120).map(|c| if c.is_control() || is_bidi(c) { '␦' } else { c }).collect();
    if text.chars().nth(120).is_some() {
        out.push('…');
    }
    out
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The candidate that is nearest to what was typed, if any is near (at most a third of the letters differ).
pub fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance in which two letters that changed places count once, bounded to 64 characters a side: names are short.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let mut least = (row[j] + 1).min(above[j + 1] + 1).min(above[j] + usize::from(a[i] != b[j]));
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
