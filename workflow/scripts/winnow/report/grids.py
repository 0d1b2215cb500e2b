"""The grids of a study in a line each: recipes and strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winnow.results.numbers import listed
from winnow.study.vocabulary import PRECISIONS


def recipes_line(study: Mapping[str, Any]) -> str:
    """Say how networks were quantized, method by method."""
    methods: dict[str, list[str]] = {}
    for slug, recipe in study["recipes"].items():
        methods.setdefault(recipe["method"], []).append(slug)
    parts = [
        f"{method}: {PRECISIONS[method].meaning}" + ("" if slugs == [method] else f"; as {listed(slugs)}")
        for method, slugs in methods.items()
    ]
    return "; ".join(parts) or "none"


def pruning_line(study: Mapping[str, Any]) -> str:
    """Say what networks were pruned by."""
    if not study["strategies"]:
        return "none"
    values = {
        axis: {str(s[axis]) for s in study["strategies"].values()} for axis in ("criterion", "structure", "rewind")
    }
    ratios = sorted({strategy["ratio"] for strategy in study["strategies"].values()})
    rounds = sorted({strategy["rounds"] for strategy in study["strategies"].values()})
    return (
        f"criterion {listed(sorted(values['criterion']))}; {listed(sorted(values['structure']))}; "
        f"{listed([f'{100 * ratio:g} %' for ratio in ratios])} removed; "
        f"{numbered(rounds, 'round')}; rewind {listed(sorted(values['rewind']))}; "
        f"of {listed(sorted({model for _, model in study['pruned']}))}"
    )


def numbered(values: Sequence[int], word: str) -> str:
    """Return e.g. `1 round`, `1 and 3 rounds`."""
    return f"{listed(values)} {word if list(values) == [1] else word + 's'}"
