//! `arbour presets …` as clap reads it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct Presets {
    #[command(subcommand)]
    pub command: Option<PresetsCommand>,
    /// One JSON value: an array of presets
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum PresetsCommand {
    /// List them (also without a subcommand)
    Ls {
        /// One JSON value: an array of presets
        #[arg(long)]
        json: bool,
    },
    /// One of them, with what it inherits
    Show {
        name: String,
        /// One JSON value: the preset
        #[arg(long)]
        json: bool,
    },
    /// Print them as a file that `import` reads; without names, all of them
    Export {
        names: Vec<String>,
        /// Write to this new file instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Take over the presets of a file; all of them, or none when anything is wrong with it
    Import {
        file: PathBuf,
        /// Presets that are there already become what the file says (their history is kept)
        #[arg(long)]
        replace: bool,
        /// One JSON value: an array of the names
        #[arg(long)]
        json: bool,
    },
    /// Delete presets that nobody uses (their history is kept)
    Rm {
        #[arg(required = true)]
        names: Vec<String>,
    },
}
