//! Whatever is done in whatever order: the tree stays a tree, replicas agree, and what is on disk is what was shown.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::core::Doc;
use crate::proto::{Conversation, Event, IdGen, Node, Part, Role, content_text, wire};

/// One random act. Indices choose among what is there.
#[derive(Debug, Clone)]
enum Act {
    Send(usize, String),
    Add(usize, bool, String),
    Answer(usize),
    Continue(usize),
    Delta(usize, bool, String),
    End(usize, bool),
    Head(usize),
    Branch(usize, u8),
    Forget(u8),
    System(String),
    View(bool),
    Checkpoint,
}

fn act() -> impl Strategy<Value = Act> {
    let at = any::<usize>();
    prop_oneof![
        3 => (at, ".{0,12}").prop_map(|(i, t)| Act::Send(i, t)),
        1 => (at, any::<bool>(), ".{0,12}").prop_map(|(i, user, t)| Act::Add(i, user, t)),
        3 => at.prop_map(Act::Answer),
        2 => at.prop_map(Act::Continue),
        8 => (at, any::<bool>(), "\\PC{0,8}").prop_map(|(i, thinking, t)| Act::Delta(i, thinking, t)),
        3 => (at, any::<bool>()).prop_map(|(i, ok)| Act::End(i, ok)),
        1 => at.prop_map(Act::Head),
        1 => (at, 0..3u8).prop_map(|(i, n)| Act::Branch(i, n)),
        1 => (0..3u8).prop_map(Act::Forget),
        1 => ".{0,8}".prop_map(Act::System),
        1 => any::<bool>().prop_map(Act::View),
        1 => Just(Act::Checkpoint),
    ]
}

/// What the database would hold.
#[derive(Default)]
struct Disk {
    conversation: Option<Conversation>,
    nodes: Vec<Node>,
    contents: HashMap<NodeId, Content>,
    branches: std::collections::BTreeMap<String, NodeId>,
}

impl Disk {
    fn write(&mut self, write: Write) {
        match write {
            Write::Conversation(conversation) => self.conversation = Some(conversation),
            Write::Node { node, content, .. } => {
                assert!(node.parent.is_none_or(|p| self.nodes.iter().any(|n| n.id == p)), "the parent is written first");
                self.contents.insert(node.id, content);
                self.nodes.push(node);
            }
            Write::Checkpoint { node, content } => {
                self.contents.insert(node, content);
            }
            Write::Finish { node, content, .. } => {
                if let Some(content) = content {
                    self.contents.insert(node.id, content);
                }
                let known = self.nodes.iter_mut().find(|n| n.id == node.id).expect("it was written before");
                *known = node;
            }
            Write::Branch { name, leaf, .. } => {
                match leaf {
                    Some(leaf) => self.branches.insert(name, leaf),
                    None => self.branches.remove(&name),
                };
            }
            Write::Nodes { nodes } => {
                for node in nodes {
                    let known = self.nodes.iter_mut().find(|n| n.id == node.id).expect("it was written before");
                    *known = node;
                }
            }
            Write::Row(row) => {
                if let Some(conversation) = &mut self.conversation {
                    conversation.row = row;
                }
            }
            Write::DeleteConversation(_)
            | Write::Folder(_)
            | Write::ForgetFolder(_)
            | Write::Op(_)
            | Write::OpState { .. }
            | Write::Setting { .. }
            | Write::Card { .. }
            | Write::Loaded { .. }
            | Write::Download(_)
            | Write::ForgetDownload { .. }
            | Write::Used { .. }
            | Write::Version { .. }
            | Write::Preset { .. }
            | Write::PresetRenamed { .. }
            | Write::Group { .. }
            | Write::Series { .. }
            | Write::Applied { .. } => {}
        }
    }
}

struct World {
    machine: Machine,
    other: Replica,
    disk: Disk,
    ids: IdGen,
    conversation: ConversationId,
    client: ClientId,
    seq: u64,
}

impl World {
    fn feed(&mut self, input: Input) {
        self.seq += 1;
        let at = i64::try_from(self.seq).expect("few steps");
        for effect in self.machine.handle(input, at) {
            match effect {
                Effect::Persist { writes, .. } => writes.into_iter().for_each(|write| self.disk.write(write)),
                Effect::Load(opened) => {
                    self.machine.load((*opened).clone());
                    self.other.open(*opened);
                }
                Effect::Visit { conversation, leaf } => self.machine.visited(conversation, leaf),
                Effect::Emit(kind) => {
                    self.seq += 1;
                    let event = Event { seq: self.seq, at, kind };
                    self.machine.replica.apply(&event);
                    // The other end gets it over the wire, and twice.
                    let again: Event = wire::decode(&wire::encode(&event)).expect("survives the wire");
                    self.other.apply(&again);
                    self.other.apply(&again);
                }
                Effect::Start(_) | Effect::Abort { .. } | Effect::Ack { .. } | Effect::Perform { .. } => {}
            }
        }
    }

    fn run(&mut self, command: Command) {
        let (client, id, run) = (self.client, self.ids.fresh(), self.ids.fresh());
        self.feed(Input::Command { client, id, command, run });
    }

    fn doc(&self) -> &Doc {
        &self.machine.replica.docs[&self.conversation]
    }

    fn pick(&self, index: usize) -> Option<NodeId> {
        let nodes = self.doc().nodes();
        (!nodes.is_empty()).then(|| nodes[index % nodes.len()].id)
    }

    fn pick_running(&self, index: usize) -> Option<NodeId> {
        let running: Vec<NodeId> = self.doc().running().map(|n| n.id).collect();
        (!running.is_empty()).then(|| running[index % running.len()])
    }

    fn act(&mut self, act: Act) {
        let conversation = self.conversation;
        let model = Some(ModelRef { backend: "b".into(), model: "m".into() });
        match act {
            Act::Send(at, text) => {
                let content = vec![Part::Text { text }];
                let (node, answer) = (self.ids.fresh(), self.ids.fresh());
                let parent = self.pick(at).filter(|_| !at.is_multiple_of(5));
                self.run(Command::Send { conversation, node, parent, content, answer, model });
            }
            Act::Add(at, user, text) => {
                let role = if user { Role::User } else { Role::Assistant };
                let (node, parent, content) = (self.ids.fresh(), self.pick(at), vec![Part::Text { text }]);
                self.run(Command::Add { conversation, node, parent, role, content });
            }
            Act::Answer(at) => {
                let Some(parent) = self.pick(at) else { return };
                let answer = self.ids.fresh();
                self.run(Command::Answer { conversation, parent, answer, model, continues: None });
            }
            Act::Continue(at) => {
                let Some(old) = self.pick(at) else { return };
                let Some(parent) = self.doc().node(old).and_then(|n| n.parent) else { return };
                let answer = self.ids.fresh();
                self.run(Command::Answer { conversation, parent, answer, model, continues: Some(old) });
            }
            Act::Delta(at, thinking, text) => {
                let Some(node) = self.pick_running(at) else { return };
                let kind = if thinking { DeltaKind::Thinking } else { DeltaKind::Text };
                self.feed(Input::Delta { node, kind, text });
            }
            Act::End(at, ok) => {
                let Some(node) = self.pick_running(at) else { return };
                let result = if ok { Ok(Finish::Stop) } else { Err(Error::new(crate::error::Kind::Disconnected, "gone")) };
                self.feed(Input::Ended { node, result });
            }
            Act::Head(at) => {
                let Some(head) = self.pick(at) else { return };
                self.run(Command::SetHead { conversation, head });
            }
            Act::Branch(at, name) => {
                let leaf = self.pick(at);
                self.run(Command::SetBranch { conversation, name: format!("b{name}"), leaf });
            }
            Act::Forget(name) => self.run(Command::SetBranch { conversation, name: format!("b{name}"), leaf: None }),
            Act::System(text) => self.run(Command::SetSystem { conversation, text: Some(text) }),
            Act::View(on) => self.run(Command::View { conversation: on.then_some(conversation) }),
            Act::Checkpoint => self.feed(Input::Checkpoint),
        }
    }

    fn check(&self) {
        let doc = self.doc();
        assert_eq!(doc, &self.other.docs[&self.conversation], "replicas agree");
        let mut seen = 0;
        let mut stack: Vec<NodeId> = doc.children(None).map(|n| n.id).collect();
        while let Some(id) = stack.pop() {
            seen += 1;
            stack.extend(doc.children(Some(id)).map(|n| n.id));
            let path = doc.path(id);
            assert_eq!(path.last(), Some(&id));
            assert!(doc.leaf_below(id) == id || doc.is_ancestor(id, doc.leaf_below(id)));
            let bytes: usize = doc.content(id).into_iter().flatten().map(part_bytes).sum();
            assert_eq!(doc.node(id).map(|n| n.bytes), Some(bytes as u64), "the outline knows the size of the text");
        }
        assert_eq!(seen, doc.nodes().len(), "every node hangs in the tree once");
        let (counts, row) = (doc.counts(), &doc.conversation.row);
        assert_eq!((row.messages, row.branches), (counts.messages, counts.branches));
        assert_eq!(doc.conversation.row.running as usize, doc.running().count());
        assert!(doc.conversation.head.is_none_or(|head| doc.node(head).is_some()));
    }

    /// Everything ends; then the disk holds what the screen shows.
    fn settle(&mut self) {
        let running: Vec<NodeId> = self.machine.running().collect();
        for node in running {
            self.feed(Input::Ended { node, result: Ok(Finish::Stop) });
        }
        self.check();
        let disk = std::mem::take(&mut self.disk);
        let stored = disk.conversation.expect("it was written");
        let doc = self.doc();
        assert_eq!(stored.head, doc.conversation.head);
        assert_eq!(stored.row, doc.conversation.row);
        assert_eq!(disk.branches, doc.conversation.branches);
        assert_eq!(disk.nodes.len(), doc.nodes().len());
        for node in &disk.nodes {
            assert_eq!(Some(node), doc.node(node.id));
            assert_eq!(
                disk.contents.get(&node.id),
                doc.content(node.id).or(Some(&Content::new())),
                "{:?}",
                content_text(&disk.contents[&node.id])
            );
        }
    }
}

fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text { text } | Part::Thinking { text } => text.len(),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_the_tree_the_replicas_and_the_disk_agree(acts in proptest::collection::vec(act(), 1..60)) {
        let mut ids = IdGen::Counting(0);
        let mut world = World {
            machine: Machine::default(),
            other: Replica::default(),
            disk: Disk::default(),
            conversation: ids.fresh(),
            client: ids.fresh(),
            ids,
            seq: 0,
        };
        let id = world.conversation;
        world.run(Command::NewConversation { id, title: None, system: None, parameters: Parameters::default(), model: None, saved: true });
        for act in acts {
            world.act(act);
            world.check();
        }
        world.settle();
    }
}
