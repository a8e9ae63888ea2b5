//! Cases of the scalar head.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::head::Head;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for pairs in [1, 7, 64, 203] {
        let (name, head, count) = (format!("{pairs} pairs"), Head { pairs }, pairs as usize);

        let mut maker = Maker::new(("head", "forward"), &name, layout);
        let mut values: Vec<f32> = maker.signed(count).iter().map(|x| 6.0 * x).collect();
        // Large arguments must saturate, not overflow.
        values[0] = 300.0;
        values[count / 2] = -300.0;
        let x = maker.values("x", values);
        let weight = maker.numbers("weight", 1);
        let bias = maker.numbers("bias", 1);
        let y = maker.output("y", count, false);
        maker.step(head.forward(x, weight, bias, y));
        cases.push(maker.done());

        let mut maker = Maker::new(("head", "backward_input"), &name, layout);
        let y = similarities(&mut maker, count);
        let dy = maker.numbers("dy", count);
        let weight = maker.numbers("weight", 1);
        let dx = maker.output("dx", count, false);
        maker.step(head.backward_input(y, dy, weight, dx));
        cases.push(maker.done());

        let mut maker = Maker::new(("head", "backward_weight"), &name, layout);
        let x = maker.numbers("x", count);
        let y = similarities(&mut maker, count);
        let dy = maker.numbers("dy", count);
        let dweight = maker.output("dweight", 1, false);
        let dbias = maker.output("dbias", 1, false);
        maker.step(head.backward_weight(x, y, dy, dweight, dbias));
        cases.push(maker.done());
    }
    cases
}

fn similarities(maker: &mut Maker, count: usize) -> crate::ops::View {
    let values = maker.signed(count).iter().map(|x| 0.5 + 0.49 * x).collect();
    maker.values("result", values)
}
