"""How much of a network's arithmetic a runtime really does on integers, and why the rest stays in float."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from winnow.deploy.graphs import Graph, read_model
from winnow.deploy.operations import Operation, count_operations, count_weights
from winnow.deploy.runtimes import shipping
from winnow.errors import WinnowError
from winnow.study.quality import Coverage as Recorded
from winnow.study.quality import FloatLayer, RuntimeCoverage
from winnow.study.vocabulary import PRECISIONS, RUNTIMES, SCORED

log = logging.getLogger(__name__)
# Products that the runtimes have integer kernels for; of OpenVINO the transposed convolution too.
_INTEGER_KERNELS = {"Conv", "Gemm", "MatMul"}


# A runtime says of a fused operator the name of any of those it was made of.
_FUSED = {
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Relu",
    "Clip",
    "Cast",
    "Reshape",
    "Squeeze",
    "QuantizeLinear",
    "DequantizeLinear",
}


_NAMED = 3  # operators that a message names


@dataclass(frozen=True)
class Coverage:
    """What one runtime does on integers.

    Attributes:
        runtime: its name.
        operations: every operator with multiply-accumulates.
        integer: the names of the nodes that run on integers.
    """

    runtime: str
    operations: tuple[Operation, ...]
    integer: frozenset[str]

    @property
    def macs(self) -> float:
        """Share of the multiply-accumulates that are done on integers, between 0 and 1."""
        total = sum(operation.macs for operation in self.operations)
        return sum(operation.macs for operation in self.operations if operation.node in self.integer) / max(total, 1)

    @property
    def layers(self) -> int:
        """How many operators run on integers."""
        return sum(operation.node in self.integer for operation in self.operations)

    def left_in_float(self, graph: Graph) -> tuple[FloatLayer, ...]:
        """Return what stays in float: layer, operator, share of all multiply-accumulates, and the reason."""
        total = max(sum(operation.macs for operation in self.operations), 1)
        nodes = {node.name: node for node in graph.nodes}
        return tuple(
            FloatLayer(
                layer=operation.layer,
                operator=operation.operator,
                macs=operation.macs / total,
                reason=_reason(operation, nodes[operation.node], graph, RUNTIMES[self.runtime].label),
            )
            for operation in self.operations
            if operation.node not in self.integer
        )


def measure_coverage(path: str | Path, shape: Sequence[int], runtime: str) -> Coverage:
    """Ask a runtime which of a file's operators it executes on integers.

    Args:
        shape: (C, H, W).
        runtime: the name of one that ships.
    """
    operations = tuple(count_operations(path, shape))
    executed = shipping(runtime).integer_layers(path, shape)
    known = names_of_nodes(Graph(read_model(path).graph), operations)
    found = [next((known[name] for name in names if name in known), None) for names in executed]
    if None in found:
        names = [names[0] for names, node in zip(executed, found, strict=True) if node is None]
        log.warning("%s: %s runs %s on integers, which no operator of it is called", path, runtime, ", ".join(names))
    return Coverage(runtime, operations, frozenset(node for node in found if node))


def names_of_nodes(graph: Graph, operations: Sequence[Operation]) -> dict[str, str]:
    """Map whatever a runtime may call an operator to the name of its node."""
    names = {operation.node: operation.node for operation in operations}
    nodes = {node.name: node for node in graph.nodes}
    for operation in operations:
        node = nodes[operation.node]
        while True:
            for name in (node.name, *node.output):
                names.setdefault(name, operation.node)
            readers = graph.readers(node.output[0])
            if len(readers) != 1 or readers[0].op_type not in _FUSED:
                break
            node = readers[0]
    return names


def _reason(operation: Operation, node: onnx.NodeProto, graph: Graph, runtime: str) -> str:
    if operation.operator not in _INTEGER_KERNELS:
        return f"{runtime} has no integer kernel for {operation.operator}"
    if operation.unweighted:
        return operation.unweighted
    rounded = [_is_rounded(graph, value) for value in node.input[:2]]
    if all(rounded):
        return f"{runtime} does not fuse its rounding"
    return "its input stays in float" if rounded[1] else "its weights are not quantized"


def _is_rounded(graph: Graph, value: str) -> bool:
    """Whether a value is dequantized, possibly moved after that."""
    while (node := graph.producer(value)) is not None:
        if node.op_type == "DequantizeLinear":
            return True
        if node.op_type not in ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"):
            return False
        value = node.input[0]
    return False


def check_coverage(coverage: Coverage, graph: Graph, *, run: str, precision: str, least: float) -> None:
    """Check that enough of a network runs on integers; of a float network, that nothing does.

    Args:
        least: share of the multiply-accumulates, `quantization.min_integer_macs`.

    Raises:
        WinnowError: it does not; the operators left in float are named, the largest first.
    """
    runtime = RUNTIMES[coverage.runtime].label
    if not PRECISIONS[precision].integers:
        if coverage.integer:
            raise WinnowError(
                f"{run}: {runtime} runs {coverage.layers} of {len(coverage.operations)} operators of a float network "
                "on integers; it holds quantized weights: train and export it again"
            )
        return
    if coverage.macs >= least:
        return
    left = sorted(coverage.left_in_float(graph), key=lambda layer: -layer.macs)
    named = "; ".join(
        f"{layer.layer} ({layer.operator}, {100 * layer.macs:.3g} %): {layer.reason}" for layer in left[:_NAMED]
    )
    more = f"; and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    raise WinnowError(
        f"{run}: {runtime} runs {_percent(coverage.macs)} of the multiply-accumulates on integers, "
        f"quantization.min_integer_macs asks for {100 * least:g} %; in float stay {named}{more}; lower that key, or "
        f"leave {precision} out for this network"
    )


def _percent(share: float) -> str:
    """Return a share, rounded down, so that what is missing shows."""
    return f"{int(1000 * share) / 10:g} %"


def coverage_record(
    path: str | Path, operations: Sequence[Operation], source: Sequence[Operation], coverages: Sequence[Coverage]
) -> Recorded:
    """Return what quality.json says of integers: the share of weights, and for each runtime of multiply-accumulates.

    Where nothing runs on integers, nothing was left in float.

    Args:
        operations: of the file.
        source: those of the fp32 file.
        coverages: of the runtimes that run it.
    """
    graph, weights = Graph(read_model(path).graph), count_weights(path)
    runtimes: dict[str, RuntimeCoverage | None] = dict.fromkeys(SCORED)
    for coverage in coverages:
        left = coverage.left_in_float(graph) if coverage.layers else ()
        runtimes[coverage.runtime] = RuntimeCoverage(coverage.macs, coverage.layers, left)
    return Recorded(
        layers=len(operations),
        parameters=weights.integer / max(weights.total, 1),
        operators=dict(Counter(operation.operator for operation in operations)),
        runtimes=runtimes,
        total_macs=sum(operation.macs for operation in source),
        nonzero_macs=sum(operation.nonzero_macs for operation in source),
    )
