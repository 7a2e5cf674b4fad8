//! How a half-typed filter may go on.

use std::collections::BTreeSet;

use super::parse::{tokens, word};
use super::{Field, Flag, KINDS, STATES, Sort, WORDS, state_word};
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
    let last = tokens(before).pop().filter(|token| token.at.end == before.len());
    let Some(token) = last else { return (before.len(), keys("")) };
    let typed = &before[token.at.start + usize::from(token.not)..];
    let start = token.at.start + usize::from(token.not);
    let Some((key, value)) = token.split() else { return (start, keys(&typed.to_lowercase())) };
    let Some(word) = word(key) else { return (start, keys(&key.to_lowercase())) };
    // The last of a list is completed; what stands before it stays.
    let done = value.rfind(',').map_or(0, |comma| comma + 1);
    let part = value[done..].trim_start_matches('=').to_lowercase();
    let head = format!("{key}:{}", &value[..done]);
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
    let fits = |value: &str| {
        let value = value.trim_matches('"').to_lowercase();
        value.contains(&part) && value != part
    };
    let begins = |value: &str| !value.trim_matches('"').to_lowercase().starts_with(&part);
    let mut values: Vec<(String, &'static str)> = values.into_iter().filter(|(value, _)| fits(value)).collect();
    values.sort_by_key(|(value, _)| begins(value));
    (start, values.into_iter().map(|(value, about)| (format!("{head}{value}"), about.to_owned())).collect())
}

fn keys(typed: &str) -> Vec<(String, String)> {
    let fits = WORDS.iter().filter(|word| word.key.starts_with(typed) || word.also.iter().any(|also| also.starts_with(typed)));
    fits.map(|word| (format!("{}:", word.key), format!("{}, as {}", word.about, word.example))).collect()
}

/// In quotes where it could not stand without.
fn quote(value: &str) -> String {
    let plain = !value.chars().any(|c| c.is_whitespace() || matches!(c, ',' | '"'));
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('"', "")) }
}
