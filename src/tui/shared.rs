//! What every pane may read: the replica, what this client looks at, the theme, the moment.
//!
//! Owns: the answers to "which conversation, which leaf, which model, how much context". Refuses: drawing and keys. Invariant: a
//! pane reads this and never writes it; it asks for changes with an [`Intent`](super::pane::Intent).

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::action::{Action, Scope};
use super::attached::Attached;
use super::composer::Composer;
use super::keymap::{Keymap, show_keys};
use super::layout::PaneId;
use super::msg::Now;
use super::search::Search;
use super::text::Highlighter;
use super::theme::{Role, Theme};
use crate::core::filter::conversations;
use crate::core::settings::{self, Effective, Own, Sources};
use crate::core::{Doc, Replica, names, overflow, prompt};
use crate::error::Error;
use crate::proto::{
    BackendKind, BackendState, Card, ConversationId, DownloadState, FolderId, ModelInfo, ModelRef, ModelState, Node, NodeId, Parameters,
    Role as Speaker, Sample,
};

/// Where the link to the host stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Not attached yet; skeletons are shown.
    Connecting,
    Up,
    /// Broken; a way back is being sought.
    Lost(Error),
    /// There is no way back.
    Gone(Error),
}

/// What the composer's text is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Writing {
    /// A new message below the leaf.
    Message,
    /// Another version of a message.
    Edit { node: NodeId, ask: bool, stash: String },
    /// A prompt that waits in the queue.
    Queued { node: NodeId, stash: String },
    /// The system prompt.
    System { stash: String },
    /// The result of a tool that this answer calls for: those before it are written.
    Tool { node: NodeId, results: Vec<String>, stash: String },
}

impl Writing {
    /// What stood in the composer before something else came into it.
    #[must_use]
    pub fn stash(&self) -> Option<&str> {
        match self {
            Self::Message => None,
            Self::Edit { stash, .. } | Self::Queued { stash, .. } | Self::System { stash } | Self::Tool { stash, .. } => Some(stash),
        }
    }
}

/// What this client looks at. No other client is moved by it.
#[derive(Debug, Clone)]
pub struct View {
    /// `None`: a conversation that begins with the next message.
    pub conversation: Option<ConversationId>,
    /// The path that is shown ends here.
    pub leaf: Option<NodeId>,
    /// The selected message of the path; `None` is the last one.
    pub selected: Option<NodeId>,
    /// A message that was asked for and is not there yet: the view follows it.
    pub awaited: Option<NodeId>,
    /// Settings of a conversation that is not at the host yet.
    pub system: Option<String>,
    pub parameters: Parameters,
    pub model: Option<ModelRef>,
    /// The preset that was chosen for it; `Some(None)`: none, whatever its model begins with.
    pub preset: Option<Option<String>>,
    /// The folder that it is to lie in.
    pub folder: Option<FolderId>,
    pub writing: Writing,
    /// The first screen was sent away.
    pub looked_around: bool,
    /// How often the selection was moved: whoever shows it scrolls to it when this changes.
    pub reveal: u64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            conversation: None,
            leaf: None,
            selected: None,
            awaited: None,
            system: None,
            parameters: Parameters::default(),
            model: None,
            preset: None,
            folder: None,
            writing: Writing::Message,
            looked_around: false,
            reveal: 0,
        }
    }
}

/// Counts changes, so that caches know when they are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revisions {
    pub rows: u64,
    pub models: u64,
    /// The outline or the settings of the shown conversation, or what is shown of it.
    pub doc: u64,
    /// The shown conversation was opened anew: nothing that was made of it holds.
    pub epoch: u64,
    /// The lists were replaced as a whole, past all events.
    pub attached: u64,
    /// What the runs of models say came as a whole.
    pub uses: u64,
}

/// What a search in a pane looks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needle {
    /// As typed; lower case means any case.
    pub text: String,
    /// In the whole tree of a conversation, not only on the path that is shown.
    pub whole: bool,
}

/// Everything that panes share.
pub struct Shared {
    pub replica: Replica,
    pub link: Link,
    pub view: View,
    /// In a cell because drawing fills its caches, and drawing reads all the rest.
    pub composer: RefCell<Composer>,
    /// The search over all messages; in a cell because it is kept while its overlay comes and goes.
    pub search: RefCell<Search>,
    /// What goes along with it.
    pub attached: Attached,
    pub theme: Theme,
    /// Colours code, on a thread of its own.
    pub highlighter: Highlighter,
    pub keymap: Keymap,
    /// Keys by name, as asked for: looking one up goes through all bindings.
    hints: RefCell<HashMap<(Scope, Action), String>>,
    pub now: Now,
    pub zone: TimeZone,
    /// The terminal's window has the focus, as far as it tells.
    pub awake: bool,
    /// The terminal is slow to take bytes.
    pub slow: bool,
    pub focus: PaneId,
    /// Where the host is, in a word: `local`, or a server's name.
    pub place: String,
    /// The last metrics.
    pub sample: Option<Sample>,
    pub revisions: Revisions,
    /// What is searched for in the chat and the tree.
    pub needle: Needle,
    /// The model under the cursor of the Models screen.
    pub looked_at: Option<ModelRef>,
}

impl Shared {
    /// Before anything is known of a host.
    #[must_use]
    pub fn new(composer: Composer, theme: Theme, highlighter: Highlighter, keymap: Keymap, zone: TimeZone, focus: PaneId) -> Self {
        Self {
            replica: Replica::default(),
            link: Link::Connecting,
            view: View::default(),
            composer: RefCell::new(composer),
            search: RefCell::default(),
            attached: Attached::default(),
            theme,
            highlighter,
            keymap,
            hints: RefCell::default(),
            now: Now::default(),
            zone,
            awake: true,
            slow: false,
            focus,
            place: "local".to_owned(),
            sample: None,
            revisions: Revisions::default(),
            needle: Needle::default(),
            looked_at: None,
        }
    }

    pub fn set_keymap(&mut self, keymap: Keymap) {
        self.keymap = keymap;
        self.hints.borrow_mut().clear();
    }

    /// The shortest key for an action in a scope, as people read it; its `:` name where it has none.
    #[must_use]
    pub fn key(&self, scope: Scope, action: Action) -> String {
        let find = || self.keymap.hint(scope, action).unwrap_or_else(|| format!(":{}", action.info().map_or("", |info| info.name())));
        self.hints.borrow_mut().entry((scope, action)).or_insert_with(find).clone()
    }

    /// The shortest key for an action with just these arguments.
    #[must_use]
    pub fn key_with(&self, scope: Scope, action: Action, args: &[&str]) -> Option<String> {
        let bound = self.keymap.bindings(scope).filter(|(_, call)| call.action == action && call.args == args);
        bound.map(|(binding, _)| show_keys(&binding.keys)).min_by_key(|keys| keys.chars().count())
    }

    /// Reads a filter of conversations, or a search for messages: at this moment, in this zone.
    #[must_use]
    pub fn filter(&self, text: &str, subject: conversations::Subject) -> conversations::Filter {
        let offset = |at| jiff::Timestamp::from_millisecond(at).map_or(0, |at| self.zone.to_offset(at).seconds());
        conversations::Filter::parse(text, subject, &conversations::Calendar { now: self.now.wall, offset: &offset })
    }

    /// What a half-typed one may go on with, given what stands before the cursor.
    #[must_use]
    pub fn complete_filter(&self, before: &str, subject: conversations::Subject) -> (usize, Vec<(String, String)>) {
        let replica = &self.replica;
        let tags = replica.rows.values().flat_map(|row| row.tags.iter().map(String::as_str));
        let models: Vec<ModelRef> = replica.models.iter().map(ModelInfo::reference).collect();
        conversations::complete(before, subject, &conversations::Known::of(&replica.folders, tags, &models))
    }

    /// The opened conversation.
    #[must_use]
    pub fn doc(&self) -> Option<&Doc> {
        self.replica.docs.get(&self.view.conversation?)
    }

    /// A style of the theme.
    #[must_use]
    pub fn style(&self, role: Role) -> ratatui::style::Style {
        self.theme.style(role)
    }

    /// The message that actions act on: the selected one, else the last of the path.
    #[must_use]
    pub fn target(&self) -> Option<&Node> {
        let doc = self.doc()?;
        doc.node(self.view.selected.or(self.view.leaf)?)
    }

    /// An answer of the shown conversation that is being produced: on the shown path first.
    #[must_use]
    pub fn running(&self) -> Option<&Node> {
        let doc = self.doc()?;
        self.view
            .leaf
            .and_then(|leaf| doc.node(leaf))
            .filter(|n| n.role == Speaker::Assistant && n.state.is_running())
            .or_else(|| doc.running().next())
    }

    /// The model that answers next: the conversation's, else the one that `names::default_model` finds.
    #[must_use]
    pub fn model(&self) -> Option<ModelRef> {
        let own = match self.doc() {
            Some(doc) => doc.conversation.row.model.clone(),
            None => self.view.model.clone(),
        };
        own.or_else(|| names::default_model(&names::recent(&self.replica.settings), &self.replica.models, &self.replica.backends).ok())
    }

    /// What is known of the model that answers next.
    #[must_use]
    pub fn model_info(&self) -> Option<&ModelInfo> {
        self.replica.model(&self.model()?)
    }

    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        self.doc().map_or(&self.view.parameters, |doc| &doc.conversation.parameters)
    }

    /// The preset that holds: the conversation's; in one that is to begin the chosen one, else the model's.
    #[must_use]
    pub fn preset(&self) -> Option<&str> {
        match self.doc() {
            Some(doc) => doc.conversation.row.preset.as_deref(),
            None => match &self.view.preset {
                Some(chosen) => chosen.as_deref(),
                None => self.model_info()?.card.preset.as_deref(),
            },
        }
    }

    /// The settings in force for the next answer, each with where it comes from.
    #[must_use]
    pub fn settings(&self) -> Effective {
        let model = self.model();
        let none = Card::default();
        let known = model.as_ref().map(|reference| (reference, self.replica.model(reference).map_or(&none, |info| &info.card)));
        let sources = Sources { presets: &self.replica.presets, groups: &self.replica.groups, model: known };
        settings::effective(sources, Own { preset: self.preset(), system: self.system(), parameters: Some(self.parameters()) })
    }

    #[must_use]
    pub fn system(&self) -> Option<&str> {
        match self.doc() {
            Some(doc) => doc.conversation.system.as_deref(),
            None => self.view.system.as_deref(),
        }
    }

    /// The context that would really be in force, in tokens: what a load is asked for, where the backend takes that, else what the
    /// backend says.
    #[must_use]
    pub fn context(&self) -> Option<u32> {
        let info = self.model_info()?;
        overflow::context(info, &self.settings())
    }

    /// The size of the prompt for a draft below the leaf.
    #[must_use]
    pub fn usage(&self, draft: &str) -> prompt::Usage {
        let mut usage = self.usage_of_text(draft);
        usage.tokens = usage.tokens.saturating_add(self.attached.tokens());
        usage
    }

    fn usage_of_text(&self, draft: &str) -> prompt::Usage {
        let settings = self.settings();
        let system = settings.system();
        match (self.doc(), &self.view.writing) {
            (Some(doc), Writing::Edit { node, ask: true, .. }) => prompt::usage(doc, system, doc.node(*node).and_then(|n| n.parent), draft),
            (Some(doc), _) => prompt::usage(doc, system, self.view.leaf, draft),
            (None, _) => {
                let mut usage = prompt::Usage { tokens: 0, measured: false };
                if let Some(system) = system {
                    usage.tokens += crate::core::estimate::text(system) + crate::core::estimate::PER_MESSAGE;
                }
                if !draft.is_empty() {
                    usage.tokens += crate::core::estimate::text(draft) + crate::core::estimate::PER_MESSAGE;
                }
                usage
            }
        }
    }

    /// What of the path would be sent with a draft, if what does not fit is cut, or a summary is sent in its place; `None`: nobody knows
    /// how much fits.
    #[must_use]
    pub fn plan(&self, draft: &str, summary: bool) -> Option<overflow::Plan> {
        let doc = self.doc()?;
        let leaf = match &self.view.writing {
            Writing::Edit { node, ask: true, .. } => doc.node(*node).and_then(|n| n.parent),
            _ => self.view.leaf,
        };
        let attached = self.attached.tokens();
        let mut below = overflow::Draft::text(draft).or((attached > 0).then_some(overflow::Draft { tokens: 0, results: false }));
        if let Some(below) = &mut below {
            below.tokens = below.tokens.saturating_add(attached);
        }
        let settings = self.settings();
        let room = overflow::room(self.model_info()?, &settings)?;
        let plan = if summary { overflow::plan_summary } else { overflow::plan };
        Some(plan(doc, settings.system(), leaf, below, room))
    }

    /// What would be left out of the prompt now, because the settings say so: `12 of 40 left out`, or `summarised`.
    #[must_use]
    pub fn leaves_out(&self) -> Option<String> {
        let settings = self.settings();
        if !overflow::cuts(&settings) {
            return None;
        }
        let summary = overflow::summarises(&settings);
        let plan = self.plan(&self.composer.borrow().text(), summary)?;
        let count = plan.left_out.nodes.len();
        let how = if summary { "summarised" } else { "left out" };
        (count > 0).then(|| format!("{count} of {} {how}", plan.messages))
    }

    /// Whether this is the first screen: everybody has answered, nobody has a model, and nobody sent it away.
    #[must_use]
    pub fn is_welcome(&self) -> bool {
        self.link == Link::Up
            && self.replica.discovered
            && !self.view.looked_around
            && self.replica.models.is_empty()
            && self.doc().is_none_or(|doc| doc.nodes().is_empty())
            && !self.replica.backends.iter().any(|b| b.state == BackendState::Up && b.kind != BackendKind::Embedded)
            && !self.replica.backends.iter().any(|b| matches!(b.state, BackendState::Unauthorized | BackendState::Starting))
    }

    /// A download that is going on or has failed and was not taken up again.
    #[must_use]
    pub fn download(&self) -> Option<&crate::proto::Download> {
        self.replica
            .downloads
            .values()
            .find(|d| matches!(d.state, DownloadState::Running | DownloadState::Checking | DownloadState::Failed))
    }

    /// Whether a host was reached, now or before.
    #[must_use]
    pub fn attached(&self) -> bool {
        self.link != Link::Connecting
    }

    /// Whether the host can be told anything now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// Whether the backend of a model is not there.
    #[must_use]
    pub fn is_down(&self, reference: &ModelRef) -> bool {
        self.replica.backends.iter().any(|backend| backend.name == reference.backend && backend.state == BackendState::Down)
    }

    /// Seconds since a moment on the wall.
    #[must_use]
    pub fn since(&self, at: crate::proto::UnixMs) -> u64 {
        u64::try_from((self.now.wall - at).max(0) / 1000).unwrap_or(0)
    }

    /// Seconds until a moment on the wall, begun ones whole.
    #[must_use]
    pub fn until(&self, at: crate::proto::UnixMs) -> u64 {
        u64::try_from((at - self.now.wall).max(0)).unwrap_or(0).div_ceil(1000)
    }
}

/// The glyph and role of a model's state.
#[must_use]
pub fn model_state(state: ModelState) -> (&'static str, Role) {
    match state {
        ModelState::Loaded => ("●", Role::Ok),
        ModelState::Unloaded => ("○", Role::Quiet),
        ModelState::Loading | ModelState::Downloading => ("◐", Role::Running),
        ModelState::Sleeping => ("◌", Role::Quiet),
        ModelState::Failed => ("✗", Role::Error),
        ModelState::Unknown => ("·", Role::Quiet),
    }
}

/// The later of two optional moments is of no use; the earlier one is when to wake.
#[must_use]
pub fn earliest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
