"""Signal and noise layer by layer, between a model.onnx and the float file it stands for."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto

from winnow.deploy.graphs import Graph, base_name, is_named, read_model
from winnow.deploy.onnx_runtime import intermediate_values
from winnow.deploy.operations import WEIGHTED, layer_name, weights_of
from winnow.measure.metrics import sqnr_db
from winnow.study.quality import LayerNoise

log = logging.getLogger(__name__)
_CLIPPING = {"Relu", "Clip"}
_SAME_ORDER = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}  # of the values
_ROUNDING = {"QuantizeLinear", "DequantizeLinear"}
_FOLLOWED = _CLIPPING | _SAME_ORDER | _ROUNDING | {"Cast", "BatchNormalization"}
_INTEGER_PRODUCTS = {"ConvInteger", "MatMulInteger"}
Key = tuple[str, int]
"""A weight by its name, and which of the nodes that read it (from 1)."""


def layer_sqnr(source: str | Path, quantized: str | Path, images: np.ndarray) -> tuple[LayerNoise, ...]:
    """Compare the output of every layer with constant weights, its bias, ReLU and rounding included.

    Layers of the two files are matched by the weights that they read. This is a diagnosis: what has no match, such as
    a weight that was computed from others, is left out.

    Args:
        source: model.onnx in float.
        quantized: made from it (dynamic), or from the same network (ptq, qat).
        images: as both files take them, [N, C, H, W].

    Returns:
        In the order of the network; the ratio is None for an exact layer.
    """
    reference, other = read_model(source), read_model(quantized)
    expected = _outputs(Graph(reference.graph))
    found = _outputs(Graph(other.graph), expected)
    common = [key for key in expected if key in found]
    if left_out := [layer_name(*key) for key in {**expected, **found} if key not in common]:
        log.info("%s: no match for %s, compared are %d layers", quantized, ", ".join(left_out), len(common))
    if not common:
        return ()
    values = intermediate_values(reference, list(dict.fromkeys(expected[key] for key in common)), images)
    others = intermediate_values(other, list(dict.fromkeys(found[key] for key in common)), images)
    pairs = {key: (values[expected[key]].ravel(), others[found[key]].ravel()) for key in common}
    return tuple(
        LayerNoise(layer_name(*key), sqnr_db(value, noisy))
        for key, (value, noisy) in pairs.items()
        if value.size == noisy.size
    )


def _outputs(graph: Graph, reference: dict[Key, str] | None = None) -> dict[Key, str]:
    """Return the value that each layer with constant weights ends in.

    Args:
        reference: of the float file. Dynamic quantization keeps the names of its values, and puts operators of its own
            in between.
    """
    uses: Counter[str] = Counter()
    outputs = {}
    for node in graph.nodes:
        if node.op_type in WEIGHTED and (weights := weights_of(graph, node)):
            name = base_name(weights[0].name)
            uses[name] += 1
            key = (name, uses[name])
            if not is_named(name):
                continue
            if node.op_type in _INTEGER_PRODUCTS and reference:
                if graph.producer(reference.get(key, "")):
                    outputs[key] = reference[key]
            else:
                outputs[key] = _end(graph, node)
    return outputs


def _end(graph: Graph, node: NodeProto) -> str:
    """Follow the output of a layer through bias, batch norm, clipping and rounding, while it has one reader."""
    value: str = node.output[0]
    end, codes = value, False
    while readers := graph.readers(value):
        reader = readers[0]
        rounded = all(reader.op_type == "DequantizeLinear" for reader in readers)
        if not rounded and (len(readers) > 1 or not _belongs(graph, reader, value)):
            return end
        value = reader.output[0]
        if reader.op_type in _ROUNDING:
            codes = reader.op_type == "QuantizeLinear"
        if not codes:  # integers, clipped or not, are no output to compare
            end = value
    return end


def _belongs(graph: Graph, reader: NodeProto, value: str) -> bool:
    if reader.op_type == "Add":
        return all(name == value or graph.computed_from_constants(name) for name in reader.input)
    if reader.op_type == "Mul":  # an approximate network adds up whole numbers, and float64 brings them to their unit
        constants = filter(None, map(graph.constant, reader.input))
        return any(constant.data_type == TensorProto.DOUBLE for constant in constants)
    return reader.op_type in _FOLLOWED
