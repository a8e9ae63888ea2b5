// Images by index, each read through an affine map of its own, bytes to numbers.
//
//   y[m, c, row, x] = (bilinear between the four bytes of plane c around (u, v)) / 255; outside, bytes are 0
//   (u, v) = (a X + b Y + c, d X + e Y + f) from the middle of the image, X = x - (width - 1) / 2, Y likewise
//   [a, b, c, d, e, f] = matrices[i],  i and the image as in gather.wgsl
//
// All in integers, so that every adapter reads the same places: a, b, d, e in units of 2^-15, c, f of 2^-16,
// and u, v rounded to 2^-8.
//
// data     [resident, words]       four bytes to a word, the first lowest; an image starts a word
// index    [.., branches]          image numbers
// matrices [.., branches, 6]
// y        [images, channels, height, width]
// One invocation for one element of y.

override images: u32;
override channels: u32;
override height: u32;
override width: u32;
override branches: u32;
override first: u32;
override first_resident: u32;
override resident: u32;

@group(1) @binding(0) var<storage, read> data: array<u32>;
@group(1) @binding(1) var<storage, read> index: array<u32>;
@group(1) @binding(2) var<storage, read> matrices: array<i32>;
@group(1) @binding(3) var<storage, read_write> y: array<f32>;

// Byte of a plane; `start` is the plane's first byte, counted from the front of the data.
fn pixel(start: u32, column: i32, row: i32) -> u32 {
    if (column < 0 || column >= i32(width) || row < 0 || row >= i32(height)) {
        return 0u;
    }
    let at = start + u32(row) * width + u32(column);
    return (data[at / 4u] >> (8u * (at % 4u))) & 0xffu;
}

// In units of 1/256 pixel: where a map leads along one axis, from twice the offset to the middle.
fn place(row: u32, offset: vec2i, side: u32) -> i32 {
    let middle = (i32(side) - 1) << 15u;
    return (matrices[row] * offset.x + matrices[row + 1u] * offset.y + matrices[row + 2u] + middle + 128) >> 8u;
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let plane = height * width;
    let pixels = channels * plane;
    let i = invocation_number(group_id, grid, lane);
    let m = i / pixels;
    if (m >= images) {
        return;
    }
    let group = images / branches;
    let position = slot.first + min(first + m % group, slot.count - 1u);
    let number = position * branches + m / group;
    let image = index[number] - first_resident;
    // Below the window the subtraction wraps to a large number.
    if (image >= resident) {
        return;
    }
    let at = i % pixels;
    let offset = 2 * vec2i(i32(at % width), i32(at / width % height)) - vec2i(i32(width) - 1, i32(height) - 1);
    let u = place(6u * number, offset, width);
    let v = place(6u * number + 3u, offset, height);
    let column = u >> 8u;
    let row = v >> 8u;
    let right = u32(u & 255);
    let below = u32(v & 255);
    let start = image * ((pixels + 3u) / 4u * 4u) + at / plane * plane;
    let above = (256u - right) * pixel(start, column, row) + right * pixel(start, column + 1, row);
    let under = (256u - right) * pixel(start, column, row + 1) + right * pixel(start, column + 1, row + 1);
    // At most 255 * 2^16: exact, and so is the product with a power of two. The identity gives gather's bits.
    y[i] = f32((256u - below) * above + below * under) * 0.0000152587890625 / 255.0;
}
