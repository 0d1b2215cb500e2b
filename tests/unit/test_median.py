"""How well a median is known."""

import numpy as np
import pytest

from winnow.measure.median import CONFIDENCE, LEAST_ROUNDS, interval


@pytest.mark.parametrize(("count", "ranks"), [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (20, (6, 15)), (100, (40, 61))])
def test_ranks_are_those_of_the_tables(count, ranks):
    """The ranks of the 95 % interval of a median, counted from 1, as statistical tables have them."""
    values = list(range(count, 0, -1))
    assert interval(values) == tuple(map(float, ranks))


def test_too_few_values_have_none():
    assert interval(range(LEAST_ROUNDS - 1)) is None
    assert interval(range(LEAST_ROUNDS)) is not None


@pytest.mark.parametrize("count", [6, 11, 20])
def test_the_median_is_inside_as_often_as_is_claimed(count):
    """Of a skewed distribution, as latencies have."""
    random = np.random.default_rng(0)
    drawn = random.lognormal(size=(4000, count))
    inside = np.mean([low <= 1 <= high for low, high in map(interval, drawn)])
    assert inside >= CONFIDENCE - 0.01
