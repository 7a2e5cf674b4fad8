//! One conversation: its outline (all nodes) and as much content as is at hand.
//!
//! Invariant: every node's parent is in the outline and older in insertion order, so there are no cycles; children are kept in
//! order of creation; hidden and archived nodes and their descendants never show in siblings or children.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::proto::{Content, Conversation, Node, NodeId, Part, Role};

/// What lists show of a tree. Messages that are put away count, but make no branches; hidden ones are not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub messages: u32,
    pub branches: u32,
    pub tokens: u64,
}

impl Counts {
    /// Of all nodes of a tree, parents before their children.
    pub fn of<'n>(nodes: impl Iterator<Item = &'n Node> + Clone) -> Self {
        let mut counts = Self::default();
        let mut away: HashSet<NodeId> = HashSet::new();
        let mut parents: HashSet<NodeId> = HashSet::new();
        let visible = nodes.filter(|node| !node.hidden);
        for node in visible.clone() {
            counts.messages += 1;
            counts.tokens += u64::from(node.tokens);
            if node.archived || node.parent.is_some_and(|parent| away.contains(&parent)) {
                away.insert(node.id);
            } else {
                parents.extend(node.parent);
            }
        }
        let leaves = visible.filter(|node| !away.contains(&node.id) && !parents.contains(&node.id)).count();
        counts.branches = u32::try_from(leaves).unwrap_or(u32::MAX);
        counts
    }
}

/// A conversation's tree. Nodes are addressed by id; the order of `nodes` is the order in which they were added.
#[derive(Debug, Clone, PartialEq)]
pub struct Doc {
    pub conversation: Conversation,
    nodes: Vec<Node>,
    index: HashMap<NodeId, usize>,
    children: HashMap<Option<NodeId>, Vec<NodeId>>,
    contents: HashMap<NodeId, Content>,
    /// The child under each node that was looked at last. What of it lies at forks is stored with the conversation.
    visited: HashMap<NodeId, NodeId>,
}

impl Doc {
    /// A document from its stored parts. Nodes whose parent is unknown become roots rather than being lost.
    #[must_use]
    pub fn new(conversation: Conversation, nodes: Vec<Node>, contents: impl IntoIterator<Item = (NodeId, Content)>) -> Self {
        let mut doc = Self {
            visited: conversation.visited.iter().map(|(above, child)| (*above, *child)).collect(),
            conversation,
            nodes: Vec::with_capacity(nodes.len()),
            index: HashMap::with_capacity(nodes.len()),
            children: HashMap::new(),
            contents: contents.into_iter().collect(),
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
        self.leaf_without(id, |_| false)
    }

    /// The leaf below a node, as if those were not there of which `gone` says so.
    fn leaf_without(&self, id: NodeId, gone: impl Fn(NodeId) -> bool) -> NodeId {
        let mut at = id;
        loop {
            let shown = |child: &&Node| !child.hidden && !child.archived && child.parent == Some(at) && !gone(child.id);
            let visited = self.visited.get(&at).and_then(|child| self.node(*child)).filter(shown);
            match visited.or_else(|| self.children(Some(at)).filter(shown).last()) {
                Some(child) => at = child.id,
                None => return at,
            }
        }
    }

    /// Where to look when a message is gone: below the version beside it that came before, else after; else its parent. `gone` says it of
    /// messages that are still visible here.
    #[must_use]
    pub fn nearest(&self, id: NodeId, gone: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let mut at = self.node(id)?;
        loop {
            let mut before = None;
            let mut after = None;
            let mut passed = false;
            for sibling in self.children.get(&at.parent).into_iter().flatten().filter_map(|id| self.node(*id)) {
                if sibling.id == at.id {
                    passed = true;
                } else if !sibling.hidden && !sibling.archived && !gone(sibling.id) {
                    if passed {
                        after = Some(sibling.id);
                        break;
                    }
                    before = Some(sibling.id);
                }
            }
            if let Some(sibling) = before.or(after) {
                return Some(self.leaf_without(sibling, gone));
            }
            at = self.node(at.parent?)?;
            if !at.hidden && !gone(at.id) && !self.is_away(at.id) {
                return Some(at.id);
            }
        }
    }

    /// Whether a message, or one above it, is put away.
    #[must_use]
    pub fn is_away(&self, id: NodeId) -> bool {
        let mut at = self.node(id);
        while let Some(node) = at {
            if node.archived {
                return true;
            }
            at = node.parent.and_then(|parent| self.node(parent));
        }
        false
    }

    /// A message and all that hangs below it, in order of addition; what is put away too, what is hidden not.
    #[must_use]
    pub fn below(&self, id: NodeId) -> Vec<NodeId> {
        let mut found = HashSet::from([id]);
        let from = self.index.get(&id).copied().unwrap_or(self.nodes.len());
        let mut all = Vec::new();
        for node in &self.nodes[from..] {
            if !node.hidden && (node.id == id || node.parent.is_some_and(|parent| found.contains(&parent))) {
                found.insert(node.id);
                all.push(node.id);
            }
        }
        all
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

    /// What is to be remembered of the way to `leaf`: at each fork, the child that lies on it.
    #[must_use]
    pub fn forks(&self, leaf: NodeId) -> BTreeMap<NodeId, NodeId> {
        let path = self.path(leaf);
        let forks = path.windows(2).filter(|pair| self.all_children(Some(pair[0])).nth(1).is_some());
        forks.map(|pair| (pair[0], pair[1])).collect()
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

    /// What lists show of this tree.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::of(self.nodes.iter())
    }
}
