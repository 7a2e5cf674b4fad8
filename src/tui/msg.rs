//! The screen's vocabulary: what can happen to it ([`Msg`]), what it wants done ([`Cmd`]).
//!
//! Invariant: a `Msg` is complete (time and results are in it), a `Cmd` is data; nothing in here can do anything.

use std::path::PathBuf;
use std::time::Duration;

use crossterm::event::KeyEvent;

use super::clipboard;
use super::errand::{Errand, Found};
use super::pipe::Piped;
use crate::error::{Error, Result};
use crate::proto::{Ack, Command, Event, Preset, Query, Reply, Snapshot, UnixMs};

/// The moment of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Since the screen started; never goes back.
    pub mono: Duration,
    /// What the clock on the wall says.
    pub wall: UnixMs,
}

/// Names a command or a question, so that its answer finds back to who asked.
pub type Tag = u64;

/// Something happened.
#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    Resize {
        width: u16,
        height: u16,
    },
    /// The terminal's window got or lost the focus.
    Focus(bool),
    /// A deadline that the model named is over.
    Tick,
    /// A host was reached.
    Attached(Box<Snapshot>),
    /// No host could be reached or started.
    Unreachable(Error),
    Event(Box<Event>),
    Ack {
        tag: Tag,
        result: Result<Ack>,
    },
    Reply {
        tag: Tag,
        result: Result<Reply>,
    },
    Lost(Error),
    Restored(Box<Snapshot>),
    Gone(Error),
    /// An editor was closed.
    Edited {
        purpose: Purpose,
        result: Result<String>,
    },
    /// A template's file was closed in the editor.
    EditedFile {
        path: PathBuf,
        result: Result<()>,
    },
    /// What the desktop's clipboard holds; `None`: there is none that can be read.
    Clipboard(Option<std::result::Result<String, String>>),
    Copied(clipboard::Report),
    Saved(Result<PathBuf>),
    /// What was to be saved would replace a file: so large, changed then.
    Exists {
        path: PathBuf,
        data: Vec<u8>,
        bytes: u64,
        changed: Option<UnixMs>,
    },
    /// A command that was given a text has ended.
    Piped(Result<Piped>),
    /// A file of presets was read, or all that is wrong with it.
    Presets(std::result::Result<Vec<Preset>, Vec<Error>>),
    /// What the composer's errands came back with.
    Found(Found),
    /// Code that was drawn plain has its colours now.
    Coloured,
    /// Back from a suspension.
    Resumed,
    /// SIGTERM or SIGHUP.
    Terminated,
}

/// What an editor was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The text becomes the composer's.
    Draft,
    /// The text is copied if it was changed: a code block.
    Code,
    /// The text goes to the editor of settings that asked for it.
    Setting,
}

/// How to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The host and what runs go on.
    Detach,
    /// Answers that are being written are stopped first.
    StopRuns,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Cmd {
    Post {
        tag: Tag,
        command: Command,
    },
    Ask {
        tag: Tag,
        query: Query,
    },
    /// `what` names it in the message that follows.
    Copy {
        text: String,
        what: String,
    },
    /// Opens `$EDITOR` on this text, in a file with this extension.
    Edit {
        purpose: Purpose,
        text: String,
        extension: String,
    },
    /// Opens a file itself in `$EDITOR`.
    EditFile(PathBuf),
    ReadClipboard,
    /// Writes a file; over one that is there only with `over`.
    Save {
        path: PathBuf,
        data: Vec<u8>,
        over: bool,
    },
    /// Gives a text to a command of this machine.
    Pipe {
        command: String,
        text: String,
    },
    /// Ends the command that runs.
    EndPipe,
    /// Reads a file of presets.
    ReadPresets(PathBuf),
    /// Reads or writes files for the composer.
    Errand(Errand),
    /// Remembers the lines of `:` and `/`.
    History(Vec<String>),
    Suspend,
    /// The next frame repaints everything.
    Repaint,
    Quit(Leave),
}
