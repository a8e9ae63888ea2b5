// Cross-entropy of whether a pair is the same, with the probability that its distance d stands for.
//
//   logit:       p = 1 / (1 + exp(d))
//                l = ln(1 + exp(v)), dl/dd = dv/dd / (1 + exp(-v))   with v = d where same, else -d
//                hit: (d < 0) == same
//   exponential: p = exp(-e)                                         with e = max(d / scale, floor)
//                l = e where same, else -ln(1 - exp(-e))
//                dl/dd = 1 / scale where same, else -exp(-e) / (1 - exp(-e)) / scale; 0 where d / scale <= floor
//                hit: (e < ln 2) == same
//   loss = mean of l over the slot.count pairs of the batch
//
// x, dx, y [pairs]: distances, their gradients, probabilities
// same    [..] labels, this batch's from slot.first on
// history [.., 2]: loss and hits, row slot.index
// forward: one workgroup, its lanes over the pairs; backward, similarity: one invocation for one pair.

override pairs: u32;
override link: u32;
override scale: f32;
override floor: f32;

const LOGIT: u32 = 0u;
const LN_2: f32 = 0.6931472;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> same: array<u32>;
@group(1) @binding(2) var<storage, read_write> history: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;
@group(1) @binding(4) var<storage, read_write> y: array<f32>;

// ln(1 + exp(v)); the exponent is never positive, so nothing overflows, and NaN stays NaN, unlike in max(v, 0).
fn softplus(v: f32) -> f32 {
    return select(v, 0.0, v <= 0.0) + log(1.0 + exp(-abs(v)));
}

// e of a distance; NaN stays NaN.
fn exponent(d: f32) -> f32 {
    let e = d / scale;
    return select(e, floor, e <= floor);
}

// 1 - exp(-e), by its series where the difference would cancel.
fn rest(e: f32) -> f32 {
    if (e >= 0.5) {
        return 1.0 - exp(-e);
    }
    let third = 1.0 - e * (1.0 / 3.0) * (1.0 - e * 0.25 * (1.0 - e * 0.2 * (1.0 - e * (1.0 / 6.0)
        * (1.0 - e * (1.0 / 7.0) * (1.0 - e * 0.125 * (1.0 - e * (1.0 / 9.0)))))));
    return e * (1.0 - e * 0.5 * third);
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
        let is_same = same[slot.first + i] != 0u;
        let d = x[i];
        var called_same = false;
        if (link == LOGIT) {
            sum += softplus(select(-d, d, is_same));
            called_same = d < 0.0;
        } else {
            let e = exponent(d);
            if (is_same) {
                sum += e;
            } else {
                sum -= log(rest(e));
            }
            called_same = e < LN_2;
        }
        hits += select(0.0, 1.0, called_same == is_same);
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
    if (i >= count) {
        dx[i] = 0.0;
        return;
    }
    let is_same = same[slot.first + i] != 0u;
    let d = x[i];
    var slope = 0.0;
    if (link == LOGIT) {
        slope = select(-sigmoid(-d), sigmoid(d), is_same);
    } else if (d / scale <= floor) {
        slope = 0.0;
    } else if (is_same) {
        slope = 1.0 / scale;
    } else {
        let e = exponent(d);
        slope = -(exp(-e) / rest(e) / scale);
    }
    dx[i] = slope / f32(count);
}

@compute @workgroup_size(WORKGROUP)
fn similarity(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= pairs) {
        return;
    }
    let d = x[i];
    if (is_nan(d)) {
        y[i] = d;
    } else if (link == LOGIT) {
        y[i] = sigmoid(-d);
    } else {
        y[i] = exp(-exponent(d));
    }
}
