//! What panes and overlays ask for, carried out on the model.

use super::action;
use super::keys;
use super::model::{Model, Waiting};
use super::msg::Cmd;
use super::pane::{Intent, Outcome, chat, composer, details, models, table};
use crate::proto::{Command, ModelRef, NodeId, Query};

/// Everything that an action led to.
pub fn outcome(model: &mut Model, outcome: Outcome) {
    for intent in outcome.intents {
        self::intent(model, intent);
    }
}

pub fn intent(model: &mut Model, intent: Intent) {
    match intent {
        Intent::Call(invocation) => keys::invoke(model, invocation, None),
        Intent::Run(invocation) => {
            let call = super::pane::Call { action: invocation.action, args: &invocation.args, count: None };
            action::run::run(model, &call);
        }
        Intent::Start(start) => action::fitting::start_anyway(model, start),
        Intent::Post(command) => {
            if !model.refuse_offline() {
                model.post(command);
            }
        }
        Intent::PostAndSay(command, text) => model.post_for(command, Waiting::Say(text)),
        Intent::PostAll(mut commands, text) => {
            if let Some(last) = commands.pop().filter(|_| !model.refuse_offline()) {
                commands.into_iter().for_each(|command| model.post(command));
                model.post_for(last, Waiting::Say(text));
            }
        }
        Intent::Open(id, node) => action::conversations::open(model, id, node),
        Intent::Fork { conversation, node, scope, to } => action::graft::forked(model, conversation, node, scope, to),
        Intent::Found { conversation, node, needle } => action::find::found(model, conversation, node, needle),
        Intent::Search(text) => {
            let limit = super::search::MOST;
            model.ask(Query::Search { text: text.clone(), conversation: None, limit }, Waiting::Search(text));
        }
        Intent::MakeHead(node) => action::tree::make_head(model, node),
        Intent::Show(node) => show(model, node),
        Intent::Select(node) => {
            select(model, node);
            model.shared.view.reveal += 1;
        }
        Intent::Rest(node) => select(model, node),
        Intent::Choose(reference) => choose(model, reference),
        Intent::Focus(pane) => model.focus(pane),
        Intent::Say(level, text) => {
            let now = model.now();
            model.notices.say(level, text, now);
            model.mark_status();
        }
        Intent::Fail(error) => model.fail(&error),
        Intent::Overlay(overlay) => model.push_overlay(overlay),
        Intent::Copy { text, what } => copy(model, text, what),
        Intent::Save { path, data, over } => {
            let path = crate::config::expand(path.trim(), crate::config::home_folder().as_deref());
            model.cmds.push(Cmd::Save { path, data, over });
        }
        Intent::Pipe { command, text } => {
            model.push_overlay(super::overlay::piped::open(command.clone()));
            model.cmds.push(Cmd::Pipe { command, text });
        }
        Intent::Fetch(file) => action::files::fetch(model, *file),
        Intent::EndPipe => model.cmds.push(Cmd::EndPipe),
        Intent::Edit { text, extension, purpose } => model.cmds.push(Cmd::Edit { purpose, text, extension }),
        Intent::Contents(nodes) => {
            if let Some(conversation) = model.shared.view.conversation {
                model.ask(Query::Contents { conversation, nodes }, Waiting::Contents(conversation));
            }
        }
        Intent::Ask { pane, about, query } => model.ask(query, Waiting::Pane(pane, about)),
        Intent::SendAnyway(then) => action::overflow::send(model, then),
        Intent::FitAndSend(word, then) => action::overflow::fit_and_send(model, word, then),
        Intent::SendQueued { node, beside } => action::queue::send(model, node, beside),
        Intent::EditQueued(node) => action::queue::edit(model, node),
        Intent::Theme { name, keep } => action::app::take_theme(model, &name, keep),
        Intent::Keymap(name) => action::app::take_keymap(model, &name, true),
        Intent::Line(text) => action::find::open_line(model, &text),
        Intent::Setting { of, changes } => action::settings::change(model, &of, changes),
        Intent::SettingText { of, text } => action::settings::text(model, of, text),
        Intent::Point { of, slot, name } => action::settings::point(model, of, slot, name),
        Intent::PointModels(models, change) => action::settings::point_models(model, models, change),
        Intent::SavePreset { preset, was } => action::settings::saved(model, *preset, was),
        Intent::ImportPresets(saves) => action::settings::import_all(model, saves),
        Intent::AskOverlay(query) => model.ask(query, Waiting::Overlay),
        Intent::Insert(text) => action::templates::insert(model, &text),
        Intent::EditFile(path) => action::templates::edit(model, &path),
        Intent::Begin(beginning) => action::templates::begun(model, *beginning),
        Intent::TakeFolder(take) => action::attach::offered(model, take),
        Intent::Quit(leave) => action::app::leave(model, leave),
    }
}

/// Selects a message of the shown path. The last one is no selection: the view follows it.
fn select(model: &mut Model, node: Option<NodeId>) {
    let node = node.filter(|id| Some(*id) != model.shared.view.leaf);
    if model.shared.view.selected != node {
        model.shared.view.selected = node;
    }
    model.mark_chat();
    model.mark(super::pane::tree::ID);
    model.mark_status();
}

/// Shows the path that leads through a message and on to where it was followed last.
pub fn show(model: &mut Model, node: NodeId) {
    let Some(id) = model.shared.view.conversation else { return };
    let Some(doc) = model.shared.replica.docs.get_mut(&id) else { return };
    if doc.node(node).is_none() {
        return;
    }
    let leaf = doc.leaf_below(node);
    doc.visit(leaf);
    model.shared.view.leaf = Some(leaf);
    model.shared.revisions.doc += 1;
    select(model, Some(node));
    model.shared.view.reveal += 1;
    model.visiting = Some((id, leaf, model.now().mono));
    model.mark_all();
}

/// This model answers next in the shown conversation.
fn choose(model: &mut Model, reference: ModelRef) {
    if model.refuse_offline() {
        return;
    }
    let name = super::text::width::drawable(&reference.to_string()).into_owned();
    match model.shared.view.conversation {
        Some(conversation) => {
            let said = Waiting::Say(format!("{name} answers next."));
            model.post_for(Command::SetModel { conversation, model: reference.clone() }, said);
        }
        None => {
            model.shared.view.model = Some(reference.clone());
            model.say(format!("{name} answers."));
        }
    }
    if let Ok(value) = serde_json::to_value(&reference) {
        model.post(Command::SetSetting { key: "last_model".to_owned(), value });
    }
    model.mark_all();
    if model.shared.doc().is_none_or(|doc| doc.nodes().is_empty()) {
        model.shared.composer.borrow_mut().enter_insert();
        model.focus(composer::ID);
    } else if [models::ID, table::ID, details::ID].contains(&model.shared.focus) {
        model.focus(chat::ID);
    }
}

fn copy(model: &mut Model, text: String, what: String) {
    let count = text.chars().count() as u64;
    let what = format!("{what}, {}", super::format::plural(count, "character"));
    model.cmds.push(Cmd::Copy { text, what });
}
