//! The tree: siblings, branches, HEAD.

use super::{Action, Invocation};
use crate::proto::{Command, NodeId};
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::prompt::{Prompt, Question};
use crate::tui::pane::{Call, Intent};
use crate::tui::perform;
use crate::tui::text::width::drawable;

/// `[` and `]`: another version of the selected message.
pub fn sibling(model: &mut Model, by: isize) {
    let Some(node) = model.node_at_hand() else { return };
    let Some(doc) = model.shared.doc() else { return };
    match doc.sibling(node, by) {
        Some(other) => perform::show(model, other),
        None => {
            let (_, count) = doc.place(node);
            model.say(if count > 1 { "That was the last version." } else { "This message has one version." });
        }
    }
}

/// `3g]`: that version.
pub fn sibling_go(model: &mut Model, count: Option<u32>) {
    let Some(node) = model.node_at_hand() else { return };
    let Some(doc) = model.shared.doc() else { return };
    let (_, all) = doc.place(node);
    let wanted = count.map_or(all, |n| n as usize);
    match doc.nth_sibling(node, wanted) {
        Some(other) => perform::show(model, other),
        None => model.say(format!("There are {all} versions of this message.")),
    }
}

/// The leaf below a message becomes HEAD, and is shown.
pub fn make_head(model: &mut Model, node: NodeId) {
    let Some(conversation) = model.shared.view.conversation else { return };
    let Some(doc) = model.shared.doc() else { return };
    let head = doc.leaf_below(node);
    if doc.conversation.head != Some(head) {
        if model.refuse_offline() {
            return;
        }
        model.post(Command::SetHead { conversation, head });
    }
    perform::show(model, node);
}

/// `b`: names a branch whose end is this message. What is sent next goes on from here.
pub fn branch(model: &mut Model, name: Option<&String>) {
    let Some(node) = model.node_at_hand() else { return model.say("There is no message to branch at yet.") };
    let Some(name) = name else {
        let question = Question {
            label: "Branch".to_owned(),
            hint: "A name for the line that ends at this message. What is written next goes on from here.".to_owned(),
            text: String::new(),
            free: false,
        };
        return model.push_overlay(Prompt::boxed("Name a branch here", Invocation::new(Action::Branch), vec![question]));
    };
    let Some(conversation) = model.shared.view.conversation else { return };
    if model.refuse_offline() {
        return;
    }
    let said = Waiting::Say(format!("Branch {} ends here; what is written next goes on from here.", drawable(name)));
    model.post_for(Command::SetBranch { conversation, name: name.clone(), leaf: Some(node) }, said);
    if model.shared.view.leaf != Some(node) {
        model.shared.view.leaf = Some(node);
        model.shared.view.selected = None;
        model.shared.view.reveal += 1;
        model.shared.revisions.doc += 1;
        model.post(Command::SetHead { conversation, head: node });
    }
    model.mark_all();
}

/// `:switch`: another branch.
pub fn switch(model: &mut Model, call: &Call<'_>) {
    let Some(doc) = model.shared.doc() else { return model.say("There is no branch yet.") };
    let branches = &doc.conversation.branches;
    if let Some(name) = call.args.first() {
        return match branches.get(name) {
            Some(leaf) => {
                let leaf = *leaf;
                make_head(model, leaf);
                model.say(format!("On branch {}.", drawable(name)));
            }
            None => {
                let near = crate::error::nearest(name, branches.keys().map(String::as_str));
                let hint = near.map(|n| format!(" Did you mean {}?", drawable(n))).unwrap_or_default();
                model.warn(format!("There is no branch {}.{hint}", drawable(name)));
            }
        };
    }
    if branches.is_empty() {
        let key = model.shared.key(super::Scope::Chat, Action::Branch);
        return model.say(format!("No branch has a name yet ({key} at a message gives one)."));
    }
    let here = model.shared.view.leaf;
    let items: Vec<Item> = branches
        .iter()
        .map(|(name, leaf)| {
            let snippet = doc.node(*leaf).map(|n| n.snippet.clone()).unwrap_or_default();
            let switch = name.clone();
            Item::new(name.clone(), snippet, move || Intent::Call(Invocation { action: Action::Switch, args: vec![switch.clone()] }))
        })
        .collect();
    let at = branches.values().position(|leaf| Some(*leaf) == here).unwrap_or(0);
    model.push_overlay(Box::new(Choose::new("Switch to which branch?", items, at)));
}
