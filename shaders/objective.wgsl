// From the embeddings of a batch to its loss, and back to the gradients of its distances.
//
//   with_head:    distance, batch norm over the pairs, affine map, sigmoid, loss; then backwards
//   without_head: distance, loss; then backwards
// each part as in the shader of its own: distance, batch_norm, head, contrastive
//
// embedded [2 pairs, features]; same [..] labels, this batch's from slot.first on
// history  [.., 2]: loss and hits, row slot.index
// compared [2, pairs]: distances, their gradients
// head, dhead: norm's weight, norm's bias, weight, bias; running: mean, variance; each number starts a tensor
// One workgroup, its lanes over the pairs.

override pairs: u32;
override features: u32;
override distance: u32;
override squared_floor: f32;
override margin: f32;
override convention: u32;
override eps: f32;
override momentum: f32;

const EUCLIDEAN: u32 = 0u;
const SIMILARITY: u32 = 0u;

const LANES: u32 = 256u;
// Lanes that share a pair's features.
const SHARERS: u32 = 4u;
// Where the numbers of `head`, `dhead` and `running` stand: tensors start at multiples of 64 elements.
const NORM_WEIGHT: u32 = 0u;
const NORM_BIAS: u32 = 64u;
const WEIGHT: u32 = 128u;
const BIAS: u32 = 192u;

@group(1) @binding(0) var<storage, read> embedded: array<f32>;
@group(1) @binding(1) var<storage, read> same: array<u32>;
@group(1) @binding(2) var<storage, read> head: array<f32>;
@group(1) @binding(3) var<storage, read_write> history: array<f32>;
@group(1) @binding(4) var<storage, read_write> compared: array<f32>;
@group(1) @binding(5) var<storage, read_write> dhead: array<f32>;
@group(1) @binding(6) var<storage, read_write> running: array<f32>;

var<workgroup> memory: array<vec4f, LANES>;

// Sums of every lane's values, for all lanes: a tree, so the order is fixed. Every lane must call it.
fn total(lane: u32, values: vec4f) -> vec4f {
    memory[lane] = values;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width = width / 2u) {
        if (lane < width) {
            memory[lane] = memory[lane] + memory[lane + width];
        }
        workgroupBarrier();
    }
    let sums = memory[0];
    // The next sums may only overwrite what every lane has read.
    workgroupBarrier();
    return sums;
}

// Fills the first row of `compared`.
fn measure(lane: u32) {
    const ROWS: u32 = LANES / SHARERS;
    for (var first = 0u; first < pairs; first += ROWS) {
        let pair = min(first + lane / SHARERS, pairs - 1u);
        var sum = 0.0;
        for (var f = lane % SHARERS; f < features; f += SHARERS) {
            let difference = embedded[pair * features + f] - embedded[(pairs + pair) * features + f];
            sum += select(abs(difference), difference * difference, distance == EUCLIDEAN);
        }
        memory[lane].x = sum;
        workgroupBarrier();
        if (lane < ROWS && first + lane < pairs) {
            sum = 0.0;
            for (var s = 0u; s < SHARERS; s++) {
                sum += memory[lane * SHARERS + s].x;
            }
            if (distance == EUCLIDEAN) {
                // The clamped distance is the very number that backward compares with.
                sum = select(sqrt(sum), sqrt(squared_floor), sum <= squared_floor);
            }
            compared[first + lane] = sum;
        }
        workgroupBarrier();
    }
    storageBarrier();
}

struct Loss {
    loss: f32,
    hit: f32,
    // Of the batch's mean.
    gradient: f32,
}

// The loss on pair `i`'s value; nothing for the padding of a short batch.
fn lose(i: u32, value: f32) -> Loss {
    let count = min(slot.count, pairs);
    if (i >= count) {
        return Loss(0.0, 0.0, 0.0);
    }
    let is_same = same[slot.first + i] != 0u;
    // What the value lacks to the margin; NaN stays NaN, unlike in max(.., 0).
    let shortfall = select(margin - value, 0.0, value >= margin);
    let pushed = is_same == (convention == SIMILARITY);
    let root = select(value, shortfall, pushed);
    let threshold = select(margin * 0.5, 0.5, convention == SIMILARITY);
    let called_same = select((value < threshold), (value > threshold), convention == SIMILARITY);
    let slope = select(value, -shortfall, pushed);
    return Loss(root * root, select(0.0, 1.0, called_same == is_same), 2.0 * slope / f32(count));
}

fn record(loss: f32, hits: f32) {
    history[2u * slot.index] = loss / f32(min(slot.count, pairs));
    history[2u * slot.index + 1u] = hits;
}

@compute @workgroup_size(LANES)
fn without_head(@builtin(local_invocation_index) lane: u32) {
    measure(lane);
    var sums = vec4f();
    for (var i = lane; i < pairs; i += LANES) {
        let found = lose(i, compared[i]);
        sums += vec4f(found.loss, found.hit, 0.0, 0.0);
        compared[pairs + i] = found.gradient;
    }
    sums = total(lane, sums);
    if (lane == 0u) {
        record(sums.x, sums.y);
    }
}

@compute @workgroup_size(LANES)
fn with_head(@builtin(local_invocation_index) lane: u32) {
    measure(lane);
    var sum = 0.0;
    for (var i = lane; i < pairs; i += LANES) {
        sum += compared[i];
    }
    let mean = total(lane, vec4f(sum)).x / f32(pairs);
    // The mean first, then the deviations from it: sum x^2 - mean^2 would cancel.
    sum = 0.0;
    for (var i = lane; i < pairs; i += LANES) {
        let deviation = compared[i] - mean;
        sum += deviation * deviation;
    }
    let squares = total(lane, vec4f(sum)).x;
    let inverse = 1.0 / sqrt(squares / f32(pairs) + eps);

    // Loss and hits; with and without what they are multiplied by, the gradients behind the affine map and
    // behind the norm.
    var losses = vec4f();
    var slopes = vec4f();
    for (var i = lane; i < pairs; i += LANES) {
        let x_hat = (compared[i] - mean) * inverse;
        let normed = head[NORM_WEIGHT] * x_hat + head[NORM_BIAS];
        let z = head[WEIGHT] * normed + head[BIAS];
        let similarity = select(sigmoid(z), z, is_nan(z));
        let found = lose(i, similarity);
        let dz = found.gradient * (similarity * (1.0 - similarity));
        let dnormed = dz * head[WEIGHT];
        losses += vec4f(found.loss, found.hit, 0.0, 0.0);
        slopes += vec4f(dz * normed, dz, dnormed * x_hat, dnormed);
        compared[pairs + i] = dnormed;
    }
    losses = total(lane, losses);
    slopes = total(lane, slopes);
    for (var i = lane; i < pairs; i += LANES) {
        let x_hat = (compared[i] - mean) * inverse;
        let shared_part = (slopes.w + x_hat * slopes.z) / f32(pairs);
        compared[pairs + i] = head[NORM_WEIGHT] * inverse * (compared[pairs + i] - shared_part);
    }
    if (lane == 0u) {
        record(losses.x, losses.y);
        dhead[NORM_WEIGHT] = slopes.z;
        dhead[NORM_BIAS] = slopes.w;
        dhead[WEIGHT] = slopes.x;
        dhead[BIAS] = slopes.y;
        running[0] = (1.0 - momentum) * running[0] + momentum * mean;
        running[64] = (1.0 - momentum) * running[64] + momentum * (squares / f32(pairs - 1u));
    }
}
