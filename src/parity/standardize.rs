//! Cases of images by mean and deviation of their own.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::standardize::{STATISTICS, Standardize};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let list = Standardize { images: 5, pixels: 6, branches: 1, first: 0 };
    let pairs = Standardize { images: 34, pixels: 13, branches: 2, first: 0 };
    vec![
        case("list", list, (3, 5), layout),
        case("pairs", pairs, (2, 17), layout),
        case("piece of a batch", Standardize { images: 6, first: 4, ..pairs }, (0, 7), layout),
        case("short batch", Standardize { images: 20, pixels: 9, ..list }, (1, 3), layout),
        case("one pixel", Standardize { images: 3, pixels: 1, ..list }, (0, 3), layout),
    ]
}

fn case(name: &str, op: Standardize, (first, count): (u32, u32), layout: Layout) -> Case {
    const KNOWN: usize = 9;
    let mut maker = Maker::new(("standardize", "forward"), name, layout);
    let mut random = maker.random();
    let list = (first + count) * op.branches;
    let index = maker.words("index", (0..list).map(|_| random.below(KNOWN as u32)).collect());
    let statistics = maker.numbers("statistics", STATISTICS * KNOWN);
    // It holds what it will be made of.
    let y = maker.output_images("y", op.images as usize, op.pixels as usize, true);
    maker.step(op.forward(index, statistics, y));
    maker.slot(Slot { first, count, ..Slot::default() });
    maker.done()
}
