//! The filter languages of lists: one grammar, a table of words for each thing that is listed.
//!
//! Owns: the grammar ([`language`]), what is said of models ([`models`]), what is said of conversations and messages
//! ([`conversations`]). Refuses: lists, order, the clock and the zone (both are passed in). Invariant: parsing never fails: what was
//! not understood is a [`Problem`] and filters nothing, the rest still does.
//!
//! Words stand side by side and all must hold; `-` or `!` before one turns it round. Values of one key may be listed
//! (`state:loaded,sleeping`); `=` or quotes want the whole value, `*` any value at all.

pub mod conversations;
mod language;
pub mod models;

pub use language::{Problem, Range, Wanted};
pub use models::{Candidate, Filter, Haystack, Known, WORDS, Word, complete, state_word};
