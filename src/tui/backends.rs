//! How backends are reached, in words: what it is, and what it means for whoever writes.

use super::format;
use super::shared::Shared;
use super::text::width::drawable;
use super::theme::Role;
use crate::core::retry;
use crate::proto::{BackendState, BackendStatus, ModelRef};

/// The last seconds of a pause are counted down; before that nothing on the screen moves for a server that may stay down for days.
const COUNTED: u64 = 10;

/// How a backend is, in a word or its latency.
#[must_use]
pub fn word(backend: &BackendStatus, shared: &Shared) -> (String, Role) {
    let latency = || backend.latency_ms.map(|ms| format!("{} ms", format::number(ms)));
    match backend.state {
        BackendState::Up if backend.slow => (format!("slow, {}", latency().unwrap_or_default()), Role::Warning),
        BackendState::Up => (latency().unwrap_or_else(|| "up".to_owned()), Role::Quiet),
        BackendState::Connecting => ("connecting…".to_owned(), Role::Running),
        BackendState::Starting => ("starting…".to_owned(), Role::Running),
        BackendState::Unauthorized => ("wants a key".to_owned(), Role::Warning),
        BackendState::Down => (format!("down{}", again(backend, shared)), Role::Error),
    }
}

/// `, again in 4 s` while that is near.
fn again(backend: &BackendStatus, shared: &Shared) -> String {
    let left = backend.retry_at.map(|at| shared.until(at)).filter(|left| (1..=COUNTED).contains(left));
    left.map(|left| format!(", again in {left} s")).unwrap_or_default()
}

/// What stands in the way of the model that answers next, and what that means for what is written; `None`: nothing does.
#[must_use]
pub fn hindrance(reference: &ModelRef, shared: &Shared) -> Option<(String, &'static str, Role)> {
    let backend = shared.replica.backends.iter().find(|backend| backend.name == reference.backend)?;
    let name = drawable(&backend.name);
    match backend.state {
        BackendState::Down => {
            let why = backend.error.as_ref().map(|error| format!(" ({})", retry::why(error))).unwrap_or_default();
            let told = format!("{name} is down{}{}", drawable(&why), again(backend, shared));
            Some((told, "What you send waits for it a while.", Role::Warning))
        }
        BackendState::Starting => Some((format!("{name} is starting"), "What you send waits for it.", Role::Running)),
        BackendState::Unauthorized => Some((format!("{name} wants a key"), "What you send fails until it has one.", Role::Warning)),
        BackendState::Up if backend.slow => {
            let latency = backend.latency_ms.map(|ms| format!(" ({} ms a round trip)", format::number(ms))).unwrap_or_default();
            Some((format!("{name} is slow{latency}"), "Answers begin late.", Role::Quiet))
        }
        BackendState::Up | BackendState::Connecting => None,
    }
}

/// When the words about these backends are others by themselves: once a second while a countdown is shown.
#[must_use]
pub fn deadline<'a>(backends: impl Iterator<Item = &'a BackendStatus>, shared: &Shared) -> Option<std::time::Duration> {
    let down = backends.filter(|backend| backend.state == BackendState::Down).filter_map(|backend| backend.retry_at);
    let next = |at: i64| match shared.until(at) {
        0 => None,
        left if left <= COUNTED => Some(1),
        left => Some(left - COUNTED),
    };
    let seconds = down.filter_map(next).min().filter(|_| shared.awake)?;
    Some(std::time::Duration::from_secs(shared.now.mono.as_secs() + seconds))
}
