//! Whole training steps of SN-LeNet-5, and of a small residual network, on glyphs, the subject beside the CPU.
//!
//! Free runs of the paper's network part within tens of steps on any two executors, for two reasons.
//! The true gradient of most of `fc2.bias` is 0, and Adam with eps 1e-8 turns the rounding noise
//! there into full steps; eps 1e-4 drowns it. And ReLU and maximum pooling have kinks: where a value
//! is within rounding of one, the two sides take different ones, and a finite difference grows from
//! there (`docs/parity.md` shows PyTorch part from itself that way). So the subject is held to the
//! CPU in two ways: the network as it is, state-synchronised, each step from the same state; and
//! running freely without kinks, with tanh, average pooling and eps 1e-4.

use super::compare::Verdict;
use super::subject::Subject;
use super::trace::trace;
use crate::cpu::Cpu;
use crate::data::{Dataset, Glyphs, Pair, Shape, glyphs, pairs, split};
use crate::gpu::{Context, Gpu};
use crate::graph::{Graph, Initialization, Op};
use crate::loss::Loss;
use crate::model::resnet::{self, Residual};
use crate::model::sircnn::{self, Attention};
use crate::model::{self, ModelError, ModelOptions, Network};
use crate::ops::Layout;
use crate::ops::activation::ActivationKind;
use crate::ops::pool2d::PoolKind;
use crate::plan::{
    self, AdamOptions, BatchLayout, Capacity, Mode, OptimizerOptions, Plan, PlanKind, PlanOptions, Slot,
};
use crate::session::{Answer, Session, SessionError, pace};
use crate::train::{epoch, setup};

/// Steps of each comparison.
const STEPS: usize = 50;
const BATCH: usize = 64;
/// Pairs of the steps that are compared launch by launch.
const TRACED_BATCH: usize = 8;
const LEARNING_RATE: f64 = 1e-3;
const SEED: u64 = 0;

/// Relative difference of the loss that one step may make: some 2,000 roundings in a row, the
/// longest chain of a step, that mostly cancel.
const STEP_LOSS: f64 = 1e-5;
/// Norm of the difference of a gradient, beside the gradient's: the distances of a batch err by some
/// 1e-7, and the head's norm divides that by their deviation.
const STEP_GRADIENT: f64 = 1e-4;
/// The same with kinks: each time a value within rounding of one falls to the other side, one of the
/// ten thousands of terms of a gradient is there on one side only.
const STEP_GRADIENT_WITH_KINKS: f64 = 1e-2;
/// After 50 free steps without kinks: nothing amplifies what the steps add up to.
const FREE_LOSS: f64 = 1e-5;

/// A comparison of whole training steps.
pub type Comparison = for<'a> fn(&'a Subject) -> Answer<'a, Vec<Verdict>>;

/// All of them, by name.
pub const COMPARISONS: [(&str, Comparison); 16] = [
    ("synchronised", |subject| Box::pin(synchronised(subject, PlanKind::Unfused))),
    ("synchronised, blocked", |subject| Box::pin(synchronised(subject, PlanKind::Blocked))),
    ("synchronised, fused", |subject| Box::pin(synchronised(subject, PlanKind::Fused))),
    ("synchronised, residual", |subject| Box::pin(synchronised_residual(subject))),
    ("synchronised, attentive", |subject| Box::pin(synchronised_attentive(subject))),
    ("free", |subject| Box::pin(free(subject, PlanKind::Unfused))),
    ("free, blocked", |subject| Box::pin(free(subject, PlanKind::Blocked))),
    ("free, fused", |subject| Box::pin(free(subject, PlanKind::Fused))),
    ("traced", |subject| Box::pin(traced_whole(subject, PlanKind::Unfused))),
    ("traced, blocked", |subject| Box::pin(traced_whole(subject, PlanKind::Blocked))),
    ("traced in pieces", |subject| Box::pin(traced_in_pieces(subject, PlanKind::Unfused))),
    ("traced in pieces, blocked", |subject| Box::pin(traced_in_pieces(subject, PlanKind::Blocked))),
    ("traced, fused", |subject| Box::pin(traced_fused(subject))),
    ("traced, residual", |subject| Box::pin(traced_residual(subject, PlanKind::Unfused))),
    ("traced, residual, blocked", |subject| Box::pin(traced_residual(subject, PlanKind::Blocked))),
    ("traced, attentive", |subject| Box::pin(traced_attentive(subject))),
];

/// A network to train.
#[derive(Clone, Copy)]
enum Model {
    /// SN-LeNet-5.
    LeNet(ModelOptions),
    /// Small, but with every layer of a residual network: a block with and one without a projection.
    Residual(ModelOptions),
    /// One bottleneck of SiRCNN, as its paper counts it, then dropout; on standardized images.
    Attentive(ModelOptions),
}

impl Model {
    fn network(self, input: Shape) -> Result<Network, ModelError> {
        match self {
            Model::LeNet(options) => model::network("sn-lenet5", input, &options),
            Model::Residual(options) => {
                let stages = &[(4, 1, 1), (8, 1, 2)];
                let residual = Residual { stem: (4, 3, 2), pool: true, stages, features: 8 };
                let build = |graph: &mut Graph, images| resnet::backbone(graph, images, &options, &residual);
                let comparison = Some(options.comparison);
                Ok(Network::new("a residual network", input, Initialization::PyTorch, comparison, build)?)
            }
            Model::Attentive(options) => {
                let build = |graph: &mut Graph, images| {
                    let x = sircnn::backbone(graph, images, &options, &[4], Attention::Separable);
                    let x = graph.apply("dropout", Op::Dropout { rate: 0.3 }, &[x]);
                    graph.dense("fc", x, 8)
                };
                let comparison = Some(options.comparison);
                Ok(Network::new("an attentive network", input, Initialization::Glorot, comparison, build)?)
            }
        }
    }

    fn title(self) -> String {
        let (name, options) = match self {
            Model::LeNet(options) => ("sn-lenet5", options),
            Model::Residual(options) => ("a residual network", options),
            Model::Attentive(options) => ("an attentive network", options),
        };
        format!("{name}, {}, {}", options.activation, options.pool)
    }
}

/// A small set of glyphs with an epoch's pairs.
struct Material {
    dataset: Dataset,
    pairs: Vec<Pair>,
}

impl Material {
    fn new(train_per_class: usize) -> Self {
        let dataset =
            glyphs::generate(&Glyphs { train_per_class, test_per_class: 1, ..Glyphs::default() }, SEED);
        let split = split(&dataset, SEED);
        // Ten classes of at least two images each: pairs can always be drawn.
        let pairs = pairs::training(&dataset.labels, &split, SEED, 1).unwrap_or_default();
        Material { dataset, pairs }
    }

    fn plan(
        &self,
        kind: PlanKind,
        batch_size: usize,
        (model, eps): (Model, f32),
        max_binding: usize,
        layout: Layout,
    ) -> Result<Plan, SessionError> {
        let invalid = |message: String| SessionError::Validation { what: "the plan".into(), message };
        let network = model.network(self.dataset.shape).map_err(|error| invalid(error.to_string()))?;
        let options = PlanOptions {
            kind,
            batch: BatchLayout::Pairs,
            batch_size,
            mode: Mode::Training,
            loss: Loss::default(),
            optimizer: OptimizerOptions::Adam(AdamOptions { eps, ..AdamOptions::default() }),
            augment: false,
            standardize: matches!(model, Model::Attentive(_)),
            capacity: Capacity {
                images: self.dataset.len(),
                pairs: self.pairs.len(),
                embeddings: 16,
                scores: 16,
            },
            max_binding,
            layout,
        };
        plan::build(&network, &options).map_err(|error| invalid(error.to_string()))
    }

    /// Fills an executor with images, pairs and initial weights.
    fn fill(&self, executor: &mut dyn Session) -> Result<(), SessionError> {
        setup::upload_images(executor, &self.dataset)?;
        setup::upload_pairs(executor, &self.pairs)?;
        let values = setup::initial_values(executor.plan(), SEED);
        setup::write_all(executor, &values)
    }

    /// The CPU with the unfused plan, and the subject with this kind; both filled.
    async fn executors(
        &self,
        subject: &Subject,
        kind: PlanKind,
        model: (Model, f32),
    ) -> Result<[Box<dyn Session>; 2], SessionError> {
        let cpu = |kind, threads| -> Result<Box<dyn Session>, SessionError> {
            let plan = self.plan(kind, BATCH, model, usize::MAX / 8, Layout::Interleaved)?;
            let cpu = Cpu::new(plan, threads).map_err(|error| SessionError::Validation {
                what: "threads".into(),
                message: error.to_string(),
            })?;
            Ok(Box::new(cpu))
        };
        let other: Box<dyn Session> = match subject {
            Subject::Cpu => cpu(kind, 1)?,
            Subject::Gpu(pipelines) => {
                let plan = self.plan(kind, BATCH, model, pipelines.context.max_binding, Layout::Plain)?;
                Box::new(Gpu::new(pipelines.clone(), plan).await?)
            }
        };
        let mut both = [cpu(PlanKind::Unfused, 0)?, other];
        for executor in &mut both {
            self.fill(executor.as_mut())?;
        }
        Ok(both)
    }
}

/// A verdict on numbers that no case made.
fn verdict(entry: &'static str, case: &str) -> Verdict {
    Verdict::named(("training", entry), case, SEED)
}

/// Notes a number that may differ by `bound`, `index` telling which.
fn look(verdict: &mut Verdict, tensor: &str, index: usize, [expected, found]: [f64; 2], bound: f64) {
    let error = (expected - found).abs();
    let within = error <= bound;
    if verdict.bound == 0.0 || error / bound > verdict.error / verdict.bound || (!within && verdict.pass) {
        verdict.worst_tensor = tensor.into();
        verdict.worst_index = index;
        (verdict.expected, verdict.found) = (expected, found);
        (verdict.error, verdict.bound) = (error, bound);
    }
    verdict.pass &= within;
}

async fn losses(executor: &mut dyn Session, slots: &[Slot]) -> Result<Vec<f64>, SessionError> {
    let steps = pace::train(executor, slots).await?;
    Ok(steps.iter().map(|step| f64::from(step.loss)).collect())
}

/// ReLU and maximum pooling.
fn kinked() -> ModelOptions {
    ModelOptions::default()
}

/// Tanh and average pooling: nothing that rounding could push over an edge.
fn smooth() -> ModelOptions {
    ModelOptions { activation: ActivationKind::Tanh, pool: PoolKind::Average, ..ModelOptions::default() }
}

/// Every step from the CPU's state: loss and gradients must agree.
async fn synchronised(subject: &Subject, kind: PlanKind) -> Result<Vec<Verdict>, SessionError> {
    let mut verdicts = each_step(subject, kind, Model::LeNet(kinked()), STEP_GRADIENT_WITH_KINKS).await?;
    verdicts.extend(each_step(subject, kind, Model::LeNet(smooth()), STEP_GRADIENT).await?);
    Ok(verdicts)
}

/// The same of a residual network, with norms within.
async fn synchronised_residual(subject: &Subject) -> Result<Vec<Verdict>, SessionError> {
    let kind = PlanKind::Unfused;
    let mut verdicts = each_step(subject, kind, Model::Residual(kinked()), STEP_GRADIENT_WITH_KINKS).await?;
    verdicts.extend(each_step(subject, kind, Model::Residual(smooth()), STEP_GRADIENT).await?);
    Ok(verdicts)
}

/// The same with channel attention, whose convolutions come in groups, and dropout.
async fn synchronised_attentive(subject: &Subject) -> Result<Vec<Verdict>, SessionError> {
    let kind = PlanKind::Unfused;
    let mut verdicts = each_step(subject, kind, Model::Attentive(kinked()), STEP_GRADIENT_WITH_KINKS).await?;
    verdicts.extend(each_step(subject, kind, Model::Attentive(smooth()), STEP_GRADIENT).await?);
    Ok(verdicts)
}

async fn each_step(
    subject: &Subject,
    kind: PlanKind,
    model: Model,
    allowed: f64,
) -> Result<Vec<Verdict>, SessionError> {
    let material = Material::new(250);
    let [mut cpu, mut other] = material.executors(subject, kind, (model, 1e-8)).await?;
    let steps = steps(subject, kind);
    let title = format!("of {steps} steps of {}, {}", model.title(), kind.name());
    let mut of_loss = verdict("synchronised", &format!("loss {title}"));
    let mut of_gradients = verdict("synchronised", &format!("gradients {title}"));
    let parameters = cpu.plan().parameters.iter();
    let names: Vec<String> =
        parameters.filter(|p| p.trainable).map(|p| format!("{}.gradient", p.name)).collect();
    for (step, slot) in
        epoch::slots(cpu.as_ref(), 0..steps, 0, SEED, |_| LEARNING_RATE).into_iter().enumerate()
    {
        let state = setup::read_all(cpu.as_mut(), true).await?;
        setup::write_all(other.as_mut(), &state)?;
        let [expected, found] =
            [losses(cpu.as_mut(), &[slot]).await?[0], losses(other.as_mut(), &[slot]).await?[0]];
        look(&mut of_loss, "loss", step, [expected, found], STEP_LOSS * expected);
        for layer in names.chunk_by(|a, b| layer_of(a) == layer_of(b)) {
            // The terms of a bias's gradient cancel; its layer's weight shows their size.
            let mut size: f64 = 0.0;
            for name in layer {
                size = size.max(norm(&cpu.read(name).await?));
            }
            for name in layer {
                let (expected, found) = (cpu.read(name).await?, other.read(name).await?);
                let difference: Vec<f32> = expected.iter().zip(&found).map(|(a, b)| a - b).collect();
                look(&mut of_gradients, name, step, [norm(&difference), 0.0], allowed * size);
            }
        }
    }
    Ok(vec![of_loss, of_gradients])
}

/// The layer that a gradient is of.
fn layer_of(gradient: &str) -> Option<&str> {
    Some(gradient.strip_suffix(".gradient")?.rsplit_once('.')?.0)
}

/// A processor takes its time over fused steps: a few of them must do.
fn steps(subject: &Subject, kind: PlanKind) -> usize {
    let processor = matches!(subject, Subject::Cpu) || subject.adapter().software;
    if processor && kind == PlanKind::Fused { STEPS / 10 } else { STEPS }
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

/// Fifty steps from the same start, without kinks and with an eps that drowns the noise of true zeros.
async fn free(subject: &Subject, kind: PlanKind) -> Result<Vec<Verdict>, SessionError> {
    let material = Material::new(250);
    let [mut cpu, mut other] = material.executors(subject, kind, (Model::LeNet(smooth()), 1e-4)).await?;
    let steps = steps(subject, kind);
    let slots = epoch::slots(cpu.as_ref(), 0..steps, 0, SEED, |_| LEARNING_RATE);
    let [expected, found] = [losses(cpu.as_mut(), &slots).await?, losses(other.as_mut(), &slots).await?];
    let title = format!("{steps} steps of sn-lenet5, tanh, average, eps 1e-4, {}", kind.name());
    let mut verdict = verdict("free", &title);
    for (step, (expected, found)) in expected.into_iter().zip(found).enumerate() {
        look(&mut verdict, "loss", step, [expected, found], FREE_LOSS);
    }
    Ok(vec![verdict])
}

/// Each launch of a training step against the reference on the inputs that the launch had.
async fn traced_whole(subject: &Subject, kind: PlanKind) -> Result<Vec<Verdict>, SessionError> {
    traced(subject, kind, (Model::LeNet(kinked()), 1e-8), |device| device.max_binding).await
}

/// The same with bindings so small that images, rows of weights, optimizer and data set are split.
async fn traced_in_pieces(subject: &Subject, kind: PlanKind) -> Result<Vec<Verdict>, SessionError> {
    traced(subject, kind, (Model::LeNet(kinked()), 1e-8), |_| 64 << 10).await
}

/// A residual network, and the same with bindings of two pairs.
async fn traced_residual(subject: &Subject, kind: PlanKind) -> Result<Vec<Verdict>, SessionError> {
    let model = (Model::Residual(kinked()), 1e-8);
    let mut verdicts = traced(subject, kind, model, |device| device.max_binding).await?;
    verdicts.extend(traced(subject, kind, model, |_| 16 << 10).await?);
    Ok(verdicts)
}

/// Channel attention and dropout, whole and in pieces.
async fn traced_attentive(subject: &Subject) -> Result<Vec<Verdict>, SessionError> {
    let (kind, model) = (PlanKind::Unfused, (Model::Attentive(kinked()), 1e-8));
    let mut verdicts = traced(subject, kind, model, |device| device.max_binding).await?;
    verdicts.extend(traced(subject, kind, model, |_| 16 << 10).await?);
    Ok(verdicts)
}

/// The fused launches run through several layers each: no kinks, where rounding could choose another side
/// within a launch, and an eps that errors of the gradients, here part of the optimizer's launch, are small to.
async fn traced_fused(subject: &Subject) -> Result<Vec<Verdict>, SessionError> {
    traced(subject, PlanKind::Fused, (Model::LeNet(smooth()), 1e-4), |device| device.max_binding).await
}

/// The CPU has no launches to stop between; `tests/library/golden` holds its whole steps to f64.
async fn traced(
    subject: &Subject,
    kind: PlanKind,
    model: (Model, f32),
    max_binding: fn(&Context) -> usize,
) -> Result<Vec<Verdict>, SessionError> {
    let Subject::Gpu(pipelines) = subject else { return Ok(Vec::new()) };
    let (material, max_binding) = (Material::new(12), max_binding(&pipelines.context));
    let plan = material.plan(kind, TRACED_BATCH, model, max_binding, Layout::Plain)?;
    let slot = Slot { count: TRACED_BATCH as u32, ..plan.slot(1, LEARNING_RATE) };
    let mut gpu = Gpu::new(pipelines.clone(), plan).await?;
    material.fill(&mut gpu)?;
    let mut verdicts = trace(&mut gpu, slot).await?;
    for verdict in &mut verdicts {
        verdict.case = format!("{}, {}, bindings of {} KiB", verdict.case, kind.name(), max_binding >> 10);
    }
    Ok(verdicts)
}
