//! The subnet in a plan: shapes and parameters of its layers, its forward and its backward steps.

use super::build::{Builder, Fixed, Steps};
use super::{Initial, Parameter, PlanError, PlanKind};
use crate::data::Shape;
use crate::model::{LayerKind, Network};
use crate::ops::activation::Activation;
use crate::ops::conv2d::Conv2d;
use crate::ops::dense::Dense;
use crate::ops::pool2d::Pool2d;
use crate::ops::reduce::Reduce;
use crate::ops::{BufferId, INTERLEAVE, ITERATION_BUDGET, Layout, Step, TENSOR_ALIGN as ALIGN, View};

/// Partial convolution gradients that GPU threads share out: enough to fill a small GPU.
const PARTS: usize = 32;

/// A layer with its input and its parameters.
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) kind: LayerKind,
    pub(super) input: Shape,
    pub(super) output: Shape,
    /// Positions of weight and bias in the plan's parameters.
    pub(super) parameters: Option<[usize; 2]>,
}

/// What the way forward leaves for the way back.
pub(super) struct Kept {
    /// Each stage's input, then the embedding.
    pub(super) views: Vec<View>,
    /// Of a blocked convolution its input, spread.
    pub(super) spreads: Vec<Option<View>>,
}

impl Kept {
    pub(super) fn embedding(&self) -> View {
        self.views[self.views.len() - 1]
    }
}

impl Builder<'_> {
    /// Shapes and parameters, layer by layer. Returns the embedding's shape.
    pub(super) fn add_stages(&mut self, network: &Network) -> Result<Shape, PlanError> {
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

    /// Runs `images` images through the subnet.
    pub(super) fn forward(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        images: usize,
        x: View,
    ) -> Result<Kept, PlanError> {
        if self.options.kind == PlanKind::Blocked {
            return self.forward_blocked(steps, fixed, images, x);
        }
        let mut views = vec![x];
        for number in 0..self.stages.len() {
            let y = self.activation(images, self.stages[number].output.len());
            let launches = self.stage_forward(fixed, images, number, views[number], y)?;
            steps.add(&self.stages[number].name, launches);
            views.push(y);
        }
        Ok(Kept { views, spreads: Vec::new() })
    }

    /// A launch, or one for each window of rows.
    pub(super) fn stage_forward(
        &self,
        fixed: &Fixed,
        images: usize,
        number: usize,
        x: View,
        y: View,
    ) -> Result<Vec<Step>, PlanError> {
        let stage = &self.stages[number];
        Ok(match stage.kind {
            LayerKind::Conv2d { .. } => {
                let [weight, bias] = self.weights(stage, fixed.parameters);
                vec![self.conv(stage, images).forward(x, weight, bias, y)]
            }
            LayerKind::Dense { outputs } => {
                let [weight, bias] = self.weights(stage, fixed.parameters);
                let windows = self.row_windows(stage, images, stage.input.len(), outputs, 1)?;
                windows.iter().map(|(part, rows)| part.forward(x, rows.of(weight), bias, y)).collect()
            }
            LayerKind::Pool2d { .. } => vec![pool2d(stage, images).forward(x, y)],
            LayerKind::Activation(kind) => {
                let count = (images * stage.output.len()) as u32;
                vec![Activation { count, kind, accumulate: false }.forward(x, y)]
            }
        })
    }

    /// Back through the subnet from the embedding's gradient; `accumulate` adds to the parameters'
    /// gradients what an earlier piece of the batch left there.
    pub(super) fn backward(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        (images, accumulate): (usize, bool),
        kept: &Kept,
        mut dy: View,
    ) -> Result<(), PlanError> {
        if self.options.kind == PlanKind::Blocked {
            return self.backward_blocked(steps, fixed, (images, accumulate), kept, dy);
        }
        for number in (0..self.stages.len()).rev() {
            let input = self.stages[number].input.len();
            // Nothing asks for the gradient of the images.
            let dx = (number > 0).then(|| self.activation(images, input));
            let views = [kept.views[number], kept.views[number + 1], dy];
            let launches = self.stage_backward(fixed, (images, accumulate), number, views, dx)?;
            steps.add(&self.stages[number].name, launches);
            match dx {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        Ok(())
    }

    /// From a stage's input, output and output's gradient.
    pub(super) fn stage_backward(
        &mut self,
        fixed: &Fixed,
        (images, accumulate): (usize, bool),
        number: usize,
        [x, y, dy]: [View; 3],
        dx: Option<View>,
    ) -> Result<Vec<Step>, PlanError> {
        let stage = &self.stages[number];
        let mut launches = Vec::new();
        match stage.kind {
            LayerKind::Conv2d { .. } => {
                let [weight, _] = self.weights(stage, fixed.parameters);
                let [dweight, dbias] = self.weights(stage, fixed.gradients);
                let conv = Conv2d { accumulate, ..self.conv(stage, images) };
                let reduce =
                    Reduce { count: conv.weight_len() as u32, parts: conv.parts() as u32, accumulate };
                let parts = self.partial_gradients(number, &conv)?;
                launches.push(conv.backward_weight(x, dy, parts));
                launches.push(reduce.forward(parts, dweight));
                launches.push(conv.backward_bias(dy, dbias));
                launches
                    .extend(dx.map(|dx| Conv2d { accumulate: false, ..conv }.backward_input(dy, weight, dx)));
            }
            LayerKind::Dense { outputs } => {
                let [weight, _] = self.weights(stage, fixed.parameters);
                let [dweight, dbias] = self.weights(stage, fixed.gradients);
                for (part, rows) in self.row_windows(stage, images, stage.input.len(), outputs, 1)? {
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
                let count = (images * stage.input.len()) as u32;
                let part = Activation { count, kind, accumulate: false };
                launches.extend(dx.map(|dx| part.backward(y, dy, dx)));
            }
        }
        Ok(launches)
    }

    /// Room for a convolution's partial weight gradients.
    pub(super) fn partial_gradients(&mut self, number: usize, conv: &Conv2d) -> Result<View, PlanError> {
        let len = conv.parts() * conv.weight_len();
        if 4 * len > self.options.max_binding {
            let name = &self.stages[number].name;
            return Err(self.too_large(&format!("{name}'s partial gradients"), 4 * len));
        }
        Ok(self.temporary(Layout::Plain, 1, len))
    }

    pub(super) fn weights(&self, stage: &Stage, buffer: BufferId) -> [View; 2] {
        stage.parameters.map(|ps| ps.map(|p| self.parameter(p, buffer))).expect("the layer has parameters")
    }

    pub(super) fn conv(&self, stage: &Stage, images: usize) -> Conv2d {
        let LayerKind::Conv2d { out_channels, kernel, stride, padding } = stage.kind else {
            unreachable!("asked of convolutions only")
        };
        let mut conv = conv2d(stage.input, out_channels, kernel, stride, padding, images);
        conv.images_per_part = match self.options.layout {
            Layout::Interleaved => INTERLEAVE,
            Layout::Plain => {
                let most = (self.options.max_binding / (4 * conv.weight_len())).clamp(1, PARTS);
                // A part's loops must fit the budget, however large the batch.
                let of_an_image = 1 + conv.out_height() * (1 + conv.out_width());
                let longest = (ITERATION_BUDGET as usize / 2 / of_an_image).max(1);
                images.div_ceil(most).min(longest)
            }
        } as u32;
        conv
    }

    /// A dense layer in windows of whole rows, as many as fit a binding, in multiples of `multiple`.
    pub(super) fn row_windows(
        &self,
        stage: &Stage,
        images: usize,
        inputs: usize,
        outputs: usize,
        multiple: usize,
    ) -> Result<Vec<(Dense, RowWindow)>, PlanError> {
        let most = self.options.max_binding / (4 * inputs);
        // Both are powers of two.
        let granule = (ALIGN / gcd(ALIGN, inputs)).max(multiple);
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
}

/// The rows of a weight that a window covers, in elements.
#[derive(Clone, Copy)]
pub(super) struct RowWindow {
    offset: usize,
    len: usize,
}

impl RowWindow {
    fn of(&self, weight: View) -> View {
        weight.part(self.offset, self.len)
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

pub(super) fn pool2d(stage: &Stage, images: usize) -> Pool2d {
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

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
