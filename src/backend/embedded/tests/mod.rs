//! Tests of the engine's inside: tiny files written here, held against candle's own models and against hostile bytes.

mod kernels;
mod models;
mod tokens;
mod whole;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

pub use crate::backend::gguf::writer::Writer;

/// Numbers that look random and are the same each time, of the size of real weights.
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / 16_777_216.0 - 0.5) * 0.8
        })
        .collect()
}

/// Numbers as a file stores them: bytes, and what they are worth.
pub fn stored(values: &[f32], columns: usize, kind: GgmlDType) -> (Vec<u8>, Vec<f32>) {
    let tensor = Tensor::from_slice(values, (values.len() / columns, columns), &Device::Cpu).unwrap();
    let packed = QTensor::quantize(&tensor, kind).unwrap();
    let worth = packed.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (packed.data().unwrap().into_owned(), worth)
}
