// Dropout: elements are 0 at random, and the others larger by as much.
//
//   y = x scale where hash(seed, layer, element) >= threshold, else 0        dx from dy likewise
//   element = image values + v, image = (first + m % group) branches + m / group, group = images / branches
//
// x, y, dy, dx [images, values]; one invocation for one element. Integers only decide what stays: the same masks on
// every adapter.

override images: u32;
override values: u32;
override branches: u32;
override first: u32;
override layer: u32;
override threshold: u32;
override scale: f32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> dy: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

fn mix(value: u32) -> u32 {
    var bits = (value ^ (value >> 16u)) * 0x7feb352du;
    bits = (bits ^ (bits >> 15u)) * 0x846ca68bu;
    return bits ^ (bits >> 16u);
}

// Whether element `i` of this launch stays.
fn stays(i: u32) -> bool {
    let m = i / values;
    let group = images / branches;
    let image = (first + m % group) * branches + m / group;
    let key = mix(slot.seed_low ^ (layer * 0x9e3779b9u));
    return mix(mix((image * values + i % values) ^ key) + slot.seed_high) >= threshold;
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= images * values) {
        return;
    }
    y[i] = select(0.0, x[i] * scale, stays(i));
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= images * values) {
        return;
    }
    let gradient = select(0.0, dy[i] * scale, stays(i));
    dx[i] = select(gradient, dx[i] + gradient, accumulate);
}
