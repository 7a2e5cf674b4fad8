//! What every kind of server must do, over sockets. A kind that is added to the registry joins by one line in [`KINDS`].

use std::time::{Duration, Instant};

use arbour::backend::{self, BACKENDS, Spec, Update, channel};
use arbour::error::Kind;
use arbour::proto::{BackendKind, Finish, Role, State};
use serde_json::json;

use super::support::hear::{Heard, hear, hi, make, make_with, request};
use super::support::replay::{Capture, Replay};
use super::support::scripted::{Accident, Dialect, Script, Scripted};
use super::support::serve::Server;

/// A kind, and what real servers of that kind sent.
struct Case {
    kind: BackendKind,
    dialect: Dialect,
    /// Where chats go.
    chat: &'static str,
    model: &'static str,
    /// A whole answer, and what it says.
    stream: &'static str,
    says: &'static str,
    /// A stream of that form that says "é🦀 ok" and then breaks.
    broken: &'static str,
    unknown_model: (u16, &'static str),
    too_long: &'static str,
}

const UNICODE_SSE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"é🦀\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\" ok\"}}]}\n\ndata: {nonsense\n\n";
const UNICODE_LINES: &str =
    "{\"message\":{\"content\":\"é🦀\"},\"done\":false}\n{\"message\":{\"content\":\" ok\"},\"done\":false}\n{nonsense\n";

const UNICODE_EVENTS: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"é🦀\"}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\" ok\"}}\n\ndata: {nonsense\n\n";

const KINDS: [Case; 5] = [
    Case {
        kind: BackendKind::Ollama,
        dialect: Dialect::Ollama,
        chat: "POST /api/chat",
        model: "smollm2:135m",
        stream: "ollama-chat-stream",
        says: "1. Red\n2. Blue\n3. Green",
        broken: UNICODE_LINES,
        unknown_model: (404, "ollama-chat-unknown-model"),
        too_long: "ollama-chat-context-exceeded",
    },
    Case {
        kind: BackendKind::LlamaServer,
        dialect: Dialect::LlamaServer,
        chat: "POST /v1/chat/completions",
        model: "smollm2",
        stream: "llama-chat-stream",
        says: "There are no three colours.",
        broken: UNICODE_SSE,
        unknown_model: (400, "router-chat-unknown"),
        too_long: "llama-err-context-exceeded-stream",
    },
    Case {
        kind: BackendKind::LlamaServer,
        dialect: Dialect::Router,
        chat: "POST /v1/chat/completions",
        model: "smollm2",
        stream: "router-chat-stream",
        says: "Hello! I'm here to help with any kind of creative",
        broken: UNICODE_SSE,
        unknown_model: (400, "router-chat-unknown"),
        too_long: "llama-err-context-exceeded-stream",
    },
    Case {
        kind: BackendKind::OpenAi,
        dialect: Dialect::OpenAi,
        chat: "POST /v1/chat/completions",
        model: "smollm2:135m",
        stream: "ollama-v1-chat-stream",
        says: "I'm so glad you're here.",
        broken: UNICODE_SSE,
        unknown_model: (404, "ollama-v1-chat-unknown"),
        too_long: "litellm-ctx-exceeded",
    },
    Case {
        kind: BackendKind::Anthropic,
        dialect: Dialect::Anthropic,
        chat: "POST /v1/messages",
        model: "smollm2",
        stream: "llama-anthropic-messages-stream",
        says: "I'm glad you found the chatbot helpful. I'm your friendly AI companion who always offers me",
        broken: UNICODE_EVENTS,
        unknown_model: (400, "router-anthropic-unknown"),
        too_long: "llama-anthropic-context-exceeded",
    },
];

const SOON: Duration = Duration::from_secs(20);

/// One server that answers chats with this.
async fn ask(case: &Case, capture: Capture) -> (Heard, Server) {
    let server = Replay::start(&[(case.chat, capture)]);
    let heard = hear(&*make(case.kind, &server.url()), hi(case.model)).await;
    (heard, server)
}

async fn refused(case: &Case, status: u16, body: &str) -> arbour::error::Error {
    ask(case, Capture::made(status, "application/json", body)).await.0.result.expect_err("a refusal")
}

#[test]
fn every_kind_is_here() {
    for entry in BACKENDS {
        assert!(entry.kind == BackendKind::Embedded || KINDS.iter().any(|case| case.kind == entry.kind), "{} has no case", entry.word);
        assert_eq!(entry.word, entry.kind.word());
        assert!(entry.about.ends_with('.'));
    }
}

#[tokio::test]
async fn an_answer_comes_in_order_and_whole() {
    for case in KINDS {
        for piece in [1, 3, 7, 64, usize::MAX] {
            let (heard, _server) = ask(&case, Capture::load(case.stream).pieces(piece)).await;
            assert!(matches!(heard.result, Ok(Finish::Stop | Finish::Length)), "{:?}", heard.result);
            assert_eq!(heard.text(), case.says);
            let phases = heard.phases();
            assert_eq!(phases[..2], [State::Connecting, State::Waiting], "{:?} {phases:?}", case.kind);
            assert_eq!(phases.last(), Some(&State::Writing), "{:?} {phases:?}", case.kind);
            let first_text = heard.updates.iter().position(|u| matches!(u, Update::Delta(..)));
            let writing = heard.updates.iter().position(|u| matches!(u, Update::Phase(State::Writing, _)));
            assert!(writing < first_text, "text before its phase");
            assert_eq!(heard.usages(), 1, "{:?}: the usage is told once", case.kind);
            let figures = heard.figures();
            assert!(figures.connect_ms.is_some_and(|f| f.value < 5000.0));
            assert!(figures.prompt_tokens.is_some_and(|f| f.value > 0.0) && figures.completion_tokens.is_some_and(|f| f.value > 0.0));
        }
    }
}

#[tokio::test]
async fn thinking_comes_before_writing() {
    for case in KINDS {
        let server = Scripted::start(case.dialect, Script::says("So it is.").thinks("Let me see."));
        let heard = hear(&*make(case.kind, &server.url()), hi("scripted")).await;
        assert_eq!((heard.thinking().as_str(), heard.text().as_str()), ("Let me see.", "So it is."));
        let phases = heard.phases();
        assert_eq!(phases[phases.len() - 2..], [State::Thinking, State::Writing], "{:?} {phases:?}", case.kind);
    }
}

#[tokio::test]
async fn letters_cut_in_the_middle_are_put_together_and_a_broken_frame_keeps_them() {
    for case in KINDS {
        let kind = if case.kind == BackendKind::Ollama { "application/x-ndjson" } else { "text/event-stream" };
        let (heard, _server) = ask(&case, Capture::made(200, kind, case.broken).pieces(1)).await;
        assert_eq!(heard.text(), "é🦀 ok");
        assert_eq!(heard.error().kind, Kind::Malformed, "{:?}", heard.error());
    }
}

#[tokio::test]
async fn dropping_an_answer_closes_the_connection() {
    for case in KINDS {
        let body = Capture::load(case.stream).body.len();
        let server = Replay::start(&[(case.chat, Capture::load(case.stream).stall_at(body / 2))]);
        let backend = make(case.kind, &server.url());
        let (sink, mut source) = channel();
        let work = tokio::spawn(async move { backend.generate(hi(case.model), sink).await });
        let first = tokio::time::timeout(SOON, async {
            while let Some(update) = source.next().await {
                if matches!(update, Update::Delta(..)) {
                    return true;
                }
            }
            false
        });
        assert!(first.await.expect("text in time"), "{:?}: no text", case.kind);
        assert_eq!(server.left(), 0);
        work.abort();
        assert!(server.until_left(SOON).await, "{:?}: the connection stays", case.kind);
    }
}

#[tokio::test]
async fn dropping_a_request_that_waits_closes_the_connection() {
    for case in KINDS {
        let server = Scripted::start(case.dialect, Script::default().waits(Duration::from_secs(3600), Duration::ZERO));
        let backend = make(case.kind, &server.url());
        let (sink, mut source) = channel();
        let work = tokio::spawn(async move { backend.generate(hi("scripted"), sink).await });
        let waits = tokio::time::timeout(SOON, async {
            while let Some(update) = source.next().await {
                if matches!(update, Update::Phase(State::Waiting, _)) {
                    return true;
                }
            }
            false
        });
        assert!(waits.await.expect("waiting in time"), "{:?}", case.kind);
        assert!(server.server.until_asked(case.chat, 1, SOON).await);
        work.abort();
        assert!(server.server.until_left(SOON).await, "{:?}: the connection stays", case.kind);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_keeps_what_came() {
    for case in KINDS {
        let body = Capture::load(case.stream).body.len();
        let (heard, _server) = ask(&case, Capture::load(case.stream).cut_at(body / 2)).await;
        assert_eq!(heard.error().kind, Kind::Disconnected, "{:?}", heard.error());
        let text = heard.text();
        assert!(!text.is_empty() && case.says.starts_with(&text) && text != case.says, "{text:?}");
        assert!(heard.error().hints[0].contains("continue"), "{:?}", heard.error());
        let (heard, _server) = ask(&case, Capture::load(case.stream).cut_at(0)).await;
        assert_eq!(heard.error().kind, Kind::Disconnected, "{:?}", heard.error());
    }
}

#[tokio::test]
async fn an_error_in_the_stream_keeps_what_came_and_says_it() {
    for case in KINDS {
        let script = Script::says("one two three four").after(2, Accident::Error("CUDA error: out of memory".into()));
        let server = Scripted::start(case.dialect, script);
        let heard = hear(&*make(case.kind, &server.url()), hi("scripted")).await;
        assert_eq!(heard.text(), "one two", "{:?}", case.kind);
        assert_eq!(heard.error().kind, Kind::Server);
        assert!(heard.error().message.contains("CUDA error: out of memory"), "{}", heard.error().message);
    }
}

#[tokio::test]
async fn a_frame_without_end_is_refused() {
    for case in KINDS {
        let server = Scripted::start(case.dialect, Script::says("one two three").after(1, Accident::Huge(6 << 20)));
        let heard = hear(&*make(case.kind, &server.url()), hi("scripted")).await;
        assert_eq!((heard.error().kind, heard.text().as_str()), (Kind::Malformed, "one"), "{:?}", case.kind);
    }
}

#[tokio::test]
async fn silence_is_waiting_and_not_an_error() {
    for case in KINDS {
        let server = Scripted::start(case.dialect, Script::says("at last").waits(Duration::from_millis(150), Duration::from_millis(150)));
        let heard = hear(&*make(case.kind, &server.url()), hi("scripted")).await;
        assert_eq!((heard.result.clone(), heard.text().as_str()), (Ok(Finish::Stop), "at last"), "{:?}", case.kind);
    }
}

#[tokio::test]
async fn a_missing_model_is_told_by_its_name() {
    for case in KINDS {
        let capture = Capture::load(case.unknown_model.1);
        assert_eq!(capture.status, case.unknown_model.0);
        let server = Replay::start(&[(case.chat, capture)]);
        let error = hear(&*make(case.kind, &server.url()), hi("nope")).await.result.expect_err("an error");
        assert_eq!(error.kind, Kind::ModelMissing, "{error:?}");
        assert!(error.message.contains("“nope”") && !error.hints.is_empty(), "{error:?}");
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_told_with_its_numbers() {
    for case in KINDS {
        let (heard, _server) = ask(&case, Capture::load(case.too_long)).await;
        let error = heard.error();
        assert_eq!(error.kind, Kind::ContextExceeded, "{error:?}");
        let numbers = error.message.split(|c: char| !c.is_ascii_digit()).filter(|n| n.len() == 4).count();
        assert_eq!(numbers, 2, "{}", error.message);
        assert_eq!(error.hints.len(), 2, "{error:?}");
        // Where the numbers are fields, the first one is the prompt's size from now on.
        let told = heard.figures().prompt_tokens.map(|figure| figure.value.to_string());
        assert!(told.is_none_or(|tokens| error.message.contains(&tokens)), "{error:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_missing_or_wrong_is_told_by_where_it_comes_from() {
    const SECRET: &str = "sk-very-secret-123";
    for case in KINDS {
        let body =
            json!({ "error": { "message": format!("Incorrect API key provided: {SECRET}"), "code": "invalid_api_key" } }).to_string();
        for status in [401, 403] {
            let server = Replay::start(&[(case.chat, Capture::made(status, "application/json", &body))]);
            let heard = hear(&*make_with(case.kind, &server.url(), Some(SECRET)), hi("m")).await;
            let error = heard.error();
            assert_eq!(error.kind, Kind::Unauthorized);
            assert!(error.message.contains("$TEST_KEY"), "{}", error.message);
            let all = format!("{error:?}") + &serde_json::to_string(error).expect("JSON");
            assert!(!all.contains(SECRET), "the key is shown: {all}");
            let (asked, bearer) = (server.asked_for(case.chat).remove(0), format!("Bearer {SECRET}"));
            let keys = [asked.header("authorization"), asked.header("x-api-key")];
            let wanted = if case.kind == BackendKind::Anthropic { [None, Some(SECRET)] } else { [Some(bearer.as_str()), None] };
            assert_eq!(keys, wanted, "{:?}", case.kind);
        }
        let error = refused(&case, 401, r#"{"error":{"message":"Invalid API Key"}}"#).await;
        assert_eq!(error.kind, Kind::Unauthorized);
        assert!(error.hints.iter().any(|hint| hint.contains("api_key")), "{error:?}");
        let spec = Spec { key: Some(backend::Secret::new(SECRET.into())), ..Spec::default() };
        assert!(!format!("{spec:?}").contains(SECRET));
    }
}

#[tokio::test]
async fn too_many_requests_say_how_long_to_wait() {
    for case in KINDS {
        let body = r#"{"error":{"message":"Rate limit reached"}}"#;
        let made = |name: &str, value: &str| Capture::made(429, "application/json", body).header(name, value);
        for (capture, ms) in [
            (made("Retry-After", "7"), Some(7000)),
            (made("Retry-After", "0.5"), Some(500)),
            (made("Retry-After", "Sun, 22 Nov 2026 07:07:05 GMT").header("Date", "Sun, 22 Nov 2026 07:06:35 GMT"), Some(30_000)),
            (made("retry-after-ms", "250"), Some(250)),
            (made("Retry-After", "soon"), None),
            (made("Retry-After", "-5"), Some(0)),
        ] {
            let (heard, _server) = ask(&case, capture).await;
            assert_eq!((heard.error().kind, heard.error().retry_after_ms), (Kind::RateLimited, ms), "{:?}", heard.error());
        }
        let (heard, _server) = ask(&case, made("Retry-After", "7")).await;
        assert_eq!(heard.error().hints[0], "It asks to wait 7 s.");
    }
}

#[tokio::test]
async fn other_refusals_have_their_kind() {
    for case in KINDS {
        for (status, body, kind) in [
            (400, r#"{"error":{"message":"temperature: must be a number"}}"#, Kind::BadRequest),
            (402, r#"{"error":{"message":"Insufficient credits"}}"#, Kind::BadRequest),
            (404, r#"{"error":{"message":"File Not Found"}}"#, Kind::BadRequest),
            (404, "", Kind::BadRequest),
            (422, r#"{"detail":[{"msg":"Field required"}]}"#, Kind::BadRequest),
            (500, "boom", Kind::Server),
            (501, r#"{"error":"not here"}"#, Kind::Unsupported),
            (502, "<html><title>502 Bad Gateway</title></html>", Kind::Server),
            (503, r#"{"error":{"message":"overloaded"}}"#, Kind::Server),
            (301, "", Kind::BadRequest),
        ] {
            let error = refused(&case, status, body).await;
            assert_eq!(error.kind, kind, "{status} {body}: {error:?}");
            assert!(error.message.ends_with(['.', '!', '?']) || error.message.contains("says: "), "{}", error.message);
            assert!(!error.hints.is_empty() || status == 501, "{status}: no hint in {error:?}");
            let cause = error.cause.expect("a cause");
            assert!(cause.contains(&status.to_string()), "{cause}");
        }
        let error = refused(&case, 500, &"x".repeat(5 << 20)).await;
        assert!(error.message.len() < 1000);
    }
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_no_such_machine() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    for case in KINDS {
        let backend = make(case.kind, &format!("http://{closed}"));
        let heard = hear(&*backend, hi("m")).await;
        assert_eq!((heard.error().kind, heard.phases()), (Kind::Refused, vec![State::Connecting]), "{:?}", heard.error());
        assert_eq!(backend.probe().await.expect_err("an error").kind, Kind::Refused);
        assert_eq!(backend.models().await.expect_err("an error").kind, Kind::Refused);
        // A name below .invalid never exists. A proxy in the environment would be asked for it, and is left out here.
        if ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].iter().all(|name| std::env::var_os(name).is_none()) {
            let error = make(case.kind, "http://nowhere.invalid").probe().await.expect_err("an error");
            assert_eq!(error.kind, Kind::Unreachable, "{error:?}");
        }
    }
}

#[tokio::test]
async fn plain_http_behind_https_is_a_tls_failure_that_says_so() {
    let server = Scripted::start(Dialect::OpenAi, Script::default());
    for case in KINDS {
        let error = make(case.kind, &server.url().replace("http://", "https://")).probe().await.expect_err("an error");
        assert_eq!(error.kind, Kind::Tls, "{error:?}");
        assert!(error.hints[0].contains("http://"), "{error:?}");
    }
    // One that hangs up instead of answering.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let rude = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    for case in KINDS {
        let error = make(case.kind, &url).probe().await.expect_err("an error");
        assert!(matches!(error.kind, Kind::Tls | Kind::Unreachable), "{error:?}");
    }
    rude.abort();
}

#[tokio::test]
async fn what_is_no_server_of_models_is_told() {
    for case in KINDS {
        let page = Capture::made(200, "text/html", "<!doctype html><title>Router login</title>");
        let routes = ["GET /v1/models", "GET /api/tags", "GET /api/version", "GET /props", "GET /api/ps"];
        let server = Replay::start(&routes.map(|route| (route, page.clone())));
        let backend = make(case.kind, &server.url());
        assert_eq!(backend.models().await.expect_err("an error").kind, Kind::Malformed);
        assert_eq!(backend.probe().await.expect_err("an error").kind, Kind::Malformed);
        let (heard, _server) = ask(&case, page).await;
        assert_eq!(heard.error().kind, Kind::Malformed, "{:?}", heard.error());
    }
}

#[tokio::test]
async fn a_probe_ends_in_time_when_nothing_is_said() {
    let server = Replay::start(&[
        ("GET /v1/models", Capture::made(200, "application/json", "{}").stall_at(0)),
        ("GET /api/version", Capture::made(200, "application/json", "{}").stall_at(0)),
        ("GET /props", Capture::made(200, "application/json", "{}").stall_at(0)),
    ]);
    let probes = KINDS.map(|case| {
        let backend = make(case.kind, &server.url());
        async move { backend.probe().await }
    });
    let begun = Instant::now();
    for result in futures_util::future::join_all(probes).await {
        assert_eq!(result.expect_err("an error").kind, Kind::Unreachable);
    }
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn models_are_listed_and_nothing_is_loaded() {
    for case in KINDS {
        let server = Scripted::start(case.dialect, Script::default());
        let backend = make(case.kind, &server.url());
        backend.probe().await.expect("up");
        let models = backend.models().await.expect("models");
        assert_eq!(models.len(), 1);
        assert!(models[0].name.starts_with("scripted") && models[0].backend == "test" && models[0].kind == case.kind);
        let one = backend.model(&models[0].name).await.expect("the model");
        assert_eq!(one.name, models[0].name);
        assert!(server.chats().is_empty());
        assert!(server.server.asked().iter().all(|a| a.method == "GET" || a.path == "/api/show"), "{:?}", server.server.asked());
        if case.kind != BackendKind::Ollama {
            assert_eq!(backend.model("other").await.expect_err("an error").kind, Kind::ModelMissing);
        }
    }
}

#[tokio::test]
async fn asking_what_models_cost_loads_nothing_and_survives_nonsense() {
    for case in KINDS {
        let server = Scripted::start(case.dialect, Script::default());
        let backend = make(case.kind, &server.url());
        let instances = backend.instances().await.expect("an answer");
        let service = matches!(case.kind, BackendKind::OpenAi | BackendKind::Anthropic);
        assert_eq!(instances.len(), usize::from(!service), "{:?}", case.kind);
        assert!(server.chats().is_empty() && server.server.asked().iter().all(|a| a.method == "GET"));
        for nonsense in ["[]", "{}", "null", "7", r#"{"data":[7,null,{}],"models":[[],{"name":5}]}"#, "nonsense"] {
            let page = Capture::made(200, "application/json", nonsense);
            let routes = ["GET /v1/models", "GET /api/ps", "GET /api/tags", "GET /props", "GET /slots", "GET /metrics"];
            let server = Replay::start(&routes.map(|route| (route, page.clone())));
            let told = make(case.kind, &server.url()).instances().await;
            assert!(told.is_err() || told.is_ok_and(|instances| instances.is_empty()), "{:?} {nonsense}", case.kind);
        }
    }
}

#[tokio::test]
async fn what_is_shown_is_what_is_sent() {
    for case in KINDS {
        let server = Scripted::start(case.dialect, Script::default());
        let backend = make_with(case.kind, &server.url(), Some("sk-hidden"));
        let parameters = [
            ("temperature", json!(0.5)),
            ("max_tokens", json!(12)),
            ("stop", json!(["END", "it's"])),
            ("seed", json!(7)),
            ("json_schema", json!({ "type": "object" })),
            ("keep_alive", json!("10m")),
            ("thinking", json!("low")),
        ];
        let texts = [(Role::System, "Be brief."), (Role::User, "It's 'quoted' — ü"), (Role::Assistant, "Yes"), (Role::User, "go on")];
        let asked = request("scripted", &texts, &parameters);
        let shown = backend.preview(&asked);
        hear(&*backend, asked).await.result.expect("an answer");
        let sent = server.chats().remove(0);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown.body).expect("JSON"), sent);
        assert_eq!((shown.method.as_str(), shown.url.starts_with(&server.url())), ("POST", true));
        let curl = shown.curl.expect("a command");
        let (header, turns) = match case.kind {
            BackendKind::Anthropic => ("-H \"x-api-key: $TEST_KEY\"", 3),
            _ => ("-H \"Authorization: Bearer $TEST_KEY\"", 4),
        };
        assert!(curl.contains(header) && !curl.contains("sk-hidden"), "{curl}");
        assert!(curl.contains(r"It'\''s '\''quoted'\'' — ü"), "{curl}");
        assert_eq!(sent["messages"].as_array().map(Vec::len), Some(turns));
        let ignored = shown.notes.iter().any(|note| note.starts_with("keep_alive is") && note.contains("not sent"));
        assert_eq!(ignored, case.kind != BackendKind::Ollama, "{:?}", shown.notes);
    }
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    for case in KINDS {
        let backend = make(case.kind, "http://me:hunter2@127.0.0.1:9/");
        let shown = format!("{:?} {:?}", backend.url(), backend.preview(&hi("m")));
        assert!(!shown.contains("hunter2") && !shown.contains("me:"), "{shown}");
    }
}

#[test]
fn addresses_that_cannot_be_used_are_told_when_the_backend_is_made() {
    for case in KINDS {
        for url in ["", "ftp://x", "http://"] {
            let spec = Spec { name: "x".into(), kind: Some(case.kind), url: url.into(), ..Spec::default() };
            assert_eq!(backend::build(&spec).err().map(|e| e.kind), Some(Kind::Config), "{url}");
        }
    }
    let spec =
        Spec { kind: Some(BackendKind::OpenAi), url: "box".into(), key: Some(backend::Secret::new("a\nb".into())), ..Spec::default() };
    assert_eq!(backend::build(&spec).err().map(|e| e.kind), Some(Kind::Config));
    assert_eq!(backend::build(&Spec::default()).err().map(|e| e.kind), Some(Kind::Config));
}
