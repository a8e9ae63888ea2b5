"""Writes interchange.safetensors and interchange.csv: weights trained in PyTorch, and the similarities
that PyTorch computes from them.

    pip install numpy torch safetensors
    python tests/library/golden/interchange.py

200 images of 20 classes and 3,000 pairs come from an integer hash, repeated in tests/interchange.rs.
The network is the one of docs/pytorch.py, in float32 on one thread.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "docs"))
from pytorch import SnLeNet5  # noqa: E402

IMAGES, CLASSES, PAIRS = 200, 20, 3000


def hashed(stream, index):
    """32 random bits: two rounds of xor, shift and multiply."""
    x = (np.asarray(index, dtype=np.uint64) * 2654435761 + stream * 40503) & 0xFFFFFFFF
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 73244475) & 0xFFFFFFFF
    return x ^ (x >> 16)


def images():
    """Squares of 4x4 pixels by class, with noise: uint8 [200, 1, 28, 28]."""
    y, x = np.mgrid[:28, :28]
    found = []
    for image in range(IMAGES):
        squares = hashed(1, (image % CLASSES) * 49 + (y // 4) * 7 + x // 4) % 160
        noise = hashed(2, image * 784 + y * 28 + x) % 96
        found.append(squares + noise)
    return torch.from_numpy(np.array(found).astype(np.uint8)).unsqueeze(1)


def pairs():
    """The second image is of the first one's class in every other pair."""
    number = np.arange(PAIRS)
    a = hashed(3, number) % IMAGES
    other = hashed(4, number) % IMAGES
    alike = a % CLASSES + CLASSES * (other % (IMAGES // CLASSES))
    return a.astype(np.int64), np.where(number % 2 == 0, alike, other).astype(np.int64)


torch.set_num_threads(1)
torch.manual_seed(0)
network, pictures = SnLeNet5(), images()
a, b = pairs()
same = torch.from_numpy((a % CLASSES == b % CLASSES).astype(np.float32))
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
for step in range(150):
    batch = slice(64 * (step % 40), 64 * (step % 40) + 64)
    loss = ((network(pictures[a[batch]], pictures[b[batch]]) - same[batch]) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
network.eval()
with torch.no_grad():
    similarity = network(pictures[a], pictures[b]).numpy()
save_file(network.state_dict(), HERE / "interchange.safetensors")
lines = [f"{i},{j},{s:.9g}" for i, j, s in zip(a, b, similarity)]
(HERE / "interchange.csv").write_text("a,b,similarity\n" + "\n".join(lines) + "\n")
print(f"loss {loss.item():.4f}; similarities {similarity.min():.6f} to {similarity.max():.6f}, "
      f"{np.mean((similarity > 0.1) & (similarity < 0.9)):.3f} of them between 0.1 and 0.9")
