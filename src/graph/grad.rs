//! The backward pass of a graph, as more of the graph: made once for each op and never for a network.
//!
//! Ops with backward kernels of their own get a node [`Op::Gradient`]; the gradients of formulas are formulas. Where
//! a value has several consumers, all of them write into one gradient: the first overwrites, the others add, as the
//! plan finds them in order.

use super::Dim::Size;
use super::{Dim, Graph, GraphError, Node, Op, ValueId, text};
use crate::ops::elementwise::Function;
use crate::ops::reduction::Reduction;

/// A share of a value's gradient.
#[derive(Clone, Copy)]
enum Share {
    /// What a node writes at this place of its outputs; it may as well write elsewhere.
    Own { node: usize, slot: usize },
    /// A value that stands for something else too.
    Other(ValueId),
}

struct Differentiation<'a> {
    graph: &'a mut Graph,
    /// Whether a value depends on a trainable parameter.
    trainable: Vec<bool>,
    shares: Vec<Vec<Share>>,
}

impl Graph {
    /// Adds the backward pass from the nodes that end the graph ([`Op::ends`]) to the gradients of all trainable
    /// parameters, which [`Graph::gradients`] then has.
    ///
    /// # Errors
    /// Where the graph did not fit together, or a gradient is asked of an op that has none.
    pub fn differentiate(&mut self) -> Result<(), GraphError> {
        let mut trainable: Vec<bool> = self
            .values
            .iter()
            .map(|value| value.parameter.is_some_and(|number| self.parameters[number].trainable))
            .collect();
        for node in &self.nodes {
            trainable[node.output().0] = node.inputs.iter().any(|input| trainable[input.0]);
        }
        let shares = self.values.iter().map(|_| Vec::new()).collect();
        let nodes = self.nodes.len();
        self.forward_nodes = Some(nodes);
        let mut pass = Differentiation { graph: self, trainable, shares };
        for number in (0..nodes).rev() {
            pass.node(number);
        }
        let parameters: Vec<(usize, usize)> = (0..pass.shares.len())
            .filter_map(|value| Some((value, pass.graph.values[value].parameter?)))
            .filter(|&(_, parameter)| pass.graph.parameters[parameter].trainable)
            .collect();
        let mut gradients = vec![None; pass.graph.parameters.len()];
        for (value, parameter) in parameters {
            gradients[parameter] = pass.gradient(ValueId(value), true);
        }
        self.gradients = gradients;
        self.check()
    }
}

impl Differentiation<'_> {
    /// The gradient of a value, once all its consumers have been passed. With `own`, a value that is nothing else.
    fn gradient(&mut self, value: ValueId, own: bool) -> Option<ValueId> {
        let shares = std::mem::take(self.shares.get_mut(value.0)?);
        match shares[..] {
            [] => return None,
            [Share::Own { node, slot }] => return self.graph.nodes[node].outputs[slot],
            [Share::Other(gradient)] if !own => return Some(gradient),
            _ => {}
        }
        let shape = self.graph.shape(value).to_vec();
        let total = self.graph.value(shape, None);
        for share in shares {
            match share {
                Share::Own { node, slot } => self.graph.nodes[node].outputs[slot] = Some(total),
                Share::Other(gradient) => self.push("gradient", Op::Copy, vec![gradient], vec![Some(total)]),
            }
        }
        Some(total)
    }

    fn push(&mut self, name: &str, op: Op, inputs: Vec<ValueId>, outputs: Vec<Option<ValueId>>) {
        self.graph.nodes.push(Node { name: name.into(), op, inputs, outputs });
    }

    /// Passes a node: from the gradient of its output to shares of those of its inputs.
    fn node(&mut self, number: usize) {
        let Node { name, op, inputs, outputs } = self.graph.nodes[number].clone();
        if !inputs.iter().any(|input| self.trainable[input.0]) {
            return;
        }
        if op == Op::Record {
            let one = self.graph.number(1.0);
            return self.share(inputs[0], one);
        }
        let dy = match outputs[0].and_then(|output| self.gradient(output, false)) {
            Some(dy) => vec![dy],
            None if op.ends() => Vec::new(),
            None => return,
        };
        match (op, &dy[..]) {
            (Op::Add, &[dy]) => {
                for &input in inputs.iter().filter(|input| self.trainable[input.0]) {
                    self.shares[input.0].push(Share::Other(dy));
                }
            }
            (Op::Elementwise { function, scalar }, &[dy]) => {
                let y = outputs[0].unwrap_or(dy);
                for (position, &input) in inputs.iter().enumerate() {
                    if self.trainable[input.0]
                        && let Some(dx) = self.slope(function, scalar, position, (&inputs, y, dy))
                    {
                        self.share(input, dx);
                    }
                }
            }
            (Op::Matmul { transpose_a, transpose_b }, &[dc]) => {
                let (a, b) = (inputs[0], inputs[1]);
                let mut product = |x, y, transpose_a, transpose_b| {
                    self.graph.apply(&name, Op::Matmul { transpose_a, transpose_b }, &[x, y])
                };
                if self.trainable[a.0] {
                    let da = if transpose_a {
                        product(b, dc, transpose_b, true)
                    } else {
                        product(dc, b, false, !transpose_b)
                    };
                    self.share(a, da);
                }
                let mut product = |x, y, transpose_a, transpose_b| {
                    self.graph.apply(&name, Op::Matmul { transpose_a, transpose_b }, &[x, y])
                };
                if self.trainable[b.0] {
                    let db = if transpose_b {
                        product(dc, a, true, transpose_a)
                    } else {
                        product(a, dc, !transpose_a, false)
                    };
                    self.share(b, db);
                }
            }
            (Op::Flatten, &[dy]) => {
                let shape = self.graph.shape(inputs[0]).to_vec();
                let dx = self.graph.value(shape, None);
                self.push(&name, Op::Flatten, vec![dy], vec![Some(dx)]);
                self.shares[inputs[0].0].push(Share::Other(dx));
            }
            (Op::Squeeze { axis }, &[dy]) => {
                let dx = self.graph.unsqueeze(axis, dy);
                self.shares[inputs[0].0].push(Share::Other(dx));
            }
            (Op::Unsqueeze { axis }, &[dy]) => {
                let dx = self.graph.squeeze(axis, dy);
                self.shares[inputs[0].0].push(Share::Other(dx));
            }
            (Op::Probability { .. }, _) => {
                let input = text(self.graph.shape(inputs[0]));
                self.graph.refuse(&name, &input, "it has no gradient: train on what it is made of".into());
            }
            _ => {
                let node = self.graph.nodes.len();
                let mut gradients = Vec::new();
                for (slot, &input) in inputs.iter().enumerate() {
                    let shape = self.graph.shape(input).to_vec();
                    gradients.push(self.trainable[input.0].then(|| {
                        self.shares[input.0].push(Share::Own { node, slot });
                        self.graph.value(shape, None)
                    }));
                }
                self.push(&name, Op::Gradient { of: number }, dy, gradients);
            }
        }
    }

    /// A share of the gradient of `input`, summed over the axes along which `input` was stretched.
    fn share(&mut self, input: ValueId, gradient: ValueId) {
        let wanted = self.graph.shape(input).to_vec();
        let mut gradient = gradient;
        while self.graph.shape(gradient).len() > wanted.len() {
            gradient = self.graph.reduce(Reduction::Sum, 0, gradient);
            gradient = self.graph.squeeze(0, gradient);
        }
        for (axis, &dim) in wanted.iter().enumerate() {
            if dim == Size(1) && self.graph.shape(gradient)[axis] != Dim::Size(1) {
                gradient = self.graph.reduce(Reduction::Sum, axis, gradient);
            }
        }
        let node = self.graph.nodes.len() - 1;
        let Node { op, outputs, .. } = &self.graph.nodes[node];
        let own = outputs[0] == Some(gradient) && !matches!(op, Op::Squeeze { .. } | Op::Unsqueeze { .. });
        self.shares[input.0].push(if own { Share::Own { node, slot: 0 } } else { Share::Other(gradient) });
    }

    /// `dy` times the derivative by the input at `position`; `None` where that is 0 everywhere.
    fn slope(
        &mut self,
        function: Function,
        scalar: f32,
        position: usize,
        (inputs, y, dy): (&[ValueId], ValueId, ValueId),
    ) -> Option<ValueId> {
        use Function::{
            Abs, AtLeast, Exp, Identity, Log, Multiply, Reciprocal, Scale, Shift, Sigmoid, Sign, Softplus,
            Sqrt, Square, Step, Subtract, Tanh,
        };
        let (g, x) = (&mut *self.graph, inputs[0]);
        let factor = match function {
            Identity | Shift | Function::Add => return Some(g.unary(Identity, 0.0, dy)),
            Subtract => return Some(g.times(if position == 0 { 1.0 } else { -1.0 }, dy)),
            Scale => return Some(g.times(scalar, dy)),
            Sign | Step | Function::Greater | Function::Equal | Function::Fill => return None,
            Abs => g.unary(Sign, 0.0, x),
            Square => g.times(2.0, x),
            // Of a root, 0 at 0: the smallest numbers stand in for what is infinite there.
            Sqrt => {
                let inverse = g.unary(AtLeast, f32::MIN_POSITIVE, y);
                let inverse = g.unary(Reciprocal, 0.0, inverse);
                let inverse = g.times(0.5, inverse);
                let above = g.unary(Step, 0.0, y);
                g.multiply(inverse, above)
            }
            Exp => y,
            Log => g.unary(Reciprocal, 0.0, x),
            Reciprocal => {
                let square = g.unary(Square, 0.0, y);
                g.times(-1.0, square)
            }
            AtLeast => g.unary(Step, scalar, x),
            Sigmoid => {
                let square = g.unary(Square, 0.0, y);
                g.subtract(y, square)
            }
            Softplus => g.unary(Sigmoid, 0.0, x),
            Tanh => {
                let square = g.unary(Square, 0.0, y);
                let minus = g.times(-1.0, square);
                g.plus(1.0, minus)
            }
            Multiply => inputs[1 - position],
            Function::Divide => {
                let inverse = g.unary(Reciprocal, 0.0, inputs[1]);
                if position == 0 {
                    inverse
                } else {
                    let quotient = g.multiply(y, inverse);
                    g.times(-1.0, quotient)
                }
            }
            // Ties go to the first input.
            Function::Maximum | Function::Minimum => {
                let (a, b) = (inputs[0], inputs[1]);
                let (a, b) = if function == Function::Maximum { (b, a) } else { (a, b) };
                let second = g.binary(Function::Greater, a, b);
                if position == 1 {
                    second
                } else {
                    let minus = g.times(-1.0, second);
                    g.plus(1.0, minus)
                }
            }
        };
        Some(g.multiply(dy, factor))
    }
}
