// Adam, and with decays AdamW.
//
//   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
//   theta = shrink theta, if decays
//   theta = theta - learning_rate (m / correction1) / (sqrt(v / correction2) + eps)
//
// gradient, parameter, first_moment, second_moment [count]; one invocation for one element.

override count: u32;
// 1 - beta is rounded once on the host: in f32 the subtraction would lose digits.
override beta1: f32;
override rest1: f32;
override beta2: f32;
override rest2: f32;
override eps: f32;
override decays: bool;

@group(1) @binding(0) var<storage, read> gradient: array<f32>;
@group(1) @binding(1) var<storage, read_write> parameter: array<f32>;
@group(1) @binding(2) var<storage, read_write> first_moment: array<f32>;
@group(1) @binding(3) var<storage, read_write> second_moment: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = invocation_number(group_id, grid, lane);
    if (i >= count) {
        return;
    }
    let g = gradient[i];
    let m = beta1 * first_moment[i] + rest1 * g;
    let v = beta2 * second_moment[i] + rest2 * (g * g);
    first_moment[i] = m;
    second_moment[i] = v;
    let step = slot.learning_rate * (m / slot.correction1) / (sqrt(v / slot.correction2) + eps);
    parameter[i] = parameter[i] * select(1.0, slot.shrink, decays) - step;
}
