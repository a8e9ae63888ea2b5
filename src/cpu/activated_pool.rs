//! Back through a pool and the activation before it on the CPU: one after the other.

use super::conv2d_blocked::{by_eight, lay_out};
use super::{Io, Real};
use crate::ops::Layout;
use crate::ops::activated_pool::ActivatedPool;

macro_rules! backward {
    ($layout:expr, $pool2d:ident, $activation:ident, $real:ident $(, $generic:ident)?) => {
        pub fn backward$(<$generic: Real>)?(op: &ActivatedPool, io: &mut Io<'_, $real>) {
            let (x, dy) = (io.read("x"), io.read("dy"));
            let zeros = || vec![$real::of(0.0); x.len()];
            let (mut dx, mut dz) = (zeros(), zeros());
            let mut part = Io::of(io.slot, [("x", x), ("dy", dy)], [("dx", &mut dx[..])]);
            $pool2d::backward(&op.pool(), &mut part);
            let mut part = Io::of(io.slot, [("result", x), ("dy", &dx[..])], [("dx", &mut dz[..])]);
            $activation::backward(&op.part(), &mut part);
            let map = by_eight(op.channels as usize, (op.in_height * op.in_width) as usize);
            let images = $layout.len(op.images as usize, 1);
            lay_out(&dz, io.write("blocks"), &map, images, $layout);
        }
    };
}

/// Images one behind the other.
pub mod reference {
    use super::*;
    use crate::cpu::activation::reference as activation;
    use crate::cpu::pool2d::reference as pool2d;

    backward!(Layout::Plain, pool2d, activation, T, T);
}

/// Images interleaved.
pub mod fast {
    use super::*;
    use crate::cpu::activation::fast as activation;
    use crate::cpu::pool2d::fast as pool2d;

    backward!(Layout::Interleaved, pool2d, activation, f32);
}
