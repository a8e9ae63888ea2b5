//! Convolution on the CPU.

use super::sharing::{Relu, Sharing};
use crate::ops::conv2d::Conv2d;

impl Conv2d {
    pub(super) fn sharing(&self, entry: &str) -> Sharing {
        match entry {
            "forward" => Sharing::GROUPS.relu(Relu::Joins),
            "backward_bias" => Sharing::SUMS,
            _ => Sharing::GROUPS,
        }
    }
}

/// Plain loops, one image behind the other.
pub mod reference {
    use super::Conv2d;
    use crate::cpu::{Io, Real};

    /// The input element that tap `k` of the kernel meets at output `i`, where there is one.
    fn input((i, k): (usize, usize), stride: u32, padding: u32, length: u32) -> Option<usize> {
        (i * stride as usize + k).checked_sub(padding as usize).filter(|&at| at < length as usize)
    }

    /// Calls `visit(x, weight, y)` with the places of every product.
    fn products(conv: &Conv2d, n: usize, o: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let Conv2d { in_height, in_width, stride, padding_height, padding_width, .. } = *conv;
        let (height, width) = (in_height as usize, in_width as usize);
        let (kernel_height, kernel_width) = (conv.kernel_height as usize, conv.kernel_width as usize);
        let first = o / conv.group_outputs() * conv.group_inputs();
        for i in 0..conv.out_height() {
            for j in 0..conv.out_width() {
                let y = ((n * conv.out_channels as usize + o) * conv.out_height() + i) * conv.out_width() + j;
                for c in 0..conv.group_inputs() {
                    for k in 0..kernel_height {
                        let Some(row) = input((i, k), stride, padding_height, in_height) else { continue };
                        for l in 0..kernel_width {
                            let Some(column) = input((j, l), stride, padding_width, in_width) else {
                                continue;
                            };
                            let plane = n * conv.in_channels as usize + first + c;
                            let filter = o * conv.group_inputs() + c;
                            let x = (plane * height + row) * width + column;
                            visit(x, (filter * kernel_height + k) * kernel_width + l, y);
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
            for o in 0..conv.out_channels as usize {
                let bias = if conv.biased { bias[o] } else { T::of(0.0) };
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
    use crate::cpu::products::{Correlation, OuterProducts, Scatter, SlidingProducts, Tap};
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

        fn place(&self, c: usize, row: usize, column: usize) -> usize {
            ((c * self.height + row) * self.width + column) * INTERLEAVE
        }

        /// Copies planes of `height` by `width` values to row `top` and column `left`; the rest is 0.
        fn draw(
            &self,
            canvas: &mut [f32],
            planes: &[f32],
            (height, width): (usize, usize),
            (top, left): (usize, usize),
        ) {
            let inside = left * INTERLEAVE..(left + width) * INTERLEAVE;
            let mut rows = planes.chunks_exact(width * INTERLEAVE);
            for (number, line) in canvas.chunks_exact_mut(self.width * INTERLEAVE).enumerate() {
                let row = (top..top + height).contains(&(number % self.height)).then(|| rows.next());
                let Some(row) = row.flatten() else {
                    line.fill(0.0);
                    continue;
                };
                line[..inside.start].fill(0.0);
                line[inside.clone()].copy_from_slice(row);
                line[inside.end..].fill(0.0);
            }
        }

        /// Calls `run` with the planes of one group on the canvas.
        fn with(&self, planes: &[f32], size: (usize, usize), at: (usize, usize), run: impl FnOnce(&[f32])) {
            if (self.height, self.width) == size {
                return run(planes);
            }
            with_scratch(self.len(), |canvas| {
                self.draw(canvas, planes, size, at);
                run(canvas);
            });
        }
    }

    /// The input with its padding.
    fn padded(conv: &Conv2d) -> Canvas {
        Canvas {
            channels: conv.in_channels as usize,
            height: (conv.in_height + 2 * conv.padding_height) as usize,
            width: (conv.in_width + 2 * conv.padding_width) as usize,
        }
    }

    /// Calls `run` with the padded input of one group.
    fn with_padded(conv: &Conv2d, canvas: &Canvas, x: &[f32], run: impl FnOnce(&[f32])) {
        let at = (conv.padding_height as usize, conv.padding_width as usize);
        canvas.with(x, (conv.in_height as usize, conv.in_width as usize), at, run);
    }

    pub fn forward(conv: &Conv2d, io: &mut Io<'_, f32>) {
        let (x, weight, bias, y) = (io.read("x"), io.read("weight"), io.read("bias"), io.write("y"));
        let canvas = padded(conv);
        let (area, width) = (conv.kernel_area(), conv.kernel_width as usize);
        let tap = |t: usize| (canvas.place(t / area, t % area / width, t % width), t);
        let taps: Vec<Tap> = (0..conv.filter_len()).map(tap).collect();
        let stride = conv.stride as usize;
        let (height, width) = (conv.out_height(), conv.out_width());
        let groups = y.chunks_exact_mut(conv.out_len() * INTERLEAVE);
        for (y, x) in groups.zip(x.chunks_exact(conv.in_len() * INTERLEAVE)) {
            with_padded(conv, &canvas, x, |x| {
                let plane = height * width * INTERLEAVE;
                for (group, y) in y.chunks_exact_mut(conv.group_outputs() * plane).enumerate() {
                    let (inputs, outputs) = (group * conv.group_inputs(), group * conv.group_outputs());
                    simd::dispatch(Correlation {
                        outputs: conv.group_outputs(),
                        rows: height,
                        columns: width,
                        x: &x[canvas.place(inputs, 0, 0)..],
                        x_row: stride * canvas.width * INTERLEAVE,
                        x_column: stride * INTERLEAVE,
                        taps: &taps,
                        weight: &weight[outputs * conv.filter_len()..],
                        weight_output: conv.filter_len(),
                        bias: conv.biased.then(|| &bias[outputs..]),
                        y,
                        y_output: plane,
                        y_row: width * INTERLEAVE,
                        y_column: INTERLEAVE,
                        accumulate: false,
                        relu: io.relu,
                    });
                }
            });
        }
    }

    pub fn backward_input(conv: &Conv2d, io: &mut Io<'_, f32>) {
        let (dy, weight, dx) = (io.read("dy"), io.read("weight"), io.write("dx"));
        if !Scatter::knows(conv) {
            return gathered(conv, dy, weight, dx);
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

    /// The input's gradient, each input gathering what it touched. Inputs a stride apart met the same taps of
    /// the kernel: each such phase is a correlation of the output's gradient with those.
    fn gathered(conv: &Conv2d, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
        let stride = conv.stride as usize;
        let (inputs, outputs) = (conv.group_inputs(), conv.group_outputs());
        let (height, width) = (conv.in_height as usize, conv.in_width as usize);
        let size = (conv.out_height(), conv.out_width());
        let [rows, columns] = [
            Side::new(conv.kernel_height, conv.padding_height, stride),
            Side::new(conv.kernel_width, conv.padding_width, stride),
        ];
        let canvas = Canvas {
            channels: conv.out_channels as usize,
            height: rows.room(height, size.0),
            width: columns.room(width, size.1),
        };
        let at = (rows.before, columns.before);
        let phases = (0..stride.min(height)).flat_map(|i| (0..stride.min(width)).map(move |j| (i, j)));
        let phases: Vec<((usize, usize), Vec<Tap>)> = phases
            .map(|(i, j)| {
                let mut taps = Vec::new();
                for o in 0..outputs {
                    for (k, row) in rows.taps(i) {
                        let weight = (o * inputs * rows.kernel + k) * columns.kernel;
                        taps.extend(columns.taps(j).map(|(l, c)| (canvas.place(o, row, c), weight + l)));
                    }
                }
                ((i, j), taps)
            })
            .collect();
        let groups = dx.chunks_exact_mut(conv.in_len() * INTERLEAVE);
        for (dx, dy) in groups.zip(dy.chunks_exact(conv.out_len() * INTERLEAVE)) {
            canvas.with(dy, size, at, |dy| {
                let plane = height * width * INTERLEAVE;
                for (group, dx) in dx.chunks_exact_mut(inputs * plane).enumerate() {
                    for &((i, j), ref taps) in &phases {
                        simd::dispatch(Correlation {
                            outputs: inputs,
                            rows: (height - i).div_ceil(stride),
                            columns: (width - j).div_ceil(stride),
                            x: &dy[canvas.place(group * outputs, 0, 0)..],
                            x_row: canvas.width * INTERLEAVE,
                            x_column: INTERLEAVE,
                            taps,
                            weight: &weight[group * outputs * conv.filter_len()..],
                            weight_output: conv.kernel_area(),
                            bias: None,
                            y: &mut dx[(i * width + j) * INTERLEAVE..],
                            y_output: plane,
                            y_row: stride * width * INTERLEAVE,
                            y_column: stride * INTERLEAVE,
                            accumulate: conv.accumulate,
                            relu: false,
                        });
                    }
                }
            });
        }
    }

    /// One side of a kernel, as the input's gradient meets it.
    struct Side {
        kernel: usize,
        padding: usize,
        stride: usize,
        /// Room for the outputs that are not there, before the first one.
        before: usize,
    }

    impl Side {
        fn new(kernel: u32, padding: u32, stride: usize) -> Self {
            let (kernel, padding) = (kernel as usize, padding as usize);
            Side { kernel, padding, stride, before: (kernel - 1).saturating_sub(padding).div_ceil(stride) }
        }

        /// The same, with the outputs and those behind the last one.
        fn room(&self, inputs: usize, outputs: usize) -> usize {
            self.before + outputs.max((inputs - 1 + self.padding) / self.stride + 1)
        }

        /// Taps that input `phase` meets, each with the place of its output.
        fn taps(&self, phase: usize) -> impl Iterator<Item = (usize, usize)> {
            let Side { kernel, padding, stride, before } = *self;
            let taps = ((phase + padding) % stride..kernel).step_by(stride);
            taps.map(move |k| (k, before + (phase + padding + stride * kernel - k) / stride - kernel))
        }
    }

    /// A part covers one group of images: `images_per_part` is 16.
    pub fn backward_weight(conv: &Conv2d, io: &mut Io<'_, f32>) {
        let (x, dy, parts) = (io.read("x"), io.read("dy"), io.write("parts"));
        assert_eq!(conv.images_per_part as usize, INTERLEAVE, "a part is a group of interleaved images");
        let canvas = padded(conv);
        let (area, stride) = (conv.kernel_area(), conv.stride as usize);
        let (height, width) = (conv.out_height(), conv.out_width());
        let groups =
            x.chunks_exact(conv.in_len() * INTERLEAVE).zip(dy.chunks_exact(conv.out_len() * INTERLEAVE));
        for (part, (x, dy)) in parts.chunks_exact_mut(conv.weight_len()).zip(groups) {
            part.fill(0.0);
            with_padded(conv, &canvas, x, |x| {
                let (outputs, channels) = (conv.group_outputs(), conv.group_inputs());
                let plane = height * width * INTERLEAVE;
                let (x_channel, x_row) = (canvas.place(1, 0, 0), canvas.place(0, 1, 0));
                let parts = part.chunks_exact_mut(outputs * conv.filter_len());
                for ((group, part), dy) in parts.enumerate().zip(dy.chunks_exact(outputs * plane)) {
                    let x = &x[canvas.place(group * channels, 0, 0)..];
                    if SlidingProducts::knows(conv) {
                        simd::dispatch(SlidingProducts {
                            outputs,
                            channels,
                            kernel: conv.kernel_width as usize,
                            rows: height,
                            columns: width,
                            dy,
                            x,
                            x_channel,
                            x_row,
                            dweight: part,
                        });
                        continue;
                    }
                    for tap in 0..area {
                        let (k, l) = (tap / conv.kernel_width as usize, tap % conv.kernel_width as usize);
                        simd::dispatch(OuterProducts {
                            outputs,
                            taps: channels,
                            rows: height,
                            columns: width,
                            dy,
                            dy_output: plane,
                            dy_row: width * INTERLEAVE,
                            dy_column: INTERLEAVE,
                            x: &x[canvas.place(0, k, l)..],
                            x_tap: x_channel,
                            x_row: stride * x_row,
                            x_column: stride * INTERLEAVE,
                            dweight: &mut part[tap..],
                            dweight_output: conv.filter_len(),
                            dweight_tap: area,
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
