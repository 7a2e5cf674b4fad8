//! Weights of 32-number blocks in a layout of our own, and their product with vectors on processors with AVX2.
//!
//! Owns: Q4_0, Q4_1, Q4_K (4 bits), Q5_0, Q5_1 (as 8 bits) and Q8_0: each block is whole numbers times a scale plus a least value,
//! exactly as in the file. Vectors are rounded to 8 bits per block, as llama.cpp does. Refuses: processors without AVX2, which
//! get the compute library's code (`matrix`). Invariant: a row's product does not depend on which rows or vectors are
//! computed beside it.

use pulp::cast;

use super::simd::{self, V3};

/// Numbers in a block.
const BLOCK: usize = 32;

/// Which of the two layouts, and the numbers themselves.
enum Numbers {
    /// 4 bits each, two blocks in one: the first in the low halves of the bytes, the second in the high ones.
    Nibbles(Vec<[u8; 32]>),
    /// 8 bits each, from 0 up; two blocks after each other.
    Bytes(Vec<[[u8; 32]; 2]>),
    /// 8 bits each, with sign; likewise.
    Signed(Vec<[[u8; 32]; 2]>),
}

/// A matrix of weights.
pub struct Packed {
    numbers: Numbers,
    /// Blocks in a row; even.
    blocks: usize,
    columns: usize,
    scales: Vec<f32>,
    /// The least value of each block; empty when all are zero.
    least: Vec<f32>,
}

/// A vector, rounded to 8 bits per block.
#[derive(Default)]
pub struct Rounded {
    numbers: Vec<[i8; 32]>,
    scales: Vec<f32>,
    /// Scale times the sum of the block's numbers.
    sums: Vec<f32>,
}

/// How a file stores the blocks that can be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
}

impl Stored {
    /// By the name in the file; `None` for what is not packed.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Q4_0" => Self::Q4_0,
            "Q4_1" => Self::Q4_1,
            "Q5_0" => Self::Q5_0,
            "Q5_1" => Self::Q5_1,
            "Q8_0" => Self::Q8_0,
            "Q4_K" => Self::Q4K,
            _ => return None,
        })
    }

    /// Bytes that one row of `columns` numbers takes in memory: blocks in pairs, with a scale and, but for Q8_0, a least value each.
    #[must_use]
    pub fn row_resident(self, columns: usize) -> u64 {
        let numbers = match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q4K => 16 + 8,
            Self::Q5_0 | Self::Q5_1 => 32 + 8,
            Self::Q8_0 => 32 + 4,
        };
        (columns / BLOCK).next_multiple_of(2) as u64 * numbers
    }

    /// Bytes of one row of `columns` numbers.
    fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::Q4_0 => columns / 32 * 18,
            Self::Q4_1 => columns / 32 * 20,
            Self::Q5_0 => columns / 32 * 22,
            Self::Q5_1 => columns / 32 * 24,
            Self::Q8_0 => columns / 32 * 34,
            Self::Q4K => columns / 256 * 144,
        }
    }
}

impl Packed {
    /// An empty matrix of `columns` inputs, to which rows are added.
    #[must_use]
    pub fn new(stored: Stored, columns: usize) -> Self {
        let numbers = match stored {
            Stored::Q4_0 | Stored::Q4_1 | Stored::Q4K => Numbers::Nibbles(Vec::new()),
            Stored::Q5_0 | Stored::Q5_1 => Numbers::Bytes(Vec::new()),
            Stored::Q8_0 => Numbers::Signed(Vec::new()),
        };
        Self { numbers, blocks: (columns / BLOCK).next_multiple_of(2), columns, scales: Vec::new(), least: Vec::new() }
    }

    /// Adds rows as the file has them.
    pub fn add_rows(&mut self, stored: Stored, raw: &[u8]) {
        let mut scales = Vec::new();
        let mut least = Vec::new();
        for row in raw.chunks_exact(stored.row_bytes(self.columns)) {
            let mut blocks: Vec<[u8; 32]> = Vec::with_capacity(self.blocks);
            match stored {
                Stored::Q4K => row.chunks_exact(144).for_each(|block| unpack_k(block, &mut blocks, &mut scales, &mut least)),
                other => {
                    row.chunks_exact(other.row_bytes(BLOCK)).for_each(|block| unpack(other, block, &mut blocks, &mut scales, &mut least))
                }
            }
            while blocks.len() < self.blocks {
                blocks.push([0; 32]);
                scales.push(0.0);
                least.push(0.0);
            }
            match &mut self.numbers {
                Numbers::Nibbles(pairs) => {
                    for pair in blocks.chunks_exact(2) {
                        if let [a, b] = pair {
                            pairs.push(std::array::from_fn(|i| a[i] | (b[i] << 4)));
                        }
                    }
                }
                Numbers::Bytes(all) | Numbers::Signed(all) => all.extend_from_slice(blocks.as_chunks::<2>().0),
            }
        }
        self.scales.append(&mut scales);
        if stored != Stored::Q8_0 {
            self.least.append(&mut least);
        }
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let numbers = match &self.numbers {
            Numbers::Nibbles(pairs) => size_of_val(pairs.as_slice()),
            Numbers::Bytes(pairs) | Numbers::Signed(pairs) => size_of_val(pairs.as_slice()),
        };
        (numbers + size_of_val(self.scales.as_slice()) + size_of_val(self.least.as_slice())) as u64
    }

    /// One row, as floats.
    pub fn row(&self, at: usize, out: &mut [f32]) {
        for (block, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            let here = at * self.blocks + block;
            let scale = self.scales.get(here).copied().unwrap_or_default();
            let least = self.least.get(here).copied().unwrap_or_default();
            let numbers: [f32; 32] = match &self.numbers {
                Numbers::Nibbles(pairs) => {
                    let pair = pairs.get(here / 2).copied().unwrap_or([0; 32]);
                    pair.map(|b| f32::from(if block % 2 == 0 { b & 15 } else { b >> 4 }))
                }
                Numbers::Bytes(all) => all.as_flattened().get(here).copied().unwrap_or([0; 32]).map(f32::from),
                Numbers::Signed(all) => all.as_flattened().get(here).copied().unwrap_or([0; 32]).map(|b| f32::from(b.cast_signed())),
            };
            for (o, n) in out.iter_mut().zip(numbers) {
                *o = n * scale + least;
            }
        }
    }

    /// `out[r * count + v] = row(first + r) · vector(v)`: rows one after the other, each with all vectors.
    pub fn rows(&self, simd: V3, first: usize, x: &Rounded, count: usize, out: &mut [f32]) {
        struct Run<'a>(&'a Packed, V3, usize, &'a Rounded, usize, &'a mut [f32]);
        impl pulp::NullaryFnOnce for Run<'_> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let Run(packed, simd, first, x, count, out) = self;
                match &packed.numbers {
                    Numbers::Nibbles(n) => run(packed, simd, Nibbles(n), first, x, count, out),
                    Numbers::Bytes(n) => run(packed, simd, Bytes(n), first, x, count, out),
                    Numbers::Signed(n) => run(packed, simd, Signed(n), first, x, count, out),
                }
            }
        }
        simd.vectorize(Run(self, simd, first, x, count, out));
    }

    /// Rounds `count` vectors for products with matrices of this width.
    pub fn round(&self, simd: V3, x: &[f32], out: &mut Rounded) {
        struct Run<'a>(&'a Packed, &'a [f32], &'a mut Rounded);
        impl pulp::NullaryFnOnce for Run<'_> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let Run(packed, x, out) = self;
                round(packed.columns, packed.blocks, x, out);
            }
        }
        simd.vectorize(Run(self, x, out));
    }
}

#[inline(always)]
fn round(columns: usize, blocks: usize, x: &[f32], out: &mut Rounded) {
    out.numbers.clear();
    out.scales.clear();
    out.sums.clear();
    for row in x.chunks_exact(columns) {
        for block in row.as_chunks::<BLOCK>().0 {
            let mut most = [0.0f32; 8];
            for eight in block.as_chunks::<8>().0 {
                for (m, x) in most.iter_mut().zip(eight) {
                    *m = m.max(x.abs());
                }
            }
            let mut largest = 0.0f32;
            for m in most {
                largest = largest.max(m);
            }
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let mut numbers = [0i8; 32];
            let mut sum = 0i32;
            for (n, x) in numbers.iter_mut().zip(block) {
                // Adding 1.5 · 2^23 rounds to a whole number and leaves it in the lowest bits.
                let whole = (x * inverse + 12_582_912.0).to_bits().wrapping_sub(0x4B40_0000).cast_signed();
                sum = sum.wrapping_add(whole);
                #[expect(clippy::cast_possible_truncation, reason = "within ±127 by the choice of scale; what NaN becomes does not matter")]
                let byte = whole as i8;
                *n = byte;
            }
            out.numbers.push(numbers);
            out.scales.push(scale);
            #[expect(clippy::cast_precision_loss, reason = "at most 32 · 127")]
            out.sums.push(scale * sum as f32);
        }
        let missing = blocks - columns / BLOCK;
        out.numbers.extend(std::iter::repeat_n([0; 32], missing));
        out.scales.extend(std::iter::repeat_n(0.0, missing));
        out.sums.extend(std::iter::repeat_n(0.0, missing));
    }
}

type I = std::arch::x86_64::__m256i;
type F = std::arch::x86_64::__m256;

/// How two neighbouring blocks are got and multiplied.
trait Layout: Copy {
    type Stored;
    /// What is made of a pair of blocks once for all vectors.
    type Pair: Copy;
    fn all(&self) -> &[Self::Stored];
    fn pair(simd: V3, stored: &Self::Stored) -> Self::Pair;
    /// Sums of four neighbouring products each, for the first and the second block.
    fn times(simd: V3, pair: Self::Pair, a: I, b: I) -> (I, I);
}

#[derive(Clone, Copy)]
struct Nibbles<'a>(&'a [[u8; 32]]);
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [[[u8; 32]; 2]]);
#[derive(Clone, Copy)]
struct Signed<'a>(&'a [[[u8; 32]; 2]]);

/// Pairs of u8·i8 products, added up by fours. No sum of two exceeds 16 bits: 2 · 128 · 127 at most.
#[inline(always)]
fn four(simd: V3, unsigned: I, signed: I) -> I {
    let twos = simd.avx2._mm256_maddubs_epi16(unsigned, signed);
    simd.avx2._mm256_madd_epi16(twos, simd.avx._mm256_set1_epi16(1))
}

impl Layout for Nibbles<'_> {
    type Stored = [u8; 32];
    type Pair = (I, I);
    #[inline(always)]
    fn all(&self) -> &[[u8; 32]] {
        self.0
    }
    #[inline(always)]
    fn pair(simd: V3, stored: &[u8; 32]) -> (I, I) {
        let both: I = cast(*stored);
        let mask = simd.avx._mm256_set1_epi8(15);
        (simd.avx2._mm256_and_si256(both, mask), simd.avx2._mm256_and_si256(simd.avx2._mm256_srli_epi16::<4>(both), mask))
    }
    #[inline(always)]
    fn times(simd: V3, (low, high): (I, I), a: I, b: I) -> (I, I) {
        (four(simd, low, a), four(simd, high, b))
    }
}

impl Layout for Bytes<'_> {
    type Stored = [[u8; 32]; 2];
    type Pair = (I, I);
    #[inline(always)]
    fn all(&self) -> &[[[u8; 32]; 2]] {
        self.0
    }
    #[inline(always)]
    fn pair(_: V3, [first, second]: &[[u8; 32]; 2]) -> (I, I) {
        (cast(*first), cast(*second))
    }
    #[inline(always)]
    fn times(simd: V3, (first, second): (I, I), a: I, b: I) -> (I, I) {
        (four(simd, first, a), four(simd, second, b))
    }
}

impl Layout for Signed<'_> {
    type Stored = [[u8; 32]; 2];
    type Pair = (I, I);
    #[inline(always)]
    fn all(&self) -> &[[[u8; 32]; 2]] {
        self.0
    }
    #[inline(always)]
    fn pair(_: V3, [first, second]: &[[u8; 32]; 2]) -> (I, I) {
        (cast(*first), cast(*second))
    }
    #[inline(always)]
    fn times(simd: V3, (first, second): (I, I), a: I, b: I) -> (I, I) {
        let one = |w: I, x: I| four(simd, simd.avx2._mm256_abs_epi8(w), simd.avx2._mm256_sign_epi8(x, w));
        (one(first, a), one(second, b))
    }
}

/// All rows that `out` has room for, four at a time for one vector, two at a time for four.
#[inline(always)]
fn run<L: Layout>(packed: &Packed, simd: V3, layout: L, first: usize, x: &Rounded, count: usize, out: &mut [f32]) {
    let rows = out.len() / count;
    let mut vector = 0;
    while vector + 4 <= count {
        let mut row = 0;
        while row + 2 <= rows {
            let tile = tile::<L, 2, 4>(packed, simd, layout, first + row, x, vector);
            put(&tile, out, row, vector, count);
            row += 2;
        }
        if row < rows {
            put(&tile::<L, 1, 4>(packed, simd, layout, first + row, x, vector), out, row, vector, count);
        }
        vector += 4;
    }
    while vector < count {
        let mut row = 0;
        while row + 4 <= rows {
            put(&tile::<L, 4, 1>(packed, simd, layout, first + row, x, vector), out, row, vector, count);
            row += 4;
        }
        while row < rows {
            put(&tile::<L, 1, 1>(packed, simd, layout, first + row, x, vector), out, row, vector, count);
            row += 1;
        }
        vector += 1;
    }
}

#[inline(always)]
fn put<const R: usize, const V: usize>(tile: &[[f32; V]; R], out: &mut [f32], row: usize, vector: usize, count: usize) {
    for (r, products) in tile.iter().enumerate() {
        for (v, product) in products.iter().enumerate() {
            if let Some(slot) = out.get_mut((row + r) * count + vector + v) {
                *slot = *product;
            }
        }
    }
}

/// `R` rows times `V` vectors.
#[inline(always)]
fn tile<L: Layout, const R: usize, const V: usize>(
    packed: &Packed,
    simd: V3,
    layout: L,
    row: usize,
    x: &Rounded,
    vector: usize,
) -> [[f32; V]; R] {
    let blocks = packed.blocks;
    let pairs = blocks / 2;
    let mut sums: [[F; V]; R] = [[simd.avx._mm256_setzero_ps(); V]; R];
    // Slices of one known length let the compiler leave out the bounds checks in the loop. No closures in here: they would be
    // compiled without the wider instructions.
    let all = layout.all();
    let row_scales = packed.scales.as_chunks::<2>().0;
    let mut stored = [&all[..0]; R];
    let mut scales = [&row_scales[..0]; R];
    for r in 0..R {
        stored[r] = &all[(row + r) * pairs..][..pairs];
        scales[r] = &row_scales[(row + r) * pairs..][..pairs];
    }
    let (all_numbers, all_scales) = (x.numbers.as_chunks::<2>().0, x.scales.as_chunks::<2>().0);
    let mut numbers = [&all_numbers[..0]; V];
    let mut vector_scales = [&all_scales[..0]; V];
    for v in 0..V {
        numbers[v] = &all_numbers[(vector + v) * pairs..][..pairs];
        vector_scales[v] = &all_scales[(vector + v) * pairs..][..pairs];
    }
    for pair in 0..pairs {
        let mut weights = [L::pair(simd, &stored[0][pair]); R];
        for r in 1..R {
            weights[r] = L::pair(simd, &stored[r][pair]);
        }
        for v in 0..V {
            let [a, b] = numbers[v][pair];
            let (a, b): (I, I) = (cast(a), cast(b));
            let [a_scale, b_scale] = vector_scales[v][pair];
            let (a_scale, b_scale) = (simd.avx._mm256_set1_ps(a_scale), simd.avx._mm256_set1_ps(b_scale));
            for r in 0..R {
                let (first, second) = L::times(simd, weights[r], a, b);
                let first = simd.avx._mm256_mul_ps(simd.avx._mm256_cvtepi32_ps(first), a_scale);
                let second = simd.avx._mm256_mul_ps(simd.avx._mm256_cvtepi32_ps(second), b_scale);
                let [first_scale, second_scale] = scales[r][pair];
                sums[r][v] = simd.fma._mm256_fmadd_ps(first, simd.avx._mm256_set1_ps(first_scale), sums[r][v]);
                sums[r][v] = simd.fma._mm256_fmadd_ps(second, simd.avx._mm256_set1_ps(second_scale), sums[r][v]);
            }
        }
    }
    let mut products = [[0.0; V]; R];
    for r in 0..R {
        for v in 0..V {
            let lanes: [f32; 8] = cast(sums[r][v]);
            let mut product = 0.0;
            for lane in lanes {
                product += lane;
            }
            if !packed.least.is_empty() {
                let least = &packed.least[(row + r) * blocks..][..blocks];
                product += simd::dot::<true>(least, &x.sums[(vector + v) * blocks..][..blocks]);
            }
            products[r][v] = product;
        }
    }
    products
}

/// Half precision to single.
fn half(bytes: &[u8], at: usize) -> f32 {
    let bits = match bytes.get(at..at + 2) {
        Some([a, b]) => u32::from(u16::from_le_bytes([*a, *b])),
        _ => 0,
    };
    let magnitude = if bits & 0x7C00 == 0x7C00 {
        f32::from_bits(0x7F80_0000 | (bits & 0x3FF) << 13)
    } else {
        // The exponents differ by 112; denormals come right by the multiplication.
        f32::from_bits((bits & 0x7FFF) << 13) * f32::from_bits(0x7780_0000)
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

fn unpack(stored: Stored, raw: &[u8], blocks: &mut Vec<[u8; 32]>, scales: &mut Vec<f32>, least: &mut Vec<f32>) {
    let byte = |at: usize| raw.get(at).copied().unwrap_or_default();
    let scale = half(raw, 0);
    let high = |at: usize| u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]);
    // Sixteen bytes: the low halves are the first sixteen numbers.
    let nibble = |from: usize, i: usize| if i < 16 { byte(from + i) & 15 } else { byte(from + i - 16) >> 4 };
    let fifth = |bits: u32, i: usize| u8::from(bits >> i & 1 == 1) << 4;
    let (numbers, low): ([u8; 32], f32) = match stored {
        Stored::Q4_0 => (std::array::from_fn(|i| nibble(2, i)), -8.0 * scale),
        Stored::Q4_1 => (std::array::from_fn(|i| nibble(4, i)), half(raw, 2)),
        Stored::Q5_0 => (std::array::from_fn(|i| nibble(6, i) | fifth(high(2), i)), -16.0 * scale),
        Stored::Q5_1 => (std::array::from_fn(|i| nibble(8, i) | fifth(high(4), i)), half(raw, 2)),
        Stored::Q8_0 | Stored::Q4K => (std::array::from_fn(|i| byte(2 + i)), 0.0),
    };
    blocks.push(numbers);
    scales.push(scale);
    least.push(low);
}

/// A Q4_K block of 256: eight blocks of 32, their scales and least values of 6 bits each.
fn unpack_k(raw: &[u8], blocks: &mut Vec<[u8; 32]>, scales: &mut Vec<f32>, least: &mut Vec<f32>) {
    let byte = |at: usize| raw.get(at).copied().unwrap_or_default();
    let (scale, low) = (half(raw, 0), half(raw, 2));
    for i in 0..8 {
        let s = |at: usize| byte(4 + at);
        let (part, from) =
            if i < 4 { (s(i) & 63, s(i + 4) & 63) } else { ((s(i + 4) & 15) | (s(i - 4) >> 6) << 4, (s(i + 4) >> 4) | (s(i) >> 6) << 4) };
        let start = 16 + i / 2 * 32;
        blocks.push(std::array::from_fn(|at| if i % 2 == 0 { byte(start + at) & 15 } else { byte(start + at) >> 4 }));
        scales.push(scale * f32::from(part));
        least.push(-low * f32::from(from));
    }
}
