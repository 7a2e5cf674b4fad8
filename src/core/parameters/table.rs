//! The table itself: what each kind of backend really takes.
//!
//! Sources: llama-server's `default_generation_settings` and its chat completions (build 10068), Ollama's `api.Options` and
//! `api.Runner` (0.12 and later: what older ones took besides is ignored there today), OpenAI's chat completions, Anthropic's
//! messages, and the code of the engine in `backend::embedded`. Load settings stand here for kinds that take them with a load:
//! a llama-server and its router read theirs when they start, and `POST /models/load` takes a name and nothing else.

use super::{Parameter, Section, Type};
use crate::proto::BackendKind;

/// Letters of the kinds: Ollama, llama-server, OpenAI, Anthropic, embedded.
macro_rules! kind {
    (O) => {
        BackendKind::Ollama
    };
    (L) => {
        BackendKind::LlamaServer
    };
    (A) => {
        BackendKind::OpenAi
    };
    (N) => {
        BackendKind::Anthropic
    };
    (E) => {
        BackendKind::Embedded
    };
}

macro_rules! flag {
    () => {
        false
    };
    (load) => {
        true
    };
}

/// A line: key, type, kinds, `load` if it is a load setting, default (and those of kinds where it is another), help.
macro_rules! parameters {
    ($($section:ident { $($key:literal $type:expr, [$($kind:ident)+] $($load:ident)?, $default:literal $(($($of:ident $other:literal),+))?, $about:literal;)+ })+) => {
        /// Every parameter, in the order in which people meet them.
        pub const PARAMETERS: &[Parameter] = &[$($(Parameter {
            key: $key,
            kind: $type,
            section: Section::$section,
            about: $about,
            default: $default,
            defaults: &[$($((kind!($of), $other)),+)?],
            load: flag!($($load)?),
            kinds: &[$(kind!($kind)),+],
        }),+),+];
    };
}

const fn number(min: f64, max: f64) -> Type {
    Type::Number { min, max }
}

const fn whole(min: i64, max: i64) -> Type {
    Type::Integer { min, max }
}

const SWITCH: Type = Type::Word(&["on", "off"]);
const TOKENS: i64 = 100_000_000;

parameters! {
    Sampling {
        "temperature" number(0.0, 2.0), [O L A N E], "the model's or the server's, often 0.8" (A "the service's, often 1", N "1", E "0.8"),
            "How freely words are chosen: 0 always takes the likeliest";
        "top_p" number(0.0, 1.0), [O L A N E], "the server's, often 0.95" (O "the model's, else 0.9", A "1", N "none", E "0.95"),
            "Choose among the likeliest tokens that together have this probability";
        "top_k" whole(0, 100_000), [O L N E], "40" (N "none"), "Choose among this many likeliest tokens; 0 is all";
        "min_p" number(0.0, 1.0), [O L E], "0.05" (O "0: off"), "Leave out tokens less likely than this share of the likeliest";
        "typical_p" number(0.0, 1.0), [O L], "1: off", "Choose tokens about as surprising as is usual; 1 is off";
        "top_n_sigma" number(-1.0, 100.0), [L], "-1: off", "Leave out tokens this many deviations below the likeliest; -1 is off";
        "dynatemp_range" number(0.0, 2.0), [L], "0: off", "Let the temperature move by so much around its value; 0 is off";
        "dynatemp_exponent" number(0.0, 10.0), [L], "1", "How strongly a moving temperature follows the model's doubt";
        "xtc_probability" number(0.0, 1.0), [L], "0: off", "How often the likeliest tokens are left out, for variety; 0 is off";
        "xtc_threshold" number(0.0, 1.0), [L], "0.1", "Which tokens count as likeliest for that; above 0.5 it is off";
        "mirostat" whole(0, 2), [L], "0: off", "Steer the surprise itself: 1 or 2; then top_k, top_p and the like have no say";
        "mirostat_tau" number(0.0, 20.0), [L], "5", "The surprise that mirostat steers to";
        "mirostat_eta" number(0.0, 1.0), [L], "0.1", "How fast mirostat steers";
        "samplers" Type::Strings { most: 16 }, [L], "penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc, temperature",
            "Which samplers are used, in which order (separated by commas)";
        "min_keep" whole(0, 100_000), [L], "0", "Each sampler leaves at least so many tokens";
        "seed" whole(0, 0xFFFF_FFFF), [O L A E], "a new one each time",
            "The same seed and prompt give the same answer, as far as the backend can";
    }
    Penalties {
        "repeat_penalty" number(0.0, 10.0), [O L E], "1: off" (O "the model's, often 1 or 1.1"),
            "Above 1: makes what was said lately less likely";
        "repeat_last_n" whole(-1, TOKENS), [O L E], "64", "How far back the penalties look, in tokens; 0 is off, -1 the whole context";
        "presence_penalty" number(-2.0, 2.0), [O L A], "0: off", "Above 0: makes what was said before less likely, once";
        "frequency_penalty" number(-2.0, 2.0), [O L A], "0: off", "Above 0: makes what was said before less likely, each time more";
        "dry_multiplier" number(0.0, 100.0), [L], "0: off", "How hard repeated sequences are punished (DRY); 0 is off";
        "dry_base" number(1.0, 100.0), [L], "1.75", "How fast that grows with the sequence's length";
        "dry_allowed_length" whole(0, 10_000), [L], "2", "Sequences up to this long may repeat, in tokens";
        "dry_penalty_last_n" whole(-1, TOKENS), [L], "-1: the whole context", "How far back DRY looks, in tokens; 0 is off";
        "dry_sequence_breakers" Type::Strings { most: 64 }, [L], "line break, colon, quote, asterisk",
            "Texts that end a sequence for DRY (separated by commas)";
        "logit_bias" Type::Json, [L A], "none", "Make tokens likelier or less likely: {\"token\": -100 to 100}";
    }
    Output {
        "max_tokens" whole(1, 10_000_000), [O L A N E], "until the model ends or the context is full" (N "8192, which the protocol asks for"),
            "The longest answer, in tokens";
        "stop" Type::Strings { most: 16 }, [O L A N E], "none", "End the answer before any of these texts (separated by commas)";
        "ignore_eos" SWITCH, [L], "off", "Go on when the model wants to end; set max_tokens with it";
        "thinking" Type::Word(&["on", "off", "low", "medium", "high"]), [O L A N E], "the model's" (N "off"),
            "Whether, or how hard, a thinking model thinks first";
        "thinking_budget" whole(0, 10_000_000), [L N], "no bound" (N "half of max_tokens"), "The longest thinking, in tokens";
        "json_schema" Type::Json, [O L A], "none", "The answer is JSON that fits this schema ({} is any JSON object)";
        "grammar" Type::Text { most: 65_536 }, [L], "none", "The answer fits this grammar (GBNF)";
        "tools" Type::Tools, [O L A N], "none", "Tools that the model may ask for; arbour runs none, you answer its calls by hand";
        "send_thinking" SWITCH, [O L], "off", "Send back what the model thought before its earlier answers";
    }
    Context {
        // Arbour's own: no backend is told.
        "overflow" Type::Word(crate::core::overflow::WORDS), [O L A N E], "ask",
            "When a prompt does not fit: ask first, cut whole messages from the middle, or let the model summarise them";
        "cache_prompt" SWITCH, [L], "on", "Read only what is new in the prompt; off reads all of it again";
        "n_keep" whole(-1, TOKENS), [O L], "0" (O "the model's, often 4"),
            "Tokens at the beginning that stay when the context overflows; -1 is the whole prompt";
        "truncate" SWITCH, [O], "on: it cuts without a word", "Cut the oldest messages when a prompt is too long; off refuses it";
        "shift" SWITCH, [O], "on", "Drop the oldest tokens when an answer fills the context; off ends it";
    }
    Loading {
        "context" whole(16, TOKENS), [O E] load, "the server's, often 4096" (E "8192, or what the model was trained for"),
            "The context to load the model with, in tokens";
        "gpu_layers" whole(-1, 10_000), [O] load, "-1: as many as fit", "How many layers go to GPUs; 0 is none";
        "main_gpu" whole(0, 64), [O] load, "0", "The GPU that is used first, counted from 0";
        "batch" whole(1, 1_000_000), [O] load, "512", "Tokens of a prompt that are read at once";
        "threads" whole(0, 1024), [O] load, "0: as many as there are cores", "Threads to compute with";
        "mmap" SWITCH, [O] load, "the server's choice", "Map the model's file into memory instead of reading it";
        // A router unloads nothing that is idle: the host does it there.
        "keep_alive" Type::Duration, [O L E], "the server's, often 5m" (E "5m", L "for ever, where models are loaded by name"),
            "How long the model stays loaded after an answer (5m, 1h, 0, -1 for ever)";
    }
}
