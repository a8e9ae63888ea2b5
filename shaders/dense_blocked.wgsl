// Fully connected layer with activation in large register blocks, for adapters where a load is dear, as on
// a processor that stands in for a GPU. For the window of outputs whose rows `weight` holds:
//
//   z[n, o] = bias[o] + sum_i x[n, i] weight[o - first_row, i],  o in first_row .. first_row + rows
//   y = f(z) where `activated`, else z
//
// x, dx           [images, inputs]
// weight, dweight [rows, inputs]
// bias            [outputs]
// y, dz           [images, outputs]
// Rows are read as vec4: inputs, outputs, first_row and rows are multiples of four. An invocation keeps eight rows of
// sixteen results in registers, a row to a matrix. A block that sticks out computes on clamped indices and
// stores nothing.

override images: u32;
override inputs: u32;
override outputs: u32;
override first_row: u32;
override rows: u32;
override activated: bool;
override activation: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<vec4f>;
@group(1) @binding(1) var<storage, read> weight: array<vec4f>;
@group(1) @binding(2) var<storage, read> bias: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(4) var<storage, read> dz: array<vec4f>;
@group(1) @binding(5) var<storage, read_write> dx: array<vec4f>;
@group(1) @binding(6) var<storage, read_write> dweight: array<vec4f>;

// vec4s of a row of inputs, and of outputs.
fn input_quads() -> u32 {
    return inputs / 4u;
}

fn output_quads() -> u32 {
    return outputs / 4u;
}

fn activate(z: f32) -> f32 {
    if (activated) {
        return activation_of(activation, z);
    }
    return z;
}

// Eight rows of sixteen sums.
struct Block {
    sum0: mat4x4f,
    sum1: mat4x4f,
    sum2: mat4x4f,
    sum3: mat4x4f,
    sum4: mat4x4f,
    sum5: mat4x4f,
    sum6: mat4x4f,
    sum7: mat4x4f,
}

fn add(block: Block, low: vec4f, high: vec4f, values: mat4x4f) -> Block {
    return Block(
        block.sum0 + low.x * values,
        block.sum1 + low.y * values,
        block.sum2 + low.z * values,
        block.sum3 + low.w * values,
        block.sum4 + high.x * values,
        block.sum5 + high.y * values,
        block.sum6 + high.z * values,
        block.sum7 + high.w * values,
    );
}

// Four inputs of image `n`, the last image repeated behind the end.
fn four_inputs(n: u32, i: u32) -> vec4f {
    return x[min(n, images - 1u) * input_quads() + i];
}

// Four inputs of row `o` of the weight, the last row repeated behind the end.
fn four_weights(o: u32, i: u32) -> vec4f {
    return weight[min(o, rows - 1u) * input_quads() + i];
}

// Four inputs of four rows of the weight, a row to a column.
fn four_rows(o: u32, i: u32) -> mat4x4f {
    return mat4x4f(four_weights(o, i), four_weights(o + 1u, i), four_weights(o + 2u, i), four_weights(o + 3u, i));
}

fn put_y(n: u32, o: u32, sum: mat4x4f) {
    for (var q = 0u; q < 4u; q++) {
        if (n < images && o + 4u * q < rows) {
            y[n * output_quads() + (first_row + o) / 4u + q] = sum[q];
        }
    }
}

// Adds the bias and applies the activation, in a loop that no compiler unrolls: written out for each result, it
// would take longer to compile than all the rest.
fn finish(n: u32, o: u32) {
    for (var row = n; row < min(n + 8u, images); row++) {
        for (var column = o; column < min(o + 16u, rows); column += 4u) {
            let quad = (first_row + column) / 4u;
            let z = y[row * output_quads() + quad] + bias[quad];
            y[row * output_quads() + quad] = vec4f(activate(z.x), activate(z.y), activate(z.z), activate(z.w));
        }
    }
}

// One invocation: sixteen outputs of the window for eight images.
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    // Neighbours read the same rows of the weight: those of far rows may all fall on one place of a cache.
    let blocks_n = (images + 7u) / 8u;
    let n = number % blocks_n * 8u;
    let o = number / blocks_n * 16u;
    if (o >= rows) {
        return;
    }
    var block = Block();
    for (var i = 0u; i < input_quads(); i++) {
        let a = four_rows(o, i);
        let b = four_rows(o + 4u, i);
        let c = four_rows(o + 8u, i);
        let d = four_rows(o + 12u, i);
        block.sum0 += along(four_inputs(n, i), a, b, c, d);
        block.sum1 += along(four_inputs(n + 1u, i), a, b, c, d);
        block.sum2 += along(four_inputs(n + 2u, i), a, b, c, d);
        block.sum3 += along(four_inputs(n + 3u, i), a, b, c, d);
        block.sum4 += along(four_inputs(n + 4u, i), a, b, c, d);
        block.sum5 += along(four_inputs(n + 5u, i), a, b, c, d);
        block.sum6 += along(four_inputs(n + 6u, i), a, b, c, d);
        block.sum7 += along(four_inputs(n + 7u, i), a, b, c, d);
    }
    put_y(n, o, block.sum0);
    put_y(n + 1u, o, block.sum1);
    put_y(n + 2u, o, block.sum2);
    put_y(n + 3u, o, block.sum3);
    put_y(n + 4u, o, block.sum4);
    put_y(n + 5u, o, block.sum5);
    put_y(n + 6u, o, block.sum6);
    put_y(n + 7u, o, block.sum7);
    finish(n, o);
}

// Of sixteen columns each one's product with four values.
fn along(values: vec4f, a: mat4x4f, b: mat4x4f, c: mat4x4f, d: mat4x4f) -> mat4x4f {
    return mat4x4f(values * a, values * b, values * c, values * d);
}

// Of sixteen rows each one's product with four values.
fn across(values: vec4f, a: mat4x4f, b: mat4x4f, c: mat4x4f, d: mat4x4f) -> mat4x4f {
    return mat4x4f(a * values, b * values, c * values, d * values);
}

fn put_dx(n: u32, i: u32, sum: mat4x4f) {
    for (var q = 0u; q < 4u; q++) {
        if (n < images && i + q < input_quads()) {
            let at = n * input_quads() + i + q;
            dx[at] = select(sum[q], dx[at] + sum[q], accumulate);
        }
    }
}

// Gradients of four outputs of image `n`, the last image repeated behind the end.
fn four_gradients(n: u32, o: u32) -> vec4f {
    return dz[min(n, images - 1u) * output_quads() + (first_row + o) / 4u];
}

// dx[n, i] = sum_o dz[n, first_row + o] weight[o, i]
// One invocation: sixteen inputs of eight images.
@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    let blocks_i = (input_quads() + 3u) / 4u;
    let i = number % blocks_i * 4u;
    let n = number / blocks_i * 8u;
    if (n >= images) {
        return;
    }
    var block = Block();
    for (var o = 0u; o < rows; o += 4u) {
        let a = four_rows(o, i);
        let b = four_rows(o, i + 1u);
        let c = four_rows(o, i + 2u);
        let d = four_rows(o, i + 3u);
        block.sum0 += across(four_gradients(n, o), a, b, c, d);
        block.sum1 += across(four_gradients(n + 1u, o), a, b, c, d);
        block.sum2 += across(four_gradients(n + 2u, o), a, b, c, d);
        block.sum3 += across(four_gradients(n + 3u, o), a, b, c, d);
        block.sum4 += across(four_gradients(n + 4u, o), a, b, c, d);
        block.sum5 += across(four_gradients(n + 5u, o), a, b, c, d);
        block.sum6 += across(four_gradients(n + 6u, o), a, b, c, d);
        block.sum7 += across(four_gradients(n + 7u, o), a, b, c, d);
    }
    put_dx(n, i, block.sum0);
    put_dx(n + 1u, i, block.sum1);
    put_dx(n + 2u, i, block.sum2);
    put_dx(n + 3u, i, block.sum3);
    put_dx(n + 4u, i, block.sum4);
    put_dx(n + 5u, i, block.sum5);
    put_dx(n + 6u, i, block.sum6);
    put_dx(n + 7u, i, block.sum7);
}

fn put_dweight(o: u32, i: u32, sum: mat4x4f) {
    for (var q = 0u; q < 4u; q++) {
        if (o < rows && i + q < input_quads()) {
            let at = o * input_quads() + i + q;
            dweight[at] = select(sum[q], dweight[at] + sum[q], accumulate);
        }
    }
}

// dweight[o, i] = sum_n dz[n, first_row + o] x[n, i]
// One invocation: eight outputs of the window by sixteen inputs.
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    let blocks_i = (input_quads() + 3u) / 4u;
    let i = number % blocks_i * 4u;
    let o = number / blocks_i * 8u;
    if (o >= rows) {
        return;
    }
    var block = Block();
    for (var n = 0u; n < images; n++) {
        let at = n * output_quads() + (first_row + o) / 4u;
        let row = n * input_quads() + i;
        block = add(block, dz[at], dz[at + 1u], mat4x4f(x[row], x[row + 1u], x[row + 2u], x[row + 3u]));
    }
    put_dweight(o, i, block.sum0);
    put_dweight(o + 1u, i, block.sum1);
    put_dweight(o + 2u, i, block.sum2);
    put_dweight(o + 3u, i, block.sum3);
    put_dweight(o + 4u, i, block.sum4);
    put_dweight(o + 5u, i, block.sum5);
    put_dweight(o + 6u, i, block.sum6);
    put_dweight(o + 7u, i, block.sum7);
}
