"""Training that begins with trained weights: what of them stays, and how fast the last layer changes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import Tensor, nn

from winnow.config.settings import TrainingSettings
from winnow.errors import WinnowError
from winnow.models.head import head_of, inside
from winnow.train.loop import Trainee


def tuned(model: nn.Module, settings: TrainingSettings, image: Tensor, label: str) -> Trainee:
    """Return a network to be trained as `freeze` and `head_lr` say; without them, whole and at one rate.

    Args:
        image: float32 [1, C, H, W].
        label: begins errors.

    Raises:
        WinnowError: `freeze` names nothing, or everything, or the network has no last layer.
    """
    head: list[str] = []
    if settings.head_lr is not None:
        last = head_of(model, image, label)
        head = [name for name, _ in model.named_parameters() if inside(name, last)]
    if not settings.freeze:
        return Trainee(model, head=head)
    return Trainee(model, set_mode=_Frozen(model, settings.freeze, label).set_mode, head=head)


class _Frozen:
    """Freezes what patterns name: its parameters do not train, its layers compute as in inference."""

    def __init__(self, model: nn.Module, patterns: Iterable[str], label: str) -> None:
        """Take gradients from the parameters.

        Args:
            patterns: of names of modules, with all that is in them, or of parameters; `*` stands for anything.
            label: begins errors.

        Raises:
            WinnowError: a pattern that is of nothing in the network, or nothing is left to train.
        """
        modules = [name for name, _ in model.named_modules() if name]
        parameters = dict(model.named_parameters())
        chosen: set[str] = set()
        for pattern in patterns:
            matched = {name for name in (*modules, *parameters) if fnmatchcase(name, pattern)}
            if not matched:
                near = difflib.get_close_matches(pattern, [*modules, *parameters], n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(modules[:10])}"
                raise WinnowError(f"{label}: training.freeze: {pattern!r} is no part of the network; {hint}")
            chosen |= matched
        self._modules = [name for name in modules if any(inside(name, other) for other in chosen)]
        for name, parameter in parameters.items():
            if any(inside(name, other) for other in chosen):
                parameter.requires_grad = False
        if not any(parameter.requires_grad for parameter in parameters.values()):
            raise WinnowError(f"{label}: training.freeze leaves nothing to train; leave a part out, or set epochs: 0")

    def set_mode(self, model: nn.Module, training: bool) -> None:
        """Switch a network between training and inference, but for what is frozen."""
        model.train(training)
        for name in self._modules:
            model.get_submodule(name).eval()
