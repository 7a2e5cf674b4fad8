//! Products: the code of this house and the compute library's against plain floats.

use candle_core::quantized::GgmlDType;
use proptest::prelude::*;

use super::super::matrix::{Buffers, Code, Loader, Matrix, times};
use super::super::simd;
use super::{Writer, noise, stored};
use crate::backend::gguf::{Header, Want};

const KINDS: [(GgmlDType, u32); 10] = [
    (GgmlDType::F32, 0),
    (GgmlDType::F16, 1),
    (GgmlDType::Q4_0, 2),
    (GgmlDType::Q4_1, 3),
    (GgmlDType::Q5_0, 6),
    (GgmlDType::Q5_1, 7),
    (GgmlDType::Q8_0, 8),
    (GgmlDType::Q4K, 12),
    (GgmlDType::Q5K, 13),
    (GgmlDType::Q6K, 14),
];

/// The code of this house, else the library's.
fn own() -> Code {
    Code::own().unwrap_or(Code::Library)
}

fn codes() -> impl Iterator<Item = Code> {
    Code::own().into_iter().chain([Code::Library])
}

fn load(kind: GgmlDType, number: u32, rows: usize, columns: usize, code: Code) -> (Matrix, Vec<f32>) {
    let (bytes, worth) = stored(&noise(7, rows * columns), columns, kind);
    let (_folder, path) = Writer::default().raw("w", &[rows, columns], number, bytes).file();
    let header = Header::read(&path, Want::Everything).unwrap();
    let mut progress = |_: u64, _: u64| true;
    let matrix = Loader::new(&header, code, &mut progress).unwrap().matrix("w", rows, columns).unwrap();
    (matrix, worth)
}

fn plain(worth: &[f32], x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    x.chunks_exact(columns)
        .flat_map(|x| (0..rows).map(move |r| worth[r * columns..][..columns].iter().zip(x).map(|(a, b)| a * b).sum()))
        .collect()
}

/// The largest difference, as a share of the products' size.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let size = (b.iter().map(|x| x * x).sum::<f32>() / b.len() as f32).sqrt();
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

#[test]
fn every_storage_multiplies_like_plain_floats() {
    for (kind, number) in KINDS {
        // 3 rows that fill no group of four; 9 blocks where blocks are paired.
        for (rows, columns) in [(3, 256), (70, 512), (33, 768)] {
            for code in codes() {
                let (matrix, worth) = load(kind, number, rows, columns, code);
                for count in [1, 2, 4, 7] {
                    let x = noise(3, count * columns);
                    let mut out = vec![f32::NAN; count * rows];
                    matrix.times(count, &x, &mut out, &mut Buffers::default()).unwrap();
                    let off = apart(&out, &plain(&worth, &x, rows, columns));
                    assert!(off < 0.05, "{kind:?} {rows}x{columns} {code:?}, {count} vectors: {off}");
                }
            }
        }
    }
}

#[test]
fn widths_of_an_odd_number_of_blocks_work() {
    for (kind, number) in KINDS.into_iter().filter(|(k, _)| k.block_size() == 32) {
        let (matrix, worth) = load(kind, number, 10, 288, own());
        let x = noise(5, 288 * 5);
        let mut out = vec![0.0; 50];
        matrix.times(5, &x, &mut out, &mut Buffers::default()).unwrap();
        assert!(apart(&out, &plain(&worth, &x, 10, 288)) < 0.05, "{kind:?}");
    }
}

#[test]
fn rows_come_back_as_they_were_stored() {
    for (kind, number) in KINDS {
        for code in codes() {
            let (matrix, worth) = load(kind, number, 5, 512, code);
            let mut row = vec![0.0; 512];
            matrix.row(3, &mut row).unwrap();
            // Requantised storages are off by half a step of their 8 bits.
            assert!(apart(&row, &worth[3 * 512..4 * 512]) < 0.02, "{kind:?} {code:?}");
            assert!(matrix.row(5, &mut row).is_err(), "there is no row 5");
        }
    }
}

#[test]
fn several_matrices_at_once_give_what_each_gives_alone() {
    let (a, _) = load(GgmlDType::Q4_1, 3, 17, 256, own());
    let (b, _) = load(GgmlDType::Q8_0, 8, 40, 256, own());
    let (c, _) = load(GgmlDType::Q6K, 14, 8, 256, own());
    for count in [1, 6] {
        let x = noise(11, count * 256);
        let mut buffers = Buffers::default();
        let alone: Vec<Vec<f32>> = [&a, &b, &c]
            .into_iter()
            .map(|m| {
                let mut out = vec![0.0; count * m.rows];
                m.times(count, &x, &mut out, &mut buffers).unwrap();
                out
            })
            .collect();
        let mut out = [vec![0.0; count * 17], vec![0.0; count * 40], vec![0.0; count * 8]];
        let [x1, x2, x3] = &mut out;
        times(&mut [(&a, x1), (&b, x2)], count, &x, &mut buffers).unwrap();
        times(&mut [(&c, x3)], count, &x, &mut buffers).unwrap();
        assert_eq!(out.to_vec(), alone);
        let [x1, x2, x3] = &mut out;
        times(&mut [(&a, x1), (&b, x2), (&c, x3)], count, &x, &mut buffers).unwrap();
        assert_eq!(out.to_vec(), alone, "also when one of them has other code");
    }
}

#[test]
fn buffers_of_the_wrong_length_are_refused() {
    let (a, _) = load(GgmlDType::Q4_0, 2, 4, 256, own());
    assert!(a.times(1, &[0.0; 255], &mut [0.0; 4], &mut Buffers::default()).is_err());
    assert!(a.times(1, &[0.0; 256], &mut [0.0; 3], &mut Buffers::default()).is_err());
}

#[test]
fn a_vector_of_zeros_and_of_giants_stays_finite() {
    for (kind, number) in [(GgmlDType::Q4_1, 3), (GgmlDType::Q8_0, 8)] {
        let (matrix, _) = load(kind, number, 4, 256, own());
        for value in [0.0, 1e-38, 1e30] {
            let mut out = [f32::NAN; 4];
            matrix.times(1, &[value; 256], &mut out, &mut Buffers::default()).unwrap();
            assert!(out.iter().all(|x| x.is_finite()), "{value}: {out:?}");
        }
    }
}

#[test]
fn work_is_shared_out_whole() {
    for (length, piece) in [(1, 1), (10, 3), (1000, 7), (5, 100)] {
        let mut out = vec![-1.0; length];
        simd::share(&mut out, piece, |at, part| part.iter_mut().enumerate().for_each(|(i, x)| *x = (at * piece + i) as f32));
        assert!(out.iter().enumerate().all(|(i, x)| *x == i as f32));
    }
}

proptest! {
    #[test]
    fn exp_is_exp(x in -100.0f32..100.0) {
        for found in [simd::exp::<false>(x), simd::exp::<true>(x)] {
            let right = x.clamp(-87.3, 88.0).exp();
            prop_assert!((found - right).abs() <= right * 4e-7, "{x}: {found} for {right}");
        }
    }

    #[test]
    fn dot_is_dot(length in 0usize..100) {
        let (a, b) = (noise(1, length), noise(2, length));
        let right: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        prop_assert!((f64::from(simd::dot::<false>(&a, &b)) - right).abs() < 1e-4);
        prop_assert!((f64::from(simd::dot::<true>(&a, &b)) - right).abs() < 1e-4);
    }
}
