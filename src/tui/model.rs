//! The screen's state: what is shared with panes, the panes, what lies over them, what waits for an answer.
//!
//! Owns: focus, scope, placement, redraw marks, and the way from an [`Intent`] to a [`Cmd`]. Refuses: deciding what a key means (`update`)
//! and doing anything (`run`). Invariant: everything that changes what is shown marks it; what is not marked is not drawn.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use ratatui::layout::Rect;

use super::action::{Action, Invocation, Scope};
use super::command_line::CommandLine;
use super::composer::burst::Burst;
use super::jumps::Jumps;
use super::keymap::{Key, Mode, Next, Options, Resolver};
use super::layout::{self, Arrangement, PaneId, Placed, Slot};
use super::msg::{Cmd, Now, Tag};
use super::notices::Notices;
use super::output::Cursor;
use super::overlay::Overlay;
use super::pane::{Cx, PANES, Pane, chat, composer};
use super::reach::Reach;
use super::screen::{self, ScreenInfo};
use super::shared::{Shared, earliest};
use super::theme::{Facts, Themes};
use crate::config::document::Source;
use crate::proto::{Command, Content, ConversationId, IdGen, Level, ModelRef, NodeId, Query};

/// What must be drawn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Redraw {
    /// A bit for each pane of the registry.
    pub panes: u32,
    pub status: bool,
    /// Everything: the layout, the theme or an overlay changed.
    pub all: bool,
}

impl Redraw {
    #[must_use]
    pub fn is_needed(self) -> bool {
        self.all || self.status || self.panes != 0
    }
}

/// What an answer of the host is for.
#[derive(Debug)]
pub enum Waiting {
    /// Failures are told, nothing else.
    Quiet,
    /// Said when it is done.
    Say(String),
    Open {
        conversation: ConversationId,
        leaf: Option<NodeId>,
        select: Option<NodeId>,
    },
    Contents(ConversationId),
    /// A pane, with the number that it gave to its question.
    Pane(PaneId, u64),
    /// The overlay that takes it.
    Overlay,
    Request,
    /// What the runs of every model say.
    Uses,
    /// All that is known of one model.
    Inspect,
    /// Results of tools: given back to the composer when the host refuses them.
    Tools {
        node: NodeId,
        results: Vec<String>,
    },
    /// `Undo`, `Redo`.
    Undone {
        redo: bool,
    },
    /// Said when it is done; then this message of this conversation is looked at.
    Go {
        said: String,
        conversation: ConversationId,
        node: Option<NodeId>,
    },
    /// A copy of this message was put there: it is shown where it is in view.
    Grafted {
        said: String,
        node: NodeId,
        to: ConversationId,
        under: Option<NodeId>,
    },
    /// Stopped to make room: the start goes on.
    Stopped(super::action::fitting::Start),
    /// Whether what is to be started fits.
    Fit(super::action::fitting::Start),
    Search(String),
    /// A piece of a file that went with a message.
    Fetch(Box<super::action::files::Fetch>),
    /// Where a text stands in a conversation, in content that is not at hand too.
    Reach(super::reach::Of),
    /// A message: given back to the composer when the host refuses it.
    Sent {
        text: String,
        /// What went along with it.
        attached: Content,
    },
    /// A prompt for the queue: given back to the composer when the host refuses it.
    Queued {
        node: NodeId,
        answer: NodeId,
        text: String,
        attached: Content,
    },
    /// A piece of an attachment on its way.
    Piece(u64),
    /// The text of an attachment, to be put into the composer in its place.
    Expand(u64),
    /// The model that a file becomes is chosen.
    OpenFile,
}

/// Which line is typed into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typing {
    /// The pane that is searched or filtered; `None`: it is the `:` line.
    pub find: Option<PaneId>,
    /// The search as it was before.
    pub before: String,
    /// The pane's filter as it was before.
    pub filter: String,
}

/// A prefix that was typed, and what may follow it.
pub struct Pending {
    pub keys: Vec<Key>,
    pub next: Vec<Next>,
    pub since: Duration,
    pub shown: bool,
}

/// The draft in the composer against what the host has of it.
#[derive(Debug, Default)]
pub struct Draft {
    pub saved: String,
    /// The attachments that the host has of it.
    pub attached: Content,
    /// When it was changed last and not saved yet.
    pub changed: Option<Duration>,
}

/// A message, with all that hangs below it, that was taken to be put elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub conversation: ConversationId,
    pub node: NodeId,
    /// It goes from where it is.
    pub moved: bool,
    /// How it is named to people.
    pub name: String,
}

/// What the configuration says that the screen needs.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Named on the command line or in the configuration: it wins over what was chosen before.
    pub theme: Option<String>,
    pub keymap: Option<String>,
    pub keys: Options,
}

/// The whole state.
pub struct Model {
    pub shared: Shared,
    pub panes: Vec<Box<dyn Pane>>,
    pub overlays: Vec<Box<dyn Overlay>>,
    pub resolver: Resolver,
    pub pending: Option<Pending>,
    pub typing: Option<Typing>,
    /// An action that waits for a letter.
    pub letter: Option<Invocation>,
    /// What was taken to be put under another message.
    pub taken: Option<Taken>,
    /// A path that was gone to by hand, and when: told to the host once it is looked at.
    pub visiting: Option<(ConversationId, NodeId, Duration)>,
    /// Which panes are looked at.
    pub screen: &'static ScreenInfo,
    /// Of the screen that is shown.
    pub arrangement: Arrangement,
    /// The screen whose coming into view was dealt with.
    pub entered: &'static str,
    /// Of the others, with the pane that had the focus there.
    pub parked: BTreeMap<&'static str, (Arrangement, PaneId)>,
    pub side: Slot,
    pub size: (u16, u16),
    pub placed: Placed,
    pub notices: Notices,
    pub redraw: Redraw,
    pub waiting: HashMap<Tag, Waiting>,
    pub ids: IdGen,
    pub themes: Themes,
    pub facts: Facts,
    pub theme_name: String,
    /// The user's own keymaps.
    pub keymaps: Vec<Source>,
    pub choices: Choices,
    pub draft: Draft,
    /// Characters that come faster than anyone types: a paste without brackets.
    pub burst: Burst,
    /// When the screen started: what `Now::mono` counts from.
    pub began: Instant,
    /// Where the cursor was when the composer or the status line was drawn last.
    pub cursor: Option<Cursor>,
    /// `C-c` found nothing to stop or clear: once more offers to leave.
    pub leaving: bool,
    /// What the host was told last: whether metrics are wanted, and whether somebody looks. `None`: what it knows is not known.
    pub watching: Option<(bool, bool)>,
    pub first_run_asked: bool,
    /// The `:` line and the `/` line, with their histories.
    pub command_line: CommandLine,
    pub search_line: CommandLine,
    /// Both histories, each line with its sign, oldest first.
    pub history: Vec<String>,
    /// Where one was.
    pub jumps: Jumps,
    /// What a search in a conversation found at the host.
    pub reach: Reach,
    next_tag: Tag,
    pub cmds: Vec<Cmd>,
}

/// What a model is made from.
pub struct Setup {
    pub shared: Shared,
    pub themes: Themes,
    pub facts: Facts,
    pub theme_name: String,
    pub keymaps: Vec<Source>,
    pub choices: Choices,
    pub arrangement: Arrangement,
    pub ids: IdGen,
    pub size: (u16, u16),
    pub began: Instant,
    /// Lines of `:` and `/` of earlier sessions, oldest first.
    pub history: Vec<String>,
}

impl Model {
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut model = Self {
            shared: setup.shared,
            panes: PANES.iter().map(|make| make()).collect(),
            overlays: Vec::new(),
            resolver: Resolver::default(),
            pending: None,
            typing: None,
            letter: None,
            taken: None,
            visiting: None,
            screen: &screen::workspace::SCREEN,
            arrangement: setup.arrangement,
            entered: screen::workspace::SCREEN.id,
            parked: BTreeMap::new(),
            side: Slot::Left,
            size: setup.size,
            placed: layout::empty(),
            notices: Notices::default(),
            redraw: Redraw { all: true, ..Redraw::default() },
            waiting: HashMap::new(),
            ids: setup.ids,
            themes: setup.themes,
            facts: setup.facts,
            theme_name: setup.theme_name,
            keymaps: setup.keymaps,
            choices: setup.choices,
            draft: Draft::default(),
            burst: Burst::default(),
            began: setup.began,
            cursor: None,
            leaving: false,
            watching: Some((false, true)),
            first_run_asked: false,
            command_line: CommandLine::new(with_sign(&setup.history, ':')),
            search_line: CommandLine::new(with_sign(&setup.history, '/')),
            history: setup.history,
            jumps: Jumps::default(),
            reach: Reach::default(),
            next_tag: 1,
            cmds: Vec::new(),
        };
        model.place();
        model
    }

    /// The line that is typed into.
    #[must_use]
    pub fn line(&self) -> Option<&CommandLine> {
        self.typing.as_ref().map(|typing| if typing.find.is_some() { &self.search_line } else { &self.command_line })
    }

    pub fn line_mut(&mut self) -> Option<&mut CommandLine> {
        let search = self.typing.as_ref()?.find.is_some();
        Some(if search { &mut self.search_line } else { &mut self.command_line })
    }

    #[must_use]
    pub fn now(&self) -> Now {
        self.shared.now
    }

    // --- places -------------------------------------------------------------------------------------------------------------

    /// Divides the screen anew. Marks everything when something moved.
    pub fn place(&mut self) {
        let tiles: Vec<layout::Tile> = self.screen.panes.iter().filter_map(|id| Some(self.pane(id)?.info().tile)).collect();
        let (width, height) = self.size;
        let cx = Cx { shared: &self.shared, focused: false };
        // The composer's rows depend on its width, which does not depend on its rows.
        let rows = |id: PaneId| -> u16 {
            let width = self.placed.area(id).map_or(width, |area| area.width);
            self.panes.iter().find(|p| p.info().tile.id == id).map_or(1, |p| p.rows(&cx, width))
        };
        let ask = layout::Ask { width, height, focus: self.shared.focus, side: self.side, rows: &rows };
        let mut placed = layout::place(&tiles, &self.arrangement, ask);
        let moved = |a: &Placed, b: &Placed| a.area(composer::ID).map(|r| r.width) != b.area(composer::ID).map(|r| r.width);
        if moved(&placed, &self.placed) {
            let new = std::mem::replace(&mut self.placed, placed);
            let rows = |id: PaneId| -> u16 {
                let width = new.area(id).map_or(width, |area| area.width);
                self.panes.iter().find(|p| p.info().tile.id == id).map_or(1, |p| p.rows(&cx, width))
            };
            let ask = layout::Ask { width, height, focus: self.shared.focus, side: self.side, rows: &rows };
            placed = layout::place(&tiles, &self.arrangement, ask);
            self.redraw.all = true;
        }
        if placed != self.placed {
            self.placed = placed;
            self.redraw.all = true;
        }
    }

    /// The screen's rectangle.
    #[must_use]
    pub fn screen(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    /// Moves the focus, to another screen where the pane is on one; what is pending in the keys is forgotten.
    pub fn focus(&mut self, id: PaneId) {
        let Some(pane) = self.panes.iter().find(|p| p.info().tile.id == id) else { return };
        let (id, slot) = (pane.info().tile.id, pane.info().tile.slot);
        if let Some(screen) = screen::of(id).filter(|screen| !screen.is(self.screen.id)) {
            self.enter(screen);
        } else if self.shared.focus == id {
            return;
        }
        self.shared.focus = id;
        if matches!(slot, Slot::Left | Slot::Right) {
            self.side = slot;
        }
        self.resolver.reset();
        self.redraw.all = true;
        self.place();
    }

    /// Shows another screen, as it was left. Where the focus goes is for the caller.
    fn enter(&mut self, screen: &'static ScreenInfo) {
        let (arrangement, _) = self.parked.remove(screen.id).unwrap_or_else(|| ((screen.arrangement)(), screen.home));
        let before = std::mem::replace(&mut self.arrangement, arrangement);
        self.parked.insert(self.screen.id, (before, self.shared.focus));
        self.screen = screen;
        self.redraw.all = true;
    }

    /// The pane of a screen that had the focus last.
    #[must_use]
    pub fn focus_of(&self, screen: &'static ScreenInfo) -> PaneId {
        if screen.is(self.screen.id) { self.shared.focus } else { self.parked.get(screen.id).map_or(screen.home, |(_, focus)| *focus) }
    }

    // --- marks --------------------------------------------------------------------------------------------------------------

    pub fn mark(&mut self, id: PaneId) {
        if let Some(at) = self.panes.iter().position(|p| p.info().tile.id == id) {
            self.redraw.panes |= 1 << at;
        }
    }

    pub fn mark_all(&mut self) {
        self.redraw.all = true;
    }

    pub fn mark_status(&mut self) {
        self.redraw.status = true;
    }

    // --- panes --------------------------------------------------------------------------------------------------------------

    /// Does something with a pane, given what it may read.
    pub fn with_pane<T>(&mut self, id: PaneId, act: impl FnOnce(&mut dyn Pane, &Cx<'_>) -> T) -> Option<T> {
        let focused = self.shared.focus == id && self.overlays.is_empty() && self.typing.is_none();
        let cx = Cx { shared: &self.shared, focused };
        let pane = self.panes.iter_mut().find(|p| p.info().tile.id == id)?;
        Some(act(pane.as_mut(), &cx))
    }

    #[must_use]
    pub fn cx(&self) -> Cx<'_> {
        Cx { shared: &self.shared, focused: false }
    }

    #[must_use]
    pub fn pane(&self, id: PaneId) -> Option<&dyn Pane> {
        self.panes.iter().find(|p| p.info().tile.id == id).map(AsRef::as_ref)
    }

    /// Where keys have a meaning now.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if let Some(typing) = &self.typing {
            return if typing.find.is_some() { Scope::Search } else { Scope::Command };
        }
        if let Some(overlay) = self.overlays.last() {
            return overlay.scope();
        }
        self.pane_scope()
    }

    /// Where keys have a meaning in the focused pane, whatever lies over it.
    #[must_use]
    pub fn pane_scope(&self) -> Scope {
        self.pane(self.shared.focus).map_or(Scope::Anywhere, |pane| pane.scope(&self.cx()))
    }

    /// Whether keys go to the composer.
    #[must_use]
    pub fn scope_is_composer(&self) -> bool {
        self.typing.is_none() && self.overlays.is_empty() && self.shared.focus == composer::ID
    }

    /// The moment of the message that is dealt with.
    #[must_use]
    pub fn instant(&self) -> std::time::Instant {
        self.began + self.now().mono
    }

    /// The mode, as the status line names it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.scope() {
            Scope::Command => Mode::Command,
            Scope::Search => Mode::Search,
            Scope::Insert | Scope::Prompt | Scope::Hits => Mode::Insert,
            Scope::ComposerVisual => Mode::Visual,
            _ if self.overlays.is_empty() && self.pane(self.shared.focus).is_some_and(Pane::is_visual) => Mode::Visual,
            _ => Mode::Normal,
        }
    }

    // --- talking to the host ------------------------------------------------------------------------------------------------

    fn tag(&mut self, waiting: Waiting) -> Tag {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.waiting.insert(tag, waiting);
        tag
    }

    pub fn post(&mut self, command: Command) {
        self.post_for(command, Waiting::Quiet);
    }

    pub fn post_for(&mut self, command: Command, waiting: Waiting) {
        if !self.shared.is_up() && !matches!(waiting, Waiting::Quiet) {
            self.refuse_offline();
            return;
        }
        let tag = self.tag(waiting);
        self.cmds.push(Cmd::Post { tag, command });
    }

    pub fn ask(&mut self, query: Query, waiting: Waiting) {
        let tag = self.tag(waiting);
        self.cmds.push(Cmd::Ask { tag, query });
    }

    /// Says that there is no host to tell it to. True when there is none.
    pub fn refuse_offline(&mut self) -> bool {
        if self.shared.is_up() {
            return false;
        }
        self.warn("The host cannot be reached now, so nothing was changed.");
        true
    }

    // --- talking to the person ----------------------------------------------------------------------------------------------

    pub fn say(&mut self, text: impl Into<String>) {
        let now = self.now();
        self.notices.say(Level::Info, text, now);
        self.mark_status();
    }

    pub fn warn(&mut self, text: impl Into<String>) {
        let now = self.now();
        self.notices.say(Level::Warning, text, now);
        self.mark_status();
    }

    pub fn fail(&mut self, error: &crate::error::Error) {
        let now = self.now();
        self.notices.fail(error, now);
        self.mark_status();
    }

    pub fn push_overlay(&mut self, overlay: Box<dyn Overlay>) {
        self.resolver.reset();
        self.overlays.push(overlay);
        self.mark_all();
    }

    // --- the moment ---------------------------------------------------------------------------------------------------------

    /// When something will change by itself. `None`: no timer is needed.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let which_key =
            self.pending.as_ref().filter(|p| !p.shown && !p.next.is_empty()).map(|p| p.since + super::overlay::which_key::DELAY);
        let draft = self.draft.changed.map(|at| at + Duration::from_secs(1));
        let cx = self.cx();
        let panes = self.panes.iter().filter(|p| self.placed.shows(p.info().tile.id)).filter_map(|p| p.deadline(&cx)).min();
        let burst = self.burst.deadline().map(|at| at.saturating_duration_since(self.began));
        let visit = self.visiting.map(|(.., at)| at + super::update::VISITED);
        [self.notices.deadline(), draft, panes, burst, visit].into_iter().fold(which_key, earliest)
    }

    /// Whether anything on the screen is for the eyes of somebody who watches metrics.
    #[must_use]
    pub fn wants_metrics(&self) -> bool {
        self.shared.awake && self.panes.iter().any(|p| p.watches() && self.placed.shows(p.info().tile.id))
    }

    /// The model that an action without an argument is about: the one under the cursor of the focused pane, else the one that answers
    /// next.
    #[must_use]
    pub fn model_at_hand(&self) -> Option<ModelRef> {
        match self.pane(self.shared.focus).and_then(|pane| pane.subject(&self.cx())) {
            Some(super::pane::Subject::Model(reference)) => Some(reference),
            _ => self.shared.model(),
        }
    }

    /// The models that an act is about: those that the focused pane has selected, else the one at hand.
    #[must_use]
    pub fn models_at_hand(&self) -> Vec<ModelRef> {
        let selected = self.pane(self.shared.focus).map(|pane| pane.selected(&self.cx())).unwrap_or_default();
        if selected.is_empty() { self.model_at_hand().into_iter().collect() } else { selected }
    }

    /// The message that an action is about: the one under the cursor in Tree, else the selected one of the chat.
    #[must_use]
    pub fn node_at_hand(&self) -> Option<NodeId> {
        use super::pane::{Subject, tree};
        if self.shared.focus == tree::ID
            && let Some(Subject::Node(node)) = self.pane(tree::ID).and_then(|p| p.subject(&self.cx()))
        {
            return Some(node);
        }
        self.shared.target().map(|n| n.id)
    }

    /// Whether an action would be refused now, and why: for help, palette and hints.
    #[must_use]
    pub fn refusal(&self, action: Action) -> Option<String> {
        super::action::possible::refusal(self, action)
    }

    /// The chat, wherever the focus is.
    pub fn mark_chat(&mut self) {
        self.mark(chat::ID);
    }
}

/// The lines of a history that begin with a sign, without it.
fn with_sign(history: &[String], sign: char) -> Vec<String> {
    history.iter().filter_map(|line| line.strip_prefix(sign)).map(str::to_owned).collect()
}
