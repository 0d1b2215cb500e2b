"""Columns of results.csv for each runtime, batch size and number of threads, stated once; see `results.columns`."""

from __future__ import annotations

from winnow.results.metric import DOWN, UP, TimedMetric
from winnow.study.words import Words

TIMED = Words(
    "timed metric",
    TimedMetric(
        "latency",
        "median latency",
        "ms",
        "median latency of a batch",
        DOWN,
        decimals=3,
        fine=4,
        short="latency",
        cost=True,
        column="latency_{where}_ms",
    ),
    *(
        TimedMetric(
            end,
            f"{end} end of the median's interval",
            "ms",
            f"{end} end of the 95 % interval of the median latency of a batch",
            DOWN,
            decimals=3,
            fine=4,
            column=f"latency_{{where}}_{end}_ms",
        )
        for end in ("low", "high")
    ),
    TimedMetric(
        "p95",
        "95th percentile of latency",
        "ms",
        "95th percentile of latency of a batch",
        DOWN,
        decimals=3,
        fine=4,
        column="latency_{where}_p95_ms",
    ),
    TimedMetric(
        "energy",
        "energy per image",
        "mJ",
        "energy per image",
        DOWN,
        fine=4,
        short="energy",
        cost=True,
        estimated_by="inference_energy_estimated",
        column="energy_{where}_mj",
    ),
    TimedMetric(
        "power",
        "power",
        "W",
        "mean power",
        DOWN,
        estimated_by="inference_energy_estimated",
        column="power_{where}_w",
    ),
    TimedMetric(
        "speedup",
        "measured speedup",
        "",
        "measured speedup, the dense network's median latency over this one's, by the same recipe",
        UP,
        short="speedup",
        column="speedup_{where}",
    ),
)
"""Metrics with a column for each runtime, batch size and number of threads."""
