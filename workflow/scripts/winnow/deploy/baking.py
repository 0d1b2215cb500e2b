"""Normalization at the beginning of a graph, so that a file takes pixels.

A first layer on integers reads normalized values that are rounded again, not the pixels: each channel is normalized by
numbers of its own, and the runtimes' integer kernels take inputs with one scale and zero point. OpenVINO makes one
operator of normalization and rounding, from integers to integers; ONNX Runtime computes the product and the sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array

from winnow.data.normalization import Normalization

PIXELS = "pixels"


def bake(model: ModelProto, normalization: Normalization) -> None:
    """Let a graph take `pixels`, uint8 [N, C, H, W] in RGB as images are stored, and normalize them, in place.

    Product and sum are rounded each, other than in `Normalization`, where both are rounded once.
    """
    taken = model.graph.input[0]
    nodes = _nodes(normalization, taken.name)
    taken.name, taken.type.tensor_type.elem_type = PIXELS, TensorProto.UINT8
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def _nodes(normalization: Normalization, normalized: str) -> list[NodeProto]:
    """Return what makes the value of this name of the pixels.

    What is multiplied and added are nodes, as they are no weights of the network. A slash is in no name of its own.
    """
    scale, shift, order, value = f"{PIXELS}/scale", f"{PIXELS}/shift", f"{PIXELS}/order", PIXELS
    by_channel = (1, -1, 1, 1)
    nodes = [
        _constant(scale, normalization.scale.reshape(by_channel)),
        _constant(shift, normalization.shift.reshape(by_channel)),
    ]
    if normalization.flipped:
        nodes += [_constant(order, np.arange(len(normalization.mean))[::-1].astype(np.int64))]
        nodes += [_node("Gather", [value, order], f"{PIXELS}/ordered", axis=1)]
        value = f"{PIXELS}/ordered"
    return [
        *nodes,
        _node("Cast", [value], f"{PIXELS}/float", to=TensorProto.FLOAT),
        _node("Mul", [f"{PIXELS}/float", scale], f"{PIXELS}/scaled"),
        _node("Add", [f"{PIXELS}/scaled", shift], normalized, name=f"{PIXELS}/shifted"),
    ]


def _node(kind: str, inputs: list[str], output: str, name: str | None = None, **attributes: Any) -> NodeProto:
    return make_node(kind, inputs, [output], name=name or output, **attributes)


def _constant(name: str, values: np.ndarray) -> NodeProto:
    return make_node("Constant", [], [name], name=name, value=from_array(values, name))
