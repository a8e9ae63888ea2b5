//! Cases of batch normalisation.

use super::case::{Case, Maker};
use crate::ops::batch_norm::{BatchNorm, MOMENTS, NormViews};
use crate::ops::reduce::Reduce;
use crate::ops::{INTERLEAVE, ITERATION_BUDGET, Layout, View};

pub fn cases(layout: Layout) -> Vec<Case> {
    let norm = |images: u32, channels, spatial, momentum| BatchNorm {
        images_per_part: INTERLEAVE as u32,
        parts_in_all: images.div_ceil(INTERLEAVE as u32),
        ..BatchNorm::whole(images, channels, spatial, 1e-5, momentum)
    };
    let scalars = |images, momentum| BatchNorm::whole(images, 1, 1, 1e-5, momentum);
    let shapes = [
        ("scalars", scalars(7, 0.1)),
        ("scalars of a batch", scalars(64, 0.1)),
        ("two values", scalars(2, 0.5)),
        ("channels", norm(5, 3, 10, 0.25)),
        ("many places", norm(3, 2, 131, 0.1)),
        ("parts", norm(35, 5, 6, 0.1)),
        ("features", norm(33, 70, 1, 0.1)),
        // The first piece of the batch has two parts, this one the other two.
        ("a later piece", BatchNorm { first_part: 2, parts_in_all: 4, batch: 52, ..norm(20, 3, 7, 0.1) }),
    ];
    let mut cases = Vec::new();
    for (name, norm) in shapes {
        cases.push(moments(name, norm, layout));
        cases.push(statistics(name, norm, layout));
        cases.push(forward(name, norm, layout));
        cases.push(backward_parts(name, norm, layout));
        cases.push(backward_weight(name, norm, layout));
        cases.push(backward_input(name, norm, layout));
        let added = BatchNorm { accumulate: true, ..norm };
        cases.push(backward_input(&format!("{name}, added"), added, layout));
    }
    cases.push(merge("uneven parts", BatchNorm { parts_in_all: 3, ..norm(5, 70, 1, 0.25) }, layout));
    // The grid folds over two dimensions, and has a workgroup too many. As 65,568 of them divide by the
    // usual numbers of threads, a software adapter runs that one behind the last, not beside it.
    let wide = norm(2, ITERATION_BUDGET as u32 + 32, 1, 0.1);
    cases.push(moments("more than 65,535 channels", wide, layout));
    cases.push(backward_parts("more than 65,535 channels", wide, layout));
    cases
}

/// Values of an image.
fn values(norm: &BatchNorm) -> usize {
    (norm.channels * norm.spatial) as usize
}

fn images(norm: &BatchNorm) -> usize {
    norm.images as usize
}

/// Values away from 0, so that mean and deviation differ in size.
fn x(maker: &mut Maker, norm: &BatchNorm) -> View {
    let numbers = maker.signed(images(norm) * values(norm)).iter().map(|x| 2.0 + 1.5 * x).collect();
    maker.image_values("x", images(norm), numbers)
}

fn positive(maker: &Maker, len: usize) -> Vec<f32> {
    maker.signed(len).iter().map(|value| value.abs() + 0.3).collect()
}

/// What the other pieces of a batch wrote stays.
fn parts(maker: &mut Maker, name: &'static str, norm: &BatchNorm, values: usize) -> View {
    let len = norm.parts_in_all as usize * values * norm.channels as usize;
    maker.output(name, len, norm.own_parts() < norm.parts_in_all as usize)
}

/// Of the whole batch, in parts as small as the executor takes them.
fn in_small_parts(norm: BatchNorm, layout: Layout) -> BatchNorm {
    let images_per_part = match layout {
        Layout::Plain => 2,
        Layout::Interleaved => norm.images_per_part,
    };
    let parts_in_all = norm.images.div_ceil(images_per_part);
    BatchNorm { images_per_part, parts_in_all, first_part: 0, ..norm }
}

fn moments(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let mut maker = Maker::new(("batch_norm", "moments"), name, layout);
    let x = x(&mut maker, &norm);
    let parts = parts(&mut maker, "parts", &norm, MOMENTS);
    maker.step(norm.moments(x, parts));
    maker.done()
}

/// From values to statistics, through parts that are the executor's business.
fn statistics(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let norm = in_small_parts(norm, layout);
    let mut maker = Maker::new(("batch_norm", "merge"), name, layout);
    let x = x(&mut maker, &norm);
    let parts = maker.scratch("parts", norm.parts_in_all as usize * MOMENTS * norm.channels as usize);
    maker.step(norm.moments(x, parts));
    merged(maker, &norm, parts)
}

/// Of parts with different numbers of values, whose means are far apart.
fn merge(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let channels = norm.channels as usize;
    let mut maker = Maker::new(("batch_norm", "merge"), name, layout);
    let mut numbers = positive(&maker, norm.parts_in_all as usize * MOMENTS * channels);
    for (part, numbers) in numbers.chunks_exact_mut(MOMENTS * channels).enumerate() {
        numbers[..channels].fill([3.0, 1.0, 17.0][part % 3]);
        numbers[channels..2 * channels].iter_mut().for_each(|mean| *mean += part as f32);
    }
    let parts = maker.values("parts", numbers);
    merged(maker, &norm, parts)
}

fn merged(mut maker: Maker, norm: &BatchNorm, parts: View) -> Case {
    let channels = norm.channels as usize;
    let batch = ["mean", "variance"].map(|name| maker.output(name, channels, false));
    let mean = maker.signed(channels);
    let running_mean = maker.updated("running_mean", mean);
    let variance = positive(&maker, channels);
    let running_var = maker.updated("running_var", variance);
    maker.step(norm.merge(parts, batch, [running_mean, running_var]));
    maker.done()
}

fn views(maker: &mut Maker, norm: &BatchNorm) -> NormViews {
    let channels = norm.channels as usize;
    let [weight, bias, mean] = ["weight", "bias", "mean"].map(|name| maker.numbers(name, channels));
    let variance = positive(maker, channels);
    NormViews { weight, bias, mean, variance: maker.values("variance", variance) }
}

fn forward(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let mut maker = Maker::new(("batch_norm", "forward"), name, layout);
    let (x, views) = (x(&mut maker, &norm), views(&mut maker, &norm));
    let y = maker.output_images("y", images(&norm), values(&norm), false);
    maker.step(norm.forward(x, &views, y));
    maker.done()
}

/// The partial sums themselves.
fn backward_parts(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let mut maker = Maker::new(("batch_norm", "backward_weight"), format!("{name}, in parts"), layout);
    let (x, views) = (x(&mut maker, &norm), views(&mut maker, &norm));
    let dy = maker.images("dy", images(&norm), values(&norm));
    let parts = ["weight_parts", "bias_parts"].map(|name| parts(&mut maker, name, &norm, 1));
    maker.step(norm.backward_weight(x, dy, &views, parts));
    maker.done()
}

/// With the sum over the parts.
fn backward_weight(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let norm = in_small_parts(norm, layout);
    let mut maker = Maker::new(("batch_norm", "backward_weight"), name, layout);
    let (x, views) = (x(&mut maker, &norm), views(&mut maker, &norm));
    let dy = maker.images("dy", images(&norm), values(&norm));
    let len = (norm.parts_in_all * norm.channels) as usize;
    let parts = ["weight_parts", "bias_parts"].map(|name| maker.scratch(name, len));
    maker.step(norm.backward_weight(x, dy, &views, parts));
    let reduce = Reduce { count: norm.channels, parts: norm.parts_in_all, accumulate: false };
    for (name, parts) in ["dweight", "dbias"].into_iter().zip(parts) {
        let to = maker.output(name, norm.channels as usize, false);
        maker.step(reduce.forward(parts, to));
    }
    maker.done()
}

fn backward_input(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let mut maker = Maker::new(("batch_norm", "backward_input"), name, layout);
    let (x, views) = (x(&mut maker, &norm), views(&mut maker, &norm));
    let dy = maker.images("dy", images(&norm), values(&norm));
    let sums = ["sum_dy_x", "sum_dy"].map(|name| maker.numbers(name, norm.channels as usize));
    let dx = maker.output_images("dx", images(&norm), values(&norm), norm.accumulate);
    maker.step(norm.backward_input(x, dy, &views, sums, dx));
    maker.done()
}
