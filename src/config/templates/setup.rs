//! Templates of conversations: who answers, with what, and how it begins.

use std::fmt::Write as _;

use super::read::Reader;
use super::{Check, Setup, Text};
use crate::config::document::{Entry, Source, Value};
use crate::error::{Error, quoted};
use crate::proto::Role;

const KEYS: &[&str] = &["about", "title", "model", "system", "preset", "parameters", "folder", "tags", "send", "message", "variables"];
const MESSAGE: &[&str] = &["role", "text"];
/// Opening messages: more would be an import.
const MOST: usize = 200;

/// Reads a file's text.
///
/// # Errors
/// All that is wrong with it, each with file and line.
pub(super) fn setup(source: &Source, check: Check<'_>) -> Result<Setup, Vec<Error>> {
    let mut setup = Setup { name: source.name.clone(), path: source.path.clone(), ..Setup::default() };
    let mut reader = Reader::new(source.clone());
    let mut send = None;
    for entry in &reader.entries() {
        match entry.key.as_str() {
            "about" => setup.about = reader.text(entry).unwrap_or_default(),
            "title" => setup.title = reader.filled(entry),
            "model" => setup.model = reader.text(entry),
            "system" => setup.system = reader.filled(entry),
            "preset" => setup.preset = reader.text(entry),
            "parameters" => parameters(&mut reader, entry, check, &mut setup),
            "folder" => setup.folder = reader.text(entry),
            "tags" => setup.tags = reader.texts(entry),
            "send" => {
                setup.send = reader.flag(entry).unwrap_or_default();
                send = Some(entry.line);
            }
            "message" => messages(&mut reader, entry, &mut setup),
            "variables" => setup.declared = reader.variables(entry),
            _ => reader.unknown(entry, "a key of a conversation template", KEYS),
        }
    }
    if let Some(line) = send.filter(|_| setup.send && setup.messages.last().is_none_or(|(role, _)| *role != Role::User)) {
        let problem = source.problem(line, "send = true needs a last message of the role user, which is what is sent.");
        reader.problems.push(problem.hint("Add a [[message]] with role = \"user\", or take send out."));
    }
    if reader.problems.is_empty() { Ok(setup) } else { Err(reader.problems) }
}

fn parameters(reader: &mut Reader, entry: &Entry, check: Check<'_>, setup: &mut Setup) {
    let Value::Table(rows) = &entry.value else {
        return reader.wrong(entry.line, "parameters", &entry.value, "a table");
    };
    for row in rows {
        let Some(value) = crate::config::presets::json(&row.value) else {
            reader.wrong(row.line, &row.key, &row.value, "a text, a number, true or false, a list or a table");
            continue;
        };
        match check(&row.key, value) {
            Ok(value) => drop(setup.parameters.0.insert(row.key.clone(), value)),
            Err(error) => {
                let mut problem = reader.source.problem(row.line, &error.message);
                problem.hints = error.hints;
                reader.problems.push(problem);
            }
        }
    }
}

fn messages(reader: &mut Reader, entry: &Entry, setup: &mut Setup) {
    let Value::List(items) = &entry.value else {
        let problem = reader.source.problem(entry.line, format_args!("message is {}; it must be a list of tables.", entry.value.kind()));
        return reader.problems.push(problem.hint("Begin each message with [[message]], in double brackets."));
    };
    if items.len() > MOST {
        let problem =
            reader.source.problem(entry.line, format_args!("there are {} messages; a template opens with {MOST} at most.", items.len()));
        return reader.problems.push(problem.hint("Take some out."));
    }
    for item in items {
        let Value::Table(rows) = &item.value else {
            reader.wrong(item.line, "message", &item.value, "a table");
            continue;
        };
        let (mut role, mut text) = (None, None);
        let before = reader.problems.len();
        for row in rows {
            match row.key.as_str() {
                "role" => role = self::role(reader, row),
                "text" => text = reader.filled(row),
                _ => reader.unknown(row, "a key of a message", MESSAGE),
            }
        }
        match (role, text) {
            (Some(role), Some(text)) => setup.messages.push((role, text)),
            (role, _) if reader.problems.len() == before => {
                let (key, example) = if role.is_none() { ("role", "role = \"user\"") } else { ("text", "text = \"…\"") };
                let problem = reader.source.problem(item.line, format_args!("this message has no {key}."));
                reader.problems.push(problem.hint(format!("Add {example}.")));
            }
            _ => {}
        }
    }
}

fn role(reader: &mut Reader, row: &Entry) -> Option<Role> {
    let word = reader.text(row)?;
    let found = [Role::User, Role::Assistant].into_iter().find(|role| role.word() == word);
    if found.is_none() {
        let problem = reader.source.problem(row.line, format_args!("role = {} writes no message.", quoted(&word)));
        reader.problems.push(problem.hint("It is user or assistant; what a system prompt says stands under system."));
    }
    found
}

/// The text of a file that becomes this template; its texts hold no variables.
#[must_use]
pub fn written(setup: &Setup, texts: &[(Role, String)], system: Option<&str>) -> String {
    let mut out = String::new();
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    // Braces in what was said are meant; they ask for nothing.
    let plain = |text: &str| quote(&text.replace("{{", "\\{{"));
    let mut line = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{key} = {value}");
    };
    if !setup.about.is_empty() {
        line("about", quote(&setup.about));
    }
    if let Some(model) = &setup.model {
        line("model", quote(model));
    }
    if let Some(preset) = &setup.preset {
        line("preset", quote(preset));
    }
    if let Some(folder) = &setup.folder {
        line("folder", quote(folder));
    }
    if !setup.tags.is_empty() {
        line("tags", format!("[{}]", setup.tags.iter().map(|tag| quote(tag)).collect::<Vec<_>>().join(", ")));
    }
    if let Some(system) = system {
        line("system", plain(system));
    }
    if !setup.parameters.0.is_empty() {
        out.push_str("\n[parameters]\n");
        for (key, value) in &setup.parameters.0 {
            let _ = writeln!(out, "{key} = {}", crate::config::presets::toml_value(value));
        }
    }
    for (role, text) in texts {
        let _ = write!(out, "\n[[message]]\nrole = {}\ntext = {}\n", quote(role.word()), plain(text));
    }
    out
}

impl Setup {
    /// Its title where it has one, and what it opens with: for lists.
    #[must_use]
    pub fn shown(&self) -> String {
        match (&self.about, &self.title) {
            (about, _) if !about.is_empty() => about.clone(),
            (_, Some(title)) => title.first_line(),
            _ => self.system.as_ref().map(Text::first_line).unwrap_or_default(),
        }
    }
}
