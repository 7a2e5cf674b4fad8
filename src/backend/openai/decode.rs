//! A streamed chat completion, as OpenAI-compatible servers send it.
//!
//! Owns: what the events mean: text, thinking under its several names, tool calls, figures, ends, errors. Refuses: sockets.
//! Invariant: what comes out does not depend on where the bytes were cut; figures come once, at the end.

use serde_json::Value;

use crate::backend::Update;
use crate::backend::echo::Echo;
use crate::backend::fault::{Complaint, Fault, one_line};
use crate::backend::sse::{Frame, Parser};
use crate::backend::stream::Events;
use crate::backend::think::Think;
use crate::proto::{DeltaKind, Figure, Figures, Finish, Progress, State};

/// Names under which servers send thinking, the commonest first. The first that holds text counts: some send it twice.
const THINKING: [&str; 5] = ["reasoning_content", "reasoning", "thinking", "reasoning_text", "thought"];

/// Bounds of what one answer's tool calls may take.
const MAX_CALLS: usize = 128;
const MAX_ARGUMENTS: usize = 1 << 20;

#[derive(Debug, Clone, Default)]
struct Call {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

/// The decoder.
#[derive(Debug, Clone)]
pub struct Decoder {
    parser: Parser,
    think: Think,
    echo: Echo,
    thinking_echo: Echo,
    /// The thinking had ended where the answer goes on: blanks between it and the text are of the template.
    thought: bool,
    phase: Option<State>,
    figures: Figures,
    finish: Option<Finish>,
    calls: Vec<Call>,
    arguments: usize,
    stray: Option<String>,
    settled: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::continuing("", "")
    }
}

impl Decoder {
    /// For an answer that goes on with this text and thinking. llama-server repeats them first, and a service that begins anew may
    /// do so too: such a repetition is left out.
    #[must_use]
    pub fn continuing(text: &str, thinking: &str) -> Self {
        Self {
            parser: Parser::default(),
            think: Think::new(text.is_empty()),
            echo: Echo::new(text),
            thinking_echo: Echo::new(thinking),
            thought: !text.is_empty(),
            phase: None,
            figures: Figures::default(),
            finish: None,
            calls: Vec::new(),
            arguments: 0,
            stray: None,
            settled: false,
        }
    }

    fn event(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Update>) -> Result<Option<Finish>, Fault> {
        let data = data.trim();
        if data.is_empty() {
            return Ok(None);
        }
        if data == "[DONE]" {
            self.settle(out);
            return Ok(Some(self.finish.take().unwrap_or(Finish::Stop)));
        }
        match serde_json::from_str(data) {
            Ok(value) => self.chunk(name, &value, out).map(|()| None),
            Err(_) if name == Some("error") => Err(Fault::Complaint(Complaint::from_text(data))),
            Err(_) => Err(Fault::Malformed(format!("an event that is no JSON: {}", one_line(data)))),
        }
    }

    /// One chunk, or the whole of an answer that is not streamed.
    fn chunk(&mut self, name: Option<&str>, value: &Value, out: &mut Vec<Update>) -> Result<(), Fault> {
        let Value::Object(fields) = value else {
            return Err(Fault::Malformed("an event that is no JSON object".to_owned()));
        };
        if name == Some("error") || fields.get("error").is_some_and(|e| !e.is_null()) {
            return Err(Fault::Complaint(Complaint::from_value(value)));
        }
        let progress = fields.get("prompt_progress").filter(|p| p.is_object());
        if let Some(progress) = progress {
            self.progress(progress, out);
        }
        let choices = fields.get("choices").and_then(Value::as_array);
        let first = choices.and_then(|choices| choices.iter().find(|c| c.get("index").and_then(Value::as_u64).unwrap_or(0) == 0));
        if let Some(choice) = first {
            for key in ["delta", "message"] {
                if let Some(delta) = choice.get(key) {
                    self.delta(delta, out)?;
                }
            }
            if let Some(text) = choice.get("text").and_then(Value::as_str) {
                self.text(text, out);
            }
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                self.finish = Some(finish(reason));
            }
        }
        self.usage(fields.get("usage").or_else(|| fields.get("x_groq").and_then(|x| x.get("usage"))));
        // While the prompt is read, llama-server's timings are those of the last batch only.
        if progress.is_none() {
            self.timings(fields.get("timings"));
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<Update>) -> Result<(), Fault> {
        let thinking = THINKING.iter().filter_map(|key| delta.get(key).and_then(Value::as_str)).find(|text| !text.is_empty());
        if let Some(text) = thinking {
            self.thinking(text, out);
        } else if let Some(details) = delta.get("reasoning_details").and_then(Value::as_array) {
            for text in details.iter().filter_map(|d| d.get("text").or_else(|| d.get("summary")).and_then(Value::as_str)) {
                self.thinking(text, out);
            }
        }
        match delta.get("content") {
            Some(Value::String(text)) => self.text(text, out),
            Some(Value::Array(parts)) => self.parts(parts, out),
            _ => {}
        }
        if let Some(text) = delta.get("refusal").and_then(Value::as_str) {
            self.text(text, out);
        }
        for (nth, call) in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate() {
            self.call(nth, call)?;
        }
        Ok(())
    }

    /// Content as typed parts: `{"type": "text", "text": …}`, `{"type": "thinking", "thinking": [parts]}`.
    fn parts(&mut self, parts: &[Value], out: &mut Vec<Update>) {
        for part in parts {
            match part.get("thinking") {
                Some(Value::String(text)) => self.thinking(text, out),
                Some(Value::Array(inner)) => {
                    for text in inner.iter().filter_map(|p| p.get("text").and_then(Value::as_str)) {
                        self.thinking(text, out);
                    }
                }
                _ => {
                    if let Some(text) = part.get("text").and_then(Value::as_str) {
                        self.text(text, out);
                    }
                }
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<Update>) {
        let new = self.echo.push(text);
        self.split(&new, out);
    }

    fn thinking(&mut self, text: &str, out: &mut Vec<Update>) {
        let new = self.thinking_echo.push(text);
        if !(self.thought && new.trim().is_empty()) {
            self.emit(DeltaKind::Thinking, &new, out);
        }
    }

    fn split(&mut self, text: &str, out: &mut Vec<Update>) {
        let mut found = Vec::new();
        self.think.push(text, &mut |kind, piece| found.push((kind, piece.to_owned())));
        for (kind, piece) in found {
            self.emit(kind, &piece, out);
        }
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

    fn call(&mut self, nth: usize, call: &Value) -> Result<(), Fault> {
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(nth as u64);
        let function = call.get("function").unwrap_or(&Value::Null);
        let at = match self.calls.iter().position(|c| c.index == index) {
            Some(at) => at,
            None if self.calls.len() >= MAX_CALLS => return Err(Fault::Malformed(format!("more than {MAX_CALLS} tool calls"))),
            None => {
                self.calls.push(Call { index, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let word = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let (id, name) = (word(call.get("id")), word(function.get("name")));
        self.arguments += arguments.len() + id.len() + name.len();
        if self.arguments > MAX_ARGUMENTS {
            return Err(Fault::Malformed("tool calls of more than 1 MiB".to_owned()));
        }
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        call.arguments.push_str(&arguments);
        Ok(())
    }

    fn progress(&mut self, progress: &Value, out: &mut Vec<Update>) {
        let number = |key: &str| progress.get(key).and_then(Value::as_u64);
        let (Some(done), Some(total)) = (number("processed"), number("total")) else { return };
        if self.phase.is_none_or(|phase| phase == State::Reading) {
            self.phase = Some(State::Reading);
            out.push(Update::Phase(State::Reading, Progress { done: Some(done.min(total)), total: Some(total), ..Progress::default() }));
        }
        self.figures.prompt_tokens = Some(Figure::server(total as f64));
        self.figures.cached_tokens = number("cache").map(|n| Figure::server(n as f64));
        if let (true, Some(ms)) = (done >= total, progress.get("time_ms").and_then(Value::as_f64)) {
            self.figures.prompt_ms = Some(Figure::server(ms));
        }
    }

    fn usage(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage.filter(|u| u.is_object()) else { return };
        let number = |value: Option<&Value>| value.and_then(Value::as_f64).filter(|n| *n >= 0.0).map(Figure::server);
        let cached =
            usage.get("prompt_tokens_details").and_then(|d| d.get("cached_tokens")).or_else(|| usage.get("prompt_cache_hit_tokens"));
        // Servers that do not count them say 0.
        let thinking = usage.get("completion_tokens_details").and_then(|d| d.get("reasoning_tokens"));
        self.figures.merge(&Figures {
            prompt_tokens: number(usage.get("prompt_tokens")),
            completion_tokens: number(usage.get("completion_tokens")),
            cached_tokens: number(cached),
            thinking_tokens: number(thinking).filter(|tokens| tokens.value > 0.0),
            ..Figures::default()
        });
    }

    /// llama-server's own measures.
    fn timings(&mut self, timings: Option<&Value>) {
        let Some(timings) = timings.filter(|t| t.is_object()) else { return };
        let number = |key: &str| timings.get(key).and_then(Value::as_f64).filter(|n| n.is_finite() && *n >= 0.0);
        let figure = |key: &str| number(key).map(Figure::server);
        let several = |key: &str| number(key).is_some_and(|n| n > 1.0);
        self.figures.merge(&Figures {
            prompt_tokens: number("prompt_n").map(|read| Figure::server(read + number("cache_n").unwrap_or(0.0))),
            cached_tokens: figure("cache_n"),
            completion_tokens: figure("predicted_n"),
            prompt_ms: figure("prompt_ms"),
            generate_ms: figure("predicted_ms"),
            // A rate over one token says nothing (it is told as a million a second).
            prompt_per_s: figure("prompt_per_second").filter(|_| several("prompt_n")),
            tokens_per_s: figure("predicted_per_second").filter(|_| several("predicted_n")),
            ..Figures::default()
        });
    }
}

impl Events for Decoder {
    fn parser(&mut self) -> &mut Parser {
        &mut self.parser
    }

    fn frames(&mut self, frames: Vec<Frame>, out: &mut Vec<Update>) -> Result<Option<Finish>, Fault> {
        for frame in frames {
            match frame {
                Frame::Stray(text) => self.stray = Some(text),
                Frame::Event { name, data } => {
                    if let Some(finish) = self.event(name.as_deref(), &data, out)? {
                        return Ok(Some(finish));
                    }
                }
            }
        }
        Ok(None)
    }

    fn finish(&mut self) -> Option<Finish> {
        self.finish.take()
    }

    fn stray(&mut self) -> Option<String> {
        self.stray.take()
    }

    fn settle(&mut self, out: &mut Vec<Update>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let held = self.thinking_echo.end();
        self.emit(DeltaKind::Thinking, &held, out);
        let held = self.echo.end();
        self.split(&held, out);
        let mut found = Vec::new();
        self.think.end(&mut |kind, piece| found.push((kind, piece.to_owned())));
        for (kind, piece) in found {
            self.emit(kind, &piece, out);
        }
        for call in std::mem::take(&mut self.calls) {
            out.push(Update::ToolCall { id: call.id, name: call.name, arguments: call.arguments });
        }
        if self.figures != Figures::default() {
            out.push(Update::Figures(self.figures));
        }
    }
}

/// Decodes an answer that came as one JSON object although a stream was asked for.
///
/// # Errors
/// A [`Fault`], as for a stream.
pub fn whole(body: &[u8], mut decoder: Decoder, out: &mut Vec<Update>) -> Result<Finish, Fault> {
    let value = serde_json::from_slice(body).map_err(|_| Fault::Malformed("a body that is no JSON".to_owned()))?;
    let result = decoder.chunk(None, &value, out);
    decoder.settle(out);
    result?;
    decoder.finish.take().ok_or_else(|| Fault::Malformed("an answer without an end".to_owned()))
}

/// Reads a `finish_reason`.
#[must_use]
pub fn finish(reason: &str) -> Finish {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => Finish::Stop,
        "length" | "max_tokens" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        other => Finish::Other(crate::error::harmless(other)),
    }
}
