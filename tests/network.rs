//! TLS and proxies. Both hang on the environment, so each case runs as a child: this very test binary with one test and other
//! variables.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use arbour::error::{Error, Kind};
use arbour::proto::BackendKind;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::hear::make;
use support::replay::{Capture, Replay};
use support::scripted::{Dialect, Script, Scripted};

/// Names the address for a child; its absence says that this is no child.
const URL: &str = "ARBOUR_TEST_CHILD_URL";
const PROXIES: [&str; 7] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// Runs `ask_as_a_child` against an address in an environment of its own; gives the error that came, or `None`.
fn ask(url: &str, environment: &[(&str, &str)]) -> Option<Error> {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "ask_as_a_child", "--nocapture"]).env(URL, url);
    for name in PROXIES.iter().chain(&["NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"]) {
        command.env_remove(name);
    }
    let output = command.envs(environment.iter().copied()).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let said = text.lines().find_map(|line| line.split_once("RESULT ")).map(|(_, json)| json.to_owned());
    serde_json::from_str(&said.expect("a result")).expect("JSON")
}

#[tokio::test]
async fn ask_as_a_child() {
    let Ok(url) = std::env::var(URL) else { return };
    let error = make(BackendKind::OpenAi, &url).probe().await.err();
    println!("RESULT {}", serde_json::to_string(&error).expect("JSON"));
}

/// A server that speaks TLS with this certificate and answers everything with an empty list of models.
fn tls_server(name: &str) -> String {
    arbour::backend::http::install_crypto();
    let chain = vec![CertificateDer::from_pem_file(fixture(&format!("{name}.pem"))).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(fixture(&format!("{name}.key"))).expect("a key");
    let config = Arc::new(rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a good pair"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            let mut request = [0; 4096];
            // A client that does not trust the certificate hangs up here.
            if stream.read(&mut request).is_ok_and(|n| n > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"data\":[]}");
                let _ = stream.flush();
            }
        }
    });
    format!("https://localhost:{port}")
}

#[test]
fn the_systems_certificates_count() {
    let authority = fixture("ca.pem");
    let trusted = [("SSL_CERT_FILE", authority.to_str().expect("a path"))];
    assert_eq!(ask(&tls_server("good"), &trusted), None);
    let expired = ask(&tls_server("expired"), &trusted).expect("an error");
    assert!(expired.kind == Kind::Tls && expired.message.contains("has expired"), "{expired:?}");
    let other = ask(&tls_server("other-name"), &trusted).expect("an error");
    assert!(other.kind == Kind::Tls && other.message.contains("for another name"), "{other:?}");
}

#[test]
fn an_authority_that_nobody_knows_is_told_and_how_to_add_it() {
    let error = ask(&tls_server("good"), &[]).expect("an error");
    assert!(error.kind == Kind::Tls && error.hints[0].contains("SSL_CERT_FILE"), "{error:?}");
}

#[test]
fn without_system_certificates_the_bundled_ones_stand_in() {
    let none = [("SSL_CERT_FILE", "/nonexistent/file"), ("SSL_CERT_DIR", "/nonexistent")];
    // The client can be made, and rightly does not know the tests' authority.
    let error = ask(&tls_server("good"), &none).expect("an error");
    assert!(error.kind == Kind::Tls && error.message.contains("does not know"), "{error:?}");
}

#[test]
fn this_machine_is_never_reached_through_a_proxy() {
    let server = Scripted::start(Dialect::OpenAi, Script::default());
    // Nobody listens there: whatever went through it would fail.
    let proxy = "http://127.0.0.1:9";
    let environment = PROXIES.map(|name| (name, if name == "no_proxy" { "" } else { proxy }));
    assert_eq!(ask(&server.url(), &environment), None);
    assert_eq!(ask(&server.url().replace("127.0.0.1", "localhost"), &environment), None);
}

#[test]
fn other_machines_are_reached_through_the_proxy() {
    let proxy = Replay::start(&[("GET http://elsewhere.invalid/v1/models", Capture::load("litellm-v1-models"))]);
    assert_eq!(ask("http://elsewhere.invalid", &[("http_proxy", &proxy.url())]), None);
    assert_eq!(proxy.asked()[0].path, "http://elsewhere.invalid/v1/models");
    let error = ask("https://elsewhere.invalid", &[("https_proxy", &proxy.url())]).expect("an error");
    assert!(error.kind == Kind::Unreachable && error.message.contains("proxy"), "{error:?}");
}
