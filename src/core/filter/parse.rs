//! From a text to a [`Filter`].

use super::{Field, Filter, Flag, KINDS, Problem, STATES, Sort, Term, Test, WORDS, Wanted, Word, state_word};
use crate::error::{nearest, quoted};

/// A piece of the text between spaces.
pub(super) struct Token {
    pub at: std::ops::Range<usize>,
    pub not: bool,
    /// Without its quotes.
    text: String,
    /// Where in `text` the part after the key begins, when a sign of one stands in it outside of quotes.
    key: Option<(usize, usize)>,
    /// Something of it stood in quotes.
    quoted: bool,
}

/// The pieces of a text. A quote that is not closed reaches to the end.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut open: Option<Token> = None;
    let mut inside = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !inside {
            out.extend(open.take());
            continue;
        }
        let begins = open.is_none();
        let token = open.get_or_insert_with(|| Token { at: at..at, not: false, text: String::new(), key: None, quoted: false });
        token.at.end = at + c.len_utf8();
        match c {
            '"' => {
                inside = !inside;
                token.quoted = true;
            }
            '-' | '!' if begins => token.not = true,
            ':' if !inside && token.key.is_none() && !token.quoted => {
                token.key = Some((token.text.len(), token.text.len() + 1));
                token.text.push(c);
            }
            '<' | '>' | '=' if !inside && token.key.is_none() && !token.quoted => {
                token.key = Some((token.text.len(), token.text.len()));
                token.text.push(c);
            }
            c => token.text.push(c),
        }
    }
    out.extend(open);
    out
}

/// The key of that name.
pub(super) fn word(key: &str) -> Option<&'static Word> {
    let key = key.to_lowercase();
    WORDS.iter().find(|word| word.key == key || word.also.contains(&key.as_str()))
}

impl Token {
    /// Its key as typed, and what follows; `None`: it is text.
    pub fn split(&self) -> Option<(&str, &str)> {
        let (end, value) = self.key.filter(|(end, _)| *end > 0)?;
        Some((&self.text[..end], &self.text[value..]))
    }
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

type Wrong = (String, Option<String>);

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

/// The values of a list, without those that are not written yet.
fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|value| !value.is_empty())
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
    let read = |value: &str| {
        let lower = value.to_lowercase();
        match lower.strip_prefix('=') {
            _ if lower == "*" => Wanted::Any,
            Some(whole) => Wanted::Whole(whole.trim().to_owned()),
            None if quoted_value => Wanted::Whole(lower),
            None => Wanted::Part(lower),
        }
    };
    // A name in quotes may have a comma in it.
    let any: Vec<Wanted> = match quoted_value {
        true if !value.trim().is_empty() => vec![read(value.trim())],
        true => Vec::new(),
        false => list(value).filter(|value| *value != "=").map(read).collect(),
    };
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
