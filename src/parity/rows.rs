//! Cases of rows out of tables and into them.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::rows::Rows;
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, rows, features, branches, count) in [
        ("pairs", 34, 84, 2, 17),
        ("list", 5, 3, 1, 5),
        ("short batch", 20, 7, 2, 6),
        ("one row", 1, 2, 1, 1),
    ] {
        let op = Rows { rows, features, branches };
        let slot = Slot { first: 2, count, ..Slot::default() };
        let table_rows = 40;

        let mut maker = Maker::new(("rows", "load"), name, layout);
        let table = maker.numbers("table", table_rows * features as usize);
        let mut random = maker.random();
        let list = (slot.first + count) * branches;
        let index = maker.words("index", (0..list).map(|_| random.below(table_rows as u32)).collect());
        let y = maker.output_images("y", rows as usize, features as usize, false);
        maker.step(op.load(table, index, y));
        maker.slot(slot);
        cases.push(maker.done());

        let mut maker = Maker::new(("rows", "store"), name, layout);
        let x = maker.images("x", rows as usize, features as usize);
        let stored = maker.output("stored", table_rows * features as usize, true);
        maker.step(op.store(x, stored));
        maker.slot(slot);
        cases.push(maker.done());
    }
    // Numbers of pairs have one feature and no layout of their own.
    let mut maker = Maker::new(("rows", "store"), "numbers", layout);
    let x = maker.numbers("x", 19);
    let stored = maker.output("stored", 30, true);
    maker.step(Rows { rows: 19, features: 1, branches: 1 }.store(x, stored));
    maker.slot(Slot { first: 7, count: 18, ..Slot::default() });
    cases.push(maker.done());
    cases
}
