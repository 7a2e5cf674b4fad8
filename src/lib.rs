//! arbour: a terminal home for language models.
//!
//! The map of the house; `ARCHITECTURE.md` tells why it is so, and `tests/architecture.rs` holds the source against it.
//!
//! - [`proto`], [`error`], [`sanitise`]: what everyone speaks.
//! - [`core`]: pure. Conversation tree, run state machine, parameters. No clock, no IO.
//! - [`store`], [`backend`], [`fetch`], [`metrics`]: the edges that touch disk, servers and the machine.
//! - [`host`]: owns a core, performs its effects. [`daemon`] lets clients in, [`client`] is the way to a host.
//! - [`tui`]: the screen. [`cli`]: everything without it. [`config`]: what people wrote into files.

pub mod backend;
pub mod cli;
pub mod client;
pub mod config;
pub mod core;
pub mod daemon;
pub mod error;
pub mod fetch;
pub mod host;
pub mod metrics;
pub mod proto;
pub mod sanitise;
pub mod store;
pub mod tui;
