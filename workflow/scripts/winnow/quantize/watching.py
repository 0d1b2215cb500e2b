"""Values that flow through a captured network, shown to whoever asks while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node


@torch.no_grad()
def watch(
    graph_module: GraphModule, batches: Iterable[Tensor], watchers: Mapping[str, Callable[[Tensor], object]]
) -> None:
    """Run a network and call each watcher, by the name of a node, with every value that the node computes."""
    watched = _Watched(graph_module, watchers)
    for batch in batches:
        watched.run(batch)


class _Watched(Interpreter):
    def __init__(self, graph_module: GraphModule, watchers: Mapping[str, Callable[[Tensor], object]]) -> None:
        super().__init__(graph_module)
        self._watchers = watchers

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.name in self._watchers:
            self._watchers[n.name](value)
        return value
