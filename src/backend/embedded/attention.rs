//! Queries against what was read before: scores, softmax, mixed values.
//!
//! Invariant: a query at position p sees positions 0..=p, or the last `window` of them; the result does not depend on how the
//! work was spread over threads.

use std::sync::{Mutex, PoisonError};

use candle_core::utils::barrier_pool;

use super::cache::LayerCache;

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
    let work = rows * heads * head * 2 * (start + rows);
    let one = |at: usize, query: &[f32], out: &mut [f32], scores: &mut Vec<f32>| {
        let (row, which) = (at / heads, at % heads);
        let shared = which * layout.kv_heads / heads;
        if let (Some(keys), Some(values)) = (cache.keys.get(shared), cache.values.get(shared)) {
            head_mix(layout, start + row, query, keys, values, out, scores);
        }
    };
    if work < WORTH_SHARING || barrier_pool().n_workers() == 0 {
        let mut scores = Vec::new();
        for (at, (query, out)) in queries.chunks_exact(head).zip(out.chunks_exact_mut(head)).enumerate() {
            one(at, query, out, &mut scores);
        }
        return;
    }
    let jobs: Vec<Mutex<&mut [f32]>> = out.chunks_exact_mut(head).map(Mutex::new).collect();
    barrier_pool().execute_chunked(jobs.len(), |range| {
        let mut scores = Vec::new();
        for at in range {
            if let (Some(job), Some(query)) = (jobs.get(at), queries.get(at * head..(at + 1) * head)) {
                let mut out = job.lock().unwrap_or_else(PoisonError::into_inner);
                one(at, query, &mut out, &mut scores);
            }
        }
    });
}

fn head_mix(layout: &Layout, at: usize, query: &[f32], keys: &[f32], values: &[f32], out: &mut [f32], scores: &mut Vec<f32>) {
    let first = layout.window.map_or(0, |w| (at + 1).saturating_sub(w));
    let span = first * layout.head..(at + 1) * layout.head;
    let (Some(keys), Some(values)) = (keys.get(span.clone()), values.get(span)) else { return };
    scores.clear();
    scores.extend(keys.chunks_exact(layout.head).map(|key| dot(query, key) * layout.scale));
    if let Some(cap) = layout.cap {
        scores.iter_mut().for_each(|s| *s = cap * (*s / cap).tanh());
    }
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for s in scores.iter_mut() {
        *s = (*s - best).exp();
        sum += *s;
    }
    out.fill(0.0);
    for (weight, value) in scores.iter().zip(values.chunks_exact(layout.head)) {
        let weight = weight / sum;
        for (o, v) in out.iter_mut().zip(value) {
            *o += weight * v;
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f32>() + tail
}
