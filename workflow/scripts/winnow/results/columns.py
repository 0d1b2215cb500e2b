"""Every metric of results.csv, stated once: what it holds, how it is called, shown and judged.

Tables, model cards, figures, sentences and results/README.md derive from here.
"""

from __future__ import annotations

from dataclasses import replace

from winnow.results.metric import DOWN, UP, Metric, share
from winnow.study.vocabulary import RUNTIMES, SCORED
from winnow.study.words import Words


def in_runtime(name: str, runtime: str) -> str:
    """Return the column that holds a metric as it is in a runtime; the first runtime's numbers are the network's.

    That is the first that computes it in its precision: `top1` of a network in bf16 is its accuracy in OpenVINO.
    """
    return name if runtime == SCORED[0] else f"{runtime}_{name}"


def _of_runtimes(metric: Metric, first: str = "") -> list[Metric]:
    """Return a metric for each runtime that files are scored in; `first` is what the column of the first holds else."""
    return [
        replace(
            metric,
            name=in_runtime(metric.name, runtime),
            label=metric.label if runtime == SCORED[0] else f"{metric.label} in {RUNTIMES[runtime].label}",
            meaning=f"{metric.meaning}, {RUNTIMES[runtime].label}{first if runtime == SCORED[0] else ''}",
        )
        for runtime in SCORED
    ]


def _size(name: str, label: str, meaning: str, short: str = "", cost: bool = False) -> Metric:
    return Metric(name, label, "MB", meaning, DOWN, decimals=3, short=short, cost=cost)


METRICS = Words(
    "metric",
    *_of_runtimes(
        share("top1", "top-1 accuracy", "top-1 accuracy, test split", UP, short="top-1"),
        first=", else the first that computes in this precision",
    ),
    share("top5", "top-5 accuracy", "top-5 accuracy, test split", UP),
    share("validation_top1", "validation accuracy", "top-1 accuracy, validation split (used to choose)", UP),
    Metric("loss", "loss", "nats", "cross-entropy, test split", DOWN, decimals=4),
    Metric(
        "calibration_error",
        "calibration error",
        "%",
        "expected calibration error, test split: how far confidence is from accuracy",
        DOWN,
        factor=100,
    ),
    Metric("validation_loss", "validation loss", "nats", "cross-entropy, validation split", DOWN, decimals=4),
    Metric(
        "top1_change",
        "change of accuracy",
        "points",
        "change of top-1 accuracy from the dense network of the same seed and recipe",
        UP,
        factor=100,
        short="change",
    ),
    _size("size_mb", "model size", "model.onnx", short="size", cost=True),
    _size("gzip_mb", "model size, gzip", "model.onnx, gzip", short="gzip", cost=True),
    _size(
        "sparse_mb", "model size, sparse encoding", "model.onnx, zeros stored as a bit mask", "sparse encoding", True
    ),
    _size(
        "packed_mb", "model size, packed", "model.onnx, if weights of fewer than 8 bits took no more", short="packed"
    ),
    _size("state_dict_mb", "trained weights", "the trained weights in float, as torch saves them"),
    Metric("parameters", "parameters", "", "parameters", DOWN, decimals=0),
    Metric("nonzero_parameters", "non-zero parameters", "", "parameters that are not zero", DOWN, decimals=0),
    Metric("macs", "MACs", "M", "multiply-accumulates for one image", DOWN, factor=1e-6, fine=6),
    Metric(
        "nonzero_macs",
        "non-zero MACs",
        "M",
        "multiply-accumulates with weights that are not zero",
        DOWN,
        factor=1e-6,
        fine=6,
    ),
    share("achieved_sparsity", "sparsity", "sparsity of what was pruned", decimals=1, fine=2),
    share(
        "weight_sparsity",
        "weights removed",
        "weights removed, whole network (parameters of two dimensions or more)",
        decimals=1,
        fine=2,
    ),
    *_of_runtimes(share("integer_macs", "integer MACs", "multiply-accumulates executed on integers", UP, decimals=1)),
    *_of_runtimes(Metric("integer_layers", "integer layers", "", "layers executed on integers", UP, decimals=0)),
    share(
        "multiplier_power",
        "multiplier power",
        "power of the multiplications on integers at 45 nm, of that with exact 8 x 8 multipliers; no accumulators, no "
        "memory",
        DOWN,
        decimals=1,
    ),
    share(
        "multiplier_area",
        "multiplier area",
        "area of the multipliers at 45 nm, of that of exact 8 x 8 ones",
        DOWN,
        decimals=1,
    ),
    share(
        "multiplier_error",
        "multiplier error",
        "mean relative error of the products, by how often the network multiplies each pair of operands on training "
        "images",
        DOWN,
    ),
    Metric("saturating_layers", "saturating layers", "", "layers that can saturate without VNNI", DOWN, decimals=0),
    share("integer_parameters", "integer parameters", "parameters stored as integers", UP, decimals=1),
    *(
        Metric(
            f"{runtime}_difference",
            f"difference in {RUNTIMES[runtime].label}",
            "",
            f"mean difference of logits, {RUNTIMES[runtime].label} from {RUNTIMES[SCORED[0]].label}, of their spread",
            DOWN,
            decimals=4,
        )
        for runtime in SCORED[1:]
    ),
    Metric(
        "quantization_error",
        "quantization error",
        "",
        "mean absolute difference of logits from fp32",
        DOWN,
        decimals=4,
    ),
    Metric("sqnr_db", "SQNR", "dB", "signal to quantization noise of the logits", UP, decimals=1),
    Metric(
        "float_sqnr_db",
        "SQNR from its own weights",
        "dB",
        "signal to noise of the logits against its own weights in float, validation split",
        UP,
        decimals=1,
    ),
    share(
        "float_agreement",
        "agreement with its own weights",
        "decided predictions equal to those of its own weights in float, validation split",
        UP,
    ),
    Metric(
        "theoretical_speedup",
        "theoretical speedup",
        "",
        "theoretical speedup, the dense network's MACs over non-zero MACs",
        UP,
    ),
    Metric(
        "training_seconds",
        "training time",
        "s",
        "training time, ancestors included; empty where that of one is not known",
        DOWN,
        decimals=0,
        short="training",
    ),
    Metric(
        "training_joules",
        "training energy",
        "kJ",
        "training energy, ancestors included; empty where that of one is not known",
        DOWN,
        factor=1e-3,
        estimated_by="training_energy_estimated",
    ),
)
"""Columns of numbers that networks are compared by, in the order of a model card."""
