//! Failures in words that people can act on.
//!
//! Owns: which [`Kind`] a status, a complaint or a broken connection is, the sentence that says what it means, and the hints.
//! Refuses: sockets, retries. Invariant: no sentence holds a key, or text of a server that was not made harmless.

use std::error::Error as _;
use std::io::ErrorKind;

use jiff::Timestamp;

use super::fault::{Complaint, Fault};
use super::{Secret, Spec};
use crate::error::{Error, Kind, harmless, quoted};
use crate::proto::BackendKind;

/// Who a failure is about: everything that the sentences need.
#[derive(Debug, Clone)]
pub struct Who {
    pub backend: String,
    pub kind: BackendKind,
    /// Base address, without user and password.
    pub url: String,
    pub key: Option<Secret>,
    pub key_origin: Option<String>,
}

/// What an HTTP answer says beside its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// In milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// Where a redirect points.
    pub location: Option<String>,
}

impl Who {
    #[must_use]
    pub fn new(spec: &Spec, kind: BackendKind, url: String) -> Self {
        Self { backend: spec.name.clone(), kind, url, key: spec.key.clone(), key_origin: spec.key_origin.clone() }
    }

    /// The backend's name as messages write it.
    #[must_use]
    pub fn name(&self) -> String {
        harmless(&self.backend)
    }

    fn at(&self) -> String {
        format!("{} at {}", self.name(), harmless(&self.url))
    }

    /// An answer with an error status. `model` is the one that was asked for, `path` what was requested.
    #[must_use]
    pub fn refused_with(&self, head: &Head, body: &[u8], model: Option<&str>, path: &str) -> Error {
        let mut complaint = Complaint::from_body(body);
        complaint.status = Some(head.status);
        if (300..400).contains(&head.status) {
            let error = Error::new(Kind::BadRequest, format!("{} sends requests on to another address.", self.at()))
                .cause(format!("HTTP {} for {path}", head.status));
            return match &head.location {
                Some(to) => error.hint(format!("Set its url to where it points: {}.", harmless(to))),
                None => error.hint("Look at its url in config.toml."),
            };
        }
        let unknown_path = head.status == 404 && model.is_some() && !complaint.is_model();
        let mut error = if unknown_path { self.no_such_path(path) } else { self.complained(&complaint, model) };
        if error.cause.is_none() {
            let about = complaint.param.as_ref().map(|param| format!(" ({param})")).unwrap_or_default();
            error.cause = Some(match complaint.text.as_str() {
                "" => format!("HTTP {} for {path}{about}", head.status),
                text => format!("HTTP {} for {path}: {text}{about}", head.status),
            });
        }
        if matches!(error.kind, Kind::RateLimited | Kind::Server | Kind::Starting) {
            error.retry_after_ms = head.retry_after_ms;
        }
        if let (Kind::RateLimited, Some(ms)) = (error.kind, head.retry_after_ms) {
            error.hints.insert(0, format!("It asks to wait {}.", duration(ms)));
        }
        error
    }

    /// What a server says is wrong, with the status that came with it.
    #[must_use]
    pub fn complained(&self, complaint: &Complaint, model: Option<&str>) -> Error {
        let name = self.name();
        let says = match complaint.text.as_str() {
            "" => format!("{name} says no more than that."),
            text => format!("{name} says: {text}"),
        };
        let model_name = model.map_or_else(|| "the model".to_owned(), quoted);
        let status = complaint.status.unwrap_or(0);
        let error = if complaint.is_context() {
            return self.context(complaint, &model_name);
        } else if status == 401 || status == 403 || complaint.word.as_deref() == Some("authentication_error") {
            return self.unauthorized(complaint);
        } else if status == 429 {
            let spent = complaint.word.as_deref() == Some("insufficient_quota");
            let message =
                if spent { format!("The quota of {name} is spent.") } else { format!("{name} gets too many requests right now.") };
            let hint =
                if spent { "Waiting does not help: look at the account's plan and billing." } else { "Wait a little and ask again." };
            Error { lasting: spent, ..Error::new(Kind::RateLimited, message).hint(hint) }
        } else if status == 529 || complaint.word.as_deref() == Some("overloaded_error") {
            Error::new(Kind::RateLimited, format!("{name} is overloaded right now.")).hint("Wait a little and ask again.")
        } else if complaint.word.as_deref() == Some("rate_limit_error") {
            Error::new(Kind::RateLimited, format!("{name} gets too many requests right now.")).hint("Wait a little and ask again.")
        } else if status == 402 {
            Error::new(Kind::BadRequest, format!("{name} wants to be paid first.")).hint("Look at the account's credit.")
        } else if status == 503 && complaint.is_loading() {
            return Error::new(Kind::Starting, format!("{name} is still loading its model."))
                .hint("It answers by itself when it is ready.");
        } else if complaint.is_model() {
            Error::new(Kind::ModelMissing, format!("{name} does not have {model_name}.")).hint(self.how_to_get(model))
        } else if complaint.text.contains("model is not loaded") {
            Error::new(Kind::ModelMissing, format!("{name} has not loaded {model_name}."))
                .hint(format!("Start it: {name} is a router that loads none by itself."))
        } else if complaint.is_memory() {
            let error = Error::new(Kind::Server, format!("{name} has not enough memory for {model_name}."))
                .hint("Stop another model, choose a smaller one, or load it with less context.");
            Error { lasting: true, ..error }
        } else if complaint.text.contains("does not support thinking") {
            Error::new(Kind::BadRequest, format!("{model_name} cannot think.")).hint("`:set thinking default` asks it without.")
        } else if complaint.text.contains("does not support tools") {
            Error::new(Kind::BadRequest, format!("{model_name} cannot call tools.")).hint("`:set tools default` asks it without.")
        } else if is_blind(&complaint.text) {
            let error = Error::new(Kind::Unsupported, format!("{model_name} on {name} cannot see pictures."))
                .hint("Choose a model that sees, or branch off before the message with the picture.");
            let error = match self.kind {
                BackendKind::LlamaServer => error.hint("llama-server reads pictures when it is started with the model's `--mmproj` file."),
                _ => error,
            };
            Error { lasting: true, ..error }
        } else if status == 501 {
            Error::new(Kind::Unsupported, format!("{name} cannot do this."))
        } else if (400..500).contains(&status) {
            Error::new(Kind::BadRequest, format!("{name} refused the request (HTTP {status})."))
                .hint("`:request` shows what was sent; a parameter may have a value that it does not take.")
        } else if status == 502 || status == 504 {
            Error::new(Kind::Server, format!("A proxy before {name} got no answer from it (HTTP {status})."))
                .hint("Look whether the server behind it runs.")
        } else if status >= 500 {
            Error::new(Kind::Server, format!("{name} failed (HTTP {status}).")).hint("Ask again; its own log may say more.")
        } else {
            Error::new(Kind::Server, format!("{name} failed while it answered.")).hint("Ask again; its own log may say more.")
        };
        let mut error = error;
        error.message = format!("{} {says}", error.message);
        error
    }

    fn context(&self, complaint: &Complaint, model: &str) -> Error {
        let name = self.name();
        let message = match (complaint.prompt_tokens, complaint.context) {
            (Some(prompt), Some(context)) => {
                format!(
                    "The conversation takes {prompt} tokens and the context of {model} on {name} holds {context}: it was not sent to the model."
                )
            }
            (None, Some(context)) => {
                format!("The conversation is longer than the context of {model} on {name}, which holds {context} tokens.")
            }
            _ => format!("The conversation is longer than the context of {model} on {name}."),
        };
        let mut error =
            Error::new(Kind::ContextExceeded, message).hint("Edit an earlier message, or branch further up, so that less is sent.");
        error = match self.kind {
            BackendKind::Ollama | BackendKind::Embedded => error.hint("`:set context N` loads the model with room for N tokens."),
            BackendKind::LlamaServer => error.hint("Restart llama-server with a larger `-c` (it is shared by its `-np` slots)."),
            BackendKind::OpenAi | BackendKind::Anthropic => error.hint("Choose a model with a larger context."),
        };
        if complaint.text.is_empty() { error } else { error.cause(&complaint.text) }
    }

    fn unauthorized(&self, complaint: &Complaint) -> Error {
        let name = self.name();
        let forbidden = complaint.status == Some(403);
        let error = match (&self.key, &self.key_origin) {
            (Some(_), Some(origin)) if forbidden => {
                Error::new(Kind::Unauthorized, format!("{name} knows the key from {} and does not allow this.", harmless(origin)))
            }
            (Some(_), Some(origin)) => Error::new(Kind::Unauthorized, format!("{name} does not accept the key from {}.", harmless(origin)))
                .hint(format!("Look whether {} holds the key for {}, then `:refresh`.", harmless(origin), harmless(&self.url))),
            (Some(_), None) => Error::new(Kind::Unauthorized, format!("{name} does not accept its key.")),
            (None, Some(origin)) => Error::new(Kind::Unauthorized, format!("{name} wants a key, and {} is empty.", harmless(origin)))
                .hint(format!("Set {} before arbour starts.", harmless(origin))),
            (None, None) => Error::new(Kind::Unauthorized, format!("{name} wants a key and has none.")).hint(format!(
                "Name the variable that holds it in config.toml: `[[backend]]`, name = \"{name}\", kind = \"{}\", url = \"{}\", api_key = {{ env = \"NAME\" }}.",
                self.kind.word(),
                harmless(&self.url)
            )),
        };
        // Services repeat part of the key in this sentence; it is not passed on.
        error.cause(format!("HTTP {}", complaint.status.unwrap_or(401)))
    }

    fn no_such_path(&self, path: &str) -> Error {
        Error::new(Kind::BadRequest, format!("{} has no {path}: it is no {} server, or its url is another.", self.at(), self.kind.word()))
            .hint("Look at kind and url of this backend in config.toml.")
    }

    /// The backend does not have this model.
    #[must_use]
    pub fn no_model(&self, model: &str) -> Error {
        Error::new(Kind::ModelMissing, format!("{} does not have {}.", self.name(), quoted(model))).hint(self.how_to_get(Some(model)))
    }

    fn how_to_get(&self, model: Option<&str>) -> String {
        match (self.kind, model) {
            (BackendKind::Ollama, Some(model)) => format!("`ollama pull {}` fetches it, if its name is right.", harmless(model)),
            _ => format!("`arbour models ls` lists what {} has.", self.name()),
        }
    }

    /// A decoder gave up.
    #[must_use]
    pub fn fault(&self, fault: &Fault, model: Option<&str>) -> Error {
        match fault {
            Fault::Complaint(complaint) => self.complained(complaint, model),
            Fault::Malformed(what) => self.malformed(what),
            Fault::Cut => self.disconnected(),
        }
    }

    /// The answer is not what the protocol says. `what` was met instead, in words.
    #[must_use]
    pub fn malformed(&self, what: &str) -> Error {
        Error::new(Kind::Malformed, format!("{} answered with something that a {} server does not send.", self.at(), self.kind.word()))
            .hint("Look whether kind and url are right, and whether something stands between (a proxy, a login page).")
            .cause(what)
    }

    /// The connection broke before the answer's end.
    #[must_use]
    pub fn disconnected(&self) -> Error {
        Error::new(Kind::Disconnected, format!("{} broke off before the end of the answer.", self.name()))
            .hint("What came is kept: continue the answer, or ask again.")
            .hint("If it happens again, the server's own log says why.")
    }

    /// It did not answer in time.
    #[must_use]
    pub fn timed_out(&self, seconds: u64) -> Error {
        Error::new(Kind::Unreachable, format!("{} did not answer within {seconds} s.", self.at()))
            .hint("Look whether the machine runs and the address is right.")
    }

    /// The request never got an answer, or the answer broke: the transport's own error. `begun`: the answer had begun.
    #[must_use]
    pub fn transport(&self, error: &reqwest::Error, begun: bool) -> Error {
        let chain = chain(error);
        let at = self.at();
        let made = if let Some(tls) = tls(error) {
            self.tls(tls)
        } else if chain.contains("tls handshake eof") {
            self.tls(&rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType))
        } else if begun || error.is_body() || error.is_decode() {
            self.disconnected()
        } else if io_kind(error) == Some(ErrorKind::ConnectionRefused) {
            let made =
                Error::new(Kind::Refused, format!("Nothing listens at {}: {} does not run there.", harmless(&self.url), self.name()));
            match self.kind {
                BackendKind::Ollama => made.hint("Start it with `ollama serve`."),
                BackendKind::LlamaServer => {
                    made.hint(format!("Start it there, for example `llama-server -m model.gguf --port {}`.", port(&self.url)))
                }
                BackendKind::OpenAi | BackendKind::Anthropic | BackendKind::Embedded => made.hint("Start the server, or set another url."),
            }
        } else if chain.contains("dns error") || chain.contains("failed to lookup address") {
            Error::new(Kind::Unreachable, format!("There is no machine with the name in {}.", harmless(&self.url)))
                .hint("Look at the spelling, and whether this machine has a network.")
        } else if chain.contains("tunnel") || chain.contains("proxy") {
            Error::new(Kind::Unreachable, format!("The proxy does not let arbour through to {at}."))
                .hint("The proxy comes from HTTP_PROXY, HTTPS_PROXY or ALL_PROXY; NO_PROXY lists what goes past it.")
        } else if error.is_timeout() || io_kind(error) == Some(ErrorKind::TimedOut) {
            Error::new(Kind::Unreachable, format!("{at} cannot be reached: no connection in time."))
                .hint("Look whether the machine runs and no firewall stands between.")
        } else if error.is_connect() {
            Error::new(Kind::Unreachable, format!("{at} cannot be reached."))
                .hint("Look whether the machine runs and the address is right.")
        } else if error.is_builder() {
            Error::new(Kind::Config, format!("{at}: this address cannot be used.")).hint("An address looks like http://127.0.0.1:8080.")
        } else {
            self.disconnected()
        };
        made.cause(super::fault::one_line(&chain))
    }

    fn tls(&self, error: &rustls::Error) -> Error {
        use rustls::{CertificateError, Error as Tls};
        let at = self.at();
        let made = |what: String| Error::new(Kind::Tls, what);
        match error {
            Tls::InvalidMessage(_) => {
                made(format!("{at} does not speak TLS there.")).hint("If it is plain HTTP, its url begins with http://.")
            }
            Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                made(format!("The certificate of {at} has expired.")).hint("Renew it at the server; also look at this machine's clock.")
            }
            Tls::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
                made(format!("The certificate of {at} is for another name.")).hint("Use the name that the certificate was made for.")
            }
            Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
                made(format!("The certificate of {at} comes from an authority that this machine does not know."))
                    .hint("Add the authority to the system's certificates, or name its file in SSL_CERT_FILE.")
            }
            _ => {
                made(format!("The secure connection to {at} could not be made.")).hint("Look at the server's certificate and TLS version.")
            }
        }
    }
}

/// Reads `Retry-After`: seconds, or a date that is held against `now`. In milliseconds, at most a day.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<u64> {
    const DAY: f64 = 86_400_000.0;
    let value = value.trim();
    let ms = match value.parse::<f64>() {
        Ok(seconds) => seconds * 1000.0,
        Err(_) => {
            let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            (then.as_millisecond() - now.as_millisecond()) as f64
        }
    };
    // Casting saturates and takes NaN to 0.
    ms.is_finite().then(|| ms.clamp(0.0, DAY) as u64)
}

fn duration(ms: u64) -> String {
    match ms.div_ceil(1000) {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s.div_ceil(60)),
        s => format!("{} h", s.div_ceil(3600)),
    }
}

/// Everything that an error wraps, outermost first. An `io::Error` hides what it wraps from `source`, and TLS failures come wrapped
/// in two of them.
fn links(error: &reqwest::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut out = Vec::new();
    let mut next = error.source();
    while let Some(link) = next {
        out.push(link);
        next = match link.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => link.source(),
        };
    }
    out
}

/// What an error and its causes say, without the address of the request (it may hold a password).
fn chain(error: &reqwest::Error) -> String {
    let mut says: Vec<String> = links(error).iter().map(ToString::to_string).collect();
    says.dedup();
    if says.is_empty() { "no further cause".to_owned() } else { says.join(": ") }
}

fn io_kind(error: &reqwest::Error) -> Option<ErrorKind> {
    // The innermost knows best: the outer ones say `Other`.
    links(error).iter().rev().find_map(|link| link.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}

fn tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    links(error).into_iter().find_map(|link| link.downcast_ref::<rustls::Error>())
}

/// The port of an address, for a command that a person may copy; llama-server's own where the address names none that counts.
fn port(url: &str) -> u16 {
    reqwest::Url::parse(url).ok().and_then(|url| url.port_or_known_default()).unwrap_or(8080)
}

/// Whether a server says that its model reads no pictures: llama-server, Ollama, vLLM and services.
fn is_blind(said: &str) -> bool {
    const SAID: [&str; 5] = [
        "image input is not supported",
        "required for image input",
        "does not support image",
        "not a multimodal model",
        "does not support vision",
    ];
    SAID.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn a_command_to_copy_names_the_port_that_was_asked() {
        assert_eq!([port("http://127.0.0.1:18100"), port("https://gpu.example/x"), port("nonsense")], [18100, 443, 8080]);
    }
}
