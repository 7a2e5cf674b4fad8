//! Starting models: what is big, or many, is looked at first; what plainly fits just starts.
//!
//! Invariant: nothing is stopped to make room unless a person chooses that, and "start anyway" is always offered.

use crate::error::Result;
use crate::proto::{Command, Fit, JobAct, ModelRef, ModelState, Parameters, PartKind, Query, Verdict};
use crate::tui::format;
use crate::tui::listing::shown;
use crate::tui::model::{Model, Waiting};
use crate::tui::overlay::choose::{Choose, Item};
use crate::tui::overlay::page::Page;
use crate::tui::pane::{Call, Intent};
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
    if mine { super::models::load_settings(model.shared.parameters()) } else { Parameters::default() }
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
    fits.iter().any(|fit| matches!(fit.verdict, Verdict::Tight | Verdict::Full | Verdict::Never)) || together(fits)
}

/// Whether they fit one by one, but not all together.
fn together(fits: &[Fit]) -> bool {
    let all = |part: fn(&crate::proto::Estimate) -> u64| fits.iter().filter_map(|fit| fit.estimate.as_ref().map(part)).sum::<u64>();
    let over = |needed: u64, free: Option<u64>| free.is_some_and(|free| needed > free);
    let first = fits.first();
    fits.len() > 1 && (over(all(|e| e.memory), first.and_then(|f| f.free_memory)) || over(all(|e| e.gpu), first.and_then(|f| f.free_gpu)))
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
        _ => super::jobs::begin(model, JobAct::Start, start.models),
    }
}

/// What a verdict says, and how loud.
#[must_use]
pub fn verdict(verdict: Verdict) -> (&'static str, Role) {
    match verdict {
        Verdict::Fits => ("fits", Role::Ok),
        Verdict::Tight => ("only just fits", Role::Warning),
        Verdict::Full => ("does not fit beside what is loaded", Role::Warning),
        Verdict::Never => ("does not fit on this machine", Role::Error),
        Verdict::Unknown => ("nobody can tell whether it fits", Role::Quiet),
    }
}

/// What a part of an estimate is called.
#[must_use]
pub fn part(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Weights => "weights",
        PartKind::KvCache => "KV cache",
        PartKind::Compute => "compute",
        PartKind::Overhead => "overhead",
        PartKind::Projector => "images",
    }
}

/// `4.7 G`, or `1.2 G + 3.5 G on GPU`.
fn amount(memory: u64, gpu: u64) -> String {
    match (memory, gpu) {
        (memory, 0) => format::bytes(memory),
        (0, gpu) => format!("{} on GPU", format::bytes(gpu)),
        (memory, gpu) => format!("{} + {} on GPU", format::bytes(memory), format::bytes(gpu)),
    }
}

/// What is free, where that is known.
fn free(fit: &Fit) -> String {
    let of = |free: Option<u64>, total: Option<u64>, what: &str| {
        let total = total.map(|n| format!(" of {}", format::bytes(n))).unwrap_or_default();
        free.map(|free| format!("{}{total} {what}", format::bytes(free)))
    };
    let parts: Vec<String> =
        [of(fit.free_memory, fit.total_memory, "RAM"), of(fit.free_gpu, fit.total_gpu, "VRAM")].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("free: {}", parts.join(", ")) }
}

/// In a few lines: the verdict, the parts, what is free.
fn short(fit: &Fit) -> Vec<String> {
    let mut out = vec![format!("{} {}.", shown(&fit.model), verdict(fit.verdict).0)];
    match (&fit.estimate, &fit.unknown) {
        (Some(estimate), _) => {
            let parts: Vec<String> = estimate.parts.iter().map(|p| format!("{} {}", part(p.kind), amount(p.memory, p.gpu))).collect();
            let sure = if estimate.margin > 0.0 { format!(" ± {:.0} %", estimate.margin * 100.0) } else { String::new() };
            out.push(format!("It takes ~{}{sure}: {}.", amount(estimate.memory, estimate.gpu), parts.join(", ")));
        }
        (None, Some(why)) => out.push(why.clone()),
        (None, None) => {}
    }
    if let Some(real) = fit.real {
        out.push(format!("When it was loaded so, it took {}.", format::bytes(real.value.max(0.0) as u64)));
    }
    out
}

fn chooser(start: Start, fits: &[Fit]) -> Choose {
    let mut intro: Vec<String> = Vec::new();
    // Of many only those that are a worry; the rest is a number.
    let worrying: Vec<&Fit> = fits.iter().filter(|fit| fits.len() == 1 || fit.verdict != Verdict::Fits).collect();
    for fit in worrying.iter().take(4) {
        intro.extend(short(fit));
    }
    if worrying.len() > 4 {
        intro.push(format!("And {} more that may not fit.", worrying.len() - 4));
    }
    if together(fits) {
        let memory: u64 = fits.iter().filter_map(|fit| fit.estimate.as_ref().map(|e| e.memory)).sum();
        let gpu: u64 = fits.iter().filter_map(|fit| fit.estimate.as_ref().map(|e| e.gpu)).sum();
        intro.push(format!("All {} together take ~{}.", fits.len(), amount(memory, gpu)));
    }
    if let Some(line) = fits.first().map(free).filter(|line| !line.is_empty()) {
        intro.push(line);
    }
    let mut stop: Vec<ModelRef> = Vec::new();
    for model in fits.iter().flat_map(|fit| &fit.stop) {
        if !stop.contains(model) {
            stop.push(model.clone());
        }
    }
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
    Choose::new(if fits.len() == 1 { "Does it fit?" } else { "Do they fit?" }, items, 0).intro(&sentences)
}

/// All of it, to read.
fn page(fits: &[Fit]) -> Page {
    let mut text: Vec<(String, Role)> = Vec::new();
    for fit in fits {
        let (word, role) = verdict(fit.verdict);
        text.push((format!("{} {word}", shown(&fit.model)), role));
        if let Some(estimate) = &fit.estimate {
            for p in &estimate.parts {
                text.push((format!("  {}  {}", crate::tui::text::width::pad(part(p.kind), 9), amount(p.memory, p.gpu)), Role::Text));
                if !p.how.is_empty() {
                    text.push((format!("             {}", p.how), Role::Quiet));
                }
            }
            let sure = if estimate.margin > 0.0 { format!(", within {:.0} %", estimate.margin * 100.0) } else { String::new() };
            text.push((format!("  in all    ~{}{sure}", amount(estimate.memory, estimate.gpu)), Role::Strong));
            text.extend(estimate.assumed.iter().map(|line| (format!("  {line}"), Role::Quiet)));
        }
        text.extend(fit.unknown.iter().map(|why| (format!("  {why}"), Role::Quiet)));
        if let Some(real) = fit.real {
            text.push((format!("  really    {}", format::bytes(real.value.max(0.0) as u64)), Role::Text));
        }
        let line = free(fit);
        if !line.is_empty() {
            text.push((format!("  {line}"), Role::Quiet));
        }
        if !fit.stop.is_empty() {
            let names: Vec<String> = fit.stop.iter().map(shown).collect();
            text.push((format!("  would need room of {}", names.join(", ")), Role::Warning));
        }
        text.push((String::new(), Role::Text));
    }
    Page::new("Does it fit?", text)
}
