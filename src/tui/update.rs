//! Routing: a message in, the model changed, commands out. Pure; what things mean lies in `action/`, `keys`, `arrive`.

use super::errand::Found;
use super::model::Model;
use super::msg::{Cmd, Leave, Msg, Now, Purpose};
use super::pane::{Cx, Subject, chat, composer, details, models, table};
use super::shared::{Link, Writing};
use super::{action, arrive, keys, overlay, perform};
use crate::proto::{Command, Level};

/// A path that was gone to by hand and is looked at for so long is remembered.
pub const VISITED: std::time::Duration = std::time::Duration::from_secs(2);

/// Takes a message in.
pub fn update(model: &mut Model, msg: Msg, now: Now) -> Vec<Cmd> {
    model.shared.now = now;
    match msg {
        Msg::Key(key) => keys::key(model, key),
        Msg::Paste(text) => keys::paste(model, &text),
        Msg::Resize { width, height } => {
            model.size = (width, height);
            model.mark_all();
        }
        Msg::Focus(awake) => {
            model.shared.awake = awake;
            // What stood still while nobody looked is made up for.
            if awake {
                model.mark_all();
            }
        }
        Msg::Tick => tick(model),
        Msg::Attached(snapshot) => arrive::attached(model, *snapshot),
        Msg::Unreachable(error) => {
            model.shared.link = Link::Gone(error.clone());
            model.fail(&error);
            model.mark_all();
        }
        Msg::Event(event) => arrive::event(model, &event),
        Msg::Ack { tag, result } => arrive::ack(model, tag, result),
        Msg::Reply { tag, result } => arrive::reply(model, tag, result),
        Msg::Lost(error) => {
            model.notices.say(Level::Warning, error.message.clone(), now);
            model.shared.link = Link::Lost(error);
            model.watching = None;
            model.mark_all();
        }
        Msg::Restored(snapshot) => arrive::restored(model, *snapshot),
        Msg::Gone(error) => {
            model.fail(&error);
            model.shared.link = Link::Gone(error);
            model.watching = None;
            model.mark_all();
        }
        Msg::Edited { purpose, result } => edited(model, purpose, result),
        Msg::Copied(report) => {
            let level = if report.may_have_worked() { Level::Info } else { Level::Error };
            model.notices.say(level, report.sentence(), now);
            model.mark_status();
        }
        Msg::Saved(Ok(path)) => model.say(format!("Saved as {}.", super::text::width::drawable(&path.display().to_string()))),
        Msg::Presets(result) => action::settings::imported(model, result),
        Msg::Saved(Err(error)) => model.fail(&error),
        Msg::Exists { path, data, bytes, changed } => model.push_overlay(overlay::codes::over(&model.cx(), &path, data, bytes, changed)),
        Msg::Piped(result) => {
            // Given up meanwhile: nobody wants to know.
            if model.overlays.iter_mut().rev().any(|overlay| overlay.piped(&result)) {
                model.mark_all();
            }
        }
        Msg::EditedFile { path, result } => {
            model.cmds.push(Cmd::Repaint);
            model.mark_all();
            match result {
                Ok(()) => action::templates::edited(model, path.display().to_string()),
                Err(error) => model.fail(&error),
            }
        }
        Msg::Clipboard(result) => action::attach::clipboard(model, result),
        Msg::Found(found) => match found {
            Found::Templates(then, library) => action::templates::read(model, then, &library),
            Found::Paths { typed, back, names } => action::attach::complete(model, &typed, back, names),
            Found::Attached { why, files, folders } => action::attach::read(model, why, files, folders),
            Found::Text(result) => action::attach::text(model, result),
        },
        Msg::Coloured => model.mark(chat::ID),
        Msg::Resumed => {
            model.cmds.push(Cmd::Repaint);
            model.mark_all();
        }
        Msg::Terminated => {
            action::talk::save_draft(model);
            model.cmds.push(Cmd::Quit(Leave::Detach));
        }
    }
    settle(model);
    std::mem::take(&mut model.cmds)
}

/// After a frame: what panes found missing while they were drawn.
pub fn after_view(model: &mut Model) -> Vec<Cmd> {
    let shown: Vec<_> = model.placed.panes.iter().map(|place| place.id).collect();
    for id in shown {
        let wants = model.with_pane(id, |pane, cx| pane.wants(cx)).unwrap_or_default();
        for intent in wants {
            perform::intent(model, intent);
        }
    }
    let cx = Cx { shared: &model.shared, focused: true };
    let wants = model.overlays.last_mut().map(|overlay| overlay.wants(&cx)).unwrap_or_default();
    wants.into_iter().for_each(|intent| perform::intent(model, intent));
    std::mem::take(&mut model.cmds)
}

/// What follows from the new state, whatever brought it about.
fn settle(model: &mut Model) {
    // The first screen has keys of its own, so it has the focus.
    if model.shared.is_welcome() && model.shared.focus == composer::ID {
        model.focus(chat::ID);
    }
    model.place();
    if model.entered != model.screen.id {
        action::screens::entered(model);
    }
    let looked_at = match model.pane(table::ID).map(|pane| pane.subject(&model.cx())) {
        Some(Some(Subject::Model(reference))) => Some(reference),
        _ => None,
    };
    if looked_at != model.shared.looked_at {
        model.shared.looked_at = looked_at;
        model.mark(details::ID);
    }
    let wanted = (model.wants_metrics(), model.shared.awake);
    if Some(wanted) != model.watching && model.shared.is_up() {
        model.watching = Some(wanted);
        let (metrics, awake) = wanted;
        model.post(Command::Watch { metrics, awake });
    }
}

/// Some deadline is over.
fn tick(model: &mut Model) {
    let now = model.now().mono;
    let instant = model.instant();
    if model.burst.due(instant) {
        super::keys::send(model);
    }
    if model.notices.expire(now) {
        model.mark_status();
    }
    if let Some(pending) = &mut model.pending
        && !pending.shown
        && pending.since + super::overlay::which_key::DELAY <= now
    {
        pending.shown = true;
        model.mark_all();
    }
    if model.visiting.is_some_and(|(.., at)| at + VISITED <= now) {
        action::tree::visited(model);
    }
    if model.draft.changed.is_some_and(|at| at + std::time::Duration::from_secs(1) <= now) {
        action::talk::save_draft(model);
    }
    // Countdowns of backends that are asked again.
    if model.shared.replica.backends.iter().any(|backend| backend.retry_at.is_some()) {
        [chat::ID, models::ID].into_iter().for_each(|pane| model.mark(pane));
    }
    // Phases that count seconds.
    if model.shared.running().is_some() {
        model.mark(chat::ID);
        model.mark_status();
    }
}

fn edited(model: &mut Model, purpose: Purpose, result: crate::error::Result<String>) {
    model.cmds.push(Cmd::Repaint);
    model.mark_all();
    match (purpose, result) {
        (_, Err(error)) => model.fail(&error),
        (Purpose::Setting, Ok(text)) => drop(super::keys::to_overlay(model, |overlay, cx| overlay.edited(&text, cx))),
        // No composer holds it; what was typed before stays beside it.
        (Purpose::Draft, Ok(text)) if action::attach::is_too_long(&text) => drop(action::attach::paste(model, &text)),
        (Purpose::Draft, Ok(text)) => {
            let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
            let replaced = model.shared.composer.borrow_mut().replace_text(&text);
            if let Err(error) = replaced {
                model.fail(&error);
            }
            action::talk::draft_changed(model);
            if matches!(model.shared.view.writing, Writing::Message) && model.shared.focus != composer::ID {
                model.focus(composer::ID);
            }
        }
        (Purpose::Code, Ok(text)) => model.cmds.push(Cmd::Copy { text, what: "the edited code block".to_owned() }),
    }
}
