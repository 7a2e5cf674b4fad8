//! What an estimate means on this machine, and what would have to stop to make room.
//!
//! Invariant: a busy or a pinned model is never proposed, and nothing is proposed where it would not help.

use crate::proto::{Estimate, ModelRef, UnixMs, Verdict};

/// Memory of the machine and of its GPUs together, in bytes. `None`: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Free {
    pub memory: Option<u64>,
    pub gpu: Option<u64>,
    pub total_memory: Option<u64>,
    pub total_gpu: Option<u64>,
}

impl Free {
    /// What is left when an estimate is taken away.
    #[must_use]
    pub fn without(self, estimate: &Estimate) -> Self {
        Self {
            memory: self.memory.map(|free| free.saturating_sub(estimate.memory)),
            gpu: self.gpu.map(|free| free.saturating_sub(estimate.gpu)),
            ..self
        }
    }

    /// What is there when so much more is free.
    #[must_use]
    pub fn with(self, memory: u64, gpu: u64) -> Self {
        let most =
            |free: Option<u64>, more: u64, total: Option<u64>| free.map(|free| free.saturating_add(more).min(total.unwrap_or(u64::MAX)));
        Self { memory: most(self.memory, memory, self.total_memory), gpu: most(self.gpu, gpu, self.total_gpu), ..self }
    }
}

/// A loaded model that could make room.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub model: ModelRef,
    /// What it takes, in bytes.
    pub memory: u64,
    pub gpu: u64,
    /// It answers, loads or has others waiting.
    pub busy: bool,
    /// Never to be proposed.
    pub pinned: bool,
    pub last_used: Option<UnixMs>,
}

/// Whether it fits. Of several places the worst counts.
#[must_use]
pub fn verdict(estimate: &Estimate, free: &Free) -> Verdict {
    let mut worst = Verdict::Fits;
    for (need, free, total) in [(estimate.memory, free.memory, free.total_memory), (estimate.gpu, free.gpu, free.total_gpu)] {
        if need == 0 {
            continue;
        }
        let found = place(need, estimate.margin, free, total);
        if rank(found) > rank(worst) {
            worst = found;
        }
    }
    worst
}

pub(super) fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fits => 0,
        Verdict::Tight => 1,
        Verdict::Unknown => 2,
        Verdict::Full => 3,
        Verdict::Never => 4,
    }
}

fn place(need: u64, margin: f64, free: Option<u64>, total: Option<u64>) -> Verdict {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bound of an estimate")]
    let times = |share: f64| (need as f64 * share) as u64;
    let Some(free) = free else { return Verdict::Unknown };
    if total.is_some_and(|total| times(1.0 - margin) > total) {
        Verdict::Never
    } else if need > free {
        Verdict::Full
    } else if times(1.0 + margin) > free {
        Verdict::Tight
    } else {
        Verdict::Fits
    }
}

/// More candidates than this are not looked at: the largest are kept. A server that claims thousands of loaded models lies.
const CANDIDATES: usize = 64;
/// Sets of candidates that are looked at, at the most.
const SETS: usize = 200_000;

/// What would have to stop so that `need` bytes (of memory, of GPUs) are free: as few as possible, and of those the ones that were
/// used longest ago. Empty when nothing need stop, and when stopping all that may be stopped would not be enough.
#[must_use]
pub fn room(need: (u64, u64), free: &Free, loaded: &[Candidate]) -> Vec<ModelRef> {
    let short = |need: u64, free: Option<u64>| need.saturating_sub(free.unwrap_or(u64::MAX));
    let (memory, gpu) = (short(need.0, free.memory), short(need.1, free.gpu));
    if memory == 0 && gpu == 0 {
        return Vec::new();
    }
    let helps = |c: &&Candidate| !c.busy && !c.pinned && ((memory > 0 && c.memory > 0) || (gpu > 0 && c.gpu > 0));
    let mut may: Vec<&Candidate> = loaded.iter().filter(helps).collect();
    if may.len() > CANDIDATES {
        may.sort_by_key(|c| std::cmp::Reverse(c.memory.saturating_add(c.gpu)));
        may.truncate(CANDIDATES);
    }
    // Never used counts as longest ago.
    may.sort_by(|a, b| (a.last_used, &a.model).cmp(&(b.last_used, &b.model)));
    let mut left = SETS;
    for size in 1..=may.len() {
        let mut chosen = Vec::new();
        if choose(&may, size, 0, (memory, gpu), &mut chosen, &mut left) {
            return chosen.iter().map(|c| c.model.clone()).collect();
        }
        if left == 0 {
            return largest_first(may, memory, gpu);
        }
    }
    Vec::new()
}

/// The first set of this size, in the order of last use, that frees enough.
fn choose<'a>(
    may: &[&'a Candidate],
    size: usize,
    from: usize,
    (memory, gpu): (u64, u64),
    chosen: &mut Vec<&'a Candidate>,
    left: &mut usize,
) -> bool {
    if memory == 0 && gpu == 0 {
        return true;
    }
    if size == 0 || *left == 0 {
        return false;
    }
    for at in from..may.len() {
        let Some(candidate) = may.get(at) else { return false };
        *left = left.saturating_sub(1);
        chosen.push(candidate);
        let still = (memory.saturating_sub(candidate.memory), gpu.saturating_sub(candidate.gpu));
        if choose(may, size - 1, at + 1, still, chosen, left) {
            return true;
        }
        chosen.pop();
    }
    false
}

/// Where there are too many sets to look at: the largest first, until it is enough.
fn largest_first(mut may: Vec<&Candidate>, mut memory: u64, mut gpu: u64) -> Vec<ModelRef> {
    may.sort_by_key(|c| std::cmp::Reverse(c.memory.min(memory).saturating_add(c.gpu.min(gpu))));
    let mut chosen = Vec::new();
    for candidate in may {
        if memory == 0 && gpu == 0 {
            break;
        }
        memory = memory.saturating_sub(candidate.memory);
        gpu = gpu.saturating_sub(candidate.gpu);
        chosen.push(candidate.model.clone());
    }
    if memory == 0 && gpu == 0 { chosen } else { Vec::new() }
}
