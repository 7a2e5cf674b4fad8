//! A small HTTP/1.1 server with a grip on every byte and every pause, in a thread of its own (so that tests without a runtime can
//! use it too).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body; `Null` when it is no JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }

    /// `POST /v1/chat/completions`, without the query.
    pub fn route(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }
}

/// The client went away, or the server ends the connection on purpose.
#[derive(Debug)]
pub struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// What a handler returns; an `Err` closes the connection.
pub type Handled<'a> = Pin<Box<dyn Future<Output = Result<(), Gone>> + Send + 'a>>;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a>;
}

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    changed: Condvar,
    /// Clients that closed while an answer was being sent to them.
    left: AtomicUsize,
    connections: AtomicUsize,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; it ends when dropped.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 (`port` 0), or on that port.
    pub fn start(port: u16, handler: impl Handler) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handler, for_thread) = (Arc::new(handler), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = accept(listener, handler, for_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, seen, stop: Some(stop), thread: Some(thread) })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.seen.lock().clone()
    }

    /// Requests to this route (`POST /api/chat`) so far.
    pub fn asked_for(&self, route: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|a| a.route() == route).collect()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many clients closed while an answer was being sent to them.
    pub fn left(&self) -> usize {
        self.seen.left.load(Ordering::SeqCst)
    }

    /// Waits until a client has left midway. For tests without a runtime; see [`Server::until_left`].
    pub fn wait_until_left(&self, limit: Duration) -> bool {
        self.wait(limit, || self.left() > 0)
    }

    /// Waits until so many requests have come to this route. For tests without a runtime.
    pub fn wait_until_asked(&self, route: &str, times: usize, limit: Duration) -> bool {
        self.wait(limit, || self.asked_for(route).len() >= times)
    }

    /// Waits until a client has left midway.
    pub async fn until_left(&self, limit: Duration) -> bool {
        until(limit, || self.left() > 0).await
    }

    /// Waits until so many requests have come to this route.
    pub async fn until_asked(&self, route: &str, times: usize, limit: Duration) -> bool {
        until(limit, || self.asked_for(route).len() >= times).await
    }

    fn wait(&self, limit: Duration, mut until: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + limit;
        while !until() {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            // Woken at each change; the short limit covers a change between the question and the wait.
            let guard = self.seen.lock();
            drop(self.seen.changed.wait_timeout(guard, rest.min(Duration::from_millis(20))));
        }
        true
    }
}

/// Waits for a condition without holding the runtime up.
async fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let asking = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(limit, asking).await.is_ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A handler that panicked has told so already.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, handler: Arc<dyn Handler>, seen: Arc<Seen>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        seen.connections.fetch_add(1, Ordering::SeqCst);
        tasks.spawn(connection(stream, Arc::clone(&handler), Arc::clone(&seen)));
        while tasks.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, handler: Arc<dyn Handler>, seen: Arc<Seen>) {
    // A client that is gone already needs no answer.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let mut out = Out { reader: BufReader::new(reader), writer, chunked: false };
    while let Some(asked) = out.request().await {
        seen.lock().push(asked.clone());
        seen.changed.notify_all();
        let keep = asked.header("connection").is_none_or(|v| !v.eq_ignore_ascii_case("close"));
        if handler.handle(asked, &mut out).await.is_err() {
            // Told apart from an end on purpose by the client's half being closed.
            if out.closed_by_client() {
                seen.left.fetch_add(1, Ordering::SeqCst);
                seen.changed.notify_all();
            }
            return;
        }
        if !keep {
            return;
        }
    }
}

/// The way back to the client.
pub struct Out {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    chunked: bool,
}

impl Out {
    async fn request(&mut self) -> Option<Asked> {
        let mut line = String::new();
        match self.reader.read_line(&mut line).await {
            Ok(0) => return None,
            Ok(_) => {}
            Err(_) => {
                // No HTTP at all (a TLS client, say); servers answer that in HTTP.
                let _ = self.answer(400, &[], "Client sent something else to an HTTP server.").await;
                return None;
            }
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None => break,
            }
        }
        let mut asked = Asked { method, path, headers, body: Vec::new() };
        let length = asked.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0usize);
        asked.body.resize(length, 0);
        self.reader.read_exact(&mut asked.body).await.ok()?;
        Some(asked)
    }

    /// Sends a head. Without a length the body is chunked.
    pub async fn head(&mut self, status: u16, headers: &[(&str, &str)], length: Option<usize>) -> Result<(), Gone> {
        let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => text.push_str(&format!("Content-Length: {length}\r\n\r\n")),
            None => text.push_str("Transfer-Encoding: chunked\r\n\r\n"),
        }
        self.chunked = length.is_none();
        self.raw(text.as_bytes()).await
    }

    /// Sends a part of the body.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if bytes.is_empty() || !self.chunked {
            return self.raw(bytes).await;
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.raw(&chunk).await
    }

    /// Ends a chunked body as it should end.
    pub async fn end(&mut self) -> Result<(), Gone> {
        if std::mem::take(&mut self.chunked) { self.raw(b"0\r\n\r\n").await } else { Ok(()) }
    }

    /// Sends a whole small answer.
    pub async fn answer(&mut self, status: u16, headers: &[(&str, &str)], body: &str) -> Result<(), Gone> {
        self.head(status, headers, Some(body.len())).await?;
        self.raw(body.as_bytes()).await
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.writer.write_all(bytes).await?;
        Ok(self.writer.flush().await?)
    }

    /// Waits; ends early when the client closes.
    pub async fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            read = self.reader.fill_buf() => match read {
                Ok(bytes) if !bytes.is_empty() => Ok(()),
                _ => Err(Gone),
            },
        }
    }

    /// Waits until the client closes.
    pub async fn hang(&mut self) -> Gone {
        while self.pause(Duration::from_secs(3600)).await.is_ok() {}
        Gone
    }

    fn closed_by_client(&mut self) -> bool {
        let mut byte = [0];
        match self.reader.get_ref().try_read(&mut byte) {
            Ok(n) => n == 0,
            Err(e) => e.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
