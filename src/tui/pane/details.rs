//! All that is known of the model under the table's cursor: facts, what you keep about it, what its runs say, and, while it is loaded,
//! what it costs to run, with the recent past.
//!
//! Owns: the series of that one model. Refuses: sampling (the host does, while somebody watches). Invariant: what is not known is `–`
//! or not there; an estimate never stands without its mark.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Call, Cx, Intent, Outcome, Pane, PaneInfo, Subject, Title, tile};
use crate::core::filter::state_word;
use crate::error::Result;
use crate::proto::{Event, EventKind, Figure, Fit, Instance, ModelInfo, ModelRef, ModelState, Parameters, Query, Reply, UnixMs};
use crate::tui::action::{Action, Scope};
use crate::tui::format;
use crate::tui::layout::Slot;
use crate::tui::listing::{self, instance};
use crate::tui::output::Cursor;
use crate::tui::paint::{Row, wrap};
use crate::tui::shared::model_state;
use crate::tui::spark::{COLUMN, Series};
use crate::tui::text::width::{drawable, truncate, width};
use crate::tui::theme::Role;

pub const ID: &str = "details";
/// How much of the past is asked for: what fits the widest line.
const PAST: UnixMs = 15 * 60 * 1000;
/// What is drawn with its past, by the names of the host's series, and what each is called here.
const DRAWN: [(&str, &str); 4] = [("memory", "ram"), ("gpu_memory", "vram"), ("context_used", "ctx"), ("cpu", "cpu")];
/// Columns of the names at the left.
const NAMES: u16 = 10;

static INFO: PaneInfo = PaneInfo { tile: tile(ID, Slot::Aside, 4, 2), title: "Details", tab: "Details", scope: Scope::Models };

#[must_use]
pub fn pane() -> Box<dyn Pane> {
    Box::new(Details::default())
}

#[derive(Default)]
struct Details {
    /// Whose series these are.
    model: Option<ModelRef>,
    series: BTreeMap<&'static str, Series>,
    /// Pasts that are still to be asked for.
    missing: Vec<&'static str>,
    /// What is asked for now, and of which model.
    asked: Option<(ModelRef, Asked)>,
    /// What it was estimated to take, once it is loaded; `Some(None)`: nobody can tell.
    fit: Option<Option<Fit>>,
    top: usize,
    height: usize,
    rows: usize,
}

/// A question under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Past(&'static str),
    Fit,
}

/// A line of the pane.
enum Line {
    Text { name: String, text: String, role: Role },
    Series(&'static str, &'static str),
    Gap,
}

fn line(name: &str, text: impl Into<String>, role: Role) -> Line {
    Line::Text { name: name.to_owned(), text: text.into(), role }
}

fn value(instance: &Instance, name: &str) -> Option<f64> {
    match name {
        "memory" => instance.memory.map(|figure| figure.value),
        "gpu_memory" => instance.gpu_memory.map(|figure| figure.value),
        "context_used" => instance.context_used.map(|n| n as f64),
        "cpu" => instance.cpu.map(f64::from),
        _ => None,
    }
}

fn figure(instance: &Instance, name: &str) -> String {
    let bytes = |figure: Option<Figure>| format::figure(figure, |n| format::bytes(n.max(0.0) as u64));
    match name {
        "memory" => bytes(instance.memory),
        "gpu_memory" => {
            let share = instance.gpu_share().map(|share| format!(" {:.0} %", share * 100.0)).unwrap_or_default();
            format!("{}{share}", bytes(instance.gpu_memory))
        }
        "context_used" => match (instance.context_used, instance.context) {
            (Some(used), Some(all)) => format!("{}/{}", format::short(used), format::context(all)),
            (Some(used), None) => format::short(used),
            (None, Some(all)) => format!("–/{}", format::context(all)),
            (None, None) => "–".to_owned(),
        },
        "cpu" => instance.cpu.map_or_else(|| "–".to_owned(), |cpu| format!("{cpu:.0} %")),
        _ => String::new(),
    }
}

impl Details {
    /// Another model is looked at: its series begin anew, with what the host has of them.
    fn follow(&mut self, cx: &Cx<'_>) {
        if self.model == cx.looked_at {
            return;
        }
        self.model.clone_from(&cx.looked_at);
        self.series.clear();
        self.fit = None;
        self.top = 0;
        self.missing = DRAWN.iter().map(|(name, _)| *name).collect();
    }

    fn take(&mut self, instance: &Instance) {
        for (name, _) in DRAWN {
            let Some(value) = value(instance, name) else { continue };
            let series = self.series.entry(name).or_default();
            series.put(value);
            series.full = match name {
                "context_used" => instance.context.map(|n| n as f64),
                // As many cores as it keeps busy, in steps of one.
                "cpu" => Some(f64::from(instance.cpu.unwrap_or(0.0) / 100.0).ceil().max(1.0) * 100.0),
                _ => None,
            };
            if series.open() >= COLUMN {
                series.close();
            }
        }
    }

    fn lines(&self, cx: &Cx<'_>, model: &ModelInfo) -> Vec<Line> {
        let mut lines = Vec::new();
        let clean = |text: &str| drawable(text).into_owned();
        let (_, role) = model_state(model.state);
        let percent = model.permille.map(|permille| format!(" {} %", permille / 10)).unwrap_or_default();
        lines.push(line("state", format!("{}{percent}", state_word(model.state)), role));
        if let Some(error) = &model.error {
            lines.push(line("", clean(&error.message), Role::Error));
            lines.extend(error.hints.iter().map(|hint| line("", clean(hint), Role::Hint)));
        }
        self.live(cx, model, &mut lines);
        lines.push(Line::Gap);
        let mut fact = |name: &str, text: Option<String>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                lines.push(line(name, text, Role::Text));
            }
        };
        fact("backend", Some(format!("{} ({})", clean(&model.backend), model.kind.word())));
        fact("family", model.family.as_deref().map(clean));
        fact("size", model.size_bytes.map(format::bytes));
        fact("quant", model.quantisation.as_deref().map(clean));
        fact("context", listing::context(model).map(|text| text.trim_end_matches(" ctx").to_owned()));
        let can: Vec<String> = model.capabilities.iter().map(|word| clean(word)).collect();
        fact("can", Some(can.join(", ")));
        self.card(cx, model, &mut lines);
        self.uses(cx, model, &mut lines);
        lines
    }

    /// What it costs to run now.
    fn live(&self, cx: &Cx<'_>, model: &ModelInfo, lines: &mut Vec<Line>) {
        let running = instance(cx.shared, model);
        if let Some(instance) = running {
            for (name, word) in DRAWN {
                if value(instance, name).is_some() || name == "context_used" && instance.context.is_some() {
                    lines.push(Line::Series(name, word));
                }
            }
            if instance.busy.is_some() || instance.slots.is_some() {
                let busy = instance.busy.map_or_else(|| "–".to_owned(), |n| n.to_string());
                let slots = instance.slots.map(|n| format!(" of {n}")).unwrap_or_default();
                let queued = instance.queued.filter(|n| *n > 0).map(|n| format!(", {n} wait")).unwrap_or_default();
                lines.push(line("slots", format!("{busy}{slots} busy{queued}"), Role::Text));
            }
            if let Some(since) = instance.since {
                lines.push(line("since", format::clock(since, cx.now.wall, &cx.zone), Role::Quiet));
            }
        } else if let Some(memory) = model.memory_bytes {
            let gpu = model.gpu_bytes.filter(|_| memory > 0).map(|gpu| format!(", {} % on GPU", gpu * 100 / memory));
            lines.push(line("memory", format!("{}{}", format::bytes(memory), gpu.unwrap_or_default()), Role::Text));
        }
        let fit = self.fit.iter().flatten().find(|fit| fit.estimate.is_some());
        if let Some((fit, estimate)) = fit.and_then(|fit| Some((fit, fit.estimate.as_ref()?))) {
            // What it takes now is not what the estimate is of.
            let apart = if fit.real_apart.is_some() { ", its context full" } else { "" };
            let gpu = if estimate.gpu > 0 { format!(", {} of it on GPU", format::bytes(estimate.gpu)) } else { String::new() };
            let all = format::bytes(estimate.memory.saturating_add(estimate.gpu));
            lines.push(line("estimate", format!("~{all} ± {:.0} %{gpu}{apart}", estimate.margin * 100.0), Role::Quiet));
        }
        let expires = running.and_then(|instance| instance.expires).or(model.expires);
        if let Some(text) = expires.and_then(|at| listing::unloads(at, cx.shared)) {
            lines.push(line("", text, Role::Quiet));
        }
    }

    /// What you keep about it.
    fn card(&self, cx: &Cx<'_>, model: &ModelInfo, lines: &mut Vec<Line>) {
        let card = &model.card;
        if card.is_empty() {
            return;
        }
        lines.push(Line::Gap);
        let marks: Vec<&str> = [(card.favourite, "★ favourite"), (card.pinned, "pinned"), (card.hidden, "hidden")]
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word))
            .collect();
        let all = |words: &[String]| words.iter().map(|word| drawable(word).into_owned()).collect::<Vec<_>>().join(", ");
        let mut kept = |name: &str, text: String| {
            if !text.is_empty() {
                lines.push(line(name, text, Role::Text));
            }
        };
        kept("", marks.join(" · "));
        kept("groups", all(&card.groups));
        kept("tags", all(&card.tags));
        kept("note", drawable(&card.note).into_owned());
        kept("preset", card.preset.as_deref().map(|name| drawable(name).into_owned()).unwrap_or_default());
        kept("load", card.load.as_deref().map(|name| drawable(name).into_owned()).unwrap_or_default());
        kept("request", card.request.as_deref().map(|name| drawable(name).into_owned()).unwrap_or_default());
        let own: Vec<String> = card.parameters.0.iter().map(|(key, value)| format!("{key} {}", drawable(&value.to_string()))).collect();
        kept("settings", own.join(", "));
        let of_groups = card.groups.iter().filter_map(|name| cx.replica.groups.get(name).map(|group| (name, group)));
        for (name, group) in of_groups {
            let templates: Vec<String> = [&group.load, &group.request].into_iter().flatten().map(|t| drawable(t).into_owned()).collect();
            if !templates.is_empty() {
                kept("", format!("{} uses {}", drawable(name), templates.join(" and ")));
            }
        }
    }

    /// What its runs say.
    fn uses(&self, cx: &Cx<'_>, model: &ModelInfo, lines: &mut Vec<Line>) {
        let Some(uses) = cx.replica.uses.get(&model.reference()) else { return };
        lines.push(Line::Gap);
        let failed = if uses.failed > 0 { format!(", {} failed", uses.failed) } else { String::new() };
        lines.push(line("runs", format!("{}{failed}", format::grouped(u64::from(uses.runs))), Role::Text));
        if let Some(last) = uses.last {
            lines.push(line("last", format::clock(last, cx.now.wall, &cx.zone), Role::Text));
        }
        if let Some(rate) = uses.tokens_per_s {
            lines.push(line("speed", format!("{} t/s, median", format::number(rate)), Role::Text));
        }
        if let Some(ttft) = uses.ttft_ms {
            lines.push(line("ttft", format!("{}, median", format::wait(ttft)), Role::Text));
        }
    }
}

impl Pane for Details {
    fn info(&self) -> &'static PaneInfo {
        &INFO
    }

    fn title(&self, cx: &Cx<'_>) -> Title {
        let left = cx.looked_at.as_ref().map_or_else(|| INFO.title.to_owned(), |model| drawable(&model.model).into_owned());
        Title { left, ..Title::default() }
    }

    fn subject(&self, cx: &Cx<'_>) -> Option<Subject> {
        cx.looked_at.clone().map(Subject::Model)
    }

    fn watches(&self) -> bool {
        true
    }

    fn act(&mut self, call: &Call<'_>, cx: &Cx<'_>) -> Outcome {
        let last = self.rows.saturating_sub(self.height);
        let page = self.height.saturating_sub(1).max(1);
        self.top = match call.action {
            Action::ListDown => self.top + call.times(),
            Action::ListUp => self.top.saturating_sub(call.times()),
            Action::HalfDown | Action::PageDown => self.top + page,
            Action::HalfUp | Action::PageUp => self.top.saturating_sub(page),
            Action::ListTop => 0,
            Action::ListBottom => last,
            Action::Activate => {
                return match cx.looked_at.clone() {
                    Some(reference) => Intent::Choose(reference).into(),
                    None => Outcome::done(),
                };
            }
            Action::Copy => {
                return match &cx.looked_at {
                    Some(reference) => {
                        Intent::Copy { text: reference.to_string(), what: format!("the name {}", listing::shown(reference)) }.into()
                    }
                    None => Outcome::done(),
                };
            }
            _ => return Outcome::ignored(),
        }
        .min(last);
        Outcome::done()
    }

    fn event(&mut self, event: &Event, cx: &Cx<'_>) {
        self.follow(cx);
        if let (EventKind::Metrics(sample), Some(model)) = (&event.kind, &self.model)
            && let Some(instance) = sample.instances.iter().find(|instance| instance.model == *model)
        {
            self.take(&instance.clone());
        }
    }

    fn wants(&mut self, cx: &Cx<'_>) -> Vec<Intent> {
        let Some(model) = &self.model else { return Vec::new() };
        let running = cx.replica.model(model).is_some_and(|m| matches!(m.state, ModelState::Loaded | ModelState::Sleeping));
        if self.asked.is_some() || !running || !cx.is_up() {
            return Vec::new();
        }
        let (asked, query) = match self.missing.pop() {
            Some(name) => (Asked::Past(name), Query::Series { model: model.clone(), name: name.to_owned(), since: cx.now.wall - PAST }),
            None if self.fit.is_none() => (Asked::Fit, Query::Fit { models: vec![model.clone()], parameters: Parameters::default() }),
            None => return Vec::new(),
        };
        self.asked = Some((model.clone(), asked));
        vec![Intent::Ask { pane: ID, about: 0, query }]
    }

    fn reply(&mut self, _about: u64, reply: Result<Reply>, _cx: &Cx<'_>) -> Outcome {
        let Some((model, asked)) = self.asked.take() else { return Outcome::done() };
        if self.model.as_ref() != Some(&model) {
            return Outcome::done();
        }
        let name = match asked {
            Asked::Past(name) => name,
            Asked::Fit => {
                self.fit = Some(if let Ok(Reply::Fits(fits)) = reply { fits.into_iter().next() } else { None });
                return Outcome::done();
            }
        };
        // A host that keeps no series: there is just no past.
        let Ok(Reply::Series(points)) = reply else { return Outcome::done() };
        let series = self.series.entry(name).or_default();
        let live = std::mem::take(&mut series.columns);
        for (_, value) in points {
            series.columns.push_back(value);
        }
        series.columns.extend(live);
        let many = series.columns.len().saturating_sub(crate::tui::spark::KEPT);
        series.columns.drain(..many);
        Outcome::done()
    }

    fn view(&mut self, cx: &Cx<'_>, area: Rect, buf: &mut Buffer) -> Option<Cursor> {
        self.follow(cx);
        let model = self.model.as_ref().and_then(|reference| cx.replica.model(reference));
        let Some(model) = model else {
            Row::new(buf, area, 0).gap(1).text("No model is under the cursor.", cx.style(Role::Quiet));
            return None;
        };
        let running = instance(cx.shared, model);
        let columns = usize::from(area.width.saturating_sub(NAMES + 2)).max(8);
        // Each line as it is shown: a long one goes on below.
        let mut shown: Vec<(String, String, Role, Option<&'static str>)> = Vec::new();
        for line in self.lines(cx, model) {
            match line {
                Line::Gap => shown.push((String::new(), String::new(), Role::Text, None)),
                Line::Series(name, word) => {
                    let figure = running.map(|instance| figure(instance, name)).unwrap_or_default();
                    shown.push((word.to_owned(), figure, Role::Text, Some(name)));
                }
                Line::Text { name, text, role } => {
                    for (i, part) in wrap(&text, columns).into_iter().enumerate() {
                        shown.push((if i == 0 { name.clone() } else { String::new() }, part, role, None));
                    }
                }
            }
        }
        self.rows = shown.len();
        self.height = usize::from(area.height);
        self.top = self.top.min(self.rows.saturating_sub(self.height));
        // One width for all figures, so that the lines of bars end at one column.
        let figures = shown.iter().filter(|(_, _, _, series)| series.is_some()).map(|(_, text, ..)| width(text)).max().unwrap_or(0);
        for (y, (name, text, role, series)) in shown.iter().skip(self.top).take(self.height).enumerate() {
            let mut row = Row::new(buf, area, u16::try_from(y).unwrap_or(u16::MAX));
            let begin = row.margin(1).gap(1).x();
            row.text(&truncate(name, usize::from(NAMES) - 1), cx.style(Role::Quiet));
            row.to(begin + NAMES);
            if let Some(series) = series.and_then(|name| self.series.get(name)) {
                let room = row.left().saturating_sub(figures + 1);
                if room >= 4 {
                    row.text(&series.bars(room), cx.style(Role::Sparkline)).gap(1);
                }
            }
            row.text(text, cx.style(*role));
        }
        None
    }
}
