"""What is read from a captured graph is what it holds, or an error that names the operation."""

import pytest
import torch
from torch.fx import Graph, Node

from winnow.capture.fx_graphs import (
    node_argument,
    node_arguments,
    number_argument,
    operator_of,
    optional_argument,
    schema_of,
    sizes_argument,
    tensor_of,
)
from winnow.errors import WinnowError

aten = torch.ops.aten


def call(target, *arguments) -> Node:
    """Return a call of an operator on an image, `x` among its arguments, from the layer `block.0`."""
    graph = Graph()
    image = graph.placeholder("x")
    given = [[image, image] if argument == "xx" else image if argument == "x" else argument for argument in arguments]
    node = graph.call_function(target, tuple(given))
    node.meta = {"nn_module_stack": {"key": ("block.0", "Block")}, "val": torch.zeros(2, 3)}
    return node


def test_arguments_are_what_the_call_takes():
    node = call(aten.add.Tensor, "x", 2.0)
    assert node_argument(node, 0).name == "x"
    assert optional_argument(node, 0) is node_argument(node, 0)
    assert optional_argument(node, 2) is None
    assert number_argument(node, 1) == 2
    assert number_argument(node, 2, default=1) == 1
    assert [part.name for part in node_arguments(call(aten.cat.default, "xx"), 0)] == ["x", "x"]
    assert sizes_argument(call(aten.view.default, "x", [2, -1]), 1) == [2, -1]
    assert operator_of(node) == aten.add.Tensor
    assert [argument.name for argument in schema_of(node).arguments] == ["self", "other", "alpha"]
    assert tensor_of(node).shape == (2, 3)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda node: node_argument(node, 1), r"block\.0: argument 2 of aten\.add\.Tensor is 1"),
        (lambda node: node_argument(node, 2), r"block\.0: argument 3 of aten\.add\.Tensor is None"),
        (lambda node: optional_argument(node, 1), "argument 2"),
        (lambda node: node_arguments(node, 0), "argument 1"),
        (lambda node: sizes_argument(node, 0), "argument 1"),
        (lambda node: number_argument(node, 0), "argument 1"),
    ],
)
def test_another_argument_is_an_error_that_names_layer_and_operator(read, message):
    with pytest.raises(WinnowError, match=message):
        read(call(aten.add.Tensor, "x", 1))


def test_what_is_no_operator_or_no_tensor_is_an_error():
    node = call(max, "x", "x")
    assert schema_of(node) is None
    with pytest.raises(WinnowError, match=r"block\.0: .* is no operator of torch"):
        operator_of(node)
    node.meta["val"] = 3
    with pytest.raises(WinnowError, match=r"block\.0: .* is read as one tensor, but it computes 3"):
        tensor_of(node)
