//! The fused plan: a training step in four launches, an image to a workgroup.
//!
//! `trunk.forward`, `objective`, `trunk.backward`, `trunk.update`. Between them the batch must come together:
//! for the loss, and for the sums over the images. What one launch leaves to the next stays on the device.

use super::build::{Builder, Fixed, Steps};
use super::phases::{NORM_EPS, NORM_MOMENTUM, SQUARED_FLOOR};
use super::subnet::Stage;
use super::{BatchLayout, OptimizerOptions, PairLoss, PlanError};
use crate::model::{Comparison, LayerKind, Network};
use crate::ops::objective::{HeadViews, Objective};
use crate::ops::rows::Rows;
use crate::ops::trunk::{BackwardViews, Trunk, UpdateViews};
use crate::ops::{BufferId, Layout, Step, View};

impl Builder<'_> {
    /// The steps of training and of embedding.
    pub(super) fn fused_steps(
        &mut self,
        network: &Network,
        windows: &[(View, usize, usize)],
        fixed: &Fixed,
        embed_batch: usize,
    ) -> Result<[Vec<Step>; 2], PlanError> {
        let pairs = self.options.batch_size;
        if self.options.augment {
            let why = "its kernels read images as they are stored".into();
            return Err(PlanError::Unfusable { what: "augmentation".into(), why });
        }
        if self.options.standardize {
            let why = "its kernels read images as they are stored".into();
            return Err(PlanError::Unfusable { what: "standardization".into(), why });
        }
        if self.options.batch != BatchLayout::Pairs {
            let why = "its loss is that of pairs".into();
            return Err(PlanError::Unfusable { what: network.name.clone(), why });
        }
        let trunk = self.trunk(network)?;
        let [(data, ..)] = windows else {
            let why = format!("it takes {} bindings, not one", windows.len());
            return Err(PlanError::Unfusable { what: "the data set".into(), why });
        };
        let layout = trunk.parts();
        let whole = |buffer: BufferId, len| View::plain(buffer, 0, len);
        let parameters = whole(fixed.parameters, layout.parameters);

        let images = 2 * pairs;
        let mut temporary = |rows, values| self.temporary(Layout::Plain, rows, values);
        let saved = temporary(images, layout.saved);
        let embedding = temporary(images, trunk.features as usize);
        let compared = temporary(2, pairs);
        let parts = temporary(images, layout.parts);
        let mut train = Steps::default();
        let forward = trunk.forward(*data, fixed.train_index, parameters, saved, embedding);
        train.add("trunk", vec![forward]);
        train.add("objective", vec![self.objective(network, fixed, embedding, compared)?]);
        let inputs = BackwardViews {
            data: *data,
            index: fixed.train_index,
            parameters,
            kept: saved,
            embedded: embedding,
            compared,
        };
        train.add("trunk", vec![trunk.backward(&inputs, parts)]);
        let all = |buffer: BufferId| whole(buffer, self.buffers[buffer.0].len);
        let views = UpdateViews {
            parameter: all(fixed.parameters),
            first_moment: all(fixed.kept[0]),
            second_moment: all(fixed.kept[1]),
        };
        train.add("adam", vec![trunk.update(saved, parts, all(fixed.gradients), &views)]);

        let mut embed = Steps::default();
        let trunk = Trunk { images: embed_batch as u32, branches: 1, ..trunk };
        let saved = self.temporary(Layout::Plain, embed_batch, layout.saved);
        let embedding = self.temporary(Layout::Plain, embed_batch, trunk.features as usize);
        let forward = trunk.forward(*data, fixed.embed_index, parameters, saved, embedding);
        embed.add("trunk", vec![forward]);
        let rows = Rows { rows: trunk.images, features: trunk.features, branches: 1 };
        embed.add("embedding", vec![rows.store(embedding, fixed.embeddings)]);
        Ok([train.0, embed.0])
    }

    fn objective(
        &self,
        network: &Network,
        fixed: &Fixed,
        embedded: View,
        compared: View,
    ) -> Result<Step, PlanError> {
        let (Comparison::Distance { kind: distance, head }, PairLoss::Contrastive { convention, margin }) =
            (network.comparison, self.options.loss)
        else {
            return Err(PlanError::Unfusable {
                what: "the loss".into(),
                why: "it has the contrastive loss of a distance".into(),
            });
        };
        let objective = Objective {
            pairs: self.options.batch_size as u32,
            features: (embedded.len / self.options.batch_size / 2) as u32,
            distance,
            squared_floor: SQUARED_FLOOR,
            margin,
            convention,
            eps: NORM_EPS,
            momentum: NORM_MOMENTUM,
        };
        if !head {
            return Ok(objective.without_head(embedded, fixed.train_labels, fixed.history, compared));
        }
        let scalars = |first: &str, count, buffer| {
            View::plain(buffer, self.named(first, buffer).offset, Objective::scalars_len(count))
        };
        let views = HeadViews {
            head: scalars("head.norm.weight", 4, fixed.parameters),
            dhead: scalars("head.norm.weight", 4, fixed.gradients),
            running: scalars("head.norm.running_mean", 2, fixed.state),
        };
        Ok(objective.with_head(embedded, fixed.train_labels, &views, fixed.history, compared))
    }

    /// The network as a trunk, if it is one.
    fn trunk(&self, network: &Network) -> Result<Trunk, PlanError> {
        use LayerKind::{Activation, Conv2d, Dense, Pool2d};
        let unfusable = |what: &str, why: String| PlanError::Unfusable { what: what.into(), why };
        if network.layers.iter().any(|layer| !layer.inputs.is_empty()) {
            return Err(unfusable(&network.name, "its layers do not stand one behind the other".into()));
        }
        let kinds: Vec<LayerKind> = network.layers.iter().map(|layer| layer.kind).collect();
        let [
            Conv2d {
                out_channels: filters1,
                kernel: kernel1,
                stride: 1,
                padding: padding1,
                groups: 1,
                bias: true,
            },
            Activation(activation),
            Pool2d { kind: pool, size: 2, stride: 2, padding: 0 },
            Conv2d {
                out_channels: filters2,
                kernel: kernel2,
                stride: 1,
                padding: padding2,
                groups: 1,
                bias: true,
            },
            Activation(activation2),
            Pool2d { kind: pool2, size: 2, stride: 2, padding: 0 },
            Dense { outputs: hidden },
            Activation(activation3),
            Dense { outputs: features },
            Activation(activation4),
        ] = kinds[..]
        else {
            let why = "its layers are not twice convolution of stride 1, activation and pool of 2x2, then \
                       twice dense and activation";
            return Err(unfusable(&network.name, why.into()));
        };
        let [side1, side2] = [(kernel1, padding1), (kernel2, padding2)].map(|(kernel, padding)| {
            (kernel[0] == kernel[1] && padding[0] == padding[1]).then_some((kernel[0], padding[0]))
        });
        let (Some((kernel1, padding1)), Some((kernel2, padding2))) = (side1, side2) else {
            return Err(unfusable(&network.name, "its kernels are not square".into()));
        };
        if pool2 != pool || [activation2, activation3, activation4] != [activation; 3] {
            let why = "its activations, or its pools, are not all of one kind";
            return Err(unfusable(&network.name, why.into()));
        }
        let adam = match self.options.optimizer {
            OptimizerOptions::Adam(adam) if adam.weight_decay == 0.0 => adam,
            _ => return Err(unfusable("the optimizer", "it has Adam without weight decay".into())),
        };
        let Comparison::Distance { kind: distance, head } = network.comparison else {
            return Err(unfusable("the comparison", "it compares by a distance".into()));
        };
        let trunk = Trunk {
            images: 2 * self.options.batch_size as u32,
            branches: 2,
            channels: network.input.channels as u32,
            height: network.input.height as u32,
            width: network.input.width as u32,
            filters1: filters1 as u32,
            kernel1: kernel1 as u32,
            padding1: padding1 as u32,
            group1: 0,
            splits1: 0,
            filters2: filters2 as u32,
            kernel2: kernel2 as u32,
            padding2: padding2 as u32,
            group2: 0,
            splits2: 0,
            hidden: hidden as u32,
            features: features as u32,
            scalars: if head { 4 } else { 0 },
            activation,
            pool,
            distance,
            squared_floor: SQUARED_FLOOR,
            beta1: adam.beta1 as f32,
            rest1: (1.0 - adam.beta1) as f32,
            beta2: adam.beta2 as f32,
            rest2: (1.0 - adam.beta2) as f32,
            eps: adam.eps,
        };
        let fitted =
            trunk.fitted().map_err(|(part, why)| unfusable(&network.layers[[0, 3, 6, 8][part]].name, why))?;
        debug_assert!(self.stands_as(&fitted));
        Ok(fitted)
    }

    /// Whether the plan's parameters stand where the trunk expects them.
    fn stands_as(&self, trunk: &Trunk) -> bool {
        let parts = trunk.parts();
        let convs = parts.convs.iter().flat_map(|part| [part.weight, part.bias]);
        let denses = parts.denses.iter().flat_map(|part| [part.weight, part.bias]);
        let stages = self.stages.iter().flat_map(|stage: &Stage| &stage.parameters);
        convs.chain(denses).eq(stages.map(|&parameter| self.offsets[parameter]))
    }
}
