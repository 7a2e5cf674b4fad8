//! What a one-shot tells a person while it waits: one line on standard error, taken away again. Nothing where nobody looks.

use std::io::{IsTerminal as _, Write as _};

use unicode_width::UnicodeWidthStr as _;

use super::plain;
use crate::proto::{Download, DownloadState, Layer, ModelRef, Progress, State, UnixMs};
use crate::sanitise;

pub struct StatusLine {
    terminal: bool,
    shown: String,
    /// What counts down on the line.
    waits: Option<(ModelRef, Progress)>,
}

impl StatusLine {
    pub fn new() -> Self {
        // A dumb terminal cannot take a line back.
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { terminal, shown: String::new(), waits: None }
    }

    /// Whether anybody sees it.
    pub fn is_seen(&self) -> bool {
        self.terminal
    }

    /// Shows what a run is doing.
    pub fn phase(&mut self, model: &ModelRef, state: State, progress: &Progress) {
        self.waits = progress.retry_at.map(|_| (model.clone(), progress.clone()));
        self.show(&format!("{}  {}", model.model, phase(state, progress, jiff::Timestamp::now().as_millisecond())));
    }

    /// A moment has gone by: what counts down goes on.
    pub fn tick(&mut self) {
        if let Some((model, progress)) = self.waits.take() {
            self.phase(&model, State::Connecting, &progress);
        }
    }

    /// Shows a line in place of the one before.
    pub fn show(&mut self, line: &str) {
        let line = sanitise::line(line);
        if !self.terminal || *line == *self.shown {
            return;
        }
        let width = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| usize::from(size.ws_col).max(20));
        let mut cut = line.clone();
        while cut.width() >= width {
            let shorter = sanitise::cut(&cut, cut.chars().count().saturating_sub(2)).into_owned();
            cut = shorter.into();
        }
        let _ = write!(std::io::stderr(), "\r\x1b[K{cut}");
        self.shown = line.into_owned();
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        self.waits = None;
        if !self.shown.is_empty() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            self.shown.clear();
        }
    }

    /// Prints a sentence that stays.
    pub fn note(&mut self, sentence: &str) {
        self.clear();
        let _ = writeln!(std::io::stderr(), "{}", sanitise::line(sentence));
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What a run is doing, as the screen words it.
fn phase(state: State, progress: &Progress, now: UnixMs) -> String {
    let count = match (progress.done, progress.total) {
        (Some(done), Some(total)) => Some((done, total)),
        _ => None,
    };
    match (state, count) {
        (State::Connecting | State::Waiting | State::Reading, _) if progress.summarising > 0 && progress.retry_at.is_none() => {
            format!("summarising {} messages…", progress.summarising)
        }
        (State::Queued, _) => "queued".to_owned(),
        (State::Connecting, _) => match progress.retry_at {
            Some(at) => {
                let left = u64::try_from((at - now).max(0)).unwrap_or(0).div_ceil(1000);
                let when = if left > 0 { format!("again in {left} s") } else { "again now".to_owned() };
                format!("connecting… {}, {when}", progress.why)
            }
            None if progress.attempt > 1 => format!("connecting… attempt {} of {}", progress.attempt, progress.attempts),
            None => "connecting…".to_owned(),
        },
        (State::Waiting, _) => match progress.ahead {
            Some(ahead) if ahead > 0 => format!("waiting, {ahead} ahead"),
            _ => "waiting…".to_owned(),
        },
        (State::Loading, Some((done, total))) if total > 0 => format!("loading model {} %", done * 100 / total),
        (State::Loading, _) => "loading model…".to_owned(),
        (State::Reading, Some((done, total))) => format!("reading prompt {done}/{total}"),
        (State::Reading, _) => "reading prompt…".to_owned(),
        (State::Thinking, _) => "thinking…".to_owned(),
        (State::Writing, _) => "writing…".to_owned(),
        (other, _) => other.word().to_owned(),
    }
}

/// What a source is called where there is little room: of an address or a path the file.
fn short(source: &str) -> std::borrow::Cow<'_, str> {
    let long = source.contains("://") || source.starts_with('/');
    let file = source.split(['?', '#']).next().and_then(|path| path.trim_end_matches('/').rsplit('/').next());
    sanitise::cut(if long { file.unwrap_or(source) } else { source }, 48)
}

/// How far a download is, in one line.
pub fn fetched(download: &Download) -> String {
    let name = short(if download.source.is_empty() { &download.key } else { &download.source });
    match (download.state, &download.stage) {
        (DownloadState::Queued, _) => return format!("{name} is queued"),
        (DownloadState::Paused, _) => return format!("{name} is paused"),
        (DownloadState::Checking, _) => return format!("checking {name}"),
        (DownloadState::Running, Some(stage)) => return format!("fetching {name}: {stage}"),
        _ => {}
    }
    let done = plain::size(download.done_bytes);
    let Some(total) = download.total_bytes.filter(|total| *total > 0) else { return format!("fetching {name}: {done}") };
    let percent = download.done_bytes.min(total) * 100 / total;
    let rate = download.bytes_per_s.filter(|rate| *rate >= 1.0).map(|rate| format!(", {}/s", plain::size(rate as u64)));
    let left = download.eta_s().map(|seconds| format!(", {} left", plain::duration(seconds as f64 * 1000.0)));
    let file = |layer: &Layer| layer.total_bytes.is_some_and(|total| layer.done_bytes < total);
    let part = match download.layers.iter().position(file) {
        Some(at) if download.layers.len() > 1 => format!(" ({} of {}: {})", at + 1, download.layers.len(), download.layers[at].name),
        _ => String::new(),
    };
    let (rate, left) = (rate.unwrap_or_default(), left.unwrap_or_default());
    format!("fetching {name}: {done} of {}, {percent} %{rate}{left}{part}", plain::size(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_worded_with_what_is_known() {
        let progress = |done, total| Progress { done: Some(done), total: Some(total), ..Progress::default() };
        assert_eq!(phase(State::Loading, &progress(430, 1000), 0), "loading model 43 %");
        assert_eq!(phase(State::Loading, &progress(1, 0), 0), "loading model…");
        assert_eq!(phase(State::Reading, &progress(1204, 2980), 0), "reading prompt 1204/2980");
        assert_eq!(phase(State::Waiting, &Progress { ahead: Some(2), ..Progress::default() }, 0), "waiting, 2 ahead");
        let again = Progress { attempt: 2, attempts: 5, why: "refused".to_owned(), ..Progress::default() };
        assert_eq!(phase(State::Connecting, &again, 0), "connecting… attempt 2 of 5");
        let waits = Progress { retry_at: Some(9_100), ..again };
        assert_eq!(phase(State::Connecting, &waits, 5_500), "connecting… refused, again in 4 s");
        assert_eq!(phase(State::Connecting, &waits, 9_100), "connecting… refused, again now");
        assert_eq!(phase(State::Thinking, &Progress::default(), 0), "thinking…");
    }

    #[test]
    fn a_download_tells_what_is_left_when_that_is_known() {
        let mut download = Download {
            state: DownloadState::Running,
            done_bytes: 49_000_000,
            total_bytes: Some(98_000_000),
            bytes_per_s: Some(7_000_000.0),
            ..Download::queued("starter", "", "", 0)
        };
        assert_eq!(fetched(&download), "fetching starter: 49.0 MB of 98.0 MB, 50 %, 7.0 MB/s, 7.0 s left");
        let layer = |name: &str, done_bytes| Layer { name: name.to_owned(), done_bytes, total_bytes: Some(49_000_000), sha256: None };
        download.layers = vec![layer("a", 49_000_000), layer("b", 0)];
        download.source = "o/r".to_owned();
        assert_eq!(fetched(&download), "fetching o/r: 49.0 MB of 98.0 MB, 50 %, 7.0 MB/s, 7.0 s left (2 of 2: b)");
        download.done_bytes = 200_000_000;
        assert!(!fetched(&download).contains("left"), "more than there is has no end that could be told: {}", fetched(&download));
        download.source = "https://x.test/a/model.gguf?token=1#sha256=ab".to_owned();
        assert!(fetched(&download).starts_with("fetching model.gguf: "), "{}", fetched(&download));
        download.source.clear();
        (download.total_bytes, download.done_bytes) = (None, 49_000_000);
        assert_eq!(fetched(&download), "fetching starter: 49.0 MB");
        download.stage = Some("pulling manifest".to_owned());
        assert_eq!(fetched(&download), "fetching starter: pulling manifest");
    }
}
