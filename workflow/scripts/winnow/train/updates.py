"""SGD and AdamW, by the kernels of torch.optim.

Its classes load torch's compiler with their first step, only to keep it out: a second of every training run. The
kernels are the same, and with them every bit; a parameter that gets its first gradient later than others is no error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

_BETAS, _EPS = (0.9, 0.999), 1e-8  # Loshchilov & Hutter 2019, and torch's defaults
_MOMENTUM, _MEAN, _SQUARE, _STEP = "momentum", "mean", "square", "step"


@dataclass
class Group:
    """Parameters that are updated alike.

    Attributes:
        scale: of their learning rate, against `Optimizer.set_rate`.
        rate: their learning rate.
    """

    parameters: Sequence[nn.Parameter]
    weight_decay: float
    scale: float = 1.0
    rate: float = 0.0


class Optimizer(ABC):
    """Takes steps along the gradients of parameters, which the first step finds in their final place."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.parameters = list(chain.from_iterable(group.parameters for group in groups))
        self._state: dict[nn.Parameter, dict[str, Tensor]] = {}

    def set_rate(self, rate: float) -> None:
        """Set the learning rate; of each group in proportion."""
        for group in self.groups:
            group.rate = rate * group.scale

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.groups:
            moved = [parameter for parameter in group.parameters if parameter.grad is not None]
            known = [parameter for parameter in moved if parameter in self._state]
            for parameters in (known, [parameter for parameter in moved if parameter not in self._state]):
                if parameters:
                    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
                    self._update(group, parameters, gradients)

    @abstractmethod
    def _update(self, group: Group, parameters: list[nn.Parameter], gradients: list[Tensor]) -> None:
        """Update parameters of a group, of which either all or none have a state."""

    def state_dict(self) -> dict[str, Any]:
        """Return what further steps depend on, beside weights and settings: tensors by name, by parameter."""
        return {"state": [self._state.get(parameter, {}) for parameter in self.parameters]}

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: it is that of other parameters.
        """
        state: list[dict[str, Tensor]] = stored["state"]
        for parameter, values in zip(self.parameters, state, strict=True):
            if any(value.dim() and value.shape != parameter.shape for value in values.values()):
                raise ValueError("the state of the optimizer is that of other weights")
        self._state = {p: dict(values) for p, values in zip(self.parameters, state, strict=True) if values}


class Sgd(Optimizer):
    """Stochastic gradient descent, with Nesterov momentum if there is any."""

    def __init__(self, groups: Sequence[Group], momentum: float) -> None:
        super().__init__(groups)
        self._momentum = momentum

    def _update(self, group: Group, parameters: list[nn.Parameter], gradients: list[Tensor]) -> None:
        momenta = [self._state.get(parameter, {}).get(_MOMENTUM) for parameter in parameters]
        # fused: one pass over the weights instead of several, a tenth of a training step of ResNet-18 on a CPU
        sgd(
            list(parameters),
            gradients,
            momenta,  # the kernel puts new ones in
            fused=True,
            weight_decay=group.weight_decay,
            momentum=self._momentum,
            lr=group.rate,
            dampening=0.0,
            nesterov=self._momentum > 0,
            maximize=False,
        )
        for parameter, momentum in zip(parameters, momenta, strict=True):
            if momentum is not None:
                self._state[parameter] = {_MOMENTUM: momentum}


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    def _update(self, group: Group, parameters: list[nn.Parameter], gradients: list[Tensor]) -> None:
        states = [self._state.setdefault(parameter, _fresh(parameter)) for parameter in parameters]
        means, squares, steps = ([state[name] for state in states] for name in (_MEAN, _SQUARE, _STEP))
        adamw(
            list(parameters),
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=group.rate,
            weight_decay=group.weight_decay,
            eps=_EPS,
            maximize=False,
        )


def _fresh(parameter: nn.Parameter) -> dict[str, Tensor]:
    zeros = {name: torch.zeros_like(parameter, requires_grad=False) for name in (_MEAN, _SQUARE)}
    return zeros | {_STEP: torch.zeros((), dtype=torch.float32, device=parameter.device)}
