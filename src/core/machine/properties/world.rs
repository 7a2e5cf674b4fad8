//! A host without IO: a machine, the replica of a client, and what the database would hold.

use std::collections::{BTreeMap, HashMap};

use super::Act;
use crate::core::machine::*;
use crate::core::undo::{Op, OpState};
use crate::core::{Counts, Doc};
use crate::error::Kind;
use crate::proto::{Command, ConversationRow, Event, Folder, FolderId, IdGen, Keep, Node, Part, Role, Scope, Subject, content_text, wire};

/// A conversation as the database would hold it.
#[derive(Default)]
struct Stored {
    conversation: Option<Conversation>,
    nodes: Vec<Node>,
    contents: HashMap<NodeId, Content>,
    branches: BTreeMap<String, NodeId>,
}

/// What the database would hold.
#[derive(Default)]
struct Disk {
    all: BTreeMap<ConversationId, Stored>,
    folders: BTreeMap<FolderId, Folder>,
    ops: Vec<(Op, OpState)>,
}

impl Disk {
    fn of_node(&mut self, id: NodeId) -> &mut Stored {
        self.all.values_mut().find(|stored| stored.nodes.iter().any(|node| node.id == id)).expect("it was written before")
    }

    fn replace(&mut self, node: Node) {
        let stored = self.of_node(node.id);
        let known = stored.nodes.iter_mut().find(|n| n.id == node.id).expect("it was written before");
        *known = node;
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Conversation(conversation) => {
                assert!(conversation.row.folder.is_none_or(|folder| self.folders.contains_key(&folder)), "the folder is written first");
                let id = conversation.row.id;
                self.all.entry(id).or_default().conversation = Some(conversation);
            }
            Write::Node { conversation, node, content } => {
                let stored = self.all.get_mut(&conversation).expect("the conversation is written first");
                assert!(node.parent.is_none_or(|p| stored.nodes.iter().any(|n| n.id == p)), "the parent is written first");
                stored.contents.insert(node.id, content);
                stored.nodes.push(node);
            }
            Write::Checkpoint { node, content } => drop(self.of_node(node).contents.insert(node, content)),
            Write::Finish { node, content, .. } => {
                if let Some(content) = content {
                    self.of_node(node.id).contents.insert(node.id, content);
                }
                self.replace(node);
            }
            Write::Branch { conversation, name, leaf } => {
                let branches = &mut self.all.get_mut(&conversation).expect("the conversation is written first").branches;
                match leaf {
                    Some(leaf) => branches.insert(name, leaf),
                    None => branches.remove(&name),
                };
            }
            Write::Nodes { nodes } => nodes.into_iter().for_each(|node| self.replace(node)),
            Write::Row(row) => {
                assert!(row.folder.is_none_or(|folder| self.folders.contains_key(&folder)), "the folder is written first");
                if let Some(conversation) = self.all.get_mut(&row.id).and_then(|stored| stored.conversation.as_mut()) {
                    conversation.row = row;
                }
            }
            Write::Folder(folder) => {
                assert!(folder.parent.is_none_or(|parent| self.folders.contains_key(&parent)), "the parent is written first");
                self.folders.insert(folder.id, Folder { count: 0, unread: 0, ..folder });
            }
            Write::ForgetFolder(id) => drop(self.folders.remove(&id)),
            Write::Op(op) => {
                for (known, state) in &mut self.ops {
                    if known.client == op.client && *state == OpState::Undone {
                        *state = OpState::Void;
                    }
                }
                self.ops.push((op, OpState::Done));
            }
            Write::OpState { command, client, state } => {
                let (op, known) = self.ops.iter_mut().find(|(op, _)| op.command == command).expect("the op is there");
                (op.client, *known) = (client, state);
            }
            Write::DeleteConversation(id) => drop(self.all.remove(&id)),
            // Nothing that a screen shows of a conversation.
            _ => {}
        }
    }

    fn next_op(&self, client: ClientId, redo: bool) -> Option<Op> {
        let wanted = if redo { OpState::Undone } else { OpState::Done };
        let mut ops = self.ops.iter().filter(|(op, state)| op.client == client && *state == wanted).map(|(op, _)| op);
        if redo { ops.next().cloned() } else { ops.next_back().cloned() }
    }
}

/// A message, as far as people decide of it: itself, what is above it, put away, rating, reactions, bookmark, text.
type Decided = (NodeId, Option<NodeId>, bool, i8, Vec<String>, Option<String>, String);

/// What people decide of a conversation: no states, no times, no unread marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    row: ConversationRow,
    head: Option<NodeId>,
    system: Option<String>,
    branches: BTreeMap<String, NodeId>,
    marks: BTreeMap<char, NodeId>,
    nodes: Vec<Decided>,
}

pub struct World {
    machine: Machine,
    other: Replica,
    disk: Disk,
    ids: IdGen,
    pub conversations: Vec<ConversationId>,
    /// The one that acts are done in.
    here: usize,
    clients: [ClientId; 2],
    pub who: usize,
    seq: u64,
    last: Result<Ack, Error>,
}

impl World {
    pub fn new() -> Self {
        let mut ids = IdGen::Counting(0);
        let mut world = Self {
            machine: Machine::default(),
            other: Replica::default(),
            disk: Disk::default(),
            conversations: Vec::new(),
            here: 0,
            clients: [ids.fresh(), ids.fresh()],
            who: 0,
            ids,
            seq: 0,
            last: Ok(Ack::Done),
        };
        for _ in 0..2 {
            let id = world.ids.fresh();
            world.conversations.push(id);
            let parameters = Parameters::default();
            world.run(Command::NewConversation { id, title: None, system: None, parameters, model: None, saved: true });
        }
        world
    }

    fn feed(&mut self, input: Input) {
        self.seq += 1;
        let at = i64::try_from(self.seq).expect("few steps");
        let mut aborted = Vec::new();
        for effect in self.machine.handle(input, at) {
            match effect {
                Effect::Persist { writes, .. } => writes.into_iter().for_each(|write| self.disk.write(write)),
                Effect::Load(opened) => {
                    self.machine.load((*opened).clone());
                    self.other.open(*opened);
                }
                Effect::Visit { conversation, leaf } => {
                    self.machine.visited(conversation, leaf);
                    let doc = self.other.docs.get_mut(&conversation).expect("it is open there");
                    let forks = doc.forks(leaf);
                    doc.conversation.visited.extend(forks);
                    doc.visit(leaf);
                }
                Effect::Emit(kind) => {
                    self.seq += 1;
                    let event = Event { seq: self.seq, at, kind };
                    self.machine.replica.apply(&event);
                    // The other end gets it over the wire, and twice.
                    let again: Event = wire::decode(&wire::encode(&event)).expect("survives the wire");
                    self.other.apply(&again);
                    self.other.apply(&again);
                }
                Effect::Ack { result, .. } => self.last = result,
                Effect::Abort { node } => aborted.push(node),
                Effect::Start(_) | Effect::Perform { .. } => {}
            }
        }
        for node in aborted {
            self.feed(Input::Ended { node, result: Err(Error::new(Kind::Cancelled, "stopped")) });
        }
    }

    fn run(&mut self, command: Command) {
        let (client, id, run) = (self.clients[self.who], self.ids.fresh(), self.ids.fresh());
        self.feed(Input::Command { client, id, command, run });
    }

    /// What `u` does, or with `redo` `C-r`; `None` when there is nothing left.
    pub fn undo(&mut self, redo: bool) -> Option<Result<Ack, Error>> {
        let client = self.clients[self.who];
        let op = self.disk.next_op(client, redo)?;
        let id = self.ids.fresh();
        self.feed(Input::Undo { client, id, op, redo });
        Some(self.last.clone())
    }

    fn conversation(&self) -> ConversationId {
        self.conversations[self.here % self.conversations.len()]
    }

    fn doc(&self) -> &Doc {
        &self.machine.replica.docs[&self.conversation()]
    }

    fn pick_in(&self, conversation: ConversationId, index: usize) -> Option<NodeId> {
        let nodes = self.machine.replica.docs[&conversation].nodes();
        (!nodes.is_empty()).then(|| nodes[index % nodes.len()].id)
    }

    fn pick(&self, index: usize) -> Option<NodeId> {
        self.pick_in(self.conversation(), index)
    }

    fn pick_running(&self, index: usize) -> Option<NodeId> {
        let running: Vec<NodeId> = self.doc().running().map(|n| n.id).collect();
        (!running.is_empty()).then(|| running[index % running.len()])
    }

    fn pick_queued(&self, index: usize) -> Option<NodeId> {
        let queue = &self.doc().conversation.queue;
        (!queue.is_empty()).then(|| queue[index % queue.len()].node)
    }

    fn pick_folder(&self, index: usize) -> Option<FolderId> {
        let folders = &self.machine.replica.folders;
        (!folders.is_empty()).then(|| folders[index % folders.len()].id)
    }

    pub fn act(&mut self, act: Act) {
        let conversation = self.conversation();
        let model = |name: u8| ModelRef { backend: "b".into(), model: format!("m{name}") };
        let picked = |world: &Self, at| world.pick(at);
        match act {
            Act::Send(at, text) => {
                let content = vec![Part::Text { text }];
                let (node, answer) = (self.ids.fresh(), self.ids.fresh());
                let parent = self.pick(at).filter(|_| !at.is_multiple_of(5));
                self.run(Command::Send { conversation, node, parent, content, answer, model: Some(model(0)) });
            }
            Act::Add(at, user, text) => {
                let role = if user { Role::User } else { Role::Assistant };
                let (node, parent, content) = (self.ids.fresh(), self.pick(at), vec![Part::Text { text }]);
                self.run(Command::Add { conversation, node, parent, role, content });
            }
            Act::Answer(at) => {
                let Some(parent) = picked(self, at) else { return };
                let answer = self.ids.fresh();
                self.run(Command::Answer { conversation, parent, answer, model: Some(model(1)), continues: None });
            }
            Act::Continue(at) => {
                let Some(old) = picked(self, at) else { return };
                let Some(parent) = self.doc().node(old).and_then(|n| n.parent) else { return };
                let answer = self.ids.fresh();
                self.run(Command::Answer { conversation, parent, answer, model: None, continues: Some(old) });
            }
            Act::Delta(at, thinking, text) => {
                let Some(node) = self.pick_running(at) else { return };
                let kind = if thinking { DeltaKind::Thinking } else { DeltaKind::Text };
                self.feed(Input::Delta { node, kind, text });
            }
            Act::End(at, ok) => {
                let Some(node) = self.pick_running(at) else { return };
                let result = if ok { Ok(Finish::Stop) } else { Err(Error::new(Kind::Disconnected, "gone")) };
                self.feed(Input::Ended { node, result });
            }
            Act::Head(at) => {
                let Some(head) = picked(self, at) else { return };
                self.run(Command::SetHead { conversation, head });
            }
            Act::Branch(at, name) => {
                let leaf = picked(self, at);
                self.run(Command::SetBranch { conversation, name: format!("b{name}"), leaf });
            }
            Act::Forget(name) => self.run(Command::SetBranch { conversation, name: format!("b{name}"), leaf: None }),
            Act::System(text) => self.run(Command::SetSystem { conversation, text: Some(text) }),
            Act::Rename(title) => self.run(Command::Rename { conversation, title }),
            Act::Model(name) => self.run(Command::SetModel { conversation, model: model(name) }),
            Act::View(on) => self.run(Command::View { conversation: on.then_some(conversation) }),
            Act::Visit(at) => {
                let Some(leaf) = picked(self, at) else { return };
                self.run(Command::Visit { conversation, leaf });
            }
            Act::Checkpoint => self.feed(Input::Checkpoint),
            Act::Turn(to) => self.here = to % self.conversations.len(),
            Act::Keep(at, what) => {
                let on = what % 2 == 0;
                let change = match what / 2 {
                    0 => Keep::Pinned(on),
                    1 => Keep::Archived(on),
                    2 => Keep::Deleted(on),
                    3 => Keep::Folder(self.pick_folder(at).filter(|_| on)),
                    4 => Keep::Tag { name: format!("t{}", at % 3), on },
                    _ => Keep::Unread(on),
                };
                let mut conversations = vec![conversation, self.conversations[at % self.conversations.len()]];
                conversations.truncate(1 + at % 2);
                self.run(Command::Keep { conversations, change });
            }
            Act::SaveFolder(at, parent, name, smart) => {
                let id = self.pick_folder(at).filter(|_| at % 2 == 0).unwrap_or_else(|| self.ids.fresh());
                let parent = self.pick_folder(parent).filter(|_| parent % 3 > 0);
                let search = smart.then(|| "is:unread".to_owned());
                self.run(Command::SaveFolder {
                    folder: Folder { id, parent, name: format!("f{name}"), template: None, search, count: 9, unread: 9 },
                });
            }
            Act::DeleteFolder(at) => {
                let Some(id) = self.pick_folder(at) else { return };
                let lies = |row: &&ConversationRow| row.folder == Some(id);
                let conversations = self.machine.replica.rows.values().filter(lies).map(|row| row.id).collect();
                let (client, command) = (self.clients[self.who], Command::DeleteFolder { id });
                let id = self.ids.fresh();
                self.feed(Input::Found { client, id, command, conversations });
            }
            Act::Fork(at, scope) => {
                // A few are enough.
                if self.conversations.len() > 5 {
                    return;
                }
                let scope = [Scope::Path, Scope::PathAndSiblings, Scope::All][usize::from(scope)];
                let (node, to) = (self.pick(at), self.ids.fresh());
                self.run(Command::Fork { conversation, node, scope, to });
                if self.machine.replica.docs.contains_key(&to) {
                    self.conversations.push(to);
                }
            }
            Act::Graft(at, to, under, moved) => {
                let Some(node) = picked(self, at) else { return };
                if self.doc().nodes().len() > 60 {
                    return;
                }
                let to = self.conversations[to % self.conversations.len()];
                let under = self.pick_in(to, under).filter(|_| under % 4 > 0);
                self.run(Command::Graft { conversation, node, to, under, moved });
            }
            Act::Archive(at, archived) => {
                let Some(node) = picked(self, at) else { return };
                self.run(Command::ArchiveBranch { conversation, node, archived });
            }
            Act::Rate(at, rating) => {
                let Some(node) = picked(self, at) else { return };
                self.run(Command::Rate { conversation, node, rating });
            }
            Act::React(at, reaction, on) => {
                let Some(node) = picked(self, at) else { return };
                self.run(Command::React { conversation, node, reaction: format!("r{reaction}"), on });
            }
            Act::Bookmark(at, note) => {
                let Some(node) = picked(self, at) else { return };
                self.run(Command::Bookmark { conversation, node, note: note.map(|n| "n".repeat(usize::from(n))) });
            }
            Act::Parameter(tenths) => {
                let changes = vec![("temperature".to_owned(), Some((f64::from(tenths) / 10.0).into()))];
                self.run(Command::SetParameters { subject: Subject::Conversation(conversation), changes });
            }
            Act::Enqueue(at, text) => {
                let line = self.pick_running(at).filter(|_| at % 4 > 0).or_else(|| self.pick(at));
                let Some(line) = line else { return };
                let (node, answer) = (self.ids.fresh(), self.ids.fresh());
                let content = vec![Part::Text { text }];
                self.run(Command::Enqueue { conversation, line, node, answer, content, model: Some(model(0)) });
            }
            Act::EditQueued(at, text) => {
                let Some(node) = self.pick_queued(at) else { return };
                self.run(Command::EditQueued { conversation, node, content: vec![Part::Text { text }] });
            }
            Act::MoveQueued(at, to) => {
                let Some(node) = self.pick_queued(at) else { return };
                self.run(Command::MoveQueued { conversation, node, to: u32::from(to) });
            }
            Act::DropQueued(at) => {
                let Some(node) = self.pick_queued(at) else { return };
                self.run(Command::DropQueued { conversation, node });
            }
            Act::SendQueued(at, beside) => {
                let Some(node) = self.pick_queued(at) else { return };
                self.run(Command::SendQueued { conversation, node, beside });
            }
            Act::Mark(at, letter, on) => {
                let Some(node) = picked(self, at) else { return };
                self.run(Command::SetMark { conversation, letter: char::from(b'a' + letter), node: on.then_some(node) });
            }
        }
    }

    pub fn check(&self) {
        for conversation in &self.conversations {
            self.check_one(*conversation);
        }
        let replica = &self.machine.replica;
        assert_eq!(replica.rows, self.other.rows, "rows agree");
        assert_eq!(replica.folders, self.other.folders, "folders agree");
        let mut stored: Vec<Folder> = self.disk.folders.values().cloned().collect();
        let lies = |row: &&ConversationRow, id| row.folder == Some(id) && !row.archived && row.deleted.is_none();
        for folder in &mut stored {
            let rows = || replica.rows.values().filter(|row| lies(row, folder.id));
            let (count, unread) = (rows().count(), rows().filter(|row| row.unread).count());
            (folder.count, folder.unread) = (u32::try_from(count).expect("few"), u32::try_from(unread).expect("few"));
        }
        assert_eq!(
            folders::sorted(stored.clone()),
            folders::sorted(replica.folders.clone()),
            "folders are on disk, and their counts are right"
        );
        for folder in &stored {
            assert!(folders::check(&stored, folder).is_ok(), "{folder:?}");
        }
    }

    fn check_one(&self, conversation: ConversationId) {
        let doc = &self.machine.replica.docs[&conversation];
        assert_eq!(doc, &self.other.docs[&conversation], "replicas agree");
        let mut seen = 0;
        let mut stack: Vec<NodeId> = doc.all_children(None).map(|n| n.id).collect();
        while let Some(id) = stack.pop() {
            seen += 1;
            stack.extend(doc.all_children(Some(id)).map(|n| n.id));
            let path = doc.path(id);
            assert_eq!(path.last(), Some(&id));
            assert!(doc.leaf_below(id) == id || doc.is_ancestor(id, doc.leaf_below(id)));
            let bytes: usize = doc.content(id).into_iter().flatten().map(part_bytes).sum();
            assert_eq!(doc.node(id).map(|n| n.bytes), Some(bytes as u64), "the outline knows the size of the text");
        }
        let visible = doc.nodes().iter().filter(|node| !node.hidden);
        assert_eq!(seen, visible.clone().count(), "every message that is not taken back hangs in the tree once");
        let row = &doc.conversation.row;
        let running = doc.running().count();
        let counts = Counts { tokens: row.tokens, ..doc.counts() };
        assert_eq!(Counts { messages: row.messages, branches: row.branches, tokens: row.tokens }, counts);
        assert!(running > 0 || row.tokens == doc.counts().tokens, "tokens are those of the messages");
        assert_eq!(row.running as usize, running);
        let queue = &doc.conversation.queue;
        assert_eq!(row.queued as usize, queue.len());
        for (at, queued) in queue.iter().enumerate() {
            assert!(doc.node(queued.node).is_none(), "it is in the queue or in the tree, never in both");
            assert!(queue[..at].iter().all(|other| other.node != queued.node), "and there once");
            let waits_for = queue.iter().any(|other| other.answer == queued.line);
            assert!(doc.node(queued.line).is_some() || waits_for, "what it waits for is known");
        }
        let shown = |id: &NodeId| doc.node(*id).is_some_and(|node| !node.hidden);
        assert!(doc.conversation.head.as_ref().is_none_or(shown), "HEAD can be looked at");
        assert!(doc.conversation.branches.values().all(shown), "branches end in messages");
    }

    pub fn end_all(&mut self) {
        let running: Vec<NodeId> = self.machine.running().collect();
        for node in running {
            self.feed(Input::Ended { node, result: Ok(Finish::Stop) });
        }
        self.check();
    }

    /// What people decided, by conversation, and the folders.
    pub fn picture(&self) -> (Vec<Picture>, Vec<Folder>) {
        let of = |id: &ConversationId| {
            let doc = &self.machine.replica.docs[id];
            let own = &doc.conversation;
            let shown = doc.nodes().iter().filter(|node| !node.hidden);
            Picture {
                row: ConversationRow { updated: 0, unread: false, ..own.row.clone() },
                head: own.head,
                system: own.system.clone(),
                branches: own.branches.clone(),
                marks: own.marks.clone(),
                nodes: shown
                    .map(|n| {
                        let text = doc.content(n.id).map(|content| content_text(content)).unwrap_or_default();
                        (n.id, n.parent, n.archived, n.rating, n.reactions.clone(), n.bookmark.clone(), text)
                    })
                    .collect(),
            }
        };
        let folders = self.disk.folders.values().cloned().collect();
        (self.conversations.iter().map(of).collect(), folders)
    }

    /// Everything ends; then the disk holds what the screen shows.
    pub fn settle(&mut self) {
        self.end_all();
        for id in &self.conversations {
            let doc = &self.machine.replica.docs[id];
            let stored = &self.disk.all[id];
            let conversation = stored.conversation.as_ref().expect("it was written");
            assert_eq!(*conversation, Conversation { branches: conversation.branches.clone(), ..doc.conversation.clone() });
            assert_eq!(stored.branches, doc.conversation.branches);
            assert_eq!(stored.nodes.len(), doc.nodes().len());
            for node in &stored.nodes {
                assert_eq!(Some(node), doc.node(node.id));
                let text = content_text(&stored.contents[&node.id]);
                assert_eq!(stored.contents.get(&node.id), doc.content(node.id).or(Some(&Content::new())), "{text:?}");
            }
        }
    }
}

fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text { text } | Part::Thinking { text } => text.len(),
        _ => 0,
    }
}
