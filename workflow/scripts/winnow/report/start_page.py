"""The first page of a report: what to ship, what came out, what was run and on what, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from winnow.analysis.recommendation import Recommendation, timing_of
from winnow.config.choices import OBJECTIVES, TARGETS
from winnow.config.recommend import RecommendSettings
from winnow.report.blocks import Block, Bullets, Heading, Table, Text
from winnow.report.findings import findings, ship_text
from winnow.report.grids import numbered, pruning_line, recipes_line
from winnow.report.model_card import dense_beside, reasons
from winnow.results.columns import METRICS
from winnow.results.numbers import counted, listed, percent
from winnow.results.timed import estimated
from winnow.results.timed_columns import TIMED
from winnow.study.artifacts import networks
from winnow.study.check import Check
from winnow.study.status import FAILED, STARTED, WAITING, Absent
from winnow.study.vocabulary import DENSE, FP32, IMPORTED

_FORMS = 6  # of the dense network beside what is shipped
_NAMED = 6  # recipes in a sentence; more are counted
_LISTED = 40  # networks that are missing; more are counted


@dataclass(frozen=True)
class Outcome:
    """All that a report is made of.

    Attributes:
        study: the resolved configuration.
        results: results.csv, as far as it goes.
        absent: the networks that are not in it.
        undrawn: figures that could not be drawn, by `<dataset>/<model>/<name>`, with the reason.
        checks: check.json of the networks that have been checked.
        layers: what quantizing each layer costs, and how many stay in float; empty where neither was asked for.
        assignments: which layer multiplies with which circuit; None where no recipe leaves that to Winnow.
        curves: what each layer bears when it is pruned alone; None where no strategy asks.
        live: whether the study may still be running.
    """

    study: Mapping[str, Any]
    results: pd.DataFrame
    recommendations: Sequence[Recommendation]
    absent: Sequence[Absent]
    undrawn: Mapping[str, str] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    layers: Sequence[pd.DataFrame] = ()
    assignments: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    live: bool = False

    @property
    def settings(self) -> RecommendSettings:
        return RecommendSettings.of(self.study["recommend"])


def start_page(outcome: Outcome) -> list[Block]:
    """Return the page, in plain words."""
    parts = (_summary, _ship, _found, _run, _checked, _missing)
    return [block for part in parts for block in part(outcome)]


def _summary(outcome: Outcome) -> Iterator[Block]:
    expected, missing = sum(1 for _ in networks(outcome.study)), len(outcome.absent)
    state = f"**{missing} {'is' if missing == 1 else 'are'} missing**, see below." if missing else "All are finished."
    if outcome.live and missing:
        state = f"This is a look at a study that is not finished. {state}"
    study = outcome.study
    kinds = []
    if recipes := study["recipes"]:
        kinds.append(f"quantized ({listed(recipes) if len(recipes) <= _NAMED else counted(len(recipes), 'recipe')})")
    if study["strategies"]:
        kinds.append(f"pruned ({counted(len(study['strategies']), 'strategy', 'strategies')})")
    yield Text(
        f"Neural networks that classify images were {listed(['trained', *kinds])}, and each was "
        f"measured as the `model.onnx` file one would ship: {expected - missing} of {expected} networks. {state}"
    )


def _ship(outcome: Outcome) -> Iterator[Block]:
    yield Heading("What to ship")
    settings = outcome.settings
    limits = [str(limit) for limit in outcome.recommendations[0].limits] if outcome.recommendations else []
    asked = listed(limits) if limits else "no limits"
    yield Text(
        f"Asked for (`recommend` in the configuration): {asked}; among what is left, "
        f"{OBJECTIVES[settings.objective].meaning}. {_target(settings)}The choice is made on validation images; the "
        "test accuracies below played no part in it.",
        "soft",
    )
    if not outcome.recommendations:
        yield Text("No network has been evaluated yet.", "none")
    for recommendation in outcome.recommendations:
        chosen = recommendation.chosen is not None
        yield Text(
            ship_text(recommendation, dense_beside(recommendation, outcome.results), live=outcome.live),
            "ship" if chosen else "none",
        )
        yield Bullets(list(reasons(recommendation)))
        yield Table(_candidates(recommendation, outcome.results))
        yield Text("Means over n seeds. Loss is that of validation accuracy against dense fp32.", "soft")


def _target(settings: RecommendSettings) -> str:
    """Say what a network is to run on, and where what a limit refers to was measured."""
    measured = f"Latency and energy are those in {timing_of(settings)}"
    if not settings.accelerated:
        return f"{measured}. "
    return (
        f"It is to run on an accelerator, {TARGETS[settings.target].meaning}. {measured}, and asked of no network "
        "whose multipliers are simulated. "
    )


def _candidates(recommendation: Recommendation, results: pd.DataFrame) -> pd.DataFrame:
    """Set the chosen combination beside the dense fp32 one, the best of its int8 forms, and the next best ones."""
    table = recommendation.candidates
    timed = timing_of(recommendation.settings)
    row = recommendation.chosen if recommendation.chosen is not None else recommendation.nearest
    dense = table["run"] == DENSE
    chosen = dense & False if row is None else (table["run"] == row["run"]) & (table["recipe"] == row["recipe"])
    base = dense & (table["precision"] == FP32)
    forms = table[dense & ~base & ~chosen]
    if len(forms) > _FORMS:
        forms = forms.sort_values(["admissible", "objective"], ascending=[False, True], kind="stable").head(_FORMS)
    others = table[~dense & ~chosen & table["admissible"]].sort_values("objective").head(3)
    rows = []
    for _, entry in pd.concat([table[chosen], table[base & ~chosen], forms, others]).iterrows():
        is_chosen = row is not None and (entry["run"], entry["recipe"]) == (row["run"], row["recipe"])
        mark = "" if not is_chosen else "**ship** " if recommendation.chosen is not None else "**nearest** "
        cells = {"network": f"{mark}{entry['name']}", "validation": percent(entry["validation_top1"])}
        cells |= {"loss (points)": f"{entry['drop']:.2f}", "test": percent(entry["top1"])}
        cells[METRICS["size_mb"].heading(short=True)] = METRICS["size_mb"].text(entry["size_mb"])
        if recommendation.settings.accelerated:
            power = METRICS["multiplier_power"]
            cells[power.heading(short=True)] = power.text(entry["multiplier_power"])
        for metric in (TIMED["latency"], TIMED["energy"]):
            value = entry.get(timed.column(metric.name))
            heading = metric.heading(short=True, estimated=estimated(results, metric))
            cells[heading] = "" if value is None or pd.isna(value) else f"{value:.3g}"
        rows.append(cells | {"within limits": "yes" if entry["admissible"] else "no", "n": str(entry["n"])})
    return pd.DataFrame(rows)


def _found(outcome: Outcome) -> Iterator[Block]:
    yield Heading("What came out")
    for recommendation in outcome.recommendations:
        own = outcome.results["dataset"] == recommendation.dataset
        own &= outcome.results["model"] == recommendation.model
        yield Text(f"**{recommendation.dataset} / {recommendation.model}**")
        yield Bullets(findings(outcome.results[own], outcome.settings))


def _run(outcome: Outcome) -> Iterator[Block]:
    yield Heading("What was run, and on what")
    study, results = outcome.study, outcome.results
    training = [study["training"][model]["epochs"] for model in study["models"]]
    threads = list(study["benchmark"]["threads"])
    lines = {
        "data sets": ", ".join(f"{name} ({values['source']})" for name, values in study["datasets"].items()),
        "networks": ", ".join(_with_weights(study, model) for model in study["models"]),
        "seeds": ", ".join(map(str, study["seeds"])),
        "training": " / ".join(f"{epochs} epochs" if epochs else "as imported" for epochs in dict.fromkeys(training)),
        "quantization": recipes_line(study),
        "pruning": pruning_line(study),
        "latency": f"median in {', '.join(study['benchmark']['runtimes'])}; batch "
        f"{listed(study['benchmark']['batch_sizes'])}; {numbered(threads, 'thread')}",
    }
    if study["export"]["baked_in"]:
        lines["input of files"] = "pixels, which they normalize; latency and energy include that"
    if len(results):
        last = results[results["run"] == DENSE]
        lines["processor"] = _values(results, "processor")
        lines["trained on"] = _values(results, "training_device")
        lines["runtimes"] = _values(results, "runtime_versions")
        lines["images"] = ", ".join(
            f"{dataset}: {_count(part, 'test_samples')} for testing, {_count(part, 'validation_samples')} for choosing"
            for dataset, part in last.groupby("dataset")
        )
        estimate = "estimated from CPU seconds: no counter on this machine"
        lines["energy"] = estimate if estimated(results, TIMED["energy"]) else "from counters"
    yield Table(pd.DataFrame({"": list(lines), "this study": list(lines.values())}))


def _with_weights(study: Mapping[str, Any], model: str) -> str:
    """Return a model with the weights that it begins with, if it was trained elsewhere."""
    files = study["imports"].get(model)
    return f"{model} (weights: {files[IMPORTED]['weights']})" if files else model


def _values(results: pd.DataFrame, column: str) -> str:
    return "; ".join(map(str, results[column].dropna().unique())) if column in results else "not recorded"


def _count(results: pd.DataFrame, column: str) -> str:
    known = column in results and results[column].notna().any()
    return str(int(results[column].max())) if known else "an unrecorded number"


def _checked(outcome: Outcome) -> Iterator[Block]:
    """Say what was tried with each network before anything was trained, and what it could not do."""
    if not outcome.checks:
        return
    yield Heading("Tried before training", 3)
    yield Text(
        "Before anything is trained, all that the study asks of a network is tried once, with random weights or, if it "
        "was imported, its own."
    )
    lines = []
    for check in outcome.checks:
        failed = [finding.what for finding in check.checks if not finding.works]
        line = {"network": f"{check.dataset} / {check.model}"}
        line["works"] = f"no: {listed(failed)}" if failed else "yes"
        line["seconds"] = f"{sum(finding.seconds for finding in check.checks):.1f}"
        lines.append(line | {"tried": ", ".join(finding.what for finding in check.checks)})
    yield Table(pd.DataFrame(lines))
    reasons = [finding.reason for check in outcome.checks for finding in check.checks if finding.reason]
    if reasons:
        yield Bullets(reasons)


def _missing(outcome: Outcome) -> Iterator[Block]:
    yield Heading("What is missing")
    if not outcome.absent:
        yield Text("Nothing: every network of the configuration was made, scored and timed.")
    states = Counter(entry.state for entry in outcome.absent)
    for state in (FAILED, STARTED, WAITING):
        entries = [entry for entry in outcome.absent if entry.state == state]
        if entries:
            yield Text(f"**{counted(states[state], 'network')} {state}:**")
            groups: dict[str, list[str]] = {}
            for entry in entries:
                groups.setdefault(entry.reason, []).append(entry.network.folder)
            lines = [f"`{name}`: {reason}" for reason, names in groups.items() for name in names]
            if len(lines) > _LISTED:
                lines = [f"{counted(len(names), 'network')}, e.g. `{names[0]}`: {why}" for why, names in groups.items()]
            yield Bullets(lines)
    if outcome.undrawn:
        yield Text("**Figures that these results cannot fill:**")
        yield Bullets([f"`{name}`: {reason}" for name, reason in outcome.undrawn.items()])
