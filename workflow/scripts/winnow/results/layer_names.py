"""Layers in a sentence: which lose their channels together, which keep them, which stay in float."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from winnow.study.quality import FloatLayer
from winnow.study.sparsity import Group, LeftAlone

_NAMED = 3  # layers that a sentence names


def left_in_float(layers: Iterable[FloatLayer]) -> str:
    """Say what stays in float, largest share first: `56.2 % ConvTranspose: the reason (up1, up2)`."""
    shares: dict[tuple[str, str], float] = {}
    names: dict[tuple[str, str], list[str]] = {}
    for layer in layers:
        key = (layer.operator, layer.reason)
        shares[key] = shares.get(key, 0.0) + layer.macs
        names.setdefault(key, []).append(layer.layer)
    order = sorted(shares, key=lambda key: -shares[key])
    return "; ".join(f"{100 * shares[key]:.1f} % {key[0]}: {key[1]} ({_few(names[key])})" for key in order)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def together(groups: Iterable[Group]) -> str:
    """Say which layers lose the same channels: `conv1, block1.conv2 (64 channels); 16 layers on their own`."""
    groups = tuple(groups)
    parts = [f"{_few(group.members)} ({group.width} channels)" for group in groups if len(group.members) > 1]
    alone = len(groups) - len(parts)
    if alone:
        parts.append("1 layer on its own" if alone == 1 else f"{alone} layers on their own")
    return "; ".join(parts)


def left_alone(layers: Iterable[LeftAlone]) -> str:
    """Say which layers kept their channels, by reason: `a transposed convolution (up1, up2)`."""
    names: dict[str, list[str]] = {}
    for entry in layers:
        names.setdefault(entry.reason, []).append(entry.layer)
    return "; ".join(f"{reason} ({_few(layers)})" for reason, layers in names.items())
