//! How a message came about, as a page: who answered, each figure with where it comes from, each state with its time.
//!
//! Invariant: what is not known is `–`; an estimate says so.

use super::page::Page;
use crate::core::Doc;
use crate::proto::{Figure, Finish, Node, Role as Speaker, Run, Source, UnixMs};
use crate::tui::format;
use crate::tui::pane::tree::who;
use crate::tui::shared::Shared;
use crate::tui::text::width::{drawable, pad};
use crate::tui::theme::Role;

type Lines = Vec<(String, Role)>;

/// Makes the page.
#[must_use]
pub fn page(shared: &Shared, doc: &Doc, node: &Node) -> Page {
    let mut out: Lines = Vec::new();
    fact(&mut out, "from", &who(node));
    let (place, count) = doc.place(node.id);
    if count > 1 {
        fact(&mut out, "version", &format!("{place} of {count}"));
    }
    fact(&mut out, "written", &moment(shared, node.created));
    fact(
        &mut out,
        "size",
        &format!("{} bytes, ~{} tokens in a prompt", format::grouped(node.bytes), format::grouped(u64::from(node.tokens))),
    );
    fact(&mut out, "state", state(node));
    if let Some(note) = &node.bookmark {
        fact(&mut out, "bookmark", if note.is_empty() { "without a note" } else { note });
    }
    if node.rating != 0 {
        fact(&mut out, "rating", if node.rating > 0 { "+1" } else { "−1" });
    }
    if !node.reactions.is_empty() {
        fact(&mut out, "reactions", &node.reactions.join(" "));
    }
    if node.continues.is_some() {
        fact(&mut out, "continues", "the text of another version");
    }
    if node.copy_of.is_some() {
        fact(&mut out, "copy", "of a message elsewhere");
    }
    match &node.run {
        Some(run) => of_run(shared, doc, run, &mut out),
        None if node.role == Speaker::User => read_by(shared, doc, node, &mut out),
        None => {}
    }
    let copy: String = out.iter().map(|(line, _)| format!("{line}\n")).collect();
    Page::new("How this message came about", out).copies(copy, "these details").named(NAMES + 1)
}

/// Columns for names.
const NAMES: usize = 14;

fn fact(out: &mut Lines, name: &str, value: &str) {
    out.push((format!("{} {}", pad(name, NAMES), drawable(value)), Role::Text));
}

fn section(out: &mut Lines, title: &str) {
    out.push((String::new(), Role::Text));
    out.push((title.to_owned(), Role::Accent));
}

/// A moment to the second, with its day where that is another.
fn moment(shared: &Shared, at: UnixMs) -> String {
    format::second(at, shared.now.wall, &shared.zone)
}

fn state(node: &Node) -> &'static str {
    match node.state {
        crate::proto::State::Sent => "sent: the host has it on disk (✓)",
        crate::proto::State::Accepted => "accepted: the model has read it (✓✓)",
        other => other.word(),
    }
}

/// When a message was read: its first answer says it.
fn read_by(shared: &Shared, doc: &Doc, node: &Node, out: &mut Lines) {
    let answers: Vec<&Node> = doc.all_children(Some(node.id)).filter(|child| child.run.is_some()).collect();
    if answers.is_empty() {
        return;
    }
    section(out, "Answers");
    for answer in answers {
        let Some(run) = &answer.run else { continue };
        let first = run.figures.ttft_ms.map(|ttft| format!(", first token after {}", format::wait(ttft.value))).unwrap_or_default();
        let text = format!("{}: sent {}{first}", drawable(&run.model.to_string()), moment(shared, run.started));
        out.push((text, Role::Text));
    }
}

fn of_run(shared: &Shared, doc: &Doc, run: &Run, out: &mut Lines) {
    fact(out, "model", &run.model.model);
    let kind = shared.replica.backends.iter().find(|backend| backend.name == run.model.backend).map(|backend| backend.kind.word());
    let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    fact(out, "backend", &format!("{}{kind}", run.model.backend));
    if let Some(finish) = &run.finish {
        fact(out, "ended", &end(finish));
    }
    if let Some(error) = &run.error {
        fact(out, "error", &error.message);
        for text in error.hints.iter().chain(&error.cause) {
            fact(out, "", text);
        }
    }
    figures(run, out);
    timeline(shared, run, out);
    if !run.failed.is_empty() {
        section(out, "Attempts that failed before");
        for attempt in &run.failed {
            out.push((format!("{}  {}", moment(shared, attempt.at), drawable(&attempt.error.message)), Role::Text));
        }
    }
    if let Some(left) = &run.left_out {
        section(out, "Left out of the prompt");
        let many = format::plural(left.nodes.len() as u64, "message");
        out.push((format!("{many}, ~{} tokens, because it would not have fitted:", format::grouped(u64::from(left.tokens))), Role::Text));
        for id in &left.nodes {
            let snippet = doc.node(*id).map_or("a message that is not here", |node| node.snippet.as_str());
            out.push((format!("  {}", drawable(snippet)), Role::Quiet));
        }
        if let Some(summary) = &left.summary {
            out.push(("In their place this summary was sent:".to_owned(), Role::Text));
            out.push((summary.clone(), Role::Quiet));
        }
    }
}

fn end(finish: &Finish) -> String {
    match finish {
        Finish::Stop => "it came to its end".to_owned(),
        Finish::Length => "the length limit was reached".to_owned(),
        Finish::ToolCalls => "it calls for tools".to_owned(),
        Finish::ContentFilter => "the service cut it".to_owned(),
        Finish::Cancelled => "somebody stopped it".to_owned(),
        Finish::Error => "it failed".to_owned(),
        Finish::HostStopped => "the host ended".to_owned(),
        Finish::Other(word) => format!("the server said “{word}”"),
    }
}

/// Every figure, those that are not known too.
fn figures(run: &Run, out: &mut Lines) {
    let f = &run.figures;
    section(out, "Figures");
    let count = |n: f64| format::grouped(n as u64);
    type Shown<'a> = (&'static str, Option<Figure>, &'a dyn Fn(f64) -> String);
    let rows: [Shown<'_>; 14] = [
        ("waited at the host", f.queued_ms, &format::wait),
        ("connecting", f.connect_ms, &format::wait),
        ("loading the model", f.load_ms, &format::wait),
        ("reading the prompt", f.prompt_ms, &format::wait),
        ("first token after", f.ttft_ms, &format::wait),
        ("thinking", f.thinking_ms, &format::wait),
        ("writing", f.generate_ms, &format::wait),
        ("all of it", f.total_ms, &format::wait),
        ("prompt tokens", f.prompt_tokens, &count),
        ("of these cached", f.cached_tokens, &count),
        ("tokens of the answer", f.completion_tokens, &count),
        ("of these thinking", f.thinking_tokens, &count),
        ("prompt tokens/s", f.prompt_per_s, &format::number),
        ("tokens/s", f.tokens_per_s, &format::number),
    ];
    for (name, value, how) in rows {
        let source = value.map_or("", |figure| match figure.source {
            Source::Server => "told by the server",
            Source::Measured => "measured here",
            Source::Estimated => "estimated",
        });
        let role = if value.is_some() { Role::Text } else { Role::Quiet };
        out.push((format!("{} {} {source}", pad(name, 22), pad(&format::figure(value, how), 10)).trim_end().to_owned(), role));
    }
    for (name, value, how) in [("context", f.context, &count as &dyn Fn(f64) -> String), ("cost", f.cost, &format::cost)] {
        if value.is_some() {
            out.push((format!("{} {}", pad(name, 22), format::figure(value, how)), Role::Text));
        }
    }
}

/// Each state with when it began and how long it lasted.
fn timeline(shared: &Shared, run: &Run, out: &mut Lines) {
    if run.timeline.is_empty() {
        return;
    }
    section(out, "States");
    let ends = run.timeline.iter().skip(1).map(|(_, at)| Some(*at)).chain(std::iter::once(run.finished));
    for ((state, at), end) in run.timeline.iter().zip(ends) {
        let lasted = end.map_or_else(String::new, |end| format::wait(end.saturating_sub(*at).max(0) as f64));
        out.push((format!("{}  {} {lasted}", moment(shared, *at), pad(state.word(), 11)).trim_end().to_owned(), Role::Text));
    }
    if let Some(finished) = run.finished {
        out.push((format!("{}  ended", moment(shared, finished)), Role::Text));
    }
}
