//! What both kinds of template files have in common: texts, lists, variables, and what to say of everything else.

use super::text::{BUILT_IN, is_name};
use super::{Variable, text};
use crate::config::document::{Entry, Source, Value};
use crate::error::{Error, harmless, nearest, quoted};

const VARIABLE: &[&str] = &["default", "choices", "help", "multiline"];

pub(super) struct Reader {
    pub source: Source,
    pub problems: Vec<Error>,
}

impl Reader {
    pub fn new(source: Source) -> Self {
        Self { source, problems: Vec::new() }
    }

    pub fn entries(&mut self) -> Vec<Entry> {
        self.source.entries(&mut self.problems)
    }

    pub fn text(&mut self, entry: &Entry) -> Option<String> {
        match &entry.value {
            Value::Text(text) => Some(text.clone()),
            other => {
                self.wrong(entry.line, &entry.key, other, "a text");
                None
            }
        }
    }

    /// A text with variables.
    pub fn filled(&mut self, entry: &Entry) -> Option<super::Text> {
        let text = self.text(entry)?;
        Some(text::parse(&self.source, entry.line, &text, &mut self.problems))
    }

    pub fn flag(&mut self, entry: &Entry) -> Option<bool> {
        match &entry.value {
            Value::Flag(flag) => Some(*flag),
            other => {
                self.wrong(entry.line, &entry.key, other, "true or false");
                None
            }
        }
    }

    pub fn texts(&mut self, entry: &Entry) -> Vec<String> {
        let Value::List(items) = &entry.value else {
            self.wrong(entry.line, &entry.key, &entry.value, "a list of texts");
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) => out.push(text.clone()),
                other => self.wrong(item.line, &entry.key, other, "a list of texts"),
            }
        }
        out
    }

    /// `[variables.NAME]`, or `NAME = "default"` below `[variables]`.
    pub fn variables(&mut self, entry: &Entry) -> Vec<Variable> {
        let Value::Table(rows) = &entry.value else {
            let problem = self.source.problem(entry.line, format_args!("variables is {}; it must be a table.", entry.value.kind()));
            self.problems.push(problem.hint("Begin each variable with [variables.NAME]."));
            return Vec::new();
        };
        rows.iter().filter_map(|row| self.variable(row)).collect()
    }

    fn variable(&mut self, row: &Entry) -> Option<Variable> {
        let name = &row.key;
        if !is_name(name) {
            let problem = self.source.problem(row.line, format_args!("{} cannot be a variable's name.", quoted(name)));
            self.problems.push(problem.hint("Names have letters, digits, - and _."));
            return None;
        }
        if BUILT_IN.contains(&name.as_str()) {
            let problem = self.source.problem(row.line, format_args!("{name} is filled in by arbour, so nothing can be said of it here."));
            self.problems.push(problem.hint("Give the variable another name."));
            return None;
        }
        let mut variable = Variable { name: name.clone(), ..Variable::default() };
        match &row.value {
            Value::Text(default) => variable.default = Some(default.clone()),
            Value::Table(entries) => {
                for entry in entries {
                    match entry.key.as_str() {
                        "default" => variable.default = self.text(entry),
                        "choices" => variable.choices = self.texts(entry),
                        "help" => variable.help = self.text(entry).unwrap_or_default(),
                        "multiline" => variable.multiline = self.flag(entry).unwrap_or_default(),
                        _ => self.unknown(entry, "a key of a variable", VARIABLE),
                    }
                }
            }
            other => self.wrong(row.line, name, other, "a table, or a text that is its default"),
        }
        if let Some(default) = variable.default.as_ref().filter(|d| !variable.choices.is_empty() && !variable.choices.contains(d)) {
            let problem = self.source.problem(row.line, format_args!("the default {} of {name} is none of its choices.", quoted(default)));
            self.problems.push(problem.hint(format!("It takes {}.", harmless(&variable.choices.join(", ")))));
        }
        Some(variable)
    }

    pub fn wrong(&mut self, line: usize, key: &str, value: &Value, must: &str) {
        self.problems.push(self.source.problem(line, format_args!("{} is {}; it must be {must}.", harmless(key), value.kind())));
    }

    pub fn unknown(&mut self, entry: &Entry, what: &str, known: &[&str]) {
        let problem = self.source.problem(entry.line, format_args!("{} is not {what}.", quoted(&entry.key)));
        self.problems.push(match nearest(&entry.key, known.iter().copied()) {
            Some(near) => problem.hint(format!("Did you mean {near}?")),
            None => problem.hint(format!("Known here: {}.", known.join(", "))),
        });
    }
}
