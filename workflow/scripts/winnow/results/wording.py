"""Networks and their metrics in plain words."""

from __future__ import annotations

import pandas as pd

from winnow.results.numbers import counted, listed, plain
from winnow.results.timed import UNEVEN, UNSTEADY, timed_configurations, unequal_twins
from winnow.study.pruning_axes import SCOPES, SHUFFLES, rewinding
from winnow.study.speed import NOTICEABLE_LOAD
from winnow.study.vocabulary import DENSE, RUNTIMES, SCORED, STRUCTURES, criterion

_NAMED = 4  # recipes in a sentence


def pruning_words(row: pd.Series) -> str:
    """Say how a network was pruned, from its row of results.csv."""
    if row["run"] == DENSE:
        return "not pruned"
    units = STRUCTURES[row["structure"]].units
    rounds = "one round" if row["rounds"] == 1 else f"round {plain(row['round'])} of {plain(row['rounds'])}"
    shuffled = SHUFFLES[row["shuffle"]].meaning
    words = (
        f"{100 * row['achieved_sparsity']:.1f} % of the {units} removed by {criterion(row['criterion']).meaning}, "
        f"{SCOPES[row['scope']].meaning}, {rounds}, {rewinding(str(row['rewind']))}"
    )
    return f"{words}; {shuffled}" if shuffled else words


def disagreements(row: pd.Series) -> list[str]:
    """Say in which runtimes a network, a row of results.csv, is not what it is in the first one, or was not timed."""
    said = [
        f"**{RUNTIMES[runtime].label} does not run it** ({row[f'{runtime}_failure']}): it is not timed or recommended "
        "there."
        if pd.notna(row[f"{runtime}_failure"])
        else f"**{RUNTIMES[runtime].label} computes something else** than ONNX Runtime: logits differ by "
        f"{row[f'{runtime}_difference']:.2g} of their spread. It is not recommended there, and its latency left out."
        for runtime in SCORED
        if row.get(f"{runtime}_agrees") == 0
    ]
    untimed = {runtime: row.get(f"{runtime}_untimed") for runtime in SCORED if row.get(f"{runtime}_agrees") == 1}
    return said + [
        f"**Not timed in {RUNTIMES[runtime].label}**, though it was scored there: {reason}."
        for runtime, reason in untimed.items()
        if pd.notna(reason)
    ]


def elsewhere_words(runtime: str) -> str:
    """Say of several networks that they are not recommended in a runtime, without a subject."""
    label, first = RUNTIMES[runtime].label, RUNTIMES[SCORED[0]].label
    differ = "" if label == first else f", or compute something else there than in {first}"
    return f"do not run in {label}{differ}"


def float_words(row: pd.Series) -> list[str]:
    """Say what of a quantized network, a row of results.csv, stays in float, for each runtime: none or one sentence."""
    found = {RUNTIMES[runtime].label: row.get(f"{runtime}_left_in_float") for runtime in SCORED}
    found = {runtime: words for runtime, words in found.items() if pd.notna(words)}
    return [f"Left in float, of all multiply-accumulates, in {runtime}: {words}." for runtime, words in found.items()]


def saturation_words(results: pd.DataFrame) -> list[str]:
    """Warn of networks, rows of results.csv, that other processors may compute otherwise: none or one sentence."""
    layers = results["saturating_layers"] if "saturating_layers" in results else pd.Series(dtype=float)
    if not (found := results[layers.reindex(results.index) > 0]).size:
        return []
    names = [f"`{recipe}`" for recipe in found["recipe"].drop_duplicates()]
    which = "" if len(results) == 1 else f" of {listed(names[:_NAMED])}{' and others' if len(names) > _NAMED else ''}"
    most = counted(int(layers.max()), "layer")
    return [
        f"**Other answers on older processors**: in up to {most}{which} sums of two products can exceed "
        "16 bits. x86 processors without VNNI (Intel's before about 2019, AMD's before Zen 4) cut them off. A "
        "recipe with `overflow: safe` is right on all."
    ]


def unlearned_words(results: pd.DataFrame) -> list[str]:
    """Warn of networks, rows of results.csv, that are no better than chance: none or one sentence."""
    if "learned" not in results or not (unlearned := results[results["learned"] < 1]).size:
        return []
    share = 100 * results["most_frequent_class"].max()
    names = [f"`{run}/{recipe}`" for run, recipe in unlearned[["run", "recipe"]].drop_duplicates().to_numpy()[:3]]
    which = "This network is" if len(results) == 1 else f"{len(unlearned)} of {len(results)} networks are"
    controls = [pd.notna(name) and criterion(name).control for name in unlearned["criterion"]]
    advice = (
        "Only controls, which remove at random: they have lost what the others kept."
        if all(controls)
        else "Look at the labels and images, the learning rate, and how much was removed."
    )
    named = "" if len(results) == 1 else f" ({listed(names)}{' and others' if len(unlearned) > len(names) else ''})"
    return [
        f"**Nothing learned**: {which} no better than always answering the most frequent class, which {share:.1f} % of "
        f"the test images are of{named}. {advice}"
    ]


def disturbed_words(results: pd.DataFrame) -> list[str]:
    """Warn of networks, rows of results.csv, that were timed while other programs computed: none or one sentence."""
    load = results["other_load"] if "other_load" in results else pd.Series(dtype=float)
    disturbed = load[load > NOTICEABLE_LOAD]
    if disturbed.empty:
        return []
    return [
        f"**Not timed alone**: while {len(disturbed)} of {len(results)} networks were timed, other programs kept "
        f"{disturbed.min():.1f} to {disturbed.max():.1f} cores busy (`other_load` in results.csv), and their latencies "
        "may be too high. Measure again on a quiet machine (`snakemake -R benchmark`) before you compare them."
    ]


def twins_words(results: pd.DataFrame) -> list[str]:
    """Warn of networks, rows of results.csv, that do the same work in different times: none or one sentence."""
    twins = unequal_twins(results, timed_configurations(results)) if "computation" in results else None
    if twins is None:
        return []
    latency = twins.timed.metric("latency")
    fast, slow = (
        f"`seed{row['seed']}/{row['run']}/{row['recipe']}` {latency.exactly(row[latency.name])}"
        for row in (twins.fast, twins.slow)
    )
    return [
        f"**Equal work, unequal times**: {fast} and {slow} run the same operators on the same shapes ({twins.timed}). "
        f"Do not read more into other latencies that differ by up to {100 * (twins.ratio - 1):.0f} %."
    ]


def unsteady_words(count: int, total: int) -> str:
    """Warn of latencies that other programs on the machine have spoilt."""
    return (
        f"**Latencies are unsure**: in {count} of {total} the 95th percentile is more than {UNSTEADY:g} times the "
        f"median, or the standard deviation over seeds more than {100 * UNEVEN:g} % of the mean, as when other "
        "programs use the machine. Measure again on a quiet one (`snakemake -R benchmark`) before you compare them."
    )
