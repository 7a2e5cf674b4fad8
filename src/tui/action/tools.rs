//! What an answer is made of beside its text: the tools that it calls for, answered by hand; and how it came about.
//!
//! Invariant: arbour runs no tool. What a model asks for is shown, and a person says what comes of it.

use super::{Action, Scope, talk};
use crate::proto::{Command, NodeId, Part};
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::answer;
use crate::tui::shared::{Shared, Writing};
use crate::tui::text::width::drawable;

/// The calls of an answer: ids and names, in order.
fn calls(shared: &Shared, node: NodeId) -> Vec<(String, String)> {
    let content = shared.doc().and_then(|doc| doc.content(node));
    let call = |part: &Part| match part {
        Part::ToolCall { id, name, .. } => Some((id.clone(), name.clone())),
        _ => None,
    };
    content.into_iter().flatten().filter_map(call).collect()
}

/// What is being written, as the composer says it.
#[must_use]
pub fn title(shared: &Shared, node: NodeId, at: usize) -> String {
    let calls = calls(shared, node);
    let name = calls.get(at).map_or_else(String::new, |(_, name)| drawable(&crate::sanitise::cut(name, 32)).into_owned());
    let place = if calls.len() > 1 { format!(" ({} of {})", at + 1, calls.len()) } else { String::new() };
    format!("result of {name}{place}")
}

/// `ga`: the results of the tools that the selected answer calls for, one after the other.
pub fn answer(model: &mut Model) {
    let Some(node) = model.node_at_hand() else { return model.say("There is no answer yet.") };
    let Some(doc) = model.shared.doc() else { return };
    if doc.content(node).is_none() {
        return model.say("The message is not here yet; try again in a moment.");
    }
    if doc.node(node).is_some_and(|node| node.state.is_running()) {
        return model.say("This answer is still being written.");
    }
    if calls(&model.shared, node).is_empty() {
        return model.say("This message calls for no tool.");
    }
    let stash = talk::stash(model);
    model.shared.view.writing = Writing::Tool { node, results: Vec::new(), stash };
    talk::write(model);
    talk::fill(model, "");
    model.mark_all();
}

/// One result is written: the next one, or all of them go to the model.
pub fn finish(model: &mut Model, node: NodeId, mut results: Vec<String>, text: String) {
    let calls = calls(&model.shared, node);
    results.push(text);
    if results.len() < calls.len() {
        if let Writing::Tool { results: known, .. } = &mut model.shared.view.writing {
            *known = results;
        }
        talk::fill(model, "");
        return model.mark_all();
    }
    if !talk::ready(model) {
        return;
    }
    let Some(conversation) = model.shared.view.conversation else { return };
    let content: Vec<Part> = calls.into_iter().zip(results.clone()).map(|((id, _), content)| Part::ToolResult { id, content }).collect();
    let (fresh, next): (NodeId, NodeId) = (model.ids.fresh(), model.ids.fresh());
    model.shared.view.awaited = Some(next);
    let answerer = model.shared.doc().and_then(|doc| doc.node(node)).and_then(|node| node.model.clone());
    // Who asked for the tools goes on, if it is there.
    let by = answerer.filter(|by| model.shared.replica.model(by).is_some()).or_else(|| model.shared.model());
    let command = Command::Send { conversation, node: fresh, parent: Some(node), content, answer: next, model: by };
    model.post_for(command, Waiting::Tools { node, results });
    talk::unstash(model);
    talk::leave_composer(model);
}

/// The host refused the results: they are in the composer again, the last one to be looked at.
pub fn refused(model: &mut Model, node: NodeId, mut results: Vec<String>) {
    model.shared.view.awaited = None;
    let stash = talk::stash(model);
    let last = results.pop().unwrap_or_default();
    model.shared.view.writing = Writing::Tool { node, results, stash };
    talk::write(model);
    talk::fill(model, &last);
    model.mark_all();
}

/// `I`: all that is known of how a message came about.
pub fn details(model: &mut Model) {
    let Some(node) = model.node_at_hand() else { return model.say("There is no message yet.") };
    let Some(doc) = model.shared.doc() else { return };
    let Some(page) = doc.node(node).map(|node| answer::page(&model.shared, doc, node)) else { return };
    model.push_overlay(Box::new(page));
}

/// How the results of tools are asked for, in a few words; `None`: this message calls for none.
#[must_use]
pub fn hint(shared: &Shared, node: NodeId) -> Option<String> {
    let calls = calls(shared, node).len();
    let key = shared.key(Scope::Chat, Action::ToolAnswer);
    (calls > 0).then(|| format!("{key} writes what {} back", if calls == 1 { "the tool gives" } else { "the tools give" }))
}
