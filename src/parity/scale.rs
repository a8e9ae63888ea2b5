//! Cases of channels times their factors.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::scale::Scale;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (images, channels, spatial) in [(1, 1, 1), (3, 5, 1), (2, 3, 64), (17, 7, 49), (35, 2, 10)] {
        let scale = Scale { images, channels, spatial, accumulate: false };
        let name = format!("{images} x {channels} x {spatial}");
        let (images, values) = (images as usize, (channels * spatial) as usize);
        let mut maker = Maker::new(("scale", "forward"), &name, layout);
        let (x, factor) =
            (maker.images("x", images, values), maker.images("scale", images, channels as usize));
        let y = maker.output_images("y", images, values, false);
        maker.step(scale.forward(x, factor, y));
        cases.push(maker.done());
        for accumulate in [false, true] {
            let name = if accumulate { format!("{name}, added") } else { name.clone() };
            let scale = Scale { accumulate, ..scale };
            let mut maker = Maker::new(("scale", "backward_input"), &name, layout);
            let (dy, factor) =
                (maker.images("dy", images, values), maker.images("scale", images, channels as usize));
            let dx = maker.output_images("dx", images, values, accumulate);
            maker.step(scale.backward_input(dy, factor, dx));
            cases.push(maker.done());
            let mut maker = Maker::new(("scale", "backward_scale"), &name, layout);
            let (x, dy) = (maker.images("x", images, values), maker.images("dy", images, values));
            let dscale = maker.output_images("dscale", images, channels as usize, accumulate);
            maker.step(scale.backward_scale(x, dy, dscale));
            cases.push(maker.done());
        }
    }
    cases
}
