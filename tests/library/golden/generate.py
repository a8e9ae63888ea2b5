"""Writes ops.json and training.json, the values that the CPU reference is held to.

    pip install numpy torch
    python tests/library/golden/generate.py

Versions that made the shipped files: Python 3.11.7, NumPy 2.4.6, PyTorch 2.15.0 (CPU).

Everything is float64 on one CPU thread. Inputs are exact in float32, so an f32
implementation starts from the same numbers; gradients are those of
torch.autograd with a random upstream gradient `dy`.

training.json is ten free-running Adam steps of SN-LeNet-5. Many true gradients
of `fc2.bias` are 0, and f32 rounding noise there becomes full Adam steps when
eps is 1e-8. In f64 the noise is far below eps, so the trajectory is one that
another f64 implementation can follow step by step.

Nothing big is stored: initial values and images come from an integer hash,
see `hashed`, `initial_parameters` and `images_of_step`.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
torch.set_num_threads(1)

CLAMP = 1e-7  # the least sum of squares under the root of the Euclidean distance


# --- ops.json ---------------------------------------------------------------

cases = []


def source(op, case):
    """A random source of the case's own: a new case leaves the others as they are."""
    return np.random.RandomState(zlib.crc32(f"{op}/{case}".encode()))


def exact(values):
    """Rounded to f32, widened to f64, ready for autograd."""
    wide = np.asarray(values, dtype=np.float32).astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(wide)).requires_grad_()


def normal(rng, *shape):
    return exact(rng.standard_normal(shape))


def gradients(y, dy, **inputs):
    """dy and the gradient of every named input, under the name d<input>."""
    found = torch.autograd.grad(y, list(inputs.values()), dy)
    return {"dy": dy} | {f"d{name}": gradient for name, gradient in zip(inputs, found)}


def add(op, case, attributes, **tensors):
    stored = {
        name: {"shape": list(t.shape), "data": t.detach().flatten().tolist()}
        for name, t in tensors.items()
    }
    cases.append({"op": op, "case": case, "attributes": attributes, "tensors": stored})


def conv2d(case, images, in_channels, in_height, in_width, out_channels, kernel, stride, padding, groups=1):
    (height, width), (above, left) = kernel, padding
    attributes = {
        "images": images, "in_channels": in_channels, "in_height": in_height, "in_width": in_width,
        "out_channels": out_channels, "groups": groups, "kernel_height": height, "kernel_width": width,
        "stride": stride, "padding_height": above, "padding_width": left,
    }
    rng = source("conv2d", case)
    x = normal(rng, images, in_channels, in_height, in_width)
    weight = normal(rng, out_channels, in_channels // groups, height, width)
    bias = normal(rng, out_channels)
    y = F.conv2d(x, weight, bias, stride, padding, groups=groups)
    back = gradients(y, normal(rng, *y.shape), x=x, weight=weight, bias=bias)
    add("conv2d", case, attributes, x=x, weight=weight, bias=bias, y=y, **back)


conv2d("5x5_pad2_one_channel", 2, 1, 7, 9, 3, kernel=(5, 5), stride=1, padding=(2, 2))
conv2d("5x5_valid", 2, 2, 9, 7, 4, kernel=(5, 5), stride=1, padding=(0, 0))
conv2d("3x3_stride2_pad1", 3, 2, 7, 5, 3, kernel=(3, 3), stride=2, padding=(1, 1))
conv2d("3x3_stride2_pad1_unused_edge", 2, 3, 8, 6, 2, kernel=(3, 3), stride=2, padding=(1, 1))
conv2d("1x1", 3, 5, 5, 3, 4, kernel=(1, 1), stride=1, padding=(0, 0))
conv2d("1x1_stride2", 2, 3, 7, 4, 5, kernel=(1, 1), stride=2, padding=(0, 0))
conv2d("groups", 2, 6, 5, 4, 4, kernel=(3, 3), stride=1, padding=(1, 1), groups=2)
conv2d("depthwise_stride2", 2, 3, 6, 5, 3, kernel=(3, 3), stride=2, padding=(1, 1), groups=3)
conv2d("depthwise_row_on_one_place", 3, 5, 1, 1, 5, kernel=(1, 3), stride=1, padding=(0, 1), groups=5)
conv2d("5x2_stride2", 2, 2, 7, 6, 3, kernel=(5, 2), stride=2, padding=(2, 0))


def first_of_maxima(x, y, dy, size, stride, padding):
    """dx where each window's gradient goes to its first maximum, row by row."""
    x = F.pad(x, [padding] * 4, value=-math.inf)
    dx = torch.zeros_like(x)
    for n, c, oy, ox in np.ndindex(*y.shape):
        top, left = oy * stride, ox * stride
        best = x[n, c, top : top + size, left : left + size].flatten().tolist()
        row, column = divmod(best.index(max(best)), size)
        dx[n, c, top + row, left + column] += dy[n, c, oy, ox]
    return F.pad(dx, [-padding] * 4)


def pool2d(case, images, channels, in_height, in_width, size, stride, kind, ties=False, padding=0):
    attributes = dict(locals())
    rng = source("pool2d", attributes.pop("case"))
    shape = images, channels, in_height, in_width
    x = exact(rng.randint(-2, 3, shape)) if attributes.pop("ties") else normal(rng, *shape)
    y = (F.max_pool2d if kind == "max" else F.avg_pool2d)(x, size, stride, padding)
    back = gradients(y, normal(rng, *y.shape), x=x)
    if kind == "max":
        torch.testing.assert_close(back["dx"], first_of_maxima(x, y, back["dy"], size, stride, padding))
    add("pool2d", case, attributes, x=x, y=y, **back)


for kind in "max", "average":
    pool2d(f"{kind}_2x2_odd_sizes", 2, 3, 7, 5, 2, 2, kind)
    pool2d(f"{kind}_2x2_stride1", 2, 2, 5, 6, 2, 1, kind)
    pool2d(f"{kind}_3x3_stride2", 2, 2, 8, 7, 3, 2, kind)
    pool2d(f"{kind}_3x3_stride2_pad1", 2, 2, 8, 7, 3, 2, kind, padding=1)
    pool2d(f"{kind}_2x2_stride1_pad1", 2, 2, 5, 4, 2, 1, kind, padding=1)
pool2d("max_2x2_ties", 2, 2, 7, 6, 2, 2, "max", ties=True)
pool2d("max_2x2_stride1_ties", 2, 2, 6, 5, 2, 1, "max", ties=True)


def activation(kind, function):
    rng = source("activation", kind)
    # The ends of the range, where a careless tanh or sigmoid gives NaN, and the kink.
    special = [0.0, 1e-6, -1e-6, 1e-3, -1e-3, 20, -20, 100, -100]
    x = exact(special + list(3 * rng.standard_normal(28)))
    y = function(x)
    back = gradients(y, normal(rng, *x.shape), x=x)
    add("activation", kind, {"count": len(x), "kind": kind}, x=x, y=y, **back)


activation("relu", torch.relu)
activation("tanh", torch.tanh)
activation("sigmoid", torch.sigmoid)


def scale(case, images, channels, height, width):
    rng = source("scale", case)
    x, factors = normal(rng, images, channels, height, width), normal(rng, images, channels, 1, 1)
    y = x * factors
    back = gradients(y, normal(rng, *y.shape), x=x, scale=factors)
    add("scale", case, {"images": images, "channels": channels, "spatial": height * width},
        x=x, scale=factors, y=y, **back)


scale("odd_sizes", 5, 3, 4, 7)
scale("one_place", 2, 6, 1, 1)


def channel_conv(case, images, channels, kernel):
    rng = source("channel_conv", case)
    x, weight = normal(rng, images, channels), normal(rng, 1, 1, kernel)
    y = F.conv1d(x[:, None], weight, padding=kernel // 2)[:, 0]
    back = gradients(y, normal(rng, *y.shape), x=x, weight=weight)
    add("channel_conv", case, {"images": images, "channels": channels, "kernel": kernel},
        x=x, weight=weight, y=y, **back)


channel_conv("three_taps", 5, 9, 3)
channel_conv("more_taps_than_channels", 2, 3, 7)


def dropout(case, images, values, branches, first, layer, rate, seed):
    """Masks by an implementation of the hash that knows nothing of the other one."""
    rng = source("dropout", case)

    def mix(bits):
        bits = (bits ^ bits >> 16) * 0x7FEB352D % 2**32
        bits = (bits ^ bits >> 15) * 0x846CA68B % 2**32
        return bits ^ bits >> 16

    def stays(image, value):
        entry, branch = first + image % (images // branches), image // (images // branches)
        element = (entry * branches + branch) * values + value
        key = mix(seed[0] ^ layer * 0x9E3779B9 % 2**32)
        return mix((mix(element % 2**32 ^ key) + seed[1]) % 2**32) >= int(rate * 2**32)

    mask = exact([[stays(image, value) for value in range(values)] for image in range(images)])
    x = normal(rng, images, values)
    y = x * mask * (1 / (1 - rate))
    back = gradients(y, normal(rng, *y.shape), x=x)
    attributes = {"images": images, "values": values, "branches": branches, "first": first, "layer": layer,
                  "rate": rate, "seed_low": seed[0], "seed_high": seed[1]}
    add("dropout", case, attributes, x=x, y=y, **back)


dropout("a_half", 5, 9, 1, 0, 0, 0.5, (1, 2))
dropout("pairs_behind_others", 6, 11, 2, 3, 7, 0.25, (0x89ABCDEF, 0x01234567))


def standardize(case, images, pixels):
    """PROTOCOLS: x / std(x) - mean(x) of each image alone; an image of one colour is not divided."""
    rng = source("standardize", case)
    data = rng.randint(0, 256, (images, pixels))
    data[0] = 77
    raw = torch.from_numpy(data / 255.0)
    deviation = raw.std(dim=1, keepdim=True, unbiased=False)
    deviation[0] = 1.0
    y = raw / deviation - raw.mean(dim=1, keepdim=True)
    add("standardize", case, {"images": images, "pixels": pixels}, data=torch.from_numpy(data), y=y)


standardize("odd_sizes", 5, 21)


def dense(case, images, inputs, outputs):
    rng = source("dense", case)
    x, weight, bias = normal(rng, images, inputs), normal(rng, outputs, inputs), normal(rng, outputs)
    y = F.linear(x, weight, bias)
    back = gradients(y, normal(rng, *y.shape), x=x, weight=weight, bias=bias)
    attributes = {"images": images, "inputs": inputs, "outputs": outputs}
    add("dense", case, attributes, x=x, weight=weight, bias=bias, y=y, **back)


dense("odd_sizes", 5, 17, 7)
dense("one_image", 1, 9, 4)
dense("one_output", 6, 5, 1)


def batch_norm(case, images, channels, spatial, eps, momentum):
    attributes = dict(locals())
    rng = source("batch_norm", attributes.pop("case"))
    x = exact(2 * rng.standard_normal((images, channels, spatial)) + 1)
    weight, bias = normal(rng, channels), normal(rng, channels)
    running_mean = normal(rng, channels).detach()
    running_var = exact(rng.uniform(0.5, 2, channels)).detach()
    mean, var = running_mean.clone(), running_var.clone()
    # The biased variance normalises, the unbiased one goes into running_var.
    y = F.batch_norm(x, mean, var, weight, bias, True, momentum, eps)
    y_infer = F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    back = gradients(y, normal(rng, *y.shape), x=x, weight=weight, bias=bias)
    add("batch_norm", case, attributes, x=x, weight=weight, bias=bias,
        running_mean=running_mean, running_var=running_var, y=y,
        running_mean_after=mean, running_var_after=var, **back, y_infer=y_infer)


def add_up(count):
    rng = source("add", count)
    a, b = normal(rng, count), normal(rng, count)
    y = a + b
    add("add", f"{count}_values", {"count": count}, a=a, b=b, y=y, **gradients(y, normal(rng, count), a=a, b=b))


add_up(37)


batch_norm("scalar", 7, 1, 1, eps=1e-5, momentum=0.1)
batch_norm("features", 6, 5, 1, eps=1e-5, momentum=0.1)
batch_norm("channels", 5, 3, 10, eps=1e-5, momentum=0.1)
batch_norm("one_image_other_constants", 1, 4, 9, eps=1e-3, momentum=0.25)


def euclidean(a, b):
    return (a - b).square().sum(1).clamp(min=CLAMP).sqrt()


def l1(a, b):
    return (a - b).abs().sum(1)


def distance(kind, function, features):
    pairs = 7
    rng = source("distance", f"{kind}/{features}")
    a = rng.standard_normal((pairs, features)).astype(np.float32)
    b = rng.standard_normal((pairs, features)).astype(np.float32)
    b[3, ::2] = a[3, ::2]  # some differences are exactly 0
    b[4] = a[4]
    for row, total in (5, 0.97 * CLAMP), (6, 1.03 * CLAMP):
        b[row] = a[row] + rng.choice([-1, 1], features) * math.sqrt(total / features)
    sums = np.square(a.astype(np.float64) - b).sum(1)
    assert 0.95 * CLAMP < sums[5] < 0.99 * CLAMP and 1.01 * CLAMP < sums[6] < 1.05 * CLAMP
    x = exact(np.concatenate([a, b]))
    y = function(x[:pairs], x[pairs:])
    back = gradients(y, normal(rng, pairs), x=x)
    if kind == "euclidean":
        assert not back["dx"][[4, 5, pairs + 4, pairs + 5]].any() and back["dx"][6].all()
    attributes = {"pairs": pairs, "features": features, "kind": kind}
    add("distance", f"{kind}_{features}", attributes, x=x, y=y, **back)


for features in 5, 19:
    distance("euclidean", euclidean, features)
    distance("l1", l1, features)


def head(pairs, slope, offset):
    rng = source("head", pairs)
    x, weight, bias = exact(3 * rng.standard_normal(pairs)), exact([[slope]]), exact([offset])
    y = torch.sigmoid(F.linear(x[:, None], weight, bias)).flatten()
    back = gradients(y, normal(rng, pairs), x=x, weight=weight, bias=bias)
    add("head", f"{pairs}_pairs", {"pairs": pairs}, x=x, weight=weight, bias=bias, y=y, **back)


head(9, slope=-1, offset=0)
head(14, slope=1.7, offset=-0.3)


def contrastive_similarity(s, same, margin):
    return ((1 - same) * s.square() + same * (margin - s).clamp(min=0).square()).mean()


def contrastive_distance(d, same, margin):
    return (same * d.square() + (1 - same) * (margin - d).clamp(min=0).square()).mean()


def contrastive(convention, margin):
    rng = source("contrastive", f"{convention}/{margin}")
    # Exactly 0, at the margin and at the two thresholds, each once as same and once not.
    special = [0, margin, 0.5, margin / 2]
    drawn = rng.uniform(0, 1 if convention == "similarity" else 2 * margin, 11)
    x = exact([*special, *special, *drawn])
    same = exact([0] * 4 + [1] * 4 + [0, 1] * 5 + [1])
    if convention == "similarity":
        loss = contrastive_similarity(x, same, margin)
        guess = x > 0.5
    else:
        loss = contrastive_distance(x, same, margin)
        guess = x < margin / 2
    hits = (guess == (same == 1)).sum().double()
    (dx,) = torch.autograd.grad(loss, x)
    attributes = {"pairs": len(x), "margin": margin, "convention": convention}
    add("contrastive", f"{convention}_margin_{margin}", attributes,
        x=x, same=same, loss=loss.reshape(1), dx=dx, hits=hits.reshape(1))


for convention in "similarity", "distance":
    for margin in 1.0, 0.75:
        contrastive(convention, margin)


def softmax_cross_entropy(case, images, classes, size):
    rng = source("softmax_cross_entropy", case)
    x = exact(size * rng.standard_normal((images, classes)))
    label = torch.from_numpy(rng.randint(0, classes, images))
    loss = F.cross_entropy(x, label)
    (dx,) = torch.autograd.grad(loss, x)
    hits = (x.argmax(1) == label).sum().double()
    add("softmax_cross_entropy", case, {"images": images, "classes": classes},
        x=x, label=label.double(), loss=loss.reshape(1), hits=hits.reshape(1), dx=dx)


softmax_cross_entropy("ten_classes", 19, 10, 1.5)
softmax_cross_entropy("far_apart", 5, 3, 400)


def episode(case, pairs, features, way):
    rng = source("episode", case)
    x = normal(rng, 2 * pairs, features)
    firsts, seconds = (half.reshape(-1, way, features) for half in x.chunk(2))
    y = -(firsts[:, :, None] - seconds[:, None]).square().sum(-1).reshape(pairs, way)
    back = gradients(y, normal(rng, pairs, way), x=x)
    add("episode", case, {"pairs": pairs, "features": features, "way": way}, x=x, y=y, **back)


episode("four_of_three", 12, 7, 3)
episode("two_of_nine", 18, 19, 9)


def weighted_sum(case, pairs, features):
    rng = source("weighted_sum", case)
    a, b = rng.standard_normal((2, pairs, features))
    b[::2, 1] = a[::2, 1]  # features that do not differ
    x, weight, bias = exact(np.concatenate([a, b])), normal(rng, 1, features), normal(rng, 1)
    y = -F.linear((x[:pairs] - x[pairs:]).abs(), weight, bias).flatten()
    back = gradients(y, normal(rng, pairs), x=x, weight=weight, bias=bias)
    assert not back["dx"][0, 1] and back["dx"][1, 1]
    add("weighted_sum", case, {"pairs": pairs, "features": features},
        x=x, weight=weight, bias=bias, y=y, **back)


weighted_sum("few", 5, 3)
weighted_sum("many", 18, 21)


def binary_cross_entropy(link, scale=12.5, floor=2.0**-20):
    rng = source("binary_cross_entropy", link)
    if link == "logit":
        x = exact([0, 0, 300, 300, -300, -300, *3 * rng.standard_normal(12)])
        loss = lambda same: F.binary_cross_entropy_with_logits(-x, same)
        y = torch.sigmoid(-x)
    else:
        # Below the floor, closely above it, and far.
        drawn = [0, 0, floor / 2, floor / 2, 2 * floor, 2 * floor, 40, 40, *rng.uniform(0, 2, 10)]
        x = exact(scale * np.array(drawn))
        e = (x / scale).clamp(min=floor)
        # The logarithm of 1 - exp(-e), either way where it is exact, and its gradient too.
        rest = torch.where(e < 0.5, torch.log(-torch.expm1(-e)), torch.log1p(-torch.exp(-e)))
        loss = lambda same: torch.where(same == 1, e, -rest).mean()
        y = torch.exp(-e)
    same = exact([0, 1] * 9)
    loss = loss(same.detach())
    hits = ((y > 0.5) == (same == 1)).sum().double()
    (dx,) = torch.autograd.grad(loss, x, retain_graph=True)
    attributes = {"pairs": len(x), "link": link, "scale": scale, "floor": floor}
    add("binary_cross_entropy", link, attributes,
        x=x, same=same, loss=loss.reshape(1), hits=hits.reshape(1), dx=dx, y=y)


binary_cross_entropy("logit")
binary_cross_entropy("exponential")


def adam(eps, weight_decay=0.0, steps=5, count=13):
    case = f"eps_{eps:g}" + (f"_decay_{weight_decay:g}" if weight_decay else "")
    rng = source("adam", eps)
    parameter, learning_rates = normal(rng, count), exact([1e-3, 1e-3, 5e-4, 2e-3, 1e-3])
    scale = 10.0 ** rng.uniform(-6, 1, count)  # from far below to far above eps = 1e-4
    per_step = rng.standard_normal((steps, count)) * scale
    per_step[:, 0] = 0
    per_step[0, 1] = per_step[2, 2] = per_step[4, 3] = 0
    stored = exact(per_step)
    p = parameter.detach().clone()
    optimizer = torch.optim.AdamW([p], betas=(0.9, 0.999), eps=eps, weight_decay=weight_decay)
    for gradient, rate in zip(stored.detach(), learning_rates.tolist()):
        p.grad = gradient
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    state, zeros = optimizer.state[p], torch.zeros_like(p)
    attributes = {"count": count, "beta1": 0.9, "beta2": 0.999, "eps": eps,
                  "weight_decay": weight_decay, "steps": steps}
    add("adam", case, attributes, parameter=parameter, first_moment=zeros,
        second_moment=zeros, gradients=stored, learning_rates=learning_rates, parameter_after=p,
        first_moment_after=state["exp_avg"], second_moment_after=state["exp_avg_sq"])


adam(1e-8)
adam(1e-4)
adam(1e-8, weight_decay=10)


def sgd(momentum, penalty, rate=0.0625, steps=5, count=13):
    case = f"momentum_{momentum:g}_penalty_{penalty:g}"
    rng = source("sgd", case)
    parameter, gradients = normal(rng, count), normal(rng, steps, count)
    p = parameter.detach().clone()
    optimizer = torch.optim.SGD([p], lr=rate, momentum=momentum, weight_decay=penalty)
    for gradient in gradients.detach():
        p.grad = gradient
        optimizer.step()
    # PyTorch keeps a sum of gradients, which at one rate is the velocity over minus that rate. Without momentum
    # it keeps nothing: the last step is what the last gradient says.
    buffer = optimizer.state[p].get("momentum_buffer")
    attributes = {"count": count, "momentum": momentum, "penalty": penalty, "rate": rate, "steps": steps}
    kept = {} if buffer is None else {"velocity_after": -rate * buffer}
    add("sgd", case, attributes, parameter=parameter, gradients=gradients, parameter_after=p, **kept)


sgd(0.0, 0.0)
sgd(0.5, 0.0)
sgd(0.875, 0.25)


def warp(case, images, channels, height, width):
    attributes = dict(locals())
    rng = source("warp", attributes.pop("case"))
    bytes = exact(rng.randint(0, 256, (images, channels, height, width))).detach()
    # Units of a pixel. Multiples of these lead to multiples of 1/256, where nothing is rounded.
    scales = rng.randint(-190, 191, (images, 2, 2)) / 128
    offsets = rng.randint(-500, 501, (images, 2, 1)) / 256
    scales[0], offsets[0] = np.eye(2), 0
    scales[1], offsets[1] = [[-1, 0], [0, 1]], [[1], [-2]]
    matrices = exact(np.concatenate([scales, offsets], 2)).detach()
    # Places of the result's pixels from the middle, (x, y, 1) each.
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2]).double()
    places = torch.stack([x - middle[0], y - middle[1], torch.ones(height, width)], 2).double()
    read = torch.einsum("nik,hwk->nhwi", matrices, places)
    y = F.grid_sample(bytes, read / middle, mode="bilinear", padding_mode="zeros", align_corners=True) / 255
    add("warp", case, attributes, bytes=bytes, matrices=matrices, y=y)


warp("one_channel", 5, 1, 9, 7)
warp("colour_even_sides", 3, 3, 6, 8)


# --- training.json ----------------------------------------------------------

STEPS, PAIRS, PIXELS = 10, 6, 28 * 28
# In this order: the position is the tensor's number in the hash. The last four are constants.
SHAPES = {
    "conv1.weight": (6, 1, 5, 5), "conv1.bias": (6,),
    "conv2.weight": (16, 6, 5, 5), "conv2.bias": (16,),
    "fc1.weight": (120, 400), "fc1.bias": (120,),
    "fc2.weight": (84, 120), "fc2.bias": (84,),
    "head.norm.weight": (1,), "head.norm.bias": (1,),
    "head.fc.weight": (1, 1), "head.fc.bias": (1,),
}
FAN_IN = {"conv1": 25, "conv2": 150, "fc1": 400, "fc2": 120}
CONSTANT = {"head.norm.weight": 1.0, "head.norm.bias": 0.0, "head.fc.weight": -1.0, "head.fc.bias": 0.0}


def hashed(t, i):
    """32 bits for number i of tensor t; all arithmetic modulo 2^32."""
    x = (i * 2654435761 + t * 40503 + 12345) & 0xFFFFFFFF
    x ^= x >> 16
    x = (x * 0x45D9F3B) & 0xFFFFFFFF
    return x ^ (x >> 16)


def initial_parameters():
    """Uniform in +-1/sqrt(fan_in), computed in f64 and rounded to f32."""
    parameters = {}
    for t, (name, shape) in enumerate(SHAPES.items()):
        if name in CONSTANT:
            values = np.full(shape, CONSTANT[name])
        else:
            bits = hashed(t, np.arange(math.prod(shape), dtype=np.uint64))
            u = bits.astype(np.float64) / 2**32 * 2 - 1
            values = (u / math.sqrt(FAN_IN[name.split(".")[0]])).reshape(shape)
        parameters[name] = exact(values)
    return parameters


def images_of_step(step):
    """12 images of bytes, branch A first; B of an even pair is 3/4 its A, so they are alike."""
    i = np.arange(2 * PAIRS * PIXELS, dtype=np.uint64) + np.uint64(PIXELS * 2 * PAIRS * step)
    images = (hashed(1000, i) >> 24).astype(np.int64).reshape(2 * PAIRS, PIXELS)
    for p in range(0, PAIRS, 2):
        images[PAIRS + p] = (3 * images[p] + images[PAIRS + p]) // 4
    # Divided in f64, so unlike everything else here this is not exact in f32.
    return torch.from_numpy(images).double().reshape(2 * PAIRS, 1, 28, 28) / 255


def forward(w, running, x):
    x = F.max_pool2d(torch.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=2)), 2)
    x = F.max_pool2d(torch.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"])), 2)
    x = torch.relu(F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]))
    x = torch.relu(F.linear(x, w["fc2.weight"], w["fc2.bias"]))
    d = euclidean(x[:PAIRS], x[PAIRS:])
    normed = F.batch_norm(
        d[:, None], running["head.norm.running_mean"], running["head.norm.running_var"],
        w["head.norm.weight"], w["head.norm.bias"], training=True, momentum=0.1, eps=1e-5)
    s = torch.sigmoid(F.linear(normed, w["head.fc.weight"], w["head.fc.bias"])).flatten()
    return d, s


def digest(tensor, most):
    """Norm and sum of all values, and up to `most` of them, spread evenly from first to last."""
    flat = tensor.detach().flatten()
    n = len(flat)
    index = list(range(n)) if n <= most else [k * (n - 1) // (most - 1) for k in range(most)]
    return {"norm": flat.norm().item(), "sum": flat.sum().item(),
            "index": index, "value": flat[index].tolist()}


def digests(tensors, most):
    return {name: digest(tensor, most) for name, tensor in tensors.items()}


def training():
    w = initial_parameters()
    running = {"head.norm.running_mean": torch.zeros(1).double(),
               "head.norm.running_var": torch.ones(1).double()}
    same = torch.tensor([1.0, 0.0] * (PAIRS // 2)).double()
    optimizer = torch.optim.Adam(w.values(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    for step in range(STEPS):
        d, s = forward(w, running, images_of_step(step))
        loss = contrastive_similarity(s, same, 1.0)
        optimizer.zero_grad()
        loss.backward()
        found = digests({name: tensor.grad for name, tensor in w.items()}, 96)
        optimizer.step()
        yield {"loss": loss.item(), "hits": ((s > 0.5) == (same == 1)).sum().item(),
               "similarity": s.tolist(), "distance": d.tolist(), "gradients": found,
               "parameters": digests(w, 24), "running": digests(running, 24)}


def write(name, items):
    """A list with one item to a line, so that a change shows as the lines it touches."""
    lines = ",\n".join(json.dumps(item, allow_nan=False, separators=(",", ":")) for item in items)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


write("ops.json", cases)
write("training.json", training())
