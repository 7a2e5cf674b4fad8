//! Removing and copying model files.
//!
//! Invariant: nothing outside the configured folders is ever deleted or written, and nothing that is no part of the model; a copy
//! never takes another model's place.

use std::path::{Path, PathBuf};

use crate::backend::gguf::{part_of, shown};
use crate::error::{Error, Kind, Result, quoted};

/// Runs what the disk may take long for.
pub(super) async fn blocking(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Error::new(Kind::Internal, "Work on a model's files was broken off.").cause(e)))
}

/// Deletes the files of the model that begins with `path`.
pub(super) fn remove(path: &Path, places: &[PathBuf]) -> Result<()> {
    if !is_inside(path, places) {
        return Err(Error::new(
            Kind::Unsupported,
            format!("{} lies outside arbour's folders of models, so arbour does not delete it.", shown(path)),
        )
        .hint("It was opened from elsewhere, or named in config.toml by itself: delete the file by hand."));
    }
    for file in parts(path) {
        // A link into a folder of ours (as hubs lay their caches out) takes what it leads to along; what lies elsewhere stays.
        let leads_to = file.is_symlink().then(|| file.canonicalize().ok()).flatten().filter(|target| is_inside(target, places));
        for one in std::iter::once(file).chain(leads_to) {
            std::fs::remove_file(&one).map_err(|e| undeletable(&one, &e))?;
        }
    }
    // The folders of its repository, when nothing else lies in them.
    let mut folder = path.parent();
    while let Some(empty) = folder.filter(|folder| is_inside(folder, places)) {
        if std::fs::remove_dir(empty).is_err() {
            break;
        }
        folder = empty.parent();
    }
    Ok(())
}

/// Gives the files of a model a second name, beside the first. They share their bytes on disk where the file system can.
pub(super) fn copy(path: &Path, name: &str, places: &[PathBuf]) -> Result<()> {
    let bad = name.is_empty()
        || name.len() > 200
        || name.starts_with(['.', '-'])
        || name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | ':'));
    if bad {
        return Err(Error::new(Kind::Usage, format!("{} cannot be the name of a model file.", quoted(name)))
            .hint("Take letters, figures, dashes and dots: its file will be called so, with .gguf behind it."));
    }
    if !is_inside(path, places) {
        return Err(Error::new(
            Kind::Unsupported,
            format!("{} lies outside arbour's folders of models, so arbour does not copy it there.", shown(path)),
        )
        .hint("Pull it by its path first: that copies it into the folder."));
    }
    let name = name.strip_suffix(".gguf").unwrap_or(name);
    let pairs: Vec<(PathBuf, PathBuf)> = parts(path)
        .into_iter()
        .map(|from| {
            let number = from.file_stem().map(|stem| stem.to_string_lossy().into_owned()).and_then(|stem| {
                let at = part_of(&from).filter(|part| part.of > 1)?.stem.len();
                stem.get(at..).map(str::to_owned)
            });
            let to = from.with_file_name(format!("{name}{}.gguf", number.unwrap_or_default()));
            (from, to)
        })
        .collect();
    if let Some((_, taken)) = pairs.iter().find(|(_, to)| to.symlink_metadata().is_ok()) {
        return Err(Error::new(Kind::Usage, format!("There is a model file called {} already.", shown(taken))).hint("Choose another name."));
    }
    let mut made: Vec<&Path> = Vec::new();
    for (from, to) in &pairs {
        let linked = std::fs::hard_link(from.canonicalize().as_deref().unwrap_or(from), to);
        if let Err(error) = linked.or_else(|_| std::fs::copy(from, to).map(drop)) {
            for done in made.iter().copied().chain([to.as_path()]) {
                // Half a model is worse than none.
                let _ = std::fs::remove_file(done);
            }
            let kind = if error.kind() == std::io::ErrorKind::StorageFull { Kind::DiskFull } else { Kind::ReadOnly };
            return Err(Error::new(kind, format!("{} could not be copied.", shown(from)))
                .hint("Look at the room on that disk, and at the folder's permissions.")
                .cause(error));
        }
        made.push(to);
    }
    Ok(())
}

/// Below a configured folder (and not itself configured).
fn is_inside(path: &Path, places: &[PathBuf]) -> bool {
    // The link itself is what is deleted, so its folder counts.
    let Some(folder) = path.parent().and_then(|folder| folder.canonicalize().ok()) else { return false };
    places.iter().filter(|place| place.is_dir()).filter_map(|place| place.canonicalize().ok()).any(|place| folder.starts_with(place))
}

/// The file itself, or all parts of a split model that are there.
fn parts(path: &Path) -> Vec<PathBuf> {
    let Some(first) = part_of(path).filter(|part| part.of > 1) else { return vec![path.to_owned()] };
    let same = |other: &PathBuf| {
        other.extension() == path.extension() && part_of(other).is_some_and(|part| part.stem == first.stem && part.of == first.of)
    };
    let folder = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let mut files: Vec<PathBuf> = folder.into_iter().flatten().flatten().map(|entry| entry.path()).filter(same).collect();
    files.sort();
    files
}

fn undeletable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Kind::ReadOnly, format!("{} could not be deleted.", shown(path))).hint("Look at the permissions of its folder.").cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(files: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let places = vec![folder.path().join("models")];
        (folder, places)
    }

    fn left(folder: &tempfile::TempDir) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.path().to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn all_parts_go_and_nothing_else() {
        let files = [
            "models/o/r/x-00001-of-00002.gguf",
            "models/o/r/x-00002-of-00002.gguf",
            "models/o/r/x-00001-of-00003.gguf",
            "models/o/r/x.gguf",
            "models/y.gguf",
        ];
        let (folder, places) = place(&files);
        remove(&folder.path().join(files[0]), &places).unwrap();
        assert_eq!(left(&folder), ["models/o/r/x-00001-of-00003.gguf", "models/o/r/x.gguf", "models/y.gguf"]);
        remove(&folder.path().join(files[2]), &places).unwrap();
        remove(&folder.path().join(files[3]), &places).unwrap();
        assert_eq!(left(&folder), ["models/y.gguf"]);
        assert!(!folder.path().join("models/o").exists(), "empty folders go with the last file");
        remove(&folder.path().join(files[4]), &places).unwrap();
        assert!(folder.path().join("models").is_dir(), "the folder of models stays");
    }

    #[test]
    fn what_lies_elsewhere_stays() {
        let (folder, mut places) = place(&["elsewhere/x.gguf", "models/in.gguf", "modelsx/z.gguf"]);
        for outside in ["elsewhere/x.gguf", "modelsx/z.gguf", "models/../elsewhere/x.gguf"] {
            let error = remove(&folder.path().join(outside), &places).unwrap_err();
            assert_eq!((error.kind, error.hints.is_empty()), (Kind::Unsupported, false), "{outside}");
            assert_eq!(copy(&folder.path().join(outside), "n", &places).unwrap_err().kind, Kind::Unsupported);
        }
        // A file that the configuration names is the user's own.
        places.push(folder.path().join("elsewhere/x.gguf"));
        assert!(remove(&folder.path().join("elsewhere/x.gguf"), &places).is_err());
        // A link out of the folder: the link goes, what it leads to stays.
        std::os::unix::fs::symlink(folder.path().join("elsewhere/x.gguf"), folder.path().join("models/link.gguf")).unwrap();
        remove(&folder.path().join("models/link.gguf"), &places).unwrap();
        assert_eq!(left(&folder), ["elsewhere/x.gguf", "models/in.gguf", "modelsx/z.gguf"]);
    }

    #[test]
    fn a_link_within_takes_its_bytes_along() {
        let (folder, places) = place(&["models/blobs/abc", "models/keep.gguf"]);
        std::fs::create_dir(folder.path().join("models/snapshot")).unwrap();
        std::os::unix::fs::symlink("../blobs/abc", folder.path().join("models/snapshot/x.gguf")).unwrap();
        remove(&folder.path().join("models/snapshot/x.gguf"), &places).unwrap();
        assert_eq!(left(&folder), ["models/keep.gguf"]);
    }

    #[test]
    fn a_copy_has_all_parts_and_takes_nobodys_place() {
        let (folder, places) = place(&["models/x-00001-of-00002.gguf", "models/x-00002-of-00002.gguf", "models/y.gguf"]);
        copy(&folder.path().join("models/x-00001-of-00002.gguf"), "z", &places).unwrap();
        copy(&folder.path().join("models/y.gguf"), "y2.gguf", &places).unwrap();
        assert_eq!(
            left(&folder),
            [
                "models/x-00001-of-00002.gguf",
                "models/x-00002-of-00002.gguf",
                "models/y.gguf",
                "models/y2.gguf",
                "models/z-00001-of-00002.gguf",
                "models/z-00002-of-00002.gguf"
            ]
        );
        assert_eq!(std::fs::read_to_string(folder.path().join("models/z-00002-of-00002.gguf")).unwrap(), "models/x-00002-of-00002.gguf");
        remove(&folder.path().join("models/y.gguf"), &places).unwrap();
        assert!(folder.path().join("models/y2.gguf").exists(), "the copy stands alone");
        for name in ["y2", "", "../z", ".hidden", "a/b", "a\u{1b}", "-rf"] {
            let error = copy(&folder.path().join("models/y2.gguf"), name, &places).unwrap_err();
            assert_eq!((error.kind, error.hints.is_empty()), (Kind::Usage, false), "{name}");
        }
    }
}
