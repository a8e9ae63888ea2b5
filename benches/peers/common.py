"""What the peers share: the pairs they train on and the way they are timed."""

import json
import time

import numpy as np

THREADS, PAIRS = 2, 64
WARM_UP, STEPS, BATCHES = 50, 400, 32


def batches():
    """Batches of 128 images (NHWC, branch A first) and 64 labels, half of them 1.

    Ten noisy patterns stand for classes, so that the network has something to learn.
    """
    rng = np.random.default_rng(0)
    patterns = rng.random((10, 28, 28, 1))
    for _ in range(BATCHES):
        a = rng.integers(0, 10, PAIRS)
        b = np.where(np.arange(PAIRS) % 2, a, (a + rng.integers(1, 10, PAIRS)) % 10)
        noise = rng.random((2 * PAIRS, 28, 28, 1))
        images = 0.7 * patterns[np.concatenate([a, b])] + 0.3 * noise
        yield images.astype(np.float32), (a == b).astype(np.float32)


def report(peer, train_step, data):
    """Times `train_step(images, same)`, which returns the loss as a number, and prints a JSON line."""
    times = []
    for step in range(WARM_UP + STEPS):
        images, same = data[step % BATCHES]
        start = time.perf_counter()
        loss = train_step(images, same)
        times.append((time.perf_counter() - start) * 1e6)
    # A network that has collapsed may run at another speed.
    assert loss < 0.2, loss
    p10, median, p90 = np.percentile(times[WARM_UP:], [10, 50, 90]).round(1).tolist()
    timing = {"median": median, "p10": p10, "p90": p90, "n": STEPS}
    print(json.dumps({"peer": peer, "threads": THREADS, "batch_size": PAIRS, "steps": STEPS,
                      "train_step_us": timing}))
