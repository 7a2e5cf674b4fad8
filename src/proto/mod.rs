//! What client and host say to each other, and the nouns they say it with.
//!
//! Owns: ids, nouns, [`Command`], [`Query`], [`Event`], [`Snapshot`], the frames of the wire and the format of the lock file.
//! Refuses: behaviour (that is `core`), transport (that is `client` and `daemon`). Invariant: every type here survives a
//! round trip through MessagePack with named fields; a field that is added later has a default.

mod command;
mod conversation;
mod event;
mod fit;
mod ids;
mod inspect;
mod job;
pub mod lock;
mod nouns;
mod order;
mod pull;
mod query;
mod run;
mod settings;
pub mod wire;

pub use command::{Ack, Command};
pub use conversation::{Bookmark, Conversation, ConversationRow, Folder, Keep, Order, OrderBy, Queued, Scope, Shelf, Titled, Undone};
pub use event::{DeltaKind, Event, EventKind, Level};
pub use fit::{Anatomy, Estimate, EstimatePart, Fit, PartKind, Verdict};
pub use ids::{ClientId, CommandId, ConversationId, Derived, FolderId, IdGen, JobId, NodeId, RunId};
pub use inspect::{Inspection, ModelFile};
pub use job::{Job, JobAct, JobItem, JobState};
pub use nouns::{
    BackendKind, BackendState, BackendStatus, Content, Facts, Gpu, ModelInfo, ModelRef, ModelState, Node, Parameters, Part, Role, Sample,
    content_text,
};
pub use order::{Card, CardChange, Instance, ModelUse};
pub use pull::{Download, DownloadState, Layer};
pub use query::{Opened, Query, Reply, RequestPreview, SearchHit, Snapshot, Window};
pub use run::{Attempt, Figure, Figures, Finish, LeftOut, Progress, Run, Source, State};
pub use settings::{Group, Pointed, Preset, PresetKind, Subject, UsedBy, Version};

/// Milliseconds since the Unix epoch, UTC.
pub type UnixMs = i64;

/// A client and a host with different majors do not talk. Minor additions keep the major.
pub const MAJOR: u16 = 3;
/// Counts additions that an older peer may ignore.
pub const MINOR: u16 = 0;
