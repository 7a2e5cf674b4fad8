//! The filter language of conversations and messages: `rust folder:work -tag:old after:7d is:unread "exact words"`.
//!
//! Owns: what a filter says ([`Filter::parse`]), how a half-typed one may go on ([`complete`]). Refuses: to look: which conversations
//! and messages fit is the store's to find, by [`Filter::terms`]. Invariant: as of all filters.
//!
//! Without a key a word is looked for in titles, or, among messages, in what they say. In a list of conversations the words on single
//! messages mean nothing and are a problem; among messages, those on conversations are said of the conversation that they lie in.

mod complete;
mod parse;
mod when;

#[cfg(test)]
mod tests;

pub use complete::{Known, complete};
pub use when::Calendar;

use super::{Problem, Range, Wanted};
use crate::proto::{Folder, FolderId, Role, Shelf, UnixMs};

/// What is filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Conversations,
    /// Messages of all conversations.
    Messages,
}

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
    Name(Name),
    Is,
    Count(Count),
    Before,
    After,
    Role,
    Rating,
    Has,
}

/// Something that is told in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Title,
    /// Of a conversation, the model that would answer next; of a message, the one that answered.
    Model,
    Backend,
    /// By its name or path, with the folders in it.
    Folder,
    Tag,
}

/// Something that is so or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    Unread,
    Running,
    Queued,
    Pinned,
    Archived,
    Bookmarked,
    Deleted,
    Branched,
}

/// Something of a conversation that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Messages,
    Tokens,
    Branches,
}

/// Something that a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Has {
    Image,
    File,
    Code,
    /// A tool's call or its result.
    Tool,
}

/// Every key, in the order of help.
pub const WORDS: &[Word] = &[
    Word { key: "title", also: &[], about: "A part of the title", example: "title:release", sort: Sort::Name(Name::Title) },
    Word {
        key: "folder",
        also: &["in"],
        about: "A folder and what lies in it",
        example: "folder:work/rust",
        sort: Sort::Name(Name::Folder),
    },
    Word { key: "tag", also: &["tags"], about: "One of the tags", example: "tag:rust", sort: Sort::Name(Name::Tag) },
    Word { key: "model", also: &[], about: "A part of the model's name", example: "model:qwen", sort: Sort::Name(Name::Model) },
    Word { key: "backend", also: &[], about: "A part of its backend's name", example: "backend:work", sort: Sort::Name(Name::Backend) },
    Word {
        key: "is",
        also: &[],
        about: "unread running queued pinned archived bookmarked deleted branched",
        example: "is:unread",
        sort: Sort::Is,
    },
    Word {
        key: "after",
        also: &["since"],
        about: "That day or later; 7d: within seven days",
        example: "after:yesterday",
        sort: Sort::After,
    },
    Word { key: "before", also: &["until"], about: "Before that day; 2w: longer ago", example: "before:2026-11-01", sort: Sort::Before },
    Word {
        key: "messages",
        also: &[],
        about: "How many messages the conversation has",
        example: "messages:>10",
        sort: Sort::Count(Count::Messages),
    },
    Word { key: "tokens", also: &[], about: "How many tokens they are", example: "tokens:>1k", sort: Sort::Count(Count::Tokens) },
    Word { key: "branches", also: &[], about: "How many branches it has", example: "branches:>1", sort: Sort::Count(Count::Branches) },
];

/// The keys that messages have beside them.
pub const MESSAGE_WORDS: &[Word] = &[
    Word { key: "role", also: &["from"], about: "user assistant tool system", example: "role:user", sort: Sort::Role },
    Word { key: "rating", also: &[], about: "+ good, - bad", example: "rating:+", sort: Sort::Rating },
    Word { key: "has", also: &[], about: "image file code tool", example: "has:code", sort: Sort::Has },
];

/// What an [`Is`] is called.
const STATES: &[(&str, Is)] = &[
    ("unread", Is::Unread),
    ("running", Is::Running),
    ("queued", Is::Queued),
    ("pinned", Is::Pinned),
    ("archived", Is::Archived),
    ("bookmarked", Is::Bookmarked),
    ("deleted", Is::Deleted),
    ("branched", Is::Branched),
];

const ROLES: &[(&str, Role)] = &[("user", Role::User), ("assistant", Role::Assistant), ("tool", Role::Tool), ("system", Role::System)];

const RATINGS: &[(&str, i8)] = &[("+", 1), ("-", -1), ("good", 1), ("bad", -1)];

const THINGS: &[(&str, Has)] = &[("image", Has::Image), ("file", Has::File), ("code", Has::Code), ("tool", Has::Tool)];

/// A parsed filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
    problems: Vec<Problem>,
}

/// One word of a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub not: bool,
    pub test: Test,
}

/// What a word asks for; of a list, one is enough.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// As it was typed. Quotes only hold words together: `exact` says that there were some.
    Text {
        text: String,
        exact: bool,
    },
    Name {
        name: Name,
        any: Vec<Wanted>,
    },
    Is(Vec<Is>),
    Count {
        count: Count,
        range: Range,
    },
    /// Changed (of messages: written) earlier than this moment.
    Before(UnixMs),
    /// At this moment or later.
    From(UnixMs),
    Role(Vec<Role>),
    Rating(Vec<i8>),
    Has(Vec<Has>),
}

impl Filter {
    /// Reads a filter. Never fails; see [`Filter::problems`].
    #[must_use]
    pub fn parse(text: &str, subject: Subject, calendar: &Calendar<'_>) -> Self {
        parse::parse(text, subject, calendar)
    }

    /// What was not understood, in the order of the text.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All of which must hold.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether everything fits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether what is archived, or in the bin, is asked for by name.
    #[must_use]
    pub fn asks(&self, wanted: Is) -> bool {
        self.terms.iter().any(|term| !term.not && matches!(&term.test, Test::Is(any) if any.contains(&wanted)))
    }

    /// Where a list of all conversations looks: what is archived or in the bin is found when it is asked for by name, in the bin alone
    /// when both are.
    #[must_use]
    pub fn shelf(&self) -> Shelf {
        match (self.asks(Is::Deleted), self.asks(Is::Archived)) {
            (true, _) => Shelf::Bin,
            (false, true) => Shelf::Everything,
            (false, false) => Shelf::All,
        }
    }
}

/// The path of a folder: `work/rust`. Empty when there is no such folder.
#[must_use]
pub fn folder_path(folders: &[Folder], id: FolderId) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut at = Some(id);
    // Parents never go in a circle; a list that says so all the same ends here.
    while let Some(folder) = at.and_then(|at| folders.iter().find(|folder| folder.id == at))
        && names.len() < folders.len()
    {
        names.push(&folder.name);
        at = folder.parent;
    }
    names.reverse();
    names.join("/")
}

/// The folders that are wanted by name or path, and all that lie in them. Smart ones hold nothing, and are not among them.
#[must_use]
pub fn folders(all: &[Folder], any: &[Wanted]) -> Vec<FolderId> {
    let mut found: Vec<FolderId> = Vec::new();
    for folder in all {
        let path = folder_path(all, folder.id);
        if any.iter().any(|wanted| leads(&path, wanted)) {
            found.push(folder.id);
        }
    }
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        for child in all.iter().filter(|folder| folder.parent == Some(parent)) {
            if !found.contains(&child.id) {
                found.push(child.id);
            }
        }
        at += 1;
    }
    found.retain(|id| all.iter().any(|folder| folder.id == *id && folder.search.is_none()));
    found
}

/// Whether the last names of a path are those that are wanted; of a part, each may be only begun.
fn leads(path: &str, wanted: &Wanted) -> bool {
    let one = |name: &str, wanted: &str| match wanted.is_empty() {
        true => true,
        false => Wanted::Part(wanted.to_owned()).fits(name, false),
    };
    match wanted {
        Wanted::Any => true,
        Wanted::Whole(whole) => {
            let path = path.to_lowercase();
            path == *whole || path.strip_suffix(whole.as_str()).is_some_and(|before| before.ends_with('/'))
        }
        Wanted::Part(part) => {
            let part = part.trim_end_matches('/');
            let (names, wanted): (Vec<&str>, Vec<&str>) = (path.rsplit('/').collect(), part.rsplit('/').collect());
            !part.is_empty() && names.len() >= wanted.len() && names.iter().zip(&wanted).all(|(name, wanted)| one(name, wanted))
        }
    }
}
