// Distance between the two embeddings of each pair.
//
//   euclidean y[i] = sqrt(max(sum_f (a_f - b_f)^2, squared_floor))   da_f = dy (a_f - b_f) / y, 0 at the floor
//   l1        y[i] = sum_f |a_f - b_f|                        da_f = dy sign(a_f - b_f)
//   with a = x[i], b = x[pairs + i], and db = -da
//
// x, dx         [2 pairs, features]
// y, result, dy [.., pairs, ..], this launch's pairs from `first` on
// forward: a workgroup for each pair, its lanes over the features; backward: one invocation for one element.

override pairs: u32;
override features: u32;
override first: u32;
override kind: u32;
override squared_floor: f32;
override accumulate: bool;

const EUCLIDEAN: u32 = 0u;

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
    let number = workgroup_number(group_id, grid);
    let pair = min(number, pairs - 1u);
    var sum = 0.0;
    for (var f = lane; f < features; f += WORKGROUP) {
        let difference = x[pair * features + f] - x[(pairs + pair) * features + f];
        sum += select(abs(difference), difference * difference, kind == EUCLIDEAN);
    }
    sum = workgroup_sum(lane, sum);
    if (lane == 0u && number < pairs) {
        if (kind == EUCLIDEAN) {
            // The clamped distance is the very number that backward compares with.
            sum = select(sqrt(sum), sqrt(squared_floor), sum <= squared_floor);
        }
        y[first + pair] = sum;
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let row = at / features;
    if (row >= 2u * pairs) {
        return;
    }
    let pair = row % pairs;
    let other = select(at - pairs * features, at + pairs * features, row < pairs);
    let difference = x[at] - x[other];
    var gradient = dy[first + pair];
    if (kind == EUCLIDEAN) {
        let d = result[first + pair];
        gradient = select(0.0, gradient * difference / d, d > sqrt(squared_floor));
    } else {
        gradient = gradient * sign(difference);
    }
    dx[at] = select(gradient, dx[at] + gradient, accumulate);
}
