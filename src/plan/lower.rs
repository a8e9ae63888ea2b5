//! A graph's nodes, in order, to steps on views: where each value lies, and which kernels compute it.
//!
//! Values of rows (images, or pairs) lie micro-batch by micro-batch, in the layout of images, as long as ops take them
//! row by row; ops on the whole batch find its rows together and plain. Where an op wants the other one a step
//! `collect` brings it, unless both are the same: a single micro-batch in the plain layout.

use std::collections::{HashMap, HashSet};

use super::builder::{Builder, Fixed, Steps};
use super::{Mode, PlanError};
use crate::graph::{Batch, Dim, Graph, Node, Op, ValueId};
use crate::ops::add::Add;
use crate::ops::collect::Collect;
use crate::ops::{Layout, Step, View};

/// Where a value lies.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Micro-batch by micro-batch.
    Rows(Vec<View>),
    Whole(View),
}

pub(super) struct Lowering<'a, 'o> {
    pub(super) builder: &'a mut Builder<'o>,
    pub(super) graph: &'a Graph,
    pub(super) fixed: &'a Fixed,
    /// Entries of each micro-batch, and images of an entry.
    pub(super) entries: Vec<usize>,
    pub(super) branches: usize,
    pub(super) mode: Mode,
    pub(super) steps: Steps,
    /// Of the blocked convolutions, by node, their inputs as they spread them.
    pub(super) spreads: HashMap<usize, Vec<View>>,
    /// Of norms, by node, the batch's mean and variance.
    pub(super) statistics: HashMap<usize, [View; 2]>,
    /// Nodes that need no launch of their own.
    pub(super) skipped: HashSet<usize>,
    places: HashMap<ValueId, Place>,
    /// Values as they lie elsewhere besides.
    converted: HashMap<ValueId, Place>,
    /// Gradients with a writer so far.
    written: HashSet<ValueId>,
    /// Shares of gradients that lie otherwise than what they are added to.
    unsettled: Vec<(ValueId, Place)>,
    consumers: HashMap<ValueId, usize>,
}

impl<'a, 'o> Lowering<'a, 'o> {
    pub(super) fn new(
        builder: &'a mut Builder<'o>,
        graph: &'a Graph,
        fixed: &'a Fixed,
        (entries, branches): (Vec<usize>, usize),
        mode: Mode,
        nodes: &[usize],
    ) -> Self {
        let mut places = HashMap::new();
        for (number, value) in graph.values.iter().enumerate() {
            if let Some(parameter) = value.parameter {
                let buffer =
                    if graph.parameters[parameter].trainable { fixed.parameters } else { fixed.state };
                places.insert(ValueId(number), Place::Whole(builder.parameter(parameter, buffer)));
            }
        }
        let mut consumers = HashMap::new();
        let forward = graph.forward_nodes.unwrap_or(usize::MAX);
        for &number in nodes.iter().filter(|&&number| number < forward) {
            for &input in &graph.nodes[number].inputs {
                *consumers.entry(input).or_default() += 1;
            }
        }
        for (parameter, gradient) in graph.gradients.iter().enumerate() {
            if let (Some(gradient), Some(buffer)) = (gradient, fixed.gradients) {
                places.insert(*gradient, Place::Whole(builder.parameter(parameter, buffer)));
            }
        }
        Lowering {
            builder,
            graph,
            fixed,
            entries,
            branches,
            mode,
            steps: Steps::default(),
            spreads: HashMap::new(),
            statistics: HashMap::new(),
            skipped: HashSet::new(),
            places,
            converted: HashMap::new(),
            written: HashSet::new(),
            unsettled: Vec::new(),
            consumers,
        }
    }

    /// Lowers nodes, by number, in order.
    pub(super) fn nodes(&mut self, nodes: &[usize]) -> Result<(), PlanError> {
        for &number in nodes {
            if !self.skipped.contains(&number) {
                let launches = self.node(number)?;
                self.steps.add(&self.graph.nodes[number].name, launches);
                self.settle();
            }
        }
        Ok(())
    }

    fn node(&mut self, number: usize) -> Result<Vec<Step>, PlanError> {
        let node = &self.graph.nodes[number];
        match node.op {
            Op::Flatten => {
                let place = self.places[&node.inputs[0]].clone();
                self.place(node.output(), place);
                Ok(Vec::new())
            }
            Op::Gradient { of } => {
                let of_node = &self.graph.nodes[of];
                if of_node.op.by_rows() && !self.is_scalar_norm(of_node) {
                    self.row_backward(of, number)
                } else {
                    Ok(self.whole_backward(of, of_node, node))
                }
            }
            op if op.by_rows() && !self.is_scalar_norm(node) => self.row_forward(number),
            _ => Ok(self.whole_forward(node)),
        }
    }

    /// A norm over a number for each pair, which lie alike everywhere.
    fn is_scalar_norm(&self, node: &Node) -> bool {
        matches!(node.op, Op::BatchNorm { .. }) && self.graph.shape(node.inputs[0]).len() == 1
    }

    pub(super) fn batch(&self) -> Batch {
        let entries = self.entries.iter().sum();
        Batch { images: entries * self.branches, entries }
    }

    /// Rows of a value in each micro-batch.
    pub(super) fn rows_of(&self, value: ValueId) -> Vec<usize> {
        let of_entry = if self.is_of_images(value) { self.branches } else { 1 };
        self.entries.iter().map(|entries| entries * of_entry).collect()
    }

    fn is_of_images(&self, value: ValueId) -> bool {
        self.graph.shape(value).first() == Some(&Dim::Images)
    }

    /// Elements of a row.
    pub(super) fn row_len(&self, value: ValueId) -> usize {
        let batch = self.batch();
        self.graph.shape(value).iter().skip(1).map(|dim| dim.of(batch)).product()
    }

    pub(super) fn len(&self, value: ValueId) -> usize {
        self.graph.len(value, self.batch())
    }

    /// Whether a value lies in micro-batches.
    pub(super) fn is_in_rows(&self, value: ValueId) -> bool {
        matches!(self.places.get(&value), Some(Place::Rows(_)))
    }

    /// How many nodes of the forward pass take a value.
    pub(super) fn consumers(&self, value: ValueId) -> usize {
        self.consumers.get(&value).copied().unwrap_or(0)
    }

    /// Whether rows in micro-batches and all of them together are one and the same.
    fn is_plain(&self) -> bool {
        self.entries.len() == 1 && self.builder.options.layout == Layout::Plain
    }

    pub(super) fn place(&mut self, value: ValueId, place: Place) {
        self.places.insert(value, place);
    }

    /// A value micro-batch by micro-batch.
    pub(super) fn rows(&mut self, value: ValueId) -> Vec<View> {
        match (&self.places[&value], self.converted.get(&value)) {
            (Place::Rows(views), _) | (_, Some(Place::Rows(views))) => views.clone(),
            (&Place::Whole(view), _) if self.is_plain() => vec![view],
            (&Place::Whole(view), _) => {
                let rows = self.new_rows(value, self.row_len(value));
                let steps =
                    self.collects(value).zip(&rows).map(|(collect, &row)| collect.backward(view, row));
                let steps = steps.collect();
                self.steps.add("collect", steps);
                self.converted.insert(value, Place::Rows(rows.clone()));
                rows
            }
        }
    }

    /// A value of the whole batch.
    pub(super) fn whole(&mut self, value: ValueId) -> View {
        match (&self.places[&value], self.converted.get(&value)) {
            (&Place::Whole(view), _) | (_, Some(&Place::Whole(view))) => view,
            (Place::Rows(rows), _) if self.is_plain() => rows[0],
            (Place::Rows(rows), _) => {
                let rows = rows.clone();
                let view = self.new_whole(value);
                let steps = self.collects(value).zip(rows).map(|(collect, row)| collect.forward(row, view));
                let steps = steps.collect();
                self.steps.add("collect", steps);
                self.converted.insert(value, Place::Whole(view));
                view
            }
        }
    }

    /// Room for rows of so many elements.
    pub(super) fn new_rows(&mut self, value: ValueId, row_len: usize) -> Vec<View> {
        self.rows_of(value).into_iter().map(|rows| self.builder.activation(rows, row_len)).collect()
    }

    fn new_whole(&mut self, value: ValueId) -> View {
        self.builder.temporary(Layout::Plain, 1, self.len(value))
    }

    /// Room for what a node gives, row by row.
    pub(super) fn output_rows(&mut self, value: ValueId) -> Vec<View> {
        let rows = self.new_rows(value, self.row_len(value));
        self.place(value, Place::Rows(rows.clone()));
        rows
    }

    pub(super) fn output_whole(&mut self, value: ValueId) -> View {
        let view = self.new_whole(value);
        self.place(value, Place::Whole(view));
        view
    }

    /// Where a share of a gradient goes, row by row, and whether it adds to what is there.
    pub(super) fn target_rows(&mut self, value: ValueId, row_len: usize) -> (Vec<View>, bool) {
        let first = self.written.insert(value);
        match self.places.get(&value) {
            Some(Place::Rows(views)) => (views.clone(), !first),
            Some(&Place::Whole(view)) if self.is_plain() => (vec![view], !first),
            Some(Place::Whole(_)) => {
                let rows = self.new_rows(value, row_len);
                self.unsettled.push((value, Place::Rows(rows.clone())));
                (rows, false)
            }
            None => {
                let rows = self.new_rows(value, row_len);
                self.place(value, Place::Rows(rows.clone()));
                (rows, false)
            }
        }
    }

    /// The same for kernels that add to nothing: a place of its own where somebody has written already.
    pub(super) fn target_rows_alone(&mut self, value: ValueId, row_len: usize) -> Vec<View> {
        if !self.written.contains(&value) {
            return self.target_rows(value, row_len).0;
        }
        let rows = self.new_rows(value, row_len);
        self.unsettled.push((value, Place::Rows(rows.clone())));
        rows
    }

    pub(super) fn target_whole_alone(&mut self, value: ValueId) -> View {
        if !self.written.contains(&value) {
            return self.target_whole(value).0;
        }
        let view = self.new_whole(value);
        self.unsettled.push((value, Place::Whole(view)));
        view
    }

    /// The same of the whole batch, and of parameters.
    pub(super) fn target_whole(&mut self, value: ValueId) -> (View, bool) {
        let first = self.written.insert(value);
        match self.places.get(&value) {
            Some(&Place::Whole(view)) => (view, !first),
            Some(Place::Rows(rows)) if self.is_plain() => (rows[0], !first),
            Some(Place::Rows(_)) => {
                let view = self.new_whole(value);
                self.unsettled.push((value, Place::Whole(view)));
                (view, false)
            }
            None => (self.output_whole(value), false),
        }
    }

    /// Adds shares that lie otherwise to the gradients that they are of.
    fn settle(&mut self) {
        for (value, share) in std::mem::take(&mut self.unsettled) {
            let added =
                |from: View, to: View| Add { count: to.len as u32, accumulate: true }.backward(from, to);
            let launches = match (share, &self.places[&value]) {
                (Place::Rows(rows), Place::Rows(to)) => {
                    rows.into_iter().zip(to).map(|(from, &to)| added(from, to)).collect()
                }
                (Place::Whole(from), &Place::Whole(to)) => vec![added(from, to)],
                (Place::Rows(rows), &Place::Whole(view)) => {
                    self.adding(value).zip(rows).map(|(collect, row)| collect.forward(row, view)).collect()
                }
                (Place::Whole(view), Place::Rows(rows)) => {
                    self.adding(value).zip(rows).map(|(collect, &row)| collect.backward(view, row)).collect()
                }
            };
            self.steps.add("collect", launches);
        }
    }

    fn adding(&self, value: ValueId) -> impl Iterator<Item = Collect> + use<> {
        self.collects(value).map(|collect| Collect { accumulate: true, ..collect })
    }

    /// Of a value of rows, what brings each micro-batch to its place.
    fn collects(&self, value: ValueId) -> impl Iterator<Item = Collect> + use<> {
        let branches = if self.is_of_images(value) { self.branches } else { 1 };
        let total: usize = self.entries.iter().sum();
        let values = self.row_len(value) as u32;
        let mut first = 0;
        self.entries.clone().into_iter().map(move |entries| {
            let collect = Collect {
                rows: (entries * branches) as u32,
                values,
                branches: branches as u32,
                first: first as u32,
                total: total as u32,
                accumulate: false,
            };
            first += entries;
            collect
        })
    }

    /// First entry of each micro-batch.
    pub(super) fn firsts(&self) -> Vec<usize> {
        self.entries
            .iter()
            .scan(0, |next, entries| {
                let first = *next;
                *next += entries;
                Some(first)
            })
            .collect()
    }
}
