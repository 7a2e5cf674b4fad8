//! How a card changes: what may stand in it, and that it stands there once.
//!
//! Invariant: whatever was asked for, a card's groups and tags are harmless on a screen, sorted, each once without regard to case,
//! and no card grows without bound.

use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Card, CardChange};
use crate::sanitise;

/// Longest name of a group or a tag, in characters: it stands in a column.
pub const LONGEST_NAME: usize = 64;
/// Groups, and tags, of one model. More than anybody reads.
pub const MOST_NAMES: usize = 32;
/// Longest note, in characters: a page.
pub const LONGEST_NOTE: usize = 4_000;

/// The name of a group or tag as it is kept: on one line, without spaces around it, harmless.
///
/// # Errors
/// [`Kind::Usage`] when nothing is left of it, or it is longer than [`LONGEST_NAME`].
pub fn name(typed: &str) -> Result<String> {
    let clean = sanitise::line(typed);
    let clean = clean.trim();
    match clean.chars().count() {
        0 => Err(Error::new(Kind::Usage, "A group or tag needs a name.").hint("Give it one of 1 to 64 characters.")),
        1..=LONGEST_NAME => Ok(clean.to_owned()),
        count => Err(Error::new(Kind::Usage, format!("The name {} has {count} characters; {LONGEST_NAME} are the most.", quoted(clean)))
            .hint("Give it a shorter one, and write the rest into the note.")),
    }
}

/// Whether two names mean the same group or tag.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// A change with everything in it made clean, so that it can be kept. `spelt` gives the spelling of a name that is in use.
///
/// # Errors
/// [`Kind::Usage`] when a name or note cannot be kept.
pub fn clean(change: &CardChange, spelt: impl Fn(&str) -> Option<String>) -> Result<CardChange> {
    let kept = |typed: &str| {
        let typed = name(typed)?;
        Ok::<_, Error>(spelt(&typed).unwrap_or(typed))
    };
    Ok(match change {
        CardChange::Group { name, member } => CardChange::Group { name: kept(name)?, member: *member },
        CardChange::Tag { name, on } => CardChange::Tag { name: kept(name)?, on: *on },
        CardChange::Note(note) => {
            let clean = sanitise::block(note).trim().to_owned();
            let count = clean.chars().count();
            if count > LONGEST_NOTE {
                return Err(Error::new(Kind::Usage, format!("The note has {count} characters; {LONGEST_NOTE} are the most."))
                    .hint("Shorten it; what was noted before is kept."));
            }
            CardChange::Note(clean)
        }
        other => other.clone(),
    })
}

/// The card after a change that [`clean`] has been over.
///
/// # Errors
/// [`Kind::Usage`] when it would have more than [`MOST_NAMES`] groups or tags.
pub fn changed(card: &Card, change: &CardChange) -> Result<Card> {
    let mut card = card.clone();
    match change {
        CardChange::Favourite(on) => card.favourite = *on,
        CardChange::Hidden(on) => card.hidden = *on,
        CardChange::Pinned(on) => card.pinned = *on,
        CardChange::Group { name, member } => set_name(&mut card.groups, name, *member, "groups")?,
        CardChange::Tag { name, on } => set_name(&mut card.tags, name, *on, "tags")?,
        CardChange::Note(note) => card.note.clone_from(note),
        CardChange::Preset(name) => card.preset.clone_from(name),
        CardChange::Load(name) => card.load.clone_from(name),
        CardChange::Request(name) => card.request.clone_from(name),
    }
    Ok(card)
}

fn set_name(names: &mut Vec<String>, name: &str, on: bool, what: &str) -> Result<()> {
    let known = names.iter().position(|known| same(known, name));
    match (known, on) {
        (Some(at), false) => drop(names.remove(at)),
        (None, true) if names.len() >= MOST_NAMES => {
            return Err(Error::new(Kind::Usage, format!("A model can have {MOST_NAMES} {what} at the most."))
                .hint(format!("Take it out of some of its {what} first.")));
        }
        (None, true) => names.push(name.to_owned()),
        (Some(_), true) | (None, false) => {}
    }
    names.sort_by_cached_key(|name| (name.to_lowercase(), name.clone()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(card: &Card, typed: &str, on: bool) -> Result<Card> {
        let spelt = |name: &str| card.tags.iter().find(|known| same(known, name)).cloned();
        changed(card, &clean(&CardChange::Tag { name: typed.to_owned(), on }, spelt)?)
    }

    #[test]
    fn names_stand_once_sorted_and_harmless() {
        let mut card = Card::default();
        for typed in ["  writing ", "Code", "code", "ÄRGER", "ärger", "a\u{1b}[2Jb\nc"] {
            card = tagged(&card, typed, true).unwrap();
        }
        assert_eq!(card.tags.len(), 4, "{:?}", card.tags);
        assert_eq!((card.tags[1].as_str(), card.tags[2].as_str(), card.tags[3].as_str()), ("Code", "writing", "ÄRGER"));
        assert!(!card.tags[0].contains(['\u{1b}', '\n']), "{:?}", card.tags);
        card = tagged(&card, "CODE", false).unwrap();
        assert_eq!(card.tags.len(), 3, "taken off whatever its case");
    }

    #[test]
    fn what_cannot_be_kept_is_refused_and_changes_nothing() {
        for typed in ["", "  \n ", &"x".repeat(65)] {
            assert_eq!(name(typed).unwrap_err().kind, Kind::Usage, "{typed:?}");
        }
        assert_eq!(name(&"ä".repeat(64)).unwrap().chars().count(), 64);
        let full = (0..MOST_NAMES).fold(Card::default(), |card, at| tagged(&card, &format!("t{at}"), true).unwrap());
        assert_eq!(tagged(&full, "one more", true).unwrap_err().kind, Kind::Usage);
        assert_eq!(tagged(&full, "T7", true).unwrap(), full, "it has that one already");
        let long = CardChange::Note("x".repeat(LONGEST_NOTE + 1));
        assert_eq!(clean(&long, |_| None).unwrap_err().kind, Kind::Usage);
        let CardChange::Note(note) = clean(&CardChange::Note("two\nlines\u{202e} ".into()), |_| None).unwrap() else { panic!() };
        assert!(note.starts_with("two\nlines") && !note.contains('\u{202e}'), "{note:?}");
    }
}
