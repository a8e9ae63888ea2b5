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
// blocks  dz by eight channels: [images, ceil(out_channels / 8), out_height, out_width, 8]
// filters weight by eight outputs: [ceil(out_channels / 8), in_channels, kernel, s, taps, 8]
//         or turned, by eight inputs: [s, s, ceil(in_channels / 8), out_channels, taps, taps, 8]
// An invocation of the three products keeps eight channels by sixteen neighbours (eight channels by sixteen taps
// of the weight gradient) in registers, sixteen to a matrix: of one row, or of several where rows are short. A
// window slides along the row.
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
// `blocks` by elements.
@group(1) @binding(12) var<storage, read> blocked: array<f32>;
// `spread` by elements.
@group(1) @binding(13) var<storage, read> elements: array<f32>;

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

// Matrix columns that share a row of `width` evenly among its blocks.
fn quads(width: u32) -> u32 {
    let count = (width + 15u) / 16u;
    return ((width + count - 1u) / count + 3u) / 4u;
}

fn blocks_in(width: u32) -> u32 {
    return (width + 4u * quads(width) - 1u) / (4u * quads(width));
}

// Rows of `width` that fit a matrix together.
fn rows_of_block(width: u32) -> u32 {
    return 4u / quads(width);
}

fn x_value(row: u32, column: u32) -> f32 {
    if (column < in_width) {
        return x[row + column];
    }
    return 0.0;
}

// One invocation for one vec4 of `laid_out`, in all four.
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

// The value that follows each column of a window whose rows take `quads` columns: the next column's first, or that
// of `ends` where a row ends.
fn following(window: mat4x4f, ends: vec4f, quads: u32) -> vec4f {
    let inner = vec4f(window[1].x, window[2].x, window[3].x, 0.0);
    return select(inner, ends, (vec4u(1u, 2u, 3u, 4u) % quads) == vec4u(0u));
}

// The window one value on.
fn slid(window: mat4x4f, next: vec4f) -> mat4x4f {
    return mat4x4f(
        vec4f(window[0].yzw, next.x),
        vec4f(window[1].yzw, next.y),
        vec4f(window[2].yzw, next.z),
        vec4f(window[3].yzw, next.w),
    );
}

fn elements_at(at: vec4u) -> vec4f {
    return vec4f(elements[at.x], elements[at.y], elements[at.z], elements[at.w]);
}

// The columns that begin at these elements, multiples of four.
fn columns_at(at: vec4u) -> mat4x4f {
    let start = at / 4u;
    return mat4x4f(spread[start.x], spread[start.y], spread[start.z], spread[start.w]);
}

// Adds `count` taps of a row of the kernel. The first is on the values from element `at` of `spread` on; rows of
// results are `below` elements apart there, and take `quads` columns of the window.
fn add_row(block: Block, at: u32, below: u32, quads: u32, first: u32, count: u32) -> Block {
    var sums = block;
    let column = vec4u(0u, 1u, 2u, 3u);
    let start = at + column / quads * below + column % quads * 4u;
    var window = columns_at(start);
    // No loop within, no branch: a software adapter copies all sums at a loop's ends, and loads in any branch.
    for (var l = 0u; l < count; l++) {
        sums = add(sums, filters[first + 2u * l], filters[first + 2u * l + 1u], window);
        window = slid(window, following(window, elements_at(start + 4u + l), quads));
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

// Rows of channel `o` from row `i` and column `j` on.
fn put_outputs(n: u32, o: u32, i: u32, j: u32, sum: mat4x4f) {
    if (o >= out_channels) {
        return;
    }
    let plane = (n * out_channels + o) * out_height();
    let quads = quads(out_width());
    // What is not stored the compiler does not compute.
    for (var q = 0u; q < rows_of_block(out_width()) * quads; q++) {
        if (i + q / quads < out_height()) {
            put_y((plane + i + q / quads) * out_width(), j + q % quads * 4u, sum[q], bias[o]);
        }
    }
}

// One invocation: eight channels of up to sixteen columns, of one row or several.
@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    let columns = blocks_in(out_width());
    let height = rows_of_block(out_width());
    let rows = (out_height() + height - 1u) / height;
    let quad = number % columns * quads(out_width());
    let i = number / columns % rows * height;
    let eighth = number / (columns * rows) % eighths(out_channels);
    let n = number / (columns * rows * eighths(out_channels));
    if (n >= images) {
        return;
    }
    var block = Block();
    for (var c = 0u; c < in_channels; c++) {
        for (var k = 0u; k < kernel; k++) {
            let row = (n * in_channels + c) * (in_height + 2u * padding) + i * stride + k;
            let filter_row = (eighth * in_channels + c) * kernel + k;
            for (var b = 0u; b < min(stride, kernel); b++) {
                let at = 4u * ((row * stride + b) * pitch() + quad);
                let first = 2u * (filter_row * stride + b) * taps();
                let below = 4u * stride * stride * pitch();
                let count = (kernel - b + stride - 1u) / stride;
                block = add_row(block, at, below, quads(out_width()), first, count);
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

// Rows, and columns, of zeros that the first taps see before the gradient; "-1" where its first one is left out.
fn zeros_before() -> u32 {
    return taps() - 1u - padding / stride;
}

// A value of a row of dz in each of four columns. What lies outside is 0; rows and columns before the first have
// wrapped to large numbers.
fn gradients_at(plane: u32, row: vec4u, column: vec4u) -> vec4f {
    let inside = (row < vec4u(out_height())) & (column < vec4u(out_width()));
    let at = plane + select(vec4u(), row * out_width() + column, inside) * 8u;
    return select(vec4f(), vec4f(blocked[at.x], blocked[at.y], blocked[at.z], blocked[at.w]), inside);
}

fn gradient_column(plane: u32, row: u32, column: u32) -> vec4f {
    return gradients_at(plane, vec4u(row), column + vec4u(0u, 1u, 2u, 3u));
}

// As `add_row`, all taps on dz from `at_row` and `at_column` on.
fn add_gradient_row(block: Block, plane: u32, at_row: u32, at_column: u32, quads: u32, first: u32) -> Block {
    var sums = block;
    let column = vec4u(0u, 1u, 2u, 3u);
    let row = at_row + column / quads;
    let start = at_column + column % quads * 4u;
    var window = mat4x4f(
        gradient_column(plane, row.x, start.x),
        gradient_column(plane, row.y, start.y),
        gradient_column(plane, row.z, start.z),
        gradient_column(plane, row.w, start.w),
    );
    for (var l = 0u; l < taps(); l++) {
        sums = add(sums, filters[first + 2u * l], filters[first + 2u * l + 1u], window);
        window = slid(window, following(window, gradients_at(plane, row, start + 4u + l), quads));
    }
    return sums;
}

fn put_dx(row: u32, j: u32, sums: vec4f) {
    for (var p = 0u; p < 4u; p++) {
        // Columns before the first have wrapped to large numbers.
        if (j + p * stride < in_width) {
            dx[row + j + p * stride] = sums[p];
        }
    }
}

// Rows of channel `c` from row `i` and column `j` on, a stride apart.
fn put_inputs(n: u32, c: u32, i: u32, j: u32, sum: mat4x4f) {
    if (c >= in_channels) {
        return;
    }
    let plane = (n * in_channels + c) * in_height;
    let quads = quads(reach(in_width));
    for (var q = 0u; q < rows_of_block(reach(in_width)) * quads; q++) {
        // Rows before the first have wrapped to large numbers too.
        let row = i + q / quads * stride;
        if (row < in_height) {
            put_dx((plane + row) * in_width, j + q % quads * 4u * stride, sum[q]);
        }
    }
}

// dx[n, c, i, j] = sum_{o, k, l} dz[n, o, (i + p - k) / s, (j + p - l) / s] weight[o, c, k, l]
// Inputs of one phase, a stride apart, see the same taps: among them it is a convolution of stride 1.
// One invocation: eight channels of up to sixteen columns of one phase, of one row or several.
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
    let height = rows_of_block(reach(in_width));
    let rows = (reach(in_height) + height - 1u) / height;
    let quad = number / images % columns * quads(reach(in_width));
    let u = number / (images * columns) % rows * height;
    let eighth = number / (images * columns * rows) % eighths(in_channels);
    let phase = number / (images * columns * rows * eighths(in_channels));
    if (phase >= stride * stride) {
        return;
    }
    // The phase's last rows of taps; those before are behind the kernel's end.
    let first = taps() - (kernel - phase / stride + stride - 1u) / stride;
    // Rows that see nothing but zeros are left out.
    let before = i32(zeros_before()) - i32(u);
    let begin = max(i32(first), before - i32(height - 1u));
    let end = min(i32(taps()), before + i32(out_height()));
    var block = Block();
    for (var o = 0u; o < out_channels; o++) {
        for (var at_row = begin; at_row < end; at_row++) {
            let k = u32(at_row);
            let plane = (n * eighths(out_channels) + o / 8u) * out_height() * out_width() * 8u + o % 8u;
            let filter_row = ((phase * eighths(in_channels) + eighth) * out_channels + o) * taps() + k;
            let row = u + k - zeros_before();
            let column = 4u * quad - zeros_before();
            block = add_gradient_row(block, plane, row, column, quads(reach(in_width)), 2u * filter_row * taps());
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

// Elements of a matrix that hold them: rows of one or two taps share a column.
fn places() -> u32 {
    return select(4u * run(), taps(), taps() <= 2u);
}

fn kernel_rows() -> u32 {
    return in_channels * kernel * min(stride, kernel);
}

// Element of `spread`, for image 0 and the first output, that element `e` of an invocation's matrices begins on: a
// tap of row (c, k, b) of the kernel, the last row repeated behind the end.
fn element_start(first: u32, e: u32) -> u32 {
    let row = min(first + e / places(), kernel_rows() - 1u);
    let phases = min(stride, kernel);
    let c = row / (kernel * phases);
    let k = row / phases % kernel;
    let line = (c * (in_height + 2u * padding) + k) * stride + row % phases;
    return 4u * line * pitch() + e % places();
}

// Those of the elements of column `q`.
fn column_starts(first: u32, q: u32) -> vec4u {
    return vec4u(
        element_start(first, 4u * q),
        element_start(first, 4u * q + 1u),
        element_start(first, 4u * q + 2u),
        element_start(first, 4u * q + 3u),
    );
}

// A column of rows of one or two taps. Of two the first was the second before.
fn short_column(at: vec4u, before: vec4f) -> vec4f {
    if (places() == 2u) {
        return vec4f(before.y, elements[at.y], before.w, elements[at.w]);
    }
    return elements_at(at);
}

// What stands before the first.
fn before_short_column(at: vec4u) -> vec4f {
    return vec4f(0.0, elements[at.x], 0.0, elements[at.z]);
}

fn put_part(part: u32, o: u32, first: u32, q: u32, sums: vec4f) {
    let phases = min(stride, kernel);
    for (var p = 0u; p < 4u; p++) {
        let e = 4u * q + p;
        let row = first + e / places();
        let l = e % places() * stride + row % phases;
        if (o < out_channels && row < kernel_rows() && e / places() < 16u / places() && l < kernel) {
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
// One invocation: eight channels and the taps of 16 / places() rows of the kernel, of one part.
@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = invocation_number(group_id, grid, lane);
    let rows = 16u / places();
    let row_blocks = (kernel_rows() + rows - 1u) / rows;
    let first = number % row_blocks * rows;
    let eighth = number / row_blocks % eighths(out_channels);
    let part = number / (row_blocks * eighths(out_channels));
    let first_image = part * images_per_part;
    if (first_image >= images) {
        return;
    }
    let starts0 = column_starts(first, 0u);
    let starts1 = column_starts(first, 1u);
    let starts2 = column_starts(first, 2u);
    let starts3 = column_starts(first, 3u);
    // Of whole columns.
    let start = vec4u(starts0.x, starts1.x, starts2.x, starts3.x);
    let plane = 4u * (in_height + 2u * padding) * stride * pitch();
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
            let row = n * in_channels * plane + 4u * i * stride * stride * pitch();
            var window: mat4x4f;
            if (places() >= 4u) {
                window = columns_at(row + start);
            } else if (places() == 2u) {
                window = mat4x4f(
                    before_short_column(row + starts0),
                    before_short_column(row + starts1),
                    before_short_column(row + starts2),
                    before_short_column(row + starts3),
                );
            }
            for (var j = 0u; j < out_width(); j++) {
                let at = row + j;
                if (places() < 4u) {
                    window = mat4x4f(
                        short_column(at + starts0, window[0]),
                        short_column(at + starts1, window[1]),
                        short_column(at + starts2, window[2]),
                        short_column(at + starts3, window[3]),
                    );
                }
                let low = blocks[2u * (place + j)];
                let high = blocks[2u * (place + j) + 1u];
                block = add(block, low, high, window);
                low_sum += low;
                high_sum += high;
                if (places() >= 4u) {
                    window = slid(window, following(window, elements_at(at + start + 4u), run()));
                }
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
