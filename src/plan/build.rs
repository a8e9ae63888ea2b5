//! Network + loss + optimizer + batch size -> [`Plan`].
//!
//! The network's graph ends with the loss and is differentiated; its nodes are lowered to steps, one phase after the
//! other: training, embedding, scoring. A batch that would bind more than the device allows is cut into micro-batches
//! of whole entries, whose gradients add up; large dense weights and the optimizer are cut by rows.

use super::lower::Lowering;
use super::{
    Buffer, Capacity, HISTORY, Mode, Parameter, Phase, Plan, PlanError, PlanKind, PlanOptions, Role, Tensor,
    lists, liveness,
};
use crate::graph::{Batch, Dim, Graph, ValueId};
use crate::loss::Inputs;
use crate::model::Network;
use crate::ops::gather::words;
use crate::ops::rows::Rows;
use crate::ops::standardize::STATISTICS;
use crate::ops::warp::MATRIX;
use crate::ops::{BufferId, ITERATION_BUDGET, Layout, Step, TENSOR_ALIGN as ALIGN, View};
use crate::tensor::Shape;

/// Pairs scored in one step, at most.
const SCORE_BATCH: usize = 1024;

pub(super) struct Builder<'a> {
    pub(super) options: &'a PlanOptions,
    pub(super) buffers: Vec<Buffer>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) parameters: Vec<Parameter>,
    /// Where each parameter stands in the buffers of parameters, gradients and moments, or in the
    /// buffer of state.
    pub(super) offsets: Vec<usize>,
    /// Parameter groups in the buffer of parameters, in order: each one's end, and the coefficient that the optimizer
    /// treats it with.
    pub(super) groups: Vec<(usize, f64)>,
    /// Lengths of short-lived tensors; their buffer numbers start behind [`TEMPORARY`].
    pub(super) temporaries: Vec<usize>,
}

/// First number of the buffers that stand for short-lived tensors until they share memory.
const TEMPORARY: usize = 1 << 20;

pub(super) struct Fixed {
    /// Entries of the batches, and what is known of them.
    pub(super) train_index: View,
    pub(super) train_labels: View,
    /// Affine maps of the training images, where they are augmented.
    pub(super) train_matrices: Option<View>,
    /// Scale and shift of each image, where they are standardized.
    pub(super) statistics: Option<View>,
    pub(super) embed_index: View,
    pub(super) score_index: View,
    pub(super) parameters: BufferId,
    /// Of training only, as the moments.
    pub(super) gradients: Option<BufferId>,
    /// What the optimizer keeps, in the order of [`super::OptimizerOptions::kept`].
    pub(super) moments: Vec<BufferId>,
    pub(super) state: BufferId,
    pub(super) history: View,
    pub(super) embeddings: View,
    pub(super) distances: View,
    pub(super) similarities: View,
    /// The data set: view, first image, images.
    pub(super) windows: Vec<(View, usize, usize)>,
}

/// Builds the plan that `options` ask for.
///
/// # Errors
/// Layers that do not fit their input, or work that does not fit the device.
pub fn build(network: &Network, options: &PlanOptions) -> Result<Plan, PlanError> {
    let mut builder = Builder {
        options,
        buffers: Vec::new(),
        tensors: Vec::new(),
        parameters: Vec::new(),
        offsets: Vec::new(),
        groups: Vec::new(),
        temporaries: Vec::new(),
    };
    builder.plan(network)
}

/// The plan of the first kind that fits, with the options for it.
///
/// # Errors
/// Those of the last kind.
pub fn build_first(
    network: &Network,
    kinds: &[PlanKind],
    options: impl Fn(PlanKind) -> PlanOptions,
) -> Result<Plan, PlanError> {
    let (last, others) = kinds.split_last().unwrap_or((&PlanKind::Unfused, &[]));
    let fitting = others.iter().find_map(|&kind| build(network, &options(kind)).ok());
    fitting.map_or_else(|| build(network, &options(*last)), Ok)
}

impl Builder<'_> {
    fn plan(&mut self, network: &Network) -> Result<Plan, PlanError> {
        let options = self.options;
        let graph = self.training_graph(network)?;
        self.parameters = graph.parameters.clone();
        let features = network.features();
        // A table larger than a binding is filled several times.
        let rows = (options.max_binding / (4 * features)).max(2);
        let capacity = Capacity { embeddings: options.capacity.embeddings.min(rows), ..options.capacity };
        let fixed = self.fixed_buffers(network.input, features, capacity);

        let largest = self.largest_row(&graph, &fixed);
        let (images, branches) = (options.max_binding / (4 * largest), options.batch.branches());
        let unit = options.loss.unit() * branches;
        if images < unit {
            let what = "the activations of an image, a pair or an episode";
            return Err(self.too_large(what, unit * 4 * largest));
        }
        let entries = options.batch_size.min(images / unit * options.loss.unit());
        let most = match options.mode {
            Mode::Training => branches * options.batch_size,
            // Nothing larger will be asked for.
            Mode::Inference => (branches * options.batch_size).min(capacity.embeddings.max(1)),
        };
        let embed_batch = most.min(images);
        let score_batch =
            SCORE_BATCH.min(options.max_binding / (8 * features)).min(options.capacity.scores).max(1);

        let fused = options.kind == PlanKind::Fused;
        let mut train = match options.mode {
            Mode::Inference => Vec::new(),
            Mode::Training if fused => self.fused_training(network, &graph, &fixed)?,
            Mode::Training => self.training(network, &graph, &fixed, entries)?,
        };
        // Embeddings are stored and scored in the layout of the batch, which the trunk does not know.
        let mut embed = if fused && options.layout == Layout::Plain {
            self.fused_embedding(network, &fixed, embed_batch)?
        } else {
            self.embedding(network, &fixed, embed_batch)?
        };
        let mut score = match network.distance {
            Some(distance) => self.scoring(network, &fixed, distance, score_batch)?,
            // Embeddings are logits, and the host reads those.
            None => Vec::new(),
        };
        self.share_memory([&mut train, &mut embed, &mut score]);
        self.check(&[&train, &embed, &score])?;
        Ok(Plan {
            model: network.name.clone(),
            options: PlanOptions { capacity, ..*options },
            input: network.input,
            features,
            comparison: network.comparison,
            has_head: network.comparison.is_some_and(|comparison| comparison.gives_similarity()),
            parameters: std::mem::take(&mut self.parameters),
            buffers: std::mem::take(&mut self.buffers),
            tensors: std::mem::take(&mut self.tensors),
            train,
            embed,
            score,
            embed_batch,
            score_batch,
        })
    }

    /// The network's graph, in training with the loss and the backward pass.
    fn training_graph(&self, network: &Network) -> Result<Graph, PlanError> {
        let PlanOptions { batch, batch_size, loss, .. } = *self.options;
        let mut graph = network.graph.clone();
        if self.options.mode == Mode::Inference {
            return Ok(graph);
        }
        if batch_size == 0 {
            return Err(PlanError::Batch { entries: 0, why: "there is nothing to train on" });
        }
        if loss.batch() != batch {
            let why = format!("{} takes batches of another kind", loss.name());
            return Err(PlanError::Loss { why });
        }
        if network.comparison.is_some_and(|comparison| comparison.has_head()) && batch_size < 2 {
            let why = "the head's norm over the batch needs at least 2";
            return Err(PlanError::Batch { entries: batch_size, why });
        }
        loss.check(network.comparison, batch_size).map_err(|why| PlanError::Loss { why })?;
        let &Network { embedding, distance, similarity, .. } = network;
        loss.build(&mut graph, Inputs { embedding, distance, similarity });
        // What the loss does not use has no backward pass.
        let ends: Vec<ValueId> =
            graph.nodes.iter().filter(|node| node.op.ends()).map(|node| node.output()).collect();
        if ends.len() != 1 {
            return Err(PlanError::Loss { why: format!("{} must end in one value", loss.name()) });
        }
        graph.differentiate()?;
        Ok(graph)
    }

    /// Most values of an image that a launch handles.
    fn largest_row(&mut self, graph: &Graph, fixed: &Fixed) -> usize {
        let batch = Batch { images: 1, entries: 1 };
        let rows = graph.nodes.iter().filter(|node| node.op.by_rows());
        let values = rows.flat_map(|node| node.inputs.first().copied().into_iter().chain(node.outputs[0]));
        let of_images = values.filter(|&value| graph.shape(value).first() == Some(&Dim::Images));
        let largest = of_images.map(|value| graph.len(value, batch)).max().unwrap_or(1);
        if self.options.kind != PlanKind::Blocked {
            return largest;
        }
        let nodes: Vec<usize> = (0..graph.nodes.len()).collect();
        let mode = self.options.mode;
        let lowering = Lowering::new(self, graph, fixed, (vec![1], 1), mode, &nodes);
        largest.max(lowering.largest_blocked())
    }

    /// A training step, cut into micro-batches of so many entries.
    fn training(
        &mut self,
        network: &Network,
        graph: &Graph,
        fixed: &Fixed,
        entries: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let (total, branches) = (self.options.batch_size, self.options.batch.branches());
        let pieces: Vec<usize> =
            (0..total).step_by(entries).map(|first| entries.min(total - first)).collect();
        let ends: Vec<ValueId> = graph
            .nodes
            .iter()
            .filter(|node| node.op.ends())
            .map(|node| node.output())
            .chain(graph.gradients.iter().copied().flatten())
            .collect();
        let nodes = graph.between(&[], &ends);
        let optimizer = self.optimizer(fixed);
        let mut lowering = Lowering::new(self, graph, fixed, (pieces, branches), Mode::Training, &nodes);
        let list = (fixed.train_index, fixed.train_matrices);
        lowering.gather(network.images, list);
        lowering.nodes(&nodes)?;
        let mut steps = lowering.steps;
        steps.add(self.options.optimizer.name(), optimizer);
        Ok(steps.0)
    }

    fn embedding(&mut self, network: &Network, fixed: &Fixed, images: usize) -> Result<Vec<Step>, PlanError> {
        let nodes = network.graph.between(&[], &[network.embedding]);
        let mut lowering =
            Lowering::new(self, &network.graph, fixed, (vec![images], 1), Mode::Inference, &nodes);
        lowering.gather(network.images, (fixed.embed_index, None));
        lowering.nodes(&nodes)?;
        let embedding = lowering.rows(network.embedding);
        let rows = Rows { rows: images as u32, features: network.features() as u32, branches: 1 };
        let mut steps = lowering.steps;
        steps.add("embedding", vec![rows.store(embedding[0], fixed.embeddings)]);
        Ok(steps.0)
    }

    /// Scores of pairs of embeddings.
    fn scoring(
        &mut self,
        network: &Network,
        fixed: &Fixed,
        distance: ValueId,
        pairs: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let outputs: Vec<ValueId> = std::iter::once(distance).chain(network.similarity).collect();
        let nodes = network.graph.between(&[network.embedding], &outputs);
        let mut lowering =
            Lowering::new(self, &network.graph, fixed, (vec![pairs], 2), Mode::Inference, &nodes);
        let embedding = lowering.output_rows(network.embedding);
        let rows = Rows { rows: 2 * pairs as u32, features: network.features() as u32, branches: 2 };
        let load = rows.load(fixed.embeddings, fixed.score_index, embedding[0]);
        lowering.steps.add("embedding", vec![load]);
        lowering.nodes(&nodes)?;
        let scalar = Rows { rows: pairs as u32, features: 1, branches: 1 };
        for (value, to) in outputs.into_iter().zip([fixed.distances, fixed.similarities]) {
            let from = lowering.whole(value);
            lowering.steps.add("score", vec![scalar.store(from, to)]);
        }
        Ok(lowering.steps.0)
    }

    pub(super) fn too_large(&self, what: &str, needed: usize) -> PlanError {
        PlanError::TooLarge { what: what.to_string(), needed, limit: self.options.max_binding }
    }

    fn buffer(&mut self, name: &str, role: Role, len: usize) -> BufferId {
        self.buffers.push(Buffer { name: name.into(), role, len: len.max(1) });
        BufferId(self.buffers.len() - 1)
    }

    /// A buffer that is one tensor.
    fn lone(&mut self, name: &str, role: Role, shape: &[usize]) -> View {
        let len = shape.iter().product();
        let view = View::plain(self.buffer(name, role, len), 0, len);
        self.tensors.push(Tensor { name: name.into(), shape: shape.to_vec(), view });
        view
    }

    /// The data set in windows of whole images: view, first image, images.
    fn data_buffers(&mut self, input: Shape) -> Vec<(View, usize, usize)> {
        let words = words(input.len());
        let total = self.options.capacity.images;
        let window = (self.options.max_binding / (4 * words)).clamp(1, total.max(1));
        (0..total)
            .step_by(window)
            .enumerate()
            .map(|(number, first)| {
                let images = window.min(total - first);
                let view = self.lone(&format!("data.{number}"), Role::Data, &[images, words]);
                (view, first, images)
            })
            .collect()
    }

    fn fixed_buffers(&mut self, input: Shape, features: usize, capacity: Capacity) -> Fixed {
        let windows = self.data_buffers(input);
        let training = self.options.mode == Mode::Training;
        let capacity = Capacity { pairs: if training { capacity.pairs } else { 0 }, ..capacity };
        let branches = self.options.batch.branches();
        let [index, labels, matrices] = lists(self.options.batch);
        let train_index = self.lone(index, Role::List, &[capacity.pairs, branches]);
        let train_labels = self.lone(labels, Role::List, &[capacity.pairs]);
        let shape = [capacity.pairs, branches, MATRIX];
        let train_matrices =
            (training && self.options.augment).then(|| self.lone(matrices, Role::List, &shape));
        let shape = [capacity.images, STATISTICS];
        let statistics =
            self.options.standardize.then(|| self.lone(Plan::STATISTICS, Role::Statistics, &shape));
        let embed_index = self.lone("embed.index", Role::List, &[capacity.embeddings]);
        let score_index = self.lone("score.index", Role::List, &[capacity.scores, 2]);
        let optimizer = self.options.optimizer;
        let coefficient = |position: &usize| optimizer.coefficient(self.parameters[*position].family());
        // What the optimizer treats alike stands together, so that a launch updates all of it.
        let mut order: Vec<usize> = (0..self.parameters.len()).collect();
        order.sort_by(|a, b| coefficient(b).total_cmp(&coefficient(a)));
        let mut ends = [0, 0];
        self.offsets = vec![0; order.len()];
        for position in order {
            let parameter = &self.parameters[position];
            let end = &mut ends[usize::from(!parameter.trainable)];
            self.offsets[position] = *end;
            *end += parameter.len().next_multiple_of(ALIGN);
            if parameter.trainable {
                let coefficient = optimizer.coefficient(parameter.family());
                match self.groups.last_mut() {
                    Some((last, of_last)) if *of_last == coefficient => *last = *end,
                    _ => self.groups.push((*end, coefficient)),
                }
            }
        }
        let parameters = self.buffer("parameters", Role::Parameters, ends[0]);
        let gradients = training.then(|| self.buffer("gradients", Role::Gradients, ends[0]));
        let kept = if training { optimizer.kept() } else { &[] };
        let kept: Vec<(&str, BufferId)> = kept
            .iter()
            .map(|(ending, name)| (*ending, self.buffer(name, Role::Optimizer, ends[0])))
            .collect();
        let state = self.buffer("state", Role::State, ends[1]);
        for (parameter, &offset) in self.parameters.iter().zip(&self.offsets) {
            let mut tensor = |suffix: &str, buffer| {
                self.tensors.push(Tensor {
                    name: format!("{}{suffix}", parameter.name),
                    shape: parameter.shape.clone(),
                    view: View::plain(buffer, offset, parameter.len()),
                });
            };
            if parameter.trainable {
                tensor("", parameters);
                gradients.iter().for_each(|&buffer| tensor(".gradient", buffer));
                kept.iter().for_each(|(ending, buffer)| tensor(&format!(".{ending}"), *buffer));
            } else {
                tensor("", state);
            }
        }
        Fixed {
            train_index,
            train_labels,
            train_matrices,
            statistics,
            embed_index,
            score_index,
            parameters,
            gradients,
            moments: kept.iter().map(|(_, buffer)| *buffer).collect(),
            state,
            history: self.lone("history", Role::Results, &[if training { HISTORY } else { 1 }, 2]),
            embeddings: self.lone("embeddings", Role::Results, &[capacity.embeddings, features]),
            distances: self.lone("distances", Role::Results, &[capacity.scores]),
            similarities: self.lone("similarities", Role::Results, &[capacity.scores]),
            windows,
        }
    }

    /// A short-lived tensor of `rows` rows.
    pub(super) fn temporary(&mut self, layout: Layout, rows: usize, values: usize) -> View {
        let len = layout.len(rows, values);
        self.temporaries.push(len);
        View { buffer: BufferId(TEMPORARY + self.temporaries.len() - 1), offset: 0, len, layout }
    }

    /// An activation of the backbone.
    pub(super) fn activation(&mut self, images: usize, values: usize) -> View {
        self.temporary(self.options.layout, images, values)
    }

    pub(super) fn parameter(&self, position: usize, buffer: BufferId) -> View {
        View::plain(buffer, self.offsets[position], self.parameters[position].len())
    }

    pub(super) fn named(&self, name: &str, buffer: BufferId) -> Option<View> {
        let position = self.parameters.iter().position(|p| p.name == name)?;
        Some(self.parameter(position, buffer))
    }

    /// Puts all short-lived tensors into shared buffers and rewrites the steps accordingly.
    fn share_memory(&mut self, phases: [&mut Vec<Step>; 3]) {
        let mut pool = Vec::new();
        let first = self.buffers.len();
        for steps in phases {
            let len_of = |id: BufferId| id.0.checked_sub(TEMPORARY).map(|number| self.temporaries[number]);
            let places = liveness::assign(steps, len_of, &mut pool);
            for operand in steps.iter_mut().flat_map(|step| &mut step.operands) {
                if let Some(place) = places.get(&operand.view.buffer) {
                    operand.view.buffer = BufferId(first + place);
                }
            }
        }
        for (number, len) in pool.into_iter().enumerate() {
            self.buffer(&format!("activations.{number}"), Role::Activations, len);
        }
    }

    fn check(&self, phases: &[&[Step]]) -> Result<(), PlanError> {
        for step in phases.iter().copied().flatten() {
            for operand in &step.operands {
                let needed = 4 * operand.view.len;
                if needed > self.options.max_binding {
                    return Err(self.too_large(&format!("{} of {}", operand.name, step.layer), needed));
                }
            }
            if step.iterations > ITERATION_BUDGET && self.options.layout == Layout::Plain {
                let Step { op, entry, iterations, .. } = *step;
                return Err(PlanError::TooLong { op, entry, layer: step.layer.clone(), iterations });
            }
        }
        Ok(())
    }
}

/// Steps in the making, each marked with its layer.
#[derive(Default)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl Steps {
    pub(super) fn add(&mut self, layer: &str, launches: Vec<Step>) {
        self.0.extend(launches.into_iter().map(|step| Step { layer: layer.into(), ..step }));
    }
}

impl Plan {
    /// All three phases.
    pub fn phases() -> [Phase; 3] {
        [Phase::Train, Phase::Embed, Phase::Score]
    }
}
