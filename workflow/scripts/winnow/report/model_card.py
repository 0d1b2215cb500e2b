"""best/: the network to ship, with a model card and its labels."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pandas as pd

from winnow.analysis.recommendation import EQUAL, Recommendation, timing_of
from winnow.config.choices import OBJECTIVES
from winnow.deploy.inputs import input_of
from winnow.errors import WinnowError
from winnow.files import replacing, write_text
from winnow.report.blocks import Block, Bullets, Heading, Table, Text, to_markdown
from winnow.report.feeding import METADATA, feeding
from winnow.report.html import to_html
from winnow.report.loading import loading
from winnow.report.multiplier_words import simulation_words
from winnow.results.columns import METRICS
from winnow.results.numbers import counted, percent, plain, times
from winnow.results.recipe_words import FEWER_BITS, fewer_bits, recipe_words
from winnow.results.timed import TOLERATED, timed_configurations, unsteady
from winnow.results.timed_columns import TIMED
from winnow.results.wording import (
    disagreements,
    disturbed_words,
    elsewhere_words,
    float_words,
    pruning_words,
    saturation_words,
    unlearned_words,
    unsteady_words,
)
from winnow.study.artifacts import Network
from winnow.study.vocabulary import DENSE, FP32, PRECISIONS

_TIMED = ("latency", "energy")  # what a card tells of each timed configuration
_OF_A_CALL = (
    "It scales activations while it runs, by the range of all images of a call: an image may get other logits beside "
    "others than alone. Its accuracy is that of large batches."
)


def write_best(recommendation: Recommendation, dense: pd.Series | None, study: Path, folder: Path) -> None:
    """Write model.onnx, labels.txt and a model card, or a page that says why there is nothing to ship.

    Pages are there twice, as Markdown and as HTML.

    Args:
        dense: the row of results.csv of the dense fp32 network of the same seed, to compare with.
        study: results/<study>, where the networks lie.
        folder: results/<study>/best; files go to `<dataset>/<model>/` in it.

    Raises:
        WinnowError: the chosen model.onnx is missing or damaged.
    """
    target = folder / recommendation.dataset / recommendation.model
    row = recommendation.chosen
    if row is None:
        _write_page(target / "nothing_to_ship", "Nothing to ship", [Bullets(list(reasons(recommendation)))])
        return
    own = Network(row["dataset"], row["model"], int(row["seed"]), row["run"], row["recipe"], row["precision"])
    model, metadata = _read(study / own.file)
    with replacing(target / "model.onnx") as temporary:
        shutil.copyfile(study / own.file, temporary)
    write_text(target / "labels.txt", "\n".join(metadata["classes"]) + "\n")
    title = f"{row['model']} for {row['dataset']}, {row['recipe']}"
    why = list(reasons(recommendation))
    _write_page(target / "model_card", title, list(_card(row, why, dense, own.file, model, metadata)))


def _write_page(stem: Path, title: str, blocks: list[Block]) -> None:
    write_text(stem.with_suffix(".md"), to_markdown(title, blocks))
    write_text(stem.with_suffix(".html"), to_html(title, blocks))


def _read(path: Path) -> tuple[onnx.ModelProto, dict[str, Any]]:
    try:
        model = onnx.load(path)
        entries = {entry.key: entry.value for entry in model.metadata_props}  # some are those of libraries
        if missing := [key for key in METADATA if key not in entries]:
            raise ValueError(f"no {', '.join(missing)} in its metadata")
        metadata = {key: json.loads(entries[key]) for key in METADATA}
    except Exception as error:  # protobuf's own exception is no ValueError
        raise WinnowError(f"{path}: not a network of this study ({error}); delete it and run again") from error
    return model, metadata


def reasons(recommendation: Recommendation) -> Iterator[str]:
    """Say why this network was chosen, or why none was: a sentence for each limit."""
    count, settings = len(recommendation.candidates), recommendation.settings
    admissible = int(recommendation.candidates["admissible"].sum())
    where = f"{recommendation.dataset}/{recommendation.model}"
    if recommendation.chosen is None:
        yield f"No network of {where} is within every limit of the configuration's recommend section."
    for limit, excluded in recommendation.excluded.items():
        yield f"{limit[0].upper()}{limit[1:]}: excludes {excluded} of {count} combinations of pruning and recipe."
    if recommendation.unmeasured:
        yield f"{recommendation.unmeasured} of {count} lack a measurement that a limit needs, and are excluded too."
    if recommendation.disagreeing:
        yield f"{recommendation.disagreeing} of {count} {elsewhere_words(settings.runtime)}, and are excluded too."
    if recommendation.chosen is not None:
        best = OBJECTIVES[settings.objective].meaning
        if settings.accelerated and recommendation.limits[1:]:
            yield "Of networks with approximate multipliers no size, latency or energy is known, and none was asked."
        where = f" ({timing_of(settings)})" if settings.objective in TIMED else ""
        yield (
            f"{admissible} of {count} are within all limits. This one has {best}{where}; of those equal to "
            f"within {100 * EQUAL:g} % the one with the best validation accuracy, and of its seeds the best one."
        )
        yield from _certainty(recommendation, recommendation.chosen)
    elif recommendation.nearest is not None:
        near = recommendation.nearest
        misses = [
            f"{limit.key} {near[limit.column]:.3g} instead of {limit.largest:g} {limit.unit}"
            for limit in recommendation.limits
            if not near[f"within {limit.key}"]
        ]
        yield f"The nearest is {near['name']} (seed {near['seed']}): {'; '.join(misses)}. It is not shipped."


def _certainty(recommendation: Recommendation, row: pd.Series) -> Iterator[str]:
    """Say how far accuracies on so few images can be told apart, by two standard errors of a share; and latencies."""
    yield from unlearned_words(row.to_frame().T)
    samples = row.get("validation_samples")
    if samples is not None and pd.notna(samples):
        share = min(max(row["validation_top1"], 1 / samples), 1 - 1 / samples)
        error = 200 * math.sqrt(share * (1 - share) / samples)
        yield f"On {int(samples)} validation images, accuracies less than {error:.1f} points apart may be equal."
    count, total = unsteady(recommendation.candidates, [timing_of(recommendation.settings)])
    if count > TOLERATED * total:
        yield unsteady_words(count, total)
    yield from disturbed_words(recommendation.candidates)


def _card(
    row: pd.Series,
    why: Sequence[str],
    dense: pd.Series | None,
    source: str,
    model: onnx.ModelProto,
    metadata: Mapping[str, Any],
) -> Iterator[Block]:
    graph, baked_in = model.graph, input_of(model).baked_in is not None
    shape = [size.dim_value or size.dim_param for size in graph.input[0].type.tensor_type.shape.dim]
    images, logits, classes = graph.input[0].name, graph.output[0].name, metadata["classes"]
    against = f"; the dense fp32 network has {percent(dense['top1'])}." if dense is not None else "."
    yield Text(
        f"Sorts images of {shape[2]} x {shape[3]} pixels, {counted(shape[1], 'channel')}, into {len(classes)} classes "
        f"(`labels.txt`, one per line, in the order of the outputs). Test accuracy {percent(row['top1'])} on "
        f"{plain(row['test_samples'])} images it never saw{against}"
    )
    yield Heading("How it was made")
    made = [
        f"network `{row['model']}`, data set `{row['dataset']}`, seed {row['seed']}",
        f"pruning: {pruning_words(row)}",
        f"numbers: {recipe_words(row)}",
        _trained(row),
        f"copied from `{source}`",
    ]
    yield Bullets(made)
    yield Heading("Why this one")
    yield Bullets(why)
    yield Heading("Every metric")
    yield Table(_metrics(row, dense))
    yield from map(Text, [*disagreements(row), *float_words(row)])
    yield from map(Text, saturation_words(row.to_frame().T))
    yield from map(Text, simulation_words(row))
    if fewer_bits(row.to_frame().T):
        yield Text(FEWER_BITS)
    if pd.notna(processor := row.get("processor", "unknown")):
        measured = f"Latency and energy were measured on: {processor}."
        if baked_in:
            measured += " They include the normalization of the images."
        if row.get("inference_energy_estimated", False):
            measured += " Energy is an estimate, from CPU seconds."
        yield Text(measured)
    yield Heading("How to use it")
    yield from feeding(images, shape, metadata, baked_in=baked_in)
    yield Text(f"Output `{logits}`: one logit per class; the largest is the answer.")
    if (precision := PRECISIONS[row["precision"]]).integers and not precision.static:
        yield Text(_OF_A_CALL)
    yield from loading(row, images)


def _trained(row: pd.Series) -> str:
    if pd.isna(row["training_device"]):
        return "not trained here: weights as they were imported, but for what was pruned"
    return f"trained on {row['training_device']} ({row['training_precision']})"


def _metrics(row: pd.Series, dense: pd.Series | None) -> pd.DataFrame:
    """Return a line for each metric that was measured, beside the dense fp32 network's."""
    timed = [t.metric(kind) for t in timed_configurations(row.index) for kind in _TIMED]
    lines = []
    for metric in [*METRICS.values(), *timed]:
        if pd.isna(value := row.get(metric.name)):
            continue
        line = {"metric": metric.meaning, "this network": metric.exactly(value)}
        if dense is not None and pd.notna(base := dense.get(metric.name)):
            line[f"{DENSE} {FP32}"] = metric.exactly(base)
            if metric.cost and value > 0:
                line["gain"] = times(base / value)
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def write_all(recommendations: list[Recommendation], results: pd.DataFrame, study: Path, folder: Path) -> None:
    """Write for each data set and network what `write_best` writes."""
    for recommendation in recommendations:
        write_best(recommendation, dense_beside(recommendation, results), study, folder)


def dense_beside(recommendation: Recommendation, results: pd.DataFrame) -> pd.Series | None:
    """Return the row of the dense fp32 network of the seed that was chosen; None if there is none."""
    row = recommendation.chosen
    if row is None:
        return None
    own = (results["dataset"] == row["dataset"]) & (results["model"] == row["model"]) & (results["seed"] == row["seed"])
    dense = results[own & (results["run"] == DENSE) & (results["precision"] == FP32)]
    return dense.iloc[0] if len(dense) else None
