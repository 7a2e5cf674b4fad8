//! Folders: what may lie where, and how many conversations lie in each.
//!
//! Invariant: no folder lies in itself, none in a smart one, and no two in the same folder have the same name; the counts that go out are
//! those of the rows that went out before them.

use std::collections::HashMap;

use super::commands::{Change, no_conversation};
use super::stage::Stage;
use super::undo::{Did, said};
use super::{Effect, Machine};
use crate::core::settings::fold;
use crate::core::undo::Step;
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{ConversationId, ConversationRow, EventKind, Folder, FolderId, UnixMs};
use crate::sanitise;

/// Longest name of a folder, in characters.
const LONGEST_NAME: usize = 200;
/// Longest saved search, in characters.
const LONGEST_SEARCH: usize = 1_000;
/// Folders at most: all of them go out whenever one changes.
const MOST: usize = 1_000;

impl Machine {
    pub(super) fn save_folder(&self, folder: Folder, at: UnixMs) -> Result<Change> {
        let folders = &self.replica.folders;
        let clean = sanitise::line(&folder.name);
        let name: String = clean.trim().chars().take(LONGEST_NAME).collect();
        let some = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let folder =
            bare(&Folder { name: name.trim_end().to_owned(), template: some(folder.template), search: some(folder.search), ..folder });
        if folder.name.is_empty() {
            return Err(Error::new(Kind::Usage, "A folder needs a name of at least one character."));
        }
        if folder.search.as_ref().is_some_and(|search| search.chars().count() > LONGEST_SEARCH) {
            return Err(Error::new(Kind::Usage, format!("A saved search has {LONGEST_SEARCH} characters at the most.")));
        }
        let known = folders.iter().find(|known| known.id == folder.id).map(bare);
        if known.is_none() && folders.len() >= MOST {
            return Err(Error::new(Kind::Usage, format!("There are {MOST} folders already, and no more can be kept."))
                .hint("Delete some of them; what lies in them stays."));
        }
        let shown = said(&folder.name, "");
        let about = match &known {
            None if folder.search.is_some() => format!("saved the search {shown}"),
            None => format!("made the folder {shown}"),
            Some(known) if *known == folder => return Ok(Change::default()),
            Some(known) if known.search.is_some() != folder.search.is_some() => {
                return Err(Error::new(Kind::Usage, "A folder cannot become a saved search, nor a saved search a folder.")
                    .hint("Make a new one, and delete this one."));
            }
            Some(known) if known.name != folder.name => format!("renamed the folder {} to {shown}", said(&known.name, "")),
            Some(known) if known.parent != folder.parent => format!("moved the folder {shown}"),
            Some(_) => format!("changed the folder {shown}"),
        };
        let steps = vec![Step::Folder { id: folder.id, from: known, to: Some(folder) }];
        self.act(Did { conversation: None, about, steps }, at)
    }

    /// What lies in the folder, as `conversations` and `folders` within, goes to the one above it.
    pub(super) fn delete_folder(&self, id: FolderId, conversations: &[ConversationId], at: UnixMs) -> Result<Change> {
        let mut folders = self.replica.folders.clone();
        let gone = folders.iter().find(|folder| folder.id == id).map(bare);
        let gone = gone.ok_or_else(|| Error::new(Kind::NotFound, "There is no such folder; it may have been deleted."))?;
        let mut steps = Vec::new();
        for conversation in conversations {
            let row = self.replica.rows.get(conversation).ok_or_else(no_conversation)?;
            if row.folder == Some(id) {
                steps.push(Step::InFolder { conversation: *conversation, from: Some(id), to: gone.parent });
            }
        }
        let within: Vec<FolderId> = folders.iter().filter(|folder| folder.parent == Some(id)).map(|folder| folder.id).collect();
        for child in within {
            let Some(at) = folders.iter().position(|folder| folder.id == child) else { continue };
            let from = bare(&folders[at]);
            let name = free_name(&folders, gone.parent, child, &from.name);
            let to = Folder { parent: gone.parent, name, ..from.clone() };
            folders[at] = to.clone();
            steps.push(Step::Folder { id: child, from: Some(from), to: Some(to) });
        }
        let about = format!("deleted the folder {}", said(&gone.name, ""));
        steps.push(Step::Folder { id, from: Some(gone), to: None });
        self.act(Did { conversation: None, about, steps }, at)
    }

    /// Plays the steps of an act that can be undone.
    pub(super) fn act(&self, did: Did, at: UnixMs) -> Result<Change> {
        let mut stage = Stage::new(self, at);
        for step in &did.steps {
            stage.take(step)?;
        }
        Ok(Change { op: Some(did), ..stage.finish(None) })
    }

    /// Where effects change what lies in folders, the folders follow with their new counts.
    pub(super) fn count_folders(&self, effects: &mut Vec<Effect>) {
        let mut rows: HashMap<ConversationId, Option<(FolderId, bool)>> = HashMap::new();
        // As they will be; what moves is counted on that.
        let told = |effect: &Effect| if let Effect::Emit(EventKind::Folders(list)) = effect { Some(list.clone()) } else { None };
        let mut folders: Option<Vec<Folder>> = effects.iter().find_map(told);
        let mut last = 0;
        for (at, effect) in effects.iter().enumerate() {
            let (id, after) = match effect {
                Effect::Emit(EventKind::Row(row)) => (row.id, lies(row)),
                Effect::Emit(EventKind::Conversation(conversation)) => (conversation.row.id, lies(&conversation.row)),
                Effect::Emit(EventKind::ConversationRemoved { id }) => (*id, None),
                Effect::Emit(EventKind::Folders(_)) => {
                    last = at;
                    continue;
                }
                _ => continue,
            };
            let before = rows.get(&id).copied().unwrap_or_else(|| self.replica.rows.get(&id).and_then(lies));
            rows.insert(id, after);
            if before == after {
                continue;
            }
            last = at;
            let folders = folders.get_or_insert_with(|| self.replica.folders.clone());
            let mut count = |place: Option<(FolderId, bool)>, by: i64| {
                let Some((id, unread)) = place else { return };
                if let Some(folder) = folders.iter_mut().find(|folder| folder.id == id) {
                    let plus = |count: u32, by: i64| u32::try_from((i64::from(count) + by).max(0)).unwrap_or(u32::MAX);
                    folder.count = plus(folder.count, by);
                    folder.unread = plus(folder.unread, if unread { by } else { 0 });
                }
            };
            count(before, -1);
            count(after, 1);
        }
        if let Some(folders) = folders {
            effects.insert(last + 1, Effect::Emit(EventKind::Folders(folders)));
            // One is enough: the last.
            let mut after = last + 1;
            effects.retain(|effect| {
                let keep = after == 0 || !matches!(effect, Effect::Emit(EventKind::Folders(_)));
                after = after.saturating_sub(1);
                keep
            });
        }
    }
}

/// The folder in whose count a conversation is, and whether it counts as unread.
pub(super) fn lies(row: &ConversationRow) -> Option<(FolderId, bool)> {
    row.folder.filter(|_| !row.archived && row.deleted.is_none()).map(|folder| (folder, row.unread))
}

/// A folder without its counts: what people decide of it.
pub(super) fn bare(folder: &Folder) -> Folder {
    Folder { count: 0, unread: 0, ..folder.clone() }
}

/// By name, as they go out.
pub(super) fn sorted(mut folders: Vec<Folder>) -> Vec<Folder> {
    folders.sort_by_cached_key(|folder| (fold(&folder.name), folder.id));
    folders
}

/// Whether a folder may be as it is to be.
///
/// # Errors
/// [`Kind::Usage`], [`Kind::NotFound`]: why not.
pub(super) fn check(folders: &[Folder], folder: &Folder) -> Result<()> {
    let shown = quoted(&folder.name);
    let of = |id: FolderId| folders.iter().find(|known| known.id == id);
    let mut above = folder.parent;
    let mut steps = 0;
    while let Some(id) = above {
        if id == folder.id || steps > folders.len() {
            return Err(Error::new(Kind::Usage, format!("The folder {shown} cannot lie in itself, nor in a folder within it.")));
        }
        let parent = of(id).ok_or_else(|| Error::new(Kind::NotFound, "The folder that it should lie in is not there any more."))?;
        if steps == 0 && parent.search.is_some() {
            return Err(Error::new(
                Kind::Usage,
                format!("{} is a saved search: it shows what it finds, and nothing lies in it.", quoted(&parent.name)),
            ));
        }
        above = parent.parent;
        steps += 1;
    }
    if folders.iter().any(|known| known.id != folder.id && known.parent == folder.parent && fold(&known.name) == fold(&folder.name)) {
        return Err(Error::new(Kind::Usage, format!("There is a folder called {shown} there already.")).hint("Give it another name."));
    }
    Ok(())
}

/// A name that no other folder in `parent` has: the same, or with a number.
fn free_name(folders: &[Folder], parent: Option<FolderId>, id: FolderId, name: &str) -> String {
    let taken = |name: &str| folders.iter().any(|known| known.id != id && known.parent == parent && fold(&known.name) == fold(name));
    let short: String = name.chars().take(LONGEST_NAME - 8).collect();
    // One of as many names as there are folders is free.
    let numbered = (2..folders.len() + 3).map(|number| format!("{short} ({number})"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_else(|| name.to_owned())
}
