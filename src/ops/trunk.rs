//! A subnet of two convolutions and two dense layers, an image to a workgroup: the forward pass in one
//! launch, the backward pass in another, the sums over the images and the optimizer in a third.

use super::activation::{Activation, ActivationKind};
use super::adam::Adam;
use super::conv2d::{Conv2d, nested};
use super::dense::Dense;
use super::distance::DistanceKind;
use super::gather::words;
use super::pool2d::{Pool2d, PoolKind};
use super::{Cost, FUSED_WORKGROUP, Step, TENSOR_ALIGN, View, attributes, step};

attributes! {
    /// Image `m` as `gather` finds it; twice [`Conv2d`] of stride 1, activation and [`Pool2d`] of 2x2; twice
    /// [`Dense`] and activation. Backwards from the distances of pairs of images `m` and `images / 2 + m`.
    pub struct Trunk {
        pub images: u32,
        /// Images that stand together in a list entry: 2 for pairs, 1 for plain lists.
        pub branches: u32,
        pub channels: u32,
        pub height: u32,
        pub width: u32,
        pub filters1: u32,
        pub kernel1: u32,
        pub padding1: u32,
        /// Filters that the backward pass takes at a time, and how many lanes share their rows:
        /// [`Trunk::fitted`] sets them.
        pub group1: u32,
        pub splits1: u32,
        pub filters2: u32,
        pub kernel2: u32,
        pub padding2: u32,
        pub group2: u32,
        pub splits2: u32,
        /// Outputs of the first dense layer.
        pub hidden: u32,
        /// Outputs of the second: the embedding.
        pub features: u32,
        /// Parameters behind the subnet's, the head's: numbers whose gradients are there already.
        pub scalars: u32,
        pub activation: ActivationKind,
        pub pool: PoolKind,
        pub distance: DistanceKind,
        /// Smallest squared distance.
        pub squared_floor: f32,
        /// As in [`Adam`].
        pub beta1: f32,
        pub rest1: f32,
        pub beta2: f32,
        pub rest2: f32,
        pub eps: f32,
    }
}

/// Values of workgroup memory (`MEMORY` in the shader): 16 KiB less what `common.wgsl` takes.
pub const MEMORY: usize = 4032;
/// Side of the largest kernel (`TAPS` in the shader).
const TAPS: u32 = 8;
/// Lanes that share a row of a dense weight (`SHARERS` in the shader).
const SHARERS: usize = 8;

/// A convolution with its pool, and where its tensors stand.
#[derive(Clone, Copy, Debug)]
pub struct ConvPart {
    pub conv: Conv2d,
    pub pool: Pool2d,
    /// In the buffers of parameters.
    pub weight: usize,
    pub bias: usize,
    /// In a row of `saved`.
    pub pooled: usize,
    pub slopes: usize,
    /// In a row of `parts`.
    pub dweight: usize,
    pub dbias: usize,
    pub dpooled: usize,
}

/// A dense layer, and where its tensors stand.
#[derive(Clone, Copy, Debug)]
pub struct DensePart {
    pub dense: Dense,
    pub weight: usize,
    pub bias: usize,
    /// Its input, in a row of `saved`.
    pub x: usize,
    /// In a row of `parts`.
    pub delta: usize,
}

/// All layers and the lengths of what they share.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub convs: [ConvPart; 2],
    pub denses: [DensePart; 2],
    /// Elements of the subnet's parameters, from the first tensor to the end of the last.
    pub parameters: usize,
    /// Elements of an image's row in `saved` and in `parts`.
    pub saved: usize,
    pub parts: usize,
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(TENSOR_ALIGN)
}

impl Trunk {
    /// Values of one image.
    pub fn pixels(&self) -> usize {
        (self.channels * self.height * self.width) as usize
    }

    /// The layers, and where everything stands.
    pub fn parts(&self) -> Parts {
        let first = self.conv_part(
            (self.channels, self.height, self.width),
            (self.filters1, self.kernel1, self.padding1),
            [0; 3],
        );
        let ends = |part: &ConvPart| {
            [
                part.bias + aligned(part.conv.out_channels as usize),
                part.slopes + 4 * part.pool.out_len(),
                part.dpooled + part.pool.out_len(),
            ]
        };
        let pooled = &first.pool;
        let second = self.conv_part(
            (pooled.channels, pooled.out_height() as u32, pooled.out_width() as u32),
            (self.filters2, self.kernel2, self.padding2),
            ends(&first),
        );
        let [parameters, saved, parts] = ends(&second);
        let dense = |inputs: usize, outputs, weight, x, delta| {
            let bias = weight + aligned(inputs * outputs as usize);
            let dense = Dense {
                images: self.images,
                inputs: inputs as u32,
                outputs,
                first_row: 0,
                rows: outputs,
                accumulate: false,
            };
            DensePart { dense, weight, bias, x, delta }
        };
        let (hidden, features) = (self.hidden as usize, self.features as usize);
        let inner = dense(second.pool.out_len(), self.hidden, parameters, second.pooled, parts);
        let outer = dense(hidden, self.features, inner.bias + aligned(hidden), saved, parts + hidden);
        Parts {
            convs: [first, second],
            denses: [inner, outer],
            parameters: outer.bias + aligned(features),
            saved: saved + hidden,
            parts: parts + hidden + features,
        }
    }

    fn conv_part(
        &self,
        (in_channels, in_height, in_width): (u32, u32, u32),
        (out_channels, kernel, padding): (u32, u32, u32),
        [weight, pooled, dweight]: [usize; 3],
    ) -> ConvPart {
        let conv = Conv2d {
            images: self.images,
            in_channels,
            in_height,
            in_width,
            out_channels,
            groups: 1,
            kernel_height: kernel,
            kernel_width: kernel,
            stride: 1,
            padding_height: padding,
            padding_width: padding,
            biased: true,
            images_per_part: 1,
            accumulate: false,
        };
        let pool = Pool2d {
            images: self.images,
            channels: out_channels,
            in_height: conv.out_height() as u32,
            in_width: conv.out_width() as u32,
            size: 2,
            stride: 2,
            padding: 0,
            kind: self.pool,
            accumulate: false,
        };
        let dbias = dweight + conv.weight_len();
        ConvPart {
            conv,
            pool,
            weight,
            bias: weight + aligned(conv.weight_len()),
            pooled,
            slopes: pooled + pool.out_len(),
            dweight,
            dbias,
            dpooled: dbias + out_channels as usize,
        }
    }

    /// The activation behind a layer of `values` values an image.
    pub fn activation_of(&self, values: usize) -> Activation {
        Activation { count: self.images * values as u32, kind: self.activation, accumulate: false }
    }

    /// With the groups of filters chosen so that every layer fits the workgroup memory.
    ///
    /// # Errors
    /// Which layer (0 to 3) does not, and why.
    pub fn fitted(mut self) -> Result<Self, (usize, String)> {
        let Parts { convs, denses, .. } = self.parts();
        for (number, part) in convs.iter().enumerate() {
            let wrong = |why: String| Err((number, why));
            let Conv2d { kernel_height: kernel, padding_height: padding, .. } = part.conv;
            if kernel > TAPS || padding >= kernel {
                return wrong(format!(
                    "its kernel is {kernel}x{kernel} with padding {padding}, the largest is {TAPS}x{TAPS} \
                     with padding {}",
                    TAPS - 1
                ));
            }
            if part.pool.in_height < 2 || part.pool.in_width < 2 {
                return wrong("its output is smaller than a window of the pool".into());
            }
            let Some((group, splits)) = groups(&part.conv, number > 0) else {
                return wrong(format!("its activations take more than {} bytes", 4 * MEMORY));
            };
            if number == 0 {
                (self.group1, self.splits1) = (group, splits);
            } else {
                (self.group2, self.splits2) = (group, splits);
            }
        }
        let longest = longest(&denses);
        for (number, part) in denses.iter().enumerate() {
            let sums = SHARERS * part.dense.outputs as usize;
            if 2 * longest + sums.max(FUSED_WORKGROUP).max(part.dense.inputs as usize) > MEMORY {
                return Err((2 + number, format!("its vectors take more than {} bytes", 4 * MEMORY)));
            }
        }
        Ok(self)
    }

    /// `data` [.., words] packed bytes, `index` list of image numbers, `parameters` -> `saved`, what
    /// [`Trunk::backward`] needs, and `embedding` [images, features].
    pub fn forward(&self, data: View, index: View, parameters: View, saved: View, embedding: View) -> Step {
        let Parts { convs, denses, .. } = self.parts();
        let mut iterations = 0;
        for part in &convs {
            let Conv2d { out_channels, in_channels, kernel_height: kernel, .. } = part.conv;
            let tasks = out_channels.div_ceil(2) as usize * part.pool.out_height() * part.pool.out_width();
            iterations += per_lane(full_len(&part.conv));
            iterations += per_lane(tasks) * (nested(&[in_channels, kernel, kernel]) + 14);
        }
        for part in &denses {
            let Dense { inputs, outputs, .. } = part.dense;
            iterations += per_lane(inputs as usize);
            iterations += (outputs as usize).div_ceil(4 * FUSED_WORKGROUP / SHARERS)
                * (5 + (inputs as usize).div_ceil(SHARERS));
            iterations += per_lane(outputs as usize) * (2 + SHARERS);
        }
        step(
            ("trunk", "forward"),
            self.constants(),
            &[("data", data), ("index", index), ("parameters", parameters)],
            &[("saved", saved), ("embedding", embedding)],
            Cost::groups(self.images as usize, iterations, self.flops()),
        )
    }

    /// What [`Trunk::forward`] read and left, and `compared` [2, pairs] -> `parts`, each image's share of
    /// the gradients.
    pub fn backward(&self, inputs: &BackwardViews, parts: View) -> Step {
        let Parts { convs, denses, .. } = self.parts();
        let mut iterations = 0;
        for (number, part) in convs.iter().enumerate() {
            let Conv2d { in_channels, kernel_height: kernel, .. } = part.conv;
            let (group, splits) =
                if number == 0 { (self.group1, self.splits1) } else { (self.group2, self.splits2) };
            let (height, width) = (part.conv.out_height() as u32, part.conv.out_width() as u32);
            let mut of_a_group = per_lane(deltas_len(&part.conv, group, number > 0));
            of_a_group += nested(&[height.div_ceil(splits), width.div_ceil(4), kernel]) + 2 * kernel as usize;
            of_a_group +=
                per_lane(((group * in_channels * kernel) * (kernel + 1)) as usize) * (1 + splits as usize);
            if number > 0 {
                let places = part.conv.in_height.div_ceil(2) * part.conv.in_width.div_ceil(2);
                let tasks = (in_channels.div_ceil(2) * places) as usize;
                of_a_group += per_lane(tasks) * (nested(&[group, kernel, kernel]) + 5);
            }
            iterations += per_lane(full_len(&part.conv)) + per_lane(part.conv.in_len());
            iterations += part.conv.out_channels.div_ceil(group) as usize * (1 + of_a_group);
        }
        for part in &denses {
            let (inputs, outputs) = (part.dense.inputs as usize, part.dense.outputs as usize);
            let sharers = (FUSED_WORKGROUP / inputs).max(1);
            iterations +=
                per_lane(outputs) + per_lane(sharers * inputs) * (1 + outputs.div_ceil(4 * sharers));
            iterations += per_lane(inputs) * (1 + sharers);
        }
        // As many products as forward for the weights' gradients, which only the convolutions' are here,
        // and for the inputs', which the first layer has not.
        let products: usize = convs.iter().map(|part| part.conv.out_len() * part.conv.filter_len()).sum();
        let first = convs[0].conv.out_len() * convs[0].conv.filter_len();
        let flops = self.flops() + 2 * self.images as usize * (products - first);
        step(
            ("trunk", "backward"),
            self.constants(),
            &[
                ("data", inputs.data),
                ("index", inputs.index),
                ("parameters", inputs.parameters),
                ("kept", inputs.kept),
                ("embedded", inputs.embedded),
                ("compared", inputs.compared),
            ],
            &[("parts", parts)],
            Cost::groups(self.images as usize, iterations, flops),
        )
    }

    /// `kept`, what forward saved, and `shares`, each image's parts -> the gradients of all parameters, and
    /// what [`Adam`] makes of them.
    pub fn update(&self, kept: View, shares: View, gradient: View, views: &UpdateViews) -> Step {
        let Parts { parameters, denses, .. } = self.parts();
        let count = parameters + TENSOR_ALIGN * self.scalars as usize;
        let products: usize =
            denses.iter().map(|part| (part.dense.inputs * part.dense.outputs) as usize).sum();
        let images = self.images as usize;
        step(
            ("trunk", "update"),
            self.constants(),
            &[("kept", kept), ("shares", shares)],
            &[
                ("gradient", gradient),
                ("parameter", views.parameter),
                ("first_moment", views.first_moment),
                ("second_moment", views.second_moment),
            ],
            Cost::each(count, images, images * (count + products) + 13 * count),
        )
    }

    /// The optimizer that [`Trunk::update`] runs, on `count` parameters.
    pub fn adam(&self, count: usize) -> Adam {
        let Trunk { beta1, rest1, beta2, rest2, eps, .. } = *self;
        Adam { count: count as u32, beta1, rest1, beta2, rest2, eps, decays: false }
    }

    /// Of the forward pass.
    fn flops(&self) -> usize {
        let Parts { convs, denses, .. } = self.parts();
        let convs = convs.iter().map(|part| part.conv.out_len() * (part.conv.filter_len() + 2));
        let denses = denses.iter().map(|part| (part.dense.inputs * part.dense.outputs) as usize);
        2 * self.images as usize * convs.chain(denses).sum::<usize>()
    }

    /// Words of one stored image.
    pub fn words(&self) -> usize {
        words(self.pixels())
    }
}

/// What [`Trunk::backward`] reads.
#[derive(Clone, Copy, Debug)]
pub struct BackwardViews {
    pub data: View,
    pub index: View,
    pub parameters: View,
    pub kept: View,
    pub embedded: View,
    pub compared: View,
}

/// What [`Trunk::update`] updates, besides the gradient.
#[derive(Clone, Copy, Debug)]
pub struct UpdateViews {
    pub parameter: View,
    pub first_moment: View,
    pub second_moment: View,
}

/// Rounds of the lanes over so many elements.
fn per_lane(count: usize) -> usize {
    count.div_ceil(FUSED_WORKGROUP)
}

/// Values of a layer's input with its padding.
fn full_len(conv: &Conv2d) -> usize {
    let side = |length| (length + 2 * conv.padding_width) as usize;
    conv.in_channels as usize * side(conv.in_height) * side(conv.in_width)
}

/// Values of the output's gradient for `group` filters; a layer that passes it on frames it with zeros.
fn deltas_len(conv: &Conv2d, group: u32, inward: bool) -> usize {
    let frame = if inward { 2 * (conv.kernel_width - 1 - conv.padding_width) as usize } else { 0 };
    group as usize * (conv.out_height() + frame) * (conv.out_width() + frame)
}

/// Filters at a time, as equal as may be, and the lanes that share their rows. `None` where not even one fits.
fn groups(conv: &Conv2d, inward: bool) -> Option<(u32, u32)> {
    let dinput = if inward { conv.in_len() } else { 0 };
    let room = MEMORY.checked_sub(full_len(conv) + dinput)?;
    let rows = (conv.in_channels * conv.kernel_width) as usize;
    let sums = conv.kernel_width as usize + 1;
    let fits = |group: usize| {
        group * rows <= FUSED_WORKGROUP
            && deltas_len(conv, group as u32, inward).max(group * rows * sums) <= room
    };
    let filters = conv.out_channels as usize;
    let most = (1..=filters).rev().find(|&group| fits(group))?;
    let group = filters.div_ceil(filters.div_ceil(most));
    let tasks = group * rows;
    let splits = (FUSED_WORKGROUP / tasks).min(room / (tasks * sums)).min(conv.out_height());
    Some((group as u32, splits as u32))
}

fn longest(denses: &[DensePart; 2]) -> usize {
    let outputs = denses.iter().map(|part| part.dense.outputs as usize).max().unwrap_or(0);
    outputs.max(denses[0].dense.inputs as usize)
}
