//! Ten training steps of SN-LeNet-5 against training.json.
//!
//! **In f64, running freely.** Attributes are f32 here and f64 there: eps is off by 2.5e-8, the
//! learning rate by 4.7e-8, momentum by 1.5e-8, Adam's corrections by up to 6e-8. Nothing else
//! differs: with attributes read back as decimals the first step's gradients agree to 3e-15.
//!
//! - The first step only meets the norm's eps, 1e-5 beside a variance of 2.4e-4: half of 4 % of
//!   2.5e-8, so 5e-10 in each normalised distance, and a few times that in gradients. Allowed 1e-8,
//!   worst found 9e-10.
//! - A parameter that starts at 0 is nothing but updates, so it is off by their 4.7e-8 or more;
//!   others by less. Allowed 2e-7 of the norm, worst 5e-8; the same for running statistics, worst 2e-8.
//! - From the second step on, all parameters are off by about 5e-8 of the way they went. Gradients
//!   are small differences between alike images, divided by a small deviation, and so change by
//!   their own size within a few steps (their norms go from 0.7 to 0.1 and back): a few times to
//!   some ten times 5e-8. Allowed 5e-6 of the norm, worst 1.1e-6; and 1e-6 for loss, distances and
//!   similarities, worst 1.4e-7.
//!
//! **In f32, from one state.** Free runs part (see README.md), so before each step all start from
//! the same f32 numbers, and f64 shows what they should find. A feature is a sum of hundreds of
//! products of size 0.1 and errs by some 1e-7; so does a distance of 0.05, of which the norm keeps
//! the deviation, 0.015: 1e-5 in whatever follows. Allowed 1e-4 of a gradient's norm, worst 1.7e-5
//! (AVX-512, AVX2 and portable), and 1e-5 for the loss, worst 1.8e-6. Hits must be equal.

use std::collections::BTreeMap;

use gpu_siamese::cpu::{self, Cpu};
use gpu_siamese::model::ModelOptions;
use gpu_siamese::ops::Layout;
use gpu_siamese::ops::contrastive::Convention;
use gpu_siamese::plan::{Plan, Slot};
use gpu_siamese::session::{Session, pace};
use pollster::block_on;
use serde::Deserialize;

use crate::common::{Function, Number, Run, packed, sn_lenet5};

const STEPS: usize = 10;
const PAIRS: usize = 6;
const PIXELS: usize = 28 * 28;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    loss: f64,
    hits: f64,
    similarity: Vec<f64>,
    distance: Vec<f64>,
    gradients: BTreeMap<String, Digest>,
    parameters: BTreeMap<String, Digest>,
    running: BTreeMap<String, Digest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Digest {
    norm: f64,
    sum: f64,
    index: Vec<usize>,
    value: Vec<f64>,
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|value| value * value).sum::<f64>().sqrt()
}

impl Digest {
    /// The largest error of norm, sum and values. A sum of n values whose errors have the norm e errs
    /// by up to e sqrt(n).
    fn error(&self, values: &[f64]) -> f64 {
        let sum = (values.iter().sum::<f64>() - self.sum).abs() / (values.len() as f64).sqrt();
        let sampled = self.index.iter().zip(&self.value).map(|(&i, wanted)| (values[i] - wanted).abs());
        let found = norm(values.iter().copied());
        sampled.fold((found - self.norm).abs().max(sum), f64::max)
    }
}

/// 32 bits for number `i` of tensor `t`, as in generate.py.
fn hashed(t: u32, i: usize) -> u32 {
    let x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(t * 40_503 + 12_345);
    let x = (x ^ (x >> 16)).wrapping_mul(0x45d_9f3b);
    x ^ (x >> 16)
}

/// The 12 images of each step, branch A first; B of an even pair is 3/4 its A.
fn images() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..STEPS * 2 * PAIRS * PIXELS).map(|i| (hashed(1000, i) >> 24) as u8).collect();
    for images in bytes.chunks_exact_mut(2 * PAIRS * PIXELS) {
        let (a, b) = images.split_at_mut(PAIRS * PIXELS);
        for p in (0..PAIRS).step_by(2) {
            let range = p * PIXELS..(p + 1) * PIXELS;
            for (b, &a) in b[range.clone()].iter_mut().zip(&a[range]) {
                *b = ((3 * u32::from(a) + u32::from(*b)) / 4) as u8;
            }
        }
    }
    bytes
}

/// Pair p of a step shows its images p and 6 + p; every even pair is of one class.
fn pairs() -> (Vec<u32>, Vec<u32>) {
    let all = (0..STEPS * PAIRS).map(|pair| (pair / PAIRS * 2 * PAIRS + pair % PAIRS, pair % PAIRS));
    let index = all.clone().flat_map(|(a, _)| [a as u32, (a + PAIRS) as u32]);
    (index.collect(), all.map(|(_, p)| u32::from(p % 2 == 0)).collect())
}

/// Parameters by name, and the initial values of the head.
fn initial(plan: &Plan) -> Vec<(String, Vec<f64>)> {
    let values = |(t, parameter): (usize, &gpu_siamese::plan::Parameter)| {
        let constant = match parameter.name.as_str() {
            "head.norm.weight" | "head.norm.running_var" => Some(1.0),
            "head.norm.bias" | "head.norm.running_mean" | "head.fc.bias" => Some(0.0),
            "head.fc.weight" => Some(-1.0),
            _ => None,
        };
        let fan_in = match parameter.name.split_once('.') {
            Some(("conv1", _)) => 25.0f64,
            Some(("conv2", _)) => 150.0,
            Some(("fc1", _)) => 400.0,
            _ => 120.0,
        };
        let value = |i| {
            let u = f64::from(hashed(t as u32, i)) / 4_294_967_296.0 * 2.0 - 1.0;
            constant.unwrap_or(f64::from((u / fan_in.sqrt()) as f32))
        };
        (parameter.name.clone(), (0..parameter.len()).map(value).collect())
    };
    plan.parameters.iter().enumerate().map(values).collect()
}

fn plan(layout: Layout) -> Plan {
    sn_lenet5(&ModelOptions::default(), Convention::Similarity, layout, (PAIRS, STEPS), 1 << 27)
}

fn slot(plan: &Plan, step: usize) -> Slot {
    let (first, count) = ((step * PAIRS) as u32, PAIRS as u32);
    Slot { first, count, index: 0, ..plan.slot(step as u64 + 1, 1e-3) }
}

fn loaded<T: Number>() -> Run<T> {
    let mut run = Run::new(plan(Layout::Plain));
    let (index, same) = pairs();
    run.write_words("data.0", &packed(&images()));
    run.write_words("pairs.index", &index);
    run.write_words("pairs.same", &same);
    for (name, values) in initial(&run.plan) {
        run.write(&name, &values);
    }
    run
}

/// One training step. Returns the distances and similarities, whose memory others share later.
fn train<T: Number>(run: &mut Run<T>, function: Function<T>, step: usize) -> [Vec<f64>; 2] {
    let (slot, mut seen) = (slot(&run.plan, step), [vec![], vec![]]);
    for step in run.plan.train.clone() {
        run.run(function, &step, &slot);
        for (seen, op) in seen.iter_mut().zip(["distance", "head"]) {
            if (step.op, step.entry) == (op, "forward") {
                *seen = run.look(step.operand("y").unwrap().view);
            }
        }
    }
    seen
}

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("training.json")).unwrap()
}

fn close(what: &str, step: usize, error: f64, allowed: f64) {
    assert!(error <= allowed, "step {step}: {what} is off by {error:e}, more than {allowed:e}");
}

/// What the error of a gradient is measured against: its norm, or for a bias, where terms of either
/// sign may cancel, the norm of its layer's weight's gradient if that is larger.
fn scale(name: &str, norm: impl Fn(&str) -> f64) -> f64 {
    norm(name).max(norm(&name.replace("bias", "weight")))
}

fn relative(found: f64, wanted: f64) -> f64 {
    (found - wanted).abs() / wanted.abs()
}

#[test]
fn ten_steps_in_f64() {
    let mut run = loaded::<f64>();
    let golden = golden();
    assert_eq!(golden.len(), STEPS);
    let trainable = run.plan.parameters.iter().filter(|p| p.trainable).count();
    for (step, golden) in golden.iter().enumerate() {
        let (values, gradients, state) = if step == 0 { (1e-8, 1e-8, 2e-7) } else { (1e-6, 5e-6, 2e-7) };
        let [distance, similarity] = train(&mut run, cpu::reference, step);
        let history = run.read("history");
        close("loss", step, relative(history[0], golden.loss), values);
        assert_eq!(history[1], golden.hits, "hits of step {step}");
        for (what, found, wanted) in
            [("distance", distance, &golden.distance), ("similarity", similarity, &golden.similarity)]
        {
            assert_eq!(found.len(), wanted.len());
            let worst = found.iter().zip(wanted).map(|(&f, &w)| relative(f, w)).fold(0.0, f64::max);
            close(what, step, worst, values);
        }
        let counts = [&golden.gradients, &golden.parameters, &golden.running].map(BTreeMap::len);
        assert_eq!(counts, [trainable, trainable, run.plan.parameters.len() - trainable]);
        for (name, digest) in &golden.gradients {
            let scale = scale(name, |name| golden.gradients[name].norm);
            let gradient = format!("{name}.gradient");
            close(&gradient, step, digest.error(&run.read(&gradient)) / scale, gradients);
        }
        for (name, digest) in golden.parameters.iter().chain(&golden.running) {
            close(name, step, digest.error(&run.read(name)) / digest.norm, state);
        }
    }
}

#[test]
fn ten_steps_in_f32_each_from_the_same_state() {
    const LOSS: f64 = 1e-5;
    const GRADIENT: f64 = 1e-4;
    let mut exact = loaded::<f64>();
    let mut rounded = loaded::<f32>();
    let mut cpu = Cpu::new(plan(Layout::Interleaved), 2).unwrap();
    let (index, same) = pairs();
    cpu.write_words("data.0", &packed(&images())).unwrap();
    cpu.write_words("pairs.index", &index).unwrap();
    cpu.write_words("pairs.same", &same).unwrap();
    let (mut state, mut gradients) = (Vec::new(), Vec::new());
    for parameter in &exact.plan.parameters {
        state.push(parameter.name.clone());
        if parameter.trainable {
            state.extend(["first_moment", "second_moment"].map(|m| format!("{}.{m}", parameter.name)));
            gradients.push(parameter.name.clone());
        }
    }
    for step in 0..STEPS {
        for name in &state {
            let values: Vec<f32> = exact.read(name).iter().map(|&value| value as f32).collect();
            cpu.write(name, &values).unwrap();
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            exact.write(name, &values);
            rounded.write(name, &values);
        }
        train(&mut exact, cpu::reference, step);
        train(&mut rounded, cpu::reference, step);
        let slot = slot(&exact.plan, step);
        let [fast] = block_on(pace::train(&mut cpu, &[slot])).unwrap()[..] else { panic!("one step") };
        let [loss, hits] = exact.read("history")[..2] else { panic!("one row of history") };
        let [rounded_loss, rounded_hits] = rounded.read("history")[..2] else { panic!("one row of history") };
        close("the reference's loss", step, relative(rounded_loss, loss), LOSS);
        close("the fast loss", step, relative(fast.loss.into(), loss), LOSS);
        assert_eq!((hits, hits), (rounded_hits, fast.correct as f64), "hits of step {step}");
        for name in &gradients {
            let gradient = |name: &str| exact.read(&format!("{name}.gradient"));
            let wanted = gradient(name);
            let scale = scale(name, |name| norm(gradient(name)));
            let error = |found: Vec<f64>| norm(found.iter().zip(&wanted).map(|(f, w)| f - w)) / scale;
            let name = format!("{name}.gradient");
            close(&format!("the reference's {name}"), step, error(rounded.read(&name)), GRADIENT);
            let fast = block_on(cpu.read(&name)).unwrap().into_iter().map(f64::from).collect();
            close(&format!("the fast {name}"), step, error(fast), GRADIENT);
        }
    }
}
