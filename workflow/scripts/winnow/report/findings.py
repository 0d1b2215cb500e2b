"""What came out of a study, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from winnow.analysis.pruning import accuracy_sparsity_data, dense_accuracy, speedup_data
from winnow.analysis.recommendation import Recommendation, timing_of
from winnow.config.recommend import RecommendSettings
from winnow.report.multiplier_words import accelerated_words, multiplier_words
from winnow.report.quantization_words import quantization_words, ratio_words
from winnow.results.not_measured import Missing
from winnow.results.numbers import percent, spread, times
from winnow.results.over_seeds import combinations
from winnow.results.recipe_words import recipe_words
from winnow.results.timed import TOLERATED, Timed, timed_configurations, unsteady
from winnow.results.wording import (
    disagreements,
    disturbed_words,
    elsewhere_words,
    float_words,
    pruning_words,
    saturation_words,
    twins_words,
    unlearned_words,
    unsteady_words,
)
from winnow.study.vocabulary import DENSE, FP32, NARROW, SCORED, STRUCTURES, criterion

_HIGH = 50.0  # % of sparsity from which on a measured speedup is expected
_SAME = 1.1  # a speedup below is none


def ship_text(recommendation: Recommendation, dense: pd.Series | None, *, live: bool = False) -> str:
    """Say in a few sentences which network to ship, and what that costs and buys.

    Args:
        dense: the row of the dense fp32 network of the same seed.
        live: whether the study is not finished, so that nothing lies in best/ yet.
    """
    row = recommendation.chosen
    name = f"{recommendation.dataset} / {recommendation.model}"
    if row is None:
        return f"**{name}: nothing to ship.** No network is within all limits."
    place = f" so far: `{row['run']}/{row['recipe']}`" if live else f", in `best/{name.replace(' ', '')}/`"
    pruning = pruning_words(row)
    text = (
        f"**{name}: ship {row['name']}** (seed {row['seed']}){place}. {pruning[0].upper()}{pruning[1:]}. "
        f"Its numbers are {recipe_words(row)}. Test accuracy "
        f"**{percent(row['top1'])}**"
    )
    timed = timing_of(recommendation.settings)
    column = timed.column("latency")
    fast = column in row and pd.notna(row[column])
    power = accelerated_words(row, recommendation.settings)
    if pd.isna(row["size_mb"]):  # of a file that simulates nothing is known
        against = "" if dense is None else f" ({DENSE} {FP32}: {percent(dense['top1'])})"
        return f"{text}{against}{power}."
    if dense is None:
        return f"{text}; {row['size_mb']:.3g} MB{f', {row[column]:.3g} ms ({timed})' if fast else ''}{power}."
    text += f" ({DENSE} {FP32}: {percent(dense['top1'])}), **{row['size_mb']:.3g} MB** "
    text += ratio_words(dense["size_mb"] / row["size_mb"], "smaller", "larger")
    if fast:
        text += f", **{row[column]:.3g} ms** {ratio_words(dense[column] / row[column], 'faster', 'slower')} in {timed}"
    return f"{text}{power}."


def findings(results: pd.DataFrame, settings: RecommendSettings) -> list[str]:
    """Return what is known of one network, a sentence or two for each subject.

    Args:
        results: rows of results.csv of one data set and network.
    """
    timed = Timed(settings.runtime, settings.batch_size, settings.threads)
    means = combinations(results)
    quantized = quantization_words(means[means["run"] == DENSE], timed)
    return [
        *unlearned_words(results),
        *_unsteady(means),
        *twins_words(results),
        *disturbed_words(results),
        *_runtimes(results),
        *saturation_words(results[results["run"] == DENSE]),
        *multiplier_words(means[means["run"] == DENSE]),
        *quantized,
        *_pruning(results),
    ]


def _runtimes(results: pd.DataFrame) -> Iterator[str]:
    """Name each dense network that is something else in a runtime, or partly in float; count the pruned ones."""
    first = results.drop_duplicates(["run", "recipe"])
    for _, row in first[first["run"] == DENSE].iterrows():
        for sentence in [*disagreements(row), *float_words(row)]:
            yield f"`{row['recipe']}`: {sentence}"
    pruned = results[results["run"] != DENSE]
    for runtime in SCORED:
        if count := int((pruned[f"{runtime}_agrees"] == 0).sum()):
            yield (
                f"Of {len(pruned)} pruned networks, {count} {elsewhere_words(runtime)}: they are not recommended "
                "there, and their latencies left out."
            )


def _unsteady(means: pd.DataFrame) -> Iterator[str]:
    count, total = unsteady(means, timed_configurations(means))
    if count > TOLERATED * total:
        yield unsteady_words(count, total)


def _pruning(results: pd.DataFrame) -> Iterator[str]:
    try:
        data = accuracy_sparsity_data(results)
    except Missing:
        return
    highest = data[data["sparsity"].round(1) == data["sparsity"].round(1).max()].sort_values("mean")
    best = highest.iloc[-1]
    base = dense_accuracy(results)
    against = f" (dense: {spread(*base[:2])} %)" if base else ""
    text = (
        f"At {best['sparsity']:.1f} % sparsity, the highest that was tried, the best strategy ({best['series']}) keeps "
        f"{spread(best['mean'], best['std'])} %{against}"
    )
    controls = highest[[criterion(name).control for name in highest["criterion"]]]
    if len(controls) and not criterion(best["criterion"]).control:
        control = controls.iloc[-1]
        text += f"; choosing at random keeps {spread(control['mean'], control['std'])} %"
    yield f"{text}. All in fp32, on the test split."
    yield from _channels(results)
    try:
        speed = speedup_data(results)
    except Missing:
        return
    for structure, part in speed[speed["sparsity"] >= _HIGH].groupby("structure"):
        removing = STRUCTURES[str(structure)]
        fastest = part.iloc[part["measured"].argmax()]
        where = f"{fastest['sparsity']:.0f} % sparsity, theory {times(fastest['theoretical'])}"
        if fastest["measured"] < _SAME:
            yield (
                f"{removing.action} made **no network faster**: at best {times(fastest['measured'])} "
                f"({where}). These runtimes multiply zeros like any other number."
                if not removing.narrow
                else f"{removing.action} made no network faster: at best {times(fastest['measured'])} ({where})."
            )
        else:
            gain = times(fastest["measured"]) + (f" ± {fastest['measured_std']:.2g}" if fastest["n"] > 1 else "")
            yield f"{removing.action} made networks up to {gain} faster ({where}, {fastest['configuration']})."


def _channels(results: pd.DataFrame) -> Iterator[str]:
    """Say what channels were removed from, and how much of the network that was at most."""
    narrow = results[results["structure"].isin(NARROW) & (results["precision"] == FP32)]
    if narrow.empty:
        return
    most = narrow.iloc[narrow["achieved_sparsity"].argmax()]
    text = (
        f"Of the channels that can go, at most {100 * most['achieved_sparsity']:.0f} % were removed; that is "
        f"{100 * most['weight_sparsity']:.0f} % of the weights of the network"
    )
    if pd.notna(most["theoretical_speedup"]):
        text += f" and {100 - 100 / most['theoretical_speedup']:.0f} % of its multiply-accumulates"
    yield f"{text}."
    for groups in narrow["channels_together"].dropna().unique()[:1]:
        yield f"Channels are removed together where layers share them: {groups}."
    for reasons in narrow["channels_left_alone"].dropna().unique()[:1]:
        yield f"Where channels were removed, these layers kept all of theirs: {reasons}."
