//! Panes: what is looked at. One file each, registered in [`PANES`]; the layout is data that names them.
//!
//! Owns: the trait, the registry, what panes ask for. Refuses: panes that know each other, hold channels or the state of
//! conversations. Invariant: a pane changes nothing but its own view state and caches; everything else is an [`Intent`].

pub mod chat;
pub mod composer;
pub mod conversations;
pub mod details;
pub mod metrics;
pub mod models;
pub mod rows;
pub mod table;
pub mod tree;

use std::ops::Deref;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::action::{Action, Invocation, Scope};
use super::layout::{PaneId, Slot, Tile};
use super::msg::Purpose;
use super::output::Cursor;
use super::overlay::Overlay;
use super::overlay::settings::{self, Of};
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::proto::{CardChange, Command, ConversationId, ConversationRow, Event, FolderId, Level, ModelRef, NodeId, Preset, Query, Reply};

/// A pane's entry in the registry.
#[derive(Debug)]
pub struct PaneInfo {
    pub tile: Tile,
    /// In its rule.
    pub title: &'static str,
    /// In the tab line of small screens; empty: no tab of its own.
    pub tab: &'static str,
    pub scope: Scope,
}

/// Every pane of every screen; a screen says which are shown together, and in which order `Tab` goes through them.
pub static PANES: &[fn() -> Box<dyn Pane>] =
    &[models::pane, conversations::pane, chat::pane, composer::pane, tree::pane, metrics::pane, table::pane, details::pane];

/// What a pane may read, and whether it has the focus.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    pub shared: &'a Shared,
    pub focused: bool,
}

impl Deref for Cx<'_> {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        self.shared
    }
}

/// An action for a pane or an overlay.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pub action: Action,
    pub args: &'a [String],
    pub count: Option<u32>,
}

impl Call<'_> {
    /// The count, once when none was typed.
    #[must_use]
    pub fn times(&self) -> usize {
        self.count.map_or(1, |n| n.max(1) as usize)
    }
}

/// What somebody asks `update` to do.
pub enum Intent {
    /// Runs another action.
    Call(Invocation),
    /// Runs another action although something lies over the panes.
    Run(Invocation),
    Post(Command),
    /// Posts, and says this once it is done.
    PostAndSay(Command, String),
    /// Posts one after the other, and says this once the last is done.
    PostAll(Vec<Command>, String),
    /// Opens a conversation, at a message when one is named.
    Open(ConversationId, Option<NodeId>),
    /// Begins a new conversation with messages of one.
    Fork {
        conversation: ConversationId,
        node: Option<NodeId>,
        scope: crate::proto::Scope,
        to: ConversationId,
    },
    /// Opens a conversation at a message that a search found, in which this text stands.
    Found {
        conversation: ConversationId,
        node: NodeId,
        needle: String,
    },
    /// Searches all messages.
    Search(String),
    /// Makes the leaf below this message HEAD and shows it.
    MakeHead(NodeId),
    /// Shows the path that leads through this message, and selects it.
    Show(NodeId),
    /// Selects a message of the shown path; `None` is the last one.
    Select(Option<NodeId>),
    /// The selection is on this message, which is in view already: nothing scrolls.
    Rest(Option<NodeId>),
    /// This model answers next.
    Choose(ModelRef),
    Focus(PaneId),
    Say(Level, String),
    Fail(Error),
    Overlay(Box<dyn Overlay>),
    Copy {
        text: String,
        what: String,
    },
    Save {
        path: String,
        data: Vec<u8>,
        over: bool,
    },
    /// Gives a text to a command that a person typed and confirmed.
    Pipe {
        command: String,
        text: String,
    },
    EndPipe,
    /// Brings a file that went with a message from the host.
    Fetch(Box<super::action::files::Fetch>),
    Edit {
        text: String,
        extension: String,
        purpose: Purpose,
    },
    /// Asks for the content of these messages of the shown conversation.
    Contents(Vec<NodeId>),
    /// Starts these models, after a look at whether they fit.
    Start(super::action::fitting::Start),
    /// Asks something whose answer goes to this pane, with the number that it gave to the question.
    Ask {
        pane: PaneId,
        about: u64,
        query: Query,
    },
    /// Sends a message although it was warned about.
    SendAnyway(super::action::overflow::Then),
    SendQueued {
        node: NodeId,
        beside: bool,
    },
    /// A prompt of the queue comes into the composer.
    EditQueued(NodeId),
    /// From now on this becomes of the middle of this conversation when it does not fit (a word of `overflow`), and the prompt goes out.
    FitAndSend(&'static str, super::action::overflow::Then),
    /// Takes this theme on, remembered or only to look at it.
    Theme {
        name: String,
        keep: bool,
    },
    Keymap(String),
    /// Opens the `:` line with this text.
    Line(String),
    /// Values were changed in an editor of settings.
    Setting {
        of: Of,
        changes: Vec<(String, Option<Value>)>,
    },
    /// A system prompt was written there.
    SettingText {
        of: Of,
        text: String,
    },
    /// Settings are to point to this preset or template, or to none.
    Point {
        of: Of,
        slot: settings::Slot,
        name: Option<String>,
    },
    /// Many models are.
    PointModels(Vec<ModelRef>, CardChange),
    SavePreset {
        preset: Box<Preset>,
        was: Option<String>,
    },
    /// Presets of a file, each with the name that it replaces.
    ImportPresets(Vec<(Preset, Option<String>)>),
    /// Asks something whose answer goes to the overlay that waits for it.
    AskOverlay(Query),
    /// A text from a template or from what was sent before comes into the composer.
    Insert(String),
    /// A template's file in `$EDITOR`.
    EditFile(String),
    /// A conversation begins so.
    Begin(Box<super::action::templates::Beginning>),
    /// The files of a folder that were shown are attached, or its name stays text.
    TakeFolder(bool),
    Quit(super::msg::Leave),
}

/// What an action led to.
#[derive(Default)]
pub struct Outcome {
    /// Whether the action had a meaning here.
    pub done: bool,
    /// Overlays: this one is finished.
    pub close: bool,
    pub intents: Vec<Intent>,
}

impl Outcome {
    /// It was not for me.
    #[must_use]
    pub fn ignored() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn done() -> Self {
        Self { done: true, ..Self::default() }
    }

    #[must_use]
    pub fn closed() -> Self {
        Self { done: true, close: true, ..Self::default() }
    }

    #[must_use]
    pub fn with(mut self, intent: Intent) -> Self {
        self.intents.push(intent);
        self
    }

    #[must_use]
    pub fn say(self, text: impl Into<String>) -> Self {
        self.with(Intent::Say(Level::Info, text.into()))
    }
}

impl From<Intent> for Outcome {
    fn from(intent: Intent) -> Self {
        Self::done().with(intent)
    }
}

/// What a pane's cursor is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Model(ModelRef),
    Backend(String),
    Conversation(ConversationId),
    Folder(FolderId),
    /// The bin of conversations.
    Bin,
    Node(NodeId),
}

/// What stands in a pane's rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Title {
    pub left: String,
    /// Quiet, after the title.
    pub note: String,
    /// At the right end.
    pub right: String,
}

/// Which way a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// The text changed: the nearest from where the search began.
    Here,
    Next,
    Previous,
    /// The search was given up: back to where it began.
    Back,
}

/// Something to look at.
pub trait Pane {
    fn info(&self) -> &'static PaneInfo;

    fn title(&self, cx: &Cx<'_>) -> Title {
        let _ = cx;
        Title { left: self.info().title.to_owned(), ..Title::default() }
    }

    /// Rows that a pane of weight 0 asks for at this width.
    fn rows(&self, cx: &Cx<'_>, width: u16) -> u16 {
        let _ = (cx, width);
        self.info().tile.min
    }

    /// Where keys have a meaning now.
    fn scope(&self, cx: &Cx<'_>) -> Scope {
        let _ = cx;
        self.info().scope
    }

    /// What the cursor is on: what actions without an argument act on.
    fn subject(&self, cx: &Cx<'_>) -> Option<Subject> {
        let _ = cx;
        None
    }

    /// Brings up to date what acts depend on: an action follows.
    fn refresh(&mut self, cx: &Cx<'_>) {
        let _ = cx;
    }

    /// The models that are selected here: marked, or in a visual range. Empty: none but what the cursor is on.
    fn selected(&self, cx: &Cx<'_>) -> Vec<ModelRef> {
        let _ = cx;
        Vec::new()
    }

    /// The conversations that acts are about here: marked, in a visual range, or the one under the cursor.
    fn conversations(&self) -> Vec<ConversationRow> {
        Vec::new()
    }

    /// The folder of conversations that the cursor is on or in.
    fn folder_at_hand(&self) -> Option<FolderId> {
        None
    }

    /// A range is being selected.
    fn is_visual(&self) -> bool {
        false
    }

    /// An act was done to what is selected: a range that was selected for it ends.
    fn acted(&mut self) {}

    /// Whether it shows samples of the machine.
    fn watches(&self) -> bool {
        false
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome;

    /// Why an action of this pane is not possible now.
    fn refuses(&self, action: Action, cx: &Cx<'_>) -> Option<&'static str> {
        let _ = (action, cx);
        None
    }

    /// Searches. Returns the place and number of hits, when the pane can be searched.
    fn seek(&mut self, seek: Seek, times: usize, cx: &Cx<'_>) -> Option<(Outcome, usize, usize)> {
        let _ = (seek, times, cx);
        None
    }

    /// The filter that holds.
    fn filtered(&self) -> Option<&str> {
        None
    }

    /// A filter as it is typed; `None` ends filtering. False: this pane is searched instead.
    fn filter(&mut self, text: Option<&str>, cx: &Cx<'_>) -> (bool, Outcome) {
        let _ = (text, cx);
        (false, Outcome::ignored())
    }

    /// An event was applied.
    fn event(&mut self, event: &Event, cx: &Cx<'_>) {
        let _ = (event, cx);
    }

    /// The answer to an [`Intent::Ask`].
    fn reply(&mut self, about: u64, reply: Result<Reply>, cx: &Cx<'_>) -> Outcome {
        let _ = (about, reply, cx);
        Outcome::done()
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor>;

    /// Contents that were asked for are here.
    fn contents(&mut self, cx: &Cx<'_>) -> Outcome {
        let _ = cx;
        Outcome::done()
    }

    /// What the last view found missing. Called after it.
    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        let _ = cx;
        Vec::new()
    }

    /// When what was shown will look different by itself.
    fn deadline(&self, cx: &Cx<'_>) -> Option<Duration> {
        let _ = cx;
        None
    }
}

/// Where panes stand unless somebody moved them.
#[must_use]
pub const fn tile(id: PaneId, slot: Slot, min: u16, weight: u16) -> Tile {
    Tile { id, slot, min, weight, joined: false }
}
