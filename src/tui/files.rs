//! Files that the screen reads and writes for a person: saved code, the input history, a text in an editor.
//!
//! Owns: their modes and their messages. Refuses: deciding when (`update` does). Invariant: nothing that is there is overwritten unasked, and
//! what passes through an editor lies in a file that only this user can read.

use std::path::{Path, PathBuf};

use super::msg::Msg;
use crate::error::{Error, Kind, Result};
use crate::proto::UnixMs;

/// Writes a file, with the folders that it needs. Over one that is there only when that was asked for, and then whole or not at all.
pub(super) fn save(path: PathBuf, data: Vec<u8>, over: bool) -> Msg {
    match write(&path, &data, over) {
        Ok(()) => Msg::Saved(Ok(path)),
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => exists(path, data),
        Err(cause) => {
            let shown = crate::error::harmless(&path.display().to_string());
            Msg::Saved(Err(match cause.kind() {
                std::io::ErrorKind::StorageFull => Error::new(Kind::DiskFull, format!("{shown} could not be saved: the disk is full.")),
                _ => Error::new(Kind::ReadOnly, format!("{shown} could not be saved.")).hint("Look at the folder's rights.").cause(cause),
            }))
        }
    }
}

/// Something is there already: a file is asked about, anything else is left alone.
fn exists(path: PathBuf, data: Vec<u8>) -> Msg {
    match std::fs::metadata(&path) {
        Ok(there) if there.is_file() => {
            let changed = there.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let changed = changed.and_then(|since| UnixMs::try_from(since.as_millis()).ok());
            Msg::Exists { path, data, bytes: there.len(), changed }
        }
        _ => {
            let shown = crate::error::harmless(&path.display().to_string());
            let error = Error::new(Kind::File, format!("{shown} is there already and is no file, so it was left as it is."));
            Msg::Saved(Err(error.hint("Choose another name.")))
        }
    }
}

fn write(path: &Path, data: &[u8], over: bool) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let create = |path: &Path| -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(data)
    };
    if !over {
        return create(path);
    }
    // A file that somebody confirmed may have become something else meanwhile.
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", uuid::Uuid::new_v4().simple()));
    let beside = path.with_file_name(name);
    let mode = std::fs::metadata(path).map(|there| there.permissions());
    let done = create(&beside)
        .and_then(|()| mode.map_or(Ok(()), |mode| std::fs::set_permissions(&beside, mode)))
        .and_then(|()| std::fs::rename(&beside, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    done
}

/// Replaces the file with the history, readable by this user only.
pub(super) fn write_history(path: &Path, lines: &[String]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    for line in lines {
        writeln!(file, "{}", line.replace('\n', " "))?;
    }
    drop(file);
    std::fs::rename(&temporary, path)
}

/// Opens `$VISUAL`, `$EDITOR` or vi on the text, in a file that only this user can read.
pub(super) async fn edit(text: &str, extension: &str) -> Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let editor = editor();
    let name = format!("arbour-{}.{extension}", uuid::Uuid::new_v4().simple());
    let path = std::env::temp_dir().join(name);
    let broken = |cause: std::io::Error| {
        Error::new(Kind::File, "The text could not be put into a file for the editor, so it stays as it was.").cause(cause)
    };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(broken)?;
    file.write_all(text.as_bytes()).map_err(broken)?;
    drop(file);
    let status = run(&editor, &path).await;
    let read = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    status.map_err(|error| kept(error, "the text stays as it was"))?;
    read.map_err(broken)
}

/// Opens it on a file itself.
pub(super) async fn edit_file(path: &Path) -> Result<()> {
    run(&editor(), path).await.map_err(|error| kept(error, "the file may be as it was"))
}

fn editor() -> String {
    let editor = ["VISUAL", "EDITOR"].iter().filter_map(|name| std::env::var(name).ok()).find(|v| !v.trim().is_empty());
    editor.unwrap_or_else(|| "vi".to_owned())
}

fn kept(mut error: Error, what: &str) -> Error {
    error.message = format!("{}, so {what}.", error.message.trim_end_matches('.'));
    error
}

async fn run(editor: &str, path: &Path) -> Result<()> {
    // Through the shell, since people write options into EDITOR.
    let status = tokio::process::Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path).status().await;
    let shown = crate::error::harmless(editor);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Error::new(Kind::File, format!("The editor `{shown}` ended with {status}."))
                .hint("Set EDITOR to an editor that is installed."))
        }
        Err(cause) => Err(Error::new(Kind::File, format!("The editor `{shown}` could not be started.")).hint("Set EDITOR.").cause(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(path: &Path, text: &str, over: bool) -> Msg {
        save(path.to_path_buf(), text.as_bytes().to_vec(), over)
    }

    #[test]
    fn nothing_is_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("src/main.rs");
        assert!(matches!(saved(&path, "one", false), Msg::Saved(Ok(_))), "with the folders that it needs");
        match saved(&path, "two", false) {
            Msg::Exists { bytes: 3, changed: Some(_), data, .. } => assert_eq!(data, b"two"),
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert!(matches!(saved(&path, "two", true), Msg::Saved(Ok(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for over in [false, true] {
            assert!(matches!(saved(folder.path(), "text", over), Msg::Saved(Err(error)) if error.message.contains("is no file")));
        }
    }
}
