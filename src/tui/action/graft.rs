//! Messages that go elsewhere: a fork into a new conversation, a subtree under another message.
//!
//! Invariant: nothing is taken away: a copy leaves all as it is, a move puts the original away, and undo takes either back.

use super::{Action, Scope, tree};
use crate::proto::{Command, ConversationId, NodeId, Scope as Reach};
use crate::tui::format;
use crate::tui::model::{Model, Taken, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::pane::Intent;
use crate::tui::perform;

/// `F`: a new conversation with messages of this one, as far as this message.
pub fn fork(model: &mut Model) {
    let Some((conversation, node)) = model.shared.view.conversation.zip(model.node_at_hand()) else {
        return model.say("There is nothing to begin a conversation with yet.");
    };
    if model.refuse_offline() {
        return;
    }
    let Some(doc) = model.shared.doc() else { return };
    let path = doc.path(node);
    let beside: usize = path.iter().filter_map(|id| doc.node(*id)).map(|node| doc.children(node.parent).count().max(1)).sum();
    let all = doc.nodes().iter().filter(|node| !node.hidden).count();
    let to: ConversationId = model.ids.fresh();
    let make = |text: &str, note: usize, node: Option<NodeId>, scope: Reach| {
        Item::new(text, format::plural(note as u64, "message"), move || Intent::Fork { conversation, node, scope, to })
    };
    let items = vec![
        make("the messages from the first to this one", path.len(), Some(node), Reach::Path),
        make("these, and the other versions of each", beside, Some(node), Reach::PathAndSiblings),
        make("the whole tree", all, None, Reach::All),
    ];
    let chooser = Choose::new("Begin a new conversation with what?", items, 0);
    model.push_overlay(Box::new(chooser.intro(&["This conversation stays as it is. System prompt and settings go along."])));
}

/// A scope was chosen.
pub fn forked(model: &mut Model, conversation: ConversationId, node: Option<NodeId>, scope: Reach, to: ConversationId) {
    let said = "This is the new conversation; the other one stays as it was.".to_owned();
    model.post_for(Command::Fork { conversation, node, scope, to }, Waiting::Go { said, conversation: to, node: None });
}

/// `Y`, `X`: a message and all that hangs below it is taken, to be put elsewhere.
pub fn take(model: &mut Model, moved: bool) {
    let Some((conversation, node)) = model.shared.view.conversation.zip(model.node_at_hand()) else {
        return model.say("There is no message to take yet.");
    };
    let Some(doc) = model.shared.doc() else { return };
    let below = tree::below(doc, node);
    let and = if below > 0 { format!(" and {} below it", format::plural(below as u64, "message")) } else { String::new() };
    let name = format!("“{}”{and}", tree::name(doc, node));
    let put = model.shared.key(Scope::Tree, Action::Graft);
    let what = if moved { "moves" } else { "copies" };
    model.say(format!("Taken: {name}. {put} at a message, here or in another conversation, {what} it under that."));
    model.taken = Some(Taken { conversation, node, moved, name });
}

/// `P`: what was taken is put under this message; with `root`, beside the first message of this conversation.
pub fn put(model: &mut Model, place: Option<&String>) {
    let Some(taken) = model.taken.clone() else {
        let (copy, cut) = (model.shared.key(Scope::Tree, Action::GraftCopy), model.shared.key(Scope::Tree, Action::GraftMove));
        return model.say(format!("Nothing was taken yet: {copy} at a message copies it with all below it, {cut} moves it."));
    };
    let Some(to) = model.shared.view.conversation else {
        return model.say("Open the conversation that it is to go into first.");
    };
    let under = if place.is_some() { None } else { model.node_at_hand() };
    let Some(doc) = model.shared.doc() else { return };
    if to == taken.conversation && under.is_some_and(|under| doc.is_ancestor(taken.node, under)) {
        return model.say("That message is a part of what was taken; choose one that is not.");
    }
    let whither = under.map_or_else(|| "as a beginning of its own".to_owned(), |under| format!("under “{}”", tree::name(doc, under)));
    let said = format!("{} {} {whither}.", if taken.moved { "Moved" } else { "Copied" }, taken.name);
    let command = Command::Graft { conversation: taken.conversation, node: taken.node, to, under, moved: taken.moved };
    model.post_for(command, Waiting::Grafted { said, node: taken.node, to, under });
}

/// The copy is there: it is shown.
pub fn grafted(model: &mut Model, said: String, node: NodeId, to: ConversationId, under: Option<NodeId>) {
    let doc = model.shared.doc().filter(|_| model.shared.view.conversation == Some(to));
    let copy = doc.and_then(|doc| doc.children(under).filter(|child| child.copy_of == Some(node)).last()).map(|child| child.id);
    if let Some(copy) = copy {
        perform::show(model, copy);
    }
    // What was moved is no longer where it was taken from.
    if model.taken.as_ref().is_some_and(|taken| taken.moved && taken.node == node) {
        model.taken = None;
    }
    model.say(said);
}
