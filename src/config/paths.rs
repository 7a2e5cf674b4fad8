//! Where arbour's files lie.
//!
//! The folders of the platform; or all under one, with `--home DIR` or `ARBOUR_HOME`. Each can be moved by itself with
//! `ARBOUR_CONFIG_DIR`, `ARBOUR_DATA_DIR`, `ARBOUR_STATE_DIR` and `ARBOUR_CACHE_DIR`, which win over both.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use crate::error::{Error, Kind, Result, harmless};

/// The four folders. They need not exist yet: [`Paths::create`] makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub config: PathBuf,
    pub data: PathBuf,
    pub state: PathBuf,
    pub cache: PathBuf,
}

impl Paths {
    /// The folders for `--home` and the environment (`env` reads a variable; an empty one counts as unset).
    ///
    /// # Errors
    /// [`Kind::File`] when there is neither a home folder nor a `--home`.
    pub fn new(home: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let folder = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut paths = match home.map(Path::to_path_buf).or_else(|| folder("ARBOUR_HOME")) {
            Some(home) => Self::under(&home),
            None => Self::of_platform()?,
        };
        for (place, name) in [
            (&mut paths.config, "ARBOUR_CONFIG_DIR"),
            (&mut paths.data, "ARBOUR_DATA_DIR"),
            (&mut paths.state, "ARBOUR_STATE_DIR"),
            (&mut paths.cache, "ARBOUR_CACHE_DIR"),
        ] {
            if let Some(moved) = folder(name) {
                *place = moved;
            }
            // The host runs in another working directory, and locks are told apart by their paths.
            *place = std::path::absolute(&*place).unwrap_or_else(|_| place.clone());
        }
        Ok(paths)
    }

    /// The folders of this process: `--home`, else the environment, else the platform.
    ///
    /// # Errors
    /// As [`Paths::new`].
    pub fn of_process(home: Option<&Path>) -> Result<Self> {
        Self::new(home, |name| std::env::var_os(name))
    }

    fn under(home: &Path) -> Self {
        Self { config: home.join("config"), data: home.join("data"), state: home.join("state"), cache: home.join("cache") }
    }

    fn of_platform() -> Result<Self> {
        let folders = ProjectDirs::from("", "", "arbour").ok_or_else(|| {
            Error::new(Kind::File, "There is no home folder, so arbour does not know where its files lie.")
                .hint("Set HOME, or say where with `--home DIR` or ARBOUR_HOME.")
        })?;
        Ok(Self {
            config: folders.config_dir().to_path_buf(),
            data: folders.data_dir().to_path_buf(),
            // macOS knows no state folder.
            state: folders.state_dir().map_or_else(|| folders.data_local_dir().join("state"), Path::to_path_buf),
            cache: folders.cache_dir().to_path_buf(),
        })
    }

    /// Makes the folders; those that are new can be entered by their owner only.
    ///
    /// # Errors
    /// [`Kind::ReadOnly`] or [`Kind::DiskFull`], which name the folder.
    pub fn create(&self) -> Result<()> {
        for folder in [&self.config, &self.data, &self.state, &self.cache] {
            make_private(folder)?;
        }
        Ok(())
    }

    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The user's own keymaps.
    #[must_use]
    pub fn keymaps(&self) -> PathBuf {
        self.config.join("keymaps")
    }

    /// The user's own themes.
    #[must_use]
    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }

    /// Templates of messages and conversations.
    #[must_use]
    pub fn templates(&self) -> PathBuf {
        self.config.join("templates")
    }

    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data.join("arbour.db")
    }

    /// Models that arbour fetched.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.data.join("models")
    }

    /// Who holds the data: pid, start time, socket.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// What clients must know to be let in.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.state.join("token")
    }

    /// The host's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("host.log")
    }
}

fn make_private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::StorageFull { Kind::DiskFull } else { Kind::ReadOnly };
        Error::new(kind, format!("The folder {} cannot be made.", harmless(&folder.display().to_string())))
            .hint("Make it yourself, or choose another place with `--home DIR`.")
            .cause(error)
    })
}

/// A path as people write it: `~` and `~/…` are the home folder.
#[must_use]
pub fn expand(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_path_buf(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// The user's home folder.
#[must_use]
pub fn home_folder() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|base| base.home_dir().to_path_buf())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with(home: Option<&str>, env: &[(&str, &str)]) -> Paths {
        Paths::new(home.map(Path::new), |name| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)))
            .unwrap()
    }

    #[test]
    fn one_folder_holds_all() {
        let expected = Paths { config: "/a/config".into(), data: "/a/data".into(), state: "/a/state".into(), cache: "/a/cache".into() };
        assert_eq!(with(Some("/a"), &[("ARBOUR_HOME", "/b")]), expected);
        assert_eq!(with(None, &[("ARBOUR_HOME", "/a")]), expected);
        assert_eq!(expected.config_file(), Path::new("/a/config/config.toml"));
        assert!(with(Some("x"), &[]).data.is_absolute());
    }

    #[test]
    fn a_folder_moves_by_itself() {
        let paths = with(Some("/a"), &[("ARBOUR_DATA_DIR", "/big/disk"), ("ARBOUR_STATE_DIR", "")]);
        assert_eq!(paths.data, Path::new("/big/disk"));
        assert_eq!(paths.state, Path::new("/a/state"));
    }

    #[test]
    fn new_folders_are_private() {
        let home = tempfile::tempdir().unwrap();
        let paths = with(home.path().join("deep/er").to_str(), &[]);
        paths.create().unwrap();
        paths.create().unwrap();
        assert_eq!(fs::metadata(&paths.state).unwrap().permissions().mode() & 0o777, 0o700);
        let blocked = home.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = with(blocked.to_str(), &[]).create().unwrap_err();
        assert_eq!(error.kind, Kind::ReadOnly);
    }

    #[test]
    fn tilde_is_home() {
        let home = Some(Path::new("/home/me"));
        for (text, path) in [("~", "/home/me"), ("~/m", "/home/me/m"), ("~other/m", "~other/m"), ("/m", "/m"), ("m/~", "m/~")] {
            assert_eq!(expand(text, home), Path::new(path));
        }
        assert_eq!(expand("~/m", None), Path::new("~/m"));
    }
}
