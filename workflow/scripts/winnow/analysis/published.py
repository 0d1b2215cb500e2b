"""Published numbers beside a study's own: a reference column, with the setup each number comes from."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from winnow.results.columns import METRICS
from winnow.results.metric import Metric
from winnow.results.over_seeds import NETWORK, combinations
from winnow.results.report_table import ReportTable
from winnow.results.timed import Timed, timed_configurations
from winnow.results.timed_columns import TIMED
from winnow.study.vocabulary import DENSE, FP32, MAGNITUDE, RUNTIMES
from winnow.study.words import NONE

RESNET18 = "ResNet-18, 50 epochs, one run (the 2023 study)"
RENDA = "ResNet-20, CIFAR-10, magnitude, 182 epochs, mean of 3 (Renda et al. 2020)"


@dataclass(frozen=True)
class Strategy:
    """How a network of which a value was published had been pruned, to a share `ratio` of its weights."""

    iterative: bool
    rewind: str
    ratio: float


@dataclass(frozen=True)
class Reference:
    """A published value and the rows of results.csv it may be laid beside."""

    dataset: str
    model: str
    label: str
    metric: str
    value: float
    setup: str
    precision: str = FP32
    strategy: Strategy | None = None


_QUANTIZED = {  # CIFAR-10 and CIFAR-100: accuracy (%), size (MB), training (s), inference (ms), error of the logits
    ("cifar10", "fp32"): (74.00, 42.729, 1952, 22.4, None),
    ("cifar100", "fp32"): (42.79, 42.905, 1867, 22.2, None),
    ("cifar10", "dynamic"): (69.35, 10.787, None, 10.9, 0.790),
    ("cifar100", "dynamic"): (35.36, 10.834, None, 27.9, 0.976),
    ("cifar10", "ptq"): (70.89, 10.704, None, 10.5, 0.791),
    ("cifar100", "ptq"): (37.63, 10.749, None, 10.2, 0.975),
    ("cifar10", "qat"): (74.63, 42.852, 3286, 10.5, 0.253),  # its size was measured before conversion
    ("cifar100", "qat"): (42.79, 43.032, 3307, 10.0, 0.572),
}
_QUANTITIES = ("top1", "size_mb", "training_seconds", "latency", "quantization_error")
_PRUNED = (  # label, top-1, strategy
    ("iterative, rewound to an epoch", 91.7, Strategy(iterative=True, rewind="epoch", ratio=0.79)),
    ("iterative, rewound to an epoch", 91.0, Strategy(iterative=True, rewind="epoch", ratio=0.893)),
    ("iterative, rewound to the initial weights", 89.0, Strategy(iterative=True, rewind="init", ratio=0.79)),
    ("iterative, rewound to the initial weights", 86.7, Strategy(iterative=True, rewind="init", ratio=0.893)),
    ("one-shot, re-initialized", 88.4, Strategy(iterative=False, rewind="random", ratio=0.79)),
    ("one-shot, re-initialized", 86.9, Strategy(iterative=False, rewind="random", ratio=0.893)),
)
_SETUP = {"scope": "global", "structure": "unstructured", "shuffle": NONE}  # of all these
_NEAR = 0.02  # of sparsity: 80 % is laid beside 79 %


def references() -> list[Reference]:
    """Return every published value that is known here."""
    values = [
        Reference(dataset, "resnet18", precision, metric, value, RESNET18, precision)
        for (dataset, precision), row in _QUANTIZED.items()
        for metric, value in zip(_QUANTITIES, row, strict=True)
        if value is not None
    ]
    values.append(Reference("cifar10", "resnet20", DENSE, "top1", 91.7, RENDA))
    for label, top1, strategy in _PRUNED:
        name = f"{label}, {100 * strategy.ratio:.3g} % sparsity"
        values.append(Reference("cifar10", "resnet20", name, "top1", top1, RENDA, FP32, strategy))
    return values


def beside_published(results: pd.DataFrame) -> pd.DataFrame:
    """Lay published values beside those of a study for the same kind of network and data.

    A data set counts as CIFAR-10 if its name begins with `cifar10` (but not `cifar100`), likewise CIFAR-100. The
    setups differ: numbers are for orientation, not for ranking.

    Returns:
        dataset, model, network, metric, published, own (mean over seeds; missing where the study has no such
        network), own_std, n, setup; empty if nothing is comparable.
    """
    rows = []
    for (dataset, model), own in results.groupby(NETWORK):
        means = combinations(own)
        for reference in references():
            if reference.model != model or reference.dataset != _family(str(dataset)):
                continue
            heading = (TIMED if reference.metric in TIMED else METRICS)[reference.metric].heading(short=True)
            ours = _own(means, reference)
            rows.append((dataset, model, reference.label, heading, reference.value, *ours, reference.setup))
    columns = ["dataset", "model", "network", "metric", "published", "own", "own_std", "n", "setup"]
    return pd.DataFrame(rows, columns=columns)


def _family(dataset: str) -> str:
    return next((name for name in ("cifar100", "cifar10") if dataset.startswith(name)), dataset)


def _own(means: pd.DataFrame, reference: Reference) -> tuple[float, float, int]:
    """Return (mean, std, n) of what a value is laid beside; of several strategies the nearest in sparsity."""
    matching = _matching(means, reference)
    metric = _metric(means, reference.metric)
    if metric is None or matching.empty or not (row := matching.iloc[0])[f"{metric.name}_n"]:
        return float("nan"), float("nan"), 0
    return metric.factor * row[metric.name], metric.factor * row[f"{metric.name}_std"], row[f"{metric.name}_n"]


def _metric(results: pd.DataFrame, name: str) -> Metric | None:
    if name not in TIMED:
        return METRICS[name]
    timed = timed_configurations(results, name)
    preferred = [t for t in timed if not RUNTIMES[t.runtime].ships] or timed  # as the study: torch, on a CPU
    return min(preferred, key=_order).metric(name) if timed else None


def _order(timed: Timed) -> tuple[int, int]:
    return -timed.batch_size, timed.threads


def _matching(means: pd.DataFrame, reference: Reference) -> pd.DataFrame:
    rows = means[means["recipe"] == reference.precision]  # by the plain recipe of the method
    strategy = reference.strategy
    if strategy is None:
        return rows[rows["run"] == DENSE]
    last = (rows["round"] == rows["rounds"]) & rows["criterion"].isin(MAGNITUDE)
    last &= (rows[list(_SETUP)] == pd.Series(_SETUP)).all(axis=1)
    last &= (rows["rounds"] > 1) == strategy.iterative
    last &= rows["rewind"].astype(str).str.startswith(strategy.rewind)
    rows = rows[last].assign(distance=(rows["requested_sparsity"] - strategy.ratio).abs())
    return rows[rows["distance"] <= _NEAR].sort_values("distance", kind="stable")


def published_table(results: pd.DataFrame) -> ReportTable:
    """Return published values beside those of a study as they are shown to people."""
    table = beside_published(results)
    texts = [
        "" if pd.isna(mean) else f"{mean:.4g}" + ("" if pd.isna(std) else f" ± {std:.2g}")
        for mean, std in zip(table["own"], table["own_std"], strict=True)
    ]
    own = pd.Series(texts, table.index)
    columns = {"data set": table["dataset"], "model": table["model"], "network": table["network"]}
    columns |= {"metric": table["metric"], "this study": own, "published": table["published"].map("{:g}".format)}
    return ReportTable(
        title="Beside published values",
        data=table,
        shown=pd.DataFrame(columns | {"published setup": table["setup"]}),
        groups=("data set", "model", "published setup"),
        labels=("network", "metric"),
        notes=["Setups differ: published values are for orientation, not for ranking."],
        nothing="No published values are known for the data sets and networks of this study.",
    )
