// A one-dimensional convolution across the channels of vectors, without bias; beyond the ends are zeros.
//
//   y[n, c]    = sum_t weight[t] x[n, c + t - h]       h = (kernel - 1) / 2, kernel odd
//   dx[n, c]   = sum_t weight[t] dy[n, c - t + h]
//   dweight[t] = sum_{n, c} x[n, c + t - h] dy[n, c]
//
// x, y, dy, dx    [images, channels]
// weight, dweight [kernel]
// One invocation for one element of y or dx; a workgroup for one tap of dweight, its lanes over the rest.

override images: u32;
override channels: u32;
override kernel: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(3) var<storage, read> dy: array<f32>;
@group(1) @binding(4) var<storage, read_write> dx: array<f32>;
@group(1) @binding(5) var<storage, read_write> dweight: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= images * channels) {
        return;
    }
    let c = i % channels;
    var sum = 0.0;
    for (var t = 0u; t < kernel; t++) {
        // Before the first channel it wraps to a large number.
        let source = c + t - kernel / 2u;
        if (source < channels) {
            sum += weight[t] * x[i - c + source];
        }
    }
    y[i] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= images * channels) {
        return;
    }
    let c = i % channels;
    var sum = 0.0;
    for (var t = 0u; t < kernel; t++) {
        let source = c + kernel / 2u - t;
        if (source < channels) {
            sum += weight[t] * dy[i - c + source];
        }
    }
    dx[i] = select(sum, dx[i] + sum, accumulate);
}

@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = workgroup_number(group_id, grid);
    var sum = 0.0;
    if (t < kernel) {
        for (var i = lane; i < images * channels; i += WORKGROUP) {
            let c = i % channels;
            let source = c + t - kernel / 2u;
            if (source < channels) {
                sum += x[i - c + source] * dy[i];
            }
        }
    }
    sum = workgroup_sum(lane, sum);
    if (lane == 0u && t < kernel) {
        dweight[t] = select(sum, dweight[t] + sum, accumulate);
    }
}
