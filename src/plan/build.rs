//! Network + loss + optimizer + batch size -> [`Plan`].
//!
//! A batch that would bind more than the device allows is cut into pieces of whole pairs: each
//! piece runs through the subnet with activations of its own, the distances come together in one
//! buffer for the head, and the pieces' gradients add up. Large dense weights and the optimizer are
//! cut by rows.

use super::subnet::Stage;
use super::{
    BatchLayout, Buffer, HISTORY, Parameter, Phase, Plan, PlanError, PlanKind, PlanOptions, Role, Tensor,
    lists, liveness,
};
use crate::data::Shape;
use crate::model::Network;
use crate::ops::gather::words;
use crate::ops::standardize::STATISTICS;
use crate::ops::warp::MATRIX;
use crate::ops::{BufferId, ITERATION_BUDGET, Layout, Step, TENSOR_ALIGN as ALIGN, View};

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
    /// Stretches of the buffer of parameters, in order: each one's end, and the coefficient that the optimizer
    /// treats it with.
    pub(super) stretches: Vec<(usize, f64)>,
    /// Lengths of short-lived tensors; their buffer numbers start behind [`TEMPORARY`].
    pub(super) temporaries: Vec<usize>,
    pub(super) stages: Vec<Stage>,
}

/// First number of the buffers that stand for short-lived tensors until they share memory.
const TEMPORARY: usize = 1 << 20;

#[derive(Clone, Copy)]
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
    pub(super) gradients: BufferId,
    /// What the optimizer keeps, in the order of [`OptimizerOptions::kept`]; where that is less, the last one
    /// stands again.
    pub(super) kept: [BufferId; 2],
    pub(super) state: BufferId,
    pub(super) history: View,
    pub(super) embeddings: View,
    pub(super) distances: View,
    pub(super) similarities: View,
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
        stretches: Vec::new(),
        temporaries: Vec::new(),
        stages: Vec::new(),
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
        if options.batch_size == 0 {
            return Err(PlanError::Batch { pairs: 0, why: "there is nothing to train on" });
        }
        if network.comparison.has_head() && options.batch_size < 2 {
            let why = "the head's norm over the batch needs at least 2";
            return Err(PlanError::Batch { pairs: options.batch_size, why });
        }
        if options.batch == BatchLayout::Pairs {
            options.loss.check(network.comparison, options.batch_size)?;
        }
        let output = self.add_stages(network)?;
        let features = output.len();
        self.add_comparison(network, features);
        let windows = self.data_buffers(network.input);
        let fixed = self.fixed_buffers(features);

        let largest = self.stages.iter().map(|s| s.input.len().max(s.output.len())).max().unwrap_or(1);
        let largest = match options.kind {
            PlanKind::Unfused | PlanKind::Fused => largest,
            PlanKind::Blocked => largest.max(self.largest_blocked()),
        };
        let (images, branches) = (options.max_binding / (4 * largest), options.batch.branches());
        let unit = if options.batch == BatchLayout::Pairs { options.loss.unit() } else { 1 };
        if images < branches * unit {
            let needed = branches * unit * 4 * largest;
            return Err(self.too_large("the activations of an image, a pair or an episode", needed));
        }
        let piece = options.batch_size.min(images / branches / unit * unit);
        let embed_batch = (branches * options.batch_size).min(images);
        let score_batch =
            SCORE_BATCH.min(options.max_binding / (8 * features)).min(options.capacity.scores).max(1);

        let [mut train, mut embed] = match options.kind {
            PlanKind::Unfused | PlanKind::Blocked if options.batch == BatchLayout::Labelled => [
                self.classify_steps(network, &windows, &fixed, piece, features)?,
                self.embed_steps(network, &windows, &fixed, embed_batch, features)?,
            ],
            PlanKind::Unfused | PlanKind::Blocked => [
                self.train_steps(network, &windows, &fixed, piece, features)?,
                self.embed_steps(network, &windows, &fixed, embed_batch, features)?,
            ],
            PlanKind::Fused => {
                let [train, embed] = self.fused_steps(network, &windows, &fixed, embed_batch)?;
                match options.layout {
                    Layout::Plain => [train, embed],
                    // Embeddings are stored and scored in the layout of the batch, which the trunk does not know.
                    Layout::Interleaved => {
                        [train, self.embed_steps(network, &windows, &fixed, embed_batch, features)?]
                    }
                }
            }
        };
        let mut score = match options.batch {
            BatchLayout::Pairs => self.score_steps(network, &fixed, score_batch, features),
            // Embeddings are logits, and the host reads those.
            BatchLayout::Labelled => Vec::new(),
        };
        self.share_memory([&mut train, &mut embed, &mut score]);
        self.check(&[&train, &embed, &score])?;
        Ok(Plan {
            model: network.name.clone(),
            options: *options,
            input: network.input,
            features,
            comparison: network.comparison,
            has_head: network.comparison.gives_similarity(),
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

    fn fixed_buffers(&mut self, features: usize) -> Fixed {
        let capacity = self.options.capacity;
        let branches = self.options.batch.branches();
        let [index, labels, matrices] = lists(self.options.batch);
        let train_index = self.lone(index, Role::List, &[capacity.pairs, branches]);
        let train_labels = self.lone(labels, Role::List, &[capacity.pairs]);
        let shape = [capacity.pairs, branches, MATRIX];
        let train_matrices = self.options.augment.then(|| self.lone(matrices, Role::List, &shape));
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
                match self.stretches.last_mut() {
                    Some((last, of_last)) if *of_last == coefficient => *last = *end,
                    _ => self.stretches.push((*end, coefficient)),
                }
            }
        }
        let parameters = self.buffer("parameters", Role::Parameters, ends[0]);
        let gradients = self.buffer("gradients", Role::Gradients, ends[0]);
        let kept: Vec<(&str, BufferId)> = optimizer
            .kept()
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
                tensor(".gradient", gradients);
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
            kept: [kept[0].1, kept[kept.len() - 1].1],
            state,
            history: self.lone("history", Role::Results, &[HISTORY, 2]),
            embeddings: self.lone("embeddings", Role::Results, &[capacity.embeddings, features]),
            distances: self.lone("distances", Role::Results, &[capacity.scores]),
            similarities: self.lone("similarities", Role::Results, &[capacity.scores]),
        }
    }

    /// A short-lived tensor of `rows` rows.
    pub(super) fn temporary(&mut self, layout: Layout, rows: usize, values: usize) -> View {
        let len = layout.len(rows, values);
        self.temporaries.push(len);
        View { buffer: BufferId(TEMPORARY + self.temporaries.len() - 1), offset: 0, len, layout }
    }

    /// An activation of the subnet.
    pub(super) fn activation(&mut self, images: usize, values: usize) -> View {
        self.temporary(self.options.layout, images, values)
    }

    pub(super) fn parameter(&self, position: usize, buffer: BufferId) -> View {
        View::plain(buffer, self.offsets[position], self.parameters[position].len())
    }

    pub(super) fn named(&self, name: &str, buffer: BufferId) -> View {
        let position = self.parameters.iter().position(|p| p.name == name);
        self.parameter(position.unwrap_or_else(|| panic!("the plan has no parameter {name}")), buffer)
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
