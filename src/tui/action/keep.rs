//! What people keep about messages: ratings, reactions, bookmarks, marks; and the way back from any act.
//!
//! Invariant: nothing here changes a message; it says what is kept, and the host keeps it.

use super::{Action, Invocation, Scope};
use crate::proto::{Command, ConversationId, Node, NodeId, Undone};
use crate::tui::keymap::key::parse_keys;
use crate::tui::keymap::{Next, show_keys};
use crate::tui::model::{Model, Pending, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::prompt::{Prompt, Question};
use crate::tui::overlay::{bookmarks, reactions};
use crate::tui::pane::Intent;
use crate::tui::perform;
use crate::tui::text::width::drawable;

/// Reactions that were given lately, a setting of the host.
pub const RECENT: &str = "reactions";

/// `u`, `C-r`: the last act of this screen is taken back, or done again.
pub fn undo(model: &mut Model, redo: bool) {
    let command = if redo { Command::Redo } else { Command::Undo };
    model.post_for(command, Waiting::Undone { redo });
}

/// It was undone: that is said, and shown where it can be seen.
pub fn undone(model: &mut Model, redo: bool, undone: &Undone) {
    let (said, back) = if redo { ("Done again", Action::Undo) } else { ("Undone", Action::Redo) };
    let about = drawable(&undone.about).into_owned();
    let here = model.shared.view.conversation;
    let elsewhere = undone.conversation.filter(|id| Some(*id) != here);
    // Acts on conversations name theirs themselves.
    let place = elsewhere.map(|id| title(model, id)).filter(|title| {
        let begins: String = title.chars().take(20).collect();
        !about.contains(begins.trim_end_matches('”'))
    });
    let place = place.map(|title| format!(" in {title}")).unwrap_or_default();
    let key = model.shared.key(Scope::Anywhere, back);
    let way = if redo { format!("{key} takes it back") } else { format!("{key} does it again") };
    if elsewhere.is_none()
        && let Some(node) = undone.node.filter(|node| visible(model, *node).is_some())
    {
        perform::show(model, node);
    }
    // A conversation that is gone with its act is left for where one came from.
    if !redo && here.is_some_and(|id| model.shared.replica.rows.get(&id).is_some_and(|row| row.deleted.is_some())) {
        super::conversations::leave_gone(model);
    }
    // What was put away while it was looked at is looked at again, unless something else has begun.
    let idle = here.is_none() && model.shared.composer.borrow().is_empty() && model.shared.attached.is_empty();
    if let Some(id) = elsewhere.filter(|id| idle && !redo && listed(model, *id)) {
        let focus = model.shared.focus;
        super::conversations::open(model, id, undone.node);
        model.focus(focus);
    }
    model.say(format!("{said}: {about}{place}. {way}."));
    model.mark_all();
}

/// Whether a conversation is in the list.
fn listed(model: &Model, id: ConversationId) -> bool {
    model.shared.replica.rows.get(&id).is_some_and(|row| !row.archived && row.deleted.is_none())
}

/// A conversation's title as sentences name it.
fn title(model: &Model, id: ConversationId) -> String {
    let title = model.shared.replica.rows.get(&id).map_or("", |row| row.title.trim());
    if title.is_empty() { "another conversation".to_owned() } else { format!("“{}”", drawable(title)) }
}

/// A message of the shown conversation that was not taken back.
fn visible(model: &Model, id: NodeId) -> Option<&Node> {
    model.shared.doc()?.node(id).filter(|node| !node.hidden)
}

/// The message that the act is about, with its conversation. Says so when there is none.
fn at_hand(model: &mut Model) -> Option<(ConversationId, Node)> {
    let found = model.shared.view.conversation.zip(model.node_at_hand().and_then(|id| visible(model, id).cloned()));
    if found.is_none() {
        model.say("There is no message yet.");
    }
    found
}

/// `+` and `-`: good, bad; the same again takes it back.
pub fn rate(model: &mut Model, rating: i8) {
    let Some((conversation, node)) = at_hand(model) else { return };
    let rating = if node.rating == rating { 0 } else { rating };
    let said = match rating {
        1 => "Rated +1.",
        -1 => "Rated −1.",
        _ => "The rating was taken back.",
    };
    model.post_for(Command::Rate { conversation, node: node.id, rating }, Waiting::Say(said.to_owned()));
}

/// `gr`: reactions, to put on and take off.
pub fn react(model: &mut Model, reaction: Option<&String>) {
    let Some((conversation, node)) = at_hand(model) else { return };
    match reaction {
        Some(reaction) => {
            let on = !node.reactions.contains(reaction);
            for command in reactions::change(&model.shared, conversation, node.id, reaction, on) {
                perform::intent(model, Intent::Post(command));
            }
        }
        None => model.push_overlay(reactions::open(conversation, node.id)),
    }
}

/// `B`: a bookmark with a note. With one there already, asks what becomes of it.
pub fn bookmark(model: &mut Model, note: Option<&String>) {
    let Some((conversation, node)) = at_hand(model) else { return };
    if let Some(note) = note {
        let command = Command::Bookmark { conversation, node: node.id, note: Some(note.trim().to_owned()) };
        let key = model.shared.key(Scope::Anywhere, Action::Bookmarks);
        return model.post_for(command, Waiting::Say(format!("Bookmarked; {key} lists all bookmarks.")));
    }
    let Some(note) = node.bookmark else {
        let question = Question { label: "Note".to_owned(), hint: "May be empty.".to_owned(), text: String::new(), free: true };
        return model.push_overlay(Prompt::boxed("Bookmark this message", Invocation::new(Action::Bookmark), vec![question]));
    };
    let text = note.clone();
    let edit = move || {
        let question = Question { label: "Note".to_owned(), hint: "May be empty.".to_owned(), text: text.clone(), free: true };
        Intent::Overlay(Prompt::boxed("The bookmark's note", Invocation::new(Action::Bookmark), vec![question]))
    };
    let mut items = vec![
        Item::new("change its note", note, edit),
        Item::new("take the bookmark away", "", || Intent::Run(Action::BookmarkRemove.into())),
    ];
    items[0].letter = Some("e".to_owned());
    items[1].letter = Some("d".to_owned());
    model.push_overlay(Box::new(Choose::new("This message is bookmarked", items, 0)));
}

pub fn bookmark_remove(model: &mut Model) {
    let Some((conversation, node)) = at_hand(model) else { return };
    if node.bookmark.is_none() {
        return model.say("This message is not bookmarked.");
    }
    let command = Command::Bookmark { conversation, node: node.id, note: None };
    model.post_for(command, Waiting::Say("The bookmark was taken away.".to_owned()));
}

/// `gb`: bookmarks of all conversations.
pub fn bookmarks(model: &mut Model) {
    if !model.refuse_offline() {
        model.push_overlay(bookmarks::open());
    }
}

/// An action waits for a letter: the next key is one.
pub fn await_letter(model: &mut Model, invocation: Invocation) {
    let next = letters(model)
        .into_iter()
        .filter_map(|(letter, what)| Some(Next { key: *parse_keys(&letter.to_string()).ok()?.first()?, what, group: false }))
        .collect();
    let keys = model.shared.keymap.keys_of(model.scope(), invocation.action).next().unwrap_or_default().to_vec();
    model.pending = Some(Pending { keys, next, since: model.now().mono, shown: false });
    model.letter = Some(invocation);
    model.mark_status();
}

/// The keys that an action waits behind, for the status line.
#[must_use]
pub fn awaited(model: &Model) -> Option<String> {
    let keys = model.pending.as_ref().map(|pending| show_keys(&pending.keys)).unwrap_or_default();
    model.letter.as_ref().map(|invocation| if keys.is_empty() { format!("{} a…z", invocation.action) } else { keys })
}

/// Marks of the shown conversation: letter and what the message begins with.
fn letters(model: &Model) -> Vec<(char, String)> {
    let Some(doc) = model.shared.doc() else { return Vec::new() };
    let marks = doc.conversation.marks.iter();
    marks.filter_map(|(letter, id)| Some((*letter, drawable(&doc.node(*id).filter(|n| !n.hidden)?.snippet).into_owned()))).collect()
}

/// The letter of a mark, or why it is none.
fn letter(model: &mut Model, text: &str) -> Option<char> {
    let mut chars = text.trim().chars();
    let found = chars.next().filter(|c| c.is_ascii_lowercase() && chars.next().is_none());
    if found.is_none() {
        model.say("Marks are the letters a to z.");
    }
    found
}

/// `m{a-z}`: this message is that mark; the same again takes it away.
pub fn mark_set(model: &mut Model, text: &str) {
    let Some(letter) = letter(model, text) else { return };
    let Some((conversation, node)) = at_hand(model) else { return };
    let same = model.shared.doc().is_some_and(|doc| doc.conversation.marks.get(&letter) == Some(&node.id));
    let key = model.shared.key(Scope::Chat, Action::MarkJump);
    let said = if same { format!("Mark {letter} was taken away.") } else { format!("Mark {letter} is here; {key}{letter} comes back.") };
    let command = Command::SetMark { conversation, letter, node: (!same).then_some(node.id) };
    model.post_for(command, Waiting::Say(said));
}

/// `'{a-z}`: to a mark.
pub fn mark_jump(model: &mut Model, text: &str) {
    let Some(letter) = letter(model, text) else { return };
    let Some(node) = model.shared.doc().and_then(|doc| doc.conversation.marks.get(&letter)).copied() else {
        let key = model.shared.key(Scope::Chat, Action::MarkSet);
        return model.say(format!("There is no mark {letter} in this conversation ({key}{letter} sets it)."));
    };
    if visible(model, node).is_none() {
        return model.say(format!("The message of mark {letter} was taken back by undo."));
    }
    perform::intent(model, Intent::Show(node));
}

/// `:marks`: all of them, to go to one.
pub fn marks(model: &mut Model) {
    let items: Vec<Item> = letters(model)
        .into_iter()
        .map(|(letter, what)| {
            let call = Invocation { action: Action::MarkJump, args: vec![letter.to_string()] };
            let mut item = Item::new(what, "", move || Intent::Call(call.clone()));
            item.letter = Some(letter.to_string());
            item
        })
        .collect();
    if items.is_empty() {
        let key = model.shared.key(Scope::Chat, Action::MarkSet);
        return model.say(format!("No message of this conversation is marked ({key} and a letter marks one)."));
    }
    model.push_overlay(Box::new(Choose::new("Go to which mark?", items, 0)));
}
