//! What a person can do, by name.
//!
//! Owns: the table of actions ([`table`]) and the words around it: where an action has a meaning ([`Scope`]), what it takes
//! ([`Argument`]), one call of it ([`Invocation`]). Keys, the palette, help, which-key and `:` are renderings of the table.
//! Invariant: what is not in the table cannot be done, and what is in it is built.

pub mod again;
pub mod app;
pub mod attach;
pub mod cards;
pub mod conversations;
pub mod files;
pub mod find;
pub mod fitting;
pub mod graft;
pub mod jobs;
pub mod keep;
pub mod keeping;
pub mod models;
pub mod overflow;
pub mod panes;
pub mod possible;
pub mod prompts;
pub mod queue;
pub mod run;
pub mod screens;
mod set;
pub mod settings;
mod table;
pub mod talk;
pub mod templates;
pub mod tools;
pub mod tree;

use std::fmt;
use std::str::FromStr;

pub use table::{ALL, Action};

/// Where keys and actions have a meaning; also the names of a keymap's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every mode, whatever has the focus.
    AnyMode,
    /// NORMAL and VISUAL, whatever has the focus.
    Anywhere,
    /// Every pane and overlay that shows rows.
    List,
    /// Anything laid over the panes.
    Overlay,
    /// An overlay with a line to type into: palette, chooser.
    Prompt,
    /// The search over all messages.
    Hits,
    /// A question that is answered by yes or no.
    Confirm,
    /// An editor of settings.
    Form,
    /// The first screen, when nothing was found.
    Welcome,
    Models,
    /// The table of the Models screen: all that Models can, and more.
    Table,
    Conversations,
    Chat,
    Tree,
    Metrics,
    /// The composer in NORMAL mode.
    ComposerNormal,
    /// The composer in VISUAL mode.
    ComposerVisual,
    /// The composer after an operator (`d`, `c`, `y`), until its motion.
    ComposerOperator,
    /// The composer in INSERT mode.
    Insert,
    /// The `:` line.
    Command,
    /// The `/` line.
    Search,
}

impl Scope {
    pub const ALL: &[Self] = &[
        Self::AnyMode,
        Self::Anywhere,
        Self::List,
        Self::Overlay,
        Self::Prompt,
        Self::Hits,
        Self::Confirm,
        Self::Form,
        Self::Welcome,
        Self::Models,
        Self::Table,
        Self::Conversations,
        Self::Chat,
        Self::Tree,
        Self::Metrics,
        Self::ComposerNormal,
        Self::ComposerVisual,
        Self::ComposerOperator,
        Self::Insert,
        Self::Command,
        Self::Search,
    ];

    /// The name of its table in a keymap file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AnyMode => "any-mode",
            Self::Anywhere => "anywhere",
            Self::List => "list",
            Self::Overlay => "overlay",
            Self::Prompt => "prompt",
            Self::Hits => "hits",
            Self::Confirm => "confirm",
            Self::Form => "form",
            Self::Welcome => "welcome",
            Self::Models => "models",
            Self::Table => "table",
            Self::Conversations => "conversations",
            Self::Chat => "chat",
            Self::Tree => "tree",
            Self::Metrics => "metrics",
            Self::ComposerNormal => "composer-normal",
            Self::ComposerVisual => "composer-visual",
            Self::ComposerOperator => "composer-operator",
            Self::Insert => "insert",
            Self::Command => "command",
            Self::Search => "search",
        }
    }

    /// Which tables hold while the focus is here, the innermost first.
    #[must_use]
    pub fn chain(self) -> &'static [Self] {
        match self {
            Self::AnyMode => &[Self::AnyMode],
            Self::Anywhere => &[Self::Anywhere, Self::AnyMode],
            Self::List => &[Self::List, Self::Anywhere, Self::AnyMode],
            Self::Overlay => &[Self::Overlay, Self::List, Self::Anywhere, Self::AnyMode],
            Self::Prompt => &[Self::Prompt, Self::AnyMode],
            Self::Hits => &[Self::Hits, Self::Prompt, Self::AnyMode],
            Self::Confirm => &[Self::Confirm, Self::AnyMode],
            Self::Form => &[Self::Form, Self::Overlay, Self::List, Self::Anywhere, Self::AnyMode],
            Self::Welcome => &[Self::Welcome, Self::Anywhere, Self::AnyMode],
            Self::Models => &[Self::Models, Self::List, Self::Anywhere, Self::AnyMode],
            Self::Table => &[Self::Table, Self::Models, Self::List, Self::Anywhere, Self::AnyMode],
            Self::Conversations => &[Self::Conversations, Self::List, Self::Anywhere, Self::AnyMode],
            Self::Chat => &[Self::Chat, Self::List, Self::Anywhere, Self::AnyMode],
            Self::Tree => &[Self::Tree, Self::List, Self::Anywhere, Self::AnyMode],
            Self::Metrics => &[Self::Metrics, Self::Anywhere, Self::AnyMode],
            Self::ComposerNormal => &[Self::ComposerNormal, Self::Anywhere, Self::AnyMode],
            Self::ComposerVisual => &[Self::ComposerVisual, Self::ComposerNormal, Self::Anywhere, Self::AnyMode],
            Self::ComposerOperator => &[Self::ComposerOperator, Self::ComposerNormal, Self::Anywhere, Self::AnyMode],
            Self::Insert => &[Self::Insert, Self::AnyMode],
            Self::Command => &[Self::Command, Self::AnyMode],
            Self::Search => &[Self::Search, Self::AnyMode],
        }
    }

    /// Whether a printable key that is not bound here is text.
    #[must_use]
    pub fn types(self) -> bool {
        matches!(self, Self::Prompt | Self::Hits | Self::Insert | Self::Command | Self::Search)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|scope| scope.name() == name).ok_or(())
    }
}

/// What an argument names; says where its completions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Takes {
    Model,
    /// A key of `core::parameters::PARAMETERS`.
    Parameter,
    /// A preset or template.
    Preset,
    /// A value of the parameter before it.
    Value,
    Branch,
    Conversation,
    Theme,
    Keymap,
    Pane,
    /// A screen, by name or number.
    Screen,
    /// An action, a scope, or a topic of help.
    Topic,
    /// A kind of backend.
    Kind,
    /// One of the user's own groups of models, or a new one.
    ModelGroup,
    /// A tag of models, or a new one.
    Tag,
    /// A saved filter.
    Filter,
    /// A folder of conversations by its path, or a new one.
    Folder,
    /// A tag of conversations, or a new one.
    ConversationTag,
    /// One of the words that are listed.
    OneOf(&'static [&'static str]),
    /// The name of a mark: the next key, from `a` to `z`.
    Letter,
    /// A file.
    Path,
    /// Anything.
    Text,
}

/// One argument of an action. The last one takes the rest of the line, spaces included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    pub name: &'static str,
    pub takes: Takes,
    pub required: bool,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct ActionInfo {
    pub action: Action,
    /// Its name in keymaps and on the `:` line.
    pub id: &'static str,
    /// Where it has a meaning.
    pub scope: Scope,
    /// Further `:` names; some are two words (`model start`).
    pub names: &'static [&'static str],
    pub arguments: &'static [Argument],
    /// What help, palette and which-key say.
    pub what: &'static str,
}

impl ActionInfo {
    /// The shortest of its names that says what it is, for hints: the first `:` name, else the id.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or(self.id)
    }

    /// Its name with its arguments: `set [KEY] [VALUE]`.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut out = self.name().to_owned();
        for argument in self.arguments {
            let name = argument.name.to_uppercase();
            out.push_str(&if argument.required { format!(" {name}") } else { format!(" [{name}]") });
        }
        out
    }
}

/// An action with what it is to act on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Invocation {
    pub action: Action,
    pub args: Vec<String>,
}

impl Invocation {
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self { action, args: Vec::new() }
    }

    /// The first argument that is missing, when the action cannot do without.
    #[must_use]
    pub fn missing(&self) -> Option<&'static Argument> {
        self.action.info()?.arguments.get(self.args.len()).filter(|argument| argument.required)
    }

    /// What to say of it in which-key and help.
    #[must_use]
    pub fn what(&self) -> String {
        let what = self.action.what();
        if self.args.is_empty() { what.to_owned() } else { format!("{what}: {}", self.args.join(" ")) }
    }
}

impl From<Action> for Invocation {
    fn from(action: Action) -> Self {
        Self::new(action)
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

impl Action {
    /// Its row; `None` for the composer's edit commands, which have a table of their own (`composer::Edit::ALL`).
    #[must_use]
    pub fn info(self) -> Option<&'static ActionInfo> {
        ALL.iter().find(|info| info.action == self)
    }

    /// Its name in keymaps.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Edit(edit) => edit.id(),
            other => other.info().map_or("", |info| info.id),
        }
    }

    /// What help says of it.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Edit(edit) => edit.what(),
            other => other.info().map_or("", |info| info.what),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Action {
    type Err = ();
    fn from_str(id: &str) -> Result<Self, ()> {
        ALL.iter().find(|info| info.id == id).map(|info| info.action).or_else(|| id.parse().ok().map(Self::Edit)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tui::composer::Edit;

    #[test]
    fn every_name_is_unique() {
        let mut seen = BTreeSet::new();
        for info in ALL {
            for name in std::iter::once(&info.id).chain(info.names) {
                assert!(seen.insert(*name), "{name} stands twice");
            }
        }
        for (edit, id, _) in Edit::ALL {
            assert!(seen.insert(*id), "{id} ({edit:?}) stands twice");
        }
    }

    #[test]
    fn an_id_says_its_action() {
        for info in ALL {
            assert_eq!(info.id.parse(), Ok(info.action));
            assert_eq!(info.action.to_string(), info.id);
        }
        for (edit, id, _) in Edit::ALL {
            assert_eq!(id.parse(), Ok(Action::Edit(*edit)));
        }
        assert_eq!("fly".parse::<Action>(), Err(()));
    }

    #[test]
    fn rows_read_like_help() {
        for info in ALL {
            assert!(info.what.chars().next().is_some_and(char::is_uppercase), "{}", info.id);
            assert!(!info.what.ends_with('.') && info.what.chars().count() <= 64, "{}: {}", info.id, info.what);
            assert!(info.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", info.id);
            let first_optional = info.arguments.iter().position(|a| !a.required).unwrap_or(info.arguments.len());
            assert!(info.arguments[first_optional..].iter().all(|a| !a.required), "{}: required after optional", info.id);
        }
    }

    #[test]
    fn scopes_know_their_names() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(*scope));
            assert_eq!(scope.chain()[0], *scope);
        }
    }

    #[test]
    fn usage_tells_arguments() {
        let usage = |action: Action| action.info().unwrap().usage();
        assert_eq!(usage(Action::Set), "set [PARAMETER] [VALUE]");
        assert_eq!(usage(Action::ModelStart), "model start [MODEL]");
        assert_eq!(Invocation::new(Action::Open).missing().map(|a| a.name), Some("conversation"));
    }
}
