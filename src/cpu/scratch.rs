//! Memory that a thread keeps between uses.

use std::cell::RefCell;

use super::memory::Aligned;

/// Calls `run` with `len` values of this thread's scratch memory, whatever they hold.
pub fn with_scratch(len: usize, run: impl FnOnce(&mut [f32])) {
    thread_local! {
        static SCRATCH: RefCell<Aligned<f32>> = RefCell::new(Aligned::new(0, 0.0));
    }
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.as_slice().len() < len {
            *scratch = Aligned::new(len, 0.0);
        }
        run(&mut scratch.as_mut_slice()[..len]);
    });
}
