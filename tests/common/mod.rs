//! What several tests share: the program, and steps and plans run on values made by hand, in any number type.

// Each test uses a part of this.
#![allow(dead_code)]

pub mod idx;
pub mod program;
pub mod training;

use std::collections::BTreeSet;

use gpu_siamese::cpu::{Io, Memory, Real};
use gpu_siamese::data::{Dataset, Shape, Split};
use gpu_siamese::graph::{Graph, Initialization, Op};
use gpu_siamese::loss::{Contrastive, Hadsell, Loss};
use gpu_siamese::model::resnet::{self, Residual};
use gpu_siamese::model::sircnn::{self, Attention};
use gpu_siamese::model::{ModelOptions, Network, network};
use gpu_siamese::ops::contrastive::Convention;
use gpu_siamese::ops::{BufferId, Layout, Step, View};
use gpu_siamese::plan::{
    BatchLayout, Buffer, Capacity, Mode, OptimizerOptions, Plan, PlanKind, PlanOptions, Role, Slot, build,
    from_plain, to_plain,
};

/// Numbers that tests write as f64.
pub trait Number: Real {
    fn from_f64(value: f64) -> Self;
}

impl Number for f32 {
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
}

impl Number for f64 {
    fn from_f64(value: f64) -> f64 {
        value
    }
}

/// What runs a step: `cpu::reference` or `cpu::fast`.
pub type Function<T> = fn(&Step, &mut Io<'_, T>);

/// Memory that grows by an operand at a time, each in a buffer of its own.
pub struct Bench<T> {
    function: Function<T>,
    /// Of the per-image operands.
    layout: Layout,
    memory: Memory<T>,
    /// Images of each buffer, 1 where it holds none.
    images: Vec<usize>,
    pub slot: Slot,
    /// The functions that ran.
    pub ran: BTreeSet<(&'static str, &'static str)>,
}

impl<T: Number> Bench<T> {
    pub fn new(function: Function<T>, layout: Layout) -> Self {
        let memory = Memory { buffers: Vec::new() };
        Bench { function, layout, memory, images: Vec::new(), slot: Slot::default(), ran: BTreeSet::new() }
    }

    fn buffer(&mut self, role: Role, images: usize, len: usize, layout: Layout) -> View {
        let buffer = Buffer { name: String::new(), role, len };
        self.memory.buffers.extend(Memory::new(&[buffer]).buffers);
        self.images.push(images);
        View { buffer: BufferId(self.images.len() - 1), offset: 0, len, layout }
    }

    fn fill(&mut self, values: &[f64], images: usize, layout: Layout, padding: f64) -> View {
        let stored = from_plain(values, layout, images, padding);
        let view = self.buffer(Role::Activations, images, stored.len(), layout);
        for (to, value) in self.memory.numbers_mut(view.buffer.0).iter_mut().zip(stored) {
            *to = T::from_f64(value);
        }
        view
    }

    pub fn input(&mut self, values: &[f64]) -> View {
        self.fill(values, 1, Layout::Plain, 0.0)
    }

    /// A per-image operand; padding that nothing may depend on is 7.
    pub fn images(&mut self, values: &[f64], images: usize) -> View {
        self.fill(values, images, self.layout, 7.0)
    }

    /// A gradient of a per-image operand, which is 0 where images only pad.
    pub fn image_gradient(&mut self, values: &[f64], images: usize) -> View {
        self.fill(values, images, self.layout, 0.0)
    }

    pub fn words(&mut self, words: &[u32]) -> View {
        let view = self.buffer(Role::List, 1, words.len(), Layout::Plain);
        self.memory.words_mut(view.buffer.0).copy_from_slice(words);
        view
    }

    /// Room for a result: NaN, so that what is left out shows.
    pub fn output(&mut self, len: usize) -> View {
        self.fill(&vec![f64::NAN; len], 1, Layout::Plain, f64::NAN)
    }

    pub fn image_output(&mut self, images: usize, values: usize) -> View {
        self.fill(&vec![f64::NAN; images * values], images, self.layout, f64::NAN)
    }

    pub fn run(&mut self, step: &Step) {
        self.ran.insert((step.op, step.entry));
        self.memory.lend(step, &self.slot, |io| (self.function)(step, io));
    }

    pub fn read(&self, view: View) -> Vec<f64> {
        let images = self.images[view.buffer.0];
        let values = view.len / view.layout.len(images, 1);
        let stored = &self.memory.numbers(view.buffer.0)[view.range()];
        to_plain(stored, view.layout, images, values).into_iter().map(Real::to_f64).collect()
    }
}

/// A plan with its memory.
pub struct Run<T> {
    pub plan: Plan,
    pub memory: Memory<T>,
}

impl<T: Number> Run<T> {
    pub fn new(plan: Plan) -> Self {
        let memory = Memory::new(&plan.buffers);
        Run { plan, memory }
    }

    fn view(&self, name: &str) -> View {
        self.plan.tensor(name).unwrap_or_else(|| panic!("the plan has no tensor {name}")).view
    }

    pub fn read(&self, name: &str) -> Vec<f64> {
        self.look(self.view(name))
    }

    pub fn look(&self, view: View) -> Vec<f64> {
        self.memory.numbers(view.buffer.0)[view.range()].iter().map(|value| value.to_f64()).collect()
    }

    pub fn write(&mut self, name: &str, values: &[f64]) {
        let view = self.view(name);
        assert_eq!(view.len, values.len(), "{name}");
        for (to, &value) in self.memory.numbers_mut(view.buffer.0)[view.range()].iter_mut().zip(values) {
            *to = T::from_f64(value);
        }
    }

    pub fn write_words(&mut self, name: &str, words: &[u32]) {
        let view = self.view(name);
        self.memory.words_mut(view.buffer.0)[view.range()].copy_from_slice(words);
    }

    pub fn run(&mut self, function: Function<T>, step: &Step, slot: &Slot) {
        self.memory.lend(step, slot, |io| function(step, io));
    }
}

/// The contrastive loss of this convention.
pub fn contrastive(convention: Convention) -> Loss {
    match convention {
        Convention::Similarity => Loss::of(&Contrastive),
        Convention::Distance => Loss::of(&Hadsell),
    }
}

/// The unfused plan of SN-LeNet-5 on 28x28 images.
pub fn sn_lenet5(
    model: &ModelOptions,
    convention: Convention,
    layout: Layout,
    batches: (usize, usize),
    max_binding: usize,
) -> Plan {
    sn_lenet5_as(PlanKind::Unfused, model, convention, layout, batches, max_binding)
}

/// Any plan of SN-LeNet-5 on 28x28 images.
pub fn sn_lenet5_as(
    kind: PlanKind,
    model: &ModelOptions,
    convention: Convention,
    layout: Layout,
    (batch_size, batches): (usize, usize),
    max_binding: usize,
) -> Plan {
    let pairs = batch_size * batches;
    let options = PlanOptions {
        kind,
        mode: Mode::Training,
        batch: BatchLayout::Pairs,
        batch_size,
        loss: contrastive(convention),
        optimizer: OptimizerOptions::default(),
        augment: false,
        standardize: false,
        capacity: Capacity { images: 2 * pairs, pairs, embeddings: 1, scores: 1 },
        max_binding,
        layout,
    };
    let input = Shape { channels: 1, height: 28, width: 28 };
    let network = network("sn-lenet5", input, model).expect("28x28 suits the model");
    build(&network, &options).expect("the plan is small")
}

/// The unfused plan of a small residual network on 28x28 images: a block with and one without a projection.
pub fn residual(
    model: &ModelOptions,
    layout: Layout,
    (batch_size, batches): (usize, usize),
    max_binding: usize,
) -> Plan {
    let of_lenet = sn_lenet5(model, Convention::Similarity, layout, (batch_size, batches), 1 << 27);
    let stages = &[(4, 1, 1), (8, 1, 2)];
    let residual = Residual { stem: (4, 3, 2), pool: true, stages, features: 8 };
    let backbone = |graph: &mut Graph, images| resnet::backbone(graph, images, model, &residual);
    let comparison = Some(model.comparison);
    let network = Network::new("residual", of_lenet.input, Initialization::PyTorch, comparison, backbone);
    build(&network.expect("28x28 suits it"), &PlanOptions { max_binding, ..of_lenet.options })
        .expect("the plan is small")
}

/// The unfused plan of a narrow bottleneck of SiRCNN with dropout behind it, on standardized images of 28x28.
pub fn attentive(
    model: &ModelOptions,
    attention: Attention,
    layout: Layout,
    (batch_size, batches): (usize, usize),
    max_binding: usize,
) -> Plan {
    let of_lenet = sn_lenet5(model, Convention::Similarity, layout, (batch_size, batches), 1 << 27);
    let backbone = |graph: &mut Graph, images| {
        let x = sircnn::backbone(graph, images, model, &[4], attention);
        let x = graph.apply("dropout", Op::Dropout { rate: 0.3 }, &[x]);
        graph.dense("fc", x, 8)
    };
    let comparison = Some(model.comparison);
    let network = Network::new("attentive", of_lenet.input, Initialization::Glorot, comparison, backbone);
    let network = network.expect("its images are square");
    build(&network, &PlanOptions { max_binding, standardize: true, ..of_lenet.options })
        .expect("the plan is small")
}

/// A plan of SN-LeNet-5 that trains on a data set.
pub fn plan_for(
    dataset: &Dataset,
    split: &Split,
    batch_size: usize,
    layout: Layout,
    max_binding: usize,
) -> Plan {
    let evaluated = split.validation.len().max(split.test.len());
    let options = PlanOptions {
        kind: PlanKind::Unfused,
        mode: Mode::Training,
        batch: BatchLayout::Pairs,
        batch_size,
        loss: Loss::default(),
        optimizer: OptimizerOptions::default(),
        augment: false,
        standardize: false,
        capacity: Capacity {
            images: dataset.len(),
            pairs: 2 * split.train.len(),
            embeddings: evaluated,
            scores: 2 * evaluated,
        },
        max_binding,
        layout,
    };
    let network =
        network("sn-lenet5", dataset.shape, &ModelOptions::default()).expect("28x28 suits the model");
    build(&network, &options).expect("the plan is small")
}

/// Images of a whole number of words, as the data set's tensor holds them.
pub fn packed(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}
