//! From a text to a [`Filter`].

use super::{
    Calendar, Count, Filter, MESSAGE_WORDS, Name, RATINGS, ROLES, STATES, Sort, Subject, THINGS, Term, Test, WORDS, Wanted, Word, when,
};
use crate::core::filter::language::{self, Token, Wrong, list, tokens};
use crate::core::filter::{Problem, Range};
use crate::error::{nearest, quoted};

/// The keys of a subject.
pub(super) fn words(subject: Subject) -> impl Iterator<Item = &'static Word> {
    let more = match subject {
        Subject::Conversations => &[][..],
        Subject::Messages => MESSAGE_WORDS,
    };
    WORDS.iter().chain(more)
}

/// The key of that name.
pub(super) fn word(key: &str, subject: Subject) -> Option<&'static Word> {
    words(subject).find(|word| word.is(&key.to_lowercase()))
}

impl Word {
    fn is(&self, key: &str) -> bool {
        self.key == key || self.also.contains(&key)
    }
}

pub(super) fn parse(text: &str, subject: Subject, calendar: &Calendar<'_>) -> Filter {
    let mut filter = Filter::default();
    for token in tokens(text) {
        match test(&token, text, subject, calendar) {
            Ok(Some(term)) => filter.terms.push(term),
            Ok(None) => {}
            Err((message, hint)) => filter.problems.push(Problem { at: token.at, message, hint }),
        }
    }
    filter
}

/// What a piece asks for; `None`: nothing yet.
fn test(token: &Token, text: &str, subject: Subject, calendar: &Calendar<'_>) -> Result<Option<Term>, Wrong> {
    let Some((key, value)) = token.split() else { return Ok(bare(token, text)) };
    let Some(word) = word(key, subject) else { return unknown(key, token, text, subject) };
    let example = |message: String| (message, Some(format!("For example {}.", word.example)));
    let test = match word.sort {
        Sort::Name(name) => {
            let any = Wanted::read(value, token.quoted);
            (!any.is_empty()).then_some(Test::Name { name, any })
        }
        Sort::Is => several(word.key, value, STATES)?.map(Test::Is),
        Sort::Role => several(word.key, value, ROLES)?.map(Test::Role),
        Sort::Rating => several(word.key, value, RATINGS)?.map(Test::Rating),
        Sort::Has => several(word.key, value, THINGS)?.map(Test::Has),
        Sort::Count(count) => count.read(value).map_err(example)?.map(|range| Test::Count { count, range }),
        Sort::Before => when::read(value, calendar).map_err(example)?.map(Test::Before),
        Sort::After => when::read(value, calendar).map_err(example)?.map(Test::From),
    };
    Ok(test.map(|test| Term { not: token.not, test }))
}

/// A key that is none: what people look for has colons in it (`std::vec`, `http://…`), so only what looks like a key is taken for one.
fn unknown(key: &str, token: &Token, text: &str, subject: Subject) -> Result<Option<Term>, Wrong> {
    let lower = key.to_lowercase();
    if subject == Subject::Conversations && MESSAGE_WORDS.iter().any(|word| word.is(&lower)) {
        return Err((
            format!("`{lower}:` is said of messages, and this is a list of conversations."),
            Some("Search the messages: `:search` knows it.".to_owned()),
        ));
    }
    let keys = words(subject).flat_map(|word| std::iter::once(&word.key).chain(word.also)).copied();
    // Short ones are near to too many words.
    match nearest(&lower, keys).filter(|_| lower.chars().count() > 2 && !token.text[key.len()..].starts_with("::")) {
        Some(near) => Err((format!("There is no filter word {}.", quoted(key)), Some(format!("Did you mean {near}:?")))),
        None => Ok(bare(token, text)),
    }
}

/// Text to look for. A sign before something that is no word belongs to it: `--json`, `!=`.
fn bare(token: &Token, text: &str) -> Option<Term> {
    let word = token.text.chars().next().is_some_and(char::is_alphanumeric) || token.quoted;
    let (not, text) = match token.not && !word && token.text.chars().count() > 0 {
        true => (false, text[token.at.clone()].to_owned()),
        false => (token.not, token.text.clone()),
    };
    (!text.trim().is_empty()).then_some(Term { not, test: Test::Text { text, exact: token.quoted } })
}

/// What is listed, each by its name or the beginning of it.
fn several<T: Copy + PartialEq>(key: &str, value: &str, known: &[(&str, T)]) -> Result<Option<Vec<T>>, Wrong> {
    let mut wanted: Vec<T> = Vec::new();
    for value in list(value) {
        let lower = value.trim_start_matches('=').to_lowercase();
        let whole = known.iter().find(|(name, _)| *name == lower);
        let found: Vec<T> = match whole {
            Some((_, one)) => vec![*one],
            None => known.iter().filter(|(name, _)| lower == "*" || name.starts_with(&lower)).map(|(_, one)| *one).collect(),
        };
        if found.is_empty() {
            let names = || known.iter().map(|(name, _)| *name);
            let hint = nearest(&lower, names()).map_or_else(
                || format!("There are {}.", names().collect::<Vec<_>>().join(", ")),
                |near| format!("Did you mean {key}:{near}?"),
            );
            return Err((format!("There is no {key}:{}.", crate::sanitise::line(value)), Some(hint)));
        }
        for one in found {
            if !wanted.contains(&one) {
                wanted.push(one);
            }
        }
    }
    Ok((!wanted.is_empty()).then_some(wanted))
}

impl Count {
    fn read(self, text: &str) -> Result<Option<Range>, String> {
        let factor = |unit: &str| match unit {
            "" => Some(1.0),
            "k" => Some(1_000.0),
            "m" => Some(1_000_000.0),
            _ => None,
        };
        Range::read(text, |text| language::figure(text, factor, ("a number", "10, >10, 1k or 5..20")), |figure, _| Range::only(figure))
    }
}

impl Name {
    /// Whether a part of it may stand anywhere in it, or at its beginning only.
    #[must_use]
    pub fn anywhere(self) -> bool {
        match self {
            Self::Title | Self::Model | Self::Backend => true,
            Self::Folder | Self::Tag => false,
        }
    }
}
