//! A streamed message.
//!
//! Owns: what the events mean: blocks of text, thinking and tool calls, usage, ends, errors. Refuses: sockets. Invariant: what comes
//! out does not depend on where the bytes were cut; figures come once, at the end; events that are not known are no errors.

use serde_json::Value;

use crate::backend::Update;
use crate::backend::echo::Echo;
use crate::backend::fault::{Complaint, Fault, one_line};
use crate::backend::sse::{Frame, Parser};
use crate::backend::stream::Events;
use crate::proto::{DeltaKind, Figure, Figures, Finish, Progress, State};

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
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    parser: Parser,
    echo: Echo,
    thinking_echo: Echo,
    /// The text that is gone on with ended in white space, which could not be sent: it is not to come twice.
    trimmed: bool,
    phase: Option<State>,
    /// Prompt tokens: read, taken from the cache, put into the cache.
    input: [Option<f64>; 3],
    output: Option<f64>,
    finish: Option<Finish>,
    calls: Vec<Call>,
    arguments: usize,
    stray: Option<String>,
    settled: bool,
}

impl Decoder {
    /// For an answer that goes on with this text and thinking; llama-server repeats them first.
    #[must_use]
    pub fn continuing(text: &str, thinking: &str) -> Self {
        let sent = text.trim_end();
        Self { echo: Echo::new(sent), thinking_echo: Echo::new(thinking), trimmed: sent.len() < text.len(), ..Self::default() }
    }

    fn event(&mut self, name: Option<&str>, data: &str, out: &mut Vec<Update>) -> Result<Option<Finish>, Fault> {
        if data.is_empty() {
            return Ok(None);
        }
        let value: Value = match serde_json::from_str(data) {
            Ok(value) => value,
            Err(_) if name == Some("error") => return Err(Fault::Complaint(Complaint::from_text(data))),
            Err(_) => return Err(Fault::Malformed(format!("an event that is no JSON: {}", one_line(data)))),
        };
        if !value.is_object() {
            return Err(Fault::Malformed("an event that is no JSON object".to_owned()));
        }
        if name == Some("error") || value.get("error").is_some_and(|e| !e.is_null()) {
            return Err(Fault::Complaint(Complaint::from_value(&value)));
        }
        let index = value.get("index").and_then(Value::as_u64).unwrap_or(0);
        match value.get("type").and_then(Value::as_str).or(name) {
            Some("message_start") => self.usage(value.get("message").and_then(|m| m.get("usage"))),
            Some("content_block_start") => self.block(index, value.get("content_block").unwrap_or(&Value::Null), out)?,
            Some("content_block_delta") => self.delta(index, value.get("delta").unwrap_or(&Value::Null), out)?,
            Some("message_delta") => {
                self.usage(value.get("usage"));
                self.stop(value.get("delta"));
            }
            Some("message_stop") => {
                self.settle(out);
                return Ok(Some(self.finish.take().unwrap_or(Finish::Stop)));
            }
            // ping, content_block_stop, and what may come one day.
            _ => {}
        }
        Ok(None)
    }

    fn stop(&mut self, from: Option<&Value>) {
        if let Some(reason) = from.and_then(|from| from.get("stop_reason")).and_then(Value::as_str) {
            self.finish = Some(finish(reason));
        }
    }

    /// A block begins, or stands there whole in an answer that is not streamed.
    fn block(&mut self, index: u64, block: &Value, out: &mut Vec<Update>) -> Result<(), Fault> {
        let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
        match block.get("type").and_then(Value::as_str) {
            Some("text") => self.text(text("text"), out),
            Some("thinking") => self.thinking(text("thinking"), out),
            Some("tool_use") => {
                if self.calls.len() >= MAX_CALLS {
                    return Err(Fault::Malformed(format!("more than {MAX_CALLS} tool calls")));
                }
                let (id, name) = (text("id").to_owned(), text("name").to_owned());
                self.grow(id.len() + name.len())?;
                self.calls.push(Call { index, id, name, arguments: String::new() });
                // It stands here empty when its parts come after.
                match block.get("input") {
                    Some(Value::Object(input)) if !input.is_empty() => self.arguments(index, &Value::Object(input.clone()).to_string()),
                    _ => Ok(()),
                }?;
            }
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Value, out: &mut Vec<Update>) -> Result<(), Fault> {
        let text = |key: &str| delta.get(key).and_then(Value::as_str).unwrap_or_default();
        match delta.get("type").and_then(Value::as_str) {
            Some("text_delta") => self.text(text("text"), out),
            Some("thinking_delta") => self.thinking(text("thinking"), out),
            Some("input_json_delta") => self.arguments(index, text("partial_json"))?,
            // signature_delta, citations_delta, and what may come one day.
            _ => {}
        }
        Ok(())
    }

    fn arguments(&mut self, index: u64, more: &str) -> Result<(), Fault> {
        self.grow(more.len())?;
        // Newest first: an index is used once, but a server may forget to count.
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.index == index) {
            call.arguments.push_str(more);
        }
        Ok(())
    }

    fn grow(&mut self, by: usize) -> Result<(), Fault> {
        self.arguments += by;
        if self.arguments > MAX_ARGUMENTS {
            return Err(Fault::Malformed("tool calls of more than 1 MiB".to_owned()));
        }
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut Vec<Update>) {
        let new = self.echo.push(text);
        self.written(&new, out);
    }

    fn written(&mut self, new: &str, out: &mut Vec<Update>) {
        let new = if self.trimmed { new.trim_start() } else { new };
        self.trimmed &= new.is_empty();
        self.emit(DeltaKind::Text, new, out);
    }

    fn thinking(&mut self, text: &str, out: &mut Vec<Update>) {
        let new = self.thinking_echo.push(text);
        self.emit(DeltaKind::Thinking, &new, out);
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

    /// The figures grow: each tells all so far.
    fn usage(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage else { return };
        let number = |key: &str| usage.get(key).and_then(Value::as_f64).filter(|n| n.is_finite() && *n >= 0.0);
        for (known, key) in self.input.iter_mut().zip(["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]) {
            *known = number(key).or(*known);
        }
        self.output = number("output_tokens").or(self.output);
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
                    if let Some(finish) = self.event(name.as_deref(), data.trim(), out)? {
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
        self.written(&held, out);
        for mut call in std::mem::take(&mut self.calls) {
            if call.arguments.is_empty() {
                call.arguments.push_str("{}");
            }
            out.push(Update::ToolCall { id: call.id, name: call.name, arguments: call.arguments });
        }
        let figures = Figures {
            prompt_tokens: self.input[0].map(|_| Figure::server(self.input.iter().flatten().sum())),
            cached_tokens: self.input[1].map(Figure::server),
            completion_tokens: self.output.map(Figure::server),
            ..Figures::default()
        };
        if figures != Figures::default() {
            out.push(Update::Figures(figures));
        }
    }
}

/// Decodes an answer that came as one JSON object although a stream was asked for.
///
/// # Errors
/// A [`Fault`], as for a stream.
pub fn whole(body: &[u8], mut decoder: Decoder, out: &mut Vec<Update>) -> Result<Finish, Fault> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Fault::Malformed("a body that is no JSON".to_owned()))?;
    if value.get("error").is_some_and(|e| !e.is_null()) {
        return Err(Fault::Complaint(Complaint::from_value(&value)));
    }
    decoder.usage(value.get("usage"));
    decoder.stop(Some(&value));
    let blocks = value.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let result = blocks.iter().zip(0..).try_for_each(|(block, index)| decoder.block(index, block, out));
    decoder.settle(out);
    result?;
    decoder.finish.take().ok_or_else(|| Fault::Malformed("an answer without an end".to_owned()))
}

/// Reads a `stop_reason`.
fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        other => Finish::Other(crate::error::harmless(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::stream::Decode;

    fn decode(decoder: Decoder, events: &[Value], step: usize) -> (Vec<Update>, Result<Finish, Fault>) {
        let text: String = events.iter().map(|e| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap_or("x"))).collect();
        let (mut decoder, mut out) = (decoder, Vec::new());
        for piece in text.as_bytes().chunks(step) {
            match decoder.feed(piece, &mut out) {
                Ok(None) => {}
                Ok(Some(finish)) => return (out, Ok(finish)),
                Err(fault) => return (out, Err(fault)),
            }
        }
        let result = decoder.end(&mut out);
        (out, result)
    }

    fn delta(index: u64, delta: Value) -> Value {
        serde_json::json!({ "type": "content_block_delta", "index": index, "delta": delta })
    }

    #[test]
    fn thinking_text_and_calls_come_out_with_all_that_was_read() {
        let events = [
            serde_json::json!({ "type": "message_start", "message": { "usage":
                { "input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1 } } }),
            serde_json::json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "thinking", "thinking": "" } }),
            delta(0, serde_json::json!({ "type": "thinking_delta", "thinking": "Hm." })),
            delta(0, serde_json::json!({ "type": "signature_delta", "signature": "abc" })),
            serde_json::json!({ "type": "content_block_stop", "index": 0 }),
            serde_json::json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "redacted_thinking", "data": "x" } }),
            serde_json::json!({ "type": "ping" }),
            serde_json::json!({ "type": "content_block_start", "index": 2, "content_block": { "type": "text", "text": "" } }),
            delta(2, serde_json::json!({ "type": "text_delta", "text": "Yes 🦀" })),
            serde_json::json!({ "type": "content_block_start", "index": 3, "content_block":
                { "type": "tool_use", "id": "t1", "name": "look", "input": {} } }),
            delta(3, serde_json::json!({ "type": "input_json_delta", "partial_json": "{\"at\":" })),
            delta(3, serde_json::json!({ "type": "input_json_delta", "partial_json": "1}" })),
            serde_json::json!({ "type": "something_new", "of": ["the", "future"] }),
            serde_json::json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 42 } }),
            serde_json::json!({ "type": "message_stop" }),
        ];
        for step in [1, 7, 100_000] {
            let (out, result) = decode(Decoder::default(), &events, step);
            assert_eq!(result, Ok(Finish::ToolCalls));
            assert_eq!(
                out,
                [
                    Update::Phase(State::Thinking, Progress::default()),
                    Update::Delta(DeltaKind::Thinking, "Hm.".into()),
                    Update::Phase(State::Writing, Progress::default()),
                    Update::Delta(DeltaKind::Text, "Yes 🦀".into()),
                    Update::ToolCall { id: "t1".into(), name: "look".into(), arguments: "{\"at\":1}".into() },
                    Update::Figures(Figures {
                        prompt_tokens: Some(Figure::server(125.0)),
                        cached_tokens: Some(Figure::server(100.0)),
                        completion_tokens: Some(Figure::server(42.0)),
                        ..Figures::default()
                    }),
                ]
            );
        }
    }

    #[test]
    fn what_is_repeated_or_was_trimmed_does_not_come_twice() {
        let says = |text: &str| delta(0, serde_json::json!({ "type": "text_delta", "text": text }));
        let stop = serde_json::json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } });
        let text = |decoder: Decoder, texts: &[&str]| -> String {
            let events: Vec<Value> = texts.iter().map(|t| says(t)).chain([stop.clone()]).collect();
            let (out, result) = decode(decoder, &events, 9);
            assert_eq!(result, Ok(Finish::Stop));
            out.iter().filter_map(|u| if let Update::Delta(_, text) = u { Some(text.as_str()) } else { None }).collect()
        };
        assert_eq!(text(Decoder::continuing("One, two", ""), &["One, two, three"]), ", three", "llama-server repeats");
        assert_eq!(text(Decoder::continuing("One, two", ""), &[", three"]), ", three", "the service does not");
        assert_eq!(text(Decoder::continuing("One, two, ", ""), &[" ", " three"]), "three");
    }

    #[test]
    fn an_error_in_the_stream_is_the_servers_word() {
        let overloaded = serde_json::json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
        let (_, result) = decode(Decoder::default(), &[overloaded], 5);
        let Err(Fault::Complaint(complaint)) = result else { panic!("a complaint") };
        assert_eq!((complaint.word.as_deref(), complaint.text.as_str()), (Some("overloaded_error"), "Overloaded"));
    }

    #[test]
    fn a_whole_answer_is_read_too() {
        let body = serde_json::json!({ "type": "message", "stop_reason": "end_turn", "usage": { "input_tokens": 3, "output_tokens": 2 },
            "content": [{ "type": "text", "text": "Hi" }, { "type": "tool_use", "id": "t", "name": "f", "input": { "a": 1 } }] });
        let mut out = Vec::new();
        assert_eq!(whole(body.to_string().as_bytes(), Decoder::default(), &mut out), Ok(Finish::Stop));
        assert!(out.contains(&Update::ToolCall { id: "t".into(), name: "f".into(), arguments: "{\"a\":1}".into() }), "{out:?}");
        assert!(whole(b"{}", Decoder::default(), &mut Vec::new()).is_err());
    }
}
