"""The weights of an exported graph as constants, under the names that the network gives its parameters.

Exporters leave the computation of some weights in the graph, and give the constants they do fold names of their own
(`val_16`). What quantizes, counts or compares a file needs to find the weights, and people read their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto
from onnx.numpy_helper import from_array, to_array

from winnow.deploy.graphs import Graph, inner_nodes
from winnow.deploy.onnx_runtime import intermediate_values
from winnow.deploy.operations import WEIGHTED
from winnow.deploy.repeatable import RANDOM

_KEPT = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", *RANDOM}
_FOLDED = "_folded"


def fold_weights(model: ModelProto) -> None:
    """Compute the weights that do not depend on the images and store them as constants, in place.

    Integers behind DequantizeLinear stay what they are.
    """
    graph = Graph(model.graph)
    layers = [node for node in graph.nodes if node.op_type in WEIGHTED]
    read = dict.fromkeys(name for node in layers for name in node.input if name)
    wanted = [name for name in read if graph.constant(name) is None and _foldable(graph, name)]
    if not wanted:
        return
    for name, values in zip(wanted, _evaluated(model, graph, wanted), strict=True):
        model.graph.initializer.append(from_array(values, f"{name}{_FOLDED}"))
    _rename(layers, {name: f"{name}{_FOLDED}" for name in wanted})
    _drop_unread(model, graph)


def _foldable(graph: Graph, value: str) -> bool:
    node = graph.producer(value)
    if node is None:
        return value in graph.initializers
    own = node.op_type not in _KEPT and not list(inner_nodes(node))
    return own and all(_foldable(graph, name) for name in node.input if name)


def _evaluated(model: ModelProto, graph: Graph, values: Sequence[str]) -> list[np.ndarray]:
    part = ModelProto()
    part.CopyFrom(model)
    for field in ("node", "input", "output"):
        part.graph.ClearField(field)
    part.graph.node.extend(node for node in graph.nodes if all(_foldable(graph, name) for name in node.output))
    computed = intermediate_values(part, values, None)
    return [computed[value] for value in values]


def _drop_unread(model: ModelProto, graph: Graph) -> None:
    """Remove what only served to compute the folded weights, and give them the names of the values they were."""
    kept: list[NodeProto] = []
    read = {value.name for value in model.graph.output}
    for node in reversed(graph.nodes):
        if read & set(node.output) or not all(_foldable(graph, name) for name in node.output):
            kept.insert(0, node)
            read |= {*node.input, *(name for inner in inner_nodes(node) for name in inner.input)}
    names = {name: name.removesuffix(_FOLDED) for name in read if name.endswith(_FOLDED)}
    made = {name for node in kept for name in node.output}
    names = {old: new for old, new in names.items() if new not in made}
    _rename(kept, names)
    constants = [constant for constant in model.graph.initializer if constant.name in read]
    for constant in constants:
        constant.name = names.get(constant.name, constant.name)
    _replace(model, "node", kept)
    _replace(model, "initializer", constants)


def _replace(model: ModelProto, field: str, values: Sequence[NodeProto | TensorProto]) -> None:
    copies = [type(value).FromString(value.SerializeToString()) for value in values]  # clearing ends the old ones
    model.graph.ClearField(field)
    getattr(model.graph, field).extend(copies)


def _rename(nodes: Iterable[NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)


def restore_names(model: ModelProto, parameters: Mapping[str, np.ndarray]) -> None:
    """Rename the constants that are a parameter, its transpose or one of the equal parts that attention splits it into.

    The further constants of one parameter are `<name>_use2`, `<name>_use3`, ..., in the order in which nodes read them.

    Args:
        parameters: of the network, by name: float [out, ...] as constants hold them, or transposed there.
    """
    initializers = {constant.name: constant for constant in model.graph.initializer}
    names: dict[str, str] = {}
    for node in model.graph.node:
        for name in node.input:
            if name in initializers and name not in parameters and name not in names:
                values = to_array(initializers[name])
                if values.ndim > 1 and (parameter := _origin(values, parameters)):
                    names[name] = _free(parameter, {*initializers, *names.values()})
    for old, new in names.items():
        initializers[old].name = new
    _rename(model.graph.node, names)
    constants = {constant.name for constant in model.graph.initializer}
    shapes = [value for value in model.graph.value_info if value.name not in constants]  # of what had these names
    _replace(model, "value_info", shapes)


def _free(name: str, taken: set[str]) -> str:
    uses = (name if use == 1 else f"{name}_use{use}" for use in range(1, len(taken) + 2))
    return next(use for use in uses if use not in taken)


def _origin(values: np.ndarray, parameters: Mapping[str, np.ndarray]) -> str | None:
    forms = [values, values.T] if values.ndim == 2 else [values]
    for name, parameter in parameters.items():
        if any(np.array_equal(form, part) for form in forms for part in _parts(parameter, form.shape)):
            return name
    return None


def _parts(parameter: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield the consecutive parts of this shape that a parameter consists of along its first dimension."""
    if parameter.ndim == len(shape) and parameter.shape[1:] == shape[1:] and parameter.shape[0] % shape[0] == 0:
        yield from np.split(parameter, parameter.shape[0] // shape[0])
