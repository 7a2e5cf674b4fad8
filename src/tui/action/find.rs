//! Finding: the `/` and `:` lines, the palette, help, and the search over all messages.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Action, Scope};
use crate::core::filter;
use crate::proto::{ConversationId, NodeId, Query};
use crate::tui::command_line::{self, Candidate, Lists};
use crate::tui::composer::Edit;
use crate::tui::keys;
use crate::tui::listing::groups;
use crate::tui::model::{Model, Typing, Waiting};
use crate::tui::msg::Cmd;
use crate::tui::overlay::{self, help, palette};
use crate::tui::pane::{Call, Intent, Seek, chat, composer, conversations, models, table, tree};
use crate::tui::perform;
use crate::tui::reach::{self, Of};
use crate::tui::text::width::drawable;

/// Lines of `:` and `/` that are remembered.
const HISTORY: usize = 500;

/// `:`.
pub fn open_line(model: &mut Model, text: &str) {
    model.command_line.open(text);
    model.typing = Some(Typing { find: None, before: String::new(), filter: String::new() });
    model.resolver.reset();
    model.mark_all();
}

/// `/`: searches the focused pane; from the composer, the chat.
pub fn find(model: &mut Model, text: Option<&String>) {
    let pane = if model.shared.focus == composer::ID { chat::ID } else { model.shared.focus };
    model.focus(pane);
    match text {
        Some(text) => {
            look_for(model, pane, text);
            seek(model, Seek::Here, 1);
        }
        None => {
            let before = model.shared.needle.text.clone();
            // A filter that holds is gone on with, and comes back when the line is given up.
            let filter = model.pane(pane).and_then(|pane| pane.filtered()).unwrap_or_default().to_owned();
            model.search_line.open(&filter);
            model.typing = Some(Typing { find: Some(pane), before, filter });
            // A filter may ask for what runs say.
            if filters_models(model) && model.shared.replica.uses.is_empty() && model.shared.is_up() {
                model.ask(Query::Uses, Waiting::Uses);
            }
            model.mark_all();
        }
    }
}

/// The text that is looked for is another.
fn look_for(model: &mut Model, pane: &'static str, text: &str) {
    let filtered = model.with_pane(pane, |pane, cx| pane.filter(Some(text).filter(|t| !t.is_empty()), cx));
    match filtered {
        Some((true, outcome)) => perform::outcome(model, outcome),
        _ => text.clone_into(&mut model.shared.needle.text),
    }
    model.mark_all();
}

/// `n`, `N`, and the search as it is typed.
pub fn seek(model: &mut Model, seek: Seek, times: usize) {
    if model.shared.needle.text.is_empty() && seek != Seek::Back {
        return model.say(format!("Nothing was searched for yet ({} searches).", model.shared.key(Scope::Anywhere, Action::Find)));
    }
    let pane = if model.shared.focus == composer::ID { chat::ID } else { model.shared.focus };
    if model.shared.needle.whole && of_conversation(pane) && seek != Seek::Back {
        return seek_whole(model, seek, times);
    }
    let found = model.with_pane(pane, |pane, cx| pane.seek(seek, times, cx)).flatten();
    let Some((outcome, place, count)) = found else { return };
    perform::outcome(model, outcome);
    if pane == chat::ID && seek != Seek::Back {
        fetch(model);
    }
    if seek != Seek::Back {
        let needle = drawable(&model.shared.needle.text).into_owned();
        if count == 0 {
            let key = model.shared.key(Scope::Anywhere, Action::Search);
            model.say(format!("{needle} is not in what is shown here ({key} searches everything)."));
        } else {
            model.say(format!("/{needle}  {place} of {count}"));
        }
    }
    model.mark_all();
}

/// Text for the open line.
pub fn typed(model: &mut Model, text: &str) {
    if let Some(line) = model.line_mut() {
        line.insert(text);
    }
    line_changed(model);
}

fn line_changed(model: &mut Model) {
    model.mark_status();
    let Some(typing) = &model.typing else { return };
    let Some(pane) = typing.find else { return model.mark_all() };
    let text = model.search_line.text().to_owned();
    look_for(model, pane, &text);
    // Over branches one goes when the text stands: what is read does not change with each letter.
    if !(model.shared.needle.text.is_empty() || model.shared.needle.whole && of_conversation(pane)) {
        let found = model.with_pane(pane, |pane, cx| pane.seek(Seek::Here, 1, cx)).flatten();
        if let Some((outcome, ..)) = found {
            perform::outcome(model, outcome);
        }
    }
}

/// Whether the open line is a filter of models, which has a language.
#[must_use]
pub fn filters_models(model: &Model) -> bool {
    model.typing.as_ref().is_some_and(|typing| matches!(typing.find, Some(models::ID | table::ID)))
}

/// Whether it is one of conversations, which has another.
#[must_use]
pub fn filters_conversations(model: &Model) -> bool {
    model.typing.as_ref().is_some_and(|typing| typing.find == Some(conversations::ID))
}

/// An action while a line is open. False: it is no matter of the line.
pub fn line(model: &mut Model, call: &Call<'_>) -> bool {
    let command = model.typing.as_ref().is_some_and(|typing| typing.find.is_none());
    let Some(line) = model.line_mut() else { return false };
    match call.action {
        // As in vim: a backspace in an empty line leaves it.
        Action::Edit(Edit::Backspace) if line.text().is_empty() => cancel_line(model),
        Action::Edit(edit) => {
            line.edit(edit, call.count);
            line_changed(model);
        }
        Action::HistoryPrevious | Action::HistoryNext => {
            line.recall(call.action == Action::HistoryPrevious);
            line_changed(model);
        }
        Action::Complete | Action::CompleteBack => {
            let back = call.action == Action::CompleteBack;
            if command {
                let names = names(model);
                model.command_line.complete(back, |before| command_line::candidates(before, &names.lists()));
            } else if filters_models(model) {
                let known = filter::Known::of(&model.shared.replica.models);
                let candidate = |(text, about)| Candidate { text, about };
                model.search_line.complete(back, |before| {
                    let (start, items) = filter::complete(before, &known);
                    (start, items.into_iter().map(candidate).collect())
                });
                line_changed(model);
            } else if filters_conversations(model) {
                let (line, shared) = (&mut model.search_line, &model.shared);
                line.complete(back, |before| {
                    let (start, items) = shared.complete_filter(before, filter::conversations::Subject::Conversations);
                    (start, items.into_iter().map(|(text, about)| Candidate { text, about }).collect())
                });
                line_changed(model);
            }
            model.mark_all();
        }
        Action::FindScope if !command => find_scope(model),
        Action::Accept | Action::Activate => accept_line(model),
        Action::Close | Action::Stop => cancel_line(model),
        _ => return false,
    }
    true
}

/// The names that there are now.
pub struct Names {
    models: Vec<String>,
    branches: Vec<String>,
    presets: Vec<String>,
    conversations: Vec<(String, String)>,
    themes: Vec<String>,
    keymaps: Vec<String>,
    topics: Vec<String>,
    groups: Vec<String>,
    tags: Vec<String>,
    filters: Vec<String>,
    folders: Vec<String>,
    labels: Vec<String>,
}

impl Names {
    #[must_use]
    pub fn lists(&self) -> Lists<'_> {
        Lists {
            models: &self.models,
            branches: &self.branches,
            presets: &self.presets,
            conversations: &self.conversations,
            themes: &self.themes,
            keymaps: &self.keymaps,
            topics: &self.topics,
            groups: &self.groups,
            tags: &self.tags,
            filters: &self.filters,
            folders: &self.folders,
            labels: &self.labels,
        }
    }
}

/// What arguments can be completed with.
#[must_use]
pub fn names(model: &Model) -> Names {
    let replica = &model.shared.replica;
    let rows = replica.recent_rows().into_iter().take(200);
    let labels: BTreeSet<&String> = replica.rows.values().flat_map(|row| &row.tags).collect();
    let known = filter::Known::of(&replica.models);
    Names {
        models: replica.models.iter().map(|m| m.reference().to_string()).collect(),
        branches: model.shared.doc().map(|doc| doc.conversation.branches.keys().cloned().collect()).unwrap_or_default(),
        presets: replica.presets.iter().map(|preset| preset.name.clone()).collect(),
        conversations: rows.map(|row| (row.id.to_string(), row.title.clone())).collect(),
        themes: model.themes.names().into_iter().map(str::to_owned).collect(),
        keymaps: crate::tui::keymap::names(&model.keymaps),
        topics: help::TOPICS.iter().map(|topic| (*topic).to_owned()).collect(),
        groups: known.groups.into_iter().collect(),
        tags: known.tags.into_iter().collect(),
        filters: groups::saved(&model.shared).into_keys().collect(),
        folders: super::keeping::paths(&replica.folders).into_iter().map(|(_, path)| path).collect(),
        labels: labels.into_iter().cloned().collect(),
    }
}

fn accept_line(model: &mut Model) {
    let text = model.line_mut().map(|line| line.take()).unwrap_or_default().trim().to_owned();
    let Some(typing) = model.typing.take() else { return };
    model.mark_all();
    let sign = if typing.find.is_some() { '/' } else { ':' };
    if !text.is_empty() {
        let entry = format!("{sign}{text}");
        model.history.retain(|known| *known != entry);
        model.history.push(entry);
        let many = model.history.len();
        model.history.drain(..many.saturating_sub(HISTORY));
        model.cmds.push(Cmd::History(model.history.clone()));
    }
    if typing.find.is_some() {
        if !text.is_empty() && !model.shared.needle.text.is_empty() {
            seek(model, Seek::Here, 1);
        }
        return;
    }
    if text.is_empty() {
        return;
    }
    match command_line::parse(&text) {
        Ok(invocation) => keys::invoke(model, invocation, None),
        Err(error) => model.fail(&error),
    }
}

fn cancel_line(model: &mut Model) {
    let Some(typing) = model.typing.take() else { return };
    if let Some(pane) = typing.find {
        look_for(model, pane, &typing.filter);
        model.shared.needle.text = typing.before;
        let found = model.with_pane(pane, |pane, cx| pane.seek(Seek::Back, 1, cx)).flatten();
        if let Some((outcome, ..)) = found {
            perform::outcome(model, outcome);
        }
    }
    model.mark_all();
}

/// `C-p`.
pub fn open_palette(model: &mut Model) {
    let scope = model.pane_scope();
    let palette = palette::open(&model.cx(), scope, |action| model.refusal(action));
    model.push_overlay(Box::new(palette));
}

/// `?` and `:help TOPIC`.
pub fn open_help(model: &mut Model, topic: Option<&String>) {
    let overlay = match topic {
        Some(topic) => match help::topic(&model.cx(), topic) {
            Some(page) => page,
            None => return model.say(format!("There is no help on {}; :help lists what there is.", drawable(topic))),
        },
        None => help::here(&model.cx(), model.scope(), model.pane_scope(), |action| model.refusal(action)),
    };
    model.push_overlay(overlay);
}

/// `Space /`, `:search TEXT`: all messages of all conversations, as one types. The last search is gone on with.
pub fn search(model: &mut Model, text: Option<&String>) {
    if model.refuse_offline() {
        return;
    }
    {
        let search = &mut *model.shared.search.borrow_mut();
        if let Some(text) = text {
            search.line.open(text.trim());
        }
        search.renew();
    }
    model.push_overlay(overlay::search::boxed());
}

/// A hit was chosen: it is shown on its branch, the text in it marked.
pub fn found(model: &mut Model, conversation: ConversationId, node: NodeId, needle: String) {
    if !needle.is_empty() {
        model.shared.needle.text = needle;
        model.shared.needle.whole = false;
        model.reach.again = true;
    }
    super::conversations::open(model, conversation, Some(node));
    if model.shared.doc().is_some() {
        opened(model);
    }
}

/// The conversation of a hit is here: the hit is brought into view.
pub fn opened(model: &mut Model) {
    if std::mem::take(&mut model.reach.again) {
        let found = model.with_pane(chat::ID, |pane, cx| pane.seek(Seek::Here, 1, cx)).flatten();
        if let Some((outcome, ..)) = found {
            perform::outcome(model, outcome);
        }
    }
}

// --- beyond what is at hand ---------------------------------------------------------------------------------------------------

/// `C-t` in the line, `g/`: the whole tree, or only the path.
pub fn find_scope(model: &mut Model) {
    let whole = !model.shared.needle.whole;
    model.shared.needle.whole = whole;
    model.say(if whole { "Searches go through the whole tree of the conversation." } else { "Searches go along the path that is shown." });
    if model.typing.is_some() {
        line_changed(model);
    }
    model.mark_all();
}

/// Whether a pane shows messages of the conversation.
fn of_conversation(pane: &str) -> bool {
    pane == chat::ID || pane == tree::ID
}

/// What the host says of where the needle stands in the shown conversation. `None`: it was asked just now, or cannot be.
fn reach(model: &mut Model, step: Option<(Seek, usize)>) -> Option<Vec<NodeId>> {
    let conversation = model.shared.view.conversation?;
    let nodes = model.shared.doc()?.nodes().len();
    let needle = model.shared.needle.text.clone();
    let of = Of { conversation, needle, nodes };
    if let Some(hits) = model.reach.hits(&of) {
        return Some(hits.to_vec());
    }
    if of.needle.chars().count() < 2 || !model.shared.is_up() {
        return Some(Vec::new());
    }
    model.reach.step = step;
    if model.reach.ask(&of) {
        let text = format!("\"{}\"", of.needle.replace('"', " "));
        model.ask(Query::Search { text, conversation: Some(conversation), limit: reach::MOST }, Waiting::Reach(of));
    }
    None
}

/// The host said where it stands.
pub fn reached(model: &mut Model, of: Of, hits: Vec<NodeId>) {
    // In the order of the conversation.
    let place: HashMap<NodeId, usize> =
        model.shared.doc().map(|doc| doc.nodes().iter().enumerate().map(|(at, node)| (node.id, at)).collect()).unwrap_or_default();
    let mut hits: Vec<NodeId> = hits.into_iter().filter(|id| place.contains_key(id)).collect();
    hits.sort_by_key(|id| place.get(id).copied());
    hits.dedup();
    model.reach.take(of, hits);
    match model.reach.step.take() {
        Some((seek, times)) if model.shared.needle.whole => seek_whole(model, seek, times),
        _ => fetch(model),
    }
}

/// Asks for the content of messages of the path in which it stands and that are not at hand.
fn fetch(model: &mut Model) {
    let (Some(doc), Some(leaf)) = (model.shared.doc(), model.shared.view.leaf) else { return };
    let path = doc.path(leaf);
    let lacks = |id: &NodeId| doc.content(*id).is_none() && doc.node(*id).is_some_and(|node| node.bytes > 0);
    if !path.iter().any(lacks) {
        return;
    }
    let missing: HashSet<NodeId> = path.iter().filter(|id| lacks(id)).copied().collect();
    let Some(hits) = reach(model, None) else { return };
    let wanted: Vec<NodeId> = hits.into_iter().filter(|id| missing.contains(id)).take(reach::FETCHED).collect();
    if !wanted.is_empty() && !std::mem::replace(&mut model.reach.fetching, true) {
        perform::intent(model, Intent::Contents(wanted));
    }
}

/// Content came: hits in it count too.
pub fn loaded(model: &mut Model) {
    if std::mem::take(&mut model.reach.fetching) && !model.shared.needle.text.is_empty() && !model.shared.needle.whole {
        let found = model.with_pane(chat::ID, |pane, cx| pane.seek(Seek::Here, 1, cx)).flatten();
        if let Some((outcome, place, count)) = found.filter(|(.., count)| *count > 0) {
            perform::outcome(model, outcome);
            let needle = drawable(&model.shared.needle.text).into_owned();
            model.say(format!("/{needle}  {place} of {count}"));
        }
        fetch(model);
    }
}

/// From hit to hit over all branches: the path goes along.
fn seek_whole(model: &mut Model, seek: Seek, times: usize) {
    let Some(hits) = reach(model, Some((seek, times))) else { return model.say("Looking through the whole tree…") };
    let needle = drawable(&model.shared.needle.text).into_owned();
    if hits.is_empty() {
        let key = model.shared.key(Scope::Anywhere, Action::Search);
        return model.say(format!("{needle} is nowhere in this conversation ({key} searches everything)."));
    }
    let Some(doc) = model.shared.doc() else { return };
    let here = model.shared.target().and_then(|node| doc.nodes().iter().position(|other| other.id == node.id)).unwrap_or(0);
    let place: Vec<usize> = {
        let wanted: HashSet<NodeId> = hits.iter().copied().collect();
        doc.nodes().iter().enumerate().filter(|(_, node)| wanted.contains(&node.id)).map(|(at, _)| at).collect()
    };
    let many = place.len();
    let at = match seek {
        Seek::Here | Seek::Back => place.iter().position(|at| *at >= here).unwrap_or(0),
        Seek::Next => (place.iter().position(|at| *at > here).unwrap_or(0) + times - 1) % many,
        Seek::Previous => (place.iter().rposition(|at| *at < here).unwrap_or(many - 1) + many * times - (times - 1)) % many,
    };
    let Some(node) = hits.get(at).copied() else { return };
    perform::show(model, node);
    model.reach.again = true;
    opened(model);
    model.say(format!("/{needle}  {}/{many} in the whole tree", at + 1));
}
