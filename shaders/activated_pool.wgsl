// Back through a pool whose windows do not overlap, and through the activation before it, to the gradient by
// eight channels that conv2d_blocked takes, in one go.
//
//   max:     dz[n, c, i s + k, j s + l] = f'(z) dy[n, c, i, j] where x is the window's first maximum, else 0
//   average: dz[n, c, i s + k, j s + l] = f'(z) dy[n, c, i, j] / size^2
//   0 outside the windows; x = f(z), from which f' is taken
//
// x      [images, channels, in_height, in_width]
// dy     [images, channels, out_height, out_width]
// blocks dz by eight channels, the last ones 0: [images, ceil(channels / 8), in_height, in_width, 8]
// One invocation for one cell of stride by stride inputs of four channels, the window in its corner: what the
// window needs is read once, where pool2d.backward would read it for each of its inputs.

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
@group(1) @binding(2) var<storage, read_write> blocks: array<vec4f>;

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

// What a window hands on: to the place of its maximum, or to each of its places, there without f'.
struct Share {
    place: u32,
    gradient: f32,
}

// First element of an image's channel in x, the last channel repeated behind the end.
fn plane(n: u32, c: u32) -> u32 {
    return (n * channels + min(c, channels - 1u)) * in_height * in_width;
}

fn share(n: u32, c: u32, i: u32, j: u32) -> Share {
    let height = (in_height - size) / stride + 1u;
    let width = (in_width - size) / stride + 1u;
    // A cell at the edge may be too small for a window.
    if (c >= channels || i >= height || j >= width) {
        return Share(0u, 0.0);
    }
    let gradient = dy[((n * channels + c) * height + i) * width + j];
    if (kind != MAX) {
        return Share(0u, gradient / f32(size * size));
    }
    let best = first_maximum(plane(n, c) + i * stride * in_width + j * stride);
    return Share(best.place - plane(n, c), through_activation(activation, best.value, gradient));
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let rows = (in_height + stride - 1u) / stride;
    let columns = (in_width + stride - 1u) / stride;
    let fours = (channels + 7u) / 8u * 2u;
    let cell = invocation_number(group_id, grid, lane);
    let j = cell % columns;
    let i = cell / columns % rows;
    let four = cell / (columns * rows) % fours;
    let n = cell / (columns * rows * fours);
    if (n >= images) {
        return;
    }
    let c = 4u * four;
    let a = share(n, c, i, j);
    let b = share(n, c + 1u, i, j);
    let d = share(n, c + 2u, i, j);
    let e = share(n, c + 3u, i, j);
    let winners = vec4u(a.place, b.place, d.place, e.place);
    let gradients = vec4f(a.gradient, b.gradient, d.gradient, e.gradient);
    // Bounds that a compiler knows let it unroll both loops.
    for (var k = 0u; k < stride; k++) {
        for (var l = 0u; l < stride; l++) {
            if (i * stride + k >= in_height || j * stride + l >= in_width) {
                continue;
            }
            let place = (i * stride + k) * in_width + j * stride + l;
            var values = select(vec4f(), gradients, winners == vec4u(place));
            if (kind != MAX) {
                let reached = select(vec4f(), gradients, k < size && l < size);
                values = vec4f(
                    through_activation(activation, x[plane(n, c) + place], reached.x),
                    through_activation(activation, x[plane(n, c + 1u) + place], reached.y),
                    through_activation(activation, x[plane(n, c + 2u) + place], reached.z),
                    through_activation(activation, x[plane(n, c + 3u) + place], reached.w),
                );
            }
            blocks[((n * fours / 2u + four / 2u) * in_height * in_width + place) * 2u + four % 2u] = values;
        }
    }
}
