"""What torch's ONNX exporter knows of operators, collected once for all files that a process exports."""

from __future__ import annotations

import functools
import inspect


def keep_torchlib() -> None:
    """Keep what the exporter reads from the source of a thousand functions, half a second for each file.

    Exports only look things up in it, unless they are given operators of their own, which none of Winnow's is. Not a
    public name: without it, exporting is slower.
    """
    from torch.onnx._internal.exporter import _registration

    if registry := getattr(_registration, "ONNXRegistry", None):
        collect = getattr(registry, "from_torchlib", None)
        if inspect.ismethod(collect):  # else it is kept already
            registry.from_torchlib = staticmethod(functools.cache(collect))
