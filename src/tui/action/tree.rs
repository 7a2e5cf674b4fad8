//! The tree: siblings, branches, HEAD; putting branches away.

use super::{Action, Invocation};
use crate::core::Doc;
use crate::proto::{Command, ConversationId, NodeId};
use crate::tui::format;
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

/// It was done: that is said, and this message of this conversation is looked at.
pub fn go(model: &mut Model, said: String, conversation: ConversationId, node: Option<NodeId>) {
    if model.shared.view.conversation != Some(conversation) {
        super::conversations::open(model, conversation, node);
    } else if let Some(node) = node {
        perform::show(model, node);
    }
    model.say(said);
}

/// The path that was gone to by hand is told to the host, so that it is found again tomorrow.
pub fn visited(model: &mut Model) {
    if let Some((conversation, leaf, _)) = model.visiting.take().filter(|_| model.shared.is_up()) {
        model.post(Command::Visit { conversation, leaf });
    }
}

/// `D` in the tree: the branch that leads to this message is put away; one that is put away comes back.
pub fn archive(model: &mut Model) {
    let Some((conversation, at)) = model.shared.view.conversation.zip(model.node_at_hand()) else {
        return model.say("There is no branch to put away yet.");
    };
    let Some(doc) = model.shared.doc() else { return };
    if let Some(away) = put_away(doc, at) {
        let said = format!("“{}” is back among the versions.", name(doc, away));
        let command = Command::ArchiveBranch { conversation, node: away, archived: false };
        return model.post_for(command, Waiting::Go { said, conversation, node: Some(at) });
    }
    // A branch begins where there are several ways to go on.
    let mut branch = doc.node(at);
    while let Some(node) = branch.filter(|node| doc.children(node.parent).nth(1).is_none()) {
        branch = node.parent.and_then(|parent| doc.node(parent));
    }
    let Some(branch) = branch.map(|node| node.id) else {
        return model.say("There is no other branch, so this one stays. A whole conversation is put away in the list.");
    };
    let (show, undo) = (model.shared.key(super::Scope::Tree, Action::ShowArchived), model.shared.key(super::Scope::Tree, Action::Undo));
    let below = below(doc, branch);
    let and = if below > 0 { format!(" and {} below it", format::plural(below as u64, "message")) } else { String::new() };
    let said = format!("Put away: “{}”{and}. {show} shows what is put away, {undo} brings it back.", name(doc, branch));
    // Whoever looks at it looks at a version beside it then.
    let looked = model.shared.view.leaf.is_some_and(|leaf| doc.is_ancestor(branch, leaf));
    let beside = doc.sibling(branch, -1).or_else(|| doc.sibling(branch, 1)).filter(|_| looked);
    let command = Command::ArchiveBranch { conversation, node: branch, archived: true };
    model.post_for(command, Waiting::Go { said, conversation, node: beside });
}

/// The topmost message of what is put away, for a message that is put away with it.
#[must_use]
pub fn put_away(doc: &Doc, node: NodeId) -> Option<NodeId> {
    let mut found = None;
    let mut at = doc.node(node);
    while let Some(node) = at {
        if node.archived {
            found = Some(node.id);
        }
        at = node.parent.and_then(|parent| doc.node(parent));
    }
    found
}

/// How a message is named in sentences: its first words.
#[must_use]
pub fn name(doc: &Doc, node: NodeId) -> String {
    let snippet = doc.node(node).map_or("", |node| node.snippet.trim());
    if snippet.is_empty() { "a message without text".to_owned() } else { drawable(&crate::sanitise::cut(snippet, 32)).into_owned() }
}

/// How many messages hang below one.
#[must_use]
pub fn below(doc: &Doc, node: NodeId) -> usize {
    let mut count = 0;
    let mut stack = vec![node];
    while let Some(at) = stack.pop() {
        let before = stack.len();
        stack.extend(doc.children(Some(at)).map(|child| child.id));
        count += stack.len() - before;
    }
    count
}

/// `:branch rename`: the same line under another name.
pub fn rename(model: &mut Model, args: &[String]) {
    let (Some(old), Some(new)) = (args.first(), args.get(1)) else { return };
    let Some(conversation) = model.shared.view.conversation else { return model.say("There is no branch yet.") };
    let Some(doc) = model.shared.doc() else { return };
    let Some(leaf) = doc.conversation.branches.get(old).copied() else { return no_branch(model, old) };
    let new = new.trim();
    if doc.conversation.branches.contains_key(new) {
        return model.warn(format!("There is a branch {} already; both stay as they are.", drawable(new)));
    }
    if model.refuse_offline() {
        return;
    }
    model.post(Command::SetBranch { conversation, name: new.to_owned(), leaf: Some(leaf) });
    let said = Waiting::Say(format!("Branch {} is called {} now.", drawable(old), drawable(new)));
    model.post_for(Command::SetBranch { conversation, name: old.clone(), leaf: None }, said);
}

fn no_branch(model: &mut Model, name: &str) {
    let branches = model.shared.doc().map(|doc| &doc.conversation.branches);
    let near = branches.and_then(|branches| crate::error::nearest(name, branches.keys().map(String::as_str)));
    let hint = near.map(|n| format!(" Did you mean {}?", drawable(n))).unwrap_or_default();
    model.warn(format!("There is no branch {}.{hint}", drawable(name)));
}

/// `b`: names a branch whose end is this message. What is sent next goes on from here.
pub fn branch(model: &mut Model, name: Option<&String>) {
    let Some(node) = model.node_at_hand() else { return model.say("There is no message to branch at yet.") };
    let Some(name) = name else {
        // A line that has a name is given another.
        if let Some(old) = model.shared.doc().and_then(|doc| doc.branch_names(node).next()).map(str::to_owned) {
            let question = Question { label: "Branch".to_owned(), hint: String::new(), text: old.clone(), free: false };
            let call = Invocation { action: Action::BranchRename, args: vec![old.clone()] };
            return model.push_overlay(Prompt::boxed(format!("Rename the branch {}", drawable(&old)), call, vec![question]));
        }
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
                let away = put_away(doc, leaf).zip(model.shared.view.conversation);
                if let Some((node, conversation)) = away {
                    let said = format!("On branch {}, which was put away and is back.", drawable(name));
                    let command = Command::ArchiveBranch { conversation, node, archived: false };
                    return model.post_for(command, Waiting::Go { said, conversation, node: Some(leaf) });
                }
                make_head(model, leaf);
                model.say(format!("On branch {}.", drawable(name)));
            }
            None => no_branch(model, name),
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
            let away = put_away(doc, *leaf).is_some();
            let note = if away { format!("put away · {snippet}") } else { snippet };
            let mut item =
                Item::new(name.clone(), note, move || Intent::Call(Invocation { action: Action::Switch, args: vec![switch.clone()] }));
            item.quiet = away;
            item
        })
        .collect();
    let at = branches.values().position(|leaf| Some(*leaf) == here).unwrap_or(0);
    model.push_overlay(Box::new(Choose::new("Switch to which branch?", items, at)));
}
