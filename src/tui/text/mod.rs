//! Text for a screen: measured, wrapped, drawn as Markdown, kept in caches. Pure: no terminal, no clock, no IO.
//!
//! Owns: widths ([`width`]), incremental Markdown ([`Document`]), its lines at a width ([`Pages`]), code in colours
//! ([`Highlighter`]) and the virtual list ([`List`]). Refuses: what a message is, where a pane lies, when to draw. Invariant:
//! however a text arrived, in whatever pieces, it looks the same; and drawing a frame costs what is visible plus what is new,
//! never the whole text.
//!
//! # A message
//!
//! One [`Document`] for each text of a message (the answer, its thinking, what a person typed), kept as long as the conversation
//! is open. All are drawn through one [`Pages`], the cache of lines for the whole screen.
//!
//! ```ignore
//! let mut answer = Document::new();          // Markdown; Document::plain() for text that is none
//! answer.push(&delta);                       // as it streams; any pieces
//! answer.finish();                           // no more comes: open frames are closed
//!
//! let highlighter = Highlighter::new(move || { /* on another thread: ask for a frame */ });   // one for the screen
//! let look = Look { width: 58, highlighter: Some(&highlighter), ..Look::new(&theme) };
//! let rows = pages.height(&answer, &look);   // exact; costs what is new since the last call
//! pages.draw(&answer, &look, first_row, area, frame.buffer_mut());
//! let (row, column) = pages.end(&answer, &look);         // behind the last word: where the cursor of what is written goes
//! let (first, rows) = pages.rows_of(&answer, &look, code.block);   // to scroll to a block of code
//! for code in answer.codes() { /* code.label "a", code.language, code.text: to copy, save, edit */ }
//! ```
//!
//! An open block of code gets its colours in the same frame as a rule; where that takes too long it is plain, and `wake` is called
//! when a frame would show more. Heights never change by it. Two panes may draw one document at different widths. A document's
//! [`Document::id`] changes when its text was replaced ([`Document::set`]); old lines go by themselves, or by [`Pages::forget`].
//!
//! Everything that is drawn went through [`crate::sanitise`]; [`Document::text`] and [`Document::codes`] give the text as it
//! came, for copying. For a title or a name use [`width::drawable`] and [`width::truncate`].
//!
//! # A transcript
//!
//! [`List`] knows rows of items, where the view stands, and nothing else. An item is a message (its header and its documents).
//! Heights of messages that were never shown are estimates ([`estimate_height`]); [`List::settle`] asks for the exact ones of
//! those in view, and the view does not jump.
//!
//! ```ignore
//! list.reset(messages.iter().map(|m| estimate_height(m.bytes, width)));
//! list.follow(Jump::for_pane(height));       // stay at the end
//! list.settle(height, |item| exact_height_of(item));
//! for shown in list.visible(height) { /* shown.item, shown.skip rows of it, at shown.y, shown.rows */ }
//! ```

mod blocks;
mod code;
mod highlight;
mod inline;
mod list;
mod pages;
mod render;
mod table;
pub mod width;
mod wrap;

pub use blocks::{Block, BlockKind, Code, Document, DocumentId};
pub use highlight::Highlighter;
pub use list::{Jump, List, Shown};
pub use pages::{Counters, Look, Pages, estimate_height};
