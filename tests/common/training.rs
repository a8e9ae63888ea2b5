//! Short training runs on a Vulkan adapter, within the test's own process.

use std::sync::Arc;

use gpu_siamese::cli::{Failure, block_on};
use gpu_siamese::data::{self, Glyphs, Sampling, glyphs};
use gpu_siamese::gpu::{Choice, Context, Gpu, Pipelines, adapters};
use gpu_siamese::loss::NORM_EPS;
use gpu_siamese::loss::PairDistance;
use gpu_siamese::model::ModelOptions;
use gpu_siamese::ops::Layout;
use gpu_siamese::plan::BatchLayout;
use gpu_siamese::train::{
    Description, Measure, Outcome, Position, Rate, RunFolder, Sampler, Schedule, Trainer, Watch, setup,
};

pub fn device() -> Option<Arc<Pipelines>> {
    match block_on(adapters::choose("vulkan")) {
        Ok(Choice::Gpu(candidate)) => {
            let context = block_on(Context::open(&candidate)).unwrap();
            Some(Arc::new(Pipelines::new(context)))
        }
        _ => {
            eprintln!("skipped: no Vulkan adapter");
            None
        }
    }
}

/// Trains on 480 glyphs, 8 pairs a step, with a checkpoint every 10 steps.
pub fn short_run(
    gpu: &Arc<Pipelines>,
    watch: &mut dyn Watch,
    folder: &RunFolder,
    epochs: u64,
) -> Result<Outcome, Failure> {
    let dataset = glyphs::generate(&Glyphs { train_per_class: 60, ..Glyphs::default() }, 0);
    let split = data::split(&dataset, 0);
    let plan = super::plan_for(&dataset, &split, 8, Layout::Plain, gpu.context.max_binding);
    let options = ModelOptions::default();
    let description = Description {
        model: plan.model.clone(),
        dataset: dataset.name.clone(),
        input: dataset.shape,
        activation: options.activation,
        pool: options.pool,
        distance: PairDistance::EUCLIDEAN,
        loss: plan.options.loss,
        standardize: false,
        preparation: None,
        classes: None,
        norm_eps: NORM_EPS,
        threshold: 0.5,
        threshold_at_far: None,
        seed: 0,
        epoch: 0,
        step: 0,
        run: None,
    };
    let weights = setup::initial_values(&plan, 0);
    let mut session = block_on(Gpu::new(gpu.clone(), plan))?;
    setup::upload_images(&mut session, &dataset)?;
    setup::write_all(&mut session, &weights)?;
    let trainer = Trainer {
        executor: &mut session,
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
    Ok(block_on(trainer.run(watch))?)
}
