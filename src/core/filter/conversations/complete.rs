//! How a half-typed filter may go on.

use std::collections::BTreeSet;

use super::parse::{word, words};
use super::{Name, RATINGS, ROLES, STATES, Sort, Subject, THINGS, folder_path};
use crate::core::filter::language::{Half, going_on, quote};
use crate::proto::{Folder, ModelRef};

/// The values that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Paths.
    pub folders: BTreeSet<String>,
    pub tags: BTreeSet<String>,
    pub models: BTreeSet<String>,
    pub backends: BTreeSet<String>,
}

impl Known {
    #[must_use]
    pub fn of<'a>(folders: &[Folder], tags: impl IntoIterator<Item = &'a str>, models: impl IntoIterator<Item = &'a ModelRef>) -> Self {
        let plain = folders.iter().filter(|folder| folder.search.is_none());
        let mut known = Self {
            folders: plain.map(|folder| folder_path(folders, folder.id)).collect(),
            tags: tags.into_iter().map(str::to_owned).collect(),
            ..Self::default()
        };
        for model in models {
            known.models.insert(model.model.clone());
            known.backends.insert(model.backend.clone());
        }
        known
    }
}

/// What may stand in place of the text from a byte on, with what it is, given what stands before the cursor.
#[must_use]
pub fn complete(before: &str, subject: Subject, known: &Known) -> (usize, Vec<(String, String)>) {
    let Some(half) = Half::of(before) else { return (before.len(), keys("", subject)) };
    let start = half.start;
    let Some((key, value)) = half.split else { return (start, keys(&half.typed.to_lowercase(), subject)) };
    let Some(word) = word(&key, subject) else { return (start, keys(&key.to_lowercase(), subject)) };
    let of = |set: &BTreeSet<String>| -> Vec<(String, &'static str)> { set.iter().map(|value| (quote(value), "")).collect() };
    let values: Vec<(String, &'static str)> = match word.sort {
        Sort::Name(Name::Folder) => of(&known.folders),
        Sort::Name(Name::Tag) => of(&known.tags),
        Sort::Name(Name::Model) => of(&known.models),
        Sort::Name(Name::Backend) => of(&known.backends),
        Sort::Is => names(STATES),
        Sort::Role => names(ROLES),
        Sort::Rating => names(RATINGS),
        Sort::Has => names(THINGS),
        Sort::Before | Sort::After => vec![
            ("today".to_owned(), ""),
            ("yesterday".to_owned(), ""),
            ("7d".to_owned(), "seven days ago"),
            ("2w".to_owned(), "two weeks ago"),
        ],
        // A figure is for the person to say; an example shows how.
        Sort::Count(_) if value.is_empty() => {
            let example = word.example.split_once(':').map_or("", |(_, value)| value);
            vec![(example.to_owned(), word.about)]
        }
        Sort::Count(_) | Sort::Name(Name::Title) => Vec::new(),
    };
    (start, going_on(&key, &value, values))
}

fn names<T>(known: &[(&'static str, T)]) -> Vec<(String, &'static str)> {
    known.iter().map(|(name, _)| ((*name).to_owned(), "")).collect()
}

fn keys(typed: &str, subject: Subject) -> Vec<(String, String)> {
    let fits = words(subject).filter(|word| word.key.starts_with(typed) || word.also.iter().any(|also| also.starts_with(typed)));
    fits.map(|word| (format!("{}:", word.key), format!("{}, as {}", word.about, word.example))).collect()
}
