//! What people wrote into files, read into plain values.
//!
//! Owns: where arbour's files lie, `config.toml`, and the keymaps that are built in. Refuses: to know who reads the values, and to
//! fail: whatever is wrong becomes a problem that names file, line and fix, and the rest holds.

pub mod document;

/// The keymaps that are built in: name and text.
pub const KEYMAPS: &[(&str, &str)] =
    &[("vim", include_str!("../../keymaps/vim.toml")), ("plain", include_str!("../../keymaps/plain.toml"))];
