// Every first embedding of an episode against every second one: an episode is `way` pairs in a row.
//
//   y[i, j] = -sum_f (a_f - b_f)^2                 with a = x[i], b = x[pairs + first + j],
//                                                  first = i - i mod way
//   da_f = -2 sum_j dy[i, j] (a_f - b_f) over the b of the episode
//   db_f = -2 sum_i dy[i, j] (b_f - a_f) over the a of the episode
//
// x, dx [2 pairs, features]; y, dy [pairs, way]
// forward: one invocation for one y; backward: one invocation for one element of dx.

override pairs: u32;
override features: u32;
override way: u32;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> dy: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= pairs * way) {
        return;
    }
    let pair = at / way;
    let a = pair * features;
    let b = (pairs + pair - pair % way + at % way) * features;
    var sum = 0.0;
    for (var f = 0u; f < features; f++) {
        let difference = x[a + f] - x[b + f];
        sum += difference * difference;
    }
    y[at] = -sum;
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
    let is_first = row < pairs;
    let pair = row % pairs;
    let place = pair % way;
    let first = pair - place;
    // The episode's embeddings on the other side, and their logits with this one.
    let others = (select(0u, pairs, is_first) + first) * features + at % features;
    let logits = select(first * way + place, pair * way, is_first);
    let stride = select(way, 1u, is_first);
    var sum = 0.0;
    for (var other = 0u; other < way; other++) {
        sum += dy[logits + other * stride] * (x[at] - x[others + other * features]);
    }
    dx[at] = -2.0 * sum;
}
