//! Text for a screen.
pub mod width;
mod wrap;
