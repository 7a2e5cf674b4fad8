//! From a key to an action: the mode decides what it means, the innermost thing that is open gets it first.
//!
//! Owns: routing of keys, pastes and invocations. Refuses: what actions do (`action/`). Invariant: a key that means nothing says so; text is
//! typed only where text is typed.

use crossterm::event::{KeyEvent, KeyEventKind};

use super::action::{self, Action, Invocation, Scope, Takes};
use super::composer::burst::Enter;
use super::keymap::key::Code;
use super::keymap::{Key, Resolved, show_keys};
use super::model::{Model, Pending};
use super::overlay::prompt::{Prompt, Question};
use super::pane::{Call, Cx, Outcome, composer};
use super::perform;

/// A key was pressed.
pub fn key(model: &mut Model, event: KeyEvent) {
    if event.kind == KeyEventKind::Release {
        return;
    }
    let Some(key) = Key::from_event(&event) else { return };
    if model.notices.dismiss() {
        model.mark_status();
    }
    if take_argument(model, key) {
        return;
    }
    let scope = model.scope();
    if scope == Scope::Insert && burst(model, key) {
        return;
    }
    let had_pending = model.pending.take();
    if had_pending.as_ref().is_some_and(|p| p.shown) {
        model.mark_all();
    }
    let resolved = model.resolver.press(&model.shared.keymap, key, scope);
    if model.resolver.pending().is_some() || had_pending.is_some() {
        model.mark_status();
    }
    match resolved {
        Resolved::Pending { keys, next, .. } => {
            // Once it is open, it stays open through the sequence.
            let shown = had_pending.is_some_and(|p| p.shown) && !next.is_empty();
            if shown {
                model.mark_all();
            }
            model.pending = Some(Pending { keys, next, since: model.now().mono, shown });
        }
        Resolved::Act { invocation, count, erase } => {
            if erase > 0 {
                model.shared.composer.borrow_mut().erase(erase);
                action::talk::draft_changed(model);
            }
            invoke(model, invocation, count);
        }
        Resolved::Insert(c) => typed(model, c.encode_utf8(&mut [0; 4])),
        Resolved::Unbound(keys) => unbound(model, &keys, key, scope),
        Resolved::Cancelled => {}
    }
}

/// Tells pastes that come as keys from typing. `true` when the key is dealt with.
fn burst(model: &mut Model, key: Key) -> bool {
    let enter = key == Key::plain(Code::Enter);
    let at = model.instant();
    if model.burst.due(at) {
        send(model);
    }
    if key.typed().is_none() && !enter {
        if model.burst.holds() {
            // Nobody pastes function keys: the Enter before it was meant.
            send(model);
        }
        model.burst.other();
        return false;
    }
    if (model.burst.holds() || !enter) && model.burst.character(at) {
        newline(model);
    }
    if !enter {
        return false;
    }
    match model.burst.enter(at) {
        Enter::Typed => false,
        Enter::Held => true,
        Enter::Pasted => {
            newline(model);
            true
        }
    }
}

fn newline(model: &mut Model) {
    model.shared.composer.borrow_mut().newline();
    action::talk::draft_changed(model);
}

/// An Enter that was held back turned out to be a person's.
pub fn send(model: &mut Model) {
    model.burst.other();
    let enter = Key::plain(Code::Enter);
    if let Resolved::Act { invocation, count, .. } = model.resolver.press(&model.shared.keymap, enter, Scope::Insert) {
        invoke(model, invocation, count);
    }
}

/// An action waits for a letter (`m`), or the composer for a character (`f`, `r`): it goes there, past the keymap.
fn take_argument(model: &mut Model, key: Key) -> bool {
    if let Some(invocation) = model.letter.take() {
        letter(model, invocation, key);
        return true;
    }
    let waits = model.scope_is_composer() && model.shared.composer.borrow().awaits_char();
    if !waits {
        return false;
    }
    match key.typed() {
        Some(c) => {
            let outcome = model.shared.composer.borrow_mut().type_char(c);
            action::talk::edited(model, outcome);
        }
        None => {
            model.shared.composer.borrow_mut().cancel_pending();
        }
    }
    model.mark(composer::ID);
    model.mark_status();
    true
}

/// The letter that an action waited for; any key that types nothing gives it up.
fn letter(model: &mut Model, mut invocation: Invocation, key: Key) {
    if model.pending.take().is_some_and(|pending| pending.shown) {
        model.mark_all();
    }
    model.mark_status();
    if let Some(c) = key.typed() {
        invocation.args.push(c.to_string());
        invoke(model, invocation, None);
    }
}

fn unbound(model: &mut Model, keys: &[Key], last: Key, scope: Scope) {
    // Without modes, a character that is typed anywhere is meant for the composer.
    let pane = model.typing.is_none() && model.overlays.is_empty() && scope != Scope::Insert;
    if let Some(c) = last.typed().filter(|_| pane && !model.shared.keymap.modal() && keys.len() == 1) {
        action::talk::write(model);
        typed(model, c.encode_utf8(&mut [0; 4]));
        return;
    }
    if scope.types() && keys.len() == 1 && last.typed().is_none() {
        // A function key in a text says nothing that is worth a sentence.
        return;
    }
    let hint = |action| model.shared.key(Scope::Anywhere, action);
    let text =
        format!("{} does nothing here · {} writes · {} helps · :keymap plain", show_keys(keys), hint(Action::Write), hint(Action::Help));
    model.say(text);
}

/// Text was typed where text is typed.
fn typed(model: &mut Model, text: &str) {
    if model.typing.is_some() {
        action::find::typed(model, text);
        return;
    }
    if !model.overlays.is_empty() {
        to_overlay(model, |overlay, cx| overlay.typed(text, cx));
        return;
    }
    for c in text.chars() {
        let outcome = model.shared.composer.borrow_mut().type_char(c);
        action::talk::edited(model, outcome);
    }
    if text.ends_with(char::is_whitespace) {
        action::attach::look(model);
    }
}

/// Something was pasted: it goes where text is typed, else into the composer.
pub fn paste(model: &mut Model, text: &str) {
    model.resolver.reset();
    model.pending = None;
    if model.typing.is_some() || !model.overlays.is_empty() {
        if model.scope().types() {
            typed(model, text);
        }
        return;
    }
    if model.shared.is_welcome() {
        return;
    }
    if !model.scope_is_composer() {
        action::talk::write(model);
    }
    if action::attach::paste(model, text) {
        return;
    }
    let outcome = model.shared.composer.borrow_mut().paste(text);
    action::talk::edited(model, outcome);
    action::attach::look(model);
}

/// Does something with the overlay on top.
pub fn to_overlay(model: &mut Model, act: impl FnOnce(&mut dyn super::overlay::Overlay, &Cx<'_>) -> Outcome) -> bool {
    let Some(mut overlay) = model.overlays.pop() else { return false };
    let outcome = act(overlay.as_mut(), &Cx { shared: &model.shared, focused: true });
    let done = outcome.done;
    if !outcome.close {
        model.overlays.push(overlay);
    }
    if done {
        model.mark_all();
    }
    perform::outcome(model, outcome);
    done
}

/// Runs an action: what is open gets it first, then the noun that it belongs to.
pub fn invoke(model: &mut Model, invocation: Invocation, count: Option<u32>) {
    if invocation.action != Action::Stop {
        model.leaving = false;
    }
    let call = Call { action: invocation.action, args: &invocation.args, count };
    if model.typing.is_some() && action::find::line(model, &call) {
        return;
    }
    if !model.overlays.is_empty() {
        let handled = match invocation.action {
            Action::Edit(edit) => to_overlay(model, |overlay, cx| overlay.edit(edit, call.times(), cx)),
            Action::Close | Action::Write | Action::Stop if model.overlays.last().is_some_and(|o| closes(o.scope(), invocation.action)) => {
                if model.overlays.last_mut().is_some_and(|overlay| overlay.escape()) {
                    model.mark_all()
                } else {
                    close_overlay(model)
                }
                true
            }
            _ => to_overlay(model, |overlay, cx| overlay.act(&call, cx)),
        };
        if handled || !passes_overlays(invocation.action) {
            return;
        }
    }
    if let Some(missing) = invocation.missing() {
        match missing.takes {
            Takes::Letter => action::keep::await_letter(model, invocation),
            _ => ask_for(model, invocation, missing.name),
        }
        return;
    }
    action::run::run(model, &call);
}

/// Whether an action closes an overlay of this sort instead of doing what it does elsewhere.
fn closes(scope: Scope, action: Action) -> bool {
    match action {
        Action::Close => true,
        Action::Stop => matches!(scope, Scope::Prompt | Scope::Hits | Scope::Confirm),
        _ => false,
    }
}

/// What may be done although an overlay is open.
fn passes_overlays(action: Action) -> bool {
    matches!(action, Action::Stop | Action::Suspend | Action::Redraw | Action::Palette | Action::Help | Action::Quit | Action::CommandLine)
}

/// Closes the overlay on top; what it only tried is taken back.
pub fn close_overlay(model: &mut Model) {
    if let Some(mut overlay) = model.overlays.pop() {
        let outcome = overlay.closed();
        perform::outcome(model, outcome);
        model.mark_all();
    }
}

/// Asks for the arguments that an action cannot do without.
fn ask_for(model: &mut Model, invocation: Invocation, _first: &str) {
    let Some(info) = invocation.action.info() else { return };
    let questions = info
        .arguments
        .iter()
        .skip(invocation.args.len())
        .map(|argument| Question {
            label: capital(&argument.name.replace('_', " ")),
            hint: action::possible::argument_hint(argument),
            text: String::new(),
            free: !argument.required,
        })
        .collect();
    model.push_overlay(Prompt::boxed(info.what, invocation, questions));
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
