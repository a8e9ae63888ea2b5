//! Short training runs on a Vulkan adapter, within the test's own process.

use std::sync::Arc;

use gpu_siamese::cli::Failure;
use gpu_siamese::data::{self, Glyphs, Sampling, glyphs};
use gpu_siamese::gpu::{Choice, Device, Gpu, adapters};
use gpu_siamese::model::ModelOptions;
use gpu_siamese::ops::Layout;
use gpu_siamese::ops::distance::DistanceKind;
use gpu_siamese::plan::{BatchLayout, NORM_EPS};
use gpu_siamese::train::{
    Description, Measure, Outcome, Position, Rate, RunFolder, Sampler, Schedule, Trainer, Watch, setup,
};

pub fn device() -> Option<Arc<Device>> {
    match adapters::choose("vulkan") {
        Ok(Choice::Gpu(candidate)) => Some(Arc::new(Device::open(&candidate).unwrap())),
        _ => {
            eprintln!("skipped: no Vulkan adapter");
            None
        }
    }
}

/// Trains on 480 glyphs, 8 pairs a step, with a checkpoint every 10 steps.
pub fn short_run(
    device: &Arc<Device>,
    watch: &mut dyn Watch,
    folder: &RunFolder,
    epochs: u64,
) -> Result<Outcome, Failure> {
    let dataset = glyphs::generate(&Glyphs { train_per_class: 60, ..Glyphs::default() }, 0);
    let split = data::split(&dataset, 0);
    let plan = super::plan_for(&dataset, &split, 8, Layout::Plain, device.max_binding);
    let options = ModelOptions::default();
    let description = Description {
        model: plan.model.clone(),
        dataset: dataset.name.clone(),
        input: dataset.shape,
        activation: options.activation,
        pool: options.pool,
        distance: DistanceKind::Euclidean,
        loss: plan.options.loss,
        standardize: false,
        preparation: None,
        classes: None,
        norm_eps: NORM_EPS,
        threshold: 0.5,
        seed: 0,
        epoch: 0,
        step: 0,
    };
    let weights = setup::initial_values(&plan, 0);
    let mut gpu = Gpu::new(device.clone(), plan)?;
    setup::upload_images(&mut gpu, &dataset)?;
    setup::write_all(&mut gpu, &weights)?;
    let trainer = Trainer {
        executor: &mut gpu,
        sampler: Sampler {
            dataset: &dataset,
            split: &split,
            batch: BatchLayout::Pairs,
            batch_size: 8,
            measure: Measure::Pairs,
            sampling: Sampling::Balanced,
            epoch_steps: None,
            seed: 0,
        },
        schedule: Schedule {
            epochs,
            max_steps: None,
            rate: Rate::constant(1e-3),
            patience: None,
            augment: None,
            checkpoint_steps: Some(10),
        },
        folder,
        description,
        log_steps: false,
        position: Position::default(),
    };
    Ok(trainer.run(watch)?)
}
