//! Prompts that wait for an answer: how each stands, and where it goes. Reading only; what is done with them is `machine`'s.
//!
//! Owns: why a line is held, the place under which a prompt is sent. Refuses: to change anything. Invariant: what it says follows from the
//! tree alone, so every screen and the host say the same.

use super::{Doc, prompt};
use crate::proto::{Finish, Node, NodeId, Queued, Role, State};

/// Prompts that may wait in one conversation: more than a person keeps in mind, few enough to be written with every change.
pub const MOST: usize = 100;

/// How a queued prompt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is sent by itself when the answer before it is done.
    Waits,
    /// It is sent when a person says so.
    Held(Why),
}

/// Why a prompt is not sent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Stopped,
    HostEnded,
    Failed,
    /// The model asked for tools.
    Tools,
    /// The answer did not come to its own end.
    Cut,
    /// The answer was put away, or taken back.
    Away,
    /// It was to be sent, and could not be.
    Unsent,
}

impl Why {
    /// In words: follows "held: ".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Stopped => "the answer that it waited for was stopped",
            Self::HostEnded => "the host ended while the answer that it waited for was written",
            Self::Failed => "the answer that it waited for failed",
            Self::Tools => "the answer that it waited for asks for a tool",
            Self::Cut => "the service cut the answer that it waited for",
            Self::Away => "the answer that it waited for was put away",
            Self::Unsent => "it could not be sent by itself; it may not fit the context",
        }
    }
}

/// How a prompt stands now.
#[must_use]
pub fn standing(doc: &Doc, queued: &Queued) -> Standing {
    let Some(node) = doc.node(queued.line).filter(|node| shows(doc, node.id)) else { return Standing::Held(Why::Away) };
    if node.state.is_running() {
        return Standing::Waits;
    }
    let finish = node.run.as_ref().and_then(|run| run.finish.as_ref());
    Standing::Held(match (node.state, finish) {
        (State::Failed, _) => Why::Failed,
        (State::Stopped, Some(Finish::HostStopped)) => Why::HostEnded,
        (State::Stopped, _) => Why::Stopped,
        (_, Some(Finish::ToolCalls)) => Why::Tools,
        (_, Some(finish)) if !goes_on(finish) => Why::Cut,
        _ => Why::Unsent,
    })
}

/// Whether the prompts that wait for an answer go on when it ends so.
#[must_use]
pub fn goes_on(finish: &Finish) -> bool {
    match finish {
        Finish::Stop | Finish::Length => true,
        Finish::ToolCalls | Finish::ContentFilter | Finish::Cancelled | Finish::Error | Finish::HostStopped | Finish::Other(_) => false,
    }
}

/// Whether a message is where people see it: neither it nor one above it was taken back or put away.
#[must_use]
pub fn shows(doc: &Doc, id: NodeId) -> bool {
    let hidden = |id: &NodeId| doc.node(*id).is_none_or(|node| node.hidden || node.archived);
    doc.node(id).is_some() && !doc.path(id).iter().any(hidden)
}

/// The message under which a prompt of this line goes: the answer itself while it shows; else what is left of its branch, else HEAD.
#[must_use]
pub fn place(doc: &Doc, line: NodeId) -> Option<NodeId> {
    if shows(doc, line) {
        return Some(line);
    }
    let above = doc.path(line).into_iter().rev().find(|id| shows(doc, *id));
    above.map(|id| doc.leaf_below(id)).or_else(|| doc.default_leaf().filter(|leaf| shows(doc, *leaf)))
}

/// The message under which a branch beside the one that an answer answers begins; `None` beside: the answer is not there.
#[must_use]
pub fn beside(doc: &Doc, line: NodeId) -> Option<Option<NodeId>> {
    let asked = doc.node(line)?.parent.and_then(|id| doc.node(id))?;
    Some(asked.parent)
}

/// The answer for which a new prompt of this line has to wait: itself, one that the line went on to meanwhile, or that of others who wait.
#[must_use]
pub fn awaited(doc: &Doc, line: NodeId) -> Option<NodeId> {
    let Some(node) = doc.node(line) else {
        // The answer to a prompt that waits itself.
        return doc.conversation.queue.iter().find(|queued| queued.answer == line).map(|queued| queued.line);
    };
    if node.state.is_running() {
        return Some(line);
    }
    let held = doc.conversation.queue.iter().any(|queued| queued.line == line);
    let went_on = || doc.running().map(|answer| answer.id).filter(|answer| doc.is_ancestor(line, *answer)).last();
    if held { Some(line) } else { went_on() }
}

/// A line that is held goes on with an answer that is asked for anew: one more to the same message, or to the tools' results.
pub fn follow(doc: &Doc, queue: &mut [Queued], under: Option<NodeId>, answer: NodeId) {
    for queued in queue {
        let Some(line) = doc.node(queued.line).filter(|line| !line.state.is_running()) else { continue };
        if line.parent == under || of_tools(doc, under).is_some_and(|asked| asked == line.id) {
            queued.line = answer;
        }
    }
}

/// The answer whose tools' results these are.
fn of_tools(doc: &Doc, under: Option<NodeId>) -> Option<NodeId> {
    let mut at: &Node = doc.node(under?)?;
    while at.role == Role::Tool {
        at = doc.node(at.parent?)?;
    }
    (at.role == Role::Assistant).then_some(at.id)
}

/// Messages whose content must be at hand before a prompt of this line can be sent.
#[must_use]
pub fn missing(doc: &Doc, line: NodeId) -> Vec<NodeId> {
    prompt::missing(doc, place(doc, line))
}
