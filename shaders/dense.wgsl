// Fully connected layer, for the window of outputs whose rows `weight` holds.
//
//   y[n, o] = bias[o] + sum_i x[n, i] weight[o - first_row, i],  o in first_row .. first_row + rows
//
// x, dx           [images, inputs]
// weight, dweight [rows, inputs]
// bias, dbias     [outputs]
// y, dy           [images, outputs]
// An invocation keeps a block of four by four results in registers. A block that sticks out computes
// on clamped indices and stores nothing.

override images: u32;
override inputs: u32;
override outputs: u32;
override first_row: u32;
override rows: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read> bias: array<f32>;
@group(1) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(4) var<storage, read> dy: array<f32>;
@group(1) @binding(5) var<storage, read_write> dx: array<f32>;
@group(1) @binding(6) var<storage, read_write> dweight: array<f32>;
@group(1) @binding(7) var<storage, read_write> dbias: array<f32>;

// Four neighbours from `first` on, the last one repeated behind the end.
fn neighbours(first: u32, length: u32) -> vec4u {
    return min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(length - 1u));
}

fn put_y(n: u32, o0: u32, values: vec4f) {
    if (n >= images) {
        return;
    }
    for (var p = 0u; p < min(4u, rows - o0); p++) {
        y[n * outputs + first_row + o0 + p] = values[p];
    }
}

// One invocation: images n0..n0+4, outputs o0..o0+4 of the window.
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks_o = (rows + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let o0 = block % blocks_o * 4u;
    let n0 = block / blocks_o * 4u;
    if (n0 >= images) {
        return;
    }
    let o = neighbours(o0, rows);
    let n = neighbours(n0, images) * inputs;
    let w = o * inputs;
    let start = vec4f(
        bias[first_row + o.x],
        bias[first_row + o.y],
        bias[first_row + o.z],
        bias[first_row + o.w],
    );
    var sum0 = start;
    var sum1 = start;
    var sum2 = start;
    var sum3 = start;
    for (var i = 0u; i < inputs; i++) {
        let weights = vec4f(weight[w.x + i], weight[w.y + i], weight[w.z + i], weight[w.w + i]);
        sum0 += x[n.x + i] * weights;
        sum1 += x[n.y + i] * weights;
        sum2 += x[n.z + i] * weights;
        sum3 += x[n.w + i] * weights;
    }
    put_y(n0, o0, sum0);
    put_y(n0 + 1u, o0, sum1);
    put_y(n0 + 2u, o0, sum2);
    put_y(n0 + 3u, o0, sum3);
}

fn put_dx(n: u32, i0: u32, values: vec4f) {
    if (n >= images) {
        return;
    }
    for (var p = 0u; p < min(4u, inputs - i0); p++) {
        let at = n * inputs + i0 + p;
        dx[at] = select(values[p], dx[at] + values[p], accumulate);
    }
}

// dx[n, i] = sum_o dy[n, first_row + o] weight[o, i]
// One invocation: images n0..n0+4, inputs i0..i0+4.
@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks_i = (inputs + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let i0 = block % blocks_i * 4u;
    let n0 = block / blocks_i * 4u;
    if (n0 >= images) {
        return;
    }
    let i = neighbours(i0, inputs);
    let n = neighbours(n0, images) * outputs + first_row;
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var o = 0u; o < rows; o++) {
        let row = o * inputs;
        let weights = vec4f(weight[row + i.x], weight[row + i.y], weight[row + i.z], weight[row + i.w]);
        sum0 += dy[n.x + o] * weights;
        sum1 += dy[n.y + o] * weights;
        sum2 += dy[n.z + o] * weights;
        sum3 += dy[n.w + o] * weights;
    }
    put_dx(n0, i0, sum0);
    put_dx(n0 + 1u, i0, sum1);
    put_dx(n0 + 2u, i0, sum2);
    put_dx(n0 + 3u, i0, sum3);
}

fn put_dweight(o: u32, i0: u32, values: vec4f) {
    if (o >= rows) {
        return;
    }
    for (var p = 0u; p < min(4u, inputs - i0); p++) {
        let at = o * inputs + i0 + p;
        dweight[at] = select(values[p], dweight[at] + values[p], accumulate);
    }
}

// dweight[o, i] = sum_n dy[n, first_row + o] x[n, i]
// One invocation: outputs o0..o0+4 of the window, inputs i0..i0+4.
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks_i = (inputs + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let i0 = block % blocks_i * 4u;
    let o0 = block / blocks_i * 4u;
    if (o0 >= rows) {
        return;
    }
    let i = neighbours(i0, inputs);
    let o = neighbours(o0, rows) + first_row;
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var n = 0u; n < images; n++) {
        let image = n * inputs;
        let values = vec4f(x[image + i.x], x[image + i.y], x[image + i.z], x[image + i.w]);
        let row = n * outputs;
        sum0 += dy[row + o.x] * values;
        sum1 += dy[row + o.y] * values;
        sum2 += dy[row + o.z] * values;
        sum3 += dy[row + o.w] * values;
    }
    put_dweight(o0, i0, sum0);
    put_dweight(o0 + 1u, i0, sum1);
    put_dweight(o0 + 2u, i0, sum2);
    put_dweight(o0 + 3u, i0, sum3);
}

// dbias[o] = sum_n dy[n, o]; one invocation for one output.
@compute @workgroup_size(WORKGROUP)
fn backward_bias(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let o = invocation_number(group_id, grid, lane);
    if (o >= outputs) {
        return;
    }
    var sum = 0.0;
    for (var n = 0u; n < images; n++) {
        sum += dy[n * outputs + o];
    }
    dbias[o] = select(sum, dbias[o] + sum, accumulate);
}
