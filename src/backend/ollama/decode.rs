//! A streamed chat, as Ollama sends it: one JSON object a line.
//!
//! Owns: what the lines mean. Refuses: sockets. Invariant: what comes out does not depend on where the bytes were cut; figures
//! come once, with the last line.

use serde_json::Value;

use crate::backend::Update;
use crate::backend::fault::{Complaint, Fault, one_line};
use crate::backend::ndjson::Parser;
use crate::backend::stream::Decode;
use crate::backend::think::Think;
use crate::proto::{DeltaKind, Figure, Figures, Finish, Progress, State};

/// The decoder.
#[derive(Debug, Clone)]
pub struct Decoder {
    parser: Parser,
    think: Think,
    phase: Option<State>,
    calls: bool,
}

impl Decoder {
    /// `fresh`: the answer begins with its own first word (it does not continue one).
    #[must_use]
    pub fn new(fresh: bool) -> Self {
        Self { parser: Parser::default(), think: Think::new(fresh), phase: None, calls: false }
    }

    fn line(&mut self, line: &str, out: &mut Vec<Update>) -> Result<Option<Finish>, Fault> {
        let value: Value =
            serde_json::from_str(line).map_err(|_| Fault::Malformed(format!("a line that is no JSON: {}", one_line(line))))?;
        let Value::Object(fields) = &value else {
            return Err(Fault::Malformed("a line that is no JSON object".to_owned()));
        };
        if fields.get("error").is_some_and(|e| !e.is_null()) {
            return Err(Fault::Complaint(Complaint::from_value(&value)));
        }
        let message = fields.get("message");
        let text = |key: &str| message.and_then(|m| m.get(key)).and_then(Value::as_str);
        if let Some(thinking) = text("thinking") {
            self.emit(DeltaKind::Thinking, thinking, out);
        }
        // Servers that only claim to be Ollama answer a chat as if it were a completion.
        if let Some(content) = text("content").or_else(|| fields.get("response").and_then(Value::as_str)) {
            let mut found = Vec::new();
            self.think.push(content, &mut |kind, piece| found.push((kind, piece.to_owned())));
            for (kind, piece) in found {
                self.emit(kind, &piece, out);
            }
        }
        for call in message.and_then(|m| m.get("tool_calls")).and_then(Value::as_array).into_iter().flatten() {
            self.calls = true;
            out.push(tool_call(call));
        }
        if fields.get("done").and_then(Value::as_bool) != Some(true) {
            return Ok(None);
        }
        self.settle(out);
        let figures = figures(&value);
        if figures != Figures::default() {
            out.push(Update::Figures(figures));
        }
        Ok(Some(match fields.get("done_reason").and_then(Value::as_str) {
            Some("stop" | "load" | "unload") | None if self.calls => Finish::ToolCalls,
            Some("stop" | "load" | "unload") | None => Finish::Stop,
            Some("length") => Finish::Length,
            Some(other) => Finish::Other(crate::error::harmless(other)),
        }))
    }

    fn emit(&mut self, kind: DeltaKind, text: &str, out: &mut Vec<Update>) {
        if text.is_empty() {
            return;
        }
        let phase = match kind {
            DeltaKind::Text => State::Writing,
            DeltaKind::Thinking => State::Thinking,
        };
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            out.push(Update::Phase(phase, Progress::default()));
        }
        out.push(Update::Delta(kind, text.to_owned()));
    }

    /// What was held back comes out.
    fn settle(&mut self, out: &mut Vec<Update>) {
        let mut found = Vec::new();
        self.think.end(&mut |kind, piece| found.push((kind, piece.to_owned())));
        for (kind, piece) in found {
            self.emit(kind, &piece, out);
        }
    }

    fn lines(&mut self, lines: Vec<String>, out: &mut Vec<Update>) -> Result<Option<Finish>, Fault> {
        for line in lines {
            if let Some(finish) = self.line(&line, out)? {
                return Ok(Some(finish));
            }
        }
        Ok(None)
    }
}

impl Decode for Decoder {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<Update>) -> Result<Option<Finish>, Fault> {
        let mut lines = Vec::new();
        let fed = self.parser.feed(bytes, &mut lines);
        let result = match self.lines(lines, out) {
            Ok(None) => fed.map(|()| None),
            other => other,
        };
        if result.is_err() {
            self.settle(out);
        }
        result
    }

    fn end(&mut self, out: &mut Vec<Update>) -> Result<Finish, Fault> {
        let result = match self.parser.end() {
            None => Err(Fault::Cut),
            Some(rest) => match self.line(&rest, out) {
                Ok(Some(finish)) => Ok(finish),
                // Half an object was cut; anything else is what something between says last.
                Err(Fault::Malformed(_)) if !rest.starts_with(['{', '[', '"']) => Err(Fault::last_word(&rest)),
                Ok(None) | Err(Fault::Malformed(_)) => Err(Fault::Cut),
                Err(fault) => Err(fault),
            },
        };
        self.settle(out);
        result
    }
}

fn tool_call(call: &Value) -> Update {
    let function = call.get("function").unwrap_or(&Value::Null);
    let word = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    Update::ToolCall { id: word(call.get("id")), name: word(function.get("name")), arguments }
}

/// The measures of the last line; Ollama counts in nanoseconds.
fn figures(last: &Value) -> Figures {
    let number = |key: &str| last.get(key).and_then(Value::as_f64).filter(|n| n.is_finite() && *n >= 0.0);
    let ms = |key: &str| number(key).map(|ns| Figure::server(ns / 1e6));
    let rate = |count: &str, duration: &str| match (number(count), number(duration)) {
        // A rate over one token says nothing.
        (Some(n), Some(ns)) if n > 1.0 && ns > 0.0 => Some(Figure::server(n / (ns / 1e9))),
        _ => None,
    };
    Figures {
        load_ms: ms("load_duration"),
        prompt_ms: ms("prompt_eval_duration"),
        generate_ms: ms("eval_duration"),
        prompt_tokens: number("prompt_eval_count").map(Figure::server),
        completion_tokens: number("eval_count").map(Figure::server),
        prompt_per_s: rate("prompt_eval_count", "prompt_eval_duration"),
        tokens_per_s: rate("eval_count", "eval_duration"),
        ..Figures::default()
    }
}
