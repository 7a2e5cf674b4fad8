//! Models under headings: by your own groups, backend, family, state, or saved filters.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::Catalogue;
use crate::core::filter::{Candidate, Filter, Haystack, state_word};
use crate::tui::shared::Shared;

/// By what models are put under headings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grouping {
    #[default]
    None,
    /// The user's own groups; a model may stand in several.
    Groups,
    Backend,
    Family,
    State,
    /// Saved filters, each a group; a model may stand in several.
    Filters,
}

/// The words for it, with what each means.
pub const GROUPINGS: &[(Grouping, &str, &str)] = &[
    (Grouping::None, "none", "one list"),
    (Grouping::Groups, "groups", "your own groups; a model may be in several"),
    (Grouping::Backend, "backend", "what runs them"),
    (Grouping::Family, "family", "what they descend from"),
    (Grouping::State, "state", "what they do now"),
    (Grouping::Filters, "filters", "your saved filters, each a group"),
];

/// The same words, for the `:` line.
pub const WORDS: &[&str] = &["none", "groups", "backend", "family", "state", "filters"];

impl Grouping {
    #[must_use]
    pub fn word(self) -> &'static str {
        GROUPINGS.iter().find(|(grouping, ..)| *grouping == self).map_or("none", |(_, word, _)| word)
    }
}

impl FromStr for Grouping {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        GROUPINGS.iter().find(|(_, known, _)| *known == word).map(|(grouping, ..)| *grouping).ok_or(())
    }
}

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// As it came from outside.
    pub title: String,
    pub count: usize,
    /// Of all whose size is known.
    pub bytes: u64,
    /// It holds what is in none of the others.
    pub rest: bool,
}

/// A row of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Head(usize),
    /// A place in the replica's list of models.
    Model(u32),
}

/// The saved filters, by name.
#[must_use]
pub fn saved(shared: &Shared) -> BTreeMap<String, String> {
    let stored = shared.replica.settings.get("filters").and_then(|value| value.as_object());
    let texts = stored.into_iter().flatten().filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
    texts.collect()
}

/// What was found, under headings. What is folded shows its heading only.
#[must_use]
pub fn lines(catalogue: &Catalogue, shared: &Shared, grouping: Grouping, folded: &BTreeSet<String>) -> (Vec<Head>, Vec<Line>) {
    let found = catalogue.found();
    if grouping == Grouping::None {
        return (Vec::new(), found.iter().map(|at| Line::Model(*at)).collect());
    }
    let models = &shared.replica.models;
    let filters: Vec<(String, Filter)> = match grouping {
        Grouping::Filters => saved(shared).into_iter().map(|(name, text)| (name, Filter::parse(&text))).collect(),
        _ => Vec::new(),
    };
    let mut groups: BTreeMap<(u8, String), Vec<u32>> = BTreeMap::new();
    let mut rest: Vec<u32> = Vec::new();
    for at in found {
        let model = &models[*at as usize];
        let keys: Vec<(u8, String)> = match grouping {
            Grouping::None => Vec::new(),
            Grouping::Groups => model.card.groups.iter().map(|group| (0, group.clone())).collect(),
            Grouping::Backend => vec![(0, model.backend.clone())],
            Grouping::Family => model.family.iter().map(|family| (0, family.clone())).collect(),
            Grouping::State => vec![(super::rank(model.state), state_word(model.state).to_owned())],
            Grouping::Filters => {
                let haystack = Haystack::of(model);
                let candidate = Candidate { model, haystack: &haystack, uses: catalogue.uses(*at), now: shared.now.wall };
                filters.iter().filter(|(_, filter)| filter.fits(&candidate)).map(|(name, _)| (0, name.clone())).collect()
            }
        };
        if keys.is_empty() {
            rest.push(*at);
        }
        for key in keys {
            groups.entry(key).or_default().push(*at);
        }
    }
    let other = match grouping {
        Grouping::Groups => "in no group",
        Grouping::Family => "family not known",
        _ => "in none of these",
    };
    let mut heads = Vec::new();
    let mut lines = Vec::new();
    let named = groups.into_iter().map(|((_, title), members)| (title, members, false));
    for (title, members, rest) in named.chain((!rest.is_empty()).then(|| (other.to_owned(), rest, true))) {
        lines.push(Line::Head(heads.len()));
        if !folded.contains(&title) {
            lines.extend(members.iter().map(|at| Line::Model(*at)));
        }
        let bytes = members.iter().filter_map(|at| models[*at as usize].size_bytes).sum();
        heads.push(Head { title, count: members.len(), bytes, rest });
    }
    (heads, lines)
}
