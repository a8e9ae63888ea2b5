//! What a user is told, and by which exit code, when the device fails: each fault is planted.

use std::cell::Cell;
use std::sync::Arc;

use crate::common::program::{has_vulkan, program, stderr};
use crate::common::training::{device, short_run};
use gpu_siamese::cli::{Failure, block_on};
use gpu_siamese::data::{self, Glyphs, glyphs};
use gpu_siamese::gpu::{Gpu, Pipelines};
use gpu_siamese::ops::{self, Layout};
use gpu_siamese::plan::{Phase, Slot};
use gpu_siamese::session::{SUBMISSION, Session, SessionError};
use gpu_siamese::train::epoch::Totals;
use gpu_siamese::train::{RunError, RunFolder, Watch};

const EPOCHS: u64 = 2;

/// Loses the device after so many steps.
struct Losing<'a> {
    device: &'a Pipelines,
    after: Cell<u64>,
}

impl Watch for Losing<'_> {
    fn step(&mut self, _: u64, totals: &Totals) {
        if totals.steps == self.after.get() {
            self.device.context.lose();
        }
    }
}

struct Nobody;
impl Watch for Nobody {}

/// Runs with a fault and returns the message and the exit code.
fn failure(device: &Arc<Pipelines>, watch: &mut dyn Watch, folder: &RunFolder) -> (String, u8) {
    let failure = short_run(device, watch, folder, EPOCHS).expect_err("the fault went unnoticed");
    (failure.to_string(), failure.code())
}

fn text_of(op: &str) -> &'static str {
    ops::STEMS.iter().find(|stem| stem.name == op).unwrap().wgsl
}

#[test]
fn a_lost_device_ends_the_run_and_keeps_its_checkpoint() {
    let Some(device) = device() else { return };
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path()).unwrap();
    let mut watch = Losing { device: &device, after: Cell::new(25) };
    let (message, code) = failure(&device, &mut watch, &folder);
    assert!(message.contains("the device was lost") && message.contains("try another adapter"), "{message}");
    assert_eq!(code, 4);
    let last = gpu_siamese::train::checkpoint::load(&folder.file("last.safetensors")).unwrap();
    assert_eq!(last.metadata.unwrap().position.unwrap().steps, 20);
}

#[test]
fn a_kernel_that_the_device_rejects_is_named() {
    let Some(device) = device() else { return };
    let parent = tempfile::tempdir().unwrap();
    for (fault, planted) in [
        (text_of("adam").replace("@workgroup_size(WORKGROUP)", "@workgroup_size(65536)"), "Workgroup size"),
        (text_of("adam").replace("- step", "- stride"), "stride"),
    ] {
        assert_ne!(fault, text_of("adam"), "nothing was planted");
        device.replace_shader("adam", fault);
        let folder = RunFolder::create(parent.path()).unwrap();
        let (message, code) = failure(&device, &mut Nobody, &folder);
        assert!(message.contains("could not compile adam") && message.contains(planted), "{message}");
        assert_eq!(code, 4);
    }
}

/// Kernels are compiled for the phases that are used: whoever only embeds needs none of training's.
#[test]
fn a_session_that_only_embeds_needs_no_training_kernels() {
    let Some(device) = device() else { return };
    device.replace_shader("adam", "no kernel".into());
    let dataset = glyphs::generate(&Glyphs { train_per_class: 4, ..Glyphs::default() }, 0);
    let split = data::split(&dataset, 0);
    let plan = crate::common::plan_for(&dataset, &split, 8, Layout::Plain, device.context.max_binding);
    let mut session = block_on(Gpu::new(device, plan)).unwrap();
    let early = session.submit(Phase::Embed, &[Slot::default()]).err();
    assert!(matches!(early, Some(SessionError::NotPrepared(Phase::Embed))), "{early:?}");
    block_on(session.prepare(Phase::Embed)).unwrap();
    let too_many = session.submit(Phase::Embed, &[Slot::default(); SUBMISSION + 1]).err();
    assert!(matches!(too_many, Some(SessionError::TooManySteps { .. })), "{too_many:?}");
    let slot = Slot { count: 1, ..Slot::default() };
    assert_eq!(block_on(session.submit(Phase::Embed, &[slot]).unwrap()).unwrap(), []);
    let kernel = block_on(session.prepare(Phase::Train)).unwrap_err();
    assert!(matches!(&kernel, SessionError::Kernel { kernel, .. } if kernel == "adam"), "{kernel}");
}

/// A kernel that writes NaN where the loss cannot show it at once.
#[test]
fn a_kernel_that_writes_nan_is_a_diverged_run() {
    let Some(device) = device() else { return };
    let right = "parameter[i] = parameter[i] * select(1.0, slot.shrink, decays) - step";
    assert!(text_of("adam").contains(right), "nothing to plant in");
    // Something that the compiler cannot know: constants that are NaN are refused.
    let nan = "bitcast<f32>(0x7fc00000u + (arrayLength(&parameter) & 1u))";
    device.replace_shader("adam", text_of("adam").replace(right, &format!("parameter[i] = {nan}")));
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path()).unwrap();
    let (message, code) = failure(&device, &mut Nobody, &folder);
    // The first step's loss was computed before the kernel ran.
    assert!(message.contains("the loss of step 2 (epoch 1) is NaN"), "{message}");
    assert_eq!(code, 5);
    assert!(!folder.file("last.safetensors").exists(), "NaN was saved");
}

/// Weights that turned NaN in the last step before a checkpoint are not saved.
#[test]
fn nan_is_never_saved() {
    let failure: Failure =
        RunError::NotFinite { tensor: "conv1.bias".into(), value: f32::NAN, step: 10, epoch: 1 }.into();
    assert_eq!(failure.code(), 5);
    assert!(failure.to_string().contains("conv1.bias holds NaN after step 10"), "{failure}");
}

#[test]
fn what_a_device_reports_has_its_code() {
    for (error, code, words) in [
        (SessionError::DeviceLost("gone".into()), 4, "the device was lost: gone"),
        (SessionError::OutOfMemory("conv1".into()), 7, "use a smaller batch or data set"),
        (
            SessionError::Validation { what: "a command".into(), message: "no".into() },
            4,
            "rejected a command",
        ),
    ] {
        let failure = Failure::from(error);
        assert_eq!(failure.code(), code, "{failure}");
        assert!(failure.to_string().contains(words), "{failure}");
    }
}

/// Memory runs out for real: the program may have less than the run needs.
#[cfg(target_os = "linux")]
#[test]
fn a_device_without_memory_says_how_much_was_needed() {
    if !has_vulkan() {
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    // The system would grant what the run asks for; a limit on addresses makes the driver fail. What
    // the driver itself needs differs: less than that and the device does not even open.
    let mut messages = Vec::new();
    for limit in (600_000..2_000_000).step_by(100_000) {
        let script = format!(
            "ulimit -v {limit}; exec {} train --adapter vulkan --batch-size 1600 --max-steps 1 --run-dir {}/run{limit}",
            program().get_program().display(),
            parent.path().display()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .env("XDG_RUNTIME_DIR", std::env::temp_dir())
            .output()
            .unwrap();
        let message = stderr(&output);
        if message.contains("the run needs about") {
            assert_eq!(output.status.code(), Some(7), "{message}");
            assert!(message.contains("use a smaller batch or data set"), "{message}");
            return;
        }
        assert!(!output.status.success(), "no limit was felt: {messages:?}");
        messages.push(message);
    }
    panic!("no run failed for want of memory: {messages:?}");
}
