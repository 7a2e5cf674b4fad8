//! Reading the head of a GGUF file: metadata and the list of tensors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::kinds::tensor_kind;
use super::{Header, TensorInfo, Value, Want};
use crate::error::{Error, Kind};
use crate::sanitise::cut;

/// The longest string that is kept, in bytes: chat templates run to some 20 KiB.
const STRING_MAX: u64 = 4 << 20;
/// The longest array that is kept: the largest vocabularies have some 260,000 entries, merges twice that.
const ARRAY_MAX: u64 = 4 << 20;
/// The longest arrays that a listing keeps: of numbers (one for each layer), and of texts (tags, languages).
const SHORT_NUMBERS: u64 = 4096;
const SHORT_TEXTS: u64 = 64;
/// The most metadata entries and tensors: the largest models have some hundreds and some thousands.
pub(super) const COUNT_MAX: u64 = 1 << 18;
/// All metadata that are kept, in bytes; and by a listing.
const KEPT_MAX: u64 = 512 << 20;
const LISTING_MAX: u64 = 64 << 20;
/// Arrays of arrays go no deeper.
const DEPTH_MAX: u32 = 4;

/// Reads and checks the head of an open file of this size.
pub(super) fn head(file: File, size: u64, path: &Path, want: Want) -> Result<Header, Fault> {
    let most = if want == Want::Listing { LISTING_MAX } else { KEPT_MAX };
    let mut cursor = Cursor { input: BufReader::with_capacity(1 << 16, file), at: 0, size, kept: 0, most };
    parse(&mut cursor, path, want)
}

/// A file that cannot be opened or read, for people.
pub(super) fn unreadable(name: &str, error: &std::io::Error) -> Error {
    let error_kind = error.kind();
    let said = match error_kind {
        std::io::ErrorKind::NotFound => format!("{name} is not there."),
        std::io::ErrorKind::PermissionDenied => format!("{name} may not be read by this user."),
        _ => format!("{name} cannot be read."),
    };
    Error::new(Kind::File, said).cause(error)
}

/// What can be wrong with a head.
pub(super) enum Fault {
    Io(std::io::Error),
    Magic([u8; 4]),
    Version(u32),
    BigEndian,
    /// The file ends before what it announces.
    Short,
    /// It says something that cannot be; in words that go on "it says that".
    Odd(String),
}

impl From<std::io::Error> for Fault {
    fn from(e: std::io::Error) -> Self {
        if e.kind() == std::io::ErrorKind::UnexpectedEof { Self::Short } else { Self::Io(e) }
    }
}

impl Fault {
    pub(super) fn explain(self, name: &str, size: u64) -> Error {
        const AGAIN: &str = "Fetch the file again, and compare its size and SHA-256 with those of its source.";
        match self {
            Self::Io(e) => unreadable(name, &e),
            Self::Magic(start) if size == 0 => {
                Error::new(Kind::File, format!("{name} is empty.")).hint(AGAIN).cause(format!("magic {start:02x?}"))
            }
            Self::Magic(start) => {
                let looks = match &start {
                    b"PK\x03\x04" => " It looks like a zip archive.",
                    b"<!DO" | b"<htm" | b"<HTM" => " It looks like a web page: the download got an error page.",
                    b"{\"me" | b"{\"__" => " It looks like JSON.",
                    [b'v', b'e', b'r', b's'] => " It looks like a Git LFS pointer: the model itself was not fetched.",
                    b"ggml" | b"lmgg" | b"ggjt" | b"tjgg" => " It is of the old GGML format from before August 2023.",
                    _ => "",
                };
                Error::new(Kind::File, format!("{name} is not a GGUF model.{looks}"))
                    .hint("Use a file whose name ends in .gguf, as llama.cpp and Ollama use them.")
                    .cause(format!("it begins with bytes {start:02x?}"))
            }
            Self::Version(v) => Error::new(Kind::File, format!("{name} is of GGUF version {v}; arbour reads versions 2 and 3."))
                .hint("Take a newer conversion of the model, or a newer arbour."),
            Self::BigEndian => Error::new(Kind::File, format!("{name} was made for a big-endian machine."))
                .hint("Take the usual (little-endian) file of this model."),
            Self::Short => {
                Error::new(Kind::File, format!("{name} is cut off: it ends at {size} bytes, before all that it announces.")).hint(AGAIN)
            }
            Self::Odd(what) => Error::new(Kind::File, format!("{name} is damaged: it says that {what}.")).hint(AGAIN),
        }
    }
}

struct Cursor {
    input: BufReader<File>,
    at: u64,
    size: u64,
    /// Bytes of metadata that are kept so far.
    kept: u64,
    /// How many may be.
    most: u64,
}

impl Cursor {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut out = [0; N];
        self.input.read_exact(&mut out)?;
        self.at += N as u64;
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    fn keep(&mut self, bytes: u64) -> Result<(), Fault> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > self.most {
            return Err(Fault::Odd(format!("it has more than {} MiB of metadata", self.most >> 20)));
        }
        Ok(())
    }

    fn skip(&mut self, count: u64) -> Result<(), Fault> {
        if count > self.left() {
            return Err(Fault::Short);
        }
        let step = i64::try_from(count).map_err(|_| Fault::Short)?;
        self.input.seek_relative(step)?;
        self.at += count;
        Ok(())
    }

    fn string_length(&mut self) -> Result<u64, Fault> {
        let length = self.u64()?;
        if length > self.left() {
            return Err(Fault::Short);
        }
        Ok(length)
    }

    fn string(&mut self) -> Result<String, Fault> {
        let length = self.string_length()?;
        if length > STRING_MAX {
            return Err(Fault::Odd(format!("a text of {length} bytes comes")));
        }
        self.keep(length + 24)?;
        let mut bytes = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(Fault::Short);
        }
        self.at += length;
        // Some converters write a closing zero.
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    /// An integer of the given type code, or none.
    fn integer(&mut self, code: u32) -> Result<Option<i64>, Fault> {
        Ok(Some(match code {
            0 => i64::from(u8::from_le_bytes(self.bytes()?)),
            1 => i64::from(i8::from_le_bytes(self.bytes()?)),
            2 => i64::from(u16::from_le_bytes(self.bytes()?)),
            3 => i64::from(i16::from_le_bytes(self.bytes()?)),
            4 => i64::from(self.u32()?),
            5 => i64::from(i32::from_le_bytes(self.bytes()?)),
            10 => i64::try_from(self.u64()?).unwrap_or(i64::MAX),
            11 => i64::from_le_bytes(self.bytes()?),
            _ => return Ok(None),
        }))
    }

    fn value(&mut self, code: u32, want: Want, depth: u32) -> Result<Value, Fault> {
        if let Some(n) = self.integer(code)? {
            return Ok(Value::Integer(n));
        }
        match code {
            6 => Ok(Value::Float(f64::from(f32::from_le_bytes(self.bytes()?)))),
            12 => Ok(Value::Float(f64::from_le_bytes(self.bytes()?))),
            7 => Ok(Value::Bool(self.bytes::<1>()? != [0])),
            8 => Ok(Value::Text(self.string()?)),
            9 => self.array(want, depth),
            code => Err(Fault::Odd(format!("a value of the unknown type {code} comes"))),
        }
    }

    fn array(&mut self, want: Want, depth: u32) -> Result<Value, Fault> {
        let code = self.u32()?;
        let length = self.u64()?;
        let width = match code {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => 12,
            code => return Err(Fault::Odd(format!("a list of the unknown type {code} comes"))),
        };
        if length.checked_mul(width).is_none_or(|least| least > self.left()) {
            return Err(Fault::Short);
        }
        if code == 9 {
            if depth >= DEPTH_MAX {
                return Err(Fault::Odd("lists lie in lists without end".into()));
            }
            for _ in 0..length {
                self.array(Want::Listing, depth + 1)?;
            }
            return Ok(Value::Skipped { of: "lists", length });
        }
        let short = length <= if code == 8 { SHORT_TEXTS } else { SHORT_NUMBERS };
        let kept = depth == 0 && (short || (want == Want::Everything && code != 7));
        if !kept {
            if code == 8 {
                for _ in 0..length {
                    let skip = self.string_length()?;
                    self.skip(skip)?;
                }
            } else {
                self.skip(length * width)?;
            }
            return Ok(Value::Skipped { of: if code == 8 { "texts" } else { "numbers" }, length });
        }
        if length > ARRAY_MAX {
            return Err(Fault::Odd(format!("a list of {length} entries comes")));
        }
        match code {
            8 => {
                let mut all = Vec::new();
                for _ in 0..length {
                    all.push(self.string()?);
                }
                Ok(Value::Texts(all))
            }
            7 => {
                self.keep(length * 8)?;
                let mut all = Vec::new();
                for _ in 0..length {
                    all.push(i64::from(self.bytes::<1>()? != [0]));
                }
                Ok(Value::Integers(all))
            }
            6 | 12 => {
                self.keep(length * 4)?;
                let mut all = Vec::new();
                for _ in 0..length {
                    #[expect(clippy::cast_possible_truncation, reason = "scores and factors are read at the precision they are used in")]
                    all.push(if code == 6 { f32::from_le_bytes(self.bytes()?) } else { f64::from_le_bytes(self.bytes()?) as f32 });
                }
                Ok(Value::Floats(all))
            }
            code => {
                self.keep(length * 8)?;
                let mut all = Vec::new();
                for _ in 0..length {
                    all.extend(self.integer(code)?);
                }
                Ok(Value::Integers(all))
            }
        }
    }
}

fn parse(cursor: &mut Cursor, path: &Path, want: Want) -> Result<Header, Fault> {
    let mut magic = [0; 4];
    let mut got = 0;
    while got < 4 {
        match cursor.input.read(magic.get_mut(got..).unwrap_or_default())? {
            0 => break,
            n => got += n,
        }
    }
    if &magic != b"GGUF" {
        return Err(Fault::Magic(magic));
    }
    cursor.at = 4;
    let version = cursor.u32()?;
    if version.swap_bytes() < 16 && version > 0xFFFF {
        return Err(Fault::BigEndian);
    }
    if !(2..=3).contains(&version) {
        return Err(Fault::Version(version));
    }
    let tensor_count = cursor.u64()?;
    let entry_count = cursor.u64()?;
    for (count, what, least) in [(tensor_count, "tensors", 24), (entry_count, "metadata entries", 13)] {
        if count > COUNT_MAX {
            return Err(Fault::Odd(format!("it has {count} {what}")));
        }
        if count * least > cursor.left() {
            return Err(Fault::Short);
        }
    }
    let mut metadata = HashMap::new();
    let mut order = Vec::new();
    for _ in 0..entry_count {
        let key = cursor.string()?;
        let code = cursor.u32()?;
        let value = cursor.value(code, want, 0)?;
        cursor.keep(key.len() as u64)?;
        order.push(key.clone());
        if metadata.insert(key.clone(), value).is_some() {
            return Err(Fault::Odd(format!("it has the entry `{}` twice", cut(&key, 60))));
        }
    }
    let mut listed = Vec::new();
    for _ in 0..tensor_count {
        let name = cursor.string()?;
        listed.push((name, tensor(cursor)?));
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Value::Integer(n)) => u64::try_from(*n)
            .ok()
            .filter(|n| n.is_power_of_two() && *n <= 1 << 20)
            .ok_or_else(|| Fault::Odd(format!("its data are aligned to {n} bytes")))?,
        Some(_) => return Err(Fault::Odd("its alignment is no number".into())),
    };
    let data = cursor.at.next_multiple_of(alignment);
    let mut tensors = HashMap::new();
    for (name, mut info) in listed {
        info.offset = info.offset.checked_add(data).ok_or(Fault::Short)?;
        if info.offset.checked_add(info.size).is_none_or(|end| end > cursor.size) {
            return Err(Fault::Short);
        }
        if let Some(twice) = tensors.insert(name.clone(), info).map(|_| name) {
            return Err(Fault::Odd(format!("it has the tensor `{}` twice", cut(&twice, 60))));
        }
    }
    Ok(Header { path: path.to_owned(), metadata, order, tensors, file_size: cursor.size })
}

fn tensor(cursor: &mut Cursor) -> Result<TensorInfo, Fault> {
    let dimensions = cursor.u32()?;
    if dimensions > 4 {
        return Err(Fault::Odd(format!("a tensor has {dimensions} dimensions")));
    }
    let mut shape = Vec::new();
    let mut numbers: u64 = 1;
    for _ in 0..dimensions {
        let length = cursor.u64()?;
        numbers = numbers.checked_mul(length).ok_or_else(|| Fault::Odd("a tensor is larger than any memory".into()))?;
        shape.push(usize::try_from(length).map_err(|_| Fault::Odd("a tensor is larger than any memory".into()))?);
    }
    shape.reverse();
    let code = cursor.u32()?;
    let kind = tensor_kind(code).ok_or_else(|| Fault::Odd(format!("a tensor is stored in the unknown way {code}")))?;
    let offset = cursor.u64()?;
    let (per_block, block_bytes) = kind.block;
    let columns = shape.last().map_or(1, |n| *n as u64);
    if !columns.is_multiple_of(per_block) {
        return Err(Fault::Odd(format!("a row of {columns} numbers is stored as {} in blocks of {per_block}", kind.name)));
    }
    let size = (numbers / per_block).checked_mul(block_bytes).ok_or_else(|| Fault::Odd("a tensor is larger than any memory".into()))?;
    Ok(TensorInfo { shape, kind, offset, size })
}
