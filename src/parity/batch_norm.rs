//! Cases of batch normalisation. On the CPU it is plain in both halves: only scalars of pairs are
//! normalised so far.

use super::case::{Case, Maker};
use crate::ops::batch_norm::{BatchNorm, NormViews};
use crate::ops::{ITERATION_BUDGET, Layout, View};

pub fn cases(layout: Layout) -> Vec<Case> {
    let norm =
        |images, channels, spatial, momentum| BatchNorm { images, channels, spatial, eps: 1e-5, momentum };
    let shapes = [
        ("scalars", norm(7, 1, 1, 0.1)),
        ("scalars of a batch", norm(64, 1, 1, 0.1)),
        ("two values", norm(2, 1, 1, 0.5)),
        ("channels", norm(5, 3, 10, 0.25)),
        ("many places", norm(3, 2, 131, 0.1)),
    ];
    let mut cases = Vec::new();
    for (name, norm) in shapes {
        cases.push(forward(name, norm, layout));
        cases.push(infer(name, norm, layout));
        cases.push(backward_weight(name, norm, layout));
        cases.push(backward_input(name, norm, layout));
    }
    // The grid folds over two dimensions, and has a workgroup too many. As 65,568 of them divide by the
    // usual numbers of threads, a software adapter runs that one behind the last, not beside it: were it
    // to move the running statistics a second time, it would show.
    let wide = norm(2, ITERATION_BUDGET as u32 + 32, 1, 0.1);
    cases.push(forward("more than 65,535 channels", wide, layout));
    cases
}

fn count(norm: &BatchNorm) -> usize {
    (norm.images * norm.channels * norm.spatial) as usize
}

/// Values away from 0, so that mean and deviation differ in size.
fn x(maker: &mut Maker, norm: &BatchNorm) -> View {
    let values = maker.signed(count(norm)).iter().map(|x| 2.0 + 1.5 * x).collect();
    maker.values("x", values)
}

fn positive(maker: &Maker, len: usize) -> Vec<f32> {
    maker.signed(len).iter().map(|value| value.abs() + 0.3).collect()
}

fn forward(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let channels = norm.channels as usize;
    let mut maker = Maker::new(("batch_norm", "forward"), name, layout);
    let x = x(&mut maker, &norm);
    let weight = maker.numbers("weight", channels);
    let bias = maker.numbers("bias", channels);
    let mean = maker.signed(channels);
    let running_mean = maker.updated("running_mean", mean);
    let variance = positive(&maker, channels);
    let running_var = maker.updated("running_var", variance);
    let saved = maker.output("saved", 2 * channels, false);
    let y = maker.output("y", count(&norm), false);
    maker.step(norm.forward(x, &NormViews { weight, bias, running_mean, running_var }, saved, y));
    maker.done()
}

fn infer(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let channels = norm.channels as usize;
    let mut maker = Maker::new(("batch_norm", "infer"), name, layout);
    let x = x(&mut maker, &norm);
    let weight = maker.numbers("weight", channels);
    let bias = maker.numbers("bias", channels);
    let running_mean = maker.numbers("mean", channels);
    let variance = positive(&maker, channels);
    let running_var = maker.values("variance", variance);
    let y = maker.output("y", count(&norm), false);
    maker.step(norm.infer(x, &NormViews { weight, bias, running_mean, running_var }, y));
    maker.done()
}

fn statistics(maker: &mut Maker, norm: &BatchNorm) -> View {
    let values = positive(maker, 2 * norm.channels as usize);
    maker.values("statistics", values)
}

fn backward_weight(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let channels = norm.channels as usize;
    let mut maker = Maker::new(("batch_norm", "backward_weight"), name, layout);
    let x = x(&mut maker, &norm);
    let dy = maker.numbers("dy", count(&norm));
    let statistics = statistics(&mut maker, &norm);
    let dweight = maker.output("dweight", channels, false);
    let dbias = maker.output("dbias", channels, false);
    maker.step(norm.backward_weight(x, dy, statistics, dweight, dbias));
    maker.done()
}

fn backward_input(name: &str, norm: BatchNorm, layout: Layout) -> Case {
    let channels = norm.channels as usize;
    let mut maker = Maker::new(("batch_norm", "backward_input"), name, layout);
    let x = x(&mut maker, &norm);
    let dy = maker.numbers("dy", count(&norm));
    let weight = maker.numbers("weight", channels);
    let statistics = statistics(&mut maker, &norm);
    let sum_dy_x = maker.numbers("sum_dy_x", channels);
    let sum_dy = maker.numbers("sum_dy", channels);
    let dx = maker.output("dx", count(&norm), false);
    maker.step(norm.backward_input(x, dy, weight, statistics, sum_dy_x, sum_dy, dx));
    maker.done()
}
