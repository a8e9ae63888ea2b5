//! Every backward function of the reference against differences of its forward function.
//!
//! The difference is that of `sum(dy * y)` at `x + h` and `x - h`, output by output, so that outputs
//! which do not depend on `x` cancel exactly. Allowed is what the difference itself can be off by:
//!
//! - rounding: an output is a sum of at most 50 products of size 1 and of either sign, so it errs by
//!   about 7 units (2^-53) of 1 or of its own size; 16 are allowed, divided by `h`;
//! - truncation: `h^2 / 6` times a third derivative, for which 600 is plenty: the steepest function
//!   here is the norm over few values, with the cube of 1 over a deviation of about 2.
//!
//! With `h` = 1e-6 this is 2e-9 and 1e-10 times the sizes of `dy` and `y`, both about 1. The worst
//! found is off by a sixth of it.

use gpu_siamese::cpu;
use gpu_siamese::data::{Random, Stream};
use gpu_siamese::ops::activation::{Activation, ActivationKind};
use gpu_siamese::ops::add::Add;
use gpu_siamese::ops::batch_norm::{BatchNorm, MOMENTS, NormViews};
use gpu_siamese::ops::binary_cross_entropy::{BinaryCrossEntropy, Link};
use gpu_siamese::ops::channel_conv::ChannelConv;
use gpu_siamese::ops::contrastive::{Contrastive, Convention};
use gpu_siamese::ops::conv2d::Conv2d;
use gpu_siamese::ops::dense::Dense;
use gpu_siamese::ops::distance::{Distance, DistanceKind};
use gpu_siamese::ops::dropout::Dropout;
use gpu_siamese::ops::episode::Episode;
use gpu_siamese::ops::head::Head;
use gpu_siamese::ops::pool2d::{Pool2d, PoolKind};
use gpu_siamese::ops::reduce::Reduce;
use gpu_siamese::ops::scale::Scale;
use gpu_siamese::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use gpu_siamese::ops::weighted_sum::WeightedSum;
use gpu_siamese::ops::{Layout, View};
use gpu_siamese::plan::Slot;

use crate::common::Bench;

const STEP: f64 = 1e-6;
const ROUNDING: f64 = 16.0 / (1u64 << 53) as f64;
const THIRD_DERIVATIVE: f64 = 600.0;

/// Checks `gradient`, of `sum(dy * forward(x))` at `x`.
fn check(what: &str, x: &[f64], dy: &[f64], gradient: &[f64], forward: impl Fn(&[f64]) -> Vec<f64>) {
    assert_eq!(x.len(), gradient.len(), "{what}");
    for i in 0..x.len() {
        let h = STEP * x[i].abs().max(1.0);
        let at = |value| {
            let mut x = x.to_vec();
            x[i] = value;
            forward(&x)
        };
        let (above, below) = (at(x[i] + h), at(x[i] - h));
        assert_eq!((above.len(), below.len()), (dy.len(), dy.len()), "{what}");
        let (mut difference, mut rounding, mut weights) = (0.0, 0.0, 0.0);
        for ((above, below), dy) in above.iter().zip(&below).zip(dy).filter(|((a, b), _)| a != b) {
            difference += dy * (above - below);
            rounding += dy.abs() * above.abs().max(below.abs()).max(1.0);
            weights += dy.abs();
        }
        let numeric = difference / ((x[i] + h) - (x[i] - h));
        let allowed = ROUNDING * rounding / h + h * h / 6.0 * THIRD_DERIVATIVE * weights;
        assert!(
            (numeric - gradient[i]).abs() <= allowed,
            "{what}[{i}] is {}, but finite differences give {numeric} (+-{allowed:e})",
            gradient[i]
        );
    }
}

pub fn random(index: u64) -> Random {
    Random::new(7, Stream::Weights, 0, index)
}

pub fn normal(random: &mut Random, count: usize) -> Vec<f64> {
    (0..count).map(|_| random.normal().into()).collect()
}

fn bench() -> Bench<f64> {
    Bench::new(cpu::reference, Layout::Plain)
}

/// Makes operands of the values, lets `steps` run on them and returns what it names.
pub fn with<const N: usize>(
    values: [&[f64]; N],
    steps: impl FnOnce(&mut Bench<f64>, [View; N]) -> Vec<View>,
) -> Vec<Vec<f64>> {
    let mut bench = bench();
    let views = values.map(|values| bench.input(values));
    steps(&mut bench, views).into_iter().map(|view| bench.read(view)).collect()
}

#[test]
fn conv2d() {
    let shapes = [
        // images, channels, height, width, to channels, groups, kernel, stride, padding
        (3, 2, 7, 5, 3, 1, [3, 3], 1, [1, 1]),
        (2, 1, 9, 6, 2, 1, [5, 5], 1, [2, 2]),
        (2, 2, 7, 6, 3, 1, [5, 5], 1, [0, 0]),
        (3, 2, 8, 7, 2, 1, [3, 3], 2, [1, 1]),
        (1, 2, 9, 8, 2, 1, [2, 2], 3, [0, 0]),
        (2, 1, 4, 5, 2, 1, [3, 3], 1, [2, 2]),
        (2, 3, 4, 3, 2, 1, [1, 1], 2, [0, 0]),
        (2, 4, 5, 4, 6, 2, [3, 3], 1, [1, 1]),
        (3, 3, 5, 6, 3, 3, [3, 3], 2, [1, 1]),
        (2, 4, 1, 1, 4, 4, [1, 3], 1, [0, 1]),
        (2, 4, 6, 5, 2, 2, [3, 2], 2, [2, 0]),
    ];
    for (number, shape) in shapes.into_iter().enumerate() {
        let (images, in_channels, in_height, in_width, out_channels, groups, kernel, stride, padding) = shape;
        let ([kernel_height, kernel_width], [padding_height, padding_width]) = (kernel, padding);
        let (biased, images_per_part, accumulate) = (true, 2, false);
        #[rustfmt::skip]
        let conv = Conv2d {
            images, in_channels, in_height, in_width, out_channels, groups, kernel_height, kernel_width, stride,
            padding_height, padding_width, biased, images_per_part, accumulate,
        };
        let random = &mut random(number as u64);
        let images = images as usize;
        let x = normal(random, images * conv.in_len());
        let weight = normal(random, conv.weight_len());
        let bias = normal(random, out_channels as usize);
        let dy = normal(random, images * conv.out_len());
        let forward = |x: &[f64], weight: &[f64], bias: &[f64]| {
            let results = with([x, weight, bias], |bench, [x, weight, bias]| {
                let y = bench.output(images * conv.out_len());
                bench.run(&conv.forward(x, weight, bias, y));
                vec![y]
            });
            results.concat()
        };
        let gradients = with([&x, &weight, &dy], |bench, [x, weight, dy]| {
            let [dx, dweight, dbias] = [x.len, weight.len, bias.len()].map(|len| bench.output(len));
            let parts = bench.output(conv.parts() * weight.len);
            let reduce = Reduce { count: weight.len as u32, parts: conv.parts() as u32, accumulate: false };
            bench.run(&conv.backward_input(dy, weight, dx));
            bench.run(&conv.backward_weight(x, dy, parts));
            bench.run(&reduce.forward(parts, dweight));
            bench.run(&conv.backward_bias(dy, dbias));
            vec![dx, dweight, dbias]
        });
        check(&format!("{conv:?} dx"), &x, &dy, &gradients[0], |x| forward(x, &weight, &bias));
        check(&format!("{conv:?} dweight"), &weight, &dy, &gradients[1], |weight| forward(&x, weight, &bias));
        check(&format!("{conv:?} dbias"), &bias, &dy, &gradients[2], |bias| forward(&x, &weight, bias));
    }
}

#[test]
fn pool2d() {
    for kind in [PoolKind::Max, PoolKind::Average] {
        for (size, stride, padding) in
            [(2, 2, 0), (3, 2, 0), (2, 1, 0), (2, 3, 0), (1, 1, 0), (3, 2, 1), (2, 1, 1)]
        {
            let (images, channels, in_height, in_width, accumulate) = (2, 3, 7, 6, false);
            #[rustfmt::skip]
            let pool = Pool2d { images, channels, in_height, in_width, size, stride, padding, kind, accumulate };
            let random = &mut random(100 + u64::from(10 * size + stride + 5 * padding));
            let count = images as usize * pool.in_len();
            // No two alike, so no maximum changes places.
            let mut x: Vec<f64> = (0..count).map(|i| (i as f64 - count as f64 / 2.0) / 50.0).collect();
            random.shuffle(&mut x);
            let dy = normal(random, images as usize * pool.out_len());
            let forward = |x: &[f64]| {
                let results = with([x], |bench, [x]| {
                    let y = bench.output(dy.len());
                    bench.run(&pool.forward(x, y));
                    vec![y]
                });
                results.concat()
            };
            let gradients = with([&x, &dy], |bench, [x, dy]| {
                let dx = bench.output(x.len);
                bench.run(&pool.backward(x, dy, dx));
                vec![dx]
            });
            check(&format!("{pool:?} dx"), &x, &dy, &gradients[0], forward);
        }
    }
}

#[test]
fn activation() {
    for kind in [ActivationKind::Relu, ActivationKind::Tanh, ActivationKind::Sigmoid] {
        let random = &mut random(200);
        let mut x = normal(random, 37);
        x.iter_mut().for_each(|x| *x += 0.01f64.copysign(*x)); // away from the kink
        let dy = normal(random, x.len());
        let activation = Activation { count: x.len() as u32, kind, accumulate: false };
        let both = with([&x, &dy], |bench, [x, dy]| {
            let (y, dx) = (bench.output(x.len), bench.output(x.len));
            bench.run(&activation.forward(x, y));
            bench.run(&activation.backward(y, dy, dx));
            vec![y, dx]
        });
        check(&format!("{kind} dx"), &x, &dy, &both[1], |x| {
            let results = with([x], |bench, [x]| {
                let y = bench.output(x.len);
                bench.run(&activation.forward(x, y));
                vec![y]
            });
            results.concat()
        });
    }
}

#[test]
fn dense() {
    // The weight in one window, and in two: gradients of the input then add up.
    for (images, inputs, outputs, cut) in [(5, 7, 3, 3), (1, 9, 4, 4), (6, 5, 1, 1), (4, 6, 5, 2)] {
        let random = &mut random(300 + u64::from(inputs));
        let part =
            |first_row, rows| Dense { images, inputs, outputs, first_row, rows, accumulate: first_row > 0 };
        let mut parts = vec![part(0, cut)];
        parts.extend((cut < outputs).then(|| part(cut, outputs - cut)));
        let rows = |part: &Dense, weight: View| {
            weight.part((part.first_row * inputs) as usize, (part.rows * inputs) as usize)
        };
        let x = normal(random, (images * inputs) as usize);
        let weight = normal(random, (outputs * inputs) as usize);
        let bias = normal(random, outputs as usize);
        let dy = normal(random, (images * outputs) as usize);
        let forward = |x: &[f64], weight: &[f64], bias: &[f64]| {
            let results = with([x, weight, bias], |bench, [x, weight, bias]| {
                let y = bench.output(dy.len());
                for part in &parts {
                    bench.run(&part.forward(x, rows(part, weight), bias, y));
                }
                vec![y]
            });
            results.concat()
        };
        let gradients = with([&x, &weight, &dy], |bench, [x, weight, dy]| {
            let [dx, dweight, dbias] = [x.len, weight.len, bias.len()].map(|len| bench.output(len));
            for part in &parts {
                bench.run(&part.backward_input(dy, rows(part, weight), dx));
                let alone = Dense { accumulate: false, ..*part };
                bench.run(&alone.backward_weight(x, dy, rows(part, dweight)));
            }
            bench.run(&parts[0].backward_bias(dy, dbias));
            vec![dx, dweight, dbias]
        });
        let what = format!("{:?}", parts[0]);
        check(&format!("{what} dx"), &x, &dy, &gradients[0], |x| forward(x, &weight, &bias));
        check(&format!("{what} dweight"), &weight, &dy, &gradients[1], |weight| forward(&x, weight, &bias));
        check(&format!("{what} dbias"), &bias, &dy, &gradients[2], |bias| forward(&x, &weight, bias));
    }
}

#[test]
fn batch_norm() {
    for (images, channels, spatial) in [(7u32, 1, 1), (3, 2, 5), (4, 3, 1), (1, 2, 6)] {
        // Two images to a part, so that parts and their sums are held too.
        let (images_per_part, parts_in_all) = (2, images.div_ceil(2));
        let whole = BatchNorm::whole(images, channels, spatial, 1e-5, 0.1);
        let norm = BatchNorm { images_per_part, parts_in_all, ..whole };
        let random = &mut random(400 + u64::from(images));
        let x: Vec<f64> =
            normal(random, (images * channels * spatial) as usize).iter().map(|x| 2.0 * x + 1.0).collect();
        let [weight, bias] = [(); 2].map(|()| normal(random, channels as usize));
        let dy = normal(random, x.len());
        let all = |x: &[f64], weight: &[f64], bias: &[f64]| {
            with([x, weight, bias, &dy], |bench, [x, weight, bias, dy]| {
                let running = [(); 2].map(|()| bench.input(&vec![1.0; weight.len]));
                let [y, dx] = [(); 2].map(|()| bench.output(x.len));
                let [mean, variance, dweight, dbias] = [(); 4].map(|()| bench.output(weight.len));
                let views = NormViews { weight, bias, mean, variance };
                let parts_len = parts_in_all as usize * weight.len;
                let parts = bench.output(MOMENTS * parts_len);
                let partial = [(); 2].map(|()| bench.output(parts_len));
                bench.run(&norm.moments(x, parts));
                bench.run(&norm.merge(parts, [mean, variance], running));
                bench.run(&norm.forward(x, &views, y));
                bench.run(&norm.backward_weight(x, dy, &views, partial));
                let reduce = Reduce { count: channels, parts: parts_in_all, accumulate: false };
                bench.run(&reduce.forward(partial[0], dweight));
                bench.run(&reduce.forward(partial[1], dbias));
                bench.run(&norm.backward_input(x, dy, &views, [dweight, dbias], dx));
                vec![y, dx, dweight, dbias]
            })
        };
        let forward = |x: &[f64], weight: &[f64], bias: &[f64]| all(x, weight, bias).swap_remove(0);
        let results = all(&x, &weight, &bias);
        check(&format!("{norm:?} dx"), &x, &dy, &results[1], |x| forward(x, &weight, &bias));
        check(&format!("{norm:?} dweight"), &weight, &dy, &results[2], |weight| forward(&x, weight, &bias));
        check(&format!("{norm:?} dbias"), &bias, &dy, &results[3], |bias| forward(&x, &weight, bias));
    }
}

#[test]
fn add() {
    let random = &mut random(450);
    let [a, b, dy] = [(); 3].map(|()| normal(random, 11));
    let add = Add { count: 11, accumulate: false };
    let sum = |a: &[f64], b: &[f64]| {
        let results = with([a, b], |bench, [a, b]| {
            let y = bench.output(a.len);
            bench.run(&add.forward(a, b, y));
            vec![y]
        });
        results.concat()
    };
    let gradient = with([&dy], |bench, [dy]| {
        let dx = bench.output(dy.len);
        bench.run(&add.backward(dy, dx));
        vec![dx]
    });
    check("add da", &a, &dy, &gradient[0], |a| sum(a, &b));
    check("add db", &b, &dy, &gradient[0], |b| sum(&a, b));
}

/// Runs a forward pass on its inputs, then what makes their gradients.
pub fn both_ways<const N: usize>(
    what: &str,
    names: [&str; N],
    inputs: [Vec<f64>; N],
    outputs: usize,
    forward: impl Fn(&mut Bench<f64>, [View; N], View),
    backward: impl Fn(&mut Bench<f64>, [View; N], View, [View; N]),
) {
    let dy = normal(&mut random(460), outputs);
    let y = |inputs: [&[f64]; N]| {
        let results = with(inputs, |bench, views| {
            let y = bench.output(outputs);
            forward(bench, views, y);
            vec![y]
        });
        results.concat()
    };
    let given = inputs.each_ref().map(Vec::as_slice);
    let gradients = with(given, |bench, views| {
        let dy = bench.input(&dy);
        let gradients = views.map(|view| bench.output(view.len));
        backward(bench, views, dy, gradients);
        gradients.into()
    });
    for (number, name) in names.into_iter().enumerate() {
        check(&format!("{what} d{name}"), given[number], &dy, &gradients[number], |x| {
            let mut inputs = given;
            inputs[number] = x;
            y(inputs)
        });
    }
}

#[test]
fn scale() {
    for (images, channels, spatial) in [(3, 2, 5), (1, 4, 1)] {
        let scale = Scale { images, channels, spatial, accumulate: false };
        let (planes, random) = ((images * channels) as usize, &mut random(470));
        let count = planes * spatial as usize;
        let inputs = [normal(random, count), normal(random, planes)];
        both_ways(
            &format!("{scale:?}"),
            ["x", "scale"],
            inputs,
            count,
            |bench, [x, factors], y| bench.run(&scale.forward(x, factors, y)),
            |bench, [x, factors], dy, [dx, dfactors]| {
                bench.run(&scale.backward_input(dy, factors, dx));
                bench.run(&scale.backward_scale(x, dy, dfactors));
            },
        );
    }
}

#[test]
fn channel_conv() {
    for (images, channels, kernel) in [(3, 6, 3), (2, 2, 5), (1, 1, 1)] {
        let conv = ChannelConv { images, channels, kernel, accumulate: false };
        let (count, random) = ((images * channels) as usize, &mut random(480));
        let inputs = [normal(random, count), normal(random, kernel as usize)];
        both_ways(
            &format!("{conv:?}"),
            ["x", "weight"],
            inputs,
            count,
            |bench, [x, weight], y| bench.run(&conv.forward(x, weight, y)),
            |bench, [x, weight], dy, [dx, dweight]| {
                bench.run(&conv.backward_input(dy, weight, dx));
                bench.run(&conv.backward_weight(x, dy, dweight));
            },
        );
    }
}

#[test]
fn dropout() {
    let (threshold, scale) = Dropout::of_rate(0.4);
    let (images, values, branches, first, layer, accumulate) = (6, 9, 2, 1, 3, false);
    let dropout = Dropout { images, values, branches, first, layer, threshold, scale, accumulate };
    let count = (images * values) as usize;
    both_ways(
        "dropout",
        ["x"],
        [normal(&mut random(490), count)],
        count,
        |bench, [x], y| bench.run(&dropout.forward(x, y)),
        |bench, _, dy, [dx]| bench.run(&dropout.backward(dy, dx)),
    );
}

#[test]
fn distance() {
    for kind in [DistanceKind::Euclidean, DistanceKind::L1] {
        let (pairs, features, first) = (5, 7, 2);
        let (squared_floor, accumulate) = (1e-7, false);
        let distance = Distance { pairs, features, first, kind, squared_floor, accumulate };
        let random = &mut random(500);
        let a = normal(random, (pairs * features) as usize);
        // Away from equal values, where |a - b| has a kink.
        let away = |a: &f64| {
            let apart = f64::from(random.normal());
            a + apart + 0.1f64.copysign(apart)
        };
        let mut b: Vec<f64> = a.iter().map(away).collect();
        if kind == DistanceKind::Euclidean {
            // Below the floor: the distance is constant.
            b[..7].copy_from_slice(&a[..7]);
            b[0] += 1e-4;
        }
        let x = [a, b].concat();
        // Pairs of another piece of the batch stand before these.
        let dy = normal(random, (first + pairs) as usize);
        let both = |x: &[f64]| {
            with([x, &dy, &[0.0; 7]], |bench, [x, dy, y]| {
                let dx = bench.output(x.len);
                bench.run(&distance.forward(x, y));
                bench.run(&distance.backward(x, y, dy, dx));
                vec![y, dx]
            })
        };
        check(&format!("{kind} dx"), &x, &dy, &both(&x)[1], |x| both(x).swap_remove(0));
    }
}

#[test]
fn head() {
    let head = Head { pairs: 9 };
    let random = &mut random(600);
    let (x, weight, bias, dy) = (normal(random, 9), [-1.3], [0.4], normal(random, 9));
    let all = |x: &[f64], weight: &[f64], bias: &[f64]| {
        with([x, weight, bias, &dy], |bench, [x, weight, bias, dy]| {
            let [y, dx, dweight, dbias] = [9, 9, 1, 1].map(|len| bench.output(len));
            bench.run(&head.forward(x, weight, bias, y));
            bench.run(&head.backward_input(y, dy, weight, dx));
            bench.run(&head.backward_weight(x, y, dy, dweight, dbias));
            vec![y, dx, dweight, dbias]
        })
    };
    let forward = |x: &[f64], weight: &[f64], bias: &[f64]| all(x, weight, bias).swap_remove(0);
    let results = all(&x, &weight, &bias);
    check("head dx", &x, &dy, &results[1], |x| forward(x, &weight, &bias));
    check("head dweight", &weight, &dy, &results[2], |weight| forward(&x, weight, &bias));
    check("head dbias", &bias, &dy, &results[3], |bias| forward(&x, &weight, bias));
}

#[test]
fn contrastive() {
    for convention in [Convention::Similarity, Convention::Distance] {
        let loss = Contrastive { pairs: 11, margin: 0.75, convention };
        let random = &mut random(700);
        // Up to both sides of the margin and of the thresholds for hits, but not onto them. Two
        // pairs are padding, and three labels belong to an earlier batch.
        let mut x: Vec<f64> = (0..11).map(|i| 0.02 + 0.1 * f64::from(i)).collect();
        random.shuffle(&mut x);
        let same: Vec<u32> = (0..14).map(|_| random.below(2)).collect();
        let both = |x: &[f64]| {
            with([x], |bench, [x]| {
                bench.slot = Slot { first: 3, count: 9, ..Slot::default() };
                let same = bench.words(&same);
                let (history, dx) = (bench.output(2), bench.output(x.len));
                bench.run(&loss.forward(x, same, history));
                bench.run(&loss.backward(x, same, dx));
                vec![history, dx]
            })
        };
        check(&format!("{convention} dx"), &x, &[1.0, 0.0], &both(&x)[1], |x| both(x).swap_remove(0));
    }
}

#[test]
fn softmax_cross_entropy() {
    // Two images are padding, one stands before these in the batch, and three labels belong to an earlier one.
    let loss = SoftmaxCrossEntropy { images: 6, classes: 5, first: 1, accumulate: true };
    let random = &mut random(800);
    let x = normal(random, 30);
    let label: Vec<u32> = (0..10).map(|_| random.below(5)).collect();
    let both = |x: &[f64]| {
        with([x, &[0.5, 1.0]], |bench, [x, history]| {
            bench.slot = Slot { first: 3, count: 5, ..Slot::default() };
            let label = bench.words(&label);
            let dx = bench.output(x.len);
            bench.run(&loss.forward(x, label, history));
            bench.run(&loss.backward(x, label, dx));
            vec![history, dx]
        })
    };
    check("softmax_cross_entropy dx", &x, &[1.0, 0.0], &both(&x)[1], |x| both(x).swap_remove(0));
}

#[test]
fn episode() {
    let episode = Episode { pairs: 6, features: 4, way: 3 };
    let random = &mut random(900);
    let (x, dy) = (normal(random, 48), normal(random, 18));
    let both = |x: &[f64]| {
        with([x, &dy], |bench, [x, dy]| {
            let (y, dx) = (bench.output(dy.len), bench.output(x.len));
            bench.run(&episode.forward(x, y));
            bench.run(&episode.backward(x, dy, dx));
            vec![y, dx]
        })
    };
    check("episode dx", &x, &dy, &both(&x)[1], |x| both(x).swap_remove(0));
}

#[test]
fn weighted_sum() {
    let sum = WeightedSum { pairs: 5, features: 6, first: 2, accumulate: false };
    let random = &mut random(1000);
    // Two pairs of the batch stand before these.
    let (x, weight, bias) = (normal(random, 60), normal(random, 6), [0.3]);
    let dy = [vec![0.0; 2], normal(random, 5)].concat();
    let all = |x: &[f64], weight: &[f64], bias: &[f64]| {
        with([x, weight, bias, &dy], |bench, [x, weight, bias, dy]| {
            let y = bench.input(&[0.0; 7]);
            let [dx, dweight, dbias] = [60, 6, 1].map(|len| bench.output(len));
            bench.run(&sum.forward(x, weight, bias, y));
            bench.run(&sum.backward_input(x, weight, dy, dx));
            bench.run(&sum.backward_weight(x, dy, dweight));
            bench.run(&sum.backward_bias(dy, dbias));
            vec![y, dx, dweight, dbias]
        })
    };
    let forward = |x: &[f64], weight: &[f64], bias: &[f64]| all(x, weight, bias).swap_remove(0);
    let results = all(&x, &weight, &bias);
    check("weighted_sum dx", &x, &dy, &results[1], |x| forward(x, &weight, &bias));
    check("weighted_sum dweight", &weight, &dy, &results[2], |weight| forward(&x, weight, &bias));
    check("weighted_sum dbias", &bias, &dy, &results[3], |bias| forward(&x, &weight, bias));
}

#[test]
fn binary_cross_entropy() {
    for link in [Link::Logit, Link::Exponential] {
        let loss = BinaryCrossEntropy { pairs: 11, link, scale: 0.75, floor: 0.25 };
        let random = &mut random(1100);
        // To both sides of 0, or of the floor, but not onto them. Two pairs are padding, and three labels belong to
        // an earlier batch.
        let lowest = if link == Link::Logit { -0.96 } else { 0.02 };
        let mut x: Vec<f64> = (0..11).map(|i| lowest + 0.2 * f64::from(i)).collect();
        random.shuffle(&mut x);
        let same: Vec<u32> = (0..14).map(|_| random.below(2)).collect();
        let both = |x: &[f64]| {
            with([x], |bench, [x]| {
                bench.slot = Slot { first: 3, count: 9, ..Slot::default() };
                let same = bench.words(&same);
                let (history, dx) = (bench.output(2), bench.output(x.len));
                bench.run(&loss.forward(x, same, history));
                bench.run(&loss.backward(x, same, dx));
                vec![history, dx]
            })
        };
        check(&format!("{link} dx"), &x, &[1.0, 0.0], &both(&x)[1], |x| both(x).swap_remove(0));
    }
}
