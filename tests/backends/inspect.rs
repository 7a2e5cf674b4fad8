//! What backends tell of one model, from what real servers sent.

use arbour::proto::{BackendKind, Inspection, ModelState};
use serde_json::{Value, json};

use super::support::hear::make;
use super::support::replay::{Capture, Replay};

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

fn made(body: &Value) -> Capture {
    Capture::made(200, "application/json", &body.to_string())
}

async fn ollama(show: Capture) -> Inspection {
    let server = Replay::start(&[
        ("GET /api/tags", Capture::load("ollama-tags")),
        ("GET /api/ps", Capture::load("ollama-ps-loaded")),
        ("POST /api/show", show),
    ]);
    make(BackendKind::Ollama, &server.url()).inspect("smollm2:135m").await.expect("an inspection")
}

#[tokio::test]
async fn ollama_tells_what_decides_memory() {
    let found = ollama(Capture::load("ollama-show")).await;
    assert_eq!((found.model.name.as_str(), found.model.state), ("smollm2:135m", ModelState::Loaded));
    assert!(found.template.unwrap().contains("{{- range .Messages }}"));
    assert_eq!(value(&found.parameters, "num_ctx"), Some("2048"));
    assert_eq!(value(&found.parameters, "stop"), Some("<|im_start|>"), "without its quotes");
    assert_eq!(value(&found.metadata, "general.license"), Some("apache-2.0"));
    assert_eq!(value(&found.metadata, "llama.block_count"), Some("30"));
    assert_eq!(value(&found.metadata, "tokenizer.ggml.tokens"), None, "null is not told");
    assert_eq!(found.modified.as_deref(), Some("2026-11-22T07:06:56.329913449Z"));
    assert!(found.digest.is_some());
    assert!(found.files[0].path.contains("/blobs/sha256-"), "{:?}", found.files);
    let anatomy = found.anatomy.unwrap();
    assert_eq!((anatomy.layers, anatomy.kv_heads.as_slice(), anatomy.head_k, anatomy.vocabulary), (30, [3].as_slice(), 64, 49_152));
    assert_eq!(anatomy.layer_weights, [2_216_448; 30], "the tensors that it lists are those of the file");
    assert_eq!((anatomy.weights, anatomy.input_weights, anatomy.tied), (96_576_768, 30_081_024, true));
    assert_eq!(anatomy.source, "Ollama");
}

#[tokio::test]
async fn what_only_claims_to_be_ollama_or_lies_harms_nothing() {
    let like = ollama(Capture::load("ollamalike-show")).await;
    assert_eq!((like.anatomy, like.licence), (None, None));
    let long = "x".repeat(900_000);
    let tensors: Vec<Value> =
        (0..100_000).map(|n| json!({ "name": format!("blk.{n}.a"), "type": "F32", "shape": [u64::MAX, 2] })).collect();
    let lie = json!({
        "template": long,
        "license": 7,
        "parameters": "a\n\nb  \nc d",
        "modelfile": "FROM ../x",
        "model_info": { "general.architecture": "llama", "llama.block_count": 1e30, "deep": { "a": { "b": [1, 2] } } },
        "tensors": tensors,
    });
    let found = ollama(made(&lie)).await;
    assert!(found.template.unwrap().ends_with("… (900000 characters)"));
    assert_eq!((found.licence, found.anatomy), (None, None), "a number of layers that cannot be");
    assert_eq!(found.parameters, [("c".to_owned(), "d".to_owned())]);
    assert_eq!(value(&found.metadata, "deep.a.b"), Some("[1,2]"));
    assert!(found.files.is_empty(), "a path that is none of this machine");
    // Without tensors the model's size is what is known of its weights.
    let bare = json!({ "model_info": { "general.architecture": "llama", "llama.block_count": 30, "llama.embedding_length": 576,
        "llama.attention.head_count": 9, "llama.attention.head_count_kv": [3, 3, 0] } });
    let anatomy = ollama(made(&bare)).await.anatomy.unwrap();
    assert_eq!((anatomy.weights, anatomy.layer_weights.len()), (98_362_775, 0));
    assert_eq!(anatomy.kv_heads.len(), 30, "what is not told of a layer is none");
}

#[tokio::test]
async fn a_llama_server_tells_its_template_and_settings() {
    let server = Replay::start(&[("GET /v1/models", Capture::load("llama-v1-models")), ("GET /props", Capture::load("llama-props"))]);
    let found = make(BackendKind::LlamaServer, &server.url()).inspect("smollm2").await.unwrap();
    assert!(found.template.unwrap().starts_with("{% for message in messages %}"));
    assert_eq!(value(&found.parameters, "top_k"), Some("40"));
    assert_eq!(value(&found.metadata, "n_embd"), Some("576"));
    assert_eq!(value(&found.metadata, "total_slots"), Some("2"));
    assert_eq!((found.anatomy, found.arguments.len(), found.files.len()), (None, 0, 0), "a path relative to who knows where");
}

#[tokio::test]
async fn a_router_tells_how_it_would_start_a_model() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gguf/gemma3.gguf");
    let list = json!({ "object": "list", "data": [{ "id": "g", "object": "model", "status": { "value": "unloaded", "args": [
        "llama-server", "--api-key", "hunter2", "--ctx-size", "2048", "--model", file, "--parallel", "1" ] } }] });
    let server =
        Replay::start(&[("GET /v1/models", made(&list)), ("GET /models", made(&list)), ("GET /props", Capture::load("router-props"))]);
    let found = make(BackendKind::LlamaServer, &server.url()).inspect("g").await.unwrap();
    assert_eq!(found.arguments[..3], ["llama-server", "--api-key", "[removed]"]);
    let anatomy = found.anatomy.unwrap();
    assert_eq!((anatomy.architecture.as_str(), anatomy.window, anatomy.source.as_str()), ("gemma3", Some(512), "the file"));
    assert_eq!(found.files.len(), 1);
    assert_eq!(value(&found.metadata, "gemma3.block_count"), Some("8"));
    assert_eq!(value(&found.metadata, "tokenizer.ggml.tokens"), Some("[70 texts]"));
}

#[tokio::test]
async fn a_service_tells_what_its_list_holds() {
    let list =
        json!({ "data": [{ "id": "big", "owned_by": "them", "pricing": { "prompt": "0.1", "none": null }, "context_length": 8192 }] });
    let server = Replay::start(&[("GET /v1/models", made(&list))]);
    let found = make(BackendKind::OpenAi, &server.url()).inspect("big").await.unwrap();
    assert_eq!(value(&found.metadata, "pricing.prompt"), Some("0.1"));
    assert_eq!(value(&found.metadata, "context_length"), Some("8192"));
    assert!(found.anatomy.is_none());
    assert!(make(BackendKind::OpenAi, &server.url()).inspect("other").await.is_err());
}
