//! How fast the products of convolutions and dense layers run on an adapter, unfused and blocked.
//!
//! `cargo bench --bench kernels [-- --adapter vulkan] [FILTER]`. GFLOP/s count the multiply-adds that the layer
//! needs, as two each, not those that a block spends on its overhang. "alone" is the product itself, "with
//! copies" includes what a step does to lay its operands out or to add its parts up. On Linux, a software
//! adapter's speed is also given per second of processor time ("a core"), which other work on the machine
//! disturbs less than the clock.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use gpu_siamese::cli::block_on;
use gpu_siamese::gpu::{Choice, Context, Pipelines, Recorder, adapters};
use gpu_siamese::ops::activation::ActivationKind;
use gpu_siamese::ops::conv2d::Conv2d;
use gpu_siamese::ops::conv2d_blocked::Conv2dBlocked;
use gpu_siamese::ops::dense::Dense;
use gpu_siamese::ops::dense_blocked::DenseBlocked;
use gpu_siamese::ops::reduce::Reduce;
use gpu_siamese::ops::{BufferId, Step, View};
use gpu_siamese::plan::{Buffer, Role, Slot};

#[derive(Parser)]
struct Arguments {
    /// A backend, an index from `adapters`, or part of a name
    #[arg(long, default_value = "vulkan")]
    adapter: String,
    /// Only kernels whose line contains this
    filter: Option<String>,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Time that one measurement takes at least.
const MEASURED: Duration = Duration::from_millis(300);
const ROUNDS: usize = 3;

/// Steps on buffers of their own; the last one is the product.
struct Job {
    name: String,
    buffers: Vec<Buffer>,
    copies: Vec<Step>,
    products: Vec<Step>,
    /// What follows the product.
    sums: Vec<Step>,
}

impl Job {
    fn new(name: String) -> Self {
        Job { name, buffers: Vec::new(), copies: Vec::new(), products: Vec::new(), sums: Vec::new() }
    }

    fn view(&mut self, len: usize) -> View {
        self.buffers.push(Buffer { name: self.name.clone(), role: Role::Results, len });
        View::plain(BufferId(self.buffers.len() - 1), 0, len)
    }

    fn flops(&self) -> f64 {
        self.products.iter().map(|step| step.flops as f64).sum()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let Choice::Gpu(candidate) = block_on(adapters::choose(&arguments.adapter))? else {
        return Err("this measures GPU adapters; choose one with --adapter".into());
    };
    println!("{}", candidate.line());
    println!("{:<76} {:>10} {:>12} {:>10}", "op.entry, layer: GFLOP/s", "alone", "with copies", "a core");
    let gpu = Arc::new(Pipelines::new(block_on(Context::open(&candidate))?));
    let mut per_core: Vec<f64> = Vec::new();
    for job in jobs(gpu.context.max_binding) {
        if arguments.filter.as_ref().is_some_and(|filter| !job.name.contains(filter.as_str())) {
            continue;
        }
        let (alone, core) = measure(&gpu, &job, &[&job.products])?;
        let (all, _) = measure(&gpu, &job, &[&job.copies, &job.products, &job.sums])?;
        let shown = core.map_or("-".into(), |core| format!("{core:.2}"));
        println!("{:<76} {alone:>10.2} {all:>12.2} {shown:>10}", job.name);
        if job.name.contains("blocked") {
            per_core.extend(core);
        }
    }
    if !per_core.is_empty() {
        let mean = (per_core.iter().map(|speed| speed.ln()).sum::<f64>() / per_core.len() as f64).exp();
        let least = per_core.iter().copied().fold(f64::INFINITY, f64::min);
        println!("blocked kernels, a core: geometric mean {mean:.2}, least {least:.2}");
    }
    Ok(())
}

/// GFLOP/s by the clock and by processor time: the best of some rounds.
fn measure(gpu: &Arc<Pipelines>, job: &Job, lists: &[&[Step]]) -> Result<(f64, Option<f64>), Box<dyn Error>> {
    let steps = lists.concat();
    let mut recorder = block_on(Recorder::new(gpu.clone(), &job.buffers))?;
    let list = block_on(recorder.add(&steps))?;
    for (number, buffer) in job.buffers.iter().enumerate() {
        // No value is 0 or denormal, and none grows out of bounds.
        let values: Vec<f32> = (0..buffer.len).map(|at| (at * 7919 % 1013) as f32 / 506.0 - 1.0013).collect();
        recorder.write(number, 0, &values)?;
    }
    let slot = Slot { count: u32::MAX, ..Slot::default() };
    let last = job.buffers.len() - 1;
    let mut run = |times: usize| -> Result<(), Box<dyn Error>> {
        for _ in 0..times {
            recorder.submit(list, &[slot]);
            block_on(recorder.read::<f32>(last, 0..1))?;
        }
        Ok(())
    };
    // The first launch compiles.
    run(1)?;
    let start = Instant::now();
    run(1)?;
    let times = (MEASURED.as_secs_f64() / start.elapsed().as_secs_f64()).ceil() as usize;
    let (mut clock, mut processor) = (f64::INFINITY, None);
    for _ in 0..ROUNDS {
        let (start, before) = (Instant::now(), processor_seconds());
        run(times)?;
        clock = start.elapsed().as_secs_f64().min(clock);
        let spent = processor_seconds().zip(before).map(|(after, before)| after - before);
        processor = spent.into_iter().chain(processor).reduce(f64::min);
    }
    let speed = |seconds: f64| times as f64 * job.flops() / seconds / 1e9;
    Ok((speed(clock), processor.filter(|_| gpu.context.info.software).map(speed)))
}

/// Processor time of this process so far, where Linux tells it.
fn processor_seconds() -> Option<f64> {
    /// Linux counts in hundredths of a second, whatever the kernel's own clock.
    const TICK: f64 = 0.01;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, in brackets: user and system time are the 12th and 13th fields.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) * TICK)
}

fn jobs(max_binding: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (images, channels, side, out_channels, kernel, stride, padding) in [
        // SN-LeNet-5 with 64 pairs.
        (128, 1, 28, 6, 5, 1, 2),
        (128, 6, 14, 16, 5, 1, 0),
        // Koch's network on Omniglot.
        (4, 1, 105, 64, 10, 1, 0),
        (2, 64, 48, 128, 7, 1, 0),
        (4, 128, 21, 128, 4, 1, 0),
        (8, 128, 9, 256, 4, 1, 0),
        // Strides, padding, many channels.
        (8, 3, 105, 32, 5, 2, 2),
        (8, 256, 14, 512, 3, 2, 1),
        (4, 512, 14, 512, 3, 1, 1),
    ] {
        let conv = Conv2dBlocked {
            images,
            in_channels: channels,
            in_height: side,
            in_width: side,
            out_channels,
            kernel,
            stride,
            padding,
            images_per_part: images,
            activated: true,
            activation: ActivationKind::Relu,
        };
        jobs.extend(conv_jobs(&conv.in_parts(usize::MAX)));
    }
    for (images, inputs, outputs) in [(128, 400, 120), (128, 120, 84), (32, 9216, 4096)] {
        let rows = (max_binding / (4 * inputs) / 64 * 64).min(outputs);
        let windows: Vec<DenseBlocked> = (0..outputs)
            .step_by(rows)
            .map(|first_row| DenseBlocked {
                images: images as u32,
                inputs: inputs as u32,
                outputs: outputs as u32,
                first_row: first_row as u32,
                rows: rows.min(outputs - first_row) as u32,
                activated: true,
                activation: ActivationKind::Relu,
                accumulate: false,
            })
            .collect();
        jobs.extend(dense_jobs(&windows));
    }
    jobs
}

fn conv_jobs(conv: &Conv2dBlocked) -> Vec<Job> {
    let plain: Conv2d = conv.conv();
    let images = conv.images as usize;
    let layer = format!(
        "{images} x {}x{}x{} to {}, kernel {}, stride {}, padding {}",
        conv.in_channels,
        conv.in_height,
        conv.in_width,
        conv.out_channels,
        conv.kernel,
        conv.stride,
        conv.padding
    );
    let (x_len, y_len) = (images * plain.in_len(), images * plain.out_len());
    let mut jobs = Vec::new();

    let mut job = Job::new(format!("conv2d.forward, {layer}"));
    let [x, weight, bias, y] =
        [x_len, plain.weight_len(), conv.out_channels as usize, y_len].map(|len| job.view(len));
    job.products.push(plain.forward(x, weight, bias, y));
    jobs.push(job);
    // Nothing asks a first layer for the gradient of the images.
    let is_first = conv.in_channels <= 3;
    if !is_first {
        let mut job = Job::new(format!("conv2d.backward_input, {layer}"));
        let [dy, weight, dx] = [y_len, plain.weight_len(), x_len].map(|len| job.view(len));
        job.products.push(plain.backward_input(dy, weight, dx));
        jobs.push(job);
    }
    let mut job = Job::new(format!("conv2d.backward_weight, {layer}"));
    let parts_len = plain.parts() * plain.weight_len();
    let [x, dy, parts, dweight] = [x_len, y_len, parts_len, plain.weight_len()].map(|len| job.view(len));
    let reduce = Reduce { count: plain.weight_len() as u32, parts: plain.parts() as u32, accumulate: false };
    job.products.push(plain.backward_weight(x, dy, parts));
    job.sums.push(reduce.forward(parts, dweight));
    jobs.push(job);

    let mut job = Job::new(format!("conv2d_blocked.forward, {layer}"));
    let [x, weight, bias] = [x_len, plain.weight_len(), conv.out_channels as usize].map(|len| job.view(len));
    let [spread, filters, y] =
        [images * conv.spread_len(), conv.packed_len(), y_len].map(|len| job.view(len));
    job.copies.extend([conv.spread_input(x, spread), conv.pack(weight, filters)]);
    job.products.push(conv.forward(spread, filters, bias, y));
    jobs.push(job);
    if !is_first {
        let mut job = Job::new(format!("conv2d_blocked.backward_input, {layer}"));
        let [blocks, weight] = [images * conv.blocks_len(), plain.weight_len()].map(|len| job.view(len));
        let [filters, dx] = [conv.turned_len(), x_len].map(|len| job.view(len));
        job.copies.push(conv.pack_turned(weight, filters));
        job.products.push(conv.backward_input(blocks, filters, dx));
        jobs.push(job);
    }
    let mut job = Job::new(format!("conv2d_blocked.backward_weight, {layer}"));
    let [dz, spread, blocks] =
        [y_len, images * conv.spread_len(), images * conv.blocks_len()].map(|len| job.view(len));
    let [parts, bias_parts, dweight] =
        [parts_len, plain.parts() * conv.out_channels as usize, plain.weight_len()].map(|len| job.view(len));
    job.copies.push(conv.block_gradient(dz, blocks));
    job.products.push(conv.backward_weight(spread, blocks, parts, bias_parts));
    job.sums.push(reduce.forward(parts, dweight));
    jobs.push(job);
    jobs
}

/// A layer in as many windows of rows as a binding demands.
fn dense_jobs(windows: &[DenseBlocked]) -> Vec<Job> {
    let part = &windows[0];
    let [images, inputs, outputs] = [part.images, part.inputs, part.outputs].map(|value| value as usize);
    let layer = format!("{images} x {inputs} to {outputs}");
    let title = |op: &str, entry: &str| format!("{op}.{entry}, {layer}");
    let mut jobs = Vec::new();
    for entry in ["forward", "backward_input", "backward_weight"] {
        let (mut unfused, mut blocked) =
            (Job::new(title("dense", entry)), Job::new(title("dense_blocked", entry)));
        for job in [&mut unfused, &mut blocked] {
            let [x, y, bias] = [images * inputs, images * outputs, outputs].map(|len| job.view(len));
            let weights: Vec<View> =
                windows.iter().map(|window| job.view(window.rows as usize * inputs)).collect();
            let (is_blocked, result) = (job.name.contains("blocked"), job.view(images * inputs.max(outputs)));
            let into = |len| result.part(0, len);
            for (number, (window, &weight)) in windows.iter().zip(&weights).enumerate() {
                let window = DenseBlocked { accumulate: number > 0, ..*window };
                let plain: Dense = window.dense();
                job.products.push(match (entry, is_blocked) {
                    ("forward", true) => window.forward(x, weight, bias, into(images * outputs)),
                    ("forward", false) => plain.forward(x, weight, bias, into(images * outputs)),
                    ("backward_input", true) => window.backward_input(y, weight, into(images * inputs)),
                    ("backward_input", false) => plain.backward_input(y, weight, into(images * inputs)),
                    (_, true) => DenseBlocked { accumulate: false, ..window }.backward_weight(x, y, weight),
                    (_, false) => Dense { accumulate: false, ..plain }.backward_weight(x, y, weight),
                });
            }
        }
        jobs.extend([unfused, blocked]);
    }
    jobs
}
