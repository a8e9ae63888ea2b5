//! Contrastive loss on the CPU.

use crate::ops::contrastive::{Contrastive, Convention};

/// Plain loops.
pub mod reference {
    use super::{Contrastive, Convention};
    use crate::cpu::{Io, Real};

    /// Whether the loss pushes this value up to the margin, rather than down to 0.
    fn pushed(loss: &Contrastive, same: bool) -> bool {
        same == (loss.convention == Convention::Similarity)
    }

    /// What the value lacks to the margin.
    fn shortfall<T: Real>(loss: &Contrastive, value: T) -> T {
        let margin = T::of(loss.margin);
        if value >= margin { T::of(0.0) } else { margin - value }
    }

    fn called_same<T: Real>(loss: &Contrastive, value: T) -> bool {
        match loss.convention {
            Convention::Similarity => value > T::of(0.5),
            Convention::Distance => value < T::of(loss.margin) * T::of(0.5),
        }
    }

    pub fn forward<T: Real>(loss: &Contrastive, io: &mut Io<'_, T>) {
        let (x, same, history) = (io.read("x"), io.words("same"), io.write("history"));
        let count = io.slot.count.min(loss.pairs) as usize;
        let same = &same[io.slot.first as usize..];
        let mut sum = T::of(0.0);
        let mut hits = 0;
        for (&value, &same) in x[..count].iter().zip(same) {
            let root = if pushed(loss, same != 0) { shortfall(loss, value) } else { value };
            sum += root * root;
            hits += u32::from(called_same(loss, value) == (same != 0));
        }
        let row = 2 * io.slot.index as usize;
        history[row] = sum / T::of(count as f32);
        history[row + 1] = T::of(hits as f32);
    }

    pub fn backward<T: Real>(loss: &Contrastive, io: &mut Io<'_, T>) {
        let (x, same, dx) = (io.read("x"), io.words("same"), io.write("dx"));
        let count = io.slot.count.min(loss.pairs) as usize;
        let same = &same[io.slot.first as usize..];
        dx.fill(T::of(0.0));
        for ((dx, &value), &same) in dx[..count].iter_mut().zip(x).zip(same) {
            let slope = if pushed(loss, same != 0) { -shortfall(loss, value) } else { value };
            *dx = T::of(2.0) * slope / T::of(count as f32);
        }
    }
}

/// A few numbers a pair: plain loops are fast.
pub mod fast {
    pub use super::reference::{backward, forward};
}
