//! The buffers of a plan in the making, and what stands in them.

use super::{
    Buffer, Capacity, HISTORY, Mode, Parameter, Plan, PlanError, PlanOptions, Role, Tensor, lists, liveness,
};
use crate::ops::gather::words;
use crate::ops::standardize::STATISTICS;
use crate::ops::warp::MATRIX;
use crate::ops::{BufferId, ITERATION_BUDGET, Layout, Step, TENSOR_ALIGN as ALIGN, View};
use crate::tensor::Shape;

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

impl Builder<'_> {
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

    pub(super) fn fixed_buffers(&mut self, input: Shape, features: usize, capacity: Capacity) -> Fixed {
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
    pub(super) fn share_memory(&mut self, phases: [&mut Vec<Step>; 3]) {
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

    pub(super) fn check(&self, phases: &[&[Step]]) -> Result<(), PlanError> {
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
