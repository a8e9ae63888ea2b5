// Rows to length 1.
//
//   y = x / max(|x|, floor)      dx = (dy - y (y . dy)) / |x|, 0 where |x| <= floor
//
// x, y, dy, dx [rows, features]; a workgroup for each row, its lanes over the features.

override rows: u32;
override features: u32;
override floor: f32;
override accumulate: bool;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(2) var<storage, read> dy: array<f32>;
@group(1) @binding(3) var<storage, read_write> dx: array<f32>;

// Some adapters take NaN for as short as the floor.
fn is_short(squares: f32) -> bool {
    return squares <= floor * floor && !is_nan(squares);
}

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_number(group_id, grid);
    // Of a whole workgroup, so that the barriers stay in uniform control flow.
    if (row >= rows) {
        return;
    }
    let start = row * features;
    var squares = 0.0;
    for (var f = lane; f < features; f += WORKGROUP) {
        squares += x[start + f] * x[start + f];
    }
    squares = workgroup_sum(lane, squares);
    let size = select(sqrt(squares), floor, is_short(squares));
    for (var f = lane; f < features; f += WORKGROUP) {
        y[start + f] = x[start + f] / size;
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_number(group_id, grid);
    if (row >= rows) {
        return;
    }
    let start = row * features;
    var squares = 0.0;
    var along = 0.0;
    for (var f = lane; f < features; f += WORKGROUP) {
        squares += x[start + f] * x[start + f];
        along += x[start + f] * dy[start + f];
    }
    squares = workgroup_sum(lane, squares);
    let size = sqrt(squares);
    along = workgroup_sum(lane, along) / size;
    for (var f = lane; f < features; f += WORKGROUP) {
        let at = start + f;
        var gradient = (dy[at] - x[at] / size * along) / size;
        if (is_short(squares)) {
            gradient = 0.0;
        }
        dx[at] = select(gradient, dx[at] + gradient, accumulate);
    }
}
