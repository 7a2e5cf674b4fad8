//! GGUF files: their heads, their parts, and what they say of a model's memory.
//!
//! Owns: the file format (versions 2 and 3, little-endian), files in parts, and [`anatomy`]. Refuses: tensor data, and running
//! anything (that is `embedded`). Invariant: nothing is allocated by a claimed size, every length is held against what is left of
//! the file and against a cap, so a hostile file costs at most 512 MiB of memory (a listing 64 MiB) and an [`Error`].

pub mod anatomy;
mod kinds;
mod read;
mod split;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

pub use self::kinds::{TensorKind, by_name};
pub use self::split::{Part, Whole, part_of};
use crate::error::{Error, Kind, Result};
use crate::sanitise::cut;

/// A metadata value. Integers and floats of all widths are one type each.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    /// An array that was not kept (nested, or not asked for): of what (`texts`, `numbers`), and its length.
    Skipped {
        of: &'static str,
        length: u64,
    },
}

/// One tensor of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Rows before columns (the file has them the other way round).
    pub shape: Vec<usize>,
    pub kind: TensorKind,
    /// From the start of the file, in bytes.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
}

/// How much of the metadata is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Without long arrays: enough to list a model, and to say what memory it takes.
    Listing,
    Everything,
}

/// The head of a GGUF file.
#[derive(Debug, Clone)]
pub struct Header {
    pub path: PathBuf,
    pub metadata: HashMap<String, Value>,
    /// The names of all metadata, in the file's order.
    pub order: Vec<String>,
    pub tensors: HashMap<String, TensorInfo>,
    pub file_size: u64,
}

impl Header {
    /// Reads and checks the head of `path`.
    ///
    /// # Errors
    /// `Kind::File` with a sentence that says what is wrong: not there, no GGUF, cut off, damaged, or made for another machine.
    pub fn read(path: &Path, want: Want) -> Result<Self> {
        let name = shown(path);
        let file = File::open(path).map_err(|e| read::unreadable(&name, &e))?;
        let meta = file.metadata().map_err(|e| read::unreadable(&name, &e))?;
        if !meta.is_file() {
            return Err(
                Error::new(Kind::File, format!("{name} is not a file, so no model can be in it.")).hint("Name the .gguf file itself.")
            );
        }
        let size = meta.len();
        read::head(file, size, path, want).map_err(|fault| fault.explain(&name, size))
    }

    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.metadata.get(key) {
            Some(Value::Integer(n)) => Some(*n),
            _ => None,
        }
    }

    /// A count or an id; negative and huge values are none.
    #[must_use]
    pub fn count(&self, key: &str) -> Option<usize> {
        self.integer(key).and_then(|n| u32::try_from(n).ok()).map(|n| n as usize)
    }

    #[must_use]
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key) {
            Some(Value::Float(x)) => Some(*x),
            #[expect(clippy::cast_precision_loss, reason = "a whole number where a fraction was allowed; they are small")]
            Some(Value::Integer(n)) => Some(*n as f64),
            _ => None,
        }
    }

    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    #[must_use]
    pub fn texts(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key) {
            Some(Value::Texts(all)) => Some(all),
            _ => None,
        }
    }

    #[must_use]
    pub fn integers(&self, key: &str) -> Option<&[i64]> {
        match self.metadata.get(key) {
            Some(Value::Integers(all)) => Some(all),
            _ => None,
        }
    }

    #[must_use]
    pub fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.metadata.get(key) {
            Some(Value::Floats(all)) => Some(all),
            _ => None,
        }
    }

    /// `general.architecture`, made harmless.
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.text("general.architecture").unwrap_or("unknown")
    }

    /// How many entries an array has, kept or not.
    #[must_use]
    pub fn length(&self, key: &str) -> Option<u64> {
        Some(match self.metadata.get(key)? {
            Value::Texts(all) => all.len() as u64,
            Value::Integers(all) => all.len() as u64,
            Value::Floats(all) => all.len() as u64,
            Value::Skipped { length, .. } => *length,
            _ => return None,
        })
    }

    /// A number of the architecture (`llama.block_count`).
    #[must_use]
    pub fn arch_key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture())
    }

    /// The storage that most numbers have, as model makers name it (`Q4_1`).
    #[must_use]
    pub fn quantisation(&self) -> Option<String> {
        let by_file_type = self.integer("general.file_type").and_then(kinds::file_type);
        by_file_type.map(str::to_owned).or_else(|| {
            let mut sizes: HashMap<&'static str, u64> = HashMap::new();
            for tensor in self.tensors.values() {
                *sizes.entry(tensor.kind.name).or_default() += tensor.size;
            }
            sizes.into_iter().max_by_key(|(_, size)| *size).map(|(name, _)| name.to_owned())
        })
    }
}

/// A file name as it may be shown: harmless, quoted.
#[must_use]
pub fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    format!("`{}`", cut(&name, 120))
}
