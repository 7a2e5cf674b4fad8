//! A host in a process of its own, whose disk fills up and which is killed; and what it told.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::{Command as Program, Stdio};

use arbour::client::start::Own;
use arbour::client::{Client, Introduction};
use arbour::core::Doc;
use arbour::proto::*;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::home::{Home, signal, until};
use super::stage::Guest;

/// A host in a process of its own, which takes a write that fails for an error and not for its end.
pub struct Lone {
    child: std::process::Child,
    state: PathBuf,
}

impl Lone {
    pub fn start(home: &Home) -> Self {
        let mut shell = Program::new("sh");
        shell.arg("-c").arg("trap '' XFSZ; exec \"$0\" serve --listen 127.0.0.1:0").arg(Home::binary());
        for name in Home::SILENCED {
            shell.env_remove(name);
        }
        shell.envs(home.environment()).current_dir(home.path());
        let child = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the host", || home.host().filter(|lock| lock.socket.is_some()));
        Self { child, state: home.state() }
    }

    /// Whether writes fail from now on.
    pub fn disk(&self, full: bool) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let soft = if full { Some(0) } else { None };
        prlimit(pid, Resource::Fsize, Rlimit { current: soft, maximum: None }).unwrap();
    }

    pub async fn guest(&self) -> Guest {
        let own = Own { state: self.state.clone(), launch: None };
        Guest::new(Client::own(own, Introduction { screen: true, ..Introduction::default() }).await.unwrap())
    }

    /// `kill -9`.
    pub fn kill(self) {
        signal(self.child.id(), Signal::KILL);
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A conversation with the scripted model.
pub async fn conversation(guest: &mut Guest) -> ConversationId {
    let conversation = guest.conversation().await;
    let model = ModelRef { backend: "work".into(), model: "scripted".into() };
    guest.act(Command::SetModel { conversation, model }).await.unwrap();
    conversation
}

/// All that the host has told, of what people see.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    rows: BTreeMap<ConversationId, ConversationRow>,
    docs: HashMap<ConversationId, Doc>,
    folders: Vec<Folder>,
    settings: BTreeMap<String, serde_json::Value>,
}

pub async fn told(guest: &mut Guest) -> Told {
    guest.client.ask(Query::Snapshot);
    guest.until_reply().await;
    let replica = guest.replica.clone();
    Told { rows: replica.rows, docs: replica.docs, folders: replica.folders, settings: replica.settings }
}

/// A conversation with all its messages and texts.
pub async fn whole(guest: &mut Guest, conversation: ConversationId) -> (Conversation, Vec<Node>, Vec<Content>) {
    told(guest).await;
    let doc = guest.replica.docs[&conversation].clone();
    let nodes: Vec<NodeId> = doc.nodes().iter().map(|node| node.id).collect();
    let Reply::Contents(contents) = guest.client.query(Query::Contents { conversation, nodes: nodes.clone() }).await.unwrap() else {
        panic!("another reply")
    };
    let contents: HashMap<NodeId, Content> = contents.into_iter().collect();
    (doc.conversation.clone(), doc.nodes().to_vec(), nodes.iter().map(|node| contents[node].clone()).collect())
}
