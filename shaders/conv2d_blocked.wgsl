// Convolution with bias and activation in large register blocks, for adapters where a load is dear, as on
// a processor that stands in for a GPU: every operand is first laid out so that it is read as vec4.
//
//   z[n, o, i, j] = bias[o] + sum_{c, k, l} x[n, c, i s + k - p, j s + l - p] weight[o, c, k, l]
//   y = f(z) where `activated`, else z
//
// x, dx   [images, in_channels, in_height, in_width]
// weight  [out_channels, in_channels, kernel, kernel], bias [out_channels]
// y, dz   [images, out_channels, out_height, out_width]
// parts   [parts, out_channels, in_channels, kernel, kernel], bias_parts [parts, out_channels]
// Laid out (lengths in `reach` and below; what lies outside the tensor is 0):
// spread  x in its padding, columns l s + b behind each other: [images, in_channels, in_height + 2 p, s, pitch]
//         or dz with room for the taps: [images, out_channels, gradient_rows, gradient_pitch]
// blocks  dz by eight channels: [images, ceil(out_channels / 8), out_height, out_width, 8]
// filters weight by eight outputs: [ceil(out_channels / 8), in_channels, kernel, s, taps, 8]
//         or turned, by eight inputs: [s, s, ceil(in_channels / 8), out_channels, taps, taps, 8]
// An invocation of the three products keeps eight channels by sixteen neighbours of a row (eight channels by
// sixteen taps of the weight gradient) in registers, sixteen to a matrix, and slides a window along the row.
// A block that sticks out computes on what lies there and stores nothing.

override images: u32;
override in_channels: u32;
override in_height: u32;
override in_width: u32;
override out_channels: u32;
override kernel: u32;
override stride: u32;
override padding: u32;
override images_per_part: u32;
override activated: bool;
override activation: u32;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read> dz: array<f32>;
@group(1) @binding(3) var<storage, read_write> laid_out: array<vec4f>;
@group(1) @binding(4) var<storage, read> spread: array<vec4f>;
@group(1) @binding(5) var<storage, read> blocks: array<vec4f>;
@group(1) @binding(6) var<storage, read> filters: array<vec4f>;
@group(1) @binding(7) var<storage, read> bias: array<f32>;
@group(1) @binding(8) var<storage, read_write> y: array<f32>;
@group(1) @binding(9) var<storage, read_write> dx: array<f32>;
@group(1) @binding(10) var<storage, read_write> parts: array<f32>;
@group(1) @binding(11) var<storage, read_write> bias_parts: array<f32>;

fn out_height() -> u32 {
    return (in_height + 2u * padding - kernel) / stride + 1u;
}

fn out_width() -> u32 {
    return (in_width + 2u * padding - kernel) / stride + 1u;
}

// Taps of the kernel that are a stride apart.
fn taps() -> u32 {
    return (kernel + stride - 1u) / stride;
}

fn eighths(channels: u32) -> u32 {
    return (channels + 7u) / 8u;
}

// vec4s of a row of x, for one of the strides' phases.
fn pitch() -> u32 {
    return ((in_width + 2u * padding + stride - 1u) / stride + 3u) / 4u;
}

// Outputs that see the inputs of one phase, along a side of `length` inputs.
fn reach(length: u32) -> u32 {
    return (length - 1u + padding) / stride - padding / stride + 1u;
}

fn gradient_rows() -> u32 {
    return reach(in_height) + taps() - 1u;
}

// vec4s of a row of dz.
fn gradient_pitch() -> u32 {
    return (reach(in_width) + taps() + 2u) / 4u;
}

// Matrix columns that share a row of `width` evenly among its blocks.
fn quads(width: u32) -> u32 {
    let count = (width + 15u) / 16u;
    return ((width + count - 1u) / count + 3u) / 4u;
}

fn blocks_in(width: u32) -> u32 {
    return (width + 4u * quads(width) - 1u) / (4u * quads(width));
}

fn x_value(row: u32, column: u32) -> f32 {
    if (column < in_width) {
        return x[row + column];
    }
    return 0.0;
}

// One invocation for one vec4 of `laid_out`, in all five.
// Rows and columns before the first have wrapped to large numbers.
@compute @workgroup_size(WORKGROUP)
fn spread_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let line = at / (pitch() * stride);
    let row = line % (in_height + 2u * padding) - padding;
    let plane = line / (in_height + 2u * padding);
    if (plane >= images * in_channels) {
        return;
    }
    var values = vec4f();
    if (row < in_height) {
        let start = (plane * in_height + row) * in_width;
        let column = at % pitch() * 4u * stride + at / pitch() % stride - padding;
        values = vec4f(
            x_value(start, column),
            x_value(start, column + stride),
            x_value(start, column + 2u * stride),
            x_value(start, column + 3u * stride),
        );
    }
    laid_out[at] = values;
}

// Rows, and columns, of zeros before the gradient; "-1" where its first one is left out.
fn zeros_before() -> u32 {
    return taps() - 1u - padding / stride;
}

fn row_value(row: u32, column: u32) -> f32 {
    if (column < out_width()) {
        return dz[row + column];
    }
    return 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn spread_gradient(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let line = at / gradient_pitch();
    let row = line % gradient_rows() - zeros_before();
    let plane = line / gradient_rows();
    if (plane >= images * out_channels) {
        return;
    }
    var values = vec4f();
    if (row < out_height()) {
        let start = (plane * out_height() + row) * out_width();
        let column = at % gradient_pitch() * 4u - zeros_before();
        values = vec4f(
            row_value(start, column),
            row_value(start, column + 1u),
            row_value(start, column + 2u),
            row_value(start, column + 3u),
        );
    }
    laid_out[at] = values;
}

fn place_value(n: u32, o: u32, place: u32) -> f32 {
    if (o < out_channels) {
        return dz[(n * out_channels + o) * out_height() * out_width() + place];
    }
    return 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn block_gradient(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let places = out_height() * out_width();
    let place = at / 2u % places;
    let o = at / (2u * places) % eighths(out_channels) * 8u + at % 2u * 4u;
    let n = at / (2u * places * eighths(out_channels));
    if (n >= images) {
        return;
    }
    laid_out[at] = vec4f(
        place_value(n, o, place),
        place_value(n, o + 1u, place),
        place_value(n, o + 2u, place),
        place_value(n, o + 3u, place),
    );
}

fn weight_value(o: u32, c: u32, k: u32, l: u32) -> f32 {
    if (o < out_channels && c < in_channels && k < kernel && l < kernel) {
        return weight[((o * in_channels + c) * kernel + k) * kernel + l];
    }
    return 0.0;
}

@compute @workgroup_size(WORKGROUP)
fn pack(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let tap = at / 2u;
    let row = tap / (taps() * stride);
    let o = row / (in_channels * kernel) * 8u + at % 2u * 4u;
    if (o >= eighths(out_channels) * 8u) {
        return;
    }
    let c = row / kernel % in_channels;
    let k = row % kernel;
    let l = tap % taps() * stride + tap / taps() % stride;
    laid_out[at] = vec4f(
        weight_value(o, c, k, l),
        weight_value(o + 1u, c, k, l),
        weight_value(o + 2u, c, k, l),
        weight_value(o + 3u, c, k, l),
    );
}

@compute @workgroup_size(WORKGROUP)
fn pack_turned(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let tap = at / 2u;
    let connection = tap / (taps() * taps());
    let o = connection % out_channels;
    let c = connection / out_channels % eighths(in_channels) * 8u + at % 2u * 4u;
    let phase = connection / (out_channels * eighths(in_channels));
    if (phase >= stride * stride) {
        return;
    }
    let k = phase / stride + (taps() - 1u - tap / taps() % taps()) * stride;
    let l = phase % stride + (taps() - 1u - tap % taps()) * stride;
    laid_out[at] = vec4f(
        weight_value(o, c, k, l),
        weight_value(o, c + 1u, k, l),
        weight_value(o, c + 2u, k, l),
        weight_value(o, c + 3u, k, l),
    );
}

// Eight channels of sixteen sums.
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

fn sum_of(a: Block, b: Block) -> Block {
    return Block(
        a.sum0 + b.sum0,
        a.sum1 + b.sum1,
        a.sum2 + b.sum2,
        a.sum3 + b.sum3,
        a.sum4 + b.sum4,
        a.sum5 + b.sum5,
        a.sum6 + b.sum6,
        a.sum7 + b.sum7,
    );
}

// Adds `count` taps of a row, the first on the sixteen values from vec4 `at` of `spread` on.
fn add_row(block: Block, at: u32, first: u32, count: u32) -> Block {
    var sums = block;
    var window = mat4x4f(spread[at], spread[at + 1u], spread[at + 2u], spread[at + 3u]);
    var ahead = vec4f();
    for (var l = 0u; l < count; l++) {
        if (l > 0u) {
            if (l % 4u == 1u) {
                ahead = spread[at + 4u + l / 4u];
            }
            window = mat4x4f(
                vec4f(window[0].yzw, window[1].x),
                vec4f(window[1].yzw, window[2].x),
                vec4f(window[2].yzw, window[3].x),
                vec4f(window[3].yzw, ahead.x),
            );
            ahead = ahead.yzwx;
        }
        sums = add(sums, filters[first + 2u * l], filters[first + 2u * l + 1u], window);
    }
    return sums;
}

fn activate(z: f32) -> f32 {
    if (activated) {
        return activation_of(activation, z);
    }
    return z;
}

fn put_y(row: u32, j: u32, sums: vec4f, start: f32) {
    for (var p = 0u; p < 4u; p++) {
        if (j + p < out_width()) {
            y[row + j + p] = activate(sums[p] + start);
        }
    }
}

// A row of channel `o` from column `j` on.
fn put_outputs(n: u32, o: u32, i: u32, j: u32, sum: mat4x4f) {
    if (o >= out_channels) {
        return;
    }
    let row = ((n * out_channels + o) * out_height() + i) * out_width();
    put_y(row, j, sum[0], bias[o]);
    // What is not stored the compiler does not compute.
    if (quads(out_width()) > 1u) {
        put_y(row, j + 4u, sum[1], bias[o]);
    }
    if (quads(out_width()) > 2u) {
        put_y(row, j + 8u, sum[2], bias[o]);
    }
    if (quads(out_width()) > 3u) {
        put_y(row, j + 12u, sum[3], bias[o]);
    }
}

// One invocation: eight channels of up to sixteen columns of one row.
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    let columns = blocks_in(out_width());
    let quad = number % columns * quads(out_width());
    let i = number / columns % out_height();
    let eighth = number / (columns * out_height()) % eighths(out_channels);
    let n = number / (columns * out_height() * eighths(out_channels));
    if (n >= images) {
        return;
    }
    var block = Block();
    for (var c = 0u; c < in_channels; c++) {
        for (var k = 0u; k < kernel; k++) {
            let row = (n * in_channels + c) * (in_height + 2u * padding) + i * stride + k;
            let filter_row = (eighth * in_channels + c) * kernel + k;
            for (var b = 0u; b < min(stride, kernel); b++) {
                let at = (row * stride + b) * pitch() + quad;
                let first = 2u * (filter_row * stride + b) * taps();
                block = add_row(block, at, first, (kernel - b + stride - 1u) / stride);
            }
        }
    }
    let o = 8u * eighth;
    put_outputs(n, o, i, 4u * quad, block.sum0);
    put_outputs(n, o + 1u, i, 4u * quad, block.sum1);
    put_outputs(n, o + 2u, i, 4u * quad, block.sum2);
    put_outputs(n, o + 3u, i, 4u * quad, block.sum3);
    put_outputs(n, o + 4u, i, 4u * quad, block.sum4);
    put_outputs(n, o + 5u, i, 4u * quad, block.sum5);
    put_outputs(n, o + 6u, i, 4u * quad, block.sum6);
    put_outputs(n, o + 7u, i, 4u * quad, block.sum7);
}

fn put_dx(row: u32, j: u32, sums: vec4f) {
    for (var p = 0u; p < 4u; p++) {
        // Columns before the first have wrapped to large numbers.
        if (j + p * stride < in_width) {
            dx[row + j + p * stride] = sums[p];
        }
    }
}

// A row of channel `c` from column `j` on, a stride apart.
fn put_inputs(n: u32, c: u32, i: u32, j: u32, sum: mat4x4f) {
    if (c >= in_channels || i >= in_height) {
        return;
    }
    let row = ((n * in_channels + c) * in_height + i) * in_width;
    put_dx(row, j, sum[0]);
    if (quads(reach(in_width)) > 1u) {
        put_dx(row, j + 4u * stride, sum[1]);
    }
    if (quads(reach(in_width)) > 2u) {
        put_dx(row, j + 8u * stride, sum[2]);
    }
    if (quads(reach(in_width)) > 3u) {
        put_dx(row, j + 12u * stride, sum[3]);
    }
}

// dx[n, c, i, j] = sum_{o, k, l} dz[n, o, (i + p - k) / s, (j + p - l) / s] weight[o, c, k, l]
// Inputs of one phase, a stride apart, see the same taps: among them it is a convolution of stride 1.
// One invocation: eight channels of up to sixteen columns of one row and phase.
@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    // Images next to each other leave out the same rows.
    let n = number % images;
    let columns = blocks_in(reach(in_width));
    let rows = reach(in_height);
    let quad = number / images % columns * quads(reach(in_width));
    let u = number / (images * columns) % rows;
    let eighth = number / (images * columns * rows) % eighths(in_channels);
    let phase = number / (images * columns * rows * eighths(in_channels));
    if (phase >= stride * stride) {
        return;
    }
    // The phase's last rows of taps; those before are behind the kernel's end.
    let first = taps() - (kernel - phase / stride + stride - 1u) / stride;
    var block = Block();
    for (var o = 0u; o < out_channels; o++) {
        for (var k = first; k < taps(); k++) {
            if (u + k - zeros_before() >= out_height()) {
                continue;
            }
            let row = (n * out_channels + o) * gradient_rows() + u + k;
            let filter_row = ((phase * eighths(in_channels) + eighth) * out_channels + o) * taps() + k;
            block = add_row(block, row * gradient_pitch() + quad, 2u * filter_row * taps(), taps());
        }
    }
    let c = 8u * eighth;
    let i = u * stride + phase / stride - padding % stride;
    let j = 4u * quad * stride + phase % stride - padding % stride;
    put_inputs(n, c, i, j, block.sum0);
    put_inputs(n, c + 1u, i, j, block.sum1);
    put_inputs(n, c + 2u, i, j, block.sum2);
    put_inputs(n, c + 3u, i, j, block.sum3);
    put_inputs(n, c + 4u, i, j, block.sum4);
    put_inputs(n, c + 5u, i, j, block.sum5);
    put_inputs(n, c + 6u, i, j, block.sum6);
    put_inputs(n, c + 7u, i, j, block.sum7);
}

// Matrix columns that hold the taps of one row of the kernel.
fn run() -> u32 {
    return (taps() + 3u) / 4u;
}

// Row (c, k, b) of the kernel that column `q` of an invocation's matrices works on, the last one repeated
// behind the end.
fn kernel_row(first: u32, q: u32) -> u32 {
    return min(first + q / run(), in_channels * kernel * min(stride, kernel) - 1u);
}

// vec4 of `spread` at which the taps of column `q` begin, for image 0 and the first row of outputs.
fn column_start(first: u32, q: u32) -> u32 {
    let row = kernel_row(first, q);
    let phases = min(stride, kernel);
    let c = row / (kernel * phases);
    let k = row / phases % kernel;
    return ((c * (in_height + 2u * padding) + k) * stride + row % phases) * pitch() + q % run();
}

// The value that follows column `q` of the window: the next column's first, or one from ahead.
fn following(window: mat4x4f, ahead: mat4x4f) -> vec4f {
    let inner = vec4f(window[1].x, window[2].x, window[3].x, 0.0);
    let outer = vec4f(ahead[0].x, ahead[1].x, ahead[2].x, ahead[3].x);
    return select(inner, outer, (vec4u(1u, 2u, 3u, 4u) % run()) == vec4u(0u));
}

fn put_part(part: u32, o: u32, first: u32, q: u32, sums: vec4f) {
    let row = first + q / run();
    let phases = min(stride, kernel);
    if (o >= out_channels || row >= in_channels * kernel * phases || q / run() >= 4u / run()) {
        return;
    }
    for (var p = 0u; p < 4u; p++) {
        let l = (4u * (q % run()) + p) * stride + row % phases;
        if (l < kernel) {
            parts[((part * out_channels + o) * in_channels * kernel + row / phases) * kernel + l] = sums[p];
        }
    }
}

fn put_taps(part: u32, o: u32, first: u32, sum: mat4x4f) {
    put_part(part, o, first, 0u, sum[0]);
    put_part(part, o, first, 1u, sum[1]);
    put_part(part, o, first, 2u, sum[2]);
    put_part(part, o, first, 3u, sum[3]);
}

fn put_bias_part(part: u32, o: u32, sums: vec4f) {
    for (var p = 0u; p < min(4u, out_channels - min(o, out_channels)); p++) {
        bias_parts[part * out_channels + o + p] = sums[p];
    }
}

// parts[g, o, c, k, l] = sum_{n in part g, i, j} x[n, c, i s + k - p, j s + l - p] dz[n, o, i, j]
// bias_parts[g, o] = sum_{n in part g, i, j} dz[n, o, i, j]
// One invocation: eight channels and the taps of 4 / run() rows of the kernel, of one part.
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    let rows = 4u / run();
    let row_blocks = (in_channels * kernel * min(stride, kernel) + rows - 1u) / rows;
    let first = number % row_blocks * rows;
    let eighth = number / row_blocks % eighths(out_channels);
    let part = number / (row_blocks * eighths(out_channels));
    let first_image = part * images_per_part;
    if (first_image >= images) {
        return;
    }
    let start0 = column_start(first, 0u);
    let start1 = column_start(first, 1u);
    let start2 = column_start(first, 2u);
    let start3 = column_start(first, 3u);
    let plane = (in_height + 2u * padding) * stride * pitch();
    var total = Block();
    var low_total = vec4f();
    var high_total = vec4f();
    for (var n = first_image; n < min(first_image + images_per_part, images); n++) {
        // Each image is summed on its own first, which keeps the chains of additions short.
        var block = Block();
        var low_sum = vec4f();
        var high_sum = vec4f();
        for (var i = 0u; i < out_height(); i++) {
            let place = ((n * eighths(out_channels) + eighth) * out_height() + i) * out_width();
            let row = n * in_channels * plane + i * stride * stride * pitch();
            var window = mat4x4f(
                spread[row + start0],
                spread[row + start1],
                spread[row + start2],
                spread[row + start3],
            );
            var ahead = mat4x4f();
            for (var j = 0u; j < out_width(); j++) {
                if (j % 4u == 0u) {
                    let next = row + j / 4u + 1u;
                    ahead = mat4x4f(
                        spread[next + start0],
                        spread[next + start1],
                        spread[next + start2],
                        spread[next + start3],
                    );
                }
                let low = blocks[2u * (place + j)];
                let high = blocks[2u * (place + j) + 1u];
                block = add(block, low, high, window);
                low_sum += low;
                high_sum += high;
                let next = following(window, ahead);
                window = mat4x4f(
                    vec4f(window[0].yzw, next.x),
                    vec4f(window[1].yzw, next.y),
                    vec4f(window[2].yzw, next.z),
                    vec4f(window[3].yzw, next.w),
                );
                ahead = mat4x4f(ahead[0].yzwx, ahead[1].yzwx, ahead[2].yzwx, ahead[3].yzwx);
            }
        }
        total = sum_of(total, block);
        low_total += low_sum;
        high_total += high_sum;
    }
    let o = 8u * eighth;
    if (first == 0u) {
        put_bias_part(part, o, low_total);
        put_bias_part(part, o + 4u, high_total);
    }
    put_taps(part, o, first, total.sum0);
    put_taps(part, o + 1u, first, total.sum1);
    put_taps(part, o + 2u, first, total.sum2);
    put_taps(part, o + 3u, first, total.sum3);
    put_taps(part, o + 4u, first, total.sum4);
    put_taps(part, o + 5u, first, total.sum5);
    put_taps(part, o + 6u, first, total.sum6);
    put_taps(part, o + 7u, first, total.sum7);
}
