//! Cases of the gather through affine maps.

use super::case::{Case, Maker};
use crate::data::augment::{Augmentation, IDENTITY, Matrix};
use crate::ops::Layout;
use crate::ops::warp::Warp;
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let one = Warp {
        images: 5,
        channels: 1,
        height: 6,
        width: 7,
        branches: 1,
        first: 0,
        first_resident: 0,
        resident: 9,
    };
    let low = Warp { images: 22, channels: 2, height: 3, width: 3, branches: 2, resident: 4, ..one };
    let high = Warp { first_resident: 4, resident: 5, ..low };
    vec![
        case("list", &[one], slot(3, 5), some, layout),
        case(
            "pairs in colour",
            &[Warp { images: 34, branches: 2, channels: 3, ..one }],
            slot(2, 17),
            some,
            layout,
        ),
        case("as they are", &[Warp { images: 18, height: 9, ..one }], slot(0, 18), |_| IDENTITY, layout),
        case("whole pixels", &[Warp { images: 18, ..one }], slot(0, 18), by_pixels, layout),
        case("far out", &[Warp { images: 18, ..one }], slot(0, 18), far, layout),
        case(
            "piece of a batch",
            &[Warp { images: 6, branches: 2, first: 4, ..one }],
            slot(0, 7),
            some,
            layout,
        ),
        case("short batch", &[Warp { images: 20, width: 5, ..one }], slot(1, 3), some, layout),
        case("one pixel", &[Warp { images: 3, height: 1, width: 1, ..one }], slot(0, 3), some, layout),
        case("two windows of the data", &[low, high], slot(1, 11), some, layout),
        // What one window writes of the other's images is not always overwritten.
        case("two windows, the later first", &[high, low], slot(1, 11), some, layout),
    ]
}

fn slot(first: u32, count: u32) -> Slot {
    Slot { first, count, ..Slot::default() }
}

/// Everything at once, small enough that most of an image stays.
fn some(index: u64) -> Matrix {
    let all = Augmentation {
        shift: 1.5,
        rotate: 30.0,
        shear: 0.2,
        zoom: [0.7, 1.3],
        flip: true,
        ..Augmentation::default()
    };
    all.matrix(0, 0, index)
}

/// Places that are pixels, and the edges of the image among them.
fn by_pixels(index: u64) -> Matrix {
    let pixels = |number: u64| (number as i32 - 9) << 16;
    [1 << 15, 0, pixels(index), 0, 1 << 15, pixels(index % 7 + 6)]
}

/// Far outside, further than integers reach.
fn far(index: u64) -> Matrix {
    let sign = if index.is_multiple_of(2) { 1 } else { -1 };
    [sign << 29, 3 << 20, sign << (index % 16 + 15), 5 << 20, -sign << 29, i32::MAX]
}

fn case(name: &str, windows: &[Warp], slot: Slot, matrix: fn(u64) -> Matrix, layout: Layout) -> Case {
    let mut maker = Maker::new(("warp", "forward"), name, layout);
    let one = &windows[0];
    let mut random = maker.random();
    let data: Vec<_> = windows
        .iter()
        .map(|window| {
            let words = (0..window.resident as usize * window.words()).map(|_| random.word());
            maker.words("data", words.collect())
        })
        .collect();
    let total: u32 = windows.iter().map(|window| window.resident).sum();
    let list = (slot.first + slot.count) * one.branches;
    let index = maker.words("index", (0..list).map(|_| random.below(total)).collect());
    let words = (0..u64::from(list)).flat_map(matrix).map(|word| word as u32);
    let matrices = maker.words("matrices", words.collect());
    let y = maker.output_images("y", one.images as usize, one.pixels(), false);
    for (window, data) in windows.iter().zip(data) {
        maker.step(window.forward(data, index, matrices, y));
    }
    maker.slot(slot);
    maker.done()
}
