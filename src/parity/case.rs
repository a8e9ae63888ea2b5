//! A case: a few steps on small seeded tensors, with what to fill in and what to look at.

use crate::data::random::{Random, Stream};
use crate::ops::{BufferId, Layout, Step, View};
use crate::plan::{Buffer, Role, Slot, from_plain};

/// Elements before and behind each tensor that nothing may touch.
pub const GUARD: usize = 64;

/// What unwritten outputs and the guards of what is only read hold: a NaN with a face.
pub const POISON: f32 = f32::from_bits(0x7fc0_dead);

/// What the guards of outputs hold. No NaN: one that is copied, or updated in place, stays what it was.
pub const CANARY: f32 = -1.618e33;

/// What a tensor holds before the steps run.
#[derive(Clone, Debug)]
pub enum Values {
    Numbers(Vec<f32>),
    Words(Vec<u32>),
}

/// What becomes of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Must stay as it is.
    Input,
    /// Must be within the bound.
    Output,
    /// Holds what only the steps care about.
    Scratch,
}

/// A tensor of a case; its values are plain, whatever the layout of its view.
#[derive(Clone, Debug)]
pub struct CaseTensor {
    pub name: &'static str,
    pub view: View,
    /// Images of a per-image tensor, 1 of any other.
    pub images: usize,
    pub values: Values,
    pub fate: Fate,
}

impl CaseTensor {
    /// The whole buffer: values in their layout, between guards.
    pub fn stored(&self, numbers: &[f32]) -> Vec<f32> {
        let guard = if self.fate == Fate::Output { CANARY } else { POISON };
        let mut stored = vec![guard; self.view.len + 2 * GUARD];
        // Padding of interleaved inputs is finite, as the plan's is.
        let padding = if self.fate == Fate::Input { 0.0 } else { POISON };
        let values = from_plain(numbers, self.view.layout, self.images, padding);
        stored[self.view.range()].copy_from_slice(&values);
        stored
    }

    pub fn buffer(&self) -> Buffer {
        let role = match self.values {
            Values::Numbers(_) => Role::Results,
            Values::Words(_) => Role::List,
        };
        Buffer { name: self.name.into(), role, len: self.view.len + 2 * GUARD }
    }
}

/// Steps on tensors of their own.
#[derive(Clone, Debug)]
pub struct Case {
    pub op: &'static str,
    pub entry: &'static str,
    pub name: String,
    pub seed: u64,
    pub tensors: Vec<CaseTensor>,
    pub steps: Vec<Step>,
    pub slot: Slot,
}

impl Case {
    /// `op.entry/name`
    pub fn title(&self) -> String {
        format!("{}.{}/{}", self.op, self.entry, self.name)
    }
}

/// Puts a case together.
pub struct Maker {
    case: Case,
    layout: Layout,
}

impl Maker {
    pub fn new((op, entry): (&'static str, &'static str), name: impl Into<String>, layout: Layout) -> Self {
        let name = name.into();
        // FNV-1a of the title: each case has inputs of its own, always the same ones.
        let title = format!("{op}.{entry}/{name}");
        let seed = title.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let slot = Slot { count: u32::MAX, ..Slot::default() };
        Maker { case: Case { op, entry, name, seed, tensors: Vec::new(), steps: Vec::new(), slot }, layout }
    }

    pub fn random(&self) -> Random {
        Random::new(self.case.seed, Stream::Parity, self.case.tensors.len() as u64, 0)
    }

    /// Numbers in (-1, 1), never quite 0.
    pub fn signed(&self, len: usize) -> Vec<f32> {
        let mut random = self.random();
        (0..len).map(|_| random.between(-1.0, 1.0) + 1e-4).collect()
    }

    fn add(&mut self, name: &'static str, images: Option<usize>, values: Values, fate: Fate) -> View {
        let len = match &values {
            Values::Numbers(numbers) => numbers.len(),
            Values::Words(words) => words.len(),
        };
        let layout = if images.is_some() { self.layout } else { Layout::Plain };
        let images = images.unwrap_or(1);
        let view = View {
            buffer: BufferId(self.case.tensors.len()),
            offset: GUARD,
            len: layout.len(images, len / images),
            layout,
        };
        self.case.tensors.push(CaseTensor { name, view, images, values, fate });
        view
    }

    /// A per-image input with signed values.
    pub fn images(&mut self, name: &'static str, images: usize, values: usize) -> View {
        let numbers = self.signed(images * values);
        self.image_values(name, images, numbers)
    }

    /// A per-image input with given values.
    pub fn image_values(&mut self, name: &'static str, images: usize, numbers: Vec<f32>) -> View {
        self.add(name, Some(images), Values::Numbers(numbers), Fate::Input)
    }

    /// An input with signed values.
    pub fn numbers(&mut self, name: &'static str, len: usize) -> View {
        let numbers = self.signed(len);
        self.values(name, numbers)
    }

    /// An input with given values.
    pub fn values(&mut self, name: &'static str, numbers: Vec<f32>) -> View {
        self.add(name, None, Values::Numbers(numbers), Fate::Input)
    }

    pub fn words(&mut self, name: &'static str, words: Vec<u32>) -> View {
        self.add(name, None, Values::Words(words), Fate::Input)
    }

    /// A per-image output: poison, or signed values that will be added to.
    pub fn output_images(
        &mut self,
        name: &'static str,
        images: usize,
        values: usize,
        accumulate: bool,
    ) -> View {
        let numbers = if accumulate { self.signed(images * values) } else { vec![POISON; images * values] };
        self.add(name, Some(images), Values::Numbers(numbers), Fate::Output)
    }

    /// Any other output.
    pub fn output(&mut self, name: &'static str, len: usize, accumulate: bool) -> View {
        let numbers = if accumulate { self.signed(len) } else { vec![POISON; len] };
        self.add(name, None, Values::Numbers(numbers), Fate::Output)
    }

    /// An output that is updated in place.
    pub fn updated(&mut self, name: &'static str, numbers: Vec<f32>) -> View {
        self.add(name, None, Values::Numbers(numbers), Fate::Output)
    }

    pub fn scratch_images(&mut self, name: &'static str, images: usize, values: usize) -> View {
        self.add(name, Some(images), Values::Numbers(vec![POISON; images * values]), Fate::Scratch)
    }

    pub fn scratch(&mut self, name: &'static str, len: usize) -> View {
        self.add(name, None, Values::Numbers(vec![POISON; len]), Fate::Scratch)
    }

    pub fn step(&mut self, step: Step) {
        self.case.steps.push(Step { layer: self.case.name.clone(), ..step });
    }

    pub fn slot(&mut self, slot: Slot) {
        self.case.slot = slot;
    }

    pub fn done(self) -> Case {
        self.case
    }
}
