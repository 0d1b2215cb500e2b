"""Every column of results.csv: stated in results/columns.py, written by `collect`, told in results/README.md."""

import pandas as pd
import pytest

from studies import configuration, tables, write_study
from winnow.results import guide
from winnow.results.columns import METRICS
from winnow.results.facts import FACTS
from winnow.results.metric import DOWN, UP, Metric
from winnow.results.timed import Timed, timed_configurations
from winnow.results.timed_columns import TIMED
from winnow.study.recipe_axes import RECIPE_AXES
from winnow.study.vocabulary import AXES, KEYS, RUNTIMES


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> pd.DataFrame:
    root = tmp_path_factory.mktemp("columns")
    return tables(root, write_study(root, configuration(seeds=[0]))).results


def test_collect_writes_what_is_stated_and_nothing_else(results):
    timed = [t.column(kind) for kind in TIMED for t in timed_configurations(results)]
    assert len(timed) == len(TIMED) * len(RUNTIMES) * 2
    assert sorted(results) == sorted([*KEYS, *AXES, *RECIPE_AXES, *FACTS, *METRICS, *timed])


@pytest.mark.parametrize("metric", [*METRICS.values(), *TIMED.values()], ids=lambda metric: metric.name)
def test_a_metric_is_told_in_full(metric, results):
    column = metric.name if metric.name in METRICS else Timed("openvino", 64, 1).column(metric.name)
    assert pd.api.types.is_numeric_dtype(results[column]) or results[column].isna().all()
    assert metric.label
    assert metric.meaning
    assert metric.better in (UP, DOWN, "")
    assert metric.estimated_by in (*FACTS, "")
    assert not metric.cost or metric.better == DOWN


@pytest.mark.parametrize("kind", TIMED)
def test_timed_configurations_are_found_by_their_columns(kind):
    timed = [Timed("openvino", 64, 1), Timed("torch", 1, 4)]
    columns = [t.column(other) for t in timed for other in TIMED]
    assert timed_configurations(columns, kind) == timed


def test_a_metric_says_how_it_is_shown():
    metric = Metric("x", "long", "%", "", factor=100, decimals=1, fine=3, short="s")
    assert (metric.heading(), metric.heading(short=True, estimated=True)) == ("long (%)", "s (%, estimate)")
    assert (metric.text(0.5), metric.text(0.5, 0.01), metric.exactly(0.5)) == ("50.0", "50.0 ± 1.0", "50.000 %")
    assert Metric("x", "count", "", "", decimals=0).heading() == "count"
    assert Timed("openvino", 64, 1).metric("energy").heading() == "energy per image, OpenVINO, batch 64, 1 thread (mJ)"


def test_the_guide_is_written_from_the_columns():
    committed = guide.GUIDE.read_text(encoding="utf-8")
    assert committed == guide.guide(committed), "run `make docs`"
    assert all(f"`{name}`" in committed for name in (*KEYS, *AXES, *FACTS, *METRICS))
