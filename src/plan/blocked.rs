//! Kernels that keep large blocks in registers, for adapters where loads are slow and workgroup memory is no faster
//! than any other.
//!
//! A convolution's and a dense layer's activation is theirs, and a pool goes back together with the activation before
//! it. What the kernels do not support is left to the unfused ones, node by node.

use super::lower::{Lowering, Place};
use super::{PlanError, PlanKind};
use crate::graph::{Node, Op};
use crate::ops::activated_pool::ActivatedPool;
use crate::ops::activation::ActivationKind;
use crate::ops::conv2d_blocked::Conv2dBlocked;
use crate::ops::dense::Dense;
use crate::ops::dense_blocked::{DenseBlocked, VECTOR};
use crate::ops::reduce::Reduce;
use crate::ops::{Layout, Step, View};

impl Lowering<'_, '_> {
    /// A node on blocked kernels, where plan and node allow it.
    pub(super) fn blocked_forward(&mut self, number: usize) -> Result<Option<Vec<Step>>, PlanError> {
        if !self.is_blocked(number) {
            return Ok(None);
        }
        let node = &self.graph.nodes[number];
        let x = self.rows(node.inputs[0]);
        let [weight, bias] = self.weights(node);
        let y = self.output_rows(node.output());
        if let Some((activation, _)) = self.following(number) {
            // The activation has happened: what stands before it is not saved.
            self.place(self.graph.nodes[activation].output(), Place::Rows(y.clone()));
            self.skipped.insert(activation);
        }
        let mut launches = Vec::new();
        for ((images, &x), &y) in self.rows_of(node.output()).into_iter().zip(&x).zip(&y) {
            if let Some(conv) = self.conv_blocked(number, images) {
                let spread = self.builder.activation(images, conv.spread_len());
                let filters = self.builder.temporary(Layout::Plain, 1, conv.packed_len());
                self.spreads.entry(number).or_default().push(spread);
                launches.push(conv.spread_input(x, spread));
                launches.push(conv.pack(weight, filters));
                launches.push(conv.forward(spread, filters, bias, y));
            } else {
                let launch = |part: DenseBlocked| part.forward(x, rows_of(&part, weight), bias, y);
                launches.extend(self.dense_blocked(number, images)?.into_iter().map(launch));
            }
        }
        Ok(Some(launches))
    }

    /// The same backward; a pool goes back together with the activation before it.
    pub(super) fn blocked_backward(
        &mut self,
        of: usize,
        gradient: &Node,
    ) -> Result<Option<Vec<Step>>, PlanError> {
        let node = &self.graph.nodes[of];
        if let Some((activation, pool)) = self.pool_blocked(of, 1) {
            // Its gradient goes right to that of the activation's input, as blocks.
            let before = self
                .graph
                .nodes
                .iter()
                .enumerate()
                .find(|(_, node)| node.op == Op::Gradient { of: activation });
            let Some((skipped, before)) = before else { return Ok(None) };
            let Some(dz) = before.outputs[0] else { return Ok(None) };
            self.skipped.insert(skipped);
            let (x, dy) = (self.rows(node.inputs[0]), self.rows(gradient.inputs[0]));
            let (dz, _) = self.target_rows(dz, pool.blocks_len());
            let rows = self.rows_of(node.output()).into_iter().enumerate();
            let launches = rows.filter_map(|(piece, images)| {
                let (_, pool) = self.pool_blocked(of, images)?;
                // The pool's input is the activation's output.
                Some(pool.backward(x[piece], dy[piece], dz[piece]))
            });
            return Ok(Some(launches.collect()));
        }
        if !self.is_blocked(of) {
            return Ok(None);
        }
        let (x, dy) = (self.rows(node.inputs[0]), self.rows(gradient.inputs[0]));
        let row_len = self.row_len(node.inputs[0]);
        // Its input has no other consumer, so there is nothing to add to.
        let dx = gradient.outputs[0].map(|value| self.target_rows(value, row_len).0);
        let dweights = self.weight_gradients(gradient);
        let &[dweight, dbias] = &dweights[..] else { return Ok(None) };
        let mut launches = Vec::new();
        for (piece, images) in self.rows_of(node.output()).into_iter().enumerate() {
            let dx = dx.as_ref().map(|views| views[piece]);
            let accumulate = piece > 0 || dweight.1;
            let targets = [dweight.0, dbias.0];
            if let Some(conv) = self.conv_blocked(of, images) {
                let spread = self.spreads[&of][piece];
                let mut blocks = dy[piece];
                if !self.feeds_blocked_pool(of) {
                    blocks = self.builder.activation(images, conv.blocks_len());
                    launches.push(conv.block_gradient(dy[piece], blocks));
                }
                launches.extend(self.conv_backward(
                    node,
                    &conv,
                    accumulate,
                    (spread, blocks),
                    targets,
                    dx,
                )?);
            } else {
                let windows = self.dense_blocked(of, images)?;
                launches.extend(self.dense_backward(
                    node,
                    windows,
                    accumulate,
                    (x[piece], dy[piece]),
                    targets,
                    dx,
                ));
            }
        }
        Ok(Some(launches))
    }

    fn conv_backward(
        &mut self,
        node: &Node,
        conv: &Conv2dBlocked,
        accumulate: bool,
        (spread, blocks): (View, View),
        [dweight, dbias]: [View; 2],
        dx: Option<View>,
    ) -> Result<Vec<Step>, PlanError> {
        let plain = conv.conv();
        let parts = self.builder.partial_gradients(&node.name, &plain)?;
        let bias_parts = self.builder.temporary(Layout::Plain, plain.parts(), conv.out_channels as usize);
        let sum = |from, to: View| {
            let reduce = Reduce { count: to.len as u32, parts: plain.parts() as u32, accumulate };
            reduce.forward(from, to)
        };
        let mut launches = vec![
            conv.backward_weight(spread, blocks, parts, bias_parts),
            sum(parts, dweight),
            sum(bias_parts, dbias),
        ];
        if let Some(dx) = dx {
            let filters = self.builder.temporary(Layout::Plain, 1, conv.turned_len());
            let [weight, _] = self.weights(node);
            launches.push(conv.pack_turned(weight, filters));
            launches.push(conv.backward_input(blocks, filters, dx));
        }
        Ok(launches)
    }

    fn dense_backward(
        &mut self,
        node: &Node,
        windows: Vec<DenseBlocked>,
        accumulate: bool,
        (x, dz): (View, View),
        [dweight, dbias]: [View; 2],
        dx: Option<View>,
    ) -> Vec<Step> {
        let [weight, _] = self.weights(node);
        let mut launches = Vec::new();
        for part in windows {
            let adding = DenseBlocked { accumulate, ..part };
            launches.push(adding.backward_weight(x, dz, rows_of(&part, dweight)));
            if part.first_row == 0 {
                launches.push(adding.dense().backward_bias(dz, dbias));
            }
            let later = DenseBlocked { accumulate: part.first_row > 0, ..part };
            launches.extend(dx.map(|dx| later.backward_input(dz, rows_of(&part, weight), dx)));
        }
        launches
    }

    /// The activation right after a node, where nothing else takes the node's output.
    fn following(&self, number: usize) -> Option<(usize, ActivationKind)> {
        let output = self.graph.nodes[number].output();
        let next = self.graph.nodes.get(number + 1)?;
        match next.op {
            Op::Activation(kind) if next.inputs[..] == [output] && self.consumers(output) == 1 => {
                Some((number + 1, kind))
            }
            _ => None,
        }
    }

    /// Whether a node is on blocked kernels. They add to no gradient, so its input must be its alone.
    fn is_blocked(&self, number: usize) -> bool {
        let node = &self.graph.nodes[number];
        self.builder.options.kind == PlanKind::Blocked
            && node.inputs.first().is_some_and(|&input| self.consumers(input) == 1)
            && match node.op {
                Op::Conv2d { .. } => {
                    let conv = super::layers::conv2d(self.graph, node, 1);
                    conv.biased
                        && conv.kernel_height == conv.kernel_width
                        && conv.padding_height == conv.padding_width
                        && conv.groups == 1
                        && Conv2dBlocked::supports(conv.kernel_width as usize, conv.stride as usize)
                }
                Op::Dense => {
                    let weight = self.graph.shape(node.inputs[1]);
                    DenseBlocked::supports(super::layers::size(weight, 1), super::layers::size(weight, 0))
                }
                _ => false,
            }
    }

    /// Whether the gradient of a convolution comes as blocks.
    fn feeds_blocked_pool(&self, number: usize) -> bool {
        self.pool_blocked(number + 2, 1).is_some_and(|(activation, _)| activation == number + 1)
    }

    /// A convolution that the blocked kernels support, with the activation after it.
    fn conv_blocked(&self, number: usize, images: usize) -> Option<Conv2dBlocked> {
        let node = &self.graph.nodes[number];
        if !self.is_blocked(number) || !matches!(node.op, Op::Conv2d { .. }) {
            return None;
        }
        let activation = self.following(number);
        let plain = self.conv(node, images);
        let conv = Conv2dBlocked {
            images: plain.images,
            in_channels: plain.in_channels,
            in_height: plain.in_height,
            in_width: plain.in_width,
            out_channels: plain.out_channels,
            kernel: plain.kernel_width,
            stride: plain.stride,
            padding: plain.padding_width,
            images_per_part: plain.images_per_part,
            activated: activation.is_some(),
            activation: activation.map_or(ActivationKind::Relu, |(_, kind)| kind),
        };
        if self.builder.options.layout == Layout::Interleaved {
            return Some(conv);
        }
        Some(conv.in_parts(self.builder.options.max_binding / (4 * plain.weight_len())))
    }

    /// A dense layer that the blocked kernels support, with the activation after it, in windows of rows.
    fn dense_blocked(&self, number: usize, images: usize) -> Result<Vec<DenseBlocked>, PlanError> {
        let activation = self.following(number);
        let windows = self.row_windows(&self.graph.nodes[number], images, VECTOR)?;
        let blocked =
            windows.into_iter().map(|(Dense { images, inputs, outputs, first_row, rows, .. }, _)| {
                DenseBlocked {
                    images,
                    inputs,
                    outputs,
                    first_row,
                    rows,
                    activated: activation.is_some(),
                    activation: activation.map_or(ActivationKind::Relu, |(_, kind)| kind),
                    accumulate: false,
                }
            });
        Ok(blocked.collect())
    }

    /// A pool and the activation before it, after a blocked convolution, where nothing else takes what goes into
    /// either.
    fn pool_blocked(&self, number: usize, images: usize) -> Option<(usize, ActivatedPool)> {
        let node = self.graph.nodes.get(number)?;
        let conv = number.checked_sub(2)?;
        self.conv_blocked(conv, images)?;
        let before = &self.graph.nodes[number - 1];
        let Op::Activation(activation) = before.op else { return None };
        let alone = |value| self.consumers(value) == 1;
        let pools = matches!(node.op, Op::Pool2d { .. }) && node.inputs[..] == [before.output()];
        let activates = before.inputs[..] == [self.graph.nodes[conv].output()];
        if !(pools && activates && alone(before.output()) && alone(before.inputs[0])) {
            return None;
        }
        Some((number - 1, ActivatedPool::of_parts(&self.pool(node, images), activation)?))
    }

    /// Most values of an image that a blocked layer handles at once.
    pub(super) fn largest_blocked(&self) -> usize {
        let forward = self.graph.forward_nodes.unwrap_or(self.graph.nodes.len());
        let convs = (0..forward).filter_map(|number| self.conv_blocked(number, 1));
        convs.map(|conv| conv.largest()).max().unwrap_or(0)
    }
}

/// The rows of a weight that a window covers.
fn rows_of(part: &DenseBlocked, weight: View) -> View {
    let inputs = part.inputs as usize;
    weight.part(part.first_row as usize * inputs, part.rows as usize * inputs)
}
