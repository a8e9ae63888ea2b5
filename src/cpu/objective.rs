//! From embeddings to the loss and back to the distances' gradients, on the CPU.

/// The parts' references, one after the other.
pub mod reference {
    use crate::cpu::{Io, Real, batch_norm, contrastive, distance, head};
    use crate::ops::TENSOR_ALIGN;
    use crate::ops::batch_norm::MOMENTS;
    use crate::ops::objective::Objective;

    pub fn with_head<T: Real>(objective: &Objective, io: &mut Io<'_, T>) {
        let (measure, norm, affine, loss) = objective.parts();
        let (embedded, same, slot) = (io.read("embedded"), io.words("same"), io.slot);
        let parameters: [&[T]; 4] = std::array::from_fn(|n| &io.read("head")[n * TENSOR_ALIGN..][..1]);
        let [norm_weight, norm_bias, weight, bias] = parameters;
        let (history, dhead, running) = (io.write("history"), io.write("dhead"), io.write("running"));
        let (distances, ddistances) = io.write("compared").split_at_mut(objective.pairs as usize);
        let empty = || vec![T::of(0.0); objective.pairs as usize];
        let (mut normed, mut similarities) = (empty(), empty());
        let (mut dsimilarities, mut dnormed) = (empty(), empty());
        let (mut parts, mut mean, mut variance) = ([T::of(0.0); MOMENTS], [T::of(0.0)], [T::of(0.0)]);

        distance::reference::forward(
            &measure,
            &mut Io::of(slot, [("x", embedded)], [("y", &mut *distances)]),
        );
        let reads = [("x", &*distances)];
        batch_norm::reference::moments(&norm, &mut Io::of(slot, reads, [("parts", &mut parts[..])]));
        let (running_mean, running_var) = running.split_at_mut(TENSOR_ALIGN);
        let writes = [
            ("batch_mean", &mut mean[..]),
            ("batch_variance", &mut variance),
            ("running_mean", &mut running_mean[..1]),
            ("running_var", running_var),
        ];
        batch_norm::reference::merge(&norm, &mut Io::of(slot, [("all_parts", &parts[..])], writes));
        let reads = [
            ("x", &*distances),
            ("weight", norm_weight),
            ("bias", norm_bias),
            ("mean", &mean),
            ("variance", &variance),
        ];
        batch_norm::reference::forward(&norm, &mut Io::of(slot, reads, [("y", &mut normed[..])]));
        let reads = [("x", &normed[..]), ("weight", weight), ("bias", bias)];
        head::reference::forward(&affine, &mut Io::of(slot, reads, [("y", &mut similarities[..])]));
        let mut io =
            Io::of(slot, [("x", &similarities[..])], [("history", history)]).with_words("same", same);
        contrastive::reference::forward(&loss, &mut io);

        let writes = [("dx", &mut dsimilarities[..])];
        let mut io = Io::of(slot, [("x", &similarities[..])], writes).with_words("same", same);
        contrastive::reference::backward(&loss, &mut io);
        let reads = [("x", &normed[..]), ("result", &similarities), ("dy", &dsimilarities)];
        let [mut dweight, mut dbias] = [[T::of(0.0)]; 2];
        let writes = [("dweight", &mut dweight[..]), ("dbias", &mut dbias)];
        head::reference::backward_weight(&affine, &mut Io::of(slot, reads, writes));
        let reads = [("result", &similarities[..]), ("dy", &dsimilarities), ("weight", weight)];
        head::reference::backward_input(&affine, &mut Io::of(slot, reads, [("dx", &mut dnormed[..])]));
        let [mut dscale, mut dshift] = [[T::of(0.0)]; 2];
        let reads = [("x", &*distances), ("dy", &dnormed), ("mean", &mean), ("variance", &variance)];
        let writes = [("weight_parts", &mut dscale[..]), ("bias_parts", &mut dshift)];
        batch_norm::reference::backward_weight(&norm, &mut Io::of(slot, reads, writes));
        let reads = [
            ("x", &*distances),
            ("dy", &dnormed),
            ("weight", norm_weight),
            ("mean", &mean),
            ("variance", &variance),
            ("sum_dy_x", &dscale),
            ("sum_dy", &dshift),
        ];
        batch_norm::reference::backward_input(&norm, &mut Io::of(slot, reads, [("dx", ddistances)]));
        for (number, gradient) in [dscale, dshift, dweight, dbias].into_iter().enumerate() {
            dhead[number * TENSOR_ALIGN] = gradient[0];
        }
    }

    pub fn without_head<T: Real>(objective: &Objective, io: &mut Io<'_, T>) {
        let (measure, _, _, loss) = objective.parts();
        let (embedded, same, slot) = (io.read("embedded"), io.words("same"), io.slot);
        let history = io.write("history");
        let (distances, ddistances) = io.write("compared").split_at_mut(objective.pairs as usize);
        distance::reference::forward(
            &measure,
            &mut Io::of(slot, [("x", embedded)], [("y", &mut *distances)]),
        );
        let mut io = Io::of(slot, [("x", &*distances)], [("history", history)]).with_words("same", same);
        contrastive::reference::forward(&loss, &mut io);
        let mut io = Io::of(slot, [("x", &*distances)], [("dx", ddistances)]).with_words("same", same);
        contrastive::reference::backward(&loss, &mut io);
    }
}

/// A few numbers a pair: plain loops are fast.
pub mod fast {
    pub use super::reference::{with_head, without_head};
}
