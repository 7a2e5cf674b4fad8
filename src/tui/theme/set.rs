//! The themes that there are, and the one that is meant.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::style::{Color, Style};

use super::colour::{self, Depth, Facts};
use super::file::{self, Layer, Look, Named, ThemeFile};
use super::{Role, Theme};
use crate::error::{Error, Kind, Result};

/// Every built-in theme: one file each in `themes/`.
const BUILT_IN: &[(&str, &str)] = &[
    ("ansi", include_str!("../../../themes/ansi.toml")),
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
];

/// Names that are no file.
const AUTO: &str = "auto";
const MONO: &str = "mono";

/// The built-in themes with the user's own laid beside and over them.
#[derive(Debug, Clone)]
pub struct Themes {
    files: BTreeMap<String, ThemeFile>,
    own: BTreeMap<String, ThemeFile>,
}

/// A resolved theme, and what its file got wrong.
#[derive(Debug)]
pub struct Choice {
    pub theme: Theme,
    /// The background that the theme is made for, where it says so. Never painted.
    pub background: Option<Color>,
    pub problems: Vec<Error>,
}

impl Themes {
    /// The built-in ones.
    #[must_use]
    pub fn built_in() -> Self {
        let files = BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), file::parse(&format!("themes/{name}.toml"), text).0)).collect();
        Self { files, own: BTreeMap::new() }
    }

    /// The built-in ones and every `*.toml` in `folder`. A folder that is not there is no problem.
    #[must_use]
    pub fn load(folder: Option<&Path>) -> (Self, Vec<Error>) {
        let mut themes = Self::built_in();
        let mut problems = Vec::new();
        let Some(folder) = folder else { return (themes, problems) };
        let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
        paths.sort();
        for path in paths {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let shown = crate::sanitise::line(&path.display().to_string()).into_owned();
            match std::fs::read_to_string(&path) {
                Ok(text) => problems.extend(themes.add(name, &shown, &text)),
                Err(error) => problems.push(
                    Error::new(Kind::Config, format!("The theme {shown} cannot be read, so it is not there."))
                        .hint("Look at the file's rights and that it is UTF-8.")
                        .cause(error),
                ),
            }
        }
        (themes, problems)
    }

    /// Adds a user's theme, over a built-in one of that name.
    pub fn add(&mut self, name: &str, path: &str, text: &str) -> Vec<Error> {
        if name == AUTO || name == MONO {
            return vec![
                Error::new(Kind::Config, format!("{path}:1: `{name}` is a name of arbour's own, so this theme cannot be chosen."))
                    .hint("Give the file another name."),
            ];
        }
        let (file, mut problems) = file::parse(path, text);
        self.own.insert(name.to_owned(), file);
        problems.extend(self.check(name));
        problems
    }

    /// Everything that `:theme` takes, in the order of a menu.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.files.keys().chain(self.own.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.insert(0, AUTO);
        names.push(MONO);
        names
    }

    /// The theme of that name on such a terminal. `auto` is dark or light after the terminal's background, and `ansi` without
    /// true colour; every theme is without colours where the terminal has none.
    ///
    /// # Errors
    /// There is no theme of that name; the message says which there are.
    pub fn resolve(&self, name: &str, facts: &Facts) -> Result<Choice> {
        if name == MONO || facts.depth == Depth::None {
            if name != AUTO && name != MONO {
                self.find(name, None)?;
            }
            return Ok(Choice { theme: Theme::mono(), background: None, problems: Vec::new() });
        }
        let file = match name {
            AUTO if facts.depth < Depth::True => "ansi",
            AUTO if facts.light == Some(true) => "light",
            AUTO => "dark",
            name => name,
        };
        self.find(file, None)?;
        Ok(self.build(file, facts))
    }

    /// A file by name; a theme that inherits from its own name means the built-in one.
    fn find(&self, name: &str, inheriting: Option<&str>) -> Result<&ThemeFile> {
        let own = if inheriting == Some(name) { None } else { self.own.get(name) };
        own.or_else(|| self.files.get(name)).ok_or_else(|| {
            let shown = crate::sanitise::cut(name, 40);
            let error = Error::new(Kind::NotFound, format!("There is no theme `{shown}`; the theme stays as it is."));
            let names = self.names();
            match file::meant(&shown, names.iter().copied()) {
                Some(near) => error.hint(format!("Use `{near}` if that was meant.")),
                None => error,
            }
            .hint(format!("There are {}.", names.join(", ")))
        })
    }

    /// What is wrong with a theme as a whole: parents that are not there, names that nobody defined.
    fn check(&self, name: &str) -> Vec<Error> {
        let mut problems = Vec::new();
        for light in [false, true] {
            for problem in self.build(name, &Facts { depth: Depth::True, light: Some(light) }).problems {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        problems
    }

    fn build(&self, name: &str, facts: &Facts) -> Choice {
        let mut problems = Vec::new();
        let mut merged = Layer::default();
        for file in self.line(name, &mut problems) {
            lay(&mut merged, &file.body);
            let side = if facts.light == Some(true) { &file.light } else { &file.dark };
            if let Some(side) = side {
                lay(&mut merged, side);
            }
        }
        let path = self.find(name, None).map(|file| file.path.clone()).unwrap_or_default();
        let mut styles = [Style::new(); Role::COUNT];
        let mut told = Vec::new();
        for (role, look) in &merged.roles {
            styles[*role as usize] = style(look, &merged, facts.depth, &mut |named| {
                if !told.contains(named) {
                    told.push(named.clone());
                }
            });
        }
        for named in told {
            let word = crate::sanitise::cut(&named.text, 40);
            let fix = match file::meant(&word, merged.defs.keys().map(String::as_str)) {
                Some(near) => format!("Write `{near}` if that was meant."),
                None => format!("Add `{word} = \"#rrggbb\"` under `[defs]`, or write the colour itself."),
            };
            problems.push(file::problem(&path, named.line, &format!("`{word}` is neither a colour nor in `defs`"), &fix));
        }
        let background = merged.background.and_then(|named| file::colour(&named.text));
        Choice { theme: Theme::new(name, styles), background, problems }
    }

    /// A theme's ancestors and itself, oldest first.
    fn line(&self, name: &str, problems: &mut Vec<Error>) -> Vec<&ThemeFile> {
        let mut line: Vec<&ThemeFile> = Vec::new();
        let mut child: Option<(String, &ThemeFile)> = None;
        let mut next = name.to_owned();
        loop {
            let parent = match &child {
                None => self.find(&next, None),
                Some((name, _)) => self.find(&next, Some(name)),
            };
            match (parent, &child) {
                (Ok(file), _) if line.iter().any(|seen| std::ptr::eq(*seen, file)) => {
                    if let Some((_, heir)) = child {
                        let at = heir.inherits.as_ref().map_or(1, |named| named.line);
                        problems.push(file::problem(
                            &heir.path,
                            at,
                            &format!("`{next}` inherits from this theme in turn"),
                            "Inherit from another.",
                        ));
                    }
                    break;
                }
                (Ok(file), _) => {
                    line.push(file);
                    let Some(inherits) = &file.inherits else { break };
                    child = Some((next, file));
                    next = inherits.text.clone();
                }
                (Err(error), Some((_, heir))) => {
                    let at = heir.inherits.as_ref().map_or(1, |named| named.line);
                    let shown = crate::sanitise::cut(&next, 40);
                    let mut wrong =
                        file::problem(&heir.path, at, &format!("there is no theme `{shown}` to inherit from"), "Name one that is there.");
                    wrong.hints.extend(error.hints);
                    problems.push(wrong);
                    break;
                }
                (Err(_), None) => break,
            }
        }
        line.reverse();
        line
    }
}

fn lay(below: &mut Layer, above: &Layer) {
    if above.background.is_some() {
        below.background.clone_from(&above.background);
    }
    below.defs.extend(above.defs.iter().map(|(name, value)| (name.clone(), value.clone())));
    below.roles.extend(above.roles.iter().map(|(role, look)| (*role, look.clone())));
}

fn style(look: &Look, layer: &Layer, depth: Depth, unknown: &mut dyn FnMut(&Named)) -> Style {
    let mut resolve = |named: &Named| {
        let found = layer.defs.get(&named.text).and_then(|def| file::colour(&def.text)).or_else(|| file::colour(&named.text));
        if found.is_none() {
            unknown(named);
        }
        found.map(|colour| colour::nearest(colour, depth))
    };
    let mut style = Style::new().add_modifier(look.add);
    style.fg = look.fg.as_ref().and_then(&mut resolve);
    style.bg = look.bg.as_ref().and_then(&mut resolve);
    style
}
