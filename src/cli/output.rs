//! Standard output of the listings. A reader that goes away early (`| head`) is no failure.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use crate::error::{Error, Kind, Result};

pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Prints text that is harmless already.
///
/// # Errors
/// When it cannot be written (a full disk behind a redirection).
pub fn text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::new(Kind::File, "Standard output cannot be written.").cause(e)),
        _ => Ok(()),
    }
}

/// Prints one JSON value, indented for people where people look. JSON escapes control characters by itself; to a terminal
/// everything beyond ASCII that could do harm is escaped too.
///
/// # Errors
/// As [`text`].
pub fn value(value: &Value) -> Result<()> {
    if !is_terminal() {
        return text(&format!("{value}\n"));
    }
    let pretty = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    let mut escaped = String::with_capacity(pretty.len());
    for c in pretty.chars() {
        let same = |c: char| *crate::sanitise::line(c.encode_utf8(&mut [0; 4])) == *c.encode_utf8(&mut [0; 4]);
        if c.is_ascii() || same(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text(&format!("{escaped}\n"))
}
