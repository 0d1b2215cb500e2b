"""Graphs that work for any batch size without reading it: no operators that only compute with shapes.

OpenVINO 2026.4 reads a batch size from the last value that has it. Where that is a rounded convolution, it computes
a layer behind it without the zero point of its input.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from winnow.capture.fx_graphs import calls, insert

aten = torch.ops.aten
_RESHAPES = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)
_REPEATING = (aten.expand.default, aten.repeat.default)
_FILLING = (aten.zeros.default, aten.ones.default, aten.full.default)


def infer_sizes(graph_module: GraphModule) -> None:
    """Let reshapes infer the one size that follows from the batch."""
    for node in calls(graph_module):
        if node.target not in _RESHAPES:
            continue
        given, shape = node.args[1], node.meta["val"].shape
        free = [place for place, size in enumerate(given) if isinstance(size, Node)]
        sizes = [shape[place] if size == -1 else size for place, size in enumerate(given)]
        if len(free) == 1 and all(isinstance(size, int) for place, size in enumerate(sizes) if place not in free):
            sizes[free[0]] = -1
            node.update_arg(1, sizes)
    graph_module.graph.eliminate_dead_code()


def repeat_by_adding(graph_module: GraphModule) -> None:
    """Let constants that are repeated for each image be added to zeros that are computed from the images."""
    images = next(node for node in graph_module.graph.nodes if node.op == "placeholder")
    zeros = None
    for node in calls(graph_module):
        place = _repeated(node, images)
        if place is None:
            continue
        zeros = zeros or _zeros(images)
        argument = int(node.target in _REPEATING)
        sizes = list(node.args[argument])
        sizes[place] = 1
        constant = insert(node, node.target, (*node.args[:argument], sizes, *node.args[argument + 1 :]), node.kwargs)
        column = insert(node, aten.reshape.default, (zeros, [-1 if size == place else 1 for size in range(len(sizes))]))
        if node.meta["val"].dtype != column.meta["val"].dtype:
            column = insert(node, aten.to.dtype, (column, node.meta["val"].dtype))
        node.target, node.args, node.kwargs = aten.add.Tensor, (constant, column), {}
    graph_module.graph.eliminate_dead_code()


def _repeated(node: Node, images: Node) -> int | None:
    """Return the dimension in which a single entry is repeated, or made, for each image; None for other operators."""
    if node.target in _REPEATING:
        sizes, source = node.args[1], node.args[0].meta["val"].shape
    elif node.target in _FILLING:
        sizes, source = node.args[0], ()
    else:
        return None
    free = [place for place, size in enumerate(sizes) if isinstance(size, Node)]
    if len(free) != 1 or sizes[free[0]].target != aten.sym_size.int or sizes[free[0]].args != (images, 0):
        return None
    missing = len(sizes) - len(source)
    return free[0] if free[0] < missing or source[free[0] - missing] == 1 else None


def _zeros(images: Node) -> Node:
    """Compute one zero for each image, whatever its pixels."""
    before, zeros = images.next, images
    while before.op == "placeholder":
        before = before.next
    for _ in images.meta["val"].shape[1:]:
        zeros = insert(before, aten.select.int, (zeros, 1, 0))
    return insert(before, aten.clamp.default, (zeros, 0.0, 0.0))
