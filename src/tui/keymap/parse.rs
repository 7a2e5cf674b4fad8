//! From keymap files to one checked [`Keymap`].
//!
//! Owns: the layers (a file extends another; the user's lie over the built-in), and the faults that a keymap can have. Invariant:
//! in no chain of scopes does one sequence begin another, so nothing ever has to time out; a binding that would break this is
//! dropped with a problem that names file, line, the clash and the fix, and the rest holds.

use std::collections::BTreeMap;

use super::key::{Code, Key, parse_keys, show_keys};
use super::{Binding, Keymap, Options};
use crate::config::KEYMAPS;
use crate::config::document::{Entry, Source, Value};
use crate::error::{Error, Kind, nearest, quoted};
use crate::tui::action::{Action, Scope};
use crate::tui::command_line::parse_binding;

/// What came of loading.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub keymap: Keymap,
    pub problems: Vec<Error>,
}

/// The names of all keymaps: built in, then the user's own.
#[must_use]
pub fn names(user: &[Source]) -> Vec<String> {
    let mut names: Vec<String> = KEYMAPS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for source in user {
        if !names.contains(&source.name) {
            names.push(source.name.clone());
        }
    }
    names
}

/// Loads the keymap of that name: the built-in one, with the user's file of the same name over it; or a user's own, over what it
/// `extends` (vim unless it says otherwise). An unknown name is a problem and gives vim.
#[must_use]
pub fn load(name: &str, user: &[Source], options: &Options) -> Loaded {
    let mut problems = Vec::new();
    let layers = layers(name, user, &mut problems);
    let name = layers.last().map_or("vim", |layer| layer.source.name.as_str()).to_owned();
    let mut draft = Draft { modal: true, ..Draft::default() };
    for (number, layer) in layers.iter().enumerate() {
        draft.read(layer, number, &mut problems);
    }
    draft.apply(options, layers.len(), &mut problems);
    draft.drop_clashes(&mut problems);
    Loaded { keymap: draft.finish(name), problems }
}

/// A file on its way into a keymap.
struct Layer {
    source: Source,
    entries: Vec<Entry>,
}

/// The files that make up a keymap, the base first.
fn layers(name: &str, user: &[Source], problems: &mut Vec<Error>) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let mut wanted = Some(name.to_owned());
    let mut seen: Vec<String> = Vec::new();
    while let Some(name) = wanted.take() {
        let built_in = KEYMAPS.iter().find(|(known, _)| *known == name);
        let own = user.iter().find(|source| source.name == name).filter(|_| !seen.contains(&name));
        if let Some(source) = own {
            seen.push(name.clone());
            let entries = source.entries(problems);
            let extends = entries.iter().find(|entry| entry.key == "extends");
            wanted = match extends.map(|entry| (&entry.value, entry.line)) {
                Some((Value::Text(base), line)) => {
                    let known = KEYMAPS.iter().any(|(known, _)| known == base);
                    let loops = seen.contains(base) && !known;
                    if loops || !known && !user.iter().any(|source| source.name == *base) {
                        let why = if loops { "which extends this one" } else { "which there is not" };
                        let all = names(user);
                        let near = nearest(base, all.iter().map(String::as_str)).filter(|_| !loops).unwrap_or("vim");
                        problems.push(
                            source
                                .problem(line, format_args!("this keymap extends {}, {why}; it lies over vim now.", quoted(base)))
                                .hint(format!("Write `extends = \"{near}\"`.")),
                        );
                        Some("vim".to_owned())
                    } else {
                        Some(base.clone())
                    }
                }
                Some(_) | None => Some(if built_in.is_some() { name.clone() } else { "vim".to_owned() }),
            };
            layers.push(Layer { source: source.clone(), entries });
        } else if let Some((_, text)) = built_in {
            let source = Source::new(name.as_str(), format!("built-in {name}.toml"), *text);
            let entries = source.entries(problems);
            layers.push(Layer { source, entries });
        } else {
            let all = names(user);
            let error = Error::new(Kind::Config, format!("There is no keymap {}; vim is used.", quoted(&name)));
            problems.push(
                match nearest(&name, all.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("Did you mean {near}?")),
                    None => error,
                }
                .hint(format!("Keymaps: {}. Your own go into the folder keymaps/ beside config.toml.", all.join(", "))),
            );
            wanted = Some("vim".to_owned());
        }
    }
    layers.reverse();
    layers
}

#[derive(Default)]
struct Draft {
    modal: bool,
    about: String,
    bindings: Vec<Binding>,
    groups: Vec<(Vec<Key>, String)>,
}

impl Draft {
    fn read(&mut self, layer: &Layer, number: usize, problems: &mut Vec<Error>) {
        let source = &layer.source;
        for entry in &layer.entries {
            match (entry.key.as_str(), &entry.value) {
                ("extends", Value::Text(_)) => {}
                ("about", Value::Text(about)) => self.about.clone_from(about),
                ("modes", Value::Flag(modal)) => self.modal = *modal,
                ("groups", Value::Table(groups)) => self.read_groups(source, groups, problems),
                (name, Value::Table(rows)) => match name.parse::<Scope>() {
                    Ok(scope) => self.read_scope(source, number, scope, rows, problems),
                    Err(()) => problems.push(unknown_table(source, entry)),
                },
                (known @ ("extends" | "about" | "modes" | "groups"), other) => {
                    let wanted = match known {
                        "modes" => "true or false",
                        "groups" => "a table",
                        _ => "a text",
                    };
                    problems.push(
                        source
                            .problem(entry.line, format_args!("`{known}` is {}, and should be {wanted}.", other.kind()))
                            .hint(format!("Give {wanted}, or leave the line out.")),
                    );
                }
                (name, _) => problems.push(
                    source
                        .problem(entry.line, format_args!("{} stands outside of any table.", quoted(name)))
                        .hint("Keys belong under a table that says where they hold: [anywhere], [chat], [insert]…"),
                ),
            }
        }
    }

    fn read_groups(&mut self, source: &Source, groups: &[Entry], problems: &mut Vec<Error>) {
        for group in groups {
            match (parse_keys(&group.key), &group.value) {
                (Ok(keys), Value::Text(title)) => self.groups.push((keys, title.clone())),
                (Err(why), _) => problems.push(bad_keys(source, group, &why)),
                (Ok(_), other) => problems.push(
                    source
                        .problem(group.line, format_args!("the title of {} is {}, and should be a text.", quoted(&group.key), other.kind()))
                        .hint("Give it as \"text\"."),
                ),
            }
        }
    }

    fn read_scope(&mut self, source: &Source, layer: usize, scope: Scope, rows: &[Entry], problems: &mut Vec<Error>) {
        for row in rows {
            let keys = match parse_keys(&row.key) {
                Ok(keys) => keys,
                Err(why) => {
                    problems.push(bad_keys(source, row, &why));
                    continue;
                }
            };
            let shown = show_keys(&keys);
            let Value::Text(value) = &row.value else {
                problems.push(
                    source
                        .problem(
                            row.line,
                            format_args!("`{shown}` in [{scope}] is given {}, and should be given an action.", row.value.kind()),
                        )
                        .hint(format!("Write \"{}\" = \"help\", with the action's name as a text; `:help keys` lists all names.", row.key)),
                );
                continue;
            };
            let bound = if value.trim() == "none" {
                None
            } else {
                match parse_binding(value) {
                    Ok(invocation) => Some(invocation),
                    Err(error) => {
                        let mut problem = source.problem(row.line, format_args!("`{shown}` in [{scope}]: {}", error.message));
                        problem.hints = error.hints;
                        problems.push(problem);
                        continue;
                    }
                }
            };
            if bound.is_some() && swallows(scope, &keys) {
                problems.push(
                    source
                        .problem(row.line, format_args!("`{shown}` in [{scope}] would keep {shown} from being typed."))
                        .hint("Where text is typed, bind a key with C- or A-, a function key, or a sequence of several characters."),
                );
                continue;
            }
            if let Some(first) = self.bindings.iter().find(|b| b.layer == layer && b.scope == scope && b.keys == keys) {
                problems.push(
                    source
                        .problem(row.line, format_args!("`{shown}` in [{scope}] is bound already, in line {}.", first.line))
                        .hint("Two names of one key count as one (C-i is Tab, C-m is Enter, gg is g g). Remove one of the lines."),
                );
                continue;
            }
            self.bindings.push(Binding { scope, keys, bound, file: source.path.clone(), line: row.line, layer });
        }
    }

    /// Lays what the config says over the files.
    fn apply(&mut self, options: &Options, layer: usize, problems: &mut Vec<Error>) {
        if options.enter_is_newline {
            for binding in self.bindings.iter_mut().filter(|binding| binding.scope == Scope::Insert) {
                if let Some(invocation) = &mut binding.bound {
                    invocation.action = match invocation.action {
                        Action::Send => Action::Newline,
                        Action::Newline => Action::Send,
                        other => other,
                    };
                }
            }
        }
        let Some(escape) = options.escape.as_deref().filter(|_| self.modal) else { return };
        let why = match parse_keys(escape) {
            Ok(keys) if !swallows(Scope::Insert, &keys) => {
                self.bindings.push(Binding {
                    scope: Scope::Insert,
                    keys,
                    bound: Some(Action::NormalMode.into()),
                    file: "config.toml, escape".to_owned(),
                    line: 0,
                    layer,
                });
                return;
            }
            Ok(_) => "would keep that character from being typed".to_owned(),
            Err(why) => format!("is no sequence of keys: {why}"),
        };
        problems.push(
            Error::new(Kind::Config, format!("`escape = \"{}\"` of config.toml {why}.", crate::error::harmless(escape)))
                .hint("Write two or three characters that you never type in a row, as in `escape = \"jj\"`."),
        );
    }

    /// Drops bindings until no sequence begins another in any chain: always the one of the later layer, then of the later line.
    fn drop_clashes(&mut self, problems: &mut Vec<Error>) {
        let mut clashes = Vec::new();
        for scope in Scope::ALL {
            while let Some((loser, others)) = self.first_clash(scope.chain()) {
                clashes.push((self.bindings[loser].line, self.clash(loser, &others)));
                self.bindings.remove(loser);
            }
        }
        clashes.sort_by_key(|(line, _)| *line);
        problems.extend(clashes.into_iter().map(|(_, problem)| problem));
    }

    fn clash(&self, loser: usize, others: &[usize]) -> Error {
        let loser = &self.bindings[loser];
        let mine = show_keys(&loser.keys);
        let place = |other: &Binding| match other.file == loser.file {
            true => format!("line {}", other.line),
            false => format!("{}:{}", other.file, other.line),
        };
        let others: Vec<&Binding> = others.iter().map(|at| &self.bindings[*at]).collect();
        let list: Vec<String> =
            others.iter().map(|other| format!("`{}` of [{}] ({})", show_keys(&other.keys), other.scope, place(other))).collect();
        let list = list.join(" and ");
        let what = if others.iter().any(|other| other.keys.len() > loser.keys.len()) {
            format!("`{mine}` in [{}] would hide {list}", loser.scope)
        } else {
            format!("`{mine}` in [{}] can never be reached, because {list} acts at once", loser.scope)
        };
        let away: Vec<String> = others.iter().map(|other| format!("[{}] \"{}\" = \"none\"", other.scope, show_keys(&other.keys))).collect();
        let place = if loser.line == 0 { loser.file.clone() } else { format!("{}:{}", loser.file, loser.line) };
        Error::new(Kind::Config, format!("{place}: {what}; the binding is left out."))
            .hint(format!("Choose another key, or take away what is in the way: {}.", away.join(", ")))
    }

    /// A binding to drop because it begins others of the chain, or is begun by one; and those others.
    fn first_clash(&self, chain: &[Scope]) -> Option<(usize, Vec<usize>)> {
        let mut merged: BTreeMap<&[Key], usize> = BTreeMap::new();
        // Outer scopes first, so that inner ones replace them; within a scope, layers in their order.
        for scope in chain.iter().rev() {
            for (at, binding) in self.bindings.iter().enumerate().filter(|(_, binding)| binding.scope == *scope) {
                merged.insert(&binding.keys, at);
            }
        }
        merged.retain(|_, at| self.bindings[*at].bound.is_some());
        // Sorted, a sequence stands right before those that it begins.
        let sorted: Vec<(&[Key], usize)> = merged.into_iter().collect();
        let begins = |pair: &[(&[Key], usize)]| pair[1].0.starts_with(pair[0].0);
        let first = sorted.windows(2).position(begins)?;
        let (short, at) = sorted[first];
        let longer: Vec<usize> = sorted[first + 1..].iter().take_while(|(keys, _)| keys.starts_with(short)).map(|(_, at)| *at).collect();
        let weight = |at: usize| (self.bindings[at].layer, at);
        match longer.iter().find(|longer| weight(**longer) > weight(at)) {
            Some(loser) => Some((*loser, vec![at])),
            None => Some((at, longer)),
        }
    }

    fn finish(self, name: String) -> Keymap {
        // Of several layers the last one holds.
        let mut bindings: Vec<Binding> = Vec::with_capacity(self.bindings.len());
        for binding in self.bindings {
            match bindings.iter_mut().find(|known| known.scope == binding.scope && known.keys == binding.keys) {
                Some(known) => *known = binding,
                None => bindings.push(binding),
            }
        }
        Keymap::new(name, self.about, self.modal, bindings, self.groups)
    }
}

/// Whether binding these keys would eat a character that should be typed.
fn swallows(scope: Scope, keys: &[Key]) -> bool {
    (scope.types() || scope == Scope::AnyMode) && keys.len() == 1 && keys[0].typed().is_some()
        || scope == Scope::AnyMode && matches!(keys[0].code, Code::Char(_)) && keys[0].typed().is_some()
}

fn bad_keys(source: &Source, row: &Entry, why: &str) -> Error {
    source
        .problem(row.line, format_args!("{} is no sequence of keys: {why}.", quoted(&row.key)))
        .hint("Write keys apart by spaces: \"g g\", \"C-w h\", \"Space m\", \"S-Tab\", \"A-Enter\", \"F5\".")
}

fn unknown_table(source: &Source, entry: &Entry) -> Error {
    let error = source.problem(entry.line, format_args!("there is no table [{}] in a keymap.", crate::error::harmless(&entry.key)));
    let names: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
    match nearest(&entry.key, names.iter().copied()) {
        Some(near) => error.hint(format!("Did you mean [{near}]?")),
        None => error,
    }
    .hint(format!("Tables: {}.", names.join(", ")))
}
