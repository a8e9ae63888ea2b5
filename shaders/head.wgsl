// The scalar head: a learned affine map of one number per pair, then a sigmoid.
//
//   y = 1 / (1 + exp(-(weight x + bias))),  dz = dy y (1 - y)
//   dx = dz weight,  dweight = sum dz x,  dbias = sum dz
//
// x, y, result, dy, dx [pairs]; weight, dweight [1, 1]; bias, dbias [1]. `result` is the forward pass's y.
// forward, backward_input: one invocation for one pair; backward_weight: one workgroup.

override pairs: u32;

@group(1) @binding(0) var<storage, read> x: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<f32>;
@group(1) @binding(2) var<storage, read> bias: array<f32>;
@group(1) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(4) var<storage, read> result: array<f32>;
@group(1) @binding(5) var<storage, read> dy: array<f32>;
@group(1) @binding(6) var<storage, read_write> dx: array<f32>;
@group(1) @binding(7) var<storage, read_write> dweight: array<f32>;
@group(1) @binding(8) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= pairs) {
        return;
    }
    let z = weight[0] * x[i] + bias[0];
    // The exponent is never positive, so nothing overflows.
    let t = exp(-abs(z));
    y[i] = select(select(t, 1.0, z >= 0.0) / (1.0 + t), z, is_nan(z));
}

fn before_sigmoid(i: u32) -> f32 {
    return dy[i] * (result[i] * (1.0 - result[i]));
}

@compute @workgroup_size(WORKGROUP)
fn backward_input(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= pairs) {
        return;
    }
    dx[i] = before_sigmoid(i) * weight[0];
}

@compute @workgroup_size(WORKGROUP)
fn backward_weight(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    var with_x = 0.0;
    var alone = 0.0;
    for (var i = invocation_number(group_id, grid, lane); i < pairs; i += WORKGROUP) {
        let gradient = before_sigmoid(i);
        with_x += gradient * x[i];
        alone += gradient;
    }
    with_x = workgroup_sum(lane, with_x);
    alone = workgroup_sum(lane, alone);
    if (lane == 0u) {
        dweight[0] = with_x;
        dbias[0] = alone;
    }
}
