"""What is asked of a network to ship: the section `recommend`."""

from __future__ import annotations

from dataclasses import dataclass

from winnow.config.choices import ACCELERATOR
from winnow.config.typed import Settings


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
    target: str

    @property
    def accelerated(self) -> bool:
        """Whether it is to run on an accelerator, which has multipliers that no processor here has."""
        return self.target == ACCELERATOR
