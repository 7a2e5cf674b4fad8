//! Gives back what real servers sent, byte for byte, in pieces of a chosen size, whole or cut.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::serve::{Asked, Gone, Handled, Handler, Out, Server};

/// An answer of a real server.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Status line and headers as they came, without those that tell the body's length.
    head: String,
    pub status: u16,
    pub body: Vec<u8>,
    chunked: bool,
    piece: usize,
    cut: Option<usize>,
    stall: Option<usize>,
}

impl Capture {
    /// Reads `tests/fixtures/captures/NAME.txt`.
    pub fn load(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures").join(format!("{name}.txt"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::parse(&bytes)
    }

    /// Reads an answer as `curl -i` prints it.
    pub fn parse(bytes: &[u8]) -> Self {
        let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head that ends");
        let text = std::str::from_utf8(&bytes[..at]).expect("a head in UTF-8");
        let status = text.split_whitespace().nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let lower = text.to_ascii_lowercase();
        let lengths = ["content-length:", "transfer-encoding:", "keep-alive:", "connection:"];
        let head = text
            .split("\r\n")
            .filter(|line| !lengths.iter().any(|l| line.to_ascii_lowercase().starts_with(l)))
            .map(|l| format!("{l}\r\n"))
            .collect();
        let chunked = lower.contains("transfer-encoding: chunked");
        Self { head, status, body: bytes[at + 4..].to_vec(), chunked, piece: usize::MAX, cut: None, stall: None }
    }

    /// An answer of one's own making, in the same form.
    pub fn made(status: u16, kind: &str, body: &str) -> Self {
        Self::parse(format!("HTTP/1.1 {status} Made\r\nContent-Type: {kind}\r\n\r\n{body}").as_bytes())
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sends the body in pieces of this many bytes.
    #[must_use]
    pub fn pieces(mut self, bytes: usize) -> Self {
        self.piece = bytes.max(1);
        self
    }

    /// Closes the connection after this many bytes of the body.
    #[must_use]
    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self.chunked = true;
        self
    }

    /// Falls silent after this many bytes of the body.
    #[must_use]
    pub fn stall_at(mut self, bytes: usize) -> Self {
        self.stall = Some(bytes);
        self.chunked = true;
        self
    }

    async fn send(&self, out: &mut Out) -> Result<(), Gone> {
        let mut head = self.head.clone();
        let chunked = self.chunked || self.cut.is_some();
        if chunked {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        } else {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        }
        out.raw(head.as_bytes()).await?;
        let until = self.cut.or(self.stall).unwrap_or(self.body.len()).min(self.body.len());
        for piece in self.body[..until].chunks(self.piece) {
            let mut bytes = Vec::new();
            if chunked {
                bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            bytes.extend_from_slice(piece);
            if chunked {
                bytes.extend_from_slice(b"\r\n");
            }
            out.raw(&bytes).await?;
            tokio::task::yield_now().await;
        }
        if self.cut.is_some() {
            return Err(Gone);
        }
        if self.stall.is_some() {
            return Err(out.hang().await);
        }
        if chunked { out.raw(b"0\r\n\r\n").await } else { Ok(()) }
    }
}

/// Routes (`POST /api/chat`) and their answers: each is given once, the last one for ever.
pub struct Replay {
    routes: Mutex<HashMap<String, Vec<Capture>>>,
}

impl Replay {
    /// Starts a server of these answers; anything else is a 404.
    pub fn start(routes: &[(&str, Capture)]) -> Server {
        let mut map: HashMap<String, Vec<Capture>> = HashMap::new();
        for (route, capture) in routes {
            map.entry((*route).to_owned()).or_default().push(capture.clone());
        }
        Server::start(0, Self { routes: Mutex::new(map) }).expect("a free port")
    }

    fn next(&self, route: &str) -> Option<Capture> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = routes.get_mut(route)?;
        if answers.len() > 1 { Some(answers.remove(0)) } else { answers.first().cloned() }
    }
}

impl Handler for Replay {
    fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a> {
        Box::pin(async move {
            match self.next(&asked.route()) {
                Some(capture) => capture.send(out).await,
                None => out.answer(404, &[("Content-Type", "application/json")], r#"{"error":"no such route"}"#).await,
            }
        })
    }
}
