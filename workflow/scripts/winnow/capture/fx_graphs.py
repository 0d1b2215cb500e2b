"""What is asked of captured graphs: their calls, their constants, and who shares memory with whom."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import FunctionSchema, Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.node import Argument, map_arg

from winnow.errors import WinnowError

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
WEIGHTED = (*CONVOLUTIONS, aten.linear.default)
TRANSPOSED = (aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input)
MAX_POOLS = (aten.max_pool1d.default, aten.max_pool2d.default, aten.max_pool3d.default)
AVERAGE_POOLS = (
    aten.avg_pool1d.default,
    aten.avg_pool2d.default,
    aten.avg_pool3d.default,
    aten.adaptive_avg_pool1d.default,
    aten.adaptive_avg_pool2d.default,
    aten.adaptive_avg_pool3d.default,
)
BATCH_NORM = aten.batch_norm.default
NORMS = (BATCH_NORM, aten.instance_norm.default)
_VIEWS: tuple[object, ...] = (
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


def node_argument(node: Node, place: int) -> Node:
    """Return the value that a call takes at a place, counted from 0.

    Raises:
        WinnowError: it takes a number or nothing there.
    """
    return _node(node, place, _argument(node, place))


def optional_argument(node: Node, place: int) -> Node | None:
    """Return the value that a call takes at a place, or None where it takes none; see `node_argument`."""
    argument = _argument(node, place)
    return None if argument is None else _node(node, place, argument)


def node_arguments(node: Node, place: int) -> list[Node]:
    """Return the values that a call takes as a list, as a concatenation does; see `node_argument`."""
    return [_node(node, place, part) for part in _list(node, place)]


def sizes_argument(node: Node, place: int) -> list[int | Node]:
    """Return the sizes that a call takes as a list: numbers, and values that are computed from the batch size."""
    sizes = _list(node, place)
    return [size if isinstance(size, int) else _node(node, place, size) for size in sizes]


def number_argument(node: Node, place: int, default: float | None = None) -> float:
    """Return the number that a call takes at a place, or the default where it leaves it out; see `node_argument`."""
    number = node.args[place] if place < len(node.args) else default
    if not isinstance(number, (int, float)):
        raise _unexpected(node, place, number)
    return number


def _argument(node: Node, place: int) -> Argument:
    return node.args[place] if place < len(node.args) else None


def _list(node: Node, place: int) -> list[Argument] | tuple[Argument, ...]:
    argument = _argument(node, place)
    if not isinstance(argument, (list, tuple)):
        raise _unexpected(node, place, argument)
    return argument


def _node(node: Node, place: int, argument: Argument) -> Node:
    if not isinstance(argument, Node):
        raise _unexpected(node, place, argument)
    return argument


def _unexpected(node: Node, place: int, argument: Argument) -> WinnowError:
    return WinnowError(
        f"{module_of(node)}: argument {place + 1} of {node.target} is {argument!r}, which is not understood; "
        "write this operation in another way"
    )


def tensor_of(node: Node) -> Tensor:
    """Return a stand-in without numbers for the tensor that a node computes: its dtype and shape, the batch size free.

    Raises:
        WinnowError: it computes a number or several tensors.
    """
    value = node.meta["val"]
    if not isinstance(value, Tensor):
        raise WinnowError(f"{module_of(node)}: {node.target} is read as one tensor, but it computes {value!r}")
    return value


def operator_of(node: Node) -> OpOverload[..., Any]:
    """Return the operator of torch that a node calls.

    Raises:
        WinnowError: it calls something else.
    """
    if not isinstance(node.target, OpOverload):
        raise WinnowError(f"{module_of(node)}: {node.target} is no operator of torch")
    return node.target


def schema_of(node: Node) -> FunctionSchema | None:
    """Return the names and defaults of what an operator of torch takes; None if the node calls something else."""
    return node.target._schema if isinstance(node.target, OpOverload) else None


def attribute(graph_module: GraphModule, name: str) -> Any:
    """Return a parameter, buffer or constant of a module by its name."""
    owner, _, last = name.rpartition(".")
    return getattr(graph_module.get_submodule(owner), last)


def attribute_of(node: Node) -> str:
    """Return the name of the parameter or buffer that a node reads."""
    return str(node.target)


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
    path: str = stack[-1][0] if stack else ""
    return path


def module_of(node: Node) -> str:
    """Return where a node was captured, for messages."""
    return path_of(node) or "the network itself"


def writes_into_a_part(node: Node) -> bool:
    """Whether an operator changes its input, and thereby other values: the input is a view, or has views."""
    if not writes(node):
        return False
    changed = node_argument(node, 0)
    return changed.target in _VIEWS or any(user.target in _VIEWS and user < node for user in changed.users)


def aliases(node: Node) -> set[Node]:
    """Return the values that share memory with a view: what it is a part of, and the other parts of that."""
    while node.target in _VIEWS:
        node = node_argument(node, 0)
    found, pending = set[Node](), [node]
    while pending:
        current = pending.pop()
        found.add(current)
        pending += [user for user in current.users if user.target in _VIEWS or writes(user)]
    return found


def writes(node: Node) -> bool:
    """Whether an operator changes its first input."""
    schema = schema_of(node)
    first = schema.arguments[0].alias_info if schema and schema.arguments else None
    return first is not None and first.is_write


def insert(
    node: Node,
    target: OpOverload[..., Any],
    arguments: tuple[Argument, ...],
    options: Mapping[str, Argument] | None = None,
) -> Node:
    """Call an operator in front of `node`, as a part of the same module."""
    with node.graph.inserting_before(node):
        inserted = node.graph.call_function(target, arguments, dict(options or {}))
    inserted.meta = dict(node.meta)
    values = map_arg(arguments, lambda argument: argument.meta["val"])
    with enable_python_dispatcher():  # without, some operators would fix the batch size
        inserted.meta["val"] = target(*values, **inserted.kwargs)
    return inserted


def arguments(node: Node) -> dict[str, object]:
    """Return every argument of a call to an operator of torch by its name, defaults included."""
    values: dict[str, object] = {
        argument.name: argument.default_value for argument in operator_of(node)._schema.arguments
    }
    return values | dict(zip(values, node.args, strict=False)) | node.kwargs


def drop_unread(graph_module: GraphModule) -> None:
    """Remove parameters and buffers that no node reads; those of modules that nodes call stay."""
    read = {node.target for node in graph_module.graph.nodes if node.op == "get_attr"}
    called = tuple(f"{node.target}." for node in graph_module.graph.nodes if node.op == "call_module")
    for name in [*dict(graph_module.named_parameters()), *dict(graph_module.named_buffers())]:
        if name not in read and not name.startswith(called):
            owner, _, attribute = name.rpartition(".")
            delattr(graph_module.get_submodule(owner), attribute)
