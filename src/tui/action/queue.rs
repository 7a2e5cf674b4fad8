//! Prompts that wait for an answer: into the queue, and what is done with those that are in it.
//!
//! Invariant: a prompt is in the composer, in the queue or in the tree, never nowhere: one that the host does not take comes back.

use crate::core::queue::{self, Standing};
use crate::proto::{Command, Content, NodeId, Part, Queued, Role, content_text};
use crate::tui::format;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay;
use crate::tui::shared::{Shared, Writing};
use crate::tui::text::width::drawable;

use super::overflow::{self, Then};
use super::{Action, Scope};

/// The answer that a prompt written now has to wait for.
#[must_use]
pub fn line(shared: &Shared) -> Option<NodeId> {
    let running =
        |id: &NodeId| shared.doc().and_then(|doc| doc.node(*id)).is_some_and(|n| n.role == Role::Assistant && n.state.is_running());
    shared.view.awaited.or_else(|| shared.view.leaf.filter(running))
}

/// Whether a message comes out of the queue, or was meant for it by this screen.
#[must_use]
pub fn is_queued(model: &Model, id: NodeId) -> bool {
    let waits = |queued: &Queued| queued.node == id || queued.answer == id;
    model.shared.doc().is_some_and(|doc| doc.conversation.queue.iter().any(waits))
        || model.waiting.values().any(|w| matches!(w, Waiting::Queued { node, answer, .. } if *node == id || *answer == id))
}

/// The host took a prompt: where it is now.
pub fn taken(model: &mut Model, node: NodeId) {
    let Some(doc) = model.shared.doc() else { return };
    let Some(queued) = doc.conversation.queue.iter().find(|queued| queued.node == node) else { return };
    let key = model.shared.key(Scope::Anywhere, Action::Queue);
    let text = match queue::standing(doc, queued) {
        Standing::Waits => format!("Queued: it is sent when the answer above is done ({key} shows the queue)."),
        Standing::Held(why) => format!("Queued, and held: {} ({key} shows the queue).", why.words()),
    };
    model.say(text);
}

/// `:queue`.
pub fn show(model: &mut Model) {
    if model.shared.doc().is_none_or(|doc| doc.conversation.queue.is_empty()) {
        return model.say("Nothing is queued here: what you send while an answer is written waits for its end.");
    }
    model.push_overlay(overlay::queue::boxed());
}

/// Sends a prompt of the queue now, if it fits or it is said what becomes of it.
pub fn send(model: &mut Model, node: NodeId, beside: bool) {
    let Some((leaf, below)) = overflow::of_queued(&model.shared, node, beside) else { return };
    // An answer that is still written has no size yet.
    let runs = leaf.and_then(|leaf| model.shared.doc()?.node(leaf)).is_some_and(|node| node.state.is_running());
    if runs || overflow::fits_below(model, leaf, Some(below), Then::Queued { node, beside }) {
        send_anyway(model, node, beside);
    }
}

/// The same, fit or not.
pub fn send_anyway(model: &mut Model, node: NodeId, beside: bool) {
    if model.refuse_offline() {
        return;
    }
    let Some(conversation) = model.shared.view.conversation else { return };
    let found = model.shared.doc().and_then(|doc| doc.conversation.queue.iter().find(|queued| queued.node == node));
    let Some(answer) = found.map(|queued| queued.answer) else { return };
    model.shared.view.awaited = Some(answer);
    model.post(Command::SendQueued { conversation, node, beside });
}

/// A prompt of the queue comes into the composer; its place stays.
pub fn edit(model: &mut Model, node: NodeId) {
    let found = model.shared.doc().and_then(|doc| doc.conversation.queue.iter().find(|queued| queued.node == node));
    let Some(text) = found.map(|queued| content_text(&queued.content)) else { return };
    let stash = super::talk::stash(model);
    model.shared.view.writing = Writing::Queued { node, stash };
    super::talk::write(model);
    super::talk::fill(model, &text);
    model.mark_all();
}

/// Enter, while a prompt of the queue is edited.
pub fn finish_edit(model: &mut Model, node: NodeId, text: &str) {
    if text.trim().is_empty() {
        return model.say("An empty prompt is not kept; Esc twice gives the edit up, D in the queue drops the prompt.");
    }
    if model.refuse_offline() {
        return;
    }
    let Some(conversation) = model.shared.view.conversation else { return };
    let known = model.shared.doc().and_then(|doc| doc.conversation.queue.iter().find(|queued| queued.node == node));
    let attached = known.map(|queued| &queued.content).into_iter().flatten().filter(|part| !matches!(part, Part::Text { .. }));
    let content: Content = std::iter::once(Part::Text { text: text.to_owned() }).chain(attached.cloned()).collect();
    model.post_for(Command::EditQueued { conversation, node, content }, Waiting::Sent { text: text.to_owned(), attached: Content::new() });
    super::talk::unstash(model);
}

/// What `C-c` leaves waiting behind an answer, in words.
#[must_use]
pub fn held_by(shared: &Shared, answer: NodeId) -> Option<String> {
    let count = shared.doc()?.conversation.queue.iter().filter(|queued| queued.line == answer).count();
    let key = shared.key(Scope::Anywhere, Action::Queue);
    let verb = if count == 1 { "is" } else { "are" };
    (count > 0).then(|| format!("{} {verb} held ({key} shows the queue).", format::plural(count as u64, "queued prompt")))
}

/// `2 queued`, `2 held`: what waits in the shown conversation.
#[must_use]
pub fn summary(shared: &Shared) -> Option<String> {
    let doc = shared.doc()?;
    let queue = &doc.conversation.queue;
    let held = queue.iter().all(|queued| matches!(queue::standing(doc, queued), Standing::Held(_)));
    (!queue.is_empty()).then(|| format!("{} {}", queue.len(), if held { "held" } else { "queued" }))
}

/// The first words of a prompt.
#[must_use]
pub fn words(content: &[Part]) -> String {
    let text = content_text(content);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let names = || {
        let name = |part: &Part| if let Part::Image { name, .. } | Part::File { name, .. } = part { Some(name.clone()) } else { None };
        content.iter().filter_map(name).collect::<Vec<_>>().join(", ")
    };
    drawable(&line.map_or_else(names, str::to_owned)).into_owned()
}
