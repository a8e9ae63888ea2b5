// Distances between each row a of x and each row b of y.
//
//   euclidean d = sqrt(max(sum_f (a_f - b_f)^2, floor))   da_f = sum_j dd (a_f - b_f) / d, 0 at the floor
//   squared   d = sum_f (a_f - b_f)^2                     da_f = sum_j 2 dd (a_f - b_f)
//   l1        d = sum_f |a_f - b_f|                       da_f = sum_j dd sign(a_f - b_f)
//   inner     d = sum_f a_f b_f                           da_f = sum_j dd b_f
//
// x, dx         [rows, features]
// y             [columns, features]
// d, result, dd [rows, columns]; where transposed, backward finds [columns, rows]
// An invocation keeps a block of four by four distances, or of four features of a row's gradient, in registers. A block
// that sticks out computes on clamped indices and stores nothing.

override rows: u32;
override columns: u32;
override features: u32;
override kind: u32;
override floor: f32;
override transposed: bool;
override accumulate: bool;

const EUCLIDEAN: u32 = 0u;
const SQUARED: u32 = 1u;
const L1: u32 = 2u;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> y: array<f32>;
@group(1) @binding(2) var<storage, read_write> d: array<f32>;
@group(1) @binding(3) var<storage, read> result: array<f32>;
@group(1) @binding(4) var<storage, read> dd: array<f32>;
@group(1) @binding(5) var<storage, read_write> dx: array<f32>;

// Four neighbours from `first` on, the last one repeated behind the end.
fn neighbours(first: u32, length: u32) -> vec4u {
    return min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(length - 1u));
}

// What one feature of a row of x and of four of y adds.
fn terms(a: f32, b: vec4f) -> vec4f {
    let difference = a - b;
    if (kind == L1) {
        return abs(difference);
    }
    if (kind == EUCLIDEAN || kind == SQUARED) {
        return difference * difference;
    }
    return a * b;
}

fn put_d(i: u32, j0: u32, sums: vec4f) {
    if (i >= rows) {
        return;
    }
    for (var q = 0u; q < min(4u, columns - j0); q++) {
        var value = sums[q];
        if (kind == EUCLIDEAN && !is_nan(value)) {
            // The clamped distance is the very number that backward compares with.
            value = sqrt(max(value, floor));
        }
        d[i * columns + j0 + q] = value;
    }
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks_j = (columns + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let j0 = block % blocks_j * 4u;
    let i0 = block / blocks_j * 4u;
    let i = neighbours(i0, rows) * features;
    let j = neighbours(j0, columns) * features;
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var f = 0u; f < features; f++) {
        let values = vec4f(y[j.x + f], y[j.y + f], y[j.z + f], y[j.w + f]);
        sum0 += terms(x[i.x + f], values);
        sum1 += terms(x[i.y + f], values);
        sum2 += terms(x[i.z + f], values);
        sum3 += terms(x[i.w + f], values);
    }
    put_d(i0, j0, sum0);
    put_d(i0 + 1u, j0, sum1);
    put_d(i0 + 2u, j0, sum2);
    put_d(i0 + 3u, j0, sum3);
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks_f = (features + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let f0 = block % blocks_f * 4u;
    let i = block / blocks_f;
    if (i >= rows) {
        return;
    }
    let f = neighbours(f0, features);
    let own = i * features + f;
    let a = vec4f(x[own.x], x[own.y], x[own.z], x[own.w]);
    let lowest = sqrt(floor);
    var sum = vec4f();
    for (var j = 0u; j < columns; j++) {
        let at = select(i * columns + j, j * rows + i, transposed);
        let other = j * features + f;
        let b = vec4f(y[other.x], y[other.y], y[other.z], y[other.w]);
        let gradient = dd[at];
        if (kind == EUCLIDEAN) {
            sum += select(0.0, gradient / result[at], result[at] > lowest) * (a - b);
        } else if (kind == SQUARED) {
            sum += 2.0 * gradient * (a - b);
        } else if (kind == L1) {
            sum += gradient * sign(a - b);
        } else {
            sum += gradient * b;
        }
    }
    for (var q = 0u; q < min(4u, features - f0); q++) {
        let at = i * features + f0 + q;
        dx[at] = select(sum[q], dx[at] + sum[q], accumulate);
    }
}
