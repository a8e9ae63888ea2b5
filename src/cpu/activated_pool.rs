//! Back through a pool and the activation before it on the CPU: one after the other.

use super::{Io, Real};
use crate::ops::activated_pool::ActivatedPool;

macro_rules! backward {
    ($pool2d:ident, $activation:ident, $real:ident $(, $generic:ident)?) => {
        pub fn backward$(<$generic: Real>)?(op: &ActivatedPool, io: &mut Io<'_, $real>) {
            let (x, dy, dz) = (io.read("x"), io.read("dy"), io.write("dz"));
            let mut dx = vec![$real::of(0.0); x.len()];
            let mut part = Io::of(io.slot, [("x", x), ("dy", dy)], [("dx", &mut dx[..])]);
            $pool2d::backward(&op.pool(), &mut part);
            let mut part = Io::of(io.slot, [("result", x), ("dy", &dx[..])], [("dx", dz)]);
            $activation::backward(&op.part(), &mut part);
        }
    };
}

/// Images one behind the other.
pub mod reference {
    use super::{ActivatedPool, Io, Real};
    use crate::cpu::activation::reference as activation;
    use crate::cpu::pool2d::reference as pool2d;

    backward!(pool2d, activation, T, T);
}

/// Images interleaved.
pub mod fast {
    use super::{ActivatedPool, Io, Real};
    use crate::cpu::activation::fast as activation;
    use crate::cpu::pool2d::fast as pool2d;

    backward!(pool2d, activation, f32);
}
