//! `arbour conversations` as clap reads it.

use clap::{Args, Subcommand, ValueEnum};

use crate::proto::OrderBy;

const FILTERS: &str = "\
FILTER is what `/` takes in the list: words of titles, \"in quotes\", and title: folder: tag: model: backend: is: after: before:
messages: tokens: branches:, each turned round by `-` before it. What is archived is listed with is:archived, what is in the bin with
is:deleted. Search finds what is archived too, and knows also role: rating: has:, as in
`arbour conversations search fox role:user after:7d -tag:old`. Where a filter begins with `-`, write `--` before it.";

#[derive(Debug, Args)]
pub struct Conversations {
    #[command(subcommand)]
    pub command: Option<ConversationsCommand>,
    /// One JSON value: an array of conversations
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConversationsCommand {
    /// List them, the last changed first (also without a subcommand)
    Ls(List),
    /// Print one: the path to HEAD, or with --json the whole tree
    Show {
        /// Its id, the beginning or end of it, or its title
        conversation: String,
        /// Also what was taken back
        #[arg(long)]
        hidden: bool,
        /// One JSON value: the whole tree
        #[arg(long)]
        json: bool,
    },
    /// Find words in all messages of all branches
    #[command(after_help = FILTERS)]
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        /// At most so many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// One JSON value: an array of messages
        #[arg(long)]
        json: bool,
    },
    /// Put them into the archive: `ls` lists them no more, search finds them
    Archive {
        /// Each by its id, the beginning or end of it, or its title
        #[arg(required = true, value_name = "CONVERSATION")]
        conversations: Vec<String>,
    },
    /// Put them into the bin
    Rm {
        /// Each by its id, the beginning or end of it, or its title
        #[arg(required = true, value_name = "CONVERSATION")]
        conversations: Vec<String>,
        /// Delete them with all their messages instead; also those that are in the bin
        #[arg(long)]
        for_good: bool,
    },
    /// Take them out of the bin or the archive
    Restore {
        /// Each by its id, the beginning or end of it, or its title
        #[arg(required = true, value_name = "CONVERSATION")]
        conversations: Vec<String>,
    },
    /// List the folders
    Folders {
        /// One JSON value: an array of folders
        #[arg(long)]
        json: bool,
    },
    /// List the tags, and how many conversations have them
    Tags {
        /// One JSON value: an array of tags
        #[arg(long)]
        json: bool,
    },
    /// List the bookmarked messages, the newest first
    Bookmarks {
        /// Only those that this filter fits; its words are looked for in notes and messages
        #[arg(value_name = "FILTER")]
        filter: Vec<String>,
        /// At most so many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
        limit: u32,
        /// One JSON value: an array of bookmarks
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Default, Args)]
#[command(after_help = FILTERS)]
pub struct List {
    /// Only those that this filter fits
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// By what they are sorted
    #[arg(short, long, value_name = "BY", default_value = "updated")]
    pub sort: Sort,
    /// The other way round
    #[arg(short, long)]
    pub reverse: bool,
    /// Those that are archived
    #[arg(long, conflicts_with_all = ["bin", "all"])]
    pub archived: bool,
    /// Those in the bin
    #[arg(long, conflicts_with = "all")]
    pub bin: bool,
    /// Archived ones too
    #[arg(long)]
    pub all: bool,
    /// Those in this folder and the folders within it: its name or path
    #[arg(long, value_name = "NAME")]
    pub folder: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<u32>,
    /// One JSON value: an array of conversations
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    #[default]
    Updated,
    Created,
    Title,
    Messages,
    Tokens,
    Model,
}

impl Sort {
    pub fn order(self) -> OrderBy {
        match self {
            Self::Updated => OrderBy::Updated,
            Self::Created => OrderBy::Created,
            Self::Title => OrderBy::Title,
            Self::Messages => OrderBy::Messages,
            Self::Tokens => OrderBy::Tokens,
            Self::Model => OrderBy::Model,
        }
    }
}
