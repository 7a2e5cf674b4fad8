//! A conversation to which messages are being added: its counts, its HEAD, and the branches that follow.

use super::commands::{Begun, Change};
use super::runs::measure;
use super::undo::{Did, said};
use crate::core::tree::Counts;
use crate::core::undo::Step;
use crate::core::{Doc, Write};
use crate::error::{Error, Kind};
use crate::proto::{Content, Conversation, EventKind, Level, Node, NodeId, Role, State, UnixMs};

/// See the module.
pub(super) struct Grown {
    pub(super) conversation: Conversation,
    /// What was done, in words.
    pub(super) about: String,
    added: Vec<Node>,
    /// Nobody asks now: whoever looks elsewhere goes on doing so.
    by_itself: bool,
}

impl Grown {
    pub(super) fn new(doc: &Doc) -> Self {
        Self { conversation: doc.conversation.clone(), about: String::new(), added: Vec::new(), by_itself: false }
    }

    /// With a prompt that comes out of the queue.
    pub(super) fn queued(begun: Begun) -> Self {
        Self { conversation: begun.conversation, about: String::new(), added: Vec::new(), by_itself: begun.by_itself }
    }

    pub(super) fn node(&mut self, change: &mut Change, node: Node, content: Content) {
        self.added.push(node.clone());
        let conversation = self.conversation.row.id;
        change.writes.push(Write::Node { conversation, node: node.clone(), content: content.clone() });
        change.events.push(EventKind::Node { conversation, node, content });
    }

    /// Moves HEAD to the last added node, and the branches whose leaf was HEAD with it when that leaf was extended or replaced. Whoever
    /// writes in a conversation that was put away takes it out.
    pub(super) fn finish(mut self, change: &mut Change, doc: &Doc, head: NodeId, at: UnixMs) {
        let id = self.conversation.row.id;
        let counts = Counts::of(doc.nodes().iter().chain(&self.added));
        let row = &mut self.conversation.row;
        (row.messages, row.branches, row.tokens) = (counts.messages, counts.branches, counts.tokens);
        row.updated = at;
        let was = if row.deleted.is_some() { "the bin" } else { "the archive" };
        if row.deleted.take().is_some() | std::mem::take(&mut row.archived) {
            let title = said(&row.title, "The conversation");
            let error = Error::new(Kind::Usage, format!("{title} came out of {was}, since something was written in it."));
            change.events.push(EventKind::Notice { level: Level::Info, error });
        }
        let under = self.added.first().and_then(|node| node.parent);
        let old = if self.by_itself { under } else { doc.conversation.head };
        if old == doc.conversation.head {
            self.conversation.head = Some(head);
        }
        let follows = old.is_some_and(|old| {
            let leaf = doc.node(old);
            let above = leaf.and_then(|n| n.parent);
            let above_that = above.and_then(|n| doc.node(n)).and_then(|n| n.parent);
            let extended = under == Some(old);
            let asked_again = self.added.len() == 1 && above.is_some() && under == above;
            let edited = self.added.len() == 2 && above.is_some() && under == above_that;
            extended || asked_again || edited
        });
        if follows && let Some(old) = old {
            for name in doc.branch_names(old) {
                self.conversation.branches.insert(name.to_owned(), head);
                change.writes.push(Write::Branch { conversation: id, name: name.to_owned(), leaf: Some(head) });
            }
        }
        let nodes = self.added.iter().map(|node| node.id).collect();
        let mut steps = vec![Step::Hidden { conversation: id, nodes, from: true, to: false }];
        // What was sent out of the queue is in the tree: taken back, it is there to be done again.
        steps.extend(Step::between(&doc.conversation, &self.conversation).into_iter().filter(|step| !matches!(step, Step::Queue { .. })));
        change.op = Some(Did { conversation: Some(id), about: self.about, steps });
        // After the nodes, so that foreign keys hold; before the run starts.
        change.writes.push(Write::Conversation(self.conversation.clone()));
        change.events.push(EventKind::Row(self.conversation.row.clone()));
        change.events.push(EventKind::Conversation(self.conversation));
    }
}

pub(super) fn fresh(id: NodeId, parent: Option<NodeId>, role: Role, state: State, at: UnixMs, content: &Content) -> Node {
    let mut node = Node::new(id, parent, role, state, at);
    measure(&mut node, content);
    node
}
