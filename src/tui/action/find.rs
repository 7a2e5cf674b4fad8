//! Finding: the `/` and `:` lines, the palette, help, and the search over all messages.

use super::{Action, Scope};
use crate::proto::{Query, Role as Speaker, SearchHit};
use crate::tui::command_line;
use crate::tui::format;
use crate::tui::keys;
use crate::tui::line::{Candidates, Line};
use crate::tui::model::{Model, Typing, Waiting};
use crate::tui::msg::Cmd;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::{help, palette};
use crate::tui::pane::{Call, Intent, PANES, Seek, chat, composer};
use crate::tui::perform;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role;

/// Lines of `:` and `/` that are remembered.
const HISTORY: usize = 500;

/// `:`.
pub fn open_line(model: &mut Model, text: &str) {
    let line = new_line(model, ':', text);
    model.typing = Some(Typing { line, find: None, before: String::new() });
    model.resolver.reset();
    model.mark_all();
}

fn new_line(model: &Model, sign: char, text: &str) -> Line {
    let history = model.history.iter().filter_map(|line| line.strip_prefix(sign)).map(str::to_owned).collect();
    let mut line = Line::new(history);
    line.insert(text);
    line
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
            let line = new_line(model, '/', "");
            model.typing = Some(Typing { line, find: Some(pane), before });
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
    if let Some(typing) = &mut model.typing {
        typing.line.insert(text);
    }
    line_changed(model);
}

fn line_changed(model: &mut Model) {
    model.mark_status();
    let Some(typing) = &model.typing else { return };
    let Some(pane) = typing.find else { return model.mark_all() };
    let text = typing.line.text().to_owned();
    look_for(model, pane, &text);
    if !model.shared.needle.text.is_empty() {
        let found = model.with_pane(pane, |pane, cx| pane.seek(Seek::Here, 1, cx)).flatten();
        if let Some((outcome, ..)) = found {
            perform::outcome(model, outcome);
        }
    }
}

/// An action while a line is open. False: it is no matter of the line.
pub fn line(model: &mut Model, call: &Call<'_>) -> bool {
    let Some(typing) = &mut model.typing else { return false };
    match call.action {
        Action::Edit(edit) => {
            let empty = typing.line.text().is_empty();
            // As in vim: a backspace in an empty line leaves it.
            if empty && edit == crate::tui::composer::Edit::Backspace {
                cancel_line(model);
                return true;
            }
            typing.line.edit(edit, call.times());
            line_changed(model);
        }
        Action::HistoryPrevious => {
            typing.line.previous();
            line_changed(model);
        }
        Action::HistoryNext => {
            typing.line.next();
            line_changed(model);
        }
        Action::Complete | Action::CompleteBack => {
            if typing.find.is_none() {
                complete(model, call.action == Action::CompleteBack);
            }
        }
        Action::Accept | Action::Activate => accept_line(model),
        Action::Close | Action::Stop => cancel_line(model),
        _ => return false,
    }
    true
}

fn complete(model: &mut Model, back: bool) {
    let candidates = candidates(model);
    if let Some(typing) = &mut model.typing {
        typing.line.complete(&candidates, back);
    }
    model.mark_all();
}

/// What arguments can be completed with.
#[must_use]
pub fn candidates(model: &Model) -> Candidates {
    let replica = &model.shared.replica;
    Candidates {
        models: replica.models.iter().map(|m| m.reference().to_string()).collect(),
        branches: model.shared.doc().map(|doc| doc.conversation.branches.keys().cloned().collect()).unwrap_or_default(),
        conversations: replica.rows_by_update().into_iter().take(200).map(|r| r.title.clone()).filter(|t| !t.is_empty()).collect(),
        themes: model.themes.names().into_iter().map(str::to_owned).collect(),
        keymaps: crate::tui::keymap::names(&model.keymaps),
        panes: PANES.iter().map(|make| make().info().tile.id.to_owned()).collect(),
    }
}

fn accept_line(model: &mut Model) {
    let Some(typing) = model.typing.take() else { return };
    let text = typing.line.text().trim().to_owned();
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
        look_for(model, pane, "");
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
