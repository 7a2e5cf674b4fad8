//! The queue of prompts: into it, about in it, out of it.
//!
//! Owns: when a prompt that waits is sent. Refuses: to lose one: whatever becomes of the answer that it waits for, it stays until it is
//! sent or dropped. Invariant: a prompt leaves the queue in the transaction that adds its message, so it is never sent twice.

#[cfg(test)]
mod tests;

use super::commands::{Begun, Change, has_words};
use super::undo::{Did, said};
use super::{Machine, Write};
use crate::core::Doc;
use crate::core::queue::{self, MOST};
use crate::core::undo::{Op, Step};
use crate::error::{Error, Kind, Result};
use crate::proto::{
    ClientId, Command, CommandId, Conversation, ConversationId, EventKind, Node, NodeId, Queued, RunId, State, UnixMs, content_text,
};

impl Machine {
    pub(super) fn enqueue(&self, command: Command, run: RunId, at: UnixMs) -> Result<Change> {
        let Command::Enqueue { conversation, line, node, answer, content, model } = command else { return Ok(Change::default()) };
        let doc = self.doc(conversation)?;
        if is_known(doc, node) {
            return Ok(Change::default());
        }
        has_words(&content)?;
        let Some(line) = queue::awaited(doc, line) else {
            let parent = queue::place(doc, line);
            return self.ask(Command::Send { conversation, node, parent, content, answer, model }, run, at, None);
        };
        if doc.conversation.queue.len() >= MOST {
            return Err(Error::new(Kind::Busy, format!("{MOST} prompts wait here already."))
                .hint("Wait until some are sent, or drop some (Space Q); what you typed is kept."));
        }
        let mut changed = doc.conversation.clone();
        if content_text(&content) == changed.draft {
            changed.draft.clear();
        }
        let about = format!("queued {}", said(&content_text(&content), "a prompt"));
        changed.queue.push(Queued { node, answer, line, content, model, at });
        Ok(queued(doc, changed, about))
    }

    /// A prompt that waits is written anew, put elsewhere or dropped.
    pub(super) fn change_queue(&self, command: Command) -> Result<Change> {
        let (Command::EditQueued { conversation, node, .. }
        | Command::MoveQueued { conversation, node, .. }
        | Command::DropQueued { conversation, node }) = command
        else {
            return Ok(Change::default());
        };
        let doc = self.doc(conversation)?;
        let mut changed = doc.conversation.clone();
        let Some(place) = changed.queue.iter().position(|queued| queued.node == node) else { return gone(doc, &command, node) };
        let prompt = said(&content_text(&changed.queue[place].content), "a prompt");
        let about = match command {
            Command::EditQueued { content, .. } => {
                has_words(&content).map_err(|error| error.hint("D in the queue drops the prompt."))?;
                changed.queue[place].content = content;
                format!("changed the queued prompt {prompt}")
            }
            Command::MoveQueued { to, .. } => {
                let moved = changed.queue.remove(place);
                let to = (to as usize).min(changed.queue.len());
                changed.queue.insert(to, moved);
                format!("moved the queued prompt {prompt}")
            }
            _ => {
                changed.queue.remove(place);
                format!("dropped the queued prompt {prompt}")
            }
        };
        if changed.queue == doc.conversation.queue {
            return Ok(Change::default());
        }
        Ok(queued(doc, changed, about))
    }

    pub(super) fn send_queued(
        &mut self,
        conversation: ConversationId,
        node: NodeId,
        beside: bool,
        by: (ClientId, CommandId),
        run: RunId,
        at: UnixMs,
    ) -> Result<Change> {
        let doc = self.doc(conversation)?;
        let Some(item) = doc.conversation.queue.iter().find(|queued| queued.node == node) else {
            return if doc.node(node).is_some() { Ok(Change::default()) } else { Err(dropped()) };
        };
        let line = item.line;
        let beside = if beside { queue::beside(doc, line) } else { None };
        let parent = match beside {
            Some(parent) => parent,
            None => queue::place(doc, line),
        };
        let runs = parent.filter(|parent| doc.node(*parent).is_some_and(|above| above.state.is_running()));
        if let Some(runs) = runs {
            // What it waits for may be another answer than the one that goes on where that one was.
            let mut changed = doc.conversation.clone();
            changed.queue.iter_mut().filter(|queued| queued.node == node).for_each(|queued| queued.line = runs);
            let mut change = if runs == line { Change::default() } else { Change { op: None, ..queued(doc, changed, String::new()) } };
            if let Some(live) = self.live.get_mut(&runs) {
                live.then = Some(Then { node, by });
                change.aborts.push(runs);
            }
            return Ok(change);
        }
        let mut now = doc.conversation.clone();
        let Some(item) = take(&mut now, node, Some(line).filter(|_| beside.is_none())) else { return Ok(Change::default()) };
        self.ask(send(conversation, parent, item), run, at, Some(Begun { conversation: now, by_itself: false }))
    }

    /// What follows when an answer has ended: the first prompt that waits for it is sent under it. `now` is what its end made of the
    /// conversation; `None`: nothing goes on by itself.
    pub(super) fn go_on(&self, now: &Conversation, ended: &Node, then: Option<Then>, at: UnixMs) -> Option<Change> {
        let doc = self.replica.docs.get(&now.row.id)?;
        let by_itself = || {
            let finish = ended.run.as_ref().and_then(|run| run.finish.as_ref());
            let whole = ended.state == State::Done && finish.is_some_and(queue::goes_on);
            let first = now.queue.iter().find(|queued| queued.line == ended.id).filter(|_| whole);
            first.map(|queued| queued.node)
        };
        let then = then.filter(|then| now.queue.iter().any(|queued| queued.node == then.node));
        let chosen = then.map(|then| then.node).or_else(by_itself)?;
        // What cannot be read cannot be sent, and nobody would see what is put away.
        if self.ending || !queue::shows(doc, ended.id) || !queue::missing(doc, ended.id).is_empty() {
            return None;
        }
        let mut now = now.clone();
        let item = take(&mut now, chosen, Some(ended.id)).filter(|item| doc.node(item.node).is_none())?;
        let model = item.model.as_ref().or(now.row.model.as_ref());
        if then.is_none() && model.is_some_and(|model| self.must_ask(doc, model, ended.id, &item.content)) {
            return None;
        }
        // An answer's run is as unique as the answer.
        let run = RunId(item.answer.0);
        let begun = Begun { conversation: now, by_itself: true };
        let mut change = self.ask(send(begun.conversation.row.id, Some(ended.id), item), run, at, Some(begun)).ok()?;
        // What goes out by itself is undone as what it is: a prompt that was queued.
        if let Some((did, Then { by: (client, command), .. })) = change.op.take().zip(then) {
            let Did { conversation, about, steps } = did;
            change.writes.push(Write::Op(Op { command, client, at, conversation, about, steps }));
        }
        Some(change)
    }
}

/// The prompt that is sent when an answer has stopped, and who said so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Then {
    node: NodeId,
    by: (ClientId, CommandId),
}

/// Takes a prompt out of the queue; others of this line wait for its answer from now on.
fn take(conversation: &mut Conversation, node: NodeId, line: Option<NodeId>) -> Option<Queued> {
    let place = conversation.queue.iter().position(|queued| queued.node == node)?;
    let item = conversation.queue.remove(place);
    for other in &mut conversation.queue {
        if Some(other.line) == line {
            other.line = item.answer;
        }
    }
    conversation.row.queued = count(conversation);
    Some(item)
}

fn send(conversation: ConversationId, parent: Option<NodeId>, item: Queued) -> Command {
    Command::Send { conversation, node: item.node, parent, content: item.content, answer: item.answer, model: item.model }
}

fn count(conversation: &Conversation) -> u32 {
    u32::try_from(conversation.queue.len()).unwrap_or(u32::MAX)
}

/// The queue is another.
fn queued(doc: &Doc, mut changed: Conversation, about: String) -> Change {
    changed.row.queued = count(&changed);
    let row = EventKind::Row(changed.row.clone());
    let steps = Step::between(&doc.conversation, &changed);
    let op = Some(Did { conversation: Some(changed.row.id), about, steps });
    let events = vec![EventKind::Conversation(changed.clone()), row];
    Change { writes: vec![Write::Conversation(changed)], events, op, ..Change::default() }
}

fn is_known(doc: &Doc, node: NodeId) -> bool {
    doc.node(node).is_some() || doc.conversation.queue.iter().any(|queued| queued.node == node)
}

/// A prompt that is not in the queue: another screen, or the host itself, was faster.
fn gone(doc: &Doc, command: &Command, node: NodeId) -> Result<Change> {
    match command {
        _ if doc.node(node).is_some() => Err(Error::new(Kind::Usage, "This prompt was sent already; it waits no more.")
            .hint("Edit the message itself with e: that adds a version.")),
        Command::DropQueued { .. } => Ok(Change::default()),
        _ => Err(dropped()),
    }
}

fn dropped() -> Error {
    Error::new(Kind::NotFound, "This prompt waits no more: it was dropped.").hint("Another screen may have done that; u undoes it there.")
}
