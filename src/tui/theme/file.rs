//! The format of a theme's file.
//!
//! ```toml
//! inherits = "dark"            # what is not said here is as there; without it, as in `ansi`
//! background = "#16181d"       # the background that it is made for; never painted
//! [defs]                       # names for colours; an inheriting theme may give them other values
//! sky = "#7aa2f7"
//! [roles]                      # how a role looks: [colour] [on colour] [bold dim italic underline reverse strike]
//! title_focused = "sky bold"
//! "code.keyword" = { fg = "sky", italic = true }
//! [light]                      # a pair in one file: laid over the above where the terminal is light (`[dark]`: where not)
//! background = "#ffffff"
//! defs = { sky = "#2e5fb3" }
//! ```
//!
//! A colour is a name from `defs`, `#rrggbb`, one of the terminal's 16 (`red`, `bright-red`, `gray`, …), a number of the 256, or
//! `default`. What is wrong is said with file, line and the fix, and the rest loads.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Role;
use crate::error::{Error, Kind};

/// How a role looks, with colours still by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    pub fg: Option<Named>,
    pub bg: Option<Named>,
    pub add: Modifier,
}

/// A colour as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub text: String,
    pub line: usize,
}

/// One layer of a file: its body, or its `[light]` or `[dark]` part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layer {
    pub background: Option<Named>,
    pub defs: BTreeMap<String, Named>,
    pub roles: BTreeMap<Role, Look>,
}

/// A theme as a file says it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ThemeFile {
    /// Where it came from, as shown in errors.
    pub path: String,
    pub inherits: Option<Named>,
    pub body: Layer,
    pub light: Option<Layer>,
    pub dark: Option<Layer>,
}

/// Reads a theme. What is wrong is left out and told; a file that is no TOML gives an empty theme and one error.
#[must_use]
pub fn parse(path: &str, text: &str) -> (ThemeFile, Vec<Error>) {
    let mut reader = Reader { path, text, problems: Vec::new() };
    let mut file = ThemeFile { path: path.to_owned(), ..ThemeFile::default() };
    match DeTable::parse(text) {
        Ok(table) => reader.file(table.get_ref(), &mut file),
        Err(error) => {
            let line = error.span().map_or(1, |span| reader.line(span.start));
            reader.problem(
                line,
                &format!("this is not TOML: {}", error.message()),
                "Correct that line; the theme is as if the file were empty until then.",
            );
        }
    }
    (file, reader.problems)
}

/// An error that names file and line.
pub(super) fn problem(path: &str, line: usize, what: &str, fix: &str) -> Error {
    Error::new(Kind::Config, format!("{path}:{line}: {what}.")).hint(fix)
}

/// The name among `names` that was probably meant.
pub(super) fn meant<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.map(|name| (edits(word, name), name)).min().filter(|(edits, name)| *edits <= 1 + name.len() / 4).map(|(_, name)| name)
}

fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    problems: Vec<Error>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
    }

    fn problem(&mut self, line: usize, what: &str, fix: &str) {
        let error = problem(self.path, line, what, fix);
        self.problems.push(error);
    }

    fn unknown<'n>(&mut self, line: usize, what: &str, word: &str, names: impl Iterator<Item = &'n str>) {
        let word = crate::sanitise::cut(word, 40);
        let fix = match meant(&word, names) {
            Some(name) => format!("Write `{name}` if that was meant."),
            None => format!("Remove it; `:help themes` lists every {what}."),
        };
        self.problem(line, &format!("there is no {what} `{word}`"), &fix);
    }

    fn string(&mut self, value: &Spanned<DeValue<'_>>, what: &str) -> Option<Named> {
        let line = self.line(value.span().start);
        if let Some(text) = value.get_ref().as_str() {
            return Some(Named { text: text.to_owned(), line });
        }
        self.problem(line, &format!("{what} is {}, not a text", article(value.get_ref())), "Put it in quotation marks.");
        None
    }

    fn file(&mut self, table: &DeTable<'_>, file: &mut ThemeFile) {
        for (key, value) in table {
            let line = self.line(key.span().start);
            match key.get_ref().as_ref() {
                "inherits" => file.inherits = self.string(value, "`inherits`"),
                // For people; the file's name is what counts.
                "name" | "author" | "licence" | "license" => {}
                side @ ("light" | "dark") => {
                    let Some(table) = value.get_ref().as_table() else {
                        self.problem(line, &format!("`{side}` is not a table"), &format!("Begin it with a line `[{side}]`."));
                        continue;
                    };
                    let mut layer = Layer::default();
                    for (key, value) in table {
                        self.layer(key, value, &mut layer, &["background", "defs", "roles"]);
                    }
                    *(if side == "light" { &mut file.light } else { &mut file.dark }) = Some(layer);
                }
                _ => self.layer(key, value, &mut file.body, &["inherits", "background", "defs", "roles", "light", "dark"]),
            }
        }
    }

    fn layer(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>, layer: &mut Layer, known: &[&str]) {
        let line = self.line(key.span().start);
        match key.get_ref().as_ref() {
            "background" => {
                layer.background = self.string(value, "`background`").filter(|named| self.literal(named));
            }
            "defs" => {
                let Some(table) = value.get_ref().as_table() else {
                    self.problem(line, "`defs` is not a table", "Begin it with a line `[defs]`.");
                    return;
                };
                for (name, value) in table {
                    let Some(named) = self.string(value, "a colour") else { continue };
                    if self.literal(&named) {
                        layer.defs.insert(name.get_ref().to_string(), named);
                    }
                }
            }
            "roles" => {
                let Some(table) = value.get_ref().as_table() else {
                    self.problem(line, "`roles` is not a table", "Begin it with a line `[roles]`.");
                    return;
                };
                self.roles("", table, layer);
            }
            other => self.unknown(line, "key", other, known.iter().copied()),
        }
    }

    /// A colour that stands for itself. Names of `defs` are resolved later, when all layers are known.
    fn literal(&mut self, named: &Named) -> bool {
        if colour(&named.text).is_some() {
            return true;
        }
        let word = crate::sanitise::cut(&named.text, 40);
        self.problem(
            named.line,
            &format!("`{word}` is not a colour"),
            "Write it as `#rrggbb`, a name such as `bright-red`, or a number up to 255.",
        );
        false
    }

    fn roles(&mut self, group: &str, table: &DeTable<'_>, layer: &mut Layer) {
        for (key, value) in table {
            let line = self.line(key.span().start);
            let name = if group.is_empty() { key.get_ref().to_string() } else { format!("{group}.{}", key.get_ref()) };
            let is_group = Role::ALL.iter().any(|role| role.name().strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')));
            match (Role::named(&name), value.get_ref().as_table()) {
                (None, Some(table)) if is_group => self.roles(&name, table, layer),
                (None, _) => self.unknown(line, "role", &name, Role::ALL.iter().map(|role| role.name())),
                (Some(role), Some(table)) => {
                    let look = self.table(table);
                    layer.roles.insert(role, look);
                }
                (Some(role), None) => {
                    if let Some(named) = self.string(value, "a style") {
                        let look = self.words(&named);
                        layer.roles.insert(role, look);
                    }
                }
            }
        }
    }

    fn table(&mut self, table: &DeTable<'_>) -> Look {
        let mut look = Look::default();
        for (key, value) in table {
            let line = self.line(key.span().start);
            match key.get_ref().as_ref() {
                "fg" => look.fg = self.string(value, "`fg`"),
                "bg" => look.bg = self.string(value, "`bg`"),
                word => match (modifier(word), value.get_ref().as_bool()) {
                    (Some(modifier), Some(true)) => look.add |= modifier,
                    (Some(_), Some(false)) => {}
                    (Some(_), None) => {
                        self.problem(line, &format!("`{word}` is neither true nor false"), &format!("Write `{word} = true`."))
                    }
                    (None, _) => {
                        self.unknown(line, "key of a style", word, ["fg", "bg"].into_iter().chain(MODIFIERS.iter().map(|(name, _)| *name)))
                    }
                },
            }
        }
        look
    }

    fn words(&mut self, named: &Named) -> Look {
        let mut look = Look::default();
        let mut words = named.text.split_whitespace();
        while let Some(word) = words.next() {
            if let Some(modifier) = modifier(word) {
                look.add |= modifier;
            } else if word == "on" {
                match words.next() {
                    Some(word) => look.bg = Some(Named { text: word.to_owned(), line: named.line }),
                    None => self.problem(named.line, "a colour is missing after `on`", "Name the background's colour, or remove `on`."),
                }
            } else if look.fg.is_none() {
                look.fg = Some(Named { text: word.to_owned(), line: named.line });
            } else {
                let word = crate::sanitise::cut(word, 40);
                self.problem(named.line, &format!("`{word}` is one colour too many"), "Write `on` before the background's colour.");
            }
        }
        look
    }
}

const MODIFIERS: &[(&str, Modifier)] = &[
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underline", Modifier::UNDERLINED),
    ("reverse", Modifier::REVERSED),
    ("strike", Modifier::CROSSED_OUT),
];

fn modifier(word: &str) -> Option<Modifier> {
    MODIFIERS.iter().find(|(name, _)| *name == word).map(|(_, modifier)| *modifier)
}

/// A colour that is written out: `#rrggbb`, a name of the 16, a number of the 256, `default`.
#[must_use]
pub fn colour(word: &str) -> Option<Color> {
    if word == "default" {
        return Some(Color::Reset);
    }
    if let Some(hex) = word.strip_prefix('#') {
        let value = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        return Some(Color::Rgb((value >> 16) as u8, (value >> 8) as u8, value as u8));
    }
    word.parse().ok().filter(|colour| *colour != Color::Reset)
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
