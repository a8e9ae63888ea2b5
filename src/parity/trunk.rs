//! Cases of the trunk.
//!
//! Rectifier and maximum have kinks, where rounding may choose the other side. So their images are black and
//! white, and the weights small multiples of a power of two: all sums are exact, ties stay ties.

use super::case::{Case, Maker};
use crate::ops::activation::ActivationKind::{self, Relu, Sigmoid, Tanh};
use crate::ops::distance::DistanceKind::{self, Euclidean, L1};
use crate::ops::pool2d::PoolKind::{self, Average, Max};
use crate::ops::trunk::{BackwardViews, Parts, Trunk, UpdateViews};
use crate::ops::{Layout, TENSOR_ALIGN};
use crate::plan::Slot;

type Conv = (u32, u32, u32);

pub fn cases(_: Layout) -> Vec<Case> {
    let small = ((2, 9, 11), (3, 3, 1), (5, 2, 0), (7, 4));
    let mut cases = Vec::new();
    for (name, images, (input, first, second, dense), kinds) in [
        ("small, relu, max", 6, small, (Relu, Max, Euclidean)),
        ("small, tanh, average", 6, small, (Tanh, Average, L1)),
        ("small, sigmoid, average", 4, small, (Sigmoid, Average, Euclidean)),
        ("odd sides, relu, average", 2, ((1, 15, 14), (4, 2, 1), (3, 3, 2), (300, 9)), (Relu, Average, L1)),
        (
            "a kernel of 8, tanh, max",
            2,
            ((1, 26, 22), (2, 8, 3), (1, 4, 1), (3, 130)),
            (Tanh, Max, Euclidean),
        ),
        (
            "sn-lenet5 on 28x28, relu, max",
            4,
            ((1, 28, 28), (6, 5, 2), (16, 5, 0), (120, 84)),
            (Relu, Max, Euclidean),
        ),
        (
            "sn-lenet5 on 32x32 in colour, tanh, average",
            2,
            ((3, 32, 32), (6, 5, 0), (16, 5, 0), (120, 84)),
            (Tanh, Average, Euclidean),
        ),
    ] {
        let trunk = trunk(images, input, (first, second), dense, kinds);
        cases.push(forward(name, trunk, 1));
        cases.push(forward(&format!("{name}, pairs"), trunk, 2));
        cases.push(backward(name, trunk));
        cases.push(update(name, trunk, 4));
        cases.push(update(&format!("{name}, no head"), trunk, 0));
    }
    cases
}

fn trunk(
    images: u32,
    (channels, height, width): Conv,
    ((filters1, kernel1, padding1), (filters2, kernel2, padding2)): (Conv, Conv),
    (hidden, features): (u32, u32),
    (activation, pool, distance): (ActivationKind, PoolKind, DistanceKind),
) -> Trunk {
    let trunk = Trunk {
        images,
        branches: 2,
        channels,
        height,
        width,
        filters1,
        kernel1,
        padding1,
        group1: 0,
        splits1: 0,
        filters2,
        kernel2,
        padding2,
        group2: 0,
        splits2: 0,
        hidden,
        features,
        scalars: 4,
        activation,
        pool,
        distance,
        squared_floor: 1e-7,
        beta1: 0.9,
        rest1: 0.1,
        beta2: 0.999,
        rest2: 0.001,
        // Gradients come with errors here, and a smaller eps would divide them by themselves.
        eps: 1e-3,
    };
    trunk.fitted().unwrap_or_else(|(layer, why)| panic!("layer {layer}: {why}"))
}

/// Images in the data set of a case.
const RESIDENT: u32 = 5;
/// List entries before the batch.
const FIRST: u32 = 2;

fn exact(trunk: &Trunk) -> bool {
    trunk.activation == Relu || trunk.pool == Max
}

/// The data set and the list: images out of order, one of them twice.
fn data(maker: &mut Maker, trunk: &Trunk) -> [crate::ops::View; 2] {
    let mut random = maker.random();
    let pixel = |at: usize, random: &mut crate::data::random::Random| {
        if at >= trunk.pixels() {
            // Behind the image; nobody may look.
            0xff
        } else if exact(trunk) {
            255 * random.below(2)
        } else {
            random.below(256)
        }
    };
    let mut words = Vec::new();
    for _ in 0..RESIDENT {
        for word in 0..trunk.words() {
            words.push((0..4).fold(0, |all, k| all | pixel(4 * word + k, &mut random) << (8 * k)));
        }
    }
    let entries = trunk.images / trunk.branches + FIRST;
    let index = (0..entries * trunk.branches).map(|at| (at * 3 + at / 4) % RESIDENT).collect();
    [maker.words("data", words), maker.words("index", index)]
}

fn slot(trunk: &Trunk) -> Slot {
    // One entry fewer than the batch holds: the last is repeated.
    let count = (trunk.images / trunk.branches - 1).max(1);
    Slot {
        first: FIRST,
        count,
        learning_rate: 1e-3,
        correction1: 0.19,
        correction2: 0.002,
        ..Slot::default()
    }
}

fn parameters(maker: &mut Maker, trunk: &Trunk) -> crate::ops::View {
    let Parts { parameters, .. } = trunk.parts();
    let scale = |value: f32| if exact(trunk) { (8.0 * value).round() / 16.0 } else { 0.4 * value };
    let values = maker.signed(parameters).into_iter().map(scale).collect();
    maker.values("parameters", values)
}

/// Everything is plain in both halves.
fn forward(name: &str, trunk: Trunk, branches: u32) -> Case {
    let trunk = Trunk { branches, ..trunk };
    let images = trunk.images as usize;
    let mut maker = Maker::new(("trunk", "forward"), name, Layout::Plain);
    let [data, index] = data(&mut maker, &trunk);
    let parameters = parameters(&mut maker, &trunk);
    let saved = maker.output("saved", images * trunk.parts().saved, false);
    let embedding = maker.output("embedding", images * trunk.features as usize, false);
    maker.step(trunk.forward(data, index, parameters, saved, embedding));
    maker.slot(slot(&trunk));
    maker.done()
}

fn backward(name: &str, trunk: Trunk) -> Case {
    let (images, layout) = (trunk.images as usize, trunk.parts());
    let mut maker = Maker::new(("trunk", "backward"), name, Layout::Plain);
    let [data, index] = data(&mut maker, &trunk);
    let parameters = parameters(&mut maker, &trunk);
    let kept = maker.numbers("kept", images * layout.saved);
    let embedded = maker.numbers("embedded", images * trunk.features as usize);
    let mut values = maker.signed(images);
    // Distances, of several the first on the floor.
    for distance in &mut values[..images / 2] {
        *distance = distance.abs() + 0.2;
    }
    if images > 2 {
        values[0] = trunk.squared_floor.sqrt();
    }
    let compared = maker.values("compared", values);
    let parts = maker.output("parts", images * layout.parts, false);
    let inputs = BackwardViews { data, index, parameters, kept, embedded, compared };
    maker.step(trunk.backward(&inputs, parts));
    maker.slot(slot(&trunk));
    maker.done()
}

fn update(name: &str, trunk: Trunk, scalars: u32) -> Case {
    let trunk = Trunk { scalars, ..trunk };
    let (images, layout) = (trunk.images as usize, trunk.parts());
    let count = layout.parameters + TENSOR_ALIGN * scalars as usize;
    let mut maker = Maker::new(("trunk", "update"), name, Layout::Plain);
    let kept = maker.numbers("kept", images * layout.saved);
    let shares = maker.numbers("shares", images * layout.parts);
    let values = maker.signed(count);
    let gradient = maker.updated("gradient", values);
    let values = maker.signed(count);
    let parameter = maker.updated("parameter", values);
    let values = maker.signed(count).iter().map(|m| 1e-2 * m).collect();
    let first_moment = maker.updated("first_moment", values);
    let values = maker.signed(count).iter().map(|v| 1e-3 * v * v).collect();
    let second_moment = maker.updated("second_moment", values);
    let views = UpdateViews { parameter, first_moment, second_moment };
    maker.step(trunk.update(kept, shares, gradient, &views));
    maker.slot(slot(&trunk));
    maker.done()
}
