// Rows of a micro-batch into the whole batch, and back.
//
//   forward:  y[b * total + first + e] (+)= x[b * own + e]
//   backward: dx[b * own + e] (+)= dy[b * total + first + e]
//   with own = rows / branches entries of the micro-batch and b of the branches
//
// x, dx [rows, values]; y, dy [branches * total, values], of which a launch touches its own rows
// One invocation for one element of the micro-batch.

override rows: u32;
override values: u32;
override branches: u32;
override first: u32;
override total: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> dy: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

// Where an element of the micro-batch lies in the whole one.
fn place(at: u32) -> u32 {
    let own = rows / branches;
    let row = at / values;
    return ((row / own) * total + first + row % own) * values + at % values;
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= rows * values) {
        return;
    }
    let to = place(at);
    y[to] = select(x[at], y[to] + x[at], accumulate);
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= rows * values) {
        return;
    }
    let value = dy[place(at)];
    dx[at] = select(value, dx[at] + value, accumulate);
}
