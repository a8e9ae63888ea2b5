//! The subnet in a plan: shapes and parameters of its layers, and its forward steps.
//!
//! Its values are numbered: 0 is the batch of images, `n + 1` the output of stage `n`. A batch may come in
//! pieces. All of them pass a stage before the next one begins, so that a norm sees the whole batch.

use super::build::{Builder, Fixed, Steps};
use super::initial::initial;
use super::{Initial, Parameter, PlanError};
use crate::data::Shape;
use crate::model::{Layer, LayerKind, Network};
use crate::ops::activation::Activation;
use crate::ops::add::Add;
use crate::ops::channel_conv::ChannelConv;
use crate::ops::conv2d::Conv2d;
use crate::ops::dense::Dense;
use crate::ops::dropout::Dropout;
use crate::ops::pool2d::{Pool2d, PoolKind};
use crate::ops::scale::Scale;
use crate::ops::{BufferId, INTERLEAVE, ITERATION_BUDGET, Layout, Step, TENSOR_ALIGN as ALIGN, View};

/// Partial gradients, and moments, that GPU threads share out: enough to fill a small GPU.
pub(super) const PARTS: usize = 32;

/// A layer with its inputs and its parameters.
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) kind: LayerKind,
    /// Numbers of the values it takes.
    pub(super) inputs: Vec<usize>,
    /// Shape of its first input.
    pub(super) input: Shape,
    pub(super) output: Shape,
    /// Positions in the plan's parameters, weight before bias, running state last.
    pub(super) parameters: Vec<usize>,
}

/// Which statistics a norm takes. Dropout is part of training, and so of the batch's only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistics {
    /// The batch's, which also move the running ones.
    Batch,
    Running,
}

/// What the way forward leaves for the way back.
pub(super) struct Kept {
    /// Each value, piece by piece.
    pub(super) values: Vec<Vec<View>>,
    /// Of a blocked convolution its input, spread.
    pub(super) spreads: Vec<Vec<View>>,
    /// Of a norm the batch's mean and variance.
    pub(super) statistics: Vec<Option<[View; 2]>>,
}

impl Kept {
    pub(super) fn embedding(&self) -> &[View] {
        &self.values[self.values.len() - 1]
    }
}

impl Builder<'_> {
    /// Shapes and parameters, layer by layer. Returns the embedding's shape.
    pub(super) fn add_stages(&mut self, network: &Network) -> Result<Shape, PlanError> {
        for layer in &network.layers {
            let inputs = self.inputs_of(layer, network.input)?;
            let shapes: Vec<Shape> = inputs.iter().map(|&value| self.shape(value, network.input)).collect();
            let input = shapes[0];
            let misfit = |why: String| PlanError::Layer { layer: layer.name.clone(), input, why };
            let wanted = if matches!(layer.kind, LayerKind::Add | LayerKind::Scale) { 2 } else { 1 };
            if inputs.len() != wanted {
                return Err(misfit(format!("it takes {wanted}, not {}", inputs.len())));
            }
            let of_channels = Shape { height: 1, width: 1, ..input };
            if layer.kind == LayerKind::Add && shapes[1] != input {
                return Err(misfit(format!("what it adds is {:?}", shapes[1])));
            }
            if layer.kind == LayerKind::Scale && shapes[1] != of_channels {
                return Err(misfit(format!("its factors are {:?}, not {of_channels:?}", shapes[1])));
            }
            let mut parameters = Vec::new();
            let output = match layer.kind {
                LayerKind::Conv2d {
                    out_channels,
                    kernel: [height, width],
                    stride,
                    padding,
                    groups,
                    bias,
                } => {
                    if input.height + 2 * padding[0] < height
                        || input.width + 2 * padding[1] < width
                        || [height, width, stride].contains(&0)
                    {
                        return Err(misfit(format!("its kernel is {height}x{width}, its stride {stride}")));
                    }
                    if groups == 0
                        || !input.channels.is_multiple_of(groups)
                        || !out_channels.is_multiple_of(groups)
                    {
                        let why = format!("{groups} groups do not divide its channels and {out_channels}");
                        return Err(misfit(why));
                    }
                    let conv = conv2d(input, layer.kind, 1);
                    let [weight, of_bias] = conv.parameter_shapes();
                    let [start, bias_start] = initial(network.start, &weight);
                    parameters.push(("weight", weight, start, true));
                    if bias {
                        parameters.push(("bias", of_bias, bias_start, true));
                    }
                    Shape { channels: out_channels, height: conv.out_height(), width: conv.out_width() }
                }
                LayerKind::BatchNorm { .. } => {
                    for (name, start, trainable) in [
                        ("weight", 1.0, true),
                        ("bias", 0.0, true),
                        ("running_mean", 0.0, false),
                        ("running_var", 1.0, false),
                    ] {
                        parameters.push((name, vec![input.channels], Initial::Constant(start), trainable));
                    }
                    input
                }
                LayerKind::Pool2d { size, stride, padding, .. } => {
                    let (height, width) = (input.height + 2 * padding, input.width + 2 * padding);
                    if size == 0 || stride == 0 || height < size || width < size || 2 * padding > size {
                        return Err(misfit(format!(
                            "its window is {size}x{size}, its stride {stride}, its padding {padding}"
                        )));
                    }
                    let pool = pool2d(input, layer.kind, 1);
                    Shape { height: pool.out_height(), width: pool.out_width(), ..input }
                }
                LayerKind::GlobalAveragePool => {
                    if input.height != input.width {
                        return Err(misfit("it takes square images".into()));
                    }
                    Shape { height: 1, width: 1, ..input }
                }
                LayerKind::Activation(_) | LayerKind::Add | LayerKind::Scale => input,
                LayerKind::ChannelConv { kernel } => {
                    if input != of_channels || kernel % 2 == 0 {
                        return Err(misfit(format!(
                            "it takes one value a channel and an odd number of taps, not {kernel}"
                        )));
                    }
                    let weight = vec![1, 1, kernel];
                    let [start, _] = initial(network.start, &weight);
                    parameters.push(("weight", weight, start, true));
                    input
                }
                LayerKind::Dropout { rate } => {
                    if !(0.0..1.0).contains(&rate) {
                        return Err(misfit(format!("its rate is {rate}, not from 0 up to below 1")));
                    }
                    input
                }
                LayerKind::Dense { outputs } => {
                    let [weight, bias] = dense(1, input.len(), outputs).parameter_shapes();
                    let [start, bias_start] = initial(network.start, &weight);
                    parameters.push(("weight", weight, start, true));
                    parameters.push(("bias", bias, bias_start, true));
                    Shape { channels: outputs, height: 1, width: 1 }
                }
            };
            let first = self.parameters.len();
            for (part, shape, initial, trainable) in parameters {
                let name = format!("{}.{part}", layer.name);
                self.parameters.push(Parameter { name, shape, initial, trainable });
            }
            self.stages.push(Stage {
                name: layer.name.clone(),
                kind: layer.kind,
                inputs,
                input,
                output,
                parameters: (first..self.parameters.len()).collect(),
            });
        }
        for (number, stage) in self.stages.iter().enumerate().rev().skip(1) {
            if self.consumers(number + 1) == 0 {
                let why = "no layer takes what it gives".into();
                return Err(PlanError::Layer { layer: stage.name.clone(), input: stage.input, why });
            }
        }
        Ok(self.shape(self.stages.len(), network.input))
    }

    /// The values that a layer takes.
    fn inputs_of(&self, layer: &Layer, images: Shape) -> Result<Vec<usize>, PlanError> {
        let misfit = |why| PlanError::Layer { layer: layer.name.clone(), input: images, why };
        if self.stages.iter().any(|stage| stage.name == layer.name) {
            return Err(misfit("there are two of this name".into()));
        }
        if layer.inputs.is_empty() {
            return Ok(vec![self.stages.len()]);
        }
        let value = |name: &String| {
            let stage = self.stages.iter().position(|stage| stage.name == *name);
            stage.map(|stage| stage + 1).ok_or_else(|| misfit(format!("no layer {name} stands before it")))
        };
        layer.inputs.iter().map(value).collect()
    }

    fn shape(&self, value: usize, images: Shape) -> Shape {
        value.checked_sub(1).map_or(images, |stage| self.stages[stage].output)
    }

    /// How often stages take a value.
    pub(super) fn consumers(&self, value: usize) -> usize {
        self.stages.iter().flat_map(|stage| &stage.inputs).filter(|&&input| input == value).count()
    }

    /// Room for a value of each image.
    pub(super) fn pieces(&mut self, images: &[usize], values: usize) -> Vec<View> {
        images.iter().map(|&images| self.activation(images, values)).collect()
    }

    /// Runs a batch, cut into pieces of so many images, through the subnet.
    pub(super) fn forward(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        images: &[usize],
        x: Vec<View>,
        statistics: Statistics,
    ) -> Result<Kept, PlanError> {
        let empty = || self.stages.iter();
        let mut kept = Kept {
            values: vec![x],
            spreads: empty().map(|_| Vec::new()).collect(),
            statistics: empty().map(|_| None).collect(),
        };
        while kept.values.len() <= self.stages.len() {
            let number = kept.values.len() - 1;
            if let (LayerKind::Dropout { .. }, Statistics::Running) = (self.stages[number].kind, statistics) {
                kept.values.push(kept.values[self.stages[number].inputs[0]].clone());
                continue;
            }
            let y = self.pieces(images, self.stages[number].output.len());
            let launches = match self.forward_blocked(fixed, images, number, &mut kept, &y)? {
                Some(launches) => launches,
                None => self.stage_forward(fixed, images, number, &mut kept, &y, statistics)?,
            };
            steps.add(&self.stages[number].name, launches);
            if self.is_activated(number) {
                // The activation has happened: what stands between the two is not kept.
                kept.values.push(y.clone());
            }
            kept.values.push(y);
        }
        Ok(kept)
    }

    /// A launch for each piece, or several.
    fn stage_forward(
        &mut self,
        fixed: &Fixed,
        images: &[usize],
        number: usize,
        kept: &mut Kept,
        y: &[View],
        statistics: Statistics,
    ) -> Result<Vec<Step>, PlanError> {
        if let LayerKind::BatchNorm { .. } = self.stages[number].kind {
            return Ok(self.norm_forward(fixed, images, number, kept, y, statistics));
        }
        let stage = &self.stages[number];
        let batch = images;
        let mut launches = Vec::new();
        for (piece, (&images, &y)) in batch.iter().zip(y).enumerate() {
            let x = kept.values[stage.inputs[0]][piece];
            let count = (images * stage.output.len()) as u32;
            match stage.kind {
                LayerKind::Conv2d { .. } => {
                    let [weight, bias] = self.weights(stage, fixed.parameters);
                    launches.push(self.conv(stage, images).forward(x, weight, bias, y));
                }
                LayerKind::Dense { outputs } => {
                    let [weight, bias] = self.weights(stage, fixed.parameters);
                    let windows = self.row_windows(stage, images, stage.input.len(), outputs, 1)?;
                    let forward =
                        |(part, rows): &(Dense, RowWindow)| part.forward(x, rows.of(weight), bias, y);
                    launches.extend(windows.iter().map(forward));
                }
                LayerKind::Pool2d { .. } | LayerKind::GlobalAveragePool => {
                    launches.push(pool2d(stage.input, stage.kind, images).forward(x, y));
                }
                LayerKind::Activation(kind) => {
                    launches.push(Activation { count, kind, accumulate: false }.forward(x, y));
                }
                LayerKind::Add => {
                    let other = kept.values[stage.inputs[1]][piece];
                    launches.push(Add { count, accumulate: false }.forward(x, other, y));
                }
                LayerKind::Scale => {
                    let factors = kept.values[stage.inputs[1]][piece];
                    launches.push(scale(stage, images).forward(x, factors, y));
                }
                LayerKind::ChannelConv { kernel } => {
                    let weight = self.parameter(stage.parameters[0], fixed.parameters);
                    launches.push(channel_conv(stage, kernel, images).forward(x, weight, y));
                }
                LayerKind::Dropout { rate } => {
                    launches.push(self.dropout(number, rate, batch, piece).forward(x, y));
                }
                LayerKind::BatchNorm { .. } => unreachable!("it takes all pieces at once"),
            }
        }
        Ok(launches)
    }

    /// Weight and bias, or their gradients. Where there is no bias the weight stands in its place.
    pub(super) fn weights(&self, stage: &Stage, buffer: BufferId) -> [View; 2] {
        let weight = stage.parameters[0];
        let bias = stage.parameters.get(1).copied().unwrap_or(weight);
        [weight, bias].map(|position| self.parameter(position, buffer))
    }

    pub(super) fn conv(&self, stage: &Stage, images: usize) -> Conv2d {
        let mut conv = conv2d(stage.input, stage.kind, images);
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

    /// Dropout of one piece of a batch that is cut into pieces of so many images.
    pub(super) fn dropout(&self, number: usize, rate: f32, batch: &[usize], piece: usize) -> Dropout {
        let branches = self.options.batch.branches();
        let (threshold, scale) = Dropout::of_rate(rate);
        Dropout {
            images: batch[piece] as u32,
            values: self.stages[number].input.len() as u32,
            branches: branches as u32,
            first: (batch[..piece].iter().sum::<usize>() / branches) as u32,
            layer: number as u32,
            threshold,
            scale,
            accumulate: false,
        }
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
    pub(super) fn of(&self, weight: View) -> View {
        weight.part(self.offset, self.len)
    }
}

pub(super) fn scale(stage: &Stage, images: usize) -> Scale {
    let Shape { channels, height, width } = stage.input;
    let (channels, spatial) = (channels as u32, (height * width) as u32);
    Scale { images: images as u32, channels, spatial, accumulate: false }
}

pub(super) fn channel_conv(stage: &Stage, kernel: usize, images: usize) -> ChannelConv {
    let (images, channels) = (images as u32, stage.input.channels as u32);
    ChannelConv { images, channels, kernel: kernel as u32, accumulate: false }
}

fn conv2d(input: Shape, kind: LayerKind, images: usize) -> Conv2d {
    let LayerKind::Conv2d { out_channels, kernel, stride, padding, groups, bias } = kind else {
        unreachable!("asked of convolutions only")
    };
    Conv2d {
        images: images as u32,
        in_channels: input.channels as u32,
        in_height: input.height as u32,
        in_width: input.width as u32,
        out_channels: out_channels as u32,
        groups: groups as u32,
        kernel_height: kernel[0] as u32,
        kernel_width: kernel[1] as u32,
        stride: stride as u32,
        padding_height: padding[0] as u32,
        padding_width: padding[1] as u32,
        biased: bias,
        images_per_part: images as u32,
        accumulate: false,
    }
}

pub(super) fn pool2d(input: Shape, kind: LayerKind, images: usize) -> Pool2d {
    let (kind, size, stride, padding) = match kind {
        LayerKind::Pool2d { kind, size, stride, padding } => (kind, size, stride, padding),
        LayerKind::GlobalAveragePool => (PoolKind::Average, input.height, input.height, 0),
        _ => unreachable!("asked of pooling only"),
    };
    Pool2d {
        images: images as u32,
        channels: input.channels as u32,
        in_height: input.height as u32,
        in_width: input.width as u32,
        size: size as u32,
        stride: stride as u32,
        padding: padding as u32,
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
