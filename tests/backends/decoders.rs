//! The pure decoders over captured streams, cut and ended at every byte.

use arbour::backend::Update;
use arbour::backend::anthropic::decode as anthropic;
use arbour::backend::fault::{Complaint, Fault};
use arbour::backend::ollama;
use arbour::backend::openai::decode as openai;
use arbour::backend::stream::Decode;
use arbour::proto::{DeltaKind, Figures, Finish, State};
use proptest::prelude::*;

use super::support::replay::Capture;

/// Streams of chat completions, with how the answer ends.
const SSE: &[(&str, Result<Finish, Ends>)] = &[
    ("llama-chat-stream", Ok(Finish::Stop)),
    ("llama-chat-stream-length", Ok(Finish::Length)),
    ("llama-chat-stream-progress", Ok(Finish::Length)),
    ("llama-chat-stream-timings", Ok(Finish::Stop)),
    ("llama-chat-stream-logprobs", Ok(Finish::Length)),
    ("llama-chat-stream-server-killed", Err(Ends::Cut)),
    ("llama-chat-stream-cancelled", Err(Ends::Cut)),
    ("llama-reasoning-stream-grammar", Ok(Finish::Stop)),
    ("llama-reasoning-stream-openended", Ok(Finish::Stop)),
    ("llama-reasoning-budget", Ok(Finish::Stop)),
    ("llama-reasoning-off", Ok(Finish::Stop)),
    ("llama-json-schema-stream", Ok(Finish::Stop)),
    ("llama-toolcall-fewshot-stream", Ok(Finish::ToolCalls)),
    ("llama-tools-truncated-stream", Ok(Finish::Length)),
    ("llama-tools-result-stream", Ok(Finish::Stop)),
    ("llama-queue-second", Ok(Finish::Length)),
    ("router-chat-stream", Ok(Finish::Length)),
    ("router2-stream-unloaded-midway", Err(Ends::Complaint)),
    ("ollama-v1-chat-stream", Ok(Finish::Length)),
];

/// Streams of messages.
const EVENTS: &[(&str, Result<Finish, Ends>)] = &[("llama-anthropic-messages-stream", Ok(Finish::Length))];

/// Streams of Ollama and of what claims to be Ollama.
const NDJSON: &[(&str, Result<Finish, Ends>)] = &[
    ("ollama-chat-stream", Ok(Finish::Stop)),
    ("ollama-chat-stream-length", Ok(Finish::Length)),
    ("ollama-chat-format-json", Ok(Finish::Stop)),
    ("ollama-chat-logprobs", Ok(Finish::Length)),
    ("ollama-chat-coldload-keep3s", Ok(Finish::Length)),
    ("ollama-chat-context-truncated", Ok(Finish::Length)),
    ("ollama-chat-nonstream", Ok(Finish::Stop)),
    ("ollama-chat-cancelled", Err(Ends::Cut)),
    ("ollama-pull-unknown", Err(Ends::Complaint)),
    ("ollamalike-chat-stream", Ok(Finish::Length)),
    ("ollamalike-chat-unknown", Ok(Finish::Length)),
    ("ollamalike-chat-nonstream", Ok(Finish::Length)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Cut,
    Complaint,
}

fn new(name: &str) -> Box<dyn Decode> {
    let is = |list: &[(&str, Result<Finish, Ends>)]| list.iter().any(|(n, _)| *n == name);
    if is(NDJSON) {
        Box::new(ollama::Decoder::new(true))
    } else if is(EVENTS) {
        Box::new(anthropic::Decoder::default())
    } else {
        Box::new(openai::Decoder::default())
    }
}

fn decode(name: &str, pieces: &[&[u8]]) -> (Vec<Update>, Result<Finish, Fault>) {
    let mut decoder = new(name);
    let mut out = Vec::new();
    for piece in pieces {
        match decoder.feed(piece, &mut out) {
            Ok(None) => {}
            Ok(Some(finish)) => return (out, Ok(finish)),
            Err(fault) => return (out, Err(fault)),
        }
    }
    let result = decoder.end(&mut out);
    (out, result)
}

fn text(updates: &[Update], wanted: DeltaKind) -> String {
    let pieces = updates.iter().filter_map(|u| match u {
        Update::Delta(kind, text) if *kind == wanted => Some(text.as_str()),
        _ => None,
    });
    pieces.collect()
}

fn figures(updates: &[Update]) -> Figures {
    let mut all = Figures::default();
    for update in updates {
        if let Update::Figures(figures) = update {
            all.merge(figures);
        }
    }
    all
}

#[test]
fn every_stream_ends_as_it_did() {
    for (name, expected) in SSE.iter().chain(NDJSON).chain(EVENTS) {
        let body = Capture::load(name).body;
        let (updates, result) = decode(name, &[&body]);
        let ends = result.map_err(|fault| match fault {
            Fault::Cut => Ends::Cut,
            Fault::Complaint(_) => Ends::Complaint,
            Fault::Malformed(what) => panic!("{name}: {what}"),
        });
        assert_eq!(&ends, expected, "{name}");
        if ends.is_ok() {
            let words = text(&updates, DeltaKind::Text) + &text(&updates, DeltaKind::Thinking);
            let calls = updates.iter().any(|u| matches!(u, Update::ToolCall { .. }));
            assert!(!words.is_empty() || calls, "{name} says nothing");
            let usages = updates.iter().filter(|u| matches!(u, Update::Figures(_))).count();
            assert!(usages <= 1, "{name} tells its figures {usages} times");
        }
    }
}

/// What a decoder made of the bytes so far.
#[derive(Clone)]
struct Fed<D> {
    decoder: D,
    updates: Vec<Update>,
    result: Result<Option<Finish>, Fault>,
}

impl<D: Decode + Clone + std::fmt::Debug> Fed<D> {
    fn new(decoder: D) -> Self {
        Self { decoder, updates: Vec::new(), result: Ok(None) }
    }

    fn going(&self) -> bool {
        self.result == Ok(None)
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.going() {
            self.result = self.decoder.feed(bytes, &mut self.updates);
        }
    }

    fn end(mut self) -> (Vec<Update>, Result<Finish, Fault>) {
        match self.result {
            Ok(None) => {
                let result = self.decoder.end(&mut self.updates);
                (self.updates, result)
            }
            Ok(Some(finish)) => (self.updates, Ok(finish)),
            Err(fault) => (self.updates, Err(fault)),
        }
    }

    /// Everything that can make a difference from here on.
    fn state(&self) -> String {
        format!("{:?} {:?} {:?}", self.decoder, self.updates, self.result)
    }
}

/// Cuts the stream at each of its bytes. A cut can only make a difference until the line it falls into has ended: there the state
/// must be the one that the whole line leads to, so that not the whole rest need be decoded again for every byte.
fn cut_everywhere<D: Decode + Clone + std::fmt::Debug>(name: &str, decoder: D, body: &[u8]) {
    let mut before = Fed::new(decoder);
    let mut from = 0;
    while from < body.len() && before.going() {
        let to = body[from..].iter().position(|b| *b == b'\n').map_or(body.len(), |at| from + at + 1);
        let mut after = before.clone();
        after.updates.clear();
        after.feed(&body[from..to]);
        let state = after.state();
        for at in from..=to {
            let mut cut = before.clone();
            cut.updates.clear();
            cut.feed(&body[from..at]);
            cut.feed(&body[at..to]);
            assert_eq!(cut.state(), state, "{name} cut at byte {at}");
        }
        (before, from) = (after, to);
    }
}

#[test]
fn no_cut_changes_what_a_stream_says() {
    for (name, _) in SSE {
        cut_everywhere(name, openai::Decoder::default(), &Capture::load(name).body);
    }
    for (name, _) in NDJSON {
        cut_everywhere(name, ollama::Decoder::new(true), &Capture::load(name).body);
    }
    for (name, _) in EVENTS {
        cut_everywhere(name, anthropic::Decoder::default(), &Capture::load(name).body);
    }
    for (name, _) in SSE.iter().chain(NDJSON).chain(EVENTS) {
        let body = Capture::load(name).body;
        let whole = decode(name, &[&body]);
        for piece in [1, 2, 5, 100, 1000] {
            assert_eq!(decode(name, &body.chunks(piece).collect::<Vec<_>>()), whole, "{name} in pieces of {piece}");
        }
    }
}

/// Ends the stream after each of its bytes.
fn end_everywhere<D: Decode + Clone + std::fmt::Debug>(name: &str, decoder: D, body: &[u8]) {
    let (whole, result) = decode(name, &[body]);
    let ends_well = result.is_ok();
    let (full, thought) = (text(&whole, DeltaKind::Text), text(&whole, DeltaKind::Thinking));
    let mut fed = Fed::new(decoder);
    let (mut part, mut thinking) = (String::new(), String::new());
    let mut last = 0;
    for at in 0..=body.len() {
        if at > 0 {
            fed.feed(&body[at - 1..at]);
        }
        // What has come stays; only what the end adds is looked at anew.
        part += &text(&fed.updates, DeltaKind::Text);
        thinking += &text(&fed.updates, DeltaKind::Thinking);
        fed.updates.clear();
        let (rest, result) = fed.clone().end();
        let (more, thought_more) = (text(&rest, DeltaKind::Text), text(&rest, DeltaKind::Thinking));
        assert!(full.strip_prefix(&part).is_some_and(|after| after.starts_with(&more)), "{name} ended at {at}: {part:?} {more:?}");
        assert!(thought.strip_prefix(&thinking).is_some_and(|after| after.starts_with(&thought_more)), "{name} ended at {at}");
        let length = part.len() + more.len() + thinking.len() + thought_more.len();
        assert!(length >= last, "{name} ended at {at} lost text");
        last = length;
        match result {
            Ok(_) | Err(Fault::Cut) => {}
            Err(Fault::Complaint(_)) if !ends_well => {}
            Err(fault) => panic!("{name} ended at {at} is told as {fault:?}"),
        }
    }
    assert_eq!(last, full.len() + thought.len(), "{name}");
}

#[test]
fn a_stream_that_ends_anywhere_keeps_what_came_and_never_panics() {
    for (name, _) in SSE {
        end_everywhere(name, openai::Decoder::default(), &Capture::load(name).body);
    }
    for (name, _) in NDJSON {
        end_everywhere(name, ollama::Decoder::new(true), &Capture::load(name).body);
    }
    for (name, _) in EVENTS {
        end_everywhere(name, anthropic::Decoder::default(), &Capture::load(name).body);
    }
}

#[test]
fn llama_servers_figures_are_the_servers() {
    let body = Capture::load("llama-chat-stream").body;
    let (updates, _) = decode("llama-chat-stream", &[&body]);
    let all = figures(&updates);
    let value = |f: Option<arbour::proto::Figure>| f.expect("a figure").value;
    assert_eq!((value(all.prompt_tokens), value(all.cached_tokens), value(all.completion_tokens)), (23.0, 5.0, 7.0));
    assert_eq!((value(all.prompt_ms), value(all.generate_ms)), (203.036, 153.049));
    assert!((value(all.tokens_per_s) - 45.737).abs() < 0.001 && (value(all.prompt_per_s) - 88.654).abs() < 0.001);
    assert_eq!(text(&updates, DeltaKind::Text), "There are no three colours.");
}

#[test]
fn prompt_progress_is_told_and_its_half_done_timings_are_not() {
    let body = Capture::load("llama-chat-stream-progress").body;
    let (updates, _) = decode("llama-chat-stream-progress", &[&body]);
    let phases: Vec<_> =
        updates.iter().filter_map(|u| if let Update::Phase(s, p) = u { Some((*s, p.done, p.total)) } else { None }).collect();
    assert_eq!(phases, [(State::Reading, Some(0), Some(794)), (State::Reading, Some(794), Some(794)), (State::Writing, None, None)]);
    let all = figures(&updates);
    assert!(all.prompt_per_s.is_none_or(|f| f.value < 10_000.0), "{:?}", all.prompt_per_s);
    assert!(all.prompt_ms.is_some_and(|f| f.value > 7000.0));
}

#[test]
fn thinking_comes_under_its_several_names() {
    let body = Capture::load("llama-reasoning-stream-grammar").body;
    let (updates, _) = decode("llama-reasoning-stream-grammar", &[&body]);
    assert_eq!(text(&updates, DeltaKind::Thinking).trim(), "I add two and two.");
    assert_eq!(text(&updates, DeltaKind::Text), "The answer is 4.");
    for delta in [
        r#"{"reasoning_content":"why"}"#,
        r#"{"reasoning":"why"}"#,
        r#"{"thinking":"why"}"#,
        r#"{"content":"<think>why</think>"}"#,
        r#"{"reasoning":"why","reasoning_details":[{"type":"reasoning.text","text":"why"}]}"#,
        r#"{"reasoning":null,"reasoning_details":[{"type":"reasoning.text","text":"why"}]}"#,
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"why"}]}]}"#,
    ] {
        let stream = format!(
            "data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\"so\"}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
        );
        let (updates, result) = decode("made", &[stream.as_bytes()]);
        assert_eq!(result, Ok(Finish::Stop), "{delta}");
        assert_eq!((text(&updates, DeltaKind::Thinking).as_str(), text(&updates, DeltaKind::Text).as_str()), ("why", "so"), "{delta}");
        let phases: Vec<_> = updates.iter().filter_map(|u| if let Update::Phase(s, _) = u { Some(*s) } else { None }).collect();
        assert_eq!(phases, [State::Thinking, State::Writing], "{delta}");
    }
}

#[test]
fn tool_calls_are_put_together() {
    let body = Capture::load("llama-toolcall-fewshot-stream").body;
    let (updates, _) = decode("llama-toolcall-fewshot-stream", &[&body]);
    let call = updates.iter().find_map(|u| match u {
        Update::ToolCall { id, name, arguments } => Some((id.as_str(), name.as_str(), arguments.as_str())),
        _ => None,
    });
    assert_eq!(call, Some(("CPbwJFfM9AFdEl0iZBxkmX83Cd3fRxhS", "get_weather", r#"{"city": "Paris"}"#)));
}

#[test]
fn errors_inside_a_good_stream_are_found() {
    for (name, stream, says) in [
        ("made", "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n", "out of memory"),
        ("made", "event: error\ndata: {\"message\":\"overloaded\"}\n\n", "overloaded"),
        ("made", "event: error\ndata: plain words\n\n", "plain words"),
        ("made", "{\"error\":\"no stream at all\"}", "no stream at all"),
        ("made", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\nproxy error: gone", "proxy error: gone"),
        ("ollama-chat-stream", "{\"error\":\"llama runner process has terminated\"}\n", "llama runner process has terminated"),
        ("ollama-chat-stream", "{\"error\":\"{\\\"error\\\":{\\\"code\\\":500,\\\"message\\\":\\\"inner\\\"}}\"}\n", "inner"),
        ("ollama-chat-stream", "{\"message\":{\"content\":\"a\"},\"done\":false}\nproxy error: gone", "proxy error: gone"),
    ] {
        match decode(name, &[stream.as_bytes()]).1 {
            Err(Fault::Complaint(complaint)) => assert_eq!(complaint.text, says),
            other => panic!("{stream}: {other:?}"),
        }
    }
}

#[test]
fn what_came_before_a_broken_frame_is_kept() {
    for (name, stream) in [
        ("made", "data: {\"choices\":[{\"delta\":{\"content\":\"kept\"}}]}\n\ndata: {nonsense\n\n"),
        ("made", "data: {\"choices\":[{\"delta\":{\"content\":\"kept\"}}]}\n\ndata: [1]\n\n"),
        ("made", "data: {\"choices\":[{\"delta\":{\"content\":\"kept\"}}]}\n\n<html><title>Gone</title>"),
        ("ollama-chat-stream", "{\"message\":{\"content\":\"kept\"},\"done\":false}\n<html><title>Gone</title>"),
        ("ollama-chat-stream", "{\"message\":{\"content\":\"kept\"},\"done\":false}\n{nonsense\n"),
        ("ollama-chat-stream", "{\"message\":{\"content\":\"kept\"},\"done\":false}\n42\n"),
    ] {
        let (updates, result) = decode(name, &[stream.as_bytes()]);
        assert!(matches!(result, Err(Fault::Malformed(_))), "{stream}: {result:?}");
        assert_eq!(text(&updates, DeltaKind::Text), "kept", "{stream}");
    }
}

#[test]
fn a_stream_without_done_has_ended_when_it_gave_its_reason() {
    let stream = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(decode("made", &[stream]).1, Ok(Finish::Stop));
    let stream = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    assert_eq!(decode("made", &[stream]).1, Err(Fault::Cut));
}

#[test]
fn a_repeated_beginning_is_left_out_of_a_continued_answer() {
    let run = |deltas: &[&str]| {
        let mut decoder = openai::Decoder::continuing("One, two,", "");
        let mut out = Vec::new();
        for delta in deltas {
            let event = format!("data: {}\n\n", serde_json::json!({ "choices": [{ "delta": { "content": delta } }] }));
            assert_eq!(decoder.feed(event.as_bytes(), &mut out), Ok(None));
        }
        assert_eq!(decoder.feed(b"data: [DONE]\n\n", &mut out), Ok(Some(Finish::Stop)));
        text(&out, DeltaKind::Text)
    };
    assert_eq!(run(&["One, two,", " three"]), " three");
    assert_eq!(run(&["One", ", two, three"]), " three");
    assert_eq!(run(&[" three", "One, two,"]), " threeOne, two,");
    assert_eq!(run(&["One, ", "too many"]), "One, too many");
    assert_eq!(run(&["One, "]), "One, ");
}

#[test]
fn llama_server_repeats_what_it_goes_on_with_and_that_is_left_out() {
    for (name, (text_before, thinking_before), (says, thinks)) in [
        ("llama-continue-text", ("One, two, three,", ""), (" four, five, six, seven,", "")),
        ("llama-continue-text-no-progress", ("One, two, three,", ""), (" four, five, six, seven,", "")),
        ("llama-continue-thinking", ("", "Let me count: one"), ("", ", two, three, four, five")),
        ("llama-continue-thinking-and-text", ("One", "Let me count: one"), (" is a counterexample to the", "")),
    ] {
        let body = Capture::load(name).body;
        for piece in [1, body.len()] {
            let mut fed = Fed::new(openai::Decoder::continuing(text_before, thinking_before));
            body.chunks(piece).for_each(|bytes| fed.feed(bytes));
            let (updates, result) = fed.end();
            assert_eq!(result, Ok(Finish::Length), "{name}");
            assert_eq!((text(&updates, DeltaKind::Text).as_str(), text(&updates, DeltaKind::Thinking).as_str()), (says, thinks), "{name}");
        }
    }
}

#[test]
fn complaints_are_dug_out_of_what_servers_send() {
    let complaint = |name: &str| Complaint::from_body(&Capture::load(name).body);
    for name in ["llama-err-context-exceeded-stream", "ollama-chat-context-exceeded", "litellm-ctx-exceeded"] {
        let found = complaint(name);
        assert!(found.is_context(), "{name}: {found:?}");
        assert!(found.prompt_tokens.is_some_and(|n| n > 3000) && found.context.is_some_and(|n| n <= 2048), "{name}: {found:?}");
    }
    for name in ["ollama-chat-unknown-model", "router-chat-unknown", "litellm-unknown", "ollama-v1-chat-unknown", "ollama-show-unknown"] {
        assert!(complaint(name).is_model(), "{name}");
    }
    assert!(complaint("llama-chat-during-load").is_loading());
    assert_eq!(complaint("ollamalike-ps").text, "Not Found");
    assert_eq!(complaint("ollama-chat-bad-option").text, "option \"temperature\" must be of type float32");
    let openai = r#"{"error":{"message":"This model's maximum context length is 4,097 tokens. However, your messages resulted in 5000 tokens.","code":"context_length_exceeded","param":"messages"}}"#;
    let found = Complaint::from_body(openai.as_bytes());
    assert_eq!((found.is_context(), found.prompt_tokens, found.context), (true, Some(5000), Some(4097)));
    let list = Complaint::from_body(br#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required"}]}"#);
    assert_eq!(list.text, "Field required");
    assert_eq!(Complaint::from_body(b"<!DOCTYPE html><title>Log in</title>").text, "a web page, \u{201c}Log in\u{201d}");
    let hostile = Complaint::from_body("a\u{1b}[2Jb\u{202e}c\nd".as_bytes());
    assert!(!hostile.text.contains(['\u{1b}', '\u{202e}', '\n']), "{hostile:?}");
    assert!(Complaint::from_body(&[b'x'; 100_000]).text.len() < 500);
}

fn survives(bytes: &[u8], at: usize) -> Result<(), TestCaseError> {
    for name in ["made", "ollama-chat-stream"] {
        let at = at.min(bytes.len());
        prop_assert_eq!(decode(name, &[bytes]), decode(name, &[&bytes[..at], &bytes[at..]]));
    }
    let complaint = Complaint::from_body(bytes);
    prop_assert!(complaint.text.chars().count() <= 500 && !complaint.text.chars().any(char::is_control));
    // Any result will do; it must only come.
    drop(openai::whole(bytes, openai::Decoder::default(), &mut Vec::new()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..400) {
        survives(&bytes, at)?;
    }

    #[test]
    fn a_spoilt_stream_is_survived(which in 0usize..31, at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<proptest::sample::Index>()) {
        let names: Vec<&str> = SSE.iter().chain(NDJSON).chain(EVENTS).map(|(name, _)| *name).collect();
        let mut body = Capture::load(names[which % names.len()]).body;
        body.truncate(6000);
        let place = at.index(body.len());
        body[place] = byte;
        survives(&body, cut.index(body.len()))?;
    }

    #[test]
    fn frame_soup_is_survived(
        text in "(data: |event: error|\n|\n\n|\\{\"choices\":\\[|\\{\"delta\":\\{\"content\":\"x\"\\}\\}|\\]\\}|\\{\"error\":|\"a\"|\\}|null|\\[DONE\\]|\"done\":true|<think>|é){0,30}",
        at in 0usize..300,
    ) {
        survives(text.as_bytes(), at)?;
    }
}
