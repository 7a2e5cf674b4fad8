//! Whole models: tiny ones with random weights, against candle's own code for their family.

use std::io::Cursor;
use std::sync::Mutex;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_gemma3, quantized_llama, quantized_phi3, quantized_qwen2, quantized_qwen3};

use super::super::cache::Cache;
use super::super::matrix::Code;
use super::super::model::Model;
use super::super::shape::Activation;
use super::{Writer, noise};
use crate::backend::gguf::{Header, Want};
use crate::error::Kind;

const VOCABULARY: usize = 50;
const WIDTH: usize = 32;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const INNER: usize = 48;
const TOKENS: [u32; 14] = [3, 14, 15, 9, 2, 6, 5, 35, 8, 9, 7, 9, 32, 38];

/// A model of two layers. `head`: numbers of a key.
fn tiny(arch: &str, head: usize) -> Writer {
    let key = |name: &str| format!("{arch}.{name}");
    let mut w = Writer::default()
        .text("general.architecture", arch)
        .int(&key("block_count"), 2)
        .int(&key("context_length"), 128)
        .int(&key("embedding_length"), WIDTH as u32)
        .int(&key("feed_forward_length"), INNER as u32)
        .int(&key("attention.head_count"), HEADS as u32)
        .int(&key("attention.head_count_kv"), KV_HEADS as u32)
        .int(&key("attention.key_length"), head as u32)
        .int(&key("attention.value_length"), head as u32)
        .int(&key("rope.dimension_count"), head as u32)
        .float(&key("rope.freq_base"), 10_000.0)
        .float(&key("attention.layer_norm_rms_epsilon"), 1e-5);
    let mut seed = 0;
    let mut tensor = |w: Writer, name: &str, shape: &[usize]| {
        seed += 1;
        let mut values = noise(seed, shape.iter().product());
        if name.contains("norm") {
            values.iter_mut().for_each(|v| *v += 1.0);
        }
        w.tensor(name, shape, &values)
    };
    w = tensor(w, "token_embd.weight", &[VOCABULARY, WIDTH]);
    w = tensor(w, "output_norm.weight", &[WIDTH]);
    if arch == "phi3" || arch == "llama" {
        w = tensor(w, "output.weight", &[VOCABULARY, WIDTH]);
    }
    let (q, k) = (HEADS * head, KV_HEADS * head);
    for layer in 0..2 {
        let name = |what: &str| format!("blk.{layer}.{what}");
        w = tensor(w, &name("attn_norm.weight"), &[WIDTH]);
        w = tensor(w, &name("ffn_norm.weight"), &[WIDTH]);
        w = tensor(w, &name("attn_output.weight"), &[WIDTH, q]);
        w = tensor(w, &name("ffn_down.weight"), &[WIDTH, INNER]);
        if arch == "phi3" {
            w = tensor(w, &name("attn_qkv.weight"), &[q + 2 * k, WIDTH]);
            w = tensor(w, &name("ffn_up.weight"), &[2 * INNER, WIDTH]);
            continue;
        }
        for (what, rows) in [("attn_q", q), ("attn_k", k), ("attn_v", k)] {
            w = tensor(w, &name(&format!("{what}.weight")), &[rows, WIDTH]);
            if arch == "qwen2" {
                w = tensor(w, &name(&format!("{what}.bias")), &[rows]);
            }
        }
        w = tensor(w, &name("ffn_gate.weight"), &[INNER, WIDTH]);
        w = tensor(w, &name("ffn_up.weight"), &[INNER, WIDTH]);
        if arch == "qwen3" || arch == "gemma3" {
            w = tensor(w, &name("attn_q_norm.weight"), &[head]);
            w = tensor(w, &name("attn_k_norm.weight"), &[head]);
        }
        if arch == "gemma3" {
            w = tensor(w, &name("post_attention_norm.weight"), &[WIDTH]);
            w = tensor(w, &name("post_ffw_norm.weight"), &[WIDTH]);
        }
    }
    w
}

fn load(writer: &Writer) -> crate::error::Result<Model> {
    let (_folder, path) = writer.file();
    let header = Header::read(&path, Want::Everything)?;
    Model::load(&header, Code::own().unwrap_or(Code::Library), &mut |_, _| true)
}

/// The logits after each of the token lists, read one after the other into one cache.
fn ours(model: &mut Model, cache: &mut Cache, parts: &[&[u32]]) -> Vec<f32> {
    let mut logits = Vec::new();
    for part in parts {
        model.pass(part, cache, Some(&mut logits)).unwrap();
    }
    logits
}

fn close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let size = b.iter().map(|b| b.abs()).fold(0.0, f32::max);
    assert!(off < 1e-3 * size.max(1.0), "{what}: off by {off} of {size}\n{a:?}\n{b:?}");
}

/// candle's logits after all tokens.
fn theirs(arch: &str, bytes: &[u8]) -> Vec<f32> {
    let mut reader = Cursor::new(bytes);
    let content = Content::read(&mut reader).unwrap();
    let cpu = &Device::Cpu;
    let input = Tensor::new(TOKENS.as_slice(), cpu).unwrap().unsqueeze(0).unwrap();
    let logits = match arch {
        "llama" => quantized_llama::ModelWeights::from_gguf(content, &mut reader, cpu).unwrap().forward(&input, 0),
        "qwen2" => quantized_qwen2::ModelWeights::from_gguf(content, &mut reader, cpu).unwrap().forward(&input, 0),
        "qwen3" => quantized_qwen3::ModelWeights::from_gguf(content, &mut reader, cpu).unwrap().forward(&input, 0),
        "gemma3" => quantized_gemma3::ModelWeights::from_gguf(content, &mut reader, cpu).unwrap().forward(&input, 0),
        "phi3" => quantized_phi3::ModelWeights::from_gguf(false, content, &mut reader, cpu).unwrap().forward(&input, 0),
        other => panic!("no reference for {other}"),
    };
    logits.unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn families_compute_what_candle_computes() {
    // (family, numbers of a key: some let it differ from the width per head)
    for (arch, head) in [("llama", 8), ("qwen2", 8), ("qwen3", 16), ("phi3", 8), ("gemma3", 16)] {
        let writer = if arch == "gemma3" { tiny(arch, head).int("gemma3.attention.sliding_window", 64) } else { tiny(arch, head) };
        let mut model = load(&writer).unwrap();
        // candle 0.11.1 has SiLU where Gemma has GELU; all else is compared. The real Gemma is held against llama.cpp in tests/engine.rs.
        model.shape.activation = Activation::Silu;
        let mut cache = Cache::new(&model.shape);
        close(&ours(&mut model, &mut cache, &[&TOKENS]), &theirs(arch, &writer.bytes()), arch);
    }
}

#[test]
fn pieces_cuts_and_copies_of_the_cache_change_nothing() {
    for arch in ["llama", "gemma3"] {
        let writer = if arch == "gemma3" { tiny(arch, 16).int("gemma3.attention.sliding_window", 4) } else { tiny(arch, 8) };
        let mut model = load(&writer).unwrap();
        let whole = ours(&mut model, &mut Cache::new(&load(&writer).unwrap().shape), &[&TOKENS]);
        let mut cache = Cache::new(&model.shape);
        close(&ours(&mut model, &mut cache, &[&TOKENS[..5], &TOKENS[5..6], &TOKENS[6..]]), &whole, "in pieces");
        assert_eq!(cache.len(), TOKENS.len());
        // Another branch, then back to the first.
        cache.truncate(6);
        ours(&mut model, &mut cache, &[&[1, 1, 1]]);
        assert_eq!(cache.common(&TOKENS), 6);
        let mut copy = Cache::new(&model.shape);
        copy.copy_prefix(&cache, 6);
        close(&ours(&mut model, &mut copy, &[&TOKENS[6..]]), &whole, "from a copy");
        cache.truncate(6);
        close(&ours(&mut model, &mut cache, &[&TOKENS[6..]]), &whole, "after a cut");
    }
}

#[test]
fn a_window_hides_what_lies_before_it() {
    let narrow = tiny("gemma3", 16).int("gemma3.attention.sliding_window", 3);
    let wide = tiny("gemma3", 16).int("gemma3.attention.sliding_window", 64);
    let run = |writer: &Writer, tokens: &[u32]| {
        let mut model = load(writer).unwrap();
        let mut cache = Cache::new(&model.shape);
        ours(&mut model, &mut cache, &[tokens])
    };
    // Two layers with a window of three see five tokens back.
    let mut other = TOKENS;
    other[0] = 44;
    assert_eq!(run(&narrow, &TOKENS), run(&narrow, &other));
    assert_ne!(run(&wide, &TOKENS), run(&wide, &other));
}

#[test]
fn what_has_no_code_says_what_it_is() {
    let kind = |writer: &Writer| load(writer).err().unwrap();
    let error = kind(&tiny("mamba", 8));
    assert_eq!(error.kind, Kind::Unsupported);
    assert!(error.message.contains("mamba") && error.hints.iter().any(|h| h.contains("llama-server")), "{error:?}");
    assert!(kind(&tiny("bert", 8)).message.contains("embedding model"));
    assert!(kind(&tiny("llama", 8).int("llama.expert_count", 8)).message.contains("mixture of experts"));
    assert!(kind(&tiny("llama", 8).text("llama.rope.scaling.type", "yarn")).message.contains("yarn"));
    let error = kind(&tiny("llama", 8).raw("extra", &[256], 16, vec![0; 66]));
    assert!(error.message.contains("IQ2_XXS") && error.kind == Kind::Unsupported, "{error:?}");
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for (key, value) in [
        ("llama.block_count", 0),
        ("llama.block_count", 100_000_000),
        ("llama.block_count", 3),
        ("llama.attention.head_count", 0),
        ("llama.attention.head_count", 1000),
        ("llama.attention.head_count_kv", 3),
        ("llama.attention.head_count_kv", 0),
        ("llama.embedding_length", 0),
        ("llama.embedding_length", 31),
        ("llama.feed_forward_length", 1 << 30),
        ("llama.attention.key_length", 7),
        ("llama.rope.dimension_count", 64),
        ("llama.context_length", 0),
    ] {
        let error = load(&tiny("llama", 8).int(key, value)).err().unwrap_or_else(|| panic!("{key} {value} was taken"));
        assert!(matches!(error.kind, Kind::File | Kind::Unsupported), "{key} {value}: {error:?}");
        assert!(error.message.contains("tiny.gguf"), "{error:?}");
    }
    let error = load(&Writer::default().text("general.architecture", "llama")).err().unwrap();
    assert!(error.message.contains("does not say its block count"), "{error:?}");
}

#[test]
fn loading_tells_how_far_it_is_and_can_be_stopped() {
    let (_folder, path) = tiny("llama", 8).file();
    let header = Header::read(&path, Want::Everything).unwrap();
    let told = Mutex::new(Vec::new());
    Model::load(&header, Code::best(), &mut |done, total| {
        told.lock().unwrap().push((done, total));
        true
    })
    .unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted() && told.last().is_some_and(|(done, total)| done == total), "{told:?}");
    let error = Model::load(&header, Code::best(), &mut |_, _| false).err().unwrap();
    assert_eq!(error.kind, Kind::Cancelled);
}

#[test]
fn a_token_of_another_vocabulary_is_an_error_and_leaves_the_cache_whole() {
    let mut model = load(&tiny("llama", 8)).unwrap();
    let mut cache = Cache::new(&model.shape);
    ours(&mut model, &mut cache, &[&TOKENS]);
    assert!(model.pass(&[1, 2, 5000], &mut cache, None).is_err());
    assert_eq!(cache.len(), TOKENS.len());
}
