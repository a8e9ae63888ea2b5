// Images by mean and deviation of their own, in place.
//
//   y[m, j] = statistics[i, 0] y[m, j] + statistics[i, 1],  i = index[number]
//   number = (slot.first + min(first + m % group, slot.count - 1)) branches + m / group,  group = images / branches
//
// index      [.., branches]    image numbers
// statistics [data set, 2]     scale and shift of each image
// y          [images, pixels]
// One invocation for one element of y.

override images: u32;
override pixels: u32;
override branches: u32;
override first: u32;

@group(1) @binding(0) var<storage, read> index: array<u32>;
@group(1) @binding(1) var<storage, read> statistics: array<vec2f>;
@group(1) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    let m = i / pixels;
    if (m >= images) {
        return;
    }
    let group = images / branches;
    let position = slot.first + min(first + m % group, slot.count - 1u);
    let known = statistics[index[position * branches + m / group]];
    y[i] = known.x * y[i] + known.y;
}
