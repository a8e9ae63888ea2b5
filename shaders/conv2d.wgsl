// Convolution with groups, stride, zero padding and, where asked for, bias.
//
//   y[n, o, i, j] = bias[o] + sum_{c, k, l} x[n, g C + c, i s + k - p, j s + l - q] weight[o, c, k, l]
//   C = in_channels / groups; g is the group of o, with p and q the padding above and to the left
//
// x, dx       [images, in_channels, in_height, in_width]
// weight      [out_channels, in_channels / groups, kernel_height, kernel_width]
// y, dy       [images, out_channels, out_height, out_width]
// parts       [parts, out_channels, in_channels / groups, kernel_height, kernel_width]
// bias, dbias [out_channels]
// Every value read serves several products: an invocation keeps a block of four channels by eight
// neighbours (eight channels by four taps of the weight gradient) in registers, all of one group. A block
// that sticks out computes on clamped indices and stores nothing.

override images: u32;
override in_channels: u32;
override in_height: u32;
override in_width: u32;
override out_channels: u32;
override groups: u32;
override kernel_height: u32;
override kernel_width: u32;
override stride: u32;
override padding_height: u32;
override padding_width: u32;
override biased: bool;
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
    return (in_height + 2u * padding_height - kernel_height) / stride + 1u;
}

fn out_width() -> u32 {
    return (in_width + 2u * padding_width - kernel_width) / stride + 1u;
}

// Channels of a group, in and out, and elements of a filter.
fn group_inputs() -> u32 {
    return in_channels / groups;
}

fn group_outputs() -> u32 {
    return out_channels / groups;
}

fn filter_length() -> u32 {
    return group_inputs() * kernel_height * kernel_width;
}

// Element `column` of the input row that starts at `row`, 0 in the padding. Columns left of the row
// have wrapped to large numbers.
fn input(row: u32, column: u32) -> f32 {
    if (padding_width == 0u) {
        // Only blocks that stick out reach behind the row, and they store nothing of it.
        return x[min(row + column, images * in_channels * in_height * in_width - 1u)];
    }
    return select(0.0, x[row + min(column, in_width - 1u)], column < in_width);
}

// Four channels from `first` on, the last one repeated behind the end.
fn channels(first: u32, end: u32) -> vec4u {
    return min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(end - 1u));
}

fn put_y(n: u32, o: u32, end: u32, i: u32, j0: u32, low: vec4f, high: vec4f) {
    if (o >= end) {
        return;
    }
    let width = out_width();
    let row = ((n * out_channels + o) * out_height() + i) * width;
    for (var p = 0u; p < min(8u, width - j0); p++) {
        y[row + j0 + p] = select(high[p % 4u], low[p % 4u], p < 4u);
    }
}

// Where the sum of channel `o` starts.
fn start(o: u32) -> vec4f {
    return vec4f(select(0.0, bias[o], biased));
}

// Four inputs of a row, one stride apart.
fn inputs(row: u32, column: u32) -> vec4f {
    return vec4f(
        input(row, column),
        input(row, column + stride),
        input(row, column + 2u * stride),
        input(row, column + 3u * stride),
    );
}

// One invocation: channels o0..o0+4, columns j0..j0+8 of one row.
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let blocks_x = (out_width() + 7u) / 8u;
    let blocks_o = (group_outputs() + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let j0 = block % blocks_x * 8u;
    let i = block / blocks_x % height;
    let group = block / (blocks_x * height * blocks_o) % groups;
    let o0 = group * group_outputs() + block / (blocks_x * height) % blocks_o * 4u;
    let end = (group + 1u) * group_outputs();
    let n = block / (blocks_x * height * blocks_o * groups);
    if (n >= images) {
        return;
    }
    let o = channels(o0, end);
    let filters = o * filter_length();
    var low0 = start(o.x);
    var low1 = start(o.y);
    var low2 = start(o.z);
    var low3 = start(o.w);
    var high0 = low0;
    var high1 = low1;
    var high2 = low2;
    var high3 = low3;
    for (var c = 0u; c < group_inputs(); c++) {
        for (var k = 0u; k < kernel_height; k++) {
            let in_row = i * stride + k - padding_height;
            if (in_row >= in_height) {
                continue;
            }
            let row = ((n * in_channels + group * group_inputs() + c) * in_height + in_row) * in_width;
            let tap = (c * kernel_height + k) * kernel_width;
            var low = vec4f();
            var high = vec4f();
            for (var l = 0u; l < kernel_width; l++) {
                let column = j0 * stride + l - padding_width;
                if (stride == 1u && l > 0u) {
                    // The window moved by one: seven of its values are here already.
                    low = vec4f(low.yzw, high.x);
                    high = vec4f(high.yzw, input(row, column + 7u));
                } else {
                    low = inputs(row, column);
                    high = inputs(row, column + 4u * stride);
                }
                let w = vec4f(
                    weight[filters.x + tap + l],
                    weight[filters.y + tap + l],
                    weight[filters.z + tap + l],
                    weight[filters.w + tap + l],
                );
                low0 += w.x * low;
                low1 += w.y * low;
                low2 += w.z * low;
                low3 += w.w * low;
                high0 += w.x * high;
                high1 += w.y * high;
                high2 += w.z * high;
                high3 += w.w * high;
            }
        }
    }
    put_y(n, o0, end, i, j0, low0, high0);
    put_y(n, o0 + 1u, end, i, j0, low1, high1);
    put_y(n, o0 + 2u, end, i, j0, low2, high2);
    put_y(n, o0 + 3u, end, i, j0, low3, high3);
}

// dy at the output that tap `l` of the kernel carries to `column` of the input: 0 where there is none.
fn gradient(row: u32, column: u32, l: u32) -> f32 {
    let shifted = column + padding_width - l;
    let width = out_width();
    let there = shifted % stride == 0u && shifted / stride < width;
    return select(0.0, dy[row + min(shifted / stride, width - 1u)], there);
}

// dy for four neighbouring inputs.
fn gradients(row: u32, column: u32, l: u32) -> vec4f {
    return vec4f(
        gradient(row, column, l),
        gradient(row, column + 1u, l),
        gradient(row, column + 2u, l),
        gradient(row, column + 3u, l),
    );
}

fn put_dx(n: u32, c: u32, end: u32, i: u32, j0: u32, low: vec4f, high: vec4f) {
    if (c >= end) {
        return;
    }
    let row = ((n * in_channels + c) * in_height + i) * in_width;
    for (var p = 0u; p < min(8u, in_width - j0); p++) {
        let at = row + j0 + p;
        let value = select(high[p % 4u], low[p % 4u], p < 4u);
        dx[at] = select(value, dx[at] + value, accumulate);
    }
}

// dx[n, g C + c, i, j] = sum_{o, k, l} dy[n, o, (i + p - k) / s, (j + q - l) / s] weight[o, c, k, l], o of group g
// One invocation: channels c0..c0+4, columns j0..j0+8 of one row.
@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let blocks_x = (in_width + 7u) / 8u;
    let blocks_c = (group_inputs() + 3u) / 4u;
    let block = invocation_number(group_id, grid, lane);
    let j0 = block % blocks_x * 8u;
    let i = block / blocks_x % in_height;
    let group = block / (blocks_x * in_height * blocks_c) % groups;
    let first = group * group_inputs();
    let c0 = first + block / (blocks_x * in_height) % blocks_c * 4u;
    let end = first + group_inputs();
    let n = block / (blocks_x * in_height * blocks_c * groups);
    if (n >= images) {
        return;
    }
    let area = kernel_height * kernel_width;
    let c = (channels(c0, end) - first) * area;
    var low0 = vec4f();
    var low1 = vec4f();
    var low2 = vec4f();
    var low3 = vec4f();
    var high0 = vec4f();
    var high1 = vec4f();
    var high2 = vec4f();
    var high3 = vec4f();
    for (var o = group * group_outputs(); o < (group + 1u) * group_outputs(); o++) {
        let filters = c + o * filter_length();
        for (var k = 0u; k < kernel_height; k++) {
            let shifted = i + padding_height - k;
            if (shifted % stride != 0u || shifted / stride >= height) {
                continue;
            }
            let row = ((n * out_channels + o) * height + shifted / stride) * out_width();
            var low = vec4f();
            var high = vec4f();
            for (var l = 0u; l < kernel_width; l++) {
                if (l > 0u) {
                    // Whatever the stride, the window moved back by one: seven of its values are here.
                    high = vec4f(low.w, high.xyz);
                    low = vec4f(gradient(row, j0, l), low.xyz);
                } else {
                    low = gradients(row, j0, l);
                    high = gradients(row, j0 + 4u, l);
                }
                let tap = k * kernel_width + l;
                let w = vec4f(
                    weight[filters.x + tap],
                    weight[filters.y + tap],
                    weight[filters.z + tap],
                    weight[filters.w + tap],
                );
                low0 += w.x * low;
                low1 += w.y * low;
                low2 += w.z * low;
                low3 += w.w * low;
                high0 += w.x * high;
                high1 += w.y * high;
                high2 += w.z * high;
                high3 += w.w * high;
            }
        }
    }
    put_dx(n, c0, end, i, j0, low0, high0);
    put_dx(n, c0 + 1u, end, i, j0, low1, high1);
    put_dx(n, c0 + 2u, end, i, j0, low2, high2);
    put_dx(n, c0 + 3u, end, i, j0, low3, high3);
}

fn put_part(part: u32, o: u32, end: u32, q0: u32, values: vec4f) {
    if (o >= end) {
        return;
    }
    let filter_len = filter_length();
    for (var p = 0u; p < min(4u, filter_len - q0); p++) {
        parts[(part * out_channels + o) * filter_len + q0 + p] = values[p];
    }
}

// parts[r, o, c, k, l] = sum_{n in part r, i, j} x[n, g C + c, i s + k - p, j s + l - q] dy[n, o, i, j]
// One invocation: channels o0..o0+8 and four taps q = (c, k, l) of one part. Each image is summed
// on its own first, which keeps the chains of additions short.
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let width = out_width();
    let filter_len = filter_length();
    let blocks_q = (filter_len + 3u) / 4u;
    let blocks_o = (group_outputs() + 7u) / 8u;
    let block = invocation_number(group_id, grid, lane);
    let q0 = block % blocks_q * 4u;
    let group = block / (blocks_q * blocks_o) % groups;
    let o0 = group * group_outputs() + block / blocks_q % blocks_o * 8u;
    let end = (group + 1u) * group_outputs();
    let part = block / (blocks_q * blocks_o * groups);
    let first_image = part * images_per_part;
    if (first_image >= images) {
        return;
    }
    let q = channels(q0, filter_len);
    let c = group * group_inputs() + q / (kernel_height * kernel_width);
    let k = q / kernel_width % kernel_height;
    let l = q % kernel_width;
    let plane = height * width;
    let a = channels(o0, end) * plane;
    let b = channels(o0 + 4u, end) * plane;
    var total0 = vec4f();
    var total1 = vec4f();
    var total2 = vec4f();
    var total3 = vec4f();
    var total4 = vec4f();
    var total5 = vec4f();
    var total6 = vec4f();
    var total7 = vec4f();
    for (var n = first_image; n < min(first_image + images_per_part, images); n++) {
        let planes = (n * in_channels + c) * in_height;
        let image = n * out_channels * plane;
        var sum0 = vec4f();
        var sum1 = vec4f();
        var sum2 = vec4f();
        var sum3 = vec4f();
        var sum4 = vec4f();
        var sum5 = vec4f();
        var sum6 = vec4f();
        var sum7 = vec4f();
        for (var i = 0u; i < height; i++) {
            let in_row = i * stride + k - padding_height;
            let rows = (planes + min(in_row, vec4u(in_height - 1u))) * in_width;
            let row_there = in_row < vec4u(in_height);
            for (var j = 0u; j < width; j++) {
                let column = j * stride + l - padding_width;
                var values: vec4f;
                if (padding_height == 0u && padding_width == 0u) {
                    let at = rows + column;
                    values = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
                } else {
                    let at = rows + min(column, vec4u(in_width - 1u));
                    let there = row_there & (column < vec4u(in_width));
                    values = select(vec4f(), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), there);
                }
                let place = image + i * width + j;
                sum0 += dy[place + a.x] * values;
                sum1 += dy[place + a.y] * values;
                sum2 += dy[place + a.z] * values;
                sum3 += dy[place + a.w] * values;
                sum4 += dy[place + b.x] * values;
                sum5 += dy[place + b.y] * values;
                sum6 += dy[place + b.z] * values;
                sum7 += dy[place + b.w] * values;
            }
        }
        total0 += sum0;
        total1 += sum1;
        total2 += sum2;
        total3 += sum3;
        total4 += sum4;
        total5 += sum5;
        total6 += sum6;
        total7 += sum7;
    }
    put_part(part, o0, end, q0, total0);
    put_part(part, o0 + 1u, end, q0, total1);
    put_part(part, o0 + 2u, end, q0, total2);
    put_part(part, o0 + 3u, end, q0, total3);
    put_part(part, o0 + 4u, end, q0, total4);
    put_part(part, o0 + 5u, end, q0, total5);
    put_part(part, o0 + 6u, end, q0, total6);
    put_part(part, o0 + 7u, end, q0, total7);
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
