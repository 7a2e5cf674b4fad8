//! A prompt that the context will not hold: what is to become of it, before it is sent.
//!
//! Invariant: nothing is sent cut that a person was not told of: by a question, or by the composer's rule where the settings say what is cut.

use crate::core::overflow::{self, KEY, Plan, SUMMARISE};
use crate::proto::{BackendKind, Command, Subject};
use crate::tui::format;
use crate::tui::model::Model;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::pane::Intent;
use crate::tui::shared::Shared;

/// Whether a prompt fits, or the settings say what becomes of it; if not, it is asked.
pub fn fits(model: &mut Model, text: &str) -> bool {
    let shared = &model.shared;
    let Some(context) = shared.context() else { return true };
    if overflow::cuts(&shared.settings()) {
        return true;
    }
    let usage = shared.usage(text);
    let reserve = shared.settings().parameters().integer("max_tokens").and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let needed = usage.tokens.saturating_add(reserve);
    if needed <= context {
        return true;
    }
    let size = format!("~{} tokens", format::grouped(u64::from(usage.tokens)));
    let asks = if reserve > 0 { format!(" and the answer may take {}", format::grouped(u64::from(reserve))) } else { String::new() };
    let intro = format!("The prompt is {size}{asks}; the context in force is {}.", format::grouped(u64::from(context)));
    let mut items = Vec::new();
    let would = |summary| shared.plan(text, summary).filter(|plan| plan.fits && !plan.left_out.nodes.is_empty());
    if let Some(plan) = would(false) {
        items.push(Item::new("cut the middle, here from now on", cut(&plan), || Intent::FitAndSend("cut")));
    }
    if let Some(plan) = would(true) {
        let what = format!("summarise {} and send", overflow::words(&plan.left_out));
        items.push(Item::new(what, "the model writes that first; here from now on", || Intent::FitAndSend(SUMMARISE)));
    }
    if let Some(larger) = larger(shared, needed) {
        let note = "loads the model with a larger one; the message stays here";
        items.push(Item::new(format!("raise the context to {}", format::grouped(u64::from(larger))), note, move || {
            Intent::Line(format!("set context {larger}"))
        }));
    }
    items.push(Item::new("send it as it is", consequence(shared), || Intent::SendAnyway));
    let mut choose = Choose::new("Too long for the context", items, 0);
    choose.intro = vec![intro];
    model.push_overlay(Box::new(choose));
    false
}

/// What would be left out.
fn cut(plan: &Plan) -> String {
    format!("leaves out {}", overflow::words(&plan.left_out))
}

fn consequence(shared: &Shared) -> &'static str {
    match shared.model_info().map(|m| m.kind) {
        Some(BackendKind::Ollama) => "Ollama would cut the oldest messages silently",
        Some(BackendKind::Embedded) => "the engine would refuse it",
        _ => "the server would refuse it, or cut the oldest messages",
    }
}

/// A context that would hold the prompt, where a load can be asked for one.
fn larger(shared: &Shared, needed: u32) -> Option<u32> {
    let info = shared.model_info().filter(|info| matches!(info.kind, BackendKind::Ollama | BackendKind::Embedded))?;
    let larger = needed.checked_next_power_of_two()?;
    match info.context_max {
        Some(most) if most < needed => None,
        most => Some(most.map_or(larger, |most| larger.min(most))),
    }
}

/// The middle is cut or summarised in this conversation from now on, and the prompt goes out.
pub fn fit_and_send(model: &mut Model, word: &'static str) {
    if model.refuse_offline() {
        return;
    }
    if let Some(conversation) = model.shared.view.conversation {
        let changes = vec![(KEY.to_owned(), Some(word.into()))];
        model.post(Command::SetParameters { subject: Subject::Conversation(conversation), changes });
    }
    super::talk::send_anyway(model);
    model.say(match word {
        SUMMARISE => "What does not fit is summarised here (:set overflow ask asks again).",
        _ => "What does not fit is cut from the middle here (:set overflow ask asks again).",
    });
}
