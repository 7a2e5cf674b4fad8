//! What people keep about messages: ratings, reactions, bookmarks, marks, and the way that they last went.

use super::Machine;
use super::commands::{Change, no_message};
use super::undo::{Did, said};
use crate::core::undo::Step;
use crate::core::{Doc, Write};
use crate::error::{Error, Kind, Result};
use crate::proto::{ConversationId, Node, NodeId, UnixMs};
use crate::sanitise;

/// Reactions of one message.
const MOST_REACTIONS: usize = 16;
/// Longest reaction, in characters.
const LONGEST_REACTION: usize = 32;
/// Longest note of a bookmark, in characters.
const LONGEST_NOTE: usize = 1_000;

impl Machine {
    pub(super) fn rate(&self, conversation: ConversationId, node: NodeId, rating: i8, at: UnixMs) -> Result<Change> {
        if !(-1..=1).contains(&rating) {
            return Err(Error::new(Kind::Usage, "A rating is -1, 0 or 1."));
        }
        let known = shown(self.doc(conversation)?, node)?;
        if known.rating == rating {
            return Ok(Change::default());
        }
        let what = said(&known.snippet, "a message");
        let about = match rating {
            1 => format!("rated {what} as good"),
            -1 => format!("rated {what} as bad"),
            _ => format!("took the rating off {what}"),
        };
        let steps = vec![Step::Rating { conversation, node, from: known.rating, to: rating }];
        self.act(Did { conversation: Some(conversation), about, steps }, at)
    }

    pub(super) fn react(&self, conversation: ConversationId, node: NodeId, reaction: &str, on: bool, at: UnixMs) -> Result<Change> {
        let clean = sanitise::line(reaction);
        let reaction = clean.trim();
        if reaction.is_empty() || reaction.chars().count() > LONGEST_REACTION {
            return Err(Error::new(Kind::Usage, format!("A reaction is an emoji or a word of 1 to {LONGEST_REACTION} characters.")));
        }
        let known = shown(self.doc(conversation)?, node)?;
        let mut to = known.reactions.clone();
        match (to.iter().position(|given| given == reaction), on) {
            (Some(at), false) => drop(to.remove(at)),
            (None, true) if to.len() >= MOST_REACTIONS => {
                return Err(Error::new(Kind::Usage, format!("A message can have {MOST_REACTIONS} reactions at the most."))
                    .hint("Take one of them back first."));
            }
            (None, true) => to.push(reaction.to_owned()),
            _ => return Ok(Change::default()),
        }
        let what = said(&known.snippet, "a message");
        let about = if on { format!("reacted with {reaction} to {what}") } else { format!("took {reaction} back from {what}") };
        let steps = vec![Step::Reactions { conversation, node, from: known.reactions.clone(), to }];
        self.act(Did { conversation: Some(conversation), about, steps }, at)
    }

    pub(super) fn bookmark(&self, conversation: ConversationId, node: NodeId, note: Option<&str>, at: UnixMs) -> Result<Change> {
        let known = shown(self.doc(conversation)?, node)?;
        let to = note.map(|note| sanitise::line(note).trim().to_owned());
        if to.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            return Err(
                Error::new(Kind::Usage, format!("The note of a bookmark has {LONGEST_NOTE} characters at the most.")).hint("Shorten it.")
            );
        }
        if known.bookmark == to {
            return Ok(Change::default());
        }
        let what = said(&known.snippet, "a message");
        let about = match (&known.bookmark, &to) {
            (None, _) => format!("bookmarked {what}"),
            (Some(_), Some(_)) => format!("changed the note of {what}"),
            (Some(_), None) => format!("took the bookmark off {what}"),
        };
        let steps = vec![Step::Bookmark { conversation, node, from: known.bookmark.clone(), to }];
        self.act(Did { conversation: Some(conversation), about, steps }, at)
    }

    pub(super) fn set_mark(&self, conversation: ConversationId, letter: char, node: Option<NodeId>, at: UnixMs) -> Result<Change> {
        if !letter.is_ascii_lowercase() {
            return Err(Error::new(Kind::Usage, "A mark is one of the letters a to z."));
        }
        let doc = self.doc(conversation)?;
        let from = doc.conversation.marks.get(&letter).copied();
        if from == node {
            return Ok(Change::default());
        }
        let about = match node {
            Some(node) => format!("set the mark {letter} at {}", said(&shown(doc, node)?.snippet, "a message")),
            None => format!("took the mark {letter} away"),
        };
        let steps = vec![Step::Mark { conversation, letter, from, to: node }];
        self.act(Did { conversation: Some(conversation), about, steps }, at)
    }

    /// Remembers the way that somebody went, so that whoever comes next is led there. Nobody is told, and nothing waits for the disk.
    pub(super) fn visit_leaf(&self, conversation: ConversationId, leaf: NodeId) -> Result<Change> {
        let doc = self.doc(conversation)?;
        doc.node(leaf).ok_or_else(|| no_message("the message that was looked at"))?;
        let forks = doc.forks(leaf);
        if forks.iter().all(|(above, child)| doc.conversation.visited.get(above) == Some(child)) {
            return Ok(Change::default());
        }
        let mut changed = doc.conversation.clone();
        changed.visited.extend(forks);
        Ok(Change { writes: vec![Write::Conversation(changed)], visit: Some((conversation, leaf)), lazy: true, ..Change::default() })
    }

    /// Puts at hand where somebody went.
    pub fn visited(&mut self, conversation: ConversationId, leaf: NodeId) {
        if let Some(doc) = self.replica.docs.get_mut(&conversation) {
            let forks = doc.forks(leaf);
            doc.conversation.visited.extend(forks);
            doc.visit(leaf);
        }
    }
}

/// A message that is not taken back.
pub(super) fn shown(doc: &Doc, node: NodeId) -> Result<&Node> {
    doc.node(node).filter(|node| !node.hidden).ok_or_else(|| no_message("it may have been taken back"))
}
