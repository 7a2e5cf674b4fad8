//! How conversations are kept: pins, the archive, the bin, folders, tags, copies.
//!
//! Refuses: the list itself (`pane::conversations`). Invariant: what is lost for good is asked for first, everything else can be undone
//! and is done at once; many are changed by one command.

use super::conversations::fresh;
use crate::core::cards;
use crate::proto::{Command, ConversationId, ConversationRow, Folder, FolderId, Keep, Scope};
use crate::tui::format;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::confirm::Confirm;
use crate::tui::overlay::{folders, labels};
use crate::tui::pane::{Call, Intent, Subject, conversations};
use crate::tui::text::width::{drawable, truncate};

/// The argument that means no folder.
pub const NO_FOLDER: &str = "/";
/// Between the names of a folder's path.
const BETWEEN: &str = " / ";

/// The conversations that an act is about: those of the list when it has the focus, else the shown one.
fn subjects(model: &Model) -> Vec<ConversationRow> {
    if model.shared.focus == conversations::ID {
        return model.pane(conversations::ID).map(|pane| pane.conversations()).unwrap_or_default();
    }
    let shown = model.shared.view.conversation;
    let row = shown.and_then(|id| model.shared.replica.rows.get(&id).or_else(|| model.shared.doc().map(|doc| &doc.conversation.row)));
    row.cloned().into_iter().collect()
}

/// The same; a sentence is said when there is none.
fn wanted(model: &mut Model) -> Option<Vec<ConversationRow>> {
    if model.refuse_offline() {
        return None;
    }
    let rows = subjects(model);
    if rows.is_empty() {
        model.say("There is no conversation under the cursor.");
        return None;
    }
    Some(rows)
}

fn ids(rows: &[ConversationRow]) -> Vec<ConversationId> {
    rows.iter().map(|row| row.id).collect()
}

/// `“quicksort in rust”`, `3 conversations`.
fn named(rows: &[ConversationRow]) -> String {
    match rows {
        [one] if one.title.trim().is_empty() => "The untitled conversation".to_owned(),
        [one] => format!("“{}”", truncate(&drawable(one.title.trim()), 40)),
        many => format::plural(many.len() as u64, "conversation"),
    }
}

fn is(rows: &[ConversationRow]) -> &'static str {
    if rows.len() == 1 { "is" } else { "are" }
}

fn acted(model: &mut Model) {
    let focus = model.shared.focus;
    model.with_pane(focus, |pane, _| pane.acted());
    model.mark(focus);
}

fn keep(model: &mut Model, rows: &[ConversationRow], change: Keep, said: String) {
    acted(model);
    model.post_for(Command::Keep { conversations: ids(rows), change }, Waiting::Say(said));
}

/// `p`: above all others; when all of them are, no longer.
pub fn pin(model: &mut Model) {
    let Some(rows) = wanted(model) else { return };
    let pinned = !rows.iter().all(|row| row.pinned);
    let said = format!("{} {} {}.", named(&rows), is(&rows), if pinned { "pinned" } else { "pinned no longer" });
    keep(model, &rows, Keep::Pinned(pinned), said);
}

/// `A`: into the archive; when all of them are there, out of it.
pub fn archive(model: &mut Model) {
    let Some(rows) = wanted(model) else { return };
    let archived = !rows.iter().all(|row| row.archived);
    let said = match archived {
        true => format!("{} {} in the archive{}; search finds what is there.", named(&rows), is(&rows), back(model)),
        false => format!("{} {} out of the archive.", named(&rows), is(&rows)),
    };
    keep(model, &rows, Keep::Archived(archived), said);
}

/// How an act is taken back.
fn back(model: &Model) -> String {
    format!(" ({} takes it back)", model.shared.key(super::Scope::Conversations, super::Action::Restore))
}

/// `D`: into the bin; what lies there is deleted for good, after a question. On a folder: the folder goes, what lies in it stays.
pub fn bin(model: &mut Model) {
    if model.refuse_offline() {
        return;
    }
    match under_cursor(model) {
        Some(Subject::Folder(id)) if no_marks(model) => return delete_folder(model, id),
        Some(Subject::Bin) if no_marks(model) => return empty_bin(model),
        _ => {}
    }
    let Some(rows) = wanted(model) else { return };
    let (gone, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.deleted.is_some());
    if !kept.is_empty() {
        let said = format!("{} {} in the bin{}.", named(&kept), is(&kept), back(model));
        let shown = model.shared.view.conversation.is_some_and(|id| kept.iter().any(|row| row.id == id));
        keep(model, &kept, Keep::Deleted(true), said);
        if shown {
            fresh(model);
        }
        return;
    }
    let messages: u64 = gone.iter().map(|row| u64::from(row.messages)).sum();
    let what = match gone.as_slice() {
        [one] => format!("{} with {} goes for good.", named(std::slice::from_ref(one)), format::plural(messages, "message")),
        many => format!("{} with {} go for good.", named(many), format::plural(messages, "message")),
    };
    let title = if gone.len() == 1 { "Delete the conversation?".to_owned() } else { format!("Delete {}?", named(&gone)) };
    let said = format!("{} {} deleted.", named(&gone), is(&gone));
    let commands = gone.iter().map(|row| Command::DeleteConversation { conversation: row.id }).collect();
    acted(model);
    let text = vec![what, "This cannot be undone.".to_owned()];
    model.push_overlay(Confirm::boxed(title, text, "deletes", Intent::PostAll(commands, said)));
}

/// Nothing is marked or being selected, so that an act is about what the cursor is on.
fn no_marks(model: &Model) -> bool {
    model.pane(conversations::ID).is_some_and(|pane| pane.conversations().is_empty())
}

fn under_cursor(model: &Model) -> Option<Subject> {
    if model.shared.focus != conversations::ID {
        return None;
    }
    model.pane(conversations::ID)?.subject(&model.cx())
}

/// `R`: out of the bin, or out of the archive.
pub fn restore(model: &mut Model) {
    let Some(rows) = wanted(model) else { return };
    let (gone, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.deleted.is_some());
    let archived: Vec<_> = kept.into_iter().filter(|row| row.archived).collect();
    if !gone.is_empty() {
        let said = format!("{} {} out of the bin.", named(&gone), is(&gone));
        keep(model, &gone, Keep::Deleted(false), said);
    } else if !archived.is_empty() {
        let said = format!("{} {} out of the archive.", named(&archived), is(&archived));
        keep(model, &archived, Keep::Archived(false), said);
    } else {
        model.say("It lies neither in the bin nor in the archive.");
    }
}

/// `:empty bin`.
pub fn empty_bin(model: &mut Model) {
    if model.refuse_offline() {
        return;
    }
    let text = vec!["All conversations in the bin go for good, with all their messages.".to_owned(), "This cannot be undone.".to_owned()];
    let yes = Intent::PostAndSay(Command::EmptyBin, "The bin is empty.".to_owned());
    model.push_overlay(Confirm::boxed("Empty the bin?", text, "empties it", yes));
}

// --- folders ----------------------------------------------------------------------------------------------------------------

/// A folder's name with those of the folders that it lies in: `work / drafts`.
#[must_use]
pub fn path(folders: &[Folder], id: FolderId) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut at = Some(id);
    // Deeper than there are folders is a circle.
    while let Some(folder) = at.and_then(|id| folders.iter().find(|folder| folder.id == id)).filter(|_| names.len() <= folders.len()) {
        names.push(folder.name.trim());
        at = folder.parent;
    }
    names.reverse();
    names.join(BETWEEN)
}

/// Folders that hold conversations, each with its path, in the order of their paths.
#[must_use]
pub fn paths(folders: &[Folder]) -> Vec<(FolderId, String)> {
    let plain = folders.iter().filter(|folder| folder.search.is_none());
    let mut all: Vec<(FolderId, String)> = plain.map(|folder| (folder.id, path(folders, folder.id))).collect();
    all.sort_by_key(|(_, path)| path.to_lowercase());
    all
}

/// The folder of a path. What of it is not there yet is made.
fn folder_of(model: &mut Model, wanted: &str) -> Option<FolderId> {
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let all = paths(&model.shared.replica.folders);
    let known = |path: &str| all.iter().find(|(_, known)| same(known, path)).map(|(id, _)| *id);
    if let Some(id) = known(wanted.trim()) {
        return Some(id);
    }
    let (mut parent, mut so_far) = (None, String::new());
    for name in wanted.split('/').map(str::trim).filter(|name| !name.is_empty()) {
        if !so_far.is_empty() {
            so_far.push_str(BETWEEN);
        }
        so_far.push_str(name);
        parent = Some(known(&so_far).unwrap_or_else(|| make(model, parent, name, None)));
    }
    parent
}

/// Posts a new folder.
fn make(model: &mut Model, parent: Option<FolderId>, name: &str, search: Option<String>) -> FolderId {
    let id = model.ids.fresh();
    let folder = Folder { id, parent, name: name.to_owned(), template: None, search, count: 0, unread: 0 };
    model.post(Command::SaveFolder { folder });
    id
}

/// `m`, `:move FOLDER`: conversations into a folder, or a folder into another.
pub fn to_folder(model: &mut Model, call: &Call<'_>) {
    if model.refuse_offline() {
        return;
    }
    let moved = match under_cursor(model) {
        Some(Subject::Folder(id)) if no_marks(model) => Some(id),
        _ => None,
    };
    let rows = subjects(model);
    if rows.is_empty() && moved.is_none() {
        return model.say("There is no conversation under the cursor.");
    }
    let Some(wanted) = call.args.first() else {
        let all = paths(&model.shared.replica.folders);
        let inside = moved.map(|id| path(&model.shared.replica.folders, id));
        // A folder goes into no folder that lies in it.
        let within = |path: &str| inside.as_ref().is_some_and(|own| path == own || path.starts_with(&format!("{own}{BETWEEN}")));
        let names = all.into_iter().map(|(_, path)| path).filter(|path| !within(path)).collect();
        let what = moved.map_or_else(|| named(&rows), |_| "the folder".to_owned());
        return model.push_overlay(folders::boxed(format!("Move {what} where?"), names));
    };
    let to = match wanted.trim() {
        "" | NO_FOLDER => None,
        wanted => match folder_of(model, wanted) {
            Some(id) => Some(id),
            None => return model.say("A folder needs a name."),
        },
    };
    let place = to.map_or_else(|| "in no folder".to_owned(), |_| format!("in {}", drawable(wanted.trim())));
    match moved {
        Some(id) => {
            if let Some(folder) = folder(model, id) {
                let said = format!("{} is {place} now.", drawable(&folder.name));
                model.post_for(Command::SaveFolder { folder: Folder { parent: to, ..folder } }, Waiting::Say(said));
            }
        }
        None => {
            let said = format!("{} {} {place} now.", named(&rows), is(&rows));
            keep(model, &rows, Keep::Folder(to), said);
        }
    }
}

fn folder(model: &Model, id: FolderId) -> Option<Folder> {
    model.shared.replica.folders.iter().find(|folder| folder.id == id).cloned()
}

/// The folder under the cursor of the list.
fn at_hand(model: &Model) -> Option<Folder> {
    if model.shared.focus != conversations::ID {
        return None;
    }
    folder(model, model.pane(conversations::ID)?.folder_at_hand()?)
}

/// The folder that new conversations go into: the one under the cursor, if it holds any.
#[must_use]
pub fn for_new(model: &Model) -> Option<FolderId> {
    at_hand(model).filter(|folder| folder.search.is_none()).map(|folder| folder.id)
}

/// `O`, `:folder NAME`: inside the one under the cursor.
pub fn folder_new(model: &mut Model, name: &str) {
    if model.refuse_offline() {
        return;
    }
    let name = name.trim();
    if name.is_empty() {
        return model.say("A folder needs a name.");
    }
    let parent = for_new(model);
    let place = parent.map(|id| format!(" in {}", drawable(&path(&model.shared.replica.folders, id)))).unwrap_or_default();
    make(model, parent, name, None);
    model.say(format!("{} is a folder{place} now.", drawable(name)));
}

/// `gF`: what the filter finds, under a name.
pub fn folder_save(model: &mut Model, name: &str) {
    if model.refuse_offline() {
        return;
    }
    let Some(search) = model.pane(conversations::ID).and_then(|pane| pane.filtered()).map(str::to_owned) else {
        let key = model.shared.key(super::Scope::Anywhere, super::Action::Find);
        return model.say(format!("There is no filter: {key} in the list of conversations begins one."));
    };
    make(model, None, name.trim(), Some(search.clone()));
    model.say(format!("{} shows what fits {}.", drawable(name.trim()), drawable(&search)));
}

/// `r` on a folder. True: it was one.
pub fn rename_folder(model: &mut Model, name: Option<&String>) -> bool {
    let Some(Subject::Folder(id)) = under_cursor(model) else { return false };
    let Some(folder) = folder(model, id) else { return false };
    match name {
        Some(name) => {
            let said = format!("{} is called {} now.", drawable(&folder.name), drawable(name.trim()));
            let renamed = Folder { name: name.trim().to_owned(), ..folder };
            model.post_for(Command::SaveFolder { folder: renamed }, Waiting::Say(said));
        }
        None => super::conversations::ask_title(model, "Rename the folder", "Name", folder.name),
    }
    true
}

/// What lies in it goes to the one above it, so nothing is lost.
fn delete_folder(model: &mut Model, id: FolderId) {
    let Some(folder) = folder(model, id) else { return };
    let name = drawable(&folder.name).into_owned();
    let above = folder.parent.map(|id| drawable(&path(&model.shared.replica.folders, id)).into_owned());
    let said = match (folder.search.is_some(), above) {
        (true, _) => format!("{name} is gone; what it found stays where it is."),
        (false, None) => format!("{name} is gone; what lay in it is in no folder now."),
        (false, Some(above)) => format!("{name} is gone; what lay in it is in {above} now."),
    };
    model.post_for(Command::DeleteFolder { id }, Waiting::Say(said));
}

/// `T`: what new conversations of the folder begin with. An empty name: with nothing.
pub fn folder_template(model: &mut Model, template: Option<&String>) {
    if model.refuse_offline() {
        return;
    }
    let Some(folder) = at_hand(model).filter(|folder| folder.search.is_none()) else {
        return model.say("There is no folder under the cursor.");
    };
    let Some(template) = template else {
        let now = folder.template.clone().unwrap_or_default();
        return super::conversations::ask_template(model, now);
    };
    let template = Some(template.trim().to_owned()).filter(|name| !name.is_empty());
    let name = drawable(&folder.name).into_owned();
    let said = match &template {
        Some(template) => format!("New conversations in {name} begin with the template {}.", drawable(template)),
        None => format!("New conversations in {name} begin with no template."),
    };
    model.post_for(Command::SaveFolder { folder: Folder { template, ..folder } }, Waiting::Say(said));
}

// --- tags and copies ----------------------------------------------------------------------------------------------------------

/// `t`, `:tag NAME`.
pub fn tag(model: &mut Model, name: Option<&String>) {
    let Some(rows) = wanted(model) else { return };
    let Some(name) = name else {
        acted(model);
        let title = format!("Tags of {}", named(&rows));
        return model.push_overlay(labels::of_conversations(title, rows));
    };
    let name = match cards::name(name) {
        Ok(name) => name,
        Err(error) => return model.fail(&error),
    };
    let on = !rows.iter().all(|row| row.tags.contains(&name));
    let said = match on {
        true => format!("{} {} tagged {}.", named(&rows), is(&rows), drawable(&name)),
        false => format!("{} {} tagged {} no longer.", named(&rows), is(&rows), drawable(&name)),
    };
    keep(model, &rows, Keep::Tag { name, on }, said);
}

/// `C`: a copy of each, with all its branches.
pub fn duplicate(model: &mut Model) {
    let Some(rows) = wanted(model) else { return };
    acted(model);
    let said = match rows.as_slice() {
        [_] => format!("{} has a copy now.", named(&rows)),
        _ => format!("{} have copies now.", named(&rows)),
    };
    let fork = |row: &ConversationRow, to| Command::Fork { conversation: row.id, node: None, scope: Scope::All, to };
    let commands = rows.iter().map(|row| fork(row, model.ids.fresh())).collect();
    crate::tui::perform::intent(model, Intent::PostAll(commands, said));
}
