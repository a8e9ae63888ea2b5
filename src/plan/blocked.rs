//! The blocked plan: the subnet on kernels that keep large blocks in registers, for adapters where a load is
//! dear and workgroup memory is no faster than any other.
//!
//! A convolution's and a dense layer's activation is theirs, and a pool goes back together with the
//! activation before it. What the kernels do not support is left to the unfused ones, layer by layer.

use super::backward::Target;
use super::build::{Builder, Fixed};
use super::subnet::{Kept, Stage, pool2d};
use super::{PlanError, PlanKind};
use crate::model::LayerKind;
use crate::ops::activated_pool::ActivatedPool;
use crate::ops::activation::ActivationKind;
use crate::ops::conv2d_blocked::Conv2dBlocked;
use crate::ops::dense_blocked::{DenseBlocked, VECTOR};
use crate::ops::reduce::Reduce;
use crate::ops::{Layout, Step, View};

impl Builder<'_> {
    /// A stage on blocked kernels, where the plan and the stage allow it: a launch for each piece, or several.
    pub(super) fn forward_blocked(
        &mut self,
        fixed: &Fixed,
        images: &[usize],
        number: usize,
        kept: &mut Kept,
        y: &[View],
    ) -> Result<Option<Vec<Step>>, PlanError> {
        if !self.is_blocked(number) {
            return Ok(None);
        }
        let mut launches = Vec::new();
        for (piece, (&images, &y)) in images.iter().zip(y).enumerate() {
            let x = kept.values[self.stages[number].inputs[0]][piece];
            let [weight, bias] = self.weights(&self.stages[number], fixed.parameters);
            if let Some(conv) = self.conv_blocked(number, images) {
                let spread = self.activation(images, conv.spread_len());
                let filters = self.temporary(Layout::Plain, 1, conv.packed_len());
                kept.spreads[number].push(spread);
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

    /// As [`Builder::stage_backward`], where the plan and the stage allow it; a pool goes back together with
    /// the activation before it.
    pub(super) fn backward_blocked(
        &mut self,
        fixed: &Fixed,
        images: &[usize],
        number: usize,
        kept: &Kept,
        dy: &[View],
        dx: &[Option<Target>],
    ) -> Result<Option<Vec<Step>>, PlanError> {
        if !self.pools_activated(number) && !self.is_blocked(number) {
            return Ok(None);
        }
        let mut launches = Vec::new();
        for (piece, (&images, &dy)) in images.iter().zip(dy).enumerate() {
            let x = kept.values[self.stages[number].inputs[0]][piece];
            // Its input has no other consumer, so there is nothing to add to.
            let dx = Target::piece(dx[0].as_ref(), piece).map(|(dx, _)| dx);
            if let Some(pool) = self.pool_blocked(number, images) {
                // The pool's input is the activation's output.
                launches.extend(dx.map(|dz| pool.backward(x, dy, dz)));
            } else if let Some(conv) = self.conv_blocked(number, images) {
                let spread = kept.spreads[number][piece];
                let mut blocks = dy;
                if !self.pools_activated(number + 2) {
                    blocks = self.activation(images, conv.blocks_len());
                    launches.push(conv.block_gradient(dy, blocks));
                }
                launches.extend(self.conv_backward(fixed, number, &conv, piece > 0, (spread, blocks), dx)?);
            } else {
                let windows = self.dense_blocked(number, images)?;
                launches.extend(self.dense_backward(fixed, number, windows, piece > 0, (x, dy), dx));
            }
        }
        Ok(Some(launches))
    }

    fn conv_backward(
        &mut self,
        fixed: &Fixed,
        number: usize,
        conv: &Conv2dBlocked,
        accumulate: bool,
        (spread, blocks): (View, View),
        dx: Option<View>,
    ) -> Result<Vec<Step>, PlanError> {
        let plain = conv.conv();
        let parts = self.partial_gradients(number, &plain)?;
        let bias_parts = self.temporary(Layout::Plain, plain.parts(), conv.out_channels as usize);
        let turned = dx.map(|dx| (self.temporary(Layout::Plain, 1, conv.turned_len()), dx));
        let stage = &self.stages[number];
        let [weight, _] = self.weights(stage, fixed.parameters);
        let [dweight, dbias] = self.weights(stage, fixed.gradients);
        let sum = |from, to: View| {
            let reduce = Reduce { count: to.len as u32, parts: plain.parts() as u32, accumulate };
            reduce.forward(from, to)
        };
        let mut launches = vec![
            conv.backward_weight(spread, blocks, parts, bias_parts),
            sum(parts, dweight),
            sum(bias_parts, dbias),
        ];
        if let Some((filters, dx)) = turned {
            launches.push(conv.pack_turned(weight, filters));
            launches.push(conv.backward_input(blocks, filters, dx));
        }
        Ok(launches)
    }

    fn dense_backward(
        &self,
        fixed: &Fixed,
        number: usize,
        windows: Vec<DenseBlocked>,
        accumulate: bool,
        (x, dz): (View, View),
        dx: Option<View>,
    ) -> Vec<Step> {
        let stage = &self.stages[number];
        let [weight, _] = self.weights(stage, fixed.parameters);
        let [dweight, dbias] = self.weights(stage, fixed.gradients);
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

    /// The activation right behind a stage, where nothing else takes the stage's output.
    fn following(&self, number: usize) -> Option<ActivationKind> {
        match self.stages.get(number + 1)? {
            Stage { kind: LayerKind::Activation(kind), inputs, .. }
                if inputs[..] == [number + 1] && self.consumers(number + 1) == 1 =>
            {
                Some(*kind)
            }
            _ => None,
        }
    }

    /// Whether a stage is on blocked kernels. They add to no gradient, so its input must be its alone.
    fn is_blocked(&self, number: usize) -> bool {
        let stage = &self.stages[number];
        self.options.kind == PlanKind::Blocked
            && self.consumers(stage.inputs[0]) == 1
            && match stage.kind {
                LayerKind::Conv2d { kernel: [height, width], stride, padding, groups, bias, .. } => {
                    let square = height == width && padding[0] == padding[1];
                    bias && square && groups == 1 && Conv2dBlocked::supports(width, stride)
                }
                LayerKind::Dense { outputs } => DenseBlocked::supports(stage.input.len(), outputs),
                _ => false,
            }
    }

    /// Whether the activation behind a stage is part of it.
    pub(super) fn is_activated(&self, number: usize) -> bool {
        self.is_blocked(number) && self.following(number).is_some()
    }

    /// Whether a stage is a pool that goes back together with the activation before it.
    pub(super) fn pools_activated(&self, number: usize) -> bool {
        self.pool_blocked(number, 1).is_some()
    }

    /// A convolution that the blocked kernels support, with the activation behind it.
    fn conv_blocked(&self, number: usize, images: usize) -> Option<Conv2dBlocked> {
        let stage = &self.stages[number];
        if !self.is_blocked(number) || !matches!(stage.kind, LayerKind::Conv2d { .. }) {
            return None;
        }
        let activation = self.following(number);
        let plain = self.conv(stage, images);
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
            activation: activation.unwrap_or(ActivationKind::Relu),
        };
        if self.options.layout == Layout::Interleaved {
            return Some(conv);
        }
        Some(conv.in_parts(self.options.max_binding / (4 * plain.weight_len())))
    }

    /// A dense layer that the blocked kernels support, with the activation behind it, in windows of rows.
    fn dense_blocked(&self, number: usize, images: usize) -> Result<Vec<DenseBlocked>, PlanError> {
        let stage = &self.stages[number];
        let outputs = stage.output.len();
        let activation = self.following(number);
        let windows = self.row_windows(stage, images, stage.input.len(), outputs, VECTOR)?;
        let blocked = windows.into_iter().map(|(part, _)| DenseBlocked {
            images: part.images,
            inputs: part.inputs,
            outputs: part.outputs,
            first_row: part.first_row,
            rows: part.rows,
            activated: activation.is_some(),
            activation: activation.unwrap_or(ActivationKind::Relu),
            accumulate: false,
        });
        Ok(blocked.collect())
    }

    /// A pool and the activation before it, behind a blocked convolution, where nothing else takes what goes into
    /// either.
    pub(super) fn pool_blocked(&self, number: usize, images: usize) -> Option<ActivatedPool> {
        let stage = self.stages.get(number)?;
        let conv = number.checked_sub(2)?;
        self.conv_blocked(conv, images)?;
        let before = &self.stages[number - 1];
        let LayerKind::Activation(activation) = before.kind else { return None };
        let alone = |value| self.consumers(value) == 1;
        let pools = matches!(stage.kind, LayerKind::Pool2d { .. }) && stage.inputs[..] == [number];
        (pools && alone(number) && before.inputs[..] == [conv + 1] && alone(conv + 1))
            .then(|| ActivatedPool::of_parts(&pool2d(stage.input, stage.kind, images), activation))?
    }

    /// Most values of an image that a blocked layer handles at once.
    pub(super) fn largest_blocked(&self) -> usize {
        let convs = (0..self.stages.len()).filter_map(|number| self.conv_blocked(number, 1));
        convs.map(|conv| conv.largest()).max().unwrap_or(0)
    }
}

/// The rows of a weight that a window covers.
fn rows_of(part: &DenseBlocked, weight: View) -> View {
    let inputs = part.inputs as usize;
    weight.part(part.first_row as usize * inputs, part.rows as usize * inputs)
}
