//! Convolution across channels on the CPU.

use std::ops::Range;

use super::sharing::Sharing;
use crate::ops::channel_conv::ChannelConv;

impl ChannelConv {
    pub(super) fn sharing(&self, entry: &str) -> Sharing {
        if entry == "backward_weight" { Sharing::SUMS } else { Sharing::GROUPS }
    }

    /// Channels `c` at which tap `t` meets one, and what leads from them to that one.
    fn met(&self, t: usize) -> (Range<usize>, isize) {
        let (channels, shift) = (self.channels as isize, t as isize - self.kernel as isize / 2);
        let first = (-shift).clamp(0, channels);
        (first as usize..(channels - shift).clamp(first, channels) as usize, shift)
    }
}

/// Plain loops.
pub mod reference {
    use super::ChannelConv;
    use crate::cpu::{Io, Real, put};

    /// Calls `visit(t, c, from)` with every product of an image: output `c` sees input `from` by tap `t`.
    fn products(conv: &ChannelConv, mut visit: impl FnMut(usize, usize, usize)) {
        for t in 0..conv.kernel as usize {
            let (range, shift) = conv.met(t);
            range.for_each(|c| visit(t, c, c.wrapping_add_signed(shift)));
        }
    }

    pub fn forward<T: Real>(conv: &ChannelConv, io: &mut Io<'_, T>) {
        let (x, weight, y) = (io.read("x"), io.read("weight"), io.write("y"));
        let channels = conv.channels as usize;
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            y.fill(T::of(0.0));
            products(conv, |t, c, from| y[c] += weight[t] * x[from]);
        }
    }

    pub fn backward_input<T: Real>(conv: &ChannelConv, io: &mut Io<'_, T>) {
        let (dy, weight, dx) = (io.read("dy"), io.read("weight"), io.write("dx"));
        let channels = conv.channels as usize;
        for (dy, dx) in dy.chunks_exact(channels).zip(dx.chunks_exact_mut(channels)) {
            let mut sums = vec![T::of(0.0); channels];
            products(conv, |t, c, from| sums[from] += weight[t] * dy[c]);
            put(dx, &sums, conv.accumulate);
        }
    }

    pub fn backward_weight<T: Real>(conv: &ChannelConv, io: &mut Io<'_, T>) {
        let (x, dy, dweight) = (io.read("x"), io.read("dy"), io.write("dweight"));
        let channels = conv.channels as usize;
        let mut sums = vec![T::of(0.0); dweight.len()];
        for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
            products(conv, |t, c, from| sums[t] += x[from] * dy[c]);
        }
        put(dweight, &sums, conv.accumulate);
    }
}

/// 16 interleaved images at a time. A network has few such channels: plain loops over lanes will do.
pub mod fast {
    use super::ChannelConv;
    use crate::cpu::simd::{Lanes, lanes, lanes_mut};
    use crate::cpu::{Io, put};
    use crate::ops::INTERLEAVE;

    /// `to[c] += weight[t] from[c + direction (t - h)]`
    fn add(conv: &ChannelConv, weight: &[f32], from: &[Lanes], to: &mut [Lanes], direction: isize) {
        for (t, &weight) in weight.iter().enumerate() {
            let mirrored = if direction > 0 { t } else { conv.kernel as usize - 1 - t };
            let (range, shift) = conv.met(mirrored);
            for c in range {
                let from = &from[c.wrapping_add_signed(shift)];
                for (to, from) in to[c].iter_mut().zip(from) {
                    *to += weight * from;
                }
            }
        }
    }

    pub fn forward(conv: &ChannelConv, io: &mut Io<'_, f32>) {
        let (x, weight, y) = (lanes(io.read("x")), io.read("weight"), lanes_mut(io.write("y")));
        let channels = conv.channels as usize;
        y.fill([0.0; INTERLEAVE]);
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            add(conv, weight, x, y, 1);
        }
    }

    pub fn backward_input(conv: &ChannelConv, io: &mut Io<'_, f32>) {
        let (dy, weight, dx) = (lanes(io.read("dy")), io.read("weight"), lanes_mut(io.write("dx")));
        let channels = conv.channels as usize;
        if !conv.accumulate {
            dx.fill([0.0; INTERLEAVE]);
        }
        for (dy, dx) in dy.chunks_exact(channels).zip(dx.chunks_exact_mut(channels)) {
            add(conv, weight, dy, dx, -1);
        }
    }

    pub fn backward_weight(conv: &ChannelConv, io: &mut Io<'_, f32>) {
        let (x, dy, dweight) = (lanes(io.read("x")), lanes(io.read("dy")), io.write("dweight"));
        let channels = conv.channels as usize;
        let mut sums = vec![0.0; dweight.len()];
        for (t, sum) in sums.iter_mut().enumerate() {
            let (range, shift) = conv.met(t);
            let mut products = [0.0; INTERLEAVE];
            for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
                for c in range.clone() {
                    let pairs = x[c.wrapping_add_signed(shift)].iter().zip(&dy[c]);
                    for (sum, (x, dy)) in products.iter_mut().zip(pairs) {
                        *sum += x * dy;
                    }
                }
            }
            *sum = products.iter().sum();
        }
        put(dweight, &sums, conv.accumulate);
    }
}
