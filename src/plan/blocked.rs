//! The blocked plan: the subnet on kernels that keep large blocks in registers, for adapters where a load is
//! dear and workgroup memory is no faster than any other.
//!
//! A convolution's and a dense layer's activation is theirs, and a pool goes back together with the
//! activation before it. What the kernels do not support is left to the unfused ones, layer by layer.

use super::PlanError;
use super::build::{Builder, Fixed, Steps};
use super::subnet::Kept;
use crate::model::LayerKind;
use crate::ops::activated_pool::ActivatedPool;
use crate::ops::activation::ActivationKind;
use crate::ops::conv2d_blocked::Conv2dBlocked;
use crate::ops::dense_blocked::{DenseBlocked, VECTOR};
use crate::ops::reduce::Reduce;
use crate::ops::{Layout, Step, View};

impl Builder<'_> {
    /// As [`Builder::forward`].
    pub(super) fn forward_blocked(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        images: usize,
        x: View,
    ) -> Result<Kept, PlanError> {
        let mut kept = Kept { views: vec![x], spreads: vec![None; self.stages.len()] };
        while kept.views.len() <= self.stages.len() {
            let number = kept.views.len() - 1;
            let input = kept.views[number];
            let y = self.activation(images, self.stages[number].output.len());
            let spread = self.conv_blocked(number, images).map(|conv| {
                let spread = self.activation(images, conv.spread_len());
                (conv, spread, self.temporary(Layout::Plain, 1, conv.packed_len()))
            });
            let stage = &self.stages[number];
            let launches = if let Some((conv, spread, filters)) = spread {
                let [weight, bias] = self.weights(stage, fixed.parameters);
                kept.spreads[number] = Some(spread);
                vec![
                    conv.spread_input(input, spread),
                    conv.pack(weight, filters),
                    conv.forward(spread, filters, bias, y),
                ]
            } else if let Some(windows) = self.dense_blocked(number, images)? {
                let [weight, bias] = self.weights(stage, fixed.parameters);
                let launch = |part: DenseBlocked| part.forward(input, rows_of(&part, weight), bias, y);
                windows.into_iter().map(launch).collect()
            } else {
                self.stage_forward(fixed, images, number, input, y)?
            };
            steps.add(&self.stages[number].name, launches);
            kept.views.push(y);
            if self.is_blocked(number) && self.following(number).is_some() {
                // The activation has happened: what stands between the two is not kept.
                kept.views.push(y);
            }
        }
        Ok(kept)
    }

    /// As [`Builder::backward`].
    pub(super) fn backward_blocked(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        (images, accumulate): (usize, bool),
        kept: &Kept,
        mut dy: View,
    ) -> Result<(), PlanError> {
        let mut number = self.stages.len();
        // The gradient by eight channels, where a pool has made it.
        let mut blocks = None;
        while number > 0 {
            number -= 1;
            let x = kept.views[number];
            if let Some(pool) = self.pool_blocked(number, images) {
                // The pool's input is the activation's output; the convolution before it comes next.
                let dz = self.activation(images, pool.blocks_len());
                steps.add(&self.stages[number].name, vec![pool.backward(x, dy, dz)]);
                (blocks, number) = (Some(dz), number - 1);
                continue;
            }
            let input = self.stages[number].input.len();
            // Nothing asks for the gradient of the images.
            let dx = (number > 0).then(|| self.activation(images, input));
            let launches = if let (Some(conv), Some(spread)) =
                (self.conv_blocked(number, images), kept.spreads[number])
            {
                let mut launches = Vec::new();
                let dz = blocks.take().unwrap_or_else(|| {
                    let dz = self.activation(images, conv.blocks_len());
                    launches.push(conv.block_gradient(dy, dz));
                    dz
                });
                launches.extend(self.conv_backward(fixed, number, &conv, accumulate, (spread, dz), dx)?);
                launches
            } else if let Some(windows) = self.dense_blocked(number, images)? {
                self.dense_backward(fixed, number, windows, accumulate, (x, dy), dx)
            } else {
                self.stage_backward(fixed, (images, accumulate), number, [x, kept.views[number + 1], dy], dx)?
            };
            steps.add(&self.stages[number].name, launches);
            match dx {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        Ok(())
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

    /// The activation right behind a stage.
    fn following(&self, number: usize) -> Option<ActivationKind> {
        match self.stages.get(number + 1)?.kind {
            LayerKind::Activation(kind) => Some(kind),
            _ => None,
        }
    }

    fn is_blocked(&self, number: usize) -> bool {
        let stage = &self.stages[number];
        match stage.kind {
            LayerKind::Conv2d { kernel, stride, .. } => Conv2dBlocked::supports(kernel, stride),
            LayerKind::Dense { outputs } => DenseBlocked::supports(stage.input.len(), outputs),
            _ => false,
        }
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
            kernel: plain.kernel,
            stride: plain.stride,
            padding: plain.padding,
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
    fn dense_blocked(&self, number: usize, images: usize) -> Result<Option<Vec<DenseBlocked>>, PlanError> {
        let stage = &self.stages[number];
        let LayerKind::Dense { outputs } = stage.kind else { return Ok(None) };
        if !self.is_blocked(number) {
            return Ok(None);
        }
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
        Ok(Some(blocked.collect()))
    }

    /// A pool and the activation before it, behind a blocked convolution.
    fn pool_blocked(&self, number: usize, images: usize) -> Option<ActivatedPool> {
        self.conv_blocked(number.checked_sub(2)?, images)?;
        let before = &self.stages[number - 1];
        let LayerKind::Activation(activation) = before.kind else { return None };
        let stage = &self.stages[number];
        matches!(stage.kind, LayerKind::Pool2d { .. })
            .then(|| ActivatedPool::of_parts(&super::subnet::pool2d(stage, images), activation))?
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
