"""Names that read as numbers, truth values or nothing stay what they are, from configuration to tables."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import studies
from samples import REPOSITORY
from winnow.analysis.recommendation import recommend
from winnow.config.recommend import RecommendSettings
from winnow.report.pruning_table import pruning_table
from winnow.report.quantization_table import quantization_table
from winnow.results.csv_files import read_csv, write_csv
from winnow.study.folders import BESIDE_DATASETS, BESIDE_STUDIES

NAMES = ("18", "2024", "007", "1e3", "1.50", "0x10", "1_000", "true", "no", "inf", "nan", "null", "na", "12.30")
CLASSES = [*NAMES[:3], "-1"]
LAYERS = ["0", "1e3", "True"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(studies, "CLASSES", CLASSES)
    patch.setattr(studies, "LAYERS", LAYERS)
    config = studies.configuration(
        study="18",
        seeds=[0, 1],
        datasets={"007": {"source": "digits"}, "nan": {"source": "digits"}},
        models={name: {"name": "lenet5"} for name in NAMES},
        pruning={"ratio": [0.5]},
    )
    root = tmp_path_factory.mktemp("names")
    study = studies.write_study(root, config)
    written = studies.tables(root, study)
    patch.undo()
    return study, written


@pytest.mark.parametrize("name", ["results", "layers", "confusion", "history"])
def test_a_table_is_read_as_it_was_written(tables, tmp_path, name):
    written = getattr(tables[1], name)
    write_csv(tmp_path / "table.csv", written)
    read = read_csv(tmp_path / "table.csv")
    for column in ("dataset", "model", "run", "recipe", "precision", "layer", "true_class", "predicted_class"):
        if column in written:
            assert list(read[column]) == list(written[column])
            assert all(type(value) is str for value in read[column])
    assert list(read["seed"]) == list(written["seed"])


def test_tables_and_recommendation_name_them(tables, tmp_path):
    study, written = tables
    write_csv(tmp_path / "results.csv", written.results)
    read = read_csv(tmp_path / "results.csv")
    chosen = recommend(read, RecommendSettings.of(study["recommend"]))
    assert {(entry.dataset, entry.model) for entry in chosen} == {(d, m) for d in ("007", "nan") for m in NAMES}
    for table in (quantization_table(read), pruning_table(read)):
        assert isinstance(table.data, pd.DataFrame)
        assert set(table.data["model"]) == set(NAMES)
        assert all(name in table.markdown() for name in NAMES)


def test_no_rule_writes_where_a_study_or_a_data_set_could():
    """What rules, the live view and `make report` write beside the folders of studies and data sets is reserved."""
    texts = [path.read_text() for path in (REPOSITORY / "workflow" / "rules").glob("*.smk")]
    rules = "\n".join(texts)
    beside = set(re.findall(r"\{(?:RESULTS|FIGURES)\}/([a-z_.]+)", rules))
    assert beside | {"live", "report.html"} == {*BESIDE_DATASETS}
    assert set(re.findall(r'"results/([a-z_.]+)"', rules)) == {*BESIDE_STUDIES}
