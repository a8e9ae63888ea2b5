//! SIMD chosen at run time: kernels are written once over [`Simd`] and compiled for AVX-512, AVX2
//! and a portable width.

use std::sync::OnceLock;

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
    /// `a * b + c`
    fn multiply_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Sum of the lanes.
    fn sum(value: Self::V) -> f32;
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
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
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
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Kernel, Simd};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,fma")]
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
    }
}
