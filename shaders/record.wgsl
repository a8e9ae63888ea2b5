// A training step's loss and hits, into the history.
//
//   history[slot.index] = (loss, scale correct)
//
// loss, correct [1]; history [.., 2]; one invocation.

override scale: f32;

@group(1) @binding(0) var<storage, read> loss: array<f32>;
@group(1) @binding(1) var<storage, read> correct: array<f32>;
@group(1) @binding(2) var<storage, read_write> history: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    if (invocation_number(group_id, grid, lane) == 0u) {
        history[2u * slot.index] = loss[0];
        history[2u * slot.index + 1u] = scale * correct[0];
    }
}
