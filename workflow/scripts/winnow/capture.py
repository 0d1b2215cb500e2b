"""The inference graph of a network, in one canonical form: what is quantized, trained aware of it, and lowered.

One capture serves post-training and quantization-aware networks alike, so nothing that a module does only while it
trains can reach a file. Different spellings of one layer (`padding="same"`, a linear on token sequences, a product
with a constant matrix, in-place forms) become one spelling here, so that everything after this looks for one.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch._dispatch.python import enable_python_dispatcher
from torch.fx import GraphModule, Node
from torch.nn import functional
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
WEIGHTED = (*CONVOLUTIONS, aten.linear.default)
NORM = aten.batch_norm.default
_SPELLED_PADDING = (functional.conv1d, functional.conv2d, functional.conv3d)
_POOLS = (functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)
_RESHAPES = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)
_PRODUCTS = (aten.matmul.default, aten.mm.default)
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
_TRAINING_FLAGS = ("train", "training", "use_input_stats")  # the names torch's operators have for it


def dynamic_batch() -> tuple[dict[int, torch.export.Dim]]:
    """The shapes of every graph here: any batch size, all else fixed."""
    return ({0: torch.export.Dim("batch")},)


class PlainSpelling(TorchFunctionMode):
    """While a network is captured, spells operators so that exporters and runtimes get them right.

    The words "same" and "valid" for padding become numbers; where sides differ, a pad of its own: torch.export would
    fix the batch size of a network with an even kernel otherwise. Global average pooling becomes a mean: of an input
    with channels last it would be exported as a gather over strides, with which OpenVINO 2026.4 miscomputes int8
    networks.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in _SPELLED_PADDING and isinstance(kwargs.get("padding", args[4] if len(args) > 4 else 0), str):
            return _padded(func, *args, **kwargs)
        if func in _POOLS and (dimensions := _pooled_to_one(*args, **kwargs)):
            return args[0].mean(dimensions, keepdim=True)
        return func(*args, **kwargs)


def _pooled_to_one(images: Tensor, output_size: int | Sequence[int | None] | None) -> list[int]:
    """Return the dimensions that adaptive pooling reduces to one; none if it leaves more."""
    sizes = output_size if isinstance(output_size, Sequence) else [output_size] * (images.dim() - 2)
    return list(range(-len(sizes), 0)) if all(size == 1 for size in sizes) else []


def _padded(convolution, images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    kernel = weight.shape[2:]
    spread = dilation if isinstance(dilation, (list, tuple)) else [dilation] * len(kernel)
    total = [step * (size - 1) * (padding == "same") for step, size in zip(spread, kernel, strict=True)]
    if any(amount % 2 for amount in total):
        images = functional.pad(images, [side for a in reversed(total) for side in (a // 2, a - a // 2)])
        total = [0] * len(kernel)
    return convolution(images, weight, bias, stride, [amount // 2 for amount in total], dilation, groups)


def captured(model: nn.Module, example: Tensor) -> GraphModule:
    """Capture the inference graph of a network in canonical form.

    Args:
        model: maps float32 [N, C, H, W] to logits [N, classes]; it is not changed.
        example: any input of at least 2 images.

    Returns:
        A module on the CPU with contiguous parameters under the names they have in `model`; it is in inference mode
        until `set_training` says otherwise.
    """
    model = copy.deepcopy(model).cpu().eval()
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.contiguous()  # the strides of training would be exported as operators
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator that nothing knows
    try:
        with PlainSpelling():
            program = torch.export.export(model, (example.contiguous(),), dynamic_shapes=dynamic_batch())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    graph_module = program.module(check_guards=False)
    for rewrite in (_out_of_place, _inferred_sizes, _added_parameters, _products_as_linears, _linears_on_rows):
        rewrite(graph_module)
    graph_module.graph.lint()
    graph_module.recompile()
    return graph_module


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


def set_training(graph_module: GraphModule, training: bool, *, norms: bool = True) -> None:
    """Switch a captured graph between inference and training: dropout and what else has a flag for it.

    Args:
        norms: whether batch and instance norms, too, take the statistics of the batch and update their own.
    """
    for node in calls(graph_module):
        if not hasattr(node.target, "_schema"):
            continue
        for place, argument in enumerate(node.target._schema.arguments):
            if argument.name not in _TRAINING_FLAGS or _without_own_statistics(node):
                continue
            value = training and (norms or node.target not in _NORMS)
            if place < len(node.args):
                node.update_arg(place, value)
            else:
                node.update_kwarg(argument.name, value)
    graph_module.recompile()


_NORMS = (NORM, aten.instance_norm.default)


def _without_own_statistics(node: Node) -> bool:
    """Such a norm uses those of its input, in training and inference."""
    return node.target in _NORMS and node.args[3] is None


def module_of(node: Node) -> str:
    """Return the path of the module that a node was captured in, for messages."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return stack[-1][0] or "the network itself" if stack else "the network itself"


def writes_into_a_view(node: Node) -> bool:
    """Whether an operator changes its input, which is a part of a larger value."""
    return _writes(node) and node.args[0].target in _VIEWS


def aliases(node: Node) -> set[Node]:
    """Return the values that share memory with a view: what it is a part of, and the other parts of that."""
    while node.target in _VIEWS:
        node = node.args[0]
    found, pending = set(), [node]
    while pending:
        current = pending.pop()
        found.add(current)
        pending += [user for user in current.users if user.target in _VIEWS or _writes(user)]
    return found


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    first = schema.arguments[0].alias_info if schema and schema.arguments else None
    return first is not None and first.is_write


def _out_of_place(graph_module: GraphModule) -> None:
    """Replace operators that write into a whole value by those that return a new one."""
    for node in calls(graph_module):
        if not _writes(node) or writes_into_a_view(node):
            continue
        schema, changed = node.target._schema, node.args[0]
        name = schema.name.split("::")[1].removesuffix("_")
        functional = getattr(getattr(aten, name, None), schema.overload_name or "default", None)
        if functional is None:
            continue
        node.target = functional
        places = {other: place for place, other in enumerate(graph_module.graph.nodes)}
        later = {user for user in changed.users if places[user] > places[node]}
        changed.replace_all_uses_with(node, delete_user_cb=later.__contains__)


def _inferred_sizes(graph_module: GraphModule) -> None:
    """Let reshapes infer the one size that follows from the batch: no operators that only read shapes."""
    for node in calls(graph_module):
        if node.target not in _RESHAPES:
            continue
        sizes = list(node.args[1])
        free = [place for place, size in enumerate(sizes) if isinstance(size, Node)]
        if len(free) == 1 and -1 not in sizes:
            sizes[free[0]] = -1
            node.update_arg(1, sizes)
    graph_module.graph.eliminate_dead_code()


def _added_parameters(graph_module: GraphModule) -> None:
    """Turn the concatenation of a value with parameters, as class tokens are, into a padded value plus parameters.

    The numbers are the same. OpenVINO 2026.4 adds the bias of the first channel to all channels of a convolution
    whose rounded output is concatenated with a constant.
    """
    for node in calls(graph_module):
        if node.target != aten.cat.default:
            continue
        parts, rank = list(node.args[0]), node.meta["val"].dim()
        dimension = node.args[1] % rank if len(node.args) > 1 else 0
        values = [place for place, part in enumerate(parts) if not _from_parameters(part)]
        if dimension == 0 or len(values) != 1 or len(parts) == 1:
            continue
        sizes = [part.meta["val"].shape[dimension] for part in parts]
        padded = []
        for place, part in enumerate(parts):
            if part.target == aten.expand.default and part.args[0].meta["val"].dim() == rank:
                part = part.args[0]
            sides = [0] * (2 * (rank - 1 - dimension)) + [sum(sizes[:place]), sum(sizes[place + 1 :])]
            padded.append(_insert(node, aten.constant_pad_nd.default, (part, sides)))
        total, *others = padded
        for other in others[:-1]:
            total = _insert(node, aten.add.Tensor, (total, other))
        node.target, node.args, node.kwargs = aten.add.Tensor, (total, others[-1]), {}


def _from_parameters(node: Node) -> bool:
    """Whether a value is one of parameters and of the batch size."""
    if node.op == "placeholder":
        return False
    if node.target == aten.sym_size.int or node.op == "get_attr":
        return True
    return all(map(_from_parameters, node.all_input_nodes))


def _products_as_linears(graph_module: GraphModule) -> None:
    """Turn products with a constant matrix into linears."""
    for node in calls(graph_module):
        if node.target in _PRODUCTS:
            (source, matrix), bias = node.args, None
        elif node.target == aten.addmm.default and not node.kwargs:
            bias, source, matrix = node.args
            if not is_constant(bias) or bias.meta["val"].dim() != 1:
                continue
        else:
            continue
        if is_constant(source) or not is_constant(matrix) or matrix.meta["val"].dim() != 2:
            continue
        weight = _insert(node, aten.transpose.int, (matrix, 0, 1))
        node.target, node.args = aten.linear.default, (source, weight, *([bias] if bias is not None else []))


def _linears_on_rows(graph_module: GraphModule) -> None:
    """Let linears see matrices [rows, features]: the runtimes have integer kernels for these, with a bias."""
    known: dict[tuple[Node, int], Node] = {}  # queries, keys and values are read from the same rows
    for node in calls(graph_module):
        if node.target != aten.linear.default or node.meta["val"].dim() == 2:
            continue
        source, shape = node.args[0], node.meta["val"].shape
        free = [place for place, size in enumerate(shape) if not isinstance(size, int)]
        if len(free) > 1 or source.meta["val"].dim() == 1:
            continue
        features = source.meta["val"].shape[-1]
        rows = known.get((source, features)) or _insert(node, aten.reshape.default, (source, [-1, features]))
        known[source, features] = rows
        linear = _insert(node, node.target, (rows, *node.args[1:]))
        sizes = [-1 if place in free else size for place, size in enumerate(shape)]
        node.target, node.args = aten.reshape.default, (linear, sizes)


def _insert(node: Node, target: torch._ops.OpOverload, arguments: tuple) -> Node:
    """Call an operator in front of `node`, as a part of the same module."""
    with node.graph.inserting_before(node):
        inserted = node.graph.call_function(target, arguments)
    inserted.meta = dict(node.meta)
    values = torch.fx.node.map_arg(arguments, lambda argument: argument.meta["val"])
    with enable_python_dispatcher():  # without, some operators would fix the batch size
        inserted.meta["val"] = target(*values)
    return inserted
