// Which entries of a batch belong together.
//
//   positives y[i, j] = [label[i] == label[j] and i != j]    negatives y[i, j] = [label[i] != label[j]]
//   diagonal  y[i, j] = [i == j]                             one-hot   y[i, j] = [label[i] == j]
//   same      y[i, 0] = label[i]
//
// label [..], the batch's slot.count from slot.first on; y [rows, columns], 0 where an entry is padding
// One invocation for one element. Labels are compared as integers: f32 holds them up to 2^24 only.

override kind: u32;
override rows: u32;
override columns: u32;

const POSITIVES: u32 = 0u;
const NEGATIVES: u32 = 1u;
const DIAGONAL: u32 = 2u;
const ONE_HOT: u32 = 3u;

@group(1) @binding(0) var<storage, read> label: array<u32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;

fn value(i: u32, j: u32) -> f32 {
    let of_two = kind <= NEGATIVES;
    if (i >= slot.count || (of_two && j >= slot.count)) {
        return 0.0;
    }
    let own = label[slot.first + i];
    if (kind == ONE_HOT) {
        return select(0.0, 1.0, own == j);
    }
    if (kind == DIAGONAL) {
        return select(0.0, 1.0, i == j);
    }
    if (of_two) {
        let alike = own == label[slot.first + j];
        return select(0.0, 1.0, (kind == POSITIVES && alike && i != j) || (kind == NEGATIVES && !alike));
    }
    return f32(own);
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation_number(group_id, grid, lane);
    if (at >= rows * columns) {
        return;
    }
    y[at] = value(at / columns, at % columns);
}
