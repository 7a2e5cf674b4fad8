//! What comes from the host: events into the replica, answers to whoever waits for them.
//!
//! Invariant: the replica is changed only here and only by what the host sent; what changed on the screen follows from what was touched.

use super::action;
use super::model::{Model, Waiting};
use super::msg::Tag;
use super::overlay::page::Page;
use super::pane::{chat, composer, conversations, details, metrics, models, table, tree};
use super::perform;
use super::shared::Link;
use super::text::width::drawable;
use super::theme::Role;
use crate::core::Touched;
use crate::error::Result;
use crate::proto::{
    Ack, Command, Content, ConversationId, DownloadState, Event, EventKind, Level, NodeId, Query, Reply, RequestPreview, Snapshot,
};

/// A host was reached for the first time.
pub fn attached(model: &mut Model, snapshot: Snapshot) {
    let last = snapshot.last;
    let known = snapshot.conversations.items.iter().any(|row| Some(row.id) == last);
    model.shared.replica.restore(snapshot);
    model.shared.link = Link::Up;
    refresh_all(model);
    action::app::take_settings(model);
    match last.filter(|_| known || last.is_some()) {
        Some(id) => open(model, id, None, None),
        None => unsent(model),
    }
    action::app::first_run(model);
}

/// What was written for a conversation that does not exist yet comes into the composer.
pub fn unsent(model: &mut Model) {
    if let Some(draft) = model.shared.replica.settings.get("draft").and_then(|v| v.as_str()).map(str::to_owned) {
        action::talk::fill(model, &draft);
        model.draft.saved = draft;
    }
    let attached = model.shared.replica.settings.get("draft_attached").cloned();
    if let Some(parts) = attached.and_then(|value| serde_json::from_value::<Content>(value).ok()) {
        model.draft.attached.clone_from(&parts);
        model.shared.attached.restore(parts);
    }
}

/// The link stands again: everything is taken anew, the view stays where it was.
pub fn restored(model: &mut Model, snapshot: Snapshot) {
    let shown = model.shared.view.conversation;
    let leaf = model.shared.view.leaf;
    let select = model.shared.view.selected;
    // Until it is opened anew, the conversation stays on the screen as it was.
    let kept = shown.and_then(|id| model.shared.replica.docs.remove(&id));
    model.shared.replica.restore(snapshot);
    model.shared.link = Link::Up;
    model.watching = None;
    // What was asked when it came into view is asked again.
    model.entered = "";
    if let (Some(id), Some(doc)) = (shown, kept) {
        model.shared.replica.docs.insert(id, doc);
        open(model, id, leaf, select);
    }
    action::attach::go_on(model);
    refresh_all(model);
    model.say("The link to the host stands again.");
}

fn refresh_all(model: &mut Model) {
    let revisions = &mut model.shared.revisions;
    revisions.attached += 1;
    revisions.rows += 1;
    revisions.models += 1;
    revisions.doc += 1;
    model.mark_all();
}

/// Looks at a conversation: first the view, so that what comes between is in what is opened.
pub fn open(model: &mut Model, conversation: ConversationId, leaf: Option<NodeId>, select: Option<NodeId>) {
    model.post(Command::View { conversation: Some(conversation) });
    let query = Query::Open { conversation, leaf, contents: chat::WINDOW };
    model.ask(query, Waiting::Open { conversation, leaf, select });
    model.shared.view.conversation = Some(conversation);
}

pub fn event(model: &mut Model, event: &Event) {
    let touched = model.shared.replica.apply(event);
    model.shared.replica.trim_rows();
    for at in 0..model.panes.len() {
        let id = model.panes[at].info().tile.id;
        model.with_pane(id, |pane, cx| pane.event(event, cx));
    }
    if matches!(event.kind, EventKind::Finished { .. }) {
        // It tells its model's speed, also where its conversation is not at hand any more.
        model.mark(models::ID);
    }
    let shown = model.shared.view.conversation;
    match touched {
        Touched::Nothing => {}
        Touched::Jobs => [models::ID, table::ID].into_iter().for_each(|pane| model.mark(pane)),
        Touched::Rows => {
            model.shared.revisions.rows += 1;
            model.mark(conversations::ID);
            model.mark(chat::ID);
            model.mark_status();
            if let EventKind::ConversationRemoved { id } = event.kind {
                model.jumps.forget(id);
            }
            if let EventKind::ConversationRemoved { id } = event.kind
                && shown == Some(id)
            {
                action::conversations::fresh(model);
                model.say("The conversation was deleted.");
            }
        }
        Touched::Doc(id) if shown == Some(id) => {
            model.shared.revisions.doc += 1;
            follow(model, event);
            off_hidden(model);
            for pane in [chat::ID, tree::ID, composer::ID, conversations::ID] {
                model.mark(pane);
            }
            model.mark_status();
        }
        Touched::Text(id, node) if shown == Some(id) => {
            if model.shared.view.leaf.is_some_and(|leaf| model.shared.doc().is_some_and(|doc| doc.is_ancestor(node, leaf))) {
                model.mark(chat::ID);
            }
        }
        Touched::Node(id, _) if shown == Some(id) => {
            // A finished answer also tells its model's speed.
            for pane in [chat::ID, tree::ID, composer::ID, models::ID] {
                model.mark(pane);
            }
            model.mark_status();
        }
        Touched::Doc(_) | Touched::Text(..) | Touched::Node(..) => {}
        Touched::Models => {
            model.shared.revisions.models += 1;
            for pane in [models::ID, chat::ID, composer::ID, table::ID, details::ID] {
                model.mark(pane);
            }
            model.mark_status();
        }
        Touched::Metrics => {
            if let EventKind::Metrics(sample) = &event.kind {
                model.shared.sample = Some(sample.clone());
            }
            [metrics::ID, table::ID, details::ID].into_iter().for_each(|pane| model.mark(pane));
        }
        Touched::Settings => [table::ID, details::ID, composer::ID].into_iter().for_each(|pane| model.mark(pane)),
        Touched::Downloads => downloaded(model, event),
        Touched::Notice => notice(model, event),
        Touched::Drifted(id) if shown == Some(id) => {
            model.mark_all();
            let asked = model.waiting.values().any(|w| matches!(w, Waiting::Open { conversation, .. } if *conversation == id));
            if !asked {
                let view = &model.shared.view;
                let (leaf, select) = (view.leaf, view.selected);
                let query = Query::Open { conversation: id, leaf, contents: chat::WINDOW };
                model.ask(query, Waiting::Open { conversation: id, leaf, select });
            }
        }
        Touched::Drifted(_) => {}
    }
    if !model.overlays.is_empty() && touched != Touched::Nothing && model.overlays.last().is_some_and(|o| o.is_live()) {
        model.mark_all();
    }
}

/// The view goes to the message that this client asked for; other clients' messages do not move it.
fn follow(model: &mut Model, event: &Event) {
    let EventKind::Node { conversation, node, .. } = &event.kind else { return };
    let view = &mut model.shared.view;
    let ours = view.awaited == Some(node.id);
    let first = view.leaf.is_none();
    if !(ours || first) {
        // What waited at the end of the shown branch goes out: the branch is shown on, whatever is read in it.
        if node.parent == view.leaf && action::queue::is_queued(model, node.id) {
            model.shared.view.leaf = Some(node.id);
            if let Some(doc) = model.shared.replica.docs.get_mut(conversation) {
                doc.visit(node.id);
            }
        }
        return;
    }
    if ours {
        view.awaited = None;
    }
    view.leaf = Some(node.id);
    view.selected = None;
    view.reveal += 1;
    if let Some(doc) = model.shared.replica.docs.get_mut(conversation) {
        doc.visit(node.id);
    }
}

/// What is looked at was taken back: the nearest that is left of its line is looked at instead.
fn off_hidden(model: &mut Model) {
    let Some(doc) = model.shared.doc() else { return };
    let gone = |id: crate::proto::NodeId| doc.node(id).is_some_and(|node| node.hidden);
    let view = &model.shared.view;
    let selected = view.selected.filter(|id| !gone(*id));
    let mut leaf = view.leaf;
    while let Some(node) = leaf.and_then(|id| doc.node(id)).filter(|node| node.hidden) {
        leaf = node.parent;
    }
    if leaf != view.leaf {
        leaf = leaf.map(|id| doc.leaf_below(id)).or_else(|| doc.default_leaf());
    }
    model.shared.view.leaf = leaf;
    model.shared.view.selected = selected;
}

fn downloaded(model: &mut Model, event: &Event) {
    model.shared.revisions.models += 1;
    for pane in [models::ID, chat::ID, table::ID, details::ID] {
        model.mark(pane);
    }
    let EventKind::Download(download) = &event.kind else { return };
    match (download.state, &download.model, &download.error) {
        (DownloadState::Done, Some(reference), _) => {
            model.say(format!("{} is here.", drawable(&reference.model)));
            // Whoever fetched a model to begin with wants to talk with it.
            if model.screen.has(chat::ID) && model.shared.doc().is_none_or(|doc| doc.nodes().is_empty()) {
                perform::intent(model, super::pane::Intent::Choose(reference.clone()));
                if model.overlays.is_empty() && model.typing.is_none() {
                    super::action::talk::write(model);
                }
            }
        }
        (DownloadState::Failed, _, Some(error)) => model.fail(error),
        _ => {}
    }
}

fn notice(model: &mut Model, event: &Event) {
    let now = model.now();
    match &event.kind {
        EventKind::Notice { level, error } => {
            let hints = error.hints.clone();
            let notice = super::notices::Notice { level: *level, text: error.message.clone(), hints, at: event.at };
            model.notices.put(notice, now.mono);
        }
        EventKind::Stopping { reason } => model.notices.say(Level::Warning, format!("The host ends: {reason}"), now),
        _ => {}
    }
    model.mark_status();
}

/// A command was carried out, or refused.
pub fn ack(model: &mut Model, tag: Tag, result: Result<Ack>) {
    let Some(waiting) = model.waiting.remove(&tag) else { return };
    match (waiting, result) {
        (Waiting::Sent { text, attached } | Waiting::Queued { text, attached, .. }, Err(error)) => {
            let empty = model.shared.composer.borrow().is_empty() && model.shared.attached.is_empty();
            if empty {
                action::talk::fill(model, &text);
                model.shared.attached.restore(attached);
                action::talk::draft_changed(model);
            }
            model.shared.view.awaited = None;
            model.fail(&error);
            model.mark_all();
        }
        (Waiting::Tools { node, results }, Err(error)) => {
            action::tools::refused(model, node, results);
            model.fail(&error);
        }
        (Waiting::Piece(chip), result) => action::attach::arrived(model, chip, result),
        (Waiting::OpenFile, Ok(Ack::Model(reference))) => perform::intent(model, super::pane::Intent::Choose(reference)),
        (Waiting::Undone { redo }, Ok(Ack::Undone(undone))) => action::keep::undone(model, redo, &undone),
        (Waiting::Go { said, conversation, node }, Ok(_)) => action::tree::go(model, said, conversation, node),
        (Waiting::Grafted { said, node, to, under }, Ok(_)) => action::graft::grafted(model, said, node, to, under),
        (Waiting::Stopped(start), Ok(_)) => action::fitting::start_anyway(model, start),
        (Waiting::Queued { node, .. }, Ok(_)) => action::queue::taken(model, node),
        (Waiting::Say(text), Ok(_)) => model.say(text),
        (_, Ok(_)) => {}
        (_, Err(error)) => {
            model.shared.view.awaited = None;
            model.fail(&error);
        }
    }
}

/// A question was answered.
pub fn reply(model: &mut Model, tag: Tag, result: Result<Reply>) {
    let Some(waiting) = model.waiting.remove(&tag) else { return };
    if let Waiting::Pane(id, about) = waiting {
        let outcome = model.with_pane(id, |pane, cx| pane.reply(about, result, cx)).unwrap_or_default();
        model.mark(id);
        perform::outcome(model, outcome);
        return;
    }
    if let Waiting::Overlay = waiting {
        // Another may lie over it meanwhile, or it is closed: then nobody wants the answer any more.
        if model.overlays.iter_mut().rev().any(|overlay| overlay.reply(&result)) {
            model.mark_all();
        }
        return;
    }
    match (waiting, result) {
        (Waiting::Open { conversation, leaf, select }, Ok(Reply::Opened(opened))) => {
            if model.shared.view.conversation == Some(conversation) {
                action::conversations::opened(model, *opened, leaf, select);
            }
        }
        (Waiting::Open { conversation, .. }, Err(error)) => {
            if model.shared.view.conversation == Some(conversation) && model.shared.doc().is_none() {
                action::conversations::fresh(model);
            }
            model.fail(&error);
        }
        (Waiting::Contents(conversation), Ok(Reply::Contents(contents))) => {
            if let Some(doc) = model.shared.replica.docs.get_mut(&conversation) {
                for (node, content) in contents {
                    // What is being written may have grown since the host answered.
                    let known = doc.content(node).is_some();
                    if !known {
                        doc.set_content(node, content);
                    }
                }
            }
            model.mark_chat();
            let chat = model.with_pane(chat::ID, |pane, cx| pane.contents(cx));
            perform::outcome(model, chat.unwrap_or_default());
            action::find::loaded(model);
        }
        (Waiting::Fetch(file), Ok(Reply::Blob { total, data })) => action::files::arrived(model, *file, total, &data),
        (Waiting::Expand(chip), Ok(Reply::Blob { total, data })) => action::attach::expanded(model, chip, total, data),
        (Waiting::Request, Ok(Reply::Request(preview))) => {
            let page = request_page(&preview);
            model.push_overlay(Box::new(page));
        }
        (Waiting::Uses, Ok(Reply::Uses(uses))) => {
            model.shared.replica.uses = uses.into_iter().collect();
            model.shared.revisions.uses += 1;
            [models::ID, table::ID, details::ID].into_iter().for_each(|pane| model.mark(pane));
        }
        (Waiting::Inspect, Ok(Reply::Inspection(inspection))) => {
            let page = super::overlay::inspect::page(&inspection);
            model.push_overlay(Box::new(page));
        }
        (Waiting::Fit(start), result @ (Ok(Reply::Fits(_)) | Err(_))) => {
            let fits = result.map(|reply| if let Reply::Fits(fits) = reply { fits } else { Vec::new() });
            action::fitting::answered(model, start, fits);
        }
        (Waiting::Search(text), result) => {
            let hits = result.map(|reply| if let Reply::Hits(hits) = reply { hits } else { Vec::new() });
            model.shared.search.borrow_mut().take(&text, hits);
            model.mark_all();
        }
        (Waiting::Reach(of), Ok(Reply::Hits(hits))) => action::find::reached(model, of, hits.into_iter().map(|hit| hit.node).collect()),
        (Waiting::Reach(of), Err(error)) => {
            action::find::reached(model, of, Vec::new());
            model.fail(&error);
        }
        (_, Ok(_)) => {}
        (_, Err(error)) => model.fail(&error),
    }
}

/// Exactly what was or would be sent.
fn request_page(preview: &RequestPreview) -> Page {
    let mut text: Vec<(String, Role)> = Vec::new();
    for note in &preview.notes {
        text.push((note.clone(), Role::Warning));
    }
    if !preview.notes.is_empty() {
        text.push((String::new(), Role::Text));
    }
    text.push((format!("{} {}", preview.method, preview.url), Role::Accent));
    text.push((preview.body.clone(), Role::CodeText));
    if let Some(curl) = &preview.curl {
        text.push((String::new(), Role::Text));
        text.push(("As a command:".to_owned(), Role::Quiet));
        text.push((curl.clone(), Role::CodeText));
    }
    let copy = preview.curl.clone().unwrap_or_else(|| preview.body.clone());
    Page::new("Request", text).copies(copy, if preview.curl.is_some() { "the curl command" } else { "the prompt" })
}
