//! Fetching a model from Ollama's registry.
//!
//! Owns: what the lines of `/api/pull` mean, and when a pull that stands still is asked for anew. Refuses: which pulls there are and
//! when (host). Invariants: a layer is told of once by its digest, and never as more than it is; Ollama keeps what came, so asking
//! again goes on.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::backend::PullProgress;
use crate::backend::fault::{Complaint, Fault, one_line};
use crate::backend::http::Http;
use crate::backend::ndjson::Parser;
use crate::error::{Error, Kind, Result, harmless, quoted};
use crate::proto::Layer;

const PULL: &str = "/api/pull";

/// Layers of one model: a model has a handful. Beyond this a server tells nonsense.
const LAYERS: usize = 256;

/// When to give a pull up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// So long may no byte of a layer come. Ollama looks after its own connections, and tells the same figure again meanwhile.
    pub still: Duration,
    /// So often it is asked for anew without a byte of progress.
    pub tries: u32,
    /// The first pause before that; it doubles.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { still: Duration::from_secs(60), tries: 5, pause: Duration::from_millis(500) }
    }
}

/// The state of a pull, line by line. Pure.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    parser: Parser,
    progress: PullProgress,
}

impl Reader {
    /// Takes bytes in. `true`: Ollama says that it is done.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let mut lines = Vec::new();
        let fed = self.parser.feed(bytes, &mut lines);
        for line in lines {
            if self.line(&line)? {
                return Ok(true);
            }
        }
        fed.map(|()| false)
    }

    /// The stream has ended.
    pub fn end(&mut self) -> Result<(), Fault> {
        let Some(rest) = self.parser.end() else { return Err(Fault::Cut) };
        match self.line(&rest) {
            Ok(true) => Ok(()),
            Err(Fault::Malformed(_)) if !rest.starts_with(['{', '[', '"']) => Err(Fault::last_word(&rest)),
            Ok(false) | Err(Fault::Malformed(_)) => Err(Fault::Cut),
            Err(fault) => Err(fault),
        }
    }

    fn line(&mut self, line: &str) -> Result<bool, Fault> {
        let value: Value =
            serde_json::from_str(line).map_err(|_| Fault::Malformed(format!("a line that is no JSON: {}", one_line(line))))?;
        let Value::Object(fields) = &value else {
            return Err(Fault::Malformed("a line that is no JSON object".to_owned()));
        };
        if fields.get("error").is_some_and(|e| !e.is_null()) {
            return Err(Fault::Complaint(Complaint::from_value(&value)));
        }
        let status = fields.get("status").and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| fields.get(key).and_then(Value::as_u64);
        self.progress.checking = status.starts_with("verifying");
        if let Some(digest) = fields.get("digest").and_then(Value::as_str) {
            self.progress.stage = None;
            self.layer(digest, number("completed").unwrap_or(0), number("total").filter(|total| *total > 0));
            return Ok(false);
        }
        self.progress.stage = Some(harmless(status)).filter(|stage| !stage.is_empty());
        Ok(status == "success")
    }

    fn layer(&mut self, digest: &str, done: u64, total: Option<u64>) {
        let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
        let done_bytes = total.map_or(done, |total| done.min(total));
        let layers = &mut self.progress.layers;
        if let Some(layer) = layers.iter_mut().find(|layer| layer.sha256.as_deref() == Some(hash)) {
            layer.done_bytes = done_bytes;
            layer.total_bytes = total.or(layer.total_bytes);
        } else if layers.len() < LAYERS {
            let name = harmless(hash).chars().take(12).collect();
            // It is what layers are told apart by; what is no hash is shown to nobody.
            layers.push(Layer { name, done_bytes, total_bytes: total, sha256: Some(hash.to_owned()) });
        }
    }

    /// All bytes of all layers so far.
    fn bytes(&self) -> u64 {
        self.progress.layers.iter().map(|layer| layer.done_bytes).fold(0, u64::saturating_add)
    }

    /// As it goes out: digests that are none are taken off.
    fn told(&self) -> PullProgress {
        let mut progress = self.progress.clone();
        for layer in &mut progress.layers {
            layer.sha256.take_if(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        progress
    }

    /// Whether nothing but bytes is waited for: checking a large model takes minutes in silence.
    fn is_fetching(&self) -> bool {
        !self.progress.checking && self.progress.stage.as_deref().is_none_or(|stage| stage == "pulling manifest")
    }
}

/// How one attempt failed, and how many bytes there were then.
struct Broken {
    error: Error,
    /// Asking again may help.
    again: bool,
    bytes: u64,
}

/// Fetches a model. A connection that breaks, and a pull that stands still, are tried again.
pub(super) async fn pull(http: &Http, name: &str, patience: Patience, out: &mpsc::Sender<PullProgress>) -> Result<()> {
    let (mut failures, mut most) = (0, 0);
    loop {
        let Err(broken) = attempt(http, name, patience, out).await else { return Ok(()) };
        failures = if broken.bytes > most { 1 } else { failures + 1 };
        most = most.max(broken.bytes);
        // Nobody there at the first attempt is an answer; after some of it came the server may be starting again.
        let again = broken.again || (most > 0 && matches!(broken.error.kind, Kind::Refused | Kind::Unreachable | Kind::Starting));
        if !again || failures >= patience.tries {
            return Err(broken.error);
        }
        sleep(patience.pause.saturating_mul(1 << (failures - 1))).await;
    }
}

async fn attempt(http: &Http, name: &str, patience: Patience, out: &mpsc::Sender<PullProgress>) -> Result<(), Broken> {
    let mut reader = Reader::default();
    // Older servers, and some that only claim to be Ollama, call it `name`. An address of plain HTTP has to be allowed.
    let mut body = json!({ "model": name, "name": name, "stream": true });
    if name.starts_with("http://") {
        body["insecure"] = json!(true);
    }
    let mut response = http.stream(PULL, &body, name).await.map_err(|error| Broken { error, again: false, bytes: 0 })?;
    let (mut bytes, mut since) = (0, Instant::now());
    loop {
        let chunk = match timeout_at(since + patience.still, response.chunk()).await {
            Ok(chunk) => chunk,
            Err(_) if reader.is_fetching() => return Err(Broken { error: stalled(http, name, patience), again: true, bytes }),
            Err(_) => {
                since = Instant::now();
                continue;
            }
        };
        let read = match &chunk {
            Ok(Some(piece)) => reader.feed(piece),
            Ok(None) | Err(_) => reader.end().map(|()| true),
        };
        // Whoever asked may have gone; then the pull is dropped at its next wait.
        drop(out.send(reader.told()).await);
        match (read, chunk) {
            (Ok(true), _) => return Ok(()),
            (Ok(false), _) => {}
            (Err(Fault::Cut), Err(broken)) => return Err(Broken { error: kept(http.who.transport(&broken, true)), again: true, bytes }),
            (Err(Fault::Cut), _) => return Err(Broken { error: kept(http.who.disconnected()), again: true, bytes }),
            (Err(fault), _) => return Err(Broken { error: refused(http, name, &fault), again: false, bytes }),
        }
        if reader.bytes() != bytes || !reader.is_fetching() {
            (bytes, since) = (reader.bytes(), Instant::now());
        } else if since.elapsed() >= patience.still {
            return Err(Broken { error: stalled(http, name, patience), again: true, bytes });
        }
    }
}

fn stalled(http: &Http, name: &str, patience: Patience) -> Error {
    let (who, seconds) = (http.who.name(), patience.still.as_secs());
    Error::new(Kind::Disconnected, format!("{who} got nothing of {} for {seconds} s.", quoted(name)))
        .hint("Pull it again: Ollama keeps what came. If it stands still again, the registry or the way to it is slow.")
}

/// The hints for a chat are none for a pull.
fn kept(error: Error) -> Error {
    Error { hints: vec!["Pull it again: Ollama keeps what came.".to_owned()], ..error }
}

fn refused(http: &Http, name: &str, fault: &Fault) -> Error {
    if let Fault::Complaint(complaint) = fault {
        let text = complaint.text.to_lowercase();
        let who = http.who.name();
        let cause = harmless(&complaint.text);
        if text.contains("file does not exist") || text.contains("manifest unknown") || text.contains("not found") {
            return Error::new(Kind::ModelMissing, format!("The registry of {who} has no model called {}.", quoted(name)))
                .hint("Look at its name and tag; without a tag it is `latest`.")
                .cause(cause);
        }
        if ["no such host", "dial tcp", "connection refused", "i/o timeout", "network is unreachable"].iter().any(|w| text.contains(w)) {
            return Error::new(Kind::Unreachable, format!("{who} does not reach its registry."))
                .hint("Look whether the machine that Ollama runs on has a network, and its HTTPS_PROXY.")
                .cause(cause);
        }
        if text.contains("no space left") {
            return Error::new(Kind::DiskFull, format!("The disk of {who} is full."))
                .hint("Make room where Ollama keeps its models, then pull again: what came is kept.")
                .cause(cause);
        }
        if text.contains("requires a newer version") {
            return Error::new(Kind::Unsupported, format!("{} needs a newer Ollama than {who} is.", quoted(name)))
                .hint("Update Ollama on its machine.")
                .cause(cause);
        }
    }
    http.who.fault(fault, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(name: &str) -> String {
        let path = format!("{}/tests/fixtures/captures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        text.split_once("\n\n").or_else(|| text.split_once("\r\n\r\n")).unwrap().1.to_owned()
    }

    fn read(text: &str, cut: usize) -> (Reader, Result<bool, Fault>) {
        let mut reader = Reader::default();
        for piece in text.as_bytes().chunks(cut) {
            match reader.feed(piece) {
                Ok(false) => {}
                other => return (reader, other),
            }
        }
        let end = reader.end().map(|()| true);
        (reader, end)
    }

    #[test]
    fn a_pull_is_read_layer_by_layer_however_it_is_cut() {
        let text = capture("ollama-pull-again");
        for cut in [1, 7, 64, text.len()] {
            let (reader, end) = read(&text, cut);
            assert!(matches!(end, Ok(true)), "{end:?}");
            let layers = reader.told().layers;
            assert_eq!(layers.len(), 4);
            assert_eq!(
                (layers[0].name.as_str(), layers[0].done_bytes, layers[0].total_bytes),
                ("b179c9523d0e", 98_362_432, Some(98_362_432))
            );
            assert!(layers.iter().all(|layer| Some(layer.done_bytes) == layer.total_bytes && layer.sha256.is_some()));
        }
    }

    #[test]
    fn a_pull_that_is_broken_off_is_cut_and_an_error_in_the_stream_is_told() {
        let (reader, end) = read(&capture("ollama-pull-cancelled"), 100);
        assert!(matches!(end, Err(Fault::Cut)), "{end:?}");
        assert!((1_000_000..98_362_432).contains(&reader.bytes()) && reader.is_fetching());
        let (_, end) = read(&capture("ollama-pull-unknown"), 10);
        assert!(matches!(&end, Err(Fault::Complaint(c)) if c.text.contains("does not exist")), "{end:?}");
    }

    #[tokio::test]
    async fn a_pull_that_stands_still_is_asked_for_anew_and_given_up() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spec = crate::backend::Spec {
            name: "work".into(),
            url: format!("http://{}", listener.local_addr().unwrap()),
            ..crate::backend::Spec::default()
        };
        let http = Http::new(&spec, crate::proto::BackendKind::Ollama).unwrap();
        // Each connection comes a thousand bytes further, then tells the same figure for ever, as Ollama does; the fourth not even that.
        let server = tokio::spawn(async move {
            let mut connections = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections += 1;
                let done = 1000 * connections.min(3);
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let _ = stream.read(&mut head).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n").await;
                    let line = format!("{{\"status\":\"pulling x\",\"digest\":\"x\",\"total\":9000,\"completed\":{done}}}\n");
                    while stream.write_all(line.as_bytes()).await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                });
            }
        });
        let (out, mut progress) = mpsc::channel::<PullProgress>(64);
        let patience = Patience { still: Duration::from_millis(60), tries: 3, pause: Duration::from_millis(1) };
        let hearing = tokio::spawn(async move {
            let mut most = 0;
            while let Some(one) = progress.recv().await {
                most = most.max(one.layers[0].done_bytes);
            }
            most
        });
        let pulling = pull(&http, "x", patience, &out);
        let error = tokio::time::timeout(Duration::from_secs(30), pulling).await.expect("it is given up").unwrap_err();
        assert!(error.kind == Kind::Disconnected && error.message.contains("got nothing"), "{error:?}");
        drop(out);
        assert_eq!(hearing.await.unwrap(), 3000, "it was asked for anew while it came further");
        server.abort();
    }

    #[test]
    fn checking_is_waited_for_in_silence() {
        let mut reader = Reader::default();
        reader.feed(b"{\"status\":\"verifying sha256 digest\"}\n").unwrap();
        assert!(reader.told().checking && !reader.is_fetching());
        reader.feed(b"{\"status\":\"writing manifest\"}\n").unwrap();
        assert!(!reader.told().checking && !reader.is_fetching());
    }

    #[test]
    fn a_server_that_lies_is_held_to_what_can_be() {
        let mut reader = Reader::default();
        reader.feed(b"{\"status\":\"x\",\"digest\":\"sha256:\\u001b[2J\",\"total\":5,\"completed\":900}\n").unwrap();
        let layer = &reader.told().layers[0];
        assert_eq!((layer.done_bytes, layer.total_bytes, layer.sha256.as_deref()), (5, Some(5), None));
        assert!(!layer.name.contains('\u{1b}'));
        for n in 0..1000 {
            reader.feed(format!("{{\"digest\":\"{n}\",\"total\":-1,\"completed\":\"x\"}}\n").as_bytes()).unwrap();
        }
        assert_eq!(reader.told().layers.len(), LAYERS);
        assert!(reader.feed(b"[1]\n").is_err() && reader.feed(b"nonsense\n").is_err());
    }
}
