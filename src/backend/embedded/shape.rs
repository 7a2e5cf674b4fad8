//! What kind of model a file holds: its sizes and the switches in which the families differ.
//!
//! Owns: the table of architectures. Invariant: every size is checked against the others and against bounds before a weight is
//! read, so that later code may multiply without overflow.

use crate::backend::gguf::{Header, shown};
use crate::error::{Error, Kind, Result};
use crate::sanitise::cut;

/// What stands between the two halves of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Silu,
    /// GELU by its tanh approximation.
    Gelu,
}

/// How positions are turned into queries and keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    pub base: f32,
    /// Positions are divided by this.
    pub scale: f32,
}

/// Some layers look only a window back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub size: usize,
    /// Every `every`-th layer sees everything.
    pub every: usize,
    /// The positions of windowed layers, where they differ.
    pub rope: Rope,
}

/// Sizes and switches of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    /// Heads of keys and values, shared by `heads / kv_heads` heads of queries.
    pub kv_heads: usize,
    /// Numbers of a key, and of a value.
    pub head: usize,
    pub inner: usize,
    pub vocabulary: usize,
    /// What the model was trained for, in tokens.
    pub context: usize,
    pub epsilon: f32,
    pub rope: Rope,
    /// How many numbers of a head are turned.
    pub rope_width: usize,
    /// Pairs lie half a head apart (NeoX), not side by side.
    pub rope_halves: bool,
    /// Each layer of this number is not told positions; 0: all are.
    pub rope_every: usize,
    pub window: Option<Window>,
    pub activation: Activation,
    /// Embeddings are multiplied by this.
    pub embedding_scale: f32,
    /// Scores are multiplied by this.
    pub attention_scale: f32,
    /// Scores are squeezed to within plus and minus this.
    pub attention_cap: Option<f32>,
    /// Logits are squeezed likewise.
    pub logit_cap: Option<f32>,
    /// Query, key and value in one tensor, gate and up in one.
    pub fused: bool,
}

/// Architectures that run, as `general.architecture` names them.
pub const ARCHITECTURES: &[&str] = &["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3", "smollm3"];

impl Shape {
    /// Reads sizes from the metadata.
    ///
    /// # Errors
    /// `Kind::Unsupported` for an architecture without code here, `Kind::File` for sizes that cannot be.
    pub fn from_header(header: &Header) -> Result<Self> {
        let arch = header.architecture();
        if !ARCHITECTURES.contains(&arch) {
            return Err(unknown(header, arch));
        }
        let key = |name: &str| header.arch_key(name);
        let need = |name: &str, least: usize, most: usize| {
            let found =
                header.count(&key(name)).ok_or_else(|| odd(header, &format!("does not say its {}", name.replace(['.', '_'], " "))))?;
            if (least..=most).contains(&found) {
                Ok(found)
            } else {
                Err(odd(header, &format!("says that its {} is {found}", name.replace(['.', '_'], " "))))
            }
        };
        if header.count(&key("expert_count")).is_some_and(|n| n > 1) {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{} is a mixture of experts, which the embedded engine has no code for.", shown(&header.path)),
            )
            .hint("Run this model with llama-server or Ollama, and add that as a backend."));
        }
        let layers = need("block_count", 1, 1024)?;
        let width = need("embedding_length", 1, 1 << 17)?;
        let heads = need("attention.head_count", 1, 1024)?;
        let kv_heads = match header.count(&key("attention.head_count_kv")) {
            Some(_) => need("attention.head_count_kv", 1, heads)?,
            None => heads,
        };
        let inner = need("feed_forward_length", 1, 1 << 20)?;
        let context = need("context_length", 1, 1 << 28)?;
        let head = match header.count(&key("attention.key_length")) {
            Some(_) => need("attention.key_length", 2, 1024)?,
            None => width / heads,
        };
        if header.count(&key("attention.value_length")).is_some_and(|v| v != head) {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{} has keys and values of different lengths, which the embedded engine has no code for.", shown(&header.path)),
            )
            .hint("Run this model with llama-server or Ollama, and add that as a backend."));
        }
        if heads % kv_heads != 0 || head % 2 != 0 || head == 0 {
            return Err(odd(header, "has heads that do not divide evenly"));
        }
        let rope_width = header.count(&key("rope.dimension_count")).unwrap_or(head);
        if rope_width == 0 || rope_width > head || !rope_width.is_multiple_of(2) {
            return Err(odd(header, &format!("turns {rope_width} of {head} numbers")));
        }
        let vocabulary = header
            .tensors
            .get("token_embd.weight")
            .and_then(|t| t.shape.first().copied())
            .filter(|n| (1..=1 << 22).contains(n))
            .ok_or_else(|| odd(header, "has no embeddings"))?;
        #[expect(clippy::cast_possible_truncation, reason = "settings of a few digits")]
        let float = |name: &str| header.float(&key(name)).filter(|x| x.is_finite()).map(|x| x as f32);
        let gemma = arch.starts_with("gemma");
        let base = float("rope.freq_base").unwrap_or(if arch == "gemma3" { 1_000_000.0 } else { 10_000.0 });
        if let Some(kind) = header.text(&key("rope.scaling.type")).filter(|t| !matches!(*t, "none" | "linear" | "longrope")) {
            return Err(Error::new(
                Kind::Unsupported,
                format!("The model stretches positions by `{}`, which the embedded engine has no code for.", cut(kind, 20)),
            )
            .hint("Run this model with llama-server or Ollama, and add that as a backend."));
        }
        let scale = match header.text(&key("rope.scaling.type")) {
            Some("linear") => float("rope.scaling.factor").filter(|f| *f >= 1.0).unwrap_or(1.0),
            None if arch == "gemma3" => float("rope.scaling.factor").filter(|f| *f >= 1.0).unwrap_or(1.0),
            _ => 1.0,
        };
        let rope = Rope { base, scale };
        let window = header.count(&key("attention.sliding_window")).filter(|w| *w > 0).and_then(|size| match arch {
            "gemma3" => {
                let base = float("rope.local_freq_base").or_else(|| float("rope.freq_base_swa")).unwrap_or(10_000.0);
                Some(Window { size, every: 6, rope: Rope { base, scale: 1.0 } })
            }
            "gemma2" => Some(Window { size, every: 2, rope }),
            // Files of Mistral and Phi name a window that llama.cpp does not use either.
            _ => None,
        });
        #[expect(clippy::cast_precision_loss, reason = "sizes of a few digits")]
        let (width_f, heads_f, head_f) = (width as f32, heads as f32, head as f32);
        let attention_scale = match arch {
            // The 27B models of both families scale by their width per head.
            "gemma2" if layers == 46 => width_f / heads_f,
            "gemma3" if layers == 62 => width_f / heads_f,
            _ => head_f,
        }
        .sqrt()
        .recip();
        Ok(Self {
            layers,
            width,
            heads,
            kv_heads,
            head,
            inner,
            vocabulary,
            context,
            epsilon: float("attention.layer_norm_rms_epsilon").filter(|e| *e > 0.0).unwrap_or(1e-5),
            rope,
            rope_width,
            rope_halves: !matches!(arch, "llama" | "smollm3"),
            rope_every: if arch == "smollm3" { 4 } else { 0 },
            window,
            activation: if gemma { Activation::Gelu } else { Activation::Silu },
            embedding_scale: if gemma { width_f.sqrt() } else { 1.0 },
            attention_scale,
            attention_cap: (arch == "gemma2").then(|| float("attn_logit_softcapping").unwrap_or(50.0)),
            logit_cap: (arch == "gemma2").then(|| float("final_logit_softcapping").unwrap_or(30.0)),
            fused: arch == "phi3",
        })
    }

    /// The window of a layer; `None` when it sees everything.
    #[must_use]
    pub fn window_of(&self, layer: usize) -> Option<Window> {
        self.window.filter(|w| !(layer + 1).is_multiple_of(w.every))
    }
}

fn unknown(header: &Header, arch: &str) -> Error {
    let what = match arch {
        "clip" | "mmproj" => Some("an image encoder that goes with another model"),
        "bert" | "nomic-bert" | "jina-bert-v2" | "gemma-embedding" => Some("an embedding model: it writes no text"),
        "whisper" => Some("a speech recogniser"),
        _ => None,
    };
    let name = shown(&header.path);
    match what {
        Some(what) => Error::new(Kind::Unsupported, format!("{name} is {what}, so one cannot talk with it.")),
        None => Error::new(
            Kind::Unsupported,
            format!("{name} is of the architecture `{}`, which the embedded engine has no code for.", cut(arch, 40)),
        )
        .hint(format!("It runs: {}.", ARCHITECTURES.join(", ")))
        .hint("Run this model with llama-server or Ollama, and add that as a backend."),
    }
}

fn odd(header: &Header, what: &str) -> Error {
    Error::new(Kind::File, format!("{} {what}, so it cannot be run.", shown(&header.path))).hint("Take another GGUF file of this model.")
}
