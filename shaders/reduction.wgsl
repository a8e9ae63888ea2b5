// Reductions of one axis.
//
//   y[o, i] = sum, mean, largest, smallest, ln sum exp, or index of the largest or smallest of x[o, .., i]
//
//   backward: dx[o, e, i] = dy[o, i] s with s = 1, 1 / axis, 1 at the first extreme and 0 elsewhere, exp(x - y), or 0
//
// x, dx [outer, axis, inner]; y, result, dy [outer, inner]
// forward, backward: one invocation for one result; forward_wide: a workgroup for each result, its lanes over the axis.

override kind: u32;
override outer: u32;
override axis: u32;
override inner: u32;
override accumulate: bool;

const SUM: u32 = 0u;
const MEAN: u32 = 1u;
const MAX: u32 = 2u;
const MIN: u32 = 3u;
const LOG_SUM_EXP: u32 = 4u;
const ARG_MAX: u32 = 5u;
const ARG_MIN: u32 = 6u;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> result: array<f32>;
@group(1) @binding(3) var<storage, read> dy: array<f32>;
@group(1) @binding(4) var<storage, read_write> dx: array<f32>;

// An extreme and its place on the axis.
struct Extreme {
    value: f32,
    at: u32,
}

// Whether the first stands before the second: NaN before all, then the more extreme, then the lower place.
fn precedes(first: Extreme, second: Extreme) -> bool {
    let lower = first.at < second.at;
    if (is_nan(first.value) || is_nan(second.value)) {
        return is_nan(first.value) && (lower || !is_nan(second.value));
    }
    let smallest = kind == MIN || kind == ARG_MIN;
    let more = select(first.value > second.value, first.value < second.value, smallest);
    return more || (lower && first.value == second.value);
}

fn only_sums() -> bool {
    return kind <= MEAN;
}

// Place in x of the first element of result `n`.
fn start_of(n: u32) -> u32 {
    return n / inner * axis * inner + n % inner;
}

// Of every `step`-th element from `first` on.
fn extreme_of(start: u32, first: u32, step: u32) -> Extreme {
    var best = Extreme(x[start + first * inner], first);
    for (var e = first + step; e < axis; e += step) {
        let other = Extreme(x[start + e * inner], e);
        if (precedes(other, best)) {
            best = other;
        }
    }
    return best;
}

fn sum_of(start: u32, first: u32, step: u32, largest: f32) -> f32 {
    var sum = 0.0;
    for (var e = first; e < axis; e += step) {
        let value = x[start + e * inner];
        if (kind == LOG_SUM_EXP) {
            sum += exp(value - largest);
        } else {
            sum += value;
        }
    }
    return sum;
}

fn put(n: u32, best: Extreme, sum: f32) {
    var value = best.value;
    if (kind == SUM) {
        value = sum;
    } else if (kind == MEAN) {
        value = sum / f32(axis);
    } else if (kind == LOG_SUM_EXP) {
        // What exp makes of NaN is the adapter's business.
        value = select(best.value + log(sum), best.value, is_nan(best.value));
    } else if (kind == ARG_MAX || kind == ARG_MIN) {
        value = f32(best.at);
    }
    y[n] = select(value, y[n] + value, accumulate);
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = invocation_number(group_id, grid, lane);
    if (n >= outer * inner) {
        return;
    }
    let start = start_of(n);
    var best = Extreme();
    var sum = 0.0;
    if (!only_sums()) {
        best = extreme_of(start, 0u, 1u);
    }
    if (only_sums() || kind == LOG_SUM_EXP) {
        sum = sum_of(start, 0u, 1u, best.value);
    }
    put(n, best, sum);
}

var<workgroup> extremes: array<Extreme, WORKGROUP>;

// Every lane's extreme, for all lanes: a tree. Every lane must call it.
fn workgroup_extreme(lane: u32, own: Extreme) -> Extreme {
    extremes[lane] = own;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width = width / 2u) {
        if (lane < width && precedes(extremes[lane + width], extremes[lane])) {
            extremes[lane] = extremes[lane + width];
        }
        workgroupBarrier();
    }
    return extremes[0];
}

@compute @workgroup_size(WORKGROUP)
fn forward_wide(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = workgroup_number(group_id, grid);
    // Of a whole workgroup, so that the barriers stay in uniform control flow.
    if (n >= outer * inner) {
        return;
    }
    let start = start_of(n);
    var best = Extreme();
    var sum = 0.0;
    if (!only_sums()) {
        best = workgroup_extreme(lane, extreme_of(start, min(lane, axis - 1u), WORKGROUP));
    }
    if (only_sums() || kind == LOG_SUM_EXP) {
        sum = workgroup_sum(lane, sum_of(start, lane, WORKGROUP, best.value));
    }
    if (lane == 0u) {
        put(n, best, sum);
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = invocation_number(group_id, grid, lane);
    if (n >= outer * inner) {
        return;
    }
    let start = start_of(n);
    var first = axis;
    if (kind == MAX || kind == MIN) {
        first = extreme_of(start, 0u, 1u).at;
    }
    for (var e = 0u; e < axis; e++) {
        let at = start + e * inner;
        var gradient = 0.0;
        if (kind == SUM) {
            gradient = dy[n];
        } else if (kind == MEAN) {
            gradient = dy[n] / f32(axis);
        } else if (kind == LOG_SUM_EXP) {
            gradient = dy[n] * exp(x[at] - result[n]);
            if (is_nan(x[at]) || is_nan(result[n])) {
                gradient = result[n];
            }
        } else if (e == first) {
            gradient = dy[n];
        }
        dx[at] = select(gradient, dx[at] + gradient, accumulate);
    }
}
