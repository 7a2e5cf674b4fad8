//! Branches that are put away, and messages that are copied: forks and grafts.
//!
//! Invariant: a copy names its origin, keeps its text, its model and its time, and has no run; the original is never changed but by being
//! put away.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::commands::{Change, name, no_message};
use super::marks::shown;
use super::runs::{first_line, measure};
use super::stage::Stage;
use super::undo::{Did, said};
use super::{Machine, Write};
use crate::core::Doc;
use crate::core::settings::State as Settings;
use crate::core::tree::Counts;
use crate::core::undo::Step;
use crate::error::{Error, Kind, Result};
use crate::proto::{
    Command, Content, Conversation, ConversationId, ConversationRow, Derived, EventKind, Node, NodeId, Opened, RunId, Scope, State,
    Subject, Titled, UnixMs, content_text,
};

/// The messages that a fork or a graft copies, in order of addition.
pub(super) fn copied(doc: &Doc, command: &Command) -> Vec<NodeId> {
    match command {
        Command::Fork { node, scope, .. } => forked(doc, *node, *scope),
        Command::Graft { node, .. } => doc.below(*node),
        _ => Vec::new(),
    }
}

fn forked(doc: &Doc, node: Option<NodeId>, scope: Scope) -> Vec<NodeId> {
    let path = node.map(|node| doc.path(node)).unwrap_or_default();
    let wanted: HashSet<NodeId> = match scope {
        Scope::All => return doc.nodes().iter().filter(|node| !node.hidden).map(|node| node.id).collect(),
        Scope::Path => path.into_iter().collect(),
        Scope::PathAndSiblings => {
            let parents = path.iter().filter_map(|id| doc.node(*id)).map(|node| node.parent);
            parents.flat_map(|parent| doc.children(parent).map(|sibling| sibling.id)).chain(path.iter().copied()).collect()
        }
    };
    doc.nodes().iter().filter(|node| !node.hidden && wanted.contains(&node.id)).map(|node| node.id).collect()
}

/// Copies of messages, parents before their children, and which is whose.
struct Copies {
    of: HashMap<NodeId, NodeId>,
    nodes: Vec<(Node, Content)>,
}

impl Copies {
    /// Those whose parent is not copied hang under `under`.
    fn new(doc: &Doc, nodes: &[NodeId], under: Option<NodeId>, seed: RunId) -> Self {
        let mut ids = Derived::from(seed.0);
        let of: HashMap<NodeId, NodeId> = nodes.iter().map(|id| (*id, ids.fresh())).collect();
        let copy = |id: &NodeId| {
            let node = doc.node(*id)?;
            let content = doc.content(*id).cloned().unwrap_or_default();
            let parent = node.parent.and_then(|parent| of.get(&parent).copied()).or(under);
            let state = if node.state.is_running() { State::Stopped } else { node.state };
            let mut copy = Node::new(*of.get(id)?, parent, node.role, state, node.created);
            copy.further_parents = node.further_parents.iter().filter_map(|parent| of.get(parent).copied()).collect();
            copy.continues = node.continues.and_then(|other| of.get(&other).copied());
            copy.model.clone_from(&node.model);
            copy.copy_of = Some(*id);
            copy.archived = node.archived;
            measure(&mut copy, &content);
            Some((copy, content))
        };
        let nodes = nodes.iter().filter_map(copy).collect();
        Self { of, nodes }
    }

    fn get(&self, id: NodeId) -> Option<NodeId> {
        self.of.get(&id).copied()
    }

    fn map<K: Ord + Clone>(&self, names: &BTreeMap<K, NodeId>) -> BTreeMap<K, NodeId> {
        names.iter().filter_map(|(name, node)| Some((name.clone(), self.get(*node)?))).collect()
    }
}

impl Machine {
    /// A new conversation with copies of messages of another.
    pub(super) fn fork(&self, command: &Command, run: RunId, at: UnixMs) -> Result<Change> {
        let Command::Fork { conversation, node, scope, to } = command else { return Ok(Change::default()) };
        if self.replica.docs.contains_key(to) || self.replica.rows.contains_key(to) {
            return Ok(Change::default());
        }
        let doc = self.doc(*conversation)?;
        self.must_be_saved(*conversation)?;
        match node {
            Some(node) => drop(shown(doc, *node)?),
            None if *scope == Scope::All => {}
            None => return Err(no_message("the one up to which is copied")),
        }
        let nodes = copied(doc, command);
        if nodes.is_empty() {
            return Err(Error::new(Kind::Usage, "There is nothing to copy: the conversation is empty."));
        }
        let copies = Copies::new(doc, &nodes, None, run);
        let from = &doc.conversation;
        let title =
            if from.row.title.trim().is_empty() { String::new() } else { name("title", &format!("{} (fork)", cut(&from.row.title)))? };
        let row = ConversationRow {
            title,
            titled: from.row.titled,
            model: from.row.model.clone(),
            preset: from.row.preset.clone(),
            folder: from.row.folder,
            tags: from.row.tags.clone(),
            ..ConversationRow::new(*to, at)
        };
        let mut new = Conversation { system: from.system.clone(), parameters: from.parameters.clone(), ..Conversation::new(row) };
        new.head = match node {
            Some(node) => copies.get(*node),
            None => doc.default_leaf().and_then(|leaf| copies.get(leaf)),
        };
        if *scope == Scope::All {
            new.head = from.head.and_then(|head| copies.get(head)).or(new.head);
            new.branches = copies.map(&from.branches);
            new.marks = copies.map(&from.marks);
            let visited = from.visited.iter().filter_map(|(above, child)| Some((copies.get(*above)?, copies.get(*child)?)));
            new.visited = visited.collect();
        }
        let counts = Counts::of(copies.nodes.iter().map(|(node, _)| node));
        (new.row.messages, new.row.branches, new.row.tokens) = (counts.messages, counts.branches, counts.tokens);
        let mut writes = vec![Write::Conversation(new.clone())];
        let node_write =
            |(node, content): &(Node, Content)| Write::Node { conversation: *to, node: node.clone(), content: content.clone() };
        writes.extend(copies.nodes.iter().map(node_write));
        writes.extend(new.branches.iter().map(|(name, leaf)| Write::Branch { conversation: *to, name: name.clone(), leaf: Some(*leaf) }));
        writes.extend(Write::versions(
            &Subject::Conversation(*to),
            &Settings::default(),
            &Settings::of_conversation(&new),
            at,
            Some("forked"),
        ));
        let about = format!("forked {} into a new conversation", said(&from.row.title, "a conversation"));
        let mut steps = vec![Step::Deleted { conversation: *to, from: Some(at), to: None }];
        if from.row.folder.is_some() {
            // Taken back, it does not hold the folder in the bin.
            steps.push(Step::InFolder { conversation: *to, from: None, to: from.row.folder });
        }
        let events = vec![EventKind::Row(new.row.clone())];
        let contents = copies.nodes.iter().map(|(node, content)| (node.id, content.clone())).collect();
        let nodes = copies.nodes.iter().map(|(node, _)| node.clone()).collect();
        let load = Some(Opened { seq: 0, conversation: new, nodes, contents });
        Ok(Change { writes, events, load, op: Some(Did { conversation: Some(*to), about, steps }), ..Change::default() })
    }

    /// Copies a message and what hangs below it under another one. A running answer is copied as far as it is, as stopped.
    pub(super) fn graft(&self, command: &Command, run: RunId, at: UnixMs) -> Result<Change> {
        let Command::Graft { conversation, node, to, under, moved } = command else { return Ok(Change::default()) };
        let doc = self.doc(*conversation)?;
        let target = self.doc(*to)?;
        if conversation != to {
            self.must_be_saved(*conversation)?;
            self.must_be_saved(*to)?;
        }
        let origin = shown(doc, *node)?;
        if let Some(under) = under {
            let under = shown(target, *under)?;
            if under.state.is_running() {
                return Err(Error::new(Kind::Busy, format!("The answer there is still {}.", under.state))
                    .hint("Wait until it is done, or stop it with C-c."));
            }
        }
        if *moved && conversation == to {
            if under.is_some_and(|under| doc.is_ancestor(*node, under)) {
                return Err(Error::new(Kind::Usage, "A message cannot be moved below itself.").hint("Copy it there instead."));
            }
            if origin.parent == *under {
                return Err(Error::new(Kind::Usage, "It hangs there already."));
            }
        }
        let nodes = doc.below(*node);
        if *moved {
            self.must_be_still(doc, &nodes)?;
            if conversation != to {
                self.must_leave_something(doc, *node)?;
            }
        }
        let mut copies = Copies::new(doc, &nodes, *under, run);
        let mut steps =
            vec![Step::Hidden { conversation: *to, nodes: copies.nodes.iter().map(|(node, _)| node.id).collect(), from: true, to: false }];
        if let Some((top, _)) = copies.nodes.first_mut() {
            top.archived = false;
        }
        if *moved {
            for (copy, _) in &mut copies.nodes {
                let Some(original) = copy.copy_of.and_then(|id| doc.node(id)) else { continue };
                copy.rating = original.rating;
                copy.reactions.clone_from(&original.reactions);
                copy.bookmark.clone_from(&original.bookmark);
                if original.bookmark.is_some() {
                    let (conversation, node) = (*conversation, original.id);
                    steps.push(Step::Bookmark { conversation, node, from: original.bookmark.clone(), to: None });
                }
            }
            if !origin.archived {
                steps.push(Step::Archived { conversation: *conversation, node: *node, from: false, to: true });
            }
            if conversation == to {
                // It is the same place still: what named it names it there.
                let follow = doc.conversation.branches.iter().filter_map(|(name, leaf)| Some((name, *leaf, copies.get(*leaf)?)));
                steps.extend(follow.map(|(name, from, to)| Step::Branch {
                    conversation: *conversation,
                    name: name.clone(),
                    from: Some(from),
                    to: Some(to),
                }));
                let marks = doc.conversation.marks.iter().filter_map(|(letter, node)| Some((*letter, *node, copies.get(*node)?)));
                steps.extend(marks.map(|(letter, from, to)| Step::Mark {
                    conversation: *conversation,
                    letter,
                    from: Some(from),
                    to: Some(to),
                }));
                if let Some((from, to)) = doc.conversation.head.and_then(|head| Some((head, copies.get(head)?))) {
                    steps.push(Step::Head { conversation: *conversation, from: Some(from), to: Some(to) });
                }
            }
        }
        if target.conversation.head.is_none() {
            // The first that is there.
            let title = first_line(&content_text(doc.content(*node).map_or(&[], Vec::as_slice)), 48);
            if target.conversation.row.title.is_empty() {
                let (from, to_title) = ((String::new(), target.conversation.row.titled), (title, Titled::Words));
                steps.push(Step::Title { conversation: *to, from, to: to_title });
            }
            steps.push(Step::Head { conversation: *to, from: None, to: copies.get(doc.leaf_below(*node)) });
        }
        let mut stage = Stage::new(self, at);
        for (node, content) in copies.nodes {
            stage.add(*to, node, content)?;
        }
        for step in &steps[1..] {
            stage.take(step)?;
        }
        self.mended(&mut stage, doc, &mut steps)?;
        let verb = if *moved { "moved" } else { "copied" };
        let about = format!("{verb} {} and what hangs below it", said(&origin.snippet, "a message"));
        Ok(Change { op: Some(Did { conversation: Some(*to), about, steps }), ..stage.finish(None) })
    }

    /// Puts a branch away, or brings it back.
    pub(super) fn archive_branch(&self, conversation: ConversationId, node: NodeId, archived: bool, at: UnixMs) -> Result<Change> {
        let doc = self.doc(conversation)?;
        let known = shown(doc, node)?;
        if known.archived == archived {
            return Ok(Change::default());
        }
        if archived {
            self.must_be_still(doc, &doc.below(node))?;
            self.must_leave_something(doc, node)?;
        }
        let verb = if archived { "archived the branch at" } else { "brought back the branch at" };
        let about = format!("{verb} {}", said(&known.snippet, "a message"));
        let mut steps = vec![Step::Archived { conversation, node, from: !archived, to: archived }];
        let mut stage = Stage::new(self, at);
        stage.take(&steps[0])?;
        self.mended(&mut stage, doc, &mut steps)?;
        Ok(Change { op: Some(Did { conversation: Some(conversation), about, steps }), ..stage.finish(None) })
    }

    /// HEAD of a conversation of which something is put away; the step is noted.
    fn mended(&self, stage: &mut Stage<'_>, doc: &Doc, steps: &mut Vec<Step>) -> Result<()> {
        let conversation = doc.conversation.row.id;
        let before = stage.head(conversation);
        stage.mend(true)?;
        let after = stage.head(conversation);
        if before.is_some() && before != after {
            steps.push(Step::Head { conversation, from: before, to: after });
        }
        Ok(())
    }

    fn must_be_saved(&self, conversation: ConversationId) -> Result<()> {
        if self.unsaved.contains(&conversation) {
            return Err(Error::new(Kind::Usage, "This conversation is not saved, so nothing is copied out of it or into it."));
        }
        Ok(())
    }

    fn must_be_still(&self, doc: &Doc, nodes: &[NodeId]) -> Result<()> {
        match nodes.iter().filter_map(|id| doc.node(*id)).find(|node| node.state.is_running()) {
            Some(node) => Err(Error::new(Kind::Busy, format!("An answer in it is still {}.", node.state))
                .hint("Wait until it is done, or stop it with C-c; what came is kept.")),
            None => Ok(()),
        }
    }

    /// The last line of messages stays.
    fn must_leave_something(&self, doc: &Doc, node: NodeId) -> Result<()> {
        let is_root = doc.node(node).is_some_and(|node| node.parent.is_none());
        if is_root && doc.children(None).all(|root| root.id == node) {
            return Err(Error::new(Kind::Usage, "Nothing of the conversation would be left to look at.")
                .hint("Archive the conversation itself instead."));
        }
        Ok(())
    }
}

/// A title with room for what is put behind it.
fn cut(title: &str) -> String {
    title.chars().take(180).collect()
}
