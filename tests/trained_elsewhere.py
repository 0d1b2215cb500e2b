"""A network trained without Winnow: a plain PyTorch script, as users bring it.

    python trained_elsewhere.py IMAGES FOLDER

IMAGES has train/CLASS/*.png and test/CLASS/*.png of 32 x 32 pixels; FOLDER gets `net.pth`, a state dict, and
`checkpoint.pth` of a DataParallel network, with a moving average of its weights beside them.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

MEAN, STD = 0.45, 0.27


class SmallNet(nn.Module):
    """float [N, 3, 32, 32] -> logits [N, classes]."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


def small_net(classes, **_):
    """The same as a factory of Winnow."""
    return SmallNet(classes)


def read(folder):
    """Return the images of a split, normalized, float [N, 3, 32, 32], and their labels."""
    images, labels = [], []
    for label, name in enumerate(sorted(path.name for path in folder.iterdir())):
        for path in sorted((folder / name).glob("*.png")):
            pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy())
            images.append((pixels.permute(2, 0, 1) / 255 - MEAN) / STD)
            labels.append(label)
    return torch.stack(images), torch.tensor(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    images, labels = read(arguments.images / "train")
    network = nn.DataParallel(SmallNet(int(labels.max()) + 1))
    torch.save(network.module.state_dict(), arguments.folder / "initial.pth")
    average = torch.optim.swa_utils.AveragedModel(
        network.module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(arguments.epochs):
        for batch in torch.randperm(len(images)).split(16):
            optimizer.zero_grad()
            functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
            average.update_parameters(network.module)
    torch.optim.swa_utils.update_bn([images], average)
    torch.save(network.module.state_dict(), arguments.folder / "net.pth")
    checkpoint = {
        "model": network.state_dict(),
        "model_ema": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "args": arguments,
        "best": np.float64(0.9),
    }
    torch.save(checkpoint, arguments.folder / "checkpoint.pth")


if __name__ == "__main__":
    main()
