//! Files that the screen reads and writes for a person: saved code, the input history, a text in an editor.
//!
//! Owns: their modes and their messages. Refuses: deciding when (`update` does). Invariant: nothing that is there is overwritten unasked, and
//! what passes through an editor lies in a file that only this user can read.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// Writes a new file, with the folders that it needs. Never over one that is there.
pub(super) fn save(path: &Path, text: &str) -> Result<PathBuf> {
    use std::io::Write;
    let shown = crate::error::harmless(&path.display().to_string());
    let refused = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(Kind::File, format!("{shown} is there already and was left as it is.")).hint("Choose another name.")
        }
        std::io::ErrorKind::StorageFull => Error::new(Kind::DiskFull, format!("{shown} could not be saved: the disk is full.")),
        _ => Error::new(Kind::ReadOnly, format!("{shown} could not be saved.")).hint("Look at the folder's rights.").cause(cause),
    };
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(refused)?;
    file.write_all(text.as_bytes()).map_err(refused)?;
    Ok(path.to_path_buf())
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
    let editor = ["VISUAL", "EDITOR"].iter().filter_map(|name| std::env::var(name).ok()).find(|v| !v.trim().is_empty());
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let name = format!("arbour-{}.{extension}", uuid::Uuid::new_v4().simple());
    let path = std::env::temp_dir().join(name);
    let broken = |cause: std::io::Error| {
        Error::new(Kind::File, "The text could not be put into a file for the editor, so it stays as it was.").cause(cause)
    };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(broken)?;
    file.write_all(text.as_bytes()).map_err(broken)?;
    drop(file);
    // Through the shell, since people write options into EDITOR.
    let status = tokio::process::Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status().await;
    let read = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    let shown = crate::error::harmless(&editor);
    match status {
        Ok(status) if status.success() => read.map_err(broken),
        Ok(status) => Err(Error::new(Kind::File, format!("The editor `{shown}` ended with {status}, so the text stays as it was."))
            .hint("Set EDITOR to an editor that is installed.")),
        Err(cause) => Err(Error::new(Kind::File, format!("The editor `{shown}` could not be started.")).hint("Set EDITOR.").cause(cause)),
    }
}
