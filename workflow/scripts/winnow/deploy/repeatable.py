"""What no shipped file may do: draw random numbers, behave as in training, or let one image change another's logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto
from onnx.defs import OpSchema, get_all_schemas
from onnx.numpy_helper import to_array

from winnow.deploy.agreement import FLOAT, INT8_RUNTIMES, compared
from winnow.deploy.graphs import Graph, every_node, read_model
from winnow.deploy.onnx_runtime import load as load_onnxruntime
from winnow.errors import WinnowError

_ALONE = 4  # images that are run one by one
_NAMED = 3  # operators that a message names


def _random_by_nature() -> frozenset[str]:
    """Return ONNX's operators that are random themselves; what has a body is only as random as that."""
    bodies = OpSchema.AttrType.GRAPH
    return frozenset(
        schema.name
        for schema in get_all_schemas()
        # onnx's stubs lack the two
        if schema.node_determinism == OpSchema.NodeDeterminism.NonDeterministic  # type: ignore[attr-defined]
        and not schema.has_function  # type: ignore[attr-defined]
        and all(attribute.type != bodies for attribute in schema.attributes.values())
    )


RANDOM = _random_by_nature()


def training_only(model: ModelProto) -> list[str]:
    """Return what a graph does that belongs to training, e.g. `RandomUniformLike (node_rand)`."""
    graph = Graph(model.graph)
    return [f"{node.op_type} ({node.name})" for node in every_node(model) if _is_training_only(node, graph)]


def _is_training_only(node: NodeProto, graph: Graph) -> bool:
    if node.op_type == "BatchNormalization":
        return any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
    if node.op_type != "Dropout":
        return node.op_type in RANDOM
    if len(node.input) < 3 or not node.input[2]:
        return False
    mode = graph.constant(node.input[2])
    return mode is None or bool(to_array(mode))


def check_repeatable(path: str | Path, images: np.ndarray, run: str, *, integer: bool) -> None:
    """Check that an image gets the same logits in every call and beside any other images.

    Args:
        images: as the file takes them, [N, C, H, W], N >= 2.
        integer: rounding to integers may carry what kernels for one image and for many differ by in float.

    Raises:
        WinnowError: it does not.
    """
    if found := training_only(read_model(path)):
        named = ", ".join(found[:_NAMED]) + (" and more" if len(found) > _NAMED else "")
        raise WinnowError(
            f"{run}: the exported network holds {named}: it does at inference what belongs to training only; make that "
            "depend on self.training"
        )
    network = load_onnxruntime(path, threads=1)
    together = network(images)
    if not np.array_equal(together, network(images), equal_nan=True):
        raise WinnowError(
            f"{run}: the exported network gives other logits when it is called again; find what in it is random"
        )
    alone = np.concatenate([network(images[place : place + 1]) for place in range(min(_ALONE, len(images)))])
    agreement = compared(together[: len(alone)], alone)
    if not (INT8_RUNTIMES if integer else FLOAT).holds(agreement):
        raise WinnowError(
            f"{run}: the exported network gives an image other logits alone than in a batch ({agreement}): it mixes "
            "the images of a batch; let no operator reach over the first dimension"
        )
