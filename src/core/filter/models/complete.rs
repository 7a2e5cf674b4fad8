//! How a half-typed filter may go on.

use std::collections::BTreeSet;

use super::parse::word;
use super::{Field, Flag, KINDS, STATES, Sort, WORDS, state_word};
use crate::core::filter::language::{Half, going_on, quote};
use crate::proto::ModelInfo;

/// The values that there are among some models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub backends: BTreeSet<String>,
    pub families: BTreeSet<String>,
    pub quants: BTreeSet<String>,
    pub capabilities: BTreeSet<String>,
    pub tags: BTreeSet<String>,
    pub groups: BTreeSet<String>,
}

impl Known {
    #[must_use]
    pub fn of(models: &[ModelInfo]) -> Self {
        let mut known = Self::default();
        let put = |set: &mut BTreeSet<String>, value: &str| {
            if !set.contains(value) {
                set.insert(value.to_owned());
            }
        };
        for model in models {
            put(&mut known.backends, &model.backend);
            model.family.iter().for_each(|value| put(&mut known.families, value));
            model.quantisation.iter().for_each(|value| put(&mut known.quants, value));
            model.capabilities.iter().for_each(|value| put(&mut known.capabilities, value));
            model.card.tags.iter().for_each(|value| put(&mut known.tags, value));
            model.card.groups.iter().for_each(|value| put(&mut known.groups, value));
        }
        known
    }
}

/// What may stand in place of the text from a byte on, with what it is, given what stands before the cursor.
#[must_use]
pub fn complete(before: &str, known: &Known) -> (usize, Vec<(String, String)>) {
    let Some(half) = Half::of(before) else { return (before.len(), keys("")) };
    let start = half.start;
    let Some((key, value)) = half.split else { return (start, keys(&half.typed.to_lowercase())) };
    let Some(word) = word(&key) else { return (start, keys(&key.to_lowercase())) };
    let of = |set: &BTreeSet<String>| -> Vec<(String, &'static str)> { set.iter().map(|value| (quote(value), "")).collect() };
    let values: Vec<(String, &'static str)> = match word.sort {
        Sort::State => STATES.iter().map(|state| (state_word(*state).to_owned(), "")).collect(),
        Sort::Field(Field::Kind) => KINDS.iter().map(|kind| ((*kind).to_owned(), "")).collect(),
        Sort::Field(Field::Backend) => of(&known.backends),
        Sort::Field(Field::Family) => of(&known.families),
        Sort::Field(Field::Quant) => of(&known.quants),
        Sort::Field(Field::Capability) => of(&known.capabilities),
        Sort::Field(Field::Tag) => of(&known.tags),
        Sort::Field(Field::Group) => of(&known.groups),
        Sort::Flag(Flag::Hidden) => vec![("yes".to_owned(), ""), ("any".to_owned(), "hidden and not")],
        Sort::Flag(_) => vec![("yes".to_owned(), ""), ("no".to_owned(), "")],
        // A figure is for the person to say; an example shows how.
        Sort::Measure(_) if value.is_empty() => {
            let example = word.example.split_once(':').map_or("", |(_, value)| value);
            vec![(example.to_owned(), word.about)]
        }
        Sort::Measure(_) => Vec::new(),
    };
    (start, going_on(&key, &value, values))
}

fn keys(typed: &str) -> Vec<(String, String)> {
    let fits = WORDS.iter().filter(|word| word.key.starts_with(typed) || word.also.iter().any(|also| also.starts_with(typed)));
    fits.map(|word| (format!("{}:", word.key), format!("{}, as {}", word.about, word.example))).collect()
}
