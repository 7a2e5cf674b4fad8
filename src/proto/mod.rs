//! What client and host say to each other, and the nouns they say it with.
//!
//! Owns: ids, nouns, [`Command`], [`Query`], [`Event`], [`Snapshot`], the frames of the wire and the format of the lock file.
//! Refuses: behaviour (that is `core`), transport (that is `client` and `daemon`). Invariant: every type here survives a
//! round trip through MessagePack with named fields; a field that is added later has a default.

mod command;
mod event;
mod ids;
pub mod lock;
mod nouns;
mod query;
mod run;
pub mod wire;

pub use command::{Ack, Command};
pub use event::{DeltaKind, Event, EventKind, Level};
pub use ids::{ClientId, CommandId, ConversationId, IdGen, NodeId, RunId};
pub use nouns::{
    BackendKind, BackendState, BackendStatus, Content, Conversation, ConversationRow, Download, DownloadState, Gpu, ModelInfo, ModelRef,
    ModelState, Node, Parameters, Part, Role, Sample, content_text,
};
pub use query::{Opened, Query, Reply, RequestPreview, SearchHit, Snapshot, Window};
pub use run::{Figure, Figures, Finish, Progress, Run, Source, State};

/// Milliseconds since the Unix epoch, UTC.
pub type UnixMs = i64;

/// A client and a host with different majors do not talk. Minor additions keep the major.
pub const MAJOR: u16 = 1;
/// Counts additions that an older peer may ignore.
pub const MINOR: u16 = 0;
