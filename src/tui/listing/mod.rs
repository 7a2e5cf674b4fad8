//! What lists of models share: what stands in a column, the order, which models fit a filter, and a model in words.
//!
//! Owns: [`Column`], [`Catalogue`], [`describe`]. Refuses: drawing and keys (the panes do). Invariant: a frame never looks at all
//! models; what depends on all of them is made when the list, the order or the filter changes, and kept.

mod catalogue;
mod column;
pub mod groups;

pub use catalogue::{Catalogue, Order};
pub use column::{COLUMNS, Cell, Column, ColumnInfo, IDS, Wide};

use crate::proto::{Instance, ModelInfo, ModelRef, ModelState};
use crate::tui::format;
use crate::tui::shared::Shared;
use crate::tui::text::width::drawable;

/// Everything that is known of a model, most telling first.
#[must_use]
pub fn describe(model: &ModelInfo, shared: &Shared) -> String {
    let mut parts = Vec::new();
    if let Some(error) = &model.error {
        parts.push(drawable(&error.message).into_owned());
        parts.extend(error.hints.first().map(|h| drawable(h).into_owned()));
    }
    parts.extend(model.family.as_deref().map(|f| drawable(f).into_owned()));
    parts.extend(model.quantisation.as_deref().map(|q| drawable(q).into_owned()));
    parts.extend(context(model));
    if let Some(memory) = model.memory_bytes {
        let gpu = model.gpu_bytes.filter(|_| memory > 0).map(|gpu| format!(", {} % on GPU", gpu * 100 / memory));
        parts.push(format!("{} in memory{}", format::bytes(memory), gpu.unwrap_or_default()));
    }
    parts.extend(model.expires.and_then(|at| unloads(at, shared)));
    parts.extend(model.capabilities.iter().filter(|c| *c != "completion").map(|c| drawable(c).into_owned()));
    parts.push(drawable(&model.backend).into_owned());
    if !model.card.note.is_empty() {
        parts.push(drawable(&model.card.note).into_owned());
    }
    parts.join(" · ")
}

/// The context in force and what it could be: `8k of 40k ctx`.
#[must_use]
pub fn context(model: &ModelInfo) -> Option<String> {
    match (model.context, model.context_max) {
        (Some(now), Some(max)) if now < max => {
            Some(format!("{} of {} ctx", format::context(u64::from(now)), format::context(u64::from(max))))
        }
        (Some(n), _) | (None, Some(n)) => Some(format!("{} ctx", format::context(u64::from(n)))),
        (None, None) => None,
    }
}

/// When a model goes by itself, rounded up to minutes, so that it does not change at every look.
#[must_use]
pub fn unloads(at: crate::proto::UnixMs, shared: &Shared) -> Option<String> {
    let seconds = u64::try_from((at - shared.now.wall) / 1000).ok().filter(|seconds| *seconds > 0)?;
    // A server that keeps a model for ever says so with a year far away.
    if seconds > 365 * 86_400 {
        return Some("stays loaded".to_owned());
    }
    Some(format!("unloads in {}", format::seconds_long(seconds / 60 * 60 + 60)))
}

/// The live figures of a loaded model.
#[must_use]
pub fn instance<'a>(shared: &'a Shared, model: &ModelInfo) -> Option<&'a Instance> {
    let instances = &shared.sample.as_ref()?.instances;
    instances.iter().find(|instance| instance.model.model == model.name && instance.model.backend == model.backend)
}

/// What runs stands above what could.
#[must_use]
pub fn rank(state: ModelState) -> u8 {
    match state {
        ModelState::Loaded | ModelState::Loading | ModelState::Downloading => 0,
        ModelState::Sleeping => 1,
        ModelState::Unloaded | ModelState::Unknown => 2,
        ModelState::Failed => 3,
    }
}

/// `backend/model` for the screen.
#[must_use]
pub fn shown(model: &ModelRef) -> String {
    drawable(&model.to_string()).into_owned()
}
