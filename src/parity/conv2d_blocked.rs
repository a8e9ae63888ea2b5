//! Cases of the convolution in register blocks.

use super::case::{Case, Maker};
use crate::ops::activation::ActivationKind;
use crate::ops::conv2d_blocked::Conv2dBlocked;
use crate::ops::reduce::Reduce;
use crate::ops::{INTERLEAVE, Layout};

pub fn cases(layout: Layout) -> Vec<Case> {
    let relu = Some(ActivationKind::Relu);
    let shapes = [
        ("padded 5x5", conv(3, (1, 9, 11), 6, 5, 1, 2, relu)),
        ("plain 5x5, two blocks of channels", conv(2, (9, 7, 6), 10, 5, 1, 0, None)),
        // Of more than a workgroup, so that what sticks out is missing elsewhere.
        ("two blocks of channels, short rows", conv(16, (9, 7, 7), 10, 3, 1, 1, relu)),
        ("two blocks of channels and columns", conv(8, (9, 4, 20), 10, 3, 1, 1, None)),
        ("stride 2, two blocks of channels", conv(16, (9, 6, 5), 10, 3, 2, 1, relu)),
        ("stride 2", conv(2, (3, 8, 9), 5, 3, 2, 1, Some(ActivationKind::Tanh))),
        ("stride 3, kernel 2, unused edge", conv(2, (2, 9, 7), 3, 2, 3, 0, Some(ActivationKind::Sigmoid))),
        ("stride 2, rows of two blocks", conv(2, (2, 5, 40), 3, 3, 2, 1, relu)),
        ("stride 2, kernel 4, padding 3", conv(2, (2, 7, 6), 3, 4, 2, 3, None)),
        ("padding beyond the kernel", conv(2, (1, 3, 4), 2, 2, 1, 2, None)),
        ("1x1", conv(17, (3, 5, 5), 7, 1, 1, 0, relu)),
        ("one output", conv(1, (2, 4, 4), 1, 4, 1, 0, relu)),
        ("10x10 on rows of three blocks", conv(1, (1, 12, 49), 2, 10, 1, 0, relu)),
        ("wide kernel", conv(1, (1, 16, 17), 2, 14, 1, 0, None)),
        ("layer 1 of sn-lenet5", conv(19, (1, 28, 28), 6, 5, 1, 2, relu)),
        ("layer 2 of sn-lenet5", conv(18, (6, 14, 14), 16, 5, 1, 0, relu)),
    ];
    shapes.into_iter().flat_map(|(name, conv)| of_shape(name, conv, layout)).collect()
}

fn conv(
    images: u32,
    (in_channels, in_height, in_width): (u32, u32, u32),
    out_channels: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
    activation: Option<ActivationKind>,
) -> Conv2dBlocked {
    Conv2dBlocked {
        images,
        in_channels,
        in_height,
        in_width,
        out_channels,
        kernel,
        stride,
        padding,
        images_per_part: 2,
        activated: activation.is_some(),
        activation: activation.unwrap_or(ActivationKind::Relu),
    }
}

fn of_shape(name: &str, conv: Conv2dBlocked, layout: Layout) -> Vec<Case> {
    vec![
        spread_input(name, conv, layout),
        block_gradient(name, conv, layout),
        pack(name, conv, layout),
        pack_turned(name, conv, layout),
        forward(name, conv, layout),
        backward_input(name, conv, layout),
        backward_weight(name, conv, layout),
    ]
}

fn maker(entry: &'static str, name: &str, layout: Layout) -> Maker {
    Maker::new(("conv2d_blocked", entry), name, layout)
}

fn spread_input(name: &str, conv: Conv2dBlocked, layout: Layout) -> Case {
    let (images, mut maker) = (conv.images as usize, maker("spread_input", name, layout));
    let x = maker.images("x", images, conv.conv().in_len());
    let to = maker.output_images("laid_out", images, conv.spread_len(), false);
    maker.step(conv.spread_input(x, to));
    maker.done()
}

fn block_gradient(name: &str, conv: Conv2dBlocked, layout: Layout) -> Case {
    let (images, mut maker) = (conv.images as usize, maker("block_gradient", name, layout));
    let dz = maker.images("dz", images, conv.conv().out_len());
    let to = maker.output_images("laid_out", images, conv.blocks_len(), false);
    maker.step(conv.block_gradient(dz, to));
    maker.done()
}

fn pack(name: &str, conv: Conv2dBlocked, layout: Layout) -> Case {
    let mut maker = maker("pack", name, layout);
    let weight = maker.numbers("weight", conv.conv().weight_len());
    let to = maker.output("laid_out", conv.packed_len(), false);
    maker.step(conv.pack(weight, to));
    maker.done()
}

fn pack_turned(name: &str, conv: Conv2dBlocked, layout: Layout) -> Case {
    let mut maker = maker("pack_turned", name, layout);
    let weight = maker.numbers("weight", conv.conv().weight_len());
    let to = maker.output("laid_out", conv.turned_len(), false);
    maker.step(conv.pack_turned(weight, to));
    maker.done()
}

/// From a plain input and weight: what is laid out has zeros where the product relies on them.
fn forward(name: &str, conv: Conv2dBlocked, layout: Layout) -> Case {
    let (images, mut maker) = (conv.images as usize, maker("forward", name, layout));
    let x = maker.images("x", images, conv.conv().in_len());
    let weight = maker.numbers("weight", conv.conv().weight_len());
    let bias = maker.numbers("bias", conv.out_channels as usize);
    let spread = maker.scratch_images("spread", images, conv.spread_len());
    let filters = maker.scratch("filters", conv.packed_len());
    let y = maker.output_images("y", images, conv.conv().out_len(), false);
    maker.step(conv.spread_input(x, spread));
    maker.step(conv.pack(weight, filters));
    maker.step(conv.forward(spread, filters, bias, y));
    maker.done()
}

fn backward_input(name: &str, conv: Conv2dBlocked, layout: Layout) -> Case {
    let (images, mut maker) = (conv.images as usize, maker("backward_input", name, layout));
    let dz = maker.images("dz", images, conv.conv().out_len());
    let weight = maker.numbers("weight", conv.conv().weight_len());
    let blocks = maker.scratch_images("blocks", images, conv.blocks_len());
    let filters = maker.scratch("filters", conv.turned_len());
    let dx = maker.output_images("dx", images, conv.conv().in_len(), false);
    maker.step(conv.block_gradient(dz, blocks));
    maker.step(conv.pack_turned(weight, filters));
    maker.step(conv.backward_input(blocks, filters, dx));
    maker.done()
}

/// With the sum over the parts, since how many there are is the executor's business.
fn backward_weight(name: &str, conv: Conv2dBlocked, layout: Layout) -> Case {
    let images_per_part = match layout {
        Layout::Plain => conv.images_per_part,
        Layout::Interleaved => INTERLEAVE as u32,
    };
    let conv = Conv2dBlocked { images_per_part, ..conv };
    let parts = conv.conv().parts();
    let (images, mut maker) = (conv.images as usize, maker("backward_weight", name, layout));
    let x = maker.images("x", images, conv.conv().in_len());
    let dz = maker.images("dz", images, conv.conv().out_len());
    let spread = maker.scratch_images("spread", images, conv.spread_len());
    let blocks = maker.scratch_images("blocks", images, conv.blocks_len());
    let count = conv.conv().weight_len();
    let partial = maker.scratch("parts", parts * count);
    let channels = conv.out_channels as usize;
    let bias_parts = maker.scratch("bias_parts", parts * channels);
    let dweight = maker.output("dweight", count, false);
    let dbias = maker.output("dbias", channels, false);
    maker.step(conv.spread_input(x, spread));
    maker.step(conv.block_gradient(dz, blocks));
    maker.step(conv.backward_weight(spread, blocks, partial, bias_parts));
    for (count, from, to) in [(count, partial, dweight), (channels, bias_parts, dbias)] {
        let reduce = Reduce { count: count as u32, parts: parts as u32, accumulate: false };
        maker.step(reduce.forward(from, to));
    }
    maker.done()
}
