//! Templates: of messages (`/name`) and of conversations (`:new-from`).
//!
//! Invariant: files are read anew each time; nothing of a template is sent unasked (it comes into the composer first, unless the template of a
//! conversation says `send`); what it asks for and nobody answered is said and never sent as `{{x}}`.

use jiff::Timestamp;

use super::{Action, Invocation, conversations, talk};
use crate::config::templates::{Library, Setup, Sort, Text, Variable, fill, written};
use crate::core::{names, settings};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{Command, FolderId, Keep, ModelRef, NodeId, Parameters, Part, Role, content_text};
use crate::tui::command_line::is_command;
use crate::tui::errand::{Errand, Then};
use crate::tui::model::{Model, Waiting};
use crate::tui::msg::Cmd;
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::prompt::Prompt;
use crate::tui::pane::Intent;
use crate::tui::text::width::drawable;
use crate::tui::theme::Role as Look;

/// How a conversation begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beginning {
    pub title: Option<String>,
    pub model: Option<ModelRef>,
    pub system: Option<String>,
    pub preset: Option<String>,
    pub parameters: Parameters,
    pub folder: Option<FolderId>,
    pub tags: Vec<String>,
    pub messages: Vec<(Role, String)>,
    /// The last message is sent; else it comes into the composer.
    pub send: bool,
}

/// The name of a template that a message may begin with: `/name`, `/team/name`.
#[must_use]
pub fn name_in(text: &str) -> Option<&str> {
    let word = text.trim_start().strip_prefix('/')?.split_whitespace().next()?;
    let fits = |part: &str| {
        part.starts_with(|c: char| c.is_alphanumeric() || c == '_') && part.chars().all(|c| c.is_alphanumeric() || "_-".contains(c))
    };
    word.split('/').all(fits).then_some(word)
}

fn fetch(model: &mut Model, then: Then) {
    model.cmds.push(Cmd::Errand(Errand::Templates(then)));
}

/// Enter on a text that begins with a slash and is no command: a template's text, or a message like any other.
pub fn insert_or_send(model: &mut Model, text: String) {
    fetch(model, Then::Insert { text });
}

/// Tab behind a slash.
pub fn complete(model: &mut Model, back: bool) {
    fetch(model, Then::Complete { back });
}

/// `:templates`.
pub fn list(model: &mut Model, name: Option<&String>) {
    fetch(model, name.map_or(Then::List, |name| Then::Open { name: name.trim_start_matches('/').to_owned() }));
}

/// `:new-from`: a conversation begins with a template. Without a name it is chosen.
pub fn new_from(model: &mut Model, name: Option<&String>) {
    fetch(model, Then::Begin { name: name.cloned(), folder: None });
}

/// A conversation begins with a template, in this folder.
pub fn begin(model: &mut Model, name: &str, folder: Option<FolderId>) {
    fetch(model, Then::Begin { name: Some(name.to_owned()), folder });
}

/// One of the conversations' templates is chosen: `call` is run with its name behind its arguments.
pub fn pick(model: &mut Model, title: &str, call: Invocation) {
    fetch(model, Then::Pick { title: title.to_owned(), call });
}

/// `:template-save`: what stands in the composer becomes a template of messages.
pub fn save(model: &mut Model, name: &str) {
    let name = name.trim().trim_start_matches('/').to_owned();
    let text = model.shared.composer.borrow().text();
    if text.trim().is_empty() {
        return model.say("Write the text first: what stands in the composer becomes the template.");
    }
    if is_command(&name) {
        return model.fail(&shadowed(&name));
    }
    model.cmds.push(Cmd::Errand(Errand::SaveTemplate { name, sort: Sort::Message, text: format!("{}\n", text.trim_end()) }));
}

/// `:template-from`: this conversation's settings, and its messages up to the selected one, become a template.
pub fn save_conversation(model: &mut Model, name: &str) {
    let shared = &model.shared;
    let row = shared.doc().map(|doc| &doc.conversation.row);
    let setup = Setup {
        model: shared.model().map(|reference| reference.to_string()),
        preset: shared.preset().map(str::to_owned),
        parameters: shared.parameters().clone(),
        folder: row.and_then(|row| row.folder).and_then(|folder| folder_path(model, folder)),
        tags: row.map(|row| row.tags.clone()).unwrap_or_default(),
        ..Setup::default()
    };
    let mut messages = Vec::new();
    if let (Some(doc), Some(selected)) = (shared.doc(), shared.view.selected) {
        for id in doc.path(selected) {
            let role = doc.node(id).map(|node| node.role).filter(|role| matches!(role, Role::User | Role::Assistant));
            if let (Some(role), Some(content)) = (role, doc.content(id)) {
                messages.push((role, content_text(content)));
            }
        }
    }
    let text = written(&setup, &messages, shared.system());
    model.cmds.push(Cmd::Errand(Errand::SaveTemplate { name: name.trim().to_owned(), sort: Sort::Conversation, text }));
}

fn shadowed(name: &str) -> Error {
    Error::new(Kind::Usage, format!("{} is a command, so a template of that name would never be found.", quoted(&format!("/{name}"))))
        .hint("Give the template another name.")
}

/// The templates were read.
pub fn read(model: &mut Model, then: Then, library: &Library) {
    let result = match then {
        Then::Insert { text } => insert_from(model, library, &text),
        Then::Complete { back } => {
            super::run::complete_slash(model, back, candidates(library));
            Ok(())
        }
        Then::List => {
            show(model, library);
            Ok(())
        }
        Then::Open { name } => open(model, library, &name),
        Then::Begin { name: Some(name), folder } => begin_from(model, library, &name, folder).inspect_err(|_| {
            // A folder's template that cannot be used is no reason to have no conversation there.
            if folder.is_some() {
                conversations::new_in(model, folder);
            }
        }),
        Then::Begin { name: None, .. } => choose(model, library, "Begin with which template?", &Invocation::new(Action::NewFrom)),
        Then::Pick { title, call } => choose(model, library, &title, &call),
        Then::Checked { path } => {
            let fault = library.broken.iter().find(|broken| broken.path == path).and_then(|broken| broken.errors.first());
            match fault {
                Some(error) => Err(error.clone()),
                None => {
                    model.say("The template is as it should be.");
                    Ok(())
                }
            }
        }
    };
    if let Err(error) = result {
        model.fail(&error);
    }
}

/// Templates of messages that `/` finds, each with what it is for.
fn candidates(library: &Library) -> Vec<(String, String)> {
    let found = library.messages.iter().filter(|message| !is_command(&message.name));
    found.map(|message| (message.name.clone(), about(&message.about, &message.text))).collect()
}

fn about(about: &str, text: &Text) -> String {
    if about.is_empty() { text.first_line() } else { about.to_owned() }
}

fn insert_from(model: &mut Model, library: &Library, text: &str) -> Result<()> {
    // What was typed meanwhile is another message.
    if model.shared.composer.borrow().text() != text {
        return Ok(());
    }
    let Some(name) = name_in(text) else { return Ok(()) };
    let Some(found) = library.message(name) else {
        talk::send_message(model, text);
        return Ok(());
    };
    let message = found?;
    let (asks, body) = message.resolved(library)?;
    let input = text.trim_start()[1 + name.len()..].trim().to_owned();
    let built_in = built_in(model, &input);
    // What stands behind the name is not lost where the template has no place for it.
    let rest = if input.is_empty() || body.names("input") { String::new() } else { format!("\n\n{input}") };
    let name = message.name.clone();
    let done = move |asks: &[Variable], answers: &[String]| -> Intent {
        match filled(&body, asks, answers, &built_in) {
            Ok(text) => Intent::Insert(format!("{text}{rest}")),
            Err(error) => Intent::Fail(error),
        }
    };
    ask(model, &format!("/{name}"), asks, false, done);
    Ok(())
}

/// Asks for what has no default, in a form with all of it; without such, goes on at once.
fn ask(model: &mut Model, title: &str, asks: Vec<Variable>, always: bool, done: impl FnOnce(&[Variable], &[String]) -> Intent + 'static) {
    let needed = if always { !asks.is_empty() } else { asks.iter().any(|ask| ask.default.is_none()) };
    if needed {
        let form = Prompt::form(title, &asks.clone(), move |answers| done(&asks, &answers));
        return model.push_overlay(form);
    }
    let intent = done(&asks, &[]);
    crate::tui::perform::intent(model, intent);
}

/// A text with the answers in it; an empty answer to what has a default is that.
fn filled(text: &Text, asks: &[Variable], answers: &[String], built_in: &[(&'static str, String)]) -> Result<String> {
    fill(text, &|name| {
        if let Some((_, value)) = built_in.iter().find(|(key, _)| *key == name) {
            return Some(value.clone());
        }
        let at = asks.iter().position(|ask| ask.name == name)?;
        answers.get(at).filter(|answer| !answer.is_empty()).cloned().or_else(|| asks[at].default.clone())
    })
}

/// What arbour fills in.
fn built_in(model: &Model, input: &str) -> Vec<(&'static str, String)> {
    let now = Timestamp::from_millisecond(model.shared.now.wall).ok().map(|at| at.to_zoned(model.shared.zone.clone()));
    let told = |format: &str| now.as_ref().map(|now| now.strftime(format).to_string()).unwrap_or_default();
    let title = model.shared.doc().map(|doc| doc.conversation.row.title.clone()).unwrap_or_default();
    vec![
        ("date", told("%Y-%m-%d")),
        ("time", told("%H:%M")),
        ("model", model.shared.model().map(|reference| reference.model).unwrap_or_default()),
        ("title", title),
        ("input", input.to_owned()),
    ]
}

/// A text comes into the composer, in place of what stands there; undo brings that back.
pub fn insert(model: &mut Model, text: &str) {
    talk::write(model);
    if super::attach::is_too_long(text) && super::attach::paste(model, text) {
        return;
    }
    let replaced = model.shared.composer.borrow_mut().replace_text(text);
    match replaced {
        Ok(()) => talk::draft_changed(model),
        Err(error) => model.fail(&error),
    }
    super::attach::look(model);
    model.mark_all();
}

/// All of them; one that is chosen is opened in `$EDITOR`.
fn show(model: &mut Model, library: &Library) {
    let mut items = Vec::new();
    let mut add = |section: &str, text: String, note: String, path: &str, glyph| {
        let path = path.to_owned();
        let mut item = Item::new(text, note, move || Intent::EditFile(path.clone()));
        item.section = Some(section.to_owned());
        item.glyph = glyph;
        items.push(item);
    };
    for message in &library.messages {
        let hidden = is_command(&message.name);
        let note = if hidden { "not used: a command has this name".to_owned() } else { about(&message.about, &message.text) };
        let glyph = if hidden { ("·", Look::Warning) } else { (" ", Look::Text) };
        add("Messages", format!("/{}", message.name), note, &message.path, glyph);
    }
    for setup in &library.conversations {
        add("Conversations", setup.name.clone(), setup.shown(), &setup.path, (" ", Look::Text));
    }
    for broken in &library.broken {
        let why = broken.errors.first().map_or("", |error| error.message.as_str());
        add("Not usable", broken.name.clone(), why.to_owned(), &broken.path, ("✗", Look::Error));
    }
    if items.is_empty() {
        let save = model.shared.key(super::Scope::Anywhere, Action::TemplateSave);
        return model.say(format!("There are no templates yet. {save} NAME makes one of what stands in the composer."));
    }
    let keys = ["Enter opens one in $EDITOR; /name in the composer inserts it."];
    model.push_overlay(Box::new(Choose::new("Templates", items, 0).intro(&keys)));
}

fn open(model: &mut Model, library: &Library, name: &str) -> Result<()> {
    let messages = library.messages.iter().map(|message| (&message.name, &message.path));
    let others = library.conversations.iter().map(|setup| (&setup.name, &setup.path));
    let broken = library.broken.iter().map(|broken| (&broken.name, &broken.path));
    match messages.chain(others).chain(broken).find(|(known, _)| *known == name) {
        Some((_, path)) => {
            edit(model, path);
            Ok(())
        }
        None => Err(Error::new(Kind::NotFound, format!("There is no template called {}.", quoted(name))).hint("`:templates` lists them.")),
    }
}

/// A template's file in `$EDITOR`.
pub fn edit(model: &mut Model, path: &str) {
    model.cmds.push(Cmd::EditFile(path.into()));
}

/// It was closed: what is wrong with it now is said.
pub fn edited(model: &mut Model, path: String) {
    fetch(model, Then::Checked { path });
}

fn choose(model: &mut Model, library: &Library, title: &str, call: &Invocation) -> Result<()> {
    let mut items: Vec<Item> = library
        .conversations
        .iter()
        .map(|setup| {
            let mut call = call.clone();
            call.args.push(setup.name.clone());
            Item::new(setup.name.clone(), setup.shown(), move || Intent::Call(call.clone()))
        })
        .collect();
    for broken in library.broken.iter().filter(|broken| broken.sort == Sort::Conversation) {
        let error = broken.errors.first().cloned();
        let note = error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        let mut item = Item::new(broken.name.clone(), note, move || match &error {
            Some(error) => Intent::Fail(error.clone()),
            None => Intent::Say(crate::proto::Level::Info, String::new()),
        });
        item.glyph = ("✗", Look::Error);
        items.push(item);
    }
    if items.is_empty() {
        return Err(Error::new(Kind::NotFound, "There is no template of conversations yet.")
            .hint("`:template-from NAME` makes one of this conversation; they are TOML files in templates/ of the config directory."));
    }
    model.push_overlay(Box::new(Choose::new(title, items, 0)));
    Ok(())
}

fn begin_from(model: &mut Model, library: &Library, name: &str, folder: Option<FolderId>) -> Result<()> {
    let setup = library.conversation(name)?;
    let (asks, setup) = setup.resolved(library)?;
    let wrong = |what: String| Error::new(Kind::Config, format!("{}: {what}", crate::error::harmless(&setup.path)));
    let chosen = match &setup.model {
        Some(name) => Some(names::resolve(name, &model.shared.replica.models).map_err(|error| {
            let problem = wrong(format!("model = {}: {}", quoted(name), error.message));
            error.hints.into_iter().fold(problem, Error::hint)
        })?),
        None => model.shared.model(),
    };
    if let Some(preset) = setup.preset.as_ref().filter(|preset| settings::find(&model.shared.replica.presets, preset).is_none()) {
        return Err(wrong(format!("there is no preset {}.", quoted(preset))).hint("`:preset` lists them."));
    }
    let folder = match (&setup.folder, folder) {
        (_, Some(folder)) => Some(folder),
        (Some(path), None) => Some(folder_named(model, path).ok_or_else(|| {
            wrong(format!("there is no folder {}.", quoted(path))).hint("Make it, or take `folder` out of the template.")
        })?),
        (None, None) => None,
    };
    let built_in = built_in(model, "");
    let title = format!("New conversation: {}", drawable(name));
    ask(model, &title, asks, true, move |asks, answers| {
        let told = |text: &Text| filled(text, asks, answers, &built_in);
        let made = || -> Result<Beginning> {
            Ok(Beginning {
                title: setup.title.as_ref().map(told).transpose()?.map(|title| title.trim().to_owned()).filter(|title| !title.is_empty()),
                model: chosen,
                system: setup.system.as_ref().map(told).transpose()?,
                preset: setup.preset.clone(),
                parameters: setup.parameters.clone(),
                folder,
                tags: setup.tags.clone(),
                messages: setup.messages.iter().map(|(role, text)| Ok((*role, told(text)?))).collect::<Result<_>>()?,
                send: setup.send,
            })
        };
        made().map_or_else(Intent::Fail, |beginning| Intent::Begin(Box::new(beginning)))
    });
    Ok(())
}

/// The folder that a path of names leads to.
fn folder_named(model: &Model, path: &str) -> Option<FolderId> {
    let mut at = None;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let folders = &model.shared.replica.folders;
        at = Some(folders.iter().find(|f| f.parent == at && f.name.to_lowercase() == name.to_lowercase() && f.search.is_none())?.id);
    }
    at
}

/// The names on the way to a folder.
fn folder_path(model: &Model, id: FolderId) -> Option<String> {
    let folders = &model.shared.replica.folders;
    let mut names = Vec::new();
    let mut at = Some(id);
    while let Some(folder) = at.and_then(|id| folders.iter().find(|folder| folder.id == id)).filter(|_| names.len() < folders.len()) {
        names.push(folder.name.clone());
        at = folder.parent;
    }
    names.reverse();
    (!names.is_empty()).then(|| names.join("/"))
}

/// A conversation begins so.
pub fn begun(model: &mut Model, beginning: Beginning) {
    if model.refuse_offline() {
        return;
    }
    let Beginning { title, model: chosen, system, preset, parameters, folder, tags, mut messages, send } = beginning;
    conversations::remember(model);
    conversations::fresh(model);
    let id = model.ids.fresh();
    conversations::begin(model, id, system.clone(), parameters.clone(), chosen.clone());
    // What was written for no conversation yet is this one's now.
    super::talk::draft_changed(model);
    let command = Command::NewConversation { id, title, system, parameters, model: chosen.clone(), saved: true };
    model.post_for(command, Waiting::Quiet);
    if preset.is_some() {
        model.post(Command::SetPreset { conversation: id, preset });
    }
    let keep = |change| Command::Keep { conversations: vec![id], change };
    if folder.is_some() {
        model.post(keep(Keep::Folder(folder)));
    }
    for name in tags {
        model.post(keep(Keep::Tag { name, on: true }));
    }
    model.post(Command::View { conversation: Some(id) });
    // The person's last word is sent, or waits to be.
    let last = messages.pop_if(|(role, _)| *role == Role::User).map(|(_, text)| text);
    let mut parent: Option<NodeId> = None;
    for (role, text) in messages {
        let node: NodeId = model.ids.fresh();
        model.post(Command::Add { conversation: id, node, parent, role, content: vec![Part::Text { text }] });
        parent = Some(node);
    }
    model.shared.view.awaited = parent;
    talk::write(model);
    if let Some(text) = last {
        if send {
            let (node, answer): (NodeId, NodeId) = (model.ids.fresh(), model.ids.fresh());
            model.shared.view.awaited = Some(answer);
            let attached = Vec::new();
            let content = talk::content(&text, &attached);
            let command = Command::Send { conversation: id, node, parent, content, answer, model: chosen };
            model.post_for(command, Waiting::Sent { text, attached });
        } else {
            talk::fill(model, &text);
            talk::draft_changed(model);
        }
    }
    model.mark_all();
}
