//! A prompt that the context will not hold: what is to become of it, before it is sent.
//!
//! Invariant: nothing is sent cut that a person was not told of: by a question, or by the composer's rule where the settings say what is cut.

use crate::core::overflow::{self, Draft, KEY, Plan, Room, SUMMARISE};
use crate::proto::{BackendKind, Command, ModelInfo, ModelRef, NodeId, Subject};
use crate::tui::format;
use crate::tui::model::Model;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::pane::Intent;
use crate::tui::shared::Shared;

/// What is sent once it is known what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// What stands in the composer.
    Composer,
    /// One more answer to a message, or one that goes on.
    Answer { parent: NodeId, continues: Option<NodeId>, by: Option<ModelRef> },
    /// A prompt of the queue.
    Queued { node: NodeId, beside: bool },
}

/// What a prompt takes, and how it could be made to fit.
struct Needs {
    /// Of the prompt.
    tokens: u32,
    cut: Option<Plan>,
    summary: Option<Plan>,
}

/// Whether what stands in the composer fits, or the settings say what becomes of it; if not, it is asked.
pub fn fits(model: &mut Model, text: &str) -> bool {
    let shared = &model.shared;
    if overflow::cuts(&shared.settings()) {
        return true;
    }
    let needs = Needs { tokens: shared.usage(text).tokens, cut: shared.plan(text, false), summary: shared.plan(text, true) };
    let info = shared.model_info().cloned();
    question(model, info.as_ref(), needs, Then::Composer)
}

/// The same for what is below a message of the conversation: `below` comes under `leaf`.
pub fn fits_below(model: &mut Model, leaf: Option<NodeId>, below: Option<Draft>, then: Then) -> bool {
    let shared = &model.shared;
    let settings = shared.settings();
    let by = if let Then::Answer { by: Some(by), .. } = &then { shared.replica.model(by) } else { shared.model_info() };
    let (Some(doc), Some(info)) = (shared.doc(), by.cloned()) else { return true };
    let Some(room) = overflow::room(&info, &settings).filter(|_| !overflow::cuts(&settings)) else { return true };
    let whole = Room { context: u32::MAX, answer: None };
    let needs = Needs {
        tokens: overflow::plan(doc, settings.system(), leaf, below, whole).tokens,
        cut: Some(overflow::plan(doc, settings.system(), leaf, below, room)),
        summary: Some(overflow::plan_summary(doc, settings.system(), leaf, below, room)),
    };
    question(model, Some(&info), needs, then)
}

/// Whether it fits; if not, asks what becomes of it.
fn question(model: &mut Model, info: Option<&ModelInfo>, needs: Needs, then: Then) -> bool {
    let shared = &model.shared;
    let settings = shared.settings();
    let Some(context) = info.and_then(|info| overflow::context(info, &settings)) else { return true };
    let reserve = settings.parameters().integer("max_tokens").and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let needed = needs.tokens.saturating_add(reserve);
    if needed <= context {
        return true;
    }
    let size = format!("~{} tokens", format::grouped(u64::from(needs.tokens)));
    let asks = if reserve > 0 { format!(" and the answer may take {}", format::grouped(u64::from(reserve))) } else { String::new() };
    let intro = format!("The prompt is {size}{asks}; the context in force is {}.", format::grouped(u64::from(context)));
    let mut items = Vec::new();
    let helps = |plan: Option<Plan>| plan.filter(|plan| plan.fits && !plan.left_out.nodes.is_empty());
    if let Some(plan) = helps(needs.cut) {
        let then = then.clone();
        items.push(Item::new("cut the middle, here from now on", cut(&plan), move || Intent::FitAndSend("cut", then.clone())));
    }
    if let Some(plan) = helps(needs.summary) {
        let what = format!("summarise {} and send", overflow::words(&plan.left_out));
        let then = then.clone();
        items.push(Item::new(what, "the model writes that first; here from now on", move || Intent::FitAndSend(SUMMARISE, then.clone())));
    }
    if let Some(larger) = larger(info, needed) {
        let note = if then == Then::Composer {
            "loads the model with a larger one; the message stays here"
        } else {
            "loads the model with a larger one"
        };
        items.push(Item::new(format!("raise the context to {}", format::grouped(u64::from(larger))), note, move || {
            Intent::Line(format!("set context {larger}"))
        }));
    }
    items.push(Item::new("send it as it is", consequence(info), move || Intent::SendAnyway(then.clone())));
    let mut choose = Choose::new("Too long for the context", items, 0);
    choose.intro = vec![intro];
    model.push_overlay(Box::new(choose));
    false
}

/// What would be left out.
fn cut(plan: &Plan) -> String {
    format!("leaves out {}", overflow::words(&plan.left_out))
}

fn consequence(info: Option<&ModelInfo>) -> &'static str {
    match info.map(|m| m.kind) {
        Some(BackendKind::Ollama) => "Ollama would cut the oldest messages silently",
        Some(BackendKind::Embedded) => "the engine would refuse it",
        _ => "the server would refuse it, or cut the oldest messages",
    }
}

/// A context that would hold the prompt, where a load can be asked for one.
fn larger(info: Option<&ModelInfo>, needed: u32) -> Option<u32> {
    let info = info.filter(|info| matches!(info.kind, BackendKind::Ollama | BackendKind::Embedded))?;
    let larger = needed.checked_next_power_of_two()?;
    match info.context_max {
        Some(most) if most < needed => None,
        most => Some(most.map_or(larger, |most| larger.min(most))),
    }
}

/// The middle is cut or summarised in this conversation from now on, and the prompt goes out.
pub fn fit_and_send(model: &mut Model, word: &'static str, then: Then) {
    if model.refuse_offline() {
        return;
    }
    if let Some(conversation) = model.shared.view.conversation {
        let changes = vec![(KEY.to_owned(), Some(word.into()))];
        model.post(Command::SetParameters { subject: Subject::Conversation(conversation), changes });
    }
    send(model, then);
    model.say(match word {
        SUMMARISE => "What does not fit is summarised here (:set overflow ask asks again).",
        _ => "What does not fit is cut from the middle here (:set overflow ask asks again).",
    });
}

/// It is sent, fit or not.
pub fn send(model: &mut Model, then: Then) {
    match then {
        Then::Composer => super::talk::send_anyway(model),
        Then::Answer { parent, continues, by } => super::talk::answer(model, parent, continues, by),
        Then::Queued { node, beside } => super::queue::send_anyway(model, node, beside),
    }
}

/// What a prompt that waits would come under, and what it brings.
pub fn of_queued(shared: &Shared, node: NodeId, beside: bool) -> Option<(Option<NodeId>, Draft)> {
    let doc = shared.doc()?;
    let queued = doc.conversation.queue.iter().find(|queued| queued.node == node)?;
    let beside = if beside { crate::core::queue::beside(doc, queued.line) } else { None };
    let leaf = beside.unwrap_or_else(|| crate::core::queue::place(doc, queued.line));
    Some((leaf, Draft::content(&queued.content)))
}
