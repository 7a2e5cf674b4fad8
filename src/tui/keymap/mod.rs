//! What keys mean.
//!
//! Owns: keys and their names ([`key`]), keymap files ([`load`]), and the way from a key to an action ([`Resolver`]). Refuses: to
//! do anything, and to know whether an action is possible now. Invariant: see [`parse`] and [`resolve`].

pub mod key;
mod parse;
mod resolve;
mod trie;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use key::{Key, show_keys};
pub use parse::{Loaded, load, names};
pub use resolve::{MOST, Next, Resolved, Resolver};
pub use trie::{Bound, Found, Lead};

use super::action::{Action, Invocation, Scope};
use trie::Trie;

/// What keys mean now; its name is always on the status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    #[default]
    Normal,
    Insert,
    Visual,
    Command,
    Search,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "NORMAL",
            Self::Insert => "INSERT",
            Self::Visual => "VISUAL",
            Self::Command => "COMMAND",
            Self::Search => "SEARCH",
        })
    }
}

/// What the config says of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// A sequence that leaves INSERT (`jj`).
    pub escape: Option<String>,
    /// Enter and the newline keys change places.
    pub enter_is_newline: bool,
}

/// A sequence and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub scope: Scope,
    pub keys: Vec<Key>,
    /// `None`: taken away on purpose.
    pub bound: Bound,
    /// The file that says so, and its line.
    pub file: String,
    pub line: usize,
    layer: usize,
}

/// A checked set of bindings.
#[derive(Debug, Clone)]
pub struct Keymap {
    name: String,
    about: String,
    modal: bool,
    bindings: Vec<Binding>,
    groups: Vec<(Vec<Key>, String)>,
    tries: BTreeMap<Scope, Trie>,
}

impl Keymap {
    fn new(name: String, about: String, modal: bool, bindings: Vec<Binding>, groups: Vec<(Vec<Key>, String)>) -> Self {
        let mut tries: BTreeMap<Scope, Trie> = BTreeMap::new();
        for binding in &bindings {
            tries.entry(binding.scope).or_default().insert(&binding.keys, binding.bound.clone());
        }
        Self { name, about, modal, bindings, groups, tries }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line about it, for the chooser.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Whether there is a NORMAL mode. Without one a character that is typed into a pane is meant for the composer.
    #[must_use]
    pub fn modal(&self) -> bool {
        self.modal
    }

    fn trie(&self, scope: Scope) -> Option<&Trie> {
        self.tries.get(&scope)
    }

    /// The title of the sequences that begin so.
    #[must_use]
    pub fn group(&self, keys: &[Key]) -> Option<&str> {
        self.groups.iter().rev().find(|(known, _)| known == keys).map(|(_, title)| title.as_str())
    }

    /// All that is bound while the focus is in `scope`, innermost tables first, in the files' order.
    pub fn bindings(&self, scope: Scope) -> impl Iterator<Item = (&Binding, &Invocation)> {
        let chain = scope.chain();
        chain.iter().enumerate().flat_map(move |(depth, table)| {
            self.bindings.iter().filter(move |binding| binding.scope == *table).filter_map(move |binding| {
                let invocation = binding.bound.as_ref()?;
                let hidden = chain[..depth].iter().any(|inner| self.bindings.iter().any(|b| b.scope == *inner && b.keys == binding.keys));
                (!hidden).then_some((binding, invocation))
            })
        })
    }

    /// The sequences that do an action while the focus is in `scope`, with whatever arguments.
    pub fn keys_of(&self, scope: Scope, action: Action) -> impl Iterator<Item = &[Key]> {
        self.bindings(scope).filter(move |(_, invocation)| invocation.action == action).map(|(binding, _)| binding.keys.as_slice())
    }

    /// The shortest way to do an action from `scope`, as people read it; `None` when no key does it without arguments.
    #[must_use]
    pub fn hint(&self, scope: Scope, action: Action) -> Option<String> {
        self.bindings(scope)
            .filter(|(_, invocation)| invocation.action == action && invocation.args.is_empty())
            .map(|(binding, _)| show_keys(&binding.keys))
            .min_by_key(|shown| shown.chars().count())
    }

    /// Where else an action has keys, when it has none in `scope`: for the palette (`in Models: s`).
    #[must_use]
    pub fn hint_elsewhere(&self, action: Action) -> Option<(Scope, String)> {
        self.bindings
            .iter()
            .filter(|binding| binding.bound.as_ref().is_some_and(|invocation| invocation.action == action))
            .map(|binding| (binding.scope, show_keys(&binding.keys)))
            .next()
    }
}
