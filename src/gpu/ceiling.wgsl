// What a device can do at most.
//
// multiply_add: sum = sum * factor + term, over and over. Each invocation keeps 12 sums in registers; nothing else is
// read or written. numbers: [factor, term, a place that is never written to]

@group(0) @binding(2) var<storage, read_write> numbers: array<f32>;

const TURNS: u32 = 4096u;

@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3u) {
    let factor = vec4f(numbers[0]);
    let term = vec4f(numbers[1]);
    let start = f32(id.x & 1023u);
    var a = vec4f(start, start + 1.0, start + 2.0, start + 3.0);
    var b = a + 4.0;
    var c = a + 8.0;
    for (var turn = 0u; turn < TURNS; turn++) {
        a = a * factor + term;
        b = b * factor + term;
        c = c * factor + term;
    }
    let sums = a + b + c;
    let sum = sums.x + sums.y + sums.z + sums.w;
    // Sums of positive numbers never are, but the compiler does not know that.
    if sum < 0.0 {
        numbers[2] = sum;
    }
}

// copy: target = source, read once and written once, neighbours side by side.

@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> target_: array<vec4f>;

const COPIERS: u32 = 256u;

@compute @workgroup_size(COPIERS)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    for (var at = id.x; at < arrayLength(&target_); at += COPIERS * groups.x) {
        target_[at] = source[at];
    }
}
