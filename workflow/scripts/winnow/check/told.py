"""A precision that runtimes are told to compute the fp32 file in, tried: what the processor lacks is no failure."""

from __future__ import annotations

from winnow.check.trial import Details, Trial
from winnow.deploy.runtimes import failures
from winnow.study.recipe import Recipe
from winnow.study.vocabulary import FP32, PRECISIONS, SCORED


def tried(trial: Trial, recipe: Recipe) -> Details:
    """Run the exported network, and return by runtime why it is not measured there in this precision."""
    reasons = failures(trial.path(FP32), hint=PRECISIONS[recipe.method].hint)
    return {runtime: reasons.get(runtime) for runtime in SCORED}
