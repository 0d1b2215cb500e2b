"""Reading ONNX graphs: who makes and who reads a value, and which values are constants."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from winnow.errors import WinnowError
from winnow.study.task import Task

# These move, name or scale the values of a constant: what is behind them is still that constant.
_CARRYING = {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "DequantizeLinear"}


_ADDED = re.compile(r"(_Transposed|_quantized)+$")  # by ONNX Runtime's dynamic quantization
_UNNAMED = re.compile(r"val_\d+$")  # the exporter's own
_USE = re.compile(r"_use\d+$")  # a further constant made from one weight, see `constants.restore_names`


def read_model(path: str | Path) -> ModelProto:
    """Read a model.onnx.

    Raises:
        WinnowError: it is damaged or absent.
    """
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's own exception is no ValueError
        raise WinnowError(f"{path}: not readable as ONNX ({error}); delete it and run again") from error


def read_task(path: str | Path) -> Task:
    """Return what the network in a file is built for, from the shapes of its input and output.

    Raises:
        WinnowError: it is damaged, or does not map images to logits.
    """
    graph = read_model(path).graph
    sizes = [
        [size.dim_value for size in value.type.tensor_type.shape.dim] for value in (graph.input[0], graph.output[0])
    ]
    match sizes:
        case [[_, channels, height, width], [_, classes]] if all((channels, height, width, classes)):
            return Task.of((channels, height, width), classes)
    raise WinnowError(f"{path}: maps {sizes[0]} to {sizes[1]}, not images to logits; delete it and run again")


def computation(path: str | Path, hint: str = "") -> str:
    """Return a digest of what a model.onnx computes: its operators, their attributes, and the shapes of its constants.

    Two networks with one digest do the same work, whatever their weights.

    Args:
        hint: of the precision that it is computed in, see `runtimes.Shipping`.
    """
    model = read_model(path)
    seen = hashlib.sha256(hint.encode())
    numbers: dict[str, str] = {}  # values by the order in which they appear: names may differ

    def number(value: str) -> str:
        return numbers.setdefault(value, str(len(numbers)))

    for constant in sorted(model.graph.initializer, key=lambda constant: constant.name):
        shapes = constant.raw_data.hex() if constant.data_type == TensorProto.INT64 else ""  # of other values
        numbers[constant.name] = f"{constant.data_type}{list(constant.dims)}{shapes}"
    for node in every_node(model):
        attributes = sorted(
            (attribute.name, b"" if attribute.type == AttributeProto.TENSOR else attribute.SerializeToString())
            for attribute in node.attribute
        )
        values = [*map(number, node.input), "->", *map(number, node.output)]
        seen.update(repr((node.domain, node.op_type, values, attributes)).encode())
    return seen.hexdigest()


def every_node(model: ModelProto) -> Iterator[NodeProto]:
    """Yield the nodes of a model, those of functions and of the bodies of loops and branches included."""
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in nodes:
            yield node
            yield from inner_nodes(node)


def inner_nodes(node: NodeProto) -> Iterator[NodeProto]:
    """Yield the nodes in the bodies of a loop or branch, at any depth."""
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            for body in (attribute.g, *attribute.graphs):
                for inner in body.node:
                    yield inner
                    yield from inner_nodes(inner)


def base_name(constant: str) -> str:
    """Return the name of the weight that a constant was made from."""
    return _USE.sub("", _ADDED.sub("", constant))


def is_named(constant: str) -> bool:
    """Whether a constant has a name of the network's, not one that the exporter counted up."""
    return not _UNNAMED.match(base_name(constant))


class Graph:
    """An ONNX graph, read only."""

    def __init__(self, graph: GraphProto) -> None:
        self.nodes = list(graph.node)
        self.initializers: dict[str, TensorProto] = {constant.name: constant for constant in graph.initializer}

    @cached_property
    def _producers(self) -> dict[str, NodeProto]:
        return {name: node for node in self.nodes for name in node.output}

    @cached_property
    def _readers(self) -> dict[str, list[NodeProto]]:
        readers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                readers.setdefault(name, []).append(node)
        return readers

    def producer(self, value: str) -> NodeProto | None:
        return self._producers.get(value)

    def readers(self, value: str) -> list[NodeProto]:
        return self._readers.get(value, [])

    def constant(self, value: str) -> TensorProto | None:
        """Return the constant that a value is, as it is stored (quantized, transposed or reshaped), or None."""
        while value not in self.initializers:
            node = self.producer(value)
            if node is None or node.op_type not in _CARRYING:
                return None
            value = node.input[0]
        return self.initializers[value]

    def computed_from_constants(self, value: str) -> bool:
        """Whether a value does not depend on the images."""
        if value in self.initializers or not value:
            return True
        node = self.producer(value)
        return node is not None and all(map(self.computed_from_constants, node.input))
