//! Finding: the `/` and `:` lines, the palette, help, and the search over all messages.

use std::collections::BTreeSet;

use super::{Action, Scope};
use crate::core::filter;
use crate::proto::{Query, Role as Speaker, SearchHit};
use crate::tui::command_line::{self, Candidate, Lists};
use crate::tui::composer::Edit;
use crate::tui::format;
use crate::tui::keys;
use crate::tui::listing::groups;
use crate::tui::model::{Model, Typing, Waiting};
use crate::tui::msg::Cmd;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::{help, palette};
use crate::tui::pane::{Call, Intent, Seek, chat, composer, conversations, models, table};
use crate::tui::perform;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

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
    let found = model.with_pane(pane, |pane, cx| pane.seek(seek, times, cx)).flatten();
    let Some((outcome, place, count)) = found else { return };
    perform::outcome(model, outcome);
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
    if !model.shared.needle.text.is_empty() {
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

/// `:search`: all messages of all conversations.
pub fn search(model: &mut Model, text: &str) {
    if model.refuse_offline() {
        return;
    }
    let text = text.trim().to_owned();
    model.ask(Query::Search { text: text.clone(), conversation: None, limit: 200 }, Waiting::Search(text));
}

/// The hits, to choose one from.
pub fn show_hits(model: &mut Model, text: &str, hits: Vec<SearchHit>) {
    if hits.is_empty() {
        return model.say(format!("No message holds {}.", drawable(text)));
    }
    let count = format::plural(hits.len() as u64, "message");
    let items = hits
        .into_iter()
        .map(|hit| {
            let snippet = hit.snippet.replace(['\u{e000}', '\u{e001}'], "").replace('\n', " ");
            let title = if hit.title.trim().is_empty() { "untitled".to_owned() } else { hit.title.clone() };
            let when = format::clock(hit.created, model.shared.now.wall, &model.shared.zone);
            let note = format!("{} · {when}", crate::sanitise::cut(&title, 24));
            let mut item = Item::new(snippet.trim(), note, move || Intent::Open(hit.conversation, Some(hit.node)));
            item.glyph = if hit.role == Speaker::User { ("›", Role::User) } else { ("‹", Role::Assistant) };
            item
        })
        .collect();
    text.clone_into(&mut model.shared.needle.text);
    model.push_overlay(Box::new(Choose::new(format!("{count} with {}", drawable(text)), items, 0)));
}
