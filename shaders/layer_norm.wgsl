// Layer normalisation: each row by its own mean and variance.
//
//   y = weight[f] x_hat + bias[f],  x_hat = (x - mean) / sqrt(variance + eps)
//   dx = (g - mean of g - x_hat mean of g x_hat) / sqrt(variance + eps)  with g = dy weight
//   weight_parts = sum dy x_hat, bias_parts = sum dy, over the rows of a part
//
// x, y, dy, dx             [rows, features]
// weight, bias             [features]
// weight_parts, bias_parts [parts, features]
// A workgroup for each row, or for each part, its lanes over the features.

override rows: u32;
override features: u32;
override eps: f32;
override rows_per_part: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read> bias: array<f32>;
@group(1) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(4) var<storage, read> dy: array<f32>;
@group(1) @binding(5) var<storage, read_write> dx: array<f32>;
@group(1) @binding(6) var<storage, read_write> weight_parts: array<f32>;
@group(1) @binding(7) var<storage, read_write> bias_parts: array<f32>;

// Mean, and 1 over the deviation, of the row that starts at `start`. Every lane must call it.
fn statistics(lane: u32, start: u32) -> vec2f {
    var sum = 0.0;
    for (var f = lane; f < features; f += WORKGROUP) {
        sum += x[start + f];
    }
    let mean = workgroup_sum(lane, sum) / f32(features);
    // The mean first, then the deviations from it: sum x^2 - mean^2 would cancel.
    sum = 0.0;
    for (var f = lane; f < features; f += WORKGROUP) {
        let deviation = x[start + f] - mean;
        sum += deviation * deviation;
    }
    return vec2f(mean, 1.0 / sqrt(workgroup_sum(lane, sum) / f32(features) + eps));
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(group_id, grid);
    // Of a whole workgroup, so that the barriers stay in uniform control flow.
    if (number >= rows) {
        return;
    }
    let start = number * features;
    let row = statistics(lane, start);
    for (var f = lane; f < features; f += WORKGROUP) {
        y[start + f] = weight[f] * ((x[start + f] - row.x) * row.y) + bias[f];
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(group_id, grid);
    if (number >= rows) {
        return;
    }
    let start = number * features;
    let row = statistics(lane, start);
    var alone = 0.0;
    var with_x = 0.0;
    for (var f = lane; f < features; f += WORKGROUP) {
        let gradient = dy[start + f] * weight[f];
        alone += gradient;
        with_x += gradient * ((x[start + f] - row.x) * row.y);
    }
    alone = workgroup_sum(lane, alone) / f32(features);
    with_x = workgroup_sum(lane, with_x) / f32(features);
    for (var f = lane; f < features; f += WORKGROUP) {
        let at = start + f;
        let x_hat = (x[at] - row.x) * row.y;
        let gradient = row.y * (dy[at] * weight[f] - (alone + x_hat * with_x));
        dx[at] = select(gradient, dx[at] + gradient, accumulate);
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let part = workgroup_number(group_id, grid);
    let first = part * rows_per_part;
    // None where there is a workgroup too many.
    for (var n = first; n < min(first + rows_per_part, rows); n++) {
        let row = statistics(lane, n * features);
        for (var f = lane; f < features; f += WORKGROUP) {
            let gradient = dy[n * features + f];
            let product = gradient * ((x[n * features + f] - row.x) * row.y);
            let at = part * features + f;
            weight_parts[at] = select(weight_parts[at] + product, product, n == first);
            bias_parts[at] = select(bias_parts[at] + gradient, gradient, n == first);
        }
    }
}
