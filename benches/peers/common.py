"""What the peers share: the data that `train_step --serve` wrote, and the talk with compare.py."""

import json
import sys
import time
from pathlib import Path

import numpy as np

THREADS, PAIRS = int(sys.argv[2]), 64
FOLDER = Path(sys.argv[1])
# Images that the peers embed at a time.
EMBED = 1024


class Material:
    def __init__(self):
        side = 28
        self.images = np.fromfile(FOLDER / "images.u8", np.uint8).reshape(-1, side, side, 1)
        self.weights = {name: np.array(values, np.float32) for name, values in
                        json.loads((FOLDER / "weights.json").read_text()).items()}
        self.train, self.test = (np.fromfile(FOLDER / f"{name}.u32", np.uint32).reshape(-1, 3)
                                 for name in ("train", "test"))

    def floats(self, numbers):
        """Images [n, 28, 28, 1] in 0 to 1."""
        return self.images[numbers].astype(np.float32) / np.float32(255)

    def batches(self):
        """Batches of 128 images (branch A first) and 64 labels."""
        for first in range(0, len(self.train), PAIRS):
            part = self.train[first:first + PAIRS]
            yield self.floats(np.r_[part[:, 0], part[:, 1]]), part[:, 2].astype(np.float32)

    def test_images(self):
        """Each image of the test pairs once, and the pairs as rows of them."""
        unique, rows = np.unique(self.test[:, :2], return_inverse=True)
        return self.floats(unique), rows.reshape(-1, 2)

    def dense(self, layer, inputs=None):
        """Weight [out, in] and bias."""
        bias = self.weights[f"{layer}.bias"]
        return self.weights[f"{layer}.weight"].reshape(len(bias), -1), bias

    def conv(self, layer):
        """Weight [out, in, 5, 5] and bias."""
        bias = self.weights[f"{layer}.bias"]
        return self.weights[f"{layer}.weight"].reshape(len(bias), -1, 5, 5), bias


def serve(peer, material, train_step, score, batches):
    """`train_step(batch)` returns the loss as a number; `score()` the similarities of all test pairs."""
    same = material.test[:, 2] == 1
    first_loss, done = None, 0
    print(json.dumps({"peer": peer}), flush=True)
    for line in sys.stdin:
        command, *count = line.split()
        if command == "score":
            start = time.perf_counter()
            similarities = score()
            us = (time.perf_counter() - start) * 1e6
            accuracy = 100 * float(np.mean((np.asarray(similarities) > 0.5) == same))
            print(json.dumps({"us": [us], "accuracy": accuracy}), flush=True)
            continue
        times = []
        for _ in range(int(count[0])):
            batch = batches[done % len(batches)]
            start = time.perf_counter()
            loss = train_step(batch)
            times.append((time.perf_counter() - start) * 1e6)
            first_loss = loss if first_loss is None else first_loss
            done += 1
        print(json.dumps({"us": times, "first_loss": first_loss, "loss": loss}), flush=True)
