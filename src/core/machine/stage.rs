//! Conversations and folders as they will be once steps are taken.
//!
//! Owns: [`Stage`], on which every act that can be undone is played, forward and back. Refuses: to judge whether an act makes sense; its
//! command does. Invariant: a step is taken only when what it changes is what the step says it was, and a stage that refused changes
//! nothing, since nothing but [`Stage::finish`] tells what to write.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::commands::{Change, no_conversation, no_message};
use super::{Machine, folders};
use crate::core::settings::State as Settings;
use crate::core::tree::Counts;
use crate::core::undo::Step;
use crate::core::{Doc, Write};
use crate::error::{Error, Kind, Result};
use crate::proto::{
    Content, Conversation, ConversationId, ConversationRow, EventKind, Folder, FolderId, Node, NodeId, Queued, Subject, UnixMs,
};

/// One conversation of a stage.
struct Scene<'m> {
    /// `None` when only its row is at hand.
    doc: Option<&'m Doc>,
    now: Conversation,
    nodes: BTreeMap<NodeId, Node>,
    added: Vec<(Node, Content)>,
    /// Names of branches that changed.
    names: BTreeSet<String>,
    /// Messages came, went, or were put away.
    recount: bool,
    /// Only its place in lists changed.
    row_only: bool,
}

impl Scene<'_> {
    /// A message as it will be.
    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id).or_else(|| self.added.iter().map(|(node, _)| node).find(|node| node.id == id)).or_else(|| self.doc?.node(id))
    }

    fn node_mut(&mut self, id: NodeId) -> Result<&mut Node> {
        if !self.nodes.contains_key(&id) {
            let known = self.doc.and_then(|doc| doc.node(id)).ok_or_else(|| no_message("the message that changed"))?;
            self.nodes.insert(id, known.clone());
        }
        self.nodes.get_mut(&id).ok_or_else(|| no_message("the message that changed"))
    }

    /// Whether a message will not be shown: it is hidden, or put away by this act.
    fn gone(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.hidden || node.archived)
    }

    fn is_visible(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| !node.hidden)
    }

    /// Whether this act takes a message out of sight: it, or one above it, is hidden or put away now and was not before.
    fn leaves(&self, id: NodeId) -> bool {
        let Some(doc) = self.doc else { return false };
        !doc.is_away(id) && doc.path(id).into_iter().any(|above| self.gone(above))
    }

    /// Where to look instead of a message that is out of sight: beside the topmost that went.
    fn nearest(&self, id: NodeId) -> Option<NodeId> {
        let doc = self.doc?;
        let top = doc.path(id).into_iter().find(|above| self.gone(*above)).unwrap_or(id);
        doc.nearest(top, |other| self.gone(other))
    }
}

/// See the module.
pub(super) struct Stage<'m> {
    machine: &'m Machine,
    at: UnixMs,
    scenes: BTreeMap<ConversationId, Scene<'m>>,
    folders: Vec<Folder>,
    put: Vec<FolderId>,
    forgotten: Vec<FolderId>,
    aborts: Vec<NodeId>,
}

impl<'m> Stage<'m> {
    pub(super) fn new(machine: &'m Machine, at: UnixMs) -> Self {
        Self {
            machine,
            at,
            scenes: BTreeMap::new(),
            folders: machine.replica.folders.clone(),
            put: Vec::new(),
            forgotten: Vec::new(),
            aborts: Vec::new(),
        }
    }

    fn scene(&mut self, id: ConversationId, row_only: bool) -> Result<&mut Scene<'m>> {
        let replica = &self.machine.replica;
        let scene = match self.scenes.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let doc = replica.docs.get(&id);
                let now = match (doc, replica.rows.get(&id)) {
                    (Some(doc), _) => doc.conversation.clone(),
                    (None, Some(row)) => Conversation::new(row.clone()),
                    (None, None) => return Err(no_conversation()),
                };
                let (nodes, added, names) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
                free.insert(Scene { doc, now, nodes, added, names, recount: false, row_only: true })
            }
        };
        if !row_only {
            scene.doc.ok_or_else(no_conversation)?;
            scene.row_only = false;
        }
        Ok(scene)
    }

    /// Adds a message. Its parent is there, or was added before.
    pub(super) fn add(&mut self, conversation: ConversationId, node: Node, content: Content) -> Result<()> {
        let scene = self.scene(conversation, false)?;
        scene.recount = true;
        scene.added.push((node, content));
        Ok(())
    }

    /// Takes a step.
    ///
    /// # Errors
    /// When something else has changed what the step changes; [`Kind::Busy`] when it may be possible later.
    pub(super) fn take(&mut self, step: &Step) -> Result<()> {
        /// Sets a field that is what it should be.
        macro_rules! turn {
            ($field:expr, $from:expr, $to:expr) => {{
                if $field != *$from {
                    return Err(changed_since());
                }
                $field.clone_from($to);
            }};
        }
        match step {
            Step::Hidden { conversation, nodes, from, to } => self.hide(*conversation, nodes, *from, *to)?,
            Step::Archived { conversation, node, from, to } => {
                let scene = self.scene(*conversation, false)?;
                scene.recount = true;
                turn!(scene.node_mut(*node)?.archived, from, to);
            }
            Step::Rating { conversation, node, from, to } => turn!(self.scene(*conversation, false)?.node_mut(*node)?.rating, from, to),
            Step::Reactions { conversation, node, from, to } => {
                turn!(self.scene(*conversation, false)?.node_mut(*node)?.reactions, from, to);
            }
            Step::Bookmark { conversation, node, from, to } => turn!(self.scene(*conversation, false)?.node_mut(*node)?.bookmark, from, to),
            Step::Head { conversation, from, to } => turn!(self.scene(*conversation, false)?.now.head, from, to),
            Step::Branch { conversation, name, from, to } => {
                let scene = self.scene(*conversation, false)?;
                if scene.now.branches.get(name) != from.as_ref() {
                    return Err(changed_since());
                }
                scene.names.insert(name.clone());
                match to {
                    Some(leaf) => scene.now.branches.insert(name.clone(), *leaf),
                    None => scene.now.branches.remove(name),
                };
            }
            Step::Mark { conversation, letter, from, to } => {
                let marks = &mut self.scene(*conversation, false)?.now.marks;
                if marks.get(letter) != from.as_ref() {
                    return Err(changed_since());
                }
                match to {
                    Some(node) => marks.insert(*letter, *node),
                    None => marks.remove(letter),
                };
            }
            Step::Title { conversation, from, to } => {
                let row = &mut self.scene(*conversation, true)?.now.row;
                if (&row.title, row.titled) != (&from.0, from.1) {
                    return Err(changed_since());
                }
                (row.title, row.titled) = to.clone();
            }
            Step::System { conversation, from, to } => turn!(self.scene(*conversation, false)?.now.system, from, to),
            Step::Parameters { conversation, from, to } => turn!(self.scene(*conversation, false)?.now.parameters, from, to),
            Step::Preset { conversation, from, to } => turn!(self.scene(*conversation, false)?.now.row.preset, from, to),
            Step::Model { conversation, from, to } => turn!(self.scene(*conversation, false)?.now.row.model, from, to),
            Step::Queue { conversation, from, to } => self.queue(*conversation, from, to)?,
            Step::Pinned { conversation, from, to } => turn!(self.scene(*conversation, true)?.now.row.pinned, from, to),
            Step::ArchivedRow { conversation, from, to } => turn!(self.scene(*conversation, true)?.now.row.archived, from, to),
            Step::Deleted { conversation, from, to } => {
                turn!(self.scene(*conversation, true)?.now.row.deleted, from, to);
                if to.is_some() {
                    self.aborts.extend(self.machine.running_in(*conversation));
                }
            }
            Step::InFolder { conversation, from, to } => {
                if let Some(folder) = to
                    && !self.folders.iter().any(|known| known.id == *folder)
                {
                    return Err(changed_since());
                }
                turn!(self.scene(*conversation, true)?.now.row.folder, from, to);
            }
            Step::Tags { conversation, from, to } => turn!(self.scene(*conversation, true)?.now.row.tags, from, to),
            Step::Folder { id, from, to } => self.folder(*id, from.as_ref(), to.as_ref())?,
        }
        Ok(())
    }

    /// The queue becomes what it was. A prompt that came in or out is one whatever else waits now; once it was sent it is in the tree, and
    /// is taken back, or brought back, there.
    fn queue(&mut self, conversation: ConversationId, from: &[Queued], to: &[Queued]) -> Result<()> {
        let not_in = |these: &[Queued], those: &[Queued]| -> Vec<Queued> {
            these.iter().filter(|queued| those.iter().all(|other| other.node != queued.node)).cloned().collect()
        };
        let scene = self.scene(conversation, false)?;
        let sent = |queued: &Queued| scene.doc.is_some_and(|doc| doc.node(queued.node).is_some());
        let queue = &mut scene.now.queue;
        let place = |queue: &[Queued], one: &Queued| queue.iter().position(|queued| queued.node == one.node);
        match (&not_in(from, to)[..], &not_in(to, from)[..]) {
            ([one], []) => match place(queue, one) {
                Some(at) => drop(queue.remove(at)),
                None if sent(one) => return self.sent(conversation, one, true),
                None => return Err(changed_since()),
            },
            ([], [one]) if place(queue, one).is_some() => return Err(changed_since()),
            ([], [one]) if sent(one) => return self.sent(conversation, one, false),
            ([], [one]) => {
                let at = place(to, one).unwrap_or(queue.len());
                queue.insert(at.min(queue.len()), one.clone());
            }
            _ if queue == from => to.clone_into(queue),
            _ => return Err(changed_since()),
        }
        scene.now.row.queued = u32::try_from(scene.now.queue.len()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// A prompt that went out of the queue is taken back with its answer, and the branches that went along; or it is brought back.
    fn sent(&mut self, conversation: ConversationId, queued: &Queued, hidden: bool) -> Result<()> {
        let there = |id: &NodeId| self.machine.replica.docs.get(&conversation).is_some_and(|doc| doc.node(*id).is_some());
        let nodes: Vec<NodeId> = [queued.node, queued.answer].into_iter().filter(there).collect();
        self.hide(conversation, &nodes, !hidden, hidden)?;
        let scene = self.scene(conversation, false)?;
        let above = scene.doc.and_then(|doc| doc.node(queued.node)).and_then(|node| node.parent);
        if !hidden && scene.now.head == above {
            scene.now.head = nodes.last().copied();
        }
        if let Some(above) = above.filter(|_| hidden) {
            for (name, leaf) in scene.now.branches.iter_mut().filter(|(_, leaf)| nodes.contains(leaf)) {
                *leaf = above;
                scene.names.insert(name.clone());
            }
        }
        Ok(())
    }

    fn hide(&mut self, conversation: ConversationId, nodes: &[NodeId], from: bool, to: bool) -> Result<()> {
        let machine = self.machine;
        let among: HashSet<NodeId> = nodes.iter().copied().collect();
        let scene = self.scene(conversation, false)?;
        scene.recount = true;
        // Two acts of a person may say the same of a message: that it was queued, and that it was sent.
        let mut is_so = true;
        for id in nodes {
            is_so &= scene.node_mut(*id)?.hidden == to;
        }
        if is_so {
            return Ok(());
        }
        for id in nodes {
            let node = scene.node_mut(*id)?;
            if node.hidden != from {
                return Err(changed_since());
            }
            node.hidden = to;
            let parent = node.parent;
            if !to && parent.is_some_and(|parent| !among.contains(&parent) && !scene.is_visible(parent)) {
                return Err(Error::new(Kind::Usage, "The message above it was taken back, so it cannot come back below it.")
                    .hint("Bring that one back first, in the screen where it was taken back."));
            }
            if !to {
                continue;
            }
            if scene.now.queue.iter().any(|waits| waits.line == *id) {
                return Err(Error::new(Kind::Busy, "Prompts wait for this answer, so it stays.").hint("Drop them from the queue first."));
            }
            let below = scene.doc.into_iter().flat_map(|doc| doc.all_children(Some(*id)));
            if below.into_iter().any(|child| !among.contains(&child.id) && scene.is_visible(child.id)) {
                return Err(Error::new(Kind::Usage, "Messages were added below it since, so it stays.")
                    .hint("`D` on it in the tree puts it away with all that hangs below it."));
            }
        }
        if to {
            self.aborts.extend(nodes.iter().copied().filter(|node| machine.live.contains_key(node)));
        }
        Ok(())
    }

    fn folder(&mut self, id: FolderId, from: Option<&Folder>, to: Option<&Folder>) -> Result<()> {
        let known = self.folders.iter().position(|folder| folder.id == id);
        let is = known.map(|at| folders::bare(&self.folders[at]));
        if is.as_ref() != from {
            return Err(changed_since());
        }
        match (known, to) {
            (Some(at), None) => {
                if self.folders.iter().any(|folder| folder.parent == Some(id)) || self.is_used(id, self.folders[at].count) {
                    return Err(Error::new(Kind::Usage, "Something was put into the folder since, so it stays."));
                }
                self.folders.remove(at);
                self.put.retain(|put| *put != id);
                self.forgotten.push(id);
            }
            (at, Some(folder)) => {
                folders::check(&self.folders, folder)?;
                match at {
                    Some(at) => {
                        let (count, unread) = (self.folders[at].count, self.folders[at].unread);
                        self.folders[at] = Folder { count, unread, ..folder.clone() };
                    }
                    None => self.folders.push(folder.clone()),
                }
                self.forgotten.retain(|gone| *gone != id);
                self.put.push(id);
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Whether conversations lie in a folder that has so many: at hand or not.
    fn is_used(&self, id: FolderId, count: u32) -> bool {
        let rows = &self.machine.replica.rows;
        let stays = |row: &ConversationRow| self.scenes.get(&row.id).map_or(row.folder, |scene| scene.now.row.folder) == Some(id);
        let counted = rows.values().filter(|row| folders::lies(row).is_some_and(|(folder, _)| folder == id)).count();
        (count as usize) > counted || rows.values().any(stays)
    }

    /// HEADs that are out of sight now go where one would look next; names of branches do not. `away`: also those that lie in what is put
    /// away now. An act notes where they went; undoing it, HEAD may have been there before.
    ///
    /// # Errors
    /// When a branch that somebody named would end in nothing.
    pub(super) fn mend(&mut self, away: bool) -> Result<()> {
        for scene in self.scenes.values_mut().filter(|scene| scene.recount) {
            let nowhere = |leaf: &NodeId| scene.nodes.get(leaf).is_some_and(|node| node.hidden);
            if let Some((name, _)) = scene.now.branches.iter().find(|(_, leaf)| nowhere(leaf)) {
                let name = crate::error::quoted(name);
                return Err(Error::new(Kind::Usage, format!("The branch {name} was named there since, so it stays.")));
            }
            if let Some(head) = scene.now.head.filter(|head| !scene.is_visible(*head) || away && scene.leaves(*head)) {
                scene.now.head = scene.nearest(head);
            }
        }
        Ok(())
    }

    /// Where HEAD is in a conversation of this stage.
    pub(super) fn head(&self, conversation: ConversationId) -> Option<NodeId> {
        self.scenes.get(&conversation)?.now.head
    }

    /// A message that shows what a step did, as the stage is now.
    pub(super) fn look(&self, step: &Step) -> Option<(ConversationId, NodeId)> {
        let (conversation, node) = match step {
            Step::Hidden { conversation, nodes, to: false, .. } => (*conversation, *nodes.last()?),
            Step::Hidden { conversation, nodes, to: true, .. } => (*conversation, *nodes.first()?),
            Step::Archived { conversation, node, .. }
            | Step::Rating { conversation, node, .. }
            | Step::Reactions { conversation, node, .. }
            | Step::Bookmark { conversation, node, .. } => (*conversation, *node),
            Step::Head { conversation, to, .. } => (*conversation, (*to)?),
            Step::Branch { conversation, from, to, .. } | Step::Mark { conversation, from, to, .. } => (*conversation, to.or(*from)?),
            Step::Title { .. }
            | Step::System { .. }
            | Step::Parameters { .. }
            | Step::Preset { .. }
            | Step::Model { .. }
            | Step::Queue { .. }
            | Step::Pinned { .. }
            | Step::ArchivedRow { .. }
            | Step::Deleted { .. }
            | Step::InFolder { .. }
            | Step::Tags { .. }
            | Step::Folder { .. } => return None,
        };
        let scene = self.scenes.get(&conversation)?;
        if !scene.is_visible(node) || scene.leaves(node) {
            // Where it was done from, when that can be seen; else beside it.
            let head = scene.now.head.filter(|head| scene.is_visible(*head));
            let above = scene.doc.and_then(|doc| doc.node(node)).and_then(|node| node.parent);
            let from_here = head.filter(|head| above.is_none_or(|above| scene.doc.is_some_and(|doc| doc.is_ancestor(above, *head))));
            return from_here.or_else(|| scene.nearest(node)).map(|node| (conversation, node));
        }
        Some((conversation, node))
    }

    /// What is to be written and told. `why` stands in the versions of settings.
    pub(super) fn finish(self, why: Option<&str>) -> Change {
        let mut change = Change { aborts: self.aborts, ..Change::default() };
        let folder = |id: &FolderId| self.folders.iter().find(|folder| folder.id == *id).cloned();
        change.writes.extend(self.put.iter().filter_map(folder).map(Write::Folder));
        for (id, mut scene) in self.scenes {
            for (node, content) in &scene.added {
                change.writes.push(Write::Node { conversation: id, node: node.clone(), content: content.clone() });
                change.events.push(EventKind::Node { conversation: id, node: node.clone(), content: content.clone() });
            }
            if let Some(doc) = scene.doc.filter(|_| scene.recount) {
                let present = doc.nodes().iter().map(|node| scene.nodes.get(&node.id).unwrap_or(node));
                let counts = Counts::of(present.chain(scene.added.iter().map(|(node, _)| node)));
                let row = &mut scene.now.row;
                (row.messages, row.branches, row.tokens) = (counts.messages, counts.branches, counts.tokens);
            }
            let nodes: Vec<Node> = scene.nodes.into_values().collect();
            if !nodes.is_empty() {
                change.writes.push(Write::Nodes { nodes: nodes.clone() });
                change.events.push(EventKind::Nodes { conversation: id, nodes });
            }
            for name in scene.names {
                let leaf = scene.now.branches.get(&name).copied();
                change.writes.push(Write::Branch { conversation: id, name, leaf });
            }
            change.events.push(EventKind::Row(scene.now.row.clone()));
            match scene.doc.filter(|_| !scene.row_only) {
                Some(doc) => {
                    let (before, after) = (Settings::of_conversation(&doc.conversation), Settings::of_conversation(&scene.now));
                    change.writes.push(Write::Conversation(scene.now.clone()));
                    change.writes.extend(Write::versions(&Subject::Conversation(id), &before, &after, self.at, why));
                    change.events.push(EventKind::Conversation(scene.now));
                }
                None => change.writes.push(Write::Row(scene.now.row)),
            }
        }
        change.writes.extend(self.forgotten.iter().copied().map(Write::ForgetFolder));
        if !self.put.is_empty() || !self.forgotten.is_empty() {
            change.events.push(EventKind::Folders(folders::sorted(self.folders)));
        }
        change
    }
}

/// Somebody else was there in between.
pub(super) fn changed_since() -> Error {
    Error::new(Kind::Usage, "Something else has changed it since, so it stays as it is.")
}
