//! Conversations: new, open, rename.

use super::{Action, Invocation};
use crate::core::Doc;
use crate::error::{Error, Kind};
use crate::proto::{
    Command, Conversation, ConversationId, ConversationRow, FolderId, ModelRef, NodeId, Opened, Parameters, Role, content_text,
};
use crate::tui::arrive;
use crate::tui::jumps::Place;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::prompt::{Prompt, Question};
use crate::tui::pane::{Subject, chat, composer, conversations};
use crate::tui::shared::Writing;
use crate::tui::text::width::drawable;

/// `:new`: an empty conversation. It is at the host from its first message on, in the folder under the cursor of the list.
pub fn new(model: &mut Model) {
    let folder = super::keeping::for_new(model);
    let found = model.shared.replica.folders.iter().find(|known| Some(known.id) == folder);
    if let Some(template) = found.and_then(|folder| folder.template.clone()) {
        return super::templates::begin(model, &template, folder);
    }
    new_in(model, folder);
}

/// An empty conversation, in this folder.
pub fn new_in(model: &mut Model, folder: Option<FolderId>) {
    remember(model);
    fresh(model);
    model.shared.view.folder = folder;
    super::talk::write(model);
}

/// The way back leads to what is looked at now.
pub fn remember(model: &mut Model) {
    if let Some(here) = here(model) {
        model.jumps.leave(here);
    }
}

/// Leaves the shown conversation for one that does not exist yet. What was written for that one and not sent is there again.
pub fn fresh(model: &mut Model) {
    leave(model);
    let kept = model.shared.model();
    let left = model.shared.view.conversation;
    let view = &mut model.shared.view;
    view.conversation = None;
    view.leaf = None;
    view.selected = None;
    view.awaited = None;
    view.writing = Writing::Message;
    view.system = None;
    view.parameters = Parameters::default();
    view.preset = None;
    view.folder = None;
    // Who answered last answers on.
    view.model = kept;
    model.shared.replica.docs.clear();
    if left.is_some() {
        model.shared.composer.borrow_mut().set_text("");
        model.shared.attached.clear();
        model.draft.saved.clear();
        model.draft.attached.clear();
        arrive::unsent(model);
    }
    model.shared.revisions.doc += 1;
    model.shared.revisions.epoch += 1;
    if model.shared.is_up() {
        model.post(Command::View { conversation: None });
    }
    model.mark_all();
}

/// What belongs to the conversation that is left: its draft, and the path that was looked at.
fn leave(model: &mut Model) {
    super::talk::unstash(model);
    super::talk::save_draft(model);
    super::tree::visited(model);
    model.draft.changed = None;
}

/// A conversation that begins here: the replica has it before the host answers, so that its events apply.
pub fn begin(model: &mut Model, id: ConversationId, system: Option<String>, parameters: Parameters, chosen: Option<ModelRef>) {
    let at = model.now().wall;
    let row = ConversationRow { model: chosen, ..ConversationRow::new(id, at) };
    let conversation = Conversation { system, parameters, ..Conversation::new(row) };
    model.shared.replica.docs.clear();
    model.shared.replica.docs.insert(id, Doc::new(conversation, Vec::new(), Vec::new()));
    model.shared.view.conversation = Some(id);
    model.shared.view.leaf = None;
    model.shared.revisions.doc += 1;
    model.shared.revisions.epoch += 1;
    let saved = !std::mem::take(&mut model.draft.saved).is_empty();
    model.draft.attached.clear();
    if model.shared.replica.settings.get("draft_attached").is_some_and(|v| v.as_array().is_some_and(|parts| !parts.is_empty())) {
        model.post(Command::SetSetting { key: "draft_attached".to_owned(), value: serde_json::json!([]) });
    }
    // A draft that was kept for "no conversation" has become this one's.
    if saved || model.shared.replica.settings.get("draft").is_some_and(|v| v.as_str().is_some_and(|s| !s.is_empty())) {
        model.post(Command::SetSetting { key: "draft".to_owned(), value: serde_json::Value::from("") });
    }
}

/// Opens a conversation, at a message when one is named. Where one was is remembered.
pub fn open(model: &mut Model, id: ConversationId, node: Option<NodeId>) {
    let here = here(model);
    if let Some(here) = here.filter(|here| here.conversation != Some(id) || node.is_some_and(|node| here.node != Some(node))) {
        model.jumps.leave(here);
    }
    go(model, id, node);
}

/// What is looked at; a conversation that has not begun only when something is written for it.
fn here(model: &Model) -> Option<Place> {
    let view = &model.shared.view;
    let written = || !model.shared.composer.borrow().is_empty() || !model.shared.attached.is_empty();
    (view.conversation.is_some() || written()).then(|| Place { conversation: view.conversation, node: view.selected.or(view.leaf) })
}

/// `C-o`, `gi`: through the places where one was.
pub fn jump(model: &mut Model, times: usize, back: bool) {
    let mut to = None;
    for _ in 0..times.min(100) {
        let here = here(model);
        let next = if back { model.jumps.back(here) } else { model.jumps.forward() };
        to = next.or(to);
        if next.is_none() {
            break;
        }
    }
    match to {
        Some(Place { conversation: Some(id), node }) => go(model, id, node),
        Some(Place { conversation: None, .. }) => {
            fresh(model);
            model.focus(composer::ID);
        }
        None if back => model.say("There is no place before this one."),
        None => model.say("There is no place after this one."),
    }
}

/// What is looked at is not there any more: back to where one was before, or to a conversation that has not begun.
pub fn leave_gone(model: &mut Model) {
    let gone = model.shared.view.conversation;
    let before = std::iter::from_fn(|| model.jumps.back(None)).find(|place| place.conversation != gone);
    match before {
        Some(Place { conversation: Some(id), node }) => go(model, id, node),
        _ => fresh(model),
    }
}

fn go(model: &mut Model, id: ConversationId, node: Option<NodeId>) {
    if model.shared.view.conversation == Some(id) && model.shared.doc().is_some() {
        match node {
            Some(node) => crate::tui::perform::show(model, node),
            None => model.mark_all(),
        }
        model.focus(chat::ID);
        return;
    }
    if model.refuse_offline() {
        return;
    }
    leave(model);
    let view = &mut model.shared.view;
    view.leaf = None;
    view.selected = None;
    view.awaited = None;
    view.writing = Writing::Message;
    model.shared.replica.docs.clear();
    model.shared.composer.borrow_mut().set_text("");
    model.shared.attached.clear();
    model.draft.saved.clear();
    model.draft.attached.clear();
    model.shared.revisions.doc += 1;
    model.shared.revisions.epoch += 1;
    arrive::open(model, id, node, node);
    model.focus(chat::ID);
    model.mark_all();
}

/// The host sent it.
pub fn opened(model: &mut Model, opened: Opened, leaf: Option<NodeId>, select: Option<NodeId>) {
    let id = opened.conversation.row.id;
    let (draft, attached) = (opened.conversation.draft.clone(), opened.conversation.attached.clone());
    let before = model.shared.doc().is_some();
    model.shared.replica.open(opened);
    model.shared.replica.docs.retain(|other, _| *other == id);
    let Some(doc) = model.shared.replica.docs.get_mut(&id) else { return };
    // A message that was asked for may be within a path: its leaf is shown, and it is selected.
    let wanted = leaf.filter(|leaf| doc.node(*leaf).is_some()).map(|leaf| doc.leaf_below(leaf));
    let shown = wanted.or_else(|| doc.default_leaf());
    if let Some(leaf) = shown {
        doc.visit(leaf);
    }
    let view = &mut model.shared.view;
    view.leaf = view.awaited.filter(|id| doc.node(*id).is_some()).or(shown);
    if view.leaf == view.awaited {
        view.awaited = None;
    }
    view.selected = select.filter(|id| Some(*id) != view.leaf && doc.node(*id).is_some());
    view.reveal += 1;
    let empty = doc.nodes().is_empty();
    model.shared.revisions.doc += 1;
    model.shared.revisions.epoch += 1;
    model.shared.revisions.rows += 1;
    if !before && model.shared.view.writing == Writing::Message && model.shared.composer.borrow().is_empty() {
        super::talk::fill(model, &draft);
        model.draft.saved = draft;
        if model.shared.attached.is_empty() {
            model.draft.attached.clone_from(&attached);
            model.shared.attached.restore(attached);
        }
    }
    if !before {
        let said = said_before(model);
        let mut composer = model.shared.composer.borrow_mut();
        composer.set_history(said);
        if empty {
            composer.enter_insert();
        } else {
            composer.enter_normal();
        }
    }
    // Another screen may be looked at: what arrives takes nobody away from it.
    if !before && empty && model.screen.has(composer::ID) {
        model.focus(composer::ID);
    } else if !before && model.shared.focus == composer::ID {
        model.focus(chat::ID);
    }
    model.mark_all();
    super::find::opened(model);
}

/// What was written in this conversation, as far as it is at hand, to bring back with `Up`.
fn said_before(model: &Model) -> Vec<String> {
    let Some(doc) = model.shared.doc() else { return Vec::new() };
    let own = doc.nodes().iter().filter(|n| n.role == Role::User && !n.hidden);
    own.filter_map(|n| doc.content(n.id)).map(|content| content_text(content)).collect()
}

/// `:open`: by id, or by any part of a title that is at hand.
pub fn open_named(model: &mut Model, name: &str) {
    if let Ok(id) = name.parse::<ConversationId>() {
        return open(model, id, None);
    }
    let needle = name.trim().to_lowercase();
    let rows = model.shared.replica.recent_rows();
    let found =
        rows.iter().find(|r| r.title.to_lowercase() == needle).or_else(|| rows.iter().find(|r| r.title.to_lowercase().contains(&needle)));
    match found.map(|row| row.id) {
        Some(id) => open(model, id, None),
        None => model.fail(
            &Error::new(Kind::NotFound, format!("No conversation at hand is called {}.", drawable(name)))
                .hint("`:search` looks into all messages."),
        ),
    }
}

/// The conversation under the cursor, else the shown one.
fn subject(model: &Model) -> Option<ConversationId> {
    if model.shared.focus == conversations::ID
        && let Some(Subject::Conversation(id)) = model.pane(conversations::ID).and_then(|p| p.subject(&model.cx()))
    {
        return Some(id);
    }
    model.shared.view.conversation
}

pub fn rename(model: &mut Model, title: Option<&String>) {
    if super::keeping::rename_folder(model, title) {
        return;
    }
    let Some(conversation) = subject(model) else { return model.say("There is no conversation to rename yet.") };
    match title {
        Some(title) => {
            model.post_for(Command::Rename { conversation, title: title.trim().to_owned() }, Waiting::Say("Renamed.".to_owned()));
        }
        None => {
            let at_hand = model.pane(conversations::ID).map(|pane| pane.conversations()).unwrap_or_default();
            let row = at_hand.iter().find(|row| row.id == conversation).or_else(|| model.shared.replica.rows.get(&conversation));
            let text = row.map(|row| row.title.clone()).unwrap_or_default();
            ask_title(model, "Rename the conversation", "Title", text);
        }
    }
}

/// Asks what it is to be called.
pub fn ask_title(model: &mut Model, title: &str, label: &str, text: String) {
    let question = Question { label: label.to_owned(), hint: String::new(), text, free: false };
    model.push_overlay(Prompt::boxed(title, Invocation::new(Action::Rename), vec![question]));
}

/// Asks for the template of the folder under the cursor.
pub fn ask_template(model: &mut Model, now: String) {
    let hint = "The name of a conversation template; empty: none.".to_owned();
    let question = Question { label: "Template".to_owned(), hint, text: now, free: true };
    model.push_overlay(Prompt::boxed(
        "What do new conversations here begin with?",
        Invocation::new(Action::FolderTemplate),
        vec![question],
    ));
}

/// A model gives it a title, as soon as nothing else goes on.
pub fn title(model: &mut Model) {
    let Some(conversation) = subject(model) else { return model.say("There is no conversation to give a title yet.") };
    if !model.refuse_offline() {
        model.post_for(Command::GiveTitle { conversation }, Waiting::Say("Its model is asked for a title.".to_owned()));
    }
}
