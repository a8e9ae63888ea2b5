//! Cases of rows by index.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::take::Take;
use crate::plan::Slot;

/// Place of the batch in the list.
const FIRST: u32 = 3;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    let slot = Slot { first: FIRST, count: u32::MAX, ..Slot::default() };
    for (rows, table_rows, features) in [(1, 1, 1), (5, 9, 3), (70, 11, 7), (33, 40, 84)] {
        let op = |accumulate| Take { rows, table_rows, features, accumulate };
        let name = format!("{rows} of {table_rows} rows of {features}");
        let index = |maker: &mut Maker| {
            let mut random = maker.random();
            maker.words("index", (0..FIRST + rows).map(|_| random.below(table_rows)).collect())
        };

        let mut maker = Maker::new(("take", "forward"), &name, layout);
        let mut values = maker.signed((table_rows * features) as usize);
        values[0] = f32::NAN;
        let x = maker.values("x", values);
        let index_view = index(&mut maker);
        let y = maker.output("y", (rows * features) as usize, false);
        maker.step(op(false).forward(x, index_view, y));
        maker.slot(slot);
        cases.push(maker.done());

        for accumulate in [false, true] {
            let name = if accumulate { format!("{name}, added") } else { name.clone() };
            let mut maker = Maker::new(("take", "backward"), name, layout);
            let dy = maker.numbers("dy", (rows * features) as usize);
            let index_view = index(&mut maker);
            let dx = maker.output("dx", (table_rows * features) as usize, accumulate);
            maker.step(op(accumulate).backward(dy, index_view, dx));
            maker.slot(slot);
            cases.push(maker.done());
        }
    }
    cases
}
