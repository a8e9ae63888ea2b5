// Images by index, bytes to numbers.
//
//   y[m, j] = byte j of image e / 255,  e = index[p * branches + m / group],
//   group = images / branches,  p = slot.first + min(first + m % group, slot.count - 1)
//
// data  [resident, words]   four bytes to a word, the first lowest; an image starts a word
// index [.., branches]      image numbers
// y     [images, pixels]
// One invocation turns one word into up to four numbers.

override images: u32;
override pixels: u32;
override branches: u32;
override first: u32;
override first_resident: u32;
override resident: u32;

@group(1) @binding(0) var<storage, read> data: array<u32>;
@group(1) @binding(1) var<storage, read> index: array<u32>;
@group(1) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let words = (pixels + 3u) / 4u;
    let i = invocation_number(group_id, grid, lane);
    let m = i / words;
    if (m >= images) {
        return;
    }
    let group = images / branches;
    let position = slot.first + min(first + m % group, slot.count - 1u);
    let image = index[position * branches + m / group] - first_resident;
    // Below the window the subtraction wraps to a large number.
    if (image >= resident) {
        return;
    }
    let word = i % words;
    var bytes = data[image * words + word];
    for (var k = 0u; k < 4u; k++) {
        let j = word * 4u + k;
        if (j < pixels) {
            y[m * pixels + j] = f32(bytes & 0xffu) / 255.0;
        }
        bytes = bytes >> 8u;
    }
}
