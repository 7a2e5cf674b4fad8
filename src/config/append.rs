//! Adding a `[[backend]]` to `config.toml` for a person, without touching what that person wrote.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::document::Source;
use super::{Backend, Config};
use crate::error::{Error, Kind, Result, harmless, quoted};
use crate::proto::BackendKind;

/// Adds a backend at the file's end and keeps the rest byte for byte. The file is made when it is not there; it is replaced in one
/// step, so that nobody ever reads half of it. `key_env` names the variable that has the API key.
///
/// # Errors
/// [`Kind::Config`] when the values cannot be right, the name is taken, or the file cannot take a `[[backend]]` at its end;
/// [`Kind::ReadOnly`] or [`Kind::DiskFull`] when it cannot be written.
pub fn append_backend(file: &Path, name: &str, kind: BackendKind, url: &str, key_env: Option<&str>) -> Result<Backend> {
    // A config is often a link into a folder of dot files: the link stays.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    let old = match fs::read(&file) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| by_hand(&file, "it is not UTF-8 text"))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(by_hand(&file, "it cannot be read").cause(error)),
    };
    let mut added = String::new();
    if !old.is_empty() {
        added.push_str(if old.ends_with('\n') { "\n" } else { "\n\n" });
    }
    added.push_str(&format!("[[backend]]\nname = {}\nkind = {}\n", text(name), text(kind.word())));
    if kind != BackendKind::Embedded && !(kind == BackendKind::Anthropic && url.is_empty()) {
        added.push_str(&format!("url = {}\n", text(url)));
    }
    if let Some(variable) = key_env {
        added.push_str(&format!("api_key = {{ env = {} }}\n", text(variable)));
    }

    let shown = file.display().to_string();
    let read = |text: &str| Config::read(&Source::new("config", shown.as_str(), text), None);
    // What is added must be right by itself…
    let mut alone = read(&added);
    if let Some(problem) = alone.problems.pop() {
        let message = problem.message.split_once(": ").map_or(problem.message.as_str(), |(_, what)| what).to_owned();
        return Err(Error { message: format!("This backend cannot be added: {message}"), ..problem });
    }
    let Some(backend) = alone.config.backends.pop() else { return Err(by_hand(&file, "the new part is not understood")) };
    // …and change nothing else.
    let before = read(&old);
    if before.config.backends.iter().any(|known| known.name == backend.name) {
        return Err(Error::new(Kind::Config, format!("There is a backend {} in {} already.", quoted(&backend.name), harmless(&shown)))
            .hint("Choose another name, or edit that one by hand."));
    }
    let new = old + &added;
    let after = read(&new);
    if after.problems.len() > before.problems.len() || after.config.backends.last() != Some(&backend) {
        return Err(by_hand(&file, "a [[backend]] at its end would not be understood there").hint(format!("Add:\n{}", added.trim_start())));
    }
    replace(&file, new.as_bytes())?;
    Ok(backend)
}

/// A text as TOML writes it.
fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn by_hand(file: &Path, why: &str) -> Error {
    Error::new(Kind::Config, format!("{} was not changed: {why}.", harmless(&file.display().to_string())))
        .hint("Add the backend to it by hand.")
}

fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::StorageFull { Kind::DiskFull } else { Kind::ReadOnly };
        Error::new(kind, format!("{} cannot be written; it is as it was.", harmless(&file.display().to_string())))
            .hint("Check that you may write there, and that the disk has room.")
            .cause(error)
    };
    let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    fs::create_dir_all(&folder).map_err(fail)?;
    let scratch = folder.join(format!(".config.toml.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut out = fs::File::create(&scratch)?;
        if let Ok(known) = fs::metadata(file) {
            out.set_permissions(known.permissions())?;
        }
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&scratch, file)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&scratch);
        fail(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApiKey;

    fn add(file: &Path, name: &str, url: &str) -> Result<Backend> {
        append_backend(file, name, BackendKind::OpenAi, url, Some("MY_KEY"))
    }

    #[test]
    fn the_rest_stays_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/config.toml");
        let first = add(&file, "one", "http://a:1/").unwrap();
        assert_eq!(first.api_key, Some(ApiKey::Env("MY_KEY".to_owned())));
        assert_eq!(first.url.as_deref(), Some("http://a:1"));
        for old in ["# mine\ntheme = \"x\"   # odd\r\n\n\n", "[embedded]\nmodels = [ ]", "", "oops = oops\n"] {
            fs::write(&file, old).unwrap();
            add(&file, "two \"quoted\"", "http://b").unwrap_err();
            assert_eq!(fs::read_to_string(&file).unwrap(), old);
            add(&file, "two", "http://b").unwrap();
            let new = fs::read_to_string(&file).unwrap();
            assert!(new.starts_with(old), "{new}");
            let source = Source::new("config", "config.toml", new);
            assert_eq!(Config::read(&source, None).config.backends[0].name, "two");
        }
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no scratch file is left");
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let error = add(&file, "a/b", "http://x").unwrap_err();
        assert!(error.message.starts_with("This backend cannot be added: “a/b” cannot be a name"), "{error}");
        assert!(add(&file, "a", "x").unwrap_err().message.contains("no address"));
        assert!(!file.exists());
        add(&file, "a", "http://x").unwrap();
        assert!(add(&file, "a", "http://y").unwrap_err().message.contains("already"));
        let inline = "backend = [{ name = \"z\", kind = \"ollama\", url = \"http://z\" }]\n";
        fs::write(&file, inline).unwrap();
        let error = add(&file, "b", "http://x").unwrap_err();
        assert!(error.message.contains("was not changed"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), inline);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("config.toml"));
        fs::write(&real, "theme = \"dark\"\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        add(&link, "a", "http://x").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("[[backend]]"));
    }
}
