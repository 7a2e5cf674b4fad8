//! The `llama-server`, `openai` and `anthropic` kinds against a real llama-server, whose address stands in `ARBOUR_TEST_LLAMA_URL`.
//!
//! Without that variable the tests say so and pass on a person's machine; in CI they fail.

mod support;

use std::time::{Duration, Instant};

use arbour::backend::{self, Call, File, Returned, Update, channel};
use arbour::error::Kind;
use arbour::proto::{BackendKind, Facts, Finish, ModelState, Role, State};
use support::hear::{hear, make, request};

/// The server's address; `None` when there is none to test against.
fn url() -> Option<String> {
    match std::env::var("ARBOUR_TEST_LLAMA_URL") {
        Ok(url) if !url.is_empty() => Some(url),
        _ => {
            assert!(std::env::var_os("CI").is_none(), "ARBOUR_TEST_LLAMA_URL must name a real llama-server in CI");
            eprintln!("SKIPPED: set ARBOUR_TEST_LLAMA_URL to the address of a real llama-server");
            None
        }
    }
}

#[tokio::test]
async fn answers_with_phases_and_figures() {
    let Some(url) = url() else { return };
    for kind in [BackendKind::LlamaServer, BackendKind::OpenAi, BackendKind::Anthropic] {
        let server = make(kind, &url);
        server.probe().await.unwrap();
        let model = server.models().await.unwrap().remove(0);
        let parameters = [("temperature", 0.into()), ("max_tokens", 24.into()), ("seed", 1.into())];
        let heard = hear(&*server, request(&model.name, &[(Role::User, "Name three colours.")], &parameters)).await;
        assert!(matches!(heard.result, Ok(Finish::Stop | Finish::Length)), "{:?}", heard.result);
        assert!(!heard.text().trim().is_empty());
        assert_eq!(heard.phases().first(), Some(&State::Connecting), "{kind:?}");
        assert_eq!(heard.phases().last(), Some(&State::Writing), "{kind:?}");
        let all = heard.figures();
        assert!(all.connect_ms.is_some());
        assert!(all.prompt_tokens.unwrap().value >= 5.0);
        assert!((1.0..=24.0).contains(&all.completion_tokens.unwrap().value));
        if kind != BackendKind::Anthropic {
            assert!(all.tokens_per_s.unwrap().value > 0.1);
        }
        if kind == BackendKind::LlamaServer {
            assert_eq!(model.state, ModelState::Loaded);
            assert!(model.context.unwrap() >= 256 && model.quantisation.is_some() && model.size_bytes.unwrap() > 1 << 20);
            assert!(heard.phases().contains(&State::Reading), "{:?}", heard.phases());
        }
    }
}

#[tokio::test]
async fn continues_an_answer_where_it_ends() {
    let Some(url) = url() else { return };
    for kind in [BackendKind::LlamaServer, BackendKind::Anthropic] {
        let server = make(kind, &url);
        let model = server.models().await.unwrap().remove(0).name;
        let texts = [(Role::User, "Count from one to ten in words."), (Role::Assistant, "One, two, three,")];
        let heard = hear(&*server, request(&model, &texts, &[("temperature", 0.into()), ("max_tokens", 12.into())])).await;
        assert!(heard.result.is_ok(), "{kind:?} {:?}", heard.result);
        assert!(!heard.text().contains("One, two, three,"), "{kind:?}: the old text came again: {:?}", heard.text());
        assert!(heard.text().contains("four"), "{kind:?} {:?}", heard.text());
    }
}

#[tokio::test]
async fn a_conversation_that_does_not_fit_is_told_with_its_numbers() {
    let Some(url) = url() else { return };
    let server = make(BackendKind::LlamaServer, &url);
    let model = server.models().await.unwrap().remove(0);
    let long = "word ".repeat(usize::try_from(model.context.unwrap()).unwrap() + 200);
    let heard = hear(&*server, request(&model.name, &[(Role::User, &long)], &[("max_tokens", 4.into())])).await;
    let told = heard.figures().prompt_tokens.expect("what it takes");
    assert!(told.value > f64::from(model.context.unwrap()) && told.source == arbour::proto::Source::Server, "{told:?}");
    let error = heard.result.unwrap_err();
    assert_eq!(error.kind, Kind::ContextExceeded, "{error:?}");
    assert!(error.message.contains(&model.context.unwrap().to_string()), "{}", error.message);
}

#[tokio::test]
async fn dropping_the_answer_frees_the_server() {
    let Some(url) = url() else { return };
    let server = make(BackendKind::LlamaServer, &url);
    let model = server.models().await.unwrap().remove(0).name;
    let (sink, mut source) = channel();
    let story = request(&model, &[(Role::User, "Tell me a very long story about the sea.")], &[("max_tokens", 2000.into())]);
    let working = tokio::spawn(async move { server.generate(story, sink).await });
    let heard = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(update) = source.next().await {
            if matches!(update, Update::Delta(..)) {
                return true;
            }
        }
        false
    });
    assert!(heard.await.unwrap(), "no text came");
    working.abort();
    // A short answer comes at once when the slot is free again; it would wait for the long one otherwise.
    let server = make(BackendKind::LlamaServer, &url);
    let begun = Instant::now();
    let short = hear(&*server, request(&model, &[(Role::User, "Hi")], &[("max_tokens", 2.into())])).await;
    short.result.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "took {:?}", begun.elapsed());
}

#[tokio::test]
async fn is_found_and_told_apart_by_what_it_answers() {
    let Some(url) = url() else { return };
    let port: u16 = url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let looked = backend::discover::discover(&backend::discover::Places { ollama_host: None, ports: vec![port] }).await;
    assert_eq!(looked.found.len(), 1);
    assert_eq!(looked.found[0].kind, Some(BackendKind::LlamaServer));
}

#[tokio::test]
async fn tool_traffic_is_taken_and_a_picture_is_refused_in_words() {
    let Some(url) = url() else { return };
    for kind in [BackendKind::LlamaServer, BackendKind::OpenAi, BackendKind::Anthropic] {
        let server = make(kind, &url);
        let model = server.models().await.unwrap().remove(0).name;
        let parameters = [("temperature", 0.into()), ("max_tokens", 12.into())];
        let texts = [(Role::User, "What is the weather in Oslo?"), (Role::Assistant, "I look."), (Role::Tool, "")];
        let mut asked = request(&model, &texts, &parameters);
        let (id, name) = ("call_1".to_owned(), "weather".to_owned());
        asked.messages[1].calls = vec![Call { id: id.clone(), name: name.clone(), arguments: r#"{"city":"Oslo"}"#.into() }];
        asked.messages[2].results = vec![Returned { id, name, content: "Rain, 4 degrees.".into() }];
        let heard = hear(&*server, asked).await;
        assert!(heard.result.is_ok() && !heard.text().trim().is_empty(), "{kind:?} {:?}", heard.result);

        let mut asked = request(&model, &[(Role::User, "What is this?")], &parameters);
        asked.messages[0].files = vec![File {
            blob: "b".into(),
            mime: "image/png".into(),
            name: "dot.png".into(),
            picture: true,
            facts: Facts { bytes: 70, tokens: 10, width: 1, height: 1 },
            // One transparent dot.
            data: Some("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==".into()),
        }];
        let error = hear(&*server, asked).await.result.expect_err("this model does not see");
        assert_eq!(error.kind, Kind::Unsupported, "{kind:?} {error:?}");
        assert!(!error.hints.is_empty(), "{kind:?} {error:?}");
    }
}
