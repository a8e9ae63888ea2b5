// Adds up partial results in the order of the parts.
//
//   y[i] = sum_p x[p, i]
//
// x [parts, count], y [count]; one invocation for one element of y.

override count: u32;
override parts: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;

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
    var sum = 0.0;
    for (var p = 0u; p < parts; p++) {
        sum += x[p * count + i];
    }
    y[i] = select(sum, y[i] + sum, accumulate);
}
