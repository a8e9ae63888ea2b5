// Contrastive loss in two conventions, each the mirror image of the other.
//
//   similarity: l = (1 - same) s^2 + same max(margin - s, 0)^2     hit: (s > 1/2) == same
//   distance:   l = same d^2 + (1 - same) max(margin - d, 0)^2     hit: (d < margin / 2) == same
//   loss = mean of l over the slot.count pairs of the batch
//
// x, dx [pairs]; same [..] labels, this batch's from slot.first on;
// history [.., 2]: loss and hits, row slot.index
// forward: one workgroup, its lanes over the pairs; backward: one invocation for one pair.

override pairs: u32;
override margin: f32;
override convention: u32;

const SIMILARITY: u32 = 0u;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> same: array<u32>;
@group(1) @binding(2) var<storage, read_write> history: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

// Whether the loss pushes this pair's value up to the margin, rather than down to 0.
fn pushed(i: u32) -> bool {
    return (same[slot.first + i] != 0u) == (convention == SIMILARITY);
}

// What the value lacks to the margin; NaN stays NaN, unlike in max(.., 0).
fn shortfall(value: f32) -> f32 {
    return select(margin - value, 0.0, value >= margin);
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let count = min(slot.count, pairs);
    var sum = 0.0;
    var hits = 0.0;
    for (var i = invocation_number(group_id, grid, lane); i < count; i += WORKGROUP) {
        let value = x[i];
        let root = select(value, shortfall(value), pushed(i));
        sum += root * root;
        // Both conventions call a pair rightly told apart by their own threshold.
        let threshold = select(margin * 0.5, 0.5, convention == SIMILARITY);
        let called_same = select((value < threshold), (value > threshold), convention == SIMILARITY);
        hits += select(0.0, 1.0, called_same == (same[slot.first + i] != 0u));
    }
    sum = workgroup_sum(lane, sum);
    hits = workgroup_sum(lane, hits);
    if (lane == 0u) {
        history[2u * slot.index] = sum / f32(count);
        history[2u * slot.index + 1u] = hits;
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= pairs) {
        return;
    }
    let count = min(slot.count, pairs);
    var gradient = 0.0;
    if (i < count) {
        let value = x[i];
        gradient = 2.0 * select(value, -shortfall(value), pushed(i)) / f32(count);
    }
    dx[i] = gradient;
}
