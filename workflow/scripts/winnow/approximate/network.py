"""An int8 network whose multiplications go through circuits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from winnow.approximate.circuit import Circuit
from winnow.approximate.layers import integer_layers
from winnow.approximate.products import ApproximateLayer, approximate_layer
from winnow.capture.fx_graphs import attribute, drop_unread


def approximate(module: GraphModule, circuit_of: Callable[[str], Circuit]) -> GraphModule:
    """Return a copy of an int8 network that multiplies with circuits.

    With exact ones it computes what the int8 network computes. All else, residual additions and what stays in float,
    is the int8 network's.

    Args:
        module: as `lowering.lowered` returns it; it is not changed.
        circuit_of: returns the circuit of a layer, by the name that tables have.
    """
    module = copy.deepcopy(module)
    replaced = []
    for node, codes, layer in list(integer_layers(module)):
        with module.graph.inserting_before(node):
            call = module.graph.call_module("", (codes,))
        call.meta = dict(node.meta)
        node.replace_all_uses_with(call)
        module.graph.erase_node(node)
        replaced.append((call, layer))
    _drop_dead_code(module)
    for call, layer in replaced:
        call.target = _place(module, layer.constant.removesuffix(".weight"))
        module.add_submodule(call.target, approximate_layer(layer, circuit_of(layer.name)))
    module.graph.lint()
    module.recompile()
    return module


def _drop_dead_code(module: GraphModule) -> None:
    """Remove what served the replaced operators alone; a call is kept for what its module might do, so not by torch."""
    for node in reversed(module.graph.nodes):
        if node.op in ("call_function", "get_attr") and not node.users:
            module.graph.erase_node(node)
    drop_unread(module)


def _place(module: GraphModule, path: str) -> str:
    """Return where a layer goes so that the constants of the exported file have the names that the network gave them.

    A layer that is used again, or shares its place with others, gets a place beside it.
    """
    taken = set(module.state_dict()) | {name.rpartition(".")[0] for name in module.state_dict()}
    taken |= {name for name, child in module.named_modules() if any(child.children())}
    places = (path if use == 1 else f"{path}_use{use}" for use in count(1))
    return next(place for place in places if place not in taken)


def layer_by_layer(module: GraphModule, batches: Sequence[Tensor]) -> Iterator[tuple[ApproximateLayer, list[Tensor]]]:
    """Run an approximate network on several batches at once, and stop at every layer before it computes.

    What the caller changes in a layer meanwhile holds for all that follows.

    Args:
        batches: normalized float32 [N, C, H, W].

    Yields:
        A layer, and the codes that it reads of each batch.
    """
    last_readers = {source: node for node in module.graph.nodes for source in node.all_input_nodes}
    runs: list[dict[Node, Any]] = [{} for _ in batches]
    for node in module.graph.nodes:
        if node.op == "output":
            return
        if node.op == "placeholder":
            for run, images in zip(runs, batches, strict=True):
                run[node] = images
            continue
        compute = node.target
        if isinstance(compute, str):
            compute = attribute(module, compute)
        if isinstance(compute, ApproximateLayer):
            yield compute, [run[node.args[0]] for run in runs]
        for run in runs:
            if node.op == "get_attr":
                run[node] = compute
                continue
            arguments, options = map_arg((node.args, node.kwargs), run.__getitem__)
            with torch.no_grad():
                run[node] = compute(*arguments, **options)
            for source in node.all_input_nodes:
                if last_readers[source] is node:
                    del run[source]
