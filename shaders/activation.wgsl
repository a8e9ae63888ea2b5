// Elementwise activations.
//
//   relu    y = max(x, 0)              y' = 1 where y > 0, else 0
//   tanh    y = tanh(x)                y' = 1 - y^2
//   sigmoid y = 1 / (1 + exp(-x))      y' = y (1 - y)
//
// x, y, result, dy, dx [count]; one invocation for one element. `result` is the forward pass's y.

override count: u32;
override kind: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> result: array<f32>;
@group(1) @binding(3) var<storage, read> dy: array<f32>;
@group(1) @binding(4) var<storage, read_write> dx: array<f32>;

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
    y[i] = activation_of(kind, x[i]);
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= count) {
        return;
    }
    let gradient = through_activation(kind, result[i], dy[i]);
    dx[i] = select(gradient, dx[i] + gradient, accumulate);
}
