// Rows of a table by index.
//
//   y[i, f] = x[index[slot.first + i], f]
//   dx[t, f] = sum of dy[i, f] over i with index[slot.first + i] == t
//
// x, dx [table_rows, features]; index [..]; y, dy [rows, features]
// One invocation for one result.

override rows: u32;
override table_rows: u32;
override features: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> index: array<u32>;
@group(1) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(3) var<storage, read> dy: array<f32>;
@group(1) @binding(4) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= rows * features) {
        return;
    }
    y[at] = x[index[slot.first + at / features] * features + at % features];
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= table_rows * features) {
        return;
    }
    let row = at / features;
    var sum = 0.0;
    for (var i = 0u; i < rows; i++) {
        if (index[slot.first + i] == row) {
            sum += dy[i * features + at % features];
        }
    }
    dx[at] = select(sum, dx[at] + sum, accumulate);
}
