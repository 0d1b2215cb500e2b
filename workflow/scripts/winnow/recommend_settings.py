"""What a network to ship must satisfy. Apart from `settings`, which every training depends on."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.settings import _Settings


@dataclass(frozen=True, slots=True)
class RecommendSettings(_Settings):
    """The `recommend` section; None is no limit. Percentage points, MB (2^20), ms per batch, mJ per image."""

    max_accuracy_drop: float | None
    max_size_mb: float | None
    max_latency_ms: float | None
    max_energy_mj: float | None
    runtime: str
    batch_size: int
    threads: int
    objective: str
