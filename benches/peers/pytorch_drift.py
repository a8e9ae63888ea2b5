"""How far PyTorch's f32 training parts from itself: pytorch_drift.py MNIST_FOLDER

Trains SN-LeNet-5 (ReLU, maximum pooling) for 50 steps with Adam's eps at 1e-4, twice from starts of
which one has its first convolution one unit in the last place higher, and prints the largest
difference of the loss for five seeds. Needs: torch, numpy.
"""

import gzip
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def read(name, header):
    with gzip.open(f"{sys.argv[1]}/{name}") as file:
        return np.frombuffer(file.read(), np.uint8)[header:]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
        self.norm, self.head = nn.BatchNorm1d(1), nn.Linear(1, 1)
        for layer in (self.conv1, self.conv2, self.fc1, self.fc2):
            bound = layer.weight[0].numel() ** -0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.uniform_(layer.bias, -bound, bound)
        nn.init.constant_(self.head.weight, -1.0)
        nn.init.constant_(self.head.bias, 0.0)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        a, b = F.relu(self.fc2(F.relu(self.fc1(x)))).chunk(2)
        distance = ((a - b) ** 2).sum(1).clamp(min=1e-7).sqrt()
        return torch.sigmoid(self.head(self.norm(distance[:, None])))[:, 0]


def losses(seed, images, labels, moved):
    torch.manual_seed(seed)
    network, random = Network(), np.random.RandomState(seed)
    if moved:
        with torch.no_grad():
            weight = network.conv1.weight
            weight.copy_(torch.nextafter(weight, torch.full_like(weight, 9.0)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-4)
    of_class = [np.where(labels == digit)[0] for digit in range(10)]
    same, found = np.arange(64) % 2 == 0, []
    for _ in range(50):
        a = random.randint(0, len(images), 64)
        classes = [labels[i] if s else (labels[i] + random.randint(1, 10)) % 10 for i, s in zip(a, same)]
        b = np.array([random.choice(of_class[c]) for c in classes])
        s = network(torch.tensor(images[np.r_[a, b]]).float() / 255)
        y = torch.tensor(same).float()
        loss = ((1 - y) * s**2 + y * (1 - s).clamp(min=0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return np.array(found)


images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:6000]
labels = read("train-labels-idx1-ubyte.gz", 8)[:6000].astype(int)
for seed in range(5):
    apart = np.abs(losses(seed, images, labels, False) - losses(seed, images, labels, True))
    print(f"seed {seed}: largest difference of the loss in 50 steps {apart.max():.1e}")
