//! A plan's steps with their splits, and what depends on what.

use std::collections::HashMap;

use crate::cpu::sharing;
use crate::cpu::sharing::{Relu, Sharing, Split};
use crate::ops::reduce::Reduce;
use crate::ops::{Access, BufferId, Constant, INTERLEAVE, Layout, Operand, Step, View};
use crate::plan::{Buffer, Plan, Role};

/// The portions of a step: of what, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portions {
    Whole,
    /// Groups of 16 images.
    Groups(usize),
    Rows(usize),
}

/// A step in the making.
pub struct Item {
    pub step: Step,
    pub portions: Portions,
    /// As in [`super::Place`], operand by operand.
    pub sizes: Vec<Option<usize>>,
    /// Images, or rows, of a portion.
    pub stride: usize,
    pub relu: Relu,
}

impl Item {
    fn new(step: Step, sharing: Sharing, groups: Option<usize>) -> Self {
        let (portions, stride) = match (sharing.split, groups) {
            (Split::Rows(rows), _) => (Portions::Rows(rows.count.div_ceil(rows.stride)), rows.stride),
            (Split::Groups | Split::Sums, Some(groups)) => (Portions::Groups(groups), INTERLEAVE),
            _ => (Portions::Whole, 0),
        };
        let size = |operand: &Operand| match (sharing.split, portions) {
            (Split::Rows(rows), _) => {
                (rows.reads || operand.access == Access::Write).then_some(rows.stride * rows.width)
            }
            (_, Portions::Groups(groups)) => (operand.view.layout == Layout::Interleaved
                || is_parts(operand))
            .then(|| operand.view.len / groups),
            _ => None,
        };
        let sizes = step.operands.iter().map(size).collect();
        Item { step, portions, sizes, stride, relu: sharing.relu }
    }
}

/// The plan's steps, each by itself.
///
/// What a step on groups writes anew gets a buffer of its own: activations that share memory would tie steps to the
/// plan's order.
pub fn items(plan: &Plan, steps: &[Step], buffers: &mut Vec<Buffer>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut own = Own { plan, buffers, latest: HashMap::new() };
    let mut groups_of: HashMap<BufferId, usize> = HashMap::new();
    for step in steps {
        let mut step = step.clone();
        for operand in &mut step.operands {
            operand.view.buffer =
                own.latest.get(&operand.view.buffer).copied().unwrap_or(operand.view.buffer);
        }
        let (sharing, groups) = (sharing(&step), groups(&step, &groups_of));
        let grouped = matches!(sharing.split, Split::Groups | Split::Sums).then_some(groups).flatten();
        let moves = if grouped.is_some() { sharing.overwrites && !accumulates(&step) } else { sharing.moves };
        for operand in step.operands.iter_mut().filter(|operand| operand.access == Access::Write) {
            if moves && own.is_activation(operand.view.buffer) {
                own.take(&mut operand.view);
            } else if grouped.is_none() && !moves {
                own.give_back(&mut operand.view);
            }
        }
        if let Some(groups) = grouped {
            let interleaved =
                step.operands.iter().filter(|operand| operand.view.layout == Layout::Interleaved);
            groups_of.extend(interleaved.map(|operand| (operand.view.buffer, groups)));
            own_parts(&mut step, groups);
            if sharing.split == Split::Sums {
                items.extend(sum_in_parts(step, sharing, groups, own.buffers));
                continue;
            }
        }
        items.push(Item::new(step, sharing, groups));
    }
    items
}

/// Buffers of the schedule's own, beside the plan's.
struct Own<'a> {
    plan: &'a Plan,
    buffers: &'a mut Vec<Buffer>,
    /// Which buffer stands for which of the plan's now.
    latest: HashMap<BufferId, BufferId>,
}

impl Own<'_> {
    /// Whether a buffer holds activations: of the plan, or of its own.
    fn is_activation(&self, id: BufferId) -> bool {
        self.plan.buffers.get(id.0).is_none_or(|buffer| buffer.role == Role::Activations)
    }

    /// The plan's buffer that `id` stands for.
    fn original(&self, id: BufferId) -> BufferId {
        self.latest.iter().find(|(_, now)| **now == id).map_or(id, |(original, _)| *original)
    }

    /// Moves a view into a new buffer.
    fn take(&mut self, view: &mut View) {
        let id = fresh(self.buffers, view.len);
        self.latest.insert(self.original(view.buffer), id);
        *view = View { buffer: id, offset: 0, ..*view };
    }

    /// What does not fit the buffer that stands for the plan's is another tensor, in the plan's own.
    fn give_back(&mut self, view: &mut View) {
        if view.offset + view.len > self.buffers[view.buffer.0].len {
            view.buffer = self.original(view.buffer);
            self.latest.remove(&view.buffer);
        }
    }
}

fn fresh(buffers: &mut Vec<Buffer>, len: usize) -> BufferId {
    buffers.push(Buffer { name: format!("stretch.{}", buffers.len()), role: Role::Activations, len });
    BufferId(buffers.len() - 1)
}

/// A small sum over all images: each group's own, then the sum over the groups in their order.
fn sum_in_parts(mut step: Step, sharing: Sharing, groups: usize, buffers: &mut Vec<Buffer>) -> [Item; 2] {
    let Some(position) = step.operands.iter().position(|operand| operand.access == Access::Write) else {
        unreachable!("every step writes something")
    };
    let sum = step.operands[position].view;
    let parts = View::plain(fresh(buffers, groups * sum.len), 0, groups * sum.len);
    let reduce = Reduce { count: sum.len as u32, parts: groups as u32, accumulate: accumulates(&step) };
    step.operands[position].view = parts;
    for constant in step.constants.iter_mut().filter(|(name, _)| *name == "accumulate") {
        constant.1 = Constant::Bool(false);
    }
    let reduce = Step { layer: step.layer.clone(), ..reduce.forward(parts, sum) };
    let mut first = Item::new(step, sharing, Some(groups));
    first.sizes[position] = Some(sum.len);
    [first, Item::new(reduce, Sharing::WHOLE, None)]
}

/// Partial results, one of each group of images.
fn is_parts(operand: &Operand) -> bool {
    operand.access == Access::Write && operand.name.ends_with("parts")
}

/// Narrows partial results of the whole batch to those that the step writes, where it says which.
fn own_parts(step: &mut Step, groups: usize) {
    let [Some(first), Some(all)] = ["first_part", "parts_in_all"].map(|name| number(step, name)) else {
        return;
    };
    for operand in step.operands.iter_mut().filter(|operand| is_parts(operand)) {
        let each = operand.view.len / all;
        operand.view = operand.view.part(first * each, groups * each);
    }
    for constant in step.constants.iter_mut().filter(|(name, _)| *name == "first_part") {
        constant.1 = Constant::U32(0);
    }
}

/// Groups of images that a step works on.
fn groups(step: &Step, known: &HashMap<BufferId, usize>) -> Option<usize> {
    let interleaved = || step.operands.iter().filter(|operand| operand.view.layout == Layout::Interleaved);
    interleaved().next()?;
    match number(step, "images") {
        Some(images) => Some(images.div_ceil(INTERLEAVE)),
        None => interleaved().find_map(|operand| known.get(&operand.view.buffer).copied()),
    }
}

fn number(step: &Step, name: &str) -> Option<usize> {
    match step.constants.iter().find(|(other, _)| *other == name) {
        Some((_, Constant::U32(value))) => Some(*value as usize),
        _ => None,
    }
}

pub fn accumulates(step: &Step) -> bool {
    step.constants.contains(&("accumulate", Constant::Bool(true)))
}

/// For each pair of operands that one of two steps writes and the other touches: whether they meet
/// portion by portion.
pub fn conflicts<'a>(a: &'a Item, b: &'a Item) -> impl Iterator<Item = bool> + 'a {
    let operands = |item: &'a Item| item.step.operands.iter().zip(&item.sizes);
    operands(a).flat_map(move |(first, size)| {
        operands(b)
            .filter(move |(second, _)| {
                let (a, b) = (first.view, second.view);
                a.buffer == b.buffer
                    && a.offset < b.offset + b.len
                    && b.offset < a.offset + a.len
                    && (first.access == Access::Write || second.access == Access::Write)
            })
            .map(move |(second, other)| {
                size.is_some() && size == other && first.view.range() == second.view.range()
            })
    })
}

pub fn conflict(a: &Item, b: &Item) -> bool {
    conflicts(a, b).next().is_some()
}
