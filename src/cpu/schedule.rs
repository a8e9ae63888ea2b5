//! In which order, and in which portions, threads run a phase's steps.
//!
//! Steps that treat each image alone run group by group: all of them on 16 images while those are in
//! the cache. Such a stretch of steps, and whatever else needs nothing of its own, makes a [`Stage`];
//! threads take its tasks as they come and meet at its end. Portions do not depend on the number of
//! threads, so neither do the results.

use std::collections::HashMap;

use crate::ops::activation::ActivationKind;
use crate::ops::pool2d::PoolKind;
use crate::ops::reduce::Reduce;
use crate::ops::{Access, Attribute, BufferId, Constant, INTERLEAVE, Layout, Operand, Step, View};
use crate::plan::{Buffer, Plan, Role, liveness};

/// Weight rows, and elements of the optimizer, that one task works on.
const ROWS: usize = 48;
const ELEMENTS: usize = 1 << 13;

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

/// How a step can be shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    Whole,
    /// By groups of 16 images.
    Groups(usize),
    /// By rows of what it writes.
    Rows(usize),
}

/// A step in the making.
struct Item {
    step: Step,
    split: Split,
    /// As in [`Place`], operand by operand.
    portions: Vec<Option<usize>>,
    stride: usize,
    relu: bool,
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
            for (operand, portion) in item.step.operands.iter().zip(&item.portions) {
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
    matches!(item.split, Split::Groups(_))
        && taken
            .iter()
            .all(|other| other.split == item.split && conflicts(other, item).all(|aligned| aligned))
}

/// One chain of whole steps, and any number of others that meet nobody.
fn joins_bag(item: &Item, taken: &[Item]) -> bool {
    let whole = |item: &Item| item.split == Split::Whole;
    taken.iter().all(|other| (whole(item) && whole(other)) || !conflict(other, item))
}

fn bag_of(items: Vec<Item>) -> Stage {
    let (whole, others): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|item| item.split == Split::Whole);
    let mut chains = Vec::new();
    if !whole.is_empty() {
        chains.push(chain(whole));
    }
    chains.extend(others.into_iter().map(|item| chain(vec![item])));
    Stage { chains }
}

fn chain(items: Vec<Item>) -> Chain {
    let portions = items.first().map_or(0, |item| match item.split {
        Split::Whole => 1,
        Split::Groups(portions) | Split::Rows(portions) => portions,
    });
    let launch = |Item { step, portions, stride, relu, .. }: Item| {
        let place = |(operand, &portion): (&Operand, &Option<usize>)| Place {
            name: operand.name,
            access: operand.access,
            buffer: Some(operand.view.buffer.0),
            offset: operand.view.offset,
            len: operand.view.len,
            portion,
        };
        let places = step.operands.iter().zip(&portions).map(place).collect();
        Launch { step, places, relu, stride }
    };
    Chain { launches: items.into_iter().map(launch).collect(), portions }
}

/// For each pair of operands that one of two steps writes and the other touches: whether they meet
/// portion by portion.
fn conflicts<'a>(a: &'a Item, b: &'a Item) -> impl Iterator<Item = bool> + 'a {
    let operands = |item: &'a Item| item.step.operands.iter().zip(&item.portions);
    operands(a).flat_map(move |(first, portion)| {
        operands(b)
            .filter(move |(second, _)| {
                let (a, b) = (first.view, second.view);
                a.buffer == b.buffer
                    && a.offset < b.offset + b.len
                    && b.offset < a.offset + a.len
                    && (first.access == Access::Write || second.access == Access::Write)
            })
            .map(move |(second, other)| {
                portion.is_some() && portion == other && first.view.range() == second.view.range()
            })
    })
}

fn conflict(a: &Item, b: &Item) -> bool {
    conflicts(a, b).next().is_some()
}

/// The plan's steps with their splits. What a step on groups writes anew gets a buffer of its own:
/// activations that share memory would tie steps to the plan's order.
fn items(plan: &Plan, steps: &[Step], buffers: &mut Vec<Buffer>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut latest: HashMap<BufferId, BufferId> = HashMap::new();
    let mut groups_of: HashMap<BufferId, usize> = HashMap::new();
    for step in steps {
        let mut step = step.clone();
        for operand in &mut step.operands {
            operand.view.buffer = latest.get(&operand.view.buffer).copied().unwrap_or(operand.view.buffer);
        }
        let groups = groups(&step, &groups_of);
        let split = split(&step, groups);
        if let Split::Groups(groups) = split {
            let anew = overwrites(&step);
            for operand in &mut step.operands {
                let shared =
                    |id: BufferId| plan.buffers.get(id.0).is_none_or(|b| b.role == Role::Activations);
                if operand.access == Access::Write && anew && shared(operand.view.buffer) {
                    let id = fresh(buffers, operand.view.len);
                    let original = original(&latest, operand.view.buffer);
                    latest.insert(original, id);
                    operand.view = View { buffer: id, offset: 0, ..operand.view };
                }
                if operand.view.layout == Layout::Interleaved {
                    groups_of.insert(operand.view.buffer, groups);
                }
            }
            if step.op == "batch_norm" {
                own_parts(&mut step, groups);
            }
            if matches!((step.op, step.entry), (_, "backward_bias") | ("channel_conv", "backward_weight")) {
                items.extend(sum_in_parts(step, groups, buffers));
                continue;
            }
        } else if step.entry == "merge" {
            // Statistics of a norm; the running ones are no activations.
            for operand in step.operands.iter_mut().filter(|operand| operand.access == Access::Write) {
                if plan.buffers.get(operand.view.buffer.0).is_none_or(|b| b.role == Role::Activations) {
                    let id = fresh(buffers, operand.view.len);
                    latest.insert(original(&latest, operand.view.buffer), id);
                    operand.view = View { buffer: id, offset: 0, ..operand.view };
                }
            }
        } else {
            // What does not fit the buffer that stands for the plan's is another tensor, in the plan's own.
            for operand in step.operands.iter_mut().filter(|operand| operand.access == Access::Write) {
                let View { buffer, offset, len, .. } = operand.view;
                if offset + len > buffers[buffer.0].len {
                    operand.view.buffer = original(&latest, buffer);
                    latest.remove(&operand.view.buffer);
                }
            }
        }
        items.push(item(step, split));
    }
    items
}

/// Makes a ReLU part of the step before it, which spares a pass over its values: behind a convolution, a
/// dense layer, a norm or a sum, and before a maximum pool on the way back.
fn fuse(items: Vec<Item>) -> Vec<Item> {
    let uses = |id: BufferId| {
        items.iter().flat_map(|item| &item.step.operands).filter(|operand| operand.view.buffer == id).count()
    };
    let relu = |item: &Item| {
        item.step.op == "activation"
            && !accumulates(&item.step)
            && item.step.constants.contains(&("kind", ActivationKind::Relu.constant()))
    };
    let view = |item: &Item, name: &str| item.step.operand(name).map(|operand| operand.view);
    let joins = |item: &Item, next: &Item| {
        let [from, to] = match (item.step.op, item.step.entry, next.step.entry) {
            ("conv2d" | "dense" | "batch_norm" | "add", "forward", "forward") => ["y", "x"],
            ("pool2d", "backward", "backward")
                if item.step.constants.contains(&("kind", PoolKind::Max.constant()))
                    && !accumulates(&item.step)
                    && view(item, "x") == view(next, "result") =>
            {
                ["dx", "dy"]
            }
            _ => return false,
        };
        let between = view(item, from);
        relu(next)
            && item.split == next.split
            && between == view(next, to)
            && between.is_some_and(|view| uses(view.buffer) == 2)
    };
    let joined: Vec<bool> =
        items.windows(2).map(|pair| joins(&pair[0], &pair[1])).chain(std::iter::once(false)).collect();
    let mut fused: Vec<Item> = Vec::new();
    let mut before = false;
    for (mut item, joins) in items.into_iter().zip(joined) {
        if before && let Some(last) = fused.last_mut() {
            let written = |item: &Item| item.step.operands.iter().position(|o| o.access == Access::Write);
            if let (Some(to), Some(from)) = (written(last), written(&item)) {
                last.step.operands[to].view = item.step.operands.swap_remove(from).view;
            }
        } else {
            item.relu = joins;
            fused.push(item);
        }
        before = joins;
    }
    fused
}

fn fresh(buffers: &mut Vec<Buffer>, len: usize) -> BufferId {
    buffers.push(Buffer { name: format!("stretch.{}", buffers.len()), role: Role::Activations, len });
    BufferId(buffers.len() - 1)
}

/// The plan's buffer that `id` stands for.
fn original(latest: &HashMap<BufferId, BufferId>, id: BufferId) -> BufferId {
    latest.iter().find(|(_, now)| **now == id).map_or(id, |(original, _)| *original)
}

/// The gradient of a bias, or of what is as small: each group's sum, then the sum over the groups in their order.
fn sum_in_parts(mut step: Step, groups: usize, buffers: &mut Vec<Buffer>) -> [Item; 2] {
    let Some(position) = step.operands.iter().position(|operand| operand.access == Access::Write) else {
        unreachable!("every step writes something")
    };
    let dbias = step.operands[position].view;
    let parts = View::plain(fresh(buffers, groups * dbias.len), 0, groups * dbias.len);
    let reduce = Reduce { count: dbias.len as u32, parts: groups as u32, accumulate: accumulates(&step) };
    step.operands[position].view = parts;
    for constant in step.constants.iter_mut().filter(|(name, _)| *name == "accumulate") {
        constant.1 = Constant::Bool(false);
    }
    let sum = Step { layer: step.layer.clone(), ..reduce.forward(parts, dbias) };
    let mut first = item(step, Split::Groups(groups));
    first.portions[position] = Some(dbias.len);
    [first, item(sum, Split::Whole)]
}

/// Partial results, one of each group of images.
fn is_parts(operand: &Operand) -> bool {
    operand.access == Access::Write && operand.name.ends_with("parts")
}

/// Narrows a norm's partial results, of the whole batch, to those that the step writes.
fn own_parts(step: &mut Step, groups: usize) {
    let [first, all] = ["first_part", "parts_in_all"].map(|name| number(step, name));
    for operand in step.operands.iter_mut().filter(|operand| is_parts(operand)) {
        let each = operand.view.len / all;
        operand.view = operand.view.part(first * each, groups * each);
    }
    for constant in step.constants.iter_mut().filter(|(name, _)| *name == "first_part") {
        constant.1 = Constant::U32(0);
    }
}

fn item(step: Step, split: Split) -> Item {
    let portion = |operand: &Operand| match split {
        Split::Whole => None,
        Split::Groups(groups) => (operand.view.layout == Layout::Interleaved || is_parts(operand))
            .then(|| operand.view.len / groups),
        Split::Rows(_) if matches!(step.op, "adam" | "sgd") => Some(ELEMENTS),
        Split::Rows(_) if step.op == "reduce" => (operand.access == Access::Write).then_some(ELEMENTS),
        Split::Rows(_) => (operand.access == Access::Write).then(|| ROWS * number(&step, "inputs")),
    };
    let portions = step.operands.iter().map(portion).collect();
    let stride = match split {
        Split::Groups(_) => INTERLEAVE,
        Split::Rows(_) if step.op == "reduce" => ELEMENTS,
        Split::Rows(_) => ROWS,
        Split::Whole => 0,
    };
    Item { step, split, portions, stride, relu: false }
}

/// Groups of images that a step works on.
fn groups(step: &Step, known: &HashMap<BufferId, usize>) -> Option<usize> {
    let interleaved = || step.operands.iter().filter(|operand| operand.view.layout == Layout::Interleaved);
    interleaved().next()?;
    match step.constants.iter().find(|(name, _)| *name == "images") {
        Some((_, Constant::U32(images))) => Some((*images as usize).div_ceil(INTERLEAVE)),
        _ => interleaved().find_map(|operand| known.get(&operand.view.buffer).copied()),
    }
}

fn split(step: &Step, groups: Option<usize>) -> Split {
    match (step.op, step.entry, groups) {
        ("dense", "backward_weight", _) => Split::Rows(number(step, "rows").div_ceil(ROWS)),
        ("adam" | "sgd", ..) => Split::Rows(number(step, "count").div_ceil(ELEMENTS)),
        ("reduce", ..) if number(step, "count") > ELEMENTS => {
            Split::Rows(number(step, "count").div_ceil(ELEMENTS))
        }
        (
            "gather" | "warp" | "standardize" | "conv2d" | "pool2d" | "activation" | "dense" | "batch_norm"
            | "add" | "scale" | "channel_conv" | "dropout",
            _,
            Some(groups),
        ) => Split::Groups(groups),
        _ => Split::Whole,
    }
}

fn number(step: &Step, name: &str) -> usize {
    match step.constants.iter().find(|(other, _)| *other == name) {
        Some((_, Constant::U32(value))) => *value as usize,
        _ => 0,
    }
}

fn accumulates(step: &Step) -> bool {
    step.constants.contains(&("accumulate", Constant::Bool(true)))
}

/// Whether nothing remains of what the step's results held before.
fn overwrites(step: &Step) -> bool {
    let whole = match step.op {
        "dense" => number(step, "rows") == number(step, "outputs"),
        // A later window of the data set fills in what the first one lacks.
        "gather" | "warp" => number(step, "first_resident") == 0,
        // In place.
        "standardize" => false,
        // A later piece of the batch puts its partial results behind those of the first one.
        "batch_norm" => number(step, "first_part") == 0,
        _ => true,
    };
    whole && !accumulates(step)
}
