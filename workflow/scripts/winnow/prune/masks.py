"""Which single weights are zero: masks with the meaning they have in torch.nn.utils.prune.

The network keeps its plain parameters; the mask is enforced after every optimizer step, so that momentum and
weight decay cannot bring a weight back, and a network is exported as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from winnow.errors import WinnowError
from winnow.files import replacing

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


@dataclass(frozen=True)
class Masks:
    """Masks by parameter name.

    Attributes:
        keep: bool in the shape of the parameter, False where a weight is pruned. Parameters that are not
            named (biases, batch norms, spared layers) are whole.
    """

    keep: Mapping[str, Tensor]

    def apply(self, model: nn.Module) -> None:
        """Set the pruned weights to zero, in place and on whatever device they are.

        Raises:
            WinnowError: the network has no such parameter, or in another shape.
        """
        self.enforcer(model)()

    @torch.no_grad()
    def check(self, model: nn.Module, run: str) -> None:
        """Check that every pruned weight is exactly zero.

        Raises:
            WinnowError: one is not.
        """
        for name, (parameter, keep) in zip(self.keep, self._matched(model), strict=True):
            alive = int(torch.count_nonzero(parameter[~keep]))
            if alive:
                raise WinnowError(
                    f"{run}: {alive} pruned weights of {name} are not zero; something wrote to them during training: "
                    "delete this run and start it again, and report it if it happens twice"
                )

    def enforcer(self, model: nn.Module) -> Callable[[], None]:
        """Return a function that does what `apply` does, for every step of a training run.

        It looks parameters up once, when it is first called: after that the network must stay where it is.
        """
        pruned: list[tuple[Tensor, Tensor]] = []

        def enforce() -> None:
            if not pruned:
                pruned.extend((parameter, _bits(keep, parameter)) for parameter, keep in self._matched(model))
            for parameter, bits in pruned:
                # all bits or none: a product would leave negative zeros, and filling takes twenty times as long
                parameter.detach().view(bits.dtype).bitwise_and_(bits)

        return enforce

    def _matched(self, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
        parameters = dict(model.named_parameters())
        matched: list[tuple[Tensor, Tensor]] = []
        for name, keep in self.keep.items():
            if name not in parameters or parameters[name].shape != keep.shape:
                found = tuple(parameters[name].shape) if name in parameters else "no such parameter"
                raise WinnowError(f"mask of {name} with shape {tuple(keep.shape)}: the network has {found}")
            matched.append((parameters[name], keep.to(parameters[name].device)))
        return matched


def _bits(keep: Tensor, parameter: Tensor) -> Tensor:
    """Return all bits of each weight that stays and none of the others, laid out in memory as the parameter is."""
    kind = _INTEGERS[parameter.element_size()]
    return torch.empty_like(parameter, dtype=kind, requires_grad=False).copy_(keep.to(kind).neg())


def save_masks(path: str | Path, masks: Masks) -> None:
    """Write masks as a safetensors file of booleans; one without tensors says that nothing is masked."""
    with replacing(path) as temporary:
        save_file({name: keep.contiguous() for name, keep in masks.keep.items()}, temporary, {"kind": "masks"})


def load_masks(path: str | Path) -> Masks:
    """Read what `save_masks` wrote.

    Raises:
        WinnowError: the file is damaged or holds something else.
    """
    try:
        keep = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WinnowError(f"{path}: not readable as safetensors ({error}); delete it and run again") from error
    if any(mask.dtype != torch.bool for mask in keep.values()):
        raise WinnowError(f"{path}: holds no masks; delete it and run again")
    return Masks(keep)
