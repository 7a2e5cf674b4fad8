//! Which GGUF files there are: folders, single files, and what their heads say.
//!
//! Owns: names of models, and what is remembered of files that have not changed. Refuses: loading. Invariant: a head is read
//! once per (path, size, time of change); a file that cannot be run is listed with the reason, never left out in silence.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::matrix;
use super::shape::Shape;
use super::template;
use crate::backend::gguf::{Header, Want, part_of, shown};
use crate::error::{Error, Kind, Result};
use crate::sanitise::cut;

/// How deep folders are searched: a hub cache lays its files four folders down.
const DEPTH: usize = 4;
/// The most files that are listed, and the most folder entries looked at: a home folder given by mistake must not stall the host.
const FILES_MAX: usize = 2_000;
const ENTRIES_MAX: usize = 50_000;

/// What a listing tells of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub size: u64,
    pub quantisation: Option<String>,
    pub family: Option<String>,
    pub context: Option<u32>,
    pub thinks: bool,
    /// Why it cannot be run.
    pub error: Option<Error>,
}

/// One model: its name and its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub path: PathBuf,
    pub summary: Summary,
}

/// All files that are known.
#[derive(Default)]
pub struct Catalogue {
    /// Folders and files from the configuration.
    places: Vec<PathBuf>,
    /// Files opened at run time.
    opened: Vec<PathBuf>,
    known: HashMap<PathBuf, (u64, Option<SystemTime>, Summary)>,
}

impl Catalogue {
    #[must_use]
    pub fn new(places: Vec<PathBuf>) -> Self {
        Self { places, ..Self::default() }
    }

    /// Adds one file, whatever folder it is in, and gives its name.
    ///
    /// # Errors
    /// `Kind::File` or `Kind::Unsupported` with why it cannot be run.
    pub fn add(&mut self, path: &Path) -> Result<String> {
        let full = path.canonicalize().map_err(|e| {
            Error::new(Kind::File, format!("{} is not there.", shown(path))).hint("Check the path; `~` is not expanded here.").cause(e)
        })?;
        let summary = self.summary(&full);
        if let Some(error) = summary.error {
            return Err(error);
        }
        if !self.opened.contains(&full) {
            self.opened.push(full.clone());
        }
        let entry = self.list().into_iter().find(|e| e.path == full || e.path.canonicalize().is_ok_and(|p| p == full));
        entry.map(|e| e.name).ok_or_else(|| Error::new(Kind::Internal, "The opened file is not in the list of models."))
    }

    /// Folders and files from the configuration.
    #[must_use]
    pub fn places(&self) -> &[PathBuf] {
        &self.places
    }

    /// A file that was opened is gone.
    pub fn forget(&mut self, path: &Path) {
        self.opened.retain(|opened| opened != path && opened.exists());
    }

    /// Every model, by name. Reads the heads that are new or changed.
    pub fn list(&mut self) -> Vec<Entry> {
        let mut paths = Vec::new();
        let mut looked = 0;
        for place in self.opened.iter().chain(&self.places) {
            collect(place, DEPTH, &mut paths, &mut looked);
        }
        let mut seen = std::collections::HashSet::new();
        paths.retain(|p: &PathBuf| seen.insert(p.canonicalize().unwrap_or_else(|_| p.clone())));
        let mut entries = Vec::new();
        for path in paths {
            let Some(part) = part_of(&path) else { continue };
            if part.number > 1 {
                continue;
            }
            let mut summary = self.summary(&path);
            if part.of > 1 && summary.error.is_none() {
                summary.error = Some(in_parts(&path, part.of));
            }
            entries.push(Entry { name: part.stem, path, summary });
        }
        self.known.retain(|path, _| entries.iter().any(|e| e.path == *path) || self.opened.contains(path));
        distinct(&mut entries);
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    fn summary(&mut self, path: &Path) -> Summary {
        let meta = std::fs::metadata(path).ok();
        let (size, changed) = meta.map_or((0, None), |m| (m.len(), m.modified().ok()));
        if let Some((known_size, known_changed, summary)) = self.known.get(path)
            && *known_size == size
            && *known_changed == changed
        {
            return summary.clone();
        }
        let summary = summarise(path, size);
        self.known.insert(path.to_owned(), (size, changed, summary.clone()));
        summary
    }
}

fn summarise(path: &Path, size: u64) -> Summary {
    let none = Summary { size, quantisation: None, family: None, context: None, thinks: false, error: None };
    let header = match Header::read(path, Want::Listing) {
        Ok(header) => header,
        Err(error) => return Summary { error: Some(error), ..none },
    };
    let shape = Shape::from_header(&header);
    let error = shape.as_ref().err().cloned().or_else(|| matrix::runnable(&header).err());
    Summary {
        size,
        quantisation: header.quantisation(),
        family: header.text("general.architecture").map(|a| cut(a, 40).into_owned()),
        context: shape.ok().and_then(|s| u32::try_from(s.context).ok()),
        thinks: template::thinks(&header),
        error,
    }
}

fn in_parts(path: &Path, of: u32) -> Error {
    Error::new(Kind::Unsupported, format!("{} is the first of {of} parts, which the embedded engine does not join yet.", shown(path)))
        .hint("Join them with llama.cpp's `llama-gguf-split --merge FIRST_PART OUTPUT.gguf`.")
        .hint("Or run the model with llama-server, which reads parts.")
}

/// Names that occur twice get their folder's name in front, and a number if that does not help.
fn distinct(entries: &mut [Entry]) {
    let mut count: HashMap<String, usize> = HashMap::new();
    for entry in entries.iter() {
        *count.entry(entry.name.clone()).or_default() += 1;
    }
    let mut taken: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        if count.get(&entry.name).is_some_and(|n| *n > 1)
            && let Some(folder) = entry.path.parent().and_then(Path::file_name)
        {
            entry.name = format!("{}/{}", cut(&folder.to_string_lossy(), 60), entry.name);
        }
        let times = taken.entry(entry.name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            entry.name = format!("{} ({times})", entry.name);
        }
    }
}

fn collect(place: &Path, depth: usize, out: &mut Vec<PathBuf>, looked: &mut usize) {
    let Ok(meta) = std::fs::metadata(place) else { return };
    if meta.is_file() {
        let model = place.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        let encoder = place.file_name().is_some_and(|n| n.to_string_lossy().to_lowercase().starts_with("mmproj"));
        if model && !encoder && out.len() < FILES_MAX {
            out.push(place.to_owned());
        }
        return;
    }
    if !meta.is_dir() || depth == 0 {
        return;
    }
    let Ok(entries) = std::fs::read_dir(place) else { return };
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in entries.flatten() {
        *looked += 1;
        if *looked > ENTRIES_MAX {
            break;
        }
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    for path in found {
        collect(&path, depth - 1, out, looked);
    }
}
