"""What the gauntlet knows of a network: the situation it stands for, and what must come out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

STAGES = ("fp32", "dynamic", "ptq", "qat", "masks", "channels", "channels_ptq")
AGREES = "agrees"


def without_channels(reason: str) -> dict[str, str]:
    """Return the refusals of a network that cannot lose channels."""
    return dict.fromkeys(("channels", "channels_ptq"), reason)


@dataclass(frozen=True)
class Network:
    """One network of the gauntlet.

    Attributes:
        name: also the name of its function.
        situation: what it stands for, one line.
        factory: (channels, (height, width), classes) -> module from images to logits.
        shape: (channels, height, width) of its images.
        integer: share of the multiply-accumulates of the ptq file that run on integers.
        reason: why not all of them, for the table.
        refused: by stage, a part of the one-line message; stages that are not named agree in both runtimes.
    """

    name: str
    situation: str
    factory: Callable[[int, tuple[int, int], int], nn.Module]
    shape: tuple[int, int, int] = (3, 16, 16)
    classes: int = 4
    integer: float = 1.0
    reason: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)

    def expected(self, stage: str) -> str:
        """Return `agrees`, or a part of the refusal."""
        return self.refused.get(stage, AGREES)


def collector() -> tuple[list[Network], Callable]:
    """Return the networks of one theme, and the decorator that adds a factory to them.

    The decorated function's docstring is the situation.
    """
    found: list[Network] = []

    def network(**facts):
        def add(factory):
            situation = " ".join(factory.__doc__.split()).removesuffix(".")
            found.append(Network(factory.__name__, situation, factory, **facts))
            return factory

        return add

    return found, network
