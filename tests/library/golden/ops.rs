//! Every case of ops.json, with the references in f64 and f32 and with the fast functions.
//!
//! An element may differ by `(UNITS * unit + sensitivity * 2^-24) * scale`.
//!
//! - `unit` is half the distance from 1 to the next number, 2^-53 or 2^-24. Adding n products errs
//!   by at most n units of the sum of their sizes, in whatever order, and by about sqrt(n) where
//!   errors fall either way. The longest sum here has 126 products (2 x 7 x 9 places for a weight's
//!   gradient) of sizes that add up to a few times the `scale`: hence 64 units. The worst found are
//!   3 in f64 and 13 in f32.
//! - `sensitivity`: attributes are f32 here and f64 there, so each is off by up to 2^-24 relative;
//!   this is what an error of that size in the attributes does to the result, relative to `scale`.
//! - `scale` is the element itself where only products and sums of one sign make it, and the
//!   tensor's largest element where terms cancel.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use gpu_siamese::cpu;
use gpu_siamese::ops::activation::Activation;
use gpu_siamese::ops::adam::{Adam, AdamViews};
use gpu_siamese::ops::add::Add;
use gpu_siamese::ops::batch_norm::{BatchNorm, MOMENTS, NormViews};
use gpu_siamese::ops::binary_cross_entropy::BinaryCrossEntropy;
use gpu_siamese::ops::channel_conv::ChannelConv;
use gpu_siamese::ops::contrastive::Contrastive;
use gpu_siamese::ops::conv2d::Conv2d;
use gpu_siamese::ops::dense::Dense;
use gpu_siamese::ops::distance::Distance;
use gpu_siamese::ops::dropout::Dropout;
use gpu_siamese::ops::episode::Episode;
use gpu_siamese::ops::head::Head;
use gpu_siamese::ops::pool2d::Pool2d;
use gpu_siamese::ops::reduce::Reduce;
use gpu_siamese::ops::sgd::{Sgd, SgdViews};
use gpu_siamese::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use gpu_siamese::ops::standardize::Standardize;
use gpu_siamese::ops::warp::Warp;
use gpu_siamese::ops::weighted_sum::WeightedSum;
use gpu_siamese::ops::{self, INTERLEAVE, Layout};
use gpu_siamese::plan::Slot;
use gpu_siamese::train::setup;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::common::{Bench, Function, Number, packed};

const UNITS: f64 = 64.0;
const F32_UNIT: f64 = 1.0 / (1 << 24) as f64;
const F64_UNIT: f64 = 1.0 / (1u64 << 53) as f64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    op: String,
    case: String,
    attributes: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Tensor>,
    /// Attributes and tensors that were asked for.
    #[serde(skip)]
    used: RefCell<BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Case {
    fn attribute<A: DeserializeOwned>(&self, name: &str) -> A {
        self.used.borrow_mut().insert(name.into());
        serde_json::from_value(self.attributes[name].clone()).expect(name)
    }

    fn number(&self, name: &str) -> u32 {
        self.attribute(name)
    }

    fn tensor(&self, name: &str) -> &[f64] {
        self.used.borrow_mut().insert(name.into());
        let Tensor { shape, data } = &self.tensors[name];
        assert_eq!(shape.iter().product::<usize>(), data.len(), "{}/{} {name}", self.op, self.case);
        data
    }

    /// A tensor that is exact in f32. The JSON parser's last digit is not exact, and would matter
    /// where inputs cancel.
    fn input(&self, name: &str) -> Vec<f64> {
        let rounded = |&value: &f64| {
            let input = f64::from(value as f32);
            assert!((input - value).abs() <= 4.0 * F64_UNIT * value.abs(), "{name} holds {value}, no f32");
            input
        };
        self.tensor(name).iter().map(rounded).collect()
    }
}

enum Scale {
    Element,
    Largest,
    Given(Vec<f64>),
}
use Scale::{Element, Largest};

/// A computed tensor under its golden name.
struct Found {
    name: &'static str,
    values: Vec<f64>,
    scale: Scale,
    sensitivity: f64,
}

fn found(name: &'static str, values: Vec<f64>, scale: Scale) -> Found {
    Found { name, values, scale, sensitivity: 0.0 }
}

fn check(case: &Case, unit: f64, found: &Found) {
    let expected = case.tensor(found.name);
    assert_eq!(expected.len(), found.values.len(), "{}/{} {}", case.op, case.case, found.name);
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (i, (&value, &wanted)) in found.values.iter().zip(expected).enumerate() {
        let scale = match &found.scale {
            // Below the smallest normal f32 an f32 has fewer digits.
            Element => wanted.abs().max(f32::MIN_POSITIVE.into()),
            Largest => largest,
            Scale::Given(scales) => scales[i],
        };
        let allowed = (UNITS * unit + found.sensitivity * F32_UNIT) * scale;
        assert!(
            (value - wanted).abs() <= allowed,
            "{}/{} {}[{i}] is {value}, not {wanted} (+-{allowed:e})",
            case.op,
            case.case,
            found.name
        );
    }
}

fn conv2d<T: Number>(case: &Case, bench: &mut Bench<T>, images_per_part: usize) -> Vec<Found> {
    let conv = Conv2d {
        images: case.number("images"),
        in_channels: case.number("in_channels"),
        in_height: case.number("in_height"),
        in_width: case.number("in_width"),
        out_channels: case.number("out_channels"),
        groups: case.number("groups"),
        kernel_height: case.number("kernel_height"),
        kernel_width: case.number("kernel_width"),
        stride: case.number("stride"),
        padding_height: case.number("padding_height"),
        padding_width: case.number("padding_width"),
        biased: true,
        images_per_part: images_per_part as u32,
        accumulate: false,
    };
    let images = conv.images as usize;
    let (x, dy) = (bench.images(&case.input("x"), images), bench.image_gradient(&case.input("dy"), images));
    let (weight, bias) = (bench.input(&case.input("weight")), bench.input(&case.input("bias")));
    let (y, dx) = (bench.image_output(images, conv.out_len()), bench.image_output(images, conv.in_len()));
    let parts = bench.output(conv.parts() * conv.weight_len());
    let (dweight, dbias) = (bench.output(weight.len), bench.output(bias.len));
    let reduce = Reduce { count: weight.len as u32, parts: conv.parts() as u32, accumulate: false };
    bench.run(&conv.forward(x, weight, bias, y));
    bench.run(&conv.backward_input(dy, weight, dx));
    bench.run(&conv.backward_weight(x, dy, parts));
    bench.run(&reduce.forward(parts, dweight));
    bench.run(&conv.backward_bias(dy, dbias));
    [("y", y), ("dx", dx), ("dweight", dweight), ("dbias", dbias)]
        .map(|(name, view)| found(name, bench.read(view), Largest))
        .into()
}

fn scale<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [images, channels, spatial] = ["images", "channels", "spatial"].map(|name| case.number(name));
    let scale = ops::scale::Scale { images, channels, spatial, accumulate: false };
    let (images, channels) = (images as usize, channels as usize);
    let values = channels * spatial as usize;
    let [x, factors] = ["x", "scale"].map(|name| bench.images(&case.input(name), images));
    let dy = bench.image_gradient(&case.input("dy"), images);
    let [y, dx] = [(); 2].map(|()| bench.image_output(images, values));
    let dscale = bench.image_output(images, channels);
    bench.run(&scale.forward(x, factors, y));
    bench.run(&scale.backward_input(dy, factors, dx));
    bench.run(&scale.backward_scale(x, dy, dscale));
    vec![
        found("y", bench.read(y), Element),
        found("dx", bench.read(dx), Element),
        found("dscale", bench.read(dscale), Largest),
    ]
}

fn channel_conv<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [images, channels, kernel] = ["images", "channels", "kernel"].map(|name| case.number(name));
    let conv = ChannelConv { images, channels, kernel, accumulate: false };
    let (images, channels) = (images as usize, channels as usize);
    let (x, weight) = (bench.images(&case.input("x"), images), bench.input(&case.input("weight")));
    let dy = bench.image_gradient(&case.input("dy"), images);
    let [y, dx] = [(); 2].map(|()| bench.image_output(images, channels));
    let dweight = bench.output(kernel as usize);
    bench.run(&conv.forward(x, weight, y));
    bench.run(&conv.backward_input(dy, weight, dx));
    bench.run(&conv.backward_weight(x, dy, dweight));
    [("y", y), ("dx", dx), ("dweight", dweight)]
        .map(|(name, view)| found(name, bench.read(view), Largest))
        .into()
}

fn dropout<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [images, values, branches, first, layer] =
        ["images", "values", "branches", "first", "layer"].map(|name| case.number(name));
    let (threshold, scale) = Dropout::of_rate(case.attribute("rate"));
    let dropout = Dropout { images, values, branches, first, layer, threshold, scale, accumulate: false };
    let [seed_low, seed_high] = ["seed_low", "seed_high"].map(|name| case.number(name));
    bench.slot = Slot { seed_low, seed_high, ..Slot::default() };
    let images = images as usize;
    let (x, dy) = (bench.images(&case.input("x"), images), bench.image_gradient(&case.input("dy"), images));
    let [y, dx] = [(); 2].map(|()| bench.image_output(images, values as usize));
    bench.run(&dropout.forward(x, y));
    bench.run(&dropout.backward(dy, dx));
    // The scale is rounded to f32.
    [("y", y), ("dx", dx)]
        .map(|(name, view)| Found { sensitivity: 1.0, ..found(name, bench.read(view), Element) })
        .into()
}

/// With the gather before it, and the statistics that the host computes.
fn standardize<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [images, pixels] = ["images", "pixels"].map(|name| case.number(name));
    let op = Standardize { images, pixels, branches: 1, first: 0 };
    let bytes: Vec<u8> = case.input("data").iter().map(|&byte| byte as u8).collect();
    let mut words = Vec::new();
    for image in bytes.chunks_exact(pixels as usize) {
        let mut image = image.to_vec();
        image.resize(4 * op.gather().words(), 0);
        words.extend(packed(&image));
    }
    let data = bench.words(&words);
    let index = bench.words(&(0..images).collect::<Vec<u32>>());
    let known = bytes.chunks(pixels as usize).flat_map(setup::statistics).map(f64::from);
    let statistics = bench.input(&known.collect::<Vec<f64>>());
    let y = bench.image_output(images as usize, pixels as usize);
    bench.slot = Slot { count: images, ..Slot::default() };
    bench.run(&op.gather().forward(data, index, y));
    bench.run(&op.forward(index, statistics, y));
    // Scale and shift are rounded to f32, and the sum may cancel.
    vec![Found { sensitivity: 2.0, ..found("y", bench.read(y), Largest) }]
}

fn pool2d<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let pool = Pool2d {
        images: case.number("images"),
        channels: case.number("channels"),
        in_height: case.number("in_height"),
        in_width: case.number("in_width"),
        size: case.number("size"),
        stride: case.number("stride"),
        padding: case.number("padding"),
        kind: case.attribute("kind"),
        accumulate: false,
    };
    let images = pool.images as usize;
    let (x, dy) = (bench.images(&case.input("x"), images), bench.image_gradient(&case.input("dy"), images));
    let (y, dx) = (bench.image_output(images, pool.out_len()), bench.image_output(images, pool.in_len()));
    bench.run(&pool.forward(x, y));
    bench.run(&pool.backward(x, dy, dx));
    vec![found("y", bench.read(y), Largest), found("dx", bench.read(dx), Largest)]
}

fn activation<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let activation =
        Activation { count: case.number("count"), kind: case.attribute("kind"), accumulate: false };
    let (x, dy) = (bench.input(&case.input("x")), bench.input(&case.input("dy")));
    let (y, dx) = (bench.output(x.len), bench.output(x.len));
    bench.run(&activation.forward(x, y));
    bench.run(&activation.backward(y, dy, dx));
    // 1 - y^2 and 1 - y cancel.
    vec![found("y", bench.read(y), Element), found("dx", bench.read(dx), Largest)]
}

fn dense<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [images, inputs, outputs] = ["images", "inputs", "outputs"].map(|name| case.number(name));
    let dense = Dense { images, inputs, outputs, first_row: 0, rows: outputs, accumulate: false };
    let images = images as usize;
    let (x, dy) = (bench.images(&case.input("x"), images), bench.image_gradient(&case.input("dy"), images));
    let (weight, bias) = (bench.input(&case.input("weight")), bench.input(&case.input("bias")));
    let (y, dx) = (bench.image_output(images, outputs as usize), bench.image_output(images, inputs as usize));
    let (dweight, dbias) = (bench.output(weight.len), bench.output(bias.len));
    bench.run(&dense.forward(x, weight, bias, y));
    bench.run(&dense.backward_input(dy, weight, dx));
    bench.run(&dense.backward_weight(x, dy, dweight));
    bench.run(&dense.backward_bias(dy, dbias));
    [("y", y), ("dx", dx), ("dweight", dweight), ("dbias", dbias)]
        .map(|(name, view)| found(name, bench.read(view), Largest))
        .into()
}

fn batch_norm<T: Number>(case: &Case, bench: &mut Bench<T>, images_per_part: usize) -> Vec<Found> {
    let [images, channels, spatial] = ["images", "channels", "spatial"].map(|name| case.number(name));
    let whole =
        BatchNorm::whole(images, channels, spatial, case.attribute("eps"), case.attribute("momentum"));
    let norm = BatchNorm {
        images_per_part: images_per_part as u32,
        parts_in_all: images.div_ceil(images_per_part as u32),
        ..whole
    };
    let [weight, bias, running_mean, running_var] =
        ["weight", "bias", "running_mean", "running_var"].map(|name| bench.input(&case.input(name)));
    let (count, values) = (images as usize, (channels * spatial) as usize);
    let x = bench.images(&case.input("x"), count);
    let dy = bench.image_gradient(&case.input("dy"), count);
    let [y, y_infer, dx] = [(); 3].map(|()| bench.image_output(count, values));
    let (channels, parts_len) = (channels as usize, (norm.parts_in_all * channels) as usize);
    let parts = bench.output(MOMENTS * parts_len);
    let partial = [(); 2].map(|()| bench.output(parts_len));
    let [mean, variance, dweight, dbias] = [(); 4].map(|()| bench.output(channels));
    let views = NormViews { weight, bias, mean, variance };
    // First, because the forward pass moves the running statistics.
    bench.run(&norm.forward(x, &NormViews { mean: running_mean, variance: running_var, ..views }, y_infer));
    bench.run(&norm.moments(x, parts));
    bench.run(&norm.merge(parts, [mean, variance], [running_mean, running_var]));
    bench.run(&norm.forward(x, &views, y));
    bench.run(&norm.backward_weight(x, dy, &views, partial));
    let reduce = Reduce { count: channels as u32, parts: norm.parts_in_all, accumulate: false };
    bench.run(&reduce.forward(partial[0], dweight));
    bench.run(&reduce.forward(partial[1], dbias));
    bench.run(&norm.backward_input(x, dy, &views, [dweight, dbias], dx));
    // eps is at most 1e-3 beside variances above 0.5, and half of its error enters.
    let with_eps = [("y", y), ("y_infer", y_infer), ("dx", dx), ("dweight", dweight), ("dbias", dbias)]
        .map(|(name, view)| Found { sensitivity: 1e-3, ..found(name, bench.read(view), Largest) });
    // The rest of 1 - momentum has the same error, on a number of the other sign.
    let with_momentum = [("running_mean_after", running_mean), ("running_var_after", running_var)]
        .map(|(name, view)| Found { sensitivity: 1.0, ..found(name, bench.read(view), Largest) });
    with_eps.into_iter().chain(with_momentum).collect()
}

fn add<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let add = Add { count: case.number("count"), accumulate: false };
    let [a, b, dy] = ["a", "b", "dy"].map(|name| bench.input(&case.input(name)));
    let [y, da, db] = [(); 3].map(|()| bench.output(a.len));
    bench.run(&add.forward(a, b, y));
    bench.run(&add.backward(dy, da));
    bench.run(&add.backward(dy, db));
    [("y", y), ("da", da), ("db", db)].map(|(name, view)| found(name, bench.read(view), Element)).into()
}

fn distance<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let distance = Distance {
        pairs: case.number("pairs"),
        features: case.number("features"),
        first: 0,
        kind: case.attribute("kind"),
        squared_floor: 1e-7,
        accumulate: false,
    };
    let (pairs, features) = (distance.pairs as usize, distance.features as usize);
    let x = bench.images(&case.input("x"), 2 * pairs);
    let dy = bench.input(&case.input("dy"));
    let (y, dx) = (bench.output(pairs), bench.image_output(2 * pairs, features));
    bench.run(&distance.forward(x, y));
    bench.run(&distance.backward(x, y, dy, dx));
    // At the floor the distance is its root, with half its error.
    vec![
        Found { sensitivity: 0.5, ..found("y", bench.read(y), Element) },
        found("dx", bench.read(dx), Element),
    ]
}

fn head<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let head = Head { pairs: case.number("pairs") };
    let values = ["x", "dy", "weight", "bias"].map(|name| case.input(name));
    let [x, dy, weight, bias] = values.each_ref().map(|values| bench.input(values));
    let (y, dx) = (bench.output(x.len), bench.output(x.len));
    let (dweight, dbias) = (bench.output(1), bench.output(1));
    bench.run(&head.forward(x, weight, bias, y));
    bench.run(&head.backward_input(y, dy, weight, dx));
    bench.run(&head.backward_weight(x, y, dy, dweight, dbias));
    // y (1 - y) cancels near 1, where it errs by a unit of 1; so each product errs by a unit of:
    let [x, dy, weight, _] = values;
    let each = dy.iter().map(|dy| (dy * weight[0]).abs()).collect();
    let with_x = dy.iter().zip(x).map(|(dy, x)| (dy * x).abs()).sum();
    let alone = dy.iter().map(|dy| dy.abs()).sum();
    vec![
        found("y", bench.read(y), Element),
        found("dx", bench.read(dx), Scale::Given(each)),
        found("dweight", bench.read(dweight), Scale::Given(vec![with_x])),
        found("dbias", bench.read(dbias), Scale::Given(vec![alone])),
    ]
}

fn contrastive<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let loss = Contrastive {
        pairs: case.number("pairs"),
        margin: case.attribute("margin"),
        convention: case.attribute("convention"),
    };
    bench.slot = Slot { count: loss.pairs, ..Slot::default() };
    let same: Vec<u32> = case.input("same").iter().map(|&same| same as u32).collect();
    let (x, same) = (bench.input(&case.input("x")), bench.words(&same));
    let (history, dx) = (bench.output(2), bench.output(x.len));
    bench.run(&loss.forward(x, same, history));
    bench.run(&loss.backward(x, same, dx));
    let history = bench.read(history);
    vec![
        found("loss", vec![history[0]], Element),
        found("hits", vec![history[1]], Element),
        found("dx", bench.read(dx), Element),
    ]
}

fn episode<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [pairs, features, way] = ["pairs", "features", "way"].map(|name| case.number(name));
    let episode = Episode { pairs, features, way };
    let [rows, pairs] = [2 * pairs, pairs].map(|rows| rows as usize);
    let (x, dy) = (bench.images(&case.input("x"), rows), bench.image_gradient(&case.input("dy"), pairs));
    let (y, dx) = (bench.image_output(pairs, way as usize), bench.image_output(rows, features as usize));
    bench.run(&episode.forward(x, y));
    bench.run(&episode.backward(x, dy, dx));
    vec![found("y", bench.read(y), Element), found("dx", bench.read(dx), Largest)]
}

fn weighted_sum<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [pairs, features] = ["pairs", "features"].map(|name| case.number(name));
    let sum = WeightedSum { pairs, features, first: 0, accumulate: false };
    let rows = 2 * pairs as usize;
    let x = bench.images(&case.input("x"), rows);
    let [weight, bias, dy] = ["weight", "bias", "dy"].map(|name| bench.input(&case.input(name)));
    let [y, dweight, dbias] = [dy.len, weight.len, 1].map(|len| bench.output(len));
    let dx = bench.image_output(rows, features as usize);
    bench.run(&sum.forward(x, weight, bias, y));
    bench.run(&sum.backward_input(x, weight, dy, dx));
    bench.run(&sum.backward_weight(x, dy, dweight));
    bench.run(&sum.backward_bias(dy, dbias));
    [("y", y), ("dx", dx), ("dweight", dweight), ("dbias", dbias)]
        .map(|(name, view)| found(name, bench.read(view), Largest))
        .into()
}

fn binary_cross_entropy<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let loss = BinaryCrossEntropy {
        pairs: case.number("pairs"),
        link: case.attribute("link"),
        scale: case.attribute("scale"),
        floor: case.attribute("floor"),
    };
    bench.slot = Slot { count: loss.pairs, ..Slot::default() };
    let same: Vec<u32> = case.input("same").iter().map(|&same| same as u32).collect();
    let (x, same) = (bench.input(&case.input("x")), bench.words(&same));
    let (history, dx, y) = (bench.output(2), bench.output(x.len), bench.output(x.len));
    bench.run(&loss.forward(x, same, history));
    bench.run(&loss.backward(x, same, dx));
    bench.run(&loss.similarity(x, y));
    let history = bench.read(history);
    vec![
        found("loss", vec![history[0]], Element),
        found("hits", vec![history[1]], Element),
        found("dx", bench.read(dx), Element),
        found("y", bench.read(y), Element),
    ]
}

fn softmax_cross_entropy<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let [images, classes] = ["images", "classes"].map(|name| case.number(name));
    let loss = SoftmaxCrossEntropy { images, classes, first: 0, accumulate: false };
    bench.slot = Slot { count: images, ..Slot::default() };
    let label: Vec<u32> = case.input("label").iter().map(|&label| label as u32).collect();
    let (x, label) = (bench.images(&case.input("x"), images as usize), bench.words(&label));
    let (history, dx) = (bench.output(2), bench.image_output(images as usize, classes as usize));
    bench.run(&loss.forward(x, label, history));
    bench.run(&loss.backward(x, label, dx));
    let history = bench.read(history);
    vec![
        found("loss", vec![history[0]], Element),
        found("hits", vec![history[1]], Element),
        // A share near 1 cancels.
        found("dx", bench.read(dx), Largest),
    ]
}

fn adam<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let (beta1, beta2): (f64, f64) = (case.attribute("beta1"), case.attribute("beta2"));
    let (count, steps) = (case.number("count"), case.number("steps"));
    let weight_decay: f64 = case.attribute("weight_decay");
    let adam = Adam {
        count,
        beta1: beta1 as f32,
        rest1: (1.0 - beta1) as f32,
        beta2: beta2 as f32,
        rest2: (1.0 - beta2) as f32,
        eps: case.attribute("eps"),
        decays: weight_decay != 0.0,
    };
    let [parameter, first_moment, second_moment] =
        ["parameter", "first_moment", "second_moment"].map(|name| bench.input(&case.input(name)));
    let (gradients, rates) = (case.input("gradients"), case.input("learning_rates"));
    assert_eq!((gradients.len(), rates.len()), ((count * steps) as usize, steps as usize));
    for (t, (gradient, &rate)) in gradients.chunks_exact(count as usize).zip(&rates).enumerate() {
        let correction = |beta: f64| (1.0 - beta.powi(t as i32 + 1)) as f32;
        bench.slot = Slot {
            learning_rate: rate as f32,
            correction1: correction(beta1),
            correction2: correction(beta2),
            shrink: (1.0 - rate * weight_decay) as f32,
            ..Slot::default()
        };
        let gradient = bench.input(gradient);
        bench.run(&adam.forward(&AdamViews { gradient, parameter, first_moment, second_moment }));
    }
    // A moment is a sum of up to 5 terms, each with up to 5 powers of beta and one rest: 6 errors.
    // For the first moment they are relative to the largest gradient, whose terms may cancel.
    let largest = |i| {
        gradients
            .chunks_exact(count as usize)
            .fold(0.0, |largest: f64, step| largest.max(step[i as usize].abs()))
    };
    let first_scale = Scale::Given((0..count).map(largest).collect());
    // A step's size is at most its rate (at most 2e-3, in all 5.5e-3) times sqrt(5): that bounds a
    // gradient against the root of the second moment. Errors in that: 6 and 1 above; half of 6 and
    // of 1, and 1 for eps, below; 1 for the rate. 5.5e-3 * sqrt(5) * 12.5 = 0.15, absolute.
    // What a decay keeps has an error of its own in each step, relative to parameters below 3.
    let of_parameter = if adam.decays { 0.15 + 3.0 * f64::from(steps) } else { 0.15 };
    assert!(case.input("parameter").iter().all(|value| value.abs() < 3.0));
    let ones = Scale::Given(vec![1.0; count as usize]);
    vec![
        Found { sensitivity: of_parameter, ..found("parameter_after", bench.read(parameter), ones) },
        Found { sensitivity: 6.0, ..found("first_moment_after", bench.read(first_moment), first_scale) },
        Found { sensitivity: 6.0, ..found("second_moment_after", bench.read(second_moment), Element) },
    ]
}

fn sgd<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let (count, steps) = (case.number("count"), case.number("steps"));
    // All exact in f32.
    let sgd = Sgd { count, penalty: case.attribute("penalty") };
    bench.slot = Slot {
        learning_rate: case.attribute("rate"),
        momentum: case.attribute("momentum"),
        ..Slot::default()
    };
    let (parameter, velocity) =
        (bench.input(&case.input("parameter")), bench.input(&vec![0.0; count as usize]));
    let gradients = case.input("gradients");
    assert_eq!(gradients.len(), (count * steps) as usize);
    for gradient in gradients.chunks_exact(count as usize) {
        let gradient = bench.input(gradient);
        bench.run(&sgd.forward(&SgdViews { gradient, parameter, velocity }));
    }
    let mut results = vec![found("parameter_after", bench.read(parameter), Largest)];
    if case.tensors.contains_key("velocity_after") {
        results.push(found("velocity_after", bench.read(velocity), Largest));
    }
    results
}

fn warp<T: Number>(case: &Case, bench: &mut Bench<T>) -> Vec<Found> {
    let images = case.number("images");
    let warp = Warp {
        images,
        channels: case.number("channels"),
        height: case.number("height"),
        width: case.number("width"),
        branches: 1,
        first: 0,
        first_resident: 0,
        resident: images,
    };
    bench.slot = Slot { count: images, ..Slot::default() };
    let mut words = Vec::new();
    for image in case.input("bytes").chunks_exact(warp.pixels()) {
        let mut bytes: Vec<u8> = image.iter().map(|&byte| byte as u8).collect();
        bytes.resize(4 * warp.words(), 0);
        words.extend(packed(&bytes));
    }
    let units = [15, 15, 16, 15, 15, 16].into_iter().cycle();
    let fixed = case.input("matrices").into_iter().zip(units);
    let matrices: Vec<u32> =
        fixed.map(|(value, bits)| (value * f64::from(1 << bits)) as i32 as u32).collect();
    let (data, index) = (bench.words(&words), bench.words(&(0..images).collect::<Vec<_>>()));
    let matrices = bench.words(&matrices);
    let y = bench.image_output(images as usize, warp.pixels());
    bench.run(&warp.forward(data, index, matrices, y));
    vec![found("y", bench.read(y), Largest)]
}

/// Checks every case; each in memory of its own.
fn check_all<T: Number>(function: Function<T>, layout: Layout, unit: f64) {
    let cases: Vec<Case> = serde_json::from_str(include_str!("ops.json")).unwrap();
    let (mut ops, mut ran) = (BTreeSet::new(), BTreeSet::new());
    for case in &cases {
        let mut bench = Bench::new(function, layout);
        // A last part of one image where the layout leaves the choice.
        let images_per_part = if layout == Layout::Plain { 2 } else { INTERLEAVE };
        let results = match case.op.as_str() {
            "scale" => scale(case, &mut bench),
            "channel_conv" => channel_conv(case, &mut bench),
            "dropout" => dropout(case, &mut bench),
            "standardize" => standardize(case, &mut bench),
            "conv2d" => conv2d(case, &mut bench, images_per_part),
            "pool2d" => pool2d(case, &mut bench),
            "activation" => activation(case, &mut bench),
            "dense" => dense(case, &mut bench),
            "batch_norm" => batch_norm(case, &mut bench, images_per_part),
            "add" => add(case, &mut bench),
            "distance" => distance(case, &mut bench),
            "head" => head(case, &mut bench),
            "contrastive" => contrastive(case, &mut bench),
            "softmax_cross_entropy" => softmax_cross_entropy(case, &mut bench),
            "episode" => episode(case, &mut bench),
            "weighted_sum" => weighted_sum(case, &mut bench),
            "binary_cross_entropy" => binary_cross_entropy(case, &mut bench),
            "adam" => adam(case, &mut bench),
            "sgd" => sgd(case, &mut bench),
            "warp" => warp(case, &mut bench),
            op => panic!("nothing checks {op}"),
        };
        results.iter().for_each(|found| check(case, unit, found));
        let all: BTreeSet<_> = case.attributes.keys().chain(case.tensors.keys()).cloned().collect();
        assert_eq!(all, case.used.take(), "what {}/{} holds, and what was used", case.op, case.case);
        ops.insert(case.op.as_str());
        ran.append(&mut bench.ran);
    }
    let left: Vec<_> = cpu::FUNCTIONS
        .iter()
        .filter(|&&(op, entry)| ops.contains(op) && !ran.contains(&(op, entry)))
        .collect();
    assert!(left.is_empty(), "golden cases exist, but not for {left:?}");
    let without: BTreeSet<_> =
        cpu::FUNCTIONS.iter().map(|(op, _)| *op).filter(|op| !ops.contains(op)).collect();
    // These move or add numbers; the training steps run the first two.
    let plain = ["collect", "gather", "reduce", "rows", "record", "mask", "take"];
    // What losses are made of: whole losses have values (reference_losses.rs), each its finite differences.
    let primitives = ["elementwise", "layer_norm", "matmul", "normalize", "pairwise", "reduction"];
    // The references of these call those of their parts, which have cases.
    let fused = ["activated_pool", "conv2d_blocked", "dense_blocked", "objective", "trunk"];
    assert_eq!(
        without,
        BTreeSet::from_iter([&plain[..], &primitives, &fused].concat()),
        "ops without golden cases"
    );
}

#[test]
fn references_in_f64() {
    check_all::<f64>(cpu::reference, Layout::Plain, F64_UNIT);
}

#[test]
fn references_in_f32() {
    check_all::<f32>(cpu::reference, Layout::Plain, F32_UNIT);
}

#[test]
fn fast_functions() {
    check_all::<f32>(cpu::fast, Layout::Interleaved, F32_UNIT);
}
