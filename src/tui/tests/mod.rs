//! The screen as a person meets it: keys in, text and commands out.

mod attaching;
mod bytes;
mod extremes;
mod keeping;
mod panes;
mod properties;
mod queue;
mod search;
mod settings;
mod talking;
mod templates;
mod ways;
