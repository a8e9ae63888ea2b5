//! The fused plan: a training step in four launches, an image to a workgroup.
//!
//! `trunk.forward`, `objective`, `trunk.backward`, `trunk.update`. Between them the batch must come together:
//! for the loss, and for the sums over the images. What one launch leaves to the next stays on the device. Both are
//! patterns in a graph: what they do not compute they refuse.

use super::builder::{Builder, Fixed, Steps};
use super::{OptimizerOptions, PlanError, SQUARED_FLOOR};
use crate::graph::{Graph, Op, ValueId};
use crate::loss::{BatchLayout, Comparison, NORM_EPS, PairDistance};
use crate::model::Network;
use crate::ops::contrastive::Convention;
use crate::ops::distance::DistanceKind;
use crate::ops::objective::{HeadViews, Objective};
use crate::ops::rows::Rows;
use crate::ops::trunk::{BackwardViews, Trunk, UpdateViews};
use crate::ops::{BufferId, Layout, Step, View};

impl Builder<'_> {
    pub(super) fn fused_training(
        &mut self,
        network: &Network,
        graph: &Graph,
        fixed: &Fixed,
    ) -> Result<Vec<Step>, PlanError> {
        let pairs = self.options.batch_size;
        if self.options.augment {
            return Err(unfusable("augmentation", "its kernels read images as they are stored"));
        }
        if self.options.batch != BatchLayout::Pairs {
            return Err(unfusable(&network.name, "its loss is that of pairs"));
        }
        let (trunk, data) = self.trunk(network, fixed)?;
        let layout = trunk.parts();
        let parameters = View::plain(fixed.parameters, 0, layout.parameters);
        let images = 2 * pairs;
        let mut temporary = |rows, values| self.temporary(Layout::Plain, rows, values);
        let saved = temporary(images, layout.saved);
        let embedding = temporary(images, trunk.features as usize);
        let compared = temporary(2, pairs);
        let parts = temporary(images, layout.parts);
        let mut train = Steps::default();
        let forward = trunk.forward(data, fixed.train_index, parameters, saved, embedding);
        train.add("trunk", vec![forward]);
        train.add("objective", vec![self.objective(network, graph, fixed, embedding, compared)?]);
        let inputs = BackwardViews {
            data,
            index: fixed.train_index,
            parameters,
            kept: saved,
            embedded: embedding,
            compared,
        };
        train.add("trunk", vec![trunk.backward(&inputs, parts)]);
        let all = |buffer: BufferId| View::plain(buffer, 0, self.buffers[buffer.0].len);
        let views = UpdateViews {
            parameter: all(fixed.parameters),
            first_moment: all(fixed.moments[0]),
            second_moment: all(fixed.moments[1]),
        };
        let gradients = fixed.gradients.map_or(parameters, all);
        train.add("adam", vec![trunk.update(saved, parts, gradients, &views)]);
        Ok(train.0)
    }

    pub(super) fn fused_embedding(
        &mut self,
        network: &Network,
        fixed: &Fixed,
        embed_batch: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let (trunk, data) = self.trunk(network, fixed)?;
        let layout = trunk.parts();
        let trunk = Trunk { images: embed_batch as u32, branches: 1, ..trunk };
        let parameters = View::plain(fixed.parameters, 0, layout.parameters);
        let saved = self.temporary(Layout::Plain, embed_batch, layout.saved);
        let embedding = self.temporary(Layout::Plain, embed_batch, trunk.features as usize);
        let mut embed = Steps::default();
        embed.add("trunk", vec![trunk.forward(data, fixed.embed_index, parameters, saved, embedding)]);
        let rows = Rows { rows: trunk.images, features: trunk.features, branches: 1 };
        embed.add("embedding", vec![rows.store(embedding, fixed.embeddings)]);
        Ok(embed.0)
    }

    /// The distance, head and contrastive loss of a graph.
    fn objective(
        &self,
        network: &Network,
        graph: &Graph,
        fixed: &Fixed,
        embedded: View,
        compared: View,
    ) -> Result<Step, PlanError> {
        let refused =
            || unfusable("the loss", "it has the contrastive loss of a Euclidean or an L1 distance");
        let loss = graph.nodes.iter().find(|node| node.op.ends()).map(|node| (node.op, node.inputs[0]));
        let Some((Op::Contrastive { convention, margin }, of)) = loss else { return Err(refused()) };
        let distance = distance(network).ok_or_else(refused)?;
        let wanted = match convention {
            Convention::Similarity => network.similarity,
            Convention::Distance => network.distance,
        };
        if wanted != Some(of) {
            return Err(refused());
        }
        let objective = Objective {
            pairs: self.options.batch_size as u32,
            features: (embedded.len / self.options.batch_size / 2) as u32,
            distance,
            squared_floor: SQUARED_FLOOR,
            margin,
            convention,
            eps: NORM_EPS,
            momentum: 0.1,
        };
        if convention == Convention::Distance {
            return Ok(objective.without_head(embedded, fixed.train_labels, fixed.history, compared));
        }
        let scalars = |first: &str, count, buffer| {
            let view = self.named(first, buffer).ok_or_else(refused)?;
            Ok::<View, PlanError>(View::plain(buffer, view.offset, Objective::scalars_len(count)))
        };
        let views = HeadViews {
            head: scalars("head.norm.weight", 4, fixed.parameters)?,
            dhead: scalars("head.norm.weight", 4, fixed.gradients.unwrap_or(fixed.parameters))?,
            running: scalars("head.norm.running_mean", 2, fixed.state)?,
        };
        Ok(objective.with_head(embedded, fixed.train_labels, &views, fixed.history, compared))
    }

    /// The backbone as a trunk, if it is one, and the data set that it reads.
    fn trunk(&self, network: &Network, fixed: &Fixed) -> Result<(Trunk, View), PlanError> {
        if self.options.standardize {
            return Err(unfusable("standardization", "its kernels read images as they are stored"));
        }
        let [(data, ..)] = fixed.windows[..] else {
            let why = format!("it takes {} bindings, not one", fixed.windows.len());
            return Err(unfusable("the data set", &why));
        };
        let graph = &network.graph;
        let backbone = graph.between(&[], &[network.embedding]);
        let nodes: Vec<_> = backbone.iter().map(|&number| &graph.nodes[number]).collect();
        let before = std::iter::once(network.images).chain(nodes.iter().map(|node| node.output()));
        if nodes.iter().zip(before).any(|(node, before)| node.inputs[0] != before) {
            return Err(unfusable(&network.name, "its layers do not stand one after the other"));
        }
        let ops: Vec<Op> = nodes.iter().map(|node| node.op).collect();
        let [
            Op::Conv2d { stride: 1, groups: 1, .. },
            Op::Activation(activation),
            Op::Pool2d { kind: pool, size: 2, stride: 2, padding: 0 },
            Op::Conv2d { stride: 1, groups: 1, .. },
            Op::Activation(activation2),
            Op::Pool2d { kind: pool2, size: 2, stride: 2, padding: 0 },
            Op::Dense,
            Op::Activation(activation3),
            Op::Dense,
            Op::Activation(activation4),
        ] = ops[..]
        else {
            let why = "its layers are not twice convolution of stride 1, activation and pool of 2x2, then \
                       twice dense and activation";
            return Err(unfusable(&network.name, why));
        };
        let [conv1, conv2] = [0, 3].map(|number| super::layers::conv2d(graph, nodes[number], 1));
        for conv in [conv1, conv2] {
            if conv.kernel_height != conv.kernel_width || conv.padding_height != conv.padding_width {
                return Err(unfusable(&network.name, "its kernels are not square"));
            }
            if !conv.biased {
                return Err(unfusable(&network.name, "its convolutions have no bias"));
            }
        }
        if pool2 != pool || [activation2, activation3, activation4] != [activation; 3] {
            return Err(unfusable(&network.name, "its activations, or its pools, are not all of one kind"));
        }
        let adam = match self.options.optimizer {
            OptimizerOptions::Adam(adam) if adam.weight_decay == 0.0 => adam,
            _ => return Err(unfusable("the optimizer", "it has Adam without weight decay")),
        };
        let Some(distance) = distance(network) else {
            return Err(unfusable("the comparison", "it compares by a Euclidean or an L1 distance"));
        };
        let [hidden, features] =
            [6, 8].map(|number| super::layers::size(graph.shape(nodes[number].output()), 1));
        let head = network.comparison.is_some_and(Comparison::has_head);
        let trunk = Trunk {
            images: 2 * self.options.batch_size as u32,
            branches: 2,
            channels: network.input.channels as u32,
            height: network.input.height as u32,
            width: network.input.width as u32,
            filters1: conv1.out_channels,
            kernel1: conv1.kernel_width,
            padding1: conv1.padding_width,
            group1: 0,
            splits1: 0,
            filters2: conv2.out_channels,
            kernel2: conv2.kernel_width,
            padding2: conv2.padding_width,
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
            trunk.fitted().map_err(|(part, why)| unfusable(&nodes[[0, 3, 6, 8][part]].name, &why))?;
        let weights: Vec<ValueId> = nodes.iter().flat_map(|node| node.inputs[1..].to_vec()).collect();
        debug_assert!(self.stands_as(graph, &weights, &fitted));
        Ok((fitted, data))
    }

    /// Whether the plan's parameters stand where the trunk expects them.
    fn stands_as(&self, graph: &Graph, weights: &[ValueId], trunk: &Trunk) -> bool {
        let parts = trunk.parts();
        let convs = parts.convs.iter().flat_map(|part| [part.weight, part.bias]);
        let denses = parts.denses.iter().flat_map(|part| [part.weight, part.bias]);
        let numbers = weights.iter().filter_map(|value| graph.values[value.0].parameter);
        convs.chain(denses).eq(numbers.map(|number| self.offsets[number]))
    }
}

/// The distance that a network compares by, where a kernel of its own computes it.
fn distance(network: &Network) -> Option<DistanceKind> {
    match network.comparison? {
        Comparison::Distance { kind, .. } if kind == PairDistance::EUCLIDEAN => Some(DistanceKind::Euclidean),
        Comparison::Distance { kind, .. } if kind == PairDistance::L1 => Some(DistanceKind::L1),
        _ => None,
    }
}

fn unfusable(what: &str, why: &str) -> PlanError {
    PlanError::Unfusable { what: what.into(), why: why.into() }
}
