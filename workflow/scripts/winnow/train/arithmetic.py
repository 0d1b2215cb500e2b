"""The arithmetic of a training run: float32, or bfloat16 where it is safe and fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = {f"conv{kind}{dimensions}d" for kind in ("", "_transpose") for dimensions in (1, 2, 3)}
"""Names of torch's convolutions, as functions and as operators of a captured graph."""
_GROUPS = 6  # place of the number of groups among the arguments of each


def resolve_precision(name: str, device: torch.device) -> str:
    """Turn `auto` into `bf16` where the device multiplies it natively, else `fp32`."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    flags = torch.cpu.get_capabilities()
    return "bf16" if flags.get("amx_bf16") or flags.get("avx512_bf16") else "fp32"


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Compute in bfloat16 where it is safe, and fast; weights stay float32."""
    narrow = precision == "bf16"
    grouped = _GroupedInFloat() if narrow and device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=narrow), grouped:
        yield


class _GroupedInFloat(TorchFunctionMode):
    """Leaves grouped convolutions in float32: on a CPU, their gradient in bfloat16 takes several times as long."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if _is_grouped(function, args, kwargs):
            with torch.autocast("cpu", enabled=False):
                return function(args[0].float(), *args[1:], **kwargs)
        return function(*args, **kwargs)


def _is_grouped(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if getattr(function, "__name__", "").split(".")[0] not in _CONVOLUTIONS:
        return False
    groups: int = args[_GROUPS] if len(args) > _GROUPS else kwargs.get("groups", 1)
    return groups > 1
