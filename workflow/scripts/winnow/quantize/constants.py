"""The tensors of an int8 module: integers and their scales in the place of float parameters."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import GraphModule, Node


class Constants:
    """The tensors of an int8 module, under the names the network gave them.

    A weight that several layers share stays one constant where they quantize it alike; where their batch norms
    differ, the further ones are `<name>_use2`, `<name>_use3`, ...
    """

    def __init__(self, module: GraphModule) -> None:
        self.module = module
        self.known: dict[str, list[Tensor]] = {}

    def read(self, before: Node, name: str, value: Tensor) -> Node:
        """Insert a node that reads a constant, in front of another."""
        same = self.known.setdefault(name, [])
        use = next((place for place, other in enumerate(same) if torch.equal(other, value)), len(same))
        target = name if use == 0 else f"{name}_use{use + 1}"
        if use == len(same):
            same.append(value)
            self._register(target, value)
        with before.graph.inserting_before(before):
            return before.graph.get_attr(target)

    def _register(self, target: str, value: Tensor) -> None:
        owner, _, name = target.rpartition(".")
        module = self.module.get_submodule(owner)
        if hasattr(module, name):  # a float operator may read it as well, as the embedding of a tied weight does
            module.register_buffer(f"{name}_float", getattr(module, name).detach())
            delattr(module, name)
            for node in self.module.graph.find_nodes(op="get_attr", target=target):
                node.target = f"{target}_float"
        module.register_buffer(name, value.contiguous())
