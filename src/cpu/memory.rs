//! A plan's buffers in host memory, and a step's operands borrowed from them by name.

use super::real::Real;
use crate::ops::{Access, INTERLEAVE, Step};
use crate::plan::{Buffer, Slot};

/// Values that start at a cache line, so that no SIMD load straddles two.
#[derive(Clone, Debug, Default)]
pub struct Aligned<T> {
    values: Vec<T>,
    start: usize,
    len: usize,
}

const CACHE_LINE: usize = 64;

impl<T: Copy> Aligned<T> {
    pub fn new(len: usize, value: T) -> Self {
        let values = vec![value; len + CACHE_LINE / size_of::<T>().min(CACHE_LINE)];
        let start = values.as_ptr().align_offset(CACHE_LINE);
        // Where the allocator's alignment leaves no whole number of elements, any start will do.
        let start = if start.saturating_add(len) <= values.len() { start } else { 0 };
        Aligned { values, start, len }
    }

    pub fn as_slice(&self) -> &[T] {
        &self.values[self.start..self.start + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.values[self.start..self.start + self.len]
    }
}

/// A buffer: numbers, or words (bytes of images, indices, labels).
#[derive(Clone, Debug)]
pub enum Storage<T> {
    Numbers(Aligned<T>),
    Words(Vec<u32>),
}

/// All buffers of a plan.
#[derive(Clone, Debug)]
pub struct Memory<T> {
    pub buffers: Vec<Storage<T>>,
}

/// The operands of one step, by the names of the kernel's arguments.
pub struct Io<'a, T> {
    pub slot: Slot,
    reads: Vec<(&'static str, &'a [T])>,
    words: Vec<(&'static str, &'a [u32])>,
    writes: Vec<(&'static str, &'a mut [T])>,
}

impl<'a, T> Io<'a, T> {
    /// Operands from anywhere, for a part of a fused op.
    pub(super) fn of<const R: usize, const W: usize>(
        slot: Slot,
        reads: [(&'static str, &'a [T]); R],
        writes: [(&'static str, &'a mut [T]); W],
    ) -> Self {
        Io { slot, reads: reads.into(), words: Vec::new(), writes: writes.into() }
    }

    /// # Panics
    /// If the step has no such operand: op and twin are held together by a test.
    pub fn read(&self, name: &str) -> &'a [T] {
        self.reads
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, values)| *values)
            .unwrap_or_else(|| panic!("the step reads no {name}"))
    }

    pub fn words(&self, name: &str) -> &'a [u32] {
        self.words
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, values)| *values)
            .unwrap_or_else(|| panic!("the step has no words {name}"))
    }

    /// What the step writes, handed out once.
    pub fn write(&mut self, name: &str) -> &'a mut [T] {
        let position = self
            .writes
            .iter()
            .position(|(other, _)| *other == name)
            .unwrap_or_else(|| panic!("the step writes no {name}"));
        self.writes.swap_remove(position).1
    }
}

impl<T: Copy> Io<'_, T> {
    /// Fills what a written, interleaved operand holds behind its last image.
    pub fn pad(&mut self, name: &str, value: T, images: usize, values: usize) {
        let Some((_, stored)) = self.writes.iter_mut().find(|(other, _)| *other == name) else { return };
        let lanes = images % INTERLEAVE;
        if lanes > 0 {
            let last = images / INTERLEAVE * values * INTERLEAVE;
            for row in stored[last..].chunks_exact_mut(INTERLEAVE) {
                row[lanes..].fill(value);
            }
        }
    }
}

impl<T: Real> Memory<T> {
    /// Buffers filled with zeros.
    pub fn new(buffers: &[Buffer]) -> Self {
        let storage = |buffer: &Buffer| {
            if buffer.is_words() {
                Storage::Words(vec![0; buffer.len])
            } else {
                Storage::Numbers(Aligned::new(buffer.len, T::of(0.0)))
            }
        };
        Memory { buffers: buffers.iter().map(storage).collect() }
    }

    pub fn numbers(&self, buffer: usize) -> &[T] {
        match &self.buffers[buffer] {
            Storage::Numbers(values) => values.as_slice(),
            Storage::Words(_) => panic!("buffer {buffer} holds words"),
        }
    }

    pub fn numbers_mut(&mut self, buffer: usize) -> &mut [T] {
        match &mut self.buffers[buffer] {
            Storage::Numbers(values) => values.as_mut_slice(),
            Storage::Words(_) => panic!("buffer {buffer} holds words"),
        }
    }

    pub fn words_mut(&mut self, buffer: usize) -> &mut [u32] {
        match &mut self.buffers[buffer] {
            Storage::Words(words) => words,
            Storage::Numbers(_) => panic!("buffer {buffer} holds numbers"),
        }
    }

    /// Lends a step its operands. No step reads and writes the same buffer, so the written buffers
    /// are taken out while the others are only read.
    pub fn lend<R>(&mut self, step: &Step, slot: &Slot, run: impl FnOnce(&mut Io<'_, T>) -> R) -> R {
        let mut written: Vec<(usize, Storage<T>)> = Vec::new();
        for operand in step.operands.iter().filter(|o| o.access == Access::Write) {
            let buffer = operand.view.buffer.0;
            if written.iter().all(|(other, _)| *other != buffer) {
                let taken = std::mem::replace(&mut self.buffers[buffer], Storage::Words(Vec::new()));
                written.push((buffer, taken));
            }
        }
        let result = {
            let mut io = Io { slot: *slot, reads: Vec::new(), words: Vec::new(), writes: Vec::new() };
            for operand in step.operands.iter().filter(|o| o.access == Access::Read) {
                let range = operand.view.range();
                match &self.buffers[operand.view.buffer.0] {
                    Storage::Numbers(values) => {
                        io.reads.push((operand.name, &values.as_slice()[range]));
                    }
                    Storage::Words(words) => io.words.push((operand.name, &words[range])),
                }
            }
            for (buffer, storage) in &mut written {
                let Storage::Numbers(values) = storage else { panic!("steps write numbers") };
                // Cut the buffer at its operands, from the front.
                let mut operands: Vec<_> = step
                    .operands
                    .iter()
                    .filter(|o| o.access == Access::Write && o.view.buffer.0 == *buffer)
                    .collect();
                operands.sort_by_key(|operand| operand.view.offset);
                let (mut rest, mut start) = (values.as_mut_slice(), 0);
                for operand in operands {
                    let (_, tail) = rest.split_at_mut(operand.view.offset - start);
                    let (view, tail) = tail.split_at_mut(operand.view.len);
                    io.writes.push((operand.name, view));
                    (rest, start) = (tail, operand.view.offset + operand.view.len);
                }
            }
            run(&mut io)
        };
        for (buffer, storage) in written {
            self.buffers[buffer] = storage;
        }
        result
    }
}
