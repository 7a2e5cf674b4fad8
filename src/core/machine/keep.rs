//! How conversations are kept: pins, archive, bin, folders, tags. Their messages are not needed for it.

use std::collections::HashSet;

use super::Machine;
use super::commands::{Change, no_conversation};
use super::undo::{Did, said};
use crate::core::Write;
use crate::core::cards;
use crate::core::undo::Step;
use crate::error::{Error, Kind, Result};
use crate::proto::{Ack, ConversationId, ConversationRow, EventKind, Keep, UnixMs};

/// Tags of one conversation. More than anybody reads.
const MOST_TAGS: usize = 32;

impl Machine {
    /// All of them or none.
    pub(super) fn keep(&self, conversations: &[ConversationId], change: &Keep, at: UnixMs) -> Result<Change> {
        // Named twice, it changes once.
        let mut seen = HashSet::new();
        let each = conversations.iter().filter(|id| seen.insert(**id));
        let rows = each.map(|id| self.kept_row(*id)).collect::<Result<Vec<_>>>()?;
        if let Keep::Unread(on) = change {
            let rows: Vec<ConversationRow> =
                rows.into_iter().filter(|row| row.unread != *on).map(|row| ConversationRow { unread: *on, ..row.clone() }).collect();
            let writes = rows.iter().cloned().map(Write::Row).collect();
            return Ok(Change { writes, events: rows.into_iter().map(EventKind::Row).collect(), ..Change::default() });
        }
        let folder = match change {
            Keep::Folder(Some(id)) => {
                let folder = self.replica.folders.iter().find(|folder| folder.id == *id);
                let folder = folder.ok_or_else(|| Error::new(Kind::NotFound, "There is no such folder; it may have been deleted."))?;
                if folder.search.is_some() {
                    return Err(Error::new(Kind::Usage, "A saved search shows what it finds; nothing can be put into it.")
                        .hint("Choose a folder that is none."));
                }
                Some(folder)
            }
            _ => None,
        };
        let tag = if let Keep::Tag { name, .. } = change { cards::name(name)? } else { String::new() };
        let mut steps = Vec::new();
        let mut changed: Vec<&ConversationRow> = Vec::new();
        for row in rows {
            let conversation = row.id;
            let step = match change {
                Keep::Pinned(on) => (row.pinned != *on).then_some(Step::Pinned { conversation, from: row.pinned, to: *on }),
                Keep::Archived(on) => (row.archived != *on).then_some(Step::ArchivedRow { conversation, from: row.archived, to: *on }),
                Keep::Folder(to) => (row.folder != *to).then_some(Step::InFolder { conversation, from: row.folder, to: *to }),
                Keep::Deleted(on) => {
                    (row.deleted.is_some() != *on).then_some(Step::Deleted { conversation, from: row.deleted, to: on.then_some(at) })
                }
                Keep::Tag { on, .. } => tags(row, &tag, *on)?.map(|to| Step::Tags { conversation, from: row.tags.clone(), to }),
                Keep::Unread(_) => None,
            };
            if let Some(step) = step {
                steps.push(step);
                changed.push(row);
            }
        }
        if steps.is_empty() {
            return Ok(Change::default());
        }
        let what = match changed.as_slice() {
            [one] => said(&one.title, "an untitled conversation"),
            more => format!("{} conversations", more.len()),
        };
        let about = match change {
            Keep::Pinned(true) => format!("pinned {what}"),
            Keep::Pinned(false) => format!("unpinned {what}"),
            Keep::Archived(true) => format!("archived {what}"),
            Keep::Archived(false) => format!("took {what} out of the archive"),
            Keep::Folder(_) => match folder {
                Some(folder) => format!("moved {what} to {}", said(&folder.name, "a folder")),
                None => format!("took {what} out of the folder"),
            },
            Keep::Tag { on: true, .. } => format!("tagged {what} with {}", said(&tag, "a tag")),
            Keep::Tag { on: false, .. } => format!("took the tag {} off {what}", said(&tag, "")),
            Keep::Deleted(true) => format!("put {what} into the bin"),
            Keep::Deleted(false) => format!("took {what} out of the bin"),
            Keep::Unread(_) => String::new(),
        };
        let conversation = if let [one] = changed.as_slice() { Some(one.id) } else { None };
        self.act(Did { conversation, about, steps }, at)
    }

    /// The row of a conversation that is in lists.
    fn kept_row(&self, id: ConversationId) -> Result<&ConversationRow> {
        if self.unsaved.contains(&id) {
            return Err(Error::new(Kind::Usage, "This conversation is not saved, so it is in no list."));
        }
        self.replica.rows.get(&id).ok_or_else(no_conversation)
    }

    /// Removes for good; only what lies in the bin, or was never saved.
    pub(super) fn delete(&self, conversation: ConversationId) -> Result<Change> {
        let row = self.replica.rows.get(&conversation).ok_or_else(no_conversation)?;
        if row.deleted.is_none() && !self.unsaved.contains(&conversation) {
            return Err(Error::new(Kind::Usage, "Only what lies in the bin can be deleted for good.")
                .hint("Put the conversation into the bin first."));
        }
        Ok(self.removed(&[conversation]))
    }

    /// Removes for good what lies in the bin.
    pub(super) fn empty_bin(&self, conversations: &[ConversationId]) -> Change {
        let in_bin = |id: &&ConversationId| self.replica.rows.get(id).is_none_or(|row| row.deleted.is_some());
        let gone: Vec<ConversationId> = conversations.iter().filter(in_bin).copied().collect();
        let ack = Ack::Emptied { count: u32::try_from(gone.len()).unwrap_or(u32::MAX) };
        Change { ack: Some(ack), ..self.removed(&gone) }
    }

    fn removed(&self, gone: &[ConversationId]) -> Change {
        let aborts = gone.iter().flat_map(|id| self.running_in(*id)).collect();
        Change {
            writes: gone.iter().map(|id| Write::DeleteConversation(*id)).collect(),
            events: gone.iter().map(|id| EventKind::ConversationRemoved { id: *id }).collect(),
            aborts,
            ..Change::default()
        }
    }
}

/// The tags of a conversation with one more or less; `None` when they stay.
fn tags(row: &ConversationRow, name: &str, on: bool) -> Result<Option<Vec<String>>> {
    let known = row.tags.iter().position(|tag| cards::same(tag, name));
    let mut tags = row.tags.clone();
    match (known, on) {
        (Some(at), false) => drop(tags.remove(at)),
        (None, true) if tags.len() >= MOST_TAGS => {
            return Err(Error::new(Kind::Usage, format!("A conversation can have {MOST_TAGS} tags at the most."))
                .hint("Take some of them off first."));
        }
        (None, true) => tags.push(name.to_owned()),
        _ => return Ok(None),
    }
    tags.sort();
    Ok(Some(tags))
}
