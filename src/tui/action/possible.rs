//! Whether an action can be done now, and if not, why: for help, the palette and hints. Pure.

use super::again::waits;
use super::{Action, Argument, Takes, tools};
use crate::proto::{DownloadState, Role};
use crate::tui::listing::groups;
use crate::tui::model::Model;
use crate::tui::pane::{chat, conversations, table};
use crate::tui::screen;

/// Why an action is not possible now; `None`: it is.
#[must_use]
pub fn refusal(model: &Model, action: Action) -> Option<String> {
    let shared = &model.shared;
    let node = model.node_at_hand().and_then(|id| shared.doc().and_then(|doc| doc.node(id)));
    let offline = !shared.is_up();
    let no = |text: &str| Some(text.to_owned());
    match action {
        Action::Send if shared.composer.borrow().is_empty() => no("nothing is written yet"),
        Action::Send | Action::Retry | Action::RetryWith | Action::Continue | Action::Search | Action::Refresh | Action::OpenFile
            if offline =>
        {
            no("the host cannot be reached")
        }
        Action::EditMessage | Action::EditSave | Action::Retry | Action::RetryWith | Action::Branch | Action::Copy if node.is_none() => {
            no("there is no message yet")
        }
        Action::Undo | Action::Redo | Action::Bookmarks if offline => no("the host cannot be reached"),
        Action::RateUp | Action::RateDown | Action::React | Action::Bookmark | Action::Details | Action::MarkSet if node.is_none() => {
            no("there is no message yet")
        }
        Action::ArchiveBranch | Action::Fork | Action::GraftCopy | Action::GraftMove if node.is_none() => no("there is no message yet"),
        Action::BookmarkRemove if node.is_none_or(|n| n.bookmark.is_none()) => no("this message is not bookmarked"),
        Action::MarkJump | Action::Marks if shared.doc().is_none_or(|doc| doc.conversation.marks.is_empty()) => {
            no("nothing is marked here")
        }
        Action::Graft if model.taken.is_none() => no("nothing was taken"),
        Action::ToolAnswer if node.is_none_or(|n| tools::hint(shared, n.id).is_none()) => no("this message calls for no tool"),
        Action::BranchRename if shared.doc().is_none_or(|doc| doc.conversation.branches.is_empty()) => no("no branch has a name"),
        Action::Continue if node.is_none_or(|n| n.role != Role::Assistant) => no("no answer is selected"),
        Action::Continue | Action::EditMessage if node.is_some_and(|n| n.state.is_running()) => no("it is still being written"),
        Action::Retry if node.is_some_and(waits) => None,
        Action::TryNow if !shared.doc().is_some_and(|doc| doc.running().any(waits)) => no("nothing waits to be asked again"),
        Action::SiblingPrevious | Action::SiblingNext | Action::SiblingGo => {
            let (place, count) = node.map_or((0, 0), |n| shared.doc().map_or((0, 0), |doc| doc.place(n.id)));
            match action {
                _ if count < 2 => no("this message has one version"),
                Action::SiblingPrevious if place == 1 => no("this is the first version"),
                Action::SiblingNext if place == count => no("this is the last version"),
                _ => None,
            }
        }
        Action::Stop if shared.running().is_none() && shared.composer.borrow().is_empty() => no("nothing is being written"),
        Action::Cancel => {
            let connects = shared.running().is_some();
            let fetching = shared.replica.downloads.values().any(|d| matches!(d.state, DownloadState::Running | DownloadState::Checking));
            if connects || fetching { None } else { no("nothing waits") }
        }
        Action::Switch if shared.doc().is_none_or(|doc| doc.conversation.branches.is_empty()) => no("no branch has a name"),
        Action::Queue if shared.doc().is_none_or(|doc| doc.conversation.queue.is_empty()) => no("nothing is queued"),
        Action::Request if shared.view.conversation.is_none() => no("there is no conversation yet"),
        Action::ModelChoose
        | Action::ModelStart
        | Action::ModelStop
        | Action::ModelReload
        | Action::ModelUpdate
        | Action::ModelRemove
        | Action::ModelCopy
        | Action::Inspect
        | Action::FitShow
        | Action::Favourite
        | Action::Groups
        | Action::Tags
        | Action::Note
        | Action::ModelHide
        | Action::ModelPin
            if shared.replica.models.is_empty() =>
        {
            no("there is no model")
        }
        Action::Mark | Action::MarkAll | Action::Visual
            if ![table::ID, conversations::ID].contains(&shared.focus) && model.overlays.is_empty() =>
        {
            no("the table of models and the list of conversations are elsewhere")
        }
        Action::Pin
        | Action::Archive
        | Action::Restore
        | Action::EmptyBin
        | Action::Move
        | Action::Tag
        | Action::Duplicate
        | Action::FolderNew
        | Action::FolderSave
        | Action::FolderTemplate
            if offline =>
        {
            no("the host cannot be reached")
        }
        Action::Pin
        | Action::Archive
        | Action::Restore
        | Action::Tag
        | Action::Duplicate
        | Action::Move
        | Action::Rename
        | Action::Delete
            if shared.view.conversation.is_none() && model.pane(conversations::ID).and_then(|p| p.subject(&model.cx())).is_none() =>
        {
            no("there is no conversation")
        }
        Action::FolderSave if model.pane(conversations::ID).is_none_or(|pane| pane.filtered().is_none()) => no("there is no filter"),
        Action::FilterSave if model.pane(table::ID).is_none_or(|pane| pane.filtered().is_none()) => no("there is no filter"),
        Action::Filter | Action::FilterDelete if groups::saved(shared).is_empty() => no("no filter is saved"),
        Action::Jobs if shared.replica.jobs.is_empty() => no("nothing was done to many models yet"),
        Action::Pulls if shared.replica.downloads.is_empty() => no("nothing is being fetched"),
        Action::FindNext | Action::FindPrevious if shared.needle.text.is_empty() => no("nothing was searched for"),
        _ => model.pane(chat::ID).and_then(|p| p.refuses(action, &model.cx())).map(str::to_owned),
    }
}

/// What to type for an argument.
#[must_use]
pub fn argument_hint(argument: &Argument) -> String {
    match argument.takes {
        Takes::Model => "A model, by any part of its name that is unique.".to_owned(),
        Takes::Value => "A value; empty goes back to the default.".to_owned(),
        Takes::Parameter => "A parameter, as `temperature` or `context`.".to_owned(),
        Takes::Preset => "A preset's or template's name.".to_owned(),
        Takes::Branch => "A branch's name.".to_owned(),
        Takes::Conversation => "A conversation, by its id or a part of its title.".to_owned(),
        Takes::Theme => "A theme's name.".to_owned(),
        Takes::Keymap => "A keymap's name.".to_owned(),
        Takes::Pane => format!("{}.", screen::panes().collect::<Vec<_>>().join(", ")),
        Takes::Screen => "A screen's name, or its number.".to_owned(),
        Takes::Topic => "An action, or a topic.".to_owned(),
        Takes::Kind => "ollama, llama-server, openai (any compatible server) or anthropic.".to_owned(),
        Takes::ModelGroup => "A group: one that there is, or a new one.".to_owned(),
        Takes::Tag => "A tag: one that there is, or a new one.".to_owned(),
        Takes::Folder => "A folder, as work / drafts: one that there is, or a new one.".to_owned(),
        Takes::ConversationTag => "A tag: one that there is, or a new one.".to_owned(),
        Takes::Filter => "The name of a saved filter.".to_owned(),
        Takes::OneOf(words) => format!("{}.", words.join(", ")),
        Takes::Letter => "A letter from a to z.".to_owned(),
        Takes::Path => "A file; ~ is your home folder.".to_owned(),
        Takes::Text if argument.name == "url" => "Its address, as http://127.0.0.1:8080.".to_owned(),
        Takes::Text if argument.name == "key_variable" => {
            "The environment variable that holds its key (the name, not the key); empty if it wants none.".to_owned()
        }
        Takes::Text if argument.name == "source" => {
            "A name at Ollama's registry (qwen3:4b), an address or owner/name/file.gguf of a GGUF file, or starter.".to_owned()
        }
        Takes::Text if argument.name == "backend" => "Which backend gets it; empty: the one that fits what is asked for.".to_owned(),
        Takes::Text if argument.name == "name" => "A name of your choice for it.".to_owned(),
        Takes::Text => String::new(),
    }
}
