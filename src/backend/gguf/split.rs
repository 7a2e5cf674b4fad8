//! Models in parts: `name-00001-of-00003.gguf` and its sisters in the same folder.
//!
//! Invariant: what is said of a model in parts was read from all of them; a part that is missing, named twice or of another model
//! is refused with a sentence. Source: `llama_split_path` and `LLM_KV_SPLIT_*` of llama.cpp.

use std::path::{Path, PathBuf};

use super::read::COUNT_MAX;
use super::{Header, Want, shown};
use crate::error::{Error, Kind, Result};
use crate::sanitise::cut;

/// A file name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name without number and ending, cut and made harmless.
    pub stem: String,
    /// From 1 on.
    pub number: u32,
    /// How many parts the name tells of; 1: a whole model.
    pub of: u32,
}

/// Takes a file's name apart. `None` when it has none.
#[must_use]
pub fn part_of(path: &Path) -> Option<Part> {
    let stem = path.file_stem()?.to_string_lossy();
    let (stem, number, of) = numbers(&stem).unwrap_or((&stem, 1, 1));
    Some(Part { stem: cut(stem, 120).into_owned(), number, of })
}

fn numbers(stem: &str) -> Option<(&str, u32, u32)> {
    let (front, of) = stem.rsplit_once("-of-")?;
    let (name, number) = front.rsplit_once('-')?;
    let digits = |s: &str| (s.len() == 5 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse().ok()).flatten();
    Some((name, digits(number)?, digits(of)?))
}

/// A model with all its parts.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The metadata of the first part, the tensors of all.
    pub header: Header,
    /// Each file and its size in bytes.
    pub files: Vec<(PathBuf, u64)>,
}

impl Whole {
    /// Reads the heads of a model's file and, when it is one of several parts, of all its sisters.
    ///
    /// # Errors
    /// As [`Header::read`]; [`Kind::File`] for a missing sister, and for parts that do not belong together.
    pub fn read(path: &Path, want: Want) -> Result<Self> {
        let header = Header::read(path, want)?;
        let count = announced(&header)?;
        if count <= 1 {
            let files = vec![(header.path.clone(), header.file_size)];
            return Ok(Self { header, files });
        }
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let Some((name, number, of)) = numbers(&stem) else {
            return Err(odd(
                path,
                &format!("is one of {count} parts, but its name does not end in -00001-of-{count:05}, so the others cannot be found"),
            )
            .hint("Give the parts back the names that they were published with."));
        };
        if of != count {
            return Err(odd(path, &format!("is named as one of {of} parts and says itself that there are {count}")));
        }
        check_number(&header, number)?;
        let mut whole: Option<Self> = None;
        let mut header = Some(header);
        for at in 1..=count {
            let sister = path.with_file_name(format!("{name}-{at:05}-of-{count:05}.gguf"));
            let head = match header.take_if(|_| at == number) {
                Some(head) => head,
                None => sister_head(&sister, path, at, count, want)?,
            };
            match &mut whole {
                None => whole = Some(Self { files: vec![(head.path.clone(), head.file_size)], header: head }),
                Some(whole) => whole.add(head)?,
            }
        }
        let whole = whole.ok_or_else(|| odd(path, "has no parts"))?;
        match whole.header.integer("split.tensors.count") {
            Some(said) if i64::try_from(whole.header.tensors.len()).ok() != Some(said) => {
                let found = whole.header.tensors.len();
                Err(odd(path, &format!("announces {said} tensors in all its parts, and {found} are there")))
            }
            _ => Ok(whole),
        }
    }

    /// All files together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes))
    }

    fn add(&mut self, part: Header) -> Result<()> {
        self.files.push((part.path.clone(), part.file_size));
        for (name, tensor) in part.tensors {
            if self.header.tensors.len() as u64 >= COUNT_MAX {
                return Err(odd(&part.path, "has more tensors with its sisters than any model"));
            }
            let shown = cut(&name, 60).into_owned();
            if self.header.tensors.insert(name, tensor).is_some() {
                return Err(odd(&part.path, &format!("has the tensor `{shown}`, which a part before it has too")));
            }
        }
        Ok(())
    }
}

/// How many parts a file says that there are.
fn announced(header: &Header) -> Result<u32> {
    match header.metadata.get("split.count") {
        None => Ok(1),
        Some(_) => header
            .integer("split.count")
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n <= u32::from(u16::MAX))
            .ok_or_else(|| odd(&header.path, "does not say in a number of how many parts it is one")),
    }
}

/// Holds the number in a file's name (from 1 on) against the one inside (from 0 on).
fn check_number(header: &Header, number: u32) -> Result<()> {
    let inside = header.integer("split.no");
    if inside == Some(i64::from(number) - 1) {
        return Ok(());
    }
    let said = inside
        .map_or_else(|| "does not say which part it is".to_owned(), |n| format!("says itself that it is part {}", n.saturating_add(1)));
    Err(odd(&header.path, &format!("is named part {number} and {said}")))
}

fn sister_head(sister: &Path, asked: &Path, at: u32, count: u32, want: Want) -> Result<Header> {
    if !sister.exists() {
        return Err(Error::new(
            Kind::File,
            format!("Part {at} of {count} of this model is missing: {} is not beside {}.", shown(sister), shown(asked)),
        )
        .hint("Fetch the missing part into the same folder."));
    }
    let head = Header::read(sister, want)?;
    let says = announced(&head)?;
    if says != count {
        return Err(odd(sister, &format!("is named as one of {count} parts and says itself that there are {says}")));
    }
    check_number(&head, at)?;
    Ok(head)
}

fn odd(path: &Path, what: &str) -> Error {
    Error::new(Kind::File, format!("{} {what}.", shown(path))).hint("Fetch all parts of the model again, from one source, into one folder.")
}
