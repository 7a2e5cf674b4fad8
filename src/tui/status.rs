//! The status line: mode, link, model, context, speed, and the keys that are possible now.
//!
//! Invariant: the mode's name is always there; hints name only keys that work now, the most useful first, cut with `…`.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::action::{ALL, Action, Scope, keep};
use super::format;
use super::keymap::{Mode, show_keys};
use super::model::Model;
use super::output::{Cursor, Shape};
use super::paint::{Row, clear};
use super::pane::{chat, tree};
use super::shared::{Link, model_state};
use super::text::width::{drawable, width};
use super::theme::Role;
use crate::core::filter::Filter;
use crate::core::filter::conversations::Subject;
use crate::proto::Level;
use crate::proto::Role as Speaker;

/// What is most useful, by scope.
fn useful(scope: Scope) -> &'static [(Action, &'static str)] {
    match scope {
        Scope::Insert => &[
            (Action::Send, "send"),
            (Action::Newline, "newline"),
            (Action::NormalMode, "normal"),
            (Action::Stop, "stop"),
            (Action::OpenEditor, "editor"),
            (Action::Palette, "find anything"),
        ],
        Scope::ComposerNormal | Scope::ComposerVisual | Scope::ComposerOperator => &[
            (Action::Write, "write"),
            (Action::Send, "send"),
            (Action::LastMessage, "chat"),
            (Action::Stop, "stop"),
            (Action::Help, "help"),
        ],
        Scope::Chat => &[
            (Action::Stop, "stop"),
            (Action::Write, "write"),
            (Action::SiblingNext, "next version"),
            (Action::Retry, "ask again"),
            (Action::EditMessage, "edit"),
            (Action::Continue, "continue"),
            (Action::Copy, "copy"),
            (Action::ModelChoose, "model"),
            (Action::Branch, "branch"),
        ],
        Scope::Tree => &[
            (Action::MakeHead, "make HEAD"),
            (Action::TreeParent, "parent"),
            (Action::TreeChild, "child"),
            (Action::Branch, "name"),
            (Action::Hoist, "hoist"),
            (Action::Fold, "fold"),
        ],
        Scope::Models => &[
            (Action::Activate, "answers here"),
            (Action::ModelStart, "start"),
            (Action::ModelStop, "stop"),
            (Action::Favourite, "favourite"),
            (Action::Find, "filter"),
            (Action::Refresh, "look again"),
        ],
        Scope::Table => &[
            (Action::Find, "filter"),
            (Action::ModelStart, "start"),
            (Action::ModelStop, "stop"),
            (Action::Mark, "mark"),
            (Action::Inspect, "inspect"),
            (Action::Sort, "sort"),
            (Action::GroupBy, "group"),
            (Action::Columns, "columns"),
            (Action::Pull, "fetch"),
            (Action::Write, "write"),
        ],
        Scope::Conversations => &[
            (Action::Activate, "open"),
            (Action::New, "new"),
            (Action::Rename, "rename"),
            (Action::Delete, "delete"),
            (Action::Find, "filter"),
            (Action::Search, "search all"),
        ],
        Scope::Metrics => &[(Action::PaneZoom, "zoom"), (Action::PaneHide, "hide"), (Action::PaneNext, "next pane")],
        Scope::Welcome => &[
            (Action::PullStarter, "fetch a model"),
            (Action::OpenFile, "open a file"),
            (Action::BackendAdd, "add a server"),
            (Action::Close, "look around"),
        ],
        _ => &[],
    }
}

/// Draws it. With a line open (`:`, `/`), that takes its place.
pub fn draw(model: &mut Model, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
    clear(buf, area, model.shared.style(Role::Status));
    if model.typing.is_some() {
        return draw_line(model, area, buf);
    }
    let mut row = Row::new(buf, area, 0);
    let mode = model.mode();
    let role = match mode {
        Mode::Normal => Role::ModeNormal,
        Mode::Insert => Role::ModeInsert,
        Mode::Visual => Role::ModeVisual,
        Mode::Command => Role::ModeCommand,
        Mode::Search => Role::ModeSearch,
    };
    row.text(&format!(" {mode} "), model.shared.style(role)).gap(1);
    draw_pending(model, &mut row);
    // A sentence to a person needs the room more than a name does.
    draw_facts(model, &mut row, area.width < 80 || model.notices.shown().is_some());
    if let Some(notice) = model.notices.shown() {
        let role = match notice.level {
            Level::Info => Role::Text,
            Level::Warning => Role::Warning,
            Level::Error => Role::Error,
        };
        row.gap(1).foreign(&notice.text, model.shared.style(role));
        if let Some(hint) = notice.hints.first() {
            row.gap(1).foreign(hint, model.shared.style(Role::Hint));
        }
        return None;
    }
    let help = model.shared.key(Scope::Anywhere, Action::Help);
    if width(&help) <= 2 {
        row.right(&help, model.shared.style(Role::Key), 20);
    }
    draw_hints(model, &mut row);
    None
}

/// Keys that wait for more: `2d`, `C-w`.
fn draw_pending(model: &Model, row: &mut Row<'_>) {
    let mut text = keep::awaited(model).unwrap_or_else(|| model.shared.composer.borrow().pending());
    if let Some((keys, count)) = model.resolver.pending() {
        if let Some(count) = count {
            text.push_str(&count.to_string());
        }
        if !keys.is_empty() {
            text.push_str(&show_keys(keys));
        }
    }
    if !text.is_empty() {
        row.text(&text, model.shared.style(Role::Accent)).gap(2);
    }
}

fn draw_facts(model: &Model, row: &mut Row<'_>, narrow: bool) {
    let shared = &model.shared;
    let (word, role) = match &shared.link {
        Link::Connecting => ("connecting…", Role::Running),
        Link::Up => ("", Role::Ok),
        Link::Lost(_) => ("link lost, trying again…", Role::Warning),
        Link::Gone(_) => ("no host", Role::Error),
    };
    if word.is_empty() {
        if !narrow {
            row.text(&shared.place, shared.style(Role::Quiet)).gap(1);
        }
        row.text("●", shared.style(role)).gap(if narrow { 1 } else { 2 });
    } else {
        row.text(word, shared.style(role)).gap(2);
        return;
    }
    if let Some(reference) = shared.model() {
        let name = drawable(&reference.model).into_owned();
        let (glyph, role) = shared.replica.model(&reference).map_or(("·", Role::Quiet), |m| model_state(m.state));
        if !narrow {
            let (glyph, role) = if shared.is_down(&reference) { ("down", Role::Error) } else { (glyph, role) };
            row.text(&super::text::width::truncate(&name, 24), shared.style(Role::Text)).gap(1).text(glyph, shared.style(role)).gap(2);
        }
    }
    let used = shared.usage("").tokens;
    if let Some(context) = shared.context() {
        let percent = u64::from(used) * 100 / u64::from(context.max(1));
        let role = if percent >= 90 { Role::Warning } else { Role::Quiet };
        row.text(&format!("{}/{}", format::short(u64::from(used)), format::context(u64::from(context))), shared.style(role)).gap(2);
    }
    if let Some(queued) = super::action::queue::summary(shared).filter(|_| !narrow) {
        row.text(&queued, shared.style(Role::Quiet)).gap(2);
    }
    let rate = shared.target().filter(|n| n.role == Speaker::Assistant).and_then(|n| n.run.as_ref()?.figures.tokens_per_s);
    if let Some(rate) = rate.filter(|_| !narrow) {
        row.text(&format!("{} t/s", format::figure(Some(rate), format::number)), shared.style(Role::Quiet)).gap(2);
    }
}

fn draw_hints(model: &Model, row: &mut Row<'_>) {
    let scope = model.scope();
    let shared = &model.shared;
    let mut hints: Vec<(String, &str)> = Vec::new();
    for (action, word) in useful(scope) {
        // One name for one thing: `i` writes, also where `a` does.
        let scope = if *action == Action::Write { Scope::Anywhere } else { scope };
        let key = shared.key(scope, *action);
        if !key.starts_with(':') && model.refusal(*action).is_none() {
            hints.push((key, word));
        }
    }
    for (i, (key, word)) in hints.iter().enumerate() {
        let separator = if i > 0 { " · " } else { "" };
        let needed = width(separator) + width(key) + 1 + width(word);
        // Room for the `…` that says that there is more.
        let last = i + 1 == hints.len();
        if needed + if last { 0 } else { 2 } > row.left() {
            if row.left() >= 2 {
                row.text(" …", shared.style(Role::Hint));
            }
            return;
        }
        row.text(separator, shared.style(Role::Hint));
        row.text(key, shared.style(Role::Key)).gap(1).text(word, shared.style(Role::Hint));
    }
}

/// The `:` or `/` line in the place of the status line.
fn draw_line(model: &Model, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
    let typing = model.typing.as_ref()?;
    let mut row = Row::new(buf, area, 0);
    let (mode, role) = if typing.find.is_some() { (Mode::Search, Role::ModeSearch) } else { (Mode::Command, Role::ModeCommand) };
    if area.width >= 60 {
        row.text(&format!(" {mode} "), model.shared.style(role)).gap(1);
    }
    let whole = model.shared.needle.whole && matches!(typing.find, Some(chat::ID | tree::ID));
    let sign = match (typing.find.is_some(), whole) {
        (true, true) => "whole tree /",
        (true, false) => "/",
        (false, _) => ":",
    };
    row.text(sign, model.shared.style(Role::Accent));
    let line = model.line()?;
    let (shown, column) = line.line().view(row.left());
    let at = Position::new((row.x() + u16::try_from(column).unwrap_or(0)).min(area.right().saturating_sub(1)), area.y);
    row.text(&shown, model.shared.style(Role::Text));
    if let Some(problem) = problem(model, line.text()) {
        row.gap(2).text(&problem, model.shared.style(Role::Error));
    } else if let Some(hint) = line_hint(typing.find.is_none(), line.text()) {
        row.gap(2).text(&hint, model.shared.style(Role::Placeholder));
    }
    Some(Cursor { at, shape: Shape::Bar })
}

/// What is wrong with the filter that is typed.
fn problem(model: &Model, text: &str) -> Option<String> {
    let problem = if super::action::find::filters_models(model) {
        Filter::parse(text).problems().first().cloned()
    } else if super::action::find::filters_conversations(model) {
        model.shared.filter(text, Subject::Conversations).problems().first().cloned()
    } else {
        None
    };
    let problem = problem?;
    Some(match &problem.hint {
        Some(hint) => format!("{} {hint}", problem.message),
        None => problem.message.clone(),
    })
}

/// What the command that is typed takes and does.
fn line_hint(command: bool, text: &str) -> Option<String> {
    let word = text.trim();
    let info = ALL.iter().filter(|_| command).find(|info| std::iter::once(&info.id).chain(info.names).any(|name| *name == word))?;
    let usage = info.usage();
    let arguments = usage.strip_prefix(info.name()).unwrap_or_default().trim();
    Some(format!("{arguments} {}", info.what).trim().to_owned())
}
