//! A hub of model files that does all that servers and networks do: drops, stands still, corrupts, redirects, lies, refuses. It lists
//! its repositories as the public hub does.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::serve::{Asked, Gone, Handled, Handler, Out, Server};

/// What is done with one request for a file.
#[derive(Debug, Clone)]
pub enum Act {
    /// The file, or the piece that was asked for.
    Serve,
    /// So many bytes of it, then the connection breaks.
    Drop(usize),
    /// The whole file, whatever piece was asked for.
    IgnoreRange,
    /// Pieces of so many bytes with a pause between them.
    Slow(usize, Duration),
    /// The right length with one wrong byte.
    Corrupt,
    Html,
    /// Sent on to there.
    Redirect(String),
    /// Refused, with a `Retry-After` in seconds.
    Refuse(u16, Option<u64>),
    /// Announces so many bytes, and sends no more.
    Short(usize),
    /// Answers, sends so many bytes, and never goes on.
    Hang(usize),
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    acts: HashMap<String, VecDeque<Act>>,
    /// Versions, for `ETag`.
    tags: HashMap<String, u32>,
    token: Option<String>,
    /// Says nothing of SHA-256 and sizes beforehand.
    silent: bool,
    /// Has no listing.
    bare: bool,
}

struct Library(Arc<Mutex<State>>);

pub struct Registry {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that begin as a GGUF file does; no two of different `seed` are alike.
pub fn content(length: usize, seed: usize) -> Vec<u8> {
    let mut all = b"GGUF".to_vec();
    all.extend((4..length).map(|i| ((i * 31 + seed * 7 + i / 251) % 251) as u8));
    all
}

pub fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

impl Registry {
    pub fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let server = Server::start(0, Library(Arc::clone(&state))).expect("a port");
        Self { server, state }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A file of a repository, at the path that the hub gives it.
    pub fn add(&self, repo: &str, file: &str, bytes: &[u8]) -> &Self {
        self.put(&format!("/{repo}/resolve/main/{file}"), bytes)
    }

    /// A file at any path. One that was there is replaced by a new version.
    pub fn put(&self, path: &str, bytes: &[u8]) -> &Self {
        let mut state = lock(&self.state);
        *state.tags.entry(path.to_owned()).or_default() += 1;
        state.files.insert(path.to_owned(), bytes.to_vec());
        self
    }

    /// What is done with the next requests for a file; afterwards it is served.
    pub fn plan(&self, repo: &str, file: &str, acts: &[Act]) -> &Self {
        self.plan_at(&format!("/{repo}/resolve/main/{file}"), acts)
    }

    pub fn plan_at(&self, path: &str, acts: &[Act]) -> &Self {
        lock(&self.state).acts.insert(path.to_owned(), acts.iter().cloned().collect());
        self
    }

    /// Nobody is let in without this.
    pub fn wants(&self, token: &str) -> &Self {
        lock(&self.state).token = Some(token.to_owned());
        self
    }

    /// Says nothing of files before it sends them.
    pub fn silent(&self) -> &Self {
        lock(&self.state).silent = true;
        self
    }

    /// Serves files and knows no listing, as a plain mirror does.
    pub fn bare(&self) -> &Self {
        lock(&self.state).bare = true;
        self
    }

    /// The requests for a file (not for its head alone).
    pub fn fetched(&self, file: &str) -> Vec<Asked> {
        let wanted = |asked: &Asked| asked.method == "GET" && asked.path.split('?').next().is_some_and(|path| path.ends_with(file));
        self.server.asked().into_iter().filter(wanted).collect()
    }

    /// Where each of those requests began.
    pub fn ranges(&self, file: &str) -> Vec<usize> {
        self.fetched(file).iter().map(|asked| start_of(asked).unwrap_or(0)).collect()
    }
}

fn start_of(asked: &Asked) -> Option<usize> {
    asked.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

impl Handler for Library {
    fn handle<'a>(&'a self, asked: Asked, out: &'a mut Out) -> Handled<'a> {
        Box::pin(async move {
            let path = asked.path.split('?').next().unwrap_or_default().to_owned();
            let allowed = match &lock(&self.0).token {
                Some(token) => asked.header("authorization") == Some(&format!("Bearer {token}")),
                None => true,
            };
            if !allowed {
                return out.answer(401, &[("x-error-code", "GatedRepo")], "{\"error\":\"no\"}").await;
            }
            if let Some(rest) = path.strip_prefix("/api/models/") {
                return self.list(rest, out).await;
            }
            let (bytes, act, tag, silent) = {
                let mut state = lock(&self.0);
                let head = asked.method == "HEAD";
                let act = state.acts.get_mut(&path).filter(|_| !head).and_then(VecDeque::pop_front).unwrap_or(Act::Serve);
                let tag = format!("\"v{}\"", state.tags.get(&path).copied().unwrap_or(0));
                (state.files.get(&path).cloned(), act, tag, state.silent)
            };
            match bytes {
                Some(_) if asked.method == "HEAD" && silent => out.head(405, &[], Some(0)).await,
                Some(bytes) if asked.method == "HEAD" => {
                    let hash = format!("\"{}\"", sha(&bytes));
                    let size = bytes.len().to_string();
                    out.head(200, &[("x-linked-etag", &hash), ("x-linked-size", &size)], Some(bytes.len())).await
                }
                Some(bytes) => give(&asked, &bytes, &act, &tag, out).await,
                None => out.answer(404, &[], "Entry not found").await,
            }
        })
    }
}

impl Library {
    async fn list(&self, rest: &str, out: &mut Out) -> Result<(), Gone> {
        let (listing, bare) = {
            let state = lock(&self.0);
            let repo = rest.strip_suffix("/tree/main").unwrap_or_default();
            let prefix = format!("/{repo}/resolve/main/");
            let entry = |(path, bytes): (&String, &Vec<u8>)| {
                let path = path.strip_prefix(&prefix)?;
                let lfs = json!({ "oid": sha(bytes), "size": bytes.len() });
                Some(json!({ "type": "file", "path": path, "size": bytes.len(), "oid": "0", "lfs": lfs }))
            };
            let mut listing: Vec<_> = state.files.iter().filter_map(entry).collect();
            if !listing.is_empty() {
                listing.push(json!({ "type": "file", "path": "README.md", "size": 5, "oid": "1" }));
            }
            (listing, state.bare)
        };
        if bare || listing.is_empty() {
            return out.answer(404, &[], "{\"error\":\"Repository not found\"}").await;
        }
        out.answer(200, &[("content-type", "application/json")], &json!(listing).to_string()).await
    }
}

async fn give(asked: &Asked, bytes: &[u8], act: &Act, tag: &str, out: &mut Out) -> Result<(), Gone> {
    match act {
        Act::Html => {
            return out.answer(200, &[("content-type", "text/html; charset=utf-8")], "<!DOCTYPE html><title>Sign in</title>").await;
        }
        Act::Redirect(to) => return out.answer(302, &[("location", to)], "").await,
        Act::Refuse(status, after) => {
            let after = after.map(|seconds| seconds.to_string());
            let headers: Vec<(&str, &str)> = after.iter().map(|after| ("retry-after", after.as_str())).collect();
            return out.answer(*status, &headers, "{}").await;
        }
        _ => {}
    }
    let current = asked.header("if-range").is_none_or(|wanted| wanted == tag);
    let start = start_of(asked).filter(|_| current && !matches!(act, Act::IgnoreRange)).unwrap_or(0);
    if start > 0 && start >= bytes.len() {
        return out.answer(416, &[("content-range", &format!("bytes */{}", bytes.len()))], "").await;
    }
    let mut body = bytes[start..].to_vec();
    let mut length = body.len();
    match act {
        Act::Corrupt => {
            let last = body.len() - 1;
            body[last] ^= 1;
        }
        Act::Drop(n) | Act::Hang(n) => body.truncate(*n),
        Act::Short(n) => {
            body.truncate(*n);
            length = body.len();
        }
        _ => {}
    }
    let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    let mut headers = vec![("content-type", "application/octet-stream"), ("etag", tag)];
    if start > 0 {
        headers.push(("content-range", &range));
    }
    out.head(if start > 0 { 206 } else { 200 }, &headers, Some(length)).await?;
    let (piece, pause) = if let Act::Slow(piece, pause) = act { (*piece, *pause) } else { (1 << 16, Duration::ZERO) };
    for bytes in body.chunks(piece) {
        out.raw(bytes).await?;
        out.pause(pause).await?;
    }
    match act {
        Act::Drop(_) => Err(Gone),
        Act::Hang(_) => Err(out.hang().await),
        _ => Ok(()),
    }
}
