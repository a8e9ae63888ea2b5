//! Cases of the history's rows.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::record::Record;
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let case = |(index, loss): (u32, f32)| {
        let mut maker = Maker::new(("record", "forward"), format!("row {index}"), layout);
        let loss = maker.values("loss", vec![loss]);
        let correct = maker.numbers("correct", 1);
        // Other rows stay.
        let history = maker.output("history", 10, true);
        maker.step(Record { scale: 96.0 }.forward(loss, correct, history));
        maker.slot(Slot { index, ..Slot::default() });
        maker.done()
    };
    [(0, 0.75), (3, -1.5), (4, f32::NAN)].map(case).into()
}
