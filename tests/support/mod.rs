//! Servers for tests: [`replay`] gives back what real servers sent, [`scripted`] does what a script says.

#![allow(dead_code, reason = "every test binary compiles its own copy of this and uses a part of it")]

pub mod hear;
pub mod registry;
pub mod replay;
pub mod router;
pub mod scripted;
pub mod serve;
pub mod zoo;
