"""Graphs that work for any batch size without reading it: no operators that only compute with shapes.

OpenVINO 2026.4 reads a batch size from the last value that has it. Where that is a rounded convolution, it computes
a layer behind it without the zero point of its input.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from winnow.capture.fx_graphs import calls, insert, node_argument, operator_of, sizes_argument, tensor_of

aten = torch.ops.aten
_RESHAPES = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)
_REPEATING = (aten.expand.default, aten.repeat.default)
_FILLING = (aten.zeros.default, aten.ones.default, aten.full.default)


def infer_sizes(graph_module: GraphModule) -> None:
    """Let reshapes infer the one size that follows from the batch."""
    for node in calls(graph_module):
        if node.target not in _RESHAPES:
            continue
        given, shape = sizes_argument(node, 1), tensor_of(node).shape
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
        sizes = sizes_argument(node, argument)
        sizes[place] = 1
        constant = insert(
            node, operator_of(node), (*node.args[:argument], sizes, *node.args[argument + 1 :]), node.kwargs
        )
        column = insert(node, aten.reshape.default, (zeros, [-1 if size == place else 1 for size in range(len(sizes))]))
        if tensor_of(node).dtype != tensor_of(column).dtype:
            column = insert(node, aten.to.dtype, (column, tensor_of(node).dtype))
        node.target, node.args, node.kwargs = aten.add.Tensor, (constant, column), {}
    graph_module.graph.eliminate_dead_code()


def _repeated(node: Node, images: Node) -> int | None:
    """Return the dimension in which a single entry is repeated, or made, for each image; None for other operators."""
    if node.target in _REPEATING:
        sizes, source = sizes_argument(node, 1), tuple(tensor_of(node_argument(node, 0)).shape)
    elif node.target in _FILLING:
        sizes, source = sizes_argument(node, 0), ()
    else:
        return None
    free = [(place, size) for place, size in enumerate(sizes) if isinstance(size, Node)]
    if len(free) != 1:
        return None
    place, size = free[0]
    if size.target != aten.sym_size.int or size.args != (images, 0):
        return None
    missing = len(sizes) - len(source)
    return place if place < missing or source[place - missing] == 1 else None


def _zeros(images: Node) -> Node:
    """Compute one zero for each image, whatever its pixels."""
    before, zeros = images.next, images
    while before.op == "placeholder":
        before = before.next
    for _ in tensor_of(images).shape[1:]:
        zeros = insert(before, aten.select.int, (zeros, 1, 0))
    return insert(before, aten.clamp.default, (zeros, 0.0, 0.0))
