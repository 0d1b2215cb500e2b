"""What is asked of a network to ship: the section `recommend`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from winnow.config.settings import Settings

_SHIPPED_IN = ("openvino", "onnxruntime")  # runtimes that every precision is timed in, the preferred one first
_LISTS = {"runtime": "runtimes", "batch_size": "batch_sizes", "threads": "threads"}


def resolve_recommend(config: Mapping[str, Any], benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section as its settings class takes it: what is left open becomes what is timed first."""
    timed = [runtime for runtime in _SHIPPED_IN if runtime in benchmark["runtimes"]]
    first = {"runtime": (timed or _SHIPPED_IN)[0]}
    first |= {key: benchmark[_LISTS[key]][0] for key in ("batch_size", "threads")}
    first["objective"] = "latency" if timed else "size"
    return dict(config) | {key: value for key, value in first.items() if config[key] is None}


def recommend_conflicts(study: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between `recommend` and `benchmark`."""
    recommend, benchmark = study["recommend"], study["benchmark"]
    limited = [key for key in ("max_latency_ms", "max_energy_mj") if recommend[key] is not None]
    limited += [f"objective: {recommend['objective']}"] if recommend["objective"] in ("latency", "energy") else []
    shippable = set(_SHIPPED_IN) & set(benchmark["runtimes"])
    for key, timed in _LISTS.items():
        if key == "runtime" and not shippable and not limited:
            continue  # nothing is asked of a runtime, and none is timed that could be named
        if recommend[key] not in benchmark[timed]:
            choices = ", ".join(map(str, benchmark[timed]))
            reason = f"recommend.{limited[0]} refers to it" if limited else "the report refers to it"
            yield (
                f"configuration: recommend.{key} is {recommend[key]}, which benchmark.{timed} ({choices}) does not "
                f"time, and {reason}; add it there, or choose another"
            )


@dataclass(frozen=True, slots=True)
class RecommendSettings(Settings):
    """The `recommend` section; None is no limit. Percentage points, MB (2^20), ms per batch, mJ per image."""

    max_accuracy_drop: float | None
    max_size_mb: float | None
    max_latency_ms: float | None
    max_energy_mj: float | None
    runtime: str
    batch_size: int
    threads: int
    objective: str
