//! Templates of messages: a text, with a head between lines of `+++` that says what it is for and what its variables are.

use super::read::Reader;
use super::{Message, text};
use crate::config::document::Source;
use crate::error::Error;

const KEYS: &[&str] = &["about", "variables"];
const FENCE: &str = "+++";

/// Reads a file's text.
///
/// # Errors
/// All that is wrong with it, each with file and line.
pub(super) fn message(source: &Source) -> Result<Message, Vec<Error>> {
    let mut message = Message { name: source.name.clone(), path: source.path.clone(), ..Message::default() };
    let (head, body, line) = match split(&source.text) {
        Ok(parts) => parts,
        Err(()) => {
            let problem = source.problem(1, "the head that begins with +++ does not end.");
            return Err(vec![problem.hint("End it with a line that is just +++; the text of the message follows.")]);
        }
    };
    // The head's lines stay where they are in the file: one stands before it.
    let mut reader = Reader::new(Source { text: format!("\n{head}"), ..source.clone() });
    for entry in &reader.entries() {
        match entry.key.as_str() {
            "about" => message.about = reader.text(entry).unwrap_or_default(),
            "variables" => message.declared = reader.variables(entry),
            _ => reader.unknown(entry, "a key of a message template", KEYS),
        }
    }
    let blank = body.len() - body.trim_start_matches('\n').len();
    message.text = text::parse(source, line + blank, body.trim_matches('\n'), &mut reader.problems);
    if body.trim().is_empty() {
        let problem = source.problem(line, "there is no text in this template.");
        reader.problems.push(problem.hint("Write the message below its head."));
    }
    if reader.problems.is_empty() { Ok(message) } else { Err(reader.problems) }
}

/// Head, text, and the line on which the text begins.
fn split(all: &str) -> Result<(&str, &str, usize), ()> {
    let Some(rest) = all.strip_prefix(FENCE).and_then(|rest| rest.trim_start_matches([' ', '\t']).strip_prefix('\n')) else {
        return Ok(("", all, 1));
    };
    let mut at = 0;
    for (line, text) in rest.split_inclusive('\n').enumerate() {
        if text.trim_end() == FENCE {
            return Ok((&rest[..at], &rest[at + text.len()..], line + 3));
        }
        at += text.len();
    }
    Err(())
}
