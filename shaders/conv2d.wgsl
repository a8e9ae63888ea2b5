// Convolution with bias, stride and zero padding.
//
//   y[n, o, i, j] = bias[o] + sum_{c, k, l} x[n, c, i s + k - p, j s + l - p] weight[o, c, k, l]
//
// x, dx       [images, in_channels, in_height, in_width]
// weight      [out_channels, in_channels, kernel, kernel]
// y, dy       [images, out_channels, out_height, out_width]
// parts       [parts, out_channels, in_channels, kernel, kernel]
// bias, dbias [out_channels]
// Every value read serves several products: an invocation keeps a block of four channels by four
// neighbours in registers. A block that sticks out computes on clamped indices and stores nothing.

override images: u32;
override in_channels: u32;
override in_height: u32;
override in_width: u32;
override out_channels: u32;
override kernel: u32;
override stride: u32;
override padding: u32;
override images_per_part: u32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read> bias: array<f32>;
@group(1) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(4) var<storage, read> dy: array<f32>;
@group(1) @binding(5) var<storage, read_write> dx: array<f32>;
@group(1) @binding(6) var<storage, read_write> parts: array<f32>;
@group(1) @binding(7) var<storage, read_write> dbias: array<f32>;

fn out_height() -> u32 {
    return (in_height + 2u * padding - kernel) / stride + 1u;
}

fn out_width() -> u32 {
    return (in_width + 2u * padding - kernel) / stride + 1u;
}

// Element `column` of the input row that starts at `row`, 0 in the padding. Columns left of the row
// have wrapped to large numbers.
fn input(row: u32, column: u32) -> f32 {
    return select(0.0, x[row + min(column, in_width - 1u)], column < in_width);
}

fn put_y(n: u32, o: u32, i: u32, j0: u32, values: vec4f) {
    if (o >= out_channels) {
        return;
    }
    let width = out_width();
    let row = ((n * out_channels + o) * out_height() + i) * width;
    for (var p = 0u; p < min(4u, width - j0); p++) {
        y[row + j0 + p] = values[p];
    }
}

// One invocation: channels o0..o0+4, columns j0..j0+4 of one row.
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let blocks_x = (out_width() + 3u) / 4u;
    let blocks_o = (out_channels + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let j0 = block % blocks_x * 4u;
    let i = block / blocks_x % height;
    let o0 = block / (blocks_x * height) % blocks_o * 4u;
    let n = block / (blocks_x * height * blocks_o);
    if (n >= images) {
        return;
    }
    let o = min(vec4u(o0, o0 + 1u, o0 + 2u, o0 + 3u), vec4u(out_channels - 1u));
    let filters = o * (in_channels * kernel * kernel);
    var sum0 = vec4f(bias[o.x]);
    var sum1 = vec4f(bias[o.y]);
    var sum2 = vec4f(bias[o.z]);
    var sum3 = vec4f(bias[o.w]);
    for (var c = 0u; c < in_channels; c++) {
        for (var k = 0u; k < kernel; k++) {
            let in_row = i * stride + k - padding;
            if (in_row >= in_height) {
                continue;
            }
            let row = ((n * in_channels + c) * in_height + in_row) * in_width;
            let tap = (c * kernel + k) * kernel;
            var values = vec4f();
            for (var l = 0u; l < kernel; l++) {
                let column = j0 * stride + l - padding;
                if (stride == 1u && l > 0u) {
                    // The window moved by one: three of its values are here already.
                    values = vec4f(values.yzw, input(row, column + 3u));
                } else {
                    values = vec4f(
                        input(row, column),
                        input(row, column + stride),
                        input(row, column + 2u * stride),
                        input(row, column + 3u * stride),
                    );
                }
                sum0 += weight[filters.x + tap + l] * values;
                sum1 += weight[filters.y + tap + l] * values;
                sum2 += weight[filters.z + tap + l] * values;
                sum3 += weight[filters.w + tap + l] * values;
            }
        }
    }
    put_y(n, o0, i, j0, sum0);
    put_y(n, o0 + 1u, i, j0, sum1);
    put_y(n, o0 + 2u, i, j0, sum2);
    put_y(n, o0 + 3u, i, j0, sum3);
}

// dy at the output that tap `l` of the kernel carries to `column` of the input: 0 where there is none.
fn gradient(row: u32, column: u32, l: u32) -> f32 {
    let shifted = column + padding - l;
    let width = out_width();
    let there = shifted % stride == 0u && shifted / stride < width;
    return select(0.0, dy[row + min(shifted / stride, width - 1u)], there);
}

fn put_dx(n: u32, c: u32, i: u32, j0: u32, values: vec4f) {
    if (c >= in_channels) {
        return;
    }
    let row = ((n * in_channels + c) * in_height + i) * in_width;
    for (var p = 0u; p < min(4u, in_width - j0); p++) {
        let at = row + j0 + p;
        dx[at] = select(values[p], dx[at] + values[p], accumulate);
    }
}

// dx[n, c, i, j] = sum_{o, k, l} dy[n, o, (i + p - k) / s, (j + p - l) / s] weight[o, c, k, l]
// One invocation: channels c0..c0+4, columns j0..j0+4 of one row.
@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let blocks_x = (in_width + 3u) / 4u;
    let blocks_c = (in_channels + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let j0 = block % blocks_x * 4u;
    let i = block / blocks_x % in_height;
    let c0 = block / (blocks_x * in_height) % blocks_c * 4u;
    let n = block / (blocks_x * in_height * blocks_c);
    if (n >= images) {
        return;
    }
    let area = kernel * kernel;
    let c = min(vec4u(c0, c0 + 1u, c0 + 2u, c0 + 3u), vec4u(in_channels - 1u)) * area;
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var o = 0u; o < out_channels; o++) {
        let filters = c + o * in_channels * area;
        for (var k = 0u; k < kernel; k++) {
            let shifted = i + padding - k;
            if (shifted % stride != 0u || shifted / stride >= height) {
                continue;
            }
            let row = ((n * out_channels + o) * height + shifted / stride) * out_width();
            var values = vec4f();
            for (var l = 0u; l < kernel; l++) {
                if (stride == 1u && l > 0u) {
                    // The window moved back by one: three of its values are here already.
                    values = vec4f(gradient(row, j0, l), values.xyz);
                } else {
                    values = vec4f(
                        gradient(row, j0, l),
                        gradient(row, j0 + 1u, l),
                        gradient(row, j0 + 2u, l),
                        gradient(row, j0 + 3u, l),
                    );
                }
                let tap = k * kernel + l;
                sum0 += weight[filters.x + tap] * values;
                sum1 += weight[filters.y + tap] * values;
                sum2 += weight[filters.z + tap] * values;
                sum3 += weight[filters.w + tap] * values;
            }
        }
    }
    put_dx(n, c0, i, j0, sum0);
    put_dx(n, c0 + 1u, i, j0, sum1);
    put_dx(n, c0 + 2u, i, j0, sum2);
    put_dx(n, c0 + 3u, i, j0, sum3);
}

fn put_part(part: u32, o: u32, q0: u32, values: vec4f) {
    if (o >= out_channels) {
        return;
    }
    let filter_len = in_channels * kernel * kernel;
    for (var p = 0u; p < min(4u, filter_len - q0); p++) {
        parts[(part * out_channels + o) * filter_len + q0 + p] = values[p];
    }
}

// parts[g, o, c, k, l] = sum_{n in part g, i, j} x[n, c, i s + k - p, j s + l - p] dy[n, o, i, j]
// One invocation: channels o0..o0+4 and four taps q = (c, k, l) of one part. Each image is summed
// on its own first, which keeps the chains of additions short.
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let width = out_width();
    let filter_len = in_channels * kernel * kernel;
    let blocks_q = (filter_len + 3u) / 4u;
    let blocks_o = (out_channels + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let q0 = block % blocks_q * 4u;
    let o0 = block / blocks_q % blocks_o * 4u;
    let part = block / (blocks_q * blocks_o);
    let first_image = part * images_per_part;
    if (first_image >= images) {
        return;
    }
    let q = min(vec4u(q0, q0 + 1u, q0 + 2u, q0 + 3u), vec4u(filter_len - 1u));
    let c = q / (kernel * kernel);
    let k = q / kernel % kernel;
    let l = q % kernel;
    let o = min(vec4u(o0, o0 + 1u, o0 + 2u, o0 + 3u), vec4u(out_channels - 1u)) * (height * width);
    var total0 = vec4f();
    var total1 = vec4f();
    var total2 = vec4f();
    var total3 = vec4f();
    for (var n = first_image; n < min(first_image + images_per_part, images); n++) {
        let planes = (n * in_channels + c) * in_height;
        let outputs = o + n * out_channels * height * width;
        var sum0 = vec4f();
        var sum1 = vec4f();
        var sum2 = vec4f();
        var sum3 = vec4f();
        for (var i = 0u; i < height; i++) {
            let in_row = i * stride + k - padding;
            let rows = (planes + min(in_row, vec4u(in_height - 1u))) * in_width;
            let row_there = in_row < vec4u(in_height);
            for (var j = 0u; j < width; j++) {
                let column = j * stride + l - padding;
                let at = rows + min(column, vec4u(in_width - 1u));
                let there = row_there & (column < vec4u(in_width));
                let values = select(vec4f(), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), there);
                let place = i * width + j;
                sum0 += dy[outputs.x + place] * values;
                sum1 += dy[outputs.y + place] * values;
                sum2 += dy[outputs.z + place] * values;
                sum3 += dy[outputs.w + place] * values;
            }
        }
        total0 += sum0;
        total1 += sum1;
        total2 += sum2;
        total3 += sum3;
    }
    put_part(part, o0, q0, total0);
    put_part(part, o0 + 1u, q0, total1);
    put_part(part, o0 + 2u, q0, total2);
    put_part(part, o0 + 3u, q0, total3);
}

// dbias[o] = sum_{n, i, j} dy[n, o, i, j]; a workgroup for each channel, its lanes over the places.
@compute @workgroup_size(WORKGROUP)
fn backward_bias(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let places = out_height() * out_width();
    let o = workgroup_number(group_id, grid);
    var total = 0.0;
    if (o < out_channels) {
        for (var n = 0u; n < images; n++) {
            var sum = 0.0;
            for (var place = lane; place < places; place += WORKGROUP) {
                sum += dy[(n * out_channels + o) * places + place];
            }
            total += sum;
        }
    }
    total = workgroup_sum(lane, total);
    if (lane == 0u && o < out_channels) {
        dbias[o] = select(total, dbias[o] + total, accumulate);
    }
}
