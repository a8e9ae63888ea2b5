//! Formulas on the whole batch: one launch for each primitive, none where a view will do.

use super::lower::{Lowering, Place};
use crate::graph::{Node, Op, ValueId};
use crate::ops::add::Add;
use crate::ops::elementwise::{Elementwise, Function, Strided};
use crate::ops::layer_norm::LayerNorm;
use crate::ops::mask::Mask;
use crate::ops::matmul::Matmul;
use crate::ops::normalize::Normalize;
use crate::ops::pairwise::Pairwise;
use crate::ops::record::Record;
use crate::ops::reduce::Reduce;
use crate::ops::reduction::{AxisReduction, Reduction};
use crate::ops::take::Take;
use crate::ops::{Layout, Step, View};

/// Rows below it have no direction (PyTorch's `normalize` has the same).
const NORMALIZE_FLOOR: f32 = 1e-12;
/// Rows that one partial gradient of a layer norm covers.
const ROWS_PER_PART: usize = 64;

impl Lowering<'_, '_> {
    pub(super) fn whole_forward(&mut self, node: &Node) -> Vec<Step> {
        match node.op {
            Op::BatchNorm { .. } => return self.scalar_norm_forward(node),
            Op::Head => return self.head_forward(node),
            Op::Probability { .. } => return self.probability(node),
            Op::Contrastive { .. } | Op::BinaryCrossEntropy { .. } => return self.loss_forward(node),
            Op::Copy => return self.copy(node),
            _ => {}
        }
        let inputs: Vec<View> = node.inputs.iter().map(|&input| self.whole(input)).collect();
        if node.op == Op::Record {
            return vec![Record { scale: 1.0 }.forward(inputs[0], inputs[1], self.fixed.history)];
        }
        let output = node.output();
        match node.op {
            Op::Squeeze { .. } | Op::Unsqueeze { .. } => {
                self.place(output, Place::Whole(inputs[0]));
                return Vec::new();
            }
            Op::Branch { number } => {
                let len = self.len(output);
                self.place(output, Place::Whole(inputs[0].part(number * len, len)));
                return Vec::new();
            }
            _ => {}
        }
        // Shares of one gradient may come from several such nodes.
        let (y, accumulate) = self.target_whole(output);
        match node.op {
            Op::Elementwise { function, scalar } => {
                let sizes = self.sizes(output);
                let [a, b] = [0, 1].map(|input| match node.inputs.get(input) {
                    Some(&value) => stretched(self.sizes(value), sizes),
                    None => Strided::ONE,
                });
                let op = Elementwise::new(function, scalar, sizes, [Strided::dense(sizes), a, b]);
                let op = Elementwise { accumulate, ..op };
                vec![match inputs[..] {
                    [] => op.fill(y),
                    [a] => op.unary(a, y),
                    _ => op.binary(inputs[0], inputs[1], y),
                }]
            }
            Op::Reduce { kind, axis } => {
                let op = AxisReduction { accumulate, ..self.reduction(kind, axis, node.inputs[0]) };
                vec![op.forward(inputs[0], y)]
            }
            Op::Matmul { transpose_a, transpose_b } => {
                let (a, c) = (self.sizes(node.inputs[0]), self.sizes(output));
                let op = Matmul {
                    batches: c[0] * c[1],
                    rows: c[2],
                    inner: if transpose_a { a[2] } else { a[3] },
                    columns: c[3],
                    transpose_a,
                    transpose_b,
                    accumulate,
                };
                vec![op.forward(inputs[0], inputs[1], y)]
            }
            Op::Take => vec![self.take(node).forward(inputs[0], self.fixed.train_labels, y)],
            Op::Pairwise { .. } => vec![self.pairwise(node).forward(inputs[0], inputs[1], y)],
            Op::Normalize => vec![self.normalization(node).forward(inputs[0], y)],
            Op::LayerNorm { .. } => vec![self.layer_norm(node).forward(inputs[0], inputs[1], inputs[2], y)],
            Op::Mask { kind, .. } => {
                let [.., rows, columns] = self.sizes(output);
                let (rows, columns) =
                    if self.graph.shape(output).len() == 1 { (columns, 1) } else { (rows, columns) };
                vec![Mask { kind, rows, columns }.forward(self.fixed.train_labels, y)]
            }
            Op::Slice { axis, start, .. } => {
                let from = part(self.sizes(node.inputs[0]), self.axis(node.inputs[0], axis), start);
                vec![copy(self.sizes(output), [None, Some(from)], accumulate).unary(inputs[0], y)]
            }
            Op::Concat { axis } => {
                let (sizes, axis) = (self.sizes(output), self.axis(output, axis));
                let mut start = 0;
                let launch = |(&input, &x): (&ValueId, &View)| {
                    let of_input = self.sizes(input);
                    let to = part(sizes, axis, start);
                    start += of_input[axis] as usize;
                    copy(of_input, [Some(to), None], accumulate).unary(x, y)
                };
                node.inputs.iter().zip(&inputs).map(launch).collect()
            }
            op => unreachable!("{op:?} is lowered elsewhere"),
        }
    }

    /// Back through `node`, whose gradients are the outputs of `gradient`.
    pub(super) fn whole_backward(&mut self, of: usize, node: &Node, gradient: &Node) -> Vec<Step> {
        match node.op {
            Op::BatchNorm { .. } => return self.scalar_norm_backward(of, node, gradient),
            Op::Head => return self.head_backward(node, gradient),
            Op::Contrastive { .. } | Op::BinaryCrossEntropy { .. } => {
                return self.loss_backward(node, gradient);
            }
            _ => {}
        }
        let dy = self.whole(gradient.inputs[0]);
        let inputs: Vec<View> = node.inputs.iter().map(|&input| self.whole(input)).collect();
        let wanted: Vec<(usize, ValueId)> =
            gradient.outputs.iter().enumerate().filter_map(|(slot, value)| Some((slot, (*value)?))).collect();
        if let Op::LayerNorm { .. } = node.op {
            return self.layer_norm_backward(node, gradient, [inputs[0], inputs[1], dy]);
        }
        let mut launches = Vec::new();
        for (slot, value) in wanted {
            let (dx, accumulate) = self.target_whole(value);
            match node.op {
                Op::Reduce { kind, axis } => {
                    let y = self.whole(node.output());
                    let op = AxisReduction { accumulate, ..self.reduction(kind, axis, node.inputs[0]) };
                    launches.push(op.backward(inputs[0], y, dy, dx));
                }
                Op::Pairwise { .. } => {
                    let d = self.whole(node.output());
                    let of_x = self.pairwise(node);
                    let op = if slot == 0 { of_x } else { of_x.turned() };
                    let op = Pairwise { accumulate, ..op };
                    launches.push(op.backward(inputs[slot], inputs[1 - slot], d, dy, dx));
                }
                Op::Normalize => {
                    let op = Normalize { accumulate, ..self.normalization(node) };
                    launches.push(op.backward(inputs[0], dy, dx));
                }
                Op::Take => {
                    let op = Take { accumulate, ..self.take(node) };
                    launches.push(op.backward(dy, self.fixed.train_labels, dx));
                }
                Op::Branch { .. } | Op::Slice { .. } => {
                    let sizes = self.sizes(node.inputs[0]);
                    let (axis, start) = match node.op {
                        Op::Slice { axis, start, .. } => (self.axis(node.inputs[0], axis), start),
                        Op::Branch { number } => {
                            let axis = self.axis(node.inputs[0], 0);
                            (axis, number * sizes[axis] as usize / self.branches)
                        }
                        _ => unreachable!("matched above"),
                    };
                    if !accumulate {
                        // What the part does not cover has no gradient from here.
                        launches.push(Elementwise::flat(Function::Fill, 0.0, dx.len as u32).fill(dx));
                    }
                    let to = part(sizes, axis, start);
                    launches.push(copy(self.sizes(node.output()), [Some(to), None], true).unary(dy, dx));
                }
                Op::Concat { axis } => {
                    let (sizes, axis) = (self.sizes(node.output()), self.axis(node.output(), axis));
                    let before =
                        node.inputs[..slot].iter().map(|&input| self.sizes(input)[axis] as usize).sum();
                    let from = part(sizes, axis, before);
                    launches.push(
                        copy(self.sizes(node.inputs[slot]), [None, Some(from)], accumulate).unary(dy, dx),
                    );
                }
                op => unreachable!("{op:?} goes back elsewhere"),
            }
        }
        launches
    }

    /// One gradient into another, wherever it lies.
    fn copy(&mut self, node: &Node) -> Vec<Step> {
        if self.graph.shape(node.inputs[0]).len() < 2 || !self.is_in_rows(node.inputs[0]) {
            let from = self.whole(node.inputs[0]);
            let (to, accumulate) = self.target_whole(node.output());
            let op = Elementwise::flat(Function::Identity, 0.0, to.len as u32);
            return vec![Elementwise { accumulate, ..op }.unary(from, to)];
        }
        let row_len = self.row_len(node.inputs[0]);
        let from = self.rows(node.inputs[0]);
        let (to, accumulate) = self.target_rows(node.output(), row_len);
        let rows = self.rows_of(node.inputs[0]).into_iter().zip(from).zip(to);
        rows.map(|((rows, from), to)| Add { count: (rows * row_len) as u32, accumulate }.backward(from, to))
            .collect()
    }

    fn layer_norm_backward(&mut self, node: &Node, gradient: &Node, [x, weight, dy]: [View; 3]) -> Vec<Step> {
        let norm = self.layer_norm(node);
        let (features, parts) = (norm.features, norm.rows.div_ceil(norm.rows_per_part));
        let partial =
            [(); 2].map(|()| self.builder.temporary(Layout::Plain, parts as usize, features as usize));
        let mut launches = vec![norm.backward_weight(x, dy, partial)];
        for (from, (to, accumulate)) in partial.into_iter().zip(self.weight_gradients(gradient)) {
            launches.push(Reduce { count: features, parts, accumulate }.forward(from, to));
        }
        if let Some(value) = gradient.outputs[0] {
            let (dx, accumulate) = self.target_whole(value);
            launches.push(LayerNorm { accumulate, ..norm }.backward_input(x, dy, weight, dx));
        }
        launches
    }

    fn layer_norm(&self, node: &Node) -> LayerNorm {
        let Op::LayerNorm { eps } = node.op else { unreachable!("asked of layer norms only") };
        let features = self.row_len(node.inputs[0]);
        let rows = self.len(node.inputs[0]) / features.max(1);
        let rows_per_part = ROWS_PER_PART.min(rows) as u32;
        LayerNorm { rows: rows as u32, features: features as u32, eps, rows_per_part, accumulate: false }
    }

    fn pairwise(&self, node: &Node) -> Pairwise {
        let Op::Pairwise { kind, floor } = node.op else { unreachable!("asked of pairwise distances only") };
        let [.., rows, columns] = self.sizes(node.output());
        let features = self.row_len(node.inputs[0]) as u32;
        Pairwise { rows, columns, features, kind, floor, transposed: false, accumulate: false }
    }

    fn take(&self, node: &Node) -> Take {
        let [.., rows, features] = self.sizes(node.output());
        let [.., table_rows, _] = self.sizes(node.inputs[0]);
        Take { rows, table_rows, features, accumulate: false }
    }

    fn normalization(&self, node: &Node) -> Normalize {
        let [.., rows, features] = self.sizes(node.inputs[0]);
        Normalize { rows, features, floor: NORMALIZE_FLOOR, accumulate: false }
    }

    fn reduction(&self, kind: Reduction, axis: usize, x: ValueId) -> AxisReduction {
        let (sizes, axis) = (self.sizes(x), self.axis(x, axis));
        let product = |sizes: &[u32]| sizes.iter().product();
        AxisReduction {
            kind,
            outer: product(&sizes[..axis]),
            axis: sizes[axis],
            inner: product(&sizes[axis + 1..]),
            accumulate: false,
        }
    }

    /// Sizes of a value, ones before them.
    fn sizes(&self, value: ValueId) -> [u32; 4] {
        let mut sizes = [1; 4];
        let batch = self.batch();
        for (size, dim) in sizes.iter_mut().rev().zip(self.graph.shape(value).iter().rev()) {
            *size = dim.of(batch) as u32;
        }
        sizes
    }

    /// Where an axis stands among four.
    fn axis(&self, value: ValueId, axis: usize) -> usize {
        4 - self.graph.shape(value).len() + axis
    }
}

/// Where elements of a tensor of these sizes lie as seen from larger ones: sizes of 1 repeat.
fn stretched(own: [u32; 4], sizes: [u32; 4]) -> Strided {
    let dense = Strided::dense(own);
    let strides =
        std::array::from_fn(|axis| if own[axis] == 1 && sizes[axis] > 1 { 0 } else { dense.strides[axis] });
    Strided { strides, ..dense }
}

/// The part of a tensor of these sizes from `start` on along an axis.
fn part(sizes: [u32; 4], axis: usize, start: usize) -> Strided {
    let dense = Strided::dense(sizes);
    Strided { offset: start as u32 * dense.strides[axis], ..dense }
}

/// A copy of so many elements, to and from a part of something larger where said.
fn copy(sizes: [u32; 4], [to, from]: [Option<Strided>; 2], accumulate: bool) -> Elementwise {
    let [to, from] = [to, from].map(|strided| strided.unwrap_or(Strided::dense(sizes)));
    let op = Elementwise::new(Function::Identity, 0.0, sizes, [to, from, Strided::ONE]);
    Elementwise { accumulate, ..op }
}
