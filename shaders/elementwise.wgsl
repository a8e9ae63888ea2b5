// Functions of one or two tensors, element by element.
//
//   y[y_offset + sum_d i_d y_d] = f(a[a_offset + sum_d i_d a_d], b[b_offset + sum_d i_d b_d])
//
// for each index i of the sizes, the last one fastest. Strides of 0 repeat, others slice, join and transpose.
// One invocation for one index.

override function: u32;
override scalar: f32;
override size0: u32;
override size1: u32;
override size2: u32;
override size3: u32;
override y_offset: u32;
override y0: u32;
override y1: u32;
override y2: u32;
override y3: u32;
override a_offset: u32;
override a0: u32;
override a1: u32;
override a2: u32;
override a3: u32;
override b_offset: u32;
override b0: u32;
override b1: u32;
override b2: u32;
override b3: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> a: array<f32>;
@group(1) @binding(1) var<storage, read> b: array<f32>;
@group(1) @binding(2) var<storage, read_write> y: array<f32>;

// The index that number `n` stands for.
fn index_of(n: u32) -> vec4u {
    let rest = n / size3;
    return vec4u(rest / size2 / size1, rest / size2 % size1, rest % size2, n % size3);
}

fn put(i: vec4u, value: f32) {
    let at = y_offset + dot(i, vec4u(y0, y1, y2, y3));
    y[at] = select(value, y[at] + value, accumulate);
}

@compute @workgroup_size(WORKGROUP)
fn fill(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = index_of(invocation_number(group_id, grid, lane));
    if (i.x >= size0) {
        return;
    }
    put(i, scalar);
}

// 2 artanh(s) for |s| up to 1 / 3, by its series, the eighth term of which is below a rounding.
fn artanh_twice(s: f32) -> f32 {
    let square = s * s;
    var series = 1.0 / 13.0;
    for (var n = 6u; n > 0u; n--) {
        series = 1.0 / f32(2u * n - 1u) + square * series;
    }
    return 2.0 * s * series;
}

// The built-in is off by 6e-3 of its value near 1 on some adapters.
fn safe_log(x: f32) -> f32 {
    if (abs(x - 1.25) < 0.75) {
        return artanh_twice((x - 1.0) / (x + 1.0));
    }
    return log(x);
}

// ln(1 + exp(x)). The exponent is never positive, so nothing overflows, and what is small keeps its digits.
fn softplus(x: f32) -> f32 {
    let t = exp(-abs(x));
    return max(x, 0.0) + artanh_twice(t / (2.0 + t));
}

fn unary_of(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    switch function {
        case 1u: { return x * scalar; }
        case 2u: { return x + scalar; }
        case 3u: { return abs(x); }
        case 4u: { return x * x; }
        case 5u: { return sqrt(x); }
        case 6u: { return exp(x); }
        case 7u: { return safe_log(x); }
        case 8u: { return 1.0 / x; }
        case 9u: { return sign(x); }
        case 10u: { return select(0.0, 1.0, x > scalar); }
        case 11u: { return max(x, scalar); }
        case 12u: { return sigmoid(x); }
        case 13u: { return softplus(x); }
        case 14u: { return safe_tanh(x); }
        default: { return x; }
    }
}

@compute @workgroup_size(WORKGROUP)
fn unary(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = index_of(invocation_number(group_id, grid, lane));
    if (i.x >= size0) {
        return;
    }
    put(i, unary_of(a[a_offset + dot(i, vec4u(a0, a1, a2, a3))]));
}

fn binary_of(p: f32, q: f32) -> f32 {
    if (is_nan(p)) {
        return p;
    }
    if (is_nan(q)) {
        return q;
    }
    switch function {
        case 15u: { return p + q; }
        case 16u: { return p - q; }
        case 17u: { return p * q; }
        case 18u: { return p / q; }
        case 19u: { return max(p, q); }
        case 20u: { return min(p, q); }
        case 21u: { return select(0.0, 1.0, p > q); }
        default: { return select(0.0, 1.0, p == q); }
    }
}

@compute @workgroup_size(WORKGROUP)
fn binary(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = index_of(invocation_number(group_id, grid, lane));
    if (i.x >= size0) {
        return;
    }
    let p = a[a_offset + dot(i, vec4u(a0, a1, a2, a3))];
    put(i, binary_of(p, b[b_offset + dot(i, vec4u(b0, b1, b2, b3))]));
}
