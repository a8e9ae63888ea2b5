//! The trunk on the CPU.

use super::{Io, Real};
use crate::ops::trunk::{ConvPart, DensePart, Parts, Trunk};

/// Columns `at .. at + len` of rows of `row` values, one behind the other.
fn columns<T: Copy>(rows: &[T], row: usize, at: usize, len: usize) -> Vec<T> {
    rows.chunks_exact(row).flat_map(|values| &values[at..at + len]).copied().collect()
}

/// The inverse: puts `values` into the rows.
fn put_columns<T: Copy>(rows: &mut [T], row: usize, at: usize, values: &[T]) {
    let len = values.len() / (rows.len() / row);
    for (to, from) in rows.chunks_exact_mut(row).zip(values.chunks_exact(len)) {
        to[at..at + len].copy_from_slice(from);
    }
}

fn zeros<T: Real>(len: usize) -> Vec<T> {
    vec![T::of(0.0); len]
}

impl ConvPart {
    /// For each output, by image, filter, row and column: the window of the pool that it falls into, and its
    /// place there, as `slopes` counts them; `None` for those in no window.
    fn windows(&self) -> impl Iterator<Item = Option<usize>> {
        let (height, width) = (self.pool.in_height as usize, self.pool.in_width as usize);
        let (out_height, out_width) = (self.pool.out_height(), self.pool.out_width());
        (0..self.pool.images as usize * self.pool.channels as usize * height * width).map(move |at| {
            let (plane, i, j) = (at / (height * width), at / width % height, at % width);
            let window = (plane * out_height + i / 2) * out_width + j / 2;
            (i < 2 * out_height && j < 2 * out_width).then_some(4 * window + i % 2 * 2 + j % 2)
        })
    }
}

/// The parts' references, one after the other.
pub mod reference {
    use super::{ConvPart, DensePart, Io, Parts, Real, Trunk, columns, put_columns, zeros};
    use crate::cpu::{activation, adam, conv2d, dense, distance, gather, pool2d, reduce};
    use crate::ops::TENSOR_ALIGN;
    use crate::ops::activation::Activation;
    use crate::ops::distance::Distance;
    use crate::ops::gather::Gather;
    use crate::ops::reduce::Reduce;

    /// The images of the batch.
    fn pixels<T: Real>(trunk: &Trunk, io: &Io<'_, T>) -> Vec<T> {
        let gather = Gather {
            images: trunk.images,
            pixels: trunk.pixels() as u32,
            branches: trunk.branches,
            first: 0,
            first_resident: 0,
            resident: u32::MAX,
        };
        let mut x = zeros(trunk.images as usize * trunk.pixels());
        let words = [("data", io.words("data")), ("index", io.words("index"))];
        let mut io = Io::of(io.slot, [], [("y", &mut x[..])]);
        for (name, words) in words {
            io = io.with_words(name, words);
        }
        gather::reference::forward(&gather, &mut io);
        x
    }

    fn activated<T: Real>(activation: &Activation, io: &Io<'_, T>, x: &[T]) -> Vec<T> {
        let mut y = zeros(x.len());
        activation::reference::forward(activation, &mut Io::of(io.slot, [("x", x)], [("y", &mut y[..])]));
        y
    }

    fn activation_gradient<T: Real>(activation: &Activation, io: &Io<'_, T>, y: &[T], dy: &[T]) -> Vec<T> {
        let mut dx = zeros(y.len());
        let reads = [("result", y), ("dy", dy)];
        activation::reference::backward(activation, &mut Io::of(io.slot, reads, [("dx", &mut dx[..])]));
        dx
    }

    pub fn forward<T: Real>(trunk: &Trunk, io: &mut Io<'_, T>) {
        let Parts { convs, denses, saved: row, .. } = trunk.parts();
        let (parameters, saved, embedding) =
            (io.read("parameters"), io.write("saved"), io.write("embedding"));
        let images = trunk.images as usize;
        let mut x = pixels(trunk, io);
        for part in &convs {
            let ConvPart { conv, pool, .. } = part;
            let mut z = zeros(images * conv.out_len());
            let reads = [
                ("x", &x[..]),
                ("weight", &parameters[part.weight..][..conv.weight_len()]),
                ("bias", &parameters[part.bias..][..conv.out_channels as usize]),
            ];
            conv2d::reference::forward(conv, &mut Io::of(io.slot, reads, [("y", &mut z[..])]));
            let activation = trunk.activation_of(conv.out_len());
            let y = activated(&activation, io, &z);
            let mut pooled = zeros(images * pool.out_len());
            pool2d::reference::forward(pool, &mut Io::of(io.slot, [("x", &y[..])], [("y", &mut pooled[..])]));

            let ones = vec![T::of(1.0); pooled.len()];
            let mut shares = zeros(y.len());
            let reads = [("x", &y[..]), ("dy", &ones)];
            pool2d::reference::backward(pool, &mut Io::of(io.slot, reads, [("dx", &mut shares[..])]));
            let of_outputs = activation_gradient(&activation, io, &y, &shares);
            let mut slopes = zeros(4 * pooled.len());
            for (&slope, window) in of_outputs.iter().zip(part.windows()) {
                if let Some(window) = window {
                    slopes[window] = slope;
                }
            }
            put_columns(saved, row, part.pooled, &pooled);
            put_columns(saved, row, part.slopes, &slopes);
            x = pooled;
        }
        for (number, part) in denses.iter().enumerate() {
            let (inputs, outputs) = (part.dense.inputs as usize, part.dense.outputs as usize);
            if number > 0 {
                put_columns(saved, row, part.x, &x);
            }
            let mut z = zeros(images * outputs);
            let reads = [
                ("x", &x[..]),
                ("weight", &parameters[part.weight..][..inputs * outputs]),
                ("bias", &parameters[part.bias..][..outputs]),
            ];
            dense::reference::forward(&part.dense, &mut Io::of(io.slot, reads, [("y", &mut z[..])]));
            x = activated(&trunk.activation_of(outputs), io, &z);
        }
        embedding.copy_from_slice(&x);
    }

    /// The gradient of a dense layer's input.
    fn dense_input<T: Real>(part: &DensePart, io: &Io<'_, T>, delta: &[T]) -> Vec<T> {
        let (inputs, outputs) = (part.dense.inputs as usize, part.dense.outputs as usize);
        let mut dx = zeros(part.dense.images as usize * inputs);
        let reads = [("dy", delta), ("weight", &io.read("parameters")[part.weight..][..inputs * outputs])];
        dense::reference::backward_input(&part.dense, &mut Io::of(io.slot, reads, [("dx", &mut dx[..])]));
        dx
    }

    pub fn backward<T: Real>(trunk: &Trunk, io: &mut Io<'_, T>) {
        let Parts { convs, denses, saved: saved_row, parts: row, .. } = trunk.parts();
        let (kept, embedded, compared) = (io.read("kept"), io.read("embedded"), io.read("compared"));
        let parts = io.write("parts");
        let pairs = trunk.images / 2;
        let distance = Distance {
            pairs,
            features: trunk.features,
            first: 0,
            kind: trunk.distance,
            squared_floor: trunk.squared_floor,
            accumulate: false,
        };
        let (distances, ddistances) = compared.split_at(pairs as usize);
        let mut dy = zeros(embedded.len());
        let reads = [("x", embedded), ("result", distances), ("dy", ddistances)];
        distance::reference::backward(&distance, &mut Io::of(io.slot, reads, [("dx", &mut dy[..])]));

        let [inner, outer] = &denses;
        let features = trunk.activation_of(trunk.features as usize);
        let delta = activation_gradient(&features, io, embedded, &dy);
        put_columns(parts, row, outer.delta, &delta);
        let hidden = columns(kept, saved_row, outer.x, outer.dense.inputs as usize);
        let dhidden = dense_input(outer, io, &delta);
        let delta =
            activation_gradient(&trunk.activation_of(outer.dense.inputs as usize), io, &hidden, &dhidden);
        put_columns(parts, row, inner.delta, &delta);

        let [first, second] = &convs;
        let dpooled = dense_input(inner, io, &delta);
        put_columns(parts, row, second.dpooled, &dpooled);
        let delta = conv_delta(second, saved_row, kept, &dpooled);
        let pooled = columns(kept, saved_row, first.pooled, first.pool.out_len());
        conv_weights(second, io, (&pooled, &delta), parts, row);
        let mut dpooled = zeros(pooled.len());
        let weight = &io.read("parameters")[second.weight..][..second.conv.weight_len()];
        let reads = [("dy", &delta[..]), ("weight", weight)];
        conv2d::reference::backward_input(
            &second.conv,
            &mut Io::of(io.slot, reads, [("dx", &mut dpooled[..])]),
        );
        put_columns(parts, row, first.dpooled, &dpooled);
        let delta = conv_delta(first, saved_row, kept, &dpooled);
        let x = pixels(trunk, io);
        conv_weights(first, io, (&x, &delta), parts, row);
    }

    /// dL/dz of a convolution, from the gradients of its pooled values.
    fn conv_delta<T: Real>(part: &ConvPart, saved_row: usize, kept: &[T], dpooled: &[T]) -> Vec<T> {
        let slopes = columns(kept, saved_row, part.slopes, 4 * part.pool.out_len());
        let delta = |window: Option<usize>| window.map_or(T::of(0.0), |at| dpooled[at / 4] * slopes[at]);
        part.windows().map(delta).collect()
    }

    /// Each image's gradients of weight and bias.
    fn conv_weights<T: Real>(
        part: &ConvPart,
        io: &Io<'_, T>,
        (x, delta): (&[T], &[T]),
        parts: &mut [T],
        row: usize,
    ) {
        let conv = &part.conv;
        let images = conv.images as usize;
        let mut dweight = zeros(images * conv.weight_len());
        let reads = [("x", x), ("dy", delta)];
        conv2d::reference::backward_weight(conv, &mut Io::of(io.slot, reads, [("parts", &mut dweight[..])]));
        put_columns(parts, row, part.dweight, &dweight);
        let alone = crate::ops::conv2d::Conv2d { images: 1, ..*conv };
        let mut dbias = zeros(images * conv.out_channels as usize);
        let of_images = dbias.chunks_exact_mut(conv.out_channels as usize);
        for (dbias, delta) in of_images.zip(delta.chunks_exact(conv.out_len())) {
            conv2d::reference::backward_bias(
                &alone,
                &mut Io::of(io.slot, [("dy", delta)], [("dbias", dbias)]),
            );
        }
        put_columns(parts, row, part.dbias, &dbias);
    }

    pub fn update<T: Real>(trunk: &Trunk, io: &mut Io<'_, T>) {
        let Parts { convs, denses, parameters: end, saved: saved_row, parts: row } = trunk.parts();
        let (kept, shares) = (io.read("kept"), io.read("shares"));
        let gradient = io.write("gradient");
        let slot = io.slot;
        let sum = |column, len, to: &mut [T]| {
            let terms = columns(shares, row, column, len);
            let reduce = Reduce { count: len as u32, parts: trunk.images, accumulate: false };
            reduce::reference::forward(&reduce, &mut Io::of(slot, [("x", &terms[..])], [("y", to)]));
        };
        let mut tensors = Vec::new();
        for part in &convs {
            let (weights, filters) = (part.conv.weight_len(), part.conv.out_channels as usize);
            sum(part.dweight, weights, &mut gradient[part.weight..][..weights]);
            sum(part.dbias, filters, &mut gradient[part.bias..][..filters]);
            tensors.extend([(part.weight, weights), (part.bias, filters)]);
        }
        for part in &denses {
            let (inputs, outputs) = (part.dense.inputs as usize, part.dense.outputs as usize);
            let x = columns(kept, saved_row, part.x, inputs);
            let delta = columns(shares, row, part.delta, outputs);
            let (weight, bias) = gradient[part.weight..].split_at_mut(part.bias - part.weight);
            let writes = [("dweight", &mut weight[..inputs * outputs])];
            let reads = [("x", &x[..]), ("dy", &delta)];
            dense::reference::backward_weight(&part.dense, &mut Io::of(slot, reads, writes));
            let writes = [("dbias", &mut bias[..outputs])];
            dense::reference::backward_bias(&part.dense, &mut Io::of(slot, [("dy", &delta[..])], writes));
            tensors.extend([(part.weight, inputs * outputs), (part.bias, outputs)]);
        }
        tensors.extend((0..trunk.scalars as usize).map(|number| (end + number * TENSOR_ALIGN, 1)));
        let (parameter, first, second) =
            (io.write("parameter"), io.write("first_moment"), io.write("second_moment"));
        for (at, len) in tensors {
            let writes = [
                ("parameter", &mut parameter[at..at + len]),
                ("first_moment", &mut first[at..at + len]),
                ("second_moment", &mut second[at..at + len]),
            ];
            let reads = [("gradient", &gradient[at..at + len])];
            adam::reference::forward(&trunk.adam(len), &mut Io::of(slot, reads, writes));
        }
    }
}

/// Plain loops: on a CPU the parts, each in one go over all images, are the fast way (`--plan unfused`).
pub mod fast {
    pub use super::reference::{backward, forward, update};
}
