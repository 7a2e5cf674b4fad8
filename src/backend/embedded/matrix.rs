//! Weights in memory and the one thing done with them: rows times vectors.
//!
//! Owns: loading tensors from the file, choosing the code for their storage, and requantising those that have no fast code. Refuses: what the tensors mean (`model`).
//! Invariant: at most one tensor's raw bytes are in memory beside the weights themselves.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use candle_core::CpuStorage;
use candle_core::quantized::{GgmlDType, QStorage, QTensor, QuantizedType};

use super::kinds;
#[cfg(target_arch = "x86_64")]
use super::packed::{Packed, Rounded, Stored};
#[cfg(target_arch = "x86_64")]
use super::simd::{self, V3};
use crate::backend::gguf::{Header, TensorInfo, shown};
use crate::error::{Error, Kind, Result};
use crate::sanitise::cut;

/// Rows that are requantised at a time, in numbers: 4 MiB of floats.
const CHUNK: usize = 1 << 20;

/// A matrix of weights: `rows` outputs by `columns` inputs.
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    data: Data,
}

enum Data {
    /// By the code of this house.
    #[cfg(target_arch = "x86_64")]
    Packed(Packed, V3),
    /// By the compute library's.
    Library(Box<dyn QuantizedType>),
}

/// Buffers of products, kept so that a token allocates little.
#[derive(Default)]
pub struct Buffers {
    #[cfg(target_arch = "x86_64")]
    rounded: Rounded,
    #[cfg(target_arch = "x86_64")]
    products: Vec<f32>,
}

/// `out[i] = matrix · x[i]` for each of `count` vectors and each matrix; all matrices take vectors of one length.
///
/// # Errors
/// `Kind::Internal` when the lengths do not fit.
pub fn times(parts: &mut [(&Matrix, &mut [f32])], count: usize, x: &[f32], buffers: &mut Buffers) -> Result<()> {
    let fits = |(matrix, out): &(&Matrix, &mut [f32])| x.len() == count * matrix.columns && out.len() == count * matrix.rows;
    if !parts.iter().all(fits) {
        return Err(Error::new(Kind::Internal, "The engine's buffers do not fit the model's weights."));
    }
    #[cfg(target_arch = "x86_64")]
    if let Some((first, simd)) = parts.first().and_then(|(matrix, _)| matrix.packed())
        && parts.iter().all(|(matrix, _)| matrix.packed().is_some())
    {
        first.round(simd, x, &mut buffers.rounded);
        packed_times(parts, count, simd, buffers);
        return Ok(());
    }
    for (matrix, out) in parts {
        matrix.alone(count, x, out, buffers)?;
    }
    Ok(())
}

/// Work of about this many multiplications is one piece for a thread: some microseconds.
#[cfg(target_arch = "x86_64")]
const PIECE: usize = 1 << 17;

/// Products of packed matrices with the vectors that `buffers` holds, all rows of all of them shared out at once.
#[cfg(target_arch = "x86_64")]
fn packed_times(parts: &mut [(&Matrix, &mut [f32])], count: usize, simd: V3, buffers: &mut Buffers) {
    let Buffers { rounded, products } = buffers;
    let rows: usize = parts.iter().map(|(matrix, _)| matrix.rows).sum();
    let columns = parts.first().map_or(1, |(matrix, _)| matrix.columns);
    products.resize(rows * count, 0.0);
    let matrices: Vec<&Matrix> = parts.iter().map(|(matrix, _)| *matrix).collect();
    let piece = (PIECE / (columns * count)).clamp(4, 1 << 14).next_multiple_of(4);
    // Few pieces for each thread, so that a slow one leaves its share to the others.
    let piece = piece.min(rows.div_ceil(simd::threads() * 4).next_multiple_of(4));
    simd::share(products, piece * count, |at, mut out| {
        let mut first = at * piece;
        for matrix in &matrices {
            if first >= matrix.rows {
                first -= matrix.rows;
                continue;
            }
            let here = (matrix.rows - first).min(out.len() / count);
            let (mine, rest) = out.split_at_mut(here * count);
            if let Some((packed, _)) = matrix.packed() {
                packed.rows(simd, first, rounded, count, mine);
            }
            if rest.is_empty() {
                return;
            }
            (out, first) = (rest, 0);
        }
    });
    let mut from = products.as_slice();
    for (matrix, out) in parts {
        let (mine, rest) = from.split_at(matrix.rows * count);
        for (row, products) in mine.chunks_exact(count).enumerate() {
            for (vector, product) in products.iter().enumerate() {
                if let Some(slot) = out.get_mut(vector * matrix.rows + row) {
                    *slot = *product;
                }
            }
        }
        from = rest;
    }
}

impl Matrix {
    #[cfg(target_arch = "x86_64")]
    fn packed(&self) -> Option<(&Packed, V3)> {
        match &self.data {
            Data::Packed(packed, simd) => Some((packed, *simd)),
            Data::Library(_) => None,
        }
    }

    fn alone(&self, count: usize, x: &[f32], out: &mut [f32], buffers: &mut Buffers) -> Result<()> {
        match &self.data {
            #[cfg(target_arch = "x86_64")]
            Data::Packed(packed, simd) => {
                packed.round(*simd, x, &mut buffers.rounded);
                packed_times(&mut [(self, out)], count, *simd, buffers);
                Ok(())
            }
            Data::Library(data) => {
                let _ = buffers;
                data.matmul_t((count, self.columns, self.rows), x, out).map_err(compute)
            }
        }
    }

    /// `out[i] = self · x[i]` for each of `count` vectors.
    ///
    /// # Errors
    /// As [`times`].
    pub fn times(&self, count: usize, x: &[f32], out: &mut [f32], buffers: &mut Buffers) -> Result<()> {
        times(&mut [(self, out)], count, x, buffers)
    }

    /// Copies one row, as numbers.
    ///
    /// # Errors
    /// `Kind::Internal` for a row that is not there.
    pub fn row(&self, at: u32, out: &mut [f32]) -> Result<()> {
        let odd = || Error::new(Kind::Internal, "The engine's buffers do not fit the model's weights.");
        if at as usize >= self.rows || out.len() != self.columns {
            return Err(odd());
        }
        match &self.data {
            #[cfg(target_arch = "x86_64")]
            Data::Packed(packed, _) => packed.row(at as usize, out),
            Data::Library(data) => match data.embedding(&[at], self.rows, self.columns).map_err(compute)? {
                CpuStorage::F32(row) if row.len() == out.len() => out.copy_from_slice(&row),
                _ => return Err(odd()),
            },
        }
        Ok(())
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.data {
            #[cfg(target_arch = "x86_64")]
            Data::Packed(packed, _) => packed.bytes(),
            Data::Library(data) => data.storage_size_in_bytes() as u64,
        }
    }
}

fn compute(e: candle_core::Error) -> Error {
    Error::new(Kind::Internal, "The embedded engine could not compute with this model's weights.").cause(cut(&e.to_string(), 400))
}

/// Which code multiplies.
#[derive(Debug, Clone, Copy)]
pub enum Code {
    /// That of this house.
    #[cfg(target_arch = "x86_64")]
    Wide(V3),
    /// The compute library's, which every processor can run.
    Library,
}

impl Code {
    /// The fastest for this processor. In a build without optimisation that is the library's, which is compiled with it all the same.
    #[must_use]
    pub fn best() -> Self {
        if cfg!(debug_assertions) { Self::Library } else { Self::own().unwrap_or(Self::Library) }
    }

    /// That of this house, where the processor can run it.
    #[must_use]
    pub fn own() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return simd::wide().map(Self::Wide);
        #[cfg(not(target_arch = "x86_64"))]
        None
    }
}

/// Reads tensors of one file, and counts what has been read.
pub struct Loader<'a> {
    header: &'a Header,
    file: File,
    done: u64,
    total: u64,
    code: Code,
    /// Called with bytes done and bytes in all; false ends the loading.
    progress: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl<'a> Loader<'a> {
    /// # Errors
    /// `Kind::File` when the file cannot be opened any more, `Kind::Unsupported` when a tensor is stored in a way that cannot be run.
    pub fn new(header: &'a Header, code: Code, progress: &'a mut dyn FnMut(u64, u64) -> bool) -> Result<Self> {
        runnable(header)?;
        let file = File::open(&header.path).map_err(|e| gone(header, &e))?;
        let now = file.metadata().map_err(|e| gone(header, &e))?.len();
        if now != header.file_size {
            return Err(Error::new(Kind::File, format!("{} is being changed by somebody.", shown(&header.path)))
                .hint("Wait until it is complete, then try again."));
        }
        let total = header.tensors.values().map(|t| t.size).sum();
        Ok(Self { header, file, done: 0, total, code, progress })
    }

    /// Whether the file has such a tensor.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.header.tensors.contains_key(name)
    }

    fn info(&self, name: &str) -> Result<&'a TensorInfo> {
        self.header.tensors.get(name).ok_or_else(|| {
            Error::new(
                Kind::File,
                format!("{} has no tensor `{}`, which models of its kind need.", shown(&self.header.path), cut(name, 60)),
            )
            .hint("Take another GGUF file of this model; this one may be an adapter or a part.")
        })
    }

    fn bytes(&mut self, offset: u64, size: u64) -> Result<Vec<u8>> {
        let header = self.header;
        self.file.seek(SeekFrom::Start(offset)).map_err(|e| gone(header, &e))?;
        let mut raw = Vec::new();
        (&mut self.file).take(size).read_to_end(&mut raw).map_err(|e| gone(header, &e))?;
        if raw.len() as u64 != size {
            return Err(Error::new(Kind::File, format!("{} is cut off.", shown(&header.path))));
        }
        self.done += size;
        if !(self.progress)(self.done, self.total) {
            return Err(Error::new(Kind::Cancelled, "Loading the model was stopped."));
        }
        Ok(raw)
    }

    /// A matrix of a known shape.
    ///
    /// # Errors
    /// As `Kind::File` when it is missing or has another shape.
    pub fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        let info = self.info(name)?;
        if info.shape != [rows, columns] {
            return Err(misshapen(self.header, name, &info.shape, &[rows, columns]));
        }
        let Some(dtype) = kinds::dtype(info.kind) else { return Err(unsupported(info.kind.name)) };
        #[cfg(target_arch = "x86_64")]
        if let (Code::Wide(simd), Some(stored)) = (self.code, Stored::named(info.kind.name)) {
            let packed = self.packed(info, stored, columns)?;
            return Ok(Matrix { rows, columns, data: Data::Packed(packed, simd) });
        }
        let data = if slow(dtype) {
            self.requantised(info, dtype, columns)?
        } else {
            dtype.from_data(Cow::Owned(self.bytes(info.offset, info.size)?))
        };
        let data = Data::Library(data);
        Ok(Matrix { rows, columns, data })
    }

    /// A vector of floats (norms, biases) of a known length.
    ///
    /// # Errors
    /// As [`Self::matrix`].
    pub fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        if info.shape != [length] {
            return Err(misshapen(self.header, name, &info.shape, &[length]));
        }
        let Some(dtype) = kinds::dtype(info.kind) else { return Err(unsupported(info.kind.name)) };
        let raw = self.bytes(info.offset, info.size)?;
        floats(&*dtype.from_data(Cow::Owned(raw)), length)
    }

    /// The tensor in the layout of this house, some rows at a time.
    #[cfg(target_arch = "x86_64")]
    fn packed(&mut self, info: &TensorInfo, stored: Stored, columns: usize) -> Result<Packed> {
        let (per_block, block_bytes) = info.kind.block;
        let row = columns as u64 / per_block * block_bytes;
        let step = (CHUNK / columns).max(1) as u64 * row;
        let mut packed = Packed::new(stored, columns);
        let mut at = 0;
        while at < info.size {
            let raw = self.bytes(info.offset + at, step.min(info.size - at))?;
            packed.add_rows(stored, &raw);
            at += step;
        }
        Ok(packed)
    }

    /// Q4_1, Q5_0 and Q5_1 as Q8_0, some rows at a time.
    fn requantised(&mut self, info: &TensorInfo, dtype: GgmlDType, columns: usize) -> Result<Box<dyn QuantizedType>> {
        let numbers: usize = info.shape.iter().product();
        let step = (CHUNK / columns).max(1) * columns;
        let mut packed = Vec::new();
        let mut at = 0;
        while at < numbers {
            let count = step.min(numbers - at);
            let scale = |n: usize| (n / dtype.block_size() * dtype.type_size()) as u64;
            let raw = self.bytes(info.offset + scale(at), scale(count))?;
            let plain = floats(&*dtype.from_data(Cow::Owned(raw)), count)?;
            let mut block = GgmlDType::Q8_0.cpu_zeros(count);
            block.from_float(&plain);
            packed.extend_from_slice(&raw_of(block, count)?);
            at += count;
        }
        Ok(GgmlDType::Q8_0.from_data(Cow::Owned(packed)))
    }
}

/// Whether the compute library has only plain code for this storage, some four times slower than for Q8_0.
fn slow(dtype: GgmlDType) -> bool {
    matches!(dtype, GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1)
}

/// What a tensor takes once it is loaded, in bytes: in this house's layout where it is packed, as 8 bits where it is requantised.
#[must_use]
pub fn resident(info: &TensorInfo) -> u64 {
    let Some(columns) = info.shape.last().filter(|_| info.shape.len() > 1) else { return info.size };
    #[cfg(target_arch = "x86_64")]
    if let (Code::Wide(_), Some(stored)) = (Code::best(), Stored::named(info.kind.name)) {
        let rows = info.shape.iter().rev().skip(1).fold(1_u64, |product, n| product.saturating_mul(*n as u64));
        return rows.saturating_mul(stored.row_resident(*columns));
    }
    let _ = columns;
    match kinds::dtype(info.kind) {
        Some(dtype) if slow(dtype) => (info.size / info.kind.block.1).saturating_mul(34),
        _ => info.size,
    }
}

fn floats(data: &dyn QuantizedType, count: usize) -> Result<Vec<f32>> {
    match data.dequantize(count).map_err(compute)? {
        CpuStorage::F32(all) => Ok(all),
        _ => Err(Error::new(Kind::Internal, "The compute library gave numbers of another type than it promised.")),
    }
}

/// The bytes of freshly quantised numbers.
fn raw_of(block: Box<dyn QuantizedType>, count: usize) -> Result<Vec<u8>> {
    let tensor = QTensor::new(QStorage::Cpu(block), (1, count)).map_err(compute)?;
    Ok(tensor.data().map_err(compute)?.into_owned())
}

/// Refuses a file of which some tensor cannot be computed with, naming the storage.
///
/// # Errors
/// `Kind::Unsupported`.
pub fn runnable(header: &Header) -> Result<()> {
    match header.tensors.values().find(|t| kinds::dtype(t.kind).is_none()) {
        Some(tensor) => Err(unsupported(tensor.kind.name)),
        None => Ok(()),
    }
}

fn unsupported(storage: &str) -> Error {
    Error::new(Kind::Unsupported, format!("The model's weights are stored as {storage}, which the embedded engine has no code for."))
        .hint("Take a Q8_0, Q6_K, Q5_K_M, Q4_K_M or Q4_0 file of this model.")
        .hint("Or run this file with llama-server or Ollama, and add that as a backend.")
}

fn gone(header: &Header, e: &std::io::Error) -> Error {
    Error::new(Kind::File, format!("{} cannot be read any more.", shown(&header.path))).cause(e)
}

fn misshapen(header: &Header, name: &str, has: &[usize], wants: &[usize]) -> Error {
    Error::new(Kind::File, format!("The tensor `{}` of {} has another shape than the metadata say.", cut(name, 60), shown(&header.path)))
        .hint("Take another GGUF file of this model.")
        .cause(format!("it is {has:?}, expected {wants:?}"))
}
