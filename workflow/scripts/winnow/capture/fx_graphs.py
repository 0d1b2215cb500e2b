"""What is asked of captured graphs: their calls, their constants, and who shares memory with whom."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch.fx import GraphModule, Node

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
WEIGHTED = (*CONVOLUTIONS, aten.linear.default)
BATCH_NORM = aten.batch_norm.default
NORMS = (BATCH_NORM, aten.instance_norm.default)
_VIEWS = (
    aten.view.default,
    aten.slice.Tensor,
    aten.select.int,
    aten.transpose.int,
    aten.permute.default,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.chunk.default,
    aten.split.Tensor,
    operator.getitem,
)


def calls(graph_module: GraphModule) -> Iterator[Node]:
    """Yield the nodes that compute something, in order."""
    return (node for node in list(graph_module.graph.nodes) if node.op == "call_function")


def is_constant(node: object) -> bool:
    """Whether a value depends on parameters and buffers only, not on the images."""
    if not isinstance(node, Node):
        return False
    return node.op == "get_attr" or (
        node.op == "call_function" and bool(node.all_input_nodes) and all(map(is_constant, node.all_input_nodes))
    )


def sources(node: Node) -> Iterator[Node]:
    """Yield the parameters and buffers that a constant is computed from."""
    if node.op == "get_attr":
        yield node
    for argument in node.all_input_nodes:
        yield from sources(argument)


def is_from_parameters(node: Node) -> bool:
    """Whether a value is one of parameters and of the batch size."""
    if node.op == "placeholder":
        return False
    if node.target == aten.sym_size.int or node.op == "get_attr":
        return True
    return all(map(is_from_parameters, node.all_input_nodes))


def path_of(node: Node) -> str:
    """Return the path of the module that a node was captured in; empty for the network itself."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return stack[-1][0] if stack else ""


def module_of(node: Node) -> str:
    """Return where a node was captured, for messages."""
    return path_of(node) or "the network itself"


def writes_into_a_part(node: Node) -> bool:
    """Whether an operator changes its input, and thereby other values: the input is a view, or has views."""
    if not writes(node):
        return False
    changed = node.args[0]
    return changed.target in _VIEWS or any(user.target in _VIEWS and user < node for user in changed.users)


def aliases(node: Node) -> set[Node]:
    """Return the values that share memory with a view: what it is a part of, and the other parts of that."""
    while node.target in _VIEWS:
        node = node.args[0]
    found, pending = set(), [node]
    while pending:
        current = pending.pop()
        found.add(current)
        pending += [user for user in current.users if user.target in _VIEWS or writes(user)]
    return found


def writes(node: Node) -> bool:
    """Whether an operator changes its first input."""
    schema = getattr(node.target, "_schema", None)
    first = schema.arguments[0].alias_info if schema and schema.arguments else None
    return first is not None and first.is_write


def insert(node: Node, target: torch._ops.OpOverload, arguments: tuple, options: dict | None = None) -> Node:
    """Call an operator in front of `node`, as a part of the same module."""
    with node.graph.inserting_before(node):
        inserted = node.graph.call_function(target, arguments, options or {})
    inserted.meta = dict(node.meta)
    values = torch.fx.node.map_arg(arguments, lambda argument: argument.meta["val"])
    with enable_python_dispatcher():  # without, some operators would fix the batch size
        inserted.meta["val"] = target(*values, **inserted.kwargs)
    return inserted


def arguments(node: Node) -> dict[str, object]:
    """Return every argument of a call by its name, defaults included."""
    values = {argument.name: argument.default_value for argument in node.target._schema.arguments}
    return values | dict(zip(values, node.args, strict=False)) | node.kwargs
