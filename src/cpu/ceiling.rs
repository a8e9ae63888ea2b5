//! What the processor can do at most, on all threads: for comparison, not for training.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::simd::{Kernel, Simd, dispatch};

/// Sums under way at once: two multiply-adds start in each cycle and take four or five.
const SUMS: usize = 12;

/// Turns of the loop: some tens of milliseconds.
const TURNS: u64 = 1 << 22;

/// Elements of each side of the copy: 128 MiB, more than a share of any cache.
const COPIED: usize = 32 << 20;

/// Samples both limits.
pub struct Sampler {
    pool: rayon::ThreadPool,
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Sampler {
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        // Ones rather than zeros: untouched pages of zeros would all be the same piece of memory.
        let (from, to) = (vec![1.0; COPIED], vec![2.0; COPIED]);
        Ok(Sampler { pool: pool.map_err(std::io::Error::other)?, from, to })
    }

    /// Billions of operations a second of multiply-adds on registers.
    pub fn gflops(&mut self) -> f64 {
        let start = Instant::now();
        let flops = self.pool.broadcast(|_| {
            let mut flops = 0;
            dispatch(MultiplyAdds { flops: &mut flops });
            flops
        });
        flops.into_iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64() / 1e9
    }

    /// Billions of bytes a second, read and written, of a copy.
    pub fn gb_s(&mut self) -> f64 {
        let Sampler { pool, from, to } = self;
        let share = COPIED.div_ceil(pool.current_num_threads());
        let start = Instant::now();
        pool.install(|| {
            let shares = to.par_chunks_mut(share).zip(from.par_chunks(share));
            shares.for_each(|(to, from)| to.copy_from_slice(black_box(from)));
        });
        black_box(to);
        (8 * COPIED) as f64 / start.elapsed().as_secs_f64() / 1e9
    }
}

struct MultiplyAdds<'a> {
    flops: &'a mut u64,
}

impl Kernel for MultiplyAdds<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        // What the compiler cannot see it cannot compute beforehand.
        let start: [f32; 16] = black_box(std::array::from_fn(|lane| lane as f32));
        let factor = S::splat(black_box(0.999));
        let term = S::splat(black_box(0.001));
        let mut sums = [S::part(&start, 0); SUMS];
        for (number, sum) in sums.iter_mut().enumerate() {
            *sum = S::add(*sum, S::splat(black_box(number as f32)));
        }
        for _ in 0..TURNS {
            for sum in &mut sums {
                *sum = S::multiply_add(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(S::sum(sum));
        }
        *self.flops = 2 * TURNS * (SUMS * S::LANES) as u64;
    }
}
