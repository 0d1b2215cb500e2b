"""Whether a study is small enough to be planned."""

from __future__ import annotations

import math
from collections.abc import Iterator

from winnow.config.keys.study import Configuration
from winnow.study.grid import expand
from winnow.study.recipes import combinations
from winnow.study.vocabulary import AXES

_MOST_RECIPES = 1_000
_MOST_STRATEGIES = 20_000
_MOST_QUANTIZED = 300_000
_MOST_NETWORKS = 100_000  # Snakemake plans some 250 a second, and needs 100 kB for each


def size_conflicts(config: Configuration) -> Iterator[str]:
    """Yield what makes a study too large to be planned, or to be looked through."""
    recipes = sum(combinations(entry.chosen()) for entry in config.quantization.recipes)
    if recipes > _MOST_RECIPES:
        yield f"quantization.recipes has {recipes:,} combinations, more than {_MOST_RECIPES:,}; shorten its lists"
        return
    networks = quantized = len(config.datasets) * len(config.models) * len(config.seeds)
    pruning = config.pruning
    if pruning:
        strategies = math.prod(len(getattr(pruning, axis)) for axis in AXES)
        if strategies > _MOST_STRATEGIES:
            yield f"pruning has {strategies:,} combinations, more than {_MOST_STRATEGIES:,}; shorten its lists"
            return
        pairs = len(pruning.chosen("datasets", config.datasets)) * len(pruning.chosen("models", config.models))
        rounds = [strategy["rounds"] for strategy in expand(pruning.grid()).values()]
        networks += pairs * len(config.seeds) * sum(rounds)
        also = {"dense": 0, "last": len(rounds), "all": sum(rounds)}[config.quantization.apply_to]
        quantized += pairs * len(config.seeds) * also
    if networks > _MOST_NETWORKS:
        yield (
            f"the study trains {networks:,} networks, more than {_MOST_NETWORKS:,}; use fewer seeds or models"
            f"{', or shorter lists in pruning, above all of rounds' if pruning else ''}"
        )
    elif quantized * (recipes := len(config.quantization.grid())) > _MOST_QUANTIZED:
        yield (
            f"the study quantizes {quantized:,} networks by {recipes} recipes, which makes more than "
            f"{_MOST_QUANTIZED:,} files; use fewer seeds or models, or shorter lists in quantization.recipes"
        )
