//! Layers, row by row: which launches run them forward and back, micro-batch by micro-batch.
//!
//! All micro-batches pass a node before the next one begins, so that a norm sees the whole batch.

use super::Mode;
use super::PlanError;
use super::builder::Builder;
use super::lower::{Lowering, Place};
use crate::graph::{Dim, Graph, Node, Op, ValueId, of_image};
use crate::ops::activation::Activation;
use crate::ops::add::Add;
use crate::ops::channel_conv::ChannelConv;
use crate::ops::conv2d::Conv2d;
use crate::ops::dense::Dense;
use crate::ops::dropout::Dropout;
use crate::ops::pool2d::{Pool2d, PoolKind};
use crate::ops::reduce::Reduce;
use crate::ops::scale::Scale;
use crate::ops::{INTERLEAVE, ITERATION_BUDGET, Layout, Step, TENSOR_ALIGN as ALIGN, View};

/// Partial gradients, and moments, that GPU threads share out: enough to fill a small GPU.
pub(super) const PARTS: usize = 32;

impl Lowering<'_, '_> {
    pub(super) fn row_forward(&mut self, number: usize) -> Result<Vec<Step>, PlanError> {
        let node = &self.graph.nodes[number];
        let y = node.output();
        match node.op {
            Op::BatchNorm { .. } => return Ok(self.norm_forward(number)),
            Op::Distance(_) | Op::WeightedSum | Op::Episode { .. } | Op::SoftmaxCrossEntropy => {
                return Ok(self.pair_forward(node));
            }
            Op::Dropout { .. } if self.mode == Mode::Inference => {
                let x = self.rows(node.inputs[0]);
                self.place(y, Place::Rows(x));
                return Ok(Vec::new());
            }
            _ => {}
        }
        if let Some(launches) = self.blocked_forward(number)? {
            return Ok(launches);
        }
        let mut launches = Vec::new();
        let x = self.rows(node.inputs[0]);
        // What else it takes: another value of the same rows, or else its parameters.
        let others = match node.op {
            Op::Add | Op::Scale => self.rows(node.inputs[1]),
            _ => Vec::new(),
        };
        let to = self.output_rows(y);
        for (piece, ((rows, &x), &y)) in self.rows_of(y).into_iter().zip(&x).zip(&to).enumerate() {
            let count = (rows * self.row_len(node.output())) as u32;
            match node.op {
                Op::Conv2d { .. } => {
                    let [weight, bias] = self.weights(node);
                    launches.push(self.conv(node, rows).forward(x, weight, bias, y));
                }
                Op::Dense => {
                    let [weight, bias] = self.weights(node);
                    for (part, window) in self.row_windows(node, rows, 1)? {
                        launches.push(part.forward(x, window.of(weight), bias, y));
                    }
                }
                Op::Pool2d { .. } | Op::GlobalAveragePool => {
                    launches.push(self.pool(node, rows).forward(x, y))
                }
                Op::Activation(kind) => {
                    launches.push(Activation { count, kind, accumulate: false }.forward(x, y));
                }
                Op::Add => launches.push(Add { count, accumulate: false }.forward(x, others[piece], y)),
                Op::Scale => launches.push(self.scale(node, rows).forward(x, others[piece], y)),
                Op::ChannelConv => {
                    let [weight, _] = self.weights(node);
                    launches.push(self.channel_conv(node, rows).forward(x, weight, y));
                }
                Op::Dropout { rate } => launches.push(self.dropout(number, rate, piece).forward(x, y)),
                _ => unreachable!("{:?} does not go row by row", node.op),
            }
        }
        Ok(launches)
    }

    /// Back through node `of`, whose gradients are the outputs of node `number`. A later micro-batch adds to the
    /// parameters' gradients what the ones before it left there.
    pub(super) fn row_backward(&mut self, of: usize, number: usize) -> Result<Vec<Step>, PlanError> {
        let (node, gradient) = (&self.graph.nodes[of], &self.graph.nodes[number]);
        match node.op {
            Op::BatchNorm { .. } => return Ok(self.norm_backward(of, gradient)),
            Op::Distance(_) | Op::WeightedSum | Op::Episode { .. } | Op::SoftmaxCrossEntropy => {
                return Ok(self.pair_backward(node, gradient));
            }
            _ => {}
        }
        if let Some(launches) = self.blocked_backward(of, gradient)? {
            return Ok(launches);
        }
        let dy = self.rows(gradient.inputs[0]);
        // A pool goes back from its input, an activation from its output.
        let from = if matches!(node.op, Op::Activation(_)) { node.output() } else { node.inputs[0] };
        let x = self.rows(from);
        let factors = if node.op == Op::Scale { self.rows(node.inputs[1]) } else { Vec::new() };
        let row_len = self.row_len(node.inputs[0]);
        let dx = gradient.outputs[0].map(|value| self.target_rows(value, row_len));
        let dfactors = match (node.op, gradient.outputs.get(1)) {
            (Op::Scale, Some(&Some(value))) => Some(self.target_rows(value, self.row_len(node.inputs[1]))),
            _ => None,
        };
        let dweights = self.weight_gradients(gradient);
        let mut launches = Vec::new();
        for (piece, ((rows, &x), &dy)) in self.rows_of(node.output()).into_iter().zip(&x).zip(&dy).enumerate()
        {
            let target = dx.as_ref().map(|(views, accumulate)| (views[piece], *accumulate));
            let adding = |dweight: (View, bool)| piece > 0 || dweight.1;
            let count = (rows * self.row_len(node.output())) as u32;
            match (node.op, &dweights[..]) {
                (Op::Conv2d { .. }, dweights) => {
                    let conv = self.conv(node, rows);
                    let parts = self.builder.partial_gradients(&node.name, &conv)?;
                    let [weight, _] = self.weights(node);
                    if let &[dweight, ..] = dweights {
                        let conv = Conv2d { accumulate: adding(dweight), ..conv };
                        let (count, parts_len) = (conv.weight_len() as u32, conv.parts() as u32);
                        let reduce = Reduce { count, parts: parts_len, accumulate: conv.accumulate };
                        launches.push(conv.backward_weight(x, dy, parts));
                        launches.push(reduce.forward(parts, dweight.0));
                    }
                    if let &[_, dbias] = dweights {
                        launches
                            .push(Conv2d { accumulate: adding(dbias), ..conv }.backward_bias(dy, dbias.0));
                    }
                    launches.extend(target.map(|(dx, accumulate)| {
                        Conv2d { accumulate, ..conv }.backward_input(dy, weight, dx)
                    }));
                }
                (Op::Dense, &[dweight, dbias]) => {
                    let [weight, _] = self.weights(node);
                    for (part, window) in self.row_windows(node, rows, 1)? {
                        let added = Dense { accumulate: adding(dweight), ..part };
                        launches.push(added.backward_weight(x, dy, window.of(dweight.0)));
                        if part.first_row == 0 {
                            launches
                                .push(Dense { accumulate: adding(dbias), ..part }.backward_bias(dy, dbias.0));
                        }
                        launches.extend(target.map(|(dx, accumulate)| {
                            let part = Dense { accumulate: accumulate || part.first_row > 0, ..part };
                            part.backward_input(dy, window.of(weight), dx)
                        }));
                    }
                }
                (Op::ChannelConv, &[dweight]) => {
                    let conv = self.channel_conv(node, rows);
                    let [weight, _] = self.weights(node);
                    let added = ChannelConv { accumulate: adding(dweight), ..conv };
                    launches.push(added.backward_weight(x, dy, dweight.0));
                    launches.extend(target.map(|(dx, accumulate)| {
                        ChannelConv { accumulate, ..conv }.backward_input(dy, weight, dx)
                    }));
                }
                (Op::Scale, _) => {
                    let scale = self.scale(node, rows);
                    launches.extend(target.map(|(dx, accumulate)| {
                        Scale { accumulate, ..scale }.backward_input(dy, factors[piece], dx)
                    }));
                    launches.extend(dfactors.as_ref().map(|(views, accumulate)| {
                        Scale { accumulate: *accumulate, ..scale }.backward_scale(x, dy, views[piece])
                    }));
                }
                (op, _) => launches.extend(target.map(|(dx, accumulate)| match op {
                    Op::Pool2d { .. } | Op::GlobalAveragePool => {
                        Pool2d { accumulate, ..self.pool(node, rows) }.backward(x, dy, dx)
                    }
                    Op::Activation(kind) => Activation { count, kind, accumulate }.backward(x, dy, dx),
                    Op::Dropout { rate } => {
                        Dropout { accumulate, ..self.dropout(of, rate, piece) }.backward(dy, dx)
                    }
                    _ => unreachable!("{op:?} does not go back row by row"),
                })),
            }
        }
        Ok(launches)
    }

    /// Where the gradients of a node's parameters go, in order, and whether they add to what is there.
    pub(super) fn weight_gradients(&mut self, gradient: &Node) -> Vec<(View, bool)> {
        let Op::Gradient { of } = gradient.op else { return Vec::new() };
        let of_parameters: Vec<ValueId> = self.graph.nodes[of]
            .inputs
            .iter()
            .zip(&gradient.outputs)
            .filter(|(input, _)| self.graph.values[input.0].parameter.is_some())
            .filter_map(|(_, output)| *output)
            .collect();
        of_parameters.into_iter().map(|value| self.target_whole(value)).collect()
    }

    /// Weight and bias. Where there is no bias the weight stands in its place.
    pub(super) fn weights(&mut self, node: &Node) -> [View; 2] {
        let weight = node.inputs[1];
        [weight, node.inputs.get(2).copied().unwrap_or(weight)].map(|value| self.whole(value))
    }

    pub(super) fn conv(&self, node: &Node, images: usize) -> Conv2d {
        self.builder.in_parts(conv2d(self.graph, node, images))
    }

    pub(super) fn pool(&self, node: &Node, images: usize) -> Pool2d {
        let input = of_image(self.graph.shape(node.inputs[0]));
        let (kind, size, stride, padding) = match node.op {
            Op::Pool2d { kind, size, stride, padding } => (kind, size, stride, padding),
            _ => (PoolKind::Average, input.height, input.height, 0),
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

    fn scale(&self, node: &Node, images: usize) -> Scale {
        let input = of_image(self.graph.shape(node.inputs[0]));
        let (channels, spatial) = (input.channels as u32, (input.height * input.width) as u32);
        Scale { images: images as u32, channels, spatial, accumulate: false }
    }

    fn channel_conv(&self, node: &Node, images: usize) -> ChannelConv {
        let [x, weight] = [0, 1].map(|input| self.graph.shape(node.inputs[input]));
        let (images, channels) = (images as u32, of_image(x).channels as u32);
        ChannelConv { images, channels, kernel: size(weight, 2) as u32, accumulate: false }
    }

    /// Dropout of one micro-batch.
    fn dropout(&self, number: usize, rate: f32, piece: usize) -> Dropout {
        let x = self.graph.nodes[number].inputs[0];
        let rows = self.rows_of(x);
        let branches = rows[piece] / self.entries[piece];
        let (threshold, scale) = Dropout::of_rate(rate);
        Dropout {
            images: rows[piece] as u32,
            values: self.row_len(x) as u32,
            branches: branches as u32,
            first: self.firsts()[piece] as u32,
            layer: number as u32,
            threshold,
            scale,
            accumulate: false,
        }
    }

    /// A dense layer in windows of whole rows of its weight, as many as fit a binding, in multiples of `multiple`.
    pub(super) fn row_windows(
        &self,
        node: &Node,
        images: usize,
        multiple: usize,
    ) -> Result<Vec<(Dense, RowWindow)>, PlanError> {
        let weight = self.graph.shape(node.inputs[1]);
        let (outputs, inputs) = (size(weight, 0), size(weight, 1));
        let most = self.builder.options.max_binding / (4 * inputs);
        // Both are powers of two.
        let granule = (ALIGN / gcd(ALIGN, inputs)).max(multiple);
        let window = if most >= outputs { outputs } else { most / granule * granule };
        if window == 0 {
            let needed = 4 * inputs * granule;
            return Err(self.builder.too_large(&format!("{}.weight, by rows,", node.name), needed));
        }
        let part = |first: usize| {
            let rows = window.min(outputs - first);
            let dense = Dense {
                images: images as u32,
                inputs: inputs as u32,
                outputs: outputs as u32,
                first_row: first as u32,
                rows: rows as u32,
                accumulate: false,
            };
            (dense, RowWindow { offset: first * inputs, len: rows * inputs })
        };
        Ok((0..outputs).step_by(window).map(part).collect())
    }
}

impl Builder<'_> {
    /// A convolution whose weight gradient is summed in parts.
    pub(super) fn in_parts(&self, mut conv: Conv2d) -> Conv2d {
        let images = conv.images as usize;
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

    /// Room for a convolution's partial weight gradients.
    pub(super) fn partial_gradients(&mut self, name: &str, conv: &Conv2d) -> Result<View, PlanError> {
        let len = conv.parts() * conv.weight_len();
        if 4 * len > self.options.max_binding {
            return Err(self.too_large(&format!("{name}'s partial gradients"), 4 * len));
        }
        Ok(self.temporary(Layout::Plain, 1, len))
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

/// A convolution in one part.
pub(super) fn conv2d(graph: &Graph, node: &Node, images: usize) -> Conv2d {
    let Op::Conv2d { stride, padding, groups } = node.op else { unreachable!("asked of convolutions only") };
    let input = of_image(graph.shape(node.inputs[0]));
    let [out_channels, _, height, width] = [0, 1, 2, 3].map(|at| size(graph.shape(node.inputs[1]), at));
    Conv2d {
        images: images as u32,
        in_channels: input.channels as u32,
        in_height: input.height as u32,
        in_width: input.width as u32,
        out_channels: out_channels as u32,
        groups: groups as u32,
        kernel_height: height as u32,
        kernel_width: width as u32,
        stride: stride as u32,
        padding_height: padding[0] as u32,
        padding_width: padding[1] as u32,
        biased: node.inputs.len() == 3,
        images_per_part: images as u32,
        accumulate: false,
    }
}

/// A size that does not depend on the batch.
pub(super) fn size(shape: &[Dim], at: usize) -> usize {
    match shape.get(at) {
        Some(Dim::Size(size)) => *size,
        _ => 1,
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
