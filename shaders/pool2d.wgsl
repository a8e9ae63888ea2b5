// Maximum and average pooling without padding.
//
//   max:     y[n, c, i, j] = max_{k, l} x[n, c, i s + k, j s + l], the first of equal values wins
//   average: y[n, c, i, j] = mean_{k, l} x[n, c, i s + k, j s + l]
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
override kind: u32;
override accumulate: bool;

const MAX: u32 = 0u;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> dy: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

struct Maximum {
    place: u32,
    value: f32,
}

// The maximum of the window whose first element is `corner`. NaN counts as largest, so that it shows.
fn first_maximum(corner: u32) -> Maximum {
    var best = Maximum(corner, x[corner]);
    for (var k = 0u; k < size; k++) {
        for (var l = 0u; l < size; l++) {
            let at = corner + k * in_width + l;
            let value = x[at];
            if (value > best.value || (is_nan(value) && !is_nan(best.value))) {
                best = Maximum(at, value);
            }
        }
    }
    return best;
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = (in_height - size) / stride + 1u;
    let width = (in_width - size) / stride + 1u;
    let at = invocation_number(group_id, grid, lane);
    let plane = at / (height * width);
    if (plane >= images * channels) {
        return;
    }
    let i = at / width % height;
    let j = at % width;
    let corner = (plane * in_height + i * stride) * in_width + j * stride;
    if (kind == MAX) {
        y[at] = first_maximum(corner).value;
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < size; k++) {
        for (var l = 0u; l < size; l++) {
            sum += x[corner + k * in_width + l];
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
    let height = (in_height - size) / stride + 1u;
    let width = (in_width - size) / stride + 1u;
    let at = invocation_number(group_id, grid, lane);
    let plane = at / (in_height * in_width);
    if (plane >= images * channels) {
        return;
    }
    let row = at / in_width % in_height;
    let column = at % in_width;
    // The first window that reaches down, or right, to this input.
    let i0 = select((row + stride - size) / stride, 0u, row < size);
    let j0 = select((column + stride - size) / stride, 0u, column < size);
    var sum = 0.0;
    for (var i = i0; i <= min(row / stride, height - 1u); i++) {
        for (var j = j0; j <= min(column / stride, width - 1u); j++) {
            let corner = (plane * in_height + i * stride) * in_width + j * stride;
            let gradient = dy[(plane * height + i) * width + j];
            if (kind == MAX) {
                sum += select(0.0, gradient, first_maximum(corner).place == at);
            } else {
                sum += gradient / f32(size * size);
            }
        }
    }
    dx[at] = select(sum, dx[at] + sum, accumulate);
}
