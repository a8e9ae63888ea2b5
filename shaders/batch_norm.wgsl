// Batch normalisation over channels.
//
//   y = weight[c] (x - mean[c]) inv[c] + bias[c],  inv[c] = 1 / sqrt(var[c] + eps)
//   running = (1 - momentum) running + momentum (mean, unbiased var)
//
// x, y, dy, dx                      [images, channels, spatial]
// weight, bias, running_mean, ..    [channels]
// saved, statistics                 [2, channels]: mean, inv
// forward and backward_weight: a workgroup for each channel, its lanes over images and places;
// infer and backward_input: one invocation for one element.

override images: u32;
override channels: u32;
override spatial: u32;
override eps: f32;
override momentum: f32;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read> bias: array<f32>;
@group(1) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(4) var<storage, read_write> saved: array<f32>;
@group(1) @binding(5) var<storage, read_write> running_mean: array<f32>;
@group(1) @binding(6) var<storage, read_write> running_var: array<f32>;
@group(1) @binding(7) var<storage, read> mean: array<f32>;
@group(1) @binding(8) var<storage, read> variance: array<f32>;
@group(1) @binding(9) var<storage, read> dy: array<f32>;
@group(1) @binding(10) var<storage, read> statistics: array<f32>;
@group(1) @binding(11) var<storage, read_write> dweight: array<f32>;
@group(1) @binding(12) var<storage, read_write> dbias: array<f32>;
@group(1) @binding(13) var<storage, read> sum_dy_x: array<f32>;
@group(1) @binding(14) var<storage, read> sum_dy: array<f32>;
@group(1) @binding(15) var<storage, read_write> dx: array<f32>;

// Place in x of element `e` of channel `c`.
fn place(e: u32, c: u32) -> u32 {
    return (e / spatial * channels + c) * spatial + e % spatial;
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    // Clamped, not returned: every lane must reach the barriers.
    let number = workgroup_number(group_id, grid);
    let c = min(number, channels - 1u);
    let count = images * spatial;
    var sum = 0.0;
    for (var e = lane; e < count; e += WORKGROUP) {
        sum += x[place(e, c)];
    }
    let average = workgroup_sum(lane, sum) / f32(count);
    // The mean first, then the deviations from it: sum x^2 - mean^2 would cancel.
    sum = 0.0;
    for (var e = lane; e < count; e += WORKGROUP) {
        let deviation = x[place(e, c)] - average;
        sum += deviation * deviation;
    }
    let squares = workgroup_sum(lane, sum);
    if (number >= channels) {
        return;
    }
    let inverse = 1.0 / sqrt(squares / f32(count) + eps);
    for (var e = lane; e < count; e += WORKGROUP) {
        let at = place(e, c);
        y[at] = weight[c] * ((x[at] - average) * inverse) + bias[c];
    }
    if (lane == 0u) {
        saved[c] = average;
        saved[channels + c] = inverse;
        running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * average;
        running_var[c] = (1.0 - momentum) * running_var[c] + momentum * (squares / f32(count - 1u));
    }
}

@compute @workgroup_size(WORKGROUP)
fn infer(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= images * channels * spatial) {
        return;
    }
    let c = at / spatial % channels;
    y[at] = weight[c] * ((x[at] - mean[c]) * (1.0 / sqrt(variance[c] + eps))) + bias[c];
}

// dweight[c] = sum dy x_hat, dbias[c] = sum dy, with x_hat = (x - mean) inv
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(group_id, grid);
    let c = min(number, channels - 1u);
    let average = statistics[c];
    let inverse = statistics[channels + c];
    var with_x = 0.0;
    var alone = 0.0;
    for (var e = lane; e < images * spatial; e += WORKGROUP) {
        let at = place(e, c);
        with_x += dy[at] * ((x[at] - average) * inverse);
        alone += dy[at];
    }
    with_x = workgroup_sum(lane, with_x);
    alone = workgroup_sum(lane, alone);
    if (lane == 0u && number < channels) {
        dweight[c] = with_x;
        dbias[c] = alone;
    }
}

// dx = weight inv (dy - (sum_dy + x_hat sum_dy_x) / count)
@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= images * channels * spatial) {
        return;
    }
    let c = at / spatial % channels;
    let inverse = statistics[channels + c];
    let x_hat = (x[at] - statistics[c]) * inverse;
    let shared_part = (sum_dy[c] + x_hat * sum_dy_x[c]) / f32(images * spatial);
    dx[at] = weight[c] * inverse * (dy[at] - shared_part);
}
