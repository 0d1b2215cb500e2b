"""Where the retraining of a pruned network begins: its own weights, the initial ones, those of an epoch, or fresh ones.

init: Frankle & Carbin 2019 (lottery tickets). An epoch: Frankle et al. 2020 (late rewinding). lr: Renda et al.
2020 (weights kept, learning rate rewound). random: fresh weights, the control of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from winnow.config.settings import ModelSettings
from winnow.data.dataset import ImageDataset
from winnow.errors import WinnowError
from winnow.models.build import build_model
from winnow.models.weights import load_state, read_state
from winnow.prune.masks import Masks
from winnow.rng import generator

_REINITIALIZATION = 2  # names the stream of random numbers


def wide_state(
    rewind: str, snapshot: str | Path | None, settings: ModelSettings, data: ImageDataset, seed: int
) -> dict[str, Tensor] | None:
    """Return the state dict of the unpruned network that the pruned one goes back to; None if it keeps its own weights.

    Args:
        rewind: `none`, `lr`, `random`, or anything with a `snapshot`.
        seed: of the study; fresh weights come from another stream than the network's own initial ones.

    Raises:
        WinnowError: the snapshot is damaged.
    """
    if rewind in ("none", "lr"):
        return None
    if rewind == "random":
        fresh = generator(seed, _REINITIALIZATION).initial_seed()
        return build_model(settings, data.task, seed=fresh).state_dict()
    if snapshot is None:
        raise ValueError(f"rewind {rewind!r} needs a snapshot")
    return read_state(snapshot)


def check_rewound(
    start: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    masks: Masks,
    places: Mapping[str, Tensor] | None,
    run: str,
) -> None:
    """Check that what is retrained has exactly the weights it should have gone back to, where they are not pruned.

    Args:
        start, source: state dicts of the pruned network and of the one whose weights it takes: tensors by name.
        places: int64 by name in the shapes of `start`: where in `source` each of its values comes from
            (`narrowing.kept_places`); None if both have the same shapes.

    Raises:
        WinnowError: a value differs.
    """
    for name, value in start.items():
        expected = source[name]
        if places is not None and name in places:
            expected = expected.flatten()[places[name]]
        same = value == expected
        if name in masks.keep:
            same = same | ~masks.keep[name]
        if not same.all():
            raise WinnowError(
                f"{run}: {int((~same).sum())} of {value.numel()} values of {name} differ from those to go back to; "
                "delete this run and its rewind points and start it again, and report it if it happens twice"
            )


def untied_state(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return a state dict in which tied weights have one name, as in masks."""
    names = {name for values in (model.named_parameters(), model.named_buffers()) for name, _ in values}
    return {name: value for name, value in model.state_dict().items() if name in names}


def loaded(model: torch.nn.Module, state: Mapping[str, Tensor], run: str) -> torch.nn.Module:
    """Load a state dict into a network as wide as it was built, and return it.

    Raises:
        WinnowError: they do not fit.
    """
    try:
        load_state(model, state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WinnowError(f"{run}: a rewind point does not fit the network ({reason}); train it again") from error
    return model.eval()
