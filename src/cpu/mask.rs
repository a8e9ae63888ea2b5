//! Which entries of a batch belong together, on the CPU.

/// Plain loops.
pub mod reference {
    use crate::cpu::{Io, Real};
    use crate::ops::mask::{Mask, MaskKind};

    pub fn forward<T: Real>(mask: &Mask, io: &mut Io<'_, T>) {
        let (label, y) = (&io.words("label")[io.slot.first as usize..], io.write("y"));
        let count = io.slot.count as usize;
        for (i, row) in y.chunks_exact_mut(mask.columns as usize).enumerate() {
            for (j, y) in row.iter_mut().enumerate() {
                let flag = |holds: bool| T::of(f32::from(u8::from(holds)));
                *y = match mask.kind {
                    _ if i >= count => T::of(0.0),
                    MaskKind::OneHot => flag(label[i] as usize == j),
                    MaskKind::Same => T::of(label[i] as f32),
                    _ if j >= count => T::of(0.0),
                    MaskKind::Positives => flag(label[i] == label[j] && i != j),
                    MaskKind::Negatives => flag(label[i] != label[j]),
                    MaskKind::Diagonal => flag(i == j),
                };
            }
        }
    }
}

/// A comparison an element: plain loops are fast.
pub mod fast {
    pub use super::reference::forward;
}
