// Gradient descent with momentum.
//
//   v = momentum v - learning_rate (g + penalty theta)
//   theta = theta + v
//
// gradient, parameter, velocity [count]; one invocation for one element.

override count: u32;
override penalty: f32;

@group(1) @binding(0) var<storage, read> gradient: array<f32>;
@group(1) @binding(1) var<storage, read_write> parameter: array<f32>;
@group(1) @binding(2) var<storage, read_write> velocity: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= count) {
        return;
    }
    let theta = parameter[i];
    let v = slot.momentum * velocity[i] - slot.learning_rate * (gradient[i] + penalty * theta);
    velocity[i] = v;
    parameter[i] = theta + v;
}
