//! The transformer itself: weights of the dense decoder families, and one pass over some tokens.
//!
//! Owns: the order of operations (as in llama.cpp's graphs and candle's `quantized_*` models, MIT/Apache-2.0). Refuses: sampling,
//! text. Invariant: a pass writes exactly the positions it was given into the cache, so that a cache cut back to a common prefix
//! is as good as one that never went further.

use super::attention::{self, Layout};
use super::cache::Cache;
use super::matrix::{Buffers, Code, Loader, Matrix, times};
use super::shape::{Activation, Rope, Shape};
use super::simd::{self, Work};
use super::tokenizer::Token;
use crate::backend::gguf::Header;
use crate::error::{Error, Kind, Result};

struct Layer {
    attention_norm: Vec<f32>,
    /// Query, key and value: three matrices, or all in one.
    qkv: Vec<Matrix>,
    qkv_bias: [Option<Vec<f32>>; 3],
    query_norm: Option<Vec<f32>>,
    key_norm: Option<Vec<f32>>,
    attention_out: Matrix,
    attention_out_bias: Option<Vec<f32>>,
    attention_post_norm: Option<Vec<f32>>,
    inner_norm: Vec<f32>,
    /// Gate and up: two matrices, or both in one.
    gate_up: Vec<Matrix>,
    down: Matrix,
    inner_post_norm: Option<Vec<f32>>,
}

/// A loaded model.
pub struct Model {
    pub shape: Shape,
    embeddings: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None`: the embeddings serve.
    output: Option<Matrix>,
    turns: Turns,
    window_turns: Option<Turns>,
    scratch: Scratch,
}

/// Angle per position of each turned pair, and what the turned numbers are multiplied by.
struct Turns {
    angles: Vec<f32>,
    magnitude: f32,
}

impl Turns {
    fn new(rope: Rope, width: usize, factors: Option<&[f32]>, magnitude: f32) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "positions within a head")]
        let angles = (0..width / 2)
            .map(|i| {
                let factor = factors.and_then(|f| f.get(i)).copied().unwrap_or(1.0);
                1.0 / rope.base.powf((2 * i) as f32 / width as f32) / rope.scale / factor
            })
            .collect();
        Self { angles, magnitude }
    }

    /// Cosines and sines for `count` positions from `start` on.
    fn at(&self, start: usize, count: usize, out: &mut Vec<(f32, f32)>) {
        out.clear();
        for position in start..start + count {
            out.extend(self.angles.iter().map(|angle| {
                #[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^24 tokens")]
                let (sin, cos) = (position as f32 * angle).sin_cos();
                (cos * self.magnitude, sin * self.magnitude)
            }));
        }
    }
}

/// Which positions a layer uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turned {
    All,
    Window,
}

/// Turns one head's numbers.
fn turn(by: &[(f32, f32)], halves: bool, head: &mut [f32]) {
    if halves {
        if let Some((first, second)) = head.split_at_mut_checked(by.len()) {
            for (((cos, sin), x), y) in by.iter().zip(first).zip(second) {
                (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
            }
        }
    } else {
        for ((cos, sin), [x, y]) in by.iter().zip(head.as_chunks_mut::<2>().0) {
            (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
        }
    }
}

/// Buffers of a pass, kept so that a token allocates nothing.
#[derive(Default)]
struct Scratch {
    stream: Vec<f32>,
    normed: Vec<f32>,
    qkv: [Vec<f32>; 3],
    fused: Vec<f32>,
    mixed: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    out: Vec<f32>,
    /// Cosine and sine of each turned pair, for each position of the pass.
    turned: Vec<(f32, f32)>,
    window_turned: Vec<(f32, f32)>,
    buffers: Buffers,
}

impl Model {
    /// Loads all weights. `progress` gets bytes done and in all, and ends the loading by `false`.
    ///
    /// # Errors
    /// As [`Loader`] and [`Shape::from_header`].
    pub fn load(header: &Header, code: Code, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Self> {
        let shape = Shape::from_header(header)?;
        let mut loader = Loader::new(header, code, progress)?;
        let (width, vocabulary) = (shape.width, shape.vocabulary);
        let embeddings = loader.matrix("token_embd.weight", vocabulary, width)?;
        let mut layers = Vec::new();
        for at in 0..shape.layers {
            layers.push(Layer::load(&mut loader, &shape, &format!("blk.{at}"))?);
        }
        let norm = loader.vector("output_norm.weight", width)?;
        let output = if loader.has("output.weight") { Some(loader.matrix("output.weight", vocabulary, width)?) } else { None };
        let factors = ["rope_freqs.weight", "rope_factors_short.weight"].into_iter().find(|name| loader.has(name));
        let factors = factors.map(|name| loader.vector(name, shape.rope_width / 2)).transpose()?;
        #[expect(clippy::cast_possible_truncation, reason = "a factor near 1")]
        let magnitude = header.float(&header.arch_key("rope.scaling.attn_factor")).map_or(1.0, |f| f as f32);
        let turns = Turns::new(shape.rope, shape.rope_width, factors.as_deref(), magnitude);
        let window_turns = shape.window.map(|w| Turns::new(w.rope, shape.rope_width, None, 1.0));
        Ok(Self { shape, embeddings, layers, norm, output, turns, window_turns, scratch: Scratch::default() })
    }

    /// What the weights take in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(|l| l.qkv.iter().chain(&l.gate_up).chain([&l.attention_out, &l.down]));
        layers.chain([&self.embeddings]).chain(&self.output).map(Matrix::bytes).sum()
    }

    /// Reads `tokens` at the end of what the cache holds. With `logits`, gives the row for what comes after the last of them.
    ///
    /// # Errors
    /// `Kind::Internal` when a token is not of this vocabulary.
    pub fn pass(&mut self, tokens: &[Token], cache: &mut Cache, logits: Option<&mut Vec<f32>>) -> Result<()> {
        let shape = &self.shape;
        let (count, width) = (tokens.len(), shape.width);
        let start = cache.len();
        let s = &mut self.scratch;
        resize(&mut s.stream, count * width);
        for (token, row) in tokens.iter().zip(s.stream.chunks_exact_mut(width)) {
            self.embeddings.row(*token, row)?;
        }
        if shape.embedding_scale != 1.0 {
            s.stream.iter_mut().for_each(|x| *x *= shape.embedding_scale);
        }
        resize(&mut s.normed, count * width);
        resize(&mut s.out, count * width);
        self.turns.at(start, count, &mut s.turned);
        if let Some(turns) = &self.window_turns {
            turns.at(start, count, &mut s.window_turned);
        }
        for (at, layer) in self.layers.iter().enumerate() {
            let window = shape.window_of(at);
            let turns = if window.is_some() { Turned::Window } else { Turned::All };
            let turns = (shape.rope_every == 0 || (at + 1) % shape.rope_every != 0).then_some(turns);
            norm_rows(&s.stream, &layer.attention_norm, shape.epsilon, &mut s.normed);
            layer.project(shape, count, s)?;
            layer.position(shape, turns, s);
            let [q, k, v] = &s.qkv;
            cache.append(at, k, v);
            let layout = Layout {
                heads: shape.heads,
                kv_heads: shape.kv_heads,
                head: shape.head,
                start,
                window: window.map(|w| w.size),
                scale: shape.attention_scale,
                cap: shape.attention_cap,
            };
            resize(&mut s.mixed, count * shape.heads * shape.head);
            if let Some(read) = cache.layer(at) {
                attention::mix(&layout, q, read, &mut s.mixed);
            }
            layer.attention_out.times(count, &s.mixed, &mut s.out, &mut s.buffers)?;
            add_bias(&mut s.out, layer.attention_out_bias.as_deref());
            post_norm(&mut s.out, layer.attention_post_norm.as_deref(), shape.epsilon);
            add(&mut s.stream, &s.out);
            norm_rows(&s.stream, &layer.inner_norm, shape.epsilon, &mut s.normed);
            layer.inner(shape, count, s)?;
            post_norm(&mut s.out, layer.inner_post_norm.as_deref(), shape.epsilon);
            add(&mut s.stream, &s.out);
        }
        cache.advance(tokens);
        if let Some(logits) = logits {
            resize(logits, shape.vocabulary);
            let last = s.stream.len().saturating_sub(width);
            resize(&mut s.normed, width);
            norm_rows(s.stream.get(last..).unwrap_or_default(), &self.norm, shape.epsilon, &mut s.normed);
            self.output.as_ref().unwrap_or(&self.embeddings).times(1, &s.normed, logits, &mut s.buffers)?;
            if let Some(cap) = shape.logit_cap {
                logits.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
            }
        }
        Ok(())
    }
}

impl Layer {
    fn load(loader: &mut Loader<'_>, shape: &Shape, prefix: &str) -> Result<Self> {
        let name = |what: &str| format!("{prefix}.{what}");
        let (width, inner) = (shape.width, shape.inner);
        let (queries, keys) = (shape.heads * shape.head, shape.kv_heads * shape.head);
        let mut some = |what: &str, length: usize| -> Result<Option<Vec<f32>>> {
            let name = format!("{prefix}.{what}");
            if loader.has(&name) { loader.vector(&name, length).map(Some) } else { Ok(None) }
        };
        let qkv_bias = [some("attn_q.bias", queries)?, some("attn_k.bias", keys)?, some("attn_v.bias", keys)?];
        let query_norm = some("attn_q_norm.weight", shape.head)?;
        let key_norm = some("attn_k_norm.weight", shape.head)?;
        let attention_out_bias = some("attn_output.bias", width)?;
        let attention_post_norm = some("post_attention_norm.weight", width)?;
        let inner_post_norm = some("post_ffw_norm.weight", width)?;
        let qkv = if shape.fused {
            vec![loader.matrix(&name("attn_qkv.weight"), queries + 2 * keys, width)?]
        } else {
            vec![
                loader.matrix(&name("attn_q.weight"), queries, width)?,
                loader.matrix(&name("attn_k.weight"), keys, width)?,
                loader.matrix(&name("attn_v.weight"), keys, width)?,
            ]
        };
        let gate_up = if shape.fused {
            vec![loader.matrix(&name("ffn_up.weight"), 2 * inner, width)?]
        } else {
            vec![loader.matrix(&name("ffn_gate.weight"), inner, width)?, loader.matrix(&name("ffn_up.weight"), inner, width)?]
        };
        Ok(Self {
            attention_norm: loader.vector(&name("attn_norm.weight"), width)?,
            qkv,
            qkv_bias,
            query_norm,
            key_norm,
            attention_out: loader.matrix(&name("attn_output.weight"), width, queries)?,
            attention_out_bias,
            attention_post_norm,
            inner_norm: loader.vector(&name("ffn_norm.weight"), width)?,
            gate_up,
            down: loader.matrix(&name("ffn_down.weight"), width, inner)?,
            inner_post_norm,
        })
    }

    /// Queries, keys and values of the normed stream.
    fn project(&self, shape: &Shape, count: usize, s: &mut Scratch) -> Result<()> {
        let lengths = [shape.heads, shape.kv_heads, shape.kv_heads].map(|heads| heads * shape.head);
        for (part, length) in s.qkv.iter_mut().zip(lengths) {
            resize(part, count * length);
        }
        match self.qkv.as_slice() {
            [fused] => {
                resize(&mut s.fused, count * fused.rows);
                fused.times(count, &s.normed, &mut s.fused, &mut s.buffers)?;
                split_rows(&s.fused, fused.rows, &lengths, &mut s.qkv);
            }
            parts => {
                let mut all: Vec<(&Matrix, &mut [f32])> = parts.iter().zip(s.qkv.iter_mut().map(Vec::as_mut_slice)).collect();
                times(&mut all, count, &s.normed, &mut s.buffers)?;
            }
        }
        for (part, bias) in s.qkv.iter_mut().zip(&self.qkv_bias) {
            add_bias(part, bias.as_deref());
        }
        Ok(())
    }

    /// Norms of queries and keys, and their positions.
    fn position(&self, shape: &Shape, turns: Option<Turned>, s: &mut Scratch) {
        let Scratch { qkv: [q, k, _], turned, window_turned, .. } = s;
        let turned = turns.map(|which| if which == Turned::Window { &*window_turned } else { &*turned });
        for (part, heads, norm) in [(q, shape.heads, &self.query_norm), (k, shape.kv_heads, &self.key_norm)] {
            post_norm(part, norm.as_deref(), shape.epsilon);
            let Some(turned) = turned else { continue };
            for (by, row) in turned.chunks_exact(shape.rope_width / 2).zip(part.chunks_exact_mut(heads * shape.head)) {
                for head in row.chunks_exact_mut(shape.head) {
                    turn(by, shape.rope_halves, head);
                }
            }
        }
    }

    fn inner(&self, shape: &Shape, count: usize, s: &mut Scratch) -> Result<()> {
        resize(&mut s.gate, count * shape.inner);
        resize(&mut s.up, count * shape.inner);
        match self.gate_up.as_slice() {
            [gate, up] => {
                times(&mut [(gate, &mut s.gate), (up, &mut s.up)], count, &s.normed, &mut s.buffers)?;
            }
            [fused] => {
                resize(&mut s.fused, count * fused.rows);
                fused.times(count, &s.normed, &mut s.fused, &mut s.buffers)?;
                for ((both, gate), up) in
                    s.fused.chunks_exact(2 * shape.inner).zip(s.gate.chunks_exact_mut(shape.inner)).zip(s.up.chunks_exact_mut(shape.inner))
                {
                    let (first, second) = both.split_at(shape.inner);
                    gate.copy_from_slice(first);
                    up.copy_from_slice(second);
                }
            }
            _ => return Err(Error::new(Kind::Internal, "A layer of the model was put together wrongly.")),
        }
        simd::best(Gate { activation: shape.activation, gate: &mut s.gate, up: &s.up });
        self.down.times(count, &s.gate, &mut s.out, &mut s.buffers)
    }
}

/// `gate = activation(gate) * up`.
struct Gate<'a> {
    activation: Activation,
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Work for Gate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        match self.activation {
            Activation::Silu => {
                for (gate, up) in self.gate.iter_mut().zip(self.up) {
                    *gate = *gate * up / (1.0 + simd::exp::<FUSED>(-*gate));
                }
            }
            Activation::Gelu => {
                for (gate, up) in self.gate.iter_mut().zip(self.up) {
                    let inner = 0.797_884_6 * (*gate + 0.044_715 * *gate * *gate * *gate);
                    // tanh by way of e^x: 1 + tanh(x) = 2 / (1 + e^-2x)
                    *gate = *gate * up / (1.0 + simd::exp::<FUSED>(-2.0 * inner));
                }
            }
        }
    }
}

fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}

fn norm_rows(x: &[f32], weights: &[f32], epsilon: f32, out: &mut [f32]) {
    for (row, out) in x.chunks_exact(weights.len()).zip(out.chunks_exact_mut(weights.len())) {
        out.copy_from_slice(row);
        norm(out, weights, epsilon);
    }
}

/// Norms each piece of the weights' length in place.
fn post_norm(x: &mut [f32], weights: Option<&[f32]>, epsilon: f32) {
    if let Some(weights) = weights {
        x.chunks_exact_mut(weights.len()).for_each(|row| norm(row, weights, epsilon));
    }
}

fn norm(row: &mut [f32], weights: &[f32], epsilon: f32) {
    simd::best(Norm { row, weights, epsilon });
}

struct Norm<'a> {
    row: &'a mut [f32],
    weights: &'a [f32],
    epsilon: f32,
}

impl Work for Norm<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        #[expect(clippy::cast_precision_loss, reason = "widths of a few thousand")]
        let mean = simd::dot::<FUSED>(self.row, self.row) / self.row.len() as f32;
        let scale = 1.0 / (mean + self.epsilon).sqrt();
        for (x, w) in self.row.iter_mut().zip(self.weights) {
            *x *= scale * w;
        }
    }
}

fn add(to: &mut [f32], what: &[f32]) {
    for (a, b) in to.iter_mut().zip(what) {
        *a += b;
    }
}

fn add_bias(x: &mut [f32], bias: Option<&[f32]>) {
    if let Some(bias) = bias {
        x.chunks_exact_mut(bias.len()).for_each(|row| add(row, bias));
    }
}

/// Cuts each row of `all` into parts of the given lengths.
fn split_rows(all: &[f32], row: usize, lengths: &[usize; 3], parts: &mut [Vec<f32>; 3]) {
    for (at, all) in all.chunks_exact(row).enumerate() {
        let mut rest = all;
        for (part, length) in parts.iter_mut().zip(lengths) {
            let (head, tail) = rest.split_at(*length);
            if let Some(slot) = part.get_mut(at * length..(at + 1) * length) {
                slot.copy_from_slice(head);
            }
            rest = tail;
        }
    }
}
