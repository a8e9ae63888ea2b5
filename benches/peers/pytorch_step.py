"""Times one training step of SN-LeNet-5 (64 pairs, Adam) in PyTorch on two CPU threads.

    pip install numpy torch
    python benches/peers/pytorch_step.py

Data is in memory as f32 before the clock starts; a step is forward, loss, backward and Adam.
"""

import torch
from torch import nn

from common import THREADS, batches, report


class SnLeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.subnet = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
        self.norm = nn.BatchNorm1d(1)
        self.fc = nn.Linear(1, 1)
        nn.init.constant_(self.fc.weight, -1)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images):
        a, b = self.subnet(images).chunk(2)
        d = (a - b).square().sum(1, keepdim=True).clamp(min=1e-7).sqrt()
        return torch.sigmoid(self.fc(self.norm(d)))[:, 0]


def main():
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    # Channels last and fused Adam were the fastest; torch.compile was slower than eager here.
    model = SnLeNet5().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-8, fused=True)

    def train_step(images, same):
        s = model(images)
        loss = ((1 - same) * s.square() + same * (1 - s).clamp(min=0).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    data = [(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(same))
            for images, same in batches()]
    report(f"PyTorch {torch.__version__}", train_step, data)


if __name__ == "__main__":
    main()
