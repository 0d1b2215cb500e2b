"""quality.json: how good one model.onnx is, and what it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from winnow.study.identity import Identity
from winnow.study.multiplication import Multiplication
from winnow.study.recipe import Recipe
from winnow.study.record import Record
from winnow.study.saturation import SaturatingLayer
from winnow.study.sparsity import Sparsity
from winnow.study.training import Training
from winnow.study.vocabulary import SCORED


def learned(top1: float, most_frequent: float, samples: int) -> bool:
    """Whether an accuracy is above the share of the most frequent class by more than two standard errors of it."""
    return top1 > most_frequent + 2 * math.sqrt(most_frequent * (1 - most_frequent) / samples)


@dataclass(frozen=True)
class Scores:
    """How good predictions are: shares between 0 and 1 (top-5 from 20 classes on), mean cross-entropy in nats.

    `most_frequent` is the share of the most frequent class: what one scores who always answers that. `further` are the
    metrics of `measure.metrics.FURTHER`, by their columns in results.csv.
    """

    top1: float
    most_frequent: float
    top5: float | None
    loss: float
    samples: int
    further: Mapping[str, float]

    @property
    def learned(self) -> bool:
        """Whether accuracy is above that of the most frequent class by more than two standard errors."""
        return learned(self.top1, self.most_frequent, self.samples)


@dataclass(frozen=True)
class Tolerance:
    """How far two computations of the same logits may differ; see `deploy.agreement`."""

    difference: float
    predictions: float


@dataclass(frozen=True)
class InRuntime:
    """What a runtime makes of a file, on the test split.

    Attributes:
        runs: whether it loads and runs the file; if not, `reason` says why and the rest is None.
        agrees: whether it computes what the first runtime computes, or a quantized network's float counterpart as well
            as the first runtime does.
        difference, predictions: how far from the first runtime that runs it; see `deploy.agreement.Agreement`.
        from_float: how far from the float counterpart, in the same measure; None for fp32.
    """

    runs: bool
    agrees: bool
    reason: str | None = None
    scores: Scores | None = None
    difference: float | None = None
    predictions: float | None = None
    tolerance: Tolerance | None = None
    from_float: float | None = None


@dataclass(frozen=True)
class Deviation:
    """From the float counterpart, on the validation split: mean absolute difference of the logits, signal to noise in
    dB (None where exact), share of decided predictions that are equal (None if none is decided)."""

    error: float
    sqnr_db: float | None
    agreement: float | None
    samples: int


@dataclass(frozen=True)
class LayerNoise:
    layer: str
    sqnr_db: float | None


@dataclass(frozen=True)
class Quantization:
    """Difference from the run's fp32 file over the test split, from the counterpart, and by layer."""

    error: float
    sqnr_db: float | None
    validation: Deviation
    layers: tuple[LayerNoise, ...]


@dataclass(frozen=True)
class FloatLayer:
    """What stays in float: its share of all multiply-accumulates, and why."""

    layer: str
    operator: str
    macs: float
    reason: str


@dataclass(frozen=True)
class RuntimeCoverage:
    """Share of the multiply-accumulates that run on integers, how many layers do, and what does not."""

    macs: float
    integer_layers: int
    float_layers: tuple[FloatLayer, ...]


@dataclass(frozen=True)
class Coverage:
    """Operators of the exported graph. `parameters` is the share of weights that are integers; `runtimes` has None for
    one that does not load the file; multiply-accumulates are those of the fp32 file, for one image."""

    layers: int
    parameters: float
    operators: Mapping[str, int]
    runtimes: Mapping[str, RuntimeCoverage | None]
    total_macs: int
    nonzero_macs: int


@dataclass(frozen=True)
class Sizes:
    """Bytes of model.onnx as it is, compressed, with sparse tensors, with weights of fewer than 8 bits packed (None if
    they have 8, or are float), and of the dense fp32 state dict."""

    onnx_bytes: int
    gzip_bytes: int
    sparse_bytes: int
    packed_bytes: int | None
    state_dict_bytes: int
    parameters: int
    nonzero_parameters: int


@dataclass(frozen=True)
class Quality(Identity, Record):
    """quality.json: how good one model.onnx is, and what it came from.

    Scores are those of the first runtime that computes it in its precision. Where none did, as on a processor without
    bf16, there are none: `runtimes` says why. `multiplication` is None where it multiplies as processors do.
    """

    schema: ClassVar[int] = 5

    test: Scores | None
    confusion: tuple[tuple[int, ...], ...]
    validation: Scores | None
    quantization: Quantization | None
    runtimes: Mapping[str, InRuntime]
    coverage: Coverage
    saturating: tuple[SaturatingLayer, ...]
    size: Sizes
    training: Training
    pruning: Sparsity | None
    quantized_by: Recipe | None
    multiplication: Multiplication | None

    def __post_init__(self) -> None:
        if set(self.runtimes) != set(SCORED):
            raise ValueError(f"runtimes are {', '.join(self.runtimes)}, not {', '.join(SCORED)}")
        if (self.test is None) != (self.validation is None):
            raise ValueError("one of test and validation was scored, the other not")
