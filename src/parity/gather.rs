//! Cases of the gather.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::gather::{Gather, words};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let low = Gather { images: 22, pixels: 7, branches: 2, first: 0, first_resident: 0, resident: 4 };
    let high = Gather { first_resident: 4, resident: 5, ..low };
    let plain = Gather { images: 5, pixels: 6, branches: 1, first: 0, first_resident: 0, resident: 9 };
    vec![
        case("list", &[plain], Slot { first: 3, count: 5, ..Slot::default() }, layout),
        case("pairs", &[Gather { images: 34, branches: 2, pixels: 13, ..plain }], slot(2, 17), layout),
        case(
            "piece of a batch",
            &[Gather { images: 6, branches: 2, first: 4, pixels: 4, ..plain }],
            slot(0, 7),
            layout,
        ),
        case("short batch", &[Gather { images: 20, branches: 1, pixels: 9, ..plain }], slot(1, 3), layout),
        case("one byte", &[Gather { images: 3, pixels: 1, ..plain }], slot(0, 3), layout),
        case("two windows of the data", &[low, high], slot(1, 11), layout),
        // What one window writes of the other's images is not always overwritten.
        case("two windows, the later first", &[high, low], slot(1, 11), layout),
    ]
}

fn slot(first: u32, count: u32) -> Slot {
    Slot { first, count, ..Slot::default() }
}

fn case(name: &str, windows: &[Gather], slot: Slot, layout: Layout) -> Case {
    let mut maker = Maker::new(("gather", "forward"), name, layout);
    let one = &windows[0];
    let mut random = maker.random();
    let data: Vec<_> = windows
        .iter()
        .map(|window| {
            let bytes = (0..window.resident as usize * words(window.pixels as usize)).map(|_| random.word());
            maker.words("data", bytes.collect())
        })
        .collect();
    let total: u32 = windows.iter().map(|window| window.resident).sum();
    let list = (slot.first + slot.count) * one.branches;
    let index = maker.words("index", (0..list).map(|_| random.below(total)).collect());
    let y = maker.output_images("y", one.images as usize, one.pixels as usize, false);
    for (window, data) in windows.iter().zip(data) {
        maker.step(window.forward(data, index, y));
    }
    maker.slot(slot);
    maker.done()
}
