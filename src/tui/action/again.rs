//! Answers that wait for their next attempt.

use crate::proto::{Command, Node, State};
use crate::tui::model::Model;

/// Whether an answer waits for its next attempt.
#[must_use]
pub fn waits(node: &Node) -> bool {
    node.state == State::Connecting && node.run.as_ref().is_some_and(|run| run.progress.retry_at.is_some())
}

/// The next attempt begins now: of the selected answer if that waits for it, else of all that do here.
pub fn try_now(model: &mut Model) {
    let Some(doc) = model.shared.doc() else { return model.say("No answer waits to be asked for again.") };
    let conversation = doc.conversation.row.id;
    let selected = model.node_at_hand().filter(|id| doc.node(*id).is_some_and(waits));
    if !doc.running().any(waits) {
        return model.say("No answer waits to be asked for again.");
    }
    if !model.refuse_offline() {
        model.post(Command::TryNow { conversation, node: selected });
    }
}
