//! Folders that are attached: which of their files go along, and what paths may go on with.
//!
//! Owns: the walk with the rules of `.gitignore` and `.ignore`, and its limits. Refuses: pictures and anything that is no text (a folder is
//! attached for its text). Invariant: it ends, however large a folder is and wherever its links lead: links are not followed, and what is
//! looked at is counted.

use std::fs;
use std::path::{Path, PathBuf};

use super::attach::{self, Attachment, Limits, Sort};
use super::ignore::Rules;
use crate::error::{Error, Kind, Result, quoted};

/// Files of one folder that are attached, and their bytes in all: more is no question but a data set.
const MOST: usize = 100;
const MOST_BYTES: u64 = 2_000_000;
/// One of them, in bytes.
const LONGEST: u64 = 500_000;
/// Entries that are looked at.
const LOOKED_AT: usize = 20_000;
const DEEPEST: usize = 32;
/// Candidates of a completion: nobody goes through more.
const CANDIDATES: usize = 200;

/// The files of a folder that can be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub files: Vec<Attachment>,
    /// Left out: they are no text, or empty.
    pub other: usize,
    /// Left out: they are too long.
    pub long: usize,
    /// Left out by the rules of `.gitignore` and `.ignore`; a folder counts once.
    pub ignored: usize,
}

/// Reads the text files of a folder.
///
/// # Errors
/// [`Kind::Usage`]: there is no text in it, or too much; it cannot be read.
pub fn take(folder: &Path) -> Result<Taken> {
    let shown = quoted(&folder.to_string_lossy());
    let refused = |what: String| Error::new(Kind::Usage, what).hint("Attach a folder within it, or name the files that matter.");
    let mut walk = Walk { looked_at: 0, ignored: 0, files: Vec::new() };
    let rules = Rules::above(folder);
    if !walk.through(folder, &rules, 0).map_err(|e| Error::new(Kind::Usage, format!("The folder {shown} cannot be read.")).cause(e))? {
        return Err(refused(format!("The folder {shown} holds more than {LOOKED_AT} files and folders, so it is not attached.")));
    }
    walk.files.sort();
    let mut taken = Taken { files: Vec::new(), other: 0, long: 0, ignored: walk.ignored };
    let mut bytes = 0;
    for path in &walk.files {
        if fs::metadata(path).is_ok_and(|found| found.len() > LONGEST) {
            taken.long += 1;
            continue;
        }
        match attach::read(path, Limits { picture: LONGEST, text: LONGEST }) {
            Ok(file) if file.sort == Sort::Text => {
                bytes += file.facts.bytes;
                taken.files.push(Attachment { name: name(folder, path), ..file });
            }
            _ => taken.other += 1,
        }
        if taken.files.len() > MOST || bytes > MOST_BYTES {
            return Err(refused(format!(
                "The folder {shown} has too much text to attach: more than {MOST} files or {} MB.",
                MOST_BYTES / 1_000_000
            )));
        }
    }
    if taken.files.is_empty() {
        return Err(Error::new(Kind::Usage, format!("There is no text file to attach in the folder {shown}."))
            .hint("Hidden files, and those that .gitignore or .ignore name, are left out; name them to attach them."));
    }
    Ok(taken)
}

/// What a model is told that a file is called: from the folder's own name on.
fn name(folder: &Path, path: &Path) -> String {
    let own = folder.file_name().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let shown = own.join(path.strip_prefix(folder).unwrap_or(path));
    crate::error::harmless(shown.to_string_lossy().trim_start_matches("./"))
}

struct Walk {
    looked_at: usize,
    ignored: usize,
    files: Vec<PathBuf>,
}

impl Walk {
    /// Goes through a folder. `false`: there is too much in it.
    fn through(&mut self, folder: &Path, above: &Rules, depth: usize) -> std::io::Result<bool> {
        let rules = above.within(folder);
        for entry in fs::read_dir(folder)? {
            let Ok(entry) = entry else { continue };
            self.looked_at += 1;
            if self.looked_at > LOOKED_AT {
                return Ok(false);
            }
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if rules.ignores(&path, kind.is_dir()) {
                self.ignored += 1;
            } else if kind.is_dir() {
                // What cannot be listed is left out.
                if depth < DEEPEST && !self.through(&path, &rules, depth + 1).unwrap_or(true) {
                    return Ok(false);
                }
            } else if kind.is_file() {
                self.files.push(path);
            }
        }
        Ok(true)
    }
}

/// What a path that is being typed may go on with: the names in its folder that begin so, folders first, each as the whole path. Hidden
/// ones only when a dot was typed, ignored ones last of all never.
#[must_use]
pub fn candidates(typed: &str, folder: &Path) -> Vec<String> {
    let (above, begun) = typed.rsplit_once('/').map_or(("", typed), |(above, begun)| (&typed[..=above.len()], begun));
    let rules = Rules::above(folder).within(folder);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let folded = begun.to_lowercase();
    let mut found: Vec<(bool, String)> = Vec::new();
    for entry in entries.take(LOOKED_AT * 10).flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let fits = name.starts_with(begun) || begun.chars().all(|c| !c.is_uppercase()) && name.to_lowercase().starts_with(&folded);
        if !fits || name.starts_with('.') != begun.starts_with('.') || name.chars().any(char::is_control) {
            continue;
        }
        // A link counts as what it leads to.
        let is_folder = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
        if !rules.ignores(&entry.path(), is_folder) {
            found.push((!is_folder, format!("{above}{name}{}", if is_folder { "/" } else { "" })));
        }
        if found.len() > LOOKED_AT {
            break;
        }
    }
    found.sort();
    found.truncate(CANDIDATES);
    found.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(home: &Path, files: &[(&str, &[u8])]) {
        for (name, bytes) in files {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    #[test]
    fn the_text_files_of_a_folder_go_along_and_the_others_are_counted() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join("p").join(name);
        let long = vec![b'a'; 600_000];
        let files: &[(&str, &[u8])] = &[
            ("p/src/main.rs", b"fn main() {}"),
            ("p/readme.md", b"hello"),
            ("p/logo.bin", b"\0\x01"),
            ("p/empty", b""),
            ("p/long.txt", &long),
            ("p/.hidden", b"x"),
            ("p/.git/config", b"x"),
            ("p/target/out.txt", b"x"),
            ("p/src/keep.log", b"kept"),
            ("p/src/drop.log", b"x"),
            ("p/.gitignore", b"target/\n*.log\n!keep.log\n"),
        ];
        put(home.path(), files);
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::os::unix::fs::symlink("..", at("up")).unwrap();
        let taken = take(&at("")).unwrap();
        let names: Vec<&str> = taken.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["p/readme.md", "p/src/keep.log", "p/src/main.rs"]);
        assert_eq!((taken.other, taken.long, taken.ignored), (2, 1, 2));
    }

    #[test]
    fn a_folder_without_text_or_without_end_gets_a_sentence() {
        let home = tempfile::tempdir().unwrap();
        assert!(take(home.path()).unwrap_err().message.starts_with("There is no text file to attach"));
        for n in 0..130 {
            fs::write(home.path().join(format!("{n}.txt")), "words").unwrap();
        }
        assert!(take(home.path()).unwrap_err().message.contains("too much text"));
        assert!(take(&home.path().join("none")).unwrap_err().message.contains("cannot be read"));
    }

    #[test]
    fn paths_go_on_with_what_is_there() {
        let home = tempfile::tempdir().unwrap();
        put(
            home.path(),
            &[("src/main.rs", b""), ("src/Model.rs", b""), ("sum.txt", b""), (".env", b""), ("skip.o", b""), (".ignore", b"*.o")],
        );
        assert_eq!(candidates("s", home.path()), ["src/", "sum.txt"]);
        assert_eq!(candidates("src/m", &home.path().join("src")), ["src/Model.rs", "src/main.rs"]);
        assert_eq!(candidates("src/M", &home.path().join("src")), ["src/Model.rs"]);
        assert_eq!(candidates(".e", home.path()), [".env"]);
        assert_eq!(candidates("x/", &home.path().join("x")), Vec::<String>::new());
    }
}
