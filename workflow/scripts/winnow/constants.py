"""The constants of an exported graph under the names that the network gives its parameters.

Exporters fold transposition and slicing into a constant and give it a name of their own (`val_16`). Layers of two files
are matched by their constants, and people read these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from onnx import ModelProto
from onnx.numpy_helper import to_array


def restore_names(model: ModelProto, parameters: Mapping[str, np.ndarray]) -> None:
    """Rename the constants that are a parameter, its transpose or one of the equal parts that attention splits it into.

    The further constants of one parameter are `<name>_use2`, `<name>_use3`, ..., in the order in which nodes read them.
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
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = names[name]


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
