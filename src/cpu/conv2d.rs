//! Convolution on the CPU.

use crate::ops::conv2d::Conv2d;

/// Plain loops, one image behind the other.
pub mod reference {
    use super::Conv2d;
    use crate::cpu::{Io, Real};

    /// The input element that tap `k` of the kernel meets at output `i`, where there is one.
    fn input(i: usize, k: usize, conv: &Conv2d, length: u32) -> Option<usize> {
        (i * conv.stride as usize + k).checked_sub(conv.padding as usize).filter(|&at| at < length as usize)
    }

    /// Calls `visit(x, weight, y)` with the places of every product.
    fn products(conv: &Conv2d, n: usize, o: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let kernel = conv.kernel as usize;
        let (height, width) = (conv.in_height as usize, conv.in_width as usize);
        for i in 0..conv.out_height() {
            for j in 0..conv.out_width() {
                let y = ((n * conv.out_channels as usize + o) * conv.out_height() + i) * conv.out_width() + j;
                for c in 0..conv.in_channels as usize {
                    for k in 0..kernel {
                        let Some(row) = input(i, k, conv, conv.in_height) else { continue };
                        for l in 0..kernel {
                            let Some(column) = input(j, l, conv, conv.in_width) else { continue };
                            let x = ((n * conv.in_channels as usize + c) * height + row) * width + column;
                            let weight = ((o * conv.in_channels as usize + c) * kernel + k) * kernel + l;
                            visit(x, weight, y);
                        }
                    }
                }
            }
        }
    }

    pub fn forward<T: Real>(conv: &Conv2d, io: &mut Io<'_, T>) {
        let (x, weight, bias, y) = (io.read("x"), io.read("weight"), io.read("bias"), io.write("y"));
        let places = conv.out_height() * conv.out_width();
        for n in 0..conv.images as usize {
            for (o, &bias) in bias.iter().enumerate() {
                let first = (n * conv.out_channels as usize + o) * places;
                y[first..first + places].fill(bias);
                products(conv, n, o, |at, w, to| y[to] += x[at] * weight[w]);
            }
        }
    }

    pub fn backward_input<T: Real>(conv: &Conv2d, io: &mut Io<'_, T>) {
        let (dy, weight, dx) = (io.read("dy"), io.read("weight"), io.write("dx"));
        let mut sums = vec![T::of(0.0); dx.len()];
        for n in 0..conv.images as usize {
            for o in 0..conv.out_channels as usize {
                products(conv, n, o, |at, w, from| sums[at] += dy[from] * weight[w]);
            }
        }
        super::super::put(dx, &sums, conv.accumulate);
    }

    pub fn backward_weight<T: Real>(conv: &Conv2d, io: &mut Io<'_, T>) {
        let (x, dy, parts) = (io.read("x"), io.read("dy"), io.write("parts"));
        parts.fill(T::of(0.0));
        for n in 0..conv.images as usize {
            let part =
                &mut parts[n / conv.images_per_part as usize * conv.weight_len()..][..conv.weight_len()];
            let mut sums = vec![T::of(0.0); conv.weight_len()];
            for o in 0..conv.out_channels as usize {
                products(conv, n, o, |at, w, from| sums[w] += x[at] * dy[from]);
            }
            for (total, sum) in part.iter_mut().zip(sums) {
                *total += sum;
            }
        }
    }

    pub fn backward_bias<T: Real>(conv: &Conv2d, io: &mut Io<'_, T>) {
        let (dy, dbias) = (io.read("dy"), io.write("dbias"));
        let channels = conv.out_channels as usize;
        let places = conv.out_height() * conv.out_width();
        let mut sums = vec![T::of(0.0); channels];
        for (number, plane) in dy.chunks_exact(places).enumerate() {
            let mut sum = T::of(0.0);
            for &gradient in plane {
                sum += gradient;
            }
            sums[number % channels] += sum;
        }
        super::super::put(dbias, &sums, conv.accumulate);
    }
}

/// Groups of 16 interleaved images.
pub mod fast {
    use super::Conv2d;
    use crate::cpu::products::{Correlation, OuterProducts, Scatter, SlidingProducts};
    use crate::cpu::scratch::with_scratch;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes};
    use crate::cpu::{Io, put};
    use crate::ops::INTERLEAVE;

    /// Planes of interleaved values with room around them, so that the inner loops know no borders.
    struct Canvas {
        channels: usize,
        height: usize,
        width: usize,
    }

    impl Canvas {
        fn len(&self) -> usize {
            self.channels * self.height * self.width * INTERLEAVE
        }

        /// Where each (channel, row, column) of a kernel of side `kernel` finds its input.
        fn taps(&self, kernel: usize) -> Vec<usize> {
            let tap = |c: usize, k: usize, l: usize| ((c * self.height + k) * self.width + l) * INTERLEAVE;
            (0..self.channels)
                .flat_map(|c| (0..kernel).flat_map(move |k| (0..kernel).map(move |l| (c, k, l))))
                .map(|(c, k, l)| tap(c, k, l))
                .collect()
        }

        /// Copies planes of `height` by `width` values to row and column `at`, `step` apart; what
        /// falls outside is left out, the rest is 0.
        fn draw(
            &self,
            canvas: &mut [f32],
            planes: &[f32],
            (height, width): (usize, usize),
            at: isize,
            step: usize,
        ) {
            canvas.fill(0.0);
            for c in 0..self.channels {
                for i in 0..height {
                    let row = at + (i * step) as isize;
                    if row < 0 || row >= self.height as isize {
                        continue;
                    }
                    for j in 0..width {
                        let column = at + (j * step) as isize;
                        if column < 0 || column >= self.width as isize {
                            continue;
                        }
                        let from = ((c * height + i) * width + j) * INTERLEAVE;
                        let to =
                            ((c * self.height + row as usize) * self.width + column as usize) * INTERLEAVE;
                        canvas[to..to + INTERLEAVE].copy_from_slice(&planes[from..from + INTERLEAVE]);
                    }
                }
            }
        }
    }

    /// The input with its padding.
    fn padded(conv: &Conv2d) -> Canvas {
        Canvas {
            channels: conv.in_channels as usize,
            height: (conv.in_height + 2 * conv.padding) as usize,
            width: (conv.in_width + 2 * conv.padding) as usize,
        }
    }

    /// Calls `run` with the padded input of one group.
    fn with_padded(conv: &Conv2d, canvas: &Canvas, x: &[f32], run: impl FnOnce(&[f32])) {
        if conv.padding == 0 {
            return run(x);
        }
        with_scratch(canvas.len(), |scratch| {
            let size = (conv.in_height as usize, conv.in_width as usize);
            canvas.draw(scratch, x, size, conv.padding as isize, 1);
            run(scratch);
        });
    }

    pub fn forward(conv: &Conv2d, io: &mut Io<'_, f32>) {
        let (x, weight, bias, y) = (io.read("x"), io.read("weight"), io.read("bias"), io.write("y"));
        let canvas = padded(conv);
        let offsets = canvas.taps(conv.kernel as usize);
        let stride = conv.stride as usize;
        let (height, width) = (conv.out_height(), conv.out_width());
        let groups = y.chunks_exact_mut(conv.out_len() * INTERLEAVE);
        for (y, x) in groups.zip(x.chunks_exact(conv.in_len() * INTERLEAVE)) {
            with_padded(conv, &canvas, x, |x| {
                simd::dispatch(Correlation {
                    outputs: conv.out_channels as usize,
                    rows: height,
                    columns: width,
                    x,
                    x_row: stride * canvas.width * INTERLEAVE,
                    x_column: stride * INTERLEAVE,
                    offsets: &offsets,
                    weight,
                    weight_output: conv.filter_len(),
                    weight_tap: 1,
                    bias: Some(bias),
                    y,
                    y_output: height * width * INTERLEAVE,
                    y_row: width * INTERLEAVE,
                    y_column: INTERLEAVE,
                    accumulate: false,
                    relu: io.relu,
                });
            });
        }
    }

    pub fn backward_input(conv: &Conv2d, io: &mut Io<'_, f32>) {
        let (dy, weight, dx) = (io.read("dy"), io.read("weight"), io.write("dx"));
        if conv.padding > 0 || conv.stride > 1 || !Scatter::SIDES.contains(&conv.kernel) {
            return turned(conv, dy, weight, dx);
        }
        // Without padding, spreading each gradient out saves what a border of zeros would cost.
        if !conv.accumulate {
            dx.fill(0.0);
        }
        let groups = dx.chunks_exact_mut(conv.in_len() * INTERLEAVE);
        for (dx, dy) in groups.zip(dy.chunks_exact(conv.out_len() * INTERLEAVE)) {
            simd::dispatch(Scatter { conv, dy, weight, dx });
        }
    }

    /// The input's gradient as a convolution of the spread-out gradient with the turned kernel.
    fn turned(conv: &Conv2d, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
        let kernel = conv.kernel as usize;
        let (inputs, outputs) = (conv.in_channels as usize, conv.out_channels as usize);
        let (height, width) = (conv.in_height as usize, conv.in_width as usize);
        let canvas = Canvas { channels: outputs, height: height + kernel - 1, width: width + kernel - 1 };
        let offsets = canvas.taps(kernel);
        let mut filters = vec![0.0; weight.len()];
        let area = kernel * kernel;
        for o in 0..outputs {
            for c in 0..inputs {
                for t in 0..area {
                    filters[(c * outputs + o) * area + t] = weight[(o * inputs + c) * area + area - 1 - t];
                }
            }
        }
        let groups = dx.chunks_exact_mut(conv.in_len() * INTERLEAVE);
        for (dx, dy) in groups.zip(dy.chunks_exact(conv.out_len() * INTERLEAVE)) {
            with_scratch(canvas.len(), |scratch| {
                let first = kernel as isize - 1 - conv.padding as isize;
                let size = (conv.out_height(), conv.out_width());
                canvas.draw(scratch, dy, size, first, conv.stride as usize);
                simd::dispatch(Correlation {
                    outputs: inputs,
                    rows: height,
                    columns: width,
                    x: scratch,
                    x_row: canvas.width * INTERLEAVE,
                    x_column: INTERLEAVE,
                    offsets: &offsets,
                    weight: &filters,
                    weight_output: outputs * area,
                    weight_tap: 1,
                    bias: None,
                    y: dx,
                    y_output: height * width * INTERLEAVE,
                    y_row: width * INTERLEAVE,
                    y_column: INTERLEAVE,
                    accumulate: conv.accumulate,
                    relu: false,
                });
            });
        }
    }

    /// A part covers one group of images: `images_per_part` is 16.
    pub fn backward_weight(conv: &Conv2d, io: &mut Io<'_, f32>) {
        let (x, dy, parts) = (io.read("x"), io.read("dy"), io.write("parts"));
        assert_eq!(conv.images_per_part as usize, INTERLEAVE, "a part is a group of interleaved images");
        let canvas = padded(conv);
        let (kernel, stride) = (conv.kernel as usize, conv.stride as usize);
        let (height, width) = (conv.out_height(), conv.out_width());
        let groups =
            x.chunks_exact(conv.in_len() * INTERLEAVE).zip(dy.chunks_exact(conv.out_len() * INTERLEAVE));
        for (part, (x, dy)) in parts.chunks_exact_mut(conv.weight_len()).zip(groups) {
            part.fill(0.0);
            with_padded(conv, &canvas, x, |x| {
                for c in 0..canvas.channels {
                    for k in 0..kernel {
                        let x = &x[(c * canvas.height + k) * canvas.width * INTERLEAVE..];
                        let dweight = &mut part[(c * kernel + k) * kernel..];
                        let outputs = conv.out_channels as usize;
                        if stride == 1 && SlidingProducts::SIDES.contains(&conv.kernel) {
                            simd::dispatch(SlidingProducts {
                                outputs,
                                taps: kernel,
                                rows: height,
                                columns: width,
                                dy,
                                x,
                                x_row: canvas.width * INTERLEAVE,
                                dweight,
                                dweight_output: conv.filter_len(),
                            });
                            continue;
                        }
                        simd::dispatch(OuterProducts {
                            outputs,
                            taps: kernel,
                            rows: height,
                            columns: width,
                            dy,
                            dy_output: height * width * INTERLEAVE,
                            dy_row: width * INTERLEAVE,
                            dy_column: INTERLEAVE,
                            x,
                            x_tap: INTERLEAVE,
                            x_row: stride * canvas.width * INTERLEAVE,
                            x_column: stride * INTERLEAVE,
                            dweight,
                            dweight_output: conv.filter_len(),
                        });
                    }
                }
            });
        }
    }

    /// Adds each channel's planes lane by lane.
    struct ChannelSums<'a> {
        planes: &'a [Lanes],
        places: usize,
        sums: &'a mut [f32],
    }

    impl Kernel for ChannelSums<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for (number, plane) in self.planes.chunks_exact(self.places).enumerate() {
                // Four sums side by side: one alone would wait for itself.
                let mut total = 0.0;
                for lane in (0..INTERLEAVE).step_by(S::LANES) {
                    let mut sums = [S::splat(0.0); 4];
                    let (fours, rest) = plane.as_chunks::<4>();
                    for four in fours {
                        for (sum, values) in sums.iter_mut().zip(four) {
                            *sum = S::add(*sum, S::part(values, lane));
                        }
                    }
                    for (sum, values) in sums.iter_mut().zip(rest) {
                        *sum = S::add(*sum, S::part(values, lane));
                    }
                    total += S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
                }
                let channels = self.sums.len();
                self.sums[number % channels] += total;
            }
        }
    }

    pub fn backward_bias(conv: &Conv2d, io: &mut Io<'_, f32>) {
        let (dy, dbias) = (io.read("dy"), io.write("dbias"));
        let mut sums = vec![0.0; conv.out_channels as usize];
        let places = conv.out_height() * conv.out_width();
        simd::dispatch(ChannelSums { planes: lanes(dy), places, sums: &mut sums });
        put(dbias, &sums, conv.accumulate);
    }
}
