//! One conversation: its outline (all nodes) and as much content as is at hand.
//!
//! Invariant: every node's parent is in the outline and older in insertion order, so there are no cycles; children are kept in
//! order of creation; hidden and archived nodes and their descendants never show in siblings or children.

use std::collections::HashMap;

use crate::proto::{Content, Conversation, Node, NodeId, Part, Role};

/// A conversation's tree. Nodes are addressed by id; the order of `nodes` is the order in which they were added.
#[derive(Debug, Clone, PartialEq)]
pub struct Doc {
    pub conversation: Conversation,
    nodes: Vec<Node>,
    index: HashMap<NodeId, usize>,
    children: HashMap<Option<NodeId>, Vec<NodeId>>,
    contents: HashMap<NodeId, Content>,
    /// The child under each node that was looked at last; navigation only, not stored.
    visited: HashMap<NodeId, NodeId>,
}

impl Doc {
    /// A document from its stored parts. Nodes whose parent is unknown become roots rather than being lost.
    #[must_use]
    pub fn new(conversation: Conversation, nodes: Vec<Node>, contents: impl IntoIterator<Item = (NodeId, Content)>) -> Self {
        let mut doc = Self {
            conversation,
            nodes: Vec::with_capacity(nodes.len()),
            index: HashMap::with_capacity(nodes.len()),
            children: HashMap::new(),
            contents: contents.into_iter().collect(),
            visited: HashMap::new(),
        };
        for node in nodes {
            doc.insert(node, None);
        }
        doc
    }

    /// Adds a node, or replaces one of the same id (its place in the tree stays).
    pub fn insert(&mut self, mut node: Node, content: Option<Content>) {
        if let Some(content) = content {
            self.contents.insert(node.id, content);
        }
        if let Some(&at) = self.index.get(&node.id) {
            node.parent = self.nodes[at].parent;
            self.nodes[at] = node;
            return;
        }
        if node.parent.is_some_and(|parent| !self.index.contains_key(&parent)) {
            node.parent = None;
        }
        self.index.insert(node.id, self.nodes.len());
        self.children.entry(node.parent).or_default().push(node.id);
        self.nodes.push(node);
    }

    /// Takes over what changed of a node that is known: all but its place in the tree, and but what is written of it meanwhile.
    pub fn replace(&mut self, mut node: Node) {
        if let Some(known) = self.node_mut(node.id) {
            node.parent = known.parent;
            if known.state.is_running() {
                (node.state, node.bytes) = (known.state, known.bytes);
                node.run = known.run.take();
            }
            *known = node;
        }
    }

    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.index.get(&id).map(|&at| &self.nodes[at])
    }

    pub fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.index.get(&id).map(|&at| &mut self.nodes[at])
    }

    /// All nodes in order of addition, hidden ones too.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The content of a node, if it is at hand.
    #[must_use]
    pub fn content(&self, id: NodeId) -> Option<&Content> {
        self.contents.get(&id)
    }

    pub fn set_content(&mut self, id: NodeId, content: Content) {
        self.contents.insert(id, content);
    }

    /// Forgets contents beyond `keep`, to bound memory. The outline stays.
    pub fn forget_contents(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.contents.retain(|id, _| keep(*id));
    }

    /// Appends text to a node's content, to its last part when that is of the same kind. The caller has checked the offset.
    pub fn append(&mut self, id: NodeId, thinking: bool, more: &str) {
        let content = self.contents.entry(id).or_default();
        match (content.last_mut(), thinking) {
            (Some(Part::Thinking { text }), true) | (Some(Part::Text { text }), false) => text.push_str(more),
            (_, true) => content.push(Part::Thinking { text: more.to_owned() }),
            (_, false) => content.push(Part::Text { text: more.to_owned() }),
        }
        if let Some(node) = self.node_mut(id) {
            node.bytes += more.len() as u64;
        }
    }

    /// Visible children in order of creation; of the roots with `None`.
    pub fn children(&self, parent: Option<NodeId>) -> impl Iterator<Item = &Node> {
        self.all_children(parent).filter(|node| !node.archived)
    }

    /// Children in order of creation, those that are put away too.
    pub fn all_children(&self, parent: Option<NodeId>) -> impl Iterator<Item = &Node> {
        self.children.get(&parent).into_iter().flatten().filter_map(|id| self.node(*id)).filter(|node| !node.hidden)
    }

    /// A node's place among its siblings, from 1, and how many there are: the `2/3` of `‹2/3›`.
    #[must_use]
    pub fn place(&self, id: NodeId) -> (usize, usize) {
        let Some(node) = self.node(id) else { return (0, 0) };
        let mut place = 0;
        let mut count = 0;
        for sibling in self.children(node.parent) {
            count += 1;
            if sibling.id == id {
                place = count;
            }
        }
        (place, count)
    }

    /// The sibling `by` places further, stopping at the ends. `None` when there is no other.
    #[must_use]
    pub fn sibling(&self, id: NodeId, by: isize) -> Option<NodeId> {
        let node = self.node(id)?;
        let all: Vec<NodeId> = self.children(node.parent).map(|n| n.id).collect();
        let here = all.iter().position(|other| *other == id)?;
        let there = here.saturating_add_signed(by).min(all.len() - 1);
        (there != here).then(|| all[there])
    }

    /// The `n`th sibling, from 1.
    #[must_use]
    pub fn nth_sibling(&self, id: NodeId, n: usize) -> Option<NodeId> {
        let node = self.node(id)?;
        self.children(node.parent).nth(n.checked_sub(1)?).map(|n| n.id)
    }

    /// The path of first parents from the root to `leaf`, both included.
    #[must_use]
    pub fn path(&self, leaf: NodeId) -> Vec<NodeId> {
        let mut path = Vec::new();
        let mut at = self.node(leaf);
        while let Some(node) = at {
            path.push(node.id);
            at = node.parent.and_then(|parent| self.node(parent));
        }
        path.reverse();
        path
    }

    /// The leaf below a node: the last visited child at each step, else the newest.
    #[must_use]
    pub fn leaf_below(&self, id: NodeId) -> NodeId {
        let mut at = id;
        loop {
            let visited = self.visited.get(&at).copied().filter(|child| self.node(*child).is_some_and(|n| !n.hidden));
            match visited.or_else(|| self.children(Some(at)).last().map(|n| n.id)) {
                Some(child) => at = child,
                None => return at,
            }
        }
    }

    /// The leaf to show when nothing else says: HEAD, else below the newest root.
    #[must_use]
    pub fn default_leaf(&self) -> Option<NodeId> {
        self.conversation
            .head
            .filter(|head| self.node(*head).is_some_and(|n| !n.hidden))
            .or_else(|| self.children(None).last().map(|root| self.leaf_below(root.id)))
    }

    /// Remembers the way to `leaf`, so that coming back to any ancestor leads here again.
    pub fn visit(&mut self, leaf: NodeId) {
        let path = self.path(leaf);
        for pair in path.windows(2) {
            self.visited.insert(pair[0], pair[1]);
        }
    }

    /// Whether `ancestor` lies on the path to `node` (or is it).
    #[must_use]
    pub fn is_ancestor(&self, ancestor: NodeId, node: NodeId) -> bool {
        let mut at = self.node(node);
        while let Some(n) = at {
            if n.id == ancestor {
                return true;
            }
            at = n.parent.and_then(|parent| self.node(parent));
        }
        false
    }

    /// Names of the branches whose leaf this is.
    pub fn branch_names(&self, leaf: NodeId) -> impl Iterator<Item = &str> {
        self.conversation.branches.iter().filter(move |(_, at)| **at == leaf).map(|(name, _)| name.as_str())
    }

    /// The branch on which `leaf` lies: one that names it, else one whose leaf is below or above it on the same line.
    #[must_use]
    pub fn branch_of(&self, leaf: NodeId) -> Option<&str> {
        self.branch_names(leaf).next().or_else(|| {
            self.conversation
                .branches
                .iter()
                .find(|(_, at)| self.is_ancestor(leaf, **at) || self.is_ancestor(**at, leaf))
                .map(|(name, _)| name.as_str())
        })
    }

    /// Answers that are being produced.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role == Role::Assistant && node.state.is_running())
    }

    /// Visible messages and leaves, as lists show them.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        let mut messages = 0;
        let mut leaves = 0;
        for node in self.nodes.iter().filter(|node| !node.hidden) {
            messages += 1;
            if self.children(Some(node.id)).next().is_none() {
                leaves += 1;
            }
        }
        (messages, leaves)
    }
}
