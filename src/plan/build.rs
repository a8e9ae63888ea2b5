//! Network + loss + optimizer + batch size -> [`Plan`].
//!
//! The network's graph ends with the loss and is differentiated; its nodes are lowered to steps, one phase after the
//! other: training, embedding, scoring. A batch that would bind more than the device allows is cut into micro-batches
//! of whole entries, whose gradients add up; large dense weights and the optimizer are cut by rows.

use super::builder::{Builder, Fixed};
use super::lower::Lowering;
use super::{Capacity, Mode, Phase, Plan, PlanError, PlanKind, PlanOptions};
use crate::graph::{Batch, Dim, Graph, ValueId};
use crate::loss::Inputs;
use crate::model::Network;
use crate::ops::rows::Rows;
use crate::ops::{Layout, Step};

/// Pairs scored in one step, at most.
const SCORE_BATCH: usize = 1024;

/// Builds the plan that `options` ask for.
///
/// # Errors
/// Layers that do not fit their input, or work that does not fit the device.
pub fn build(network: &Network, options: &PlanOptions) -> Result<Plan, PlanError> {
    let mut builder = Builder {
        options,
        buffers: Vec::new(),
        tensors: Vec::new(),
        parameters: Vec::new(),
        offsets: Vec::new(),
        groups: Vec::new(),
        temporaries: Vec::new(),
    };
    builder.plan(network)
}

/// The plan of the first kind that fits, with the options for it.
///
/// # Errors
/// Those of the last kind.
pub fn build_first(
    network: &Network,
    kinds: &[PlanKind],
    options: impl Fn(PlanKind) -> PlanOptions,
) -> Result<Plan, PlanError> {
    let (last, others) = kinds.split_last().unwrap_or((&PlanKind::Unfused, &[]));
    let fitting = others.iter().find_map(|&kind| build(network, &options(kind)).ok());
    fitting.map_or_else(|| build(network, &options(*last)), Ok)
}

impl Builder<'_> {
    fn plan(&mut self, network: &Network) -> Result<Plan, PlanError> {
        let options = self.options;
        let graph = self.training_graph(network)?;
        self.parameters = graph.parameters.clone();
        let features = network.features();
        // A table larger than a binding is filled several times.
        let rows = (options.max_binding / (4 * features)).max(2);
        let capacity = Capacity { embeddings: options.capacity.embeddings.min(rows), ..options.capacity };
        let fixed = self.fixed_buffers(network.input, features, capacity);

        let largest = self.largest_row(&graph, &fixed);
        let (images, branches) = (options.max_binding / (4 * largest), options.batch.branches());
        let unit = options.loss.unit() * branches;
        if images < unit {
            let what = "the activations of an image, a pair or an episode";
            return Err(self.too_large(what, unit * 4 * largest));
        }
        let entries = options.batch_size.min(images / unit * options.loss.unit());
        let most = match options.mode {
            Mode::Training => branches * options.batch_size,
            // Nothing larger will be asked for.
            Mode::Inference => (branches * options.batch_size).min(capacity.embeddings.max(1)),
        };
        let embed_batch = most.min(images);
        let score_batch =
            SCORE_BATCH.min(options.max_binding / (8 * features)).min(options.capacity.scores).max(1);

        let fused = options.kind == PlanKind::Fused;
        let mut train = match options.mode {
            Mode::Inference => Vec::new(),
            Mode::Training if fused => self.fused_training(network, &graph, &fixed)?,
            Mode::Training => self.training(network, &graph, &fixed, entries)?,
        };
        // Embeddings are stored and scored in the layout of the batch, which the trunk does not know.
        let mut embed = if fused && options.layout == Layout::Plain {
            self.fused_embedding(network, &fixed, embed_batch)?
        } else {
            self.embedding(network, &fixed, embed_batch)?
        };
        let mut score = match network.distance {
            Some(distance) => self.scoring(network, &fixed, distance, score_batch)?,
            // Embeddings are logits, and the host reads those.
            None => Vec::new(),
        };
        self.share_memory([&mut train, &mut embed, &mut score]);
        self.check(&[&train, &embed, &score])?;
        Ok(Plan {
            model: network.name.clone(),
            options: PlanOptions { capacity, ..*options },
            input: network.input,
            features,
            comparison: network.comparison,
            has_head: network.comparison.is_some_and(|comparison| comparison.gives_similarity()),
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

    /// The network's graph, in training with the loss and the backward pass.
    fn training_graph(&self, network: &Network) -> Result<Graph, PlanError> {
        let PlanOptions { batch, batch_size, loss, .. } = *self.options;
        let mut graph = network.graph.clone();
        if self.options.mode == Mode::Inference {
            return Ok(graph);
        }
        if batch_size == 0 {
            return Err(PlanError::Batch { entries: 0, why: "there is nothing to train on" });
        }
        if loss.batch() != batch {
            let why = format!("{} takes batches of another kind", loss.name());
            return Err(PlanError::Loss { why });
        }
        if network.comparison.is_some_and(|comparison| comparison.has_head()) && batch_size < 2 {
            let why = "the head's norm over the batch needs at least 2";
            return Err(PlanError::Batch { entries: batch_size, why });
        }
        loss.check(network.comparison, batch_size).map_err(|why| PlanError::Loss { why })?;
        let &Network { embedding, distance, similarity, .. } = network;
        loss.build(&mut graph, Inputs { embedding, distance, similarity });
        // What the loss does not use has no backward pass.
        let ends: Vec<ValueId> =
            graph.nodes.iter().filter(|node| node.op.ends()).map(|node| node.output()).collect();
        if ends.len() != 1 {
            return Err(PlanError::Loss { why: format!("{} must end in one value", loss.name()) });
        }
        graph.differentiate()?;
        Ok(graph)
    }

    /// Most values of an image that a launch handles.
    fn largest_row(&mut self, graph: &Graph, fixed: &Fixed) -> usize {
        let batch = Batch { images: 1, entries: 1 };
        let rows = graph.nodes.iter().filter(|node| node.op.by_rows());
        let values = rows.flat_map(|node| node.inputs.first().copied().into_iter().chain(node.outputs[0]));
        let of_images = values.filter(|&value| graph.shape(value).first() == Some(&Dim::Images));
        let largest = of_images.map(|value| graph.len(value, batch)).max().unwrap_or(1);
        if self.options.kind != PlanKind::Blocked {
            return largest;
        }
        let nodes: Vec<usize> = (0..graph.nodes.len()).collect();
        let mode = self.options.mode;
        let lowering = Lowering::new(self, graph, fixed, (vec![1], 1), mode, &nodes);
        largest.max(lowering.largest_blocked())
    }

    /// A training step, cut into micro-batches of so many entries.
    fn training(
        &mut self,
        network: &Network,
        graph: &Graph,
        fixed: &Fixed,
        entries: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let (total, branches) = (self.options.batch_size, self.options.batch.branches());
        let pieces: Vec<usize> =
            (0..total).step_by(entries).map(|first| entries.min(total - first)).collect();
        let ends: Vec<ValueId> = graph
            .nodes
            .iter()
            .filter(|node| node.op.ends())
            .map(|node| node.output())
            .chain(graph.gradients.iter().copied().flatten())
            .collect();
        let nodes = graph.between(&[], &ends);
        let optimizer = self.optimizer(fixed);
        let mut lowering = Lowering::new(self, graph, fixed, (pieces, branches), Mode::Training, &nodes);
        let list = (fixed.train_index, fixed.train_matrices);
        lowering.gather(network.images, list);
        lowering.nodes(&nodes)?;
        let mut steps = lowering.steps;
        steps.add(self.options.optimizer.name(), optimizer);
        Ok(steps.0)
    }

    fn embedding(&mut self, network: &Network, fixed: &Fixed, images: usize) -> Result<Vec<Step>, PlanError> {
        let nodes = network.graph.between(&[], &[network.embedding]);
        let mut lowering =
            Lowering::new(self, &network.graph, fixed, (vec![images], 1), Mode::Inference, &nodes);
        lowering.gather(network.images, (fixed.embed_index, None));
        lowering.nodes(&nodes)?;
        let embedding = lowering.rows(network.embedding);
        let rows = Rows { rows: images as u32, features: network.features() as u32, branches: 1 };
        let mut steps = lowering.steps;
        steps.add("embedding", vec![rows.store(embedding[0], fixed.embeddings)]);
        Ok(steps.0)
    }

    /// Scores of pairs of embeddings.
    fn scoring(
        &mut self,
        network: &Network,
        fixed: &Fixed,
        distance: ValueId,
        pairs: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let outputs: Vec<ValueId> = std::iter::once(distance).chain(network.similarity).collect();
        let nodes = network.graph.between(&[network.embedding], &outputs);
        let mut lowering =
            Lowering::new(self, &network.graph, fixed, (vec![pairs], 2), Mode::Inference, &nodes);
        let embedding = lowering.output_rows(network.embedding);
        let rows = Rows { rows: 2 * pairs as u32, features: network.features() as u32, branches: 2 };
        let load = rows.load(fixed.embeddings, fixed.score_index, embedding[0]);
        lowering.steps.add("embedding", vec![load]);
        lowering.nodes(&nodes)?;
        let scalar = Rows { rows: pairs as u32, features: 1, branches: 1 };
        for (value, to) in outputs.into_iter().zip([fixed.distances, fixed.similarities]) {
            let from = lowering.whole(value);
            lowering.steps.add("score", vec![scalar.store(from, to)]);
        }
        Ok(lowering.steps.0)
    }
}

impl Plan {
    /// All three phases.
    pub fn phases() -> [Phase; 3] {
        [Phase::Train, Phase::Embed, Phase::Score]
    }
}
