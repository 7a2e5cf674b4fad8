//! What decides how much memory a model takes, from GGUF metadata, wherever they come from: a file, or a server that tells them.
//!
//! Owns: how llama.cpp lays out caches by architecture. Refuses: to reckon (`core::fit`). Invariant: every count is held to a bound,
//! so that nothing that follows can be made to overflow or to run long by a lying file.
//!
//! Sources, all of llama.cpp: `src/llama-hparams.cpp` (`n_embd_r`, `n_embd_s`, `set_swa_pattern`), `src/llama-kv-cache*.cpp`,
//! `src/models/*.cpp` (`load_arch_hparams`: the periods of sliding windows), `gguf-py/gguf/constants.py` (the keys).

use super::{Header, Value};
use crate::proto::Anatomy;
use crate::sanitise::cut;

/// The most layers that are believed.
const LAYERS_MAX: u64 = 4096;
/// The most of anything else that is counted in numbers per token.
const WIDTH_MAX: u64 = 1 << 24;

/// Metadata by their keys, from wherever.
pub trait Facts {
    fn text(&self, key: &str) -> Option<&str>;
    fn number(&self, key: &str) -> Option<i64>;
    /// An array of numbers or flags.
    fn numbers(&self, key: &str) -> Option<Vec<i64>>;
    /// How many entries an array has.
    fn length(&self, key: &str) -> Option<u64>;
}

impl Facts for Header {
    fn text(&self, key: &str) -> Option<&str> {
        Self::text(self, key)
    }
    fn number(&self, key: &str) -> Option<i64> {
        self.integer(key)
    }
    fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        self.integers(key).map(<[i64]>::to_vec)
    }
    fn length(&self, key: &str) -> Option<u64> {
        Self::length(self, key)
    }
}

impl Facts for serde_json::Map<String, serde_json::Value> {
    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
    fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_i64()
    }
    fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        let entry = |value: &serde_json::Value| value.as_i64().or_else(|| value.as_bool().map(i64::from));
        self.get(key)?.as_array()?.iter().take(LAYERS_MAX as usize).map(entry).collect()
    }
    fn length(&self, key: &str) -> Option<u64> {
        Some(self.get(key)?.as_array()?.len() as u64)
    }
}

/// One tensor: its name, what it takes, and how many rows it has (of the embeddings: the vocabulary).
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub name: &'a str,
    pub bytes: u64,
    pub rows: u64,
}

/// The tensors of a file, as it stores them.
pub fn tensors(header: &Header) -> impl Iterator<Item = Stored<'_>> {
    header.tensors.iter().map(|(name, tensor)| Stored {
        name,
        bytes: tensor.size,
        rows: tensor.shape.first().map_or(0, |rows| *rows as u64),
    })
}

/// The anatomy of a model. `None` when its architecture or the number of its layers is not told. `source` says where from, in words.
#[must_use]
pub fn anatomy<'a>(facts: &dyn Facts, tensors: impl Iterator<Item = Stored<'a>>, source: &str) -> Option<Anatomy> {
    let arch = facts.text("general.architecture")?;
    let of = Of { facts, arch };
    let layers = of.count("block_count", LAYERS_MAX).filter(|n| *n > 0)?;
    let width = of.count("embedding_length", WIDTH_MAX).unwrap_or(0);
    let heads = of.greatest("attention.head_count").unwrap_or(0);
    let split = split(tensors, layers);
    let head = width.checked_div(heads).unwrap_or(0);
    let mut anatomy = Anatomy {
        architecture: cut(arch, 40).into_owned(),
        layers,
        width,
        heads,
        vocabulary: of.vocabulary(split.vocabulary),
        head_k: of.count("attention.key_length", WIDTH_MAX).unwrap_or(head),
        head_v: of.count("attention.value_length", WIDTH_MAX).unwrap_or(head),
        windowed_head_k: of.count("attention.key_length_swa", WIDTH_MAX),
        windowed_head_v: of.count("attention.value_length_swa", WIDTH_MAX),
        inner: of.inner(),
        context_max: of.count("context_length", 1 << 30).filter(|n| *n > 0),
        weights: split.all,
        layer_weights: split.layers,
        input_weights: split.input,
        output_weights: split.output,
        tied: split.input > 0 && !split.has_output,
        projector: split.projector,
        source: source.to_owned(),
        ..Anatomy::default()
    };
    of.caches(&mut anatomy, &split.kinds);
    of.windows(&mut anatomy);
    Some(anatomy)
}

/// What kinds of memory the tensors of a layer tell of.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    attention: bool,
    recurrent: bool,
}

#[derive(Default)]
struct Split {
    all: u64,
    layers: Vec<u64>,
    kinds: Vec<Marks>,
    input: u64,
    output: u64,
    has_output: bool,
    projector: u64,
    vocabulary: u64,
}

fn split<'a>(tensors: impl Iterator<Item = Stored<'a>>, layers: u32) -> Split {
    let mut split = Split::default();
    let mut any = false;
    let mut fused = Vec::new();
    for tensor in tensors {
        any = true;
        if tensor.name.starts_with("v.") || tensor.name.starts_with("mm.") {
            split.projector = split.projector.saturating_add(tensor.bytes);
            continue;
        }
        split.all = split.all.saturating_add(tensor.bytes);
        let layer = tensor.name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        if let Some((at, what)) = layer.and_then(|(at, what)| Some((at.parse::<usize>().ok()?, what)))
            && at < layers as usize
        {
            split.layers.resize(layers as usize, 0);
            split.kinds.resize(layers as usize, Marks::default());
            if let (Some(bytes), Some(kind)) = (split.layers.get_mut(at), split.kinds.get_mut(at)) {
                *bytes = bytes.saturating_add(tensor.bytes);
                kind.attention |= what.starts_with("attn_k.") || what.starts_with("attn_kv_");
                kind.recurrent |= ["ssm_", "shortconv", "time_mix"].iter().any(|mark| what.starts_with(mark));
                if what.starts_with("attn_qkv.") {
                    fused.push(at);
                }
            }
        } else if tensor.name.starts_with("token_embd.") {
            split.input = split.input.saturating_add(tensor.bytes);
            split.vocabulary = tensor.rows;
        } else if tensor.name.starts_with("output") {
            split.output = split.output.saturating_add(tensor.bytes);
            split.has_output |= tensor.name == "output.weight";
        } else {
            split.input = split.input.saturating_add(tensor.bytes);
        }
    }
    for at in fused {
        // Query, key and value in one: attention, unless the layer is a recurrent one that has that too.
        if let Some(kind) = split.kinds.get_mut(at) {
            kind.attention |= !kind.recurrent;
        }
    }
    if !any {
        split.has_output = true;
    }
    split
}

/// Facts of one architecture.
struct Of<'a> {
    facts: &'a dyn Facts,
    arch: &'a str,
}

impl Of<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    fn count(&self, key: &str, most: u64) -> Option<u32> {
        let n = self.facts.number(&self.key(key))?;
        u64::try_from(n).ok().filter(|n| *n <= most).and_then(|n| u32::try_from(n).ok())
    }

    /// A number for each layer, or one for all.
    fn each(&self, key: &str) -> Option<Vec<u32>> {
        if let Some(one) = self.count(key, WIDTH_MAX) {
            return Some(vec![one]);
        }
        let all = self.facts.numbers(&self.key(key))?;
        let bounded = |n: &i64| u32::try_from(*n).ok().filter(|n| u64::from(*n) <= WIDTH_MAX);
        all.iter().take(LAYERS_MAX as usize).map(bounded).collect::<Option<Vec<u32>>>().filter(|all| !all.is_empty())
    }

    fn greatest(&self, key: &str) -> Option<u32> {
        self.each(key)?.into_iter().max()
    }

    fn vocabulary(&self, rows: u64) -> u32 {
        let told = self.count("vocab_size", WIDTH_MAX).map(u64::from);
        let found = told.or_else(|| self.facts.length("tokenizer.ggml.tokens")).unwrap_or(rows).min(WIDTH_MAX);
        u32::try_from(found).unwrap_or(0)
    }

    fn inner(&self) -> u32 {
        let dense = self.greatest("feed_forward_length").unwrap_or(0);
        let used = self.count("expert_used_count", 4096).unwrap_or(0);
        // Older files of mixtures tell one length for both.
        let expert = self.count("expert_feed_forward_length", WIDTH_MAX).unwrap_or(dense);
        let shared = self.count("expert_shared_feed_forward_length", WIDTH_MAX).unwrap_or(0);
        dense.max(expert.saturating_mul(used).saturating_add(shared)).min(1 << 26)
    }

    /// Which layers keep keys and values, and what the others keep.
    fn caches(&self, anatomy: &mut Anatomy, kinds: &[Marks]) {
        let layers = anatomy.layers;
        let kv = self.each("attention.head_count_kv").unwrap_or_else(|| vec![anatomy.heads]);
        let of = |layer: u32| if kv.len() == 1 { kv.first() } else { kv.get(layer as usize) }.copied().unwrap_or(0);
        let conv = u64::from(self.count("ssm.conv_kernel", 1024).unwrap_or(0));
        let inner = u64::from(self.count("ssm.inner_size", WIDTH_MAX).unwrap_or(0));
        let state = u64::from(self.count("ssm.state_size", 1 << 20).unwrap_or(0));
        let groups = u64::from(self.count("ssm.group_count", 1 << 16).unwrap_or(0));
        let wkv = u64::from(self.count("wkv.head_size", 1 << 16).unwrap_or(0));
        let short = u64::from(self.count("shortconv.l_cache", 1024).unwrap_or(0));
        let width = u64::from(anatomy.width);
        // `n_embd_r` and `n_embd_s`, both as 32-bit floats.
        let (shift, memory) = if wkv > 0 {
            (u64::from(self.count("token_shift_count", 16).unwrap_or(2)) * width, width * wkv)
        } else if short > 0 {
            ((short - 1) * width, 0)
        } else {
            (conv.saturating_sub(1).saturating_mul(inner.saturating_add(2 * groups * state)), state.saturating_mul(inner))
        };
        let kept = shift.saturating_add(memory).saturating_mul(4);
        let recurs = |layer: u32| match kinds.get(layer as usize) {
            _ if kept == 0 => false,
            Some(marks) => marks.recurrent,
            None => self.recurs_by_name(layer, of(layer)),
        };
        let attends = |layer: u32| match kinds.get(layer as usize) {
            // Only where some layers recur is a layer without keys not an odd name for them.
            Some(marks) if kept > 0 => marks.attention,
            _ => !recurs(layer) || self.arch == "falcon-h1",
        };
        let shared = self.count("attention.shared_kv_layers", LAYERS_MAX).unwrap_or(0);
        let from_start = if self.arch == "gemma3n" && shared == 0 { 20 } else { layers.saturating_sub(shared) };
        let recurrent = (0..layers).filter(|layer| recurs(*layer)).count() as u64;
        anatomy.state_bytes = recurrent.saturating_mul(kept);
        let heads: Vec<u32> = (0..layers).map(|layer| if layer < from_start && attends(layer) { of(layer) } else { 0 }).collect();
        let alike = heads.first().is_some_and(|first| heads.iter().all(|n| n == first));
        anatomy.kv_heads = if alike { heads.into_iter().take(1).collect() } else { heads };
        // DeepSeek's latent attention: one key for all heads, in which the value lies. Files from before keep all heads.
        if let Some(rank) = self.count("attention.kv_lora_rank", WIDTH_MAX).filter(|n| *n > 0)
            && self.count("attention.key_length_mla", WIDTH_MAX).is_some()
        {
            anatomy.kv_heads = vec![1];
            anatomy.head_k = rank + self.count("rope.dimension_count", WIDTH_MAX).unwrap_or(0);
            anatomy.head_v = 0;
        }
    }

    /// Where no tensors are told: whether a layer is a recurrent one.
    fn recurs_by_name(&self, layer: u32, kv_heads: u32) -> bool {
        match self.arch {
            "mamba" | "mamba2" | "rwkv6" | "rwkv6qwen2" | "rwkv7" | "arwkv7" | "falcon-h1" => true,
            "qwen3next" | "qwen35" | "qwen35moe" => {
                let every = self.count("full_attention_interval", LAYERS_MAX).filter(|n| *n > 0).unwrap_or(4);
                !(layer + 1).is_multiple_of(every)
            }
            _ => kv_heads == 0,
        }
    }

    fn windows(&self, anatomy: &mut Anatomy) {
        let size = match self.arch {
            // Its chunks are in no key.
            "llama4" => Some(self.count("attention.sliding_window", WIDTH_MAX).unwrap_or(8192)),
            _ => self.count("attention.sliding_window", WIDTH_MAX),
        };
        let Some(size) = size.filter(|n| *n > 0) else { return };
        let layers = anatomy.layers as usize;
        let key = self.key("attention.sliding_window_pattern");
        let windowed: Vec<bool> = match self.facts.numbers(&key) {
            Some(each) if each.len() >= layers => each.iter().take(layers).map(|n| *n != 0).collect(),
            _ => {
                let Some((period, dense_first)) = self.period(anatomy.layers) else { return };
                let period = self.count("attention.sliding_window_pattern", LAYERS_MAX).unwrap_or(period) as usize;
                let is = |at: usize| match (period, dense_first) {
                    (0, _) => true,
                    (period, true) => !at.is_multiple_of(period),
                    (period, false) => at % period < period - 1,
                };
                (0..layers).map(is).collect()
            }
        };
        if windowed.contains(&true) {
            anatomy.window = Some(size);
            anatomy.windowed = windowed;
        }
    }

    /// Every how many layers one sees everything, and whether it is the first of them. `None`: llama.cpp uses no windows, whatever
    /// the file says (Phi-3, Mistral, Qwen 2).
    fn period(&self, layers: u32) -> Option<(u32, bool)> {
        Some(match self.arch {
            "gemma2" | "gpt-oss" | "gptoss" => (2, false),
            "gemma3" | "gemma-embedding" => (6, false),
            "gemma3n" => (5, false),
            // Only the largest has windows.
            "exaone4" if layers < 64 => return None,
            "cohere2" | "cohere2moe" | "exaone4" | "exaone-moe" | "llama4" | "olmo2" | "afmoe" => (4, false),
            "smallthinker" | "laguna" => (4, true),
            _ => return None,
        })
    }
}

/// A value as people read it: on one line, long ones cut with how long they are.
#[must_use]
pub fn shown(value: &Value) -> String {
    const MOST: usize = 400;
    const FEW: usize = 12;
    let text = |text: &str| {
        let count = text.chars().count();
        if count <= MOST { text.to_owned() } else { format!("{}… ({count} characters)", text.chars().take(MOST).collect::<String>()) }
    };
    let list = |all: Vec<String>, of: &str, length: usize| {
        if length <= FEW { format!("[{}]", all.join(", ")) } else { format!("[{}, …] ({length} {of})", all.join(", ")) }
    };
    match value {
        Value::Integer(n) => n.to_string(),
        // One that was written with 32 bits is shown as it was meant.
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it was before")]
        Value::Float(x) => Some(*x as f32).filter(|short| f64::from(*short) == *x).map_or_else(|| x.to_string(), |short| short.to_string()),
        Value::Bool(b) => b.to_string(),
        Value::Text(all) => text(all),
        Value::Texts(all) => list(all.iter().take(FEW).map(|one| text(one)).collect(), "texts", all.len()),
        Value::Integers(all) => list(all.iter().take(FEW).map(i64::to_string).collect(), "numbers", all.len()),
        Value::Floats(all) => list(all.iter().take(FEW).map(f32::to_string).collect(), "numbers", all.len()),
        Value::Skipped { of, length } => format!("[{length} {of}]"),
    }
}
