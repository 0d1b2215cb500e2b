"""What a network loses if one layer alone does: scored on validation images, before anything is trained again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from winnow.data.batches import Split
from winnow.data.dataset import ImageDataset
from winnow.models.copies import copied
from winnow.models.narrowing import replay
from winnow.prune.cuts import removals_of
from winnow.prune.masks import Masks
from winnow.study.sparsity import Curve, Probe
from winnow.train.validation import score

_IMAGES = 1000  # at most: more tell layers apart no better
_CPU = torch.device("cpu")


def without_weights(model: nn.Module, parameters: Mapping[str, str], layer: str, keep: Tensor) -> nn.Module:
    """Return a copy of a network without some weights of one layer.

    Args:
        parameters: their names, by layer.
        keep: bool [n], one for each.
    """
    network = copied(model)
    parameter = parameters[layer]
    Masks({parameter: keep.view(network.get_parameter(parameter).shape)}).apply(network)
    return network


def without_channels(
    model: nn.Module, origin: Mapping[str, tuple[int, Tensor]], example: Tensor, root: str, keep: Tensor
) -> nn.Module:
    """Return a copy of a network without some channels of one group.

    Args:
        origin: by the root of a group, how many channels it once had, and the places of those that the network has.
        keep: bool, for each that it once had.
    """
    network = copied(model)
    replay(network, [removals_of({root: keep[origin[root][1]]})], example)
    return network


class Probes:
    """Scores networks that lost part of one layer, and keeps what came of it.

    Args:
        lacking: returns the network, in inference mode, if of one layer (or group of channels) these entries stay.
    """

    def __init__(self, data: ImageDataset, lacking: Callable[[str, Tensor], nn.Module]) -> None:
        self._lacking = lacking
        self._split = Split.of(data.few(2, _IMAGES, 1), "validation", _CPU)
        self._found: dict[str, list[Probe]] = {}

    def loss(self, layer: str, keep: Tensor, alive: Tensor) -> float:
        """Score one network.

        Args:
            keep, alive: bool [n], what stays of the layer, and what it has.
        """
        loss, top1 = score(self._lacking(layer, keep), self._split, _CPU, "fp32")
        removed = 1 - int(keep.sum()) / int(alive.sum())
        self._found.setdefault(layer, []).append(Probe(removed, loss, top1))
        return loss

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Return all that was found, in the order in which it was."""
        return tuple(Curve(layer, tuple(probes)) for layer, probes in self._found.items())
