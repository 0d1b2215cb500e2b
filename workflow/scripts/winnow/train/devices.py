"""Device and determinism of a training run, chosen in one place."""

from __future__ import annotations

import os

import torch

from winnow.errors import WinnowError
from winnow.train.gpu_slots import claim_gpu


def resolve_device(name: str, run: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda` into a device; of several GPUs, into the least taken.

    Raises:
        WinnowError: `cuda` is asked for and there is none.
    """
    if name != "cpu":
        claim_gpu()
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise WinnowError(f"{run}: training.device is cuda, but torch sees no GPU here; use auto or cpu")
    return torch.device("cuda", 0) if present and name in ("auto", "cuda") else torch.device("cpu")


def make_deterministic(*, compiled: bool) -> None:
    """Set all determinism of the process: same seed, machine and thread count give the same bits on a CPU.

    On a GPU, operators without a deterministic kernel warn and run.

    Args:
        compiled: whether torch's compiler is to know, which has to be loaded for that (a second).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if compiled:
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        torch.set_deterministic_debug_mode("warn")
    # costs time and hides nothing here; torch defines it in a way that no type checker sees
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def surroundings(device: torch.device) -> str:
    """Return on what the bits of a training run depend beside its inputs: torch, threads, and kind of processor."""
    if device.type == "cuda":
        return f"torch {torch.__version__}, {torch.cuda.get_device_name(device)}"
    threads, kind = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    return f"torch {torch.__version__}, {threads} threads, CPU with {kind}"
