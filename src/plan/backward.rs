//! The subnet's way back: which gradient goes where, and the steps that make it.

use super::PlanError;
use super::build::{Builder, Fixed, Steps};
use super::subnet::{Kept, channel_conv, pool2d, scale};
use crate::model::LayerKind;
use crate::ops::activation::Activation;
use crate::ops::add::Add;
use crate::ops::channel_conv::ChannelConv;
use crate::ops::conv2d::Conv2d;
use crate::ops::dense::Dense;
use crate::ops::dropout::Dropout;
use crate::ops::pool2d::Pool2d;
use crate::ops::reduce::Reduce;
use crate::ops::scale::Scale;
use crate::ops::{Layout, Step, View};

/// Where a gradient goes, piece by piece.
pub(super) struct Target {
    pub(super) views: Vec<View>,
    /// Another consumer of the value has written there before.
    pub(super) accumulate: bool,
}

impl Target {
    /// Of one piece.
    pub(super) fn piece(target: Option<&Target>, piece: usize) -> Option<(View, bool)> {
        target.map(|target| (target.views[piece], target.accumulate))
    }
}

impl Builder<'_> {
    /// Back through the subnet from the embedding's gradient.
    pub(super) fn backward(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        images: &[usize],
        kept: &Kept,
        dembedding: Vec<View>,
    ) -> Result<(), PlanError> {
        let mut gradients: Vec<Option<Vec<View>>> = self.stages.iter().map(|_| None).collect();
        gradients.push(Some(dembedding));
        let mut number = self.stages.len();
        while number > 0 {
            number -= 1;
            let name = self.stages[number].name.clone();
            let Some(dy) = gradients[number + 1].take() else {
                unreachable!("{name} gives what nobody takes")
            };
            // A blocked pool goes back together with the activation before it.
            let (first, values) = match self.pool_blocked(number, 1) {
                Some(pool) => (number - 1, pool.blocks_len()),
                None => (number, self.stages[number].input.len()),
            };
            let dx = self.targets(first, (images, values), &dy, &mut gradients);
            let launches = match self.backward_blocked(fixed, images, number, kept, &dy, &dx)? {
                Some(launches) => launches,
                None => self.stage_backward(fixed, images, number, kept, &dy, &dx)?,
            };
            steps.add(&name, launches);
            number = first;
        }
        Ok(())
    }

    /// Where the gradients of a stage's inputs go: the first consumer of a value that comes this way
    /// overwrites, the others add. `None` where there is nothing to launch.
    fn targets(
        &mut self,
        number: usize,
        (images, values): (&[usize], usize),
        dy: &[View],
        gradients: &mut [Option<Vec<View>>],
    ) -> Vec<Option<Target>> {
        let mut targets = Vec::new();
        for (position, value) in self.stages[number].inputs.clone().into_iter().enumerate() {
            let values = match value.checked_sub(1) {
                // Of a product's two inputs the second is smaller.
                Some(stage) if position > 0 => self.stages[stage].output.len(),
                _ => values,
            };
            let target = if value == 0 {
                // Nothing asks for the gradient of the images.
                None
            } else if self.stages[number].kind == LayerKind::Add && self.consumers(value) == 1 {
                // A sum's gradient is that of each of its terms; nobody will add to it.
                gradients[value] = Some(dy.to_vec());
                None
            } else if let Some(views) = &gradients[value] {
                Some(Target { views: views.clone(), accumulate: true })
            } else {
                let views = self.pieces(images, values);
                gradients[value] = Some(views.clone());
                Some(Target { views, accumulate: false })
            };
            targets.push(target);
        }
        targets
    }

    /// From a stage's inputs, output and output's gradient. A piece adds to the parameters' gradients what
    /// the ones before it left there.
    fn stage_backward(
        &mut self,
        fixed: &Fixed,
        images: &[usize],
        number: usize,
        kept: &Kept,
        dy: &[View],
        dx: &[Option<Target>],
    ) -> Result<Vec<Step>, PlanError> {
        if let LayerKind::BatchNorm { .. } = self.stages[number].kind {
            return Ok(self.norm_backward(fixed, images, number, kept, dy, dx[0].as_ref()));
        }
        let batch = images;
        let mut launches = Vec::new();
        for (piece, (&images, &dy)) in batch.iter().zip(dy).enumerate() {
            let stage = &self.stages[number];
            let x = kept.values[stage.inputs[0]][piece];
            let target = Target::piece(dx[0].as_ref(), piece);
            let count = (images * stage.output.len()) as u32;
            match stage.kind {
                LayerKind::Conv2d { .. } => {
                    let conv = Conv2d { accumulate: piece > 0, ..self.conv(stage, images) };
                    let parts = self.partial_gradients(number, &conv)?;
                    let stage = &self.stages[number];
                    let [weight, _] = self.weights(stage, fixed.parameters);
                    let [dweight, dbias] = self.weights(stage, fixed.gradients);
                    let (count, parts_len) = (conv.weight_len() as u32, conv.parts() as u32);
                    let reduce = Reduce { count, parts: parts_len, accumulate: conv.accumulate };
                    launches.push(conv.backward_weight(x, dy, parts));
                    launches.push(reduce.forward(parts, dweight));
                    if conv.biased {
                        launches.push(conv.backward_bias(dy, dbias));
                    }
                    launches.extend(target.map(|(dx, accumulate)| {
                        Conv2d { accumulate, ..conv }.backward_input(dy, weight, dx)
                    }));
                }
                LayerKind::Dense { outputs } => {
                    let [weight, _] = self.weights(stage, fixed.parameters);
                    let [dweight, dbias] = self.weights(stage, fixed.gradients);
                    for (part, rows) in self.row_windows(stage, images, stage.input.len(), outputs, 1)? {
                        let adding = Dense { accumulate: piece > 0, ..part };
                        launches.push(adding.backward_weight(x, dy, rows.of(dweight)));
                        if part.first_row == 0 {
                            launches.push(adding.backward_bias(dy, dbias));
                        }
                        launches.extend(target.map(|(dx, accumulate)| {
                            let part = Dense { accumulate: accumulate || part.first_row > 0, ..part };
                            part.backward_input(dy, rows.of(weight), dx)
                        }));
                    }
                }
                LayerKind::Pool2d { .. } | LayerKind::GlobalAveragePool => {
                    let pool = pool2d(stage.input, stage.kind, images);
                    launches.extend(
                        target.map(|(dx, accumulate)| Pool2d { accumulate, ..pool }.backward(x, dy, dx)),
                    );
                }
                LayerKind::Activation(kind) => {
                    let y = kept.values[number + 1][piece];
                    launches.extend(
                        target.map(|(dx, accumulate)| {
                            Activation { count, kind, accumulate }.backward(y, dy, dx)
                        }),
                    );
                }
                LayerKind::Add => {
                    let targets = dx.iter().filter_map(|target| Target::piece(target.as_ref(), piece));
                    launches
                        .extend(targets.map(|(dx, accumulate)| Add { count, accumulate }.backward(dy, dx)));
                }
                LayerKind::Scale => {
                    let factors = kept.values[stage.inputs[1]][piece];
                    let scale = scale(stage, images);
                    launches.extend(target.map(|(dx, accumulate)| {
                        Scale { accumulate, ..scale }.backward_input(dy, factors, dx)
                    }));
                    launches.extend(Target::piece(dx[1].as_ref(), piece).map(|(dfactors, accumulate)| {
                        Scale { accumulate, ..scale }.backward_scale(x, dy, dfactors)
                    }));
                }
                LayerKind::ChannelConv { kernel } => {
                    let conv = channel_conv(stage, kernel, images);
                    let [weight, dweight] = [fixed.parameters, fixed.gradients]
                        .map(|buffer| self.parameter(stage.parameters[0], buffer));
                    let adding = ChannelConv { accumulate: piece > 0, ..conv };
                    launches.push(adding.backward_weight(x, dy, dweight));
                    launches.extend(target.map(|(dx, accumulate)| {
                        ChannelConv { accumulate, ..conv }.backward_input(dy, weight, dx)
                    }));
                }
                LayerKind::Dropout { rate } => {
                    let dropout = self.dropout(number, rate, batch, piece);
                    launches.extend(
                        target.map(|(dx, accumulate)| Dropout { accumulate, ..dropout }.backward(dy, dx)),
                    );
                }
                LayerKind::BatchNorm { .. } => unreachable!("it takes all pieces at once"),
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
}
