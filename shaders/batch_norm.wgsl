// Batch normalisation over channels.
//
//   y = weight[c] x_hat + bias[c],  x_hat = (x - mean[c]) / sqrt(variance[c] + eps)
//   running = (1 - momentum) running + momentum (mean, unbiased variance)
//
// x, y, dy, dx                   [images, channels, spatial]
// parts, all_parts               [parts, 3, channels]: count, mean, sum of squared deviations
// weight_parts, bias_parts       [parts, channels]
// weight, mean, running_mean, .. [channels]
// moments and backward_weight: a workgroup for each channel of each part, its lanes over images and places;
// merge: one invocation for one channel; forward and backward_input: one invocation for one element.

override images: u32;
override batch: u32;
override channels: u32;
override spatial: u32;
override images_per_part: u32;
override first_part: u32;
override parts_in_all: u32;
override eps: f32;
override momentum: f32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> parts: array<f32>;
@group(1) @binding(2) var<storage, read> all_parts: array<f32>;
@group(1) @binding(3) var<storage, read_write> batch_mean: array<f32>;
@group(1) @binding(4) var<storage, read_write> batch_variance: array<f32>;
@group(1) @binding(5) var<storage, read_write> running_mean: array<f32>;
@group(1) @binding(6) var<storage, read_write> running_var: array<f32>;
@group(1) @binding(7) var<storage, read> weight: array<f32>;
@group(1) @binding(8) var<storage, read> bias: array<f32>;
@group(1) @binding(9) var<storage, read> mean: array<f32>;
@group(1) @binding(10) var<storage, read> variance: array<f32>;
@group(1) @binding(11) var<storage, read_write> y: array<f32>;
@group(1) @binding(12) var<storage, read> dy: array<f32>;
@group(1) @binding(13) var<storage, read_write> weight_parts: array<f32>;
@group(1) @binding(14) var<storage, read_write> bias_parts: array<f32>;
@group(1) @binding(15) var<storage, read> sum_dy_x: array<f32>;
@group(1) @binding(16) var<storage, read> sum_dy: array<f32>;
@group(1) @binding(17) var<storage, read_write> dx: array<f32>;

// Place in x of element `e` of channel `c`, counted from image `n` on.
fn place(n: u32, e: u32, c: u32) -> u32 {
    return ((n + e / spatial) * channels + c) * spatial + e % spatial;
}

// Values of a channel that the part from image `n` on has.
fn values_from(n: u32) -> u32 {
    return min(images_per_part, images - n) * spatial;
}

fn inverse(c: u32) -> f32 {
    return 1.0 / sqrt(variance[c] + eps);
}

@compute @workgroup_size(WORKGROUP)
fn moments(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(group_id, grid);
    let c = number % channels;
    let part = number / channels;
    let n = part * images_per_part;
    // A workgroup too many must reach the barriers too: it has no values.
    let there = n < images;
    var count = 0u;
    if (there) {
        count = values_from(n);
    }
    var sum = 0.0;
    for (var e = lane; e < count; e += WORKGROUP) {
        sum += x[place(n, e, c)];
    }
    let average = workgroup_sum(lane, sum) / f32(count);
    // The mean first, then the deviations from it: sum x^2 - mean^2 would cancel.
    sum = 0.0;
    for (var e = lane; e < count; e += WORKGROUP) {
        let deviation = x[place(n, e, c)] - average;
        sum += deviation * deviation;
    }
    let squares = workgroup_sum(lane, sum);
    if (lane == 0u && there) {
        let at = (first_part + part) * 3u * channels + c;
        parts[at] = f32(count);
        parts[at + channels] = average;
        parts[at + 2u * channels] = squares;
    }
}

// Chan, Golub and LeVeque (1983): deviations from each part's mean, and of that from the mean of all.
@compute @workgroup_size(WORKGROUP)
fn merge(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = invocation_number(group_id, grid, lane);
    if (c >= channels) {
        return;
    }
    var count = 0.0;
    var sum = 0.0;
    for (var part = 0u; part < parts_in_all; part++) {
        let at = part * 3u * channels + c;
        count += all_parts[at];
        sum += all_parts[at] * all_parts[at + channels];
    }
    let average = sum / count;
    var squares = 0.0;
    for (var part = 0u; part < parts_in_all; part++) {
        let at = part * 3u * channels + c;
        let deviation = all_parts[at + channels] - average;
        squares += all_parts[at + 2u * channels] + all_parts[at] * (deviation * deviation);
    }
    batch_mean[c] = average;
    batch_variance[c] = squares / count;
    running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * average;
    running_var[c] = (1.0 - momentum) * running_var[c] + momentum * (squares / (count - 1.0));
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= images * channels * spatial) {
        return;
    }
    let c = at / spatial % channels;
    y[at] = weight[c] * ((x[at] - mean[c]) * inverse(c)) + bias[c];
}

// dweight[c] = sum dy x_hat, dbias[c] = sum dy
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(group_id, grid);
    let c = number % channels;
    let part = number / channels;
    let n = part * images_per_part;
    let there = n < images;
    var count = 0u;
    if (there) {
        count = values_from(n);
    }
    let average = mean[c];
    let scale = inverse(c);
    var with_x = 0.0;
    var alone = 0.0;
    for (var e = lane; e < count; e += WORKGROUP) {
        let at = place(n, e, c);
        with_x += dy[at] * ((x[at] - average) * scale);
        alone += dy[at];
    }
    with_x = workgroup_sum(lane, with_x);
    alone = workgroup_sum(lane, alone);
    if (lane == 0u && there) {
        let at = (first_part + part) * channels + c;
        weight_parts[at] = with_x;
        bias_parts[at] = alone;
    }
}

// dx = weight / sqrt(variance + eps) (dy - (sum_dy + x_hat sum_dy_x) / count)
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
    let scale = inverse(c);
    let x_hat = (x[at] - mean[c]) * scale;
    let shared_part = (sum_dy[c] + x_hat * sum_dy_x[c]) / f32(batch * spatial);
    let gradient = weight[c] * scale * (dy[at] - shared_part);
    dx[at] = select(gradient, dx[at] + gradient, accumulate);
}
