//! One attempt at one address: ask for what is missing, hold the answer against what was promised, take the bytes in.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use super::part::{Origin, Part};
use super::{Fault, Job, Report, Token, name};
use crate::error::{Error, Kind, Result, harmless};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How often a stalled download is told of.
const PULSE: Duration = Duration::from_millis(500);
/// Hubs send one on to their stores; more than some are a loop.
const REDIRECTS: usize = 8;

/// A client that waits for bytes so long at most; for this machine's own addresses it goes past any proxy. `follows`: redirects.
pub(super) fn client(url: &Url, silence: Duration, follows: bool) -> Result<Client> {
    let here = loopback(url);
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else was faster: as good.
        let _: Result<(), Arc<_>> = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("arbour/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(silence)
            .gzip(false)
            .redirect(redirect::Policy::custom(move |attempt| {
                if !follows {
                    return attempt.stop();
                }
                let secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
                if attempt.previous().len() > REDIRECTS {
                    attempt.error("too many redirects")
                } else if secure && attempt.url().scheme() != "https" {
                    attempt.error("redirect from https to http")
                } else {
                    attempt.follow()
                }
            }));
        if here { builder.no_proxy() } else { builder }
    };
    let bundled =
        || webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<Result<Vec<_>, _>>();
    // Where the system has no certificates at all, the bundled ones stand in.
    builder().build().or_else(|_| builder().tls_certs_only(bundled()?).build()).map_err(|e| {
        Error::new(Kind::Tls, "Secure connections cannot be made on this machine.")
            .hint("`arbour doctor` says more about its certificates.")
            .cause(e)
    })
}

/// Goes on with `part` from `url` until the file is whole and right.
pub async fn attempt(url: &str, job: &Job, part: &mut Part, report: Report<'_>) -> Result<(), Fault> {
    let site = Site::new(url, job).map_err(Fault::Next)?;
    if job.size.is_some_and(|size| part.length() > size) {
        part.restart().map_err(Fault::Fatal)?;
    }
    if job.size == Some(part.length()) && part.length() > 0 {
        return part.check(job);
    }
    if job.magic.is_some_and(|magic| part.length() < magic.len() as u64) {
        // Too little to see what it is; a few bytes are not worth joining.
        part.restart().map_err(Fault::Fatal)?;
    }
    let same = part.origin.url == url;
    let validator = part.origin.validator.clone().filter(|_| same);
    // With a known hash the bytes of any address may be joined; without one only those of one version of one file.
    if part.length() > 0 && job.sha256.is_none() && validator.is_none() {
        part.restart().map_err(Fault::Fatal)?;
    }
    let client = client(&site.url, job.silence, true).map_err(Fault::Fatal)?;
    let mut request = client.get(site.url.clone()).header(ACCEPT_ENCODING, "identity");
    if let Some(token) = job.token.as_ref().and_then(|token| token.for_address(&site.url)) {
        // It does not go along to another host that the hub sends one on to.
        request = request.bearer_auth(token);
    }
    if part.length() > 0 {
        request = request.header(RANGE, format!("bytes={}-", part.length()));
        if let Some(validator) = validator {
            request = request.header(IF_RANGE, validator);
        }
    }
    let response = request.send().await.map_err(|e| site.transport(&e))?;
    let total = site.begin(&response, part)?;
    if let Some(total) = total {
        part.room(total).map_err(Fault::Fatal)?;
    }
    part.set_origin(Origin { url: url.to_owned(), validator: validator_of(response.headers()) }).map_err(Fault::Fatal)?;
    part.tell(total, true, report);
    let mut stream = response.bytes_stream();
    let mut beginning = Vec::new();
    loop {
        let next = match tokio::time::timeout(PULSE, stream.next()).await {
            Ok(next) => next,
            // Nothing comes: the rate falls, and what did come is told.
            Err(_) => {
                part.push(&[]).map_err(Fault::Fatal)?;
                part.tell(total, true, report);
                continue;
            }
        };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|e| site.transport(&e))?;
        if let Some(magic) = job.magic
            && part.length() < magic.len() as u64
        {
            beginning.extend_from_slice(chunk.get(..magic.len().min(chunk.len())).unwrap_or_default());
            if beginning.len() >= magic.len() && !beginning.starts_with(magic) {
                part.restart().map_err(Fault::Fatal)?;
                return Err(Fault::Next(site.page()));
            }
        }
        part.push(&chunk).map_err(Fault::Fatal)?;
        if total.is_some_and(|total| part.length() > total) {
            part.restart().map_err(Fault::Fatal)?;
            return Err(Fault::Next(site.odd("sends more than it announced")));
        }
        part.tell(total, false, report);
    }
    match total {
        Some(total) if part.length() < total => Err(Fault::Again(site.broken(), None)),
        _ if part.length() == 0 => Err(Fault::Next(site.odd("sends an empty file"))),
        _ => {
            part.tell(total, true, report);
            part.check(job)
        }
    }
}

/// An address, for requests and for sentences.
pub(super) struct Site {
    url: Url,
    /// Scheme, host and port: what people need to know, without tokens that hubs put into queries.
    pub shown: String,
    file: String,
    expected: Option<u64>,
    /// It is the hub's, and a token goes along.
    pub hub: bool,
    pub token: bool,
}

/// A refusal, with what to do about it.
pub(super) fn unauthorized(what: &str, hub: bool, token: bool) -> Error {
    let error = Error::new(Kind::Unauthorized, what);
    match (hub, token) {
        (true, false) => error.hint("Accept the model's terms on its page if it has any, then set HF_TOKEN to a token of your account."),
        (true, true) => {
            error.hint("A token was sent: look whether it may read this, and whether the model's terms were accepted on its page.")
        }
        (false, _) => error.hint("Fetch it with a browser where you are signed in, and pull the file by its path."),
    }
}

impl Site {
    fn new(url: &str, job: &Job) -> Result<Self> {
        let parsed = Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        let parsed = parsed.ok_or_else(|| {
            Error::new(Kind::Config, format!("`{}` is no address to fetch a file from.", harmless(url)))
                .hint("An address begins with https:// or http://.")
        })?;
        let shown = harmless(&parsed.origin().ascii_serialization());
        let hub = job.token.as_ref().is_some_and(|token| token.is_for(&parsed));
        let token = job.token.as_ref().is_some_and(|token| token.for_address(&parsed).is_some());
        Ok(Self { url: parsed, shown, file: name(&job.destination), expected: job.size, hub, token })
    }

    /// The place of a question that is not about one file.
    pub fn of(url: &Url, about: &str, token: &Token) -> Self {
        Self {
            url: url.clone(),
            shown: harmless(&url.origin().ascii_serialization()),
            file: crate::error::quoted(about),
            expected: None,
            hub: token.is_for(url),
            token: token.for_address(url).is_some(),
        }
    }

    /// Reads the head of an answer: where its bytes belong, and how long the file is in all.
    fn begin(&self, response: &Response, part: &mut Part) -> Result<Option<u64>, Fault> {
        let status = response.status();
        let headers = response.headers();
        let length = header(headers, CONTENT_LENGTH).and_then(|n| n.parse::<u64>().ok());
        let total = match status {
            StatusCode::OK => {
                part.restart().map_err(Fault::Fatal)?;
                length
            }
            StatusCode::PARTIAL_CONTENT => {
                let range = header(headers, CONTENT_RANGE).and_then(content_range);
                match range {
                    Some((start, total)) if start == part.length() => total.or(length.map(|n| n + start)),
                    _ => {
                        part.restart().map_err(Fault::Fatal)?;
                        return Err(Fault::Again(self.odd("sends another piece than was asked for"), None));
                    }
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.restart().map_err(Fault::Fatal)?;
                return Err(Fault::Again(self.odd("has no such piece of the file"), None));
            }
            status => return Err(self.refused(status, headers)),
        };
        if header(headers, CONTENT_TYPE).is_some_and(|t| t.to_ascii_lowercase().starts_with("text/html")) {
            part.restart().map_err(Fault::Fatal)?;
            return Err(Fault::Next(self.page()));
        }
        match (self.expected, total) {
            (Some(expected), Some(total)) if expected != total => {
                part.restart().map_err(Fault::Fatal)?;
                let error = self.odd(&format!("has a file of {total} bytes under that address, where {expected} are expected"));
                Err(Fault::Next(error.hint("The file there was replaced, or something on the way answers in its place.")))
            }
            (expected, total) => Ok(total.or(expected)),
        }
    }

    pub fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Fault {
        let wait = header(headers, RETRY_AFTER).and_then(|s| s.parse().ok()).map(Duration::from_secs);
        let (at, file) = (&self.shown, &self.file);
        let error = match status.as_u16() {
            401 | 403 => unauthorized(&format!("{at} does not give {file} to everybody (status {status})."), self.hub, self.token),
            404 | 410 => Error::new(Kind::NotFound, format!("{at} does not have {file} (any more).")),
            407 => Error::new(Kind::Unauthorized, "The proxy asks for a password.".to_owned()).hint("Put it into HTTPS_PROXY."),
            429 => {
                Error::new(Kind::RateLimited, format!("{at} says that it was asked too often.")).hint("Wait a little, then fetch it again.")
            }
            500..=599 => Error::new(Kind::Server, format!("{at} has a fault of its own (status {status}).")).hint("Try again later."),
            _ => Error::new(Kind::Malformed, format!("{at} answers {status} where a file was expected.")),
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS { Fault::Again(error, wait) } else { Fault::Next(error) }
    }

    pub fn page(&self) -> Error {
        Error::new(Kind::Malformed, format!("{} answers with a page for people, not with {}.", self.shown, self.file))
            .hint("A sign-in page of this network may stand in between: open the address in a browser.")
    }

    pub fn odd(&self, what: &str) -> Error {
        Error::new(Kind::Malformed, format!("{} {what}.", self.shown))
    }

    pub fn slow(&self) -> Error {
        Error::new(Kind::Disconnected, format!("{} has been silent for too long.", self.shown))
            .hint("Fetch it again: what is here already is kept.")
    }

    fn broken(&self) -> Error {
        Error::new(Kind::Disconnected, format!("The connection to {} breaks before the file's end.", self.shown))
            .hint("Fetch it again: what is here already is kept.")
    }

    pub fn transport(&self, error: &reqwest::Error) -> Fault {
        let mut chain = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            chain = format!("{chain}: {inner}");
            source = inner.source();
        }
        let cause = harmless(&chain.replace(self.url.as_str(), &self.shown));
        let at = &self.shown;
        if error.is_redirect() {
            return Fault::Next(self.odd("sends one round and round, or out of a secure connection").cause(cause));
        }
        if !error.is_connect() {
            let error = if error.is_timeout() { self.slow() } else { self.broken() };
            return Fault::Again(error.cause(cause), None);
        }
        let said = if chain.contains("dns error") || chain.contains("failed to lookup") {
            Error::new(Kind::Unreachable, format!("There is no way to {at}: its name is not known here."))
                .hint("Look whether this machine has a network; a proxy comes from HTTPS_PROXY.")
        } else if chain.contains("tunnel") || chain.contains("roxy") {
            Error::new(Kind::Unreachable, format!("The proxy does not let arbour through to {at}."))
                .hint("The proxy comes from HTTPS_PROXY; NO_PROXY lists what goes past it.")
        } else if chain.contains("ertificate") {
            Error::new(Kind::Tls, format!("The certificate of {at} cannot be trusted on this machine."))
                .hint("Look at this machine's clock, and whether its certificates are up to date.")
        } else if chain.contains("refused") {
            Error::new(Kind::Refused, format!("Nothing listens at {at}."))
        } else {
            Error::new(Kind::Unreachable, format!("{at} cannot be reached.")).hint("Look whether this machine has a network.")
        };
        Fault::Next(said.cause(cause))
    }
}

pub(super) fn loopback(url: &Url) -> bool {
    match url.host_str() {
        Some(host) => host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

fn header(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// A weak tag says that two files look alike, which is not enough to join them.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let tag = header(headers, ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or_else(|| header(headers, LAST_MODIFIED)).map(str::to_owned)
}

/// `bytes 100-199/1000` → (100, Some(1000)).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}
