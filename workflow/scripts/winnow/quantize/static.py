"""Post-training static quantization: ranges observed on calibration images (Krishnamoorthi 2018, Nagel et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from winnow.capture.exported import captured
from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.quantize.int8 import plan_of
from winnow.quantize.lowering import lowered
from winnow.quantize.ranges import Observer
from winnow.rng import generator

_BATCH = 64


def check_calibration(data: ImageDataset, count: int) -> None:
    """Refuse to calibrate on more images than there are.

    Raises:
        WinnowError: the training split has fewer.
    """
    if count > len(data.train_index):
        raise WinnowError(
            f"data set {data.name}: quantization.ptq.calibration_samples is {count}, "
            f"but the training split has {len(data.train_index)} images; lower it"
        )


def calibration_batches(data: ImageDataset, count: int) -> Iterator[Tensor]:
    """Draw `count` images from the training split, without augmentation.

    Yields:
        Normalized float32 [N, C, H, W].

    Raises:
        WinnowError: the split has fewer.
    """
    check_calibration(data, count)
    split = Split.of(data, "train", torch.device("cpu"))
    chosen = torch.randperm(len(split), generator=generator(0))[:count]
    for index in chosen.split(_BATCH):
        yield split.normalized(split.take(index)).contiguous()


def quantize_static(model: nn.Module, batches: Iterable[Tensor], observer: str) -> GraphModule:
    """Return an int8 module whose ranges were observed on calibration batches.

    Args:
        model: fp32; it is not changed.
        batches: normalized float32 [N, C, H, W], at least one, the first of at least 2 images.
        observer: `histogram` (least expected squared error) or `minmax`.
    """
    batches = iter(batches)
    first = next(batches)
    graph_module = captured(model, first)
    plan = plan_of(graph_module)
    observers = {root: Observer(observer) for root in plan.roots}
    watched = _Watched(graph_module, observers)
    with torch.no_grad():
        watched.run(first)
        for batch in batches:
            watched.run(batch)
    return lowered(graph_module, plan, {root: seen.scale() for root, seen in observers.items()})


class _Watched(Interpreter):
    """Runs a graph and shows each value to its observer."""

    def __init__(self, graph_module: GraphModule, observers: dict[str, Observer]) -> None:
        super().__init__(graph_module)
        self._observers = observers

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.name in self._observers:
            self._observers[n.name].see(value)
        return value
