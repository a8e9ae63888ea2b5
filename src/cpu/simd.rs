//! SIMD chosen at run time: kernels are written once over [`Simd`] and compiled for AVX-512, AVX2
//! and a portable width.

use std::sync::OnceLock;

use crate::ops::INTERLEAVE;

/// One value of each of 16 interleaved images.
pub type Lanes = [f32; INTERLEAVE];

/// Interleaved values, one [`Lanes`] each.
pub fn lanes(values: &[f32]) -> &[Lanes] {
    values.as_chunks().0
}

pub fn lanes_mut(values: &mut [f32]) -> &mut [Lanes] {
    values.as_chunks_mut().0
}

/// Vectors of f32 in the registers of one instruction set.
///
/// The functions are only called from within [`dispatch`], which has checked that the processor
/// knows them.
pub trait Simd {
    type V: Copy;
    /// Values in a vector; divides 16.
    const LANES: usize;
    /// Whether there are 32 registers rather than 16.
    const MANY_REGISTERS: bool;

    /// # Safety
    /// `at` is readable for `LANES` values.
    unsafe fn load(at: *const f32) -> Self::V;
    /// # Safety
    /// `at` is writable for `LANES` values.
    unsafe fn store(at: *mut f32, value: Self::V);
    fn splat(value: f32) -> Self::V;
    /// `LANES` values from `lane` on.
    #[inline(always)]
    fn part(values: &Lanes, lane: usize) -> Self::V {
        assert!(lane + Self::LANES <= INTERLEAVE);
        // SAFETY: within the array, as just checked.
        unsafe { Self::load(values.as_ptr().add(lane)) }
    }
    /// Overwrites `LANES` values from `lane` on.
    #[inline(always)]
    fn set_part(values: &mut Lanes, lane: usize, value: Self::V) {
        assert!(lane + Self::LANES <= INTERLEAVE);
        // SAFETY: within the array, as just checked.
        unsafe { Self::store(values.as_mut_ptr().add(lane), value) }
    }
    /// `a * b + c`
    fn multiply_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Sum of the lanes.
    fn sum(value: Self::V) -> f32;
    fn add(a: Self::V, b: Self::V) -> Self::V;
    fn divide(a: Self::V, b: Self::V) -> Self::V;
    /// 0 where `value <= 0`, else `value`; NaN stays NaN.
    fn rectify(value: Self::V) -> Self::V;
    /// `value` where `gate > 0`, else 0.
    fn gated(gate: Self::V, value: Self::V) -> Self::V;
    /// `value` where it is larger than `best` or NaN, else `best`.
    fn larger(best: Self::V, value: Self::V) -> Self::V;
    /// `rest` where `value` is `best`, bit by bit, else 0; and what is left of `rest`.
    fn claim(value: Self::V, best: Self::V, rest: Self::V) -> (Self::V, Self::V);

    /// `to[i * stride + j] = from[j][i]` for all 16 by 16 values.
    ///
    /// # Safety
    /// `to` is writable wherever the formula points.
    #[inline(always)]
    unsafe fn transpose(from: &[Lanes; INTERLEAVE], to: *mut f32, stride: usize) {
        for i in 0..INTERLEAVE {
            for (j, row) in from.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { *to.add(i * stride + j) = row[i] }
            }
        }
    }
}

/// Work that runs with vectors of whichever kind.
pub trait Kernel {
    fn run<S: Simd>(self);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    Avx512,
    Avx2,
    Portable,
}

/// What this processor has, read once. `GPU_SIAMESE_SIMD=avx2|portable` asks for less.
pub fn instruction_set() -> InstructionSet {
    static SET: OnceLock<InstructionSet> = OnceLock::new();
    *SET.get_or_init(|| {
        let wish = std::env::var("GPU_SIAMESE_SIMD").unwrap_or_default();
        best()
            .into_iter()
            .find(|set| wish.is_empty() || wish == set.name())
            .unwrap_or(InstructionSet::Portable)
    })
}

impl InstructionSet {
    pub fn name(self) -> &'static str {
        match self {
            InstructionSet::Avx512 => "avx512",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Portable => "portable",
        }
    }
}

/// The sets this processor knows, best first.
fn best() -> Vec<InstructionSet> {
    let mut sets = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        if avx512 && is_x86_feature_detected!("fma") {
            sets.push(InstructionSet::Avx512);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.push(InstructionSet::Avx2);
        }
    }
    sets.push(InstructionSet::Portable);
    sets
}

/// Runs a kernel with the best vectors that this processor has.
pub fn dispatch<K: Kernel>(kernel: K) {
    match instruction_set() {
        // SAFETY: the processor has these instructions; `instruction_set` checked.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { x86::avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { x86::avx2(kernel) },
        _ => kernel.run::<Portable>(),
    }
}

/// Plain arrays, for the compiler to vectorise as it can.
pub struct Portable;

impl Simd for Portable {
    type V = [f32; 8];
    const LANES: usize = 8;
    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    unsafe fn load(at: *const f32) -> [f32; 8] {
        // SAFETY: the caller's promise; arrays of f32 have the alignment of f32.
        unsafe { *at.cast() }
    }

    #[inline(always)]
    unsafe fn store(at: *mut f32, value: [f32; 8]) {
        // SAFETY: the caller's promise.
        unsafe { *at.cast() = value }
    }

    #[inline(always)]
    fn splat(value: f32) -> [f32; 8] {
        [value; 8]
    }

    #[inline(always)]
    fn multiply_add(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        // Not `mul_add`, which is a library call where the processor has no such instruction.
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn sum(value: [f32; 8]) -> f32 {
        let [a, b, c, d, e, f, g, h] = value;
        ((a + b) + (c + d)) + ((e + f) + (g + h))
    }

    #[inline(always)]
    fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn divide(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] / b[lane])
    }

    #[inline(always)]
    fn rectify(value: [f32; 8]) -> [f32; 8] {
        value.map(|value| if value <= 0.0 { 0.0 } else { value })
    }

    #[inline(always)]
    fn gated(gate: [f32; 8], value: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| if gate[lane] > 0.0 { value[lane] } else { 0.0 })
    }

    #[inline(always)]
    fn larger(best: [f32; 8], value: [f32; 8]) -> [f32; 8] {
        let larger = |lane: usize| value[lane] > best[lane] || value[lane].is_nan();
        std::array::from_fn(|lane| if larger(lane) { value[lane] } else { best[lane] })
    }

    #[inline(always)]
    fn claim(value: [f32; 8], best: [f32; 8], rest: [f32; 8]) -> ([f32; 8], [f32; 8]) {
        let wins: [bool; 8] = std::array::from_fn(|lane| value[lane].to_bits() == best[lane].to_bits());
        (
            std::array::from_fn(|lane| if wins[lane] { rest[lane] } else { 0.0 }),
            std::array::from_fn(|lane| if wins[lane] { 0.0 } else { rest[lane] }),
        )
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Kernel, Lanes, Simd};
    use crate::ops::INTERLEAVE;
    use std::arch::x86_64::*;

    // Without `avx512vl` the compiler would keep half of the registers from vectors that it also halves.
    #[target_feature(enable = "avx512f,avx512vl,fma")]
    pub unsafe fn avx512<K: Kernel>(kernel: K) {
        kernel.run::<Avx512>();
    }

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2<K: Kernel>(kernel: K) {
        kernel.run::<Avx2>();
    }

    struct Avx512;

    // SAFETY of every block below: only reached through `avx512`, and pointers as the trait demands.
    impl Simd for Avx512 {
        type V = __m512;
        const LANES: usize = 16;
        const MANY_REGISTERS: bool = true;

        #[inline(always)]
        unsafe fn load(at: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(at) }
        }

        #[inline(always)]
        unsafe fn store(at: *mut f32, value: __m512) {
            unsafe { _mm512_storeu_ps(at, value) }
        }

        #[inline(always)]
        fn splat(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        fn sum(value: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(value) }
        }

        #[inline(always)]
        fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        fn divide(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_div_ps(a, b) }
        }

        #[inline(always)]
        fn rectify(value: __m512) -> __m512 {
            // Where either operand is NaN the instruction gives the second.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), value) }
        }

        #[inline(always)]
        fn gated(gate: __m512, value: __m512) -> __m512 {
            unsafe {
                let open = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps());
                _mm512_maskz_mov_ps(open, value)
            }
        }

        #[inline(always)]
        fn larger(best: __m512, value: __m512) -> __m512 {
            // Where either operand is NaN, or both are 0, the maximum is the second.
            unsafe {
                let unknown = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
                _mm512_mask_mov_ps(_mm512_max_ps(value, best), unknown, value)
            }
        }

        #[inline(always)]
        fn claim(value: __m512, best: __m512, rest: __m512) -> (__m512, __m512) {
            unsafe {
                let wins = _mm512_cmpeq_epi32_mask(_mm512_castps_si512(value), _mm512_castps_si512(best));
                (_mm512_maskz_mov_ps(wins, rest), _mm512_maskz_mov_ps(!wins, rest))
            }
        }

        #[inline(always)]
        unsafe fn transpose(from: &[Lanes; INTERLEAVE], to: *mut f32, stride: usize) {
            // Quarters of rows change places: first singles, then pairs, then whole quarters.
            unsafe {
                let row = |j: usize| _mm512_loadu_ps(from[j].as_ptr());
                let singles: [__m512; 16] = std::array::from_fn(|j| {
                    let (a, b) = (row(j & !1), row(j | 1));
                    if j & 1 == 0 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
                });
                let pairs: [__m512; 16] = std::array::from_fn(|j| {
                    let base = j & !3;
                    let half = (j >> 1) & 1;
                    let (a, b) = (singles[base + half], singles[base + half + 2]);
                    let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
                    _mm512_castpd_ps(if j & 1 == 0 {
                        _mm512_unpacklo_pd(a, b)
                    } else {
                        _mm512_unpackhi_pd(a, b)
                    })
                });
                // pairs[4 b + r], quarter q: column 4 q + r of rows 4 b to 4 b + 3.
                for r in 0..4 {
                    let [a, b, c, d] = [pairs[r], pairs[4 + r], pairs[8 + r], pairs[12 + r]];
                    let (even_ab, odd_ab) =
                        (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                    let (even_cd, odd_cd) =
                        (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
                    let columns = [
                        _mm512_shuffle_f32x4::<0x88>(even_ab, even_cd),
                        _mm512_shuffle_f32x4::<0x88>(odd_ab, odd_cd),
                        _mm512_shuffle_f32x4::<0xdd>(even_ab, even_cd),
                        _mm512_shuffle_f32x4::<0xdd>(odd_ab, odd_cd),
                    ];
                    for (q, column) in columns.into_iter().enumerate() {
                        _mm512_storeu_ps(to.add((4 * q + r) * stride), column);
                    }
                }
            }
        }
    }

    struct Avx2;

    // SAFETY of every block below: only reached through `avx2`, and pointers as the trait demands.
    impl Simd for Avx2 {
        type V = __m256;
        const LANES: usize = 8;
        const MANY_REGISTERS: bool = false;

        #[inline(always)]
        unsafe fn load(at: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(at) }
        }

        #[inline(always)]
        unsafe fn store(at: *mut f32, value: __m256) {
            unsafe { _mm256_storeu_ps(at, value) }
        }

        #[inline(always)]
        fn splat(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        fn sum(value: __m256) -> f32 {
            unsafe {
                let half = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
                let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
                _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)))
            }
        }

        #[inline(always)]
        fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }

        #[inline(always)]
        fn divide(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_div_ps(a, b) }
        }

        #[inline(always)]
        fn rectify(value: __m256) -> __m256 {
            // Where either operand is NaN the instruction gives the second.
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), value) }
        }

        #[inline(always)]
        fn gated(gate: __m256, value: __m256) -> __m256 {
            unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps()), value) }
        }

        #[inline(always)]
        fn larger(best: __m256, value: __m256) -> __m256 {
            // Where either operand is NaN, or both are 0, the maximum is the second.
            unsafe {
                let unknown = _mm256_cmp_ps::<_CMP_UNORD_Q>(value, value);
                _mm256_blendv_ps(_mm256_max_ps(value, best), value, unknown)
            }
        }

        #[inline(always)]
        fn claim(value: __m256, best: __m256, rest: __m256) -> (__m256, __m256) {
            unsafe {
                let wins = _mm256_cmpeq_epi32(_mm256_castps_si256(value), _mm256_castps_si256(best));
                let wins = _mm256_castsi256_ps(wins);
                (_mm256_and_ps(wins, rest), _mm256_andnot_ps(wins, rest))
            }
        }
    }
}
