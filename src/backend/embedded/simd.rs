//! Plain loops over floats, compiled also for processors with AVX2 and FMA, and spread over threads.
//!
//! Owns: the choice of code at run time (safe, through `pulp`), and the sharing out of rows. Refuses: weights (`packed`).
//! Invariant: the result of a loop does not depend on how many threads share it; without AVX2 the same loops run as the compiler
//! makes them for the target.

use std::sync::OnceLock;

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
pub use pulp::x86::V3;

/// The wider instructions of this processor, where it has them.
#[cfg(target_arch = "x86_64")]
pub fn wide() -> Option<V3> {
    static WIDE: OnceLock<Option<V3>> = OnceLock::new();
    *WIDE.get_or_init(V3::try_new)
}

/// Work that is compiled once for the plain and once for the wider instructions. It must hold no closures: those would be
/// compiled for the plain ones. `FUSED`: multiply-add is one instruction.
pub trait Work {
    type Output;
    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Does work with the best instructions there are.
#[inline]
pub fn best<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = wide() {
        struct Wide<W>(W);
        impl<W: Work> pulp::NullaryFnOnce for Wide<W> {
            type Output = W::Output;
            #[inline(always)]
            fn call(self) -> W::Output {
                self.0.run::<true>()
            }
        }
        return simd.vectorize(Wide(work));
    }
    // Other targets have it in their base instructions or not at all.
    work.run::<{ cfg!(target_arch = "aarch64") }>()
}

#[inline(always)]
pub fn mul_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Sum of products, in eight or thirty-two lanes.
#[inline(always)]
pub fn dot<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [[0.0f32; 8]; 4];
    let (a32, b32) = (a.chunks_exact(32), b.chunks_exact(32));
    let (a_rest, b_rest) = (a32.remainder(), b32.remainder());
    for (x, y) in a32.zip(b32) {
        for ((lane, x), y) in lanes.iter_mut().zip(x.chunks_exact(8)).zip(y.chunks_exact(8)) {
            for ((l, x), y) in lane.iter_mut().zip(x).zip(y) {
                *l = mul_add::<FUSED>(*x, *y, *l);
            }
        }
    }
    let [mut sum, second, third, fourth] = lanes;
    for (((s, b), c), d) in sum.iter_mut().zip(second).zip(third).zip(fourth) {
        *s += b + c + d;
    }
    let (a8, b8) = (a_rest.chunks_exact(8), b_rest.chunks_exact(8));
    let mut tail = 0.0;
    for (x, y) in a8.remainder().iter().zip(b8.remainder()) {
        tail += x * y;
    }
    for (x, y) in a8.zip(b8) {
        for ((l, x), y) in sum.iter_mut().zip(x).zip(y) {
            *l = mul_add::<FUSED>(*x, *y, *l);
        }
    }
    for lane in sum {
        tail += lane;
    }
    tail
}

/// `to += factor * what`.
#[inline(always)]
pub fn add_scaled<const FUSED: bool>(to: &mut [f32], factor: f32, what: &[f32]) {
    for (t, w) in to.iter_mut().zip(what) {
        *t = mul_add::<FUSED>(factor, *w, *t);
    }
}

/// e^x to within two units in the last place, in code that the compiler can do eight at a time (after Cephes' `expf`).
#[inline(always)]
pub fn exp<const FUSED: bool>(x: f32) -> f32 {
    let x = x.clamp(-87.3, 88.0);
    // Adding 1.5 · 2^23 rounds to a whole number and leaves it in the lowest bits.
    let rounded = mul_add::<FUSED>(x, std::f32::consts::LOG2_E, 12_582_912.0);
    let n = rounded - 12_582_912.0;
    let r = mul_add::<FUSED>(n, -0.693_359_4, x);
    let r = mul_add::<FUSED>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = mul_add::<FUSED>(p, r, c);
    }
    let p = mul_add::<FUSED>(p, r * r, r + 1.0);
    let scale = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    p * scale
}

/// e^x for each, less `most`; gives the sum.
#[inline(always)]
pub fn exp_all<const FUSED: bool>(all: &mut [f32], most: f32) -> f32 {
    for x in all.iter_mut() {
        *x = exp::<FUSED>(*x - most);
    }
    let mut lanes = [0.0f32; 8];
    let chunks = all.chunks_exact(8);
    let mut sum = 0.0;
    for x in chunks.remainder() {
        sum += x;
    }
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    for lane in lanes {
        sum += lane;
    }
    sum
}

/// How many threads work on this answer, this one included.
pub fn threads() -> usize {
    if rayon::current_thread_index().is_some() { rayon::current_num_threads() } else { 1 }
}

/// Lets the threads of this pool work on pieces of `out`: `work` gets the number of each piece and the piece, `length` long but for
/// the last. Outside a pool this thread does it all. A thread that comes late finds nothing left to do, and nobody waits for it.
pub fn share(out: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let length = length.max(1);
    if threads() == 1 || out.len() <= length {
        out.chunks_mut(length).enumerate().for_each(|(at, piece)| work(at, piece));
    } else {
        out.par_chunks_mut(length).enumerate().for_each(|(at, piece)| work(at, piece));
    }
}
