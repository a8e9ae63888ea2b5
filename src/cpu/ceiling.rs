//! What the processor can do at most, on all threads: for comparison, not for training.

use std::hint::black_box;
use std::time::Instant;

use super::simd::{Kernel, Simd, dispatch};

/// Sums under way at once: two multiply-adds start in each cycle and take four or five.
const SUMS: usize = 12;

/// Turns of the loop: some tens of milliseconds.
const TURNS: u64 = 1 << 22;

/// Elements of each side of the copy: 128 MiB, more than a share of any cache.
const COPIED: usize = 32 << 20;

/// Samples both limits.
pub struct Sampler {
    threads: usize,
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Sampler {
    pub fn new(threads: usize) -> Self {
        // Ones rather than zeros: untouched pages of zeros would all be the same piece of memory.
        Sampler { threads, from: vec![1.0; COPIED], to: vec![2.0; COPIED] }
    }

    /// Billions of operations a second of multiply-adds on registers.
    pub fn gflops(&mut self) -> f64 {
        let start = Instant::now();
        let flops: u64 = std::thread::scope(|scope| {
            let work = || {
                let mut flops = 0;
                dispatch(MultiplyAdds { flops: &mut flops });
                flops
            };
            let helpers: Vec<_> = (1..self.threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            // A thread that failed has done nothing.
            own + helpers.into_iter().map(|helper| helper.join().unwrap_or(0)).sum::<u64>()
        });
        flops as f64 / start.elapsed().as_secs_f64() / 1e9
    }

    /// Billions of bytes a second, read and written, of a copy.
    pub fn gb_s(&mut self) -> f64 {
        let share = COPIED.div_ceil(self.threads);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (to, from) in self.to.chunks_mut(share).zip(self.from.chunks(share)) {
                scope.spawn(|| to.copy_from_slice(black_box(from)));
            }
        });
        black_box(&self.to);
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
