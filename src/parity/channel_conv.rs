//! Cases of the convolution across channels.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::channel_conv::ChannelConv;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (images, channels, kernel) in [(1, 1, 1), (3, 9, 3), (17, 64, 5), (35, 130, 3), (2, 3, 9)] {
        let conv = ChannelConv { images, channels, kernel, accumulate: false };
        let name = format!("{images} x {channels}, kernel {kernel}");
        let [images, channels, kernel] = [images, channels, kernel].map(|length| length as usize);
        let mut maker = Maker::new(("channel_conv", "forward"), &name, layout);
        let (x, weight) = (maker.images("x", images, channels), maker.numbers("weight", kernel));
        let y = maker.output_images("y", images, channels, false);
        maker.step(conv.forward(x, weight, y));
        cases.push(maker.done());
        for accumulate in [false, true] {
            let name = if accumulate { format!("{name}, added") } else { name.clone() };
            let conv = ChannelConv { accumulate, ..conv };
            let mut maker = Maker::new(("channel_conv", "backward_input"), &name, layout);
            let (dy, weight) = (maker.images("dy", images, channels), maker.numbers("weight", kernel));
            let dx = maker.output_images("dx", images, channels, accumulate);
            maker.step(conv.backward_input(dy, weight, dx));
            cases.push(maker.done());
            let mut maker = Maker::new(("channel_conv", "backward_weight"), &name, layout);
            let (x, dy) = (maker.images("x", images, channels), maker.images("dy", images, channels));
            let dweight = maker.output("dweight", kernel, accumulate);
            maker.step(conv.backward_weight(x, dy, dweight));
            cases.push(maker.done());
        }
    }
    cases
}
