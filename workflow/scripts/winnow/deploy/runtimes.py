"""The runtimes people ship on, each as a function from images to logits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
from torch import nn

from winnow.errors import WinnowError

Network = Callable[[np.ndarray], np.ndarray]
"""float32 [N, C, H, W] -> float32 logits [N, classes]."""
FLOAT = {"Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"}
INTEGER = {"QLinearConv", "QGemm", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"}
INTEGER |= {"MatMulIntegerToFloat"}
_REASON = 200  # characters
_LOADING = """
import json, sys, numpy, openvino
try:
    network = openvino.Core().compile_model(sys.argv[1], "CPU", json.loads(sys.argv[2]))
    shape = [size.get_length() if size.is_static else 2 for size in network.input(0).partial_shape]
    network({0: numpy.zeros(shape, numpy.float32)})
except RuntimeError as error:
    print(str(error))
    sys.exit(1)
"""


def load_onnxruntime(path: str | Path, threads: int) -> Network:
    """Load model.onnx in ONNX Runtime on the CPU, with all its graph optimizations."""
    session = open_session(str(path), session_options(threads), path)
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def load_openvino(path: str | Path, threads: int) -> Network:
    """Load model.onnx in OpenVINO on the CPU; what is not quantized is computed in fp32, not bf16."""
    request = compiled(path, threads).create_infer_request()
    return lambda images: request.infer({0: images}, share_inputs=True)[0]


def load_torch(model: nn.Module, threads: int) -> Network:
    """Run a module eagerly, channels last."""
    model = model.eval().to(memory_format=torch.channels_last)

    def run(images: np.ndarray) -> np.ndarray:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            return model(torch.from_numpy(images).to(memory_format=torch.channels_last)).numpy()

    return run


def openvino_failure(path: str | Path) -> str | None:
    """Return in a line why OpenVINO does not load and run a file; None if it does.

    Tried in a process of its own, for on some graphs OpenVINO crashes.
    """
    command = [sys.executable, "-c", _LOADING, str(path), json.dumps(_openvino_settings(threads=1))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"crashes ({signal.Signals(-done.returncode).name})"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1][:_REASON] if lines else f"ends with code {done.returncode}"


def session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def open_session(
    model: str | bytes, options: onnxruntime.SessionOptions, name: str | Path
) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class but this
        raise WinnowError(f"{name}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from error


@cache
def _core() -> openvino.Core:
    """Return the one of this process.

    Each CPU plugin replaces the process's signal stack and puts the last one back when it ends; plugins that end in
    another order than they began leave a freed one behind, on which the next signal crashes the process.
    """
    return openvino.Core()


def _openvino_settings(threads: int) -> dict[str, str | int]:
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }


def compiled(path: str | Path, threads: int) -> openvino.CompiledModel:
    try:
        return _core().compile_model(str(path), "CPU", _openvino_settings(threads))
    except RuntimeError as error:
        raise WinnowError(f"{path}: OpenVINO cannot load it ({str(error).splitlines()[0]})") from error
