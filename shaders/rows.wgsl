// Rows of a resident table, out of a batch and into one.
//
//   load:  y[m] = table[index[p * branches + m / group]],
//          group = rows / branches,  p = slot.first + min(m % group, slot.count - 1)
//   store: stored[slot.first + m] = x[m]  for m < slot.count
//
// table, stored [.., features]; x, y [rows, features]; index [.., branches]
// One invocation for one element of the batch.

override rows: u32;
override features: u32;
override branches: u32;

@group(1) @binding(0) var<storage, read> table: array<f32>;
@group(1) @binding(1) var<storage, read> index: array<u32>;
@group(1) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(3) var<storage, read> x: array<f32>;
@group(1) @binding(4) var<storage, read_write> stored: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn load(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    let m = at / features;
    if (m >= rows) {
        return;
    }
    let group = rows / branches;
    let position = slot.first + min(m % group, slot.count - 1u);
    y[at] = table[index[position * branches + m / group] * features + at % features];
}

@compute @workgroup_size(WORKGROUP)
fn store(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at / features >= min(rows, slot.count)) {
        return;
    }
    stored[slot.first * features + at] = x[at];
}
