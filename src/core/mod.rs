//! The pure heart: conversation trees, runs, parameters. Shared by the host and, for reading, by every screen.
//!
//! Owns: what a conversation is ([`Doc`]), how events change it ([`Replica::apply`]), what a command does (`Machine`), what is
//! sent to a model (`prompt`), how parameters are checked ([`parameters`]), how names of models are understood ([`names`]).
//! Refuses: clocks, IO, async, randomness; all of them are passed in. Invariant: applying the same events gives the same state,
//! at the host and at every client, and an event that is applied twice counts once.

pub mod cards;
pub mod estimate;
pub mod filter;
pub mod fit;
pub mod jobs;
pub mod machine;
pub mod names;
pub mod overflow;
pub mod parameters;
pub mod prompt;
pub mod queue;
mod replica;
pub mod retry;
pub mod settings;
pub mod summary;
pub mod titles;
mod tree;
pub mod undo;
mod write;

pub use machine::{Effect, Input, Machine, measure};
pub use replica::{Replica, Touched};
pub use tree::{Counts, Doc};
pub use write::{Taken, Write};
