//! A fit in words: the same on the command line and on the screen.

use crate::proto::{Estimate, EstimatePart, Fit, ModelRef, PartKind, Verdict};

/// `4.9 GB`: sizes as files and memory are sold, in steps of 1000.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let word = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 || value >= 99.5 { format!("{value:.0} {word}") } else { format!("{value:.1} {word}") }
}

/// What a part is called.
#[must_use]
pub fn part(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Weights => "weights",
        PartKind::KvCache => "cache",
        PartKind::Compute => "scratch",
        PartKind::Overhead => "overhead",
        PartKind::Projector => "image reader",
    }
}

/// All of a fit, as rows of a label and a text: the parts, the sum and how sure it is, what is free, what it really took, and last
/// the verdict in a sentence.
#[must_use]
pub fn describe(fit: &Fit) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |label: &str, text: String| rows.push((label.to_owned(), text));
    if let Some(estimate) = &fit.estimate {
        for one in &estimate.parts {
            row(part(one.kind), format!("{}  {}", amount(one, fit.total_gpu.is_some()), one.how));
        }
        row(
            "in all",
            format!(
                "{} ± {:.0} %, with a context of {} tokens",
                both(estimate.memory, estimate.gpu),
                estimate.margin * 100.0,
                super::grouped(u64::from(estimate.context))
            ),
        );
    }
    if let Some(free) = fit.free_memory {
        row("free", of(free, fit.total_memory, "memory"));
    }
    if let Some(free) = fit.free_gpu {
        row("free on GPUs", of(free, fit.total_gpu, "GPU memory"));
    }
    if let Some(real) = &fit.real {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes that were measured")]
        let taken = real.value.max(0.0) as u64;
        let beside = match &fit.real_apart {
            Some(why) => format!(" ({why})"),
            None => fit.estimate.as_ref().map(|e| off(taken, e.memory.saturating_add(e.gpu))).unwrap_or_default(),
        };
        row("really took", format!("{}{beside}", bytes(taken)));
    }
    for text in fit.estimate.iter().flat_map(|estimate| &estimate.assumed) {
        row("assumed", text.clone());
    }
    row("verdict", verdict(fit));
    rows
}

/// `, 4 % more than estimated`.
fn off(taken: u64, estimated: u64) -> String {
    if estimated == 0 {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "a share, shown in percent")]
    let share = (taken as f64 / estimated as f64 - 1.0) * 100.0;
    match share {
        s if s.abs() < 0.5 => ", as estimated".to_owned(),
        s if s > 0.0 => format!(", {s:.0} % more than estimated"),
        s => format!(", {:.0} % less than estimated", -s),
    }
}

fn amount(part: &EstimatePart, gpus: bool) -> String {
    if gpus { both(part.memory, part.gpu) } else { bytes(part.memory.saturating_add(part.gpu)) }
}

fn both(memory: u64, gpu: u64) -> String {
    match (memory, gpu) {
        (memory, 0) => bytes(memory),
        (0, gpu) => format!("{} on GPUs", bytes(gpu)),
        (memory, gpu) => format!("{} and {} on GPUs", bytes(memory), bytes(gpu)),
    }
}

fn of(free: u64, total: Option<u64>, what: &str) -> String {
    match total {
        Some(total) => format!("{} of {} {what}", bytes(free), bytes(total)),
        None => format!("{} of {what}", bytes(free)),
    }
}

/// The verdict as a sentence that also says what can be done.
#[must_use]
pub fn verdict(fit: &Fit) -> String {
    match fit.verdict {
        Verdict::Fits => "It fits.".to_owned(),
        Verdict::Tight => "It fits only just: the estimate may be off by more than what is left.".to_owned(),
        Verdict::Full if fit.stop.is_empty() => {
            "It does not fit beside what is in memory now, and stopping models that may be stopped would not make enough room.".to_owned()
        }
        Verdict::Full => format!("It does not fit beside what is loaded now. To make room: stop {}.", names(&fit.stop)),
        Verdict::Never => {
            "It is too large for this machine. A smaller context, a smaller quantisation or a smaller model may fit.".to_owned()
        }
        Verdict::Unknown => match &fit.unknown {
            Some(why) => why.clone(),
            None => "Whether it fits is not known: what is free where it runs cannot be seen from here.".to_owned(),
        },
    }
}

fn names(models: &[ModelRef]) -> String {
    let all: Vec<String> = models.iter().map(|model| crate::error::harmless(&model.to_string())).collect();
    match all.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Several fits together. Each was reckoned beside the ones before it, so the worst verdict holds for all, and all that any of them
/// would stop would have to stop.
#[must_use]
pub fn together(fits: &[Fit]) -> Option<Fit> {
    let first = fits.first()?;
    let mut all = Fit { estimate: None, unknown: None, stop: Vec::new(), real: None, real_apart: None, ..first.clone() };
    let mut sum = Estimate::default();
    let mut off = 0.0;
    for fit in fits {
        if super::room::rank(fit.verdict) > super::room::rank(all.verdict) {
            all.verdict = fit.verdict;
        }
        all.unknown = all.unknown.or_else(|| fit.unknown.clone());
        for model in &fit.stop {
            if !all.stop.contains(model) {
                all.stop.push(model.clone());
            }
        }
        let Some(estimate) = &fit.estimate else { continue };
        sum.memory = sum.memory.saturating_add(estimate.memory);
        sum.gpu = sum.gpu.saturating_add(estimate.gpu);
        sum.context = sum.context.max(estimate.context);
        #[expect(clippy::cast_precision_loss, reason = "a share, shown in percent")]
        {
            off += estimate.margin * estimate.memory.saturating_add(estimate.gpu) as f64;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a share, shown in percent")]
    let whole = sum.memory.saturating_add(sum.gpu) as f64;
    sum.margin = if whole > 0.0 { off / whole } else { 0.0 };
    all.estimate = (whole > 0.0).then_some(sum);
    Some(all)
}
