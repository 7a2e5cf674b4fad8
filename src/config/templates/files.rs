//! The folder of templates: which files are read, and what is said of the others.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::text::is_path;
use super::{Broken, Check, Library, Sort, message, setup};
use crate::config::document::Source;
use crate::error::{Error, Kind, Result, harmless, quoted};

/// Longest file that is read, in bytes.
const LONGEST: u64 = 256 * 1024;
/// Folders within each other, and files in all.
const DEEPEST: usize = 8;
const MOST: usize = 2000;

/// Reads all templates of a folder. One that is not there is an empty one.
#[must_use]
pub fn read(folder: &Path, check: Check<'_>) -> Library {
    let mut library = Library::default();
    let mut paths = Vec::new();
    walk(folder, 0, &mut BTreeSet::new(), &mut paths);
    paths.sort();
    for path in paths.into_iter().take(MOST) {
        let sort = match path.extension().and_then(|ending| ending.to_str()) {
            Some("md") => Sort::Message,
            Some("toml") => Sort::Conversation,
            _ => continue,
        };
        let name = path.strip_prefix(folder).unwrap_or(&path).with_extension("").to_string_lossy().into_owned();
        let shown = path.display().to_string();
        let read = source(&path, &name).map_err(|error| vec![error]).and_then(|source| match sort {
            Sort::Message => message::message(&source).map(|message| library.messages.push(message)),
            Sort::Conversation => setup::setup(&source, check).map(|setup| library.conversations.push(setup)),
        });
        if let Err(errors) = read {
            library.broken.push(Broken { name, path: shown, sort, errors });
        }
    }
    library
}

/// All paths below a folder. What cannot be listed is left out; no folder is gone into twice, however links lead.
fn walk(folder: &Path, depth: usize, seen: &mut BTreeSet<(u64, u64)>, paths: &mut Vec<PathBuf>) {
    let Ok(found) = fs::metadata(folder) else { return };
    if depth > DEEPEST || !seen.insert((found.dev(), found.ino())) {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || paths.len() > MOST {
            continue;
        }
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => walk(&path, depth + 1, seen, paths),
            _ => paths.push(path),
        }
    }
}

/// Reads a file; nothing but a regular one is opened, since a pipe would be waited for.
fn source(path: &Path, name: &str) -> Result<Source> {
    let shown = harmless(&path.display().to_string());
    let left_out = |why: &str| Error::new(Kind::Config, format!("{shown} {why}, so it is left out."));
    let unreadable = |error: std::io::Error| {
        left_out("cannot be read").hint("Check that you may read it, and that a link leads to a file.").cause(error)
    };
    if !is_path(name) {
        return Err(left_out("has a name that cannot be typed as /name").hint("Rename it: letters, digits, - and _, as in code-review.md."));
    }
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(left_out("is not a file").hint("A template is a text file."));
    }
    let mut bytes = Vec::new();
    // The flags of a file's opening fill an int.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(left_out("is larger than 256 KiB").hint("Attach long texts to the message instead."));
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| left_out("is no UTF-8 text").hint("Save it as UTF-8."))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
    Ok(Source::new(name, path.display().to_string(), text))
}

/// Writes a new template. Never over one that is there.
///
/// # Errors
/// It cannot be called so, it is there already, or it cannot be written.
pub fn save(folder: &Path, name: &str, sort: Sort, text: &str) -> Result<PathBuf> {
    if !is_path(name) {
        return Err(Error::new(Kind::Usage, format!("A template cannot be called {}.", quoted(name)))
            .hint("Names have letters, digits, - and _; a slash makes a folder, as in team/review."));
    }
    let ending = if sort == Sort::Message { "md" } else { "toml" };
    let path = folder.join(format!("{name}.{ending}"));
    let shown = harmless(&path.display().to_string());
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(Kind::File, format!("There is a template {} already, and it was left as it is.", quoted(name)))
                .hint(format!("Choose another name, or edit {shown}."))
        }
        std::io::ErrorKind::StorageFull => Error::new(Kind::DiskFull, format!("{shown} could not be saved: the disk is full.")),
        _ => Error::new(Kind::ReadOnly, format!("{shown} could not be saved.")).hint("Look at the folder's rights.").cause(error),
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(refused)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(refused)?;
    file.write_all(text.as_bytes()).map_err(refused)?;
    Ok(path)
}
