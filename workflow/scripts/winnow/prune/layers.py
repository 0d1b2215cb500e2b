"""Which weights can be pruned: those that a product with activations reads, in the order they are first read.

What a network multiplies with what is seen operator by operator, so it does not matter which module holds a weight:
attention's `in_proj_weight`, recurrent layers and parameters of one's own are found like convolutions.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from winnow.errors import WinnowError
from winnow.models.user_code import user_code

FIRST, CLASSIFIER = "first", "classifier"
_PRODUCT = re.compile(r"conv|mm$|linear$|matmul|rnn|lstm|gru|attention|trilinear|^dot$|^mv$")
_MOVING = re.compile(r"^(clone|_to_copy|copy_|cat|stack|index_select|constant_pad_nd|flip|roll|lift_fresh)$")
_ADVICE = "prune a network that runs in inference on a single image"


@dataclass(frozen=True)
class Weight:
    """A parameter of at least two dimensions that the logits depend on in inference.

    Attributes:
        parameter: its name in the network.
        names: of the layer, as `pruning.skip_layers` may call it: one for each name that tied weights have.
        multiplied: whether a product with activations reads it, or something computed from it.
        unfit: why its zeros are not the zeros of what is multiplied; None if they are.
    """

    parameter: str
    names: tuple[str, ...]
    multiplied: bool
    unfit: str | None

    @property
    def layer(self) -> str:
        return self.names[0]


def weights_of(model: nn.Module, example: Tensor, run: str) -> dict[str, Weight]:
    """Return the weights of a network by layer: multiplied ones in the order of execution, then the others.

    Biases and norms of one dimension are no part of this: they are never pruned. Nor is what the logits do not
    depend on in inference, as auxiliary heads.

    Args:
        example: float32 [1, C, H, W].

    Raises:
        WinnowError: the network does not run.
    """
    parameters: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.dim() > 1:
            parameters.setdefault(parameter, []).append(name)
    with user_code(run, "the network cannot be traced for pruning", _ADVICE, model):
        read, uses = _watched(model, example)
        unfit = _unfit(model, example, uses)
    multiplied = list(dict.fromkeys(name for use in uses for name in use.sources if use.direct or use.same(name)))
    found = {}
    order = {name: place for place, name in enumerate(multiplied)}
    for names in sorted(parameters.values(), key=lambda names: order.get(names[0], len(order))):
        if names[0] in read:
            layers = tuple(name.removesuffix(".weight") for name in names)
            found[layers[0]] = Weight(
                parameter=names[0], names=layers, multiplied=names[0] in order, unfit=unfit.get(names[0])
            )
    return found


def prunable_weights(weights: Mapping[str, Weight], skip: Sequence[str], run: str) -> dict[str, Weight]:
    """Leave out what is not multiplied, and the layers to be spared.

    Args:
        skip: `first`, `classifier` (the last that is executed), or names of layers or of modules around them.

    Raises:
        WinnowError: a name that the network does not have, or nothing is left.
    """
    layers = {name: weight for name, weight in weights.items() if weight.multiplied}
    special = {FIRST: list(layers)[:1], CLASSIFIER: list(layers)[-1:]}
    spared: set[str] = set()
    for entry in skip:
        chosen = special.get(entry) or [name for name, weight in layers.items() if _is_called(weight, entry)]
        if not chosen:
            raise WinnowError(
                f"{run}: pruning.skip_layers lists {entry!r}, which this network does not have; "
                f"its layers are {', '.join(layers)}"
            )
        spared |= set(chosen)
    left = {name: weight for name, weight in layers.items() if name not in spared}
    if not left:
        raise WinnowError(f"{run}: pruning.skip_layers leaves no layer to prune; remove an entry")
    return left


def check_zeros_stay(prunable: Mapping[str, Weight], run: str) -> None:
    """Check that a pruned weight is a zero of what the network multiplies.

    Raises:
        WinnowError: a layer computes with a function of its parameter that makes something else of zeros.
    """
    for name, weight in prunable.items():
        if weight.unfit:
            raise WinnowError(
                f"{run}: layer {name} {weight.unfit}; list the layer in pruning.skip_layers, or leave this network out "
                "of pruning.models"
            )


def _is_called(weight: Weight, entry: str) -> bool:
    return any(name == entry or name.startswith(f"{entry}.") for name in (*weight.names, weight.parameter))


@dataclass(frozen=True)
class _Use:
    """A product with activations that reads a constant.

    Attributes:
        sources: the parameters the constant is from.
        direct: whether only by moving values.
        values: the constant as it was computed.
        sizes: how many values each source has.
    """

    sources: tuple[str, ...]
    direct: bool
    values: Tensor
    sizes: Mapping[str, int]

    def same(self, name: str) -> bool:
        """Whether the constant has a value for each one of the parameter."""
        return self.sizes[name] == self.values.numel()


class _Watch(TorchDispatchMode):
    """Follows parameters through the operators of a forward pass, by the memory that tensors share."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's, without types
        self._weights = {name: parameter for name, parameter in model.named_parameters() if parameter.dim() > 1}
        self._sizes = {name: weight.numel() for name, weight in self._weights.items()}
        self._origins: dict[int, tuple[tuple[str, ...], bool, Tensor]] = {
            _memory(weight): ((name,), True, weight) for name, weight in self._weights.items()
        }
        self._activations = {_memory(example)}
        self._calls: list[tuple[set[int], set[int], list[_Use]]] = []  # memory read, memory written, products
        self._alive: list[Tensor] = []  # memory that is freed would be given to other tensors

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        given, operator = {_memory(tensor) for tensor in tensors}, func.overloadpacket.__name__
        active = bool(given & self._activations)
        constants = [self._origins[memory] for memory in map(_memory, tensors) if memory in self._origins]
        product = active and bool(_PRODUCT.search(operator))
        uses = [_Use(sources, direct, values, self._sizes) for sources, direct, values in constants if product]
        result = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self._alive += made
        self._calls.append((given, {_memory(tensor) for tensor in made}, uses))
        for tensor in made:
            memory = _memory(tensor)
            if memory in given and not operator.endswith("_"):
                continue  # a view
            if active:
                self._activations.add(memory)
                self._origins.pop(memory, None)
            elif constants:
                sources = tuple(dict.fromkeys(name for names, _, _ in constants for name in names))
                moved = bool(_MOVING.match(operator)) and all(direct for _, direct, _ in constants)
                self._origins[memory] = (sources, moved, tensor)
        return result

    def reaching(self, logits: Tensor) -> tuple[set[str], list[_Use]]:
        """Return the weights and the products that the logits depend on, and not only outputs that do not ship."""
        live = {_memory(logits)}
        uses: list[_Use] = []
        for given, made, found in reversed(self._calls):
            if made & live:
                live |= given
                uses = found + uses
        return {name for name, weight in self._weights.items() if _memory(weight) in live}, uses


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _watched(model: nn.Module, example: Tensor) -> tuple[set[str], list[_Use]]:
    """Return the weights that the logits depend on, and the products they are read by, in their order."""
    training, fast_path = model.training, torch.backends.mha.get_fastpath_enabled()
    example = example.clone()
    watch = _Watch(model, example)
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator for a whole layer
    try:
        with torch.no_grad():
            model.eval()
            with watch:
                logits = model(example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        model.train(training)
    return watch.reaching(logits)


def _unfit(model: nn.Module, example: Tensor, uses: Sequence[_Use]) -> dict[str, str]:
    """Say of what is computed from a parameter why it has other zeros: tried with every second value zero."""
    computed = [(name, use) for use in uses if not use.direct for name in use.sources if use.same(name)]
    if not computed:
        return {}
    reasons, zeros, pruned = {}, {}, copy.deepcopy(model)
    parameters = dict(pruned.named_parameters())
    with torch.no_grad():
        for name, use in computed:
            weight = parameters[name]
            if ((use.values.flatten() == 0) & (weight.flatten() != 0)).any():
                reasons[name] = "is pruned already, by a mask of its own"
            zeros[name] = torch.arange(weight.numel()) % 2 == 0
    for name, places in zeros.items():
        parameters[name].data.masked_fill_(places.view(parameters[name].shape), 0.0)
    for use in _watched(pruned, example)[1]:
        for name in set(use.sources) & set(zeros):
            if not use.direct and not (use.same(name) and torch.count_nonzero(use.values.flatten()[zeros[name]]) == 0):
                reasons[name] = (
                    f"multiplies by what it computes from {name} (weight standardization, a parametrization), where "
                    "pruned weights would not be zero"
                )
    return reasons
