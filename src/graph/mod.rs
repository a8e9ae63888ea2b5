//! Networks, heads and losses as one small graph of ops over tensors: what runs is made from it.
//!
//! A graph is data: it can be saved, differentiated ([`Graph::differentiate`]) and lowered to a plan for any batch size,
//! since sizes that depend on the batch stay symbolic ([`Dim`]). Functions build it value by value; what does not fit is
//! remembered and told by [`Graph::check`], so that they read like the formulas they stand for.

mod build;
mod grad;
mod op;

use serde::{Deserialize, Serialize};

use crate::data::Shape;

pub use build::Conv;
pub use op::Op;

/// A size of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dim {
    /// Images of the batch: of pairs all first ones, then all second ones.
    Images,
    /// Entries of the batch: pairs, or images that stand alone.
    Entries,
    Size(usize),
}

/// What the symbolic sizes are in one lowering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub images: usize,
    pub entries: usize,
}

impl Dim {
    pub fn of(self, batch: Batch) -> usize {
        match self {
            Dim::Images => batch.images,
            Dim::Entries => batch.entries,
            Dim::Size(size) => size,
        }
    }
}

/// A value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValueId(pub usize);

/// What a value is, besides a tensor of some shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub shape: Vec<Dim>,
    /// Position of the parameter that it is.
    pub parameter: Option<usize>,
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Initializer {
    /// Uniform in `-bound .. bound`.
    Uniform {
        bound: f32,
    },
    Normal {
        mean: f32,
        deviation: f32,
    },
    Constant(f32),
}

/// A trainable tensor, or a tensor of running state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub initializer: Initializer,
    pub trainable: bool,
}

impl Parameter {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How the weights of convolutions and dense layers start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Initialization {
    /// Weights and biases uniform within `1 / sqrt(fan in)`.
    #[default]
    PyTorch,
    /// Weights uniform within `sqrt(6 / (fan in + fan out))` (Glorot and Bengio, "Understanding the difficulty of
    /// training deep feedforward neural networks", 2010, equation 16), biases 0, as in Keras.
    Glorot,
    /// Normal weights around 0, by their standard deviations; biases by mean and standard deviation.
    Normal { convolution: f32, dense: f32, bias: (f32, f32) },
}

impl Initialization {
    /// Of a weight of this shape, outputs first, and of the bias beside it.
    fn of(self, weight: &[usize]) -> [Initializer; 2] {
        let fan_in: usize = weight[1..].iter().product();
        match self {
            Initialization::PyTorch => [Initializer::Uniform { bound: 1.0 / (fan_in as f32).sqrt() }; 2],
            Initialization::Glorot => {
                let window: usize = weight[2..].iter().product();
                let fans = fan_in + weight[0] * window;
                [Initializer::Uniform { bound: (6.0 / fans as f32).sqrt() }, Initializer::Constant(0.0)]
            }
            Initialization::Normal { convolution, dense, bias: (mean, deviation) } => {
                let of_weight = if weight.len() == 4 { convolution } else { dense };
                [
                    Initializer::Normal { mean: 0.0, deviation: of_weight },
                    Initializer::Normal { mean, deviation },
                ]
            }
        }
    }
}

/// An op on values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The layer, for people.
    pub name: String,
    pub op: Op,
    pub inputs: Vec<ValueId>,
    /// One, except of [`Op::Gradient`]: there the gradient of each of the inputs of the node it belongs to, where
    /// somebody wants it.
    pub outputs: Vec<Option<ValueId>>,
}

impl Node {
    /// The one output of a node that is no gradient.
    pub fn output(&self) -> ValueId {
        self.outputs[0].unwrap_or(ValueId(usize::MAX))
    }
}

/// Why a graph cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("layer {layer} does not fit its input of {input}: {why}")]
pub struct GraphError {
    pub layer: String,
    pub input: String,
    pub why: String,
}

/// A graph of ops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    pub values: Vec<Value>,
    pub nodes: Vec<Node>,
    pub parameters: Vec<Parameter>,
    /// What new layers' weights start with.
    pub initialization: Initialization,
    /// Gradients of the parameters, by position, once it is differentiated.
    pub gradients: Vec<Option<ValueId>>,
    /// How many of the nodes are the forward pass's, once it is differentiated.
    pub forward_nodes: Option<usize>,
    /// What did not fit, first of all.
    #[serde(skip)]
    error: Option<GraphError>,
}

impl Graph {
    /// An input of this shape.
    pub fn input(&mut self, shape: &[Dim]) -> ValueId {
        self.value(shape.to_vec(), None)
    }

    /// The batch's images: `[images, channels, height, width]`.
    pub fn images(&mut self, shape: Shape) -> ValueId {
        let sizes = [shape.channels, shape.height, shape.width].map(Dim::Size);
        self.input(&[Dim::Images, sizes[0], sizes[1], sizes[2]])
    }

    fn value(&mut self, shape: Vec<Dim>, parameter: Option<usize>) -> ValueId {
        self.values.push(Value { shape, parameter });
        ValueId(self.values.len() - 1)
    }

    /// A parameter of its own, by a name that the graph has not had yet.
    pub fn parameter(&mut self, name: &str, shape: &[usize], initializer: Initializer) -> ValueId {
        self.stored(name, shape, initializer, true)
    }

    /// Running state, which training moves but no gradient does.
    pub fn state(&mut self, name: &str, shape: &[usize], initializer: Initializer) -> ValueId {
        self.stored(name, shape, initializer, false)
    }

    fn stored(&mut self, name: &str, shape: &[usize], initializer: Initializer, trainable: bool) -> ValueId {
        if self.parameters.iter().any(|parameter| parameter.name == name) {
            self.refuse(name, "anything", "there are two of this name".into());
        }
        let (name, shape) = (name.to_string(), shape.to_vec());
        let dims = shape.iter().map(|&size| Dim::Size(size)).collect();
        self.parameters.push(Parameter { name, shape, initializer, trainable });
        self.value(dims, Some(self.parameters.len() - 1))
    }

    /// Remembers the first thing that does not fit.
    pub fn refuse(&mut self, layer: &str, input: &str, why: String) {
        self.error.get_or_insert(GraphError { layer: layer.into(), input: input.into(), why });
    }

    /// The value of an op on others.
    pub fn apply(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        let shape = match op.shape(&inputs.iter().map(|&input| self.shape(input)).collect::<Vec<_>>()) {
            Ok(shape) => shape,
            Err(why) => {
                let input = inputs.first().map_or(String::new(), |&input| text(self.shape(input)));
                self.refuse(name, &input, why);
                inputs.first().map_or(Vec::new(), |&input| self.shape(input).to_vec())
            }
        };
        let output = self.value(shape, None);
        let outputs = vec![Some(output)];
        self.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), outputs });
        output
    }

    pub fn shape(&self, value: ValueId) -> &[Dim] {
        &self.values[value.0].shape
    }

    /// Elements of a value.
    pub fn len(&self, value: ValueId, batch: Batch) -> usize {
        self.shape(value).iter().map(|dim| dim.of(batch)).product()
    }

    /// What was refused first, if anything.
    ///
    /// # Errors
    /// [`GraphError`], by layer.
    pub fn check(&self) -> Result<(), GraphError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Numbers of the nodes between some values and others, in order.
    pub fn between(&self, from: &[ValueId], to: &[ValueId]) -> Vec<usize> {
        let mut wanted: std::collections::HashSet<ValueId> = to.iter().copied().collect();
        let mut nodes: Vec<usize> = (0..self.nodes.len())
            .rev()
            .filter(|&number| {
                let node = &self.nodes[number];
                let takes = node.outputs.iter().flatten().any(|o| wanted.contains(o) && !from.contains(o));
                if takes {
                    wanted.extend(&node.inputs);
                }
                takes
            })
            .collect();
        nodes.reverse();
        nodes
    }

    /// Whether every node up to now leads to one of these values.
    ///
    /// # Errors
    /// Names the first that nobody takes.
    pub fn check_used(&self, outputs: &[ValueId]) -> Result<(), GraphError> {
        self.check()?;
        let used = self.between(&[], outputs);
        match (0..self.nodes.len()).find(|number| !used.contains(number)) {
            None => Ok(()),
            Some(number) => {
                let node = &self.nodes[number];
                let input = node.inputs.first().map_or(String::new(), |&input| text(self.shape(input)));
                Err(GraphError {
                    layer: node.name.clone(),
                    input,
                    why: "no layer takes what it gives".into(),
                })
            }
        }
    }
}

/// What an image of a value is, whether it still has sides or not.
pub(crate) fn of_image(shape: &[Dim]) -> Shape {
    let size = |at: usize| match shape.get(at) {
        Some(Dim::Size(size)) => *size,
        _ => 1,
    };
    Shape { channels: size(1), height: size(2), width: size(3) }
}

/// A shape as people write it.
pub(crate) fn text(shape: &[Dim]) -> String {
    let size = |dim: &Dim| match dim {
        Dim::Images => "images".into(),
        Dim::Entries => "entries".into(),
        Dim::Size(size) => size.to_string(),
    };
    format!("[{}]", shape.iter().map(size).collect::<Vec<String>>().join(", "))
}

#[cfg(test)]
mod tests;
