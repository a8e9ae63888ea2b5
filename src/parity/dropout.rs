//! Cases of dropout. No value is 0, so a mask that differs in one bit is an element that is wrong.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::dropout::{Dropout, hash};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let plain = Dropout {
        images: 5,
        values: 7,
        branches: 1,
        first: 0,
        layer: 0,
        threshold: 1 << 31,
        scale: 2.0,
        accumulate: false,
    };
    let tenth = rate(0.1, Dropout { images: 34, values: 129, branches: 2, layer: 3, ..plain });
    let shapes = [
        ("a half", plain, [1, 2]),
        ("a tenth of pairs", tenth, [0x89ab_cdef, 0x0123_4567]),
        ("another layer", Dropout { layer: 4, ..tenth }, [0x89ab_cdef, 0x0123_4567]),
        ("another step", tenth, [0x89ab_cdef, 0x0123_4568]),
        ("piece of a batch", Dropout { images: 18, first: 5, ..tenth }, [u32::MAX, 0]),
        // An element whose number is the threshold stays.
        ("on the threshold", Dropout { threshold: hash([1, 2], 0, 3), ..plain }, [1, 2]),
        ("nothing", rate(0.0, plain), [3, 4]),
        ("nearly all", rate(0.97, Dropout { images: 17, values: 40, ..plain }), [5, 6]),
    ];
    let mut cases = Vec::new();
    for (name, dropout, seed) in shapes {
        let (images, values) = (dropout.images as usize, dropout.values as usize);
        let slot = Slot { seed_low: seed[0], seed_high: seed[1], ..Slot::default() };
        let mut maker = Maker::new(("dropout", "forward"), name, layout);
        let x = maker.images("x", images, values);
        let y = maker.output_images("y", images, values, false);
        maker.step(dropout.forward(x, y));
        maker.slot(slot);
        cases.push(maker.done());
        for accumulate in [false, true] {
            let name = if accumulate { format!("{name}, added") } else { name.to_string() };
            let mut maker = Maker::new(("dropout", "backward"), name, layout);
            let dy = maker.images("dy", images, values);
            let dx = maker.output_images("dx", images, values, accumulate);
            maker.step(Dropout { accumulate, ..dropout }.backward(dy, dx));
            maker.slot(slot);
            cases.push(maker.done());
        }
    }
    cases
}

fn rate(rate: f32, dropout: Dropout) -> Dropout {
    let (threshold, scale) = Dropout::of_rate(rate);
    Dropout { threshold, scale, ..dropout }
}
