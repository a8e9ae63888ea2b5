//! Every step of a plan on a GPU, each held to the reference on the very inputs it had there.

use super::case::{Case, CaseTensor, Fate, GUARD, Values};
use super::compare::{Verdict, expect};
use crate::gpu::{Gpu, Recorder};
use crate::ops::{Access, BufferId, View};
use crate::plan::{Plan, Slot};
use crate::session::{Session, SessionError};

/// Runs a training step launch by launch and compares each launch's outputs, on a GPU that holds
/// data and weights. The verdicts are in the steps' order.
///
/// # Errors
/// What the device rejects.
pub async fn trace(gpu: &mut Gpu, slot: Slot) -> Result<Vec<Verdict>, SessionError> {
    let plan = gpu.plan().clone();
    let mut verdicts = Vec::new();
    for (number, step) in plan.train.iter().enumerate() {
        let case = isolate(&plan, gpu.recorder(), number, slot).await?;
        gpu.launch_alone(step, slot).await?;
        let expected = expect(&case);
        let mut verdict = Verdict::new(&case);
        for (operand, expected) in step.operands.iter().zip(expected) {
            if operand.access == Access::Write {
                let found: Vec<f32> =
                    gpu.recorder().read(operand.view.buffer.0, operand.view.range()).await?;
                for (index, (expected, found)) in expected.into_iter().zip(found).enumerate() {
                    verdict.look(operand.name, index, expected, found);
                }
            }
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// The step as a case of its own, with what its operands hold now.
async fn isolate(plan: &Plan, recorder: &Recorder, number: usize, slot: Slot) -> Result<Case, SessionError> {
    let step = &plan.train[number];
    let mut alone = step.clone();
    let mut tensors = Vec::new();
    for (position, operand) in alone.operands.iter_mut().enumerate() {
        let (buffer, range) = (operand.view.buffer, operand.view.range());
        let values = if plan.buffer(buffer).is_words() {
            Values::Words(recorder.read(buffer.0, range).await?)
        } else {
            Values::Numbers(recorder.read(buffer.0, range).await?)
        };
        operand.view = View::plain(BufferId(position), GUARD, operand.view.len);
        let fate = if operand.access == Access::Write { Fate::Output } else { Fate::Input };
        tensors.push(CaseTensor { name: operand.name, view: operand.view, images: 1, values, fate });
    }
    Ok(Case {
        op: step.op,
        entry: step.entry,
        name: format!("step {number}, {}", step.layer),
        seed: 0,
        tensors,
        steps: vec![alone],
        slot,
    })
}
