//! `config.toml` from its tree: every key that there is, and what to say of every other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Entry, Item, Source, Value};
use super::{ApiKey, Backend, Config, Embedded, Enter, HostEntry, Loaded, Osc52, Starter, expand};
use crate::error::{Error, nearest, quoted};
use crate::proto::BackendKind;

const TOP: &[&str] = &[
    "theme",
    "keymap",
    "discover",
    "escape",
    "enter",
    "linger",
    "osc52",
    "retries",
    "titles",
    "title_model",
    "pulls",
    "backend",
    "embedded",
    "starter",
    "host",
];
const BACKEND: &[&str] = &["name", "kind", "url", "api_key"];
const EMBEDDED: &[&str] = &["models", "hub", "hub_mirrors", "hub_token"];
const STARTER: &[&str] = &["source", "mirrors"];
const HOST: &[&str] = &["name", "url", "token_file"];
const KINDS: &[(&str, BackendKind)] = &[
    ("ollama", BackendKind::Ollama),
    ("llama-server", BackendKind::LlamaServer),
    ("openai", BackendKind::OpenAi),
    ("anthropic", BackendKind::Anthropic),
    ("embedded", BackendKind::Embedded),
];

/// Where a `[[backend]]` of the kind `anthropic` is that names no address.
const ANTHROPIC: &str = "https://api.anthropic.com";

impl Config {
    /// Reads a file's text. `home` is what `~` means.
    #[must_use]
    pub fn read(source: &Source, home: Option<&Path>) -> Loaded {
        let mut problems = Vec::new();
        let entries = source.entries(&mut problems);
        let mut reader = Reader { source, home, problems };
        let config = reader.config(&entries);
        Loaded { config, problems: reader.problems }
    }
}

struct Reader<'s> {
    source: &'s Source,
    home: Option<&'s Path>,
    problems: Vec<Error>,
}

impl Reader<'_> {
    fn config(&mut self, entries: &[Entry]) -> Config {
        let mut config = Config::default();
        for entry in entries {
            match entry.key.as_str() {
                "theme" => config.theme = self.text(entry).unwrap_or(config.theme),
                "keymap" => config.keymap = self.text(entry),
                "discover" => config.discover = self.flag(entry).unwrap_or(config.discover),
                "escape" => config.escape = self.text(entry),
                "enter" => {
                    config.enter = self.word(entry, &[("send", Enter::Send), ("newline", Enter::Newline)]).unwrap_or(config.enter);
                }
                "linger" => config.linger = self.duration(entry).unwrap_or(config.linger),
                "osc52" => {
                    let words = [("auto", Osc52::Auto), ("raw", Osc52::Raw), ("tmux", Osc52::Tmux), ("off", Osc52::Off)];
                    config.osc52 = self.word(entry, &words).unwrap_or(config.osc52);
                }
                "retries" => config.retries = self.count(entry, 0, 20).and_then(|n| u32::try_from(n).ok()).unwrap_or(config.retries),
                "titles" => {
                    config.titles_by_model = self.word(entry, &[("words", false), ("model", true)]).unwrap_or(config.titles_by_model);
                }
                "title_model" => config.title_model = self.text(entry),
                "pulls" => config.pulls = self.count(entry, 1, 16).unwrap_or(config.pulls),
                "backend" => self.backends(entry, &mut config.backends),
                "embedded" => config.embedded = self.embedded(entry),
                "starter" => config.starter = self.starter(entry),
                "host" => self.hosts(entry, &mut config.hosts),
                _ => self.unknown(entry, "a setting", TOP),
            }
        }
        config
    }

    fn backends(&mut self, entry: &Entry, backends: &mut Vec<Backend>) {
        for (line, rows) in self.tables(entry, "backend") {
            let (mut name, mut kind, mut url, mut api_key) = (None, None, None, None);
            let mut broken = false;
            for row in rows {
                let before = self.problems.len();
                match row.key.as_str() {
                    "name" => name = self.name(row),
                    "kind" => kind = self.word(row, KINDS),
                    "url" => url = self.url(row, &["http://", "https://"]),
                    "api_key" => api_key = self.api_key(row),
                    _ => {
                        self.unknown(row, "a setting of a [[backend]]", BACKEND);
                        continue;
                    }
                }
                broken |= self.problems.len() > before && row.key != "api_key";
            }
            if kind == Some(BackendKind::Anthropic) && !broken {
                url.get_or_insert_with(|| ANTHROPIC.to_owned());
            }
            let missing = match (&name, kind, &url) {
                (None, ..) => Some(("name", "name = \"workstation\"")),
                (_, None, _) => Some(("kind", "kind = \"ollama\"")),
                (_, Some(kind), None) if kind != BackendKind::Embedded => Some(("url", "url = \"http://127.0.0.1:11434\"")),
                _ => None,
            };
            match (name, kind, missing) {
                (Some(name), Some(kind), None) => {
                    if backends.iter().any(|known| known.name == name) {
                        self.problem(line, format!("two backends are called {}; the second one is left out.", quoted(&name)))
                            .push("Give each [[backend]] a name of its own.");
                    } else {
                        backends.push(Backend { name, kind, url, api_key });
                    }
                }
                (.., Some((key, example))) if !broken => {
                    self.problem(line, format!("this [[backend]] has no {key}, so it is left out.")).push(format!("Add {example}."));
                }
                _ => {}
            }
        }
    }

    fn hosts(&mut self, entry: &Entry, hosts: &mut Vec<HostEntry>) {
        for (line, rows) in self.tables(entry, "host") {
            let (mut name, mut url, mut token_file) = (None, None, None);
            let before = self.problems.len();
            for row in rows {
                match row.key.as_str() {
                    "name" => name = self.name(row),
                    "url" => url = self.url(row, &["ws://", "wss://", "unix:"]),
                    "token_file" => token_file = self.path(&row.value, row),
                    "token" => self
                        .problem(row.line, "a token does not belong into this file; it is not used.".to_owned())
                        .push("Put it into a file that only you can read, and write token_file = \"~/.arbour-token\"."),
                    _ => self.unknown(row, "a setting of a [[host]]", HOST),
                }
            }
            match (name, url) {
                (Some(name), Some(url)) if hosts.iter().all(|known| known.name != name) => hosts.push(HostEntry { name, url, token_file }),
                (Some(name), Some(_)) => self
                    .problem(line, format!("two hosts are called {}; the second one is left out.", quoted(&name)))
                    .push("Give each [[host]] a name of its own."),
                (name, _) if self.problems.len() == before => {
                    let (key, example) = if name.is_none() { ("name", "name = \"server\"") } else { ("url", "url = \"ws://server:7717\"") };
                    self.problem(line, format!("this [[host]] has no {key}, so it is left out.")).push(format!("Add {example}."));
                }
                _ => {}
            }
        }
    }

    fn embedded(&mut self, entry: &Entry) -> Embedded {
        let mut embedded = Embedded::default();
        for row in self.table(entry) {
            match row.key.as_str() {
                "models" => {
                    for item in self.list(row) {
                        embedded.models.extend(self.path(&item.value, row));
                    }
                }
                "hub" => embedded.hub = self.url(row, &["https://", "http://"]),
                "hub_mirrors" => embedded.hub_mirrors = self.urls(row),
                "hub_token" => embedded.hub_token = self.api_key(row),
                _ => self.unknown(row, "a setting of [embedded]", EMBEDDED),
            }
        }
        embedded
    }

    fn starter(&mut self, entry: &Entry) -> Starter {
        let mut starter = Starter::default();
        for row in self.table(entry) {
            match row.key.as_str() {
                "source" => starter.source = self.url(row, &["http://", "https://"]),
                "mirrors" => starter.mirrors = self.urls(row),
                _ => self.unknown(row, "a setting of [starter]", STARTER),
            }
        }
        starter
    }

    fn api_key(&mut self, row: &Entry) -> Option<ApiKey> {
        let key = &row.key;
        let fix = format!("Write {key} = {{ env = \"KEY_NAME\" }}, or {key} = {{ command = [\"pass\", \"show\", \"llm\"] }}.");
        let Value::Table(ways) = &row.value else {
            // Most likely the key itself: it must not be told.
            self.problem(row.line, "a key does not belong into this file; it is not used.".to_owned()).push(fix);
            return None;
        };
        let [way] = ways.as_slice() else {
            self.problem(row.line, format!("`{key}` has to name one way to the key.")).push(fix);
            return None;
        };
        match (way.key.as_str(), &way.value) {
            ("env", Value::Text(name)) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                return Some(ApiKey::Env(name.clone()));
            }
            ("command", Value::List(items)) if !items.is_empty() => {
                let argv: Option<Vec<String>> =
                    items.iter().map(|item| if let Value::Text(text) = &item.value { Some(text.clone()) } else { None }).collect();
                if let Some(argv) = argv {
                    return Some(ApiKey::Command(argv));
                }
                self.problem(row.line, format!("the command of `{key}` is not a list of texts.")).push(fix);
            }
            ("env", _) => self.problem(row.line, format!("`env` of `{key}` is not the name of a variable.")).push(fix),
            ("command", _) => {
                self.problem(row.line, format!("the command of `{key}` is a list of program and arguments; no shell runs it.")).push(fix);
            }
            _ => self.problem(row.line, format!("{} is no way to a key.", quoted(&way.key))).push(fix),
        }
        None
    }

    /// The tables of a `[[name]]`; a single `[name]` is a mistake that is easy to understand.
    fn tables<'e>(&mut self, entry: &'e Entry, name: &str) -> Vec<(usize, &'e [Entry])> {
        match &entry.value {
            Value::List(items) => {
                let mut tables = Vec::new();
                for item in items {
                    match &item.value {
                        Value::Table(rows) => tables.push((rows.first().map_or(item.line, |row| row.line.min(item.line)), rows.as_slice())),
                        other => self
                            .problem(item.line, format!("`{name}` holds {}, and should hold tables.", other.kind()))
                            .push(format!("Begin each one with [[{name}]].")),
                    }
                }
                tables
            }
            Value::Table(_) => {
                self.problem(entry.line, format!("there can be several, so [{name}] is written with two brackets; it is left out."))
                    .push(format!("Write [[{name}]]."));
                Vec::new()
            }
            other => {
                self.problem(entry.line, format!("`{name}` is {}, and should be a table.", other.kind()))
                    .push(format!("Begin each one with [[{name}]]."));
                Vec::new()
            }
        }
    }

    fn table<'e>(&mut self, entry: &'e Entry) -> &'e [Entry] {
        if let Value::Table(rows) = &entry.value {
            return rows;
        }
        self.wrong(entry, "a table", &format!("Write [{}] on a line of its own.", entry.key));
        &[]
    }

    fn list<'e>(&mut self, row: &'e Entry) -> &'e [Item] {
        if let Value::List(items) = &row.value {
            return items;
        }
        self.wrong(row, "a list", &format!("Write {} = [\"…\"].", row.key));
        &[]
    }

    fn text(&mut self, entry: &Entry) -> Option<String> {
        match &entry.value {
            Value::Text(text) if !text.is_empty() => Some(text.clone()),
            Value::Text(_) => {
                self.problem(entry.line, format!("`{}` is empty.", entry.key)).push("Leave the line out for the default.");
                None
            }
            _ => {
                self.wrong(entry, "a text", &format!("Write {} = \"…\".", entry.key));
                None
            }
        }
    }

    fn flag(&mut self, entry: &Entry) -> Option<bool> {
        if let Value::Flag(flag) = entry.value {
            return Some(flag);
        }
        self.wrong(entry, "true or false", &format!("Write {0} = true or {0} = false, without quotes.", entry.key));
        None
    }

    fn word<T: Copy>(&mut self, entry: &Entry, words: &[(&str, T)]) -> Option<T> {
        let list = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let Value::Text(text) = &entry.value else {
            self.wrong(entry, "a text", &format!("It takes {}.", list()));
            return None;
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
            return Some(*value);
        }
        let near = nearest(text, words.iter().map(|(word, _)| *word));
        let mut fix = self.problem(entry.line, format!("`{}` cannot be {}.", entry.key, quoted(text)));
        if let Some(near) = near {
            fix.push(format!("Did you mean \"{near}\"?"));
        }
        fix.push(format!("It takes {}.", list()));
        None
    }

    fn duration(&mut self, entry: &Entry) -> Option<Duration> {
        let seconds = match &entry.value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok(),
            Value::Text(text) => seconds(text),
            _ => None,
        };
        // A year: more is a slip, and sums of instants must not overflow.
        if let Some(seconds) = seconds.filter(|seconds| *seconds <= 31_536_000) {
            return Some(Duration::from_secs(seconds));
        }
        self.problem(entry.line, format!("`{}` is no length of time.", entry.key))
            .push(format!("Write {} = \"60s\", \"5m\" or \"2h\".", entry.key));
        None
    }

    fn name(&mut self, row: &Entry) -> Option<String> {
        let name = self.text(row)?;
        if name.chars().any(|c| c == '/' || c.is_whitespace() || c.is_control()) {
            self.problem(row.line, format!("{} cannot be a name: it has a slash or a space in it.", quoted(&name)))
                .push("Models are called backend/model, so write a name of letters, digits and dashes.");
            return None;
        }
        Some(name)
    }

    fn url(&mut self, row: &Entry, schemes: &[&str]) -> Option<String> {
        let url = self.text(row)?;
        let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
        let clean = !url.chars().any(|c| c.is_whitespace() || c.is_control());
        if rest.is_some_and(|rest| !rest.trim_matches('/').is_empty()) && clean {
            return Some(url.trim_end_matches('/').to_owned());
        }
        // An address may carry a password.
        let shown = if url.contains('@') { "this address".to_owned() } else { quoted(&url) };
        let with_scheme = format!("{}{url}", schemes[0]);
        let mut fix = self.problem(row.line, format!("{shown} is no address that can be used."));
        if rest.is_none() && clean && !url.contains("://") && !url.contains('@') {
            fix.push(format!("Did you mean \"{}\"?", crate::error::harmless(&with_scheme)));
        }
        fix.push(format!("It begins with {} and has no spaces.", schemes.join(" or ")));
        None
    }

    fn urls(&mut self, row: &Entry) -> Vec<String> {
        let mut urls = Vec::new();
        for item in self.list(row) {
            let one = Entry { key: row.key.clone(), value: item.value.clone(), line: item.line };
            urls.extend(self.url(&one, &["http://", "https://"]));
        }
        urls
    }

    fn count(&mut self, entry: &Entry, least: usize, most: usize) -> Option<usize> {
        let Value::Integer(number) = &entry.value else {
            self.wrong(entry, "a number", &format!("Write {} = {least}.", entry.key));
            return None;
        };
        let count = usize::try_from(*number).ok().filter(|n| (least..=most).contains(n));
        if count.is_none() {
            self.problem(entry.line, format!("`{}` is {number}, and should be between {least} and {most}.", entry.key))
                .push("Leave the line out for the default.");
        }
        count
    }

    fn path(&mut self, value: &Value, row: &Entry) -> Option<PathBuf> {
        match value {
            Value::Text(text) if !text.is_empty() => Some(expand(text, self.home)),
            other => {
                let what = if matches!(other, Value::Text(_)) { "an empty text" } else { other.kind() };
                self.problem(row.line, format!("`{}` has {what} where a path should stand.", row.key)).push("Write it as \"~/models\".");
                None
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, what: &str, known: &[&str]) {
        let near = nearest(&entry.key, known.iter().copied());
        let mut fix = self.problem(entry.line, format!("{} is not {what}.", quoted(&entry.key)));
        if let Some(near) = near {
            fix.push(format!("Did you mean {near}?"));
        }
        fix.push(format!("There are {}.", known.join(", ")));
    }

    fn wrong(&mut self, entry: &Entry, wanted: &str, fix: &str) {
        self.problem(entry.line, format!("`{}` is {}, and should be {wanted}.", entry.key, entry.value.kind())).push(fix);
    }

    fn problem(&mut self, line: usize, what: String) -> Fix<'_> {
        let at = self.problems.len();
        self.problems.push(self.source.problem(line, what));
        Fix(&mut self.problems[at])
    }
}

/// A problem that waits for what to do about it.
struct Fix<'p>(&'p mut Error);

impl Fix<'_> {
    fn push(&mut self, hint: impl Into<String>) {
        self.0.hints.push(hint.into());
    }
}

/// Seconds of `90`, `60s`, `5m`, `2h`.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}
