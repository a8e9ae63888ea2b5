"""SN-LeNet-5 in PyTorch: a peer of compare.py, as `eager`, `compile`, `cuda` or `cuda-graph`.

Batches are f32 tensors on the device before the clock starts; a step is forward, loss, backward, Adam
and the loss read back.
"""

import sys

import numpy as np
import torch
from torch import nn

from common import EMBED, THREADS, Material, serve

MODE = sys.argv[3]
DEVICE = torch.device("cuda" if MODE.startswith("cuda") else "cpu")


class SnLeNet5(nn.Module):
    def __init__(self, material):
        super().__init__()
        conv1, conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        fc1, fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
        for layer, values in ((conv1, material.conv("conv1")), (conv2, material.conv("conv2")),
                              (fc1, material.dense("fc1")), (fc2, material.dense("fc2"))):
            for parameter, value in zip((layer.weight, layer.bias), values):
                parameter.data.copy_(torch.from_numpy(value))
        self.subnet = nn.Sequential(
            conv1, nn.ReLU(), nn.MaxPool2d(2), conv2, nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), fc1, nn.ReLU(), fc2, nn.ReLU())
        self.norm = nn.BatchNorm1d(1)
        self.fc = nn.Linear(1, 1)
        nn.init.constant_(self.fc.weight, -1)
        nn.init.zeros_(self.fc.bias)

    def compare(self, a, b):
        d = (a - b).square().sum(1, keepdim=True).clamp(min=1e-7).sqrt()
        return torch.sigmoid(self.fc(self.norm(d)))[:, 0]

    def forward(self, images):
        return self.compare(*self.subnet(images).chunk(2))


def loss_of(model, images, same):
    s = model(images)
    return ((1 - same) * s.square() + same * (1 - s).clamp(min=0).square()).mean()


def graphed(model, optimizer, batch):
    """The whole step as one CUDA graph, replayed on a batch that is copied in."""
    static = [tensor.clone() for tensor in batch]

    def body():
        optimizer.zero_grad(set_to_none=False)
        loss = loss_of(model, *static)
        loss.backward()
        optimizer.step()
        return loss

    states = [module.state_dict() for module in (model, optimizer)]
    saved = [{k: v.clone() for k, v in states[0].items()}]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = body()
    # Warming up has trained: back to the start.
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(saved[0][name])
        for state in optimizer.state.values():
            for value in state.values():
                value.zero_()

    def step(batch):
        for to, value in zip(static, batch):
            to.copy_(value)
        graph.replay()
        return loss.item()

    return step


def main():
    torch.set_num_threads(THREADS)
    material = Material()
    # Channels last and fused Adam were the fastest.
    model = SnLeNet5(material).to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-8, fused=True,
                                 capturable=MODE == "cuda-graph")
    loss_function = torch.compile(loss_of) if MODE == "compile" else loss_of

    def on_device(images):
        return torch.from_numpy(images).permute(0, 3, 1, 2).to(DEVICE)

    batches = [(on_device(images), torch.from_numpy(same).to(DEVICE)) for images, same in material.batches()]

    def step(batch):
        loss = loss_function(model, *batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    if MODE == "cuda-graph":
        step = graphed(model, optimizer, batches[0])
    images, rows = material.test_images()
    images, rows = on_device(images), torch.from_numpy(rows.astype(np.int64)).to(DEVICE)

    @torch.no_grad()
    def score():
        model.eval()
        embeddings = torch.cat([model.subnet(part) for part in images.split(EMBED)])
        similarities = model.compare(embeddings[rows[:, 0]], embeddings[rows[:, 1]]).cpu().numpy()
        model.train()
        return similarities

    serve(f"PyTorch {torch.__version__} {MODE}", material, step, score, batches)


if __name__ == "__main__":
    main()
