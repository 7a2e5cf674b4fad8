//! Queries against what was read before: scores, softmax, mixed values.
//!
//! Invariant: a query at position p sees positions 0..=p, or the last `window` of them; the result does not depend on how the
//! work was spread over threads.

use super::cache::LayerCache;
use super::simd::{self, Work};

/// Sizes of one layer's work.
pub struct Layout {
    pub heads: usize,
    pub kv_heads: usize,
    pub head: usize,
    /// Position of the first query.
    pub start: usize,
    pub window: Option<usize>,
    pub scale: f32,
    pub cap: Option<f32>,
}

/// Multiplications below which waking another thread costs more than it saves.
const WORTH_SHARING: usize = 1 << 15;

/// `queries` and `out`: rows of all heads side by side, one row per position from `start` on.
pub fn mix(layout: &Layout, queries: &[f32], cache: &LayerCache, out: &mut [f32]) {
    let Layout { heads, head, start, .. } = *layout;
    let rows = queries.len() / (heads * head);
    let one = |at: usize, out: &mut [f32]| {
        let mut scores = Vec::new();
        for (at, out) in (at..).zip(out.chunks_exact_mut(head)) {
            let (row, which) = (at / heads, at % heads);
            let shared = which * layout.kv_heads / heads;
            let span = layout.span(start + row);
            let (Some(keys), Some(values)) = (cache.keys.get(shared), cache.values.get(shared)) else { continue };
            let (Some(keys), Some(values)) = (keys.get(span.clone()), values.get(span)) else { continue };
            let Some(query) = queries.get(at * head..(at + 1) * head) else { continue };
            simd::best(Head { layout, query, keys, values, out, scores: &mut scores });
        }
    };
    let work = rows * heads * head * 2 * (start + rows);
    if work < WORTH_SHARING {
        one(0, out);
    } else {
        simd::share(out, head, one);
    }
}

impl Layout {
    /// Where in a run of keys or values lies what position `at` sees.
    fn span(&self, at: usize) -> std::ops::Range<usize> {
        let first = self.window.map_or(0, |w| (at + 1).saturating_sub(w));
        first * self.head..(at + 1) * self.head
    }
}

/// One query of one head.
struct Head<'a> {
    layout: &'a Layout,
    query: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    out: &'a mut [f32],
    scores: &'a mut Vec<f32>,
}

impl Work for Head<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { layout, query, keys, values, out, scores } = self;
        // No closures in here: they would be compiled without the wider instructions.
        scores.resize(keys.len() / layout.head, 0.0);
        let mut best = f32::NEG_INFINITY;
        for (score, key) in scores.iter_mut().zip(keys.chunks_exact(layout.head)) {
            *score = simd::dot::<FUSED>(query, key) * layout.scale;
            if let Some(cap) = layout.cap {
                *score = cap * (*score / cap).tanh();
            }
            best = best.max(*score);
        }
        let sum = simd::exp_all::<FUSED>(scores, best);
        out.fill(0.0);
        for (weight, value) in scores.iter().zip(values.chunks_exact(layout.head)) {
            simd::add_scaled::<FUSED>(out, weight / sum, value);
        }
    }
}
