//! One suite for every kind of server, over answers that real servers gave and over what none should send.
//!
//! The pure decoders are cut and ended at every byte of every captured stream; the backends meet the same answers over sockets.

mod support;

#[path = "backends/contract.rs"]
mod contract;
#[path = "backends/decoders.rs"]
mod decoders;
#[path = "backends/discovery.rs"]
mod discovery;
#[path = "downloads/ollama.rs"]
mod downloads;
#[path = "backends/inspect.rs"]
mod inspect;
#[path = "backends/kinds.rs"]
mod kinds;
#[path = "backends/parameters.rs"]
mod parameters;
#[path = "backends/router.rs"]
mod router;
#[path = "backends/wire.rs"]
mod wire;
