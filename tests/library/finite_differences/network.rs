//! The training plan's parameter gradients against central differences of its loss.
//!
//! Of each tensor the largest entry and ten drawn ones. The loss errs by rounding of the distances,
//! by some 1e-16, of which the head's norm keeps the deviation, about 0.01: 1e-14 in the loss, 1e-8
//! over a step of 1e-6. The worst found is off by 7e-10; the largest gradients are above 1e-2. A
//! ReLU or a maximum that changed sides within a step would show as more; with these seeds none does.

use gpu_siamese::cpu;
use gpu_siamese::data::{Random, Stream};
use gpu_siamese::graph::Initializer;
use gpu_siamese::loss::{Comparison, CrossEntropy, Episodes, Loss, PairDistance};
use gpu_siamese::model::sircnn::Attention;
use gpu_siamese::model::{ModelOptions, network};
use gpu_siamese::ops::Layout;
use gpu_siamese::ops::activation::ActivationKind;
use gpu_siamese::ops::contrastive::Convention;
use gpu_siamese::ops::pool2d::PoolKind;
use gpu_siamese::plan::{Plan, PlanKind, PlanOptions, Slot, build};
use gpu_siamese::train::setup;

use crate::common::{Run, attentive, packed, residual, sn_lenet5_as};

const PAIRS: usize = 4;
const PIXELS: usize = 28 * 28;
const STEP: f64 = 1e-6;
const ALLOWED: f64 = 1e-8;
const SAMPLES: usize = 10;

/// The plan's memory with drawn images and initial values; every other pair is nearly alike.
fn loaded(plan: Plan) -> Run<f64> {
    let mut run = Run::new(plan);
    let mut random = Random::new(11, Stream::Weights, 0, 0);
    let mut bytes: Vec<u8> = (0..2 * PAIRS * PIXELS).map(|_| (random.word() >> 24) as u8).collect();
    let (a, b) = bytes.split_at_mut(PAIRS * PIXELS);
    for (pair, (a, b)) in a.chunks_exact(PIXELS).zip(b.chunks_exact_mut(PIXELS)).enumerate() {
        for (a, b) in a.iter().zip(b).filter(|_| pair % 2 == 0) {
            *b = a / 2 + *b / 2;
        }
    }
    run.write_words("data.0", &packed(&bytes));
    if run.plan.options.standardize {
        let known = bytes.chunks_exact(PIXELS).flat_map(setup::statistics);
        run.write(Plan::STATISTICS, &known.map(f64::from).collect::<Vec<_>>());
    }
    let index: Vec<u32> = (0..PAIRS as u32).flat_map(|pair| [pair, pair + PAIRS as u32]).collect();
    run.write_words("pairs.index", &index);
    let known = match run.plan.options.loss.name() {
        "episodes" => [0, 1, 0, 1],
        _ => [1, 0, 1, 0],
    };
    run.write_words("pairs.same", &known);
    for parameter in run.plan.parameters.clone() {
        let mut value = || match parameter.initializer {
            Initializer::Uniform { bound } => random.between(-bound, bound),
            Initializer::Normal { mean, deviation } => mean + deviation * random.normal(),
            Initializer::Constant(value) => value,
        };
        let values: Vec<f64> = (0..parameter.len()).map(|_| value().into()).collect();
        run.write(&parameter.name, &values);
    }
    run
}

fn slot() -> Slot {
    Slot { count: PAIRS as u32, learning_rate: 1e-3, correction1: 0.1, correction2: 1e-3, ..Slot::default() }
}

/// Runs the training steps up to and including the loss.
fn loss(run: &mut Run<f64>) -> f64 {
    let last = run.plan.train.iter().rposition(|step| step.operand("history").is_some());
    for step in run.plan.train.clone().iter().take(1 + last.expect("training has a loss")) {
        run.run(cpu::reference, step, &slot());
    }
    run.read("history")[0]
}

fn check(plan: Plan) {
    check_but(plan, &[]);
}

/// The gradients of `cancelling` parameters are 0: what they add to both embeddings cancels.
fn check_but(plan: Plan, cancelling: &[&str]) {
    let mut run = loaded(plan);
    let parameters: Vec<_> = run.plan.parameters.iter().filter(|p| p.trainable).cloned().collect();
    let before = run.memory.clone();
    for step in run.plan.train.clone() {
        run.run(cpu::reference, &step, &slot());
    }
    let gradients: Vec<_> = parameters.iter().map(|p| run.read(&format!("{}.gradient", p.name))).collect();
    run.memory = before;
    let mut random = Random::new(12, Stream::Weights, 0, 0);
    for (parameter, gradient) in parameters.iter().zip(gradients) {
        let name = &parameter.name;
        let largest = (0..gradient.len()).max_by(|&i, &j| gradient[i].abs().total_cmp(&gradient[j].abs()));
        let largest = largest.expect("no parameter is empty");
        let nearly_0 = gradient[largest].abs() < 1e-4;
        assert_eq!(nearly_0, cancelling.contains(&name.as_str()), "{name}'s gradient shows nothing");
        let drawn = (0..SAMPLES.min(gradient.len())).map(|_| random.below(gradient.len() as u32) as usize);
        for i in std::iter::once(largest).chain(drawn) {
            let values = run.read(name);
            let mut at = |value| {
                let mut values = values.clone();
                values[i] = value;
                run.write(name, &values);
                loss(&mut run)
            };
            let (above, below) = (values[i] + STEP, values[i] - STEP);
            let numeric = (at(above) - at(below)) / (above - below);
            run.write(name, &values);
            assert!(
                (numeric - gradient[i]).abs() <= ALLOWED,
                "{name}.gradient[{i}] is {}, but finite differences give {numeric} (+-{ALLOWED:e})",
                gradient[i]
            );
        }
    }
}

fn plan(
    kind: PlanKind,
    (activation, pool): (ActivationKind, PoolKind),
    comparison: Comparison,
    max_binding: usize,
) -> Plan {
    let convention = if comparison.has_head() { Convention::Similarity } else { Convention::Distance };
    let model = ModelOptions { activation, pool, comparison, ..ModelOptions::default() };
    sn_lenet5_as(kind, &model, convention, Layout::Plain, (PAIRS, 1), max_binding)
}

#[test]
fn network_as_in_the_paper() {
    let comparison = Comparison::Distance { kind: PairDistance::EUCLIDEAN, head: true };
    check(plan(PlanKind::Unfused, (ActivationKind::Relu, PoolKind::Max), comparison, 1 << 27));
}

#[test]
fn network_without_a_head() {
    let comparison = Comparison::Distance { kind: PairDistance::EUCLIDEAN, head: false };
    check(plan(PlanKind::Unfused, (ActivationKind::Tanh, PoolKind::Average), comparison, 1 << 27));
}

/// Bindings of 40,000 bytes: every pair is a piece of its own, and weights come in windows of rows.
#[test]
fn network_in_pieces() {
    check(in_pieces(PlanKind::Unfused, "dense", 40_000));
}

#[test]
fn blocked_network() {
    let comparison = Comparison::Distance { kind: PairDistance::EUCLIDEAN, head: true };
    check(plan(PlanKind::Blocked, (ActivationKind::Relu, PoolKind::Max), comparison, 1 << 27));
    let comparison = Comparison::Distance { kind: PairDistance::EUCLIDEAN, head: false };
    check(plan(PlanKind::Blocked, (ActivationKind::Tanh, PoolKind::Average), comparison, 1 << 27));
}

/// The gradient of a pair's first activations alone takes 50,176 bytes, by eight channels.
#[test]
fn blocked_network_in_pieces() {
    check(in_pieces(PlanKind::Blocked, "dense_blocked", 51_000));
}

fn in_pieces(kind: PlanKind, dense: &str, max_binding: usize) -> Plan {
    let comparison = Comparison::Distance { kind: PairDistance::L1, head: true };
    let plan = plan(kind, (ActivationKind::Tanh, PoolKind::Max), comparison, max_binding);
    let launches = |op: &str| plan.train.iter().filter(|s| (s.op, s.entry) == (op, "forward")).count();
    assert!(launches("distance") == PAIRS && launches(dense) > 2 * PAIRS, "the plan is cut");
    plan
}

/// Without kinks; whole, and with every pair a piece of its own, whose norms see the whole batch all the same.
#[test]
fn residual_network() {
    let model =
        ModelOptions { activation: ActivationKind::Tanh, pool: PoolKind::Average, ..ModelOptions::default() };
    for max_binding in [1 << 27, 7_000] {
        let plan = residual(&model, Layout::Plain, (PAIRS, 1), max_binding);
        let distances = plan.train.iter().filter(|s| (s.op, s.entry) == ("distance", "forward")).count();
        assert_eq!(distances, if max_binding < 10_000 { PAIRS } else { 1 });
        check_but(plan, &["fc.bias"]);
    }
}

/// A plan that learns with this loss, from this comparison.
fn learning(loss: Loss, comparison: Comparison, activation: ActivationKind, max_binding: usize) -> Plan {
    let distance = Loss::default().comparison(PairDistance::L1);
    let usual = plan(PlanKind::Unfused, (activation, PoolKind::Max), distance, max_binding);
    let model = ModelOptions { activation, comparison, ..ModelOptions::default() };
    let network = network("sn-lenet5", usual.input, &model);
    let mut plan = build(&network.unwrap(), &PlanOptions { loss, ..usual.options }).unwrap();
    // Weights that are all alike and small would show little.
    for parameter in plan.parameters.iter_mut().filter(|parameter| parameter.name == "head.weight") {
        parameter.initializer = Initializer::Uniform { bound: 4.0 };
    }
    plan
}

#[test]
fn cross_entropy_of_pairs() {
    for comparison in [Comparison::WeightedSum, Comparison::Exponential { scale: 2.0 }] {
        for max_binding in [1 << 27, 40_000] {
            check(learning(Loss::of(&CrossEntropy), comparison, ActivationKind::Tanh, max_binding));
        }
    }
}

/// Whole, and with every episode a piece of its own.
#[test]
fn episodes() {
    let loss = Loss::of(&Episodes).with("way", 2.0);
    for (max_binding, pieces) in [(1 << 27, 1), (80_000, 2)] {
        let comparison = loss.comparison(PairDistance::EUCLIDEAN);
        let plan = learning(loss, comparison, ActivationKind::Relu, max_binding);
        assert_eq!(plan.train.iter().filter(|s| (s.op, s.entry) == ("episode", "forward")).count(), pieces);
        check(plan);
    }
}

/// Without kinks; what stands in front of a norm needs no bias. Dropout's mask is that of the slot, always the same.
#[test]
fn attentive_network() {
    let model =
        ModelOptions { activation: ActivationKind::Tanh, pool: PoolKind::Average, ..ModelOptions::default() };
    let biases = ["conv1", "layer1.conv1", "layer1.conv2", "layer1.conv3", "layer1.downsample.0", "fc"];
    let biases = biases.map(|layer| format!("{layer}.bias"));
    let mut cancelling: Vec<&str> = biases.iter().map(String::as_str).collect();
    check_but(attentive(&model, Attention::AcrossChannels, Layout::Plain, (PAIRS, 1), 1 << 27), &cancelling);
    cancelling.push("layer1.attention.pointwise.bias");
    for max_binding in [1 << 27, 10_000] {
        let plan = attentive(&model, Attention::Separable, Layout::Plain, (PAIRS, 1), max_binding);
        let distances = plan.train.iter().filter(|s| (s.op, s.entry) == ("distance", "forward")).count();
        assert_eq!(distances, if max_binding < 20_000 { PAIRS } else { 1 });
        check_but(plan, &cancelling);
    }
}
