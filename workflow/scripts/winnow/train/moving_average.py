"""An exponential moving average of everything that a network has learned, running statistics included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from winnow.models.weights import load_state
from winnow.train.extras import Average


class MovingAverage(Average):
    """The average of a network's parameters and buffers; what counts, or has no value yet, is taken as it is.

    Weights that are zero after every step, as masks keep them, are zero in it.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the network's state.

        Args:
            decay: what the average keeps in a step, above 0 and below 1.
        """
        super().__init__()
        self._decay = decay
        self.state = _copy(model)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        now = model.state_dict()
        averaged = [name for name, value in now.items() if value.is_floating_point()]
        decay = min(self._decay, (2 + step) / (11 + step))  # what it began with must not last
        get_ema_multi_avg_fn(decay)([self.state[name] for name in averaged], [now[name] for name in averaged], step)
        parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        for name in now.keys() - parameters:  # ranges that nothing has been seen of are infinite
            average, value = self.state[name], now[name]
            average.copy_(torch.where(average.isfinite(), average, value) if name in averaged else value)

    @contextmanager
    def within(self, model: nn.Module) -> Iterator[None]:
        live = _copy(model)
        load_state(model, self.state)
        try:
            yield
        finally:
            load_state(model, live)

    def settle(self, model: nn.Module) -> None:
        load_state(model, self.state)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
