//! Files of presets: `[[preset]]` tables with a name, what they inherit, a system prompt, and parameters.
//!
//! Owns: the format, in both directions. Refuses: to know parameters; whoever reads says what a value must be. Invariant: a file
//! with a fault gives no preset at all, and every fault names file, line and fix; what is written reads back as it was.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::document::{Entry, Source, Value};
use crate::error::{Error, Kind, Result, harmless, nearest, quoted};
use crate::proto::{ModelRef, Preset, PresetKind};

/// Longest file that is read, in bytes: some hundred presets with long system prompts.
const LONGEST: u64 = 1 << 20;
const KEYS: &[&str] = &["name", "kind", "parent", "model", "about", "system", "parameters"];
const KINDS: &[PresetKind] = &[PresetKind::Preset, PresetKind::Load, PresetKind::Request];

/// What a value of a parameter must be: gives it as it is kept.
pub type Check<'a> = &'a dyn Fn(PresetKind, &str, serde_json::Value) -> Result<serde_json::Value>;

/// Reads a file.
///
/// # Errors
/// All that is wrong with it, each with file and line.
pub fn read_file(path: &Path, check: Check<'_>) -> Result<Vec<Preset>, Vec<Error>> {
    let shown = path.display().to_string();
    let wrong = |text: &str| vec![Error::new(Kind::File, format!("{} {text}", quoted(&shown)))];
    let missing = |error: std::io::Error| {
        let text = if error.kind() == std::io::ErrorKind::NotFound { "is not there." } else { "cannot be read." };
        vec![Error::new(Kind::File, format!("{} {text}", quoted(&shown))).cause(error)]
    };
    // A pipe or a device would never end.
    if !std::fs::metadata(path).map_err(missing)?.is_file() {
        return Err(wrong("is not a file of presets."));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(missing)?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong("is larger than 1 MiB: that is no file of presets."));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text: that is no file of presets."))?;
    read(&Source::new("presets", shown, text), check)
}

/// Reads a file's text. Parents come before their children.
///
/// # Errors
/// All that is wrong with it, each with file and line.
pub fn read(source: &Source, check: Check<'_>) -> Result<Vec<Preset>, Vec<Error>> {
    let mut problems = Vec::new();
    let entries = source.entries(&mut problems);
    let mut reader = Reader { source, problems, check };
    let mut presets: Vec<(usize, Preset)> = Vec::new();
    for entry in &entries {
        match (&entry.value, entry.key.as_str()) {
            (Value::List(items), "preset") => {
                for item in items {
                    match &item.value {
                        Value::Table(rows) => presets.extend(reader.preset(item.line, rows).map(|preset| (item.line, preset))),
                        other => reader.wrong(item.line, "preset", other, "a table"),
                    }
                }
            }
            (other, "preset") => {
                let problem = source.problem(entry.line, format_args!("preset is {}; it must be a list of tables.", other.kind()));
                reader.problems.push(problem.hint("Begin each preset with [[preset]], in double brackets."));
            }
            _ => reader.unknown(entry, "a key here", &["preset"]),
        }
    }
    for (at, (line, preset)) in presets.iter().enumerate() {
        let twice = presets[..at].iter().any(|(_, other)| other.name.to_lowercase() == preset.name.to_lowercase());
        if twice {
            reader.problems.push(source.problem(*line, format_args!("the preset {} stands twice.", quoted(&preset.name))));
        }
    }
    if presets.is_empty() && reader.problems.is_empty() {
        let problem = source.problem(1, "there is no preset in this file.");
        reader.problems.push(problem.hint("Begin one with [[preset]] and name = \"…\"."));
    }
    if reader.problems.is_empty() { Ok(parents_first(presets)) } else { Err(reader.problems) }
}

/// In the file's order, but each behind the one that it inherits from.
fn parents_first(presets: Vec<(usize, Preset)>) -> Vec<Preset> {
    let mut left: Vec<Preset> = presets.into_iter().map(|(_, preset)| preset).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits =
            |preset: &Preset| preset.parent.as_ref().is_some_and(|p| left.iter().any(|l| l.name.to_lowercase() == p.to_lowercase()));
        // In a circle nobody is first; whoever saves them says so.
        let next = left.iter().position(|preset| !waits(preset)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

struct Reader<'s> {
    source: &'s Source,
    problems: Vec<Error>,
    check: Check<'s>,
}

impl Reader<'_> {
    fn preset(&mut self, line: usize, rows: &[Entry]) -> Option<Preset> {
        let before = self.problems.len();
        let mut preset = Preset::default();
        let mut named = false;
        for row in rows {
            match row.key.as_str() {
                "name" => {
                    named = true;
                    preset.name = self.text(row).unwrap_or_default();
                }
                "kind" => preset.kind = self.kind(row).unwrap_or_default(),
                "parent" => preset.parent = self.text(row),
                "model" => preset.model = self.model(row),
                "about" => preset.about = self.text(row).unwrap_or_default(),
                "system" => preset.system = self.text(row),
                "parameters" => {}
                _ => self.unknown(row, "a key of a preset", KEYS),
            }
        }
        if !named {
            let problem = self.source.problem(line, "this preset has no name.").hint("Add name = \"…\".");
            self.problems.push(problem);
        }
        // After the kind, which decides what belongs into it.
        for row in rows.iter().filter(|row| row.key == "parameters") {
            match &row.value {
                Value::Table(values) => self.parameters(values, &mut preset),
                other => self.wrong(row.line, "parameters", other, "a table"),
            }
        }
        (self.problems.len() == before).then_some(preset)
    }

    fn parameters(&mut self, values: &[Entry], preset: &mut Preset) {
        for entry in values {
            let Some(value) = json(&entry.value) else {
                self.wrong(entry.line, &entry.key, &entry.value, "a text, a number, true or false, a list or a table");
                continue;
            };
            match (self.check)(preset.kind, &entry.key, value) {
                Ok(value) => drop(preset.parameters.0.insert(entry.key.clone(), value)),
                Err(error) => {
                    let mut problem = self.source.problem(entry.line, &error.message);
                    problem.hints = error.hints;
                    self.problems.push(problem);
                }
            }
        }
    }

    fn text(&mut self, entry: &Entry) -> Option<String> {
        match &entry.value {
            Value::Text(text) => Some(text.clone()),
            other => {
                self.wrong(entry.line, &entry.key, other, "a text");
                None
            }
        }
    }

    fn kind(&mut self, entry: &Entry) -> Option<PresetKind> {
        let word = self.text(entry)?;
        let found = KINDS.iter().copied().find(|kind| kind.word() == word);
        if found.is_none() {
            let problem = self.source.problem(entry.line, format_args!("kind = {} is no kind of preset.", quoted(&word)));
            self.problems.push(problem.hint("Kinds: preset (anything), load (load settings), request (parameters of requests)."));
        }
        found
    }

    fn model(&mut self, entry: &Entry) -> Option<ModelRef> {
        let text = self.text(entry)?;
        match text.split_once('/') {
            Some((backend, model)) if !backend.is_empty() && !model.is_empty() => {
                Some(ModelRef { backend: backend.to_owned(), model: model.to_owned() })
            }
            _ => {
                let problem = self.source.problem(entry.line, format_args!("model = {} names no model.", quoted(&text)));
                self.problems.push(problem.hint("Write it as backend/model, as `arbour models` shows it."));
                None
            }
        }
    }

    fn wrong(&mut self, line: usize, key: &str, value: &Value, must: &str) {
        self.problems.push(self.source.problem(line, format_args!("{} is {}; it must be {must}.", harmless(key), value.kind())));
    }

    fn unknown(&mut self, entry: &Entry, what: &str, known: &[&str]) {
        let problem = self.source.problem(entry.line, format_args!("{} is not {what}.", quoted(&entry.key)));
        self.problems.push(match nearest(&entry.key, known.iter().copied()) {
            Some(near) => problem.hint(format!("Did you mean {near}?")),
            None => problem.hint(format!("Known here: {}.", known.join(", "))),
        });
    }
}

/// A value as JSON; `None` for what JSON does not have.
pub(super) fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::Text(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Number(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::Flag(flag) => (*flag).into(),
        Value::List(items) => items.iter().map(|item| json(&item.value)).collect::<Option<Vec<_>>>()?.into(),
        Value::Table(entries) => {
            let map: Option<serde_json::Map<_, _>> = entries.iter().map(|e| Some((e.key.clone(), json(&e.value)?))).collect();
            map?.into()
        }
        Value::Other => return None,
    })
}

/// The text of a file that holds these presets.
#[must_use]
pub fn write(presets: &[Preset]) -> String {
    let mut out = String::new();
    for preset in presets {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str("[[preset]]\n");
        let mut line = |key: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{key} = {}", toml::Value::String(value.to_owned()));
        };
        line("name", &preset.name);
        if preset.kind != PresetKind::Preset {
            line("kind", preset.kind.word());
        }
        if let Some(parent) = &preset.parent {
            line("parent", parent);
        }
        if let Some(model) = &preset.model {
            line("model", &model.to_string());
        }
        if !preset.about.is_empty() {
            line("about", &preset.about);
        }
        if let Some(system) = &preset.system {
            line("system", system);
        }
        if !preset.parameters.0.is_empty() {
            out.push_str("[preset.parameters]\n");
            for (key, value) in &preset.parameters.0 {
                let _ = writeln!(out, "{key} = {}", toml_value(value));
            }
        }
    }
    out
}

/// TOML knows no null, which a schema may hold: objects go as the text of their JSON.
pub(super) fn toml_value(value: &serde_json::Value) -> toml::Value {
    match value {
        serde_json::Value::Bool(flag) => toml::Value::Boolean(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => toml::Value::Integer(integer),
            (None, Some(float)) => toml::Value::Float(float),
            (None, None) => toml::Value::String(number.to_string()),
        },
        serde_json::Value::String(text) => toml::Value::String(text.clone()),
        serde_json::Value::Array(items) if items.iter().all(|item| !item.is_null() && !item.is_object()) => {
            toml::Value::Array(items.iter().map(toml_value).collect())
        }
        other => toml::Value::String(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anything(_: PresetKind, key: &str, value: serde_json::Value) -> Result<serde_json::Value> {
        if key == "nonsense" { Err(Error::new(Kind::Usage, "There is no parameter nonsense.")) } else { Ok(value) }
    }

    fn told(text: &str) -> Vec<String> {
        read(&Source::new("p", "p.toml", text), &anything).unwrap_err().into_iter().map(|e| e.message).collect()
    }

    #[test]
    fn what_is_written_reads_back() {
        let parameters = serde_json::json!({
            "temperature": 0.5, "seed": 7, "stop": ["a\n", "\"b\""], "keep_alive": "5m", "json_schema": {"enum": [null, "x"]},
        });
        let base = Preset {
            name: "base \"quoted\"".into(),
            about: "what it is for".into(),
            system: Some("Line one\nline '''two'''\u{1b}".into()),
            parameters: serde_json::from_value(parameters).unwrap(),
            ..Preset::default()
        };
        let child = Preset {
            name: "child".into(),
            parent: Some(base.name.clone()),
            model: Some(ModelRef { backend: "b".into(), model: "org/m:1".into() }),
            ..Preset::default()
        };
        let load = Preset { name: "big".into(), kind: PresetKind::Load, ..Preset::default() };
        let text = write(&[child.clone(), base.clone(), load.clone()]);
        let mut back = read(&Source::new("p", "p.toml", text), &anything).unwrap();
        let schema = back[0].parameters.0.get_mut("json_schema").unwrap();
        *schema = serde_json::from_str(schema.as_str().unwrap()).unwrap();
        assert_eq!(back, [base, child, load], "the parent first");
    }

    #[test]
    fn faults_name_file_line_and_fix() {
        assert_eq!(told("[[preset]]\nname = 7\n"), ["p.toml:2: name is a number; it must be a text."]);
        assert_eq!(told("[[preset]]\nabout = \"x\"\n"), ["p.toml:1: this preset has no name."]);
        assert_eq!(told("[preset]\nname = \"x\"\n"), ["p.toml:1: preset is a table; it must be a list of tables."]);
        assert_eq!(told("# nothing\n"), ["p.toml:1: there is no preset in this file."]);
        assert_eq!(told("[[preset]]\nname = \"x\"\nsytem = \"y\"\n"), ["p.toml:3: “sytem” is not a key of a preset."]);
        assert_eq!(told("[[preset]]\nname = \"x\"\nmodel = \"qwen\"\n"), ["p.toml:3: model = “qwen” names no model."]);
        assert_eq!(told("[[preset]]\nname = \"x\"\nkind = \"sampler\"\n"), ["p.toml:3: kind = “sampler” is no kind of preset."]);
        assert_eq!(
            told("[[preset]]\nname = \"x\"\n[preset.parameters]\nok = 1\nnonsense = 2\nday = 1979-05-27\n"),
            [
                "p.toml:5: There is no parameter nonsense.",
                "p.toml:6: day is a date; it must be a text, a number, true or false, a list or a table."
            ]
        );
        assert_eq!(told("[[preset]]\nname = \"x\"\n[[preset]]\nname = \"X\"\n"), ["p.toml:3: the preset “X” stands twice."]);
        assert!(told("[[preset]\nname").iter().any(|text| text.contains("this is not TOML")));
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let text = "[[preset]]\nname = \"a\"\nparent = \"b\"\n[[preset]]\nname = \"b\"\nparent = \"a\"\n";
        assert_eq!(read(&Source::new("p", "p.toml", text), &anything).unwrap().len(), 2);
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| read_file(path, &anything).unwrap_err().remove(0).message;
        assert!(told(&folder.path().join("none.toml")).ends_with("is not there."));
        assert!(told(folder.path()).ends_with("is not a file of presets."));
        assert!(told(Path::new("/dev/zero")).ends_with("is not a file of presets."));
        let huge = folder.path().join("huge.toml");
        std::fs::write(&huge, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(told(&huge).ends_with("is larger than 1 MiB: that is no file of presets."));
        let binary = folder.path().join("binary.toml");
        std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
        assert!(told(&binary).ends_with("is not UTF-8 text: that is no file of presets."));
    }
}
