// A subnet of two convolutions and two dense layers, an image to a workgroup.
//
//   forward:  byte / 255; twice conv, f, pool 2x2; twice dense, f
//   backward: from the pairs' distances to a gradient for each image and parameter of the convolutions,
//             and to the dense layers' deltas dL/dz with y = f(z)
//   update:   gradients of the batch, sums over the images in their order; then Adam
//
// data  [.., words] bytes of images, index [.., branches] image numbers: as in gather.wgsl
// parameters, parameter, gradient, first_moment, second_moment: weight and bias of the four layers in turn,
//   then `scalars` numbers of the head; each tensor starts at a multiple of 64 elements
// saved, kept [images, ..] what backward needs of forward; a row holds, for each convolution, pooled values
//   [filters, places] and slopes [filters, places, 4], d pooled / d z at the window's four outputs; then hidden
// embedding, embedded [images, features]
// compared [2, pairs] distances and their gradients
// parts, shares [images, ..] what each image adds; a row holds, for each convolution, the gradients of weight,
//   bias and pooled values; then the deltas of the hidden layer and of the embedding
// forward, backward: a workgroup for each image. What a convolution leaves goes through the image's row, so that
// workgroup memory holds one layer at a time. update: one invocation for one parameter.

override images: u32;
override branches: u32;
override channels: u32;
override height: u32;
override width: u32;
override filters1: u32;
override kernel1: u32;
override padding1: u32;
override group1: u32;
override splits1: u32;
override filters2: u32;
override kernel2: u32;
override padding2: u32;
override group2: u32;
override splits2: u32;
override hidden: u32;
override features: u32;
override scalars: u32;
override activation: u32;
override pool: u32;
override distance: u32;
override squared_floor: f32;
// 1 - beta is rounded once on the host: in f32 the subtraction would lose digits.
override beta1: f32;
override rest1: f32;
override beta2: f32;
override rest2: f32;
override eps: f32;

const RELU: u32 = 0u;
const TANH: u32 = 1u;
const MAX: u32 = 0u;
const EUCLIDEAN: u32 = 0u;

const LANES: u32 = 256u;
// Values of workgroup memory: what WebGPU grants, less what common.wgsl takes.
const MEMORY: u32 = 4032u;
// The largest kernel.
const TAPS: u32 = 8u;
// No place.
const OUTSIDE: u32 = 0xffffffffu;
// Lanes that share a row of a dense weight: a whole sector of memory.
const SHARERS: u32 = 8u;

@group(1) @binding(0) var<storage, read> data: array<u32>;
@group(1) @binding(1) var<storage, read> index: array<u32>;
@group(1) @binding(2) var<storage, read> parameters: array<f32>;
@group(1) @binding(3) var<storage, read_write> saved: array<f32>;
@group(1) @binding(4) var<storage, read_write> embedding: array<f32>;
@group(1) @binding(5) var<storage, read> kept: array<f32>;
@group(1) @binding(6) var<storage, read> embedded: array<f32>;
@group(1) @binding(7) var<storage, read> compared: array<f32>;
@group(1) @binding(8) var<storage, read_write> parts: array<f32>;
@group(1) @binding(9) var<storage, read> shares: array<f32>;
@group(1) @binding(10) var<storage, read_write> gradient: array<f32>;
@group(1) @binding(11) var<storage, read_write> parameter: array<f32>;
@group(1) @binding(12) var<storage, read_write> first_moment: array<f32>;
@group(1) @binding(13) var<storage, read_write> second_moment: array<f32>;

var<workgroup> memory: array<f32, MEMORY>;

// A convolution of stride 1, and the pool behind it.
struct Conv {
    channels: u32,
    height: u32,
    width: u32,
    filters: u32,
    kernel: u32,
    padding: u32,
    // Filters that backward takes at a time, and how many lanes share their rows.
    group: u32,
    splits: u32,
    // Sides of the input with its padding, of the output, and behind the pool.
    full_height: u32,
    full_width: u32,
    out_height: u32,
    out_width: u32,
    pooled_height: u32,
    pooled_width: u32,
    // Where `parameters`, a row of `saved` and a row of `parts` hold what is this layer's, and where that ends.
    weight: u32,
    bias: u32,
    parameters_end: u32,
    pooled: u32,
    slopes: u32,
    saved_end: u32,
    dweight: u32,
    dbias: u32,
    dpooled: u32,
    parts_end: u32,
}

struct Dense {
    inputs: u32,
    outputs: u32,
    weight: u32,
    bias: u32,
    parameters_end: u32,
    // The input in a row of `saved`, the delta in a row of `parts`.
    x: u32,
    delta: u32,
}

fn aligned(length: u32) -> u32 {
    return (length + 63u) / 64u * 64u;
}

// Sets what follows from the sizes and from where the layer before ends.
fn placed(sizes: Conv, parameters_at: u32, saved_at: u32, parts_at: u32) -> Conv {
    var c = sizes;
    c.full_height = c.height + 2u * c.padding;
    c.full_width = c.width + 2u * c.padding;
    c.out_height = c.full_height - c.kernel + 1u;
    c.out_width = c.full_width - c.kernel + 1u;
    c.pooled_height = c.out_height / 2u;
    c.pooled_width = c.out_width / 2u;
    let weights = c.filters * c.channels * c.kernel * c.kernel;
    let values = c.filters * c.pooled_height * c.pooled_width;
    c.weight = parameters_at;
    c.bias = parameters_at + aligned(weights);
    c.parameters_end = c.bias + aligned(c.filters);
    c.pooled = saved_at;
    c.slopes = saved_at + values;
    c.saved_end = saved_at + 5u * values;
    c.dweight = parts_at;
    c.dbias = parts_at + weights;
    c.dpooled = c.dbias + c.filters;
    c.parts_end = c.dpooled + values;
    return c;
}

fn first_conv() -> Conv {
    var c: Conv;
    c.channels = channels;
    c.height = height;
    c.width = width;
    c.filters = filters1;
    c.kernel = kernel1;
    c.padding = padding1;
    c.group = group1;
    c.splits = splits1;
    return placed(c, 0u, 0u, 0u);
}

fn second_conv() -> Conv {
    let before = first_conv();
    var c: Conv;
    c.channels = before.filters;
    c.height = before.pooled_height;
    c.width = before.pooled_width;
    c.filters = filters2;
    c.kernel = kernel2;
    c.padding = padding2;
    c.group = group2;
    c.splits = splits2;
    return placed(c, before.parameters_end, before.saved_end, before.parts_end);
}

fn dense(inputs: u32, outputs: u32, parameters_at: u32, x: u32, delta: u32) -> Dense {
    let bias = parameters_at + aligned(inputs * outputs);
    return Dense(inputs, outputs, parameters_at, bias, bias + aligned(outputs), x, delta);
}

fn hidden_layer() -> Dense {
    let c = second_conv();
    let inputs = c.filters * c.pooled_height * c.pooled_width;
    return dense(inputs, hidden, c.parameters_end, c.pooled, c.parts_end);
}

fn output_layer() -> Dense {
    let before = hidden_layer();
    let x = second_conv().saved_end;
    return dense(hidden, features, before.parameters_end, x, before.delta + hidden);
}

// Where the rows of image `m` start.
fn saved_row(m: u32) -> u32 {
    return m * (output_layer().x + hidden);
}

fn parts_row(m: u32) -> u32 {
    return m * (output_layer().delta + features);
}

// Workgroup memory of the dense layers: two vectors, then partial sums.
fn longest() -> u32 {
    return max(hidden_layer().inputs, max(hidden, features));
}

fn activated(value: f32) -> f32 {
    if (is_nan(value)) {
        // max(NaN, 0) is 0 on most adapters, which would hide it.
        return value;
    }
    if (activation == RELU) {
        return max(value, 0.0);
    }
    if (activation == TANH) {
        return safe_tanh(value);
    }
    return sigmoid(value);
}

// f'(z) times a gradient, from y = f(z).
fn activation_gradient(y: f32, dy: f32) -> f32 {
    if (activation == RELU) {
        return select(0.0, dy, y > 0.0);
    }
    if (activation == TANH) {
        return dy * (1.0 - y * y);
    }
    return dy * (y * (1.0 - y));
}

// Place in a layer's input of element `e` of its padded planes, or OUTSIDE.
fn unpadded(c: Conv, e: u32) -> u32 {
    let plane = e / (c.full_height * c.full_width);
    // Above and left of the input these wrap to large numbers.
    let row = e / c.full_width % c.full_height - c.padding;
    let column = e % c.full_width - c.padding;
    let at = (plane * c.height + row) * c.width + column;
    return select(OUTSIDE, at, row < c.height && column < c.width);
}

fn full_len(c: Conv) -> u32 {
    return c.channels * c.full_height * c.full_width;
}

// The image of row `m`, with its padding, at the front of the memory.
fn load_image(m: u32, lane: u32) {
    let c = first_conv();
    let pixels = channels * height * width;
    let group = images / branches;
    let position = slot.first + min(m % group, slot.count - 1u);
    let first_word = index[position * branches + m / group] * ((pixels + 3u) / 4u);
    for (var e = lane; e < full_len(c); e += LANES) {
        let at = unpadded(c, e);
        var value = 0.0;
        if (at != OUTSIDE) {
            value = f32((data[first_word + at / 4u] >> (8u * (at % 4u))) & 0xffu) / 255.0;
        }
        memory[e] = value;
    }
}

// Sums of two filters at four outputs, two by two.
struct Block {
    a: vec4f,
    b: vec4f,
}

// Planes in memory, the first tap of the first output at `at`, correlated with two filters, the first tap of
// the first at parameters[start]. The steps wrap: they may lead backwards.
fn block(
    at: u32, planes: u32, plane_len: u32, row_len: u32, kernel: u32,
    start: u32, filter_step: u32, plane_step: u32, tap_step: u32,
) -> Block {
    var sums: Block;
    for (var plane = 0u; plane < planes; plane++) {
        var w = start + plane * plane_step;
        for (var k = 0u; k < kernel; k++) {
            let row = at + plane * plane_len + k * row_len;
            var x = vec4f(0.0, memory[row], 0.0, memory[row + row_len]);
            for (var l = 1u; l <= kernel; l++) {
                x = vec4f(x.y, memory[row + l], x.w, memory[row + row_len + l]);
                sums.a += parameters[w] * x;
                sums.b += parameters[w + filter_step] * x;
                w += tap_step;
            }
        }
    }
    return sums;
}

// Stores what the pool makes of the four sums `z` of its window, and the slopes.
fn put_pooled(c: Conv, m: u32, value_number: u32, z: vec4f) {
    let y = vec4f(activated(z.x), activated(z.y), activated(z.z), activated(z.w));
    let slopes = vec4f(
        activation_gradient(y.x, 1.0),
        activation_gradient(y.y, 1.0),
        activation_gradient(y.z, 1.0),
        activation_gradient(y.w, 1.0),
    );
    var pooled = (y.x + y.y + y.z + y.w) / 4.0;
    var shares_of = vec4f(0.25);
    if (pool == MAX) {
        // The first of equal values; NaN counts as largest, so that it shows.
        pooled = y.x;
        var best = 0u;
        for (var q = 1u; q < 4u; q++) {
            if (y[q] > pooled || (is_nan(y[q]) && !is_nan(pooled))) {
                pooled = y[q];
                best = q;
            }
        }
        shares_of = select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) == vec4u(best));
    }
    let row = saved_row(m);
    saved[row + c.pooled + value_number] = pooled;
    let to = row + c.slopes + 4u * value_number;
    for (var q = 0u; q < 4u; q++) {
        saved[to + q] = slopes[q] * shares_of[q];
    }
}

// From the padded input in memory to the image's row. A lane takes two filters at one place of the pool.
fn conv_forward(c: Conv, m: u32, lane: u32) {
    let places = c.pooled_height * c.pooled_width;
    let filter_len = c.channels * c.kernel * c.kernel;
    for (var task = lane; task < (c.filters + 1u) / 2u * places; task += LANES) {
        let f = task / places * 2u;
        let place = task % places;
        let corner = 2u * (place / c.pooled_width * c.full_width + place % c.pooled_width);
        let second = f + 1u < c.filters;
        let sums = block(
            corner, c.channels, c.full_height * c.full_width, c.full_width, c.kernel,
            c.weight + f * filter_len, select(0u, filter_len, second), c.kernel * c.kernel, 1u,
        );
        put_pooled(c, m, f * places + place, sums.a + parameters[c.bias + f]);
        if (second) {
            put_pooled(c, m, (f + 1u) * places + place, sums.b + parameters[c.bias + f + 1u]);
        }
    }
}

// memory[y ..] = f(bias + weight memory[x ..]). Lanes that share a row read side by side, and each has four
// rows under way: the weights come from far.
fn dense_forward(d: Dense, x: u32, y: u32, lane: u32) {
    let sums_at = 2u * longest();
    let sharer = lane % SHARERS;
    const ROWS: u32 = LANES / SHARERS;
    for (var o = lane / SHARERS; o < d.outputs; o += 4u * ROWS) {
        let outputs = o + ROWS * vec4u(0u, 1u, 2u, 3u);
        let rows = d.weight + min(outputs, vec4u(d.outputs - 1u)) * d.inputs;
        var sums = vec4f();
        for (var i = sharer; i < d.inputs; i += SHARERS) {
            let at = rows + i;
            let weights = vec4f(parameters[at.x], parameters[at.y], parameters[at.z], parameters[at.w]);
            sums += memory[x + i] * weights;
        }
        for (var r = 0u; r < 4u; r++) {
            if (outputs[r] < d.outputs) {
                memory[sums_at + outputs[r] * SHARERS + sharer] = sums[r];
            }
        }
    }
    workgroupBarrier();
    for (var o = lane; o < d.outputs; o += LANES) {
        var sum = parameters[d.bias + o];
        for (var s = 0u; s < SHARERS; s++) {
            sum += memory[sums_at + o * SHARERS + s];
        }
        memory[y + o] = activated(sum);
    }
    workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let m = workgroup_number(group_id, grid);
    let row = saved_row(m);
    load_image(m, lane);
    workgroupBarrier();
    let first = first_conv();
    conv_forward(first, m, lane);
    storageBarrier();
    workgroupBarrier();

    let second = second_conv();
    for (var e = lane; e < full_len(second); e += LANES) {
        let at = unpadded(second, e);
        var value = 0.0;
        if (at != OUTSIDE) {
            value = saved[row + first.pooled + at];
        }
        memory[e] = value;
    }
    workgroupBarrier();
    conv_forward(second, m, lane);
    storageBarrier();
    workgroupBarrier();

    let inner = hidden_layer();
    let outer = output_layer();
    for (var i = lane; i < inner.inputs; i += LANES) {
        memory[i] = saved[row + inner.x + i];
    }
    workgroupBarrier();
    dense_forward(inner, 0u, longest(), lane);
    for (var i = lane; i < hidden; i += LANES) {
        saved[row + outer.x + i] = memory[longest() + i];
    }
    dense_forward(outer, longest(), 0u, lane);
    for (var f = lane; f < features; f += LANES) {
        embedding[m * features + f] = memory[f];
    }
}

// Lanes that share an input of the layer, and sum over outputs of their own.
fn sharers(d: Dense) -> u32 {
    return max(LANES / d.inputs, 1u);
}

// Partial sums of dx[i] = sum_o memory[dy + o] weight[o, i], for `dense_sum` to add up.
fn dense_backward(d: Dense, dy: u32, lane: u32) {
    let sums_at = 2u * longest();
    for (var task = lane; task < sharers(d) * d.inputs; task += LANES) {
        let i = task % d.inputs;
        var sums = vec4f();
        // Four rows under way, as in dense_forward.
        for (var o = task / d.inputs * 4u; o < d.outputs; o += 4u * sharers(d)) {
            let outputs = o + vec4u(0u, 1u, 2u, 3u);
            let last = vec4u(d.outputs - 1u);
            let at = d.weight + min(outputs, last) * d.inputs + i;
            let weights = vec4f(parameters[at.x], parameters[at.y], parameters[at.z], parameters[at.w]);
            let place = dy + min(outputs, last);
            let deltas = vec4f(memory[place.x], memory[place.y], memory[place.z], memory[place.w]);
            sums += select(vec4f(0.0), deltas, outputs <= last) * weights;
        }
        memory[sums_at + task] = sums.x + sums.y + sums.z + sums.w;
    }
    workgroupBarrier();
}

fn dense_sum(d: Dense, i: u32) -> f32 {
    var sum = 0.0;
    for (var s = 0u; s < sharers(d); s++) {
        sum += memory[2u * longest() + s * d.inputs + i];
    }
    return sum;
}

// The embedding's delta of row `m`, feature `f`: from the distance of its pair.
fn embedding_delta(m: u32, f: u32) -> f32 {
    let pairs = images / 2u;
    let pair = m % pairs;
    let other = select(m - pairs, m + pairs, m < pairs);
    let y = embedded[m * features + f];
    let difference = y - embedded[other * features + f];
    var slope = compared[pairs + pair];
    if (distance == EUCLIDEAN) {
        let d = compared[pair];
        slope = select(0.0, slope * difference / d, d > sqrt(squared_floor));
    } else {
        slope = slope * sign(difference);
    }
    return activation_gradient(y, slope);
}

// From the gradients of the pooled values to those of weight and bias and, with `inward`, of the layer's input,
// which go to parts[dinput ..]. The memory holds the padded input, then dL/dz of a group of filters (with
// `inward` in a frame of zeros, so that no window of it ends early), then the input's gradient. A lane takes one
// row of taps over its share of the rows; the partial sums take the place of dL/dz.
fn conv_backward(c: Conv, m: u32, inward: bool, dinput: u32, lane: u32) {
    let row = parts_row(m);
    let frame = select(0u, c.kernel - 1u - c.padding, inward);
    let framed_height = c.out_height + 2u * frame;
    let framed_width = c.out_width + 2u * frame;
    let framed = framed_height * framed_width;
    let deltas_at = full_len(c);
    let tasks = c.group * c.channels * c.kernel;
    let sums_len = c.kernel + 1u;
    let dx_at = deltas_at + max(c.group * framed, tasks * c.splits * sums_len);
    for (var first = 0u; first < c.filters; first += c.group) {
        for (var e = lane; e < c.group * framed; e += LANES) {
            let f = first + e / framed;
            // Above and left of the frame these wrap to large numbers.
            let i = e / framed_width % framed_height - frame;
            let j = e % framed_width - frame;
            var delta = 0.0;
            // Outputs that fill no window of the pool have no say.
            if (f < c.filters && i < 2u * c.pooled_height && j < 2u * c.pooled_width) {
                let value_number = (f * c.pooled_height + i / 2u) * c.pooled_width + j / 2u;
                let slope = kept[saved_row(m) + c.slopes + 4u * value_number + i % 2u * 2u + j % 2u];
                delta = parts[row + c.dpooled + value_number] * slope;
            }
            memory[deltas_at + e] = delta;
        }
        workgroupBarrier();

        // Row k of the taps of channel `channel` of filter `first + f`.
        let task = lane % tasks;
        let k = task % c.kernel;
        let channel = task / c.kernel % c.channels;
        let f = task / c.kernel / c.channels;
        var sums: array<f32, TAPS>;
        for (var l = 0u; l < c.kernel; l++) {
            sums[l] = 0.0;
        }
        var alone = 0.0;
        if (lane < tasks * c.splits) {
            for (var i = lane / tasks; i < c.out_height; i += c.splits) {
                for (var j = 0u; j < c.out_width; j += 4u) {
                    let at = deltas_at + f * framed + (i + frame) * framed_width + j + frame;
                    let here = j + vec4u(0u, 1u, 2u, 3u) < vec4u(c.out_width);
                    let all = vec4f(memory[at], memory[at + 1u], memory[at + 2u], memory[at + 3u]);
                    let deltas = select(vec4f(0.0), all, here);
                    let x_at = (channel * c.full_height + i + k) * c.full_width + j;
                    var x = vec4f(0.0, memory[x_at], memory[x_at + 1u], memory[x_at + 2u]);
                    for (var l = 0u; l < c.kernel; l++) {
                        x = vec4f(x.yzw, memory[x_at + 3u + l]);
                        sums[l] += dot(deltas, x);
                    }
                    alone += dot(deltas, vec4f(1.0));
                }
            }
        }
        if (inward) {
            add_input_gradient(c, first, deltas_at, dx_at, lane);
        }
        workgroupBarrier();
        if (lane < tasks * c.splits) {
            for (var l = 0u; l < c.kernel; l++) {
                memory[deltas_at + lane * sums_len + l] = sums[l];
            }
            memory[deltas_at + lane * sums_len + c.kernel] = alone;
        }
        workgroupBarrier();
        for (var e = lane; e < tasks * sums_len; e += LANES) {
            let task = e / sums_len;
            let l = e % sums_len;
            let f = first + task / c.kernel / c.channels;
            var sum = 0.0;
            for (var s = 0u; s < c.splits; s++) {
                sum += memory[deltas_at + s * tasks * sums_len + e];
            }
            if (f < c.filters) {
                if (l < c.kernel) {
                    parts[row + c.dweight + (first * c.channels * c.kernel + task) * c.kernel + l] = sum;
                } else if (task % (c.kernel * c.channels) == 0u) {
                    parts[row + c.dbias + f] = sum;
                }
            }
        }
        workgroupBarrier();
    }
    if (inward) {
        for (var e = lane; e < c.channels * c.height * c.width; e += LANES) {
            parts[row + dinput + e] = memory[dx_at + e];
        }
    }
}

// Adds to the input's gradient what the group of filters from `first` on sends back: a correlation of their framed
// dL/dz with the filters turned around. A lane takes two channels at two by two places.
fn add_input_gradient(c: Conv, first: u32, deltas_at: u32, dx_at: u32, lane: u32) {
    let framed_width = c.width + c.kernel - 1u;
    let framed = (c.height + c.kernel - 1u) * framed_width;
    let taps = c.kernel * c.kernel;
    let columns = (c.width + 1u) / 2u;
    let places = (c.height + 1u) / 2u * columns;
    for (var task = lane; task < (c.channels + 1u) / 2u * places; task += LANES) {
        let channel = task / places * 2u;
        let i = task % places / columns * 2u;
        let j = task % columns * 2u;
        let second = channel + 1u < c.channels;
        let last_tap = c.weight + (first * c.channels + channel) * taps + taps - 1u;
        let sums = block(
            deltas_at + i * framed_width + j, min(c.group, c.filters - first), framed, framed_width, c.kernel,
            last_tap, select(0u, taps, second), c.channels * taps, 0xffffffffu,
        );
        for (var q = 0u; q < 4u; q++) {
            let y = i + q / 2u;
            let x = j + q % 2u;
            if (y < c.height && x < c.width) {
                let to = dx_at + (channel * c.height + y) * c.width + x;
                memory[to] = select(memory[to], 0.0, first == 0u) + sums.a[q];
                if (second) {
                    let next = to + c.height * c.width;
                    memory[next] = select(memory[next], 0.0, first == 0u) + sums.b[q];
                }
            }
        }
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let m = workgroup_number(group_id, grid);
    let row = parts_row(m);
    let inner = hidden_layer();
    let outer = output_layer();
    for (var f = lane; f < features; f += LANES) {
        let delta = embedding_delta(m, f);
        memory[f] = delta;
        parts[row + outer.delta + f] = delta;
    }
    workgroupBarrier();
    dense_backward(outer, 0u, lane);
    for (var i = lane; i < hidden; i += LANES) {
        let delta = activation_gradient(kept[saved_row(m) + outer.x + i], dense_sum(outer, i));
        memory[longest() + i] = delta;
        parts[row + inner.delta + i] = delta;
    }
    workgroupBarrier();
    dense_backward(inner, longest(), lane);
    let first = first_conv();
    let second = second_conv();
    for (var i = lane; i < inner.inputs; i += LANES) {
        parts[row + second.dpooled + i] = dense_sum(inner, i);
    }
    storageBarrier();
    workgroupBarrier();

    for (var e = lane; e < full_len(second); e += LANES) {
        let at = unpadded(second, e);
        var value = 0.0;
        if (at != OUTSIDE) {
            value = kept[saved_row(m) + first.pooled + at];
        }
        memory[e] = value;
    }
    conv_backward(second, m, true, first.dpooled, lane);
    storageBarrier();
    workgroupBarrier();

    load_image(m, lane);
    conv_backward(first, m, false, 0u, lane);
}

// Sum over the images of element `e` of their shares.
fn sum_of_shares(e: u32) -> f32 {
    var sum = 0.0;
    for (var m = 0u; m < images; m++) {
        sum += shares[parts_row(m) + e];
    }
    return sum;
}

struct Found {
    here: bool,
    gradient: f32,
}

// The gradient of parameter `p`, if it is one of the convolution's.
fn conv_gradient(c: Conv, p: u32) -> Found {
    // Before a tensor these wrap to large numbers.
    let w = p - c.weight;
    let b = p - c.bias;
    if (w < c.filters * c.channels * c.kernel * c.kernel) {
        return Found(true, sum_of_shares(c.dweight + w));
    }
    if (b < c.filters) {
        return Found(true, sum_of_shares(c.dbias + b));
    }
    return Found(false, 0.0);
}

fn dense_gradient(d: Dense, p: u32) -> Found {
    let w = p - d.weight;
    let b = p - d.bias;
    if (w < d.inputs * d.outputs) {
        let delta = d.delta + w / d.inputs;
        let x = d.x + w % d.inputs;
        var sum = 0.0;
        for (var m = 0u; m < images; m++) {
            sum += shares[parts_row(m) + delta] * kept[saved_row(m) + x];
        }
        return Found(true, sum);
    }
    if (b < d.outputs) {
        return Found(true, sum_of_shares(d.delta + b));
    }
    return Found(false, 0.0);
}

// The head's gradients are there already.
fn scalar_gradient(p: u32) -> Found {
    let at = p - output_layer().parameters_end;
    if (at < 64u * scalars && at % 64u == 0u) {
        return Found(true, gradient[p]);
    }
    return Found(false, 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn update(
    @builtin(workgroup_id) group_id: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let p = invocation_number(group_id, grid, lane);
    var found: Found;
    // Tensors start at multiples of a workgroup: all its invocations go one way.
    if (p < first_conv().parameters_end) {
        found = conv_gradient(first_conv(), p);
    } else if (p < second_conv().parameters_end) {
        found = conv_gradient(second_conv(), p);
    } else if (p < hidden_layer().parameters_end) {
        found = dense_gradient(hidden_layer(), p);
    } else if (p < output_layer().parameters_end) {
        found = dense_gradient(output_layer(), p);
    } else {
        found = scalar_gradient(p);
    }
    if (!found.here) {
        return;
    }
    let g = found.gradient;
    let m = beta1 * first_moment[p] + rest1 * g;
    let v = beta2 * second_moment[p] + rest2 * (g * g);
    gradient[p] = g;
    first_moment[p] = m;
    second_moment[p] = v;
    let step = slot.learning_rate * (m / slot.correction1) / (sqrt(v / slot.correction2) + eps);
    parameter[p] = parameter[p] - step;
}
