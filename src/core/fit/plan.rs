//! How a model will be loaded: what of its settings decides how much memory it takes.

use crate::proto::{Anatomy, BackendKind, Parameters};

/// The ways to store a cache that llama.cpp knows (`kv_cache_types` of its `common/arg.cpp`): name, numbers in a block, its bytes.
const CACHE_TYPES: &[(&str, u64, u64)] = &[
    ("f16", 1, 2),
    ("f32", 1, 4),
    ("bf16", 1, 2),
    ("q8_0", 32, 34),
    ("q4_0", 32, 18),
    ("q4_1", 32, 20),
    ("iq4_nl", 32, 18),
    ("q5_0", 32, 22),
    ("q5_1", 32, 24),
];

/// How keys or values are stored in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheType {
    pub name: &'static str,
    /// Numbers in a block, bytes of a block.
    block: (u64, u64),
}

impl CacheType {
    pub const F16: Self = Self { name: "f16", block: (1, 2) };
    pub const F32: Self = Self { name: "f32", block: (1, 4) };

    /// By its name, upper or lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, numbers, bytes) = CACHE_TYPES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))?;
        Some(Self { name, block: (*numbers, *bytes) })
    }

    /// All names, in the order of llama.cpp's help.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CACHE_TYPES.iter().map(|(name, ..)| *name)
    }

    /// Bytes of so many numbers.
    pub(super) fn bytes(self, numbers: u64) -> u64 {
        let (per_block, bytes) = self.block;
        numbers.div_ceil(per_block).saturating_mul(bytes)
    }
}

/// Which engine loads it: they differ in what they keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// arbour's own: on the processor, caches in 32-bit floats that grow as they are used, whole also in windowed layers.
    Embedded,
    Ollama,
    LlamaServer,
}

/// Where the layers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// All in the machine's memory.
    Memory,
    /// The last so many layers on GPUs, the output first.
    Layers(u32),
    /// As many on GPUs as fit into so many bytes.
    Fitting(u64),
}

/// How a model will be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadPlan {
    pub engine: Engine,
    /// Tokens: of llama-server all slots together, of Ollama each slot.
    pub context: u32,
    pub slots: u32,
    /// All slots share one cache.
    pub unified: bool,
    pub keys: CacheType,
    pub values: CacheType,
    /// Tokens of a prompt that are computed at once (`--ubatch-size`).
    pub batch: u32,
    /// Flash attention: no table of all scores is made.
    pub flash: bool,
    /// Windowed layers keep the whole context (`--swa-full`).
    pub whole_windows: bool,
    /// The scores of a whole batch are kept, not only those of last tokens: llama.cpp until the end of 2025.
    pub whole_logits: bool,
    /// Of latent attention the values are kept beside the keys: llama.cpp until the end of 2025.
    pub latent_values: u32,
    pub place: Place,
    /// What had to be assumed, in sentences.
    pub assumed: Vec<String>,
}

/// What Ollama loads with unless told otherwise (`OLLAMA_CONTEXT_LENGTH`; servers with much GPU memory take more).
const OLLAMA_CONTEXT: u32 = 4096;
/// What the embedded engine takes unless told otherwise.
const EMBEDDED_CONTEXT: u32 = 8192;
/// llama-server's slots when `--parallel` is not given; they share one cache then.
const AUTO_SLOTS: u32 = 4;
/// What is believed at the most.
const SLOTS_MAX: u32 = 1024;
const BATCH_MAX: u32 = 1 << 20;

/// The arguments that a running llama-server of this context (of one slot) and so many slots was started with, as far as that tells.
/// Without `--parallel` it makes four slots that share one cache; else each slot has its own.
#[must_use]
pub fn told_arguments(context: u32, slots: Option<u32>) -> Vec<String> {
    let with = |flag: &str, n: u32| [flag.to_owned(), n.to_string()];
    match slots.filter(|slots| (1..=SLOTS_MAX).contains(slots)) {
        Some(slots) if slots != AUTO_SLOTS => [with("-c", context.saturating_mul(slots)), with("-np", slots)].concat(),
        _ => with("-c", context).into(),
    }
}

impl LoadPlan {
    /// The plan for a backend's kind with its usual settings and these over them. Read are `context`, `gpu_layers`, `batch`, and
    /// `kv_type` and `slots`, which only estimates take. `gpu`: free bytes of this machine's GPUs, `None` without any.
    #[must_use]
    pub fn new(kind: BackendKind, anatomy: &Anatomy, parameters: &Parameters, arguments: &[String], gpu: Option<u64>) -> Self {
        let engine = match kind {
            BackendKind::Embedded => Engine::Embedded,
            BackendKind::Ollama => Engine::Ollama,
            _ => Engine::LlamaServer,
        };
        let trained = anatomy.context_max.unwrap_or(u32::MAX);
        let context = match engine {
            Engine::Embedded => EMBEDDED_CONTEXT.min(trained),
            Engine::Ollama => OLLAMA_CONTEXT.min(trained),
            // `-c 0`: what the model was trained for.
            Engine::LlamaServer => anatomy.context_max.unwrap_or(OLLAMA_CONTEXT),
        };
        let server = engine == Engine::LlamaServer;
        let mut plan = Self {
            engine,
            context,
            slots: if server { AUTO_SLOTS } else { 1 },
            unified: server,
            keys: if engine == Engine::Embedded { CacheType::F32 } else { CacheType::F16 },
            values: if engine == Engine::Embedded { CacheType::F32 } else { CacheType::F16 },
            batch: 512,
            flash: engine != Engine::Embedded,
            whole_windows: engine == Engine::Embedded,
            whole_logits: engine == Engine::Ollama,
            latent_values: 0,
            place: match gpu {
                Some(free) if engine != Engine::Embedded => Place::Fitting(free),
                _ => Place::Memory,
            },
            assumed: Vec::new(),
        };
        plan.take_arguments(arguments);
        plan.take_parameters(parameters);
        plan.say_what_is_assumed(parameters, arguments);
        plan
    }

    /// What the arguments of a llama-server say; each may be written as `--name value` or `--name=value`.
    fn take_arguments(&mut self, arguments: &[String]) {
        let value = |names: &[&str]| {
            let mut found = None;
            for (at, argument) in arguments.iter().enumerate() {
                let (name, inline) = argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
                if names.contains(&name) {
                    found = inline.or_else(|| arguments.get(at + 1).map(String::as_str));
                }
            }
            found
        };
        let number = |names: &[&str]| value(names).and_then(|text| text.parse::<u32>().ok());
        let has = |names: &[&str]| arguments.iter().any(|argument| names.contains(&argument.as_str()));
        // 0 is what the model was trained for.
        self.context = number(&["-c", "--ctx-size"]).filter(|n| *n > 0).unwrap_or(self.context);
        if let Some(slots) = number(&["-np", "--parallel"]).filter(|n| *n > 0) {
            (self.slots, self.unified) = (slots.min(SLOTS_MAX), false);
        }
        self.unified = (self.unified || has(&["-kvu", "--kv-unified"])) && !has(&["-no-kvu", "--no-kv-unified"]);
        self.batch = number(&["-ub", "--ubatch-size"]).filter(|n| *n > 0).unwrap_or(self.batch).min(BATCH_MAX);
        self.keys = value(&["-ctk", "--cache-type-k"]).and_then(CacheType::named).unwrap_or(self.keys);
        self.values = value(&["-ctv", "--cache-type-v"]).and_then(CacheType::named).unwrap_or(self.values);
        self.whole_windows |= has(&["--swa-full"]);
        self.flash &= value(&["-fa", "--flash-attn"]) != Some("off");
        match value(&["-ngl", "--gpu-layers", "--n-gpu-layers"]) {
            Some("all") => self.place = self.layers(u32::MAX),
            Some(text) => self.place = text.parse().map_or(self.place, |layers| self.layers(layers)),
            None => {}
        }
    }

    fn take_parameters(&mut self, parameters: &Parameters) {
        let number = |key: &str, least: u32| parameters.integer(key).and_then(|n| u32::try_from(n).ok()).filter(|n| *n >= least);
        self.context = number("context", 1).unwrap_or(self.context);
        self.batch = number("batch", 1).unwrap_or(self.batch).min(BATCH_MAX);
        self.slots = number("slots", 1).unwrap_or(self.slots).min(SLOTS_MAX);
        if let Some(layers) = number("gpu_layers", 0).filter(|_| self.engine != Engine::Embedded) {
            self.place = self.layers(layers);
        }
        if let Some(kind) = parameters.text("kv_type").and_then(CacheType::named).filter(|_| self.engine != Engine::Embedded) {
            (self.keys, self.values) = (kind, kind);
        }
    }

    /// Layers that a person asks for go to GPUs only where there are any.
    fn layers(&self, layers: u32) -> Place {
        match self.place {
            Place::Memory => Place::Memory,
            _ if layers == 0 => Place::Memory,
            _ => Place::Layers(layers),
        }
    }

    fn say_what_is_assumed(&mut self, parameters: &Parameters, arguments: &[String]) {
        let mut say = |text: &str| self.assumed.push(text.to_owned());
        match self.engine {
            Engine::Embedded => {
                say("The cache grows as it is used: this is a full context. Other conversations may keep up to 1.1 GB more.")
            }
            Engine::Ollama if parameters.integer("context").is_none() => {
                say("Ollama's usual context is assumed; servers with much GPU memory or OLLAMA_CONTEXT_LENGTH take more.");
            }
            Engine::Ollama => {}
            Engine::LlamaServer => {
                if !arguments.iter().any(|argument| argument == "--model" || argument == "-m") {
                    say("How the server is started is not all known: its defaults are assumed for the rest.");
                }
                say("Prompts that llama-server keeps in memory (--cache-ram, up to 8.6 GB) come on top as it is used.");
            }
        }
        if matches!(self.place, Place::Fitting(_)) {
            say("As many layers go to the GPU as fit into what is free there.");
        }
    }
}
