//! Several files as one download: what a source comes to, the room that it takes, and how far each file is.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use super::hub::{self, Hub, Listed};
use super::source::{Pick, Source, model_name, part_of};
use super::{Job, Progress, copy, fetch, name, part};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::{DownloadState, Layer};

/// What a source comes to: the files that are to be fetched, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    files: Vec<File>,
    /// What the model will be called, unless another is called so.
    pub model: String,
}

#[derive(Debug, Clone)]
struct File {
    /// Below the folder of its source.
    layer: String,
    /// Copied from here instead of fetched.
    from: Option<PathBuf>,
    job: Job,
}

/// What a download brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The first file: the one that opens the model.
    pub first: PathBuf,
    pub model: String,
    pub files: Vec<PathBuf>,
    /// Of each file.
    pub sha256: Vec<String>,
    /// The SHA-256 of every file was known before and is right.
    pub vouched: bool,
}

/// Who hears how far each file is, and whether what is there is being read again.
pub type Tell<'a> = &'a (dyn Fn(&[Layer], bool) + Send + Sync);

impl Plan {
    /// Finds out what a source is. Asks the hub, or for the head of the file; nothing is fetched yet.
    ///
    /// # Errors
    /// What keeps it from being fetched, as far as that can be known now.
    pub async fn make(source: &Source, hub: &Hub, models: &Path) -> Result<Self> {
        let folder = source.folder(models);
        let job = |urls: Vec<String>, path: &str, facts: hub::Facts, replaces: bool| Job {
            urls,
            sha256: facts.sha256,
            size: facts.size,
            magic: Some(b"GGUF"),
            silence: hub.silence,
            pause: hub.pause,
            replaces,
            token: Some(hub.token()),
            ..Job::new("", folder.join(path))
        };
        let files: Vec<File> = match source {
            Source::Hub { repo, revision, pick } => {
                let listed = hub.choose(repo, revision, pick).await?;
                let one = |Listed { path, size, sha256 }: Listed| {
                    let urls = hub.addresses(repo, revision, &path);
                    File { job: job(urls, &path, hub::Facts { size, sha256 }, true), from: None, layer: path }
                };
                listed.into_iter().map(one).collect()
            }
            Source::Address { url, sha256, file } => {
                let facts = hub::head(url, &hub.token()).await.unwrap_or_default();
                let facts = hub::Facts { sha256: sha256.clone().or(facts.sha256), size: facts.size };
                vec![File { job: job(vec![url.clone()], file, facts, false), from: None, layer: file.clone() }]
            }
            Source::Path(path) => copies(path)?
                .into_iter()
                .map(|(from, size)| {
                    let layer = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let facts = hub::Facts { size: Some(size), sha256: None };
                    File { job: job(Vec::new(), &layer, facts, false), from: Some(from), layer }
                })
                .collect(),
        };
        let model = files.first().map(|file| model_name(&file.layer).to_owned()).unwrap_or_default();
        Ok(Self { files, model })
    }

    /// Fetches every file. Dropping the future ends it; what came is kept for the next try.
    ///
    /// # Errors
    /// As [`super::download`]; [`Kind::DiskFull`] before the first byte when not all of it will fit.
    pub async fn fetch(self, tell: Tell<'_>) -> Result<Fetched> {
        let layer = |file: &File| Layer {
            name: file.layer.clone(),
            // What an earlier try left is no pace of this one.
            done_bytes: part::came(&file.job.destination),
            total_bytes: file.job.size,
            sha256: file.job.sha256.clone(),
        };
        let layers = Mutex::new(self.files.iter().map(layer).collect::<Vec<_>>());
        let change = |at: usize, checking: bool, change: &dyn Fn(&mut Layer)| {
            let mut layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(layer) = layers.get_mut(at) {
                change(layer);
            }
            tell(&layers, checking);
        };
        // Told before the first byte: who breaks it off must know which files may be unfinished.
        tell(&layers.lock().unwrap_or_else(PoisonError::into_inner), false);
        let mut there = Vec::with_capacity(self.files.len());
        for (at, file) in self.files.iter().enumerate() {
            if file.job.destination.exists() {
                change(at, true, &|_| {});
            }
            let is_there = self.is_there(file).await?;
            there.push(is_there);
            if is_there {
                change(at, true, &|layer| layer.done_bytes = layer.total_bytes.unwrap_or(0));
            }
        }
        self.room(&there)?;
        let vouched = self.files.iter().all(|file| file.job.sha256.is_some());
        let mut hashes = Vec::with_capacity(self.files.len());
        for (at, (file, there)) in self.files.iter().zip(there).enumerate() {
            let sha256 = if there {
                file.job.sha256.clone().unwrap_or_default()
            } else {
                let report = |progress: Progress| {
                    change(at, progress.state == DownloadState::Checking, &|layer| {
                        layer.done_bytes = progress.done_bytes;
                        layer.total_bytes = progress.total_bytes.or(layer.total_bytes);
                    });
                };
                match &file.from {
                    Some(from) => copy::copy(from, &file.job, &report).await?,
                    None => fetch(&file.job, &report).await?,
                }
            };
            change(at, false, &|layer| {
                layer.total_bytes = Some(layer.total_bytes.unwrap_or(layer.done_bytes));
                layer.sha256 = Some(sha256.clone()).filter(|hash| !hash.is_empty());
            });
            hashes.push(sha256);
        }
        let files: Vec<PathBuf> = self.files.into_iter().map(|file| file.job.destination).collect();
        let first = files.first().cloned().ok_or_else(|| Error::new(Kind::Internal, "There was nothing to fetch."))?;
        Ok(Fetched { first, model: self.model, files, sha256: hashes, vouched })
    }

    /// Whether a file need not be fetched. One that may not be replaced is only there when it is known to be the same.
    async fn is_there(&self, file: &File) -> Result<bool> {
        let job = &file.job;
        if file.from.as_ref().is_some_and(|from| same_file(from, &job.destination)) {
            return Err(Error::new(Kind::Usage, format!("{} lies in the folder of models already.", name(&job.destination))));
        }
        if (job.replaces || job.sha256.is_some()) && part::is_there(job).await? {
            return Ok(true);
        }
        if !job.replaces && job.destination.exists() {
            return Err(Error::new(Kind::Usage, format!("There is another model file called {} already.", name(&job.destination)))
                .hint(format!("Remove it first: `arbour models rm {}`.", crate::sanitise::shell_quote(&self.model))));
        }
        Ok(false)
    }

    /// Refuses what will not fit, before anything is fetched.
    fn room(&self, there: &[bool]) -> Result<()> {
        let missing = |file: &File| file.job.size.unwrap_or(0).saturating_sub(part::came(&file.job.destination));
        let more = self.files.iter().zip(there).filter(|(_, there)| !**there).map(|(file, _)| missing(file)).fold(0, u64::saturating_add);
        match self.files.first() {
            Some(first) if more > 0 => part::room(&first.job.destination, more, &quoted(&self.model)),
            _ => Ok(()),
        }
    }
}

/// Drops what an unfinished download left of these files of a source. Files that are whole stay.
pub fn forget(source: &Source, models: &Path, layers: &[Layer]) {
    let folder = source.folder(models);
    // A host that was killed has not written down which files it had begun; a source of one file names it.
    let named = match source {
        Source::Hub { pick: Pick::File(path), .. } => Some(path.clone()),
        Source::Address { file, .. } => Some(file.clone()),
        Source::Path(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
        Source::Hub { .. } => None,
    };
    let names = layers.iter().map(|layer| layer.name.clone()).chain(named);
    for name in names.filter(|name| super::source::is_file_path(name)) {
        for left in part::leftovers(&folder.join(&name)) {
            // Not there: as wanted.
            let _ = std::fs::remove_file(left);
        }
    }
    if folder != models {
        // Only when nothing else lies there: a repository's folder, then its owner's.
        let _ = std::fs::remove_dir(&folder).and_then(|()| folder.parent().map_or(Ok(()), std::fs::remove_dir));
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The files that belong to a path, with their sizes: itself, or all parts of a split model.
fn copies(path: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let shown = name(path);
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !super::source::is_file_path(&file) || !file.to_ascii_lowercase().ends_with(".gguf") {
        return Err(Error::new(Kind::Usage, format!("{shown} is not called as a model file is.")).hint("Its name ends in .gguf."));
    }
    let paths = match part_of(&file) {
        Some((stem, _, of)) => (1..=of).map(|n| path.with_file_name(format!("{stem}-{n:05}-of-{of:05}.gguf"))).collect(),
        None => vec![path.to_owned()],
    };
    let sized = |path: PathBuf| {
        let unreadable = |e: std::io::Error| {
            Error::new(Kind::File, format!("{} cannot be read on the host's machine.", name(&path)))
                .hint("Look at the path, and whether the host may read there.")
                .cause(e)
        };
        let mut file = std::fs::File::open(&path).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        let mut magic = [0; 4];
        if !meta.is_file() || file.read_exact(&mut magic).is_err() || magic != *b"GGUF" {
            return Err(Error::new(Kind::File, format!("{} is no GGUF file.", name(&path))));
        }
        Ok((path, meta.len()))
    };
    paths.into_iter().map(sized).collect()
}
