"""Which of a network's outputs are its logits, and what the others count while it trains.

Networks with auxiliary heads return tuples, others dictionaries. One rule holds everywhere: the logits are the output
`logits`, else `out`, else the first, or the one that the user names. Auxiliary logits add 0.3 times their loss during
training (Szegedy et al. 2015, section 5) and are otherwise left alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from winnow.errors import WinnowError

_NAMES = ("logits", "out")
_AUXILIARY, AUXILIARY_WEIGHT = "aux", 0.3


def logits_of(output: object) -> Any:
    """Return the logits among a network's outputs; whatever it is, if it holds no outputs."""
    parts = _parts(output)
    return next((parts[name] for name in _NAMES if name in parts), next(iter(parts.values()), output))


def auxiliary_logits(output: object) -> list[Tensor]:
    """Return the outputs that are trained beside the logits.

    They have the shape of the logits, float [N, classes], and a name that begins with `aux`, or are further elements
    of a tuple without names.
    """
    logits = logits_of(output)
    return [
        part
        for name, part in _parts(output).items()
        if part is not logits
        and isinstance(part, Tensor)
        and part.shape == logits.shape
        and part.is_floating_point()
        and (isinstance(name, int) or name.startswith(_AUXILIARY))
    ]


def training_loss(output: object, labels: Tensor, *, label_smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
    """Return the cross-entropy of a network's outputs in training, those of auxiliary heads included.

    Args:
        output: what the network returned; logits are float [N, classes].
        labels: int64 [N].
    """

    def loss(logits: Tensor) -> Tensor:
        return functional.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing, reduction=reduction)

    total = loss(logits_of(output))
    for logits in auxiliary_logits(output):
        total = total + AUXILIARY_WEIGHT * loss(logits)
    return total


def choose_logits(model: nn.Module, output: str | int, label: str) -> None:
    """Make one of a network's outputs its logits, by name or by place; in inference nothing else is returned.

    Args:
        label: begins the error.

    Raises:
        WinnowError: raised by the network, when it runs: there is no such output.
    """
    model.register_forward_hook(partial(_chosen, output, label))


def _chosen(output: str | int, label: str, module: nn.Module, _: object, outputs: object) -> Any:
    parts = _parts(outputs)
    chosen = dict(enumerate(parts)).get(output, output) if isinstance(output, int) else output
    if chosen not in parts:
        having = ", ".join(map(str, parts)) or "a single one"
        raise WinnowError(f"{label}: its output is to be {output}, and it returns {having}; correct its key output")
    if not module.training:
        return parts[chosen]
    return {_NAMES[0]: parts[chosen]} | {name: part for name, part in parts.items() if name not in (chosen, _NAMES[0])}


def give_logits_only(model: nn.Module) -> None:
    """Make a network return its logits alone in inference; the names of its parameters stay as they are."""
    model.register_forward_hook(_logits_in_inference)


def _logits_in_inference(module: nn.Module, _: object, output: object) -> Any:
    return output if module.training else logits_of(output)


def _parts(output: Any) -> dict[str | int, Any]:
    """Return the outputs by name, or by place where they have none."""
    if isinstance(output, Mapping):
        return dict(output)
    if hasattr(output, "_fields"):
        return dict(output._asdict())
    if dataclasses.is_dataclass(output):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return dict(enumerate(output)) if isinstance(output, tuple | list) else {}
