//! Finding servers, told apart by what they answer.

use std::time::{Duration, Instant};

use arbour::backend::discover::{LIMIT, Places, discover};
use arbour::backend::{self};
use arbour::error::Kind;
use arbour::proto::BackendKind;

use super::support::replay::{Capture, Replay};
use super::support::scripted::{Dialect, Script, Scripted};

fn at(ports: &[u16]) -> Places {
    Places { ollama_host: None, ports: ports.to_vec() }
}

#[tokio::test]
async fn each_kind_is_known_by_its_answers() {
    let servers = [
        (
            Replay::start(&[("GET /api/version", Capture::load("ollama-version")), ("GET /v1/models", Capture::load("ollama-v1-models"))]),
            BackendKind::Ollama,
        ),
        (
            Replay::start(&[("GET /v1/models", Capture::load("llama-v1-models")), ("GET /props", Capture::load("llama-props"))]),
            BackendKind::LlamaServer,
        ),
        (Replay::start(&[("GET /v1/models", Capture::load("litellm-v1-models"))]), BackendKind::OpenAi),
        (Replay::start(&[("GET /api/version", Capture::load("ollamalike-version"))]), BackendKind::Ollama),
        (
            Replay::start(&[
                ("GET /v1/models", Capture::load("llama-v1models-during-load")),
                ("GET /props", Capture::load("llama-props-during-load")),
            ]),
            BackendKind::LlamaServer,
        ),
    ];
    let ports: Vec<u16> = servers.iter().map(|(server, _)| server.address.port()).collect();
    let looked = discover(&at(&ports)).await;
    let kinds: Vec<_> = looked.found.iter().map(|spec| spec.kind).collect();
    assert_eq!(kinds, servers.iter().map(|(_, kind)| Some(*kind)).collect::<Vec<_>>());
    for (spec, (server, kind)) in looked.found.iter().zip(&servers) {
        assert!(spec.discovered && spec.url == server.url() && spec.key.is_none());
        let word = if *kind == BackendKind::OpenAi { "local" } else { kind.word() };
        assert_eq!(spec.name, format!("{word}-{}", server.address.port()));
        backend::build(spec).expect("a backend");
    }
    assert_eq!(looked.looked_at, ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    // Nothing was asked that could load a model.
    assert!(servers.iter().all(|(server, _)| server.asked().iter().all(|a| a.method == "GET")));
}

#[tokio::test]
async fn the_scripted_server_is_told_apart_too() {
    for (dialect, kind) in
        [(Dialect::Ollama, BackendKind::Ollama), (Dialect::LlamaServer, BackendKind::LlamaServer), (Dialect::OpenAi, BackendKind::OpenAi)]
    {
        let server = Scripted::start(dialect, Script::default());
        assert_eq!(discover(&at(&[server.server.address.port()])).await.found[0].kind, Some(kind));
    }
}

#[tokio::test]
async fn a_server_that_wants_a_key_is_found_and_says_so() {
    let body = r#"{"error":{"message":"missing key"}}"#;
    let server = Replay::start(&[("GET /v1/models", Capture::made(401, "application/json", body))]);
    let looked = discover(&at(&[server.address.port()])).await;
    assert_eq!(looked.found.len(), 1);
    let error = backend::build(&looked.found[0]).expect("a backend").probe().await.expect_err("an error");
    assert_eq!(error.kind, Kind::Unauthorized);
}

#[tokio::test]
async fn other_programs_are_not_taken_for_servers_of_models() {
    let pages = [
        Capture::made(200, "text/html", "<!doctype html><title>My app</title>"),
        Capture::made(401, "text/html", "<html>Log in</html>"),
        Capture::made(200, "application/json", r#"{"status":"UP"}"#),
        Capture::made(500, "application/json", r#"{"error":"boom"}"#),
    ];
    for page in pages {
        let routes = ["GET /api/version", "GET /props", "GET /v1/models"].map(|route| (route, page.clone()));
        let server = Replay::start(&routes);
        let looked = discover(&at(&[server.address.port()])).await;
        assert!(looked.found.is_empty(), "{page:?}: {:?}", looked.found);
    }
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_ends_in_time() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    // Accepts and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let begun = Instant::now();
    let looked = discover(&at(&[closed, silent.local_addr().expect("an address").port()])).await;
    assert!(looked.found.is_empty());
    assert!(begun.elapsed() < LIMIT + Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn ollama_host_is_looked_at_and_counts_once() {
    let server = Scripted::start(Dialect::Ollama, Script::default());
    let port = server.server.address.port();
    let places = Places { ollama_host: Some(format!("127.0.0.1:{port}")), ports: vec![port] };
    let looked = discover(&places).await;
    assert_eq!(looked.found.len(), 1);
    assert_eq!(looked.looked_at, format!("OLLAMA_HOST (127.0.0.1:{port}), {port}"));
}
