//! What is special to one kind.

use std::time::Duration;

use arbour::backend::channel;
use arbour::error::Kind;
use arbour::proto::{BackendKind, Finish, ModelState, Parameters, Role, Source, State};
use serde_json::json;

use super::support::hear::{hear, hi, make, request};
use super::support::replay::{Capture, Replay};
use super::support::scripted::{Dialect, Script, Scripted};

// ---- Ollama

#[tokio::test]
async fn ollama_tells_the_context_that_is_in_force() {
    let loaded = Replay::start(&[
        ("GET /api/tags", Capture::load("ollama-tags")),
        ("GET /api/ps", Capture::load("ollama-ps-loaded")),
        ("POST /api/show", Capture::load("ollama-show")),
    ]);
    let backend = make(BackendKind::Ollama, &loaded.url());
    let models = backend.models().await.unwrap();
    assert_eq!(models.len(), 2);
    let model = &models[0];
    assert_eq!(
        (model.name.as_str(), model.state, model.context, model.context_max),
        ("smollm2:135m", ModelState::Loaded, Some(2048), Some(8192))
    );
    assert_eq!((model.size_bytes, model.quantisation.as_deref(), model.family.as_deref()), (Some(98_362_775), Some("Q4_1"), Some("llama")));
    assert_eq!(model.capabilities, ["completion"]);
    assert!(model.expires.is_some());
    // A size of 0 is "not told", and no GPU share is made of it.
    assert_eq!((model.memory_bytes, model.gpu_bytes), (None, None));
    assert_eq!((models[1].state, models[1].context), (ModelState::Unloaded, None));

    let unloaded = Replay::start(&[
        ("GET /api/tags", Capture::load("ollama-tags")),
        ("GET /api/ps", Capture::load("ollama-ps-empty")),
        ("POST /api/show", Capture::load("ollama-show")),
    ]);
    let model = make(BackendKind::Ollama, &unloaded.url()).model("smollm2:135m").await.unwrap();
    assert_eq!((model.state, model.context, model.context_max), (ModelState::Unloaded, Some(2048), Some(8192)), "num_ctx of the model");

    let bare = Replay::start(&[
        ("GET /api/tags", Capture::load("ollama-tags")),
        ("GET /api/ps", Capture::load("ollama-ps-empty")),
        (
            "POST /api/show",
            Capture::made(
                200,
                "application/json",
                r#"{"parameters":"stop \"x\"","details":{},"model_info":{"general.architecture":"llama","llama.context_length":131072}}"#,
            ),
        ),
    ]);
    let model = make(BackendKind::Ollama, &bare.url()).model("smollm2:135m").await.unwrap();
    assert_eq!((model.context, model.context_max), (Some(4096), Some(131_072)), "what Ollama takes when nothing is said");
}

#[tokio::test]
async fn ollama_tells_what_its_models_cost_and_lies_are_not_believed() {
    let ps = |models: serde_json::Value| {
        let server = Replay::start(&[("GET /api/ps", Capture::made(200, "application/json", &json!({ "models": models }).to_string()))]);
        let backend = make(BackendKind::Ollama, &server.url());
        async move {
            let instances = backend.instances().await;
            drop(server);
            instances.unwrap()
        }
    };
    let honest = json!([{ "name": "a", "size": 5_000_000_000_u64, "size_vram": 4_000_000_000_u64, "context_length": 8192,
                          "expires_at": "2026-11-23T03:00:00Z" }]);
    let instance = ps(honest).await.remove(0);
    let bytes = (instance.memory.map(|f| f.value), instance.gpu_memory.map(|f| f.value));
    assert_eq!(bytes, (Some(1e9), Some(4e9)), "what lies on GPUs takes no memory of the machine");
    assert_eq!((instance.context, instance.gpu_share()), (Some(8192), Some(0.8)));
    assert!(instance.expires.is_some() && instance.memory.is_some_and(|f| f.source == Source::Server));
    let lies = json!([
        { "name": "more on the GPU than there is", "size": 10, "size_vram": 99 },
        { "name": "negative", "size": -5, "size_vram": "many" },
        { "name": "" }, 7, null,
    ]);
    let instances = ps(lies).await;
    assert_eq!(instances.len(), 2, "{instances:?}");
    assert_eq!((instances[0].memory.map(|f| f.value), instances[0].gpu_memory), (Some(10.0), None));
    assert_eq!((instances[1].memory, instances[1].gpu_memory), (None, None));
    let many: Vec<_> = (0..10_000).map(|n| json!({ "name": format!("m{n}"), "size": 1 })).collect();
    assert_eq!(ps(json!(many)).await.len(), 64);
}

#[tokio::test]
async fn ollama_keeps_for_ever_without_an_end_and_knows_no_model_by_a_wrong_name() {
    let server = Replay::start(&[
        ("GET /api/tags", Capture::load("ollama-tags")),
        ("GET /api/ps", Capture::load("ollama-ps-forever")),
        ("POST /api/show", Capture::load("ollama-show-unknown")),
    ]);
    let backend = make(BackendKind::Ollama, &server.url());
    assert_eq!(backend.models().await.unwrap()[0].expires, None);
    assert_eq!(backend.model("nope").await.unwrap_err().kind, Kind::ModelMissing);
    assert_eq!(server.asked_for("POST /api/show")[0].json(), json!({ "model": "nope" }));
}

#[tokio::test]
async fn ollama_loads_and_unloads_by_empty_chats() {
    let server = Replay::start(&[("POST /api/chat", Capture::load("ollama-load-forever"))]);
    let backend = make(BackendKind::Ollama, &server.url());
    let (sink, mut source) = channel();
    let parameters = Parameters([("context".to_owned(), json!(2048)), ("keep_alive".to_owned(), json!("-1"))].into());
    backend.start("smollm2:135m", &parameters, sink).await.unwrap();
    assert!(matches!(source.next().await, Some(arbour::backend::Update::Phase(State::Loading, _))));
    backend.stop("smollm2:135m").await.unwrap();
    let asked = server.asked_for("POST /api/chat");
    let load = json!({ "model": "smollm2:135m", "messages": [], "keep_alive": -1, "options": { "num_ctx": 2048 }, "stream": false });
    assert_eq!(asked[0].json(), load);
    assert_eq!(asked[1].json(), json!({ "model": "smollm2:135m", "messages": [], "keep_alive": 0, "stream": false }));
}

#[tokio::test]
async fn ollama_parameters_go_where_it_looks_for_them() {
    let server = Scripted::start(Dialect::Ollama, Script::default());
    let backend = make(BackendKind::Ollama, &server.url());
    let parameters = [
        ("temperature", json!(0.1)),
        ("top_k", json!(20)),
        ("max_tokens", json!(9)),
        ("context", json!(8192)),
        ("stop", json!(["a"])),
        ("keep_alive", json!("2d")),
        ("thinking", json!("off")),
        ("json_schema", json!({})),
    ];
    hear(&*backend, request("scripted", &[(Role::User, "hi")], &parameters)).await.result.unwrap();
    let sent = server.chats().remove(0);
    assert_eq!(sent["options"], json!({ "temperature": 0.1, "top_k": 20, "num_predict": 9, "num_ctx": 8192, "stop": ["a"] }));
    assert_eq!((&sent["keep_alive"], &sent["think"], &sent["format"]), (&json!(172_800), &json!(false), &json!("json")));
}

#[tokio::test]
async fn ollama_cold_start_is_loading_until_the_model_is_listed() {
    use super::support::serve::{Asked, Handled, Handler, Out, Server};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Lists the model from the third question on, and answers the chat when it has been asked so often.
    struct Cold {
        asked: AtomicUsize,
    }
    impl Handler for Cold {
        fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a> {
            Box::pin(async move {
                if asked.route() == "GET /api/ps" {
                    let nth = self.asked.fetch_add(1, Ordering::SeqCst);
                    let name = if nth < 2 { "ollama-ps-empty" } else { "ollama-ps-loaded" };
                    let body = String::from_utf8_lossy(&Capture::load(name).body).into_owned();
                    return out.answer(200, &[("Content-Type", "application/json")], &body).await;
                }
                while self.asked.load(Ordering::SeqCst) < 3 {
                    out.pause(Duration::from_millis(10)).await?;
                }
                // Ollama's own head comes with the first token; the reading phase lies before it.
                out.pause(Duration::from_millis(200)).await?;
                let body = Capture::load("ollama-chat-coldload-keep3s").body;
                out.head(200, &[("Content-Type", "application/x-ndjson")], None).await?;
                out.send(&body).await?;
                out.end().await
            })
        }
    }

    let server = Server::start(0, Cold { asked: AtomicUsize::new(0) }).unwrap();
    let heard = hear(&*make(BackendKind::Ollama, &server.url()), hi("smollm2:135m")).await;
    assert_eq!(heard.phases(), [State::Connecting, State::Waiting, State::Loading, State::Reading, State::Writing]);
    let figures = heard.figures();
    assert_eq!(figures.context.unwrap().value, 2048.0);
    assert!((figures.load_ms.unwrap().value - 528.459_432).abs() < 1e-6);
    assert!((figures.tokens_per_s.unwrap().value - 4.0 / 0.047_349).abs() < 1e-3);
}

#[tokio::test]
async fn what_only_claims_to_be_ollama_is_survived() {
    let server = Replay::start(&[
        ("GET /api/version", Capture::load("ollamalike-version")),
        ("GET /api/tags", Capture::load("ollamalike-tags")),
        ("GET /api/ps", Capture::load("ollamalike-ps")),
        ("POST /api/show", Capture::load("ollamalike-show")),
        ("POST /api/chat", Capture::load("ollamalike-chat-stream")),
        ("POST /api/chat", Capture::load("ollamalike-chat-nonstream")),
    ]);
    let backend = make(BackendKind::Ollama, &server.url());
    assert_eq!(backend.probe().await.unwrap().version.as_deref(), Some("0.1.42"));
    let models = backend.models().await.unwrap();
    assert_eq!((models[0].name.as_str(), models[0].state, models[0].size_bytes), ("smollm2", ModelState::Unknown, None));
    assert_eq!((models[0].quantisation.as_deref(), models[0].family.as_deref()), (None, Some("llamacpp")));
    backend.model("smollm2").await.unwrap();
    let heard = hear(&*backend, hi("smollm2")).await;
    assert_eq!(heard.result, Ok(Finish::Length));
    assert!(heard.text().starts_with("1. Red: This is the most obvious colour"), "{:?}", heard.text());
    let heard = hear(&*backend, hi("smollm2")).await;
    assert_eq!(heard.result, Ok(Finish::Length), "an answer that is not streamed");
    assert!(heard.text().starts_with("1. Red"));
}

#[tokio::test]
async fn ollamas_refusals_say_what_to_change() {
    for (name, kind, says) in [
        ("ollama-chat-think-unsupported", Kind::BadRequest, ":set thinking default"),
        ("ollama-chat-bad-keepalive", Kind::BadRequest, "invalid duration"),
        ("ollama-chat-badjson", Kind::BadRequest, "unexpected EOF"),
        ("ollama-chat-bad-option", Kind::Server, "must be of type float32"),
        ("made: model requires more system memory (9.1 GiB) than is available (3.2 GiB)", Kind::Server, "choose a smaller one"),
        ("ollama-chat-tools-unsupported", Kind::BadRequest, "does not support tools"),
    ] {
        let capture = match name.strip_prefix("made: ") {
            Some(text) => Capture::made(500, "application/json", &json!({ "error": text }).to_string()),
            None => Capture::load(name),
        };
        let server = Replay::start(&[("POST /api/chat", capture)]);
        let error = hear(&*make(BackendKind::Ollama, &server.url()), hi("smollm2:135m")).await.result.unwrap_err();
        let all = format!("{} {}", error.message, error.hints.join(" "));
        assert!(error.kind == kind && all.contains(says), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_is_continued_with_its_thinking() {
    let server = Scripted::start(Dialect::Ollama, Script::says(" three <think>no tag</think>"));
    let backend = make(BackendKind::Ollama, &server.url());
    let mut asked = request("scripted", &[(Role::User, "count"), (Role::Assistant, "one two")], &[]);
    asked.messages[1].thinking = Some("easy".into());
    let heard = hear(&*backend, asked).await;
    assert_eq!((heard.text().as_str(), heard.thinking().as_str()), (" three <think>no tag</think>", ""));
    assert_eq!(server.chats()[0]["messages"][1], json!({ "role": "assistant", "content": "one two", "thinking": "easy" }));
}

// ---- llama-server

#[tokio::test]
async fn llama_server_tells_its_model_with_the_context_of_a_slot() {
    let server = Replay::start(&[("GET /v1/models", Capture::load("llama-v1-models")), ("GET /props", Capture::load("llama-props"))]);
    let backend = make(BackendKind::LlamaServer, &format!("{}/v1", server.url()));
    let model = backend.model("smollm2").await.unwrap();
    assert_eq!((model.state, model.context, model.context_max), (ModelState::Loaded, Some(1024), Some(8192)));
    assert_eq!((model.size_bytes, model.quantisation.as_deref()), (Some(96_576_768), Some("Q4_1")));
    assert_eq!(model.capabilities, ["completion"]);
    assert_eq!(backend.probe().await.unwrap().version.as_deref(), Some("b1-571d0d5"));
    let thinks = Replay::start(&[("GET /v1/models", Capture::load("llama-v1-models")), ("GET /props", Capture::load("llama-props-think"))]);
    assert!(make(BackendKind::LlamaServer, &thinks.url()).model("smollm2").await.unwrap().capabilities.contains(&"thinking".to_owned()));
}

#[tokio::test]
async fn llama_server_that_wants_a_key_is_not_taken_for_up() {
    let server = Replay::start(&[
        ("GET /health", Capture::load("llama-auth-health-open")),
        ("GET /v1/models", Capture::load("llama-auth-models-open")),
        ("GET /props", Capture::load("llama-auth-missing")),
        ("POST /v1/chat/completions", Capture::load("llama-auth-missing-chat")),
    ]);
    let backend = make(BackendKind::LlamaServer, &server.url());
    assert_eq!(backend.probe().await.unwrap_err().kind, Kind::Unauthorized);
    assert_eq!(backend.models().await.unwrap().len(), 1, "its models can be seen all the same");
    assert_eq!(hear(&*backend, hi("smollm2")).await.error().kind, Kind::Unauthorized);
}

#[tokio::test]
async fn llama_server_that_still_loads_is_waited_for() {
    let loading = || Capture::load("llama-chat-during-load");
    let server = Replay::start(&[
        ("GET /props", Capture::load("llama-props-during-load")),
        ("GET /v1/models", Capture::load("llama-v1models-during-load")),
        ("GET /health", loading()),
        ("GET /health", loading()),
        ("GET /health", Capture::load("llama-health")),
        ("POST /v1/chat/completions", loading()),
        ("POST /v1/chat/completions", Capture::load("llama-chat-stream")),
    ]);
    let backend = make(BackendKind::LlamaServer, &server.url());
    let error = backend.probe().await.unwrap_err();
    assert_eq!(error.kind, Kind::Starting, "{error:?}");
    assert_eq!(backend.models().await.unwrap_err().kind, Kind::Starting);
    let heard = hear(&*backend, hi("smollm2")).await;
    assert_eq!((heard.result.clone(), heard.text().as_str()), (Ok(Finish::Stop), "There are no three colours."));
    // The second attempt may find the connection open, and its `connecting` is then not to be seen.
    let mut phases = heard.phases();
    phases.dedup();
    assert_eq!(phases[..3], [State::Connecting, State::Waiting, State::Loading]);
    assert_eq!(phases[phases.len() - 2..], [State::Waiting, State::Writing], "{phases:?}");
}

#[tokio::test]
async fn llama_server_reading_is_counted() {
    let server = Replay::start(&[("POST /v1/chat/completions", Capture::load("llama-chat-stream-progress").pieces(400))]);
    let heard = hear(&*make(BackendKind::LlamaServer, &server.url()), hi("smollm2")).await;
    assert_eq!(heard.phases(), [State::Connecting, State::Waiting, State::Reading, State::Writing]);
    assert!(heard.progress().iter().any(|p| p.done == Some(794) && p.total == Some(794)));
}

#[tokio::test]
async fn llama_server_cannot_start_or_stop_and_says_how() {
    let server = Replay::start(&[
        ("GET /health", Capture::load("llama-health")),
        ("GET /v1/models", Capture::load("llama-v1-models")),
        ("GET /props", Capture::load("llama-props")),
    ]);
    let backend = make(BackendKind::LlamaServer, &server.url());
    backend.start("smollm2", &Parameters::default(), channel().0).await.expect("it is loaded");
    let error = backend.start("other", &Parameters::default(), channel().0).await.unwrap_err();
    assert!(
        error.kind == Kind::Unsupported && error.message.contains("“smollm2”") && error.hints[0].contains("llama-server -m"),
        "{error:?}"
    );
    let error = backend.stop("smollm2").await.unwrap_err();
    assert!(error.kind == Kind::Unsupported && error.hints[0].contains(&server.url()), "{error:?}");
}

#[tokio::test]
async fn a_router_is_survived() {
    let server = Replay::start(&[
        ("GET /health", Capture::load("router-health")),
        ("GET /props", Capture::load("router-props")),
        ("GET /v1/models", Capture::load("router-sleeping-models")),
        ("POST /v1/chat/completions", Capture::load("router-chat-stream")),
        ("POST /v1/chat/completions", Capture::load("router-chat-not-loaded")),
        ("POST /v1/chat/completions", Capture::load("router-autoload-stream-broken")),
        ("POST /v1/chat/completions", Capture::load("router2-stream-unloaded-midway")),
    ]);
    let backend = make(BackendKind::LlamaServer, &server.url());
    backend.probe().await.unwrap();
    let models = backend.models().await.unwrap();
    let facts: Vec<_> = models.iter().map(|m| (m.name.as_str(), m.state, m.context)).collect();
    assert_eq!(
        facts,
        [
            ("broken", ModelState::Failed, Some(2048)),
            ("gemma3-270m", ModelState::Unloaded, Some(2048)),
            ("smollm2", ModelState::Sleeping, Some(2048)),
        ]
    );
    assert!(models[0].error.is_some());
    assert_eq!(backend.start("default", &Parameters::default(), channel().0).await.unwrap_err().kind, Kind::BadRequest);
    assert!(hear(&*backend, hi("smollm2")).await.result.is_ok());
    assert_eq!(hear(&*backend, hi("gemma3-270m")).await.error().kind, Kind::ModelMissing);
    let error = hear(&*backend, hi("broken")).await.result.unwrap_err();
    assert!(error.kind == Kind::Server && error.message.contains("exit code 1"), "{error:?}");
    assert!(error.cause.as_deref().is_some_and(|cause| cause.contains("failed to load")), "{error:?}");
    let heard = hear(&*backend, hi("smollm2")).await;
    assert!(!heard.text().is_empty());
    assert!(heard.error().kind == Kind::Server && heard.error().message.contains("Failed to read connection"), "{:?}", heard.error());
}

#[tokio::test]
async fn llama_server_killed_midway_keeps_what_came() {
    let capture = Capture::load("llama-chat-stream-server-killed");
    let length = capture.body.len();
    let server = Replay::start(&[("POST /v1/chat/completions", capture.cut_at(length))]);
    let heard = hear(&*make(BackendKind::LlamaServer, &server.url()), hi("smollm2")).await;
    assert_eq!(heard.error().kind, Kind::Disconnected);
    assert!(heard.text().ends_with("The sun smiled"), "{:?}", heard.text());
}

#[tokio::test]
async fn llama_server_goes_on_without_thinking_where_a_template_cannot() {
    let server = Scripted::start(Dialect::LlamaServer, Script::says("one two three"));
    server.queue(Script::refuses(400, "Assistant response prefill is incompatible with enable_thinking."));
    let backend = make(BackendKind::LlamaServer, &server.url());
    let heard = hear(&*backend, request("scripted", &[(Role::User, "count"), (Role::Assistant, "one two")], &[])).await;
    assert_eq!((heard.result.clone(), heard.text().as_str()), (Ok(Finish::Stop), " three"));
    let chats = server.chats();
    assert_eq!((chats.len(), &chats[1]["chat_template_kwargs"]), (2, &json!({ "enable_thinking": false })));
}

#[tokio::test]
async fn llama_server_parameters() {
    let server = Scripted::start(Dialect::LlamaServer, Script::default());
    let backend = make(BackendKind::LlamaServer, &server.url());
    let parameters =
        [("top_k", json!(20)), ("min_p", json!(0.1)), ("repeat_penalty", json!(1.1)), ("thinking", json!("high")), ("context", json!(1))];
    hear(&*backend, request("scripted", &[(Role::User, "hi")], &parameters)).await.result.unwrap();
    let sent = server.chats().remove(0);
    assert_eq!((&sent["top_k"], &sent["min_p"], &sent["repeat_penalty"]), (&json!(20), &json!(0.1), &json!(1.1)));
    assert_eq!(sent["chat_template_kwargs"], json!({ "enable_thinking": true, "reasoning_effort": "high" }));
    assert_eq!(
        (&sent["return_progress"], &sent["cache_prompt"], &sent["stream_options"]["include_usage"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert!(sent.get("context").is_none() && sent.get("timings_per_token").is_none());
}

#[tokio::test]
async fn llama_server_that_runs_another_model_now_does_not_answer_in_its_name() {
    let server = Replay::start(&[
        ("GET /v1/models", Capture::load("llama-v1-models")),
        ("POST /v1/chat/completions", Capture::load("llama-chat-stream").stall_at(400)),
    ]);
    let backend = make(BackendKind::LlamaServer, &server.url());
    let error = hear(&*backend, hi("qwen")).await.result.unwrap_err();
    assert!(error.kind == Kind::ModelMissing && error.message.contains("runs “smollm2” now and not “qwen”"), "{error:?}");
    assert!(server.until_left(Duration::from_secs(20)).await, "the answer is cancelled");
}

#[tokio::test]
async fn llama_server_of_an_old_kind_is_up_by_its_health() {
    let server = Replay::start(&[("GET /health", Capture::load("llama-health"))]);
    assert_eq!(make(BackendKind::LlamaServer, &server.url()).probe().await.unwrap().version, None);
}

#[tokio::test]
async fn unfinished_thinking_is_gone_on_with() {
    let server = Replay::start(&[("POST /v1/chat/completions", Capture::load("llama-continue-thinking"))]);
    let backend = make(BackendKind::LlamaServer, &server.url());
    let mut asked = request("smollm2", &[(Role::User, "Count."), (Role::Assistant, "")], &[]);
    asked.messages[1].thinking = Some("Let me count: one".into());
    let heard = hear(&*backend, asked).await;
    assert_eq!((heard.text().as_str(), heard.thinking().as_str()), ("", ", two, three, four, five"));
    let sent = server.asked_for("POST /v1/chat/completions")[0].json();
    assert_eq!(sent["messages"][1], json!({ "role": "assistant", "content": "", "reasoning_content": "Let me count: one" }));
}

#[tokio::test]
async fn an_answer_in_which_nothing_stands_is_not_sent() {
    for (kind, dialect) in
        [(BackendKind::LlamaServer, Dialect::LlamaServer), (BackendKind::OpenAi, Dialect::OpenAi), (BackendKind::Ollama, Dialect::Ollama)]
    {
        let server = Scripted::start(dialect, Script::says("<think>a</think>b"));
        let heard = hear(&*make(kind, &server.url()), request("scripted", &[(Role::User, "hi"), (Role::Assistant, "")], &[])).await;
        assert_eq!((heard.text().as_str(), heard.thinking().as_str()), ("b", "a"));
        assert_eq!(server.chats()[0]["messages"].as_array().map(Vec::len), Some(1));
    }
}

// ---- openai

#[tokio::test]
async fn a_service_that_refuses_a_field_is_asked_again_without_it_and_remembered() {
    let server = Scripted::start(Dialect::OpenAi, Script::says("fine"));
    server.queue(Script::refuses(400, "Unrecognized request argument supplied: stream_options"));
    server.queue(Script::refuses(
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ));
    let backend = make(BackendKind::OpenAi, &server.url());
    let asked = || request("scripted", &[(Role::User, "hi")], &[("max_tokens", json!(5))]);
    assert_eq!(hear(&*backend, asked()).await.text(), "fine");
    assert_eq!(hear(&*backend, asked()).await.text(), "fine");
    let chats = server.chats();
    assert_eq!(chats.len(), 4, "two refusals once, then none");
    for chat in &chats[2..] {
        assert!(chat.get("stream_options").is_none() && chat.get("max_tokens").is_none());
        assert_eq!(chat["max_completion_tokens"], 5);
    }
    let detail = r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#;
    let strict = Replay::start(&[
        ("POST /v1/chat/completions", Capture::made(422, "application/json", detail)),
        ("POST /v1/chat/completions", Capture::load("ollama-v1-chat-stream")),
    ]);
    assert!(hear(&*make(BackendKind::OpenAi, &strict.url()), asked()).await.result.is_ok());
    server.queue(Script::refuses(400, "something else"));
    assert_eq!(hear(&*backend, asked()).await.error().kind, Kind::BadRequest);
    assert_eq!(server.chats().len(), 5, "other refusals are not retried");
}

#[tokio::test]
async fn addresses_with_and_without_a_version_lead_to_the_same() {
    let server = Scripted::start(Dialect::OpenAi, Script::default());
    for tail in ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1/models"] {
        let backend = make(BackendKind::OpenAi, &format!("{}{tail}", server.url()));
        backend.models().await.unwrap();
        assert_eq!(backend.preview(&hi("m")).url, format!("{}/v1/chat/completions", server.url()));
    }
    for (url, chat) in [
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/chat/completions"),
        ("https://example.com/v1beta/openai/", "https://example.com/v1beta/openai/chat/completions"),
        ("https://openrouter.ai/api", "https://openrouter.ai/api/v1/chat/completions"),
    ] {
        assert_eq!(make(BackendKind::OpenAi, url).preview(&hi("m")).url, chat);
    }
}

#[tokio::test]
async fn lists_of_models_in_their_several_forms() {
    for (body, context) in [
        (r#"{"data":[{"id":"m","max_model_len":2048}]}"#, Some(2048)),
        (r#"[{"id":"m","context_length":4096}]"#, Some(4096)),
        (r#"{"models":[{"name":"m"}]}"#, None),
        (r#"{"data":[{"id":"m","context_window":131072},{"nonsense":1}]}"#, Some(131_072)),
    ] {
        let server = Replay::start(&[("GET /v1/models", Capture::made(200, "application/json", body))]);
        let models = make(BackendKind::OpenAi, &server.url()).models().await.unwrap();
        assert_eq!((models.len(), models[0].name.as_str(), models[0].context), (1, "m", context), "{body}");
    }
    for name in ["litellm-v1-models", "ollama-v1-models", "llama-v1-models"] {
        let server = Replay::start(&[("GET /v1/models", Capture::load(name))]);
        assert!(!make(BackendKind::OpenAi, &server.url()).models().await.unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_is_taken() {
    let server = Replay::start(&[("POST /v1/chat/completions", Capture::load("llama-chat-nonstream"))]);
    let heard = hear(&*make(BackendKind::OpenAi, &server.url()), hi("smollm2")).await;
    assert_eq!(heard.result, Ok(Finish::Length));
    assert!(!heard.text().is_empty() && heard.usages() == 1);
}

#[tokio::test]
async fn a_spent_quota_is_not_waited_for() {
    let body = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let server = Replay::start(&[("POST /v1/chat/completions", Capture::made(429, "application/json", body))]);
    let error = hear(&*make(BackendKind::OpenAi, &server.url()), hi("m")).await.result.unwrap_err();
    assert!(error.kind == Kind::RateLimited && error.hints[0].contains("Waiting does not help"), "{error:?}");
}

#[tokio::test]
async fn openai_has_no_word_for_loading() {
    let backend = make(BackendKind::OpenAi, "http://127.0.0.1:9");
    assert_eq!(backend.start("m", &Parameters::default(), channel().0).await.unwrap_err().kind, Kind::Unsupported);
    assert_eq!(backend.stop("m").await.unwrap_err().kind, Kind::Unsupported);
    let notes = backend.preview(&request("m", &[(Role::User, "a"), (Role::Assistant, "b")], &[("thinking", json!("on"))])).notes;
    assert!(notes.iter().any(|n| n.contains("unfinished answer")) && notes.iter().any(|n| n.starts_with("thinking")), "{notes:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_where_it_leads() {
    let moved = Capture::made(301, "text/html", "").header("Location", "https://elsewhere.example/v1");
    let server = Replay::start(&[("POST /v1/chat/completions", moved.clone()), ("GET /v1/models", moved)]);
    let backend = make(BackendKind::OpenAi, &server.url());
    assert!(backend.models().await.unwrap_err().hints[0].contains("https://elsewhere.example/v1"));
    assert!(hear(&*backend, hi("m")).await.error().hints[0].contains("https://elsewhere.example/v1"));
}

// ---- Anthropic

#[tokio::test]
async fn anthropic_lists_all_pages_and_ends_where_a_server_does_not() {
    let page = |names: &[&str], more: bool| {
        let data: Vec<_> = names.iter().map(|n| json!({ "type": "model", "id": n })).collect();
        Capture::made(200, "application/json", &json!({ "data": data, "has_more": more, "last_id": names.last() }).to_string())
    };
    let server = Replay::start(&[("GET /v1/models", page(&["a", "b"], true)), ("GET /v1/models", page(&["c/d e"], false))]);
    let backend = make(BackendKind::Anthropic, &server.url());
    let names: Vec<String> = backend.models().await.unwrap().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["a", "b", "c/d e"]);
    let asked = server.asked_for("GET /v1/models");
    assert!(asked[1].path.ends_with("&after_id=b"), "{}", asked[1].path);
    assert_eq!(asked[0].header("anthropic-version"), Some("2023-06-01"));
    let endless = Replay::start(&[("GET /v1/models", page(&["a"], true))]);
    assert_eq!(make(BackendKind::Anthropic, &endless.url()).models().await.unwrap().len(), 2, "the same page again is the end");
}

#[tokio::test]
async fn anthropics_refusals_have_their_kind() {
    let inner = |kind: &str, message: &str| json!({ "type": "error", "error": { "type": kind, "message": message } }).to_string();
    for (status, body, kind) in [
        (404, inner("not_found_error", "model: nope"), Kind::ModelMissing),
        (401, inner("authentication_error", "invalid x-api-key"), Kind::Unauthorized),
        (403, inner("permission_error", "no"), Kind::Unauthorized),
        (429, inner("rate_limit_error", "slow down"), Kind::RateLimited),
        (529, inner("overloaded_error", "Overloaded"), Kind::RateLimited),
        (400, inner("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), Kind::ContextExceeded),
        (413, inner("request_too_large", "too large"), Kind::BadRequest),
        (500, inner("api_error", "boom"), Kind::Server),
    ] {
        let capture = Capture::made(status, "application/json", &body).header("Retry-After", "3");
        let server = Replay::start(&[("POST /v1/messages", capture)]);
        let heard = hear(&*make(BackendKind::Anthropic, &server.url()), hi("nope")).await;
        assert_eq!(heard.error().kind, kind, "{status}: {:?}", heard.error());
        if kind == Kind::RateLimited {
            assert_eq!(heard.error().retry_after_ms, Some(3000));
        }
        if kind == Kind::ContextExceeded {
            assert!(heard.error().message.contains("210000") && heard.error().message.contains("200000"), "{:?}", heard.error());
        }
    }
    let stream = format!("event: error\ndata: {}\n\n", inner("overloaded_error", "Overloaded"));
    let server = Replay::start(&[("POST /v1/messages", Capture::made(200, "text/event-stream", &stream))]);
    let heard = hear(&*make(BackendKind::Anthropic, &server.url()), hi("m")).await;
    assert!(heard.error().kind == Kind::RateLimited && heard.error().message.contains("overloaded"), "{:?}", heard.error());
}

#[tokio::test]
async fn anthropic_takes_an_address_with_any_of_its_paths() {
    for tail in ["", "/", "/v1", "/v1/messages", "/v1/models"] {
        let server = Scripted::start(Dialect::Anthropic, Script::default());
        let backend = make(BackendKind::Anthropic, &format!("{}{tail}", server.url()));
        assert!(hear(&*backend, hi("scripted")).await.result.is_ok(), "{tail}");
        assert_eq!(backend.start("scripted", &Parameters::default(), channel().0).await.unwrap_err().kind, Kind::Unsupported);
    }
}
