"""What results say of networks whose multiplier is simulated: its power, and nothing that the file cannot tell."""

from dataclasses import replace

import pandas as pd
import pytest

import records
from winnow.config.settings import BoundsSettings
from winnow.measure.counterpart import demands
from winnow.report.multiplier_words import multiplier_words
from winnow.results.collect import collect
from winnow.results.recipe_words import axis_words
from winnow.study.multiplication import CircuitError, Multiplication, MultipliedLayer
from winnow.study.multiplier_cost import exact_cost
from winnow.study.multipliers import Cost, OwnMultiplier
from winnow.study.quality import Quality
from winnow.study.recipe import Recipe

BOUNDS = BoundsSettings(min_integer_macs=0.9, min_sqnr_db=6.0, min_agreement=0.8)


OWN = OwnMultiplier("Our Circuit.npy", 0.4, 0.5, "our synthesis")
ERROR = CircuitError(mean=2.0, mean_relative=0.03, worst=9, bias=-1.5)
MIXED = Multiplication((MultipliedLayer("conv1", "bam-2-2-0", 10, ERROR),), ERROR, Cost(0.6, 0.7, "s"), 256)


def row(tmp_path, recipe):
    quality = replace(
        records.quality(precision=recipe.method if recipe else "fp32"),
        quantized_by=recipe,
        multiplication=MIXED if recipe and recipe.approximate else None,
    )
    quality.write(tmp_path / "quality.json")
    return collect([tmp_path / "quality.json"], [], {}).iloc[0]


@pytest.mark.parametrize(
    ("recipe", "power", "area"),
    [
        (Recipe("ptq"), 1.0, 1.0),
        (Recipe("qat", weight_bits=7, activation_bits=7), 0.708, 0.766),
        (Recipe("ptq", weight_bits=4, activation_bits=4), exact_cost(4, 4).power, exact_cost(4, 4).area),
        (Recipe("ptq", multiplier="bam-2-2-0"), 0.471, 0.564),
        (Recipe("qat", multiplier="drum-4"), None, None),
        (Recipe("ptq", keep_float=1), None, None),
        (Recipe("dynamic"), None, None),
        (Recipe("qat", multiplier="auto"), 0.6, 0.7),
        (Recipe("ptq", multiplier=OWN), 0.4, 0.5),
        (Recipe("ptq", multiplier=OwnMultiplier("c.npy")), None, None),
    ],
)
def test_multiplications_cost_what_is_published_of_their_multiplier(recipe, power, area, tmp_path):
    found = row(tmp_path, recipe)
    for column, expected in (("multiplier_power", power), ("multiplier_area", area)):
        assert pd.isna(found[column]) if expected is None else found[column] == pytest.approx(expected)
    assert pd.isna(found["size_mb"]) == recipe.approximate
    assert pd.isna(found["multiplier_error"]) if not recipe.approximate else found["multiplier_error"] == 0.03
    if "multiplier" in recipe.axes:
        assert axis_words("multiplier", found["multiplier"])
    assert Quality.read(tmp_path / "quality.json").quantized_by == recipe
    assert pd.isna(found["openvino_integer_macs"]) == recipe.approximate


def test_what_a_circuit_costs_is_measured_and_no_mistake():
    assert demands(BOUNDS, Recipe("ptq")) == BOUNDS
    assert demands(BOUNDS, Recipe("ptq", multiplier="bam-3-3-0")) == BoundsSettings(
        min_integer_macs=0.0, min_sqnr_db=float("-inf"), min_agreement=0.0
    )


def told(*rows):
    columns = ["recipe", "multiplier", "multiplier_power", "top1"]
    return multiplier_words(pd.DataFrame(rows, columns=columns))


INT8 = ("ptq", "exact", 1.0, 0.90)
CIRCUIT = ("ptq-bam-2-2-0", "bam-2-2-0", 0.471, 0.80)


def test_the_report_says_whether_plain_low_bits_do_as_well():
    assert told(INT8) == []
    (alone,) = told(INT8, CIRCUIT)
    assert alone.startswith(
        "**Approximate multipliers**: the most accurate circuit, `ptq-bam-2-2-0`, has 80.00 % at 47 %"
    )
    assert alone.endswith("recipes with `weight_bits` and `activation_bits` would tell.")
    (beaten,) = told(INT8, CIRCUIT, ("ptq-w6a6", "exact", 0.471, 0.85), ("ptq-w4a4", "exact", 0.2, 0.81))
    assert "Plain low bits dominate.** Of 1 circuit, 1 is no better than exact multipliers of fewer bits" in beaten
    assert beaten.endswith("for no more power: `ptq-bam-2-2-0` by `ptq-w6a6`.")
    (ahead,) = told(INT8, CIRCUIT, ("ptq-w7a7", "exact", 0.708, 0.89), ("ptq-w4a4", "exact", 0.2, 0.7))
    assert ahead.endswith("No exact multiplier of fewer bits is as accurate for as little power.")
    assert told(INT8, ("qat-drum-4", "drum-4", float("nan"), 0.9)) == []
