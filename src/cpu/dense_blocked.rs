//! Fully connected layers with their activation on the CPU: the layer, then the activation.

use super::{Io, Real, activation};
use crate::ops::Layout;
use crate::ops::dense_blocked::DenseBlocked;

/// Applies the activation to the window's outputs.
fn activate<T: Real>(dense: &DenseBlocked, y: &mut [T], layout: Layout) {
    if !dense.activated {
        return;
    }
    for image in 0..layout.len(dense.images as usize, 1) {
        for o in dense.first_row..dense.first_row + dense.rows {
            let y = &mut y[layout.place(image, o as usize, dense.outputs as usize)];
            *y = activation::value(dense.activation, *y);
        }
    }
}

macro_rules! functions {
    ($layout:expr, $dense:ident, $real:ident $(, $generic:ident)?) => {
        pub fn forward$(<$generic: Real>)?(dense: &DenseBlocked, io: &mut Io<'_, $real>) {
            let reads = ["x", "weight", "bias"].map(|name| (name, io.read(name)));
            let y = io.write("y");
            $dense::forward(&dense.dense(), &mut Io::of(io.slot, reads, [("y", &mut *y)]));
            activate(dense, y, $layout);
        }

        pub fn backward_input$(<$generic: Real>)?(dense: &DenseBlocked, io: &mut Io<'_, $real>) {
            let reads = [("dy", io.read("dz")), ("weight", io.read("weight"))];
            let writes = [("dx", io.write("dx"))];
            $dense::backward_input(&dense.dense(), &mut Io::of(io.slot, reads, writes));
        }

        pub fn backward_weight$(<$generic: Real>)?(dense: &DenseBlocked, io: &mut Io<'_, $real>) {
            let reads = [("x", io.read("x")), ("dy", io.read("dz"))];
            let writes = [("dweight", io.write("dweight"))];
            $dense::backward_weight(&dense.dense(), &mut Io::of(io.slot, reads, writes));
        }
    };
}

/// Images one behind the other.
pub mod reference {
    use super::*;
    use crate::cpu::dense::reference as dense_layer;

    functions!(Layout::Plain, dense_layer, T, T);
}

/// Images interleaved.
pub mod fast {
    use super::*;
    use crate::cpu::dense::fast as dense_layer;

    functions!(Layout::Interleaved, dense_layer, f32);
}
