//! Threads that run a schedule together.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::memory::{Aligned, Memory, Storage};
use super::schedule::{Launch, Place, Schedule, Stage};
use super::{Io, fast};
use crate::ops::Access;
use crate::plan::Slot;

/// A plan's buffers, lent to several threads at once.
pub struct Shared<'a> {
    buffers: Vec<Lent<'a>>,
}

enum Lent<'a> {
    Numbers { start: *mut f32, len: usize },
    Words(&'a [u32]),
}

// SAFETY: what threads do with the pointers is `Launch::run`'s business.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub fn new(memory: &'a mut Memory<f32>) -> Self {
        let lend = |storage: &'a mut Storage<f32>| match storage {
            Storage::Numbers(values) => {
                let values = values.as_mut_slice();
                Lent::Numbers { start: values.as_mut_ptr(), len: values.len() }
            }
            Storage::Words(words) => Lent::Words(words),
        };
        Shared { buffers: memory.buffers.iter_mut().map(lend).collect() }
    }
}

impl Launch {
    /// Runs one portion.
    ///
    /// # Safety
    /// No other thread touches what this portion writes, nor writes what it reads; `own` is this
    /// thread's alone.
    unsafe fn run(&self, shared: &Shared<'_>, own: &mut [f32], slot: Slot, portion: usize) {
        let mut io = Io::new(slot, portion * self.stride);
        io.relu = self.relu;
        for &Place { name, access, buffer, offset, len, portion: size } in &self.places {
            let (start, buffer_len) = match buffer.map(|buffer| &shared.buffers[buffer]) {
                Some(Lent::Words(words)) => {
                    io.lend_words(name, &words[offset..offset + len]);
                    continue;
                }
                Some(Lent::Numbers { start, len }) => (*start, *len),
                None => (own.as_mut_ptr(), own.len()),
            };
            let skipped = if buffer.is_some() { size.unwrap_or(0) * portion } else { 0 };
            let count = size.unwrap_or(len).min(len - skipped);
            assert!(offset + skipped + count <= buffer_len);
            // SAFETY: within the buffer; portions of a chain do not overlap, chains of a stage do not
            // meet in what they write, and no step's operands overlap.
            unsafe {
                let start = start.add(offset + skipped);
                match access {
                    Access::Read => io.lend(name, std::slice::from_raw_parts(start, count)),
                    Access::Write => io.lend_mut(name, std::slice::from_raw_parts_mut(start, count)),
                }
            }
        }
        fast(&self.step, &mut io);
    }
}

/// Threads that live as long as a session and sleep between submissions.
pub struct Pool {
    threads: usize,
    /// None for one thread: that is the caller's.
    pool: Option<rayon::ThreadPool>,
}

impl Pool {
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let start = || rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = (threads > 1).then(start).transpose().map_err(std::io::Error::other)?;
        Ok(Pool { threads, pool })
    }

    /// Runs a crew's schedule once for each slot, on as many threads as it has.
    pub fn run(&self, crew: &Crew<'_>, slots: &[Slot]) {
        match &self.pool {
            Some(pool) => drop(pool.broadcast(|thread| {
                if thread.index() < crew.threads {
                    crew.work(slots);
                }
            })),
            None => crew.work(slots),
        }
    }
}

/// Threads at work on the same slots.
pub struct Crew<'a> {
    schedule: &'a Schedule,
    shared: Shared<'a>,
    threads: usize,
    /// Tasks given out, stage by stage, over all slots.
    given: Vec<AtomicUsize>,
    arrived: AtomicUsize,
    /// Stages that all have left behind.
    passed: AtomicUsize,
    stopped: AtomicBool,
}

/// Looks at the others before a waiting thread lets somebody else have the core.
const SPINS: usize = 1 << 12;

impl<'a> Crew<'a> {
    /// At most the pool's threads: more than there are tasks would only wait.
    pub fn new(schedule: &'a Schedule, memory: &'a mut Memory<f32>, pool: &Pool) -> Self {
        let most = schedule.stages.iter().map(Stage::tasks).max().unwrap_or(1).max(1);
        Crew {
            schedule,
            shared: Shared::new(memory),
            threads: pool.threads.min(most),
            given: schedule.stages.iter().map(|_| AtomicUsize::new(0)).collect(),
            arrived: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    fn work(&self, slots: &[Slot]) {
        // Whoever panics takes the others along.
        let _leaving = Leaving(&self.stopped);
        let mut own = Aligned::new(self.schedule.scratch, 0.0);
        let mut passed = 0;
        for (round, slot) in slots.iter().enumerate() {
            for (stage, given) in self.schedule.stages.iter().zip(&self.given) {
                let tasks = stage.tasks();
                // Every thread asks once more than it gets.
                let before = round * (tasks + self.threads);
                loop {
                    let task = given.fetch_add(1, Ordering::Relaxed) - before;
                    if task >= tasks {
                        break;
                    }
                    self.task(stage, task, own.as_mut_slice(), *slot);
                }
                passed += 1;
                if !self.meet(passed) {
                    return;
                }
            }
        }
        std::mem::forget(_leaving);
    }

    fn task(&self, stage: &Stage, mut task: usize, own: &mut [f32], slot: Slot) {
        for chain in &stage.chains {
            if task < chain.portions {
                for launch in &chain.launches {
                    // SAFETY: the schedule puts steps that meet into one chain's portion or into
                    // stages of their own.
                    unsafe { launch.run(&self.shared, own, slot, task) };
                }
                return;
            }
            task -= chain.portions;
        }
    }

    /// Waits until all have passed so many stages; false where somebody stopped.
    fn meet(&self, passed: usize) -> bool {
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == passed * self.threads {
            self.passed.store(passed, Ordering::Release);
            return true;
        }
        let mut spins = 0;
        while self.passed.load(Ordering::Acquire) < passed {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        true
    }
}

struct Leaving<'a>(&'a AtomicBool);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
