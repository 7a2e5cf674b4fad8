//! What a conversation is beside its messages: how it is kept in the list, its folders, the queue of its prompts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Content, ConversationId, FolderId, ModelRef, NodeId, Parameters, UnixMs};

/// Who gave a conversation its title.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Titled {
    /// The first words of its first message.
    #[default]
    Words,
    Model,
    Person,
}

impl Titled {
    /// The word that the database and `--json` use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Model => "model",
            Self::Person => "person",
        }
    }
}

/// A conversation as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationRow {
    pub id: ConversationId,
    /// From the first words until a person (or, where that is turned on, a model) sets it. Empty: shown as `untitled`.
    pub title: String,
    #[serde(default)]
    pub titled: Titled,
    pub created: UnixMs,
    pub updated: UnixMs,
    /// Messages of all branches.
    #[serde(default)]
    pub messages: u32,
    /// Leaves of the tree.
    #[serde(default)]
    pub branches: u32,
    /// What all its messages would add to prompts, in tokens; an estimate.
    #[serde(default)]
    pub tokens: u64,
    /// An answer arrived that nobody saw.
    #[serde(default)]
    pub unread: bool,
    /// Answers being produced now.
    #[serde(default)]
    pub running: u32,
    /// Prompts that wait for their turn.
    #[serde(default)]
    pub queued: u32,
    /// The model that would answer next.
    #[serde(default)]
    pub model: Option<ModelRef>,
    /// The preset that holds in it.
    #[serde(default)]
    pub preset: Option<String>,
    /// Above all others in the list.
    #[serde(default)]
    pub pinned: bool,
    /// Put away: found by search and under Archive, not in the list.
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub folder: Option<FolderId>,
    /// In the order of the alphabet, each once.
    #[serde(default)]
    pub tags: Vec<String>,
    /// In the bin since then.
    #[serde(default)]
    pub deleted: Option<UnixMs>,
}

impl ConversationRow {
    /// An empty conversation that begins now.
    #[must_use]
    pub fn new(id: ConversationId, at: UnixMs) -> Self {
        Self {
            id,
            title: String::new(),
            titled: Titled::Words,
            created: at,
            updated: at,
            messages: 0,
            branches: 0,
            tokens: 0,
            unread: false,
            running: 0,
            queued: 0,
            model: None,
            preset: None,
            pinned: false,
            archived: false,
            folder: None,
            tags: Vec::new(),
            deleted: None,
        }
    }
}

/// A conversation's own state, beside its nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    pub row: ConversationRow,
    /// The stored HEAD: the leaf that is looked at.
    #[serde(default)]
    pub head: Option<NodeId>,
    #[serde(default)]
    pub system: Option<String>,
    #[serde(default)]
    pub parameters: Parameters,
    /// Named branches: name → leaf.
    #[serde(default)]
    pub branches: BTreeMap<String, NodeId>,
    /// What was typed and not sent.
    #[serde(default)]
    pub draft: String,
    /// What is attached to it.
    #[serde(default)]
    pub attached: Content,
    /// Marks as in vim: letter → message.
    #[serde(default)]
    pub marks: BTreeMap<char, NodeId>,
    /// Prompts that wait, first the next one.
    #[serde(default)]
    pub queue: Vec<Queued>,
    /// At forks, the child that was looked at last.
    #[serde(default)]
    pub visited: BTreeMap<NodeId, NodeId>,
}

impl Conversation {
    #[must_use]
    pub fn new(row: ConversationRow) -> Self {
        Self {
            row,
            head: None,
            system: None,
            parameters: Parameters::default(),
            branches: BTreeMap::new(),
            draft: String::new(),
            attached: Content::new(),
            marks: BTreeMap::new(),
            queue: Vec::new(),
            visited: BTreeMap::new(),
        }
    }
}

/// A prompt that waits until the answer before it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// The id that the message will have.
    pub node: NodeId,
    /// The id that its answer will have.
    pub answer: NodeId,
    /// The answer that it waits for. Prompts of one line wait for the same one; when it is done the first of them is sent under it, and
    /// the rest wait for that one's answer.
    pub line: NodeId,
    pub content: Content,
    #[serde(default)]
    pub model: Option<ModelRef>,
    pub at: UnixMs,
}

/// A folder of conversations; with `search`, a smart one: what a saved search finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    pub id: FolderId,
    /// The folder that it lies in. Never itself, never in a circle.
    #[serde(default)]
    pub parent: Option<FolderId>,
    /// Unique among its siblings, compared without regard to case.
    pub name: String,
    /// The conversation template that new conversations in it begin with.
    #[serde(default)]
    pub template: Option<String>,
    /// In the filter language of conversations. A smart folder holds nothing itself.
    #[serde(default)]
    pub search: Option<String>,
    /// Conversations that lie in it (not in folders within it): neither archived nor in the bin.
    #[serde(default)]
    pub count: u32,
    /// Of these, unread ones.
    #[serde(default)]
    pub unread: u32,
}

/// One change of how conversations are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    Pinned(bool),
    Archived(bool),
    Folder(Option<FolderId>),
    Tag {
        name: String,
        on: bool,
    },
    /// Into the bin, or out of it.
    Deleted(bool),
    Unread(bool),
}

/// What of a conversation goes along when it is forked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The messages from the first to this one.
    Path,
    /// And the other versions of each of them.
    PathAndSiblings,
    /// The whole tree.
    All,
}

/// Which conversations a list shows. None but `Bin` shows what is in the bin, none but `Archive` and `Everything` what is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shelf {
    /// All that are neither archived nor in the bin.
    All,
    /// Of these, the pinned ones.
    Pinned,
    /// Of these, those in no folder and not pinned.
    Loose,
    /// Of these, those in this folder.
    Folder(FolderId),
    Archive,
    Bin,
    /// Archived ones too.
    Everything,
}

/// By what a list is sorted; the newest, largest or last first, but titles and models by the alphabet. `reversed` turns that round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Order {
    pub by: OrderBy,
    pub reversed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderBy {
    #[default]
    Updated,
    Created,
    Title,
    Messages,
    Tokens,
    Model,
}

/// A message that was bookmarked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    pub conversation: ConversationId,
    pub title: String,
    pub node: NodeId,
    pub role: super::Role,
    pub created: UnixMs,
    /// First line of the message, harmless.
    pub snippet: String,
    /// May be empty.
    pub note: String,
}

/// What this client did and could be undone, in words: what `u` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// `sent “Write quicksort…”`: follows "Undone: " or "Done again: ".
    pub about: String,
    /// Where it was done; `None` for folders.
    #[serde(default)]
    pub conversation: Option<ConversationId>,
    /// A message of that conversation to look at now.
    #[serde(default)]
    pub node: Option<NodeId>,
}
