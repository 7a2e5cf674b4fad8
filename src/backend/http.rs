//! The one way to servers: clients, addresses, requests, bounded bodies.
//!
//! Owns: the shared HTTP clients (TLS, proxies, timeouts) and how a request goes out. Refuses: what requests and answers mean.
//! Invariants: a loopback address never goes through a proxy; an answer that is being written has no time limit (silence is
//! waiting; a dead line is found by keep-alive); bodies that are not streams are bounded; a key is sent and never shown.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Body, Client, Method, Response, Url};
use serde_json::Value;
use tokio::sync::Notify;

use super::failure::{Head, Who, retry_after};
use super::fault::Complaint;
use super::{Secret, Sink, Spec};
use crate::error::{Error, Kind, Result};
use crate::proto::{BackendKind, Figure, Figures, State};

/// How long a connection may take. A machine that does not answer SYN within this is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a small question may take, from asking to the last byte. [`super::Backend::probe`] promises it.
pub const ASK: Duration = Duration::from_secs(5);

/// The largest body of a small question: `/api/show` of a large model is some hundred kB.
const MAX_BODY: usize = 32 << 20;

/// The version of Anthropic's protocol that is spoken; each request names it.
pub const ANTHROPIC_VERSION: &str = "2023-06-01";

/// How much of an error's body is read.
const MAX_ERROR: usize = 64 << 10;

/// One server.
#[derive(Clone)]
pub struct Http {
    pub who: Who,
    base: Url,
    client: Lazy,
}

/// A small answer.
pub struct Answer {
    pub body: Value,
    /// The `Server` header.
    pub server: Option<String>,
    pub took: Duration,
}

impl Answer {
    /// The round trip, in milliseconds.
    #[must_use]
    pub fn latency_ms(&self) -> f64 {
        self.took.as_secs_f64() * 1000.0
    }
}

impl Http {
    /// The server of a spec.
    ///
    /// # Errors
    /// [`Kind::Config`] when the address or the key cannot be used.
    pub fn new(spec: &Spec, kind: BackendKind) -> Result<Self> {
        let base = address(&spec.url)?;
        if spec.key.as_ref().is_some_and(|key| bearer(key).is_none()) {
            let origin = spec.key_origin.as_deref().map_or_else(|| "the command".to_owned(), crate::error::harmless);
            return Err(Error::new(Kind::Config, format!("The key from {origin} holds characters that cannot be sent."))
                .hint("A key is one line of letters, digits and signs."));
        }
        let mut shown = base.clone();
        // These only fail for addresses that hold neither.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        Ok(Self { who: Who::new(spec, kind, shown.as_str().trim_end_matches('/').to_owned()), base, client: Lazy::default() })
    }

    /// The base address, without user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.who.url
    }

    /// Whether the server runs on this machine: its address is a loopback one.
    #[must_use]
    pub fn is_here(&self) -> bool {
        is_loopback(&self.base)
    }

    /// The same server, with `path` put behind its address.
    #[must_use]
    pub fn below(mut self, path: &str) -> Self {
        self.base = join(&self.base, path);
        self.who.url.push_str(path);
        self
    }

    /// Asks for JSON.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, None, None, ASK).await
    }

    /// Asks, and takes any status.
    pub async fn any(&self, path: &str) -> Result<Response> {
        let request = self.client.get(&self.base)?.get(join(&self.base, path)).headers(self.headers());
        request.send().await.map_err(|e| self.who.transport(&e, false))
    }

    /// Asks for something to be deleted.
    pub async fn delete(&self, path: &str, model: Option<&str>, limit: Duration) -> Result<Answer> {
        self.ask(Method::DELETE, path, None, model, limit).await
    }

    /// Asks for text of at most `most` bytes.
    pub async fn text(&self, path: &str, most: usize) -> Result<String> {
        let work = async {
            let response = self.good(self.any(path).await?, None, path).await?;
            self.read(response, most).await
        };
        let bytes = tokio::time::timeout(ASK, work).await.unwrap_or_else(|_| Err(self.who.timed_out(ASK.as_secs())))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Opens a stream of events. Its head comes soon; its body for as long as it is read.
    pub async fn listen(&self, path: &str) -> Result<Response> {
        let work = async { self.good(self.any(path).await?, None, path).await };
        tokio::time::timeout(ASK, work).await.unwrap_or_else(|_| Err(self.who.timed_out(ASK.as_secs())))
    }

    /// Posts JSON and gets JSON. `model` is the one that the question is about, for messages.
    pub async fn post(&self, path: &str, body: &Value, model: Option<&str>, limit: Duration) -> Result<Answer> {
        self.ask(Method::POST, path, Some(body), model, limit).await
    }

    /// Posts JSON for an answer that comes line by line, and is not a chat. The answer's status is a good one.
    pub async fn stream(&self, path: &str, body: &Value, model: &str) -> Result<Response> {
        let request = self.client.get(&self.base)?.post(join(&self.base, path)).headers(self.headers());
        let request = request.header(header::CONTENT_TYPE, "application/json").header(header::ACCEPT_ENCODING, "identity");
        let response = request.body(body.to_string()).send().await.map_err(|e| self.who.transport(&e, false))?;
        self.good(response, Some(model), path).await
    }

    /// Asks for something to be done whose answer says nothing but that it was.
    pub async fn order(&self, method: Method, path: &str, body: &Value, model: &str, limit: Duration) -> Result<()> {
        let work = async {
            let request = self.client.get(&self.base)?.request(method, join(&self.base, path)).headers(self.headers());
            let request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
            let response = request.send().await.map_err(|e| self.who.transport(&e, false))?;
            self.good(response, Some(model), path).await.map(drop)
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(self.who.timed_out(limit.as_secs())))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>, model: Option<&str>, limit: Duration) -> Result<Answer> {
        let started = Instant::now();
        let work = async {
            let mut request = self.client.get(&self.base)?.request(method, join(&self.base, path)).headers(self.headers());
            if let Some(body) = body {
                request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
            }
            let response = request.send().await.map_err(|e| self.who.transport(&e, false))?;
            let response = self.good(response, model, path).await?;
            let server = response.headers().get(header::SERVER).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let bytes = self.read(response, MAX_BODY).await?;
            let body = serde_json::from_slice(&bytes).map_err(|_| self.who.malformed(&format!("{path} is no JSON")))?;
            Ok(Answer { body, server, took: started.elapsed() })
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(self.who.timed_out(limit.as_secs())))
    }

    /// Posts JSON for an answer that comes bit by bit. Reports `connecting`, then, when the connection stands, `waiting` and how
    /// long it took; `stands` is told then too. The answer's status is a good one.
    pub async fn open(&self, path: &str, body: &Value, model: &str, out: &Sink, stands: Option<Arc<Notify>>) -> Result<Response> {
        out.phase(State::Connecting);
        let bytes = Bytes::from(body.to_string());
        let length = bytes.len();
        let started = Instant::now();
        let sink = out.clone();
        // The body is asked for at the moment when the connection stands; nothing else tells it.
        let body = Body::wrap_stream(stream::once(async move {
            sink.phase(State::Waiting);
            sink.figures(Figures { connect_ms: Some(Figure::measured(started.elapsed().as_secs_f64() * 1000.0)), ..Figures::default() });
            if let Some(stands) = stands {
                stands.notify_one();
            }
            Ok::<_, std::convert::Infallible>(bytes)
        }));
        let request = self
            .client
            .get(&self.base)?
            .post(join(&self.base, path))
            .headers(self.headers())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_LENGTH, length)
            // A compressing proxy would hold small chunks back.
            .header(header::ACCEPT_ENCODING, "identity")
            .body(body);
        let response = request.send().await.map_err(|e| self.who.transport(&e, false))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = refusal(response).await;
        // What a prompt that is too long really takes, better than any estimate.
        let complaint = Complaint::from_body(&body);
        if let Some(tokens) = complaint.prompt_tokens.filter(|_| complaint.is_context()) {
            // Prompts are far below 2^52 tokens.
            out.figures(Figures { prompt_tokens: Some(Figure::server(tokens as f64)), ..Figures::default() });
        }
        Err(self.who.refused_with(&head, &body, Some(model), path))
    }

    async fn good(&self, response: Response, model: Option<&str>, path: &str) -> Result<Response> {
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = refusal(response).await;
        Err(self.who.refused_with(&head, &body, model, path))
    }

    /// A whole body.
    ///
    /// # Errors
    /// [`Kind::Malformed`] when it is larger than `most` bytes.
    pub async fn read(&self, mut response: Response, most: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.who.transport(&e, true))? {
            if out.len() + chunk.len() > most {
                return Err(self.who.malformed(&format!("a body of more than {} MiB", most >> 20)));
            }
            out.extend_from_slice(&chunk);
        }
        Ok(out)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.who.kind == BackendKind::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
            if let Some(value) = self.who.key.as_ref().and_then(|key| secret(key.expose().trim())) {
                headers.insert("x-api-key", value);
            }
        } else if let Some(value) = self.who.key.as_ref().and_then(bearer) {
            headers.insert(header::AUTHORIZATION, value);
        }
        headers
    }

    /// The address of `path`, as it may be shown.
    #[must_use]
    pub fn shown(&self, path: &str) -> String {
        format!("{}{path}", self.who.url)
    }
}

fn bearer(key: &Secret) -> Option<HeaderValue> {
    secret(&format!("Bearer {}", key.expose().trim()))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// At most `most` bytes of a body.
pub async fn some_of(mut response: Response, most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = most - out.len();
        out.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    out
}

/// What an answer that is no success says.
async fn refusal(response: Response) -> (Head, Vec<u8>) {
    let head = head(response.status().as_u16(), response.headers());
    // What comes soon: the status is known already and says most.
    let body = tokio::time::timeout(ASK, some_of(response, MAX_ERROR)).await.unwrap_or_default();
    (head, body)
}

fn head(status: u16, headers: &HeaderMap) -> Head {
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    // The server's own clock, if it tells: the two dates then belong together.
    let now = text(header::DATE)
        .and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok())
        .unwrap_or_else(Timestamp::now);
    let exact = headers.get("retry-after-ms").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse::<f64>().ok());
    let retry_after_ms = match exact {
        Some(ms) if ms.is_finite() && ms >= 0.0 => Some(ms.min(86_400_000.0) as u64),
        _ => text(header::RETRY_AFTER).and_then(|value| retry_after(value, now)),
    };
    Head { status, retry_after_ms, location: text(header::LOCATION).map(str::to_owned) }
}

/// Reads an address as people write it: `http://` may be left out, a slash at the end does not matter.
///
/// # Errors
/// [`Kind::Config`] with an example.
pub fn address(text: &str) -> Result<Url> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = || {
        Error::new(Kind::Config, format!("{} is no address of a server.", crate::error::quoted(text)))
            .hint("An address looks like http://127.0.0.1:8080 or https://api.example.com/v1.")
    };
    let mut url = Url::parse(&with_scheme).map_err(|e| wrong().cause(e))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(url.path().to_owned().trim_end_matches('/'));
    Ok(url)
}

fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

/// Whether an address is this very machine, by its name alone (nothing is looked up).
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
        Ok(std::net::IpAddr::V4(ip)) => ip.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// A client that is made when it is first needed: reading the system's certificates takes milliseconds that nobody should wait
/// for before a screen is there. Each backend has its own, because connections that are kept open belong to the runtime that
/// opened them and to one server.
#[derive(Clone, Default)]
struct Lazy(Arc<OnceLock<Client>>);

impl Lazy {
    fn get(&self, url: &Url) -> Result<&Client> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let loopback = is_loopback(url);
        let built = build(loopback, !loopback || url.scheme() == "https")?;
        Ok(self.0.get_or_init(|| built))
    }
}

/// Makes ring the cryptography of this process. Harmless when called again.
pub fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else was faster: as good.
        let _: Result<(), Arc<_>> = rustls::crypto::ring::default_provider().install_default();
    }
}

fn build(loopback: bool, tls: bool) -> Result<Client> {
    install_crypto();
    let base = || {
        let builder = Client::builder()
            .user_agent(concat!("arbour/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // A redirected POST would arrive as a GET, and a key must not follow to another host.
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(20))
            // llama-server closes idle connections after 5 s: one that is about to be closed must not be used again.
            .pool_idle_timeout(if loopback { Duration::from_secs(3) } else { Duration::from_secs(30) });
        if loopback { builder.no_proxy() } else { builder }
    };
    let made = if tls {
        // Where the system has no certificates at all, the bundled ones stand in.
        base().build().or_else(|_| base().tls_certs_only(bundled()?).build())
    } else {
        base().tls_certs_only([]).build()
    };
    made.map_err(|e| {
        Error::new(Kind::Tls, "Secure connections cannot be made on this machine.")
            .hint("`arbour doctor` says more about its certificates.")
            .cause(e)
    })
}

fn bundled() -> reqwest::Result<Vec<reqwest::Certificate>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| reqwest::Certificate::from_der(der)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("http://box:1234/", "http://box:1234/"),
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            (" localhost ", "http://localhost/"),
            ("[::1]:8080", "http://[::1]:8080/"),
        ] {
            assert_eq!(address(text).unwrap().as_str(), url, "{text}");
        }
        for text in ["", "ftp://x", "http://", "http://a b", "unix:///tmp/x"] {
            assert_eq!(address(text).unwrap_err().kind, Kind::Config, "{text}");
        }
    }

    #[test]
    fn knows_this_machine() {
        for text in ["127.0.0.1:1", "127.9.9.9", "localhost:80", "http://[::1]:1", "a.localhost", "LOCALHOST", "http://[::ffff:127.0.0.1]"]
        {
            assert!(is_loopback(&address(text).unwrap()), "{text}");
        }
        for text in ["10.0.0.1", "example.com", "localhost.example.com", "[fe80::1]"] {
            assert!(!is_loopback(&address(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn joins_below_a_path() {
        let base = address("https://api.example.com/openai/v1").unwrap();
        assert_eq!(join(&base, "/models?x=1").as_str(), "https://api.example.com/openai/v1/models?x=1");
    }

    #[test]
    fn bundled_certificates_make_a_client() {
        install_crypto();
        assert!(Client::builder().tls_certs_only(bundled().unwrap()).build().is_ok());
    }
}
