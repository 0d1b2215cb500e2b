"""Which of many scored entries stay: exact counts, globally or for each layer, also under ties.

Entries are weights of layers, or channels of groups of layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from winnow.errors import WinnowError
from winnow.prune.allotment import least_harmful, probed_counts
from winnow.study.pruning_axes import LOCAL, SENSITIVITY


def density(ratio: float, number: int, rounds: int) -> float:
    """Return the share that is left after round `number` of `rounds`: (1 - ratio)^(number / rounds)."""
    return float((1 - ratio) ** (number / rounds))


def select(
    scores: Mapping[str, Tensor],
    alive: Mapping[str, Tensor],
    share: float,
    *,
    scope: str,
    min_density: float,
    random: torch.Generator,
    run: str,
    loss_of: Callable[[str, Tensor], float] | None = None,
) -> dict[str, Tensor]:
    """Choose the entries with the highest scores among those alive.

    Args:
        scores: float [n] by layer; not read where `alive` is False.
        alive: bool [n] by layer; False where an earlier round has pruned.
        share: of all n entries, dead ones included, that stay.
        scope: `global` ranks all layers together; `local` takes the same share of each, rounded so that the
            total is exact; `sensitivity` takes where that adds least to the loss.
        min_density: share of each layer that stays whatever its scores; at least one entry does.
        random: breaks ties, so that none goes by position.
        loss_of: for `sensitivity`, the loss of the network if of one layer these entries stay, bool [n], and nothing
            else goes.

    Returns:
        bool [n] by layer, True where an entry stays; a subset of `alive`.

    Raises:
        WinnowError: the floors of all layers do not fit into what may stay.
    """
    sizes = {name: len(mask) for name, mask in alive.items()}
    living = {name: int(mask.sum()) for name, mask in alive.items()}
    total = sum(sizes.values()) - round((1 - share) * sum(sizes.values()))
    floors = {name: min(living[name], max(1, math.ceil(min_density * size))) for name, size in sizes.items()}
    if sum(floors.values()) > total:
        raise WinnowError(
            f"{run}: {total} of {sum(sizes.values())} may stay, but pruning.min_density {min_density:g} keeps at least "
            f"{sum(floors.values())} in {len(sizes)} layers; lower pruning.ratio or pruning.min_density"
        )
    ranked = {name: _ranked(scores[name], alive[name], random) for name in sizes}
    if scope == LOCAL or total == sum(living.values()):
        counts = _shares(sizes, total, floors, living)
    elif scope == SENSITIVITY:
        if loss_of is None:
            raise ValueError(f"{run}: scope {scope} needs what says the loss")
        losses = {
            name: [
                (removed, loss_of(name, _best(ranked[name], living[name] - removed, size)))
                for removed in probed_counts(living[name], floors[name])
            ]
            for name, size in sizes.items()
        }
        gone = least_harmful(losses, sum(living.values()) - total)
        counts = {name: living[name] - gone[name] for name in sizes}
    else:
        counts = _global_counts(scores, ranked, floors, total, random)
    return {name: _best(ranked[name], counts[name], size) for name, size in sizes.items()}


def _best(ranked: Tensor, count: int, size: int) -> Tensor:
    """Return bool [size], True at the first `count` of ranked positions."""
    mask = torch.zeros(size, dtype=torch.bool)
    mask[ranked[:count]] = True
    return mask


def shuffled(masks: Mapping[str, Tensor], alive: Mapping[str, Tensor], random: torch.Generator) -> dict[str, Tensor]:
    """Return masks that keep as much of each layer, drawn at random among what was alive (a control).

    Args:
        masks, alive: bool [n] by layer, as `select` returns and takes them.

    Returns:
        bool [n] by layer.
    """
    result = {}
    for name, mask in masks.items():
        places = alive[name].nonzero().flatten()
        chosen = places[torch.randperm(len(places), generator=random)[: int(mask.sum())]]
        result[name] = torch.zeros_like(mask)
        result[name][chosen] = True
    return result


def check_count(kept: int, total: int, share: float, run: str, unit: str) -> None:
    """Check that what stays is what was asked for.

    Raises:
        WinnowError: it is off by more than one.
    """
    if abs(kept - share * total) > 1:
        raise WinnowError(
            f"{run}: {kept} of {total} {unit} stay, a sparsity of {1 - kept / total:.6f} where {1 - share:.6f} was "
            "requested; this is a bug of the selection: report it with the configuration"
        )


def _ranked(scores: Tensor, alive: Tensor, random: torch.Generator) -> Tensor:
    """Return the living positions, int64 [living], best first, ties in random order; `scores` and `alive` are [n]."""
    places = alive.nonzero().flatten()
    places = places[torch.randperm(len(places), generator=random)]
    return places[torch.sort(scores[places], descending=True, stable=True).indices]


def _shares(
    sizes: Mapping[str, int], total: int, floors: Mapping[str, int], limits: Mapping[str, int]
) -> dict[str, int]:
    """Divide `total` in proportion to `sizes`, within [floor, limit] of each, by largest remainders."""
    share = total / sum(sizes.values())
    exact = {name: size * share for name, size in sizes.items()}
    counts = {name: min(max(int(exact[name]), floors[name]), limits[name]) for name in sizes}
    while missing := total - sum(counts.values()):
        step = 1 if missing > 0 else -1
        movable = [n for n in counts if (counts[n] < limits[n] if step > 0 else counts[n] > floors[n])]
        movable.sort(key=lambda name: step * (counts[name] - exact[name]) / sizes[name])
        movable.sort(key=lambda name: step * (counts[name] - exact[name]))
        for name in movable[: abs(missing)]:
            counts[name] += step
    return counts


def _global_counts(
    scores: Mapping[str, Tensor],
    ranked: Mapping[str, Tensor],
    floors: Mapping[str, int],
    total: int,
    random: torch.Generator,
) -> dict[str, int]:
    """Count what each layer keeps when, beyond the floors, all layers are ranked together."""
    names = list(ranked)
    contested = [scores[name][ranked[name][floors[name] :]] for name in names]
    owners = torch.cat([torch.full((len(values),), k, dtype=torch.int32) for k, values in enumerate(contested)])
    order = torch.randperm(len(owners), generator=random)
    best = torch.sort(torch.cat(contested)[order], descending=True, stable=True).indices
    won = owners[order[best[: total - sum(floors.values())]]]
    counts = torch.bincount(won, minlength=len(names)).tolist()
    return {name: floors[name] + count for name, count in zip(names, counts, strict=True)}
