//! The line above each message: who, when, which of how many, how it goes, and what it took.
//!
//! Invariant: a figure that is not known is left out of a header or shown as `–`, an estimate has its `~`; every state has words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::core::Doc;
use crate::core::overflow::words;
use crate::proto::{Finish, Node, Progress, Role as Speaker, State};
use crate::sanitise;
use crate::tui::action::{Action, Scope, tools};
use crate::tui::format;
use crate::tui::paint::Row;
use crate::tui::pane::Cx;
use crate::tui::pane::tree::who;
use crate::tui::text::width::{drawable, width};
use crate::tui::theme::Role;

/// So many reactions have room in a header.
const REACTIONS: usize = 6;

/// What the screen measures while an answer comes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Live {
    /// Tokens a second, estimated from what arrived.
    pub rate: Option<f64>,
}

/// Draws the header into the first row of `area`. `place`: which of how many versions.
pub fn draw(cx: &Cx<'_>, doc: &Doc, node: &Node, place: (usize, usize), live: Live, area: Rect, buf: &mut Buffer) {
    let quiet = cx.style(Role::Quiet);
    let mut row = Row::new(buf, area, 0);
    row.gap(1);
    let speaker = match node.role {
        Speaker::User => Role::User,
        Speaker::Assistant => Role::Assistant,
        Speaker::System => Role::System,
        Speaker::Tool => Role::Tool,
    };
    row.text(&who(node), cx.style(speaker)).gap(2);
    // Narrow panes have no room for the hour.
    if area.width >= 60 || !matches!(node.role, Speaker::Assistant) {
        row.text(&format::clock(node.created, cx.now.wall, &cx.zone), quiet).gap(2);
    }
    let (place, count) = place;
    if count > 1 {
        row.text(&format!("‹{place}/{count}›"), cx.style(Role::Badge)).gap(2);
    }
    for name in doc.branch_names(node.id) {
        row.text(&format!("⎇ {}", drawable(name)), cx.style(Role::Accent)).gap(2);
    }
    kept_about(cx, node, &mut row);
    if node.role == Speaker::User {
        let (mark, role) = match node.state {
            State::Accepted => ("✓✓", Role::Quiet),
            State::Sent => ("✓", Role::Quiet),
            State::Queued => ("queued", Role::Running),
            State::Failed => ("✗ not sent", Role::Error),
            _ => ("", Role::Quiet),
        };
        row.text(mark, cx.style(role));
        return;
    }
    if node.state.is_running() {
        row.text("▸ ", cx.style(Role::Running));
        let room = row.left();
        row.text(&phase(cx, node, live, room), cx.style(Role::Running));
        return;
    }
    match node.state {
        State::Stopped => {
            let hint = if node.run.as_ref().is_some_and(|r| r.finish == Some(Finish::HostStopped)) {
                "stopped (the host ended)"
            } else {
                "stopped"
            };
            row.text(&format!("■ {hint}{}", kept(node)), cx.style(Role::Warning));
        }
        State::Failed => {
            row.text("✗ failed", cx.style(Role::Error));
        }
        _ => {
            row.text(&figures(node), quiet);
            if let Some(finish) = odd_end(node) {
                row.gap(2).text(&finish, cx.style(Role::Warning));
            }
        }
    }
}

/// What people keep about a message: put away, a bookmark, a rating, reactions.
fn kept_about(cx: &Cx<'_>, node: &Node, row: &mut Row<'_>) {
    if node.archived {
        row.text("put away", cx.style(Role::Quiet)).gap(2);
    }
    if node.bookmark.is_some() {
        row.text("⚑", cx.style(Role::Accent)).gap(2);
    }
    match node.rating {
        1.. => row.text("+1", cx.style(Role::Ok)).gap(2),
        0 => row,
        _ => row.text("−1", cx.style(Role::Error)).gap(2),
    };
    let given: Vec<_> = node.reactions.iter().take(REACTIONS).map(|reaction| drawable(&sanitise::cut(reaction, 16)).into_owned()).collect();
    if !given.is_empty() {
        let more = node.reactions.len() - given.len();
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        row.text(&format!("{}{more}", given.join(" ")), cx.style(Role::Text)).gap(2);
    }
}

/// How a running answer stands, in words. `room`: columns; a countdown keeps what can be done about it.
#[must_use]
pub fn phase(cx: &Cx<'_>, node: &Node, live: Live, room: usize) -> String {
    let progress = node.run.as_ref().map(|run| run.progress.clone()).unwrap_or_default();
    let since = if progress.since > 0 { cx.since(progress.since) } else { 0 };
    let elapsed = if since >= 2 { format!(" {}", format::seconds_long(since)) } else { String::new() };
    let left = remaining(&progress, since).map(|s| format!("  ~{}", format::seconds_long(s))).unwrap_or_default();
    let summarising = u64::from(progress.summarising);
    match node.state {
        State::Connecting | State::Waiting | State::Reading if summarising > 0 && progress.retry_at.is_none() => {
            format!("summarising {}…{elapsed}", format::plural(summarising, "message"))
        }
        State::Queued => format!("queued{elapsed}"),
        State::Connecting => match progress.retry_at {
            Some(at) => {
                let left = cx.until(at);
                let when = if left > 0 { format!("again in {}", format::seconds_long(left)) } else { "again now".to_owned() };
                let short = format!("{when} (:cancel)");
                let whys = [format!("connecting… {}, {short}", drawable(&progress.why)), format!("{}, {short}", drawable(&progress.why))];
                whys.into_iter().find(|text| width(text) <= room).unwrap_or(short)
            }
            None if progress.attempt > 1 => format!("connecting… attempt {} of {}{elapsed}", progress.attempt, progress.attempts),
            None => format!("connecting…{elapsed}"),
        },
        State::Waiting => match progress.ahead {
            Some(ahead) if ahead > 0 => format!("waiting, {ahead} ahead{elapsed}"),
            _ => format!("waiting{elapsed}"),
        },
        State::Loading => match progress.done {
            Some(permille) => format!("loading model {} %{left}", permille.min(1000) / 10),
            None => format!("loading model{elapsed}"),
        },
        State::Reading => match (progress.done, progress.total) {
            (Some(done), Some(total)) => format!("reading prompt {}/{}{left}", format::grouped(done), format::grouped(total)),
            _ => format!("reading prompt{elapsed}"),
        },
        State::Thinking => format!("thinking{elapsed}"),
        State::Writing => match live.rate {
            Some(rate) => format!("writing ~{} t/s", format::number(rate)),
            None => "writing".to_owned(),
        },
        State::Done | State::Stopped | State::Failed | State::Sent | State::Accepted => node.state.word().to_owned(),
    }
}

/// Seconds until a phase that tells its progress will be over, if it goes on as so far.
fn remaining(progress: &Progress, since: u64) -> Option<u64> {
    let done = progress.done.filter(|d| *d > 0)?;
    let total = progress.total.unwrap_or(1000);
    (since >= 1 && total > done).then(|| since * (total - done) / done).filter(|s| *s > 0)
}

/// `0.4 s · 41.8 t/s · 312 tok`: what is known of it.
#[must_use]
pub fn figures(node: &Node) -> String {
    let Some(run) = &node.run else { return String::new() };
    let f = &run.figures;
    let mut parts = Vec::new();
    if f.ttft_ms.is_some() {
        parts.push(format::figure(f.ttft_ms, format::wait));
    }
    if f.tokens_per_s.is_some() {
        parts.push(format!("{} t/s", format::figure(f.tokens_per_s, format::number)));
    }
    if f.completion_tokens.is_some() {
        parts.push(format!("{} tok", format::figure(f.completion_tokens, |n| format::grouped(n as u64))));
    }
    if f.cost.is_some() {
        parts.push(format::figure(f.cost, format::cost));
    }
    parts.join(" · ")
}

/// What is there of an answer that did not come to its end.
#[must_use]
pub fn kept(node: &Node) -> String {
    if node.bytes == 0 {
        return String::new();
    }
    match node.run.as_ref().and_then(|run| run.figures.completion_tokens) {
        Some(tokens) => format!(" after {} tok", format::figure(Some(tokens), |n| format::grouped(n as u64))),
        None => format!(" after ~{} tok", format::grouped(u64::from(node.tokens))),
    }
}

/// An end that a reader should know of.
fn odd_end(node: &Node) -> Option<String> {
    match node.run.as_ref()?.finish.as_ref()? {
        Finish::Length => Some("cut: the length limit was reached".to_owned()),
        Finish::ContentFilter => Some("cut by the service's filter".to_owned()),
        Finish::ToolCalls => Some("asks for tools".to_owned()),
        Finish::Other(word) => Some(format!("ended: {}", drawable(word))),
        Finish::Stop | Finish::Cancelled | Finish::Error | Finish::HostStopped => None,
    }
}

/// Notes under an answer: what it was asked without, and why it broke off and what to do.
#[must_use]
pub fn notes(cx: &Cx<'_>, doc: &Doc, node: &Node) -> Vec<(String, Role)> {
    let run = node.run.as_ref().filter(|run| run.progress.summarising == 0);
    let without = run.and_then(|run| run.left_out.as_ref()).map(|left_out| match left_out.summary {
        Some(_) => {
            let (many, were) = (left_out.nodes.len() as u64, if left_out.nodes.len() == 1 { "was" } else { "were" });
            format!("┄ {} {were} summarised: the context was full", format::plural(many, "message"))
        }
        None => format!("┄ asked without {} of the middle: the context was full", words(left_out)),
    });
    without.map(|without| (without, Role::Quiet)).into_iter().chain(ending(cx, doc, node)).collect()
}

/// What happened to an answer that broke off, and what to do.
fn ending(cx: &Cx<'_>, doc: &Doc, node: &Node) -> Vec<(String, Role)> {
    if node.state == State::Done
        && doc.children(Some(node.id)).next().is_none()
        && let Some(hint) = tools::hint(cx.shared, node.id)
    {
        return vec![(hint, Role::Hint)];
    }
    if node.role != Speaker::Assistant || !matches!(node.state, State::Failed | State::Stopped) {
        let cut = node.run.as_ref().and_then(|r| r.finish.as_ref()) == Some(&Finish::Length);
        let shown = cut && cx.view.leaf == Some(node.id);
        return if shown { vec![(format!("{} continues", cx.key(Scope::Chat, Action::Continue)), Role::Hint)] } else { Vec::new() };
    }
    let mut out = Vec::new();
    let error = node.run.as_ref().and_then(|run| run.error.as_ref());
    if let Some(error) = error {
        out.push((drawable(&error.message).into_owned(), Role::Error));
        for hint in &error.hints {
            out.push((drawable(hint).into_owned(), Role::Quiet));
        }
    } else if node.state == State::Failed {
        out.push(("It is not known why.".to_owned(), Role::Error));
    }
    let mut what = Vec::new();
    if node.state == State::Failed && node.bytes > 0 {
        what.push(format!("kept{}", kept(node).replacen(" after", "", 1)));
    }
    if node.bytes > 0 {
        what.push(format!("{} continues", cx.key(Scope::Chat, Action::Continue)));
    }
    what.push(format!("{} asks again", cx.key(Scope::Chat, Action::Retry)));
    out.push((what.join(" · "), Role::Hint));
    out
}
