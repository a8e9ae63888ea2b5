// Channels times a factor of their own for each image.
//
//   y[n, c, i] = x[n, c, i] scale[n, c]
//   dx[n, c, i] = dy[n, c, i] scale[n, c]        dscale[n, c] = sum_i x[n, c, i] dy[n, c, i]
//
// x, y, dy, dx  [images, channels, spatial]
// scale, dscale [images, channels]
// One invocation for one result.

override images: u32;
override channels: u32;
override spatial: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> scale: array<f32>;
@group(1) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(3) var<storage, read> dy: array<f32>;
@group(1) @binding(4) var<storage, read_write> dx: array<f32>;
@group(1) @binding(5) var<storage, read_write> dscale: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= images * channels * spatial) {
        return;
    }
    y[i] = x[i] * scale[i / spatial];
}

@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= images * channels * spatial) {
        return;
    }
    let gradient = dy[i] * scale[i / spatial];
    dx[i] = select(gradient, dx[i] + gradient, accumulate);
}

@compute @workgroup_size(WORKGROUP)
fn backward_scale(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let plane = invocation_number(group_id, grid, lane);
    if (plane >= images * channels) {
        return;
    }
    var sum = 0.0;
    for (var i = plane * spatial; i < (plane + 1u) * spatial; i++) {
        sum += x[i] * dy[i];
    }
    dscale[plane] = select(sum, dscale[plane] + sum, accumulate);
}
