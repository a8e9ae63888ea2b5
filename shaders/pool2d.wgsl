// Maximum and average pooling. Padding is no candidate for the maximum and counts as 0 in the average.
//
//   max:     y[n, c, i, j] = max_{k, l} x[n, c, i s + k - p, j s + l - p], the first of equal values wins
//   average: y[n, c, i, j] = mean_{k, l} x[n, c, i s + k - p, j s + l - p]
//
// x, dx [images * channels, in_height, in_width]
// y, dy [images * channels, out_height, out_width]
// One invocation for one element of the result.

override images: u32;
override channels: u32;
override in_height: u32;
override in_width: u32;
override size: u32;
override stride: u32;
override padding: u32;
override kind: u32;
override accumulate: bool;

const MAX: u32 = 0u;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> dy: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

// First row, or column, of window `i` that is no padding, and the one behind its last.
fn window(i: u32, length: u32) -> vec2u {
    let start = i * stride;
    return vec2u(max(start, padding) - padding, min(start + size - padding, length));
}

struct Maximum {
    place: u32,
    value: f32,
}

// The maximum of window (i, j). NaN counts as largest, so that it shows.
fn first_maximum(plane: u32, i: u32, j: u32) -> Maximum {
    let rows = window(i, in_height);
    let columns = window(j, in_width);
    let first = (plane * in_height + rows.x) * in_width + columns.x;
    var best = Maximum(first, x[first]);
    for (var row = rows.x; row < rows.y; row++) {
        for (var column = columns.x; column < columns.y; column++) {
            let at = (plane * in_height + row) * in_width + column;
            let value = x[at];
            if (value > best.value || (is_nan(value) && !is_nan(best.value))) {
                best = Maximum(at, value);
            }
        }
    }
    return best;
}

fn out_height() -> u32 {
    return (in_height + 2u * padding - size) / stride + 1u;
}

fn out_width() -> u32 {
    return (in_width + 2u * padding - size) / stride + 1u;
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let width = out_width();
    let at = invocation_number(group_id, grid, lane);
    let plane = at / (height * width);
    if (plane >= images * channels) {
        return;
    }
    let i = at / width % height;
    let j = at % width;
    if (kind == MAX) {
        y[at] = first_maximum(plane, i, j).value;
        return;
    }
    let rows = window(i, in_height);
    let columns = window(j, in_width);
    var sum = 0.0;
    for (var row = rows.x; row < rows.y; row++) {
        for (var column = columns.x; column < columns.y; column++) {
            sum += x[(plane * in_height + row) * in_width + column];
        }
    }
    y[at] = sum / f32(size * size);
}

// Each input adds up the windows that cover it: all of them for the average, those it won for the maximum.
@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = out_height();
    let width = out_width();
    let at = invocation_number(group_id, grid, lane);
    let plane = at / (in_height * in_width);
    if (plane >= images * channels) {
        return;
    }
    // Counted with the padding.
    let row = at / in_width % in_height + padding;
    let column = at % in_width + padding;
    // The first window that reaches down, or right, to this input.
    let i0 = select((row + stride - size) / stride, 0u, row < size);
    let j0 = select((column + stride - size) / stride, 0u, column < size);
    var sum = 0.0;
    for (var i = i0; i <= min(row / stride, height - 1u); i++) {
        for (var j = j0; j <= min(column / stride, width - 1u); j++) {
            let gradient = dy[(plane * height + i) * width + j];
            if (kind == MAX) {
                sum += select(0.0, gradient, first_maximum(plane, i, j).place == at);
            } else {
                sum += gradient / f32(size * size);
            }
        }
    }
    dx[at] = select(sum, dx[at] + sum, accumulate);
}
