//! The language of templates: `{{name}}`, `{{name=default}}`, `{{> included}}`, and `\{{` for two braces that are meant.

use super::{LONGEST, Text};
use crate::config::document::Source;
use crate::error::{Error, Kind, Result, quoted};

/// Variables that nobody is asked for.
pub const BUILT_IN: &[&str] = &["date", "time", "model", "title", "input"];

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Variable {
        name: String,
        default: Option<String>,
    },
    /// `at`: file and line, for complaints.
    Include {
        name: String,
        at: String,
    },
}

/// What variables are.
pub type Values<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Whether a variable or a template can be called so.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphanumeric() || c == '_') && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Whether a template can be called so: names, with slashes between.
pub(super) fn is_path(path: &str) -> bool {
    path.split('/').all(is_name)
}

/// Reads a text that begins on a line of a file.
pub(super) fn parse(source: &Source, line: usize, text: &str, problems: &mut Vec<Error>) -> Text {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let (mut rest, mut at) = (text, line);
    while let Some(start) = rest.find("{{") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        at += before.matches('\n').count();
        if let Some(meant) = before.strip_suffix('\\') {
            plain.push_str(meant);
            plain.push_str("{{");
            rest = after;
            continue;
        }
        plain.push_str(before);
        let Some(end) = after.find("}}").filter(|end| !after[..*end].contains('\n')) else {
            let problem = source.problem(at, "{{ is not closed by }} on its line.");
            problems.push(problem.hint("Close it, or write \\{{ for two braces that are meant."));
            plain.push_str("{{");
            rest = after;
            continue;
        };
        match piece(source, at, &after[..end]) {
            Ok(piece) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
            }
            Err(problem) => problems.push(problem),
        }
        rest = &after[end + 2..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Text(pieces)
}

fn piece(source: &Source, line: usize, inside: &str) -> Result<Piece, Error> {
    let fix = "Write {{name}}, {{name=default}} or {{> template}}; \\{{ for two braces that are meant.";
    if let Some(name) = inside.strip_prefix('>') {
        let name = name.trim();
        let at = format!("{}:{line}", crate::error::harmless(&source.path));
        return match is_path(name) {
            true => Ok(Piece::Include { name: name.to_owned(), at }),
            false => Err(source.problem(line, format_args!("{} cannot be a template's name.", quoted(name))).hint(fix)),
        };
    }
    let (name, default) = match inside.split_once('=') {
        Some((name, default)) => (name.trim(), Some(default.trim().to_owned())),
        None => (inside.trim(), None),
    };
    match is_name(name) {
        true => Ok(Piece::Variable { name: name.to_owned(), default }),
        false => Err(source.problem(line, format_args!("{} cannot be a variable's name.", quoted(name))).hint(fix)),
    }
}

/// Puts values in the places of variables; one that has none takes its default.
///
/// # Errors
/// [`Kind::Usage`] for a variable that has neither, or when the text gets too long. (An include has to be resolved before.)
pub fn fill(text: &Text, values: Values<'_>) -> Result<String> {
    let mut out = String::new();
    for piece in &text.0 {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable { name, default } => match values(name).or_else(|| default.clone()) {
                Some(value) => out.push_str(&value),
                None => {
                    return Err(Error::new(Kind::Usage, format!("Nothing was said for {{{{{name}}}}}, so the template was not used."))
                        .hint(format!("Give it a default in the template: {{{{{name}=…}}}}.")));
                }
            },
            Piece::Include { name, at } => {
                return Err(Error::new(Kind::Config, format!("{at}: {} was not included.", quoted(name))));
            }
        }
        if out.len() > LONGEST {
            return Err(Error::new(Kind::Usage, "The template would become longer than a message can be (1 MiB).")
                .hint("Attach long texts as files."));
        }
    }
    Ok(out)
}

impl Text {
    /// Whether a variable stands in it.
    #[must_use]
    pub fn names(&self, variable: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Variable { name, .. } if name == variable))
    }

    /// What includes and variables are in it, as a text shows them: for lists.
    #[must_use]
    pub fn first_line(&self) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable { name, .. } => out.push_str(&format!("{{{{{name}}}}}")),
                Piece::Include { name, .. } => out.push_str(&format!("{{{{> {name}}}}}")),
            }
            if out.trim_start().contains('\n') {
                break;
            }
        }
        out.trim().lines().next().unwrap_or_default().to_owned()
    }
}
