//! Cases of the convolution.

use super::case::{Case, Maker};
use crate::ops::conv2d::Conv2d;
use crate::ops::reduce::Reduce;
use crate::ops::{INTERLEAVE, ITERATION_BUDGET, Layout};

pub fn cases(layout: Layout) -> Vec<Case> {
    let shapes = [
        ("padded 5x5", conv(3, (1, 9, 11), 6, 5, 1, 2)),
        ("plain 5x5", conv(2, (6, 7, 6), 16, 5, 1, 0)),
        ("stride 2", conv(2, (3, 8, 9), 5, 3, 2, 1)),
        ("stride 3, kernel 2, unused edge", conv(2, (2, 9, 7), 3, 2, 3, 0)),
        ("stride 2, rows of two blocks", conv(2, (2, 5, 21), 3, 3, 2, 1)),
        ("padding beyond the kernel", conv(2, (1, 3, 4), 2, 2, 1, 2)),
        ("1x1", conv(17, (3, 5, 5), 7, 1, 1, 0)),
        ("1x1, stride 2", conv(3, (6, 7, 5), 9, 1, 2, 0)),
        ("1x1, stride 2, unbiased", Conv2d { biased: false, ..conv(18, (4, 6, 6), 8, 1, 2, 0) }),
        ("3x3, unbiased", Conv2d { biased: false, ..conv(2, (5, 6, 7), 9, 3, 1, 1) }),
        ("3x3, stride 2, even sides", conv(17, (4, 8, 6), 6, 3, 2, 1)),
        ("3x3, stride 3, padding 2", conv(2, (3, 7, 8), 4, 3, 3, 2)),
        ("7x7, stride 2, padding 3", conv(2, (3, 11, 10), 5, 7, 2, 3)),
        ("layer of a residual network", Conv2d { biased: false, ..conv(3, (32, 4, 4), 20, 3, 1, 1) }),
        ("groups", Conv2d { groups: 3, ..conv(2, (9, 6, 10), 15, 3, 1, 1) }),
        ("groups of more than a block", Conv2d { groups: 2, ..conv(18, (10, 5, 4), 20, 3, 2, 1) }),
        ("groups without padding", Conv2d { groups: 2, ..conv(3, (4, 6, 9), 6, 3, 1, 0) }),
        ("depthwise", Conv2d { groups: 7, ..conv(17, (7, 5, 6), 7, 3, 2, 1) }),
        (
            "depthwise, two outputs each",
            Conv2d { groups: 5, biased: false, ..conv(2, (5, 4, 9), 10, 2, 1, 0) },
        ),
        (
            "depthwise row on one place",
            oblong((1, 3), (0, 1), Conv2d { groups: 19, ..conv(18, (19, 1, 1), 19, 1, 1, 0) }),
        ),
        ("1x3", oblong((1, 3), (0, 1), conv(3, (4, 6, 9), 5, 1, 1, 0))),
        (
            "5x2, stride 2, in groups",
            oblong((5, 2), (2, 0), Conv2d { groups: 2, ..conv(17, (4, 9, 7), 6, 1, 2, 0) }),
        ),
        ("2x5, padding beyond one side", oblong((2, 5), (2, 1), conv(2, (3, 4, 8), 3, 1, 3, 0))),
        ("one output", conv(1, (2, 4, 4), 1, 4, 1, 0)),
        ("layer 1 of sn-lenet5", conv(19, (1, 28, 28), 6, 5, 1, 2)),
        ("layer 2 of sn-lenet5", conv(18, (6, 14, 14), 16, 5, 1, 0)),
    ];
    let mut cases = Vec::new();
    for (name, conv) in shapes {
        cases.push(forward(name, conv, layout));
        for accumulate in [false, true] {
            let name = if accumulate { format!("{name}, added") } else { name.to_string() };
            let conv = Conv2d { accumulate, ..conv };
            cases.push(backward_input(&name, conv, layout));
            cases.push(backward_weight(&name, conv, layout));
            cases.push(backward_bias(&name, conv, layout));
        }
    }
    cases.push(parts("parts", conv(35, (2, 6, 5), 3, 3, 1, 1), layout));
    // The grid folds over two dimensions, and has a workgroup too many.
    let wide = conv(1, (1, 1, 1), ITERATION_BUDGET as u32 + 2, 1, 1, 0);
    cases.push(backward_bias("more than 65,535 channels", wide, layout));
    cases
}

fn conv(
    images: u32,
    (in_channels, in_height, in_width): (u32, u32, u32),
    out_channels: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
) -> Conv2d {
    Conv2d {
        images,
        in_channels,
        in_height,
        in_width,
        out_channels,
        groups: 1,
        kernel_height: kernel,
        kernel_width: kernel,
        stride,
        padding_height: padding,
        padding_width: padding,
        biased: true,
        images_per_part: 2,
        accumulate: false,
    }
}

/// The same with another kernel and another padding: heights and widths.
fn oblong(kernel: (u32, u32), padding: (u32, u32), conv: Conv2d) -> Conv2d {
    let ((kernel_height, kernel_width), (padding_height, padding_width)) = (kernel, padding);
    Conv2d { kernel_height, kernel_width, padding_height, padding_width, ..conv }
}

fn forward(name: &str, conv: Conv2d, layout: Layout) -> Case {
    let mut maker = Maker::new(("conv2d", "forward"), name, layout);
    let x = maker.images("x", conv.images as usize, conv.in_len());
    let weight = maker.numbers("weight", conv.weight_len());
    let bias = maker.numbers("bias", conv.out_channels as usize);
    let y = maker.output_images("y", conv.images as usize, conv.out_len(), false);
    maker.step(conv.forward(x, weight, bias, y));
    maker.done()
}

fn backward_input(name: &str, conv: Conv2d, layout: Layout) -> Case {
    let mut maker = Maker::new(("conv2d", "backward_input"), name, layout);
    let dy = maker.images("dy", conv.images as usize, conv.out_len());
    let weight = maker.numbers("weight", conv.weight_len());
    let dx = maker.output_images("dx", conv.images as usize, conv.in_len(), conv.accumulate);
    maker.step(conv.backward_input(dy, weight, dx));
    maker.done()
}

/// With the sum over the parts, since how many there are is the executor's business.
fn backward_weight(name: &str, conv: Conv2d, layout: Layout) -> Case {
    let images_per_part = match layout {
        Layout::Plain => conv.images_per_part,
        Layout::Interleaved => INTERLEAVE as u32,
    };
    let conv = Conv2d { images_per_part, ..conv };
    let count = conv.weight_len();
    let mut maker = Maker::new(("conv2d", "backward_weight"), name, layout);
    let x = maker.images("x", conv.images as usize, conv.in_len());
    let dy = maker.images("dy", conv.images as usize, conv.out_len());
    let parts = maker.scratch("parts", conv.parts() * count);
    let dweight = maker.output("dweight", count, conv.accumulate);
    maker.step(conv.backward_weight(x, dy, parts));
    let reduce = Reduce { count: count as u32, parts: conv.parts() as u32, accumulate: conv.accumulate };
    maker.step(reduce.forward(parts, dweight));
    maker.done()
}

/// The partial sums themselves, over as many images as both executors can take at once.
fn parts(name: &str, conv: Conv2d, layout: Layout) -> Case {
    let conv = Conv2d { images_per_part: INTERLEAVE as u32, ..conv };
    let mut maker = Maker::new(("conv2d", "backward_weight"), name, layout);
    let x = maker.images("x", conv.images as usize, conv.in_len());
    let dy = maker.images("dy", conv.images as usize, conv.out_len());
    let parts = maker.output("parts", conv.parts() * conv.weight_len(), false);
    maker.step(conv.backward_weight(x, dy, parts));
    maker.done()
}

fn backward_bias(name: &str, conv: Conv2d, layout: Layout) -> Case {
    let mut maker = Maker::new(("conv2d", "backward_bias"), name, layout);
    let dy = maker.images("dy", conv.images as usize, conv.out_len());
    let dbias = maker.output("dbias", conv.out_channels as usize, conv.accumulate);
    maker.step(conv.backward_bias(dy, dbias));
    maker.done()
}
