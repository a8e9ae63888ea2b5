// Back through a pool whose windows do not overlap, and through the activation before it, in one go.
//
//   max:     dz[n, c, i s + k, j s + l] = f'(z) dy[n, c, i, j] where x is the window's first maximum, else 0
//   average: dz[n, c, i s + k, j s + l] = f'(z) dy[n, c, i, j] / size^2
//   0 outside the windows; x = f(z), from which f' is taken
//
// x, dz [images * channels, in_height, in_width]
// dy    [images * channels, out_height, out_width]
// One invocation for one cell of stride by stride inputs, the window in its corner: what the window needs is read
// once, where pool2d.backward would read it for each of its inputs.

override images: u32;
override channels: u32;
override in_height: u32;
override in_width: u32;
override size: u32;
override stride: u32;
override kind: u32;
override activation: u32;

const MAX: u32 = 0u;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> dy: array<f32>;
@group(1) @binding(2) var<storage, read_write> dz: array<f32>;

// Place in x of the maximum of the window whose first element is `corner`. NaN counts as largest,
// so that it shows.
fn first_maximum(corner: u32) -> u32 {
    var best = corner;
    var largest = x[corner];
    for (var k = 0u; k < size; k++) {
        for (var l = 0u; l < size; l++) {
            let at = corner + k * in_width + l;
            let value = x[at];
            if (value > largest || (is_nan(value) && !is_nan(largest))) {
                best = at;
                largest = value;
            }
        }
    }
    return best;
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let height = (in_height - size) / stride + 1u;
    let width = (in_width - size) / stride + 1u;
    let rows = (in_height + stride - 1u) / stride;
    let columns = (in_width + stride - 1u) / stride;
    let cell = invocation_number(group_id, grid, lane);
    let plane = cell / (rows * columns);
    if (plane >= images * channels) {
        return;
    }
    let i = cell / columns % rows;
    let j = cell % columns;
    let corner = (plane * in_height + i * stride) * in_width + j * stride;
    var gradient = 0.0;
    var best = corner;
    // A cell at the edge may be too small for a window.
    if (i < height && j < width) {
        gradient = dy[(plane * height + i) * width + j];
        if (kind == MAX) {
            best = first_maximum(corner);
            gradient = through_activation(activation, x[best], gradient);
        } else {
            gradient = gradient / f32(size * size);
        }
    }
    for (var k = 0u; k < min(stride, in_height - i * stride); k++) {
        for (var l = 0u; l < min(stride, in_width - j * stride); l++) {
            let at = corner + k * in_width + l;
            if (kind == MAX) {
                dz[at] = select(0.0, gradient, at == best);
            } else {
                let reached = select(0.0, gradient, k < size && l < size);
                dz[at] = through_activation(activation, x[at], reached);
            }
        }
    }
}
