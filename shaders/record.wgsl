// A training step's loss and hits, into the history.
//
//   history[slot.index] = (loss, scale correct)
//
// loss, correct [1]; history [.., 2]; an invocation for each of the two.

override scale: f32;

@group(1) @binding(0) var<storage, read> loss: array<f32>;
@group(1) @binding(1) var<storage, read> correct: array<f32>;
@group(1) @binding(2) var<storage, read_write> history: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(local_invocation_index) lane: u32,
) {
    if (lane < 2u) {
        history[2u * slot.index + lane] = select(scale * correct[0], loss[0], lane == 0u);
    }
}
