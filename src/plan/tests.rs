use super::*;
use crate::graph::{Conv, Graph, Initialization, Initializer, Op, ValueId};
use crate::loss::{Classes, CrossEntropy, Episodes, Hadsell, NtXent, PairDistance};
use crate::model::{ModelError, ModelOptions, Network, network};
use crate::ops::activation::ActivationKind;
use crate::ops::dropout::Dropout;
use crate::ops::{Access, Constant};
use crate::plan::optimizer::Family;

const SPLITTABLE: [PlanKind; 2] = [PlanKind::Unfused, PlanKind::Blocked];

fn lenet(channels: usize, side: usize, options: &ModelOptions) -> Network {
    network("sn-lenet5", Shape { channels, height: side, width: side }, options).unwrap()
}

/// What distinguishes a network of SN-LeNet-5's kind.
#[derive(Clone, Copy)]
struct Layers {
    convs: [Conv; 2],
    outputs: [usize; 2],
    /// Of the last dense layer; none leaves it out.
    last: Option<ActivationKind>,
    dropout: Option<f32>,
}

const LENET: Layers = Layers {
    convs: [Conv::new(6, 5, 1, 2), Conv::new(16, 5, 1, 0)],
    outputs: [120, 84],
    last: Some(ActivationKind::Relu),
    dropout: None,
};

fn of_layers(layers: Layers) -> Network {
    let options = ModelOptions::default();
    let build = |graph: &mut Graph, images| {
        let mut x = images;
        for (number, conv) in (1..).zip(layers.convs) {
            x = graph.conv2d(&format!("conv{number}"), x, conv);
            x = graph.activation(&format!("act{number}"), x, options.activation);
            x = graph.pool(&format!("pool{number}"), x, options.pool, [2, 2, 0]);
        }
        x = graph.dense("fc1", x, layers.outputs[0]);
        x = graph.activation("act3", x, options.activation);
        if let Some(rate) = layers.dropout {
            x = graph.apply("dropout", Op::Dropout { rate }, &[x]);
        }
        x = graph.dense("fc2", x, layers.outputs[1]);
        layers.last.map_or(x, |kind| graph.activation("act4", x, kind))
    };
    let input = Shape { channels: 1, height: 28, width: 28 };
    Network::new("sn-lenet5", input, Initialization::PyTorch, Some(options.comparison), build).unwrap()
}

fn options(kind: PlanKind, batch_size: usize, max_binding: usize, layout: Layout) -> PlanOptions {
    PlanOptions {
        kind,
        mode: Mode::Training,
        batch: BatchLayout::Pairs,
        batch_size,
        loss: Loss::default(),
        optimizer: OptimizerOptions::default(),
        augment: false,
        standardize: false,
        capacity: Capacity { images: 100, pairs: 2 * batch_size, embeddings: 50, scores: 70 },
        max_binding,
        layout,
    }
}

fn plan(batch_size: usize, max_binding: usize, layout: Layout) -> Result<Plan, PlanError> {
    let network = lenet(1, 28, &ModelOptions::default());
    build(&network, &options(PlanKind::Unfused, batch_size, max_binding, layout))
}

fn plan_as(kind: PlanKind, batch_size: usize, max_binding: usize, layout: Layout) -> Result<Plan, PlanError> {
    build(&lenet(1, 28, &ModelOptions::default()), &options(kind, batch_size, max_binding, layout))
}

fn fused(network: &Network, batch_size: usize, max_binding: usize) -> Result<Plan, PlanError> {
    let loss = suiting(network);
    build(network, &PlanOptions { loss, ..options(PlanKind::Fused, batch_size, max_binding, Layout::Plain) })
}

/// The contrastive loss of what a network gives.
fn suiting(network: &Network) -> Loss {
    if network.similarity.is_some() { Loss::default() } else { Loss::of(&Hadsell) }
}

#[test]
fn sn_lenet5_has_its_parameters() {
    let plan = plan(64, usize::MAX / 8, Layout::Plain).unwrap();
    assert_eq!((plan.trainable(), plan.state()), (60_860, 2));
    assert_eq!(plan.tensor("fc1.weight").unwrap().shape, [120, 400]);
    // 0.289 GFLOP in convolutions and dense layers, and a little for everything else.
    let flops = plan.flops_per_step();
    assert!((285_000_000..300_000_000).contains(&flops), "{flops}");
}

#[test]
fn nothing_binds_more_than_the_limit() {
    let limits = [64 << 10, 100_000, 1 << 20];
    for (kind, max_binding) in SPLITTABLE.into_iter().flat_map(|kind| limits.map(|limit| (kind, limit))) {
        let plan = plan_as(kind, 9, max_binding, Layout::Plain).unwrap();
        for step in Plan::phases().into_iter().flat_map(|phase| plan.steps(phase)) {
            for operand in &step.operands {
                assert!(4 * operand.view.len <= max_binding, "{} of {}", operand.name, step.layer);
                assert_eq!(operand.view.offset * 4 % 256, 0, "{} of {}", operand.name, step.layer);
                assert!(operand.view.range().end <= plan.buffer(operand.view.buffer).len);
            }
        }
    }
}

#[test]
fn a_split_plan_computes_as_much_as_a_whole_one() {
    let ops = ["conv2d", "dense", "conv2d_blocked", "dense_blocked"];
    let matmuls = |plan: &Plan| -> u64 {
        // A blocked convolution's bias gradient comes with its weight's.
        let products = plan.train.iter().filter(|s| ops.contains(&s.op) && s.entry != "backward_bias");
        products.map(|s| s.flops).sum()
    };
    let unfused = plan(9, usize::MAX / 8, Layout::Plain).unwrap();
    for kind in SPLITTABLE {
        let whole = plan_as(kind, 9, usize::MAX / 8, Layout::Plain).unwrap();
        let split = plan_as(kind, 9, 64 << 10, Layout::Plain).unwrap();
        assert!(split.train.len() > 5 * whole.train.len());
        assert_eq!([matmuls(&whole), matmuls(&split)], [matmuls(&unfused); 2]);
    }
}

#[test]
fn what_cannot_fit_is_refused() {
    let error = plan(64, 10_000, Layout::Plain).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge { limit: 10_000, .. }), "{error}");
    assert!(matches!(plan(0, 1 << 20, Layout::Plain), Err(PlanError::Batch { entries: 0, .. })));
    assert!(matches!(plan(1, 1 << 20, Layout::Plain), Err(PlanError::Batch { entries: 1, .. })));
}

#[test]
fn a_fused_step_takes_four_launches_whatever_the_options() {
    let l1 = Comparison::Distance { kind: PairDistance::L1, head: false };
    let other = ModelOptions { activation: ActivationKind::Tanh, comparison: l1, ..ModelOptions::default() };
    for (channels, side, model, batch_size) in [
        (1, 28, ModelOptions::default(), 64),
        (1, 28, other, 3),
        (3, 32, ModelOptions::default(), 64),
        (3, 32, other, 1000),
    ] {
        let plan = fused(&lenet(channels, side, &model), batch_size, 1 << 27).unwrap();
        assert_eq!(plan.train.len(), 4);
        assert_eq!(plan.options.kind.name(), "fused");
        let workgroups: Vec<_> = plan.train.iter().map(|step| step.workgroups).collect();
        assert_eq!(workgroups[..3], [2 * batch_size, 1, 2 * batch_size]);
    }
}

#[test]
fn what_cannot_be_fused_is_refused_by_name_and_auto_takes_another() {
    let good = lenet(1, 28, &ModelOptions::default());
    let conv = Conv::new;
    for (layers, name, part) in [
        (Layers { convs: [LENET.convs[0], conv(16, 9, 1, 0)], ..LENET }, "conv2", "kernel"),
        (Layers { convs: [conv(6, 3, 1, 3), LENET.convs[1]], ..LENET }, "conv1", "padding"),
        (Layers { convs: [conv(40, 5, 1, 2), LENET.convs[1]], ..LENET }, "conv2", "activations"),
        (Layers { convs: [LENET.convs[0].unbiased(), LENET.convs[1]], ..LENET }, "sn-lenet5", "no bias"),
        (Layers { outputs: [1500, 84], ..LENET }, "fc1", "vectors"),
        (Layers { last: Some(ActivationKind::Tanh), ..LENET }, "sn-lenet5", "one kind"),
        (Layers { last: None, ..LENET }, "sn-lenet5", "layers"),
    ] {
        let error = fused(&of_layers(layers), 8, 1 << 27).unwrap_err();
        let PlanError::Unfusable { what, why } = &error else { panic!("{error}") };
        assert!(what == name && why.contains(part), "{error}");
    }
    // Data set and activations that take several bindings.
    assert!(matches!(fused(&good, 8, 64 << 10), Err(PlanError::Unfusable { .. })));
    assert!(matches!(fused(&good, 64, 1 << 20), Err(PlanError::TooLarge { .. })));
    let auto = |max_binding| {
        let kinds = [PlanKind::Fused, PlanKind::Unfused];
        build_first(&good, &kinds, |kind| options(kind, 64, max_binding, Layout::Plain)).unwrap().options.kind
    };
    assert_eq!((auto(1 << 20), auto(1 << 27)), (PlanKind::Unfused, PlanKind::Fused));
}

#[test]
fn what_an_optimizer_treats_alike_is_one_launch() {
    let network = lenet(1, 28, &ModelOptions::default());
    let usual = options(PlanKind::Unfused, 9, 1 << 27, Layout::Plain);
    let decay = OptimizerOptions::Adam(AdamOptions { weight_decay: 0.1, ..AdamOptions::default() });
    let sgd = |penalty: &str| {
        OptimizerOptions::Sgd(SgdOptions {
            momentum: "0.9".parse().unwrap(),
            penalty: penalty.parse().unwrap(),
        })
    };
    // Tensors start at multiples of 64 elements.
    for (optimizer, launches) in [
        (OptimizerOptions::default(), vec![(61_376, false)]),
        (decay, vec![(60_736, true), (640, false)]),
        (sgd("conv=0,dense=0"), vec![(61_376, false)]),
        (sgd("conv=0.02"), vec![(2_624, true), (58_752, false)]),
        (sgd("conv=0.02,dense=0.1"), vec![(58_112, true), (2_624, true), (640, false)]),
    ] {
        let plan = build(&network, &PlanOptions { optimizer, ..usual }).unwrap();
        let steps = plan.train.iter().filter(|step| ["adam", "sgd"].contains(&step.op));
        let found: Vec<(usize, bool)> = steps
            .map(|step| {
                let coefficient = |(name, value): &(&str, Constant)| match (*name, value) {
                    ("decays", Constant::Bool(decays)) => Some(*decays),
                    ("penalty", Constant::F32(penalty)) => Some(*penalty > 0.0),
                    _ => None,
                };
                let treated = step.constants.iter().find_map(coefficient).unwrap();
                (step.operand("parameter").unwrap().view.len, treated)
            })
            .collect();
        assert_eq!(found, launches, "{optimizer:?}");
        let weights = ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"];
        for parameter in plan.parameters.iter().filter(|parameter| parameter.trainable) {
            let weight = weights.contains(&parameter.name.as_str());
            assert_eq!(parameter.family() != Family::Other, weight, "{}", parameter.name);
        }
        let kept = plan.saved(true).len() - plan.parameters.len();
        assert_eq!(kept, 12 * optimizer.kept().len());
        nothing_is_overwritten(&plan);
    }
    let fused = PlanOptions { optimizer: decay, kind: PlanKind::Fused, ..usual };
    assert!(matches!(build(&network, &fused), Err(PlanError::Unfusable { .. })));
}

/// Training images alone are augmented, and a plan without that knows nothing of it.
#[test]
fn augmentation_takes_room_and_launches_only_where_it_is_asked_for() {
    let network = lenet(1, 28, &ModelOptions::default());
    for kind in SPLITTABLE {
        let plain = options(kind, 9, 1 << 27, Layout::Plain);
        let [plain, augmented] =
            [false, true].map(|augment| build(&network, &PlanOptions { augment, ..plain }).unwrap());
        let ops = |steps: &[Step], op| steps.iter().filter(|step| step.op == op).count();
        assert_eq!((ops(&plain.train, "gather"), ops(&plain.train, "warp")), (1, 0));
        assert_eq!((ops(&augmented.train, "gather"), ops(&augmented.train, "warp")), (0, 1));
        assert_eq!((ops(&augmented.embed, "gather"), ops(&augmented.embed, "warp")), (1, 0));
        assert_eq!(plain.train.len(), augmented.train.len());
        assert!(plain.tensor("pairs.matrices").is_none());
        // Six words for each of both images of 18 pairs.
        assert_eq!(augmented.memory() - plain.memory(), 4 * 6 * 2 * 18);
    }
    let fused = PlanOptions { augment: true, ..options(PlanKind::Fused, 9, 1 << 27, Layout::Plain) };
    assert!(matches!(build(&network, &fused), Err(PlanError::Unfusable { .. })));
    let kinds = [PlanKind::Fused, PlanKind::Unfused];
    let auto = build_first(&network, &kinds, |kind| PlanOptions { kind, ..fused }).unwrap();
    assert_eq!(auto.options.kind, PlanKind::Unfused);
}

/// A value must stay where it is until its last reader has run.
#[test]
fn shared_memory_overwrites_nothing_that_is_still_read() {
    let fused = fused(&lenet(1, 28, &ModelOptions::default()), 9, 1 << 27);
    let others = SPLITTABLE.map(|kind| plan_as(kind, 9, 64 << 10, Layout::Plain));
    for plan in std::iter::once(fused).chain(others).map(Result::unwrap) {
        nothing_is_overwritten(&plan);
        let separate: usize = plan.train.iter().flat_map(|s| &s.operands).map(|o| 4 * o.view.len).sum();
        assert!(plan.memory() < separate / 2);
    }
}

fn nothing_is_overwritten(plan: &Plan) {
    // The buffers hold one tensor at a time: follow who wrote what each step reads.
    for phase in Plan::phases() {
        let mut written_by: std::collections::HashMap<usize, (usize, usize)> = Default::default();
        for (number, step) in plan.steps(phase).iter().enumerate() {
            for operand in &step.operands {
                let buffer = operand.view.buffer.0;
                if plan.buffers[buffer].role != Role::Activations {
                    continue;
                }
                match operand.access {
                    Access::Write => {
                        written_by.insert(buffer, (number, operand.view.len));
                    }
                    Access::Read => {
                        let (_, len) = written_by[&buffer];
                        // A view of one branch is a part.
                        assert!(len >= operand.view.len, "step {number} reads what another left");
                    }
                }
            }
        }
    }
}

#[test]
fn layouts_convert_there_and_back() {
    for images in [1, 15, 16, 17, 40] {
        let plain: Vec<u32> = (0..images as u32 * 3).collect();
        let stored = from_plain(&plain, Layout::Interleaved, images, u32::MAX);
        assert_eq!(stored.len(), Layout::Interleaved.len(images, 3));
        assert_eq!(stored[16], 1, "value 1 of image 0 stands behind value 0 of 16 images");
        assert_eq!(to_plain(&stored, Layout::Interleaved, images, 3), plain);
    }
}

/// What the blocked kernels do not support, the unfused ones compute: a dense layer with an odd row.
#[test]
fn odd_layers_of_a_blocked_plan_are_unfused() {
    let network = of_layers(Layers { outputs: [121, 84], ..LENET });
    let whole = plan_as(PlanKind::Blocked, 4, 1 << 27, Layout::Plain).unwrap();
    let odd = build(&network, &whole.options).unwrap();
    let layers = |plan: &Plan, op| -> Vec<String> {
        plan.train.iter().filter(|s| (s.op, s.entry) == (op, "forward")).map(|s| s.layer.clone()).collect()
    };
    assert_eq!(layers(&whole, "dense_blocked"), ["fc1", "fc2"]);
    assert_eq!(
        (layers(&odd, "dense_blocked"), layers(&odd, "dense")),
        (vec![], vec!["fc1".into(), "fc2".into()])
    );
}

fn residual(input: Shape, options: &PlanOptions) -> Result<Plan, PlanError> {
    build(&network("resnet-small", input, &ModelOptions::default()).unwrap(), options)
}

#[test]
fn resnet_small_has_its_parameters() {
    for (channels, side, trainable, millions) in [(1, 28, 316_132, 19.0..22.0), (3, 32, 316_708, 25.0..29.0)]
    {
        let input = Shape { channels, height: side, width: side };
        let options = options(PlanKind::Unfused, 8, usize::MAX / 8, Layout::Plain);
        let plan = residual(input, &options).unwrap();
        assert_eq!((plan.trainable(), plan.state()), (trainable, 2 * (32 + 3 * 32 + 3 * 64 + 3 * 128) + 2));
        let forward = plan.embed.iter().map(|step| step.flops).sum::<u64>() / plan.embed_batch as u64;
        assert!(millions.contains(&(forward as f64 / 1e6)), "{forward}");
    }
}

/// Training takes the batch's statistics, once for all pieces; evaluation those that ran.
#[test]
fn norms_see_the_whole_batch_in_training_and_none_in_evaluation() {
    let input = Shape { channels: 1, height: 28, width: 28 };
    let count = |plan: &Plan, phase, entry| {
        plan.steps(phase).iter().filter(|s| (s.op, s.entry) == ("batch_norm", entry)).count()
    };
    for (max_binding, pieces) in [(usize::MAX / 8, 1), (1 << 20, 2)] {
        let plan = residual(input, &options(PlanKind::Unfused, 8, max_binding, Layout::Plain)).unwrap();
        let (norms, of_head) = (10, 1);
        assert_eq!(count(&plan, Phase::Train, "moments"), pieces * norms + of_head);
        assert_eq!(count(&plan, Phase::Train, "merge"), norms + of_head);
        assert_eq!(count(&plan, Phase::Train, "forward"), pieces * norms + of_head);
        assert_eq!([count(&plan, Phase::Embed, "moments"), count(&plan, Phase::Embed, "merge")], [0, 0]);
        assert_eq!(count(&plan, Phase::Embed, "forward"), norms);
        nothing_is_overwritten(&plan);
    }
}

/// The papers' counts; of `sircnn-eca` without the dense layer of its comparison, of 25,088 weights and a bias.
#[test]
fn networks_of_the_papers_have_their_parameters() {
    let options = options(PlanKind::Unfused, 2, usize::MAX / 8, Layout::Plain);
    let omniglot = Shape { channels: 1, height: 105, width: 105 };
    let glyph = Shape { channels: 1, height: 28, width: 28 };
    for (name, input, features, trainable, state) in [
        ("sircnn", omniglot, 25_088, 1_562_496, 7_296),
        ("sircnn-eca", omniglot, 25_088, 1_238_154 - 25_089, 5_504),
        // torchvision's 11,689,512 less the classifier's 513,000 and two of the first kernels' three channels.
        ("resnet18", omniglot, 512, 11_689_512 - 513_000 - 2 * 64 * 49, 9_600),
        ("conv4", glyph, 64, 64 * 10 + 3 * 64 * 577 + 4 * 128, 512),
        ("conv4", omniglot, 2_304, 64 * 10 + 3 * 64 * 577 + 4 * 128, 512),
    ] {
        let network = network(name, input, &without_head()).unwrap();
        let plan = build(&network, &PlanOptions { loss: suiting(&network), ..options }).unwrap();
        assert_eq!((plan.trainable(), plan.state()), (trainable, state), "{name}");
        assert_eq!(plan.features, features, "{name}");
    }
    let oblong = Shape { width: 104, ..omniglot };
    assert!(matches!(network("sircnn", oblong, &without_head()), Err(ModelError::Unsuited { .. })));
    let tiny = Shape { height: 27, ..glyph };
    assert!(matches!(network("conv4", tiny, &without_head()), Err(ModelError::Unsuited { .. })));
}

fn without_head() -> ModelOptions {
    let comparison = Comparison::Distance { kind: PairDistance::L1, head: false };
    ModelOptions { comparison, ..ModelOptions::default() }
}

/// Dropout is of training alone; embedding reads past it.
#[test]
fn dropout_is_left_out_of_embedding_and_cut_like_the_batch() {
    let network = of_layers(Layers { dropout: Some(0.25), ..LENET });
    let plain = options(PlanKind::Unfused, 9, 1 << 27, Layout::Plain);
    for (max_binding, pieces) in [(1 << 27, 1), (64 << 10, 9)] {
        let plan = build(&network, &PlanOptions { max_binding, ..plain }).unwrap();
        let of = |phase, entry| -> Vec<Dropout> {
            let steps = plan.steps(phase).iter();
            steps.filter(|s| (s.op, s.entry) == ("dropout", entry)).map(Dropout::of).collect()
        };
        let (forward, backward) = (of(Phase::Train, "forward"), of(Phase::Train, "backward"));
        assert_eq!(forward.len(), pieces);
        let mut images = 0;
        for dropout in &forward {
            assert_eq!((dropout.first, dropout.branches), (images / 2, 2));
            assert_eq!((dropout.threshold, dropout.scale), (1 << 30, 4.0 / 3.0));
            images += dropout.images;
        }
        assert_eq!(images, 18);
        assert_eq!(forward, backward, "what went forward through a mask goes back through it");
        assert!(plan.embed.iter().all(|step| step.op != "dropout"));
        nothing_is_overwritten(&plan);
    }
}

/// Both the training images and those that are embedded.
#[test]
fn standardization_follows_every_gather() {
    let network = lenet(1, 28, &ModelOptions::default());
    for kind in SPLITTABLE {
        let options =
            PlanOptions { standardize: true, augment: true, ..options(kind, 9, 64 << 10, Layout::Plain) };
        let plan = build(&network, &options).unwrap();
        let statistics = plan.tensor(Plan::STATISTICS).unwrap();
        assert_eq!(statistics.shape, [options.capacity.images, 2]);
        for (phase, pieces) in [(Phase::Train, 9), (Phase::Embed, 1)] {
            let windows =
                plan.tensors.iter().filter(|t| t.name.starts_with("data.") && t.name != Plan::STATISTICS);
            let launches: Vec<&str> =
                plan.steps(phase).iter().filter(|s| s.layer == "input").map(|s| s.op).collect();
            let each = windows.count() + 1;
            assert_eq!(launches.len(), pieces * each);
            assert!(launches.chunks(each).all(|launches| launches[each - 1] == "standardize"));
        }
    }
    let fused = PlanOptions { standardize: true, ..options(PlanKind::Fused, 9, 1 << 27, Layout::Plain) };
    assert!(matches!(build(&network, &fused), Err(PlanError::Unfusable { .. })));
}

#[test]
fn layers_that_do_not_fit_are_refused_by_name() {
    type Build = fn(&mut Graph, ValueId) -> ValueId;
    let input = Shape { channels: 4, height: 9, width: 9 };
    let refused = |build: Build| {
        let network = Network::new("a network", input, Initialization::PyTorch, None, build);
        let error = network.unwrap_err();
        (error.layer, error.why)
    };
    let cases: [(Build, &str, &str); 8] = [
        (|g, x| g.apply("sum", Op::Add, &[x]), "sum", "it takes 2, not 1"),
        (
            |g, x| {
                let y = g.conv2d("conv", x, Conv::new(5, 3, 1, 1));
                g.apply("sum", Op::Add, &[x, y])
            },
            "sum",
            "what it adds is [images, 5, 9, 9]",
        ),
        (|g, x| g.apply("scale", Op::Scale, &[x, x]), "scale", "its factors are"),
        (|g, x| g.channel_conv("eca", x, 3), "eca", "it takes one value"),
        (|g, x| g.apply("drop", Op::Dropout { rate: 1.0 }, &[x]), "drop", "its rate is 1"),
        (
            |g, x| g.conv2d("conv", x, Conv { groups: 3, ..Conv::new(6, 3, 1, 1) }),
            "conv",
            "3 groups do not divide",
        ),
        (
            |g, x| {
                let y = g.dense("fc", x, 3);
                g.dense("fc", y, 3)
            },
            "fc.weight",
            "there are two of this name",
        ),
        (
            |g, x| {
                g.dense("unused", x, 3);
                g.dense("fc", x, 3)
            },
            "unused",
            "no layer takes what it gives",
        ),
    ];
    for (build, layer, why) in cases {
        let found = refused(build);
        assert!(found.0 == layer && found.1.starts_with(why), "{found:?}");
    }
    let residual =
        network("resnet-small", Shape { channels: 1, height: 28, width: 28 }, &ModelOptions::default());
    let options = options(PlanKind::Fused, 4, 1 << 27, Layout::Plain);
    let error = build(&residual.unwrap(), &options).unwrap_err();
    assert!(matches!(error, PlanError::Unfusable { .. }), "{error}");
}

/// An inference plan embeds and scores as a training plan does, with nothing else.
#[test]
fn inference_has_no_gradients_and_the_same_steps() {
    let network =
        network("resnet18", Shape { channels: 1, height: 28, width: 28 }, &ModelOptions::default()).unwrap();
    for kind in SPLITTABLE {
        let training = options(kind, 8, 1 << 27, Layout::Plain);
        let [whole, alone] = [Mode::Training, Mode::Inference]
            .map(|mode| build(&network, &PlanOptions { mode, ..training }).unwrap());
        assert!(alone.train.is_empty() && !whole.train.is_empty());
        let launches = |steps: &[Step]| -> Vec<_> {
            steps.iter().map(|step| (step.op, step.entry, step.layer.clone(), step.workgroups)).collect()
        };
        assert_eq!(launches(&alone.embed), launches(&whole.embed));
        assert_eq!(launches(&alone.score), launches(&whole.score));
        assert!(
            alone.tensor("conv1.weight.gradient").is_none()
                && alone.tensor("pairs.same").is_none_or(|t| t.view.len == 0)
        );
        assert!(3 * alone.memory() < whole.memory(), "{} {}", alone.memory(), whole.memory());
        nothing_is_overwritten(&alone);
    }
}

/// A loss that is made of primitives, over all images of a batch however that is cut.
#[test]
fn a_composed_loss_sees_the_whole_batch() {
    let loss = Loss::of(&NtXent);
    let comparison = loss.comparison(PairDistance::EUCLIDEAN);
    let network = lenet(1, 28, &ModelOptions { comparison, ..ModelOptions::default() });
    for kind in SPLITTABLE {
        for (max_binding, pieces) in [(1 << 27, 1), (64 << 10, 9)] {
            let options = PlanOptions {
                batch: BatchLayout::Labelled,
                loss,
                ..options(kind, 9, max_binding, Layout::Plain)
            };
            let plan = build(&network, &options).unwrap();
            let count = |op, entry| plan.train.iter().filter(|s| (s.op, s.entry) == (op, entry)).count();
            assert_eq!([count("record", "forward"), count("normalize", "forward")], [1, 1]);
            let collected = [count("collect", "forward"), count("collect", "backward")];
            assert!(collected[0] == collected[1] && (collected[0] > 1) == (pieces > 1), "{collected:?}");
            assert!(!plan.score.is_empty(), "pairs are compared by the cosine");
            nothing_is_overwritten(&plan);
        }
    }
}

#[test]
fn a_classifier_reads_labels_and_writes_logits() {
    let input = Shape { channels: 1, height: 28, width: 28 };
    let network = network("lenet5", input, &ModelOptions { classes: 7, ..ModelOptions::default() }).unwrap();
    for kind in SPLITTABLE {
        let usual = PlanOptions {
            loss: Loss::of(&Classes),
            batch: BatchLayout::Labelled,
            ..options(kind, 9, 1 << 27, Layout::Plain)
        };
        let whole = build(&network, &usual).unwrap();
        assert_eq!((whole.features, whole.state(), whole.has_head), (7, 0, false));
        assert_eq!(whole.trainable(), 60_856 + 7 * 85);
        assert_eq!(whole.tensor("images.index").unwrap().shape, [18, 1]);
        assert!(whole.tensor("pairs.index").is_none() && whole.score.is_empty());
        let pieces = build(&network, &PlanOptions { max_binding: 64 << 10, ..usual }).unwrap();
        for (plan, several) in [(&whole, false), (&pieces, true)] {
            let losses: Vec<_> = plan
                .train
                .iter()
                .filter(|s| (s.op, s.entry) == ("softmax_cross_entropy", "forward"))
                .collect();
            assert_eq!(losses.len() > 1, several);
            // Each piece's loss comes behind the pieces before it, and adds to theirs.
            for (number, loss) in losses.iter().enumerate() {
                assert!(loss.constants.contains(&("accumulate", Constant::Bool(number > 0))));
            }
            nothing_is_overwritten(plan);
        }
    }
    let fused = PlanOptions {
        loss: Loss::of(&Classes),
        batch: BatchLayout::Labelled,
        ..options(PlanKind::Fused, 9, 1 << 27, Layout::Plain)
    };
    assert!(matches!(build(&network, &fused), Err(PlanError::Unfusable { .. })));
}

/// SN-LeNet-5 with what a loss wants to see.
fn learning(loss: Loss, options: PlanOptions) -> Result<Plan, PlanError> {
    let comparison = loss.comparison(PairDistance::EUCLIDEAN);
    build(
        &lenet(1, 28, &ModelOptions { comparison, ..ModelOptions::default() }),
        &PlanOptions { loss, ..options },
    )
}

#[test]
fn a_batch_of_episodes_is_cut_between_them() {
    let loss = Loss::of(&Episodes).with("way", 5.0);
    let limits = [usize::MAX / 8, 10 * 2 * 4 * 4704, 9 * 2 * 4 * 4704];
    for (max_binding, pieces) in limits.into_iter().zip([vec![20], vec![10, 10], vec![5; 4]]) {
        let plan = learning(loss, options(PlanKind::Unfused, 20, max_binding, Layout::Plain)).unwrap();
        let episodes = plan.train.iter().filter(|step| (step.op, step.entry) == ("episode", "forward"));
        let pairs: Vec<usize> = episodes.map(|step| step.operand("y").unwrap().view.len / 5).collect();
        assert_eq!(pairs, pieces);
        nothing_is_overwritten(&plan);
    }
    let error = learning(loss, options(PlanKind::Unfused, 20, 4 * 2 * 4 * 4704, Layout::Plain)).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge { .. }), "{error}");
}

#[test]
fn a_weighted_sum_adds_up_over_pieces() {
    for (max_binding, pieces) in [(usize::MAX / 8, 1), (64 << 10, 9)] {
        let options = options(PlanKind::Unfused, 9, max_binding, Layout::Plain);
        let plan = learning(Loss::of(&CrossEntropy), options).unwrap();
        assert_eq!((plan.trainable(), plan.state(), plan.has_head), (60_856 + 85, 0, true));
        for entry in ["backward_weight", "backward_bias"] {
            let steps = plan.train.iter().filter(|step| (step.op, step.entry) == ("weighted_sum", entry));
            let adding = steps.map(|step| step.constants.contains(&("accumulate", Constant::Bool(true))));
            let expected: Vec<bool> = (0..pieces).map(|piece| piece > 0).collect();
            assert_eq!(adding.collect::<Vec<_>>(), expected, "{entry}");
        }
        nothing_is_overwritten(&plan);
    }
}

#[test]
fn losses_that_do_not_fit_are_refused() {
    let usual = options(PlanKind::Unfused, 64, 1 << 27, Layout::Plain);
    let refused = |plan: Result<Plan, PlanError>, why: &str| match plan {
        Err(PlanError::Loss { why: found }) => assert!(found.contains(why), "{found}"),
        other => panic!("{:?}", other.map(|plan| plan.model)),
    };
    refused(learning(Loss::of(&Episodes).with("way", 20.0), usual), "--batch-size 60");
    refused(learning(Loss::of(&Episodes).with("way", 65.0), usual), "--batch-size 65");
    refused(learning(Loss::of(&Episodes).with("way", 1.0), usual), "--way 1: must be from 2");
    let with = |comparison, loss| {
        let model = ModelOptions { comparison, ..ModelOptions::default() };
        build(&lenet(1, 28, &model), &PlanOptions { loss, ..usual })
    };
    let [l1, headed] = [(PairDistance::L1, false), (PairDistance::EUCLIDEAN, true)]
        .map(|(kind, head)| Comparison::Distance { kind, head });
    refused(with(l1, Loss::of(&Episodes).with("way", 8.0)), "Euclidean");
    refused(with(headed, Loss::of(&Episodes).with("way", 8.0)), "without a head");
    refused(with(headed, Loss::of(&CrossEntropy)), "wants a probability");
    refused(with(Comparison::WeightedSum, Loss::default()), "wants a distance");
    refused(with(Comparison::Exponential { scale: 84.0 }, Loss::default()), "wants a distance");
    for loss in [Loss::of(&CrossEntropy), Loss::of(&Episodes).with("way", 8.0)] {
        let fused = learning(loss, PlanOptions { kind: PlanKind::Fused, ..usual });
        assert!(matches!(fused, Err(PlanError::Unfusable { .. })));
    }
}

/// Koch, Zemel and Salakhutdinov's network with their comparison.
#[test]
fn koch_has_its_parameters() {
    let comparison = Loss::of(&CrossEntropy).comparison(PairDistance::L1);
    let model = ModelOptions { comparison, ..ModelOptions::default() };
    let input = Shape { channels: 1, height: 105, width: 105 };
    let network = network("koch", input, &model).unwrap();
    let usual = options(PlanKind::Unfused, 32, 128 << 20, Layout::Plain);
    let capacity = Capacity { embeddings: 10_000, ..usual.capacity };
    let plan = build(&network, &PlanOptions { loss: Loss::of(&CrossEntropy), capacity, ..usual }).unwrap();
    assert_eq!((plan.trainable(), plan.state(), plan.features), (38_951_745, 0, 4096));
    assert_eq!(plan.tensor("fc1.weight").unwrap().shape, [4096, 9216]);
    // What a binding of 128 MiB holds of 10,000 embeddings.
    assert_eq!(plan.tensor("embeddings").unwrap().shape, [8192, 4096]);
    assert_eq!(plan.options.capacity.embeddings, 8192);
    let starts = |name: &str| plan.parameters.iter().find(|p| p.name == name).unwrap().initializer;
    let normal = |mean, deviation| Initializer::Normal { mean, deviation };
    assert_eq!([starts("conv3.weight"), starts("conv3.bias")], [normal(0.0, 0.01), normal(0.5, 0.01)]);
    assert_eq!([starts("fc1.weight"), starts("fc1.bias")], [normal(0.0, 0.2), normal(0.5, 0.01)]);
    assert_eq!([starts("head.weight"), starts("head.bias")], [normal(0.0, 0.2), normal(0.5, 0.01)]);
}
