//! Asks the terminal for its background. A question and an answer on the same line as the keys: only before the event stream starts.

use std::time::Duration;

use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};

/// Whether the terminal's background is light; `None` where there is no terminal or it does not tell within `timeout`.
///
/// Blocks for at most `timeout`; most terminals that cannot answer say so at once. Call it before anything else reads keys.
#[must_use]
pub fn is_light(timeout: Duration) -> Option<bool> {
    let mut options = QueryOptions::default();
    options.timeout = timeout;
    theme_mode(options).ok().map(|mode| mode == ThemeMode::Light)
}
