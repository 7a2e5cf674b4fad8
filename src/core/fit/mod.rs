//! What fits: how much memory a model will take, part by part, and what would have to stop to make room for it.
//!
//! Owns: the reckoning ([`estimate`]), what it means here ([`verdict`], [`room`]), and how it is put into words ([`describe`]).
//! Refuses: to read files or the machine; to stop anything. Invariant: pure, total (no anatomy makes it overflow or panic), and
//! what is claimed is held against recorded loads (`tests`): the real figure lies within the margin.
//!
//! Sources of the formulas: llama.cpp, `src/llama-kv-cache.cpp` (sizes of cells), `src/llama-kv-cache-iswa.cpp` (windows),
//! `src/llama-memory-recurrent.cpp` (states), `src/llama-context.cpp` (`n_ctx_seq`, padding, reserving of graphs),
//! `src/llama-model.cpp` (which layers are offloaded); the embedded engine's own `cache.rs` and `packed.rs`.

mod plan;
mod room;
#[cfg(test)]
mod tests;
mod words;

pub use plan::{CacheType, Engine, LoadPlan, Place, told_arguments};
pub use room::{Candidate, Free, room, verdict};
pub use words::{bytes, describe, together};

use crate::proto::{Anatomy, Estimate, EstimatePart, PartKind};

/// llama.cpp pads contexts to this many tokens (`GGML_PAD(…, 256)`).
const PAD: u64 = 256;
/// What a llama.cpp process takes beside its buffers, in bytes: its code and libraries, and the vocabulary for each token.
/// Measured with build 10068: 27 MiB with 49,152 tokens, 49 MiB with 262,144.
const PROCESS: u64 = 24 << 20;
const PER_TOKEN: u64 = 90;
/// The same of the embedded engine inside arbour: 33 MB with the 49,152 tokens of SmolLM2, 54 MB with the 262,144 of Gemma 3.
const EMBEDDED: u64 = 12 << 20;
const EMBEDDED_PER_TOKEN: u64 = 250;
/// What a GPU's driver keeps for a process: some 250 to 500 MiB with CUDA.
const DRIVER: u64 = 350 << 20;

/// How much memory a model will take when it is loaded so.
#[must_use]
pub fn estimate(anatomy: &Anatomy, plan: &LoadPlan) -> Estimate {
    let cells = Cells::of(anatomy, plan);
    let layers: Vec<u64> = (0..anatomy.layers).map(|layer| cells.layer(anatomy, plan, layer)).collect();
    let compute = compute(anatomy, plan, &cells);
    let on_gpu = offloaded(anatomy, plan, &layers, &compute);
    let mut parts = vec![weights(anatomy, on_gpu), cache(anatomy, plan, &cells, &layers, on_gpu)];
    let host = if on_gpu > 0 { compute.host } else { compute.whole };
    parts.push(EstimatePart { kind: PartKind::Compute, memory: host, gpu: if on_gpu > 0 { compute.whole } else { 0 }, how: compute.how });
    if anatomy.projector > 0 {
        let gpu = on_gpu > 0;
        parts.push(EstimatePart {
            kind: PartKind::Projector,
            memory: if gpu { 0 } else { anatomy.projector },
            gpu: if gpu { anatomy.projector } else { 0 },
            how: "the part that reads images".to_owned(),
        });
    }
    parts.push(overhead(anatomy, plan, on_gpu));
    let sum = |of: fn(&EstimatePart) -> u64| parts.iter().map(of).fold(0, u64::saturating_add);
    let (memory, gpu) = (sum(|part| part.memory), sum(|part| part.gpu));
    let mut assumed = plan.assumed.clone();
    if anatomy.layer_weights.is_empty() {
        assumed.push("The weights are taken from the model's size: its tensors are not told.".to_owned());
    }
    if plan.engine != Engine::Embedded && memory > 0 {
        assumed.push("Weights in memory are mapped from the file; where the processor wants another order a copy comes on top.".to_owned());
    }
    Estimate { margin: margin(&parts, anatomy), parts, memory, gpu, assumed, context: plan.context }
}

/// How far each part may be off, put together by size: weights and caches are reckoned, the rest is guessed.
fn margin(parts: &[EstimatePart], anatomy: &Anatomy) -> f64 {
    let (mut all, mut off) = (0.0, 0.0);
    for part in parts {
        #[expect(clippy::cast_precision_loss, reason = "a share, shown in percent")]
        let bytes = part.memory.saturating_add(part.gpu) as f64;
        let share = match part.kind {
            PartKind::Weights if anatomy.layer_weights.is_empty() => 0.08,
            PartKind::Weights => 0.05,
            PartKind::KvCache => 0.02,
            PartKind::Compute | PartKind::Overhead => 0.6,
            PartKind::Projector => 0.3,
        };
        all += bytes;
        off += bytes * share;
    }
    if all > 0.0 { (off / all).clamp(0.03, 0.6) } else { 0.6 }
}

/// How many tokens' places the layers have.
struct Cells {
    /// Of layers that see everything, of all slots together; and of one slot.
    whole: u64,
    each: u64,
    /// The same of windowed layers.
    windowed: u64,
    windowed_each: u64,
}

impl Cells {
    /// `llama_context`: the context is shared out among the slots and padded, unless they share one cache. `llama_kv_cache_iswa`: a
    /// windowed layer holds its window (of each slot, in a shared cache) and one batch, padded, and no more than a whole one.
    fn of(anatomy: &Anatomy, plan: &LoadPlan) -> Self {
        let slots = u64::from(plan.slots.max(1));
        let context = u64::from(plan.context);
        let (each, streams) = match plan.engine {
            Engine::Embedded => (context, 1),
            Engine::Ollama => (context.next_multiple_of(PAD), slots),
            Engine::LlamaServer if plan.unified => (context.next_multiple_of(PAD), 1),
            Engine::LlamaServer => ((context / slots).next_multiple_of(PAD), slots),
        };
        let windowed_each = match anatomy.window {
            Some(window) if !plan.whole_windows => {
                let shared = if streams == 1 { slots } else { 1 };
                (u64::from(window) * shared + u64::from(plan.batch)).next_multiple_of(PAD).min(each)
            }
            _ => each,
        };
        Self { whole: each * streams, each, windowed: windowed_each * streams, windowed_each }
    }

    /// Bytes of one layer: `n_embd_k_gqa` and `n_embd_v_gqa` numbers for each token.
    fn layer(&self, anatomy: &Anatomy, plan: &LoadPlan, layer: u32) -> u64 {
        let heads = u64::from(kv_heads(anatomy, layer));
        let windowed = anatomy.windowed.get(layer as usize).copied().unwrap_or(false);
        let (k, v) = match windowed {
            true => (anatomy.windowed_head_k.unwrap_or(anatomy.head_k), anatomy.windowed_head_v.unwrap_or(anatomy.head_v)),
            false => (anatomy.head_k, anatomy.head_v),
        };
        let v = if v == 0 { plan.latent_values } else { v };
        let tokens = if windowed { self.windowed } else { self.whole };
        let row = plan.keys.bytes(heads * u64::from(k)).saturating_add(plan.values.bytes(heads * u64::from(v)));
        tokens.saturating_mul(row)
    }
}

fn kv_heads(anatomy: &Anatomy, layer: u32) -> u32 {
    let all = &anatomy.kv_heads;
    if all.len() == 1 { all.first() } else { all.get(layer as usize) }.copied().unwrap_or(0)
}

/// Scratch for one batch.
struct Compute {
    /// Where the layers are.
    whole: u64,
    /// In the machine's memory when the layers are on a GPU: masks and the batch's embeddings.
    host: u64,
    how: String,
}

/// The greatest of what one batch needs at once: in a feed-forward layer, with all scores of attention, or with the scores of all words.
/// Held against the buffers that llama.cpp reports: within a few percent for dense models.
fn compute(anatomy: &Anatomy, plan: &LoadPlan, cells: &Cells) -> Compute {
    let batch = u64::from(plan.batch);
    let width = u64::from(anatomy.width);
    let queries = u64::from(anatomy.heads) * u64::from(anatomy.head_k);
    let has_windows = anatomy.windowed.contains(&true);
    // One mask for each kind of layer, 16 bits with flash attention.
    let masked = cells.each.saturating_add(if has_windows { cells.windowed_each } else { 0 });
    let mask = masked.saturating_mul(batch).saturating_mul(if plan.flash { 2 } else { 4 });
    let inner = (3 * u64::from(anatomy.inner) + 3 * width).saturating_add(queries);
    let scores = if plan.flash || plan.engine == Engine::Embedded { 0 } else { u64::from(anatomy.heads).saturating_mul(cells.each) };
    let attention = scores.saturating_add(3 * width).saturating_add(queries);
    let words = if plan.whole_logits { u64::from(anatomy.vocabulary) + width } else { 0 };
    let most = inner.max(attention).max(words);
    let mask = if plan.engine == Engine::Embedded { 0 } else { mask };
    let whole = most.saturating_mul(batch).saturating_mul(4).saturating_add(mask);
    let what = if most == words {
        "the scores of all words"
    } else if most == inner {
        "a feed-forward layer"
    } else {
        "the scores of attention"
    };
    let how = format!("{} tokens at once, most for {what}", grouped(batch));
    Compute { whole, host: mask.saturating_add(width.saturating_mul(batch).saturating_mul(4)), how }
}

/// How many layers go to GPUs, the output counted as one.
fn offloaded(anatomy: &Anatomy, plan: &LoadPlan, caches: &[u64], compute: &Compute) -> u32 {
    match plan.place {
        Place::Memory => 0,
        Place::Layers(layers) => layers.min(anatomy.layers.saturating_add(1)),
        Place::Fitting(free) => {
            let mut left = free.saturating_sub(DRIVER).saturating_sub(compute.whole).saturating_sub(anatomy.projector);
            let mut fitting = 0;
            let state = anatomy.state_bytes / u64::from(anatomy.layers.max(1));
            let output = output(anatomy);
            let layers = (0..anatomy.layers as usize).rev();
            let each =
                layers.map(|at| layer_weights(anatomy, at).saturating_add(caches.get(at).copied().unwrap_or(0)).saturating_add(state));
            for bytes in std::iter::once(output).chain(each) {
                if bytes > left {
                    break;
                }
                left -= bytes;
                fitting += 1;
            }
            fitting
        }
    }
}

/// What the output takes on a GPU: where the input serves for it too, it is there a second time.
fn output(anatomy: &Anatomy) -> u64 {
    anatomy.output_weights.saturating_add(if anatomy.tied { anatomy.input_weights } else { 0 })
}

fn layer_weights(anatomy: &Anatomy, layer: usize) -> u64 {
    match anatomy.layer_weights.get(layer) {
        Some(bytes) => *bytes,
        None => anatomy.weights / (u64::from(anatomy.layers) + 1),
    }
}

fn weights(anatomy: &Anatomy, on_gpu: u32) -> EstimatePart {
    let layers = anatomy.layers as usize;
    let repeating = on_gpu.saturating_sub(1) as usize;
    let moved = (layers.saturating_sub(repeating)..layers).map(|at| layer_weights(anatomy, at)).fold(0, u64::saturating_add);
    let out = if on_gpu > 0 { output(anatomy) } else { 0 };
    let copied = if on_gpu > 0 && anatomy.tied { anatomy.input_weights } else { 0 };
    let gpu = moved.saturating_add(out);
    let memory = anatomy.weights.saturating_add(copied).saturating_sub(gpu);
    let what = if anatomy.layer_weights.is_empty() { "the model's size" } else { "all tensors" };
    let how = match on_gpu {
        0 => what.to_owned(),
        n if n > anatomy.layers => format!("{what}; all layers on the GPU"),
        n => format!("{what}; {} of {layers} layers on the GPU", n.saturating_sub(1)),
    };
    EstimatePart { kind: PartKind::Weights, memory, gpu, how }
}

fn cache(anatomy: &Anatomy, plan: &LoadPlan, cells: &Cells, layers: &[u64], on_gpu: u32) -> EstimatePart {
    let slots = u64::from(plan.slots.max(1));
    let state = anatomy.state_bytes.saturating_mul(if plan.engine == Engine::Embedded { 1 } else { slots });
    let first_on_gpu = layers.len().saturating_sub(on_gpu.saturating_sub(1) as usize);
    let all = layers.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    let moved = layers.iter().skip(first_on_gpu).fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    let count = layers.len().max(1) as u64;
    let state_moved = (state / count).saturating_mul((layers.len() - first_on_gpu) as u64);
    let gpu = moved.saturating_add(state_moved);
    EstimatePart {
        kind: PartKind::KvCache,
        memory: all.saturating_add(state).saturating_sub(gpu),
        gpu,
        how: how_cached(anatomy, plan, cells, state),
    }
}

/// `8,192 tokens × 30 layers × 3 heads × (64 + 64) × f16`.
fn how_cached(anatomy: &Anatomy, plan: &LoadPlan, cells: &Cells, state: u64) -> String {
    let keeping: Vec<u32> = (0..anatomy.layers).filter(|layer| kv_heads(anatomy, *layer) > 0).collect();
    let windowed = |layer: &u32| anatomy.windowed.get(*layer as usize).copied().unwrap_or(false);
    let mut terms = Vec::new();
    for (is_windowed, tokens) in [(false, cells.whole), (true, cells.windowed)] {
        let layers: Vec<u32> = keeping.iter().copied().filter(|layer| windowed(layer) == is_windowed).collect();
        if layers.is_empty() {
            continue;
        }
        let (least, most) = layers.iter().map(|layer| kv_heads(anatomy, *layer)).fold((u32::MAX, 0), |(a, b), n| (a.min(n), b.max(n)));
        let heads = if least == most { most.to_string() } else { format!("{least}–{most}") };
        let (k, v) = match is_windowed {
            true => (anatomy.windowed_head_k.unwrap_or(anatomy.head_k), anatomy.windowed_head_v.unwrap_or(anatomy.head_v)),
            false => (anatomy.head_k, anatomy.head_v),
        };
        let v = if v == 0 { plan.latent_values } else { v };
        let kind = if plan.keys == plan.values { plan.keys.name.to_owned() } else { format!("{}/{}", plan.keys.name, plan.values.name) };
        let word = if is_windowed { "windowed " } else { "" };
        terms.push(format!("{} tokens × {} {word}layers × {heads} heads × ({k} + {v}) × {kind}", grouped(tokens), layers.len()));
    }
    if state > 0 {
        terms.push(format!("{} of recurrent state", bytes(state)));
    }
    if terms.is_empty() { "it keeps none".to_owned() } else { terms.join(", ") }
}

fn overhead(anatomy: &Anatomy, plan: &LoadPlan, on_gpu: u32) -> EstimatePart {
    let vocabulary = u64::from(anatomy.vocabulary);
    let (memory, how) = match plan.engine {
        Engine::Embedded => (EMBEDDED + vocabulary * EMBEDDED_PER_TOKEN, "the tokenizer and the template"),
        _ => (PROCESS + vocabulary * PER_TOKEN, "the server's process and the vocabulary"),
    };
    let gpu = if on_gpu > 0 { DRIVER } else { 0 };
    let how = if gpu > 0 { format!("{how}; the GPU's driver") } else { how.to_owned() };
    EstimatePart { kind: PartKind::Overhead, memory, gpu, how }
}

/// `8,192`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
