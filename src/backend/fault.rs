//! What can go wrong with a server's answer, before anybody is told about it.
//!
//! Owns: [`Fault`] (what a pure decoder reports) and [`Complaint`] (what a server says is wrong, dug out of the many shapes in
//! which servers say it). Refuses: names of backends and advice (that is `failure`). Invariant: a complaint's text is one line,
//! harmless and short, whatever the server sent.

use serde_json::Value;

use crate::error::harmless;
use crate::sanitise;

/// Why a decoder gave up.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The server says that something is wrong.
    Complaint(Complaint),
    /// The bytes are not what the protocol says; what was met, in words.
    Malformed(String),
    /// The stream ended before the answer did.
    Cut,
}

impl Fault {
    /// What stands at the end of a stream and is no frame: a proxy's last word, or a page of something else altogether.
    #[must_use]
    pub fn last_word(text: &str) -> Self {
        let complaint = Complaint::from_body(text.as_bytes());
        match text.trim_start().chars().next() {
            None => Self::Cut,
            Some('<') => Self::Malformed(complaint.text),
            Some(_) if complaint.text.is_empty() => Self::Cut,
            Some(_) => Self::Complaint(complaint),
        }
    }
}

/// An error in a server's own words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Complaint {
    /// One line, harmless, at most 400 characters. Empty when the server said nothing.
    pub text: String,
    /// Its own word for the kind (`exceed_context_size_error`, `model_not_found`…), lower case.
    pub word: Option<String>,
    /// An HTTP status that stands in the body (errors inside a 200 stream have no other).
    pub status: Option<u16>,
    /// Which request field it is about (`stream_options`, `max_tokens`…).
    pub param: Option<String>,
    /// Tokens of the prompt, when it did not fit.
    pub prompt_tokens: Option<u64>,
    /// The context in force, when the prompt did not fit.
    pub context: Option<u64>,
}

impl Complaint {
    /// Reads an error body: JSON of any of the known shapes, or text.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        match serde_json::from_str::<Value>(text) {
            Ok(value) => Self::from_value(&value),
            Err(_) => Self::from_text(text),
        }
    }

    /// Reads an error in JSON: `{"error": {"message": …}}`, `{"error": "…"}`, `{"detail": …}`, `{"message": …}`, a list of
    /// these, or any of them again as a string inside.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let mut complaint = Self::default();
        complaint.dig(value, 0);
        complaint.read_numbers();
        complaint
    }

    /// Reads plain text. A page of HTML is told as its title.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut complaint = Self::default();
        let lower = text.get(..1024.min(text.len())).unwrap_or(text).to_ascii_lowercase();
        if lower.trim_start().starts_with("<!doctype html") || lower.trim_start().starts_with("<html") {
            complaint.text = match title(text) {
                Some(title) => format!("a web page, {}", crate::error::quoted(title)),
                None => "a web page".to_owned(),
            };
        } else {
            complaint.text = one_line(text);
        }
        complaint.read_numbers();
        complaint
    }

    /// Whether it says that the prompt is longer than the context.
    #[must_use]
    pub fn is_context(&self) -> bool {
        const WORDS: &[&str] = &["exceed_context_size_error", "context_length_exceeded", "context_window_exceeded"];
        const PHRASES: &[&str] = &[
            "exceeds the available context",
            "maximum context length",
            "context length exceeded",
            "contextwindowexceeded",
            "context window",
            "exceed context window",
            "exceeds the context",
            "exceeds maximum context",
            "longer than the context",
            "prompt is too long",
            "exceed context limit",
            "greater than the context length",
        ];
        let text = self.text.to_lowercase();
        self.word.as_deref().is_some_and(|w| WORDS.contains(&w)) || PHRASES.iter().any(|p| text.contains(p))
    }

    /// Whether it says that there is no such model.
    #[must_use]
    pub fn is_model(&self) -> bool {
        let text = self.text.to_lowercase();
        self.word.as_deref() == Some("model_not_found")
            || (self.word.as_deref() == Some("not_found_error") && text.starts_with("model:"))
            || text.contains("invalid model")
            || text.contains("not a valid model")
            || text.contains("no such model")
            || text.contains("unknown model")
            || (text.contains("model") && (text.contains("not found") || text.contains("does not exist")))
    }

    /// Whether it says that a model is still being loaded.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        let text = self.text.to_lowercase();
        text.contains("loading model") || (text.contains("model") && text.contains("loading"))
    }

    /// Whether it says that memory does not suffice.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        let text = self.text.to_lowercase();
        ["out of memory", "more system memory", "insufficient memory", "failed to allocate", "unable to allocate"]
            .iter()
            .any(|p| text.contains(p))
    }

    fn dig(&mut self, value: &Value, depth: u8) {
        if depth > 4 {
            return;
        }
        match value {
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => self.dig(&inner, depth + 1),
                _ if self.text.is_empty() => self.text = one_line(text),
                _ => {}
            },
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    self.dig(first, depth + 1);
                }
            }
            Value::Object(fields) => {
                if let Some(code) = fields.get("code") {
                    let status = code.as_u64().or_else(|| code.as_str().and_then(|c| c.parse().ok()));
                    match status.and_then(|c| u16::try_from(c).ok()).filter(|c| (400..600).contains(c)) {
                        Some(status) => self.status = Some(status),
                        None => self.word = code.as_str().map(word).or(self.word.take()),
                    }
                }
                if self.word.is_none() {
                    // Anthropic's errors say `error` outside and what it is inside.
                    self.word = fields.get("type").and_then(Value::as_str).filter(|t| *t != "error").map(word);
                }
                let place = fields.get("loc").and_then(Value::as_array).and_then(|loc| loc.last());
                if let Some(param) = fields.get("param").or(place).and_then(Value::as_str) {
                    self.param = Some(harmless(param));
                }
                self.prompt_tokens = fields.get("n_prompt_tokens").and_then(Value::as_u64).or(self.prompt_tokens);
                self.context = fields.get("n_ctx").and_then(Value::as_u64).or(self.context);
                for key in ["error", "message", "msg", "detail", "errors"] {
                    if let Some(inner) = fields.get(key).filter(|v| !v.is_null()) {
                        self.dig(inner, depth + 1);
                        if !self.text.is_empty() {
                            break;
                        }
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The two numbers that context errors carry in their text, in the forms of the servers that were met.
    fn read_numbers(&mut self) {
        if !self.is_context() {
            return;
        }
        let text = &self.text;
        let after = |marks: &[&str]| marks.iter().find_map(|mark| number_after(text, mark));
        let context = after(&[
            "available context size (",
            "maximum context length is ",
            "maximum context length of ",
            "context window of ",
            "context length of ",
            "tokens > ",
        ]);
        let prompt = after(&["request (", "resulted in ", "you requested ", "prompt is too long: "]);
        self.context = self.context.or(context);
        self.prompt_tokens = self.prompt_tokens.or(prompt);
    }
}

/// The number that follows `mark`; thousands may be set off by commas.
fn number_after(text: &str, mark: &str) -> Option<u64> {
    let rest = &text[text.find(mark)? + mark.len()..];
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(char::is_ascii_digit).take(12).collect();
    digits.parse().ok()
}

fn word(text: &str) -> String {
    harmless(text).to_ascii_lowercase()
}

/// All white space as one blank, harmless, at most 400 characters.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = sanitise::prefix(text, 16 << 10).split_whitespace().collect();
    sanitise::cut(&words.join(" "), 400).into_owned()
}

fn title(html: &str) -> Option<&str> {
    let lower = html.to_ascii_lowercase();
    let from = lower.find("<title>")? + "<title>".len();
    let to = from + lower[from..].find("</title>")?;
    html.get(from..to).map(str::trim).filter(|t| !t.is_empty())
}
