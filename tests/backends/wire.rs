//! What goes out to each kind: pictures, tools, their calls and what came of them, earlier thinking.

use arbour::backend::{Backend, Call, File, Message, Request, Returned, Update};
use arbour::proto::{BackendKind, Facts, Finish, Role};
use serde_json::{Value, json};

use super::support::hear::{hear, hi, make, request};
use super::support::replay::{Capture, Replay};
use super::support::scripted::{Dialect, Script, Scripted};

const KINDS: [(BackendKind, Dialect); 4] = [
    (BackendKind::Ollama, Dialect::Ollama),
    (BackendKind::LlamaServer, Dialect::LlamaServer),
    (BackendKind::OpenAi, Dialect::OpenAi),
    (BackendKind::Anthropic, Dialect::Anthropic),
];

/// A question about a picture, two calls with what came of them, and another question.
fn conversation(set: &[(&str, Value)]) -> Request {
    let mut request =
        request("scripted", &[(Role::System, "Be brief."), (Role::User, "what is it?"), (Role::Assistant, "Let me see.")], set);
    request.continues = false;
    request.messages[1].files.push(File {
        blob: "b".into(),
        mime: "image/png".into(),
        name: "oak.png".into(),
        picture: true,
        facts: Facts { bytes: 33_500, tokens: 100, width: 40, height: 30 },
        data: Some("aGk=".into()),
    });
    request.messages[2].thinking = Some("Hm.".into());
    let call = |id: &str, name: &str, arguments: &str| Call { id: id.into(), name: name.into(), arguments: arguments.into() };
    request.messages[2].calls = vec![call("c:1", "look", r#"{"at":1}"#), call("c2", "measure", "not JSON")];
    let result = |id: &str, name: &str, content: &str| Returned { id: id.into(), name: name.into(), content: content.into() };
    let mut tool = Message::new(Role::Tool, "");
    tool.results = vec![result("c:1", "look", "an oak"), result("c2", "measure", "9 m")];
    request.messages.push(tool);
    request
}

/// The body that is sent; what a person is shown is the same but for the picture.
async fn sent(kind: BackendKind, dialect: Dialect, request: Request) -> Value {
    let server = Scripted::start(dialect, Script::default());
    let backend = make(kind, &server.url());
    let mut unfilled = request.clone();
    unfilled.messages.iter_mut().flat_map(|m| &mut m.files).for_each(|file| file.data = None);
    hear(&*backend, request).await.result.expect("an answer");
    let sent = server.chats().remove(0);
    let shown = backend.preview(&unfilled).body;
    assert!(!shown.contains("aGk="), "{shown}");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let placed = sent.to_string().replace("data:image/png;base64,aGk=", "[image oak.png, 34 kB]").replace("aGk=", "[image oak.png, 34 kB]");
    assert_eq!(serde_json::from_str::<Value>(&placed).expect("JSON"), shown, "{kind:?}");
    sent
}

#[tokio::test]
async fn chat_completions_take_pictures_calls_and_results() {
    for (kind, dialect) in [(BackendKind::OpenAi, Dialect::OpenAi), (BackendKind::LlamaServer, Dialect::LlamaServer)] {
        let body = sent(kind, dialect, conversation(&[])).await;
        assert_eq!(
            body["messages"],
            json!([
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": [
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,aGk=" } },
                    { "type": "text", "text": "what is it?" },
                ] },
                { "role": "assistant", "content": "Let me see.", "tool_calls": [
                    { "id": "c:1", "type": "function", "function": { "name": "look", "arguments": "{\"at\":1}" } },
                    { "id": "c2", "type": "function", "function": { "name": "measure", "arguments": "not JSON" } },
                ] },
                { "role": "tool", "tool_call_id": "c:1", "content": "an oak" },
                { "role": "tool", "tool_call_id": "c2", "content": "9 m" },
            ]),
            "{kind:?}"
        );
    }
    let body = sent(BackendKind::LlamaServer, Dialect::LlamaServer, conversation(&[("send_thinking", json!("on"))])).await;
    assert_eq!(body["messages"][2]["reasoning_content"], "Hm.");
}

#[tokio::test]
async fn ollama_takes_pictures_beside_the_text_and_arguments_as_objects() {
    let body = sent(BackendKind::Ollama, Dialect::Ollama, conversation(&[("send_thinking", json!("on"))])).await;
    assert_eq!(
        body["messages"],
        json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "what is it?", "images": ["aGk="] },
            { "role": "assistant", "content": "Let me see.", "thinking": "Hm.", "tool_calls": [
                { "function": { "name": "look", "arguments": { "at": 1 } } },
                { "function": { "name": "measure", "arguments": { "arguments": "not JSON" } } },
            ] },
            { "role": "tool", "tool_name": "look", "content": "an oak" },
            { "role": "tool", "tool_name": "measure", "content": "9 m" },
        ])
    );
    let body = sent(BackendKind::Ollama, Dialect::Ollama, conversation(&[])).await;
    assert!(body["messages"][2].get("thinking").is_none());
}

#[tokio::test]
async fn messages_take_blocks_in_the_order_that_the_service_wants() {
    let mut request = conversation(&[("thinking", json!("on"))]);
    request.messages.push(Message::new(Role::User, "and how old?"));
    let body = sent(BackendKind::Anthropic, Dialect::Anthropic, request).await;
    assert_eq!(
        body["messages"],
        json!([
            { "role": "user", "content": [
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "aGk=" } },
                { "type": "text", "text": "what is it?" },
            ] },
            { "role": "assistant", "content": [
                { "type": "text", "text": "Let me see." },
                { "type": "tool_use", "id": "c_1", "name": "look", "input": { "at": 1 } },
                { "type": "tool_use", "id": "c2", "name": "measure", "input": { "arguments": "not JSON" } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c_1", "content": "an oak" },
                { "type": "tool_result", "tool_use_id": "c2", "content": "9 m" },
                { "type": "text", "text": "and how old?" },
            ] },
        ])
    );
    assert!(body.get("thinking").is_some());
    let backend = make(BackendKind::Anthropic, "http://127.0.0.1:9");
    let preview = backend.preview(&conversation(&[("thinking", json!("on"))]));
    assert!(!preview.body.contains("budget_tokens"), "thinking must come back signed then");
    assert!(preview.notes.iter().any(|note| note.starts_with("thinking is set and not sent")), "{:?}", preview.notes);
}

#[tokio::test]
async fn tools_are_told_in_each_protocols_form() {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let tools = [("tools", json!([{ "name": "weather", "description": "Of a city", "parameters": schema }]))];
    for (kind, dialect) in KINDS {
        let mut request = hi("scripted");
        request.parameters.0.extend(tools.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let body = sent(kind, dialect, request).await;
        let expected = match kind {
            BackendKind::Anthropic => json!([{ "name": "weather", "description": "Of a city", "input_schema": schema }]),
            _ => json!([{ "type": "function", "function": { "name": "weather", "description": "Of a city", "parameters": schema } }]),
        };
        assert_eq!(body["tools"], expected, "{kind:?}");
    }
}

/// What a stream says of calls.
async fn calls(kind: BackendKind, path: &str, content_type: &str, body: &str) -> (Vec<(String, String, String)>, Finish) {
    let server = Replay::start(&[(path, Capture::made(200, content_type, body))]);
    let backend = make(kind, &server.url());
    let heard = hear(&*backend, hi("m")).await;
    let of = |update| match update {
        Update::ToolCall { id, name, arguments } => Some((id, name, arguments)),
        _ => None,
    };
    (heard.updates.into_iter().filter_map(of).collect(), heard.result.expect("an end"))
}

fn events(values: &[Value]) -> String {
    values.iter().map(|value| format!("data: {value}\n\n")).collect()
}

#[tokio::test]
async fn streamed_calls_are_put_together() {
    let call = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| json!({ "choices": [{ "delta": { "tool_calls": [{ "index": index, "id": id, "function": { "name": name, "arguments": arguments } }] } }] });
    let stream = events(&[
        call(0, Some("a"), Some("look"), ""),
        call(0, None, None, "{\"at\""),
        call(1, Some("b"), Some("measure"), "{}"),
        call(0, None, None, ":1}"),
        json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
    ]) + "data: [DONE]\n\n";
    let expected =
        vec![("a".to_owned(), "look".to_owned(), "{\"at\":1}".to_owned()), ("b".to_owned(), "measure".to_owned(), "{}".to_owned())];
    for (kind, path) in [(BackendKind::OpenAi, "POST /v1/chat/completions"), (BackendKind::LlamaServer, "POST /v1/chat/completions")] {
        assert_eq!(calls(kind, path, "text/event-stream", &stream).await, (expected.clone(), Finish::ToolCalls), "{kind:?}");
    }
    let line = json!({ "message": { "content": "", "tool_calls": [{ "function": { "name": "look", "arguments": { "at": 1 } } }] }, "done": false });
    let end = json!({ "message": { "content": "" }, "done": true, "done_reason": "stop" });
    let (called, _) = calls(BackendKind::Ollama, "POST /api/chat", "application/x-ndjson", &format!("{line}\n{end}\n")).await;
    assert_eq!(called, [(String::new(), "look".to_owned(), "{\"at\":1}".to_owned())], "the machine gives it an id");
}

#[test]
fn nobody_is_asked_with_an_empty_message() {
    let backend: std::sync::Arc<dyn Backend> = make(BackendKind::OpenAi, "http://127.0.0.1:9");
    let mut request = hi("m");
    request.messages[0].text.clear();
    request.messages[0].files = conversation(&[]).messages[1].files.clone();
    let body: Value = serde_json::from_str(&backend.preview(&request).body).unwrap();
    assert_eq!(body["messages"][0]["content"].as_array().map(Vec::len), Some(1), "a picture without words: {body}");
}
