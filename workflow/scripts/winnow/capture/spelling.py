"""One spelling of each layer, whatever way a network writes it, so that everything after this looks for one.

Some spellings are chosen because exporters or runtimes get others wrong; each says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from winnow.capture.batch_size import infer_sizes, repeat_by_adding
from winnow.capture.fx_graphs import (
    calls,
    insert,
    is_constant,
    is_from_parameters,
    node_argument,
    node_arguments,
    number_argument,
    operator_of,
    tensor_of,
    writes,
    writes_into_a_part,
)

aten = torch.ops.aten
_SPELLED_PADDING = (functional.conv1d, functional.conv2d, functional.conv3d)
_POOLS = (functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d)
_PRODUCTS = (aten.matmul.default, aten.mm.default)


class PlainSpelling(TorchFunctionMode):
    """While a network is captured, spells operators so that exporters and runtimes get them right.

    The words "same" and "valid" for padding become numbers; where sides differ, a pad of its own: torch.export would
    fix the batch size of a network with an even kernel otherwise. Global average pooling becomes a mean: of an input
    with channels last it would be exported as a gather over strides, with which OpenVINO 2026.4 miscomputes int8
    networks. A ReLU of random slope has its mean slope in inference, which exporters have no other word for. Circular
    padding becomes a concatenation, as OpenVINO does not know it.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _SPELLED_PADDING and isinstance(kwargs.get("padding", args[4] if len(args) > 4 else 0), str):
            return _padded(func, *args, **kwargs)
        if func in _POOLS:
            return _pooled(func, *args, **kwargs)
        if func is functional.rrelu:
            return _mean_slope(*args, **kwargs)
        if func is functional.pad and "circular" in (kwargs.get("mode"), *args[2:3]):
            return _wrapped(*args, **kwargs)
        return func(*args, **kwargs)


def _pooled(pool: Callable[..., Tensor], input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """Pool [N, C, ...] over its last dimensions to the sizes asked for; None keeps the size of the input."""
    sizes = output_size if isinstance(output_size, Sequence) else [output_size] * (input.dim() - 2)
    if all(size == 1 for size in sizes):
        return input.mean(list(range(-len(sizes), 0)), keepdim=True)
    return pool(input, output_size)


def _mean_slope(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    if training:
        return torch.rrelu(input, lower, upper, training)
    return functional.leaky_relu(input, (lower + upper) / 2, inplace)


def _wrapped(input: Tensor, pad: Sequence[int], *_: object, **__: object) -> Tensor:
    """Pad circularly; `pad` holds two sizes for each dimension, the last dimension first."""
    for place in range(len(pad) // 2):
        before, after = pad[2 * place : 2 * place + 2]
        dimension, size = -1 - place, input.shape[-1 - place]
        sides = (input.narrow(dimension, size - before, before), input, input.narrow(dimension, 0, after))
        input = torch.cat([side for side in sides if side.shape[dimension]], dimension)
    return input


def _padded(
    convolution: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve [N, in, ...] with [out, in / groups, ...], padded as the word says."""
    kernel = weight.shape[2:]
    spread = dilation if isinstance(dilation, (list, tuple)) else [dilation] * len(kernel)
    same = [step * (size - 1) for step, size in zip(spread, kernel, strict=True)]
    total = same if padding == "same" else [0] * len(kernel)
    if any(amount % 2 for amount in total):
        input = functional.pad(input, [side for a in reversed(total) for side in (a // 2, a - a // 2)])
        total = [0] * len(kernel)
    return convolution(input, weight, bias, stride, [amount // 2 for amount in total], dilation, groups)


def spell(graph_module: GraphModule) -> None:
    """Rewrite a captured graph in place; its numbers stay the same."""
    for rewrite in (
        _without_assertions,
        _out_of_place,
        infer_sizes,
        _added_parameters,
        repeat_by_adding,
        _sums_as_products,
        _products_as_linears,
        _linears_on_rows,
    ):
        rewrite(graph_module)
    graph_module.graph.lint()
    graph_module.recompile()


def _without_assertions(graph_module: GraphModule) -> None:
    """Remove checks of dtypes: they hold, and weights become integers."""
    for node in calls(graph_module):
        if node.target == aten._assert_tensor_metadata.default:
            graph_module.graph.erase_node(node)


def _out_of_place(graph_module: GraphModule) -> None:
    """Replace operators that write into a whole value by those that return a new one."""
    for node in calls(graph_module):
        if not writes(node) or writes_into_a_part(node):
            continue
        schema, changed = operator_of(node)._schema, node_argument(node, 0)
        name = schema.name.split("::")[1].removesuffix("_")
        functional = getattr(getattr(aten, name, None), schema.overload_name or "default", None)
        if functional is None:
            continue
        node.target = functional
        later = {user for user in changed.users if node < user}
        changed.replace_all_uses_with(node, delete_user_cb=later.__contains__)


def _added_parameters(graph_module: GraphModule) -> None:
    """Turn the concatenation of a value with parameters, as class tokens are, into a padded value plus parameters.

    The numbers are the same. OpenVINO 2026.4 adds the bias of the first channel to all channels of a convolution
    whose rounded output is concatenated with a constant.
    """
    for node in calls(graph_module):
        if node.target != aten.cat.default:
            continue
        parts, rank = node_arguments(node, 0), tensor_of(node).dim()
        dimension = int(number_argument(node, 1, default=0)) % rank
        values = [place for place, part in enumerate(parts) if not is_from_parameters(part)]
        if dimension == 0 or len(values) != 1 or len(parts) == 1:
            continue
        sizes = [tensor_of(part).shape[dimension] for part in parts]
        padded = []
        for place, part in enumerate(parts):
            if part.target == aten.expand.default and tensor_of(node_argument(part, 0)).dim() == rank:
                part = node_argument(part, 0)
            sides = [0] * (2 * (rank - 1 - dimension)) + [sum(sizes[:place]), sum(sizes[place + 1 :])]
            padded.append(insert(node, aten.constant_pad_nd.default, (part, sides)))
        total, *others = padded
        for other in others[:-1]:
            total = insert(node, aten.add.Tensor, (total, other))
        node.target, node.args, node.kwargs = aten.add.Tensor, (total, others[-1]), {}


def _sums_as_products(graph_module: GraphModule) -> None:
    """Turn sums over products of a value and a constant (einsum) into linears."""
    for node in calls(graph_module):
        if node.target != aten.einsum.default or len(node_arguments(node, 1)) != 2:
            continue
        inputs, _, result = str(node.args[0]).replace(" ", "").partition("->")
        (letters, value), (others, matrix) = zip(inputs.split(","), node_arguments(node, 1), strict=True)
        if is_constant(value):
            letters, value, others, matrix = others, matrix, letters, value
        summed = [letter for letter in others if letter in letters]
        kept, new = ([letter for letter in part if letter not in summed] for part in (letters, others))
        plain = len(set(letters)) == len(letters) and len(set(others)) == len(others) and "." not in inputs
        if not plain or is_constant(value) or not is_constant(matrix) or sorted(result) != sorted(kept + new):
            continue
        if not (kept and new and summed):
            continue
        sizes = dict(zip(others, tensor_of(matrix).shape, strict=True))
        value = insert(node, aten.permute.default, (value, [letters.index(letter) for letter in kept + summed]))
        value = insert(node, aten.flatten.using_ints, (value, len(kept), -1))
        matrix = insert(node, aten.permute.default, (matrix, [others.index(letter) for letter in new + summed]))
        matrix = insert(node, aten.reshape.default, (matrix, [math.prod(sizes[letter] for letter in new), -1]))
        product = insert(node, aten.linear.default, (value, matrix))
        product = insert(node, aten.unflatten.int, (product, -1, [sizes[letter] for letter in new]))
        node.target, node.args = aten.permute.default, (product, [(kept + new).index(letter) for letter in result])


def _products_as_linears(graph_module: GraphModule) -> None:
    """Turn products with a constant matrix into linears."""
    for node in calls(graph_module):
        if node.target in _PRODUCTS:
            source, matrix, bias = node_argument(node, 0), node_argument(node, 1), None
        elif node.target == aten.addmm.default and not node.kwargs:
            bias, source, matrix = (node_argument(node, place) for place in range(3))
            if not is_constant(bias) or tensor_of(bias).dim() != 1:
                continue
        else:
            continue
        if is_constant(source) or not is_constant(matrix) or tensor_of(matrix).dim() != 2:
            continue
        weight = insert(node, aten.transpose.int, (matrix, 0, 1))
        node.target, node.args = aten.linear.default, (source, weight, *([bias] if bias is not None else []))


def _linears_on_rows(graph_module: GraphModule) -> None:
    """Let linears see matrices [rows, features]: the runtimes have integer kernels for these, with a bias."""
    known: dict[tuple[Node, int], Node] = {}  # queries, keys and values are read from the same rows
    for node in calls(graph_module):
        if node.target != aten.linear.default or tensor_of(node).dim() == 2:
            continue
        source, shape = node_argument(node, 0), tensor_of(node).shape
        free = [place for place, size in enumerate(shape) if not isinstance(size, int)]
        if len(free) > 1 or tensor_of(source).dim() == 1:
            continue
        features = tensor_of(source).shape[-1]
        rows = known.get((source, features)) or insert(node, aten.reshape.default, (source, [-1, features]))
        known[source, features] = rows
        linear = insert(node, operator_of(node), (rows, *node.args[1:]))
        sizes = [-1 if place in free else size for place, size in enumerate(shape)]
        node.target, node.args = aten.reshape.default, (linear, sizes)
