//! Where messages are written: the text, and in its rule who answers and how much of the context the prompt takes.
//!
//! Owns: the rule's figures. Refuses: the text itself (`tui::composer`). Invariant: the size of the prompt is shown against the context
//! that is really in force, before anything is sent.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Call, Cx, Outcome, Pane, PaneInfo, Title, tile};
use crate::tui::action::{Action, Scope, queue, tools};
use crate::tui::attached::label;
use crate::tui::composer::Look;
use crate::tui::format;
use crate::tui::keymap::Mode;
use crate::tui::layout::{Slot, Tile};
use crate::tui::output::{Cursor, Shape};
use crate::tui::paint::Row;
use crate::tui::shared::{Shared, Writing};
use crate::tui::text::width::{drawable, truncate, width};
use crate::tui::theme::Role;

pub const ID: &str = "composer";
/// The most rows that it grows to.
const ROWS: u16 = 10;
/// Rows of attachments that are shown.
const CHIP_ROWS: usize = 3;

static INFO: PaneInfo =
    PaneInfo { tile: Tile { joined: true, ..tile(ID, Slot::Centre, 1, 0) }, title: "Composer", tab: "", scope: Scope::Insert };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Composer)
}

struct Composer;

/// `~38 tok · 9 % ctx`, and whether it will not fit.
#[must_use]
pub fn usage(shared: &Shared) -> (String, bool) {
    let text = shared.composer.borrow().text();
    let usage = shared.usage(&text);
    let mark = if usage.tokens == 0 { "" } else { "~" };
    let tokens = format!("{mark}{} tok", format::short(u64::from(usage.tokens)));
    match shared.context() {
        Some(context) if context > 0 => {
            let percent = u64::from(usage.tokens) * 100 / u64::from(context);
            let reserve = shared.settings().parameters().integer("max_tokens").and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            let over = usage.tokens.saturating_add(reserve) > context;
            (format!("{tokens} · {percent} % ctx"), over)
        }
        _ => (tokens, false),
    }
}

impl Pane for Composer {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn scope(&self, cx: &Cx<'_>) -> Scope {
        cx.composer.borrow().scope()
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let left = match &cx.view.writing {
            Writing::Message => match cx.model() {
                Some(model) => match cx.preset() {
                    Some(preset) => format!("{} · {}", drawable(&model.model), drawable(preset)),
                    None => drawable(&model.model).into_owned(),
                },
                None if !cx.attached() => "…".to_owned(),
                None => format!("no model ({} chooses)", cx.key(Scope::Anywhere, Action::ModelChoose)),
            },
            Writing::Edit { ask: true, .. } => "another version: asks again".to_owned(),
            Writing::Edit { ask: false, .. } => "another version".to_owned(),
            Writing::Queued { .. } => "queued prompt: keeps its place".to_owned(),
            Writing::System { .. } => "system prompt".to_owned(),
            Writing::Tool { node, results, .. } => tools::title(cx.shared, *node, results.len()),
        };
        let left = if cx.focused { format!("{} ─ {left}", cx.composer.borrow().mode()) } else { left };
        let mut note = Vec::new();
        if matches!(cx.view.writing, Writing::Message) {
            note.extend(queue::summary(cx.shared));
            if cx.system().is_some() {
                note.push("system".to_owned());
            }
            let set = cx.parameters().0.len();
            if set > 0 {
                note.push(format!("{set} set"));
            }
        }
        let (usage, _) = usage(cx.shared);
        let right = cx.leaves_out().map_or(usage.clone(), |left_out| format!("{left_out} · {usage}"));
        Title { left, note: note.join(" · "), right }
    }

    fn rows(&self, cx: &Cx<'_>, width: u16) -> u16 {
        let chips = chip_rows(cx.shared, width.saturating_sub(2)).len();
        let text = cx.composer.borrow_mut().height(width.saturating_sub(2), ROWS);
        text.saturating_add(u16::try_from(chips).unwrap_or(0))
    }

    fn act(&mut self, _call: &Call<'_>, _cx: &Cx<'_>) -> Outcome {
        Outcome::ignored()
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        let rows = chip_rows(cx.shared, inner.width);
        // The text keeps at least a row.
        let many = rows.len().min(usize::from(inner.height.saturating_sub(1)));
        for (y, row) in rows.iter().take(many).enumerate() {
            Row::new(buf, inner, u16::try_from(y).unwrap_or(0)).text(row, cx.style(Role::Accent));
        }
        let chips = u16::try_from(many).unwrap_or(0);
        let inner = Rect { y: inner.y + chips, height: inner.height - chips, ..inner };
        let look = Look { text: cx.style(Role::Text), selection: cx.style(Role::Marked), placeholder: cx.style(Role::Placeholder) };
        let hint = placeholder(cx);
        let at = cx.composer.borrow_mut().render(inner, buf, look, &hint)?;
        let insert = cx.composer.borrow().mode() == Mode::Insert;
        cx.focused.then_some(Cursor { at, shape: if insert { Shape::Bar } else { Shape::Block } })
    }
}

/// What is attached, in as many rows as it takes; of many only the first.
fn chip_rows(shared: &Shared, columns: u16) -> Vec<String> {
    let columns = usize::from(columns);
    let chips = shared.attached.chips();
    let mut rows: Vec<String> = Vec::new();
    for (at, chip) in chips.iter().enumerate() {
        let label = if chips.len() > 1 { format!("{} {}", at + 1, label(chip)) } else { label(chip) };
        let label = truncate(&label, columns).into_owned();
        let full = rows.len() == CHIP_ROWS;
        match rows.last_mut().filter(|row| width(row) + 3 + width(&label) <= columns) {
            Some(row) => row.push_str(&format!("   {label}")),
            None if full => {
                if let Some(last) = rows.last_mut() {
                    let note = format!(" and {} more", chips.len() - at);
                    *last = format!("{}{note}", truncate(last, columns.saturating_sub(width(&note))));
                }
                break;
            }
            None => rows.push(label),
        }
    }
    rows
}

fn placeholder(cx: &Cx<'_>) -> String {
    match &cx.view.writing {
        Writing::System { .. } => return "What the model should be and do; empty takes the system prompt away.".to_owned(),
        Writing::Edit { .. } | Writing::Queued { .. } => return String::new(),
        Writing::Tool { .. } => return "What the tool gives back, as the model is to read it.".to_owned(),
        Writing::Message => {}
    }
    if cx.focused {
        return if cx.model().is_some() { "Ask anything.".to_owned() } else { String::new() };
    }
    format!("{} writes a message", cx.key(Scope::Anywhere, Action::Write))
}
