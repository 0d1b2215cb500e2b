"""What a runtime really executed: its layers, on integers or in float."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto

from winnow.deploy.runtimes import FLOAT, INTEGER, compiled, open_session, session_options

_FUSED = re.compile(r"(_token_\d+|/.*)$")  # what fusions append to the name of a node


@dataclass(frozen=True)
class Layer:
    """A convolution, matrix product or the like as executed: the node of the file it comes from, and its kernel."""

    name: str
    operator: str

    @property
    def integer(self) -> bool:
        return self.operator in INTEGER


def executed_layers(path: str | Path, shape: Sequence[int], *, optimize: bool = True) -> list[Layer]:
    """Return the convolutions and matrix products that ONNX Runtime executes for one image, in their order.

    The runtime's own profile says which kernels ran, so that nothing counts as quantized that was fused back
    into floating point. How much they multiply is counted in `operations`.

    Args:
        shape: (C, H, W).
        optimize: as the runtime does it; else as the file has them.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(threads=1)
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = open_session(str(path), options, path)
        session.run(None, {session.get_inputs()[0].name: np.zeros((1, *shape), np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
    return [
        Layer(_FUSED.sub("", event["name"].removesuffix("_kernel_time")), operator)
        for event in events
        if event["name"].endswith("_kernel_time") and (operator := event["args"]["op_name"]) in FLOAT | INTEGER
    ]


def intermediate_values(model: ModelProto, names: Sequence[str], images: np.ndarray | None) -> dict[str, np.ndarray]:
    """Run a model in ONNX Runtime without graph optimizations, so that every value is there, and return some.

    Args:
        model: outputs are added to it.
        images: float32 [N, C, H, W]; None for a model without input.
    """
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in outputs)
    options = session_options(threads=1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = open_session(model.SerializeToString(), options, "a graph with all its values")
    feed = {} if images is None else {session.get_inputs()[0].name: images}
    return dict(zip(names, session.run(list(names), feed), strict=True))


@dataclass(frozen=True)
class OpenVinoLayer:
    """A convolution or matrix product as OpenVINO executes it.

    Attributes:
        names: of the nodes of the file that it was made of; OpenVINO renames some.
        factors: the types of what it multiplies: `u8`, `i8`, `f32`, ... What OpenVINO calls its precision is that of
            the weights, also where they are turned into float to be multiplied.
    """

    names: tuple[str, ...]
    factors: tuple[str, ...]

    @property
    def integer(self) -> bool:
        return set(self.factors) <= {"u8", "i8"}


def openvino_layers(path: str | Path) -> list[OpenVinoLayer]:
    """Return the convolutions and matrix products that OpenVINO executes, recurrent ones included, in their order."""
    kinds = {"Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNSeq", "RNNCell"}
    layers = []
    for operation in compiled(path, threads=1).get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()
        if info["layerType"].astype(str) in kinds:
            names = info["originalLayersNames"].astype(str).split(",")
            names = tuple(dict.fromkeys(name.partition("/")[0] for name in names))
            factors = tuple(value.get_element_type().get_type_name() for value in operation.inputs()[:2])
            layers.append(OpenVinoLayer(names, factors))
    return layers
