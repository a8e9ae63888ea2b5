// A learned sum of what each feature of two embeddings differs by: minus the logit, so that smaller is more alike.
//
//   y[i] = -(bias + sum_f weight_f |a_f - b_f|)        with a = x[i], b = x[pairs + i]
//   da_f = -dy weight_f sign(a_f - b_f), db = -da
//   dweight_f = -sum_i dy |a_f - b_f|,  dbias = -sum_i dy
//
// x, dx   [2 pairs, features]
// y, dy   [.., pairs, ..], this launch's pairs from `first` on
// weight, dweight [1, features]; bias, dbias [1]
// forward: a workgroup for each pair, its lanes over the features; backward_input: one invocation for one element of
// dx; backward_weight: one invocation for one feature; backward_bias: one workgroup.

override pairs: u32;
override features: u32;
override first: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read> bias: array<f32>;
@group(1) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(4) var<storage, read> dy: array<f32>;
@group(1) @binding(5) var<storage, read_write> dx: array<f32>;
@group(1) @binding(6) var<storage, read_write> dweight: array<f32>;
@group(1) @binding(7) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup_number(group_id, grid);
    let pair = min(number, pairs - 1u);
    var sum = 0.0;
    for (var f = lane; f < features; f += WORKGROUP) {
        sum += weight[f] * abs(x[pair * features + f] - x[(pairs + pair) * features + f]);
    }
    sum = workgroup_sum(lane, sum);
    if (lane == 0u && number < pairs) {
        y[first + pair] = -(bias[0] + sum);
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let row = at / features;
    if (row >= 2u * pairs) {
        return;
    }
    let other = select(at - pairs * features, at + pairs * features, row < pairs);
    dx[at] = -(dy[first + row % pairs] * weight[at % features]) * sign(x[at] - x[other]);
}

@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let f = invocation_number(group_id, grid, lane);
    if (f >= features) {
        return;
    }
    var sum = 0.0;
    for (var pair = 0u; pair < pairs; pair++) {
        sum -= dy[first + pair] * abs(x[pair * features + f] - x[(pairs + pair) * features + f]);
    }
    dweight[f] = select(sum, dweight[f] + sum, accumulate);
}

@compute @workgroup_size(WORKGROUP)
fn backward_bias(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    for (var pair = invocation_number(group_id, grid, lane); pair < pairs; pair += WORKGROUP) {
        sum -= dy[first + pair];
    }
    sum = workgroup_sum(lane, sum);
    if (lane == 0u) {
        dbias[0] = select(sum, dbias[0] + sum, accumulate);
    }
}
