//! Network + loss + optimizer + batch size -> [`Plan`].
//!
//! A batch that would bind more than the device allows is cut into pieces of whole pairs: each
//! piece runs through the subnet with activations of its own, the distances come together in one
//! buffer for the head, and the pieces' gradients add up. Large dense weights and the optimizer are
//! cut by rows.

use super::{
    Buffer, HISTORY, Initial, Parameter, Phase, Plan, PlanError, PlanOptions, Role, Tensor, liveness,
};
use crate::data::Shape;
use crate::model::{LayerKind, Network};
use crate::ops::activation::Activation;
use crate::ops::adam::{Adam, AdamViews};
use crate::ops::batch_norm::{BatchNorm, NormViews};
use crate::ops::contrastive::Contrastive;
use crate::ops::conv2d::Conv2d;
use crate::ops::dense::Dense;
use crate::ops::distance::Distance;
use crate::ops::gather::{Gather, words};
use crate::ops::head::Head;
use crate::ops::pool2d::Pool2d;
use crate::ops::reduce::Reduce;
use crate::ops::rows::Rows;
use crate::ops::{BufferId, INTERLEAVE, ITERATION_BUDGET, Layout, Step, View};

/// Tensors start at multiples of this many elements (256 bytes): every adapter's alignment.
const ALIGN: usize = 64;

/// Partial convolution gradients that GPU threads share out: enough to fill a small GPU.
const PARTS: usize = 32;

/// Squared distance below which the gradient is 0 (equation 1 with its clamp).
const SQUARED_FLOOR: f32 = 1e-7;
/// The head's norm, as PyTorch's defaults.
pub const NORM_EPS: f32 = 1e-5;
const NORM_MOMENTUM: f32 = 0.1;

/// Pairs scored in one step, at most.
const SCORE_BATCH: usize = 1024;

/// A layer with its input and its parameters.
struct Stage {
    name: String,
    kind: LayerKind,
    input: Shape,
    output: Shape,
    /// Positions of weight and bias in the plan's parameters.
    parameters: Option<[usize; 2]>,
}

struct Builder<'a> {
    options: &'a PlanOptions,
    buffers: Vec<Buffer>,
    tensors: Vec<Tensor>,
    parameters: Vec<Parameter>,
    /// Where each parameter stands in the buffers of parameters, gradients and moments, or in the
    /// buffer of state.
    offsets: Vec<usize>,
    /// Lengths of short-lived tensors; their buffer numbers start behind [`TEMPORARY`].
    temporaries: Vec<usize>,
    stages: Vec<Stage>,
}

/// First number of the buffers that stand for short-lived tensors until they share memory.
const TEMPORARY: usize = 1 << 20;

#[derive(Clone, Copy)]
struct Fixed {
    pairs_index: View,
    pairs_same: View,
    embed_index: View,
    score_index: View,
    parameters: BufferId,
    gradients: BufferId,
    first_moments: BufferId,
    second_moments: BufferId,
    state: BufferId,
    history: View,
    embeddings: View,
    distances: View,
    similarities: View,
}

/// Builds the `unfused` plan: every function of every op is a launch of its own.
pub fn build(network: &Network, options: &PlanOptions) -> Result<Plan, PlanError> {
    let mut builder = Builder {
        options,
        buffers: Vec::new(),
        tensors: Vec::new(),
        parameters: Vec::new(),
        offsets: Vec::new(),
        temporaries: Vec::new(),
        stages: Vec::new(),
    };
    builder.plan(network)
}

impl Builder<'_> {
    fn plan(&mut self, network: &Network) -> Result<Plan, PlanError> {
        let options = self.options;
        if options.batch_size == 0 {
            return Err(PlanError::Batch { pairs: 0, why: "there is nothing to train on" });
        }
        if network.comparison.head && options.batch_size < 2 {
            let why = "the head's norm over the batch needs at least 2";
            return Err(PlanError::Batch { pairs: options.batch_size, why });
        }
        let output = self.add_stages(network)?;
        let features = output.len();
        if network.comparison.head {
            for (name, start, trainable) in [
                ("head.norm.weight", 1.0, true),
                ("head.norm.bias", 0.0, true),
                ("head.norm.running_mean", 0.0, false),
                ("head.norm.running_var", 1.0, false),
                // Similarity must fall with distance: with a random sign half of all runs stay at 50 %.
                ("head.fc.weight", -1.0, true),
                ("head.fc.bias", 0.0, true),
            ] {
                let shape = if name == "head.fc.weight" { vec![1, 1] } else { vec![1] };
                let initial = Initial::Constant(start);
                self.parameters.push(Parameter { name: name.into(), shape, initial, trainable });
            }
        }
        let windows = self.data_buffers(network.input);
        let fixed = self.fixed_buffers(features);

        let largest = self.stages.iter().map(|s| s.input.len().max(s.output.len())).max().unwrap_or(1);
        let images = options.max_binding / (4 * largest);
        if images < 2 {
            let needed = 2 * 4 * largest;
            return Err(self.too_large("the activations of one pair", needed));
        }
        let piece = options.batch_size.min(images / 2);
        let embed_batch = (2 * options.batch_size).min(images);
        let score_batch =
            SCORE_BATCH.min(options.max_binding / (8 * features)).min(options.capacity.scores).max(1);

        let mut train = self.train_steps(network, &windows, &fixed, piece, features)?;
        let mut embed = self.embed_steps(network, &windows, &fixed, embed_batch, features)?;
        let mut score = self.score_steps(network, &fixed, score_batch, features);
        self.share_memory([&mut train, &mut embed, &mut score]);
        self.check(&[&train, &embed, &score])?;
        Ok(Plan {
            model: network.name.clone(),
            name: "unfused",
            options: *options,
            input: network.input,
            features,
            has_head: network.comparison.head,
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

    fn too_large(&self, what: &str, needed: usize) -> PlanError {
        PlanError::TooLarge { what: what.to_string(), needed, limit: self.options.max_binding }
    }

    /// Shapes and parameters, layer by layer. Returns the embedding's shape.
    fn add_stages(&mut self, network: &Network) -> Result<Shape, PlanError> {
        let mut shape = network.input;
        for layer in &network.layers {
            let misfit = |why: String| PlanError::Layer { layer: layer.name.clone(), input: shape, why };
            let (output, shapes, fan_in) = match layer.kind {
                LayerKind::Conv2d { out_channels, kernel, stride, padding } => {
                    if shape.height + 2 * padding < kernel
                        || shape.width + 2 * padding < kernel
                        || stride == 0
                    {
                        return Err(misfit(format!("its kernel is {kernel}x{kernel}, its stride {stride}")));
                    }
                    let conv = conv2d(shape, out_channels, kernel, stride, padding, 1);
                    let output =
                        Shape { channels: out_channels, height: conv.out_height(), width: conv.out_width() };
                    (output, Some(conv.parameter_shapes()), conv.filter_len())
                }
                LayerKind::Pool2d { size, stride, .. } => {
                    if size == 0 || stride == 0 || shape.height < size || shape.width < size {
                        return Err(misfit(format!("its window is {size}x{size}, its stride {stride}")));
                    }
                    let side = |length: usize| (length - size) / stride + 1;
                    let output = Shape {
                        channels: shape.channels,
                        height: side(shape.height),
                        width: side(shape.width),
                    };
                    (output, None, 0)
                }
                LayerKind::Activation(_) => (shape, None, 0),
                LayerKind::Dense { outputs } => {
                    let dense = dense(1, shape.len(), outputs);
                    (
                        Shape { channels: outputs, height: 1, width: 1 },
                        Some(dense.parameter_shapes()),
                        shape.len(),
                    )
                }
            };
            let parameters = shapes.map(|shapes| {
                let first = self.parameters.len();
                let initial = Initial::Uniform { bound: 1.0 / (fan_in as f32).sqrt() };
                for (part, shape) in ["weight", "bias"].iter().zip(shapes) {
                    let name = format!("{}.{part}", layer.name);
                    self.parameters.push(Parameter { name, shape, initial, trainable: true });
                }
                [first, first + 1]
            });
            self.stages.push(Stage {
                name: layer.name.clone(),
                kind: layer.kind,
                input: shape,
                output,
                parameters,
            });
            shape = output;
        }
        Ok(shape)
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
        let pairs_index = self.lone("pairs.index", Role::List, &[capacity.pairs, 2]);
        let pairs_same = self.lone("pairs.same", Role::List, &[capacity.pairs]);
        let embed_index = self.lone("embed.index", Role::List, &[capacity.embeddings]);
        let score_index = self.lone("score.index", Role::List, &[capacity.scores, 2]);
        let mut ends = [0, 0];
        for parameter in &self.parameters {
            let end = &mut ends[usize::from(!parameter.trainable)];
            self.offsets.push(*end);
            *end += parameter.len().next_multiple_of(ALIGN);
        }
        let parameters = self.buffer("parameters", Role::Parameters, ends[0]);
        let gradients = self.buffer("gradients", Role::Gradients, ends[0]);
        let first_moments = self.buffer("first_moments", Role::Optimizer, ends[0]);
        let second_moments = self.buffer("second_moments", Role::Optimizer, ends[0]);
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
                tensor(".first_moment", first_moments);
                tensor(".second_moment", second_moments);
            } else {
                tensor("", state);
            }
        }
        Fixed {
            pairs_index,
            pairs_same,
            embed_index,
            score_index,
            parameters,
            gradients,
            first_moments,
            second_moments,
            state,
            history: self.lone("history", Role::Results, &[HISTORY, 2]),
            embeddings: self.lone("embeddings", Role::Results, &[capacity.embeddings, features]),
            distances: self.lone("distances", Role::Results, &[capacity.scores]),
            similarities: self.lone("similarities", Role::Results, &[capacity.scores]),
        }
    }

    /// A short-lived tensor of `rows` rows.
    fn temporary(&mut self, layout: Layout, rows: usize, values: usize) -> View {
        let len = layout.len(rows, values);
        self.temporaries.push(len);
        View { buffer: BufferId(TEMPORARY + self.temporaries.len() - 1), offset: 0, len, layout }
    }

    /// An activation of the subnet.
    fn activation(&mut self, images: usize, values: usize) -> View {
        self.temporary(self.options.layout, images, values)
    }

    fn parameter(&self, position: usize, buffer: BufferId) -> View {
        View::plain(buffer, self.offsets[position], self.parameters[position].len())
    }

    fn named(&self, name: &str, buffer: BufferId) -> View {
        let position = self.parameters.iter().position(|p| p.name == name);
        self.parameter(position.unwrap_or_else(|| panic!("the plan has no parameter {name}")), buffer)
    }

    /// Bytes to numbers: one launch for each window of the data set.
    fn gather(
        windows: &[(View, usize, usize)],
        input: Shape,
        (branches, first, images): (usize, usize, usize),
        index: View,
        y: View,
    ) -> Vec<Step> {
        let launch = |&(data, first_resident, resident): &(View, usize, usize)| {
            Gather {
                images: images as u32,
                pixels: input.len() as u32,
                branches: branches as u32,
                first: first as u32,
                first_resident: first_resident as u32,
                resident: resident as u32,
            }
            .forward(data, index, y)
        };
        windows.iter().map(launch).collect()
    }

    /// Runs `images` images through the subnet; the views are each stage's input, then the embedding.
    fn forward(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        images: usize,
        x: View,
    ) -> Result<Vec<View>, PlanError> {
        let mut views = vec![x];
        for number in 0..self.stages.len() {
            let (output, input) = (self.stages[number].output.len(), views[number]);
            let y = self.activation(images, output);
            let stage = &self.stages[number];
            let launches = match stage.kind {
                LayerKind::Conv2d { .. } => {
                    let [weight, bias] = self.weights(stage, fixed.parameters);
                    vec![self.conv(stage, images).forward(input, weight, bias, y)]
                }
                LayerKind::Dense { outputs } => {
                    let [weight, bias] = self.weights(stage, fixed.parameters);
                    let windows = self.row_windows(stage, images, stage.input.len(), outputs)?;
                    windows.iter().map(|(part, rows)| part.forward(input, rows.of(weight), bias, y)).collect()
                }
                LayerKind::Pool2d { .. } => vec![pool2d(stage, images).forward(input, y)],
                LayerKind::Activation(kind) => {
                    let count = (images * output) as u32;
                    vec![Activation { count, kind, accumulate: false }.forward(input, y)]
                }
            };
            steps.add(&self.stages[number].name, launches);
            views.push(y);
        }
        Ok(views)
    }

    /// Back through the subnet from the embedding's gradient; `accumulate` adds to the parameters'
    /// gradients what an earlier piece of the batch left there.
    fn backward(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        (images, accumulate): (usize, bool),
        views: &[View],
        mut dy: View,
    ) -> Result<(), PlanError> {
        for number in (0..self.stages.len()).rev() {
            let x = views[number];
            let input = self.stages[number].input.len();
            // Nothing asks for the gradient of the images.
            let dx = (number > 0).then(|| self.activation(images, input));
            let stage = &self.stages[number];
            let mut launches = Vec::new();
            match stage.kind {
                LayerKind::Conv2d { .. } => {
                    let [weight, _] = self.weights(stage, fixed.parameters);
                    let [dweight, dbias] = self.weights(stage, fixed.gradients);
                    let conv = Conv2d { accumulate, ..self.conv(stage, images) };
                    let parts_len = conv.parts() * conv.weight_len();
                    if 4 * parts_len > self.options.max_binding {
                        return Err(
                            self.too_large(&format!("{}'s partial gradients", stage.name), 4 * parts_len)
                        );
                    }
                    let reduce =
                        Reduce { count: conv.weight_len() as u32, parts: conv.parts() as u32, accumulate };
                    let parts = self.temporary(Layout::Plain, 1, parts_len);
                    launches.push(conv.backward_weight(x, dy, parts));
                    launches.push(reduce.forward(parts, dweight));
                    launches.push(conv.backward_bias(dy, dbias));
                    launches.extend(
                        dx.map(|dx| Conv2d { accumulate: false, ..conv }.backward_input(dy, weight, dx)),
                    );
                }
                LayerKind::Dense { outputs } => {
                    let [weight, _] = self.weights(stage, fixed.parameters);
                    let [dweight, dbias] = self.weights(stage, fixed.gradients);
                    for (part, rows) in self.row_windows(stage, images, input, outputs)? {
                        let adding = Dense { accumulate, ..part };
                        launches.push(adding.backward_weight(x, dy, rows.of(dweight)));
                        if part.first_row == 0 {
                            launches.push(adding.backward_bias(dy, dbias));
                        }
                        let later = Dense { accumulate: part.first_row > 0, ..part };
                        launches.extend(dx.map(|dx| later.backward_input(dy, rows.of(weight), dx)));
                    }
                }
                LayerKind::Pool2d { .. } => {
                    launches.extend(dx.map(|dx| pool2d(stage, images).backward(x, dy, dx)));
                }
                LayerKind::Activation(kind) => {
                    let part = Activation { count: (images * input) as u32, kind, accumulate: false };
                    launches.extend(dx.map(|dx| part.backward(views[number + 1], dy, dx)));
                }
            }
            steps.add(&self.stages[number].name, launches);
            match dx {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        Ok(())
    }

    fn weights(&self, stage: &Stage, buffer: BufferId) -> [View; 2] {
        stage.parameters.map(|ps| ps.map(|p| self.parameter(p, buffer))).expect("the layer has parameters")
    }

    fn conv(&self, stage: &Stage, images: usize) -> Conv2d {
        let LayerKind::Conv2d { out_channels, kernel, stride, padding } = stage.kind else {
            unreachable!("asked of convolutions only")
        };
        let mut conv = conv2d(stage.input, out_channels, kernel, stride, padding, images);
        conv.images_per_part = match self.options.layout {
            Layout::Interleaved => INTERLEAVE,
            Layout::Plain => {
                let most = (self.options.max_binding / (4 * conv.weight_len())).clamp(1, PARTS);
                images.div_ceil(most)
            }
        } as u32;
        conv
    }

    /// A dense layer in windows of whole rows, as many as fit a binding.
    fn row_windows(
        &self,
        stage: &Stage,
        images: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Vec<(Dense, RowWindow)>, PlanError> {
        let most = self.options.max_binding / (4 * inputs);
        let granule = ALIGN / gcd(ALIGN, inputs);
        let window = if most >= outputs { outputs } else { most / granule * granule };
        if window == 0 {
            let needed = 4 * inputs * granule;
            return Err(self.too_large(&format!("{}.weight, by rows,", stage.name), needed));
        }
        Ok((0..outputs)
            .step_by(window)
            .map(|first| {
                let rows = window.min(outputs - first);
                let part =
                    Dense { first_row: first as u32, rows: rows as u32, ..dense(images, inputs, outputs) };
                (part, RowWindow { offset: first * inputs, len: rows * inputs })
            })
            .collect())
    }

    fn train_steps(
        &mut self,
        network: &Network,
        windows: &[(View, usize, usize)],
        fixed: &Fixed,
        piece: usize,
        features: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let pairs = self.options.batch_size;
        let mut steps = Steps::default();
        let distances = self.temporary(Layout::Plain, 1, pairs);
        let mut pieces = Vec::new();
        for first in (0..pairs).step_by(piece) {
            let count = piece.min(pairs - first);
            let images = 2 * count;
            let x = self.activation(images, network.input.len());
            let place = (2, first, images);
            steps.add("input", Self::gather(windows, network.input, place, fixed.pairs_index, x));
            let views = self.forward(&mut steps, fixed, images, x)?;
            let distance = distance(network, count, features, first);
            let embedding = views[views.len() - 1];
            steps.add("distance", vec![distance.forward(embedding, distances)]);
            pieces.push((distance, views));
        }
        let ddistances = self.compare_and_lose(&mut steps, network, fixed, distances);
        for (number, (distance, views)) in pieces.into_iter().enumerate() {
            let images = 2 * distance.pairs as usize;
            let embedding = views[views.len() - 1];
            let dembedding = self.activation(images, features);
            steps.add("distance", vec![distance.backward(embedding, distances, ddistances, dembedding)]);
            self.backward(&mut steps, fixed, (images, number > 0), &views, dembedding)?;
        }
        steps.add("adam", self.adam(fixed));
        Ok(steps.0)
    }

    /// Head and loss, forward and back. Returns the gradient of the distances.
    fn compare_and_lose(
        &mut self,
        steps: &mut Steps,
        network: &Network,
        fixed: &Fixed,
        distances: View,
    ) -> View {
        let pairs = self.options.batch_size;
        let loss = Contrastive {
            pairs: pairs as u32,
            margin: self.options.margin,
            convention: self.options.convention,
        };
        let ddistances = self.temporary(Layout::Plain, 1, pairs);
        if !network.comparison.head {
            steps.add(
                "loss",
                vec![
                    loss.forward(distances, fixed.pairs_same, fixed.history),
                    loss.backward(distances, fixed.pairs_same, ddistances),
                ],
            );
            return ddistances;
        }
        let mut scalars = || self.temporary(Layout::Plain, 1, pairs);
        let (normed, similarities) = (scalars(), scalars());
        let (dnormed, dsimilarities) = (scalars(), scalars());
        let saved = self.temporary(Layout::Plain, 1, 2);
        let (norm, views) = (norm(pairs), self.norm_views(fixed));
        let head = Head { pairs: pairs as u32 };
        let [weight, bias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.parameters));
        let [dweight, dbias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.gradients));
        let [dscale, dshift] = ["head.norm.weight", "head.norm.bias"].map(|n| self.named(n, fixed.gradients));
        steps.add("head.norm", vec![norm.forward(distances, &views, saved, normed)]);
        steps.add("head.fc", vec![head.forward(normed, weight, bias, similarities)]);
        steps.add(
            "loss",
            vec![
                loss.forward(similarities, fixed.pairs_same, fixed.history),
                loss.backward(similarities, fixed.pairs_same, dsimilarities),
            ],
        );
        steps.add(
            "head.fc",
            vec![
                head.backward_weight(normed, similarities, dsimilarities, dweight, dbias),
                head.backward_input(similarities, dsimilarities, weight, dnormed),
            ],
        );
        steps.add(
            "head.norm",
            vec![
                norm.backward_weight(distances, dnormed, saved, dscale, dshift),
                norm.backward_input(distances, dnormed, views.weight, saved, dscale, dshift, ddistances),
            ],
        );
        ddistances
    }

    fn norm_views(&self, fixed: &Fixed) -> NormViews {
        NormViews {
            weight: self.named("head.norm.weight", fixed.parameters),
            bias: self.named("head.norm.bias", fixed.parameters),
            running_mean: self.named("head.norm.running_mean", fixed.state),
            running_var: self.named("head.norm.running_var", fixed.state),
        }
    }

    /// All parameters in one launch, or as few as a binding allows.
    fn adam(&self, fixed: &Fixed) -> Vec<Step> {
        let adam = self.options.adam;
        let total = self.buffers[fixed.parameters.0].len;
        let window = (self.options.max_binding / 4 / ALIGN * ALIGN).max(ALIGN);
        (0..total)
            .step_by(window)
            .map(|offset| {
                let count = window.min(total - offset);
                let view = |buffer| View::plain(buffer, offset, count);
                Adam {
                    count: count as u32,
                    beta1: adam.beta1 as f32,
                    rest1: (1.0 - adam.beta1) as f32,
                    beta2: adam.beta2 as f32,
                    rest2: (1.0 - adam.beta2) as f32,
                    eps: adam.eps,
                }
                .forward(&AdamViews {
                    gradient: view(fixed.gradients),
                    parameter: view(fixed.parameters),
                    first_moment: view(fixed.first_moments),
                    second_moment: view(fixed.second_moments),
                })
            })
            .collect()
    }

    fn embed_steps(
        &mut self,
        network: &Network,
        windows: &[(View, usize, usize)],
        fixed: &Fixed,
        images: usize,
        features: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let mut steps = Steps::default();
        let x = self.activation(images, network.input.len());
        steps.add("input", Self::gather(windows, network.input, (1, 0, images), fixed.embed_index, x));
        let views = self.forward(&mut steps, fixed, images, x)?;
        let rows = Rows { rows: images as u32, features: features as u32, branches: 1 };
        steps.add("embedding", vec![rows.store(views[views.len() - 1], fixed.embeddings)]);
        Ok(steps.0)
    }

    fn score_steps(&mut self, network: &Network, fixed: &Fixed, pairs: usize, features: usize) -> Vec<Step> {
        let mut steps = Steps::default();
        let embeddings = self.activation(2 * pairs, features);
        let rows = Rows { rows: 2 * pairs as u32, features: features as u32, branches: 2 };
        steps.add("embedding", vec![rows.load(fixed.embeddings, fixed.score_index, embeddings)]);
        let distances = self.temporary(Layout::Plain, 1, pairs);
        let scalar = Rows { rows: pairs as u32, features: 1, branches: 1 };
        steps.add(
            "distance",
            vec![
                distance(network, pairs, features, 0).forward(embeddings, distances),
                scalar.store(distances, fixed.distances),
            ],
        );
        if network.comparison.head {
            let normed = self.temporary(Layout::Plain, 1, pairs);
            let similarities = self.temporary(Layout::Plain, 1, pairs);
            let [weight, bias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.parameters));
            steps.add("head.norm", vec![norm(pairs).infer(distances, &self.norm_views(fixed), normed)]);
            steps.add(
                "head.fc",
                vec![
                    Head { pairs: pairs as u32 }.forward(normed, weight, bias, similarities),
                    scalar.store(similarities, fixed.similarities),
                ],
            );
        }
        steps.0
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

/// The rows of a weight that a window covers, in elements.
#[derive(Clone, Copy)]
struct RowWindow {
    offset: usize,
    len: usize,
}

impl RowWindow {
    fn of(&self, weight: View) -> View {
        weight.part(self.offset, self.len)
    }
}

/// Steps in the making, each marked with its layer.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, layer: &str, launches: Vec<Step>) {
        self.0.extend(launches.into_iter().map(|step| Step { layer: layer.into(), ..step }));
    }
}

fn conv2d(
    input: Shape,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    images: usize,
) -> Conv2d {
    Conv2d {
        images: images as u32,
        in_channels: input.channels as u32,
        in_height: input.height as u32,
        in_width: input.width as u32,
        out_channels: out_channels as u32,
        kernel: kernel as u32,
        stride: stride as u32,
        padding: padding as u32,
        images_per_part: images as u32,
        accumulate: false,
    }
}

fn pool2d(stage: &Stage, images: usize) -> Pool2d {
    let LayerKind::Pool2d { kind, size, stride } = stage.kind else { unreachable!("asked of pooling only") };
    Pool2d {
        images: images as u32,
        channels: stage.input.channels as u32,
        in_height: stage.input.height as u32,
        in_width: stage.input.width as u32,
        size: size as u32,
        stride: stride as u32,
        kind,
        accumulate: false,
    }
}

fn dense(images: usize, inputs: usize, outputs: usize) -> Dense {
    Dense {
        images: images as u32,
        inputs: inputs as u32,
        outputs: outputs as u32,
        first_row: 0,
        rows: outputs as u32,
        accumulate: false,
    }
}

fn norm(pairs: usize) -> BatchNorm {
    BatchNorm { images: pairs as u32, channels: 1, spatial: 1, eps: NORM_EPS, momentum: NORM_MOMENTUM }
}

fn distance(network: &Network, pairs: usize, features: usize, first: usize) -> Distance {
    Distance {
        pairs: pairs as u32,
        features: features as u32,
        first: first as u32,
        kind: network.comparison.distance,
        squared_floor: SQUARED_FLOOR,
        accumulate: false,
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Plan {
    /// All three phases.
    pub fn phases() -> [Phase; 3] {
        [Phase::Train, Phase::Embed, Phase::Score]
    }
}
