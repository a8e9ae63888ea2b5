// Stands before every op: what changes from one training step to the next, how an invocation finds
// its place in a folded grid, and the sum over a workgroup.

// Invocations in a workgroup.
const WORKGROUP: u32 = 64u;

// Mirrors `plan::Slot`; bound by dynamic offset, so that nothing is recorded anew when a value moves.
struct Slot {
    // Position of the batch in its list of pairs or images, and how many of them it holds.
    first: u32,
    count: u32,
    // Row of the history that receives this step's loss.
    index: u32,
    learning_rate: f32,
    // 1 - beta^t of Adam's two moments.
    correction1: f32,
    correction2: f32,
    // Of gradient descent, and what a weight decay leaves of the weights: 1 - learning_rate weight_decay.
    momentum: f32,
    shrink: f32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> slot: Slot;

// Number of this workgroup in a grid folded over two dimensions.
fn workgroup_number(group: vec3u, grid: vec3u) -> u32 {
    return group.y * grid.x + group.x;
}

fn invocation_number(group: vec3u, grid: vec3u, lane: u32) -> u32 {
    return workgroup_number(group, grid) * WORKGROUP + lane;
}

var<workgroup> partial: array<f32, WORKGROUP>;

// Sum of every lane's value, for all lanes: a tree, so the order is fixed. Every lane must call it.
fn workgroup_sum(lane: u32, value: f32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width = width / 2u) {
        if (lane < width) {
            partial[lane] = partial[lane] + partial[lane + width];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    // The next sum may only overwrite what every lane has read.
    workgroupBarrier();
    return sum;
}

// Comparisons with NaN do not behave alike on all adapters; bits do.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// The built-in is NaN for large arguments on some adapters and poor near 0 on most.
fn safe_tanh(value: f32) -> f32 {
    let size = abs(value);
    let t = exp(-2.0 * size);
    let square = size * size;
    let series = size * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0 - square * (17.0 / 315.0))));
    return sign(value) * select((1.0 - t) / (1.0 + t), series, size < 0.1);
}

fn sigmoid(value: f32) -> f32 {
    // The exponent is never positive, so nothing overflows.
    let t = exp(-abs(value));
    return select(t, 1.0, value >= 0.0) / (1.0 + t);
}

const ACTIVATION_RELU: u32 = 0u;
const ACTIVATION_TANH: u32 = 1u;

fn activation_of(kind: u32, value: f32) -> f32 {
    if (is_nan(value)) {
        // max(NaN, 0) is 0 on most adapters, which would hide it.
        return value;
    }
    if (kind == ACTIVATION_RELU) {
        return max(value, 0.0);
    }
    if (kind == ACTIVATION_TANH) {
        return safe_tanh(value);
    }
    return sigmoid(value);
}

// f'(x) times a gradient, from y = f(x).
fn through_activation(kind: u32, y: f32, gradient: f32) -> f32 {
    if (kind == ACTIVATION_RELU) {
        return select(0.0, gradient, y > 0.0);
    }
    if (kind == ACTIVATION_TANH) {
        return gradient * (1.0 - y * y);
    }
    return gradient * (y * (1.0 - y));
}
