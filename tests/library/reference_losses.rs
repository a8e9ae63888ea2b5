//! Losses over whole batches against values of pytorch-metric-learning 2.9.0, computed in f64: the loss, the norm of
//! its gradient by the embeddings, and that of the first of them.

use gpu_siamese::cpu;
use gpu_siamese::graph::{Graph, Initialization};
use gpu_siamese::loss::{BatchHard, BatchLayout, Loss, NtXent, PairDistance};
use gpu_siamese::model::Network;
use gpu_siamese::ops::Layout;
use gpu_siamese::plan::{Capacity, Mode, OptimizerOptions, PlanKind, PlanOptions, Slot, build};
use gpu_siamese::tensor::Shape;

use crate::common::{Number, Run, packed};

const IMAGES: usize = 8;
/// More than images, so that a binding of few images still holds a matrix of all pairs.
const CHANNELS: usize = 256;
const EMBEDDINGS: [[f64; 4]; IMAGES] = [
    [0.9, 0.1, -0.3, 0.4],
    [0.7, 0.3, -0.1, 0.6],
    [0.2, 0.8, 0.1, -0.5],
    [-0.6, 0.5, 0.7, 0.1],
    [-0.4, 0.9, 0.5, 0.2],
    [0.1, -0.7, 0.8, 0.3],
    [0.3, -0.5, 0.6, -0.9],
    [-0.2, -0.6, -0.8, 0.5],
];
const LABELS: [u32; IMAGES] = [0, 0, 0, 1, 1, 2, 2, 3];

/// Loss, number of what is right, and gradient by each embedding. Images are one-hot, so the columns of a dense layer's
/// weight are the embeddings.
fn run<T: Number>(
    function: crate::common::Function<T>,
    loss: Loss,
    layout: Layout,
    max_binding: usize,
    (embeddings, labels): (&[[f64; 4]; IMAGES], &[u32; IMAGES]),
) -> (f64, f64, Vec<[f64; 4]>) {
    let input = Shape { channels: CHANNELS, height: 1, width: 1 };
    let comparison = Some(loss.comparison(PairDistance::EUCLIDEAN));
    let backbone = |graph: &mut Graph, images| graph.dense("rows", images, 4);
    let network = Network::new("rows", input, Initialization::PyTorch, comparison, backbone).unwrap();
    let options = PlanOptions {
        kind: PlanKind::Unfused,
        mode: Mode::Training,
        batch: BatchLayout::Labelled,
        batch_size: IMAGES,
        loss,
        optimizer: OptimizerOptions::default(),
        augment: false,
        standardize: false,
        capacity: Capacity { images: IMAGES, pairs: IMAGES, embeddings: 1, scores: 1 },
        max_binding,
        layout,
    };
    let mut run: Run<T> = Run::new(build(&network, &options).unwrap());
    let bytes: Vec<u8> =
        (0..IMAGES * CHANNELS).map(|at| if at / CHANNELS == at % CHANNELS { 255 } else { 0 }).collect();
    run.write_words("data.0", &packed(&bytes));
    run.write_words("images.index", &[0, 1, 2, 3, 4, 5, 6, 7]);
    run.write_words("images.label", labels);
    let column = |f: usize| {
        let rest = std::iter::repeat_n(0.0, CHANNELS - IMAGES);
        embeddings.iter().map(move |row| row[f]).chain(rest)
    };
    let weight: Vec<f64> = (0..4).flat_map(column).collect();
    run.write("rows.weight", &weight);
    let slot = Slot { count: IMAGES as u32, correction1: 1.0, correction2: 1.0, ..Slot::default() };
    for step in run.plan.train.clone() {
        run.run(function, &step, &slot);
    }
    let gradient = run.read("rows.weight.gradient");
    let rows = (0..IMAGES).map(|image| std::array::from_fn(|f| gradient[f * CHANNELS + image])).collect();
    let history = run.read("history");
    (history[0], history[1], rows)
}

fn norm(rows: &[[f64; 4]]) -> f64 {
    rows.iter().flatten().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn losses_of_whole_batches() {
    // Settings are f32: 0.07 and 0.2 are off by some 6e-8 of themselves, 0.5 and 1 by nothing.
    for (loss, value, size, first, within) in [
        (
            Loss::of(&NtXent).with("temperature", 0.5),
            1.133865432,
            1.120972917,
            [-0.0400673, -0.3572062, -0.0157352, 0.1676516],
            1e-9,
        ),
        (
            Loss::of(&NtXent).with("temperature", 0.07),
            1.727161270,
            7.941685615,
            [-0.8473355, -2.8043824, -1.0449225, 1.8239086],
            1e-6,
        ),
        (
            Loss::of(&BatchHard).with("margin", 0.2),
            0.128852116,
            0.676848894,
            [0.0309781, -0.2146515, -0.1328621, 0.1943479],
            1e-8,
        ),
    ] {
        let given = (&EMBEDDINGS, &LABELS);
        let (found, _, rows) = run::<f64>(cpu::reference, loss, Layout::Plain, 1 << 20, given);
        assert!((found - value).abs() < within, "{loss:?}: {found} {value}");
        assert!((norm(&rows) - size).abs() < 10.0 * within, "{loss:?}: {} {size}", norm(&rows));
        for (found, wanted) in rows[0].iter().zip(first) {
            // Printed to seven digits.
            assert!((found - wanted).abs() < 1e-7 + 10.0 * within, "{loss:?}: {:?} {first:?}", rows[0]);
        }
        // In micro-batches of three images, and as users run it.
        let cut = run::<f64>(cpu::reference, loss, Layout::Plain, 4 * CHANNELS * 3, given);
        assert!((cut.0 - found).abs() < 1e-12 && (norm(&cut.2) - norm(&rows)).abs() < 1e-12, "{loss:?}");
        let fast = run::<f32>(cpu::fast, loss, Layout::Interleaved, usize::MAX / 8, given);
        assert!((fast.0 - found).abs() < 1e-5, "{loss:?}: {} {found}", fast.0);
        assert!((norm(&fast.2) - norm(&rows)).abs() < 1e-4 * size, "{loss:?}");
    }
}

/// Batches on which a loss stands still: its constant where all embeddings are equal, 0 where nothing is to be learned.
#[test]
fn losses_at_the_edges() {
    let losses = [Loss::of(&NtXent).with("temperature", 0.5), Loss::of(&BatchHard).with("margin", 0.2)];
    let distinct = [0, 1, 2, 3, 4, 5, 6, 7];
    for (loss, collapsed) in losses.into_iter().zip([1.853420, 0.2]) {
        let of = |embeddings, labels| {
            run::<f64>(cpu::reference, loss, Layout::Plain, 1 << 20, (embeddings, labels))
        };
        for labels in [&distinct, &[5; IMAGES]] {
            let (value, _, rows) = of(&EMBEDDINGS, labels);
            assert_eq!((value, norm(&rows)), (0.0, 0.0), "{loss:?} {labels:?}");
        }
        let (value, correct, rows) = of(&[EMBEDDINGS[0]; IMAGES], &LABELS);
        assert!((value - collapsed).abs() < 1e-6, "{loss:?}: {value}");
        assert!(norm(&rows) < 1e-12, "{loss:?}: {rows:?}");
        assert_eq!(correct, 0.0, "what is equal is told apart from nothing");
        // An embedding of length 0 has no direction, and no gradient by it.
        let mut zero = EMBEDDINGS;
        zero[2] = [0.0; 4];
        let (value, _, rows) = of(&zero, &LABELS);
        assert!(value.is_finite() && rows.iter().flatten().all(|x| x.is_finite()), "{loss:?}");
        if loss.name() == "nt-xent" {
            assert_eq!(rows[2], [0.0; 4]);
        }
    }
}
