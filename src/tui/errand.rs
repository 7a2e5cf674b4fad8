//! Errands of the composer: templates and files, read and written beside the loop.
//!
//! Owns: what has to be fetched ([`Errand`]) and what comes back ([`Found`]). Refuses: to decide what it is for: that goes along and
//! comes back as it was. Invariant: everything is bounded, and whatever cannot be read is a sentence.

use std::path::{Path, PathBuf};

use super::action::Invocation;
use super::msg::Msg;
use crate::client::attach::{self, Attachment, Limits};
use crate::client::folder::{self, Taken};
use crate::config::expand;
use crate::config::templates::{self, Library, Sort};
use crate::core::parameters;
use crate::error::{Error, Kind, Result};
use crate::proto::FolderId;

/// What templates are read for.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// This text begins with a slash and was to be sent.
    Insert { text: String },
    /// Tab behind a slash.
    Complete { back: bool },
    /// To choose a message's from.
    List,
    /// To open one in `$EDITOR`.
    Open { name: String },
    /// A conversation begins with one; without a name it is chosen.
    Begin { name: Option<String>, folder: Option<FolderId> },
    /// This file was edited: what is wrong with it is said.
    Checked { path: String },
    /// One of the conversations' is chosen, and called with its name behind what the call has.
    Pick { title: String, call: Invocation },
}

/// What files are read for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum For {
    /// Words of the text: what is not there is text.
    Words,
    /// The same, and the message is to be sent.
    Sending,
    /// They were asked for by name: what is wrong with them is said.
    Named,
    /// This was pasted, and may be the path of a file.
    Pasted(String),
}

/// Something to fetch.
#[derive(Debug, Clone, PartialEq)]
pub enum Errand {
    Templates(Then),
    SaveTemplate {
        name: String,
        sort: Sort,
        text: String,
    },
    /// What a path may go on with.
    Paths {
        typed: String,
        back: bool,
    },
    /// Files and folders, as they were written.
    Attach {
        paths: Vec<String>,
        why: For,
    },
    /// A text that was pasted, or lay in the clipboard.
    Text {
        name: String,
        text: String,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum Found {
    Templates(Then, Box<Library>),
    Paths {
        typed: String,
        back: bool,
        /// As paths are written: folders with a slash behind.
        names: Vec<String>,
    },
    Attached {
        why: For,
        /// Each with the path as it was written.
        files: Vec<(String, Result<Attachment>)>,
        folders: Vec<(String, Result<Taken>)>,
    },
    Text(Result<Attachment>),
}

/// Where the screen's files lie.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    pub templates: PathBuf,
}

impl Desk {
    /// Goes and fetches. Blocks for as long as the disk takes.
    #[must_use]
    pub fn run(&self, errand: Errand) -> Msg {
        let home = crate::config::home_folder();
        let at = |written: &str| expand(written, home.as_deref());
        Msg::Found(match errand {
            Errand::Templates(then) => {
                let check = |key: &str, value: serde_json::Value| parameters::check(key, &value).map(|()| value);
                Found::Templates(then, Box::new(templates::read(&self.templates, &check)))
            }
            Errand::SaveTemplate { name, sort, text } => return Msg::Saved(templates::save(&self.templates, &name, sort, &text)),
            Errand::Paths { typed, back } => {
                let names = folder::candidates(
                    &typed,
                    &at(typed.rsplit_once('/').map_or(".", |(above, _)| if above.is_empty() { "/" } else { above })),
                );
                Found::Paths { typed, back, names }
            }
            Errand::Attach { paths, why } => {
                let (mut files, mut folders) = (Vec::new(), Vec::new());
                for written in paths {
                    let path = at(&written);
                    // A word that names nothing is a word.
                    if why != For::Named && std::fs::symlink_metadata(&path).is_err() {
                        continue;
                    }
                    if path.is_dir() {
                        folders.push((written, folder::take(&path)));
                    } else {
                        files.push((written, read(&path)));
                    }
                }
                Found::Attached { why, files, folders }
            }
            Errand::Text { name, text } => Found::Text(attach::from_bytes(&name, text.into_bytes(), Limits::default())),
        })
    }
}

fn read(path: &Path) -> Result<Attachment> {
    if path.to_string_lossy().chars().any(char::is_control) {
        return Err(Error::new(Kind::Usage, "The path has control characters in it, so it is not attached.")
            .hint("Rename the file, or attach a copy under another name."));
    }
    attach::read(path, Limits::default())
}

/// The words of a text that may name files: `@path`, `@"a path with spaces"`, each at the beginning of a word. Without the `@`.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut before = ' ';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c != '@' || !(before.is_whitespace() || "([{\"'`".contains(before)) {
            before = c;
            rest = after;
            continue;
        }
        let (word, left) = word(after);
        if !word.is_empty() && !out.contains(&word) {
            out.push(word);
        }
        before = 'x';
        rest = left;
    }
    out
}

/// The path that a text begins with, and what follows it. A backslash makes a space part of it.
fn word(text: &str) -> (String, &str) {
    if let Some((inside, after)) = text.strip_prefix('"').and_then(|rest| rest.split_once('"')).filter(|(inside, _)| !inside.contains('\n'))
    {
        return (inside.to_owned(), after);
    }
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if text[at + 1..].starts_with([' ', '\\', '"']) => out.extend(chars.next().map(|(_, c)| c)),
            c if c.is_whitespace() => return (trimmed(out), &text[at..]),
            c => out.push(c),
        }
    }
    (trimmed(out), "")
}

/// Without what a sentence puts behind a word.
fn trimmed(mut word: String) -> String {
    while word.ends_with([',', ';', ':', '!', '?', ')', ']', '}', '\'', '`']) || word.ends_with('.') && !word.ends_with("..") {
        word.pop();
    }
    word
}

/// A path as it is written behind an `@`.
#[must_use]
pub fn quoted_word(path: &str) -> String {
    if path.contains(char::is_whitespace) { format!("@\"{path}\"") } else { format!("@{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_may_name_files() {
        let found = words("see @src/main.rs, @\"my file.txt\" and (@a\\ b.c) but not me@example.org; @src/main.rs @../x.. @.");
        assert_eq!(found, ["src/main.rs", "my file.txt", "a b.c", "../x.."]);
        assert_eq!(words("@\"open"), ["\"open"]);
        assert_eq!(quoted_word("a b"), "@\"a b\"");
    }
}
