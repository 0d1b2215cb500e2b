"""Layers in a sentence: which lose their channels together, which keep them, which stay in float."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_NAMED = 3  # layers that a sentence names


def left_in_float(layers: Iterable[dict[str, Any]]) -> str:
    """Say what stays in float, largest share first: `56.2 % ConvTranspose: the reason (up1, up2)`."""
    shares: dict[tuple[str, str], float] = {}
    names: dict[tuple[str, str], list[str]] = {}
    for layer in layers:
        key = (layer["operator"], layer["reason"])
        shares[key] = shares.get(key, 0.0) + layer["macs"]
        names.setdefault(key, []).append(layer["layer"])
    order = sorted(shares, key=lambda key: -shares[key])
    return "; ".join(f"{100 * shares[key]:.1f} % {key[0]}: {key[1]} ({_few(names[key])})" for key in order)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def together(groups: Iterable[dict[str, Any]]) -> str:
    """Say which layers lose the same channels: `conv1, block1.conv2 (64 channels); 16 layers on their own`."""
    members = [(group["members"], group["width"]) for group in groups]
    several = [f"{_few(names)} ({width} channels)" for names, width in members if len(names) > 1]
    alone = len(members) - len(several)
    return "; ".join(
        several + [f"{alone} layer{'s' * (alone > 1)} on {'their' if alone > 1 else 'its'} own"] * bool(alone)
    )


def left_alone(layers: Iterable[dict[str, str]]) -> str:
    """Say which layers kept their channels, by reason: `a transposed convolution (up1, up2)`."""
    names: dict[str, list[str]] = {}
    for entry in layers:
        names.setdefault(entry["reason"], []).append(entry["layer"])
    return "; ".join(f"{reason} ({_few(layers)})" for reason, layers in names.items())
