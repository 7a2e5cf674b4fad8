//! The bindings of one scope, by sequence.

use super::key::Key;
use crate::tui::action::Invocation;

/// What a sequence does; `None` says that it is taken away on purpose.
pub type Bound = Option<Invocation>;

/// A tree of keys. Children keep the file's order, which is the order of which-key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trie {
    bound: Option<Bound>,
    children: Vec<(Key, Trie)>,
}

/// What lies at the end of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'t> {
    Nothing,
    /// It is bound, or taken away.
    Leaf(&'t Bound),
    /// Longer sequences begin so.
    Prefix(&'t Trie),
}

impl Trie {
    /// Binds a sequence. Whoever calls has made sure that none is a prefix of another.
    pub fn insert(&mut self, keys: &[Key], bound: Bound) {
        match keys.split_first() {
            None => self.bound = Some(bound),
            Some((first, rest)) => {
                let at = self.children.iter().position(|(key, _)| key == first).unwrap_or_else(|| {
                    self.children.push((*first, Self::default()));
                    self.children.len() - 1
                });
                self.children[at].1.insert(rest, bound);
            }
        }
    }

    #[must_use]
    pub fn find(&self, keys: &[Key]) -> Found<'_> {
        let mut node = self;
        for key in keys {
            match node.children.iter().find(|(known, _)| known == key) {
                Some((_, child)) => node = child,
                None => return Found::Nothing,
            }
        }
        match &node.bound {
            Some(bound @ Some(_)) => Found::Leaf(bound),
            _ if node.children.iter().any(|(_, child)| child.is_live()) => Found::Prefix(node),
            Some(bound) => Found::Leaf(bound),
            None => Found::Nothing,
        }
    }

    /// Whether anything acts here or below.
    fn is_live(&self) -> bool {
        matches!(self.bound, Some(Some(_))) || self.children.iter().any(|(_, child)| child.is_live())
    }

    /// The keys that may follow: what they do, or how many acts they lead on to. What is taken away is not offered.
    pub fn next(&self) -> impl Iterator<Item = (Key, Lead<'_>)> {
        self.children.iter().filter(|(_, child)| child.is_live()).map(|(key, child)| {
            let lead = match &child.bound {
                Some(Some(invocation)) => Lead::Act(invocation),
                _ => Lead::More(child.acts()),
            };
            (*key, lead)
        })
    }

    fn acts(&self) -> usize {
        usize::from(matches!(self.bound, Some(Some(_)))) + self.children.iter().map(|(_, child)| child.acts()).sum::<usize>()
    }
}

/// Where a key leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead<'t> {
    Act(&'t Invocation),
    /// That many sequences go on from here.
    More(usize),
}
