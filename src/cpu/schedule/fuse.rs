//! Makes a ReLU part of the step before it, which spares a pass over its values: after a convolution, a dense layer, a
//! norm or a sum, and before a maximum pool on the way back.

use super::items::{Item, accumulates};
use crate::cpu::sharing::Relu;
use crate::ops::{Access, BufferId, Operand, View};

/// Fuses neighbours.
pub fn fuse(items: Vec<Item>) -> Vec<Item> {
    let joined: Vec<bool> = items.windows(2).map(|pair| joins(&pair[0], &pair[1], &items)).collect();
    let mut fused: Vec<Item> = Vec::new();
    for (number, mut item) in items.into_iter().enumerate() {
        if number > 0
            && joined[number - 1]
            && let Some(last) = fused.last_mut()
        {
            if let (Some(to), Some(from)) = (written(last), written(&item)) {
                last.step.operands[to].view = item.step.operands.swap_remove(from).view;
            }
        } else {
            let joins = joined.get(number) == Some(&true);
            item.relu = if joins { Relu::Joins } else { Relu::None };
            fused.push(item);
        }
    }
    fused
}

/// Whether `next` is a ReLU of nothing but what `item` writes and reads, and nobody else uses what lies between.
fn joins(item: &Item, next: &Item, all: &[Item]) -> bool {
    let uses = |id: BufferId| {
        all.iter().flat_map(|item| &item.step.operands).filter(|operand| operand.view.buffer == id).count()
    };
    let reads = |item: &Item, view: View| of(item, Access::Read).any(|operand| operand.view == view);
    let Some(between) = written(item).map(|at| item.step.operands[at].view) else { return false };
    (item.relu, next.relu) == (Relu::Joins, Relu::Is)
        && !accumulates(&item.step)
        && !accumulates(&next.step)
        && item.portions == next.portions
        && reads(next, between)
        && of(next, Access::Read).all(|operand| operand.view == between || reads(item, operand.view))
        && uses(between.buffer) == 2
}

fn of(item: &Item, access: Access) -> impl Iterator<Item = &Operand> {
    item.step.operands.iter().filter(move |operand| operand.access == access)
}

fn written(item: &Item) -> Option<usize> {
    item.step.operands.iter().position(|operand| operand.access == Access::Write)
}
