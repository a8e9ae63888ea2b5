// Matrix products, one or a batch of them.
//
//   c[n, i, j] = sum_k a[n, i, k] b[n, k, j]
//
// a [batches, rows, inner], or [batches, inner, rows] where it is transposed
// b [batches, inner, columns], or [batches, columns, inner]
// c [batches, rows, columns]
// An invocation keeps a block of four by four results in registers. A block that sticks out computes on
// clamped indices and stores nothing.

override batches: u32;
override rows: u32;
override inner: u32;
override columns: u32;
override transpose_a: bool;
override transpose_b: bool;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> a: array<f32>;
@group(1) @binding(1) var<storage, read> b: array<f32>;
@group(1) @binding(2) var<storage, read_write> c: array<f32>;

// Four neighbours from `first` on, the last one repeated behind the end.
fn neighbours(first: u32, length: u32) -> vec4u {
    return min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(length - 1u));
}

fn put(n: u32, i: u32, j0: u32, values: vec4f) {
    if (i >= rows) {
        return;
    }
    for (var q = 0u; q < min(4u, columns - j0); q++) {
        let at = (n * rows + i) * columns + j0 + q;
        c[at] = select(values[q], c[at] + values[q], accumulate);
    }
}

// One invocation: rows i0..i0+4, columns j0..j0+4 of a product.
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks_i = (rows + 3u) / 4u;
    let blocks_j = (columns + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let j0 = block % blocks_j * 4u;
    let i0 = block / blocks_j % blocks_i * 4u;
    let n = block / blocks_j / blocks_i;
    if (n >= batches) {
        return;
    }
    // Strides along inner, and places of the first element of each row and column.
    let step_a = select(1u, rows, transpose_a);
    let step_b = select(columns, 1u, transpose_b);
    let i = n * rows * inner + neighbours(i0, rows) * select(inner, 1u, transpose_a);
    let j = n * inner * columns + neighbours(j0, columns) * select(1u, inner, transpose_b);
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var k = 0u; k < inner; k++) {
        let p = k * step_a + i;
        let q = k * step_b + j;
        let values = vec4f(b[q.x], b[q.y], b[q.z], b[q.w]);
        sum0 += a[p.x] * values;
        sum1 += a[p.y] * values;
        sum2 += a[p.z] * values;
        sum3 += a[p.w] * values;
    }
    put(n, i0, j0, sum0);
    put(n, i0 + 1u, j0, sum1);
    put(n, i0 + 2u, j0, sum2);
    put(n, i0 + 3u, j0, sum3);
}
