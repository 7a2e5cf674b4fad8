//! The filter language of model lists: `qwen state:loaded size:<8G -tag:old "exact words"`.
//!
//! Owns: what a filter says ([`Filter::parse`]), whether a model fits it ([`Filter::fits`]), how a half-typed one may go on
//! ([`complete`]). Refuses: lists, order, the clock (the moment is passed in). Invariant: as of all filters.
//!
//! Without a key a word is looked for in everything that is known in words of a model, and loosely in its name (`q38` finds
//! `qwen3:8b`); in quotes it must stand there as it is.

mod complete;
mod measure;
mod parse;

#[cfg(test)]
mod tests;

pub use complete::{Known, complete};

use self::measure::Measure;
use super::{Problem, Range, Wanted};
use crate::proto::{ModelInfo, ModelState, ModelUse, UnixMs};

/// A key of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Without its colon.
    pub key: &'static str,
    /// Other ways to write it.
    also: &'static [&'static str],
    pub about: &'static str,
    pub example: &'static str,
    sort: Sort,
}

/// What a key compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    State,
    Field(Field),
    Flag(Flag),
    Measure(Measure),
}

/// Something of a model that is told in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Backend,
    Kind,
    Family,
    Quant,
    Capability,
    Tag,
    Group,
}

/// Something that is so or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Favourite,
    Hidden,
    Pinned,
}

/// Every key, in the order of help.
pub const WORDS: &[Word] = &[
    Word { key: "state", also: &[], about: "What it does now", example: "state:loaded", sort: Sort::State },
    Word { key: "backend", also: &[], about: "A part of its backend's name", example: "backend:work", sort: Sort::Field(Field::Backend) },
    Word { key: "kind", also: &[], about: "The kind of its backend", example: "kind:ollama", sort: Sort::Field(Field::Kind) },
    Word { key: "family", also: &["arch"], about: "A part of its family", example: "family:qwen", sort: Sort::Field(Field::Family) },
    Word {
        key: "quant",
        also: &["quantisation", "quantization"],
        about: "A part of its quantisation",
        example: "quant:q4",
        sort: Sort::Field(Field::Quant),
    },
    Word {
        key: "size",
        also: &[],
        about: "Its size: k, M, G, T; G without a unit",
        example: "size:<8G",
        sort: Sort::Measure(Measure::Size),
    },
    Word {
        key: "ctx",
        also: &["context"],
        about: "The context that it can have, in tokens",
        example: "ctx:>=32k",
        sort: Sort::Measure(Measure::Context),
    },
    Word { key: "cap", also: &["capability", "can"], about: "What it can do", example: "cap:vision", sort: Sort::Field(Field::Capability) },
    Word { key: "tag", also: &["tags"], about: "One of its tags", example: "tag:code", sort: Sort::Field(Field::Tag) },
    Word { key: "group", also: &["groups"], about: "One of its groups", example: "group:work", sort: Sort::Field(Field::Group) },
    Word { key: "fav", also: &["favourite", "favorite"], about: "Favourites", example: "fav:", sort: Sort::Flag(Flag::Favourite) },
    Word { key: "hidden", also: &[], about: "Hidden ones; hidden:any shows both", example: "hidden:", sort: Sort::Flag(Flag::Hidden) },
    Word { key: "pinned", also: &["pin"], about: "Pinned ones", example: "pinned:", sort: Sort::Flag(Flag::Pinned) },
    Word { key: "runs", also: &[], about: "How many answers it gave", example: "runs:>0", sort: Sort::Measure(Measure::Runs) },
    Word {
        key: "used",
        also: &["last"],
        about: "How long ago it answered last: m, h, d, w, y",
        example: "used:<7d",
        sort: Sort::Measure(Measure::Used),
    },
    Word {
        key: "mem",
        also: &["memory"],
        about: "Memory that it takes now, as size",
        example: "mem:>4G",
        sort: Sort::Measure(Measure::Memory),
    },
    Word {
        key: "tps",
        also: &["speed"],
        about: "Tokens per second, median of its runs",
        example: "tps:>20",
        sort: Sort::Measure(Measure::Speed),
    },
    Word {
        key: "ttft",
        also: &[],
        about: "Time to the first token, median: ms, s",
        example: "ttft:<1s",
        sort: Sort::Measure(Measure::Ttft),
    },
];

/// A parsed filter: made once, asked for many models.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
    problems: Vec<Problem>,
}

/// One word of a filter.
#[derive(Debug, Clone, PartialEq)]
struct Term {
    not: bool,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Lower case. `exact`: it must stand there as it is.
    Text {
        word: String,
        exact: bool,
    },
    State(Vec<ModelState>),
    Field {
        field: Field,
        any: Vec<Wanted>,
    },
    /// `None`: whatever it is (`hidden:any`).
    Flag {
        flag: Flag,
        want: Option<bool>,
    },
    Measure {
        measure: Measure,
        range: Range,
    },
}

/// What bare words are looked for in: made once for each model and revision of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Haystack {
    /// Lower case: `backend/name`, then what else is told in words.
    text: String,
    /// So many bytes of it are the name.
    name: usize,
}

impl Haystack {
    #[must_use]
    pub fn of(model: &ModelInfo) -> Self {
        let mut text = String::with_capacity(96);
        push_lower(&mut text, &model.backend);
        text.push('/');
        push_lower(&mut text, &model.name);
        let name = text.len();
        let card = &model.card;
        let words = [state_word(model.state), model.kind.word()];
        let texts = [model.family.as_deref(), model.quantisation.as_deref(), Some(card.note.as_str())];
        let lists = [&model.capabilities, &card.groups, &card.tags];
        for word in words.into_iter().chain(texts.into_iter().flatten()).chain(lists.into_iter().flatten().map(String::as_str)) {
            if !word.is_empty() {
                text.push('\n');
                push_lower(&mut text, word);
            }
        }
        Self { text, name }
    }

    /// `backend/name` in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[..self.name]
    }

    /// Whether a word (lower case) stands in it, or its parts do in the name, each where a word or a number begins.
    fn holds(&self, word: &str, exact: bool) -> bool {
        self.text.contains(word) || !exact && loosely(self.name(), word)
    }
}

fn push_lower(out: &mut String, text: &str) {
    out.extend(text.chars().flat_map(char::to_lowercase));
}

/// Whether the bytes of `word` stand in `name` in this order, each right after the one before or where a word or a number begins, the
/// first where one begins too: `q38` in `qwen3:8b`. Only the first 128 bytes are looked at. A longer word never fits what a shorter one
/// did not.
fn loosely(name: &str, word: &str) -> bool {
    let name = &name.as_bytes()[..name.len().min(128)];
    let class = |byte: u8| if byte.is_ascii_digit() { 1 } else { u8::from(byte.is_ascii_alphanumeric() || !byte.is_ascii()) * 2 };
    // A bit for each place where the word so far may end.
    let mut ends: u128 = 0;
    for (step, wanted) in word.bytes().enumerate() {
        let (mut places, mut begins): (u128, u128) = (0, 0);
        for (at, byte) in name.iter().enumerate() {
            if *byte == wanted {
                places |= 1 << at;
                if at == 0 || class(name[at - 1]) != class(*byte) {
                    begins |= 1 << at;
                }
            }
        }
        ends = match step {
            0 => begins,
            _ => places & (ends << 1) | begins & u128::MAX.checked_shl(ends.trailing_zeros() + 1).unwrap_or(0),
        };
        if ends == 0 {
            return false;
        }
    }
    true
}

/// A model that is asked for, with what is known beside it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub model: &'a ModelInfo,
    pub haystack: &'a Haystack,
    pub uses: Option<&'a ModelUse>,
    /// For `used:`.
    pub now: UnixMs,
}

impl Filter {
    /// Reads a filter. Never fails; see [`Filter::problems`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        parse::parse(text)
    }

    /// What was not understood, in the order of the text.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether everything fits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether hidden models are asked for by name.
    #[must_use]
    pub fn asks_hidden(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.test, Test::Flag { flag: Flag::Hidden, .. }))
    }

    /// Whether every word holds.
    #[must_use]
    pub fn fits(&self, candidate: &Candidate<'_>) -> bool {
        self.terms.iter().all(|term| term.test.holds(candidate) != term.not)
    }

    /// Whether a list shows it: every word holds, and a hidden model is asked for (by `hidden:` or by whoever lists).
    #[must_use]
    pub fn shows(&self, candidate: &Candidate<'_>, hidden: bool) -> bool {
        (!candidate.model.card.hidden || hidden || self.asks_hidden()) && self.fits(candidate)
    }

    /// The same for one model, where no list is kept.
    #[must_use]
    pub fn shows_model(&self, model: &ModelInfo, uses: Option<&ModelUse>, now: UnixMs) -> bool {
        self.shows(&Candidate { model, haystack: &Haystack::of(model), uses, now }, false)
    }

    /// Whether whatever this one shows was shown by `before` too, so that only that need be looked at.
    #[must_use]
    pub fn narrows(&self, before: &Self) -> bool {
        let implied = |old: &Term| self.terms.iter().any(|new| new == old || new.implies(old));
        self.asks_hidden() == before.asks_hidden() && before.terms.iter().all(implied)
    }
}

impl Term {
    /// Whether what fits this one fits the other: a longer text goes on from a shorter one.
    fn implies(&self, other: &Self) -> bool {
        match (&self.test, &other.test) {
            (Test::Text { word: long, exact: false }, Test::Text { word: short, exact: false }) => {
                !self.not && !other.not && long.starts_with(short.as_str())
            }
            _ => false,
        }
    }
}

impl Test {
    fn holds(&self, candidate: &Candidate<'_>) -> bool {
        let model = candidate.model;
        match self {
            Self::Text { word, exact } => candidate.haystack.holds(word, *exact),
            Self::State(states) => states.contains(&model.state),
            Self::Field { field, any } => any.iter().any(|wanted| field.holds(model, wanted)),
            Self::Flag { flag, want } => want.is_none_or(|want| flag.of(model) == want),
            Self::Measure { measure, range } => measure.of(candidate).is_some_and(|value| range.holds(value)),
        }
    }
}

impl Field {
    /// Whether a part of the value may stand anywhere in it, or at its beginning only.
    fn anywhere(self) -> bool {
        matches!(self, Self::Backend | Self::Family | Self::Quant)
    }

    fn holds(self, model: &ModelInfo, wanted: &Wanted) -> bool {
        let one = |value: &str| wanted.fits(value, self.anywhere());
        match self {
            Self::Backend => one(&model.backend),
            Self::Kind => one(model.kind.word()),
            Self::Family => model.family.as_deref().is_some_and(one),
            Self::Quant => model.quantisation.as_deref().is_some_and(one),
            Self::Capability => model.capabilities.iter().any(|value| one(value)),
            Self::Tag => model.card.tags.iter().any(|value| one(value)),
            Self::Group => model.card.groups.iter().any(|value| one(value)),
        }
    }
}

impl Flag {
    fn of(self, model: &ModelInfo) -> bool {
        match self {
            Self::Favourite => model.card.favourite,
            Self::Hidden => model.card.hidden,
            Self::Pinned => model.card.pinned,
        }
    }
}

/// The word of a state, as `models ls --json` has it.
#[must_use]
pub fn state_word(state: ModelState) -> &'static str {
    match state {
        ModelState::Unloaded => "unloaded",
        ModelState::Loading => "loading",
        ModelState::Loaded => "loaded",
        ModelState::Sleeping => "sleeping",
        ModelState::Downloading => "downloading",
        ModelState::Failed => "failed",
        ModelState::Unknown => "unknown",
    }
}

/// Every state, in the order of its list.
const STATES: [ModelState; 7] = [
    ModelState::Loaded,
    ModelState::Loading,
    ModelState::Sleeping,
    ModelState::Unloaded,
    ModelState::Downloading,
    ModelState::Failed,
    ModelState::Unknown,
];

/// The kinds of backend, as `kind:` knows them.
const KINDS: [&str; 5] = ["ollama", "llama-server", "openai", "anthropic", "embedded"];
