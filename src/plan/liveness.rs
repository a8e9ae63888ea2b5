//! Activations share memory: a tensor takes over a buffer whose last reader has run.

use std::collections::HashMap;

use crate::ops::{BufferId, Step};

/// Gives every short-lived tensor of `steps` a buffer from `pool` (lengths in elements), growing
/// the pool where nothing fits. Each buffer holds one tensor at a time, so no step reads and
/// writes the same buffer. Returns the pool position of each tensor.
///
/// `len_of` tells short-lived tensors: their length, or `None` for buffers that stay.
pub fn assign(
    steps: &[Step],
    len_of: impl Fn(BufferId) -> Option<usize>,
    pool: &mut Vec<usize>,
) -> HashMap<BufferId, usize> {
    let mut last_use = HashMap::new();
    for (position, step) in steps.iter().enumerate() {
        for operand in &step.operands {
            last_use.insert(operand.view.buffer, position);
        }
    }
    let mut free: Vec<usize> = (0..pool.len()).collect();
    let mut places: HashMap<BufferId, usize> = HashMap::new();
    for (position, step) in steps.iter().enumerate() {
        let buffers = step.operands.iter().map(|operand| operand.view.buffer);
        for buffer in buffers.clone() {
            let Some(len) = len_of(buffer) else { continue };
            if places.contains_key(&buffer) {
                continue;
            }
            let place = match best_fit(&free, pool, len) {
                Some(place) => {
                    free.retain(|&other| other != place);
                    pool[place] = pool[place].max(len);
                    place
                }
                None => {
                    pool.push(len);
                    pool.len() - 1
                }
            };
            places.insert(buffer, place);
        }
        // Freed only now: what a step reads must not be what it writes.
        for buffer in buffers {
            if last_use[&buffer] == position
                && let Some(&place) = places.get(&buffer)
                && !free.contains(&place)
            {
                free.push(place);
            }
        }
    }
    places
}

/// The smallest free buffer that is large enough, else the largest one, to be grown.
fn best_fit(free: &[usize], pool: &[usize], len: usize) -> Option<usize> {
    let fitting = free.iter().copied().filter(|&place| pool[place] >= len);
    fitting.min_by_key(|&place| pool[place]).or_else(|| free.iter().copied().max_by_key(|&place| pool[place]))
}
