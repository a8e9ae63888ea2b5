//! Images into a batch, and the optimizer at its end: the steps that stand around a graph's nodes.

use super::OptimizerOptions;
use super::builder::{Builder, Fixed};
use super::lower::Lowering;
use crate::graph::{ValueId, of_image};
use crate::ops::adam::{Adam, AdamViews};
use crate::ops::sgd::{Sgd, SgdViews};
use crate::ops::standardize::Standardize;
use crate::ops::warp::Warp;
use crate::ops::{BufferId, Step, TENSOR_ALIGN as ALIGN, View};

impl Lowering<'_, '_> {
    /// Bytes to numbers, through `matrices` where there are such: for each micro-batch one launch for each window of
    /// the data set, and one more where images are standardized.
    pub(super) fn gather(&mut self, images: ValueId, (index, matrices): (View, Option<View>)) {
        let input = of_image(self.graph.shape(images));
        let views = self.output_rows(images);
        let fixed = self.fixed;
        for ((first, rows), y) in self.firsts().into_iter().zip(self.rows_of(images)).zip(views) {
            let launch = |&(data, first_resident, resident): &(View, usize, usize)| {
                let warp = Warp {
                    images: rows as u32,
                    channels: input.channels as u32,
                    height: input.height as u32,
                    width: input.width as u32,
                    branches: self.branches as u32,
                    first: first as u32,
                    first_resident: first_resident as u32,
                    resident: resident as u32,
                };
                match matrices {
                    Some(matrices) => warp.forward(data, index, matrices, y),
                    None => warp.gather().forward(data, index, y),
                }
            };
            let standardize = Standardize {
                images: rows as u32,
                pixels: input.len() as u32,
                branches: self.branches as u32,
                first: first as u32,
            };
            let standardized = fixed.statistics.map(|statistics| standardize.forward(index, statistics, y));
            let launches = fixed.windows.iter().map(launch).chain(standardized).collect();
            self.steps.add("input", launches);
        }
    }
}

impl Builder<'_> {
    /// A launch for each parameter group, or as few as a binding allows.
    pub(super) fn optimizer(&self, fixed: &Fixed) -> Vec<Step> {
        let Some(gradients) = fixed.gradients else { return Vec::new() };
        let most = (self.options.max_binding / 4 / ALIGN * ALIGN).max(ALIGN);
        let mut launches = Vec::new();
        let mut start = 0;
        for &(end, coefficient) in &self.groups {
            for offset in (start..end).step_by(most) {
                let count = most.min(end - offset);
                let view = |buffer: BufferId| View::plain(buffer, offset, count);
                let moments: Vec<View> = fixed.moments.iter().map(|&buffer| view(buffer)).collect();
                launches.push(self.update(coefficient, [view(gradients), view(fixed.parameters)], &moments));
            }
            start = end;
        }
        launches
    }

    fn update(&self, coefficient: f64, [gradient, parameter]: [View; 2], moments: &[View]) -> Step {
        let count = parameter.len as u32;
        match self.options.optimizer {
            OptimizerOptions::Adam(adam) => Adam {
                count,
                beta1: adam.beta1 as f32,
                rest1: (1.0 - adam.beta1) as f32,
                beta2: adam.beta2 as f32,
                rest2: (1.0 - adam.beta2) as f32,
                eps: adam.eps,
                decays: coefficient != 0.0,
            }
            .forward(&AdamViews {
                gradient,
                parameter,
                first_moment: moments[0],
                second_moment: moments[1],
            }),
            OptimizerOptions::Sgd(_) => Sgd { count, penalty: coefficient as f32 }.forward(&SgdViews {
                gradient,
                parameter,
                velocity: moments[0],
            }),
        }
    }
}
