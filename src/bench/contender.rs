//! One configuration, set up and sampled.

use super::timing::microseconds;
use super::{BenchResult, Ceiling, Control, Kernel, Source, Timing};
use crate::cpu::Cpu;
use crate::data::{Dataset, Pair};
use crate::eval;
use crate::gpu::Gpu;
use crate::plan::{Capacity, Phase, Plan, Slot};
use crate::session::{SUBMISSION, Session, SessionError, pace};
use crate::train::setup;

/// What runs a plan, and lets its launches be timed one by one.
pub enum Runner {
    Cpu(Cpu),
    Gpu(Gpu),
}

impl Runner {
    fn session(&mut self) -> &mut dyn Session {
        match self {
            Runner::Cpu(cpu) => cpu,
            Runner::Gpu(gpu) => gpu,
        }
    }

    fn plan(&self) -> &Plan {
        match self {
            Runner::Cpu(cpu) => cpu.plan(),
            Runner::Gpu(gpu) => gpu.plan(),
        }
    }
}

/// Batches that are trained on in turn.
const BATCHES: usize = 8;

/// A sample of training steps, and one of a launch alone, last about so many microseconds: threads are
/// started for it once, and a GPU has time to raise its clock.
const SAMPLE_US: f64 = 200e3;
const KERNEL_SAMPLE_US: f64 = 2e3;

/// Most steps of a sample.
const MOST: usize = 8192;

/// Timestamps are believed where their sum is this much of the wall clock of a training step.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.3..=1.3;

/// Samples by round, in microseconds.
#[derive(Default)]
struct Series {
    train: Vec<f64>,
    again: Vec<f64>,
    forward: Vec<f64>,
    eval: Vec<f64>,
    record: Vec<f64>,
    upload: Vec<f64>,
    /// By launch: from the device's clock, and from launches alone.
    stamped: Vec<Vec<f64>>,
    alone: Vec<Vec<f64>>,
}

/// A configuration with its data on the device.
pub struct Contender {
    runner: Runner,
    test: Vec<Pair>,
    /// What is uploaded: the first window of the data set.
    words: Vec<u32>,
    /// On a GPU each launch of a training step is a list of its own too.
    lists: Vec<usize>,
    /// Steps to a sample.
    train_steps: usize,
    forward_steps: usize,
    kernel_launches: Vec<usize>,
    series: Series,
}

impl Contender {
    /// Room for what is sampled with batches of `batch_size` pairs.
    pub fn capacity(dataset: &Dataset, test_pairs: usize, batch_size: usize) -> Capacity {
        Capacity {
            images: dataset.len(),
            pairs: BATCHES * batch_size,
            embeddings: (2 * batch_size).max(dataset.test_images()),
            scores: test_pairs,
        }
    }

    /// Brings data and weights onto the device, runs everything once, so that all is compiled, and once
    /// more to find how many steps make a sample.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn new(
        mut runner: Runner,
        dataset: &Dataset,
        training: &[Pair],
        test: Vec<Pair>,
    ) -> Result<Self, SessionError> {
        let session = runner.session();
        let pairs = BATCHES * session.plan().options.batch_size;
        let training: Vec<Pair> = training.iter().copied().cycle().take(pairs).collect();
        setup::upload_images(session, dataset)?;
        setup::upload_pairs(session, &training)?;
        let weights = setup::initial_values(session.plan(), 0);
        setup::write_all(session, &weights)?;
        let embedded = session.plan().options.capacity.embeddings;
        let images: Vec<u32> = (0..dataset.len() as u32).cycle().take(embedded).collect();
        session.write_words("embed.index", &images)?;
        let window = session.plan().tensor("data.0").map_or(0, |tensor| tensor.view.len);
        let (whole, _) = dataset.images.as_chunks::<4>();
        let words = whole.iter().take(window).map(|&bytes| u32::from_le_bytes(bytes)).collect();
        session.prepare(Phase::Train).await?;
        let lists = match &mut runner {
            Runner::Cpu(_) => Vec::new(),
            Runner::Gpu(gpu) => gpu.separate_lists().await?,
        };
        let launches = runner.plan().train.len();
        let mut contender = Contender {
            runner,
            test,
            words,
            lists,
            train_steps: 1,
            forward_steps: 1,
            kernel_launches: vec![1; launches],
            series: Series::default(),
        };
        for _ in 0..2 {
            contender.round().await?;
            contender.round_again().await?;
            let Series { train, forward, alone, .. } = std::mem::take(&mut contender.series);
            contender.train_steps = steps(SAMPLE_US, train[0]).min(MOST);
            contender.forward_steps = steps(SAMPLE_US / 4.0, forward[0]).min(MOST);
            contender.kernel_launches =
                alone.iter().map(|us| steps(KERNEL_SAMPLE_US, us[0]).min(SUBMISSION)).collect();
        }
        Ok(contender)
    }

    /// One line on what this is.
    pub fn title(&self) -> String {
        let plan = self.runner.plan();
        format!(
            "{} on {}, {} pairs, plan {}",
            plan.model,
            self.adapter().name,
            plan.options.batch_size,
            plan.options.kind.name()
        )
    }

    /// Takes a sample of everything.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn round(&mut self) -> Result<(), SessionError> {
        let train = self.train().await?;
        self.series.train.push(train);
        let forward = self.forward().await?;
        self.series.forward.push(forward);
        let test = &self.test;
        let session = self.runner.session();
        let eval = microseconds(eval::score(session, test)).await?;
        self.series.eval.push(eval / test.len() as f64);
        let words = &self.words;
        let upload = microseconds(async {
            session.write_words("data.0", words)?;
            // What is read lies behind what is written: the upload is done then.
            session.read_front("history", 1).await
        });
        let upload = upload.await?;
        self.series.upload.push(upload);
        self.kernels().await
    }

    /// Takes the second sample of a round, for the control.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn round_again(&mut self) -> Result<(), SessionError> {
        let train = self.train().await?;
        self.series.again.push(train);
        Ok(())
    }

    async fn train(&mut self) -> Result<f64, SessionError> {
        let slots = slots(self.runner.plan(), self.train_steps);
        let session = self.runner.session();
        let us = microseconds(pace::train(session, &slots)).await?;
        Ok(us / slots.len() as f64)
    }

    /// Scaled to twice the pairs of a batch, where the plan embeds fewer images at a time.
    async fn forward(&mut self) -> Result<f64, SessionError> {
        let plan = self.runner.plan();
        let (images, wanted) = (plan.embed_batch, 2 * plan.options.batch_size);
        let slots = vec![Slot { count: images as u32, ..Slot::default() }; self.forward_steps];
        let session = self.runner.session();
        let us = microseconds(async {
            pace::run(session, Phase::Embed, &slots, &mut |_, _| true, &mut || {}).await
        });
        let us = us.await?;
        Ok(us / slots.len() as f64 * wanted as f64 / images as f64)
    }

    async fn kernels(&mut self) -> Result<(), SessionError> {
        let Contender { runner, series, lists, kernel_launches, .. } = self;
        let slot = slots(runner.plan(), 1)[0];
        if let Runner::Gpu(gpu) = runner {
            series.record.push(gpu.recording_time(slot)?.as_secs_f64() * 1e6);
            if let Some(times) = gpu.device_times(slot).await? {
                push_each(&mut series.stamped, times);
            }
        }
        let mut alone = Vec::with_capacity(kernel_launches.len());
        for (number, &times) in kernel_launches.iter().enumerate() {
            let us = match runner {
                Runner::Cpu(cpu) => {
                    let step = cpu.plan().train[number].clone();
                    let run = async {
                        (0..times).for_each(|_| cpu.launch_alone(&step, slot));
                        Ok(())
                    };
                    microseconds(run).await?
                }
                Runner::Gpu(gpu) => microseconds(gpu.repeat_alone(lists[number], slot, times)).await?,
            };
            alone.push(us / times as f64);
        }
        push_each(&mut series.alone, alone);
        Ok(())
    }

    fn adapter(&self) -> &crate::session::AdapterInfo {
        match &self.runner {
            Runner::Cpu(cpu) => cpu.adapter(),
            Runner::Gpu(gpu) => gpu.adapter(),
        }
    }

    /// What the rounds say together.
    pub fn result(&self, ceiling: Ceiling) -> BenchResult {
        let (plan, series) = (self.runner.plan(), &self.series);
        let train_step_us = Timing::of(&series.train);
        let billions_per_second = |count: u64, us: f64| count as f64 / us / 1e3;
        BenchResult {
            adapter: self.adapter().clone(),
            model: plan.model.clone(),
            batch_size: plan.options.batch_size,
            plan: plan.options.kind.name(),
            train_step_us,
            forward_us: Timing::of(&series.forward),
            eval_us_per_pair: Timing::of(&series.eval),
            record_us: (!series.record.is_empty()).then(|| Timing::of(&series.record)),
            upload_gb_s: billions_per_second(4 * self.words.len() as u64, Timing::of(&series.upload).median),
            launches_per_step: plan.train.len(),
            flops_per_step: plan.flops_per_step(),
            gflops: billions_per_second(plan.flops_per_step(), train_step_us.median),
            gb_s: billions_per_second(bytes_touched(plan), train_step_us.median),
            ceiling,
            kernels: {
                let (times, source) = kernel_times(series, train_step_us.median);
                let kernel = |(step, us): (&crate::ops::Step, Timing)| Kernel {
                    op: step.op,
                    entry: step.entry,
                    layer: step.layer.clone(),
                    us,
                    // A launch too short for the device's clock has no rate.
                    gflops: if us.median > 0.0 { billions_per_second(step.flops, us.median) } else { 0.0 },
                    source,
                };
                plan.train.iter().zip(times).map(kernel).collect()
            },
        }
    }

    /// This configuration against itself.
    pub fn control(&self) -> Control {
        let (plan, series) = (self.runner.plan(), &self.series);
        let ratios: Vec<f64> = series.again.iter().zip(&series.train).map(|(b, a)| b / a).collect();
        Control {
            adapter: self.adapter().clone(),
            model: plan.model.clone(),
            batch_size: plan.options.batch_size,
            plan: plan.options.kind.name(),
            ratio: Timing::of(&ratios),
        }
    }
}

/// Each launch's time: by the device's clock where it is to be believed.
fn kernel_times(series: &Series, train_step_us: f64) -> (Vec<Timing>, Source) {
    let timings = |samples: &[Vec<f64>]| samples.iter().map(|us| Timing::of(us)).collect::<Vec<_>>();
    let stamped = timings(&series.stamped);
    let sum: f64 = stamped.iter().map(|us| us.median).sum();
    if PLAUSIBLE.contains(&(sum / train_step_us)) {
        (stamped, Source::Timestamps)
    } else {
        (timings(&series.alone), Source::WallClock)
    }
}

/// Slots of training steps that go round the batches. The learning rate is 0: the weights stay, so
/// that every round does the same work.
fn slots(plan: &Plan, count: usize) -> Vec<Slot> {
    let batch = plan.options.batch_size;
    (0..count)
        .map(|step| Slot {
            first: (step % BATCHES * batch) as u32,
            count: batch as u32,
            index: (step % SUBMISSION) as u32,
            ..plan.slot(1, 0.0)
        })
        .collect()
}

/// Steps of `us` microseconds each that last for `wanted`.
fn steps(wanted: f64, us: f64) -> usize {
    (wanted / us.max(1e-3)).ceil() as usize
}

/// Bytes of a training step's operands, but for data set and lists, of which a step touches only a little.
fn bytes_touched(plan: &Plan) -> u64 {
    let operands = plan.train.iter().flat_map(|step| &step.operands);
    operands.filter(|o| !plan.buffer(o.view.buffer).is_words()).map(|o| 4 * o.view.len as u64).sum()
}

fn push_each(series: &mut Vec<Vec<f64>>, samples: Vec<f64>) {
    series.resize_with(samples.len(), Vec::new);
    for (series, sample) in series.iter_mut().zip(samples) {
        series.push(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_believed_only_near_the_wall_clock() {
        let series = Series {
            stamped: vec![vec![10.0, 20.0, 30.0], vec![40.0]],
            alone: vec![vec![1.0], vec![2.0]],
            ..Series::default()
        };
        for (step, expected) in
            [(60.0, Source::Timestamps), (45.0, Source::WallClock), (201.0, Source::WallClock)]
        {
            let (times, source) = kernel_times(&series, step);
            assert_eq!(source, expected, "{step}");
            let median = if source == Source::Timestamps { 20.0 } else { 1.0 };
            assert_eq!((times.len(), times[0].median), (2, median));
        }
        let none = Series { stamped: Vec::new(), ..series };
        assert_eq!(kernel_times(&none, 60.0).1, Source::WallClock);
    }
}
