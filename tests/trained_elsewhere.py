"""A network trained without Winnow: a plain PyTorch script, as users bring it.

    python trained_elsewhere.py IMAGES FOLDER

IMAGES has train/CLASS/*.png and test/CLASS/*.png of any size. FOLDER gets `net.pth`, a state dict, `checkpoint.pth` of
a DataParallel network with a moving average of its weights beside them, and `predictions.json`, the classes that this
average gives the test images. Sizes, normalization and the order of the classes are the script's own.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torchvision import transforms

CLASSES = ["red", "blue", "green"]
PIPELINE = transforms.Compose(
    [
        transforms.Resize(36),
        transforms.CenterCrop((32, 24)),
        transforms.ToTensor(),
        transforms.Normalize((0.49, 0.45, 0.43), (0.21, 0.22, 0.23)),
    ]
)


class SmallNet(nn.Module):
    """float [N, 3, H, W] -> logits [N, classes]."""

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
    """Return the images of a split, float [N, 3, 32, 24], their labels, and their paths."""
    paths = [path for name in CLASSES for path in sorted((folder / name).glob("*.png"))]
    images = [PIPELINE(Image.open(path).convert("RGB")) for path in paths]
    return torch.stack(images), torch.tensor([CLASSES.index(path.parent.name) for path in paths]), paths


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    images, labels, _ = read(arguments.images / "train")
    network = nn.DataParallel(SmallNet(len(CLASSES)))
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
    images, labels, paths = read(arguments.images / "test")
    with torch.no_grad():
        found = average.eval()(images).argmax(1)
    names = {str(path.relative_to(arguments.images)): CLASSES[label] for path, label in zip(paths, found, strict=True)}
    content = {"top1": (found == labels).float().mean().item(), "predictions": names}
    (arguments.folder / "predictions.json").write_text(json.dumps(content))
    (arguments.folder / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))


if __name__ == "__main__":
    main()
