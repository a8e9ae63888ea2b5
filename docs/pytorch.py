"""SN-LeNet-5 in PyTorch, with the names and layouts of this program's weights.

    pip install torch safetensors

    from safetensors.torch import load_file, save_file
    network = SnLeNet5()
    network.load_state_dict(load_file("runs/1-sn-lenet5-mnist/best.safetensors"))
    network.eval()
    similarity = network(a, b)             # a, b: uint8 [pairs, 1, 28, 28]
    save_file(network.state_dict(), "from_pytorch.safetensors")
"""

import torch
from torch import nn
from torch.nn import functional as F


class SnLeNet5(nn.Module):
    def __init__(self, channels=1, size=28):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2 if size == 28 else 0)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.head = nn.ModuleDict({"norm": nn.BatchNorm1d(1), "fc": nn.Linear(1, 1)})
        # Similarity must fall with distance: from a random sign half of all runs stay at 50 %.
        nn.init.constant_(self.head["fc"].weight, -1.0)
        nn.init.zeros_(self.head["fc"].bias)

    def embed(self, images):
        x = images.float() / 255
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))

    def forward(self, a, b):
        x, y = self.embed(torch.cat([a, b])).chunk(2)
        distance = ((x - y) ** 2).sum(1, keepdim=True).clamp_min(1e-7).sqrt()
        return self.head["fc"](self.head["norm"](distance)).sigmoid().squeeze(1)
