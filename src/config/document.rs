//! A TOML file as a tree that remembers its lines.
//!
//! Owns: reading a file that people write, so that whoever complains can name file and line. Refuses: to know what any key means.
//! Invariant: a fault costs the line that it stands on and nothing else; what a syntax error touched is left out of the tree, so
//! that one mistake is not told twice.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::error::{Error, Kind, harmless};

/// A file's text with the two names that it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is called: the file's stem (`vim` for `keymaps/vim.toml`).
    pub name: String,
    /// The path as complaints show it.
    pub path: String,
    pub text: String,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub value: Value,
    /// Counts from 1; the line of the key.
    pub line: usize,
}

/// A value and the line it begins on.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub value: Value,
    pub line: usize,
}

/// What a file can say.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
    List(Vec<Item>),
    /// In the file's order.
    Table(Vec<Entry>),
    /// Dates, and integers beyond 64 bits: nothing here takes them.
    Other,
}

impl Value {
    /// What the value is, in words that complaints use.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other => "a date",
        }
    }
}

impl Source {
    #[must_use]
    pub fn new(name: impl Into<String>, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), path: path.into(), text: text.into() }
    }

    /// Reads a file; `None` when it is not there.
    ///
    /// # Errors
    /// [`Kind::File`] when it is there and cannot be read as UTF-8.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let shown = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Self::new(name, shown, text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(Kind::File, format!("{} cannot be read, so it is left out.", harmless(&shown)))
                .hint("Check that the file is UTF-8 text and that you may read it.")
                .cause(error)),
        }
    }

    /// Reads every `.toml` file of a folder, by name. A missing folder is an empty one.
    #[must_use]
    pub fn read_folder(folder: &Path) -> (Vec<Self>, Vec<Error>) {
        let (mut sources, mut problems) = (Vec::new(), Vec::new());
        let Ok(entries) = fs::read_dir(folder) else { return (sources, problems) };
        let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        for path in paths {
            match Self::read(&path) {
                Ok(Some(source)) => sources.push(source),
                Ok(None) => {}
                Err(error) => problems.push(error),
            }
        }
        (sources, problems)
    }

    /// The tree of the file; what is not TOML becomes a problem, the rest is there.
    pub fn entries(&self, problems: &mut Vec<Error>) -> Vec<Entry> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        let lines = Lines::new(&self.text);
        let mut broken = Vec::new();
        for error in &errors {
            let line = lines.at(error.span().map_or(0, |span| span.start));
            // The parser goes on after a fault and may complain of the same line again.
            if !broken.contains(&line) {
                broken.push(line);
                problems.push(
                    self.problem(line, format_args!("this is not TOML: {}.", harmless(error.message())))
                        .hint("Texts stand in \"quotes\", lists in [brackets], and every table begins with its [name]."),
                );
            }
        }
        let mut entries = convert_table(table.get_ref(), &lines);
        drop_broken(&mut entries, &broken);
        entries
    }

    /// A complaint about a line of this file.
    #[must_use]
    pub fn problem(&self, line: usize, what: impl std::fmt::Display) -> Error {
        Error::new(Kind::Config, format!("{}:{line}: {what}", harmless(&self.path)))
    }
}

/// Where each line begins.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte).max(1)
    }
}

fn convert_table(table: &DeTable<'_>, lines: &Lines) -> Vec<Entry> {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            (at, Entry { key: key.get_ref().to_string(), value: convert(value.get_ref(), lines), line: lines.at(at) })
        })
        .collect();
    entries.sort_by_key(|(at, _)| *at);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn convert(value: &DeValue<'_>, lines: &Lines) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Other, Value::Integer),
        DeValue::Float(float) => float.as_str().parse().map_or(Value::Other, Value::Number),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Other,
        DeValue::Array(items) => Value::List(
            items.iter().map(|item| Item { value: convert(item.get_ref(), lines), line: lines.at(item.span().start) }).collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, lines)),
    }
}

fn drop_broken(entries: &mut Vec<Entry>, broken: &[usize]) {
    entries.retain_mut(|entry| {
        if let Value::Table(inner) = &mut entry.value {
            drop_broken(inner, broken);
            return true;
        }
        !broken.contains(&entry.line)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Entry>, Vec<String>) {
        let mut problems = Vec::new();
        let entries = Source::new("x", "x.toml", text).entries(&mut problems);
        (entries, problems.into_iter().map(|p| p.message).collect())
    }

    #[test]
    fn keeps_order_and_lines() {
        let (entries, problems) = read("zebra = 1\nant = \"x\"\n\n[table]\nb = true\na = [1,\n 2]\n");
        assert_eq!(problems, Vec::<String>::new());
        let shape: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.line)).collect();
        assert_eq!(shape, [("zebra", 1), ("ant", 2), ("table", 4)]);
        let Value::Table(inner) = &entries[2].value else { panic!("{entries:?}") };
        let shape: Vec<_> = inner.iter().map(|e| (e.key.as_str(), e.line)).collect();
        assert_eq!(shape, [("b", 5), ("a", 6)]);
        let Value::List(items) = &inner[1].value else { panic!("{inner:?}") };
        assert_eq!(items.iter().map(|i| i.line).collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn a_syntax_error_costs_its_line_only() {
        let (entries, problems) = read("a = 1\nb = oops oops\nc = 3\n[t]\nd = 4\nd = 5\n");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("x.toml:2: this is not TOML"), "{problems:?}");
        assert!(problems[1].starts_with("x.toml:6:"), "{problems:?}");
        let keys: Vec<_> = entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(keys, ["a", "c", "t"]);
        let Value::Table(inner) = &entries[2].value else { panic!("{entries:?}") };
        assert_eq!(inner, &[Entry { key: "d".to_owned(), value: Value::Integer(4), line: 5 }]);
    }
}
