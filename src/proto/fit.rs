//! What fits: what a model's memory is made of, how sure that is, and what is free.

use serde::{Deserialize, Serialize};

use super::{Figure, ModelRef, Parameters};

/// What decides how much memory a model takes, from the metadata of its GGUF file or from what its server tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Anatomy {
    /// `llama`, `gemma3`…
    pub architecture: String,
    pub layers: u32,
    /// The width of a token (embedding length).
    pub width: u32,
    pub vocabulary: u32,
    /// Heads of queries.
    pub heads: u32,
    /// Heads of keys and values of each layer; one number where all are alike. 0: that layer keeps none.
    pub kv_heads: Vec<u32>,
    /// Numbers of one key, and of one value (0: values lie in the keys, as in DeepSeek's latent attention).
    pub head_k: u32,
    pub head_v: u32,
    /// The same in windowed layers, where they differ.
    pub windowed_head_k: Option<u32>,
    pub windowed_head_v: Option<u32>,
    /// Numbers between the two halves of the widest feed-forward layer (of a mixture: of all experts that one token uses).
    pub inner: u32,
    /// Layers that look back only so many tokens keep no more than those.
    pub window: Option<u32>,
    /// For each layer whether it is windowed; empty: none, or all where the file does not tell.
    pub windowed: Vec<bool>,
    /// Bytes that a layer keeps whatever the context (recurrent layers), over all layers.
    pub state_bytes: u64,
    pub context_max: Option<u32>,
    /// All tensors, in bytes.
    pub weights: u64,
    /// Of these the layers that can be put on a GPU one by one, and the largest single other tensors (input, output).
    pub layer_weights: Vec<u64>,
    pub input_weights: u64,
    pub output_weights: u64,
    /// The input serves as output too; on a GPU it is there a second time.
    pub tied: bool,
    /// The part that reads images, when it is loaded too, in bytes.
    pub projector: u64,
    /// Where the figures come from: `the file`, `Ollama`, `llama-server`.
    pub source: String,
}

/// What a part of an estimate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    Weights,
    KvCache,
    /// Scratch for one batch.
    Compute,
    /// The process, the driver, the rest.
    Overhead,
    /// The part of the model that reads images.
    Projector,
}

/// One part of an estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EstimatePart {
    pub kind: PartKind,
    /// Bytes in the machine's memory and on GPUs.
    pub memory: u64,
    pub gpu: u64,
    /// How it was reckoned, in words: `8,192 tokens × 30 layers × 3 heads × (64 + 64) × f16`.
    pub how: String,
}

/// How much memory a model will take.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Estimate {
    pub parts: Vec<EstimatePart>,
    pub memory: u64,
    pub gpu: u64,
    /// The real figure is expected within this share of the estimate, to both sides: 0.1 is ± 10 %.
    pub margin: f64,
    /// What the margin is made of, and what was assumed.
    pub assumed: Vec<String>,
    pub context: u32,
}

/// What the estimate means on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Fits,
    /// Only just: within the margin.
    Tight,
    /// Not beside what is loaded now.
    Full,
    /// Not on this machine.
    Never,
    Unknown,
}

/// Whether a model fits, with all that the answer rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    pub model: ModelRef,
    /// With which load settings.
    pub parameters: Parameters,
    #[serde(default)]
    pub estimate: Option<Estimate>,
    /// Why there is no estimate.
    #[serde(default)]
    pub unknown: Option<String>,
    pub verdict: Verdict,
    #[serde(default)]
    pub free_memory: Option<u64>,
    #[serde(default)]
    pub total_memory: Option<u64>,
    #[serde(default)]
    pub free_gpu: Option<u64>,
    #[serde(default)]
    pub total_gpu: Option<u64>,
    /// What would have to stop to make room; never done unasked.
    #[serde(default)]
    pub stop: Vec<ModelRef>,
    /// What it took when it was last loaded with such settings (or takes now).
    #[serde(default)]
    pub real: Option<Figure>,
    /// Why that is not to be compared with the estimate.
    #[serde(default)]
    pub real_apart: Option<String>,
}
