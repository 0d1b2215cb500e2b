"""Layers that stay in float: those that hurt most, as many as asked for or as few as the limit of accuracy allows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from winnow.quantize.bisection import least_good
from winnow.quantize.calibration import Calibration
from winnow.quantize.sensitivity import Labelled, Scorer
from winnow.study.recipe import Recipe
from winnow.study.sensitivity import Candidate, MixedPrecision, Setting

log = logging.getLogger(__name__)


def spare_layers(
    model: nn.Module,
    batches: Iterable[Tensor],
    recipe: Recipe,
    order: Sequence[str],
    validation: Labelled,
    limit: float,
    run: str,
) -> MixedPrecision:
    """Find the fewest layers in float with which a quantized network loses no more accuracy than it may.

    Layers are spared in a given order, and their number is found by bisection: that fewer layers in float are no
    better is assumed, and what was tried is returned. Each candidate is quantized by the whole recipe.

    Args:
        model: fp32; it is not changed.
        batches: of calibration images, as `quantize_static` takes them.
        recipe: of method `ptq`.
        order: all layers, those that hurt most first; see `Sensitivity.order`.
        limit: how much top-1 accuracy may be lost on the validation images, a share.
        run: begins messages.

    Raises:
        WinnowError: the order names a layer that the network does not have.
    """
    calibration = Calibration(model, batches, recipe, sparing=True)
    scorer = Scorer(calibration.graph_module, validation)
    tried: dict[int, Setting] = {len(order): scorer.floats}

    def good(count: int) -> bool:
        tried[count] = scorer.score(calibration.quantized(order[:count]))
        found = tried[count].top1
        log.info("%s: with %d of %d layers in float, top-1 is %.2f %%", run, count, len(order), 100 * found)
        return found >= scorer.floats.top1 - limit

    fewest = least_good(len(order), good)
    return MixedPrecision(
        limit=limit,
        samples=scorer.samples,
        floats=scorer.floats,
        order=tuple(order),
        in_float=fewest,
        curve=tuple(Candidate(count, tried[count]) for count in sorted(tried)),
    )
