//! The text that is being written, and the keys that change it.

mod edit;

pub use edit::Edit;
