//! The ops that nodes stand for, and the shape of what each gives.

use serde::{Deserialize, Serialize};

use super::Dim::{self, Entries, Images, Size};
use super::{of_image, text};
use crate::ops::activation::ActivationKind;
use crate::ops::binary_cross_entropy::Link;
use crate::ops::contrastive::Convention;
use crate::ops::distance::DistanceKind;
use crate::ops::elementwise::Function;
use crate::ops::mask::MaskKind;
use crate::ops::pairwise::PairwiseKind;
use crate::ops::pool2d::PoolKind;
use crate::ops::reduction::Reduction;

/// What a node computes; its inputs stand in the order of the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    // Layers: each row (image) by itself, but for norms.
    /// `x [rows, C, H, W]`, `weight [O, C / groups, h, w]`, with or without `bias [O]`.
    Conv2d {
        stride: usize,
        padding: [usize; 2],
        groups: usize,
    },
    /// `x [rows, ..]`, flattened, `weight [outputs, inputs]`, `bias [outputs]`.
    Dense,
    /// `x [rows, C, ..]`, `weight`, `bias`, `running_mean`, `running_var`, all `[C]`: in training with the
    /// statistics of the whole batch, otherwise with the running ones; PyTorch's `eps` and `momentum`.
    BatchNorm {
        eps: f32,
        momentum: f32,
    },
    /// `x [rows, F]`, `weight [F]`, `bias [F]`.
    LayerNorm {
        eps: f32,
    },
    Pool2d {
        kind: PoolKind,
        size: usize,
        stride: usize,
        padding: usize,
    },
    /// The mean of each channel of square images.
    GlobalAveragePool,
    Activation(ActivationKind),
    Add,
    /// `x [rows, C, H, W]` times `[rows, C, 1, 1]`, channel by channel.
    Scale,
    /// `x [rows, C, 1, 1]`, `weight [1, 1, kernel]`: a convolution across channels.
    ChannelConv,
    /// `[rows, ..]` to `[rows, values]`, and the same as other shapes.
    Flatten,
    /// In training, values are 0 with this probability and the others larger by as much.
    Dropout {
        rate: f32,
    },

    // Pairs of embeddings `[images, F]`, to `[entries]`.
    Distance(DistanceKind),
    /// Embeddings, `weight [1, F]`, `bias [1]`.
    WeightedSum,
    /// `sigmoid(weight x + bias)`: `x [entries]`, `weight [1, 1]`, `bias [1]`.
    Head,
    /// The probability that a distance or a logit `[entries]` stands for.
    Probability {
        link: Link,
        scale: f32,
        floor: f32,
    },
    /// Embeddings to logits `[entries, way]` of which second image belongs to a first one.
    Episode {
        way: usize,
    },

    // Losses with kernels of their own: from `[entries]` or logits `[rows, classes]`, and the batch's labels, to the
    // step's metrics. A graph ends with one.
    Contrastive {
        convention: Convention,
        margin: f32,
    },
    BinaryCrossEntropy {
        link: Link,
        scale: f32,
        floor: f32,
    },
    SoftmaxCrossEntropy,
    /// A loss `[]` made of others, and how many of the batch are right `[]`.
    Record,

    // Primitives, whose gradients are made of primitives.
    /// One or two inputs of equal rank (or fewer), where sizes of 1 broadcast; `Fill` has none and gives `[]`.
    Elementwise {
        function: Function,
        scalar: f32,
    },
    /// Over one axis, which stays with size 1.
    Reduce {
        kind: Reduction,
        axis: usize,
    },
    /// `[.., m, k]` times `[.., k, n]`, either one transposed or not.
    Matmul {
        transpose_a: bool,
        transpose_b: bool,
    },
    /// `x [n, F]`, `y [m, F]` to `[n, m]`.
    Pairwise {
        kind: PairwiseKind,
        floor: f32,
    },
    /// Rows to length 1; rows of length 0 stay so, with gradient 0.
    Normalize,
    /// From the batch's labels: `[images, images]`, of classes `[images, classes]`, of pairs' `Same` `[entries]`.
    Mask {
        kind: MaskKind,
        classes: usize,
    },
    /// Rows of `x [classes, F]` by the labels of the batch's images: `[images, F]`.
    Take,
    /// Of embeddings `[images, ..]` the first (0) or the second (1) of each pair: `[entries, ..]`.
    Branch {
        number: usize,
    },
    /// A part of an axis.
    Slice {
        axis: usize,
        start: usize,
        len: usize,
    },
    /// Inputs behind one another along an axis.
    Concat {
        axis: usize,
    },
    /// The same without axes of size 1, or with: from `[a, 1]` to `[a]` and back.
    Squeeze {
        axis: usize,
    },
    Unsqueeze {
        axis: usize,
    },

    /// The backward pass of another node, from the gradient of its output to those of its inputs.
    Gradient {
        of: usize,
    },
    /// One gradient into another, or added to it.
    Copy,
}

impl Op {
    /// Whether rows of its inputs are independent of one another, or it brings the whole batch together by itself:
    /// such ops run on micro-batches and in the layout of images.
    pub fn by_rows(self) -> bool {
        matches!(
            self,
            Op::Conv2d { .. }
                | Op::Dense
                | Op::BatchNorm { .. }
                | Op::Pool2d { .. }
                | Op::GlobalAveragePool
                | Op::Activation(_)
                | Op::Add
                | Op::Scale
                | Op::ChannelConv
                | Op::Dropout { .. }
                | Op::Distance(_)
                | Op::WeightedSum
                | Op::Episode { .. }
                | Op::SoftmaxCrossEntropy
        )
    }

    /// Whether it writes the step's metrics instead of giving a value.
    pub fn ends(self) -> bool {
        matches!(
            self,
            Op::Contrastive { .. } | Op::BinaryCrossEntropy { .. } | Op::SoftmaxCrossEntropy | Op::Record
        )
    }

    /// The shape of its output.
    pub(super) fn shape(self, inputs: &[&[Dim]]) -> Result<Vec<Dim>, String> {
        let wanted = match self {
            Op::Mask { .. } => 0..=0,
            Op::Elementwise { function, .. } => function.arity()..=function.arity(),
            Op::Conv2d { .. } => 2..=3,
            Op::BatchNorm { .. } => 5..=5,
            Op::Dense | Op::LayerNorm { .. } | Op::WeightedSum | Op::Head => 3..=3,
            Op::Add | Op::Scale | Op::ChannelConv | Op::Matmul { .. } | Op::Pairwise { .. } | Op::Record => {
                2..=2
            }
            Op::Concat { .. } => 1..=7,
            _ => 1..=1,
        };
        if !wanted.contains(&inputs.len()) {
            return Err(format!("it takes {}, not {}", wanted.end(), inputs.len()));
        }
        let Some(&x) = inputs.first() else {
            return Ok(match self {
                Op::Mask { kind: MaskKind::OneHot, classes } => vec![Images, Size(classes)],
                Op::Mask { kind: MaskKind::Same, .. } => vec![Entries],
                Op::Mask { .. } => vec![Images, Images],
                _ => Vec::new(),
            });
        };
        let image = of_image(x);
        let values = image.len();
        let rows = x.first().copied().unwrap_or(Size(1));
        let sizes = |sizes: &[usize]| -> Vec<Dim> {
            std::iter::once(rows).chain(sizes.iter().map(|&size| Size(size))).collect()
        };
        let fixed = |value: &[Dim], at: usize| match value.get(at) {
            Some(Size(size)) => *size,
            _ => 1,
        };
        match self {
            Op::Conv2d { stride, padding, groups } => {
                let [outputs, _, height, width] = [0, 1, 2, 3].map(|at| fixed(inputs[1], at));
                if image.height + 2 * padding[0] < height
                    || image.width + 2 * padding[1] < width
                    || [height, width, stride].contains(&0)
                {
                    return Err(format!("its kernel is {height}x{width}, its stride {stride}"));
                }
                if groups == 0 || !image.channels.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
                    return Err(format!("{groups} groups do not divide its channels and {outputs}"));
                }
                let out =
                    |size: usize, padding: usize, kernel: usize| (size + 2 * padding - kernel) / stride + 1;
                Ok(sizes(&[
                    outputs,
                    out(image.height, padding[0], height),
                    out(image.width, padding[1], width),
                ]))
            }
            Op::Flatten => Ok(sizes(&[values])),
            Op::Dense => Ok(sizes(&[fixed(inputs[1], 0)])),
            Op::Pool2d { size, stride, padding, .. } => {
                let padded = [image.height, image.width].map(|side| side + 2 * padding);
                if size == 0 || stride == 0 || padded.iter().any(|&side| side < size) || 2 * padding > size {
                    return Err(format!(
                        "its window is {size}x{size}, its stride {stride}, its padding {padding}"
                    ));
                }
                let [height, width] = padded.map(|side| (side - size) / stride + 1);
                Ok(sizes(&[image.channels, height, width]))
            }
            Op::GlobalAveragePool if image.height != image.width => Err("it takes square images".into()),
            Op::GlobalAveragePool => Ok(sizes(&[image.channels, 1, 1])),
            Op::Add if inputs[1] != x => Err(format!("what it adds is {}", text(inputs[1]))),
            Op::Scale if inputs[1] != sizes(&[image.channels, 1, 1]) => {
                Err(format!("its factors are {}", text(inputs[1])))
            }
            Op::ChannelConv if values != image.channels || fixed(inputs[1], 2) % 2 == 0 => {
                let taps = fixed(inputs[1], 2);
                Err(format!("it takes one value a channel and an odd number of taps, not {taps}"))
            }
            Op::Dropout { rate } if !(0.0..1.0).contains(&rate) => {
                Err(format!("its rate is {rate}, not from 0 up to below 1"))
            }
            Op::Distance(_) | Op::WeightedSum if rows != Images || x.len() != 2 => {
                Err("it compares embeddings: [images, features]".into())
            }
            Op::Distance(_) | Op::WeightedSum => Ok(vec![Entries]),
            Op::Episode { way } => Ok(vec![Entries, Size(way)]),
            Op::Contrastive { .. } | Op::BinaryCrossEntropy { .. } if x != [Entries] => {
                Err("it takes a number for each pair".into())
            }
            Op::Record if inputs.iter().any(|input| !input.is_empty()) => {
                Err("it takes the loss and the number of what is right, a number each".into())
            }
            Op::Contrastive { .. } | Op::BinaryCrossEntropy { .. } | Op::SoftmaxCrossEntropy | Op::Record => {
                Ok(Vec::new())
            }
            Op::Elementwise { .. } => {
                inputs[1..].iter().try_fold(x.to_vec(), |all, other| broadcast(&all, other))
            }
            Op::Reduce { axis, .. } | Op::Slice { axis, .. } | Op::Concat { axis } if axis >= x.len() => {
                Err(format!("it has no axis {axis}"))
            }
            Op::Reduce { axis, .. } => Ok(with(x, axis, Size(1))),
            Op::Slice { axis, start, len } => match x[axis] {
                Size(size) if start + len <= size => Ok(with(x, axis, Size(len))),
                _ => Err(format!("axis {axis} has no {start} to {}", start + len)),
            },
            Op::Concat { axis } => {
                let mut sum = 0;
                for input in inputs {
                    match input.get(axis) {
                        Some(Size(size)) if with(input, axis, Size(0)) == with(x, axis, Size(0)) => {
                            sum += size
                        }
                        _ => return Err(format!("{} does not go behind the others", text(input))),
                    }
                }
                Ok(with(x, axis, Size(sum)))
            }
            Op::Matmul { transpose_a, transpose_b } => {
                let (a, b) = (inputs[0], inputs[1]);
                if a.len() < 2 || a.len() != b.len() || a[..a.len() - 2] != b[..a.len() - 2] {
                    return Err(format!("{} times {}", text(a), text(b)));
                }
                let at = a.len() - 2;
                let [m, k] = if transpose_a { [a[at + 1], a[at]] } else { [a[at], a[at + 1]] };
                let [l, n] = if transpose_b { [b[at + 1], b[at]] } else { [b[at], b[at + 1]] };
                if k != l {
                    return Err(format!("{} times {}", text(a), text(b)));
                }
                Ok([&a[..at], &[m, n]].concat())
            }
            Op::Pairwise { .. } if x.len() != 2 || inputs[1].len() != 2 || x[1] != inputs[1][1] => {
                Err(format!("it compares rows with rows of {}", text(inputs[1])))
            }
            Op::Pairwise { .. } => Ok(vec![x[0], inputs[1][0]]),
            Op::Take if x.len() != 2 => Err("it takes rows".into()),
            Op::Take => Ok(vec![Images, x[1]]),
            Op::Branch { .. } if rows != Images => Err("it takes images".into()),
            Op::Branch { .. } => Ok([&[Entries], &x[1..]].concat()),
            Op::Squeeze { axis } if x.get(axis) != Some(&Size(1)) => {
                Err(format!("axis {axis} is not of size 1"))
            }
            Op::Squeeze { axis } => Ok([&x[..axis], &x[axis + 1..]].concat()),
            Op::Unsqueeze { axis } if axis > x.len() => Err(format!("there is no place {axis}")),
            Op::Unsqueeze { axis } => Ok([&x[..axis], &[Size(1)], &x[axis..]].concat()),
            _ => Ok(x.to_vec()),
        }
    }
}

fn with(shape: &[Dim], axis: usize, dim: Dim) -> Vec<Dim> {
    let mut shape = shape.to_vec();
    shape[axis] = dim;
    shape
}

/// Axes from the last one on; sizes of 1 stretch.
fn broadcast(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, String> {
    let rank = a.len().max(b.len());
    let padded = |shape: &[Dim]| [vec![Size(1); rank - shape.len()], shape.to_vec()].concat();
    let dims = padded(a).into_iter().zip(padded(b)).map(|pair| match pair {
        (a, b) if a == b || b == Size(1) => Ok(a),
        (Size(1), b) => Ok(b),
        _ => Err(format!("{} does not broadcast with {}", text(a), text(b))),
    });
    if rank > 4 { Err("it takes at most four axes".into()) } else { dims.collect() }
}
