//! In which order, and in which portions, threads run a phase's steps.
//!
//! Steps that treat each image alone run group by group: all of them on 16 images while those are in
//! the cache. Such a stretch of steps, and whatever else needs nothing of its own, makes a [`Stage`];
//! threads take its tasks as they come and meet at its end. Portions do not depend on the number of
//! threads, so neither do the results.

mod fuse;
mod items;

use std::collections::HashMap;

use self::fuse::fuse;
use self::items::{Item, Portions, conflict, conflicts, items};
use super::sharing::Relu;
use crate::ops::{Access, BufferId, INTERLEAVE, Operand, Step};
use crate::plan::{Buffer, Plan, liveness};

/// Where an operand lies.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub name: &'static str,
    pub access: Access,
    /// A buffer, or else the thread's own memory.
    pub buffer: Option<usize>,
    pub offset: usize,
    pub len: usize,
    /// Elements of a portion, where not every portion sees all of it.
    pub portion: Option<usize>,
}

/// A step on portions of its operands.
#[derive(Debug)]
pub struct Launch {
    pub step: Step,
    pub places: Vec<Place>,
    /// Whether a ReLU is part of it.
    pub relu: bool,
    /// Images, or rows, of a portion.
    pub stride: usize,
}

/// Steps that run one after the other, portion by portion; portions in any order.
#[derive(Debug)]
pub struct Chain {
    pub launches: Vec<Launch>,
    pub portions: usize,
}

/// Chains that need nothing of one another.
#[derive(Debug)]
pub struct Stage {
    pub chains: Vec<Chain>,
}

impl Stage {
    pub fn tasks(&self) -> usize {
        self.chains.iter().map(|chain| chain.portions).sum()
    }
}

/// A phase's stages.
#[derive(Debug)]
pub struct Schedule {
    pub stages: Vec<Stage>,
    /// Elements of memory that each thread needs for itself.
    pub scratch: usize,
}

impl Schedule {
    /// Schedules steps of a plan; `buffers` are the plan's and grow by those that the order needs.
    pub fn new(plan: &Plan, steps: &[Step], buffers: &mut Vec<Buffer>) -> Schedule {
        let own = buffers.len();
        let mut rest = fuse(items(plan, steps, buffers));
        let mut schedule = Schedule { stages: Vec::new(), scratch: 0 };
        while !rest.is_empty() {
            let (stretch, others) = part(rest, joins_stretch);
            if stretch.is_empty() {
                let (bag, others) = part(others, joins_bag);
                schedule.stages.push(bag_of(bag));
                rest = others;
            } else {
                rest = others;
                schedule.add_stretch(stretch, &rest, own..buffers.len(), buffers);
            }
        }
        schedule
    }

    /// Tensors that live within a stretch get no buffer: each thread has room for one group's.
    fn add_stretch(
        &mut self,
        stretch: Vec<Item>,
        rest: &[Item],
        own: std::ops::Range<usize>,
        buffers: &mut [Buffer],
    ) {
        let before: Vec<BufferId> = self
            .stages
            .iter()
            .flat_map(|stage| &stage.chains)
            .flat_map(|chain| &chain.launches)
            .flat_map(|launch| &launch.step.operands)
            .chain(rest.iter().flat_map(|item| &item.step.operands))
            .map(|operand| operand.view.buffer)
            .collect();
        let mut lengths = HashMap::new();
        for item in &stretch {
            for (operand, portion) in item.step.operands.iter().zip(&item.sizes) {
                let id = operand.view.buffer;
                if let Some(portion) = *portion
                    && own.contains(&id.0)
                    && !before.contains(&id)
                {
                    lengths.insert(id, portion);
                    buffers[id.0].len = 0;
                }
            }
        }
        let steps: Vec<Step> = stretch.iter().map(|item| item.step.clone()).collect();
        let mut pool = Vec::new();
        let positions = liveness::assign(&steps, |id| lengths.get(&id).copied(), &mut pool);
        let starts: Vec<usize> = pool
            .iter()
            .scan(0, |end, len| {
                let start = *end;
                *end += len.next_multiple_of(INTERLEAVE);
                Some(start)
            })
            .collect();
        self.scratch = self.scratch.max(pool.iter().map(|len| len.next_multiple_of(INTERLEAVE)).sum());
        let mut chain = chain(stretch);
        for place in chain.launches.iter_mut().flat_map(|launch| &mut launch.places) {
            let position = place.buffer.and_then(|buffer| positions.get(&BufferId(buffer)));
            if let (Some(position), Some(portion)) = (position, place.portion) {
                *place = Place { buffer: None, offset: starts[*position], len: portion, ..*place };
            }
        }
        self.stages.push(Stage { chains: vec![chain] });
    }
}

/// Takes the items that may join, in order; an item waits for all it depends on.
fn part(items: Vec<Item>, joins: fn(&Item, &[Item]) -> bool) -> (Vec<Item>, Vec<Item>) {
    let (mut taken, mut left) = (Vec::new(), Vec::<Item>::new());
    for item in items {
        let free = left.iter().all(|other| !conflict(other, &item));
        if free && joins(&item, &taken) {
            taken.push(item);
        } else {
            left.push(item);
        }
    }
    (taken, left)
}

/// Of a stretch are steps on the same groups that meet the others in these groups alone.
fn joins_stretch(item: &Item, taken: &[Item]) -> bool {
    matches!(item.portions, Portions::Groups(_))
        && taken
            .iter()
            .all(|other| other.portions == item.portions && conflicts(other, item).all(|aligned| aligned))
}

/// One chain of whole steps, and any number of others that meet nobody.
fn joins_bag(item: &Item, taken: &[Item]) -> bool {
    let whole = |item: &Item| item.portions == Portions::Whole;
    taken.iter().all(|other| (whole(item) && whole(other)) || !conflict(other, item))
}

fn bag_of(items: Vec<Item>) -> Stage {
    let (whole, others): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|item| item.portions == Portions::Whole);
    let mut chains = Vec::new();
    if !whole.is_empty() {
        chains.push(chain(whole));
    }
    chains.extend(others.into_iter().map(|item| chain(vec![item])));
    Stage { chains }
}

fn chain(items: Vec<Item>) -> Chain {
    let portions = items.first().map_or(0, |item| match item.portions {
        Portions::Whole => 1,
        Portions::Groups(portions) | Portions::Rows(portions) => portions,
    });
    let launch = |Item { step, sizes, stride, relu, .. }: Item| {
        let place = |(operand, &portion): (&Operand, &Option<usize>)| Place {
            name: operand.name,
            access: operand.access,
            buffer: Some(operand.view.buffer.0),
            offset: operand.view.offset,
            len: operand.view.len,
            portion,
        };
        let places = step.operands.iter().zip(&sizes).map(place).collect();
        Launch { step, places, relu: relu == Relu::Joins, stride }
    };
    Chain { launches: items.into_iter().map(launch).collect(), portions }
}
