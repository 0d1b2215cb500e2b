"""Small ONNX files for tests: exported networks, and graphs written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from winnow.data.dataset import ImageDataset
from winnow.deploy.export import export_checked
from winnow.quantize.images import calibration_batches
from winnow.quantize.static import quantize_static
from winnow.study.recipe import Recipe


class Hourglass(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1)
        self.up = nn.ConvTranspose2d(8, 8, 4, 2, 1)
        self.again = nn.Conv2d(8, 8, 3, 2, 1)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = functional.relu(self.up(functional.relu(self.down(x))))
        return self.head(functional.relu(self.again(x)).mean((2, 3)))


class Attention(nn.Module):
    """16 tokens of 16 features, two heads."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.wide = nn.Linear(16, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(functional.gelu(self.wide(x)).mean(1))


def exported(network: type[nn.Module], data: ImageDataset, path: Path, kind: str = "fp32") -> Path:
    """Export a network with random weights, in fp32 or ptq."""
    torch.manual_seed(0)
    model = network().eval()
    if kind == "ptq":
        model = quantize_static(model, calibration_batches(data, 32), Recipe("ptq", "minmax"))
    export_checked(model, data, path, run=kind, integer=kind == "ptq")
    return path


def model_of(nodes: Sequence[NodeProto], constants: Mapping[str, np.ndarray]) -> ModelProto:
    """Return a graph from `images` [batch, 4, 4, 4] to `logits` [batch, n]."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ("batch", 4, 4, 4))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", "n"))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
