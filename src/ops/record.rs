//! A training step's loss and hits, into the history.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `history[slot.index] = (loss, scale correct)`.
    pub struct Record {
        /// From what `correct` holds, a mean or a sum, to how many were right.
        pub scale: f32,
    }
}

impl Record {
    /// `loss` [1], `correct` [1] -> `history` [.., 2], the other rows of which stay as they are.
    pub fn forward(&self, loss: View, correct: View, history: View) -> Step {
        step(
            ("record", "forward"),
            self.constants(),
            &[("loss", loss), ("correct", correct)],
            &[("history", history)],
            Cost::each(1, 0, 1),
        )
    }
}
