//! The rules of `.gitignore` and `.ignore` files.
//!
//! Owns: patterns and which of them wins. Refuses: git's own further sources (`info/exclude`, the user's global file). As in git: the last
//! pattern that fits decides, patterns of inner folders come after those of outer ones, `!` takes one back.

use std::path::{Path, PathBuf};

const FILES: &[&str] = &[".gitignore", ".ignore"];
/// Longest file of rules that is read, in bytes.
const LONGEST: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// The folder of the file that it stands in.
    base: PathBuf,
    /// The parts between slashes.
    parts: Vec<String>,
    /// It names a path from `base` on, not a name anywhere below.
    anchored: bool,
    folders_only: bool,
    /// It takes back what earlier ones ignore.
    back: bool,
}

/// Rules of a folder and those above it, the outer ones first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// The rules of the folders above one, up to the root of its repository.
    #[must_use]
    pub fn above(folder: &Path) -> Self {
        let Ok(folder) = std::path::absolute(folder) else { return Self::default() };
        let mut above: Vec<&Path> = Vec::new();
        for ancestor in folder.ancestors() {
            if ancestor != folder {
                above.push(ancestor);
            }
            if ancestor.join(".git").exists() {
                return above.into_iter().rev().fold(Self::default(), |rules, folder| rules.within(folder));
            }
        }
        // Outside of a repository only the folder's own rules hold.
        Self::default()
    }

    /// These rules and those of a folder.
    #[must_use]
    pub fn within(&self, folder: &Path) -> Self {
        let mut rules = self.clone();
        for file in FILES {
            let path = folder.join(file);
            let small = std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= LONGEST);
            if let Some(text) = small.then(|| std::fs::read_to_string(&path).ok()).flatten() {
                rules.read(folder, &text);
            }
        }
        rules
    }

    fn read(&mut self, folder: &Path, text: &str) {
        let base = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        for line in text.lines() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (back, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
            let (folders_only, pattern) = pattern.strip_suffix('/').map_or((false, pattern), |rest| (true, rest));
            let anchored = pattern.contains('/');
            let parts = pattern.trim_start_matches('/').split('/').map(|part| part.trim_start_matches('\\').to_owned()).collect();
            self.0.push(Rule { base: base.clone(), parts, anchored, folders_only, back });
        }
    }

    /// Whether a path is left out.
    #[must_use]
    pub fn ignores(&self, path: &Path, is_folder: bool) -> bool {
        let Ok(path) = std::path::absolute(path) else { return false };
        let deciding = self.0.iter().rev().find(|rule| (is_folder || !rule.folders_only) && rule.fits(&path));
        deciding.is_some_and(|rule| !rule.back)
    }
}

impl Rule {
    fn fits(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.base) else { return false };
        let names: Vec<String> = below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        if self.anchored {
            return parts_fit(&self.parts, &names);
        }
        names.last().is_some_and(|name| self.parts.first().is_some_and(|part| fits(part, name)))
    }
}

/// Whether a path's parts are what a pattern says, `**` being any number of them.
fn parts_fit(pattern: &[String], names: &[String]) -> bool {
    match pattern.split_first() {
        None => names.is_empty(),
        Some((first, rest)) if first == "**" => {
            rest.is_empty() && !names.is_empty() || (0..=names.len()).any(|at| !rest.is_empty() && parts_fit(rest, &names[at..]))
        }
        Some((first, rest)) => names.split_first().is_some_and(|(name, others)| fits(first, name) && parts_fit(rest, others)),
    }
}

/// Whether a name fits a pattern of `*`, `?` and `[a-z]`. Goes back to the last star only, so that no pattern takes long.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], name[n]),
            Some(c) => (*c == name[n]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(long), _) => {
                p += long;
                n += 1;
            }
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How long a class of characters is in a pattern, when it holds this one.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
    let inside = &pattern[1..end];
    let (not, inside) = match inside.first() {
        Some('!' | '^') => (true, &inside[1..]),
        _ => (false, inside),
    };
    let mut holds = false;
    let mut at = 0;
    while at < inside.len() {
        if let [from, '-', to, ..] = &inside[at..] {
            holds |= (*from..=*to).contains(&c);
            at += 3;
        } else {
            holds |= inside[at] == c;
            at += 1;
        }
    }
    (holds != not).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_git() {
        let mut rules = Rules::default();
        rules.read(Path::new("/r"), "# no rule\n*.o\n/build\ndocs/*.txt\nlogs/\n**/cache\na/**/z\n!keep.o\nx[0-9].?\n");
        let ignored = |path: &str, folder| rules.ignores(&Path::new("/r").join(path), folder);
        for path in ["a.o", "deep/down/b.o", "build", "docs/x.txt", "src/cache", "cache", "a/z", "a/b/c/z", "x7.c"] {
            assert!(ignored(path, false), "{path}");
        }
        for path in ["a.oo", "src/build", "docs/deep/x.txt", "keep.o", "deep/keep.o", "logs", "xa.c", "x7.cc", "z"] {
            assert!(!ignored(path, false), "{path}");
        }
        assert!(ignored("logs", true) && ignored("deep/logs", true));
        assert!(!Rules::default().ignores(Path::new("/r/a.o"), false));
        assert!(!fits(&format!("{}b", "*a".repeat(40)), &"a".repeat(2000)), "and no pattern takes long");
    }
}
