// Cross-entropy of the softmax of logits.
//
//   l = ln sum_c exp(x[m, c]) - x[m, label]     hit: the first of the largest x[m, c] is the label's
//   loss = mean of l over the slot.count images of the batch
//   dx[m, c] = (exp(x[m, c]) / sum_k exp(x[m, k]) - [c == label]) / slot.count
//
// The largest logit is taken from all of an image's first, so that no exp overflows.
//
// x, dx   [images, classes]; the batch's images from `first` on
// label   [..] classes, the batch's from slot.first on
// history [.., 2]: loss and hits, row slot.index
// forward: one workgroup, its lanes over the images; backward: one invocation for one image.

override images: u32;
override classes: u32;
override first: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> label: array<u32>;
@group(1) @binding(2) var<storage, read_write> history: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

// Images of this piece that are no padding.
fn filled() -> u32 {
    return min(max(slot.count, first) - first, images);
}

// The class of the first of an image's largest logits.
fn likeliest(m: u32) -> u32 {
    var best = 0u;
    for (var c = 1u; c < classes; c++) {
        if (x[m * classes + c] > x[m * classes + best]) {
            best = c;
        }
    }
    return best;
}

fn sum_of_exp(m: u32, largest: f32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < classes; c++) {
        sum += exp(x[m * classes + c] - largest);
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    var hits = 0.0;
    for (var m = invocation_number(group_id, grid, lane); m < filled(); m += WORKGROUP) {
        let wanted = label[slot.first + first + m];
        let best = likeliest(m);
        let largest = x[m * classes + best];
        sum += log(sum_of_exp(m, largest)) + (largest - x[m * classes + wanted]);
        hits += select(0.0, 1.0, best == wanted);
    }
    sum = workgroup_sum(lane, sum) / f32(slot.count);
    hits = workgroup_sum(lane, hits);
    if (lane == 0u) {
        let row = 2u * slot.index;
        history[row] = select(0.0, history[row], accumulate) + sum;
        history[row + 1u] = select(0.0, history[row + 1u], accumulate) + hits;
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let m = invocation_number(group_id, grid, lane);
    if (m >= images) {
        return;
    }
    if (m >= filled()) {
        for (var c = 0u; c < classes; c++) {
            dx[m * classes + c] = 0.0;
        }
        return;
    }
    let wanted = label[slot.first + first + m];
    let largest = x[m * classes + likeliest(m)];
    let sum = sum_of_exp(m, largest);
    for (var c = 0u; c < classes; c++) {
        let share = exp(x[m * classes + c] - largest) / sum;
        dx[m * classes + c] = (share - select(0.0, 1.0, c == wanted)) / f32(slot.count);
    }
}
