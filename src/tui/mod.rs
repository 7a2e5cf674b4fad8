//! The screen: one client of a host, drawn in a terminal.
//!
//! Owns: what this client looks at, how it is shown, and what keys mean. Refuses: the state of conversations (it holds a replica),
//! the database, backends. Invariant: `update` and `view` are pure; everything that touches the world is a `Cmd` carried out in `run`.

pub mod action;
pub mod command_line;
pub mod composer;
pub mod frame;
pub mod keymap;
pub mod layout;
pub mod output;
pub mod recall;
pub mod terminal;
pub mod text;
pub mod theme;
