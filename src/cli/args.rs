//! The command line as clap reads it: definitions only. What they do is in the file of each subcommand.

mod conversations;
mod models;
mod presets;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use conversations::{Conversations, ConversationsCommand, List};
pub use models::{Ls, Models, ModelsCommand, Named, PullsCommand, Start, Which};
pub use presets::{Presets, PresetsCommand};

/// A terminal home for language models: run them, talk with them in trees, watch them work.
///
/// Without a subcommand it opens the screen. What runs there goes on when the terminal closes: the next `arbour` shows it.
#[derive(Debug, Parser)]
#[command(name = "arbour", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Subcommands>,
}

/// Options that every subcommand takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Attach to the host at this address: ws://host:7717, wss://…, unix:/path
    #[arg(long, global = true, value_name = "URL")]
    pub connect: Option<String>,
    /// Keep configuration, data, state and cache under this folder
    #[arg(long, global = true, value_name = "DIR", env = "ARBOUR_HOME")]
    pub home: Option<PathBuf>,
    /// Colours of the screen (for this time)
    #[arg(long, global = true, value_name = "NAME")]
    pub theme: Option<String>,
    /// Keys of the screen (for this time): vim, plain, or one of your own
    #[arg(long, global = true, value_name = "NAME")]
    pub keymap: Option<String>,
    /// Run the host inside this process: what runs ends with it
    #[arg(long, global = true, conflicts_with = "connect")]
    pub in_process: bool,
    /// File with the token for --connect
    #[arg(long, global = true, value_name = "FILE", requires = "connect")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Subcommands {
    /// One answer on standard output
    Ask(Ask),
    /// The models of all backends
    Models(Models),
    /// Named settings: presets of conversations, templates of models
    Presets(Presets),
    /// The conversations of this host
    Conversations(Conversations),
    /// A host that stays, for screens elsewhere
    Serve(Serve),
    /// What terminal, backends, database, configuration and session look like, and what to do
    Doctor(Doctor),
    /// The host of a data folder, as started by screens
    #[command(hide = true)]
    Host,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Only the answer goes to standard output, everything else to standard error. Standard input is appended to the prompt when it is a
pipe or a file. C-c, SIGTERM and a closed standard output stop the run; SIGHUP (a closed terminal) leaves it running.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 no backend or model reachable, 130 interrupted.")]
pub struct Ask {
    /// Which model: backend/model, any part of it that is unique, or a .gguf file
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// System prompt
    #[arg(short, long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Named settings: a preset, as `arbour presets` lists them
    #[arg(short, long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// Go on in this conversation: its id, the beginning or end of it, or its title
    #[arg(short, long, value_name = "CONVERSATION", conflicts_with = "no_save")]
    pub conversation: Option<String>,
    /// Send this file along: text, or a picture (PNG, JPEG, GIF, WebP); may stand several times
    #[arg(short, long, value_name = "FILE")]
    pub attach: Vec<PathBuf>,
    /// A parameter, such as temperature=0.2 or stop=END
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// One JSON value: {text, model, backend, conversation, node, state, run}
    #[arg(long)]
    pub json: bool,
    /// Keep nothing of it in the database
    #[arg(long)]
    pub no_save: bool,
    /// What to ask
    #[arg(value_name = "PROMPT")]
    pub prompt: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Screens attach with `arbour --connect ws://HOST:7717`. The token that they need lies in a file of the state folder that only you
can read; --print-token prints it. Anybody who has it can use your models and read your conversations: outside a trusted network,
listen on 127.0.0.1 and come in through `ssh -L 7717:127.0.0.1:7717 HOST`.")]
pub struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7717")]
    pub listen: String,
    /// Print the token and end
    #[arg(long)]
    pub print_token: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// One JSON value: {checks: [{area, name, state, says, todo}]}
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let before = Arguments::try_parse_from(["arbour", "--home", "/tmp/h", "ask", "hi"]).expect("before");
        let after = Arguments::try_parse_from(["arbour", "ask", "--home", "/tmp/h", "hi"]).expect("after");
        assert_eq!(before.global.home, after.global.home);
        assert_eq!(before.global.home.as_deref(), Some(std::path::Path::new("/tmp/h")));
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for wrong in [
            &["arbour", "--connect", "ws://h", "--in-process"][..],
            &["arbour", "--token-file", "f"],
            &["arbour", "ask", "-c", "x", "--no-save", "hi"],
            &["arbour", "models", "pull"],
            &["arbour", "models", "pull", "starter", "--via", "boat"],
            &["arbour", "models", "rm"],
            &["arbour", "models", "pulls", "pause"],
            &["arbour", "conversations", "search"],
            &["arbour", "conversations", "ls", "--bin", "--archived"],
            &["arbour", "conversations", "ls", "--sort", "colour"],
        ] {
            assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
