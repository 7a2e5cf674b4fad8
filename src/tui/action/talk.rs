//! Talking: writing, sending, asking again, stopping, and what goes with a prompt.
//!
//! Invariant: what was typed is never lost: a message that cannot be sent stays in the composer, and why is said.

use serde_json::Value;

use super::overflow::Then;
use super::{Action, Invocation, again};
use crate::error::{Error, Kind};
use crate::proto::{Command, Content, ConversationId, DownloadState, Keep, NodeId, Part, Query, Role, State, content_text};
use crate::tui::command_line::{Slash, slash};
use crate::tui::composer::{Edit, Outcome as Edited};
use crate::tui::layout::PaneId;
use crate::tui::model::{Model, Waiting};
use crate::tui::msg::{Cmd, Purpose};
use crate::tui::overlay::choose::Choose;
use crate::tui::overlay::confirm::Confirm;
use crate::tui::pane::{Call, Intent, chat, composer};
use crate::tui::perform;
use crate::tui::shared::Writing;
use crate::tui::text::width::drawable;

/// `i`: into the composer.
pub fn write(model: &mut Model) {
    model.shared.composer.borrow_mut().enter_insert();
    model.focus(composer::ID);
    model.mark(composer::ID);
    model.mark_status();
}

/// What an edit command of the composer led to.
pub fn edited(model: &mut Model, outcome: Edited) {
    if outcome.changed {
        // A message that waits for its attachments is another one now.
        model.shared.attached.sending = false;
        draft_changed(model);
    }
    if let Some(text) = outcome.copied {
        perform::intent(model, Intent::Copy { text, what: "the text".to_owned() });
    }
    if let Some(problem) = outcome.problem {
        model.fail(&problem);
    }
    model.mark(composer::ID);
    model.mark_status();
}

/// The composer's text is another.
pub fn draft_changed(model: &mut Model) {
    model.draft.changed = Some(model.now().mono);
    model.leaving = false;
    model.mark(composer::ID);
    model.mark_status();
}

/// Tells the host what was typed, so that it is there tomorrow.
pub fn save_draft(model: &mut Model) {
    model.draft.changed = None;
    // While something else is edited, the draft is what was put aside.
    let text = stash(model);
    let attached = model.shared.attached.draft();
    if text == model.draft.saved && attached == model.draft.attached || !model.shared.is_up() {
        return;
    }
    model.draft.saved.clone_from(&text);
    let before = std::mem::replace(&mut model.draft.attached, attached.clone());
    match model.shared.view.conversation {
        Some(conversation) => model.post(Command::SetDraft { conversation, text, attached }),
        None => {
            model.post(Command::SetSetting { key: "draft".to_owned(), value: Value::from(text) });
            if attached != before {
                let value = serde_json::to_value(&attached).unwrap_or_default();
                model.post(Command::SetSetting { key: "draft_attached".to_owned(), value });
            }
        }
    }
}

/// Enter in the composer.
pub fn send(model: &mut Model) {
    if model.shared.composer.borrow_mut().continue_line() {
        draft_changed(model);
        return;
    }
    let text = model.shared.composer.borrow().text();
    match model.shared.view.writing.clone() {
        Writing::System { .. } => return finish_system(model, &text),
        Writing::Edit { node, ask, .. } => return finish_edit(model, node, ask, &text),
        Writing::Tool { node, results, .. } => return super::tools::finish(model, node, results, text),
        Writing::Queued { node, .. } => return super::queue::finish_edit(model, node, &text),
        Writing::Message => {}
    }
    if text.trim().is_empty() && model.shared.attached.is_empty() {
        return;
    }
    match slash(&text) {
        Slash::Run(invocation) => {
            model.shared.composer.borrow_mut().take();
            draft_changed(model);
            crate::tui::keys::invoke(model, invocation, None);
        }
        // A template may be called so; only its folder tells.
        Slash::Message | Slash::Wrong(_) if super::templates::name_in(&text).is_some() => super::templates::insert_or_send(model, text),
        Slash::Message | Slash::Wrong(_) => send_message(model, &text),
    }
}

/// What stands in the composer is no command and no template.
pub fn send_message(model: &mut Model, text: &str) {
    if let Slash::Wrong(error) = slash(text) {
        let sentences = std::iter::once(error.message).chain(error.hints).map(|s| drawable(&s).into_owned()).collect();
        return model.push_overlay(Confirm::boxed("Send it as a message?", sentences, "sends it", Intent::SendAnyway(Then::Composer)));
    }
    if ready(model) && super::attach::ready(model, text) && suits(model, text) {
        post_message(model, text.to_owned());
    }
}

/// What the message waited for is there.
pub fn send_on(model: &mut Model) {
    let text = model.shared.composer.borrow().text();
    match model.shared.view.writing.clone() {
        Writing::System { .. } | Writing::Tool { .. } | Writing::Queued { .. } => {}
        Writing::Edit { node, ask, .. } => finish_edit(model, node, ask, &text),
        Writing::Message if ready(model) && super::attach::ready(model, &text) && suits(model, &text) => post_message(model, text),
        Writing::Message => {}
    }
}

/// The warning was read: it is sent as it is.
pub fn send_anyway(model: &mut Model) {
    if !ready(model) {
        return;
    }
    let text = model.shared.composer.borrow().text();
    if !super::attach::ready(model, &text) {
        return;
    }
    match model.shared.view.writing.clone() {
        Writing::Edit { node, ask: true, .. } => post_edit(model, node, text),
        _ => post_message(model, text),
    }
}

/// Whether a prompt can be sent now. If not, why is said, and what was typed stays.
pub(super) fn ready(model: &mut Model) -> bool {
    if !model.shared.is_up() {
        model.warn("The host cannot be reached now. The message stays here.");
        return false;
    }
    if model.shared.model().is_none() {
        model.warn("Nobody answers yet: choose a model. The message stays here.");
        super::models::choose(model, None);
        return false;
    }
    if model.shared.view.conversation.is_some() && model.shared.doc().is_none() {
        model.warn("The conversation is still being opened. The message stays here.");
        return false;
    }
    true
}

/// Whether it fits, or what becomes of it is known. What waits is measured when it is sent.
fn suits(model: &mut Model, text: &str) -> bool {
    super::queue::line(&model.shared).is_some() || super::overflow::fits(model, text)
}

/// The shown conversation; made first when it is not at the host yet.
pub fn ensure_conversation(model: &mut Model) -> ConversationId {
    if let Some(id) = model.shared.view.conversation {
        return id;
    }
    let id: ConversationId = model.ids.fresh();
    let view = &mut model.shared.view;
    let (system, parameters) = (view.system.take(), std::mem::take(&mut view.parameters));
    let (chosen, preset, folder) = (view.model.take(), view.preset.take(), view.folder.take());
    super::conversations::begin(model, id, system.clone(), parameters.clone(), chosen.clone());
    model.post_for(Command::NewConversation { id, title: None, system, parameters, model: chosen, saved: true }, Waiting::Quiet);
    if let Some(preset) = preset {
        model.post(Command::SetPreset { conversation: id, preset });
    }
    if let Some(folder) = folder {
        model.post(Command::Keep { conversations: vec![id], change: Keep::Folder(Some(folder)) });
    }
    model.post(Command::View { conversation: Some(id) });
    id
}

fn post_message(model: &mut Model, text: String) {
    let answerer = model.shared.model();
    if model.shared.view.conversation.is_none() {
        model.shared.view.model.clone_from(&answerer);
    }
    let (parent, line) = (model.shared.view.leaf, super::queue::line(&model.shared));
    let conversation = ensure_conversation(model);
    let (node, answer): (NodeId, NodeId) = (model.ids.fresh(), model.ids.fresh());
    model.shared.composer.borrow_mut().take();
    let attached = model.shared.attached.take();
    let content = content(&text, &attached);
    match line {
        Some(line) => {
            let command = Command::Enqueue { conversation, line, node, answer, content, model: answerer };
            model.post_for(command, Waiting::Queued { node, answer, text, attached });
        }
        None => {
            model.shared.view.awaited = Some(answer);
            model
                .post_for(Command::Send { conversation, node, parent, content, answer, model: answerer }, Waiting::Sent { text, attached });
        }
    }
    draft_changed(model);
    save_draft(model);
    model.mark_all();
}

/// A message of a text, which may be empty, and what is attached to it.
pub fn content(text: &str, attached: &Content) -> Content {
    let text = (!text.trim().is_empty()).then(|| Part::Text { text: text.to_owned() });
    text.into_iter().chain(attached.iter().cloned()).collect()
}

/// `e`, `E`: the message's text comes into the composer, to be sent as another version.
pub fn edit(model: &mut Model, ask: bool) {
    let Some(node) = model.node_at_hand() else { return model.say("There is no message to edit yet.") };
    let Some(doc) = model.shared.doc() else { return };
    let Some(found) = doc.node(node) else { return };
    let (running, role) = (found.state.is_running(), found.role);
    let Some(content) = doc.content(node) else { return model.say("The message is not here yet; try again in a moment.") };
    let text = content_text(content);
    let parts: Content = content.iter().filter(|part| matches!(part, Part::Image { .. } | Part::File { .. })).cloned().collect();
    if running {
        return model.say("This answer is still being written.");
    }
    if super::attach::is_too_long(&text) {
        return model.warn("This message is too long to be edited here (1 MiB, 60,000 characters in a line).");
    }
    // An answer that was edited is not asked for again: the edit is the answer.
    let ask = ask && role == Role::User;
    let stash = stash(model);
    model.shared.view.writing = Writing::Edit { node, ask, stash };
    model.shared.attached.put_aside(parts);
    write(model);
    fill(model, &text);
    model.mark_all();
}

/// What was written as a message: in the composer, or put aside while something else is edited there.
pub(super) fn stash(model: &Model) -> String {
    model.shared.view.writing.stash().map_or_else(|| model.shared.composer.borrow().text(), str::to_owned)
}

/// Another text in the composer, the cursor behind it.
pub fn fill(model: &mut Model, text: &str) {
    let mut composer = model.shared.composer.borrow_mut();
    // Only in INSERT is there a place behind the last character.
    composer.enter_insert();
    composer.set_text(text);
    composer.edit(Edit::Bottom, None);
    composer.edit(Edit::LineEnd, None);
}

/// What stood in the composer before something else was edited in it comes back.
pub fn unstash(model: &mut Model) {
    let writing = std::mem::replace(&mut model.shared.view.writing, Writing::Message);
    if let Some(stash) = writing.stash() {
        fill(model, stash);
        model.shared.attached.bring_back();
        model.mark_all();
    }
}

fn finish_edit(model: &mut Model, node: NodeId, ask: bool, text: &str) {
    if text.trim().is_empty() {
        return model.say("An empty message is not sent; Esc twice gives the edit up.");
    }
    if ask {
        if ready(model) && super::attach::ready(model, text) && super::overflow::fits(model, text) {
            post_edit(model, node, text.to_owned());
        }
        return;
    }
    if model.refuse_offline() {
        return;
    }
    let Some((parent, role)) = model.shared.doc().and_then(|doc| doc.node(node)).map(|n| (n.parent, n.role)) else { return };
    let Some(conversation) = model.shared.view.conversation else { return };
    if !super::attach::ready(model, text) {
        return;
    }
    let fresh: NodeId = model.ids.fresh();
    model.shared.view.awaited = Some(fresh);
    let attached = model.shared.attached.take();
    let content = content(text, &attached);
    model.post_for(Command::Add { conversation, node: fresh, parent, role, content }, Waiting::Sent { text: text.to_owned(), attached });
    unstash(model);
    leave_composer(model);
}

fn post_edit(model: &mut Model, node: NodeId, text: String) {
    let Some(parent) = model.shared.doc().and_then(|doc| doc.node(node)).map(|n| n.parent) else { return };
    let Some(conversation) = model.shared.view.conversation else { return };
    let (fresh, answer): (NodeId, NodeId) = (model.ids.fresh(), model.ids.fresh());
    model.shared.view.awaited = Some(answer);
    let attached = model.shared.attached.take();
    let content = content(&text, &attached);
    let answerer = model.shared.model();
    model.post_for(Command::Send { conversation, node: fresh, parent, content, answer, model: answerer }, Waiting::Sent { text, attached });
    unstash(model);
    leave_composer(model);
}

pub(super) fn leave_composer(model: &mut Model) {
    model.shared.composer.borrow_mut().enter_normal();
    model.focus(chat::ID);
    model.mark_all();
}

/// `r`, `R`: one more answer to the same message.
pub fn retry(model: &mut Model, name: Option<&String>) {
    let with = match name.map(|name| crate::core::names::resolve(name, &model.shared.replica.models)) {
        Some(Err(error)) => return model.fail(&error),
        Some(Ok(reference)) => Some(reference),
        None => None,
    };
    let Some(node) = model.node_at_hand() else { return model.say("There is nothing to ask again yet.") };
    let Some(doc) = model.shared.doc() else { return };
    if with.is_none() && doc.node(node).is_some_and(again::waits) {
        return again::try_now(model);
    }
    let asked = doc.node(node).and_then(|n| if n.role == Role::User { Some(n.id) } else { n.parent });
    let Some(parent) = asked.filter(|id| doc.node(*id).is_some_and(|n| n.role == Role::User)) else {
        return model.say("This message answers nothing, so there is nothing to ask again.");
    };
    ask_again(model, parent, None, with);
}

/// Asks for an answer, if its prompt fits or it is said what becomes of it.
fn ask_again(model: &mut Model, parent: NodeId, continues: Option<NodeId>, by: Option<crate::proto::ModelRef>) {
    let then = Then::Answer { parent, continues, by: by.clone() };
    if ready(model) && super::overflow::fits_below(model, continues.or(Some(parent)), None, then) {
        answer(model, parent, continues, by);
    }
}

/// `R` without a name: choose who answers.
pub fn retry_with(model: &mut Model, call: &Call<'_>) {
    if let Some(name) = call.args.first() {
        return retry(model, Some(name));
    }
    let items =
        super::models::items(model, |reference| Intent::Call(Invocation { action: Action::RetryWith, args: vec![reference.to_string()] }));
    if items.is_empty() {
        return model.say("There is no model to ask.");
    }
    model.push_overlay(Box::new(Choose::new("Ask which model?", items, 0)));
}

/// `c`: the answer goes on where it ended.
pub fn carry_on(model: &mut Model) {
    let Some(node) = model.node_at_hand() else { return model.say("There is no answer to continue yet.") };
    let Some(found) = model.shared.doc().and_then(|doc| doc.node(node)) else { return };
    let (role, running, bytes, parent, by) = (found.role, found.state.is_running(), found.bytes, found.parent, found.model.clone());
    match (role, parent) {
        (Role::Assistant, Some(_)) if running => model.say("This answer is still being written."),
        (Role::Assistant, Some(_)) if bytes == 0 => retry(model, None),
        (Role::Assistant, Some(parent)) => {
            // Whoever began it goes on with it, if it is there.
            let by = by.filter(|reference| model.shared.replica.model(reference).is_some());
            ask_again(model, parent, Some(node), by);
        }
        _ => model.say("Only an answer can be continued."),
    }
}

/// Asks for an answer, fit or not.
pub(super) fn answer(model: &mut Model, parent: NodeId, continues: Option<NodeId>, by: Option<crate::proto::ModelRef>) {
    let Some(conversation) = model.shared.view.conversation else { return };
    let answer: NodeId = model.ids.fresh();
    model.shared.view.awaited = Some(answer);
    let by = by.or_else(|| model.shared.model());
    model.post(Command::Answer { conversation, parent, answer, model: by, continues });
    model.mark_all();
}

/// `C-c`: stops the run of the conversation in view; with none, clears the draft; again, offers to quit.
pub fn stop(model: &mut Model) {
    if let (Some(conversation), true) = (model.shared.view.conversation, model.shared.running().is_some()) {
        if !model.refuse_offline() {
            let node = model.shared.running().map(|n| n.id);
            let held = node.and_then(|node| super::queue::held_by(&model.shared, node)).unwrap_or_default();
            model.post(Command::Stop { conversation, node });
            model.say(format!("Stopped. What came is kept. {held}").trim_end());
        }
        return;
    }
    if model.shared.view.writing != Writing::Message {
        unstash(model);
        return model.say("The edit was given up.");
    }
    if !model.shared.composer.borrow().is_empty() {
        // Nothing can be too large about an empty text.
        let cleared = model.shared.composer.borrow_mut().replace_text("");
        if let Err(error) = cleared {
            model.fail(&error);
        }
        draft_changed(model);
        return model.say("The draft was cleared (u in NORMAL brings it back).");
    }
    if std::mem::replace(&mut model.leaving, true) {
        return super::app::quit(model);
    }
    let stop = model.shared.key(super::Scope::AnyMode, Action::Stop);
    model.say(format!("Nothing to stop. {stop} again leaves arbour."));
}

/// Gives up what waits: a connection, a load, a download.
pub fn cancel(model: &mut Model) {
    let waits = model.shared.running().filter(|n| !matches!(n.state, State::Thinking | State::Writing)).map(|n| n.id);
    if let (Some(node), Some(conversation)) = (waits, model.shared.view.conversation) {
        model.post(Command::Stop { conversation, node: Some(node) });
        return model.say("Given up.");
    }
    let going = model.shared.replica.downloads.values().find(|d| matches!(d.state, DownloadState::Running | DownloadState::Checking));
    match going.map(|d| d.key.clone()) {
        Some(key) => model
            .post_for(Command::CancelPull { key, forget: false }, Waiting::Say("The download was given up; what came is kept.".to_owned())),
        None => model.say("Nothing waits."),
    }
}

/// `:request`: exactly what was sent for the selected answer, or would be sent for the draft.
pub fn request(model: &mut Model) {
    if model.refuse_offline() {
        return;
    }
    let Some(conversation) = model.shared.view.conversation else {
        return model.say("Write a message first: there is no conversation to show the request of yet.");
    };
    let draft = model.shared.composer.borrow().text();
    let in_list: PaneId = model.shared.focus;
    let answer = model
        .node_at_hand()
        .filter(|_| in_list != composer::ID || draft.trim().is_empty())
        .filter(|id| model.shared.doc().and_then(|doc| doc.node(*id)).is_some_and(|n| n.role == Role::Assistant && n.run.is_some()));
    let query = Query::Request {
        conversation,
        answer,
        parent: model.shared.view.leaf,
        draft: Some(draft).filter(|d| answer.is_none() && !d.is_empty()),
        model: model.shared.model(),
    };
    model.ask(query, Waiting::Request);
}

/// `:system`: sets the system prompt, or opens it in the composer.
pub fn system(model: &mut Model, text: Option<&String>) {
    if let Some(text) = text {
        return set_system(model, text);
    }
    let stash = stash(model);
    let now = model.shared.system().unwrap_or_default().to_owned();
    model.shared.view.writing = Writing::System { stash };
    model.shared.attached.put_aside(Content::new());
    write(model);
    fill(model, &now);
    model.mark_all();
}

fn finish_system(model: &mut Model, text: &str) {
    set_system(model, text);
    unstash(model);
}

fn set_system(model: &mut Model, text: &str) {
    let text = Some(text.trim().to_owned()).filter(|t| !t.is_empty());
    let said =
        if text.is_some() { "The system prompt is set; it holds from the next answer on." } else { "There is no system prompt any more." };
    match model.shared.view.conversation {
        Some(conversation) => model.post_for(Command::SetSystem { conversation, text }, Waiting::Say(said.to_owned())),
        None => {
            model.shared.view.system = text;
            model.say(said);
            model.mark_all();
        }
    }
}

/// `C-e`: the draft in `$EDITOR`.
pub fn editor(model: &mut Model) {
    let text = model.shared.composer.borrow().text();
    model.cmds.push(Cmd::Edit { purpose: Purpose::Draft, text, extension: "md".to_owned() });
}

/// Esc in the composer: NORMAL; from there the chat's last message. An edit that is left is given up.
pub fn to_last_message(model: &mut Model) {
    if model.shared.focus == composer::ID {
        if model.shared.view.writing != Writing::Message {
            unstash(model);
            model.say("The edit was given up.");
        }
        model.focus(chat::ID);
    }
    // The branch may go on below what is shown, by another screen's hand.
    if let (Some(id), Some(leaf)) = (model.shared.view.conversation, model.shared.view.leaf)
        && let Some(doc) = model.shared.replica.docs.get_mut(&id)
    {
        let end = doc.leaf_below(leaf);
        if end != leaf {
            doc.visit(end);
            model.shared.view.leaf = Some(end);
            model.shared.revisions.doc += 1;
        }
    }
    model.with_pane(chat::ID, |pane, cx| pane.act(&Call { action: Action::LastMessage, args: &[], count: None }, cx));
    perform::intent(model, Intent::Select(None));
    model.mark_all();
}

/// Whether the branch in view goes on below what is shown, by another screen's hand.
pub fn goes_on_below(model: &Model) -> bool {
    let (Some(doc), Some(leaf)) = (model.shared.doc(), model.shared.view.leaf) else { return false };
    doc.leaf_below(leaf) != leaf
}

/// `yy` on a message.
pub fn copy_message(model: &mut Model) {
    let Some(node) = model.node_at_hand() else { return model.say("There is no message to copy yet.") };
    let Some(text) = model.shared.doc().and_then(|doc| doc.content(node)).map(|c| content_text(c)) else {
        return model.fail(&Error::new(Kind::NotFound, "The message is not here yet; try again in a moment."));
    };
    if text.is_empty() {
        return model.say("The message has no text.");
    }
    perform::intent(model, Intent::Copy { text, what: "the message".to_owned() });
}
