//! The embedded engine against a real model: `ARBOUR_TEST_GGUF` names SmolLM2-135M-Instruct (Q4_1). Without it these tests say so
//! and pass, except under CI, where they fail.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, reason = "a helper of a test that fails is the test that fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use arbour::backend::embedded::{Embedded, tokenize};
use arbour::backend::{Backend, Message, Request, Update, channel};
use arbour::proto::{DeltaKind, Figures, Finish, ModelState, Parameters, Role, State};
use serde_json::json;

/// The real model's file, or the reason why there is none.
fn real() -> Option<PathBuf> {
    match std::env::var_os("ARBOUR_TEST_GGUF") {
        Some(path) => Some(path.into()),
        None if std::env::var_os("CI").is_some() => panic!("ARBOUR_TEST_GGUF is not set: CI must test the engine with a real model"),
        None => {
            eprintln!("SKIPPED: set ARBOUR_TEST_GGUF to SmolLM2-135M-Instruct-Q4_1.gguf to run this test");
            None
        }
    }
}

fn say(role: Role, text: &str) -> Message {
    Message::new(role, text)
}

fn parameters(entries: &[(&str, serde_json::Value)]) -> Parameters {
    Parameters(entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<BTreeMap<_, _>>())
}

/// Greedy, at most `most` tokens.
fn greedy(most: i64) -> Parameters {
    parameters(&[("temperature", json!(0.0)), ("max_tokens", json!(most))])
}

fn request(model: &str, messages: Vec<Message>, parameters: Parameters) -> Request {
    Request { model: model.to_owned(), messages, parameters, continues: false, conversation: "one".to_owned() }
}

/// All that came of one answer.
#[derive(Default, Debug)]
struct Heard {
    text: String,
    thinking: String,
    figures: Figures,
    phases: Vec<State>,
    loading: Vec<u64>,
}

async fn ask(engine: &Embedded, request: Request) -> (Heard, Result<Finish, arbour::error::Error>) {
    let (sink, mut source) = channel();
    let mut heard = Heard::default();
    let listen = async {
        while let Some(update) = source.next().await {
            match update {
                Update::Delta(DeltaKind::Text, text) => heard.text += &text,
                Update::Delta(DeltaKind::Thinking, text) => heard.thinking += &text,
                Update::Figures(figures) => heard.figures.merge(&figures),
                Update::Phase(state, progress) => {
                    if heard.phases.last() != Some(&state) {
                        heard.phases.push(state);
                    }
                    if state == State::Loading {
                        heard.loading.extend(progress.done);
                    }
                }
                Update::ToolCall { .. } => {}
            }
        }
    };
    let (result, ()) = tokio::time::timeout(Duration::from_secs(300), async { tokio::join!(engine.generate(request, sink), listen) })
        .await
        .expect("the answer takes too long");
    (heard, result)
}

fn value(figure: Option<arbour::proto::Figure>) -> f64 {
    figure.expect("a figure").value
}

#[tokio::test]
async fn chats_and_remembers_what_it_read() {
    let Some(path) = real() else { return };
    let engine = Embedded::new("embedded", Vec::new());
    let model = engine.add_file(&path).unwrap();
    let first = vec![say(Role::User, "Write one short sentence about a cat.")];
    let (heard, finish) = ask(&engine, request(&model, first.clone(), greedy(16))).await;
    assert!(matches!(finish.unwrap(), Finish::Stop | Finish::Length));
    assert!(heard.text.to_lowercase().contains("cat"), "{}", heard.text);
    assert_eq!(heard.phases, [State::Loading, State::Reading, State::Writing]);
    assert!(heard.loading.is_sorted() && heard.loading.last() == Some(&1000), "{:?}", heard.loading);
    assert_eq!(value(heard.figures.cached_tokens), 0.0);
    assert!(value(heard.figures.load_ms) > 0.0);

    let mut second = first;
    second.push(say(Role::Assistant, &heard.text));
    second.push(say(Role::User, "Now one about a dog."));
    let (again, finish) = ask(&engine, request(&model, second, greedy(12))).await;
    assert!(matches!(finish.unwrap(), Finish::Stop | Finish::Length));
    assert!(again.text.to_lowercase().contains("dog"), "{}", again.text);
    assert!(value(again.figures.cached_tokens) >= value(heard.figures.prompt_tokens) + value(heard.figures.completion_tokens) - 1.0);
    assert_eq!(again.figures.load_ms, None, "it was loaded already");
    assert_eq!(engine.model(&model).await.unwrap().state, ModelState::Loaded);
    engine.stop(&model).await.unwrap();
    assert_eq!(engine.model(&model).await.unwrap().state, ModelState::Unloaded);
}

/// Holds a file's tokenizer against what llama.cpp's /tokenize said for the same file.
fn hold_tokens(path: &std::path::Path, fixture: &str) {
    let cases: Vec<serde_json::Value> = serde_json::from_str(fixture).unwrap();
    let texts: Vec<&str> = cases.iter().map(|c| c["text"].as_str().unwrap()).collect();
    let found = tokenize(path, &texts).unwrap();
    assert!(cases.len() > 100);
    for (case, found) in cases.iter().zip(found) {
        let expected: Vec<u32> = serde_json::from_value(case["tokens"].clone()).unwrap();
        assert_eq!(found, expected, "{}", case["text"]);
    }
}

#[test]
fn tokens_are_those_of_llama_cpp() {
    let Some(path) = real() else { return };
    hold_tokens(&path, include_str!("fixtures/gguf/tokens-smollm2.json"));
}

/// `ARBOUR_TEST_GEMMA` names gemma-3-270m: the SentencePiece family. Not part of CI: the file is large.
#[test]
fn tokens_of_a_sentencepiece_vocabulary_are_those_of_llama_cpp() {
    match std::env::var_os("ARBOUR_TEST_GEMMA") {
        Some(path) => hold_tokens(path.as_ref(), include_str!("fixtures/gguf/tokens-gemma3.json")),
        None => eprintln!("SKIPPED: set ARBOUR_TEST_GEMMA to gemma-3-270m-Q4_K_M.gguf to run this test"),
    }
}

/// What llama.cpp answers, greedily, from the same file and prompt.
#[tokio::test]
async fn gemma_says_what_llama_cpp_makes_it_say() {
    let Some(path) = std::env::var_os("ARBOUR_TEST_GEMMA") else {
        eprintln!("SKIPPED: set ARBOUR_TEST_GEMMA to gemma-3-270m-Q4_K_M.gguf to run this test");
        return;
    };
    let engine = Embedded::new("embedded", Vec::new());
    let model = engine.add_file(path.as_ref()).unwrap();
    let question = "0 Tell me a long story about a lighthouse keeper and the sea.";
    let (heard, finish) = ask(&engine, request(&model, vec![say(Role::User, question)], greedy(12))).await;
    assert_eq!(finish.unwrap(), Finish::Length);
    assert_eq!(heard.text, "0 Tell me a long story about a lighthouse keeper and the");
}

#[tokio::test]
async fn a_cut_file_is_refused_before_it_is_loaded() {
    let Some(path) = real() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.gguf");
    let mut source = std::io::Read::take(std::fs::File::open(path).unwrap(), 50_000_000);
    std::io::copy(&mut source, &mut std::fs::File::create(&cut).unwrap()).unwrap();
    let engine = Embedded::new("embedded", vec![folder.path().to_owned()]);
    let models = engine.models().await.unwrap();
    assert_eq!(models[0].state, ModelState::Failed);
    assert!(models[0].error.as_ref().unwrap().message.contains("cut off"), "{models:?}");
}
