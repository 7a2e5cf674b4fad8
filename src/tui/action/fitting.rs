//! Starting models: what is big, or many, is looked at first; what plainly fits just starts.
//!
//! Invariant: nothing is stopped to make room unless a person chooses that, and "start anyway" is always offered.

use crate::core::fit;
use crate::error::Result;
use crate::proto::{Command, Fit, JobAct, ModelRef, ModelState, Parameters, Query, Verdict};
use crate::tui::listing::shown;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::page::Page;
use crate::tui::pane::{Call, Intent};
use crate::tui::text::width::pad;
use crate::tui::theme::Role;

/// What is smaller loads in a moment and fits anywhere that arbour runs.
const BIG: u64 = 1_000_000_000;

/// What is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub models: Vec<ModelRef>,
    pub parameters: Parameters,
    /// Stopped before, one by one.
    pub stop: Vec<ModelRef>,
    /// Only shown: nothing starts by itself.
    pub look: bool,
}

/// `s`: starts them, after a look where that is worth one.
pub fn start(model: &mut Model, call: &Call<'_>) {
    let Some(mut models) = super::models::subjects(model, call) else { return };
    if model.refuse_offline() {
        return;
    }
    let loaded = |model: &Model, reference: &ModelRef| model.shared.replica.model(reference).is_some_and(|m| m.state == ModelState::Loaded);
    if models.iter().all(|reference| loaded(model, reference)) {
        let text = match models.as_slice() {
            [one] => format!("{} is loaded already.", shown(one)),
            many => format!("All {} are loaded already.", many.len()),
        };
        return model.say(text);
    }
    models.retain(|reference| !loaded(model, reference));
    let big = |reference: &ModelRef| model.shared.replica.model(reference).and_then(|m| m.size_bytes).is_some_and(|bytes| bytes >= BIG);
    let look = models.len() > 1 || models.iter().any(big);
    let parameters = parameters(model, &models);
    let start = Start { models, parameters, stop: Vec::new(), look: false };
    super::models::acted(model);
    if look { ask(model, start) } else { start_anyway(model, start) }
}

/// `:fit`: whether they fit, and why.
pub fn show(model: &mut Model, call: &Call<'_>) {
    let Some(models) = super::models::subjects(model, call) else { return };
    if model.refuse_offline() {
        return;
    }
    let parameters = parameters(model, &models);
    ask(model, Start { models, parameters, stop: Vec::new(), look: true });
}

fn ask(model: &mut Model, start: Start) {
    let query = Query::Fit { models: start.models.clone(), parameters: start.parameters.clone() };
    model.ask(query, Waiting::Fit(start));
}

/// Load settings of the conversation hold for the model that answers in it.
fn parameters(model: &Model, models: &[ModelRef]) -> Parameters {
    let mine = matches!(models, [one] if model.shared.model().as_ref() == Some(one));
    if mine { model.shared.settings().load() } else { Parameters::default() }
}

/// The host told whether it fits, or cannot tell.
pub fn answered(model: &mut Model, start: Start, fits: Result<Vec<Fit>>) {
    match fits {
        Ok(fits) if start.look => model.push_overlay(Box::new(page(&fits))),
        Err(error) if start.look => model.fail(&error),
        Ok(fits) if worrying(&fits) => {
            let chooser = chooser(start, &fits);
            model.push_overlay(Box::new(chooser));
        }
        // What cannot be told is no reason not to start.
        Ok(_) | Err(_) => start_anyway(model, start),
    }
}

/// Whether somebody should look before it starts.
fn worrying(fits: &[Fit]) -> bool {
    fits.iter().any(|fit| matches!(fit.verdict, Verdict::Tight | Verdict::Full | Verdict::Never))
}

/// Starts them, whatever was said.
pub fn start_anyway(model: &mut Model, mut start: Start) {
    if model.refuse_offline() {
        return;
    }
    if !start.stop.is_empty() {
        let first = start.stop.remove(0);
        model.say(format!("Stopping {}…", shown(&first)));
        return model.post_for(Command::StopModel { model: first }, Waiting::Stopped(start));
    }
    match start.models.as_slice() {
        [] => {}
        [one] => {
            let name = shown(one);
            let command = Command::StartModel { model: one.clone(), parameters: start.parameters };
            model.post_for(command, Waiting::Say(format!("{name} is loaded.")));
            model.say(format!("Loading {name}…"));
        }
        _ => super::jobs::begin(model, JobAct::Start, start.models, start.parameters),
    }
}

/// How loud a verdict is.
fn role(verdict: Verdict) -> Role {
    match verdict {
        Verdict::Fits => Role::Ok,
        Verdict::Tight | Verdict::Full => Role::Warning,
        Verdict::Never => Role::Error,
        Verdict::Unknown => Role::Quiet,
    }
}

/// A fit as lines of a label and a text, the verdict first.
fn lines(fit: &Fit) -> Vec<(String, Role)> {
    let rows = fit::describe(fit);
    let (last, parts) = rows.split_last().map_or((None, rows.as_slice()), |(last, parts)| (Some(last), parts));
    let mut out: Vec<(String, Role)> = last.map(|(_, verdict)| (verdict.clone(), role(fit.verdict))).into_iter().collect();
    out.extend(parts.iter().map(|(label, text)| (format!("  {} {text}", pad(label, 13)), Role::Text)));
    out
}

fn chooser(start: Start, fits: &[Fit]) -> Choose {
    // Of many the sum counts; each was reckoned beside the ones before it.
    let whole = fit::together(fits).filter(|_| fits.len() > 1);
    let mut intro: Vec<String> = Vec::new();
    let title = match (&whole, fits) {
        (None, [one]) => format!("Does {} fit?", shown(&one.model)),
        _ => format!("Do {} models fit?", fits.len()),
    };
    let told = whole.as_ref().or(fits.first());
    intro.extend(told.map(lines).into_iter().flatten().map(|(line, _)| line));
    if whole.is_some() {
        let worse: Vec<String> = fits.iter().filter(|fit| fit.verdict != Verdict::Fits).map(|fit| shown(&fit.model)).collect();
        let more = if worse.len() > 4 { format!(" and {} more", worse.len() - 4) } else { String::new() };
        intro.push(format!("From here on it is tight: {}{more}.", worse.into_iter().take(4).collect::<Vec<_>>().join(", ")));
    }
    let stop = told.map(|fit| fit.stop.clone()).unwrap_or_default();
    let mut items = Vec::new();
    if !stop.is_empty() {
        let names: Vec<String> = stop.iter().map(shown).collect();
        let first = Start { stop, ..start.clone() };
        items
            .push(Item::new(format!("stop {} first, then start", names.join(" and ")), "makes room", move || Intent::Start(first.clone())));
    }
    items.push(Item::new("start anyway", "what is loaded stays", move || Intent::Start(start.clone())));
    items.push(Item::new("do not start", "", || Intent::Say(crate::proto::Level::Info, "Nothing was started.".to_owned())));
    let sentences: Vec<&str> = intro.iter().map(String::as_str).collect();
    Choose::new(title, items, 0).intro(&sentences)
}

/// All of it, to read.
fn page(fits: &[Fit]) -> Page {
    let mut text: Vec<(String, Role)> = Vec::new();
    for fit in fits {
        text.push((shown(&fit.model), Role::Strong));
        text.extend(lines(fit));
        text.push((String::new(), Role::Text));
    }
    if let Some(whole) = fit::together(fits).filter(|_| fits.len() > 1) {
        text.push(("all together".to_owned(), Role::Strong));
        text.extend(lines(&whole));
    }
    Page::new("Does it fit?", text)
}
