//! From keys to actions: pure, with the pending keys and the count as a value.
//!
//! Invariant: nothing times out. A sequence goes on until it acts, is not bound, or Esc cancels it. Where text is typed, a
//! character shows at once even if a sequence begins with it (`jj`); the act that completes the sequence says how much to take back.

use super::Keymap;
use super::key::{Code, Key};
use super::trie::{Found, Lead};
use crate::tui::action::{Invocation, Scope};

/// Counts stop here: more would only be a slip of the finger that takes a minute.
pub const MOST: u32 = 9_999;

/// What came of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// More keys must come. `next` is what which-key shows; empty while only a count is typed.
    Pending { keys: Vec<Key>, count: Option<u32>, next: Vec<Next> },
    /// Do it. `erase` characters that a sequence typed at its beginning are to be taken back first.
    Act { invocation: Invocation, count: Option<u32>, erase: usize },
    /// Type it.
    Insert(char),
    /// Nothing is bound to these keys.
    Unbound(Vec<Key>),
    /// Esc ended a sequence or a count.
    Cancelled,
}

/// A key that may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    pub key: Key,
    /// What it does, or the title of the group that it opens.
    pub what: String,
    /// It opens a group.
    pub group: bool,
}

/// The keys that wait for their sequence to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    keys: Vec<Key>,
    count: Option<u32>,
    /// How many of the pending keys were typed as text already.
    typed: usize,
}

impl Resolver {
    /// Takes a key that was pressed while the focus is in `scope`.
    pub fn press(&mut self, keymap: &Keymap, key: Key, scope: Scope) -> Resolved {
        if scope.types() { self.press_typing(keymap, key, scope) } else { self.press_acting(keymap, key, scope) }
    }

    /// Forgets what is pending: the focus changed, or something was pasted.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The pending keys and count, for the status line.
    #[must_use]
    pub fn pending(&self) -> Option<(&[Key], Option<u32>)> {
        (self.keys.len() > self.typed || self.count.is_some()).then_some((&self.keys, self.count))
    }

    fn press_acting(&mut self, keymap: &Keymap, key: Key, scope: Scope) -> Resolved {
        if key == Key::plain(Code::Esc) && (!self.keys.is_empty() || self.count.is_some()) {
            self.reset();
            return Resolved::Cancelled;
        }
        if let Some(digit) = key.digit().filter(|_| keymap.modal() && self.keys.is_empty()) {
            let bound = !matches!(keymap.find(scope, &[key]), Found::Nothing | Found::Leaf(None));
            if self.count.is_some() || digit != 0 && !bound {
                self.count = Some((self.count.unwrap_or(0) * 10 + digit).min(MOST));
                return Resolved::Pending { keys: Vec::new(), count: self.count, next: Vec::new() };
            }
        }
        self.keys.push(key);
        match keymap.find(scope, &self.keys) {
            Found::Leaf(Some(invocation)) => {
                let resolved = Resolved::Act { invocation: invocation.clone(), count: self.count, erase: 0 };
                self.reset();
                resolved
            }
            Found::Prefix(_) => self.pending_in(keymap, scope),
            Found::Leaf(None) | Found::Nothing => {
                let keys = std::mem::take(&mut self.keys);
                self.reset();
                Resolved::Unbound(keys)
            }
        }
    }

    fn press_typing(&mut self, keymap: &Keymap, key: Key, scope: Scope) -> Resolved {
        self.count = None;
        self.keys.push(key);
        match keymap.find(scope, &self.keys) {
            Found::Leaf(Some(invocation)) => {
                let resolved = Resolved::Act { invocation: invocation.clone(), count: None, erase: self.typed };
                self.reset();
                resolved
            }
            Found::Prefix(_) => match key.typed() {
                Some(c) if self.typed + 1 == self.keys.len() => {
                    self.typed += 1;
                    Resolved::Insert(c)
                }
                _ => self.pending_in(keymap, scope),
            },
            Found::Leaf(None) | Found::Nothing if self.keys.len() > 1 => {
                let shown = self.typed + 1 == self.keys.len();
                let keys = std::mem::take(&mut self.keys);
                self.reset();
                match key {
                    // What was typed of the sequence is text now; this key begins anew.
                    _ if shown => self.press_typing(keymap, key, scope),
                    Key { code: Code::Esc, .. } => Resolved::Cancelled,
                    _ => Resolved::Unbound(keys),
                }
            }
            Found::Leaf(None) | Found::Nothing => {
                self.reset();
                key.typed().map_or_else(|| Resolved::Unbound(vec![key]), Resolved::Insert)
            }
        }
    }

    fn pending_in(&self, keymap: &Keymap, scope: Scope) -> Resolved {
        Resolved::Pending { keys: self.keys.clone(), count: self.count, next: keymap.next(scope, &self.keys) }
    }
}

impl Keymap {
    /// What a sequence does in a scope: the innermost table that knows it decides.
    #[must_use]
    pub fn find(&self, scope: Scope, keys: &[Key]) -> Found<'_> {
        scope
            .chain()
            .iter()
            .filter_map(|scope| self.trie(*scope))
            .map(|trie| trie.find(keys))
            .find(|found| *found != Found::Nothing)
            .unwrap_or(Found::Nothing)
    }

    /// The keys that may follow a sequence, innermost tables first.
    #[must_use]
    pub fn next(&self, scope: Scope, keys: &[Key]) -> Vec<Next> {
        let mut all: Vec<Next> = Vec::new();
        let mut path = keys.to_vec();
        for trie in scope.chain().iter().filter_map(|scope| self.trie(*scope)) {
            let Found::Prefix(node) = trie.find(keys) else { continue };
            for (key, lead) in node.next() {
                path.push(key);
                let hidden = all.iter().any(|known| known.key == key) || matches!(self.find(scope, &path), Found::Leaf(None));
                let next = match lead {
                    Lead::Act(invocation) => Next { key, what: invocation.what(), group: false },
                    Lead::More(acts) => {
                        let title = self.group(&path).map_or_else(|| format!("{acts} more"), str::to_owned);
                        Next { key, what: title, group: true }
                    }
                };
                path.pop();
                if !hidden {
                    all.push(next);
                }
            }
        }
        all
    }
}
