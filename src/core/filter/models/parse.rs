//! From a text to a [`Filter`].

use super::{Field, Filter, Flag, KINDS, Problem, STATES, Sort, Term, Test, WORDS, Wanted, Word, state_word};
use crate::core::filter::language::{Token, Wrong, list, tokens};
use crate::error::{nearest, quoted};

/// The key of that name.
pub(super) fn word(key: &str) -> Option<&'static Word> {
    let key = key.to_lowercase();
    WORDS.iter().find(|word| word.key == key || word.also.contains(&key.as_str()))
}

pub(super) fn parse(text: &str) -> Filter {
    let mut filter = Filter::default();
    for token in tokens(text) {
        match test(&token) {
            Ok(Some(test)) => filter.terms.push(Term { not: token.not, test }),
            Ok(None) => {}
            Err((message, hint)) => filter.problems.push(Problem { at: token.at, message, hint }),
        }
    }
    filter
}

/// What a piece asks for; `None`: nothing yet.
fn test(token: &Token) -> Result<Option<Test>, Wrong> {
    let Some((key, value)) = token.split() else { return Ok(bare(token)) };
    let Some(word) = word(key) else {
        // Names of models have colons in them; only what looks like a key is taken for one.
        let lower = key.to_lowercase();
        let near = nearest(&lower, WORDS.iter().flat_map(|word| std::iter::once(&word.key).chain(word.also)).copied());
        return match near {
            Some(near) => Err((format!("There is no filter word {}.", quoted(key)), Some(format!("Did you mean {near}:?")))),
            None => Ok(bare(token)),
        };
    };
    match word.sort {
        Sort::State => states(value),
        Sort::Field(field) => fields(field, value, token.quoted),
        Sort::Flag(flag) => self::flag(flag, word.key, value),
        Sort::Measure(measure) => measure
            .read(value)
            .map(|range| range.map(|range| Test::Measure { measure, range }))
            .map_err(|message| (message, Some(format!("For example {}.", word.example)))),
    }
}

fn bare(token: &Token) -> Option<Test> {
    let word = token.text.to_lowercase();
    (!word.is_empty()).then_some(Test::Text { word, exact: token.quoted })
}

fn states(value: &str) -> Result<Option<Test>, Wrong> {
    let mut wanted = Vec::new();
    for value in list(value) {
        let lower = value.trim_start_matches('=').to_lowercase();
        let whole = STATES.iter().find(|state| state_word(**state) == lower);
        let mut begin: Vec<_> = match whole {
            Some(state) => vec![*state],
            None => STATES.into_iter().filter(|state| lower == "*" || state_word(*state).starts_with(&lower)).collect(),
        };
        if begin.is_empty() {
            let near = nearest(&lower, STATES.iter().map(|state| state_word(*state)));
            let hint = near
                .map_or_else(|| format!("There are {}.", STATES.map(state_word).join(", ")), |near| format!("Did you mean state:{near}?"));
            return Err((format!("No model has the state {}.", quoted(value)), Some(hint)));
        }
        wanted.append(&mut begin);
    }
    Ok((!wanted.is_empty()).then_some(Test::State(wanted)))
}

fn fields(field: Field, value: &str, quoted_value: bool) -> Result<Option<Test>, Wrong> {
    let any = Wanted::read(value, quoted_value);
    if field == Field::Kind {
        for wanted in &any {
            let (Wanted::Part(kind) | Wanted::Whole(kind)) = wanted else { continue };
            if !KINDS.iter().any(|known| known.starts_with(kind.as_str())) {
                let hint = nearest(kind, KINDS.into_iter())
                    .map_or_else(|| format!("There are {}.", KINDS.join(", ")), |near| format!("Did you mean kind:{near}?"));
                return Err((format!("No backend is of the kind {}.", quoted(kind)), Some(hint)));
            }
        }
    }
    Ok((!any.is_empty()).then_some(Test::Field { field, any }))
}

fn flag(flag: Flag, key: &str, value: &str) -> Result<Option<Test>, Wrong> {
    let want = match value.to_lowercase().as_str() {
        "" | "yes" | "true" | "1" | "y" | "on" => Some(true),
        "no" | "false" | "0" | "n" | "off" => Some(false),
        "any" | "*" | "all" => None,
        half if ["yes", "no", "any", "true", "false"].iter().any(|word| word.starts_with(half)) => return Ok(None),
        _ => {
            return Err((format!("`{key}:` is yes or no, and not {}.", quoted(value)), Some(format!("Write {key}: or {key}:no."))));
        }
    };
    Ok(Some(Test::Flag { flag, want }))
}
