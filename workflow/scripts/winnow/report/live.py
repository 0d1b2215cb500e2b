"""A report of what a study has got so far: it only reads what lies there, and disturbs nothing that runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pandas import DataFrame

from winnow.analysis.recommendation import as_record, recommend
from winnow.config.recommend import RecommendSettings
from winnow.errors import WinnowError
from winnow.figures.catalog import figure_names
from winnow.figures.draw import Tables, draw_figures
from winnow.report.page import write_report
from winnow.report.start_page import Outcome
from winnow.results.assignment import collect_assignments
from winnow.results.collect import collect, trained_elsewhere
from winnow.results.csv_files import write_csv
from winnow.results.pruning_sensitivity import collect_curves
from winnow.results.sensitivity import collect_mixed, collect_sensitivity
from winnow.results.tidy import collect_confusion, collect_histories, collect_layers
from winnow.study.artifacts import Network, networks
from winnow.study.check import Check
from winnow.study.grid import allotted
from winnow.study.recipes import left_to_winnow, precisions, unspared
from winnow.study.status import absent, failures


def live_report(study: Mapping[str, Any], results: Path) -> Path:
    """Write tables, figures and the page of what exists now to results/<study>/live/.

    Args:
        study: the resolved configuration.
        results: the folder `results`.

    Returns:
        The page.

    Raises:
        WinnowError: nothing has been evaluated yet (names the jobs that failed), or a file is damaged.
    """
    folder: Path = results / study["study"]
    target = folder / "live"
    lacking = absent(study, folder)
    tables = gather(study, results, {entry.network for entry in lacking if entry.outdated})
    if tables.results.empty:
        raise _nothing_yet(folder)
    for name in ("results", "layers", "confusion", "history"):
        write_csv(target / f"{name}.csv", getattr(tables, name))
    settings = RecommendSettings.of(study["recommend"])
    pairs = sorted({(network.dataset, network.model) for network in networks(study)})
    begun = [pair for pair in pairs if len(tables.of(*pair).results)]
    chosen = recommend(tables.results, settings)
    shipped = as_record(chosen, settings).shipped
    layers = _by_layer(study, folder) if study["probed"] else []
    assigned = None
    if left_to_winnow(study["recipes"]):
        assigned = collect_assignments(sorted(folder.glob("*/*/seed*/dense/*/multipliers.json")), folder)
    curves = None
    if rounds := [f"*/*/seed*/{slug}/round1/sparsity.json" for slug in allotted(study["strategies"])]:
        curves = collect_curves(sorted(path for pattern in rounds for path in folder.glob(pattern)), folder)
    asked = {"sensitivity": layers[0] if layers else None, "assigned": assigned, "curves": curves}
    tables = replace(tables, **{name: table for name, table in asked.items() if table is not None})
    undrawn = draw_figures(
        tables,
        figure_names(study, begun),
        settings,
        shipped,
        target / "figures",
    )
    checks = [Check.read(path) for pair in pairs if (path := folder.joinpath(*pair, "check.json")).exists()]
    outcome = Outcome(study, tables.results, chosen, lacking, undrawn, checks, layers, assigned, curves, live=True)
    write_report(outcome, target / "figures", target / "overview.html")
    return target / "overview.html"


def _by_layer(study: Mapping[str, Any], folder: Path) -> list[DataFrame]:
    """Collect what is known layer by layer, and how many were left in float."""
    sensitivity, mixed, times = (
        sorted(folder.glob(f"*/*/seed*/dense/*/{name}.json")) for name in ("sensitivity", "mixed", "layer_times")
    )
    tried = collect_mixed(mixed, folder, times, unspared(study["recipes"], study["probed"]))
    return [collect_sensitivity(sensitivity, folder, times), tried]


def gather(study: Mapping[str, Any], results: Path, without: Collection[Network] = ()) -> Tables:
    """Collect the tidy tables from the files of a study that exist.

    Files are written whole, so a network that is being evaluated is either there or not.

    Args:
        without: networks that are left out, apart from the history of their training.
    """
    folder: Path = results / study["study"]
    everything = list(networks(study))
    valid = [network for network in everything if network not in without]
    quality = [path for n in valid if (path := folder / n.folder / "quality.json").exists()]
    speed = [path for n in valid if (path := folder / n.folder / "speed.json").exists()]
    history = [path for n in everything if n.history and (path := folder / n.history).exists()]
    data = [path for name in study["datasets"] if (path := results / "data" / f"{name}.safetensors").exists()]
    if not quality:
        raise _nothing_yet(folder)
    table = collect(quality, speed, trained_elsewhere(study["trained"]))
    histories = collect_histories(history, folder, precisions(study["recipes"]))
    return Tables(table, collect_layers(quality), collect_confusion(quality, data), histories)


def _nothing_yet(folder: Path) -> WinnowError:
    """Say that there is nothing to report on, and whether it is worth waiting for."""
    failed = [str(failure) for failure in failures(folder)]
    advice = "; ".join(failed) if failed else "wait for the first quality.json"
    return WinnowError(f"{folder}: no network has been evaluated yet; {advice}")
